"""Latent vectors in coordinates that follow their conditional distribution: the parameterisation is chosen by the data.

A normal approximation of the likelihood around a first estimate (see ``working``) gives the effects an approximate conditional law,
``r | theta ~ N(m(theta), A(theta))``, at any value ``theta`` of all other parameters, at the cost of one pass over the levels. Sampled
are ``theta`` and ``e`` with ``r = m(theta) + A(theta)^(1/2) e``; the Jacobian makes this exact whatever the approximation is worth.
Where a level has little data this is the non-centred parameterisation, where it has much the centred one, and in between what
lies between. In the new coordinates the effects are nearly standard normal and independent of ``theta`` (Kleppe 2019,
"Dynamically rescaled Hamiltonian Monte Carlo", has the idea).

Vectors may enter any predictor of any response (``places``); one whose coefficients stand in several has one law over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brim.coordinates.adapted.places import Place, Seat, Unit, frames_of, seats_of, units_of
from brim.coordinates.integrated.which import Integrated, chain_of, in_mean, linear_columns, reads_rows, room_for
from brim.frames.frame import Frame
from brim.linalg import SMALL
from brim.model.model import Model
from brim.terms.groups.group import GroupBlock
from brim.terms.latent import AbstractCurve, AbstractLatent, named

__all__ = ["Adapted", "better_together", "find", "obstacle", "why_not"]

MOST_COLUMNS = 50  # linear columns of the predictor for which sums by level are kept
MOST_BORDER = 64  # effects whose joint covariance is factorised at every gradient
MOST_ROTATED = 1000  # effects whose joint precision is diagonalised at every expansion
MOST_COUPLINGS = 2**17  # numbers that couple them to the chain


@dataclass(frozen=True)
class Adapted:
    """Which latent vectors follow the likelihood, and how: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model whose vectors these are; without those that ``exact`` integrates out.
    exact
        What is integrated out exactly (Gaussian models), or ``None``.
    chain
        Blocks with one joint law, innermost first: every level of one lies within one level of the next, and the law of an inner
        effect is that given the outer ones. None, where rows belong to several levels.
    border
        Vectors of few effects that cross the chain: their joint law with the chain integrated out, before the chain given them.
    singles
        Other vectors, each by its own law given ``theta`` (their dependence on all others is left in). Those whose levels depend on
        each other are rotated.
    linear
        Whether the rest of the predictors is linear in few columns, so that sums by level, taken once, stand for the rows.
    """

    model: Model
    exact: Integrated | None
    chain: tuple[AbstractLatent, ...]
    border: tuple[AbstractLatent, ...]
    singles: tuple[AbstractLatent, ...]
    linear: bool

    @property
    def latents(self) -> tuple[AbstractLatent, ...]:
        """All of these vectors, in the order of their coordinates."""
        return (*self.singles, *self.border, *self.chain)

    @property
    def parts(self) -> tuple[range, range, range]:
        """Places of singles, border and chain among ``latents``."""
        a, b = len(self.singles), len(self.singles) + len(self.border)
        return range(a), range(a, b), range(b, b + len(self.chain))

    @property
    def rotated(self) -> tuple[int, ...]:
        """Which of the singles are rotated."""
        return tuple(i for i in self.parts[0] if self.latents[i].tied)

    @cached_property
    def rest(self) -> Model:
        """The model of all else: ``theta``."""
        return self.model.without(self.latents)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The predictors that these vectors enter."""
        return units_of(self.model, self.latents)

    @cached_property
    def seats(self) -> tuple[tuple[Seat, ...], ...]:
        """Where in these the coefficients of each vector stand."""
        return tuple(seats_of(v, self.model, self.units) for v in self.latents)

    @property
    def places(self) -> tuple[Place, ...]:
        """The predictors of all units."""
        return tuple(p for unit in self.units for p in unit.places)

    def at(self, seat: Seat) -> Place:
        """The predictor that a seat is in."""
        return self.units[seat.unit].places[seat.place]

    @property
    def nonlinear(self) -> bool:
        """Whether they enter parameters of a nonlinear predictor: then the working model tells only its slopes."""
        return any(p.predictor(self.model).where.nlpar for p in self.places)

    @property
    def nests(self) -> bool:
        """Whether the likelihood expanded at the effects' modes approximates that without effects: not with widths of their own."""
        return all(v.normal for v in self.latents)

    @property
    def joint(self) -> bool:
        """Whether the law of all effects is their joint law in the working model."""
        return not self.singles or len(self.latents) == 1

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(coefficients, levels) of each vector."""
        return tuple(v.shape for v in self.latents)


def find(model: Model, frame: Frame, exact: Integrated | None) -> Adapted | None:
    """The latent vectors of a model that can follow the likelihood, ``None`` where there are none.

    They stand in predictors that are sums of terms, of responses whose rows are independent (or tied row by row) and no mixtures.
    """
    if obstacle(model):
        return None
    inner = model if exact is None else exact.rest
    able = sorted((b for b in inner.blocks if not why_not(b, model, exact)), key=lambda b: b.size, reverse=True)
    chain = _chain(inner, able, frame)
    left = [b for b in able if b.key not in {c.key for c in chain}]
    every = (c for r in inner.responses for p in r.predictors for c in p.curves())
    curves = [c for c in every if room_for(c, frame) and not why_not(c, model, exact)]
    border = _border(chain, left, sorted(curves, key=lambda c: c.size))
    singles = tuple(v for v in (*left, *curves) if v not in border and (not v.tied or _alone(v, (*able, *curves))))
    latents = (*singles, *border, *chain)
    if not latents:
        return None
    linear = _is_linear(inner.without(latents), inner, latents, frame)
    if exact is not None and exact.likelihood == "sums" and not linear:
        return None
    return Adapted(inner, exact, chain, border, singles, linear)


def _is_linear(rest: Model, model: Model, latents: tuple[AbstractLatent, ...], frame: Frame) -> bool:
    """Whether all terms beside these vectors in their predictors are linear in few columns that no parameter changes."""
    if reads_rows(rest, frame):
        return False
    terms = tuple(t for unit in units_of(model, latents) for p in unit.places for t in p.predictor(rest).terms)
    columns = linear_columns(rest, terms, frame)
    return columns is not None and columns <= MOST_COLUMNS


def better_together(exact: Integrated, frame: Frame) -> bool:
    """Whether effects that could be integrated out are better adapted with those that are not.

    With those of other predictors; and in the mean where all have one joint law. (A law of its own, beside an integral or not, does not
    see that what it follows may be due to others: the intercept then takes long walks. With very many levels that counts for little.)
    """
    left = [b for b in exact.rest.blocks if not why_not(b, exact.model, None)]
    if any(not in_mean(b) for b in left):
        return not exact.curves
    together = find(exact.model, frame, None) if left else None
    return together is not None and together.joint and set(exact.latents) <= set(together.latents)


def _alone(latent: AbstractLatent, every: tuple[AbstractLatent, ...]) -> bool:
    """Whether a vector whose levels are tied has a law of its own; a curve only where there is nothing else."""
    return can_rotate(latent) and (latent.curve is None or len(every) == 1)


def can_rotate(latent: AbstractLatent) -> bool:
    """Whether the law of all its effects is diagonal after one rotation, whatever the parameters; found again at every expansion."""
    return latent.one_scale and latent.size <= MOST_ROTATED


def obstacle(model: Model) -> str:
    """Why no vector of a model can follow the likelihood; empty if some may."""
    if model.prior_only:
        return "the likelihood is left out"
    if any(r.residual is not None for r in model.responses):
        return "residuals are correlated"
    return "the response is a mixture" if any(r.family.components for r in model.responses) else ""


def why_not(latent: AbstractLatent, model: Model, exact: Integrated | None) -> str:
    """Why a vector cannot follow the likelihood; empty if it can (as long as there are not too many effects)."""
    places = [p.predictor(model) for unit in units_of(model, (latent,)) for p in unit.places]
    if any(t.traits.stage != 0 for p in places for t in p.terms):
        return "its predictor is not a sum of terms"
    # where effects are integrated out of the mean, the likelihood is not expanded in other predictors: it would lack these effects
    if exact is not None and any(p.where.dpar or p.where.nlpar for p in places):
        return f"beside the integral over {named(exact.latents)} only vectors of the mean are adapted"
    return latent.unusual


def _chain(model: Model, able: list[GroupBlock], frame: Frame) -> tuple[GroupBlock, ...]:
    """The largest block whose rows have one level each, and those around it."""
    single = [b for b in able if not b.tied]
    if not single:
        return ()
    frames = frames_of(model, units_of(model, tuple(single)), frame)
    return chain_of(single[0], single, lambda block: np.concatenate([block.grouping.codes(rows) for rows in frames]))


def _border(chain: tuple[GroupBlock, ...], left: list[GroupBlock], curves: list[AbstractCurve]) -> tuple[AbstractLatent, ...]:
    """The smallest of the other blocks, then of the curves, as many as may be joined to the chain."""
    if max((len(b.coefs) for b in chain), default=0) > SMALL:
        return ()
    out: list[AbstractLatent] = []
    room = min(MOST_BORDER, MOST_COUPLINGS // max(sum(b.size for b in chain), 1))
    alone = not chain and len(left) + len(curves) == 1
    for v in (*reversed(left), *curves):
        if can_rotate(v) and (alone if v.curve else not chain):
            continue
        if v.size <= room:
            out.append(v)
            room -= v.size
        elif v.curve is None:
            break
    return tuple(out)
