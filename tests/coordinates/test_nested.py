"""Modes and Laplace approximations of models with group effects, against lme4 and glmmTMB."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import brim
from brim import bf, prior
from references import FOLDER

pytestmark = pytest.mark.default_precision

FLAT = prior("", class_="Intercept") + prior("", class_="sd")

#: glmmTMB 1.1.5, R 4.2.2: fixef(m)$cond, sqrt(VarCorr(m)$cond$group), sigma(m)
#: glmmTMB(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial)
CBPP = [-1.3985324664, -0.9923322929, -1.1286712975, -1.5803136871, 0.6422616722]
#: glmmTMB(count ~ zAge + zBase * Trt + (1 | patient), epilepsy, family = nbinom2)
EPILEPSY = [1.79326955271, 0.09383725884, 0.70109175991, -0.26198747052, 0.04780120919, 0.5003234325, 7.195829022]
#: lme4 1.1-31: lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, REML = FALSE)
PENICILLIN = [22.972222, 0.84557251, 1.77064743, 0.54993214]
#: glmmTMB(y ~ x + (1 | g), ziformula = ~ (1 | g), inflated, family = poisson): conditional, zero-inflated; sd of both
INFLATED = [1.3093110998, -0.6673289006, 0.2838532348, 0.5140137312, 0.6134836191]


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
    """Not one chain of factors: both are integrated out, one in the border of the other."""
    fit = mode("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", "gaussian", FLAT + prior("", class_="sigma"))
    assert estimates(fit, "sigma") == pytest.approx(PENICILLIN, abs=2e-5)


def test_mode_with_effects_in_two_predictors_is_the_maximum_likelihood_estimate():
    """Rows of a zero-inflated law are not log-concave: at the modes all their second derivatives count, as in glmmTMB."""
    priors = FLAT + prior("", class_="Intercept", dpar="zi") + prior("", class_="sd", dpar="zi")
    table = pd.read_csv(FOLDER / "data" / "inflated.csv")
    formula = bf("y ~ x + (1 | g)", "zi ~ (1 | g)")
    fit = brim.brm(formula, table, family="zero_inflated_poisson", prior=priors, algorithm="map", seed=1, progress=False)
    assert estimates(fit) == pytest.approx(INFLATED, abs=2e-5)


def test_mode_with_correlated_levels_is_the_maximum_likelihood_estimate():
    """``gr(cov = A)`` beside a crossed factor, against the maximum of the normal law of the responses."""
    table = brim.load_data("penicillin")
    levels = sorted(table["sample"].unique())
    a = np.exp(-0.7 * np.abs(np.subtract.outer(np.arange(len(levels)), np.arange(len(levels)))))
    fit = brim.brm(
        "diameter ~ 1 + (1 | plate) + (1 | gr(sample, cov = A))",
        table,
        data2={"A": pd.DataFrame(a, levels, levels)},
        prior=FLAT + prior("", class_="sigma"),
        algorithm="map",
        marginalize=False,
        seed=1,
        progress=False,
    )
    plates, samples = (np.equal.outer(table[name].to_numpy(), sorted(table[name].unique())) * 1.0 for name in ("plate", "sample"))
    parts = plates @ plates.T, samples @ a @ samples.T, np.eye(len(table))

    def loss(x):
        covariance = sum(np.exp(2 * s) * part for s, part in zip(x[1:], parts, strict=True))
        return -stats.multivariate_normal(np.full(len(table), x[0]), covariance).logpdf(table["diameter"])

    best = optimize.minimize(loss, [23.0, 0.0, 0.5, -0.5], method="BFGS", options={"gtol": 1e-7}).x
    found = [float(fit.draws[v].ravel()[0]) for v in ("b_Intercept", "sd_plate__Intercept", "sd_sample__Intercept", "sigma")]
    assert found == pytest.approx([best[0], *np.exp(best[1:])], rel=1e-4)


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


def test_mode_of_an_adapted_curve_is_that_of_an_integrated_one():
    """For a normal response the nested approximation is exact: both ways integrate the coefficients out."""
    table = brim.load_data("mcycle")
    one, other = (brim.brm("accel ~ s(times)", table, algorithm="map", marginalize=m, seed=1, progress=False) for m in ("auto", False))
    assert "integrated out" in one.engine
    assert "adapted" in other.engine
    for name in ("b_Intercept", "bs_stimes_1", "sds_stimes_1", "sigma"):
        assert float(other.draws[name].ravel()[0]) == pytest.approx(float(one.draws[name].ravel()[0]), rel=1e-4)
