"""The formula of an update, in which ``.`` stands for what was there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brim.errors import BrimError
from brim.language.brms import Formula, MvFormula, as_formula
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, expand, parse, walk
from brim.language.formula import Fixed, Predictor, Predictors

__all__ = ["updated"]


def updated(old: Formula | MvFormula, new: Any) -> Any:
    """The formula of an update, as in R and brms: ``". ~ . - x"``, ``"~ . + z"``, ``bf(". ~ .", "sigma ~ . + z")``.

    Formulas and values of further parameters are kept unless new ones are given. The formula of a nonlinear model without a ``.``
    replaces the old one with all that belongs to it.

    Examples
    --------
    >>> print(updated(as_formula("y ~ x + z"), ". ~ . - z + w"))
    y ~ x + w
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
    nl = old.nl or made.nl
    main = replace(flags, node=_main(made.main.node, old, nl), nl=nl)
    predictors = tuple(_predictor(one, old) for one in made.predictors)
    found = replace(old, main=main, family=made.family if made.family is not None else old.family)
    found = replace(found, autocor=made.autocor or old.autocor, unused=made.unused or old.unused)
    return Fixed(made.fixed).joined(Predictors(predictors).joined(found))


def _main(new: Node, old: Formula, nl: bool) -> Node:
    assert isinstance(new, Binary)
    return _written(deparse(_fill(new.left, old.left_node)), _fill(new.right, Paren(old.main.rhs)), nl)


def _predictor(new: Predictor, old: Formula) -> Predictor:
    """The formula of a further parameter, in which ``.`` stands for that parameter's old one."""
    if not _dotted(new.node):
        return new
    if new.par not in old.parameters:
        raise BrimError(f"'.' in the formula of {new.par} stands for its old formula, and there is none", source=str(new))
    return replace(new, node=_written(new.par, _fill(new.rhs, Paren(old.predictor(new.par).rhs)), new.nl))


def _written(left: str, right: Node, nl: bool) -> Node:
    """The whole formula; terms that are taken away again are left out, as are the parentheses around a sum, where that changes nothing."""
    whole = parse(f"{left} ~ {deparse(right)}")
    if nl:
        return whole
    kept: list[tuple[bool, Node]] = []
    for plus, node in _summands(right, True):
        same = [item for item in kept if item == (True, node)]
        kept = [item for item in kept if item not in same]
        if plus or not same:
            kept.append((plus, node))
    text = "".join(f" {'+' if plus else '-'} {deparse(node)}" for plus, node in kept)
    short = parse(f"{left} ~ {text.removeprefix(' + ') or '1'}")
    return short if _said(short) == _said(whole) else whole


def _summands(node: Node, plus: bool) -> list[tuple[bool, Node]]:
    """The summands of a formula's right-hand side with their signs; a sum in parentheses is taken apart."""
    match node:
        case Binary("+", left, right):
            return [*_summands(left, plus), *_summands(right, plus)]
        case Binary("-", left, right) if plus:
            return [*_summands(left, True), *_summands(right, False)]
        case Paren(inner) if not (isinstance(inner, Binary) and inner.op in ("|", "||")):
            return _summands(inner, plus)
    return [(plus, node)]


def _said(formula: Node) -> tuple[bool, frozenset[frozenset[str]], frozenset[str]]:
    """What a formula says, whatever the order of its terms."""
    terms = expand(formula)
    return terms.intercept, frozenset(frozenset(map(deparse, t)) for t in terms.terms), frozenset(deparse(g.node) for g in terms.groups)


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
