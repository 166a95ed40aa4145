"""Moment matching of importance sampling (Paananen, Piironen, Buerkner & Vehtari 2021), done by ArviZ."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.post.comparison.pointwise import Pointwise, log_mean_exp
from brim.post.unconstrained import Unconstrained

if TYPE_CHECKING:
    import xarray as xr

    from brim.post.comparison.elpd import Elpd

__all__ = ["moment_matched"]


def moment_matched(rows: Pointwise, result: Elpd) -> Elpd:
    """Terms of bad observations from draws moved to the mean, scales and covariance of their leave-one-out posterior.

    ``result`` carries its log weights. The draws move on the unconstrained scale, where the joint density is known.
    """
    import xarray as xr
    from arviz_stats import loo_moment_match

    from brim.post.comparison.elpd import total

    fit = rows.fit
    if rows.newdata is not None or len(fit.model.responses) > 1:
        raise BrimError("moment_match=True takes the training rows of a model of one response")
    space = Unconstrained(fit)
    shape = (fit.draws.chains, fit.draws.draws)
    log_lik = np.concatenate([block for _, block in rows.blocks()], axis=1)

    def flat(upars: xr.DataArray) -> np.ndarray:
        return np.asarray(upars.transpose("chain", "draw", "parameter")).reshape(-1, space.draws.shape[1])

    def named(values: np.ndarray) -> xr.DataArray:
        return xr.DataArray(values.reshape(shape), dims=("chain", "draw"), coords=_axes(shape))

    upars = xr.DataArray(space.draws.reshape(*shape, -1), dims=("chain", "draw", "parameter"), coords=_axes(shape))
    data = xr.DataTree.from_dict(
        {
            "log_likelihood": xr.Dataset(
                {"y": (("chain", "draw", rows.dim), log_lik.reshape(*shape, -1))}, {**_axes(shape), rows.dim: np.arange(log_lik.shape[1])}
            )
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is still bad is said by loo itself
        moved = loo_moment_match(
            data,
            result,
            lambda u: named(space.log_joint(flat(u))),
            lambda u, i: named(space.log_lik(flat(u), int(i))),
            upars=upars,
            reff=float(np.mean(rows.efficiency(log_lik))),
            k_threshold=result.good_k,
            pointwise=True,
        )
    elpd, k = np.asarray(moved.elpd_i), np.asarray(moved.pareto_k)
    bad = bool((k > result.good_k).any())
    p = log_mean_exp(log_lik) - elpd
    return total("loo", elpd, p, result.n_samples, result.response, rows.dim, pareto_k=k, good_k=result.good_k, warning=bad)


def _axes(shape: tuple[int, int]) -> dict[str, Any]:
    return {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
