"""Every family under its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brim.errors import BrimError, suggest
from brim.families import continuous, counts
from brim.families.base import Family
from brim.families.constructor import Constructor

__all__ = ["CONSTRUCTORS", "family"]

#: Name -> what the user calls.
CONSTRUCTORS: dict[str, Constructor] = {c.name: c for module in (continuous, counts) for c in module.FAMILIES}


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
    name = str(given).lower().replace(".", "_")
    if name not in CONSTRUCTORS:
        raise BrimError(f"unknown family '{given}'", hint=suggest(name, CONSTRUCTORS, "families"))
    return CONSTRUCTORS[name](**links)
