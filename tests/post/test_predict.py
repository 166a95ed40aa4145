"""Predictions from given draws: closed forms, new levels, group formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
import fits
from references import data

SIM = data("sim")
LEVELS = [f"g{i}" for i in range(1, 10)]


@pytest.fixture(scope="module")
def slopes():
    """A model with correlated slopes and 2000 draws: fixed population effects, drawn group effects."""
    fit = brim.brm("y ~ x + (1 + x | g)", data=SIM, empty=True)
    rng = np.random.default_rng(5)
    n = 2000
    draws = {"b_Intercept": 1.0, "b_x": 2.0, "sd_g__Intercept": 0.5, "sd_g__x": 1.5, "cor_g__Intercept__x": 0.6, "sigma": 0.7}
    columns = {k: np.full(n, v) for k, v in draws.items()}
    columns |= {f"r_g[{level},{c}]": rng.normal(size=n) for c in ("Intercept", "x") for level in LEVELS}
    return fit.with_draws(pd.DataFrame(columns))


def test_linear_predictor_with_and_without_groups(slopes):
    new = {"x": [0.5, -1.0], "g": ["g3", "g7"]}
    r = {(k, c): np.ravel(slopes.draws[f"r_g[{k},{c}]"]) for k in ("g3", "g7") for c in ("Intercept", "x")}
    expected = np.stack([2.0 + r["g3", "Intercept"] + 0.5 * r["g3", "x"], -1.0 + r["g7", "Intercept"] - r["g7", "x"]], axis=1)
    np.testing.assert_allclose(slopes.posterior_linpred(new), expected, rtol=1e-12)
    np.testing.assert_allclose(slopes.posterior_linpred(new, re_formula=False), np.broadcast_to([2.0, -1.0], (2000, 2)), rtol=1e-12)
    part = np.stack([2.0 + r["g3", "Intercept"], -1.0 + r["g7", "Intercept"]], axis=1)
    np.testing.assert_allclose(slopes.posterior_linpred(new, re_formula="(1 | g)"), part, rtol=1e-12)
    slope_only = np.stack([2.0 + 0.5 * r["g3", "x"], -1.0 - r["g7", "x"]], axis=1)
    np.testing.assert_allclose(slopes.posterior_linpred(new, re_formula="~ (0 + x | g)"), slope_only, rtol=1e-12)


def test_without_groups_new_data_need_no_group(slopes):
    assert slopes.posterior_epred({"x": [0.0]}, re_formula=False).shape == (2000, 1)


def test_new_levels_gaussian(slopes):
    """Effects of a new level follow N(0, diag(sd) R diag(sd))."""
    new = {"x": [0.0, 1.0], "g": ["new", "new"]}
    eta = slopes.posterior_linpred(new, allow_new_levels=True, sample_new_levels="gaussian", seed=1)
    intercept, slope = eta[:, 0] - 1.0, eta[:, 1] - eta[:, 0] - 2.0
    n = len(eta)
    assert abs(intercept.mean()) < 4 * 0.5 / np.sqrt(n)
    assert abs(slope.mean()) < 4 * 1.5 / np.sqrt(n)
    assert intercept.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * n))
    assert slope.std() == pytest.approx(1.5, abs=4 * 1.5 / np.sqrt(2 * n))
    assert np.corrcoef(intercept, slope)[0, 1] == pytest.approx(0.6, abs=4 * (1 - 0.36) / np.sqrt(n))


def test_new_levels_uncertainty(slopes):
    """Each draw takes both effects of one known level, chosen anew for each draw and each new level."""
    new = {"x": [0.0, 1.0, 0.0], "g": ["n1", "n1", "n2"]}
    eta = slopes.posterior_linpred(new, allow_new_levels=True, seed=1)
    intercepts = np.stack([np.ravel(slopes.draws[f"r_g[{k},Intercept]"]) for k in LEVELS], axis=1)
    slopes_ = np.stack([np.ravel(slopes.draws[f"r_g[{k},x]"]) for k in LEVELS], axis=1)
    took = np.argmin(np.abs(intercepts - (eta[:, [0]] - 1.0)), axis=1)
    rows = np.arange(len(eta))
    np.testing.assert_allclose(eta[:, 0] - 1.0, intercepts[rows, took], rtol=1e-10)
    np.testing.assert_allclose(eta[:, 1] - eta[:, 0] - 2.0, slopes_[rows, took], rtol=1e-8)
    counts = np.bincount(took, minlength=9)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert not np.allclose(eta[:, 0], eta[:, 2])


def test_new_levels_old(slopes):
    """One known level stands in for the new one in all draws."""
    eta = slopes.posterior_linpred({"x": [0.0], "g": ["new"]}, allow_new_levels=True, sample_new_levels="old_levels", seed=3)
    same = [np.allclose(eta[:, 0] - 1.0, np.ravel(slopes.draws[f"r_g[{k},Intercept]"])) for k in LEVELS]
    assert sum(same) == 1


def test_new_level_of_by_takes_its_own_sd():
    fit = brim.brm("ycount ~ 1 + (1 | gr(g, by = sex))", data=SIM, family="poisson", empty=True)
    n = 4000
    columns = {"b_Intercept": np.zeros(n), "sd_g__Intercept:sexf": np.full(n, 0.2), "sd_g__Intercept:sexm": np.full(n, 2.0)}
    columns |= {f"r_g[{k},Intercept]": np.zeros(n) for k in LEVELS}
    fit = fit.with_draws(pd.DataFrame(columns))
    new = {"g": ["n1", "n2"], "sex": ["f", "m"]}
    eta = fit.posterior_linpred(new, allow_new_levels=True, sample_new_levels="gaussian", seed=1)
    np.testing.assert_allclose(eta.std(axis=0), [0.2, 2.0], rtol=4 / np.sqrt(2 * n))


def test_predictions_follow_the_family(slopes):
    y = slopes.posterior_predict({"x": [1.0]}, re_formula=False, seed=1)[:, 0]
    assert stats.kstest(y, stats.norm(3.0, 0.7).cdf).pvalue > 1e-3


def test_same_seed_same_draws(slopes):
    one, two, three = (slopes.posterior_predict(ndraws=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_chunks_change_nothing(slopes, monkeypatch):
    """Predictions are the same in one piece and in many ragged ones."""
    whole = slopes.posterior_predict(seed=4)
    monkeypatch.setattr("brim.post.predict._CHUNK", 7 * slopes.nobs())
    np.testing.assert_array_equal(slopes.posterior_predict(seed=4), whole)


def test_log_lik_of_new_data(slopes):
    new = {"x": [0.0, 1.0], "g": ["g1", "g1"], "y": [0.3, 4.0]}
    mu = slopes.posterior_linpred(new)
    np.testing.assert_allclose(slopes.log_lik(new), stats.norm(mu, 0.7).logpdf(new["y"]), rtol=1e-10)


def test_dpar_and_draw_ids(slopes):
    np.testing.assert_allclose(slopes.posterior_epred(dpar="sigma", draw_ids=[3, 1]), 0.7)
    np.testing.assert_array_equal(slopes.posterior_epred(draw_ids=[3, 1]), slopes.posterior_epred()[[3, 1]])


def test_transformations_are_replayed():
    """Orthogonal polynomials and scaling keep what they learned from the training rows."""
    fit = brim.brm("y ~ poly(x, 2) + scale(z)", data=SIM, empty=True)
    draws = pd.DataFrame({"b_Intercept": [0.0], "b_polyx21": [1.0], "b_polyx22": [2.0], "b_scalez": [3.0], "sigma": [1.0]})
    fit = fit.with_draws(draws)
    rows = [5, 17, 60]
    np.testing.assert_allclose(fit.posterior_epred(SIM.iloc[rows]), fit.posterior_epred()[:, rows], rtol=1e-10)


def test_responses_together():
    """Without resp= the responses of a multivariate model are stacked; log likelihoods are added."""
    fit = brim.brm(brim.bf("y ~ x") + brim.bf("y2 ~ z") + brim.set_rescor(False), data=SIM, empty=True)
    names = [v for v in fit.variables() if v not in ("lprior", "lp__")]
    fit = fit.with_draws(pd.DataFrame(np.full((3, len(names)), 0.5), columns=names))
    both = fit.posterior_epred()
    assert both.shape == (3, len(SIM), 2)
    np.testing.assert_array_equal(both[..., 1], fit.posterior_epred(resp="y2"))
    np.testing.assert_allclose(fit.log_lik(), fit.log_lik(resp="y") + fit.log_lik(resp="y2"), rtol=1e-12)


def test_nonlinear_parameters_can_be_asked_for():
    fit = brim.brm(brim.bf("y ~ a * exp(b * z)", "a ~ x", "b ~ 1", nl=True), data=SIM, empty=True)
    draws = {"b_a_Intercept": [1.0], "b_a_x": [2.0], "b_b_Intercept": [0.3], "sigma": [1.0]}
    fit = fit.with_draws(pd.DataFrame(draws))
    np.testing.assert_allclose(fit.posterior_linpred(nlpar="a")[0], 1 + 2 * SIM.x, rtol=1e-12)
    np.testing.assert_allclose(fit.posterior_epred()[0], (1 + 2 * SIM.x) * np.exp(0.3 * SIM.z), rtol=1e-12)
    with pytest.raises(brim.BrimError, match="no nonlinear parameter 'c'"):
        fit.posterior_linpred(nlpar="c")


@pytest.mark.parametrize("family", ["poisson", "negbinomial", "geometric", "com_poisson", "discrete_weibull", "hurdle_poisson"])
def test_counts_beyond_the_numbers_of_the_machine_are_infinite(family):
    """Means of 2e10 and 1e20 are drawn (the sd of a Poisson count is its root), one that overflows gives no count."""
    d = pd.DataFrame({"y": [1, 2, 3, 0], "x": [0.0, 1, 2, 3]})
    empty = brim.brm("y ~ x", d, family, empty=True)
    values = {"b_Intercept": 0.0, "b_x": 1.0, "hu": 0.0}
    fit = empty.with_draws(pd.DataFrame({v: np.full(50, values.get(v, 1.0)) for v in empty.variables()}))
    some, many, none = fit.posterior_predict({"x": [np.log(2e10), np.log(1e20), 800.0]}, seed=1).T
    assert np.isinf(none).all()
    for drawn, mean in ((some, 2e10), (many, 1e20)):
        if family in ("poisson", "com_poisson", "hurdle_poisson"):
            z = (drawn - mean) / np.sqrt(mean)
            assert 0.6 < z.std() < 1.4
            assert abs(z.mean()) < 0.6
        else:
            assert np.isfinite(drawn).all()


def test_windows_below_do_not_hide_infinite_counts():
    empty = brim.brm("y | trunc(lb = 0) ~ x", pd.DataFrame({"y": [1, 2, 3], "x": [0.0, 1, 2]}), "poisson", empty=True)
    fit = empty.with_draws(pd.DataFrame({"b_Intercept": [0.0, 0], "b_x": [1.0, 1]}))
    assert np.isinf(fit.posterior_predict({"x": [800.0]}, seed=1)).all()


def _mixture(formula, nmix, values):
    d = pd.DataFrame({"y": np.arange(8.0) % 3, "x": np.arange(8.0)})
    empty = brim.brm(formula, d, brim.mixture(brim.families.gaussian(), nmix=nmix), empty=True)
    return d.x.to_numpy(), empty.with_draws(pd.DataFrame({v: [values.get(v, 0.5)] for v in empty.variables()}))


def test_mixing_proportions_are_softmax_over_components():
    x, fit = _mixture(
        brim.bf("y ~ 1", "theta1 ~ x", "theta3 ~ 1"), 3, {"b_theta1_Intercept": 0.2, "b_theta1_x": 0.3, "b_theta3_Intercept": -1}
    )
    logs = np.stack([0.2 + 0.3 * x, 0.0 * x, -1.0 + 0.0 * x])
    for k in range(3):
        np.testing.assert_allclose(fit.posterior_epred(dpar=f"theta{k + 1}")[0], (np.exp(logs) / np.exp(logs).sum(0))[k], rtol=1e-12)
        np.testing.assert_allclose(fit.posterior_linpred(dpar=f"theta{k + 1}")[0], logs[k], rtol=1e-12)
    x, fit = _mixture("y ~ x", 3, {"theta1": 0.2, "theta2": 0.3, "theta3": 0.5})
    for k, share in enumerate((0.2, 0.3, 0.5)):
        np.testing.assert_allclose(fit.posterior_epred(dpar=f"theta{k + 1}")[0], np.full(8, share), rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "y"), [("bernoulli", [0, 1, 1, 0]), ("cumulative", [1, 2, 3, 2]), ("sratio", [1, 2, 3, 2]), ("categorical", [1, 2, 3, 2])]
)
def test_draws_without_a_probability_give_no_category(family, y):
    empty = brim.brm("y ~ x", pd.DataFrame({"y": y, "x": [0.0, 1, 2, 3]}), family, empty=True)
    fit = empty.with_draws(pd.DataFrame({v: [np.nan if v.endswith("_x") else 0.5, 0.5] for v in empty.variables()}))
    drawn = fit.posterior_predict(seed=1)
    assert np.isnan(drawn[0]).all()
    assert np.isin(drawn[1], [0, 1, 2, 3]).all()


def test_residuals_of_several_responses():
    """All responses beside each other, as ``fitted``; ``resp=`` gives one."""
    fit = fits.random_draws(brim.bf("y ~ x") + brim.bf("z ~ x") + brim.set_rescor(False))
    both = fit.residuals(robust=True, probs=(0.25,))
    assert both.shape == (40, 3, 2)
    for i, name in enumerate(("y", "z")):
        np.testing.assert_allclose(both.sel(response=name), fit.residuals(resp=name, robust=True, probs=(0.25,)))
        np.testing.assert_allclose(fit.predictive_error(method="posterior_epred")[..., i], fit.residuals(resp=name, summary=False))


def test_summaries_in_blocks(monkeypatch):
    """Residuals and intervals of rows taken in blocks are those of all rows."""
    fit = fits.random_draws("y ~ x + (1 | g)", n=12)
    whole = fit.residuals(), fit.predictive_interval(prob=0.5, seed=1)
    monkeypatch.setattr("brim.post.observed.BLOCK", 12 * 15)
    np.testing.assert_allclose(fit.residuals(), whole[0], rtol=1e-12)
    interval = fit.predictive_interval(prob=0.5, seed=1)
    assert interval.shape == whole[1].shape
    np.testing.assert_array_equal(interval[:15], whole[1][:15])
    assert fit.residuals(type="pearson", seed=3).shape == whole[0].shape
