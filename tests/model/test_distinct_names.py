"""Keys are values, not text: groups that print alike stay apart; variables that would have one name are refused, naming both."""

import uuid

import numpy as np
import pandas as pd
import pytest

import brim
from brim import bf, brm
from brim.errors import BrimError

N = 40
RNG = np.random.default_rng(0)
D = {
    "y": RNG.normal(size=N),
    "x": RNG.normal(size=N),
    "z": RNG.normal(size=N),
    "g": ["New York", "New.York", "A", "B"] * 10,
    "x a": np.tile([0, 1, 2, 3], 10),
    "xa": np.repeat([0, 1, 2, 3], 10),
}


@pytest.mark.parametrize(
    ("formula", "more", "named"),
    [
        ("y ~ Intercept + x", {"Intercept": D["z"]}, "'Intercept' is a reserved name"),
        ("y ~ 0 + Intercept + x", {"Intercept": D["z"]}, "'Intercept' is a reserved name"),
        ("y ~ 0 + intercept + x", {"intercept": D["z"]}, "'intercept' is a reserved name"),
        (bf("y ~ x", "sigma ~ 0 + Intercept"), {"Intercept": D["z"]}, "'Intercept' is a reserved name"),
        (bf("y ~ sigma_x + x", "sigma ~ x"), {"sigma_x": D["z"]}, "called 'b_sigma_x': 'sigma_x' of 'b' and 'x' of 'b_sigma'"),
        (bf("y ~ sigma_Intercept", "sigma ~ x"), {"sigma_Intercept": D["z"]}, "called 'b_sigma_Intercept'"),
        (bf("y ~ x") + bf("z ~ y_x") + brim.set_rescor(False), {}, None),
        ("y ~ mo(`x a`) + mo(xa)", {}, r"mo\(`x a`\) and mo\(xa\) both would be called 'moxa'"),
        ("y ~ mo(`x a`) + mo(z2):xa + mo(xa):x", {"z2": D["xa"]}, "both would be called 'moxa'"),
        ("y ~ gp(`x a`, k = 3) + gp(xa, k = 3)", {}, "gpxa"),
        ("y ~ x + s(`x a`, k = 3) + s(xa, k = 3)", {}, "xa"),
        ("y ~ x + (1 + `x a` + xa || g)", {}, "xa"),
        ("y ~ x + (1 | `x a`) + (1 | xa)", {}, None),
    ],
)
def test_variables_of_one_name_are_refused_and_named(formula, more, named):
    if named is None:
        data = {**D, **more, "y_x": D["x"]}
        names = brm(formula, data, empty=True).variables()
        assert len(names) == len(set(names))
        return
    with pytest.raises(BrimError, match=named):
        brm(formula, {**D, **more}, empty=True)


def test_a_column_of_new_data_is_not_taken_for_the_intercept():
    fit = brm("y ~ 0 + Intercept + x", D, empty=True)
    fit = fit.with_draws(pd.DataFrame({"b_Intercept": [1.0], "b_x": [2.0], "sigma": [1.0]}))
    new = pd.DataFrame({"x": [0.5], "Intercept": [7.0]})
    np.testing.assert_allclose(fit.posterior_epred(new), [[2.0]])


def with_effects(formula, data, effect):
    """The fit with one draw: the effect of each level as ``effect`` says by its name, 1 for everything else."""
    model = brm(formula, data, empty=True)
    return model.with_draws(pd.DataFrame({v: [effect(v) if v.startswith("r_") else 1.0] for v in model.variables()}))


def test_levels_that_print_alike_stay_apart():
    fit = with_effects("y ~ 1 + (1 | g)", D, lambda v: {"r_g[New York,Intercept]": 5.0, "r_g[New.York,Intercept]": -5.0}.get(v, 0.0))
    assert [v for v in fit.variables() if v.startswith("r_g")] == [f"r_g[{v},Intercept]" for v in ("A", "B", "New York", "New.York")]
    np.testing.assert_allclose(fit.posterior_epred()[0, :4], [6, -4, 1, 1])
    found = fit.ranef()["g"].sel(statistic="Estimate", coef="Intercept").to_series()
    assert found["New York"] == 5
    assert found["New.York"] == -5
    assert brm("y ~ (1 | g)", {**D, "g": ["New York", "A"] * 20}, empty=True).variables()[-4:-2] == [
        "r_g[A,Intercept]",
        "r_g[New.York,Intercept]",
    ]


