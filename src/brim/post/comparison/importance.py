"""Importance weights of draws with an observation left out, smoothed, and what is computed with them; WAIC beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brim.errors import BrimError, warn
from brim.infer.approximate.psis import good_k, smooth_weights
from brim.post.comparison.pointwise import Pointwise, log_mean_exp

if TYPE_CHECKING:
    from brim.post.comparison.elpd import Elpd

__all__ = ["importance_loo", "log_weights", "waic_of"]

#: Fewest draws from which weights can be smoothed: five in the tail.
_FEWEST = 25


def importance_loo(rows: Pointwise, k_threshold: float | None = None, save_psis: bool = False) -> Elpd:
    """PSIS-LOO of these rows as they are."""
    from brim.post.comparison.elpd import total

    draws = _draws(rows)
    elpd, p, k, weights = [], [], [], []
    for _, log_lik in rows.blocks():
        w, k_block = smooth_weights(-log_lik.T, rows.efficiency(log_lik))
        elpd.append(_log_sum_exp(w + log_lik.T))
        p.append(log_mean_exp(log_lik) - elpd[-1])
        k.append(k_block)
        weights += [w] if save_psis else []
    pareto_k = np.concatenate(k)
    threshold = good_k(draws) if k_threshold is None else k_threshold
    result = total(
        "loo",
        np.concatenate(elpd),
        np.concatenate(p),
        draws,
        rows.response,
        rows.dim,
        pareto_k=pareto_k,
        good_k=threshold,
        warning=bool((pareto_k > threshold).any()),
    )
    if save_psis:
        import xarray as xr

        whole = np.concatenate(weights).T.reshape(rows.fit.draws.chains, rows.fit.draws.draws, -1)
        result.log_weights = xr.DataArray(whole, dims=("chain", "draw", rows.dim))
    return result


def waic_of(rows: Pointwise) -> Elpd:
    """WAIC of these rows."""
    from brim.post.comparison.elpd import total

    draws = _draws(rows)
    lpd, p = [], []
    for _, log_lik in rows.blocks():
        lpd.append(log_mean_exp(log_lik))
        p.append(log_lik.var(axis=0, ddof=1))
    p_i = np.concatenate(p)
    if high := int((p_i > 0.4).sum()):
        warn(f"{high} of {len(p_i)} p_waic are above 0.4: WAIC is unreliable there. Use loo() instead")
    return total("waic", np.concatenate(lpd) - p_i, p_i, draws, rows.response, rows.dim, warning=bool(high))


def log_weights(rows: Pointwise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smoothed normalised log weights ``(draws, rows)``, Pareto k ``(rows,)``, and relative efficiencies ``(rows,)``."""
    _draws(rows)
    parts = []
    for _, log_lik in rows.blocks():
        r_eff = rows.efficiency(log_lik)
        parts.append((*smooth_weights(-log_lik.T, r_eff), r_eff))
    weights, k, r_eff = (np.concatenate(p) for p in zip(*parts, strict=True))
    return weights.T, k, r_eff


def _draws(rows: Pointwise) -> int:
    draws = rows.fit.draws.chains * rows.fit.draws.draws
    if draws < _FEWEST:
        raise BrimError(f"the fit has {draws} draws; importance sampling needs at least {_FEWEST}", hint="sample more iterations")
    return draws


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=1)) + top[:, 0])
