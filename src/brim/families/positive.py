"""Families of positive numbers."""

from __future__ import annotations

from brim.distributions.positive import Frechet, Gamma, InverseGaussian, LogNormal, Weibull
from brim.families import support
from brim.families.constructor import Constructor
from brim.families.dpars import NDT, NU, POSITIVE_LINKS, SHAPE, SIGMA, mu
from brim.families.kinds import Kind

__all__ = ["FAMILIES"]

_ADDITIONS = ("weights", "subset", "cens", "trunc", "entry", "mi", "index")
_POSITIVE = support.interval(0.0, float("inf"), "positive numbers")

FAMILIES = (
    Constructor(
        name="lognormal",
        summary="Log-normal distribution: ``log(Y)`` has mean ``mu`` and standard deviation ``sigma``.",
        dpars=(mu(("identity", "inverse")), SIGMA),
        distribution=lambda d, data: LogNormal(d["mu"].value, d["sigma"].value),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
        logscale=True,
    ),
    Constructor(
        name="shifted_lognormal",
        summary="Shifted log-normal distribution: ``log(Y - ndt)`` has mean ``mu`` and standard deviation ``sigma``.",
        dpars=(mu(("identity", "inverse")), SIGMA, NDT),
        distribution=lambda d, data: LogNormal(d["mu"].value, d["sigma"].value, d["ndt"].value),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
        logscale=True,
    ),
    Constructor(
        name="gamma",
        summary="Gamma distribution: mean ``mu``, ``shape``.",
        dpars=(mu(POSITIVE_LINKS), SHAPE),
        distribution=lambda d, data: Gamma(d["shape"].value, d["mu"].log),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="weibull",
        summary="Weibull distribution: mean ``mu``, ``shape``.",
        dpars=(mu(POSITIVE_LINKS), SHAPE),
        distribution=lambda d, data: Weibull(d["shape"].value, d["mu"].log),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="exponential",
        summary="Exponential distribution with mean ``mu``.",
        dpars=(mu(POSITIVE_LINKS),),
        distribution=lambda d, data: Weibull(1.0, d["mu"].log),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="frechet",
        summary="Frechet distribution: mean ``mu``, shape ``nu > 1``.",
        dpars=(mu(POSITIVE_LINKS), NU),
        distribution=lambda d, data: Frechet(d["nu"].value, d["mu"].log),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="inverse_gaussian",
        summary="Inverse Gaussian distribution: mean ``mu``, ``shape``.",
        dpars=(mu(("1/mu^2", "inverse", "identity", "log", "softplus", "squareplus")), SHAPE),
        distribution=lambda d, data: InverseGaussian(d["mu"].value, d["shape"].value),
        support=_POSITIVE,
        kind=Kind.POSITIVE,
        additions=_ADDITIONS,
    ),
)
