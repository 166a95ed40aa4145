"""Gamma functions of positive numbers: a logarithm or two each, with cheap derivatives of every order.

XLA's ``lgamma`` and ``digamma`` serve the whole real line by long sums; here an argument below 8 is raised by 8, and Stirling's
series does the rest to the last digits. Ratios keep theirs for large arguments, where the plain difference has none left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

__all__ = ["along", "digamma", "lgamma_ratio", "log_factorial", "log_gamma", "log_rising", "polynomial"]

Array = Any

_HALF_LOG_2PI = 0.9189385332046727
_RAISE = 8.0
# B_2k / (2k (2k - 1)) and B_2k / 2k, k = 1..7 (Abramowitz and Stegun 6.1.41, 6.3.18)
_LGAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def along(value: Array, *pairs: tuple[Callable[[], Array], Any]) -> Array:
    """The tangent of ``value``: the sum of ``slope() * tangent``; slopes along constants are not computed."""
    terms = [slope() * tangent for slope, tangent in pairs if type(tangent) is not SymbolicZero]
    return jnp.broadcast_to(sum(terms, jnp.zeros((), value.dtype)), jnp.shape(value))


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """The polynomial in ``x`` with these coefficients, the constant one first."""
    total = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _raised(x: Array) -> tuple[Array, Array, Array]:
    """``x`` or ``x + 8``, whichever is at least 8; the product of the numbers passed over, and its logarithmic derivative."""
    low = x < _RAISE
    small = jnp.where(low, x, 1.0)
    u = small * (small + 7.0)
    left, right = u * (u + 6.0), (u + 10.0) * (u + 12.0)
    product = left * right
    slope = (2.0 * small + 7.0) * ((2.0 * u + 6.0) * right + left * (2.0 * u + 22.0)) / product
    return jnp.where(low, x + _RAISE, x), jnp.where(low, product, 1.0), jnp.where(low, slope, 0.0)


def _lgamma_rest(x: Array) -> Array:
    r = 1.0 / x
    return r * polynomial(_LGAMMA, r * r)


def _digamma_rest(x: Array) -> Array:
    r2 = 1.0 / (x * x)
    return r2 * polynomial(_DIGAMMA, r2)


@jax.custom_jvp
def log_gamma(x: Array) -> Array:
    """``log(Gamma(x))`` for ``x > 0``, to 1e-15 of the larger of itself and 1.

    Examples
    --------
    >>> round(float(log_gamma(5.0)), 5)  # log(24)
    3.17805
    """
    z, product, _ = _raised(jnp.asarray(x))
    return (z - 0.5) * jnp.log(z) - z + _HALF_LOG_2PI + _lgamma_rest(z) - jnp.log(product)


@log_gamma.defjvp
def _log_gamma_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return log_gamma(*primals), digamma(*primals) * tangents[0]


def digamma(x: Array) -> Array:
    """The derivative of ``log_gamma``; its own one costs no further logarithm."""
    z, _, slope = _raised(jnp.asarray(x))
    return jnp.log(z) - 0.5 / z - _digamma_rest(z) - slope


@jax.custom_jvp
def lgamma_ratio(a: Array, n: Array) -> Array:
    """``lgamma(a + n) - lgamma(a)`` for positive ``a`` and ``a + n``, without the cancellation of the plain difference for large ``a``.

    Examples
    --------
    >>> round(float(lgamma_ratio(2.0, 3.0)), 5)  # log(2 * 3 * 4)
    3.17805
    """
    low, high, step, passed, _ = _ratio_parts(a, n)
    # not the logarithm of one ratio: log(x / constant) beside log(x) in one sum is miscompiled by jaxlib 0.10.2
    below, above = jnp.log(passed[0]), jnp.log(passed[1])
    return (low - 0.5) * jnp.log1p(step / low) + step * (jnp.log(high) - 1.0) + _lgamma_rest(high) - _lgamma_rest(low) + below - above


def _ratio_parts(a: Array, n: Array) -> tuple[Array, Array, Array, tuple[Array, Array], Array]:
    """``a`` and ``a + n`` raised, their difference, the products that they passed over, and the difference of these' slopes."""
    a, n = jnp.asarray(a), jnp.asarray(n)
    total = a + n
    (low, passed_low, slope_low), (high, passed_high, slope_high) = _raised(a), _raised(total)
    # from n itself: the difference of the sums has fewer digits
    step = n + _RAISE * ((total < _RAISE).astype(total.dtype) - (a < _RAISE).astype(total.dtype))
    return low, high, step, (passed_low, passed_high), slope_high - slope_low


def _digamma_ratio(a: Array, n: Array) -> Array:
    """``digamma(a + n) - digamma(a)``."""
    low, high, step, _, slopes = _ratio_parts(a, n)
    return jnp.log1p(step / low) + 0.5 * step / (low * high) - _digamma_rest(high) + _digamma_rest(low) - slopes


def _lgamma_ratio_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    a, n = primals
    value = lgamma_ratio(a, n)
    return value, along(value, (lambda: _digamma_ratio(a, n), tangents[0]), (lambda: digamma(a + n), tangents[1]))


lgamma_ratio.defjvp(_lgamma_ratio_jvp, symbolic_zeros=True)


def log_rising(log_a: Array, n: Array) -> Array:
    """``lgamma(a + n) - lgamma(a)`` for ``n >= 0`` and ``a = exp(log_a)``, which may be too small for a number of its own.

    Examples
    --------
    >>> float(log_rising(-1e9, 1.0))  # log(a)
    -1000000000.0
    """
    some = jnp.greater(n, 0.0)
    return jnp.where(some, log_a + lgamma_ratio(1.0 + jnp.exp(log_a), jnp.where(some, n, 1.0) - 1.0), 0.0)


def log_factorial(n: Array) -> Array:
    """``log(n!)``, exactly 0 for ``n = 0``.

    Examples
    --------
    >>> float(log_factorial(0.0))
    0.0
    """
    return lgamma_ratio(1.0, n)
