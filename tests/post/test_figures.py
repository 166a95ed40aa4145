"""Figures in general: who sees them, where they are drawn, and that they say what they show."""

import itertools
import os
import subprocess
import sys
import warnings
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import brim
from brim.errors import BrimError
from brim.post.plots.figures import Figure, unseen
from brim.post.plots.style import PALETTE, looks

mpl.use("agg")
from matplotlib import pyplot as plt

LEVELS = [f"category {i}" for i in range(10)]


@cache
def rows():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": rng.normal(size=60), "k": np.arange(60) % 4, "f": np.array(LEVELS)[np.arange(60) % 10]})
    d["g"] = np.where(np.arange(60) % 3 == 0, "placebo", "drug")
    d["y"] = d["x"] + rng.normal(size=60)
    d["won"], d["n"] = rng.integers(0, 5, 60), 5
    d["yes"] = rng.integers(0, 2, 60)
    d["rating"] = pd.Categorical.from_codes(rng.integers(0, 3, 60), ["poor", "fair", "good"], ordered=True)
    d["time"], d["cens"] = rng.weibull(2, 60), np.array(["none", "right", "left", "interval"])[np.arange(60) % 4]
    d["until"] = d["time"] + 0.5
    d["right"] = np.where(np.arange(60) % 3 == 0, "right", "none")
    return d


@cache
def fit(formula, family="gaussian", chains=2):
    empty = brim.brm(formula, rows(), family=family, empty=True)
    rng = np.random.default_rng(5)
    draws = {v: np.abs(rng.normal(size=10 * chains)) for v in empty.variables()}
    if family == "cumulative":
        draws |= {"b_Intercept[1]": draws["b_Intercept[1]"] - 1, "b_Intercept[2]": draws["b_Intercept[1]"] + 1}
    return empty.with_draws(pd.DataFrame(draws), chains=chains)


def words(figure):
    return [t.get_text() for t in figure.texts]


@pytest.fixture
def opened():
    """What pyplot knows, from nothing."""
    plt.close("all")
    yield plt.get_fignums
    plt.close("all")


# ---- who sees them


DRAWN = {
    "effects": lambda f, **k: next(iter(f.conditional_effects("x").plot(**k).values())),
    "check": lambda f, **k: f.pp_check(seed=1, **k),
    "forest": lambda f, **k: f.mcmc_plot(**k),
    "rhat": lambda f, **k: f.mcmc_plot("rhat", **k),
    "parcoord": lambda f, **k: f.mcmc_plot("parcoord", **k),
    "one parameter": lambda f, **k: f.mcmc_plot("acf", variable="b_x", **k),
    "hypothesis": lambda f, **k: f.hypothesis("x > 0").plot(**k),
    "levels": lambda f, **k: f.caterpillar("f", **k),
    "scatter": lambda f, **k: f.mcmc_plot("scatter", variable=["b_x", "sigma"], **k),
}
TWO = ["b_x", "sigma"]
SEVERAL = {
    "plot": (lambda f, **k: f.plot(variable=TWO, **k), 4),
    "pairs": (lambda f, **k: f.pairs(variable=TWO, **k), 4),
    "chains": (lambda f, **k: f.mcmc_plot("trace", variable=TWO, **k), 2),
    "groups": (lambda f, **k: f.pp_check(group="g", seed=1, **k), 2),
    "conditions": (lambda f, **k: f.conditional_effects("x", conditions={"k": [0, 1, 2]}).plot(**k)["x"], 3),
    "ranks": (lambda f, **k: f.mcmc_plot("rank_hist", variable=TWO, **k), 4),
    "draws": (lambda f, **k: f.pp_check("hist", ndraws=2, seed=1, **k), 3),
}


def multilevel():
    return fit("y ~ x + k + (1 | f)")


@pytest.mark.parametrize("kind", [*DRAWN, *SEVERAL])
def test_every_figure_is_known_to_pyplot(kind, opened):
    figure = DRAWN[kind](multilevel()) if kind in DRAWN else SEVERAL[kind][0](multilevel())
    assert [plt.figure(n) for n in opened()] == [figure]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_every_effect_is_shown(opened):
    figures = multilevel().conditional_effects().plot()
    assert [plt.figure(n) for n in opened()] == list(figures.values())


