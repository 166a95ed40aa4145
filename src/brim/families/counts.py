"""Families of counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.counts import at_or_above, poisson, unless_all_zero
from brim.distributions.numerics.gammas import lgamma_ratio, log_factorial
from brim.distributions.numerics.logspace import log1mexp, log_choose, softplus, times
from brim.distributions.numerics.tails import log_betainc, log_gammainc, log_gammaincc
from brim.families import log_base, support
from brim.families.additions import log_exposed
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import COUNT_LINKS, PROBABILITY_LINKS, SHAPE_NB, SIGMA_NB2, mu
from brim.families.kinds import Kind
from brim.families.links import LINKS

__all__ = ["FAMILIES", "Bernoulli", "Binomial", "NegBinomial", "Poisson"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Bernoulli(Distribution):
    """``P(Y = 1) = prob``; the probability stays on its link's scale."""

    prob: Dpar
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.shape(self.prob.eta)

    @property
    def upper(self) -> Array:
        return 1.0

    @property
    def mean(self) -> Array:
        return self.prob.value

    @property
    def variance(self) -> Array:
        return self.prob.value * (1.0 - self.prob.value)

    def log_prob(self, y: Array) -> Array:
        return self.prob.link.outcome_log(self.prob.eta, y)

    def log_cdf(self, y: Array) -> Array:
        return at_or_above(y, 0, at_or_above(y, 1, 0.0, self.prob.log1m), -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        return at_or_above(y, 0, at_or_above(y, 1, -jnp.inf, self.prob.log), 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        drawn = jax.random.bernoulli(key, self.prob.value, self._shape(sample_shape)).astype(float)
        return jnp.where(jnp.isnan(self.prob.value), jnp.nan, drawn)


@dataclass(frozen=True)
class Binomial(Distribution):
    """Successes in ``trials`` trials; the probability stays on its link's scale."""

    trials: Array
    prob: Dpar
    discrete: ClassVar[bool] = True
    idle: ClassVar[float | None] = -1.0

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.trials), jnp.shape(self.prob.eta))

    @property
    def upper(self) -> Array:
        return self.trials

    @property
    def mean(self) -> Array:
        return self.trials * self.prob.value

    @property
    def variance(self) -> Array:
        return self.mean * (1.0 - self.prob.value)

    def partial_mean(self, y: Array) -> Array:
        """``k P(k; n) = n p P(k - 1; n - 1)``."""
        return self.mean * Binomial(self.trials - 1.0, self.prob).cdf(y - 1.0)

    def log_kernel(self, y: Array) -> Array:
        return self.prob.link.bernoulli_log(self.prob.eta, y, self.trials - y)

    def log_prob(self, y: Array) -> Array:
        return self.log_kernel(y) + log_choose(self.trials, y)

    def _log_tails(self, y: Array) -> tuple[Array, Array]:
        """``P(Y > k) = I_p(k + 1, n - k)`` for ``0 <= k < n``."""
        k = jnp.clip(jnp.floor(y), 0, self.trials - 1)
        logit = at_or_above(y, 0, self.prob.logit, jnp.inf)
        above, below = log_betainc(k + 1.0, jnp.maximum(self.trials - k, 1.0), logit)
        cdf = at_or_above(y, 0, at_or_above(y, self.trials, 0.0, below), -jnp.inf)
        return cdf, at_or_above(y, 0, at_or_above(y, self.trials, -jnp.inf, above), 0.0)

    def log_cdf(self, y: Array) -> Array:
        return self._log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self._log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return jax.random.binomial(key, self.trials, self.prob.value, self._shape(sample_shape))


