"""One iteration of the sampler against a recursive reference, and the parts it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brim.infer.approximate.ascent import Path, ascend, scales
from brim.infer.nuts.metric import METRICS, Dense, Diagonal
from brim.infer.nuts.random import chain_stream, normals, substream, uniform
from brim.infer.nuts.stepsize import restart, settle, update
from brim.infer.nuts.tree import _LEAF, _TREE, STATS, Checkpoints, Phase, Point, State, TreeSettings, check_turns, make_chunk


def funnel(q, data):
    return -0.5 * (q[0] / 3.0) ** 2 - 0.5 * jnp.sum(q[1:] ** 2) * jnp.exp(-q[0]) - 0.5 * (q.shape[0] - 1) * q[0]


def gaussian(q, data):
    return -0.5 * q @ (data @ q)


def precision(n, rho=0.7):
    return np.linalg.inv(rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))))


# --------------------------------------------------------------------------- random numbers


def test_splitmix64_known_answers():
    # the published test vector of the generator, seed 1234567
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    from brim.infer.nuts.random import _bits

    np.testing.assert_array_equal(_bits(np.uint64(1234567), np.arange(5)), np.array(known, np.uint64))


def test_uniform_and_normal_numbers_follow_their_laws():
    stream = substream(chain_stream(3, 1), 17)
    u, z = np.asarray(uniform(stream, np.arange(20000))), np.asarray(normals(stream, 20000))
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.kstest(z, "norm").pvalue > 1e-3
    np.testing.assert_allclose(z, stats.norm.ppf(u), rtol=1e-12)


def test_streams_of_iterations_and_chains_are_unrelated():
    first = np.asarray(normals(substream(chain_stream(1, 0), 0), 5000))
    for other in (substream(chain_stream(1, 0), 1), substream(chain_stream(1, 1), 0), substream(chain_stream(2, 0), 0)):
        assert abs(np.corrcoef(first, np.asarray(normals(other, 5000)))[0, 1]) < 4 / np.sqrt(5000)


# --------------------------------------------------------------------------- the tree, by recursion


def splitmix(seed, counter):
    """The generator in Python's integers."""
    mask = 2**64 - 1
    z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53 + 2.0**-54


class Reference:
    """NUTS as the papers state it: leaves in a list, every balanced subtree tested by recursion, whatever it costs."""

    def __init__(self, log_prob, data, step, max_depth):
        self.gradient = jax.jit(lambda q: jax.value_and_grad(log_prob)(q, data))
        self.step, self.max_depth = step, max_depth

    def leaf(self, q, p, path):
        lp, grad = self.gradient(q)
        return {"q": q, "p": p, "path": path, "lp": float(lp), "grad": np.asarray(grad)}

    def leapfrog(self, z, sign):
        h = sign * self.step
        half = z["p"] + 0.5 * h * z["grad"]
        new = self.leaf(z["q"] + h * half, None, z["path"] + sign * half)
        new["p"] = half + 0.5 * h * new["grad"]
        return new

    def turns(self, a, b):
        way = b["path"] - a["path"]
        return way @ a["p"] <= 0 or way @ b["p"] <= 0

    def merged_turns(self, left, right):
        return self.turns(left[0], right[-1]) or self.turns(left[0], right[0]) or self.turns(left[-1], right[-1])

    def any_turn(self, leaves):
        """Whether a balanced subtree, itself included, has turned (leaves from left to right)."""
        if len(leaves) == 1:
            return False
        half = len(leaves) // 2
        left, right = leaves[:half], leaves[half:]
        return self.any_turn(left) or self.any_turn(right) or self.merged_turns(left, right)

    def turned_by(self, grown):
        """Whether a balanced subtree that ends at the last of the leaves in order of growth has turned."""
        n = len(grown)
        sizes = [2**k for k in range(1, 12) if n % 2**k == 0]
        return any(self.any_turn(grown[-size:]) for size in sizes)

    def transition(self, q, stream):
        u = lambda counter: splitmix(int(stream), counter)  # noqa: E731
        start = self.leaf(q, np.asarray(normals(stream, len(q))), np.zeros(len(q)))
        weight = lambda z: -(0.5 * z["p"] @ z["p"] - z["lp"]) + (0.5 * start["p"] @ start["p"] - start["lp"])  # noqa: E731
        tree, draw, total, count, accept, depth, turning, diverging = [start], start, 0.0, 0, 0.0, 0, False, False
        while depth < self.max_depth and not turning and not diverging:
            sign = 1.0 if u(int(_TREE) + 2 * depth) < 0.5 else -1.0
            edge = tree[-1] if sign > 0 else tree[0]
            grown, candidate, mass = [], None, -np.inf
            for i in range(2**depth):
                edge = self.leapfrog(edge, sign)
                w = weight(edge)
                mass = np.logaddexp(mass, w)
                if i == 0 or np.log(u(int(_LEAF) + count)) < w - mass:
                    candidate = edge
                count, accept = count + 1, accept + min(1.0, np.exp(w))
                # going left, the leaves in order of growth with momenta turned round are a trajectory to the right
                grown.append(edge if sign > 0 else {**edge, "p": -edge["p"]})
                turning, diverging = self.turned_by(grown), -w > 1000
                if turning or diverging:
                    break
            else:
                if np.log(u(int(_TREE) + 2 * depth + 1)) < mass - total:
                    draw = candidate
                new = grown if sign > 0 else [{**z, "p": -z["p"]} for z in reversed(grown)]
                left, right = (tree, new) if sign > 0 else (new, tree)
                turning, tree = self.merged_turns(left, right), left + right
                total = np.logaddexp(total, mass)
            depth += 1
        return draw["q"], [draw["lp"], accept / count, count, diverging, depth, self.step]


