"""What warm-up learns, in closed form: metrics from the moments of draws, steps from acceptances."""

import numpy as np
import pytest

from brim.infer.nuts import stepsize
from brim.infer.nuts.metric import Dense, Diagonal
from brim.infer.nuts.split import Split

RNG = np.random.default_rng(3)
N, HEAD, DRAWS = 5, 2, 40
LOW = np.tril(RNG.normal(size=(N, N))) + 2 * np.eye(N)
Q = RNG.normal(size=(DRAWS, N)) @ LOW.T + 7.0
G = -np.linalg.solve(LOW @ LOW.T, (Q - 7.0).T).T
METRICS = {"diag": Diagonal(), "dense": Dense(), "split": Split(HEAD)}
SCALES = {"diag": np.diag(LOW), "dense": LOW, "split": (LOW[:HEAD, :HEAD], np.diag(LOW)[HEAD:])}


def seen(metric, rows=DRAWS):
    moments = metric.moments(N)
    for q, g in zip(Q[:rows], G[:rows], strict=True):
        moments = metric.observe(moments, q, g)
    return moments


def full(name):
    """``S`` as a matrix."""
    return np.stack([np.asarray(METRICS[name].push(SCALES[name], e)) for e in np.eye(N)], axis=1)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_one_linear_map(name):
    metric, scale, s = METRICS[name], SCALES[name], full(name)
    np.testing.assert_allclose(metric.pull(scale, G[0]), s.T @ G[0], rtol=1e-12)
    np.testing.assert_allclose(metric.inv_mass(scale), np.diag(s @ s.T), rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_starts_from_a_covariance(name):
    covariance, metric = LOW @ LOW.T, METRICS[name]
    variances = np.diag(covariance)
    for scale in (metric.start(covariance), metric.begin((covariance[:HEAD, :HEAD], variances[HEAD:])), metric.start(variances)):
        np.testing.assert_allclose(metric.inv_mass(scale), variances, rtol=1e-12)


def test_moments_are_those_of_the_draws():
    """Welford's sums lose no digits to the mean, 7 standard deviations away."""
    moments = seen(Dense())
    assert float(moments.count) == DRAWS
    np.testing.assert_allclose(moments.mean_q, Q.mean(0), rtol=1e-13)
    np.testing.assert_allclose(moments.square_q, (DRAWS - 1) * np.cov(Q.T), rtol=1e-11)
    np.testing.assert_allclose(moments.square_g, (DRAWS - 1) * G.var(0, ddof=1), rtol=1e-11)
    np.testing.assert_allclose(seen(Diagonal()).square_q, np.diag(moments.square_q), rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_only_adapting_draws_are_seen(name):
    metric = METRICS[name]
    moments = metric.observe(seen(metric, 3), Q[3], G[3], adapting=False)
    assert float(moments.count) == 3.0
    for one, other in zip(moments[1:], seen(metric, 3)[1:], strict=True):
        for x, y in zip(one if isinstance(one, tuple) else (one,), other if isinstance(other, tuple) else (other,), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_diagonal_metric_is_the_ratio_of_variances():
    """``S^2 = sd(draws) / sd(gradients)``: of a normal law with independent coordinates its variances, from any two draws."""
    learned = Diagonal().learn(seen(Diagonal()), np.ones(N))
    np.testing.assert_allclose(learned**2, Q.std(0) / G.std(0), rtol=1e-11)
    sd = np.array([0.1, 1.0, 30.0])
    metric, moments = Diagonal(), Diagonal().moments(3)
    for z in RNG.normal(size=(2, 3)):
        moments = metric.observe(moments, sd * z, -z / sd)
    np.testing.assert_allclose(metric.learn(moments, np.ones(3)), sd, rtol=1e-12)


def test_a_dense_metric_is_shrunk_towards_the_diagonal():
    learned = Dense().learn(seen(Dense()), np.eye(N))
    weight = DRAWS / (DRAWS + N + 5.0)
    wanted = weight * np.cov(Q.T) + (1 - weight) * np.diag(Q.std(0) / G.std(0))
    np.testing.assert_allclose(learned @ learned.T, wanted, rtol=1e-10)


def test_a_split_metric_is_shrunk_towards_the_one_before():
    head, tail = Split(HEAD).learn(seen(Split(HEAD)), SCALES["split"])
    weight = DRAWS / (DRAWS + 2.0 * HEAD + 10.0)
    before = SCALES["split"][0]
    np.testing.assert_allclose(head @ head.T, weight * np.cov(Q[:, :HEAD].T) + (1 - weight) * before @ before.T, rtol=1e-10)
    np.testing.assert_allclose(tail, Diagonal().learn(seen(Diagonal()), np.diag(LOW))[HEAD:], rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_one_draw_teaches_nothing(name):
    metric = METRICS[name]
    learned = metric.learn(seen(metric, 1), SCALES[name])
    np.testing.assert_allclose(metric.inv_mass(learned), metric.inv_mass(SCALES[name]))


def test_steps_follow_robbins_and_monro():
    """``log step_t = log step_0 + sum_s GAIN (s + OFFSET)^-DECAY (a_s - delta)``, averaged with weights ``t^-DECAY``."""
    accepted, delta = RNG.uniform(size=30), 0.8
    step = stepsize.restart(0.3)
    for a in accepted:
        step = stepsize.update(step, a, delta)
    t = np.arange(1, 31)
    path = np.log(0.3) + np.cumsum(stepsize.GAIN * (t + stepsize.OFFSET) ** -stepsize.DECAY * (accepted - delta))
    weight = t**-stepsize.DECAY  # of the first iteration 1: nothing of the start is left in the mean
    left = np.append(np.cumprod((1 - weight)[::-1])[::-1][1:], 1.0)
    np.testing.assert_allclose(step.log_step, path[-1], rtol=1e-12)
    np.testing.assert_allclose(step.log_mean, np.sum(weight * left * path), rtol=1e-12)
    assert stepsize.settle(step).log_step == step.log_mean
