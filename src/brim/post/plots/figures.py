"""Figures: where they are drawn, how they show themselves, and when pyplot knows them.

Every figure begins in ``Canvas``, so there is one place that decides: axes of the user, or a new figure; one that ``plt.show()`` shows,
or one that nobody looks at.
"""

from __future__ import annotations

import io
import math
import os
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, final
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure as BaseFigure

from brim.errors import BrimError
from brim.post.plots.style import DARK, DPI, GREY, label_depth, style

__all__ = ["BaseFigure", "Canvas", "Figure", "Figures", "drawing", "picture", "unseen"]


class Figure(BaseFigure):
    """A matplotlib figure that shows itself in notebooks; ``savefig`` writes it to a file, ``plt.show()`` shows it on a display."""

    def _repr_png_(self) -> bytes:
        image = picture(self)
        _forget_if_inline(self)
        return image

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Asked before what IPython knows of matplotlib's figures, so that a figure is shown once."""
        return {"image/png": b64encode(self._repr_png_()).decode()}


class Figures(dict[str, BaseFigure]):
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
        shown = []
        for name, figure in {id(f): (n, f) for n, f in self.items()}.values():
            source = b64encode(picture(figure)).decode()
            _forget_if_inline(figure)
            inches = figure.get_size_inches()[0]
            shown.append(f'<img alt="{slug(name)}" style="{width}" width="{inches * 96:.0f}" src="data:image/png;base64,{source}">')
        return "\n".join(shown)


