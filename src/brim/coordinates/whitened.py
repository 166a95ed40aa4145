"""Population coefficients of columns that resemble each other, sampled in directions that data and priors tell of one by one.

With ``b = ref + W e`` (``directions``) what is sampled is ``e``, of which the columns ``X W`` are orthogonal and the priors' precision is
diagonal: nearly independent given the data, whatever the weights of the rows, where ``b`` may be correlated by 0.999999. The map is
linear and known, the priors stay those of ``b``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from brim.coordinates.directions import directions
from brim.coordinates.integrated.coefficients import Coefficients, linear_coefficients
from brim.families.kinds import Kind
from brim.frames.frame import Frame
from brim.model.model import Model, Predictor, ResponseModel
from brim.parameters.laws import LAWS
from brim.parameters.param import Param, unconstrained_size
from brim.terms.base import linear_of

__all__ = ["Map", "Whitened", "WhitenedGroup", "find"]

ALIKE = 0.1  # smallest eigenvalue of the posterior precision, with a unit diagonal, below which directions are sampled
MOST = 1000  # coefficients of a predictor
WORK = 2e9  # operations of their triangular factor: more rows are thinned out


@dataclass(frozen=True)
class WhitenedGroup:
    """Coefficients of one predictor: the number of the response, the predictor's name, and elements of parameters."""

    response: int
    predictor: str
    elements: tuple[tuple[str, tuple[int, ...]], ...]


class Map(NamedTuple):
    """``u = ref + W e`` for the model's coordinates ``u`` of the coefficients, and ``log |det W|``."""

    ref: Any
    map: Any
    log_det: Any


@dataclass(frozen=True)
class Whitened:
    """Which coordinates of a model are sampled in other directions: hashable, the static part of the map."""

    model: Model
    groups: tuple[WhitenedGroup, ...]

    @property
    def places(self) -> tuple[np.ndarray, ...]:
        """The coordinates of each group."""
        start, at = {}, 0
        for p in self.model.params:
            start[p.name] = at
            at += unconstrained_size(p)
        free = {p.name: p.free for p in self.model.params}
        return tuple(np.concatenate([start[name] + np.searchsorted(free[name], index) for name, index in g.elements]) for g in self.groups)

    def follow(self, q: Any, maps: tuple[Map, ...]) -> tuple[Any, Any]:
        """Coordinates of the model from what is sampled, and ``log |du / de|``."""
        log_scale = jnp.zeros(())
        for places, m in zip(self.places, maps, strict=True):
            q = q.at[places].set(m.ref + m.map @ q[places])
            log_scale = log_scale + m.log_det
        return q, log_scale

    def back(self, q: np.ndarray, maps: tuple[Map, ...]) -> np.ndarray:
        """What is sampled from coordinates of the model, (dim,)."""
        out = q.copy()
        for places, m in zip(self.places, maps, strict=True):
            out[places] = np.linalg.solve(m.map, q[places] - m.ref)
        return out


def find(model: Model, frame: Frame) -> tuple[Whitened, tuple[Map, ...]] | None:
    """The predictors whose coefficients are strongly correlated given the data, with the maps; ``None``: none."""
    groups: list[WhitenedGroup] = []
    maps: list[Map] = []
    if model.prior_only:
        return None
    for i, r in enumerate(model.responses):
        for predictor in r.predictors:
            own = linear_coefficients(model, predictor.terms, _free)
            found = _map(model, r, predictor, own, frame) if 1 < sum(len(c.index) for c in own) <= MOST else None
            if found is not None:
                groups.append(WhitenedGroup(i, predictor.name, tuple((c.name, c.index) for c in own)))
                maps.append(found)
    return (Whitened(model, tuple(groups)), tuple(maps)) if groups else None


def _free(p: Param) -> tuple[int, ...]:
    """Elements that are sampled, without bounds."""
    return p.free if p.space == "real" and p.lb is None and p.ub is None and p.in_lprior else ()


def _map(model: Model, r: ResponseModel, predictor: Predictor, own: tuple[Coefficients, ...], frame: Frame) -> Map | None:
    """The map of the coefficients of a predictor; ``None`` where these are not strongly correlated, or told by neither data nor priors."""
    params, terms = {p.name: p for p in model.params}, {t.key: t for t in predictor.terms}
    chosen = [(params[c.name], i) for c in own for i in c.index]
    mine = r.response.kept(frame)
    rows = np.arange(0, mine.n, max(1, mine.n * len(chosen) ** 2 // WORK))
    part = mine.take(rows)
    x = np.concatenate([linear_of(terms[c.term]).columns(terms[c.term].design(part))[:, list(c.columns)] for c in own], axis=1)
    x = x if part.counts is None else x * np.sqrt(part.counts)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        found = directions(
            x * math.sqrt(mine.n / max(len(rows), 1)), np.array([_root(p, i) for p, i in chosen]), _noise(r, predictor, part)
        )
    if found is None or found.least > ALIKE:
        return None
    units = np.array([p.units[i] if p.units else 1.0 for p, i in chosen])
    ref = np.array([np.broadcast_to(np.asarray(p.center, float), (p.size,))[i] for p, i in chosen])
    return Map(ref, found.map / units[:, None], np.float64(found.log_det - np.log(units).sum()))


def _root(p: Param, i: int) -> float:
    """The reciprocal of the scale of an element's prior, 0 where it is flat or of another kind."""
    piece = p.piece_of(i)
    law = LAWS.get(piece.law) if piece is not None else None
    if piece is None or law is None:
        return 0.0
    return 1.0 if piece.law == "std_normal" else 0.0 if law.scale is None else 1.0 / float(piece.args[law.scale])


def _noise(r: ResponseModel, predictor: Predictor, mine: Frame) -> float:
    """About the standard deviation of what a row tells of the predictor: of numbers on the whole line theirs."""
    if r.family.kind is not Kind.REAL or predictor.name not in r.family.mus or r.family.links[predictor.name] != "identity":
        return 1.0
    y = np.asarray(r.response.design(mine, r.family)["y"], float)
    size = float(np.std(y[np.isfinite(y)])) if np.isfinite(y).any() else 0.0
    return size if size > 0.0 and np.isfinite(size) else 1.0
