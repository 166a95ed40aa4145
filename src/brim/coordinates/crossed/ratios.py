"""The few numbers that the integral over many crossed effects depends on: loadings over ``sigma``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from brim.errors import BrimError

__all__ = ["Loads", "RoughError", "ratios"]

Array = np.ndarray


class RoughError(BrimError):
    """The posterior has no mode amid few ratios, or reaches too far for a surface."""

    def __init__(self) -> None:
        super().__init__("many crossed levels: the integral over their effects is no smooth function of few ratios on the posterior")


@final
@dataclass(frozen=True)
class Loads:
    """Where the loadings of one block are among the ratios: logarithms of its diagonal, then the others over the diagonal's of their row.

    Attributes
    ----------
    start
        The first ratio.
    k
        Coefficients.
    correlated
        Whether there are others than the diagonal.
    """

    start: int
    k: int
    correlated: bool

    @property
    def size(self) -> int:
        """How many ratios."""
        return self.k + (self.k * (self.k - 1) // 2 if self.correlated else 0)

    @property
    def below(self) -> tuple[Array, Array]:
        """Rows and columns of the others."""
        rows, columns = np.tril_indices(self.k if self.correlated else 0, -1)
        return rows, columns

    def loading(self, u: Array) -> Array:
        """``T / sigma`` of each row of ratios, (..., k, k)."""
        own = u[..., self.start : self.start + self.size]
        diagonal = np.exp(own[..., : self.k])
        out = np.zeros((*u.shape[:-1], self.k, self.k))
        out[..., range(self.k), range(self.k)] = diagonal
        rows, columns = self.below
        out[..., rows, columns] = own[..., self.k :] * diagonal[..., rows]
        return out

    def chain_rule(self, u: Array, slope: Array) -> Array:
        """Slopes over all ratios (d,) from those over ``T`` (k, k)."""
        low, (rows, columns), out = self.loading(u), self.below, np.zeros(len(u))
        out[self.start : self.start + self.k] = (slope * low).sum(1)
        out[self.start + self.k : self.start + self.size] = slope[rows, columns] * np.diag(low)[rows]
        return out


def ratios(blocks: Sequence[tuple[int, bool]]) -> tuple[Loads, ...]:
    """Of blocks with so many coefficients, correlated or not, one after the other."""
    out: list[Loads] = []
    for k, correlated in blocks:
        out.append(Loads(out[-1].start + out[-1].size if out else 0, k, correlated))
    return tuple(out)
