"""Posterior predictive checks, densities and traces: what is drawn is what was computed."""

import subprocess
import sys
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import brim
import references as ref
from brim.errors import BrimError
from brim.post.plots.density import bandwidth, density
from brim.post.plots.figures import Figures, slug
from brim.post.plots.style import colours


@cache
def post(name):
    spec = ref.reference(f"post/{name}")["spec"]
    empty = brim.brm(ref.formula(spec), data=ref.data(spec["data"]), family=ref.family(spec["family"]), empty=True)
    return empty.with_draws(ref.draws(ref.reference(f"post/{name}")), chains=4)


def sleep():
    return post("sleep_slopes"), brim.load_data("sleepstudy")["Reaction"].to_numpy()


def counts():
    return post("poisson"), brim.load_data("epilepsy")["count"].to_numpy()


def panel(figure, i=0):
    return figure.axes[i]


# ---- kernel densities


# R 4.2: bw.nrd0(c(1, 2, 4, 8, 16)), bw.nrd0(c(3, 3, 3))
def test_bandwidth_is_that_of_r():
    assert bandwidth(np.array([1.0, 2, 4, 8, 16])) == pytest.approx(2.920754, rel=1e-6)
    assert bandwidth(np.full(3, 3.0)) == pytest.approx(2.167402, rel=1e-6)


@pytest.mark.parametrize("n", [3, 500])
def test_density_is_the_sum_of_kernels(n):
    x = np.random.default_rng(1).standard_t(3, n)
    at = np.linspace(x.min() - 1, x.max() + 1, 301)
    h = bandwidth(x)
    exact = np.exp(-0.5 * ((at[:, None] - x) / h) ** 2).sum(1) / (n * h * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(density(x, at), exact, atol=2e-3 * exact.max())


def test_density_within_bounds():
    x = np.random.default_rng(2).beta(0.8, 0.8, 4000)
    at = np.linspace(-0.1, 1.1, 1201)
    curve = density(x, at, 0.0, 1.0)
    assert np.all(curve[(at < 0) | (at > 1)] == 0)
    assert np.trapezoid(curve, at) == pytest.approx(1, abs=5e-3)


# ---- pp_check


def test_densities_of_observed_and_replicated():
    fit, y = sleep()
    figure = fit.pp_check(ndraws=7, seed=3)
    *replicated, observed = panel(figure).lines
    at = observed.get_xdata()
    np.testing.assert_allclose(observed.get_ydata(), density(y, at))
    yrep = fit.posterior_predict(ndraws=7, seed=3)
    assert len(replicated) == 7
    for line, values in zip(replicated, yrep, strict=True):
        np.testing.assert_allclose(line.get_ydata(), density(values, at))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["observed", "replicated"]
    assert panel(figure).get_xlabel() == "Reaction"


def test_the_default_is_ten_draws():
    assert len(panel(sleep()[0].pp_check(seed=1)).lines) == 11


def test_few_whole_numbers_are_shown_one_by_one():
    fit = ref.model("binomial")[1]
    y = brim.load_data("cbpp")["incidence"].to_numpy()
    *_, observed = panel(fit.pp_check(ndraws=2, seed=1)).lines
    np.testing.assert_allclose(observed.get_ydata(), [np.mean(y == v) for v in observed.get_xdata()])
    assert np.all(np.diff(observed.get_xdata()) == 1)


def test_two_categories():
    fit = ref.model("bernoulli")[1]
    y = ref.data("sim")["ybin"].to_numpy()
    ax = panel(fit.pp_check(seed=1, ndraws=2))
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), [np.mean(y == 0), np.mean(y == 1)])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1"]
    np.testing.assert_array_equal([b.get_height() for b in panel(fit.pp_check("bars", seed=1)).patches], [np.sum(y == 0), np.sum(y == 1)])


def test_distribution_functions():
    fit, y = sleep()
    line = panel(fit.pp_check("ecdf_overlay", ndraws=3, seed=1)).lines[-1]
    np.testing.assert_array_equal(line.get_xdata()[1:-1], np.sort(y))
    np.testing.assert_allclose(line.get_ydata()[1:-1], np.arange(1, 181) / 180)


def test_histograms_hold_every_observation():
    fit, y = sleep()
    figure = fit.pp_check("hist", seed=1)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["observed", *(f"draw {i}" for i in range(1, 9))]
    patches = panel(figure).patches
    edges = [p.get_x() for p in patches]
    heights = [p.get_height() for p in patches]
    np.testing.assert_array_equal(heights, np.histogram(y, [*edges, edges[-1] + patches[-1].get_width()])[0])
    assert sum(heights) == 180
    assert len(fit.pp_check("error_hist", seed=1).axes) == 9


