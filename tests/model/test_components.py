"""Chains of mixtures start at the components: every chain of every seed finds them, under one labelling."""

import numpy as np
import pytest

import brim
from brim import bf, mixture, prior
from brim.compile.session import float64
from brim.infer.diagnostics import rhat
from brim.model.components import clusters, component_starts


def two(n=200, unit=1.0):
    rng = np.random.default_rng(1)
    g, x, u = rng.integers(0, 10, n), rng.normal(size=n), 0.5 * rng.normal(size=10)
    mean = np.where(rng.random(n) < 0.4, -3.0, 3.0)
    return {"y": unit * (mean + 0.5 * x + u[g] + rng.normal(size=n)), "x": x, "g": g}


def three(n=200):
    rng = np.random.default_rng(2)
    x, k = rng.normal(size=n), rng.random(n)
    return {"y": np.select([k < 0.3, k < 0.6], [-6.0, 0.0], 6.0) + 0.5 * x + rng.normal(size=n), "x": x}


def counts(n=200, low=0.3):
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    return {"y": rng.poisson(np.where(rng.random(n) < 0.4, low, 8.0) * np.exp(0.2 * x)), "x": x}


def worst(fit):
    """The largest R-hat of what the summary shows."""
    return max(float(rhat(fit.draws[v])) for v in fit.variables() if v.startswith(("b_", "sd_", "sigma", "theta")))


CASES = {
    "two": ("y ~ x + (1 | g)", two(), mixture("gaussian", "gaussian"), {"b_mu1_Intercept": -3, "b_mu2_Intercept": 3}),
    "three": ("y ~ x", three(), mixture("gaussian", nmix=3), {"b_mu1_Intercept": -6, "b_mu2_Intercept": 0, "b_mu3_Intercept": 6}),
    "counts": ("y ~ x", counts(), mixture("poisson", "poisson"), {"b_mu1_Intercept": np.log(0.3), "b_mu2_Intercept": np.log(8)}),
}


def check(name, seeds):
    formula, rows, family, truth = CASES[name]
    for seed in seeds:
        fit = brim.brm(formula, rows, family=family, iter=600, seed=seed, progress=False)
        assert worst(fit) < 1.05, seed
        for variable, value in truth.items():
            draws = fit.draws[variable]
            assert abs(draws.mean() - value) < max(4 * draws.std(), 0.5), (seed, variable)


@pytest.mark.default_precision
@pytest.mark.parametrize("name", CASES)
def test_components_are_found(name):
    check(name, (2, 4))


@pytest.mark.slow
@pytest.mark.default_precision
@pytest.mark.parametrize("name", CASES)
def test_components_are_found_from_every_seed(name):
    check(name, range(1, 21))


@pytest.mark.slow
@pytest.mark.default_precision
def test_rare_counts_are_a_component():
    rows = counts(low=0.05)
    for seed in (1, 2):
        assert worst(brim.brm("y ~ 1", rows, family=mixture("poisson", "poisson"), iter=1000, seed=seed, progress=False)) < 1.05


@pytest.mark.default_precision
def test_priors_that_name_the_components_choose_the_assignment():
    """order = 'none' with priors at +3 and -3: the labels follow them."""
    priors = prior("normal(3, 1)", class_="Intercept", dpar="mu1") + prior("normal(-3, 1)", class_="Intercept", dpar="mu2")
    family = mixture("gaussian", "gaussian", order="none")
    fit = brim.brm("y ~ x", two(), family=family, prior=priors, iter=400, seed=1, progress=False)
    assert worst(fit) < 1.05
    assert fit.draws["b_mu1_Intercept"].mean() > 2


def test_clusters_of_unequal_size():
    z = np.r_[np.linspace(-1, 1, 95), np.linspace(19, 21, 5)]
    assert np.bincount(clusters(z, 2)).tolist() == [95, 5]


@pytest.mark.parametrize("formula", ["y ~ x", bf("y ~ x", "theta1 ~ x"), bf("y ~ x", "sigma2 ~ x")])
def test_starts_are_the_clusters(formula):
    """Intercepts at their means, residual scales and shares as theirs, where these are parameters; one point for ascending intercepts."""
    rows = two(unit=100.0)
    fit = brim.brm(formula, rows, family=mixture("gaussian", "gaussian"), empty=True)
    (point,) = component_starts(fit.model, fit.frame)
    with float64():
        params = fit.model.layout.constrain(point, fit.model.data(fit.frame)["fixed"])[0]
    y = rows["y"]
    parts = [y[y < 0], y[y > 0]]
    assert np.asarray(params["ordered_Intercept_mu1"]) == pytest.approx([p.mean() for p in parts], rel=0.02)
    for k, part in enumerate(parts):
        if f"sigma{k + 1}" in params:
            assert float(params[f"sigma{k + 1}"]) == pytest.approx(part.std(), rel=0.1)
    if "theta" in params:
        assert np.asarray(params["theta"]) == pytest.approx([len(p) / len(y) for p in parts], abs=0.01)


def test_one_start_for_each_assignment_of_unordered_components():
    fit = brim.brm("y ~ x", two(), family=mixture("gaussian", "student", "gaussian"), empty=True)
    assert len(component_starts(fit.model, fit.frame)) == 6


def test_other_models_start_as_ever():
    fit = brim.brm("y ~ x + (1 | g)", two(), empty=True)
    assert component_starts(fit.model, fit.frame) == ()
