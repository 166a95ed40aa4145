"""Data frames as brim sees them: named columns of numbers, factors or logicals, whatever library they came from.

This is the only file that knows data frame libraries, through narwhals, imported when a frame is first read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from functools import partial
from typing import Any, final

import numpy as np

from brim.errors import BrimError, suggest
from brim.frames.columns import LARGEST_EXACT, Column, Factor, Logical, Numeric, distinct_labels

__all__ = ["Column", "Factor", "Frame", "Logical", "Numeric"]

KEY = "as a grouping factor, or in factor(), its values are levels"
#: Why a column is a key only, and what to do: see ``Factor.caveat``.
LARGE = f"holds whole numbers beyond 2^53, which are not exact as numbers\n{KEY}"
DATES = f"holds dates or times, which are no numbers\n{KEY}; for a trend make a number of it first, days since the first for instance"
UNORDERED = (
    "is a polars Categorical, whose levels have no order of their own\n"
    "cast it to polars.Enum([...]) with the levels in the order you want, or to polars.String for the alphabetical one"
)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """Named columns of equal length. A column is converted when it is first asked for, and then kept.

    Examples
    --------
    >>> frame = Frame.read({"x": [1, 2, 3], "g": ["b", "a", "b"]})
    >>> frame.n, frame["g"].levels, frame["x"].values
    (3, ('a', 'b'), array([1., 2., 3.]))
    """

    n: int
    names: tuple[str, ...]
    _load: Mapping[str, Callable[[], Column]]
    _columns: dict[str, Column] = field(default_factory=dict)
    _rows: np.ndarray | range | None = None

    @staticmethod
    def read(data: Any) -> Frame:
        """A frame from pandas, polars, pyarrow, anything narwhals reads (lazy frames are collected), or a dict of columns.

        Strings become factors with sorted levels. Categories keep the levels, in the order, that the library holds: pandas'
        categories, an Arrow dictionary, a polars ``Enum``; contrasts are polynomial where pandas or Arrow call them ordered. A polars
        ``Categorical`` holds no order, so it is a key only: a grouping factor, or ``factor(g)`` with levels sorted as text. So are
        dates, whole numbers beyond 2^53 and other objects (UUIDs). Booleans become logicals. Scalars in a dict are repeated.

        Raises
        ------
        BrimError
            When ``data`` is not a data frame, has no rows, repeats a column name, or (in a dict) lengths differ.
            A column that cannot be used (nested or mixed types) raises when it is asked for.
        """
        if isinstance(data, Frame):
            return data if data._rows is None else replace(data, _rows=None)
        frame = _from_mapping(data) if isinstance(data, Mapping) else _from_library(data)
        if frame.n == 0:
            raise BrimError("the data have no rows")
        return frame

    @staticmethod
    def of(columns: Mapping[str, Column]) -> Frame:
        """A frame of ready columns."""
        lengths = {column.n for column in columns.values()}
        if len(lengths) != 1:
            raise BrimError(f"columns of different lengths: {', '.join(f'{k} ({c.n})' for k, c in columns.items()) or 'none given'}")
        return Frame(lengths.pop(), tuple(columns), {}, dict(columns))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        return f"<Frame: {self.n} rows, columns {', '.join(self.names)}>"

    def __getitem__(self, name: str) -> Column:
        return self.column(name)

    def column(self, name: str, *, source: str | None = None, span: tuple[int, int] | None = None) -> Column:
        """The column called ``name``; ``source`` and ``span`` say where a formula asks for it, for the error message."""
        found = self._columns.get(name)
        if found is not None:
            return found
        if name not in self._load:
            raise BrimError(f"unknown column '{name}'", source=source, span=span, hint=suggest(name, self.names, "columns"))
        return self._columns.setdefault(name, self._load[name]())

    def numbers(self, name: str) -> np.ndarray:
        """A numeric or logical column as float64, ``NaN`` where missing."""
        column = self[name]
        if isinstance(column, Factor):
            raise BrimError(f"column '{name}' is not numeric: its values are {_some(column.usable().levels)}")
        return column.numbers

    def take(self, rows: np.ndarray) -> Frame:
        """The rows picked by a boolean mask or by indices."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.all():
                return self
            rows = np.flatnonzero(rows)
        return self._only(rows, len(rows), self._numbers(rows))

    def part(self, start: int, stop: int) -> Frame:
        """The rows from ``start`` up to ``stop``, without copies of the columns."""
        stop = min(stop, self.n)
        numbers = -1 - np.arange(start, stop) if self._rows is None else self._rows[start:stop]
        return self._only(slice(start, stop), stop - start, numbers)

    def _only(self, rows: np.ndarray | slice, n: int, numbers: np.ndarray | range) -> Frame:
        return Frame(n, self.names, {name: partial(self._taken, name, rows) for name in self.names}, _rows=numbers)

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of some rows."""
        if isinstance(self._rows, np.ndarray):
            return self._rows[rows]
        places = np.where(rows < 0, rows + self.n, rows)
        return -1 - places if self._rows is None else places + self._rows.start

    def numbered(self) -> Frame:
        """These rows as training data. What is estimated for single rows (missing values, noise-free values) is found by their numbers."""
        return replace(self, _rows=range(self.n))

    @property
    def rows(self) -> np.ndarray | None:
        """Number of each row in the training data, from 0; ``None`` for other data: see ``numbered``."""
        return np.arange(self._rows.start, self._rows.stop) if isinstance(self._rows, range) else self._rows

    @property
    def row_numbers(self) -> np.ndarray:
        """Number of each row in the training data, from 0; in other data -1, -2, ... from its first row on."""
        rows = self.rows
        return -1 - np.arange(self.n) if rows is None else rows

    def _taken(self, name: str, rows: np.ndarray | slice) -> Column:
        return self[name].take(rows)

    def select(self, names: Iterable[str]) -> Frame:
        """Only these columns, all converted: independent of the data it was read from, and picklable."""
        return replace(Frame.of({name: self[name] for name in names}), _rows=self._rows)

    def with_columns(self, columns: Mapping[str, Any]) -> Frame:
        """The frame with columns added or replaced: ready columns, or anything that ``read`` takes in a dict."""
        ready = {name: _column(name, values, self.n) for name, values in columns.items()}
        names = tuple(dict.fromkeys((*self.names, *ready)))
        return Frame(self.n, names, self._load, {**self._columns, **ready}, self._rows)

    def complete(self, names: Iterable[str]) -> np.ndarray:
        """Mask of the rows that have no missing value in these columns."""
        mask = np.ones(self.n, dtype=bool)
        for name in names:
            mask &= ~self[name].missing
        return mask


def _some(values: Iterable[Any]) -> str:
    shown = [f"'{v}'" for v in values]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


# ---- reading -------------------------------------------------------------------------------------------------------


def _from_library(data: Any) -> Frame:
    import narwhals as nw

    try:
        frame = nw.from_native(data)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
    except nw.exceptions.DuplicateError as error:
        raise BrimError(f"the data repeat a column name: {error}") from None
    except TypeError:
        raise BrimError(
            f"data of type {type(data).__name__} is not a data frame", hint="give a pandas, polars or pyarrow frame, or a dict of columns"
        ) from None
    if not isinstance(frame, nw.DataFrame):
        raise BrimError(f"data of type {type(data).__name__} is not a data frame", hint="give the frame, not one of its columns")
    load = {str(name): partial(_from_series, str(name), frame.get_column(name)) for name in frame.columns}
    return Frame(len(frame), tuple(load), load)


def _from_mapping(data: Mapping[Any, Any]) -> Frame:
    lengths = {str(name): len(values) for name, values in data.items() if not _is_scalar(values)}
    if not data or len(set(lengths.values())) > 1:
        raise BrimError(
            f"columns of different lengths: {', '.join(f'{k} ({n})' for k, n in lengths.items())}" if data else "the data have no columns"
        )
    n = next(iter(lengths.values()), 1)
    load = {str(name): partial(_column, str(name), values, n) for name, values in data.items()}
    return Frame(n, tuple(load), load)


def _is_scalar(values: Any) -> bool:
    return isinstance(values, (str, bytes)) or not isinstance(values, Iterable)


def _column(name: str, values: Any, n: int) -> Column:
    """One column from whatever a dict may hold."""
    import narwhals as nw

    if isinstance(values, (Numeric, Factor, Logical)):
        column: Column = values
    elif _is_scalar(values):
        column = _from_array(name, np.array([values] * n, dtype=object))
    else:
        pandas = nw.dependencies.get_pandas()
        if pandas is not None and isinstance(values, (pandas.Categorical, pandas.Index, pandas.api.extensions.ExtensionArray)):
            values = pandas.Series(values)
        arrow = nw.dependencies.get_pyarrow()
        if arrow is not None and isinstance(values, arrow.Array):
            values = arrow.chunked_array([values])
        series = nw.from_native(values, series_only=True, pass_through=True)
        column = _from_series(name, series) if isinstance(series, nw.Series) else _from_array(name, _as_array(values))
    if column.n != n:
        raise BrimError(f"column '{name}' has {column.n} values, the data have {n} rows")
    return column


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(values), np.array(None), values.data.astype(object))
    if isinstance(values, (list, tuple)):
        return _objects(values)  # np.array([1, "a"]) would turn 1 into "1"
    return np.asarray(values)


def _objects(values: Iterable[Any]) -> np.ndarray:
    return np.fromiter(values, dtype=object)


def _from_array(name: str, values: np.ndarray) -> Column:
    if values.ndim != 1:
        raise BrimError(f"column '{name}' has {values.ndim} dimensions", hint="give one column for each variable")
    kind = values.dtype.kind
    if kind == "b":
        return Logical(values.copy())
    if kind in "iuf":
        return _numeric(name, values)
    if kind in "UT":
        levels, codes = np.unique(values, return_inverse=True)
        return Factor(codes.astype(np.int32), tuple(str(level) for level in levels), text=True)
    if kind in "mM":
        return _from_objects(name, _times(values))
    if kind == "O":
        return _from_objects(name, values)
    raise _unusable(name, f"values of type {values.dtype}")


def _times(values: np.ndarray) -> np.ndarray:
    """Python's dates and times, ``None`` where missing."""
    days = np.datetime_data(values.dtype)[0] in ("Y", "M", "W", "D") and values.dtype.kind == "M"
    return values.astype(f"{values.dtype.kind}8[{'D' if days else 'us'}]").astype(object)


