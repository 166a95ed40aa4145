"""Operators of formulas: arithmetic, comparisons, and R's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from brim.design.functions import Value, as_factor, is_column, lift, numbers, sequence, truth
from brim.errors import BrimError, suggest
from brim.frames.columns import Factor, Logical, Matrix, Numeric, level_name

__all__ = ["OPERATORS"]


def _same_labels(left: Value, right: Value) -> Any:
    """``==`` of text: labels are compared, through the levels and not row by row."""
    if not is_column(left):
        left, right = right, left
    if not is_column(left):
        return level_name(left) == level_name(right)
    factor = as_factor(left)
    other = as_factor(right).recode(factor.levels).codes if is_column(right) else _place(level_name(right), factor.levels)
    return (factor.codes == other) & ~factor.missing


def _place(level: str, levels: tuple[str, ...]) -> int:
    return levels.index(level) if level in levels else -1


def _absent(*values: Value) -> np.ndarray | None:
    """Mask of the rows where any of the columns is missing; ``None`` when none is."""
    absent = None
    for value in values:
        if isinstance(value, (Numeric, Factor, Logical)) and value.missing.any():
            absent = value.missing if absent is None else absent | value.missing
    return absent


def _compare(fn: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    ranked = fn not in (np.equal, np.not_equal)

    def compared(left: Value, right: Value) -> Value:
        _one_constant(left, right)
        if any(isinstance(v, (Factor, str)) for v in (left, right)):
            result = fn(*_ranks(left, right)) if ranked else _same_labels(left, right) == (fn is np.equal)
        else:
            result = fn(numbers(left), numbers(right))
        if not (is_column(left) or is_column(right)):
            return bool(result)
        return Logical(np.asarray(result, dtype=bool), _absent(left, right))

    return compared


def _one_constant(*values: Value) -> None:
    if any(isinstance(v, Matrix) for v in values):
        raise BrimError("a comparison needs one column, and this has several")
    if any(isinstance(v, tuple) for v in values):
        raise BrimError("a comparison with several constants", hint="membership is written x %in% c(1, 2)")


def _ranks(left: Value, right: Value) -> tuple[Any, Any]:
    """Places in the order of an ordered factor's levels."""
    factor = next((v for v in (left, right) if isinstance(v, Factor)), None)
    if factor is None or not factor.ordered:
        raise BrimError("'<' and '>' need numbers or an ordered factor", hint="ordered(f, levels = c(...)) sets an order")
    order = factor.levels

    def rank(value: Value) -> Any:
        if isinstance(value, Factor):
            return value.recode(order).codes
        if level_name(value) not in order:
            raise BrimError(f"'{level_name(value)}' is not a level", hint=suggest(level_name(value), order, "levels"))
        return order.index(level_name(value))

    return rank(left), rank(right)


def _not(value: Value) -> Value:
    values, absent = truth(value)
    return Logical(~values, absent) if is_column(value) else not values


def _and(left: Value, right: Value) -> Value:
    """R's three-valued logic: ``FALSE & NA`` is false."""
    (a, a_absent), (b, b_absent) = truth(left), truth(right)
    false = (~np.asarray(a) & ~np.asarray(a_absent)) | (~np.asarray(b) & ~np.asarray(b_absent))
    absent = (np.asarray(a_absent) | np.asarray(b_absent)) & ~false
    if not (is_column(left) or is_column(right)):
        return bool(~false)
    return Logical(~false & ~absent, absent)


def _or(left: Value, right: Value) -> Value:
    return _not(_and(_not(left), _not(right)))


def _within(value: Value, options: Value) -> Value:
    """``x %in% c(...)``: never missing."""
    options = options if isinstance(options, tuple) else (options,)
    if any(is_column(option) for option in options):
        raise BrimError("right of %in% stands a constant or c(...) of constants")
    if isinstance(value, Factor):
        wanted = {level_name(option) for option in options}
        table = np.array([level in wanted for level in value.levels] + [False])
        return Logical(table[value.codes])
    if isinstance(value, str):
        return value in options
    found = np.isin(numbers(value), [numbers(option) for option in options])
    return Logical(found) if is_column(value) else bool(found)


OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "+": lift(np.add),
    "-": lift(np.subtract),
    "*": lift(np.multiply),
    "/": lift(np.divide),
    "^": lift(np.power),
    "%%": lift(np.mod),
    "%/%": lift(np.floor_divide),
    ":": sequence,
    "==": _compare(np.equal),
    "!=": _compare(np.not_equal),
    "<": _compare(np.less),
    "<=": _compare(np.less_equal),
    ">": _compare(np.greater),
    ">=": _compare(np.greater_equal),
    "&": _and,
    "&&": _and,
    "|": _or,
    "||": _or,
    "%in%": _within,
    "!": lambda value, _: _not(value),
}
