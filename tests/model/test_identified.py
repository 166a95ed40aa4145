"""Before sampling: designs without full rank under flat priors, and responses that are separated, are named with what to do."""

import warnings

import numpy as np
import pytest

import brim
from brim import BrimError, BrimWarning, bf, prior
from brim.model.identified import separated, undetermined


def rows(n=40):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=n), rng.integers(0, 3, n)
    counts = rng.poisson(2, n)
    out = {
        "y": x + rng.normal(size=n),
        "x": x,
        "z": rng.normal(size=n),
        "one": np.ones(n),
        "zero": np.zeros(n),
        "twice": 2 * x + 1,
        "near": x + 1e-3 * rng.normal(size=n),
        "far": x + 1e12,
        "f": np.array([f"l{i}" for i in g]),
        "h": np.where(g == 1, "p", np.where(rng.random(n) < 0.5, "p", "q")),
        "count": counts,
        "gone": np.where(g == 1, 0, counts + 1),
        "above": (x > 0).astype(int),
        "half": np.where(x > 0.3, 5, np.where(x < -0.3, 0, 2)),
        "trials": np.full(n, 5),
        "weight": (np.arange(n) < 30).astype(float),
        "late": (np.arange(n) >= 30).astype(float),
    }
    return {**out, **{f"g{i}": (g == i).astype(float) for i in range(3)}}


def built(formula, priors=None, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrimWarning)
        return brim.brm(formula, rows(), prior=priors, empty=True, **more)


def said(formula, priors=None, **more):
    fit = built(formula, priors, **more)
    return undetermined(fit.model, fit.frame)


NORMAL = prior("normal(0, 1)", class_="b")


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ x + one", "'one' is constant"),
        ("y ~ x + zero", "'zero' is 0 in every row"),
        ("y ~ x + twice", "'twice' is a linear combination of 'x'"),
        ("y ~ g0 + g1 + g2", "'g2' is a linear combination of 'g0' and 'g1'"),
        ("y ~ 0 + one + g0 + g1 + g2", "'g2' is a linear combination of 'one', 'g0' and 'g1'"),
        ("y ~ f * h", "'fl1:hq' is 0 in every row"),
        ("y ~ s(z, k = 4) + z", "'sz_1' is a linear combination of 'z'"),
        (bf("y ~ x", "sigma ~ x + twice"), "in the predictor of sigma, 'twice' is a linear combination of 'x'"),
        (bf("y ~ a * exp(z)", "a ~ 1 + one", nl=True), "in the predictor of a, 'one' is a linear combination of 'Intercept'"),
        ("y | weights(weight) ~ x + late", "'late' is 0 in every row"),
    ],
)
def test_columns_are_named(formula, words):
    assert said(formula) == (words,)


@pytest.mark.parametrize(
    "formula", ["y ~ x + near", "y ~ x + far", "y ~ 0 + x + one", "y ~ 0 + f", "y ~ f + (1 | f)", "y ~ poly(x, 3) + s(z, k = 4)"]
)
def test_full_rank_is_left_alone(formula):
    assert said(formula) == ()


@pytest.mark.parametrize(
    "priors",
    [
        NORMAL,
        prior("normal(0, 1)", class_="b", coef="twice"),
        prior("horseshoe(1)", class_="b"),
        prior("", class_="b", lb=0.0),
        prior("constant(1)", class_="b", coef="x"),
    ],
)
def test_a_proper_prior_on_one_of_two_is_enough(priors):
    assert said("y ~ x + twice", priors) == ()


def test_more_coefficients_than_rows():
    fit = brim.brm("y ~ a + b + c", {"y": [1.0, 2.0, 4.0], "a": [1.0, 0, 0], "b": [0, 2.0, 5.0], "c": [3.0, 4.0, 1.0]}, empty=True)
    assert undetermined(fit.model, fit.frame) == ("'c' is a linear combination of 'a' and 'b'",)
    wide = {"y": np.arange(5.0), **{f"x{i}": np.random.default_rng(i).normal(size=5) for i in range(12)}}
    fit = brim.brm("y ~ " + " + ".join(f"x{i}" for i in range(12)), wide, empty=True)
    (what,) = undetermined(fit.model, fit.frame)
    assert what.startswith("there are 5 rows for 12 coefficients: 'x4' is a linear combination of 'x0', 'x1', 'x2' and 'x3'; 'x5'")
    assert what.endswith("3 more are")


def test_nothing_is_sampled():
    with pytest.raises(BrimError, match="'twice' is a linear combination of 'x'") as error:
        brim.brm("y ~ x + twice", rows(), progress=False)
    assert "prior('normal(0, 1)', class_='b')" in str(error.value)
    with pytest.warns(BrimWarning, match="does not have full rank"):
        brim.brm("y ~ x + twice", rows(), empty=True)


@pytest.mark.default_precision
def test_a_mode_is_found_with_a_warning():
    with pytest.warns(BrimWarning, match="does not have full rank"):
        fit = brim.brm("y ~ x + twice", rows(), prior=prior("", class_="Intercept"), algorithm="map", seed=1, progress=False)
    data = rows()
    slope, intercept = np.polyfit(data["x"], data["y"], 1)
    assert fit.posterior_epred()[0] == pytest.approx(intercept + slope * data["x"], abs=1e-5)


# --------------------------------------------------------------------------- separation


@pytest.mark.parametrize(
    ("formula", "family", "words"),
    [
        ("above ~ x", "bernoulli", "'x' separates the responses"),
        ("above ~ z + x", "bernoulli", "'x' separates the responses"),
        ("above ~ z + x + (1 | f)", "bernoulli", "'x' separates the responses"),
        ("gone ~ f + z", "poisson", "'fl1' separates the responses"),
        ("gone ~ f + z", "negbinomial", "'fl1' separates the responses"),
        ("gone ~ f + z", "zero_inflated_poisson", "'fl1' separates the responses"),
        ("one ~ x", "bernoulli", "every response is the largest"),
        ("zero ~ x", "poisson", "every response is the smallest"),
    ],
)
def test_separation_is_named(formula, family, words):
    fit = built(formula, family=family)
    assert separated(fit.model, fit.frame) == (words,)


@pytest.mark.parametrize(
    ("formula", "family", "priors"),
    [
        ("above ~ z", "bernoulli", None),
        ("above ~ x", "bernoulli", NORMAL),
        ("count ~ f + x", "poisson", None),
        ("half | trials(trials) ~ x", "binomial", None),  # rows with 2 of 5 pin the slope down
        ("y ~ x", "gaussian", None),
        ("count | trunc(lb = -1) ~ f", "poisson", None),
    ],
)
def test_what_is_not_separated(formula, family, priors):
    fit = built(formula, priors, family=family)
    assert separated(fit.model, fit.frame) == ()


def test_separation_is_a_warning_with_the_remedy():
    with pytest.warns(BrimWarning, match=r"'x' separates the responses.*prior\('normal\(0, 1\)', class_='b'\)"):
        brim.brm("above ~ x", rows(), family="bernoulli", empty=True)
