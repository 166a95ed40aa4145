"""Group effects in order: one panel a coefficient, one line a level."""

from __future__ import annotations

from typing import Any

import numpy as np

from brim.arguments import number, one_of
from brim.fit.record import FitRecord
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.posterior import interval_table
from brim.post.plots.style import BLUE, DARK, GREY
from brim.post.summaries.tables import ranef

__all__ = ["caterpillar"]


def caterpillar(
    fit: FitRecord,
    group: str | None = None,
    *,
    prob: float = 0.5,
    prob_outer: float = 0.95,
    sort: bool = True,
    ax: Any = None,
    figsize: Any = None,
) -> BaseFigure:
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
    ax, figsize
        Axes of yours to draw in, as many as there are panels, or width and height of a new figure in inches.

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
    canvas = Canvas.of(ax, figsize)
    with drawing():
        height = max(2.2, min(0.17 * len(levels) + 1.0, 14))
        figure, ((*axes,),) = canvas.table(1, len(coefs), 2.6 * len(coefs) + 2.2, height, sharey=True)
        for panel, coef, k in zip(axes, coefs, range(len(coefs)), strict=True):
            table = interval_table(values[:, order, k], prob, prob_outer)
            at = np.arange(len(levels))
            panel.hlines(at, table[:, 0], table[:, 4], color=BLUE, linewidth=0.9)
            panel.hlines(at, table[:, 1], table[:, 3], color=BLUE, linewidth=2.6)
            panel.plot(table[:, 2], at, "o", color=DARK, markersize=3, markeredgewidth=0)
            panel.axvline(0, color=GREY, linewidth=0.8)
            panel.set_title(coef)
            panel.grid(False, axis="y")
        shown = np.arange(len(levels)) if len(levels) <= 80 else np.zeros(0, int)
        axes[0].set_yticks(shown, [levels[i] for i in order[shown]], fontsize=min(8.5, 900 / max(len(levels), 1)))
        for panel in axes[1:] if canvas.axes is not None else ():
            panel.set_yticks(shown, [])
        canvas.label(figure, axes, f"Effect ({100 * prob:g} and {100 * prob_outer:g} % intervals)", "")
        axes[0].set_ylabel(name)
    return figure
