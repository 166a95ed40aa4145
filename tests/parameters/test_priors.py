"""Prior laws against SciPy, bounds' mass by quadrature, and brms' rules of which row holds."""

import numpy as np
import pytest
from scipy import integrate, stats

import brim
from brim import prior
from brim.parameters.laws import LAWS
from brim.parameters.param import Param, Slot
from brim.parameters.prior import log_density, prior_args
from brim.parameters.resolve import resolve
from brim.parameters.text import parse_prior
from references import data

#: Stan's notation -> the same law in SciPy
SAME = {
    "normal(1, 2)": stats.norm(1, 2),
    "std_normal()": stats.norm(),
    "student_t(3, 1, 2.5)": stats.t(3, 1, 2.5),
    "cauchy(1, 2)": stats.cauchy(1, 2),
    "double_exponential(1, 2)": stats.laplace(1, 2),
    "logistic(1, 2)": stats.logistic(1, 2),
    "gumbel(1, 2)": stats.gumbel_r(1, 2),
    "lognormal(0.5, 0.7)": stats.lognorm(0.7, scale=np.exp(0.5)),
    "exponential(2)": stats.expon(scale=0.5),
    "gamma(2, 3)": stats.gamma(2, scale=1 / 3),
    "inv_gamma(3, 2)": stats.invgamma(3, scale=2),
    "chi_square(4)": stats.chi2(4),
    "inv_chi_square(4)": stats.invgamma(2, scale=0.5),
    "weibull(2, 3)": stats.weibull_min(2, scale=3),
    "frechet(2, 3)": stats.invweibull(2, scale=3),
    "beta(2, 3)": stats.beta(2, 3),
    "uniform(-1, 4)": stats.uniform(-1, 5),
    "pareto(0.2, 3)": stats.pareto(3, scale=0.2),
}


def density(text, x, **bounds):
    (param,), _ = resolve((Param("p", slots=(Slot("p", default=text),), **bounds),))
    return float(log_density(param, {"p": np.asarray(x)}, prior_args((param,))["p"]))


def test_every_law_is_compared():
    assert {parse_prior(text).law for text in SAME} == set(LAWS)


@pytest.mark.parametrize("text", SAME)
def test_law_is_scipys(text):
    law = SAME[text]
    for p in (0.1, 0.5, 0.8):
        x = law.ppf(p)
        assert density(text, x) == pytest.approx(law.logpdf(x), rel=1e-9)
        parsed = parse_prior(text)
        assert LAWS[parsed.law].cdf(x, *parsed.args) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(
    "text", ["normal(0.3, 2)", "student_t(3, 0, 2.5)", "cauchy(0, 1)", "logistic(0, 1)", "gamma(2, 0.1)", "lognormal(0, 1)", "gumbel(0, 1)"]
)
@pytest.mark.parametrize(("lb", "ub"), [(0.0, None), (None, 1.5), (0.5, 3.0)])
def test_density_between_bounds_integrates_to_one(text, lb, ub):
    low, high = -np.inf if lb is None else lb, np.inf if ub is None else ub
    if "gamma" in text or "lognormal" in text:
        low = max(low, 1e-12)
    total, _ = integrate.quad(lambda x: np.exp(density(text, x, lb=lb, ub=ub)), low, high, limit=200)
    assert total == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_lkj_of_two_is_a_scaled_beta(eta):
    """For a 2 x 2 correlation (r + 1) / 2 ~ beta(eta, eta); the factor's Jacobian is sqrt(1 - r^2)^0 for its one free entry."""
    (param,), _ = resolve((Param("L", (2, 2), (Slot("L", default=f"lkj_corr_cholesky({eta})"),), space="cholesky_corr"),))
    for r in (-0.6, 0.0, 0.9):
        low = np.array([[1.0, 0.0], [r, np.sqrt(1 - r * r)]])
        mine = float(log_density(param, {"L": low}, prior_args((param,))["L"]))
        assert mine == pytest.approx(stats.beta(eta, eta).logpdf((r + 1) / 2) - np.log(2), rel=1e-10)


