"""Many calls against rstanarm 2.21.3 (tests/reference/rstanarm_calls.json.gz): names, prior scales, ``log_lik`` at its draws."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.rstanarm import (
    R2,
    cauchy,
    decov,
    dirichlet,
    hs,
    hs_plus,
    lasso,
    normal,
    product_normal,
    stan_aov,
    stan_betareg,
    stan_clogit,
    stan_gamm4,
    stan_glm,
    stan_glmer,
    stan_glmer_nb,
    stan_lm,
    stan_lmer,
    stan_nlmer,
    stan_polr,
    student_t,
)
from references import data, reference
from rstanarm_priors import same_priors

SIM = data("sim")
SIM = SIM.assign(
    fail=SIM["ntr"] - SIM["ysucc"],
    prop=SIM["ysucc"] / SIM["ntr"],
    gw=[(1, 2, 3)[(i + 1) % 3] for i in range(len(SIM))],
    ybinf=pd.Categorical(SIM["ybin"].astype(str)),
)
INFERT = data("infert").sort_values("stratum", kind="stable").reset_index(drop=True)


def glm(formula, family="gaussian", **more):
    return lambda **k: stan_glm(formula, SIM, family, **more, **k)


def of(function, formula, rows, *args, **more):
    return lambda **k: function(formula, rows, *args, **more, **k)


CALLS = {
    "gamma_inv": glm("ypos ~ x + z", "Gamma"),
    "gamma_id": glm("ypos ~ x", "Gamma('identity')"),
    "ig_log": glm("ypos ~ x + f3", "inverse.gaussian('log')"),
    "ig_def": glm("ypos ~ x", "inverse.gaussian"),
    "gauss_inv": glm("ypos ~ x", "gaussian('inverse')"),
    "pois_sqrt": glm("ycount ~ x + z", "poisson('sqrt')"),
    "pois_offset": glm("ycount ~ x + offset(log(expo))", "poisson", weights="w"),
    "nb_sqrt": glm("ycount ~ x", "neg_binomial_2('sqrt')"),
    "bin_cbind_probit": glm("cbind(ysucc, fail) ~ x*z", "binomial('probit')"),
    "bin_cbind_cauchit": glm("cbind(ysucc, ntr-ysucc) ~ x", "binomial('cauchit')"),
    "bin_cbind_cloglog": glm("cbind(ysucc, ntr-ysucc) ~ x", "binomial('cloglog')"),
    "bin_cbind_log": glm("cbind(ysucc, ntr-ysucc) ~ f3", "binomial('log')"),
    "bin_prop": glm("prop ~ x + f3", "binomial", weights="ntr"),
    "bern_cauchit": glm("ybin ~ x", "binomial('cauchit')"),
    "bern_log": glm("ybin ~ f3", "binomial('log')"),
    "bern_factor": glm("sex ~ x", "binomial"),
    "bern_weights": glm("ybin ~ x", "binomial('probit')", weights="gw"),
    "gauss_weights": glm("y ~ x*f3", weights="w"),
    "gauss_hsplus": glm("y ~ x + z + f3", prior=hs_plus()),
    "gauss_lasso": glm("y ~ x + z", prior=lasso(autoscale=True)),
    "gauss_pn2": glm("y ~ x + z", prior=product_normal()),
    "gauss_qr_t": glm("y ~ x + z", QR=True, prior=student_t(4, 0, autoscale=True)),
    "gauss_intonly": glm("y ~ 1"),
    "gauss_auxauto": glm("y ~ x", prior_aux=normal(0, 2, autoscale=True), prior_intercept=normal(autoscale=True)),
    "pois_vecscale": glm("ycount ~ x + z", "poisson", prior=student_t([3, 4], [0, 1], [1, 2]), prior_intercept=None),
    "gamma_aux": glm("ypos ~ x", "Gamma('log')", prior_aux=cauchy(0, 3)),
    "log_y": glm("log(ypos) ~ poly(x,2) + I(z^2)"),
    "lm_median": of(stan_lm, "y ~ x", SIM, prior=R2(0.4, "median"), prior_intercept=normal(1, 3)),
    "lm_null": of(stan_lm, "y ~ x + z + f3", SIM, prior=None),
    "aov": of(stan_aov, "y ~ f3*sex", SIM, prior=R2(0.4)),
    "polr_cauchit": of(stan_polr, "yord ~ x + z + f3", SIM, method="cauchit", prior=R2(0.4)),
    "polr_loglog": of(stan_polr, "yord ~ x + z", SIM, method="loglog", prior=R2(0.4, "mean")),
    "polr_counts": of(stan_polr, "yord ~ x", SIM, method="probit", prior=R2(0.4, "mean"), prior_counts=dirichlet([1, 2, 3, 1])),
    "polr_bin": of(stan_polr, "ybinf ~ x + z + f3", SIM, method="probit", prior=R2(0.4)),
    "polr_null": of(stan_polr, "yord ~ x + z", SIM, prior=None),
    "beta_cloglog_sqrt": of(stan_betareg, "yprop ~ x + f3 | z", SIM, link="cloglog", link_phi="sqrt"),
    "beta_probit_idphi": of(stan_betareg, "yprop ~ x | z", SIM, link="probit", link_phi="identity"),
    "beta_cauchit": of(stan_betareg, "yprop ~ x", SIM, link="cauchit"),
    "beta_log": of(stan_betareg, "yprop ~ x", SIM, link="log", link_phi="log"),
    "glmer_nb": of(stan_glmer_nb, "count ~ zAge + zBase*Trt + (1|patient)", data("epilepsy")),
    "glmer_ig": of(stan_glmer, "ypos ~ x + (1|g)", SIM, "inverse.gaussian('log')"),
    "glmer_probit": of(stan_glmer, "ybin ~ x + (1+x|g)", SIM, "binomial('probit')", prior_covariance=decov(2, 0.5, 2, 0.7)),
    "glmer_prop": of(stan_glmer, "incidence/size ~ period + (1|herd)", data("cbpp"), "binomial", weights="size"),
    "lmer_crossed": of(stan_lmer, "diameter ~ 1 + (1|plate) + (1|sample)", data("penicillin")),
    "lmer_nested": of(stan_lmer, "strength ~ 1 + (1|batch/cask)", data("pastes")),
    "lmer_dbar": of(stan_lmer, "Reaction ~ Days + (Days || Subject)", data("sleepstudy")),
    "lmer_factor": of(stan_lmer, "y ~ f3 + (f3|g)", SIM),
    "lmer_qr": of(stan_lmer, "y ~ x + z + (1|g)", SIM, QR=True),
    "lmer_temp": of(stan_lmer, "angle ~ recipe*temperature + (1|recipe:replicate)", data("cake")),
    "lmer_noint": of(stan_lmer, "Reaction ~ 0 + Days + (Days|Subject)", data("sleepstudy")),
    "nl_logis2": of(stan_nlmer, "circumference ~ SSlogis(age, Asym, xmid, scal) ~ (Asym + xmid|Tree)", data("orange")),
    "nl_micmen": of(stan_nlmer, "circumference ~ SSmicmen(age, Vm, K) ~ Vm|Tree", data("orange")),
    "nl_gomp": of(stan_nlmer, "circumference ~ SSgompertz(age, Asym, b2, b3) ~ Asym|Tree", data("orange")),
    "gam_k": of(stan_gamm4, "y ~ s(x, k=5) + z", SIM),
    "gam_two": of(stan_gamm4, "y ~ s(x, k=6) + s(z, bs='cr', k=5) + sex", SIM),
    "gam_by": of(stan_gamm4, "y ~ sex + s(x, by=sex, k=5)", SIM),
    "gam_bin": of(stan_gamm4, "cbind(ysucc,fail) ~ s(x, k=5)", SIM, "binomial('probit')"),
    "gam_random": of(stan_gamm4, "y ~ s(x, k=6)", SIM, random="~(1|g)"),
    "clogit_off": of(stan_clogit, "case ~ spontaneous*induced", INFERT, strata="stratum", prior=normal(0, 1.5, autoscale=True)),
}


def at_draws(fit, ref):
    return fit.with_draws(pd.DataFrame({k: np.ravel(v) for k, v in ref["draws"].items()}))


@pytest.mark.parametrize("name", CALLS)
def test_call_is_rstanarms(name):
    """rstanarm's ``log_lik`` of nonlinear models leaves the group effects out, and that of ``gamm4`` with ``random`` counts them twice."""
    ref = reference("rstanarm_calls")[name]
    empty = CALLS[name](empty=True)
    assert empty.variables() == ref["names"]
    same_priors(empty.prior_summary(), ref["prior"])
    fit, curve = at_draws(empty, ref), name.startswith("nl_")
    rows = len(ref["linpred"][0])
    without = {"re_formula": False} if curve else {}
    if not curve:
        np.testing.assert_allclose(fit.posterior_linpred()[:, :rows], ref["linpred"], rtol=1e-8, atol=1e-10)
    if "log_lik" in ref:
        np.testing.assert_allclose(fit.log_lik(**without)[:, : len(ref["log_lik"][0])], ref["log_lik"], rtol=1e-8, atol=1e-10)


