"""Draws from the priors, for ``sample_prior = "yes"``: brms' ``prior_*`` variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from brim.parameters.laws import JOINT, LAWS
from brim.parameters.param import Param, Piece, Slot
from brim.parameters.prior import CORRELATIONS, Key, PriorRow

__all__ = ["between_bounds", "prior_draws", "prior_name", "quantile_law"]

_CORRELATIONS = {factor: name for name, factor in CORRELATIONS.items()}


def quantile_law(law: str, args: tuple[float, ...]) -> Any:
    """A law of one element as scipy's distribution, with ``cdf``, ``ppf`` and their complements."""
    from scipy import stats

    quantiles = LAWS[law].quantiles
    assert quantiles is not None  # laws of one element have them
    return quantiles(stats, *args)


def prior_draws(params: Iterable[Param], rows: Iterable[PriorRow], n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Independent draws from the priors.

    One variable a parameter, or one for all coefficients of a class that share the class' prior: ``prior_Intercept``, ``prior_b``
    or ``prior_b_x``, ``prior_sd_g`` or ``prior_sd_g__x``, ``prior_cor_g`` (one correlation of the matrix), ``prior_sigma``. A law is
    cut at its parameter's bounds. Flat and constant priors have none.

    Parameters
    ----------
    params
        The parameters of a model, their priors resolved.
    rows
        Its prior table, which tells the priors that a coefficient was given itself from those of its class.
    n
        Number of draws.
    rng
        Where they come from.

    Returns
    -------
    dict
        Name -> draws ``(n,)``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), prior=brim.prior("normal(0, 5)"), empty=True)
    >>> draws = prior_draws(fit.model.params, fit.model.rows, 1000, np.random.default_rng(1))
    >>> {name: x.shape for name, x in draws.items()}
    {'prior_Intercept': (1000,), 'prior_b': (1000,), 'prior_sigma': (1000,), 'prior_sd_Subject': (1000,)}
    """
    by_key = {row.key: row for row in rows}
    out: dict[str, np.ndarray] = {}
    for param in params:
        if param.slots:
            joint = any(piece.law in JOINT for piece in param.pieces)
            drawn = _joint(param, n, rng) if joint else _elements(param, by_key, n, rng)
            for name, values in drawn.items():
                out[_unique(name, out)] = values
    return out


def prior_name(variable: str, params: Iterable[Param], drawn: Iterable[str]) -> str:
    """Which of the ``drawn`` priors (``prior_draws``) is that of a variable; empty if there is none.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), prior=brim.prior("normal(0, 5)"), empty=True)
    >>> prior_name("b_Days", fit.model.params, ["prior_b", "prior_sigma"])
    'prior_b'
    """
    known = set(drawn)
    for slot in (slot for param in params for slot in param.slots):
        own, shared = _name(slot, own=True), _name(slot)
        if slot.class_ in _CORRELATIONS:
            own = shared = own.replace(slot.class_, _CORRELATIONS[slot.class_], 1)
            mine = variable.startswith(f"{own.removeprefix('prior_')}__")
        else:
            mine = own == f"prior_{variable}"
        if mine:
            return own if own in known else shared if shared in known else ""
    return ""


def _unique(name: str, taken: Mapping[str, Any]) -> str:
    """``prior_sd_g``, then ``prior_sd_g__1``: two terms of the same group."""
    if name not in taken:
        return name
    return next(f"{name}__{i}" for i in range(1, len(taken) + 1) if f"{name}__{i}" not in taken)


def _elements(param: Param, rows: Mapping[Key, PriorRow], n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws for the elements of a real parameter; one variable for all where they share the class' prior."""
    out: dict[str, np.ndarray] = {}
    for piece in param.pieces:
        if piece.index is None and not any(_has_own(slot, rows) for slot in param.slots):
            return {_name(param.slots[0]): between_bounds(piece, param, n, rng)}
        for i in param.elements(piece):
            name = _name(param.slots[i], own=True)
            if name not in out:  # levels of gr(by = ) have the same prior
                out[name] = between_bounds(piece, param, n, rng)
    return out


def _has_own(slot: Slot, rows: Mapping[Key, PriorRow]) -> bool:
    """Whether the coefficient itself was given a prior."""
    w = slot.where
    row = rows.get((slot.class_, slot.coef, slot.group, w.resp, w.dpar, w.nlpar))
    return bool(slot.coef) and row is not None and bool(row.prior)


def _name(slot: Slot, own: bool = False) -> str:
    """The name in brms: ``prior_b_sigma_x``, ``prior_sd_g__sigma_x``, ``prior_sigma_y``; without the coefficient unless ``own``."""
    if slot.group:
        base = f"prior_{slot.class_}_{slot.group}"
        return f"{base}__{slot.where.prefix}{slot.coef}" if own and slot.coef else base
    base = f"prior_{slot.class_}{slot.where.suffix}"
    return f"{base}_{slot.coef}" if own and slot.coef else base


def between_bounds(piece: Piece, param: Param, n: int, rng: np.random.Generator) -> np.ndarray:
    """Quantiles of uniform numbers between the law's probabilities at the bounds; from the upper tail when these are there."""
    law = quantile_law(piece.law, piece.args)
    u = np.clip(rng.random(n), 2.0**-54, 1.0 - 2.0**-53)
    low = 0.0 if param.lb is None else float(law.cdf(param.lb))
    high = 1.0 if param.ub is None else float(law.cdf(param.ub))
    if low <= 0.5:
        return np.asarray(law.ppf(low + u * (high - low)))
    above, beyond = float(law.sf(param.lb)), 0.0 if param.ub is None else float(law.sf(param.ub))
    return np.asarray(law.isf(beyond + u * (above - beyond)))


def _joint(param: Param, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One correlation of an LKJ matrix, ``(r + 1) / 2 ~ beta(a, a)`` with ``a = eta + k / 2 - 1``; all elements of a Dirichlet vector."""
    out: dict[str, np.ndarray] = {}
    (slot,) = set(param.slots)
    base = _name(slot, own=True)
    for piece in param.pieces:
        if piece.law == "lkj_corr_cholesky":
            name = base.replace(slot.class_, _CORRELATIONS[slot.class_], 1)
            a = piece.args[0] + param.shape[-1] / 2 - 1
            copies = param.shape[0] if len(param.shape) == 3 else 0
            for each in [f"{name}__{i + 1}" for i in range(copies)] or [name]:
                out[each] = 2 * rng.beta(a, a, n) - 1
        elif piece.law == "dirichlet":
            draws = rng.dirichlet(piece.args, n)
            out.update({f"{base}[{i + 1}]": draws[:, i] for i in range(draws.shape[1])})
    return out
