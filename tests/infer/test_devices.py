"""Chains as one program, on one device and on several, in one process and in two: the same log density, the same draws but for rounding."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import brim
from brim.infer.diagnostics import mcse_mean

pytestmark = [pytest.mark.default_precision, pytest.mark.filterwarnings("ignore")]

SLEEP = brim.load_data("sleepstudy")
RUN = {"chains": 2, "iter": 60, "warmup": 30, "seed": 1, "progress": False}

#: Draws of each model on one device and on several, of rows that divide and rows that do not; densities of both at the same points.
SEVERAL = """
import json, sys, warnings
warnings.simplefilter("ignore")
import jax, numpy as np, brim
from brim.compile.placed import placement
from brim.compile.session import float64
from brim.fit.run import coordinates, _placed, _wide
data = brim.load_data("sleepstudy")
out = []
for formula, more, rows, n in json.loads(sys.argv[1]):
    given = dict(data=data.iloc[:rows], chains=2, iter=60, warmup=30, seed=1, progress=False, **more)
    one, several = brim.brm(formula, **given), brim.brm(formula, devices=n, **given)
    record = brim.brm(formula, empty=True, **given)
    placed, space = _placed(record, placement(None, n), True), coordinates(record)
    wide = _wide(record, placed, 1.0)
    target = space.target if wide is None else space.on(wide)
    q = np.random.default_rng(1).normal(size=(5, target.dim)) * 0.3
    with float64():
        plain, split = jax.jit(space.target.log_prob), jax.jit(jax.value_and_grad(target.log_prob))
        there = placed.put(target.data)
        a, b = (np.array([f(x) for x in q]) for f in (lambda x: plain(x, space.target.data), lambda x: split(x, there)[0]))
        sums = split.lower(q[0], there).compile().as_text().count(" all-reduce(")
    far = np.abs(one.draws.matrix() - several.draws.matrix()).max() / np.abs(one.draws.matrix()).max()
    out.append([float(np.abs(a / b - 1).max()), float(far), several.engine, sums])
print(json.dumps(out))
"""

CASES = [
    ("Reaction ~ Days", {"family": "lognormal"}, 179, 4),
    ("Reaction ~ Days + (1 | Subject)", {"family": "student"}, 178, 2),
]
MORE = [
    ("Reaction ~ Days", {"family": "lognormal"}, 180, 4),
    ("Reaction ~ Days + (1 | Subject)", {"family": "student"}, 180, 4),
    ("Reaction ~ s(Days, k = 5) + (1 + Days | Subject)", {"family": "student"}, 179, 4),
    ("Reaction ~ Days + (1 | Subject)", {"control": {"adapted_effects": False}, "marginalize": False}, 178, 3),
    ("Reaction | weights(Days) ~ Days", {"family": "lognormal"}, 179, 3),
    ("Reaction ~ gp(Days, k = 5, c = 1.25)", {"family": "student"}, 180, 4),
]


def several(cases):
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", SEVERAL, json.dumps(cases)], capture_output=True, text=True, env=env, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(cases, most):
    for (formula, _, rows, n), (density, draws, engine, sums) in zip(cases, several(cases), strict=True):
        assert density < 1e-10, (formula, rows, n)
        assert draws < 1e-8, (formula, rows, n)
        assert f"rows divided among {n} cpu devices" in engine
        assert 1 <= sums <= most, (formula, sums)


def test_rows_on_several_devices():
    check(CASES, most=1)  # one all-reduce a gradient


@pytest.mark.slow
def test_rows_of_more_models_on_several_devices():
    check(MORE, most=3)


#: One of two processes that share the rows.
TOGETHER = """
import sys, warnings
warnings.simplefilter("ignore")
import jax
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
import numpy as np, brim
fit = brim.brm(sys.argv[4], brim.load_data("sleepstudy").iloc[:179], sys.argv[5], devices="all",
               chains=2, iter=60, warmup=30, seed=1, progress=False)
