"""Saving and loading: everything comes back, nothing is half-written, and what is no fit is said to be none."""

import hashlib
import importlib
import json
from dataclasses import replace

import h5netcdf
import numpy as np
import pandas as pd
import pytest

import brim
from brim.post.files import io
from brim.post.files.spec import formula_from, plain, request
from fits import POSTERIORS, fit, random_draws, small
from references import model

pytestmark = pytest.mark.default_precision


def saved(mine, folder):
    path = folder / "fit.nc"
    mine.save(path)
    assert [p.name for p in folder.iterdir()] == ["fit.nc"]
    return brim.load(path)


def equal_draws(a, b):
    assert a.variables() == b.variables()
    assert a.draws.arrays.keys() == b.draws.arrays.keys()
    for key, values in a.draws.arrays.items():
        np.testing.assert_array_equal(b.draws.arrays[key].view(np.int64), values.view(np.int64))  # bit for bit, NaN included


# ---------------------------------------------------------------------------------------------------------------------
# round trips


@pytest.mark.parametrize("name", POSTERIORS)
def test_round_trip(name, tmp_path):
    mine = fit(name)
    other = saved(mine, tmp_path)
    equal_draws(mine, other)
    assert str(other.summary(priors=True)) == str(mine.summary(priors=True))
    pd.testing.assert_frame_equal(other.prior_summary(), mine.prior_summary())
    np.testing.assert_array_equal(other.posterior_epred(), mine.posterior_epred())
    assert io.same_model(mine, other)
    equal_draws(saved(other, tmp_path), mine)


@pytest.mark.parametrize("name", "gr_by mm nested_colon distributional interaction_factor weights se_meta rate binomial".split())
def test_every_kind_of_model_comes_back(name, tmp_path):
    mine = model(name)[1]
    other = saved(mine, tmp_path)
    equal_draws(mine, other)
    np.testing.assert_array_equal(other.log_lik(), mine.log_lik())
    assert io.same_model(mine, other)


def test_learned_state_is_learned_again(tmp_path):
    """poly(), scale(), a contrast: predictions for new rows are the same."""
    rows = small().assign(
        f=lambda d: pd.Categorical(np.where(d["h"] > 2, "lo", "hi"), ["lo", "hi"], ordered=True), flag=lambda d: d["h"] == 1
    )
    empty = brim.brm("y ~ poly(x, 2) + scale(z) + f + flag + (1 | g)", rows, empty=True)
    table = pd.DataFrame({v: np.random.default_rng(1).normal(size=4) for v in empty.variables()})
    mine = empty.with_draws(table)
    new = rows.iloc[:3].assign(x=[0.1, 0.2, 0.3])
    np.testing.assert_array_equal(saved(mine, tmp_path).posterior_epred(new), mine.posterior_epred(new))


def test_matrices_of_data2(tmp_path):
    levels = [str(i) for i in range(1, 9)]
    a = pd.DataFrame(0.5 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8))), index=levels[::-1], columns=levels[::-1])
    mine = random_draws("y ~ x + (1 | gr(g, cov = A))", data2={"A": a})
    other = saved(mine, tmp_path)
    np.testing.assert_array_equal(other.log_lik(), mine.log_lik())
    pd.testing.assert_index_equal(other.data2["A"].index, a.index)
    assert io.same_model(mine, other)
    assert not io.same_model(replace(mine, request=replace(mine.request, data2={"A": 2 * a})), other)


def test_missing_outside_a_subset(tmp_path):
    """A column that a response does not use in all rows keeps its missing values."""
    rows = small().assign(on=lambda d: d["h"] > 1)
    rows.loc[rows["h"] == 1, "x"] = np.nan
    empty = brim.brm("y | subset(on) ~ x", rows, empty=True)
    mine = empty.with_draws(pd.DataFrame({v: [0.5, 1.0] for v in empty.variables()}))
    np.testing.assert_array_equal(saved(mine, tmp_path).log_lik(), mine.log_lik())


