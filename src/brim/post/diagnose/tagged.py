"""The log prior density of some of the priors: those with a tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.parameters.param import Param, Slot
from brim.post.predict import log_prior

__all__ = ["tagged_log_prior"]


def tagged_log_prior(fit: FitRecord, tag: str) -> np.ndarray:
    """Log density of the parameters whose prior was given with ``tag=``, ``(draws,)``."""
    model = fit.model
    tags = {row.tag for row in model.rows if row.tag}
    if tag not in tags:
        raise BrimError(f"no prior has the tag '{tag}'", hint=suggest(tag, tags, "tags"))
    if any(t.traits.hides_prior for t in model.terms()):
        raise BrimError("priors of this model depend on others and have no density of their own")
    rows = {row.key: row for row in model.rows}
    chosen = replace(model, params=tuple(_only(p, rows, tag) for p in model.params))
    none = replace(model, params=tuple(replace(p, pieces=()) if p.in_lprior else p for p in model.params))
    densities = [log_prior(m, fit.draws, m.data(fit.frame)) for m in (chosen, none)]
    return np.asarray(densities[0] - densities[1])


def _only(param: Param, rows: Mapping[Any, Any], tag: str) -> Param:
    """The parameter with the priors of this tag alone."""
    if not param.in_lprior:
        return param
    pieces = []
    for piece in param.pieces:
        if piece.index is None:
            pieces += [piece] if _tag(param.slots[0], rows) == tag else []
        else:
            index = tuple(i for i in piece.index if _tag(param.slots[i], rows) == tag)
            pieces += [replace(piece, index=index)] if index else []
    return replace(param, pieces=tuple(pieces))


def _tag(slot: Slot, rows: Mapping[Any, Any]) -> str:
    """The tag of the row that gives a slot its prior: its own, that of its group, or that of its class."""
    w = slot.where
    for coef, group in ((slot.coef, slot.group), ("", slot.group), ("", "")):
        row = rows.get((slot.class_, coef, group, w.resp, w.dpar, w.nlpar))
        if row is not None and row.prior:
            return str(row.tag)
    return ""
