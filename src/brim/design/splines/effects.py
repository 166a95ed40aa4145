"""Smooths over the levels of factors: independent coefficients with one variance (``bs = "re"``), and the readers of such smooths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis
from brim.design.splines.mixed import AbstractSmooth, Curves

__all__ = ["Independent", "Slopes", "combined", "read", "read_curves"]


def combined(codes: np.ndarray, levels: tuple[int, ...]) -> np.ndarray:
    """The combination of levels that each row belongs to, the first factor's running fastest."""
    out, step = np.zeros(len(codes), dtype=np.int32), 1
    for column, n in zip(codes.T, levels, strict=True):
        out += np.int32(step) * column.astype(np.int32)
        step *= n
    return out


@final
@dataclass(frozen=True)
class Slopes(AbstractSmooth):
    """One penalised column: the product of the numeric covariates over its largest size, or ones."""

    over: tuple[int, ...] = ()
    sizes: tuple[int, ...] = (1,)
    n_fixed: int = 0
    scale: float = field(compare=False, default=1.0)
    backwards: ClassVar[bool] = True

    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        return replace(self, scale=float(np.abs(np.prod(x, axis=1)).max()) or 1.0)

    def columns(self, x: np.ndarray) -> np.ndarray:
        return np.prod(x, axis=1, keepdims=True) / self.scale


@final
@dataclass(frozen=True)
class Independent(AbstractBasis):
    """One column for each combination of the factors' levels, times the numeric covariates; penalty ``sum b^2``.

    ``levels`` are the numbers of levels of the covariates, 0 for a numeric one. The first factor's levels run fastest.
    """

    levels: tuple[int, ...]

    def learn(self, x: np.ndarray) -> Self:
        return replace(self)

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return int(np.prod([n for n in self.levels if n], dtype=int))

    def matrix(self, x: np.ndarray) -> np.ndarray:
        factors = np.array(self.levels) > 0
        codes = combined(x[:, factors], tuple(n for n in self.levels if n))
        return np.eye(self.size)[codes] * np.prod(x[:, ~factors], axis=1, keepdims=True)

    @property
    def penalty(self) -> np.ndarray:
        return np.eye(self.size)

    @property
    def rank(self) -> int:
        return self.size

    @property
    def centred(self) -> bool:
        return False


def _factors(asked: Asked) -> tuple[int, ...]:
    return tuple(i for i, levels in enumerate(asked.levels) if levels)


def read(asked: Asked, basis: Callable[[Asked], AbstractBasis]) -> Slopes:
    """``bs = "re"``: the product of all covariates, factors by their levels."""
    asked.takes(m=False)
    if asked.knots:
        raise asked.error(f'knots are given for {asked.names[0]}, and bs = "re" has none', "leave them out")
    return Slopes(_factors(asked))


def read_curves(asked: Asked, basis: Callable[[Asked], AbstractBasis]) -> Curves:
    """``bs = "fs"``: a curve a level of one factor."""
    factors = _factors(asked)
    if len(factors) != 1:
        raise asked.error('bs = "fs" needs one factor among its covariates', 's(x, g, bs = "fs")')
    inner = _inner(asked)
    return Curves(basis(inner if inner.k else replace(inner, k=10)), factors)


def _inner(asked: Asked) -> Asked:
    """What is asked of the basis of the curves: ``xt = "cr"`` or ``xt = list(bs = "cr")``, thin plate splines by default."""
    at = [i for i, levels in enumerate(asked.levels) if not levels]
    extras = {name: value for name, value in asked.extras.items() if name != "bs"}
    names, levels = tuple(asked.names[i] for i in at), tuple(asked.levels[i] for i in at)
    return replace(asked, bs=str(asked.extras.get("bs", "tp")), names=names, levels=levels, extras=extras)
