"""Leave-one-out cross-validation by importance sampling, and WAIC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brim.arguments import named
from brim.errors import BrimError, warn
from brim.post.comparison.importance import importance_loo, waic_of
from brim.post.comparison.pointwise import Pointwise

if TYPE_CHECKING:
    from brim.fit.record import FitRecord
    from brim.post.comparison.elpd import Elpd

__all__ = ["loo", "loo_moment_match", "waic", "warn_of_k"]


@named
def loo(
    fit: FitRecord,
    newdata: Any = None,
    *,
    resp: str | None = None,
    moment_match: bool = False,
    reloo: bool = False,
    integrated: bool = False,
    subsample: int | None = None,
    k_threshold: float | None = None,
    save_psis: bool = False,
    seed: int | None = None,
    **kwargs: Any,
) -> Elpd:
    """Leave-one-out cross-validation by Pareto smoothed importance sampling (Vehtari, Gelman & Gabry 2017).

    The density of each observation given all others, ``elpd_i = log(sum_s w_is p(y_i | s))``, with weights ``w_is`` proportional to
    ``1 / p(y_i | s)``, their tail smoothed (``pareto_k`` is the shape of that tail). The numbers are those of R's package loo:
    the tail's length follows from the relative efficiency of ``p(y_i | s)`` in the chains of the fit.

    Parameters
    ----------
    newdata
        Rows to evaluate instead of the training rows.
    resp
        The response, in a multivariate model; by default all of them under their joint law.
    moment_match
        Move the draws of observations with a bad Pareto k to the moments that the observation's absence asks for.
    reloo
        Fit again without each observation whose Pareto k is still bad.
    integrated
        Take the group effects that belong to an observation out of its term by quadrature before weighing: most bad Pareto k of
        models with a random intercept come from these.
    subsample
        Evaluate that many observations, and estimate the rest by the log density at the posterior mean (Magnusson et al. 2020).
    k_threshold
        From which Pareto k an observation is bad; ``min(1 - 1 / log10(draws), 0.7)`` by default.
    save_psis
        Keep the smoothed log weights, ``log_weights (chain, draw, obs)``.
    seed
        For what is drawn at random here.
    kwargs
        Further arguments of ``Fit.log_lik``; for ``reloo`` those of ``brm``, and with ``executor=`` its fits run there.

    Returns
    -------
    Elpd
        ArviZ's ``ELPDData`` (``elpd``, ``se``, ``p``, ``elpd_i``, ``pareto_k``) with the tables ``estimates`` and ``pointwise``.

    Raises
    ------
    BrimError
        The fit has too few draws, or an observation has no finite likelihood.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> result = fit.loo()
    >>> result.n_data_points, bool(-960 < result.elpd < -945)
    (180, True)
    """
    asked = {"moment_match": moment_match, "integrated": integrated, "subsample": subsample is not None}
    if sum(asked.values()) > 1:
        raise BrimError(f"{' and '.join(k for k, v in asked.items() if v)} do not go together", hint="give one of them")
    refit, options = ({}, kwargs) if not reloo else (kwargs, {})
    rows = Pointwise(fit, newdata, resp, options)
    if integrated:
        from brim.post.comparison.integrated import IntegratedPointwise

        rows = IntegratedPointwise(fit, newdata, resp, options)
    if subsample is not None:
        from brim.post.comparison.subsample import subsampled_loo

        return subsampled_loo(rows, subsample, seed)
    result = importance_loo(rows, k_threshold, save_psis or moment_match)
    if moment_match and result.bad.size:
        from brim.post.comparison.moments import moment_matched

        result = moment_matched(rows, result)
    if reloo and result.bad.size:
        from brim.post.comparison.refits import refitted

        result = refitted(rows, result, seed, refit)
    warn_of_k(result, moment_match, reloo)
    return result


def loo_moment_match(fit: FitRecord, newdata: Any = None, **kwargs: Any) -> Elpd:
    """``loo`` with ``moment_match=True``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> round(fit.loo_moment_match().elpd, -1)
    -950.0
    """
    return loo(fit, newdata, moment_match=True, **kwargs)


@named
def waic(fit: FitRecord, newdata: Any = None, *, resp: str | None = None, **kwargs: Any) -> Elpd:
    """The widely applicable information criterion (Watanabe 2010): ``elpd_i = log(mean_s p(y_i | s)) - var_s(log p(y_i | s))``.

    Arguments and result as for ``Fit.loo``, which is more robust and tells when it fails.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> round(fit.waic().elpd, -1)
    -950.0
    """
    return waic_of(Pointwise(fit, newdata, resp, kwargs))


def warn_of_k(result: Elpd, moment_match: bool = False, reloo: bool = False) -> None:
    """Say how many Pareto k are bad, and what to try next."""
    bad = result.bad
    if not bad.size:
        return
    untried = [name for name, done in (("moment_match=True", moment_match), ("reloo=True", reloo)) if not done]
    hint = f"Try {' or '.join((*untried, 'integrated=True'))}" if untried else "Use kfold()"
    warn(f"{bad.size} of {result.n_data_points} Pareto k are above {result.good_k:.2g}: loo is unreliable for these observations. {hint}")
