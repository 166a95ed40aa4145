"""Where the likelihood of a mixed model with many crossed levels has its maximum, and how wide it is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from brim.coordinates.crossed.exact import Exact
from brim.coordinates.crossed.ratios import RoughError
from brim.linalg.mixed.threads import each

__all__ = ["likely"]

Array = np.ndarray

START = -1.0  # logarithms of ratios
FARTHEST = 8.0
ENOUGH = 0.3  # slope of the criterion, in units of about a standard deviation
STEPS = 30
NARROWEST, WIDEST = 3e-3, 0.5  # standard deviations that are believed


def likely(exact: Exact) -> tuple[Array, Array]:
    """About the mode of the ratios, coefficients and ``sigma`` at their best and the effects' standard deviations flat; and widths.

    Raises
    ------
    RoughError
        Where that is at no place inside.
    """
    criterion = _Criterion(exact)
    start, unit = np.zeros(len(criterion.unit)), criterion.unit
    start[criterion.diagonals] = START

    def scaled(x: Array) -> tuple[float, Array]:
        value, slope = criterion(start + unit * x)
        return value, slope * unit

    def search(x: Array) -> Any:
        import scipy

        return scipy.optimize.minimize(scaled, x, jac=True, method="BFGS", options={"gtol": ENOUGH, "maxiter": STEPS})

    (found,) = each(search, [np.zeros(len(unit))])
    u = start + unit * found.x
    if not np.isfinite(found.fun) or np.abs(u).max() > FARTHEST:
        raise RoughError
    return u, np.clip(np.sqrt(2.0 * np.diag(found.hess_inv)) * unit, NARROWEST, WIDEST)


@dataclass(frozen=True)
class _Criterion:
    """``log det A + n log r^2 - 2 sum u``, ``r^2`` being what is left of ``y``, and its slopes."""

    exact: Exact

    @cached_property
    def diagonals(self) -> Array:
        """Which ratios are logarithms of diagonals."""
        return np.concatenate([t.start + np.arange(t.k) for t in self.exact.loads])

    @cached_property
    def unit(self) -> Array:
        """About the standard deviations of the ratios: what levels alone would tell."""
        pattern = self.exact.pattern
        size = {block: f.size for block, f in zip(pattern.order, pattern.factors, strict=True)}
        return np.concatenate([np.full(t.size, (2.0 * size[block]) ** -0.5) for block, t in enumerate(self.exact.loads)])

    def __call__(self, u: Array) -> tuple[float, Array]:
        exact, n = self.exact, self.exact.pattern.n
        if np.abs(u).max() > FARTHEST:
            return np.inf, np.full(len(u), np.nan)
        f = exact.factorise(u)
        solution = f.solve(exact.sums)
        left = exact.squares - exact.explained(solution)
        beta = np.linalg.lstsq(left[1:, 1:], left[1:, 0], rcond=None)[0]
        r2, v = float(left[0, 0] - left[0, 1:] @ beta), np.concatenate([[1.0], -beta])
        slopes, slope = f.selected().slopes, np.zeros(len(u))
        for place, block in enumerate(exact.pattern.order):
            rest, spherical = solution.rest[place] @ v, solution.spherical[place] @ v
            slope += exact.loads[block].chain_rule(u, 2.0 * slopes[place] - 2.0 * (n / r2) * (rest.T @ spherical))
        slope[self.diagonals] -= 2.0
        return f.log_det + n * np.log(r2) - 2.0 * float(u[self.diagonals].sum()), slope
