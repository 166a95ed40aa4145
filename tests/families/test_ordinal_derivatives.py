"""Derivatives of ordinal and categorical log likelihoods, and of the probabilities between thresholds, against formulas and mpmath."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from brim.families import Seen, family
from brim.families.base import Dpar
from brim.families.links import LINKS
from brim.families.simplex import LogisticNormal
from derivatives import RTOL, check, first_and_second

# ---------------------------------------------------------------------------------------------- categories

THRES = np.array([-1.0, 0.2, 1.5])


#: Distribution functions that take complex numbers.
CUMULATIVE = {
    "logit": lambda z: 1 / (1 + np.exp(-z)),
    "probit": lambda z: 0.5 * special.erfc(-z / np.sqrt(2)),
    "probit_approx": lambda z: 1 / (1 + np.exp(-(0.07056 * z**3 + 1.5976 * z))),
    "cloglog": lambda z: 1 - np.exp(-np.exp(z)),
    "cauchit": lambda z: 0.5 + np.arctan(z) / np.pi,
    "softit": lambda z: 1 - 1 / (1 + np.log1p(np.exp(z))),
}


def ordinal_probabilities(name, link, eta):
    """Probabilities (4,) of the categories from their definitions; complex steps give their derivatives."""
    f = CUMULATIVE[link]
    z = THRES - eta
    if name == "cumulative":
        return np.diff(np.concatenate([[0.0], f(z), [1.0]]))
    if name in ("sratio", "cratio"):
        stop = f(z) if name == "sratio" else 1 - f(-z)
        passed = np.concatenate([[1.0], np.cumprod(1 - stop)])
        return passed * np.concatenate([stop, [1.0]])
    odds = np.concatenate([[1.0], np.cumprod(f(-z) / (1 - f(-z)))])
    return odds / odds.sum()


@pytest.mark.parametrize("link", CUMULATIVE)
@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
@pytest.mark.parametrize("y", [1, 2, 4])
def test_ordinal(name, link, y):
    if link == "softit" and name in ("sratio", "cratio"):
        return  # no link of theirs
    etas = np.array([-0.4, 0.0, 0.6, 1.0]) if link == "cloglog" else np.array([-1.7, 0.0, 0.6, 2.0])  # where 1 - F has digits
    bound = family(name, link=link).learn(Seen(np.array([1.0, 4.0])))
    h = 1e-20

    def log_prob(eta):
        return bound.distribution({"mu": Dpar(eta, LINKS[link]), "thres": Dpar(jnp.asarray(THRES))}, {}).log_prob(
            jnp.full(eta.shape, float(y))
        )

    p = np.array([ordinal_probabilities(name, link, e)[y - 1] for e in etas])
    slope = np.array([ordinal_probabilities(name, link, e + 1j * h)[y - 1].imag / h for e in etas])
    found = first_and_second(log_prob, etas)
    np.testing.assert_allclose(found[0], slope / p, rtol=RTOL)
    # the second derivative as the complex step's difference quotient, extrapolated
    quotients = []
    for step in (1e-3, 5e-4):
        low, high = (
            np.array([(v := ordinal_probabilities(name, link, e + s * step + 1j * h)[y - 1]).imag / h / v.real for e in etas])
            for s in (-1, 1)
        )
        quotients.append((high - low) / (2 * step))
    np.testing.assert_allclose(found[1], (4 * quotients[1] - quotients[0]) / 3, rtol=RTOL)


@pytest.mark.parametrize("link", ["logit", "probit", "probit_approx", "cauchit", "softit"])
def test_far_thresholds_keep_finite_derivatives(link):
    """Categories that cannot be: log probabilities of -300, with slopes to match."""
    bound = family("cumulative", link=link).learn(Seen(np.array([1.0, 4.0])))
    for y in (1.0, 2.0, 4.0):
        found = first_and_second(
            lambda eta, y=y: bound.distribution({"mu": Dpar(eta, LINKS[link]), "thres": Dpar(jnp.asarray(THRES))}, {}).log_prob(
                jnp.full(eta.shape, y)
            ),
            [-300.0, -25.0, 25.0, 300.0],
        )
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
def test_ordinal_with_fewer_thresholds_in_some_rows(name):
    """Each row's own thresholds, some absent, and (but for cumulative) an effect for each: the law of the thresholds that are there."""
    thres = np.array([[-1.0, 0.2, 1.5], [-0.5, np.inf, np.inf], [0.3, 0.9, np.inf]])
    eta = np.array([0.4, -0.7, 1.1])
    shift = np.zeros((3, 3)) if name == "cumulative" else np.array([[0.0, 0.3, -0.2], [0.1, 0.0, 0.0], [-0.4, 0.2, 0.0]])
    bound = family(name, link="probit").learn(Seen(np.array([1.0, 4.0])))
    linear = eta if name == "cumulative" else eta[:, None] + shift

    def log_prob(linear, y):
        return bound.distribution({"mu": Dpar(linear, LINKS["probit"]), "thres": Dpar(jnp.asarray(thres))}, {}).log_prob(y)

    table = np.asarray(
        bound.distribution({"mu": Dpar(jnp.asarray(linear), LINKS["probit"]), "thres": Dpar(jnp.asarray(thres))}, {}).log_table()
    )
    for y in range(1, 5):
        found, slope = (
            log_prob(linear, np.full(3, float(y))),
            jax.grad(lambda v, y=y: jnp.sum(log_prob(v, np.full(3, float(y)))))(jnp.asarray(linear)),
        )
        assert np.all(np.isfinite(slope))
        for row in range(3):
            there = thres[row][np.isfinite(thres[row])] - shift[row][np.isfinite(thres[row])]
            if y > len(there) + 1:
                assert found[row] == table[row, y - 1] == -np.inf
                continue

            def alone(e, there=there, y=y):
                one = {"mu": Dpar(e, LINKS["probit"]), "thres": Dpar(jnp.asarray(there))}
                return jnp.sum(bound.distribution(one, {}).log_prob(jnp.full(1, float(y))))

            expected, in_eta = jax.value_and_grad(alone)(jnp.asarray([eta[row]]))
            np.testing.assert_allclose([found[row], table[row, y - 1]], expected, rtol=1e-12)
            np.testing.assert_allclose(np.sum(slope[row]), in_eta[0], rtol=1e-12)