def _numeric(name: str, values: np.ndarray) -> Column:
    """Numbers, copied: the caller may change his array later."""
    if values.dtype.kind == "f":
        return Numeric(np.array(values, dtype=np.float64))
    if values.dtype.itemsize == 8 and len(values) and max(-int(values.min()), int(values.max())) > LARGEST_EXACT:
        return _keys(name, values, np.zeros(len(values), bool), LARGE)
    return Numeric(np.array(values, dtype=_smallest(values)), True)


def _keys(name: str, values: np.ndarray, absent: np.ndarray, caveat: str = "") -> Factor:
    """A factor of values of one kind: sorted, by themselves where they can be, else as text."""
    present = values[~absent]
    try:
        levels, place = np.unique(present, return_inverse=True)
    except TypeError:
        names = np.array([str(v) for v in present], dtype=object)
        _, first, place = np.unique(names, return_index=True, return_inverse=True)
        levels = present[first]
    codes = np.full(len(values), -1, dtype=np.int32)
    codes[~absent] = place
    return Factor(codes, _named(name, levels), caveat=f"column '{name}' {caveat}" if caveat else "")


def _named(name: str, levels: Iterable[Any]) -> tuple[str, ...]:
    """Values as levels."""
    try:
        return distinct_labels(levels)
    except BrimError as error:
        raise BrimError(f"column '{name}': {error.what}", hint=error.hint) from None


