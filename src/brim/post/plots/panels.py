"""Posterior predictive checks: the panels, each a function of observed and replicated responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brim.post.plots.density import bandwidth, density
from brim.post.plots.style import BLUE, DARK, GREY, LIGHT, Figure, facets

__all__ = ["PANELS", "STATS", "Check", "Panel", "draw"]

OBSERVED, REPLICATED = "observed", "replicated"

#: Statistics by name.
STATS: Mapping[str, Callable[[np.ndarray], Any]] = {
    "mean": lambda a: np.mean(a, axis=-1),
    "median": lambda a: np.median(a, axis=-1),
    "sd": lambda a: np.std(a, axis=-1, ddof=1),
    "var": lambda a: np.var(a, axis=-1, ddof=1),
    "mad": lambda a: 1.4826 * np.median(np.abs(a - np.median(a, axis=-1, keepdims=True)), axis=-1),
    "min": lambda a: np.min(a, axis=-1),
    "max": lambda a: np.max(a, axis=-1),
    "q5": lambda a: np.quantile(a, 0.05, axis=-1),
    "q25": lambda a: np.quantile(a, 0.25, axis=-1),
    "q75": lambda a: np.quantile(a, 0.75, axis=-1),
    "q95": lambda a: np.quantile(a, 0.95, axis=-1),
    "prop_zero": lambda a: np.mean(a == 0, axis=-1),
}


_STAT_LABELS = {"mean": "Mean", "median": "Median", "sd": "SD", "var": "Variance", "mad": "MAD", "min": "Minimum", "max": "Maximum"} | {
    **{f"q{p}": f"{p} % quantile" for p in (5, 25, 75, 95)},
    "prop_zero": "Share of zeros",
}


@dataclass(frozen=True)
class Check:
    """What is compared.

    Attributes
    ----------
    y, yrep
        Observed responses ``(rows,)`` and replicated ones ``(draws, rows)``.
    label
        The response's name.
    discrete
        Whether responses are whole numbers few enough to be shown one by one.
    window
        The range of the observed and nearly all replicated responses: one wild draw does not hide the rest.
    bounds
        Where densities end.
    levels
        Names of the categories, by the number that stands for them; empty for numbers.
    x, x_label
        A predictor for the x axis, or the number of the observation.
    stats
        The statistics of ``stat`` (one) and ``stat_2d`` (two).
    prob, prob_outer
        Probabilities of the thick and thin intervals.
    bins
        Bins of histograms.
    """

    y: np.ndarray
    yrep: np.ndarray
    label: str
    window: tuple[float, float]
    discrete: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    levels: Mapping[int, str] = field(default_factory=dict)
    x: np.ndarray | None = None
    x_label: str = "Observation"
    stats: tuple[tuple[str, Callable[[np.ndarray], Any]], ...] = field(default=())
    prob: float = 0.5
    prob_outer: float = 0.9
    bins: int = 30

    def rows(self, keep: np.ndarray) -> Check:
        """The check of some rows."""
        return replace(self, y=self.y[keep], yrep=self.yrep[:, keep], x=None if self.x is None else self.x[keep])


def draw(kind: str, check: Check, groups: Mapping[str, np.ndarray], ncol: int | None) -> Figure:
    """The figure: one panel for each group (or one for all), or small multiples for types that need them."""
    panel = PANELS[kind]
    if panel.multiples:
        return _small_multiples(kind, check, ncol)
    figure, axes = facets(max(len(groups), 1), ncol=ncol, share=panel.share)
    parts = [check.rows(rows) for rows in groups.values()] or [check]
    for ax, part, title in zip(axes, parts, groups or [""], strict=True):
        panel.draw(ax, part)
        ax.set_title(title)
    x, y = panel.labels(check)
    if len(axes) == 1:
        axes[0].set(xlabel=x, ylabel=y)
    else:
        figure.supxlabel(x, fontsize="medium", color=DARK)
        figure.supylabel(y, fontsize="medium", color=DARK)
    handles, names = axes[0].get_legend_handles_labels()
    if handles:
        order = sorted(range(len(names)), key=lambda i: names[i] != OBSERVED)
        figure.legend([handles[i] for i in order], [names[i] for i in order], loc="outside upper right", ncols=3)
    return figure


# --------------------------------------------------------------------------- distributions


def _dens_overlay(ax: Axes, c: Check) -> None:
    """Kernel densities; for few distinct whole numbers the share of each instead, joined by lines unless they are categories."""
    if c.discrete:
        at = _values(c)
        curves = [_shares(v, at) for v in (*c.yrep, c.y)]
    else:
        low, high = c.window
        margin = 3 * bandwidth(c.y)
        at = np.linspace(max(low - margin, c.bounds[0]), min(high + margin, c.bounds[1]), 512)
        curves = [density(v, at, *c.bounds) for v in (*c.yrep, c.y)]
    thin: dict[str, Any] = {"color": LIGHT, "linewidth": 0.8, "alpha": _faint(len(c.yrep)), "zorder": 2}
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
        _whole_ticks(ax, at, c)
    else:
        edges: Any = line.sticky_edges  # matplotlib types these lists as any array-like
        edges.y.append(0.0)
        _bare(ax)


def _values(c: Check) -> np.ndarray:
    """The whole numbers in sight."""
    low, high = (min(c.levels), max(c.levels)) if c.levels else (np.floor(c.window[0]), np.ceil(c.window[1]))
    return np.arange(low, high + 1)


def _whole_ticks(ax: Axes, at: np.ndarray, c: Check) -> None:
    """Ticks at whole numbers only, with the names of categories."""
    if c.levels:
        ax.set_xticks(list(c.levels), list(c.levels.values()))
        ax.set_xlim(min(c.levels) - 0.6, max(c.levels) + 0.6)
        ax.grid(False, axis="x")
    elif len(at) <= 12:
        ax.set_xticks(at)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def _shares(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The share of each whole number."""
    return np.array([np.mean(values == v) for v in at])


