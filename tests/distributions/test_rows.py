"""Elementwise functions that are evaluated only at some rows: values and derivatives of every order as without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from brim.distributions.numerics.rows import on_rows
from brim.distributions.observe import log_lik
from brim.distributions.positive import Gamma


def pair(a, b):
    return jnp.sin(a) * b * b, jnp.exp(-a * b)


def closed(a, b):
    """Their sum at the needed rows, its derivative in ``a``, the second one in ``a`` and the third in ``a, a, b``."""
    e = np.exp(-a * b)
    return np.sin(a) * b**2 + e, np.cos(a) * b**2 - b * e, -np.sin(a) * b**2 + b**2 * e, -2 * np.sin(a) * b + (2 * b - a * b**2) * e


@pytest.mark.parametrize("size", [7, 100, 512, 1300])  # without a loop, below, at and above one chunk
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_derivatives_of_every_order(size, share):
    rng = np.random.default_rng(3)
    a, b, needed = rng.normal(size=size), rng.normal(size=size), rng.random(size) < share
    total = jax.jit(lambda a, b: jnp.sum(jnp.where(needed, sum(on_rows(pair, needed, a, b)), 0.0)))
    first = jax.grad(total)
    second = jax.jit(lambda a, b: jax.jvp(lambda v: first(v, b), (a,), (jnp.ones(size),))[1])
    third = jax.jit(jax.grad(lambda a, b: jnp.sum(second(a, b)), 1))
    value, slope, bend, mixed = (np.where(needed, v, 0.0) for v in closed(a, b))
    np.testing.assert_allclose(total(a, b), value.sum(), rtol=1e-12)
    np.testing.assert_allclose(first(a, b), slope, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(second(a, b), bend, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(third(a, b), mixed, rtol=1e-12, atol=1e-14)


def test_only_the_needed_rows_are_evaluated():
    """A function that is NaN elsewhere leaves values and derivatives alone; numbers go with every row."""
    x = np.where(np.arange(2000) % 3 == 0, 4.0, -1.0)
    needed = x > 0.0
    f = jax.jit(lambda scale: jnp.sum(jnp.where(needed, on_rows(lambda s, v: (jnp.log(s * v),), needed, scale, x)[0], 0.0)))
    np.testing.assert_allclose(f(3.0), 667 * np.log(12.0), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(f)(3.0), 667 / 3.0, rtol=1e-12)


def test_under_vmap():
    a, b = np.linspace(0.1, 2.0, 1000), np.linspace(-1.0, 1.0, 1000)
    needed = b > 0.2
    draws = jax.vmap(lambda s: jnp.where(needed, on_rows(pair, needed, s * a, b)[1], 0.0))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(draws, [np.where(needed, np.exp(-s * a * b), 0.0) for s in (1.0, 2.0)], rtol=1e-14)


def test_censored_gamma_with_many_rows():
    """More rows than one chunk, so that the uncensored ones are passed over (scipy's tails and densities)."""
    rng = np.random.default_rng(4)
    y, code, log_mean, shape = rng.gamma(2.0, 1.0, 1500), rng.choice([-1, 0, 1], 1500), rng.normal(0.0, 0.3, 1500), 1.7
    scaled = y * shape * np.exp(-log_mean)
    density = shape * np.log(shape / np.exp(log_mean)) - special.gammaln(shape) + (shape - 1) * np.log(y) - scaled
    above = special.gammaincc(shape, scaled)
    below = np.where(above < 0.5, np.log1p(-above), np.log(special.gammainc(shape, scaled)))
    expected = np.select([code == 0, code == 1], [density, np.log(above)], below)
    found = jax.jit(lambda m: log_lik(Gamma(shape, m), y, {"cens": code}))(log_mean)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    hazard = np.exp(shape * np.log(scaled) - scaled - special.gammaln(shape))  # the density of log(scaled)
    slope = np.select(
        [code == 0, code == 1],
        [scaled - shape, hazard / special.gammaincc(shape, scaled)],
        -hazard / special.gammainc(shape, scaled),
    )
    np.testing.assert_allclose(
        jax.grad(lambda m: jnp.sum(log_lik(Gamma(shape, m), y, {"cens": code})))(log_mean), slope, rtol=1e-8, atol=1e-14
    )
