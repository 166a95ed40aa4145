"""Square matrices in ``data2`` with a row for each row of the data: ``fcor(V)``, ``sar(M)``."""

from __future__ import annotations

import numpy as np

from brim.errors import suggest
from brim.frames.frame import Frame
from brim.language.expand import Call, Name, Node, arguments, deparse, fault
from brim.terms.base import Context

__all__ = ["named_matrix", "rows_of", "square_matrix"]


def named_matrix(call: Call, context: Context) -> tuple[Node, np.ndarray, tuple[str, ...] | None]:
    """The square matrix that is the argument ``M`` of a call, with its row names."""
    node = arguments(call)[1].get("M")
    if not isinstance(node, Name):
        raise fault(call, f"{call.fn}() needs the name of a matrix", f"write {call.fn}(M) and give data2={{'M': ...}}")
    given = context.data2.get(node.name)
    if not isinstance(given, tuple):
        raise fault(node, f"data2 has no matrix '{node.name}'", suggest(node.name, context.data2, "entries of data2"))
    values, names = given
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise fault(node, f"'{deparse(node)}' must be a square matrix; it is {' x '.join(map(str, values.shape))}")
    if not np.isfinite(values).all():
        raise fault(node, f"'{deparse(node)}' has values that are not finite")
    return node, values, names


def square_matrix(call: Call, context: Context) -> tuple[Node, np.ndarray]:
    """The matrix of a call, with a row for each row of the data."""
    node, values, _ = named_matrix(call, context)
    if len(values) != context.frame.n:
        what = f"'{deparse(node)}' has {len(values)} rows, the data {context.frame.n}"
        raise fault(node, what, "it needs a row for each row of the data, in their order")
    return node, values


def rows_of(call: Call, values: np.ndarray, frame: Frame) -> np.ndarray:
    """The matrix' rows that belong to these rows."""
    if frame.rows is not None:
        return frame.rows
    if frame.n != len(values):
        what = f"the matrix of {deparse(call)} has {len(values)} rows, the new data {frame.n}"
        raise fault(call, what, "new data need as many rows as the training data")
    return np.arange(frame.n)
