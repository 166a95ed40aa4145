"""Every family under its name."""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from brim.arguments import named
from brim.errors import BrimError, suggest
from brim.families import (
    bounded,
    categorical,
    compound,
    continuous,
    counts,
    diffusion,
    dispersed,
    ordinal,
    positive,
    simplex,
    skewed,
    survival,
)
from brim.families.base import Family
from brim.families.constructor import Constructor
from brim.families.mixture import mixture_family

__all__ = ["CONSTRUCTORS", "brmsfamily", "family", "mixture"]

_MODULES = (continuous, skewed, positive, diffusion, counts, dispersed, bounded, simplex, ordinal, categorical, survival, compound)

#: Name -> what the user calls.
CONSTRUCTORS: dict[str, Constructor] = {c.name: c for module in _MODULES for c in module.FAMILIES}


def family(given: str | Family | Constructor, /, **links: Any) -> Family:
    """The family that a user named: a string (R's spellings included), a constructor, or a family itself.

    Parameters
    ----------
    given
        ``"poisson"``, ``"inverse.gaussian"``, ``brim.poisson`` or ``brim.poisson("sqrt")``.
    **links
        ``link``, ``link_sigma``, ...: as the constructor takes them.

    Examples
    --------
    >>> family("bernoulli", link="probit").links
    {'mu': 'probit'}
    """
    if isinstance(given, Family):
        return replace(given, links={**given.links, **links}) if links else given
    if isinstance(given, Constructor):
        return given(**links)
    if not isinstance(given, str):
        raise BrimError(f"family = {given!r} is no family", hint="give a name, or brim.poisson() and the like")
    name = _full(given.lower().replace(".", "_"))
    if name not in CONSTRUCTORS:
        raise BrimError(f"unknown family '{given}'", hint=suggest(name, CONSTRUCTORS, "families"))
    return CONSTRUCTORS[name](**links)


_named = family  # brms' argument below has the same name


@named
def brmsfamily(family: str, link: str | None = None, **more: Any) -> Family:
    """A family by its name, as brms' ``brmsfamily()``: what ``brim.student(...)`` gives for ``"student"``.

    Parameters
    ----------
    family
        The name; R's spellings and brms' are understood.
    link
        The link of the mean, the family's own by default.
    **more
        What the family's constructor takes: ``link_sigma``, ``threshold``, ``refcat``, ...

    Examples
    --------
    >>> import brim
    >>> brim.brmsfamily("student", "log", link_sigma="identity").links["sigma"]
    'identity'
    """
    return _named(family, **({} if link is None else {"link": link}), **{k: v for k, v in more.items() if v is not None})


def _full(name: str) -> str:
    """The name of a family from brms' other names for it."""
    for short, long in (("zi_", "zero_inflated_"), ("hu_", "hurdle_")):
        if name.startswith(short):
            return long + name.removeprefix(short)
    return "gaussian" if name == "normal" else name


@named
def mixture(*families: str | Family | Constructor, nmix: int | Sequence[int] = 1, order: Any = None, refcat: Any = None) -> Family:
    """A mixture: each observation comes from one of several families.

    ``p(y) = sum_k theta_k p_k(y)``. Parameters of component ``k`` carry its number: ``mu1``, ``sigma2``; all ``mu`` take the
    main formula unless they have their own. The proportions ``theta`` are sampled under a Dirichlet prior; they may be
    predicted (all but one, ``theta2 ~ x``, by softmax) or fixed.

    Parameters
    ----------
    *families
        The components: names, constructors or families.
    nmix
        How often each is repeated; one number for all or one a family.
    order
        ``"mu"`` or ``True``: the intercepts of ``mu`` ascend, which identifies the components; ``"none"`` or ``False``: not.
        By default they do when all components are of the same family (ordinal ones excepted). Of ordinal components ``"mu"`` says
        that they have the same thresholds.
    refcat
        ``False`` (R's ``NA``): all mixing proportions may be predicted; by default one must not be.

    Examples
    --------
    >>> mixture("gaussian", nmix=2).mus
    ('mu1', 'mu2')
    """
    times = [nmix] * len(families) if isinstance(nmix, int) else list(nmix)
    if len(times) != len(families) or min(times, default=0) < 1:
        raise BrimError(f"nmix = {nmix} does not fit {len(families)} families", hint="give one number, or one (at least 1) for each family")
    return mixture_family(tuple(family(f) for f, n in zip(families, times, strict=True) for _ in range(n)), order, refcat)


# --------------------------------------------------------------------------- pickling


def _taken_apart(given: Family) -> tuple[Any, ...]:
    """What ``pickle`` keeps of a family: brim's by name, links and options, since its functions have no name; a user's as it is."""
    if given.components:
        return _mixed, (given.components, dict(given.options))
    if given.name in CONSTRUCTORS and given.distribution is CONSTRUCTORS[given.name](**given.options).distribution:
        return _found, (given.name, dict(given.options), dict(given.links))
    return _made, ({f.name: getattr(given, f.name) for f in fields(given)},)


def _mixed(components: tuple[Family, ...], options: dict[str, Any]) -> Family:
    return mixture(*components, **options)


def _found(name: str, options: dict[str, Any], links: dict[str, str]) -> Family:
    return replace(CONSTRUCTORS[name](**options), links=links)


def _made(values: dict[str, Any]) -> Family:
    return Family(**values)


def _constructor(name: str) -> Constructor:
    return CONSTRUCTORS[name]


copyreg.pickle(Family, _taken_apart)
copyreg.pickle(Constructor, lambda given: (_constructor, (given.name,)))
