"""The normaliser of Conway-Maxwell-Poisson counts, ``Z = sum over k of (mu^k / k!)^shape``, and sums of its upper terms.

Three ways to the same number, each where it is exact to the last digits: an asymptotic series for masses wide and far from 0, the
plain sum where it is short, and a sum completed by an integral for what is left (hardly any mass falls off, or all sits on few counts).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from brim.distributions.numerics.gammas import along, log_factorial, polynomial
from brim.distributions.numerics.rows import on_rows
from brim.distributions.numerics.tails import log_tail

__all__ = ["HEAD", "com_log_mass", "com_log_sum", "com_mean", "log_normaliser"]

Array = Any
Moments = tuple[Array, Array, Array]

#: How many terms of an infinite sum are added one by one before the integral takes over.
HEAD = 64.0

# Row j: the coefficient of (shape mu)^-j in the expansion of log Z, a polynomial in shape^2, the constant first. They follow from those
# of Z (Gaunt, Iyengar, Olde Daalhuis and Simsek 2019, Annals of the Institute of Statistical Mathematics 71) in exact fractions.
_SERIES = (
    (-0.041666666666666664, 0.041666666666666664),
    (-0.020833333333333332, 0.020833333333333332),
    (-0.02795138888888889, 0.029513888888888888, -0.0015625),
    (-0.06371527777777777, 0.07118055555555555, -0.007465277777777778),
    (-0.20712253361992947, 0.2435402199074074, -0.036942997685185185, 0.0005253113977072311),
    (-0.8772707231040564, 1.079369212962963, -0.2089699074074074, 0.006871417548500882),
    (-4.585044500047077, 5.872482308775169, -1.3586262719425155, 0.07163044314465755, -0.0004419799302340535),
    (-28.522031703547544, 37.86163010728983, -10.05756534529321, 0.7291310717960023, -0.011164130245076426),
    (-205.83470670879382, 282.15647386347945, -83.80924327117005, 7.685829562322312, -0.19902691131896794, 0.000673465481052151),
    (-1690.7024386694811, 2385.9501328856036, -777.7800683115324, 85.68653211040075, -3.181992935757765, 0.027834920767140097),
    (
        -15574.531521949988,
        22568.908827935153,
        -7963.652736507849,
        1018.0022230338535,
        -49.48179552216256,
        0.7566127733340196,
        -0.0016097623392222408,
    ),
    (
        -159022.58378053154,
        236103.22806158412,
        -89235.14409963918,
        12912.837621014723,
        -775.7192441030207,
        17.480191874924497,
        -0.09875020002095111,
    ),
)
# With these bounds on shape * mu and mu / shape the series is right to 1e-14, and so is the plain sum's first term no smaller than 1e-260.
_FAR, _WIDE, _LARGEST = 50.0, 2.5, 600.0
_BLOCK, _MOST = 8, 4096.0


@jax.custom_jvp
def log_normaliser(log_mu: Array, shape: Array) -> Array:
    """``log Z``, elementwise; its derivatives are ``shape E[k]`` in ``log(mu)`` and ``E[k] log(mu) - E[log k!]`` in ``shape``.

    Examples
    --------
    >>> round(float(log_normaliser(0.5, 1.0)), 5)  # exp(0.5), as Poisson's
    1.64872
    """
    return _moments(log_mu, shape)[0]


def _log_normaliser_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    log_mu, shape = primals
    value, count, log_fact = _moments(log_mu, shape)
    in_shape = (lambda: log_mu * count - log_fact, tangents[1])
    return value, along(value, (lambda: shape * count, tangents[0]), in_shape)


log_normaliser.defjvp(_log_normaliser_jvp, symbolic_zeros=True)


def com_mean(log_mu: Array, shape: Array) -> Array:
    """``E[k]``."""
    return _moments(log_mu, shape)[1]


def _moments(log_mu: Array, shape: Array) -> Moments:
    """``log Z``, ``E[k]`` and ``E[log k!]``."""
    log_mu, shape = jnp.asarray(log_mu, float), jnp.asarray(shape, float)
    mu = jnp.exp(log_mu)
    far = (shape * mu >= _FAR) & (mu >= _WIDE * shape)
    short = ~far & (shape * mu <= _LARGEST) & _ends_soon(mu, shape)
    by_series = _with_moments(_by_series, log_mu, shape)
    one_by_one = on_rows(_one_by_one, short, jnp.where(short, log_mu, 0.0), shape)
    rest = on_rows(_by_integral, ~(far | short), jnp.where(far | short, 0.0, log_mu), shape)
    parts = zip(by_series, one_by_one, rest, strict=True)
    first, second, third = (jnp.where(far, a, jnp.where(short, b, c)) for a, b, c in parts)
    return first, second, third


def _ends_soon(mu: Array, shape: Array) -> Array:
    """Whether the terms from number ``_MOST`` on are below the last digit."""
    return shape * (_MOST * (math.log(_MOST) - 1.0 - jnp.log(mu)) + mu) > 45.0


def _with_moments(f: Any, log_mu: Array, shape: Array) -> Moments:
    """``f = log Z`` and the two expectations that its derivatives give."""
    value, slope = jax.jvp(lambda x: f(x, shape), (log_mu,), (jnp.ones_like(log_mu),))
    in_shape = jax.jvp(lambda x: f(log_mu, x), (shape,), (jnp.ones_like(shape),))[1]
    count = slope / shape
    return value, count, log_mu * count - in_shape


def _by_series(log_mu: Array, shape: Array) -> Array:
    far = jnp.maximum(shape * jnp.exp(log_mu), _FAR)
    square, r, total = jnp.square(jnp.minimum(shape, 1e12)), 1.0 / far, jnp.zeros(())
    for row in _SERIES[::-1]:
        total = (total + polynomial(row, square)) * r
    return far - 0.5 * (shape - 1.0) * (log_mu + math.log(2.0 * math.pi)) - 0.5 * jnp.log(shape) + total


def _one_by_one(log_mu: Array, shape: Array) -> Moments:
    """All terms from ``k = 0`` on, in blocks, until no row has a term that counts."""
    rate, one = jnp.exp(shape * log_mu), jnp.ones(jnp.broadcast_shapes(jnp.shape(log_mu), jnp.shape(shape)))
    zero = jnp.zeros_like(one)

    def block(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, log_fact, _, term, total, count, facts = state
        for _ in range(_BLOCK):
            k = k + 1.0
            log_k = jnp.log(k)
            log_fact, ratio = log_fact + log_k, rate * jnp.exp(-shape * log_k)
            term = term * ratio
            total, count, facts = total + term, count + k * term, facts + log_fact * term
        # what follows is less than a geometric series
        return k, log_fact, jnp.any(term > 1e-17 * total * (1.0 - ratio)), term, total, count, facts

    def unfinished(state: tuple[Array, ...]) -> Array:
        return state[2] & (state[0] < _MOST)

    start = jnp.zeros(()), jnp.zeros(()), jnp.asarray(True), one, one, zero, zero
    total, count, facts = jax.lax.while_loop(unfinished, block, start)[4:]
    return jnp.log(total), count / total, facts / total


def _by_integral(log_mu: Array, shape: Array) -> Moments:
    def f(x: Array, s: Array) -> Array:
        x, s = jnp.broadcast_arrays(x, s)
        return com_log_sum(jnp.zeros_like(x), x, s)

    return _with_moments(f, log_mu, shape)


def com_log_mass(k: Array, log_mu: Array, shape: Array) -> Array:
    """Log of the unnormalised mass at ``k``."""
    return shape * (k * log_mu - log_factorial(k))


def com_log_sum(start: Array, log_mu: Array, shape: Array) -> Array:
    """``log`` of the sum of ``(mu^k / k!)^shape`` over ``k >= start``.

    The first terms are added one by one, beginning where the mass begins to count; the rest is their integral with Euler
    and Maclaurin's corrections, which are tiny by then: either the terms are, or they change slowly.
    """
    mode = jnp.exp(log_mu)
    first = jax.lax.stop_gradient(jnp.maximum(start, jnp.floor(mode - 9.0 * jnp.sqrt(mode / shape))))
    last = first + HEAD
    terms = com_log_mass(first[..., None] + jnp.arange(HEAD), log_mu[..., None], shape[..., None])
    x = last + 1.0
    slope = shape * (log_mu - jnp.log(x) + 0.5 / x + 1.0 / (12.0 * x * x))
    bend, twist = -shape * (1.0 / x + 0.5 / (x * x)), shape / (x * x)
    edge = 0.5 - slope / 12.0 + (slope**3 + 3.0 * slope * bend + twist) / 720.0
    peak = jax.lax.stop_gradient(jnp.maximum(mode - 0.5, last))

    def h(k: Array) -> Array:
        return com_log_mass(jnp.maximum(k, 0.0), log_mu[..., None], shape[..., None])

    # both sides of the peak at once: the right tail, and the left one back to where the single terms ended
    limits = jnp.stack([jnp.full_like(peak, jnp.inf), peak - last])
    signs = jnp.stack([jnp.ones_like(peak), -jnp.ones_like(peak)])
    sides = log_tail(h, jnp.stack([peak] * 2), signs, longest=2.0**24, limit=limits)
    corner = com_log_mass(last, log_mu, shape) + jnp.log(jnp.maximum(edge, 1e-100))  # whose square is a number: second derivatives
    return logsumexp(jnp.stack([logsumexp(terms, axis=-1), sides[0], sides[1], corner]), axis=0)
