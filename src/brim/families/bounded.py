"""Families of proportions and of directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e, i1e

from brim.distributions.base import Distribution
from brim.distributions.numerics.gammas import along
from brim.distributions.numerics.tails import log_betainc, log_tail
from brim.distributions.unit import Beta, Unit
from brim.families import support
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import KAPPA, KAPPA_XBETA, PHI, PROBABILITY_LINKS, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES", "VonMises", "XBeta"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class XBeta(Unit):
    """Extended-support beta (Kosmidis and Zeileis 2024): a beta variable on ``(-kappa, 1 + kappa)``, censored to ``[0, 1]``."""

    inner: Beta
    kappa: Array

    @property
    def atoms(self) -> tuple[float, ...]:
        return (0.0, 1.0)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.inner.batch_shape, jnp.shape(self.kappa))

    def _shrink(self, y: Array) -> Array:
        """The inner beta variable at ``y``."""
        return (y + self.kappa) / (1.0 + 2.0 * self.kappa)

    @property
    def mean(self) -> Array:
        """``P(Y = 1)`` plus the partial expectation between the ends, by the beta law one size up."""
        a, b = self.inner.shapes
        logits = [jnp.log(z) - jnp.log1p(-z) for z in (self._shrink(0.0), self._shrink(1.0))]
        plain = [jnp.exp(log_betainc(a, b, v)[0]) for v in logits]
        sized = [jnp.exp(log_betainc(a + 1.0, b, v)[0]) for v in logits]
        between = (1.0 + 2.0 * self.kappa) * self.inner.mean * (sized[1] - sized[0]) - self.kappa * (plain[1] - plain[0])
        return 1.0 - plain[1] + between

    def log_prob(self, y: Array) -> Array:
        inside = (y > 0.0) & (y < 1.0)
        density = self.inner.log_prob(self._shrink(jnp.where(inside, y, 0.5))) - jnp.log1p(2.0 * self.kappa)
        lower = jnp.asarray(y) <= 0.0
        # between the ends no tail is needed, and at 1 none costs anything
        tails = self.inner.log_tails(jnp.where(inside, 1.0, self._shrink(jnp.where(lower, 0.0, 1.0))))
        return jnp.where(inside, density, jnp.where(lower, *tails))

    def log_cdf(self, y: Array) -> Array:
        value = self.inner.log_cdf(self._shrink(jnp.clip(y, 0.0, 1.0)))
        return jnp.where(y < 0.0, -jnp.inf, jnp.where(y >= 1.0, 0.0, value))

    def log_survival(self, y: Array) -> Array:
        value = self.inner.log_survival(self._shrink(jnp.clip(y, 0.0, 1.0)))
        return jnp.where(y < 0.0, 0.0, jnp.where(y >= 1.0, -jnp.inf, value))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = self._shape(sample_shape)
        inner = Beta(jnp.broadcast_to(self.inner.log_a, shape), self.inner.log_b)
        return jnp.clip(inner.sample(key) * (1.0 + 2.0 * self.kappa) - self.kappa, 0.0, 1.0)


@dataclass(frozen=True)
class VonMises(Distribution):
    """Von Mises law of angles in ``[-pi, pi]``; brms takes ``loc``, the mean direction, for its expectation."""

    direction: Dpar
    kappa: Array

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.direction.eta), jnp.shape(self.kappa))

    @property
    def loc(self) -> Array:
        """The mean direction as an angle."""
        return self.direction.value

    @property
    def lower(self) -> Array:
        return -jnp.pi

    @property
    def upper(self) -> Array:
        return jnp.pi

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        """The circular variance."""
        return 1.0 - i1e(self.kappa) / i0e(self.kappa)

    def log_prob(self, y: Array) -> Array:
        # cos(x) - 1 = -2 sin(x / 2)^2 keeps its digits where kappa is large
        return -2.0 * self.kappa * self._half_sine_squared(y) - self._log_norm()

    def _half_sine_squared(self, y: Array) -> Array:
        """``sin((y - loc) / 2)^2``; under the tan_half link from the sine and cosine of data alone."""
        if self.direction.link.name == "tan_half":
            return _off_direction(jnp.clip(self.direction.eta, -_STEEPEST, _STEEPEST), jnp.sin(0.5 * y), jnp.cos(0.5 * y))
        return jnp.square(jnp.sin(0.5 * (y - self.loc)))

    def _log_norm(self) -> Array:
        return jnp.log(2.0 * jnp.pi * i0e(self.kappa))

    def _from_loc(self, angle: Array) -> Array:
        """The probability between ``loc`` and ``loc + angle``, ``|angle| <= pi``, with its sign."""
        angle, kappa = jnp.broadcast_arrays(angle, self.kappa)
        size = jnp.abs(angle)

        def h(v: Array) -> Array:
            return -2.0 * kappa[..., None] * jnp.square(jnp.sin(0.5 * jnp.minimum(v, jnp.pi)))  # it rises again beyond

        tail = log_tail(h, size, 1.0, longest=8.0, limit=jnp.pi - size)
        return jnp.sign(angle) * (0.5 - jnp.exp(tail - self._log_norm()))

    def cdf(self, y: Array) -> Array:
        """``P(-pi < Y <= y)``."""
        at, cut = _wrap(y - self.loc), _wrap(-jnp.pi - self.loc)
        value = self._from_loc(at) - self._from_loc(cut)
        value = jnp.where(at < cut, value + 1.0, value)
        return jnp.where(y >= jnp.pi, 1.0, jnp.where(y <= -jnp.pi, 0.0, jnp.clip(value, 0.0, 1.0)))

    def log_cdf(self, y: Array) -> Array:
        return jnp.log(jnp.maximum(self.cdf(y), 1e-300))

    def log_survival(self, y: Array) -> Array:
        return jnp.log(jnp.maximum(1.0 - self.cdf(y), 1e-300))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = self._shape(sample_shape)
        return _wrap(jnp.broadcast_to(self.loc, shape) + _angles(key, jnp.broadcast_to(self.kappa, shape)))


def _angles(key: Array, kappa: Array) -> Array:
    """Von Mises angles around 0 by rejection from a wrapped Cauchy law (Best & Fisher 1979), all until none is rejected.

    The proposal is ``cos(angle) = (1 + r z) / (r + z)`` with ``z = cos(pi u)``; ``r - 1`` is kept instead of ``r``, and
    ``1 - cos(angle)`` instead of the cosine, since both lose their digits where ``kappa`` is large.
    """
    kappa = jnp.maximum(kappa, 1e-8)  # uniform to the last digit
    half = 0.5 / kappa
    root = jnp.sqrt(1.0 + jnp.square(half))
    excess = half + jnp.square(half) / (1.0 + root)  # r - 1 for r = 1 / (2 kappa) + sqrt(1 + 1 / (2 kappa)^2)

    def again(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        key, drop, done = state
        key, first, second = jax.random.split(key, 3)
        turn = 2.0 * jnp.square(jnp.sin(0.5 * jnp.pi * jax.random.uniform(first, kappa.shape)))  # 1 - z
        proposed = excess * turn / (2.0 + excess - turn)  # 1 - cos(angle)
        c = kappa * (excess + proposed)
        u = jax.random.uniform(second, kappa.shape, minval=jnp.finfo(kappa.dtype).tiny)
        taken = jnp.log(c / u) + 1.0 - c >= 0.0
        return key, jnp.where(done, drop, proposed), done | taken

    key, sign = jax.random.split(key)
    start = key, jnp.zeros(kappa.shape), jnp.zeros(kappa.shape, bool)
    drop = jax.lax.while_loop(lambda s: ~jnp.all(s[2]), again, start)[1]
    return jax.random.rademacher(sign, kappa.shape) * 2.0 * jnp.arcsin(jnp.sqrt(jnp.clip(0.5 * drop, 0.0, 1.0)))


_STEEPEST = 1e150  # its square is finite, and the direction pi to the last digit


@jax.custom_jvp
def _off_direction(eta: Array, sine: Array, cosine: Array) -> Array:
    """``sin(a - atan(eta))^2`` from the sine and cosine of the angle ``a``."""
    return jnp.square(sine - eta * cosine) / (1.0 + eta * eta)


def _off_direction_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    """The slope in ``eta`` is ``-2 sin cos (a - atan(eta)) / (1 + eta^2)``, free of the cancellation in that of the quotient."""
    eta, sine, cosine = primals
    value, share = _off_direction(*primals), 1.0 / (1.0 + eta * eta)
    off, along_it = (sine - eta * cosine) * share, (cosine + eta * sine) * share
    d_eta, d_sine, d_cosine = tangents
    return value, along(value, (lambda: -2.0 * off * along_it, d_eta), (lambda: 2.0 * off, d_sine), (lambda: -2.0 * eta * off, d_cosine))


_off_direction.defjvp(_off_direction_jvp, symbolic_zeros=True)


def _wrap(angle: Array) -> Array:
    """The same direction in ``[-pi, pi)``."""
    return jnp.mod(angle + jnp.pi, 2.0 * jnp.pi) - jnp.pi


_ADDITIONS = ("weights", "subset", "cens", "trunc", "mi", "index")

FAMILIES = (
    Constructor(
        name="beta",
        summary="Beta distribution: mean ``mu``, precision ``phi``.",
        dpars=(mu(PROBABILITY_LINKS), PHI),
        distribution=lambda d, data: Beta(*d["mu"].shares(d["phi"].log)),
        support=support.interval(0.0, 1.0, "numbers between 0 and 1, both excluded"),
        kind=Kind.PROPORTION,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="xbeta",
        summary="Extended-support beta distribution of proportions that may be 0 or 1: ``mu``, ``phi``, exceedance ``kappa``.",
        dpars=(mu(PROBABILITY_LINKS), PHI, KAPPA_XBETA),
        distribution=lambda d, data: XBeta(Beta(*d["mu"].shares(d["phi"].log)), d["kappa"].value),
        support=support.interval(0.0, 1.0, "numbers from 0 to 1", closed=(True, True)),
        kind=Kind.PROPORTION,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="von_mises",
        summary="Von Mises distribution of angles from -pi to pi: mean direction ``mu``, concentration ``kappa``.",
        dpars=(replace(mu(("tan_half", "identity")), prior="location", intercept_prior="student_t(1, 0, 1)"), KAPPA),
        distribution=lambda d, data: VonMises(d["mu"], d["kappa"].value),
        support=support.interval(-np.pi, np.pi, "angles from -pi to pi", closed=(True, True)),
        kind=Kind.ANGLE,
        additions=_ADDITIONS,
    ),
)
