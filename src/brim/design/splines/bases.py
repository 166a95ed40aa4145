"""The bases of smooths: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from brim.design.splines import bspline, covariance, cubic, duchon, effects, markov, pspline, sphere, thinplate
from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis
from brim.design.splines.mixed import AbstractSmooth

__all__ = ["BASES", "OVER_FACTORS", "REFUSED"]

#: Functions of the covariates with one penalty.
BASES: Mapping[str, Callable[[Asked], AbstractBasis]] = {
    "tp": thinplate.read,
    "ts": thinplate.read,
    "cr": cubic.read,
    "cs": cubic.read,
    "cc": cubic.read,
    "ps": pspline.read,
    "cp": pspline.read,
    "bs": bspline.read,
    "ds": duchon.read,
    "gp": covariance.read,
    "sos": sphere.read,
    "mrf": markov.read,
    "ad": pspline.adaptive,
}

#: Smooths whose coefficients run over the levels of factors among the covariates; they are given the reader of their inner basis.
OVER_FACTORS: Mapping[str, Callable[[Asked, Callable[[Asked], AbstractBasis]], AbstractSmooth]] = {
    "re": effects.read,
    "fs": effects.read_curves,
}

#: Those of mgcv that are refused, and why.
REFUSED: Mapping[str, str] = {
    "sz": "deviations that sum to zero over levels have a penalty for each, which have no form in which brms samples",
    "so": "soap films have two penalties, which have no form in which brms samples",
    "sf": "soap films need the solution of a partial differential equation inside the boundary",
    "sw": "soap films need the solution of a partial differential equation inside the boundary",
}
