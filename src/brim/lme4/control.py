"""``control=`` of the mixed-model functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest

__all__ = ["read_control", "read_start"]

_DEFAULTS: Mapping[str, float] = {"tolerance": 1e-13}


def read_control(control: Mapping[str, Any] | None) -> dict[str, float]:
    """The settings, checked."""
    given = dict(control or {})
    for name, value in given.items():
        if name not in _DEFAULTS:
            raise BrimError(f"control has no setting '{name}'", hint=suggest(name, _DEFAULTS, "settings"))
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise BrimError(f"control {name} = {value!r} must be a number between 0 and 1")
    return {**_DEFAULTS, **given}


def read_start(start: Any, sizes: Mapping[str, int]) -> list[np.ndarray]:
    """``start=``: the first part alone, or a mapping of parts to numbers, ``(size,)`` each; parts not given are empty.

    Raises
    ------
    BrimError
        For unknown parts and other sizes.
    """
    given = dict(start) if isinstance(start, Mapping) else {next(iter(sizes)): start}
    for name in given:
        if name not in sizes:
            raise BrimError(f"start has no part '{name}'", hint=suggest(str(name), list(sizes), "parts"))
    out = []
    for name, size in sizes.items():
        values = np.atleast_1d(np.asarray(given.get(name, ()), float))
        if name in given and values.shape != (size,):
            raise BrimError(f"start has shape {values.shape}; {name} has {size} elements")
        if not np.isfinite(values).all():
            raise BrimError(f"start: {name} has values that are not finite")
        out.append(values)
    return out
