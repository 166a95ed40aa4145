"""Predictions: ``dpars`` of the model under ``vmap`` over draws, in chunks, for training rows or new data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from brim.arguments import drawn_seed, flag, one_of, positions, whole
from brim.arguments import seed as checked_seed
from brim.compile.bounded import bounded
from brim.compile.session import float64
from brim.design.expressions import columns_among
from brim.distributions.evaluate import OUTPUTS, Output, evaluate_law
from brim.errors import BrimError, suggest
from brim.families.base import Dpar
from brim.fit.draws import Posterior
from brim.fit.record import FitRecord
from brim.frames.frame import Frame
from brim.model.data import ModelData
from brim.model.model import Model, ResponseModel
from brim.post.re_formula import chosen_effects
from brim.terms.facets import NewLevels

__all__ = ["HOW", "Query", "chunks", "evaluate", "log_prior", "pick_draws", "predict"]

#: Ways to draw the effects of new levels.
HOW: tuple[NewLevels, ...] = get_args(NewLevels)
#: What is evaluated at rows.
What = Literal["epred", "variance", "linpred", "predict", "log_lik", "component", "dpar", "nlpar"] | Output

#: Numbers held at once by one chunk of draws x rows.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Query:
    """What to compute for each draw and row.

    Attributes
    ----------
    what
        What is evaluated.
    resp
        Name of the response; empty for all responses under their joint law.
    dpar
        Distributional parameter for ``linpred`` and ``dpar``; empty for what the formula predicts, stacked if that is several.
    skip
        Keys of terms left out.
    how
        How effects of new levels are drawn, see ``HOW``.
    """

    what: What
    resp: str
    dpar: str = ""
    skip: frozenset[str] = frozenset()
    how: NewLevels = "uncertainty"


def pick_draws(total: int, ndraws: int | None, draw_ids: Any, seed: int | None) -> np.ndarray:
    """Indices of draws: all, ``ndraws`` of them at random without replacement (in order), or ``draw_ids`` (from 0)."""
    seed = checked_seed(seed)
    if ndraws is not None and draw_ids is not None:
        raise BrimError("give ndraws or draw_ids, not both")
    if draw_ids is not None:
        return positions("draw_ids", draw_ids, total)
    if ndraws is None:
        return np.arange(total)
    ndraws = whole("ndraws", ndraws, least=1)
    if ndraws > total:
        raise BrimError(f"ndraws = {ndraws}: the fit has {total} draws")
    return np.sort(np.random.default_rng(seed).choice(total, ndraws, replace=False))


# --------------------------------------------------------------------------- designs


def design_for(
    model: Model,
    frame: Frame,
    newdata: Any,
    resp: ResponseModel | None,
    re_formula: Any,
    allow_new_levels: bool,
    with_y: bool,
    left_out: frozenset[str] = frozenset(),
) -> tuple[Model, dict[str, Any], frozenset[str]]:
    """The (scoped) model, the design and the terms left out for a prediction of one response, or of all (``None``)."""
    model, skip = chosen_effects(model, re_formula)
    skip |= left_out
    only = None if resp is None else resp.name
    if newdata is None:
        design = model.design(frame.every("what is asked of the rows of the fit"), with_y=True, skip=skip, only=only)
    else:
        new = Frame.read(newdata)
        effects = [e for r in _chosen(model, only) for e in r.effects() if e.key not in skip]
        kept = tuple(b for b in model.blocks if any(e.block.key == b.key for e in effects))
        model = model.with_blocks(tuple(b.scope(new) if b in kept else b for b in model.blocks))
        _check_levels(model, allow_new_levels)
        for r in _chosen(model, only):
            _check_missing(new, frame, r, skip, with_y)
            if with_y:
                r.response.check(r.response.kept(new), r.family)
        design = model.design(new, with_y=with_y, skip=skip, only=only)
    return model, design, skip


def _chosen(model: Model, only: str | None) -> tuple[ResponseModel, ...]:
    return model.responses if only is None else (model.response(only),)


def _check_missing(frame: Frame, trained: Frame, resp: ResponseModel, skip: frozenset[str], with_y: bool) -> None:
    """Columns that must be there, and complete where they are used."""
    residual = () if resp.residual is None else (resp.residual,)
    names = [v for t in (*(t for p in resp.predictors for t in p.terms), *residual) if t.key not in skip for v in t.variables()]
    gone = {name: frame[name].missing for name in columns_among(dict.fromkeys(names), trained)}
    for name, missing in (*gone.items(), *(resp.response.missing(frame).items() if with_y else ())):
        if missing.any():
            raise BrimError(
                f"newdata: '{name}' is missing in row {int(np.flatnonzero(missing)[0])} (counted from 0)", hint="fill it, or drop the row"
            )


def _check_levels(model: Model, allow: bool) -> None:
    for b in model.blocks:
        if b.grouping.new_levels and not allow:
            level = b.grouping.new_levels[0]
            raise BrimError(
                f"newdata: '{level}' is a new level of '{b.grouping.label}'",
                hint=suggest(level, b.grouping.levels, "levels")
                + " For new levels say allow_new_levels=True; to leave group effects out, re_formula=False.",
            )


# --------------------------------------------------------------------------- evaluation


def _kernel(model: Model, query: Query) -> Callable[..., Any]:
    """The compiled ``(draws' params, keys, shared key, design) -> (draws, rows[, ...])`` of a query."""
    resp = model.response(query.resp) if query.resp else model.responses[0]

    def one(params: Any, key: Any, shared: Any, design: Any) -> Any:
        new, noise = jax.random.split(key)
        full = model.extend((new, shared), params, design, query.how)
        if not query.resp:
            return _joint(model, query, noise, full, design)
        if query.what == "log_lik":
            return resp.log_lik(full, design, query.skip)
        if query.what == "nlpar":
            return resp.etas(full, design, query.skip)[query.dpar]
        if query.what in ("linpred", "dpar"):
            found = resp.dpars(full, design, query.skip)
            dpars = resp.family.natural(found) if query.what == "dpar" else found
            names = (query.dpar,) if query.dpar else resp.family.mus
            # the parameter that others are relative to has no predictor: zero
            parts = [_whole(dpars.get(n, Dpar(jnp.zeros(()))), query.what, design[resp.rows_key].shape[0]) for n in names]
            return parts[0] if len(parts) == 1 else jnp.stack(parts, axis=-1)
        if query.what == "epred":
            return resp.epred(full, design, query.skip)
        if query.what == "component":
            logs = resp.distribution(full, design, query.skip).log_joint(design[resp.data_key]["y"])
            return jax.nn.log_softmax(logs, axis=-1)
        if query.what in OUTPUTS:
            return evaluate_law(resp.distribution(full, design, query.skip), design[resp.data_key], query.what, design["at"], noise)
        if query.what == "variance":
            return resp.variance(noise, full, design, query.skip)
        return resp.sample(noise, full, design, query.skip)

    return bounded(("predictions", model, query), lambda: jax.vmap(one, in_axes=(0, 0, None, None)))


def _joint(model: Model, query: Query, key: Any, full: Any, design: Any) -> Any:
    """Log likelihood ``(rows,)`` or new values ``(rows, responses)`` of correlated responses; ``NaN`` where one is missing."""
    assert model.joint is not None
    dpars, data = model.all_dpars(full, design, query.skip)
    full = {**full, **model.joint.invert(full, {})}  # the factor of the correlations
    if query.what == "log_lik":
        return model.joint.log_lik([d["y"] for d in data], dpars, data, full)
    return model.joint.sample(key, dpars, data, full)


def _whole(dpar: Dpar, what: str, rows: int) -> Any:
    """A parameter of every row, on its predictor's scale or its own."""
    value = dpar.eta if what == "linpred" else dpar.value
    return jnp.broadcast_to(value, (rows, *jnp.shape(value)[1:]))


def evaluate(model: Model, design: dict[str, Any], posterior: Posterior, ids: np.ndarray, query: Query, seed: int) -> np.ndarray:
    """The query for these draws, ``(draws, rows[, categories])``; in chunks, so that memory stays bounded."""
    keys_used = {q.key for q in model.reported()}
    with float64():
        root = jax.random.key(seed)
        shared = jax.random.fold_in(root, 2**31 - 1)
        kernel = _kernel(model, query)
        _check_kept(model, design, posterior, query)
        arrays = {k: v for k, v in posterior.flat().items() if k in keys_used}
        rows = design[(model.response(query.resp) if query.resp else model.responses[0]).rows_key].shape[0]
        parts = []
        held = sum(t.held(design[t.key]) for t in model.terms() if t.key in design)
        for chunk, n in chunks(ids, max(rows, held)):
            keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(jnp.asarray(chunk, jnp.uint32))
            parts.append(np.asarray(kernel({k: v[chunk] for k, v in arrays.items()}, keys, shared, design))[:n])
    return np.concatenate(parts)


def _check_kept(model: Model, design: dict[str, Any], posterior: Posterior, query: Query) -> None:
    """Effects that a prediction takes must have been kept."""
    for r in _chosen(model, query.resp or None):
        effects = [e for e in r.effects() if e.key not in query.skip]
        for q in (q for b in model.blocks if any(e.block.key == b.key for e in effects) for q in b.reported()):
            if q.key not in posterior.arrays:
                raise BrimError(
                    f"the draws of {q.label} were not kept", hint="predict without group effects (re_formula=False), or fit with keep='all'"
                )
    for q in (q for t in model.shared if t.key in design for q in t.reported()):
        posterior.array(q)


def chunks(ids: np.ndarray, held: int) -> Iterator[tuple[np.ndarray, int]]:
    """Pieces of equal length, padded, and how many of each count; powers of two, so that few programs are compiled.

    ``held`` is how many numbers a draw needs.
    """
    size = min(max(1, _CHUNK // max(held, 1)), 1 << (len(ids) - 1).bit_length())
    for at in range(0, len(ids), size):
        part = ids[at : at + size]
        yield np.pad(part, (0, size - len(part)), mode="edge"), len(part)


def log_prior(model: Model, posterior: Posterior, data: ModelData) -> np.ndarray:
    """``lprior`` of every draw, recomputed from the reported quantities; as stored where it depends on others; ``(draws,)``."""
    if any(t.traits.hides_prior for t in model.terms()):
        return np.ravel(posterior["lprior"])

    def one(reported: Any, data: Any) -> Any:
        # those held constant in part are reported with their other elements
        fixed = {p.name: jnp.reshape(data["fixed"][p.name], p.shape) for p in model.params if p.constants and not p.free}
        params = model.invert({**fixed, **reported}, data["design"])
        return model.log_prior(params, data["design"], data["prior"])

    keys_used = {q.key for q in model.reported()}
    with float64():
        arrays = {k: v for k, v in posterior.flat().items() if k in keys_used}
        return np.asarray(bounded(("log prior", model), lambda: jax.vmap(one, in_axes=(0, None)))(arrays, data))


def predict(
    fit: FitRecord,
    what: What,
    newdata: Any = None,
    *,
    dpar: str | None = None,
    nlpar: str | None = None,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
    incl_autocor: bool = True,
    at: Any = None,
) -> np.ndarray:
    """What ``Fit.posterior_*`` and ``Fit.log_lik`` call; ``at``: values or probabilities for ``OUTPUTS``."""
    how = one_of("sample_new_levels", sample_new_levels, HOW, "ways")
    allow_new_levels, incl_autocor = flag("allow_new_levels", allow_new_levels), flag("incl_autocor", incl_autocor)
    posterior = fit.draws
    seed = drawn_seed(seed)
    ids = pick_draws(posterior.chains * posterior.draws, ndraws, draw_ids, seed)
    left_out = frozenset() if incl_autocor else frozenset(t.key for t in fit.model.terms() if t.traits.autocor)

    with_y = what in ("log_lik", "component") or (what in OUTPUTS and at is None)

    def one(response: ResponseModel) -> np.ndarray:
        what_, name = _asked(response, what, dpar, nlpar)
        model, design, skip = design_for(fit.model, fit.frame, newdata, response, re_formula, allow_new_levels, with_y, left_out)
        if what in OUTPUTS:
            design = {**design, "at": _places(response, design, at)}
        return evaluate(model, design, posterior, ids, Query(what_, response.name, name, skip, how), seed)

    if resp is not None or len(fit.model.responses) == 1:
        return one(fit.model.response(resp))
    if fit.model.joint is not None and what in ("log_lik", "predict"):
        model, design, skip = design_for(fit.model, fit.frame, newdata, None, re_formula, allow_new_levels, with_y, left_out)
        return evaluate(model, design, posterior, ids, Query(what, "", "", skip, how), seed)
    return _together(fit.model, what, [one(r) for r in fit.model.responses])


def _places(response: ResponseModel, design: dict[str, Any], at: Any) -> np.ndarray:
    """Where a law is evaluated in each row: at the response unless values are given."""
    if response.residual is not None or response.family.kind.several:
        raise BrimError("only single numbers that are independent between rows have a density, distribution function and quantiles here")
    rows = design[response.rows_key].shape[0]
    values = np.asarray(design[response.data_key]["y"] if at is None else at, float)
    if values.shape not in ((), (rows,)):
        raise BrimError(f"at has {values.shape} values", hint=f"give one, or {rows}: one a row")
    return np.broadcast_to(values, (rows,))


def _asked(response: ResponseModel, what: What, dpar: str | None, nlpar: str | None) -> tuple[What, str]:
    """What a query computes and of which parameter, checked."""
    if nlpar is None:
        response.family.spec(dpar or response.family.mus[0])
        return what, dpar or ""
    known = [p.name for p in response.predictors if p.where.nlpar]
    if nlpar not in known:
        raise BrimError(f"the model has no nonlinear parameter '{nlpar}'", hint=suggest(nlpar, known, "nonlinear parameters"))
    return "nlpar", nlpar


def _together(model: Model, what: str, parts: list[np.ndarray]) -> np.ndarray:
    """All responses of a multivariate model: stacked along a last axis; log likelihoods are added."""
    if len({p.shape for p in parts}) > 1:
        names = ", ".join(r.name for r in model.responses)
        raise BrimError(f"the responses {names} differ in shape and cannot be given together", hint="say which with resp=")
    return np.sum(parts, axis=0) if what == "log_lik" else np.stack(parts, axis=-1)
