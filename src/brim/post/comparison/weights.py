"""Weights of models for averaging: stacking, pseudo-BMA, Akaike weights, posterior probabilities (Yao et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import named, one_of
from brim.post.comparison.compare import CRITERIA, criterion_of, name_models, same_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METHODS", "model_weights", "pseudo_bma", "stacking"]

#: Ways to weigh models.
METHODS = ("stacking", "pseudobma", *CRITERIA, "bma")


@named
def model_weights(
    *fits: Any,
    weights: str = "stacking",
    names: Iterable[str] | None = None,
    criterion: str = "loo",
    BB: bool = True,
    BB_n: int = 1000,
    seed: int = 1,
    **named: Any,
) -> pd.Series:
    """Weights of models by how well they predict; they sum to 1.

    Parameters
    ----------
    fits, named, names
        As for ``loo_compare``.
    weights
        ``"stacking"``: weights ``w`` that maximise ``sum_i log(sum_k w_k exp(elpd_ik))``, the score of the mixture;
        ``"pseudobma"``: proportional to ``exp(elpd)``, averaged over the Bayesian bootstrap of observations;
        ``"loo"``, ``"waic"``, ``"kfold"``: proportional to ``exp(elpd)`` of that criterion;
        ``"bma"``: posterior probabilities of the models from marginal likelihoods (``post_prob``).
    criterion
        Whose ``elpd_i`` stacking and pseudo-BMA take.
    BB, BB_n, seed
        Whether pseudo-BMA bootstraps, how often, from which seed.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> fits = [brim.brm(f, data, chains=2, iter=400, seed=1, progress=False) for f in ("Reaction ~ 1", "Reaction ~ Days")]
    >>> brim.model_weights(*fits, names=["constant", "days"]).round(3).to_dict()
    {'constant': 0.0..., 'days': 1.0...}
    """
    import pandas as pd

    one_of("weights", weights, METHODS, "ways")
    models = name_models(fits, named, names)
    if weights == "bma":
        from brim.post.comparison.bridge import post_prob

        return post_prob(**models)
    found = {name: criterion_of(fit, weights if weights in CRITERIA else criterion) for name, fit in models.items()}
    same_rows(found)
    pointwise = np.stack([np.ravel(e.elpd_i) for e in found.values()], axis=1)
    if weights == "stacking":
        values = stacking(pointwise)
    elif weights == "pseudobma" and BB:
        values = pseudo_bma(pointwise, BB_n, seed)
    else:
        values = _softmax(pointwise.sum(axis=0))
    return pd.Series(values, index=pd.Index(list(found), name="model"), name="weight")


def stacking(pointwise: np.ndarray) -> np.ndarray:
    """Weights ``(models,)`` that maximise ``sum_i log(sum_k w_k exp(pointwise_ik))`` over the simplex.

    Examples
    --------
    >>> stacking(np.log([[0.9, 0.1], [0.1, 0.9]])).round(6)
    array([0.5, 0.5])
    """
    from scipy.optimize import minimize

    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    models = density.shape[1]
    start = np.full(models, 1.0 / models)
    for _ in range(200):  # expectation-maximisation: every step gains, and no weight turns negative
        start = start * (density / (density @ start)[:, None]).mean(axis=0)
    found = minimize(
        lambda w: -np.log(density @ w).mean(),
        start,
        jac=lambda w: -(density / (density @ w)[:, None]).mean(axis=0),
        bounds=[(0.0, 1.0)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(models)},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    better = found.x if np.isfinite(found.fun) and found.fun <= -np.log(density @ start).mean() else start
    weights = np.clip(better, 0.0, None)
    return np.asarray(weights / weights.sum())


def pseudo_bma(pointwise: np.ndarray, n: int = 1000, seed: int = 1) -> np.ndarray:
    """Mean over ``n`` Bayesian bootstraps of observations of ``softmax(N sum_i alpha_i pointwise_i)``, ``alpha ~ Dirichlet(1)``."""
    rows = len(pointwise)
    rng = np.random.default_rng(seed)
    totals = np.concatenate([rng.dirichlet(np.ones(rows), size) @ pointwise * rows for size in _sizes(n)])
    return np.asarray(np.exp(totals - _log_sum(totals)).mean(axis=0))


def _sizes(n: int, block: int = 1000) -> list[int]:
    return [min(block, n - at) for at in range(0, n, block)]


def _log_sum(totals: np.ndarray) -> np.ndarray:
    top = totals.max(axis=-1, keepdims=True)
    return np.asarray(top + np.log(np.exp(totals - top).sum(axis=-1, keepdims=True)))


def _softmax(totals: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(totals - _log_sum(totals)))
