"""How much a formula may ask for. Sizes are computed before anything of that size is built."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from brim.errors import BrimError, suggest

__all__ = ["Limits", "limits", "set_limits", "within"]


@dataclass(frozen=True)
class Limits:
    """The largest sizes that a formula may ask for.

    Attributes
    ----------
    terms
        Terms of one right-hand side after expansion.
    columns
        Columns of a term, intervals of ``cut()``, categories of a response, steps of ``mo()``.
    basis
        Functions of a spline or a smooth before constraints; memory and time grow with the square and the cube.
    length
        Numbers of a vector such as ``seq(0, 1, length.out = n)``.
    lags
        Orders ``p`` and ``q`` of autoregressive and moving-average terms.
    values
        Values (rows times columns) of data on disk, or of a lazy frame, that are read whole; more are reduced as they are read.
    """

    terms: int = 10_000
    columns: int = 10_000
    basis: int = 2_000
    length: int = 1_000_000
    lags: int = 1_000
    values: int = 20_000_000


_now = Limits()


def limits() -> Limits:
    """The limits that hold now."""
    return _now


def set_limits(**changes: int) -> Limits:
    """Allow more, or less; returns what held before.

    Examples
    --------
    >>> before = set_limits(columns=50_000)
    >>> limits().columns, before.columns
    (50000, 10000)
    >>> _ = set_limits(columns=before.columns)
    """
    global _now
    known = [f.name for f in fields(Limits)]
    for name, value in changes.items():
        if name not in known:
            raise BrimError(f"there is no limit '{name}'", hint=suggest(name, known, "limits"))
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BrimError(f"{name} = {value!r}", hint="give a whole number >= 1")
    before, _now = _now, replace(_now, **changes)
    return before


def within(limit: str, size: float, what: str) -> int:
    """The size as a whole number, or an error when it exceeds the limit of that name.

    Examples
    --------
    >>> within("basis", 1e8, "bs(df = )")
    Traceback (most recent call last):
    ...
    brim.errors.BrimError: bs(df = ) asks for 1e+08; the limit is 2000
    more is allowed by brim.limits.set_limits(basis=...)
    """
    most = getattr(_now, limit)
    if math.isnan(size):
        raise BrimError(f"{what} asks for a size that is no number")
    if size > most:
        raise BrimError(f"{what} asks for {size:g}; the limit is {most}", hint=f"more is allowed by brim.limits.set_limits({limit}=...)")
    return int(size)
