"""The data of a fit: what was learned, the rows that were used, and their numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from brim.design.contrasts import check_contrasts
from brim.design.matrix import ModelMatrix
from brim.errors import BrimError, name_rows
from brim.frames.frame import Frame
from brim.lme4.design import Design, Selection, complete, learn, per_row
from brim.lme4.formula import read_formula
from brim.lme4.groups import Groups

__all__ = ["Observed", "observe"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Observed:
    """The rows a model was fitted to.

    Attributes
    ----------
    design, groups
        The learned model and its group effects.
    frame, rows
        The complete rows, and their numbers in the data.
    x, y
        Design matrix of the population-level effects, and response.
    weights, offset
        Prior weights (``None``: ones) and known part of the predictor.
    data_name, weights_name
        What the summary calls the data and the weights.
    """

    design: Design
    groups: Groups
    frame: Frame
    rows: Array
    x: Array
    y: Array
    weights: Array | None
    offset: Array
    data_name: str = "data"
    weights_name: str = ""

    @property
    def n(self) -> int:
        return len(self.y)


def observe(formula: str, data: Any, weights: Any, offset: Any, data_name: str, selection: Selection) -> Observed:
    """Read formula and data; the response is still empty, since its kinds differ between models."""
    frame = Frame.read(data)
    read = read_formula(formula, frame.names)
    named = [w for w in (weights, offset) if isinstance(w, str) and w in frame]
    rows = complete(read, frame, named, selection)
    kept = frame.take(rows) if len(rows) < frame.n else frame
    if selection.contrasts:
        there = ModelMatrix(read.fixed).learn(kept)
        read = replace(read, contrasts=check_contrasts(selection.contrasts, there.factors, there.numbers))
    design, x, codes = learn(read, kept)
    w = per_row("weights", weights, frame, rows)
    if w is not None and not ((w > 0) & np.isfinite(w)).all():
        bad = rows[~((w > 0) & np.isfinite(w))]
        raise BrimError(f"weights are not positive in {name_rows(bad)}", hint="leave rows of weight zero out of the data")
    shift = per_row("offset", offset, frame, rows)
    total = design.offset(kept) + (0.0 if shift is None else shift)
    name = weights if isinstance(weights, str) else "" if weights is None else "weights"
    return Observed(design, Groups.of(design, kept, codes), kept, rows, x, np.zeros(0), w, total, data_name, name)
