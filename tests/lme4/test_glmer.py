"""Generalized linear mixed models against lme4 1.1-31 and glmmTMB's criterion, and their gradients."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest

import brim
from references import data, reference

MORE = reference("lme4_more")
GENERALIZED = [k for k, v in MORE.items() if str(v.get("call", "")).startswith("glmer") and k != "nb_glmer"]


def matrix(entry):
    """One of R's matrices."""
    return np.reshape(np.asarray(entry["values"], float), entry["dim"], order="F")


def fitted(key):
    """brim's fit of the reference's call."""
    call = MORE[key]["call"]
    formula, name = re.match(r"glmer\((.*), data = (\w+)", call).groups()
    nodes = re.search(r"nAGQ = (\d+)", call)
    return brim.glmer(formula, data(name), "poisson" if "poisson" in call else "binomial", int(nodes[1]) if nodes else 1)


@pytest.mark.parametrize("key", GENERALIZED)
def test_a_fit_is_lme4s_or_better(key):
    """lme4 ends its penalised least squares early: its deviance lies up to 5e-3 above, its standard errors up to 1.3 % beside."""
    ref, fit = MORE[key], fitted(key)
    assert -6e-3 < fit.criterion + 2 * ref["logLik"] < 1e-6
    table = matrix(ref["coef"])
    assert fit.fixef()["Estimate"].to_numpy() == pytest.approx(table[:, 0], rel=1e-3, abs=1e-4)
    assert fit.fixef()["Std. Error"].to_numpy() == pytest.approx(table[:, 1], rel=1.5e-2)
    assert fit.theta == pytest.approx(np.atleast_1d(ref["theta"]), rel=1e-3)
    assert (fit.npar, fit.nobs(), fit.ngrps()) == (ref["df"], ref["nobs"], ref["ngrps"])
    assert fit.scaled_residuals().min() == pytest.approx(ref["scaled_residual_quantiles"][0], rel=2e-3)
    assert str(fit.summary()).splitlines()[:3] == ref["summary_text"][:3]


def test_negative_binomial_shape_is_estimated():
    """glmer.nb(y ~ x + (1 | gg), nbsim): shape 1.9255."""
    frame = pd.read_csv(str((__import__("references").FOLDER) / "data" / "nbsim.csv"))
    fit, ref = brim.glmer("y ~ x + (1 | gg)", frame, "negbinomial"), MORE["nb_glmer"]
    assert fit.criterion == pytest.approx(-2 * ref["logLik"], abs=5e-5)
    assert fit.family.shape == pytest.approx(1.9255, rel=1e-3)
    assert fit.fixef()["Estimate"].to_numpy() == pytest.approx(matrix(ref["coef"])[:, 0], rel=1e-3)
    assert fit.npar == ref["df"]


@pytest.mark.parametrize("family", ["binomial", "binomial(probit)", "binomial(cloglog)"])
def test_the_gradient_is_that_of_the_criterion(family):
    fit = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp"), family)
    law, x = fit.laplace, fit.minimum.x + 0.1
    numeric = [(law(x + h)[0] - law(x - h)[0]) / 2e-5 for h in np.eye(len(x)) * 1e-5]
    assert law(x)[1] == pytest.approx(np.array(numeric), abs=2e-6)


@pytest.mark.parametrize("family", ["binomial", "binomial(probit)", "binomial(cloglog)", "poisson", "poisson(sqrt)"])
def test_a_fit_is_pickled(family):
    rows = brim.load_data("cbpp")
    left = "cbind(incidence, size - incidence)" if family.startswith("binomial") else "incidence"
    fit = brim.glmer(f"{left} ~ period + (1 | herd)", rows, family)
    copy = pickle.loads(pickle.dumps(fit))
    assert copy.predict(rows, type="response") == pytest.approx(fit.fitted(), rel=1e-12)
    assert str(copy.summary()) == str(fit.summary())


def test_profiles_and_tests_of_a_binomial_model():
    fit, ref = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp")), MORE["cbpp_glmer"]
    assert fit.confint().to_numpy() == pytest.approx(matrix(ref["profile"]["value"]), rel=1e-3)
    assert fit.confint(method="Wald").to_numpy()[1:] == pytest.approx(matrix(ref["wald"]["value"])[1:], rel=1.5e-2, abs=1e-2)
    dropped = fit.drop1().table.to_numpy(float)[1]
    assert dropped == pytest.approx([3, 213.6630704, 25.6099376, 1.151006489e-05], rel=1e-3)
    population = fit.predict(brim.load_data("cbpp").iloc[:6], re_form=False, type="response")
    assert population == pytest.approx(ref["predict_resp_NA"]["value"]["values"], rel=1e-3)
    assert fit.predict(type="response") == pytest.approx(fit.fitted(), abs=1e-12)