def test_bars_with_intervals():
    fit, y = counts()
    figure = fit.pp_check("bars", seed=2, prob_outer=0.8)
    at = np.array([p.get_x() + p.get_width() / 2 for p in panel(figure).patches])
    np.testing.assert_array_equal([p.get_height() for p in panel(figure).patches], [(y == v).sum() for v in at])
    yrep = fit.posterior_predict(seed=2)
    np.testing.assert_allclose(panel(figure).lines[0].get_ydata(), [np.median((yrep == v).sum(1)) for v in at])
    segments = np.array(panel(figure).collections[0].get_segments())
    want = [np.quantile((yrep == v).sum(1), [0.1, 0.9]) for v in at]
    np.testing.assert_allclose(segments[:, :, 1], want)
    with pytest.raises(BrimError, match="'Reaction' is continuous"):
        sleep()[0].pp_check("bars")


def test_a_statistic():
    fit, y = counts()
    figure = fit.pp_check("stat", stat="prop_zero", seed=1)
    assert panel(figure).lines[0].get_xdata()[0] == pytest.approx(np.mean(y == 0))
    assert sum(p.get_height() for p in panel(figure).patches) == 400
    assert panel(figure).get_xlabel() == "Share of zeros of count"
    own = fit.pp_check("stat", stat=np.ptp, seed=1)
    assert panel(own).lines[0].get_xdata()[0] == np.ptp(y)
    assert panel(own).get_xlabel() == "ptp of count"


@pytest.mark.parametrize(
    ("stat", "value"),
    [("mean", 298.50789), ("sd", 56.32876), ("median", 288.6508), ("mad", 59.33929), ("q25", 255.3758), ("max", 466.3535)],
)
def test_statistics(stat, value):  # R 4.2: mean(Reaction), sd(Reaction), ..., quantile(Reaction, 0.25)
    assert panel(sleep()[0].pp_check("stat", stat=stat, ndraws=5, seed=1)).lines[0].get_xdata()[0] == pytest.approx(value, rel=1e-6)


def test_two_statistics():
    fit, y = sleep()
    replicated, observed = panel(fit.pp_check("stat_2d", seed=1)).lines
    yrep = fit.posterior_predict(seed=1)
    np.testing.assert_allclose(replicated.get_xdata(), yrep.mean(1))
    np.testing.assert_allclose(replicated.get_ydata(), yrep.std(1, ddof=1))
    assert observed.get_xydata()[0] == pytest.approx([y.mean(), y.std(ddof=1)])


def test_intervals_over_a_predictor():
    fit, y = sleep()
    figure = fit.pp_check("intervals", x="Days", seed=1)
    outer, inner = panel(figure).collections
    yrep = fit.posterior_predict(seed=1)
    np.testing.assert_allclose(np.array(outer.get_segments())[:, :, 1], np.quantile(yrep, [0.05, 0.95], axis=0).T)
    np.testing.assert_allclose(np.array(inner.get_segments())[:, :, 1], np.quantile(yrep, [0.25, 0.75], axis=0).T)
    observed = panel(figure).lines[-1]
    np.testing.assert_array_equal(observed.get_xdata(), brim.load_data("sleepstudy")["Days"])
    np.testing.assert_array_equal(observed.get_ydata(), y)
    ribbon = panel(fit.pp_check("ribbon", seed=1)).lines[0]
    np.testing.assert_allclose(ribbon.get_ydata(), np.median(yrep, axis=0))


def test_averages():
    fit, y = sleep()
    mean = fit.posterior_predict(seed=1).mean(0)
    line = panel(fit.pp_check("scatter_avg", seed=1)).lines[0]
    np.testing.assert_allclose(line.get_xydata(), np.stack([mean, y], axis=1))
    errors = panel(fit.pp_check("error_scatter_avg", x="Days", seed=1)).lines[0]
    np.testing.assert_allclose(errors.get_ydata(), y - mean)
    np.testing.assert_array_equal(errors.get_xdata(), brim.load_data("sleepstudy")["Days"])


@pytest.mark.parametrize("type", ["stat_grouped", "stat"])
def test_one_panel_a_group(type):
    fit, y = counts()
    treatment = brim.load_data("epilepsy")["Trt"].astype(str)
    figure = fit.pp_check(type, group="Trt", seed=1)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Trt = 0", "Trt = 1"]
    for ax, level in zip(figure.axes, "01", strict=True):
        assert ax.lines[0].get_xdata()[0] == pytest.approx(y[treatment == level].mean())


def test_panels_are_not_cut_off():
    figure = sleep()[0].pp_check("dens_overlay_grouped", group="Subject", ndraws=2, seed=1)
    figure.draw_without_rendering()
    assert len(figure.axes) == 18
    for ax in figure.axes:
        assert ax.get_ylim()[1] >= max(line.get_ydata().max() for line in ax.lines)
        assert ax.get_ylim()[0] == 0


