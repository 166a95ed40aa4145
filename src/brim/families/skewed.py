"""Skewed and heavy-tailed families on the whole real line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import along, log_gamma
from brim.distributions.numerics.logspace import HALF_LOG_2PI, log1mexp, log1p_ratio, log_add, log_diff_exp, log_ndtr, once
from brim.distributions.numerics.tails import log_tail
from brim.families import support
from brim.families.additions import scale_of
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import ALPHA, BETA, QUANTILE, REAL_LINKS, SIGMA, UNIT_LINKS, XI, mu

__all__ = ["FAMILIES", "AsymLaplace", "ExGaussian", "GenExtremeValue", "SkewNormal"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]

_EULER = 0.5772156649015329


@dataclass(frozen=True)
class SkewNormal(Distribution):
    """Azzalini's skew normal by its mean ``loc``, its standard deviation ``scale`` and the slant ``alpha``."""

    loc: Array
    scale: Array
    alpha: Array

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return jnp.square(self.scale)

    def _standard(self) -> tuple[Array, Array, Array]:
        """``delta sqrt(2 / pi)``, location and scale of the direct parameterisation."""
        shift = self.alpha / jnp.sqrt(1.0 + jnp.square(self.alpha)) * jnp.sqrt(2.0 / jnp.pi)
        omega = self.scale / jnp.sqrt(1.0 - jnp.square(shift))
        return shift, self.loc - omega * shift, omega

    def log_prob(self, y: Array) -> Array:
        _, xi, omega = self._standard()
        z = (y - xi) / omega
        return jnp.log(2.0) - jnp.log(omega) - 0.5 * jnp.square(z) - HALF_LOG_2PI + log_ndtr(self.alpha * z)

    def _log_tails(self, y: Array) -> tuple[Array, Array]:
        """Whichever tail falls away from ``y`` by quadrature, the other one from it; mirrored so that it is a lower tail."""
        _, xi, omega = self._standard()
        z, alpha = jnp.broadcast_arrays((y - xi) / omega, self.alpha)
        slope = -z + alpha * jnp.exp(-0.5 * jnp.square(alpha * z) - HALF_LOG_2PI - log_ndtr(alpha * z))
        left = slope > 0.0
        z, alpha = jnp.where(left, z, -z), jnp.where(left, alpha, -alpha)
        tail = log_tail(lambda v: log_ndtr(alpha[..., None] * v) - 0.5 * jnp.square(v), z, -1.0) + jnp.log(2.0) - HALF_LOG_2PI
        other = log1mexp(jnp.minimum(tail, 0.0))
        return jnp.where(left, tail, other), jnp.where(left, other, tail)

    def log_cdf(self, y: Array) -> Array:
        return self._log_tails(y)[0]

    def log_survival(self, y: Array) -> Array:
        return self._log_tails(y)[1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        _, xi, omega = self._standard()
        delta = self.alpha / jnp.sqrt(1.0 + jnp.square(self.alpha))
        u, v = jax.random.normal(key, (2, *self._shape(sample_shape)))
        return xi + omega * (delta * jnp.abs(u) + jnp.sqrt(1.0 - jnp.square(delta)) * v)


@dataclass(frozen=True)
class ExGaussian(Distribution):
    """A normal variable plus an exponential one with mean ``beta``; ``loc`` is the mean of the sum."""

    loc: Array
    scale: Array
    beta: Array

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return jnp.square(self.scale) + jnp.square(self.beta)

    def _parts(self, y: Array) -> tuple[Array, Array]:
        """The standardised normal part and ``log(beta * density)``."""
        z = (y - self.loc + self.beta) / self.scale
        ratio = self.scale / self.beta
        return z, ratio * (0.5 * ratio - z) + log_ndtr(z - ratio)

    def log_prob(self, y: Array) -> Array:
        return self._parts(y)[1] - jnp.log(self.beta)

    def log_cdf(self, y: Array) -> Array:
        z, part = self._parts(y)
        below = log_ndtr(z)
        return log_diff_exp(below, jnp.minimum(part, below))

    def log_survival(self, y: Array) -> Array:
        z, part = self._parts(y)
        return log_add(log_ndtr(-z), part)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        first, second = jax.random.split(key)
        shape = self._shape(sample_shape)
        centred = jax.random.exponential(first, shape) - 1.0
        return self.loc + self.beta * centred + self.scale * jax.random.normal(second, shape)


@dataclass(frozen=True)
class AsymLaplace(Distribution):
    """Asymmetric Laplace: ``P(Y <= loc) = quantile``; its log density is the check loss of quantile regression."""

    loc: Array
    scale: Array
    quantile_at: Dpar

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale), jnp.shape(self.quantile_at.eta))

    @property
    def mean(self) -> Array:
        q = self.quantile_at.value
        return self.loc + self.scale * (1.0 - 2.0 * q) / (q * (1.0 - q))

    def _slopes(self, y: Array) -> tuple[Array, Array, Array]:
        """Whether ``y`` lies above, and the log of the mass beyond ``y`` on its own side, with its logarithm at ``loc``."""
        q, z = self.quantile_at, (y - self.loc) / self.scale
        above = z >= 0.0
        return above, jnp.where(above, -q.value * z, (1.0 - q.value) * z), jnp.where(above, q.log1m, q.log)

    def log_prob(self, y: Array) -> Array:
        return self.quantile_at.log + self.quantile_at.log1m - jnp.log(self.scale) + self._slopes(y)[1]

    def log_cdf(self, y: Array) -> Array:
        above, fall, at = self._slopes(y)
        return jnp.where(above, log1mexp(fall + at), fall + at)

    def log_survival(self, y: Array) -> Array:
        above, fall, at = self._slopes(y)
        return jnp.where(above, fall + at, log1mexp(fall + at))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        q = self.quantile_at.value
        first, second = jax.random.exponential(key, (2, *self._shape(sample_shape)))
        return self.loc + self.scale * (first / q - second / (1.0 - q))