CELLS = pd.DataFrame({"a": ["x", "x_y", "q", "x:y"] * 3, "b": ["y_z", "z", "r", "z"] * 3, "y": [0.0, 10, 5, 1] * 3})


def test_cells_are_told_apart_by_the_values_of_their_columns():
    for formula in ("y ~ 1 + (1 | a:b)", "y ~ 1 + (1 | gr(a:b))", "y ~ 1 + (1 | mm(a:b, b:a))"):
        model = brm(formula, CELLS[CELLS.a != "x:y"], empty=True)
        assert next(iter(model.ngrps().values())) == (6 if "mm" in formula else 3)
    fit = with_effects("y ~ 1 + (1 | a:b)", CELLS[CELLS.a != "x:y"], lambda v: {"x:y_z": 1.0, "x_y:z": 2.0, "q_r": 3.0}[v[6:-11]])
    np.testing.assert_allclose(fit.posterior_epred()[0, :3], [2, 3, 4])
    new = pd.DataFrame({"a": ["x_y", "x"], "b": ["z", "y_z"]})
    np.testing.assert_allclose(fit.posterior_epred(new)[0], [3, 2])
    with pytest.raises(BrimError, match=r"two levels of 'a:b' would be called 'x:y_z'"):
        brm("y ~ (1 | a:b)", CELLS, empty=True)


def test_a_new_cell_is_no_known_one_that_prints_alike():
    train = CELLS[CELLS.a.isin(["x", "q"])]
    fit = with_effects("y ~ 1 + (1 | a:b)", train, lambda v: 9.0 if "x_y_z" in v else 0.0)
    np.testing.assert_allclose(fit.posterior_epred(pd.DataFrame({"a": ["x"], "b": ["y_z"]})), 10)
    other = pd.DataFrame({"a": ["x_y"], "b": ["z"]})
    with pytest.raises(BrimError, match="'x_y:z' is a new level of 'a:b'"):
        fit.posterior_epred(other)
    assert fit.posterior_epred(other, allow_new_levels=True, sample_new_levels="gaussian", seed=1)[0, 0] not in (1.0, 10.0)


SNOW = [10**18, 10**18 + 1, 2 * 10**18, 3 * 10**18]


@pytest.mark.parametrize(
    ("ids", "new"),
    [
        (SNOW, SNOW),
        (np.array(SNOW), pd.array(SNOW, dtype="Int64")),
        (pd.array([*SNOW[:3], SNOW[3]], dtype="Int64"), [str(v) for v in SNOW]),
        ([2024010100000001, 2024010100000002, 2024010100000003, 2024010200000001],) * 2,
        (
            pd.to_datetime(["2020-01-01", "2020-01-02", "2020-02-01", "2020-02-02"]),
            ["2020-01-01", "2020-01-02", "2020-02-01", "2020-02-02"],
        ),
        ([uuid.UUID(int=i) for i in range(4)], [str(uuid.UUID(int=i)) for i in range(4)]),
        (pd.cut(np.array([1.0, 2, 3, 4]), [0, 1, 2, 3, 4]), ["(0, 1]", "(1, 2]", "(2, 3]", "(3, 4]"]),
    ],
)
def test_ids_are_exact_from_data_to_predictions_and_files(ids, new, tmp_path):
    data = pd.DataFrame(
        {"y": D["y"], "x": D["x"], "g": pd.Series(ids).repeat(10).to_numpy() if isinstance(ids, list) else pd.Series(ids).repeat(10).array}
    )
    model = brm("y ~ x + (1 | g)", data, empty=True)
    assert model.ngrps() == {"g": 4}
    names = [v for v in model.variables() if v.startswith("r_g")]
    fit = with_effects("y ~ x + (1 | g)", data, lambda v: float(names.index(v)))
    frame = pd.DataFrame({"x": 0.0, "g": new})
    np.testing.assert_allclose(fit.posterior_epred(frame)[0], [1, 2, 3, 4])
    fit.save(tmp_path / "fit.nc")
    np.testing.assert_allclose(brim.load(tmp_path / "fit.nc").posterior_epred(frame)[0], [1, 2, 3, 4])


