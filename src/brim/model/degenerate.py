"""Data that leave a model without what it is to estimate, though every coefficient is identified: told when the model is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from brim.errors import name_list, name_rows
from brim.families.kinds import Kind
from brim.frames.frame import Frame
from brim.model.identified import free_columns, informative
from brim.model.model import Model, ResponseModel
from brim.terms.groups.effect import GroupEffect

__all__ = ["degenerate"]

FAR = 3e6  # mean of a column in units of its standard deviation, whose square leaves few of 16 digits
APART = 1e12  # largest precision of a row in units of the median
EXACT = 1e-10  # of the response, that predictors leave of one they reproduce
MOST = 5e8  # operations that a check may take


def degenerate(model: Model, frame: Frame) -> tuple[str, ...]:
    """What is wrong and what to do, a sentence for each fault.

    Looked at are responses in which no row counts, or one counts for all, that are constant or reproduced by the predictors (the residual
    standard deviation then goes to 0), as many coefficients as rows, groups of one row, and slopes by group of columns that are constant or
    far from 0.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("y ~ 1", {"y": [1.0, 1.0, 1.0]}, empty=True)
    >>> degenerate(fit.model, fit.frame)
    ('the response y is 1 in every row: nothing is left for sigma, which goes to 0; look at the data, or give sigma a prior away from 0',)
    """
    told = [said for r in model.responses for said in _responses(model, r, frame)]
    if not model.prior_only:
        told += [said for r in model.responses for said in (*_weights(r, frame), *_effects(r, frame))]
    return tuple(told)


def _responses(model: Model, r: ResponseModel, frame: Frame) -> Iterator[str]:
    rows = informative(r, frame)
    if not rows.any():
        yield f"no row of {r.name} has a response and a weight above 0: the posterior is the prior; mend weights() or the data"
        return
    sigma = next((p for p in model.params for s in r.scalars if s.name == "sigma" and s.key == p.name), None)
    data = r.response.design(r.response.kept(frame), r.family)
    if model.prior_only or sigma is None or sigma.constants or r.imputed or any(name in data for name in ("cens", "lb", "ub", "se")):
        return
    y = np.asarray(data["y"], float)
    if r.family.logscale:  # zeros of a hurdle say nothing of sigma
        rows = rows & (y > 0.0)
        y = np.log(y, where=rows, out=np.zeros(len(y)))
    y = y[rows]
    why = f"nothing is left for {sigma.name}, which goes to 0; look at the data, or give {sigma.name} a prior away from 0"
    if len(y) > 1 and np.ptp(y) <= EXACT * np.abs(y).max():
        yield f"the response {r.name} is {data['y'][rows][0]:g} in every row: {why}"
        return
    main = r.predictor("mu")
    x = np.zeros((len(y), 0)) if main is None else free_columns(model, r, main, frame, rows)
    k = x.shape[1] + 1
    if len(y) <= k:
        yield (
            f"{r.name} has {len(y)} row{'s' * (len(y) > 1)} for {k} coefficient{'s' * (k > 1)}: {sigma.name} is told by its prior alone; "
            "leave columns out, or give coefficients proper priors"
        )
    elif x.shape[1] and len(y) * k * k < MOST and r.family.links.get("mu") == "identity":
        centred = y - y.mean()
        length = np.linalg.norm(x, axis=0)
        z = x / np.where(length > 0.0, length, 1.0)
        rest = centred - z @ np.linalg.lstsq(z, centred, rcond=None)[0]
        if np.linalg.norm(rest - rest.mean()) < EXACT * np.linalg.norm(centred):
            yield f"the predictors reproduce the response {r.name} exactly: {why}"


def _weights(r: ResponseModel, frame: Frame) -> Iterator[str]:
    """Weights and standard errors that leave hardly a row, or one."""
    rows = informative(r, frame)
    data = r.response.design(r.response.kept(frame), r.family)
    if not rows.any() or not {"weights", "se"} & set(data):
        return
    weight = np.broadcast_to(np.asarray(data.get("weights", 1.0), float), len(rows))
    if weight[rows].sum() < 1.0:
        total = f"{weight[rows].sum():.2g}"
        yield f"the weights of {r.name} add up to {total}, less than one row: the posterior is all but the prior; mend weights()"
    precision = weight if r.response.estimates_sigma or "se" not in data else weight / np.square(np.asarray(data["se"], float))
    largest = float(precision[rows].max())
    if largest > APART * float(np.median(precision[rows])):
        at = name_rows(np.flatnonzero(rows & (precision == largest)))
        yield (
            f"{at} of {r.name} counts {largest / np.median(precision[rows]):.0e} times as much as others: beside it the rest is lost in "
            "rounding; mend se() or weights(), or leave the row out"
        )


def _effects(r: ResponseModel, frame: Frame) -> Iterator[str]:
    """Effects of groups that cannot be told from other parameters."""
    mine = r.response.kept(frame)
    for predictor in r.predictors:
        for effect in (e for e in predictor.effects() if e.plain):
            design = effect.design(mine)
            if predictor.name in r.family.mus and "Intercept" in effect.coefs and mine.counts is None:
                yield from _single(r, effect, design["J"])
            if design.get("Z") is not None and len(design["Z"]) > 1:
                yield from _slopes(effect, design["Z"])


def _single(r: ResponseModel, effect: GroupEffect, level: np.ndarray) -> Iterator[str]:
    """Intercepts of single rows."""
    if len(level) < 2 or np.bincount(level).max() > 1:
        return
    fixed = any(call.fn == "se" for call in r.response.additions) and not r.response.estimates_sigma
    if r.family.name in ("gaussian", "lognormal") and not fixed and r.predictor("sigma") is None and r.residual is None:
        yield f"each level of {effect.label} has one row: only priors tell intercepts from residuals; leave (1 | {effect.label}) out"
    elif r.family.kind is Kind.BINARY:
        yield f"each level of {effect.label} has one row: one of two values tells nothing of their sd; leave (1 | {effect.label}) out"


def _slopes(effect: GroupEffect, z: np.ndarray) -> Iterator[str]:
    """Slopes of columns that are constant, or far from 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = np.abs(z.mean(axis=1)), z.std(axis=1)
    flat = (spread <= 1e-15 * mean) | (np.ptp(z, axis=1) == 0.0)
    names = [c for c, is_flat in zip(effect.coefs, flat, strict=False) if is_flat and c != "Intercept"]
    if names and "Intercept" in effect.coefs:
        yield f"{name_list(names)} is constant: slopes by {effect.label} cannot be told from intercepts; leave them out"
    names = [c for c, is_far in zip(effect.coefs, ~flat & (mean > FAR * spread), strict=False) if is_far]
    if names:
        yield (
            f"{name_list(names)} is far from 0 for how little it varies: slopes by {effect.label} cannot be told from intercepts; "
            f"centre it first, as {names[0]} - mean({names[0]})"
        )
