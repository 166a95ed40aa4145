"""Families of unordered categories, and of counts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from brim.distributions.base import Distribution
from brim.distributions.numerics.categories import draw_category, log_cumulative, take_category
from brim.distributions.numerics.gammas import lgamma_ratio, log_factorial
from brim.distributions.numerics.logspace import times
from brim.families import log_base, support
from brim.families.base import Dpar
from brim.families.categories import CategoryBinding, unbound
from brim.families.constructor import Constructor
from brim.families.dpars import PHI, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES", "Categorical", "DirichletMultinomial", "Multinomial"]

Array = Any


@dataclass(frozen=True)
class Categorical(Distribution):
    """Category ``1..K`` with probabilities ``softmax(logits)``; ``mean`` are these probabilities, (N, K)."""

    logits: Array
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.shape(self.logits)[:-1]

    @property
    def lower(self) -> Array:
        return 1.0

    @property
    def upper(self) -> Array:
        return float(jnp.shape(self.logits)[-1])

    @property
    def mean(self) -> Array:
        return jax.nn.softmax(self.logits, axis=-1)

    def log_prob(self, y: Array) -> Array:
        return take_category(self.logits, y, 1) - logsumexp(self.logits, axis=-1)

    def log_cdf(self, y: Array) -> Array:
        return log_cumulative(jax.nn.log_softmax(self.logits, axis=-1), y, 1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return draw_category(key, self.logits, self._shape(sample_shape), 1)


@dataclass(frozen=True)
class Multinomial(Distribution):
    """Counts of K categories in ``trials`` trials with probabilities ``softmax(logits)``."""

    trials: Array
    logits: Array
    event_ndim: ClassVar[int] = 1

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.trials), jnp.shape(self.logits)[:-1])

    @property
    def mean(self) -> Array:
        return jnp.asarray(self.trials)[..., None] * jax.nn.softmax(self.logits, axis=-1)

    def log_kernel(self, y: Array) -> Array:
        return jnp.sum(times(y, jax.nn.log_softmax(self.logits, axis=-1)), axis=-1)

    def log_prob(self, y: Array) -> Array:
        return self.log_kernel(y) + log_factorial(self.trials) - jnp.sum(log_factorial(y), axis=-1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return _multinomial(key, self.trials, jax.nn.softmax(self.logits, axis=-1), self._shape(sample_shape))


@dataclass(frozen=True)
class DirichletMultinomial(Distribution):
    """Multinomial counts whose probabilities are Dirichlet with mean ``softmax(logits)`` and precision ``exp(log_phi)``."""

    trials: Array
    logits: Array
    log_phi: Array
    event_ndim: ClassVar[int] = 1

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.trials), jnp.shape(self.logits)[:-1], jnp.shape(self.log_phi))

    @property
    def mean(self) -> Array:
        return jnp.asarray(self.trials)[..., None] * jax.nn.softmax(self.logits, axis=-1)

    @property
    def _shapes(self) -> Array:
        return jnp.exp(jax.nn.log_softmax(self.logits, axis=-1) + jnp.asarray(self.log_phi)[..., None])

    def log_kernel(self, y: Array) -> Array:
        return jnp.sum(lgamma_ratio(self._shapes, y), axis=-1) - lgamma_ratio(jnp.exp(self.log_phi), self.trials)

    def log_prob(self, y: Array) -> Array:
        return self.log_kernel(y) + log_factorial(self.trials) - jnp.sum(log_factorial(y), axis=-1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        first, second = jax.random.split(key)
        shape = self._shape(sample_shape)
        logs = jax.random.loggamma(first, jnp.broadcast_to(self._shapes, (*shape, self.logits.shape[-1])))
        return _multinomial(second, self.trials, jax.nn.softmax(logs, axis=-1), shape)


def _multinomial(key: Array, trials: Array, probs: Array, shape: tuple[int, ...]) -> Array:
    """Counts category by category, each binomial in what is left."""
    probs = jnp.broadcast_to(probs, (*shape, probs.shape[-1]))
    left, rest, out = jnp.broadcast_to(jnp.asarray(trials, float), shape), jnp.ones(shape), []
    for k in range(probs.shape[-1] - 1):
        share = jnp.clip(probs[..., k] / jnp.maximum(rest, 1e-300), 0.0, 1.0)
        out.append(jax.random.binomial(jax.random.fold_in(key, k), left, share))
        left, rest = left - out[-1], rest - probs[..., k]
    return jnp.stack([*out, left], axis=-1)


def _of_counts(logits: Array, d: Mapping[str, Dpar], data: Mapping[str, Any], names: tuple[str, ...]) -> Distribution:
    return Multinomial(data["trials"], logits)


FAMILIES = (
    Constructor(
        name="categorical",
        summary="Unordered categories: one predictor for each but ``refcat``, probabilities by softmax.",
        dpars=(mu(("logit",)),),
        distribution=unbound,
        support=support.category,
        kind=Kind.CATEGORY,
        additions=("weights", "subset", "index"),
        options={"refcat": None},
        binding=CategoryBinding(lambda logits, d, data, names: Categorical(logits)),
    ),
    Constructor(
        name="multinomial",
        summary="Counts of categories (a matrix response) in ``trials`` trials: one predictor for each category but ``refcat``.",
        dpars=(mu(("logit",)),),
        distribution=unbound,
        support=support.counts,
        kind=Kind.COUNTS,
        additions=("weights", "subset", "trials", "index"),
        options={"refcat": None},
        binding=CategoryBinding(_of_counts),
        log_base=log_base.of_parts,
    ),
    Constructor(
        name="dirichlet_multinomial",
        summary="Overdispersed counts of categories (a matrix response): multinomial with Dirichlet probabilities of precision ``phi``.",
        dpars=(mu(("logit",)), PHI),
        distribution=unbound,
        support=support.counts,
        kind=Kind.COUNTS,
        additions=("weights", "subset", "trials", "index"),
        options={"refcat": None},
        binding=CategoryBinding(lambda logits, d, data, names: DirichletMultinomial(data["trials"], logits, d["phi"].log)),
        log_base=log_base.of_parts,
    ),
)
