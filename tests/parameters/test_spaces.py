"""Correlation factors, simplexes and ordered vectors: onto the space, its volume, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import LKJCholesky, transforms

from brim.distributions.matrices import lkj_cholesky
from brim.parameters.spaces import SPACES

THEIRS = {
    "cholesky_corr": transforms.CorrCholeskyTransform(),
    "simplex": transforms.StickBreakingTransform(),
    "ordered": transforms.OrderedTransform(),
}
SIZES = {"cholesky_corr": (1, 3, 6, 10), "simplex": (1, 2, 5), "ordered": (1, 2, 5)}


@pytest.mark.parametrize("name", SPACES)
def test_the_map_is_that_of_stan_and_numpyro(name):
    rng = np.random.default_rng(1)
    for n in SIZES[name]:
        z = jnp.asarray(rng.normal(size=(4, n)))
        x, logdet = SPACES[name].onto(z)
        theirs = THEIRS[name](z)
        np.testing.assert_allclose(x, theirs, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(logdet, THEIRS[name].log_abs_det_jacobian(z, theirs), rtol=1e-11)
        np.testing.assert_allclose(SPACES[name].back(x), z, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_volume_is_the_determinant_of_the_slopes(name):
    rng, n = np.random.default_rng(2), {"cholesky_corr": 6, "simplex": 4, "ordered": 4}[name]
    z = jnp.asarray(rng.normal(size=n))

    def free(z):
        x = SPACES[name].onto(z)[0]
        return x[np.tril_indices(4, -1)] if name == "cholesky_corr" else x[:n]

    np.testing.assert_allclose(SPACES[name].onto(z)[1], np.linalg.slogdet(jax.jacobian(free)(z))[1], rtol=1e-11)


@pytest.mark.parametrize("name", SPACES)
def test_far_out_values_and_slopes_stay_finite(name):
    z = jnp.asarray([25.0, -25.0, 20.0])
    for at in (z, -z):
        value, slope = jax.value_and_grad(lambda q: SPACES[name].onto(q)[1])(at)
        assert np.isfinite(value)
        assert np.all(np.isfinite(slope))


def test_correlations_of_one_to_the_last_digit_have_an_exact_factor():
    # tanh(20) rounds to 1: the diagonal is sech(20), not the root of 1 - 1
    low, logdet = SPACES["cholesky_corr"].onto(jnp.asarray([20.0]))
    np.testing.assert_allclose(low[1, 1], 1 / np.cosh(20.0), rtol=1e-14)
    np.testing.assert_allclose(logdet, -2 * np.log(np.cosh(20.0)), rtol=1e-14)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("eta", [0.7, 1.0, 4.0])
def test_lkj(d, eta):
    low = SPACES["cholesky_corr"].onto(jnp.asarray(np.random.default_rng(d).normal(size=(3, d * (d - 1) // 2))))[0]
    np.testing.assert_allclose(lkj_cholesky(low, eta), LKJCholesky(d, eta).log_prob(low), rtol=1e-11)


@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_lkj_of_two_is_a_beta_law(eta):
    from scipy import stats

    r = np.array([-0.9, 0.1, 0.6])
    low = np.stack([np.array([[1.0, 0.0], [v, np.sqrt(1 - v * v)]]) for v in r])
    np.testing.assert_allclose(lkj_cholesky(jnp.asarray(low), eta), stats.beta(eta, eta, -1, 2).logpdf(r), rtol=1e-11)
