"""B-splines with a penalty on a derivative (Wood 2017, Statistics and Computing 27): orders of both are free, knots need not be even."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, even
from brim.errors import BrimError
from brim.language.expand import deparse
from brim.limits import within

__all__ = ["BSplines", "read"]


@final
@dataclass(frozen=True)
class BSplines(AbstractBasis):
    """``k`` B-splines of degree ``degree`` with the penalty ``int (d^derivative f / dx^derivative)^2 dx`` over the inner knots.

    Knots are even over the covariate's range, widened by a thousandth on both sides; beyond them functions go on linearly. ``given``:
    two knots are the range, four the outer and inner ends of the range, ``k + degree + 1`` are all of them.
    """

    k: int = 10
    degree: int = 3
    derivative: int = 2
    given: np.ndarray | None = field(compare=False, default=None)
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))

    def learn(self, x: np.ndarray) -> Self:
        knots, p, inner = self.given, self.degree, self.k - self.degree + 1
        if knots is not None and len(knots) == 4 < inner + 2 * p:
            a, b, c, d = knots
            step = (d - a) / (inner - 1)
            outer = np.linspace(a - step * p, a, p + 1), np.linspace(d, d + step * p, p + 1)
            knots = np.concatenate([outer[0], np.linspace(b, c, max(inner - 2, 0)), outer[1]])
        elif knots is None or len(knots) == 2:
            knots = even(x, knots, inner, p)
        made = replace(self, knots=knots)
        low, high = made.ends
        if x.min() < low or x.max() > high:
            raise BrimError(f"the inner knots of a smooth, from {low:g} to {high:g}, do not hold its covariate")
        return made

    @property
    def ends(self) -> tuple[float, float]:
        """The inner range."""
        return float(self.knots[self.degree]), float(self.knots[-1 - self.degree])

    def _splines(self) -> Any:
        from scipy.interpolate import BSpline

        return BSpline(self.knots, np.eye(self.k), self.degree)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        inside, splines = np.clip(x[:, 0], *self.ends), self._splines()
        return np.asarray(splines(inside) + splines(inside, 1) * (x[:, 0] - inside)[:, None])

    @property
    def penalty(self) -> np.ndarray:
        # exact: squares of polynomials of degree 2 (degree - derivative), by Gauss' rule between knots
        nodes, weights = np.polynomial.legendre.leggauss(self.degree - self.derivative + 1)
        knots = self.knots[self.degree : len(self.knots) - self.degree]
        half = np.diff(knots)[:, None] / 2
        at = (knots[:-1, None] + half) + half * nodes
        bends = self._splines()(at.ravel(), self.derivative) * np.sqrt(half * weights).ravel()[:, None]
        return np.asarray(bends.T @ bends)

    @property
    def rank(self) -> int:
        return self.k - self.derivative

    @property
    def by_values(self) -> bool:
        return True


def read(asked: Asked) -> BSplines:
    """``bs = "bs"`` with ``m = c(degree, derivative)``, ``c(3, 2)`` by default."""
    asked.single()
    asked.takes()
    if len(asked.m) > 2:
        what = 'bs = "bs" with several penalties has no form in which brms samples'
        raise asked.error(what, "give m = c(degree, derivative)", at="m")
    first, second = asked.orders(2, "c(degree, derivative)")
    degree = asked.whole(first if first is not None else 3 if second is None else second + 1, "the degree")
    derivative = asked.whole(second if second is not None else max(degree - 1, 0), "the derivative")
    if derivative > degree:
        raise asked.error(f"splines of degree {degree} have no derivative of order {derivative} to penalise", at="m")
    k = within("basis", asked.k or max(10, degree), f"m of {deparse(asked.call)}")
    if k <= degree:
        raise asked.error(f"k = {k} is too small for splines of degree {degree}", f"k must be at least {degree + 1}", at="k")
    return BSplines(k, degree, derivative, asked.knots_of((2, 4, k + degree + 1)))
