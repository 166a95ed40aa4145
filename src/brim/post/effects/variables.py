"""The predictors of a model as effects see them: which there are, their kinds, the values to show and to hold them at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from brim.design.everywhere import repeated
from brim.design.expressions import INTERCEPTS, columns_among
from brim.errors import BrimError, suggest
from brim.frames.frame import Column, Factor, Frame, Logical, Numeric
from brim.frames.middle import Middle, middle
from brim.frames.whole import ColumnMoments
from brim.language.brms import Formula, Predictor
from brim.language.expand import SPECIALS, Call, Name, Node, Terms, arguments, children, special, values_in, variables, walk

__all__ = ["Effect", "Variable", "Variables"]

Effect = tuple[str, ...]

#: Addition terms that say nothing about the expected response.
_NOT_NEEDED = ("weights", "subset", "cens", "dec", "index", "mi", "bhaz", "cat")
#: What calls say of the numbers they take; later entries win.
VariableKind = Literal["numeric", "integer", "trials", "factor"]

_KINDS: dict[VariableKind, tuple[str, ...]] = {
    "integer": (*(fn for fn, row in SPECIALS.items() if row.whole), "thres", "vint"),
    "factor": ("factor", "as.factor", "ordered", "as.ordered", "as.character"),
    "trials": ("trials",),
}


# --------------------------------------------------------------------------- the variables of a formula


@dataclass(frozen=True)
class Variable:
    """A predictor: its training column, and whether its values are ``"numeric"``, ``"integer"``, ``"trials"`` or ``"factor"``."""

    name: str
    column: Column
    kind: VariableKind
    frame: Frame

    @staticmethod
    def of(name: str, frame: Frame, kind: VariableKind) -> Variable:
        """The variable, a factor unless its column is numeric."""
        return Variable(name, frame[name], kind if isinstance(frame[name], Numeric) else "factor", frame)

    @property
    def numbers(self) -> np.ndarray:
        """Its observed numbers, without missing ones, all of them."""
        if self.frame.whole is not None:
            self.frame.every(f"each value of '{self.name}'")
        values = np.asarray(repeated(self.column, self.frame))
        return values[np.isfinite(values)]

    @property
    def moments(self) -> ColumnMoments:
        """Mean, standard deviation and ends of its numbers."""
        if self.frame.whole is not None:
            return self.frame.whole.moments(self.name)
        x = self.numbers
        return ColumnMoments(float(np.mean(x)), float(np.std(x, ddof=1)) if len(x) > 1 else np.nan, float(x.min()), float(x.max()))

    @property
    def mean(self) -> float:
        """The mean of its numbers."""
        return self.moments.mean

    @property
    def middle(self) -> Middle:
        """Median and MAD of its numbers."""
        return middle(self.frame, f"the median of '{self.name}'", lambda rows: rows[self.name].numbers)

    @property
    def binary(self) -> bool:
        """Whether its numbers are 0 and 1 only: then, and between 0 and 1 only then, the mean of squares is the mean."""
        if self.frame.whole is None:
            return set(np.unique(self.numbers)) == {0.0, 1.0}
        m, n = self.moments, self.frame.total
        spread = m.mean * (1.0 - m.mean)
        return (m.low, m.high) == (0.0, 1.0) and abs(m.sd**2 * (n - 1) / n - spread) < 1e-9 * spread

    @property
    def most_frequent(self) -> Column:
        """The level that most rows have, as one row."""
        factor = self.frame.factor(self.name) if self.name in self.frame else self.column.as_factor()
        if self.frame.whole is not None:
            often = self.frame.whole.often(self.name)
        else:
            counts = None if self.frame.counts is None else self.frame.counts[factor.codes >= 0]
            often = np.bincount(factor.codes[factor.codes >= 0], counts)
        return self.column.take(np.flatnonzero(factor.codes == often.argmax())[:1])

    @property
    def distinct(self) -> Column:
        """Its distinct values, in the order of levels."""
        if isinstance(self.column, Numeric):
            shown = self.column.values if self.name in self.frame.factors else self.numbers
            return Numeric(np.unique(shown), self.column.integer)
        codes = self.column.as_factor().codes
        found, first = np.unique(codes, return_index=True)
        return self.column.take(first[found >= 0])

    def held(self) -> Column:
        """The one value it has while others vary: the mean, the (rounded) median of whole numbers, one trial, the first level."""
        if self.kind == "factor":
            return self.distinct.take(np.array([0]))
        if self.kind == "trials":
            return Numeric(np.ones(1))
        return Numeric(np.array([self.mean if self.kind == "numeric" else np.round(self.middle.median)]))

    def across(self, resolution: int) -> Column:
        """Values over its whole range."""
        if self.kind == "factor":
            return self.distinct
        low, high = self.moments.low, self.moments.high
        if self.kind != "numeric":
            return Numeric(np.arange(low, high + 1))
        return Numeric(np.unique(np.linspace(low, high, resolution)))

    def few(self) -> Column:
        """Its levels, or three values: mean and one standard deviation around (median and MAD of whole numbers)."""
        if self.kind == "factor":
            return self.distinct
        steps = np.array([-1.0, 0.0, 1.0])
        if self.kind != "numeric":
            median, distance = self.middle
            return Numeric(np.unique(np.round(steps * 1.4826 * distance + median)))
        return Numeric(np.unique(steps * self.moments.sd + self.mean))

    def read(self, values: Any) -> Column:
        """Values given by the user as a column of the training column's kind."""
        try:
            column = Frame.read({self.name: np.atleast_1d(values) if np.isscalar(values) else values})[self.name]
        except BrimError as error:
            raise BrimError(f"values for '{self.name}': {error.what}", hint=error.hint) from None
        return self.like(column)

    def like(self, column: Column) -> Column:
        """A column made the training column's kind, with its levels."""
        if isinstance(self.column, Factor):
            return self._levels(column.as_factor(), self.column)
        if isinstance(column, Factor):
            raise BrimError(f"'{self.name}' is {self.column.kind}; '{column.levels[0]}' is not one of its values")
        if isinstance(self.column, Logical):
            return Logical(column.numbers != 0, column.missing if column.missing.any() else None)
        return Numeric(column.numbers, self.column.integer)

    def _levels(self, given: Factor, known: Factor) -> Factor:
        for level in given.levels_used:
            if level not in known.levels:
                raise BrimError(f"'{level}' is not a level of '{self.name}'", hint=suggest(level, known.levels, "levels"))
        return given.recode(known.levels, known.ordered)


