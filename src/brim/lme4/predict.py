"""Predictions for training rows and new data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.lme4.formula import read_formula

if TYPE_CHECKING:
    from brim.lme4.mer import AbstractMer

__all__ = ["predict"]

Array = np.ndarray
_CHUNK = 256  # rows whose standard errors are solved for at once


def predict(
    fit: AbstractMer,
    newdata: Any = None,
    re_form: Any = None,
    type: str = "link",
    allow_new_levels: bool = False,
    se_fit: bool = False,
) -> Any:
    """Predictions ``X beta + Z b`` and their inverse link, ``(rows,)``.

    Parameters
    ----------
    fit
        A fitted mixed model.
    newdata
        A data frame; the rows that were used by default.
    re_form
        Group effects: ``None`` for all, ``False`` for none, a formula (``"~ (0 + Days | Subject)"``) for some.
    type
        ``"link"`` or ``"response"``, the same for linear models.
    allow_new_levels
        Levels that were not fitted have effects of zero; an error otherwise.
    se_fit
        Also standard errors on the scale of the predictor, from the joint covariance of coefficients and effects given ``theta``;
        not of nonlinear models.

    Returns
    -------
    ndarray, or DataFrame with ``fit`` and ``se_fit``

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.predict({"Days": [10, 10], "Subject": ["308", "nobody"]}, allow_new_levels=True).round(1)
    array([450.3, 356.1])
    """
    import pandas as pd

    if type not in ("link", "response"):
        raise BrimError(f"unknown type '{type}' of predictions", hint="types: link, response")
    frame = fit.observed.frame if newdata is None else Frame.read(newdata)
    design = fit.observed.design
    x = _complete(design.matrix(frame), "the population-level terms")
    parts = _parts(fit, frame, _kept(fit, re_form), allow_new_levels)
    eta = x @ fit.beta + (fit.observed.offset if newdata is None else design.offset(frame))
    for g, codes, columns in parts:
        known = codes >= 0
        eta[known] += np.einsum("kn,nk->n", columns[:, known], fit.effects[g][codes[known]])
    out = fit.mean(eta) if type == "response" else eta
    if not se_fit:
        return out
    return pd.DataFrame({"fit": out, "se_fit": _errors(fit, x, parts)})


def _complete(x: Array, what: str) -> Array:
    bad = np.isnan(x).any(axis=1)
    if bad.any():
        raise BrimError(f"{what} are missing in row {int(np.flatnonzero(bad)[0])} (counted from 0) of the new data")
    return x


def _kept(fit: AbstractMer, re_form: Any) -> list[Array]:
    """For each group term, which of its effects count (k,)."""
    varying = fit.observed.design.varying
    if re_form is None or re_form is True:
        return [np.ones(len(v.names), bool) for v in varying]
    out = [np.zeros(len(v.names), bool) for v in varying]
    if re_form is False or str(re_form) in ("NA", "~0", "~ 0"):
        return out
    for bar in read_formula(f"y ~ {str(re_form).lstrip('~ ')}", ()).bars:
        asked, found = _names(bar.terms), set()
        for mask, v in zip(out, varying, strict=True):
            if v.bar.label == bar.label:
                own: list[Any] = ["1", *(frozenset(t) for t in v.bar.terms.terms)]
                here = np.array([own[a] in asked for a in v.matrix.assign])
                mask |= here
                found |= {own[a] for a in v.matrix.assign} & asked
        if asked - found:
            raise BrimError(f"the model has no group term ({bar.text})", hint=f"it has {', '.join(f'({v.bar.text})' for v in varying)}")
    return out


def _names(terms: Any) -> set[Any]:
    return {*(("1",) if terms.intercept else ()), *(frozenset(t) for t in terms.terms)}


def _parts(fit: AbstractMer, frame: Frame, kept: list[Array], allow: bool) -> list[tuple[int, Array, Array]]:
    """Grouping factor, levels of the rows (-1: new) and columns, with zeros for terms that do not count."""
    design, out = fit.observed.design, []
    for g, grouping in enumerate(design.groupings):
        terms = [(v, kept[i]) for i, v in enumerate(design.varying) if v.grouping == g]
        if not any(use.any() for _, use in terms):
            continue
        codes = grouping.codes(frame)
        if (codes < 0).any() and not allow:
            names = grouping.names(frame)
            new = list(dict.fromkeys(names[i] for i in np.flatnonzero(codes < 0)))
            raise BrimError(
                f"new levels detected in newdata: {', '.join(new[:5])}",
                hint=f"'{grouping.label}' has no effect for them; allow_new_levels=True predicts with zero",
            )
        blocks = []
        for v, use in terms:
            columns = v.columns(frame) * use[:, None] if use.any() else np.zeros((len(v.names), frame.n))
            blocks.append(_complete(columns.T, f"the columns of ({v.bar.text})").T)
        out.append((g, codes, np.concatenate(blocks)))
    return out


def _errors(fit: AbstractMer, x: Array, parts: list[tuple[int, Array, Array]]) -> Array:
    """``sqrt(var(x' beta + z' (b - b_true)))`` given ``theta``."""
    pattern, factorisation, design_sides, weight = fit.conditional_law()
    out = np.empty(len(x))
    inverse = np.linalg.inv(fit.fixed_information) if len(fit.beta) else np.zeros((0, 0))
    scales = fit.observed.groups.scales
    for at in range(0, len(x), _CHUNK):
        rows = slice(at, min(at + _CHUNK, len(x)))
        n = rows.stop - at
        right = [np.zeros((f.size, f.k, n)) for f in pattern.factors]
        for g, codes, columns in parts:
            place = pattern.order.index(g)
            known = np.flatnonzero(codes[rows] >= 0)
            right[place][codes[rows][known], :, known] = (columns[:, rows] / scales[g][:, None])[:, known].T
        effects = factorisation.solve_for(right).effects
        var = sum(np.einsum("lkn,lkn->n", r, e) for r, e in zip(right, effects, strict=True))
        shrunk = sum(np.einsum("lkn,lkp->np", e, s) for e, s in zip(effects, design_sides, strict=True))
        a = x[rows] - shrunk
        out[rows] = weight * (var + np.einsum("ip,pq,iq->i", a, inverse, a))
    return np.sqrt(out)
