"""Special functions in log space, smooth in every argument, with cheap derivatives where autodiff is wasteful."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc, gammaln

__all__ = [
    "HALF_LOG_2PI",
    "lgamma_ratio",
    "log0",
    "log1mexp",
    "log1p_ratio",
    "log_betainc",
    "log_choose",
    "log_diff_exp",
    "log_gamma_tails",
    "log_gammainc",
    "log_gammaincc",
    "log_interval",
    "log_mix",
    "log_ndtr",
    "log_sum",
    "log_tail",
    "softplus",
    "times",
]

Array = Any

HALF_LOG_2PI = 0.9189385332046727


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``; the derivative is the logistic function itself, three times cheaper than autodiff's."""
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return softplus(x), jax.nn.sigmoid(x) * dx


@jax.custom_jvp
def log0(x: Array) -> Array:
    """``log(x)`` whose derivative at 0 is huge instead of infinite, so that it times 0 is 0 and not NaN."""
    return jnp.log(x)


@log0.defjvp
def _log0_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return log0(x), dx / jnp.where(jnp.equal(x, 0.0), 1e-150, x)


_FAR = -37.0  # below, erfc underflows and the asymptotic series has all digits


def _mills(x: Array) -> Array:
    """``Phi(x) / phi(x) * -x`` for ``x`` far below 0."""
    r = 1.0 / (x * x)
    return 1.0 - r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r)))


@jax.custom_jvp
def log_ndtr(x: Array) -> Array:
    """``log`` of the standard normal distribution function, with one ``erfc``."""
    far = x < _FAR
    tail = 0.5 * erfc(jnp.abs(jnp.where(far, 0.0, x)) * 0.7071067811865476)
    near = jnp.where(x < 0.0, jnp.log(tail), jnp.log1p(-tail))
    z = jnp.where(far, x, _FAR)
    return jnp.where(far, -0.5 * z * z - jnp.log(-z) - HALF_LOG_2PI + jnp.log(_mills(z)), near)


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    value, far = log_ndtr(x), x < _FAR
    near, z = jnp.where(far, 0.0, x), jnp.where(far, x, _FAR)
    slope = jnp.exp(-0.5 * near * near - HALF_LOG_2PI - jnp.where(far, 0.0, value))
    return value, jnp.where(far, -z / _mills(z), slope) * dx


def times(y: Array, x: Array) -> Array:
    """``y * x`` with ``0 * (-inf) = 0``."""
    zero = jnp.equal(y, 0)
    return jnp.where(zero, 0.0, y * jnp.where(zero, 0.0, x))


def log1mexp(x: Array) -> Array:
    """``log(1 - exp(x))`` for ``x <= 0`` (Maechler 2012), ``-inf`` at 0 without a NaN derivative."""
    edge = jnp.greater_equal(x, 0.0)
    x = jnp.where(edge, -1.0, x)
    near = jnp.greater(x, -0.6931471805599453)
    value = jnp.where(near, jnp.log(-jnp.expm1(jnp.where(near, x, -1.0))), jnp.log1p(-jnp.exp(jnp.where(near, -1.0, x))))
    return jnp.where(edge, -jnp.inf, value)


def log1p_ratio(x: Array) -> Array:
    """``log(1 + x) / x``, 1 at ``x = 0``, smooth there."""
    small = jnp.abs(x) < 1e-3
    y = jnp.where(small, 1.0, x)
    series = 1.0 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x / 6))))
    return jnp.where(small, series, jnp.log1p(y) / y)


def log_diff_exp(a: Array, b: Array) -> Array:
    """``log(exp(a) - exp(b))`` for ``a >= b``; ``b = -inf`` gives ``a``."""
    none = jnp.isneginf(b)
    return jnp.where(none, a, a + log1mexp(jnp.where(none, -1.0, b - jnp.where(none, 0.0, a))))


def log_interval(log_cdf: tuple[Array, Array], log_survival: tuple[Array, Array]) -> Array:
    """``log(P(a < Y <= b))`` from the logs of both tails at ``(a, b)``, by whichever side is the smaller one."""
    left = log_cdf[1] <= log_survival[0]
    high = jnp.where(left, log_cdf[1], log_survival[0])
    low = jnp.where(left, log_cdf[0], log_survival[1])
    return log_diff_exp(high, low)