def test_many_figures_make_no_warning_and_are_not_kept(opened):
    mine = plt.figure()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        last = [multilevel().mcmc_plot("rhat") for _ in range(25)][-1]
        for _ in range(5):
            plt.figure()
    known = [plt.figure(n) for n in opened()]
    assert mine in known
    assert last in known
    assert sum(isinstance(f, Figure) for f in known) == 10


def test_figures_of_one_call_stay_together(opened):
    f = fit("y ~ x + k + g + f + yes + won + n")
    with mpl.rc_context({"figure.max_open_warning": 4}):
        f.mcmc_plot("rhat")
        figures = f.conditional_effects().plot()
    assert len(figures) == 7
    assert [plt.figure(n) for n in opened()] == list(figures.values())


def test_files_and_reports_open_nothing(opened, tmp_path):
    multilevel().conditional_effects().save(tmp_path)
    with unseen():
        multilevel().plot()
    assert opened() == []


def test_a_figure_that_fails_leaves_nothing_open(opened):
    with pytest.raises(BrimError):
        fit("time | cens(cens, until) ~ x", "weibull").pp_check("km_overlay", seed=1)
    with pytest.raises(RuntimeError):
        multilevel().pp_check("stat", stat=broken, seed=1)
    assert opened() == []


def broken(values):
    raise RuntimeError("no")


SCRIPT = """
import sys, warnings
from threading import Thread
warnings.simplefilter("error")
{before}
from brim.post.plots.figures import Canvas, drawing
def draw():
    with drawing():
        Canvas().panels(1)
for _ in range(30):
    draw()
{after}
"""
KNOWN = "import matplotlib.pyplot as plt; assert len(plt.get_fignums()) == 10"
UNKNOWN = "assert 'matplotlib.pyplot' not in sys.modules"
PYPLOT = "import matplotlib.pyplot as plt"


@pytest.mark.parametrize(
    ("before", "after", "environment"),
    [
        ("", UNKNOWN, {}),  # nobody looks
        ("", UNKNOWN, {"DISPLAY": ":99", "MPLBACKEND": "agg"}),
        ("", KNOWN, {"DISPLAY": ":99"}),  # a display: a script or prompt may say plt.show(); that it cannot be opened is no fault
        ("", f"{PYPLOT}; assert plt.get_fignums() == []", {"DISPLAY": ":99", "MPLBACKEND": "module://no_such_toolkit"}),
        (f"{PYPLOT}; plt.switch_backend('agg'); plt.ion()", KNOWN, {}),
        # off the main thread windows cannot be opened
        (PYPLOT, "plt.close('all'); t = Thread(target=draw); t.start(); t.join(); assert plt.get_fignums() == []", {}),
    ],
)
def test_who_looks(before, after, environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    code = SCRIPT.format(before=before, after=after)
    done = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- where they are drawn


@pytest.mark.parametrize("kind", DRAWN)
def test_in_an_axes_of_the_user(kind, opened):
    mine, ax = plt.subplots()
    assert DRAWN[kind](multilevel(), ax=ax) is mine
    assert opened() == [mine.number]
    assert ax.lines or ax.collections
    assert ax.get_xlabel() or ax.get_xticklabels()
    with pytest.raises(BrimError, match=r"1 panel to draw, and ax= gives 2\ngive one ax"):
        DRAWN[kind](multilevel(), ax=plt.subplots(1, 2)[1])
    assert DRAWN[kind](multilevel(), figsize=(3, 2)).get_size_inches().tolist() == [3, 2]


@pytest.mark.parametrize("kind", SEVERAL)
def test_in_several_axes_of_the_user(kind, opened):
    draw, n = SEVERAL[kind]
    mine, axes = plt.subplots(2, 2) if n == 4 else plt.subplots(1, n)
    assert draw(multilevel(), ax=axes) is mine
    assert opened() == [mine.number]
    assert all(ax.has_data() or ax.texts for ax in np.ravel(axes))
    with pytest.raises(BrimError, match=rf"{n} panels to draw, and ax= gives 1\ngive an array of {n} axes"):
        draw(multilevel(), ax=axes.flat[0])
    assert draw(multilevel(), figsize=[6, 4]).get_size_inches().tolist() == [6, 4]


def test_several_effects_share_the_axes_of_the_user(opened):
    mine, axes = plt.subplots(1, 2)
    figures = multilevel().conditional_effects(["x", "k"]).plot(ax=axes)
    assert list(figures.values()) == [mine, mine]
    assert [ax.get_xlabel() for ax in axes] == ["x", "k"]
    assert figures._repr_html_().count("<img") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ax": "here"}, "ax = str is no axes of matplotlib"),
        ({"ax": []}, "no axes of matplotlib"),
        ({"figsize": 4}, "figsize = 4\ngive width and height in inches"),
        ({"figsize": (0, 4)}, "figsize = "),
        ({"figsize": (1, 2, 3)}, "figsize = "),
    ],
)
def test_what_is_no_place(arguments, message, opened):
    for draw in (multilevel().pp_check, multilevel().plot, multilevel().conditional_effects("x").plot):
        with pytest.raises(BrimError) as caught:
            draw(**arguments)
        assert message in str(caught.value)
    with pytest.raises(BrimError, match="give one of them"):
        multilevel().pp_check(ax=plt.subplots()[1], figsize=(3, 3))
    with pytest.raises(BrimError, match="several figures"):
        multilevel().pp_check(group="g", ax=[plt.subplots()[1], plt.subplots()[1]])
    with pytest.raises(BrimError, match="no argument 'pionts'\ndid you mean 'points'"):
        multilevel().conditional_effects("x").plot(pionts=True)


