"""Cholesky factors and solutions of linear systems, with their derivatives.

Those of factors are matrix products: triangular systems with many right-hand sides are solved slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.linalg.lapack import factor_lower, factor_lu, factor_semidefinite, substitute

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float

    Matrices = Float[Array, "*batch n n"]

__all__ = ["cholesky", "inverse_lower", "root_of", "solve", "solve_lower"]

#: Size of the blocks that are inverted row by row.
_BLOCK = 8


@jax.custom_jvp
def cholesky(matrix: Matrices) -> Matrices:
    """The lower factor ``L`` of symmetric matrices ``(..., n, n)``; ``NaN`` where they are not positive definite."""
    return factor_lower(matrix)


@cholesky.defjvp
def _cholesky_jvp(primals: tuple[Matrices], tangents: tuple[Matrices]) -> tuple[Matrices, Matrices]:
    """``dL = L Phi(L^-1 dK L^-T)``, ``Phi`` the lower triangle with half the diagonal."""
    low = cholesky(primals[0])
    inverse = inverse_lower(low)
    inner = inverse @ tangents[0] @ jnp.swapaxes(inverse, -1, -2)
    n = low.shape[-1]
    return low, low @ (inner * (np.tril(np.ones((n, n))) - 0.5 * np.eye(n)))


def root_of(matrix: Matrices) -> Matrices:
    """``A`` with ``A A'`` equal to covariance matrices ``(..., n, n)``; eigenvalues that rounding made negative are zero.

    It is the Cholesky factor where there is one. It has no derivatives.
    """
    return factor_semidefinite(jax.lax.stop_gradient(matrix))


def solve_lower(
    low: Float[Array, "*#batch n n"], b: Float[Array, "*#batch n m"], *, transposed: bool = False
) -> Float[Array, "*batch n m"]:
    """``L^-1 b``, or ``L'^-1 b``, of lower triangular ``L (..., n, n)`` and ``b (..., n, m)``."""
    lead = jnp.broadcast_shapes(low.shape[:-2], b.shape[:-2])
    low, b = jnp.broadcast_to(low, (*lead, *low.shape[-2:])), jnp.broadcast_to(b, (*lead, *b.shape[-2:]))
    known = jax.lax.stop_gradient(low)
    return jax.lax.custom_linear_solve(
        lambda x: (jnp.swapaxes(low, -1, -2) if transposed else low) @ x,
        b,
        solve=lambda _, v: substitute(known, v, transposed=transposed),
        transpose_solve=lambda _, v: substitute(known, v, transposed=not transposed),
    )


def solve(matrix: Float[Array, "*#batch n n"], b: Float[Array, "*#batch n m"]) -> Float[Array, "*batch n m"]:
    """``A^-1 b`` of ``A (..., n, n)`` and ``b (..., n, m)``."""
    lu, order = factor_lu(jax.lax.stop_gradient(matrix))
    lead = jnp.broadcast_shapes(matrix.shape[:-2], b.shape[:-2])
    order, b = jnp.broadcast_to(order, (*lead, order.shape[-1])), jnp.broadcast_to(b, (*lead, *b.shape[-2:]))

    def forward(_: Any, v: Any) -> Any:
        half = substitute(lu, jnp.take_along_axis(v, order[..., None], axis=-2), unit=True)
        return substitute(lu, half, lower=False)

    def transposed(_: Any, v: Any) -> Any:
        half = substitute(lu, v, lower=False, transposed=True)
        return jnp.take_along_axis(substitute(lu, half, transposed=True, unit=True), jnp.argsort(order)[..., None], axis=-2)

    return jax.lax.custom_linear_solve(lambda x: matrix @ x, b, solve=forward, transpose_solve=transposed)


def inverse_lower(low: Matrices) -> Matrices:
    """Inverses of lower triangular matrices ``(..., n, n)``, from those of blocks on the diagonal, pair by pair.

    ``[[A, 0], [B, C]]^-1 = [[A^-1, 0], [-C^-1 B A^-1, C^-1]]``.
    """
    n = low.shape[-1]
    width = min(_BLOCK, n)
    count = 1
    while width * count < n:
        count *= 2
    size = width * count
    whole = jnp.zeros((*low.shape[:-2], size, size), low.dtype).at[...].set(jnp.eye(size, dtype=low.dtype)).at[..., :n, :n].set(low)
    out = _inverse_small(_diagonal_blocks(whole, count, 0))
    while count > 1:
        first, second = out[..., 0::2, :, :], out[..., 1::2, :, :]
        below = -second @ _diagonal_blocks(whole, count, 1) @ first
        out = jnp.concatenate(
            [jnp.concatenate([first, jnp.zeros_like(first)], axis=-1), jnp.concatenate([below, second], axis=-1)], axis=-2
        )
        count //= 2
    return out[..., 0, :n, :n]


def _diagonal_blocks(whole: Matrices, count: int, below: int) -> Float[Array, "*batch blocks width width"]:
    """The ``count`` blocks on the diagonal, or of each pair of them the one below the first."""
    width = whole.shape[-1] // count
    cut = jnp.reshape(whole, (*whole.shape[:-2], count, width, count, width))
    at = np.arange(0, count, 1 + below)
    # the two indices stand apart, so that NumPy's rules put their axis first
    return jnp.moveaxis(cut[..., at + below, :, at, :], 0, -3)


def _inverse_small(low: Matrices) -> Matrices:
    rows: list[Float[Array, "*batch n"]] = []
    eye = jnp.eye(low.shape[-1], dtype=low.dtype)
    for i in range(low.shape[-1]):
        known = sum((low[..., i, j, None] * rows[j] for j in range(i)), jnp.zeros_like(low[..., i, :]))
        rows.append((eye[i] - known) / low[..., i, i, None])
    return jnp.stack(rows, axis=-2)
