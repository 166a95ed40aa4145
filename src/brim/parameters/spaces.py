"""Spaces of whole arrays: from real numbers to correlation factors, simplexes and ordered vectors, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["SPACES", "Space"]

Array = Any


class Space(NamedTuple):
    """A map from unconstrained numbers ``(..., n)`` onto a space of arrays.

    Attributes
    ----------
    event
        Number of trailing axes of one element.
    onto
        ``z -> (x, log absolute Jacobian determinant (...))`` with respect to the elements of ``x`` that are free.
    back
        ``x -> z``.
    """

    event: int
    onto: Callable[[Array], tuple[Array, Array]]
    back: Callable[[Array], Array]


def _log_sech_squared(z: Array) -> Array:
    """``log(1 - tanh(z)^2)``, exact where ``tanh(z)`` is 1 to the last digit."""
    size = jnp.abs(z)
    return 2.0 * (math.log(2.0) - size - jnp.log1p(jnp.exp(-2.0 * size)))


def _correlations(z: Array) -> tuple[Array, Array]:
    """Cholesky factors by canonical partial correlations ``tanh(z_ij)``, row by row below the diagonal.

    ``L_ij = tanh(z_ij) prod_(k<j) sech(z_ik)`` and ``L_ii = prod_(k<i) sech(z_ik)``, so that every ``z_ik`` counts in the determinant
    once for its own element, and half for each one to the right of it.
    """
    if z.shape[-1] == 1:  # two coefficients, written out: batched triangular code costs ten times the arithmetic
        half = 0.5 * _log_sech_squared(z[..., 0])
        r = jnp.tanh(z[..., 0])
        first = jnp.stack([jnp.ones_like(r), jnp.zeros_like(r)], axis=-1)
        return jnp.stack([first, jnp.stack([r, jnp.exp(half)], axis=-1)], axis=-2), 2.0 * half
    d = _order(z.shape[-1])
    rows, columns = np.tril_indices(d, -1)
    empty = jnp.zeros((*z.shape[:-1], d, d))
    log_rest = _log_sech_squared(z)
    before = jnp.cumsum(empty.at[..., rows, columns + 1].set(log_rest), axis=-1)  # sum over k < j
    partial = empty.at[..., rows, columns].set(jnp.tanh(z)) + jnp.eye(d)
    weights = 1.0 + 0.5 * (rows - 1 - columns)
    return jnp.tril(partial * jnp.exp(0.5 * before)), jnp.sum(weights * log_rest, axis=-1)


def _order(n: int) -> int:
    """The number of coefficients with ``n`` correlations."""
    return (1 + math.isqrt(1 + 8 * n)) // 2


def _from_correlations(low: Array) -> Array:
    d = low.shape[-1]
    rows, columns = np.tril_indices(d, -1)
    # what a row has left at j is its squared elements from j on, summed from the right: no difference of nearly equal numbers
    left = jnp.flip(jnp.cumsum(jnp.flip(jnp.square(low), -1), axis=-1), -1)
    beyond = left[..., rows, columns + 1]
    return jnp.arcsinh(low[..., rows, columns] / jnp.sqrt(beyond))


def _breaks(n: int) -> Array:
    """Offsets at which ``z = 0`` is the uniform simplex."""
    return jnp.log(jnp.arange(n, 0, -1.0))


def _simplex(z: Array) -> tuple[Array, Array]:
    """Stick breaking: the share ``expit(z_k - log(K - k))`` of what is left, each in log space."""
    z = z - _breaks(z.shape[-1])
    share, rest = jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)
    left = jnp.concatenate([jnp.zeros_like(z[..., :1]), jnp.cumsum(rest, axis=-1)], axis=-1)
    parts = jnp.concatenate([share, jnp.zeros_like(z[..., :1])], axis=-1) + left
    return jnp.exp(parts), jnp.sum(share + rest + left[..., :-1], axis=-1)


def _from_simplex(x: Array) -> Array:
    beyond = jnp.flip(jnp.cumsum(jnp.flip(x, -1), axis=-1), -1)[..., 1:]
    return jnp.log(x[..., :-1]) - jnp.log(beyond) + _breaks(x.shape[-1] - 1)


def _ordered(z: Array) -> tuple[Array, Array]:
    """The first number, then steps ``exp(z_k)``."""
    steps = jnp.concatenate([z[..., :1], jnp.exp(z[..., 1:])], axis=-1)
    return jnp.cumsum(steps, axis=-1), jnp.sum(z[..., 1:], axis=-1)


def _from_ordered(x: Array) -> Array:
    return jnp.concatenate([x[..., :1], jnp.log(jnp.diff(x, axis=-1))], axis=-1)


#: The spaces of ``Param.space`` besides ``"real"``.
SPACES = {
    "cholesky_corr": Space(2, _correlations, _from_correlations),
    "simplex": Space(1, _simplex, _from_simplex),
    "ordered": Space(1, _ordered, _from_ordered),
}
