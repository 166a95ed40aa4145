"""Leave-one-out cross-validation of large data from some of its rows (Magnusson, Vehtari, Jonasson & Andersen 2020)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import whole
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.post.comparison.importance import importance_loo
from brim.post.comparison.pointwise import Pointwise

if TYPE_CHECKING:
    from brim.post.comparison.elpd import Elpd

__all__ = ["subsampled_loo"]


def subsampled_loo(rows: Pointwise, m: int, seed: int | None) -> Elpd:
    """``elpd = sum_i a_i + N / m sum_S (elpd_i - a_i)`` with ``a_i = log p(y_i | posterior mean)`` and ``m`` rows ``S`` drawn at random."""
    fit = rows.fit
    frame = rows.rows()
    if frame is None:
        raise BrimError("subsample= takes a model whose rows are independent given its parameters")
    n = frame.n
    m = whole("subsample", m, least=2, most=n)
    chosen = np.sort(np.random.default_rng(1 if seed is None else seed).choice(n, m, replace=False))
    result = importance_loo(replace(rows, newdata=frame.take(chosen)))
    approximate = _at_mean(replace(rows, fit=_mean(fit), newdata=frame.take(np.arange(n))))
    elpd_i, p_i, k = (np.asarray(a) for a in (result.elpd_i, result.p_i, result.pareto_k))
    rest = elpd_i - approximate[chosen]
    elpd = float(approximate.sum() + n * rest.mean())
    variance = n**2 * (1 - m / n) * float(rest.var(ddof=1)) / m
    squares = float((approximate**2).sum() + n * (elpd_i**2 - approximate[chosen] ** 2).mean())
    result.elpd, result.se = elpd, float(np.sqrt(max(squares - (elpd**2 - variance) / n, 0.0)))
    result.p, result.n_data_points = float(n * p_i.mean()), n
    result.subsampling_se, result.subsample_size, result.loo_subsample_observations = float(np.sqrt(variance)), m, chosen
    for name, values in (("elpd_i", elpd_i), ("p_i", p_i), ("pareto_k", k)):
        setattr(result, name, _spread(values, chosen, n, rows.dim))
    return result


def _mean(fit: FitRecord) -> FitRecord:
    """The fit with one draw: the posterior mean of everything reported."""
    arrays = {key: a.mean(axis=(0, 1), keepdims=True) for key, a in fit.draws.arrays.items()}
    return replace(fit, posterior=replace(fit.draws, arrays=arrays, extra={}))


def _at_mean(rows: Pointwise) -> np.ndarray:
    return np.concatenate([block[0] for _, block in rows.blocks()])


def _spread(values: np.ndarray, at: np.ndarray, n: int, dim: str) -> Any:
    import xarray as xr

    whole_array = np.full(n, np.nan)
    whole_array[at] = values
    return xr.DataArray(whole_array, dims=(dim,), coords={dim: np.arange(n)})