def test_without_draws(tmp_path):
    mine = brim.brm("y ~ x", small(), empty=True, prior=brim.prior("normal(0, 1)"), seed=3)
    other = saved(mine, tmp_path)
    assert other.posterior is None
    assert other.settings == mine.settings
    assert other.priors == mine.priors


def test_what_the_engine_tells(tmp_path):
    info = {"engine": "sampling", "seed": 3, "seconds": np.float64(0.5), "mass": np.eye(3), "extra": {"a": (1, 2)}}
    stats = {"diverging": np.eye(2, 3, dtype=bool), "lp": np.array([[1.0, np.nan, -np.inf]] * 2), "n_steps": np.arange(6).reshape(2, 3)}
    mine = replace(random_draws("y ~ x"), info=info, stats=stats)
    other = saved(mine, tmp_path)
    np.testing.assert_array_equal(other.info.pop("mass"), np.eye(3))
    assert other.info == {"engine": "sampling", "seed": 3, "seconds": 0.5, "extra": {"a": [1, 2]}}
    assert other.stats.keys() == stats.keys()
    for name, values in stats.items():
        assert other.stats[name].dtype == values.dtype
        np.testing.assert_array_equal(other.stats[name], values)


def test_prior_draws_come_back(tmp_path):
    mine = random_draws("y ~ x")
    extra = {"prior_b": np.arange(6.0).reshape(2, 3)}
    mine = replace(mine, posterior=replace(mine.draws, extra=extra))
    other = saved(mine, tmp_path)
    np.testing.assert_array_equal(other.draws["prior_b"], extra["prior_b"])
    assert other.variables() == mine.variables()


