"""Fits that are interrupted, killed and continued: the same draws, bit for bit."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import brim
from brim.infer.nuts import checkpoint as on_disk
from brim.infer.nuts.sampling import processors

pytestmark = [pytest.mark.default_precision, pytest.mark.filterwarnings("ignore")]

SLEEP = brim.load_data("sleepstudy")
CALL = {"chains": 2, "iter": 300, "seed": 1, "progress": False}
MODELS = {
    "integrated": ("Reaction ~ Days + (1 | Subject)", {}),
    "random start": ("Reaction ~ Days", {"init": 0.5}),
    "own coordinates": ("Reaction ~ Days + (1 | Subject)", {"marginalize": False, "control": {"adapted_effects": False}}),
    "adapted": ("Reaction ~ Days + (1 | Subject)", {"family": "student"}),
    "thinned, low rank": ("Reaction ~ Days", {"thin": 3, "init": 0.5, "control": {"metric": "low_rank"}}),
}


def equal(a, b):
    assert a.variables() == b.variables()
    np.testing.assert_array_equal(a.draws.matrix(), b.draws.matrix())
    for name, values in a.stats.items():
        np.testing.assert_array_equal(b.stats[name], values)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("after", [3, 40])
def test_chains_that_stopped_anywhere_go_on_to_the_same_draws(name, after, tmp_path, monkeypatch):
    """Stopped by an error at a state that was just written, in the warm-up or after it."""
    formula, options = MODELS[name]
    options = {**CALL, **options}
    whole = brim.brm(formula, SLEEP, **options)
    monkeypatch.setattr(on_disk, "SECONDS", -1.0)
    monkeypatch.setattr("brim.infer.nuts.chain.CHUNK_SECONDS", 1e-5)
    written = []
    write = on_disk.Checkpoint._write

    def failing(self, chain, *args):
        write(self, chain, *args)
        written.append(chain)
        if len(written) > after:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(on_disk.Checkpoint, "_write", failing)
        with pytest.raises(Stopped):
            brim.brm(formula, SLEEP, checkpoint=tmp_path, **options)
    equal(brim.resume(tmp_path, progress=False), whole)
    equal(brim.brm(formula, SLEEP, checkpoint=tmp_path, **options), whole)  # the same call finds it


def test_more_iterations_than_first_asked(tmp_path):
    brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, checkpoint=tmp_path, **CALL)
    more = brim.resume(tmp_path, iter=500, progress=False)
    equal(more, brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, **{**CALL, "iter": 500, "warmup": 150}))
    assert more.draws.draws == 350


KILLED = """
import sys, brim
from brim.infer.nuts import chain, checkpoint
checkpoint.SECONDS, chain.CHUNK_SECONDS = 0.02, 0.005
print("ready", flush=True)
brim.brm("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), "student", chains=2, iter=int(sys.argv[2]), seed=1,
         progress=False, checkpoint=sys.argv[1])
print("done", flush=True)
"""


def killed(folder, iterations, delay):
    """A fit in a process of its own that is killed ``delay`` seconds after its first state is on disk."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", KILLED, str(folder), str(iterations)], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.state")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.communicate()


def test_a_killed_fit_goes_on(tmp_path):
    expected = brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, "student", chains=2, iter=3000, seed=1, progress=False)
    killed(tmp_path, 3000, 0.1)
    killed(tmp_path, 3000, 0.3)
    equal(brim.resume(tmp_path, progress=False), expected)


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    expected = brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, "student", chains=2, iter=3000, seed=1, progress=False)
    rng = np.random.default_rng(1)
    for i in range(50):
        folder = tmp_path / str(i % 10)
        folder.mkdir(exist_ok=True)
        killed(folder, 3000, rng.uniform(0.0, 0.6))
    for i in range(10):
        equal(brim.resume(tmp_path / str(i), progress=False), expected)


SAVING = """
import sys, brim
fit = brim.load(sys.argv[1])
print("ready", flush=True)
while True:
    fit.save(sys.argv[1])
"""


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_while_saving_lose_nothing(tmp_path, times):
    path = tmp_path / "fit.nc"
    fit = brim.brm("Reaction ~ Days", SLEEP, **CALL)
    fit.save(path)
    rng = np.random.default_rng(1)
    for _ in range(times):
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SAVING, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        equal(brim.load(path), fit)
    fit.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]  # nothing hidden is left