def test_categorical():
    logits = np.array([[0.3, -1.0], [-40.0, 30.0], [0.0, 0.0]])
    bound = family("categorical").learn(Seen(np.array([1.0, 2.0, 3.0]), ("a", "b", "c")))
    p = special.softmax(np.concatenate([np.zeros((3, 1)), logits], axis=1), axis=1)
    for y in (1.0, 2.0, 3.0):

        def f(eta, y=y):
            return bound.distribution({"mub": Dpar(eta), "muc": Dpar(jnp.asarray(logits[:, 1]))}, {}).log_prob(jnp.full(3, y))

        check(f, logits[:, 0], (y == 2) - p[:, 1], -p[:, 1] * (1 - p[:, 1]), atol=1e-16)


def test_logistic_normal():
    """Three log ratios against SciPy's normal law; derivatives against those of the density with the covariances inverted."""
    y = np.array([[0.1, 0.2, 0.3, 0.4], [0.01, 0.9, 0.04, 0.05], [0.3, 0.3, 0.39, 0.01]])
    loc, scale = np.array([[0.2, -1.0, 0.5], [2.0, 0.1, -0.3], [0.0, 1.5, 0.7]]), np.array([0.4, 1.3, 0.9])
    low = np.linalg.cholesky(np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]))
    ratios = np.log(y[:, [0, 1, 3]] / y[:, [2]])

    def mine(loc, scale, low):
        return LogisticNormal(loc, scale, low, 2).log_prob(y)

    def plain(loc, scale, low):
        cov = jnp.outer(scale, scale) * (low @ low.T)
        z = ratios - loc
        quadratic = jnp.sum(z * (z @ jnp.linalg.inv(cov)), axis=1)
        return -0.5 * quadratic - 1.5 * jnp.log(2 * jnp.pi) - 0.5 * jnp.linalg.slogdet(cov)[1] - jnp.log(y).sum(axis=1)

    cov = np.outer(scale, scale) * (low @ low.T)
    expected = [stats.multivariate_normal(m, cov).logpdf(r) for m, r in zip(loc, ratios, strict=True)] - np.log(y).sum(axis=1)
    np.testing.assert_allclose(mine(loc, scale, low), expected, rtol=1e-12)
    # what lies above the factor's diagonal takes no part; the plain density would use it
    part, at = np.tril(np.ones((3, 3))), [jnp.asarray(v) for v in (loc, scale, low)]
    for order in (jax.grad, jax.hessian):
        found, wanted = (
            order(lambda v, f=f: jnp.sum(f(v[:9].reshape(3, 3), v[9:12], v[12:].reshape(3, 3) * part)))(
                jnp.concatenate([jnp.ravel(a) for a in at])
            )
            for f in (mine, plain)
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)
