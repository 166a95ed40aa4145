"""Whole runs: the right posterior, exact seeds, warm-up, interruption, compiled once."""

import threading
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brim.compile import compiled as compiled_module
from brim.compile.recent import LastUsed
from brim.errors import BrimError
from brim.infer.diagnostics import ess_bulk, mcse_mean, rhat
from brim.infer.engines import engine
from brim.infer.nuts import chain as chain_module
from brim.infer.nuts.sampling import Control, Start, precompile, sample
from brim.infer.nuts.warmup import Window, schedule
from brim.infer.target import Target


def normal(q, data):
    """N(mean, S) through its precision."""
    x = q - data["mean"]
    return -0.5 * x @ (data["precision"] @ x)


COVARIANCE = np.array([[1.0, 0.8, 0.0], [0.8, 4.0, -0.5], [0.0, -0.5, 0.01 + 0.5]])
MEAN = np.array([1.0, -50.0, 0.0])


def target(mean=MEAN, covariance=COVARIANCE, log_prob=normal, init=None):
    data = {"mean": mean, "precision": np.linalg.inv(covariance)}
    return Target(len(mean), log_prob, data, init or (lambda rng: rng.uniform(-2, 2, len(mean))), lambda q, d: {"q": q})


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run():
    return sample(target(), warmup=300, draws=1000, seed=1, progress=False)


def short(goal=None, **settings):
    return sample(goal or target(), **{"chains": 2, "warmup": 60, "draws": 40, "seed": 3, "progress": False, **settings})


def within_four_errors(draws, expected):
    assert np.all(np.abs(draws.mean((0, 1)) - expected) < 4 * mcse_mean(draws))


# --------------------------------------------------------------------------- the posterior


def test_normal_posterior(run):
    assert run.q.shape == (4, 1000, 3)
    assert np.all(rhat(run.q) < 1.01)
    assert np.all(ess_bulk(run.q) > 1000)
    within_four_errors(run.q, MEAN)
    x = run.q - MEAN
    within_four_errors(x[..., :, None] * x[..., None, :], COVARIANCE)


def test_statistics(run):
    s = run.stats
    assert {k: v.dtype.kind for k, v in s.items()} == {
        "lp": "f", "acceptance_rate": "f", "n_steps": "i", "diverging": "b", "tree_depth": "i", "step_size": "f", "energy": "f",
    }  # fmt: skip
    assert all(v.shape == (4, 1000) for v in s.values())
    x = run.q - MEAN
    np.testing.assert_allclose(s["lp"], -0.5 * np.einsum("cdi,ij,cdj->cd", x, np.linalg.inv(COVARIANCE), x), rtol=1e-9)
    # energy = kinetic - lp, and the kinetic energy of 3 dimensions has mean 3/2
    kinetic = s["energy"] + s["lp"]
    assert kinetic.min() > 0
    within_four_errors(kinetic, 1.5)
    assert np.all(s["n_steps"] < 2 ** s["tree_depth"])
    assert np.all(np.ptp(s["step_size"], axis=1) == 0)
    assert not s["diverging"].any()


@pytest.mark.parametrize("delta", [0.7, 0.85, 0.95])
def test_step_size_reaches_adapt_delta(delta):
    draws = sample(target(), warmup=600, draws=500, seed=2, progress=False, control=Control(adapt_delta=delta))
    assert abs(draws.stats["acceptance_rate"].mean() - delta) < 0.03


def test_metric_is_learned_and_reported(run):
    """For a normal law, var(draws) / var(gradients) are the variances over the diagonal of the precision, under a square root."""
    expected = np.sqrt(np.diag(COVARIANCE) / np.diag(np.linalg.inv(COVARIANCE)))
    np.testing.assert_allclose(run.info["inv_mass"], np.tile(expected, (4, 1)), rtol=0.5)


def test_dense_metric_shortens_trajectories():
    n = 20
    covariance = 0.97 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    goal = target(np.zeros(n), covariance)
    settings = {"warmup": 500, "draws": 500, "seed": 1, "progress": False}
    diagonal = sample(goal, **settings)
    dense = sample(goal, control=Control(metric="dense"), **settings)
    assert dense.stats["n_steps"].mean() < 0.4 * diagonal.stats["n_steps"].mean()
    for draws in (diagonal, dense):
        within_four_errors(draws.q, np.zeros(n))
        within_four_errors(draws.q**2, 1.0)


def funnel(q, data):
    return -0.5 * (q[0] / data["sd"]) ** 2 - 0.5 * jnp.sum(q[1:] ** 2) * jnp.exp(-q[0]) - 0.5 * (q.shape[0] - 1) * q[0]


