"""Functions that a formula may use row by row: R's everyday mathematics, conversions, choices.

A value is a column, a matrix of columns, or a constant: a number, text, a truth value, ``None``, or a tuple of them (``c(1, 2)``).
Nothing here depends on the data but row by row; what must be learned from the training data is in ``transforms``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from brim.errors import BrimError, suggest
from brim.frames.columns import Column, Factor, Logical, Matrix, Numeric, level_name
from brim.limits import within

__all__ = ["FUNCTIONS", "Value", "as_factor", "is_column", "lift", "numbers", "sequence", "truth"]

Constant: TypeAlias = float | str | bool | tuple[Any, ...] | None
Value: TypeAlias = Column | Matrix | Constant


def is_column(value: Value) -> bool:
    """Whether a value has rows."""
    return isinstance(value, (Numeric, Factor, Logical, Matrix))


def numbers(value: Value) -> Any:
    """What arithmetic sees of a value: float64 array ``(n,)`` or ``(n, k)``, or a float, or a short array for ``c()``."""
    match value:
        case Numeric() | Logical():
            return value.numbers
        case Matrix():
            return value.values
        case Factor():
            value.usable()
            shown = ", ".join(f"'{level}'" for level in value.levels[:3])
            raise BrimError(f"a number is needed here, and this is a factor (levels {shown}{', ...' if len(value.levels) > 3 else ''})")
        case bool() | int() | float():
            return float(value)
        case tuple():
            return np.array([numbers(v) for v in value], dtype=np.float64)
        case None:
            raise BrimError("a number is needed here, and this is NULL")
    raise BrimError(f"a number is needed here, and this is the text '{value}'")


def lift(fn: Callable[..., Any]) -> Callable[..., Value]:
    """A NumPy function made a function of values: columns give a column, a matrix a matrix, constants a constant."""

    def lifted(*values: Value) -> Value:
        arrays = [numbers(v) for v in values]
        names = next((v.names for v in values if isinstance(v, Matrix)), None)
        if names is not None:
            arrays = [a[:, None] if isinstance(v, (Numeric, Logical)) else a for a, v in zip(arrays, values, strict=True)]
        rows = names is not None or any(is_column(v) for v in values)
        if rows and any(isinstance(v, tuple) for v in values):
            raise BrimError("a vector of constants does not fit the rows of the data", hint="give one number, or a column")
        with np.errstate(all="ignore"):  # what is not finite is reported with its rows, by the caller
            result = fn(*arrays)
        if names is not None:
            return Matrix(result, names)
        if rows:
            return Numeric(np.asarray(result, dtype=np.float64))
        return tuple(np.asarray(result).tolist()) if np.ndim(result) else float(result)

    return lifted


def _unary(fn: Callable[[Any], Any]) -> Callable[[Value], Value]:
    """A lifted function of one argument: a second one is an error, not NumPy's ``out``."""
    lifted = lift(fn)

    def unary(x: Value) -> Value:
        return lifted(x)

    return unary


# ---- functions ---------------------------------------------------------------------------------------------------------


def truth(value: Value) -> tuple[Any, Any]:
    """Values and missing mask of a truth value; numbers are true when not zero, as in R."""
    if isinstance(value, Logical):
        return value.values, value.missing
    values = numbers(value)
    return values != 0, np.isnan(values)


def as_factor(x: Value) -> Factor:
    """R's ``as.factor`` of a column."""
    if isinstance(x, (Numeric, Factor, Logical)):
        return x.as_factor()
    raise BrimError("a factor is made from one column")


def _identity(x: Value) -> Value:
    return x


def _log(x: Value, base: Value = None) -> Value:
    if base is None:
        return lift(np.log)(x)
    return lift(lambda v, b: np.log(v) / np.log(b))(x, base)


def _round(x: Value, digits: float = 0) -> Value:
    return lift(lambda v: np.round(v, int(digits)))(x)


