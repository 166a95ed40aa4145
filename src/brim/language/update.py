"""The formula of an update, in which ``.`` stands for what was there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brim.language.brms import Formula, MvFormula
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, parse, walk

__all__ = ["updated"]


def updated(old: Formula | MvFormula, new: Any) -> Any:
    """The formula of an update; in a string ``.`` stands for the old side, as in R: ``". ~ . - x"``, ``"~ . + z"``."""
    if new is None:
        return old
    if not isinstance(new, str) or isinstance(old, MvFormula) or "." not in _names(new):
        return new
    node = parse(new if not new.lstrip().startswith("~") else f". {new}")
    assert isinstance(node, Binary)
    text = f"{deparse(_fill(node.left, old.left_node))} ~ {deparse(_fill(node.right, Paren(old.main.rhs)))}"
    return replace(old, main=replace(old.main, node=parse(text)))


def _names(text: str) -> set[str]:
    """The names in a formula, ``.`` among them."""
    return {n.name for n in walk(parse(text)) if isinstance(n, Name)}


def _fill(node: Node, old: Node) -> Node:
    """The node with ``.`` replaced."""
    match node:
        case Name("."):
            return old
        case Binary(op, left, right):
            return Binary(op, _fill(left, old), _fill(right, old))
        case Unary(op, inner):
            return Unary(op, _fill(inner, old))
        case Paren(inner):
            return Paren(_fill(inner, old))
        case Call(fn, args, kwargs):
            return Call(fn, tuple(_fill(a, old) for a in args), tuple((k, _fill(v, old)) for k, v in kwargs))
    return node
