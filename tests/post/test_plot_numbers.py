"""The numbers behind plots: bayesplot's (tests/reference/bayesplot.json.gz), SciPy, closed forms; and that every type is drawn."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.post.plots.posterior import TYPES, acf, interval_table, plot_of_draws
from brim.post.plots.predictive.calibration import band, loo_pit, pit
from brim.post.plots.predictive.check import STATS, CheckData
from brim.post.plots.predictive.distributions import rootogram_data
from brim.post.plots.predictive.observations import binned_errors, interval_data
from brim.post.plots.predictive.survival import kaplan_meier
from brim.post.plots.predictive.table import PANELS
from brim.post.plots.ranks import ranks
from references import reference

MODELS = ("s_group", "poisson")
DIGITS = 1e-7  # of the stored replications


def numbers(model):
    ref = reference("bayesplot")[model]
    return ref, np.array(ref["y"], float), np.array(ref["yrep"], float)


@pytest.mark.parametrize("model", MODELS)
def test_intervals(model):
    ref, y, yrep = numbers(model)
    found = interval_data(CheckData(y, yrep, "y", (0, 1)))
    np.testing.assert_allclose(found, [ref["ppc_intervals"][k] for k in ("ll", "l", "m", "h", "hh")], atol=DIGITS)


@pytest.mark.parametrize("model", MODELS)
def test_statistics_and_errors(model):
    ref, y, yrep = numbers(model)
    theirs = np.array(ref["ppc_stat_mean"]["value"])
    np.testing.assert_allclose(STATS["mean"](y), theirs[0], atol=DIGITS)
    np.testing.assert_allclose(STATS["mean"](yrep), theirs[1:], atol=DIGITS)
    np.testing.assert_allclose((y - yrep).mean(0), ref["ppc_error_mean"], rtol=1e-6, atol=1e-9)


def test_rootogram():
    ref, y, yrep = numbers("poisson")
    at, observed, _ = rootogram_data(y, yrep)
    theirs = dict(zip(ref["ppc_rootogram"]["x"], ref["ppc_rootogram"]["ymax"], strict=True))
    np.testing.assert_allclose(observed, [theirs.get(v, 0.0) for v in at], rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_chains(model):
    """Autocorrelations and ranks of every chain."""
    ref, *_ = numbers(model)
    rank = pd.DataFrame({k: ref["mcmc_rank"][k] for k in ("parameter", "chain", "value", "value_rank")})
    first = rank[rank["parameter"] == rank["parameter"].iloc[0]]
    values = np.stack([g["value"].to_numpy() for _, g in first.groupby("chain")])
    np.testing.assert_array_equal(ranks(values).ravel(), np.concatenate([g["value_rank"] for _, g in first.groupby("chain")]))
    table = pd.DataFrame(ref["mcmc_acf"])
    for chain, values_ in enumerate(values, 1):
        theirs = table[(table["Chain"] == chain) & (table["Parameter"] == first["parameter"].iloc[0])]["AC"]
        np.testing.assert_allclose(acf(values_, len(theirs) - 1), theirs, atol=1e-8)


def test_rank_histograms_have_a_panel_each_chain():
    """Parameters below each other, chains beside each other; the bars hold all draws of the chain, by their ranks among all chains."""
    rng = np.random.default_rng(2)
    draws = {"a": rng.normal(size=(3, 100)), "b": rng.normal(size=(3, 100)) + np.array([[0.0], [0.0], [2.0]])}
    figure = plot_of_draws(draws, {}, "rank_hist")
    assert [ax.get_title(loc="left") for ax in figure.axes] == [t for n in "ab" for t in (f"{n}\nchain 1", "chain 2", "chain 3")]
    grid = [(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start) for ax in figure.axes]
    assert grid == [(row, column) for row in range(2) for column in range(3)]
    for at, ax in enumerate(figure.axes):
        values = draws["ab"[at // 3]]
        heights, edges = [b.get_height() for b in ax.patches], [b.get_x() for b in ax.patches]
        rank = np.argsort(np.argsort(values.ravel())).reshape(3, 100)[at % 3] // 15  # 300 ranks in 20 bins
        np.testing.assert_array_equal(heights, np.bincount(rank, minlength=20))
        np.testing.assert_allclose(edges, np.linspace(0.5, 300.5, 21)[:-1])
        assert max(heights) < ax.get_ylim()[1]
    assert len(plot_of_draws({"a": draws["a"][:1]}, {}, "rank_hist").axes) == 1


def test_intervals_of_parameters():
    """Quantiles of type 7, as R's."""
    rng = np.random.default_rng(1)
    x = rng.gamma(2, size=(400, 3))
    table = interval_table(x, 0.8, 0.95, "mean")
    np.testing.assert_allclose(table[:, [0, 1, 3, 4]], np.quantile(x, [0.025, 0.1, 0.9, 0.975], axis=0).T, rtol=1e-12)
    np.testing.assert_allclose(table[:, 2], x.mean(0), rtol=1e-12)


