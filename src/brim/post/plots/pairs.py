"""Pairs of parameters, with the transitions that diverged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.style import BLUE, LIGHT
from brim.post.plots.traces import chosen_variables

__all__ = ["pairs"]

#: Parameters shown by default, and draws shown as points.
_MOST, _POINTS = 6, 2000


def pairs(
    fit: FitRecord, *, variable: str | Sequence[str] | None = None, regex: bool = False, ax: Any = None, figsize: Any = None
) -> BaseFigure:
    """Every pair of parameters: draws below the diagonal, histograms on it, correlations above; divergences in orange.

    Parameters
    ----------
    fit
        A fit with draws.
    variable
        Names, ``"b_*"`` for all that start so; the first six main parameters by default.
    ax, figsize
        Axes of yours to draw in, as many as there are panels, or width and height of a new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=300, seed=1, progress=False)
    >>> len(fit.pairs().axes)
    9
    """
    names = chosen_variables(fit, variable, regex, _MOST)
    if not 2 <= len(names) <= 12:
        raise BrimError(f"pairs of {len(names)} parameters", hint="give two to twelve with variable=")
    values = fit.draws.matrix(tuple(names)).reshape(-1, len(names))
    bad = np.ravel(fit.stats.get("diverging", np.zeros(len(values), bool))).astype(bool)
    few = np.unique(np.linspace(0, len(values) - 1, _POINTS).astype(int))
    canvas = Canvas.of(ax, figsize)
    with drawing():
        n, size = len(names), max(1.1, 7.6 / len(names))
        figure, axes = canvas.table(n, n, size * n + 0.6, size * n + 0.4)
        for i in range(n):
            for j in range(n):
                _cell(axes[i, j], values, i, j, bad, few)
                axes[i, j].tick_params(labelbottom=i == n - 1, labelleft=j == 0 and i > 0)
            axes[i, 0].set_ylabel(_lines(names[i]), fontsize="small")
            axes[-1, i].set_xlabel(_lines(names[i]), fontsize="small")
    return figure


def _lines(name: str) -> str:
    """A name of many parts with a line for each, so that it does not run into its neighbours."""
    return name.replace("__", "__\n")


def _cell(ax: object, values: np.ndarray, i: int, j: int, bad: np.ndarray, few: np.ndarray) -> None:
    from matplotlib.axes import Axes

    assert isinstance(ax, Axes)
    x, y = values[:, j], values[:, i]
    if i == j:
        ax.hist(x, bins=25, color=LIGHT, edgecolor="white", linewidth=0.3)
        ax.set_yticks([])
    elif i > j:
        ax.plot(x[few], y[few], "o", color=BLUE, markersize=1.8, markeredgewidth=0, alpha=0.3, rasterized=True)
        ax.plot(x[bad], y[bad], "x", color="#d55e00", markersize=4)
    else:
        ax.text(0.5, 0.5, f"{np.corrcoef(x, y)[0, 1]:.2f}".replace("-0.00", "0.00"), ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
