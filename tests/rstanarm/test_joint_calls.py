"""Joint models of other links and associations against rstanarm 2.21.3 (tests/reference/rstanarm_calls.json.gz), and beyond it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import brim
from brim.rstanarm import posterior_survfit, posterior_traj, ps_check, stan_gamm4, stan_glm, stan_jm
from brim.rstanarm.joint.plots import step_curve
from references import data, reference

EVENT = brim.load_data("pbcSurv")
LONG = brim.load_data("pbcLong")
LONG = LONG.assign(
    ybern=(LONG["logBili"] >= LONG["logBili"].mean()).astype(int),
    ypois=np.round(np.exp(0.3 * LONG["logBili"])).astype(int),
    ypos=np.exp(LONG["logBili"]),
)
SURV = "survival::Surv(futimeYears, death) ~ sex + trt"
BILI, ALBUMIN, SLOPES = "logBili ~ year + (1|id)", "albumin ~ year + (year|id)", "logBili ~ year + (year|id)"


def jm(formula, basehaz="weibull", **more):
    return lambda: stan_jm(formula, LONG, SURV, EVENT, "year", basehaz=basehaz, empty=True, **more)


CALLS = {
    "etaslope": jm(SLOPES, "bs", assoc="etaslope"),
    "etaauc": jm(BILI, assoc="etaauc"),
    "bern_muvalue": jm("ybern ~ year + (1|id)", family="binomial", assoc="muvalue"),
    "bern_etaprobit": jm("ybern ~ year + (1|id)", "bs", family="binomial('probit')"),
    "gamma_eta": jm("ypos ~ year + (1|id)", family="Gamma('log')"),
    "nb_eta": jm("ypois ~ year + (1|id)", family="neg_binomial_2"),
    "slope_data": jm(SLOPES, assoc="etaslope_data(~ trt)"),
    "null": jm(BILI, "bs", assoc=None),
    "bs_df": jm(BILI, "bs", basehaz_ops={"df": 5}, qnodes=7),
    "bs_knots": jm(BILI, "bs", basehaz_ops={"knots": [2, 5, 8]}, qnodes=11),
    "poly": jm("logBili ~ poly(year,2) + sex*trt + (1|id)"),
    "cross": jm([BILI, ALBUMIN], assoc=[["etavalue", "etavalue_etavalue(2)"], "etavalue"]),
    "cross_mu": jm(
        [BILI, "ybern ~ year + (1|id)"], family=["gaussian", "binomial"], assoc=[["etavalue", "etavalue_muvalue(2)"], "muvalue"]
    ),
    "two_null": jm([BILI, ALBUMIN], assoc=["etavalue", "null"]),
}


_SLOW = ("gamma_eta", "nb_eta", "bern_muvalue", "cross_mu", "two_null")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in _SLOW else ()) for n in CALLS])
def test_call_is_rstanarms(name):
    ref = reference("rstanarm_calls")[f"jm_{name}"]
    empty = CALLS[name]()
    assert empty.variables() == ref["names"]
    fit = empty.with_draws(pd.DataFrame({k: np.ravel(v) for k, v in ref["draws"].items()}))
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=1e-8)
    told = empty.prior_summary()["priorLong_intercept"]["Long1"]
    used = told["scale"] if told["adjusted_scale"] is None else told["adjusted_scale"]
    np.testing.assert_allclose(used, np.ravel(ref["intercept"]), rtol=1e-8)


# ---------------------------------------------------------------------------------------------------------------------
# the marginal likelihood


def simulated():
    rng = np.random.default_rng(5)
    long = pd.DataFrame({"id": np.repeat(np.arange(12), 4), "t": np.tile([0.0, 0.5, 1.0, 1.5], 12)})
    long["y"] = 1 + 0.3 * long["t"] + rng.normal(size=12)[long["id"]] + rng.normal(0, 0.2, len(long))
    event = pd.DataFrame({"id": np.arange(12), "time": rng.uniform(1.6, 3, 12), "d": (np.arange(12) % 3 != 0).astype(int)})
    return long, event.assign(x=rng.normal(size=12))


def drawn(fit, times=1, **values):
    given = dict.fromkeys(fit.variables(), 0.3) | {n: 0.5 for n in fit.variables() if n.startswith("Sigma") or n.endswith("sigma")}
    given |= {"Event|weibull-shape": 2.0} | values
    rng = np.random.default_rng(1)
    return fit.with_draws(
        pd.DataFrame([{k: v * (1 + 0.02 * rng.normal() * (times > 1)) for k, v in given.items()} for _ in range(times)])
    ), given


def test_marginal_likelihood_of_normal_markers_is_the_closed_form():
    """Without an association ``y_i ~ N(X b, s^2 I + Z Sigma Z')``; any number of nodes is exact."""
    long, event = simulated()
    fit, _ = drawn(
        stan_jm("y ~ t + (t | id)", long, "Surv(time, d) ~ x", event, "t", assoc=None, basehaz="weibull", empty=True),
        **{"Sigma[id:Long1|t,Long1|(Intercept)]": 0.1},
    )
    z = np.column_stack([np.ones(4), [0.0, 0.5, 1.0, 1.5]])
    cov = 0.25 * np.eye(4) + z @ np.array([[0.5, 0.1], [0.1, 0.5]]) @ z.T
    marker = [stats.multivariate_normal(z @ [0.3, 0.3], cov).logpdf(long["y"][4 * i : 4 * i + 4]) for i in range(12)]
    eta, t, k = 0.3 + 0.3 * event["x"], event["time"], 2.0  # the rule is exact for polynomials
    hazard = event["d"] * (eta + np.log(k) + (k - 1) * np.log(t)) - np.exp(eta) * t**k
    np.testing.assert_allclose(fit.log_lik(marginal=True)[0], marker + hazard, rtol=1e-7)
    np.testing.assert_allclose(fit.log_lik(marginal=True, nodes=1)[0], marker + hazard, rtol=1e-7)


def test_marginal_likelihood_against_quadrature():
    """A Poisson marker in the hazard: the integral over one subject's effect by SciPy."""
    long, event = simulated()
    long["n"] = np.floor(np.exp(0.3 * long["y"])).astype(int)
    args = ("n ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t")
    empty = stan_jm(*args, family="poisson", assoc="etavalue", basehaz="weibull", empty=True)
    fit, given = drawn(empty)
    i, sd = 4, np.sqrt(0.5)

    grid = np.linspace(-6 * sd, 6 * sd, 121)
    own = pd.DataFrame([given | {f"b[Long1|(Intercept) id:{i}]": b} for b in grid])
    values = np.exp(empty.with_draws(own).log_lik()[:, i]) * stats.norm.pdf(grid, 0, sd)
    np.testing.assert_allclose(fit.log_lik(marginal=True)[0, i], np.log(integrate.simpson(values, x=grid)), rtol=1e-7)


def test_loo_weighs_the_marginal_likelihood():
    long, event = simulated()
    fit, _ = drawn(stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", basehaz="weibull", empty=True), times=60)
    found, log_lik = fit.loo(), fit.log_lik(marginal=True)
    assert found.n_data_points == 12
    lpd = np.log(np.exp(log_lik).mean(axis=0)).sum()
    np.testing.assert_allclose(found.elpd + found.p, lpd, rtol=1e-10)
    given = fit.log_lik()
    lpd = np.log(np.exp(given).mean(axis=0)).sum()
    np.testing.assert_allclose(fit.waic(marginal=False).elpd, lpd - given.var(axis=0, ddof=1).sum(), rtol=1e-10)


# ---------------------------------------------------------------------------------------------------------------------
# figures


def test_product_limit_estimate():
    t, s = step_curve(np.array([2.0, 3.0, 3.0, 5.0]), np.array([1, 1, 0, 1]), np.array([0.0, 0.0, 2.5, 0.0]))
    np.testing.assert_allclose(t, [0, 2, 3, 5])
    np.testing.assert_allclose(s, [1, 2 / 3, 2 / 3 * 2 / 3, 0])


def test_figures_of_joint_models():
    long, event = simulated()
    fit, _ = drawn(stan_jm("y ~ t + (1 | id)", long, "Surv(time, d) ~ x", event, "t", basehaz="weibull", empty=True), times=30)
    table = posterior_survfit(fit, ids=[3, 4], epoints=5)
    figure = table.plot(limits="ci")
    assert [ax.get_title("left") for ax in figure.axes] == ["id 3", "id 4"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), table["survpred"][5:])
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)), pd.DataFrame(table))
    table = posterior_traj(fit, ids=[3], extrapolate=True, seed=1)
    ax = table.plot().axes[0]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), long["y"][12:16])
    assert ax.lines[2].get_xdata()[0] == event["time"][3]
    assert len(ax.collections) == 2
    observed = ps_check(fit, epoints=4).axes[0].lines[1]
    assert observed.get_ydata()[0] == 1.0
    with pytest.raises(brim.BrimError, match="limits"):
        table.plot(limits="cj")
    with pytest.raises(brim.BrimError, match="subject '99'"):
        table.plot(ids=[99])


