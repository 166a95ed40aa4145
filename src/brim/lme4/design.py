"""What a mixed model learns from its data: design matrices, grouping factors, response, offset and weights; the same code for new data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix
from brim.design.rows import check_missing, subset_rows
from brim.errors import BrimError, name_rows
from brim.frames.columns import Factor as FactorColumn
from brim.frames.columns import Numeric
from brim.frames.frame import Frame
from brim.language.expand import Node, deparse, label, variables
from brim.lme4.formula import Bar, MixedFormula

__all__ = ["Design", "Grouping", "Selection", "Varying", "complete", "learn", "ordered_terms", "per_row", "response_numbers"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor: lme4's name, its columns, and the levels that the training data have (``a:A`` for several columns)."""

    label: str
    columns: tuple[str, ...]
    levels: tuple[str, ...] = ()

    def learn(self, frame: Frame) -> tuple[Grouping, Array]:
        """With levels in R's order, as the columns order theirs, the first column slowest; and the level of each row."""
        labels, codes = self._read(frame)
        return replace(self, levels=tuple(labels)), codes

    def codes(self, frame: Frame) -> Array:
        """The level of each row, -1 for one that the training data do not have, (rows,)."""
        labels, codes = self._read(frame)
        if labels == list(self.levels):
            return codes
        place = {level: i for i, level in enumerate(self.levels)}
        return np.array([*(place.get(name, -1) for name in labels), -1], np.intp)[codes]

    def names(self, frame: Frame) -> list[str]:
        """The name of each row's level."""
        labels, codes = self._read(frame)
        return [labels[c] if c >= 0 else "NA" for c in codes]

    def _read(self, frame: Frame) -> tuple[list[str], Array]:
        """Levels in use, and each row's (-1 where missing)."""
        parts = [frame[name].as_factor().drop_unused() for name in self.columns]
        if len(parts) == 1:
            return list(parts[0].levels), parts[0].codes.astype(np.intp)
        codes = np.zeros(frame.n, np.int64)
        missing = np.zeros(frame.n, bool)
        for part in parts:
            codes = codes * len(part.levels) + part.codes
            missing |= part.codes < 0
        unique, inverse = np.unique(codes[~missing], return_inverse=True)
        out = np.full(frame.n, -1, np.intp)
        out[~missing] = inverse.ravel()
        names: list[list[str]] = []
        for part in reversed(parts):
            unique, digit = np.divmod(unique, len(part.levels))
            names.insert(0, [part.levels[d] for d in digit])
        return [":".join(n) for n in zip(*names, strict=True)], out


@final
@dataclass(frozen=True, eq=False)
class Varying:
    """One group term: the number of its grouping factor, and the learned columns whose coefficients vary."""

    bar: Bar
    grouping: int
    matrix: ModelMatrix

    @property
    def names(self) -> tuple[str, ...]:
        return self.matrix.names

    def columns(self, frame: Frame) -> Array:
        """(k, rows)."""
        return np.ascontiguousarray(self.matrix.matrix(frame).T)


@final
@dataclass(frozen=True, eq=False)
class Design:
    """A learned mixed model.

    Attributes
    ----------
    formula
        What was read.
    fixed
        The population-level columns; ``kept`` are those that are not linear combinations of the ones before them.
    varying
        The group terms, ordered as lme4 orders them: by falling number of levels.
    groupings
        The distinct grouping factors in that order.
    offsets
        Learned ``offset()`` terms.
    """

    formula: MixedFormula
    fixed: ModelMatrix
    kept: tuple[int, ...]
    varying: tuple[Varying, ...]
    groupings: tuple[Grouping, ...]
    offsets: tuple[Expression, ...] = field(repr=False)
    response: Expression = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the population-level coefficients that are estimated."""
        return tuple(self.fixed.names[i] for i in self.kept)

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(name for i, name in enumerate(self.fixed.names) if i not in self.kept)

    @property
    def assign(self) -> tuple[int, ...]:
        """The term of each coefficient, from 1; 0 for the intercept."""
        return tuple(self.fixed.assign[i] for i in self.kept)

    @property
    def term_labels(self) -> tuple[str, ...]:
        return tuple(label(t) for t in self.fixed.terms.terms)

    def matrix(self, frame: Frame) -> Array:
        """``X`` (rows, p)."""
        x = self.fixed.matrix(frame)
        return x if len(self.kept) == x.shape[1] else x[:, list(self.kept)]

    def offset(self, frame: Frame) -> Array:
        """The sum of the offsets, (rows,)."""
        out = np.zeros(frame.n)
        for o in self.offsets:
            out = out + o.numbers(frame)
        return out

    def terms_of(self, grouping: int) -> tuple[Varying, ...]:
        return tuple(v for v in self.varying if v.grouping == grouping)

    def variables(self) -> tuple[str, ...]:
        """The columns that predictions read."""
        nodes: list[Node] = [n for t in self.fixed.terms.terms for n in t]
        nodes += [n for v in self.varying for t in v.bar.terms.terms for n in t]
        nodes += list(self.formula.offsets)
        names = [name for n in nodes for name in variables(n)] + [c for g in self.groupings for c in g.columns]
        return tuple(dict.fromkeys(names))


def learn(formula: MixedFormula, frame: Frame) -> tuple[Design, Array, list[Array]]:
    """Learn the model from complete rows; also its ``X`` and the codes of its grouping factors.

    Raises
    ------
    BrimError
        For grouping factors of one level, and terms that cannot be read.
    """
    fixed = ModelMatrix(formula.fixed).learn(frame, formula.contrasts)
    x = fixed.matrix(frame)
    kept = _independent(x)
    if len(kept) < x.shape[1]:
        x = x[:, list(kept)]
    groupings: list[Grouping] = []
    codes: dict[str, Array] = {}
    varying: list[Varying] = []
    for bar in formula.bars:
        at = next((i for i, g in enumerate(groupings) if g.label == bar.label), None)
        if at is None:
            at = len(groupings)
            grouping, codes[bar.label] = _learned(bar, frame)
            groupings.append(grouping)
        varying.append(Varying(bar, at, ModelMatrix(bar.terms).learn(frame)))
    terms, ordered = ordered_terms(varying, groupings)
    offsets = tuple(Expression(o).learn(frame) for o in formula.offsets)
    design = Design(formula, fixed, kept, terms, ordered, offsets, Expression(formula.response).learn(frame))
    return design, x, [codes[g.label] for g in ordered]


def _learned(bar: Bar, frame: Frame) -> tuple[Grouping, Array]:
    grouping, codes = Grouping(bar.label, bar.columns).learn(frame)
    if len(grouping.levels) < 2:
        held = f"'{grouping.levels[0]}'" if grouping.levels else "none"
        raise BrimError(
            f"the grouping factor '{bar.label}' has one level only ({held})",
            source=bar.node.source or None,
            span=bar.node.span,
            hint="group effects need at least two levels; leave the term out",
        )
    return grouping, codes


def ordered_terms(varying: list[Varying], groupings: list[Grouping]) -> tuple[tuple[Varying, ...], tuple[Grouping, ...]]:
    """lme4's order: as written if the numbers of levels fall, else from the last of the terms sorted by them."""
    levels = [len(groupings[v.grouping].levels) for v in varying]
    order = list(range(len(varying)))
    if any(b > a for a, b in itertools.pairwise(levels)):
        order = sorted(order, key=lambda i: levels[i])[::-1]
    places = list(dict.fromkeys(varying[i].grouping for i in order))
    new = {old: i for i, old in enumerate(places)}
    return tuple(replace(varying[i], grouping=new[varying[i].grouping]) for i in order), tuple(groupings[i] for i in places)


