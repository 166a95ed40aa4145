"""Laws that importance samples are drawn from: near normal, skewed along their axes, with tails that a logarithm of a scale has.

``q = mode + L y``; each ``y_i`` is independently split normal (a scale for either sign: Geweke 1989, Econometrica 57, section 6) or, less
often, exponential to either side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brim.infer.approximate.surface import quadratic_fit

__all__ = ["SplitProposal", "points"]

HEAVY = 0.2  # how often an axis has exponential tails
AXES = (1.5, 5.0, 6.0)  # where the density is looked at along the axes, in standard deviations: its width, its slope in the tail
RANGE = (0.4, 3.0)  # of the scales of the normal part
TAILS = (1.0, 6.0)  # of the exponential parts
BEHIND = 1.5  # standard deviations behind which the tail of a sample begins
FEW = 20.0  # effective draws in a tail that tell its scale
ENOUGH = 2.0  # points for each number of a quadratic function that is fitted to them
LEAST = 0.05  # curvature of it, in units of the law before
_BOUND = 1.45  # of the difference of the two scales of a split normal law of variance 1


@dataclass(frozen=True)
class SplitProposal:
    """A split law.

    Attributes
    ----------
    mode
        (dim,).
    low
        Lower triangular ``L``, (dim, dim).
    scales
        Of the normal part, for negative and positive ``y``, (2, dim).
    tails
        Of the exponential part, (2, dim).
    center, spread
        Mean and standard deviation of further coordinates, independent normal numbers, (m,).
    """

    mode: np.ndarray
    low: np.ndarray
    scales: np.ndarray
    tails: np.ndarray
    center: np.ndarray
    spread: np.ndarray

    @property
    def dim(self) -> int:
        """Number of the first coordinates."""
        return len(self.mode)

    @staticmethod
    def around(
        mode: np.ndarray, covariance: np.ndarray, values: Callable[[np.ndarray], np.ndarray], center: np.ndarray, spread: np.ndarray
    ) -> SplitProposal:
        """From a mode and its curvature, the scales by how the log density falls to either side of each axis."""
        low, m = np.linalg.cholesky(covariance), len(center)
        steps = np.concatenate([[-x * low.T, x * low.T] for x in AXES])  # (2 distances, dim, dim)
        along = np.concatenate([mode[None], mode + steps.reshape(-1, len(low))])
        lp = values(np.concatenate([along, np.broadcast_to(center, (len(along), m))], axis=1))
        near, far, farther = (lp[0] - lp[1:]).reshape(3, 2, -1)
        with np.errstate(all="ignore"):
            scales = AXES[0] / np.sqrt(2.0 * near)
            tails = (AXES[2] - AXES[1]) / (farther - far)
        return SplitProposal(mode, low, _within(scales, RANGE), _within(tails, TAILS), center, spread)

    def fitted(
        self, q: np.ndarray, lp: np.ndarray, weights: np.ndarray, values: Callable[[np.ndarray], np.ndarray]
    ) -> SplitProposal | None:
        """The law around the maximum of a quadratic function fitted to log densities; ``None`` where it has none.

        Its first coordinates have all products, the others squares.
        """
        d = self.dim
        y = np.linalg.solve(self.low, (q[:, :d] - self.mode).T).T
        e = (q[:, d:] - self.center) / self.spread
        if not ENOUGH * (1 + 2 * e.shape[1] + d + d * (d + 1) // 2) < len(q):
            return None
        root = np.sqrt(np.minimum(weights / np.median(weights), 1.0))
        slope, curvature = quadratic_fit(y, e, lp, root)
        slope, own_slope = np.split(slope, [d])
        own = 1.0 + np.diag(curvature)[d:]  # ``values`` leaves the standard normal density out
        curvature = curvature[:d, :d]
        if not (np.linalg.eigvalsh(curvature)[0] > LEAST and (own > LEAST).all()):
            return None
        covariance = self.low @ np.linalg.inv(curvature) @ self.low.T
        mode = self.mode + self.low @ np.linalg.solve(curvature, slope)
        return SplitProposal.around(mode, covariance, values, self.center + self.spread * own_slope / own, self.spread / np.sqrt(own))

    def matched(self, q: np.ndarray, weights: np.ndarray) -> SplitProposal | None:
        """The law with the mean, the covariance and, along its axes, skewness and tails of draws; ``None`` without a covariance."""
        q = q[:, : self.dim]
        mean = weights @ q
        centred = q - mean
        try:
            low = np.linalg.cholesky((centred * weights[:, None]).T @ centred)
            y = np.linalg.solve(low, centred.T).T
        except np.linalg.LinAlgError:
            return None
        grid = np.linspace(-_BOUND, _BOUND, 201)
        product = 1.0 - (1.0 - 2.0 / math.pi) * grid**2  # of the two scales, the variance being 1
        skewness = math.sqrt(2.0 / math.pi) * grid * ((4.0 / math.pi - 1.0) * grid**2 + product)
        gap = np.interp(weights @ y**3, skewness, grid)
        product = 1.0 - (1.0 - 2.0 / math.pi) * gap**2
        right = 0.5 * (gap + np.sqrt(gap**2 + 4.0 * product))
        tails = np.stack([_tails(-y, weights), _tails(y, weights)])
        location = mean - low @ (math.sqrt(2.0 / math.pi) * gap)
        return SplitProposal(location, low, np.stack([right - gap, right]), tails, self.center, self.spread)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, dim + m)``."""
        from scipy.special import ndtri  # its import takes longer than a summary

        u, which, own = np.split(points(n, 2 * self.dim + len(self.center), rng), [self.dim, 2 * self.dim], axis=1)
        return np.concatenate([self._first(u, which), self.center + self.spread * ndtri(own)], axis=1)

    def _first(self, u: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The first coordinates from uniform numbers; others say on which axes ``y`` is exponential."""
        from scipy.special import ndtri

        heavy = which < HEAVY
        left, right = np.where(heavy[..., None], self.tails.T, self.scales.T).transpose(2, 0, 1)
        share = left / (left + right)
        below = u < share
        beyond = np.where(below, u / share, (1.0 - u) / (1.0 - share))  # probability of a larger |y|
        size = np.where(heavy, -np.log(beyond), -ndtri(0.5 * beyond))
        return np.asarray(self.mode + np.where(below, -left * size, right * size) @ self.low.T)

    def log_density(self, q: np.ndarray) -> np.ndarray:
        """At ``q (n, dim + m)``; for the further coordinates beside that of standard normal numbers."""
        y = np.linalg.solve(self.low, (q[:, : self.dim] - self.mode).T).T
        own = q[:, self.dim :]
        e = (own - self.center) / self.spread
        beside = 0.5 * (own**2 - e**2).sum(1) - np.log(self.spread).sum()
        normal = -0.5 * np.square(y / np.where(y < 0.0, *self.scales)) - np.log(0.5 * self.scales.sum(0)) - 0.5 * math.log(2.0 * math.pi)
        exponential = -np.abs(y) / np.where(y < 0.0, *self.tails) - np.log(self.tails.sum(0))
        mixed = np.logaddexp(math.log(1.0 - HEAVY) + normal, math.log(HEAVY) + exponential)
        return np.asarray(mixed.sum(1) - np.log(np.diag(self.low)).sum() + beside)


def _within(x: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Within bounds; the upper one where nothing is known."""
    return np.clip(np.where(np.isfinite(x) & (x > 0.0), x, bounds[1]), *bounds)


def _tails(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean excess of each column of weighted numbers behind ``BEHIND``."""
    inside = np.where(y > BEHIND, weights[:, None], 0.0)
    mass = inside.sum(0)
    with np.errstate(all="ignore"):
        excess = (inside * (y - BEHIND)).sum(0) / mass
        enough = mass**2 > FEW * (inside**2).sum(0)
    return np.clip(np.where(enough, excess, TAILS[0]), *TAILS)


def points(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` points that fill the unit cube evenly, each uniform, in random order: Richtmyer's sequence (multiples of the roots of primes).

    Examples
    --------
    >>> u = points(1000, 3, np.random.default_rng(0))
    >>> bool(np.abs(u.mean(axis=0) - 0.5).max() < 0.002)
    True
    """
    shifted = np.arange(n)[:, None] * np.sqrt(_primes(dim)) + rng.random(dim)
    return np.asarray(np.clip(shifted % 1.0, 1e-12, 1.0 - 1e-12)[rng.permutation(n)])


def _primes(n: int) -> np.ndarray:
    """The first ``n``."""
    most = max(16, int(n * (math.log(n + 2) + math.log(math.log(n + 2) + 1.0) + 2.0)))
    sieve = np.ones(most, bool)
    sieve[:2] = False
    for i in range(2, math.isqrt(most) + 1):
        sieve[i * i :: i] = sieve[i * i :: i] & ~sieve[i]
    return np.flatnonzero(sieve)[:n].astype(float)
