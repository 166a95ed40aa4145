"""First and second derivatives beside formulas worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from brim.distributions.observe import log_lik
from brim.families import family
from brim.families.base import Dpar
from brim.families.links import LINKS

RTOL = 1e-8
WIDE = np.array([-30.0, -8.0, -1.3, -1e-9, 0.0, 0.4, 3.0, 9.0, 30.0])


def first_and_second(f, x):
    """Elementwise first and second derivatives, the second by forward over reverse as the samplers' Laplace start has it."""
    slope = jax.grad(lambda v: jnp.sum(f(v)))
    both = jax.jit(lambda v: jax.jvp(slope, (v,), (jnp.ones_like(v),)))
    first, second = both(jnp.asarray(x, float))
    return np.asarray(first), np.asarray(second)


def check(f, x, first, second, atol=0.0):
    found = first_and_second(f, x)
    np.testing.assert_allclose(found[0], first, rtol=RTOL, atol=atol)
    np.testing.assert_allclose(found[1], second, rtol=RTOL, atol=atol)


def in_mu(name, link, y, data=None, **others):
    """The log likelihood as a function of the predictor of ``mu``."""
    one = family(name, link=link)
    rest = {k: Dpar(jnp.asarray(v, float)) for k, v in others.items()}
    return lambda eta: log_lik(one.distribution({"mu": Dpar(eta, LINKS[link]), **rest}, data or {}), jnp.asarray(y), data or {})


def in_other(name, link, y, eta, which, **others):
    """The log likelihood as a function of another parameter's logarithm."""
    one = family(name, link=link)
    rest = {k: Dpar(jnp.asarray(v, float)) for k, v in others.items() if k != which}

    def f(log_value):
        dpars = {"mu": Dpar(jnp.full_like(log_value, eta), LINKS[link]), **rest, which: Dpar(log_value, LINKS["log"])}
        return one.distribution(dpars, {}).log_prob(jnp.asarray(y))

    return f


PHI, LOGPHI = stats.norm.pdf, stats.norm.logpdf


def mills(x):
    """``phi(x) / Phi(x)``, in log space: right far below 0 as well."""
    return np.exp(LOGPHI(x) - special.log_ndtr(x))
