"""One pass over rows in batches: how many are complete, what values each column has, and some rows that show them all.

The rows kept are drawn at random; added are one of each level of every key, those at the ends of each column's range, and for each two
keys one that shows that levels of the one do not lie within levels of the other, where that is so. A model learned from them has the
levels, names and nesting of all rows; what it learns of numbers (means, medians) it asks of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, final

import numpy as np

from brim.errors import BrimError
from brim.frames.columns import Column, Factor, Logical, Numeric
from brim.frames.convert import read_series
from brim.frames.frame import Frame
from brim.frames.keys import Joint, Labels, Numbers, coded, numbering
from brim.frames.lazy import Stream
from brim.frames.whole import Whole

__all__ = ["Survey", "survey"]

ROWS = 2**15  # drawn at random
FEW = 1000  # distinct whole numbers that are all shown
_SEED = 20  # of the rows drawn

Values = dict[str, np.ndarray]


@final
@dataclass(eq=False)
class _Key:
    """Values that are all shown: of one column, or of several together.

    ``groups``: of a grouping factor; then ``met`` is which level of each other one each of its levels was met with first, and ``crossed``
    are those of which it was met with two.
    """

    columns: tuple[str, ...]
    groups: bool = False
    joint: tuple[Joint, ...] = ()
    met: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict)
    crossed: set[tuple[str, ...]] = field(default_factory=set)
    n: int = 0

    @staticmethod
    def of(columns: tuple[str, ...], groups: bool = False) -> _Key:
        """A key of these columns."""
        return _Key(columns, groups, tuple(Joint() for _ in columns[1:]))

    def codes(self, codes: Values) -> np.ndarray:
        """Its codes from those of its columns."""
        out = codes[self.columns[0]]
        for joint, name in zip(self.joint, self.columns[1:], strict=True):
            out = joint.codes([out, codes[name]])
        return out

    def new(self, codes: np.ndarray) -> list[int]:
        """The first row of each value that was not met before."""
        n = max(self.n, int(codes.max()) + 1)
        rows = np.flatnonzero(codes >= self.n)
        first = np.full(n - self.n, -1)
        first[codes[rows][::-1] - self.n] = rows[::-1]
        self.n = n
        return first.tolist()


@final
@dataclass(eq=False)
class _Sums:
    """Number, mean, sum of squares around it, and ends of a column."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, values: np.ndarray) -> list[int]:
        """With further values; the rows of these that are the new ends."""
        m = len(values)
        mean = float(values.mean())
        squares, step, total = float(np.square(values - mean).sum()), mean - self.mean, self.n + m
        self.squares += squares + step * step * self.n * m / total
        self.mean, self.n = self.mean + step * m / total, total
        first, last = int(values.argmin()), int(values.argmax())
        ends = [row for row, beyond in ((first, values[first] < self.low), (last, values[last] > self.high)) if beyond]
        self.low, self.high = min(self.low, float(values[first])), max(self.high, float(values[last]))
        return ends


