"""The Wiener diffusion model of choices and their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.families import support
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.distributions import Distribution
from brim.families.dpars import BIAS, BS, NDT, mu

__all__ = ["FAMILIES", "Wiener"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]

# Navarro and Fuss (2009): two series of the same density. With these many terms each is exact to double precision on its
# side of the switch, and well beyond it.
_SWITCH = 0.4
_SHORT = np.arange(-3.0, 4.0)
_LONG = np.arange(1.0, 7.0)


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
        value = _log_first_passage(scaled, start) - 2.0 * jnp.log(self.separation)
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
        start = jnp.where(upper, 1.0 - self.bias, self.bias)[..., None]
        speed = jnp.square(jnp.broadcast_to(self.drift * self.separation, jnp.shape(upper)))[..., None]
        density = jnp.exp(_log_first_passage(time, start) - 0.5 * speed * time + grid)
        mass = jnp.cumsum(0.5 * (density[..., 1:] + density[..., :-1]), axis=-1)
        mass = jnp.concatenate([jnp.zeros_like(mass[..., :1]), mass], axis=-1) / mass[..., -1:]
        flat = jax.vmap(lambda v, m: jnp.interp(v, m, grid))(jnp.ravel(u), mass.reshape(-1, grid.size))
        return jnp.exp(flat.reshape(jnp.shape(u)))


def _log_first_passage(time: Array, start: Array) -> Array:
    """Log density of the time to 0 of a driftless diffusion between 0 and 1 started at ``start``."""
    time, start = jnp.broadcast_arrays(time, start)
    early = time < _SWITCH
    t = jnp.where(early, time, _SWITCH)[..., None]
    place = start[..., None] + 2.0 * _SHORT
    lead = jnp.square(start)[..., None]
    images = jnp.sum(place * jnp.exp(-(jnp.square(place) - lead) / (2.0 * t)), axis=-1)
    short = jnp.log(images) - 0.5 * lead[..., 0] / t[..., 0] - 1.5 * jnp.log(t[..., 0]) - 0.5 * jnp.log(2.0 * jnp.pi)
    t = jnp.where(early, _SWITCH, time)[..., None]
    waves = jnp.sum(_LONG * jnp.sin(jnp.pi * _LONG * start[..., None]) * jnp.exp(-0.5 * jnp.pi**2 * (_LONG**2 - 1.0) * t), axis=-1)
    long = jnp.log(jnp.pi * waves) - 0.5 * jnp.pi**2 * t[..., 0]
    return jnp.where(early, short, long)


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
        kind="positive",
        additions=("weights", "subset", "dec", "index"),
        expectation=_epred,
    ),
)
