"""What transforms learn of data whose rows are not all in memory: as they would of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from brim.design.functions import Value
from brim.design.functions import numbers as number_array
from brim.design.transforms import LEVELS, RANGE, Transform
from brim.errors import BrimError
from brim.frames.columns import Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame

__all__ = ["learned_from_all", "repeated"]

GATHERED = 50_000_000  # values that a transform may learn from at once: 0.4 GB
_DISTINCT = 10_000  # levels of a factor made of numbers


def repeated(value: Value, frame: Frame) -> Value:
    """A column with a row for each row of the data that the frame's rows stand for."""
    if frame.counts is None or not isinstance(value, Numeric | Factor | Logical | Matrix):
        return value
    _check_size(frame.total)
    rows = np.repeat(np.arange(frame.n), np.round(frame.counts).astype(np.int64))
    return Matrix(value.values[rows], value.names) if isinstance(value, Matrix) else value.take(rows)


def learned_from_all(
    name: str, text: str, frame: Frame, learn: Callable[[Value], Transform], value: Value, each: Callable[[Frame], Value]
) -> Transform:
    """The transform that ``learn`` makes of the values in all rows.

    Parameters
    ----------
    name, text
        The function, and the call.
    value
        The values in the rows that are in memory, which show all levels of factors.
    each
        The values in other rows.
    """
    assert frame.whole is not None
    if not isinstance(value, Numeric | Logical | Matrix):
        return learn(value)
    kind = Numeric if isinstance(value, Numeric) else None

    def numbers(blocks: Iterable[Frame]) -> Iterator[np.ndarray]:
        return (np.asarray(number_array(found)) for found in map(each, blocks))

    if name in LEVELS and kind is not None:
        found = frame.whole.ask(f"the values of {text}", lambda blocks: {"values": _distinct(numbers(blocks), text)})
        return learn(Numeric(found["values"], value.integer if isinstance(value, Numeric) else False))
    if name in RANGE:
        found = frame.whole.ask(f"the range of {text}", lambda blocks: {"values": _range(numbers(blocks))})
        return learn(Numeric(found["values"]))
    pattern = learn(value)

    def answer(blocks: Iterator[Frame]) -> dict[str, np.ndarray]:
        _check_size(frame.total)
        gathered = np.concatenate([*numbers(blocks)])
        whole = Matrix(gathered, value.names) if isinstance(value, Matrix) else Numeric(gathered)
        return _numbers_of(learn(whole))

    found = frame.whole.ask(f"what {text} learns", answer)
    return replace(pattern, **{f: _like(getattr(pattern, f), number) for f, number in found.items()})  # type: ignore[type-var]


def _numbers_of(transform: Any) -> dict[str, np.ndarray]:
    """The fields that are numbers or arrays of such."""
    out = {f.name: np.asarray(getattr(transform, f.name)) for f in fields(transform) if getattr(transform, f.name) is not None}
    return {name: value for name, value in out.items() if value.dtype.kind == "f"}


def _like(old: Any, new: np.ndarray) -> Any:
    """A number as the field holds it."""
    if isinstance(old, tuple):
        return tuple(new.tolist())
    return float(new) if isinstance(old, float) else new


def _distinct(parts: Iterator[np.ndarray], text: str) -> np.ndarray:
    out = np.zeros(0)
    for part in parts:
        out = np.union1d(out, part[~np.isnan(part)])
        if len(out) > _DISTINCT:
            raise BrimError(f"{text} has more than {_DISTINCT:,} distinct values", hint="make levels of fewer, or leave it numeric")
    return out


def _range(parts: Iterator[np.ndarray]) -> np.ndarray:
    ends = [(float(np.nanmin(p)), float(np.nanmax(p))) for p in parts]
    return np.array([min(low for low, _ in ends), max(high for _, high in ends)])


def _check_size(n: int) -> None:
    if n > GATHERED:
        raise BrimError(
            f"what it learns takes all {n:,} values at once",
            hint="make the column in the data, or give it numbers: scale(x, center = 1.5, scale = 2), poly(x, 2, raw = TRUE)",
        )
