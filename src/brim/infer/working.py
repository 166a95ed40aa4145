"""The working model of a transport: the log likelihood as a quadratic function of the linear predictor, row by row.

Around ``eta``: ``l(eta + d) ~ l + g d - w d^2 / 2`` with score ``g`` and curvature ``w`` of each row; ``g`` moves with the other
parameters of the law (thresholds, shapes) along its slopes. From these come, level by level, the sums that transports read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.frame import Frame
from brim.infer.cache import compile_cached
from brim.infer.elimination import effects_of
from brim.infer.transport import Transport, effects
from brim.param import unconstrained_size

__all__ = ["Expansion", "Rows", "expander", "no_working", "rows_of", "working"]

MOST_SLOPES = 20  # other parameters that the score is moved along

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """What is known of the rows: the design of ``theta``'s model, and level and columns of each block."""

    design: Any
    level: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]
    by: tuple[np.ndarray, ...]
    parents: dict[tuple[int, int], np.ndarray]
    at: np.ndarray


@dataclass(frozen=True)
class Expansion:
    """Where the likelihood was expanded, and what it is there.

    Attributes
    ----------
    theta
        The other parameters, unconstrained.
    ref
        Coefficients of the linear part of the predictor at ``theta``.
    rest, eta
        Linear predictor of each row without and with the effects.
    effects
        The effects of each block, (coefficients, levels).
    value, score, precision, slopes
        Log likelihood of each row, its first derivative, minus its second (at least zero), and the derivative of the score with respect
        to other parameters, (parameters, rows).
    growth
        Derivative of the logarithm of the mean precision with respect to those.
    """

    theta: np.ndarray
    ref: np.ndarray
    rest: np.ndarray
    eta: np.ndarray
    effects: tuple[np.ndarray, ...]
    value: np.ndarray
    score: np.ndarray
    precision: np.ndarray
    slopes: np.ndarray
    growth: np.ndarray


def no_working(t: Transport, rows: Rows) -> dict[str, Any]:
    """The working model of no data: effects stay non-centred."""
    n, theta = len(rows.level[0]), t.rest.layout.center()
    nothing = Expansion(
        theta=theta,
        ref=np.zeros(len(_linear_design(t, rows)) if t.linear else 0),
        rest=np.zeros(n),
        eta=np.zeros(n),
        effects=tuple(np.zeros(shape) for shape in t.shapes),
        value=np.zeros(n),
        score=np.zeros(n),
        precision=np.zeros(n),
        slopes=np.zeros((len(rows.at), n)),
        growth=np.zeros(len(rows.at)),
    )
    return working(t, rows, nothing)


def rows_of(t: Transport, frame: Frame) -> Rows:
    """The rows of a model's training data."""
    response = t.model.responses[0].response
    kept = response.rows(frame)
    seen = frame if kept is None else frame.take(kept)
    level, columns = [], []
    for block in t.blocks:
        parts = [effect.parts(effect.design(seen)) for effect in effects_of(block, t.model)]
        level.append(np.asarray(parts[0][0]))
        columns.append(np.concatenate([z for _, z in parts]))
    parents = {}
    first = t.parts[2].start
    for b in range(len(t.chain)):
        for c in range(b + 1, len(t.chain)):
            parents[b, c] = np.zeros(t.shapes[first + b][1], np.int32)
            parents[b, c][level[first + b]] = level[first + c]
    by = tuple(b.grouping.by_index for b in t.blocks)
    return Rows(t.rest.data(frame)["design"], tuple(level), tuple(columns), by, parents, _other_coordinates(t))


def _other_coordinates(t: Transport) -> np.ndarray:
    """Coordinates of parameters of the law that are not in the predictor of the mean; none where there are too many."""
    rest = t.rest
    mu = rest.responses[0].predictor("mu")
    assert mu is not None
    own = {p.name for term in (*mu.terms, *t.blocks, *rest.blocks, *rest.shared) for p in term.params()}
    at, out = 0, []
    for p in rest.params:
        n = unconstrained_size(p)
        out += [] if p.name in own else list(range(at, at + n))
        at += n
    return np.array(out if len(out) <= MOST_SLOPES else [], np.int32)


def _linear_design(t: Transport, rows: Rows) -> np.ndarray:
    """The columns of the rest of the mean, (columns, rows)."""
    mu = t.rest.responses[0].predictor("mu")
    assert mu is not None
    parts = [np.asarray(term.columns(rows.design[term.key])) for term in mu.terms]
    return np.concatenate([np.zeros((len(rows.level[0]), 0)), *parts], axis=1).T


# --------------------------------------------------------------------------- sums


def working(t: Transport, rows: Rows, e: Expansion) -> dict[str, Any]:
    """The arrays that transports read, from an expansion."""
    singles, border, chain = t.parts
    on_rows = [np.einsum("kn,kn->n", rows.columns[i], e.effects[i][:, rows.level[i]]) for i in range(len(t.blocks))]
    joint = sum((on_rows[i] for i in (*border, *chain)), np.zeros_like(e.eta))
    own = [on_rows[i] for i in singles] + [joint] * (len(border) + len(chain))
    pairs = [(i, i) for i in singles] + [(b, c) for b in chain for c in chain if c >= b]
    out: dict[str, Any] = {
        "at": rows.at,
        "theta": e.theta[rows.at],
        "growth": e.growth,
        "by": rows.by,
        "parents": rows.parents,
        "gram": {(i, j): _gram(t, rows, e.precision, i, j) for i, j in pairs},
    }
    if border:
        out["border_gram"] = np.block([[_joint(t, rows, e.precision, i, j) for j in border] for i in border])
        out["couplings"] = tuple(
            np.moveaxis(np.concatenate([_joint(t, rows, e.precision, i, b) for i in border]).reshape(-1, *t.shapes[b]), 0, 1) for b in chain
        )
    if t.linear:
        x = _linear_design(t, rows) * e.precision
        out["ref"] = e.ref
        out["cross"] = tuple(
            np.stack([_sums(t, rows, i, v) for v in (e.score, e.precision * own[i], *x, *e.slopes)]) for i in range(len(t.blocks))
        )
    else:
        out |= {"score": e.score, "slopes": e.slopes, "eta": e.rest, "own": tuple(own)}
    if not t.linear or singles:
        none = np.zeros_like(e.eta)
        singly = sum((on_rows[i] for i in singles), none)
        out |= {"level": rows.level, "columns": rows.columns, "precision": e.precision, "singles": singly}
    return out


