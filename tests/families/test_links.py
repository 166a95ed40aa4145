"""Links: round trips, log space, derivatives at the far ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from brim.distributions.numerics.gammas import lgamma_ratio
from brim.distributions.numerics.logspace import log0, log1mexp, softplus, times
from brim.distributions.numerics.tails import log_betainc, log_gammainc, log_gammaincc
from brim.errors import BrimError
from brim.families.links import LINKS, link

PROBABILITY = ("logit", "probit", "probit_approx", "cloglog", "cauchit", "softit", "loglog")
POSITIVE = ("log", "sqrt", "softplus", "squareplus", "inverse", "1/mu^2")

# brms 2.18: brms:::inv_link(0.3, name); loglog is exp(-exp(-0.3));
# probit_approx is Stan's Phi_approx, plogis(0.07056 * 0.3^3 + 1.5976 * 0.3)
INVERSE_AT_0_3 = {
    "identity": 0.3,
    "log": 1.3498588075760032,
    "logit": 0.57444251681165903,
    "probit": 0.61791142218895267,
    "probit_approx": 0.61802768452061396,
    "cloglog": 0.74072313400917245,
    "cauchit": 0.59277357907774237,
    "inverse": 3.3333333333333335,
    "sqrt": 0.09,
    "1/mu^2": 1.8257418583505538,
    "logm1": 2.34985880757600318,
    "log1p": 0.34985880757600307,
    "tan_half": 0.58291358895573420,
    "softplus": 0.85435524446852718,
    "squareplus": 1.16118742080783410,
    "softit": 0.46072900379635301,
    "loglog": 0.4767236907145941,
}


@pytest.mark.parametrize("name", LINKS)
def test_inverse_is_that_of_brms(name):
    np.testing.assert_allclose(link(name).inverse(0.3), INVERSE_AT_0_3[name], rtol=1e-13)


@pytest.mark.parametrize("name", LINKS)
def test_forward_undoes_inverse(name):
    positive = name in ("sqrt", "inverse", "1/mu^2")
    top = 1.5 if name == "cloglog" else 3.0  # beyond, 1 - mu has no digits left
    eta = jnp.linspace(0.1 if positive else -3.0, top, 31)
    np.testing.assert_allclose(link(name).forward(link(name).inverse(eta)), eta, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", PROBABILITY)
def test_log_space_of_probabilities(name):
    one = link(name)
    eta = jnp.linspace(-3.0, 1.5 if name == "cloglog" else 3.0, 25)
    p = np.asarray(one.inverse(eta))
    np.testing.assert_allclose(one.log_inverse(eta), np.log(p), rtol=1e-10)
    np.testing.assert_allclose(one.log1m_inverse(eta), np.log1p(-p), rtol=1e-9)
    np.testing.assert_allclose(one.logit_inverse(eta), special.logit(p), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(one.bernoulli_log(eta, 2.0, 3.0), 2 * np.log(p) + 3 * np.log1p(-p), rtol=1e-9)


@pytest.mark.parametrize("name", POSITIVE)
def test_log_space_of_positive_numbers(name):
    eta = jnp.linspace(0.05, 4.0, 25)
    np.testing.assert_allclose(link(name).log_inverse(eta), np.log(link(name).inverse(eta)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "eta", "log_mu"),
    [
        ("logit", -800.0, -800.0),
        ("probit", -50.0, stats.norm.logcdf(-50.0)),
        ("cloglog", -700.0, -700.0),
        ("cauchit", -1e12, -np.log(np.pi) - 12 * np.log(10)),
        ("softplus", -700.0, -700.0),
        ("softit", -700.0, -700.0),
        ("squareplus", -1e9, -9 * np.log(10)),
    ],
)
def test_far_lower_tail_stays_in_log_space(name, eta, log_mu):
    np.testing.assert_allclose(link(name).log_inverse(eta), log_mu, rtol=1e-12)


def test_far_upper_tail_of_probabilities():
    np.testing.assert_allclose(link("logit").log1m_inverse(800.0), -800.0)
    np.testing.assert_allclose(link("probit").log1m_inverse(50.0), stats.norm.logcdf(-50.0), rtol=1e-12)
    np.testing.assert_allclose(link("cloglog").log1m_inverse(5.0), -np.exp(5.0), rtol=1e-14)
    np.testing.assert_allclose(link("cloglog").logit_inverse(3.0), np.log(np.expm1(np.exp(3.0))), rtol=1e-14)
    np.testing.assert_allclose(link("cauchit").log1m_inverse(1e12), -np.log(np.pi) - 12 * np.log(10), rtol=1e-12)


@pytest.mark.parametrize("name", PROBABILITY)
@pytest.mark.parametrize("eta", [-30.0, -5.0, 0.0, 5.0, 30.0])
def test_derivatives_of_the_likelihood_are_finite_far_out(name, eta):
    eta = min(eta, 5.0) if name == "cloglog" else max(eta, -5.0) if name == "loglog" else eta
    for y in (0.0, 1.0):
        first = jax.grad(lambda e, y=y: link(name).bernoulli_log(e, y, 1 - y))
        assert np.isfinite(first(eta))
        assert np.isfinite(jax.grad(first)(eta))


@pytest.mark.parametrize("name", ["identity", "log"])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_certain_outcomes_have_finite_derivatives(name, y):
    """Probability 1 of what happened: log likelihood 0, no NaN from the impossible outcome's log."""
    if name == "log" and y == 0.0:
        return  # exp(eta) never is 0
    eta = float(link(name).forward(y)) if name == "identity" else 0.0
    value, slope = jax.value_and_grad(lambda e: link(name).bernoulli_log(e, y, 1 - y))(eta)
    assert value == 0.0
    assert np.isfinite(slope)


