"""Joint models against rstanarm 2.21.3 (tests/reference/rstanarm.json.gz) and closed forms of survival."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import brim
from brim.frames.frame import Frame
from brim.infer.diagnostics import ess_bulk
from brim.rstanarm import posterior_survfit, posterior_traj, stan_jm, stan_mvmer
from brim.rstanarm.joint.event import Baseline, Events
from brim.rstanarm.joint.quadrature import kronrod
from references import reference

LONG, EVENT = brim.load_data("pbcLong"), brim.load_data("pbcSurv")
BILI, ALBUMIN = "logBili ~ year + (1 | id)", "albumin ~ year + (year | id)"
SURV = "survival::Surv(futimeYears, death) ~ sex + trt"
MODELS = {
    "jm_f1": lambda **k: stan_jm(BILI, LONG, SURV, EVENT, "year", **k),
    "jm_weibull": lambda **k: stan_jm(BILI, LONG, SURV, EVENT, "year", basehaz="weibull", **k),
    "jm_lag": lambda **k: stan_jm(BILI, LONG, SURV, EVENT, "year", basehaz="weibull", lag_assoc=1, **k),
    "jm_data": lambda **k: stan_jm(BILI, LONG, SURV, EVENT, "year", assoc=["etavalue", "etavalue_data(~ trt)"], **k),
    "jm_two": lambda **k: stan_jm([BILI, ALBUMIN], LONG, SURV, EVENT, "year", **k),
}


def at_points(name, fit):
    ref = reference("rstanarm")[name]
    return fit.with_draws(pd.DataFrame({k: np.ravel(v) for k, v in ref["draws"].items()})), ref


@pytest.mark.parametrize("name", MODELS)
def test_log_lik_of_subjects(name):
    fit, ref = at_points(name, MODELS[name](empty=True))
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=1e-9)
    assert fit.variables() == ref["parameters"]
    scale = ref["prior_summary"]["priorLong"]["Long1"]["adjusted_scale"]["values"]
    np.testing.assert_allclose(fit.prior_summary()["priorLong"]["Long1"]["adjusted_scale"], np.ravel(scale), rtol=1e-8)
    # rstanarm scales these by a fit of the markers that it samples; this one's are maximum likelihood's
    scale = ref["prior_summary"]["priorEvent_assoc"]["adjusted_scale"]["values"]
    np.testing.assert_allclose(fit.prior_summary()["priorEvent_assoc"]["adjusted_scale"], np.ravel(scale), rtol=0.04)


def test_log_lik_of_several_outcomes():
    fit, ref = at_points("mvmer_two", stan_mvmer([BILI, "albumin ~ sex + year + (year | id)"], LONG, empty=True))
    for response, key in zip(fit.model.responses, ("log_lik", "log_lik_m2"), strict=True):
        np.testing.assert_allclose(fit.log_lik(resp=response.name), ref[key], rtol=1e-8, atol=1e-10)
    assert fit.variables() == ref["parameters"]
    found, theirs = fit.prior_summary()["prior_covariance"], ref["prior_summary"]["prior_covariance"]
    np.testing.assert_allclose(found["adjusted_scale"], theirs["adjusted_scale"]["values"], rtol=1e-9)


def test_one_program_serves_all_draws_of_a_model(monkeypatch):
    """The second call, and another fit of the same shape, compile nothing."""
    long, event = simulated()
    args = ("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t")
    first, given = drawn(stan_jm(*args, assoc=None, basehaz="weibull", empty=True), {"Event|weibull-shape": 2.0})
    expected = first.log_lik()
    again = stan_jm(*args, assoc=None, basehaz="weibull", empty=True).with_draws(pd.DataFrame([given, given]))
    monkeypatch.setattr("brim.compile.bounded.options", None)  # called only to compile
    np.testing.assert_array_equal(again.log_lik(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, "mvmer_two"])
def test_posteriors(name):
    ref = reference("rstanarm")[name]["posterior"]
    make = MODELS.get(name) or (lambda **k: stan_mvmer([BILI, "albumin ~ sex + year + (year | id)"], LONG, **k))
    draws = make(seed=1, progress=False).stan_draws(effects=False)
    for parameter, (mean, sd, error) in ref.items():
        x = draws[parameter]
        assert abs(x.mean() - mean) < 4 * np.hypot(error, x.std() / np.sqrt(float(ess_bulk(x)))), parameter
        assert parameter.startswith("Event|b") or abs(x.std() / sd - 1) < 0.12, parameter


@pytest.mark.slow
def test_predictions_of_known_and_new_subjects():
    """Within the Monte Carlo error of rstanarm's 2000 draws."""
    ref = reference("rstanarm")["jm_f1"]
    fit = MODELS["jm_f1"](seed=1, progress=False)
    close = {"rtol": 0, "atol": 0.015}
    theirs = ref["survfit"]["default"]["r"]["data"]
    mine = posterior_survfit(fit, ids=[2, 25])
    assert mine["id"].tolist() == theirs["id"]
    np.testing.assert_allclose(mine["year"], theirs["year"], rtol=1e-7)
    np.testing.assert_allclose(mine["survpred"], theirs["survpred"], **close)
    theirs = ref["survfit"]["standardised"]["r"]["data"]
    mine = posterior_survfit(fit, standardise=True, times=0, epoints=6)
    np.testing.assert_allclose(
        mine[["survpred", "ci_lb", "ci_ub"]].T, [theirs[k] for k in ("survpred", "ci_lb", "ci_ub")], rtol=0, atol=0.03
    )
    new = ref["survfit"]["new_subjects"]
    frames = pd.DataFrame(new["newdataLong"]), pd.DataFrame(new["newdataEvent"])
    mine = posterior_survfit(fit, *frames, last_time="futimeYears", epoints=5, ndraws=1000, seed=1)
    np.testing.assert_allclose(mine["survpred"], new["r"]["data"]["survpred"], rtol=0, atol=0.04)
    theirs = pd.DataFrame(ref["traj"]["m1"]["default"]["r"]).astype(float).sort_values(["id", "year"])
    mine = posterior_traj(fit, ids=[2, 25], seed=1)
    np.testing.assert_allclose(mine["yfit"], theirs["yfit"], rtol=0, atol=0.06)
    np.testing.assert_allclose(mine["pi_lb"], theirs["pi_lb"], rtol=0, atol=0.2)