# ---- what tells levels apart


def test_more_levels_than_colours():
    found = looks(30)
    assert [look.colour for look in found[:7]] == list(PALETTE)
    assert len({look.colour for look in found}) == 30
    assert {look.line for look in found[:7]} == {"-"}
    assert "-" not in {look.line for look in found[7:21]}
    assert len({look.marker for look in found}) == 5
    ax = fit("y ~ x * f").conditional_effects("x:f").plot(points=True)["x:f"].axes[0]
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    assert [line.get_label() for line in lines] == LEVELS
    assert len({line.get_color() for line in lines}) == 10
    assert [line.get_linestyle() for line in lines].count("--") == 3
    assert fit("y ~ x * f").conditional_effects("f:x").plot()["f:x"]  # ordered: from dark to light
    chains = fit("y ~ x", chains=9).mcmc_plot("dens_overlay", variable="b_x").axes[0].lines
    assert len({line.get_color() for line in chains}) == 9


def overlaps(figure, labels):
    figure.draw_without_rendering()
    shown = [t for t in labels if t.get_text() and t.get_visible()]
    if shown[0].get_rotation():  # tilted: it is the distance of lines of text that counts
        at = np.array([t.get_window_extent().x1 for t in shown])
        return bool(np.any(np.diff(at) < shown[0].get_fontsize() * figure.dpi / 72))
    boxes = [t.get_window_extent() for t in shown]
    return any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_labels_of_ten_categories_do_not_touch():
    for figure in (
        fit("y ~ x * f").conditional_effects("f").plot()["f"],
        fit("y ~ x * f").pp_check("violin", group="f", seed=1),
        fit("f ~ x", "categorical").pp_check("bars", seed=1),
        fit("f ~ x", "categorical").pp_check("bars", seed=1, figsize=(2, 3)),
    ):
        ax = figure.axes[0]
        assert [t.get_text() for t in ax.get_xticklabels()] == LEVELS
        assert not overlaps(figure, ax.get_xticklabels())


