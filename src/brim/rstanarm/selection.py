"""R's arguments beside the formula that every ``stan_*`` function takes: ``subset``, ``na_action``, ``contrasts`` and ``sparse``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import flag
from brim.design.contrasts import CONTRASTS, check_contrasts
from brim.design.expressions import Expression
from brim.design.rows import check_missing, subset_rows
from brim.errors import BrimError, suggest
from brim.frames.columns import Factor, Logical
from brim.frames.frame import Frame
from brim.language.expand import Binary, Call, Node, Paren, Text, Unary, deparse, parse

if TYPE_CHECKING:
    from brim.rstanarm.fit import StanFit

__all__ = ["ARGUMENTS", "VECTORS", "selected"]

#: Arguments that may be vectors with a value for each row of the data.
VECTORS = ("weights", "offset", "strata")
#: What is taken here, before the function itself sees its arguments.
ARGUMENTS = ("subset", "na_action", "contrasts", "sparse", "mean_PPD")


def selected(function: Callable[..., StanFit], given: Mapping[str, Any]) -> StanFit:
    """The function's fit with these arguments: of the rows of ``subset``, with factors coded by ``contrasts``.

    ``sparse`` says how a matrix is held, which changes no number, and ``mean_PPD`` whether ``mean_ppd()`` is computed at once.
    """
    own = {name: value for name, value in given.items() if name in ARGUMENTS}
    rest = {name: value for name, value in given.items() if name not in ARGUMENTS}
    for name in ("sparse", "mean_PPD"):
        if name in own:
            flag(name, own[name])
    chosen = [n for n in ("subset", "na_action", "contrasts") if own.get(n) is not None]
    if not chosen:
        return function(**rest)
    if "data" not in rest or not isinstance(rest.get("formula"), str):
        raise BrimError(f"{function.__name__}() has no argument '{chosen[0]}'", hint="choose rows and code factors in the data frames")
    frame = Frame.read(rest["data"])
    if own.get("subset") is not None:
        rows = np.flatnonzero(subset_rows(own["subset"], frame))
        rest |= {name: _taken(name, rest[name], frame.n, rows) for name in VECTORS if name in rest}
        frame = frame.take(rows)
    rest["data"] = frame
    coded = _coded(rest["formula"], own.get("contrasts"), frame)
    call = {**rest, "formula": coded.formula}
    if own.get("na_action") is not None:
        check_missing(own["na_action"], np.zeros(0, int))
        if str(own["na_action"]).endswith("fail"):
            kept = function(**{**call, "empty": True}).nobs()
            if kept < frame.n:
                raise BrimError(f"missing values in {frame.n - kept} rows", hint="na_action='na.omit' leaves these rows out")
    return coded.renamed(function(**call))


def _taken(name: str, value: Any, n: int, rows: np.ndarray) -> Any:
    """A vector's values of these rows; names of columns stay."""
    if value is None or isinstance(value, str):
        return value
    values = np.asarray(value)
    if values.shape != (n,):
        raise BrimError(f"{name} has {values.size} values for {n} rows")
    return values[rows]


@final
@dataclass(frozen=True)
class _Coded:
    """A formula with ``C(f, "contr.sum")`` for ``f``, and how its names are read back: code -> ``f``."""

    written: str
    formula: str
    names: Mapping[str, str]

    def _plain(self, name: str) -> str:
        for code, label in self.names.items():
            name = name.replace(code, label)
        return name

    def renamed(self, fit: StanFit) -> StanFit:
        """The fit with the formula and the names of R's call."""
        call = fit.call
        if not self.names or call is None:
            return fit
        names = replace(call.names, first=tuple((self._plain(stan), brms) for stan, brms in call.names.first))
        squares = {self._plain(term): at for term, at in call.squares.items()}
        coefs = tuple(map(self._plain, call.coefs))
        return replace(fit, call=replace(call, formula=self.written, names=names, coefs=coefs, squares=squares))


def _coded(formula: str, contrasts: Any, frame: Frame) -> _Coded:
    node = parse(formula)
    if not contrasts or not isinstance(node, Binary) or node.op != "~":
        check_contrasts(contrasts, ())
        return _Coded(formula, formula, {})
    leaves: dict[str, bool] = {}

    def look(leaf: Node) -> Node:
        if isinstance(leaf, Call) and leaf.fn in ("s", "t2", "te", "ti", "offset"):
            return leaf
        try:
            value = Expression(leaf).learn(frame).value(frame)
        except BrimError:
            return leaf  # what the function itself will refuse
        leaves[deparse(leaf)] = isinstance(value, Factor | Logical)
        return leaf

    _mapped(node.right, look)
    asked = check_contrasts(contrasts, [n for n, yes in leaves.items() if yes], [n for n, yes in leaves.items() if not yes])
    codes = {label: _named(label, given) for label, given in asked.items()}

    def code(leaf: Node) -> Node:
        name = codes.get(deparse(leaf))
        return leaf if name is None else _call(leaf, name)

    written = Binary("~", node.left, _mapped(node.right, code))
    return _Coded(formula, deparse(written), {deparse(_call(parse(label), name)): label for label, name in codes.items()})


def _call(leaf: Node, name: str) -> Node:
    """``C(leaf, "name")``; arguments are written in the order in which they stand."""
    return Call("C", (leaf, Text(name, span=(leaf.span[1], leaf.span[1]))))


def _named(label: str, given: Any) -> str:
    name = given if isinstance(given, str) and given.startswith("contr.") else f"contr.{given}"
    if not isinstance(given, str):
        raise BrimError(
            f"contrasts of '{label}' are a matrix", hint=f"name them ({', '.join(CONTRASTS)}), or put the coded columns into the data"
        )
    if name not in CONTRASTS:
        raise BrimError(f"unknown contrasts of '{label}': {given!r}", hint=suggest(name, CONTRASTS, "contrasts"))
    return name


def _mapped(node: Node, change: Callable[[Node], Node], top: bool = True) -> Node:
    """A right-hand side with its variables changed; group terms stay as they are, coded as R codes them by default."""
    match node:
        case Binary("|" | "||") if not top:
            return node
        case Binary("^", left):
            return replace(node, left=_mapped(left, change, top))
        case Binary(op, left, right) if op in ("+", "-", "*", ":", "/", "%in%", "|"):
            return replace(node, left=_mapped(left, change, top), right=_mapped(right, change, top))
        case Unary(_, operand):
            return replace(node, operand=_mapped(operand, change, top))
        case Paren(inner):
            return replace(node, inner=_mapped(inner, change, False))
    return change(node)
