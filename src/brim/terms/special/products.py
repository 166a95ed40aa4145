"""Special effects ``bsp``: products of plain columns and of special variables, ``mo(x)``, ``me(x, sd)``, ``mi(x)``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.matrix import ModelMatrix, brms_name
from brim.frames.frame import Frame
from brim.language.expand import Call, Name, Node, Terms, deparse, fault, special, variables
from brim.parameters.param import COEFFICIENTS, Param, Slot, Where
from brim.parameters.reported import COEFFICIENT, Reported
from brim.terms.base import AbstractTerm, Context, Design, Params, Read, given_key
from brim.terms.facets import Traits
from brim.terms.registry import variable_reader
from brim.terms.special.variable import ProductPlace, SpecialVariable

__all__ = ["Product", "SpecialEffects", "read", "stand_in"]


def read(terms: tuple[tuple[Node, ...], ...], context: Context) -> Read:
    """All terms of a predictor with a special variable in them."""
    calls = dict.fromkeys(f for term in terms for f in term if isinstance(f, Call) and special(f) is not None)
    for call in calls:
        kind = special(call)
        assert kind is not None
        if not kind.factor:
            raise fault(call, f"{deparse(call)} cannot stand in an interaction with mo(), me() or mi()")
    found = {call: variable_reader(call)(call, context) for call in calls}
    names: dict[str, Call] = {}
    for call, variable in found.items():
        other = names.setdefault(variable.name, call)
        if other is not call:
            raise fault(call, f"{deparse(other)} and {deparse(call)} both would be called '{variable.name}'", "rename one of the columns")
    plain = tuple(tuple(stand_in(f) for f in term) for term in terms)
    effects = SpecialEffects(Terms(True, plain, (), context.terms.node), context.where, tuple(found), tuple(found.values()))
    learned = effects.learn(context.frame)
    return Read((learned,), tuple(t for v in learned.variable for t in v.shared()))


def stand_in(node: Node) -> Node:
    """The column of ones that takes a special call's place in the design matrix, under the call's own text as name."""
    return Name(deparse(node), source=node.source, span=node.span) if special(node) is not None else node


@dataclass(frozen=True)
class Product:
    """What a coefficient multiplies: special variables (by number, with their place) and a plain column, if there is one."""

    coef: str
    factors: tuple[tuple[int, ProductPlace], ...]
    column: int | None


@final
@dataclass(frozen=True)
class SpecialEffects(AbstractTerm):
    """``eta + sum_k bsp_k C_k v_k(1) v_k(2) ...`` with plain columns ``C`` and special variables ``v``.

    Columns are those of R's model matrix of the terms (and an intercept) with every special variable as a number, so that factors
    are coded as in interactions of plain numbers.
    """

    terms: Terms = field(compare=False)
    where: Where
    calls: tuple[Call, ...]
    variable: tuple[SpecialVariable, ...]
    products: tuple[Product, ...] = ()
    plain: tuple[int, ...] = ()
    matrix: ModelMatrix | None = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"bsp{self.where.suffix}"

    @property
    def coefs(self) -> tuple[str, ...]:
        return tuple(p.coef for p in self.products)

    # ------------------------------------------------------------------ learning

    @property
    def traits(self) -> Traits:
        apart = all(v.countable for v in self.variable)
        return Traits(countable=apart, rowwise=apart, gives=tuple(given_key(self.where, c) for c in self.coefs))

    def learn(self, frame: Frame) -> Self:
        learned = tuple(v.learn(frame) for v in self.variable)
        matrix = ModelMatrix(self.terms).learn(self._with_ones(frame))
        columns: list[int] = []
        products = []
        for at, coef in list(enumerate(map(brms_name, matrix.names)))[1:]:
            term = self.terms.terms[matrix.assign[at] - 1]
            plain = any(not self._is_special(f) for f in term)
            products.append(Product(coef, self._factors(term, coef), len(columns) if plain else None))
            columns += [at] if plain else []
        return replace(self, variable=learned, products=tuple(products), plain=tuple(columns), matrix=matrix)

    def _with_ones(self, frame: Frame) -> Frame:
        return frame.with_columns({deparse(call): np.ones(frame.n) for call in self.calls})

    def _is_special(self, node: Node) -> bool:
        return isinstance(node, Name) and node.name in {deparse(c) for c in self.calls}

    def _factors(self, term: tuple[Node, ...], coef: str) -> tuple[tuple[int, ProductPlace], ...]:
        """The special variables of a term, in the order of the coefficient's name; each kind is numbered by itself."""
        text = [deparse(c) for c in self.calls]
        order = {node: i for i, node in enumerate(dict.fromkeys(n for t in self.terms.terms for n in t))}
        out, counts = [], Counter[str]()
        for node in sorted(term, key=order.__getitem__):
            if isinstance(node, Name) and node.name in text:
                at = text.index(node.name)
                kind = self.variable[at].kind
                counts[kind] += 1
                out.append((at, ProductPlace(self.where, coef, counts[kind])))
        return tuple(out)

    def variables(self) -> tuple[str, ...]:
        plain = [name for t in self.terms.terms for f in t if not self._is_special(f) for name in variables(f)]
        return tuple(dict.fromkeys([*plain, *(name for v in self.variable for name in v.variables())]))

    def design(self, frame: Frame) -> Design:
        out: Design = {f"{v.name}.{key}": value for v in self.variable for key, value in v.design(frame).items()}
        if self.plain:
            assert self.matrix is not None
            out["C"] = np.ascontiguousarray(self.matrix.matrix(self._with_ones(frame))[:, self.plain].T)
        return out

    # ------------------------------------------------------------------ numbers

    def _placed(self) -> list[tuple[SpecialVariable, ProductPlace]]:
        return [(self.variable[i], place) for p in self.products for i, place in p.factors]

    def params(self) -> tuple[Param, ...]:
        slots = tuple(Slot("b", c, where=self.where, shrinks=COEFFICIENTS) for c in self.coefs)
        out = {self.key: Param(self.key, (len(slots),), slots)}
        for v, place in self._placed():
            for p in v.params(place):
                if p.name in out and out[p.name].shape != p.shape:
                    raise fault(
                        self.calls[self.variable.index(v)],
                        f"{v.name} cannot share its simplex: the variables have different numbers of steps",
                        "give them other ids",
                    )
                out.setdefault(p.name, p)
        return tuple(out.values())

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return {key: value for v, place in self._placed() for key, value in v.transform(params, place).items()}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        return {key: value for v, place in self._placed() for key, value in v.invert(reported, place).items()}

    def _values(self, product: Product, params: Params, design: Design) -> Any:
        """What a coefficient multiplies, (rows,)."""
        value: Any = 1.0 if product.column is None else design["C"][product.column]
        for at, place in product.factors:
            v = self.variable[at]
            own = {key.removeprefix(f"{v.name}."): x for key, x in design.items() if key.startswith(f"{v.name}.")}
            value = value * v.value(params, own, place)
        return value

    def given(self, params: Params, design: Design) -> dict[str, Any]:
        return {key: self._values(p, params, design) for key, p in zip(self.traits.gives, self.products, strict=True)}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        for k, product in enumerate(self.products):
            eta = eta + params[self.key][k] * self._values(product, params, design)
        return eta

    def reported(self) -> tuple[Reported, ...]:
        names = np.array([f"bsp_{self.where.prefix}{c}" for c in self.coefs], dtype=object)
        dim = f"special{self.where.suffix}"
        out = {self.key: Reported(self.key, names, COEFFICIENT, self.key, (dim,), {dim: self.coefs})}
        for v, place in self._placed():
            out |= {q.key: q for q in v.reported(place)}
        return tuple(out.values())
