"""Families a user writes: a Python function of the parameters that returns a NumPyro distribution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.errors import BrimError, suggest
from brim.families import dpars as known
from brim.families.base import Dpar, DparSpec, Family, Support
from brim.families.links import LINKS
from brim.families.support import real

__all__ = ["FromNumPyro", "custom_family"]

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
class _Call:
    """Calls the user's function with the parameters and with those data that its signature names."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    data: tuple[str, ...]

    def __call__(self, d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Distribution:
        made = self._made(d, data)
        return made if isinstance(made, Distribution) else FromNumPyro(made)

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
    wanted = tuple(inspect.signature(distribution).parameters)
    extra = tuple(n for n in wanted if n not in names)
    _check_arguments(name, names, wanted)
    additions = ("weights", "subset", "cens", "trunc", "index", *dict.fromkeys(n.rstrip("0123456789") for n in extra))
    counts = type == "int"
    return Family(
        name=name,
        dpars=specs,
        links=dict(zip(names, chosen, strict=True)),
        distribution=_Call(distribution, names, extra),
        support=support or (_whole if counts else real),
        kind="count" if counts else "real",
        additions=additions,
    )


def _spec(name: str, link: str, lb: float | None, ub: float | None, prior: str | None) -> DparSpec:
    if name == "mu":
        return known.mu((link,))
    ours = known.BY_NAME.get(name)
    if ours is not None and lb is None and ub is None:
        lb, ub = ours.lb, ours.ub if not isinstance(ours.ub, str) else None
    default = prior if prior is not None else (ours.prior if ours is not None else "")
    return DparSpec(name, (link,), lb, ub, default, ours.intercept_prior if ours is not None else "")


def _check_arguments(name: str, dpars: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    """Every parameter must be an argument of the function, every further argument must name data."""
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