@final
@dataclass(eq=False)
class Survey:
    """What is known of the rows of a stream; filled by ``survey``.

    Attributes
    ----------
    stream, names
        The rows, and the columns read of them.
    n, missing
        Rows with a value in all of these, and without.
    """

    stream: Stream
    names: tuple[str, ...]
    n: int = 0
    missing: int = 0
    templates: dict[str, Column] = field(default_factory=dict)
    known: dict[str, Numbers | Labels] = field(default_factory=dict)
    sums: dict[str, _Sums] = field(default_factory=dict)
    factors: dict[str, Factor] = field(default_factory=dict)
    often: dict[str, np.ndarray] = field(default_factory=dict)

    # ------------------------------------------------------------------ blocks

    def columns(self, batch: Any) -> tuple[dict[str, Column], np.ndarray]:
        """The columns of a batch at its complete rows, and which rows these are."""
        import narwhals as nw

        frame = nw.from_native(batch, eager_only=True)
        read = {name: read_series(name, frame.get_column(name)) for name in self.names}
        keep = ~np.any([c.missing for c in read.values()], axis=0)
        rows = np.flatnonzero(keep)
        return (read if len(rows) == len(keep) else {k: c.take(rows) for k, c in read.items()}), rows

    def blocks(self) -> Iterator[Frame]:
        """All complete rows, in frames whose factors have the levels of all."""
        at = 0
        for batch in self.stream.batches(self.names):
            n = len(batch)
            if self.missing:
                columns, rows = self.columns(batch)
                frame = Frame.of({name: self._like(name, column) for name, column in columns.items()})
            else:
                frame, rows = self._as_asked(batch), np.arange(n)
            if len(rows):
                yield replace(frame, _places=at + rows, factors={name: self._keyed(name, frame[name]) for name in self.factors})
            at += n

    def _as_asked(self, batch: Any) -> Frame:
        """A batch without missing values, whose columns are made when they are asked for."""
        import narwhals as nw

        frame = nw.from_native(batch, eager_only=True)
        return Frame(len(frame), self.names, {name: partial(self._made, name, frame) for name in self.names})

    def _made(self, name: str, frame: Any) -> Column:
        return self._like(name, read_series(name, frame.get_column(name)))

    def _like(self, name: str, column: Column) -> Column:
        """A block's column with the levels of all rows."""
        template = self.templates[name]
        if not isinstance(template, Factor):
            return column if column.kind == template.kind else Numeric(column.numbers)
        factor = column.as_factor()
        if factor.levels == template.levels:
            return replace(template, codes=factor.codes)
        place = self._places(name)
        return replace(template, codes=np.array([*(place.get(level, -1) for level in factor.levels), -1], np.int32)[factor.codes])

    def _places(self, name: str) -> dict[str, int]:
        return {level: i for i, level in enumerate(self.templates[name].as_factor().levels)}

    def _keyed(self, name: str, column: Column) -> Factor:
        """A numeric key as the factor that it is over all rows."""
        return replace(self.factors[name], codes=self.factors[name].codes[coded(self.known[name], column)])


def survey(stream: Stream, names: Sequence[str], keys: Sequence[tuple[str, ...]], rows: int = ROWS) -> tuple[Survey, Frame]:
    """What is known of the rows, and the frame that stands for them.

    Parameters
    ----------
    names
        The columns that a model reads.
    keys
        What groups rows: columns, or several columns together.
    rows
        How many are drawn at random.
    """
    found = Survey(stream, tuple(names))
    rng, share = np.random.default_rng(_SEED), min(1.0, rows / max(stream.n, 1))
    drawn: list[Values] = []
    shown: list[Values] = []
    made = [_Key.of(tuple(key), groups=True) for key in keys]
    for batch in stream.batches(found.names):
        columns, complete = found.columns(batch)
        found.missing += len(batch) - len(complete)
        if not len(complete):
            continue
        if not found.templates:
            found.templates = dict(columns)
            single = [name for name, c in columns.items() if not isinstance(c, Numeric) or c.integer]
            made += [_Key.of((name,)) for name in single if (name,) not in {k.columns for k in made}]
        found.n += len(complete)
        made = [k for k in made if k.groups or k.n <= FEW or not isinstance(found.templates[k.columns[0]], Numeric)]
        codes = _codes(found, made, columns)
        drawn.append(_taken(codes, columns, np.flatnonzero(rng.random(len(complete)) < share)))
        shown.append(_taken(codes, columns, _telling(found, made, codes, columns)))
    if not found.n:
        raise BrimError("no row is complete in all variables of the model", hint="look for a column that is all missing")
    _settle(found)
    frame = _frame(found, [*drawn, *shown])
    answers = {f"moments of {name}": _moments(s) for name, s in found.sums.items()}
    answers |= {f"rows of the levels of {name}": {"n": n} for name, n in found.often.items()}
    whole = Whole(found.n, sum(len(next(iter(v.values()))) for v in drawn), answers, found.blocks, stream)
    return found, replace(frame, whole=whole, factors={name: found._keyed(name, frame[name]) for name in found.factors})


def _codes(found: Survey, keys: list[_Key], columns: dict[str, Column]) -> Values:
    """Codes of all columns that are keys, or parts of keys, and of factors."""
    wanted = {name for key in keys for name in key.columns} | {n for n, c in columns.items() if isinstance(found.templates[n], Factor)}
    codes = {name: coded(found.known.setdefault(name, numbering(found.templates[name])), columns[name]) for name in sorted(wanted)}
    for name, own in codes.items():
        n = np.bincount(own, minlength=len(found.often.get(name, ())))
        n[: len(found.often.get(name, ()))] += found.often.get(name, np.zeros(0, n.dtype))
        found.often[name] = n
    return codes


