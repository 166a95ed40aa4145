"""The profiled deviance and REML criterion of a linear mixed model, with their gradients.

With ``y = X beta + Z Lambda u + e``, ``u ~ N(0, sigma^2 I)``, ``e ~ N(0, sigma^2 W^-1)``, and ``r^2`` the least
``||y - X beta - Z Lambda u||^2_W + ||u||^2`` over beta and u,

- ML: ``log det M + n (1 + log(2 pi r^2 / n)) - sum log w``,
- REML: ``log det M + log det F + (n - p) (1 + log(2 pi r^2 / (n - p))) - sum log w``,

``M = Lambda' Z'WZ Lambda + I`` and ``F = X'V^-1 X`` (Bates et al. 2015, Journal of Statistical Software 67, eq. 34 and 42).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from brim.linalg.mixed.blocks import Factor, Pattern, Sums
from brim.linalg.mixed.factorisation import Factorisation, Selected, Solution, factorise
from brim.linalg.mixed.threads import suited
from brim.lme4.structures import AbstractStructure

__all__ = ["Covariances", "Criterion", "State", "Term", "moved_effects"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Term:
    """One ``(x | g)``: its factor, the first of its columns there, their number, and the structure of their covariance."""

    factor: int
    first: int
    k: int
    structure: AbstractStructure

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + self.k)


@final
@dataclass(frozen=True, eq=False)
class Covariances:
    """``theta`` of all terms, one after the other, and the loadings of the factors."""

    terms: tuple[Term, ...]
    widths: tuple[int, ...]

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        """Where in ``theta`` each term is."""
        ends = np.cumsum([0, *(len(t.structure.start(t.k)) for t in self.terms)]).tolist()
        return tuple(slice(a, b) for a, b in itertools.pairwise(ends))

    @property
    def start(self) -> Array:
        return np.concatenate([t.structure.start(t.k) for t in self.terms])

    def sds(self) -> tuple[int, ...]:
        """The places in ``theta`` that end at zero where a fit is singular."""
        return tuple(s.start + i for t, s in zip(self.terms, self.slots, strict=True) for i in t.structure.sds(t.k))

    def loadings(self, theta: Array) -> list[Array]:
        """``Lambda`` (k, k) of each factor: its terms' down the diagonal."""
        out = [np.zeros((k, k)) for k in self.widths]
        for t, s in zip(self.terms, self.slots, strict=True):
            out[t.factor][t.columns, t.columns] = t.structure.loading(theta[s], t.k)
        return out

    def chain_rule(self, theta: Array, slopes: Sequence[Array]) -> Array:
        """The gradient over ``theta`` from the slopes (k, k) over the loadings."""
        return np.concatenate(
            [
                np.einsum("mab,ab->m", t.structure.slopes(theta[s], t.k), slopes[t.factor][t.columns, t.columns])
                for t, s in zip(self.terms, self.slots, strict=True)
            ]
        )

    def reported(self, theta: Array) -> Array:
        return np.concatenate([t.structure.reported(theta[s], t.k) for t, s in zip(self.terms, self.slots, strict=True)])

    def times(self, theta: Array, factor: float) -> Array:
        """``theta`` when all loadings are multiplied by a number; correlations stay."""
        return self.scaled(theta, [np.full(k, factor) for k in self.widths])

    def scaled(self, theta: Array, scales: Sequence[Array]) -> Array:
        """``theta`` when the rows of the loadings of each factor are multiplied by ``scales``."""
        return np.concatenate(
            [t.structure.scaled(theta[s], scales[t.factor][t.columns]) for t, s in zip(self.terms, self.slots, strict=True)]
        )


@final
@dataclass(frozen=True, eq=False)
class State:
    """Everything at one ``theta``; ``beta`` and ``fixed`` (``F``) for the orthonormal columns of the design."""

    theta: Array
    factorisation: Factorisation
    solution: Solution
    cross: Array
    low: Array
    beta: Array
    r2: float

    @property
    def log_det_fixed(self) -> float:
        """``log det F``."""
        return 2.0 * float(np.log(np.diag(self.low)).sum())

    def _combined(self, parts: list[Array]) -> list[Array]:
        return [x[:, :, -1] - x[:, :, :-1] @ self.beta for x in parts]

    @property
    def spherical(self) -> list[Array]:
        """``u`` of each factor, (levels, k)."""
        return self._combined(self.solution.spherical)

    @property
    def effects(self) -> list[Array]:
        """``Lambda u``."""
        return self._combined(self.solution.effects)

    @property
    def residuals(self) -> list[Array]:
        """``Z'W(y - X beta - Z Lambda u)``."""
        return self._combined(self.solution.rest)


