"""Tails of log-concave densities by quadrature, and those of gamma and beta laws with closed derivatives.

One Gauss-Legendre rule on the part of the tail that carries its mass: the integrand is smooth, so 48 nodes give 1e-12, in the
far tails as well; derivatives of every order follow by autodiff.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from brim.distributions.numerics.gammas import along, lgamma_ratio, log_gamma
from brim.distributions.numerics.logspace import log1mexp, log_add, softplus
from brim.distributions.numerics.rows import on_rows

__all__ = ["log_betainc", "log_gamma_tails", "log_gammainc", "log_gammaincc", "log_tail"]

Array = Any

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _LOG_WEIGHTS = (_NODES + 1.0) / 2.0, np.log(_WEIGHTS / 2.0)
_DROP = 38.0  # the tail is cut where the integrand has fallen by exp(-38)
_SHORTEST = 2.0**-40  # no tail is shorter: densities that fall at rates up to 1e13


def log_tail(h: Callable[[Array], Array], start: Array, sign: Array, *, longest: float = 1024.0, limit: Array | None = None) -> Array:
    """``log(integral of exp(h(v)) dv)`` from ``start`` to ``sign * inf`` for concave ``h`` that falls from ``start`` on.

    Parameters
    ----------
    h
        Elementwise concave function; broadcasts against a trailing axis of nodes.
    start
        Where the tail begins (not before the mode).
    sign
        ``+1`` for right tails, ``-1`` for left ones.
    longest
        No tail is longer than this.
    limit
        Where the tail is cut short, as a distance from ``start``; 0 gives ``-inf``.
    """
    start, sign = jnp.broadcast_arrays(jnp.asarray(start, float), jnp.asarray(sign, float))
    width = jax.lax.stop_gradient(_tail_width(h, jax.lax.stop_gradient(start), sign, longest))
    empty = jnp.zeros(jnp.shape(width), bool) if limit is None else jnp.less_equal(limit, 0.0)
    if limit is not None:
        width = jnp.where(empty, 1.0, jnp.minimum(width, limit))
    # in the precision at hand: jax 0.10.2 hands a NumPy constant to single-precision programs in double, once it was used in double
    nodes, log_weights = (np.asarray(c, start.dtype) for c in (_NODES, _LOG_WEIGHTS))
    values = h(start[..., None] + (sign * width)[..., None] * nodes)
    total = jax.scipy.special.logsumexp(values + log_weights, axis=-1) + jnp.log(width)
    return jnp.where(empty, -jnp.inf, total)


def _tail_width(h: Callable[[Array], Array], start: Array, sign: Array, longest: float) -> Array:
    """The least power of two, above ``_SHORTEST``, where ``h`` has fallen by ``_DROP``, then refined to sixteenths; both by bisection."""
    at_start = h(start[..., None])

    def enough(width: Array) -> Array:
        return (at_start - h((start + sign * width)[..., None]) >= _DROP)[..., 0]

    most = 2.0 ** np.ceil(np.log2(longest))
    low = jnp.full(jnp.shape(start), _SHORTEST)  # too short, or as short as can be
    for factor in _halvings(np.log2(most / _SHORTEST)):
        longer = low * factor
        low = jnp.where((longer < most) & ~enough(jnp.minimum(longer, most)), longer, low)
    width, step = low, low / 8.0  # between one half and the whole of the power of two
    for k in (4.0, 2.0, 1.0):
        width = jnp.where(enough(width + k * step), width, width + k * step)
    return width + step


def _halvings(powers: float) -> list[float]:
    """``2^(m / 2), ..., 2^4, 2^2, 2`` with ``m`` the least power of two that is not below ``powers``."""
    return [2.0**k for k in 2 ** np.arange(np.ceil(np.log2(powers)))[::-1]]


def log_gammainc(a: Array, x: Array) -> Array:
    """``log P(a, x)``, the regularised lower incomplete gamma function."""
    return log_gamma_tails(a, x)[0]


def log_gammaincc(a: Array, x: Array) -> Array:
    """``log Q(a, x)``, the regularised upper incomplete gamma function."""
    return log_gamma_tails(a, x)[1]


def log_gamma_tails(a: Array, x: Array) -> tuple[Array, Array]:
    """``log P(a, x)`` and ``log Q(a, x)``; the derivatives in ``x`` are closed formulas. Rows with ``x`` 0 or infinite cost nothing."""
    a, x = jnp.broadcast_arrays(a, x)
    zero, infinite = jnp.less_equal(x, 0.0), jnp.isposinf(x)
    edge = zero | infinite
    log_p, log_q = on_rows(_log_gamma_tails, ~edge, a, jnp.where(edge, 1.0, x))
    log_p, log_q = jnp.where(zero, -jnp.inf, log_p), jnp.where(zero, 0.0, log_q)
    return jnp.where(infinite, 0.0, log_p), jnp.where(infinite, -jnp.inf, log_q)


@jax.custom_jvp
def _log_gamma_tails(a: Array, x: Array) -> tuple[Array, Array]:
    return _gamma_quadrature(a, x)


def _gamma_quadrature(a: Array, x: Array) -> tuple[Array, Array]:
    """On the scale ``v = log(t / x)`` the integrand ``exp(a v - x exp(v))`` is log-concave; ``v`` has all digits where the tail is short.

    The lower tail starts from ``a + 1``, by ``P(a, x) = P(a + 1, x) + x^a e^-x / Gamma(a + 1)``, so that it falls at rate >= 1.
    """
    left = x < a
    power, log_x, log_norm = jnp.where(left, a + 1.0, a), jnp.log(x), log_gamma(a + 1.0)
    shape, rate = power[..., None], x[..., None]
    tail = log_tail(lambda v: shape * v - rate * jnp.expm1(v), jnp.zeros_like(x), jnp.where(left, -1.0, 1.0))
    tail = tail + (power * log_x - x - log_norm)
    tail = jnp.where(left, log_add(a * log_x - x - log_norm, tail), tail + jnp.log(a))
    other = log1mexp(jnp.minimum(tail, 0.0))
    return jnp.where(left, tail, other), jnp.where(left, other, tail)


def _log_gamma_tails_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    a, x = primals
    log_p, log_q = _log_gamma_tails(a, x)
    log_density = (a - 1.0) * jnp.log(x) - x - log_gamma(a)
    in_a = _slopes_in(lambda a: _gamma_quadrature(a, x), a) if type(tangents[0]) is not SymbolicZero else (log_p, log_q)

    def tangent(k: int, value: Array, sign: float) -> Array:
        return along(value, (lambda: in_a[k], tangents[0]), (lambda: sign * jnp.exp(log_density - value), tangents[1]))

    return (log_p, log_q), (tangent(0, log_p, 1.0), tangent(1, log_q, -1.0))


_log_gamma_tails.defjvp(_log_gamma_tails_jvp, symbolic_zeros=True)


def _slopes_in(f: Callable[[Array], tuple[Array, Array]], a: Array) -> tuple[Array, Array]:
    """The derivatives of an elementwise pair of functions."""
    return jax.jvp(f, (a,), (jnp.ones_like(a),))[1]


_TINY = 1e-300


def log_betainc(a: Array, b: Array, logit_x: Array) -> tuple[Array, Array]:
    """``log I_x(a, b)`` and ``log(1 - I_x(a, b))`` for ``x = 1 / (1 + exp(-logit_x))``: the regularised incomplete beta function.

    The derivatives in ``logit_x`` are closed formulas. With a shape that underflows to 0 all mass is at that end. Rows with
    ``logit_x`` infinite cost nothing.
    """
    a, b, v = jnp.broadcast_arrays(a, b, jnp.asarray(logit_x, float))
    at_0, at_1, low, high = jnp.less(a, _TINY), jnp.less(b, _TINY), jnp.isneginf(v), jnp.isposinf(v)
    needed = ~(at_0 | at_1 | low | high)
    safe = jnp.where(at_0, 1.0, a), jnp.where(at_1, 1.0, b), jnp.where(low | high, 0.0, v)
    log_i, log_c = on_rows(_log_beta_tails, needed, *safe)
    none, every = at_1 | (low & ~at_0), at_0 | high
    log_i, log_c = jnp.where(every, 0.0, log_i), jnp.where(every, -jnp.inf, log_c)
    return jnp.where(none, -jnp.inf, log_i), jnp.where(none, 0.0, log_c)


@jax.custom_jvp
def _log_beta_tails(a: Array, b: Array, v: Array) -> tuple[Array, Array]:
    return _beta_quadrature(a, b, v)


def _beta_quadrature(a: Array, b: Array, v: Array) -> tuple[Array, Array]:
    """The smaller side always as a lower tail: ``I_x(a, b) = 1 - I_(1-x)(b, a)``."""
    left = v < jnp.log(a) - jnp.log(b)
    p, q, v = jnp.where(left, a, b), jnp.where(left, b, a), jnp.where(left, v, -v)
    log_b = log_gamma(p) - lgamma_ratio(q, p)
    first = -p * softplus(-v) - q * softplus(v) - jnp.log(p) - log_b
    p1, q1 = p[..., None] + 1.0, q[..., None]
    rest = log_tail(lambda t: -p1 * softplus(-t) - q1 * softplus(t), v, -1.0) - log_b + jnp.log(p + q) - jnp.log(p)
    small = log_add(first, rest)
    other = log1mexp(small)
    return jnp.where(left, small, other), jnp.where(left, other, small)


def _log_beta_tails_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    a, b, v = primals
    log_i, log_c = _log_beta_tails(a, b, v)
    log_density = -a * softplus(-v) - b * softplus(v) - log_gamma(a) + lgamma_ratio(b, a)
    none = (log_i, log_c)
    in_a = _slopes_in(lambda a: _beta_quadrature(a, b, v), a) if type(tangents[0]) is not SymbolicZero else none
    in_b = _slopes_in(lambda b: _beta_quadrature(a, b, v), b) if type(tangents[1]) is not SymbolicZero else none

    def tangent(k: int, value: Array, sign: float) -> Array:
        in_v = (lambda: sign * jnp.exp(log_density - value), tangents[2])
        return along(value, (lambda: in_a[k], tangents[0]), (lambda: in_b[k], tangents[1]), in_v)

    return (log_i, log_c), (tangent(0, log_i, 1.0), tangent(1, log_c, -1.0))


_log_beta_tails.defjvp(_log_beta_tails_jvp, symbolic_zeros=True)
