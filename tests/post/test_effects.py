"""Conditional effects: brms' tables, closed forms from the draws, the choice of effects and values."""

import re
import warnings
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import brim
import references as ref
from brim.errors import BrimError, BrimWarning
from brim.families.kinds import Kind
from brim.frames.frame import Frame
from brim.language.brms import bf
from brim.post.effects.effects import conditional_effects
from brim.post.effects.grid import GridSettings, grid
from brim.post.effects.variables import Variables

STATISTICS = ("estimate__", "se__", "lower__", "upper__")


@cache
def post(name):
    """The fit of post/NAME with its posterior, and brms' tables."""
    spec = ref.reference(f"post/{name}")["spec"]
    empty = brim.brm(ref.formula(spec), data=ref.data(spec["data"]), family=ref.family(spec["family"]), empty=True)
    return empty.with_draws(ref.draws(ref.reference(f"post/{name}")), chains=4)


def draw(fit, name):
    return fit.draws[name].ravel()


def equal(table, values):
    """The table's statistics are those of ``values (draws, rows)``: median, MAD, quantiles."""
    middle = np.median(values, axis=0)
    want = (middle, 1.4826 * np.median(abs(values - middle), axis=0), *np.quantile(values, [0.025, 0.975], axis=0))
    for column, expected in zip(STATISTICS, want, strict=True):
        np.testing.assert_allclose(table[column], expected, rtol=1e-9, atol=1e-12)


# ---- brms' numbers


# conditional_effects(fit), brms 2.18
@pytest.mark.parametrize("name", ["sleep_slopes", "poisson"])
def test_tables_are_those_of_brms(name):
    tables = ref.reference(f"post/{name}")["conditional_effects"]
    effects = post(name).conditional_effects()
    assert list(effects) == list(tables)
    for effect, table in tables.items():
        mine = effects[effect]
        for column in {"effect1__", "effect2__", *STATISTICS, *mine.columns} - {"cond__"}:
            if column not in table and column == "effect2__":
                continue
            if isinstance(table[column][0], str):
                assert list(mine[column]) == table[column]
            else:
                np.testing.assert_allclose(mine[column], table[column], rtol=1e-8, atol=1e-12)
        assert list(mine.columns[-4:]) == list(STATISTICS)


@dataclass(frozen=True)
class Ordinal:
    """The reference model post/cumulative, its probabilities computed here from its draws."""

    base: object
    draws_of: pd.DataFrame

    @property
    def frame(self):
        return self.base.frame

    @property
    def formula(self):
        return self.base.formula

    @property
    def draws(self):
        return SimpleNamespace(chains=4, draws=100)

    @property
    def model(self):
        response = self.base.model.responses[0]
        return replace(self.base.model, responses=(replace(response, family=replace(response.family, kind=Kind.ORDINAL)),))

    def posterior_epred(self, newdata, draw_ids=None, **_):
        d = self.draws_of.iloc[draw_ids]
        eta = np.outer(d["b_x"], newdata["x"].numbers) + np.outer(d["b_z"], newdata["z"].numbers)
        below = expit(d[[f"b_Intercept[{k}]" for k in (1, 2, 3)]].to_numpy()[:, None, :] - eta[:, :, None])
        return np.diff(below, axis=2, prepend=0.0, append=1.0)


@cache
def ordinal():
    data = ref.data("sim").assign(yord=lambda d: d["yord"].astype(int))
    return Ordinal(brim.brm("yord ~ x + z + (1 | g)", data=data, empty=True), ref.draws(ref.reference("post/cumulative")))


# conditional_effects(fit), brms 2.18: the mean category
def test_ordinal_mean_category():
    with pytest.warns(BrimWarning, match="categorical=True"):
        effects = conditional_effects(ordinal())
    for effect, table in ref.reference("post/cumulative")["conditional_effects"].items():
        for column in STATISTICS:
            np.testing.assert_allclose(effects[effect][column], table[column], rtol=1e-8)


