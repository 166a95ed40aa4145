"""Knots that the user gives for the covariates of smooths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.language.expand import Call, arguments, deparse, parse, special

__all__ = ["check_knots", "knot_arrays", "read_knots"]


def read_knots(given: Any) -> dict[str, tuple[float | str, ...]]:
    """``knots = {"x": [0, 1]}`` by covariate as formulas write it: numbers, or names of regions.

    Raises
    ------
    BrimError
        For what is no mapping, and for knots that are not finite, or fewer than two.

    Examples
    --------
    >>> read_knots({"log( x )": [2, 0, 1]})
    {'log(x)': (2.0, 0.0, 1.0)}
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BrimError("knots are given by covariate", hint='write knots={"x": [0, 0.5, 1]}')
    return {deparse(parse(str(name))): _values(str(name), values) for name, values in given.items()}


def _values(name: str, values: Any) -> tuple[float | str, ...]:
    found = np.asarray(values)
    if found.ndim != 1 or len(found) == 0 or found.dtype.kind not in "fiuUO":
        raise BrimError(f"knots of '{name}' are a list of numbers, or of names of regions")
    if found.dtype.kind in "UO":
        return tuple(str(v) for v in found)
    if not np.isfinite(found).all():
        raise BrimError(f"a knot of '{name}' is not finite")
    return tuple(float(v) for v in found)


def knot_arrays(knots: Mapping[str, tuple[float | str, ...]]) -> dict[str, np.ndarray]:
    """The same as arrays."""
    return {name: np.array(values) for name, values in knots.items()}


def check_knots(knots: Iterable[str], calls: Iterable[Call]) -> None:
    """Refuse knots of what is no covariate of a smooth in ``calls``."""
    covariates = dict.fromkeys(deparse(c) for call in calls if (s := special(call)) and s.kind == "smooth" for c in arguments(call)[0])
    for name in knots:
        if name not in covariates:
            hint = suggest(name, covariates, "covariates of smooths") if covariates else "the formula has no smooth"
            raise BrimError(f"knots are given for '{name}', which is no covariate of a smooth", hint=hint)
