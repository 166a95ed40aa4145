"""Log densities of laws that only priors have, in Stan's parameterisations; minus infinity outside the support."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from brim.distributions.numerics.gammas import log_gamma
from brim.distributions.numerics.logspace import where_inside
from brim.distributions.positive import Gamma, Weibull
from brim.distributions.unit import Beta

__all__ = [
    "beta",
    "cauchy",
    "double_exponential",
    "exponential",
    "frechet",
    "gamma",
    "gumbel",
    "inv_gamma",
    "logistic",
    "pareto",
    "uniform",
    "weibull",
]

Array = Any


def cauchy(x: Array, loc: Array, scale: Array) -> Array:
    """``-log(pi s (1 + z^2))`` with ``z = (x - loc) / s``."""
    return -jnp.log(math.pi * scale) - jnp.log1p(jnp.square((x - loc) / scale))


def double_exponential(x: Array, loc: Array, scale: Array) -> Array:
    """``-|x - loc| / s - log(2 s)``."""
    return -jnp.abs(x - loc) / scale - jnp.log(2.0 * scale)


def logistic(x: Array, loc: Array, scale: Array) -> Array:
    """``log(f (1 - f) / s)`` with ``f = expit((x - loc) / s)``."""
    z = (x - loc) / scale
    return jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z) - jnp.log(scale)


def gumbel(x: Array, loc: Array, scale: Array) -> Array:
    """``-z - exp(-z) - log(s)`` with ``z = (x - loc) / s``."""
    z = (x - loc) / scale
    return -z - jnp.exp(-z) - jnp.log(scale)


def exponential(x: Array, rate: Array) -> Array:
    """``log(rate) - rate x``."""
    return where_inside(x >= 0.0, x, 0.0, lambda v: jnp.log(rate) - rate * v)


def gamma(x: Array, shape: Array, rate: Array) -> Array:
    """``a log(r) - lgamma(a) + (a - 1) log(x) - r x`` with shape ``a`` and rate ``r``."""
    return Gamma(shape, jnp.log(shape) - jnp.log(rate)).log_prob(x)


def inv_gamma(x: Array, shape: Array, scale: Array) -> Array:
    """That of ``1 / x``, which has a gamma law of this rate."""
    return where_inside(x > 0.0, x, 1.0, lambda v: gamma(1.0 / v, shape, scale) - 2.0 * jnp.log(v))


def weibull(x: Array, shape: Array, scale: Array) -> Array:
    """``log(a / s) + (a - 1) log(x / s) - (x / s)^a`` with shape ``a`` and scale ``s``."""
    return Weibull(shape, jnp.log(scale) + log_gamma(1.0 + 1.0 / shape)).log_prob(x)


def frechet(x: Array, shape: Array, scale: Array) -> Array:
    """That of ``1 / x``, which has a Weibull law of scale ``1 / scale``."""
    return where_inside(x > 0.0, x, 1.0, lambda v: weibull(1.0 / v, shape, 1.0 / scale) - 2.0 * jnp.log(v))


def beta(x: Array, a: Array, b: Array) -> Array:
    """``(a - 1) log(x) + (b - 1) log(1 - x) - log B(a, b)``."""
    return Beta(jnp.log(a), jnp.log(b)).log_prob(x)


def uniform(x: Array, low: Array, high: Array) -> Array:
    """``-log(high - low)``."""
    return jnp.where((x >= low) & (x <= high), -jnp.log(high - low), -jnp.inf)


def pareto(x: Array, low: Array, shape: Array) -> Array:
    """``log(a) + a log(low) - (a + 1) log(x)`` with shape ``a``."""
    return where_inside(x >= low, x, low, lambda v: jnp.log(shape) + shape * jnp.log(low) - (shape + 1.0) * jnp.log(v))