def test_weighted_pit():
    """Weights 1, 2, 3 of draws below, at and above the observation."""
    y, yrep = np.array([2.0]), np.array([[1.0], [2.0], [3.0]])
    weights = np.log([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(loo_pit(y, yrep, weights), 3 / 6)
    np.testing.assert_allclose(loo_pit(y, yrep, weights, ties=0.5), 2 / 6)


def test_pit_of_counts_is_uniform():
    """Counts near zero from their own law: Kolmogorov-Smirnov at 1 in a thousand; half of each tie would give few distinct values."""
    rng = np.random.default_rng(5)
    check = CheckData(
        rng.poisson(0.7, 1500).astype(float), rng.poisson(0.7, (400, 1500)).astype(float), "k", discrete=True, window=(0.0, 9.0)
    )
    values = pit(check)
    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert len(np.unique(values)) == 1500


def test_band_holds_whole_curves():
    """Of 4000 uniform samples about 95 % stay inside everywhere; two standard errors of both simulations."""
    n, points = 60, 20
    low, high = band(n, points)
    rng = np.random.default_rng(7)
    at = np.arange(1, points + 1) / points
    u = rng.random((4000, n))
    curves = (u[:, :, None] <= at).mean(axis=1)
    inside = np.all((curves >= low) & (curves <= high), axis=1).mean()
    assert 0.935 < inside < 0.985  # discrete curves: the level is at least 95 % up to error


def test_kaplan_meier_against_scipy():
    rng = np.random.default_rng(3)
    time, ended = rng.integers(1, 12, 60).astype(float), rng.random(60) < 0.7
    t, s = kaplan_meier(time, ended)
    sample = stats.CensoredData(uncensored=time[ended], right=time[~ended])
    theirs = stats.ecdf(sample).sf
    np.testing.assert_allclose(s[1:], theirs.evaluate(t[1:]), rtol=1e-12)


def test_kaplan_meier_of_start_stop_rows_is_that_of_whole_rows():
    rng = np.random.default_rng(3)
    time, ended = rng.integers(1, 12, 60) + 0.5, rng.random(60) < 0.7
    cut = np.floor(time * rng.random(60))
    parts = np.r_[cut, time], np.r_[np.zeros(60, bool), ended], np.r_[np.zeros(60), cut]
    np.testing.assert_allclose(kaplan_meier(*parts), kaplan_meier(time, ended), rtol=1e-12)
    # by hand: the second enters after the first event
    assert kaplan_meier(np.array([1.0, 3.0, 2.0]), None, np.array([0.0, 1.0, 0.0]))[1].tolist() == [1.0, 0.5, 0.25, 0.0]


def test_binned_errors_by_hand():
    expected, error = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0]), np.array([1.0, 2.0, 3.0, 0.0, 0.0, 6.0])
    at, mean, spread = binned_errors(expected, error, bins=2)
    np.testing.assert_allclose(at, [0.1, 0.9])
    np.testing.assert_allclose(mean, [2.0, 2.0])
    np.testing.assert_allclose(spread, [2 / np.sqrt(3), 2 * np.sqrt(12) / np.sqrt(3)])


@pytest.fixture(scope="module")
def fit():
    rows = brim.load_data("epilepsy")
    empty = brim.brm("count ~ zBase * Trt + (1 | patient)", rows, family="poisson", empty=True)
    rng = np.random.default_rng(0)
    names = empty.variables()
    draws = {n: rng.normal(0.5 if n.startswith("sd") else 0, 0.05, 80) for n in names}
    drawn = empty.with_draws(pd.DataFrame(draws | {"b_Intercept": rng.normal(1.8, 0.05, 80)}), chains=2)
    shape = (2, 40)
    bad = np.zeros(shape, bool)
    bad[0, 3] = True
    names = ("lp", "acceptance_rate", "energy")
    return drawn.__class__(
        **{f: getattr(drawn, f) for f in ("request", "model", "frame", "posterior", "info")},
        stats={**{n: rng.random(shape) for n in names}, "diverging": bad, "tree_depth": np.full(shape, 3)},
    )


def pixels(figure):
    image = figure._repr_png_()
    assert len(image) > 3000
    return image


@pytest.mark.parametrize("kind", TYPES)
def test_every_plot_of_draws_is_drawn(fit, kind):
    pixels(fit.mcmc_plot(kind, variable=["b_zBase", "b_Trt1"]))


@pytest.mark.parametrize("kind", PANELS)
def test_every_predictive_check_is_drawn(fit, kind):
    more = {"group": "Trt"} if kind == "violin" else {"stat": ("mean", "sd")} if kind == "stat_2d" else {}
    pixels(fit.pp_check(kind, seed=1, **more))


def test_pairs_and_levels_are_drawn(fit):
    pixels(fit.pairs(variable=["b_zBase", "b_Trt1", "sd_patient__Intercept"]))
    figure = fit.caterpillar("patient")
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    medians = np.median(np.asarray(fit.ranef(summary=False)["patient"]).squeeze(), axis=0)
    levels = [str(v) for v in fit.ranef()["patient"]["level"].values]
    assert labels == [levels[i] for i in np.argsort(medians, kind="stable")]
