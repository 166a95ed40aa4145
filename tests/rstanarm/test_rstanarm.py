"""rstanarm's functions against rstanarm 2.21.3 (tests/reference/rstanarm.json.gz): log likelihood, priors, names, posteriors."""

import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import brim
from brim.rstanarm import R2, cauchy, exponential, hs, normal, product_normal, stan_betareg, stan_glm, stan_lm, stan_polr, student_t
from brim.rstanarm.densities import Covariance, Explained, ExplainedOrdinal
from references import data, reference
from rstanarm_priors import same_priors

rs = brim.rstanarm

MODELS = {
    "glm_gauss": lambda **k: stan_glm("mpg ~ wt + am + factor(cyl)", data("mtcars"), **k),
    "glm_gauss_fixedprior": lambda **k: stan_glm(
        "mpg ~ wt + am",
        data("mtcars"),
        prior=normal([0, 1], [5, 2]),
        prior_intercept=cauchy(20, 10),
        prior_aux=student_t(3, 0, 5),
        **k,
    ),
    "glm_gauss_hs": lambda **k: stan_glm("mpg ~ wt + am + hp + qsec", data("mtcars"), prior=hs(), **k),
    "glm_binomial": lambda **k: stan_glm("cbind(incidence, size - incidence) ~ period", data("cbpp"), "binomial", **k),
    "glm_gamma": lambda **k: stan_glm("ypos ~ x + z", data("sim"), "Gamma('log')", **k),
    "glm_nb": lambda **k: stan_glm("count ~ zAge + zBase * Trt", data("epilepsy"), "neg_binomial_2", **k),
    "glm_poisson": lambda **k: stan_glm("ycount ~ x + z + f3", data("sim"), "poisson", **k),
    "glmer_cbpp": lambda **k: rs.stan_glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), "binomial", **k),
    "glmer_pois": lambda **k: rs.stan_glmer("ycount ~ x + z + (1 + x | g)", data("sim"), "poisson", **k),
    "lm_gpa": lambda **k: stan_lm("gpa ~ occasion + sex + highgpa", data("gpa"), prior=R2(0.3, "mean"), **k),
    "lm_mtcars": lambda **k: stan_lm("mpg ~ wt + qsec + am", data("mtcars"), prior=R2(0.75), **k),
    "lmer_sleep": lambda **k: rs.stan_lmer("Reaction ~ Days + (1 + Days | Subject)", data("sleepstudy"), **k),
    "polr_logistic": lambda **k: stan_polr("yord ~ x + z", data("sim"), prior=R2(0.25, "mean"), **k),
    "polr_cloglog": lambda **k: stan_polr("yord ~ x + z + sex", data("sim"), method="cloglog", prior=R2(0.25), **k),
    "betareg": lambda **k: stan_betareg("yprop ~ x | z", data("sim"), **k),
    "betareg_phi": lambda **k: stan_betareg("yprop ~ x + z", data("sim"), **k),
}

PRIORS = {
    "gauss_factor": lambda: stan_glm("y ~ x + f3 + sex", data("sim"), empty=True),
    "gauss_poly": lambda: stan_glm("mpg ~ poly(wt, 2) + log(hp)", data("mtcars"), empty=True),
    "gauss_inter": lambda: stan_glm("kid_score ~ mom_hs * mom_iq", data("kidsim"), empty=True),
    "gauss_noauto": lambda: stan_glm(
        "mpg ~ wt + am", data("mtcars"), prior=normal(0, 2.5), prior_intercept=normal(0, 10), prior_aux=exponential(1), empty=True
    ),
    "gauss_loglink": lambda: stan_glm("mpg ~ wt", data("mtcars"), "gaussian('log')", empty=True),
    "gauss_noint": lambda: stan_glm("mpg ~ 0 + wt + factor(cyl)", data("mtcars"), empty=True),
    "gauss_qr": lambda: stan_glm("mpg ~ wt + hp", data("mtcars"), QR=True, empty=True),
    "gauss_t": lambda: stan_glm(
        "mpg ~ wt + hp",
        data("mtcars"),
        prior=student_t(5, autoscale=True),
        prior_intercept=cauchy(autoscale=True),
        prior_aux=cauchy(0, 5, autoscale=True),
        empty=True,
    ),
    "gauss_hs": lambda: stan_glm("mpg ~ wt + hp", data("mtcars"), prior=hs(), empty=True),
    "gauss_pn": lambda: stan_glm("mpg ~ wt + hp", data("mtcars"), prior=product_normal(3), empty=True),
    "bern_logit": lambda: stan_glm("am ~ wt + hp", data("mtcars"), "binomial", empty=True),
    "bern_probit": lambda: stan_glm("am ~ wt", data("mtcars"), "binomial(probit)", empty=True),
    "pois": lambda: stan_glm("carb ~ wt + factor(gear)", data("mtcars"), "poisson", empty=True),
    "nb": lambda: rs.stan_glm_nb("carb ~ wt", data("mtcars"), empty=True),
    "gamma_log": lambda: stan_glm("mpg ~ wt", data("mtcars"), "Gamma('log')", empty=True),
    "lmer": lambda: rs.stan_lmer("gpa ~ occasion + sex + (1 + occasion | student)", data("gpa"), empty=True),
    "glmer": lambda: rs.stan_glmer("ybin ~ x + f3 + (1 | g)", data("sim"), "binomial", empty=True),
    "betareg": lambda: stan_betareg("yprop ~ x + f3 | z", data("sim"), empty=True),
    "polr": lambda: stan_polr("yord ~ x + z + f3", data("sim"), prior=R2(0.3), empty=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_log_lik_names_and_priors(name):
    ref = reference("rstanarm")[name]
    empty = MODELS[name](empty=True)
    fit = empty.with_draws(pd.DataFrame({k: np.ravel(v) for k, v in ref["draws"].items()}))
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=1e-8, atol=1e-9)
    assert fit.variables() == ref["parameters"]
    same_priors(fit.prior_summary(), ref["prior_summary"])


@pytest.mark.parametrize("name", PRIORS)
def test_scales_of_priors(name):
    ref = reference("rstanarm")["priors"][name]
    fit = PRIORS[name]()
    same_priors(fit.prior_summary(), ref["prior_summary"])
    assert fit.variables() == ref["parameters"]


def test_draws_come_back_under_their_names():
    ref = reference("rstanarm")["lmer_sleep"]
    fit = MODELS["lmer_sleep"](empty=True).with_draws(pd.DataFrame(ref["draws"]))
    back = fit.as_draws_df()
    for name, values in ref["draws"].items():
        np.testing.assert_allclose(back[name], values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "glm_gauss" else pytest.mark.slow) for n in MODELS])
