"""Expectations under leave-one-out posteriors, and how much variance a model explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import drawn_seed, named, one_of
from brim.errors import BrimError
from brim.infer.approximate.psis import smooth_weights
from brim.post import predictions
from brim.post.comparison.importance import log_weights
from brim.post.comparison.pointwise import Pointwise
from brim.post.observed import observed_values
from brim.post.summaries.tables import statistic_names, statistics

if TYPE_CHECKING:
    import pandas as pd

    from brim.fit.record import FitRecord

__all__ = ["E_loo", "bayes_R2", "loo_R2", "loo_epred", "loo_linpred", "loo_predict"]

_TYPES = ("mean", "var", "sd", "median", "quantile")
_BOOTSTRAPS, _SEED = 4000, 1


@named
def E_loo(values: np.ndarray, weights: np.ndarray, type: str = "mean", probs: tuple[float, ...] = (0.5,)) -> np.ndarray:
    """Weighted mean, variance, standard deviation or quantiles of draws.

    Parameters
    ----------
    values
        Draws ``(draws, rows)``.
    weights
        Weights ``(draws, rows)`` that sum to 1 over draws.
    type
        ``"mean"``, ``"var"`` (divided by ``1 - sum(w^2)``, unbiased as the sample variance is), ``"sd"``, ``"median"`` or ``"quantile"``.
    probs
        Probabilities of the quantiles.

    Returns
    -------
    numpy.ndarray
        ``(rows,)``, or ``(len(probs), rows)`` of quantiles.

    Examples
    --------
    >>> values = np.array([[1.0], [2.0], [4.0]])
    >>> E_loo(values, np.array([[0.5], [0.25], [0.25]]))
    array([2.])
    """
    one_of("type", type, _TYPES, "types")
    mean = (weights * values).sum(axis=0)
    if type == "mean":
        return np.asarray(mean)
    if type in ("var", "sd"):
        variance = (weights * (values - mean) ** 2).sum(axis=0) / (1.0 - (weights**2).sum(axis=0))
        return np.asarray(variance if type == "var" else np.sqrt(variance))
    found = np.stack([_quantiles(v, w, probs if type == "quantile" else (0.5,)) for v, w in zip(values.T, weights.T, strict=True)], axis=1)
    return found if type == "quantile" else found[0]


def _quantiles(values: np.ndarray, weights: np.ndarray, probs: tuple[float, ...]) -> np.ndarray:
    """Quantiles by interpolation between cumulative weights; R's type 7 where all weights are equal."""
    if np.ptp(weights) == 0.0:
        return np.quantile(values, probs)
    order = np.argsort(values, kind="stable")
    values, cumulative = values[order], np.cumsum(weights[order])
    return np.interp(probs, cumulative / cumulative[-1], values)


def tail_shape(values: np.ndarray, log_ratios: np.ndarray, r_eff: np.ndarray) -> np.ndarray:
    """Pareto k ``(rows,)`` of an expectation: that of ``sqrt(1 + h^2) r`` for values ``h`` and importance ratios ``r``."""
    return smooth_weights((log_ratios + 0.5 * np.log1p(values**2)).T, r_eff)[1]


def loo_predict(fit: FitRecord, type: str = "mean", probs: tuple[float, ...] = (0.5,), **kwargs: Any) -> np.ndarray:
    """Leave-one-out predictions: summaries of ``posterior_predict`` under each observation's own leave-one-out posterior; see ``E_loo``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> len(fit.loo_predict(seed=1))
    180
    """
    return _expectation(fit, "posterior_predict", type, probs, kwargs)


def loo_epred(fit: FitRecord, type: str = "mean", probs: tuple[float, ...] = (0.5,), **kwargs: Any) -> np.ndarray:
    """Leave-one-out expectations of the response: ``posterior_epred`` under leave-one-out posteriors; see ``E_loo``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.loo_epred().shape
    (180,)
    """
    return _expectation(fit, "posterior_epred", type, probs, kwargs)


def loo_linpred(fit: FitRecord, type: str = "mean", probs: tuple[float, ...] = (0.5,), **kwargs: Any) -> np.ndarray:
    """Leave-one-out linear predictors: ``posterior_linpred`` under leave-one-out posteriors; see ``E_loo``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> len(fit.loo_linpred())
    180
    """
    return _expectation(fit, "posterior_linpred", type, probs, kwargs)


def _expectation(fit: FitRecord, method: str, type: str, probs: tuple[float, ...], kwargs: dict[str, Any]) -> np.ndarray:
    draws = getattr(predictions, method)(fit, **kwargs)
    if draws.ndim > 2:
        raise BrimError("leave-one-out expectations of categories are not defined", hint="use loo_predict of a numeric response")
    weights, _, _ = log_weights(Pointwise(fit, None, kwargs.get("resp")))
    return E_loo(draws, np.exp(weights), type, probs)


