"""The conditional law of transported effects given all other parameters, in the working model: draws from it, and the density of these.

Singles come first, each by its own law; then the border with the chain integrated out, and the chain given it, outermost block first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import block_diag

from brim.coordinates.adapted.which import Transport
from brim.coordinates.integrated.which import cells_of
from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.nested_levels import AbstractQuadratic, Chain, Rotated, log_normal, sum_by
from brim.terms.groups.group import GroupBlock

__all__ = ["effects", "log_transported_function", "on_rows"]

Arrays = Mapping[str, Any]
FURTHEST = 3.0  # log precision of the rows: how far it follows the other parameters


@lru_cache(maxsize=64)
def log_transported_function(t: Transport) -> Callable[[Any, Arrays], Any]:
    """``(q, data) ->`` log density of ``theta`` and ``e``; equal transports share the function, and so the program."""
    inner = t.inner()

    def log_prob(q: Any, data: Arrays) -> Any:
        theta, normals = t.split(q)
        z, _, log_scale = effects(t, theta, normals, data)
        return inner(t.joined(theta, z), data["inner"]) + log_scale

    return log_prob


def effects(t: Transport, theta: Any, normals: tuple[Any, ...], data: Arrays) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """Standardised effects, effects, and ``log |d z / d e|``."""
    fixed, design = data["inner"]["fixed"], data["inner"]["design"]
    full = t.rest.transform(t.rest.layout.constrain(theta, fixed)[0], design)
    work = data["working"]
    others = theta[work["at"]] - work["theta"]
    roots = tuple(jnp.exp(0.5 * jnp.clip(others @ growth, -FURTHEST, FURTHEST)) for growth in work["growth"])
    scales = [_by_coefficient(t, i, roots) for i in range(len(t.blocks))]
    moved = _moved(t, full, others, roots, data)
    loadings = [_loadings(b, full, by) for b, by in zip(t.blocks, work["by"], strict=True)]
    singles, border, chain = t.parts
    drawn: dict[int, Any] = {}
    r: dict[int, Any] = {}
    log_density = jnp.zeros(())
    for i in singles:
        (drawn[i],), density = _alone(t, i, loadings[i], scales[i], _cross(t, i, moved, work), work).draw((normals[i],))
        r[i] = _effects(loadings[i], drawn[i], work["roots"].get(i))
        log_density = log_density + density
    known = _explained(t, r, roots, work)
    crosses = {i: _cross(t, i, moved, work, known) for i in (*border, *chain)}
    grams = {
        (b, c): _scaled(work["gram"][chain[b], chain[c]], scales[chain[b]], scales[chain[c]])
        for b in range(len(chain))
        for c in range(b, len(chain))
    }
    cells = tuple(cells_of(b) for b in t.chain)
    law = Chain(cells, tuple(loadings[i] for i in chain), grams, tuple(crosses[i] for i in chain), work["parents"], None)
    if border:
        z, density = _bordered(t, law, loadings, scales, crosses, normals, work)
    else:
        z, density = law.draw(tuple(normals[i] for i in chain))
    drawn.update(zip((*border, *chain), z, strict=True))
    r.update((i, _effects(loadings[i], drawn[i], work["roots"].get(i))) for i in (*border, *chain))
    order = range(len(t.blocks))
    return tuple(drawn[i] for i in order), tuple(r[i] for i in order), sum(map(log_normal, normals)) - log_density - density


def _alone(t: Transport, i: int, low: Any, scale: Any, cross: Any, work: Arrays) -> AbstractQuadratic:
    """The law of a single block."""
    if i in work["rotation"]:
        values, vectors = work["rotation"][i]
        return Rotated(low[0, 0], jnp.square(scale[0]) * values, vectors, cross @ work["roots"][i] if i in work["roots"] else cross)
    return Chain((cells_of(t.blocks[i]),), (low,), {(0, 0): _scaled(work["gram"][i, i], scale, scale)}, (cross,), {}, None)


def _by_coefficient(t: Transport, i: int, roots: tuple[Any, ...]) -> Any:
    """For each coefficient of block ``i``, the square root of how much more precise its place is than where it was expanded."""
    return jnp.concatenate([jnp.repeat(roots[s.unit][s.place], s.stop - s.start) for s in t.seats[i]])


def _scaled(gram: Any, left: Any, right: Any) -> Any:
    """``gram`` (k, other k, ...) with its rows and columns scaled."""
    lead = (1,) * (gram.ndim - 2)
    return gram * (left[:, None] * right).reshape(*gram.shape[:2], *lead)


def _bordered(
    t: Transport, law: Chain, loadings: list[Any], scales: list[Any], crosses: Mapping[int, Any], normals: tuple[Any, ...], work: Arrays
) -> tuple[tuple[Any, ...], Any]:
    """Standardised effects of border and chain, and the log density of the draw."""
    _, border, chain = t.parts
    low = [_across(loadings[i], work["roots"].get(i), *t.shapes[i]) for i in border]
    each = jnp.concatenate([jnp.repeat(scales[i], t.shapes[i][1]) for i in border])
    bordered = Bordered(
        law,
        block_diag(*low),
        _scaled(work["border_gram"], each, each),
        jnp.concatenate([jnp.ravel(crosses[i]) for i in border]),
        tuple(_scaled(c, scales[i], each) for i, c in zip(chain, work["couplings"], strict=True)),
    )
    (*drawn, z), density = bordered.draw((*(normals[i] for i in chain), jnp.concatenate([jnp.ravel(normals[i]) for i in border])))
    ends = np.cumsum([math.prod(t.shapes[i]) for i in border])[:-1]
    parts = [part.reshape(t.shapes[i]) for part, i in zip(jnp.split(z, ends), border, strict=True)]
    return (*parts, *drawn), density


def _across(low: Any, root: Any, k: int, n: int) -> Any:
    """The map from all standardised effects of a block to its effects, levels within coefficients."""
    wide = low if low.ndim == 3 else jnp.broadcast_to(low[:, :, None], (*low.shape, n))
    return jnp.einsum("abj,ji->ajbi", wide, jnp.eye(n) if root is None else root).reshape(k * n, k * n)


def _loadings(block: GroupBlock, full: Arrays, by: Any) -> Any:
    """``diag(sd) L``: (k, k), or (k, k, levels) where it differs by level: with ``gr(by = )``, ``gr(dist = "student")``."""
    low, widths = block.loadings(full), block.widths(full)
    low = jnp.moveaxis(low, 0, -1)[..., by] if low.ndim == 3 else low
    return low if jnp.ndim(widths) == 0 else (low if low.ndim == 3 else low[..., None]) * widths


def _effects(low: Any, z: Any, root: Any) -> Any:
    """``T z`` of every level; ``root``: what correlates the levels. A zero of ``T`` costs nothing that matters here."""
    k = z.shape[0]
    z = z if root is None else z @ root.T
    return jnp.stack([sum(low[i, j] * z[j] for j in range(i + 1)) for i in range(k)])


def _moved(t: Transport, full: Arrays, others: Any, roots: tuple[Any, ...], data: Arrays) -> tuple[Any, ...]:
    """How the working residuals moved since the likelihood was expanded, by unit; ``roots``: of how much more precise its rows are.

    Linear: for each place the factors of its sums: 1, then ``root root_q (1, expanded - coefficients)`` for each place ``q`` of the unit,
    then ``others``, the other parameters less where they were expanded. Else by row, (places, rows): the score, and how much the
    predictor without effects moved.
    """
    work, design = data["working"], data["inner"]["design"]
    if not t.linear:
        rest = [jnp.stack(unit.rest(t.rest, full, design)) for unit in t.units]
        return tuple(
            (score + jnp.tensordot(others, slopes, 1), root, now - then)
            for score, slopes, root, now, then in zip(work["score"], work["slopes"], roots, rest, work["eta"], strict=True)
        )
    out = []
    for unit, refs, root in zip(t.units, work["ref"], roots, strict=True):
        now = [p.coefficients(t.rest, full) for p in unit.places]
        gone = [jnp.concatenate([jnp.ones(1), ref - beta]) * root[q] for q, (ref, beta) in enumerate(zip(refs, now, strict=True))]
        out.append(tuple(jnp.concatenate([jnp.ones(1), *(root[p] * g for g in gone), others]) for p in range(len(now))))
    return tuple(out)


def _cross(t: Transport, i: int, moved: Any, work: Arrays, known: Any = None) -> Any:
    """``Z' (working residual)`` of block ``i``, (k, levels); ``known``: what single blocks explain already, by unit and row."""
    if t.linear:
        out = jnp.concatenate([_weighted_sum(moved[s.unit][s.place], a) for s, a in zip(t.seats[i], work["cross"][i], strict=True)])
        return out if known is None else out - _by_level(t, i, known, work)
    units = range(len(t.units))
    residual = []
    for u in units:
        score, root, change = moved[u]
        value = score + _precise(work["precision"][u], root, work["own"][i][u] - change)
        residual.append(value if known is None else value - known[u])
    return _by_level(t, i, residual, work)


