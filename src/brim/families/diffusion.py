"""The Wiener diffusion model of choices and their times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import polynomial
from brim.distributions.numerics.logspace import HALF_LOG_2PI
from brim.distributions.numerics.rows import in_one_pass
from brim.families import support
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import BIAS, BS, NDT, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES", "Wiener", "log_first_passage"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]

_SWITCH = 0.36  # on either side, the terms left out are below the last digit
_EARLIEST = 1e-60  # the powers of its reciprocal that second derivatives hold are finite
_DECAY = 0.5 * np.pi**2
_FALL = tuple((-1.0) ** k / math.factorial(k + 1) for k in range(13))


@dataclass(frozen=True)
class Wiener(Distribution):
    """First passage of a diffusion with ``drift`` between 0 and ``separation``, started at ``bias * separation``.

    ``upper_hit`` says which boundary was hit (1 = upper); ``log_prob`` is the density of the time on that boundary, so the
    two boundaries' densities together integrate to 1. ``sample`` draws both: times, negative for the lower boundary if
    ``signed``.
    """

    drift: Array
    separation: Array
    delay: Array
    bias: Array
    upper_hit: Array
    signed: bool = False

    @property
    def lower(self) -> Array:
        return self.delay

    @property
    def mean(self) -> Array:
        """Mean time over both boundaries, ``delay + (a P(upper) - z) / drift``."""
        start = self.bias * self.separation
        small = jnp.abs(self.drift) * self.separation < 1e-5
        drift = jnp.where(small, 1.0, self.drift)
        moving = (self.separation * self._upper_probability(drift) - start) / drift
        return self.delay + jnp.where(small, start * (self.separation - start), moving)

    def _upper_probability(self, drift: Array) -> Array:
        """``(1 - exp(-2 v z)) / (1 - exp(-2 v a))``."""
        v = 2.0 * drift * self.separation
        v = jnp.where(jnp.abs(v) < 1e-8, 1e-8, v)
        # for v < 0 both are multiplied by exp(v)
        gone = jnp.where(v > 0.0, 0.0, v)
        return (jnp.exp(gone) - jnp.exp(gone - v * self.bias)) / (jnp.exp(gone) - jnp.exp(gone - v))

    def log_prob(self, y: Array) -> Array:
        upper = jnp.asarray(self.upper_hit) > 0
        drift = jnp.where(upper, -self.drift, self.drift)
        start = jnp.where(upper, 1.0 - self.bias, self.bias)
        time = y - self.delay
        inside = time > 0.0
        time = jnp.where(inside, time, 1.0)
        scaled = time / jnp.square(self.separation)
        value = log_first_passage(scaled, self.bias, upper) - 2.0 * jnp.log(self.separation)
        value = value - drift * self.separation * start - 0.5 * jnp.square(drift) * time
        return jnp.where(inside, value, -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """The boundary by its probability, then the time by inverting its distribution function on a fine grid."""
        first, second = jax.random.split(key)
        shape = self._shape(sample_shape)
        upper = jax.random.uniform(first, shape) < self._upper_probability(self.drift)
        u = jax.random.uniform(second, shape)
        time = self.delay + jnp.broadcast_to(jnp.square(self.separation), shape) * self._scaled_time(u, upper)
        return jnp.where(upper, time, -time) if self.signed else time

    def _scaled_time(self, u: Array, upper: Array) -> Array:
        """Quantiles ``u`` of the time to a boundary in units of ``separation^2``."""
        grid = jnp.linspace(-9.0, 5.0, 1024)
        time = jnp.exp(grid)
        bias, hit = (jnp.broadcast_to(v, jnp.shape(upper))[..., None] for v in (self.bias, upper))
        speed = jnp.square(jnp.broadcast_to(self.drift * self.separation, jnp.shape(upper)))[..., None]
        density = jnp.exp(log_first_passage(time, bias, hit) - 0.5 * speed * time + grid)
        mass = jnp.cumsum(0.5 * (density[..., 1:] + density[..., :-1]), axis=-1)
        mass = jnp.concatenate([jnp.zeros_like(mass[..., :1]), mass], axis=-1) / mass[..., -1:]
        flat = jax.vmap(lambda v, m: jnp.interp(v, m, grid))(jnp.ravel(u), mass.reshape(-1, grid.size))
        return jnp.exp(flat.reshape(jnp.shape(u)))


@in_one_pass
def log_first_passage(time: Array, bias: Array, upper: Array) -> Array:
    """Log density of the time to 0 (to 1 where ``upper``) of a driftless diffusion between 0 and 1 started at ``bias``.

    Navarro and Fuss (2009): two series of the same density. Either is written relative to its leading term, and in the distance
    to the nearer boundary, so that no digits are lost where the start is close to a boundary; two exponentials serve both.
    """
    low = bias < 0.5
    least = jnp.where(low, bias, 1.0 - bias)
    near = low != upper  # whether the boundary hit is the nearer one
    early = time < _SWITCH
    rate = 1.0 / jnp.where(early, jnp.maximum(time, _EARLIEST), _SWITCH)
    late = jnp.where(early, _SWITCH, time)
    turn = 2.0 * least * rate
    p = _exponential(jnp.where(early, -turn, -_DECAY * late))
    q = _exponential(2.0 * (least - 1.0) * rate)
    images = least * _images(p, q, 2.0 * rate * _mean_fall(turn, p), near) * rate * jnp.sqrt(rate)
    start = jnp.where(near, least, 1.0 - least)
    cosine = jnp.cos(jnp.pi * least)
    waves = jnp.pi * jnp.sin(jnp.pi * least) * _waves(p, jnp.where(near, cosine, -cosine))
    lead = jnp.where(early, -0.5 * jnp.square(start) * rate - HALF_LOG_2PI, -_DECAY * late)
    return jnp.log(jnp.where(early, images, waves)) + lead


@jax.custom_jvp
def _exponential(x: Array) -> Array:
    """``exp(x)``, kept by the maximum from XLA, which makes another exponential of every power of a plain one."""
    return jnp.maximum(jnp.exp(x), 0.0)


@_exponential.defjvp
def _exponential_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = _exponential(*primals)
    return value, value * tangents[0]


def _images(p: Array, q: Array, fall: Array, near: Array) -> Array:
    """The images of the start, ``sum (start + 2 k) exp(-2 k (start + k) / time)``, over the distance ``m`` to the nearer boundary.

    ``p = exp(-2 m / time)``, ``q = exp(-2 (1 - m) / time)``, ``fall = (1 - p) / m``. Images whose weights differ little are taken
    together: ``k`` and ``-k`` from the nearer boundary, ``k`` and ``-1 - k`` from the other one.
    """
    p2 = p * p
    p4, sum2 = p2 * p2, 1.0 + p + p2
    up, q2 = 1.0 + p, q * q
    q4 = q2 * q2
    to_near = 1.0 + q * (1.0 + p2 - 2.0 * fall * up) + p2 * q4 * (1.0 + p4 - 4.0 * fall * up * (1.0 + p2))
    second = 3.0 * fall * sum2 - 1.0 - p2 * p
    third = 5.0 * fall * (sum2 + p2 * p + p4) - 1.0 - p4 * p
    return jnp.where(near, to_near, fall - up + p * q2 * (second + p2 * p * q4 * third))


def _mean_fall(x: Array, p: Array) -> Array:
    """``(1 - p) / x`` for ``p = exp(-x)``."""
    small = x < 0.25
    series = polynomial(_FALL, jnp.where(small, x, 0.0))
    return jnp.where(small, series, (1.0 - p) / jnp.where(small, 1.0, x))


def _waves(u: Array, cosine: Array) -> Array:
    """``sum over k of k sin(k a) / sin(a) u^(k^2 - 1)`` for ``cosine = cos(a)``."""
    u2 = u * u
    u3, u5 = u2 * u, u2 * u2 * u
    square = cosine * cosine
    fourth = 16.0 * cosine * (2.0 * square - 1.0) * u5 * u2
    return 1.0 + u3 * (4.0 * cosine + u5 * (3.0 * (4.0 * square - 1.0) + fourth))


def _epred(d: Dpars, data: Data) -> Array:
    """Brms' ``posterior_epred``, whose formula takes ``bias`` as it is for the starting point instead of ``bias * bs``."""
    drift, bias, bs = d["mu"].value, d["bias"].value, d["bs"].value
    return d["ndt"].value - bias / drift + bs / drift * jnp.expm1(-2.0 * drift * bias) / jnp.expm1(-2.0 * drift * bs)


FAMILIES = (
    Constructor(
        name="wiener",
        summary="Diffusion model of decision times: drift ``mu``, boundary separation ``bs``, non-decision time ``ndt``, ``bias``.",
        dpars=(mu(("identity", "log", "softplus", "squareplus")), BS, NDT, BIAS),
        distribution=lambda d, data: Wiener(
            d["mu"].value, d["bs"].value, d["ndt"].value, d["bias"].value, data.get("dec", 1.0), bool(data.get("negative_rt", False))
        ),
        support=support.interval(0.0, float("inf"), "positive numbers"),
        kind=Kind.POSITIVE,
        additions=("weights", "subset", "dec", "index"),
        expectation=_epred,
    ),
)
