"""The value of one formula node on a data frame; what it learns on the training data is kept and replayed on new data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.design.everywhere import learned_from_all, repeated
from brim.design.functions import FUNCTIONS, Value, as_factor, numbers
from brim.design.operators import OPERATORS
from brim.design.transforms import LEARNERS, ColumnSummary, match_levels
from brim.errors import BrimError, suggest
from brim.frames.columns import Column, Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame
from brim.language.expand import ADDITIONS, Binary, Call, Constant, Name, Node, Number, Paren, Text, Unary, deparse, fault, variables

__all__ = ["Expression", "columns_among", "usable"]

INTERCEPTS = ("Intercept", "intercept")  # brms: the intercept as an ordinary coefficient, y ~ 0 + Intercept


def columns_among(names: Iterable[str], frame: Frame) -> tuple[str, ...]:
    """Names that a model uses without the column of ones, ``Intercept`` where the training data ``frame`` have none of that name."""
    return tuple(n for n in names if n not in INTERCEPTS or n in frame)


@final
@dataclass(frozen=True)
class _Known:
    """What a column was in the training data; a factor's levels are those in use."""

    kind: str
    levels: tuple[str, ...] = ()
    ordered: bool = False
    text: bool = False


@final
@dataclass(frozen=True)
class Expression:
    """One piece of a formula, such as ``log(x + 1)``, ``poly(x, 2)`` or ``factor(g)``.

    Attributes
    ----------
    node
        The piece.
    state
        What was learned: for each call or name in it, its transform (centre and scale, polynomial, levels, ...).

    Examples
    --------
    >>> from brim.language.expand import parse
    >>> train, new = Frame.read({"x": [1.0, 2.0, 3.0]}), Frame.read({"x": [4.0]})
    >>> Expression(parse("scale(x)")).learn(train).value(new).values
    array([2.])
    """

    node: Node
    state: Mapping[Node, Any] | None = field(default=None, compare=False, repr=False)

    def learn(self, frame: Frame) -> Expression:
        """The expression with everything learned from the training data."""
        state: dict[Node, Any] = {}
        value = _Evaluation(frame, state, learning=True).value(self.node)
        if isinstance(value, Factor) and not isinstance(self.node, Name):
            state[_result(self.node)] = _Known("factor", value.levels_used, value.ordered)
        return Expression(self.node, state)

    def with_levels(self, more: tuple[str, ...]) -> Expression:
        """The same factor, which knows levels besides those of the training data, listed after them."""
        state = dict(self.state or {})
        for key in (self.node, _result(self.node)):
            known = state.get(key)
            if isinstance(known, _Known) and known.kind == "factor":
                state[key] = replace(known, levels=(*known.levels, *more))
        return Expression(self.node, state)

    def value(self, frame: Frame) -> Value:
        """The value: a column, a ``Matrix`` of columns, or a constant where no column is used.

        Raises
        ------
        BrimError
            For an unknown column or function, wrong types, new levels of a factor, and rows that are not finite (or that
            fit no level) although the columns used are there: the formula's own doing, such as ``log(0)``.
        """
        if self.state is None:
            raise ValueError("learn() comes before value()")
        value = _Evaluation(frame, dict(self.state), learning=False).value(self.node)
        known = self.state.get(_result(self.node))
        if known is not None and isinstance(value, Factor):
            try:
                value = match_levels(value, known.levels, known.ordered, deparse(self.node))
            except BrimError as error:
                raise fault(self.node, error.what, error.hint) from None
        if not isinstance(self.node, Name):
            self._check_finite(value, frame)
        return value

    def numbers(self, frame: Frame) -> np.ndarray:
        """The value as one float64 number a row; a constant is repeated."""
        value = self.value(frame)
        if isinstance(value, tuple) and len(value) == frame.n:  # trunc(ub = 21:30), one number a row
            value = Numeric(np.array([numbers(v) for v in value], dtype=np.float64))
        if isinstance(value, (Factor, Matrix, tuple)):
            if isinstance(value, Factor):
                usable(self.node, value)
            what = "a factor" if isinstance(value, Factor) else "several columns" if isinstance(value, Matrix) else "several numbers"
            raise fault(self.node, f"'{deparse(self.node)}' is {what}, and one number a row is needed here")
        try:
            return np.broadcast_to(np.asarray(numbers(value), dtype=np.float64), (frame.n,))
        except BrimError as error:
            raise fault(self.node, error.what, error.hint) from None

    def _check_finite(self, value: Value, frame: Frame) -> None:
        if isinstance(value, (Matrix, Numeric)):
            bad = ~np.isfinite(value.values)
            bad = bad.any(axis=1) if bad.ndim == 2 else bad
        elif isinstance(value, (float, str, bool, tuple)) or value is None:
            return
        else:
            bad = value.missing
        if not bad.any():
            return
        used = [name for name in variables(self.node) if name in frame]
        bad = bad & frame.complete(used)
        if bad.any():
            row = int(np.argmax(bad))
            how = "is not finite" if isinstance(value, (Matrix, Numeric)) else "has no value"
            where = frame.named(bad)
            hint = "leave these rows out, make the values missing, or choose a function that is defined there"
            raise fault(self.node, f"{deparse(self.node)} {how} in {where}{_shown(used, frame, row)}", hint)