def test_funnel():
    goal = Target(4, funnel, {"sd": np.float64(1.0)}, lambda rng: rng.uniform(-1, 1, 4), lambda q, d: {})
    draws = sample(goal, warmup=500, draws=1000, seed=1, progress=False, control=Control(adapt_delta=0.95))
    within_four_errors(draws.q[:, :, 0], 0.0)
    within_four_errors(draws.q[:, :, 0] ** 2, 1.0)


def logistic(q, data):
    eta = q[0] + data["x"] * q[1] + jnp.exp(q[2]) * q[3:][data["g"]]
    likelihood = jnp.sum(data["y"] * eta - jnp.logaddexp(0.0, eta))
    return likelihood - 0.5 * jnp.sum(q[3:] ** 2) - 0.5 * (q[0] ** 2 + q[1] ** 2) - 0.5 * jnp.exp(2 * q[2]) + q[2]


def test_same_posterior_as_numpyro():
    """Logistic regression with group effects: the same log density through NumPyro's own sampler."""
    from numpyro.infer import MCMC, NUTS

    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(8), 12)
    x = rng.normal(size=96)
    y = (rng.random(96) < 1 / (1 + np.exp(-(0.5 + x + rng.normal(size=8)[g])))).astype(float)
    data = {"x": x, "g": g.astype(np.int32), "y": y}
    ours = sample(Target(11, logistic, data, lambda r: r.uniform(-1, 1, 11), lambda q, d: {}), seed=1, warmup=500, progress=False).q
    kernel = NUTS(potential_fn=lambda q: -logistic(q, data))
    mcmc = MCMC(kernel, num_warmup=500, num_samples=1000, num_chains=2, chain_method="vectorized", progress_bar=False)
    mcmc.run(jax.random.key(1), init_params=jnp.zeros((2, 11)))
    theirs = np.asarray(mcmc.get_samples(group_by_chain=True))
    for f in (lambda q: q, np.square):
        difference = f(ours).mean((0, 1)) - f(theirs).mean((0, 1))
        assert np.all(np.abs(difference) < 4 * np.hypot(mcse_mean(f(ours)), mcse_mean(f(theirs))))


# --------------------------------------------------------------------------- exact seeds


def test_draws_do_not_depend_on_cores_or_chunks(monkeypatch):
    expected = short(cores=2)
    one = short(cores=1)
    monkeypatch.setattr(chain_module, "CHUNK_SECONDS", 1e-9)
    single = short(cores=2)
    for other in (one, single):
        np.testing.assert_array_equal(other.q, expected.q)
        for name in expected.stats:
            np.testing.assert_array_equal(other.stats[name], expected.stats[name])


def test_seeds():
    a, b, c = short(seed=3), short(seed=3), short(seed=4)
    np.testing.assert_array_equal(a.q, b.q)
    assert not np.any(a.q == c.q)
    assert not np.any(a.q[0] == a.q[1])
    fresh = short(seed=None)
    np.testing.assert_array_equal(short(seed=fresh.info["seed"]).q, fresh.q)
    assert short(seed=None).info["seed"] != fresh.info["seed"]


def test_more_chains_keep_the_first():
    np.testing.assert_array_equal(short(chains=3).q[:2], short(chains=2).q)


def test_thinning_keeps_every_third_from_the_first(monkeypatch):
    whole, thinned = short(draws=40), short(draws=40, thin=3)
    assert thinned.q.shape == (2, 14, 3)
    np.testing.assert_array_equal(thinned.q, whole.q[:, ::3])
    np.testing.assert_array_equal(thinned.stats["lp"], whole.stats["lp"][:, ::3])
    monkeypatch.setattr(chain_module, "CHUNK_SECONDS", 1e-9)
    np.testing.assert_array_equal(short(draws=40, thin=3).q, thinned.q)


# --------------------------------------------------------------------------- warm-up


@pytest.mark.parametrize("iterations", [0, 1, 5, 19, 20, 37, 100, 150, 300, 1000, 2500])
def test_schedule_adds_up(iterations):
    windows = schedule(iterations)
    assert sum(w.length for w in windows) == iterations
    assert all(w.length > 0 for w in windows)
    if iterations:
        assert not windows[-1].learn
        assert all(w.learn for w in windows[:-1])


def test_schedule_of_the_default():
    assert schedule(1000) == (
        *(Window(n, True, 6) for n in (10, 10, 15, 22, 33)),
        *(Window(n, True) for n in (50, 75, 113, 170, 377)),
        Window(125, False),
    )


def test_warmup_is_honoured():
    reports = []
    short(warmup=77, draws=23, callback=reports.append)
    assert [r.done for r in reports[-1]] == [100, 100]


