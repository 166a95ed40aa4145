"""Design matrices as R's ``model.matrix`` makes them: contrasts, coding of interactions, names of columns.

Formulaic would give the codings but not R's names (``x:f3hi`` but ``poly(x, 2)1``, brms' factor order) nor errors that mark the
formula; what is needed of it is short enough to own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.design.expressions import Expression, usable
from brim.design.transforms import orthonormal
from brim.errors import BrimError, suggest
from brim.frames.columns import Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame
from brim.frames.middle import average
from brim.language.expand import Call, Name, Node, Number, Terms, Text, deparse, fault
from brim.limits import within

__all__ = ["CONTRASTS", "Expression", "ModelMatrix", "brms_name"]

# ---- contrasts -----------------------------------------------------------------------------------------------------------


def _treatment(levels: tuple[str, ...], base: int = 0) -> tuple[np.ndarray, tuple[str, ...]]:
    return np.delete(np.eye(len(levels)), base, axis=1), tuple(level for i, level in enumerate(levels) if i != base)


def _sas(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    return _treatment(levels, len(levels) - 1)


def _sum(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    return np.vstack([np.eye(k), -np.ones(k)]), tuple(str(i + 1) for i in range(k))


def _helmert(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    table = np.zeros((k + 1, k))
    for j in range(k):
        table[: j + 1, j], table[j + 1, j] = -1.0, j + 1.0
    return table, tuple(str(i + 1) for i in range(k))


def _polynomial(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    names = [".L", ".Q", ".C", *(f"^{i}" for i in range(4, k + 1))][:k]
    return orthonormal(np.arange(k + 1.0) - k / 2, k)[0], tuple(names)


Coding = Callable[..., tuple[np.ndarray, tuple[str, ...]]]
CONTRASTS: dict[str, Coding] = {
    "contr.treatment": _treatment,
    "contr.sum": _sum,
    "contr.helmert": _helmert,
    "contr.poly": _polynomial,
    "contr.SAS": _sas,
}


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


def _learn_variable(node: Node, frame: Frame) -> _Variable:
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
    table, suffixes = _coding(node, factor)
    return _Variable(expression, label, factor.levels, table, suffixes)


def _check_column(node: Node, value: Numeric, frame: Frame) -> None:
    infinite = np.isinf(value.values)
    if infinite.any():
        hint = "leave these rows out, or make the values missing: data.replace([numpy.inf, -numpy.inf], numpy.nan)"
        raise fault(node, f"'{deparse(node)}' is infinite in {frame.named(infinite)}", hint)


def _coding(node: Node, factor: Factor) -> tuple[np.ndarray, tuple[str, ...]]:
    """Contrasts: those of ``C(f, contr.sum)``, else R's defaults, ``contr.poly`` for ordered factors and ``contr.treatment``."""
    default = "contr.poly" if factor.ordered else "contr.treatment"
    given = _contrast_options(node)
    if not given:
        return CONTRASTS[default](factor.levels)
    contr, base = given.get("contr"), given.get("base")
    name = default if contr is None else _contrast_name(contr)
    options = {}
    if base is not None:
        if name != "contr.treatment" or not isinstance(base, Number) or not 1 <= base.value <= len(factor.levels):
            raise fault(base, "base is the number of a level, for contr.treatment")
        options = {"base": int(base.value) - 1}
    # R names the contrasts by levels when it looks them up by name, by numbers when it is given their function or a matrix.
    function = base is not None or isinstance(contr, Call) or (isinstance(contr, Name) and contr.name == name)
    levels = tuple(str(i + 1) for i in range(len(factor.levels))) if function else factor.levels
    return CONTRASTS[name](levels, **options)


def _contrast_options(node: Node) -> dict[str, Node]:
    """What ``C(f, contr, base=)`` says beyond its factor."""
    if not isinstance(node, Call) or node.fn != "C":
        return {}
    given = {**dict(zip(("contr",), node.args[1:], strict=False)), **dict(node.kwargs)}
    contr = given.get("contr")
    if isinstance(contr, Call):  # contr.treatment(3, base = 2)
        given |= {**dict(zip(("n", "base"), contr.args, strict=False)), **dict(contr.kwargs)}
    return given


def _contrast_name(node: Node) -> str:
    text = node.name if isinstance(node, Name) else node.value if isinstance(node, Text) else node.fn if isinstance(node, Call) else ""
    name = text if text.startswith("contr.") else f"contr.{text}"
    if name not in CONTRASTS:
        raise fault(node, f"unknown contrasts '{text}'", suggest(text, CONTRASTS, "contrasts"))
    return name


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

    def learn(self, frame: Frame) -> ModelMatrix:
        """Learn levels, contrasts and the state of transforms from the training data."""
        nodes = tuple(dict.fromkeys(node for term in self.terms.terms for node in term))
        variables = tuple(_learn_variable(node, frame) for node in nodes)
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
