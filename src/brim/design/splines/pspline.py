"""P-splines (Eilers and Marx 1996): B-splines on even knots with a penalty on differences of neighbouring coefficients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, even
from brim.design.splines.cubic import wrapped
from brim.errors import BrimError

__all__ = ["PSpline", "adaptive", "read"]


@final
@dataclass(frozen=True)
class PSpline(AbstractBasis):
    """``k`` B-splines of degree ``order + 1`` with differences of order ``difference`` penalised.

    Knots are even over the covariate's range, widened by a thousandth on both sides; beyond them functions go on linearly. With
    ``cyclic`` (``bs = "cp"``) the ends of the range are joined. Two ``given`` knots are the range, more are all knots.
    """

    k: int = 10
    order: int = 2
    difference: int = 2
    cyclic: bool = False
    given: np.ndarray | None = field(compare=False, default=None)
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))

    def learn(self, x: np.ndarray) -> Self:
        least = max(self.order + 2, self.difference) + (0 if self.cyclic else 1)
        if self.k < least:
            what = f"k = {self.k} is too small for a P-spline with m = c({self.order}, {self.difference})"
            raise BrimError(what, hint=f"k must be at least {least}")
        degree, knots = self.order + 1, self.given
        if self.cyclic:
            return replace(self, knots=_joined(x[:, 0], knots, self.k, degree))
        if knots is None or len(knots) == 2:
            knots = even(x, knots, self.k - degree + 1, degree)
        made = replace(self, knots=knots)
        if x.min() < made.ends[0] or x.max() > made.ends[1]:
            raise BrimError(f"the inner knots of a smooth, from {made.ends[0]:g} to {made.ends[1]:g}, do not hold its covariate")
        return made

    @property
    def ends(self) -> tuple[float, float]:
        """The inner range."""
        return float(self.knots[self.order + 1]), float(self.knots[-2 - self.order])

    def _splines(self) -> Any:
        from scipy.interpolate import BSpline

        return BSpline(self.knots, np.eye(len(self.knots) - self.order - 2), self.order + 1)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        splines, degree = self._splines(), self.order + 1
        if self.cyclic:
            every = splines(wrapped(x[:, 0], *self.ends))
            every[:, :degree] += every[:, self.k :]
            return np.asarray(every[:, : self.k])
        inside = np.clip(x[:, 0], *self.ends)
        return np.asarray(splines(inside) + splines(inside, 1) * (x[:, 0] - inside)[:, None])

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


def _joined(x: np.ndarray, given: np.ndarray | None, k: int, degree: int) -> np.ndarray:
    """``k`` intervals whose ends are joined, with ``degree`` more on both sides."""
    if given is None or len(given) == 2:
        low, high = (float(x.min()), float(x.max())) if given is None else (float(given[0]), float(given[1]))
        if low > x.min() or high < x.max():
            raise BrimError(f"the knots of a smooth, from {low:g} to {high:g}, do not hold its covariate")
        if low == high:
            raise BrimError("the covariate of the smooth is constant")
        return low + (high - low) / k * np.arange(-degree, k + degree + 1)
    period = given[-1] - given[0]
    return np.concatenate([given[-1 - degree : -1] - period, given, given[1 : degree + 1] + period])


def read(asked: Asked) -> PSpline:
    """``bs = "ps"`` and ``"cp"`` with ``m = c(order, difference)``, both 2 by default."""
    asked.single()
    asked.takes()
    m = asked.m * 2 if len(asked.m) == 1 else asked.m
    if len(m) > 2:
        raise asked.error("m of a P-spline is c(order, difference)", "the degree less one, and the order of differences", at="m")
    order, difference = (2 if v is None or v < 0 else asked.whole(v, "m") for v in m or (2, 2))
    cyclic, k = asked.bs == "cp", asked.k or 10
    return PSpline(k, order, difference, cyclic, asked.knots_of((2, k + 1) if cyclic else (2, k + order + 2)))


def adaptive(asked: Asked) -> PSpline:
    """``bs = "ad"`` with ``m = 1``, one penalty: a P-spline of 40 functions. More, its default, have no form in which brms samples."""
    asked.single()
    asked.takes()
    if asked.m != (1.0,):
        what = 'bs = "ad" has several penalties, which have no form in which brms samples'
        raise asked.error(what, 'use bs = "ps" or "bs", or gp(); m = 1 is one penalty', at="m" if asked.m else "bs")
    k = asked.k or 40
    return PSpline(k, given=asked.knots_of((2, k + 4)))
