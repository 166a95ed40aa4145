"""Plots of draws: intervals, densities, traces, ranks, autocorrelations, diagnostics of the sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from brim.arguments import number, one_of
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.infer.diagnostics import ess_bulk, rhat
from brim.post.plots.density import bandwidth, density
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.ranks import RANK_BINS, rank_counts
from brim.post.plots.style import BLUE, DARK, GREY, LIGHT, Look, level_axis, looks
from brim.post.plots.traces import chosen_variables

__all__ = ["TYPES", "acf", "interval_table", "mcmc_plot", "plot_of_draws"]


@dataclass(frozen=True)
class DrawnParameters:
    """What a plot shows.

    Attributes
    ----------
    names
        Parameters.
    values
        Their draws ``(chains, draws, parameters)``.
    stats
        Sampler statistics ``(chains, draws)``.
    prob, prob_outer
        Probabilities of intervals.
    point
        ``"median"``, ``"mean"`` or ``"none"``.
    canvas
        Where it is drawn.
    """

    names: tuple[str, ...]
    values: np.ndarray
    stats: Mapping[str, np.ndarray]
    prob: float
    prob_outer: float
    point: str
    canvas: Canvas

    def flat(self, i: int) -> np.ndarray:
        """All draws of a parameter."""
        return self.values[:, :, i].ravel()


def mcmc_plot(
    fit: FitRecord,
    type: str = "intervals",
    *,
    variable: str | Sequence[str] | None = None,
    regex: bool = False,
    prob: float = 0.5,
    prob_outer: float = 0.9,
    point_est: str = "median",
    ncol: int | None = None,
    ax: Any = None,
    figsize: Any = None,
) -> BaseFigure:
    """A plot of the draws of some parameters.

    Parameters
    ----------
    fit
        A fit with draws.
    type
        - ``"intervals"``, ``"areas"``: a forest of central intervals, or of densities with them;
        - ``"hist"``, ``"dens"``, ``"violin"``, ``"hist_by_chain"``, ``"dens_overlay"`` (a density each chain);
        - ``"trace"``, ``"rank_overlay"``, ``"acf"``: how the chains moved; ``"rank_hist"``: ranks in a panel each chain, parameters below
          each other;
        - ``"scatter"``, ``"hex"``: two parameters; ``"pairs"``: see ``pairs``; ``"parcoord"``: draws as lines over parameters;
        - ``"rhat"``, ``"neff"``: convergence of each parameter;
        - ``"nuts_energy"``, ``"nuts_divergence"``, ``"nuts_acceptance"``, ``"nuts_treedepth"``.
    variable
        Names as ``fit.variables()`` gives them, ``"b_*"`` for all that start so; the main parameters by default.
    regex
        Names are regular expressions: ``"^b_"``.
    prob, prob_outer
        Probabilities of the thick and the thin interval.
    point_est
        ``"median"``, ``"mean"`` or ``"none"``.
    ncol
        Columns of panels.
    ax, figsize
        Axes of yours to draw in, as many as there are panels, or width and height of a new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    BrimError
        For a type or variable that does not exist, or statistics that the sampler did not give.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=300, seed=1, progress=False)
    >>> len(fit.mcmc_plot("acf", variable="b_Days").axes)
    1
    """
    kind, prob, prob_outer, point = _checked(type, prob, prob_outer, point_est)
    names = chosen_variables(fit, variable, regex)
    if kind == "pairs":
        from brim.post.plots.pairs import pairs

        return pairs(fit, variable=names, ax=ax, figsize=figsize)
    drawn = DrawnParameters(tuple(names), fit.draws.matrix(tuple(names)), fit.stats, prob, prob_outer, point, Canvas.of(ax, figsize))
    return _plotted(kind, drawn, ncol)


def plot_of_draws(
    draws: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    type: str = "intervals",
    *,
    prob: float = 0.5,
    prob_outer: float = 0.9,
    point_est: str = "median",
    ncol: int | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> BaseFigure:
    """``mcmc_plot`` of draws by name, each ``(chains, draws)``."""
    kind, prob, prob_outer, point = _checked(type, prob, prob_outer, point_est)
    if kind == "pairs":
        raise BrimError("type = 'pairs' takes parameters under brim's names", hint="fit.pairs(variable=[...])")
    values = np.stack([np.asarray(v) for v in draws.values()], axis=-1)
    return _plotted(kind, DrawnParameters(tuple(draws), values, stats, prob, prob_outer, point, Canvas.of(ax, figsize)), ncol)


def _checked(type: str, prob: float, prob_outer: float, point_est: str) -> tuple[str, float, float, str]:
    """The arguments that all plots of draws share."""
    kind = one_of("type", type, (*TYPES, "pairs"), "types")
    prob, prob_outer = (number(n, p, above=0, below=1) for n, p in (("prob", prob), ("prob_outer", prob_outer)))
    if prob > prob_outer:
        raise BrimError(f"prob = {prob}, prob_outer = {prob_outer}", hint="prob is the smaller")
    return kind, prob, prob_outer, one_of("point_est", point_est, _POINTS)


def _plotted(kind: str, drawn: DrawnParameters, ncol: int | None) -> BaseFigure:
    with drawing():
        one, each = TYPES[kind]
        if each:
            return _one_each(drawn, each, ncol)
        assert one is not None
        return one(drawn)


_POINTS = ("median", "mean", "none")


def _one_each(d: DrawnParameters, each: Each, ncol: int | None) -> BaseFigure:
    """One panel a parameter; a legend where chains have a curve each."""
    figure, axes = d.canvas.panels(len(d.names), ncol=ncol, share="", height=3.0)
    for i, panel in enumerate(axes):
        each(panel, d, i)
        panel.set_title(d.names[i])
    handles, labels = axes[0].get_legend_handles_labels()
    if len(d.values) > 1 and handles:
        legend = d.canvas.key(figure, axes, handles, labels, "upper right", ncols=min(len(handles), 6))
        for line in legend.get_lines():
            line.set(linewidth=1.6 if line.get_linestyle() != "None" else 0, alpha=1)
    return figure


def interval_table(values: np.ndarray, prob: float = 0.5, prob_outer: float = 0.9, point: str = "median") -> np.ndarray:
    """``ll, l, m, h, hh`` of each parameter: ``(draws, parameters) -> (parameters, 5)``.

    Examples
    --------
    >>> interval_table(np.arange(101.0)[:, None]).tolist()
    [[5.0, 25.0, 50.0, 75.0, 95.0]]
    """
    tails = [(1 - prob_outer) / 2, (1 - prob) / 2]
    low, inner, middle, upper, high = np.quantile(values, [*tails, 0.5, 1 - tails[1], 1 - tails[0]], axis=0)
    return np.stack([low, inner, values.mean(axis=0) if point == "mean" else middle, upper, high], axis=1)


# --------------------------------------------------------------------------- forests


def _forest(d: DrawnParameters, areas: bool) -> BaseFigure:
    n = len(d.names)
    figure, (ax,) = d.canvas.panels(1, width=6.2, height=max(1.6, 0.32 * n * (1.6 if areas else 1) + 0.8))
    table = interval_table(d.values.reshape(-1, n), d.prob, d.prob_outer, d.point)
    for i, (low, inner, middle, upper, high) in enumerate(table):
        y = n - 1 - i
        if areas:
            _area(ax, d.flat(i), y, inner, upper)
        ax.plot([low, high], [y, y], color=BLUE, linewidth=1.1, zorder=2)
        ax.plot([inner, upper], [y, y], color=BLUE, linewidth=4, zorder=3)
        if d.point != "none":
            ax.plot([middle], [y], "o", color="white", markeredgecolor=DARK, markersize=6, zorder=4)
    if table[:, 0].min() < 0 < table[:, 4].max():
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    ax.set_yticks(range(n), d.names[::-1])
    ax.set_ylim(-0.6, n - 0.4 + (0.5 if areas else 0))
    ax.set_xlabel(f"Value ({100 * d.prob:g} and {100 * d.prob_outer:g} % intervals)")
    ax.grid(False, axis="y")
    return figure


def _area(ax: Axes, values: np.ndarray, y: float, inner: float, upper: float) -> None:
    margin = 3 * bandwidth(values)
    at = np.linspace(values.min() - margin, values.max() + margin, 300)
    curve = density(values, at)
    height = y + 0.85 * curve / curve.max()
    ax.fill_between(at, y, height, color=LIGHT, alpha=0.35, linewidth=0)
    inside = (at >= inner) & (at <= upper)
    ax.fill_between(at[inside], y, height[inside], color=BLUE, alpha=0.4, linewidth=0)


# --------------------------------------------------------------------------- one panel a parameter


def _hist(ax: Axes, d: DrawnParameters, i: int) -> None:
    ax.hist(d.flat(i), bins=30, color=LIGHT, edgecolor="white", linewidth=0.4)
    _flat(ax)


def _dens(ax: Axes, d: DrawnParameters, i: int) -> None:
    at = _grid(d.flat(i))
    curve = density(d.flat(i), at)
    ax.fill_between(at, curve, color=BLUE, alpha=0.2, linewidth=0)
    ax.plot(at, curve, color=BLUE, linewidth=1.4)
    _flat(ax)


def _dens_overlay(ax: Axes, d: DrawnParameters, i: int) -> None:
    at = _grid(d.flat(i))
    for label, chain, look in _chains(d.values[:, :, i]):
        ax.plot(at, density(chain, at), color=look.colour, linestyle=look.line, linewidth=1.1, label=label)
    _flat(ax)


def _hist_by_chain(ax: Axes, d: DrawnParameters, i: int) -> None:
    edges = np.histogram_bin_edges(d.flat(i), 25)
    for label, chain, look in _chains(d.values[:, :, i]):
        ax.stairs(np.histogram(chain, edges)[0], edges, color=look.colour, linestyle=look.line, linewidth=1.1, label=label)
    _flat(ax)


def _violin(ax: Axes, d: DrawnParameters, i: int) -> None:
    parts: Any = ax.violinplot(list(d.values[:, :, i]), showextrema=False, quantiles=[[0.1, 0.5, 0.9]] * len(d.values))
    for body in parts["bodies"]:
        body.set(facecolor=LIGHT, edgecolor="none", alpha=0.8)
    parts["cquantiles"].set(color=BLUE, linewidth=1)
    ax.set_xticks(range(1, len(d.values) + 1))
    ax.set_xlabel("Chain")


def _trace(ax: Axes, d: DrawnParameters, i: int) -> None:
    for label, chain, look in _chains(d.values[:, :, i]):
        ax.plot(np.arange(1, len(chain) + 1), chain, color=look.colour, linewidth=0.45, alpha=0.8, label=label, rasterized=True)
    bad = d.stats.get("diverging")
    if bad is not None and np.any(bad):
        at = np.unique(np.nonzero(bad)[1]) + 1
        ax.plot(at, np.full(len(at), ax.get_ylim()[0]), "|", color="#d55e00", markersize=9, label="divergence")
    ax.set_xlabel("Draw")
    ax.grid(False, axis="x")


def _rank_overlay(ax: Axes, d: DrawnParameters, i: int) -> None:
    """Histograms of each chain's ranks; level where the chains agree."""
    counts, edges = rank_counts(d.values[:, :, i])
    for label, heights, look in _chains(counts):
        ax.stairs(heights, edges, baseline=None, color=look.colour, linestyle=look.line, linewidth=1.1, label=label)
    _level_ranks(ax, d)
    ax.set(xlabel="Rank", ylabel="Draws")