def _smallest(values: np.ndarray) -> np.dtype[Any]:
    """The smallest type that holds these whole numbers (and their negatives)."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    return np.result_type(np.min_scalar_type(-1 - high), np.min_scalar_type(min(low, -1)))


def _from_objects(name: str, values: np.ndarray) -> Column:
    """A column of Python objects of one kind, with ``None``, ``NaN`` or ``pandas.NA`` where missing."""
    kinds = {cls: _object_kind(cls) for cls in set(map(type, values))}
    absent = np.fromiter((kinds[type(v)] == "missing" or (kinds[type(v)] == "number" and v != v) for v in values), bool, len(values))
    present = [v for v, gone in zip(values, absent, strict=True) if not gone]
    found = {kinds[type(v)] for v in present}
    if len(found - {"integer", "number"}) > (0 if found & {"integer", "number"} else 1):
        examples = ", ".join(repr(next(v for v in present if kinds[type(v)] == kind)) for kind in sorted(found))
        raise BrimError(f"column '{name}' mixes types: {examples}", hint="make it all numbers or all text")
    if found == {"text"}:
        return replace(_keys(name, values, absent), text=True)
    if found == {"logical"}:
        logical = np.zeros(len(values), dtype=bool)
        logical[~absent] = present
        return Logical(logical, absent if absent.any() else None)
    if found <= {"integer", "number"}:
        return _from_numbers(name, values, absent, found == {"integer"})
    if found == {"time"}:
        return _keys(name, values, absent, DATES)
    _check_hashable(name, present[0])
    return _keys(name, values, absent, f"holds values of type {type(present[0]).__name__}, which are no numbers\n{KEY}")


def _check_hashable(name: str, value: Any) -> None:
    try:
        hash(value)
    except TypeError:
        raise _unusable(name, f"values of type {type(value).__name__}") from None


def _from_numbers(name: str, values: np.ndarray, absent: np.ndarray, integer: bool) -> Column:
    """Python's numbers; whole ones beyond 2^53 (as decimals too) are keys."""
    present = values[~absent]
    if any(abs(v) > LARGEST_EXACT for v in present) and all(not isinstance(v, (float, np.floating)) and v == int(v) for v in present):
        whole = values.copy()
        whole[~absent] = [int(v) for v in present]
        return _keys(name, whole, absent, LARGE)
    numbers = np.full(len(values), np.nan)
    numbers[~absent] = [float(v) for v in present]
    return Numeric(numbers, integer)


