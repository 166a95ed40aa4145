"""Kernels of Gaussian processes: covariances, spectral densities, and the default prior of a length scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

__all__ = ["KERNELS", "NAMES", "Kernel", "correlation", "lscale_prior", "root_spectral_density"]


@dataclass(frozen=True)
class Kernel:
    """A stationary kernel.

    Attributes
    ----------
    of_distance
        ``r -> correlation`` at distance ``r`` in length scales.
    nu
        Smoothness of the Matern class; infinite for the squared exponential.
    """

    of_distance: Callable[[Any], Any]
    nu: float


def _matern15(r: Any) -> Any:
    a = math.sqrt(3.0) * r
    return (1.0 + a) * jnp.exp(-a)


def _matern25(r: Any) -> Any:
    a = math.sqrt(5.0) * r
    return (1.0 + a + a * a / 3.0) * jnp.exp(-a)


#: Other names of kernels, of those with ``nu`` as a fraction.
NAMES = {"matern32": "matern15", "matern52": "matern25", "matern12": "exponential"}

#: ``cov =`` of ``gp()``.
KERNELS: dict[str, Kernel] = {
    "exp_quad": Kernel(lambda r: jnp.exp(-0.5 * r * r), math.inf),
    "matern15": Kernel(_matern15, 1.5),
    "matern25": Kernel(_matern25, 2.5),
    "exponential": Kernel(lambda r: jnp.exp(-r), 0.5),
}


def correlation(kernel: str, one: Any, two: Any, lscale: Any) -> Any:
    """Correlations ``(n, m)`` between points ``one (n, D)`` and ``two (m, D)``.

    With one length scale ``k(|x - y| / l)``; with one a dimension the product of one-dimensional kernels, as in brms (which for
    kernels other than the squared exponential is not the kernel of the scaled distance).
    """
    apart = jnp.abs(jnp.asarray(one)[:, None, :] - jnp.asarray(two)[None, :, :])
    k = KERNELS[kernel].of_distance
    if lscale.shape[0] == 1:
        # the distance is data: no gradient passes its root, which has none at zero
        return k(jnp.sqrt(jnp.sum(apart**2, axis=-1)) / lscale[0])
    return jnp.prod(k(apart / lscale), axis=-1)


def root_spectral_density(kernel: str, frequency: Any, lscale: Any) -> Any:
    """Square root (rows,) of the spectral density of a kernel of unit variance at ``frequency (rows, D)``; ``lscale`` has one element or D.

    Its logarithm is halved, since the derivative of a square root is infinite where the density underflows. The density:
    squared exponential: ``(2 pi)^(D/2) prod(l) exp(-|l w|^2 / 2)``. Matern:
    ``2^D pi^(D/2) gamma(nu + D/2) (2 nu)^nu / gamma(nu) prod(l) (2 nu + |l w|^2)^-(nu + D/2)``.
    (Rasmussen and Williams, 2006, section 4.2.)
    """
    d = frequency.shape[1]
    scales = jnp.broadcast_to(lscale, (d,))
    square = jnp.sum((scales * jnp.asarray(frequency)) ** 2, axis=1)
    nu = KERNELS[kernel].nu
    if math.isinf(nu):
        return (2.0 * math.pi) ** (d / 4) * jnp.sqrt(jnp.prod(scales)) * jnp.exp(-0.25 * square)
    from scipy import special  # here and below: only models with a Gaussian process need it

    constant = 2.0**d * math.pi ** (d / 2) * special.gamma(nu + d / 2) * (2 * nu) ** nu / special.gamma(nu)
    return jnp.sqrt(constant * jnp.prod(scales)) * (2.0 * nu + square) ** (-0.5 * (nu + d / 2))


def lscale_prior(x: np.ndarray) -> str:
    """brms' default prior of the length scale over points ``x (n, D)``.

    The inverse gamma law with 1 % of its mass below the smallest distance between two points (at least a hundredth of the
    largest) and 1 % above the largest; ``normal(0, 0.5)`` where there is no such law.
    """
    unique = np.unique(x, axis=0)
    if x.shape[1] == 1:
        line = unique[:, 0]
        low, high = float(np.diff(line).min(initial=np.inf)), float(line[-1] - line[0])
    else:
        apart = np.sqrt(((unique[:, None, :] - unique[None, :, :]) ** 2).sum(axis=-1))
        low, high = float(apart[apart > 0].min(initial=np.inf)), float(apart.max(initial=0.0))
    return _between(max(low, 0.01 * high), high)


def _between(low: float, high: float) -> str:
    """The two tails fix ``b = low * Q^-1(a, 1 %) = high * P^-1(a, 1 %)``, whose ratio falls with ``a``."""
    from scipy import optimize, special

    def gap(log_a: float) -> float:
        a = math.exp(log_a)
        return float(np.log(special.gammainccinv(a, 0.01)) - np.log(special.gammaincinv(a, 0.01)) - math.log(high / low))

    ends = (-2.0, 9.0)
    if not 0 < low < high or gap(ends[1]) > 0:
        return "normal(0, 0.5)"
    a = math.exp(optimize.brentq(gap, *ends, xtol=1e-14))
    b = low * special.gammainccinv(a, 0.01)
    return f"inv_gamma({round(a, 6):.15g}, {round(b, 6):.15g})"
