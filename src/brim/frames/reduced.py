"""Large data as a frame: read whole where they are small, as distinct rows where few are, else some rows that stand for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brim.errors import warn
from brim.frames.columns import Factor
from brim.frames.convert import read_series
from brim.frames.distinct import counted, expected_distinct, in_order
from brim.frames.frame import Frame
from brim.frames.lazy import COUNT, Stream
from brim.frames.survey import Survey, survey
from brim.limits import limits

__all__ = ["read_stream"]

DISTINCT = 0.1  # of the rows: more distinct ones are not worth a group-by
MOST_DISTINCT = 20_000_000  # values of distinct rows


def read_stream(stream: Stream, names: Sequence[str], keys: Sequence[tuple[str, ...]]) -> Frame:
    """The frame that a model of the columns ``names``, with groups by ``keys``, is made of."""
    names = [name for name in stream.names if name in set(names)]
    if stream.n * len(stream.names) <= limits().values:
        return Frame.read(stream.collected(stream.names))
    if stream.n * len(names) <= limits().values:
        return Frame.read(stream.collected(names))
    found, frame = survey(stream, names, keys)
    if found.missing:
        warn(f"{found.missing} row{'s' * (found.missing > 1)} with missing values left out")
    if stream.grouped is not None and _few(found, frame):
        return _distinct(found, frame)
    return frame


def _few(found: Survey, frame: Frame) -> bool:
    """Whether distinct rows are few, by those drawn at random."""
    assert frame.whole is not None
    some = np.arange(frame.whole.random)
    expected = expected_distinct({name: frame[name].take(some) for name in frame.names}, found.n)
    return expected <= min(DISTINCT * found.n, MOST_DISTINCT / max(len(frame.names), 1))


def _distinct(found: Survey, frame: Frame) -> Frame:
    """The distinct rows, counted by the engine of the data."""
    import narwhals as nw

    assert found.stream.grouped is not None
    table = nw.from_native(found.stream.grouped(found.names), eager_only=True)
    counts = np.asarray(table.get_column(COUNT).to_numpy(), float)
    rows = Frame.of({name: read_series(name, table.get_column(name)) for name in found.names})
    rows = in_order(counted(rows, counts).take(rows.complete(found.names)))
    columns = {name: _as(frame[name], rows[name]) for name in found.names}
    return replace(rows.with_columns(columns), _places=None)


def _as(like: object, column: object) -> object:
    """A factor with the levels of all rows, in their order."""
    if isinstance(like, Factor) and isinstance(column, Factor):
        return replace(column.recode(like.levels), ordered=like.ordered)
    return column
