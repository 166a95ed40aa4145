"""Survival: Kaplan-Meier curves of observed and replicated times."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from brim.errors import BrimError
from brim.post.plots.predictive.axes import faint
from brim.post.plots.predictive.check import OBSERVED, REPLICATED, CheckData
from brim.post.plots.style import DARK, LIGHT

__all__ = ["kaplan_meier", "km_overlay"]


def kaplan_meier(time: np.ndarray, ended: np.ndarray | None = None, entered: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Event times in order, from 0, and ``S(t) = prod_{t_i <= t} (1 - d_i / n_i)`` there.

    At risk at a time are those who entered before it and have not gone.

    Examples
    --------
    >>> t, s = kaplan_meier(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, True]))
    >>> t.tolist(), s.tolist()
    ([0.0, 1.0, 2.0, 3.0], [1.0, 0.75, 0.5, 0.0])
    """
    ended = np.ones(len(time), bool) if ended is None else np.asarray(ended, bool)
    at = np.unique(time[ended])
    entered = np.full(len(time), -np.inf) if entered is None else entered
    risk = np.array([((time >= t) & (entered < t)).sum() for t in at])
    events = np.array([((time == t) & ended).sum() for t in at])
    return np.concatenate([[0.0], at]), np.concatenate([[1.0], np.cumprod(1 - events / risk)])


def km_overlay(ax: Axes, c: CheckData) -> None:
    """The Kaplan-Meier curve of the observed times, those of replicated ones without censoring behind it."""
    ended = None
    if c.censored is not None:
        if not np.isin(c.censored.codes, (0, 1)).all():
            raise BrimError("Kaplan-Meier curves take exact and right-censored times", hint="the data have times censored otherwise")
        ended = c.censored.codes == 0
    end = float(c.y.max())
    for i, values in enumerate(c.yrep):
        label = REPLICATED if i == 0 else None
        ax.step(
            *kaplan_meier(values, None, c.entered),
            where="post",
            color=LIGHT,
            linewidth=0.8,
            alpha=faint(len(c.yrep)),
            label=label,
            zorder=2,
        )
    t, s = kaplan_meier(c.y, ended, c.entered)
    ax.step([*t, end], [*s, s[-1]], where="post", color=DARK, linewidth=1.8, label=OBSERVED, zorder=3)
    if ended is not None:
        lost = np.unique(c.y[~ended])
        level = s[np.searchsorted(t, lost, side="right") - 1]
        ax.plot(lost, level, "|", color=DARK, markersize=5, markeredgewidth=0.8, label="right-censored", zorder=3)
    ax.set(xlim=(0, 1.02 * end), ylim=(0, 1.01))
