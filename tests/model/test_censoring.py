"""Censored responses: cut at the window, at the end of the support, rows kept that use nothing missing, errors that name rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import brm
from brim.distributions.observe import log_lik
from brim.distributions.positive import LogNormal, Weibull
from brim.distributions.real import Normal
from brim.errors import BrimError
from brim.families.base import Dpar
from brim.families.compound import MassAtZero
from brim.families.counts import Binomial, NegBinomial, Poisson
from brim.families.links import LINKS
from brim.families.mixture import Mixture

LOGIT = LINKS["logit"]
ROWS = {"cens": np.array([0, -1, 1, 2, 2]), "y": np.array([2.0, 3, 1, 1, 2]), "y2": np.array([0.0, 0, 0, 3, 9])}


def drawn(model, **values):
    """The fit with one draw of these values."""
    return model.with_draws(pd.DataFrame({k: [float(v)] for k, v in values.items()}))


def hurdle(pmf, gate):
    return lambda y: gate * (y == 0) + (1 - gate) * np.where(y > 0, pmf(y), 0) / (1 - pmf(0.0))


def inflated(pmf, gate):
    return lambda y: gate * (y == 0) + (1 - gate) * pmf(y)


# law of a location eta, and its mass on whole numbers
COUNTS = {
    "poisson": (lambda eta: Poisson(eta), stats.poisson(2.5).pmf),
    "negbinomial": (lambda eta: NegBinomial(eta, np.log(1.5)), stats.nbinom(1.5, 1.5 / 4.0).pmf),
    "binomial": (lambda eta: Binomial(10.0, Dpar(eta - np.log(2.5) - np.log(3), LOGIT)), stats.binom(10, 0.25).pmf),
    "hurdle": (lambda eta: MassAtZero(Poisson(eta), Dpar(-1.0, LOGIT), True), hurdle(stats.poisson(2.5).pmf, 1 / (1 + np.e))),
    "inflated": (lambda eta: MassAtZero(Poisson(eta), Dpar(-1.0, LOGIT), False), inflated(stats.poisson(2.5).pmf, 1 / (1 + np.e))),
    "mixture": (
        lambda eta: Mixture((Poisson(eta), Poisson(eta + 1.0)), jnp.log(jnp.array([0.3, 0.7]))),
        lambda y: 0.3 * stats.poisson(2.5).pmf(y) + 0.7 * stats.poisson(2.5 * np.e).pmf(y),
    ),
}
WINDOWS = [
    {},
    {"lb": 1.0},
    {"ub": 6.0},
    {"lb": 1.0, "ub": 6.0},
    {"lb": np.array([0.0, 1, 0, -np.inf, 2]), "ub": np.array([np.inf, 6, 6, 2, 9])},
]


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("hurdle", WINDOWS[4]),
        *(pytest.param(name, WINDOWS[4], marks=pytest.mark.slow) for name in COUNTS if name != "hurdle"),
        *(pytest.param("poisson", w, marks=pytest.mark.slow) for w in WINDOWS[:4]),
    ],
)
def test_censored_counts_inside_a_window_add_up(name, window):
    law, pmf = COUNTS[name]
    grid = np.arange(0.0, 400.0)
    mass = pmf(grid)
    lower, upper = (np.broadcast_to(window.get(k, end), 5) for k, end in (("lb", -np.inf), ("ub", np.inf)))
    start = np.where(ROWS["cens"] >= 1, ROWS["y"], -np.inf)
    end = np.where(ROWS["cens"] == -1, ROWS["y"], np.where(ROWS["cens"] == 2, ROWS["y2"], np.inf))
    inside = (grid >= lower[:, None]) & (grid <= upper[:, None])
    seen = np.where((ROWS["cens"] == 0)[:, None], grid == ROWS["y"][:, None], (grid > start[:, None]) & (grid <= end[:, None]))
    want = np.log((mass * (seen & inside)).sum(1) / (mass * inside).sum(1))
    data = {k: jnp.asarray(v) for k, v in {**ROWS, **window}.items()}
    eta = jnp.full(5, np.log(2.5))
    values, slope = jax.jit(jax.vjp, static_argnums=0)(lambda e: log_lik(law(e), data["y"], data), eta)
    np.testing.assert_allclose(values, want, rtol=1e-9, atol=1e-12)
    assert np.isfinite(slope(np.ones(5))[0]).all()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("law", "ref"),
    [
        (lambda m: Normal(m, 2.0), stats.norm(0.9, 2.0)),
        (lambda m: Weibull(m, jnp.asarray(np.log(1.5))), None),
        (lambda m: LogNormal(m, 0.8), stats.lognorm(0.8, scale=np.exp(0.9))),
    ],
)
def test_censored_numbers_inside_a_window(law, ref, window):
    location = jnp.full(5, 0.9)
    cdf = ref.cdf if ref is not None else lambda v: np.where(v > 0, law(location).cdf(np.maximum(v, 1e-300)), 0.0)
    lower, upper = (np.broadcast_to(window.get(k, end), 5) for k, end in (("lb", -np.inf), ("ub", np.inf)))
    start = np.maximum(np.where(ROWS["cens"] >= 1, ROWS["y"], -np.inf), lower)
    end = np.minimum(np.where(ROWS["cens"] == -1, ROWS["y"], np.where(ROWS["cens"] == 2, ROWS["y2"], np.inf)), upper)
    density = np.exp(law(location).log_prob(ROWS["y"]))
    want = np.log(np.where(ROWS["cens"] == 0, density, cdf(end) - cdf(start)) / (cdf(upper) - cdf(lower)))
    data = {k: jnp.asarray(v) for k, v in {**ROWS, **window}.items()}
    np.testing.assert_allclose(log_lik(law(location), data["y"], data), want, rtol=1e-9)
    assert np.isfinite(jax.grad(lambda m: log_lik(law(m), data["y"], data).sum())(location)).all()


def edge(family, y, y2, cens, **values):
    model = brm("y | cens(c, y2) ~ 1", {"y": y, "y2": y2, "c": cens}, family, empty=True)
    return drawn(model, **values).log_lik()[0]


def test_intervals_and_limits_at_the_end_of_the_support():
    inf = np.inf
    got = edge(
        "lognormal", [0.0, -1, 1, 0, 0, 2], [1.0, 2, inf, inf, 0, 0], ["interval"] * 4 + ["right", "none"], b_Intercept=0.4, sigma=0.8
    )
    law = stats.lognorm(0.8, scale=np.exp(0.4))
    np.testing.assert_allclose(got, [law.logcdf(1), law.logcdf(2), law.logsf(1), 0, 0, law.logpdf(2)], rtol=1e-9)
    got = edge("beta", [0.2, 0, 0, 1, 0.5], [1.0, 0.3, 1, 0, 0], ["interval"] * 3 + ["left", "none"], b_Intercept=0.4, phi=3.0)
    m = 1 / (1 + np.exp(-0.4))
    law = stats.beta(3 * m, 3 * (1 - m))
    np.testing.assert_allclose(got, [law.logsf(0.2), law.logcdf(0.3), 0, 0, law.logpdf(0.5)], rtol=1e-9)
    got = edge("poisson", [-1.0, 0, -1, 0, 1], [3.0, 3, 0, 0, 0], ["interval", "interval", "right", "left", "none"], b_Intercept=0.4)
    law = stats.poisson(np.exp(0.4))
    np.testing.assert_allclose(got, [law.logcdf(3), np.log(law.cdf(3) - law.cdf(0)), 0, law.logcdf(0), law.logpmf(1)], rtol=1e-9)
    got = edge(
        "hurdle_lognormal", [0.0, -1, 0, 2], [1.0, 1, 0, 0], ["interval", "interval", "left", "none"], b_Intercept=0.4, sigma=0.8, hu=0.3
    )
    law = stats.lognorm(0.8, scale=np.exp(0.4))
    want = [np.log(0.7 * law.cdf(1)), np.log(0.3 + 0.7 * law.cdf(1)), np.log(0.3), np.log(0.7) + law.logpdf(2)]
    np.testing.assert_allclose(got, want, rtol=1e-9)
    got = edge("gaussian", [-np.pi, 1], [inf, 0], ["interval", "none"], b_Intercept=0.4, sigma=1.0)
    np.testing.assert_allclose(got, [stats.norm.logsf(-np.pi, 0.4), stats.norm.logpdf(1, 0.4)], rtol=1e-9)


def test_a_fit_with_intervals_from_zero_has_a_finite_slope():
    rng = np.random.default_rng(1)
    u = rng.weibull(1.5, 200) * 2
    low = np.floor(u)
    d = {"y": low, "y2": low + 1.0}
    fit = brm("y | cens('interval', y2) ~ 1", d, "weibull", algorithm="map", seed=1, progress=False)
    left = brm(
        "y | cens(c, y2) ~ 1",
        {"y": np.where(low == 0, 1.0, low), "y2": np.where(low == 0, np.nan, low + 1), "c": np.where(low == 0, "left", "interval")},
        "weibull",
        algorithm="map",
        seed=1,
        progress=False,
    )
    assert left.nobs() == 200
    np.testing.assert_allclose(fit.fixef().to_numpy(), left.fixef().to_numpy(), rtol=1e-5)


def test_a_shift_is_bounded_by_responses_that_say_something_of_it():
    rows = {"y": [0.0, 0, 2, 3], "y2": [1.0, 0, 0, 0], "c": ["interval", "right", "none", "none"]}
    model = brm("y | cens(c, y2) ~ 1", rows, "shifted_lognormal", empty=True)
    assert next(p for p in model.model.params if p.name == "ndt").ub == 1.0
    law = stats.lognorm(0.8, loc=0.3, scale=np.exp(0.4))
    got = drawn(model, b_Intercept=0.4, sigma=0.8, ndt=0.3).log_lik()[0]
    np.testing.assert_allclose(got, [law.logcdf(1), 0, law.logpdf(2), law.logpdf(3)], rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "rows", "message"),
    [
        ("gaussian", ([1.0, 2, 3, 4], [2.0, 1.5, 3, np.nan], ["interval"] * 3 + ["none"]), r"is empty in rows 1, 2 \(counted"),
        ("poisson", ([1.0, 2, 3, 4], [2.0, 9, 3, 0], ["interval"] * 3 + ["none"]), "is empty in row 2"),
        ("lognormal", ([1.0, 0, 3, 4], [2.0, 9, 9, 0], ["none", "left", "right", "none"]), "leave open in row 1"),
        ("beta", ([0.5, 0.1, 1, 0.4], [0.5] * 4, ["none", "left", "right", "none"]), "leave open in row 2"),
        ("lognormal", ([1.0, -3, 3, 4], [2.0, -1, 9, 0], ["none", "interval", "right", "none"]), "leave open in row 1"),
        ("lognormal", ([1.0, 0, 3, -4], [2.0, 1, 9, 0], ["none", "interval", "right", "none"]), "needs positive numbers; row 3"),
        ("poisson", ([1.0, 0.5, 3, 1.5], [2.0, 1, 9, 0], ["none", "interval", "right", "none"]), "whole numbers; row 3"),
    ],
)
def test_rows_that_cannot_be_are_named(family, rows, message):
    y, y2, c = rows
    with pytest.raises(BrimError, match=message):
        brm("y | cens(c, y2) ~ 1", {"y": y, "y2": y2, "c": c}, family, empty=True)


def test_only_what_a_row_uses_must_be_there():
    d = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 6], "c": ["none", "interval", "right", "interval", "none", "left"], "w": 1.0})
    d["y2"] = np.where(d.c == "interval", d.y + 1, np.nan)
    values = {"b_Intercept": 1.0, "sigma": 0.7}
    for code in (d.c, d.c.map({"left": -1, "none": 0, "right": 1, "interval": 2}), pd.Categorical(d.c)):
        fit = drawn(brm("y | weights(w) + cens(c, y2) ~ 1", d.assign(c=code), "lognormal", empty=True), **values)
        full = drawn(brm("y | cens(c, y2) ~ 1", d.assign(y2=d.y2.fillna(99), c=code), "lognormal", empty=True), **values)
        assert fit.nobs() == 6
        np.testing.assert_allclose(fit.log_lik(), full.log_lik(), rtol=1e-12)
        np.testing.assert_allclose(fit.log_lik(d.assign(c=code)), full.log_lik(), rtol=1e-12)
    lost = d.assign(y2=[np.nan, 3, np.nan, np.nan, np.nan, np.nan])
    with pytest.warns(brim.errors.BrimWarning, match="1 row with missing values left out"):
        assert brm("y | cens(c, y2) ~ 1", lost, "lognormal", empty=True).nobs() == 5
    with pytest.raises(BrimError, match="'y2' is missing in row 3"):
        fit.log_lik(lost)


def test_outside_its_subset_a_response_may_miss_what_it_likes():
    d = pd.DataFrame({"y": [1.0, 2, 3, np.nan], "z": [1.0, 2, 3, 4], "w": [1.0, 1, np.nan, np.nan], "s": [True, True, False, False]})
    d["sd"] = [0.1, np.nan, 0.1, np.nan]
    formula = brim.bf("y | subset(s) + weights(w) ~ 1") + brim.bf("z ~ 1") + brim.set_rescor(False)
    fit = brm(formula, d, empty=True)
    assert (fit.nobs(resp="y"), fit.nobs(resp="z")) == (2, 4)
    measured = d.assign(y=[1.0, np.nan, 3, np.nan])
    assert brm("y | mi(sd) ~ 1", measured, empty=True).nobs() == 4  # no measurement, no error of it
    with pytest.warns(brim.errors.BrimWarning, match="1 row with"):
        assert brm("y | mi(sd) ~ 1", measured.assign(sd=[np.nan, np.nan, 0.1, 0.1]), empty=True).nobs() == 3


def test_what_is_left_of_the_tilde_is_learned_once():
    d = pd.DataFrame({"y": [1.0, 2, 3, 4], "x": [0.0, 1, 2, 5], "w": [1.0, 2, 3, 6]})
    fit = drawn(brm("y | weights(w, scale = TRUE) ~ x", d, empty=True), b_Intercept=2.0, b_x=0.5, sigma=1.0)
    rows = [fit.log_lik(d.iloc[[i]])[0, 0] for i in range(4)]
    np.testing.assert_allclose(rows, stats.norm.logpdf(d.y, 2 + 0.5 * d.x, 1) * d.w / 3, rtol=1e-12)
    two = brim.bf("y | subset(x >= mean(x)) ~ 1") + brim.bf("w ~ 1") + brim.set_rescor(False)
    fit = drawn(brm(two, d, empty=True), b_y_Intercept=2.0, b_w_Intercept=0.5, sigma_y=1.0, sigma_w=1.0)
    assert fit.nobs(resp="y") == 2
    np.testing.assert_allclose(fit.log_lik(d.iloc[2:], resp="y")[0], stats.norm.logpdf([3, 4], 2, 1), rtol=1e-12)
    missing = d.assign(w=[1.0, 2, 3, np.nan])  # the mean of the rows that are left, as in a fit of these alone
    with pytest.warns(brim.errors.BrimWarning, match="1 row with"):
        dropped = brm(two, missing, empty=True)
    assert dropped.nobs(resp="y") == brm(two, d.iloc[:3], empty=True).nobs(resp="y") == 2
    fit = drawn(brm("scale(y) | trunc(lb = min(scale(y)) - 1) ~ 1", d, empty=True), b_Intercept=0.0, sigma=1.0)
    np.testing.assert_allclose([fit.log_lik(d.iloc[[i]])[0, 0] for i in range(4)], fit.log_lik()[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "family", "new", "message"),
    [
        ("y | trunc(lb = 0) ~ x", "gaussian", -1.0, r"outside trunc\(\) in row 0"),
        ("y ~ x", "poisson", 1.5, "whole numbers; row 0"),
        ("y ~ x", "lognormal", 0.0, "positive numbers; row 0"),
        ("y ~ x", "cumulative", 1.5, "row 0"),
        ("y ~ x", "categorical", 1.5, "needs a factor; row 0"),
        ("y ~ x", "categorical", 9, "'9' is not a level of the response"),
        ("y | trials(5) ~ x", "binomial", 6, "number of trials; row 0"),
    ],
)
def test_new_responses_are_checked_as_those_of_the_fit(formula, family, new, message):
    d = pd.DataFrame({"y": [1.0, 2, 3, 1], "x": [0.0, 1, 0, 1]})
    model = brm(formula, d, family, empty=True)
    fit = drawn(model, **{v: 0.5 * (i + 1) for i, v in enumerate(model.variables())})
    assert np.isfinite(fit.log_lik(d.iloc[:1])).all()
    with pytest.raises(BrimError, match=message):
        fit.log_lik(pd.DataFrame({"x": [0.0], "y": [new]}))


def test_words_and_constants_for_all_rows():
    d = pd.DataFrame({"y": [1.0, 2, 3], "y2": [2.0, 4, 4], "c": ["interval"] * 3, "r": "right", "one": 1, "zero": 0})
    values = {"b_Intercept": 0.5, "sigma": 1.0}
    for word, column in (('"interval", y2', "c, y2"), ('"right"', "r"), ("1", "one"), ("TRUE", "one"), ('"none"', "zero")):
        one, other = (drawn(brm(f"y | cens({w}) ~ 1", d, empty=True), **values).log_lik() for w in (word, column))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    for kept in ("TRUE", "one", "one == 1"):
        assert brm(f"y | subset({kept}) ~ 1", d, empty=True).nobs() == 3
    with pytest.raises(BrimError, match="keeps no row"):
        brm("y | subset(FALSE) ~ 1", d, empty=True)
    drift = [
        drawn(brm(f"y | dec({w}) ~ 1", d, "wiener", empty=True), b_Intercept=0.5, bs=1.0, ndt=0.2, bias=0.5).log_lik()
        for w in ('"upper"', "one", "TRUE")
    ]
    np.testing.assert_allclose(drift[0], drift[1], rtol=1e-12)
    np.testing.assert_allclose(drift[0], drift[2], rtol=1e-12)


def test_bounds_that_are_missing_or_reversed_are_named():
    d = pd.DataFrame({"y": [1.0, 2, 3], "u": [5.0, 0.5, 4]})
    with pytest.raises(BrimError, match=r"trunc\(\) needs bounds that are numbers .*; rows 0, 1, 2"):
        brm("y | trunc(lb = NA) ~ 1", d, empty=True)
    with pytest.raises(BrimError, match=r"trunc\(\) needs lb < ub; row 1"):
        brm("y | trunc(lb = 0.7, ub = u) ~ 1", d, empty=True)
    with pytest.raises(BrimError, match=r"outside trunc\(\) in row 1"):
        brm("y | trunc(ub = u) ~ 1", d, empty=True)


@pytest.mark.parametrize(
    "codes", [np.tile([1, 2, 3], 20), np.tile([0.0, 1.0, 2.0], 20), pd.array([1, 2, 3] * 20, dtype="Int64"), np.tile([True, False], 30)]
)
def test_categories_may_be_whole_numbers_or_logicals(codes):
    x = np.random.default_rng(0).normal(size=60)
    names = [v for v in brm("z ~ x", {"z": codes, "x": x}, "categorical", empty=True).variables() if v.endswith("_Intercept")]
    assert len(names) == len(set(np.asarray(codes).tolist())) - 1


def test_probabilities_of_whole_number_categories():
    d = pd.DataFrame({"r": [10, 20, 30, 10], "x": 0.0})
    fit = drawn(brm("r ~ 1", d, "categorical", empty=True), b_mu20_Intercept=1.0, b_mu30_Intercept=2.0)
    p = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(fit.posterior_epred()[0], np.tile(p, (4, 1)))
    np.testing.assert_allclose(fit.log_lik()[0], np.log(p)[[0, 1, 2, 0]])
    np.testing.assert_allclose(fit.log_lik(pd.DataFrame({"r": [20.0]}))[0], np.log(p)[1])


def test_errors_name_the_rows_of_the_data_as_they_were_given():
    d = pd.DataFrame({"y": [1.0, 2, -3, 4, 5, 6], "x": [np.nan, 1, 2, np.nan, 3, 4], "s": [True, True, False, True, True, True], "w": 1.0})
    d["g"] = list("abcdef")
    cases = [
        ("y ~ x", "lognormal", {}, "positive numbers; row 2"),
        ("y | subset(s) ~ x", "lognormal", {"y": [1.0, 2, -3, 4, 5, -6]}, "positive numbers; row 5"),
        ("y | weights(w) ~ x", "gaussian", {"w": [1.0, 1, 1, 1, -1, 1]}, "values >= 0; row 4"),
        ("y ~ log(x)", "gaussian", {"x": [np.nan, 1, 2, np.nan, 0, 4]}, r"log\(x\) is not finite in row 4"),
        ("y | trunc(ub = 5) ~ x", "gaussian", {}, r"outside trunc\(\) in row 5"),
        ("y ~ me(x, w)", "gaussian", {"w": [1.0, 1, 1, 1, 0, 1]}, "must be positive; row 4"),
        ("y ~ x + (1 | mm(g, s, weights = cbind(w, x)))", "gaussian", {"w": [1.0, 1, 1, 1, 1, -1]}, "membership weights of row 5"),
    ]
    for formula, family, change, message in cases:
        with pytest.warns(brim.errors.BrimWarning, match="left out"), pytest.raises(BrimError, match=message):
            brm(formula, d.assign(**change), family, empty=True)
