"""Columns: numbers, factors (categories) and logicals, and how R prints their values as levels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, final

import numpy as np

from brim.errors import BrimError

__all__ = ["Column", "Factor", "Logical", "Matrix", "Numeric", "format_number", "level_name"]

_PIECE = 2**16  # rows handled at once


@final
@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers, ``NaN`` where missing; ``integer`` tells that they came as integers, which may be held as such to save memory.

    ``owner`` is the library's column that the numbers are a view of: as long as it is there, the library copies before it writes.
    """

    held: np.ndarray
    integer: bool = False
    owner: Any = field(default=None, repr=False)
    kind: ClassVar[str] = "numeric"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.held)

    @property
    def values(self) -> np.ndarray:
        """The numbers as float64."""
        return self.held.astype(np.float64, copy=False)

    @property
    def numbers(self) -> np.ndarray:
        """The values."""
        return self.values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numbers, dtype=dtype) if copy else np.asarray(self.numbers, dtype=dtype)

    @property
    def missing(self) -> np.ndarray:
        """Mask of the missing rows."""
        return np.isnan(self.held)

    def take(self, rows: np.ndarray | slice) -> Numeric:
        """The rows picked by indices or a mask, or (without a copy) by a slice."""
        return Numeric(self.held[rows], self.integer, self.owner if isinstance(rows, slice) else None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied without the owner."""
        return Numeric, (self.held, self.integer)

    def as_factor(self) -> Factor:
        """R's ``as.factor``: levels are the sorted distinct values, printed as R prints integers or (15 digits) doubles.

        Examples
        --------
        >>> Numeric(np.array([10.0, 2.5, 100000.0])).as_factor().levels
        ('2.5', '10', '100000')
        """
        distinct, codes = _distinct(self.held)
        labels = [level_name(v) for v in distinct]
        levels = tuple(dict.fromkeys(labels))  # values that print alike are one level, as in R
        if len(levels) < len(labels):
            place = {level: i for i, level in enumerate(levels)}
            codes = np.array([*(place[label] for label in labels), -1], dtype=np.int32)[codes]
        return Factor(codes, levels)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sorted distinct numbers and the place of each row's among them (int32, -1 where ``NaN``)."""
    codes = np.empty(len(values), np.int32)
    table = _whole_numbers(values)
    if table is None:
        present = ~np.isnan(values)
        distinct, inverse = np.unique(values[present], return_inverse=True)
        codes[~present] = -1
        codes[present] = inverse
        return distinct, codes
    low, seen = table
    place = (np.cumsum(seen) - 1).astype(np.int32)
    for rows in _slices(len(values)):
        codes[rows] = place[(values[rows] - low).astype(np.intp)]
    return np.flatnonzero(seen) + low, codes


def _whole_numbers(values: np.ndarray) -> tuple[float, np.ndarray] | None:
    """For whole numbers in a range not much wider than their number: the smallest, and which of the range occur. Keys need no sorting."""
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if not high - low <= max(2 * len(values), 1000):  # also where a number is missing
        return None
    seen = np.zeros(int(high - low) + 1, bool)
    for rows in _slices(len(values)):
        place = (values[rows] - low).astype(np.intp)
        if not low.is_integer() or not np.array_equal(place, values[rows] - low):
            return None
        seen[place] = True
    return low, seen


def _slices(n: int) -> Iterator[slice]:
    """Pieces of n rows that stay in the processor's cache."""
    return (slice(at, at + _PIECE) for at in range(0, n, _PIECE))


@final
@dataclass(frozen=True, eq=False)
class Factor:
    """Categories: ``codes`` (int32, -1 where missing) into ``levels``; ``ordered`` as R's ``ordered()``.

    ``text`` tells that it came as strings (R's ``character``), not as a categorical.
    """

    codes: np.ndarray
    levels: tuple[str, ...]
    ordered: bool = False
    text: bool = False
    kind: ClassVar[str] = "factor"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def numbers(self) -> np.ndarray:
        """Raises: a factor has none."""
        raise BrimError("a factor has no numeric value", hint="as.numeric() gives the numbers of its levels")

    @cached_property
    def missing(self) -> np.ndarray:
        """Mask of the missing rows."""
        return self.codes < 0

    @cached_property
    def labels(self) -> np.ndarray:
        """The level of each row as text, ``None`` where missing (object array)."""
        return np.array([*self.levels, None], dtype=object)[self.codes]

    @cached_property
    def levels_used(self) -> tuple[str, ...]:
        """The levels that occur in the data, in order."""
        used = np.zeros(len(self.levels) + 1, bool)  # missing ones are counted last
        for rows in _slices(self.n):
            used[self.codes[rows]] = True
        return tuple(level for level, there in zip(self.levels, used[:-1], strict=True) if there)

    def take(self, rows: np.ndarray | slice) -> Factor:
        """The rows picked by indices or a mask, or (without a copy) by a slice."""
        return Factor(self.codes[rows], self.levels, self.ordered, self.text)

    def as_factor(self) -> Factor:
        """The factor itself."""
        return self

    def drop_unused(self) -> Factor:
        """R's ``droplevels``."""
        used = self.levels_used
        return self if len(used) == len(self.levels) else self.recode(used)

    def recode(self, levels: Iterable[str], ordered: bool | None = None) -> Factor:
        """The same labels coded by other ``levels``; labels that are not among them become missing."""
        levels = tuple(levels)
        ordered = self.ordered if ordered is None else ordered
        if levels == self.levels:
            return self if ordered == self.ordered else Factor(self.codes, levels, ordered, self.text and not ordered)
        place = {level: i for i, level in enumerate(levels)}
        table = np.array([place.get(level, -1) for level in self.levels] + [-1], dtype=np.int32)
        return Factor(table[self.codes], levels, ordered, self.text and not ordered)


@final
@dataclass(frozen=True, eq=False)
class Logical:
    """True or false; ``absent`` marks missing rows (``None``: none is missing)."""

    values: np.ndarray
    absent: np.ndarray | None = None
    kind: ClassVar[str] = "logical"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.values)

    @cached_property
    def numbers(self) -> np.ndarray:
        """``TRUE`` as 1, ``FALSE`` as 0, missing as ``NaN``."""
        numbers = self.values.astype(np.float64)
        if self.absent is not None:
            numbers[self.absent] = np.nan
        return numbers

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numbers, dtype=dtype) if copy else np.asarray(self.numbers, dtype=dtype)

    @cached_property
    def missing(self) -> np.ndarray:
        """Mask of the missing rows."""
        return np.zeros(self.n, dtype=bool) if self.absent is None else self.absent

    def take(self, rows: np.ndarray | slice) -> Logical:
        """The rows picked by indices or a mask, or (without a copy) by a slice."""
        return Logical(self.values[rows], None if self.absent is None else self.absent[rows])

    def as_factor(self) -> Factor:
        """Levels ``FALSE`` and ``TRUE``, both kept, as R does in a model matrix."""
        codes = self.values.astype(np.int32)
        return Factor(codes if self.absent is None else np.where(self.absent, np.int32(-1), codes), ("FALSE", "TRUE"))


