"""Prior laws under Stan's names: log density (JAX), distribution function and quantiles (NumPy).

A law's arguments are run-time data of the compiled program, so that another scale compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.distributions import densities
from brim.distributions.matrices import dirichlet, lkj_cholesky
from brim.distributions.positive import LogNormal
from brim.distributions.real import Normal, StudentT

__all__ = ["ALIASES", "JOINT", "LAWS", "SHRINKING", "Law"]


@dataclass(frozen=True)
class Law:
    """One distribution of Stan's.

    Attributes
    ----------
    arity
        Number of arguments.
    log_density
        ``(x, *args) -> log density`` in JAX: of each element, or of the whole array under a joint law.
    cdf
        ``(x, *args) -> P(X <= x)`` in NumPy, for the mass between a parameter's bounds; ``None`` for joint laws.
    quantiles
        ``(scipy.stats, *args) -> frozen distribution``, for draws; ``None`` for joint laws.
    ranges
        The argument positions that must be positive.
    location, scale
        Positions of the arguments that say where the law sits and how wide it is (for starting values), or ``None``.
    support
        Where the density is positive, unless arguments say so (``ends``).
    """

    arity: int
    log_density: Callable[..., Any]
    cdf: Callable[..., Any] | None = None
    quantiles: Callable[..., Any] | None = None
    positive: tuple[int, ...] = ()
    location: int | None = None
    scale: int | None = None
    support: tuple[float, float] = (-math.inf, math.inf)

    def ends(self, args: tuple[float, ...]) -> tuple[float, float]:
        """The interval outside of which the density is zero."""
        return (args[0], args[1]) if self is LAWS["uniform"] else (args[0], math.inf) if self is LAWS["pareto"] else self.support


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
    "normal": Law(
        2,
        lambda x, m, s: Normal(m, s).log_prob(x),
        lambda x, m, s: _special().ndtr((x - m) / s),
        lambda d, m, s: d.norm(m, s),
        (1,),
        0,
        1,
    ),
    "std_normal": Law(0, lambda x: Normal(0.0, 1.0).log_prob(x), lambda x: _special().ndtr(x), lambda d: d.norm()),
    "student_t": Law(3, lambda x, n, m, s: StudentT(n, m, s).log_prob(x), _student_cdf, lambda d, n, m, s: d.t(n, m, s), (0, 2), 1, 2),
    "cauchy": Law(2, densities.cauchy, lambda x, m, s: 0.5 + np.arctan((x - m) / s) / math.pi, lambda d, m, s: d.cauchy(m, s), (1,), 0, 1),
    "double_exponential": Law(2, densities.double_exponential, _laplace_cdf, lambda d, m, s: d.laplace(m, s), (1,), 0, 1),
    "logistic": Law(2, densities.logistic, lambda x, m, s: _special().expit((x - m) / s), lambda d, m, s: d.logistic(m, s), (1,), 0, 1),
    "gumbel": Law(2, densities.gumbel, _gumbel_cdf, lambda d, m, s: d.gumbel_r(m, s), (1,), 0, 1),
    "lognormal": Law(
        2,
        lambda x, m, s: LogNormal(m, s).log_prob(x),
        _positive(lambda x, m, s: _special().ndtr((np.log(x) - m) / s)),
        lambda d, m, s: d.lognorm(s, scale=math.exp(m)),
        (1,),
        support=_ABOVE_ZERO,
    ),
    "exponential": Law(
        1, densities.exponential, _positive(lambda x, r: -np.expm1(-r * x)), lambda d, r: d.expon(scale=1 / r), (0,), support=_ABOVE_ZERO
    ),
    "gamma": Law(
        2,
        densities.gamma,
        _positive(lambda x, a, b: _special().gammainc(a, b * x)),
        lambda d, a, b: d.gamma(a, scale=1 / b),
        (0, 1),
        support=_ABOVE_ZERO,
    ),
    "inv_gamma": Law(
        2,
        densities.inv_gamma,
        _positive(lambda x, a, b: _special().gammaincc(a, b / x)),
        lambda d, a, b: d.invgamma(a, scale=b),
        (0, 1),
        support=_ABOVE_ZERO,
    ),
    "chi_square": Law(
        1,
        lambda x, n: densities.gamma(x, 0.5 * n, 0.5),
        _positive(lambda x, n: _special().gammainc(n / 2, x / 2)),
        lambda d, n: d.chi2(n),
        (0,),
        support=_ABOVE_ZERO,
    ),
    "inv_chi_square": Law(
        1,
        lambda x, n: densities.inv_gamma(x, 0.5 * n, 0.5),
        _positive(lambda x, n: _special().gammaincc(n / 2, 0.5 / x)),
        lambda d, n: d.invgamma(n / 2, scale=0.5),
        (0,),
        support=_ABOVE_ZERO,
    ),
    "weibull": Law(
        2,
        densities.weibull,
        _positive(lambda x, a, s: -np.expm1(-((x / s) ** a))),
        lambda d, a, s: d.weibull_min(a, scale=s),
        (0, 1),
        support=_ABOVE_ZERO,
    ),
    "frechet": Law(
        2,
        densities.frechet,
        _positive(lambda x, a, s: np.exp(-((x / s) ** -a))),
        lambda d, a, s: d.invweibull(a, scale=s),
        (0, 1),
        support=_ABOVE_ZERO,
    ),
    "beta": Law(
        2,
        densities.beta,
        lambda x, a, b: _special().betainc(a, b, np.clip(x, 0, 1)),
        lambda d, a, b: d.beta(a, b),
        (0, 1),
        support=(0.0, 1.0),
    ),
    "uniform": Law(2, densities.uniform, lambda x, a, b: np.clip((x - a) / (b - a), 0, 1), lambda d, a, b: d.uniform(a, b - a)),
    "pareto": Law(
        2,
        densities.pareto,
        lambda x, m, a: np.where(x < m, 0.0, 1 - (m / np.maximum(x, m)) ** a),
        lambda d, m, a: d.pareto(a, scale=m),
        (0, 1),
    ),
}

#: Laws of a whole array.
JOINT: dict[str, Law] = {
    "lkj_corr_cholesky": Law(1, lkj_cholesky, positive=(0,)),
    "dirichlet": Law(-1, lambda x, *a: dirichlet(x, jnp.stack([jnp.asarray(v) for v in a])), positive=(0,)),
}

#: Other names of laws.
ALIASES = {"lkj": "lkj_corr_cholesky", "lkj_corr": "lkj_corr_cholesky", "laplace": "double_exponential"}
#: Priors of all parameters of one class or several together, with parameters of their own.
SHRINKING = ("horseshoe", "R2D2", "lasso")
