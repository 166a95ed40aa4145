"""The protocol of a basis, and what all bases use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from brim.errors import BrimError, warn

__all__ = ["AbstractBasis", "columns_of_null", "dimension", "even", "in_blocks", "null_basis", "oriented", "split"]

BLOCK = 256


class AbstractBasis(ABC):
    """Functions ``f = X(x) b`` with the penalty ``b' S b``, in the parametrisation in which mgcv sets its smooths up.

    Every subclass is a final frozen dataclass. Covariates are arrays ``(n, d)``; a factor's column holds its codes.
    """

    @abstractmethod
    def learn(self, x: np.ndarray) -> Self:
        """Knots, centres and scales from the training covariates."""

    def learned(self, x: np.ndarray) -> tuple[Self, np.ndarray]:
        """The learned basis with its matrix for the training covariates."""
        basis = self.learn(x)
        return basis, basis.matrix(x)

    @abstractmethod
    def matrix(self, x: np.ndarray) -> np.ndarray:
        """``X (n, k)`` at any covariates; a row depends on nothing but itself."""

    def product(self, x: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """``X(x) maps`` of few columns."""
        return self.matrix(x) @ maps

    @property
    @abstractmethod
    def penalty(self) -> np.ndarray:
        """``S (k, k)``."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Rank of ``S``."""

    @property
    def centred(self) -> bool:
        """Whether the functions are made to sum to zero over the training data."""
        return True

    @property
    def by_values(self) -> bool:
        """Whether ``te`` and ``ti`` make the function's values at even points its coefficients."""
        return False


def dimension(k: int, least: int, x: np.ndarray) -> int:
    """``k``, raised to the least that the basis takes and checked against the number of distinct covariates."""
    if len(x) and (x == x[0]).all(axis=0).any():
        raise BrimError("a covariate of a smooth does not vary", hint="leave it out")
    if k < least:
        warn(f"k = {k} of a smooth is raised to {least}, the least that its basis takes")
    k, distinct = max(k, least), len(np.unique(x, axis=0))
    if distinct < k:
        raise BrimError(f"there are {distinct} distinct values of the covariates for k = {k}", hint="give a smaller k")
    return k


def even(x: np.ndarray, ends: np.ndarray | None, inner: int, more: int) -> np.ndarray:
    """``inner`` even knots over the range and ``more`` beyond each end, the range widened by a thousandth on both sides."""
    low, high = (float(x.min()), float(x.max())) if ends is None else (float(ends[0]), float(ends[-1]))
    if low > x.min() or high < x.max():
        raise BrimError(f"the knots of a smooth, from {low:g} to {high:g}, do not hold its covariate")
    if low == high:
        raise BrimError("the covariate of the smooth is constant")
    margin = 0.001 * (high - low)
    low, high = low - margin, high + margin
    return low + (high - low) / (inner - 1) * np.arange(-more, inner + more)


def in_blocks(function: Callable[[np.ndarray], Any], x: np.ndarray, block: int = BLOCK) -> Any:
    """``function`` of the rows of ``x`` in blocks of one size: bounded memory, and numbers that depend on no other row.

    (A product of matrices is not bitwise the same for another number of rows.) Rows with missing values give ``NaN``.
    """
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        good = x[~bad][0] if not bad.all() else np.zeros(x.shape[1])
        x = np.where(bad[:, None], good, x)
    n = len(x)
    padded = np.concatenate([x, np.broadcast_to(x[-1:], (-n % block, x.shape[1]))])
    parts = [function(np.ascontiguousarray(padded[i : i + block])) for i in range(0, len(padded), block)]
    out = np.concatenate(parts)[:n]
    out[bad] = np.nan
    return out


def split(penalty: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive eigenvalues in descending order, their eigenvectors, and the null space of a penalty of known rank.

    Raises
    ------
    BrimError
        When they are lost in rounding: covariates on scales too far apart for one penalty, or values too close to each other.
    """
    values, vectors = np.linalg.eigh(penalty)
    values, vectors = values[::-1], vectors[:, ::-1]
    if rank and not values[rank - 1] > np.finfo(float).eps * values[0]:
        raise BrimError(
            f"a smooth's penalty of rank {rank} cannot be told from rounding",
            hint="look for outliers among the covariates; put covariates of different units into t2(), or scale() them",
        )
    return values[:rank], vectors[:, :rank], vectors[:, rank:]


def null_basis(null: np.ndarray) -> np.ndarray:
    """The basis of a null space that mgcv's smooths have: the projections of the first unit vectors on it, made orthonormal.

    (Reducing a penalty to tridiagonal form starts from the first coefficient; the rest of the null space is zero there.)
    """
    found: list[np.ndarray] = []
    for row in null:
        rest = row - sum(((row @ f) * f for f in found), np.zeros(len(row)))
        size = np.linalg.norm(rest)
        if size > 1e-6 and len(found) < null.shape[1]:
            found.append(rest / size)
    return null @ np.stack(found, axis=1) if found else null


def columns_of_null(vector: np.ndarray) -> np.ndarray:
    """Orthonormal columns orthogonal to ``vector``: the coefficients that satisfy one linear constraint."""
    return np.linalg.qr(vector[:, None], mode="complete")[0][:, 1:]


def oriented(columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signs that make functions rise with the first covariate (eigenvectors have none of their own)."""
    trend = x[:, 0] - x[:, 0].mean()
    slope = columns.T @ trend
    size = np.linalg.norm(columns, axis=0) * np.linalg.norm(trend)
    top = columns[np.argmax(np.abs(columns), axis=0), np.arange(columns.shape[1])]
    return np.where(np.where(np.abs(slope) > 1e-6 * size, slope, top) < 0, -1.0, 1.0)