# --------------------------------------------------------------------------- explained variance


def loo_R2(
    fit: FitRecord,
    *,
    resp: str | None = None,
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    n: int = _BOOTSTRAPS,
    seed: int | None = _SEED,
) -> Any:
    """Explained variance of leave-one-out predictions, ``1 - var(y - E_loo(mu)) / var(y)``, with a Bayesian bootstrap of observations.

    Parameters
    ----------
    resp
        The response; all of them, a row each, by default.
    summary, robust, probs
        As for ``bayes_R2``.
    n, seed
        Number of bootstraps, and their seed. With both left as they are, draws that ``add_criterion("loo_R2")`` has kept are used.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> bool(0.1 < fit.loo_R2().loc["R2", "Estimate"] < 0.4)
    True
    """

    def one(name: str) -> np.ndarray:
        y = _numeric(fit, name)
        residual = y - _expectation(fit, "posterior_epred", "mean", (0.5,), {"resp": name})
        alpha = np.random.default_rng(drawn_seed(seed)).dirichlet(np.ones(len(y)), n)

        def variance(x: np.ndarray) -> np.ndarray:
            return np.asarray(alpha @ x**2 - (alpha @ x) ** 2)

        return np.clip(1.0 - variance(residual) / variance(y), -1.0, 1.0)

    kept = fit.criteria.get("loo_R2") if (n, seed) == (_BOOTSTRAPS, _SEED) else None
    return _table(fit, resp, one, kept, summary, robust, probs)


@named
def bayes_R2(
    fit: FitRecord,
    *,
    resp: str | None = None,
    method: str | None = None,
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """Bayesian R2 (Gelman, Goodrich, Gabry & Vehtari 2019): ``V / (V + E)`` in every draw.

    ``V`` is the variance over rows of the expected response. ``E`` is the mean over rows of the variance of the response
    around it, as the model has it (``method="model"``), or the variance over rows of the residuals ``y - mu`` (``method="residual"``,
    the definition of brms before 2.23).

    Parameters
    ----------
    resp
        The response; all of them, a row each, by default.
    method
        ``"model"`` or ``"residual"``. Without it and further arguments, draws that ``add_criterion("bayes_R2")`` has kept are used;
        where there are none, it is ``"model"``.
    summary, robust, probs
        Statistics as of ``fixef``; ``summary=False`` gives the draws ``(draws, responses)``.
    kwargs
        Further arguments of ``posterior_epred``.

    Raises
    ------
    BrimError
        The family has no variance, or the response is a category.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> bool(0.2 < fit.bayes_R2().loc["R2", "Estimate"] < 0.4)
    True
    """
    if method is not None:
        one_of("method", method, ("model", "residual"))

    def one(name: str) -> np.ndarray:
        _check_numeric(fit, name)
        mu = predictions.posterior_epred(fit, resp=name, **kwargs)
        if mu.ndim > 2:
            mu = mu @ np.arange(1.0, mu.shape[2] + 1.0)  # ordered categories count as their numbers, as in brms
        explained = mu.var(axis=1, ddof=1)
        if method == "residual":
            rest = (_numeric(fit, name, kwargs.get("newdata")) - mu).var(axis=1, ddof=1)
        else:
            from brim.post.predict import predict

            rest = predict(fit, "variance", resp=name, **kwargs).mean(axis=1)
        return np.asarray(explained / (explained + rest))

    kept = fit.criteria.get("bayes_R2") if method is None and not kwargs else None
    return _table(fit, resp, one, kept, summary, robust, probs)


def _numeric(fit: FitRecord, name: str, newdata: Any = None) -> np.ndarray:
    """The response as numbers; there is no variance of unordered categories."""
    _check_numeric(fit, name)
    return observed_values(fit, fit.model.response(name), newdata)


def _check_numeric(fit: FitRecord, name: str) -> None:
    family = fit.model.response(name).family
    if family.kind.several:
        raise BrimError(f"R2 is not defined for the family {family.name}: its categories have no order")


def _table(
    fit: FitRecord, resp: str | None, one: Any, kept: pd.DataFrame | None, summary: bool, robust: bool, probs: tuple[float, ...]
) -> pd.DataFrame:
    """A row (or a column of draws) a response: ``R2``, or ``R2y1``, ``R2y2`` of several. ``kept`` are draws computed before."""
    import pandas as pd

    names = [r.name for r in fit.model.responses] if resp is None else [fit.model.response(resp).name]
    labels = ["R2" if len(fit.model.responses) == 1 else f"R2{name}" for name in names]
    if kept is not None and set(labels) <= set(kept.columns):
        draws = kept[labels].to_numpy()
    else:
        draws = np.stack([one(name) for name in names], axis=-1)
    if not summary:
        return pd.DataFrame(draws, columns=labels)
    return pd.DataFrame(statistics(draws, robust, probs).T, index=labels, columns=list(statistic_names(probs)))
