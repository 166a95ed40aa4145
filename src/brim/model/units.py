"""Steps of the sampler in the units of the data, where these are far from 1: a coefficient of x in millionths of what x in one would have.

Priors stay as they are, and so do parameters; only the unconstrained coordinates and the starts of such models differ. Slopes by group of
columns that are far from 0 are sampled with the intercepts near the columns' means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from brim.families.kinds import Kind
from brim.frames.frame import Frame
from brim.model.model import Model, ResponseModel
from brim.parameters.param import Param, Where
from brim.parameters.shifted import Shift
from brim.terms.groups.effect import GroupEffect

__all__ = ["in_units"]

NEAR = 1e3  # units between 1 / NEAR and NEAR are left at 1
FAR = 10.0  # mean of a column in units of its standard deviation, above which effects are sampled near the mean
INTERCEPT = "Intercept"
Units = dict[tuple[Where, str], float]


def in_units(model: Model, frame: Frame) -> Model:
    """The model whose coefficients, intercepts and standard deviations are sampled and started in units of the data."""
    units: Units = {}
    for r in model.responses:
        units |= _of_response(r, frame)
    shifts = dict(_shifts(model, frame))
    if not units and not shifts:
        return model
    scaled = (_scaled(p, units) for p in model.params)
    return replace(model, params=tuple(replace(p, shift=shifts[p.name]) if p.name in shifts else p for p in scaled))


def _shifts(model: Model, frame: Frame) -> Iterator[tuple[str, Shift]]:
    """Where the columns of correlated effects are measured from, by the name of the parameter of correlations."""
    params = {p.name: p for p in model.params}
    for block in model.blocks:
        names = block.correlation
        if names is None or any(params[name].constants for name in names):
            continue
        by = tuple(
            found for r in model.responses for e in r.effects() if e.block.key == block.key for found in _far(e, r.response.kept(frame))
        )
        if by:
            yield names[1], Shift(names[0], by)


def _far(effect: GroupEffect, mine: Frame) -> Iterator[tuple[int, int, float]]:
    """Intercept and slope, as places in the block, and about the mean of each column that is far from 0."""
    z = effect.design(mine).get("Z") if INTERCEPT in effect.coefs and effect.plain else None
    if z is None:
        return
    first, mean, spread = effect.latent.start, z.mean(axis=1), _size(z.T)
    for j in np.flatnonzero((spread > 0.0) & (np.abs(mean) > FAR * spread) & np.isfinite(mean)):
        step = 10.0 ** round(np.log10(spread[j]))
        yield first + effect.coefs.index(INTERCEPT), first + int(j), float(round(mean[j] / step) * step)


def _of_response(r: ResponseModel, frame: Frame) -> Units:
    """Units far from 1 by predictor and coefficient; the residual standard deviation's by the response and its name."""
    mine = r.response.kept(frame)
    out: Units = {}
    own = _response_unit(r, mine)
    for predictor in r.predictors:
        base = own if predictor.name in r.family.mus and r.family.links[predictor.name] == "identity" else 1.0
        if predictor.where.nlpar:
            continue
        # special coefficients (those of mo(x), me(x)) and deviations of their effects are at least in units of the response
        out |= {(predictor.where, class_): base for class_ in (INTERCEPT, "b", "sd")}
        for term in predictor.terms:
            for key, columns, centred in term.unpenalised(mine):
                names = [s.coef for p in term.params() if p.name == key for s in p.slots]
                if len(names) == columns.shape[1]:
                    size = _size(columns, centred)
                    out |= {(predictor.where, n): base / s for n, s in zip(names, size, strict=True) if n and s > 0.0 and np.isfinite(s)}
    out[Where(r.resp), "sigma"] = own
    # what would need units beyond the largest numbers stays as it is
    return {k: 10.0 ** round(np.log10(v)) for k, v in out.items() if not 1.0 / NEAR <= v <= NEAR and 1e-300 < v < 1e300}


def _size(columns: np.ndarray, centred: bool = True) -> np.ndarray:
    """Standard deviation of each column (rows, columns), or its root mean square, of numbers of any size."""
    with np.errstate(invalid="ignore"):
        largest = np.abs(columns).max(axis=0, initial=0.0)
        part = columns / np.where(largest > 0.0, largest, 1.0)
        return np.asarray(largest * (part.std(axis=0) if centred else np.sqrt(np.mean(part**2, axis=0))))


def _response_unit(r: ResponseModel, mine: Frame) -> float:
    """The standard deviation of numbers on the whole line, 1 for other responses."""
    if r.family.kind is not Kind.REAL or not {"sigma"} & {d.name for d in r.family.dpars}:
        return 1.0
    y = np.asarray(r.response.design(mine, r.family)["y"], float)
    y = y[np.isfinite(y)]
    size = float(_size(y[:, None])[0]) if len(y) else 0.0
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
