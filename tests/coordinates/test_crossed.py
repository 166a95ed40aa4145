"""Many crossed levels, integrated out by a sparse factorisation and a surface, against dense formulas."""

import jax
import numpy as np
import pandas as pd
import pytest

import brim
from brim.coordinates.choose import Wish, coordinates
from brim.coordinates.crossed.surface import degrees, evaluate, fitted, nothing
from brim.infer.diagnostics import ess_bulk
from brim.infer.target import Draws
from brim.model.model import log_joint_function
from written_out import written_out

FORMULAS = [
    "y ~ x + (1 | g) + (1 | h)",
    "y | weights(w) ~ x + (1 + x | g) + (1 | h)",
    "y ~ x + (1 + x || g) + (1 | h)",
]


def table(n=600):
    rng = np.random.default_rng(1)
    g, h, x = rng.integers(0, 40, n), rng.integers(0, 60, n), rng.normal(size=n)
    k = h // 3
    effects = rng.normal(size=40)[g] * 0.7 + rng.normal(size=60)[h] * 0.6 + rng.normal(size=20)[k] + rng.normal(size=40)[g] * 0.4 * x
    names = {"g": g.astype(str), "h": h.astype(str), "k": k.astype(str)}
    return pd.DataFrame({"y": 3.0 + 0.5 * x + effects + rng.normal(size=n), "x": x, "w": rng.uniform(0.5, 2.0, n), **names})


DATA = table()


@pytest.fixture
def scattered(monkeypatch):
    """No room for a dense border."""
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_CROSSED", 0)
    monkeypatch.setattr("brim.coordinates.crossed.settle.CLOSE", 0.5)
    monkeypatch.setattr("brim.coordinates.crossed.settle.FINE", 1e-2)


def built(formula):
    fit = brim.brm(formula, data=DATA, empty=True)
    space = coordinates(fit.model, fit.frame, Wish())
    assert space.plan.integrated.levels == "crossed"
    return fit, space


def known_at(space, q):
    """The target's data with the surface that is right at one point."""
    u = np.asarray(space.integral.ratios(q, space.target.data)[0])
    values = space.integral.effects.exact.values(u[None])[0]
    flat = nothing(len(u), int(np.sqrt(len(values) - 1)))
    flat.factors[0] = values
    own = space.target.data["integral"]._replace(surface=flat._replace(center=u))
    return {**space.target.data, "integral": own}


@pytest.mark.parametrize("formula", [*FORMULAS[:2], pytest.param(FORMULAS[2], marks=pytest.mark.slow)])
def test_density_is_the_integral(formula, scattered):
    """To 1e-9, where the surface is right."""
    fit, space = built(formula)
    rng = np.random.default_rng(2)
    q = space.target.first(rng, 0)
    exact = written_out(fit, space, q)
    assert float(space.target.log_prob(q, known_at(space, q))) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("formula", [pytest.param(FORMULAS[0], marks=pytest.mark.slow), FORMULAS[1]])