def _faint(n: int) -> float:
    return float(np.clip(12 / n, 0.15, 0.9))


def _ecdf_overlay(ax: Axes, c: Check) -> None:
    """Empirical distribution functions."""
    low, high = c.window
    margin = 0.02 * (high - low)
    share = np.concatenate([[0.0], np.arange(1, c.y.size + 1) / c.y.size, [1.0]])
    ends = min(low, float(c.yrep.min())) - margin, max(high, float(c.yrep.max())) + margin
    for i, values in enumerate((*c.yrep, c.y)):
        x = np.concatenate([ends[:1], np.sort(values), ends[1:]])
        if i < len(c.yrep):
            label = REPLICATED if i == 0 else None
            ax.step(x, share, where="post", color=LIGHT, linewidth=0.8, alpha=_faint(len(c.yrep)), label=label, zorder=2)
        else:
            ax.step(x, share, where="post", color=DARK, linewidth=1.8, label=OBSERVED, zorder=3)
    ax.set_ylim(0, 1.01)
    ax.set_xlim(low - margin, high + margin)


def _bars(ax: Axes, c: Check) -> None:
    """How often each value was observed, and the replicated frequencies with their interval."""
    at = _values(c)
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
    _whole_ticks(ax, at, c)


# --------------------------------------------------------------------------- statistics


def _stat(ax: Axes, c: Check) -> None:
    """The replicated distribution of a statistic, and its observed value."""
    ((_, statistic),) = c.stats
    observed, replicated = float(statistic(c.y)), np.asarray(statistic(c.yrep), float)
    ax.hist(replicated, bins=_bins(replicated, c.bins), color=LIGHT, edgecolor="white", linewidth=0.5, label=REPLICATED, zorder=2)
    ax.axvline(observed, color=DARK, linewidth=2, label=OBSERVED, zorder=3)
    _bare(ax)


def _bins(values: np.ndarray, n: int) -> Any:
    """Edges of ``n`` bins; one for each value if there are few."""
    distinct = np.unique(values)
    if 1 < len(distinct) <= n:
        step = float(np.min(np.diff(distinct)))
        if len(distinct) * step >= 0.5 * np.ptp(distinct):
            return np.arange(distinct[0] - step / 2, distinct[-1] + step, step)
    return n


