"""Nonlinear mixed models against lme4 1.1-31."""

import numpy as np
import pytest

import brim
from brim.language.expand import deparse, parse
from brim.lme4.selfstart import CURVES, written_out
from references import reference

START = {"Asym": 200, "xmid": 725, "scal": 350}


@pytest.fixture(scope="module")
def orange():
    return brim.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", brim.load_data("orange"), START)


def test_a_logistic_curve_of_trees(orange):
    ref = reference("lme4_more")["orange_nlmer"]
    assert orange.criterion == pytest.approx(-2 * ref["logLik"], abs=5e-5)
    table = np.reshape(ref["coef"]["values"], ref["coef"]["dim"], order="F")
    assert orange.fixef().to_numpy() == pytest.approx(table, rel=1e-4)
    assert list(orange.fixef().index) == list(START)
    assert orange.theta == pytest.approx([ref["theta"]], rel=1e-5)
    assert orange.VarCorr()["sdcor"].to_numpy() == pytest.approx(ref["varcorr"]["sdcor"], rel=1e-5)
    assert orange.ranef()["Tree"]["Asym"].to_numpy() == pytest.approx(ref["ranef"]["Tree"]["values"]["Asym"], rel=1e-4)
    assert orange.fitted()[:12] == pytest.approx(ref["fitted_head"], rel=1e-5)
    assert (orange.npar, orange.nobs(), orange.AIC()) == (5, 35, pytest.approx(ref["AIC"], abs=1e-4))
    assert str(orange.summary()).splitlines()[0] == ref["summary_text"][0]


def test_predictions_and_simulations(orange):
    frame = brim.load_data("orange")
    assert orange.predict(frame) == pytest.approx(orange.fitted(), abs=1e-9)
    b = orange.fixef()["Estimate"]
    assert orange.predict(frame, re_form=False) == pytest.approx(b["Asym"] / (1 + np.exp((b["xmid"] - frame["age"]) / b["scal"])), rel=1e-9)
    spread = orange.simulate(200, seed=1, re_form=None).std(axis=0).mean()
    assert spread == pytest.approx(orange.sigma, rel=0.05)


def test_what_cannot_be_fitted_is_an_error():
    frame = brim.load_data("orange")
    with pytest.raises(brim.BrimError, match="three parts"):
        brim.nlmer("circumference ~ age + (1 | Tree)", frame, START)
    with pytest.raises(brim.BrimError, match="is not a parameter in start"):
        brim.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ (age | Tree)", frame, START)
    with pytest.raises(brim.BrimError, match="needs start"):
        brim.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", frame)
    with pytest.raises(brim.BrimError, match="did you mean 'SSlogis'"):
        brim.nlmer("circumference ~ SSlogs(age, Asym, xmid, scal) ~ Asym | Tree", frame, START)


def test_curves_are_written_with_their_arguments():
    for name, (arguments, _) in CURVES.items():
        text = deparse(written_out(parse(f"{name}({', '.join(arguments)})")))
        assert all(f"({a})" in text for a in arguments)
