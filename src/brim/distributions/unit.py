"""Laws between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import log_gamma, log_rising
from brim.distributions.numerics.tails import log_betainc

__all__ = ["Beta", "Unit"]

Array = Any


class Unit(Distribution):
    """A law on the numbers from 0 to 1."""

    @property
    def lower(self) -> Array:
        return 0.0

    @property
    def upper(self) -> Array:
        return 1.0


@dataclass(frozen=True)
class Beta(Unit):
    """Beta law by the logs of its two shape parameters, which keep their digits where a shape underflows."""

    log_a: Array
    log_b: Array
    idle: ClassVar[float | None] = 0.0

    @property
    def mean(self) -> Array:
        return jax.nn.sigmoid(self.log_a - self.log_b)

    @property
    def variance(self) -> Array:
        a, b = self.shapes
        return self.mean * (1.0 - self.mean) / (1.0 + a + b)

    @property
    def shapes(self) -> tuple[Array, Array]:
        """The two shape parameters."""
        return jnp.exp(self.log_a), jnp.exp(self.log_b)

    def log_prob(self, y: Array) -> Array:
        a, b = self.shapes
        inside = (y > 0.0) & (y < 1.0)
        y = jnp.where(inside, y, 0.5)
        # 1 / B(a, b), with log(b) - log(b!) for the gamma function of a b that may underflow
        value = log_rising(self.log_a, b) + self.log_b - log_gamma(1.0 + b) + (a - 1.0) * jnp.log(y) + (b - 1.0) * jnp.log1p(-y)
        return jnp.where(inside, value, -jnp.inf)

    def log_tails(self, y: Array) -> tuple[Array, Array]:
        """``log_cdf`` and ``log_survival``, which share their work."""
        inside = (y > 0.0) & (y < 1.0)
        z = jnp.where(inside, y, 0.5)
        below, above = log_betainc(*self.shapes, jnp.where(inside, jnp.log(z) - jnp.log1p(-z), jnp.inf))
        low = jnp.asarray(y) <= 0.0
        return jnp.where(inside, below, jnp.where(low, -jnp.inf, 0.0)), jnp.where(inside, above, jnp.where(low, 0.0, -jnp.inf))

    def log_cdf(self, y: Array) -> Array:
        return self.log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self.log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        first, second = jax.random.split(key)
        a, b = (jnp.broadcast_to(s, self._shape(sample_shape)) for s in self.shapes)
        return jax.nn.sigmoid(jax.random.loggamma(first, a) - jax.random.loggamma(second, b))
