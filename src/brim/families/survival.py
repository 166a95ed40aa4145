"""The Cox proportional hazards family, its baseline hazard a positive combination of M-splines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.numerics.logspace import log0, log1mexp
from brim.errors import BrimError
from brim.families import support
from brim.families.base import Dpar, Extra, Family, Seen
from brim.families.constructor import Constructor
from brim.families.dpars import mu
from brim.families.kinds import Kind
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import FAMILY, Reported

__all__ = ["FAMILIES", "BaselineHazard", "Cox", "i_splines", "m_splines"]

Array = Any
_ORDER = 4  # cubic


def _b_splines(x: Array, knots: Array, order: int) -> Array:
    """B-splines of this order at ``x`` (..., K) by de Boor's recursion; ``knots`` with their repetitions; 0 outside."""
    x = jnp.asarray(x)[..., None]
    basis = jnp.where((x >= knots[:-1]) & (x < knots[1:]), 1.0, 0.0)
    for k in range(2, order + 1):
        left, right = knots[k - 1 : -1] - knots[:-k], knots[k:] - knots[1 : 1 - k]
        up = jnp.where(left > 0, (x - knots[:-k]) / jnp.where(left > 0, left, 1.0), 0.0)
        down = jnp.where(right > 0, (knots[k:] - x) / jnp.where(right > 0, right, 1.0), 0.0)
        basis = up * basis[..., :-1] + down * basis[..., 1:]
    return basis


def _padded(knots: Array, times: int) -> Array:
    """The knots with both ends repeated so often."""
    return jnp.concatenate([jnp.repeat(knots[:1], times), knots[1:-1], jnp.repeat(knots[-1:], times)])


def m_splines(x: Array, knots: Array) -> Array:
    """Cubic M-splines at ``x`` (..., K): B-splines scaled so that each integrates to 1 (Ramsay 1988).

    ``knots`` are the two boundaries with the inner knots between; there are two more splines than knots.
    """
    full = _padded(jnp.asarray(knots), _ORDER)
    return _b_splines(x, full, _ORDER) * _ORDER / (full[_ORDER:] - full[:-_ORDER])


def i_splines(x: Array, knots: Array) -> Array:
    """Integrals of ``m_splines`` from the lower boundary to ``x`` (..., K), each rising from 0 to 1."""
    full = _padded(jnp.asarray(knots), _ORDER + 1)
    higher = _b_splines(x, full, _ORDER + 1)[..., 1:]
    sums = jnp.cumsum(higher[..., ::-1], axis=-1)[..., ::-1]
    return jnp.where(jnp.asarray(x)[..., None] >= full[-1], 1.0, sums)


