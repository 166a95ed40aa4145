"""The coordinates that an algorithm works in, chosen by the structure of the model and its data."""

from __future__ import annotations

from dataclasses import dataclass

from brim.coordinates.adapted.density import transported
from brim.coordinates.adapted.which import better_together
from brim.coordinates.base import AbstractCoordinates, Own, model_target
from brim.coordinates.integrated.density import eliminate
from brim.coordinates.measured import measured
from brim.frames.frame import Frame
from brim.model.components import component_starts
from brim.model.model import Model

__all__ = ["NESTED", "Wish", "coordinates"]

NESTED = ("map", "laplace")  # algorithms that integrate effects out


@dataclass(frozen=True)
class Wish:
    """What the user asks for, as far as it chooses coordinates.

    Attributes
    ----------
    algorithm
        Which; empty for one that takes the density in coordinates of its own.
    marginalize
        ``"auto"``, ``True`` or ``False``: whether latent vectors are integrated out where that is exact.
    adapted
        Whether others are sampled in coordinates adapted to the data.
    spread
        Half-width of the uniform spread of starting points.
    """

    algorithm: str = "sampling"
    marginalize: bool | str = "auto"
    adapted: bool = True
    spread: float = 1.0


def coordinates(model: Model, frame: Frame, wish: Wish) -> AbstractCoordinates:
    """What an algorithm works in: effects integrated out, adapted to the data, or as they are.

    Modes and Laplace approximations integrate all effects out: where that is not possible at once, by the nested approximation, which is
    exact for normal likelihoods.
    """
    nested = wish.algorithm in NESTED
    marginal = eliminate(model, frame, wish.marginalize, wish.spread)
    if nested and marginal is not None and marginal.elimination.rest.blocks and wish.marginalize is not True:
        marginal = None
    if wish.adapted and (nested or wish.algorithm == "sampling"):
        if marginal is not None and wish.marginalize is not True and better_together(marginal.elimination):
            marginal = None
        moved = transported(model, frame, marginal, wish.spread)
        if moved is not None and (not nested or moved.transport.nests):
            return moved
    inner = Own(model_target(model, frame, wish.spread), component_starts(model, frame)) if marginal is None else marginal
    if not wish.adapted or wish.algorithm != "sampling":
        return inner
    return measured(inner, model, None if marginal is None else marginal.elimination, frame)
