"""The law of a response: what every family's distribution can do, and what follows from its density and tails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brim.distributions.numerics.logspace import log1mexp, log_interval
from brim.errors import BrimError

__all__ = ["Distribution"]

Array = Any


class Distribution(ABC):
    """The law of a response, one a row; every subclass is a frozen dataclass of its parameters.

    Methods have NumPyro's names; the two tails are kept in log space, so that truncation and censoring far out stay finite.
    Subclasses give ``log_prob``, ``sample``, ``mean`` and one or both of ``log_cdf`` and ``log_survival``.

    Attributes
    ----------
    discrete
        Whether ``log_prob`` is a mass function on whole numbers.
    event_ndim
        Number of trailing axes of one observation (1 for simplices and count vectors).
    idle
        A response outside the support at which the tails cost nothing, if there is one: rows that need no tail are asked there.
    """

    discrete: ClassVar[bool] = False
    event_ndim: ClassVar[int] = 0
    idle: ClassVar[float | None] = None

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the rows: all parameters broadcast."""
        shapes = [jnp.shape(getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]
        return jnp.broadcast_shapes(*shapes)

    @property
    def lower(self) -> Array:
        """The lower end of the support."""
        return 0.0 if self.discrete else -jnp.inf

    @property
    def upper(self) -> Array:
        """The upper end of the support."""
        return jnp.inf

    @property
    def atoms(self) -> tuple[float, ...]:
        """Points with a mass of their own under an otherwise continuous law."""
        return ()

    @property
    @abstractmethod
    def mean(self) -> Array:
        """The expectation of the response, as brms' ``posterior_epred`` defines it."""

    @abstractmethod
    def log_prob(self, y: Array) -> Array:
        """Log density (mass) at ``y``, normalised."""

    def log_kernel(self, y: Array) -> Array:
        """``log_prob`` less terms that no parameter enters (``log(y!)``, ...): all a sampler needs, and cheaper."""
        return self.log_prob(y)

    @abstractmethod
    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of shape ``sample_shape + batch_shape (+ event)``."""

    def log_cdf(self, y: Array) -> Array:
        """``log P(Y <= y)``."""
        self._needs_tails("log_survival")
        return log1mexp(self.log_survival(y))

    def log_survival(self, y: Array) -> Array:
        """``log P(Y > y)``."""
        self._needs_tails("log_cdf")
        return log1mexp(self.log_cdf(y))

    def log_beyond(self, y: Array, above: Array) -> Array:
        """``log P(Y > y)`` where ``above``, else ``log P(Y <= y)``."""
        return jnp.where(above, self.log_survival(y), self.log_cdf(y))

    def log_between(self, low: Array, high: Array) -> Array:
        """``log P(low < Y <= high)``."""
        return log_interval((self.log_cdf(low), self.log_cdf(high)), (self.log_survival(low), self.log_survival(high)))

    def cdf(self, y: Array) -> Array:
        """``P(Y <= y)``."""
        return jnp.exp(self.log_cdf(y))

    def partial_mean(self, y: Array) -> Array:
        """``E[Y; Y <= y]`` for finite ``y``, from which truncated means follow."""
        if not self.discrete or self.event_ndim:
            raise BrimError(f"the mean of a truncated {type(self).__name__} is not available", hint="average posterior_predict() instead")
        steps = jnp.maximum(jnp.max(y), 0.0) + 1.0

        def add(k: Array, total: Array) -> Array:
            return total + jnp.where(k <= y, k * jnp.exp(self.log_prob(k)), 0.0)

        shape = jnp.broadcast_shapes(jnp.shape(y), self.batch_shape)
        return jax.lax.fori_loop(0, steps.astype(int), lambda i, total: add(i * 1.0, total), jnp.zeros(shape))

    @property
    def variance(self) -> Array:
        """The variance of the response (of Pearson residuals); not every family has one."""
        raise BrimError(f"{type(self).__name__} has no variance here")

    def _needs_tails(self, other: str) -> None:
        """Each tail follows from the other one; without either there is no distribution function."""
        if getattr(type(self), other) is getattr(Distribution, other):
            raise BrimError(f"{type(self).__name__} has no distribution function", hint="censoring and truncation need one")

    def _shape(self, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sample_shape) + self.batch_shape

    def quantile(self, u: Array) -> Array:
        """The smallest ``y`` with ``P(Y <= y) >= u``, by bracketing and bisection on the distribution function."""
        shape = jnp.broadcast_shapes(jnp.shape(u), self.batch_shape)
        u = jnp.broadcast_to(u, shape)
        low, high = self._bracket(u)

        def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            mid = 0.5 * (low + high)
            mid = jnp.floor(mid) if self.discrete else mid
            reached = self.cdf(mid) >= u
            return jnp.where(reached, low, mid), jnp.where(reached, mid, high)

        return jax.lax.fori_loop(0, 64, halve, (low, high))[1]

    def _bracket(self, u: Array) -> tuple[Array, Array]:
        """``low < quantile <= high``, doubling the distance from the mean (from zero where that is not finite)."""
        centre = jnp.broadcast_to(jnp.where(jnp.isfinite(self.mean), self.mean, 0.0), jnp.shape(u))
        centre = jnp.floor(centre) if self.discrete else centre
        bottom = self.lower - 1.0 if self.discrete else self.lower

        def widen(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            low = jnp.where(self.cdf(low) >= u, jnp.maximum(centre - 2.0 * (centre - low), bottom), low)
            high = jnp.where(self.cdf(high) < u, jnp.minimum(centre + 2.0 * (high - centre), self.upper), high)
            return low, high

        start = jnp.maximum(centre - 1.0, bottom), jnp.minimum(centre + 1.0, self.upper)
        return jax.lax.fori_loop(0, 64, widen, start)
