"""The figures of conditional effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from brim.errors import BrimError, suggest
from brim.post.effects.table import EffectInfo
from brim.post.plots.style import BLUE, DARK, GREY, Figure, Figures, colours, facets, level_axis, style

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot"]


@dataclass(frozen=True)
class _Options:
    points: bool
    rug: bool
    mean: bool
    ncol: int | None
    stype: str


def plot(
    effects: Mapping[str, tuple[pd.DataFrame, EffectInfo]],
    *,
    points: bool = False,
    rug: bool = False,
    mean: bool = True,
    ncol: int | None = None,
    stype: str = "contour",
) -> Figures:
    """One figure for each effect; see ``ConditionalEffects.plot``."""
    if stype not in ("contour", "raster"):
        raise BrimError(f"stype = '{stype}'", hint=suggest(str(stype), ("contour", "raster"), "styles"))
    options = _Options(points, rug, mean, ncol, stype)
    with style():
        return Figures({name: _figure(table, info, options) for name, (table, info) in effects.items()})


def _figure(table: pd.DataFrame, info: EffectInfo, options: _Options) -> Figure:
    """One panel for each condition."""
    conditions = list(table["cond__"].cat.categories)
    two = len(info.variables) == 2 or info.look == "surface"
    figure, axes = facets(len(conditions), width=5.2 + 0.8 * two, height=3.5, ncol=options.ncol)
    draw = _surface if info.look == "surface" else _tiles if info.look == "ordinal" else _lines if info.kinds[0] == "numeric" else _levels
    for ax, condition in zip(axes, conditions, strict=True):
        mine = (table["cond__"] == condition).to_numpy()
        seen = None if info.points is None else info.points[info.points["cond__"] == condition]
        draws = None if info.draws is None else info.draws[:, mine]
        draw(ax, table[mine], info, seen, draws, options)
        if len(conditions) > 1:
            ax.set_title(condition)
    _titles(figure, axes, info)
    return figure


def _titles(figure: Figure, axes: Sequence[Axes], info: EffectInfo) -> None:
    """Axis labels (once for all panels) and the legend, right of the panels."""
    tiles = info.look in ("surface", "ordinal")
    second = "Category" if info.variables[-1] == "cats__" else info.variables[-1]
    x, y = info.variables[0], second if tiles else info.label
    if len(axes) == 1:
        axes[0].set_xlabel(x)
        axes[0].set_ylabel(y)
    else:
        figure.supxlabel(x, fontsize="medium", color=DARK)
        figure.supylabel(y, fontsize="medium", color=DARK)
    if tiles:
        bar = figure.colorbar(_scale(axes), ax=list(axes), label=info.label, shrink=0.9, aspect=25)
        outline: Any = bar.outline  # typed as a method in some versions of matplotlib
        outline.set_visible(False)
    elif len(info.variables) == 2:
        handles, names = axes[0].get_legend_handles_labels()
        if info.kinds[1] == "numeric":
            names = [name.replace("-", "\N{MINUS SIGN}") for name in names]
        figure.legend(handles, names, title=second, loc="outside right upper", alignment="left")


# --------------------------------------------------------------------------- panels


def _parts(table: pd.DataFrame, info: EffectInfo) -> list[tuple[str, np.ndarray, Any]]:
    """Name, rows and colour of each level of the second variable; everything in one colour if there is none."""
    if len(info.variables) == 1:
        return [("", np.arange(len(table)), BLUE)]
    levels = list(table["effect2__"].cat.categories)
    ordered = info.kinds[1] == "numeric" or table["effect2__"].cat.ordered
    shades = colours(len(levels), ordered=ordered and len(levels) > 2)
    return [(str(v), np.flatnonzero(table["effect2__"] == v), c) for v, c in zip(levels, shades, strict=True)]


def _lines(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """A line and a band over a numeric variable."""
    parts = _parts(table, info)
    shade = 0.18 if len(parts) < 3 else 0.13
    for name, rows, colour in parts:
        part = table.iloc[rows]
        order = np.argsort(part["effect1__"].to_numpy(), kind="stable")
        x, middle, lower, upper = (part[c].to_numpy()[order] for c in ("effect1__", "estimate__", "lower__", "upper__"))
        if draws is None:
            ax.fill_between(x, lower, upper, color=colour, alpha=shade, linewidth=0, zorder=2)
        else:
            alpha = float(np.clip(8 / len(draws), 0.03, 0.5))
            ax.plot(x, draws[:, rows[order]].T, color=colour, alpha=alpha, linewidth=0.6, zorder=2)
        if draws is None or options.mean:
            ax.plot(x, middle, color=colour, label=name, zorder=4)
    if seen is not None and (options.points or options.rug):
        for x, y, colour in _seen(table, info, seen):
            if options.points:
                _dots(ax, x, y, colour, len(seen))
            if options.rug:
                ax.plot(x, np.full(len(x), 0.015), "|", color=colour, alpha=0.4, markersize=6, transform=ax.get_xaxis_transform())


def _levels(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """A point and an interval for each level of a factor, side by side for the levels of a second variable."""
    levels = list(table["effect1__"].cat.categories)
    parts = _parts(table, info)
    shifts = (np.arange(len(parts)) - (len(parts) - 1) / 2) * min(0.18, 0.7 / len(parts))
    if options.points and seen is not None:
        _dots_by_level(ax, table, info, seen, levels, shifts)
    for (name, rows, colour), shift in zip(parts, shifts, strict=True):
        part = table.iloc[rows]
        x = part["effect1__"].cat.codes.to_numpy() + shift
        middle, lower, upper = (part[c].to_numpy() for c in ("estimate__", "lower__", "upper__"))
        if draws is not None:
            jitter = np.linspace(-0.03, 0.03, len(draws))[:, None]
            ax.plot(x + jitter, draws[:, rows], ".", color=colour, alpha=0.15, markersize=2.5, markeredgewidth=0, zorder=2)
        ax.vlines(x, lower, upper, color=colour, linewidth=1.6, zorder=3)
        ax.plot(x, middle, "o", color=colour, markersize=6, markeredgecolor="white", markeredgewidth=0.8, label=name, zorder=4)
    level_axis(ax, levels)


def _seen(table: pd.DataFrame, info: EffectInfo, seen: pd.DataFrame) -> list[tuple[Any, np.ndarray, Any]]:
    """Observations by the colour they are drawn in: that of their level, grey where levels are values of a number."""
    x, y = seen["effect1__"], seen["resp__"].to_numpy()
    if info.kinds[-1] == "numeric" or len(info.variables) == 1:
        return [(x.to_numpy(), y, GREY)]
    own = [(seen["effect2__"] == name).to_numpy() for name, _, _ in _parts(table, info)]
    return [(x.to_numpy()[mine], y[mine], colour) for mine, (_, _, colour) in zip(own, _parts(table, info), strict=True)]


def _dots(ax: Axes, x: np.ndarray, y: np.ndarray, colour: Any, n: int) -> None:
    """Observations, the fainter the more there are."""
    ax.plot(x, y, "o", color=colour, markersize=3.2, alpha=float(np.clip(8 / np.sqrt(n), 0.15, 0.65)), markeredgewidth=0, zorder=1.5)


def _dots_by_level(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: pd.DataFrame, levels: list[Any], shifts: np.ndarray) -> None:
    place = {level: i for i, level in enumerate(levels)}
    groups = _seen(table, info, seen)
    spread = 0.1 if len(shifts) == 1 else 0.3 * float(shifts[1] - shifts[0])
    for (x, y, colour), shift in zip(groups, shifts if len(groups) > 1 else np.zeros(1), strict=True):
        at = np.array([place.get(level, np.nan) for level in x], float) + shift
        at += np.random.default_rng(0).uniform(-spread, spread, len(at))  # jitter, the same every time
        _dots(ax, at, y, colour if len(groups) > 1 else GREY, len(seen))


def _surface(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """The estimate as colour over two numeric variables."""
    x, y = np.unique(table["effect1__"]), np.unique(table["effect2__"])
    z = table.sort_values(["effect1__", "effect2__"])["estimate__"].to_numpy().reshape(len(x), len(y)).T
    if options.stype == "raster":
        ax.pcolormesh(x, y, z, cmap="viridis", shading="nearest", rasterized=True)
    else:
        ax.contourf(x, y, z, levels=14, cmap="viridis")
    ax.grid(False)
    ax.margins(0)


def _tiles(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """Probabilities as colour, categories up the y axis."""
    levels = list(table["effect2__"].cat.categories)
    numeric = info.kinds[0] == "numeric"
    first = table["effect1__"] if numeric else table["effect1__"].cat.codes
    x = np.unique(first)
    z = np.stack([part["estimate__"].to_numpy()[np.argsort(first[part.index])] for _, part in table.groupby("effect2__", observed=False)])
    ax.pcolormesh(x, np.arange(len(levels)), z, cmap="viridis", shading="nearest", vmin=0.0, rasterized=True)
    level_axis(ax, [str(v) for v in levels], "y")
    if not numeric:
        level_axis(ax, [str(v) for v in table["effect1__"].cat.categories])
    ax.grid(False)
    ax.margins(0)


def _scale(axes: Sequence[Axes]) -> Any:
    """One colour scale for all panels."""
    drawn: list[Any] = [ax.collections[0] for ax in axes]
    low, high = min(d.norm.vmin for d in drawn), max(d.norm.vmax for d in drawn)
    for d in drawn:
        d.set_clim(low, high)
    return drawn[0]
