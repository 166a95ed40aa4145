"""tidy, glance and the long forms of tables."""

import numpy as np
import pytest

import brim
import fits


def test_tidy():
    fit = fits.fit("sleep_slopes")
    table = fit.tidy(effects=("fixed", "ran_pars", "pars", "ran_vals"))
    fixed = table[table["effect"] == "fixed"]
    np.testing.assert_allclose(fixed[["estimate", "std_error", "conf_low", "conf_high"]], fit.fixef(), rtol=1e-12)
    assert fixed["term"].tolist() == ["Intercept", "Days"]
    pars = table[table["effect"] == "ran_pars"]
    assert pars["term"].tolist() == ["sd__Intercept", "sd__Days", "cor__Intercept__Days"]
    assert set(pars["group"]) == {"Subject"}
    values = table[table["effect"] == "ran_vals"]
    assert len(values) == 36
    assert values["level"].iloc[0] == "308"
    assert fit.tidy(diagnostics=True).columns[-1] == "ess"
    dist = fits.random_draws(brim.bf("y ~ x", "sigma ~ z"))
    assert dist.tidy("fixed")[["component", "term"]].to_numpy().tolist() == [
        ["cond", "Intercept"],
        ["sigma", "Intercept"],
        ["cond", "x"],
        ["sigma", "z"],
    ]
    with pytest.raises(brim.BrimError, match="effects"):
        fit.tidy("random")


def test_glance():
    row = fits.fit("sleep_slopes").glance(looic=True).iloc[0]
    assert row["nobs"] == 180
    np.testing.assert_allclose(row["elpd_loo"], fits.fit("sleep_slopes").loo().elpd)


def test_long_forms():
    fit = fits.fit("sleep_slopes")
    ranef = fit.ranef()
    long = ranef.tidy()
    assert list(long.columns[:3]) == ["group", "level", "term"]
    assert len(long) == 36
    row = long[(long["level"] == "309") & (long["term"] == "Days")].iloc[0]
    np.testing.assert_allclose(row["Estimate"], ranef["Subject"].sel(level="309", coef="Days", statistic="Estimate"))
    assert "Subject, Days:" in str(ranef)
    varcorr = fit.VarCorr()
    assert varcorr.tidy()["type"].tolist() == ["sd", "sd", "cor", "sd"]
    assert "residual__" in str(varcorr)
    assert len(fit.ranef(summary=False).tidy()) == 36 * 400


def test_rows_have_names():
    """Results of fitted and predict are labelled."""
    table = fits.fit("sleep_slopes").fitted()
    assert list(table.columns) == ["Estimate", "Est.Error", "Q2.5", "Q97.5"]
    np.testing.assert_array_equal(table["Estimate"], table[:, 0])
    array = fits.fit("cumulative").fitted()
    assert array.dims == ("obs", "statistic", "category")
    assert array.coords["category"].values[0] == "P(Y = 1)"
    shares = fits.fit("cumulative").predict(seed=1)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", ["poisson", "cumulative"])
def test_blocks_of_rows(name, monkeypatch):
    """Summaries of many rows come block by block, and are the same; noise differs from block to block."""
    fit = fits.fit(name)
    whole, shares = fit.fitted(), fit.predict(seed=1)
    monkeypatch.setattr("brim.post.observed.BLOCK", 400 * 30)
    np.testing.assert_allclose(np.asarray(fit.fitted()), np.asarray(whole), rtol=1e-10)
    parts = fit.predict(seed=1)
    assert parts.shape == shares.shape
    assert np.abs(np.asarray(parts)[:, 0] - np.asarray(shares)[:, 0]).max() > 0
    assert list(parts.index) == list(range(len(whole)))
