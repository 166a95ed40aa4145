"""Every term kind against the protocol; adding a kind adds a row."""

import numpy as np
import pytest

import brim
from brim.testing import check_model
from references import data
from structured_models import matrices

#: formula, family, further arguments of brm
KINDS = {
    "population": ("y ~ x * f3 + poly(z, 2)", "gaussian", {}),
    "no intercept": ("y ~ 0 + f3 + x", "gaussian", {}),
    "intercept as coefficient": ("y ~ 0 + Intercept + x", "gaussian", {}),
    "offset": ("ycount ~ x + offset(log(expo))", "poisson", {}),
    "group": ("y ~ x + (1 | g)", "gaussian", {}),
    "group, two coefficients": ("y ~ x + (1 + x | g)", "gaussian", {}),
    "group, uncorrelated": ("y ~ x + (1 + x || g)", "gaussian", {}),
    "group, factor": ("y ~ x + (0 + f3 | g)", "gaussian", {}),
    "crossed": ("y ~ x + (1 | g) + (1 + x | g2)", "gaussian", {}),
    "nested": ("y ~ x + (1 | g2 / f3)", "gaussian", {}),
    "gr by": ("ycount ~ x + (1 + x | gr(g, by = sex))", "poisson", {}),
    "gr by, uncorrelated": ("ycount ~ x + (1 + x || gr(g, by = sex))", "poisson", {}),
    "gr cov": ("y ~ x + (1 | gr(g, cov = A))", "gaussian", {"data2": {"A": 0.5 ** np.abs(np.subtract.outer(range(9), range(9)))}}),
    "gr student": ("y ~ x + (1 | gr(g, dist = 'student'))", "gaussian", {}),
    "gr pw": ("y ~ x + (1 + x | gr(g, pw = gw))", "gaussian", {}),
    "mm": ("y ~ x + (1 | mm(h1, h2, weights = cbind(w1, w2)))", "gaussian", {}),
    "mm and mmc": ("y ~ x + (1 + mmc(w1, w2) | mm(h1, h2))", "gaussian", {}),
    "sigma": (brim.bf("y ~ x + (1 | g)", "sigma ~ x + (1 | g)"), "gaussian", {}),
    "shared id": (brim.bf("y ~ x + (1 + x | ID | g)", "sigma ~ x + (1 | ID | g)"), "gaussian", {}),
    "constant": ("y ~ x + z + (1 | g)", "gaussian", {"prior": brim.prior("constant(0.5)", coef="x")}),
    "nonlinear": (brim.bf("y ~ a - exp(b) * z", "a ~ 1 + (1 | g)", "b ~ x", nl=True), "gaussian", {}),
    "residual correlation": (brim.bf("y ~ x + (1 | p | g)") + brim.bf("y2 ~ z + (1 | p | g)") + brim.set_rescor(True), "student", {}),
    "gp": ("y ~ gp(x, by = f3) + gp(z, by = w, gr = FALSE)", "gaussian", {}),
    "gp, basis": ("y ~ gp(x, z, k = 3, iso = FALSE, cov = 'matern15') + gp(z, by = sex, k = 4, cmc = FALSE)", "gaussian", {}),
    "arma": ("y ~ x + arma(t, person, p = 2, q = 1)", "gaussian", {}),
    "ar, latent": ("ycount ~ x + ar(t, person, p = 2)", "poisson", {}),
    "ar cov": ("y | se(se, sigma = TRUE) ~ x + arma(t, person, cov = TRUE)", "student", {}),
    "cosy": (brim.bf("y ~ x + cosy(t, person)", "sigma ~ x"), "gaussian", {}),
    "unstr": ("y ~ x + unstr(t, person)", "gaussian", {}),
    "unstr, latent": ("ycount ~ x + unstr(t, person)", "poisson", {}),
    "fcor": ("y ~ x + fcor(V)", "student", {"data2": matrices()}),
    "sar": ("y ~ x + sar(M)", "gaussian", {"data2": matrices()}),
    "sar error": ("y ~ x + sar(M, type = 'error')", "student", {"data2": matrices()}),
    "car": ("ycount ~ x + car(W, gr = g)", "poisson", {"data2": matrices()}),
    "car, esicar": ("ycount ~ x + car(W, gr = g, type = 'esicar')", "poisson", {"data2": matrices()}),
    "car, icar": ("ycount ~ x + car(W, gr = g, type = 'icar')", "poisson", {"data2": matrices()}),
    "car, bym2": ("ycount ~ x + car(W, gr = g, type = 'bym2')", "poisson", {"data2": matrices()}),
    "two responses": (
        brim.bf("y ~ x + (1 | p | g)") + brim.bf("ycount ~ z + (1 | p | g)", family="poisson") + brim.set_rescor(False),
        "gaussian",
        {},
    ),
    "mo": ("y ~ mo(xo) * z + mo(xo):mo(xint)", "gaussian", {}),
    "mo by group": (brim.bf("y ~ mo(xo) + (1 + mo(xo) | g)", "sigma ~ mo(xo)"), "gaussian", {}),
    "mo, shared simplex": ('y ~ mo(xo, id = "a") + mo(xo, id = "a"):f3', "gaussian", {}),
    "me": ("y ~ me(x, sdx) * z + me(z, sdx) + (me(x, sdx) || g)", "gaussian", {}),
    "me, independent": (brim.bf("y ~ me(x, sdx) + me(z, sdx)") + brim.set_mecor(False), "gaussian", {}),
    "me by group": ("y ~ me(gw, gz, gr = g)", "gaussian", {}),
    "me of two responses": (
        brim.bf("y ~ me(x, sdx)") + brim.bf("ycount ~ me(z, sdx):me(x, sdx)", family="poisson") + brim.set_rescor(False),
        "gaussian",
        {},
    ),
    "mi": (
        brim.bf("y ~ mi(xmis) * z + mo(xo):mi(xmis) + (mi(xmis) | g)") + brim.bf("xmis | mi() ~ z") + brim.set_rescor(False),
        "gaussian",
        {},
    ),
    "mi with error": (brim.bf("y ~ mi(xmis)") + brim.bf("xmis | mi(sdx) ~ z") + brim.set_rescor(False), "gaussian", {}),
    "mi of one response": ("xmis | mi() ~ z", "gaussian", {}),
    "cs": ("yord ~ cs(x * f3) + z + (cs(1 + x) | g) + (1 | g2)", "sratio", {}),
    "smooth": ("y ~ s(x) + z", "gaussian", {}),
    "smooth, several kinds": ("y ~ s(x, bs = 'cr', k = 5) + s(z, bs = 'cc', k = 6) + s(expo, bs = 'ps', k = 7)", "gaussian", {}),
    "smooth by a number": ("ycount ~ s(x, by = z, k = 4)", "poisson", {}),
    "smooth by a factor": (brim.bf("y ~ s(x, by = f3, k = 4)", "sigma ~ s(z, k = 4)"), "gaussian", {}),
    "smooth by group": ("y ~ s(x, g, bs = 'fs', k = 4) + s(g2, bs = 're') + s(g2, z, bs = 're')", "gaussian", {}),
    "tensor smooth": ("y ~ t2(x, z, k = 4)", "gaussian", {}),
    "tensor smooth, summed penalties": ("y ~ te(x, z, k = 4) + ti(x, expo, k = 3)", "gaussian", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_protocol(kind):
    formula, family, more = KINDS[kind]
    sim = data("sim").assign(gw=lambda d: d.g.cat.codes + 0.5, gz=0.3)
    fit = brim.brm(formula, data=sim, family=family, empty=True, **more)
    rows = np.random.default_rng(0).permutation(len(sim))
    check_model(fit.model, fit.frame, fit.frame.take(rows))


def test_models_of_one_structure_are_equal():
    """Other numbers in the data, same structure: one compiled program serves both."""
    sim = data("sim")
    one = brim.brm("y ~ x + (1 + x | g)", data=sim, empty=True).model
    two = brim.brm("y ~ x + (1 + x | g)", data=sim.assign(y=10 * sim.y, x=sim.x**2), empty=True).model
    assert one.rows != two.rows  # default priors are scaled to the data
    assert one == two
    assert hash(one) == hash(two)


def test_models_of_other_structure_differ():
    sim = data("sim")
    made = [
        brim.brm(f, data=sim, empty=True).model for f in ("y ~ x", "y ~ z", "y ~ x + (1 | g)", "y ~ x + (1 | g2)", "y ~ x + (1 + x || g)")
    ]
    assert len(set(made)) == len(made)


def test_prior_weights_multiply_the_density_of_each_level():
    """gr(pw = w): sum_j w_j log N(z_j), brms 2.22's definition."""
    sim = data("sim").assign(gw=lambda d: d.g.cat.codes + 0.5, gz=0.3)
    fit = brim.brm("y ~ 1 + (1 | gr(g, pw = gw))", data=sim, empty=True)
    inputs = fit.model.data(fit.frame)
    params, _ = fit.model.layout.constrain(np.linspace(-1, 1, fit.model.layout.dim), inputs["fixed"])
    full = fit.model.transform(params, inputs["design"])
    z = np.asarray(params["z_1"])[0]
    expected = np.sum((np.arange(9) + 0.5) * (-0.5 * z**2 - 0.5 * np.log(2 * np.pi)))
    assert float(fit.model.log_internal(full, inputs["design"], inputs["prior"])) == pytest.approx(expected, rel=1e-12)