def _independent(x: Array) -> tuple[int, ...]:
    """The columns that are no linear combination of those before them, to R's tolerance of 1e-7."""
    kept = list(range(x.shape[1]))
    norms = np.sqrt(np.einsum("ij,ij->j", x, x))
    kept = [j for j in kept if norms[j] > 0]
    while kept:
        r = np.abs(np.diag(np.linalg.qr(x[:, kept], mode="r")))
        wrong = np.flatnonzero(r < 1e-7 * norms[kept][: len(r)])
        if wrong.size:
            del kept[int(wrong[0])]
        elif len(r) < len(kept):
            del kept[len(r)]
        else:
            break
    return tuple(kept)


def per_row(what: str, given: Any, frame: Frame, rows: Array) -> Array | None:
    """A value for each kept row: a column's name, an expression of columns, or an array with a value for each row of the data.

    Raises
    ------
    BrimError
        For another length.
    """
    if given is None:
        return None
    if isinstance(given, str):
        from brim.language.expand import parse

        return np.array(Expression(parse(given)).learn(frame).numbers(frame), float)[rows]
    values = np.asarray(given, float)
    if values.shape != (frame.n,):
        raise BrimError(
            f"{what} have shape {values.shape}; the data have {frame.n} rows", hint=f"give a column's name or {frame.n} numbers"
        )
    return values[rows]


def response_numbers(design: Design, frame: Frame) -> Array:
    """The response of a Gaussian model, (rows,)."""
    value = design.response.value(frame)
    node = design.formula.response
    if isinstance(value, FactorColumn) or not isinstance(value, Numeric):
        raise BrimError(
            f"the response '{deparse(node)}' is not numeric",
            source=node.source or None,
            span=node.span,
            hint="lmer() needs numbers; glmer() takes two categories or cbind(successes, failures)",
        )
    y = value.values
    if not np.isfinite(y).all():
        raise BrimError(
            f"the response '{deparse(node)}' is not finite in {name_rows(np.flatnonzero(~np.isfinite(y)))}",
            source=node.source or None,
            span=node.span,
        )
    return y


@final
@dataclass(frozen=True, eq=False)
class Selection:
    """R's arguments beside the formula: which rows are used, what becomes of incomplete ones, contrasts of factors."""

    subset: Any = None
    na_action: Any = None
    contrasts: Any = None


def complete(formula: MixedFormula, frame: Frame, more: Sequence[str] = (), selection: Selection | None = None) -> Array:
    """Numbers of the rows that were selected and in which every column of the model is there."""
    selection = selection or Selection()
    among = subset_rows(selection.subset, frame)
    nodes: list[Node] = [formula.response, *formula.offsets, *(n for t in formula.fixed.terms for n in t)]
    nodes += [n for bar in formula.bars for t in bar.terms.terms for n in t]
    names = [name for n in nodes for name in variables(n)] + [c for bar in formula.bars for c in bar.columns] + list(more)
    there = frame.complete(dict.fromkeys(names))
    check_missing(selection.na_action, np.flatnonzero(~there & among))
    rows = np.flatnonzero(there & among)
    if not rows.size:
        raise BrimError("no row is complete in the columns of the model", hint="see which column has missing values everywhere")
    return rows
