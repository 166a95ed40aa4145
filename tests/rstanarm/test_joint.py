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


@pytest.mark.parametrize("kind", ["etavalue", "etaslope", "etaauc", "muvalue", "muauc", "shared_b", "shared_coef"])
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
