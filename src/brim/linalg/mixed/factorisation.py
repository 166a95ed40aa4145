"""The factorisation of ``M = Lambda' Z'WZ Lambda + I`` block by block, its solutions, and the parts of its inverse that are needed.

``V = Lambda M^-1 Lambda'`` is the covariance of the effects given the response (over ``sigma^2``, fixed effects held); only its blocks
of effects that meet in a row are computed. Everything stays finite for singular ``Lambda``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from brim.linalg.mixed.blocks import Pair, Pattern, Sums, gather

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Factorisation", "Selected", "Solution", "factorise"]

Array = np.ndarray

_CHUNK = 2**22  # numbers held at once of a product that only its diagonal blocks are wanted of


@final
@dataclass(frozen=True, eq=False)
class Solution:
    """For each factor in the pattern's order, (levels, k, r).

    ``spherical`` is ``Y = M^-1 Lambda' B``, ``effects`` is ``Lambda Y``, ``rest`` is ``B - Z'WZ Lambda Y`` (where it was asked for).
    """

    spherical: list[Array]
    effects: list[Array]
    rest: list[Array]


@final
@dataclass(frozen=True, eq=False)
class Selected:
    """Blocks of ``V``: ``own[i]``, ``chained[i, j]``, ``crossed[i, g]`` (shapes as in ``Sums``), ``dense``.

    ``slopes[f]`` is half of d log det M / d Lambda_f.
    """

    pattern: Pattern
    own: list[Array]
    chained: dict[Pair, Array]
    crossed: dict[Pair, Array]
    dense: Array
    slopes: list[Array]

    def blocks(self, f: int) -> Array:
        """``V`` of the effects of each level of factor ``f``, (levels, k, k)."""
        p = self.pattern
        if f < p.chain:
            return self.own[f]
        a = p.factors[f]
        at = p.starts[f] + np.arange(a.size)[:, None] * a.k + np.arange(a.k)
        return self.dense[at[:, :, None], at[:, None, :]]

    def variances(self) -> Array:
        """``z_i' V z_i`` of every row."""
        p, out = self.pattern, np.zeros(self.pattern.n)
        for f, factor in enumerate(p.factors):
            out += _forms(factor.columns, self.blocks(f), factor.codes, factor.columns)
            for h in range(f + 1, len(p.factors)):
                block, at = self._between(f, h)
                out += 2.0 * _forms(factor.columns, block, at, p.factors[h].columns)
        return out

    def _between(self, f: int, h: int) -> tuple[Array, Array]:
        """The blocks of ``V`` between two factors, and which one each row needs."""
        p = self.pattern
        if h < p.chain:
            return self.chained[f, h], p.factors[f].codes
        if f < p.chain:
            return self.crossed[f, h], p.cells[f, h][0]
        a, b = p.factors[f], p.factors[h]
        pair, at = np.unique(a.codes * np.int64(b.size) + b.codes, return_inverse=True)
        rows = p.starts[f] + (pair // b.size)[:, None] * a.k + np.arange(a.k)
        columns = p.starts[h] + (pair % b.size)[:, None] * b.k + np.arange(b.k)
        return self.dense[rows[:, :, None], columns[:, None, :]], at.ravel()


def _forms(left: Array, blocks: Array, at: Array, right: Array) -> Array:
    """``left_i' blocks[at_i] right_i`` of every row."""
    out = np.zeros(len(at))
    for a, column in enumerate(left):
        for b, other in enumerate(right):
            out += column * blocks[:, a, b][at] * other
    return out


@final
@dataclass(frozen=True, eq=False)
class Factorisation:
    """``M`` for given sums and loadings. Blocks are those left when the factors before them are eliminated."""

    pattern: Pattern
    loadings: list[Array]
    own: list[Array]
    chained: dict[Pair, Array]
    crossed: dict[Pair, Array]
    dense: Array
    inverses: list[Array]
    low: Array
    log_det: float
    sparse: list[csr_array] = field(repr=False)

    @cached_property
    def covariances(self) -> list[Array]:
        """``P_i = Lambda_i D_i^-1 Lambda_i'`` of the chain."""
        return [_sandwich(lam, d) for lam, d in zip(self.loadings, self.inverses, strict=False)]

    # ------------------------------------------------------------------ solutions

    def solve(self, sums: Sums) -> Solution:
        """Solve for the right-hand sides in ``sums``."""
        return self.solve_for([*sums.right, *_split(self.pattern, sums.right_dense)])

    def solve_for(self, right: Sequence[Array]) -> Solution:
        """Solve for right-hand sides, (levels, k, r) for each factor."""
        b, last = self._forward(right)
        return self._back(b, last)

    def effects_for(self, right: Sequence[Array]) -> list[Array]:
        """``Lambda Y`` alone."""
        b, last = self._forward(right)
        return self._back(b, last, rest=False).effects

    def _forward(self, right: Sequence[Array]) -> tuple[list[Array], Array]:
        """The right-hand sides left to each factor when those before it are eliminated, and to the dense part."""
        p = self.pattern
        b = list(right[: p.chain])
        last = np.concatenate([r.reshape(-1, r.shape[2]) for r in right[p.chain :]]) if p.width else np.zeros((0, right[0].shape[2]))
        for i in range(p.chain):
            h = self.covariances[i] @ b[i]
            for j in range(i + 1, p.chain):
                b[j] = b[j] - gather(self.chained[i, j].transpose(0, 2, 1) @ h, p.parents[i, j], p.factors[j].size)
            if p.width:
                last = last - self.sparse[i].T @ h.reshape(-1, h.shape[2])
        return b, last

    def _back(self, b: list[Array], last: Array, rest: bool = True) -> Solution:
        import scipy

        p = self.pattern
        y = _loaded(p, self.loadings, last, transpose=True)
        y = scipy.linalg.cho_solve((self.low, True), y, check_finite=False) if p.width else y
        u = _loaded(p, self.loadings, y, transpose=False)
        out = Solution(_split(p, y), _split(p, u), _split(p, last - self.dense @ u) if rest else [])
        for i in range(p.chain - 1, -1, -1):
            t = b[i]
            for j in range(i + 1, p.chain):
                t = t - self.chained[i, j] @ out.effects[j - i - 1][p.parents[i, j]]
            if p.width:
                t = t - (self.sparse[i] @ u).reshape(t.shape)
            lam = self.loadings[i]
            spherical = self.inverses[i] @ (lam.T @ t)
            effects = lam @ spherical
            out.spherical.insert(0, spherical)
            out.effects.insert(0, effects)
            if rest:
                out.rest.insert(0, t - self.own[i] @ effects)
        return out

    # ------------------------------------------------------------------ inverse

    def selected(self) -> Selected:
        """The blocks of ``V`` that effects which meet in a row have, and the slopes of ``log det M``."""
        p, m = self.pattern, self.pattern.chain
        dense, slopes = self._dense_inverse()
        own: list[Array] = [np.zeros(0)] * m
        chained: dict[Pair, Array] = {}
        crossed: dict[Pair, Array] = {}
        head: list[Array] = [np.zeros(0)] * m
        for i in range(m - 1, -1, -1):
            t = self._neighbours(i, own, chained, crossed, dense)
            cov = self.covariances[i]
            half = self.loadings[i] @ self.inverses[i]
            if t is None:
                own[i], head[i] = cov, np.einsum("lab,lbc->ac", self.own[i], half)
                continue
            own[i] = cov + cov @ t @ cov
            left = self.own[i] - t + self.own[i] @ cov @ t
            head[i] = np.einsum("lab,lbc->ac", left, half)
        return Selected(p, own, chained, crossed, dense, [*head, *slopes])

    def _neighbours(self, i: int, own: list[Array], chained: dict[Pair, Array], crossed: dict[Pair, Array], dense: Array) -> Array | None:
        """``K_ir V_rr K_ri`` of each level of ``i`` over what it meets; fills in the blocks of ``V`` between them."""
        p = self.pattern
        if i + 1 == p.chain and not p.width:
            return None
        factor, later = p.factors[i], range(i + 1, p.chain)
        cov, out = self.covariances[i], np.zeros((factor.size, factor.k, factor.k))
        for j in later:
            n = sum((self.chained[i, h] @ _chained_block(p, own, chained, h, j)[parent_of(p, i, h, j)] for h in later), 0.0)
            for g in p.crossed:
                level, at = p.cells[i, g][1], p.lifted[i, j, g]
                n = n + gather(self.crossed[i, g] @ crossed[j, g][at].transpose(0, 2, 1), level, factor.size)
            chained[i, j] = -cov @ n
            out += n @ self.chained[i, j].transpose(0, 2, 1)
        products = self._times_dense(i, dense)
        for g in p.crossed:
            level = p.cells[i, g][1]
            n = products[g]
            for j in later:
                n = n + self.chained[i, j][level] @ crossed[j, g][p.lifted[i, j, g]]
            crossed[i, g] = -cov[level] @ n
            out += gather(n @ self.crossed[i, g].transpose(0, 2, 1), level, factor.size)
        return out

    def _times_dense(self, i: int, dense: Array) -> dict[int, Array]:
        """``K_ir V_rr`` over the dense part, at the cells: (cells, k_i, k_g) for each of its factors."""
        p, factor = self.pattern, self.pattern.factors[i]
        out = {g: np.empty((len(p.cells[i, g][1]), factor.k, p.factors[g].k)) for g in p.crossed}
        step = max(_CHUNK // max(p.width * factor.k, 1), 1) if p.width else factor.size
        for at in range(0, factor.size if p.width else 0, step):
            stop = min(at + step, factor.size)
            product = (self.sparse[i][at * factor.k : stop * factor.k] @ dense).reshape(stop - at, factor.k, p.width)
            for g in p.crossed:
                _, level, other = p.cells[i, g]
                k, first = p.factors[g].k, p.starts[g]
                here = slice(*np.searchsorted(level, (at, stop)))
                columns = first + other[here, None] * k + np.arange(k)
                out[g][here] = product[(level[here] - at)[:, None, None], np.arange(factor.k)[None, :, None], columns[:, None, :]]
        return out

    def _dense_inverse(self) -> tuple[Array, list[Array]]:
        """``V`` of the dense part, and its factors' slopes."""
        import scipy

        p = self.pattern
        if not p.width:
            return np.zeros((0, 0)), []
        inverse, _ = scipy.linalg.lapack.dpotri(self.low, lower=True)
        inverse[np.diag_indices(p.width)] *= 0.5
        inverse = inverse + inverse.T
        half = _loaded(p, self.loadings, inverse, transpose=False)  # Lambda S^-1
        slopes = []
        for g in p.crossed:
            f, at = p.factors[g], slice(p.starts[g], p.starts[g] + p.factors[g].size * p.factors[g].k)
            a, b = self.dense[at].reshape(f.size, f.k, -1), half[:, at].T.reshape(f.size, f.k, -1)
            slopes.append(np.array([[np.vdot(a[:, i], b[:, j]) for j in range(f.k)] for i in range(f.k)]))
        return _loaded(p, self.loadings, half.T, transpose=False), slopes


def parent_of(p: Pattern, i: int, h: int, j: int) -> Array:
    """Which block of ``V`` between ``h`` and ``j`` each level of ``i`` needs: blocks are numbered by the inner of the two."""
    return p.parents[i, min(h, j)]


def _chained_block(p: Pattern, own: list[Array], chained: dict[Pair, Array], h: int, j: int) -> Array:
    if h == j:
        return own[h]
    return chained[h, j] if h < j else chained[j, h].transpose(0, 2, 1)


def factorise(pattern: Pattern, sums: Sums, loadings: Sequence[Array]) -> Factorisation:
    """Factorise for loadings ``Lambda`` (k, k) of each factor, in the pattern's order."""
    import scipy

    p = pattern
    own, chained, crossed, dense = list(sums.own), dict(sums.chained), dict(sums.crossed), sums.dense
    inverses, sparse, log_det = [], [], 0.0
    for i in range(p.chain):
        lam = loadings[i]
        inverse, log = _inverse(np.eye(len(lam)) + lam.T @ own[i] @ lam)
        inverses.append(inverse)
        log_det += log
        cov = _sandwich(lam, inverse)
        for j in range(i + 1, p.chain):
            h = (cov @ chained[i, j]).transpose(0, 2, 1)
            parent, size = p.parents[i, j], p.factors[j].size
            own[j] = own[j] - gather(h @ chained[i, j], parent, size)
            for r in range(j + 1, p.chain):
                chained[j, r] = chained[j, r] - gather(h @ chained[i, r], parent, size)
            for g in p.crossed:
                at = p.lifted[i, j, g]
                crossed[j, g] = crossed[j, g] - gather(h[p.cells[i, g][1]] @ crossed[i, g], at, len(crossed[j, g]))
        c = _sparse(p, i, crossed)
        sparse.append(c)
        if p.width:
            dense = dense - _square(c, _root(lam, inverse))
    low = np.zeros((0, 0))
    if p.width:
        s = _loaded(p, loadings, _loaded(p, loadings, dense, transpose=True).T, transpose=True)
        s[np.diag_indices(p.width)] += 1.0
        low, _ = scipy.linalg.lapack.dpotrf(s, lower=True, overwrite_a=True)
        log_det += 2.0 * float(np.log(np.diag(low)).sum())
    return Factorisation(p, list(loadings), own, chained, crossed, dense, inverses, low, log_det, sparse)


# ---- small blocks ----------------------------------------------------------------------------------------------------------


def _inverse(d: Array) -> tuple[Array, float]:
    """Inverses of positive definite blocks (levels, k, k), and the sum of the logarithms of their determinants."""
    k = d.shape[1]
    if k == 1:
        return 1.0 / d, float(np.log(d).sum())
    if k == 2:
        a, b, c = d[:, 0, 0], d[:, 0, 1], d[:, 1, 1]
        det = a * c - b * b
        out = np.empty_like(d)
        out[:, 0, 0], out[:, 1, 1], out[:, 0, 1] = c / det, a / det, -b / det
        out[:, 1, 0] = out[:, 0, 1]
        return out, float(np.log(det).sum())
    return np.linalg.inv(d), float(np.linalg.slogdet(d)[1].sum())


def _sandwich(lam: Array, inverse: Array) -> Array:
    return lam @ inverse @ lam.T


def _root(lam: Array, inverse: Array) -> Array:
    """``R`` with ``R R' = Lambda D^-1 Lambda'``."""
    return lam @ (np.sqrt(inverse) if len(lam) == 1 else np.linalg.cholesky(inverse))


# ---- the dense part ----------------------------------------------------------------------------------------------------------


def _sparse(p: Pattern, i: int, crossed: dict[Pair, Array]) -> csr_array:
    """``K_ir`` between factor ``i`` of the chain and the dense part, (levels k_i, q)."""
    import scipy

    k, rows, columns, values = p.factors[i].k, [], [], []
    for g in p.crossed:
        _, level, other = p.cells[i, g]
        block = crossed[i, g]
        row = level[:, None, None] * k + np.arange(k)[None, :, None]
        column = p.starts[g] + other[:, None, None] * p.factors[g].k + np.arange(p.factors[g].k)[None, None, :]
        rows.append(np.broadcast_to(row, block.shape).ravel())
        columns.append(np.broadcast_to(column, block.shape).ravel())
        values.append(block.ravel())
    if not rows:
        return scipy.sparse.csr_array((p.factors[i].size * k, 0))
    where = (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_array((np.concatenate(values), where), shape=(p.factors[i].size * k, p.width))


def _square(c: csr_array, root: Array) -> Array:
    """``C' R R' C`` for blocks ``R`` (levels, k, k) down the diagonal."""
    import scipy

    if root.shape[1] == 1:
        half = c.multiply(root.reshape(-1, 1)).tocsr()
    else:
        levels, k = root.shape[:2]
        index = np.arange(levels * k).reshape(levels, k)
        rows, columns = (np.broadcast_to(x, root.shape).ravel() for x in (index[:, :, None], index[:, None, :]))
        half = (scipy.sparse.csr_array((root.ravel(), (rows, columns)), shape=(levels * k, levels * k)).T @ c).tocsr()
    return np.asarray((half.T @ half).toarray())


def _loaded(p: Pattern, loadings: Sequence[Array], x: Array, transpose: bool) -> Array:
    """``Lambda x`` or ``Lambda' x`` of the dense part, (q, r)."""
    out = np.empty(x.shape, order="C")
    for g in p.crossed:
        f, at = p.factors[g], slice(p.starts[g], p.starts[g] + p.factors[g].size * p.factors[g].k)
        lam = loadings[g].T if transpose else loadings[g]
        block = x[at].reshape(f.size, f.k, -1)
        out[at] = (lam[0, 0] * block if f.k == 1 else lam @ block).reshape(out[at].shape)
    return out


def _split(p: Pattern, x: Array) -> list[Array]:
    """A matrix over the dense part by factors: (levels, k, r) each."""
    return [
        x[p.starts[g] : p.starts[g] + p.factors[g].size * p.factors[g].k].reshape(p.factors[g].size, p.factors[g].k, -1) for g in p.crossed
    ]
