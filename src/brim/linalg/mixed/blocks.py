"""Which effects meet in the rows, and the sums of products that a mixed model needs of them.

The effects of grouping factors are eliminated factor by factor. A factor whose levels meet in no row, nor through the factors
eliminated before it, has small blocks that are eliminated level by level: the largest factor, then those it is nested in (``chain``).
What is left, factors crossed with these, is one dense matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from brim.errors import BrimError

__all__ = ["Factor", "Pattern", "Sums", "gather"]

Array = np.ndarray
Pair = tuple[int, int]

_LARGEST = 20_000  # columns of the dense part: its Cholesky factor takes 3.2 GB


@final
@dataclass(frozen=True, eq=False)
class Factor:
    """A grouping factor: the level of each row ``(n,)`` and the ``(k, n)`` columns whose coefficients vary by it."""

    codes: Array
    size: int
    columns: Array

    @property
    def k(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @cached_property
    def ones(self) -> tuple[bool, ...]:
        """Which columns are ones: products with them are free."""
        return tuple(bool((c == 1.0).all()) for c in self.columns)


@final
@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows, in the order of the pattern: ``Z'WZ`` and ``Z'WV`` of right-hand sides ``V``.

    ``own[i]`` (levels, k, k), ``chained[i, j]`` (levels of i, k_i, k_j), ``crossed[i, g]`` (cells, k_i, k_g), ``dense`` (q, q);
    ``right[i]`` (levels, k, r) of the chain, ``right_dense`` (q, r).
    """

    own: list[Array]
    chained: dict[Pair, Array]
    crossed: dict[Pair, Array]
    dense: Array
    right: list[Array]
    right_dense: Array


@final
@dataclass(frozen=True, eq=False)
class Pattern:
    """Grouping factors in the order of their elimination.

    Attributes
    ----------
    factors
        The first ``chain`` of them are eliminated level by level.
    order
        Their places in the order given.
    parents
        ``parents[i, j]``: the level of ``j`` that holds each level of ``i``, both in the chain.
    cells
        ``cells[i, g]``: cell of each row, and the level of ``i`` and of ``g`` of each cell; ``i`` in the chain, ``g`` not.
    """

    factors: tuple[Factor, ...]
    order: tuple[int, ...]
    chain: int
    parents: dict[Pair, Array]
    cells: dict[Pair, tuple[Array, Array, Array]]

    @staticmethod
    def of(given: Sequence[Factor]) -> Pattern:
        """Choose the chain: the factor with most effects, then each that holds all before it."""
        queue = sorted(range(len(given)), key=lambda f: (-given[f].size * given[f].k, f))
        chain = queue[:1]
        parents: dict[Pair, Array] = {}
        for f in queue[1:]:
            held = [_parent(given[c], given[f]) for c in chain]
            if all(h is not None for h in held):
                parents.update({(i, len(chain)): h for i, h in enumerate(held) if h is not None})
                chain.append(f)
        order = (*chain, *(f for f in queue if f not in chain))
        factors = tuple(given[f] for f in order)
        size = sum(f.size * f.k for f in factors[len(chain) :])
        if size > _LARGEST:
            raise BrimError(
                f"crossed grouping factors leave {size:,} effects beside the largest factor",
                hint=f"up to {_LARGEST:,} are possible; nest factors in one another where the design allows it",
            )
        cells = {(i, g): _cells(factors[i], factors[g]) for i in range(len(chain)) for g in range(len(chain), len(factors))}
        return Pattern(factors, order, len(chain), parents, cells)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.factors[0].codes)

    @property
    def crossed(self) -> range:
        """The factors of the dense part."""
        return range(self.chain, len(self.factors))

    @cached_property
    def starts(self) -> dict[int, int]:
        """The first column of each factor in the dense part; its columns are coefficients within levels."""
        sizes = [self.factors[g].size * self.factors[g].k for g in self.crossed]
        return dict(zip(self.crossed, np.concatenate([[0], np.cumsum(sizes)]).tolist(), strict=False))

    @cached_property
    def width(self) -> int:
        """Columns of the dense part."""
        return sum(self.factors[g].size * self.factors[g].k for g in self.crossed)

    @cached_property
    def lifted(self) -> dict[tuple[int, int, int], Array]:
        """``lifted[i, j, g]``: for each cell of ``(i, g)`` that of ``(j, g)`` which holds it."""
        out = {}
        for (i, j), parent in self.parents.items():
            for g in self.crossed:
                _, level, other = self.cells[i, g]
                _, levels, others = self.cells[j, g]
                size = self.factors[g].size
                out[i, j, g] = np.searchsorted(levels * size + others, parent[level] * size + other)
        return out

    # ------------------------------------------------------------------ sums

    def sums(self, weights: Array | None, right: Array) -> Sums:
        """The sums for weights of rows ``(n,)`` (``None``: ones) and right-hand sides ``(n, r)``, which are not yet weighted."""
        own = [self._products(f, f, f.codes, f.size, weights) for f in self.factors]
        m = self.chain
        chained = {
            (i, j): self._products(self.factors[i], self.factors[j], self.factors[i].codes, self.factors[i].size, weights)
            for i, j in self.parents
        }
        crossed = {
            (i, g): self._products(self.factors[i], self.factors[g], cell, len(level), weights)
            for (i, g), (cell, level, _) in self.cells.items()
        }
        sides = self.right(weights, right)
        dense = np.concatenate([s.reshape(-1, right.shape[1]) for s in sides[m:]]) if self.width else np.zeros((0, right.shape[1]))
        return Sums(own[:m], chained, crossed, self._dense(own, weights), sides[:m], dense)

    def right(self, weights: Array | None, right: Array) -> list[Array]:
        """``Z'WV`` of each factor, (levels, k, r)."""
        v = right if weights is None else right * weights[:, None]
        return [
            np.stack(
                [[_total(f.codes, f.size, _times(c, column, one)) for column in v.T] for c, one in zip(f.columns, f.ones, strict=True)]
            )
            .transpose(2, 0, 1)
            .copy()
            for f in self.factors
        ]

    def _products(self, a: Factor, b: Factor, codes: Array, size: int, weights: Array | None) -> Array:
        """Sums of products of columns by ``codes``: (size, k_a, k_b)."""
        out = np.empty((size, a.k, b.k))
        for i in range(a.k):
            column = _weighted(a.columns[i], a.ones[i], weights)
            for j in range(i if a is b else 0, b.k):
                out[:, i, j] = _total(codes, size, _times(b.columns[j], column, b.ones[j]))
                if a is b:
                    out[:, j, i] = out[:, i, j]
        return out

    def _dense(self, own: list[Array], weights: Array | None) -> Array:
        out = np.zeros((self.width, self.width))
        for g in self.crossed:
            a = self.factors[g]
            first = self.starts[g] + np.arange(a.size)[:, None] * a.k + np.arange(a.k)
            out[first[:, :, None], first[:, None, :]] = own[g]
            for h in range(g + 1, len(self.factors)):
                b = self.factors[h]
                block = self._products(a, b, a.codes * np.int64(b.size) + b.codes, a.size * b.size, weights)
                block = block.reshape(a.size, b.size, a.k, b.k).transpose(0, 2, 1, 3).reshape(a.size * a.k, b.size * b.k)
                rows, columns = slice(self.starts[g], self.starts[g] + len(block)), slice(self.starts[h], self.starts[h] + block.shape[1])
                out[rows, columns], out[columns, rows] = block, block.T
        return out

    def times(self, sums: Sums, effects: Sequence[Array]) -> list[Array]:
        """``Z'WZ c`` for effects (levels, k, r) of each factor."""
        m = self.chain
        dense = np.concatenate([c.reshape(-1, c.shape[2]) for c in effects[m:]]) if self.width else None
        out = [a @ c for a, c in zip(sums.own, effects, strict=False)]
        low = sums.dense @ dense if dense is not None else np.zeros((0, 1))
        out += [
            low[self.starts[g] : self.starts[g] + c.shape[0] * c.shape[1]].reshape(c.shape)
            for g, c in zip(self.crossed, effects[m:], strict=True)
        ]
        blocks = [(pair, np.arange(self.factors[pair[0]].size), parent, sums.chained[pair]) for pair, parent in self.parents.items()]
        blocks += [(pair, level, other, sums.crossed[pair]) for pair, (_, level, other) in self.cells.items()]
        for (i, j), at, other, block in blocks:
            out[i] = out[i] + gather(block @ effects[j][other], at, self.factors[i].size)
            out[j] = out[j] + gather(block.transpose(0, 2, 1) @ effects[i][at], other, self.factors[j].size)
        return out

    def predict(self, effects: Sequence[Array]) -> Array:
        """``Z b`` of every row, for the effects (levels, k) of each factor in the pattern's order."""
        out = np.zeros(self.n)
        for f, b in zip(self.factors, effects, strict=True):
            for j in range(f.k):
                out += b[f.codes, j] if f.ones[j] else b[f.codes, j] * f.columns[j]
        return out


