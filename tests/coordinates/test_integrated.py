"""Group effects integrated out, against the multivariate normal law of the response written out with SciPy."""

import jax
import numpy as np
import pytest
from scipy import stats

import brim
from brim import bf, prior
from brim.coordinates.choose import Wish, coordinates
from brim.infer.diagnostics import ess_bulk
from references import data
from written_out import written_out

SIM = data("sim")
A = 0.5 ** np.abs(np.subtract.outer(range(9), range(9)))

#: formula, arguments of brm, how the likelihood is computed
STRUCTURES = {
    "intercepts": ("y ~ x + (1 | g)", {}),
    "slopes": ("y ~ x + z + (1 + x | g)", {}),
    "three coefficients": ("y ~ x + (1 + x + z | g)", {}),
    "uncorrelated": ("y ~ x + (1 + x || g)", {}),
    "by": ("y ~ x + (1 + x | gr(g, by = sex))", {}),
    "cov": ("y ~ x + (1 | gr(g, cov = A))", {"data2": {"A": A}}),
    "nested": ("y ~ x + (1 | g2 / f3)", {}),
    "crossed": ("y ~ x + (1 | g) + (1 | g2)", {}),
    "crossed slopes": ("y ~ x + (1 + x | g) + (1 + z || g2)", {}),
    "crossed with the nested": ("y ~ x + (1 | g2 / f3) + (1 + x | g)", {}),
    "three crossed": ("y ~ x + (1 + x | g) + (1 | g2) + (1 | f3)", {}),
    "crossed by": ("y ~ x + (1 | h1) + (1 + x | gr(g, by = sex)) + (1 | g2)", {}),
    "crossed and cov": ("y ~ x + (1 + x | gr(g, cov = A)) + (1 | g2)", {"data2": {"A": A}}),
    "cov of slopes": ("y ~ x + (1 + x | gr(g, cov = A))", {"data2": {"A": A}}),
    "memberships": ("y ~ x + (1 | mm(h1, h2))", {}),
    "memberships with slopes": ("y ~ x + (1 + x | mm(h1, h2, weights = cbind(w1, w2))) + (1 | g)", {}),
    "crossed, known errors": ("y | se(se) + weights(w) ~ x + (1 | g) + (1 + x | g2)", {}),
    "crossed, predicted sigma": (bf("y ~ x + (1 + x | g) + (1 + z | g2) + (1 | mm(h1, h2))", "sigma ~ z"), {}),
    "crossed, not linear": ("y ~ mo(xo) + (1 + x | g) + (1 | g2) + (1 | mm(h1, h2))", {}),
    "crossed and smooth": ("y ~ s(x, k = 5) + (1 + x | g) + (1 + x | g2)", {}),
    "crossed, smooth, predicted sigma": (bf("y ~ s(x, k = 5) + (1 | g2 / f3) + (1 | g)", "sigma ~ z"), {}),
    "crossed and process": ("y ~ gp(x) + (1 | g) + (1 | g2)", {}),
    "two terms of a block": ("y ~ x + (1 | p | g2) + (0 + x | p | g2) + (1 | g)", {}),
    "known errors": ("y | se(se) ~ x + (1 | g)", {}),
    "known errors and sigma": ("y | se(se, sigma = TRUE) ~ x + (1 | g)", {}),
    "predicted sigma": (bf("y ~ x + (1 + x | g)", "sigma ~ z"), {}),
    "smooth": ("y ~ s(x, k = 5) + (1 | g)", {}),
    "smooth alone": ("y ~ z + s(x, k = 5)", {}),
    "smooths": ("y ~ s(x, k = 5) + s(z, k = 4, by = f3) + (1 + x | g)", {}),
    "tensor product and nested": ("y ~ t2(x, z, k = 3) + (1 | g2 / f3)", {}),
    "smooth of groups": ("y ~ s(x, g2, bs = 'fs', k = 4) + (1 | g)", {}),
    "smooth and four coefficients": ("y ~ s(x, k = 5) + (1 + x + z + w + x:z | g)", {}),
    "smooth and cov": ("y ~ s(x, k = 5) + (1 | gr(g, cov = A))", {"data2": {"A": A}}),
    "smooth and weights": ("y | weights(w) ~ s(x, k = 5) + (1 | g)", {}),
    "smooth and predicted sigma": (bf("y ~ s(x, k = 5) + (1 | g)", "sigma ~ z"), {}),
    "smooth and not linear": ("y ~ s(x, k = 5) + mo(xo) + (1 | g)", {}),
    "smooth alone and not linear": ("y ~ s(x, k = 5) + mo(xo)", {}),
    "smooth alone and predicted sigma": (bf("y ~ s(x, k = 5)", "sigma ~ s(z, k = 4)"), {}),
    "process of a basis": ("y ~ gp(x, k = 20, by = sex, c = 1.25) + (1 | g)", {}),
    "process": ("y ~ gp(x) + s(z, k = 4) + (1 | g)", {}),
    "processes": ("y ~ z + gp(x, by = sex)", {}),
    "smooth and crossed": ("y ~ s(x, k = 5) + (1 | g) + (1 | g2)", {}),
    "weights": ("y | weights(w) ~ x + (1 | g)", {}),
    "shrunk sds": (
        "y ~ x + (1 + x | g) + (1 | g2)",
        {"prior": prior("horseshoe(main = TRUE)") + prior("horseshoe()", class_="sd")},
    ),
    "shrunk by R2D2": ("y ~ s(x, k = 5) + (1 | g)", {"prior": prior("R2D2(main = TRUE)", class_="sd") + prior("R2D2()", class_="sds")}),
    "shrunk coefficients": ("y ~ x + z + f3", {"prior": prior("horseshoe(1)")}),
    "shrunk coefficients and slopes": ("y ~ x + z + (1 + x | g)", {"prior": prior("R2D2()")}),
    "shrunk coefficients and predicted sigma": (bf("y ~ x + z", "sigma ~ x"), {"prior": prior("horseshoe(1)")}),
    "offset and a prior": ("y ~ x + offset(z) + (1 | g)", {"prior": prior("normal(0, 1)")}),
}


