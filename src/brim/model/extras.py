"""A family's parameters that belong to no predictor (thresholds, mixing proportions, a baseline hazard), as a term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

from brim.families.base import Dpar, Extra
from brim.frames.frame import Frame
from brim.parameters.param import Param, Where
from brim.parameters.reported import Reported
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, Traits
from brim.terms.population import Population

__all__ = ["FamilyExtra"]


@final
@dataclass(frozen=True)
class FamilyExtra(AbstractTerm):
    """One ``Extra`` of a response's family. It adds nothing to a predictor; the family's distribution reads it.

    ``main`` is the main predictor's population term, if it has one: thresholds are sampled where its columns have their mean.
    """

    extra: Extra
    where: Where
    index: int
    main: Population | None

    @property
    def key(self) -> str:
        return f"extra{self.index}{self.where.suffix}"

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return {} if self.main is None else self.main.constants()

    def params(self) -> tuple[Param, ...]:
        return self.extra.params(self.where)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return self.extra.transform(params, self.where, self._shift(params, design))

    def _shift(self, params: Params, design: Design) -> Any:
        return 0.0 if self.main is None else self.main.shift(params, design)

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        return self.extra.invert(reported, self.where, self._shift(reported, design))

    def dpars(self, params: Params, data: Design) -> dict[str, Dpar]:
        """What the family's distribution takes."""
        return self.extra.dpars(params, self.where, data)

    def reported(self) -> tuple[Reported, ...]:
        return self.extra.reported(self.where)
