"""entry(start): delayed entry and start/stop rows, against closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import brm
from brim.distributions.observe import truncated_sample
from brim.errors import BrimError
from brim.families.survival import Cox, i_splines, m_splines

D = pd.DataFrame({
    "start": [0.0, 0.4, 1.3, 2.0, 0.7, 0.0], "time": [1.3, 2.2, 1.9, 5.0, 3.1, 0.8], "censored": [1, 0, 0, 1, 0, 0],
    "x": [0.2, -0.5, 1.0, 0.0, 0.7, -1.1], "g": list("aabbab"),
})  # fmt: skip
FORMULA = "time | cens(censored) + entry(start) ~ x"
#: Frozen laws of scipy for a mean, by family: with the shape (sigma, nu) 1.6.
LAWS = {
    "exponential": ({}, lambda m: stats.expon(scale=m)),
    "weibull": ({"shape": 1.6}, lambda m: stats.weibull_min(1.6, scale=m / stats.weibull_min(1.6).mean())),
    "gamma": ({"shape": 1.6}, lambda m: stats.gamma(1.6, scale=m / 1.6)),
    "lognormal": ({"sigma": 1.6}, lambda m: stats.lognorm(1.6, scale=m)),
    "frechet": ({"nu": 1.6}, lambda m: stats.invweibull(1.6, scale=m / stats.invweibull(1.6).mean())),
    "inverse_gaussian": ({"shape": 1.6}, lambda m: stats.invgauss(m / 1.6, scale=1.6)),
}
LINE = 0.4 + 0.3 * D["x"].to_numpy()


def drawn(formula, d, family, **values):
    model = brm(formula, d, family, empty=True)
    return model.with_draws(pd.DataFrame({k: [float(v)] for k, v in {"b_Intercept": 0.4, "b_x": 0.3, **values}.items()}))


def fitted(family, d=D, formula=FORMULA):
    link = {"inverse_gaussian": brim.inverse_gaussian(link="log")}.get(family, family)
    return drawn(formula, d, link, **LAWS[family][0])


def laws(family):
    return LAWS[family][1](np.exp(LINE))


@pytest.mark.parametrize("family", LAWS)
def test_rows_are_known_to_be_alive_at_their_start(family):
    ref, fit = laws(family), fitted(family)
    seen = np.where(D["censored"] == 1, ref.logsf(D["time"]), ref.logpdf(D["time"])) - ref.logsf(D["start"])
    np.testing.assert_allclose(fit.log_lik()[0], seen, rtol=1e-9)
    expected = [ref_row.expect(lb=s, conditional=True) for s, ref_row in zip(D["start"], _each(family), strict=True)]
    if family != "frechet":  # no quadrature is that good at its tail
        np.testing.assert_allclose(fit.posterior_epred()[0], expected, rtol=1e-6)


def _each(family):
    return [LAWS[family][1](m) for m in np.exp(LINE)]


@pytest.mark.parametrize("family", LAWS)
def test_splitting_rows_leaves_the_likelihood(family):
    rng = np.random.default_rng(4)
    rows = []
    for row in D.to_dict("records"):
        cuts = [row["start"], *np.sort(rng.uniform(row["start"], row["time"], 4)), row["time"]]
        rows += [{**row, "start": a, "time": b, "censored": 1} for a, b in itertools.pairwise(cuts)]
        rows[-1]["censored"] = row["censored"]
    split = pd.DataFrame(rows)
    np.testing.assert_allclose(fitted(family, split).log_lik().sum(), fitted(family).log_lik().sum(), rtol=1e-12)


def test_a_start_is_a_lower_truncation():
    later = D[D["start"] > 0]
    window = fitted("weibull", later, "time | cens(censored) + trunc(lb = start) ~ x")
    np.testing.assert_allclose(fitted("weibull", later).log_lik(), window.log_lik(), rtol=1e-14)


def test_covariates_that_change_in_time():
    """Exponential hazard by interval: events times the log hazard minus the hazard integrated over the intervals."""
    fit = fitted("exponential")
    events, exposed = (D["censored"] == 0).to_numpy(float), (D["time"] - D["start"]).to_numpy()
    np.testing.assert_allclose(fit.log_lik()[0], -events * LINE - exposed * np.exp(-LINE), rtol=1e-12)


@pytest.mark.parametrize("groups", ["", " + bhaz(gr = g)"])
def test_cox_subtracts_the_cumulative_hazard_at_the_start(groups):
    weights = {"a": [0.1, 0.2, 0.3, 0.25, 0.15], "b": [0.4, 0.1, 0.2, 0.1, 0.2]}
    names = {f"sbhaz[{g},{k + 1}]": w[k] for g, w in weights.items() for k in range(5)} if groups else {}
    names = names or {f"sbhaz[{k + 1}]": weights["a"][k] for k in range(5)}
    fit = drawn(f"time | cens(censored) + entry(start){groups} ~ x", D, "cox", **names)
    knots = fit.model.responses[0].family.learned["bhaz_knots"]
    w = np.array([weights[g] for g in D["g"]]) if groups else np.array(weights["a"])
    with jax.enable_x64(True):
        hazard, stop, start = (np.asarray(f(D[t].to_numpy(), knots) * w).sum(-1) for f, t in (
            (m_splines, "time"), (i_splines, "time"), (i_splines, "start")))  # fmt: skip
    events = (D["censored"] == 0).to_numpy()
    np.testing.assert_allclose(fit.log_lik()[0], events * (np.log(hazard) + LINE) - (stop - start) * np.exp(LINE), rtol=1e-12)
    draws = fit.posterior_predict(seed=1)[0]
    assert (draws > D["start"]).all()


def test_draws_lie_beyond_the_start_and_who_outlives_the_baseline_never_ends():
    knots, weights = jnp.array([0.0, 2.0, 4.0]), jnp.full(5, 0.2)
    data = {"lb": jnp.asarray(3.0)}
    law = Cox(jnp.asarray(2.5), weights, knots)  # by inversion where none of the plain draws lies beyond 3
    draws = np.asarray(truncated_sample(jax.random.key(1), law, data, (1000,)))
    never = np.exp(float(law.log_survival(4.0)) - float(law.log_survival(3.0)))
    assert draws.min() > 3
    np.testing.assert_allclose(np.isinf(draws).mean(), never, atol=4 * np.sqrt(never * (1 - never) / 1000))
    assert draws[np.isfinite(draws)].max() <= 4


def test_predictions_start_where_rows_do():
    fit = fitted("weibull")
    draws = np.concatenate([fit.posterior_predict(pd.DataFrame({"x": [0.5] * 400, "start": [4.0] * 400}), seed=s)[0] for s in (1, 2, 3)])
    ref = LAWS["weibull"][1](np.exp(0.4 + 0.3 * 0.5))
    assert stats.kstest(draws, lambda t: 1 - ref.sf(t) / ref.sf(4.0)).pvalue > 0.001
    effects = fit.conditional_effects("x", conditions={"start": 0.0})["x"]
    np.testing.assert_allclose(effects["estimate__"], np.exp(0.4 + 0.3 * effects["x"]), rtol=1e-9)
    assert (fit.conditional_effects("x")["x"]["estimate__"] > D["start"].mean()).all()


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        ({"start": [0, 0.4, 1.9, 2, 3.2, 0]}, FORMULA, r"not after entry\(\) in rows 2, 4"),
        ({"start": [0, 0.4, -1.3, 2, 0.7, 0]}, FORMULA, r"entry\(\) needs start times >= 0; row 2 .*holds -1.3"),
        ({"start": [0, 0.4, np.inf, 2, 0.7, 0]}, FORMULA, r"entry\(\) needs start times >= 0; row 2 .*holds inf"),
        ({}, "time | entry(start) + trunc(ub = 9) ~ x", r"cannot be combined with trunc\(\)"),
        ({}, "time | entry(start) + mi() ~ x", r"cannot be combined with mi\(\)"),
        ({}, "time | entry() ~ x", "needs a variable"),
    ],
)
def test_what_entry_refuses(change, formula, message):
    with pytest.raises(BrimError, match=message):
        brm(formula, D.assign(**change), "weibull", empty=True)


def test_entry_is_for_times_and_missing_starts_are_left_out():
    for family in ("gaussian", "poisson", "beta"):
        with pytest.raises(BrimError, match=f"the family {family} does not take entry"):
            brm("time | entry(start) ~ x", D, family, empty=True)
    with pytest.warns(brim.errors.BrimWarning, match="1 row with"):
        assert brm(FORMULA, D.assign(start=[0, 0.4, np.nan, 2, 0.7, 0]), "weibull", empty=True).nobs() == 5
    with pytest.raises(BrimError, match=r"not after entry\(\) in row 0"):
        fitted("weibull").log_lik(D.iloc[:1].assign(start=2.0))


def test_entry_with_left_and_interval_censoring():
    d = pd.DataFrame({"start": [0.5, 0.5, 1.2, 0.0], "time": [2.0, 1.0, 1.0, 0.0], "end": [9.0, 3.0, 3.0, 2.0],
                      "c": ["left", "interval", "interval", "interval"], "x": 0.0})  # fmt: skip
    ref = LAWS["weibull"][1](np.exp(0.4))
    low, high = np.array([0.5, 1.0, 1.2, 0.0]), np.array([2.0, 3.0, 3.0, 2.0])
    expected = np.log((ref.cdf(high) - ref.cdf(low)) / ref.sf(d["start"]))
    fit = drawn("time | cens(c, end) + entry(start) ~ x", d, "weibull", shape=1.6)
    np.testing.assert_allclose(fit.log_lik()[0], expected, rtol=1e-10)


def test_mixtures_and_custom_families_take_entry():
    fit = drawn("time | cens(censored) + entry(start) ~ 1", D, brim.mixture("exponential", "exponential"),
                b_mu1_Intercept=0.0, b_mu2_Intercept=1.5, theta1=0.3, theta2=0.7)  # fmt: skip
    parts = stats.expon(scale=1.0), stats.expon(scale=np.exp(1.5))
    pdf, sf = ((lambda t, f=f: 0.3 * getattr(parts[0], f)(t) + 0.7 * getattr(parts[1], f)(t)) for f in ("pdf", "sf"))
    expected = np.log(np.where(D["censored"] == 1, sf(D["time"]), pdf(D["time"])) / sf(D["start"]))
    np.testing.assert_allclose(fit.log_lik()[0], expected, rtol=1e-10)
