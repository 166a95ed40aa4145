"""Where chains start: within bounds that the data set; and what is said when no place is found."""

import numpy as np
import pytest

import brim
from brim import BrimError, bf, prior
from brim.infer.target import Target

RUN = {"chains": 1, "iter": 40, "seed": 1, "progress": False}


def rows(n=60):
    rng = np.random.default_rng(2)
    x = rng.normal(size=n)
    return {
        "x": x,
        "y": x + rng.normal(size=n),
        "q": rng.gamma(3, 0.3, n) + 0.3,
        "dec": (rng.random(n) < 0.7).astype(int),
        "g": rng.integers(0, 8, n),
        "count": rng.poisson(2, n),
    }


@pytest.mark.default_precision
@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(bf("q | dec(dec) ~ x", "ndt ~ x"), marks=pytest.mark.slow),
        pytest.param(bf("q | dec(dec) ~ x", "ndt ~ 0 + Intercept + x"), marks=pytest.mark.slow),
        bf("q | dec(dec) ~ x", "ndt ~ x + (1 | g)"),
        pytest.param(bf("q | dec(dec) ~ x", "bs ~ x", "ndt ~ x", "bias ~ x"), marks=pytest.mark.slow),
    ],
)
def test_non_decision_times_start_below_the_responses(formula):
    fit = brim.brm(formula, rows(), family="wiener", **{**RUN, "chains": 3})
    ndt = fit.posterior_linpred(dpar="ndt")
    assert np.all(np.exp(ndt) < rows()["q"])


@pytest.mark.parametrize("family", ["wiener", "shifted_lognormal"])
def test_the_intercept_of_a_bounded_parameter_starts_at_half_the_bound(family):
    left = "q | dec(dec)" if family == "wiener" else "q"
    fit = brim.brm(bf(f"{left} ~ x", "ndt ~ x"), rows(), family=family, empty=True)
    (param,) = (p for p in fit.model.params if p.name == "Intercept_ndt")
    assert float(np.ravel(param.center)[0]) == pytest.approx(np.log(0.5 * rows()["q"].min()))


def test_an_intercept_that_starts_low_enough_stays():
    fit = brim.brm(
        bf("q ~ x", "ndt ~ x"),
        rows(),
        family="shifted_lognormal",
        prior=prior("normal(-4, 1)", class_="Intercept", dpar="ndt"),
        empty=True,
    )
    (param,) = (p for p in fit.model.params if p.name == "Intercept_ndt")
    assert float(np.ravel(param.center)[0]) == -4.0


def test_later_tries_are_nearer_to_the_center():
    center = np.array([3.0, -1.0])
    target = Target(2, lambda q, d: 0.0, {}, lambda rng: center + rng.uniform(-1, 1, 2), lambda q, d: {}, center=center)
    away = [np.abs(target.first(np.random.default_rng(1), attempt) - center).max() for attempt in (0, 9, 10, 30, 99)]
    assert away[0] == away[1]
    assert away[2:] == pytest.approx([away[0] * 0.8**k for k in (1, 21, 90)])


@pytest.mark.default_precision
def test_large_units_of_a_predictor_start_nearer():
    """exp(1e6 x b) is infinite for b of order 1."""
    data = {**rows(), "x": 1e6 * rows()["x"]}
    fit = brim.brm("count ~ x", data, family="poisson", **RUN)
    assert abs(fit.fixef().loc["x", "Estimate"]) < 1e-5


# --------------------------------------------------------------------------- no place to start


def said(formula, data=None, priors=None, **more):
    with pytest.raises(BrimError) as error:
        brim.brm(formula, rows() if data is None else data, prior=priors, **{**RUN, **more})
    return str(error.value)


@pytest.mark.default_precision
def test_rows_without_a_density_are_named():
    x = rows()["x"].copy()
    x[3] = 1e200
    text = said("y ~ 0 + x", {**rows(), "x": x}, prior("normal(1, 1)", class_="b"), init=0)
    assert "the likelihood of row 3 (counted from 0) is not finite there; row 3 has y = " in text
    assert "x = 1e+200" in text


@pytest.mark.default_precision
def test_rows_of_a_subset_are_counted_in_the_data():
    x = rows()["x"].copy()
    x[7] = 1e200
    data = {**rows(), "x": x, "keep": np.arange(60) > 4}
    text = said("y | subset(keep) ~ 0 + x", data, prior("normal(1, 1)", class_="b"), init=0)
    assert "the likelihood of row 7 (counted from 0)" in text
    assert "'x' is 1e+200 in row 7" in said("y | subset(keep) ~ x", data, prior("normal(1, 1)", class_="b"), init=0)  # the mean is too


@pytest.mark.default_precision
def test_a_prior_without_density_is_named():
    assert "the prior of 'b' is not finite at [0.0]" in said("y ~ x", priors=prior("uniform(5, 6)", class_="b"))


@pytest.mark.default_precision
def test_nonlinear_parameters_without_prior_are_named():
    text = said(bf("y ~ log(a - a) + b", "a + b ~ 1", nl=True), priors=prior("normal(0, 1)", nlpar="b"))
    assert "the nonlinear parameters 'a_Intercept' have no prior" in text


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ x + offset(o)", "row 4"),
        ("y ~ x + offset(log(t))", "row 0 (counted from 0)"),
        ("y | se(t) ~ x", "se() needs values > 0 (or sigma = TRUE); row 0"),
    ],
)
def test_values_that_leave_no_density_are_told_before_sampling(formula, words):
    data = {**rows(), "o": np.where(np.arange(60) == 4, np.inf, 0.0), "t": np.where(np.arange(60) == 0, 0.0, 1.0)}
    with pytest.raises(BrimError) as error:
        brim.brm(formula, data, empty=True)
    assert words in str(error.value)
    assert "^" in str(error.value)


def test_a_known_error_of_zero_beside_an_estimated_one():
    data = {**rows(), "t": np.where(np.arange(60) == 0, 0.0, 1.0)}
    assert brim.brm("y | se(t, sigma = TRUE) ~ x", data, empty=True).nobs() == 60
