"""P-splines (Eilers and Marx 1996): B-splines on even knots with a penalty on differences of neighbouring coefficients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self, final

import numpy as np

from brim.design.splines.basis import AbstractBasis
from brim.design.splines.cubic import wrapped
from brim.errors import BrimError

__all__ = ["PSpline"]


@final
@dataclass(frozen=True)
class PSpline(AbstractBasis):
    """``k`` B-splines of degree ``order + 1`` with differences of order ``difference`` penalised.

    Knots are even over the covariate's range, widened by a thousandth on both sides; beyond them functions go on linearly. With
    ``cyclic`` (``bs = "cp"``) the ends of the range are joined.
    """

    k: int = 10
    order: int = 2
    difference: int = 2
    cyclic: bool = False
    low: float = field(compare=False, default=0.0)
    high: float = field(compare=False, default=1.0)

    def learn(self, x: np.ndarray) -> Self:
        if x.shape[1] != 1:
            raise BrimError("P-splines have one covariate", hint='use bs = "tp" or t2()')
        least = max(self.order + 2, self.difference) + (0 if self.cyclic else 1)
        if self.k < least:
            what = f"k = {self.k} is too small for a P-spline with m = c({self.order}, {self.difference})"
            raise BrimError(what, hint=f"k must be at least {least}")
        low, high = float(x.min()), float(x.max())
        if low == high:
            raise BrimError("the covariate of the smooth is constant")
        margin = 0.0 if self.cyclic else 0.001 * (high - low)
        return replace(self, low=low - margin, high=high + margin)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        from scipy.interpolate import BSpline

        degree = self.order + 1
        intervals = self.k if self.cyclic else self.k - degree
        width = (self.high - self.low) / intervals
        knots = self.low + width * np.arange(-degree, intervals + degree + 1)
        splines = BSpline(knots, np.eye(intervals + degree), degree)
        if self.cyclic:
            every = splines(wrapped(x[:, 0], self.low, self.high))
            every[:, :degree] += every[:, intervals:]
            return every[:, :intervals]
        inside = np.clip(x[:, 0], self.low, self.high)
        return splines(inside) + splines(inside, 1) * (x[:, 0] - inside)[:, None]

    @property
    def penalty(self) -> np.ndarray:
        if not self.cyclic:
            steps = np.diff(np.eye(self.k), self.difference, axis=0)
            return steps.T @ steps
        steps = np.eye(self.k)
        for _ in range(self.difference):
            steps = np.roll(steps, -1, axis=0) - steps
        return steps.T @ steps

    @property
    def by_values(self) -> bool:
        return not self.cyclic

    @property
    def rank(self) -> int:
        if self.cyclic:
            return self.k - min(self.difference, 1)
        return self.k - self.difference
