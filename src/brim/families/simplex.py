"""Families of compositions: rows of proportions that sum to 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import log_gamma
from brim.distributions.numerics.logspace import HALF_LOG_2PI
from brim.errors import BrimError
from brim.families import support
from brim.families.base import Dpar, Extra
from brim.families.categories import CategoryBinding, unbound
from brim.families.constructor import Constructor
from brim.families.dpars import PHI, SIGMA, mu
from brim.families.kinds import Kind
from brim.linalg import cholesky, whitened
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import FAMILY, Reported

__all__ = ["FAMILIES", "Dirichlet", "LogisticNormal"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Dirichlet(Distribution):
    """Dirichlet law with mean ``softmax(logits)`` and precision ``exp(log_phi)``."""

    logits: Array
    log_phi: Array
    event_ndim: ClassVar[int] = 1

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.logits)[:-1], jnp.shape(self.log_phi))

    @property
    def mean(self) -> Array:
        return jax.nn.softmax(self.logits, axis=-1)

    @property
    def _log_shapes(self) -> Array:
        return jax.nn.log_softmax(self.logits, axis=-1) + jnp.asarray(self.log_phi)[..., None]

    def log_prob(self, y: Array) -> Array:
        shapes = jnp.exp(self._log_shapes)
        inside = jnp.all(y > 0.0, axis=-1)
        log_y = jnp.log(jnp.where(inside[..., None], y, 0.5))
        value = log_gamma(jnp.exp(self.log_phi)) + jnp.sum((shapes - 1.0) * log_y - log_gamma(shapes), axis=-1)
        return jnp.where(inside, value, -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = (*self._shape(sample_shape), jnp.shape(self.logits)[-1])
        return jax.nn.softmax(jax.random.loggamma(key, jnp.broadcast_to(jnp.exp(self._log_shapes), shape)), axis=-1)


@dataclass(frozen=True)
class LogisticNormal(Distribution):
    """Logistic normal law: ``log(y_k / y_ref)`` is multivariate normal.

    Attributes
    ----------
    loc, scale
        (N, K - 1): means and standard deviations of the log ratios.
    corr_low
        (K - 1, K - 1): Cholesky factor of their correlations.
    reference
        Position of the reference category.
    """

    loc: Array
    scale: Array
    corr_low: Array
    reference: int
    event_ndim: ClassVar[int] = 1

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale))[:-1]

    @property
    def mean(self) -> Array:
        raise BrimError("the expectation of logistic_normal has no closed form", hint="average posterior_predict() instead")

    def log_prob(self, y: Array) -> Array:
        inside = jnp.all(y > 0.0, axis=-1)
        log_y = jnp.log(jnp.where(inside[..., None], y, 0.5))
        others = np.delete(np.arange(jnp.shape(y)[-1]), self.reference)
        z = (log_y[..., others] - log_y[..., self.reference, None] - self.loc) / self.scale
        log_det = jnp.sum(jnp.log(self.scale), axis=-1) + jnp.sum(jnp.log(jnp.diagonal(self.corr_low)))
        squares = sum(jnp.square(w) for w in whitened(self.corr_low, jnp.unstack(z, axis=-1)))
        value = -0.5 * squares - HALF_LOG_2PI * len(others) - log_det - jnp.sum(log_y, axis=-1)
        return jnp.where(inside, value, -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        n = jnp.shape(self.corr_low)[-1]
        white = jax.random.normal(key, (*self._shape(sample_shape), n))
        ratios = self.loc + self.scale * (white @ jnp.transpose(self.corr_low))
        return jax.nn.softmax(jnp.insert(ratios, self.reference, 0.0, axis=-1), axis=-1)


@final
@dataclass(frozen=True)
class LogRatioCorrelation(Extra):
    """Correlations ``lncor`` of the log ratios, sampled as a Cholesky factor under an LKJ prior."""

    names: tuple[str, ...]

    def _key(self, where: Where) -> str:
        return f"Llncor{where.suffix}"

    def params(self, where: Where) -> tuple[Param, ...]:
        n = len(self.names)
        return (Param(self._key(where), (n, n), (Slot("lncor", where=where, default="lkj(1)"),), space="cholesky_corr"),) if n > 1 else ()

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each correlation, in the order (1, 2), (1, 3), (2, 3), (1, 4), ..."""
        row, col = np.tril_indices(len(self.names), -1)
        return row, col

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        if len(self.names) < 2:
            return {}
        low = params[self._key(where)]
        return {f"lncor{where.suffix}": (low @ low.T)[self._pairs()]}

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        if len(self.names) < 2:
            return {}
        return {self._key(where): self._low(reported[f"lncor{where.suffix}"])}

    def _low(self, correlations: Array) -> Array:
        half = jnp.zeros((len(self.names),) * 2).at[self._pairs()].set(correlations)
        return cholesky(half + half.T + jnp.eye(len(self.names)))

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        """The Cholesky factor as it is sampled, or from the reported correlations, which predictions start from."""
        if len(self.names) < 2:
            return {"lncor": Dpar(jnp.eye(1))}
        low = values[self._key(where)] if self._key(where) in values else self._low(values[f"lncor{where.suffix}"])
        return {"lncor": Dpar(low)}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        if len(self.names) < 2:
            return ()
        key = f"lncor{where.suffix}"
        names = [f"{key}__{self.names[j]}__{self.names[i]}" for i, j in zip(*self._pairs(), strict=True)]
        return (Reported(key, np.array(names, dtype=object), FAMILY, key),)


def _logistic_normal(logits: Array, d: Dpars, data: Data, names: tuple[str, ...]) -> LogisticNormal:
    reference = names.index("")
    kept = [name for name in names if name]
    scale = jnp.stack(jnp.broadcast_arrays(*(d[f"sigma{name}"].value for name in kept)), axis=-1)
    return LogisticNormal(jnp.delete(logits, reference, axis=-1, assume_unique_indices=True), scale, d["lncor"].value, reference)


def _log_ratio_extras(names: tuple[str, ...]) -> tuple[Extra, ...]:
    return (LogRatioCorrelation(tuple(name for name in names if name)),)


FAMILIES = (
    Constructor(
        name="dirichlet",
        summary="Dirichlet distribution of proportions that sum to 1: one predictor a category (softmax), precision ``phi``.",
        dpars=(mu(("logit",)), PHI),
        distribution=unbound,
        support=support.simplex,
        kind=Kind.SIMPLEX,
        additions=("weights", "subset", "index"),
        options={"refcat": None},
        binding=CategoryBinding(lambda logits, d, data, names: Dirichlet(logits, d["phi"].log)),
    ),
    Constructor(
        name="logistic_normal",
        summary="Logistic normal distribution of proportions that sum to 1: log ratios to ``refcat``, each with its ``mu`` and ``sigma``.",
        dpars=(mu(("identity",)), SIGMA),
        distribution=unbound,
        support=support.simplex,
        kind=Kind.SIMPLEX,
        additions=("weights", "subset", "index"),
        options={"refcat": None},
        binding=CategoryBinding(_logistic_normal, each=("mu", "sigma"), extras=_log_ratio_extras),
    ),
)
