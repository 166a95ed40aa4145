"""Models with gp() and residual structures, and what brms computes of them (tests/reference/structures.R)."""

from functools import cache

import numpy as np
import pandas as pd

import brim
from references import data, draws, family, formula, reference

PRIOR_COLUMNS = ("prior", "class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub")


@cache
def matrices():
    """The matrices of structures.R: a chain of nine places, a chain of ninety rows, equal correlations."""

    def near(n):
        return 1.0 * (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) == 1)

    places = [f"g{i}" for i in range(1, 10)]
    rows = near(90)
    return {"W": pd.DataFrame(near(9), places, places), "V": 0.7 * np.eye(90) + 0.3, "M": rows / rows.sum(1, keepdims=True)}


@cache
def model(name):
    """The empty fit, and the fit with the reference's draws."""
    ref = reference("structures")[name]
    empty = brim.brm(formula(ref["spec"]), data("sim"), family=family(ref["spec"]["family"]), data2=matrices(), empty=True)
    return empty, empty.with_draws(draws(ref))


def check(name, rtol=1e-8):
    """Names, priors and numbers of a model are brms'."""
    ref = reference("structures")[name]
    empty, fit = model(name)
    assert set(empty.variables()) - {"lprior", "lp__"} == set(ref["draws"])

    def rows(records):
        return sorted(tuple(str(r.get(c) or "").replace(" ", "") for c in PRIOR_COLUMNS) for r in records)

    assert rows(empty.prior_summary().to_dict("records")) == rows(ref["prior_summary"])
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=rtol, atol=rtol)
    np.testing.assert_allclose(fit.posterior_linpred(incl_autocor=False), ref["bare"], rtol=rtol, atol=rtol)
    if "epred" in ref:
        np.testing.assert_allclose(fit.posterior_epred(), ref["epred"], rtol=rtol, atol=rtol)
    if "new" in ref:
        np.testing.assert_allclose(fit.posterior_epred(pd.DataFrame(ref["newdata"])), ref["new"], rtol=rtol, atol=rtol)


def random_draws(empty, n, seed=0):
    """The model with made-up draws: positive parameters positive, those in (-1, 1) and (0, 1) within."""
    rng = np.random.default_rng(seed)

    def one(name):
        kind = name.split("_")[0].split("[")[0]
        if kind in ("ar", "ma", "lagsar", "errorsar", "cosy", "cortime", "car", "rhocar"):
            return rng.uniform(0.1, 0.4, n)
        if kind in ("sigma", "sd", "sdgp", "lscale", "sderr", "sdcar"):
            return np.exp(0.3 * rng.normal(size=n))
        return rng.normal(size=n) if kind != "nu" else 4 + rng.uniform(size=n)

    return empty.with_draws(pd.DataFrame({v: one(v) for v in empty.variables()}))
