"""Intercepts of a mixture's components in ascending order, which tells components of one family apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final

import jax.numpy as jnp

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.parameters.param import Param
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, Traits

__all__ = ["OrderedIntercepts"]


@final
@dataclass(frozen=True)
class OrderedIntercepts(AbstractTerm):
    """``Intercept_mu1 < Intercept_mu2 < ...``, at the mean of the predictors' columns: sampled as one ascending vector.

    Attributes
    ----------
    parts
        The intercepts as their predictors made them, with their priors.
    """

    parts: tuple[Param, ...]

    @staticmethod
    def of(parts: tuple[Param, ...]) -> OrderedIntercepts:
        """Raises where a prior holds an intercept fixed or within bounds."""
        for p in parts:
            if p.constants or p.lb is not None or p.ub is not None:
                raise BrimError(
                    f"'{p.name}' has a constant or bounded prior, and the intercepts of the mixture ascend",
                    hint="say mixture(..., order='none') to leave out their order",
                )
        return OrderedIntercepts(parts)

    @property
    def key(self) -> str:
        return f"ordered_{self.parts[0].name}"

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return {}

    def params(self) -> tuple[Param, ...]:
        pieces = tuple(replace(piece, index=(k,)) for k, p in enumerate(self.parts) for piece in p.pieces)
        slots = tuple(s for p in self.parts for s in p.slots)
        return (Param(self.key, (len(self.parts),), slots, space="ordered", pieces=pieces),)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return {p.name: params[self.key][k] for k, p in enumerate(self.parts)}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        return {self.key: jnp.stack([reported[p.name] for p in self.parts])}
