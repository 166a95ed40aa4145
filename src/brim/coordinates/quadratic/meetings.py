"""Which effects of two latent vectors meet in the rows: products of their columns, by the levels of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.linalg import sum_by
from brim.terms.latent import Incidence

__all__ = ["KNOWN", "TRACED", "Arithmetic", "between", "flat"]


@dataclass(frozen=True)
class Arithmetic:
    """Sums over rows, of numbers that are known (NumPy) or in a compiled program.

    Attributes
    ----------
    numpy
        The module of array functions.
    sums
        As ``Incidence.sums``.
    cells
        ``(values, cell of each, number of cells) ->`` sums by cell.
    """

    numpy: Any
    sums: Callable[[Incidence, Any, int], Any]
    cells: Callable[[Any, Any, int], Any]


KNOWN = Arithmetic(np, Incidence.known_sums, lambda values, cell, n: np.bincount(cell, values, n))
TRACED = Arithmetic(jnp, Incidence.sums, sum_by)


def between(left: Incidence, right: Incidence, w: Any, n: int, m: int, by: Arithmetic = KNOWN) -> Any:
    """``Z' diag(w) Z`` of two vectors with ``n`` and ``m`` levels: (coefficients, other coefficients, n, m)."""
    if left.level is None and right.level is None:
        return ((left.columns * w) @ right.columns.T)[None, None]
    if left.level is None:
        return by.numpy.stack([by.sums(right, x * w, m) for x in left.columns], axis=1)[None]
    if right.level is None:
        return by.numpy.stack([by.sums(left, y * w, n) for y in right.columns], axis=-1)[:, None]
    parts: dict[tuple[int, int], Any] = {}
    for one, x in _memberships(left):
        for two, y in _memberships(right):
            cell = one.astype(np.int64) * m + two
            for c, xc in enumerate(x):
                for d, yd in enumerate(y):
                    found = by.cells(xc * w * yd, cell, n * m).reshape(n, m)
                    parts[c, d] = parts[c, d] + found if (c, d) in parts else found
    c, d = (max(at) + 1 for at in zip(*parts, strict=True))
    return by.numpy.stack([by.numpy.stack([parts[i, j] for j in range(d)]) for i in range(c)])


def flat(products: Any, by: Arithmetic = KNOWN) -> Any:
    """The same as a matrix (effects, other effects), levels within coefficients."""
    k, other, n, m = products.shape
    return by.numpy.moveaxis(products, 2, 1).reshape(k * n, other * m)


def _memberships(incidence: Incidence) -> Iterator[tuple[Any, Any]]:
    """Level (rows,) and columns (coefficients, rows), for each membership of the rows."""
    level, z = incidence
    if level.ndim == 1:
        yield level, z
    else:
        yield from ((level[m], z[:, m]) for m in range(len(level)))
