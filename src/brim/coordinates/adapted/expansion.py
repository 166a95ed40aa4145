"""The log likelihood expanded in the predictors that effects enter, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.compiled import Compiled, compiled
from brim.compile.session import float64
from brim.coordinates.adapted.law import draw, on_rows
from brim.coordinates.adapted.places import Place, Unit, frames_of
from brim.coordinates.adapted.which import Adapted
from brim.coordinates.plan import Plan
from brim.frames.frame import Frame
from brim.linalg import SMALL, batch
from brim.model.model import Model
from brim.parameters.param import Param, unconstrained_size
from brim.terms.base import linear_of
from brim.terms.latent import Incidence

__all__ = [
    "Expansion",
    "Rows",
    "coordinates_of",
    "expander",
    "linear_design",
    "positive",
    "rows_of",
    "score_and_curvature",
    "seating",
]

MOST_SLOPES = 20  # other parameters that the score is moved along

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """What is known of the training rows.

    Attributes
    ----------
    design
        That of ``theta``'s model.
    sizes
        Numbers of rows of the units.
    seats
        Of each vector, where its coefficients stand in the rows.
    parents
        As in ``Chain``.
    at
        Which coordinates of ``theta`` are of parameters in no place's predictor: the score is moved along these.
    """

    design: Any
    sizes: tuple[int, ...]
    seats: tuple[tuple[Incidence, ...], ...]
    parents: dict[tuple[int, int], np.ndarray]
    at: np.ndarray


@dataclass(frozen=True)
class Expansion:
    """Where the likelihood was expanded, and what it is there; what is said of rows is given for each unit.

    Attributes
    ----------
    theta
        The other parameters, unconstrained: coordinates of ``rest``.
    ref
        For each place of each unit, the coefficients of the linear part of the predictor at ``theta``.
    rest, eta
        Predictors without and with the effects, (places, rows).
    effects
        The effects of each vector, (coefficients, levels).
    value
        Log likelihood of each row.
    score, curvature, precision, slopes
        Its first derivative (places, rows), minus its second (places, places, rows), what of that is positive, and the derivative of the
        score with respect to other parameters, (parameters, places, rows).
    growth
        Derivative of the logarithm of the mean precision with respect to those, (parameters, places).
    """

    theta: np.ndarray
    ref: tuple[tuple[np.ndarray, ...], ...]
    rest: tuple[np.ndarray, ...]
    eta: tuple[np.ndarray, ...]
    effects: tuple[np.ndarray, ...]
    value: tuple[np.ndarray, ...]
    score: tuple[np.ndarray, ...]
    curvature: tuple[np.ndarray, ...]
    precision: tuple[np.ndarray, ...]
    slopes: tuple[np.ndarray, ...]
    growth: tuple[np.ndarray, ...]


def rows_of(t: Adapted, frame: Frame) -> Rows:
    """The rows of a model's training data."""
    frames, data = frames_of(t.model, t.units, frame), t.rest.data(frame)
    known = _known(t, data)
    incidences = []
    for vector, seats in zip(t.latents, t.seats, strict=True):
        # levels are known by their text, which takes long
        codes = {u: vector.codes(frames[u]) for u in {s.unit for s in seats}}
        incidences.append(tuple(s.part.incidence(frames[s.unit], codes[s.unit], known[s.unit][s.place]) for s in seats))
    first, chain = t.parts[2].start, range(len(t.chain))
    parents = {(b, c): _parents(t, incidences, first + b, first + c) for b in chain for c in chain if c > b}
    return Rows(data["design"], tuple(rows.n for rows in frames), tuple(incidences), parents, _other_coordinates(t))


def _known(t: Adapted, data: Arrays) -> list[list[dict[str, Any]]]:
    """For each place of each unit, what special effects multiply (``mo(x)``), about: at the centre of the parameters."""
    if not any(s.part.given for seats in t.seats for s in seats):
        return [[{} for _ in unit.places] for unit in t.units]
    with float64():
        params = t.rest.layout.constrain(t.rest.layout.center(), data["fixed"])[0]
        full = t.rest.transform(params, data["design"])
        return [[p.predictor(t.rest).given(full, data["design"]) for p in unit.places] for unit in t.units]


def _parents(t: Adapted, incidences: list[tuple[Incidence, ...]], i: int, j: int) -> np.ndarray:
    """The level of vector ``j`` of the chain around each level of ``i``, where rows of both are tied; else it does not matter."""
    out = np.zeros(t.shapes[i][1], np.int32)
    for one, inner in zip(t.seats[i], incidences[i], strict=True):
        for other, outer in zip(t.seats[j], incidences[j], strict=True):
            if one.unit == other.unit:
                out[inner.level] = outer.level
    return out


def coordinates_of(params: Iterable[Param], names: Iterable[str]) -> np.ndarray:
    """Which coordinates of parameters in a row are of these names, a mask."""
    own = set(names)
    return np.concatenate([np.zeros(0, bool), *(np.full(unconstrained_size(p), p.name in own) for p in params)])


def _other_coordinates(t: Adapted) -> np.ndarray:
    """Coordinates of parameters of the laws that are in no place's predictor; none where there are too many."""
    rest = t.rest
    terms = [term for p in t.places for term in p.predictor(rest).terms]
    known = [p.name for term in (*terms, *rest.blocks, *rest.shared) for p in term.params()]
    out = np.flatnonzero(~coordinates_of(rest.params, [*known, *(name for v in t.latents for name in v.scales)]))
    return out[: len(out) if len(out) <= MOST_SLOPES else 0].astype(np.int32)


