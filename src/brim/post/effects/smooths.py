"""What single smooth terms add to a predictor: ``posterior_smooths`` and ``conditional_smooths``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import drawn_seed, number, whole
from brim.errors import BrimError, suggest, warn
from brim.fit.record import FitRecord
from brim.model.model import Predictor, ResponseModel
from brim.post.effects.grid import GridSettings, grid, stack
from brim.post.effects.table import EffectRequest, effect_table
from brim.post.effects.variables import Variables
from brim.post.predict import Query, What, design_for, evaluate, pick_draws
from brim.terms.base import AbstractTerm

if TYPE_CHECKING:
    from brim.post.effects.effects import ConditionalEffects

__all__ = ["conditional_smooths", "posterior_smooths"]


def posterior_smooths(
    fit: FitRecord,
    smooth: str,
    newdata: Any = None,
    *,
    resp: str | None = None,
    dpar: str | None = None,
    nlpar: str | None = None,
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
) -> np.ndarray:
    """Draws of what one smooth term adds to its predictor, ``(draws, observations)``.

    Parameters
    ----------
    smooth
        The term as the formula has it, ``"s(x)"``.
    newdata
        Rows with the variables of the term; the training rows by default.
    resp, dpar, nlpar, ndraws, draw_ids, seed
        As for ``posterior_epred``: whose predictor, which draws.

    Raises
    ------
    BrimError
        The predictor has no such term.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("accel ~ s(times)", data=brim.load_data("mcycle"), chains=1, iter=300, seed=1, progress=False)
    >>> fit.posterior_smooths("s(times)", {"times": [10.0, 20.0]}).shape
    (150, 2)
    """
    response = fit.model.response(resp)
    predictor = _predictor(response, dpar or nlpar)
    known = {_name(t): t for t in predictor.terms if _is_smooth(t)}
    wanted = smooth.replace(" ", "")
    if wanted not in known:
        raise BrimError(f"there is no smooth '{smooth}'", hint=suggest(wanted, known, "smooths"))
    seed = drawn_seed(seed)
    ids = pick_draws(fit.draws.chains * fit.draws.draws, ndraws, draw_ids, seed)
    return _evaluate(fit, response, predictor, known[wanted], newdata, ids, seed)


def _evaluate(
    fit: FitRecord, response: ResponseModel, predictor: Predictor, term: AbstractTerm, newdata: Any, ids: np.ndarray, seed: int
) -> np.ndarray:
    """The predictor with this term alone."""
    others = [t for p in response.predictors for t in p.terms if t.key != term.key]
    residual = () if response.residual is None else (response.residual,)
    left_out = frozenset(t.key for t in (*others, *residual))
    model, design, skip = design_for(fit.model, fit.frame, newdata, response, False, True, False, left_out)
    what: What = "nlpar" if predictor.where.nlpar else "linpred"
    return evaluate(model, design, fit.draws, ids, Query(what, response.name, predictor.name, skip), seed)


def _predictor(response: ResponseModel, name: str | None) -> Predictor:
    names = [p.name for p in response.predictors]
    wanted = name or response.family.mus[0]
    found = response.predictor(wanted)
    if found is None:
        raise BrimError(f"'{wanted}' is not predicted", hint=suggest(wanted, names, "predictors"))
    return found


def _is_smooth(term: AbstractTerm) -> bool:
    return _name(term).startswith(("s(", "t2("))


def _name(term: AbstractTerm) -> str:
    return _label(term).replace(" ", "")


def _label(term: AbstractTerm) -> str:
    """The term as the formula has it; empty for terms that are no curves."""
    part = term.latent
    return part.vector.label if part is not None and part.vector.curve is not None else ""


def conditional_smooths(
    fit: FitRecord,
    smooths: str | Sequence[str] | None = None,
    int_conditions: Mapping[str, Any] | None = None,
    *,
    prob: float = 0.95,
    robust: bool = True,
    spaghetti: bool = False,
    surface: bool = True,
    resolution: int = 100,
    resp: str | None = None,
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = 1,
) -> ConditionalEffects:
    """What each smooth term adds to its predictor, over the range of its variables.

    Parameters
    ----------
    smooths
        The terms as the formula has them; all by default. Those of more than two variables are left out.
    int_conditions
        Values of the second variable, by name.
    prob, robust, spaghetti, surface, resolution
        As for ``conditional_effects``; smooths of two numbers are surfaces unless ``surface=False``.
    resp, ndraws, draw_ids, seed
        As for ``conditional_effects``.

    Returns
    -------
    ConditionalEffects
        A mapping ``"mu: s(x)" -> data frame`` with ``effect1__[, effect2__], estimate__, se__, lower__, upper__`` and ``.plot()``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("accel ~ s(times)", data=brim.load_data("mcycle"), chains=1, iter=300, seed=1, progress=False)
    >>> list(fit.conditional_smooths())
    ['mu: s(times)']
    """
    from brim.post.effects.effects import ConditionalEffects

    number("prob", prob, above=0, below=1)
    whole("resolution", resolution, least=2)
    fixed = drawn_seed(seed)
    ids = pick_draws(fit.draws.chains * fit.draws.draws, ndraws, draw_ids, fixed)
    tables, infos = {}, {}
    for response, predictor, term in _wanted(fit, smooths, resp):
        known = Variables.read(_formula(fit, response), fit.frame, True)
        effect = tuple(v for v in term.variables() if v in known.known)
        if len(effect) > 2 or not effect:
            warn(f"{_label(term)} has {len(effect)} variables and is left out")
            continue
        effect = (*(v for v in effect if known[v].kind != "factor"), *(v for v in effect if known[v].kind == "factor"))
        request = EffectRequest(
            "posterior_linpred", None, None, False, prob, robust, spaghetti, surface, "lines", None, ids, "uncertainty", fixed
        )
        groups = {v: variable for v, variable in known.groups.items() if v in term.variables()}
        only = replace(known, known={v: known.known[v] for v in effect}, groups=groups)
        settings = GridSettings({}, ("1",), int_conditions or {}, surface, resolution, bool(groups))
        points = grid(effect, only, settings)
        draws = _evaluate(fit, response, predictor, term, stack([points]), ids, fixed)
        label = f"{predictor.name}: {_label(term)}"
        label = f"{response.name}.{label}" if len(fit.model.responses) > 1 else label
        tables[label], info = effect_table(points, draws, only, settings.labels, request, response, None)
        infos[label] = replace(info, label=_label(term))
    return ConditionalEffects(tables, infos)


def _formula(fit: FitRecord, response: ResponseModel) -> Any:
    formulas = {f.resp: f for f in fit.formula.formulas}
    return formulas.get(response.name, fit.formula.formulas[0])


def _wanted(fit: FitRecord, smooths: str | Sequence[str] | None, resp: str | None) -> list[tuple[ResponseModel, Predictor, AbstractTerm]]:
    responses = fit.model.responses if resp is None else (fit.model.response(resp),)
    found = [(r, p, t) for r in responses for p in r.predictors for t in p.terms if _is_smooth(t)]
    if not found:
        raise BrimError("the model has no smooths")
    if smooths is None:
        return found
    names = {_name(t) for _, _, t in found}
    asked = [s.replace(" ", "") for s in ([smooths] if isinstance(smooths, str) else smooths)]
    for s in asked:
        if s not in names:
            raise BrimError(f"there is no smooth '{s}'", hint=suggest(s, names, "smooths"))
    return [one for one in found if _name(one[2]) in asked]
