"""Laws on the whole real line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import log_gamma
from brim.distributions.numerics.intervals import log_ndtr_between
from brim.distributions.numerics.logspace import HALF_LOG_2PI, log_ndtr
from brim.distributions.numerics.tails import log_betainc

__all__ = ["Normal", "StudentT"]

Array = Any


@dataclass(frozen=True)
class Normal(Distribution):
    """``N(loc, scale^2)``."""

    loc: Array
    scale: Array

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return jnp.square(self.scale)

    def partial_mean(self, y: Array) -> Array:
        return self.loc * self.cdf(y) - jnp.square(self.scale) * jnp.exp(self.log_prob(y))

    def log_prob(self, y: Array) -> Array:
        return -0.5 * jnp.square((y - self.loc) / self.scale) - jnp.log(self.scale) - HALF_LOG_2PI

    def log_cdf(self, y: Array) -> Array:
        return log_ndtr((y - self.loc) / self.scale)

    def log_survival(self, y: Array) -> Array:
        return log_ndtr((self.loc - y) / self.scale)

    def log_beyond(self, y: Array, above: Array) -> Array:
        z = (y - self.loc) / self.scale
        return log_ndtr(jnp.where(above, -z, z))

    def log_between(self, low: Array, high: Array) -> Array:
        return log_ndtr_between((low - self.loc) / self.scale, (high - self.loc) / self.scale)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.loc + self.scale * jax.random.normal(key, self._shape(sample_shape))


@dataclass(frozen=True)
class StudentT(Distribution):
    """Student's t with ``df`` degrees of freedom; brms takes ``loc`` for its mean whatever ``df``."""

    df: Array
    loc: Array
    scale: Array

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return jnp.where(self.df > 2, jnp.square(self.scale) * self.df / jnp.where(self.df > 2, self.df - 2, 1.0), jnp.inf)

    def partial_mean(self, y: Array) -> Array:
        z = (y - self.loc) / self.scale
        return self.loc * self.cdf(y) - jnp.square(self.scale) * (self.df + jnp.square(z)) / (self.df - 1.0) * jnp.exp(self.log_prob(y))

    def log_prob(self, y: Array) -> Array:
        z = (y - self.loc) / self.scale
        constant = log_gamma(0.5 * (self.df + 1.0)) - log_gamma(0.5 * self.df) - 0.5 * jnp.log(jnp.pi * self.df) - jnp.log(self.scale)
        return constant - 0.5 * (self.df + 1.0) * jnp.log1p(jnp.square(z) / self.df)

    def _log_tails(self, y: Array) -> tuple[Array, Array]:
        """The tail beyond ``|z|`` is ``I_x(df / 2, 1 / 2) / 2`` with ``x = df / (df + z^2)``."""
        z = (y - self.loc) / self.scale
        logit = jnp.log(self.df) - 2.0 * jnp.log(jnp.maximum(jnp.abs(z), 1e-150))
        outer = log_betainc(0.5 * self.df, jnp.asarray(0.5), logit)[0] - jnp.log(2.0)
        inner = jnp.log1p(-jnp.exp(outer))
        return jnp.where(z < 0, outer, inner), jnp.where(z < 0, inner, outer)

    def log_cdf(self, y: Array) -> Array:
        return self._log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self._log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.loc + self.scale * jax.random.t(key, self.df, self._shape(sample_shape))
