"""Expected responses averaged over the law of the groups: what holds for a group that has not been seen, on average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.bounded import bounded
from brim.compile.session import float64
from brim.distributions.observe import truncated_mean
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.frames.frame import Factor, Frame
from brim.model.model import Model, ResponseModel
from brim.post.predict import chunks, design_for, predict
from brim.terms.groups.effect import GroupEffect

__all__ = ["integrated_epred", "scaled"]

# Evenly spaced nodes of a standard normal law: for smooth functions the sum converges faster than Gauss-Hermite's, to 1e-8 for effects
# with a standard deviation of 5 on the logit scale.
_NODES = np.linspace(-9.0, 9.0, 73)
_SAMPLES = 200  # where there is no quadrature in one dimension


def integrated_epred(fit: FitRecord, frame: Frame, *, resp: str | None, dpar: str | None, ids: np.ndarray, seed: int) -> np.ndarray:
    """``E[E(y | u)]`` over ``u ~ N(0, Sigma)`` of every draw, ``(draws, rows[, categories])``.

    By quadrature where all group effects add to one predictor (their sum is normal), else from samples of new groups.
    """
    response = fit.model.response(resp)
    frame = _unseen(fit.model, response, frame)
    holders = [p for p in response.predictors if any(True for _ in p.effects())]
    if not holders:
        return _plain(fit, frame, resp, dpar, ids, seed)
    if len(holders) == 1 and all(e.plain or e.block.grouping.is_mm for e in holders[0].effects()) and not _heavy(holders[0].effects()):
        return _quadrature(fit, response, frame, holders[0].name, dpar, ids)
    draws = (_plain(fit, frame, resp, dpar, ids, seed + i, re_formula=None) for i in range(_SAMPLES))
    return np.asarray(sum(draws) / _SAMPLES)


def _heavy(effects: Any) -> bool:
    """Whether a law of effects is not normal."""
    return any(e.block.grouping.dist == "student" or e.latent.given for e in effects)


def _plain(
    fit: FitRecord, frame: Frame, resp: str | None, dpar: str | None, ids: np.ndarray, seed: int, re_formula: Any = False
) -> np.ndarray:
    return predict(
        fit,
        "epred" if dpar is None else "dpar",
        frame,
        dpar=dpar,
        resp=resp,
        re_formula=re_formula,
        allow_new_levels=True,
        sample_new_levels="gaussian",
        draw_ids=ids,
        seed=seed,
        incl_autocor=False,
    )


def _unseen(model: Model, response: ResponseModel, frame: Frame) -> Frame:
    """The rows in one group that is not in the data; with ``gr(by = )`` one for each level of it."""
    columns: dict[str, Factor] = {}
    for effect in response.effects():
        grouping = effect.block.grouping
        taken = {part for level in grouping.levels for part in str(level).split("_")} | set(grouping.levels)
        name = next(n for i in range(1000) if (n := "new" + "_" * i) not in taken)
        if grouping.by_name:
            if grouping.by_name not in frame:
                raise BrimError(f"the rows lack '{grouping.by_name}', by which the groups differ")
            by = frame[grouping.by_name].as_factor()
            code, levels = by.codes, tuple(f"{name}{level}" for level in by.levels)
        else:
            code, levels = np.zeros(frame.n, np.int32), (name,)
        columns |= {column: Factor(code, levels) for column in grouping.variables() if column != grouping.by_name}
        columns = {c: f for c, f in columns.items() if c not in _numbers(grouping)}
    return frame.with_columns(columns) if columns else frame


def _numbers(grouping: Any) -> tuple[str, ...]:
    """Columns of a grouping that are weights, not keys."""
    return tuple(v for v in (grouping.weight_name,) if v)


def _quadrature(fit: FitRecord, response: ResponseModel, frame: Frame, holder: str, dpar: str | None, ids: np.ndarray) -> np.ndarray:
    left_out = frozenset(t.key for t in fit.model.terms() if t.traits.autocor)
    model, design, skip = design_for(fit.model, fit.frame, frame, response, None, True, False, left_out)
    scoped = model.response(response.name)
    if dpar is not None and dpar != holder:
        return _plain(fit, frame, response.name, dpar, ids, 0)
    weights = np.exp(-0.5 * _NODES**2)
    known_by = {e.block.key: np.concatenate([e.block.grouping.by_index, e.block.grouping.new_by]) for e in scoped.effects()}
    used = {q.key for q in model.reported()}
    parts = []
    with float64():
        kernel = _kernel(model, response.name, holder, dpar or "", skip)
        arrays = {k: v for k, v in fit.draws.flat().items() if k in used}
        for chunk, n in chunks(ids, design[scoped.rows_key].shape[0] * 4):
            some = {k: v[chunk] for k, v in arrays.items()}
            parts.append(np.asarray(kernel(some, design, known_by, (_NODES, weights / weights.sum())))[:n])
    return np.concatenate(parts)


def scaled(effect: GroupEffect, params: Any, design: Any, known_by: Any) -> Any:
    """What standardised effects of a row's levels are multiplied with, (memberships, rows, coefficients of the block).

    The sum of squares is the variance of the effect on the predictor in a new group. ``known_by``: the level of ``by`` of every level of
    the grouping, new ones too.
    """
    part = effect.latent
    j, z = effect.parts(design, params)
    j, z = (j[None], z[:, None]) if j.ndim == 1 else (j, z)
    load = effect.block.scaled(params, known_by[j])[part.start : part.stop]
    return jnp.einsum("cmr,ckmr->mrk" if load.ndim > 2 else "cmr,ck->mrk", z, load)


def _kernel(model: Model, name: str, holder: str, dpar: str, skip: frozenset[str]) -> Callable[..., Any]:
    """``(draws' params, design, by, rule) -> (draws, rows[, categories])``."""
    resp = model.response(name)
    effects = next(tuple(p.effects()) for p in resp.predictors if p.name == holder)
    without = skip | {e.key for e in effects}

    def one(params: Any, design: Any, known_by: Any, rule: Any) -> Any:
        full = {**params, **model.invert(params, design)}
        eta = resp.etas(full, design, without)[holder]
        blocks: dict[str, Any] = {}
        for e in effects:
            blocks[e.block.key] = blocks.get(e.block.key, 0.0) + scaled(e, full, design[e.key], known_by[e.block.key])
        sd = jnp.sqrt(sum(jnp.sum(b**2, axis=(0, 2)) for b in blocks.values()))
        sd = sd if eta.ndim == 1 else sd[:, None]

        def at(node: Any) -> Any:
            dpars = resp.dpars(full, design, without, {holder: eta + sd * node})
            if dpar:
                return jnp.broadcast_to(dpars[dpar].value, eta.shape)
            data = design[resp.data_key]
            if "lb" in data or "ub" in data:
                return truncated_mean(resp.family.distribution(dpars, data), data)
            return resp.family.epred(dpars, data)

        x, w = rule
        return jnp.tensordot(w, jax.lax.map(at, x), axes=1)

    return bounded(("over new groups", model, name, holder, dpar, skip), lambda: jax.vmap(one, in_axes=(0, None, None, None)))
