"""Nonlinear predictors: ``y ~ a * exp(-b * x)`` with ``nl=TRUE``; each parameter has a predictor of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final

from brim.frames.frame import Frame
from brim.parameters.param import Where
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.elementwise import Elementwise
from brim.terms.facets import COUNTABLE, Traits

__all__ = ["Nonlinear"]


@final
@dataclass(frozen=True)
class Nonlinear(AbstractTerm):
    """``eta = f(parameters, covariates)`` for every row, with ``f`` written in the formula.

    Attributes
    ----------
    expression
        ``f``; what is given to it are the parameters with predictors of their own.
    where
        The predictor.
    """

    expression: Elementwise
    where: Where

    @property
    def key(self) -> str:
        return f"nl{self.where.suffix}"

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    def learn(self, frame: Frame) -> Self:
        return replace(self, expression=self.expression.learn(frame))

    def variables(self) -> tuple[str, ...]:
        return self.expression.variables()

    def design(self, frame: Frame) -> Design:
        return self.expression.design(frame)

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        return eta + self.expression.value({**design, **{p: params[f"eta:{p}"] for p in self.expression.given}})
