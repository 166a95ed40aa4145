"""Mixtures whose intercepts ascend."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, prior
from brim.errors import BrimError
from brim.model.model import log_joint

ROWS = pd.DataFrame({"y": np.linspace(-3.0, 4.0, 24), "x": np.cos(np.arange(24.0))})
PRIORS = prior("normal(1, 2)", class_="Intercept", dpar="mu1") + prior("normal(-1, 3)", class_="Intercept", dpar="mu2")


def model(**options):
    family = brim.mixture("gaussian", "gaussian", **options)
    return brim.brm(bf("y ~ x"), ROWS, family=family, prior=PRIORS, empty=True)


def test_intercepts_ascend_wherever_the_sampler_is():
    fit = model().model
    data = fit.data(model().frame)
    for q in np.random.default_rng(1).normal(0, 3, size=(20, fit.layout.dim)):
        params = fit.transform(fit.layout.constrain(q, data["fixed"])[0], data["design"])
        assert params["Intercept_mu1"] < params["Intercept_mu2"]


def test_density_is_that_of_the_free_intercepts_with_the_jacobian():
    """Ascending vector (a, a + exp(d)): the same density at the same parameters, plus ``d``."""
    one, two = model(), model(order="none")
    names = [p.name for p in one.model.layout.params]
    at = names.index("ordered_Intercept_mu1")
    assert [p.name for p in two.model.layout.params if p.name.startswith("Intercept")] == ["Intercept_mu1", "Intercept_mu2"]

    def joint(fit, values):
        q = np.concatenate([np.ravel(values[p.name]) for p in fit.model.layout.params])
        return float(log_joint(fit.model, q, fit.model.data(fit.frame)))

    values = {p.name: 0.3 * np.ones(1 if p.name != "ordered_Intercept_mu1" else 2) for p in (*one.model.params, *two.model.params)}
    values[names[at]] = np.array([-0.7, 0.4])
    values["Intercept_mu1"], values["Intercept_mu2"] = -0.7, -0.7 + np.exp(0.4)
    np.testing.assert_allclose(joint(one, values), joint(two, values) + 0.4, rtol=1e-12)


def test_log_prior_of_reported_draws():
    fit = model()
    draws = dict.fromkeys([v for v in fit.variables() if v != "lp__"], 0.0)
    draws |= {"b_mu1_Intercept": -1.0, "b_mu2_Intercept": 2.0, "sigma1": 1.0, "sigma2": 1.0, "theta1": 0.4, "theta2": 0.6}
    got = fit.with_draws(pd.DataFrame([draws])).log_prior()
    other = model(order="none").with_draws(pd.DataFrame([draws])).log_prior()
    np.testing.assert_allclose(got, other, rtol=1e-12)
    moved = model().with_draws(pd.DataFrame([draws | {"b_mu1_Intercept": -2.0}])).log_prior()
    np.testing.assert_allclose(got - moved, stats.norm.logpdf(-1, 1, 2) - stats.norm.logpdf(-2, 1, 2), rtol=1e-10)


@pytest.mark.parametrize("swapped", [False, True])
def test_sampled_components_are_told_apart(swapped):
    rng = np.random.default_rng(2)
    y = np.concatenate([rng.normal(-2, 0.5, 30), rng.normal(2, 1, 50)])
    fit = brim.brm(
        "y ~ 1", {"y": -y if swapped else y}, family=brim.mixture("gaussian", "gaussian"), chains=2, iter=300, seed=1, progress=False
    )
    low, high = fit.fixef()["Estimate"]
    assert abs(low + 2) < 0.7
    assert abs(high - 2) < 0.7


def test_what_cannot_be_ordered():
    family = brim.mixture("gaussian", "gaussian")
    with pytest.raises(BrimError, match="one has none"):
        brim.brm("y ~ 0 + x", ROWS, family=family, empty=True)
    with pytest.raises(BrimError, match="constant or bounded"):
        brim.brm("y ~ x", ROWS, family=family, prior=prior("constant(0)", class_="Intercept", dpar="mu1"), empty=True)
    free = brim.brm("y ~ 0 + x", ROWS, family=brim.mixture("gaussian", "gaussian", order="none"), empty=True)
    assert "b_mu1_Intercept" not in free.variables()
