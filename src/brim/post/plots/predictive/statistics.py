"""Statistics of observed and replicated responses."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from brim.post.plots.predictive.axes import bare, bins_of
from brim.post.plots.predictive.check import OBSERVED, REPLICATED, CheckData
from brim.post.plots.style import BLUE, DARK, LIGHT


def stat(ax: Axes, c: CheckData) -> None:
    """The replicated distribution of a statistic, and its observed value."""
    ((_, statistic),) = c.stats
    observed, replicated = float(statistic(c.y)), np.asarray(statistic(c.yrep), float)
    ax.hist(replicated, bins=bins_of(replicated, c.bins), color=LIGHT, edgecolor="white", linewidth=0.5, label=REPLICATED, zorder=2)
    ax.axvline(observed, color=DARK, linewidth=2, label=OBSERVED, zorder=3)
    bare(ax)


def stat_2d(ax: Axes, c: CheckData) -> None:
    """Two statistics of every replication, and the observed pair."""
    (_, first), (_, second) = c.stats
    ax.plot(first(c.yrep), second(c.yrep), "o", color=LIGHT, markersize=3, markeredgewidth=0, alpha=0.6, label=REPLICATED, zorder=2)
    ax.plot([first(c.y)], [second(c.y)], "o", color=DARK, markersize=8, markeredgecolor="white", label=OBSERVED, zorder=3)


def stat_freqpoly(ax: Axes, c: CheckData) -> None:
    """The replicated distribution of a statistic as a frequency polygon, and its observed value."""
    ((_, statistic),) = c.stats
    counts, edges = np.histogram(np.asarray(statistic(c.yrep), float), c.bins)
    ax.plot(0.5 * (edges[1:] + edges[:-1]), counts, color=BLUE, linewidth=1.6, label=REPLICATED, zorder=2)
    ax.axvline(float(statistic(c.y)), color=DARK, linewidth=2, label=OBSERVED, zorder=3)
    bare(ax)