@pytest.fixture
def interruptible():
    """A shell that starts tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_returns_the_draws_so_far(tmp_path):
    """The first draws of the uninterrupted fit; the summary says so, and a file does not take the fit for a whole one."""
    slow = {"marginalize": False, "control": {"adapted_effects": False}}
    call = {**CALL, **slow, "chains": min(2, processors()), "iter": 400000, "warmup": 200}
    threading.Timer(4.0, _thread.interrupt_main).start()
    with pytest.warns(brim.BrimWarning, match="interrupted"):
        fit = brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, checkpoint=tmp_path / "c", file=tmp_path / "fit.nc", **call)
    n = fit.draws.draws
    assert 0 < n < 399800
    assert "Warning: interrupted" in str(fit.summary())
    assert not (tmp_path / "fit.nc").exists()
    first = brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, **{**call, "iter": 200 + min(n, 300)})
    np.testing.assert_array_equal(fit.draws.matrix()[:, : min(n, 300)], first.draws.matrix())


def test_stop_when_it_is_good_enough():
    """The draws that are kept are the first of the whole fit, whatever the machine's speed."""
    call = {**CALL, "chains": 4, "iter": 40000, "warmup": 200}
    fits = [brim.brm("Reaction ~ Days", SLEEP, stop_when=brim.stop_when(ess=1500, rhat=1.01), cores=c, **call) for c in (1, 2)]
    equal(*fits)
    n = fits[0].draws.draws
    assert n < 5000
    table = fits[0].summary().fixed
    assert table["Bulk_ESS"].min() >= 1500
    assert table["Rhat"].max() <= 1.01
    assert "stop_when" in fits[0].info["stopped"]
    whole = brim.brm("Reaction ~ Days", SLEEP, **{**call, "iter": 200 + n})
    np.testing.assert_array_equal(fits[0].draws.matrix(), whole.draws.matrix())


def test_stop_after_seconds():
    clock = time.monotonic()
    fit = brim.brm("Reaction ~ Days", SLEEP, stop_when=brim.stop_when(seconds=0.5), **{**CALL, "iter": 10**6, "warmup": 100})
    assert 0 < fit.draws.draws < 999900
    assert time.monotonic() - clock < 60


@pytest.mark.parametrize("given", [{}, {"ess": -1}, {"rhat": 0.9}, {"seconds": "a"}, {"ess": True}])
def test_wrong_wishes(given):
    with pytest.raises(brim.BrimError):
        brim.stop_when(**given)


def test_wrong_checkpoints(tmp_path):
    with pytest.raises(brim.BrimError, match="no checkpoint"):
        brim.resume(tmp_path)
    brim.brm("Reaction ~ Days", SLEEP, checkpoint=tmp_path / "a", **CALL)
    with pytest.raises(brim.BrimError, match="another fit"):
        brim.brm("Reaction ~ 1", SLEEP, checkpoint=tmp_path / "a", **CALL)
    with pytest.raises(brim.BrimError, match="algorithm='sampling'"):
        brim.brm("Reaction ~ Days", SLEEP, algorithm="map", checkpoint=tmp_path / "b")
    with pytest.raises(brim.BrimError, match="stop_when = 3"):
        brim.brm("Reaction ~ Days", SLEEP, stop_when=3)
    path = tmp_path / "a" / "chain_1.draws"
    content = path.read_bytes()
    path.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    with pytest.raises(brim.BrimError, match="damaged"):
        brim.resume(tmp_path / "a")
    (tmp_path / "file").write_text("x")
    with pytest.raises(brim.BrimError, match="cannot keep chains"):
        brim.brm("Reaction ~ Days", SLEEP, checkpoint=tmp_path / "file", **CALL)


def test_a_full_disk_keeps_the_draws_in_memory(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    expected = brim.brm("Reaction ~ Days", SLEEP, **CALL)
    monkeypatch.setattr(on_disk.Checkpoint, "_write", full)
    with pytest.warns(brim.BrimWarning, match="No space left"):
        equal(brim.brm("Reaction ~ Days", SLEEP, checkpoint=tmp_path, **CALL), expected)
    monkeypatch.undo()
    monkeypatch.setattr("brim.post.files.io.write_sealed", full)
    with pytest.warns(brim.BrimWarning, match="could not be saved"):
        equal(brim.brm("Reaction ~ Days", SLEEP, file=tmp_path / "fit.nc", **CALL), expected)


def test_links_and_modes_stay(tmp_path):
    fit = brim.brm("Reaction ~ Days", SLEEP, empty=True)
    real = tmp_path / "real.nc"
    fit.save(real)
    real.chmod(0o600)
    (tmp_path / "link.nc").symlink_to(real)
    fit.save(tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink()
    assert os.stat(real).st_mode & 0o777 == 0o600
