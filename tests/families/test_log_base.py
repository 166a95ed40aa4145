"""What no parameter enters of the likelihood of counts is computed once: the likelihood is what it was."""

import numpy as np
import pytest
from scipy import stats

import brim
from brim.distributions import observe
from brim.families.log_base import of_counts, of_parts, of_successes

N = 40
RNG = np.random.default_rng(2)
D = {"x": RNG.normal(size=N), "n": RNG.integers(5, 9, N), "e": np.full(N, 2.0), "w": np.full(N, 0.5)}
D |= {"y": RNG.poisson(2.0, N), "k": RNG.binomial(5, 0.4, N), "a": RNG.poisson(2.0, N), "b": RNG.poisson(3.0, N), "c": RNG.poisson(1.0, N)}
D["total"] = D["a"] + D["b"] + D["c"]

FAMILIES = {
    "poisson": "y ~ x",
    "negbinomial": "y | rate(e) ~ x",
    "negbinomial2": "y ~ x",
    "geometric": "y | weights(w) ~ x",
    "binomial": "k | trials(n) ~ x",
    "beta_binomial": "k | trials(n) ~ x",
    "hurdle_poisson": "y ~ x",
    "hurdle_negbinomial": "y ~ x",
    "zero_inflated_poisson": "y ~ x",
    "zero_inflated_negbinomial": "y ~ x",
    "zero_inflated_binomial": "k | trials(n) ~ x",
    "zero_inflated_beta_binomial": "k | trials(n) ~ x",
    "multinomial": "cbind(a, b, c) | trials(total) ~ x",
    "dirichlet_multinomial": "cbind(a, b, c) | trials(total) ~ x",
}


@pytest.mark.parametrize(("family", "formula"), FAMILIES.items(), ids=FAMILIES)
def test_the_likelihood_is_normalised(family, formula):
    fit = brim.brm(formula, D, family, empty=True)
    model = fit.model
    data = model.data(fit.frame)
    q = model.layout.center() + 0.3
    full = model.transform(model.layout.constrain(q, data["fixed"])[0], data["design"])
    r = model.responses[0]
    own = data["design"][r.data_key]
    assert "log_base" in own
    law = r.distribution(full, data["design"])
    plain = observe.log_lik(law, own["y"], {k: v for k, v in own.items() if k != "log_base"})
    np.testing.assert_allclose(observe.log_lik(law, own["y"], own), plain, rtol=1e-12, atol=1e-12)


def test_where_rows_are_not_seen_exactly_nothing_is_taken_apart():
    data = {**D, "s": ["none", "right"] * (N // 2)}
    fit = brim.brm("y | cens(s) ~ x", data, "poisson", empty=True)
    assert "log_base" not in fit.model.data(fit.frame)["design"]["data"]
    assert "log_base" in brim.brm("y | trunc(ub = 90) ~ x", D, "poisson", empty=True).model.data(fit.frame)["design"]["data"]


def test_the_numbers():
    y = np.array([0.0, 1.0, 2.0, 170.0, 3.0])
    np.testing.assert_allclose(of_counts(y, {}), stats.poisson.logpmf(y, 1.0) + 1.0, rtol=1e-13)
    trials = np.array([3.0, 5.0, 2.0, 200.0, 3.0])
    np.testing.assert_allclose(
        of_successes(y, {"trials": trials}), stats.binom.logpmf(y, trials, 0.5) + trials * np.log(2.0), rtol=1e-10, atol=1e-12
    )
    parts = np.array([[1.0, 2.0, 0.0], [2.0, 2.0, 2.0]])
    expected = stats.multinomial.logpmf(parts, [3, 6], [1 / 3] * 3) + np.array([3, 6]) * np.log(3.0)
    np.testing.assert_allclose(of_parts(parts, {"trials": parts.sum(axis=1)}), expected, rtol=1e-12)
    assert of_counts(np.array([1.0, -1.0]), {}) is None
    assert of_counts(np.array([1.0, np.nan]), {}) is None
    assert of_successes(y, {"trials": np.full(5, 1e9)}) is None
