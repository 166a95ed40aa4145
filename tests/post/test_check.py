"""brim.check(fit): sentences about a fit that is well and about ones that are not."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
import fits
from brim.post.diagnose.tagged import tagged_log_prior
from references import draws, reference


def by_name(check):
    return {f.name: f for f in check.findings}


def test_bad_chains():
    """Chains in different places, divergences, cut trees, low energy."""
    fit = fits.fit("sleep_slopes")
    frame = draws(reference("post/sleep_slopes"))
    frame.loc[:99, "b_Days"] += 30
    stats = {"diverging": np.ones((4, 100), bool), "tree_depth": np.full((4, 100), 10), "energy": np.cumsum(np.ones((4, 100)), axis=1)}
    bad = dataclasses.replace(fit.with_draws(frame, chains=4), stats=stats)
    found = by_name(bad.check(sensitivity=False))
    assert not any(found[n].ok for n in ("R-hat", "ESS", "divergences", "tree depth", "E-BFMI", "Pareto k"))
    assert "for b_Days;" in found["R-hat"].text
    assert "(b_Days)" in found["ESS"].text
    assert "400 of 400" in found["divergences"].text
    assert "integrated=True" in found["Pareto k"].advice
    assert "before you rely" in bad.check(loo=False, sensitivity=False).verdict


def test_prior_sensitivity():
    """A tight prior far from the data is found, with the conflict."""
    data = pd.DataFrame({"y": np.random.default_rng(1).normal(3, 1, 30), "x": np.linspace(-1, 1, 30)})
    priors = brim.prior("normal(0, 0.4)", class_="Intercept") + brim.prior("normal(0, 5)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = brim.brm("y ~ x", data, prior=priors, chains=4, iter=800, seed=1, progress=False)
    table = fit.powerscale_sensitivity()
    assert table.loc["b_Intercept", "diagnosis"] == "prior-data conflict"
    found = by_name(fit.check())
    assert not found["prior sensitivity"].ok
    assert "b_Intercept" in found["prior sensitivity"].text
    assert str(fit.check()).count("\n") == len(fit.check().findings)
    assert list(fit.check().table.columns) == ["ok", "value", "text", "advice"]


def test_mode():
    """A mode is no sample."""
    data = pd.DataFrame({"y": np.arange(20.0) % 7, "x": np.linspace(-1, 1, 20)})
    assert not brim.brm("y ~ x", data, algorithm="map", progress=False).check().ok


def test_priors_by_tag():
    """The density of the priors with a tag, and their sensitivity alone."""
    data = pd.DataFrame({"y": np.arange(20.0) % 7, "x": np.linspace(-1, 1, 20), "z": np.arange(20.0) % 3})
    priors = (
        brim.prior("normal(0, 2)", tag="slopes")
        + brim.prior("normal(1, 3)", coef="z", tag="special")
        + brim.prior("exponential(2)", class_="sigma", tag="scale")
    )
    fit = brim.brm("y ~ x + z", data, prior=priors, chains=2, iter=200, seed=1, progress=False)
    value = {v: fit.draws[v].ravel() for v in ("b_x", "b_z", "sigma")}
    np.testing.assert_allclose(tagged_log_prior(fit, "slopes"), stats.norm.logpdf(value["b_x"], 0, 2), rtol=1e-8)
    np.testing.assert_allclose(tagged_log_prior(fit, "special"), stats.norm.logpdf(value["b_z"], 1, 3), rtol=1e-8)
    np.testing.assert_allclose(tagged_log_prior(fit, "scale"), stats.expon.logpdf(value["sigma"], scale=0.5), rtol=1e-8)
    assert set(fit.powerscale_sensitivity(tag="slopes").columns) == {"prior", "likelihood", "diagnosis"}
    with pytest.raises(brim.BrimError, match="no prior has the tag"):
        fit.powerscale_sensitivity(tag="slope")
