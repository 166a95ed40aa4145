"""Expressions of numbers row by row, in JAX: of parameters and columns (nonlinear formulas), or of values that are estimated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special as jsp

from brim.design.transforms import match_levels
from brim.errors import BrimError, suggest
from brim.frames.columns import Column, Factor
from brim.frames.frame import Frame
from brim.language.expand import Binary, Call, Constant, Name, Node, Number, Paren, Unary, deparse, fault, variables, walk
from brim.terms.base import Design

__all__ = ["FUNCTIONS", "Elementwise"]

Function = Callable[..., Any]

#: Functions of Stan and R that an expression may call.
FUNCTIONS: dict[str, Function] = {
    **{
        n: getattr(jnp, n)
        for n in (
            "exp",
            "expm1",
            "log1p",
            "log2",
            "log10",
            "sqrt",
            "abs",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "floor",
            "ceil",
            "sign",
            "cbrt",
        )
    },
    "log": lambda x, base=None: jnp.log(x) if base is None else jnp.log(x) / jnp.log(base),
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "atan2": jnp.arctan2,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "fabs": jnp.abs,
    "square": jnp.square,
    "inv": lambda x: 1.0 / x,
    "inv_sqrt": jax.lax.rsqrt,
    "inv_square": lambda x: 1.0 / jnp.square(x),
    "pow": jnp.power,
    "exp2": jnp.exp2,
    "log1m": lambda x: jnp.log1p(-x),
    "log1p_exp": jax.nn.softplus,
    "log1m_exp": lambda x: jnp.log(-jnp.expm1(x)),
    "log_sum_exp": jnp.logaddexp,
    "logit": jsp.logit,
    "inv_logit": jax.nn.sigmoid,
    "plogis": jax.nn.sigmoid,
    "qlogis": jsp.logit,
    "inv_cloglog": lambda x: -jnp.expm1(-jnp.exp(x)),
    "Phi": jsp.ndtr,
    "pnorm": jsp.ndtr,
    "inv_Phi": jsp.ndtri,
    "Phi_approx": lambda x: jax.nn.sigmoid(0.07056 * x**3 + 1.5976 * x),
    "erf": jsp.erf,
    "erfc": jsp.erfc,
    "lgamma": jsp.gammaln,
    "tgamma": lambda x: jnp.exp(jsp.gammaln(x)),
    "gamma": lambda x: jnp.exp(jsp.gammaln(x)),
    "digamma": jsp.digamma,
    "step": lambda x: jnp.where(x >= 0, 1.0, 0.0),
    "int_step": lambda x: jnp.where(x > 0, 1.0, 0.0),
    "fmin": jnp.minimum,
    "fmax": jnp.maximum,
    "pmin": jnp.minimum,
    "pmax": jnp.maximum,
    "fmod": jnp.fmod,
    "ifelse": jnp.where,
    "fma": lambda a, b, c: a * b + c,
    "I": lambda x: x,
}

_OPERATORS: dict[str, Function] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": jnp.power,
    "%%": jnp.mod,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "&": jnp.logical_and,
    "&&": jnp.logical_and,
    "|": jnp.logical_or,
    "||": jnp.logical_or,
}


@final
@dataclass(frozen=True)
class Elementwise:
    """An expression ``f(given, covariates)`` with a value for every row.

    Attributes
    ----------
    node
        The expression.
    given
        Names in it whose values come from elsewhere; all others are columns.
    functions
        The user's functions (JAX) by name, besides ``FUNCTIONS``.
    place
        Where it stands, for messages.
    levels
        Learned: the two levels of columns that are factors; the second one counts 1, the first 0.
    """

    node: Node
    given: tuple[str, ...]
    functions: Mapping[str, Function] = field(compare=False, default_factory=dict, repr=False)
    place: str = field(compare=False, default="a nonlinear formula")
    function_ids: tuple[tuple[str, int], ...] = ()
    levels: Mapping[str, tuple[str, ...]] = field(compare=False, default_factory=dict, repr=False)

    def learn(self, frame: Frame) -> Elementwise:
        """The expression, looked at, that knows the levels of its factors."""
        self._check(self.node)
        used = tuple(sorted((name, id(f)) for name, f in self.functions.items()))
        columns = {name: frame[name] for name in self.variables()}
        levels = {name: c.drop_unused().levels for name, c in columns.items() if isinstance(c, Factor)}
        learned = replace(self, function_ids=used, levels=levels)
        learned.design(frame)
        return learned

    def variables(self) -> tuple[str, ...]:
        """The columns it reads."""
        return tuple(v for v in variables(self.node) if v not in self.given)

    def _check(self, node: Node) -> None:
        """Name a function that is not known before anything is computed."""
        match node:
            case Call(fn, args, kwargs):
                known = {**FUNCTIONS, **self.functions}
                if fn not in known:
                    hint = suggest(fn, known, "functions") + " A function of your own goes into data2={'name': function}."
                    raise fault(node, f"unknown function '{fn}' in {self.place}", hint)
                if kwargs:
                    raise fault(kwargs[0][1], f"{fn}() takes its arguments by position here")
                for a in args:
                    self._check(a)
            case Binary(op, left, right):
                if op not in _OPERATORS:
                    raise fault(node, f"'{op}' has no meaning in {self.place}")
                self._check(left)
                self._check(right)
            case Unary(_, inner) | Paren(inner):
                self._check(inner)

    def design(self, frame: Frame) -> Design:
        """The columns as numbers, factors of two levels as 0 and 1."""
        out: Design = {}
        for name in self.variables():
            column = frame[name]
            out[name] = self._indicator(name, column) if name in self.levels else np.asarray(frame.numbers(name), float)
        return out

    def _indicator(self, name: str, column: Column) -> np.ndarray:
        """A factor of two levels as 0 and 1, as R codes it."""
        node = next(n for n in walk(self.node) if n == Name(name))
        levels = self.levels[name]
        factor = column.as_factor()
        if len(levels) != 2 or factor.ordered:
            what = "ordered" if factor.ordered else f"of {len(levels)} levels"
            hint = f"give it a parameter of its own: b ~ 0 + {name}"
            raise fault(node, f"'{name}' is a factor {what}; {self.place} takes numbers, and factors of two levels", hint)
        codes = match_levels(factor, levels, False, f"column '{name}'").codes
        return np.where(codes < 0, np.nan, codes)

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value from the arrays of what is given and of the design: pure JAX."""
        return evaluate(self.node, values, {**FUNCTIONS, **self.functions})


def evaluate(node: Node, values: Mapping[str, Any], functions: Mapping[str, Function]) -> Any:
    """The value of an expression over arrays."""
    match node:
        case Number(value) | Constant(value):
            return value
        case Name(name):
            return values[name]
        case Paren(inner):
            return evaluate(inner, values, functions)
        case Unary(op, inner):
            v = evaluate(inner, values, functions)
            return -v if op == "-" else jnp.logical_not(v) if op == "!" else v
        case Binary(op, left, right):
            return _OPERATORS[op](evaluate(left, values, functions), evaluate(right, values, functions))
        case Call(fn, args, _):
            return functions[fn](*(evaluate(a, values, functions) for a in args))
    raise BrimError(f"'{deparse(node)}' has no value", source=node.source or None, span=node.span)
