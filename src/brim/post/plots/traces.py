"""The plot of a fit: densities and traces; and which parameters plots show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from brim.fit.record import FitRecord
from brim.post.plots.density import bandwidth, density
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.style import BLUE, DARK, Look, looks

__all__ = ["chosen_variables", "main_variables", "trace_plot"]


def trace_plot(
    fit: FitRecord,
    *,
    variable: str | Sequence[str] | None = None,
    regex: bool = False,
    combine: bool = True,
    ax: Any = None,
    figsize: Any = None,
) -> BaseFigure:
    """Posterior density (left) and draws in order by chain (right) of each parameter.

    Parameters
    ----------
    fit
        A fit with draws.
    variable
        Names of variables as ``fit.variables()`` gives them; a name ending in ``*`` stands for all that start so.
        By default the main parameters: all but the effects of single levels and the log densities.
    regex
        Names are regular expressions: ``"^b_"``.
    combine
        One density of all chains; ``False``: one a chain.
    ax, figsize
        An array of axes of yours to draw in, two a parameter, or width and height of a new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        One row a parameter.

    Raises
    ------
    BrimError
        For a variable that the fit does not have.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> len(fit.plot(variable="b_Days").axes)
    2
    """
    names = chosen_variables(fit, variable, regex)
    draws = fit.draws.matrix(tuple(names))
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.table(len(names), 2, 7.2, 1.25 * len(names) + 0.5, width_ratios=(1, 1.6))
        chains = looks(draws.shape[0])
        for (left, right), name, values in zip(axes, names, np.moveaxis(draws, 2, 0), strict=True):
            _posterior(left, values, combine, chains)
            _trace(right, values, chains)
            left.set_title(name)
        axes[-1, 0].set_xlabel("Value")
        axes[-1, 1].set_xlabel("Draw")
        for panel in axes[:-1, 1] if ax is None else ():
            panel.tick_params(labelbottom=False)
        if draws.shape[0] > 1:
            labels = [f"chain {i + 1}" for i in range(draws.shape[0])]
            legend = canvas.key(figure, [axes[0, 1]], axes[0, 1].get_lines(), labels, "upper right", ncols=min(draws.shape[0], 8))
            for line, look in zip(legend.get_lines(), chains, strict=True):
                line.set(linewidth=2, alpha=1, linestyle="-" if combine else look.line)
    return figure


def main_variables(fit: FitRecord) -> list[str]:
    """The variables a reader asks for first: not effects of single levels, nor latent values, nor log densities."""
    first = [str(n) for q in fit.draws.reported if not q.kind.inner for n in np.ravel(q.names)]
    varying = [n for n in first if np.ptp(fit.draws[n]) > 0]
    return varying or first


def chosen_variables(fit: FitRecord, wanted: str | Sequence[str] | None, regex: bool = False, most: int | None = None) -> list[str]:
    """Names of variables that ``wanted`` stands for, see ``Posterior.expand``; by default the (``most``) main ones."""
    return main_variables(fit)[:most] if wanted is None else list(fit.draws.expand(wanted, regex))


def _posterior(ax: Any, values: np.ndarray, combine: bool, chains: Sequence[Look]) -> None:
    """The density, with the 95 % interval and the median below it when chains are combined."""
    flat = values.ravel()
    margin = 3 * bandwidth(flat)
    at = np.linspace(flat.min() - margin, flat.max() + margin, 400)
    if combine:
        curve = density(flat, at)
        ax.fill_between(at, curve, color=BLUE, alpha=0.18, linewidth=0)
        ax.plot(at, curve, color=BLUE, linewidth=1.3)
        low, middle, high = np.quantile(flat, [0.025, 0.5, 0.975])
        ax.plot([low, high], [0, 0], color=DARK, linewidth=2.2, clip_on=False, zorder=4)
        ax.plot([middle], [0], "o", color=DARK, markersize=4.5, markeredgecolor="white", clip_on=False, zorder=5)
    else:
        for chain, look in zip(values, chains, strict=True):
            ax.plot(at, density(chain, at), color=look.colour, linestyle=look.line, linewidth=1.1)
    ax.set_ylim(bottom=0)
    ax.tick_params(left=False, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")


def _trace(ax: Any, values: np.ndarray, chains: Sequence[Look]) -> None:
    for chain, look in zip(values, chains, strict=True):
        ax.plot(np.arange(1, len(chain) + 1), chain, color=look.colour, linewidth=0.45, alpha=0.8, rasterized=True)
    ax.grid(False, axis="x")