def built(name):
    formula, more = STRUCTURES[name]
    fit = brim.brm(formula, data=SIM, empty=True, **more)
    return fit, integrated(fit, True)


def integrated(fit, marginalize="auto"):
    """Coordinates with as much integrated out as can be."""
    return coordinates(fit.model, fit.frame, Wish("", marginalize))


#: Structures whose parts other ones have too.
ALSO = (
    *("crossed", "crossed slopes", "three crossed", "cov of slopes", "memberships", "crossed, known errors", "crossed and smooth"),
    *("two terms of a block", "crossed with the nested", "crossed and process", "smooth and crossed"),
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in ALSO else n for n in STRUCTURES])
def test_density_is_the_integral(name):
    fit, marginal = built(name)
    assert marginal.target.dim < fit.model.layout.dim
    q = np.random.default_rng(4).normal(size=marginal.target.dim) * 0.4
    mine = float(jax.jit(marginal.target.log_prob)(q, marginal.target.data))
    assert mine == pytest.approx(written_out(fit, marginal, q), rel=1e-9)


@pytest.mark.parametrize("name", ["slopes", "by", "nested", "predicted sigma", "crossed with the nested", "crossed, predicted sigma"])
def test_gradient_is_that_of_finite_differences(name):
    _, marginal = built(name)
    rng = np.random.default_rng(5)
    q, v = rng.normal(size=(2, marginal.target.dim)) * 0.3
    value = jax.jit(lambda q: marginal.target.log_prob(q, marginal.target.data))
    slope = (value(q + 1e-5 * v) - value(q - 1e-5 * v)) / 2e-5
    assert float(jax.jit(jax.grad(value))(q) @ v) == pytest.approx(float(slope), rel=1e-6)


def test_a_great_mean_costs_no_digits():
    """Sums of squares of responses around 1e6 keep the residuals' digits."""
    far = SIM.assign(y=SIM.y + 1e6)
    one, two = (brim.brm("y ~ x + (1 + x | g)", data=d, empty=True) for d in (SIM, far))
    low, high = (integrated(f, True).target for f in (one, two))
    q = np.full(low.dim, 0.2)
    moved = q.copy()
    moved[0] += 1e6  # the intercept comes first
    rows = [(f.model.rows, p) for f in (one, two) for p in f.model.params if p.name == "Intercept"]
    assert len(rows) == 2
    difference = float(low.log_prob(q, low.data)) - float(high.log_prob(moved, high.data))
    priors = [stats.t(3, *p.pieces[0].args[1:]).logpdf(m) for (_, p), m in zip(rows, (0.2, 1e6 + 0.2), strict=True)]
    assert difference == pytest.approx(priors[0] - priors[1], abs=1e-5)