SAMPLED = {
    "clogit_infert": of(
        stan_clogit, "case ~ spontaneous + induced", INFERT, strata="stratum", QR=True, prior=student_t(7, 0, 2, autoscale=False)
    ),
    "gamm4_mcycle": of(stan_gamm4, "accel ~ s(times)", data("mcycle")),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_points_of_sampled_fits(name):
    ref = reference("rstanarm_calls")[name]
    empty = SAMPLED[name](empty=True)
    assert empty.variables() == ref["names"]
    fit = at_draws(empty, ref)
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=1e-8)
    np.testing.assert_allclose(fit.posterior_epred(), ref["epred"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.as_draws_df()[ref["names"]].T, [ref["draws"][n] for n in ref["names"]], rtol=1e-12)


@pytest.mark.parametrize("name", ["clogit_infert", pytest.param("gamm4_mcycle", marks=pytest.mark.slow)])
def test_posterior_of_sampled_fits(name):
    """Means within four Monte Carlo errors, sds within 12 % (rstanarm has 2000 draws)."""
    ref = reference("rstanarm_calls")[name]["posterior"]
    draws = SAMPLED[name](seed=1, progress=False).stan_draws()
    for parameter, (mean, sd, error) in ref.items():
        x = draws[parameter]
        assert abs(x.mean() - mean) < 4 * np.hypot(error, x.std() / np.sqrt(500)), parameter
        assert abs(x.std() / sd - 1) < 0.12, parameter


# ---------------------------------------------------------------------------------------------------------------------
# strata: the conditional law by enumeration


def stratified():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"s": rng.integers(0, 5, 40), "x": rng.normal(size=40), "g": rng.integers(0, 4, 40)})
    return rows.assign(y=(rng.random(40) < 0.6).astype(int))


