"""What panels share: bins, shares of whole numbers, ticks, bare axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brim.post.plots.predictive.check import CheckData
from brim.post.plots.style import level_axis

__all__ = ["bare", "bins_of", "faint", "shares", "values_of", "whole_ticks"]


def bins_of(values: np.ndarray, n: int) -> Any:
    """Edges of ``n`` bins; one for each value if there are few."""
    distinct = np.unique(values)
    if 1 < len(distinct) <= n:
        step = float(np.min(np.diff(distinct)))
        if len(distinct) * step >= 0.5 * np.ptp(distinct):
            return np.arange(distinct[0] - step / 2, distinct[-1] + step, step)
    return n


def bare(ax: Axes) -> None:
    """No vertical axis: heights of a histogram say nothing by themselves."""
    ax.tick_params(left=False, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")


def values_of(c: CheckData) -> np.ndarray:
    """The whole numbers in sight."""
    low, high = (min(c.levels), max(c.levels)) if c.levels else (np.floor(c.window[0]), np.ceil(c.window[1]))
    return np.arange(low, high + 1)


def whole_ticks(ax: Axes, at: np.ndarray, c: CheckData) -> None:
    """Ticks at whole numbers only, with the names of categories."""
    if c.levels:
        level_axis(ax, list(c.levels.values()), at=list(c.levels))
    elif len(at) <= 12:
        ax.set_xticks(at)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def shares(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The share of each whole number."""
    return np.array([np.mean(values == v) for v in at])


def faint(n: int) -> float:
    """The opacity of one of ``n`` curves."""
    return float(np.clip(12 / n, 0.15, 0.9))
