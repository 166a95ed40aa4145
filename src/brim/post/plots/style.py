"""How figures look: colours, sizes, facets; and the figure class. No pyplot: no global state, nothing to close.

Imported only by what draws, since it imports matplotlib.
"""

from __future__ import annotations

import io
import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure as BaseFigure

__all__ = ["BLUE", "DARK", "GREY", "LIGHT", "PALETTE", "Figure", "Figures", "colours", "facets", "level_axis", "slug", "style"]

DPI = 150
#: Estimates; observed data; replicated data and single draws; guides.
BLUE, DARK, LIGHT, GREY = "#0b5fa5", "#14263d", "#8fbbe0", "#7a828c"
#: Okabe and Ito's colours, which the colour-blind tell apart, without the pale ones.
PALETTE = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a828c")

_RC: Any = {
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


class Figure(BaseFigure):
    """A matplotlib figure that shows itself in notebooks without pyplot; ``savefig`` writes it to a file."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


class Figures(dict[str, Figure]):
    """Figures by name, shown one below the other in notebooks."""

    def save(self, folder: str | Path, prefix: str = "") -> list[Path]:
        """Write each as ``<prefix><name>.png`` into a folder, made if it is not there; returns the files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{prefix}{slug(name)}.png" for name in self]
        for path, figure in zip(paths, self.values(), strict=True):
            figure.savefig(path, dpi=DPI)
        return paths

    def _repr_html_(self) -> str:
        width = "max-width: 100%; height: auto"
        return "\n".join(
            f'<img alt="{slug(name)}" style="{width}" width="{figure.get_size_inches()[0] * 96:.0f}" '
            f'src="data:image/png;base64,{b64encode(figure._repr_png_()).decode()}">'
            for name, figure in self.items()
        )


def slug(name: str) -> str:
    """A name as part of a file's name: ``x:z`` becomes ``x_z``."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name)


def colours(n: int, ordered: bool = False) -> list[Any]:
    """``n`` colours: distinct ones for unordered levels, light to dark for ordered ones (and for more levels than distinct colours)."""
    if not ordered and n <= len(PALETTE):
        return list(PALETTE[:n])
    return list(colormaps["viridis"](np.linspace(0.08, 0.78, n)))


def facets(n: int, *, width: float = 5.2, height: float = 3.5, ncol: int | None = None, share: str = "both") -> tuple[Figure, list[Axes]]:
    """A figure with ``n`` panels in a grid, as near to a square as ``n`` allows; inner tick labels of shared axes are left out."""
    if n == 1:
        figure = Figure(figsize=(width, height))
        return figure, [figure.subplots()]
    ncol = min(n, ncol or (n if n <= 3 else math.ceil(math.sqrt(n))))
    nrow = math.ceil(n / ncol)
    shrink = {1: 0.9, 2: 0.72, 3: 0.56, 4: 0.47}.get(ncol, 0.4)
    figure = Figure(figsize=(width * shrink * ncol, height * (shrink + 0.06) * nrow + 0.3))
    grid = figure.subplots(
        nrow, ncol, sharex="all" if share in ("both", "x") else False, sharey="all" if share in ("both", "y") else False, squeeze=False
    )
    axes = list(grid.ravel())
    for spare in axes[n:]:
        spare.remove()
    for above in axes[max(n - ncol, 0) : n]:
        above.xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:n]


def level_axis(ax: Axes, levels: Sequence[str], axis: str = "x") -> None:
    """Ticks at 0, 1, ... with these names; tilted where they would touch."""
    at = np.arange(len(levels))
    if axis == "y":
        ax.set_yticks(at, levels)
        ax.grid(False, axis="y")
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    room = ax.get_position().width * figure.get_size_inches()[0] / max(len(levels), 1)
    tilted = max(map(len, levels), default=0) * 0.085 > room
    ax.set_xticks(at, levels, rotation=40 if tilted else 0, ha="right" if tilted else "center", rotation_mode="anchor" if tilted else None)
    ax.set_xlim(-0.5, len(levels) - 0.5)
    ax.grid(False, axis="x")
