"""Censoring and truncation: likelihood, means and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from brim.distributions.observe import log_lik, truncated_mean, truncated_sample
from brim.distributions.positive import Frechet, Gamma, InverseGaussian, LogNormal, Weibull
from brim.distributions.real import Normal, StudentT
from brim.errors import BrimError
from brim.families.base import Dpar
from brim.families.counts import Binomial, NegBinomial, Poisson
from brim.families.dispersed import DiscreteWeibull
from brim.families.skewed import ExGaussian


def test_censored_rows():
    law, y, ref = Normal(jnp.zeros(4), 2.0), np.array([1.0, 1.0, 1.0, 1.0]), stats.norm(0, 2)
    data = {"cens": np.array([-1, 0, 1, 2]), "y2": np.array([9.0, 9.0, 9.0, 3.0])}
    expected = [ref.logcdf(1), ref.logpdf(1), ref.logsf(1), np.log(ref.cdf(3) - ref.cdf(1))]
    np.testing.assert_allclose(log_lik(law, y, data), expected, rtol=1e-12)


def test_interval_in_the_far_upper_tail_keeps_its_digits():
    # R: pnorm(40, lower.tail = FALSE, log.p = TRUE) and at 41; the difference of distribution functions is 1 - 1 = 0
    law, data = Normal(jnp.zeros(1), 1.0), {"cens": np.array([2]), "y2": np.array([41.0])}
    low, high = stats.norm.logsf(40.0), stats.norm.logsf(41.0)
    np.testing.assert_allclose(log_lik(law, np.array([40.0]), data), [low + np.log1p(-np.exp(high - low))], rtol=1e-12)


def test_counts_censored_in_an_interval():
    """brms: P(y < Y <= y2)."""
    data = {"cens": np.array([2]), "y2": np.array([5.0])}
    expected = np.log(stats.poisson(3).pmf([3, 4, 5]).sum())
    np.testing.assert_allclose(log_lik(Poisson(jnp.log(jnp.asarray([3.0]))), np.array([2.0]), data), [expected], rtol=1e-12)


def test_window_of_counts_includes_both_ends():
    # brms (since 2.23) and Stan: P(2 <= Y <= 6) for poisson(3); the mass function over the window sums to 1
    y = np.arange(2.0, 7.0)
    data = {"lb": jnp.asarray(2.0), "ub": jnp.asarray(6.0)}
    law = Poisson(jnp.log(jnp.full(5, 3.0)))
    np.testing.assert_allclose(np.exp(log_lik(law, y, data)), stats.poisson(3).pmf(y) / stats.poisson(3).pmf(y).sum(), rtol=1e-12)
    # https://github.com/paul-buerkner/brms/pull/1926: E[Y | 2 <= Y <= 6] = 3.386861
    np.testing.assert_allclose(truncated_mean(law, data), np.full(5, 3.386861), atol=5e-7)


@pytest.mark.parametrize(
    "data", [{"lb": 0.5}, {"ub": 4.0}, {"lb": 0.5, "ub": 4.0}, {"lb": np.array([0.5, -np.inf]), "ub": np.array([np.inf, 4.0])}]
)
def test_window_of_a_continuous_response(data):
    law, ref, y = Normal(jnp.asarray([1.0, -0.5]), 2.0), stats.norm([1.0, -0.5], 2.0), np.array([1.0, 2.0])
    lower, upper = data.get("lb", -np.inf), data.get("ub", np.inf)
    expected = ref.logpdf(y) - np.log(ref.cdf(upper) - ref.cdf(lower))
    arrays = {k: jnp.asarray(v) for k, v in data.items()}
    np.testing.assert_allclose(log_lik(law, y, arrays), expected, rtol=1e-12)
    slope = jax.grad(lambda m: log_lik(Normal(m, 2.0), y, arrays).sum())(jnp.asarray([1.0, -0.5]))
    assert np.all(np.isfinite(slope))


def test_window_far_from_the_mass():
    """P(Y > 50) for a standard normal is 1e-545: the density within the window is still that of an exponential tail."""
    law = Normal(jnp.zeros(1), 1.0)
    value, slope = jax.value_and_grad(lambda m: log_lik(Normal(m, 1.0), np.array([50.01]), {"lb": jnp.asarray(50.0)})[0])(jnp.zeros(1))
    np.testing.assert_allclose(value, stats.norm.logpdf(50.01) - stats.norm.logsf(50.0), rtol=1e-11)
    assert np.all(np.isfinite(slope))
    np.testing.assert_allclose(truncated_sample(jax.random.key(0), law, {"lb": jnp.asarray(50.0)}, (2000,)).mean(), 50.02, atol=0.002)


def _mean_by_integration(pdf, low, high):
    total = integrate.quad(pdf, low, high, epsabs=1e-13, limit=200)[0]
    return integrate.quad(lambda v: v * pdf(v), low, high, epsabs=1e-13, limit=200)[0] / total


CONTINUOUS = {
    "normal": (Normal(0.4, 1.3), stats.norm(0.4, 1.3)),
    "student": (StudentT(4.0, 0.4, 1.3), stats.t(4.0, 0.4, 1.3)),
    "lognormal": (LogNormal(0.4, 0.8), stats.lognorm(0.8, scale=np.exp(0.4))),
    "gamma": (Gamma(1.7, np.log(2.0)), stats.gamma(1.7, scale=2.0 / 1.7)),
    "weibull": (Weibull(1.0, np.log(2.0)), stats.expon(scale=2.0)),
    "frechet": (Frechet(np.asarray(4.0), np.log(2.0)), stats.invweibull(4.0, scale=2.0 / stats.invweibull(4.0).mean())),
    "inverse_gaussian": (InverseGaussian(np.asarray(2.0), 1.7), stats.invgauss(2.0 / 1.7, scale=1.7)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_truncated_means_of_continuous_laws(name):
    law, ref = CONTINUOUS[name]
    np.testing.assert_allclose(
        truncated_mean(law, {"lb": jnp.asarray(0.5), "ub": jnp.asarray(3.0)}), _mean_by_integration(ref.pdf, 0.5, 3.0), rtol=1e-8
    )
    # brms' posterior_epred_trunc_gaussian has no other formula: E[Y | Y > a] from the same identity
    np.testing.assert_allclose(truncated_mean(law, {"lb": jnp.asarray(0.5)}), _mean_by_integration(ref.pdf, 0.5, np.inf), rtol=1e-6)


# made outside the float64 context, hence of NumPy numbers
COUNTS = {
    "poisson": (Poisson(np.log(3.0)), stats.poisson(3)),
    "negbinomial": (NegBinomial(np.log(3.0), np.log(1.4)), stats.nbinom(1.4, 1.4 / 4.4)),
    "binomial": (Binomial(np.asarray(9.0), Dpar(np.asarray(0.3))), stats.binom(9, 0.3)),
    "discrete_weibull": (DiscreteWeibull(Dpar(np.asarray(0.8)), np.asarray(1.2)), None),
}


@pytest.mark.parametrize("name", COUNTS)
def test_truncated_means_of_counts(name):
    law, ref = COUNTS[name]
    k = np.arange(2.0, 8.0)
    mass = ref.pmf(k) if ref is not None else np.exp(np.asarray(law.log_prob(k)))
    np.testing.assert_allclose(truncated_mean(law, {"lb": jnp.asarray(2.0), "ub": jnp.asarray(7.0)}), k @ mass / mass.sum(), rtol=1e-9)
    k = np.arange(1.0, 2000.0) if name != "binomial" else np.arange(1.0, 10.0)
    mass = ref.pmf(k) if ref is not None else np.exp(np.asarray(law.log_prob(k)))
    np.testing.assert_allclose(truncated_mean(law, {"lb": jnp.asarray(1.0)}), k @ mass / mass.sum(), rtol=1e-9)


def test_truncated_mean_without_a_formula_says_so():
    with pytest.raises(BrimError, match="the mean of a truncated ExGaussian is not available"):
        truncated_mean(ExGaussian(jnp.asarray(3.0), jnp.asarray(1.0), jnp.asarray(1.0)), {"ub": jnp.asarray(1.0)})


@pytest.mark.parametrize("name", ["normal", "gamma"])
def test_truncated_draws_follow_the_law(name):
    law, ref = CONTINUOUS[name]
    draws = np.asarray(truncated_sample(jax.random.key(2), law, {"lb": jnp.asarray(0.5), "ub": jnp.asarray(3.0)}, (3000,)))
    low, high = ref.cdf([0.5, 3.0])
    assert stats.kstest(draws, lambda v: (ref.cdf(v) - low) / (high - low)).pvalue > 1e-4


def test_truncated_counts_follow_the_law():
    law, ref = COUNTS["negbinomial"]
    draws = np.asarray(truncated_sample(jax.random.key(3), law, {"lb": jnp.asarray(2.0)}, (4000,)))
    found = np.bincount(draws.astype(int), minlength=40)[2:12]
    expected = 4000 * ref.pmf(np.arange(2, 12)) / ref.sf(1)
    assert draws.min() == 2.0
    assert np.sum((found - expected) ** 2 / expected) < stats.chi2(10).ppf(0.9999)


def test_counts_far_below_their_mean_are_drawn_at_the_edge():
    """With a mean of 2e10 and at most 9, P(9) / P(8) = 2e10 / 9: all draws are 9; the tail holds what the last count has."""
    law = Poisson(jnp.log(jnp.asarray(2.0e10)))
    draws = truncated_sample(jax.random.key(1), law, {"ub": jnp.asarray(9.0)}, (200,))
    np.testing.assert_array_equal(draws, 9.0)
    np.testing.assert_allclose(law.log_cdf(9.0), law.log_prob(9.0), atol=1e-3)
