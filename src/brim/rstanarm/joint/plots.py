"""Figures of joint models: survival curves, trajectories, the observed survival beside the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.errors import BrimError, suggest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from brim.post.plots.figures import BaseFigure

__all__ = ["Shown", "predicted", "step_curve"]

_MOST = 12  # panels that are drawn unless more are asked for


@final
@dataclass(frozen=True)
class Shown:
    """What the figure of a table of predictions needs to know.

    Attributes
    ----------
    id_var, time_var
        Columns of subjects, empty for all together, and of the time.
    middle, name
        Column of the curve, and what its axis is called.
    limits
        The bands: name -> columns of their ends, the widest first.
    points
        Subject -> observed times and values.
    last
        Subject -> the last time that it was known to be at risk.
    """

    id_var: str
    time_var: str
    middle: str
    name: str
    limits: Mapping[str, tuple[str, str]]
    points: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    last: Mapping[str, float] = field(default_factory=dict)


def predicted(table: Mapping[str, Any], shown: Shown) -> pd.DataFrame:
    """The table as a data frame whose ``plot()`` draws it."""
    frame = _frame()(table)
    frame.shown = shown
    found: pd.DataFrame = frame
    return found


@cache
def _frame() -> Any:
    """The class of the table; pandas is imported when the first one is made."""
    import pandas as pd

    class Predicted(pd.DataFrame):
        """Predictions of a joint model: a data frame, drawn by ``plot()``."""

        _metadata = ["shown"]  # noqa: RUF012 - pandas' protocol

        @property
        def _constructor(self) -> Any:
            return Predicted

        def __reduce__(self) -> tuple[Any, ...]:
            """For ``pickle``: a plain data frame."""
            return pd.DataFrame, ({name: self[name].to_numpy() for name in self.columns}, self.index)

        def plot(
            self,
            ids: Sequence[Any] | None = None,
            limits: str | None = None,
            *,
            ncol: int | None = None,
            ax: Any = None,
            figsize: tuple[float, float] | None = None,
        ) -> BaseFigure:
            """The curves with their intervals, one panel a subject.

            Parameters
            ----------
            ids
                Some subjects; the first twelve by default.
            limits
                ``"ci"``, ``"pi"`` (trajectories), ``"none"``; all bands by default.
            ncol, ax, figsize
                As in ``mcmc_plot``.

            Returns
            -------
            matplotlib.figure.Figure
            """
            return _figure(self, self.shown, ids, limits, ncol, ax, figsize)

    return Predicted


def _figure(
    frame: pd.DataFrame,
    shown: Shown,
    ids: Sequence[Any] | None,
    limits: str | None,
    ncol: int | None,
    ax: Any,
    figsize: tuple[float, float] | None,
) -> BaseFigure:
    from brim.post.plots.figures import Canvas, drawing

    bands = _bands(shown, limits)
    labels = _labels(frame, shown, ids)
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.panels(len(labels), ncol=ncol, height=3.3)
        for label, panel in zip(labels, axes, strict=True):
            mine = frame if not shown.id_var else frame[frame[shown.id_var].astype(str) == label]
            _draw(panel, mine, shown, label, bands)
            if label:
                panel.set_title(f"{shown.id_var} {label}")
        canvas.label(figure, axes, shown.time_var, shown.name)
    return figure


def _bands(shown: Shown, limits: str | None) -> list[tuple[str, str]]:
    if limits == "none":
        return []
    if limits is not None and limits not in shown.limits:
        raise BrimError(f"limits = {limits!r}", hint=suggest(limits, (*shown.limits, "none"), "bands"))
    return [ends for name, ends in shown.limits.items() if limits in (None, name)]


def _labels(frame: pd.DataFrame, shown: Shown, ids: Sequence[Any] | None) -> list[str]:
    if not shown.id_var:
        return [""]
    known = list(dict.fromkeys(frame[shown.id_var].astype(str)))
    wanted = known[:_MOST] if ids is None else [str(i) for i in ids]
    missing = next((v for v in wanted if v not in known), None)
    if missing is not None:
        raise BrimError(f"there are no predictions of subject '{missing}'", hint=suggest(missing, known, "subjects"))
    return wanted


def _draw(ax: Axes, frame: pd.DataFrame, shown: Shown, label: str, bands: Sequence[tuple[str, str]]) -> None:
    from brim.post.plots.style import BLUE, DARK, GREY, LIGHT

    frame = frame.sort_values(shown.time_var)
    t = frame[shown.time_var].to_numpy()
    for i, (low, high) in enumerate(bands):
        last = i == len(bands) - 1
        ax.fill_between(t, frame[low], frame[high], color=LIGHT if last else GREY, alpha=0.55 if last else 0.18, lw=0)
    ax.plot(t, frame[shown.middle], color=BLUE, marker="o" if len(t) == 1 else None)
    if label in shown.points:
        x, y = shown.points[label]
        ax.plot(x, y, "o", color=DARK, ms=3.5, mfc="none")
    if label in shown.last and t.max() > shown.last[label] > t.min():
        ax.axvline(shown.last[label], color=GREY, lw=1, ls="--")
    if shown.name.startswith("survival"):
        ax.set_ylim(0, 1.02)


def step_curve(time: np.ndarray, status: np.ndarray, entry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product-limit estimate (Kaplan and Meier 1958): times of events, 0 first, and the survival from each on.

    Examples
    --------
    >>> step_curve(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1]), np.zeros(3))[1].round(4)
    array([1.    , 0.6667, 0.    ])
    """
    times = np.unique(time[status == 1])
    at_risk = np.array([np.sum((entry < t) & (time >= t)) for t in times])
    events = np.array([np.sum((time == t) & (status == 1)) for t in times])
    return np.append(0.0, times), np.append(1.0, np.cumprod(1.0 - events / at_risk))
