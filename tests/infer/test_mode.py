"""``algorithm="map"``: the maximum from any seed, singular fits by the derivative in the variance, and no word of convergence elsewhere."""

import warnings

import numpy as np
import pytest
from scipy import optimize

import brim
from brim import BrimWarning, prior
from brim.infer.approximate.mode import highest, maximise

FLAT = prior("", class_="sd") + prior("", class_="sigma") + prior("", class_="Intercept")
# Yates (1935): yield of oats, by block, variety and nitrogen (0, 0.2, 0.4, 0.6 cwt an acre)
OATS = """
111 130 157 174 117 114 161 141 105 140 118 156  61  91  97 100  70 108 126 149  96 124 121 144
 68  64 112  86  60 102  89  96  89 129 132 124  74  89  81 122  64 103 132 133  70  89 104 117
 62  90 100 116  80  82  94 126  63  70 109  99  53  74 118 113  89  82  86 104  97  99 119 121"""


def oats():
    block = np.repeat(np.arange(6), 12)
    plot = np.repeat(np.arange(18), 4)
    return {
        "yield": np.array(OATS.split(), float),
        "nitro": np.tile([0.0, 0.2, 0.4, 0.6], 18),
        "Block": np.array([f"b{i}" for i in block]),
        "Variety": np.array([f"v{i % 3}" for i in plot]),
    }


def nested():
    """Balanced, with a small plot effect: the logarithm of its standard deviation has a false zero of its slope at -inf."""
    rng = np.random.default_rng(3)
    block, plot = np.repeat(np.arange(6), 12), np.repeat(np.arange(18), 4)
    x = np.tile(np.linspace(0, 0.6, 4), 18)
    y = 82 + 70 * x + (14 * rng.normal(size=6))[block] + (11 * rng.normal(size=18))[plot] + 13 * rng.normal(size=72)
    return {"yield": y, "nitro": x, "Block": np.array([f"b{i}" for i in block]), "Variety": np.array([f"v{i % 3}" for i in plot])}


def likely(rows):
    """Standard deviations of blocks, plots and residuals at the maximum of the likelihood, by dense matrices."""
    block, plot = np.repeat(np.eye(6), 12, axis=0), np.repeat(np.eye(18), 4, axis=0)
    x, y = np.column_stack([np.ones(72), rows["nitro"]]), rows["yield"]

    def loss(s):
        law = np.exp(2 * s[0]) * block @ block.T + np.exp(2 * s[1]) * plot @ plot.T + np.exp(2 * s[2]) * np.eye(72)
        inverse = np.linalg.inv(law)
        e = y - x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
        return 0.5 * (e @ inverse @ e + np.linalg.slogdet(law)[1])

    found = [optimize.minimize(loss, s, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}) for s in ([2, 2, 2.0], [3, 1, 2.0])]
    return np.exp(min(found, key=lambda r: r.fun).x)


def mode(formula, rows, priors=None, seed=1, **more):
    return brim.brm(formula, rows, prior=priors, algorithm="map", seed=seed, progress=False, **more)


def deviations(fit):
    return np.array([table["sd"].iloc[0, 0] for table in fit.VarCorr().values()])


def check(seeds):
    split = "yield ~ nitro + (1 | Block/Variety)"
    published = "Reaction ~ Days + (Days | Subject)"
    ways = {name: (rows, likely(rows)) for name, rows in (("oats", oats()), ("nested", nested()))}
    sleep = brim.load_data("sleepstudy")
    for seed in seeds:
        for name, (rows, right) in ways.items():
            fit = mode(split, rows, FLAT, seed)
            assert sorted(deviations(fit)) == pytest.approx(sorted(right), rel=1e-4), (name, seed)
            assert fit.info["converged"]
        # with brms' priors: no reference but the density, which is the highest of all seeds
        assert sorted(deviations(mode(split, oats(), seed=seed))) == pytest.approx([10.936, 12.454, 12.724], rel=1e-4), seed
        assert sorted(deviations(mode(split, nested(), seed=seed))) == pytest.approx([6.4294, 13.191, 13.483], rel=1e-4), seed
        fit = mode(published, sleep, FLAT, seed)
        assert fit.fixef()["Estimate"].to_numpy() == pytest.approx([251.405, 10.467], rel=1e-4), seed
        assert mode(published, sleep, None, seed).fixef()["Estimate"].to_numpy() == pytest.approx([251.27, 10.436], rel=1e-4), seed


@pytest.mark.default_precision
def test_the_maximum_does_not_depend_on_the_seed():
    """lme4 (ML): sleepstudy 251.405, 10.467; Oats by dense matrices."""
    check((4, 7, 11))


@pytest.mark.slow
@pytest.mark.default_precision
def test_the_maximum_is_found_from_every_seed():
    check(range(1, 25))


