"""Units do not matter: data in millionths or billions give the same fit in their units; where nothing can be fitted, a sentence says so."""

import warnings

import numpy as np
import pytest

import brim
from brim import BrimError, BrimWarning, prior
from brim.compile.session import float64
from brim.coordinates.base import model_target
from brim.coordinates.choose import Wish, coordinates
from brim.infer.diagnostics import rhat
from brim.model.degenerate import degenerate


def rows(n=100, x=1.0, y=1.0, shift=0.0):
    """``x`` and ``y``: what they are multiplied by."""
    rng = np.random.default_rng(4)
    z, g = rng.normal(size=n), rng.integers(0, 12, n)
    u, v = rng.normal(size=12), 0.5 * rng.normal(size=12)
    response = 1 + 0.5 * z + u[g] + v[g] * z + 0.7 * rng.normal(size=n)
    return {
        "x": x * z + shift,
        "y": y * response,
        "g": g,
        "count": rng.poisson(np.exp(0.5 + 0.3 * z + 0.3 * u[g])),
        "near": z + 1e-3 * rng.normal(size=n),
        "above": (z + rng.normal(size=n) > 0).astype(int),
    }


def fitted(formula, data, family="gaussian", **more):
    fit = brim.brm(formula, data, family=family, seed=1, chains=2, iter=500, progress=False, **more)
    shown = [v for v in fit.variables() if v.startswith(("b_", "sd_", "sigma"))]
    assert max(float(rhat(fit.draws[v])) for v in shown) < 1.06
    return {v: (fit.draws[v].mean(), fit.draws[v].std()) for v in shown}


def agree(one, other, units):
    """Means within a third of a standard deviation, deviations within a third, in units of the second."""
    for name, (mean, sd) in one.items():
        unit = next((u for key, u in units.items() if key in name), units.get("", 1.0))
        assert abs(other[name][0] / unit - mean) < sd / 3, name
        assert other[name][1] / unit == pytest.approx(sd, rel=0.35), name


@pytest.mark.default_precision
@pytest.mark.parametrize(
    ("formula", "family", "x", "y"),
    [
        pytest.param("count ~ x", "poisson", 1e6, 1.0, marks=pytest.mark.slow),
        pytest.param("count ~ x", "poisson", 1e-6, 1.0, marks=pytest.mark.slow),
        ("count ~ x + (1 | g)", "poisson", 1e6, 1.0),
        pytest.param("above ~ x", "bernoulli", 1e9, 1.0, marks=pytest.mark.slow),
        pytest.param("y ~ x", "gaussian", 1.0, 1e-12, marks=pytest.mark.slow),
        ("y ~ x + (1 | g)", "gaussian", 1.0, 1e-12),
        pytest.param("y ~ x + (1 | g)", "gaussian", 1e12, 1e12, marks=pytest.mark.slow),
    ],
)
def test_fits_follow_their_units(formula, family, x, y):
    plain = fitted(formula, rows(), family)
    agree(plain, fitted(formula, rows(x=x, y=y), family), {"b_x": y / x, "": y if family == "gaussian" else 1.0})


@pytest.mark.slow
@pytest.mark.default_precision
@pytest.mark.parametrize(("x", "y"), [(1.0, 1e-12), (1e12, 1.0), (1e-12, 1.0)])
def test_slopes_by_group_follow_their_units(x, y):
    found = fitted("y ~ x + (x | g)", rows(x=x, y=y))
    plain = fitted("y ~ x + (x | g)", rows())
    for name in ("b_x", "sd_g__x"):
        if (x, name) != (1e-12, "sd_g__x"):  # of order 1e12 where brms' prior is about 1: pulled to 0 by that prior
            assert found[name][0] * x / y == pytest.approx(plain[name][0], abs=0.5 * plain[name][1]), name


def test_ordinary_models_are_sampled_as_they_are():
    fit = brim.brm("y ~ x + (x | g)", rows(), empty=True)
    assert all(not p.units for p in fit.model.params)