def test_no_warmup_at_all_still_samples():
    draws = short(warmup=0, draws=300)
    assert np.isfinite(draws.q).all()
    assert np.all(draws.info["warmup_steps"] == 0)


def test_start_adapts_the_step_size_only():
    q = np.random.default_rng(1).multivariate_normal(MEAN, COVARIANCE, size=2)
    start = Start(q, np.diag(COVARIANCE))
    draws = short(start=start, warmup=100, draws=400)
    np.testing.assert_allclose(draws.info["inv_mass"], np.tile(np.diag(COVARIANCE), (2, 1)))
    assert abs(draws.stats["acceptance_rate"].mean() - 0.85) < 0.1
    within_four_errors(draws.q, MEAN)


def test_start_begins_where_it_is_told():
    q = np.stack([MEAN, MEAN + np.array([30.0, 0.0, 0.0])])
    draws = short(start=Start(q, np.full(3, 1e-6), step_size=1e-3), warmup=0, draws=1, control=Control(max_treedepth=1))
    np.testing.assert_allclose(draws.q[:, 0], q, atol=1e-3)
    np.testing.assert_allclose(draws.stats["step_size"], 1e-3)


def test_given_step_size_is_used():
    draws = short(warmup=0, draws=5, control=Control(step_size=0.123))
    np.testing.assert_allclose(draws.stats["step_size"], 0.123)


def poisson(q, data):
    eta = data["x"] @ q
    return jnp.sum(data["y"] * eta - jnp.exp(eta)) - 0.5 * jnp.sum(q**2)


def test_hopeless_starting_points_recover():
    """A mean of exp(300): log densities of -1e130 at the start; every chain must reach the posterior in a short warm-up."""
    x = np.column_stack([np.ones(30), np.linspace(-150, 150, 30)])
    y = np.random.default_rng(0).poisson(np.exp(0.5 + 0.01 * x[:, 1])).astype(float)
    goal = Target(2, poisson, {"x": x, "y": y}, lambda rng: rng.uniform(-2, 2, 2), lambda q, d: {})
    with jax.enable_x64(True):
        assert poisson(np.array([2.0, 2.0]), goal.data) < -1e100
    draws = sample(goal, warmup=200, draws=500, seed=1, progress=False)
    assert np.all(rhat(draws.q) < 1.02)
    assert not draws.stats["diverging"].any()
    assert draws.info["warmup_steps"].max() < 200 * 20


def bounded(q, data):
    return jnp.where(q[0] > data["bound"], normal(q, data), jnp.nan)


def test_starting_points_are_tried_until_one_is_finite():
    goal = target(log_prob=bounded)
    goal = replace(goal, data={**goal.data, "bound": np.float64(1.8)})
    draws = short(goal, warmup=0, draws=1, control=Control(step_size=1e-8))
    assert np.isfinite(draws.stats["lp"]).all()
    with pytest.raises(BrimError, match="found no place to start: the log density is not finite at any of 100 starting points"):
        short(replace(goal, data={**goal.data, "bound": np.float64(2.1)}))


def flat_infinite_slope(q, data):
    return -jnp.sum(jnp.sqrt(jnp.maximum(-(q**2), 0.0)))


def test_gradients_that_are_not_finite_are_named():
    goal = Target(2, flat_infinite_slope, {}, lambda rng: rng.uniform(-1, 1, 2), lambda q, d: {})
    with pytest.raises(BrimError, match="the gradient of the log density is not finite"):
        short(goal, chains=1)


# --------------------------------------------------------------------------- threads


def chain_threads():
    return [t for t in threading.enumerate() if t.name.startswith("brim-chain")]


def test_an_error_in_one_chain_stops_the_others():
    calls = []

    def init(rng):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no such luck")
        return rng.uniform(-2, 2, 3)

    clock = time.perf_counter()
    with pytest.raises(RuntimeError, match="no such luck"):
        short(target(init=init), cores=2, draws=10_000_000)
    assert time.perf_counter() - clock < 10
    assert not chain_threads()


def test_ctrl_c_stops_all_chains():
    def interrupt(reports):
        if all(r.done > 100 for r in reports):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short(cores=2, draws=10_000_000, callback=interrupt)
    assert not chain_threads()


@pytest.mark.default_precision
def test_float64_without_being_asked():
    assert not jax.config.jax_enable_x64
    draws = short()
    assert draws.q.dtype == np.float64
    x = draws.q - MEAN
    exact = -0.5 * np.einsum("cdi,ij,cdj->cd", x, np.linalg.inv(COVARIANCE), x)
    np.testing.assert_allclose(draws.stats["lp"], exact, rtol=1e-10)
    assert jnp.ones(1).dtype == jnp.float32


# --------------------------------------------------------------------------- compiled once


