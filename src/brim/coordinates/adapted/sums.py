"""The working model: the log likelihood as a quadratic function of the predictors that latent vectors enter, row by row.

Around ``eta`` (the places of a unit): ``l(eta + d) ~ l + g' d - d' W d / 2`` with score ``g`` and precision ``W`` of each row; ``g`` moves
with the other parameters of the law (thresholds, shapes) along its slopes. From these come, level by level, the sums that the law of
the vectors reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from brim.coordinates.adapted.expansion import Expansion, Rows, linear_design
from brim.coordinates.adapted.law import Border, ByRow, Lookup, Working, WorkingSums, on_rows
from brim.coordinates.adapted.which import Adapted
from brim.coordinates.quadratic.meetings import KNOWN, Arithmetic, between, flat
from brim.terms.latent import Incidence

__all__ = ["border_of", "gram", "no_working", "working"]


def no_working(t: Adapted, rows: Rows) -> Working:
    """The working model of no data: effects stay non-centred."""
    shapes = [(len(unit.places), n) for unit, n in zip(t.units, rows.sizes, strict=True)]
    none = tuple(np.zeros(shape) for shape in shapes)
    nothing = Expansion(
        theta=t.rest.layout.center(),
        ref=tuple(tuple(np.zeros(len(x)) for x in unit) for unit in linear_design(t, rows)) if t.linear else ((),) * len(shapes),
        rest=none,
        eta=none,
        effects=tuple(np.zeros(shape) for shape in t.shapes),
        value=tuple(np.zeros(n) for _, n in shapes),
        score=none,
        curvature=tuple(np.zeros((p, p, n)) for p, n in shapes),
        precision=tuple(np.zeros((p, p, n)) for p, n in shapes),
        slopes=tuple(np.zeros((len(rows.at), *shape)) for shape in shapes),
        growth=tuple(np.zeros((len(rows.at), p)) for p, _ in shapes),
    )
    return working(t, rows, nothing)


def working(t: Adapted, rows: Rows, e: Expansion) -> Working:
    """The working model of an expansion.

    A single vector is expanded around its own part of the predictors; those with a joint law around that of all of them.
    """
    singles, border, chain = t.parts
    own = tuple([_added(t, rows, e, (i,)) for i in singles] + [_added(t, rows, e, (*border, *chain))] * (len(border) + len(chain)))
    pairs = [(i, i) for i in singles if i not in t.rotated] + [(b, c) for b in chain for c in chain if c >= b]
    by_row = not t.linear or bool(singles)
    return Working(
        at=rows.at,
        theta=e.theta[rows.at],
        growth=e.growth,
        gram={(i, j): gram(t, rows.seats, e.precision, i, j) for i, j in pairs},
        parents=rows.parents,
        rotation={i: _rotation(_joint(t, rows.seats, e.precision, i, i), t.latents[i].levels_root) for i in t.rotated},
        border=border_of(t, rows.seats, e.precision) if border else None,
        sums=_sums(t, rows, e, own) if t.linear else None,
        rows=None if t.linear else ByRow(e.score, e.slopes, e.rest, own),
        lookup=Lookup(rows.seats, e.precision, _added(t, rows, e, singles)) if by_row else None,
    )


def _added(t: Adapted, rows: Rows, e: Expansion, vectors: Iterable[int]) -> tuple[np.ndarray, ...]:
    """What these vectors' effects add to the predictors, by unit (places, rows)."""
    out = tuple(np.zeros_like(eta) for eta in e.eta)
    for (u, p), values in on_rows(t, vectors, e.effects, rows.seats).items():
        out[u][p] = values
    return out


def _sums(t: Adapted, rows: Rows, e: Expansion, own: tuple[tuple[np.ndarray, ...], ...]) -> WorkingSums:
    """The working residuals ``g + W (own - X (beta - ref)) + slopes' others`` of rows, summed term by term."""
    design = linear_design(t, rows)

    def cross(i: int, k: int) -> np.ndarray:
        seat = t.seats[i][k]
        w = e.precision[seat.unit][seat.place]
        values = [e.score[seat.unit][seat.place]]
        for q, x in enumerate(design[seat.unit]):
            values += [w[q] * own[i][seat.unit][q], *(x * w[q])]
        values += list(e.slopes[seat.unit][:, seat.place])
        return np.stack([rows.seats[i][k].known_sums(v, t.shapes[i][1]) for v in values])

    return WorkingSums(e.ref, tuple(tuple(cross(i, k) for k in range(len(seats))) for i, seats in enumerate(t.seats)))


def _meetings(t: Adapted, seats: Any, precision: Any, i: int, j: int) -> Iterator[tuple[slice, slice, Incidence, Incidence, Any]]:
    """Seats of two vectors in the same unit: which coefficients, where they stand, and the precision between their places."""
    for one, left in zip(t.seats[i], seats[i], strict=True):
        for other, right in zip(t.seats[j], seats[j], strict=True):
            if one.unit == other.unit:
                at = slice(one.start, one.stop), slice(other.start, other.stop)
                yield *at, left, right, precision[one.unit][one.place, other.place]


def gram(t: Adapted, seats: Any, precision: Any, i: int, j: int, by: Arithmetic = KNOWN) -> Any:
    """``Z_i' W Z_j`` of each level of ``i``, (k_i, k_j, levels); ``seats``: the incidences of each vector."""
    levels = t.shapes[i][1]
    pieces = []
    for one, other, left, right, w in _meetings(t, seats, precision, i, j):
        pieces.append((one, other, by.numpy.stack([by.sums(left, z * w, levels) for z in right.columns], axis=1)))
    return _assembled(pieces, t.shapes[i][0], t.shapes[j][0], (levels,), by)


def _assembled(pieces: list[tuple[slice, slice, Any]], rows: int, columns: int, tail: tuple[int, ...], by: Arithmetic) -> Any:
    """An array (rows, columns, ...) of its pieces, zeros between them: those in the same place are added."""
    out = by.numpy.zeros((rows, columns, *tail))
    for one, other, piece in pieces:
        around = ((one.start, rows - one.stop), (other.start, columns - other.stop), *((0, 0) for _ in tail))
        out = out + by.numpy.pad(piece, around)
    return out


def _rotation(gram: np.ndarray, root: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none negative, and eigenvectors of ``gram``, or of ``root' gram root``."""
    values, vectors = np.linalg.eigh(gram if root is None else root.T @ gram @ root)
    return np.maximum(values, 0.0), vectors


def border_of(t: Adapted, seats: Any, precision: Any, by: Arithmetic = KNOWN) -> Border:
    """What the border says of itself and of the chain."""
    _, border, chain = t.parts
    block = by.numpy.block([[_joint(t, seats, precision, i, j, by) for j in border] for i in border])
    to_chain = (by.numpy.concatenate([_joint(t, seats, precision, i, b, by) for i in border]).reshape(-1, *t.shapes[b]) for b in chain)
    return Border(block, tuple(by.numpy.moveaxis(c, 0, 1) for c in to_chain))


def _joint(t: Adapted, seats: Any, precision: Any, i: int, j: int, by: Arithmetic = KNOWN) -> Any:
    """``Z_i' W Z_j`` of all effects of two vectors, (effects of i, effects of j), levels within coefficients."""
    (k, n), (other_k, m) = t.shapes[i], t.shapes[j]
    pieces = []
    for one, other, left, right, w in _meetings(t, seats, precision, i, j):
        pieces.append((one, other, between(left, right, w, n, m, by)))
    out = _assembled(pieces, k, other_k, (n, m), by)
    return flat(out, by)
