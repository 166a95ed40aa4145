"""loo, waic, weights and leave-one-out expectations against R's loo 2.5.1 and brms (tests/reference/after/loo.json.gz)."""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import brim
import fits
from brim.post import predictions
from brim.post.comparison.expectations import tail_shape
from brim.post.comparison.importance import log_weights
from brim.post.comparison.pointwise import Pointwise
from brim.post.comparison.weights import pseudo_bma, stacking
from brim.post.observed import observed_values
from posteriors import model
from references import draws, reference

LOO = reference("after/loo")
MODELS = list(LOO["loo"])


@cache
def quiet(name, criterion="loo"):
    """A criterion without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", brim.BrimWarning)
        return getattr(model(name), criterion)()


def table(ref):
    return np.reshape(ref["values"], ref["dim"], order="F")


@pytest.mark.parametrize("name", MODELS)
def test_loo(name):
    ref, mine = LOO["loo"][name], quiet(name)
    np.testing.assert_allclose(mine.elpd_i, ref["elpd_i"], rtol=1e-6)
    np.testing.assert_allclose(mine.pareto_k, ref["pareto_k"], atol=1e-6)
    np.testing.assert_allclose(mine.estimates.to_numpy(), table(ref["estimates"]), rtol=1e-6)
    assert list(mine.estimates.index) == ref["estimates"]["dimnames"][0]


@pytest.mark.parametrize("name", MODELS)
def test_waic(name):
    ref, mine = LOO["loo"][name]["waic"], quiet(name, "waic")
    np.testing.assert_allclose(mine.estimates.to_numpy(), table(ref), rtol=1e-6)
    assert list(mine.estimates.index) == ref["dimnames"][0]


@pytest.mark.parametrize("name", [n for n in MODELS if "E_loo_epred_mean" in LOO["loo"][n]])
def test_expectations(name):
    """Weighted mean, variance, quantiles, and the Pareto k of the mean."""
    ref, fit = LOO["loo"][name], model(name)
    np.testing.assert_allclose(fit.loo_epred(), ref["E_loo_epred_mean"], rtol=1e-6)
    weights, values = np.exp(log_weights(Pointwise(fit))[0]), fit.posterior_epred()
    errors = (values - fit.loo_epred()) ** 2
    variance = (weights * errors).sum(axis=0) / (1 - (weights**2).sum(axis=0))
    np.testing.assert_allclose(fit.loo_epred(type="var"), variance, rtol=1e-10)
    np.testing.assert_allclose(fit.loo_epred(type="quantile", probs=(0.1, 0.9)), table(ref["E_loo_epred_quantile_10_90"]), rtol=1e-6)
    _, _, r_eff = log_weights(Pointwise(fit))
    k = tail_shape(predictions.posterior_epred(fit), -fit.log_lik(), r_eff)
    np.testing.assert_allclose(k, ref["E_loo_pareto_k"], atol=1e-6)


@pytest.mark.parametrize("name", [n for n in MODELS if "loo_R2_plain" in LOO["loo"][n]])
def test_r2(name):
    """Residual-based is deterministic; brms' bootstrap takes ``sum((w e)^2)`` for ``(sum(w e))^2``, which differs by order 1 / n."""
    ref, fit = LOO["loo"][name], model(name)
    np.testing.assert_allclose(fit.bayes_R2(method="residual").to_numpy(), table(ref["bayes_R2"]), rtol=1e-6, atol=1e-12)
    mine = fit.loo_R2().loc["R2"]
    theirs = table(ref["loo_R2_seed1"])[0]
    np.testing.assert_allclose(mine["Estimate"], theirs[0], atol=2 / fit.nobs())
    residual = np.array(ref["loo_residual"])
    np.testing.assert_allclose(observed_values(fit, fit.model.response()) - fit.loo_epred(), residual, rtol=1e-5, atol=1e-5)


def test_model_based_r2_of_a_linear_model():
    """``var(mu) / (var(mu) + sigma^2)`` in every draw, whatever the response was."""
    fit = model("sleep_lm")
    mu = fit.posterior_epred()
    sigma = fit.draws["sigma"].ravel()
    explained = mu.var(axis=1, ddof=1)
    np.testing.assert_allclose(fit.bayes_R2(summary=False)["R2"], explained / (explained + sigma**2), rtol=1e-12)