def _weighted_sum(factors: Any, arrays: Any) -> Any:
    """The sum of arrays (factors, k, levels) with these factors."""
    return jnp.tensordot(factors, arrays, 1) if len(arrays) > 8 else jnp.sum(arrays * factors.reshape(-1, 1, 1), axis=0)


def _precise(precision: Any, root: Any, change: Any) -> Any:
    """The precision of the places of a unit, scaled, times a change of their predictors: (places, rows)."""
    return root[:, None] * jnp.sum(precision * (root[:, None] * change), axis=1)


def _by_level(t: Transport, i: int, values: Any, work: Arrays) -> Any:
    """Sums over rows of ``Z`` times ``values`` (a unit: (places, rows)), (k, levels)."""
    n = t.shapes[i][1]
    seats = zip(t.seats[i], work["columns"][i], work["level"][i], strict=True)
    return jnp.concatenate([sum_by(z * values[s.unit][s.place], level, n) for s, z, level in seats])


def on_rows(t: Transport, blocks: Iterable[int], r: Any, columns: Any, levels: Any) -> dict[tuple[int, int], Any]:
    """What the effects ``r`` (k, levels) of these blocks add to the rows of their places: ``(unit, place) -> (rows,)``."""
    out: dict[tuple[int, int], Any] = {}
    for i in blocks:
        for s, z, level in zip(t.seats[i], columns[i], levels[i], strict=True):
            added = (z * r[i][s.start : s.stop][:, level]).reshape(-1, z.shape[-1]).sum(0)
            out[s.unit, s.place] = out[s.unit, s.place] + added if (s.unit, s.place) in out else added
    return out


def _explained(t: Transport, r: Mapping[int, Any], roots: tuple[Any, ...], work: Arrays) -> Any:
    """Precision times what the effects of the single blocks add to each row beyond the expansion; ``None`` without such blocks."""
    if not t.singles:
        return None
    added = [jnp.negative(then) for then in work["singles"]]
    for (u, p), values in on_rows(t, t.parts[0], r, work["columns"], work["level"]).items():
        added[u] = added[u].at[p].add(values)
    return tuple(_precise(w, root, change) for w, root, change in zip(work["precision"], roots, added, strict=True))