@pytest.mark.default_precision
def test_the_maximum_of_a_nested_approximation_does_not_depend_on_the_seed():
    rng = np.random.default_rng(8)
    g, h = np.repeat(np.arange(12), 12), np.repeat(np.arange(36), 4)
    rows = {"y": rng.poisson(np.exp(1 + 0.6 * rng.normal(size=12)[g] + 0.35 * rng.normal(size=36)[h])), "g": g, "h": h}
    flat = prior("", class_="sd") + prior("", class_="Intercept")
    with warnings.catch_warnings():
        warnings.simplefilter("error", BrimWarning)
        found = [deviations(mode("y ~ 1 + (1 | g) + (1 | h)", rows, flat, seed, family="poisson")) for seed in (1, 2)]
    for one in found[1:]:
        assert one == pytest.approx(found[0], rel=1e-3)
    assert found[0].min() > 0.2


@pytest.mark.default_precision
def test_a_variance_is_zero_where_the_likelihood_falls_with_it():
    """Balanced one-way layout: n var = max(0, n times the variance of means - mean square within), n rows a group."""
    rng = np.random.default_rng(5)
    for inside in (True, False):
        y = rng.normal(size=(8, 6))
        y = (y - y.mean(1, keepdims=True)) + (0.9 if inside else 0.2) * np.linspace(-1, 1, 8)[:, None]
        between = 6 * np.var(y.mean(1))  # n times the variance of the means, by maximum likelihood
        within = np.square(y - y.mean(1, keepdims=True)).sum() / (8 * 5)
        rows = {"y": y.ravel(), "g": np.repeat(np.arange(8), 6)}
        for seed in range(4):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                fit = mode("y ~ 1 + (1 | g)", rows, FLAT, seed)
            right = np.sqrt(max(between - within, 0.0) / 6)
            assert deviations(fit)[0] == pytest.approx(right, rel=1e-4, abs=1e-3)
            assert any("singular" in str(w.message) for w in caught) == (not inside)
            assert np.isfinite(fit.as_draws_df().to_numpy(float)).all()  # effects of a zero variance too


def plateau(q):
    """Rises towards q = 3, where it is normal, and falls to a plateau far below."""
    w = np.exp(-0.5 * (q[0] - 3.0) ** 2)
    return float(w), -(q - 3.0) * w


def test_a_climb_leaves_a_plateau():
    found = maximise(plateau, np.array([-9.0]), (0,))
    assert found.q == pytest.approx([3.0], abs=1e-6)
    assert found.converged


def test_points_without_a_density_shorten_steps():
    """-x + log x, whose logarithm is not a number left of 0; the maximum is at 1."""

    def density(q):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(1e3 * (np.log(q[0]) - q[0])), 1e3 * (1.0 / q - 1.0)

    for start in (1e-3, 40.0):
        found = maximise(density, np.array([start]))
        assert found.q == pytest.approx([1.0], abs=1e-8)
        assert found.converged


def test_a_saddle_is_no_maximum():
    """x^2 - x^4 - y^2 from x = 0: maxima at x^2 = 1/2."""
    found = maximise(lambda q: (q[0] ** 2 - q[0] ** 4 - q[1] ** 2, np.array([2 * q[0] - 4 * q[0] ** 3, -2 * q[1]])), np.array([0.0, 0.5]))
    assert np.abs(found.q) == pytest.approx([np.sqrt(0.5), 0.0], abs=1e-7)
    assert found.converged
    assert found.definite


def test_a_density_without_a_maximum_has_not_converged():
    found = maximise(lambda q: (float(q.sum()), np.ones(2)), np.zeros(2), (0, 1))
    assert not found.converged


def test_the_higher_of_two_maxima():
    def two(q):
        a, b = np.exp(-0.5 * (q[0] + 4) ** 2), 2.0 * np.exp(-0.5 * (q[0] - 4) ** 2)
        return float(np.log(a + b)), np.array([(-(q[0] + 4) * a - (q[0] - 4) * b) / (a + b)])

    starts = iter([-5.0, 3.0, -6.0, 5.0, -3.0, 4.0])
    assert highest(two, lambda: np.array([next(starts)])).q == pytest.approx([4.0], abs=1e-3)


@pytest.mark.default_precision
def test_a_joint_density_that_rises_for_ever_has_not_converged():
    """Of effects that are not integrated out: the density of standardised ones is bounded, that of the model without noise is not."""
    rows = {"y": np.arange(6.0), "x": np.arange(6.0)}
    with pytest.warns(BrimWarning, match="did not converge"):
        fit = mode("y ~ x", rows, prior("", class_="sigma") + prior("", class_="Intercept"))
    assert not fit.info["converged"]
