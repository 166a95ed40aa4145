"""Laws of positive numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import log_gamma
from brim.distributions.numerics.logspace import HALF_LOG_2PI, log1mexp, log_add, log_diff_exp, log_ndtr, where_inside
from brim.distributions.numerics.tails import log_gammainc, log_gammaincc

__all__ = ["Frechet", "Gamma", "InverseGaussian", "LogNormal", "Positive", "Weibull"]

Array = Any


class Positive(Distribution):
    """A law on the numbers above 0: ``_log_prob`` and the tails are asked only there."""

    @property
    def lower(self) -> Array:
        return 0.0

    def log_prob(self, y: Array) -> Array:
        return self._inside(y, self._log_density, -jnp.inf)

    def _inside(self, y: Array, f: Any, otherwise: float) -> Array:
        """``f(y)`` where ``y > 0``, without a NaN derivative elsewhere."""
        return where_inside(jnp.asarray(y) > 0.0, y, 1.0, f, otherwise)

    def _log_density(self, y: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class LogNormal(Distribution):
    """``log(Y - shift)`` is normal with mean ``loc`` and standard deviation ``scale``."""

    loc: Array
    scale: Array
    shift: Array = 0.0

    @property
    def lower(self) -> Array:
        return self.shift

    @property
    def mean(self) -> Array:
        return jnp.exp(self.loc + 0.5 * jnp.square(self.scale)) + self.shift

    @property
    def variance(self) -> Array:
        return jnp.square(self.mean - self.shift) * jnp.expm1(jnp.square(self.scale))

    def _log(self, y: Array) -> tuple[Array, Array]:
        """``log(y - shift)`` and whether it exists."""
        inside = y - self.shift > 0.0
        return jnp.log(jnp.where(inside, y - self.shift, 1.0)), inside

    def partial_mean(self, y: Array) -> Array:
        log_y, inside = self._log(y)
        below = jnp.exp(log_ndtr((log_y - self.loc) / self.scale - self.scale))
        return jnp.where(inside, (self.mean - self.shift) * below, 0.0) + self.shift * self.cdf(y)

    def log_prob(self, y: Array) -> Array:
        log_y, inside = self._log(y)
        z = (log_y - self.loc) / self.scale
        return jnp.where(inside, -0.5 * jnp.square(z) - jnp.log(self.scale) - HALF_LOG_2PI - log_y, -jnp.inf)

    def log_cdf(self, y: Array) -> Array:
        log_y, inside = self._log(y)
        return jnp.where(inside, log_ndtr((log_y - self.loc) / self.scale), -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        log_y, inside = self._log(y)
        return jnp.where(inside, log_ndtr((self.loc - log_y) / self.scale), 0.0)

    def log_beyond(self, y: Array, above: Array) -> Array:
        log_y, inside = self._log(y)
        z = (log_y - self.loc) / self.scale
        return jnp.where(inside, log_ndtr(jnp.where(above, -z, z)), jnp.where(above, 0.0, -jnp.inf))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.shift + jnp.exp(self.loc + self.scale * jax.random.normal(key, self._shape(sample_shape)))


@dataclass(frozen=True)
class Gamma(Positive):
    """Gamma law with this ``shape`` and mean ``exp(log_mean)``."""

    shape: Array
    log_mean: Array
    idle: ClassVar[float | None] = 0.0

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Array:
        return jnp.square(self.mean) / self.shape

    def partial_mean(self, y: Array) -> Array:
        """By the gamma law one size up."""
        return self.mean * self._inside(y, lambda v: jnp.exp(log_gammainc(self.shape + 1.0, v * self.shape / self.mean)), 0.0)

    def _log_density(self, y: Array) -> Array:
        # alpha log(alpha) - lgamma(alpha) does not depend on the row where the shape is one number
        ratio = jnp.log(y) - self.log_mean
        constant = self.shape * jnp.log(self.shape) - log_gamma(self.shape)
        return constant + self.shape * (ratio - jnp.exp(ratio)) - jnp.log(y)

    def log_cdf(self, y: Array) -> Array:
        return log_gammainc(self.shape, self._scaled(y))

    def log_survival(self, y: Array) -> Array:
        return log_gammaincc(self.shape, self._scaled(y))

    def _scaled(self, y: Array) -> Array:
        """``y`` in units of the scale, 0 below 0."""
        return jnp.maximum(y, 0.0) * self.shape * jnp.exp(-self.log_mean)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = jnp.broadcast_to(self.shape, self._shape(sample_shape))
        return jnp.exp(jax.random.loggamma(key, shape) + self.log_mean - jnp.log(self.shape))


@dataclass(frozen=True)
class Weibull(Positive):
    """Weibull law with this ``shape`` and mean ``exp(log_mean)``."""

    shape: Array
    log_mean: Array

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Array:
        return jnp.square(self.mean) * jnp.expm1(log_gamma(1.0 + 2.0 / self.shape) - 2.0 * log_gamma(1.0 + 1.0 / self.shape))

    @property
    def _log_scale(self) -> Array:
        return self.log_mean - log_gamma(1.0 + 1.0 / self.shape)

    def _log_hazard(self, y: Array) -> Array:
        """``shape * log(y / scale)``, the log of the cumulative hazard."""
        return self.shape * (jnp.log(y) - self._log_scale)

    def partial_mean(self, y: Array) -> Array:
        power = 1.0 + 1.0 / self.shape
        return self.mean * self._inside(y, lambda v: jnp.exp(log_gammainc(power, jnp.exp(self._log_hazard(v)))), 0.0)

    def _log_density(self, y: Array) -> Array:
        cumulative = self._log_hazard(y)
        return jnp.log(self.shape) - jnp.log(y) + cumulative - jnp.exp(cumulative)

    def log_cdf(self, y: Array) -> Array:
        return self._inside(y, lambda v: log1mexp(-jnp.exp(self._log_hazard(v))), -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        return self._inside(y, lambda v: -jnp.exp(self._log_hazard(v)), 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        hazard = jax.random.exponential(key, self._shape(sample_shape))
        return jnp.exp(self._log_scale + jnp.log(hazard) / self.shape)


@dataclass(frozen=True)
class Frechet(Positive):
    """Frechet law with shape ``nu > 1`` and mean ``exp(log_mean)``."""

    nu: Array
    log_mean: Array

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_mean)

    def partial_mean(self, y: Array) -> Array:
        """``Y^-nu`` is exponential: its density times ``Y`` is a gamma density."""
        power = 1.0 - 1.0 / self.nu
        return self.mean * self._inside(y, lambda v: jnp.exp(log_gammaincc(power, jnp.exp(self._log_rate(v)))), 0.0)

    def _log_rate(self, y: Array) -> Array:
        """``-nu * log(y / scale)``, the log of ``-log P(Y <= y)``."""
        return -self.nu * (jnp.log(y) - self.log_mean + log_gamma(1.0 - 1.0 / self.nu))

    def _log_density(self, y: Array) -> Array:
        rate = self._log_rate(y)
        return jnp.log(self.nu) - jnp.log(y) + rate - jnp.exp(rate)

    def log_cdf(self, y: Array) -> Array:
        return self._inside(y, lambda v: -jnp.exp(self._log_rate(v)), -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        return self._inside(y, lambda v: log1mexp(-jnp.exp(self._log_rate(v))), 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        rate = jax.random.exponential(key, self._shape(sample_shape))
        return jnp.exp(self.log_mean - log_gamma(1.0 - 1.0 / self.nu) - jnp.log(rate) / self.nu)


@dataclass(frozen=True)
class InverseGaussian(Positive):
    """Inverse Gaussian law with mean ``loc`` and variance ``loc^3 / shape``."""

    loc: Array
    shape: Array

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return self.loc**3 / self.shape

    def partial_mean(self, y: Array) -> Array:
        """The terms of the distribution function, the second one subtracted."""

        def inside(v: Array) -> Array:
            z, second = self._parts(v)
            return jnp.exp(log_ndtr(z)) - jnp.exp(second)

        return self.loc * self._inside(y, inside, 0.0)

    def _log_density(self, y: Array) -> Array:
        z = (y - self.loc) / self.loc
        return 0.5 * (jnp.log(self.shape) - 3.0 * jnp.log(y) - self.shape * jnp.square(z) / y) - HALF_LOG_2PI

    def _parts(self, y: Array) -> tuple[Array, Array]:
        """The two normal terms: ``z`` of the first, the log of the second."""
        root = jnp.sqrt(self.shape / y)
        return root * (y / self.loc - 1.0), 2.0 * self.shape / self.loc + log_ndtr(-root * (y / self.loc + 1.0))

    def log_cdf(self, y: Array) -> Array:
        def inside(v: Array) -> Array:
            z, second = self._parts(v)
            return log_add(log_ndtr(z), second)

        return self._inside(y, inside, -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        def inside(v: Array) -> Array:
            z, second = self._parts(v)
            first = log_ndtr(-z)
            return log_diff_exp(first, jnp.minimum(second, first))

        return self._inside(y, inside, 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        ratio = jnp.broadcast_to(self.loc / self.shape, self._shape(sample_shape))
        return self.shape * jax.random.wald(key, ratio, ratio.shape)
