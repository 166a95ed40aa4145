"""Figures of ranks: differences of distribution functions with their band, and histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from brim.post.calibration.uniform import band, edges
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.style import BLUE, GREY, LIGHT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(ranks: pd.DataFrame, draws: int, kind: str, prob: float, canvas: Canvas) -> BaseFigure:
    """One panel a variable: a column of ranks among so many draws."""
    with drawing():
        figure, axes = canvas.panels(len(ranks.columns))
        for axis, name in zip(axes, ranks, strict=True):
            (_ecdf if kind == "ecdf" else _histogram)(axis, ranks[name].to_numpy(), draws, prob)
            axis.set_title(name)
        what = "ECDF difference" if kind == "ecdf" else "simulations"
        canvas.label(figure, axes, "fraction of draws below the true value", what)
    return figure


def _ecdf(axis: Axes, ranks: np.ndarray, draws: int, prob: float) -> None:
    n = len(ranks)
    at, low, high = band(n, draws, prob)
    seen = np.searchsorted(np.sort(ranks), np.round(at * (draws + 1)).astype(int), side="left") / n
    ends = np.concatenate([[0.0], at, [1.0]])
    padded = [np.concatenate([[0.0], x - at, [0.0]]) for x in (low, high, seen)]
    axis.fill_between(ends, padded[0], padded[1], color=LIGHT, alpha=0.5, linewidth=0, step="mid")
    axis.axhline(0.0, color=GREY, linewidth=0.7)
    axis.step(ends, padded[2], color=BLUE, where="mid")


def _histogram(axis: Axes, ranks: np.ndarray, draws: int, prob: float) -> None:
    at, n = edges(len(ranks), draws), len(ranks)
    chance = np.diff(at) / (draws + 1)
    low, high = (stats.binom.ppf(q, n, chance) for q in ((1 - prob) / 2, (1 + prob) / 2))
    scaled = at / (draws + 1)
    axis.stairs(high, scaled, baseline=low, fill=True, color=GREY, alpha=0.25)
    axis.stairs(n * chance, scaled, color=GREY, baseline=None, linewidth=0.8)
    axis.stairs(np.histogram(ranks, at - 0.5)[0], scaled, color=BLUE, linewidth=1.6)