@final
@dataclass(frozen=True, eq=False)
class Criterion:
    """The criterion as a function of ``theta``.

    The design enters as ``W^1/2 X = Q R`` and the response as what least squares on it leaves, so that no digits are lost
    to large means; ``Z`` with its columns scaled to mean square 1.
    """

    covariances: Covariances
    pattern: Pattern
    sums: Sums
    reml: bool
    q: Array
    r: Array
    ols: Array
    rest: Array
    log_weights: float
    _kept: list[State] = field(default_factory=list, repr=False)

    @staticmethod
    def of(y: Array, x: Array, weights: Array | None, factors: Sequence[Factor], covariances: Covariances, reml: bool) -> Criterion:
        """For the response less offset (n,), the design of full rank (n, p) and the factors with weighted, scaled columns."""
        root = None if weights is None else np.sqrt(weights)
        q, r = np.linalg.qr(x if root is None else x * root[:, None])
        target = y if root is None else y * root
        ols = q.T @ target
        rest = target - q @ ols
        again = q.T @ rest  # twice is enough
        rest, ols = rest - q @ again, ols + again
        pattern = Pattern.of(factors)
        sums = pattern.sums(None, np.column_stack([q, rest]))
        logs = 0.0 if weights is None else float(np.log(weights).sum())
        return Criterion(covariances, pattern, sums, reml, q, r, ols, rest, logs)

    @property
    def n(self) -> int:
        return len(self.rest)

    @property
    def p(self) -> int:
        return self.q.shape[1]

    @property
    def degrees(self) -> int:
        """What ``r^2`` is divided by."""
        return self.n - self.p if self.reml else self.n

    @cached_property
    def right(self) -> list[Array]:
        """``Z'WV`` of each factor in the pattern's order, (levels, k, p + 1)."""
        return [*self.sums.right, *_dense_right(self.pattern, self.sums)]

    def state(self, theta: Array) -> State:
        """Factorise and solve."""
        with suited(self.pattern.width):
            return self._solved(theta)

    def _solved(self, theta: Array) -> State:
        loadings = self.covariances.loadings(theta)
        f = factorise(self.pattern, self.sums, [loadings[i] for i in self.pattern.order])
        solution = f.solve(self.sums)
        cross: Array = -np.sum([_dot(b, u) for b, u in zip(self.right, solution.effects, strict=True)], axis=0)
        cross[range(self.p), range(self.p)] += 1.0
        cross[-1, -1] += self.rest @ self.rest
        low = np.linalg.cholesky(cross[:-1, :-1]) if self.p else np.zeros((0, 0))
        half = solve_triangular(low, cross[:-1, -1], lower=True) if self.p else np.zeros(0)
        beta = solve_triangular(low, half, lower=True, trans=1) if self.p else half
        return State(theta, f, solution, cross, low, beta, float(cross[-1, -1] - half @ half))

    def value(self, state: State) -> float:
        """The criterion."""
        return self.at_sigma(state, state.r2 / self.degrees)

    def at_sigma(self, state: State, sigma2: float) -> float:
        """The criterion at any ``sigma^2``, least at ``r^2 / degrees``."""
        d = self.degrees
        out = state.factorisation.log_det + d * np.log(2.0 * np.pi * sigma2) + state.r2 / sigma2 - self.log_weights
        if self.reml:
            out += state.log_det_fixed + 2.0 * np.log(np.abs(np.diag(self.r))).sum()
        return float(out)

    def slopes(self, state: State, selected: Selected | None = None, sigma2: float | None = None) -> list[Array]:
        """d criterion / d Lambda (k, k) of each factor, in the order given."""
        selected = selected or state.factorisation.selected()
        weight = 1.0 / (state.r2 / self.degrees if sigma2 is None else sigma2)
        out: list[Array] = [np.zeros(0)] * len(self.pattern.order)
        for place, (f, u, e) in enumerate(zip(self.pattern.order, state.spherical, state.residuals, strict=True)):
            slope = 2.0 * selected.slopes[place] - 2.0 * weight * (e.T @ u)
            if self.reml and self.p:
                rest, y = state.solution.rest[place][:, :, :-1], state.solution.spherical[place][:, :, :-1]
                solved = cho_solve((state.low, True), rest.reshape(-1, self.p).T).T.reshape(rest.shape)
                slope = slope - 2.0 * np.einsum("lap,lbp->ab", solved, y)
            out[f] = slope
        return out

    def curvature(self, theta: Array, gradient: Array) -> Array:
        """The average information of ``theta``, with ``sigma`` profiled out: near the Hessian, for the price of a solution.

        ``q_i' P q_j / s2 - (q_i' e) (q_j' e) / (s2^2 degrees)`` with ``q_i = (dV / d theta_i) e``, ``e = P y``, and what the second
        derivative of a variance that is the square of ``theta_i`` adds (Gilmour et al. 1995, Biometrics 51; Johnson and Thompson 1995).
        """
        state = self.state_at(theta)
        rests = dict(zip(self.pattern.order, state.residuals, strict=True))
        moved = moved_effects(self.covariances, self.pattern, theta, state.residuals)
        products = self.pattern.times(self.sums, moved)
        solved = state.factorisation.solve_for(products).effects
        right = self.right
        inner = sum(_dot(c, a) - _dot(a, v) for c, a, v in zip(moved, products, solved, strict=True))
        cross = sum(_dot(b, c) - _dot(b, v) for b, c, v in zip(right, moved, solved, strict=True))
        if self.p:
            inner = inner - cross[:-1].T @ cho_solve((state.low, True), cross[:-1])
        along = sum(np.einsum("lk,lkm->m", rests[f], c) for f, c in zip(self.pattern.order, moved, strict=True))
        s2 = state.r2 / self.degrees
        out = inner / s2 - np.outer(along, along) / (s2 * s2 * self.degrees)
        for i in self.covariances.sds():
            if theta[i] != 0.0:
                out[i, i] += max(gradient[i] / theta[i], 0.0)
        return 0.5 * (out + out.T)

    def state_at(self, theta: Array) -> State:
        """As ``state``; the last one is kept."""
        if not self._kept or not np.array_equal(self._kept[0].theta, theta):
            self._kept[:] = [self.state(theta)]
        return self._kept[0]

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Value and gradient; ``inf`` where the factorisation fails."""
        try:
            state = self.state_at(theta)
        except np.linalg.LinAlgError:
            return np.inf, np.full(len(theta), np.nan)
        value = self.value(state)
        if not np.isfinite(value):
            return np.inf, np.full(len(theta), np.nan)
        with suited(self.pattern.width):
            return value, self.covariances.chain_rule(theta, self.slopes(state))

    # ------------------------------------------------------------------ in the columns of the design

    def coefficients(self, state: State) -> Array:
        """``beta`` of the design's own columns."""
        return solve_triangular(self.r, self.ols + state.beta) if self.p else state.beta

    def unscaled_vcov(self, state: State) -> Array:
        """``F^-1`` of the design's own columns."""
        half = solve_triangular(self.r, np.eye(self.p))
        return half @ cho_solve(cho_factor(state.cross[:-1, :-1], lower=True), half.T) if self.p else np.zeros((0, 0))