#: glmer(, sim, control = glmerControl(tolPwrss = 1e-13, optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))) of lme4 1.1-31: -2 logLik,
#: coefficients, their standard errors, theta, sigma, the conditional variances of two levels, two scaled residuals. With lme4's own
#: tolPwrss of 1e-7 standard errors are up to 1 % off these.
TIGHT = {
    ("ypos ~ x + (1 | g)", "Gamma('log')", ""): (
        (219.427423385581, 0.5373234248434, 0.7583003350006),
        (0.2106188993326, 0.5884985393029, 0.1836020680009, 0.08895809732312),
        (0.04270916787693, 0.04270916787693, 1.623485097145, 0.5251991457869),
    ),
    ("ypos ~ x + (1 | g)", "Gamma", "w"): (
        (278.64493430635, 0.3525549601603, 0.8853067900527),
        (0.8955422197768, -0.2905467721246, 0.1402625279699, 0.05063226732096),
        (0.008497053276415, 0.02768055389555, 0.6824534869634, 0.8819911681656),
    ),
    ("ypos ~ x + f3 + (1 | g)", "inverse.gaussian('log')", ""): (
        (255.7024270487, 0.5893636359139, 0.764458542043),
        (0.091520813, 0.670525022, 0.187168806, 0.31089645, 0.276987201, 0.141570315, 0.348213359, 0.337911877),
        (0.07316571814851, 0.04757120020799, 2.055148339161, 0.2607664742417),
    ),
    ("cbind(ysucc, ntr - ysucc) ~ x + (1 | g)", "binomial('cauchit')", ""): (
        (321.820310641189, 0.5662819789631, 1.0),
        (0.1486360878678, 0.3642937231817, 0.2020288711181, 0.08944408428764),
        (0.04789178333724, 0.03917632116218, -0.1006027682279, 1.474370804135),
    ),
    ("cbind(ysucc, ntr - ysucc) ~ f3 + (1 | g)", "binomial('log')", ""): (
        (341.435234759249, 0.290181924725, 1.0),
        (-0.5894893151686, -0.01947330347163, -0.1186011583945, 0.1113074002841, 0.07521810533099, 0.08325989861114),
        (0.004332303594991, 0.01194498728671, -1.720926479251, 1.023861756264),
    ),
    ("ycount ~ x + (1 | g)", "poisson", ""): (
        (287.041294107139, 0.2985778758973, 1.0),
        (0.3283301493504, 0.548904481534, 0.1393356477523, 0.09946113222816),
        (0.02963662827016, 0.03448422760482, 3.04684494181, -1.125146103326),
    ),
}


@pytest.mark.parametrize("key", TIGHT, ids=[f"{family}{weights}" for _, family, weights in TIGHT])
def test_a_fit_is_that_of_lme4_with_a_tight_stop(key):
    """Families with a dispersion and links besides the usual; standard errors too, which lme4's default stop moves."""
    formula, family, weights = key
    (criterion, theta, sigma), coef, rest = TIGHT[key]
    fit = brim.glmer(formula, data("sim"), family, weights=weights or None)
    assert -1e-6 < fit.criterion - criterion < 1e-8
    assert [*fit.beta, *np.sqrt(np.diag(fit.covariance))] == pytest.approx(coef, rel=1e-4)
    assert [fit.theta[0], fit.sigma] == pytest.approx([theta, sigma], rel=1e-5)
    assert [*fit.ranef()["g"].attrs["postVar"][:2].ravel(), *fit.scaled_residuals()[:2]] == pytest.approx(rest, rel=2e-5)
    assert list(fit.VarCorr()["grp"]) == (["g", "Residual"] if sigma != 1 else ["g"])
    assert fit.npar == len(coef) // 2 + (2 if sigma != 1 else 1)


@pytest.mark.parametrize("family", ["Gamma('log')", "Gamma('inverse')", "gaussian('log')", "inverse.gaussian('log')"])
def test_the_gradient_with_a_dispersion_is_that_of_the_criterion(family):
    law = brim.glmer("ypos ~ x + (1 | g)", data("sim"), family).laplace
    x = np.array([0.5, 0.7, -0.1])
    numeric = [(law(x + h)[0] - law(x - h)[0]) / 2e-4 for h in np.eye(3) * 1e-4]
    assert law(x)[1] == pytest.approx(np.array(numeric), rel=1e-4, abs=1e-4)


def test_simulated_responses_have_the_dispersion():
    """``Var(y) = sigma^2 mu^2`` and ``sigma^2 mu^3`` given the effects."""
    for family, power in (("Gamma('log')", 2), ("inverse.gaussian('log')", 3)):
        fit = brim.glmer("ypos ~ x + (1 | g)", data("sim"), family)
        scaled = (fit.simulate(2000, seed=1, re_form=None) - fit.fitted()) / fit.fitted() ** (power / 2)
        assert scaled.std() == pytest.approx(fit.sigma, rel=0.02)


def test_what_cannot_be_fitted_is_an_error():
    with pytest.raises(brim.BrimError, match="without a dispersion"):
        brim.glmer("ypos ~ x + (1 | g)", data("sim"), "Gamma", nAGQ=5)
    with pytest.raises(brim.BrimError, match="is not positive"):
        brim.glmer("y ~ x + (1 | g)", data("sim"), "Gamma")
    with pytest.raises(brim.BrimError, match="there is no profile"):
        brim.glmer("ypos ~ x + (1 | g)", data("sim"), "Gamma('log')").confint()
    cbpp = brim.load_data("cbpp")
    with pytest.raises(brim.BrimError, match="no family 'gama'"):
        brim.glmer("incidence ~ period + (1 | herd)", cbpp, "gama")
    with pytest.raises(brim.BrimError, match="is not between 0 and 1"):
        brim.glmer("incidence ~ period + (1 | herd)", cbpp)
    with pytest.raises(brim.BrimError, match="single grouping factor"):
        brim.glmer("incidence ~ 1 + (1 | herd) + (1 | period)", cbpp, "poisson", nAGQ=5)
