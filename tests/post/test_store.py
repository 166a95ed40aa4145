"""A fit as a Zarr folder: what it was, read where it is asked for, by other programs too; nothing harmful, nothing lost."""

import json
import os
import warnings

import numpy as np
import pytest
import xarray as xr

import brim
from brim import BrimError
from fits import random_draws

pytestmark = pytest.mark.default_precision


@pytest.fixture(scope="module")
def fit():
    return random_draws("y ~ x + (1 + x | g)", n=20)


@pytest.fixture
def path(fit, tmp_path):
    fit.save(tmp_path / "fit.zarr")
    return tmp_path / "fit.zarr"


def mapped(array):
    """Whether an array's values are in a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_it_is_the_fit_that_was_saved(fit, path):
    found = brim.load(path)
    assert found.variables() == fit.variables()
    for name in fit.variables():
        np.testing.assert_array_equal(found.draws[name], fit.draws[name])
    assert str(found.summary()) == str(fit.summary())
    np.testing.assert_array_equal(found.posterior_epred(), fit.posterior_epred())
    np.testing.assert_array_equal(found.ranef()["g"].values, fit.ranef()["g"].values)
    assert found.update(empty=True).nobs() == fit.nobs()


def test_draws_stay_on_the_disk(path):
    found = brim.load(path)
    assert all(mapped(a) for a in found.draws.arrays.values())
    assert all(mapped(found.draws.array(q)) for q in found.draws.reported)


def test_other_programs_read_it(fit, path):
    pytest.importorskip("zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        tree = xr.open_datatree(path, engine="zarr", consolidated=False, chunks=None)
        b = tree["posterior"]["b"]
        assert b.dims == ("chain", "draw", "coef")
        assert list(b["coef"].values) == ["x"]
        np.testing.assert_array_equal(b.values[..., 0], fit.draws["b_x"])
        np.testing.assert_array_equal(tree["posterior"]["r_g"].values, fit.idata["posterior"]["r_g"].values)
        assert "observed_data" in tree.children


def test_sampled_fits_with_text_and_gaps(tmp_path):
    rows = {"y": np.arange(8.0), "g": ["a/b", "ü", "c"] * 2 + ["a/b", None], "f": [True, False] * 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = brim.brm("y ~ f + (1 | g)", rows, chains=2, iter=40, seed=1, progress=False, file=tmp_path / "fit.zarr")
        again = brim.brm("y ~ f + (1 | g)", rows, chains=2, iter=40, seed=1, progress=False, file=tmp_path / "fit.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.zarr"]
    np.testing.assert_array_equal(mine.draws.matrix(), again.draws.matrix())
    assert mapped(next(iter(again.draws.arrays.values())))
    assert set(again.stats) == set(mine.stats)
    assert list(again.frame["g"].levels) == list(mine.frame["g"].levels)


def refused(path, words):
    with pytest.raises(BrimError, match=words):
        brim.load(path)


def first_numbers(path):
    return path / "posterior" / "b" / "c" / "0" / "0" / "0"


def flip(path):
    content = bytearray(first_numbers(path).read_bytes())
    content[3] ^= 1
    first_numbers(path).write_bytes(content)


def drop(path):
    first_numbers(path).unlink()


def add(path):
    (path / "brim" / "more").write_text("x")


def link(path):
    target = first_numbers(path)
    target.rename(path.parent / "elsewhere")
    target.symlink_to(path.parent / "elsewhere")


def nothing(path):
    (path / "zarr.json").write_text("{}")


HARMS = [(flip, "is damaged"), (drop, "other files"), (add, "other files"), (link, "other files"), (nothing, "no fit of brim's")]


@pytest.mark.parametrize(("harm", "words"), HARMS)
def test_what_was_harmed_is_refused(path, harm, words):
    harm(path)
    refused(path, words)


def told(path, name, change):
    """Change what an array is said to be, under digests that fit."""
    import hashlib

    meta = path / name / "zarr.json"
    content = json.loads(meta.read_text())
    content.update(change)
    meta.write_text(json.dumps(content))
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["brim_digests"][f"{name}/zarr.json"] = hashlib.sha256(meta.read_bytes()).hexdigest()
    (path / "zarr.json").write_text(json.dumps(root))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**6, 10**6, 10**3], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**6, 10**6, 10**3]}}},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": 9}}]},
        {"data_type": "object"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1]}}},
    ],
)
def test_what_claims_too_much_or_is_packed_is_refused(path, change):
    told(path, "posterior/b", change)
    refused(path, "brim did not write it like this")


def test_only_fits_are_replaced(fit, path, tmp_path):
    other = random_draws("y ~ x", n=10)
    other.save(path)
    assert brim.load(path).variables() == other.variables()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.zarr"]
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "data").write_text("precious")
    with pytest.raises(BrimError, match="it is not replaced"):
        fit.save(tmp_path / "mine.zarr")
    with pytest.raises(BrimError, match="no fit of brim's"):
        brim.load(tmp_path / "mine.zarr")
    with pytest.raises(BrimError, match="there is no folder"):
        fit.save(tmp_path / "no" / "fit.zarr")


@pytest.mark.parametrize("left", [0, 1, 7, 15])
def test_the_disk_is_full_at_any_array(fit, path, monkeypatch, left):
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    count = iter(range(100))

    def full(descriptor):
        if next(count) >= left:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BrimError, match="No space left on device"):
        fit.save(path)
    monkeypatch.undo()
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    assert [p.name for p in path.parent.iterdir()] == ["fit.zarr"]
