"""Files of fits that are damaged or made to harm: brim's error, no other file read, no memory asked for, nothing lost."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

import brim
from brim.post.files import sealed
from fits import random_draws, reseal, small

pytestmark = pytest.mark.default_precision


@pytest.fixture
def path(tmp_path):
    empty = brim.brm("y ~ x + (1 | g)", small().assign(g=lambda d: "g" + d["g"].astype(str)), empty=True)
    empty.with_draws(pd.DataFrame({v: np.linspace(0.1, 0.6, 6) for v in empty.variables()}), chains=2).save(tmp_path / "fit.nc")
    return tmp_path / "fit.nc"


def refused(path, words=""):
    with pytest.raises(brim.BrimError, match=words):
        brim.load(path)


def test_every_flipped_bit_is_found(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for at in (*rng.integers(0, len(whole), 60), 0, 8, len(whole) - 1, len(whole) - 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :])
        refused(path)


def external_link(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.arange(3.0)
    del file["posterior/lp__"]
    file["posterior/lp__"] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def soft_link(file, folder):
    file["posterior/again"] = h5py.SoftLink("/posterior/lp__")


def external_storage(file, folder):
    (folder / "secret.txt").write_bytes(b"12345678" * 6)
    del file["posterior/lp__"]
    file["posterior"].create_dataset("lp__", (2, 3), "f8", external=[(str(folder / "secret.txt"), 0, 48)])


def virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.zeros((2, 3))
    layout = h5py.VirtualLayout((2, 3), "f8")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (2, 3))
    del file["posterior/lp__"]
    file["posterior"].create_virtual_dataset("lp__", layout)


def terabytes(file, folder):
    del file["posterior/lp__"]
    file["posterior"].create_dataset("lp__", (10**6, 10**6), "f8")


def packed(file, folder):
    del file["posterior/lp__"]
    file["posterior"].create_dataset("lp__", data=np.zeros((1000, 1000)), compression="gzip")


def circle(file, folder):
    file["posterior/loop"] = file["posterior"]


def shared(file, folder):
    for i in range(5):
        file[f"brim/data/again_{i}"] = file["brim/data/column_0"]


@pytest.mark.parametrize("harm", [external_link, soft_link, external_storage, virtual, terabytes, packed, circle, shared])
def test_what_points_elsewhere_or_claims_too_much_is_refused(path, tmp_path, harm):
    with h5py.File(path, "r+") as file:
        harm(file, tmp_path)
    reseal(path)
    refused(path, "brim did not write it like this")


def change(path, edit):
    with h5py.File(path, "r+") as file:
        content = json.loads(file["brim/content"][()])
        edit(content)
        file["brim/content"][()] = json.dumps(content)
    reseal(path)


def _factor(content):
    return next(c for c in content["columns"] if "levels" in c)


EDITS = {
    "chains": lambda c: c["request"]["settings"].update(chains="four"),
    "seed": lambda c: c["request"]["settings"].update(seed=-1),
    "unknown setting": lambda c: c["request"]["settings"].update(speed=1),
    "algorithm": lambda c: c["request"]["settings"].update(algorithm="os.system"),
    "control": lambda c: c["request"]["settings"].update(control={"adapt_delta": "x"}),
    "no priors": lambda c: c["request"].update(priors=3),
    "a prior": lambda c: c["request"].update(priors=[{"prior": 1}]),
    "unknown link": lambda c: c["request"]["family"].update(links={"mu": "nolink", "sigma": "identity"}),
    "unknown family": lambda c: c["request"]["family"].update(name="no_family"),
    "formula": lambda c: c["request"]["formula"][0]["main"].update(formula="y ~ ("),
    "formula of numbers": lambda c: c["request"]["formula"][0].update(main=5),
    "levels": lambda c: _factor(c).update(levels=[1, None]),
    "too few levels": lambda c: _factor(c).update(levels=["a"]),
    "kind": lambda c: c["columns"][0].update(kind="object"),
    "names": lambda c: c["columns"][0].update(name=["y"]),
    "format": lambda c: c.update(format="2"),
    "extra": lambda c: c.update(extra=["../x"]),
    "nested": lambda c: c.update(request={}),
}


@pytest.mark.parametrize("what", EDITS)
def test_tampered_content_is_brims_error(path, what):
    change(path, EDITS[what])
    refused(path)


def test_escape_sequences_do_not_reach_the_terminal(path):
    change(path, lambda c: c.update(data_name="\x1b[2J\x1b]0;owned\x07\u202etxt"))
    text = str(brim.load(path).summary())
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "␛[2J" in text
    with pytest.raises(brim.BrimError) as error:
        brim.load(path).posterior_epred({"\x1b[31mx": [1.0]})
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("level", ["a\0b", "\ud800", "a\x1b[31m", "/", "."])
def test_odd_levels_survive(tmp_path, level):
    rows = {"y": np.arange(6.0), "g": [level, "b", "c"] * 2}
    mine = brim.brm("y ~ 1 + (1 | g)", rows, chains=1, iter=40, seed=1, progress=False)
    mine.save(tmp_path / "fit.nc")
    other = brim.load(tmp_path / "fit.nc")
    assert other.variables() == mine.variables()
    assert list(other.frame["g"].levels) == list(mine.frame["g"].levels)
    np.testing.assert_array_equal(other.posterior_epred(), mine.posterior_epred())


def test_the_disk_is_full_at_any_write(path, monkeypatch):
    """The file stays as it was, the process lives, nothing is left behind."""
    before, fit = path.read_bytes(), random_draws("y ~ x")
    write = sealed._Sink.write

    class Counting:
        left = 0

    def failing(self, data):
        Counting.left -= 1

        def full():
            if Counting.left < 0:
                raise OSError(28, "No space left on device")
            return self._file.write(data)

        return int(self._try(full, len(data)))

    monkeypatch.setattr(sealed._Sink, "write", failing)
    for n in (0, 1, 2, 5, 10, 20):
        Counting.left = n
        with pytest.raises(brim.BrimError, match="No space left on device"):
            fit.save(path)
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == ["fit.nc"]
    monkeypatch.setattr(sealed._Sink, "write", write)
    fit.save(path)
    assert brim.load(path).variables() == fit.variables()


SHARE = """
import sys, warnings, brim
warnings.simplefilter("ignore")
data = brim.load_data("sleepstudy")
for i in range(3):
    fit = brim.brm("Reaction ~ Days", data, chains=1, iter=40, seed=int(sys.argv[2]), progress=False, file=sys.argv[1],
                   file_refit="always" if i else "never")
    brim.load(sys.argv[1] + ".nc").summary()