def _joint(t: Transport, rows: Rows, precision: np.ndarray, i: int, j: int) -> np.ndarray:
    """``Z_i' diag(precision) Z_j`` of all effects of two blocks, (effects of i, effects of j), levels within coefficients."""
    (k, n), (other, m) = t.shapes[i], t.shapes[j]
    cell = rows.level[i].astype(np.int64) * m + rows.level[j]
    parts = [[np.bincount(cell, a * precision * b, n * m).reshape(n, m) for b in rows.columns[j]] for a in rows.columns[i]]
    return np.array(parts).transpose(0, 2, 1, 3).reshape(k * n, other * m)


def _sums(t: Transport, rows: Rows, i: int, values: np.ndarray) -> np.ndarray:
    """Sums over rows of ``Z`` times values, (k, levels)."""
    return np.stack([np.bincount(rows.level[i], z * values, t.shapes[i][1]) for z in rows.columns[i]])


def _gram(t: Transport, rows: Rows, precision: np.ndarray, i: int, j: int) -> np.ndarray:
    """``Z_i' diag(precision) Z_j`` of each level of ``i``."""
    return np.stack([_sums(t, rows, i, z * precision) for z in rows.columns[j]], axis=1)


# --------------------------------------------------------------------------- expansion


def expander(t: Transport, rows: Rows, data: Arrays) -> Any:
    """The compiled ``(theta, eta, use, data, design) ->`` an expansion as a dict: at ``eta`` where ``use``, else at the effects' modes."""
    leaves, tree = jax.tree.flatten((data, rows.design))
    return _compiled(t, tree, tuple((np.shape(x), np.result_type(x).str) for x in leaves), len(rows.level[0]))


@lru_cache(maxsize=16)
def _compiled(t: Transport, tree: Any, shapes: Any, n: int) -> Any:
    data, design = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes])
    vector = jax.ShapeDtypeStruct((n,), np.float64)
    theta, use = jax.ShapeDtypeStruct((t.head,), np.float64), jax.ShapeDtypeStruct((), np.bool_)
    integers = (
        [jax.ShapeDtypeStruct((n,), np.int64)] * len(t.blocks),
        [jax.ShapeDtypeStruct((len(b.coefs), n), np.float64) for b in t.blocks],
    )
    with jax.enable_x64(True):
        return compile_cached(jax.jit(_expand(t)).lower(theta, vector, use, data, design, *integers))[0]


def _expand(t: Transport) -> Any:
    response = t.rest.responses[0]
    mu = response.predictor("mu")
    assert mu is not None

    def run(theta: Any, eta: Any, use: Any, data: Arrays, design: Arrays, levels: Any, columns: Any) -> dict[str, Any]:
        fixed, at = data["inner"]["fixed"], data["working"]["at"]

        def params(theta: Any) -> Any:
            return t.rest.transform(t.rest.layout.constrain(theta, fixed)[0], design)

        full = params(theta)
        _, r, _ = effects(t, theta, tuple(jnp.zeros(s) for s in t.shapes), data)
        rest = mu.eta(design[response.rows_key], full, design)
        own = sum(jnp.sum(z * x[:, j], axis=0) for z, x, j in zip(columns, r, levels, strict=True))
        eta = jnp.where(use, eta, rest + own)

        def derivatives(others: Any) -> tuple[Any, Any]:
            known = params(theta.at[at].set(others))
            score = jax.grad(lambda x: jnp.sum(response.log_lik_at(x, known, design)))
            return jax.jvp(score, (eta,), (jnp.ones_like(eta),))

        others = theta[at]
        first, second = derivatives(others)
        moves = [jax.jvp(derivatives, (others,), (d,))[1] for d in np.eye(len(others))]
        return {
            "ref": jnp.concatenate([c.coefficients(full) for c in mu.terms] or [jnp.zeros(0)]) if t.linear else jnp.zeros(0),
            "rest": rest,
            "eta": eta,
            "effects": r,
            "value": jnp.broadcast_to(response.log_lik_at(eta, full, design), eta.shape),
            "score": first,
            "precision": jnp.maximum(-second, 0.0),
            "slopes": jnp.stack([move[0] for move in moves]) if moves else jnp.zeros((0, *eta.shape)),
            "growth": jnp.stack([_growth(second, move[1]) for move in moves]) if moves else jnp.zeros(0),
        }

    return run


def _growth(curvature: Any, change: Any) -> Any:
    """Relative change of the total precision, over rows whose log likelihood is concave."""
    concave = curvature < 0.0
    total = jnp.sum(jnp.where(concave, curvature, 0.0))
    return jnp.where(total < 0.0, jnp.sum(jnp.where(concave, change, 0.0)) / jnp.where(total < 0.0, total, 1.0), 0.0)
