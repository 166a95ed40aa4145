"""Independent coefficients with one variance (``bs = "re"``), alone and as a margin of a tensor product."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, final

import numpy as np

from brim.design.splines.basis import AbstractBasis
from brim.design.splines.mixed import AbstractSmooth

__all__ = ["Independent", "Slopes", "combined"]


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