def log_mix(logs: Array) -> Array:
    """``log(sum(exp(logs)))`` over the last axis; ``-inf`` without a NaN derivative where all are."""
    empty = jnp.all(jnp.isneginf(logs), axis=-1)
    value = jax.scipy.special.logsumexp(jnp.where(empty[..., None], 0.0, logs), axis=-1)
    return jnp.where(empty, -jnp.inf, value)


def lgamma_ratio(a: Array, n: Array) -> Array:
    """``lgamma(a + n) - lgamma(a)``, without the cancellation of the plain difference for large ``a``."""
    large = jnp.greater(a, 100.0)
    small_a, large_a = jnp.where(large, 1.0, a), jnp.where(large, a, 100.0)
    total = large_a + n
    stirling = (large_a - 0.5) * jnp.log1p(n / large_a) + n * (jnp.log(total) - 1.0) + _stirling_tail(total) - _stirling_tail(large_a)
    return jnp.where(large, stirling, gammaln(small_a + n) - gammaln(small_a))


def _stirling_tail(x: Array) -> Array:
    r = 1.0 / x
    r2 = r * r
    return r * (1.0 / 12.0 - r2 * (1.0 / 360.0 - r2 * (1.0 / 1260.0 - r2 / 1680.0)))


def log_choose(n: Array, k: Array) -> Array:
    """``log(n choose k)``."""
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


# ---------------------------------------------------------------------------------------------------------------------
# Tails of log-concave densities: one Gauss-Legendre rule on the part of the tail that carries its mass. The integrand is
# smooth, so 48 nodes give 1e-12, in the far tails as well; derivatives of every order follow by autodiff.

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _LOG_WEIGHTS = (_NODES + 1.0) / 2.0, np.log(_WEIGHTS / 2.0)
_DROP = 38.0  # the tail is cut where the integrand has fallen by exp(-38)


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
    values = h(start[..., None] + (sign * width)[..., None] * _NODES)
    total = jax.scipy.special.logsumexp(values + _LOG_WEIGHTS, axis=-1) + jnp.log(width)
    return jnp.where(empty, -jnp.inf, total)


def _tail_width(h: Callable[[Array], Array], start: Array, sign: Array, longest: float) -> Array:
    """The least power of two, from 2^-12 on, where ``h`` has fallen by ``_DROP``: all of them at once, then refined likewise."""

    def shortest(widths: Array) -> Array:
        values = h(jnp.concatenate([start[..., None], start[..., None] + sign[..., None] * widths], axis=-1))
        enough = values[..., :1] - values[..., 1:] >= _DROP
        return jnp.min(jnp.where(enough, widths, widths[..., -1:]), axis=-1)

    powers = 2.0 ** np.arange(-12.0, np.ceil(np.log2(longest)) + 1.0)
    coarse = shortest(jnp.broadcast_to(powers, (*start.shape, powers.size)))
    return shortest(coarse[..., None] * np.linspace(0.5, 1.0, 9)[1:])


def log_gammainc(a: Array, x: Array) -> Array:
    """``log P(a, x)``, the regularised lower incomplete gamma function."""
    return log_gamma_tails(a, x)[0]


def log_gammaincc(a: Array, x: Array) -> Array:
    """``log Q(a, x)``, the regularised upper incomplete gamma function."""
    return log_gamma_tails(a, x)[1]


def log_gamma_tails(a: Array, x: Array) -> tuple[Array, Array]:
    """``log P(a, x)`` and ``log Q(a, x)``: on the scale ``v = log t`` the integrand ``exp(a v - exp(v))`` is log-concave.

    The lower tail starts from ``a + 1``, by ``P(a, x) = P(a + 1, x) + x^a e^-x / Gamma(a + 1)``, so that it falls at rate >= 1.
    """
    a, x = jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(x, float))
    zero, infinite = x <= 0.0, jnp.isposinf(x)
    x = jnp.where(zero | infinite, a, x)
    left = x < a
    power, log_x, log_norm = jnp.where(left, a + 1.0, a), jnp.log(x), gammaln(a + 1.0)
    tail = log_tail(lambda v: power[..., None] * v - jnp.exp(v), log_x, jnp.where(left, -1.0, 1.0)) - log_norm
    tail = jnp.where(left, jnp.logaddexp(a * log_x - x - log_norm, tail), tail + jnp.log(a))
    other = log1mexp(jnp.minimum(tail, 0.0))
    log_p, log_q = jnp.where(left, tail, other), jnp.where(left, other, tail)
    log_p, log_q = jnp.where(zero, -jnp.inf, log_p), jnp.where(zero, 0.0, log_q)
    return jnp.where(infinite, 0.0, log_p), jnp.where(infinite, -jnp.inf, log_q)


