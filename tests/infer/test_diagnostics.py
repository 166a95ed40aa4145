"""R-hat, effective sample sizes and Monte Carlo errors against arviz-stats; the warnings."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from brim.errors import BrimWarning
from brim.infer import diagnostics
from brim.infer.diagnostics import check, ebfmi, ess_bulk, ess_mean, ess_tail, mcse_mean, rhat


def series(chains, n, seed=0):
    """Autoregressive, antithetic, heavy-tailed, tied and unmixed chains, ``(chains, n, parameters)``."""
    rng = np.random.default_rng(seed)
    columns = []
    for phi in (0.0, 0.5, 0.95, 0.999, -0.6, -0.95):
        x = rng.normal(size=(chains, n))
        for t in range(1, n):
            x[:, t] += phi * x[:, t - 1]
        columns.append(x)
    columns.append(rng.standard_cauchy(size=(chains, n)))
    columns.append(rng.integers(0, 3, size=(chains, n)).astype(float))
    columns.append(rng.normal(size=(chains, n)) + np.arange(chains)[:, None])
    return np.stack(columns, -1)


CASES = [
    (rhat, lambda x: array_stats.rhat(x, method="rank")),
    (ess_bulk, lambda x: array_stats.ess(x, method="bulk")),
    (ess_tail, lambda x: array_stats.ess(x, method="tail", prob=(0.05, 0.95))),
    (ess_mean, lambda x: array_stats.ess(x, method="mean")),
    (mcse_mean, lambda x: array_stats.mcse(x, method="mean")),
]


@pytest.mark.parametrize(("chains", "n"), [(4, 1000), (4, 999), (2, 4), (2, 5), (2, 7), (3, 50)])
@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=lambda f: getattr(f, "__name__", ""))
def test_equal_to_arviz(ours, theirs, chains, n):
    x = series(chains, n)
    expected = np.array([float(theirs(x[:, :, i])) for i in range(x.shape[2])])
    np.testing.assert_allclose(ours(x), expected, rtol=1e-10)


def test_shape_follows_the_parameters_and_blocks_do_not_matter(monkeypatch):
    x = np.random.default_rng(1).normal(size=(4, 100, 3, 2))
    whole = ess_bulk(x)
    assert whole.shape == (3, 2)
    monkeypatch.setattr(diagnostics, "_BLOCK", 500)
    np.testing.assert_array_equal(ess_bulk(x), whole)


def test_one_chain_is_split_in_two():
    x = np.random.default_rng(2).normal(size=(1, 400))
    drifting = x + np.linspace(0.0, 5.0, 400)
    assert rhat(x) < 1.02
    assert rhat(drifting) > 1.5


@pytest.mark.parametrize("statistic", [rhat, ess_bulk, ess_tail, mcse_mean])
def test_undefined_for_constant_or_infinite_draws_or_too_few(statistic):
    x = np.random.default_rng(3).normal(size=(2, 50, 3))
    x[:, :, 1] = 1.0
    x[0, 3, 2] = np.inf
    np.testing.assert_array_equal(np.isnan(statistic(x)), [False, True, True])
    assert np.isnan(statistic(x[:, :3, 0]))


def test_ebfmi_of_a_hand_computed_series():
    # differences 1, -2, 3; variance of 0, 1, -1, 2 is 5/3
    np.testing.assert_allclose(ebfmi(np.array([[0.0, 1.0, -1.0, 2.0]])), [(1 + 4 + 9) / 3 / (5 / 3)])


def stats(diverging=0, deep=0, slow_energy=False, chains=4, n=500):
    rng = np.random.default_rng(4)
    energy = rng.normal(size=(chains, n))
    flags = np.zeros((chains, n), bool)
    flags.flat[:diverging] = True
    depth = np.full((chains, n), 4)
    depth.flat[:deep] = 10
    return {"diverging": flags, "tree_depth": depth, "energy": np.cumsum(energy, 1) if slow_energy else energy}


def test_nothing_to_say_about_a_good_sample():
    x = np.random.default_rng(5).normal(size=(4, 500))
    assert check(stats(), {"b_x": x}) == []


@pytest.mark.parametrize(
    ("trouble", "settings", "words"),
    [
        ({"diverging": 1}, {"adapt_delta": 0.85}, "1 transition was divergent after warm-up|adapt_delta above 0.85|{'adapt_delta': 0.9}"),
        ({"diverging": 7}, {"adapt_delta": 0.99}, "7 transitions were divergent|{'adapt_delta': 0.999}"),
        ({"deep": 3}, {"max_treedepth": 10}, "3 transitions were cut at the largest tree depth of 10|{'max_treedepth': 12}"),
        ({"slow_energy": True}, {}, "4 of 4 chains had an E-BFMI below 0.2|tighter priors"),
    ],
)
def test_trajectory_warnings_say_what_to_do(trouble, settings, words):
    (warning,) = check(stats(**trouble), **settings)
    assert isinstance(warning, BrimWarning)
    for part in words.split("|"):
        assert part in str(warning)


def test_parameter_warnings_name_the_worst():
    rng = np.random.default_rng(6)
    good = rng.normal(size=(4, 1000))
    apart = good + 3.0 * np.arange(4)[:, None]
    slow = np.cumsum(rng.normal(size=(4, 1000)), 1)
    messages = [str(w) for w in check({}, {"good": good, "apart": apart, "r": np.stack([good, slow], -1)})]
    assert len(messages) == 3
    assert "R-hat is up to" in messages[0]
    assert "(apart, r)" in messages[0]
    assert "have not converged" in messages[0]
    assert messages[1].startswith("bulk effective sample size is below 100 a chain for apart, r")
    assert messages[2].startswith("tail effective sample size is below 100 a chain for")
    assert not any("good" in m for m in messages)


def test_mildly_high_rhat_is_not_called_failure():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(4, 1000)) + 0.2 * np.arange(4)[:, None]
    assert 1.01 < rhat(x) < 1.05
    (message,) = [str(w) for w in check({}, {"b": x}) if "R-hat" in str(w)]
    assert "have not mixed fully" in message
