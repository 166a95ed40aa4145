"""Where latent vectors enter a model: which predictors of which responses, and with which coefficients.

The likelihood is expanded in *places*, the predictors that they enter. Places whose rows are tied by one law (those of one
response, or of responses with correlated residuals) make a *unit*; rows of different units are independent given the predictors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from brim.frames.frame import Frame
from brim.model.model import Model, Predictor
from brim.terms.base import AbstractTerm, linear_of
from brim.terms.latent import AbstractLatent, Part

__all__ = ["Place", "Seat", "Unit", "frames_of", "seats_of", "units_of"]

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A predictor that effects enter: the number of its response, and its name."""

    response: int
    name: str

    def predictor(self, model: Model) -> Predictor:
        """The predictor of this name, in a model of the same responses."""
        found = model.responses[self.response].predictor(self.name)
        assert found is not None
        return found

    def eta(self, model: Model, params: Arrays, design: Arrays) -> Any:
        """The predictor of every row in that model; ``params`` are transformed."""
        return self.predictor(model).eta(design[model.responses[self.response].rows_key], params, design)

    def coefficients(self, model: Model, params: Arrays) -> Any:
        """The coefficients of its terms there, all of them linear."""
        return jnp.concatenate([linear_of(term).coefficients(params) for term in self.predictor(model).terms] or [jnp.zeros(0)])

    def leads(self, model: Model) -> bool:
        """Whether it is (part of) the main predictor of its response: a single row says little of the others, of scales and shapes."""
        where, family = self.predictor(model).where, model.responses[self.response].family
        return bool(where.nlpar) or self.name in family.mus


@dataclass(frozen=True)
class Unit:
    """Places whose rows one law ties together.

    Attributes
    ----------
    law
        The responses of that law, one of ``model.laws``.
    places
        Those of their predictors that effects enter.
    """

    law: tuple[int, ...]
    places: tuple[Place, ...]

    def log_lik(self, model: Model, etas: Any, params: Arrays, design: Arrays) -> Any:
        """Pointwise log likelihood (rows,) at the predictors ``etas`` (places, rows), all else as ``params`` say."""
        given = {(p.response, p.name): etas[i] for i, p in enumerate(self.places)}
        return model.log_lik_at(self.law, given, params, design)

    def etas(self, model: Model, params: Arrays, design: Arrays) -> Any:
        """What the predictors of its places are in that model, (places, rows)."""
        return jnp.stack([p.eta(model, params, design) for p in self.places])


@dataclass(frozen=True)
class Seat:
    """Where a part of a latent vector stands: unit, place within it, the term."""

    unit: int
    place: int
    term: AbstractTerm
    part: Part

    @property
    def start(self) -> int:
        return self.part.start

    @property
    def stop(self) -> int:
        return self.part.stop


def units_of(model: Model, latents: tuple[AbstractLatent, ...]) -> tuple[Unit, ...]:
    """The units that these vectors enter."""
    keys, units = {v.key for v in latents}, []
    for law in model.laws:
        places = ((i, p) for i in law for p in model.responses[i].predictors)
        entered = tuple(Place(i, p.name) for i, p in places if any(part.vector.key in keys for _, part in _parts(p)))
        if entered:
            units.append(Unit(law, entered))
    return tuple(units)


def seats_of(latent: AbstractLatent, model: Model, units: tuple[Unit, ...]) -> tuple[Seat, ...]:
    """The seats of a latent vector, in the order of its coefficients."""
    out = [
        Seat(u, k, term, part)
        for u, unit in enumerate(units)
        for k, place in enumerate(unit.places)
        for term, part in _parts(place.predictor(model))
        if part.vector.key == latent.key
    ]
    return tuple(sorted(out, key=lambda seat: seat.start))


def _parts(predictor: Predictor) -> Iterator[tuple[AbstractTerm, Part]]:
    """Its terms that are parts of latent vectors."""
    return ((t, part) for t in predictor.terms if (part := t.latent) is not None)


def frames_of(model: Model, units: tuple[Unit, ...], frame: Frame) -> tuple[Frame, ...]:
    """The rows of each unit."""
    return tuple(model.responses[unit.law[0]].response.kept(frame) for unit in units)
