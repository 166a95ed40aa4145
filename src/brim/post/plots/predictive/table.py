"""The types of posterior predictive check, and the figure of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from brim.post.plots.figures import BaseFigure, Canvas
from brim.post.plots.predictive.axes import bare, bins_of
from brim.post.plots.predictive.calibration import loo_pit_overlay, loo_pit_qq, pit_ecdf
from brim.post.plots.predictive.check import OBSERVED, STAT_LABELS, CheckData
from brim.post.plots.predictive.distributions import bars, boxplot, dens_overlay, ecdf_overlay, freqpoly_overlay, rootogram, violins
from brim.post.plots.predictive.observations import error_binned, error_scatter, error_scatter_avg, intervals, ribbon, scatter_avg
from brim.post.plots.predictive.statistics import stat, stat_2d, stat_freqpoly
from brim.post.plots.predictive.survival import km_overlay
from brim.post.plots.style import DARK, GREY, LIGHT


def draw(kind: str, check: CheckData, groups: Mapping[str, np.ndarray], by: str, ncol: int | None, canvas: Canvas) -> BaseFigure:
    """The figure: one panel for each group (or one for all), or small multiples for types that need them.

    ``groups`` are the rows of each level of the column ``by``.
    """
    panel = PANELS[kind]
    if panel.multiples:
        return small_multiples(kind, check, ncol, canvas)
    x, y = panel.labels(check)
    if panel.across is not None:
        figure, axes = canvas.panels(1)
        panel.across(axes[0], check, groups or {"all": np.arange(check.y.size)})
        x = x or by
    else:
        figure, axes = canvas.panels(max(len(groups), 1), ncol=ncol, share=panel.share)
        parts = [check.rows(rows) for rows in groups.values()] or [check]
        for ax, part, level in zip(axes, parts, groups or [""], strict=True):
            panel.draw(ax, part)
            ax.set_title(f"{by} = {level}" if by else "", wrap=True)
    canvas.make_room(figure, axes)
    canvas.label(figure, axes, x, y)
    named = {name: handle for ax in axes for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    if named:
        order = sorted(named, key=lambda name: name != OBSERVED)
        canvas.key(figure, axes, [named[n] for n in order], order, "upper right", ncols=3)
    return figure


def small_multiples(kind: str, c: CheckData, ncol: int | None, canvas: Canvas) -> BaseFigure:
    """One histogram for each draw; for ``hist`` that of the observations comes first."""
    errors = kind == "error_hist"
    samples = list(c.y - c.yrep) if errors else [c.y, *c.yrep]
    figure, axes = canvas.panels(len(samples), ncol=ncol)
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
    canvas.label(figure, axes, f"{c.label}: observed − replicated" if errors else c.label, "")
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
    censors
        Whether censored responses are drawn as such; other types show them at their limits.
    """

    draw: Callable[[Axes, CheckData], None]
    labels: Callable[[CheckData], tuple[str, str]]
    ndraws: int | None = None
    share: str = "both"
    multiples: bool = False
    weighted: bool = False
    across: Callable[[Axes, CheckData, Mapping[str, np.ndarray]], None] | None = None
    censors: bool = False


def _statistic(c: CheckData, i: int) -> str:
    name = c.stats[i][0]
    return f"{STAT_LABELS.get(name, name)} of {c.label}"


def none(ax: Axes, c: CheckData) -> None:
    """For types that are drawn whole."""
    raise AssertionError("drawn by small_multiples")


PANELS: Mapping[str, Panel] = {
    "dens_overlay": Panel(dens_overlay, lambda c: (c.label, "Proportion" if c.discrete else "Density"), ndraws=10, share="x"),
    "ecdf_overlay": Panel(ecdf_overlay, lambda c: (c.label, "Cumulative proportion"), ndraws=10),
    "hist": Panel(none, lambda c: (c.label, ""), ndraws=8, multiples=True),
    "freqpoly": Panel(freqpoly_overlay, lambda c: (c.label, "Count"), ndraws=10, share="x"),
    "boxplot": Panel(boxplot, lambda c: ("", c.label), ndraws=10, share="y"),
    "violin": Panel(none, lambda c: ("", c.label), across=violins, censors=True),
    "bars": Panel(bars, lambda c: (c.label, "Count"), share="x"),
    "rootogram": Panel(rootogram, lambda c: (c.label, "√ count"), share="x"),
    "stat": Panel(stat, lambda c: (_statistic(c, 0), ""), share=""),
    "stat_freqpoly": Panel(stat_freqpoly, lambda c: (_statistic(c, 0), ""), share=""),
    "stat_2d": Panel(stat_2d, lambda c: (_statistic(c, 0), _statistic(c, 1)), share=""),
    "intervals": Panel(intervals, lambda c: (c.x_label, c.label), share="y", censors=True),
    "ribbon": Panel(ribbon, lambda c: (c.x_label, c.label), share="y", censors=True),
    "scatter_avg": Panel(scatter_avg, lambda c: (f"Mean replicated {c.label}", f"Observed {c.label}"), censors=True),
    "error_hist": Panel(none, lambda c: (c.label, ""), ndraws=9, multiples=True),
    "error_scatter": Panel(error_scatter, lambda c: (f"Observed {c.label}", "Observed − replicated"), ndraws=1, censors=True),
    "error_scatter_avg": Panel(error_scatter_avg, lambda c: (c.over, "Observed − mean replicated"), censors=True),
    "error_binned": Panel(error_binned, lambda c: (f"Mean replicated {c.label}", "Mean error")),
    "km_overlay": Panel(km_overlay, lambda c: (c.label, "Share without event"), ndraws=20, censors=True),
    "pit_ecdf": Panel(pit_ecdf, lambda c: ("PIT", "ECDF − uniform")),
    "loo_pit_overlay": Panel(loo_pit_overlay, lambda c: ("LOO-PIT", "Density"), weighted=True),
    "loo_pit_qq": Panel(loo_pit_qq, lambda c: ("Uniform quantile", "LOO-PIT"), weighted=True),
    "loo_pit_ecdf": Panel(pit_ecdf, lambda c: ("LOO-PIT", "ECDF − uniform"), weighted=True),
    "loo_intervals": Panel(intervals, lambda c: (c.x_label, c.label), share="y", weighted=True, censors=True),
    "loo_ribbon": Panel(ribbon, lambda c: (c.x_label, c.label), share="y", weighted=True, censors=True),
}