def test_an_instant_is_one_level_in_every_zone_and_frame():
    import polars as pl
    import pyarrow as pa

    times = pd.date_range("2020-10-25 00:30", periods=4, freq="1h", tz="UTC").tz_convert("Europe/Berlin")  # the clock shows 02:30 twice
    data = pd.DataFrame({"y": D["y"], "x": D["x"], "g": np.repeat(times, 10)})
    arrow = pd.ArrowDtype(pa.timestamp("ns", "Asia/Tokyo"))
    frames = {
        "pandas": data,
        "another zone": data.assign(g=data.g.dt.tz_convert("America/New_York")),
        "objects": data.assign(g=data.g.astype(object)),
        "categories": data.assign(g=data.g.astype("category")),
        "Arrow in pandas": data.assign(g=data.g.astype(arrow)),
        "Arrow": pa.Table.from_pandas(data),
        "polars": pl.from_pandas(data),
        "lists": {"y": D["y"], "x": D["x"], "g": [t.to_pydatetime() for t in data.g]},
    }
    names = [f"r_g[2020-10-25.0{h}:30:00+00:00,Intercept]" for h in range(4)]
    for kind, frame in frames.items():
        assert [v for v in brm("y ~ x + (1 | g)", frame, empty=True).variables() if v.startswith("r_g")] == names, kind
    fit = with_effects("y ~ x + (1 | g)", data, lambda v: float(names.index(v)))
    for frame in frames.values():
        np.testing.assert_allclose(fit.posterior_epred(frame), fit.posterior_epred())
    with pytest.raises(BrimError, match="'2020-10-25 00:30:00' is a new level of 'g'"):
        fit.posterior_epred(data.assign(g=data.g.dt.tz_convert("UTC").dt.tz_localize(None)))


def test_ids_in_a_file_of_the_command_line_are_exact(tmp_path):
    from brim.cli.reading import Reading

    path = tmp_path / "d.csv"
    pd.DataFrame({"y": D["y"], "g": pd.array([*(SNOW * 10)[1:], None], dtype="Int64")}).to_csv(path, index=False)
    with pytest.warns(brim.errors.BrimWarning, match="1 row with missing"):
        assert brm("y ~ 1 + (1 | g)", Reading().table(str(path)), empty=True).ngrps() == {"g": 4}


def test_a_covariance_matrix_finds_ids_of_many_digits():
    cov = pd.DataFrame(np.diag([1.0, 4, 9, 16]), index=SNOW, columns=SNOW)
    model = brm("y ~ 1 + (1 | gr(g, cov = A))", {"y": D["y"], "g": SNOW * 10}, data2={"A": cov}, empty=True)
    np.testing.assert_allclose(np.diag(model.model.blocks[0].grouping.cholesky), [1, 2, 3, 4])


def test_interactions_that_print_alike_are_refused():
    data = {"y": D["y"], "a": ["x", "x.y"] * 20, "b": ["y.z", "z"] * 20}
    with pytest.raises(BrimError, match=r"two combinations would be called 'x\.y\.z'"):
        brm("y ~ interaction(a, b)", data, empty=True)


