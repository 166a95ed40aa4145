"""Special functions in log space, smooth in every argument, with cheap derivatives where autodiff is wasteful."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

from brim.distributions.numerics.gammas import log_factorial

__all__ = [
    "FAR",
    "HALF_LOG_2PI",
    "fall_ratio",
    "log0",
    "log1mexp",
    "log1p_ratio",
    "log_add",
    "log_choose",
    "log_diff_exp",
    "log_interval",
    "log_mix",
    "log_ndtr",
    "log_ndtr_odds",
    "log_phi",
    "log_sum",
    "logistic",
    "mills",
    "once",
    "rate_of",
    "softplus",
    "times",
    "where_inside",
]

Array = Any

HALF_LOG_2PI = 0.9189385332046727


def where_inside(inside: Array, y: Array, stand_in: Array, f: Callable[[Array], Array], otherwise: float = -jnp.inf) -> Array:
    """``f(y)`` where ``inside``, else ``otherwise``; ``f`` sees ``stand_in`` there, so that no slope is NaN.

    Examples
    --------
    >>> y = jnp.array([-1.0, 1.0])
    >>> where_inside(y > 0.0, y, 1.0, jnp.log).tolist()
    [-inf, 0.0]
    """
    return jnp.where(inside, f(jnp.where(inside, y, stand_in)), otherwise)


def once(value: Array, like: Array) -> Array:
    """``value``, which the compiler then computes in one go and keeps for all that read it.

    XLA repeats sums and selections for each of their readers, and stores what costs more and is read by several: where a formula
    ends in a selection, all that enters it is torn into arrays of their own. A quotient is stored. The divisor is 1, or NaN where
    ``like`` is, so that XLA cannot leave it out.

    Examples
    --------
    >>> float(once(2.5, 0.0))
    2.5
    """
    like = jax.lax.stop_gradient(like)
    return value / jnp.where(jnp.isnan(like), like, 1.0)


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``; the derivative is the logistic function, from the same exponential."""
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return softplus(x), logistic(x) * dx


