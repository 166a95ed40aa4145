"""Intervals of parameters and of new responses, and what the prints of rstanarm say of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.families.kinds import Kind
from brim.rstanarm.summaries import chosen

if TYPE_CHECKING:
    import pandas as pd

    from brim.rstanarm.fit import StanFit

__all__ = ["ends", "mean_ppd", "mean_squares", "posterior_interval", "predictive_interval"]


def posterior_interval(
    fit: StanFit, prob: float = 0.9, pars: Iterable[str] | None = None, regex_pars: str | Iterable[str] | None = None
) -> pd.DataFrame:
    """Central intervals of the parameters: one row a parameter, the two quantiles as columns.

    Parameters
    ----------
    prob
        The probability inside; rstanarm's default is 0.9.
    pars, regex_pars
        Some parameters only: names, and regular expressions.

    Examples
    --------
    >>> import brim
    >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
    >>> fit.posterior_interval(prob=0.9, pars=["Days"]).columns.tolist()
    ['5%', '95%']
    >>> bool(fit.posterior_interval(0.9).loc["Days", "5%"] > 5)
    True
    """
    import pandas as pd

    limits = ends(prob)
    draws = fit.stan_draws()
    table = {name: np.quantile(np.ravel(draws[name]), limits) for name in chosen(list(draws), pars, regex_pars)}
    return pd.DataFrame.from_dict(table, orient="index", columns=[f"{100 * p:g}%" for p in limits])


def predictive_interval(fit: StanFit, prob: float = 0.9, newdata: Any = None, **kwargs: Any) -> pd.DataFrame:
    """Central intervals of new responses: one row an observation, the two quantiles as columns.

    ``kwargs``: further arguments of ``posterior_predict`` (``seed``, ``ndraws``, ``re_formula``).

    Examples
    --------
    >>> import brim
    >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
    >>> fit.predictive_interval(prob=0.5, newdata={"Days": [0, 9]}, seed=1).round(-1).shape
    (2, 2)
    """
    import pandas as pd

    limits = ends(prob)
    found = np.quantile(fit.posterior_predict(newdata, **kwargs), limits, axis=0)
    return pd.DataFrame(found.T, columns=[f"{100 * p:g}%" for p in limits])


def mean_ppd(fit: StanFit) -> dict[str, np.ndarray]:
    """``mean_PPD``, the mean of the new responses of each draw, ``(chains, draws)``; of shares of trials; of each category's share.

    ``{}`` where responses are drawn given their sums (strata).

    Examples
    --------
    >>> import brim
    >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
    >>> means = fit.mean_ppd()["mean_PPD"]
    >>> means.shape, round(float(means.mean()), -1)
    ((1, 200), 300.0)
    """
    shape, out = (fit.draws.chains, fit.draws.draws), {}
    many = len(fit.model.responses) > 1
    for response, prefix in zip(fit.model.responses, fit.stan.prefixes or ("",) * len(fit.model.responses), strict=True):
        if response.residual is not None:
            continue
        y = fit.posterior_predict(resp=response.name if many else None, seed=fit.settings.seed or 1)
        if response.family.kind is Kind.ORDINAL:
            levels = response.response.levels or tuple(str(i + 1) for i in range(len(response.family.categories)))
            out.update({f"mean_PPD:{level}": (y == i + 1).mean(axis=1).reshape(shape) for i, level in enumerate(levels)})
            continue
        trials = response.response.design(response.response.kept(fit.frame), response.family).get("trials")
        out[f"{prefix}mean_PPD"] = (y if trials is None else y / trials).mean(axis=1).reshape(shape)
    return out


def mean_squares(fit: StanFit) -> dict[str, np.ndarray]:
    """``stan_aov``: mean squares of the terms, ``|(R b)_term|^2 / df``, one value a draw.

    Examples
    --------
    >>> import brim
    >>> given = {"prior": brim.rstanarm.R2(0.3, "mean"), "chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_aov("angle ~ recipe", brim.load_data("cake"), **given)
    >>> {term: values.shape for term, values in fit.mean_squares().items()}
    {'recipe': (200,)}
    """
    assert fit.stan.explained is not None
    draws, root = fit.stan_draws(effects=False), fit.stan.explained[2]
    b = np.stack([np.ravel(draws[c]) for c in fit.stan.coefs if c != "(Intercept)"])
    effects = (root @ b) ** 2
    return {term: effects[list(at)].mean(axis=0) for term, at in fit.stan.squares.items()}


def ends(prob: float) -> tuple[float, float]:
    """The two quantiles between which a central interval of this probability lies."""
    if not 0 < prob < 1:
        raise BrimError(f"prob = {prob}", hint="give a probability between 0 and 1")
    return (1 - prob) / 2, (1 + prob) / 2