@dataclass(frozen=True)
class GenExtremeValue(Distribution):
    """Generalised extreme value law, ``P(Y <= y) = exp(-(1 + xi z)^(-1 / xi))`` with ``z = (y - loc) / scale``."""

    loc: Array
    scale: Array
    xi: Array

    @property
    def mean(self) -> Array:
        small = jnp.abs(self.xi) < 1e-6
        finite = self.xi < 1.0
        xi = jnp.where(small | ~finite, 0.5, self.xi)
        factor = jnp.where(small, _EULER, jnp.expm1(log_gamma(1.0 - xi)) / xi)
        return jnp.where(finite, self.loc + self.scale * factor, jnp.inf)

    def _reduced(self, y: Array) -> tuple[Array, Array]:
        return _reduced((y - self.loc) / self.scale, self.xi)

    def log_prob(self, y: Array) -> Array:
        return _log_extreme_value((y - self.loc) / self.scale, self.xi) - jnp.log(self.scale)

    def log_cdf(self, y: Array) -> Array:
        s, inside = self._reduced(y)
        return jnp.where(inside, -jnp.exp(-s), jnp.where(self.xi > 0.0, -jnp.inf, 0.0))

    def log_survival(self, y: Array) -> Array:
        s, inside = self._reduced(y)
        return jnp.where(inside, log1mexp(-jnp.exp(-s)), jnp.where(self.xi > 0.0, 0.0, -jnp.inf))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        s = jax.random.gumbel(key, self._shape(sample_shape))
        small = jnp.abs(self.xi) < 1e-9
        xi = jnp.where(small, 1.0, self.xi)
        return self.loc + self.scale * jnp.where(small, s, jnp.expm1(xi * s) / xi)


def _reduced(z: Array, xi: Array) -> tuple[Array, Array]:
    """``log(1 + xi z) / xi`` (``z`` itself for ``xi = 0``), and whether ``z`` lies inside the support."""
    inside = 1.0 + xi * z > 0.0
    z = jnp.where(inside, z, 0.0)
    return z * log1p_ratio(xi * z), inside


@jax.custom_jvp
def _log_extreme_value(z: Array, xi: Array) -> Array:
    """The log density of the generalised extreme value law with location 0 and scale 1."""
    return _of_reduced(*_reduced(z, xi), xi)


def _of_reduced(s: Array, inside: Array, xi: Array) -> Array:
    return jnp.where(inside, -(1.0 + xi) * s - jnp.exp(-s), -jnp.inf)


def _log_extreme_value_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    """By ``s = log(1 + xi z) / xi``, whose derivatives are ``1 / (1 + xi z)`` in ``z`` and ``(z / (1 + xi z) - s) / xi`` in ``xi``."""
    z, xi = primals
    s, inside = _reduced(z, xi)
    s, w = once(s, z), jnp.where(inside, xi * z, 0.0)
    in_s, share, small = jnp.where(inside, jnp.exp(-s) - 1.0 - xi, 0.0), 1.0 / (1.0 + w), jnp.abs(w) < 1e-3
    # the same to the last digits where w is small; 0 / 0 at 0
    series = -z * z * (1 / 2 - w * (2 / 3 - w * (3 / 4 - w * (4 / 5 - w * 5 / 6))))
    s_in_xi = jnp.where(small, series, (z * share - s) / jnp.where(small, 1.0, xi))
    return _of_reduced(s, inside, xi), along(s, (lambda: in_s * share, tangents[0]), (lambda: in_s * s_in_xi - s, tangents[1]))


_log_extreme_value.defjvp(_log_extreme_value_jvp, symbolic_zeros=True)


_ADDITIONS = ("weights", "subset", "cens", "trunc", "mi", "index")

FAMILIES = (
    Constructor(
        name="skew_normal",
        summary="Skew normal distribution: mean ``mu``, standard deviation ``sigma``, slant ``alpha``.",
        dpars=(mu((*REAL_LINKS, *UNIT_LINKS)), SIGMA, ALPHA),
        distribution=lambda d, data: SkewNormal(d["mu"].value, scale_of(d, data), d["alpha"].value),
        support=support.real,
        additions=("weights", "subset", "se", "cens", "trunc", "mi", "index"),
    ),
    Constructor(
        name="exgaussian",
        summary="Normal plus exponential: mean of the sum ``mu``, of the exponential part ``beta``; ``sigma`` of the normal part.",
        dpars=(mu(REAL_LINKS), SIGMA, BETA),
        distribution=lambda d, data: ExGaussian(d["mu"].value, d["sigma"].value, d["beta"].value),
        support=support.real,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="asym_laplace",
        summary="Asymmetric Laplace distribution whose ``quantile`` is at ``mu``: Bayesian quantile regression.",
        dpars=(mu(REAL_LINKS), SIGMA, QUANTILE),
        distribution=lambda d, data: AsymLaplace(d["mu"].value, d["sigma"].value, d["quantile"]),
        support=support.real,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="gen_extreme_value",
        summary="Generalised extreme value distribution: location ``mu``, scale ``sigma``, shape ``xi``.",
        dpars=(mu(REAL_LINKS), SIGMA, XI),
        distribution=lambda d, data: GenExtremeValue(d["mu"].value, d["sigma"].value, d["xi"].value),
        support=support.real,
        additions=_ADDITIONS,
    ),
)
