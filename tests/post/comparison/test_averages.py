"""Averages over models, memberships of mixtures, predictors with thresholds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
import fits

ROWS = pd.DataFrame({"y": np.linspace(-2, 2, 9), "x": np.arange(9.0)})


def drawn(formula, columns, **kwargs):
    return brim.brm(formula, ROWS, empty=True, **kwargs).with_draws(pd.DataFrame(columns))


def test_mixture():
    columns = {
        "b_mu1_Intercept": [-1.0, -0.5],
        "b_mu2_Intercept": [1.0, 2.0],
        "sigma1": [1.0, 0.7],
        "sigma2": [0.5, 1.0],
        "theta1": [0.3, 0.6],
    }
    columns["theta2"] = 1 - np.array(columns["theta1"])
    fit = drawn("y ~ 1", columns, family=brim.mixture("gaussian", "gaussian"))
    mine = fit.pp_mixture(summary=False)
    y = ROWS["y"].to_numpy()
    for s in range(2):
        parts = [columns[f"theta{k}"][s] * stats.norm.pdf(y, columns[f"b_mu{k}_Intercept"][s], columns[f"sigma{k}"][s]) for k in (1, 2)]
        np.testing.assert_allclose(mine[s], (np.array(parts) / sum(parts)).T, rtol=1e-9)
    table = fit.pp_mixture()
    assert table.dims == ("obs", "statistic", "component")
    assert list(table.coords["component"].values) == ["P(K = 1 | Y)", "P(K = 2 | Y)"]
    with pytest.raises(brim.BrimError, match="no mixture"):
        fits.fit("sleep_slopes").pp_mixture()


def test_averages():
    n = 10
    one = drawn("y ~ 1", {"b_Intercept": np.zeros(n), "sigma": np.ones(n)})
    two = drawn("y ~ x", {"b_Intercept": np.ones(n), "b_x": np.zeros(n), "sigma": np.ones(n)})
    draws = brim.pp_average(one, two, weights=[0.3, 0.7], method="posterior_epred", summary=False)
    assert draws[:, 0].tolist() == [0.0] * 3 + [1.0] * 7
    table = brim.pp_average(one, two, weights=[0.3, 0.7], method="posterior_epred")
    np.testing.assert_allclose(table["Estimate"], 0.7)
    averaged = brim.posterior_average(one, two, weights=[0.25, 0.75], ndraws=8)
    assert list(averaged.columns) == ["b_Intercept", "sigma"]
    assert averaged["b_Intercept"].tolist() == [0.0] * 2 + [1.0] * 6
    slope = brim.posterior_average(one, two, variable="b_x", weights=[0.5, 0.5], missing=9.0)
    assert slope["b_x"].tolist() == [9.0] * 5 + [0.0] * 5
    with pytest.raises(brim.BrimError, match="missing=0"):
        brim.posterior_average(one, two, variable="b_x", weights=[0.5, 0.5])


def test_thresholds():
    fit = fits.fit("cumulative")
    mine = fit.posterior_linpred(incl_thres=True)
    eta = fit.posterior_linpred()
    for k in (1, 2, 3):
        np.testing.assert_allclose(mine[:, :, k - 1], fit.draws[f"b_Intercept[{k}]"].ravel()[:, None] - eta, rtol=1e-12)
    with pytest.raises(brim.BrimError, match="ordinal"):
        fits.fit("sleep_slopes").posterior_linpred(incl_thres=True)