def test_categories_give_the_same_coefficients_whatever_the_library():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    levels, codes = ["lo", "mid", "hi"], np.tile([1, 0, 2, 1], 10)
    text = [levels[i] for i in codes]
    columns = {
        "pandas": pd.Categorical(text, categories=levels),
        "arrow": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(levels)),
        "enum": pl.Series(text, dtype=pl.Enum(levels)),
    }
    for column in columns.values():
        assert brm("y ~ g", {"y": D["y"], "g": column}, empty=True).variables()[1:3] == ["b_gmid", "b_ghi"]
    free = pl.Series(text, dtype=pl.Categorical)
    for formula, family in (("y ~ g", "gaussian"), ("y ~ x + mo(g)", "gaussian"), ("g ~ x", "cumulative"), ("g ~ x", "categorical")):
        with pytest.raises(BrimError, match="is a polars Categorical, whose levels have no order of their own"):
            brm(formula, {"y": D["y"], "x": D["x"], "g": free}, family, empty=True)
    assert brm("y ~ 1 + (1 | g)", {"y": D["y"], "g": free}, empty=True).ngrps() == {"g": 3}
    assert brm("y ~ factor(g)", {"y": D["y"], "g": free}, empty=True).variables()[1:3] == ["b_factorglo", "b_factorgmid"]
    for formula, family in (("g ~ x", "cumulative"), ("x ~ mo(g)", "gaussian")):
        assert brm(formula, {"x": D["x"], "g": columns["enum"]}, family, empty=True).nobs() == N


def test_mm_weights_and_columns_are_learned_once():
    data = pd.DataFrame(
        {"y": D["y"], "a": list("pqrs") * 10, "b": list("qrsp") * 10, "w": np.arange(N) + 1.0, "v": 3.0, "x": D["x"], "z": D["z"]}
    )
    formula = "y ~ 1 + (1 + mmc(scale(x), scale(z)) | mm(a, b, weights = cbind(w / mean(w), v / mean(v)), scale = FALSE))"
    fit = with_effects(formula, data, lambda v: float(len(v) % 5) + ord(v[5]) / 100)
    rows = np.concatenate([fit.posterior_epred(data.iloc[[i]])[0] for i in range(3)])
    np.testing.assert_allclose(rows, fit.posterior_epred()[0, :3], rtol=1e-12)


def test_effects_of_new_levels_follow_the_old_ones_of_the_same_by():
    data = {"y": D["y"], "g": np.arange(N) % 8, "f": np.where(np.arange(N) % 8 < 3, "u", "v")}
    model = brm("y ~ 1 + (1 | gr(g, by = f))", data, empty=True)
    values = {v: [float(v[4])] * 4000 if v.startswith("r_g") else [0.0] * 4000 for v in model.variables()}
    fit = model.with_draws(pd.DataFrame(values))
    new = pd.DataFrame({"g": [100, 101, 102], "f": ["u", "v", "v"]})
    drawn = fit.posterior_epred(new, allow_new_levels=True, seed=3)
    for column, old in zip(drawn.T, ([0, 1, 2], [3, 4, 5, 6, 7], [3, 4, 5, 6, 7]), strict=True):
        values, counts = np.unique(column, return_counts=True)
        assert values.tolist() == old
        share = 1 / len(old)
        assert np.abs(counts / 4000 - share).max() < 5 * np.sqrt(share * (1 - share) / 4000)
    assert np.mean(drawn[:, 1] == drawn[:, 2]) < 0.3  # independent of each other
    same = fit.posterior_epred(new, allow_new_levels=True, sample_new_levels="old_levels", seed=3)
    assert (same == same[0]).all()


