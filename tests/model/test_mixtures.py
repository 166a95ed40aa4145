"""Mixtures as models: what stands left of the bar, and proportions with formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, brm, lf, mixture, prior

RNG = np.random.default_rng(3)
D = pd.DataFrame({"x": RNG.normal(size=20), "y": RNG.normal(size=20), "se": 0.3, "n": 9, "s": RNG.binomial(9, 0.4, 20)})


def test_known_errors_are_those_of_all_components():
    """brms: y | se(se) with mixture(gaussian, student); no sigma is estimated."""
    fit = brm("y | se(se) ~ x", D, mixture("gaussian", "student"), empty=True)
    values = {v: 0.1 * i for i, v in enumerate(fit.variables())} | {"theta1": 0.3, "theta2": 0.7, "sigma1": 0.0, "sigma2": 0.0, "nu2": 4.0}
    one = fit.with_draws(pd.DataFrame(values, index=[0]))
    mu = [values[f"b_mu{k}_Intercept"] + values[f"b_mu{k}_x"] * D.x for k in (1, 2)]
    parts = np.log(0.3) + stats.norm.logpdf(D.y, mu[0], 0.3), np.log(0.7) + stats.t.logpdf((D.y - mu[1]) / 0.3, 4.0) - np.log(0.3)
    np.testing.assert_allclose(one.log_lik()[0], np.logaddexp(*parts), rtol=1e-5)
    assert {"sigma1", "sigma2"} & set(fit.prior_summary()["class"]) == set()


def test_data_that_one_component_reads():
    import numpyro.distributions as dist

    family = brim.custom_family("plain", lambda mu, vint1: dist.Binomial(vint1, mu), ["mu"], ["logit"], type="int")
    fit = brm("s | trials(n) + vint(n) ~ x", D, mixture("binomial", family, order="none"), empty=True)
    values = {"b_mu1_Intercept": 0.2, "b_mu2_Intercept": 0.2, "b_mu1_x": 0.5, "b_mu2_x": 0.5, "theta1": 0.3, "theta2": 0.7}
    one = fit.with_draws(pd.DataFrame(values, index=[0]))
    np.testing.assert_allclose(one.log_lik()[0], stats.binom.logpmf(D.s, 9, 1 / (1 + np.exp(-0.2 - 0.5 * D.x))), rtol=1e-4)


@pytest.mark.parametrize("formula", [bf("y ~ x", "theta1 ~ x", "theta2 ~ x", "theta3 ~ x"), bf("y ~ x", "theta1 ~ x")])
def test_all_proportions_but_one_are_predicted(formula):
    with pytest.raises(brim.BrimError, match="predict all mixing proportions but one, or none"):
        brm(formula, D, mixture("gaussian", nmix=3), empty=True)


def test_all_proportions_predicted():
    """brms 2.23: mixture(refcat = NA)."""
    fit = brm(bf("y ~ 1", "theta1 ~ x", "theta2 ~ x"), D, mixture("gaussian", nmix=2, refcat=False), empty=True)
    values = {v: 0.1 * i for i, v in enumerate(fit.variables())} | {"sigma1": 1.0, "sigma2": 2.0}
    one = fit.with_draws(pd.DataFrame(values, index=[0]))
    eta = [values[f"b_theta{k}_Intercept"] + values[f"b_theta{k}_x"] * D.x for k in (1, 2)]
    share = 1 / (1 + np.exp(eta[1] - eta[0]))
    np.testing.assert_allclose(
        one.posterior_epred()[0], share * values["b_mu1_Intercept"] + (1 - share) * values["b_mu2_Intercept"], rtol=1e-5
    )


def test_nonlinear_parameters_are_centred_where_asked():
    """brms 2.18, get_prior(bf(y ~ eta, lf(eta ~ x, center = TRUE), nl = TRUE)): class Intercept, student_t(3, 0, 2.5)."""
    table = brm(bf("y ~ eta", lf("eta ~ x", center=True), nl=True), D, empty=True).prior_summary()
    row = table.loc[table["class"] == "Intercept"]
    assert row[["prior", "nlpar"]].values.tolist() == [["student_t(3, 0, 2.5)", "eta"]]
    assert "Intercept" not in set(brm(bf("y ~ eta", "eta ~ x", nl=True), D, empty=True).prior_summary()["class"])
    given = prior("normal(1, 2)", class_="Intercept", nlpar="eta")
    fit = brm(bf("y ~ eta", lf("eta ~ x", center=True), nl=True), D, prior=given + prior("normal(0, 1)", class_="sigma"), empty=True)
    one = fit.with_draws(pd.DataFrame({"b_eta_Intercept": 0.5, "b_eta_x": 2.0, "sigma": 1.0}, index=[0]))
    wanted = stats.norm.logpdf(0.5 + 2.0 * D.x.mean(), 1, 2) + stats.halfnorm.logpdf(1.0)
    assert float(one.log_prior()[0]) == pytest.approx(wanted, rel=1e-5)
