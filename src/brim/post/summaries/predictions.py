"""Predictions summarised over draws, residuals and intervals: methods of ``Fit``, one row an observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import drawn_seed, number, one_of, whole
from brim.errors import BrimError
from brim.post import predictions
from brim.post.observed import independent_rows, observed_values, row_blocks
from brim.post.predict import pick_draws
from brim.post.summaries.tables import statistic_names, statistics, summarise_array

if TYPE_CHECKING:
    import xarray as xr

    from brim.fit.record import FitRecord
    from brim.model.model import ResponseModel
    from brim.post.summaries.rows import RowFrame

__all__ = ["fitted", "label_rows", "posterior_interval", "predict", "predictive_error", "predictive_interval", "residuals"]

_METHODS = ("posterior_epred", "posterior_predict")
_TYPES = ("ordinary", "pearson")


def fitted(
    fit: FitRecord,
    newdata: Any = None,
    *,
    scale: str = "response",
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """Expected responses summarised over draws.

    Parameters
    ----------
    newdata, kwargs
        As for ``posterior_epred``.
    scale
        ``"response"``: expectations (``posterior_epred``); ``"linear"``: the linear predictor (``posterior_linpred``).
    summary
        ``False`` gives the draws, an array ``(draws, observations[, categories])``.
    robust, probs
        Median and MAD instead of mean and standard deviation; probabilities of the quantiles.

    Returns
    -------
    RowFrame or xarray.DataArray
        A data frame ``Estimate Est.Error Q2.5 Q97.5``, a row an observation; with categories or several responses an
        array ``(obs, statistic, category)``, ``P(Y = a)`` its labels.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.fitted({"Days": [0, 5]}).columns)
    ['Estimate', 'Est.Error', 'Q2.5', 'Q97.5']
    """
    one_of("scale", scale, ("response", "linear"))
    draw = predictions.posterior_epred if scale == "response" else predictions.posterior_linpred
    if not summary:
        return draw(fit, newdata, **kwargs)
    return _joined(label_rows(fit, part, robust, probs, kwargs) for part in _parts(fit, draw, newdata, kwargs))


def _parts(fit: FitRecord, draw: Callable[..., np.ndarray], newdata: Any, kwargs: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Draws of all rows, or of blocks of rows where all are too many to be held at once."""
    return (draw(fit, rows, **given) for _, rows, given in _blocks(fit, newdata, kwargs))


def _blocks(fit: FitRecord, newdata: Any, kwargs: Mapping[str, Any]) -> Iterator[tuple[slice, Any, dict[str, Any]]]:
    """Rows to predict at once: which of all they are, as ``newdata``, and the arguments; each block has noise of its own."""
    total = fit.draws.chains * fit.draws.draws
    ndraws, draw_ids = kwargs.get("ndraws"), kwargs.get("draw_ids")
    asked = whole("ndraws", ndraws, least=1) if ndraws is not None else total if draw_ids is None else np.size(draw_ids)
    frame = independent_rows(fit, kwargs.get("resp"), newdata)
    blocks = row_blocks(frame, asked)
    seed = drawn_seed(kwargs.get("seed"))
    if frame is None or not blocks:
        yield slice(None), newdata, {**kwargs, "seed": seed}
        return
    ids = pick_draws(total, kwargs.get("ndraws"), kwargs.get("draw_ids"), seed)
    given = {**kwargs, "ndraws": None, "draw_ids": ids}
    for i, here in enumerate(blocks):
        yield here, frame.take(np.arange(here.start, here.stop)), {**given, "seed": (seed + i) % 2**31}


def _joined(tables: Iterator[Any]) -> Any:
    """Tables of blocks of rows below each other."""
    parts = list(tables)
    if len(parts) == 1:
        return parts[0]
    import pandas as pd
    import xarray as xr

    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    whole = xr.concat(parts, "obs")
    return whole.assign_coords(obs=np.arange(whole.sizes["obs"]))


