"""Marks of observations: exact ones filled, censored ones open, pointing to where the truth lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from brim.post.censoring import Censoring

__all__ = ["CENSORED", "mark"]

#: Code of ``cens()`` -> marker and name; of an interval both ends are drawn.
CENSORED: Mapping[int, tuple[str, str]] = {
    1: ("^", "right-censored"),
    -1: ("v", "left-censored"),
    2: ("D", "interval-censored"),
    3: ("x", "censored, nothing known"),
}


def mark(ax: Axes, x: np.ndarray, y: np.ndarray, censored: Censoring | None, *, label: str | None = None, **look: Any) -> None:
    """Observations as points; of censored ones open marks at their limits, over the whole interval where there is one.

    ``look`` are properties of matplotlib's lines; only the first mark of a kind in a panel is named in its legend.
    """
    exact = np.ones(len(x), bool) if censored is None else censored.codes == 0
    if exact.any() or censored is None:
        ax.plot(x[exact], y[exact], **{"linestyle": "", "marker": "o", "markeredgewidth": 0, "label": label, **look})
    if censored is None:
        return
    named = {line.get_label() for line in ax.lines}
    for code, (marker, name) in CENSORED.items():
        mine = censored.codes == code
        if not mine.any():
            continue
        if code == 2:
            ax.vlines(x[mine], censored.at[mine], censored.upper[mine], color=look.get("color"), linewidth=0.8, alpha=look.get("alpha"))
        shape = {"marker": marker, "markerfacecolor": "none", "markeredgewidth": 0.9, "markersize": 1.3 * look.get("markersize", 4)}
        middle = 0.5 * (censored.at[mine] + censored.upper[mine])
        told = None if name in named or label == "" else name
        ax.plot(x[mine], middle, **{**look, "linestyle": "", **shape, "label": told})
