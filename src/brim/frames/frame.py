"""Data frames as brim sees them: named columns of numbers, factors or logicals, whatever library they came from.

This room alone knows data frame libraries, through narwhals, imported when a frame is first read; ``convert.py`` makes the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, final

import numpy as np

from brim.errors import BrimError, name_rows, suggest
from brim.frames.columns import Column, Factor, Logical, Numeric
from brim.frames.convert import is_scalar, read_column, read_series
from brim.frames.whole import Whole

__all__ = ["Column", "Factor", "Frame", "Logical", "Numeric"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """Named columns of equal length. A column is converted when it is first asked for, and then kept.

    Attributes
    ----------
    functions
        The user's own, that formulas may call.
    factors
        Numeric keys as factors, where the levels of rows elsewhere count too.
    counts
        How many equal rows of the data each row stands for, ``None``: one.
    whole
        The data of which these rows are some, ``None``: they are all.
    index
        Names of pandas' index, which is no column.

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
    _places: np.ndarray | None = None
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    factors: Mapping[str, Factor] = field(default_factory=dict)
    counts: np.ndarray | None = None
    whole: Whole[Frame] | None = None
    index: tuple[str, ...] = ()

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
            return data if data._rows is None else replace(data, _rows=None, _places=None)
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
            hint = suggest(name, self.names, "columns")
            hint = "it is the index of the data: data.reset_index() makes a column of it" if name in self.index else hint
            raise BrimError(f"unknown column '{name}'", source=source, span=span, hint=hint)
        return self._columns.setdefault(name, self._load[name]())

    def numbers(self, name: str) -> np.ndarray:
        """A numeric or logical column as float64, ``NaN`` where missing."""
        column = self[name]
        if isinstance(column, Factor):
            raise BrimError(f"column '{name}' is not numeric: its values are {_some(column.usable().levels)}")
        return column.numbers

    def factor(self, name: str) -> Factor:
        """A column as a factor."""
        return self.factors[name] if name in self.factors else self[name].as_factor()

    @property
    def total(self) -> int:
        """How many rows of data it stands for."""
        if self.whole is not None:
            return self.whole.n
        return self.n if self.counts is None else round(float(self.counts.sum()))

    @property
    def reduced(self) -> bool:
        """Whether it stands for more rows than it has."""
        return self.whole is not None or self.counts is not None

    def every(self, what: str) -> Frame:
        """The frame itself, where it has all rows.

        Raises
        ------
        BrimError
            It stands for rows that are not in memory: ``what`` cannot be computed.
        """
        if not self.reduced:
            return self
        raise BrimError(
            f"{what} takes each of the {self.total:,} rows, which were reduced to {self.reduction} and are not in memory",
            hint="where newdata is taken give rows: newdata = fit.sample_rows(1000); else fit the model to some of the rows",
        )

    @property
    def reduction(self) -> str:
        """What its rows were reduced to, in words."""
        return "sums" if self.whole is not None else f"{self.n:,} distinct ones"

    def blocks(self, size: int) -> Iterator[Frame]:
        """All rows it stands for: in pieces of ``size`` of what is in memory, else in blocks as they are read."""
        if self.whole is not None:
            return (block.with_functions(self.functions) for block in self.whole.rows("all rows"))
        return (self.part(at, at + size) for at in range(0, self.n, size))

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

    @property
    def places(self) -> np.ndarray:
        """Position of each row in the data as they were read, from 0: what messages call rows by."""
        return np.arange(self.n) if self._places is None else self._places

    def named(self, rows: np.ndarray) -> str:
        """The rows of a mask in words, by their places."""
        return name_rows(self.places[np.flatnonzero(rows)])

    def row_name(self, row: int) -> str:
        """One row in words, by its place."""
        return name_rows([self.places[row]])

    def _only(self, rows: np.ndarray | slice, n: int, numbers: np.ndarray | range) -> Frame:
        load = {name: partial(self._taken, name, rows) for name in self.names}
        return Frame(
            n,
            self.names,
            load,
            _rows=numbers,
            _places=self.places[rows],
            functions=self.functions,
            factors={name: factor.take(rows) for name, factor in self.factors.items()},
            counts=None if self.counts is None else self.counts[rows],
        )

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
        columns = {name: self[name] for name in names}
        return replace(self, names=tuple(columns), _load={}, _columns=columns)

    def with_columns(self, columns: Mapping[str, Any]) -> Frame:
        """The frame with columns added or replaced: ready columns, or anything that ``read`` takes in a dict."""
        ready = {name: read_column(name, values, self.n) for name, values in columns.items()}
        names = tuple(dict.fromkeys((*self.names, *ready)))
        return replace(self, names=names, _columns={**self._columns, **ready})

    def with_levels(self, kept: bool) -> Frame:
        """The frame whose factors keep the levels that no row has, or not; text has no others."""
        if not kept and not any(isinstance(c, Factor) and c.kept for c in self._columns.values()):
            return self
        return replace(self, _load={name: partial(self._with_levels, name, kept) for name in self.names}, _columns={})

    def _with_levels(self, name: str, kept: bool) -> Column:
        column = self[name]
        return replace(column, kept=kept and not column.text) if isinstance(column, Factor) else column

    def with_functions(self, functions: Mapping[str, Callable[..., Any]]) -> Frame:
        """The frame whose formulas may call these functions of columns, the user's own."""
        return replace(self, functions=dict(functions)) if functions else self

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
        load = {str(name): partial(read_series, str(name), frame.get_column(name)) for name in frame.columns} if _is_frame(frame) else {}
    except nw.exceptions.DuplicateError as error:
        said = str(error).replace("\n", " ").removeprefix("Expected unique column names, got:").strip()
        raise BrimError(f"the data repeat a column name: {said}", hint="rename the columns, or leave the second out") from None
    except TypeError:
        raise BrimError(f"data of type {type(data).__name__} is not a data frame", hint=_how_to_frame(data)) from None
    if not _is_frame(frame):
        raise BrimError(f"data of type {type(data).__name__} is not a data frame", hint="give the frame, not one of its columns")
    index = tuple(str(name) for name in getattr(getattr(data, "index", None), "names", ()) if name is not None)
    return Frame(len(frame), tuple(load), load, index=index)


