"""Logs of the probability between two points, for the distribution functions that links to probabilities invert.

Each has closed slopes from the same exponentials. Either point may be as far out as 1e100 (``a`` below, ``b`` above), where it takes
no part: the outermost categories of a cumulative model need no formula of their own.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

from brim.distributions.numerics.logspace import FAR, fall_ratio, log_phi, logistic, mills, once, rate_of

__all__ = ["log_cauchy_between", "log_cloglog_between", "log_logistic_between", "log_ndtr_between"]

Array = Any


def _log_share(share: Array, rest: Array) -> Array:
    """``log(share)`` where ``share + rest = 1``, by whichever is small."""
    most = rest < 0.5
    return jnp.where(most, jnp.log1p(-jnp.where(most, rest, 0.0)), jnp.log(share))


@jax.custom_jvp
def log_logistic_between(a: Array, b: Array) -> Array:
    """``log(F(b) - F(a))`` of the logistic distribution function, ``F(b) - F(a) = (1 - exp(a - b)) / ((1 + exp(a)) (1 + exp(-b)))``.

    Examples
    --------
    >>> round(float(log_logistic_between(-1e30, 0.0)), 6)
    -0.693147
    """
    fall_a, fall_b = jnp.exp(-jnp.abs(a)), jnp.exp(-jnp.abs(b))
    # not by the product of the two, which XLA makes a third exponential
    more = fall_a + fall_b * (1.0 + fall_a)
    share, rest = -jnp.expm1(a - b) / (1.0 + more), (jnp.exp(a - b) + more) / (1.0 + more)
    return _log_share(share, rest) - jnp.maximum(a, 0.0) + jnp.minimum(b, 0.0)


@log_logistic_between.defjvp
def _log_logistic_between_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    common = _common(a, b)
    return log_logistic_between(a, b), (logistic(-b) + common) * db - (logistic(a) + common) * da


def _common(a: Array, b: Array) -> Array:
    """``1 / (exp(b - a) - 1)``."""
    return jnp.exp(a - b) / -jnp.expm1(a - b)


@jax.custom_jvp
def log_ndtr_between(a: Array, b: Array) -> Array:
    """``log(Phi(b) - Phi(a))`` for ``a < b``, on the side of 0 where the probabilities are small; one ``erfc`` a point.

    Examples
    --------
    >>> round(float(log_ndtr_between(-1.96, 1.96)), 4)
    -0.0513
    """
    flip = a + b > 0.0
    low, high = jnp.where(flip, -b, a), jnp.where(flip, -a, b)
    below, beside = (0.5 * erfc(jnp.abs(x) * 0.7071067811865476) for x in (low, high))
    one_side, far = high < 0.0, high < FAR
    left, right = jnp.where(far, low, 2.0 * FAR), jnp.where(far, high, FAR)
    series = mills(left) / left * jnp.exp(0.5 * (right - left) * (right + left)) - mills(right) / right
    tail = jnp.log(jnp.where(far, series, jnp.where(one_side, beside - below, 1.0))) + jnp.where(far, log_phi(right), 0.0)
    return once(jnp.where(one_side, tail, jnp.log1p(-jnp.where(one_side, 0.0, below + beside))), a)


@log_ndtr_between.defjvp
def _log_ndtr_between_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    value = log_ndtr_between(a, b)
    return value, jnp.exp(log_phi(b) - value) * db - jnp.exp(log_phi(a) - value) * da


@jax.custom_jvp
def log_cloglog_between(a: Array, b: Array) -> Array:
    """``log(exp(-exp(a)) - exp(-exp(b)))`` for ``a < b``.

    Examples
    --------
    >>> round(float(log_cloglog_between(-1e30, -80.0)), 6)
    -80.0
    """
    gap, gone = _rate_gap(a, b)
    tiny = b < -36.0  # gap / 2 is below the last digit
    near = gap < 0.6931471805599453
    small = jnp.log(jnp.where(tiny, gone, -jnp.expm1(-jnp.where(near, gap, 1.0)))) + jnp.where(tiny, b, 0.0)
    return jnp.where(near, small, jnp.log1p(-jnp.exp(-jnp.where(near, 1.0, gap)))) - rate_of(a)


def _rate_gap(a: Array, b: Array) -> tuple[Array, Array]:
    """``exp(b) - exp(a)``, and what it is a share of ``exp(b)``."""
    gone = -jnp.expm1(a - b)
    return rate_of(b) * gone, gone


@log_cloglog_between.defjvp
def _log_cloglog_between_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """With ``d = exp(b) - exp(a)`` and ``s = d / (exp(d) - 1)``: ``s exp(b) / d`` and ``-exp(a) - s exp(a) / d``."""
    (a, b), (da, db) = primals, tangents
    slope, common = fall_ratio(_rate_gap(a, b)[0]), _common(a, b)
    return log_cloglog_between(a, b), slope * (1.0 + common) * db - (rate_of(a) + slope * common) * da


@jax.custom_jvp
def log_cauchy_between(a: Array, b: Array) -> Array:
    """``log((atan(b) - atan(a)) / pi)`` for ``a < b``.

    Examples
    --------
    >>> round(float(log_cauchy_between(-1.0, 1.0)), 6)
    -0.693147
    """
    return jnp.log(_angle(a, b) / jnp.pi)


def _angle(a: Array, b: Array) -> Array:
    return jnp.arctan2(b - a, 1.0 + a * b)


@log_cauchy_between.defjvp
def _log_cauchy_between_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    share = 1.0 / _angle(a, b)
    return log_cauchy_between(a, b), share / (1.0 + b * b) * db - share / (1.0 + a * a) * da
