"""Counts that are more or less dispersed than Poisson or binomial ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from brim.distributions.base import Distribution
from brim.distributions.numerics.conway import HEAD, com_log_mass, com_log_sum, com_mean, log_normaliser
from brim.distributions.numerics.counts import LARGE, at_or_above, poisson, rounded_normal
from brim.distributions.numerics.gammas import lgamma_ratio, log_gamma, log_rising
from brim.distributions.numerics.logspace import log1mexp, log_choose, log_diff_exp, log_sum
from brim.distributions.numerics.tails import log_gammaincc
from brim.families import log_base, support
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import COUNT_LINKS, PHI, SHAPE, UNIT_LINKS, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES", "BetaBinomial", "ComPoisson", "DiscreteWeibull"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class BetaBinomial(Distribution):
    """Binomial counts whose probability is beta distributed with mean ``prob`` and precision ``phi``."""

    trials: Array
    prob: Dpar
    log_phi: Array
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.trials), jnp.shape(self.prob.eta), jnp.shape(self.log_phi))

    @property
    def upper(self) -> Array:
        return self.trials

    @property
    def mean(self) -> Array:
        return self.trials * self.prob.value

    @property
    def variance(self) -> Array:
        phi = jnp.exp(self.log_phi)
        return self.mean * (1.0 - self.prob.value) * (1.0 + (self.trials - 1.0) / (phi + 1.0))

    def _shapes(self) -> tuple[Array, Array]:
        log_a, log_b = self.prob.shares(self.log_phi)
        return jnp.exp(log_a), jnp.exp(log_b)

    def log_kernel(self, y: Array) -> Array:
        log_a, log_b = self.prob.shares(self.log_phi)
        return log_rising(log_a, y) + log_rising(log_b, self.trials - y) - lgamma_ratio(jnp.exp(self.log_phi), self.trials)

    def log_prob(self, y: Array) -> Array:
        inside = (y >= 0.0) & (y <= self.trials)
        return jnp.where(inside, self.log_kernel(jnp.clip(y, 0.0, self.trials)) + log_choose(self.trials, y), -jnp.inf)

    def _log_tails(self, y: Array) -> tuple[Array, Array]:
        """The sum of the mass function over ``0..y`` or ``y + 1..trials``, whichever is the smaller side, and its complement."""
        shape = jnp.broadcast_shapes(jnp.shape(y), self.batch_shape)
        n = jnp.broadcast_to(self.trials, shape)
        y = jnp.broadcast_to(jnp.floor(y), shape)
        a, b = (jnp.broadcast_to(s, shape) for s in self._shapes())
        left = y < n * a / (a + b)
        low, high = jnp.where(left, 0.0, jnp.maximum(y + 1.0, 0.0)), jnp.where(left, y, n)
        tail = jnp.minimum(log_sum(_beta_binomial_log_mass, (low, high, n), (a, b)), 0.0)
        other = log1mexp(tail)
        return jnp.where(left, tail, other), jnp.where(left, other, tail)

    def log_cdf(self, y: Array) -> Array:
        return self._log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self._log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        first, second, third = jax.random.split(key, 3)
        shape = self._shape(sample_shape)
        a, b = (jnp.broadcast_to(s, shape) for s in self._shapes())
        logit = jax.random.loggamma(first, a) - jax.random.loggamma(second, b)
        return jax.random.binomial(third, self.trials, jax.nn.sigmoid(logit), shape)


def _beta_binomial_log_mass(k: Array, n: Array, a: Array, b: Array) -> Array:
    return log_choose(n, k) + lgamma_ratio(a, k) + lgamma_ratio(b, n - k) - lgamma_ratio(a + b, n)


@dataclass(frozen=True)
class DiscreteWeibull(Distribution):
    """``P(Y >= k) = prob^(k^shape)``: the whole part of a Weibull variable (Nakagawa and Osaki 1975)."""

    prob: Dpar
    shape: Array
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.prob.eta), jnp.shape(self.shape))

    @property
    def mean(self) -> Array:
        """``sum over k >= 1 of P(Y >= k)``: the first terms, then Euler and Maclaurin's formula for the rest."""
        rate, shape = jnp.broadcast_arrays(-self.prob.log, self.shape)
        head = jnp.sum(jnp.exp(-rate[..., None] * jnp.arange(1.0, HEAD) ** shape[..., None]), axis=-1)
        hazard = rate * HEAD**shape
        integral = jnp.exp(log_gamma(1.0 / shape) - jnp.log(shape) - jnp.log(rate) / shape + log_gammaincc(1.0 / shape, hazard))
        slope = -hazard * shape / HEAD
        return head + integral + jnp.exp(-hazard) * (0.5 - slope / 12.0 + slope**3 / 720.0)

    def _log_reach(self, k: Array) -> Array:
        """``log P(Y >= k)`` for ``k >= 0``."""
        zero = k <= 0.0
        power = jnp.exp(jnp.minimum(self.shape * jnp.log(jnp.where(zero, 1.0, k)), 690.0))
        return jnp.where(zero, 0.0, power * self.prob.log)

    def log_prob(self, y: Array) -> Array:
        return log_diff_exp(self._log_reach(y), self._log_reach(y + 1.0))

    def log_survival(self, y: Array) -> Array:
        return at_or_above(y, 0, self._log_reach(jnp.maximum(jnp.floor(y), 0.0) + 1.0), 0.0)

    def log_cdf(self, y: Array) -> Array:
        return at_or_above(y, 0, log1mexp(self._log_reach(jnp.maximum(jnp.floor(y), 0.0) + 1.0)), -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        hazard = jax.random.exponential(key, self._shape(sample_shape)) / -self.prob.log
        return jnp.ceil(hazard ** (1.0 / self.shape)) - 1.0


@dataclass(frozen=True)
class ComPoisson(Distribution):
    """Conway-Maxwell-Poisson counts: mass proportional to ``(mu^y / y!)^shape``, with mode about ``mu = exp(log_mu)``."""

    log_mu: Array
    shape: Array
    discrete: ClassVar[bool] = True

    @property
    def mean(self) -> Array:
        return com_mean(self.log_mu, self.shape)

    def _log_sums(self, y: Array) -> tuple[Array, Array]:
        """Logs of the unnormalised mass of everything, and of what lies above ``y``."""
        k, log_mu, shape = jnp.broadcast_arrays(jnp.floor(y), self.log_mu, self.shape)
        return log_normaliser(self.log_mu, self.shape), com_log_sum(jnp.maximum(k, -1.0) + 1.0, log_mu, shape)

    def log_prob(self, y: Array) -> Array:
        return com_log_mass(y, self.log_mu, self.shape) - log_normaliser(self.log_mu, self.shape)

    def log_survival(self, y: Array) -> Array:
        total, above = self._log_sums(y)
        return at_or_above(y, 0, jnp.minimum(above - total, 0.0), 0.0)

    def log_cdf(self, y: Array) -> Array:
        """Small counts by their sum, larger ones as the complement of the upper tail."""
        k, log_mu, shape = jnp.broadcast_arrays(jnp.floor(y), self.log_mu, self.shape)
        total, above = self._log_sums(y)
        head = jnp.arange(HEAD)
        few = (k >= 0) & (k < HEAD)
        mass = com_log_mass(head, log_mu[..., None], shape[..., None])
        below = logsumexp(jnp.where(few[..., None] & (head > k[..., None]), -jnp.inf, mass), axis=-1) - total
        many = log1mexp(jnp.where(few, -1.0, jnp.minimum(above - total, 0.0)))
        return at_or_above(y, 0, jnp.where(few, jnp.minimum(below, 0.0), many), -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Rejection from Poisson counts (``shape >= 1``) or geometric ones (Benson and Friel 2021).

        Large ones are drawn as normal, with variance ``mu / shape``.
        """
        shape = self._shape(sample_shape)
        given, nu = (jnp.broadcast_to(jnp.asarray(v, float), shape) for v in (self.log_mu, self.shape))
        plain = (given < math.log(LARGE)) & jnp.isfinite(nu)
        log_mu, nu = jnp.where(plain, given, 0.0), jnp.where(plain, nu, 1.0)
        large = rounded_normal(jax.random.fold_in(key, 1), jnp.exp(given), jnp.exp(given) / self.shape, shape)
        mode = jnp.floor(jnp.exp(log_mu))
        p = 2.0 * nu / (2.0 * jnp.exp(log_mu) * nu + 1.0 + nu)
        narrow = nu >= 1.0
        peak = jnp.where(narrow, mode, jnp.floor(jnp.exp(log_mu) / (1.0 - p) ** (1.0 / nu)))
        rest, slope = jnp.where(narrow, nu - 1.0, nu), jnp.where(narrow, 0.0, jnp.log1p(-p))

        def log_ratio(k: Array) -> Array:
            return com_log_mass(k, log_mu, rest) - k * slope

        def attempt(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            key, y, open_ = state
            key, first, second, third = jax.random.split(key, 4)
            wide = jnp.floor(-jax.random.exponential(first, shape) / jnp.log1p(-p))
            proposal = jnp.where(narrow, poisson(second, jnp.exp(log_mu), shape), wide)
            accepted = -jax.random.exponential(third, shape) < log_ratio(proposal) - log_ratio(peak)
            return key, jnp.where(open_ & accepted, proposal, y), open_ & ~accepted

        drawn = jax.lax.while_loop(lambda s: jnp.any(s[2]), attempt, (key, jnp.zeros(shape), plain))[1]
        return jnp.where(plain, drawn, large)


FAMILIES = (
    Constructor(
        name="beta_binomial",
        summary="Beta-binomial counts: ``trials`` trials with mean probability ``mu`` and precision ``phi``.",
        dpars=(mu((*UNIT_LINKS, "identity")), PHI),
        distribution=lambda d, data: BetaBinomial(data.get("trials", 1.0), d["mu"], d["phi"].log),
        support=support.up_to_trials,
        kind=Kind.COUNT,
        additions=("weights", "subset", "trials", "cens", "trunc", "index"),
        log_base=log_base.of_successes,
    ),
    Constructor(
        name="discrete_weibull",
        summary="Discrete Weibull counts: ``P(Y >= k) = mu^(k^shape)``.",
        dpars=(mu((*UNIT_LINKS, "identity")), SHAPE),
        distribution=lambda d, data: DiscreteWeibull(d["mu"], d["shape"].value),
        support=support.whole,
        kind=Kind.COUNT,
        additions=("weights", "subset", "cens", "trunc", "index"),
    ),
    Constructor(
        name="com_poisson",
        summary="Conway-Maxwell-Poisson counts: mass proportional to ``(mu^y / y!)^shape``.",
        dpars=(mu(COUNT_LINKS), SHAPE),
        distribution=lambda d, data: ComPoisson(d["mu"].log, d["shape"].value),
        support=support.whole,
        kind=Kind.COUNT,
        additions=("weights", "subset", "cens", "trunc", "index"),
    ),
)
