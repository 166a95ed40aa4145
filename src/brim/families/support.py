"""Which responses a family takes: ``(y, data) -> (mask of the rows outside, what it wants)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brim.families.base import Support

__all__ = ["binary", "category", "counts", "interval", "ordinal", "real", "simplex", "up_to_trials", "whole"]

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


def category(y: np.ndarray, data: Data) -> Checked:
    """Codes 1..K, as factors give them."""
    return ~(_is_whole(y) & (y >= 1)), "a factor"


def ordinal(least: int) -> Support:
    """Codes from ``least``; not above the number of thresholds plus one where that is known."""

    def check(y: np.ndarray, data: Data) -> Checked:
        most = np.asarray(data["nthres"]) + 1 if "nthres" in data else np.inf
        top = f" to {int(np.max(most))}" if np.isfinite(np.max(most)) else ""
        return ~(_is_whole(y) & (y >= least) & (y <= most)), f"an ordered factor or whole numbers from {least}{top}"

    return check


def simplex(y: np.ndarray, data: Data) -> Checked:
    """Rows of positive numbers that sum to 1."""
    rows = np.atleast_2d(y)
    good = np.all(np.isfinite(rows) & (rows > 0), axis=-1) & (np.abs(rows.sum(axis=-1) - 1.0) < 1e-6)
    return ~good, "rows of positive numbers that sum to 1"


def counts(y: np.ndarray, data: Data) -> Checked:
    """Rows of counts that sum to the number of trials."""
    rows = np.atleast_2d(y)
    good = np.all(_is_whole(rows), axis=-1)
    if "trials" in data:
        good &= rows.sum(axis=-1) == np.asarray(data["trials"])
    return ~good, "rows of non-negative whole numbers that sum to the number of trials"