def test_posteriors(name):
    """Means within four Monte Carlo errors of both, sds within 10 % (heavy tails of the reference's 2000 draws)."""
    ref = reference("rstanarm")[name]["posterior"]
    draws = MODELS[name](seed=1, iter=4000, progress=False).stan_draws(effects=False)
    for parameter, (mean, sd, error) in ref.items():
        x = draws[parameter]
        spread = np.hypot(error, x.std() / np.sqrt(1000))
        assert abs(x.mean() - mean) < 4 * spread, parameter
        if not parameter.startswith("Sigma") and name != "glm_gauss_hs":
            assert abs(x.std() / sd - 1) < 0.1, parameter


def test_nonlinear_curves():
    """rstanarm's ``log_lik`` of ``stan_nlmer`` leaves the group effects out, its posterior does not: compared without them, and by hand."""
    ref = reference("rstanarm")["nlmer_orange"]
    rows = data("orange")
    fit = rs.stan_nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", rows, empty=True)
    draws = {k: np.ravel(v) for k, v in ref["draws"].items()}
    fit = fit.with_draws(pd.DataFrame(draws))
    assert fit.variables() == ref["parameters"]
    same_priors(fit.prior_summary(), ref["prior_summary"])
    np.testing.assert_allclose(fit.log_lik(re_formula=False), ref["log_lik"], rtol=1e-8)
    asym = draws["Asym"] + np.array([draws[f"b[Asym Tree:{t}]"] for t in rows["Tree"]])
    mean = asym / (1 + np.exp((draws["xmid"] - rows["age"].to_numpy()[:, None]) / draws["scal"]))
    np.testing.assert_allclose(fit.posterior_epred(), mean.T, rtol=1e-10)


@pytest.mark.slow
def test_posterior_of_a_curve():
    ref = reference("rstanarm")["nlmer_orange"]["posterior"]
    fit = rs.stan_nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", data("orange"), seed=1, progress=False)
    draws = fit.stan_draws(effects=False)
    for name, (mean, sd, error) in ref.items():
        assert abs(draws[name].mean() - mean) < 4 * np.hypot(error, sd / np.sqrt(500)), name


def test_print_is_rstanarms():
    ref = reference("rstanarm")["glm_gauss"]
    fit = MODELS["glm_gauss"](empty=True).with_draws(pd.DataFrame({k: np.ravel(v) for k, v in ref["draws"].items()}))
    lines = str(fit).splitlines()
    assert lines[:6] == ref["print"][:6]
    assert [line.split()[0] for line in lines[6:12]] == [line.split()[0] for line in ref["print"][6:12]]


# ---------------------------------------------------------------------------------------------------------------------
# joint priors: the law of what is computed from the parameters is the one that was asked for


