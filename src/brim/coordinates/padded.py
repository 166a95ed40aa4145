"""Rows in equal parts: copies of the last row that count nought, until the number of rows divides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.model.model import Model

__all__ = ["padded", "row_counts"]


def row_counts(model: Model, frame: Frame) -> tuple[int, ...]:
    """How many rows each response has; none where all are in sums."""
    return () if frame.whole is not None else tuple(dict.fromkeys(r.response.kept(frame).n for r in model.responses))


def padded(model: Model, frame: Frame, parts: int) -> Frame:
    """The rows, with so many behind them that count nought that they divide into ``parts``; the model has the same density.

    Raises
    ------
    BrimError
        They do not divide, and rows cannot be added: they depend on each other, have values of their own that are estimated, or responses
        keep other ones of them.
    """
    if all(n % parts == 0 for n in row_counts(model, frame)):
        return frame
    why = _obstacle(model)
    if why:
        hint = f"leave {frame.n % parts} rows out, or give a number of devices that divides {frame.n}"
        raise BrimError(f"devices: {frame.n} rows do not divide into {parts} parts, and none can be added: {why}", hint=hint)
    n, more = frame.n, -frame.n % parts
    counts = np.ones(n) if frame.counts is None else frame.counts
    wide = frame.take(np.concatenate([np.arange(n), np.full(more, n - 1)]))
    return replace(wide, counts=np.append(counts, np.zeros(more)))


def _obstacle(model: Model) -> str:
    if any(r.response.subset is not None for r in model.responses):
        return "subset() takes some"
    if any(r.imputed for r in model.responses):
        return "missing values of single rows are estimated"
    if any(r.residual is not None for r in model.responses) or any(t.traits.autocor for t in model.terms()):
        return "their residuals depend on each other"
    odd = next((t for t in model.terms() if not t.traits.rowwise), None)
    return "" if odd is None else f"'{odd.key}' has values of single rows, or of several at once"