def test_model_based_r2_from_samples():
    """A law without a formula for its variance: 200 samples of each row come near the closed form of a negative binomial."""
    data = pd.DataFrame({"y": np.arange(60) % 7, "x": np.linspace(-1, 1, 60)})
    numbers = pd.DataFrame({"b_Intercept": [1.0, 0.8], "b_x": [0.5, 0.7], "shape": [3.0, 2.0], "zi": [0.2, 0.3]})
    fit = brim.brm("y ~ x", data, family="zero_inflated_negbinomial", empty=True).with_draws(numbers)
    mu = np.exp(numbers["b_Intercept"].to_numpy()[:, None] + numbers["b_x"].to_numpy()[:, None] * data["x"].to_numpy())
    zi, shape = numbers["zi"].to_numpy()[:, None], numbers["shape"].to_numpy()[:, None]
    variance = (1 - zi) * (mu + mu**2 / shape + zi * mu**2)
    explained = ((1 - zi) * mu).var(axis=1, ddof=1)
    np.testing.assert_allclose(fit.bayes_R2(summary=False, seed=1)["R2"], explained / (explained + variance.mean(axis=1)), rtol=0.05)


@pytest.mark.parametrize("name", list(LOO["sets"]))
@pytest.mark.parametrize("criterion", ["loo", "waic"])
def test_compare(name, criterion):
    ref = LOO["sets"][name]
    models = {m: quiet(m, criterion) for m in ref["models"]}
    theirs = ref[f"{criterion}_compare"]
    mine = brim.loo_compare(**models)
    assert list(mine.index) == theirs["dimnames"][0]
    np.testing.assert_allclose(mine[theirs["dimnames"][1]].to_numpy(), table(theirs), rtol=1e-6)


@pytest.mark.parametrize("name", list(LOO["sets"]))
def test_weights(name):
    """R's optimiser of stacking stops near the optimum, which scores at least as well."""
    ref = LOO["sets"][name]
    models = {m: quiet(m) for m in ref["models"]}
    mine = brim.model_weights(**models)
    theirs = np.array([ref["stacking"][m] for m in models])
    np.testing.assert_allclose(mine, theirs, atol=1e-3)
    density = np.exp(np.stack([m.elpd_i for m in models.values()], axis=1))
    assert np.log(density @ mine).sum() >= np.log(density @ theirs).sum() - 1e-9
    plain = brim.model_weights(**models, weights="pseudobma", BB=False)
    np.testing.assert_allclose(plain, [ref["pseudobma_noBB"][m] for m in models], rtol=1e-5)
    booted = brim.model_weights(**models, weights="pseudobma", BB_n=20000)
    np.testing.assert_allclose(booted, [ref["pseudobma_BB_100000"][m] for m in models], atol=0.01)
    waic = brim.model_weights(**{m: quiet(m, "waic") for m in models}, weights="waic")
    np.testing.assert_allclose(waic, [ref["waic_weights"][m] for m in models], rtol=1e-5)


def test_stacking_of_many_models():
    """At the optimum every model in use has a mean share of 1, the others less (Karush, Kuhn & Tucker)."""
    pointwise = np.random.default_rng(0).normal(size=(200, 6))
    weights = stacking(pointwise)
    share = (np.exp(pointwise) / (np.exp(pointwise) @ weights)[:, None]).mean(axis=0)
    np.testing.assert_allclose(share[weights > 1e-6], 1.0, atol=1e-6)
    assert (share <= 1.0 + 1e-6).all()
    assert abs(pseudo_bma(pointwise).sum() - 1.0) < 1e-12


def test_arviz_takes_the_result():
    from arviz_stats import compare

    table = compare({"full": quiet("sleep_slopes"), "line": quiet("sleep_lm")})
    assert list(table.index) == ["full", "line"]
    np.testing.assert_allclose(table.loc["line", "elpd"], quiet("sleep_lm").elpd)


def test_blocks_of_rows(monkeypatch):
    """Rows evaluated in blocks give what they give at once."""
    whole = quiet("poisson")
    monkeypatch.setattr("brim.post.observed.BLOCK", 400 * 50)
    with pytest.warns(brim.BrimWarning, match="Pareto k are above"):
        parts = model("poisson").loo()
    np.testing.assert_allclose(parts.elpd_i, whole.elpd_i, rtol=1e-12)


