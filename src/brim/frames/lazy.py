"""Data that stay where they are until they are asked for: Parquet files, lazy frames, relations of databases, data sets of Arrow.

Two things are asked of them: their rows in batches, and their distinct rows with how often each occurs (a group-by of the engine's own).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from brim.errors import BrimError, near

__all__ = ["Stream", "stream_of"]

BATCH = 2**20  # rows of a batch, about
COUNT = "count__"


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Rows that are read in batches.

    Attributes
    ----------
    names
        Its columns.
    n
        Number of rows.
    batches
        ``columns -> `` the rows in frames that narwhals reads, in the same order each time.
    grouped
        ``columns -> `` the distinct rows with their number in the column ``COUNT``; ``None``: the engine has no group-by.
    collected
        ``columns -> `` all rows in one frame.
    """

    names: tuple[str, ...]
    n: int
    batches: Callable[[Sequence[str]], Iterator[Any]]
    grouped: Callable[[Sequence[str]], Any] | None
    collected: Callable[[Sequence[str]], Any]


def stream_of(data: Any) -> Stream | None:
    """The data as a stream; ``None`` if they are no path and not lazy.

    Raises
    ------
    BrimError
        For a path where no Parquet files are.
    """
    if isinstance(data, Stream):
        return data
    if isinstance(data, str | os.PathLike):
        return _of_path(Path(data))
    import narwhals as nw

    try:
        found = nw.from_native(data, pass_through=True)
    except nw.exceptions.DuplicateError:  # told where the frame is read
        return None
    if isinstance(found, nw.LazyFrame):
        return _of_lazy(found)
    module = sys.modules.get("pyarrow.dataset")  # a slow import, which whoever has a data set has made
    return _of_dataset(data) if module is not None and isinstance(data, module.Dataset) else None


def _of_path(path: Path) -> Stream:
    """Parquet files, by the first engine that is there."""
    if not path.exists():
        there = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = near(str(path), there)
        hint = f"did you mean '{close[0]}'?" if close else "give a data frame, a dict of columns or the path of Parquet files"
        raise BrimError(f"data: there is no file or folder '{path}'", hint=hint)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or (path.is_file() and path.suffix not in (".parquet", ".pq")):
        raise BrimError(f"data: '{path}' is no Parquet file and no folder of such", hint="read it first, or give a lazy frame of it")
    import narwhals as nw

    for read in (_polars, _duckdb):
        lazy = read(files)
        if lazy is not None:
            found = _of_lazy(nw.from_native(lazy))
            assert found is not None
            return found
    try:
        from pyarrow.dataset import dataset
    except ImportError:
        raise BrimError(f"data: to read '{path}' polars, duckdb or pyarrow is needed", hint="pip install 'brim[polars]'") from None
    return _of_dataset(dataset(files, format="parquet"))


def _polars(files: list[Path]) -> Any:
    try:
        import polars as pl
    except ImportError:
        return None
    return pl.scan_parquet(files)


def _duckdb(files: list[Path]) -> Any:
    try:
        import duckdb
    except ImportError:
        return None
    return duckdb.read_parquet([str(f) for f in files])


def _of_dataset(dataset: Any) -> Stream:
    """An Arrow data set, which has no group-by."""

    def batches(columns: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in dataset.to_batches(columns=list(columns), batch_size=BATCH):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])

    return Stream(tuple(dataset.schema.names), dataset.count_rows(), batches, None, lambda columns: dataset.to_table(columns=list(columns)))


def _of_lazy(frame: Any) -> Stream | None:
    """A lazy frame of an engine that gives its rows in batches; ``None`` for others."""
    import narwhals as nw

    readers = {"polars": _polars_batches, "duckdb": _duckdb_batches, "ibis": _ibis_batches}
    reader = readers.get(str(frame.implementation.value))
    if reader is None:
        return None
    options = {"engine": "streaming"} if frame.implementation.is_polars() else {}
    names = tuple(frame.collect_schema().names())

    def grouped(columns: Sequence[str]) -> Any:
        return frame.select(*columns).group_by(*columns).agg(nw.len().alias(COUNT)).collect(**options)

    def collected(columns: Sequence[str]) -> Any:
        return frame.select(*columns).collect(**options)

    n = int(frame.select(nw.len().alias(COUNT)).collect(**options)[COUNT][0])
    return Stream(names, n, lambda columns: reader(frame.select(*columns).to_native()), grouped, collected)


def _polars_batches(frame: Any) -> Iterator[Any]:
    if hasattr(frame, "collect_batches"):
        yield from (batch for batch in frame.collect_batches(chunk_size=BATCH, maintain_order=True) if batch.height)
        return
    at, part = 0, frame.slice(0, BATCH).collect()  # before polars 1.34
    while part.height:
        yield part
        at += part.height
        part = frame.slice(at, BATCH).collect()


def _duckdb_batches(relation: Any) -> Iterator[Any]:
    reader = relation.to_arrow_reader if hasattr(relation, "to_arrow_reader") else relation.fetch_arrow_reader
    return _tables(reader(BATCH))


def _ibis_batches(table: Any) -> Iterator[Any]:
    backend = table.get_backend()
    if backend.name == "duckdb":  # of which ibis asks batches in a way that DuckDB 2 has no more
        return _duckdb_batches(backend.con.sql(backend.compile(table)))
    return _tables(table.to_pyarrow_batches(chunk_size=BATCH))


def _tables(batches: Iterator[Any]) -> Iterator[Any]:
    """Small batches joined to tables of a batch's size."""
    import pyarrow as pa

    held: list[Any] = []
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
        if sum(b.num_rows for b in held) >= BATCH:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