def _as_numeric(x: Value) -> Value:
    """Codes of a factor, the numbers that text spells, 0 and 1 of a logical."""
    if isinstance(x, Factor):
        x.usable()
    if isinstance(x, Factor) and x.text:
        try:
            table = np.array([float(level) for level in x.levels] + [np.nan])
        except ValueError:
            wrong = next(level for level in x.levels if not spells_number(level))
            raise BrimError(
                f"as.numeric() of text: '{wrong}' is not a number", hint="as.numeric(factor(x)) gives the numbers of levels"
            ) from None
        return Numeric(table[x.codes])
    if isinstance(x, Factor):
        return Numeric(np.where(x.missing, np.nan, x.codes + 1.0), integer=True)
    return lift(lambda v: v)(x)


def spell_numbers(levels: Iterable[str]) -> bool:
    """Whether all of some text, and there is some, is numbers."""
    levels = tuple(levels)
    return bool(levels) and all(map(spells_number, levels))


def spells_number(text: str) -> bool:
    """Whether text is a number written out."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_integer(x: Value) -> Value:
    return lift(np.trunc)(_as_numeric(x))


def _as_logical(x: Value) -> Value:
    values, absent = truth(x)
    return Logical(values, absent) if is_column(x) else bool(values)


def _as_character(x: Value) -> Value:
    if isinstance(x, (Numeric, Logical)):
        x = x.as_factor()
    if isinstance(x, Factor):
        levels = tuple(sorted(x.levels))
        return Factor(x.recode(levels, ordered=False).codes, levels, text=True)
    return level_name(x)


def _is_na(x: Value) -> Value:
    if isinstance(x, (Numeric, Factor, Logical)):
        return Logical(x.missing)
    raise BrimError("is.na() needs a column")


def _ifelse(test: Value, yes: Value, no: Value) -> Value:
    if not isinstance(test, (Numeric, Logical)):
        raise BrimError("ifelse() needs a column of truth values to test")
    values, absent = truth(test)
    if any(isinstance(v, (Factor, str)) for v in (yes, no)):
        return _choose_text(values, absent, yes, no)
    chosen = np.where(values, numbers(yes), numbers(no))
    if all(isinstance(v, (Logical, bool)) for v in (yes, no)):
        return Logical(chosen == 1, absent | np.isnan(chosen))
    return Numeric(np.where(absent, np.nan, chosen))


def _choose_text(test: np.ndarray, absent: np.ndarray, yes: Value, no: Value) -> Factor:
    if any(isinstance(v, Factor) and not v.text for v in (yes, no)):
        raise BrimError("ifelse() of factors gives R's integer codes", hint="write as.character(f) for their labels")
    sides = [v if isinstance(v, Factor) else Factor(np.zeros(len(test), np.int32), (level_name(v),)) for v in (yes, no)]
    levels = tuple(sorted({level for side in sides for level in side.levels}))
    first, second = (side.recode(levels).codes for side in sides)
    return Factor(np.where(absent, np.int32(-1), np.where(test, first, second)), levels, text=True)


def _extreme(fn: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    lifted = lift(fn)

    def extreme(*values: Value) -> Value:
        if not values:
            raise BrimError("pmin() and pmax() need at least one column")
        result = values[0]
        for value in values[1:]:
            result = lifted(result, value)
        return result

    return extreme


def _relevel(x: Value, ref: Any) -> Factor:
    factor = as_factor(x)
    ref = factor.levels[int(ref) - 1] if isinstance(ref, float) and 1 <= ref <= len(factor.levels) else level_name(ref)
    if ref not in factor.levels:
        raise BrimError(f"relevel(): '{ref}' is not a level", hint=suggest(ref, factor.levels, "levels"))
    if factor.ordered:
        raise BrimError("relevel() is for unordered factors", hint="ordered(f, levels = c(...)) sets an order")
    return factor.recode((ref, *(level for level in factor.levels if level != ref)))


def _interaction(*factors: Value, sep: str = ".") -> Factor:
    """One factor of the combinations; the levels of the first vary fastest."""
    if not factors:
        raise BrimError("interaction() needs factors", hint="write interaction(f, g)")
    within("columns", math.prod(len(as_factor(f).levels) for f in factors), "interaction()")
    result = as_factor(factors[0])
    for other in map(as_factor, factors[1:]):
        levels = tuple(f"{a}{sep}{b}" for b in other.levels for a in result.levels)
        twice = next((level for level in levels if levels.count(level) > 1), None) if len(set(levels)) < len(levels) else None
        if twice is not None:
            raise BrimError(f"interaction(): two combinations would be called '{twice}'", hint="give another separator: sep = ':'")
        codes = np.where(result.missing | other.missing, -1, other.codes * len(result.levels) + result.codes)
        result = Factor(codes.astype(np.int32), levels)
    return result


def _dummy(x: Value, *levels: Value) -> Matrix:
    """lme4's ``dummy(f, "b")``: 1 where a factor has the level; a column each for ``c("a", "b")``."""
    if not levels:
        raise BrimError("dummy() needs a level", hint="write dummy(f, 'b'), or f itself for all levels")
    factor = as_factor(x)
    named = [level_name(one) for level in levels for one in (level if isinstance(level, tuple | list) else (level,))]
    unknown = next((name for name in named if name not in factor.levels), None)
    if unknown is not None:
        raise BrimError(f"dummy(): '{unknown}' is not a level", hint=suggest(unknown, factor.levels, "levels"))
    values = np.stack([(factor.codes == factor.levels.index(name)).astype(float) for name in named], axis=1)
    return Matrix(np.where(factor.missing[:, None], np.nan, values), tuple(named))


