"""Families on the whole real line."""

from __future__ import annotations

from brim.distributions.real import Normal, StudentT
from brim.families import support
from brim.families.additions import scale_of
from brim.families.constructor import Constructor
from brim.families.dpars import NU, REAL_LINKS, SIGMA, UNIT_LINKS, mu

__all__ = ["FAMILIES"]

_LINKS = (*REAL_LINKS, *UNIT_LINKS)
_ADDITIONS = ("weights", "subset", "se", "cens", "trunc", "mi", "index")

FAMILIES = (
    Constructor(
        name="gaussian",
        summary="Normal distribution: mean ``mu``, standard deviation ``sigma``.",
        dpars=(mu(_LINKS), SIGMA),
        distribution=lambda d, data: Normal(d["mu"].value, scale_of(d, data)),
        support=support.real,
        additions=_ADDITIONS,
    ),
    Constructor(
        name="student",
        summary="Student's t distribution: location ``mu``, scale ``sigma``, ``nu`` degrees of freedom.",
        dpars=(mu(_LINKS), SIGMA, NU),
        distribution=lambda d, data: StudentT(d["nu"].value, d["mu"].value, scale_of(d, data)),
        support=support.real,
        additions=_ADDITIONS,
    ),
)
