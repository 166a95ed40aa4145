"""Which responses a family takes: ``(y, data) -> (mask of the rows outside, what it wants)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brim.families.base import Support

__all__ = ["binary", "interval", "real", "up_to_trials", "whole"]

Checked = tuple[np.ndarray, str]
Data = Mapping[str, Any]


def real(y: np.ndarray, data: Data) -> Checked:
    """Any finite number."""
    return ~np.isfinite(y), "finite numbers"


def interval(lower: float, upper: float, wanted: str, *, closed: tuple[bool, bool] = (False, False)) -> Support:
    """Numbers between two bounds, each of which may be allowed itself."""

    def check(y: np.ndarray, data: Data) -> Checked:
        above = y >= lower if closed[0] else y > lower
        below = y <= upper if closed[1] else y < upper
        return ~(above & below & np.isfinite(y)), wanted

    return check


def _is_whole(y: np.ndarray) -> np.ndarray:
    return np.isfinite(y) & (y == np.round(y)) & (y >= 0)


def whole(y: np.ndarray, data: Data) -> Checked:
    """Counts."""
    return ~_is_whole(y), "non-negative whole numbers"


def binary(y: np.ndarray, data: Data) -> Checked:
    """Zeros and ones."""
    return ~np.isin(y, (0, 1)), "0 and 1 (or logicals, or a factor of two levels)"


def up_to_trials(y: np.ndarray, data: Data) -> Checked:
    """Counts not above ``trials``."""
    return ~(_is_whole(y) & (y <= np.asarray(data.get("trials", 1)))), "whole numbers from 0 to the number of trials"