@jax.custom_jvp
def logistic(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, by ``exp(-|x|)`` as in ``softplus``, so that the compiler computes it once."""
    fall = jnp.exp(-jnp.abs(x))
    return jnp.where(x < 0.0, fall, 1.0) / (1.0 + fall)


@logistic.defjvp
def _logistic_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return logistic(x), logistic(x) * logistic(-x) * dx


@jax.custom_jvp
def log_add(a: Array, b: Array) -> Array:
    """``log(exp(a) + exp(b))``; the derivatives are the two shares of the sum."""
    return jnp.maximum(a, b) + jnp.log1p(jnp.exp(-jnp.abs(_gap(a, b))))


@log_add.defjvp
def _log_add_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    return log_add(a, b), logistic(_gap(a, b)) * da + logistic(_gap(b, a)) * db


def _gap(a: Array, b: Array) -> Array:
    """``a - b``, 0 where both are the same infinity."""
    return jnp.where(jnp.equal(a, b), 0.0, a - b)


@jax.custom_jvp
def log0(x: Array) -> Array:
    """``log(x)`` whose derivative at 0 is huge instead of infinite, so that it times 0 is 0 and not NaN."""
    return jnp.log(x)


@log0.defjvp
def _log0_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return log0(x), dx / jnp.where(jnp.equal(x, 0.0), 1e-150, x)


FAR = -37.0  # below, erfc underflows and the asymptotic series has all digits


def mills(x: Array) -> Array:
    """``Phi(x) / phi(x) * -x`` for ``x`` far below 0."""
    r = 1.0 / (x * x)
    return 1.0 - r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r)))


def log_phi(x: Array) -> Array:
    """``log`` of the standard normal density."""
    return -0.5 * x * x - HALF_LOG_2PI


@jax.custom_jvp
def log_ndtr(x: Array) -> Array:
    """``log`` of the standard normal distribution function, with one ``erfc`` and one logarithm a side."""
    far = x < FAR
    tail = 0.5 * erfc(jnp.abs(jnp.where(far, 0.0, x)) * 0.7071067811865476)
    z = jnp.where(far, x, FAR)
    lower = jnp.log(jnp.where(far, -mills(z) / z, tail)) + jnp.where(far, log_phi(z), 0.0)
    return jnp.where(x < 0.0, lower, jnp.log1p(-tail))


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    value, far = once(log_ndtr(x), x), x < FAR
    near, z = jnp.where(far, 0.0, x), jnp.where(far, x, FAR)
    slope = jnp.exp(log_phi(near) - jnp.where(far, 0.0, value))
    return value, jnp.where(far, -z / mills(z), slope) * dx


@jax.custom_jvp
def log_ndtr_odds(x: Array) -> Array:
    """``log(Phi(x) / Phi(-x))``, with one ``erfc`` and one logarithm."""
    size = jnp.abs(x)
    tail, far, z = _small_tail(size)
    odds = jnp.where(far, z / mills(z), 1.0) - 1.0
    value = jnp.log1p(jnp.where(far, odds, (1.0 - 2.0 * tail) / tail)) - jnp.where(far, log_phi(z), 0.0)
    return once(jnp.sign(x) * value, x)


def _small_tail(size: Array) -> tuple[Array, Array, Array]:
    """``Phi(-size)``, whether ``size`` is too far out for it to be a number, and such a ``size``."""
    far = size > -FAR
    return 0.5 * erfc(jnp.where(far, 0.0, size) * 0.7071067811865476), far, jnp.where(far, size, -FAR)


@log_ndtr_odds.defjvp
def _log_ndtr_odds_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """The slope is ``phi(x) / (Phi(x) Phi(-x))``; far out ``phi / Phi`` alone, from the series."""
    (x,), (dx,) = primals, tangents
    size = jnp.abs(x)
    tail, far, z = _small_tail(size)
    slope = jnp.exp(log_phi(jnp.where(far, 0.0, size))) / (tail * (1.0 - tail))
    return log_ndtr_odds(x), jnp.where(far, z / mills(z), slope) * dx


_FULL = 690.0  # exp(690) is finite, and so is its product with what multiplies it


@jax.custom_jvp
def rate_of(eta: Array) -> Array:
    """``exp(eta)``, huge instead of infinite far out, so that a zero times its derivative is 0 and not NaN."""
    return jnp.exp(jnp.minimum(eta, _FULL))


@rate_of.defjvp
def _rate_of_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    rate = rate_of(*primals)
    return rate, rate * tangents[0]


_SERIES = 0.02  # where a few terms give all digits


@jax.custom_jvp
def fall_ratio(x: Array) -> Array:
    """``s = x / (exp(x) - 1)`` for ``x >= 0``."""
    return jnp.where(x < _SERIES, 1.0 - x * (0.5 - x * (1.0 / 12.0 - x * x / 720.0)), x * jnp.exp(-x) / -jnp.expm1(-x))


@fall_ratio.defjvp
def _fall_ratio_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """``s (1 - x - s) / x``, whose terms cancel where ``x`` is small."""
    (x,), (dx,) = primals, tangents
    ratio, small = fall_ratio(x), x < _SERIES
    r = jnp.where(small, x, 0.0)
    rest = jnp.where(small, -0.5 - r * (1.0 / 12.0 - r * r / 720.0), (1.0 - x - ratio) / jnp.where(small, 1.0, x))
    return ratio, ratio * rest * dx


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


def log_choose(n: Array, k: Array) -> Array:
    """``log(n choose k)`` for whole numbers, ``-inf`` outside ``0..n``."""
    return log_factorial(n) - log_factorial(jnp.maximum(k, -1.0)) - log_factorial(jnp.maximum(n - k, -1.0))


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
