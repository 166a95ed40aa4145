"""Laws of whole arrays: correlation matrices and simplexes."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from brim.distributions.numerics.gammas import log_gamma

__all__ = ["dirichlet", "lkj_cholesky"]

Array = Any


def dirichlet(x: Array, shapes: Array) -> Array:
    """Log Dirichlet density of simplexes ``(..., K)``, with respect to their first ``K - 1`` elements."""
    return log_gamma(jnp.sum(shapes, axis=-1)) + jnp.sum((shapes - 1.0) * jnp.log(x) - log_gamma(shapes), axis=-1)


def lkj_cholesky(low: Array, eta: Array) -> Array:
    """Log density of Cholesky factors ``(..., D, D)`` of correlation matrices under ``det(R)^(eta - 1)``.

    With respect to the elements below the diagonal it is ``sum_i (D - i + 2 eta - 2) log L_ii - log C`` over rows ``i = 2, ..., D`` and
    ``log C = (D - 1) (log(pi) / 2 - lgamma(eta + (D - 1) / 2)) + log Gamma_(D-1)(eta + (D - 2) / 2)`` with the multivariate gamma
    function (Lewandowski, Kurowicka & Joe 2009).
    """
    d = low.shape[-1]
    power = jnp.arange(d - 2, -1, -1) + 2.0 * (eta - 1.0)
    diagonal = jnp.log(jnp.diagonal(low, axis1=-2, axis2=-1)[..., 1:])
    top = eta + 0.5 * (d - 2)
    multigamma = 0.25 * (d - 1) * (d - 2) * math.log(math.pi) + jnp.sum(log_gamma(top - 0.5 * jnp.arange(d - 1)))
    constant = (d - 1) * (0.5 * math.log(math.pi) - log_gamma(eta + 0.5 * (d - 1))) + multigamma
    return jnp.sum(power * diagonal, axis=-1) - constant