def _rank_hist(d: DrawnParameters) -> BaseFigure:
    """The same with a panel each chain and parameter."""
    chains, n = d.values.shape[0], len(d.names)
    size = max(5.2, 1.9 * chains + 0.6), 1.5 * n + 1.0
    figure, axes = d.canvas.table(n, chains, *size, sharex=True, sharey=True)
    for i, name in enumerate(d.names):
        counts, edges = rank_counts(d.values[:, :, i])
        for k, (panel, heights) in enumerate(zip(axes[i], counts, strict=True)):
            panel.bar(edges[:-1], heights, np.diff(edges), align="edge", color=LIGHT, edgecolor="white", linewidth=0.4)
            panel.set_title(f"{name}\nchain {k + 1}" if k == 0 or d.canvas.axes is not None else f"chain {k + 1}")
    for panel in axes.ravel():  # at last: panels share the axis
        _level_ranks(panel, d)
    d.canvas.label(figure, list(axes.ravel()), "Rank", "Draws")
    return figure


def _level_ranks(ax: Axes, d: DrawnParameters) -> None:
    """How high all bins are where the chains agree."""
    ax.axhline(d.values.shape[1] / RANK_BINS, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set_ylim(bottom=0)


def acf(chain: np.ndarray, lags: int = 20) -> np.ndarray:
    """Autocorrelations of a chain at lags 0 to ``lags``, with its own mean and the variance of divisor ``n``.

    Examples
    --------
    >>> acf(np.array([1.0, -1.0, 1.0, -1.0]), 1).tolist()
    [1.0, -0.75]
    """
    x = chain - chain.mean()
    lags = min(lags, len(x) - 1)
    return np.array([x[: len(x) - k] @ x[k:] for k in range(lags + 1)]) / (x @ x)


def _acf(ax: Axes, d: DrawnParameters, i: int) -> None:
    for label, chain, look in _chains(d.values[:, :, i]):
        values = acf(chain)
        lags = np.arange(len(values))
        ax.plot(lags, values, color=look.colour, linestyle=look.line, marker=look.marker, markersize=2.5, linewidth=1, label=label)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlabel="Lag", ylabel="Autocorrelation")


