"""Mixtures of families: ``mixture(gaussian, student)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.numerics.logspace import log_add
from brim.errors import BrimError
from brim.families.base import Dpar, DparSpec, Extra, Family, Seen
from brim.families.kinds import Kind
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import FAMILY, Reported

__all__ = ["ComponentExtra", "MixingProportions", "Mixture", "SharedExtra", "mixture_family"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Mixture(Distribution):
    """``Y`` follows component ``k`` with probability ``exp(log_weights[..., k])``."""

    components: tuple[Distribution, ...]
    log_weights: Array

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether the components are."""
        return self.components[0].discrete

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(*(c.batch_shape for c in self.components), jnp.shape(self.log_weights)[:-1])

    @property
    def lower(self) -> Array:
        return jnp.min(jnp.stack(jnp.broadcast_arrays(*(c.lower for c in self.components))), axis=0)

    @property
    def upper(self) -> Array:
        return jnp.max(jnp.stack(jnp.broadcast_arrays(*(c.upper for c in self.components))), axis=0)

    @property
    def mean(self) -> Array:
        weights = jnp.exp(self.log_weights)
        return sum(_like(weights[..., k], c.mean, len(self.batch_shape)) * c.mean for k, c in enumerate(self.components))

    def _combined(self, logs: list[Array]) -> Array:
        """``log(sum of weight * exp(log))`` over the components, pair by pair: no array of all of them is stored."""
        weights = jnp.asarray(self.log_weights)
        return reduce(log_add, [log + weights[..., k] for k, log in enumerate(logs)])

    def log_joint(self, y: Array) -> Array:
        """Log weight plus log density of each component, (..., K): the log posterior memberships up to a constant."""
        parts = [jnp.asarray(c.log_prob(y)) for c in self.components]
        shape = jnp.broadcast_shapes(*(p.shape for p in parts), self.batch_shape)
        return jnp.stack([jnp.broadcast_to(p, shape) for p in parts], axis=-1) + self.log_weights

    def log_prob(self, y: Array) -> Array:
        return self._combined([jnp.asarray(c.log_prob(y)) for c in self.components])

    def log_cdf(self, y: Array) -> Array:
        return jnp.minimum(self._combined([jnp.asarray(c.log_cdf(y)) for c in self.components]), 0.0)

    def log_survival(self, y: Array) -> Array:
        return jnp.minimum(self._combined([jnp.asarray(c.log_survival(y)) for c in self.components]), 0.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        keys = jax.random.split(key, len(self.components) + 1)
        shape = self._shape(sample_shape)
        which = jax.random.categorical(keys[0], self.log_weights, shape=shape)
        draws = [c.sample(k, shape[: len(shape) - len(c.batch_shape)]) for c, k in zip(self.components, keys[1:], strict=True)]
        return jnp.take_along_axis(jnp.stack([jnp.broadcast_to(v, shape) for v in draws], axis=-1), which[..., None], axis=-1)[..., 0]


def _like(weight: Array, mean: Array, rows: int) -> Array:
    """The weight with an axis for the categories where the mean has one."""
    return weight[..., None] if jnp.ndim(mean) > max(rows, jnp.ndim(weight)) else weight


@final
@dataclass(frozen=True)
class MixingProportions(Extra):
    """The simplex ``theta`` of a mixture whose proportions are not predicted."""

    size: int

    @property
    def provides(self) -> tuple[str, ...]:
        return tuple(f"theta{k + 1}" for k in range(self.size))

    def params(self, where: Where) -> tuple[Param, ...]:
        slot = Slot("theta", where=where, default="dirichlet(1)")
        return (Param(f"theta{where.suffix}", (self.size,), (slot,), space="simplex"),)

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return {}

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return {}

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        theta = values[f"theta{where.suffix}"]
        return {f"theta{k + 1}": Dpar(theta[k]) for k in range(self.size)}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        key = f"theta{where.suffix}"
        names = np.array([f"theta{k + 1}{where.suffix}" for k in range(self.size)], dtype=object)
        dim = f"component{where.suffix}"
        return (Reported(key, names, FAMILY, key, (dim,), {dim: tuple(str(k + 1) for k in range(self.size))}),)


@final
@dataclass(frozen=True)
class ComponentExtra(Extra):
    """An extra of one component, under that component's name (``Intercept_mu2``, ``thres2``)."""

    inner: Extra
    number: int

    @property
    def predictor(self) -> str:
        return f"mu{self.number}"

    def _where(self, where: Where) -> Where:
        return replace(where, dpar=f"mu{self.number}")

    def params(self, where: Where) -> tuple[Param, ...]:
        return self.inner.params(self._where(where))

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return self.inner.transform(params, self._where(where), shift)

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return self.inner.invert(reported, self._where(where), shift)

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        return {f"{name}{self.number}": dpar for name, dpar in self.inner.dpars(values, self._where(where), data).items()}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        return self.inner.reported(self._where(where))


@final
@dataclass(frozen=True)
class SharedExtra(Extra):
    """An extra that all components have in common, reported under each one's name (the thresholds of ordered ordinal mixtures)."""

    inner: Extra
    size: int

    def _each(self, where: Where) -> list[Where]:
        return [replace(where, dpar=f"mu{k + 1}") for k in range(self.size)]

    def _renamed(self, values: Mapping[str, Any], old: Where, new: Where) -> dict[str, Any]:
        names = zip(self.inner.reported(old), self.inner.reported(new), strict=True)
        return {b.key: values[a.key] for a, b in names}

    def params(self, where: Where) -> tuple[Param, ...]:
        return self.inner.params(where)

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        one = {**params, **self.inner.transform(params, where)}
        return {key: value for each in self._each(where) for key, value in self._renamed(one, where, each).items()}

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        return self.inner.invert(self._renamed(reported, self._each(where)[0], where), where)

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        each = enumerate(self._each(where), 1)
        return {f"{name}{k}": dpar for k, one in each for name, dpar in self.inner.dpars(values, one, data).items()}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        return tuple(q for one in self._each(where) for q in self.inner.reported(one))


@dataclass(frozen=True)
class _Law:
    """``dpars -> Mixture``: each component reads its own parameters; missing proportions have log weight 0."""

    laws: tuple[Any, ...]

    def __call__(self, d: Dpars, data: Data) -> Mixture:
        components = tuple(law(_own(d, k + 1), data) for k, law in enumerate(self.laws))
        return Mixture(components, _log_weights(d, len(self.laws)))


def _log_weights(d: Dpars, size: int) -> Array:
    """Logarithms of the mixing proportions, (..., K)."""
    names = [f"theta{k + 1}" for k in range(size)]
    logs = [d[name].log if name in d else jnp.zeros(()) for name in names]
    return jax.nn.log_softmax(jnp.stack(jnp.broadcast_arrays(*logs), axis=-1), axis=-1)


@dataclass(frozen=True)
class _Proportions:
    """``dpars -> theta1, theta2, ...`` as probabilities."""

    size: int

    def __call__(self, d: Dpars) -> dict[str, Dpar]:
        shares = jnp.exp(_log_weights(d, self.size))
        return {f"theta{k + 1}": Dpar(shares[..., k]) for k in range(self.size)}


def _own(d: Dpars, number: int) -> dict[str, Dpar]:
    """The parameters of one component under their plain names."""
    parts = {name: re.fullmatch(r"(.*?)(\d+)", name) for name in d}
    return {m[1]: d[name] for name, m in parts.items() if m and int(m[2]) == number and m[1] != "theta"}


def _bind(family: Family, seen: Seen) -> Family:
    """The components learn from the same response."""
    return _assembled(family, tuple(c.learn(seen) for c in family.components))


def _assembled(family: Family, components: tuple[Family, ...]) -> Family:
    inner: tuple[Extra, ...] = tuple(ComponentExtra(e, k + 1) for k, c in enumerate(components) for e in c.extras)
    common = not family.intercepts and family.options["order"] == "mu"  # brms: thresholds are those of all components
    if common and inner:
        each = list(zip(*(c.extras for c in components), strict=True))
        inner = tuple(SharedExtra(first.shared(others), len(components)) for first, *rest in each for others in (tuple(rest),))
    learned = {name: value for c in components for name, value in c.learned.items()}
    law = _Law(tuple(c.distribution for c in components))
    extras = (*inner, MixingProportions(len(components)))
    centered = all(c.centered for c in components) and not common
    categories = components[0].categories
    return replace(
        family, components=components, distribution=law, extras=extras, learned=learned, centered=centered, categories=categories
    )


#: Additions that only the components read that take them; the others say something of the response.
_READ_BY_ONE = ("trials", "rate", "dec", "vint", "vreal")


def _additions(components: tuple[Family, ...]) -> tuple[str, ...]:
    """What all components take, and data that one of them reads."""
    every = dict.fromkeys(a for c in components for a in c.additions)
    return tuple(a for a in every if a in _READ_BY_ONE or all(a in c.additions for c in components))


def mixture_family(components: tuple[Family, ...], order: Any = None, refcat: Any = None) -> Family:
    """The mixture of these families; see ``brim.mixture``."""
    _check(components)
    if refcat is not None and refcat is not False:
        raise BrimError(f"refcat = {refcat!r} of a mixture", hint="None leaves out one mixing proportion, False (R's NA) none")
    dpars: list[DparSpec] = []
    links: dict[str, str] = {}
    for k, c in enumerate(components):
        dpars += [replace(s, name=f"{s.name}{k + 1}") for s in c.dpars]
        links |= {f"{name}{k + 1}": link for name, link in c.links.items()}
    for k in range(len(components)):
        dpars.append(DparSpec(f"theta{k + 1}", ("identity",), 0.0, 1.0, intercept_prior="logistic(0, 1)", optional=True))
        links[f"theta{k + 1}"] = "log"  # log weights, normalised by softmax: the identity on the scale of brms' theta
    first = components[0]
    plain = Family(
        name="mixture",
        dpars=tuple(dpars),
        links=links,
        distribution=first.distribution,
        support=lambda y, data: _common_support(components, y, data),
        kind=first.kind,
        additions=_additions(components),
        options={"order": _order(components, order), "refcat": refcat},
        logscale=any(c.logscale for c in components),
        mus=tuple(f"mu{k + 1}" for k in range(len(components))),
        intercepts=first.intercepts,
        shown={f"theta{k + 1}": "identity" for k in range(len(components))},
        binding=_bind,
        normalised=_Proportions(len(components)),
        shares=() if refcat is False else tuple(f"theta{k + 1}" for k in range(len(components))),
    )
    return _assembled(plain, components)


def _check(components: tuple[Family, ...]) -> None:
    if len(components) < 2:
        raise BrimError("a mixture needs at least two families", hint="mixture(gaussian, student) or mixture(gaussian, nmix=2)")
    bad = next((c.name for c in components if c.kind.several or c.components), None)
    if bad:
        raise BrimError(f"{bad} cannot be part of a mixture")
    if len({_sort(c) for c in components}) > 1:
        names = ", ".join(c.name for c in components)
        raise BrimError(f"the families of a mixture must all be continuous, all counts, or all ordinal; these are {names}")


def _sort(family: Family) -> str:
    return {"ordinal": "ordinal", "count": "count", "binary": "count"}.get(family.kind, "continuous")


def _order(components: tuple[Family, ...], order: Any) -> str:
    """Whether intercepts ascend: by default for components of one family that is not ordinal."""
    if order is None:
        same = len({c.name for c in components}) == 1 and components[0].kind is not Kind.ORDINAL
        return "mu" if same else "none"
    if order in ("mu", True):
        return "mu"
    if order in ("none", False):
        return "none"
    raise BrimError(f"order = {order!r} is not one of 'mu', 'none', True, False")


def _common_support(components: tuple[Family, ...], y: np.ndarray, data: Data) -> tuple[np.ndarray, str]:
    """Rows that no component takes."""
    checks = [c.support(y, data) for c in components]
    return np.all([bad for bad, _ in checks], axis=0), " or ".join(dict.fromkeys(wanted for _, wanted in checks))
