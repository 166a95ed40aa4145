"""Monotonic effects ``mo(x)`` (Bürkner and Charpentier 2020): ``b * D * sum(simo[1..x])`` with a simplex ``simo``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression, usable
from brim.frames.columns import HOW_TO_ORDER, Factor
from brim.frames.frame import Frame
from brim.language.expand import Call, Constant, Node, Text, arguments, deparse, fault, variables
from brim.limits import within
from brim.parameters.param import Param, Slot
from brim.parameters.reported import Reported, ReportKind, Section
from brim.terms.base import Context, Design, Params
from brim.terms.special.variable import ProductPlace, SpecialVariable, call_name

__all__ = ["Monotonic", "read"]

#: Shares of the steps between neighbouring values.
SIMPLEX = ReportKind("simplex", Section("mo", "Simplex Parameters: ", 5), lambda name: name.removeprefix("simo_"))


def read(call: Call, context: Context) -> Monotonic:
    """``mo(x, id = )``, not yet learned."""
    _, given = arguments(call)
    if "x" not in given:
        raise fault(call, "mo() needs a variable", "write mo(x)")
    return Monotonic(call, Expression(given["x"]), _identifier(given.get("id")))


def _identifier(node: Node | None) -> str:
    """The value of ``id``: a string, or a name taken for one."""
    if node is None or (isinstance(node, Constant) and node.value is None):
        return ""
    return node.value if isinstance(node, Text) else deparse(node)


@final
@dataclass(frozen=True)
class Monotonic(SpecialVariable):
    """An ordered factor or whole numbers, ``x`` in ``0..D`` after learning, with values ``D * sum(simo[1..x])``.

    The simplex ``simo`` (D) belongs to the place in the formula, or is shared by all places of the predictor with the same ``id``.
    ``steps`` is D, ``first`` the smallest number.
    """

    call: Call = field(compare=False)
    expression: Expression
    id: str = ""
    steps: int = 0
    first: float = field(compare=False, default=0.0)

    @property
    def name(self) -> str:
        return call_name(self.call)

    @property
    def kind(self) -> str:
        return "mo"

    @property
    def _node(self) -> Node:
        return self.expression.node

    @property
    def countable(self) -> bool:
        return True

    def learn(self, frame: Frame) -> Self:
        expression = Expression(self._node).learn(frame)
        value = expression.value(frame)
        if isinstance(value, Factor):
            if not (usable(self._node, value).ordered or value.ranked):
                what = f"'{deparse(self._node)}' is not ordered; mo() needs an ordered factor or whole numbers"
                raise fault(self._node, what, f"order its levels: {HOW_TO_ORDER}")
            first, steps = 0.0, len(value.levels) - 1
        else:
            x = expression.numbers(frame)
            if (x != np.floor(x)).any():
                raise fault(
                    self._node,
                    f"'{deparse(self._node)}' is not whole; mo() needs an ordered factor or whole numbers",
                    "round it, or cut it into classes",
                )
            first, steps = float(x.min()), within("columns", float(x.max() - x.min()), f"mo({deparse(self._node)}), by its steps,")
        if steps < 1:
            raise fault(self._node, f"'{deparse(self._node)}' has one value only", "leave the term out")
        return replace(self, expression=expression, steps=steps, first=first)

    def variables(self) -> tuple[str, ...]:
        return variables(self._node)

    def design(self, frame: Frame) -> Design:
        value = self.expression.value(frame)
        x = value.codes if isinstance(value, Factor) else self.expression.numbers(frame) - self.first
        bad = ~((x >= 0) & (x <= self.steps) & (x == np.floor(x)))
        if bad.any():
            row = int(np.argmax(bad))
            known = (
                "the levels of the training data"
                if isinstance(value, Factor)
                else f"whole numbers from {self.first:g} to {self.first + self.steps:g}"
            )
            raise fault(
                self._node,
                f"'{deparse(self._node)}' in {frame.row_name(row)} is outside what mo() was fitted to",
                f"it takes {known}",
            )
        return {"x": np.asarray(x, np.int32)}

    # ------------------------------------------------------------------ the simplex of a place

    def _key(self, place: ProductPlace) -> str:
        return f"simo{place.where.suffix}:{place.coef}{place.number}"

    def _sampled(self, place: ProductPlace) -> str:
        return f"simo{place.where.suffix}::{self.id}" if self.id else self._key(place)

    def params(self, place: ProductPlace) -> tuple[Param, ...]:
        slot = Slot("simo", self.id or f"{place.coef}{place.number}", where=place.where, own_default="dirichlet(1)")
        return (Param(self._sampled(place), (self.steps,), (slot,), space="simplex"),)

    def transform(self, params: Params, place: ProductPlace) -> dict[str, Any]:
        return {self._key(place): params[self._sampled(place)]} if self.id else {}

    def invert(self, reported: Params, place: ProductPlace) -> dict[str, Any]:
        return {self._sampled(place): reported[self._key(place)]} if self.id else {}

    def reported(self, place: ProductPlace) -> tuple[Reported, ...]:
        label = f"simo_{place.where.prefix}{place.coef}{place.number}"
        names = np.array([f"{label}[{i + 1}]" for i in range(self.steps)], dtype=object)
        dim = f"{label}_dim"
        return (Reported(self._key(place), names, SIMPLEX, label, (dim,), {dim: tuple(str(i + 1) for i in range(self.steps))}),)

    def value(self, params: Params, design: Design, place: ProductPlace) -> Any:
        simo = params[self._key(place)]
        return self.steps * jnp.concatenate([jnp.zeros(1, simo.dtype), jnp.cumsum(simo)])[design["x"]]