def test_probabilities_of_categories():
    effects = conditional_effects(ordinal(), categorical=True, resolution=5)
    table = effects["x"]
    assert list(table["cats__"].unique()) == list(table["effect2__"].unique()) == ["1", "2", "3", "4"]
    x = np.unique(table["effect1__"])
    p = ordinal().posterior_epred({"x": Frame.read({"x": x})["x"], "z": Frame.read({"z": table["z"][:5]})["z"]}, draw_ids=np.arange(400))
    for k in range(4):
        equal(table[table["cats__"] == str(k + 1)], p[:, :, k])
    figure = effects.plot()["x"]
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(lines[2].get_ydata(), table["estimate__"][10:15])
    assert figure.axes[0].get_ylabel() == "Probability of yord"


def test_categories_as_axis():
    effects = conditional_effects(ordinal(), "x", ordinal=True, resolution=6)
    figure = effects.plot()["x"]
    mesh = figure.axes[0].collections[0]
    np.testing.assert_allclose(np.ravel(mesh.get_array()), effects["x"]["estimate__"])
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["1", "2", "3", "4"]


def test_categories_need_a_family_with_categories():
    for request in ({"categorical": True}, {"ordinal": True}):
        with pytest.raises(BrimError, match="gaussian has no"):
            post("sleep_slopes").conditional_effects(**request)
    with pytest.raises(BrimError, match="give one of them"):
        conditional_effects(ordinal(), categorical=True, ordinal=True)
    with pytest.raises(BrimError, match="take the place of a second variable"):
        conditional_effects(ordinal(), "x:z", categorical=True)
    with pytest.raises(BrimError, match="method='posterior_epred'"):
        conditional_effects(ordinal(), categorical=True, method="posterior_predict")


# ---- which effects, which values

# set.seed(1); the numbers matter below only as written there
TOY = {
    "y": [1.0, 2, 3, 4, 2, 3, 5, 1],
    "x": [-1.0, 0, 1, 2, 0.5, 0.25, -2, 3],
    "f": pd.Categorical(["b", "a"] * 4, categories=["b", "a", "unused"]),
    "l": [True, False] * 4,
    "ch": ["u", "t"] * 4,
    "o": pd.Categorical([1, 2, 3, 4] * 2, ordered=True),
    "k": [1, 2, 3, 4] * 2,
    "n": [3, 7] * 4,
    "e": [1.5, 2.5, 1, 2, 1, 2, 3, 3],
    "s": [0.1, 0.2] * 4,
    "g": [1, 1, 2, 2, 3, 3, 4, 4],
}


def variables(*formulas, with_groups=False):
    formula = bf(*formulas)
    return Variables.read(formula, Frame.read(TOY), with_groups)


# brms:::get_all_effects(brmsterms(bf(y ~ x*f*l + s(e, by=f) + t2(s,n) + log(k):ch + offset(o) + mo(k)*s + I(x^2) + poly(e,2)
#   + gp(x, by=f) + me(x, s), sigma ~ n + (1+e|g)))), brms 2.18
def test_effects_are_those_of_brms():
    known = variables(
        "y ~ x*f*l + s(e, by=f) + t2(s,n) + log(k):ch + offset(o) + mo(k)*s + I(x^2) + poly(e,2) + gp(x, by=f) + me(x, s)",
        "sigma ~ n + (1+e|g)",
    )
    want = "x f l s e x:f x:l f:l k:ch k k:s e:f n s:n".split()
    assert [":".join(e) for e in known.effects] == want
    assert list(known.groups) == ["g"]


def test_effects_of_a_nonlinear_formula():
    known = variables(bf("y ~ a * exp(b * x) + e", "a ~ f", "b ~ 1", nl=True))
    assert known.effects == (("x",), ("e",), ("x", "e"), ("f",))
    assert "a" not in known.known


