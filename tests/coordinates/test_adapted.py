"""Coordinates adapted to the data: where the likelihood is expanded, posteriors, and which models have them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brim
from adapted_models import CONTROL, COV, SIM, STRUCTURES, adapted
from brim import bf, prior
from brim.fit.run import coordinates, target
from brim.infer.diagnostics import ess_bulk


@pytest.mark.parametrize(
    "name",
    [
        "scale",
        "scale, correlated",
        "inflation",
        "categories",
        "nonlinear",
        "tied responses",
        "memberships beside",
        "correlated levels",
        "two terms of a block",
        "widths",
        "smooth",
    ],
)
def test_the_likelihood_is_expanded_at_the_modes_of_the_effects(name):
    """There the density has no slope in ``e``: half its square is what is left to gain. The search stops at 0.05, chains start around."""
    formula, family, _, _ = STRUCTURES[name]
    _, (space, start) = adapted(formula, family)
    plan, values = space.plan, space.target.data
    theta = np.median(start.q[:, : plan.head], axis=0)
    slope = jax.jit(jax.grad(lambda e: space.target.log_prob(jnp.concatenate([theta, e]), values)))(np.zeros(plan.dim - plan.head))
    assert 0.5 * np.sum(np.square(slope)) < 0.5


LATER = [
    STRUCTURES[name][:2]
    for name in (
        "smooth",
        "smooth alone",
        "process of a basis",
        "inflation",
        "categories",
        "widths",
        "memberships",
        "correlated levels",
        "missing",
    )
]


@pytest.mark.default_precision
@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("ycount ~ x + (1 + x | g) + (1 | g2)", "poisson"),
        ("y ~ x + (1 | g) + (1 | g2)", "gaussian"),
        STRUCTURES["scale, correlated"][:2],
        *(pytest.param(*each, marks=pytest.mark.slow) for each in LATER),
    ],
)
def test_coordinates_do_not_change_the_posterior(formula, family):
    """Means and standard deviations of all parameters, effects and ``lp__``, within five combined Monte Carlo errors."""
    run = {"family": family, "data2": {"A": COV}, "chains": 4, "iter": 2000, "seed": 1, "progress": False, "marginalize": False}
    moved = brim.brm(formula, data=SIM, control={"adapt_delta": 0.9}, **run)
    own = brim.brm(formula, data=SIM, control={"adapted_effects": False, "adapt_delta": 0.95}, **run)
    assert "adapted to the data" in moved.engine
    assert "adapted" not in own.engine
    for name in (v for v in moved.variables() if v != "lprior"):
        a, b = moved.draws[name], own.draws[name]
        error = np.hypot(a.std() / np.sqrt(ess_bulk(a)), b.std() / np.sqrt(ess_bulk(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
        assert a.std() == pytest.approx(b.std(), rel=0.25), name


@pytest.mark.default_precision
def test_draws_are_the_same_whatever_the_cores():
    one, two = (
        brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", chains=2, iter=200, cores=c, seed=3, progress=False) for c in (1, 2)
    )
    for name in one.variables():
        assert np.array_equal(one.draws[name], two.draws[name])


@pytest.mark.parametrize(
    ("formula", "family", "kinds"),
    [
        ("ycount ~ x", "poisson", []),
        ("y ~ x + (1 | g)", "gaussian", ["integrated"]),
        ("ycount ~ x + (1 | g)", "poisson", ["adapted"]),
        ("y ~ x + (1 | g) + (1 + x | g2)", "gaussian", ["integrated", "integrated"]),
    ],
)
@pytest.mark.default_precision
def test_draws_are_the_same_whatever_is_completed_at_once(monkeypatch, formula, family, kinds):
    arguments = {"family": family, "chains": 2, "iter": 60, "thin": 2, "seed": 3, "progress": False}
    one = brim.brm(formula, data=SIM, **arguments)
    assert sorted(t.how for t in coordinates(one).plan.treatments) == kinds
    monkeypatch.setattr("brim.coordinates.base._NUMBERS", 7 * one.model.layout.dim)  # does not divide the 2 x 15 draws
    two = brim.brm(formula, data=SIM, **arguments)
    for name in one.variables():
        np.testing.assert_allclose(one.draws[name], two.draws[name], rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(one.stats["lp"], one.draws["lp__"])


@pytest.mark.default_precision
def test_a_fit_tells_where_another_may_start():
    """The last draws in the model's own coordinates: their log density is the ``lp__`` of these draws; variances of the draws."""
    fit = brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", chains=3, iter=600, seed=3, progress=False)
    own = target(fit)
    with jax.enable_x64(True):
        last = [float(own.log_prob(q, own.data)) for q in fit.info["last_q"]]
    np.testing.assert_allclose(last, fit.draws["lp__"][:, -1], rtol=1e-10)
    assert [p.name for p in fit.model.params][1] == "b"  # the second coordinate, after the intercept
    assert fit.info["covariance"][1] == pytest.approx(fit.draws["b_x"].var(), rel=0.3)


def test_effects_without_data_stay_standard_normal():
    """A flat working model is the non-centred parameterisation: coordinates are the standardised effects themselves."""
    fit = brim.brm("ycount ~ x + (1 + x | g)", data=SIM, family="poisson", empty=True)
    space = coordinates(fit)
    plan = space.plan
    q = np.random.default_rng(5).normal(size=plan.dim)
    own, log_scale = plan.own(q, space.target.data)
    assert np.allclose(own, q, atol=1e-14)
    assert abs(float(log_scale)) < 1e-12


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("yord ~ x + (cs(x) | g)", "acat"),
        ("ycount ~ x + (1 | gr(g, pw = gw))", "poisson"),
        ("yord ~ cs(x) + (1 | g)", "acat"),
        (bf("y ~ x + (1 | g)"), brim.mixture("gaussian", nmix=2)),
        ("ycount ~ x", "poisson"),
    ],
)
def test_other_effects_keep_their_coordinates(formula, family):
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV})
    assert coordinates(fit).plan.adapted is None


def test_a_response_without_a_mode_falls_back(monkeypatch):
    """Where nothing can be expanded the working model stays that of no data."""
    fit = brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", empty=True)
    space = coordinates(fit)
    nowhere = replace(space.target, init=lambda rng: np.full(space.target.dim, np.nan))
    after, start = replace(space, target=nowhere).approach(CONTROL, 2, 1)
    assert start is None
    assert all(not np.any(g) for g in after.target.data["working"].gram.values())


def test_priors_may_hold_what_is_held():
    """Constant hyperparameters are not sampled and do not stop the search."""
    held = prior("constant(0.5)", class_="sd")
    _, (space, start) = adapted("ycount ~ x + (1 | g)", "poisson", prior=held)
    assert space.plan.head == 2
    assert start is not None
