"""Batches of small matrices, one for each group: written out for up to 4 x 4, LAPACK beyond.

XLA's batched products, factorisations and solves of tiny matrices cost ten times their arithmetic. Written out by hand, a matrix is
rows of vectors over the groups; a structural zero is ``None`` and costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.linalg.triangular import cholesky, solve_lower

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float, Int

__all__ = ["SMALL", "AbstractBatch", "Cells", "Stacked", "Unrolled", "batch", "lower_cells", "sparse", "sum_by", "whitened"]

SMALL = 4  # the largest matrices that are written out: beyond, programs get long

Cells = tuple[tuple[int, int], ...]

if TYPE_CHECKING:
    Element = Float[Array, "..."]  # vectors over the groups, numbers that all share, or ``None`` for zero


def lower_cells(k: int, whole: bool) -> Cells:
    """The places of a lower triangular matrix, or of a diagonal one."""
    return tuple((i, j) for i in range(k) for j in range(i + 1) if whole or i == j)


def sum_by(values: Float[Array, "*lead *rows"], within: Int[Array, "*rows"], groups: int) -> Float[Array, "*lead groups"]:
    """Sums over the last axes, by group: ``within`` has the group of each of their places."""
    return jnp.zeros((*values.shape[: values.ndim - within.ndim], groups)).at[..., within].add(values)


def whitened(low: Float[Array, "k k *rows"], columns: Sequence[Float[Array, "*rows"]]) -> list[Float[Array, "*rows"]]:
    """``low^-1`` times a vector whose elements are arrays of rows: forward substitution, written out as the matrix is tiny."""
    out: list[Float[Array, "*rows"]] = []
    for i, column in enumerate(columns):
        out.append((column - sum(low[i, j] * w for j, w in enumerate(out))) / low[i, i])
    return out


class AbstractBatch(ABC):
    """Matrices ``(rows, columns)``, one for each of n groups, or one for all."""

    @property
    @abstractmethod
    def t(self) -> Self:
        """Each transposed."""

    @abstractmethod
    def __matmul__(self, other: Any) -> Self:
        """Products."""

    @abstractmethod
    def __add__(self, other: Any) -> Self:
        """Sums."""

    @abstractmethod
    def __sub__(self, other: Any) -> Self:
        """Differences."""

    @abstractmethod
    def times(self, factor: Float[Array, " n"]) -> Self:
        """Each times its number."""

    @abstractmethod
    def plus_identity(self) -> Self:
        """``I + A``."""

    @abstractmethod
    def cholesky(self) -> Self:
        """Lower Cholesky factors of symmetric matrices, whose lower triangle is read."""

    @abstractmethod
    def solve(self, b: Self) -> Self:
        """``L^-1 b`` of lower triangular matrices."""

    @abstractmethod
    def solve_transposed(self, b: Self) -> Self:
        """``L'^-1 b`` of lower triangular matrices."""

    @abstractmethod
    def inverse(self) -> tuple[Self, Float[Array, " n"]]:
        """Inverses of symmetric positive definite matrices, and the logarithms of their determinants."""

    @abstractmethod
    def log_diagonal(self) -> Float[Array, " n"]:
        """Sum of the logarithms of the diagonal."""

    @abstractmethod
    def only(self, cells: Cells) -> Self:
        """The elements at ``cells``, zeros elsewhere."""

    @abstractmethod
    def array(self) -> Float[Array, "rows columns n"]:
        """As one array, the groups last."""

    @abstractmethod
    def elements(self) -> tuple[tuple[Float[Array, " n"], ...], ...]:
        """Rows of elements."""

    @abstractmethod
    def computed(self) -> Self:
        """The same, held in memory: what reads it several times does not compute it again."""


def batch(array: Float[Array, "rows columns n"], small: bool) -> AbstractBatch:
    """Matrices, one a group."""
    if small:
        return Unrolled(tuple(tuple(array[i, j] for j in range(array.shape[1])) for i in range(array.shape[0])))
    return Stacked(jnp.moveaxis(array, -1, 0))