def _bare(ax: Axes) -> None:
    """No vertical axis: heights of a histogram say nothing by themselves."""
    ax.tick_params(left=False, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")


def _stat_2d(ax: Axes, c: Check) -> None:
    """Two statistics of every replication, and the observed pair."""
    (_, first), (_, second) = c.stats
    ax.plot(first(c.yrep), second(c.yrep), "o", color=LIGHT, markersize=3, markeredgewidth=0, alpha=0.6, label=REPLICATED, zorder=2)
    ax.plot([first(c.y)], [second(c.y)], "o", color=DARK, markersize=8, markeredgecolor="white", label=OBSERVED, zorder=3)


# --------------------------------------------------------------------------- each observation


def _intervals(ax: Axes, c: Check) -> None:
    """Every observation with the median and the intervals of its replications."""
    x = np.arange(c.y.size) if c.x is None else c.x
    tails = np.array([(1 - c.prob_outer) / 2, (1 - c.prob) / 2])
    outer_low, low, middle, high, outer_high = np.quantile(c.yrep, [*tails, 0.5, *(1 - tails[::-1])], axis=0)
    thin, size = (1.0, 3.5) if c.y.size <= 300 else (0.5, 2.0)
    ax.vlines(x, outer_low, outer_high, color=LIGHT, linewidth=thin, label=f"{REPLICATED}, {100 * c.prob_outer:g} %", zorder=2)
    ax.vlines(x, low, high, color=BLUE, linewidth=2.2 * thin, alpha=0.7, label=f"{REPLICATED}, {100 * c.prob:g} %", zorder=3)
    ax.plot(x, middle, "o", color="white", markeredgecolor=BLUE, markersize=size, markeredgewidth=0.7, zorder=4)
    ax.plot(x, c.y, "o", color=DARK, markersize=size, markeredgewidth=0, label=OBSERVED, zorder=5)


def _ribbon(ax: Axes, c: Check) -> None:
    """``intervals`` as bands, observations in the order of ``x``."""
    x = np.arange(c.y.size) if c.x is None else c.x
    order = np.argsort(x, kind="stable")
    tails = np.array([(1 - c.prob_outer) / 2, (1 - c.prob) / 2])
    outer_low, low, middle, high, outer_high = np.quantile(c.yrep[:, order], [*tails, 0.5, *(1 - tails[::-1])], axis=0)
    band = {"color": BLUE, "linewidth": 0}
    ax.fill_between(x[order], outer_low, outer_high, alpha=0.15, label=f"{REPLICATED}, {100 * c.prob_outer:g} %", **band)  # type: ignore[arg-type]
    ax.fill_between(x[order], low, high, alpha=0.3, label=f"{REPLICATED}, {100 * c.prob:g} %", **band)  # type: ignore[arg-type]
    ax.plot(x[order], middle, color=BLUE, linewidth=1.2)
    ax.plot(x, c.y, "o", color=DARK, markersize=2.5, markeredgewidth=0, label=OBSERVED)


def _scatter_avg(ax: Axes, c: Check) -> None:
    """Observations against the mean of their replications, with the line of equality."""
    mean = c.yrep.mean(axis=0)
    _scatter(ax, mean, c.y)
    ends = [min(mean.min(), c.y.min()), max(mean.max(), c.y.max())]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def _error_scatter_avg(ax: Axes, c: Check) -> None:
    """Mean predictive errors against observations, or against ``x``."""
    _scatter(ax, c.y if c.x is None else c.x, (c.y - c.yrep).mean(axis=0))
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    alpha = float(np.clip(12 / np.sqrt(len(y)), 0.2, 0.75))
    ax.plot(x, y, "o", color=BLUE, markersize=4, markeredgewidth=0, alpha=alpha, zorder=2)


# --------------------------------------------------------------------------- small multiples


def _small_multiples(kind: str, c: Check, ncol: int | None) -> Figure:
    """One histogram for each draw; for ``hist`` that of the observations comes first."""
    errors = kind == "error_hist"
    samples = list(c.y - c.yrep) if errors else [c.y, *c.yrep]
    figure, axes = facets(len(samples), ncol=ncol)
    low, high = (min(map(np.min, samples)), max(map(np.max, samples))) if errors else c.window
    edges = _bins(np.concatenate([s[(s >= low) & (s <= high)] for s in samples]), c.bins)
    edges = list(np.linspace(low, high, c.bins + 1) if np.isscalar(edges) else edges)
    for i, (ax, sample) in enumerate(zip(axes, samples, strict=True)):
        seen = not errors and i == 0
        ax.hist(sample, bins=edges, color=DARK if seen else LIGHT, edgecolor="white", linewidth=0.4, zorder=2)
        ax.set_title(OBSERVED if seen else f"draw {i + errors}", fontsize="small")
        _bare(ax)
        if errors:
            ax.axvline(0, color=GREY, linewidth=0.8, zorder=3)
    figure.supxlabel(f"{c.label}: observed − replicated" if errors else c.label, fontsize="medium", color=DARK)
    return figure


# --------------------------------------------------------------------------- the table of types


@dataclass(frozen=True)
class Panel:
    """One type of check.

    Attributes
    ----------
    draw
        Draws it into one panel.
    labels
        Axis labels.
    ndraws
        How many draws it shows by default, ``None`` for all.
    share
        Which axes the panels of groups share.
    multiples
        Whether every draw has a panel.
    """

    draw: Callable[[Axes, Check], None]
    labels: Callable[[Check], tuple[str, str]]
    ndraws: int | None = None
    share: str = "both"
    multiples: bool = False


def _statistic(c: Check, i: int) -> str:
    name = c.stats[i][0]
    return f"{_STAT_LABELS.get(name, name)} of {c.label}"


def _none(ax: Axes, c: Check) -> None:
    raise AssertionError("drawn by _small_multiples")


PANELS: Mapping[str, Panel] = {
    "dens_overlay": Panel(_dens_overlay, lambda c: (c.label, "Proportion" if c.discrete else "Density"), ndraws=10, share="x"),
    "ecdf_overlay": Panel(_ecdf_overlay, lambda c: (c.label, "Cumulative proportion"), ndraws=10),
    "hist": Panel(_none, lambda c: (c.label, ""), ndraws=8, multiples=True),
    "bars": Panel(_bars, lambda c: (c.label, "Count"), share="x"),
    "stat": Panel(_stat, lambda c: (_statistic(c, 0), ""), share=""),
    "stat_2d": Panel(_stat_2d, lambda c: (_statistic(c, 0), _statistic(c, 1)), share=""),
    "intervals": Panel(_intervals, lambda c: (c.x_label, c.label), share="y"),
    "ribbon": Panel(_ribbon, lambda c: (c.x_label, c.label), share="y"),
    "scatter_avg": Panel(_scatter_avg, lambda c: (f"Mean replicated {c.label}", f"Observed {c.label}")),
    "error_hist": Panel(_none, lambda c: (c.label, ""), ndraws=9, multiples=True),
    "error_scatter_avg": Panel(_error_scatter_avg, lambda c: (c.label if c.x is None else c.x_label, "Observed − mean replicated")),
}
