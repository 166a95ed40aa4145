"""Families a user writes: a Python function of the parameters that returns a NumPyro distribution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from brim.arguments import named
from brim.distributions.base import Distribution
from brim.distributions.numerics.categories import draw_category, log_cumulative
from brim.errors import BrimError, suggest
from brim.families import dpars as known
from brim.families.base import Dpar, DparSpec, Family, Support
from brim.families.kinds import Kind
from brim.families.links import LINKS
from brim.families.support import ordinal as ordered_from
from brim.families.support import real
from brim.families.thresholds import ThresholdBinding

__all__ = ["Categories", "FromNumPyro", "custom_family"]

Array = Any


@dataclass(frozen=True)
class FromNumPyro(Distribution):
    """A NumPyro distribution of the response."""

    inner: Any

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether its support is."""
        return bool(self.inner.support.is_discrete)

    @property
    def event_ndim(self) -> int:  # type: ignore[override]
        """Axes of one observation."""
        return len(self.inner.event_shape)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.inner.batch_shape)

    @property
    def lower(self) -> Array:
        return getattr(self.inner.support, "lower_bound", -jnp.inf)

    @property
    def upper(self) -> Array:
        return getattr(self.inner.support, "upper_bound", jnp.inf)

    @property
    def mean(self) -> Array:
        return self.inner.mean

    @property
    def variance(self) -> Array:
        return self.inner.variance

    def log_prob(self, y: Array) -> Array:
        return self.inner.log_prob(y)

    def cdf(self, y: Array) -> Array:
        try:
            return self.inner.cdf(y)
        except NotImplementedError:
            name = type(self.inner).__name__
            raise BrimError(f"NumPyro's {name} has no distribution function", hint="censoring and truncation need one") from None

    def log_cdf(self, y: Array) -> Array:
        return jnp.log(jnp.maximum(self.cdf(y), 1e-300))

    def log_survival(self, y: Array) -> Array:
        return jnp.log(jnp.maximum(1.0 - self.cdf(y), 1e-300))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.inner.sample(key, sample_shape)


@dataclass(frozen=True)
class Categories(Distribution):
    """A NumPyro distribution of 0, 1, ... as that of categories counted from ``first``; ``mean`` are their probabilities."""

    inner: Any
    first: int
    size: int
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.inner.batch_shape)

    @property
    def lower(self) -> Array:
        return float(self.first)

    @property
    def upper(self) -> Array:
        return self.first + self.size - 1.0

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_table())

    def log_table(self) -> Array:
        """Log probabilities of all categories (N, size)."""
        return jnp.stack([self.inner.log_prob(jnp.full(self.batch_shape, k)) for k in range(self.size)], axis=-1)

    def log_prob(self, y: Array) -> Array:
        return self.inner.log_prob(jnp.asarray(jnp.nan_to_num(y) - self.first, int))

    def log_cdf(self, y: Array) -> Array:
        return log_cumulative(self.log_table(), y, self.first)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return draw_category(key, self.log_table(), self._shape(sample_shape), self.first)


