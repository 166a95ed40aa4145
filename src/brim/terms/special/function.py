"""Functions of estimated values as predictors: ``I(me(x, sdx)^2)``, ``log(mi(x))``, ``I(mi(x) * z)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, fault, values_in
from brim.terms.base import AbstractTerm, Context, Design, Params
from brim.terms.elementwise import Elementwise
from brim.terms.registry import variable_reader
from brim.terms.special.variable import ProductPlace, SpecialVariable, call_name

__all__ = ["FunctionOf", "read"]


def read(call: Call, context: Context) -> FunctionOf:
    """A call that takes ``me()`` or ``mi()``, and columns."""
    inner = values_in(call)
    for one in inner:
        if one.fn == "mo":
            raise fault(call, f"no function can be taken of {deparse(one)}", "it stands alone, or in interactions")
    names = {one: deparse(one) for one in inner}
    functions = {name: f for name, f in context.data2.items() if callable(f)}
    expression = Elementwise(_with_names(call, names), tuple(names.values()), functions, "a function of estimated values")
    return FunctionOf(call, expression, tuple(variable_reader(one)(one, context) for one in inner))


def _with_names(node: Node, names: Mapping[Call, str]) -> Node:
    """The expression with names in place of these calls."""
    here: dict[str, Any] = {"source": node.source, "span": node.span}
    match node:
        case Call(fn, args, kwargs):
            if node in names:
                return Name(names[node], **here)
            return Call(fn, tuple(_with_names(a, names) for a in args), tuple((k, _with_names(v, names)) for k, v in kwargs), **here)
        case Binary(op, left, right):
            return Binary(op, _with_names(left, names), _with_names(right, names), **here)
        case Unary(op, operand):
            return Unary(op, _with_names(operand, names), **here)
        case Paren(inside):
            return Paren(_with_names(inside, names), **here)
    return node


@final
@dataclass(frozen=True)
class FunctionOf(SpecialVariable):
    """``f(v_1, ..., columns)`` of other special variables ``v``, row by row."""

    call: Call = field(compare=False)
    expression: Elementwise
    inner: tuple[SpecialVariable, ...]

    @property
    def name(self) -> str:
        return call_name(self.call)

    @property
    def kind(self) -> str:
        return "of"

    def learn(self, frame: Frame) -> Self:
        learned = replace(self, expression=self.expression.learn(frame), inner=tuple(v.learn(frame) for v in self.inner))
        learned._check_known(frame)
        return learned

    def _check_known(self, frame: Frame) -> None:
        """Where all values are known, the function must be finite."""
        known = [v.known(frame) for v in self.inner]
        if any(values is None for values in known):
            return
        columns = self.expression.design(frame)
        values = {**columns, **dict(zip(self.expression.given, known, strict=True))}
        with np.errstate(all="ignore"):
            found = np.broadcast_to(np.asarray(self.expression.value(values), float), (frame.n,))
        bad = ~np.isfinite(found) & np.all([np.isfinite(v) for v in values.values()], axis=0)
        if bad.any():
            raise fault(self.call, f"{deparse(self.call)} is not finite in {frame.named(bad)}")

    def variables(self) -> tuple[str, ...]:
        return (*self.expression.variables(), *(name for v in self.inner for name in v.variables()))

    def design(self, frame: Frame) -> Design:
        own = {f"{v.name}.{key}": value for v in self.inner for key, value in v.design(frame).items()}
        return {**self.expression.design(frame), **own}

    def value(self, params: Params, design: Design, place: ProductPlace) -> Any:
        given = {}
        for name, v in zip(self.expression.given, self.inner, strict=True):
            own = {key.removeprefix(f"{v.name}."): x for key, x in design.items() if key.startswith(f"{v.name}.")}
            given[name] = v.value(params, own, place)
        return self.expression.value({**design, **given})

    def shared(self) -> tuple[AbstractTerm, ...]:
        return tuple(t for v in self.inner for t in v.shared())
