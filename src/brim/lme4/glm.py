"""Families of generalized linear mixed models in NumPy: likelihood, links and their slopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from scipy.special import digamma, expit, gammaln, logit, ndtr, ndtri, xlog1py, xlogy

from brim.errors import BrimError, suggest

__all__ = ["Glm", "read_family"]

Array = np.ndarray
_TINY = np.finfo(float).eps


@final
@dataclass(frozen=True)
class Link:
    """``eta = g(mu)``: the inverse, its slope, and ``g``."""

    name: str
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    link: Callable[[Array], Array]

    def __reduce__(self) -> tuple[Any, ...]:
        return _link, (self.name,)  # its functions have no names


def _normal_density(eta: Array) -> Array:
    return np.exp(-0.5 * eta * eta) / np.sqrt(2.0 * np.pi)


def _inside(mu: Array) -> Array:
    return np.clip(mu, _TINY, 1.0 - _TINY)


LINKS: Mapping[str, Link] = {
    link.name: link
    for link in (
        Link("logit", lambda e: _inside(expit(e)), lambda e: np.maximum(expit(e) * expit(-e), _TINY), logit),
        Link("probit", lambda e: _inside(ndtr(e)), lambda e: np.maximum(_normal_density(e), _TINY), ndtri),
        Link(
            "cloglog",
            lambda e: _inside(-np.expm1(-np.exp(np.minimum(e, 700.0)))),
            lambda e: np.maximum(np.exp(np.minimum(e, 700.0) - np.exp(np.minimum(e, 700.0))), _TINY),
            lambda m: np.log(-np.log1p(-m)),
        ),
        Link(
            "log",
            lambda e: np.maximum(np.exp(np.minimum(e, 700.0)), _TINY),
            lambda e: np.maximum(np.exp(np.minimum(e, 700.0)), _TINY),
            np.log,
        ),
        Link("sqrt", lambda e: e * e, lambda e: 2.0 * e, np.sqrt),
        Link(
            "cauchit",
            lambda e: _inside(0.5 + np.arctan(e) / np.pi),
            lambda e: np.maximum(1.0 / (np.pi * (1.0 + e * e)), _TINY),
            lambda m: np.tan(np.pi * (m - 0.5)),
        ),
        Link("identity", lambda e: e, np.ones_like, lambda m: m),
        Link("inverse", lambda e: 1.0 / e, lambda e: -1.0 / (e * e), lambda m: 1.0 / m),
        Link("1/mu^2", lambda e: 1.0 / np.sqrt(e), lambda e: -0.5 * e**-1.5, lambda m: 1.0 / (m * m)),
    )
}


def _link(name: str) -> Link:
    return LINKS[name]


@final
@dataclass(frozen=True)
class Glm:
    """A family with its link; ``shape`` of the negative binomial."""

    name: str
    link: Link
    shape: float = np.nan

    @property
    def label(self) -> str:
        """lme4's name."""
        names = {"negbinomial": f"Negative Binomial({self.shape:.4f})", "gamma": "Gamma", "inverse_gaussian": "inverse.gaussian"}
        return names.get(self.name, self.name)

    @property
    def dispersed(self) -> bool:
        """Whether the variance has a factor that the mean does not give."""
        return self.name in _POWERS

    def with_shape(self, shape: float) -> Glm:
        return replace(self, shape=float(shape))

    def variance(self, mu: Array) -> Array:
        """Variance of one observation with weight 1 and dispersion 1."""
        if self.name == "binomial":
            return mu * (1.0 - mu)
        if self.dispersed:
            return mu ** _POWERS[self.name]
        return mu if self.name == "poisson" else mu + mu * mu / self.shape

    def log_density(self, y: Array, mu: Array, w: Array) -> Array:
        """Log density of each row; a binomial ``y`` is a proportion of ``w`` trials. Of families without dispersion."""
        if self.name == "binomial":
            k = w * y
            return gammaln(w + 1) - gammaln(k + 1) - gammaln(w - k + 1) + xlogy(k, mu) + xlog1py(w - k, -mu)
        if self.name == "poisson":
            return w * (xlogy(y, mu) - mu - gammaln(y + 1))
        s = self.shape
        return w * (gammaln(y + s) - gammaln(s) - gammaln(y + 1) + s * np.log(s / (s + mu)) + xlogy(y, mu / (s + mu)))

    def deviances(self, y: Array, mu: Array, w: Array) -> Array:
        """Twice what the log density lacks of that of the saturated model, each row (with dispersion 1)."""
        if self.name == "binomial":
            return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) + xlogy(1 - y, 1 - y) - xlog1py(1 - y, -mu))
        if self.name == "poisson":
            return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) - (y - mu))
        if self.name == "gaussian":
            return w * (y - mu) ** 2
        if self.name == "gamma":
            return 2.0 * w * ((y - mu) / mu - np.log(y / mu))
        if self.name == "inverse_gaussian":
            return w * (y - mu) ** 2 / (y * mu * mu)
        s = self.shape
        return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) - (y + s) * np.log((y + s) / (mu + s)))

    # ------------------------------------------------------------------ what modes and criteria are made of

    def misfit(self, y: Array, mu: Array, w: Array) -> float:
        """What the effects' mode makes small with their penalty: ``-2 log p``, or the deviance where there is a dispersion."""
        with np.errstate(invalid="ignore", divide="ignore"):
            each = self.deviances(y, mu, w) if self.dispersed else -2.0 * self.log_density(y, mu, w)
            return float(each.sum()) if (mu > 0).all() or self.name == "gaussian" else np.inf

    def minus_two_log(self, y: Array, misfit: float, w: Array) -> float:
        """``-2 log p(y)`` at this misfit; with the dispersion at ``deviance / sum w``, and 2 for it, as the families' ``aic`` in R."""
        if not self.dispersed:
            return misfit
        total = float(w.sum())
        if self.name == "gaussian":
            return len(y) * (np.log(2.0 * np.pi * misfit / len(y)) + 1.0) + 2.0 - float(np.log(w).sum())
        logs = float(w @ np.log(y))
        if self.name == "inverse_gaussian":
            return total * (np.log(2.0 * np.pi * misfit / total) + 1.0) + 3.0 * logs + 2.0
        k = total / misfit
        return float(2.0 - 2.0 * (total * (k * np.log(k) - gammaln(k) - k - 0.5) - logs))

    def sharpness(self, y: Array, misfit: float, w: Array) -> float:
        """The slope of ``minus_two_log`` over the misfit."""
        if not self.dispersed:
            return 1.0
        if self.name == "gaussian":
            return len(y) / misfit
        total = float(w.sum())
        k = total / misfit
        return float(2.0 * k * k * (np.log(k) - digamma(k))) if self.name == "gamma" else k

    # ------------------------------------------------------------------ as functions of the predictor

    def score(self, eta: Array, y: Array, w: Array) -> Array:
        """d log density / d eta."""
        mu = self.link.inverse(eta)
        return w * (y - mu) * self.link.slope(eta) / self.variance(mu)

    def information(self, eta: Array, w: Array) -> Array:
        """The expected information of ``eta``."""
        mu = self.link.inverse(eta)
        return w * self.link.slope(eta) ** 2 / self.variance(mu)

    @property
    def canonical(self) -> bool:
        return (self.name, self.link.name) in (("binomial", "logit"), ("poisson", "log"))

    def observed_information(self, eta: Array, y: Array, w: Array) -> Array:
        """``-d2 log density / d eta2``."""
        return self.information(eta, w) if self.canonical else -_slope(lambda e: self.score(e, y, w), eta)

    def information_slope(self, eta: Array, w: Array) -> Array:
        """d information / d eta."""
        return _slope(lambda e: self.information(e, w), eta)

    def start(self, y: Array, w: Array) -> Array:
        """Means to begin iterations with."""
        if self.dispersed:
            return np.full_like(y, w @ y / w.sum())
        return (w * y + 0.5) / (w + 1.0) if self.name == "binomial" else y + 0.1

    def sample(self, rng: np.random.Generator, mu: Array, w: Array, sigma: float) -> Array:
        """New responses; ``sigma^2`` is the dispersion."""
        if self.name == "gaussian":
            return rng.normal(mu, sigma / np.sqrt(w))
        if self.name == "gamma":
            return rng.gamma(w / sigma**2, mu * sigma**2 / w)
        if self.name == "inverse_gaussian":
            return rng.wald(mu, w / sigma**2)
        if self.name == "binomial":
            return rng.binomial(np.round(w).astype(int), mu) / w
        if self.name == "poisson":
            return rng.poisson(mu).astype(float)
        return rng.poisson(rng.gamma(self.shape, mu / self.shape)).astype(float)


