"""Draws of expected responses, predictors, new responses and log likelihoods: methods of ``Fit``."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from brim.arguments import drawn_seed, named, one_of
from brim.distributions.evaluate import OUTPUTS, Output
from brim.errors import BrimError
from brim.families.kinds import Kind
from brim.fit.record import FitRecord
from brim.post.predict import pick_draws, predict

__all__ = ["log_lik", "posterior_epred", "posterior_linpred", "posterior_predict"]


@named
def posterior_epred(
    fit: FitRecord,
    newdata: Any = None,
    *,
    dpar: str | None = None,
    nlpar: str | None = None,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
    incl_autocor: bool = True,
) -> np.ndarray:
    """Draws of the expected response ``E(y | parameters)``, or of a distributional parameter on its own scale.

    Parameters
    ----------
    newdata
        Rows to predict for; the training rows by default.
    dpar
        A distributional parameter (``"sigma"``) instead of the mean.
    nlpar
        A nonlinear parameter instead of the mean.
    resp
        The response, in a multivariate model.
    re_formula
        Group effects to use: ``None`` all, ``False`` none, or a formula such as ``"(1 | g)"``.
    allow_new_levels
        Whether ``newdata`` may hold new levels of grouping factors.
    sample_new_levels
        ``"uncertainty"``: each draw takes the effects of a randomly chosen level; ``"gaussian"``: effects from the
        estimated distribution; ``"old_levels"``: one randomly chosen level for all draws.
    ndraws, draw_ids
        Use that many randomly chosen draws, or those with these positions (from 0).
    seed
        For everything drawn at random here.
    incl_autocor
        Whether residual structures (``ar()``, ``car()``, ...) take part.

    Returns
    -------
    numpy.ndarray
        ``(draws, observations)``, with categories as a third axis for categorical responses; chains in order.

    Raises
    ------
    BrimError
        A column is missing, a level is new and not allowed, a name is unknown.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=300, seed=1, progress=False)
    >>> fit.posterior_epred({"Days": [0, 5]}, ndraws=10).shape
    (10, 2)
    """
    return predict(
        fit,
        "epred" if dpar is None else "dpar",
        newdata,
        dpar=dpar,
        nlpar=nlpar,
        resp=resp,
        re_formula=re_formula,
        allow_new_levels=allow_new_levels,
        sample_new_levels=sample_new_levels,
        ndraws=ndraws,
        draw_ids=draw_ids,
        seed=seed,
        incl_autocor=incl_autocor,
    )


@named
def posterior_linpred(
    fit: FitRecord,
    newdata: Any = None,
    *,
    transform: bool = False,
    incl_thres: bool = False,
    dpar: str | None = None,
    nlpar: str | None = None,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
    incl_autocor: bool = True,
) -> np.ndarray:
    """Draws of a linear predictor (of ``mu`` by default), before the inverse link unless ``transform``. See ``posterior_epred``.

    ``incl_thres=True`` gives thresholds minus predictor of an ordinal response, ``(draws, observations, thresholds)``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.posterior_linpred({"Days": [0, 5]}).shape
    (400, 2)
    """
    seed = drawn_seed(seed)
    eta = predict(
        fit,
        "dpar" if transform else "linpred",
        newdata,
        dpar=dpar,
        nlpar=nlpar,
        resp=resp,
        re_formula=re_formula,
        allow_new_levels=allow_new_levels,
        sample_new_levels=sample_new_levels,
        ndraws=ndraws,
        draw_ids=draw_ids,
        seed=seed,
        incl_autocor=incl_autocor,
    )
    return _from_thresholds(fit, eta, resp, dpar, nlpar, ndraws, draw_ids, seed) if incl_thres else eta


def _from_thresholds(
    fit: FitRecord, eta: np.ndarray, resp: str | None, dpar: str | None, nlpar: str | None, ndraws: int | None, draw_ids: Any, seed: int
) -> np.ndarray:
    """Thresholds minus the predictor."""
    response = fit.model.response(resp)
    prefix = f"b{response.resp}_Intercept["
    names = [v for v in fit.draws.variables if v.startswith(prefix)]
    if response.family.kind is not Kind.ORDINAL or (dpar or nlpar or "mu") != "mu" or any("," in n.removeprefix(prefix) for n in names):
        raise BrimError("incl_thres=True is for the main predictor of an ordinal response with one set of thresholds")
    ids = pick_draws(fit.draws.chains * fit.draws.draws, ndraws, draw_ids, seed)
    thresholds = np.stack([fit.draws[n].ravel()[ids] for n in names], axis=-1)
    return np.asarray(thresholds[:, None, :] - (eta if eta.ndim == 3 else eta[:, :, None]))


@named
def posterior_predict(
    fit: FitRecord,
    newdata: Any = None,
    *,
    output: str = "random",
    at: Any = None,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
    incl_autocor: bool = True,
) -> np.ndarray:
    """Draws of new responses, or their law in every draw, ``(draws, observations)``. See ``posterior_epred``.

    Parameters
    ----------
    output
        ``"random"``: new responses; ``"density"``: the density (mass) at values; ``"probability"``: ``P(Y <= value)``; ``"pit"``: the same,
        at random between ``P(Y < value)`` and ``P(Y <= value)`` where a value has mass; ``"quantile"``: quantiles at probabilities.
    at
        These values (the observed responses by default) or probabilities: one, or one a row.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=300, seed=1, progress=False)
    >>> half = fit.posterior_predict({"Days": [0, 5]}, output="quantile", at=0.5)
    >>> bool(np.allclose(half, fit.posterior_epred({"Days": [0, 5]})))
    True
    """
    kind: Literal["random"] | Output = one_of("output", output, ("random", *OUTPUTS), "outputs")
    if output == "quantile" and at is None:
        raise BrimError("output='quantile' needs probabilities", hint="give them as at=0.9")
    if output != "random" and resp is None and len(fit.model.responses) > 1:
        raise BrimError("a joint law has no single density here", hint="say which response with resp=")
    return predict(
        fit,
        "predict" if kind == "random" else kind,
        newdata,
        resp=resp,
        re_formula=re_formula,
        allow_new_levels=allow_new_levels,
        sample_new_levels=sample_new_levels,
        ndraws=ndraws,
        draw_ids=draw_ids,
        seed=seed,
        incl_autocor=incl_autocor,
        at=None if output == "random" else at,
    )


@named
def log_lik(
    fit: FitRecord,
    newdata: Any = None,
    *,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    ndraws: int | None = None,
    draw_ids: Any = None,
    seed: int | None = None,
    incl_autocor: bool = True,
) -> np.ndarray:
    """Pointwise log likelihood, ``(draws, observations)``; weights multiply it. See ``posterior_epred``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.log_lik().shape
    (400, 180)
    """
    return predict(
        fit,
        "log_lik",
        newdata,
        resp=resp,
        re_formula=re_formula,
        allow_new_levels=allow_new_levels,
        sample_new_levels=sample_new_levels,
        ndraws=ndraws,
        draw_ids=draw_ids,
        seed=seed,
        incl_autocor=incl_autocor,
    )
