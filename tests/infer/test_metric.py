"""The low-rank metric: as a linear map, what it learns, and what it saves."""

import jax
import numpy as np
import pytest

from brim.infer.diagnostics import ess_bulk, mcse_mean
from brim.infer.nuts.metric import KEPT, RANK, LowRank
from brim.infer.nuts.sampling import Control, Start, sample
from brim.infer.target import Target


def normal(q, data):
    return -0.5 * q @ (data @ q)


def strong(n, k, size, seed=0):
    """A covariance: a diagonal and ``k`` directions of variance ``size``."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n, k))
    directions /= np.linalg.norm(directions, axis=0)
    return np.diag(rng.uniform(0.5, 2.0, n)) + size * directions @ directions.T


def full(scale):
    """The matrix ``S`` of a low-rank metric."""
    return np.stack([LowRank().push(scale, e) for e in np.eye(scale.shape[1])], axis=1)


def seen(covariance, m, seed=1):
    """The metric's memory of ``m`` draws from a normal law."""
    n = len(covariance)
    q = np.random.default_rng(seed).normal(size=(m, n)) @ np.linalg.cholesky(covariance).T
    gradients = -np.linalg.solve(covariance, q.T).T
    moments, observe = LowRank().moments(n), jax.jit(LowRank().observe)
    for x, g in zip(q, gradients, strict=True):
        moments = observe(moments, x, g)
    return moments, q, gradients


def condition(scale, covariance):
    s = full(scale)
    values = np.linalg.eigvalsh(s.T @ np.linalg.solve(covariance, s))
    return values[-1] / values[0]


def test_push_pull_and_inverse_mass_are_of_one_matrix():
    metric, covariance = LowRank(), strong(30, 3, 50.0)
    scale = metric.start(covariance)
    s = full(scale)
    g = np.random.default_rng(3).normal(size=30)
    np.testing.assert_allclose(metric.pull(scale, g), s.T @ g, rtol=1e-12)
    np.testing.assert_allclose(metric.inv_mass(scale), np.diag(s @ s.T), rtol=1e-12)


def test_a_covariance_is_started_from():
    """Up to the directions whose variance is within a factor of two of 1, which are left alone."""
    vectors = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0]
    covariance = (vectors * [100.0, 30.0, 0.01, 1.0, 1.0, 1.0, 1.0, 1.0]) @ vectors.T
    s = full(LowRank().start(covariance))
    whitened = np.linalg.solve(s, np.linalg.solve(s, covariance).T)
    assert np.linalg.cond(covariance) > 9000
    assert np.linalg.cond(whitened) <= 4.0


def test_memory_is_the_last_draws():
    moments, q, gradients = seen(np.eye(3), KEPT + 50)
    assert int(moments.count) == KEPT + 50
    np.testing.assert_array_equal(np.roll(moments.draws, -50, 0), q[-KEPT:])
    np.testing.assert_array_equal(np.roll(moments.gradients, -50, 0), gradients[-KEPT:])


def test_nothing_is_remembered_unless_adapting():
    moments, _, _ = seen(np.eye(3), 7)
    after = LowRank().observe(moments, np.ones(3), np.ones(3), np.bool_(False))
    for before, now in zip(moments, after, strict=True):
        np.testing.assert_array_equal(before, now)


def test_memory_is_linear_in_the_dimension():
    for n in (100, 2000):
        state = (LowRank().start(np.ones(n)), *LowRank().moments(n))
        assert sum(np.size(a) for a in state) == (1 + 2 * RANK + 2 * KEPT) * n + 1


@pytest.mark.parametrize("size", [1000.0, 0.001])
def test_directions_are_found_from_few_draws(size):
    """150 draws of 100 dimensions: the condition number left is below 25, of about 2000 (diagonal) to begin with."""
    n = 100
    directions = np.linalg.qr(np.random.default_rng(1).normal(size=(n, 3)))[0]
    covariance = np.eye(n) + (size - 1.0) * directions @ directions.T
    moments, q, gradients = seen(covariance, 150)
    diagonal = (q.var(0) / gradients.var(0)) ** 0.25
    assert condition(LowRank().start(diagonal**2), covariance) > 800
    assert condition(LowRank().learn(moments, LowRank().start(np.ones(n))), covariance) < 25


def test_an_independent_posterior_needs_no_direction():
    sd = np.geomspace(1e-3, 50.0, 40)
    moments, _, _ = seen(np.diag(sd**2), 60)
    scale = LowRank().learn(moments, LowRank().start(np.ones(40)))
    np.testing.assert_allclose(scale[0], sd, rtol=1e-9)
    assert not scale[1:].any()


def test_what_did_not_move_keeps_its_scale():
    moments, _, _ = seen(np.eye(2), 10)
    moments = moments._replace(draws=moments.draws * np.array([0.0, 1.0]))
    scale = LowRank().learn(moments, LowRank().start(np.array([0.09, 0.09])))
    np.testing.assert_allclose(LowRank().inv_mass(scale)[0], 0.09)


def test_low_rank_beats_diagonal_in_a_hundred_dimensions():
    """Effective draws a gradient, warm-up not counted: at least twenty times those of the diagonal metric; the posterior is right."""
    covariance = strong(100, 3, 1000.0)
    goal = Target(100, normal, np.linalg.inv(covariance), lambda rng: rng.uniform(-2, 2, 100), lambda q, d: {})
    efficiency = {}
    for metric in ("diag", "low_rank"):
        draws = sample(goal, warmup=500, draws=500, seed=1, progress=False, control=Control(metric=metric))
        efficiency[metric] = ess_bulk(draws.q).min() / draws.stats["n_steps"].sum()
    assert efficiency["low_rank"] > 20 * efficiency["diag"]
    for values, expected in ((draws.q, 0.0), (draws.q**2, np.diag(covariance))):
        # four Monte Carlo errors each would be exceeded by one of 200 numbers now and then: five
        assert np.all(np.abs(values.mean((0, 1)) - expected) < 5 * mcse_mean(values))


@pytest.mark.parametrize("shape", ["diagonal", "full"])
def test_chains_start_with_a_given_metric(shape):
    covariance = strong(5, 1, 50.0)
    goal = Target(5, normal, np.linalg.inv(covariance), lambda rng: rng.uniform(-2, 2, 5), lambda q, d: {})
    given = np.diag(covariance) if shape == "diagonal" else covariance
    start = Start(np.zeros((2, 5)), given)
    draws = sample(goal, chains=2, warmup=20, draws=5, seed=1, start=start, progress=False, control=Control(metric="low_rank"))
    expected = LowRank().inv_mass(LowRank().start(given))
    np.testing.assert_allclose(draws.info["inv_mass"], np.tile(expected, (2, 1)), rtol=1e-12)
    np.testing.assert_allclose(expected, np.diag(covariance), rtol=1e-12 if shape == "diagonal" else 0.5)
