"""fit.idata: its groups, and ArviZ' functions that take it as it is."""

import numpy as np
import pytest

import brim
import fits


def test_groups():
    fit = fits.fit("sleep_slopes")
    tree = fit.idata
    assert {"posterior", "observed_data", "constant_data"} <= set(tree.children)
    assert "log_likelihood" not in tree.children
    np.testing.assert_array_equal(tree["log_likelihood"]["Reaction"].to_numpy().reshape(400, -1), fit.log_lik())
    np.testing.assert_allclose(tree.log_prior["lprior"].to_numpy().ravel(), fit.draws["lprior"].ravel(), rtol=1e-6)
    assert tree.posterior_predictive["Reaction"].dims == ("chain", "draw", "obs")
    assert tree.observed_data["Reaction"].dims == ("obs",)
    assert tree.constant_data["Subject"].dtype.kind == "U"
    with pytest.raises(AttributeError):
        _ = tree.nothing
    with pytest.raises(KeyError):
        _ = tree["nothing"]


def test_statistics():
    """summary, loo and compare of ArviZ; loo differs from R's in the length of the tail only."""
    from arviz_stats import compare, loo, summary

    fit = fits.fit("cumulative")
    assert any(name.startswith("b") for name in summary(fit.idata).index)
    theirs = loo(fit.idata)
    np.testing.assert_allclose(theirs.elpd, fit.loo().elpd, atol=0.1)
    assert len(compare({"one": fit.idata, "two": fit.idata})) == 2


def test_sensitivity():
    """Power scaling takes log_prior and log_likelihood."""
    from arviz_stats import psense_summary

    table = psense_summary(
        fits.fit("sleep_slopes").idata, var_names=["b_Days"] if "b_Days" in fits.fit("sleep_slopes").idata.posterior else None
    )
    assert {"prior", "likelihood"} <= set(table.columns)


def test_prior():
    """The prior is sampled under the same names."""
    data = brim.load_data("sleepstudy")
    priors = brim.prior("normal(0, 10)")
    fit = brim.brm("Reaction ~ Days", data, prior=priors, chains=2, iter=200, seed=1, progress=False)
    tree = fit.idata
    assert set(tree["prior"].data_vars) <= set(tree["posterior"].data_vars)
    flat = brim.brm("Reaction ~ Days", data, chains=2, iter=200, seed=1, progress=False)
    with pytest.raises(AttributeError, match="proper priors"):
        _ = flat.idata.prior


@pytest.mark.slow
def test_plots():
    import arviz_plots as azp
    import matplotlib as mpl

    mpl.use("agg")
    tree = fits.fit("sleep_slopes").idata
    azp.plot_forest(tree, var_names=["sigma"])
    azp.plot_ppc_dist(tree)
    azp.plot_loo_pit(tree)