def test_balanced_subtrees_of_random_leaves():
    """Leaves that obey no dynamics, so that each of the tests is the one that decides for some of them."""
    reference, rng = Reference(gaussian, np.eye(2), 1.0, 5), np.random.default_rng(1)
    one = jax.jit(check_turns)
    verdicts = []
    for _ in range(60):
        p = rng.normal(size=(16, 3)) + 1.2
        path = np.cumsum(p + 0.5 * rng.normal(size=p.shape), 0)
        leaves = [{"p": a, "path": b} for a, b in zip(p, path, strict=True)]
        before, rows = Phase(p[0], p[0], p[0], path[0]), jnp.zeros((5, 3))
        checkpoints = Checkpoints(rows, rows, rows, rows)
        for i in range(16):
            leaf = Phase(p[i], p[i], p[i], path[i])
            checkpoints, turning = one(checkpoints, np.int32(i), before, leaf)
            assert bool(turning) == reference.turned_by(leaves[: i + 1])
            before = leaf
            if turning:
                break
        verdicts.append(i)
    assert set(verdicts) >= {1, 3, 5, 7, 15}


def state(q, log_prob, data, step, metric=None, scale=None):
    metric = metric or Diagonal()
    lp, grad = jax.value_and_grad(log_prob)(q, data)
    scale = np.ones(len(q)) if scale is None else scale
    return State(Point(q, lp, grad, np.float64(0.0)), np.int64(0), restart(step), scale, metric.moments(len(q)))


def settings(adapting=False, max_treedepth=10, adapt_delta=0.8):
    return TreeSettings(np.bool_(adapting), np.int32(max_treedepth), np.float64(adapt_delta))


@pytest.fixture(scope="module")
def chunk():
    with jax.enable_x64(True):
        compiled = {}

        def run(log_prob, metric, *args):
            if (log_prob, metric) not in compiled:
                compiled[log_prob, metric] = jax.jit(make_chunk(log_prob, metric, 200, 10))
            return compiled[log_prob, metric](*args)

        yield run


