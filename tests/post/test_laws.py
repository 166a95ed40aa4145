"""posterior_predict(output=): density, distribution function, PIT and quantiles of each row's law, against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim

ROWS = pd.DataFrame({"x": np.linspace(-1, 1, 8), "y": np.linspace(0.3, 2.0, 8), "k": [0, 1, 2, 3, 1, 0, 4, 2]})
B = {"b_Intercept": [0.4, 0.7], "b_x": [0.5, -0.3]}


def eta(draws):
    return np.asarray(draws["b_Intercept"])[:, None] + np.asarray(draws["b_x"])[:, None] * ROWS["x"].to_numpy()


def drawn(formula, family, **more):
    return brim.brm(formula, ROWS, family=family, empty=True).with_draws(pd.DataFrame({**B, **more}))


def test_normal():
    fit = drawn("y ~ x", "gaussian", sigma=[1.0, 0.5])
    law = stats.norm(eta(B), np.array([[1.0], [0.5]]))
    y = ROWS["y"].to_numpy()
    np.testing.assert_allclose(fit.posterior_predict(output="density"), law.pdf(y), rtol=1e-10)
    np.testing.assert_allclose(fit.posterior_predict(output="probability", at=1.0), law.cdf(1.0), rtol=1e-10)
    np.testing.assert_allclose(fit.posterior_predict(output="pit"), law.cdf(y), rtol=1e-10)
    np.testing.assert_allclose(fit.posterior_predict(output="quantile", at=0.9), law.ppf(0.9), rtol=1e-8)


def test_window():
    fit = drawn("y | trunc(lb = 0.2, ub = 3) ~ x", "gaussian", sigma=[1.0, 0.5])
    mu, sd = eta(B), np.array([[1.0], [0.5]])
    law = stats.truncnorm((0.2 - mu) / sd, (3 - mu) / sd, mu, sd)
    y = ROWS["y"].to_numpy()
    np.testing.assert_allclose(fit.posterior_predict(output="density"), law.pdf(y), rtol=1e-8)
    np.testing.assert_allclose(fit.posterior_predict(output="probability"), law.cdf(y), rtol=1e-8)
    np.testing.assert_allclose(fit.posterior_predict(output="quantile", at=0.3), law.ppf(0.3), rtol=1e-7)
    assert (fit.posterior_predict(output="density", at=5.0) == 0).all()


def test_counts():
    fit = drawn("k ~ x", "poisson")
    law = stats.poisson(np.exp(eta(B)))
    k = ROWS["k"].to_numpy()
    np.testing.assert_allclose(fit.posterior_predict(output="density"), law.pmf(k), rtol=1e-10)
    np.testing.assert_array_equal(fit.posterior_predict(output="quantile", at=0.5), law.ppf(0.5))
    pit = fit.posterior_predict(output="pit", seed=1)
    assert ((pit >= law.cdf(k - 1) - 1e-12) & (pit <= law.cdf(k) + 1e-12)).all()


def test_refused():
    fit = drawn("k ~ x", "poisson")
    with pytest.raises(brim.BrimError, match="needs probabilities"):
        fit.posterior_predict(output="quantile")
    with pytest.raises(brim.BrimError, match="output = 'pitt'"):
        fit.posterior_predict(output="pitt")
    with pytest.raises(brim.BrimError, match="one a row"):
        fit.posterior_predict(output="density", at=[1, 2])
