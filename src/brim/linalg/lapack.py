"""LAPACK's routines for batches of matrices, in pieces that no thread waits for.

On CPUs, jaxlib shares the matrices of a batched call among the threads of XLA's pool, and the thread of that pool that made the call
waits for the others. Two such calls at once, of one program or of two chains, so wait for each other for ever on a machine with two
cores. Calls with little work are not shared. Every routine here therefore takes its batch, and whatever batch ``vmap`` makes of it, in
pieces of little work, one after the other. Nothing here has derivatives: they are those of ``triangular``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float, Int

__all__ = ["factor_lower", "factor_lu", "factor_semidefinite", "substitute"]

#: Multiplications in a piece. jaxlib shares calls from 200,000 on, by a count of its own that is not above ours.
_LITTLE = 50_000

_Routine = Callable[..., Any]


def _in_pieces(routine: _Routine, work: Callable[..., int]) -> _Routine:
    """A routine of arrays ``(count, ...)``, applied to pieces of them; ``work`` is that of one element, from the shapes of all."""

    @jax.custom_batching.custom_vmap
    def piece(*arrays: Any) -> Any:
        return routine(*arrays)

    @piece.def_vmap
    def _(size: int, batched: Any, *arrays: Any) -> Any:
        whole = [a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip(arrays, batched, strict=True)]
        out = pieces(*(a.reshape(size * a.shape[1], *a.shape[2:]) for a in whole))
        out = jax.tree.map(lambda a: a.reshape(size, whole[0].shape[1], *a.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    def pieces(*arrays: Any) -> Any:
        count = arrays[0].shape[0]
        size = max(1, _LITTLE // max(work(*(a.shape[1:] for a in arrays)), 1)) if jax.default_backend() == "cpu" else count
        if count <= size:
            return piece(*arrays)
        whole = count - count % size
        out = jax.lax.map(lambda part: piece(*part), tuple(a[:whole].reshape(-1, size, *a.shape[1:]) for a in arrays))
        out = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), out)
        if whole == count:
            return out
        rest = piece(*(a[whole:] for a in arrays))
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), out, rest)

    return pieces


def _flat(matrices: Float[Array, "*batch n m"]) -> Float[Array, "count n m"]:
    """With one axis for the batch, which may be empty, as the matrices may be."""
    return matrices.reshape(math.prod(matrices.shape[:-2]), *matrices.shape[-2:])


def _cube(shape: tuple[int, ...]) -> int:
    return int(shape[0] ** 3)


_potrf = _in_pieces(lambda a: jax.lax.linalg.cholesky(a, symmetrize_input=False), _cube)
_getrf = _in_pieces(lambda a: tuple(jax.lax.linalg.lu(a)[i] for i in (0, 2)), _cube)


def _root(matrix: Float[Array, "count n n"]) -> Float[Array, "count n n"]:
    """Cholesky factors, or where there are none ``Q max(values, 0)^(1/2)``."""
    low = jax.lax.linalg.cholesky(matrix, symmetrize_input=False)
    failed = jnp.isnan(low).any(axis=(1, 2), keepdims=True)
    finite = jnp.isfinite(matrix).all(axis=(1, 2), keepdims=True)

    def decomposed() -> Float[Array, "count n n"]:
        vectors, values = jax.lax.linalg.eigh(jnp.where(finite, matrix, jnp.eye(matrix.shape[-1], dtype=matrix.dtype)))
        return jnp.where(failed & finite, vectors * jnp.sqrt(jnp.maximum(values, 0.0))[:, None, :], low)

    return jax.lax.cond((failed & finite).any(), decomposed, lambda: low)


_semidefinite = _in_pieces(_root, lambda shape: 20 * _cube(shape))


@lru_cache(maxsize=8)
def _trsm(lower: bool, transposed: bool, unit: bool) -> _Routine:
    def routine(a: Float[Array, "count n n"], b: Float[Array, "count n m"]) -> Float[Array, "count n m"]:
        return jax.lax.linalg.triangular_solve(a, b, left_side=True, lower=lower, transpose_a=transposed, unit_diagonal=unit)

    return _in_pieces(routine, lambda a, b: int(a[0] ** 2 * b[1]))


def factor_lower(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Lower Cholesky factors of ``(..., n, n)``, of which the lower triangle is read; ``NaN`` where not positive definite."""
    return _potrf(_flat(matrix)).reshape(matrix.shape)


def factor_semidefinite(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """``A`` with ``A A'`` equal to ``(..., n, n)``, eigenvalues below zero taken as zero."""
    return _semidefinite(_flat(matrix)).reshape(matrix.shape)


def factor_lu(matrix: Float[Array, "*batch n n"]) -> tuple[Float[Array, "*batch n n"], Int[Array, "*batch n"]]:
    """``L`` and ``U`` in one matrix ``(..., n, n)``, and the order of the rows ``(..., n)`` with ``matrix[order] = L U``."""
    lu, order = _getrf(_flat(matrix))
    return lu.reshape(matrix.shape), order.reshape(matrix.shape[:-1])


def substitute(
    a: Float[Array, "*#batch n n"], b: Float[Array, "*#batch n m"], *, lower: bool = True, transposed: bool = False, unit: bool = False
) -> Float[Array, "*batch n m"]:
    """``A^-1 b`` or ``A'^-1 b`` of triangular ``A (..., n, n)`` and ``b (..., n, m)``; ``unit``: with ones on the diagonal."""
    lead = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    flat = [_flat(jnp.broadcast_to(x, (*lead, *x.shape[-2:]))) for x in (a, b)]
    return _trsm(lower, transposed, unit)(*flat).reshape(*lead, *b.shape[-2:])