def _chains(values: np.ndarray) -> Iterator[tuple[str, np.ndarray, Look]]:
    """Name, draws and look of every chain."""
    for i, (chain, look) in enumerate(zip(values, looks(len(values)), strict=True)):
        yield f"chain {i + 1}", chain, look


def _grid(values: np.ndarray) -> np.ndarray:
    margin = 3 * bandwidth(values)
    return np.linspace(values.min() - margin, values.max() + margin, 300)


def _flat(ax: Axes) -> None:
    ax.set_ylim(bottom=0)
    ax.tick_params(left=False, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")


# --------------------------------------------------------------------------- two parameters, all parameters


def _scatter(d: DrawnParameters, hexagons: bool) -> BaseFigure:
    if len(d.names) != 2:
        raise BrimError(f"a scatter shows two parameters, not {len(d.names)}", hint=f"variable=['{d.names[0]}', '{d.names[-1]}']")
    figure, (ax,) = d.canvas.panels(1, width=4.8, height=4.2)
    x, y = d.flat(0), d.flat(1)
    if hexagons:
        ax.hexbin(x, y, gridsize=30, cmap="Blues", mincnt=1, linewidths=0)
    else:
        ax.plot(x, y, "o", color=BLUE, markersize=2.5, markeredgewidth=0, alpha=0.35)
        bad = np.ravel(d.stats.get("diverging", np.zeros(0, bool))).astype(bool)
        if bad.any():
            ax.plot(x[bad], y[bad], "x", color="#d55e00", markersize=5, label="divergence")
            ax.legend()
    ax.set(xlabel=d.names[0], ylabel=d.names[1])
    return figure


def _parcoord(d: DrawnParameters) -> BaseFigure:
    flat = d.values.reshape(-1, len(d.names))
    z = (flat - flat.mean(0)) / flat.std(0)
    bad = np.ravel(d.stats.get("diverging", np.zeros(len(z), bool))).astype(bool)
    figure, (ax,) = d.canvas.panels(1, width=max(5.2, 0.7 * len(d.names) + 2), height=3.6)
    every = np.unique(np.linspace(0, len(z) - 1, 300).astype(int))
    ax.plot(z[every].T, color=LIGHT, linewidth=0.4, alpha=0.5)
    if bad.any():
        ax.plot(z[bad].T, color="#d55e00", linewidth=0.8, alpha=0.8)
    level_axis(ax, d.names)
    d.canvas.make_room(figure, [ax])
    ax.set_ylabel("Standardised value")
    return figure


def _convergence(d: DrawnParameters, measure: str) -> BaseFigure:
    compute: Callable[[np.ndarray], Any] = rhat if measure == "rhat" else ess_bulk
    total = d.values.shape[0] * d.values.shape[1]
    values = np.array([float(compute(d.values[:, :, i])) / (1 if measure == "rhat" else total) for i in range(len(d.names))])
    limits = (1.01, 1.05) if measure == "rhat" else (0.5, 0.1)
    good = (values <= limits[0], values <= limits[1]) if measure == "rhat" else (values >= limits[0], values >= limits[1])
    shade = np.where(good[0], LIGHT, np.where(good[1], "#e69f00", "#d55e00"))
    figure, (ax,) = d.canvas.panels(1, width=6.2, height=max(1.8, 0.28 * len(d.names) + 0.9))
    at, base = np.arange(len(d.names))[::-1], 1.0 if measure == "rhat" else 0.0
    ax.hlines(at, base, values, color=shade, linewidth=1.5)
    ax.scatter(values, at, color=shade, s=28, zorder=3)
    for limit in limits:
        ax.axvline(limit, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_yticks(at, d.names)
    ax.set_xlabel("R-hat" if measure == "rhat" else "Effective sample size / draws")
    ax.grid(False, axis="y")
    return figure


# --------------------------------------------------------------------------- the sampler


def _stat(d: DrawnParameters, name: str) -> np.ndarray:
    if name not in d.stats:
        raise BrimError(f"the sampler gave no '{name}'", hint="plots of the sampler need algorithm='sampling'")
    return np.asarray(d.stats[name], float)


def _energy(d: DrawnParameters) -> BaseFigure:
    """Energies around their mean, and their changes: alike where the sampler explores well."""
    energy = _stat(d, "energy")
    figure, axes = d.canvas.panels(len(energy), height=3.0)
    for i, (ax, e) in enumerate(zip(axes, energy, strict=True)):
        edges = list(np.histogram_bin_edges(np.concatenate([e - e.mean(), np.diff(e)]), 30))
        ax.hist(e - e.mean(), bins=edges, color=LIGHT, label="energy")
        ax.hist(np.diff(e), bins=edges, histtype="step", color=DARK, linewidth=1.2, label="change")
        ax.set_title(f"chain {i + 1}")
        _flat(ax)
    d.canvas.label(figure, axes, "Energy", "")
    d.canvas.key(figure, axes, *axes[0].get_legend_handles_labels(), "upper right", ncols=2)
    return figure


def _by_divergence(d: DrawnParameters) -> BaseFigure:
    """Log density and acceptance of transitions that diverged and of those that did not."""
    bad = _stat(d, "diverging").astype(bool).ravel()
    figure, axes = d.canvas.panels(2, share="", height=3.2)
    for ax, name, label in zip(axes, ("lp", "acceptance_rate"), ("Log density", "Acceptance"), strict=True):
        values = _stat(d, name).ravel()
        ax.boxplot([values[~bad], values[bad]] if bad.any() else [values], widths=0.5, showfliers=False)
        ax.set_xticks([1, 2][: 1 + bad.any()], ["no divergence", f"{int(bad.sum())} divergences"][: 1 + bad.any()])
        ax.set_ylabel(label)
    return figure


def _sampler_hist(d: DrawnParameters, name: str, label: str) -> BaseFigure:
    values = _stat(d, name).ravel()
    figure, (ax,) = d.canvas.panels(1, height=3.0)
    if name == "tree_depth":
        at, counts = np.unique(values, return_counts=True)
        ax.bar(at, counts, width=0.8, color=LIGHT)
        ax.set_xticks(np.arange(at[0], at[-1] + 1))
    else:
        ax.hist(values, bins=30, color=LIGHT, edgecolor="white", linewidth=0.5)
    ax.set(xlabel=label, ylabel="Draws")
    return figure


Whole = Callable[[DrawnParameters], BaseFigure]
Each = Callable[[Axes, DrawnParameters, int], None]
#: Type -> what draws it whole, or one panel a parameter.
TYPES: Mapping[str, tuple[Whole | None, Each | None]] = {
    "intervals": (lambda d: _forest(d, areas=False), None),
    "areas": (lambda d: _forest(d, areas=True), None),
    "hist": (None, _hist),
    "hist_by_chain": (None, _hist_by_chain),
    "dens": (None, _dens),
    "dens_overlay": (None, _dens_overlay),
    "violin": (None, _violin),
    "trace": (None, _trace),
    "rank_overlay": (None, _rank_overlay),
    "rank_hist": (_rank_hist, None),
    "acf": (None, _acf),
    "scatter": (lambda d: _scatter(d, hexagons=False), None),
    "hex": (lambda d: _scatter(d, hexagons=True), None),
    "parcoord": (_parcoord, None),
    "rhat": (lambda d: _convergence(d, "rhat"), None),
    "neff": (lambda d: _convergence(d, "neff"), None),
    "nuts_energy": (_energy, None),
    "nuts_divergence": (_by_divergence, None),
    "nuts_acceptance": (lambda d: _sampler_hist(d, "acceptance_rate", "Acceptance"), None),
    "nuts_treedepth": (lambda d: _sampler_hist(d, "tree_depth", "Tree depth"), None),
}
