"""R's self-starting curves, as expressions of their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from brim.errors import suggest
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, fault, parse

__all__ = ["CURVES", "written_out"]

#: Arguments, and the curve.
CURVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "SSlogis": (("input", "Asym", "xmid", "scal"), "Asym / (1 + exp((xmid - input) / scal))"),
    "SSasymp": (("input", "Asym", "R0", "lrc"), "Asym + (R0 - Asym) * exp(-exp(lrc) * input)"),
    "SSasympOff": (("input", "Asym", "lrc", "c0"), "Asym * (1 - exp(-exp(lrc) * (input - c0)))"),
    "SSasympOrig": (("input", "Asym", "lrc"), "Asym * (1 - exp(-exp(lrc) * input))"),
    "SSfpl": (("input", "A", "B", "xmid", "scal"), "A + (B - A) / (1 + exp((xmid - input) / scal))"),
    "SSgompertz": (("x", "Asym", "b2", "b3"), "Asym * exp(-b2 * b3^x)"),
    "SSmicmen": (("input", "Vm", "K"), "Vm * input / (K + input)"),
    "SSweibull": (("x", "Asym", "Drop", "lrc", "pwr"), "Asym - Drop * exp(-exp(lrc) * x^pwr)"),
    "SSbiexp": (("input", "A1", "lrc1", "A2", "lrc2"), "A1 * exp(-exp(lrc1) * input) + A2 * exp(-exp(lrc2) * input)"),
    "SSfol": (
        ("Dose", "input", "lKe", "lKa", "lCl"),
        "Dose * exp(lKe + lKa - lCl) * (exp(-exp(lKe) * input) - exp(-exp(lKa) * input)) / (exp(lKa) - exp(lKe))",
    ),
}


def written_out(node: Node) -> Node:
    """The expression with self-starting curves replaced by what they are.

    Examples
    --------
    >>> from brim.language.expand import deparse
    >>> deparse(written_out(parse("SSmicmen(x, a, b)")))
    '(a) * (x)/((b) + (x))'
    """
    match node:
        case Call(fn, args) if fn in CURVES:
            names, text = CURVES[fn]
            if len(args) != len(names) or node.kwargs:
                raise fault(node, f"{fn}() takes {len(names)} arguments: {', '.join(names)}")
            given = {n: Paren(written_out(a)) for n, a in zip(names, args, strict=True)}
            return _replaced(parse(text), given)
        case Call(fn) if fn.startswith("SS"):
            raise fault(node, f"unknown self-starting curve '{fn}'", suggest(fn, CURVES, "curves"))
        case Call(_, args):
            return replace(node, args=tuple(map(written_out, args)))
        case Binary(_, left, right):
            return replace(node, left=written_out(left), right=written_out(right))
        case Unary(_, operand):
            return replace(node, operand=written_out(operand))
        case Paren(inner):
            return replace(node, inner=written_out(inner))
    return node


def _replaced(node: Node, given: Mapping[str, Node]) -> Node:
    match node:
        case Name(name):
            return given.get(name, node)
        case Call(_, args):
            return replace(node, args=tuple(_replaced(a, given) for a in args))
        case Binary(_, left, right):
            return replace(node, left=_replaced(left, given), right=_replaced(right, given))
        case Unary(_, operand):
            return replace(node, operand=_replaced(operand, given))
        case Paren(inner):
            return replace(node, inner=_replaced(inner, given))
    return node