def test_decov_is_the_law_of_tau_and_shares():
    """Two standard deviations: the mass of ``tau < 1, share < 0.3`` by quadrature over the standard deviations."""
    term = Covariance("sd", "", 2.0, 0.7, (1.5, 2.5))

    def density(s2, s1):
        return float(np.exp(term.log_prior({"sd": jnp.array([s1, s2])}, {})))

    # tau^2 = (s1^2 + s2^2) / 2 < 1 and s1^2 / (s1^2 + s2^2) < 0.3, in polar coordinates
    mass, _ = integrate.dblquad(
        lambda angle, radius: radius * density(radius * np.cos(angle), radius * np.sin(angle)),
        1e-9,
        np.sqrt(2.0),
        1e-9,
        np.arcsin(np.sqrt(0.3)),
        epsabs=1e-7,
    )
    expected = stats.gamma(2.0, scale=0.7).cdf(1.0) * stats.beta(1.5, 2.5).cdf(0.3)
    np.testing.assert_allclose(mass, expected, rtol=1e-5)


def test_explained_variance_has_its_beta_law():
    """Given ``v + sigma^2`` the law of ``R2``: ratio of densities along a line of constant total is that of ``beta(k / 2, eta)``."""
    rows, k, eta = 20, 3, 2.5
    root = np.eye(k) * np.sqrt(rows - 1.0)
    term = Explained(rows, eta, k, root)
    r2 = np.array([0.2, 0.5, 0.8])

    def log_p(r):
        b = jnp.array([np.sqrt(r), 0.0, 0.0])
        return float(term.log_prior({"b": b, "sigma": jnp.sqrt(1.0 - r)}, {"root": root}))

    # d(theta, sigma) = |theta|^(k-1) d|theta| dsigma = r^((k-1)/2) dr / (4 sqrt(r (1 - r))) at total 1, up to a constant
    measure = r2 ** (0.5 * (k - 1)) / np.sqrt(r2 * (1.0 - r2))
    found = np.array([log_p(r) for r in r2]) + np.log(measure)
    expected = stats.beta(0.5 * k, eta).logpdf(r2)
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-10)


def test_ordinal_thresholds_have_the_dirichlet_law():
    """With no effects, probabilities of three categories: density of thresholds against that of the probabilities, by differences."""
    term = ExplainedOrdinal("Intercept", "logit", 30, 1.5, 1, (2.0, 1.0, 3.0), np.ones((1, 1)))
    b = jnp.array([1e-3])

    def log_p(c):
        return float(term.log_prior({"b": b, "Intercept": jnp.asarray(c)}, {"root": np.ones((1, 1))}))

    def expected(c):
        z = np.asarray(c) / np.sqrt(1 + 1e-6 / 29)
        p = np.diff(np.concatenate([[0], stats.logistic.cdf(z), [1]]))
        return stats.dirichlet([2.0, 1.0, 3.0]).logpdf(p) + stats.logistic.logpdf(z).sum()

    one, two = [-0.5, 0.7], [0.2, 1.9]
    np.testing.assert_allclose(log_p(one) - log_p(two), expected(one) - expected(two), rtol=1e-10)


# ---------------------------------------------------------------------------------------------------------------------
# again


def test_a_fit_is_made_again_with_its_own_priors():
    """``update`` makes the call of the stan function, not one of brms' model; so does ``pickle``."""
    rows = data("mtcars")
    fit = stan_glm("mpg ~ wt", rows, prior=normal(0, [3.0]), weights=np.ones(32), empty=True)
    fit = fit.with_draws(pd.DataFrame({n: [0.5, 1.5] for n in fit.variables()}))
    copy = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(copy.log_lik(), fit.log_lik())
    assert copy.prior_summary()["prior"]["scale"] == [3.0]
    assert [p.pieces for p in copy.model.params] == [p.pieces for p in fit.model.params]
    new = fit.update("mpg ~ wt + am", prior=normal(0, 1), empty=True)
    assert new.variables() == ["(Intercept)", "wt", "am", "sigma"]
    assert new.prior_summary()["prior"]["scale"].tolist() == [1.0, 1.0]
    assert fit.update(newdata=fit.frame, empty=True).nobs() == 32
    assert fit.update(sample_prior="only", empty=True).model.prior_only
    with pytest.raises(brim.BrimError, match="weights"):
        fit.update(newdata=rows.iloc[:20], empty=True)
    with pytest.raises(brim.BrimError, match="not saved"):
        fit.save("fit.nc")


# ---------------------------------------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stan_glm("y ~ x", data("sim"), "gausian", empty=True), ["gausian", "did you mean 'gaussian'"]),
        (lambda: stan_lm("mpg ~ wt", data("mtcars"), prior=R2(0.5), empty=True), ["three predictors", "what='mean'"]),
        (lambda: stan_glm("mpg ~ wt", data("mtcars"), prior=normal([1, 2, 3]), empty=True), ["3 values of location for 1"]),
        (lambda: stan_glm("mpg ~ wt", data("mtcars"), draws=3, empty=True), ["no argument 'draws'", "iter"]),
        (lambda: stan_polr("yord ~ x", data("sim"), method="logit", prior=R2(0.3, "mean"), empty=True), ["logistic"]),
        (lambda: rs.stan_lmer("y ~ x + cs(1 + x | g)", data("sim"), empty=True), ["structure cs()", "brim.brm()"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(brim.BrimError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
