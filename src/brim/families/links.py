"""Link functions: ``eta = forward(mu)``, ``mu = inverse(eta)``, and the inverse in log space without a detour over ``mu``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from brim.distributions.numerics.intervals import log_cauchy_between, log_cloglog_between, log_logistic_between, log_ndtr_between
from brim.distributions.numerics.logspace import (
    fall_ratio,
    log0,
    log1mexp,
    log_ndtr,
    log_ndtr_odds,
    logistic,
    once,
    rate_of,
    softplus,
    times,
)
from brim.errors import BrimError, suggest

__all__ = ["LINKS", "Link", "link"]

Array = Any
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Link:
    """One link function, elementwise on JAX arrays.

    Attributes
    ----------
    name
        brms' name.
    forward
        ``mu -> eta``.
    inverse
        ``eta -> mu``.
    log_inverse
        ``eta -> log(mu)``.
    log1m_inverse
        ``eta -> log(1 - mu)``, for links to probabilities.
    logit_inverse
        ``eta -> log(mu / (1 - mu))``.
    symmetric
        Whether ``1 - inverse(eta) = inverse(-eta)``.

    Examples
    --------
    >>> float(link("logit").log_inverse(-800.0))
    -800.0
    >>> link("lgoit")
    Traceback (most recent call last):
    ...
    brim.errors.BrimError: unknown link 'lgoit'
    did you mean 'logit' or 'softit' or 'probit'?
    """

    name: str
    forward: Function = field(compare=False, repr=False)
    inverse: Function = field(compare=False, repr=False)
    log_inverse: Function = field(compare=False, repr=False)
    log1m_inverse: Function = field(compare=False, repr=False)
    logit_inverse: Function = field(compare=False, repr=False)
    symmetric: bool = False

    def outcome_log(self, eta: Array, y: Array) -> Array:
        """``log(mu)`` where ``y`` is 1, ``log(1 - mu)`` where it is 0."""
        if self.symmetric:
            return self.log_inverse(jnp.where(jnp.equal(y, 1), eta, -eta))
        return self.bernoulli_log(eta, y, 1 - y)

    def bernoulli_log(self, eta: Array, successes: Array, failures: Array) -> Array:
        """``successes * log(mu) + failures * log(1 - mu)``; one softplus for the logit link."""
        if self.name == "logit":
            return successes * eta - (successes + failures) * softplus(eta)
        return times(successes, self.log_inverse(eta)) + times(failures, self.log1m_inverse(eta))

    def log_between(self, low: Array, high: Array) -> Array:
        """``log(inverse(high) - inverse(low))`` for ``low < high`` under a link to probabilities; either may be as far out as 1e100."""
        return _BETWEEN[self.name](low, high)


def _link(
    name: str,
    forward: Function,
    inverse: Function,
    log_inverse: Function | None = None,
    log1m_inverse: Function | None = None,
    logit_inverse: Function | None = None,
    symmetric: bool = False,
) -> Link:
    """A link; what is not given in log space follows from what is."""
    log = log_inverse or (lambda eta: log0(inverse(eta)))
    log1m = log1m_inverse or (lambda eta: log0(1.0 - inverse(eta)))
    return Link(name, forward, inverse, log, log1m, logit_inverse or (lambda eta: log(eta) - log1m(eta)), symmetric)


def _identity(x: Array) -> Array:
    return x


def _logit(mu: Array) -> Array:
    return jnp.log(mu) - jnp.log1p(-mu)


# Stan's Phi_approx: the logistic function of this cubic, within 1.4e-4 of the normal distribution function.
_PHI_CUBIC, _PHI_LINEAR = 0.07056, 1.5976


def _phi_cubic(x: Array) -> Array:
    return x * (_PHI_CUBIC * x * x + _PHI_LINEAR)


def _phi_cubic_root(y: Array) -> Array:
    """The one real root ``x`` of ``_phi_cubic(x) = y`` (hyperbolic form of Cardano's formula)."""
    r = math.sqrt(_PHI_LINEAR / (3.0 * _PHI_CUBIC))
    return 2.0 * r * jnp.sinh(jnp.arcsinh(y / (2.0 * _PHI_CUBIC * r**3)) / 3.0)


@jax.custom_jvp
def _log_cloglog(eta: Array) -> Array:
    """``log(1 - exp(-exp(eta)))``, the log of the inverse of cloglog."""
    rate = rate_of(eta)
    near = jnp.where(rate < 0.6931471805599453, jnp.log(-jnp.expm1(-rate)), jnp.log1p(-jnp.exp(-rate)))
    return once(jnp.where(eta < -36.0, eta, near), eta)  # the next term, exp(eta) / 2, is below the last digit


@_log_cloglog.defjvp
def _log_cloglog_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_cloglog(*primals), fall_ratio(rate_of(*primals)) * tangents[0]


def _logit_cloglog(eta: Array) -> Array:
    """``log(exp(exp(eta)) - 1)``: the logit of the inverse of cloglog."""
    return _log_cloglog(eta) + rate_of(eta)


def _log_softplus(eta: Array) -> Array:
    tiny = jnp.less(eta, -30.0)
    return jnp.where(tiny, eta, jnp.log(softplus(jnp.where(tiny, 0.0, eta))))


def _softplus_forward(mu: Array) -> Array:
    return mu + jnp.log(-jnp.expm1(-mu))


def _squareplus(eta: Array) -> Array:
    root = jnp.sqrt(eta * eta + 4.0)
    negative = jnp.less(eta, 0.0)
    return jnp.where(negative, 2.0 / (root - jnp.where(negative, eta, 0.0)), 0.5 * (eta + root))


def _log_upper_cauchy(eta: Array) -> Array:
    """``log(1/2 + atan(eta) / pi)``, exact in the far lower tail."""
    return jnp.log(jnp.arctan2(1.0, -eta) / jnp.pi)


_LINKS = (
    _link("identity", _identity, _identity),
    _link("log", jnp.log, jnp.exp, _identity, log1mexp),
    _link("logit", _logit, logistic, lambda e: -softplus(-e), lambda e: -softplus(e), _identity, symmetric=True),
    _link("probit", ndtri, ndtr, log_ndtr, lambda e: log_ndtr(-e), log_ndtr_odds, symmetric=True),
    _link(
        "probit_approx",
        lambda mu: _phi_cubic_root(_logit(mu)),
        lambda e: logistic(_phi_cubic(e)),
        lambda e: -softplus(-_phi_cubic(e)),
        lambda e: -softplus(_phi_cubic(e)),
        _phi_cubic,
        symmetric=True,
    ),
    _link(
        "cloglog",
        lambda mu: jnp.log(-jnp.log1p(-mu)),
        lambda e: -jnp.expm1(-rate_of(e)),
        _log_cloglog,
        lambda e: -rate_of(e),
        _logit_cloglog,
    ),
    _link(  # cloglog of 1 - mu
        "loglog",
        lambda mu: -jnp.log(-jnp.log(mu)),
        lambda e: jnp.exp(-rate_of(-e)),
        lambda e: -rate_of(-e),
        lambda e: _log_cloglog(-e),
        lambda e: -_logit_cloglog(-e),
    ),
    _link(
        "cauchit",
        lambda mu: jnp.tan(jnp.pi * (mu - 0.5)),
        lambda e: jnp.arctan2(1.0, -e) / jnp.pi,
        _log_upper_cauchy,
        lambda e: _log_upper_cauchy(-e),
        symmetric=True,
    ),
    _link("inverse", lambda mu: 1.0 / mu, lambda e: 1.0 / e, lambda e: -jnp.log(e)),
    _link("sqrt", jnp.sqrt, jnp.square, lambda e: 2.0 * log0(jnp.abs(e))),
    _link("1/mu^2", lambda mu: 1.0 / jnp.square(mu), lambda e: jax.lax.rsqrt(e), lambda e: -0.5 * jnp.log(e)),
    _link("logm1", lambda mu: jnp.log(mu - 1.0), lambda e: 1.0 + jnp.exp(e), softplus),
    _link("log1p", jnp.log1p, jnp.expm1),
    _link("tan_half", lambda mu: jnp.tan(0.5 * mu), lambda e: 2.0 * jnp.arctan(e)),
    _link("softplus", _softplus_forward, softplus, _log_softplus),
    _link("squareplus", lambda mu: mu - 1.0 / mu, _squareplus, lambda e: jnp.arcsinh(0.5 * e)),
    _link(
        "softit",
        lambda mu: _softplus_forward(mu / (1.0 - mu)),
        lambda e: logistic(_log_softplus(e)),
        lambda e: -softplus(-_log_softplus(e)),
        lambda e: -jnp.log1p(softplus(e)),
        _log_softplus,
    ),
)

_BETWEEN: dict[str, Callable[[Any, Any], Any]] = {
    "logit": log_logistic_between,
    "probit": log_ndtr_between,
    "probit_approx": lambda low, high: log_logistic_between(_phi_cubic(low), _phi_cubic(high)),
    "cloglog": log_cloglog_between,
    "loglog": lambda low, high: log_cloglog_between(-high, -low),
    "cauchit": log_cauchy_between,
    "softit": lambda low, high: log_logistic_between(_log_softplus(low), _log_softplus(high)),
}

#: Every link under brms' name.
LINKS: dict[str, Link] = {entry.name: entry for entry in _LINKS}


def link(name: str) -> Link:
    """The link of that name, or an error with the near names.

    Examples
    --------
    >>> float(link("log").inverse(0.0))
    1.0
    """
    if name not in LINKS:
        raise BrimError(f"unknown link '{name}'", hint=suggest(str(name), LINKS, "links"))
    return LINKS[name]