def test_strata_by_enumeration():
    """Any number of cases: ``p(y | sum y)`` and the chance of each row over all sets of that size, group effects included."""
    rows = stratified()
    fit = stan_clogit("y ~ x + (1 | g)", rows, strata="s", empty=True)
    given = dict.fromkeys(fit.variables(), 0.4) | {"x": 0.7, "b[(Intercept) g:1]": -1.0}
    fit = fit.with_draws(pd.DataFrame([given] * 1000))
    eta = 0.7 * rows["x"] + np.where(rows["g"] == 1, -1.0, 0.4)
    log_lik, chances = [], np.zeros(40)
    for s in range(5):
        at = np.flatnonzero(rows["s"] == s)
        own, y = eta.to_numpy()[at], rows["y"].to_numpy()[at]
        sets = [list(c) for c in itertools.combinations(range(len(at)), y.sum())]
        weights = np.array([np.exp(own[c].sum()) for c in sets])
        log_lik.append(own @ y - np.log(weights.sum()))
        for c, w in zip(sets, weights / weights.sum(), strict=True):
            chances[at[c]] += w
    np.testing.assert_allclose(fit.log_lik()[0], log_lik, rtol=1e-12)
    np.testing.assert_allclose(fit.posterior_epred()[0], chances, rtol=1e-10)
    new = fit.posterior_predict(seed=1)
    np.testing.assert_array_equal(np.unique([np.bincount(rows["s"], row) for row in new], axis=0), [np.bincount(rows["s"], rows["y"])])
    assert np.abs(new.mean(axis=0) - chances).max() < 4 * 0.5 / np.sqrt(1000)