@pytest.mark.parametrize(
    ("log_prob", "data", "steps"),
    [(gaussian, precision(4), (0.2, 0.7, 1.5)), (gaussian, np.eye(40), (0.3, 0.43)), (funnel, np.eye(3), (0.2, 0.5, 1.5))],
    ids=["correlated", "isotropic", "funnel"],
)
def test_transitions_equal_the_recursive_reference(chunk, log_prob, data, steps):
    """The isotropic law is where trajectories come round, and the tests across subtrees decide."""
    dim, seen = len(data), set()
    for step in steps:
        reference = Reference(log_prob, data, step, max_depth=6)
        q = np.linspace(-1.0, 1.0, dim)
        current = state(q, log_prob, data, step)
        stream = chain_stream(2, dim)
        for i in range(12):
            expected_q, expected = reference.transition(q, substream(stream, i))
            current, draws, rows = chunk(log_prob, Diagonal(), current, data, stream, np.int32(1), settings(max_treedepth=6))
            np.testing.assert_allclose(draws[0], expected_q, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(rows[0, :6], np.array(expected, float), rtol=1e-6)
            q = np.asarray(draws[0])
            seen.add((int(rows[0, 4]), bool(rows[0, 3])))
    # shallow and deep trees were met, and for the funnel divergent ones
    assert len({depth for depth, _ in seen}) >= (2 if dim == 40 else 4)
    if log_prob is funnel:
        assert any(diverging for _, diverging in seen)


def test_a_chunk_cut_in_two_is_the_same_chain(chunk):
    data = precision(4)
    begin, stream = state(np.ones(4), gaussian, data, 0.5), chain_stream(1, 0)
    end, draws, _ = chunk(gaussian, Diagonal(), begin, data, stream, np.int32(20), settings(adapting=True))
    middle, first, _ = chunk(gaussian, Diagonal(), begin, data, stream, np.int32(7), settings(adapting=True))
    again, second, _ = chunk(gaussian, Diagonal(), middle, data, stream, np.int32(13), settings(adapting=True))
    np.testing.assert_array_equal(np.concatenate([first[:7], second[:13]]), draws[:20])
    jax.tree.map(np.testing.assert_array_equal, again, end)
    assert not np.any(draws[20:])
    assert int(end.moments.count) == 20


def test_adaptation_off_leaves_step_size_and_moments_alone(chunk):
    data = precision(4)
    begin = state(np.ones(4), gaussian, data, 0.5)
    end, _, rows = chunk(gaussian, Diagonal(), begin, data, chain_stream(1, 0), np.int32(5), settings())
    jax.tree.map(np.testing.assert_array_equal, (end.step, end.moments), (begin.step, begin.moments))
    np.testing.assert_allclose(rows[:5, STATS.index("step_size")], 0.5)
    assert int(end.iteration) == 5


def test_a_point_of_density_zero_is_left_at_once(chunk):
    data = precision(4)
    begin = state(np.ones(4), gaussian, data, 0.5)
    lost = begin._replace(point=begin.point._replace(lp=np.float64(-np.inf), grad=np.zeros(4)), step=restart(1e-300))
    end, _, rows = chunk(gaussian, Diagonal(), lost, data, chain_stream(1, 0), np.int32(1), settings(max_treedepth=1))
    np.testing.assert_array_equal(end.point.q, np.ones(4))
    np.testing.assert_allclose(end.point.lp, gaussian(np.ones(4), data))
    np.testing.assert_allclose(end.point.grad, -data @ np.ones(4))
    assert rows[0, STATS.index("n_steps")] == 1


def half_line(q, data):
    return jnp.where(q[0] > 0, -0.5 * jnp.sum(q * q), -jnp.inf)


def test_outside_the_support_is_a_divergence_and_never_a_draw(chunk):
    begin = state(np.full(2, 0.05), half_line, 0.0, 0.5)
    _, draws, rows = chunk(half_line, Diagonal(), begin, 0.0, chain_stream(1, 0), np.int32(200), settings())
    assert np.asarray(draws)[:, 0].min() > 0
    assert 0 < rows[:, STATS.index("diverging")].sum() < 200


# --------------------------------------------------------------------------- metrics and step size


def test_a_metric_is_a_change_of_coordinates(chunk):
    """Sampling N(0, C) with scale chol(C) is sampling N(0, I) with no scale, moved by chol(C)."""
    data, root = precision(4), np.linalg.cholesky(np.linalg.inv(precision(4)))
    white = state(np.ones(4), gaussian, np.eye(4), 0.6)
    dense = state(root @ np.ones(4), gaussian, data, 0.6, Dense(), root)
    stream = chain_stream(2, 0)
    _, expected, expected_rows = chunk(gaussian, Diagonal(), white, np.eye(4), stream, np.int32(30), settings())
    _, draws, rows = chunk(gaussian, Dense(), dense, data, stream, np.int32(30), settings())
    np.testing.assert_allclose(draws[:30], np.asarray(expected[:30]) @ root.T, atol=1e-9)
    np.testing.assert_allclose(rows[:30], expected_rows[:30], atol=1e-8)


def test_diagonal_metric_from_moments():
    metric, moments = Diagonal(), Diagonal().moments(3)
    rng = np.random.default_rng(1)
    sd = np.array([1e-3, 1.0, 50.0])
    q = rng.normal(size=(6, 3)) * sd
    for x in q:
        moments = metric.observe(moments, x, -x / sd**2)
    # draws and gradients of a normal law are proportional, so a handful gives the variances exactly
    scale = metric.learn(moments, np.ones(3))
    np.testing.assert_allclose(metric.inv_mass(scale), sd**2, rtol=1e-12)
    np.testing.assert_allclose(moments.square_q, q.var(0) * 6, rtol=1e-10)
    np.testing.assert_allclose(moments.mean_g, (-q / sd**2).mean(0), rtol=1e-10)


def test_diagonal_metric_keeps_what_did_not_move():
    moments = Diagonal().moments(2)._replace(count=np.float64(5), square_q=np.array([0.0, 4.0]), square_g=np.array([0.0, 1.0]))
    np.testing.assert_allclose(Diagonal().learn(moments, np.array([0.3, 0.3])), [0.3, np.sqrt(2.0)])


def test_dense_metric_from_moments():
    metric, moments = Dense(), Dense().moments(3)
    cov = np.array([[4.0, 1.0, 0.0], [1.0, 1.0, 0.3], [0.0, 0.3, 0.25]])
    q = np.random.default_rng(1).multivariate_normal(np.zeros(3), cov, size=4000)
    for x in q:
        moments = metric.observe(moments, x, -np.linalg.solve(cov, x))
    scale = np.asarray(metric.learn(moments, np.eye(3)))
    weight = 4000 / 4008
    target = np.sqrt(q.var(0) / (np.linalg.solve(cov, q.T).T).var(0))
    np.testing.assert_allclose(scale @ scale.T, weight * np.cov(q.T) + (1 - weight) * np.diag(target), rtol=1e-9)
    np.testing.assert_allclose(metric.inv_mass(scale), np.diag(scale @ scale.T))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_agree_on_start(name):
    metric = METRICS[name]
    scale = metric.start(np.array([4.0, 9.0]))
    np.testing.assert_allclose(metric.push(scale, np.ones(2)), [2.0, 3.0])
    np.testing.assert_allclose(metric.pull(scale, np.ones(2)), [2.0, 3.0])
    np.testing.assert_allclose(metric.inv_mass(scale), [4.0, 9.0])


def test_step_size_finds_the_root():
    # acceptance falls with the step: 1 - Phi(log step), target 0.8 at log step = Phi^-1(0.2)
    rng = np.random.default_rng(1)
    step = restart(30.0)
    for _ in range(2000):
        acceptance = np.clip(stats.norm.sf(float(step.log_step)) + 0.1 * rng.normal(), 0, 1)
        step = update(step, acceptance, 0.8)
    assert abs(float(settle(step).log_step) - stats.norm.ppf(0.2)) < 0.03


# --------------------------------------------------------------------------- ascent


def poisson(q):
    """Log density and gradient of y ~ Poisson(exp(x q)), q ~ N(0, 1)."""
    x = np.array([[1.0, -2.0], [1.0, 3.0], [1.0, 10.0]])
    y = np.array([0.0, 1.0, 3.0])
    with np.errstate(over="ignore"):
        mu = np.exp(x @ q)
        return float(y @ (x @ q) - mu.sum() - 0.5 * q @ q), x.T @ (y - mu) - q


def test_ascent_comes_back_from_far_away():
    far = np.array([1.0, 4.0])
    assert poisson(far)[0] < -1e17
    path = ascend(poisson, far)
    # the mode has log density -2.72 (scipy.optimize.minimize)
    assert poisson(path.q[-1])[0] > -6.0
    assert all(poisson(a)[0] < poisson(b)[0] for a, b in zip(path.q, path.q[1:], strict=False))


def test_scales_of_a_normal_law_are_its_variances():
    variances = np.array([1e-4, 1.0, 1e4])
    q = [np.array([3.0, 2.0, 1.0]) * k for k in (5.0, 2.0, 1.0, 0.5)]
    np.testing.assert_allclose(scales(Path(q, [-x / variances for x in q])), variances)


def test_scales_without_movement_use_the_gradient():
    np.testing.assert_allclose(scales(Path([np.zeros(2)], [np.array([4.0, 0.5])])), [0.25, 2.0])
