"""The conditional law of latent vectors given all other parameters, in the working model: draws from it, and their density.

Singles come first, each by its own law; then the border with the chain integrated out, and the chain given it, outermost block first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brim.coordinates.adapted.which import Adapted
from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.nested_levels import AbstractQuadratic, Chain, Rotated, log_normal, weighted_sum
from brim.terms.latent import Incidence, Loadings, spread_together

__all__ = ["Border", "ByRow", "Drawn", "Lookup", "Working", "WorkingSums", "draw", "effects_of", "on_rows", "with_more_rows"]

Arrays = Mapping[str, Any]
ByUnit = tuple[Any, ...]
FURTHEST = 3.0  # log precision of the rows: how far it follows the other parameters


class Border(NamedTuple):
    """``G`` of all border effects (m, m), and between each block of the chain and them (k, m, levels)."""

    gram: Any
    couplings: tuple[Any, ...]


class WorkingSums(NamedTuple):
    """The working residuals summed by level, as linear functions of the other parameters.

    Attributes
    ----------
    ref
        For each place of each unit, the coefficients of the linear part of the predictor at the expansion.
    cross
        For each seat of each vector, (factors, coefficients, levels): see ``_factors``.
    """

    ref: tuple[ByUnit, ...]
    cross: tuple[tuple[Any, ...], ...]


class ByRow(NamedTuple):
    """The working residuals of rows, by unit.

    Attributes
    ----------
    score, slopes, eta
        Derivative of the log likelihood (places, rows), how it moves with other parameters, and the predictors without effects there.
    own
        For each vector, what it (and what has a joint law with it) added to the predictors.
    """

    score: ByUnit
    slopes: ByUnit
    eta: ByUnit
    own: tuple[ByUnit, ...]


class Lookup(NamedTuple):
    """What takes effects to rows and rows to levels.

    Attributes
    ----------
    seats
        Of each vector, where its coefficients stand in the rows.
    precision
        By unit, (places, places, rows).
    singles
        By unit, what the single vectors added to the predictors at the expansion.
    """

    seats: tuple[tuple[Incidence, ...], ...]
    precision: ByUnit
    singles: ByUnit


class Working(NamedTuple):
    """The working model: the log likelihood as a quadratic function of the effects, and how it moves with other parameters.

    Attributes
    ----------
    at, theta
        Coordinates of ``theta`` that the score is moved along, and their values at the expansion.
    growth
        By unit, the derivative of the logarithm of the mean precision with respect to these, (parameters, places).
    gram
        ``Z_i' W Z_j`` by level of ``i``, of pairs of the chain and of each single that is not rotated.
    parents
        As in ``Chain``.
    rotation
        Eigenvalues and eigenvectors of ``C' Z' W Z C`` of rotated singles.
    border, sums, rows, lookup
        What the structure needs of these; ``sums`` or ``rows`` has the working residuals.
    """

    at: Any
    theta: Any
    growth: ByUnit
    gram: dict[tuple[int, int], Any]
    parents: dict[tuple[int, int], Any]
    rotation: dict[int, tuple[Any, Any]]
    border: Border | None = None
    sums: WorkingSums | None = None
    rows: ByRow | None = None
    lookup: Lookup | None = None


def with_more_rows(work: Working, more: int) -> Working:
    """The working model with rows behind the others that say nothing: of score and precision 0."""

    def longer(x: Any) -> np.ndarray:
        held = np.asarray(x)
        at = [(0, 0)] * (held.ndim - 1) + [(0, more)]
        return np.pad(held, at, mode="edge") if held.dtype.kind in "iu" else np.pad(held, at)

    return work._replace(rows=jax.tree.map(longer, work.rows), lookup=jax.tree.map(longer, work.lookup))


class Drawn(NamedTuple):
    """Standardised vectors and effects, each (coefficients, levels), and ``log |dz / de|``."""

    z: tuple[Any, ...]
    effects: tuple[Any, ...]
    log_scale: Any


class _Moved(NamedTuple):
    """The working model moved to one ``theta``.

    Attributes
    ----------
    loadings
        Of each vector.
    scales
        For each coefficient of each vector, the square root of how much more precise its place is than at the expansion.
    roots
        The same for the places of each unit.
    residuals
        By unit: factors of sums for each place, or the score (places, rows) and how much the predictors without effects moved.
    """

    loadings: tuple[Loadings, ...]
    scales: tuple[Any, ...]
    roots: tuple[Any, ...]
    residuals: tuple[Any, ...]


def draw(t: Adapted, theta: Any, normals: tuple[Any, ...], data: Arrays) -> Drawn:
    """``z = E[z | theta] + var(z | theta)^(1/2) e`` in the working model, ``p(z | theta) ~ exp(u' r - 1/2 r' G r) N(z; 0, I)``.

    ``theta`` are coordinates of ``t.rest``, ``normals`` the ``e`` of each vector.
    """
    work: Working = data["working"]
    moved = _moved(t, theta, data)
    singles, border, chain = t.parts
    z: dict[int, Any] = {}
    log_density = jnp.zeros(())
    for i in singles:
        (z[i],), density = _alone(t, i, moved, work).draw((normals[i],))
        log_density = log_density + density
    r = {i: effects_of(moved.loadings[i], z[i]) for i in singles}
    # border and chain explain what the singles leave
    cross = {i: _cross(t, i, moved, work, _explained(t, r, moved, work)) for i in (*border, *chain)}
    z_border, z_chain, density = _together(t, moved, cross, normals, work)
    z.update(zip((*border, *chain), (*z_border, *z_chain), strict=True))
    r.update((i, effects_of(moved.loadings[i], z[i])) for i in (*border, *chain))
    order = range(len(t.latents))
    log_scale = sum(map(log_normal, normals)) - log_density - density
    return Drawn(tuple(z[i] for i in order), tuple(r[i] for i in order), log_scale)


def _alone(t: Adapted, i: int, moved: _Moved, work: Working) -> AbstractQuadratic:
    """The law of a single vector, whatever the others are."""
    within, across = moved.loadings[i]
    scale, cross = moved.scales[i], _cross(t, i, moved, work)
    if i in t.rotated:
        values, vectors = work.rotation[i]
        return Rotated(within[0, 0], jnp.square(scale[0]) * values, vectors, cross if across is None else cross @ across)
    return Chain((t.latents[i].cells,), (within,), {(0, 0): _scaled(work.gram[i, i], scale, scale)}, (cross,), {}, None)


def _together(
    t: Adapted, moved: _Moved, cross: Mapping[int, Any], normals: tuple[Any, ...], work: Working
) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """Standardised effects of border and chain by their joint law, and the log density of the draw."""
    _, border, chain = t.parts
    scales = [moved.scales[i] for i in chain]
    pairs = [(b, c) for b in range(len(chain)) for c in range(b, len(chain))]
    grams = {(b, c): _scaled(work.gram[chain[b], chain[c]], scales[b], scales[c]) for b, c in pairs}
    cells, within = tuple(v.cells for v in t.chain), tuple(moved.loadings[i].within for i in chain)
    law = Chain(cells, within, grams, tuple(cross[i] for i in chain), work.parents, None)
    inner = tuple(normals[i] for i in chain)
    if work.border is None:
        z, density = law.draw(inner)
        return (), z, density
    each = jnp.concatenate([jnp.repeat(moved.scales[i], t.shapes[i][1]) for i in border])
    bordered = Bordered(
        law,
        spread_together((moved.loadings[i], t.shapes[i]) for i in border),
        _scaled(work.border.gram, each, each),
        jnp.concatenate([jnp.ravel(cross[i]) for i in border]),
        tuple(_scaled(c, scale, each) for scale, c in zip(scales, work.border.couplings, strict=True)),
    )
    (*z_chain, flat), density = bordered.draw((*inner, jnp.concatenate([jnp.ravel(normals[i]) for i in border])))
    parts = jnp.split(flat, np.cumsum([t.latents[i].size for i in border])[:-1])
    return tuple(part.reshape(t.shapes[i]) for part, i in zip(parts, border, strict=True)), tuple(z_chain), density


def effects_of(loadings: Loadings, z: Any) -> Any:
    """``r = T z C'``. A zero of ``T`` costs nothing that matters here."""
    low, across = loadings
    z = z if across is None else z @ across.T
    return jnp.stack([sum(low[i, j] * z[j] for j in range(i + 1)) for i in range(z.shape[0])])


