"""Modes and Laplace approximations of models with group effects, against lme4 and glmmTMB."""

import numpy as np
import pytest

import brim
from brim import prior

pytestmark = pytest.mark.default_precision

FLAT = prior("", class_="Intercept") + prior("", class_="sd")

#: glmmTMB 1.1.5, R 4.2.2: fixef(m)$cond, sqrt(VarCorr(m)$cond$group), sigma(m)
#: glmmTMB(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial)
CBPP = [-1.3985324664, -0.9923322929, -1.1286712975, -1.5803136871, 0.6422616722]
#: glmmTMB(count ~ zAge + zBase * Trt + (1 | patient), epilepsy, family = nbinom2)
EPILEPSY = [1.79326955271, 0.09383725884, 0.70109175991, -0.26198747052, 0.04780120919, 0.5003234325, 7.195829022]
#: lme4 1.1-31: lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, REML = FALSE)
PENICILLIN = [22.972222, 0.84557251, 1.77064743, 0.54993214]


def estimates(fit, *more):
    wanted = [*(v for v in fit.variables() if v.startswith(("b_", "sd_"))), *more]
    return [float(fit.draws[v].ravel()[0]) for v in wanted]


def mode(formula, name, family, priors=FLAT):
    return brim.brm(formula, brim.load_data(name), family=family, prior=priors, algorithm="map", seed=1, progress=False)


def test_binomial_mode_is_the_maximum_likelihood_estimate():
    fit = mode("incidence | trials(size) ~ period + (1 | herd)", "cbpp", "binomial")
    assert fit.info["converged"]
    assert estimates(fit) == pytest.approx(CBPP, abs=2e-5)


def test_mode_with_a_shape_is_the_maximum_likelihood_estimate():
    priors = FLAT + prior("", class_="shape")
    fit = mode("count ~ zAge + zBase * Trt + (1 | patient)", "epilepsy", "negbinomial", priors)
    assert estimates(fit, "shape") == pytest.approx(EPILEPSY, rel=2e-5, abs=2e-5)


def test_crossed_gaussian_mode_is_the_maximum_likelihood_estimate():
    """Not one chain of factors: both are integrated out by the nested approximation, exact for normal responses."""
    fit = mode("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", "gaussian", FLAT + prior("", class_="sigma"))
    assert estimates(fit, "sigma") == pytest.approx(PENICILLIN, abs=2e-5)


def test_laplace_is_near_the_posterior():
    """Means within a fifth of a standard deviation of NUTS', deviations within a quarter; the verdict says that it is good.

    The logarithm of ``sd`` is skewed with 15 herds, which a normal law cannot be: half a standard deviation there.
    """
    run = {"family": "binomial", "seed": 1, "progress": False}
    formula, data = "incidence | trials(size) ~ period + (1 | herd)", brim.load_data("cbpp")
    near = brim.brm(formula, data, algorithm="laplace", **run)
    exact = brim.brm(formula, data, chains=2, **run)
    assert near.info["khat"] < 0.7
    assert "good" in near.info["verdict"]
    for name in (v for v in exact.variables() if v.startswith(("b_", "sd_", "r_"))):
        a, b = near.draws[name], exact.draws[name]
        assert abs(a.mean() - b.mean()) < (0.5 if name.startswith("sd_") else 0.2) * b.std(), name
        assert a.std() == pytest.approx(b.std(), rel=0.25), name


def test_chains_start_from_a_nested_laplace_fit():
    data = brim.load_data("cbpp")
    formula = "incidence | trials(size) ~ period + (1 | herd)"
    first = brim.brm(formula, data, family="binomial", algorithm="laplace", seed=1, progress=False)
    then = brim.brm(formula, data, family="binomial", init=first, chains=2, iter=600, seed=1, progress=False)
    assert np.isfinite(then.draws["lp__"]).all()
    assert abs(then.draws["b_Intercept"].mean() - first.draws["b_Intercept"].mean()) < 0.1
