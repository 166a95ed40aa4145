"""What families with a predictor for each category share: names, the reference category, the matrix of logits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from brim.errors import BrimError, suggest
from brim.families.base import Dpar, DparSpec, Extra, Family, Seen

__all__ = ["ByCategory", "CategoryBinding", "category_name", "unbound"]

Array = Any


def category_name(level: str) -> str:
    """A level as part of a parameter's name: letters, digits and dots only.

    Examples
    --------
    >>> category_name("c_d 2")
    'cd2'
    """
    return re.sub(r"[^0-9A-Za-z.]", "", level)


@dataclass(frozen=True)
class ByCategory:
    """The distribution of a family once its categories are known.

    Attributes
    ----------
    names
        One entry a category: ``category_name`` of its level, ``""`` for the reference category, whose predictor is 0.
    law
        ``(logits (N, K), dpars, data, names) -> Distribution``.
    """

    names: tuple[str, ...]
    law: Callable[..., Any]

    def __call__(self, d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Any:
        """The distribution of these rows."""
        columns = [d[f"mu{name}"].eta if name else jnp.zeros(()) for name in self.names]
        return self.law(jnp.stack(jnp.broadcast_arrays(*columns), axis=-1), d, data, self.names)


def unbound(d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Any:
    """The distribution of a family that has not seen its response."""
    raise BrimError("this family must learn() its categories before it has a distribution")


def _no_extras(names: tuple[str, ...]) -> tuple[Extra, ...]:
    return ()


@dataclass(frozen=True)
class CategoryBinding:
    """How a family learns its categories: one predictor for each but the reference (``refcat``, the first by default; ``False``: none).

    Attributes
    ----------
    law
        As in ``ByCategory``.
    each
        The parameters of which every category but the reference has its own.
    extras
        ``names -> `` further parameters.
    """

    law: Callable[..., Any]
    each: tuple[str, ...] = ("mu",)
    extras: Callable[[tuple[str, ...]], tuple[Extra, ...]] = _no_extras

    def __call__(self, family: Family, seen: Seen) -> Family:
        """The family with its categories."""
        if len(seen.levels) < 2:
            hint = "give a factor, or a matrix with one column a category"
            raise BrimError(f"{family.name} needs at least two categories; the response has {len(seen.levels)}", hint=hint)
        names = _names(family, seen.levels)
        kept = [name for name in names if name]
        dpars: list[DparSpec] = []
        links: dict[str, str] = {}
        for spec in family.dpars:
            own = [replace(spec, name=f"{spec.name}{name}") for name in kept] if spec.name in self.each else [spec]
            dpars += own
            links |= {s.name: "identity" if spec.name == "mu" else family.links[spec.name] for s in own}
        mus = tuple(f"mu{name}" for name in kept)
        return replace(
            family,
            dpars=tuple(dpars),
            links=links,
            mus=mus,
            shown=dict.fromkeys(mus, family.links["mu"]),
            categories=seen.levels,
            distribution=ByCategory(names, self.law),
            extras=self.extras(names),
        )


def _names(family: Family, levels: tuple[str, ...]) -> tuple[str, ...]:
    names = [category_name(level) for level in levels]
    if len(set(names)) < len(names) or "" in names:
        raise BrimError(f"the categories {', '.join(levels)} give no distinct parameter names", hint="rename them with letters and digits")
    refcat = family.options.get("refcat")
    if refcat is False:
        return tuple(names)
    reference = levels[0] if refcat is None else str(refcat)
    if reference not in levels:
        raise BrimError(f"refcat '{reference}' is no category of the response", hint=suggest(reference, levels, "categories"))
    names[levels.index(reference)] = ""
    return tuple(names)