def gather(blocks: Array, at: Array, size: int) -> Array:
    """Sums of blocks (n, a, b) that belong to the same place: (size, a, b)."""
    out = np.empty((size, *blocks.shape[1:]))
    for i in range(blocks.shape[1]):
        for j in range(blocks.shape[2]):
            out[:, i, j] = np.bincount(at, blocks[:, i, j], size)
    return out


def _total(codes: Array, size: int, values: Array | None) -> Array:
    return np.bincount(codes, values, size).astype(float)


def _times(column: Array, values: Array | None, one: bool) -> Array | None:
    """``column * values``; ``None`` stands for ones."""
    if one:
        return values
    return column if values is None else column * values


def _weighted(column: Array, one: bool, weights: Array | None) -> Array | None:
    return _times(column, weights, one)


def _parent(inner: Factor, outer: Factor) -> Array | None:
    """The level of ``outer`` that holds each level of ``inner``, if every one lies in one."""
    parent = np.zeros(inner.size, np.intp)
    parent[inner.codes] = outer.codes
    return parent if (parent[inner.codes] == outer.codes).all() else None


def _cells(a: Factor, b: Factor) -> tuple[Array, Array, Array]:
    """The pairs of levels that stand together in a row, by ``a`` then ``b``: cell of each row, levels of each cell."""
    pair = a.codes * np.int64(b.size) + b.codes
    if a.size * b.size <= max(2**22, 8 * len(pair)):
        seen = np.zeros(a.size * b.size, bool)
        seen[pair] = True
        unique = np.flatnonzero(seen)
        place = np.cumsum(seen) - 1
        return place[pair], unique // b.size, unique % b.size
    unique, cell = np.unique(pair, return_inverse=True)
    return cell.ravel(), unique // b.size, unique % b.size