@dataclass(frozen=True)
class Poisson(Distribution):
    """Poisson counts with mean ``exp(log_rate)``."""

    log_rate: Array
    discrete: ClassVar[bool] = True
    idle: ClassVar[float | None] = -1.0

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_rate)

    @property
    def variance(self) -> Array:
        return self.mean

    def partial_mean(self, y: Array) -> Array:
        """``k P(k) = mean P(k - 1)``."""
        return self.mean * self.cdf(y - 1.0)

    def log_kernel(self, y: Array) -> Array:
        return times(y, self.log_rate) - jnp.exp(self.log_rate)

    def log_prob(self, y: Array) -> Array:
        return self.log_kernel(y) - log_factorial(y)

    def log_cdf(self, y: Array) -> Array:
        k = jnp.maximum(jnp.floor(y), 0.0)
        tail = unless_all_zero(k, lambda: -jnp.exp(self.log_rate), lambda: log_gammaincc(k + 1.0, self._rate_at(y)))
        return at_or_above(y, 0, tail, -jnp.inf)

    def log_survival(self, y: Array) -> Array:
        k = jnp.maximum(jnp.floor(y), 0.0)
        some = LINKS["cloglog"].log_inverse
        tail = unless_all_zero(k, lambda: some(self.log_rate), lambda: log_gammainc(k + 1.0, self._rate_at(y)))
        return at_or_above(y, 0, tail, 0.0)

    def _rate_at(self, y: Array) -> Array:
        """The rate, 0 where no tail is to be computed."""
        return at_or_above(y, 0, jnp.exp(self.log_rate), 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return poisson(key, self.mean, self._shape(sample_shape))


@dataclass(frozen=True)
class NegBinomial(Distribution):
    """Negative binomial counts with mean ``exp(log_mean)`` and variance ``mean + mean^2 / shape``."""

    log_mean: Array
    log_shape: Array
    discrete: ClassVar[bool] = True
    idle: ClassVar[float | None] = -1.0

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Array:
        return self.mean * (1.0 + jnp.exp(self.log_mean - self.log_shape))

    def partial_mean(self, y: Array) -> Array:
        """``k P(k) = mean P(k - 1)`` of the law one size up."""
        more = jnp.log1p(jnp.exp(self.log_shape))
        return self.mean * NegBinomial(self.log_mean + more - self.log_shape, more).cdf(y - 1.0)

    def log_kernel(self, y: Array) -> Array:
        shape, logit = jnp.exp(self.log_shape), self.log_mean - self.log_shape
        return lgamma_ratio(shape, y) - times(y, softplus(-logit)) - shape * softplus(logit)

    def log_prob(self, y: Array) -> Array:
        return self.log_kernel(y) - log_factorial(y)

    def _log_tails(self, y: Array) -> tuple[Array, Array]:
        """``P(Y <= k) = I_x(shape, k + 1)`` with ``x = shape / (shape + mean)``."""
        k = jnp.maximum(jnp.floor(y), 0.0)
        shape, logit = jnp.exp(self.log_shape), self.log_shape - self.log_mean
        log_none = -shape * softplus(-logit)

        def tails() -> tuple[Array, Array]:
            return log_betainc(shape, k + 1.0, at_or_above(y, 0, logit, jnp.inf))

        cdf, survival = unless_all_zero(k, lambda: (log_none, log1mexp(log_none)), tails)
        return at_or_above(y, 0, cdf, -jnp.inf), at_or_above(y, 0, survival, 0.0)

    def log_cdf(self, y: Array) -> Array:
        return self._log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self._log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """A Poisson count whose rate is gamma distributed."""
        first, second = jax.random.split(key)
        shape = jnp.broadcast_to(jnp.exp(self.log_shape), self._shape(sample_shape))
        log_rate = jax.random.loggamma(first, shape) + self.log_mean - self.log_shape
        return poisson(second, jnp.exp(log_rate), shape.shape)


_ADDITIONS = ("weights", "subset", "cens", "trunc", "rate", "index")

FAMILIES = (
    Constructor(
        name="bernoulli",
        summary="Zeros and ones: ``P(Y = 1) = mu``.",
        dpars=(mu(PROBABILITY_LINKS),),
        distribution=lambda d, data: Bernoulli(d["mu"]),
        support=support.binary,
        kind=Kind.BINARY,
        additions=("weights", "subset", "index"),
    ),
    Constructor(
        name="binomial",
        summary="Successes in ``trials`` trials, each with probability ``mu``.",
        dpars=(mu(PROBABILITY_LINKS),),
        distribution=lambda d, data: Binomial(data.get("trials", 1.0), d["mu"]),
        support=support.up_to_trials,
        kind=Kind.COUNT,
        additions=("weights", "subset", "trials", "cens", "trunc", "index"),
        log_base=log_base.of_successes,
    ),
    Constructor(
        name="poisson",
        summary="Poisson counts with mean ``mu`` (times the denominator of ``rate()``).",
        dpars=(mu(COUNT_LINKS),),
        distribution=lambda d, data: Poisson(log_exposed(d["mu"].log, data)),
        support=support.whole,
        kind=Kind.COUNT,
        additions=_ADDITIONS,
        log_base=log_base.of_counts,
    ),
    Constructor(
        name="negbinomial",
        summary="Negative binomial counts with mean ``mu`` and variance ``mu + mu^2 / shape``; ``rate()`` multiplies both parameters.",
        dpars=(mu(COUNT_LINKS), SHAPE_NB),
        distribution=lambda d, data: NegBinomial(log_exposed(d["mu"].log, data), log_exposed(d["shape"].log, data)),
        support=support.whole,
        kind=Kind.COUNT,
        additions=_ADDITIONS,
        log_base=log_base.of_counts,
    ),
    Constructor(
        name="negbinomial2",
        summary="Negative binomial counts with mean ``mu`` and variance ``mu + sigma mu^2``.",
        dpars=(mu(COUNT_LINKS), SIGMA_NB2),
        distribution=lambda d, data: NegBinomial(log_exposed(d["mu"].log, data), log_exposed(-d["sigma"].log, data)),
        support=support.whole,
        kind=Kind.COUNT,
        additions=_ADDITIONS,
        log_base=log_base.of_counts,
    ),
    Constructor(
        name="geometric",
        summary="Geometric counts with mean ``mu``: negative binomial ones with ``shape = 1``.",
        dpars=(mu(COUNT_LINKS),),
        distribution=lambda d, data: NegBinomial(log_exposed(d["mu"].log, data), log_exposed(jnp.zeros(()), data)),
        support=support.whole,
        kind=Kind.COUNT,
        additions=_ADDITIONS,
        log_base=log_base.of_counts,
    ),
)
