"""Noise-free values in coordinates that follow the measurements: the map's Jacobian, a closed form, and what another fit may start from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from brim import bf, set_rescor
from brim.coordinates.plan import Plan, log_density_function
from brim.fit.run import coordinates, target
from references import data

SIM = data("sim").assign(sdz=lambda d: 0.2 + 0.1 * d.se, gx=lambda d: d.groupby("g", observed=True).x.transform("mean"), gs=0.3)

#: formula, family, the responses that tell of the noise-free values
STRUCTURES = {
    "one": ("y ~ me(x, sdx)", "gaussian", (0,)),
    "known error": ("y | se(se, sigma = TRUE) ~ me(x, sdx) * z", "gaussian", (0,)),
    "two": ("y ~ me(x, sdx) + me(z, sdz)", "gaussian", (0,)),
    "by group": ("y ~ me(gx, gs, gr = g) + z", "gaussian", (0,)),
    "effects integrated out": ("y ~ me(x, sdx) + (1 + z | g)", "gaussian", (0,)),
    "sigma": (bf("y ~ me(x, sdx)", "sigma ~ z"), "gaussian", (0,)),
    "product": ("y ~ me(x, sdx) * me(z, sdz)", "gaussian", ()),
    "in sigma": (bf("y ~ z", "sigma ~ me(x, sdx)"), "gaussian", ()),
    "counts": ("ycount ~ me(x, sdx)", "poisson", ()),
    "two responses": (bf("y ~ me(x, sdx)") + bf("ycount ~ me(x, sdx)", family="poisson") + bf("y2 ~ me(x, sdx)"), "gaussian", (0, 2)),
    "tied responses": (bf("y ~ me(x, sdx)") + bf("y2 ~ me(x, sdx)") + set_rescor(True), "gaussian", ()),
    "beside adapted effects": ("ycount ~ me(x, sdx) + (1 + x | g)", "poisson", ()),
    "beside effects of all kinds": ("y ~ me(x, sdx) + s(w, k = 4) + (1 | g) + (1 + z | g2)", "gaussian", (0,)),
    "beside memberships": ("y ~ me(x, sdx) + (1 | mm(h1, h2))", "gaussian", (0,)),
    "other rows": (bf("y | subset(sub1) ~ me(x, sdx)") + bf("y2 ~ z") + set_rescor(False), "gaussian", (0, 1)),
}


def space_of(formula, family):
    space = coordinates(brim.brm(formula, data=SIM, family=family, empty=True))
    assert space.plan.measured is not None
    return space


def inner_density(space):
    """The density that these coordinates are mapped to."""
    return log_density_function(Plan(space.plan.model, space.plan.integrated))


def place(space):
    """Where ``e`` of the first grouping stands."""
    return space.plan.measured.position(space.plan.measured.vectors[0])


def anywhere(space, seed=2):
    rng = np.random.default_rng(seed)
    return jnp.asarray(space.plan.center() + 0.3 * rng.normal(size=space.target.dim))


@pytest.mark.parametrize("name", STRUCTURES)
def test_density_has_the_jacobian_of_the_map(name):
    formula, family, informed = STRUCTURES[name]
    space = space_of(formula, family)
    assert space.plan.measured.informed == (informed,)
    check_jacobian(space)


def test_density_with_several_groupings_has_the_jacobian_of_the_map():
    """Each follows its measurements and the response, given those before it."""
    space = space_of("y ~ me(x, sdx) * z + me(gx, gs, gr = g) + (1 | g2)", "gaussian")
    assert space.plan.measured.informed == ((0,), (0,))
    check_jacobian(space)


def check_jacobian(space):
    values = space.target.data

    @jax.jit
    def both(q, values):
        own = space.plan.own(q, values)[0]
        jacobian = jax.jacfwd(lambda q: space.plan.own(q, values)[0])(q)
        return space.target.log_prob(q, values), inner_density(space)(own, values["inner"]), jacobian

    found, inner, jacobian = both(anywhere(space), values)
    log_det = np.linalg.slogdet(np.asarray(jacobian))[1]
    assert abs(log_det) > 1.0
    assert float(found) == pytest.approx(float(inner) + log_det, rel=1e-10)


@pytest.mark.parametrize("name", ["one", "known error", "two", "by group", "sigma"])
def test_coordinates_of_a_normal_linear_model_are_standard_normal(name):
    """Whatever the other parameters: the density is that of these, times ``N(e; 0, I)``."""
    space = space_of(*STRUCTURES[name][:2])
    at = place(space)
    here = np.asarray(anywhere(space))
    there = here.copy()
    there[at] = np.random.default_rng(5).normal(size=at.stop - at.start)
    left = [float(space.target.log_prob(jnp.asarray(q), space.target.data)) - stats.norm.logpdf(q[at]).sum() for q in (here, there)]
    assert left[0] == pytest.approx(left[1], rel=1e-11)


def test_marginal_density_is_that_of_the_bivariate_normal_law():
    """``x ~ N(m, s^2 + sdx^2)``, ``y | x`` normal: the density of the parameters without the noise-free values."""
    space = space_of("y ~ me(x, sdx)", "gaussian")
    q, values = np.asarray(anywhere(space)), space.target.data
    inputs, model = values["inner"], space.plan.inner
    params, log_det = model.layout.constrain(jnp.asarray(q), inputs["fixed"])
    full = model.transform(params, inputs["design"])
    others = sum(float(model_log) for model_log in (model.log_prior(full, inputs["design"], inputs["prior"]), log_det))
    mean, sd, slope = (float(np.ravel(v)[0]) for v in (params["meanme"], params["sdme"], full["bsp"]))
    x, y, noise = (SIM[name].to_numpy() for name in ("x", "y", "sdx"))
    center = float(full["b_Intercept"]) + slope * mean
    joint = [
        stats.multivariate_normal(
            [mean, center], [[sd**2 + s**2, slope * sd**2], [slope * sd**2, (slope * sd) ** 2 + float(full["sigma"]) ** 2]]
        )
        for s in noise
    ]
    expected = others + sum(law.logpdf([a, b]) for law, a, b in zip(joint, x, y, strict=True))
    found = float(space.target.log_prob(jnp.asarray(q), values)) - stats.norm.logpdf(q[place(space)]).sum()
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.default_precision
def test_draws_are_those_of_the_model():
    """``lp__`` is the model's density of the reported draws, and a fit tells another where to start."""
    fit = brim.brm("y ~ me(x, sdx)", data=SIM, chains=2, iter=400, seed=3, progress=False)
    assert "noise-free" in fit.engine
    own = target(fit)
    with jax.enable_x64(True):
        last = [float(own.log_prob(q, own.data)) for q in fit.info["last_q"]]
    np.testing.assert_allclose(last, fit.draws["lp__"][:, -1], rtol=1e-10)
    then = brim.brm("y ~ me(x, sdx)", data=SIM, chains=2, iter=200, seed=3, init=fit, progress=False)
    assert np.isfinite(then.draws["lp__"]).all()


def test_values_without_a_partner_keep_their_coordinates():
    assert coordinates(brim.brm("y ~ x", data=SIM, empty=True)).plan.measured is None
    fit = brim.brm("y ~ me(x, sdx)", data=SIM, control={"adapted_effects": False}, empty=True)
    assert coordinates(fit).plan.measured is None


def test_beside_effects_of_one_grouping_the_values_have_their_exact_mean():
    """With the effects integrated out ``log p`` is quadratic in ``e``, largest at 0."""
    space = space_of("y ~ me(x, sdx) + (1 + z | g)", "gaussian")
    at, q = place(space), np.asarray(anywhere(space))
    q = jnp.asarray(np.concatenate([q[: at.start], np.zeros(at.stop - at.start), q[at.stop :]]))
    slope = jax.jit(jax.grad(space.target.log_prob))(q, space.target.data)
    np.testing.assert_allclose(slope[at], 0.0, atol=1e-9)