def test_print_of_joint_models():
    """rstanarm's layout; medians of draws that do not vary."""
    empty = CALLS["bs_knots"]()
    fit = empty.with_draws(pd.DataFrame([dict.fromkeys(empty.variables(), 0.25)] * 4))
    lines = [line.rstrip() for line in str(fit).splitlines()]
    assert lines[:6] == [
        "stan_jm",
        " formula (Long1): logBili ~ year + (1 | id)",
        " family  (Long1): gaussian [identity]",
        " formula (Event): survival::Surv(futimeYears, death) ~ sex + trt",
        " baseline hazard: bs",
        " assoc:           etavalue (Long1)",
    ]
    assert "Longitudinal submodel: logBili" in lines
    at = lines.index("Event submodel:")
    assert lines[at + 1].split() == ["Median", "MAD_SD", "exp(Median)"]
    assert lines[at + 2].split() == ["(Intercept)", "0.250", "0.000", "1.284"]
    assert lines[at + 6].split() == ["b-splines-coef1", "0.250", "0.000", "NA"]
    assert " id     Long1|(Intercept) 0.5" in lines


def test_figures_under_rstanarms_names():
    rng = np.random.default_rng(3)
    empty = stan_glm("mpg ~ wt + am", data("mtcars"), empty=True)
    fit = empty.with_draws(pd.DataFrame({n: 1 + rng.random(50) for n in empty.variables()}))
    assert [t.get_text() for t in fit.plot("areas", pars=["wt", "sigma"]).axes[0].get_yticklabels()] == ["sigma", "wt"]
    assert [ax.get_title("left") for ax in fit.plot("hist", regex_pars="^(wt|am)$").axes] == ["wt", "am"]
    with pytest.raises(brim.BrimError, match="no parameter 'w'"):
        fit.plot("areas", pars="w")
    empty = stan_gamm4("y ~ s(x, k = 4, by = sex)", data("sim"), empty=True)
    smooth = empty.with_draws(pd.DataFrame([dict.fromkeys(empty.variables(), 0.5)] * 3))
    figure = brim.rstanarm.plot_nonlinear(smooth)
    assert [ax.get_ylabel() for ax in figure.axes] == ["s(x):sexf", "s(x):sexm"]
    both = sum(len(ax.lines[0].get_xdata()) for ax in figure.axes)
    assert both == len(data("sim"))


def test_summary_and_intervals():
    rng = np.random.default_rng(3)
    empty = stan_glm("mpg ~ wt + am", data("mtcars"), empty=True)
    fit = empty.with_draws(pd.DataFrame({n: 1 + rng.random(60) for n in empty.variables()}))
    table = fit.summary(digits=2, probs=(0.05, 0.95), pars=["wt"], regex_pars="sig")
    assert list(table.index) == ["wt", "sigma"]
    assert list(table.columns) == ["mean", "mcse", "sd", "5%", "95%", "n_eff", "Rhat"]
    line = next(row for row in str(table).splitlines() if row.startswith("wt"))
    assert line.split()[1] == f"{table.loc['wt', 'mean']:.2f}"
    assert list(pickle.loads(pickle.dumps(table)).index) == ["wt", "sigma"]
    whole = fit.summary()
    assert whole.index[-1] == "mean_PPD"
    interval = fit.posterior_interval(regex_pars="^wt")
    np.testing.assert_allclose(interval.loc["wt"], np.quantile(fit.stan_draws()["wt"], [0.05, 0.95]))
    assert fit.predictive_interval(0.5, seed=1).shape == (32, 2)
    with pytest.raises(brim.BrimError, match="report"):
        fit.launch_shinystan()