def test_effects_have_the_moments_of_their_conditional_law(formula, scattered):
    """``A^-1 w`` and ``A^-1``: draws are linear in the normal numbers they are made of, of which each is 1 in turn."""
    _, space = built(formula)
    exact, near = space.integral.effects.exact, space.integral.effects.near
    u = np.asarray(space.integral.ratios(space.target.first(np.random.default_rng(3), 0), space.target.data)[0])
    v = np.array([0.8, 0.1, -0.2])
    z = exact.columns.toarray() @ dense_loadings(exact, u)
    a = np.eye(exact.size) + z.T @ (exact.weights[:, None] * z)
    w = dense_loadings(exact, u).T @ np.concatenate([b.reshape(-1, 3) for b in exact.right]) @ v
    count = len(DATA) + exact.size
    normals = np.concatenate([np.zeros((1, count)), np.eye(count)])
    drawn, half = exact.drawn(near, np.tile(u, (count + 1, 1)), np.tile(v, (count + 1, 1)), normals)
    mean = np.linalg.solve(a, w)
    np.testing.assert_allclose(drawn[0], mean, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose((drawn[1:] - drawn[0]).T @ (drawn[1:] - drawn[0]), np.linalg.inv(a), atol=1e-8)
    assert half[0] == pytest.approx(0.5 * w @ mean, rel=1e-8)


def dense_loadings(exact, u):
    """``T / sigma`` of all effects, coefficients within levels."""
    loadings = [exact.loads[f].loading(u) for f in exact.pattern.order]
    out, at = np.zeros((exact.size, exact.size)), 0
    for t, f in zip(loadings, exact.pattern.factors, strict=True):
        for _ in range(f.size):
            out[at : at + f.k, at : at + f.k] = t
            at += f.k
    return out


def test_draws_have_their_log_joint_density(scattered):
    """The density of what was sampled and that of the effects given it add up to ``lp__``."""
    fit, space = built(FORMULAS[1])
    q = space.target.first(np.random.default_rng(4), 0)
    data = known_at(space, q)
    integral = brim.coordinates.integrated.density.Integral(space.plan.integrated, data, data, data, effects=space.integral.effects)
    draws = Draws(q[None, None], {}, {"seed": 1})
    whole, gain = integral.drawn(q[None], np.zeros(1, int), draws)
    joint = log_joint_function(fit.model)(whole[0], fit.model.data(fit.frame))
    assert float(space.target.log_prob(q, data)) + gain[0] == pytest.approx(float(joint), rel=1e-9)


def test_a_surface_is_the_function_it_goes_through():
    """``log(1 + e^2u)``, analytic in the strip, to the error that was asked for; at its faces beyond them, for a price."""
    center, half = np.array([0.3, -1.0]), np.array([1.0, 0.2])

    def function(u):
        value = 20.0 * np.log1p(np.exp(2.0 * u)).sum(1)
        return np.stack([value, 1.0 / (1.0 + np.exp(2.0 * u[:, 0]))], axis=1)

    powers = degrees(half, 1e-8)
    surface = fitted(center, half, powers, function, 1)
    u = center + half * np.random.default_rng(1).uniform(-1, 1, (50, 2))
    log_det, forms, outside = jax.vmap(evaluate, (None, 0))(surface, u)
    np.testing.assert_allclose(np.stack([log_det, forms[:, 0, 0]], axis=1), function(u), atol=1e-5)
    assert not np.any(outside)
    beyond, face = evaluate(surface, np.array([1.4, -1.0])), evaluate(surface, np.array([1.3, -1.0]))
    assert float(beyond[0]) == pytest.approx(float(face[0]))
    assert float(beyond[2]) == pytest.approx(2.0)
    assert degrees(np.full(6, 3.0), 1e-8) is None


def test_a_posterior_that_reaches_too_far_has_no_surface(scattered):
    """Standard deviations near 0: the second factor says nothing."""
    data = DATA.assign(h=np.random.default_rng(5).integers(0, 30, len(DATA)).astype(str))
    fit = brim.brm(FORMULAS[0], data=data, empty=True)
    space = coordinates(fit.model, fit.frame, Wish())
    assert space.plan.integrated is None or space.plan.integrated.levels != "crossed"
    assert space.plan.adapted is not None


@pytest.mark.default_precision
def test_the_posterior_is_that_of_a_dense_border(monkeypatch):
    """Means and standard deviations within five Monte Carlo errors, of effects too."""
    run = {"data": DATA, "chains": 4, "iter": 1000, "seed": 1, "progress": False}
    dense = brim.brm(FORMULAS[0], **run)
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_CROSSED", 0)
    sparse = brim.brm(FORMULAS[0], **run)
    assert "a surface through" in sparse.engine
    assert "a surface" not in dense.engine
    for name in (v for v in dense.variables() if v != "lprior"):
        a, b = sparse.draws[name], dense.draws[name]
        error = np.hypot(a.std() / np.sqrt(ess_bulk(a)), b.std() / np.sqrt(ess_bulk(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
        assert a.std() == pytest.approx(b.std(), rel=0.25), name