def compiled_before(goal):
    return any(goal.log_prob in key[0] for key in compiled_module._programs)


def test_one_program_a_shape():
    def fresh(q, data):
        return normal(q, data)

    goal = target(log_prob=fresh)
    first = short(goal)
    assert first.info["compile_seconds"] > 0
    other_data = target(mean=np.zeros(3), covariance=np.eye(3), log_prob=fresh)
    assert short(other_data).info["compile_seconds"] == 0
    assert short(goal, control=Control(adapt_delta=0.9, max_treedepth=5)).info["compile_seconds"] == 0
    program = precompile(goal, Control()).result()
    assert precompile(other_data, Control()).result() is program
    assert precompile(target(np.zeros(2), np.eye(2), fresh), Control()).result() is not program


def test_programs_are_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIM_CACHE_DIR", str(tmp_path / "here"))

    def again(settings=None):
        monkeypatch.setattr(compiled_module, "_programs", LastUsed(9))
        return short()

    before = jax.config.jax_compilation_cache_dir
    first = again()
    (file,) = (tmp_path / "here").iterdir()
    assert not first.info["compiled_from_disk"]
    second = again()
    assert second.info["compiled_from_disk"]
    np.testing.assert_array_equal(second.q, first.q)
    file.write_bytes(b"half a file")
    third = again()
    assert not third.info["compiled_from_disk"]
    assert again().info["compiled_from_disk"]
    assert jax.config.jax_compilation_cache_dir == before
    monkeypatch.setenv("BRIM_CACHE_DIR", "off")
    assert not again().info["compiled_from_disk"]


def test_the_disk_is_not_needed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BRIM_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(compiled_module, "_programs", LastUsed(9))
    assert np.isfinite(short().q).all()


def test_errors_of_a_model_surface_from_compilation():
    def broken(q, data):
        return jnp.sum(q) + data["nothing"]

    for _ in range(2):
        with pytest.raises(KeyError, match="nothing"):
            short(target(log_prob=broken))


# --------------------------------------------------------------------------- arguments and output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chains": 0}, "chains = 0\ngive a whole number >= 1"),
        ({"warmup": -1}, "warmup = -1\ngive a whole number >= 0"),
        ({"draws": 1.5}, "draws = 1.5\ngive a whole number >= 1"),
        ({"thin": 0}, "thin = 0"),
        ({"cores": 0}, "cores = 0\ngive a whole number >= 1"),
        ({"start": Start(np.zeros((3, 3)), np.ones(3))}, r"start must have q \(2, 3\) and inv_mass \(3,\)"),
    ],
)
def test_wrong_counts(settings, message):
    with pytest.raises(BrimError, match=message):
        short(**settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapt_dleta": 0.9}, "unknown setting 'adapt_dleta'\ndid you mean 'adapt_delta'"),
        ({"adapt_delta": 1.0}, "adapt_delta = 1.0\ngive a number between 0 and 1"),
        ({"adapt_delta": "high"}, "adapt_delta = 'high'\ngive a number between 0 and 1"),
        ({"max_treedepth": 0}, "max_treedepth = 0\ngive a whole number from 1 to 20"),
        ({"metric": "dens"}, "metric = 'dens'\ndid you mean 'dense'"),
        ({"metric": "lowrank"}, "metric = 'lowrank'\ndid you mean 'low_rank'"),
        ({"step_size": 0.0}, "step_size = 0.0\ngive a number > 0"),
        (["adapt_delta"], "control must be a dict of settings, not list"),
    ],
)
def test_wrong_control(options, message):
    with pytest.raises(BrimError, match=message):
        Control.read(options)


def test_control_is_read():
    assert Control.read(None) == Control()
    assert Control.read({"max_treedepth": 12}) == Control(max_treedepth=12)
    assert Control.read(Control(metric="dense")) == Control(metric="dense")


def test_tree_depth_is_limited():
    draws = short(control=Control(max_treedepth=2, step_size=1e-3), warmup=0)
    assert draws.stats["tree_depth"].max() == 2
    assert draws.stats["n_steps"].max() == 3
    assert draws.info["max_treedepth"] == 2


def test_engines_by_name():
    assert engine("sampling") is sample
    with pytest.raises(BrimError, match="unknown algorithm 'samplng'\ndid you mean 'sampling'"):
        engine("samplng")


def test_progress_in_lines_when_not_a_terminal(capsys):
    short(warmup=500, draws=500, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 10
    assert lines[-1].startswith("100% 2 chains: sampling, ")
    assert all(line.split("%")[0].strip().isdigit() for line in lines)


def test_silence(capfd):
    short(progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    short(warmup=500, draws=500, progress=True)
    assert "2 chains: sampling" in screen.getvalue()
