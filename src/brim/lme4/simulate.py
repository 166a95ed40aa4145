"""Simulated responses, the parametric bootstrap, and whether other optimizers agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.executors import ordered, shares

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["all_fit", "bootMer", "simulate"]

Array = np.ndarray


def simulate(fit: AbstractMer, nsim: int = 1, seed: int | None = None, re_form: Any = False) -> Array:
    """Responses drawn from the model, ``(nsim, rows)``; group effects are new draws, or with ``re_form=None`` those of the fit.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.simulate(2, seed=1).shape
    (2, 180)
    """
    if not isinstance(nsim, int) or nsim < 1:
        raise BrimError(f"nsim = {nsim!r} must be a whole number from 1")
    rng = np.random.default_rng(seed)
    o = fit.observed
    fixed = o.x @ fit.beta + o.offset
    loadings = o.groups.covariances.loadings(fit.theta)
    out = np.empty((nsim, o.n))
    for i in range(nsim):
        if re_form is None or re_form is True:
            effects = fit.effects
        else:
            sizes = [len(g.levels) for g in o.design.groupings]
            effects = [fit.sigma * rng.standard_normal((n, len(low))) @ low.T for n, low in zip(sizes, loadings, strict=True)]
        out[i] = fit.sample(rng, fit.mean(fixed + o.groups.predict(effects)))
    return out


def bootMer(fit: AbstractMer, function: Callable[[Any], Any], nsim: int = 100, seed: int | None = None, executor: Any = None) -> Array:
    """A parametric bootstrap: ``function(fit)`` of fits to simulated responses, ``(nsim, ...)``.

    With an ``executor`` (see ``brim.brm``) the fits run there: ``function`` must be one of a module.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> sigmas = m.bootMer(lambda fit: fit.sigma, nsim=10, seed=1)
    >>> sigmas.shape, bool(abs(sigmas.mean() - m.sigma) < 2)
    ((10,), True)
    """
    ys = simulate(fit, nsim, seed, False)
    calls = [(fit, function, ys[share.start : share.stop]) for share in shares(nsim, executor)]
    return np.concatenate(ordered(executor, _refits, calls, "share"))


def _refits(fit: AbstractMer, function: Callable[[Any], Any], ys: Array) -> Array:
    """What the function gives of the fits to some responses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([np.asarray(function(fit.refit(y)), float) for y in ys])


def all_fit(fit: AbstractMer) -> pd.DataFrame:
    """Whether other optimizers agree: criterion and largest difference of ``theta`` by SciPy's, started where the search starts.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.all_fit()["criterion"].round(1).to_dict()
    {'quasi-Newton': 1743.6, 'L-BFGS-B': 1743.6, 'BFGS': 1743.6, 'Nelder-Mead': 1743.6, 'Powell': 1743.6}
    """
    import pandas as pd
    from scipy.optimize import minimize

    function, start = fit.search()
    rows = [("quasi-Newton", fit.criterion, 0.0, fit.minimum.evaluations)]
    for method, gradient in (("L-BFGS-B", True), ("BFGS", True), ("Nelder-Mead", False), ("Powell", False)):
        options = {"maxiter": 5000} | ({"xatol": 1e-8, "fatol": 1e-10, "maxfev": 20000} if method == "Nelder-Mead" else {})
        if gradient:
            found = minimize(function, start, jac=True, method=method, options=options)
        else:
            found = minimize(lambda x: function(x)[0], start, method=method, options=options)
        far = float(np.max(np.abs(fit.observed.groups.reported(found.x[: len(fit.theta)]) - fit.theta)))
        rows.append((method, float(found.fun), far, int(found.nfev)))
    return pd.DataFrame(rows, columns=["optimizer", "criterion", "theta_difference", "evaluations"]).set_index("optimizer")