def test_strata_in_brm():
    """The same model from ``strata()``: rows in any order, factors coded beside the intercept that is not there."""
    rows = stratified().assign(f=lambda d: np.array(["a", "b", "c"])[d["g"] % 3])
    fit = brim.brm("y ~ x + f + strata(s)", data=rows, family="bernoulli", empty=True)
    assert fit.variables()[:3] == ["b_x", "b_fb", "b_fc"]
    drawn = pd.DataFrame({"b_x": [0.3], "b_fb": [1.0], "b_fc": [-0.2]})
    mixed = rows.sample(frac=1.0, random_state=2)
    other = brim.brm("y ~ x + f + strata(s)", data=mixed, family="bernoulli", empty=True)
    np.testing.assert_allclose(fit.with_draws(drawn).log_lik(), other.with_draws(drawn).log_lik(), rtol=1e-12)
    assert fit.with_draws(drawn).posterior_epred({"x": [0.1, 0.4, 2.0], "f": ["a"] * 3, "s": [1, 1, 1]}).sum() == pytest.approx(1.0)


# ---------------------------------------------------------------------------------------------------------------------


def test_scobit_is_the_law_of_its_density():
    fit = stan_polr("ybinf ~ x", SIM, prior=R2(0.4, "mean"), shape=2, rate=2, empty=True)
    assert fit.variables() == ["(Intercept)", "x", "alpha"]
    fit = fit.with_draws(pd.DataFrame({"(Intercept)": [0.3], "x": [0.5], "alpha": [0.6]}))
    none = (1 / (1 + np.exp(0.3 + 0.5 * SIM["x"]))) ** 0.6
    np.testing.assert_allclose(np.exp(fit.log_lik()[0]), np.where(SIM["ybin"] == 1, 1 - none, none), rtol=1e-12)
    assert fit.prior_summary()["scobit_exponent"] == {"dist": "gamma", "shape": 2, "rate": 2}


def test_nested_factors_are_named_as_lme4_does():
    fit = stan_lmer("strength ~ 1 + (1|batch/cask)", data("pastes"), empty=True)
    names = [n for n in fit.variables() if n.startswith("b[")]
    assert names[:2] == ["b[(Intercept) cask:batch:a:A]", "b[(Intercept) cask:batch:a:B]"]
    assert names[-1] == "b[(Intercept) batch:J]"


