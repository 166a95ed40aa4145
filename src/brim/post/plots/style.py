"""How figures look: matplotlib's settings, colours, line styles and markers, ticks that do not touch.

Imported only by what draws, since it imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

__all__ = ["BLUE", "DARK", "DPI", "GREY", "LIGHT", "PALETTE", "Look", "colours", "label_depth", "level_axis", "looks", "style"]

DPI = 150
#: Estimates; observed data; replicated data and single draws; guides.
BLUE, DARK, LIGHT, GREY = "#0b5fa5", "#14263d", "#8fbbe0", "#7a828c"
#: Okabe and Ito's colours, which the colour-blind tell apart, without the pale ones.
PALETTE = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", GREY)
#: What further rounds of these colours are mixed with: lightness, too, is seen by the colour-blind. Lines and markers differ as well.
_TONES = (0.0, 0.45, -0.4, 0.25, -0.65)
_LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (7, 2, 1.2, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_RC: Any = {
    "figure.max_open_warning": 0,  # figures.py leaves room itself
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": DARK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e9ed",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.labelcolor": DARK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.title_fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "axes.xmargin": 0.02,
    "axes.unicode_minus": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Everything made inside has brim's look, whatever the user's own settings; those are left alone."""
    with rc_context():
        rcdefaults()
        rcParams.update(_RC)
        yield


@dataclass(frozen=True)
class Look:
    """What tells one of several levels apart: the colour, the style of lines, the marker of points."""

    colour: Any
    line: Any = "-"
    marker: str = "o"


def looks(n: int, ordered: bool = False) -> list[Look]:
    """``n`` looks that differ: seven colours, which come back lighter or darker with other lines and markers; light to dark if ordered.

    Examples
    --------
    >>> [look.marker for look in looks(9)]
    ['o', 'o', 'o', 'o', 'o', 'o', 'o', 's', 's']
    """
    if ordered:
        return [Look(c) for c in colormaps["viridis"](np.linspace(0.08, 0.78, n))]
    rounds = [divmod(i, len(PALETTE)) for i in range(n)]
    return [Look(_toned(PALETTE[i], _TONES[r % len(_TONES)]), _LINES[r % len(_LINES)], _MARKERS[r % len(_MARKERS)]) for r, i in rounds]


def _toned(colour: str, tone: float) -> str:
    """A colour mixed with so much white, or black where this is negative."""
    red, green, blue = ((1 - abs(tone)) * v + max(tone, 0.0) for v in to_rgb(colour))
    return colour if tone == 0 else to_hex((red, green, blue))


def colours(n: int, ordered: bool = False) -> list[Any]:
    """The colours of ``looks``."""
    return [look.colour for look in looks(n, ordered)]


def level_axis(ax: Axes, levels: Sequence[str], axis: str = "x", at: Sequence[float] | None = None) -> None:
    """Ticks at 0, 1, ... (or ``at``) with these names: tilted where they would touch, upright and small where that is not enough."""
    at = range(len(levels)) if at is None else at
    ends = min(at) - 0.5, max(at) + 0.5
    if axis == "y":
        ax.set_yticks(list(at), levels, fontsize=_size(ax, ax.get_position().height, 1, len(levels)))
        ax.grid(False, axis="y")
        return
    room = ax.get_position().width * _inches(ax)[0] / max(len(levels), 1)
    if max(map(len, levels), default=0) * 0.085 <= room:
        turn: dict[str, Any] = {}
    elif room >= 0.2:
        turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    else:
        turn = {"rotation": 90, "fontsize": _size(ax, ax.get_position().width, 0, len(levels))}
    ax.set_xticks(list(at), levels, **turn)
    ax.set_xlim(*ends)
    ax.grid(False, axis="x")


def label_depth(ax: Axes) -> float:
    """The inches that tilted labels of the x axis reach down, beyond one line."""
    ticks = [t for t in ax.get_xticklabels() if t.get_rotation()]
    return max((len(t.get_text()) * 0.0085 * float(t.get_fontsize()) * np.sin(np.deg2rad(t.get_rotation())) for t in ticks), default=0.0)


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of the figure that a panel is in."""
    width, height = ax.figure.canvas.figure.get_size_inches()
    return float(width), float(height)


def _size(ax: Axes, share: float, side: int, n: int) -> float:
    """The size of letters of ``n`` lines of text on a side of a panel that takes a share of its figure: at most the usual one."""
    return float(np.clip(60 * share * _inches(ax)[side] / max(n, 1), 3.5, _RC["xtick.labelsize"]))
