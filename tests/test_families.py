"""Families: densities, tails, means and default priors against scipy and brms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from brim.errors import BrimError
from brim.families.base import Dpar
from brim.families.links import LINKS
from brim.families.registry import CONSTRUCTORS, family

Y = np.array([0.0, 1.0, 3.0, 7.0])
MU = np.array([0.2, 0.5, 0.7, 0.9])


def dist(name, data=None, **values):
    """The distribution of a family with its default links switched off: parameters given as they are."""
    dpars = {k: Dpar(jnp.asarray(v)) for k, v in values.items()}
    return family(name).distribution(dpars, data or {})


def test_gaussian_against_scipy():
    d, y = dist("gaussian", mu=MU, sigma=1.7), np.array([-60.0, 0.1, 2.0, 60.0])
    ref = stats.norm(MU, 1.7)
    np.testing.assert_allclose(d.log_prob(y), ref.logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(y), ref.logcdf(y), rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(d.log_survival(y), ref.logsf(y), rtol=1e-10, atol=1e-300)


def test_student_against_scipy():
    d, y = dist("student", mu=MU, sigma=1.7, nu=3.5), np.array([-1e6, 0.1, 2.0, 1e6])
    ref = stats.t(3.5, MU, 1.7)
    np.testing.assert_allclose(d.log_prob(y), ref.logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(y), ref.logcdf(y), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(d.log_survival(y), ref.logsf(y), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(("sigma", "scale"), [({}, 0.5), ({"sigma": 1.2}, 1.3), ({"sigma": 0.0}, 0.5)])
def test_known_standard_errors_join_sigma(sigma, scale):
    d = dist("gaussian", {"se": jnp.asarray(0.5)}, mu=1.0, **sigma)
    np.testing.assert_allclose(d.scale, scale, rtol=1e-15)


def test_bernoulli_and_binomial_against_scipy():
    np.testing.assert_allclose(
        dist("bernoulli", mu=MU).log_prob(np.array([0, 1, 1, 0])), stats.bernoulli(MU).logpmf([0, 1, 1, 0]), rtol=1e-12
    )
    d, ref = dist("binomial", {"trials": np.full(4, 9.0)}, mu=MU), stats.binom(9, MU)
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=1e-9)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=1e-9)
    np.testing.assert_allclose(d.mean, 9 * MU)


def test_poisson_and_rate_against_scipy():
    d, ref = dist("poisson", {"rate": 2.5}, mu=MU), stats.poisson(2.5 * MU)
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=1e-10)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=1e-10)
    np.testing.assert_allclose(d.mean, 2.5 * MU)


@pytest.mark.parametrize("shape", [0.3, 4.0, 1e7])
def test_negbinomial_and_rate_against_scipy(shape):
    d = dist("negbinomial", {"rate": 2.5}, mu=MU, shape=shape)
    ref = stats.nbinom(2.5 * shape, shape / (shape + MU))
    tol = 1e-6 if shape > 1e6 else 1e-10  # scipy's own cancellation
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=tol)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=tol)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=tol)


@pytest.mark.parametrize("name", ["poisson", "negbinomial", "binomial"])
def test_kernel_differs_from_density_by_a_constant(name):
    data = {"trials": jnp.asarray(9.0)} if name == "binomial" else {}
    more = {"shape": 2.0} if name == "negbinomial" else {}
    one, two = dist(name, data, mu=0.3, **more), dist(name, data, mu=0.8, **dict.fromkeys(more, 5.0))
    np.testing.assert_allclose(one.log_prob(Y) - one.log_kernel(Y), two.log_prob(Y) - two.log_kernel(Y), rtol=1e-12)


# brms 2.18: get_prior(bf(y ~ x), data, family), and with the parameter predicted; for negbinomial's shape brms 2.23
PRIORS = {
    ("gaussian", "sigma"): ("scale", "student_t(3, 0, 2.5)"),
    ("student", "sigma"): ("scale", "student_t(3, 0, 2.5)"),
    ("student", "nu"): ("gamma(2, 0.1)", "normal(2.7, 0.8)"),
    ("negbinomial", "shape"): ("inv_gamma(0.4, 0.3)", "student_t(3, 0, 2.5)"),
}


@pytest.mark.parametrize(("name", "dpar"), PRIORS)
def test_default_priors(name, dpar):
    spec = family(name).spec(dpar)
    assert (spec.prior, spec.prior_of_intercept(spec.links[0])) == PRIORS[name, dpar]
    assert spec.prior_of_intercept("identity") == spec.prior


def test_links_are_chosen_by_argument():
    fam = brim.student("log", link_nu="identity")
    assert fam.links == {"mu": "log", "sigma": "log", "nu": "identity"}
    assert fam.link("nu") is LINKS["identity"]
    assert family("student", link="inverse").links["mu"] == "inverse"
    assert family(brim.poisson).links == {"mu": "log"}
    assert repr(brim.student()) == "student(mu = identity, sigma = log, nu = logm1)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: family("gausian"), "unknown family 'gausian'\ndid you mean 'gaussian'?"),
        (lambda: brim.poisson("logit"), "link 'logit' of mu is not one of poisson's"),
        (lambda: brim.student(link_sigma="lgo"), "link 'lgo' of sigma is not one of student's\ndid you mean 'log'?"),
        (lambda: brim.student(link_sgma="log"), "student() has no argument 'link_sgma'\ndid you mean 'link_sigma'"),
        (lambda: brim.student("log", "log", "log", "log"), "student(): too many positional arguments"),
        (lambda: brim.student().spec("shape"), "family 'student' has no parameter 'shape'"),
    ],
)
def test_wrong_names_are_told(call, message):
    with pytest.raises(BrimError) as info:
        call()
    assert message in str(info.value)


@pytest.mark.parametrize(
    ("name", "y", "data", "message"),
    [
        ("poisson", [0, -1, 2.5], {}, "poisson needs non-negative whole numbers; rows 1, 2 (counted from 0) hold -1, 2.5"),
        ("bernoulli", [0, 1, 2], {}, "bernoulli needs 0 and 1 (or logicals, or a factor of two levels); row 2 (counted from 0) holds 2"),
        (
            "binomial",
            [3, 5],
            {"trials": np.array([4, 4])},
            "binomial needs whole numbers from 0 to the number of trials; row 1 (counted from 0) holds 5",
        ),
        ("gaussian", [1.0, np.inf], {}, "gaussian needs finite numbers; row 1 (counted from 0) holds inf"),
        ("negbinomial", [-1] * 7, {}, "rows 0, 1, 2, 3, 4 and 2 more (counted from 0) hold -1, -1, -1, -1, -1"),
    ],
)
def test_responses_outside_the_support_name_the_rows(name, y, data, message):
    with pytest.raises(BrimError) as info:
        family(name).check(np.asarray(y, float), data)
    assert message in str(info.value)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_are_public_and_described(name):
    assert getattr(brim, name) is CONSTRUCTORS[name]
    assert "Links, the default first: mu: " in CONSTRUCTORS[name].__doc__
    family(name).check(np.asarray([0.0, 1.0]), {"trials": 1})


def test_gradients_are_finite_where_the_mean_is_zero():
    """sqrt and identity links reach a rate of 0, which only a count of 0 survives."""
    for name in ("identity", "sqrt"):

        def loglik(eta, link=LINKS[name]):
            return family("poisson").distribution({"mu": Dpar(eta, link)}, {}).log_prob(0.0)

        value, slope = jax.value_and_grad(loglik)(0.0)
        assert value == 0.0
        assert np.isfinite(slope)