def _scaled(gram: Any, left: Any, right: Any) -> Any:
    """``gram`` (k, other k, ...) with its rows and columns scaled."""
    lead = (1,) * (gram.ndim - 2)
    return gram * (left[:, None] * right).reshape(*gram.shape[:2], *lead)


# --------------------------------------------------------------------------- moving with the other parameters


def _moved(t: Adapted, theta: Any, data: Arrays) -> _Moved:
    """The working model at ``theta``: row ``i`` is ``rho = exp(growth (theta - then))`` times as precise, within bounds."""
    design, work = data["inner"]["design"], data["working"]
    full = t.rest.transform(t.rest.layout.constrain(theta, data["inner"]["fixed"])[0], design)
    others = theta[work.at] - work.theta
    roots = tuple(jnp.exp(0.5 * jnp.clip(others @ growth, -FURTHEST, FURTHEST)) for growth in work.growth)
    scales = tuple(jnp.concatenate([jnp.repeat(roots[s.unit][s.place], s.stop - s.start) for s in seats]) for seats in t.seats)
    loadings = tuple(v.loadings(full, design[v.key]) for v in t.latents)
    residuals = _factors(t, full, others, roots, work) if t.linear else _scores(t, full, others, design, work)
    return _Moved(loadings, scales, roots, residuals)


