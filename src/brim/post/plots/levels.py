"""Group effects in order: one panel a coefficient, one line a level."""

from __future__ import annotations

import numpy as np

from brim.arguments import number, one_of
from brim.fit.record import FitRecord
from brim.post.plots.posterior import interval_table
from brim.post.plots.style import BLUE, DARK, GREY, Figure, style
from brim.post.summaries.tables import ranef

__all__ = ["caterpillar"]


def caterpillar(fit: FitRecord, group: str | None = None, *, prob: float = 0.5, prob_outer: float = 0.95, sort: bool = True) -> Figure:
    """The effects of every level of a grouping factor with their intervals.

    Parameters
    ----------
    fit
        A fit with draws.
    group
        The grouping factor; the first by default.
    prob, prob_outer
        Probabilities of the thick and the thin interval.
    sort
        Levels in the order of the first coefficient's medians.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ (1 | Subject)", data=brim.load_data("sleepstudy"), chains=2, iter=300, seed=1, progress=False)
    >>> len(fit.caterpillar().axes[0].get_yticks())
    18
    """
    prob, prob_outer = (number(n, p, above=0, below=1) for n, p in (("prob", prob), ("prob_outer", prob_outer)))
    effects = ranef(fit, False, False, (0.025, 0.975))
    name = next(iter(effects)) if group is None else one_of("group", group, effects, "grouping factors")
    draws = effects[name]
    levels, coefs = [str(v) for v in draws["level"].values], [str(v) for v in draws["coef"].values]
    values = np.asarray(draws.transpose("draw", "level", "coef"))
    order = np.argsort(np.median(values[:, :, 0], axis=0), kind="stable") if sort else np.arange(len(levels))[::-1]
    with style():
        figure = Figure(figsize=(2.6 * len(coefs) + 2.2, max(2.2, min(0.17 * len(levels) + 1.0, 14))))
        axes = figure.subplots(1, len(coefs), squeeze=False, sharey=True)[0]
        for ax, coef, k in zip(axes, coefs, range(len(coefs)), strict=True):
            table = interval_table(values[:, order, k], prob, prob_outer)
            at = np.arange(len(levels))
            ax.hlines(at, table[:, 0], table[:, 4], color=BLUE, linewidth=0.9)
            ax.hlines(at, table[:, 1], table[:, 3], color=BLUE, linewidth=2.6)
            ax.plot(table[:, 2], at, "o", color=DARK, markersize=3, markeredgewidth=0)
            ax.axvline(0, color=GREY, linewidth=0.8)
            ax.set_title(coef)
            ax.grid(False, axis="y")
        shown = np.arange(len(levels)) if len(levels) <= 80 else np.zeros(0, int)
        axes[0].set_yticks(shown, [levels[i] for i in order[shown]], fontsize=min(8.5, 900 / max(len(levels), 1)))
        axes[0].set_ylabel(name)
        figure.supxlabel(f"Effect ({100 * prob:g} and {100 * prob_outer:g} % intervals)", fontsize="medium", color=DARK)
    return figure