def predict(
    fit: FitRecord,
    newdata: Any = None,
    *,
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """New responses summarised over draws (``posterior_predict``), arguments and result as of ``fitted``.

    For a response in categories the shares of draws in each, ``P(Y = a)``, ``(observations, categories)``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.predict({"Days": [0, 5]}, seed=1).shape
    (2, 4)
    """
    if not summary:
        return predictions.posterior_predict(fit, newdata, **kwargs)
    parts = _parts(fit, predictions.posterior_predict, newdata, kwargs)
    return _joined(_shares(fit, part, robust, probs, kwargs) for part in parts)


def _shares(fit: FitRecord, draws: np.ndarray, robust: bool, probs: Sequence[float], kwargs: Mapping[str, Any]) -> Any:
    """The share of draws in each category, or statistics of numbers."""
    response = _one(fit, kwargs)
    if response is not None and response.family.kind.chosen and draws.ndim == 2:
        from brim.post.summaries.rows import RowFrame

        names = _categories(response)
        first = 0 if response.family.name.startswith("hurdle") else 1
        shares = np.stack([(draws == first + i).mean(axis=0) for i in range(len(names))], axis=1)
        return RowFrame(shares, columns=[f"P(Y = {name})" for name in names])
    return label_rows(fit, draws, robust, probs, kwargs)


def label_rows(
    fit: FitRecord, draws: np.ndarray, robust: bool, probs: Sequence[float], kwargs: Mapping[str, Any]
) -> RowFrame | xr.DataArray:
    """Statistics of ``(draws, observations[, k])`` with names: a data frame, or an array with a third axis."""
    if draws.ndim == 2:
        from brim.post.summaries.rows import RowFrame

        return RowFrame(statistics(draws, robust, probs).T, columns=list(statistic_names(probs)))
    import xarray as xr

    response = _one(fit, kwargs)
    if response is None:
        axis, labels = "response", [r.name for r in fit.model.responses]
    else:
        axis, labels = "category", [f"P(Y = {name})" for name in _categories(response)]
    coords = {"obs": np.arange(draws.shape[1]), "statistic": list(statistic_names(probs))}
    if len(labels) == draws.shape[2]:
        coords[axis] = labels
    return xr.DataArray(summarise_array(draws, robust, probs), dims=("obs", "statistic", axis), coords=coords)


def _one(fit: FitRecord, kwargs: Mapping[str, Any]) -> ResponseModel | None:
    """The response that is predicted, ``None`` for several at once."""
    resp = kwargs.get("resp")
    return fit.model.response(resp) if resp is not None or len(fit.model.responses) == 1 else None


def _categories(response: ResponseModel) -> tuple[str, ...]:
    """Names of the categories, numbers where they have none."""
    return tuple(response.family.categories) or tuple(response.response.levels)


# --------------------------------------------------------------------------- residuals


def residuals(
    fit: FitRecord,
    newdata: Any = None,
    *,
    method: str = "posterior_epred",
    type: str = "ordinary",
    summary: bool = True,
    robust: bool = False,
    probs: tuple[float, ...] = (0.025, 0.975),
    **kwargs: Any,
) -> Any:
    """Observed minus expected responses, or minus predicted ones (``method="posterior_predict"``).

    ``type="pearson"`` divides by the posterior standard deviation of a new response (``posterior_predict``), whichever is subtracted.
    Other arguments and the result are those of ``fitted``.

    Raises
    ------
    BrimError
        The response is a category: it has no residuals.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.residuals().shape
    (180, 4)
    """
    one_of("method", method, _METHODS, "methods")
    one_of("type", type, _TYPES, "types")
    draw = predictions.posterior_epred if method == "posterior_epred" else predictions.posterior_predict
    y = _observed(fit, newdata, kwargs)

    def errors(here: slice, rows: Any, given: Mapping[str, Any]) -> np.ndarray:
        found = y[here] - draw(fit, rows, **given)
        return found / predictions.posterior_predict(fit, rows, **given).std(axis=0, ddof=1) if type == "pearson" else found

    if not summary:
        return errors(slice(None), newdata, {**kwargs, "seed": drawn_seed(kwargs.get("seed"))})
    return _joined(label_rows(fit, errors(*block), robust, probs, kwargs) for block in _blocks(fit, newdata, kwargs))


def _observed(fit: FitRecord, newdata: Any, kwargs: Mapping[str, Any]) -> np.ndarray:
    """Observed values, ``(rows,)``, or ``(rows, responses)`` of all responses together."""
    one = _one(fit, kwargs)
    responses = fit.model.responses if one is None else (one,)
    for r in responses:
        if r.family.kind.chosen:
            raise BrimError(f"the family {r.family.name} has no residuals", hint="compare categories with pp_check() or fitted()")
    found = [observed_values(fit, r, newdata) for r in responses]
    if len({len(y) for y in found}) > 1:
        raise BrimError("the responses differ in their rows", hint="say which with resp=")
    return found[0] if one is not None else np.stack(found, axis=-1)


def predictive_error(fit: FitRecord, newdata: Any = None, *, method: str = "posterior_predict", **kwargs: Any) -> np.ndarray:
    """Draws of observed minus predicted responses, ``(draws, observations)``; minus expected ones with ``method="posterior_epred"``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.predictive_error(ndraws=10, seed=1).shape
    (10, 180)
    """
    return np.asarray(residuals(fit, newdata, method=method, summary=False, **kwargs))


# --------------------------------------------------------------------------- intervals


def predictive_interval(fit: FitRecord, newdata: Any = None, *, prob: float = 0.9, **kwargs: Any) -> RowFrame:
    """Central intervals of new responses (``posterior_predict``): a row an observation, columns the two quantiles (``5%``, ``95%``).

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.predictive_interval({"Days": [0]}, prob=0.5, seed=1).columns)
    ['25%', '75%']
    """
    from brim.post.summaries.rows import RowFrame

    def one(draws: np.ndarray) -> RowFrame:
        if draws.ndim > 2:
            raise BrimError("intervals of several responses at once", hint="say which with resp=")
        return RowFrame(_interval(draws, prob).T, columns=_percent(prob))

    return _joined(one(part) for part in _parts(fit, predictions.posterior_predict, newdata, kwargs))


def posterior_interval(fit: FitRecord, variable: Any = None, *, prob: float = 0.95) -> Any:
    """Central intervals of variables: a row a variable, columns ``2.5%`` and ``97.5%``; ``variable`` as in ``as_draws_df``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.posterior_interval(prob=0.9).index)[:2]
    ['b_Intercept', 'b_Days']
    """
    import pandas as pd

    names = fit.draws.variables if variable is None else fit.draws.expand(variable)
    draws = fit.draws.matrix(names).reshape(-1, len(names))
    return pd.DataFrame(_interval(draws, prob).T, index=list(names), columns=_percent(prob))


def _interval(draws: np.ndarray, prob: float) -> np.ndarray:
    number("prob", prob, above=0, below=1)
    return np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)


def _percent(prob: float) -> list[str]:
    from brim.frames.columns import format_number

    return [f"{format_number(100 * p)}%" for p in ((1 - prob) / 2, (1 + prob) / 2)]
