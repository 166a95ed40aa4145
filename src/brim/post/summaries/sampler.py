"""What is asked of the draws as such: how many there are, how they mix, what the sampler told, draws of the prior."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.infer import diagnostics
from brim.post.summaries import tables

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["log_posterior", "nchains", "ndraws", "neff_ratio", "niterations", "nuts_params", "nvariables", "prior_draws", "rhat", "vcov"]

#: Statistics of the sampler under Stan's names.
_STATS = {
    "acceptance_rate": "accept_stat__",
    "step_size": "stepsize__",
    "tree_depth": "treedepth__",
    "n_steps": "n_leapfrog__",
    "diverging": "divergent__",
    "energy": "energy__",
}


def ndraws(fit: FitRecord) -> int:
    """Number of draws, of all chains together.

    Examples
    --------
    >>> import brim
    >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> fit = empty.with_draws({"b_Intercept": [250.0, 252], "b_Days": [10.0, 11], "sigma": [50.0, 48]}, chains=2)
    >>> fit.ndraws(), fit.nchains(), fit.niterations(), fit.nvariables()
    (2, 2, 1, 3)
    """
    return fit.draws.chains * fit.draws.draws


def nchains(fit: FitRecord) -> int:
    """Number of chains.

    Examples
    --------
    >>> import brim
    >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> empty.with_draws({"b_Intercept": [250.0, 252], "b_Days": [10.0, 11], "sigma": [50.0, 48]}, chains=2).nchains()
    2
    """
    return fit.draws.chains


def niterations(fit: FitRecord) -> int:
    """Number of draws that each chain has.

    Examples
    --------
    >>> import brim
    >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> empty.with_draws({"b_Intercept": [250.0, 252], "b_Days": [10.0, 11], "sigma": [50.0, 48]}).niterations()
    2
    """
    return fit.draws.draws


def nvariables(fit: FitRecord) -> int:
    """Number of variables that have draws, see ``variables()``.

    Examples
    --------
    >>> import brim
    >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> empty.with_draws({"b_Intercept": [250.0], "b_Days": [10.0], "sigma": [50.0]}).nvariables()
    3
    """
    return len(fit.draws.variables)


def rhat(fit: FitRecord, variable: str | Iterable[str] | None = None) -> pd.Series:
    """Rank-normalised split R-hat of each variable (Vehtari et al. 2021).

    Parameters
    ----------
    variable
        Names, or what stands before the index of several (``"r_student"``); all by default.

    Returns
    -------
    pandas.Series
        By variable; ``NaN`` for constant draws.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> bool((fit.rhat(["b_Days", "sigma"]) < 1.05).all())
    True
    """
    return _by_variable(fit, variable, diagnostics.rhat, "rhat")


def neff_ratio(fit: FitRecord, variable: str | Iterable[str] | None = None) -> pd.Series:
    """Effective sample size over the number of draws, the smaller of that in the bulk and in the tails, of each variable.

    Parameters
    ----------
    variable
        Names, or what stands before the index of several (``"r_student"``); all by default.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> bool((fit.neff_ratio(["b_Days", "sigma"]) > 0.1).all())
    True
    """
    n = ndraws(fit)
    return _by_variable(fit, variable, lambda x: np.minimum(diagnostics.ess_bulk(x), diagnostics.ess_tail(x)) / n, "neff_ratio")


def _by_variable(fit: FitRecord, variable: str | Iterable[str] | None, statistic: Callable[[np.ndarray], Any], name: str) -> pd.Series:
    import pandas as pd

    names = fit.draws.variables if variable is None else fit.draws.expand(variable)
    return pd.Series([float(statistic(fit.draws[v])) for v in names], index=list(names), name=name, dtype=float)


def vcov(fit: FitRecord, correlation: bool = False, variable: str | Iterable[str] | None = None) -> pd.DataFrame:
    """The covariance (or ``correlation``) matrix of the population-level effects over the draws.

    Parameters
    ----------
    variable
        Their names with or without ``b_``; all by default.

    Examples
    --------
    >>> import brim
    >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> fit = empty.with_draws({"b_Intercept": [250.0, 252, 254], "b_Days": [10.0, 11, 12], "sigma": [50.0, 48, 49]})
    >>> fit.vcov().loc["Intercept", "Days"]
    np.float64(2.0)
    """
    import pandas as pd

    draws = tables.fixef(fit, False, False, ())
    if variable is not None:
        asked = [v.removeprefix("b_") for v in ([variable] if isinstance(variable, str) else variable)]
        for name in asked:
            if name not in draws:
                raise BrimError(f"vcov: there is no coefficient '{name}'", hint=suggest(name, draws.columns, "coefficients"))
        draws = draws[asked]
    names = list(draws.columns)
    values = np.asarray(draws, float).T
    return pd.DataFrame(np.atleast_2d(np.corrcoef(values) if correlation else np.cov(values)), index=names, columns=names)


def log_posterior(fit: FitRecord) -> pd.DataFrame:
    """The log density of the parameters at each draw, up to a constant: ``Chain``, ``Iteration``, ``Value``, from 1.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.log_posterior().columns), len(fit.log_posterior())
    (['Chain', 'Iteration', 'Value'], 400)
    """
    import pandas as pd

    if "lp__" not in fit.draws.arrays:
        raise BrimError("the draws come without lp__, their log density", hint="sample the model, or give a column lp__")
    return pd.DataFrame({**_places(fit), "Value": fit.draws["lp__"].ravel()})


def nuts_params(fit: FitRecord) -> pd.DataFrame:
    """What the sampler tells of each draw, one row a draw and statistic: ``Chain``, ``Iteration``, ``Parameter``, ``Value``.

    Parameters are Stan's: ``accept_stat__ stepsize__ treedepth__ n_leapfrog__ divergent__ energy__``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> table = fit.nuts_params()
    >>> table.loc[table["Parameter"] == "divergent__", "Value"].sum()
    np.float64(0.0)
    """
    import pandas as pd

    told = {theirs: fit.stats[mine] for mine, theirs in _STATS.items() if mine in fit.stats}
    if not told:
        raise BrimError("the sampler told nothing of these draws", hint="algorithm='sampling' does")
    parts = [pd.DataFrame({**_places(fit), "Parameter": name, "Value": np.asarray(v, float).ravel()}) for name, v in told.items()]
    return pd.concat(parts, ignore_index=True)


def _places(fit: FitRecord) -> dict[str, np.ndarray]:
    n = np.arange(ndraws(fit))
    return {"Chain": n // fit.draws.draws + 1, "Iteration": n % fit.draws.draws + 1}


def prior_draws(fit: FitRecord, variable: str | Iterable[str] | None = None) -> pd.DataFrame:
    """Draws from the priors of a fit with ``sample_prior="yes"``, under the names of the priors: ``b``, ``sigma``, ``sd_g``.

    Examples
    --------
    >>> import brim
    >>> prior = brim.prior("normal(0, 10)", class_="b")
    >>> options = {"prior": prior, "sample_prior": "yes", "chains": 1, "iter": 200, "seed": 1, "progress": False}
    >>> fit = brim.brm("Reaction ~ Days", brim.load_data("sleepstudy"), **options)
    >>> list(fit.prior_draws().columns)
    ['Intercept', 'b', 'sigma']
    """
    import pandas as pd

    if fit.settings.sample_prior == "only":
        return fit.draws.frame(variable).drop(columns=[".chain", ".iteration", ".draw"])
    table = {name.removeprefix("prior_"): v.ravel() for name, v in fit.draws.extra.items()}
    if not table:
        raise BrimError("the fit has no draws from its priors", hint="fit with sample_prior='yes', or 'only'")
    names = table if variable is None else [v.removeprefix("prior_") for v in ([variable] if isinstance(variable, str) else variable)]
    for name in names:
        if name not in table:
            raise BrimError(f"prior_draws: there is no '{name}'", hint=suggest(name, table, "variables"))
    return pd.DataFrame({name: table[name] for name in names})