def test_columns_without_determined_signs_are_told():
    fit = stan_gamm4("y ~ t2(x, z, k = 3)", SIM, empty=True)
    assert [n for n in fit.variables() if n.startswith("smooth_sd")] == [
        "smooth_sd[t2(x,z)rr]",
        "smooth_sd[t2(x,z)nr]",
        "smooth_sd[t2(x,z)rn]",
        "smooth_sd[t2(x,z)]",
    ]
    with pytest.warns(UserWarning, match="signs of the columns of t2"):
        fit.with_draws(pd.DataFrame([dict.fromkeys(fit.variables(), 1.0)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smooth = stan_gamm4("y ~ s(x, k = 4)", SIM, empty=True)
        smooth.with_draws(pd.DataFrame([dict.fromkeys(smooth.variables(), 1.0)]))


@pytest.mark.parametrize("autoscale", [True, False])
def test_scale_of_rotated_predictors(autoscale):
    """``theta = R b / s``, ``s = sqrt(n - 1)``; without autoscaling R's last diagonal element, its sign included.

    With it the log posterior of stan_glm(binomial, QR = TRUE, prior = normal(0.5, 2)) less log_lik and priors has sd 9e-15 over its
    draws, with ``sqrt(n - 1)`` 0.14.
    """
    fit = stan_glm("ybin ~ x + z + sdx", SIM, "binomial", QR=True, prior=normal(0.5, 2, autoscale=autoscale), empty=True)
    draws = pd.DataFrame([dict.fromkeys(fit.variables(), 0.0) | {"x": 0.3, "z": b, "sdx": -0.2} for b in (0.4, -0.7)])
    x = SIM[["x", "z", "sdx"]].to_numpy(float)
    root = np.linalg.qr(x - x.mean(0), mode="r")
    theta = draws[["x", "z", "sdx"]].to_numpy() @ root.T / (np.sqrt(len(x) - 1) if autoscale else root[-1, -1])
    at = draws[["x", "z", "sdx"]].to_numpy() @ x.mean(0)  # the intercept where predictors are at their means
    expected = stats.norm.logpdf(theta, 0.5, 2.0).sum(1) + stats.norm.logpdf(at, 0, 2.5)
    found = fit.with_draws(draws).log_prior()
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1], rel=1e-10)


def test_rotated_predictors_of_beta_regression():
    fit = stan_betareg("yprop ~ x + z | sex", SIM, QR=True, empty=True)
    told = fit.prior_summary()
    assert told["prior"]["QR"]
    assert told["prior"]["scale"] == pytest.approx([2.5, 2.5])
    draws = pd.DataFrame([dict.fromkeys(fit.variables(), 0.0) | {"x": b, "z": 0.4} for b in (0.5, -0.3)])
    x = SIM[["x", "z"]].to_numpy(float)
    theta = draws[["x", "z"]].to_numpy() @ np.linalg.qr(x - x.mean(0), mode="r").T / np.sqrt(len(x) - 1)
    expected = stats.norm.logpdf(theta, 0, 2.5).sum(1) + stats.norm.logpdf(draws[["x", "z"]].to_numpy() @ x.mean(0), 0, 2.5)
    found = fit.with_draws(draws).log_prior()
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1], rel=1e-10)
    with pytest.raises(brim.BrimError, match="several predictors"):
        stan_betareg("yprop ~ x", SIM, QR=True, empty=True)


def test_links_of_beta_regression():
    fit = stan_betareg("yprop ~ x | z", SIM, link="loglog", link_phi="sqrt", empty=True)
    fit = fit.with_draws(pd.DataFrame([{"(Intercept)": 0.2, "x": 0.4, "(phi)_(Intercept)": 2.0, "(phi)_z": 0.1}]))
    np.testing.assert_allclose(fit.posterior_epred()[0], np.exp(-np.exp(-(0.2 + 0.4 * SIM["x"]))), rtol=1e-12)
    np.testing.assert_allclose(fit.posterior_epred(dpar="phi")[0], (2.0 + 0.1 * SIM["z"]) ** 2, rtol=1e-12)
    assert str(fit).splitlines()[1] == " family:       beta [loglog, link.phi=sqrt]"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stan_glm("y ~ x", SIM, prior=R2(0.4), empty=True), ["R2", "no prior of coefficients", "normal"]),
        (lambda: stan_glm("prop ~ x", SIM, "binomial", empty=True), ["shares", "weights"]),
        (lambda: stan_glm("prop ~ x", SIM, "binomial", weights="w", empty=True), ["no whole numbers"]),
        (lambda: stan_polr("yord ~ x + (1 | g)", SIM, prior=R2(0.4, "mean"), empty=True), ["no group effects"]),
        (lambda: stan_polr("yord ~ x", SIM, prior=R2(0.4, "mean"), shape=1, rate=1, empty=True), ["two categories"]),
        (lambda: stan_gamm4("y ~ x", SIM, empty=True), ["needs a smooth"]),
        (lambda: stan_gamm4("y ~ te(x, z, k = 3)", SIM, empty=True), ["te(x, z", "t2()"]),
        (lambda: stan_gamm4("y ~ s(x, k = 4)", SIM, prior_smooth=hs(), empty=True), ["prior_smooth"]),
        (lambda: stan_clogit("ybin ~ x", SIM.assign(s=range(len(SIM))), strata="s", empty=True), ["responses of one kind"]),
        (lambda: brim.brm("y ~ x + strata(g)", data=SIM, empty=True), ["strata()", "bernoulli"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(brim.BrimError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
