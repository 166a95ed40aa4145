"""What brms accepts beside the plain words: other names, bare bars, autocor, several families, normalised shares, two numbers."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import BrimError, acformula, bf, brm, mvbf

RNG = np.random.default_rng(3)
D = pd.DataFrame({name: RNG.normal(size=40) for name in ("y", "x", "z")})
D = D.assign(g=np.resize(list("abcdefgh"), 40), time=np.tile(np.arange(5), 8), tg=np.repeat(list("abcdefgh"), 5))
D["bin"], D["count"] = (D.y > 0).astype(int), RNG.poisson(3, 40)
D["ord"] = pd.Categorical(np.resize([1, 2, 3, 4], 40), ordered=True)


def at(fit, **values):
    """The fit with one draw: these values, 0.3 elsewhere, effects near zero."""
    names = [n for n in fit.variables() if n not in ("lprior", "lp__")]
    return fit.with_draws(pd.DataFrame({n: [values.get(n, 0.01 if n.startswith("r_") else 0.3)] for n in names}))


def same(one, two):
    assert one.variables() == two.variables()
    assert np.allclose(at(one).log_lik(), at(two).log_lik(), rtol=1e-12)


def test_bars_without_parentheses():
    # brms 2.18: get_prior(y ~ x + 1 | g, d) has no class b, sd of Intercept and x
    same(brm("y ~ x + 1 | g", D, empty=True), brm("y ~ (1 + x | g)", D, empty=True))
    same(brm("y ~ 1 | g", D, empty=True), brm("y ~ (1 | g)", D, empty=True))


@pytest.mark.parametrize("structure", ["ar(time, tg)", "arma(time, tg, cov = TRUE)", "cosy(time, tg)"])
def test_autocor_is_a_term_of_the_main_formula(structure):
    plain = brm(f"y ~ x + {structure}", D, empty=True)
    same(brm(bf("y ~ x", autocor=f"~ {structure}"), D, empty=True), plain)
    same(brm(bf("y ~ x") + acformula(f"~ {structure}"), D, empty=True), plain)


@pytest.mark.parametrize("structure", ["ar(time, tg)", "cosy(time, tg)"])
def test_autocor_beside_a_nonlinear_formula(structure):
    curve = brm(bf("y ~ a + b * x", "a + b ~ 1", nl=True, autocor=f"~ {structure}"), D, empty=True)
    line = brm(f"y ~ x + {structure}", D, empty=True)
    want = at(line, b_Intercept=0.2, b_x=0.7).log_lik()
    assert np.allclose(at(curve, b_a_Intercept=0.2, b_b_Intercept=0.7).log_lik(), want)


def test_names_of_families():
    for short, name in {"zi_poisson": "zero_inflated_poisson", "hu_gamma": "hurdle_gamma", "normal": "gaussian"}.items():
        assert brim.families.family(short).name == name
    with pytest.raises(BrimError, match="is no family"):
        brm("y ~ x", D, family=3, empty=True)


def test_a_family_for_each_response():
    listed = brm(mvbf("y ~ x", "count ~ x"), D, [brim.gaussian(), "poisson"], empty=True)
    assert [r.family.name for r in listed.model.responses] == ["gaussian", "poisson"]
    with pytest.raises(BrimError, match="3 families for 2 responses"):
        brm(mvbf("y ~ x", "count ~ x"), D, ["gaussian"] * 3, empty=True)


def test_fixed_proportions_sum_to_one():
    mixture = brim.mixture("gaussian", nmix=2)
    same(brm(bf("y ~ x", theta1=1, theta2=3), D, mixture, empty=True), brm(bf("y ~ x", theta1=0.25, theta2=0.75), D, mixture, empty=True))


@pytest.mark.parametrize(("low", "high"), [(1, 2), (-1, 1), (3, 10)])
def test_bernoulli_of_two_numbers(low, high):
    coded = D.assign(bin=np.where(D.bin == 1, high, low))
    fit, want = brm("bin ~ x", coded, "bernoulli", empty=True), brm("bin ~ x", D, "bernoulli", empty=True)
    same(fit, want)
    assert np.allclose(at(fit).log_lik(newdata=coded[:7]), at(want).log_lik(newdata=D[:7]))
    with pytest.raises(BrimError):
        brm("count ~ x", D, "bernoulli", empty=True)


def test_kernels_by_their_fraction():
    for fraction, decimal in {"matern32": "matern15", "matern52": "matern25"}.items():
        same(brm(f"y ~ gp(x, cov = '{fraction}')", D, empty=True), brm(f"y ~ gp(x, cov = '{decimal}')", D, empty=True))


def test_cat_counts_categories():
    same(brm("ord | cat(4) ~ x", D, "cumulative", empty=True), brm("ord | thres(3) ~ x", D, "cumulative", empty=True))


def test_default_priors_of_the_newest_brms():
    angle = brim.default_prior("a ~ 1", D.assign(a=np.tanh(D.y)), "von_mises")
    assert angle.loc[angle["class"] == "Intercept", "prior"].item() == "student_t(1, 0, 1)"
    share = brim.default_prior("p ~ 1", D.assign(p=0.5 + 0.5 * np.tanh(D.y)), "xbeta")
    assert share.loc[share["class"] == "kappa", "prior"].item() == "gamma(0.01, 0.01)"


def test_hints_for_several_formulas():
    with pytest.raises(BrimError, match=r"mvbf\('y ~ x', 'z ~ x'\)"):
        brm(bf("y ~ x", "z ~ x"), D, empty=True)
    with pytest.raises(BrimError, match=r"brm\(bf\('y ~ x', 'zi ~ x'\), data\)"):
        brm("y ~ x", "zi ~ x", empty=True)


def test_vectors_of_quantiles():
    fit = brm("y ~ cut(x, unique(quantile(x, c(0, 0.5, 1))), include.lowest = TRUE)", D, empty=True)
    name = next(n for n in fit.variables() if n.startswith("b_cut"))
    half = at(fit, b_Intercept=1.0, **{name: 2.0}).posterior_epred()[0]
    assert np.allclose(half, np.where(D.x > np.quantile(D.x, 0.5), 3.0, 1.0))


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ poly(x, z)", "poly() takes one column"),
        ("y ~ cut(x)", "cut() needs the argument 'breaks'"),
        ("y ~ cut(x, breaks = 3, brakes = 2)", "cut() has no argument 'brakes'"),
        ("y ~ log(x, 2, 3)", "log() has one argument too many"),
        ("y ~ round(x, c(1, 2))", "cannot be computed with these arguments"),
        ("y ~ quantile(x, 2)", "probabilities from 0 to 1"),
        ("1 ~ x", "the response '1' is a constant"),
    ],
)
def test_messages_are_brims_own(formula, words):
    with pytest.raises(BrimError) as caught:
        brm(formula, D, empty=True)
    assert words in str(caught.value)
    assert formula in str(caught.value)


def test_a_factor_of_two_levels_in_a_nonlinear_formula():
    # brms 2.18: make_standata(bf(y ~ a + b * f, a + b ~ 1, nl = TRUE), d)$C_1 is 0 for the first level, 1 for the second
    data = D.assign(f=np.where(D.bin == 1, "on", "off"))
    curve = brm(bf("y ~ a + b * f", "a + b ~ 1", nl=True), data, empty=True)
    line = brm("y ~ f", data, empty=True)
    got, want = at(curve, b_a_Intercept=0.2, b_b_Intercept=0.7), at(line, b_Intercept=0.2, b_fon=0.7)
    assert np.allclose(got.log_lik(), want.log_lik())
    assert np.allclose(got.posterior_epred(newdata=data[data.f == "on"]), 0.9)
    with pytest.raises(BrimError, match="a factor of 8 levels"):
        brm(bf("y ~ a + b * g", "a + b ~ 1", nl=True), data, empty=True)


def test_functions_of_the_users_own():
    own = {"bump": lambda v: np.exp(-(v**2)), "both": lambda a, b: a * b}
    fit = brm("y ~ bump(x) + I(both(x, z) / 2)", D, data2=own, empty=True)
    drawn = at(fit, b_Intercept=1.0)
    new = D[:5]
    want = 1.0 + 0.3 * np.exp(-(new.x**2)) + 0.3 * new.x * new.z / 2
    assert np.allclose(drawn.posterior_epred(newdata=new), want)
    with pytest.raises(BrimError, match=r"unknown function 'bmp'.*\n.*\n.*\ndid you mean 'bump'"):
        brm("y ~ bmp(x)", D, data2=own, empty=True)
    with pytest.raises(BrimError, match="the function bad\\(\\) fails: ZeroDivisionError"):
        brm("y ~ bad(x)", D, data2={"bad": lambda v: 1 / 0}, empty=True)
    with pytest.raises(BrimError, match="gives an array of shape"):
        brm("y ~ bad(x)", D, data2={"bad": lambda v: v[:3]}, empty=True)


def test_places_are_rows_without_a_grouping_factor():
    names = [f"{i:02d}" for i in range(40)]
    near = (np.abs(np.subtract.outer(range(40), range(40))) == 1).astype(float)
    plain = brm("y ~ x + car(W)", D, data2={"W": near}, empty=True)
    named = brm("y ~ x + car(W, gr = place)", D.assign(place=names), data2={"W": pd.DataFrame(near, index=names)}, empty=True)
    assert "rcar[40]" in plain.variables()
    assert np.allclose(at(plain).log_lik(), at(named).log_lik())
    assert np.allclose(at(plain).log_prior(), at(named).log_prior())
    with pytest.raises(BrimError, match="a row of other data"):
        at(plain).posterior_epred(newdata=D[:2])
    with pytest.raises(BrimError, match="has 8 rows, the data 40"):
        brm("y ~ car(W)", D, data2={"W": near[:8, :8]}, empty=True)