def test_unknown_link_names_the_near_one():
    with pytest.raises(BrimError, match="did you mean 'logit'"):
        link("lgoit")


def test_softplus_has_analytic_derivatives():
    x = jnp.asarray([-800.0, -2.0, 0.0, 3.0, 800.0])
    np.testing.assert_allclose(softplus(x), np.logaddexp(0.0, x))
    np.testing.assert_allclose(jax.vmap(jax.grad(softplus))(x), special.expit(x))
    p = special.expit(np.asarray(x))
    np.testing.assert_allclose(jax.vmap(jax.hessian(softplus))(x), p * (1 - p), atol=1e-300)


def test_zero_times_minus_infinity_is_zero():
    value, slope = jax.value_and_grad(lambda x: times(0.0, log0(x)))(0.0)
    assert value == 0.0
    assert slope == 0.0


def test_log1mexp():
    x = jnp.asarray([-1e-20, -0.5, -2.0, -50.0])
    np.testing.assert_allclose(log1mexp(x), [np.log(1e-20), np.log(-np.expm1(-0.5)), np.log1p(-np.exp(-2.0)), -np.exp(-50.0)], rtol=1e-14)
    assert log1mexp(0.0) == -np.inf


def test_incomplete_gamma():
    rng = np.random.default_rng(1)
    a = np.exp(rng.uniform(-5, 8, 500))
    x = a * np.exp(rng.normal(size=500) / np.sqrt(1 + a))
    np.testing.assert_allclose(log_gammainc(a, x), np.log(special.gammainc(a, x)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(log_gammaincc(a, x), np.log(special.gammaincc(a, x)), rtol=1e-9, atol=1e-12)
    # far tails, R: pgamma(c(2000, 1e-3), c(3, 40), lower.tail = c(FALSE, TRUE), log.p = TRUE)
    np.testing.assert_allclose(log_gammaincc(3.0, 2000.0), -1985.49034226164, rtol=1e-12)
    np.testing.assert_allclose(log_gammainc(40.0, 1e-3), -386.631826483516, rtol=1e-12)


def test_incomplete_beta():
    rng = np.random.default_rng(2)
    a, b = np.exp(rng.uniform(-4, 7, (2, 500)))
    v = np.log(a / b) + rng.normal(size=500) * np.minimum(np.sqrt(1 / a + 1 / b), 4.0)
    x = special.expit(v)
    below, above = log_betainc(a, b, v)
    np.testing.assert_allclose(below, np.log(special.betainc(a, b, x)), rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(above, np.log(special.betaincc(a, b, x)), rtol=1e-8, atol=1e-11)
    # R: pbeta(1e-30, 20, 3, log.p = TRUE)
    np.testing.assert_allclose(log_betainc(20.0, 3.0, special.logit(1e-30))[0], -1376.10863808591, rtol=1e-12)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_incomplete_beta_is_smooth_in_every_argument(which):
    point = [2.5, 4.0, -0.3]

    def along(t, shift=0.0):
        args = list(point)
        args[which] = args[which] + t
        return special.betainc(args[0], args[1], special.expit(args[2]))

    def mine(t):
        args = [jnp.asarray(p) for p in point]
        args[which] = args[which] + t
        return jnp.exp(log_betainc(*args)[0])

    np.testing.assert_allclose(jax.grad(mine)(0.0), (along(1e-5) - along(-1e-5)) / 2e-5, rtol=1e-7)
    np.testing.assert_allclose(jax.hessian(mine)(0.0), (along(1e-3) - 2 * along(0) + along(-1e-3)) / 1e-6, rtol=1e-4)


def test_lgamma_ratio_does_not_cancel():
    # lgamma(1e9 + 5) - lgamma(1e9) = sum(log(1e9 + 0:4))
    np.testing.assert_allclose(lgamma_ratio(1e9, 5.0), np.log(1e9 + np.arange(5)).sum(), rtol=1e-15)
    np.testing.assert_allclose(lgamma_ratio(0.3, 4.0), np.log(0.3 + np.arange(4)).sum(), rtol=1e-14)
    np.testing.assert_allclose(lgamma_ratio(150.0, 1000.0), np.log(150.0 + np.arange(1000)).sum(), rtol=1e-14)
