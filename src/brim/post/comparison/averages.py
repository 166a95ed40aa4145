"""Averages over models by their weights, and memberships in the components of a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import drawn_seed, named, one_of, whole
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.post import predictions
from brim.post.comparison.compare import name_models
from brim.post.comparison.weights import model_weights
from brim.post.predict import predict
from brim.post.summaries.predictions import label_rows
from brim.post.summaries.tables import statistic_names, summarise_array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["posterior_average", "pp_average", "pp_mixture"]

_METHODS = ("posterior_predict", "posterior_epred", "posterior_linpred")


@named
def pp_average(
    *fits: Any,
    weights: Any = "stacking",
    method: str = "posterior_predict",
    newdata: Any = None,
    names: Iterable[str] | None = None,
    ndraws: int | None = None,
    seed: int | None = 1,
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """Predictions averaged over models: each gives as many draws as its weight says.

    Parameters
    ----------
    fits, names
        Fits of the same rows.
    weights
        A way of ``model_weights``, or the weights themselves.
    method
        ``"posterior_predict"``, ``"posterior_epred"`` or ``"posterior_linpred"``.
    newdata, kwargs
        Arguments of that method.
    ndraws, seed
        Number of draws in all (those of the first model by default), and the seed of their choice.
    summary, robust, probs
        As for ``fitted``; ``summary=False`` gives the draws.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> fits = [brim.brm(f, data, chains=2, iter=400, seed=1, progress=False) for f in ("Reaction ~ 1", "Reaction ~ Days")]
    >>> brim.pp_average(*fits, method="posterior_epred", weights=[0.5, 0.5], summary=False).shape
    (400, 180)
    """
    one_of("method", method, _METHODS, "methods")
    models = name_models(fits, {}, names)
    counts = _shares(models, weights, ndraws)
    fixed = drawn_seed(seed)
    draw = getattr(predictions, method)
    asked = [(fit, n) for fit, n in zip(models.values(), counts, strict=True) if n]
    parts = [draw(fit, newdata, ndraws=n, seed=fixed, **kwargs) for fit, n in asked]
    if len({p.shape[1:] for p in parts}) > 1:
        raise BrimError("the models predict for different rows", hint="fit them to the same data, or give newdata")
    draws = np.concatenate(parts)
    return label_rows(next(iter(models.values())), draws, robust, probs, kwargs) if summary else draws


@named
def posterior_average(
    *fits: Any,
    variable: str | Sequence[str] | None = None,
    weights: Any = "stacking",
    names: Iterable[str] | None = None,
    missing: float | Mapping[str, float] | None = None,
    ndraws: int | None = None,
    seed: int | None = 1,
) -> pd.DataFrame:
    """Draws of variables averaged over models: each gives as many as its weight says.

    Parameters
    ----------
    fits, names, weights, ndraws, seed
        As for ``pp_average``.
    variable
        Which; those that all models have by default.
    missing
        What a variable is in models without it (one number, or one by name); without it that is an error.

    Returns
    -------
    pandas.DataFrame
        One row a draw, one column a variable.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> one = brim.brm("Reaction ~ 1", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.posterior_average(one, variable="sigma", weights=[0.5, 0.5], seed=1).columns)
    ['sigma']
    """
    import pandas as pd

    models = name_models(fits, {}, names)
    common = [v for v in next(iter(models.values())).draws.variables if all(v in f.draws.variables for f in models.values())]
    wanted = common if variable is None else [variable] if isinstance(variable, str) else list(variable)
    counts = _shares(models, weights, ndraws)
    rng = np.random.default_rng(drawn_seed(seed))
    parts = []
    for fit, n in zip(models.values(), counts, strict=True):
        total = fit.draws.chains * fit.draws.draws
        ids = np.sort(rng.choice(total, n, replace=n > total))
        parts.append(pd.DataFrame({v: _column(fit, v, missing)[ids] for v in wanted}))
    return pd.concat(parts, ignore_index=True)


def _column(fit: FitRecord, name: str, missing: float | Mapping[str, float] | None) -> np.ndarray:
    if name in fit.draws.variables:
        return np.ravel(fit.draws[name])
    value = missing.get(name) if isinstance(missing, Mapping) else missing
    if value is None:
        raise BrimError(f"'{name}' is not a variable of every model", hint="say what it is elsewhere with missing=0")
    return np.full(fit.draws.chains * fit.draws.draws, float(value))


def _shares(models: Mapping[str, FitRecord], weights: Any, ndraws: int | None) -> list[int]:
    """Draws of each model: by its weight, the largest remainders rounded up."""
    if isinstance(weights, str):
        found = np.asarray(model_weights(*models.values(), names=list(models), weights=weights))
    else:
        found = np.asarray(list(weights), float)
        if found.shape != (len(models),) or (found < 0).any() or found.sum() <= 0:
            raise BrimError(f"weights = {found.tolist()}", hint=f"give {len(models)} numbers >= 0")
        found = found / found.sum()
    sizes = [f.draws.chains * f.draws.draws for f in models.values()]
    total = sizes[0] if ndraws is None else whole("ndraws", ndraws, least=1)
    exact = found * total
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    if any(n > size for n, size in zip(counts, sizes, strict=True)):
        raise BrimError(f"{total} draws are more than a model has", hint="give a smaller ndraws")
    return [int(n) for n in counts]


@named
def pp_mixture(
    fit: FitRecord,
    newdata: Any = None,
    *,
    log: bool = False,
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """Posterior probabilities of the components of a mixture, ``p(k | y_i) ~ theta_k p_k(y_i)`` in every draw.

    Parameters
    ----------
    newdata, kwargs
        As for ``log_lik``: the response is needed.
    log
        Log probabilities instead.
    summary, robust, probs
        As for ``fitted``.

    Returns
    -------
    xarray.DataArray or numpy.ndarray
        ``(obs, statistic, component)``; draws ``(draws, obs, component)`` with ``summary=False``.

    Raises
    ------
    BrimError
        The family is no mixture.

    Examples
    --------
    >>> import brim
    >>> import pandas as pd
    >>> family = brim.mixture("gaussian", "student")
    >>> empty = brim.brm("Reaction ~ 1", brim.load_data("sleepstudy"), family, empty=True)
    >>> fit = empty.with_draws(pd.DataFrame({name: [0.5, 0.5] for name in empty.variables()}))
    >>> fit.pp_mixture().shape
    (180, 4, 2)
    """
    import xarray as xr

    response = fit.model.response(kwargs.get("resp"))
    if not response.family.components:
        raise BrimError(f"the family {response.family.name} is no mixture", hint="mixture(gaussian, gaussian) is one")
    draws = predict(fit, "component", newdata, **kwargs)
    draws = draws if log else np.exp(draws)
    if not summary:
        return draws
    labels = [f"P(K = {k + 1} | Y)" for k in range(draws.shape[2])]
    coords = {"obs": np.arange(draws.shape[1]), "statistic": list(statistic_names(probs)), "component": labels}
    return xr.DataArray(summarise_array(draws, robust, probs), dims=("obs", "statistic", "component"), coords=coords)
