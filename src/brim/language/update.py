"""The formula of an update, in which ``.`` stands for what was there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brim.errors import BrimError
from brim.language.brms import Formula, MvFormula, as_formula
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, parse, walk
from brim.language.formula import Fixed, Predictor, Predictors

__all__ = ["updated"]


def updated(old: Formula | MvFormula, new: Any) -> Any:
    """The formula of an update, as in R and brms: ``". ~ . - x"``, ``"~ . + z"``, ``bf(". ~ .", "sigma ~ . + z")``.

    Formulas and values of further parameters are kept unless new ones are given. The formula of a nonlinear model without a ``.``
    replaces the old one with all that belongs to it.

    Examples
    --------
    >>> print(updated(as_formula("y ~ x + z"), ". ~ . - z"))
    y ~ (x + z) - z
    """
    if new is None:
        return old
    made = as_formula(new)
    if isinstance(made, MvFormula) or isinstance(old, MvFormula):
        if _dotted(*(p.node for f in made.formulas for p in (f.main, *f.predictors))):
            raise BrimError("'.' does not stand for the formulas of several responses", hint="give the new formula in full")
        return made
    if old.nl and not _dotted(made.main.node):
        return made
    flags = made.main if made.main != replace(Predictor("mu", made.main.node)) else old.main
    main = replace(flags, node=_main(made.main.node, old), nl=old.nl or made.nl)
    predictors = tuple(_predictor(one, old) for one in made.predictors)
    found = replace(old, main=main, family=made.family if made.family is not None else old.family)
    found = replace(found, autocor=made.autocor or old.autocor, unused=made.unused or old.unused)
    return Fixed(made.fixed).joined(Predictors(predictors).joined(found))


def _main(new: Node, old: Formula) -> Node:
    assert isinstance(new, Binary)
    return parse(f"{deparse(_fill(new.left, old.left_node))} ~ {deparse(_fill(new.right, Paren(old.main.rhs)))}")


def _predictor(new: Predictor, old: Formula) -> Predictor:
    """The formula of a further parameter, in which ``.`` stands for that parameter's old one."""
    if not _dotted(new.node):
        return new
    if new.par not in old.parameters:
        raise BrimError(f"'.' in the formula of {new.par} stands for its old formula, and there is none", source=str(new))
    return replace(new, node=parse(f"{new.par} ~ {deparse(_fill(new.rhs, Paren(old.predictor(new.par).rhs)))}"))


def _dotted(*nodes: Node) -> bool:
    return any(isinstance(n, Name) and n.name == "." for node in nodes for n in walk(node))


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