@dataclass(frozen=True)
class Cox(Distribution):
    """Hazard ``exp(log_mu) h0(t)`` with ``h0 = m_splines(t) @ weights``.

    Attributes
    ----------
    log_mu
        (N,) log of the relative hazard.
    weights
        (K,), or (N, K): the baseline's coefficients, which sum to 1.
    knots
        Boundaries and inner knots.
    """

    log_mu: Array
    weights: Array
    knots: Array

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.log_mu), jnp.shape(self.weights)[:-1])

    @property
    def lower(self) -> Array:
        return 0.0

    @property
    def mean(self) -> Array:
        raise BrimError("the cox family has no expectation: its baseline hazard ends with the data", hint="use posterior_linpred()")

    def partial_mean(self, y: Array) -> Array:
        return self.mean

    def _cumulative(self, y: Array) -> Array:
        """The cumulative baseline hazard."""
        return jnp.sum(i_splines(y, self.knots) * self.weights, axis=-1)

    def log_prob(self, y: Array) -> Array:
        hazard = jnp.sum(m_splines(y, self.knots) * self.weights, axis=-1)
        return log0(hazard) + self.log_mu + self.log_survival(y)

    def log_survival(self, y: Array) -> Array:
        return -self._cumulative(y) * jnp.exp(self.log_mu)

    def log_cdf(self, y: Array) -> Array:
        return log1mexp(self.log_survival(y))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Event times by inverting the cumulative hazard; ``inf`` for who outlives the baseline."""
        shape = self._shape(sample_shape)
        target = jax.random.exponential(key, shape) * jnp.exp(-self.log_mu)

        def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            mid = 0.5 * (low + high)
            enough = self._cumulative(mid) >= target
            return jnp.where(enough, low, mid), jnp.where(enough, mid, high)

        ends = jnp.full(shape, self.knots[0]), jnp.full(shape, self.knots[-1])
        time = jax.lax.fori_loop(0, 60, halve, ends)[1]
        return jnp.where(target < jnp.sum(self.weights, axis=-1), time, jnp.inf)


@final
@dataclass(frozen=True)
class BaselineHazard(Extra):
    """Coefficients ``sbhaz`` of the baseline hazard, one simplex a group of ``bhaz(gr = )``."""

    size: int
    groups: tuple[str, ...] = ()

    def _keys(self, where: Where) -> list[str]:
        return [f"sbhaz{where.suffix}{end}" for end in [f"_{i + 1}" for i in range(len(self.groups))] or [""]]

    def params(self, where: Where) -> tuple[Param, ...]:
        pairs = zip(self._keys(where), self.groups or ("",), strict=True)
        return tuple(Param(key, (self.size,), (Slot("sbhaz", "", g, where, "dirichlet(1)"),), space="simplex") for key, g in pairs)

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return {}

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return {}

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        table = jnp.stack([values[key] for key in self._keys(where)])
        return {"sbhaz": Dpar(table[data["group"]] if self.groups else table[0])}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        out = []
        for key, group in zip(self._keys(where), self.groups or ("",), strict=True):
            within = f"{group}," if group else ""
            stem = f"sbhaz{where.suffix}"
            names = np.array([f"{stem}[{within}{k + 1}]" for k in range(self.size)], dtype=object)
            dim = f"basis_{key}"
            out.append(Reported(key, names, FAMILY, key, (dim,), {dim: tuple(str(k + 1) for k in range(self.size))}))
        return tuple(out)


def _bind(family: Family, seen: Seen) -> Family:
    """Boundaries a fiftieth of the range beyond the data, inner knots at their quantiles, as brms places them."""
    options = {"df": 5, **(family.options["bhaz"] or {}), **seen.bhaz}
    unknown = [name for name in options if name != "df"]
    if unknown:
        raise BrimError(f"bhaz has no argument '{unknown[0]}'", hint="it takes df, the number of splines, and gr")
    size = int(options["df"])
    if size < _ORDER:
        raise BrimError(f"bhaz(df = {size}) is too small", hint=f"cubic splines need df >= {_ORDER}")
    low, high = float(np.min(seen.y)), float(np.max(seen.y))
    margin = (high - low) / 50.0
    inner = np.quantile(seen.y, np.linspace(0.0, 1.0, size - _ORDER + 2)[1:-1])
    knots = np.array([max(low - margin, 0.0), *inner, high + margin])
    return replace(family, extras=(BaselineHazard(size, seen.groups),), learned={"bhaz_knots": knots})


def _cox(d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Cox:
    return Cox(d["mu"].log, d["sbhaz"].value, data["bhaz_knots"])


FAMILIES = (
    Constructor(
        name="cox",
        summary="Cox proportional hazards model: relative hazard ``mu``, baseline hazard from ``bhaz`` (``{'df': 5}``) M-splines.",
        dpars=(mu(("log", "identity", "softplus", "squareplus")),),
        distribution=_cox,
        support=support.interval(0.0, float("inf"), "times from 0 on", closed=(True, False)),
        kind=Kind.POSITIVE,
        additions=("weights", "subset", "cens", "trunc", "entry", "bhaz", "index"),
        options={"bhaz": None},
        binding=_bind,
    ),
)