np.save(sys.argv[3], fit.draws.matrix())
print(fit.engine)
"""


@pytest.mark.parametrize(
    ("formula", "family"),
    [("Reaction ~ Days", "lognormal"), pytest.param("Reaction ~ Days + (1 | Subject)", "student", marks=pytest.mark.slow)],
)
def test_two_processes_share_the_rows(formula, family, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = [tmp_path / f"{i}.npy" for i in range(2)]
    arguments = [[sys.executable, "-c", TOGETHER, address, str(i), str(files[i]), formula, family] for i in range(2)]
    started = [subprocess.Popen(a, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for a in arguments]
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "rows divided among 2 cpu devices" in said[0][0]
    here = brim.brm(formula, SLEEP.iloc[:179], family, **RUN).draws.matrix()
    one, two = (np.load(file) for file in files)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, here, rtol=1e-7, atol=1e-7)


# --------------------------------------------------------------------------- one device


def test_chains_in_one_program_are_the_chains_of_threads():
    """Bit for bit they cannot be: XLA sums vectors of several chains in another order."""
    given = {**RUN, "chains": 3, "thin": 2}
    one, other = (brim.brm("Reaction ~ Days", SLEEP, device=device, **given) for device in ("cpu", None))
    np.testing.assert_allclose(one.draws.matrix(), other.draws.matrix(), rtol=1e-8)
    np.testing.assert_array_equal(one.stats["n_steps"], other.stats["n_steps"])
    assert "chains in one program, on cpu" in one.engine


def test_float32_has_the_same_posterior():
    """Means within five Monte Carlo errors of the difference, standard deviations within a tenth."""
    given = {"chains": 4, "iter": 1000, "seed": 1, "progress": False, "device": "cpu"}
    fits = [brim.brm("Reaction ~ Days", SLEEP, control={"precision": p}, **given) for p in ("float32", "float64")]
    assert "float32" in fits[0].engine
    assert fits[1].engine.endswith("on cpu")
    for name in ("b_Intercept", "b_Days", "sigma"):
        a, b = (fit.draws[name] for fit in fits)
        assert not np.array_equal(a, b)
        assert abs(a.mean() - b.mean()) < 5 * np.hypot(mcse_mean(a), mcse_mean(b))
        assert a.std() / b.std() == pytest.approx(1.0, abs=0.1)


def test_a_chain_that_fails_ends_all():
    with pytest.raises(brim.BrimError, match="found no place to start"):
        brim.brm("Reaction ~ Days", SLEEP, prior=brim.prior("uniform(1, 2)", class_="sigma"), device="cpu", init=1e9, **RUN)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"device": "gpu"}, "device = 'gpu': JAX has none here"),
        ({"device": 3}, "device = 3"),
        ({"devices": 500}, "devices = 500: JAX has"),
        ({"devices": 0}, "devices = 0"),
        ({"device": "cpu", "algorithm": "map"}, "for algorithm='sampling'"),
        ({"control": {"precision": "float16"}}, "precision"),
        ({"device": "cpu", "checkpoint": "folder"}, "checkpoint: chains that run as one program"),
    ],
)
def test_what_is_refused(given, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(brim.BrimError, match=match):
        brim.brm("Reaction ~ Days", SLEEP, **RUN, **given)


@pytest.mark.parametrize(
    ("formula", "match"), [("y ~ x + ar(t)", "residuals depend on each other"), ("y ~ me(x, t)", "values of single rows")]
)
def test_rows_that_cannot_be_added(formula, match):
    from brim.coordinates.padded import padded

    data = {"y": np.arange(7.0), "x": np.arange(7.0) ** 2, "t": np.arange(7) + 1}
    fit = brim.brm(formula, data, empty=True)
    assert padded(fit.model, fit.frame, 7) is fit.frame
    with pytest.raises(brim.BrimError, match=match):
        padded(fit.model, fit.frame, 2)
