"""Category-specific effects ``cs(x)`` of ordinal families: a coefficient for each threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.matrix import ModelMatrix, brms_name
from brim.errors import warn
from brim.frames.frame import Frame
from brim.language.expand import Call, Node, Terms, arguments, deparse, expand, fault, special, variables
from brim.parameters.param import COEFFICIENTS, Param, Slot, Where
from brim.parameters.reported import COEFFICIENT, Reported
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.facets import COUNTABLE, Traits

__all__ = ["CategorySpecific", "check_taken", "inner_terms", "read", "without_cs"]


def read(terms: tuple[tuple[Node, ...], ...], context: Context) -> Read:
    """All ``cs()`` terms of a predictor as one."""
    calls = [_call(term) for term in terms]
    check_taken(calls[0], context.family, context.additions)
    if context.where.dpar or context.where.nlpar:
        raise fault(calls[0], f"category-specific effects belong to 'mu', not to '{context.where.dpar or context.where.nlpar}'")
    found = tuple(dict.fromkeys(t for call in calls for t in inner_terms(call).terms))
    inner = Terms(True, tuple(sorted(found, key=len)), (), context.terms.node)
    return Read((CategorySpecific(inner, context.where, context.nthres).learn(context.frame),))


def check_taken(call: Node, family: str, additions: tuple[str, ...]) -> None:
    """Whether the family takes category-specific effects: ``cs``, or ``ocs`` where its thresholds are ordered and may cross."""
    hint = "use sratio(), cratio() or acat()"
    if "cs" in additions:
        return
    if "ocs" not in additions:
        raise fault(call, f"the family {family} takes no category-specific effects", hint)
    warn(f"{deparse(call)}: category-specific effects of the family {family} may reverse its thresholds, where nothing is possible; {hint}")


def _call(term: tuple[Node, ...]) -> Call:
    call = next(f for f in term if special(f) is not None)
    assert isinstance(call, Call)
    if len(term) > 1:
        raise fault(call, f"{deparse(call)} cannot stand in an interaction", "write the interaction inside: cs(x * z)")
    return call


def inner_terms(call: Call) -> Terms:
    """What ``cs()`` is about, expanded: ``cs(x * z)`` -> x, z, x:z."""
    _, given = arguments(call)
    if "expr" not in given:
        raise fault(call, "cs() needs a variable", "write cs(x)")
    terms = expand(given["expr"])
    for node in (f for t in terms.terms for f in t):
        if special(node) is not None:
            raise fault(node, f"{deparse(node)} cannot stand in cs()")
    if terms.groups:
        raise fault(call, "a group term cannot stand in cs()", "write (cs(x) | g)")
    return terms


def without_cs(terms: Terms) -> Terms:
    """A group term's coefficients: where they are category-specific, what the ``cs()`` calls hold, the intercept included."""
    calls = [f for t in terms.terms for f in t if isinstance(f, Call) and (entry := special(f)) is not None and entry.kind == "cs"]
    if not calls:
        return terms
    inner = [inner_terms(call) for call in calls]
    found = tuple(sorted(dict.fromkeys(t for one in inner for t in one.terms), key=len))
    return Terms(all(one.intercept for one in inner), found, (), terms.node)


@final
@dataclass(frozen=True)
class CategorySpecific(AbstractTerm):
    """``eta_ik + sum_j X_ij bcs_jk`` for threshold ``k``: the predictor becomes (rows, thresholds). Columns are not centred."""

    terms: Terms = field(compare=False)
    where: Where
    nthres: int
    coefs: tuple[str, ...] = ()
    matrix: ModelMatrix | None = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"bcs{self.where.suffix}"

    @property
    def traits(self) -> Traits:
        return replace(COUNTABLE, stage=2)

    def learn(self, frame: Frame) -> Self:
        matrix = ModelMatrix(self.terms).learn(frame)
        return replace(self, matrix=matrix, coefs=tuple(brms_name(n) for n in matrix.names[1:]))

    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v for t in self.terms.terms for f in t for v in variables(f)))

    def design(self, frame: Frame) -> Design:
        assert self.matrix is not None
        return {"X": self.matrix.matrix(frame)[:, 1:]}

    def params(self) -> tuple[Param, ...]:
        slots = tuple(Slot("b", c, where=self.where, shrinks=COEFFICIENTS) for c in self.coefs for _ in range(self.nthres))
        return (Param(self.key, (len(self.coefs), self.nthres), slots),)

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        eta = eta if eta.ndim == 2 else eta[:, None]
        return eta + design["X"] @ params[self.key]

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        return ((self.key, self.design(frame)["X"], True),)

    def reported(self) -> tuple[Reported, ...]:
        prefix = f"bcs_{self.where.prefix}"
        names = np.array([[f"{prefix}{c}[{k + 1}]" for k in range(self.nthres)] for c in self.coefs], dtype=object)
        coef, thres = f"coef_cs{self.where.suffix}", f"threshold{self.where.suffix}"
        coords = {coef: self.coefs, thres: tuple(str(k + 1) for k in range(self.nthres))}
        return (Reported(self.key, names, COEFFICIENT, self.key, (coef, thres), coords),)