def test_the_most_specific_prior_holds():
    """sd: coefficient before group before class."""
    given = (
        prior("exponential(1)", class_="sd")
        + prior("exponential(2)", class_="sd", group="g")
        + prior("exponential(3)", class_="sd", group="g", coef="x")
    )
    fit = brim.brm("y ~ x + (1 + x || g) + (1 | g2)", data=data("sim"), prior=given, empty=True)
    rates = {
        p.name: {i: piece.args for piece in p.pieces for i in (piece.index or range(p.size))}
        for p in fit.model.params
        if p.name.startswith("sd")
    }
    assert rates == {"sd_1": {0: (2.0,), 1: (3.0,)}, "sd_2": {0: (1.0,)}}


def test_user_rows_keep_their_text_and_source():
    table = brim.brm(
        "y ~ x + z", data=data("sim"), prior=prior("student_t(3,0,2)") + prior("normal(0.5,1)", coef="x"), empty=True
    ).prior_summary()
    rows = table[table["class"] == "b"].set_index("coef")[["prior", "source"]]
    assert rows.loc["x"].tolist() == ["normal(0.5,1)", "user"]
    assert rows.loc["z"].tolist() == ["", "default"]
    assert rows.loc[""].tolist() == ["student_t(3,0,2)", "user"]


def test_default_prior_is_the_table_of_the_model():
    sleep = brim.load_data("sleepstudy")
    table = brim.default_prior("Reaction ~ Days + (Days | Subject)", sleep)
    assert table["prior"].tolist() == [
        "",
        "",
        "student_t(3, 288.7, 59.3)",
        "lkj_corr_cholesky(1)",
        "",
        "student_t(3, 0, 59.3)",
        "",
        "",
        "",
        "student_t(3, 0, 59.3)",
    ]


@pytest.mark.parametrize(
    ("formula", "family", "intercept"),
    [
        # brms::get_prior(formula, sleepstudy, family)$prior of class Intercept, brms 2.18
        ("Reaction ~ Days + offset(off)", "gaussian", "student_t(3, 266.2, 59.3)"),
        ("bi ~ Days", brim.gaussian("log"), "student_t(3, -2.3, 2.5)"),
        ("y0 ~ Days", brim.gaussian("inverse"), "student_t(3, 10, 2.5)"),
        ("bi ~ Days", "bernoulli", "student_t(3, 0, 2.5)"),
    ],
)
def test_default_priors_follow_the_response(formula, family, intercept):
    d = brim.load_data("sleepstudy")
    d["off"] = 5.0 * d.Days
    d["bi"] = (d.Reaction > 300).astype(int)
    d["y0"] = np.where(d.bi == 1, d.Reaction, 0.0)
    table = brim.default_prior(formula, d, family)
    assert table.loc[table["class"] == "Intercept", "prior"].item() == intercept


def test_a_parameter_without_predictor_has_the_scale_of_the_response_itself():
    """brms::get_prior(Reaction ~ Days + (1 | Subject), sleepstudy, gaussian("log")): sd on the link's scale, sigma on the response's."""
    table = brim.default_prior("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), brim.gaussian("log")).set_index("class")
    assert table.loc["Intercept", "prior"] == "student_t(3, 5.7, 2.5)"
    assert table.loc["sigma", "prior"] == "student_t(3, 0, 59.3)"
    assert table.loc["sd", "prior"].tolist() == ["student_t(3, 0, 2.5)", "", ""]


@pytest.mark.parametrize("law", ["horseshoe(1)", "R2D2(0.5)", "lasso(1)"])
def test_joint_priors_do_not_go_with_one_of_every_coefficients_own(law):
    """They would be read by nothing."""
    d = {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 4.0], "z": [1.0, 0.0, 2.0, 2.0]}
    own = prior("normal(0, 1)", class_="b", coef="x") + prior("normal(0, 1)", class_="b", coef="z")
    with pytest.raises(brim.BrimError, match="single ones cannot have priors of their own"):
        brim.brm("y ~ x + z", d, prior=prior(law, class_="b") + own, empty=True)
