"""One column from whatever a library or a dict may hold: numbers of every type, text, categories, logicals, keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from brim.errors import BrimError
from brim.frames.columns import LARGEST_EXACT, Column, Factor, Logical, Numeric, distinct_labels

__all__ = ["is_scalar", "read_column", "read_series"]

KEY = "as a grouping factor, or in factor(), its values are levels"
#: Why a column is a key only, and what to do: see ``Factor.caveat``.
LARGE = f"holds whole numbers beyond 2^53, which are not exact as numbers\n{KEY}"
DATES = f"holds dates or times, which are no numbers\n{KEY}; for a trend make a number of it first, days since the first for instance"
UNORDERED = (
    "is a polars Categorical, whose levels have no order of their own\n"
    "cast it to polars.Enum([...]) with the levels in the order you want, or to polars.String for the alphabetical one"
)


def is_scalar(values: Any) -> bool:
    """Whether it is one value, not a column."""
    return isinstance(values, (str, bytes)) or not isinstance(values, Iterable)


def read_column(name: str, values: Any, n: int) -> Column:
    """One column from whatever a dict may hold."""
    import narwhals as nw

    if isinstance(values, (Numeric, Factor, Logical)):
        column: Column = values
    elif is_scalar(values):
        column = _from_array(name, np.array([values] * n, dtype=object))
    else:
        pandas = nw.dependencies.get_pandas()
        if pandas is not None and isinstance(values, (pandas.Categorical, pandas.Index, pandas.api.extensions.ExtensionArray)):
            values = pandas.Series(values)
        arrow = nw.dependencies.get_pyarrow()
        if arrow is not None and isinstance(values, arrow.Array):
            values = arrow.chunked_array([values])
        series = nw.from_native(values, series_only=True, pass_through=True)
        column = read_series(name, series) if isinstance(series, nw.Series) else _from_array(name, _as_array(values))
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
        return _from_times(name, values)
    if kind == "O":
        return _from_objects(name, values)
    raise _unusable(name, f"values of type {values.dtype}")


def _from_times(name: str, values: np.ndarray, zoned: bool = False) -> Factor:
    """NumPy's dates and times; ``zoned``: in UTC."""
    absent = np.isnat(values)
    distinct, place = np.unique(values[~absent], return_inverse=True)
    days = values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in ("Y", "M", "W", "D")
    objects = distinct.astype(f"{values.dtype.kind}8[{'D' if days else 'us'}]").astype(object)
    named = [v.replace(tzinfo=UTC) for v in objects] if zoned else list(objects)
    codes = np.full(len(values), -1, np.int32)
    codes[~absent] = place
    return Factor(codes, _named(name, named), caveat=f"column '{name}' {DATES}")


def _numeric(name: str, values: np.ndarray) -> Column:
    """Numbers, copied: the caller may change his array later."""
    if values.dtype.kind == "f":
        return Numeric(np.array(values, dtype=np.float64))
    if values.dtype.itemsize == 8 and len(values) and max(-int(values.min()), int(values.max())) > LARGEST_EXACT:
        return _keys(name, values, np.zeros(len(values), bool), LARGE)
    return Numeric(np.array(values, dtype=_smallest(values)), True)


def _with_gaps(name: str, values: np.ndarray, absent: np.ndarray) -> Column:
    """Whole numbers some of which are missing (0 there)."""
    column = _numeric(name, values)
    if isinstance(column, Numeric):
        return Numeric(np.where(absent, np.nan, column.values), True)
    return _keys(name, values, absent, LARGE)


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
        # Python compares the clocks of one zone: an hour that its clock shows twice would be one
        instants = [v.astimezone(UTC) if isinstance(v, datetime) and v.tzinfo is not None else v for v in values]
        return _keys(name, _objects(instants), absent, DATES)
    _check_key(name, present[0])
    return _keys(name, values, absent, f"holds values of type {type(present[0]).__name__}, which are no numbers\n{KEY}")


def _check_key(name: str, value: Any) -> None:
    """Keys have a hash, and a text that is the same tomorrow."""
    try:
        hash(value)
        anonymous = str(value) == object.__repr__(value)
    except TypeError:
        anonymous = True
    if anonymous:
        raise _unusable(name, f"values of type {type(value).__name__}")


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


def read_series(name: str, series: Any) -> Column:
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
    if dtype.is_decimal() or dtype in (nw.Int128, nw.UInt128):
        return _from_objects(name, _objects(series.to_list()))
    if dtype.is_integer() and series.null_count():
        return _with_gaps(name, series.fill_null(0).to_numpy(), np.asarray(series.is_null().to_numpy(), bool))
    if dtype.is_numeric():
        return _numeric(name, series.to_numpy())
    if dtype == nw.Unknown:
        return _from_unknown(name, series.to_native())
    if dtype.is_temporal():
        values = np.asarray(series.to_numpy())
        if values.dtype.kind in "mM":
            return _from_times(name, values, isinstance(dtype, nw.Datetime) and dtype.time_zone is not None)
        return _from_objects(name, _objects(series.to_list()))
    if dtype == nw.Object or series.null_count() == len(series):
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
    column = read_series(name, series.cast(nw.String))
    return replace(column.as_factor(), caveat=f"column '{name}' {UNORDERED}")


def _from_dictionary(name: str, native: Any) -> Factor:
    """An Arrow dictionary."""
    array = native.unify_dictionaries().combine_chunks()
    codes = np.array(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)
    return Factor(codes, _named(name, array.dictionary.to_pylist()), bool(array.type.ordered))


def _unusable(name: str, what: str) -> BrimError:
    return BrimError(f"column '{name}' holds {what}, which a model cannot use", hint="make it numbers or text first")