# brms:::prepare_conditions(fit) for y|trials(n) ~ x + (1|g); y|rate(e) ~ x*f + l + ch; x|se(s) ~ mo(k) + mo(o), brms 2.18:
# n 1, means of x, e, s, first levels b, FALSE, t, 1, k round(median) = 2
def test_held_values_are_those_of_brms():
    known = variables("y | trials(n) + se(s) + rate(e) + weights(y) ~ x * f + l + ch + mo(k) + mo(o) + (1 | g)")
    assert set(known.known) == {"n", "s", "e", "x", "f", "l", "ch", "k", "o"}
    held = {name: variable.held() for name, variable in known.known.items()}
    assert {name: held[name].numbers.item() for name in ("n", "s", "e", "x", "k")} == pytest.approx(
        {"n": 1, "s": 0.15, "e": 2, "x": 0.46875, "k": 2}
    )
    assert {name: held[name].as_factor().labels.item() for name in ("f", "l", "ch", "o")} == {"f": "b", "l": "FALSE", "ch": "t", "o": "1"}
    assert held["l"].kind == "logical"
    assert held["o"].ordered


def rows(effect, known, **options):
    settings = GridSettings({}, ("1",), options.get("chosen", {}), options.get("surface", False), options.get("resolution", 100), False)
    return grid(tuple(effect.split(":")), known, settings)


# brms:::prepare_cond_data(d[c("f", "x")], data.frame(z = 1), reorder = FALSE), brms 2.18: levels by their order (the unused one left
# out), within them mean - sd, mean, mean + sd
def test_values_of_a_numeric_second_variable():
    g = rows("f:x", variables("y ~ f * x"))
    x = np.array(TOY["x"])
    assert list(g.columns["f"].labels) == ["b"] * 3 + ["a"] * 3
    np.testing.assert_allclose(g.columns["x"].values, np.tile([x.mean() - x.std(ddof=1), x.mean(), x.mean() + x.std(ddof=1)], 2))


# with int_vars = "k": k is 1, 2, 4 = round(median + (-1:1) * mad), and 1, 2, 3, 4 on the x axis
def test_values_of_whole_numbers():
    known = variables("y ~ mo(k) * x")
    np.testing.assert_array_equal(np.unique(rows("x:k", known).columns["k"].values), [1, 2, 4])
    np.testing.assert_array_equal(rows("k", known).columns["k"].values, [1, 2, 3, 4])


def test_numbers_made_categories_are_shown_as_such():
    g = rows("k:x", variables("y ~ factor(k) * x"), resolution=3)
    assert list(g.columns["k"].values) == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3


def test_chosen_values():
    known = variables("y ~ x * e * f")
    chosen = {"e": {"low": 1, "high": 3}, "x": lambda x: [x.min(), x.max()]}
    g = rows("x:e", known, chosen=chosen)
    assert g.labels == ("low", "high")
    assert list(g.columns["x"].values) == [-2, -2, 3, 3]
    assert list(g.columns["e"].values) == [1, 3, 1, 3]
    assert list(rows("x:f", known, chosen={"f": ["a"], "x": [7]}).columns["f"].labels) == ["a"]
    with pytest.raises(BrimError, match="'c' is not a level of 'f'"):
        rows("f", known, chosen={"f": ["c"]})


def test_surface_grid():
    g = rows("x:e", variables("y ~ x * e"), surface=True, resolution=4)
    assert g.n == 16
    np.testing.assert_allclose(np.unique(g.columns["e"].values), [1, 5 / 3, 7 / 3, 3])


# ---- closed forms


def test_second_variable_is_labelled_from_high_to_low():
    table = post("poisson").conditional_effects("zAge:zBase", resolution=3)["zAge:zBase"]
    assert list(table["effect2__"].cat.categories) == ["1", "0", "-1"]
    labelled = post("poisson").conditional_effects("zAge:zBase", int_conditions={"zBase": {"many": 2, "few": -0.001}}, resolution=3)
    assert list(labelled["zAge:zBase"]["effect2__"][:2]) == ["many", "few"]
    assert list(labelled["zAge:zBase"]["zBase"][:2]) == [2, -0.001]