def test_arviz_groups(tmp_path):
    """xarray reads the file as the tree that Fit.idata is."""
    import xarray as xr

    rows = small().rename(columns={"g": "a/b"})
    empty = brim.brm("y ~ x + (1 + x | `a/b`) + (1 | h)", rows, empty=True)
    mine = empty.with_draws(pd.DataFrame({v: np.arange(4.0) for v in empty.variables()}), chains=2)
    mine = replace(mine, stats={"diverging": np.eye(2, dtype=bool)})
    mine.save(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf") as tree:
        xr.testing.assert_equal(tree["posterior"]["r_h"].load(), mine.idata["posterior"]["r_h"])
        assert set(tree["posterior"].data_vars) == {str(v).replace("/", "\u2215") for v in mine.idata["posterior"].data_vars}
        assert tree["sample_stats"]["diverging"].dtype == bool
        np.testing.assert_array_equal(tree["observed_data"]["y"], rows["y"])
    equal_draws(brim.load(tmp_path / "fit.nc"), mine)


# ---------------------------------------------------------------------------------------------------------------------
# formulas, families, priors as text


@pytest.mark.parametrize(
    "formula",
    [
        brim.bf(
            "log(y) | weights(w, scale = TRUE) ~ 0 + Intercept + I(x^2) * f + s(x, k = 5) + (1 + x | gr(g, by = f))", "sigma ~ 1e-5 + x"
        ),
        brim.bf("y ~ a * exp(-b * x)", "a + b ~ 1 + (1 | i | g)", nl=True),
        brim.bf("y ~ x", sigma1=0.1, sigma2="sigma1", family=brim.student(link="log"), autocor="~ ar(p = 2)", center=False),
        brim.bf("y ~ x") + brim.bf("`my col` ~ x", "sigma ~ x") + brim.set_rescor(False),
        brim.bf("mvbind(y1, y2) ~ x") + brim.set_rescor(True),
        brim.bf("y ~ me(x, sdx) + mo(z)", unused="~ w") + brim.set_mecor(False),
    ],
    ids=str,
)
def test_formulas_come_back(formula):
    fit = random_draws("y ~ x")
    empty = replace(fit, request=replace(fit.request, formula=formula))
    asked = json.loads(json.dumps(request(empty)))
    other = formula_from(asked)
    assert str(other) == str(formula)
    assert request(replace(fit, request=replace(fit.request, formula=other))) == asked
    assert [p.center for p in [f.main for f in other]] == [f.main.center for f in formula]


def test_families_come_back(tmp_path):
    rows = small().assign(n=5, c=lambda d: d["h"])
    mine = brim.brm("c | trials(n) ~ x", rows, family=brim.binomial("probit"), empty=True)
    other = saved(mine, tmp_path)
    assert other.model.responses[0].family.links == {"mu": "probit"}
    assert io.same_model(mine, other)


def test_mixtures_come_back(tmp_path):
    family = brim.mixture(brim.gaussian, brim.student("identity", link_nu="identity"), order="mu")
    mine = random_draws(brim.bf("y ~ x", "theta1 ~ z", family=family))
    other = saved(mine, tmp_path)
    np.testing.assert_array_equal(other.log_lik(), mine.log_lik())
    assert str(other.summary()) == str(mine.summary())
    assert io.same_model(mine, other)


def test_custom_families_are_given_again(tmp_path):
    """A file holds no functions."""
    import numpyro.distributions as d

    family = brim.custom_family("gumbel", lambda mu, sigma: d.Gumbel(mu, sigma), dpars=["mu", "sigma"], links=["identity", "log"])
    mine = random_draws("y ~ x", family=family)
    mine.save(tmp_path / "fit.nc")
    with pytest.raises(brim.BrimError, match="'gumbel' is a custom one"):
        brim.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(brim.load(tmp_path / "fit.nc", family=family).log_lik(), mine.log_lik())


def test_a_custom_family_with_a_file(tmp_path, monkeypatch):
    """The second call knows the family, as the first did."""
    import numpyro.distributions as d

    def sample(empty, how):
        return empty.with_draws(pd.DataFrame({v: [1.0] * 4 for v in empty.variables()}))

    monkeypatch.setattr(importlib.import_module("brim.api.perform"), "sample", sample)
    family = brim.custom_family("gumbel", lambda mu, sigma: d.Gumbel(mu, sigma), dpars=["mu", "sigma"], links=["identity", "log"])
    call = {"data": small(), "family": family, "file": tmp_path / "fit"}
    first = brim.brm("y ~ x", **call)
    monkeypatch.delattr(importlib.import_module("brim.api.perform"), "sample")
    for refit in ("never", "on_change"):
        equal_draws(brim.brm("y ~ x", file_refit=refit, **call), first)


def test_functions_are_not_saved():
    with pytest.raises(brim.BrimError, match="a function cannot be saved"):
        plain({"link": lambda x: x})


# ---------------------------------------------------------------------------------------------------------------------
# the same model


@pytest.mark.parametrize(
    "change",
    [
        {"formula": "y ~ x + z"},
        {"data": small().assign(x=0.0)},
        {"family": "student"},
        {"prior": brim.prior("normal(0, 2)")},
        {"iter": 400},
        {"seed": 2},
        {"control": {"adapt_delta": 0.9}},
        {"sample_prior": "yes"},
    ],
    ids=str,
)
def test_each_change_makes_another_model(change):
    call = {"formula": "y ~ x", "data": small(), "family": "gaussian", "prior": brim.prior("normal(0, 1)"), "seed": 1, "empty": True}
    assert not io.same_model(brim.brm(**call), brim.brm(**{**call, **change}))


def test_what_does_not_matter():
    call = {"formula": "y ~ x", "data": small(), "family": "gaussian", "prior": brim.prior("normal(0, 1)"), "seed": 1, "empty": True}
    other = {**call, "formula": "y~x", "data": small().drop(columns="z"), "family": brim.gaussian(), "data_name": "d"}
    assert io.same_model(brim.brm(**call), brim.brm(**other))


# ---------------------------------------------------------------------------------------------------------------------
# what goes wrong


def test_no_folder(tmp_path):
    with pytest.raises(brim.BrimError, match="no folder"):
        fit("poisson").save(tmp_path / "there" / "fit.nc")
    with pytest.raises(brim.BrimError, match="is a folder"):
        fit("poisson").save(tmp_path)


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    mine = random_draws("y ~ x")
    mine.save(path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "_write_draws", full)
    with pytest.raises(brim.BrimError, match=r"cannot write '.*fit.nc': No space left on device"):
        mine.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_no_file(tmp_path):
    random_draws("y ~ x").save(tmp_path / "first.nc")
    with pytest.raises(brim.BrimError, match=r"there is no file '.*frist.nc'\n.*did you mean '.*first.nc'"):
        brim.load(tmp_path / "frist.nc")


def test_not_netcdf(tmp_path):
    (tmp_path / "fit.nc").write_text("y,x\n1,2\n")
    with pytest.raises(brim.BrimError, match="cannot be read: it is no netCDF file"):
        brim.load(tmp_path / "fit.nc")


def test_not_brims(tmp_path):
    with h5netcdf.File(tmp_path / "other.nc", "w") as file:
        file.create_group("posterior")
    with pytest.raises(brim.BrimError, match="is no fit of brim's"):
        brim.load(tmp_path / "other.nc")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_cut_short(tmp_path, share):
    path = tmp_path / "fit.nc"
    fit("poisson").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(brim.BrimError, match="cannot be read"):
        brim.load(path)


def sealed(path):
    """The file with a seal that belongs to its content, as whoever tampers with it would make."""
    content = path.read_bytes()
    path.write_bytes(content + b"\nbrim-sha256\n" + hashlib.sha256(content).digest())


def edited(path, change):
    """A saved fit with its JSON part changed."""
    import h5py

    random_draws("y ~ x").save(path)
    with h5py.File(path, "r+") as file:
        content = json.loads(file["brim/content"][()])
        change(content)
        file["brim/content"][()] = json.dumps(content)
    sealed(path)


def test_written_by_a_later_brim(tmp_path):
    edited(tmp_path / "fit.nc", lambda content: content.update(format=99, brim="7.1"))
    with pytest.raises(brim.BrimError, match=r"later brim \(7\.1, file format 99") as error:
        brim.load(tmp_path / "fit.nc")
    assert "upgrade" in str(error.value)


@pytest.mark.parametrize("key", ["request", "columns", "info", "data_name"])
def test_a_part_is_missing(tmp_path, key):
    edited(tmp_path / "fit.nc", lambda content: content.pop(key))
    with pytest.raises(brim.BrimError, match="damaged"):
        brim.load(tmp_path / "fit.nc")


def test_a_variable_is_missing(tmp_path):
    import h5py

    random_draws("y ~ x").save(tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc", "r+") as file:
        del file["posterior/sigma"]
    with pytest.raises(brim.BrimError, match="changed after brim saved it"):
        brim.load(tmp_path / "fit.nc")
    sealed(tmp_path / "fit.nc")
    with pytest.raises(brim.BrimError, match="sigma"):
        brim.load(tmp_path / "fit.nc")


# ---------------------------------------------------------------------------------------------------------------------
# brm(file = )


def test_a_file_is_used_again_unless_something_changed(tmp_path, monkeypatch):
    """``never`` takes whatever is there, ``on_change`` samples anew for another model, ``always`` always; sampling is made up here."""
    sampled = []

    def sample(empty, how):
        sampled.append(str(empty.formula))
        return empty.with_draws(pd.DataFrame({v: [float(len(sampled))] * 4 for v in empty.variables()}))

    monkeypatch.setattr(importlib.import_module("brim.api.perform"), "sample", sample)
    call = {"data": small(), "seed": 1, "file": tmp_path / "fit"}
    first = brim.brm("y ~ x", **call)
    assert (tmp_path / "fit.nc").exists()
    equal_draws(brim.brm("y ~ x", file_refit="on_change", **call), first)
    equal_draws(brim.brm("y ~ x + z", **call), first)
    assert sampled == ["y ~ x"]
    other = brim.brm("y ~ x + z", file_refit="on_change", **call)
    equal_draws(brim.load(tmp_path / "fit.nc"), other)
    brim.brm("y ~ x + z", file_refit="always", **call)
    assert sampled == ["y ~ x", "y ~ x + z", "y ~ x + z"]
    assert brim.load(tmp_path / "fit.nc").draws["b_z"][0, 0] == 3.0
