"""The types of posterior predictive check, and the figure of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from brim.post.plots.predictive.axes import bare, bins_of
from brim.post.plots.predictive.calibration import loo_pit_overlay, loo_pit_qq, pit_ecdf
from brim.post.plots.predictive.check import OBSERVED, STAT_LABELS, Check
from brim.post.plots.predictive.distributions import bars, boxplot, dens_overlay, ecdf_overlay, freqpoly_overlay, rootogram, violins
from brim.post.plots.predictive.observations import error_binned, error_scatter, error_scatter_avg, intervals, ribbon, scatter_avg
from brim.post.plots.predictive.statistics import stat, stat_2d, stat_freqpoly
from brim.post.plots.predictive.survival import km_overlay
from brim.post.plots.style import DARK, GREY, LIGHT, Figure, facets


def draw(kind: str, check: Check, groups: Mapping[str, np.ndarray], ncol: int | None) -> Figure:
    """The figure: one panel for each group (or one for all), or small multiples for types that need them."""
    panel = PANELS[kind]
    if panel.multiples:
        return small_multiples(kind, check, ncol)
    if panel.across is not None:
        figure, axes = facets(1)
        panel.across(axes[0], check, groups or {"all": np.arange(check.y.size)})
    else:
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


def small_multiples(kind: str, c: Check, ncol: int | None) -> Figure:
    """One histogram for each draw; for ``hist`` that of the observations comes first."""
    errors = kind == "error_hist"
    samples = list(c.y - c.yrep) if errors else [c.y, *c.yrep]
    figure, axes = facets(len(samples), ncol=ncol)
    low, high = (min(map(np.min, samples)), max(map(np.max, samples))) if errors else c.window
    edges = bins_of(np.concatenate([s[(s >= low) & (s <= high)] for s in samples]), c.bins)
    edges = list(np.linspace(low, high, c.bins + 1) if np.isscalar(edges) else edges)
    for i, (ax, sample) in enumerate(zip(axes, samples, strict=True)):
        seen = not errors and i == 0
        ax.hist(sample, bins=edges, color=DARK if seen else LIGHT, edgecolor="white", linewidth=0.4, zorder=2)
        ax.set_title(OBSERVED if seen else f"draw {i + errors}", fontsize="small")
        bare(ax)
        if errors:
            ax.axvline(0, color=GREY, linewidth=0.8, zorder=3)
    figure.supxlabel(f"{c.label}: observed − replicated" if errors else c.label, fontsize="medium", color=DARK)
    return figure


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
    weighted
        Whether each observation's draws are weighted as if it had been left out (Pareto smoothed importance sampling).
    across
        Draws all groups into one panel.
    """

    draw: Callable[[Axes, Check], None]
    labels: Callable[[Check], tuple[str, str]]
    ndraws: int | None = None
    share: str = "both"
    multiples: bool = False
    weighted: bool = False
    across: Callable[[Axes, Check, Mapping[str, np.ndarray]], None] | None = None


def _statistic(c: Check, i: int) -> str:
    name = c.stats[i][0]
    return f"{STAT_LABELS.get(name, name)} of {c.label}"


def none(ax: Axes, c: Check) -> None:
    """For types that are drawn whole."""
    raise AssertionError("drawn by small_multiples")


PANELS: Mapping[str, Panel] = {
    "dens_overlay": Panel(dens_overlay, lambda c: (c.label, "Proportion" if c.discrete else "Density"), ndraws=10, share="x"),
    "ecdf_overlay": Panel(ecdf_overlay, lambda c: (c.label, "Cumulative proportion"), ndraws=10),
    "hist": Panel(none, lambda c: (c.label, ""), ndraws=8, multiples=True),
    "freqpoly": Panel(freqpoly_overlay, lambda c: (c.label, "Count"), ndraws=10, share="x"),
    "boxplot": Panel(boxplot, lambda c: ("", c.label), ndraws=10, share="y"),
    "violin": Panel(none, lambda c: ("", c.label), across=violins),
    "bars": Panel(bars, lambda c: (c.label, "Count"), share="x"),
    "rootogram": Panel(rootogram, lambda c: (c.label, "√ count"), share="x"),
    "stat": Panel(stat, lambda c: (_statistic(c, 0), ""), share=""),
    "stat_freqpoly": Panel(stat_freqpoly, lambda c: (_statistic(c, 0), ""), share=""),
    "stat_2d": Panel(stat_2d, lambda c: (_statistic(c, 0), _statistic(c, 1)), share=""),
    "intervals": Panel(intervals, lambda c: (c.x_label, c.label), share="y"),
    "ribbon": Panel(ribbon, lambda c: (c.x_label, c.label), share="y"),
    "scatter_avg": Panel(scatter_avg, lambda c: (f"Mean replicated {c.label}", f"Observed {c.label}")),
    "error_hist": Panel(none, lambda c: (c.label, ""), ndraws=9, multiples=True),
    "error_scatter": Panel(error_scatter, lambda c: (c.label, "Observed − replicated"), ndraws=1),
    "error_scatter_avg": Panel(error_scatter_avg, lambda c: (c.label if c.x is None else c.x_label, "Observed − mean replicated")),
    "error_binned": Panel(error_binned, lambda c: (f"Mean replicated {c.label}", "Mean error")),
    "km_overlay": Panel(km_overlay, lambda c: (c.label, "Share without event"), ndraws=20),
    "pit_ecdf": Panel(pit_ecdf, lambda c: ("PIT", "ECDF − uniform")),
    "loo_pit_overlay": Panel(loo_pit_overlay, lambda c: ("LOO-PIT", "Density"), weighted=True),
    "loo_pit_qq": Panel(loo_pit_qq, lambda c: ("Uniform quantile", "LOO-PIT"), weighted=True),
    "loo_pit_ecdf": Panel(pit_ecdf, lambda c: ("LOO-PIT", "ECDF − uniform"), weighted=True),
    "loo_intervals": Panel(intervals, lambda c: (c.x_label, c.label), share="y", weighted=True),
    "loo_ribbon": Panel(ribbon, lambda c: (c.x_label, c.label), share="y", weighted=True),
}