def _factors(t: Adapted, full: Arrays, others: Any, roots: tuple[Any, ...], work: Working) -> tuple[Any, ...]:
    """For each place of each unit the factors of its sums.

    1, then ``root root_q (1, expanded - coefficients)`` for each place ``q`` of the unit, then ``others``.
    """
    assert work.sums is not None
    out = []
    for unit, refs, root in zip(t.units, work.sums.ref, roots, strict=True):
        now = [p.coefficients(t.rest, full) for p in unit.places]
        gone = [jnp.concatenate([jnp.ones(1), ref - beta]) * root[q] for q, (ref, beta) in enumerate(zip(refs, now, strict=True))]
        out.append(tuple(jnp.concatenate([jnp.ones(1), *(root[p] * g for g in gone), others]) for p in range(len(now))))
    return tuple(out)


def _scores(t: Adapted, full: Arrays, others: Any, design: Arrays, work: Working) -> tuple[Any, ...]:
    """By unit, the score (places, rows) moved along its slopes, and how much the predictors without effects moved."""
    rows = work.rows
    assert rows is not None
    now = [unit.etas(t.rest, full, design) for unit in t.units]
    parts = zip(rows.score, rows.slopes, now, rows.eta, strict=True)
    return tuple((score + jnp.tensordot(others, slopes, 1), rest - then) for score, slopes, rest, then in parts)


def _cross(t: Adapted, i: int, moved: _Moved, work: Working, known: Any = None) -> Any:
    """``u = Z' (working residual)`` of vector ``i``, (k, levels); ``known``: what single vectors explain already, by unit and row."""
    if work.sums is not None:
        parts = zip(t.seats[i], work.sums.cross[i], strict=True)
        out = jnp.concatenate([weighted_sum(moved.residuals[s.unit][s.place], a) for s, a in parts])
        return out if known is None else out - _by_level(t, i, known, work)
    assert work.rows is not None
    assert work.lookup is not None
    residual = []
    for u, (score, change) in enumerate(moved.residuals):
        value = score + _precise(work.lookup.precision[u], moved.roots[u], work.rows.own[i][u] - change)
        residual.append(value if known is None else value - known[u])
    return _by_level(t, i, residual, work)


def _precise(precision: Any, root: Any, change: Any) -> Any:
    """The precision of the places of a unit, scaled, times a change of their predictors: (places, rows)."""
    return root[:, None] * jnp.sum(precision * (root[:, None] * change), axis=1)


def _by_level(t: Adapted, i: int, values: Any, work: Working) -> Any:
    """Sums over rows of ``Z`` times ``values`` (a unit: (places, rows)), (k, levels)."""
    assert work.lookup is not None
    seats = zip(t.seats[i], work.lookup.seats[i], strict=True)
    return jnp.concatenate([incidence.sums(values[s.unit][s.place], t.shapes[i][1]) for s, incidence in seats])


def on_rows(t: Adapted, vectors: Iterable[int], r: Any, seats: Any) -> dict[tuple[int, int], Any]:
    """What the effects ``r`` (k, levels) of these vectors add to the rows of their places: ``(unit, place) -> (rows,)``."""
    out: dict[tuple[int, int], Any] = {}
    for i in vectors:
        for s, incidence in zip(t.seats[i], seats[i], strict=True):
            added = incidence.added(r[i][s.start : s.stop])
            out[s.unit, s.place] = out[s.unit, s.place] + added if (s.unit, s.place) in out else added
    return out


def _explained(t: Adapted, r: Mapping[int, Any], moved: _Moved, work: Working) -> Any:
    """Precision times what the effects of the singles add to each row beyond the expansion; ``None`` without singles."""
    if not t.singles:
        return None
    assert work.lookup is not None
    added = [jnp.negative(then) for then in work.lookup.singles]
    for (u, p), values in on_rows(t, t.parts[0], r, work.lookup.seats).items():
        added[u] = added[u].at[p].add(values)
    return tuple(_precise(w, root, change) for w, root, change in zip(work.lookup.precision, moved.roots, added, strict=True))
