"""Each observation beside its replications."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from brim.post.censoring import Censoring
from brim.post.plots.censored import mark
from brim.post.plots.predictive.check import OBSERVED, REPLICATED, CheckData
from brim.post.plots.style import BLUE, DARK, GREY, LIGHT


def intervals(ax: Axes, c: CheckData) -> None:
    """Every observation with the median and the intervals of its replications."""
    x = np.arange(c.y.size) if c.x is None else c.x
    outer_low, low, middle, high, outer_high = interval_data(c)
    thin, size = (1.0, 3.5) if c.y.size <= 300 else (0.5, 2.0)
    ax.vlines(x, outer_low, outer_high, color=LIGHT, linewidth=thin, label=f"{REPLICATED}, {100 * c.prob_outer:g} %", zorder=2)
    ax.vlines(x, low, high, color=BLUE, linewidth=2.2 * thin, alpha=0.7, label=f"{REPLICATED}, {100 * c.prob:g} %", zorder=3)
    ax.plot(x, middle, "o", color="white", markeredgecolor=BLUE, markersize=size, markeredgewidth=0.7, zorder=4)
    mark(ax, x, c.y, c.censored, color=DARK, markersize=size, label=OBSERVED, zorder=5)


def ribbon(ax: Axes, c: CheckData) -> None:
    """``intervals`` as bands, observations in the order of ``x``."""
    x = np.arange(c.y.size) if c.x is None else c.x
    order = np.argsort(x, kind="stable")
    outer_low, low, middle, high, outer_high = interval_data(c)[:, order]
    band = {"color": BLUE, "linewidth": 0}
    ax.fill_between(x[order], outer_low, outer_high, alpha=0.15, label=f"{REPLICATED}, {100 * c.prob_outer:g} %", **band)  # type: ignore[arg-type]
    ax.fill_between(x[order], low, high, alpha=0.3, label=f"{REPLICATED}, {100 * c.prob:g} %", **band)  # type: ignore[arg-type]
    ax.plot(x[order], middle, color=BLUE, linewidth=1.2)
    mark(ax, x, c.y, c.censored, color=DARK, markersize=2.5, label=OBSERVED)


def scatter_avg(ax: Axes, c: CheckData) -> None:
    """Observations against the mean of their replications, with the line of equality."""
    mean = c.yrep.mean(axis=0)
    scatter(ax, mean, c.y, c.censored)
    ends = [min(mean.min(), c.y.min()), max(mean.max(), c.y.max())]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def error_scatter_avg(ax: Axes, c: CheckData) -> None:
    """Mean predictive errors against observations, or against ``x``."""
    mean = c.yrep.mean(axis=0)
    scatter(ax, c.y if c.x is None else c.x, c.y - mean, _shifted(c.censored, mean))
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def scatter(ax: Axes, x: np.ndarray, y: np.ndarray, censored: Censoring | None = None) -> None:
    """Points, fainter where there are many."""
    alpha = float(np.clip(12 / np.sqrt(len(y)), 0.2, 0.75))
    label = None if censored is None else OBSERVED
    mark(ax, x, y, censored, color=BLUE, markersize=4, alpha=alpha, zorder=2, label=label)


def _shifted(censored: Censoring | None, by: np.ndarray) -> Censoring | None:
    """The limits of errors: those of the responses minus what was expected."""
    return None if censored is None else Censoring(censored.codes, censored.at - by, censored.upper - by)


def error_scatter(ax: Axes, c: CheckData) -> None:
    """Predictive errors of one draw against observations."""
    for replicated in c.yrep:
        scatter(ax, c.y, c.y - replicated, _shifted(c.censored, replicated))
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def error_binned(ax: Axes, c: CheckData) -> None:
    """Mean errors in bins of the expected response, with the band that holds 95 % of them where the model is right."""
    expected = c.yrep.mean(axis=0)
    at, mean, band = binned_errors(expected, c.y - expected)
    ax.fill_between(at, -band, band, color=LIGHT, alpha=0.4, linewidth=0, label="± 2 standard errors", zorder=1)
    ax.plot(at, mean, "o", color=BLUE, markersize=5, markeredgewidth=0, label="mean error", zorder=3)
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=2)


def binned_errors(expected: np.ndarray, error: np.ndarray, bins: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean expectation, mean error and twice its standard error (NaN of a bin of one) in bins of equal width (Gelman & Hill 2007).

    Examples
    --------
    >>> at, mean, band = binned_errors(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.1, -0.1, 0.3, 0.1]), bins=2)
    >>> mean.round(3).tolist()
    [0.0, 0.2]
    """
    n = len(expected)
    bins = bins or (int(np.sqrt(n)) if n >= 100 else 10 if n > 10 else max(n // 2, 1))
    edges = np.linspace(expected.min(), expected.max(), bins + 1)[1:-1]
    which = np.digitize(expected, edges, right=True)
    rows = [np.flatnonzero(which == i) for i in range(bins)]
    rows = [r for r in rows if len(r)]
    spread = [2 * error[r].std(ddof=1) / np.sqrt(len(r)) if len(r) > 1 else np.nan for r in rows]
    return np.array([expected[r].mean() for r in rows]), np.array([error[r].mean() for r in rows]), np.array(spread)


def interval_data(c: CheckData) -> np.ndarray:
    """Outer, inner, middle, inner, outer quantiles of every observation's replications, ``(5, rows)``; weighted where weights are given.

    Weighted quantiles are those of the draws' weighted distribution function.
    """
    tails = np.array([(1 - c.prob_outer) / 2, (1 - c.prob) / 2])
    probs = np.array([*tails, 0.5, *(1 - tails[::-1])])
    if c.log_weights is None:
        return np.asarray(np.quantile(c.yrep, probs, axis=0))
    order = np.argsort(c.yrep, axis=0)
    values = np.take_along_axis(c.yrep, order, 0)
    mass = np.cumsum(np.take_along_axis(np.exp(c.log_weights - c.log_weights.max(axis=0)), order, 0), axis=0)
    mass /= mass[-1]
    at = np.stack([(mass < p).sum(axis=0) for p in probs])
    return np.take_along_axis(values, np.minimum(at, len(values) - 1), 0)
