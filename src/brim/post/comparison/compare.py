"""Models side by side: differences of expected log predictive density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from brim.arguments import named, one_of
from brim.errors import BrimError, warn

if TYPE_CHECKING:
    import pandas as pd

    from brim.fit.record import FitRecord
    from brim.post.comparison.elpd import Elpd

__all__ = ["CRITERIA", "KEPT", "criterion_of", "loo_compare", "name_models", "same_data", "same_rows"]

F = TypeVar("F", bound="FitRecord")

#: Criteria by which models are compared.
CRITERIA = ("loo", "waic", "kfold")
#: What ``add_criterion`` keeps -> the method that computes it.
KEPT = {**{name: name for name in CRITERIA}, "bayes_R2": "bayes_R2", "loo_R2": "loo_R2", "marglik": "bridge_sampler"}
#: Those of which draws are kept, so that each call summarises them as it likes.
_DRAWN = ("bayes_R2", "loo_R2")

#: Below this difference, and with fewer rows than this, the normal approximation of the difference is poor (Sivula et al. 2020).
_SMALL_DIFFERENCE, _FEW_ROWS = 4.0, 100


@named
def loo_compare(*fits: Any, criterion: str = "loo", names: Iterable[str] | None = None, **named: Any) -> pd.DataFrame:
    """Compare models by their expected log predictive density, the best first.

    Parameters
    ----------
    fits, named
        Fits of the same response, or results of ``loo()``, ``waic()``, ``kfold()``; by keyword under a name.
    criterion
        ``"loo"``, ``"waic"`` or ``"kfold"``: what is computed of fits that ``add_criterion`` has not added it to.
    names
        Names of the models, ``model1``, ``model2``, ... by default.

    Returns
    -------
    pandas.DataFrame
        Printed, as brms' table. It holds per model ``elpd_diff`` (to the best), ``se_diff``, ``p_worse`` (the probability of a true
        difference below 0 under a normal law), ``diagnostics`` (why that law may not hold), then ``elpd_loo se_elpd_loo p_loo se_p_loo
        looic se_looic``.

    Raises
    ------
    BrimError
        Fewer than two models, or models of different rows.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> fits = [brim.brm(f, data, chains=2, iter=400, seed=1, progress=False) for f in ("Reaction ~ 1", "Reaction ~ Days")]
    >>> table = brim.loo_compare(*fits, names=["constant", "days"])
    >>> list(table.index), float(table.loc["days", "elpd_diff"])
    (['days', 'constant'], 0.0)
    """
    import pandas as pd

    from brim.post.comparison.compared import Compared

    models = {name: criterion_of(fit, criterion) for name, fit in name_models(fits, named, names).items()}
    kinds = sorted({e.kind for e in models.values()})
    if len(kinds) > 1:
        raise BrimError(f"models are compared by {' and '.join(kinds)}", hint="compute the same criterion for all of them")
    same_rows(models)
    order = sorted(models, key=lambda name: -models[name].elpd)
    best = models[order[0]]
    rows = [{**_difference(models[name], best), **_columns(models[name])} for name in order]
    return Compared(rows, index=pd.Index(order, name="model"))


def name_models(fits: Iterable[Any], named: Mapping[str, Any], names: Iterable[str] | None) -> dict[str, Any]:
    """Models under the names they are shown with."""
    fits = list(fits)
    labels = [f"model{i + 1}" for i in range(len(fits))] if names is None else [str(n) for n in names]
    if len(labels) != len(fits):
        raise BrimError(f"{len(labels)} names for {len(fits)} models")
    models = {**dict(zip(labels, fits, strict=True)), **named}
    if len(models) < len(fits) + len(named) or len(models) < 2:
        raise BrimError("compare at least two models, each under a name of its own")
    return models


def criterion_of(fit: Any, criterion: str) -> Elpd:
    """A criterion of a fit: the one added to it, or computed now; a result of ``loo()`` and its kin stands for itself."""
    from brim.post.comparison.elpd import Elpd

    if isinstance(fit, Elpd):
        return fit
    one_of("criterion", criterion, CRITERIA, "criteria")
    stored = getattr(fit, "criteria", None)
    if stored is None:
        raise BrimError(f"a {type(fit).__name__} cannot be compared", hint="give fits, or what loo(), waic() or kfold() return")
    result: Elpd = stored[criterion] if criterion in stored else getattr(fit, criterion)()
    return result


def same_rows(models: Mapping[str, Elpd]) -> None:
    """Refuse models of different numbers of rows, or of a sample of them; warn where the responses differ."""
    for name, e in models.items():
        if e.subsample_size and e.subsample_size < e.n_data_points:
            what = f"loo of {name} is of {e.subsample_size} of {e.n_data_points} rows: models are compared row by row"
            raise BrimError(what, hint="compute it of all rows, without subsample=, of every model")
    sizes = {name: e.n_data_points for name, e in models.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} has {n}" for name, n in sizes.items())
        raise BrimError(f"the models were fitted to different rows: {shown}", hint="fit them to the same data, without rows that one lacks")
    if len({e.response[1] for e in models.values()}) > 1:
        warn("the models' responses differ: their densities are not comparable")


def same_data(models: Mapping[str, Any]) -> None:
    """Refuse fits of different numbers of observations: their marginal likelihoods are those of different data."""
    sizes = {name: fit.nobs() for name, fit in models.items() if hasattr(fit, "nobs")}
    if len(set(sizes.values())) > 1:
        raise BrimError(f"the models were fitted to different rows: {', '.join(f'{name} has {n}' for name, n in sizes.items())}")


def _difference(one: Elpd, best: Elpd) -> dict[str, Any]:
    """How much worse a model is than the best, with the standard error of the sum of pointwise differences."""
    if one is best:
        return {"elpd_diff": 0.0, "se_diff": 0.0, "p_worse": np.nan, "diagnostics": _trouble(one)}
    parts = np.ravel(one.elpd_i) - np.ravel(best.elpd_i)
    n = len(parts)
    difference, error = float(parts.sum()), float(np.sqrt(n * parts.var(ddof=1)))
    notes = [
        _trouble(one),
        f"N < {_FEW_ROWS}" * (n < _FEW_ROWS),
        f"|elpd_diff| < {_SMALL_DIFFERENCE:g}" * (abs(difference) < _SMALL_DIFFERENCE),
    ]
    worse = _normal_cdf(-difference / error) if error > 0 else np.nan
    return {"elpd_diff": difference, "se_diff": error, "p_worse": worse, "diagnostics": "; ".join(n for n in notes if n)}


def _trouble(one: Elpd) -> str:
    bad = one.bad.size
    return f"{bad} k > {one.good_k:.2g}" if bad else ""


def _normal_cdf(z: float) -> float:
    from statistics import NormalDist

    return NormalDist().cdf(z)


def _columns(one: Elpd) -> dict[str, float]:
    return {label: value for name, row in one.estimates.iterrows() for label, value in ((name, row["Estimate"]), (f"se_{name}", row["SE"]))}


@named
def add_criterion(fit: F, criterion: str | Iterable[str] = "loo", *, overwrite: bool = False, **kwargs: Any) -> F:
    """The fit with criteria added, each in ``fit.criteria`` under its name; ``save`` writes them.

    Parameters
    ----------
    criterion
        One of these, or several: ``"loo"``, ``"waic"``, ``"kfold"``, which ``loo_compare`` and ``model_weights`` then use;
        ``"bayes_R2"``, ``"loo_R2"``, the draws of which the methods of these names then summarise; ``"marglik"``, the result of
        ``bridge_sampler``, which this method, ``bayes_factor`` and ``post_prob`` then use. A call of such a method with arguments that
        change what is computed, other than their defaults, computes it anew.
    overwrite
        Whether one that is there already is computed again.
    kwargs
        Arguments of the criterion.

    Returns
    -------
    Fit
        Another one; this one stays as it is.

    Raises
    ------
    BrimError
        There is no such criterion, or it cannot be computed of this fit.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> sorted(fit.add_criterion(["loo", "waic"]).criteria)
    ['loo', 'waic']
    >>> kept = fit.add_criterion("bayes_R2", method="residual")
    >>> kept.criteria["bayes_R2"].shape, bool(kept.bayes_R2().loc["R2", "Estimate"] == kept.criteria["bayes_R2"]["R2"].mean())
    ((400, 1), True)
    """
    from dataclasses import replace

    found = dict(fit.criteria)
    for name in (criterion,) if isinstance(criterion, str) else criterion:
        one_of("criterion", name, KEPT, "criteria")
        shown = next((k for k in ("summary", "robust", "probs") if k in kwargs), None)
        if name in _DRAWN and shown is not None:
            raise BrimError(f"add_criterion keeps all draws of {name}(), which takes {shown}= itself", hint=f"leave {shown}= out here")
        if overwrite or name not in found:
            more = {"summary": False} if name in _DRAWN else {}
            found[name] = getattr(replace(fit, criteria={}), KEPT[name])(**kwargs, **more)
    return replace(fit, criteria=found)
