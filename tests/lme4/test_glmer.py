"""Generalized linear mixed models against lme4 1.1-31 and glmmTMB's criterion, and their gradients."""

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


def test_profiles_and_tests_of_a_binomial_model():
    fit, ref = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp")), MORE["cbpp_glmer"]
    assert fit.confint().to_numpy() == pytest.approx(matrix(ref["profile"]["value"]), rel=1e-3)
    assert fit.confint(method="Wald").to_numpy()[1:] == pytest.approx(matrix(ref["wald"]["value"])[1:], rel=1.5e-2, abs=1e-2)
    dropped = fit.drop1().table.to_numpy(float)[1]
    assert dropped == pytest.approx([3, 213.6630704, 25.6099376, 1.151006489e-05], rel=1e-3)
    population = fit.predict(brim.load_data("cbpp").iloc[:6], re_form=False, type="response")
    assert population == pytest.approx(ref["predict_resp_NA"]["value"]["values"], rel=1e-3)
    assert fit.predict(type="response") == pytest.approx(fit.fitted(), abs=1e-12)


def test_what_cannot_be_fitted_is_an_error():
    cbpp = brim.load_data("cbpp")
    with pytest.raises(brim.BrimError, match="no family 'gama'"):
        brim.glmer("incidence ~ period + (1 | herd)", cbpp, "gama")
    with pytest.raises(brim.BrimError, match="is not between 0 and 1"):
        brim.glmer("incidence ~ period + (1 | herd)", cbpp)
    with pytest.raises(brim.BrimError, match="single grouping factor"):
        brim.glmer("incidence ~ 1 + (1 | herd) + (1 | period)", cbpp, "poisson", nAGQ=5)
