"""How priors are written and matched: vectors, tables, several at once, bounds of a group, what update keeps, and mistakes."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import BrimError, BrimWarning, bf, brm, default_prior, prior
from brim.language.update import updated
from brim.parameters.text import parse_prior

D = pd.DataFrame(
    {
        "y": np.arange(24.0) % 7,
        "x": np.arange(24.0) % 5,
        "z": np.arange(24.0) % 3,
        "g": list("abcd") * 6,
        "h": list("uvw") * 8,
        "k": [1, 2, 3, 4] * 6,
    }
)


def table(formula, *args, **kwargs):
    fit = brm(formula, D, *args, empty=True, **kwargs)
    return {(r.class_, r.coef, r.group, r.dpar): r for r in fit.model.rows}


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("dirichlet(c(2, 1, 3))", (2, 1, 3)),
        ("dirichlet(1:3)", (1, 2, 3)),
        ("dirichlet(3:1)", (3, 2, 1)),
        ("dirichlet(c(1, 2:3), 4)", (1, 2, 3, 4)),
        ("dirichlet(rep(0.5, 3))", (0.5, 0.5, 0.5)),
        ("normal(0, sqrt(2) * (1 + 1e-0))", (0, 2 * np.sqrt(2))),
        ("normal(-log(2), 2^-1)", (-np.log(2), 0.5)),
        ("lkj_corr(2)", (2,)),
        ("dirichlet([1, 2.5]')", (1, 2.5)),
    ],
)
def test_numbers_of_a_prior(text, args):
    assert parse_prior(text).args == pytest.approx(args)


@pytest.mark.parametrize(
    "text",
    "normal(0, 1/0)|normal(0, 0^-1)|normal(9^9^9^9, 1)|normal(log(0), 1)|normal(sqrt(-1), 1)|normal(exp(1e4), 1)|normal((-8)^(1/3), 1)"
    "|normal(1e400, 1)|normal(0, 1e400L)|dirichlet(1:1e12)|dirichlet(1:Inf)|normal(NA, 1)|normal(0, Inf)|dirichlet(c())|normal(c(1, 2), 1)"
    "|constant(c())|normal(x = 1)|normal|1|horseshoe(TRUE + 1)|R2D2(cons_D2 = NULL)|gamma(-1, 2)|uniform(2, 1)|foo(1)".split("|"),
)
def test_what_is_no_prior_is_an_error_of_brim(text):
    with pytest.raises(BrimError):
        brm("y ~ x", D, prior=prior(text), empty=True)


@pytest.mark.parametrize(
    "bounds",
    [
        {"ub": "b"},
        {"lb": np.nan},
        {"lb": np.inf},
        {"lb": 2, "ub": 1},
        {"lb": [1, 2], "coef": ["a", "b", "c"]},
    ],
)
def test_bounds_that_are_none(bounds):
    with pytest.raises(BrimError):
        prior("normal(0, 1)", **bounds)


def test_an_infinite_upper_bound_is_none():
    assert prior("normal(0, 1)", lb=0, ub=np.inf).rows[0].ub is None


def test_simplex_prior_in_r_notation_has_the_density_of_scipy():
    fit = brm("y ~ mo(k)", D, prior=prior("dirichlet(c(2, 1, 3))", class_="simo", coef="mok1"), empty=True)
    values = {"b_Intercept": 1, "bsp_mok": 2, "sigma": 1, "simo_mok1[1]": 0.2, "simo_mok1[2]": 0.3, "simo_mok1[3]": 0.5}
    flat = brm("y ~ mo(k)", D, empty=True)  # dirichlet(1), density 2
    draws = pd.DataFrame({name: [float(v)] for name, v in values.items()})
    gain = fit.with_draws(draws).log_prior()[0] - flat.with_draws(draws).log_prior()[0]
    assert gain == pytest.approx(stats.dirichlet([2, 1, 3]).logpdf([0.2, 0.3, 0.5]) - np.log(2))


def test_several_at_once():
    rows = table(
        bf("y ~ x + z", "sigma ~ x"),
        prior=prior("normal(0, 2)", coef=["x", "z"]) + prior("normal(0, 3)", class_=["Intercept", "b"], dpar=["", "sigma"]),
    )
    assert [rows["b", c, "", ""].prior for c in "xz"] == ["normal(0, 2)"] * 2
    assert rows["Intercept", "", "", ""].prior == rows["b", "", "", "sigma"].prior == "normal(0, 3)"
    both = prior(["normal(0, 1)", "normal(0, 2)"], coef=["x", "z"])
    assert str(both) == repr(both) == "class = b, coef = x ~ normal(0, 1)\nclass = b, coef = z ~ normal(0, 2)"
    assert sum([prior("normal(0, 1)"), prior("exponential(1)", class_="sigma")]).rows[1].class_ == "sigma"


def test_a_table_of_priors():
    edited = default_prior("y ~ x + (1 | g)", D)
    assert brm("y ~ x + (1 | g)", D, prior=edited, empty=True).prior_summary().equals(edited)
    edited.loc[(edited["class"] == "b") & (edited["coef"] == ""), "prior"] = "normal(0, 10)"
    edited.loc[(edited["class"] == "sd") & (edited["group"] == ""), "ub"] = "3"
    rows = table("y ~ x + (1 | g)", prior=edited)
    assert rows["b", "", "", ""].prior == "normal(0, 10)"
    assert (rows["sd", "", "", ""].ub, rows["sd", "", "", ""].source) == (3.0, "user")
    assert rows["sigma", "", "", ""].source == "default"
    small = pd.DataFrame({"prior": ["normal(0, 1)", "exponential(2)"], "class": ["b", "sigma"], "lb": [0.0, np.nan]})
    rows = table("y ~ x", prior=small)
    assert (rows["b", "", "", ""].lb, rows["sigma", "", "", ""].prior) == (0.0, "exponential(2)")
    with pytest.raises(BrimError, match=r"no column 'klass'\ndid you mean 'class'"):
        brm("y ~ x", D, prior=pd.DataFrame({"prior": ["normal(0, 1)"], "klass": ["b"]}), empty=True)


def test_tags_are_kept():
    fit = brm("y ~ x", D, prior=prior("normal(0, 1)", tag="mine"), empty=True)
    assert list(fit.prior_summary().query("tag == 'mine'")["class"]) == ["b"]
    assert "tag" not in brm("y ~ x", D, empty=True).prior_summary()


def test_bounds_of_one_group():
    # brms 2.18: validate_prior(prior(normal(0, 1), class = sd, group = g, lb = 0.5, ub = 3), y ~ x + (1 + z | g) + (1 | h), d)
    fit = brm("y ~ x + (1 + z | g) + (1 | h)", D, prior=prior("normal(0, 1)", class_="sd", group="g", lb=0.5, ub=3), empty=True)
    params = {p.name: p for p in fit.model.params}
    assert (params["sd_1"].lb, params["sd_1"].ub, params["sd_2"].lb, params["sd_2"].ub) == (0.5, 3.0, 0.0, None)
    mass = stats.norm.cdf(3) - stats.norm.cdf(0.5)
    assert params["sd_1"].pieces[0].log_mass == pytest.approx(np.log(mass))
    with pytest.raises(BrimError, match="bounds cannot be set for a single coefficient"):
        brm("y ~ (1 + z | g)", D, prior=prior("normal(0, 1)", class_="sd", group="g", coef="z", lb=0.5), empty=True)


def test_a_correlation_matrix_held_constant():
    matrix = np.array([[1.0, 0.6], [0.6, 1.0]])
    held = {
        "constant(M)": {"M": matrix},
        "constant(cbind(c(1, 0.6), c(0.6, 1)))": None,
        "constant(0.6)": None,
        "constant(L)": {"L": np.linalg.cholesky(matrix)},
    }
    for text, data2 in held.items():
        fit = brm("y ~ x + (1 + x | g)", D, prior=prior(text, class_="cor"), data2=data2, empty=True)
        low = next(p for p in fit.model.params if p.name == "L_1")
        assert np.allclose(np.reshape(low.constant_values, (2, 2)), [[1, 0], [0.6, 0.8]])
    for wrong in ("constant(cbind(c(1, 2), c(2, 1)))", "constant(cbind(c(1, 0.6)))", "constant(N)", "constant(2)"):
        with pytest.raises(BrimError):
            brm("y ~ x + (1 + x | g)", D, prior=prior(wrong, class_="cor"), empty=True)


def test_a_simplex_held_constant():
    fit = brm("y ~ mo(k)", D, prior=prior("constant(c(0.2, 0.3, 0.5))", class_="simo", coef="mok1"), empty=True)
    assert next(p for p in fit.model.params if p.name.startswith("simo")).constant_values == (0.2, 0.3, 0.5)
    with pytest.raises(BrimError, match="no simplex of 3"):
        brm("y ~ mo(k)", D, prior=prior("constant(c(0.2, 0.3))", class_="simo", coef="mok1"), empty=True)


def test_shares_of_r2d2_by_coefficient():
    fit = brm("y ~ x + z", D, prior=prior("R2D2(cons_D2 = c(2, 0.5))"), empty=True)
    (term,) = [t for t in fit.model.shared if t.key.startswith("shrinkage")]
    phi = np.array([0.3, 0.7])
    assert float(term.log_density({"R2D2_phi": phi}, {})) == pytest.approx(stats.dirichlet([2, 0.5]).logpdf(phi), rel=1e-5)
    with pytest.raises(BrimError, match="cons_D2 has 3 values for 2 scales"):
        brm("y ~ x + z", D, prior=prior("R2D2(cons_D2 = 1:3)"), empty=True)


def test_two_priors_for_one_address():
    twice = prior("normal(0, 1)") + prior("normal(0, 9)")
    with pytest.raises(BrimError, match=r"two priors are given for class = b: normal\(0, 1\) and normal\(0, 9\)"):
        brm("y ~ x", D, prior=twice, empty=True)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"class_": "sd", "coef": "x"}, "say which: group = g"),
        ({"class_": "sd", "coef": "w", "group": "g"}, "coef = w: coef here: Intercept, x"),
        ({"class_": "sd", "group": "gg"}, "did you mean 'g'"),
        ({"coef": "xx"}, "did you mean 'x'"),
        ({"class_": "sigam"}, "did you mean 'sigma'"),
        ({"dpar": "sigma"}, "there is no"),
    ],
)
def test_hints_for_priors_that_match_nothing(given, hint):
    with pytest.raises(BrimError) as caught:
        brm("y ~ x + (1 + x | g)", D, prior=prior("normal(0, 1)", **given), empty=True)
    assert hint in str(caught.value) or hint == "there is no"
    assert "there are no" not in str(caught.value)


def test_a_hint_that_is_followed_works():
    for given in ({"class_": "sd", "coef": "x", "group": "g"}, {"class_": "sd", "group": "g"}, {"coef": "x"}):
        brm("y ~ x + (1 + x | g)", D, prior=prior("normal(0, 1)", **given), empty=True)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("gamma(2, 1)", {"class_": "b"}, "below 0"),
        ("uniform(0, 1)", {"class_": "b"}, "below 0 and above 1"),
        ("uniform(0, 10)", {"class_": "sigma"}, "above 10"),
        ("lognormal(0, 1)", {"coef": "x"}, "below 0"),
        ("inv_gamma(2, 1)", {"class_": "b", "lb": -1}, "below 0"),
        ("pareto(2, 1)", {"class_": "Intercept"}, "below 2"),
    ],
)
def test_a_prior_narrower_than_its_parameter_warns(text, where, words):
    with pytest.warns(BrimWarning, match=rf"has no mass {words}, where the parameter has no such bound"):
        brm("y ~ x", D, prior=prior(text, **where), empty=True)


def test_priors_within_bounds_are_silent():
    within = [prior("gamma(2, 1)", lb=0), prior("exponential(1)", class_="sigma"), prior("lognormal(0, 1)", class_="sd")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        brm("y ~ x + (1 | g)", D, prior=within, empty=True)


def test_update_merges_priors():
    fit = brm("y ~ x + z", D, prior=prior("normal(0, 1)") + prior("normal(0, 2)", coef="z"), empty=True)
    new = fit.update(prior=prior("normal(0, 3)", class_="b"), empty=True)
    rows = {(r.class_, r.coef): r.prior for r in new.model.rows}
    assert (rows["b", ""], rows["b", "z"]) == ("normal(0, 3)", "normal(0, 2)")
    less = fit.update("~ . - z", empty=True)
    assert [(r.prior, r.coef, r.kept) for r in less.priors] == [("normal(0, 1)", "", False)]
    with pytest.raises(BrimError, match="matches no parameter"):
        fit.update("~ . - z", prior=prior("normal(0, 1)", coef="z"), empty=True)


def test_update_of_formulas():
    fit = brm(bf("y ~ x", "sigma ~ x"), D, empty=True)
    assert str(fit.update(bf(". ~ . + z", "sigma ~ . + z"), empty=True).formula) == "y ~ x + z\nsigma ~ x + z"
    assert str(fit.update("~ . + z", empty=True).formula) == "y ~ x + z\nsigma ~ x"
    assert str(fit.update(bf("y ~ z", sigma=1), empty=True).formula) == "y ~ z\nsigma = 1"
    curve = brm(bf("y ~ a + exp(b)", "a + b ~ x", nl=True), D, empty=True)
    assert str(curve.update(". ~ . + 1", empty=True).formula).startswith("y ~ (a + exp(b)) + 1\na ~ x")
    assert curve.update(bf("y ~ a * x", "a ~ 1", nl=True), empty=True).formula.parameters == ("mu", "a")
    with pytest.raises(BrimError, match="several responses"):
        brm(brim.mvbf("y ~ x", "z ~ x"), D, empty=True).update("~ . + h", empty=True)


def test_updated_formulas_are_written_as_one_would():
    """Parentheses around the old sum go, and terms that are taken away, where the formula says the same without them."""
    fit = brm("y ~ x * z + (1 | h)", D, empty=True)
    for text, written in (
        ("~ . + w", "y ~ x * z + (1 | h) + w"),
        ("~ . - (1 | h)", "y ~ x * z"),
        ("~ . - x * z", "y ~ (1 | h)"),
        ("~ . - x:z", "y ~ x * z + (1 | h) - x:z"),
        ("~ . - 1", "y ~ x * z + (1 | h) - 1"),
        ("log(y) ~ .", "log(y) ~ x * z + (1 | h)"),
        ("~ . - x * z - (1 | h)", "y ~ 1"),
    ):
        assert str(updated(fit.formula, text)) == written
