"""The model's densities: against NumPyro on the same program, and structure that every engine relies on."""

import jax
import numpy as np
import pytest
from numpyro.infer.util import log_density as numpyro_log_density

import brim
from brim import bf, prior
from brim.fit.run import target
from brim.model.model import log_joint, log_joint_function
from brim.model.numpyro import to_numpyro
from references import data

SIM = data("sim")

MODELS = {
    "gaussian": ("y ~ x + (1 + x | g)", "gaussian", None),
    "lkj": ("y ~ x + (1 + x + z | g)", "gaussian", prior("lkj(2)", class_="cor") + prior("exponential(1)", class_="sd", group="g")),
    "bounded": ("y ~ x + z", "student", prior("normal(0, 1)", lb=-1, ub=2) + prior("gamma(2, 1)", class_="sigma")),
    "student effects": ("y ~ x + (1 | gr(g, dist = 'student'))", "gaussian", None),
    "sigma": (bf("y ~ x", "sigma ~ x + (1 | g)"), "gaussian", None),
}


@pytest.mark.parametrize("name", MODELS)
def test_log_joint_is_that_of_the_numpyro_program(name):
    """At the same parameters NumPyro's log density plus the Jacobian of the constraints is ``log_joint``."""
    formula, family, given = MODELS[name]
    fit = brim.brm(formula, data=SIM, family=family, prior=given, empty=True)
    inputs = fit.model.data(fit.frame)
    q = np.random.default_rng(1).normal(size=fit.model.layout.dim) * 0.4
    params, log_det = fit.model.layout.constrain(q, inputs["fixed"])
    sites = {k: v for k, v in params.items() if k not in inputs["fixed"]}
    theirs, _ = numpyro_log_density(to_numpyro(fit.model, inputs), (), {}, sites)
    assert log_joint(fit.model, q, inputs) == pytest.approx(float(theirs + log_det), rel=1e-12)


def test_jacobian_is_the_determinant_of_the_map():
    """For a model with bounds, a correlation and a simplex-free layout: log |d params / d q| by autodiff."""
    fit = brim.brm("y ~ x + (1 + x | g)", data=SIM, prior=prior("normal(0, 1)", lb=-2, ub=3), empty=True)
    layout = fit.model.layout
    q = np.random.default_rng(2).normal(size=layout.dim) * 0.5

    def free(q):
        p, _ = layout.constrain(q, {})
        parts = [p["L_1"][1, :1] if k == "L_1" else jax.numpy.ravel(v) for k, v in p.items()]
        return jax.numpy.concatenate(parts)

    sign, expected = np.linalg.slogdet(np.asarray(jax.jacobian(free)(q)))
    assert layout.constrain(q, {})[1] == pytest.approx(expected, rel=1e-10)
    assert sign == 1


def test_equal_models_share_one_function():
    one = brim.brm("y ~ x + (1 | g)", data=SIM, empty=True)
    two = brim.brm("y ~ x + (1 | g)", data=SIM.assign(y=SIM.y * 3), empty=True)
    assert target(one).log_prob is target(two).log_prob
    assert log_joint_function(one.model) is target(one).log_prob


def test_constant_elements_are_not_sampled():
    free = brim.brm("y ~ x + z", data=SIM, empty=True)
    held = brim.brm("y ~ x + z", data=SIM, prior=prior("constant(0.5)", coef="z"), empty=True)
    assert held.model.layout.dim == free.model.layout.dim - 1
    params, _ = held.model.layout.constrain(np.ones(held.model.layout.dim), held.model.data(held.frame)["fixed"])
    np.testing.assert_array_equal(params["b"], [1.0, 0.5])


def test_prior_only_leaves_the_likelihood_out():
    given = prior("normal(0, 1)")
    fit = brim.brm("y ~ x + (1 | g)", data=SIM, prior=given, sample_prior="only", empty=True)
    other = brim.brm("y ~ x + (1 | g)", data=SIM.assign(y=SIM.y + 0.001), prior=given, sample_prior="only", empty=True)
    q = np.zeros(fit.model.layout.dim)
    assert log_joint(fit.model, q, fit.model.data(fit.frame)) == log_joint(other.model, q, other.model.data(other.frame))


def test_prior_only_draws_follow_the_priors():
    """No likelihood: quantiles of the draws are those of the priors (a half normal for sd, a gamma for sigma)."""
    from scipy import stats

    given = (
        prior("normal(1, 2)")
        + prior("normal(0, 1)", class_="sd")
        + prior("gamma(3, 2)", class_="sigma")
        + prior("normal(5, 1)", class_="Intercept")
    )
    fit = brim.brm("y ~ x + (1 | g)", data=SIM, prior=given, sample_prior="only", chains=2, iter=3000, seed=1, progress=False)
    laws = {"b_x": stats.norm(1, 2), "sd_g__Intercept": stats.halfnorm(), "sigma": stats.gamma(3, scale=0.5)}
    for name, law in laws.items():
        draws = np.ravel(fit.draws[name])
        ess = float(brim_ess(fit.draws[name]))
        for p in (0.1, 0.5, 0.9):
            share = np.mean(draws <= law.ppf(p))
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / ess)


def brim_ess(x):
    from brim.infer.diagnostics import ess_tail

    return ess_tail(x)