def _combine(*values: Value) -> Value:
    """``c()`` of constants."""
    if any(is_column(v) for v in values):
        raise BrimError("c() holds constants here, not columns", hint="cbind(x, z) binds columns")
    return tuple(v for value in values for v in (value if isinstance(value, tuple) else (value,)))


def _unique(value: Value) -> Value:
    """``unique()`` of constants, as in ``cut(x, unique(quantile(x)))``."""
    if is_column(value):
        raise BrimError("unique() holds constants here, not columns")
    return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value


def sequence(start: Value, stop: Value, by: Value = None, length_out: Value = None) -> Value:
    """R's ``seq`` and ``:`` of constants."""
    if any(is_column(v) or isinstance(v, tuple) for v in (start, stop, by, length_out)):
        raise BrimError("a sequence runs from one number to another", hint="columns cannot be its ends")
    a, b = float(numbers(start)), float(numbers(stop))
    if length_out is not None:
        return tuple(np.linspace(a, b, max(within("length", numbers(length_out), "seq(length.out = )"), 0)).tolist())
    step = float(numbers(by)) if by is not None else (1.0 if b >= a else -1.0)
    if not np.isfinite([a, b, step]).all() or step == 0 or (b - a) / step < 0:
        raise BrimError(f"a sequence from {a:g} to {b:g} by {step:g} has no end", hint="by leads from the first number to the last")
    within("length", (b - a) / step + 1, "a sequence")
    return tuple((a + step * np.arange(int((b - a) / step + 1e-10) + 1)).tolist())


def _complement(x: Any) -> Any:
    return np.log1p(-x)


def _special(name: str) -> Any:
    """A function of ``scipy.special``, imported when it is called: most formulas have none."""

    def function(x: Any) -> Any:
        from scipy import special

        return getattr(special, name)(x)

    return function


_ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceiling": np.ceil,
    "trunc": np.trunc,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "gamma": _special("gamma"),
    "lgamma": _special("gammaln"),
    "digamma": _special("digamma"),
    "pnorm": _special("ndtr"),
    "qnorm": _special("ndtri"),
    "plogis": _special("expit"),
    "qlogis": _special("logit"),
    "inv_logit": _special("expit"),
    "logit": _special("logit"),
    "square": np.square,
    "cbrt": np.cbrt,
    "log1m": _complement,
}

FUNCTIONS: dict[str, Callable[..., Value]] = {
    **dict.fromkeys(("I", "identity", "as.vector", "offset"), _identity),
    **dict.fromkeys(("as.numeric", "as.double"), _as_numeric),
    "as.integer": _as_integer,
    "as.logical": _as_logical,
    "as.character": _as_character,
    "log": _log,
    "round": _round,
    "ifelse": _ifelse,
    "is.na": _is_na,
    "pmin": _extreme(np.minimum),
    "pmax": _extreme(np.maximum),
    "relevel": _relevel,
    "interaction": _interaction,
    "dummy": _dummy,
    "c": _combine,
    "unique": _unique,
    "seq": sequence,
    **{name: _unary(fn) for name, fn in _ELEMENTWISE.items()},
}