def sparse(array: Float[Array, "rows columns *n"], cells: Cells, small: bool) -> AbstractBatch:
    """Matrices that are zero outside ``cells``; without the axis of groups one that all share."""
    if small:
        shape = array.shape[:2]
        return Unrolled(tuple(tuple(array[i, j] if (i, j) in cells else None for j in range(shape[1])) for i in range(shape[0])))
    return Stacked(jnp.moveaxis(array, -1, 0) if array.ndim == 3 else array[None])


def _plus(a: Element, b: Element) -> Element:
    """Their sum, where ``None`` is zero."""
    return a if b is None else b if a is None else a + b


@final
@dataclass(frozen=True)
class Unrolled(AbstractBatch):
    """Rows of elements: vectors ``(n,)``, scalars that all groups share, or ``None`` for zero."""

    rows: tuple[tuple[Element, ...], ...]

    @property
    def t(self) -> Unrolled:
        return Unrolled(tuple(zip(*self.rows, strict=True)))

    def _map(self, function: Callable[..., Any], *others: Any) -> Unrolled:
        """``function(i, j, elements...)`` of all elements."""
        every = (self.rows, *(o.rows for o in others))
        shape = (len(self.rows), len(self.rows[0]))
        return Unrolled(tuple(tuple(function(i, j, *(r[i][j] for r in every)) for j in range(shape[1])) for i in range(shape[0])))

    def __matmul__(self, other: Any) -> Unrolled:
        def element(row: tuple[Any, ...], column: tuple[Any, ...]) -> Any:
            parts = [a * b for a, b in zip(row, column, strict=True) if a is not None and b is not None]
            return sum(parts[1:], parts[0]) if parts else None

        columns = tuple(zip(*other.rows, strict=True))
        return Unrolled(tuple(tuple(element(row, column) for column in columns) for row in self.rows))

    def __add__(self, other: Any) -> Unrolled:
        return self._map(lambda i, j, a, b: _plus(a, b), other)

    def __sub__(self, other: Any) -> Unrolled:
        return self._map(lambda i, j, a, b: _plus(a, None if b is None else -b), other)

    def times(self, factor: Float[Array, " n"]) -> Unrolled:
        return self._map(lambda i, j, a: None if a is None else a * factor)

    def plus_identity(self) -> Unrolled:
        return self._map(lambda i, j, a: _plus(a, 1.0 if i == j else None))

    def cholesky(self) -> Unrolled:
        out: list[list[Any]] = [[None] * len(self.rows) for _ in self.rows]
        for j in range(len(self.rows)):
            for i in range(j, len(self.rows)):
                known = [out[i][p] * out[j][p] for p in range(j) if out[i][p] is not None and out[j][p] is not None]
                rest: Any = sum((-v for v in known), self.rows[i][j]) if self.rows[i][j] is not None else -sum(known) if known else None
                out[i][j] = jnp.sqrt(rest) if i == j else None if rest is None else rest / out[j][j]
        return Unrolled(tuple(map(tuple, out)))

    def solve(self, b: Any) -> Unrolled:
        return _substitute(self.rows, b.rows, range(len(self.rows)))

    def solve_transposed(self, b: Any) -> Unrolled:
        return _substitute(self.t.rows, b.rows, range(len(self.rows) - 1, -1, -1))

    def inverse(self) -> tuple[Unrolled, Float[Array, " n"]]:
        k = len(self.rows)
        if k == 2:  # Cramer's rule: the shortest program
            (a, _), (b, c) = self.rows
            det = a * c - b * b
            factor = 1.0 / det
            return Unrolled(((c * factor, -b * factor), (-b * factor, a * factor))), jnp.log(det)
        low = self.cholesky()
        half = low.solve(Unrolled(tuple(tuple(1.0 if i == j else None for j in range(k)) for i in range(k))))
        full = half.t @ half
        return full._map(lambda i, j, a: full.rows[max(i, j)][min(i, j)]), 2.0 * low.log_diagonal()

    def log_diagonal(self) -> Float[Array, " n"]:
        product = self.rows[0][0]
        for i in range(1, len(self.rows)):
            product = product * self.rows[i][i]
        return jnp.log(product)

    def only(self, cells: Cells) -> Unrolled:
        return self._map(lambda i, j, a: a if (i, j) in cells else None)

    def array(self) -> Float[Array, "rows columns n"]:
        k = len(self.rows[0])
        flat = jnp.stack(self._filled([a for row in self.rows for a in row]))
        return flat.reshape(len(self.rows), k, -1)

    def elements(self) -> tuple[tuple[Any, ...], ...]:
        return self.rows

    def computed(self) -> Unrolled:
        known = [a for row in self.rows for a in row if a is not None]
        held = jax.lax.optimization_barrier(jnp.stack(known))
        left = iter(held[i] for i in range(len(known)))
        return self._map(lambda i, j, a: None if a is None else next(left))

    def _filled(self, elements: list[Element]) -> list[Float[Array, " n"]]:
        """Elements as vectors of equal length."""
        n = jnp.broadcast_shapes(*(jnp.shape(a) for row in self.rows for a in row if a is not None))
        return [jnp.broadcast_to(0.0 if a is None else a, n) for a in elements]