def test_mean_sd_and_another_interval():
    fit = post("sleep_slopes")
    table = fit.conditional_effects("Days", robust=False, prob=0.5, resolution=4)["Days"]
    values = draw(fit, "b_Intercept")[:, None] + draw(fit, "b_Days")[:, None] * np.array([0, 3, 6, 9])
    np.testing.assert_allclose(table["estimate__"], values.mean(0))
    np.testing.assert_allclose(table["se__"], values.std(0, ddof=1))
    np.testing.assert_allclose(table[["lower__", "upper__"]], np.quantile(values, [0.25, 0.75], axis=0).T)


def test_conditions_and_their_labels():
    fit = post("poisson")
    table = fit.conditional_effects("Trt", conditions={"zAge": [-1.0, 2], "zBase": [0.0, 1]})["Trt"]
    assert list(table["cond__"]) == ["zAge = -1, zBase = 0"] * 2 + ["zAge = 2, zBase = 1"] * 2
    b = {name: draw(fit, f"b_{name}") for name in ("Intercept", "zAge", "zBase", "Trt1", "zBase:Trt1")}
    last = np.exp(b["Intercept"] + 2 * b["zAge"] + b["zBase"] + b["Trt1"] + b["zBase:Trt1"])
    equal(table.iloc[[3]], last[:, None])
    own = fit.conditional_effects("Trt", conditions={"zAge": [-1, 2], "cond__": ["young", "old"]})["Trt"]
    assert list(own["cond__"].cat.categories) == ["young", "old"]


def test_group_effects_of_named_groups():
    fit = post("sleep_slopes")
    table = fit.conditional_effects("Days", conditions={"Subject": ["308", "337"]}, re_formula=None, resolution=2)["Days"]
    own = [
        draw(fit, "b_Intercept") + draw(fit, f"r_Subject[{s},Intercept]") + d * (draw(fit, "b_Days") + draw(fit, f"r_Subject[{s},Days]"))
        for s in (308, 337)
        for d in (0, 9)
    ]
    equal(table, np.stack(own, axis=1))
    levels = fit.conditional_effects("Subject", re_formula="(1 | Subject)")["Subject"]
    assert len(levels) == 18
    first = draw(fit, "b_Intercept") + draw(fit, "r_Subject[308,Intercept]") + 4.5 * draw(fit, "b_Days")
    equal(levels.iloc[[0]], first[:, None])


def test_group_effects_of_a_new_group():
    fit = post("sleep_slopes")
    table = fit.conditional_effects("Days", re_formula=None, resolution=3, seed=4)["Days"]
    equal(table, fit.posterior_epred({"Days": [0, 4.5, 9], "Subject": ["new"] * 3}, allow_new_levels=True, seed=4))
    by = ref.model("gr_by")[1].conditional_effects(re_formula=None, seed=1)
    assert len(by["sex"]) == 2


def test_further_parameters():
    fit = ref.model("distributional")[1]
    table = fit.conditional_effects("x", dpar="sigma", resolution=3)["x"]
    equal(table, np.exp(draw(fit, "b_sigma_Intercept")[:, None] + np.outer(draw(fit, "b_sigma_x"), table["x"])))
    assert fit.conditional_effects("x", dpar="sigma", resolution=3).info["x"].label == "sigma of y"


def test_linear_predictor_transform_and_blocks():
    fit = post("poisson")
    logs = fit.conditional_effects("zAge:zBase", method="posterior_linpred", resolution=900)["zAge:zBase"]  # 2700 rows: three blocks
    assert len(logs) == 2700
    eta = draw(fit, "b_Intercept")[:, None] + np.outer(draw(fit, "b_zAge"), logs["zAge"]) + np.outer(draw(fit, "b_zBase"), logs["zBase"])
    equal(logs, eta)
    roots = fit.conditional_effects("Trt", transform=np.sqrt)["Trt"]
    equal(roots, np.sqrt(fit.posterior_epred({"zAge": 0, "zBase": 0, "Trt": ["0", "1"]}, re_formula=False)))