# ---------------------------------------------------------------------------------------------------------------------
# closed forms


@pytest.mark.parametrize("n", [7, 11, 15])
def test_kronrod_rules_are_exact(n):
    x, w = kronrod(n)
    for degree in range(3 * (n // 2) + 2):
        np.testing.assert_allclose(w @ x**degree, (1 + (-1) ** degree) / (degree + 1), atol=1e-12)
    assert np.all(np.diff(x) > 0)
    assert np.all(w > 0)


def test_kronrod_15_is_quadpacks():
    x, _ = kronrod(15)
    np.testing.assert_allclose(x[-2], 0.949107912342758524526189684047851, rtol=1e-13)
    np.testing.assert_allclose(x[-1], 0.991455371120812639206854697526329, rtol=1e-13)


def simulated():
    rng = np.random.default_rng(5)
    long = pd.DataFrame({"id": np.repeat(np.arange(12), 4), "t": np.tile([0.0, 0.5, 1.0, 1.5], 12)})
    long["y"] = 1 + 0.3 * long["t"] + rng.normal(size=12)[long["id"]] + rng.normal(0, 0.2, len(long))
    event = pd.DataFrame({"id": np.arange(12), "time": rng.uniform(1.6, 3, 12), "d": np.arange(12) % 3 != 0, "x": rng.normal(size=12)})
    return long, event.assign(d=event["d"].astype(int))


def drawn(fit, values):
    names = fit.variables()
    given = {n: values.get(n, 0.3 * (i % 3) - 0.2) for i, n in enumerate(names)}
    given.update({n: 0.5 for n in names if n.startswith("Sigma") or n.endswith("sigma")})
    return fit.with_draws(pd.DataFrame([given, given])), given


def test_weibull_without_association_is_the_closed_form():
    """``log S = -exp(intercept + x b) T^k``."""
    long, event = simulated()
    fit, given = drawn(
        stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", assoc=None, basehaz="weibull", empty=True),
        {"Event|weibull-shape": 3.0, "Event|(Intercept)": -0.4, "Event|x": 0.6},
    )
    eta = -0.4 + 0.6 * event["x"].to_numpy()
    t, k = event["time"].to_numpy(), 3.0
    expected = event["d"] * (eta + np.log(k) + (k - 1) * np.log(t)) - np.exp(eta) * t**k
    b = np.array([given[f"b[Long1|(Intercept) id:{i}]"] for i in range(12)])
    mean = given["Long1|(Intercept)"] + given["Long1|t"] * long["t"] + b[long["id"]]
    marker = stats.norm.logpdf(long["y"], mean, 0.5).reshape(12, 4).sum(1)
    np.testing.assert_allclose(fit.log_lik()[0], expected + marker, rtol=1e-10)  # the rule is exact for polynomials


@pytest.mark.parametrize("kind", ["etavalue", "etaslope", "etaauc", "muvalue", "muslope", "muauc", "shared_b", "shared_coef"])
@pytest.mark.filterwarnings("ignore:.*the same for all subjects")  # a slope without an effect of time
def test_associations_against_quadrature(kind):
    """A Poisson marker, ``eta(t) = a + b_i + c t``, delayed entry: the cumulative hazard by SciPy's quadrature."""
    long, event = simulated()
    long["n"] = np.floor(np.exp(0.3 * long["y"])).astype(int)
    event = event.assign(start=0.4)
    fit, given = drawn(
        stan_jm(
            "n ~ t + (1 | id)", long, "Surv(start, time, d) ~ x", event, "t", family="poisson", assoc=kind, basehaz="weibull", empty=True
        ),
        {"Event|weibull-shape": 1.3, "Event|(Intercept)": -0.4},
    )
    a, c, shape = given["Long1|(Intercept)"], given["Long1|t"], 1.3
    (name,) = [n for n in given if n.startswith("Assoc")]
    i = 4
    b = given[f"b[Long1|(Intercept) id:{i}]"]
    value = {
        "etavalue": lambda t: a + b + c * t,
        "etaslope": lambda t: c,
        "etaauc": lambda t: (a + b) * t + 0.5 * c * t * t,
        "muvalue": lambda t: np.exp(a + b + c * t),
        "muslope": lambda t: np.exp(a + b + c * t) * c,
        "muauc": lambda t: np.exp(a + b) * (np.expm1(c * t) / c if c else t),
        "shared_b": lambda t: b,
        "shared_coef": lambda t: a + b,
    }[kind]
    eta = -0.4 + given["Event|x"] * event["x"][i]

    def log_h(t):
        return eta + np.log(shape) + (shape - 1) * np.log(t) + given[name] * value(t)

    end = event["time"][i]
    hazard, _ = integrate.quad(lambda t: np.exp(log_h(t)), 0.4, end, epsabs=1e-12)
    rows = long[long["id"] == i]
    marker = stats.poisson.logpmf(rows["n"], np.exp(a + b + c * rows["t"])).sum()
    np.testing.assert_allclose(fit.log_lik()[0, i], event["d"][i] * log_h(end) - hazard + marker, rtol=1e-6)


def test_slopes_of_curves_are_exact_to_rounding():
    """Central differences: ``eta = a + c t + e t^2`` has the slope ``c + 2 e t``."""
    long, event = simulated()
    empty = stan_jm(
        "y ~ t + I(t^2) + (t | id)", long, "Surv(time, d) ~ x", event, "t", assoc="etaslope", basehaz="weibull", qnodes=7, empty=True
    )
    fit, given = drawn(empty, {"Event|weibull-shape": 1.0})
    i, a = 4, given["Assoc|Long1|etaslope"]
    slope, bend = given["Long1|t"] + given[f"b[Long1|t id:{i}]"], 2 * given["Long1|I(t^2)"]
    log_h = given["Event|(Intercept)"] + given["Event|x"] * event["x"][i]
    end = event["time"][i]
    hazard = np.exp(log_h + a * slope) * np.expm1(a * bend * end) / (a * bend)
    rows = long[long["id"] == i]
    mean = given["Long1|(Intercept)"] + given[f"b[Long1|(Intercept) id:{i}]"] + slope * rows["t"] + 0.5 * bend * rows["t"] ** 2
    expected = event["d"][i] * (log_h + a * (slope + bend * end)) - hazard + stats.norm.logpdf(rows["y"], mean, 0.5).sum()
    np.testing.assert_allclose(fit.log_lik()[0, i], expected, rtol=1e-9)


def test_an_association_that_never_varies_has_a_scale_of_one():
    """``get_scale_value`` of a constant is 1; rstanarm divides by the rounding of its differences (a coefficient of -6e11)."""
    long, event = simulated()
    with pytest.warns(brim.BrimWarning, match="etaslope' multiplies what is the same for all subjects"):
        fit = stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", assoc="etaslope", basehaz="weibull", empty=True)
    told = fit.prior_summary()["priorEvent_assoc"]
    assert told["scale"] == pytest.approx([2.5])
    assert told["adjusted_scale"] is None


@pytest.mark.slow
def test_three_markers_of_three_families_by_hand():
    """rstanarm's log_lik of these is the same sum (2e-11 with pbc's logBili, ybern, ypois, and with platelet, which has missing rows)."""
    long, event = simulated()
    long["n"], long["z"] = np.floor(np.exp(0.3 * long["y"])).astype(int), (long["y"] > 1).astype(int)
    long.loc[[3, 17], "y"] = np.nan
    formulas = ["y ~ t + (1 | id)", "z ~ 1 + (1 | id)", "n ~ t + (1 | id)"]
    empty = stan_jm(
        formulas, long, "Surv(time, d) ~ x", event, "t", family=["gaussian", "binomial", "poisson"], basehaz="weibull", empty=True
    )
    fit, given = drawn(empty, {"Event|weibull-shape": 2.0})
    i, rows = 4, long[long["id"] == 4]
    b = [given[f"b[Long{m}|(Intercept) id:{i}]"] for m in (1, 2, 3)]

    def eta(m, t):
        return given[f"Long{m}|(Intercept)"] + b[m - 1] + given.get(f"Long{m}|t", 0.0) * t

    def log_h(t):
        markers = sum(given[f"Assoc|Long{m}|etavalue"] * eta(m, t) for m in (1, 2, 3))
        return given["Event|(Intercept)"] + given["Event|x"] * event["x"][i] + np.log(2.0) + np.log(t) + markers

    end = event["time"][i]
    seen = rows.dropna()
    expected = stats.norm.logpdf(seen["y"], eta(1, seen["t"]), 0.5).sum() + stats.poisson.logpmf(rows["n"], np.exp(eta(3, rows["t"]))).sum()
    expected += stats.bernoulli.logpmf(rows["z"], 1 / (1 + np.exp(-eta(2, rows["t"])))).sum() + event["d"][i] * log_h(end)
    expected -= integrate.quad(lambda t: np.exp(log_h(t)), 0, end, epsabs=1e-11)[0]
    np.testing.assert_allclose(fit.log_lik()[0, i], expected, rtol=1e-6)


def test_rows_at_risk_each_have_their_own_nodes():
    """A covariate that jumps: each row is integrated by itself. rstanarm has one rule a subject, from 0 (0.6 off on pbc)."""
    long, event = simulated()
    first, second = event.assign(start=0.3, time=1.2, d=0, x=0.4), event.assign(start=1.2, x=-1.1)
    rows = pd.concat([first, second]).sort_values(["id", "start"])
    fit, given = drawn(
        stan_jm("y ~ t + (1 | id)", long, "Surv(start, time, d) ~ x", rows, "t", basehaz="weibull", empty=True),
        {"Event|weibull-shape": 1.3, "Event|x": 0.8},
    )
    i, end = 4, event["time"][4]
    a, c = given["Long1|(Intercept)"] + given[f"b[Long1|(Intercept) id:{i}]"], given["Long1|t"]

    def log_h(t, x):
        return given["Event|(Intercept)"] + 0.8 * x + np.log(1.3) + 0.3 * np.log(t) + given["Assoc|Long1|etavalue"] * (a + c * t)

    hazard = sum(integrate.quad(lambda t, x=x: np.exp(log_h(t, x)), lo, hi)[0] for lo, hi, x in ((0.3, 1.2, 0.4), (1.2, end, -1.1)))
    mine = long[long["id"] == i]
    expected = event["d"][i] * log_h(end, -1.1) - hazard + stats.norm.logpdf(mine["y"], a + c * mine["t"], 0.5).sum()
    np.testing.assert_allclose(fit.log_lik()[0, i], expected, rtol=1e-9)


def test_survival_of_a_constant_hazard():
    """A piecewise hazard of one interval: ``S(t | T) = exp(-h (t - T))``; over all subjects the mean of their curves."""
    long, event = simulated()
    options = {"basehaz": "piecewise", "basehaz_ops": {"df": 1}, "assoc": None}
    fit, given = drawn(
        stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", empty=True, **options), {"Event|(Intercept)": -1.0}
    )
    h = np.exp(-1.0 + given["Event|piecewise-coef1"] + given["Event|x"] * event["x"].to_numpy())
    out = posterior_survfit(fit, ids=[3], epoints=4)
    since = out["t"] - event["time"][3]
    np.testing.assert_allclose(out["survpred"], np.exp(-h[3] * since), rtol=1e-12)
    out = posterior_survfit(fit, standardise=True, times=0, epoints=3)
    np.testing.assert_allclose(out["survpred"], np.exp(-np.multiply.outer(out["t"].to_numpy(), h)).mean(1), rtol=1e-12)


def test_effects_of_a_new_subject_have_their_conditional_law():
    """A normal marker without association: ``b | y ~ N``, precision ``1 / s^2 + n / sigma^2``."""
    long, event = simulated()
    empty = stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", assoc=None, basehaz="weibull", empty=True)
    given = dict.fromkeys(empty.variables(), 0.0)
    given |= {"Long1|sigma": 0.5, "Event|weibull-shape": 1.0, "Sigma[id:Long1|(Intercept),Long1|(Intercept)]": 2.0}
    fit = empty.with_draws(pd.DataFrame([given] * 2000))
    new = pd.DataFrame({"id": [99] * 3, "t": [0.0, 0.5, 1.0], "y": [1.0, 1.4, 0.9]})
    out = posterior_traj(fit, 1, new, pd.DataFrame({"id": [99], "x": [0.0]}), last_time=1.0, ipoints=2, seed=2)
    precision = 1 / 2.0 + 3 / 0.25
    mean, sd = new["y"].sum() / 0.25 / precision, precision**-0.5
    error = 4 * 1.25 * sd / np.sqrt(2000)
    assert abs(out["yfit"].iloc[0] - mean) < error
    assert abs(out["ci_lb"].iloc[0] - stats.norm.ppf(0.025, mean, sd)) < 3 * error


def test_b_splines_are_a_partition_of_unity():
    events = Events.read("Surv(futimeYears, death) ~ sex", Frame.read(EVENT), "id")
    base = Baseline.learn("bs", events)
    np.testing.assert_allclose(base.knots, [1.93018480493, 6.81907369382], rtol=1e-9)  # rstanarm's
    np.testing.assert_allclose(base.columns(np.linspace(0, base.end, 9)).sum(1), 1.0, rtol=1e-12)
    assert base.size == 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stan_jm(BILI, LONG, "futimeYears ~ sex", EVENT, "year", empty=True), ["Surv(time, status)"]),
        (lambda: stan_jm(BILI, LONG, SURV, EVENT, "year", assoc="etavalu", empty=True), ["etavalu", "did you mean 'etavalue'"]),
        (lambda: stan_jm(BILI, LONG, SURV, EVENT.iloc[1:], "year", empty=True), ["subject '1'", "none of events"]),
        (lambda: stan_jm(BILI, LONG, SURV, EVENT, "year", basehaz="spline", empty=True), ["basehaz = 'spline'"]),
        (lambda: stan_jm(BILI, LONG, SURV, EVENT, "year", qnodes=9, empty=True), ["qnodes = 9", "15"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(brim.BrimError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
