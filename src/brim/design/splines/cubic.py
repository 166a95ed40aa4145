"""Cubic regression splines parametrised by their values at the knots: natural (``cr``, ``cs``) and cyclic (``cc``)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, dimension, null_basis, split

__all__ = ["CubicRegression", "Cyclic", "read"]

#: ``cs`` penalises the two directions of the null space by these shares of the smallest positive eigenvalue.
SHRINKAGE = (0.1, 0.01)


@final
@dataclass(frozen=True)
class CubicRegression(AbstractBasis):
    """Natural cubic splines with ``k`` knots, ``given`` or at quantiles of the distinct covariates; penalty ``int f''(x)^2 dx``.

    Beyond the outer knots functions go on linearly. ``shrink`` (``bs = "cs"``) also penalises straight lines: that nearest to the
    first coefficient, and that without it. Which of the two gets the larger share is left to rounding in mgcv; here it is the first.
    """

    k: int = 10
    shrink: bool = False
    given: np.ndarray | None = field(compare=False, default=None)
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))

    def learn(self, x: np.ndarray) -> Self:
        return replace(self, knots=_quantiles(x, self.k, 3) if self.given is None else self.given)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        spline = _cardinal(self.knots, "natural")
        inside = np.clip(x[:, 0], self.knots[0], self.knots[-1])
        return spline(inside) + spline(inside, 1) * (x[:, 0] - inside)[:, None]

    @property
    def penalty(self) -> np.ndarray:
        rough = _roughness(self.knots, "natural")
        if not self.shrink:
            return rough
        values, _, null = split(rough, len(rough) - 2)
        for share, line in zip(SHRINKAGE, null_basis(null).T, strict=True):
            rough = rough + share * values[-1] * np.outer(line, line)
        return rough

    @property
    def rank(self) -> int:
        return len(self.knots) if self.shrink else len(self.knots) - 2


@final
@dataclass(frozen=True)
class Cyclic(AbstractBasis):
    """Cubic splines whose value and first two derivatives agree at both ends; ``k`` knots give ``k - 1`` functions.

    Covariates beyond the ends are wrapped around. Two ``given`` knots are the ends, ``k`` are all.
    """

    k: int = 10
    given: np.ndarray | None = field(compare=False, default=None)
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))

    def learn(self, x: np.ndarray) -> Self:
        if self.given is None:
            return replace(self, knots=_quantiles(x, self.k, 4))
        all_given = len(self.given) == self.k
        return replace(self, knots=self.given if all_given else _quantiles(np.r_[self.given, x[:, 0]][:, None], self.k, 4))

    def matrix(self, x: np.ndarray) -> np.ndarray:
        return _cardinal(self.knots, "periodic")(wrapped(x[:, 0], self.knots[0], self.knots[-1]))

    @property
    def penalty(self) -> np.ndarray:
        return _roughness(self.knots, "periodic")

    @property
    def rank(self) -> int:
        return len(self.knots) - 2


def wrapped(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """``x`` moved by whole periods into ``[low, high]``; what lies there stays."""
    outside = (x < low) | (x > high)
    return np.where(outside, low + np.mod(x - low, high - low), x)


def _quantiles(x: np.ndarray, k: int, least: int) -> np.ndarray:
    return np.quantile(np.unique(x), np.linspace(0.0, 1.0, dimension(k, least, x)))


def _cardinal(knots: np.ndarray, ends: str) -> Any:
    """The splines that are one at one knot and zero at the others."""
    from scipy.interpolate import CubicSpline

    values = np.eye(len(knots)) if ends == "natural" else np.vstack([np.eye(len(knots) - 1), np.eye(1, len(knots) - 1)])
    return CubicSpline(knots, values, bc_type=ends)


def _roughness(knots: np.ndarray, ends: str) -> np.ndarray:
    """``int f_i'' f_j''``: second derivatives are linear between knots."""
    bend = _cardinal(knots, ends)(knots, 2)
    left, right, width = bend[:-1], bend[1:], np.diff(knots)[:, None] / 6
    cross = (width * left).T @ right
    return 2 * (width * left).T @ left + 2 * (width * right).T @ right + cross + cross.T


def read(asked: Asked) -> CubicRegression | Cyclic:
    """``bs = "cr"``, ``"cs"`` and ``"cc"``."""
    asked.single()
    asked.takes(m=False)
    k = asked.k or 10
    if asked.bs == "cc":
        return Cyclic(k, asked.knots_of((2, k)))
    return CubicRegression(k, asked.bs == "cs", asked.knots_of((k,)))