def _object_kind(cls: type) -> str:
    if cls is type(None) or cls.__name__ in ("NAType", "NaTType"):
        return "missing"
    if issubclass(cls, (bool, np.bool_)):
        return "logical"
    if issubclass(cls, (date, time, timedelta, np.datetime64, np.timedelta64)) or cls.__name__ == "Period":
        return "time"  # NumPy's durations are integers to it
    if issubclass(cls, (int, np.integer)):
        return "integer"
    if issubclass(cls, (float, np.floating)) or cls.__name__ in ("Decimal", "Fraction"):
        return "number"
    return "text" if issubclass(cls, str) else "other"


def _from_series(name: str, series: Any) -> Column:
    """One narwhals series."""
    import narwhals as nw

    dtype = series.dtype
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        return _from_categorical(name, series)
    if dtype == nw.String:
        if series.implementation.is_pyarrow():  # for views it has no functions
            series = nw.from_native(series.to_native().cast("large_string"), series_only=True)
        levels = sorted(series.drop_nulls().unique().to_list())
        return Factor(_codes(series, levels), tuple(levels), text=True)
    if dtype == nw.Boolean:
        absent = series.is_null().to_numpy()
        values = np.array(series.fill_null(False).to_numpy(), dtype=bool) if absent.any() else np.array(series.to_numpy(), dtype=bool)
        return Logical(values, absent if absent.any() else None)
    if dtype.is_decimal() or dtype in (nw.Int128, nw.UInt128) or (dtype.is_integer() and series.null_count()):
        return _from_objects(name, _objects(series.to_list()))
    if dtype.is_numeric():
        return _numeric(name, series.to_numpy())
    if dtype == nw.Unknown:
        return _from_unknown(name, series.to_native())
    if dtype.is_temporal() or dtype == nw.Object or series.null_count() == len(series):
        return _from_objects(name, _objects(series.to_list()))
    raise _unusable(name, f"values of type {dtype}")


def _from_unknown(name: str, native: Any) -> Column:
    """A series of a type that narwhals does not know, as NumPy shows it."""
    return _from_array(name, np.asarray(native))


def _codes(series: Any, levels: list[Any]) -> np.ndarray:
    import narwhals as nw

    if not levels:
        return np.full(len(series), -1, dtype=np.int32)
    codes = series.replace_strict(levels, list(range(len(levels))), return_dtype=nw.Int32)
    return np.array((codes.fill_null(-1) if series.null_count() else codes).to_numpy(), dtype=np.int32)


def _from_categorical(name: str, series: Any) -> Factor:
    """Levels and order as the library holds them; narwhals shows neither for all of them."""
    import narwhals as nw

    native = series.to_native()
    if series.implementation.is_pandas_like() and not hasattr(native, "cat"):  # an Arrow dictionary
        return _from_dictionary(name, nw.dependencies.get_pyarrow().chunked_array(native.array.__arrow_array__()))
    if series.implementation.is_pandas_like():
        return Factor(np.array(native.cat.codes, dtype=np.int32), _named(name, native.cat.categories), bool(native.cat.ordered))
    if series.implementation.is_pyarrow():
        return _from_dictionary(name, native)
    if isinstance(series.dtype, nw.Enum):
        levels = list(series.dtype.categories)
        return Factor(_codes(series.cast(nw.String), levels), tuple(levels), ranked=True)
    column = _from_series(name, series.cast(nw.String))
    return replace(column.as_factor(), caveat=f"column '{name}' {UNORDERED}")


def _from_dictionary(name: str, native: Any) -> Factor:
    """An Arrow dictionary."""
    array = native.unify_dictionaries().combine_chunks()
    codes = np.array(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)
    return Factor(codes, _named(name, array.dictionary.to_pylist()), bool(array.type.ordered))


def _unusable(name: str, what: str) -> BrimError:
    return BrimError(f"column '{name}' holds {what}, which a model cannot use", hint="make it numbers or text first")
