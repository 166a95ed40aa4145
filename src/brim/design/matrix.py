"""Design matrices as R's ``model.matrix`` makes them: contrasts, coding of interactions, names of columns.

Formulaic would give the codings but not R's names (``x:f3hi`` but ``poly(x, 2)1``, brms' factor order) nor errors that mark the
formula; what is needed of it is short enough to own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.design.contrasts import coding, named_coding
from brim.design.expressions import Expression, usable
from brim.errors import BrimError
from brim.frames.columns import Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame
from brim.frames.middle import average
from brim.language.expand import Node, Terms, deparse, fault
from brim.limits import within

__all__ = ["Expression", "ModelMatrix", "brms_name"]

# ---- variables -------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Variable:
    """One factor of the terms (in R's sense: ``f`` or ``poly(x, 2)``) with its contrasts; ``levels`` empty for numbers."""

    expression: Expression
    label: str
    levels: tuple[str, ...] = ()
    contrasts: Any = field(default=None, compare=False, repr=False)
    suffixes: tuple[str, ...] = ("",)

    def names(self, full: bool) -> tuple[str, ...]:
        return tuple(self.label + suffix for suffix in (self.levels if full else self.suffixes))

    def columns(self, frame: Frame, full: bool) -> np.ndarray:
        """``(n, k)`` columns; a missing category gives ``NaN``."""
        value = self.expression.value(frame)
        if isinstance(value, Matrix):
            return value.values
        if isinstance(value, Numeric):
            return value.values[:, None]
        assert isinstance(value, (Factor, Logical))
        table = np.eye(len(self.levels)) if full else self.contrasts
        return np.vstack([table, np.full((1, table.shape[1]), np.nan)])[value.as_factor().codes]


def _learn_variable(node: Node, frame: Frame, contrasts: Mapping[str, Any]) -> _Variable:
    expression = Expression(node).learn(frame)
    value = expression.value(frame)
    label = deparse(node)
    if isinstance(value, Matrix):
        return _Variable(expression, label, suffixes=value.names if len(value.names) > 1 else ("",))
    if isinstance(value, Numeric):
        _check_column(node, value, frame)
        return _Variable(expression, label)
    if not isinstance(value, (Factor, Logical)):
        raise fault(node, f"'{label}' is the same in every row: a term needs a column of the data", "write 1 for the intercept")
    factor = usable(node, value.as_factor())
    if len(factor.levels) < 2:
        only = f"one level only, '{factor.levels[0]}'" if factor.levels else "no level"
        raise fault(
            node, f"'{label}' has {only}; contrasts can be applied only to factors with 2 or more levels", "remove it from the formula"
        )
    own = contrasts.get(label)
    table, suffixes = coding(node, factor) if own is None else named_coding(label, own, factor.levels)
    return _Variable(expression, label, factor.levels, table, suffixes)


def _check_column(node: Node, value: Numeric, frame: Frame) -> None:
    infinite = np.isinf(value.values)
    if infinite.any():
        hint = "leave these rows out, or make the values missing: data.replace([numpy.inf, -numpy.inf], numpy.nan)"
        raise fault(node, f"'{deparse(node)}' is infinite in {frame.named(infinite)}", hint)


# ---- the matrix --------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Block:
    """One term: its variables, and for each whether it is coded by all its levels."""

    variables: tuple[int, ...]
    full: tuple[bool, ...]


@final
@dataclass(frozen=True)
class ModelMatrix:
    """The design matrix of an expanded right-hand side (group and special terms apart), as R's ``model.matrix`` and brms make it.

    Factors and text are coded by treatment contrasts, ordered factors by orthogonal polynomials; a factor in an interaction is
    coded by all its levels when the term without it is not in the model. As in brms, levels not in use are dropped, and the
    factors of an interaction stand in the order in which the terms, main effects first, name them.

    Attributes
    ----------
    terms
        The right-hand side.
    names
        R's column names, ``(Intercept)`` first.
    assign
        The number of each column's term, from 1; 0 for the intercept.

    Examples
    --------
    >>> from brim.language.expand import expand, parse
    >>> frame = Frame.read({"x": [1.0, 2.0, 3.0], "f": ["a", "b", "b"]})
    >>> design = ModelMatrix(expand(parse("~ x * f"))).learn(frame)
    >>> design.names, design.assign
    (('(Intercept)', 'x', 'fb', 'x:fb'), (0, 1, 2, 3))
    >>> design.matrix(Frame.read({"x": [5.0], "f": ["b"]}))
    array([[1., 5., 1., 5.]])
    """

    terms: Terms
    names: tuple[str, ...] = ()
    assign: tuple[int, ...] = ()
    _variables: tuple[_Variable, ...] = field(default=(), repr=False)
    _blocks: tuple[_Block, ...] = field(default=(), repr=False)

    def learn(self, frame: Frame, contrasts: Mapping[str, Any] | None = None) -> ModelMatrix:
        """Learn levels, contrasts and the state of transforms from the training data.

        ``contrasts``: those of factors (as the formula writes them), which take the place of the formula's own.
        """
        nodes = tuple(dict.fromkeys(node for term in self.terms.terms for node in term))
        variables = tuple(_learn_variable(node, frame, contrasts or {}) for node in nodes)
        place = {node: i for i, node in enumerate(nodes)}
        terms = [tuple(sorted({place[node] for node in term})) for term in self.terms.terms]
        categorical = [bool(variable.levels) for variable in variables]
        blocks = tuple(_Block(t, full) for t, full in zip(terms, codings(terms, categorical, self.terms.intercept), strict=True))
        names = ["(Intercept)"] if self.terms.intercept else []
        assign = [0] * len(names)
        for i, block in enumerate(blocks):
            parts = [variables[v].names(full) for v, full in zip(block.variables, block.full, strict=True)]
            _check_size(parts, self.terms.terms[i])
            new = _product_names(parts)
            names += new
            assign += [i + 1] * len(new)
        return replace(self, names=tuple(names), assign=tuple(assign), _variables=variables, _blocks=blocks)

    def matrix(self, frame: Frame, only: Iterable[int] | None = None) -> np.ndarray:
        """The columns on a frame, ``(n, len(names))`` float64; missing values give ``NaN``.

        ``only`` are the numbers of the terms (see ``assign``) that are wanted: the columns of others are zero, and read nothing.
        """
        wanted = {*self.assign} if only is None else {*only}
        out = np.empty((frame.n, len(self.names)))
        at = 0
        if self.terms.intercept:
            out[:, 0] = float(0 in wanted)
            at = 1
        for number, block in enumerate(self._blocks, 1):
            if number not in wanted:
                width = self.assign.count(number)
                out[:, at : at + width] = 0.0
                at += width
                continue
            columns = _product([self._variables[v].columns(frame, full) for v, full in zip(block.variables, block.full, strict=True)])
            out[:, at : at + columns.shape[1]] = columns
            at += columns.shape[1]
        return out

    @property
    def factors(self) -> tuple[str, ...]:
        """The variables that have levels, as the formula writes them."""
        return tuple(v.label for v in self._variables if v.levels)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The variables that have none."""
        return tuple(v.label for v in self._variables if not v.levels)

    def means(self, frame: Frame, first: int = 0) -> np.ndarray:
        """The means of the columns from ``first`` on, without holding all rows of a large frame at once."""
        question = f"the means of {', '.join(self.names[first:])}"
        return average(frame, question, lambda part: self.matrix(part)[:, first:])


def _check_size(parts: Sequence[Sequence[str]], term: tuple[Node, ...]) -> None:
    try:
        within("columns", math.prod(map(len, parts)), f"the term {':'.join(map(deparse, term))}")
    except BrimError as error:
        raise fault(term[0], error.what, error.hint) from None


def codings(terms: Sequence[tuple[int, ...]], categorical: Sequence[bool], intercept: bool) -> list[tuple[bool, ...]]:
    """R's rule: for each term and each of its variables, whether the variable is coded by all its levels.

    A factor is coded by contrasts when what is left of the term without it is contained in an earlier term (or is nothing);
    without an intercept, the first factor of the first term that has one is coded by all its levels.
    """
    sets = [frozenset(term) for term in terms]
    full = []
    for i, term in enumerate(terms):
        rests = [sets[i] - {v} for v in term]
        full.append([categorical[v] and bool(r) and not any(r <= t for t in sets[:i]) for v, r in zip(term, rests, strict=True)])
    if not intercept:
        first = next(((i, j) for i, term in enumerate(terms) for j, v in enumerate(term) if categorical[v]), None)
        if first is not None:
            full[first[0]][first[1]] = True
    return [tuple(f) for f in full]


def _product_names(parts: list[tuple[str, ...]]) -> list[str]:
    """Names of all products of columns; the first factor varies fastest."""
    names = list(parts[0])
    for part in parts[1:]:
        names = [f"{a}:{b}" for b in part for a in names]
    return names


def _product(parts: list[np.ndarray]) -> np.ndarray:
    """All products of columns, ``(n, k1 * k2 * ...)``; the first factor varies fastest."""
    out = parts[0]
    for part in parts[1:]:
        out = (part[:, :, None] * out[:, None, :]).reshape(len(out), -1)
    return out


# What brms writes for the characters that Stan's names or its own do not bear.
_RENAMED = str.maketrans({**dict.fromkeys(" ()[],\"'?", ""), "+": "P", "-": "M", "*": "MU", "/": "D", "^": "E", "=": "EQ"})


def brms_name(name: str) -> str:
    """The name that brms gives a coefficient, from R's.

    Blanks, parentheses, brackets, commas, quotes and ``?`` go; ``+ - * / ^ =`` become ``P M MU D E EQ``; all else stays. Two
    names of R may give one of brms', which brms (and brim) refuses.

    Examples
    --------
    >>> [brms_name(n) for n in ("(Intercept)", "I(x^2)", "poly(x, 2)1", "x:f3hi", "I(x == 1)TRUE", "fc-d")]
    ['Intercept', 'IxE2', 'polyx21', 'x:f3hi', 'IxEQEQ1TRUE', 'fcMd']
    """
    return re.sub(r"`([^`]*)`", r"\1", name).translate(_RENAMED)
