"""hypothesis() against brms (tests/reference/post), and evidence ratios against closed forms."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
import fits
from references import reference


@pytest.mark.parametrize("text", reference("post/sleep_slopes")["hypothesis"])
def test_as_brms(text):
    ref = reference("post/sleep_slopes")["hypothesis"][text]
    mine = fits.fit("sleep_slopes").hypothesis(text).table
    assert list(mine.columns) == list(ref)
    for name in ("Estimate", "Est.Error", "CI.Lower", "CI.Upper"):
        np.testing.assert_allclose(mine[name], ref[name], rtol=1e-8)
    assert mine["Hypothesis"].tolist() == ref["Hypothesis"]
    assert mine["Star"].tolist() == ref["Star"]
    if ref["Evid.Ratio"][0] is not None:
        np.testing.assert_allclose(mine["Evid.Ratio"], ref["Evid.Ratio"], rtol=1e-8)
    if ref["Post.Prob"][0] is not None:
        np.testing.assert_allclose(mine["Post.Prob"], ref["Post.Prob"], rtol=1e-8)


def test_names_of_brms_in_arithmetic():
    """Interactions, indices and functions."""
    fit = fits.fit("poisson")
    draws = fit.as_draws_df()
    test = fit.hypothesis({"slope": "zBase + 2 * zBase:Trt1^2 / 4 > exp(-1)"})
    value = draws["b_zBase"] + draws["b_zBase:Trt1"] ** 2 / 2 - np.exp(-1)
    np.testing.assert_allclose(test.draws["H1"], value, rtol=1e-12)
    assert test.table["Hypothesis"].tolist() == ["slope"]
    full = fit.hypothesis("sd_obs__Intercept - r_patient[1,Intercept] = 0", class_=None)
    np.testing.assert_allclose(full.draws["H1"], draws["sd_obs__Intercept"] - draws["r_patient[1,Intercept]"], rtol=1e-12)
    sd = fit.hypothesis("Intercept > 0", class_="sd", group="patient")
    np.testing.assert_allclose(sd.draws["H1"], draws["sd_patient__Intercept"], rtol=1e-12)


def test_levels():
    """Each level of a grouping factor, of effects and of coefficients."""
    fit = fits.fit("sleep_slopes")
    for scope, arrays in (("ranef", fit.ranef()), ("coef", fit.coef())):
        table = fit.hypothesis("Days > 0", scope=scope, group="Subject").table
        array = arrays["Subject"].sel(coef="Days", statistic="Estimate")
        np.testing.assert_allclose(table["Estimate"], array, rtol=1e-12)
        assert table["Group"].tolist() == list(array.coords["level"].values)


def test_density_ratio():
    """Savage-Dickey: a normal posterior over a normal prior, each coefficient with its own order of the common prior's draws."""
    data = pd.DataFrame({"y": np.arange(20.0), "x": np.arange(20.0) % 3, "z": np.arange(20.0) % 5})
    fit = brim.brm("y ~ x + z", data, prior=brim.prior("normal(0, 2)"), sample_prior="yes", chains=2, iter=400, seed=1, progress=False)
    rng = np.random.default_rng(2)
    n = fit.draws.chains * fit.draws.draws
    values = rng.normal(0.3, 0.5, (2, n // 2))
    columns = {v: fit.draws[v].ravel() for v in fit.variables() if not v.startswith("prior_")} | {"b_x": values.ravel()}
    drawn = fit.with_draws(pd.DataFrame(columns), chains=2)
    prior = {"prior_b": rng.normal(0, 2, (2, n // 2))}
    drawn = dataclasses.replace(drawn, posterior=dataclasses.replace(drawn.draws, extra=prior))
    ratio = drawn.hypothesis("x = 0").table["Evid.Ratio"][0]
    expected = stats.norm.pdf(0, 0.3, 0.5) / stats.norm.pdf(0, 0, 2)
    np.testing.assert_allclose(ratio, expected, rtol=0.35)
    both = drawn.hypothesis("x - z = 0")
    assert abs(np.corrcoef(both.prior_draws["H1"], prior["prior_b"].ravel())[0, 1]) < 0.9
    assert np.isnan(drawn.hypothesis("Intercept = 0").table["Evid.Ratio"][0])
    assert both.plot().axes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Days", "exactly one"),
        ("Days > 0 > 1", "exactly one"),
        ("Dais > 0", "did you mean 'Days'"),
        ("expp(Days) > 0", "unknown function"),
        ("(Days > 0", "not closed"),
        ("Days + > 0", "missing here"),
        ("> 1", "is empty"),
    ],
)
def test_refused(text, message):
    with pytest.raises(brim.BrimError, match=message):
        fits.fit("sleep_slopes").hypothesis(text)


def test_printed():
    text = str(fits.fit("sleep_slopes").hypothesis(["Days > 10", "Days = 10"]))
    assert "(Days)-(10) > 0" in text
    assert "NA" in text