Column: TypeAlias = Numeric | Factor | Logical


@final
@dataclass(frozen=True, eq=False)
class Matrix:
    """Several numeric columns under one name, as ``poly(x, 2)`` makes: ``values (n, k)`` and the names R appends (or ``""``)."""

    values: np.ndarray
    names: tuple[str, ...]
    kind: ClassVar[str] = "matrix"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype) if copy else np.asarray(self.values, dtype=dtype)


def level_name(value: Any) -> str:
    """A value as a level: whole numbers in full, so that a key is the same whether it came as integer or float.

    Examples
    --------
    >>> [level_name(v) for v in (1.0, 100000.0, 2.5, True, "a")]
    ['1', '100000', '2.5', 'TRUE', 'a']
    """
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return str(value)
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else format_number(value)


def format_number(value: float) -> str:
    """A number as R's ``as.character`` prints it: 15 significant digits, fixed or scientific, whichever is shorter.

    Examples
    --------
    >>> [format_number(v) for v in (1.0, 0.1 + 0.2, 100000.0, 123456.0, 0.0001)]
    ['1', '0.3', '1e+05', '123456', '1e-04']
    """
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    mantissa, exponent = f"{abs(value):.14e}".split("e")
    digits = mantissa.replace(".", "").rstrip("0")
    power, sign = int(exponent), "-" if value < 0 else ""
    decimals = max(len(digits) - 1 - power, 0)
    fixed = f"{abs(value):.{decimals}f}"
    scientific = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{power:+03d}"
    return sign + (fixed if len(fixed) <= len(scientific) else scientific)