def test_curves_that_would_cost_too_much_are_sampled(monkeypatch):
    """9 levels x 9 products for 3 coefficients of the curve, with 90 rows of unknown precision 90 x 9."""
    fit = brim.brm(bf("y ~ s(x, k = 5) + (1 | g)", "sigma ~ z"), data=SIM, empty=True)
    for most, kept in ((809, False), (810, True)):
        monkeypatch.setattr("brim.coordinates.integrated.which.MOST_WORK", most)
        e = integrated(fit).plan.integrated
        assert bool(e.curves) == kept
        assert len(e.blocks) == 1
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_WORK", 0)
    alone = brim.brm(bf("y ~ s(x, k = 5)", "sigma ~ z"), data=SIM, empty=True)
    assert integrated(alone).plan.integrated is None
    with pytest.raises(brim.errors.BrimError, match="its smooths have too many coefficients for the number of rows"):
        integrated(alone, True)


def both(formula, **more):
    run = {"chains": 4, "iter": 1500, "seed": 1, "progress": False, **more}
    return (brim.brm(formula, data=SIM, marginalize=m, **run) for m in (True, False))


@pytest.mark.parametrize("formula", ["y ~ x + (1 + x | g)", "y ~ s(x, k = 5) + (1 | g)"])
@pytest.mark.default_precision
def test_both_ways_give_one_posterior(formula):
    """Means and standard deviations of all parameters and effects, within five combined Monte Carlo errors."""
    out, whole = both(formula, control={"adapt_delta": 0.95})
    assert "integrated out" in out.engine
    for name in (v for v in out.variables() if v not in ("lp__", "lprior")):
        a, b = out.draws[name], whole.draws[name]
        error = np.hypot(a.std() / np.sqrt(ess_bulk(a)), b.std() / np.sqrt(ess_bulk(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
        assert a.std() == pytest.approx(b.std(), rel=0.25), name


@pytest.mark.default_precision
def test_effects_follow_their_conditional_law():
    """Hyperparameters held constant: the effects' draws have the closed-form conditional mean and variance."""
    given = (
        prior("constant(0.5)", class_="Intercept")
        + prior("constant(0.8)", class_="sd")
        + prior("constant(1.2)", class_="sigma")
        + prior("normal(0, 0.001)")
    )
    fit = brim.brm("y ~ x + (1 | g)", data=SIM, prior=given, marginalize=True, chains=4, iter=1500, seed=2, progress=False)
    shift = 0.5  # the intercept is held where x has its mean; the slope is held near 0 by its prior
    for level, rows in SIM.groupby("g", observed=True):
        precision = len(rows) / 1.2**2 + 1 / 0.8**2
        mean = (rows.y - shift).sum() / 1.2**2 / precision
        draws = fit.draws[f"r_g[{level},Intercept]"]
        n = draws.size
        assert abs(draws.mean() - mean) < 5 / np.sqrt(precision * n) + 2e-3
        assert draws.std() == pytest.approx(1 / np.sqrt(precision), rel=5 / np.sqrt(2 * n))


@pytest.mark.parametrize(
    ("formula", "family", "why"),
    [
        ("ycount ~ x + (1 | g)", "poisson", "gaussian"),
        ("y ~ x", "gaussian", "no group effects"),
        ("y ~ mo(xo) + (mo(xo) | g)", "gaussian", "special effects vary"),
        ("y ~ x + (1 | gr(g, dist = 'student'))", "gaussian", "not normally distributed"),
        ("y ~ x + ar(t, person) + (1 | g)", "gaussian", "not a sum of effects"),
        ("y ~ x + (1 | g) + cosy(gr = g)", "gaussian", "residuals are correlated"),
    ],
)
def test_what_cannot_be_integrated_out_is_said(formula, family, why):
    with pytest.raises(brim.BrimError) as caught:
        brim.brm(formula, data=SIM, family=family, marginalize=True, chains=1, iter=20, progress=False)
    assert why in str(caught.value)
    assert "marginalize='auto'" in str(caught.value)
