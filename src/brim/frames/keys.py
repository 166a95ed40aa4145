"""Numbers for the values of keys, in the order in which they are met: what tells groups apart where rows come in batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

from brim.frames.columns import Column, Factor, Numeric

__all__ = ["Joint", "Labels", "Numbers", "numbering"]

WIDEST = 2**26  # of a range of whole numbers that is looked up in a table


@final
@dataclass(eq=False)
class Numbers:
    """Codes from 0 of numbers met so far: whole ones by a table, others by search."""

    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    low: int = 0
    table: np.ndarray | None = field(default_factory=lambda: np.zeros(0, np.int32))
    order: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.values)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The codes (rows,) of these numbers; new ones are added."""
        if not len(values):
            return np.zeros(0, np.int64)
        if self.table is not None and not self._widen(values):
            self.table = None
            self.order = np.argsort(self.values)
        return self._by_search(values) if self.table is None else self._by_table(values)

    def _widen(self, values: np.ndarray) -> bool:
        """Make the table reach all of these; ``False``: they are not whole, or too far from each other."""
        low, high = float(values.min()), float(values.max())
        assert self.table is not None
        known = len(self.table)
        first, last = (min(low, self.low), max(high, self.low + known - 1)) if known else (low, high)
        if not last - first < WIDEST or not np.array_equal(values, np.floor(values)):
            return False
        if known and first >= self.low and last < self.low + known:
            return True
        room = max(int(last - first) + 1, min(2 * known, WIDEST))
        table = np.full(room, -1, np.int32)
        if known:
            at = self.low - int(first)
            table[at : at + known] = self.table[: room - at]
        self.low, self.table = int(first), table
        return True

    def _by_table(self, values: np.ndarray) -> np.ndarray:
        assert self.table is not None
        places = values.astype(np.int64) - self.low
        out = self.table[places]
        new = np.unique(places[out < 0])
        if len(new):
            self.table[new] = self.n + np.arange(len(new), dtype=np.int32)
            self.values = np.concatenate([self.values, (new + self.low).astype(float)])
            out = self.table[places]
        return out.astype(np.int64)

    def _by_search(self, values: np.ndarray) -> np.ndarray:
        distinct, inverse = np.unique(values, return_inverse=True)
        places = self._places(distinct)
        new = distinct[places < 0]
        if len(new):
            self.values = np.concatenate([self.values, new])
            self.order = np.argsort(self.values)
            places = self._places(distinct)
        return places[np.ravel(inverse)]

    def _places(self, distinct: np.ndarray) -> np.ndarray:
        if not self.n:
            return np.full(len(distinct), -1)
        at = np.minimum(np.searchsorted(self.values, distinct, sorter=self.order), self.n - 1)
        place = self.order[at]
        return np.where(self.values[place] == distinct, place, -1)


@final
@dataclass(eq=False)
class Labels:
    """Codes from 0 of levels met so far, whatever the levels of each batch are."""

    place: dict[str, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.place)

    def codes(self, column: Factor) -> np.ndarray:
        """The codes (rows,) of a column without missing values; new levels in use are added."""
        used = np.zeros(len(column.levels) + 1, bool)
        used[column.codes] = True
        table = np.full(len(column.levels) + 1, -1, np.int64)
        for i in np.flatnonzero(used[:-1]):
            table[i] = self.place.setdefault(column.levels[i], self.n)
        return table[column.codes]


@final
@dataclass(eq=False)
class Joint:
    """Codes from 0 of combinations of the values of several keys."""

    keys: Numbers = field(default_factory=Numbers)

    @property
    def n(self) -> int:
        """How many there are."""
        return self.keys.n

    def codes(self, parts: list[np.ndarray]) -> np.ndarray:
        """The codes (rows,) of combinations of two codes, each below 2^26."""
        first, second = parts
        return self.keys.codes((first * WIDEST + second).astype(float))


def numbering(column: Column) -> Numbers | Labels:
    """What gives the values of such a column numbers."""
    return Labels() if isinstance(column, Factor) else Numbers()


def coded(known: Numbers | Labels, column: Column) -> np.ndarray:
    """The codes of a column without missing values."""
    if isinstance(known, Labels):
        return known.codes(column.as_factor())
    return known.codes(column.held if isinstance(column, Numeric) else column.numbers)