@dataclass(frozen=True)
class Variables:
    """The predictors of one response.

    Attributes
    ----------
    known
        Those of population-level and special terms and of addition terms, by name.
    effects
        What can be shown by default: variables and pairs of them that stand in a term, main effects before interactions of each formula.
    groups
        Grouping variables, by name.
    by
        ``gr(g, by = f)`` as ``{"g": "f"}``.
    """

    known: Mapping[str, Variable]
    effects: tuple[Effect, ...]
    groups: Mapping[str, Variable]
    by: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def read(formula: Formula, frame: Frame, with_groups: bool) -> Variables:
        """The variables of a response's formulas; those that only group effects use, if these are included in predictions."""
        columns = list(frame.names)
        parts = (formula.main, *formula.predictors)
        linear = [part.terms(columns) for part in parts if not part.nl]
        inner = [f for terms in linear for f in _factors(terms, with_groups)]
        outer = [call for call in formula.left.additions if call.fn not in _NOT_NEEDED]
        nonlinear = [part.rhs for part in parts if part.nl]
        parameters = {part.par for part in formula.predictors}
        names = [v for node in (*inner, *nonlinear) for v in variables(node) if v not in parameters or v in frame]
        names = [*columns_among((*names, *(v for call in outer for v in variables(call))), frame)]
        calls = [n for node in (*inner, *nonlinear, *outer) for n in walk(node) if isinstance(n, Call)]
        kinds = {v: kind for kind, fns in _KINDS.items() for call in calls if call.fn in fns for v in variables(call)}
        known = {v: Variable.of(v, frame, kinds.get(v, "numeric")) for v in dict.fromkeys(names)}
        bars = [group.by for terms in linear for group in terms.groups]
        groups = {v: Variable(v, frame[v], "factor", frame) for node in bars for v in _members(node)}
        by = {v: b for node in bars for v in _members(node) for b in _by(node)}
        return Variables(known, tuple(_effects(parts, columns, parameters)), groups, by)

    def also(self, names: Iterable[str], frame: Frame) -> Variables:
        """With further columns, which are held."""
        more = {v: Variable.of(v, frame, "numeric") for v in columns_among(names, frame) if v not in self.known and v not in self.groups}
        return replace(self, known={**self.known, **more})

    def __getitem__(self, name: str) -> Variable:
        return self.known[name] if name in self.known else self.groups[name]


