"""Prior laws under Stan's names: log density (JAX), distribution function and sampler (NumPy).

A law's arguments are run-time data of the compiled program, so that another scale compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

__all__ = ["ALIASES", "JOINT", "LAWS", "SHRINKING", "SHRUNK", "Law"]


@dataclass(frozen=True)
class Law:
    """One distribution of Stan's.

    Attributes
    ----------
    arity
        Number of arguments.
    distribution
        ``args -> numpyro Distribution``.
    cdf
        ``(x, *args) -> P(X <= x)`` in NumPy, for the mass between a parameter's bounds; ``None`` for joint laws.
    ranges
        The argument positions that must be positive.
    location, scale
        Positions of the arguments that say where the law sits and how wide it is (for starting values), or ``None``.
    support
        Where the density is positive, unless arguments say so (``ends``).
    """

    arity: int
    distribution: Callable[..., Any]
    cdf: Callable[..., Any] | None
    positive: tuple[int, ...] = ()
    location: int | None = None
    scale: int | None = None
    support: tuple[float, float] = (-math.inf, math.inf)

    def ends(self, args: tuple[float, ...]) -> tuple[float, float]:
        """The interval outside of which the density is zero."""
        return (args[0], args[1]) if self is LAWS["uniform"] else (args[0], math.inf) if self is LAWS["pareto"] else self.support


def _d() -> Any:
    """NumPyro's distributions, imported at the first density."""
    import numpyro.distributions as d

    return d


def _special() -> Any:
    """SciPy's functions, imported at the first mass between bounds that needs one."""
    from scipy import special

    return special


def _student_cdf(x: Any, df: float, loc: float, scale: float) -> Any:
    z = (x - loc) / scale
    return 0.5 if np.all(z == 0.0) else _special().stdtr(df, z)  # brms' defaults end at their location


def _gumbel_cdf(x: Any, loc: float, scale: float) -> Any:
    return np.exp(-np.exp(-(x - loc) / scale))


def _laplace_cdf(x: Any, loc: float, scale: float) -> Any:
    z = (x - loc) / scale
    return np.where(z < 0, 0.5 * np.exp(np.minimum(z, 0)), 1 - 0.5 * np.exp(-np.maximum(z, 0)))


def _positive(cdf: Callable[..., Any]) -> Callable[..., Any]:
    """A distribution function on (0, inf) made safe at and below zero."""

    def wrapped(x: Any, *args: float) -> Any:
        return np.where(np.asarray(x) <= 0, 0.0, cdf(np.maximum(x, 1e-300), *args))

    return wrapped


_ABOVE_ZERO = (0.0, math.inf)

#: Laws of one element. Parameterisations are Stan's.
LAWS: dict[str, Law] = {
    "normal": Law(2, lambda m, s: _d().Normal(m, s), lambda x, m, s: _special().ndtr((x - m) / s), (1,), 0, 1),
    "std_normal": Law(0, lambda: _d().Normal(0.0, 1.0), lambda x: _special().ndtr(x)),
    "student_t": Law(3, lambda n, m, s: _d().StudentT(n, m, s), _student_cdf, (0, 2), 1, 2),
    "cauchy": Law(2, lambda m, s: _d().Cauchy(m, s), lambda x, m, s: 0.5 + np.arctan((x - m) / s) / math.pi, (1,), 0, 1),
    "double_exponential": Law(2, lambda m, s: _d().Laplace(m, s), _laplace_cdf, (1,), 0, 1),
    "logistic": Law(2, lambda m, s: _d().Logistic(m, s), lambda x, m, s: _special().expit((x - m) / s), (1,), 0, 1),
    "gumbel": Law(2, lambda m, s: _d().Gumbel(m, s), _gumbel_cdf, (1,), 0, 1),
    "lognormal": Law(
        2, lambda m, s: _d().LogNormal(m, s), _positive(lambda x, m, s: _special().ndtr((np.log(x) - m) / s)), (1,), support=_ABOVE_ZERO
    ),
    "exponential": Law(1, lambda r: _d().Exponential(r), _positive(lambda x, r: -np.expm1(-r * x)), (0,), support=_ABOVE_ZERO),
    "gamma": Law(2, lambda a, b: _d().Gamma(a, b), _positive(lambda x, a, b: _special().gammainc(a, b * x)), (0, 1), support=_ABOVE_ZERO),
    "inv_gamma": Law(
        2, lambda a, b: _d().InverseGamma(a, b), _positive(lambda x, a, b: _special().gammaincc(a, b / x)), (0, 1), support=_ABOVE_ZERO
    ),
    "chi_square": Law(1, lambda n: _d().Chi2(n), _positive(lambda x, n: _special().gammainc(n / 2, x / 2)), (0,), support=_ABOVE_ZERO),
    "inv_chi_square": Law(
        1, lambda n: _d().InverseGamma(n / 2, 0.5), _positive(lambda x, n: _special().gammaincc(n / 2, 0.5 / x)), (0,), support=_ABOVE_ZERO
    ),
    "weibull": Law(2, lambda a, s: _d().Weibull(s, a), _positive(lambda x, a, s: -np.expm1(-((x / s) ** a))), (0, 1), support=_ABOVE_ZERO),
    "frechet": Law(2, lambda a, s: _frechet(a, s), _positive(lambda x, a, s: np.exp(-((x / s) ** -a))), (0, 1), support=_ABOVE_ZERO),
    "beta": Law(2, lambda a, b: _d().Beta(a, b), lambda x, a, b: _special().betainc(a, b, np.clip(x, 0, 1)), (0, 1), support=(0.0, 1.0)),
    "uniform": Law(2, lambda a, b: _d().Uniform(a, b), lambda x, a, b: np.clip((x - a) / (b - a), 0, 1)),
    "pareto": Law(2, lambda m, a: _d().Pareto(m, a), lambda x, m, a: np.where(x < m, 0.0, 1 - (m / np.maximum(x, m)) ** a), (0, 1)),
}

#: Laws of a whole array.
JOINT: dict[str, Law] = {
    "lkj_corr_cholesky": Law(1, lambda eta: eta, None, (0,)),
    "dirichlet": Law(-1, lambda *a: _d().Dirichlet(jnp.stack([jnp.asarray(v) for v in a])), None, (0,)),
}

#: Other names of laws.
ALIASES = {"lkj": "lkj_corr_cholesky", "lkj_corr": "lkj_corr_cholesky", "laplace": "double_exponential"}
#: Priors of all parameters of one class or several together, with parameters of their own.
SHRINKING = ("horseshoe", "R2D2", "lasso")
#: The classes that can have them, in brms' order, and whether their parameters have a sign (else they are standard deviations).
SHRUNK = {"b": True, "sds": False, "sdgp": False, "sderr": False, "ar": True, "ma": True, "sdcar": False, "sd": False}


def _frechet(shape: Any, scale: Any) -> Any:
    """Frechet as the reciprocal of a Weibull variable."""
    d = _d()
    return d.TransformedDistribution(d.Weibull(1.0 / scale, shape), d.transforms.PowerTransform(-1.0))