def linear_design(t: Adapted, rows: Rows) -> list[list[np.ndarray]]:
    """For each place of each unit, the columns of the rest of its predictor, (columns, rows)."""

    def columns(place: Place, n: int) -> np.ndarray:
        parts = [np.asarray(linear_of(term).columns(rows.design[term.key])) for term in place.predictor(t.rest).terms]
        return np.concatenate([np.zeros((n, 0)), *parts], axis=1).T

    return [[columns(p, n) for p in unit.places] for unit, n in zip(t.units, rows.sizes, strict=True)]


def expander(plan: Plan, rows: Rows, data: Arrays) -> Future[Compiled]:
    """The compiled ``(head, eta, use, data, design, seats) ->`` an expansion as a dict: at ``eta`` where ``use``, else at the modes."""
    t = plan.adapted
    assert t is not None
    eta = tuple(np.empty((len(unit.places), n)) for unit, n in zip(t.units, rows.sizes, strict=True))
    args = (np.empty(plan.head), eta, np.bool_(False), data, rows.design, seating(rows))
    return compiled(("expansion", plan), lambda: _expand(plan), args, lambda found: found, short=True)


def seating(rows: Rows) -> Any:
    """The seats as the expansion takes them."""
    return tuple(tuple(i if i.level is None else i._replace(level=np.asarray(i.level, np.int64)) for i in own) for own in rows.seats)


def _expand(plan: Plan) -> Any:
    t = plan.adapted
    assert t is not None

    def run(head: Any, eta: Any, use: Any, data: Arrays, design: Arrays, seats: Any) -> dict[str, Any]:
        fixed, at = data["inner"]["fixed"], data["working"].at
        theta, normals = plan.at_modes(head, data)

        def params(others: Any) -> Any:
            return t.rest.transform(t.rest.layout.constrain(theta.at[at].set(others), fixed)[0], design)

        others = theta[at]
        full = params(others)
        drawn = draw(t, theta, normals, data)
        added = on_rows(t, range(len(t.latents)), drawn.effects, seats)
        out: dict[str, Any] = {"theta": theta, "effects": drawn.effects}
        for u, unit in enumerate(t.units):
            rest = unit.etas(t.rest, full, design)
            here = jnp.where(use, eta[u], rest + jnp.stack([added[u, p] for p in range(len(unit.places))]))
            ref = tuple(p.coefficients(t.rest, full) for p in unit.places) if t.linear else ()
            found = {"rest": rest, "eta": here, "ref": ref, **_derivatives(unit, t.rest, here, others, params, design)}
            for name, value in found.items():
                out[name] = (*out.get(name, ()), value)
        return out

    return run


def _derivatives(unit: Unit, model: Model, eta: Any, others: Any, params: Callable[[Any], Any], design: Arrays) -> dict[str, Any]:
    """The log likelihood of a unit's rows around ``eta``, see ``Expansion``."""

    def derivatives(others: Any) -> tuple[Any, Any]:
        return score_and_curvature(unit, model, eta, params(others), design)

    first, curvature = derivatives(others)
    moves = [jax.jvp(derivatives, (others,), (d,))[1] for d in np.eye(len(others))]
    value = unit.log_lik(model, eta, params(others), design)
    return {
        "value": jnp.broadcast_to(value, eta.shape[1:]),
        "score": first,
        "curvature": curvature,
        "precision": positive(curvature),
        "slopes": jnp.stack([move[0] for move in moves]) if moves else jnp.zeros((0, *eta.shape)),
        "growth": jnp.stack([_growth(-curvature, -move[1]) for move in moves]) if moves else jnp.zeros((0, len(eta))),
    }


def score_and_curvature(unit: Unit, model: Model, eta: Any, full: Arrays, design: Arrays) -> tuple[Any, Any]:
    """First derivative (places, rows) and minus the second (places, places, rows) of the log likelihood of a unit's rows at ``eta``."""
    axes = [jnp.zeros_like(eta).at[p].set(1.0) for p in range(len(unit.places))]
    score = jax.grad(lambda x: jnp.sum(unit.log_lik(model, x, full, design)))
    moves = [jax.jvp(score, (eta,), (axis,)) for axis in axes]
    return moves[0][0], -jnp.stack([second for _, second in moves])


def positive(precision: Any) -> Any:
    """Of rows whose precision (places, places, rows) is positive definite all of it; of others what is positive on its diagonal."""
    places = len(precision)
    each = jnp.arange(places)
    diagonal = jnp.maximum(precision[each, each], 0.0)
    alone = jnp.zeros_like(precision).at[each, each].set(diagonal)
    if places == 1:
        return alone
    # relative to the diagonal: its determinants tell
    relative = precision / jnp.sqrt(diagonal[:, None] * diagonal + 1e-300)
    pivots = batch(relative - 1e-8 * jnp.eye(places)[..., None], places <= SMALL).cholesky().elements()
    definite = jnp.all(diagonal > 0.0, axis=0) & jnp.all(jnp.stack([row[i] for i, row in enumerate(pivots)]) > 0.0, axis=0)
    return jnp.where(definite, precision, alone)


def _growth(second: Any, change: Any) -> Any:
    """Relative change of each place's total precision, over rows whose log likelihood is concave."""
    each = jnp.arange(len(second))
    curvature, change = second[each, each], change[each, each]
    concave = curvature < 0.0
    total = jnp.sum(jnp.where(concave, curvature, 0.0), axis=1)
    return jnp.where(total < 0.0, jnp.sum(jnp.where(concave, change, 0.0), axis=1) / jnp.where(total < 0.0, total, 1.0), 0.0)
