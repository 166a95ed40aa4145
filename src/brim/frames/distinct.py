"""Equal rows as one: which rows are distinct, and how often each occurs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from brim.frames.columns import Column, Factor, Logical
from brim.frames.frame import Frame

__all__ = ["counted", "expected_distinct", "in_order", "repeated_rows"]

_SAMPLE = 2**15  # rows that tell whether it is worth looking
_SEED = 20
_LARGEST = 2**62


def counted(frame: Frame, counts: np.ndarray) -> Frame:
    """The frame whose rows stand for so many equal ones each."""
    return replace(frame, counts=np.asarray(counts, float))


def repeated_rows(frame: Frame, names: Iterable[str], most: float) -> Frame | None:
    """The distinct rows of these columns with their counts, in the order of first appearance; ``None`` if more than that share differ."""
    columns = {name: frame[name] for name in names}
    n = frame.n
    if n > 4 * _SAMPLE:
        some = np.random.default_rng(_SEED).integers(0, n, _SAMPLE)
        if expected_distinct({k: c.take(some) for k, c in columns.items()}, n) > 2 * most * n:
            return None
    codes = _codes(columns)
    if codes is None:
        return None
    _, first, inverse, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    if len(first) > most * n:
        return None
    if frame.counts is not None:
        counts = np.bincount(np.ravel(inverse), frame.counts, len(first))
    order = np.argsort(first)
    return counted(frame.take(first[order]), counts[order])


def expected_distinct(columns: Mapping[str, Column], n: int) -> float:
    """About how many distinct rows ``n`` rows have, from some of them drawn at random: from how many of these are alike.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> from brim.frames.columns import Numeric
    >>> found = expected_distinct({"x": Numeric(rng.integers(0, 10_000, 5_000).astype(float))}, 10**6)
    >>> bool(8_000 < found < 12_500)
    True
    """
    codes = _codes(columns)
    if codes is None:
        return float(n)
    m, distinct = len(codes), len(np.unique(codes))
    alike = m - distinct
    if alike == 0:
        return float(n)
    if distinct < 0.2 * m:
        return float(min(n, distinct * 2))
    low, high = float(distinct), float(max(n, distinct))
    for _ in range(60):  # D (1 - exp(-m / D)) = distinct
        middle = np.sqrt(low * high)
        low, high = (middle, high) if -middle * np.expm1(-m / middle) < distinct else (low, middle)
    return float(min(high, n))


def _codes(columns: Mapping[str, Column]) -> np.ndarray | None:
    """A whole number for each row, equal where all columns are; ``None`` where a column has more values than make sense."""
    out: np.ndarray | None = None
    size = 1
    for column in columns.values():
        own, n = _own(column)
        if out is None:
            out, size = own, n
            continue
        if size * n >= _LARGEST:
            out, size = _dense(out)
            if size * n >= _LARGEST:
                return None
        out, size = out * n + own, size * n
    return out


def _own(column: Column) -> tuple[np.ndarray, int]:
    """Codes of one column from 0, missing ones too, and how many there may be."""
    if isinstance(column, Factor):
        return column.codes.astype(np.int64) + 1, len(column.levels) + 1
    if isinstance(column, Logical):
        return np.where(column.missing, 2, column.values).astype(np.int64), 3
    return _dense(column.values + 0.0)


def _dense(values: np.ndarray) -> tuple[np.ndarray, int]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if high - low < 2**24 and np.array_equal(values, np.floor(values)):
        return (values - low).astype(np.int64), int(high - low) + 1
    distinct, inverse = np.unique(values, return_inverse=True)
    return np.ravel(inverse).astype(np.int64), len(distinct)


def in_order(frame: Frame) -> Frame:
    """The rows sorted by all columns: the same whatever engine grouped them."""
    keys = [c.codes if isinstance(c, Factor) else c.numbers for c in (frame[name] for name in frame.names)]
    return frame.take(np.lexsort(keys[::-1]))