def picture(figure: BaseFigure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def slug(name: str) -> str:
    """A name as part of a file's name: ``x:z`` becomes ``x_z``."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name)


# --------------------------------------------------------------------------- who looks

#: Whether the figures made now are for files only.
_UNSEEN: ContextVar[bool] = ContextVar("_UNSEEN", default=False)
#: The figures of the call that is running, and how many matplotlib opens before it warns.
_CALL: ContextVar[tuple[list[BaseFigure], int] | None] = ContextVar("_CALL", default=None)
#: brim's figures that pyplot knows, in order.
_KNOWN: WeakKeyDictionary[BaseFigure, None] = WeakKeyDictionary()


@contextmanager
def drawing() -> Iterator[None]:
    """Everything made inside has brim's look; when drawing fails, pyplot is left without the figures begun."""
    if _CALL.get() is not None:  # drawn as a part of something else
        yield
        return
    made: list[BaseFigure] = []
    token = _CALL.set((made, int(rcParams["figure.max_open_warning"])))
    try:
        with style():
            yield
    except BaseException:
        for figure in made:
            _forget(figure)
        raise
    finally:
        _CALL.reset(token)


@contextmanager
def unseen() -> Iterator[None]:
    """Figures made inside are for files: ``plt.show()`` does not show them."""
    token = _UNSEEN.set(True)
    try:
        yield
    finally:
        _UNSEEN.reset(token)


def _new(size: tuple[float, float]) -> Figure:
    """A figure; pyplot knows it where somebody may look: by ``plt.show()``, ``plt.gcf()``, or at the end of a notebook's cell."""
    if _UNSEEN.get() or threading.current_thread() is not threading.main_thread() or not _looked_at():
        return Figure(figsize=size)
    made, most = _CALL.get() or ([], 20)
    try:
        from matplotlib import pyplot as plt

        _leave_room(made, most)
        figure: Any = plt.figure(FigureClass=Figure, figsize=size)
    except Exception:  # a display that cannot be opened, a toolkit that is not installed: the figure can still be saved
        return Figure(figsize=size)
    _KNOWN[figure] = None
    made.append(figure)
    return figure


def _looked_at() -> bool:
    """Whether pyplot is in use, or there is a notebook or a display, where it may come to be."""
    if "matplotlib.pyplot" in sys.modules:
        return True
    if os.environ.get("MPLBACKEND", "").lower() in ("agg", "pdf", "ps", "svg", "cairo", "template"):
        return False
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    display = sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return display or getattr(shell, "kernel", None) is not None


def _leave_room(made: Sequence[BaseFigure], most: int) -> None:
    """Let pyplot forget the oldest of brim's figures, so that loops neither keep all of them nor make matplotlib warn.

    Half of what matplotlib opens without a warning is left to the user. The figures of one call stay together. One that is forgotten can
    still be saved and shown by itself.
    """
    from matplotlib import pyplot as plt

    open_now = set(plt.get_fignums())
    known = [f for f in _KNOWN if _number(f) in open_now]
    spare = [f for f in known if f not in made]
    while most > 0 and spare and len(known) >= max(most // 2, 1):
        known.remove(spare[0])
        _forget(spare.pop(0))


def _number(figure: BaseFigure) -> int | None:
    return getattr(figure, "number", None)


def _forget(figure: BaseFigure) -> None:
    """Take a figure out of pyplot."""
    if figure in _KNOWN:
        from matplotlib import pyplot as plt

        del _KNOWN[figure]
        plt.close(figure)


def _forget_if_inline(figure: BaseFigure) -> None:
    """A notebook shows what pyplot knows at the end of a cell: not what it has shown already."""
    if figure in _KNOWN:
        from matplotlib import pyplot as plt

        if "inline" in plt.get_backend().lower():
            _forget(figure)


# --------------------------------------------------------------------------- where it is drawn


@final
@dataclass(frozen=True)
class Canvas:
    """Where panels are drawn: in the user's axes, or in a new figure, of the user's size if there is one.

    Attributes
    ----------
    axes
        The user's axes, in order; ``None`` for a new figure.
    size
        Width and height in inches instead of the usual ones.
    """

    axes: tuple[Axes, ...] | None = None
    size: tuple[float, float] | None = None

    @staticmethod
    def of(ax: Any = None, figsize: Any = None) -> Canvas:
        """What ``ax=`` and ``figsize=`` ask for, checked."""
        if ax is not None and figsize is not None:
            raise BrimError("ax= and figsize= are given, and axes have the size of their figure", hint="give one of them")
        return Canvas(None if ax is None else _axes(ax), None if figsize is None else _size(figsize))

    def split(self, sizes: Sequence[int]) -> list[Canvas]:
        """A canvas for each of several figures of so many panels: the user's axes in order."""
        if self.axes is None:
            return [self] * len(sizes)
        self._given(sum(sizes))
        ends = np.cumsum(sizes)
        return [Canvas(self.axes[end - size : end]) for size, end in zip(sizes, ends, strict=True)]

    def panels(
        self, n: int, *, width: float = 5.2, height: float = 3.5, ncol: int | None = None, share: str = "both"
    ) -> tuple[BaseFigure, list[Axes]]:
        """``n`` panels in a grid, as near to a square as ``n`` allows; inner tick labels of shared axes are left out."""
        if self.axes is not None:
            return self._given(n)
        if n == 1:
            figure = self.blank(width, height)
            return figure, [figure.subplots()]
        ncol = min(n, ncol or (n if n <= 3 else math.ceil(math.sqrt(n))))
        nrow = math.ceil(n / ncol)
        shrink = {1: 0.9, 2: 0.72, 3: 0.56, 4: 0.47}.get(ncol, 0.4)
        figure = self.blank(width * shrink * ncol, height * (shrink + 0.06) * nrow + 0.3)
        shared = {f"share{axis}": "all" if share in ("both", axis) else False for axis in "xy"}
        axes = list(figure.subplots(nrow, ncol, squeeze=False, **shared).ravel())  # type: ignore[call-overload]
        for spare in axes[n:]:
            spare.remove()
        for above in axes[max(n - ncol, 0) : n]:
            above.xaxis.set_tick_params(labelbottom=True)
        return figure, axes[:n]

    def table(self, nrow: int, ncol: int, width: float, height: float, **kwargs: Any) -> tuple[BaseFigure, np.ndarray]:
        """Panels by row and column, ``(nrow, ncol)``."""
        if self.axes is not None:
            figure, axes = self._given(nrow * ncol)
            return figure, np.array(axes, dtype=object).reshape(nrow, ncol)
        figure = self.blank(width, height)
        return figure, np.asarray(figure.subplots(nrow, ncol, squeeze=False, **kwargs))

    def blank(self, width: float, height: float) -> Figure:
        """A new figure."""
        return _new(self.size or (width, height))

    def _given(self, n: int) -> tuple[BaseFigure, list[Axes]]:
        assert self.axes is not None
        if len(self.axes) != n:
            raise BrimError(
                f"{n} panel{'s' * (n > 1)} to draw, and ax= gives {len(self.axes)}",
                hint="give one ax" if n == 1 else f"give an array of {n} axes, as plt.subplots(1, {n})[1], or leave ax out",
            )
        return self.axes[0].figure.canvas.figure, list(self.axes)

    # ------------------------------------------------------------------ words

    def label(self, figure: BaseFigure, axes: Sequence[Axes], x: str, y: str) -> None:
        """Names of the axes: once for all panels of a figure of brim's, on each of the user's."""
        if len(axes) == 1 or self.axes is not None:
            for ax in axes:
                ax.set(xlabel=x, ylabel=y)
            return
        if x:
            figure.supxlabel(x, fontsize="medium", color=DARK, **_above_caption(figure))
        if y:
            figure.supylabel(y, fontsize="medium", color=DARK)

    def make_room(self, figure: BaseFigure, axes: Sequence[Axes]) -> None:
        """Let a figure of brim's grow by what tilted labels of ticks take from its panels; before ``caption`` and ``label``."""
        if self.axes is None and self.size is None:
            width, height = figure.get_size_inches()
            figure.set_size_inches(width, height + max(label_depth(ax) for ax in axes))

    def caption(self, figure: BaseFigure, text: str) -> None:
        """Small words below the panels of a figure of brim's, which grows by their height; before ``label``."""
        if self.axes is not None or not text:
            return
        width, height = figure.get_size_inches()
        lines = wrap(text, max(30, int(19 * width)))
        room = 0.13 * len(lines) + 0.09
        if self.size is None:
            height += room
            figure.set_size_inches(width, height)
        engine: Any = figure.get_layout_engine()
        engine.set(rect=(0, room / height, 1, 1 - room / height))
        figure.text(0.01, 0.06 / height, "\n".join(lines), fontsize=7.5, color=GREY, va="bottom", ha="left", linespacing=1.2)

    def key(self, figure: BaseFigure, axes: Sequence[Axes], handles: Any, names: Any, loc: str, **kwargs: Any) -> Any:
        """The legend: outside the panels of a figure of brim's, in the first of the user's axes."""
        if self.axes is not None:
            return axes[0].legend(handles, names, **{k: v for k, v in kwargs.items() if k != "ncols"})
        return figure.legend(handles, names, loc=f"outside {loc}", **kwargs)


def _above_caption(figure: BaseFigure) -> dict[str, float]:
    """Where the name of the x axis of all panels goes when there is a caption below it; matplotlib makes room for one at the very edge."""
    engine: Any = figure.get_layout_engine()
    left, bottom, width, height = engine.get()["rect"]
    if bottom == 0:
        return {}
    room = 0.22 / figure.get_size_inches()[1]
    engine.set(rect=(left, bottom + room, width, height - room))
    return {"y": bottom}


def _axes(ax: Any) -> tuple[Axes, ...]:
    given = tuple(np.ravel(np.array(ax, dtype=object)))
    wrong = next((a for a in given if not isinstance(a, Axes)), None)
    if wrong is not None or not given:
        raise BrimError(f"ax = {type(wrong).__name__} is no axes of matplotlib", hint="make it with figure, ax = plt.subplots()")
    if len({id(a.figure.canvas.figure) for a in given}) > 1:
        raise BrimError("the axes in ax= are those of several figures", hint="make them with one call of plt.subplots()")
    return given


def _size(figsize: Any) -> tuple[float, float]:
    with suppress(TypeError, ValueError):
        width, height = (float(v) for v in figsize)
        if 0 < width < math.inf and 0 < height < math.inf:
            return width, height
    raise BrimError(f"figsize = {figsize!r}", hint="give width and height in inches: figsize=(6, 4)")
