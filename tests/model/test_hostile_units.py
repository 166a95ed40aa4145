"""Sixty inputs in units, places and shapes that upset samplers: each gives the fit that good units give, or a sentence on what to do."""

import re
import warnings
from dataclasses import replace
from functools import lru_cache

import jax
import numpy as np
import pytest

import brim
from brim import BrimError, BrimWarning, bf, prior, set_rescor
from brim.compile.session import float64
from brim.coordinates.base import model_target
from brim.infer.diagnostics import rhat

GROUPS = 40


@lru_cache(maxsize=1)
def rows():
    """Groups with their own lines over years; responses of each kind."""
    rng = np.random.default_rng(4)
    year = np.repeat(np.arange(2000, 2021, 2), GROUPS)
    g, z = np.tile(np.arange(GROUPS), 11), (year - 2010) / 6.0
    u, v = 0.6 * rng.normal(size=GROUPS), 0.5 * rng.normal(size=GROUPS)
    n, eta = len(g), 0.5 + u[g] + (0.4 + v[g]) * z
    out = {"x": z, "w": rng.normal(size=n), "g": g, "year": year, "t": (year - 2000) // 2, "level": rng.integers(1, 5, n)}
    out |= {
        "y": eta + 0.5 * rng.normal(size=n),
        "count": rng.poisson(np.exp(0.5 * eta)),
        "pos": np.exp(0.5 * eta + 0.3 * rng.normal(size=n)),
    }
    out["above"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    out["grade"] = 1 + np.digitize(eta + rng.logistic(size=n), [-1.0, 0.5, 2.0])
    out["near"] = z + 1e-3 * rng.normal(size=n)
    out["se"], out["ones"], out["id"] = np.full(n, 0.8), np.ones(n), np.arange(n)
    return out


def changed(**by):
    """The rows with columns changed."""
    data = rows()
    return {**data, **{name: f(data) if callable(f) else f for name, f in by.items()}}


def times(name, factor):
    return {name: lambda d: d[name] * factor}


def plus(name, shift):
    return {name: lambda d: d[name] + shift}


SLOPES = "{} ~ x + (1 + x | g)"

#: Formula, family, what is done to the data, and the unit of the response.
FITTED = {
    **{
        f"{family}, {name}": (SLOPES.format(y), family, change, 1.0)
        for family, y in (("gaussian", "y"), ("poisson", "count"), ("bernoulli", "above"), ("student", "y"))
        for name, change in (("x in millionths", times("x", 1e6)), ("x in millions", times("x", 1e-6)), ("x + 1e6", plus("x", 1e6)))
    },
    **{
        f"{family}, population, {name}": (f"{y} ~ x", family, change, 1.0)
        for family, y in (("cumulative", "grade"), ("gamma", "pos"), ("negbinomial", "count"))
        for name, change in (("x in millionths", times("x", 1e6)), ("x + 1e12", plus("x", 1e12)))
    },
    "years": ("y ~ year + (1 + year | g)", "gaussian", {}, 1.0),
    "years, poisson": ("count ~ year + (1 + year | g)", "poisson", {}, 1.0),
    "x + 1e12, gaussian": ("y ~ x", "gaussian", plus("x", 1e12), 1.0),
    "x + 1e12, bernoulli": ("above ~ x", "bernoulli", plus("x", 1e12), 1.0),
    "y in 1e12": (SLOPES.format("y"), "gaussian", times("y", 1e-12), 1e-12),
    "y in 1e-12": (SLOPES.format("y"), "gaussian", times("y", 1e12), 1e12),
    "y in 1e12, student": ("y ~ x + (1 | g)", "student", times("y", 1e-12), 1e-12),
    "y + 1e9": ("y ~ x + (1 | g)", "gaussian", plus("y", 1e9), 1.0),
    "pos in 1e9, gamma": ("pos ~ x + (1 | g)", "gamma", times("pos", 1e-9), 1e-9),
    "pos in 1e-9, lognormal": ("pos ~ x + (1 | g)", "lognormal", times("pos", 1e9), 1e9),
    "alike to 1e-6": ("y ~ x + near", "gaussian", {}, 1.0),
    "alike to 1e-6, poisson": ("count ~ x + near", "poisson", {}, 1.0),
    "alike to 1e-6, ordinal": ("grade ~ x + near", "cumulative", {}, 1.0),
    "smooth, x + 1e12": ("y ~ s(x)", "gaussian", plus("x", 1e12), 1.0),
    "smooth, y in 1e12": ("y ~ s(x, k = 6)", "gaussian", times("y", 1e-12), 1e-12),
    "gp, x in millionths": ("y ~ gp(x)", "gaussian", times("x", 1e6), 1.0),
    "gp, x + 1e6": ("y ~ gp(x)", "gaussian", plus("x", 1e6), 1.0),
    "mo, y in 1e12": ("y ~ mo(level)", "gaussian", times("y", 1e-12), 1e-12),
    "mo, y in 1e-12": ("y ~ mo(level)", "gaussian", times("y", 1e12), 1e12),
    "ar, y in 1e12": ("y ~ x + ar(t, g)", "gaussian", times("y", 1e-12), 1e-12),
    "ar, times + 1e9": ("y ~ x + ar(t, g)", "gaussian", plus("t", 10**9), 1.0),
    "sigma predicted, y in 1e12": (bf("y ~ x", "sigma ~ x"), "gaussian", times("y", 1e-12), 1e-12),
    "two responses": (bf("mvbind(y, pos) ~ x") + set_rescor(True), "gaussian", {**times("y", 1e9), **times("pos", 1e-9)}, None),
    "interaction of millions": ("y ~ x * w + (1 | g)", "gaussian", {**times("x", 1e6), **times("w", 1e-6)}, 1.0),
    "some weights 0": ("y | weights(ones) ~ x + (1 | g)", "gaussian", {"ones": lambda d: (d["w"] < 1.0) * 1.0}, None),
    "one observation a group, poisson": ("count ~ x + (1 | id)", "poisson", {}, None),
}

CONSTANT = "is {} in every row: nothing is left for"
FLAT = "does not have full rank"
FEW = {name: column[:3] for name, column in rows().items()}

#: Formula, family, data, and what is said.
TOLD = {
    "x + 1e12, slopes": (SLOPES.format("y"), "gaussian", changed(**plus("x", 1e12)), "centre it first, as x - mean"),
    "x + 1e12, slopes, poisson": (SLOPES.format("count"), "poisson", changed(**plus("x", 1e12)), "centre it first, as x - mean"),
    "x + 1e12, slopes, bernoulli": (SLOPES.format("above"), "bernoulli", changed(**plus("x", 1e12)), "centre it first, as x - mean"),
    "one se of 0": ("y | se(se) ~ x + (1 | g)", "gaussian", changed(se=lambda d: d["se"] * (d["id"] != 3)), "needs values > 0"),
    "one se of 1e-9": (
        "y | se(se) ~ x",
        "gaussian",
        changed(se=lambda d: np.where(d["id"] == 3, 1e-9, d["se"])),
        "row 3 .* leave the row out",
    ),
    "constant response": ("y ~ x", "gaussian", changed(y=rows()["ones"]), CONSTANT.format(1)),
    "constant response, student": ("y ~ x + (1 | g)", "student", changed(y=rows()["ones"]), CONSTANT.format(1)),
    "constant response, lognormal": ("pos ~ x", "lognormal", changed(pos=2 * rows()["ones"]), CONSTANT.format(2)),
    "no events": ("count ~ x", "poisson", changed(count=0 * rows()["id"]), "every response is the smallest"),
    "nothing but events": ("above ~ x", "bernoulli", changed(above=0 * rows()["id"] + 1), "every response is the largest"),
    "weights of 0": ("y | weights(w) ~ x", "gaussian", changed(w=0.0 * rows()["w"]), "no row of y has a response and a weight"),
    "weights of 0, poisson": (
        "count | weights(w) ~ x",
        "poisson",
        changed(w=0.0 * rows()["w"]),
        "no row of count has a response and a weight",
    ),
    "weights of 1e-9": ("y | weights(w) ~ x", "gaussian", changed(w=0.0 * rows()["w"] + 1e-9), "less than one row"),
    "fewer rows than coefficients": ("y ~ x + w + near + year", "gaussian", FEW, FLAT),
    "fewer rows than coefficients, poisson": ("count ~ x + w + near + year", "poisson", FEW, FLAT),
    "as many rows as coefficients": ("y ~ w", "gaussian", {k: v[:2] for k, v in rows().items()}, "sigma is told by its prior alone"),
    "one row": ("y ~ 1", "gaussian", {k: v[:1] for k, v in rows().items()}, "sigma is told by its prior alone"),
    "one level": ("y ~ x + (1 | ones)", "gaussian", rows(), "one level only"),
    "one level, slopes": ("count ~ x + (1 + x | ones)", "poisson", rows(), "one level only"),
    "a factor of one level": ("y ~ factor(ones)", "gaussian", rows(), "one level only"),
    "one observation a group": ("y ~ x + (1 | id)", "gaussian", rows(), "each level of id has one row"),
    "one observation a group, bernoulli": ("above ~ x + (1 | id)", "bernoulli", rows(), "each level of id has one row"),
    "separation": ("above ~ x", "bernoulli", changed(above=lambda d: (d["x"] > 0) * 1), "separates the responses"),
    "separation by a factor": (
        "count ~ f",
        "poisson",
        changed(f=lambda d: d["x"] > 0, count=lambda d: d["count"] * (d["x"] <= 0)),
        "separates",
    ),
    "missing x": ("y ~ x", "gaussian", changed(x=np.nan * rows()["x"]), "no value at all"),
    "missing y": ("y ~ x", "gaussian", changed(y=np.nan * rows()["x"]), "no value at all"),
    "missing groups": ("y ~ x + (1 | g)", "gaussian", changed(g=np.array([None] * len(rows()["g"]), object)), "no value at all"),
    "constant x": ("y ~ x", "gaussian", changed(x=rows()["ones"]), "'x' is constant"),
    "constant slopes": ("y ~ 1 + (1 + x | g)", "gaussian", changed(x=3 * rows()["ones"]), "'x' is constant: slopes by g cannot be told"),
    "constant smooth": ("y ~ s(ones)", "gaussian", rows(), "does not vary"),
    "constant gp": ("y ~ gp(ones)", "gaussian", rows(), "one point only"),
    "constant mo": ("y ~ mo(level)", "gaussian", changed(level=0 * rows()["id"] + 1), "one value only"),
    "collinear": ("count ~ x + year", "poisson", rows(), "'year' is a linear combination of 'x'"),
}


def test_there_are_sixty():
    assert len(FITTED) + len(TOLD) >= 60


@pytest.mark.parametrize(("formula", "family", "data", "words"), TOLD.values(), ids=TOLD)
def test_what_to_do_is_said(formula, family, data, words):
    """An error, or a warning: before anything is sampled."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            brim.brm(formula, data, family, empty=True)
            said = " ".join(str(w.message) for w in caught if isinstance(w.message, BrimWarning))
        except BrimError as error:
            said = str(error)
    assert re.search(words, said), said


@lru_cache(maxsize=40)
def fitted_in_good_units(formula, family):
    return means(formula, family, rows())


def means(formula, family, data):
    """Mean and standard deviation of the expected response of some rows."""
    fit = brim.brm(formula, data, family, seed=1, chains=2, iter=400, progress=False)
    names = [v for v in fit.variables() if v.startswith(("b_", "sd_", "sigma", "bsp", "rescor", "ar["))]
    assert max(float(rhat(fit.draws[v])) for v in names) < 1.1
    epred = fit.posterior_epred(ndraws=200, seed=1)[:, ::7]
    return epred.mean(axis=0), epred.std(axis=0)


@pytest.mark.slow
@pytest.mark.default_precision
@pytest.mark.parametrize(("formula", "family", "change", "unit"), FITTED.values(), ids=FITTED)
def test_the_fit_is_that_of_good_units(formula, family, change, unit):
    mean, sd = means(formula, family, changed(**change))
    assert np.isfinite(mean).all()
    if unit is None or not change:
        return
    shift = 1e9 if change is FITTED["y + 1e9"][2] else 0.0
    plain, plain_sd = fitted_in_good_units(formula, family)
    assert np.abs((mean - shift) / unit - plain).max() < np.max(plain_sd)
    np.testing.assert_allclose(np.median(sd / unit), np.median(plain_sd), rtol=0.25)


# --------------------------------------------------------------------------- columns that are far from 0


@pytest.mark.parametrize(
    "formula", ["y ~ year + (1 + year | g)", pytest.param("y ~ year + (1 + year + w | gr(g, by = h))", marks=pytest.mark.slow)]
)
def test_the_density_of_parameters_is_that_without_the_shift(formula):
    """Constrain and unconstrain are inverse, the determinant is that of the derivatives, and priors do not know of the shift."""
    data = changed(w=lambda d: d["w"] + 1e3, h=lambda d: d["g"] % 2)
    fit = brim.brm(formula, data, empty=True)
    layout = fit.model.layout
    (shift,) = [p.shift for p in fit.model.params if p.shift is not None]
    assert [c for _, _, c in shift.by] == ([2010.0] if "w" not in formula else [2010.0, 1000.0])
    plain = replace(fit.model, params=tuple(replace(p, shift=None) for p in fit.model.params))
    one, two = model_target(fit.model, fit.frame), model_target(plain, fit.frame)

    def free(q):
        known = layout.constrain(q, one.data["fixed"])[0]
        below = [np.tril_indices(p.shape[-1], -1) if p.space == "cholesky_corr" else None for p in layout.params]
        parts = [known[p.name] if at is None else known[p.name][(..., *at)] for p, at in zip(layout.params, below, strict=True)]
        return jax.numpy.concatenate([x.ravel() for x in parts])

    with float64():
        q = layout.center() + 0.3 * np.random.default_rng(1).normal(size=layout.dim)
        params, log_det = layout.constrain(q, one.data["fixed"])
        np.testing.assert_allclose(layout.unconstrain(params), q, rtol=1e-8, atol=1e-8)
        head = layout.dim - params["z_1"].size
        slopes = jax.jacfwd(lambda h: free(jax.numpy.concatenate([h, q[head:]]))[:head])(q[:head])
        assert np.linalg.slogdet(np.asarray(slopes))[1] == pytest.approx(float(log_det), rel=1e-9)
        other = np.asarray(plain.layout.unconstrain(params))
        bare = [float(t.log_prob(at, t.data)) - float(t.log_jacobian(at, t.data)) for t, at in ((one, q), (two, other))]
        assert bare[0] == pytest.approx(bare[1], rel=1e-10)


@pytest.mark.default_precision
def test_slopes_of_years_are_found():
    """As in years from 2010, though the correlation with intercepts at year 0 is all but -1: sampled there, chains agree on no slopes."""
    wide = prior("student_t(3, 0, 1000000)", class_="sd")  # brms' own draws deviations of intercepts at year 0 to 0: here they are 150
    fit = brim.brm("y ~ year + (1 + year | g)", rows(), prior=wide, seed=1, chains=2, iter=600, progress=False)
    plain = brim.brm("y ~ x + (1 + x | g)", rows(), seed=1, chains=2, iter=600, progress=False)
    for name, unit in (("sd_g__{}", 6.0), ("b_{}", 6.0)):
        one, other = fit.draws[name.format("year")] * unit, plain.draws[name.format("x")]
        assert float(rhat(one)) < 1.03
        assert abs(one.mean() - other.mean()) < 0.5 * other.std()
    assert fit.draws["sigma"].mean() == pytest.approx(plain.draws["sigma"].mean(), rel=0.02)
    assert fit.draws["cor_g__Intercept__year"].max() < -0.999


def test_columns_near_0_are_sampled_as_they_are():
    assert all(p.shift is None for p in brim.brm("y ~ x + (1 + x + t | g)", rows(), empty=True).model.params)
    held = prior("constant(2)", class_="sd", coef="year", group="g")
    assert all(p.shift is None for p in brim.brm("y ~ year + (1 + year | g)", rows(), prior=held, empty=True).model.params)
    assert all(p.shift is None for p in brim.brm("y ~ year + (1 + year || g)", rows(), empty=True).model.params)