def test_new_observations_with_seed():
    fit = post("sleep_slopes")
    one, two, other = (fit.conditional_effects("Days", method="posterior_predict", resolution=5, seed=s)["Days"] for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not np.allclose(one["estimate__"], other["estimate__"])
    # the interval of an observation at Days = 0 without group effects: sigma widens it from sd(b_Intercept) to about 27
    epred = fit.conditional_effects("Days", resolution=5)["Days"]
    assert one["se__"][0] > 2.5 * epred["se__"][0]


def test_trials_are_one_and_points_are_shares():
    fit = ref.model("binomial")[1]
    effects = fit.conditional_effects("period")
    equal(effects["period"].iloc[[0]], expit(draw(fit, "b_Intercept"))[:, None])
    cbpp = brim.load_data("cbpp")
    np.testing.assert_allclose(effects.info["period"].points["resp__"], cbpp["incidence"] / cbpp["size"])
    ten = fit.conditional_effects("period", conditions={"size": [10]})
    np.testing.assert_allclose(ten["period"]["estimate__"], 10 * effects["period"]["estimate__"])
    np.testing.assert_allclose(ten.info["period"].points["resp__"], 10 * cbpp["incidence"] / cbpp["size"])


def test_several_rows_only_where_they_vary():
    effects = ref.model("weights")[1].conditional_effects()
    assert not {"w", "y"} & set(next(iter(effects.values())).columns)
    assert len(ref.model("se_meta")[1].conditional_effects()) == 0


# ---- points of the plots


def test_points_match_conditions():
    fit = post("poisson")
    points = fit.conditional_effects("zBase", conditions={"Trt": ["0", "1"], "zAge": [0.0, 0.0]}).info["zBase"].points
    data = brim.load_data("epilepsy")
    assert len(points) == len(data)
    assert (points["cond__"] == "Trt = 0, zAge = 0").sum() == (data["Trt"].astype(str) == "0").sum()
    near = fit.conditional_effects("zBase", conditions={"zAge": [0.0]}, select_points=0.1).info["zBase"].points
    assert len(near) == (abs(data["zAge"]) <= 0.1 * np.ptp(data["zAge"])).sum()
    assert fit.conditional_effects("zBase", method="posterior_linpred").info["zBase"].points is None


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effects": "zBse"}, "no effect 'zBse'\ndid you mean 'zBase'"),
        ({"effects": "zBase:Treat"}, "no effect 'zBase:Treat'\ndid you mean 'zBase:Trt'"),
        ({"effects": "zBase:Trt:zAge"}, "not an effect of one or two"),
        ({"effects": "zBase:zBase"}, "not an effect of one or two"),
        ({"effects": "patient"}, "'patient' only groups.*\nsay re_formula=None"),
        ({"conditions": {"zag": 1}}, "no variable 'zag'\ndid you mean 'zAge'"),
        ({"conditions": {"patient": "1"}}, "'patient' only groups"),
        ({"conditions": {"Trt": "2"}}, "'2' is not a level of 'Trt'"),
        ({"conditions": {"zAge": ["old"]}}, "'zAge' is numeric; 'old'"),
        ({"conditions": {"zAge": [1, 1]}}, "two conditions are the same"),
        ({"method": "posterior_epre"}, "did you mean 'posterior_epred'"),
        ({"method": "posterior_predict", "dpar": "mu"}, "draws responses, not parameters"),
        ({"dpar": "sigma"}, "no parameter 'sigma'"),
        ({"resp": "county"}, "no response 'county'"),
        ({"prob": 1.5}, "prob = 1.5"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(BrimError) as caught:
        post("poisson").conditional_effects(**arguments)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_an_effect_that_was_not_computed():
    effects = post("poisson").conditional_effects("Trt")
    with pytest.raises(BrimError, match="no effect 'Tr' was computed\ndid you mean 'Trt'"):
        effects["Tr"]
    assert "Tr" not in effects


def test_no_draws():
    with pytest.raises(BrimError, match="no draws"):
        ref.model("sleep_slopes")[0].conditional_effects()


# ---- figures


def plots(*arguments, plot=(), **options):
    effects = post("poisson").conditional_effects(*arguments, **options)
    return effects, effects.plot(**dict(plot))


def test_lines_and_bands():
    effects, figures = plots("zBase:Trt", resolution=7)
    ax = figures["zBase:Trt"].axes[0]
    for line, band, level in zip(ax.lines, ax.collections, "01", strict=True):
        part = effects["zBase:Trt"][effects["zBase:Trt"]["Trt"] == level]
        np.testing.assert_array_equal(line.get_xdata(), part["zBase"])
        np.testing.assert_array_equal(line.get_ydata(), part["estimate__"])
        corners = band.get_paths()[0].vertices
        assert {*part["lower__"], *part["upper__"]} <= set(corners[:, 1])
    legend = figures["zBase:Trt"].legends[0]
    assert legend.get_title().get_text() == "Trt"
    assert [t.get_text() for t in legend.get_texts()] == ["0", "1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("zBase", "count")


def test_levels_with_intervals():
    effects, figures = plots("Trt")
    ax = figures["Trt"].axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), effects["Trt"]["estimate__"])
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_array_equal(segments[:, :, 1], effects["Trt"][["lower__", "upper__"]])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1"]


def test_one_panel_a_condition():
    effects, figures = plots("zBase:Trt", conditions={"zAge": [-1, 0, 1]}, resolution=5)
    axes = figures["zBase:Trt"].axes
    assert [ax.get_title(loc="left") for ax in axes] == ["zAge = -1", "zAge = 0", "zAge = 1"]
    part = effects["zBase:Trt"].query("cond__ == 'zAge = 1' and Trt == '1'")
    np.testing.assert_array_equal(axes[2].lines[1].get_ydata(), part["estimate__"])


def test_spaghetti_draws_each_draw():
    effects, figures = plots("zBase", spaghetti=True, ndraws=12, resolution=5, seed=1)
    lines = figures["zBase"].axes[0].lines
    assert len(lines) == 13
    np.testing.assert_array_equal(np.median([line.get_ydata() for line in lines[:12]], axis=0), effects["zBase"]["estimate__"])
    assert len(plots("zBase", spaghetti=True, ndraws=12, resolution=5, plot={"mean": False})[1]["zBase"].axes[0].lines) == 12


def test_surface():
    effects, figures = plots("zBase:zAge", surface=True, resolution=5, plot={"stype": "raster"})
    mesh = figures["zBase:zAge"].axes[0].collections[0]
    z = effects["zBase:zAge"].pivot(index="zAge", columns="zBase", values="estimate__")
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(5, 5), z)
    with pytest.raises(BrimError, match="did you mean 'raster'"):
        effects.plot(stype="rastr")


def test_points_and_rug():
    _, figures = plots("zBase", plot={"points": True, "rug": True}, resolution=5)
    data = brim.load_data("epilepsy")
    _, dots, rug = figures["zBase"].axes[0].lines
    np.testing.assert_allclose(dots.get_xdata(), data["zBase"])
    np.testing.assert_array_equal(dots.get_ydata(), data["count"])
    np.testing.assert_allclose(rug.get_xdata(), data["zBase"])
    _, figures = plots("Trt", plot={"points": True})
    x = figures["Trt"].axes[0].lines[0].get_xdata()
    np.testing.assert_array_equal(np.round(x), (data["Trt"].astype(str) == "1").astype(int))


def test_files_and_notebooks(tmp_path):
    effects = post("poisson").conditional_effects(["zBase:Trt", "Trt"], resolution=4)
    paths = effects.save(tmp_path / "plots", ncol=1)
    assert [p.name for p in paths] == ["conditional_effects_zBase_Trt.png", "conditional_effects_Trt.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)
    assert effects._repr_html_().count("<img") == 2
    assert effects.plot("Trt")["Trt"]._repr_png_().startswith(b"\x89PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "zBase:Trt: 8 rows" in repr(effects)