def _taken(codes: Values, columns: dict[str, Column], rows: np.ndarray) -> Values:
    """Some rows: factors by their codes."""
    return {n: codes[n][rows] if isinstance(c, Factor) else np.asarray(c.take(rows).numbers) for n, c in columns.items()}


def _telling(found: Survey, keys: list[_Key], codes: Values, columns: dict[str, Column]) -> np.ndarray:
    """Rows with a new level, at a new end of a range, or against the nesting of two keys so far."""
    rows: list[int] = []
    for name, column in columns.items():
        if not isinstance(column, Factor):
            rows += found.sums.setdefault(name, _Sums()).add(column.numbers)
    own = {key.columns: key.codes(codes) for key in keys}
    for key in keys:
        rows += key.new(own[key.columns])
    grouping = [key for key in keys if key.groups]
    for key in grouping:
        for other in grouping:
            if key is not other and other.columns not in key.crossed:
                rows += _against(key, other, own)
    return np.unique(np.array(rows, dtype=np.int64))


def _against(key: _Key, other: _Key, own: dict[tuple[str, ...], np.ndarray]) -> list[int]:
    """The first row whose level of ``key`` was met with another level of ``other``."""
    mine, its = own[key.columns], own[other.columns]
    met = key.met.get(other.columns, np.zeros(0, np.int64))
    if len(met) < key.n:
        more = np.full(key.n - len(met), -1)
        met = np.concatenate([met, more])
        fresh = np.flatnonzero(met[mine] < 0)
        met[mine[fresh][::-1]] = its[fresh][::-1]
        key.met[other.columns] = met
    wrong = np.flatnonzero(met[mine] != its)
    if not len(wrong):
        return []
    key.crossed.add(other.columns)
    del key.met[other.columns]
    return [int(wrong[0])]


def _settle(found: Survey) -> None:
    """The levels of all rows, in their order; of numeric keys the factors that they make."""
    for name, template in found.templates.items():
        known = found.known.get(name)
        if isinstance(template, Factor) and isinstance(known, Labels):
            levels = _ordered(template, known)
            found.templates[name] = replace(template, levels=levels, codes=np.zeros(0, np.int32))
            met = np.append(found.often[name], 0)
            found.often[name] = met[[known.place.get(level, len(known.place)) for level in levels]]
        elif isinstance(template, Numeric) and isinstance(known, Numbers):
            found.factors[name] = factor = Numeric(known.values, template.integer).as_factor()
            found.often[name] = np.bincount(factor.codes, found.often[name]).astype(int)


def _ordered(template: Factor, known: Labels) -> tuple[str, ...]:
    """Text in alphabetical order, keys as whole numbers by their size, categories as the first batch has them."""
    met = tuple(known.place)
    if template.text:
        return tuple(sorted(met))
    if template.caveat:
        return tuple(sorted(met, key=lambda v: (int(v), v) if v.lstrip("-").isdigit() else (0, v)))
    return (*template.levels, *(level for level in met if level not in set(template.levels)))


def _frame(found: Survey, parts: list[Values]) -> Frame:
    """The rows kept."""
    out: dict[str, Column] = {}
    for name, template in found.templates.items():
        values = np.concatenate([part[name] for part in parts])
        if isinstance(template, Factor):
            known = found.known[name]
            assert isinstance(known, Labels)
            place = {level: i for i, level in enumerate(template.levels)}
            out[name] = replace(template, codes=np.array([place[level] for level in known.place], np.int32)[values.astype(np.int64)])
        elif isinstance(template, Logical):
            out[name] = Logical(values == 1.0)
        else:
            out[name] = Numeric(values, template.integer)
    return Frame.of(out)


def _moments(s: _Sums) -> dict[str, np.ndarray]:
    sd = np.sqrt(s.squares / max(s.n - 1, 1))
    return {"mean": np.asarray(s.mean), "sd": np.asarray(sd), "low": np.asarray(s.low), "high": np.asarray(s.high)}