def test_saved_with_the_fit(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", brim.BrimWarning)
        fit = model("sleep_lm").add_criterion(["loo", "waic"])
    fit.save(tmp_path / "fit.nc")
    back = brim.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(back.criteria["loo"].elpd_i, fit.criteria["loo"].elpd_i)
    pd.testing.assert_frame_equal(brim.loo_compare(back, quiet("sleep_null")), brim.loo_compare(fit, quiet("sleep_null")))
    assert fit.with_draws(draws(LOO["extra_models"]["sleep_lm"])).criteria == {}


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_explained_variance_and_marginal_likelihood_are_kept(tmp_path, monkeypatch, suffix):
    """Draws of R2, whatever is asked of them, and what the bridge gave: kept, saved, and used instead of computing them anew."""
    from brim.post.comparison.bridge import Bridge

    plain, bridge = model("sleep_lm"), Bridge(-950.25, 0.01, 5, "warp3")
    monkeypatch.setattr("brim.post.comparison.bridge.Unconstrained", None)
    assert list(plain.add_criterion(["bayes_R2", "loo_R2"]).criteria) == ["bayes_R2", "loo_R2"]
    fit = plain.add_criterion("bayes_R2", method="residual").add_criterion("loo_R2", n=50, seed=3)
    fit = replace(fit, criteria={**fit.criteria, "marglik": bridge, "loo": quiet("sleep_lm")})
    path = tmp_path / f"fit{suffix}"
    fit.save(path)
    back = brim.load(path)
    for one in (fit, back):
        table = one.bayes_R2(robust=True, probs=(0.1, 0.9))
        pd.testing.assert_frame_equal(table, plain.bayes_R2(method="residual", robust=True, probs=(0.1, 0.9)))
        pd.testing.assert_frame_equal(one.bayes_R2(method="model"), plain.bayes_R2())
        pd.testing.assert_frame_equal(one.bayes_R2(draw_ids=[1, 2, 3]), plain.bayes_R2(draw_ids=[1, 2, 3]))
        pd.testing.assert_frame_equal(one.loo_R2(summary=False), plain.loo_R2(n=50, seed=3, summary=False))
        pd.testing.assert_frame_equal(one.loo_R2(seed=2), plain.loo_R2(seed=2))
        assert one.bridge_sampler() == bridge
        assert brim.bayes_factor(one, Bridge(-952.25, 0.01, 5, "normal"), log=True).bf == 2.0
        assert one.loo().elpd == pytest.approx(quiet("sleep_lm").elpd)
        pd.testing.assert_frame_equal(one.add_criterion("bayes_R2", overwrite=True).bayes_R2(), plain.bayes_R2())
    assert fit.with_draws(draws(LOO["extra_models"]["sleep_lm"])).criteria == {}
    with pytest.raises(brim.BrimError, match="keeps all draws"):
        plain.add_criterion("bayes_R2", probs=(0.1, 0.9))
    with pytest.raises(brim.BrimError, match="criterion"):
        plain.add_criterion("marglike")


def test_subsample_is_saved(tmp_path):
    """Its sums are estimates, not those of the rows that were taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", brim.BrimWarning)
        fit = model("sleep_lm").add_criterion("loo", subsample=50)
    fit.save(tmp_path / "fit.nc")
    one, back = fit.criteria["loo"], brim.load(tmp_path / "fit.nc").criteria["loo"]
    for name in ("elpd", "se", "p", "subsampling_se", "subsample_size", "n_data_points", "good_k"):
        assert getattr(back, name) == getattr(one, name)
    np.testing.assert_array_equal(back.loo_subsample_observations, one.loo_subsample_observations)
    np.testing.assert_array_equal(back.pareto_k, one.pareto_k)
    assert str(back) == str(one)
    with pytest.raises(brim.BrimError, match="loo of model1 is of 50 of 180 rows"):
        brim.loo_compare(back, quiet("sleep_null"))


def test_refused():
    with pytest.raises(brim.BrimError, match="different rows"):
        brim.loo_compare(quiet("sleep_lm"), quiet("ord_x"))
    with pytest.raises(brim.BrimError, match="at least two"):
        brim.loo_compare(quiet("sleep_lm"))
    with pytest.raises(brim.BrimError, match="do not go together"):
        model("sleep_lm").loo(integrated=True, moment_match=True)
    with pytest.warns(brim.BrimWarning, match="responses differ"):
        brim.loo_compare(quiet("ord_x"), quiet("dist_z"))


def test_categories_have_no_r2():
    fit = fits.random_draws("by ~ x", family="categorical")
    for method in ("model", "residual"):
        with pytest.raises(brim.BrimError, match="no order"):
            fit.bayes_R2(method=method)
