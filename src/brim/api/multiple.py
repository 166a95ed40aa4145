"""Several fits as one: data sets with imputed values, and runs of the same model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from brim.api.brm import brm
from brim.api.fit import Fit
from brim.arguments import flag, named, whole
from brim.errors import BrimError, warn
from brim.executors import ordered
from brim.fit.checks import parameters_checked
from brim.fit.draws import Posterior
from brim.infer.diagnostics import rhat
from brim.infer.info import Info

__all__ = ["brm_multiple", "combine_models"]


@named
def brm_multiple(
    formula: Any,
    data: Any,
    family: Any = "gaussian",
    prior: Any = None,
    *,
    m: int = 5,
    combine: bool = True,
    executor: Any = None,
    **kwargs: Any,
) -> Any:
    """Fit the same model to several data sets (multiple imputations) and pool the draws.

    The pooled posterior is the mixture over data sets, which carries the uncertainty of what was imputed. R-hat across data sets is
    above 1 where they differ, and says nothing of the chains: ``fit.info["rhat_by_set"]`` has the largest R-hat within each.

    Parameters
    ----------
    formula, family, prior, kwargs
        As for ``brm``.
    data
        Data sets: a list, a mapping by name, or a function of the number of the set (from 0) that makes one.
    m
        How many, if ``data`` is a function.
    combine
        ``False`` gives the list of fits.
    executor
        Where the fits run, one a data set: see ``brm``.

    Returns
    -------
    Fit
        With the draws of all data sets and the data of the first.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> fit = brim.brm_multiple("Reaction ~ Days", [data, data], chains=2, iter=300, seed=1, progress=False)
    >>> fit.draws.chains, fit.info["rhat_by_set"].shape
    (4, (2,))
    """
    flag("combine", combine)
    if callable(data):
        sets: list[Any] = [data(i) for i in range(whole("m", m, least=1))]
    elif isinstance(data, Mapping) and not _is_frame(data):
        sets = list(data.values())
    elif isinstance(data, list | tuple):
        sets = list(data)
    else:
        raise BrimError("brm_multiple() takes several data sets", hint="give a list of data frames, or a function that makes them")
    if not sets:
        raise BrimError("there are no data sets")
    seed = kwargs.pop("seed", None)
    if executor is not None:
        kwargs = {"cores": 1, **kwargs, "progress": False}
    calls = [(formula, d, family, prior, {**kwargs, "seed": None if seed is None else seed + i}) for i, d in enumerate(sets)]
    fits = ordered(executor, _one, calls, "data set")
    return combine_models(*fits, check_data=False) if combine else fits


def _one(formula: Any, data: Any, family: Any, prior: Any, arguments: Mapping[str, Any]) -> Fit:
    return brm(formula, data, family, prior, **arguments)


def _is_frame(data: Mapping[str, Any]) -> bool:
    """Whether a mapping is one data set, column by column."""
    return all(np.ndim(v) <= 1 and not isinstance(v, Mapping) and not hasattr(v, "columns") for v in data.values())


@named
def combine_models(*fits: Any, check_data: bool = True) -> Fit:
    """One fit with the draws of several fits of the same model, chain after chain.

    Parameters
    ----------
    fits
        Fits, or one list of them.
    check_data
        Whether they must have been fitted to the same data.

    Raises
    ------
    BrimError
        The fits have other variables, other numbers of draws, or other data.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> runs = [brim.brm("Reaction ~ Days", data, chains=1, iter=300, seed=i, progress=False) for i in (1, 2)]
    >>> brim.combine_models(*runs).draws.chains
    2
    """
    from brim.post.files.io import same_data

    several: list[Fit] = list(fits[0]) if len(fits) == 1 and isinstance(fits[0], list | tuple) else list(fits)
    if not several or not all(isinstance(f, Fit) for f in several):
        raise BrimError("combine_models() takes fits")
    first = several[0]
    for other in several[1:]:
        if other.draws.variables != first.draws.variables:
            raise BrimError("the fits have different variables", hint="combine fits of one model, of data with the same levels")
        if other.draws.draws != first.draws.draws:
            raise BrimError(f"the fits have {first.draws.draws} and {other.draws.draws} draws a chain", hint="thin them to the same number")
        if check_data and not same_data(first, other):
            raise BrimError("the fits are of different data", hint="say check_data=False if that is meant")
    rhats = np.array([_largest_rhat(f) for f in several])
    if (rhats > 1.05).any():
        warn(f"the chains of {int((rhats > 1.05).sum())} of {len(several)} fits have not converged (R-hat up to {np.nanmax(rhats):.2f})")
    return replace(first, posterior=_joined([f.draws for f in several]), stats=_stats(several), info=_told(first, rhats), criteria={})


def _largest_rhat(fit: Fit) -> float:
    values = [np.ravel(rhat(x)) for x in parameters_checked(fit).values() if x.shape[1] >= 4]
    found = np.concatenate([np.zeros(0), *values])
    return float(np.nanmax(found)) if np.isfinite(found).any() else float("nan")


def _joined(draws: list[Posterior]) -> Posterior:
    def one(arrays: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        parts = list(arrays)
        return {key: np.concatenate([p[key] for p in parts]) for key in parts[0] if all(key in p for p in parts)}

    return Posterior(draws[0].reported, one(d.arrays for d in draws), one(d.extra for d in draws))


def _stats(fits: list[Fit]) -> dict[str, np.ndarray]:
    names = set.intersection(*(set(f.stats) for f in fits))
    return {name: np.concatenate([np.asarray(f.stats[name]) for f in fits]) for name in fits[0].stats if name in names}


def _told(first: Fit, rhats: np.ndarray) -> Info:
    return {"engine": f"{first.engine}; draws of {len(rhats)} fits pooled", "rhat_by_set": rhats}
