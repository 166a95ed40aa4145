"""Families of generalized linear mixed models in NumPy: likelihood, links and their slopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from scipy.special import expit, gammaln, logit, ndtr, ndtri, xlog1py, xlogy

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
    )
}


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
        return {"negbinomial": f"Negative Binomial({self.shape:.4f})"}.get(self.name, self.name)

    def with_shape(self, shape: float) -> Glm:
        return replace(self, shape=float(shape))

    def variance(self, mu: Array) -> Array:
        """Variance of one observation with weight 1."""
        if self.name == "binomial":
            return mu * (1.0 - mu)
        return mu if self.name == "poisson" else mu + mu * mu / self.shape

    def log_density(self, y: Array, mu: Array, w: Array) -> Array:
        """Log density of each row; a binomial ``y`` is a proportion of ``w`` trials."""
        if self.name == "binomial":
            k = w * y
            return gammaln(w + 1) - gammaln(k + 1) - gammaln(w - k + 1) + xlogy(k, mu) + xlog1py(w - k, -mu)
        if self.name == "poisson":
            return w * (xlogy(y, mu) - mu - gammaln(y + 1))
        s = self.shape
        return w * (gammaln(y + s) - gammaln(s) - gammaln(y + 1) + s * np.log(s / (s + mu)) + xlogy(y, mu / (s + mu)))

    def deviances(self, y: Array, mu: Array, w: Array) -> Array:
        """Twice what the log density lacks of that of the saturated model, each row."""
        if self.name == "binomial":
            return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) + xlogy(1 - y, 1 - y) - xlog1py(1 - y, -mu))
        if self.name == "poisson":
            return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) - (y - mu))
        s = self.shape
        return 2.0 * w * (xlogy(y, y) - xlogy(y, mu) - (y + s) * np.log((y + s) / (mu + s)))

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
        return (w * y + 0.5) / (w + 1.0) if self.name == "binomial" else y + 0.1

    def sample(self, rng: np.random.Generator, mu: Array, w: Array) -> Array:
        """New responses."""
        if self.name == "binomial":
            return rng.binomial(np.round(w).astype(int), mu) / w
        if self.name == "poisson":
            return rng.poisson(mu).astype(float)
        return rng.poisson(rng.gamma(self.shape, mu / self.shape)).astype(float)


def _slope(function: Callable[[Array], Array], x: Array) -> Array:
    """A derivative by central differences of fourth order, elementwise."""
    h = 1e-3 * (1.0 + np.abs(x) * 0.1)
    return (8.0 * (function(x + h) - function(x - h)) - (function(x + 2 * h) - function(x - 2 * h))) / (12.0 * h)


_KNOWN = {"binomial": ("logit", "probit", "cloglog"), "poisson": ("log", "sqrt"), "negbinomial": ("log", "sqrt")}
_OTHER_NAMES = {"bernoulli": "binomial", "negbinomial2": "negbinomial", "nbinom2": "negbinomial"}


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
    if name in ("gaussian", "normal"):
        raise BrimError("glmer() with a gaussian family is lmer()", hint="call brim.lmer()")
    if name not in _KNOWN:
        raise BrimError(
            f"glmer() has no family '{name}'", hint=suggest(name, _KNOWN, "families") + "; brim.brm(algorithm='map') has every family"
        )
    link = link or _KNOWN[name][0]
    if link not in _KNOWN[name]:
        raise BrimError(f"the family {name} has no link '{link}' here", hint=suggest(link, _KNOWN[name], "links"))
    return Glm(name, LINKS[link])
