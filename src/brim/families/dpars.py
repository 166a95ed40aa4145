"""The distributional parameters that families share: links, bounds and default priors, each said once."""

from __future__ import annotations

from dataclasses import replace

from brim.families.base import DparSpec

__all__ = [
    "ALPHA",
    "BETA",
    "BIAS",
    "BS",
    "BY_NAME",
    "COI",
    "COUNT_LINKS",
    "DISC",
    "HU",
    "KAPPA",
    "KAPPA_XBETA",
    "NDT",
    "NU",
    "PHI",
    "POSITIVE_LINKS",
    "PROBABILITY_LINKS",
    "QUANTILE",
    "REAL_LINKS",
    "SHAPE",
    "SHAPE_NB",
    "SIGMA",
    "SIGMA_NB2",
    "XI",
    "ZI",
    "ZOI",
    "mu",
]

#: Links of ``mu``, the default first, in brms' order.
REAL_LINKS = ("identity", "log", "inverse", "softplus", "squareplus")
UNIT_LINKS = ("logit", "probit", "probit_approx", "cloglog", "cauchit", "softit", "loglog")
PROBABILITY_LINKS = (*UNIT_LINKS, "identity", "log")
COUNT_LINKS = ("log", "identity", "sqrt", "softplus", "squareplus")
POSITIVE_LINKS = ("log", "identity", "inverse", "softplus", "squareplus")

_POSITIVE = ("log", "identity", "softplus", "squareplus")
_UNIT = ("logit", "identity")

SIGMA = DparSpec("sigma", _POSITIVE, lb=0.0, prior="scale", intercept_prior="scale")
#: The overdispersion of ``negbinomial2``, which is no spread of the response.
SIGMA_NB2 = replace(SIGMA, prior="gamma(0.4, 0.3)")
SHAPE = DparSpec("shape", _POSITIVE, lb=0.0, prior="gamma(0.01, 0.01)")
#: The overdispersion of negative binomial families; its default prior is that of brms since 2.23.
SHAPE_NB = replace(SHAPE, prior="inv_gamma(0.4, 0.3)")
NU = DparSpec("nu", ("logm1", "identity"), lb=1.0, prior="gamma(2, 0.1)", intercept_prior="normal(2.7, 0.8)")
PHI = DparSpec("phi", (*_POSITIVE, "sqrt"), lb=0.0, prior="gamma(0.01, 0.01)")
KAPPA = DparSpec("kappa", _POSITIVE, lb=0.0, prior="gamma(2, 0.01)", intercept_prior="normal(5.0, 0.8)")
#: The exceedance of extended-support beta responses, which is small.
KAPPA_XBETA = DparSpec("kappa", _POSITIVE, lb=0.0, prior="gamma(0.01, 0.01)")
BETA = DparSpec("beta", _POSITIVE, lb=0.0, prior="gamma(1, 0.1)", intercept_prior="normal(1.7, 1.3)")
ZI = DparSpec("zi", _UNIT, lb=0.0, ub=1.0, prior="beta(1, 1)", intercept_prior="logistic(0, 1)")
HU, ZOI, COI, BIAS, QUANTILE = (replace(ZI, name=name) for name in ("hu", "zoi", "coi", "bias", "quantile"))
DISC = DparSpec("disc", _POSITIVE, lb=0.0, prior="lognormal(0, 1)", intercept_prior="normal(0, 1)", fixed=1.0)
BS = DparSpec("bs", _POSITIVE, lb=0.0, prior="gamma(1, 1)", intercept_prior="normal(-0.6, 1.3)")
NDT = DparSpec("ndt", _POSITIVE, lb=0.0, ub="min_Y", prior="uniform(0, min_Y)", intercept_prior="")
XI = DparSpec("xi", ("log1p", "identity"), prior="normal(0, 2.5)", intercept_prior="normal(0, 4)")
ALPHA = DparSpec("alpha", ("identity", "log", "softplus", "squareplus"), prior="normal(0, 4)", intercept_prior="normal(0, 4)")


def mu(links: tuple[str, ...]) -> DparSpec:
    """The location parameter with a family's own links; the prior of its intercept sits where the response does."""
    return DparSpec("mu", links, intercept_prior="location")


#: Every shared parameter under its name.
BY_NAME = {spec.name: spec for spec in (SIGMA, SHAPE, NU, PHI, KAPPA, BETA, ZI, HU, ZOI, COI, BIAS, QUANTILE, DISC, BS, NDT, XI, ALPHA)}