def _substitute(low: tuple[tuple[Element, ...], ...], b: tuple[tuple[Element, ...], ...], order: range) -> Unrolled:
    """Solve triangular systems, row by row in ``order``."""
    out: list[list[Any]] = [[None] * len(b[0]) for _ in b]
    for c in range(len(b[0])):
        for i in order:
            rest = b[i][c]
            for p in order[: order.index(i)]:
                if low[i][p] is not None and out[p][c] is not None:
                    rest = _plus(rest, -(low[i][p] * out[p][c]))
            out[i][c] = None if rest is None else rest / low[i][i]
    return Unrolled(tuple(map(tuple, out)))


@final
@dataclass(frozen=True)
class Stacked(AbstractBatch):
    """The groups first; one where all share it."""

    values: Float[Array, "#n rows columns"]

    @property
    def t(self) -> Stacked:
        return Stacked(jnp.swapaxes(self.values, 1, 2))

    def __matmul__(self, other: Any) -> Stacked:
        return Stacked(self.values @ other.values)

    def __add__(self, other: Any) -> Stacked:
        return Stacked(self.values + other.values)

    def __sub__(self, other: Any) -> Stacked:
        return Stacked(self.values - other.values)

    def times(self, factor: Float[Array, " n"]) -> Stacked:
        return Stacked(self.values * jnp.reshape(factor, (-1, 1, 1)))

    def plus_identity(self) -> Stacked:
        return Stacked(self.values + jnp.eye(self.values.shape[1]))

    def cholesky(self) -> Stacked:
        return Stacked(cholesky(self.values))

    def solve(self, b: Any) -> Stacked:
        return Stacked(solve_lower(self.values, b.values))

    def solve_transposed(self, b: Any) -> Stacked:
        return Stacked(solve_lower(self.values, b.values, transposed=True))

    def inverse(self) -> tuple[Stacked, Float[Array, " n"]]:
        low = self.cholesky()
        eye = jnp.broadcast_to(jnp.eye(self.values.shape[1]), self.values.shape)
        return low.solve_transposed(low.solve(Stacked(eye))), 2.0 * low.log_diagonal()

    def log_diagonal(self) -> Float[Array, " n"]:
        return jnp.log(jnp.diagonal(self.values, axis1=1, axis2=2)).sum(1)

    def only(self, cells: Cells) -> Stacked:
        mask = np.zeros(self.values.shape[1:])
        mask[tuple(zip(*cells, strict=True))] = 1.0
        return Stacked(self.values * mask)

    def array(self) -> Float[Array, "rows columns n"]:
        return jnp.moveaxis(self.values, 0, -1)

    def elements(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(tuple(self.values[:, i, j] for j in range(self.values.shape[2])) for i in range(self.values.shape[1]))

    def computed(self) -> Stacked:
        return self
