"""Pathfinder (Zhang, Carpenter, Gelman & Vehtari 2022, JMLR 23): normal approximations along the way to the mode.

Each path is an L-BFGS ascent. At every point of it the memory of the ascent gives an inverse Hessian, hence a normal law; the one with
the largest evidence lower bound is kept. Draws of all paths' laws are resampled with Pareto smoothed importance weights.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from brim.errors import BrimError
from brim.infer.approximate.ascent import Path, ascend, scales
from brim.infer.approximate.evaluate import Density, finite_point
from brim.infer.approximate.normal import counted, judged
from brim.infer.approximate.psis import psis
from brim.infer.info import Info
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target

__all__ = ["LowRankNormal", "sample_pathfinder"]

PATHS = 4  # at least
MEMORY = 6  # pairs of steps that an inverse Hessian is made of
ELBO_DRAWS = 25
POOL = 2  # draws made for each one kept
MOST_POINTS = 200  # of a path that are looked at


@dataclass(frozen=True)
class LowRankNormal:
    """``N(mean, D (I + Q M Q') D)`` with ``D`` diagonal and ``Q`` orthonormal: ``I + M = low low'``.

    Attributes
    ----------
    mean, scale
        ``(n,)``; ``scale`` is the diagonal of ``D``.
    basis
        ``Q (n, r)``.
    low
        ``(r, r)``.
    """

    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray
    low: np.ndarray

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """``n`` draws ``(n, dim)`` and their log densities ``(n,)``."""
        z = rng.standard_normal((n, len(self.mean)))
        along = z @ self.basis
        moved = z + (along @ (self.low - np.eye(len(self.low))).T) @ self.basis.T
        return self.mean + moved * self.scale, -0.5 * (z**2).sum(1) - self._constant

    def log_density(self, q: np.ndarray) -> np.ndarray:
        """Log density at ``q (n, dim)``, ``(n,)``."""
        x = (q - self.mean) / self.scale
        along = x @ self.basis
        inside = np.linalg.solve(self.low, along.T)
        return -0.5 * ((x**2).sum(1) - (along**2).sum(1) + (inside**2).sum(0)) - self._constant

    @property
    def variance(self) -> np.ndarray:
        """``(n,)``."""
        extra = self.basis @ self.low
        return self.scale**2 * (1.0 - (self.basis**2).sum(1) + (extra**2).sum(1))

    @property
    def _constant(self) -> float:
        return float(np.log(self.scale).sum() + np.log(np.diag(self.low)).sum() + 0.5 * len(self.mean) * np.log(2.0 * np.pi))


def sample_pathfinder(target: Target, *, chains: int, draws: int, thin: int = 1, seed: int | None = None, **_: Any) -> Draws:
    """Draws from multi-path Pathfinder.

    Parameters
    ----------
    target
        The log density and its data.
    chains, draws, thin
        ``chains x ceil(draws / thin)`` draws are kept; there are as many paths as chains, at least four.
    seed
        The same seed gives the same draws.

    Raises
    ------
    BrimError
        When no path gives an approximation.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    density, rng = Density(target), np.random.default_rng(seed)
    found = [best_normal(density, _path(density, finite_point(density, rng)), rng) for _ in range(max(PATHS, chains))]
    laws = [law for law in found if law is not None]
    if not laws:
        raise BrimError("Pathfinder found no normal approximation on any path", hint="use algorithm='sampling'")
    kept = counted(draws, thin)
    q, lp, k = _resample(density, laws, chains * kept, rng)
    q, lp = q.reshape(chains, kept, -1), lp.reshape(chains, kept)
    info: Info = {"engine": "pathfinder", "seed": seed, "thin": thin, "paths": len(laws), "sampling_seconds": time.perf_counter() - clock}
    variance = np.mean([law.variance for law in laws], axis=0)
    return Draws(q, {"lp": lp}, {**info, **judged("Pathfinder", k), "last_q": q[:, -1], "covariance": variance})


def _resample(density: Density, laws: list[LowRankNormal], n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """``n`` draws of the target from a pool of the laws' mixture, their log densities, and the k-hat of the mixture's ratios.

    Ratios are to the mixture's density, not to that of the law a draw came from: what one path misses another may cover.
    """
    each = -(-POOL * n // len(laws))
    pool = np.concatenate([law.draw(rng, each)[0] for law in laws])
    lp = density.values(pool)
    parts = np.array([law.log_density(pool) for law in laws])
    top = parts.max(0)
    log_weights, k = psis(lp - top - np.log(np.exp(parts - top).mean(0)))
    # systematic: a draw of weight w is taken w n times, rounded up or down
    edges = np.cumsum(np.exp(log_weights))
    chosen = np.searchsorted(edges, (np.arange(n) + rng.random()) / n * edges[-1])
    chosen = rng.permutation(np.minimum(chosen, len(pool) - 1))
    return pool[chosen], lp[chosen], k


# --------------------------------------------------------------------------- one path


def _path(density: Density, q: np.ndarray) -> Path:
    """The points of an ascent from ``q`` to the mode, with their gradients."""
    from scipy.optimize import minimize

    path = ascend(density, q)
    scale = np.clip(np.sqrt(scales(path)), 1e-4, 1e4)
    last: dict[bytes, np.ndarray] = {}

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        lp, grad = density(x * scale)
        if not (np.isfinite(lp) and np.isfinite(grad).all()):
            return 1e300, np.zeros(len(x))
        last[x.tobytes()] = grad
        return -lp, -grad * scale

    def visit(x: np.ndarray) -> None:
        if x.tobytes() in last:
            path.q.append(x * scale)
            path.grad.append(last[x.tobytes()])
        last.clear()

    options = {"maxiter": 1000, "ftol": 1e-10, "gtol": 1e-6, "maxcor": MEMORY}
    minimize(loss, path.q[-1] / scale, jac=True, method="L-BFGS-B", callback=visit, options=options)
    return path


def best_normal(density: Density, path: Path, rng: np.random.Generator) -> LowRankNormal | None:
    """The normal law with the largest evidence lower bound among those at the points of a path."""
    laws = [law for law in _normals(path) if law is not None][-MOST_POINTS:]
    best, bound = None, -np.inf
    for law in laws:
        q, log_q = law.draw(rng, ELBO_DRAWS)
        elbo = float(np.mean(density.values(q) - log_q))
        if elbo > bound:
            best, bound = law, elbo
    return best


def _normals(path: Path) -> list[LowRankNormal | None]:
    """The law at each point of a path: inverse Hessian from the last pairs of steps and changes of gradient, one Newton step ahead."""
    diagonal = np.ones(len(path.q[0]))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    out: list[LowRankNormal | None] = []
    for i in range(1, len(path.q)):
        s, y = path.q[i] - path.q[i - 1], path.grad[i - 1] - path.grad[i]
        if s @ y > 1e-12 * (y @ y):
            diagonal = _updated(diagonal, s, y)
            pairs = [*pairs, (s, y)][-MEMORY:]
        out.append(_normal(path.q[i], path.grad[i], diagonal, pairs) if pairs else None)
    return out


def _updated(diagonal: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The diagonal of the inverse Hessian that L-BFGS starts from, made to fit one more pair (Zhang et al., algorithm 3)."""
    a, b, c = y @ (diagonal * y), y @ s, s @ (s / diagonal)
    return 1.0 / (a / (b * diagonal) + y**2 / b - a * s**2 / (b * c * diagonal**2))


def _normal(q: np.ndarray, grad: np.ndarray, diagonal: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> LowRankNormal | None:
    """``N(q + H grad, H)`` with ``H`` the L-BFGS inverse Hessian in compact form (Byrd, Nocedal & Schnabel 1994)."""
    if not (np.isfinite(diagonal).all() and (diagonal > 0.0).all()):
        return None
    s, y = (np.array(a).T for a in zip(*pairs, strict=True))
    inner = s.T @ y
    upper = np.triu(inner)
    inverse = np.linalg.inv(upper)
    middle = inverse.T @ (np.diag(np.diag(inner)) + y.T @ (diagonal[:, None] * y)) @ inverse
    scale = np.sqrt(diagonal)
    columns = np.column_stack([s / scale[:, None], y * scale[:, None]])
    weights = np.block([[middle, -inverse.T], [-inverse, np.zeros_like(inverse)]])
    basis, triangle = np.linalg.qr(columns)
    inside = np.eye(len(triangle)) + triangle @ weights @ triangle.T
    try:
        low = np.linalg.cholesky(0.5 * (inside + inside.T))
    except np.linalg.LinAlgError:
        return None
    force = grad * scale
    along = basis.T @ force
    ahead = scale * (force + basis @ (low @ (low.T @ along) - along))
    return LowRankNormal(q + ahead, scale, basis, low)
