"""Steps of the sampler in the units of the data, where these are far from 1: a coefficient of x in millionths of what x in one would have.

Priors stay as they are, and so do parameters; only the unconstrained coordinates and the starts of such models differ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brim.frames.frame import Frame
from brim.model.model import Model, ResponseModel
from brim.parameters.param import Param, Where

__all__ = ["in_units"]

NEAR = 1e3  # units between 1 / NEAR and NEAR are left at 1
INTERCEPT = "Intercept"
Units = dict[tuple[Where, str], float]


def in_units(model: Model, frame: Frame) -> Model:
    """The model whose coefficients, intercepts and standard deviations are sampled and started in units of the data."""
    units: Units = {}
    for r in model.responses:
        units |= _of_response(r, frame)
    if not units:
        return model
    return replace(model, params=tuple(_scaled(p, units) for p in model.params))


def _of_response(r: ResponseModel, frame: Frame) -> Units:
    """Units far from 1 by predictor and coefficient; the residual standard deviation's by the response and its name."""
    mine = r.response.kept(frame)
    out: Units = {}
    own = _response_unit(r, mine)
    for predictor in r.predictors:
        base = own if predictor.name in r.family.mus and r.family.links[predictor.name] == "identity" else 1.0
        if predictor.where.nlpar:
            continue
        out[predictor.where, INTERCEPT] = base
        for term in predictor.terms:
            for key, columns, centred in term.unpenalised(mine):
                names = [s.coef for p in term.params() if p.name == key for s in p.slots]
                if len(names) == columns.shape[1]:
                    with np.errstate(over="ignore", invalid="ignore"):
                        size = columns.std(axis=0) if centred else np.sqrt(np.mean(columns**2, axis=0))
                    out |= {(predictor.where, n): base / s for n, s in zip(names, size, strict=True) if n and s > 0.0 and np.isfinite(s)}
    out[Where(r.resp), "sigma"] = own
    return {k: 10.0 ** round(np.log10(v)) for k, v in out.items() if not 1.0 / NEAR <= v <= NEAR}


def _response_unit(r: ResponseModel, mine: Frame) -> float:
    """The standard deviation of numbers on the whole line, 1 for other responses."""
    if r.family.kind != "real" or not {"sigma"} & {d.name for d in r.family.dpars}:
        return 1.0
    y = np.asarray(r.response.design(mine, r.family)["y"], float)
    y = y[np.isfinite(y)]
    size = float(np.std(y)) if len(y) else 0.0
    return size if size > 1e-14 * float(np.abs(y).max(initial=0.0)) else 1.0


def _scaled(param: Param, units: Units) -> Param:
    """The parameter in these units."""
    if param.space != "real" or len(param.slots) != param.size or not param.slots:
        return param
    mine = np.array([units.get((s.where, s.coef or s.class_), units.get((s.where, s.class_), 1.0)) for s in param.slots])
    if np.all(mine == 1.0) or any(s.class_ not in ("b", "Intercept", "sd", "sigma") for s in param.slots):
        return param
    center = np.broadcast_to(np.asarray(param.center, float), (param.size,))
    if param.lb is None and param.ub is None:
        return replace(param, units=tuple(mine.tolist()), center=center / mine)
    if param.lb == 0.0 and param.ub is None:
        return replace(param, center=np.where(mine == 1.0, center, np.log(0.5 * mine)))
    return param