@dataclass(frozen=True)
class _Call:
    """Calls the user's function with the parameters and with those data that its signature names.

    ``first`` is the first category of an ordinal family, which counts as many as there are thresholds and one, or two from 0.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    data: tuple[str, ...]
    first: int | None = None

    def __call__(self, d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Distribution:
        made = self._made(d, data)
        if isinstance(made, Distribution):
            return made
        if self.first is None:
            return FromNumPyro(made)
        return Categories(made, self.first, jnp.shape(d["thres"].value)[-1] + 2 - self.first)

    def _made(self, d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Any:
        missing = [name for name in self.data if name not in data]
        if missing:
            raise BrimError(
                f"the custom family's function wants '{missing[0]}'", hint=f"add {_source(missing[0])} to the formula's left-hand side"
            )
        return self.function(**{name: d[name].value for name in self.names}, **{name: data[name] for name in self.data})


def _source(name: str) -> str:
    stem = name.rstrip("0123456789")
    return f"{stem}({'...' if stem in ('vint', 'vreal') else 'variable'})"


_DATA = ("trials", "se", "rate", "dec")
#: What an ordinal custom family may say of its thresholds and categories, under brms' names.
_SPECIALS = ("ordinal", "ordered_thres", "extra_cat", "cs")


def _check_callable(name: str, given: object) -> None:
    if not callable(given):
        hint = "a function of the parameters: lambda mu, sigma: numpyro.distributions.Normal(mu, sigma)"
        raise BrimError(f"custom_family('{name}', {given!r}) has no function that gives the distribution", hint=hint)


@named
def custom_family(
    name: str,
    distribution: Callable[..., Any],
    dpars: Sequence[str] = ("mu",),
    links: Sequence[str] | str = "identity",
    lb: Sequence[float | None] | None = None,
    ub: Sequence[float | None] | None = None,
    *,
    type: str = "real",
    support: Support | None = None,
    priors: Mapping[str, str] | None = None,
    specials: Sequence[str] | str = (),
    threshold: str = "flexible",
) -> Family:
    """A response family from a function that returns a NumPyro distribution.

    Parameters
    ----------
    name
        What to call it in printed output.
    distribution
        ``(**dpars) -> numpyro Distribution`` with one element a row. Further arguments named ``trials``, ``se``, ``rate``,
        ``dec``, ``vint1``, ``vint2``, ..., ``vreal1``, ... receive the data of the addition terms of that name.
    dpars
        Names of the distributional parameters; the first must be ``mu``.
    links
        Their links, one for each, or one for all.
    lb, ub
        Their bounds when they are not predicted.
    type
        ``"real"`` or ``"int"``: numbers or counts.
    support
        ``(y, data) -> (mask of rows that do not fit, "what is wanted")``; by default finite numbers, or whole ones.
    priors
        Default priors of parameters that are not predicted; brms' where a name is brms' (``sigma``, ``shape``, ...).
    specials, threshold
        ``"ordinal"``: the response is ordered, and thresholds stand in the place of the intercept; ``threshold`` as for ``cumulative``.
        The function takes them as ``thres``, (thresholds,), or (rows, thresholds) with infinite ones where a group of
        ``thres(gr = )`` has fewer, and returns a distribution of the categories 0, 1, ...; with ``"ordered_thres"`` they ascend, with
        ``"extra_cat"`` there is a further category below (responses count from 0), with ``"cs"`` ``mu`` may be category-specific,
        (rows, thresholds).

    Returns
    -------
    Family
        To use like any other family.

    Examples
    --------
    >>> import numpyro.distributions as d
    >>> family = custom_family("gumbel", lambda mu, sigma: d.Gumbel(mu, sigma), dpars=["mu", "sigma"], links=["identity", "log"])
    >>> family
    gumbel(mu = identity, sigma = log)

    The cumulative model by hand:

    >>> law = lambda mu, thres: d.OrderedLogistic(mu, thres)
    >>> ordered = custom_family("ordered", law, type="int", specials=["ordinal", "ordered_thres"])
    >>> ordered.intercepts
    False
    """
    names = tuple(dpars)
    if not names or names[0] != "mu":
        raise BrimError(f"the first parameter of custom_family('{name}') must be mu", hint=f"dpars = {list(names)}")
    chosen = (links,) * len(names) if isinstance(links, str) else tuple(links)
    if len(chosen) != len(names):
        raise BrimError(f"custom_family('{name}') has {len(names)} parameters and {len(chosen)} links")
    for one in chosen:
        if one not in LINKS:
            raise BrimError(f"unknown link '{one}'", hint=suggest(one, LINKS, "links"))
    bounds = zip(names, chosen, lb or (None,) * len(names), ub or (None,) * len(names), strict=True)
    specs = tuple(_spec(*row, (priors or {}).get(row[0])) for row in bounds)
    _check_callable(name, distribution)
    wanted = tuple(inspect.signature(distribution).parameters)
    ordinal = _ordinal(name, specials, type)
    data = tuple(n for n in wanted if n not in names)
    _check_arguments(name, names, wanted, ordinal)
    stems = dict.fromkeys(n.rstrip("0123456789") for n in data if n != "thres")
    plain = Family(
        name=name,
        dpars=specs,
        links=dict(zip(names, chosen, strict=True)),
        distribution=_Call(distribution, names, data),
        support=support or (_whole if type == "int" else real),
        kind=Kind.COUNT if type == "int" else Kind.REAL,
        additions=("weights", "subset", "cens", "trunc", *(() if type == "int" else ("entry",)), "index", *stems),
    )
    if not ordinal:
        return plain
    first = 1 - ("extra_cat" in ordinal)
    fixed = tuple(replace(s, fixed=known.DISC.fixed) if s.name == "disc" else s for s in specs)
    return replace(
        plain,
        dpars=fixed,
        distribution=_Call(distribution, (*names, "thres"), tuple(n for n in data if n != "thres"), first),
        support=support or ordered_from(first),
        kind=Kind.ORDINAL,
        additions=("weights", "subset", "thres", "index", *stems, *(("cs",) if "cs" in ordinal else ())),
        options={"threshold": threshold},
        intercepts=False,
        binding=ThresholdBinding("ordered_thres" in ordinal, not first),
    )


def _ordinal(name: str, specials: Sequence[str] | str, type: str) -> tuple[str, ...]:
    """The specials of an ordinal family, checked; empty for others."""
    given = (specials,) if isinstance(specials, str) else tuple(specials)
    for one in given:
        if one not in _SPECIALS:
            raise BrimError(f"custom_family('{name}') has no special '{one}'", hint=suggest(one, _SPECIALS, "specials"))
    if given and ("ordinal" not in given or type != "int"):
        raise BrimError(f"specials of custom_family('{name}') are for ordinal families", hint='write type="int", specials=["ordinal", ...]')
    return given


def _spec(name: str, link: str, lb: float | None, ub: float | None, prior: str | None) -> DparSpec:
    if name == "mu":
        return known.mu((link,))
    ours = known.BY_NAME.get(name)
    if ours is not None and lb is None and ub is None:
        lb, ub = ours.lb, ours.ub if not isinstance(ours.ub, str) else None
    default = prior if prior is not None else (ours.prior if ours is not None else "")
    return DparSpec(name, (link,), lb, ub, default, ours.intercept_prior if ours is not None else "")


def _check_arguments(name: str, dpars: tuple[str, ...], wanted: tuple[str, ...], ordinal: tuple[str, ...]) -> None:
    """Every parameter must be an argument of the function, every further argument must name data."""
    dpars = (*dpars, "thres") if ordinal else dpars
    for dpar in dpars:
        if dpar not in wanted:
            raise BrimError(f"the function of custom_family('{name}') takes no '{dpar}'", hint=f"its arguments are {', '.join(wanted)}")
    for argument in wanted:
        stem = argument.rstrip("0123456789")
        if argument not in dpars and argument not in _DATA and not (stem in ("vint", "vreal") and argument != stem):
            raise BrimError(
                f"the argument '{argument}' of custom_family('{name}')'s function is neither a parameter nor data",
                hint=suggest(argument, (*dpars, *_DATA, "vint1", "vreal1"), "arguments"),
            )


def _whole(y: np.ndarray, data: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    return ~(np.isfinite(y) & (y == np.round(y))), "whole numbers"
