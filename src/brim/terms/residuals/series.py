"""Rows as series: which rows belong together and in which order; the coefficients of lagged residuals."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from brim.design.expressions import Expression
from brim.frames.columns import Column, Factor, Logical, Numeric
from brim.frames.frame import Frame
from brim.language.expand import Call, Constant, Name, Node, Number, arguments, chain, deparse, fault, variables
from brim.limits import within
from brim.parameters.param import Param, Shrinks, Slot, Where
from brim.parameters.reported import Reported
from brim.terms.residuals.law import AUTOCOR

__all__ = ["Series", "flag", "lag_params", "lag_reported", "orders"]

SHRINKS = {"ar": Shrinks(4, True), "ma": Shrinks(5, True)}


@dataclass(frozen=True)
class Series:
    """``time`` and ``gr`` of a residual structure: without ``gr`` all rows are one series, without ``time`` they stand in order."""

    call: Call = field(compare=False)
    time: Node | None = field(compare=False, default=None)
    group: Node | None = field(compare=False, default=None)

    @staticmethod
    def read(call: Call) -> Series:
        _, given = arguments(call)
        time, group = (None if isinstance(n, Constant) else n for n in (given.get("time"), given.get("gr")))
        if time is not None and not isinstance(time, Name):
            raise fault(time, f"the time of {call.fn}() is a column, not {deparse(time)}", "make a column of it first")
        if group is not None and not all(isinstance(part, Name) for part in chain(group, ":")):
            raise fault(group, f"the series of {call.fn}() are a column or columns joined by ':', not {deparse(group)}")
        return Series(call, time, group)

    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v for n in (self.time, self.group) if n is not None for v in variables(n)))

    def groups(self, frame: Frame) -> np.ndarray:
        """The number of each row's series."""
        if self.group is None:
            return np.zeros(frame.n, int)
        codes = np.column_stack([_column(part, frame).as_factor().codes for part in chain(self.group, ":")])
        return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)

    def times(self, frame: Frame) -> np.ndarray:
        """What each series is ordered by."""
        if self.time is not None:
            return _codes(self.time, frame)
        return np.arange(frame.n) if frame.rows is None else frame.rows

    def labels(self, frame: Frame) -> np.ndarray:
        """The times as they are called."""
        assert self.time is not None
        value = _column(self.time, frame)
        return value.labels if isinstance(value, Factor) else value.numbers

    def grid(self, frame: Frame) -> np.ndarray:
        """Rows of each series in order: ``(series, longest)``, -1 behind the end of shorter ones.

        Raises
        ------
        BrimError
            A series has two rows at one time.
        """
        group, time = self.groups(frame), self.times(frame)
        order = np.lexsort((time, group))
        g, t = group[order], time[order]
        twice = np.flatnonzero((g[1:] == g[:-1]) & (t[1:] == t[:-1]))
        if len(twice):
            one, two = sorted(frame.places[order[twice[0] : twice[0] + 2]])
            what = f"rows {one} and {two} (counted from 0) of one series stand at the same time"
            raise fault(self.call, what, "times must differ within groups: name the grouping column with gr")
        sizes = np.bincount(g)
        out = np.full((len(sizes), sizes.max(initial=0)), -1, np.int32)
        start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        out[g, np.arange(len(g)) - start[g]] = order
        return out

    def lags(self, frame: Frame, count: int) -> np.ndarray:
        """The rows 1, ..., ``count`` steps before each row in its series, -1 where there is none: ``(count, rows)``."""
        grid = self.grid(frame)
        out = np.full((count, frame.n), -1, np.int32)
        for k in range(1, count + 1):
            now, before = grid[:, k:], grid[:, :-k]
            out[k - 1, now[now >= 0]] = before[now >= 0]
        return out


def _column(node: Node, frame: Frame) -> Column:
    value = Expression(node).learn(frame).value(frame)
    if isinstance(value, Factor | Numeric | Logical):
        return value
    raise fault(node, f"'{deparse(node)}' is not a column")


def _codes(node: Node, frame: Frame) -> np.ndarray:
    """Numbers, or codes of levels."""
    value = _column(node, frame)
    return value.codes if isinstance(value, Factor) else value.numbers


def flag(call: Call, name: str) -> bool:
    """An argument that is TRUE or FALSE (the default)."""
    node = arguments(call)[1].get(name)
    if node is None:
        return False
    if isinstance(node, Constant) and isinstance(node.value, bool):
        return node.value
    raise fault(node, f"{name} = {deparse(node)} must be TRUE or FALSE")


def orders(call: Call) -> tuple[int, int]:
    """The orders ``p`` and ``q`` of ``ar()``, ``ma()`` and ``arma()``; 1 where they are not given.

    Examples
    --------
    >>> from brim.language.expand import parse
    >>> orders(parse("arma(t, g, p = 2)"))
    (2, 1)
    """
    named = arguments(call)[1]
    found = []
    for name, others in (("p", "ma"), ("q", "ar")):
        node = named.get(name, Number(0.0 if call.fn == others else 1.0))
        if not (isinstance(node, Number) and node.value >= 0 and node.value == int(node.value)):
            raise fault(node, f"{name} = {deparse(node)} must be a whole number >= 0")
        found.append(within("lags", node.value, f"{name} of {call.fn}()"))
    if sum(found) == 0:
        raise fault(call, f"{deparse(call)} has order zero", "leave it out")
    return found[0], found[1]


def lag_params(where: Where, p: int, q: int, bounded: bool) -> tuple[Param, ...]:
    """``ar (p,)`` and ``ma (q,)``, between -1 and 1 if ``bounded``."""
    low, high = (-1.0, 1.0) if bounded else (None, None)
    return tuple(
        Param(f"{name}{where.suffix}", (n,), tuple(Slot(name, where=where, shrinks=SHRINKS[name]) for _ in range(n)), lb=low, ub=high)
        for name, n in (("ar", p), ("ma", q))
        if n
    )


def lag_reported(where: Where, p: int, q: int) -> tuple[Reported, ...]:
    """``ar[1]``, ``ma[1]``, ..."""
    out = []
    for name, n in (("ar", p), ("ma", q)):
        label = f"{name}{where.suffix}"
        lags = tuple(str(i + 1) for i in range(n))
        if n:
            names = np.array([f"{label}[{i}]" for i in lags], dtype=object)
            out.append(Reported(label, names, AUTOCOR, label, (f"{label}_lag",), {f"{label}_lag": lags}))
    return tuple(out)
