"""Addition terms, what stands right of a response's bar: read from the formula, learned, turned into arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from brim.design.expressions import INTERCEPTS, Expression
from brim.errors import BrimError, suggest
from brim.frames.columns import Factor, Logical, Numeric
from brim.frames.frame import Frame
from brim.frames.middle import average
from brim.language.expand import ADDITIONS, Call, Constant, Node, arguments, deparse, variables

__all__ = ["Addition", "read_addition", "used_by"]

#: The words of ``cens()`` and their codes.
CENSORED = {"left": -1.0, "none": 0.0, "right": 1.0, "interval": 2.0}
#: The words of ``dec()``.
DECISIONS = {"lower": 0.0, "upper": 1.0}
#: Arguments that are flags, not variables.
FLAGS = ("scale", "sigma")


@final
@dataclass(frozen=True)
class Addition:
    """One addition term, learned: the expressions of its arguments, the levels of those that are factors, the mean of weights."""

    call: Call
    flags: Mapping[str, bool] = field(default_factory=dict)
    values: Mapping[str, Expression] = field(default_factory=dict, repr=False)
    dots: tuple[Expression, ...] = field(default=(), repr=False)
    levels: tuple[str, ...] = ()
    mean: float = 1.0

    @property
    def fn(self) -> str:
        return self.call.fn

    def error(self, what: str, hint: str | None = None) -> BrimError:
        return BrimError(what, source=self.call.source or None, span=self.call.span, hint=hint)

    def arrays(self, frame: Frame) -> dict[str, np.ndarray]:
        """What the family and the likelihood read, one value a row."""
        return READERS[self.fn](self, frame)

    def numbers(self, name: str, frame: Frame, wanted: str, good: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """A numeric argument, checked."""
        value = np.array(self.values[name].numbers(frame))
        bad = ~(good(value) & ~np.isnan(value))
        if bad.any():
            held = ", ".join(f"{v:g}" for v in value[bad][:5])
            raise self.error(f"{self.fn}() needs {wanted}; {frame.named(bad)} hold{'s' * int(bad.sum() == 1)} {held}")
        return value

    def coded(self, name: str, frame: Frame, words: Mapping[str, float]) -> np.ndarray:
        """An argument in words or their codes, one for all rows or one a row; TRUE is 1."""
        value = self.values[name].value(frame)
        if isinstance(value, str):
            value = Factor(np.zeros(frame.n, np.int32), (value,))
        if isinstance(value, Logical):
            return np.asarray(value.numbers, float)
        if isinstance(value, Factor):
            codes = {**words, **{f"{v:g}": v for v in words.values()}}
            unknown = [level for level in value.levels_used if level not in codes]
            if unknown:
                raise self.error(f"{self.fn}() does not know '{unknown[0]}'", suggest(unknown[0], words, "words"))
            return np.array([codes.get(level, np.nan) for level in value.levels])[value.codes]
        return self.numbers(
            name, frame, f"{', '.join(words)} or {', '.join(f'{v:g}' for v in words.values())}", lambda v: np.isin(v, list(words.values()))
        )

    def group(self, name: str, frame: Frame) -> np.ndarray:
        """Codes of a factor argument in its learned levels."""
        value = self.values[name].value(frame)
        factor = value if isinstance(value, Factor) else value.as_factor() if isinstance(value, Numeric | Logical) else None
        if factor is None:
            raise self.error(f"{self.fn}({name} = ) needs a column")
        unknown = [level for level in factor.levels_used if level not in self.levels]
        if unknown:
            raise self.error(f"'{unknown[0]}' is a new level of {self.fn}({name} = )", suggest(unknown[0], self.levels, "levels"))
        return np.asarray(factor.recode(self.levels).codes, np.int32)


def read_addition(call: Call, frame: Frame) -> Addition:
    """Learn an addition term from the training rows.

    Raises
    ------
    BrimError
        The term is not built, lacks its argument, or an argument does not fit.
    """
    if call.fn not in READERS:
        raise BrimError(f"the addition term {call.fn}() is not built yet", source=call.source or None, span=call.span)
    dots, named = arguments(call, ADDITIONS)
    flags = {k: _flag(call, k, node) for k, node in named.items() if k in FLAGS}
    values = {k: Expression(node).learn(frame) for k, node in named.items() if k not in FLAGS}
    if not values and not dots:
        raise BrimError(f"{call.fn}() needs a variable", source=call.source or None, span=call.span)
    out = Addition(call, flags, values, tuple(Expression(n).learn(frame) for n in dots))
    if "gr" in values:
        return replace(out, levels=_levels(values["gr"], frame))
    if not flags.get("scale"):
        return out
    return replace(out, mean=float(average(frame, f"the mean of {deparse(call)}", lambda part: _checked_weights(out, part))))


def used_by(call: Call, frame: Frame) -> Iterator[tuple[str, np.ndarray | None]]:
    """The columns that an addition term reads, each with the mask of the rows that use it, ``None`` for all.

    The upper ends of ``cens()`` are used by interval-censored rows.
    """
    dots, named = arguments(call, ADDITIONS)
    for name, node in [*named.items(), *(("", node) for node in dots)]:
        rows = _interval_rows(named.get("x"), frame) if (call.fn, name) == ("cens", "y2") else None
        yield from ((column, rows) for column in variables(node) if column not in INTERCEPTS)


def _interval_rows(node: Node | None, frame: Frame) -> np.ndarray:
    """The rows that ``cens(x, )`` calls interval-censored; those without a word are none."""
    code = CENSORED["interval"]
    value = None if node is None else Expression(node).learn(frame).value(frame)
    if isinstance(value, Factor):
        return np.array([level in ("interval", f"{code:g}") for level in value.levels] + [False])[value.codes]
    if isinstance(value, Numeric | Logical):
        return np.asarray(value.numbers == code)
    return np.full(frame.n, value in ("interval", code))


def _flag(call: Call, name: str, node: Node) -> bool:
    if isinstance(node, Constant) and isinstance(node.value, bool):
        return node.value
    raise BrimError(f"{call.fn}({name} = {deparse(node)}) must be TRUE or FALSE", source=node.source or None, span=node.span)


def _levels(expression: Expression, frame: Frame) -> tuple[str, ...]:
    value = expression.value(frame)
    factor = value if isinstance(value, Factor) else value.as_factor() if isinstance(value, Numeric | Logical) else None
    return factor.levels_used if factor is not None else ()


# --------------------------------------------------------------------------- one reader a term


def _checked_weights(a: Addition, frame: Frame) -> np.ndarray:
    return a.numbers("x", frame, "values >= 0", lambda v: (v >= 0) & np.isfinite(v))


def _weights(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    return {"weights": _checked_weights(a, frame) / a.mean}


def _trials(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    return {"trials": a.numbers("x", frame, "whole numbers >= 0", lambda v: (v >= 0) & (v == np.floor(v)) & np.isfinite(v))}


def _se(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    if a.flags.get("sigma", False):
        return {"se": a.numbers("x", frame, "values >= 0", lambda v: (v >= 0) & np.isfinite(v))}
    return {"se": a.numbers("x", frame, "values > 0 (or sigma = TRUE)", lambda v: (v > 0) & np.isfinite(v))}


def _rate(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    return {"rate": a.numbers("denom", frame, "values > 0", lambda v: (v > 0) & np.isfinite(v))}


def _cens(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    code = a.coded("x", frame, CENSORED)
    out = {"cens": code}
    if "y2" in a.values:
        out["y2"] = np.array(a.values["y2"].numbers(frame))
        rows = (code == CENSORED["interval"]) & np.isnan(out["y2"])
        if rows.any():
            raise a.error(f"interval-censored rows need their upper ends; y2 is missing in {frame.named(rows)}")
    elif (code == CENSORED["interval"]).any():
        raise a.error("interval-censored rows need their upper ends", "write cens(censored, y2)")
    return out


def _trunc(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    good = "bounds that are numbers (-Inf or Inf for none)"
    out = {k: a.numbers(k, frame, good, lambda v: ~np.isnan(v)) for k in a.values}
    if len(out) == 2 and not (out["lb"] < out["ub"]).all():
        raise a.error(f"trunc() needs lb < ub; {frame.named(~(out['lb'] < out['ub']))}")
    return out


def _entry(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    """Delayed entry is a window from ``start`` on; from 0 it is none, whatever the law says of 0."""
    start = a.numbers("start", frame, "start times >= 0", lambda v: (v >= 0) & np.isfinite(v))
    return {"lb": np.where(start > 0, start, -np.inf)}


def _dec(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    return {"dec": a.coded("x", frame, DECISIONS)}


def _thres(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    out = {}
    if "x" in a.values:
        out["nthres"] = a.numbers("x", frame, "whole numbers >= 1", lambda v: (v >= 1) & (v == np.floor(v)))
    if "gr" in a.values:
        out["group"] = a.group("gr", frame)
    return out


def _bhaz(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    if set(a.values) != {"gr"}:
        raise a.error("bhaz() in a formula takes gr only", "knots and degrees of freedom go to the family: cox(bhaz = dict(df = 5))")
    return {"group": a.group("gr", frame)}


def _numbered(a: Addition, frame: Frame) -> dict[str, np.ndarray]:
    return {f"{a.fn}{i + 1}": np.array(e.numbers(frame)) for i, e in enumerate(a.dots)}


#: Addition term -> arrays. ``subset()``, ``mi()`` and ``index()`` do not give data to the likelihood and are read elsewhere.
READERS: dict[str, Callable[[Addition, Frame], dict[str, np.ndarray]]] = {
    "weights": _weights,
    "trials": _trials,
    "se": _se,
    "rate": _rate,
    "cens": _cens,
    "trunc": _trunc,
    "entry": _entry,
    "dec": _dec,
    "thres": _thres,
    "bhaz": _bhaz,
    "vint": _numbered,
    "vreal": _numbered,
}
