"""Compiled programs on disk: what names them, and that a second process neither traces nor compiles."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import brim
from brim.compile import cache, compiled
from brim.compile.fingerprint import Unnamed, fingerprint
from brim.compile.recent import LastUsed
from brim.fit.run import coordinates, target
from references import model
from test_reference import BUILT

GPA = brim.load_data("gpa")
SLOPES = "gpa ~ occasion + (1 + occasion | student)"


def built(formula=SLOPES, data=GPA, **kwargs):
    return brim.brm(formula, data, empty=True, **kwargs)


def name(fit):
    return fingerprint(target(fit).log_prob)


def program(fit):
    """The traced log density, as text."""
    goal = target(fit)
    return str(jax.make_jaxpr(goal.log_prob)(np.zeros(goal.dim), goal.data))


# --------------------------------------------------------------------------- names


def test_different_models_have_different_names():
    fits = {text: model(text)[0] for text in BUILT}
    names = {text: name(fit) for text, fit in fits.items()}
    assert len(set(names.values())) == len(BUILT) == 47
    reduced = [space for fit in fits.values() if (space := coordinates(fit, algorithm="")).integral is not None]
    assert len(reduced) > 10
    assert len({fingerprint(e.target.log_prob) for e in reduced} | set(names.values())) == len(reduced) + len(BUILT)


SAME = {
    "other numbers": lambda: built(data=GPA.assign(gpa=2 * GPA.gpa)),
    "other scale of a prior": lambda: built(prior=brim.prior("student_t(4, 1, 3)", class_="sd")),
    "fewer rows": lambda: built(data=GPA[GPA.occasion < 4]),
}
OTHER = {
    "law of a prior": lambda: built(prior=brim.prior("gamma(2, 1)", class_="sd")),
    "constant": lambda: built(prior=brim.prior("constant(1)", class_="sigma")),
    "bound": lambda: built(prior=brim.prior("normal(0, 1)", class_="b", lb=0)),
    "family": lambda: built(family="student"),
    "link": lambda: built(family=brim.gaussian("log")),
    "correlation": lambda: built("gpa ~ occasion + (1 + occasion || student)"),
    "no prior of one coefficient": lambda: built(prior=brim.prior("normal(0, 1)", class_="b", coef="occasion")),
    "weights": lambda: built("gpa | weights(occasion) ~ occasion + (1 + occasion | student)"),
    "prior alone": lambda: built(sample_prior="only", prior=brim.prior("normal(0, 1)", class_="b")),
}


@pytest.mark.parametrize("change", SAME)
def test_numbers_do_not_decide_a_name(change):
    assert name(SAME[change]()) == name(built())
    if change != "fewer rows":
        assert program(SAME[change]()) == program(built())


@pytest.mark.parametrize("change", OTHER)
def test_structure_decides_a_name(change):
    assert name(OTHER[change]()) != name(built())
    assert program(OTHER[change]()) != program(built())


def test_names_do_not_depend_on_the_process():
    code = """import json, brim
from brim.fit.run import target
from brim.compile.fingerprint import fingerprint
families = "gaussian", "student", "lognormal"
fits = [brim.brm("gpa ~ occasion + (1 | student)", brim.load_data("gpa"), family=f, empty=True) for f in families]
print(json.dumps([fingerprint(target(fit).log_prob) for fit in fits]))"""
    names = [
        json.loads(subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True).stdout)
        for seed in ("1", "2")
    ]
    assert names[0] == names[1]
    assert len(set(names[0])) == 3


def test_functions_of_the_user_have_no_name():
    import numpyro.distributions as d

    family = brim.custom_family("mine", lambda mu, sigma: d.Normal(mu, sigma), ["mu", "sigma"], ["identity", "log"])
    with pytest.raises(Unnamed):
        name(built(family=family))


# --------------------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIM_CACHE_DIR", str(tmp_path))
    return tmp_path


def fresh(monkeypatch, **kwargs):
    """A short fit in a process that remembers no program."""
    monkeypatch.setattr(compiled, "_programs", LastUsed(9))
    return brim.brm("gpa ~ occasion + (1 | student)", GPA, chains=2, iter=60, seed=1, progress=False, **kwargs)


@pytest.mark.filterwarnings("ignore")
def test_a_known_program_is_not_traced(folder, monkeypatch):
    first = fresh(monkeypatch)
    kinds = [path.suffix for path in folder.iterdir()]
    assert (kinds.count(".xla"), kinds.count(".name")) == (3, 3)  # the sampler, the draws of the effects, the report

    def traced(*args):
        raise AssertionError("traced")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_lowered", traced)
        second = fresh(monkeypatch)
    assert second.info["compiled_from_disk"]
    np.testing.assert_array_equal(first.draws.matrix(), second.draws.matrix())
    for path in folder.glob("*.name"):
        path.write_text("nonsense")
    assert fresh(monkeypatch).info["compiled_from_disk"]  # traced, and found by its text


WARM = """
import sys, brim, jax
counts = {}
def count(event, duration, **kwargs):
    counts[event] = counts.get(event, 0) + 1
jax.monitoring.register_event_duration_secs_listener(count)
fit = brim.brm("gpa ~ occasion + (1 + occasion | student)", brim.load_data("gpa"), seed=1, progress=False)
str(fit.summary())
heavy = {"numpyro", "matplotlib", "arviz_base", "arviz_stats", "arviz_plots", "xarray", "rich", "click", "scipy"} & set(sys.modules)
print(counts.get("/jax/core/compile/backend_compile_duration", 0), counts.get("/jax/core/compile/jaxpr_trace_duration", 0), *sorted(heavy))
"""


def test_a_second_process_neither_traces_nor_compiles(folder):
    first, second = (
        subprocess.run([sys.executable, "-W", "ignore", "-c", WARM], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert int(first[0]) == 3 + 2  # and two programs of a line that ask XLA for its options
    assert second == ["0", "1"]  # the one abstract evaluation that counts the columns of the linear predictor


LAPACK = """
import jax, numpy as np
from brim.compile.cache import compile_cached
with jax.enable_x64(True):
    run, from_disk = compile_cached(lambda: jax.numpy.linalg.cholesky, (np.empty((2, 2)),), "a factorisation")
    print(from_disk, float(run(np.array([[4.0, 0.0], [0.0, 9.0]]))[1, 1]))
"""


def test_loaded_programs_find_lapack(folder):
    """JAX looks up LAPACK when it traces; a loaded program must not call functions that nobody looked up (it would crash)."""
    out = [
        subprocess.run([sys.executable, "-W", "ignore", "-c", LAPACK], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert out == [["False", "3.0"], ["True", "3.0"]]


def test_programs_do_not_use_a_library_that_confuses_sums(folder):
    """``sum(log(2 x) - log(x)) = n log(2)``; jaxlib 0.10.2 and 0.12.0 give 0 with their own options, whichever code generator is used."""
    x = np.full(5000, 3.0)
    for short in (False, True):
        run, _ = cache.compile_cached(lambda: lambda x: (jax.numpy.log(2 * x) - jax.numpy.log(x)).sum(), (x,), f"a sum {short}", short)
        assert float(run(x)) == pytest.approx(5000 * np.log(2.0), rel=1e-12)
