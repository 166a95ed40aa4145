"""The text of a prior, ``normal(0, 1)``, read: a law by name and its numbers. Nothing in it is run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from brim.errors import BrimError, suggest
from brim.language.expand import Binary, Call, Constant, Name, Node, Number, Paren, Unary, deparse, fault, parse
from brim.parameters.laws import ALIASES, JOINT, LAWS, SHRINKING, Law

__all__ = ["ParsedPrior", "parse_prior"]

Vector: TypeAlias = tuple[float, ...]
#: The longest vector that a prior may spell out with ``1:n``.
LONGEST = 10_000


@dataclass(frozen=True)
class ParsedPrior:
    """``law(args)``; law ``"flat"``, ``"constant"`` or one of ``SHRINKING`` besides those of the tables.

    Attributes
    ----------
    law
        Its name.
    args
        Its arguments; vectors are joined, ``dirichlet(c(2, 1))`` is ``dirichlet(2, 1)``.
    named
        Arguments by name (of the shrinkage priors): a number, or several.
    matrix
        The name of a matrix that ``constant()`` refers to, or its rows.
    """

    law: str
    args: Vector = ()
    named: tuple[tuple[str, float | Vector], ...] = ()
    matrix: str | tuple[Vector, ...] = ""


def parse_prior(text: str, symbols: Mapping[str, float] | None = None) -> ParsedPrior:
    """Read a prior in Stan's notation; ``symbols`` are names that stand for numbers.

    Numbers may be computed, ``normal(0, sqrt(2) / 2)``, vectors are R's, ``c(1, 2)`` and ``1:3``, or Stan's, ``[1, 2]'``.

    Errors
    ------
    BrimError
        Unknown law, wrong number of arguments, an argument that is no finite number, a scale that is not positive.

    Examples
    --------
    >>> parse_prior("student_t(3, 0, 2.5)")
    ParsedPrior(law='student_t', args=(3.0, 0.0, 2.5), named=(), matrix='')
    >>> parse_prior("dirichlet(c(2, 1:2))").args
    (2.0, 1.0, 2.0)
    """
    stripped = text.strip()
    if stripped in ("", "flat", "(flat)", "flat()"):
        return ParsedPrior("flat")
    node = parse(_as_r(stripped))
    if not isinstance(node, Call):
        raise BrimError(f"'{text}' is not a prior", source=text, hint="write a distribution in Stan's notation, for example normal(0, 1)")
    known = symbols or {}
    if node.fn in SHRINKING:
        return _shrinking(node, known)
    if node.kwargs:
        raise fault(node.kwargs[0][1], f"{node.fn}() takes its arguments by position")
    if node.fn == "constant":
        return _constant(node, known)
    name = ALIASES.get(node.fn, node.fn)
    law = LAWS.get(name) or JOINT.get(name)
    if law is None:
        raise fault(
            node, f"unknown prior distribution '{node.fn}'", suggest(node.fn, [*LAWS, *JOINT, *SHRINKING, "constant"], "distributions")
        )
    args = tuple(v for a in node.args for v in (_vector(a, known) if law.arity < 0 else (_number(a, known),)))
    _check_args(name, law, args, node)
    return ParsedPrior(name, args)


def _shrinking(node: Call, known: Mapping[str, float]) -> ParsedPrior:
    """A number, a vector, or ``TRUE`` and ``FALSE`` as 1 and 0."""

    def value(arg: Node) -> float | Vector:
        if isinstance(arg, Constant) and isinstance(arg.value, bool):
            return float(arg.value)
        numbers = _vector(arg, known)
        return numbers[0] if len(numbers) == 1 else numbers

    args = tuple(_number(a, known) if not isinstance(a, Constant) else float(value(a)) for a in node.args)  # type: ignore[arg-type]
    return ParsedPrior(node.fn, args, tuple((k, value(v)) for k, v in node.kwargs))


def _constant(node: Call, known: Mapping[str, float]) -> ParsedPrior:
    """``constant(1)``, ``constant(c(0.2, 0.8))``, or a matrix: ``constant(M)``, ``constant(cbind(c(1, 0.5), c(0.5, 1)))``."""
    if len(node.args) != 1:
        raise fault(node, "constant() takes one value")
    (arg,) = node.args
    if isinstance(arg, Name) and arg.name not in known:
        return ParsedPrior("constant", matrix=arg.name)
    if isinstance(arg, Call) and arg.fn in ("cbind", "rbind"):
        return ParsedPrior("constant", matrix=tuple(_vector(a, known) for a in arg.args))
    return ParsedPrior("constant", _vector(arg, known))


def _as_r(text: str) -> str:
    """Stan's vectors and matrices as R's: ``[1, 2]'`` is ``c(1, 2)``, ``[[1, 0], [0, 1]]`` (or that in quotes) ``rbind(c(1, 0), c(0, 1))``.

    Indices, ``b[1]``, stay what they are.
    """
    if "[" not in text:
        return text
    flat = re.sub(r"(?<![\w\])])\[([^\[\]]*)\]'?", r"c(\1)", re.sub(r'"(\s*\[.*\]\s*)"', r"\1", text))
    return re.sub(r"(?<![\w\])])\[(\s*c\(.*\))\s*\]", r"rbind(\1)", flat)


def _check_args(name: str, law: Law, args: Vector, node: Call) -> None:
    if law.arity >= 0 and len(args) != law.arity:
        raise fault(node, f"{name}() takes {law.arity} argument{'s' * (law.arity != 1)}, not {len(args)}")
    if not args and law.arity:
        raise fault(node, f"{name}() needs an argument")
    for i in law.positive if law.arity >= 0 else range(len(args)):
        if not args[i] > 0:
            raise fault(node.args[min(i, len(node.args) - 1)], f"argument {i + 1} of {name}() must be positive, not {args[i]:g}")
    if name == "uniform" and not args[0] < args[1]:
        raise fault(node, "uniform(a, b) needs a < b")


_OPS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
_FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log, "abs": abs}


def _vector(node: Node, known: Mapping[str, float]) -> Vector:
    """``c(1, 2)``, ``1:3``, ``rep(1, 3)``, or one number."""
    match node:
        case Paren(inner):
            return _vector(inner, known)
        case Call("c", args, ()) if args:
            return tuple(v for a in args for v in _vector(a, known))
        case Call("rep", (value, times), ()):
            return (_number(value, known),) * _length(times, _number(times, known))
        case Binary(":", left, right):
            a, b = _number(left, known), _number(right, known)
            step = 1.0 if b >= a else -1.0
            return tuple(a + step * i for i in range(_length(node, abs(b - a) + 1)))
    return (_number(node, known),)


def _length(node: Node, value: float) -> int:
    if not 1 <= value <= LONGEST:
        raise fault(node, f"a vector of {value:g} numbers in a prior", f"give 1 to {LONGEST}")
    return int(value + 1e-10)


def _number(node: Node, known: Mapping[str, float]) -> float:
    """The value of a constant arithmetic expression, finite."""
    try:
        value = _value(node, known)
    except (ArithmeticError, ValueError) as error:
        if isinstance(error, BrimError):
            raise
        raise fault(node, f"{deparse(node)} is not a finite number", "prior arguments are finite numbers") from None
    except RecursionError:
        raise BrimError("a prior's argument is nested too deeply", hint="write it as a number") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise fault(node, f"{deparse(node)} is not a finite number", "prior arguments are finite numbers")
    return value


def _value(node: Node, known: Mapping[str, float]) -> float:
    match node:
        case Name(name) if name in known:
            return known[name]
        case Number(value):
            return float(value)
        case Constant(value) if isinstance(value, float):
            return value
        case Paren(inner):
            return _value(inner, known)
        case Unary("+" | "-" as op, operand):
            return _value(operand, known) * (-1 if op == "-" else 1)
        case Binary(op, left, right) if op in _OPS:
            return _OPS[op](_value(left, known), _value(right, known))
        case Call(fn, (arg,), ()) if fn in _FUNCTIONS:
            return _FUNCTIONS[fn](_value(arg, known))
    what = f"'{node.name}'" if isinstance(node, Name) else f"'{deparse(node)}'"
    raise fault(node, f"{what} is not a number", "prior arguments are numbers; hierarchical priors come from group terms")
