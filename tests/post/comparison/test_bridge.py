"""bridge_sampler against exact marginal likelihoods: quadrature in brms' parameterisation, and closed forms."""

import numpy as np
import pytest

import brim
from references import data

# log p(y) by quadrature with 70 and 100 nodes of models of sim.csv, priors Intercept (centred) normal(0, 2), b normal(0, 1),
# sigma exponential(1), sd exponential(1)
EXACT = {"y ~ x + z": -135.953454210456, "y ~ x": -135.699977450791, "y ~ x + (1 | g)": -134.518583681477}


CENTRED = brim.prior("normal(0, 2)", class_="Intercept") + brim.prior("exponential(1)", class_="sigma")
PRIORS = CENTRED + brim.prior("normal(0, 1)")


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def fits():
    def one(formula):
        priors = PRIORS + brim.prior("exponential(1)", class_="sd") if "|" in formula else PRIORS
        return brim.brm(formula, data("sim"), prior=priors, chains=4, iter=1500, seed=1, progress=False)

    return {formula: one(formula) for formula in EXACT}


@pytest.mark.parametrize("formula", EXACT)
@pytest.mark.parametrize("method", ["normal", "warp3"])
def test_exact(fits, formula, method):
    found = fits[formula].bridge_sampler(method=method)
    assert abs(found.logml - EXACT[formula]) < 0.05
    assert 0 < found.error < 0.05


# the same of other families and of priors with parameters of their own, Intercept and sigma as above: Gauss-Legendre quadrature (of the
# Gaussian ones over scales and coefficients, intercept in closed form; of the others over all four parameters, to 0.005)
SHRUNK = {"R2D2(0.5, 2, 0.5)": -135.552092, "lasso(1, 1)": -135.9336}
SHAPED = {"student": -135.314, "skew_normal": -136.771}


@pytest.mark.parametrize("law", [slow(name) if name.startswith("lasso") else name for name in SHRUNK])
def test_shrinkage(law):
    fit = brim.brm("y ~ x + z", data("sim"), prior=CENTRED + brim.prior(law), chains=4, iter=1500, seed=1, progress=False)
    assert abs(fit.bridge_sampler(method="warp3").logml - SHRUNK[law]) < 0.05


@pytest.mark.parametrize("family", ["student", slow("skew_normal")])
def test_families(family):
    fit = brim.brm("y ~ x", data("sim"), family=family, prior=PRIORS, chains=4, iter=1500, seed=1, progress=False)
    assert abs(fit.bridge_sampler(method="warp3").logml - SHAPED[family]) < 0.05


def test_bayes_factor_and_probabilities(fits):
    both = [fits["y ~ x"], fits["y ~ x + z"]]
    factor = np.exp(EXACT["y ~ x"] - EXACT["y ~ x + z"])
    assert abs(float(brim.bayes_factor(*both)) / factor - 1) < 0.05
    chance = brim.post_prob(*both, prior_prob=[0.2, 0.8])
    np.testing.assert_allclose(chance["model1"], 0.2 * factor / (0.2 * factor + 0.8), atol=0.01)
    kept = fits["y ~ x"].add_criterion("marglik", method="warp3")
    assert kept.bridge_sampler() is kept.criteria["marglik"]
    assert kept.bridge_sampler() == fits["y ~ x"].bridge_sampler(method="warp3") == kept.bridge_sampler(method="warp3")
    weights = brim.model_weights(*both, weights="bma", names=["x", "xz"])
    np.testing.assert_allclose(weights["x"], factor / (1 + factor), atol=0.02)


def test_flat_priors_are_refused():
    fit = brim.brm("y ~ x", data("sim"), chains=1, iter=200, seed=1, progress=False)
    with pytest.raises(brim.BrimError, match="class 'b' is flat"):
        fit.bridge_sampler()
    shrunk = brim.brm("y ~ x + z", data("sim"), prior=brim.prior("horseshoe(1)"), chains=1, iter=60, seed=1, progress=False)
    with pytest.raises(brim.BrimError, match=r"hs_local, hs_global, hs_slab cannot be told.*\n.*R2D2\(\) and lasso\(\) keep"):
        shrunk.bridge_sampler()


def test_effects_that_were_not_kept_are_said():
    run = {"prior": PRIORS, "keep": "parameters", "chains": 1, "iter": 60, "seed": 1, "progress": False}
    with pytest.raises(brim.BrimError, match=r"draws of r_g were not kept\nfit with keep='all'"):
        brim.brm("y ~ x + (1 | g)", data("sim"), **run).bridge_sampler()