def moved_effects(covariances: Covariances, pattern: Pattern, theta: Array, rests: Sequence[Array]) -> list[Array]:
    """``(d Lambda Lambda' + Lambda d Lambda') rest`` of each element of ``theta``, (levels, k, m), in the pattern's order."""
    loadings = covariances.loadings(theta)
    out = [np.zeros((f.size, f.k, len(theta))) for f in pattern.factors]
    for t, s in zip(covariances.terms, covariances.slots, strict=True):
        at = pattern.order.index(t.factor)
        low, part = loadings[t.factor][t.columns, t.columns], rests[at][:, t.columns]
        for i, slope in zip(range(s.start, s.stop), t.structure.slopes(theta[s], t.k), strict=True):
            out[at][:, t.columns, i] = part @ (slope @ low.T + low @ slope.T)
    return out


def _dot(a: Array, b: Array) -> Array:
    """``a' b`` over levels and coefficients."""
    return a.reshape(-1, a.shape[2]).T @ b.reshape(-1, b.shape[2])


def _dense_right(pattern: Pattern, sums: Sums) -> list[Array]:
    out = []
    for g in pattern.crossed:
        f, at = pattern.factors[g], pattern.starts[g]
        out.append(sums.right_dense[at : at + f.size * f.k].reshape(f.size, f.k, -1))
    return out
