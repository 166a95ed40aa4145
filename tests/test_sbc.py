"""Simulation-based calibration through ``brm`` itself (Talts et al. 2018, arXiv:1804.06788; Modrák et al. 2023): slow.

Parameters are drawn from proper priors, a response is simulated given them, the model is fitted, and the rank of each true value among
thinned draws is uniform if the sampler is right. Quantities that depend on the data too (the log likelihood, an effect) see errors that
the ranks of parameters alone cannot. All data sets have one shape, so that one compiled program serves all fits.
"""

import time

import numpy as np
import pytest
from scipy import special, stats

import brim
from brim import prior

pytestmark = [pytest.mark.slow, pytest.mark.default_precision]

REPLICATIONS = 120
DRAWS, THIN = 99, 8  # ranks 0, ..., 99
BINS = 10  # of ten ranks each: 12 expected in a bin
ERROR = 1e-3  # probability that a right sampler fails a model: shared out among its quantities
GROUPS, EACH = 8, 10
G = np.repeat(np.arange(GROUPS), EACH)
X = np.random.default_rng(0).normal(size=GROUPS * EACH)
X -= X.mean()  # then brms' Intercept, at the mean of the predictors, is b_Intercept


def gaussian(rng):
    """y ~ x + (1 + x | g), half-normal standard deviations, lkj(2): (cor + 1) / 2 ~ Beta(2, 2)."""
    true = {
        "b_Intercept": rng.normal(),
        "b_x": rng.normal(),
        "sd_g__Intercept": abs(rng.normal()),
        "sd_g__x": abs(rng.normal()),
        "cor_g__Intercept__x": 2.0 * rng.beta(2, 2) - 1.0,
        "sigma": rng.gamma(4.0, 0.25),
    }
    rho = true["cor_g__Intercept__x"]
    z = rng.normal(size=(GROUPS, 2))
    effects = np.column_stack([z[:, 0] * true["sd_g__Intercept"], (rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]) * true["sd_g__x"]])
    true.update({f"r_g[{g + 1},{c}]": effects[g, k] for g in range(GROUPS) for k, c in enumerate(("Intercept", "x"))})
    return true, mean(true) + true["sigma"] * rng.normal(size=len(X))


def mean(p):
    """The linear predictor, from parameters or from draws ``(n,)`` of them: (..., rows)."""
    effects = np.stack([p[f"r_g[{g + 1},Intercept]"] for g in range(GROUPS)], axis=-1)
    out = np.asarray(p["b_Intercept"])[..., None] + effects[..., G] + np.asarray(p["b_x"])[..., None] * X
    if "r_g[1,x]" in p:
        out = out + np.stack([p[f"r_g[{g + 1},x]"] for g in range(GROUPS)], axis=-1)[..., G] * X
    return out


def intercepts(rng, scale):
    true = {"b_Intercept": scale * rng.normal(), "b_x": scale * rng.normal(), "sd_g__Intercept": scale * abs(rng.normal())}
    true.update({f"r_g[{g + 1},Intercept]": true["sd_g__Intercept"] * rng.normal() for g in range(GROUPS)})
    return true


def poisson(rng):
    true = intercepts(rng, 0.7)
    return true, rng.poisson(np.exp(mean(true)))


def bernoulli(rng):
    true = intercepts(rng, 1.0)
    return true, (rng.random(len(X)) < special.expit(mean(true))).astype(int)


LOG_LIKELIHOOD = {
    "gaussian": lambda y, p: stats.norm.logpdf(y, mean(p), np.asarray(p["sigma"])[..., None]).sum(-1),
    "poisson": lambda y, p: stats.poisson.logpmf(y, np.exp(mean(p))).sum(-1),
    "bernoulli": lambda y, p: -np.logaddexp(0.0, np.where(y == 1, -1.0, 1.0) * mean(p)).sum(-1),
}


def normal_priors(scale):
    return sum((prior(f"normal(0, {scale})", class_=c) for c in ("b", "sd")), prior(f"normal(0, {scale})", class_="Intercept"))


MODELS = {
    "gaussian": ("y ~ x + (1 + x | g)", gaussian, normal_priors(1) + prior("lkj(2)", class_="cor") + prior("gamma(4, 4)", class_="sigma")),
    "poisson": ("y ~ x + (1 | g)", poisson, normal_priors(0.7)),
    "bernoulli": ("y ~ x + (1 | g)", bernoulli, normal_priors(1)),
}

#: model, arguments of brm: every way to sample it
WAYS = {
    "gaussian, effects integrated out": ("gaussian", {"marginalize": True}),
    "gaussian, effects sampled": ("gaussian", {"marginalize": False}),
    "gaussian, effects sampled, not adapted": (
        "gaussian",
        {"marginalize": False, "control": {"adapted_effects": False, "adapt_delta": 0.95}},
    ),
    "poisson": ("poisson", {}),
    "bernoulli": ("bernoulli", {}),
    "bernoulli, not adapted": ("bernoulli", {"control": {"adapted_effects": False, "adapt_delta": 0.95}}),
}


def ranks(family, seed, change=lambda draws: draws, **more):
    """Rank of each true value, and of the log likelihood at it, among the draws of one replication."""
    formula, simulate, given = MODELS[family]
    rng = np.random.default_rng([seed, len(family)])
    true, y = simulate(rng)
    run = {"chains": 1, "warmup": 300, "iter": 300 + DRAWS * THIN, "thin": THIN, "seed": seed, "progress": False, **more}
    fit = brim.brm(formula, {"y": y, "x": X, "g": G + 1}, family=family, prior=given, **run)
    draws = change({name: fit.draws[name].ravel() for name in true})
    assert all(d.shape == (DRAWS,) for d in draws.values())
    true["log likelihood"], draws["log likelihood"] = (LOG_LIKELIHOOD[family](y, p) for p in (true, draws))
    kept = [name for name in true if not name.startswith("r_g[") or name.startswith("r_g[1,")]
    return {name: int(np.sum(draws[name] < true[name])) for name in kept}


def p_values(found):
    """Of Pearson's test that the ranks are uniform, by quantity."""
    out = {}
    for name in found[0]:
        counts = np.bincount(np.array([r[name] for r in found]) * BINS // (DRAWS + 1), minlength=BINS)
        out[name] = float(stats.chisquare(counts).pvalue)
    return out


@pytest.mark.parametrize("way", WAYS)
def test_ranks_are_uniform(way, capsys):
    family, more = WAYS[way]
    clock = time.perf_counter()
    p = p_values([ranks(family, seed, **more) for seed in range(REPLICATIONS)])
    with capsys.disabled():
        print(f"\n{way}: {REPLICATIONS} fits in {time.perf_counter() - clock:.0f} s; p: {', '.join(f'{k} {v:.2g}' for k, v in p.items())}")
    assert min(p.values()) > ERROR / len(p)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("too narrow", lambda d: {**d, "b_x": d["b_x"].mean() + 0.4 * (d["b_x"] - d["b_x"].mean())}),
        ("off by a standard deviation", lambda d: {**d, "b_x": d["b_x"] + d["b_x"].std()}),
    ],
)
def test_a_wrong_posterior_is_found(what, change):
    """The same check refuses draws of one parameter that are off, and only that parameter's."""
    found = p_values([ranks("gaussian", seed, change, marginalize=True) for seed in range(REPLICATIONS)])
    assert found["b_x"] < 1e-6
    assert found["b_Intercept"] > ERROR
