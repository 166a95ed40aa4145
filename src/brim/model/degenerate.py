"""Data that leave a model without what it is to estimate, though every coefficient is identified: told when the model is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from brim.errors import name_list
from brim.frames.frame import Frame
from brim.model.identified import free_columns, informative
from brim.model.model import Model, ResponseModel

__all__ = ["degenerate"]

FAR = 1e7  # mean of a column in units of its standard deviation: its slope by group is all but the intercept's
EXACT = 1e-10  # of the response, that predictors leave of one they reproduce
MOST = 5e8  # operations that a check may take


def degenerate(model: Model, frame: Frame) -> tuple[str, ...]:
    """What is wrong and what to do, a sentence for each fault.

    Looked at are responses in which no row counts, that are constant or reproduced by the predictors (the residual standard deviation then
    goes to 0), as many coefficients as rows, and slopes by group of columns far from 0.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("y ~ 1", {"y": [1.0, 1.0, 1.0]}, empty=True)
    >>> degenerate(fit.model, fit.frame)
    ('the response y is 1 in every row: nothing is left for sigma, which goes to 0; look at the data, or give sigma a prior away from 0',)
    """
    return tuple(said for r in model.responses for said in (*_responses(model, r, frame), *_slopes(r, frame)))


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


def _slopes(r: ResponseModel, frame: Frame) -> Iterator[str]:
    """Slopes by group of columns far from 0."""
    mine = r.response.kept(frame)
    for predictor in r.predictors:
        for effect in predictor.effects():
            z = effect.design(mine).get("Z")
            if z is None or z.ndim != 2 or z.shape[1] < 2:
                continue
            mean, spread = np.abs(z.mean(axis=1)), z.std(axis=1)
            bad = np.flatnonzero((spread > 0.0) & (mean > FAR * spread) & (spread > 1e-15 * mean))
            if len(bad):
                names = [c for i, c in enumerate(effect.coefs) if i in bad]
                yield (
                    f"{name_list(names)} is far from 0 for how little it varies: slopes by {effect.label} cannot be told from intercepts; "
                    f"centre it first, as {names[0]} - mean({names[0]})"
                )