def test_new_data_and_their_responses():
    fit, y = sleep()
    data = brim.load_data("sleepstudy")[:20]
    line = panel(fit.pp_check("scatter_avg", newdata=data, re_formula=False, seed=1)).lines[0]
    np.testing.assert_array_equal(line.get_ydata(), y[:20])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "dens"}, "no type 'dens'\ndid you mean 'dens_overlay'"),
        ({"type": "loo_pit_qq", "ndraws": 10}, "'loo_pit_qq' weights all draws"),
        ({"type": "rootogram", "hang": "up"}, "hang"),
        ({"type": "stat_grouped"}, "needs a grouping column"),
        ({"type": "hist", "group": "Subject"}, "takes no group"),
        ({"group": "Subjct"}, "no column 'Subjct'\ndid you mean 'Subject'"),
        ({"type": "intervals", "x": "Subject"}, "'Subject' is not numeric"),
        ({"type": "stat", "stat": "men"}, "no statistic 'men'\ndid you mean 'mean'"),
        ({"type": "stat_2d", "stat": "mean"}, "1 statistics given, 2 needed"),
        ({"prob": 0.9, "prob_outer": 0.5}, "prob = 0.9"),
        ({"ndraws": 500}, "ndraws = 500"),
        ({"resp": "Reactio"}, "no response 'Reactio'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(BrimError) as caught:
        sleep()[0].pp_check(**arguments)
    assert message in str(caught.value)


# ---- densities and traces


def test_densities_and_traces():
    fit, _ = sleep()
    figure = fit.plot()
    names = ["b_Intercept", "b_Days", "sd_Subject__Intercept", "sd_Subject__Days", "cor_Subject__Intercept__Days", "sigma"]
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == names
    left, right = figure.axes[2:4]
    values = fit.draws["b_Days"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), density(values.ravel(), left.lines[0].get_xdata()))
    np.testing.assert_allclose(left.lines[1].get_xdata(), np.quantile(values, [0.025, 0.975]))
    assert left.lines[2].get_xdata()[0] == np.median(values)
    np.testing.assert_array_equal([line.get_ydata() for line in right.lines], values)


def test_chosen_variables():
    fit, _ = sleep()
    figure = fit.plot(variable=["sd_*", "sigma"], combine=False)
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == ["sd_Subject__Intercept", "sd_Subject__Days", "sigma"]
    assert len(figure.axes[0].lines) == 4
    with pytest.raises(BrimError, match="no variable 'sgima'\ndid you mean 'sigma'"):
        fit.plot(variable="sgima")


def test_constants_are_not_drawn():
    fit = ref.model("se_meta")[1]
    assert np.ptp(fit.draws["sigma"]) == 0
    assert "sigma" not in [ax.get_title(loc="left") for ax in fit.plot().axes]


# ---- figures in general


def test_settings_of_the_user_are_left_alone():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 9, "axes.grid": False}):
        line = panel(sleep()[0].pp_check("stat", seed=1, ndraws=5)).lines[0]
        assert mpl.rcParams["lines.linewidth"] == 9
    assert line.get_linewidth() == 2
    assert dict(mpl.rcParams) == before


def test_matplotlib_comes_with_the_first_figure_and_without_pyplot():
    code = """
import sys
import brim.api.fit, brim.post.effects.effects
assert "matplotlib" not in sys.modules
import brim.post.plots.checks, brim.post.effects.plot
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_and_ordered_colours():
    assert len({tuple(np.atleast_1d(c)) for c in colours(30)}) == 30
    luminance = [np.dot(c[:3], [0.3, 0.6, 0.1]) for c in colours(5, ordered=True)]
    assert np.all(np.diff(luminance) > 0.05)


def test_names_of_files(tmp_path):
    assert slug("x:log(z)") == "x_log_z_"
    figures = Figures(a=sleep()[0].pp_check(seed=1, ndraws=1))
    assert [p.name for p in figures.save(tmp_path, "p_")] == ["p_a.png"]


@pytest.mark.parametrize(
    ("kind", "more"), [("dens_overlay", {}), ("stat_grouped", {"group": "g"}), ("intervals", {"x": "x"}), ("error_hist", {})]
)
def test_rows_without_a_response_are_not_checked(kind, more):
    """``y | mi()``: the figure is that of the rows with a response, as if the others had not been replicated."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"y": rng.normal(size=12), "x": rng.normal(size=12), "g": list("ab") * 6}).assign(
        y=lambda d: d.y.where(~d.index.isin([2, 7]))
    )
    empty = brim.brm("y | mi() ~ x", d, empty=True)
    fit = empty.with_draws(pd.DataFrame({v: np.abs(rng.normal(size=20)) for v in empty.variables()}))
    figure = fit.pp_check(kind, seed=1, **more)
    for line in (line for ax in figure.axes for line in ax.get_lines()):
        assert np.isfinite(np.asarray(line.get_ydata(), float)).all()
    if kind == "intervals":
        observed = [line for ax in figure.axes for line in ax.get_lines() if line.get_marker() not in ("", "None", None)]
        assert any(len(line.get_xdata()) == 10 for line in observed)


def test_responses_that_are_all_missing_cannot_be_checked():
    d = pd.DataFrame({"y": [1.0, 2.0, 4.0, np.nan], "x": [0.0, 1.0, 2.0, 3.0]})
    empty = brim.brm("y | mi() ~ x", d, empty=True)
    fit = empty.with_draws(pd.DataFrame({v: [1.0, 2.0] for v in empty.variables()}))
    with pytest.raises(BrimError, match="no observation"):
        fit.pp_check(newdata=d.iloc[[3]], seed=1)
