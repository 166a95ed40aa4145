"""Figure of tested hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.post.plots.density import density
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.style import BLUE, GREY

if TYPE_CHECKING:
    from brim.post.inference.tested import Tested

__all__ = ["plot_hypotheses"]


def plot_hypotheses(tested: Sequence[Tested], ax: Any = None, figsize: Any = None) -> BaseFigure:
    """One panel a hypothesis: its posterior density, the prior's dashed, and a line at 0."""
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.panels(len(tested), share="none")
        for panel, one in zip(axes, tested, strict=True):
            for values, colour, line, label in ((one.values, BLUE, "-", "posterior"), (one.prior, GREY, "--", "prior")):
                if values is not None:
                    margin = 0.1 * np.ptp(values) or 1.0
                    at = np.linspace(min(values.min(), 0.0) - margin, max(values.max(), 0.0) + margin, 256)
                    panel.plot(at, density(values, at), line, color=colour, label=label)
            panel.axvline(0.0, color=GREY, linewidth=0.8)
            panel.set_title(f"{one.group}: {one.name}" if one.group else one.name)
            panel.set_yticks([])
            panel.set(xlabel="Value", ylabel="Density")
            if one.prior is not None:
                panel.legend()
        return figure