def usable(node: Node, factor: Factor) -> Factor:
    """A factor that is a variable of the model; an error that marks the node where it is a key only (``Factor.caveat``)."""
    try:
        return factor.usable()
    except BrimError as error:
        raise fault(node, error.what, error.hint) from None


def _shown(names: list[str], frame: Frame, row: int) -> str:
    parts = []
    for name in names[:3]:
        column = frame[name]
        cell = column.labels[row] if isinstance(column, Factor) else f"{column.numbers[row]:g}"
        parts.append(f"{name} = {cell}")
    return f" ({', '.join(parts)})" if parts else ""


def _result(node: Node) -> Node:
    """The key under which the levels of the whole expression are kept, apart from the state of its outermost call."""
    return Paren(node)


class _Evaluation:
    """One walk over a tree with a frame; when ``learning``, it fills ``state``."""

    def __init__(self, frame: Frame, state: dict[Node, Any], learning: bool) -> None:
        self.frame, self.state, self.learning = frame, state, learning

    def value(self, node: Node) -> Value:
        match node:
            case Number(value):
                return float(value)
            case Text(value) | Constant(value):
                return value
            case Paren(inner):
                return self.value(inner)
            case Name():
                return self.column(node)
            case Unary("+", operand):
                return self.value(operand)
            case Unary("-", operand):
                return self.applied(node, OPERATORS["*"], -1.0, self.value(operand))
            case Unary("!", operand):
                return self.applied(node, OPERATORS["!"], self.value(operand), None)
            case Binary(op, left, right) if op in OPERATORS:
                return self.applied(node, OPERATORS[op], self.value(left), self.value(right))
            case Call():
                return self.call(node)
        raise fault(node, f"'{deparse(node)}' has no value here")

    def column(self, node: Name) -> Value:
        if node.name in INTERCEPTS and self.is_intercept(node):
            return Numeric(np.ones(self.frame.n))
        column = self.frame.column(node.name, source=node.source or None, span=node.span)
        if self.learning:
            if isinstance(column, Factor):
                self.state[node] = _Known("factor", column.levels_used, column.ordered, column.text)
            else:
                self.state[node] = _Known(column.kind)
        return self.applied(node, _as_known, column, self.state[node], node.name)

    def is_intercept(self, node: Name) -> bool:
        """Whether the name stands for the column of ones: where the training data have no such column, whatever new data have."""
        if self.learning:
            if node.name == "Intercept" and node.name in self.frame:
                raise fault(node, "'Intercept' is a reserved name, and the data have a column of that name", "rename the column")
            if node.name not in self.frame:
                self.state[node] = _Known("ones")
        known = self.state.get(node)
        return known is not None and known.kind == "ones"

    def call(self, node: Call) -> Value:
        name = node.fn.rpartition("::")[2]
        if name == "C":
            return self.applied(node, as_factor, self.value(node.args[0] if node.args else Constant(None)))
        if name == "cbind":
            return self.cbind(node)
        if name in LEARNERS:
            return self.learned(node, LEARNERS[name])
        if name not in FUNCTIONS:
            return self.users(node)
        kwargs = {key.replace(".", "_"): self.value(value) for key, value in node.kwargs}
        return self.applied(node, FUNCTIONS[name], *(self.value(arg) for arg in node.args), **kwargs)

    def users(self, node: Call) -> Value:
        """A function of the user's, of arrays; the one of the training data is kept."""
        function = self.frame.functions.get(node.fn) if self.learning else self.state.get(node)
        if function is None:
            if node.fn in ADDITIONS:
                what = f"{deparse(node)} says something of the response: it stands left of '~'"
                raise fault(node, what, f"write y | {deparse(node)} ~ ...")
            known = sorted({*FUNCTIONS, *LEARNERS, "C", "cbind", *self.frame.functions})
            bare = node.fn.rpartition(".")[2]
            hint = f"write {bare}(...)" if bare in known else suggest(node.fn, known, "functions")
            own = f"; a function of your own goes into data2={{'{node.fn}': function}}"
            raise fault(node, f"unknown function '{node.fn}'", hint + own)
        self.state[node] = function
        if node.kwargs:
            raise fault(node, f"{node.fn}() takes its arguments by position")
        arrays = [self.applied(arg, numbers, self.value(arg)) for arg in node.args]
        try:
            values = np.asarray(function(*arrays), np.float64)
        except Exception as error:
            raise fault(node, f"the function {node.fn}() fails: {type(error).__name__}: {error}") from error
        if self.frame.whole is not None and self.learning:
            self.check_rowwise(node, function, arrays, values)
        if values.shape not in ((), (self.frame.n,)):
            raise fault(node, f"the function {node.fn}() gives an array of shape {values.shape} for {self.frame.n} rows")
        return Numeric(np.broadcast_to(values, (self.frame.n,)).copy())

    def check_rowwise(self, node: Call, function: Callable[..., Any], arrays: list[Any], values: np.ndarray) -> None:
        """Rows come in blocks: a function must give the same of each row whatever the others are."""
        half = self.frame.n // 2
        part = np.asarray(function(*(a[:half] if np.ndim(a) else a for a in arrays)), np.float64)
        if not np.array_equal(part, values[:half] if values.ndim else values, equal_nan=True):
            hint = "make the column in the data first"
            raise fault(node, f"the function {node.fn}() looks at several rows at once, and the rows come in blocks", hint)

    def learned(self, node: Call, learner: Callable[..., Any]) -> Value:
        """The transform of a call; on new data only its first argument is evaluated."""
        kwargs = {key.replace(".", "_"): value for key, value in node.kwargs}
        if self.learning:
            options = {key: repeated(self.value(value), self.frame) for key, value in kwargs.items()}
            values = [repeated(self.value(arg), self.frame) for arg in node.args]
            if self.frame.whole is None:
                self.state[node] = self.applied(node, learner, *values, **options)
            else:
                values += [options.pop("x")] if "x" in options and not values else []
                self.state[node] = self.from_all(node, learner, values, options)
        transform = self.state[node]
        if isinstance(transform, ColumnSummary):
            return transform.value
        first = node.args[0] if "x" not in kwargs else kwargs["x"]
        return self.applied(node, transform, self.value(first))

    def from_all(self, node: Call, learner: Callable[..., Any], values: list[Value], options: dict[str, Value]) -> Any:
        """What a call learns of rows that are not all in memory: what it would of all."""
        first = node.args[0] if node.args else dict(node.kwargs).get("x", node)

        def learn(value: Value) -> Any:
            return self.applied(node, learner, value, *values[1:], **options)

        def each(block: Frame) -> Value:
            return _Evaluation(block, dict(self.state), learning=False).value(first)

        if not values:
            return self.applied(node, learner, **options)

        name = node.fn.rpartition("::")[2]
        return self.applied(node, learned_from_all, name, deparse(node), self.frame, learn, values[0], each)

    def cbind(self, node: Call) -> Matrix:
        if not node.args and not node.kwargs:
            raise fault(node, "cbind() needs columns", "write cbind(y1, y2)")
        parts = [self.one_column(arg) for arg in (*node.args, *(arg for _, arg in node.kwargs))]
        names = [arg.name if isinstance(arg, Name) else "" for arg in node.args] + [key for key, _ in node.kwargs]
        if not any(names):
            names = [str(i + 1) for i in range(len(parts))]
        return Matrix(np.column_stack(parts), tuple(names))

    def one_column(self, node: Node) -> np.ndarray:
        values = np.asarray(self.applied(node, numbers, self.value(node)), np.float64)
        if values.ndim > 1 or (values.ndim == 1 and len(values) != self.frame.n):
            raise fault(node, f"{deparse(node)} is not one column", "cbind() joins single columns")
        return np.broadcast_to(values, (self.frame.n,))

    def applied(self, node: Node, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``fn`` of the values, with errors that mark the node."""
        try:
            if isinstance(node, Call):
                _check_call(node, fn, args, kwargs)
            return fn(*args, **kwargs)
        except BrimError as error:
            raise error if error.source is not None else fault(node, error.what, error.hint) from None
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            if not isinstance(node, Call):
                raise fault(node, f"{deparse(node)} cannot be computed") from error
            raise fault(node, f"{node.fn}() cannot be computed with these arguments", f"its arguments: {_arguments(fn)}") from error


def _check_call(node: Call, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Whether a function takes these arguments; what it lacks or does not know is said by name."""
    signature = inspect.signature(fn)
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        known = signature.parameters
        unknown = next((k for k in kwargs if k not in known), None)
        lacks = [name for name, p in list(known.items())[len(args) :] if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        missing = [name for name in lacks if name not in kwargs]
        what = "has one argument too many"
        if unknown is not None:
            what = f"has no argument '{unknown.replace('_', '.')}'"
        elif missing:
            what = f"needs the argument '{missing[0].replace('_', '.')}'"
        raise BrimError(f"{node.fn}() {what}", hint=f"its arguments: {_arguments(fn)}") from None


def _arguments(fn: Callable[..., Any]) -> str:
    return ", ".join(p.replace("_", ".") for p in inspect.signature(fn).parameters)


def _as_known(column: Column, known: _Known, name: str) -> Column:
    """A column read as it was in the training data."""
    if known.kind == "factor":
        factor = match_levels(column.as_factor(), known.levels, known.ordered, f"column '{name}'")
        return factor if factor.text == known.text else replace(factor, text=known.text)
    if isinstance(column, Factor):
        if not column.levels_used:
            return Numeric(np.full(column.n, np.nan))
        raise BrimError(
            f"column '{name}' was {known.kind} in the data of the fit, and here holds text: {', '.join(column.levels_used[:3])}",
            hint="give it the same type as in the data of the fit",
        )
    if known.kind == "logical" and column.kind == "numeric" and not np.all(np.isin(column.numbers[~column.missing], (0.0, 1.0))):
        raise BrimError(f"column '{name}' was logical in the data of the fit, and here holds numbers", hint="give True and False")
    if known.kind == column.kind:
        return column
    return Numeric(column.numbers) if known.kind == "numeric" else _truth_of(column)


def _truth_of(column: Column) -> Column:
    return Logical(column.numbers == 1, column.missing if column.missing.any() else None)
