"""Angles by rejection follow the von Mises law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brim.families.base import Dpar
from brim.families.bounded import VonMises
from brim.families.links import LINKS


def angles(kappa, loc=0.0, n=20_000):
    law = VonMises(Dpar(jnp.full(n, loc), LINKS["identity"]), jnp.asarray(kappa))
    return np.asarray(law.sample(jax.random.key(3)))


@pytest.mark.parametrize("kappa", [1e-6, 0.3, 2.0, 150.0, 1e5])
def test_draws(kappa):
    drawn = angles(kappa, loc=1.0)
    assert np.all(np.abs(drawn) <= np.pi)
    off = np.mod(drawn - 1.0 + np.pi, 2 * np.pi) - np.pi
    assert stats.kstest(off, stats.vonmises(kappa).cdf).pvalue > 0.001


def test_a_narrow_law_is_normal():
    assert stats.kstest(angles(1e12) * 1e6, stats.norm.cdf).pvalue > 0.001


def test_one_concentration_a_row():
    law = VonMises(Dpar(jnp.zeros(3), LINKS["identity"]), jnp.asarray([0.1, 4.0, 100.0]))
    drawn = np.asarray(law.sample(jax.random.key(1), (4000,)))
    np.testing.assert_allclose(np.cos(drawn).mean(0), [stats.vonmises(k).expect(np.cos) for k in (0.1, 4.0, 100.0)], atol=0.03)