def log_betainc(a: Array, b: Array, logit_x: Array) -> tuple[Array, Array]:
    """``log I_x(a, b)`` and ``log(1 - I_x(a, b))`` for ``x = 1 / (1 + exp(-logit_x))``: the regularised incomplete beta function."""
    a, b, v = jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(b, float), jnp.asarray(logit_x, float))
    low_edge, high_edge = jnp.isneginf(v), jnp.isposinf(v)
    v = jnp.where(low_edge | high_edge, 0.0, v)
    left = v < jnp.log(a) - jnp.log(b)
    # the smaller side always as a lower tail: I_x(a, b) = 1 - I_(1-x)(b, a)
    p, q, v = jnp.where(left, a, b), jnp.where(left, b, a), jnp.where(left, v, -v)
    log_b = gammaln(p) - lgamma_ratio(q, p)
    first = -p * softplus(-v) - q * softplus(v) - jnp.log(p) - log_b
    p1, q1 = p[..., None] + 1.0, q[..., None]
    rest = log_tail(lambda t: -p1 * softplus(-t) - q1 * softplus(t), v, -1.0) - log_b + jnp.log(p + q) - jnp.log(p)
    small = jnp.logaddexp(first, rest)
    other = log1mexp(small)
    log_i, log_c = jnp.where(left, small, other), jnp.where(left, other, small)
    log_i, log_c = jnp.where(low_edge, -jnp.inf, log_i), jnp.where(low_edge, 0.0, log_c)
    return jnp.where(high_edge, 0.0, log_i), jnp.where(high_edge, -jnp.inf, log_c)


# ---------------------------------------------------------------------------------------------------------------------
# Sums of mass functions

_NOTHING = -1e300  # stands for log(0) where a derivative of -inf would be NaN


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_sum(f: Callable[..., Array], data: tuple[Array, ...], args: tuple[Array, ...]) -> Array:
    """``log(sum of exp(f(k, *more, *args)))`` over whole numbers ``low <= k <= high``, elementwise, with ``data = (low, high, *more)``.

    A ``while`` loop, as long as the longest sum, has no reverse derivative of its own; here it is that of the elementwise
    partial derivatives in ``args``, so that gradients and forward-over-reverse Hessians work.
    """
    return _log_sum(f, data, args)


@log_sum.defjvp
def _log_sum_jvp(f: Callable[..., Array], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    data, args = primals
    out, slope = log_sum(f, data, args), 0.0
    for i, tangent in enumerate(tangents[1]):
        one = tuple(jnp.ones_like(a) if j == i else jnp.zeros_like(a) for j, a in enumerate(args))
        slope = slope + jax.jvp(lambda *a: _log_sum(f, data, a), args, one)[1] * tangent
    return out, slope


def _log_sum(f: Callable[..., Array], data: tuple[Array, ...], args: tuple[Array, ...]) -> Array:
    low, high, *more = data
    steps = jnp.max(high - low) + 1.0

    def add(state: tuple[Array, Array]) -> tuple[Array, Array]:
        i, total = state
        inside = low + i <= high
        term = f(jnp.where(inside, low + i, jnp.maximum(jnp.minimum(low, high), 0.0)), *more, *args)
        return i + 1.0, jnp.logaddexp(total, jnp.where(inside, jnp.maximum(term, _NOTHING), _NOTHING))

    start = jnp.zeros_like(steps), jnp.full(jnp.shape(low), _NOTHING)
    total = jax.lax.while_loop(lambda state: state[0] < steps, add, start)[1]
    return jnp.where(total <= 0.5 * _NOTHING, -jnp.inf, total)
