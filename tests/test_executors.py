"""One ``executor=`` for chains, folds, imputations and the bootstrap: what runs elsewhere gives, bit for bit, what runs here."""

import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import brim
from brim.executors import WorkerError, ordered

pytestmark = [pytest.mark.default_precision, pytest.mark.filterwarnings("ignore")]

SLEEP = brim.load_data("sleepstudy")
RUN = {"chains": 2, "iter": 200, "seed": 1, "progress": False}
#: Start from the mode, from a working model at the data, at random, from the best of several points.
MODELS = {
    "integrated": ("Reaction ~ Days + (1 | Subject)", {}),
    "adapted": ("Reaction ~ Days + (1 | Subject)", {"family": "student"}),
    "at random": ("Reaction ~ Days", {"init": 0.5, "thin": 3}),
    "in directions of the data": ("Reaction ~ Days + I(Days + Days^2 / 1e4)", {"family": "student"}),
    "mixture": ("Reaction ~ 1", {"family": brim.mixture("gaussian", "gaussian")}),
}


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(params=["processes", "dask", "ray"])
def executor(request):
    return request.getfixturevalue(request.param)


def equal(a, b):
    assert a.variables() == b.variables()
    np.testing.assert_array_equal(a.draws.matrix(), b.draws.matrix())
    for name, values in b.stats.items():
        np.testing.assert_array_equal(a.stats[name], values)


# --------------------------------------------------------------------------- calls


def reciprocal(x):
    if x < 0:
        raise brim.BrimError(f"x = {x}", hint="give x > 0")
    return 1 / x


def die(x):
    time.sleep(0.5 * x)
    if x == 1:
        os._exit(1)
    return x


class Unsendable(Exception):
    def __init__(self, a, b):
        super().__init__(a)


def unsendable(x):
    raise Unsendable("odd", x)


def test_results_are_in_order(executor):
    assert ordered(executor, reciprocal, [(x,) for x in (1, 2, 4, 8)], "number") == [1, 0.5, 0.25, 0.125]


def test_errors_come_back_with_their_cause(executor):
    with pytest.raises(WorkerError, match="number 2 of 3 failed in a worker: ZeroDivisionError") as caught:
        ordered(executor, reciprocal, [(1,), (0,), (2,)], "number")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "return 1 / x" in "".join(caught.value.__cause__.__notes__)
    assert caught.value.finished == {0: 1.0, 2: 0.5}
    with pytest.raises(brim.BrimError, match="number 1 of 2: x = -1") as caught:
        ordered(executor, reciprocal, [(-1,), (2,)], "number")
    assert caught.value.hint == "give x > 0"
    with pytest.raises(brim.BrimError, match="Unsendable: odd"):
        ordered(executor, unsendable, [(1,)], "number")


def test_threads_and_no_executor():
    with ThreadPoolExecutor(2) as pool:
        equal(brim.brm("Reaction ~ Days", SLEEP, executor=pool, **RUN), brim.brm("Reaction ~ Days", SLEEP, **RUN))
    with pytest.raises(brim.BrimError, match="did not come back: RuntimeError: cannot schedule"):
        brim.brm("Reaction ~ Days", SLEEP, executor=pool, **RUN)
    for wrong in (3, "dask", ProcessPoolExecutor):
        with pytest.raises(brim.BrimError, match=r"it has no submit\(\)"):
            brim.brm("Reaction ~ Days", SLEEP, executor=wrong, **RUN)


def test_a_worker_that_dies_loses_nothing_of_the_others():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(WorkerError, match="number 2 of 2 did not come back") as caught,
    ):
        ordered(pool, die, [(0,), (1,)], "number")
    assert caught.value.finished == {0: 0}


def test_a_dead_chain_leaves_the_others(monkeypatch):
    whole = brim.brm("Reaction ~ Days", SLEEP, **RUN)

    class Half:
        def submit(self, function, key, *args):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(function, key, *args) if key[1] == 1 else pool.submit(os.getcwdb, 1)

    with pytest.raises(WorkerError, match="chain 1 of 2") as caught:
        brim.brm("Reaction ~ Days", SLEEP, executor=Half(), **RUN)
    left = caught.value.finished
    assert isinstance(left, brim.Fit)
    np.testing.assert_array_equal(left.draws["b_Days"], whole.draws["b_Days"][1:])


# --------------------------------------------------------------------------- what brim runs


@pytest.mark.parametrize("name", MODELS)
def test_chains(name, processes):
    formula, more = MODELS[name]
    given = {**RUN, **more}
    equal(brim.brm(formula, SLEEP, executor=processes, **given), brim.brm(formula, SLEEP, **given))


def test_chains_in_clusters(executor):
    formula, more = MODELS["adapted"]
    equal(brim.brm(formula, SLEEP, executor=executor, **RUN, **more), brim.brm(formula, SLEEP, **RUN, **more))


def test_imputations(executor):
    sets = [SLEEP, SLEEP.assign(Days=SLEEP["Days"] + 1), SLEEP]
    there, here = (brim.brm_multiple("Reaction ~ Days", sets, executor=e, **RUN) for e in (executor, None))
    equal(there, here)
    np.testing.assert_array_equal(there.info["rhat_by_set"], here.info["rhat_by_set"])


def test_equal_calls_without_a_seed_are_not_one(executor):
    fits = brim.brm_multiple("Reaction ~ Days", [SLEEP, SLEEP], combine=False, executor=executor, **{**RUN, "seed": None})
    assert (fits[0].draws["b_Days"] != fits[1].draws["b_Days"]).any()


def test_folds(executor):
    fit = brim.brm("Reaction ~ Days + (1 | Subject)", SLEEP, **RUN)
    there, here = (fit.kfold(3, iter=200, executor=e) for e in (executor, None))
    np.testing.assert_array_equal(there.elpd_i, here.elpd_i)
    assert there.elpd == here.elpd


def test_exact_leave_one_out(processes):
    fit = brim.brm("Reaction ~ Days", SLEEP, **RUN)
    bad = np.sort(fit.loo().pareto_k)[-2]
    there, here = (fit.loo(reloo=True, k_threshold=float(bad) - 1e-9, seed=1, executor=e) for e in (processes, None))
    np.testing.assert_array_equal(there.elpd_i, here.elpd_i)
    assert (there.pareto_k == 0).sum() == 2


def test_bootstrap(executor):
    fit = brim.lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    there, here = (fit.confint(method="boot", nsim=20, seed=1, executor=e) for e in (executor, None))
    np.testing.assert_array_equal(there, here)


def test_warnings_come_back(processes):
    with pytest.warns(brim.BrimWarning, match="R-hat|ESS|divergen"):
        brim.brm_multiple("Reaction ~ Days + (1 | Subject)", [SLEEP], "student", executor=processes, **{**RUN, "iter": 20})


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"stop_when": brim.stop_when(ess=100)}, "executor and stop_when"),
        ({"checkpoint": "folder"}, "executor and checkpoint"),
        ({"algorithm": "map"}, "for algorithm='sampling'"),
    ],
)
def test_what_does_not_go_together(given, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool, pytest.raises(brim.BrimError, match=match):
        brim.brm("Reaction ~ Days", SLEEP, executor=pool, **RUN, **given)
