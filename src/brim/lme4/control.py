"""``control=`` of the mixed-model functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brim.errors import BrimError, suggest

__all__ = ["read_control"]

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