def _factors(terms: Terms, with_groups: bool) -> Iterator[Node]:
    """What is evaluated for each row: the factors of all terms, of group effects too, with the ``by`` and weights of groupings."""
    yield from (f for term in terms.terms for f in term if not ((row := special(f)) and row.residual))
    for group in terms.groups if with_groups else ():
        yield from (f for term in group.terms.terms for f in term)
        if isinstance(group.by, Call):
            _, named = arguments(group.by)
            yield from (node for name, node in named.items() if name in ("by", "weights"))


def _members(node: Node) -> tuple[str, ...]:
    """The columns of a grouping."""
    return tuple(v for one in arguments(node)[0] for v in variables(one)) if isinstance(node, Call) else variables(node)


def _by(node: Node) -> tuple[str, ...]:
    """The column of ``gr(g, by = )``."""
    by = arguments(node)[1].get("by") if isinstance(node, Call) else None
    return () if by is None else variables(by)


def _effects(parts: Iterable[Predictor], columns: Sequence[str], parameters: set[str]) -> Iterator[Effect]:
    """The effects of each formula: of plain terms the variables of each term, of special terms all their combinations."""
    seen: dict[Effect, None] = {}
    for part in parts:
        if part.nl:
            names = [v for v in variables(part.rhs) if v not in parameters]
            found = [*((v,) for v in names), *combinations(names, 2)]
        else:
            terms = [t for t in part.terms(columns).terms if not ((row := special(t[0])) and row.effects is None)]
            plain = [t for t in terms if all(special(f) is None for f in t)]
            found = [_unique(v for f in t for v in variables(f)) for t in plain]
            others = sorted((t for t in terms if t not in plain), key=_place)
            found += [e for t in others for e in _special_effects(t)]
        seen.update((e, None) for e in found if not set(INTERCEPTS) - set(columns) & set(e))
    yield from (e for e in _without_mirrored(seen) if 0 < len(e) <= 2)


def _place(term: tuple[Node, ...]) -> int:
    """Where the effects of a special term come: smooths after others, Gaussian processes last."""
    return max(row.effects or 0 for f in term if (row := special(f)) is not None)


def _special_effects(term: tuple[Node, ...]) -> list[Effect]:
    """``s(x, by = f)`` gives ``x``, ``f``, ``x:f``."""
    names = _unique(v for f in term for v in _shown(f))
    return [*((v,) for v in names), *combinations(names, 2)]


def _shown(factor: Node) -> tuple[str, ...]:
    """The variables of a special term that one would vary: not its measurement error or its grouping."""
    if not isinstance(factor, Call) or factor.fn not in SPECIALS:
        inside = values_in(factor)
        return _unique((*(v for call in inside for v in _shown(call)), *_outside(factor, inside)))
    dots, named = arguments(factor)
    nodes = [*dots, *(named[name] for name in ("x", "expr", "by") if name in named)]
    return _unique(v for node in nodes for v in variables(node))


def _outside(factor: Node, calls: tuple[Call, ...]) -> Iterator[str]:
    """The variables of an expression that stand outside these calls."""
    if isinstance(factor, Name) or not children(factor):
        yield from variables(factor)
    elif factor not in calls:
        yield from (v for part in children(factor) for v in _outside(part, calls))


def _unique(names: Iterable[str]) -> Effect:
    return tuple(dict.fromkeys(names))


def _without_mirrored(effects: Iterable[Effect]) -> Iterator[Effect]:
    """``x:z`` and ``z:x`` are one effect."""
    seen: set[frozenset[str]] = set()
    for effect in effects:
        if frozenset(effect) not in seen:
            seen.add(frozenset(effect))
            yield effect
