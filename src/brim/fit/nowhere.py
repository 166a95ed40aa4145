"""Why a model has no place to start: what is not finite where its chains would."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from brim.compile.session import float64
from brim.errors import BrimError, name_list, name_rows
from brim.frames.columns import Numeric
from brim.frames.frame import Frame
from brim.language.expand import variables
from brim.model.model import Model, ResponseModel
from brim.parameters.prior import log_density, prior_args

__all__ = ["explained"]

SHOWN = 8  # columns
FAR = 1e6  # in units of the median size of a column


def explained(error: BrimError, model: Model, frame: Frame) -> BrimError:
    """The error with the priors, rows and columns that make the density infinite or undefined where the chains start."""
    found = list(_reasons(model, frame))
    flat = _without_prior(model)
    if flat:
        found.append(f"the nonlinear parameters {name_list(flat)} have no prior: chains know nothing of where to look for them")
    if not found:
        return error
    return BrimError("; ".join([error.what, *found]), hint="mend these rows or priors; init = 0 starts at the center of the priors")


def _reasons(model: Model, frame: Frame) -> Iterator[str]:
    with float64(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is out of support is told below
        data = model.data(frame)
        params, _ = model.layout.constrain(model.layout.center(), data["fixed"])
        full = jax.tree.map(np.asarray, model.transform(params, data["design"]))
        args = prior_args(model.params)
        for p in model.params:
            if not np.isfinite(np.sum(log_density(p, full, args[p.name]))):
                yield f"the prior of {name_list([p.name])} is not finite at {np.asarray(full[p.name]).ravel()[:3].tolist()}"
        for r in model.responses:
            if r.residual is None and model.joint is None:
                yield from _rows(r, r.log_lik(full, data["design"]), frame)


def _rows(r: ResponseModel, log_lik: Any, frame: Frame) -> Iterator[str]:
    """The rows whose likelihood is not finite, and what the first of them holds."""
    mine = r.response.kept(frame)
    y = r.response.design(mine, r.family)["y"]
    known = ~np.isnan(np.asarray(y, float).reshape(len(y), -1)).any(axis=1)
    bad = np.flatnonzero(~np.isfinite(np.asarray(log_lik)) & known)
    if not len(bad):
        return
    left = (v for node in (r.response.node, *r.response.additions) for v in variables(node))
    used = [*left, *(v for p in r.predictors for t in p.terms for v in t.variables())]
    values = [f"{name} = {_value(mine, name, bad[0])}" for name in dict.fromkeys(used) if name in mine][:SHOWN]
    rows = r.response.rows(frame)
    at = bad if rows is None else np.flatnonzero(rows)[bad]
    yield f"the likelihood of {name_rows(at)} is not finite there; row {at[0]} has {', '.join(values)}"
    yield from _far(mine, used, np.arange(mine.n) if rows is None else np.flatnonzero(rows))


def _far(frame: Frame, names: list[str], numbers: np.ndarray) -> Iterator[str]:
    """Columns with a value far beyond all others."""
    for name in dict.fromkeys(names):
        if name in frame and isinstance(column := frame[name], Numeric):
            size = np.abs(column.values)
            row = int(np.argmax(np.nan_to_num(size, nan=0.0, posinf=np.inf)))
            if size[row] > FAR * max(float(np.nanmedian(size)), 1e-300):
                yield f"'{name}' is {column.values[row]:g} in row {numbers[row]}"


def _value(frame: Frame, name: str, row: int) -> str:
    if isinstance(column := frame[name], Numeric):
        return f"{column.values[row]:g}"
    one = frame.take(np.array([row]))[name].as_factor()
    return one.levels[one.codes[0]] if one.codes[0] >= 0 else "missing"


def _without_prior(model: Model) -> list[str]:
    """Coefficients of nonlinear parameters with a flat prior."""
    out = []
    for p in model.params:
        covered = {i for piece in p.pieces if piece.law != "flat" for i in p.elements(piece)}
        for i, slot in enumerate(p.slots):
            if slot.where.nlpar and slot.class_ == "b" and i not in covered and i not in p.constants:
                out.append(f"{slot.where.nlpar}_{slot.coef}")
    return out