def _is_frame(data: Any) -> bool:
    import narwhals as nw

    return isinstance(data, nw.DataFrame)


def _how_to_frame(data: Any) -> str:
    """How something that is no frame becomes one."""
    named = getattr(getattr(data, "dtype", None), "names", None) or (isinstance(data, list) and data and isinstance(data[0], Mapping))
    if named:
        return "pandas.DataFrame(data) makes one of it"
    if isinstance(data, list | tuple | np.ndarray):
        return "its columns need names: pandas.DataFrame(data, columns=['y', 'x'])"
    if hasattr(data, "obj") and hasattr(data, "groups"):
        return "give the frame before groupby(); (1 | g) in the formula is how effects differ by group"
    return "give a pandas, polars or pyarrow frame, or a dict of columns"


def _from_mapping(data: Mapping[Any, Any]) -> Frame:
    lengths = {str(name): len(values) for name, values in data.items() if not is_scalar(values)}
    if not data or len(set(lengths.values())) > 1:
        raise BrimError(
            f"columns of different lengths: {', '.join(f'{k} ({n})' for k, n in lengths.items())}" if data else "the data have no columns"
        )
    _check_indexes(data)
    n = next(iter(lengths.values()), 1)
    load = {str(name): partial(read_column, str(name), values, n) for name, values in data.items()}
    return Frame(n, tuple(load), load)


def _check_indexes(data: Mapping[Any, Any]) -> None:
    """Columns of pandas that would be matched by position although their indexes say otherwise."""
    import narwhals as nw

    pandas = nw.dependencies.get_pandas()
    series = {} if pandas is None else {str(name): v for name, v in data.items() if isinstance(v, pandas.Series)}
    first = next(iter(series), "")
    for name, values in series.items():
        if not values.index.equals(series[first].index):
            what = f"the columns '{first}' and '{name}' are Series with different indexes"
            raise BrimError(what, hint="pandas.DataFrame(data) aligns them; .to_numpy() of each takes them row by row")
