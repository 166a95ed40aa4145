"""The figures of conditional effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from brim.errors import BrimError, suggest
from brim.post.censoring import Censoring
from brim.post.effects.table import EffectInfo
from brim.post.plots.censored import CENSORED, mark
from brim.post.plots.figures import BaseFigure, Canvas, Figures, drawing
from brim.post.plots.style import BLUE, GREY, Look, level_axis, looks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot"]

#: Distinct whole responses up to which those of several groups are set apart.
_FEW = 12


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
    ax: Any = None,
    figsize: Any = None,
) -> Figures:
    """One figure for each effect; see ``ConditionalEffects.plot``."""
    if stype not in ("contour", "raster"):
        raise BrimError(f"stype = '{stype}'", hint=suggest(str(stype), ("contour", "raster"), "styles"))
    options = _Options(points, rug, mean, ncol, stype)
    parts = Canvas.of(ax, figsize).split([table["cond__"].cat.categories.size for table, _ in effects.values()])
    with drawing():
        return Figures({name: _figure(*effect, options, canvas) for (name, effect), canvas in zip(effects.items(), parts, strict=True)})


def _figure(table: pd.DataFrame, info: EffectInfo, options: _Options, canvas: Canvas) -> BaseFigure:
    """One panel for each condition."""
    conditions = list(table["cond__"].cat.categories)
    two = len(info.variables) == 2 or info.look == "surface"
    levels = table["effect1__"].nunique() if info.kinds[0] == "factor" and len(conditions) == 1 else 0
    width = max(5.2, min(1.2 + 0.34 * levels, 14.0)) + 0.8 * two
    figure, axes = canvas.panels(len(conditions), width=width, height=3.5, ncol=options.ncol)
    draw = _surface if info.look == "surface" else _tiles if info.look == "ordinal" else _lines if info.kinds[0] == "numeric" else _levels
    for ax, condition in zip(axes, conditions, strict=True):
        mine = (table["cond__"] == condition).to_numpy()
        seen = None if info.points is None else info.points[info.points["cond__"] == condition]
        draws = None if info.draws is None else info.draws[:, mine]
        draw(ax, table[mine], info, seen, draws, options)
        if info.categories:
            ax.set_yticks(range(1, len(info.categories) + 1), info.categories)
        if len(conditions) > 1:
            ax.set_title(condition, wrap=True)
    _titles(figure, axes, info, canvas)
    return figure


def _titles(figure: BaseFigure, axes: Sequence[Axes], info: EffectInfo, canvas: Canvas) -> None:
    """Caption, axis labels (once for all panels) and the legend, right of the panels."""
    tiles = info.look in ("surface", "ordinal")
    second = "Category" if info.variables[-1] == "cats__" else info.variables[-1]
    canvas.make_room(figure, axes)
    canvas.caption(figure, info.held)
    canvas.label(figure, axes, info.variables[0], second if tiles else info.label)
    if tiles:
        bar = figure.colorbar(_scale(axes), ax=list(axes), label=info.label, shrink=0.9, aspect=25)
        outline: Any = bar.outline  # typed as a method in some versions of matplotlib
        outline.set_visible(False)
        return
    named = {name: handle for ax in axes for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    marks = {name: named.pop(name) for _, name in CENSORED.values() if name in named}
    if len(info.variables) == 2:
        names = [n.replace("-", "\N{MINUS SIGN}") for n in named] if info.kinds[-1] == "numeric" else list(named)
        handles, names = [*named.values(), *marks.values()], [*names, *marks]
        canvas.key(figure, axes, handles, names, "right upper", ncols=-(-len(names) // 16), title=second, alignment="left")
    elif marks:
        canvas.key(figure, axes, list(marks.values()), list(marks), "upper right", ncols=len(marks))


# --------------------------------------------------------------------------- panels


def _parts(table: pd.DataFrame, info: EffectInfo) -> list[tuple[str, np.ndarray, Look]]:
    """Name, rows and look of each level of the second variable; everything alike if there is none."""
    if len(info.variables) == 1:
        return [("", np.arange(len(table)), Look(BLUE))]
    levels = list(table["effect2__"].cat.categories)
    ordered = info.kinds[1] == "numeric" or table["effect2__"].cat.ordered
    each = looks(len(levels), ordered=ordered and len(levels) > 2)
    return [(str(v), np.flatnonzero(table["effect2__"] == v), look) for v, look in zip(levels, each, strict=True)]


def _lines(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """A line and a band over a numeric variable."""
    parts = _parts(table, info)
    shade = 0.18 if len(parts) < 3 else min(0.13, 0.6 / len(parts))
    for name, rows, look in parts:
        part = table.iloc[rows]
        order = np.argsort(part["effect1__"].to_numpy(), kind="stable")
        x, middle, lower, upper = (part[c].to_numpy()[order] for c in ("effect1__", "estimate__", "lower__", "upper__"))
        if draws is None:
            ax.fill_between(x, lower, upper, color=look.colour, alpha=shade, linewidth=0, zorder=2)
        else:
            alpha = float(np.clip(8 / len(draws), 0.03, 0.5))
            ax.plot(x, draws[:, rows[order]].T, color=look.colour, alpha=alpha, linewidth=0.6, zorder=2)
        if draws is None or options.mean:
            ax.plot(x, middle, color=look.colour, linestyle=look.line, label=name, zorder=4)
    if seen is not None and (options.points or options.rug):
        groups = _seen(table, info, seen)
        for i, (rows, look) in enumerate(groups):
            x, part = rows["effect1__"].to_numpy(float), _responses(rows)
            if options.points:
                right, up = _apart(seen, i, len(groups), len(x))
                _dots(ax, x + right, part, look, len(seen), up)
            if options.rug:
                ax.plot(x, np.full(len(x), 0.015), "|", color=look.colour, alpha=0.4, markersize=6, transform=ax.get_xaxis_transform())


def _levels(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: Any, draws: Any, options: _Options) -> None:
    """A point and an interval for each level of a factor, side by side for the levels of a second variable."""
    levels = list(table["effect1__"].cat.categories)
    parts = _parts(table, info)
    shifts = (np.arange(len(parts)) - (len(parts) - 1) / 2) * min(0.18, 0.7 / len(parts))
    if options.points and seen is not None:
        _dots_by_level(ax, table, info, seen, levels, shifts)
    for (name, rows, look), shift in zip(parts, shifts, strict=True):
        part = table.iloc[rows]
        x = part["effect1__"].cat.codes.to_numpy() + shift
        middle, lower, upper = (part[c].to_numpy() for c in ("estimate__", "lower__", "upper__"))
        if draws is not None:
            jitter = np.linspace(-0.03, 0.03, len(draws))[:, None]
            ax.plot(x + jitter, draws[:, rows], ".", color=look.colour, alpha=0.15, markersize=2.5, markeredgewidth=0, zorder=2)
        ax.vlines(x, lower, upper, color=look.colour, linewidth=1.6, zorder=3)
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.8}
        ax.plot(x, middle, look.marker, color=look.colour, markersize=6, label=name, zorder=4, **edge)  # type: ignore[arg-type]
    level_axis(ax, levels)


def _seen(table: pd.DataFrame, info: EffectInfo, seen: pd.DataFrame) -> list[tuple[pd.DataFrame, Look]]:
    """Observations by the look they have: that of their level, grey where levels are values of a number."""
    if info.kinds[-1] == "numeric" or len(info.variables) == 1:
        return [(seen, Look(GREY))]
    return [(seen[(seen["effect2__"] == name).to_numpy()], look) for name, _, look in _parts(table, info)]


def _responses(seen: pd.DataFrame) -> tuple[np.ndarray, Censoring | None]:
    """Observed responses, and how they are censored."""
    y = seen["resp__"].to_numpy(float)
    if "cens__" not in seen:
        return y, None
    return y, Censoring(seen["cens__"].to_numpy(), y, seen["until__"].to_numpy(float))


def _apart(seen: pd.DataFrame, i: int, n: int, size: int) -> tuple[np.ndarray | float, float]:
    """How far the ``i``-th of ``n`` groups of points is moved, to the right and up, so that none lies on another's.

    To the right by less than a sixth of the way to the next value where many have the same; else up where responses are a few whole
    numbers, by less than a tenth.
    """
    if n == 1:
        return 0.0, 0.0
    side = (i - (n - 1) / 2) / n
    x, y = np.unique(seen["effect1__"].to_numpy(float)), np.unique(seen["resp__"].dropna())
    if 1 < len(x) <= len(seen) / 3:
        span = min(0.33 * float(np.min(np.diff(x))), 0.06 * float(np.ptp(x)))
        return span * (side + np.random.default_rng(i).uniform(-0.3, 0.3, size) / n), 0.0  # jitter, the same every time
    few = 1 < len(y) <= _FEW and "cens__" not in seen and bool(np.all(y == np.round(y)))
    return 0.0, 0.16 * side if few else 0.0


def _dots(ax: Axes, x: np.ndarray, response: tuple[np.ndarray, Censoring | None], look: Look, n: int, up: float = 0.0) -> None:
    """Observations, the fainter the more there are."""
    y, censored = response
    alpha = float(np.clip(8 / np.sqrt(n), 0.15, 0.65))
    mark(ax, x, y + up, censored, color=look.colour, marker=look.marker, markersize=3.2, alpha=alpha, zorder=1.5)


def _dots_by_level(ax: Axes, table: pd.DataFrame, info: EffectInfo, seen: pd.DataFrame, levels: list[Any], shifts: np.ndarray) -> None:
    place = {level: i for i, level in enumerate(levels)}
    groups = _seen(table, info, seen)
    spread = 0.1 if len(shifts) == 1 else 0.3 * float(shifts[1] - shifts[0])
    for (rows, look), shift in zip(groups, shifts if len(groups) > 1 else np.zeros(1), strict=True):
        at = np.array([place.get(level, np.nan) for level in rows["effect1__"]], float) + shift
        at += np.random.default_rng(0).uniform(-spread, spread, len(at))  # jitter, the same every time
        _dots(ax, at, _responses(rows), look if len(groups) > 1 else Look(GREY), len(seen))


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
