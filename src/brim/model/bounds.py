"""Parameters that the data bound (``ndt`` is below every response): chains start inside, where the parameter is predicted too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brim.compile.session import float64
from brim.families.base import Family
from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.model.censoring import NOTHING
from brim.model.model import Model
from brim.model.response import Response
from brim.parameters.param import Param

__all__ = ["smallest_response", "within_data"]

SHARE = 0.5  # of the bound: where the intercept starts
INTERCEPT = "Intercept"


def smallest_response(response: Response, family: Family, frame: Frame) -> float:
    """Of the responses that say something of where the support begins; ``frame`` holds the response's own rows."""
    data = response.design(frame, family)
    told = data.get("cens", 0.0) != NOTHING
    return float(np.nanmin(np.where(told, data.get("at", data["y"]), np.inf)))


def within_data(model: Model, frame: Frame) -> Model:
    """The model whose predicted parameters start below the bound that the response sets, on the scale of their link."""
    for r in model.responses:
        for spec in r.family.dpars:
            predictor = r.predictor(spec.name)
            if spec.ub != "min_Y" or predictor is None:
                continue
            with float64():
                start = float(
                    LINKS[r.family.links[spec.name]].forward(SHARE * smallest_response(r.response, r.family, r.response.kept(frame)))
                )
            where = predictor.where
            model = replace(model, params=tuple(_below(p, start) if any(s.where == where for s in p.slots) else p for p in model.params))
    return model


def _below(param: Param, start: float) -> Param:
    """The parameter with its intercept starting no higher than ``start``."""
    intercept = np.array([INTERCEPT in (s.class_, s.coef) for s in param.slots])
    if param.space != "real" or len(param.slots) != param.size or not intercept.any() or not np.isfinite(start):
        return param
    center = np.broadcast_to(np.asarray(param.center, float), (param.size,))
    return replace(param, center=np.where(intercept, np.minimum(center, start), center))