def _slope(function: Callable[[Array], Array], x: Array) -> Array:
    """A derivative by central differences of fourth order, elementwise."""
    h = 1e-3 * (1.0 + np.abs(x) * 0.1)
    return (8.0 * (function(x + h) - function(x - h)) - (function(x + 2 * h) - function(x - 2 * h))) / (12.0 * h)


#: The power of the mean that the variance is, times a dispersion.
_POWERS: Mapping[str, int] = {"gaussian": 0, "gamma": 2, "inverse_gaussian": 3}
_KNOWN = {
    "binomial": ("logit", "probit", "cloglog", "cauchit", "log"),
    "poisson": ("log", "sqrt", "identity"),
    "negbinomial": ("log", "sqrt", "identity"),
    "gamma": ("inverse", "log", "identity"),
    "inverse_gaussian": ("1/mu^2", "log", "identity", "inverse"),
    "gaussian": ("identity", "log", "inverse"),
}
_OTHER_NAMES = {
    "bernoulli": "binomial",
    "negbinomial2": "negbinomial",
    "nbinom2": "negbinomial",
    "inverse.gaussian": "inverse_gaussian",
    "normal": "gaussian",
}


def read_family(family: Any) -> Glm:
    """A family's name (``"binomial"``, ``"binomial(probit)"``), or what ``brim.poisson()`` and its like give.

    Examples
    --------
    >>> read_family("binomial(probit)").link.name
    'probit'
    """
    links = getattr(family, "links", None)
    if links is not None:
        name, link = family.name, links.get("mu", "")
    elif callable(family):
        return read_family(family())
    else:
        name, _, rest = str(family).partition("(")
        link = rest.rstrip(")").replace("link", "").strip("=' \"")
    name = _OTHER_NAMES.get(name.lower(), name.lower())
    if name not in _KNOWN:
        raise BrimError(
            f"glmer() has no family '{name}'", hint=suggest(name, _KNOWN, "families") + "; brim.brm(algorithm='map') has every family"
        )
    link = link or _KNOWN[name][0]
    if link not in _KNOWN[name]:
        raise BrimError(f"the family {name} has no link '{link}' here", hint=suggest(link, _KNOWN[name], "links"))
    if (name, link) == ("gaussian", "identity"):
        raise BrimError("glmer() with a gaussian family is lmer()", hint="call brim.lmer()")
    return Glm(name, LINKS[link])
