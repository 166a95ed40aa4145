"""What a linear Gaussian model says of its parameters at given loadings, from one sparse factorisation; and its crossed effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from brim.coordinates.crossed.ratios import Loads
from brim.linalg.mixed.blocks import Factor, Pattern, Sums
from brim.linalg.mixed.factorisation import Factorisation, Solution, factorise
from brim.linalg.mixed.threads import each

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Exact"]

Array = np.ndarray

MOST_STEPS = 200  # of conjugate gradients
SMALL = 1e-10  # what is left of the residual


@final
@dataclass(frozen=True, eq=False)
class Exact:
    """The sums of a model, and what follows from them.

    Attributes
    ----------
    loads
        Of each block, in the model's order.
    pattern, sums
        Of the blocks' effects, with ``V = (y - X ref, X)`` as right-hand sides.
    squares
        ``V'WV``.
    weights
        Known precisions of the rows.
    """

    loads: tuple[Loads, ...]
    pattern: Pattern
    sums: Sums
    squares: Array
    weights: Array

    @staticmethod
    def of(loads: tuple[Loads, ...], factors: Sequence[Factor], v: Array, weights: Array) -> Exact:
        """From the factors of the rows, ``V`` (rows, 1 + p) and precisions."""
        pattern = Pattern.of(factors)
        return Exact(loads, pattern, pattern.sums(weights, v), (v * weights[:, None]).T @ v, weights)

    @property
    def size(self) -> int:
        """How many effects."""
        return sum(f.size * f.k for f in self.pattern.factors)

    def factorise(self, u: Array) -> Factorisation:
        """``A = I + T' Z'WZ T`` at ratios (d,)."""
        return factorise(self.pattern, self.sums, [self.loads[f].loading(u) for f in self.pattern.order])

    def values(self, u: Array) -> Array:
        """``log det A`` and ``S = V'WV - V'WZ T A^-1 T' Z'WV``, flat, at each row of ratios."""
        return np.stack(each(self._value, u))

    def _value(self, u: Array) -> Array:
        try:
            f = self.factorise(u)
        except np.linalg.LinAlgError:
            return np.full(1 + self.squares.size, np.nan)
        return np.append(f.log_det, np.ravel(self.squares - self.explained(f.solve(self.sums))))

    def explained(self, solution: Solution) -> Array:
        """What of ``V'WV`` the effects explain."""
        return np.asarray(sum(_dot(b, e) for b, e in zip(self.right, solution.effects, strict=True)))

    @cached_property
    def right(self) -> list[Array]:
        """``Z'WV`` of each factor in the pattern's order, (levels, k, 1 + p)."""
        p, out = self.pattern, list(self.sums.right)
        for g in p.crossed:
            f, at = p.factors[g], p.starts[g]
            out.append(self.sums.right_dense[at : at + f.size * f.k].reshape(f.size, f.k, -1))
        return out

    # ------------------------------------------------------------------ effects

    @cached_property
    def columns(self) -> csr_array:
        """``Z`` of all rows, in the pattern's order, coefficients within levels."""
        import scipy

        parts, start = [], 0
        for f in self.pattern.factors:
            parts += [(start + f.codes * f.k + c, z) for c, z in enumerate(f.columns)]
            start += f.size * f.k
        n = self.pattern.n
        where = (np.tile(np.arange(n), len(parts)), np.concatenate([at for at, _ in parts]))
        return scipy.sparse.csr_array((np.concatenate([z for _, z in parts]), where), shape=(n, start))

    @cached_property
    def gram(self) -> csr_array:
        """``Z'WZ``."""
        import scipy

        return scipy.sparse.csr_array(self.columns.T @ self.columns.multiply(self.weights[:, None]).tocsr())

    @cached_property
    def noise(self) -> csr_array:
        """``Z'W^1/2``."""
        import scipy

        return scipy.sparse.csr_array(self.columns.multiply(np.sqrt(self.weights)[:, None]).T)

    def prepare(self) -> None:
        """What all draws share, made once: threads would each make their own."""
        _ = self.gram, self.noise, self.right

    def drawn(self, near: Factorisation, u: Array, v: Array, normals: Array) -> tuple[Array, Array]:
        """Standardised effects given ratios (n, d) and ``v`` (n, 1 + p), and what of ``log p(z | ...)`` depends on them.

        ``A z = w + r`` with ``w = T' Z'WV v`` and ``r ~ N(0, A)`` made of ``normals`` (n, rows + size): ``z`` then is normal around
        ``A^-1 w`` with covariance ``A^-1`` (Papandreou & Yuille 2010). Conjugate gradients, preconditioned by a factorisation at
        ratios nearby, solve it to all digits.

        Returns
        -------
        ``z`` (n, size) in the pattern's order, and ``(w - r)' z / 2``.
        """
        loading = [self.loads[f].loading(u) for f in self.pattern.order]
        rows = self.pattern.n
        w = self._loaded(loading, np.concatenate([b.reshape(-1, b.shape[2]) for b in self.right]) @ v.T, transpose=True)
        r = self._loaded(loading, self.noise @ normals[:, :rows].T, transpose=True) + normals[:, rows:].T

        def times(x: Array) -> Array:
            return x + self._loaded(loading, self.gram @ self._loaded(loading, x, transpose=False), transpose=True)

        inverse = [np.linalg.inv(t) for t in loading]

        def nearly(x: Array) -> Array:
            # the effects' own precision, not that of the standardised ones, is nearly the same at other ratios where data say much
            effects = near.effects_for(self._split(self._loaded(inverse, x, transpose=True)))
            return self._loaded(inverse, np.concatenate([e.reshape(-1, e.shape[2]) for e in effects]), transpose=False)

        z = _conjugate_gradients(times, nearly, w + r)
        return z.T, 0.5 * np.einsum("ij,ij->j", w - r, z)

    def _split(self, x: Array) -> list[Array]:
        """A matrix over all effects by factors, (levels, k, n) each."""
        sizes = [f.size * f.k for f in self.pattern.factors]
        parts = np.split(x, np.cumsum(sizes)[:-1])
        return [part.reshape(f.size, f.k, -1) for f, part in zip(self.pattern.factors, parts, strict=True)]

    def _loaded(self, loading: list[Array], x: Array, transpose: bool) -> Array:
        """``T x`` or ``T' x``, with the loadings (n, k, k) of each column of ``x`` (size, n)."""
        out = []
        for t, part in zip(loading, self._split(x), strict=True):
            scalar = part.shape[1] == 1
            moved = part * t[:, 0, 0] if scalar else np.einsum("nba,lbn->lan" if transpose else "nab,lbn->lan", t, part)
            out.append(moved.reshape(-1, x.shape[1]))
        return np.concatenate(out)

    def in_blocks(self, z: Array) -> list[Array]:
        """Effects (n, size) by block in the model's order, each (n, k levels): levels within coefficients."""
        parts = self._split(z.T)
        by_block = {f: part.transpose(2, 1, 0).reshape(len(z), -1) for f, part in zip(self.pattern.order, parts, strict=True)}
        return [by_block[f] for f in range(len(parts))]


def _conjugate_gradients(times: Callable[[Array], Array], nearly: Callable[[Array], Array], b: Array) -> Array:
    """``x`` with ``times(x) = b``, column by column; ``nearly`` is about the inverse."""
    x = nearly(b)
    r = b - times(x)
    y = nearly(r)
    p, rho = y, np.einsum("ij,ij->j", r, y)
    size = np.einsum("ij,ij->j", b, b)
    for _ in range(MOST_STEPS):
        if np.all(np.einsum("ij,ij->j", r, r) <= SMALL**2 * size):
            break
        q = times(p)
        step = rho / np.maximum(np.einsum("ij,ij->j", p, q), 1e-300)
        x, r = x + step * p, r - step * q
        y = nearly(r)
        new = np.einsum("ij,ij->j", r, y)
        p, rho = y + new / np.maximum(rho, 1e-300) * p, new
    return x


def _dot(a: Array, b: Array) -> Array:
    """``a' b`` over levels and coefficients."""
    return a.reshape(-1, a.shape[2]).T @ b.reshape(-1, b.shape[2])