def test_priors_of_some_elements_count_these():
    data = pd.DataFrame({"x": [0.0, 1, 2, 3], "z": [1.0, 0, 0, 1], "y": [1.0, 2, 2, 4]})
    values = pd.DataFrame({"b_Intercept": [0.2], "b_x": [0.5], "b_z": [0.7], "sigma": [1.3]})
    for class_, coef in (("b", "x"), ("b", ""), ("sigma", ""), ("Intercept", "")):
        one, other = (
            brm("y ~ x + z", data, prior=brim.prior(p, class_=class_, coef=coef), empty=True).with_draws(values).log_prior()[0]
            for p in ("std_normal()", "normal(0, 1)")
        )
        assert np.isclose(one, other, rtol=1e-12)
    held = brim.prior("constant(0.7)", class_="b", coef="z") + brim.prior("normal(0, 2)", class_="b", coef="x")
    free = brim.prior("normal(0, 2)", class_="b", coef="x")
    one, other = (brm("y ~ x + z", data, prior=p, empty=True).with_draws(values).log_prior()[0] for p in (held, free))
    assert np.isclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ k",
        "y ~ k:x",
        "y ~ log(k)",
        "y ~ scale(k)",
        "y ~ as.numeric(k)",
        "y ~ offset(k)",
        "y | weights(k) ~ x",
        "k ~ x",
        "y ~ s(x, by = k)",
    ],
)
def test_keys_are_no_numbers(formula):
    for key, words in ((SNOW * 10, r"whole numbers beyond 2\^53"), (pd.date_range("2020-01-01", periods=4).repeat(10), "dates or times")):
        with pytest.raises(BrimError, match=f"column 'k' holds {words}"):
            brm(formula, {"y": D["y"], "x": D["x"], "k": key}, empty=True)


def test_a_large_key_in_a_formula_is_text():
    data = {"y": D["y"], "k": SNOW * 10}
    with pytest.raises(BrimError, match=r"beyond 2\^53 may have been rounded"):
        brm("y ~ k == 1000000000000000001", data, empty=True)
    fit = brm("y ~ k == '1000000000000000001'", data, empty=True)
    fit = fit.with_draws(pd.DataFrame({fit.variables()[0]: [0.0], fit.variables()[1]: [1.0], "sigma": [1.0]}))
    np.testing.assert_array_equal(fit.posterior_epred()[0, :4], [0, 1, 0, 0])


@pytest.mark.parametrize("group", ["chain", "draw", "coef", "coef_g", "b", "sigma", "r_g", "level"])
def test_axes_of_draws_are_told_apart(group, tmp_path):
    data = {**D, "g": np.arange(N) % 4, group: np.arange(N) % 5}
    model = brm(f"y ~ x + z + (1 + x | {group}) + (1 | g)", data, empty=True)
    values = np.random.default_rng(1).uniform(0.1, 0.9, (4, len(model.variables())))
    fit = model.with_draws(pd.DataFrame(values, columns=model.variables()), chains=2)
    effects = fit.idata["posterior"].ds[f"r_{group}"]
    assert effects.shape == (2, 2, 2, 5)
    np.testing.assert_allclose(effects[:, :, 0, 3].to_numpy().ravel(), fit.as_draws_df()[f"r_{group}[3,Intercept]"])
    assert effects.coords[effects.dims[3]].to_numpy().tolist() == list("01234")
    fit.save(tmp_path / "fit.nc")
    np.testing.assert_array_equal(brim.load(tmp_path / "fit.nc").as_draws_df().to_numpy(), fit.as_draws_df().to_numpy())


def test_a_fit_does_not_follow_arrays_that_change_later(tmp_path):
    x, cov = D["x"].copy(), np.diag([1.0, 4, 9, 16])
    data = {"y": D["y"].copy(), "x": x, "g": np.arange(N) % 4}
    model = brm("y ~ x + (1 | gr(g, cov = A))", data, data2={"A": cov}, empty=True)
    fit = model.with_draws(pd.DataFrame({v: [0.5] for v in model.variables()}))
    before = fit.log_lik()
    x += 1.0
    data["y"] += 1.0
    data["g"][:] = 0
    cov[:] = np.eye(4)
    np.testing.assert_array_equal(fit.log_lik(), before)
    fit.save(tmp_path / "fit.nc")
    again = brim.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.log_lik(), before)
    np.testing.assert_allclose(np.diag(again.model.blocks[0].grouping.cholesky), [1, 2, 3, 4])
    with pytest.raises(BrimError, match="'A' is no array of numbers"):
        brm("y ~ x + (1 | gr(g, cov = A))", data, data2={"A": [["a"]]}, empty=True)
