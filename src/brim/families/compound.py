"""Zero-inflated and hurdle families: one wrapper that puts a mass at zero on any base distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.numerics.logspace import log1mexp, log_add, log_diff_exp
from brim.distributions.unit import Beta, Unit
from brim.families import bounded, continuous, counts, dispersed, positive, skewed, support
from brim.families.base import Dpar, DparSpec, Support
from brim.families.constructor import Constructor
from brim.families.dpars import COI, HU, PHI, PROBABILITY_LINKS, ZI, ZOI, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES", "MassAtZero", "ZeroOneInflatedBeta"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class MassAtZero(Distribution):
    """0 with probability ``gate``, else a draw from ``base``: zero inflation; from ``base`` without its zeros: a hurdle.

    On a continuous ``base`` the two are the same, and ``log_prob`` is a mass at 0 and a density elsewhere.
    """

    base: Distribution
    gate: Dpar
    hurdle: bool

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether the base is."""
        return self.base.discrete

    @property
    def atoms(self) -> tuple[float, ...]:
        return () if self.base.discrete else (0.0,)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.base.batch_shape, jnp.shape(self.gate.eta))

    @property
    def lower(self) -> Array:
        return jnp.minimum(self.base.lower, 0.0)

    @property
    def upper(self) -> Array:
        return self.base.upper

    def _log_kept(self) -> Array:
        """``log`` of the base's mass that stays: all of it, or what is not at 0."""
        if self.hurdle and self.base.discrete:
            return log1mexp(self.base.log_prob(jnp.zeros(())))
        return jnp.zeros(())

    @property
    def mean(self) -> Array:
        return jnp.exp(self.gate.log1m - self._log_kept()) * self.base.mean

    def log_prob(self, y: Array) -> Array:
        return self._log_density(y, self.base.log_prob)

    def log_kernel(self, y: Array) -> Array:
        return self._log_density(y, self.base.log_kernel)

    def _log_density(self, y: Array, of_base: Callable[[Array], Array]) -> Array:
        """From the base's density, or its kernel where that is the same at 0."""
        zero = jnp.equal(y, 0)
        # continuous bases are asked at a harmless point where y is 0
        other = y if self.base.discrete else jnp.where(zero, 0.5, y)
        rest = self.gate.log1m - self._log_kept() + of_base(other)
        if self.hurdle or not self.base.discrete:
            return jnp.where(zero, self.gate.log, rest)
        return jnp.where(zero, log_add(self.gate.log, rest), rest)

    def log_survival(self, y: Array) -> Array:
        beyond = self.gate.log1m - self._log_kept() + self.base.log_survival(jnp.maximum(y, 0) if self.hurdle else y)
        return jnp.where(jnp.asarray(y) >= 0, beyond, log_add(self.gate.log, beyond) if not self.hurdle else 0.0)

    def log_cdf(self, y: Array) -> Array:
        below = self.base.log_cdf(y)
        if self.hurdle and self.base.discrete:
            least = self.base.log_prob(jnp.zeros(()))
            below = log_diff_exp(jnp.maximum(below, least), least) - self._log_kept()
        rest = self.gate.log1m + below
        return jnp.where(jnp.asarray(y) >= 0, log_add(self.gate.log, rest), rest if not self.hurdle else -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        first, second = jax.random.split(key)
        shape = self._shape(sample_shape)
        lead = shape[: len(shape) - len(self.base.batch_shape)]
        filtered = self.hurdle and self.base.discrete
        drawn = self._without_zeros(second, shape) if filtered else self.base.sample(second, lead)
        return jnp.where(jax.random.uniform(first, shape) < self.gate.value, 0.0, drawn)

    def _without_zeros(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws of the base, again wherever one is 0; where that is hopeless (a tiny mean), the least positive count."""
        lead = shape[: len(shape) - len(self.base.batch_shape)]

        def again(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            key, y, tries = state
            key, now = jax.random.split(key)
            return key, jnp.where(y == 0, self.base.sample(now, lead), y), tries + 1

        start = key, jnp.zeros(shape), jnp.zeros((), int)
        drawn = jax.lax.while_loop(lambda s: jnp.any(s[1] == 0) & (s[2] < 1000), again, start)[1]
        return jnp.where(drawn == 0, 1.0, drawn)


@dataclass(frozen=True)
class ZeroOneInflatedBeta(Unit):
    """0 or 1 with probability ``outer`` (1 with probability ``one`` of it), else a beta variable."""

    base: Beta
    outer: Dpar
    one: Dpar

    @property
    def atoms(self) -> tuple[float, ...]:
        return (0.0, 1.0)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.base.batch_shape, jnp.shape(self.outer.eta), jnp.shape(self.one.eta))

    @property
    def mean(self) -> Array:
        return self.outer.value * self.one.value + (1.0 - self.outer.value) * self.base.mean

    def log_prob(self, y: Array) -> Array:
        inside = (y > 0.0) & (y < 1.0)
        ends = self.outer.log + jnp.where(y >= 1.0, self.one.log, self.one.log1m)
        return jnp.where(inside, self.outer.log1m + self.base.log_prob(jnp.where(inside, y, 0.5)), ends)

    def log_cdf(self, y: Array) -> Array:
        value = log_add(self.outer.log + self.one.log1m, self.outer.log1m + self.base.log_cdf(y))
        return jnp.where(y < 0.0, -jnp.inf, jnp.where(y >= 1.0, 0.0, value))

    def log_survival(self, y: Array) -> Array:
        value = log_add(self.outer.log + self.one.log, self.outer.log1m + self.base.log_survival(y))
        return jnp.where(y < 0.0, 0.0, jnp.where(y >= 1.0, -jnp.inf, value))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        keys = jax.random.split(key, 3)
        shape = self._shape(sample_shape)
        ends = jax.random.uniform(keys[0], shape) < self.one.value
        inner = self.base.sample(keys[1], shape[: len(shape) - len(self.base.batch_shape)])
        return jnp.where(jax.random.uniform(keys[2], shape) < self.outer.value, ends.astype(float), inner)


@dataclass(frozen=True)
class _Law:
    """``dpars -> Distribution`` of a base family with a mass at zero."""

    base: Any
    gate: str
    hurdle: bool

    def __call__(self, d: Dpars, data: Data) -> MassAtZero:
        return MassAtZero(self.base(d, data), d[self.gate], self.hurdle)


def _or_zero(base: Support) -> Support:
    """What the base family takes, and 0."""

    def check(y: np.ndarray, data: Data) -> tuple[np.ndarray, str]:
        bad, wanted = base(y, data)
        return bad & (y != 0), wanted if "0" in wanted or "non-negative" in wanted else f"0 or {wanted}"

    return check


_BASES = {c.name: c for m in (continuous, skewed, positive, counts, dispersed, bounded) for c in m.FAMILIES}
_PLAIN = ("weights", "subset", "cens", "trunc", "index")


def _compound(prefix: str, base: str, gate: DparSpec, also: tuple[str, ...] = (), links: tuple[str, ...] = ()) -> Constructor:
    """A base family with a mass at zero: one parameter more, everything else follows."""
    inner = _BASES[base]
    location = mu(links) if links else inner.dpars[0]
    hurdle = prefix == "hurdle"
    words = "a hurdle: 0 with probability" if hurdle else "zero inflation: 0 with probability"
    return Constructor(
        name=f"{prefix}_{base}",
        summary=f"{inner.summary[:-1]}; with {words} ``{gate.name}``.",
        dpars=(location, *inner.dpars[1:], gate),
        distribution=_Law(inner.distribution, gate.name, hurdle),
        support=_or_zero(inner.support),
        kind=inner.kind,
        additions=_PLAIN + also,
        logscale=inner.logscale,
        log_base=inner.log_base,  # 0 at 0, where the base does not decide alone
    )


FAMILIES = (
    _compound("hurdle", "poisson", HU),
    _compound("hurdle", "negbinomial", HU),
    _compound("hurdle", "gamma", HU),
    _compound("hurdle", "lognormal", HU),
    _compound("zero_inflated", "poisson", ZI),
    _compound("zero_inflated", "negbinomial", ZI),
    _compound("zero_inflated", "binomial", ZI, ("trials",)),
    _compound("zero_inflated", "beta_binomial", ZI, ("trials",), PROBABILITY_LINKS),
    _compound("zero_inflated", "beta", ZI),
    _compound("zero_inflated", "asym_laplace", ZI),
    Constructor(
        name="zero_one_inflated_beta",
        summary="0 or 1 with probability ``zoi`` (1 with probability ``coi`` of it), else beta with mean ``mu`` and precision ``phi``.",
        dpars=(mu(PROBABILITY_LINKS), PHI, ZOI, COI),
        distribution=lambda d, data: ZeroOneInflatedBeta(Beta(*d["mu"].shares(d["phi"].log)), d["zoi"], d["coi"]),
        support=support.interval(0.0, 1.0, "numbers from 0 to 1", closed=(True, True)),
        kind=Kind.PROPORTION,
        additions=("weights", "subset", "index"),
    ),
)
