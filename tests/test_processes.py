"""Fits in other processes, under other settings of JAX, and where stderr or the home folder is missing."""

import copy
import os
import pickle
import stat
import subprocess
import sys

import jax
import numpy as np
import pytest

import brim
from brim.compile import cache
from brim.compile.session import float64
from brim.infer.nuts.progress import Forgiving
from fits import random_draws

pytestmark = pytest.mark.default_precision


@pytest.mark.parametrize(
    "family",
    ["gaussian", brim.student, brim.student(link_nu="identity"), brim.mixture(brim.gaussian, brim.student("identity"), order="mu")],
    ids=["gaussian", "student", "student with its own link", "mixture"],
)
def test_fits_are_pickled(family):
    mine = random_draws("y ~ x + (1 | g)", family=family)
    for other in (pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine)):
        assert other.variables() == mine.variables()
        np.testing.assert_array_equal(other.draws.matrix(), mine.draws.matrix())
        np.testing.assert_array_equal(other.log_lik(), mine.log_lik())
        assert str(other.summary()) == str(mine.summary())


@pytest.mark.parametrize("name", sorted(brim.families.registry.CONSTRUCTORS))
def test_every_family_is_pickled(name):
    constructor = brim.families.registry.CONSTRUCTORS[name]
    assert pickle.loads(pickle.dumps(constructor)) is constructor
    mine = constructor()
    other = pickle.loads(pickle.dumps(mine))
    assert (other.name, dict(other.links), other.distribution) == (mine.name, dict(mine.links), mine.distribution)


FORK = """
import multiprocessing, warnings, brim
warnings.simplefilter("ignore")
data = brim.load_data("sleepstudy")
def child(queue):
    try:
        brim.brm("Reaction ~ Days", data, chains=1, iter=60, seed=2, progress=False)
        queue.put("fitted")
    except brim.BrimError as error:
        queue.put(str(error))
brim.brm("Reaction ~ Days", data, chains=1, iter=60, seed=1, progress=False)
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
print(queue.get(timeout=20))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told(tmp_path):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=60)
    assert "spawn" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_debug_infs", True), ("jax_debug_nans", True), ("jax_disable_jit", True), ("jax_transfer_guard", "disallow_explicit"),
     ("jax_numpy_rank_promotion", "raise"), ("jax_threefry_partitionable", False)],
)  # fmt: skip
def test_settings_of_the_user_do_not_matter(name, value):
    fit = random_draws("y ~ x + (1 | g)")
    expected = fit.posterior_predict(seed=1)
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        np.testing.assert_array_equal(fit.posterior_predict(seed=1), expected)
        with float64():
            assert jax.numpy.ones(2).dtype == "float64"
        assert jax.config.values[name] == value
    finally:
        jax.config.update(name, before)


class Full:
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_stream_that_fails_is_forgiven():
    closed = open(os.devnull, "w")  # noqa: SIM115
    closed.close()
    for stream in (None, closed, Full(), object()):
        forgiving = Forgiving(stream)
        assert forgiving.write("text") == 4
        forgiving.flush()
        assert not forgiving.isatty()


# --------------------------------------------------------------------------- programs on disk


def test_no_home_is_no_cache(monkeypatch):
    def unknown(*_):
        raise RuntimeError("no home")

    monkeypatch.delenv("BRIM_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "_user_folder", unknown)
    assert cache.cache_dir() is None
    monkeypatch.setenv("BRIM_CACHE_DIR", "~nobody_of_this_name/x")
    assert cache.cache_dir() is None


def program(tmp_path, text):
    """Compile a small program in a process of its own; whether it came from disk."""
    code = f"""
import jax, jax.numpy as jnp
from brim.compile.cache import compile_cached
with jax.enable_x64(True):
    run, from_disk = compile_cached(lambda: (lambda x: {text}), (jnp.ones(3),), object())
    print(run(jnp.arange(3.0)).tolist(), from_disk)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "BRIM_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True)
    return done.stdout.split("\n")[0], done.stderr


def test_damaged_or_swapped_programs_are_compiled_again(tmp_path):
    tmp_path.chmod(0o700)
    assert program(tmp_path, "2 * x")[0] == "[0.0, 2.0, 4.0] False"
    assert program(tmp_path, "2 * x")[0] == "[0.0, 2.0, 4.0] True"
    (entry,) = tmp_path.glob("*.xla")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert program(tmp_path, "2 * x")[0] == "[0.0, 2.0, 4.0] False"
    assert program(tmp_path, "3 * x")[0] == "[0.0, 3.0, 6.0] False"
    one, other = tmp_path.glob("*.xla")
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    assert program(tmp_path, "3 * x")[0] == "[0.0, 3.0, 6.0] False"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners here")
def test_a_folder_that_others_can_write_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    found, said = program(tmp_path, "2 * x")
    assert found == "[0.0, 2.0, 4.0] False"
    assert "other users can write there" in said
    assert not list(tmp_path.iterdir())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


TWENTY = """
import sys, warnings
warnings.simplefilter("ignore")
import brim
data = brim.load_data("sleepstudy")
fit = brim.brm("Reaction ~ Days + (1 | Subject)", data, chains=1, iter=200, seed=1, progress=False, file=sys.argv[1])
fit.save(sys.argv[1])
again = brim.load(sys.argv[1])
print(float(fit.draws.matrix().sum()).hex(), float(again.draws.matrix().sum()).hex())
"""


@pytest.mark.slow
def test_twenty_processes_share_one_cache_and_one_file(tmp_path):
    """All begin with neither; each ends with the same draws, and what is left is whole."""
    cached, path = tmp_path / "cache", tmp_path / "fit.nc"
    env = {**os.environ, "BRIM_CACHE_DIR": str(cached)}
    command = [sys.executable, "-c", TWENTY, str(path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) for _ in range(20)]
    said = [process.communicate(timeout=900) for process in started]
    assert [process.returncode for process in started] == [0] * 20, [error for _, error in said if error]
    sums = {number for out, _ in said for number in out.split()}
    assert len(sums) == 1
    assert float(brim.load(path).draws.matrix().sum()).hex() in sums
    assert [p.name for p in tmp_path.iterdir() if p != cached] == ["fit.nc"]
    assert not list(cached.glob("*.part"))
    alone = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert set(alone.stdout.split()) == sums
