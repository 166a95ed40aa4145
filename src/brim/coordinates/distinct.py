"""Rows that are equal in all that a model reads, as one with a weight: the same density at the cost of the distinct rows."""

from __future__ import annotations

from collections.abc import Iterable

from brim.frames.distinct import repeated_rows
from brim.frames.frame import Frame
from brim.model.model import Model

__all__ = ["distinct_rows"]

LEAST = 10_000  # rows below which nothing is gained
SHARE = 0.5  # of the rows that may differ


def distinct_rows(model: Model, frame: Frame, names: Iterable[str]) -> Frame:
    """The distinct rows of the columns ``names``, all that the model reads, with their counts; the frame itself where that does not pay.

    The log likelihood of independent rows is a sum: ``sum_i log p(y_i) = sum_d n_d log p(y_d)`` over the distinct ones.
    """
    if frame.n < LEAST or frame.reduced or not _independent(model):
        return frame
    return repeated_rows(frame, names, SHARE) or frame


def _independent(model: Model) -> bool:
    """Whether each row has a likelihood of its own, given the parameters, that depends on its own values alone."""
    if any(r.residual is not None or r.imputed or r.family.components for r in model.responses):
        return False
    return all(t.traits.rowwise for t in model.terms())
