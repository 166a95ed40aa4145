"""The working model of a transport: the log likelihood as a quadratic function of the predictors that effects enter, row by row.

Around ``eta`` (the places of a unit): ``l(eta + d) ~ l + g' d - d' W d / 2`` with score ``g`` and precision ``W`` of each row; ``g`` moves
with the other parameters of the law (thresholds, shapes) along its slopes. From these come, level by level, the sums that transports
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from brim.coordinates.adapted.expansion import Expansion, Rows, linear_design
from brim.coordinates.adapted.law import on_rows
from brim.coordinates.adapted.which import Transport, is_joint

__all__ = ["no_working", "working"]


def no_working(t: Transport, rows: Rows) -> dict[str, Any]:
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


def working(t: Transport, rows: Rows, e: Expansion) -> dict[str, Any]:
    """The arrays that transports read, from an expansion."""
    singles, border, chain = t.parts
    own = [_added(t, rows, e, (i,)) for i in singles] + [_added(t, rows, e, (*border, *chain))] * (len(border) + len(chain))
    turned = [i for i in singles if is_joint(t.blocks[i])]
    roots = {i: root for i, b in enumerate(t.blocks) if (root := b.grouping.cholesky) is not None}
    pairs = [(i, i) for i in singles if i not in turned] + [(b, c) for b in chain for c in chain if c >= b]
    out: dict[str, Any] = {
        "at": rows.at,
        "theta": e.theta[rows.at],
        "growth": e.growth,
        "by": rows.by,
        "parents": rows.parents,
        "gram": {(i, j): _gram(t, rows, e.precision, i, j) for i, j in pairs},
        "rotation": {i: _rotation(_joint(t, rows, e.precision, i, i), roots.get(i)) for i in turned},
        "roots": roots,
    }
    if border:
        out["border_gram"] = np.block([[_joint(t, rows, e.precision, i, j) for j in border] for i in border])
        out["couplings"] = tuple(
            np.moveaxis(np.concatenate([_joint(t, rows, e.precision, i, b) for i in border]).reshape(-1, *t.shapes[b]), 0, 1) for b in chain
        )
    if t.linear:
        design = linear_design(t, rows)
        out["ref"] = e.ref
        out["cross"] = tuple(
            tuple(_crosses(t, rows, e, design, i, k, own[i]) for k in range(len(seats))) for i, seats in enumerate(t.seats)
        )
    else:
        out |= {"score": e.score, "slopes": e.slopes, "eta": e.rest, "own": tuple(own)}
    if not t.linear or singles:
        out |= {"level": rows.level, "columns": rows.columns, "precision": e.precision, "singles": _added(t, rows, e, singles)}
    return out


def _added(t: Transport, rows: Rows, e: Expansion, blocks: Iterable[int]) -> tuple[np.ndarray, ...]:
    """What these blocks' effects add to the predictors, by unit (places, rows)."""
    out = tuple(np.zeros_like(eta) for eta in e.eta)
    for (u, p), values in on_rows(t, blocks, e.effects, rows.columns, rows.level).items():
        out[u][p] = values
    return out


def _crosses(
    t: Transport, rows: Rows, e: Expansion, design: list[list[np.ndarray]], i: int, k: int, own: tuple[np.ndarray, ...]
) -> np.ndarray:
    """The sums of a seat of block ``i`` whose factors ``transport`` computes, (factors, coefficients, levels)."""
    seat = t.seats[i][k]
    w = e.precision[seat.unit][seat.place]
    values = [e.score[seat.unit][seat.place]]
    for q, x in enumerate(design[seat.unit]):
        values += [w[q] * own[seat.unit][q], *(x * w[q])]
    values += list(e.slopes[seat.unit][:, seat.place])
    return np.stack([_sums(t, rows, i, k, v) for v in values])


def _sums(t: Transport, rows: Rows, i: int, k: int, values: np.ndarray) -> np.ndarray:
    """Sums over rows of the columns of a seat times values, (coefficients of the seat, levels)."""
    level, n = rows.level[i][k].ravel(), t.shapes[i][1]
    return np.stack([np.bincount(level, (z * values).ravel(), n) for z in rows.columns[i][k]])


def _meetings(t: Transport, precision: tuple[np.ndarray, ...], i: int, j: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Seats of two blocks in the same unit, and the precision between their places."""
    for a, one in enumerate(t.seats[i]):
        for b, other in enumerate(t.seats[j]):
            if one.unit == other.unit:
                yield a, b, precision[one.unit][one.place, other.place]


def _gram(t: Transport, rows: Rows, precision: tuple[np.ndarray, ...], i: int, j: int) -> np.ndarray:
    """``Z_i' W Z_j`` of each level of ``i``, (k_i, k_j, levels)."""
    out = np.zeros((t.shapes[i][0], t.shapes[j][0], t.shapes[i][1]))
    for a, b, w in _meetings(t, precision, i, j):
        one, other = t.seats[i][a], t.seats[j][b]
        cells = [_sums(t, rows, i, a, z * w) for z in rows.columns[j][b]]
        out[one.start : one.stop, other.start : other.stop] = np.stack(cells, axis=1)
    return out


def _rotation(gram: np.ndarray, root: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none negative, and eigenvectors of ``gram``, or of ``root' gram root``."""
    values, vectors = np.linalg.eigh(gram if root is None else root.T @ gram @ root)
    return np.maximum(values, 0.0), vectors


def _joint(t: Transport, rows: Rows, precision: tuple[np.ndarray, ...], i: int, j: int) -> np.ndarray:
    """``Z_i' W Z_j`` of all effects of two blocks, (effects of i, effects of j), levels within coefficients."""
    (k, n), (other, m) = t.shapes[i], t.shapes[j]
    out = np.zeros((k, n, other, m))
    for a, b, w in _meetings(t, precision, i, j):
        left, right = t.seats[i][a], t.seats[j][b]
        for one, x in _memberships(rows, i, a):
            for two, y in _memberships(rows, j, b):
                cell = one.astype(np.int64) * m + two
                for c, xc in enumerate(x, left.start):
                    for d, yd in enumerate(y, right.start):
                        out[c, :, d] += np.bincount(cell, xc * w * yd, n * m).reshape(n, m)
    return out.reshape(k * n, other * m)


def _memberships(rows: Rows, i: int, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Level (rows,) and columns (coefficients, rows) of a seat, for each membership of its rows."""
    level, z = rows.level[i][k], rows.columns[i][k]
    if level.ndim == 1:
        yield level, z
    else:
        yield from ((level[m], z[:, m]) for m in range(len(level)))