print("ok")
"""


@pytest.mark.parametrize("number", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_processes_that_share_a_file_and_a_cache(tmp_path, number, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("BRIM_CACHE_DIR", str(tmp_path / "cache"))
    command = [sys.executable, "-c", SHARE, str(tmp_path / "fit")]
    running = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(number)]
    for process in running:
        out, err = process.communicate(timeout=300)
        assert out == "ok\n", err
    assert brim.load(tmp_path / "fit.nc").draws.draws == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "fit.nc"]


def test_a_file_of_another_model_is_returned_with_a_warning(tmp_path):
    call = {"data": brim.load_data("sleepstudy"), "chains": 1, "iter": 40, "seed": 1, "progress": False, "file": tmp_path / "fit"}
    brim.brm("Reaction ~ Days", **call)
    with pytest.warns(brim.BrimWarning, match="other formula"):
        found = brim.brm("Reaction ~ 1", **call)
    assert "b_Days" in found.variables()
    with pytest.warns(brim.BrimWarning, match="other family, iter and warmup"):
        brim.brm("Reaction ~ Days", family="student", **{**call, "iter": 60})


def test_no_name_or_level_reaches_the_terminal_as_it_is():
    """What brim prints; tables themselves keep the names of the data."""
    bad = "\x1b[31mred\x07"
    rows = small().assign(**{f"x{bad}": lambda d: d["x"], "g": lambda d: bad + d["g"].astype(str)})
    empty = brim.brm(f"y ~ `x{bad}` + (1 | g)", rows, empty=True)
    fit = empty.with_draws(pd.DataFrame({v: np.linspace(0.1, 0.6, 40) for v in empty.variables()}), chains=2)
    mer = brim.lmer(f"y ~ `x{bad}` + (1 | g)", rows)
    shown = [fit, fit.summary(), fit.prior_summary(), fit.hypothesis("Intercept > 0"), fit.VarCorr(), brim.check(fit)]
    shown += [mer, mer.summary(), mer.VarCorr(), mer.anova()]
    for one in shown:
        for text in (str(one), repr(one)):
            assert "\x1b" not in text
            assert "\x07" not in text