@pytest.mark.parametrize(
    ("formula", "family"),
    [pytest.param("y ~ x + (x | g)", "gaussian", marks=pytest.mark.slow), ("y ~ 0 + x", "gaussian"), ("count ~ x", "poisson")],
)
def test_the_density_of_parameters_is_the_same_in_any_units(formula, family):
    """With the Jacobian: constrain and unconstrain are inverse, and log density less Jacobian does not know of units."""
    from dataclasses import replace

    fit = brim.brm(formula, rows(x=1e6, y=1e-6), family=family, empty=True)
    assert any(p.units for p in fit.model.params)
    plain = replace(fit.model, params=tuple(replace(p, units=()) for p in fit.model.params))
    one, two = model_target(fit.model, fit.frame), model_target(plain, fit.frame)
    with float64():
        q = fit.model.layout.center() + 0.3
        params = fit.model.layout.constrain(q, one.data["fixed"])[0]
        np.testing.assert_allclose(fit.model.layout.unconstrain(params), q, rtol=1e-10, atol=1e-10)
        other = np.asarray(plain.layout.unconstrain(params))
        bare = [float(t.log_prob(at, t.data)) - float(t.log_jacobian(at, t.data)) for t, at in ((one, q), (two, other))]
        assert bare[0] == pytest.approx(bare[1], rel=1e-10)


@pytest.mark.default_precision
@pytest.mark.parametrize(("formula", "family"), [("y ~ x + near", "gaussian"), ("count ~ x + near", "poisson")])
def test_predictors_that_are_nearly_one(formula, family):
    """Correlated 0.9999995: integrated out, or sampled in other directions."""
    fit = brim.brm(formula, rows(), family=family, empty=True)
    found = coordinates(fit.model, fit.frame, Wish())
    assert found.plan.integrated if family == "gaussian" else found.plan.whitened
    fitted(formula, rows(), family)


def test_others_are_not_nearly_one():
    fit = brim.brm("count ~ x + g", rows(), family="poisson", empty=True)
    assert not coordinates(fit.model, fit.frame, Wish()).plan.whitened


# --------------------------------------------------------------------------- nothing to fit


def told(formula, data, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrimWarning)
        fit = brim.brm(formula, data, empty=True, **more)
    return degenerate(fit.model, fit.frame)


@pytest.mark.parametrize(
    ("formula", "change", "words"),
    [
        ("y ~ x", {"y": np.ones(100)}, "the response y is 1 in every row: nothing is left for sigma"),
        ("y ~ x + (1 | g)", {"y": np.full(100, 0.1)}, "the response y is 0.1 in every row"),
        ("x ~ z", {"z": 3 * rows()["x"] - 7}, "the predictors reproduce the response x exactly"),
        ("y ~ x + (x | g)", {"x": rows()["x"] + 1e12}, "'x' is far from 0 for how little it varies: slopes by g"),
        ("y | weights(w) ~ 1", {"w": np.zeros(100)}, "no row of y has a response and a weight above 0"),
    ],
)
def test_what_cannot_be_fitted_is_told(formula, change, words):
    (said,) = told(formula, {**rows(), **change})
    assert said.startswith(words)


def test_as_many_coefficients_as_rows():
    (said,) = told("y ~ x", {"y": [1.0, 2.0], "x": [3.0, 5.0]})
    assert said.startswith("y has 2 rows for 2 coefficients: sigma is told by its prior alone")


@pytest.mark.parametrize(
    ("formula", "more"),
    [
        ("y ~ x + (x | g)", {}),
        ("count ~ x", {"family": "poisson"}),
        ("y ~ x", {"prior": prior("constant(1)", class_="sigma")}),
        ("y ~ x", {"sample_prior": "only", "prior": prior("normal(0, 1)", class_="b")}),
    ],
)
def test_others_are_left_alone(formula, more):
    data = {**rows(), **({"y": np.ones(100), "count": np.ones(100, int)} if more else {})}
    assert told(formula, data, **more) == ()


def test_no_row_counts():
    with pytest.raises(BrimError, match="no row of y has a response and a weight above 0"):
        brim.brm("y | weights(w) ~ x", {**rows(), "w": np.zeros(100)}, progress=False)


def test_numbers_whose_squares_are_infinite():
    data = {"y": np.array([0.0, 1.0, 2.0, 1.4e154, 3.0]), "x": np.array([0.0, 1e200, 3.0, 1e308, 5.0])}
    fit = brim.brm("y ~ x", data, empty=True)
    (unit,) = next(p.units for p in fit.model.params if p.name == "b")
    assert 1e-155 < unit < 1e-152