def test_tilted_labels_do_not_squeeze_panels():
    conditions = {"x": [-1, 0, 1]}
    flat, tilted = (fit("y ~ x * f + g").conditional_effects(e, conditions=conditions).plot()[e] for e in ("g", "f"))
    heights = []
    for figure in (flat, tilted):
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_panels_say_which_variable_they_hold():
    figure = fit("y ~ x * f").pp_check("stat", group="k", seed=1)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["k = 0", "k = 1", "k = 2", "k = 3"]
    assert fit("y ~ x * f").pp_check("violin", group="g", seed=1).axes[0].get_xlabel() == "g"
    figure = fit("y ~ x + k").conditional_effects("x", conditions={"k": [0, 2]}).plot()["x"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["k = 0", "k = 2"]


# ---- what is drawn, in words


@pytest.mark.parametrize(
    ("formula", "family", "arguments", "label"),
    [
        ("won | trials(n) ~ x", "binomial", {}, "Probability of won"),
        ("won | trials(n) ~ x", "binomial", {"conditions": {"n": [5]}}, "won"),
        ("won | trials(n) ~ x", "beta_binomial", {}, "Probability of won"),
        ("won | trials(n) ~ x", "binomial", {"method": "posterior_predict"}, "Predicted won"),
        ("won | trials(n) ~ x", "binomial", {"method": "posterior_linpred"}, "mu of won (linear predictor)"),
        ("yes ~ x", "bernoulli", {}, "Probability of yes = 1"),
        ("g ~ x", "bernoulli", {}, "Probability of g = placebo"),
        ("rating ~ x", "cumulative", {}, "Mean category of rating"),
        ("rating ~ x", "cumulative", {"categorical": True}, "Probability of rating"),
        ("rating ~ x", "cumulative", {"method": "posterior_predict"}, "Predicted category of rating"),
        ("f ~ x", "categorical", {}, "Probability of f"),
        ("y ~ x", "gaussian", {}, "y"),
        ("y ~ x", "gaussian", {"transform": np.exp}, "y (transformed)"),
    ],
)
def test_axes_are_named_after_what_is_drawn(formula, family, arguments, label):
    effects = fit(formula, family).conditional_effects("x", resolution=3, **arguments)
    assert effects.plot()["x"].axes[0].get_ylabel() == label


def test_the_mean_category_stands_among_their_names():
    ax = fit("rating ~ x", "cumulative").conditional_effects("x").plot()["x"].axes[0]
    assert [(t.get_position()[1], t.get_text()) for t in ax.get_yticklabels()] == [(1, "poor"), (2, "fair"), (3, "good")]


def test_numbers_of_several_categories_have_no_mean():
    with pytest.raises(BrimError, match=r"a number for every category.*\nuse method='posterior_epred'"):
        fit("f ~ x", "categorical").conditional_effects("x", method="posterior_linpred")


def test_the_caption_says_what_is_held():
    d = rows()
    effects = fit("y ~ x + k + g + (1 | f)").conditional_effects(["x", "x:g"])
    mean = f"x = {d['x'].mean():.4g} (mean)"
    assert effects.captions == {
        "x": f"Held at k = {d['k'].mean():.4g} (mean), g = drug; without group effects",
        "x:g": f"Held at k = {d['k'].mean():.4g} (mean); without group effects",
    }
    figure = effects.plot()["x"]
    assert " ".join(words(figure)[0].split()) == effects.captions["x"]
    assert effects.captions["x"] in repr(effects)
    varied = fit("y ~ x + k + g + (1 | f)").conditional_effects("g", conditions={"k": [0, 1]}, re_formula=None)
    assert varied.captions["g"] == f"Held at {mean}, f: a new level"
    assert fit("y ~ x + k").conditional_effects("x", conditions={"k": [3]}).captions["x"] == "Held at k = 3"
    assert fit("won | trials(n) ~ x", "binomial").conditional_effects("x").captions["x"] == "Held at n = 1"
    assert fit("y ~ x").conditional_effects("x").captions["x"] == ""
    assert words(fit("y ~ x").conditional_effects("x").plot()["x"]) == []


@pytest.mark.parametrize("panels", [1, 3])
def test_captions_lie_below_everything_else(panels):
    more = {"conditions": {"k": [0, 1, 2][:panels]}} if panels > 1 else {}
    figure = fit("y ~ x + k + g + (1 | f)").conditional_effects("x", **more).plot()["x"]
    figure.draw_without_rendering()
    below = figure.texts[0].get_window_extent()
    assert below.y0 >= 0
    assert below.x1 <= figure.bbox.x1
    for ax in figure.axes:
        assert ax.get_tightbbox().y0 >= below.y1
    label = figure._supxlabel.get_window_extent() if panels > 1 else figure.axes[0].xaxis.label.get_window_extent()
    ticks = [t.get_window_extent() for t in figure.axes[0].get_xticklabels() if t.get_text()]
    assert label.y0 >= below.y1
    assert all(t.y0 >= label.y1 for t in ticks)


# ---- observations


def test_points_of_two_groups_lie_side_by_side():
    d = rows()
    ax = fit("y ~ k * g").conditional_effects("k:g").plot(points=True)["k:g"].axes[0]
    groups = {level: next(q for q in ax.lines if len(q.get_xdata()) == n) for level, n in (("placebo", 20), ("drug", 40))}
    moved = {level: dots.get_xdata() - d["k"][d["g"] == level] for level, dots in groups.items()}
    assert max(moved["drug"]) < min(moved["placebo"])
    assert max(abs(np.concatenate(list(moved.values())))) < 1 / 6
    np.testing.assert_array_equal(groups["drug"].get_ydata(), d["y"][d["g"] == "drug"])


def test_few_whole_responses_of_two_groups_are_set_apart():
    d = rows()
    ax = fit("yes ~ x * g", "bernoulli").conditional_effects("x:g").plot(points=True)["x:g"].axes[0]
    dots = {n: next(q for q in ax.lines if len(q.get_xdata()) == n) for n in (20, 40)}
    np.testing.assert_array_equal(dots[20].get_xdata(), d["x"][d["g"] == "placebo"])
    np.testing.assert_allclose(dots[20].get_ydata() - d["yes"][d["g"] == "placebo"], 0.04)
    np.testing.assert_allclose(dots[40].get_ydata() - d["yes"][d["g"] == "drug"], -0.04)


MARKS = {"none": "o", "right": "^", "left": "v", "interval": "D"}


def test_censored_responses_are_marked():
    d = rows()
    survival = fit("time | cens(cens, until) ~ x", "weibull")
    figure = survival.conditional_effects("x").plot(points=True)["x"]
    drawn = {line.get_marker(): line for line in figure.axes[0].lines if line.get_marker() != "None"}
    for word, marker in MARKS.items():
        mine = d[d["cens"] == word]
        at = mine["time"] + 0.25 if word == "interval" else mine["time"]
        np.testing.assert_allclose(drawn[marker].get_ydata(), at)
        assert (drawn[marker].get_markerfacecolor() == "none") == (word != "none")
    (ends,) = [c for c in figure.axes[0].collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose(np.array(ends.get_segments())[:, :, 1], d.loc[d["cens"] == "interval", ["time", "until"]])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["right-censored", "left-censored", "interval-censored"]
    points = survival.conditional_effects("x").info["x"].points
    assert points["cens__"].tolist() == [0, 1, -1, 2] * 15


@pytest.mark.parametrize("kind", ["intervals", "ribbon", "scatter_avg", "error_scatter_avg", "error_scatter", "violin"])
def test_checks_mark_censored_responses(kind):
    survival = fit("time | cens(cens, until) ~ x", "weibull")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = survival.pp_check(kind, seed=1, **({"group": "g"} if kind == "violin" else {}))
    markers = {line.get_marker() for line in figure.axes[0].lines}
    assert set(MARKS.values()) <= markers
    assert {"observed", "right-censored"} <= {t.get_text() for t in figure.legends[0].get_texts()}


def test_reports_do_not_take_limits_for_values(opened, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*at their limits")
        page = fit("time | cens(right) ~ x", "weibull").report(tmp_path / "right.html").read_text()
        more = fit("time | cens(cens, until) ~ x", "weibull").report(tmp_path / "all.html").read_text()
    assert "Kaplan-Meier curves" in page
    assert "Calibration" not in page
    assert "Kaplan-Meier curves" not in more
    assert "Observed and replicated responses" in more
    assert opened() == []


def test_checks_that_cannot_mark_them_say_so():
    with pytest.warns(UserWarning, match="45 of 60 observations are censored, and 'dens_overlay' shows them at their limits"):
        fit("time | cens(cens, until) ~ x", "weibull").pp_check(seed=1)
    with pytest.raises(BrimError, match="exact and right-censored"):
        fit("time | cens(cens, until) ~ x", "weibull").pp_check("km_overlay", seed=1)
    figure = fit("time | cens(right) ~ x", "weibull").pp_check("km_overlay", seed=1, ndraws=3)
    ticks = next(line for line in figure.axes[0].lines if line.get_label() == "right-censored")
    np.testing.assert_array_equal(ticks.get_xdata(), np.sort(rows()["time"][rows()["right"] == "right"]))
