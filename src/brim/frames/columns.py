"""Columns: numbers, factors (categories) and logicals, and how R prints their values as levels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, TypeAlias, final

import numpy as np

from brim.errors import BrimError

__all__ = [
    "HOW_TO_ORDER",
    "LARGEST_EXACT",
    "Column",
    "Factor",
    "Logical",
    "Matrix",
    "Numeric",
    "distinct_labels",
    "format_number",
    "level_name",
]

#: What to write to give levels an order.
HOW_TO_ORDER = "pandas.Categorical(..., categories=[...], ordered=True), polars.Enum([...]), or ordered(f, levels = c(...)) in formulas"
LARGEST_EXACT = 2**53  # beyond it float64 merges neighbouring whole numbers
_PIECE = 2**16  # rows handled at once
_ROUNDING = 4  # so many steps of float64 apart are values that arithmetic means to be one


@final
@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers, ``NaN`` where missing; ``integer`` tells that they came as integers, which may be held as such to save memory."""

    held: np.ndarray
    integer: bool = False
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
        return Numeric(self.held[rows], self.integer)

    def as_factor(self) -> Factor:
        """R's ``as.factor``: levels are the sorted distinct values, whole numbers in full, others with 15 digits as R prints them.

        Values that print alike are one level, as in R, where they differ by rounding only (0.1 + 0.2 and 0.3).

        Raises
        ------
        BrimError
            Values that differ by more print alike, or whole numbers are so large that a float may have rounded them: they are no keys.

        Examples
        --------
        >>> Numeric(np.array([10.0, 2.5, 100000.0])).as_factor().levels
        ('2.5', '10', '100000')
        """
        distinct, codes = _distinct(self.held)
        labels = [level_name(v) for v in distinct]
        levels = tuple(dict.fromkeys(labels))
        if len(levels) == len(labels):
            return Factor(codes, levels)
        fresh = np.append(True, np.diff(distinct) > _ROUNDING * np.spacing(np.abs(distinct[1:])))
        distinct_labels(distinct[fresh])
        place = {level: i for i, level in enumerate(levels)}
        return Factor(np.array([*(place[label] for label in labels), -1], dtype=np.int32)[codes], levels)


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

    Attributes
    ----------
    text
        Whether it came as strings (R's ``character``), not as a categorical.
    ranked
        Whether its levels have an order that responses and ``mo()`` may use, though contrasts do not (a polars ``Enum``).
    caveat
        Why its values tell rows apart but are no variable of a model (dates, keys of 19 digits), empty for all others; see ``usable``.
    kept
        Whether levels that no row has count as used (``drop_unused_levels = FALSE``).
    """

    codes: np.ndarray
    levels: tuple[str, ...]
    ordered: bool = False
    text: bool = False
    ranked: bool = False
    caveat: str = ""
    kept: bool = False
    kind: ClassVar[str] = "factor"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def numbers(self) -> np.ndarray:
        """Raises: a factor has none."""
        self.usable()
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
        """The levels that occur in the data, in order; all of them where they are ``kept``."""
        if self.kept:
            return self.levels
        used = np.zeros(len(self.levels) + 1, bool)  # missing ones are counted last
        for rows in _slices(self.n):
            used[self.codes[rows]] = True
        return tuple(level for level, there in zip(self.levels, used[:-1], strict=True) if there)

    def take(self, rows: np.ndarray | slice) -> Factor:
        """The rows picked by indices or a mask, or (without a copy) by a slice."""
        return replace(self, codes=self.codes[rows])

    def usable(self) -> Factor:
        """The factor itself, or an error that says why it is a key only, for grouping rows."""
        if self.caveat:
            what, _, hint = self.caveat.partition("\n")
            raise BrimError(what, hint=hint or None)
        return self

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
            return self if ordered == self.ordered else replace(self, ordered=ordered, text=self.text and not ordered)
        place = {level: i for i, level in enumerate(levels)}
        table = np.array([place.get(level, -1) for level in self.levels] + [-1], dtype=np.int32)
        return replace(self, codes=table[self.codes], levels=levels, ordered=ordered, text=self.text and not ordered)


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
    """A value as a level: whole numbers in full, so that a key is the same whether it came as integer or float; days without a time.

    Times with a zone are in UTC and say so, so that an instant is the same in every zone, and no time without one.

    Examples
    --------
    >>> import datetime
    >>> [level_name(v) for v in (1.0, 100000.0, 2.5, True, "a", datetime.datetime(2026, 1, 31))]
    ['1', '100000', '2.5', 'TRUE', 'a', '2026-01-31']
    """
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is not None:
        return str(value.astimezone(UTC))
    if not (isinstance(value, Real) or type(value) is Decimal):
        return str(value).removesuffix(" 00:00:00")
    number = float(value)
    if abs(number) > LARGEST_EXACT and math.isfinite(number):
        hint = "give it as text, in quotes; read columns as whole numbers (Int64) or as text"
        raise BrimError(f"{number:.17g} is a level, and floating-point numbers beyond 2^53 may have been rounded", hint=hint)
    return str(int(number)) if number.is_integer() else format_number(number)


def distinct_labels(values: Iterable[Any]) -> tuple[str, ...]:
    """The values as levels; an error where two that differ would have one name.

    Examples
    --------
    >>> distinct_labels([1, 10**18 + 1])
    ('1', '1000000000000000001')
    >>> distinct_labels([1, "1"])
    Traceback (most recent call last):
    ...
    brim.errors.BrimError: the values 1 and '1' differ, but as levels both are called '1'
    rename one, round numbers, or make them text
    """
    seen: dict[str, Any] = {}
    hint = "rename one, round numbers, or make them text"
    for value in values:
        label = level_name(value)
        if label in seen:
            pair = " and ".join(repr(v.item() if isinstance(v, np.generic) else v) for v in (seen[label], value))
            raise BrimError(f"the values {pair} differ, but as levels both are called '{label}'", hint=hint)
        seen[label] = value
    return tuple(seen)


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
