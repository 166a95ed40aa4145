"""Distributions of observed and replicated responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brim.post.plots.censored import mark
from brim.post.plots.density import bandwidth, density
from brim.post.plots.predictive.axes import bare, faint, shares, values_of, whole_ticks
from brim.post.plots.predictive.check import OBSERVED, REPLICATED, CheckData
from brim.post.plots.style import BLUE, DARK, GREY, LIGHT, level_axis


def dens_overlay(ax: Axes, c: CheckData) -> None:
    """Kernel densities; for few distinct whole numbers the share of each instead, joined by lines unless they are categories."""
    if c.discrete:
        at = values_of(c)
        curves = [shares(v, at) for v in (*c.yrep, c.y)]
    else:
        low, high = c.window
        margin = 3 * bandwidth(c.y)
        at = np.linspace(max(low - margin, c.bounds[0]), min(high + margin, c.bounds[1]), 512)
        curves = [density(v, at, *c.bounds) for v in (*c.yrep, c.y)]
    thin: dict[str, Any] = {"color": LIGHT, "linewidth": 0.8, "alpha": faint(len(c.yrep)), "zorder": 2}
    thick: dict[str, Any] = {"color": DARK, "linewidth": 1.8, "label": OBSERVED, "zorder": 3}
    if c.levels:
        thin |= {"linestyle": "", "marker": "_", "markersize": 22, "markeredgewidth": 1.4}
        thick |= {"linestyle": "", "marker": "o", "markersize": 6}
    elif c.discrete and len(at) <= 40:
        thick |= {"marker": "o", "markersize": 3.5}
    for i, curve in enumerate(curves[:-1]):
        ax.plot(at, curve, label=REPLICATED if i == 0 else None, **thin)
    (line,) = ax.plot(at, curves[-1], **thick)
    if c.discrete:
        ax.set_ylim(0, max(ax.get_ylim()[1], 1.05 * max(map(np.max, curves))))
        whole_ticks(ax, at, c)
    else:
        edges: Any = line.sticky_edges  # matplotlib types these lists as any array-like
        edges.y.append(0.0)
        bare(ax)


def ecdf_overlay(ax: Axes, c: CheckData) -> None:
    """Empirical distribution functions."""
    low, high = c.window
    margin = 0.02 * (high - low)
    share = np.concatenate([[0.0], np.arange(1, c.y.size + 1) / c.y.size, [1.0]])
    ends = min(low, float(c.yrep.min())) - margin, max(high, float(c.yrep.max())) + margin
    for i, values in enumerate((*c.yrep, c.y)):
        x = np.concatenate([ends[:1], np.sort(values), ends[1:]])
        if i < len(c.yrep):
            label = REPLICATED if i == 0 else None
            ax.step(x, share, where="post", color=LIGHT, linewidth=0.8, alpha=faint(len(c.yrep)), label=label, zorder=2)
        else:
            ax.step(x, share, where="post", color=DARK, linewidth=1.8, label=OBSERVED, zorder=3)
    ax.set_ylim(0, 1.01)
    ax.set_xlim(low - margin, high + margin)


def bars(ax: Axes, c: CheckData) -> None:
    """How often each value was observed, and the replicated frequencies with their interval."""
    at = values_of(c)
    observed = np.array([(c.y == v).sum() for v in at])
    counts = np.stack([(c.yrep == v).sum(axis=1) for v in at])
    tail = (1 - c.prob_outer) / 2
    lower, middle, upper = np.quantile(counts, [tail, 0.5, 1 - tail], axis=1)
    ax.bar(at, observed, width=0.6 if c.levels else 0.85, color=LIGHT, alpha=0.75, label=OBSERVED, zorder=2)
    fine = float(np.clip(25 / len(at), 0.3, 1.0))
    label = f"{REPLICATED}, {100 * c.prob_outer:g} %"
    bars = ax.errorbar(at, middle, np.stack([middle - lower, upper - middle]), fmt="o", color=DARK, label=label, zorder=3)
    bars[0].set(markersize=4.5 * fine, markeredgewidth=0)
    bars[2][0].set_linewidth(1.4 * fine)
    ax.grid(False, axis="x")
    ax.yaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
    whole_ticks(ax, at, c)


def freqpoly_overlay(ax: Axes, c: CheckData) -> None:
    """Frequency polygons: counts in bins, joined by lines."""
    low, high = c.window
    edges = np.linspace(low, high, c.bins + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    for i, values in enumerate((*c.yrep, c.y)):
        counts = np.histogram(values, edges)[0]
        if i < len(c.yrep):
            label = REPLICATED if i == 0 else None
            ax.plot(middle, counts, color=LIGHT, linewidth=0.8, alpha=faint(len(c.yrep)), label=label, zorder=2)
        else:
            ax.plot(middle, counts, color=DARK, linewidth=1.8, label=OBSERVED, zorder=3)
    ax.set_ylim(bottom=0)


def boxplot(ax: Axes, c: CheckData) -> None:
    """A box for the observations, and one for each draw."""
    boxes = ax.boxplot([c.y, *c.yrep], widths=0.6, showfliers=False, patch_artist=True, medianprops={"color": "white"})
    for i, box in enumerate(boxes["boxes"]):
        box.set(facecolor=DARK if i == 0 else LIGHT, edgecolor="none")
    ax.set_xticks([1, 1 + (len(c.yrep) + 1) / 2], [OBSERVED, REPLICATED])
    ax.grid(False, axis="x")


def violins(ax: Axes, c: CheckData, groups: Mapping[str, np.ndarray]) -> None:
    """The replicated distribution of each group, with its observations."""
    rng = np.random.default_rng(0)
    for i, rows in enumerate(groups.values()):
        values = np.ravel(c.yrep[:, rows])
        low, high = np.quantile(values, [0.005, 0.995])
        at = np.linspace(low, high, 200)
        curve = density(values, at, *c.bounds)
        width = 0.4 * curve / curve.max()
        ax.fill_betweenx(at, i - width, i + width, color=LIGHT, linewidth=0, alpha=0.7, label=REPLICATED if i == 0 else None, zorder=2)
        ax.plot([i - 0.2, i + 0.2], [np.median(values)] * 2, color=BLUE, linewidth=1.6, zorder=3)
        shift = rng.uniform(-0.12, 0.12, len(rows))
        censored = None if c.censored is None else c.censored.rows(rows)
        label = OBSERVED if i == 0 else None
        mark(ax, i + shift, c.y[rows], censored, color=DARK, markersize=3, alpha=0.6, label=label, zorder=4)
    level_axis(ax, list(groups))


def rootogram(ax: Axes, c: CheckData) -> None:
    """Square roots of observed counts (bars) and of their expectation with its interval (line, band)."""
    at, observed, (low, middle, high) = rootogram_data(c.y, c.yrep, c.prob_outer)
    base = {"standing": np.zeros(len(at)), "hanging": middle - observed, "suspended": np.zeros(len(at))}[c.hang]
    heights = middle - observed if c.hang == "suspended" else observed
    ax.bar(at, heights, bottom=base, width=0.9, color=LIGHT, alpha=0.8, label=OBSERVED, zorder=2)
    ax.fill_between(at, low, high, color=BLUE, alpha=0.2, linewidth=0, label=f"expected, {100 * c.prob_outer:g} %", zorder=3)
    ax.plot(at, middle, "o-", color=BLUE, markersize=3, linewidth=1.2, label="expected", zorder=4)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.grid(False, axis="x")
    ax.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def rootogram_data(y: np.ndarray, yrep: np.ndarray, prob: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values from 0, square roots of their observed counts, and of the quantiles and the mean of their replicated counts.

    Examples
    --------
    >>> at, observed, expected = rootogram_data(np.array([0, 0, 0, 0, 1]), np.array([[0, 1, 1, 1, 1], [0, 0, 0, 1, 2]]))
    >>> observed.tolist()
    [2.0, 1.0, 0.0]
    """
    at = np.arange(int(max(y.max(), yrep.max())) + 1)
    counts = np.stack([(yrep == v).sum(axis=1) for v in at], axis=1)
    low, high = np.quantile(np.sqrt(counts), [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return at, np.sqrt([(y == v).sum() for v in at]), np.stack([low, np.sqrt(counts.mean(axis=0)), high])
