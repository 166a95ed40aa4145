"""What a newcomer does wrong: each ends in brim's error, which marks the token and says what to do; what it says works."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import BrimError, bf, brm, poisson, prior

N = 12
D = pd.DataFrame(
    {
        "y": np.linspace(-1, 1, N),
        "x": np.arange(N) % 5 / 4.0,
        "k": np.arange(N) % 4,
        "b": np.arange(N) % 2,
        "g": np.resize(list("abc"), N),
        "empty": np.full(N, np.nan),
    }
)


def said(formula, data=D, *args, **options):
    with pytest.raises(BrimError) as error:
        brm(formula, data, *args, empty=True, **options)
    return str(error.value)


def built(formula, data=D, *args, **options):
    return brm(formula, data, *args, empty=True, **options)


@pytest.mark.parametrize(
    ("data", "use"),
    [
        (D.to_dict("records"), "pandas.DataFrame(data) makes one of it"),
        (D[["y", "x"]].to_records(index=False), "pandas.DataFrame(data) makes one of it"),
        (D[["y", "x"]].to_numpy(), "pandas.DataFrame(data, columns=['y', 'x'])"),
        (D[["y", "x"]].to_numpy().tolist(), "pandas.DataFrame(data, columns=['y', 'x'])"),
        (D.groupby("g"), "give the frame before groupby()"),
        (pd.concat([D, D[["x"]]], axis=1), "the data repeat a column name: - 'x' 2 times"),
        (D.set_index("x"), "it is the index of the data: data.reset_index() makes a column of it"),
        ({"y": D["y"].iloc[:6], "x": D["x"].iloc[6:]}, "the columns 'y' and 'x' are Series with different indexes"),
        ("gpa", "write data=brim.load_data('gpa')"),
    ],
)
def test_data_that_are_no_frame(data, use):
    assert use in said("y ~ x", data)


def test_what_is_said_of_data_works():
    for data in (D.to_dict("records"), D[["y", "x"]].to_records(index=False)):
        assert built("y ~ x", pd.DataFrame(data)).nobs() == N
    assert built("y ~ x", pd.DataFrame(D[["y", "x"]].to_numpy(), columns=["y", "x"])).nobs() == N
    assert built("y ~ x", D.set_index("x").reset_index()).nobs() == N
    assert built("y ~ x", {"y": D["y"].iloc[:6].to_numpy(), "x": D["x"].iloc[6:].to_numpy()}).nobs() == 6
    assert built("y ~ x", {"y": D["y"].iloc[:6], "x": D["x"].iloc[:6]}).nobs() == 6


@pytest.mark.parametrize(
    ("formula", "family", "marked", "use"),
    [
        ("y ~ x", "poisson", "^", "gaussian, gamma or lognormal take numbers that are no counts"),
        ("b ~ x", "beta", "^", "zero_one_inflated_beta and xbeta take 0 and 1, too"),
        ("k ~ x", "bernoulli", "^", "binomial takes counts of successes"),
        ("y ~ x", "gamma", "^", "hurdle_gamma and hurdle_lognormal take zeros"),
        ("y ~ empty", "gaussian", "", "column 'empty' has no value at all"),
        ("y ~ log(x)", "gaussian", "^^^^^^", "log(x) is not finite in"),
        ("y ~ np.log(k)", "gaussian", "^^^^^^^^^", "write log(...)"),
        ("y ~ x + weights(k)", "gaussian", "^^^^^^^^^^", "write y | weights(k) ~ ..."),
    ],
)
def test_columns_that_do_not_fit(formula, family, marked, use):
    text = said(formula, D, family)
    assert use in text
    assert marked in text


def test_text_that_holds_numbers_as_response():
    rows = D.assign(y=D["y"].astype(str))
    assert "pandas.to_numeric" in said("y ~ x", rows)
    assert built("y ~ x", rows.assign(y=pd.to_numeric(rows["y"], errors="coerce"))).nobs() == N


def test_an_infinite_value():
    rows = D.assign(x=np.where(np.arange(N) == 3, np.inf, D["x"]))
    assert "data.replace([numpy.inf, -numpy.inf], numpy.nan)" in said("y ~ x", rows)
    with pytest.warns(brim.BrimWarning, match="1 row with missing values"):
        assert built("y ~ x", rows.replace([np.inf, -np.inf], np.nan)).nobs() == N - 1


def test_arguments_in_other_places():
    assert 'brm("y ~ x", data)' in said(D, "y ~ x")
    assert 'bf("y ~ x", "sigma ~ x")' in said(["y ~ x", "sigma ~ x"])
    assert "'sampling' is the no-U-turn sampler" in said("y ~ x", algorithm="nuts")
    with pytest.raises(BrimError, match=r"give data2, knots, .* by name"):
        brm("y ~ x", D, "gaussian", None, 4)
    assert built("y ~ x", sample_prior=True, prior=prior("normal(0, 1)")).settings.sample_prior == "yes"
    assert built("b ~ x", D, ("bernoulli", "probit")).model.responses[0].family.links == {"mu": "probit"}
    with pytest.raises(BrimError, match=r"(?s)links of poisson's mu: log, identity"):
        poisson("logit")


def test_nonlinear_formulas_without_nl():
    text = said(bf("y ~ a * exp(-b1 * x)", "a + b1 ~ 1"))
    assert "a nonlinear formula needs bf(..., nl=True)" in text
    assert "bf(..., 'a ~ 1', nl=True)" in said(bf("y ~ a * exp(-x)", nl=True))
    assert built(bf("y ~ a * exp(-x)", "a ~ 1", nl=True), prior=prior("normal(0, 1)", nlpar="a")).nobs() == N


def test_priors():
    for wrong in ("klass", "class"):
        with pytest.raises(BrimError, match=r"(?s)did you mean 'class_'"):
            prior("normal(0, 1)", **{wrong: "b"})
    text = said("y ~ x", prior=prior("normal(0, 1)", coef="Intercept"))
    assert "class_='Intercept'" in text
    assert built("y ~ x", prior=prior("normal(0, 1)", class_="Intercept")).nobs() == N


PUBLIC = sorted(n for n in (*brim._HOMES, *brim._FAMILIES) if not isinstance(getattr(brim, n), type))


@pytest.mark.parametrize("name", PUBLIC)
def test_no_function_ends_in_a_type_error(name):
    """An unknown argument, and none at all."""
    for options in ({"spam": 1}, {}):
        try:
            getattr(brim, name)(**options)
        except BrimError:
            continue


def test_what_is_no_part_of_a_formula_or_family():
    for wrong, use in (
        (lambda: bf("y ~ x") + 3, "3 cannot be added to a formula"),
        (lambda: bf("y ~ x") + bf("k ~ x") + 3, "3 cannot be added to a formula"),
        (lambda: brim.set_rescor("yes"), "give True or False"),
        (lambda: brim.custom_family("f", 3), "has no function that gives the distribution"),
        (lambda: brim.from_brms(3, "y ~ x", D), "no table of draws"),
        (lambda: brim.brmsfamily("gausian"), "did you mean 'gaussian'"),
    ):
        with pytest.raises(BrimError, match=use):
            wrong()


def test_re_formula_in_other_words():
    fit = built("y ~ x + (1 | g)")
    fit = fit.with_draws({v: [1.0, 2.0] for v in fit.variables()})
    for wrong in ("NA", "NULL", True, 3):
        with pytest.raises(BrimError, match=r"(?s)None takes all group effects, False none"):
            fit.posterior_epred(re_formula=wrong)
    np.testing.assert_array_equal(fit.posterior_epred(re_formula=False), fit.posterior_epred(re_formula=np.nan))


@pytest.mark.parametrize(
    ("formula", "marked", "use"),
    [
        ("y ~ (1 | gr(g, covv = A))", "^^^^", "did you mean 'cov'"),
        ("y ~ x + (s(x) | g)", "^^^^", "s(x, g, bs = 'fs') is a curve for each level of g"),
        ("y ~ s(x, bs = \u201ccr\u201d)", "^", 'write a straight quote: "'),
        ("y ~ x \u2212 1", "^", "write a minus: -"),
        ("y ~ log(y)", "^^^^^^", "or choose a function that is defined there"),
    ],
)
def test_what_is_written_wrong_is_marked(formula, marked, use):
    text = said(formula)
    assert use in text
    assert f" {marked}\n" in text


def test_more_of_priors_and_matrices():
    with pytest.raises(BrimError, match="did you mean 'horseshoe'"):
        prior("horshoe(1)")
    assert "class_='cor'" in said("y ~ x", prior=prior("lkj(2)"))
    assert "data2={'A': matrix}" in said("y ~ x", data2=[1])
    assert "thres(3)" in said("k1 | thres(1) ~ x", D.assign(k1=D["k"] + 1), "cumulative")
    assert built("k1 | thres(3) ~ x", D.assign(k1=D["k"] + 1), "cumulative").nobs() == N


def test_default_priors_of_a_fit():
    fit = built("k ~ x + (1 | g)", D, "poisson", prior=prior("normal(0, 1)"))
    table = brim.default_prior("k ~ x + (1 | g)", D, "poisson")
    pd.testing.assert_frame_equal(brim.default_prior(fit), table)
    with pytest.raises(BrimError, match="data of type NoneType"):
        brim.default_prior("k ~ x")
