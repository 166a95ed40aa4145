"""Duchon splines (Duchon 1977), of which thin plate splines are those with ``s = 0``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.places import distances, monomials
from brim.design.splines.radial import AbstractKernel, Radial, read_radial
from brim.errors import warn
from brim.language.expand import deparse
from brim.limits import within

__all__ = ["Duchon", "read"]


@final
@dataclass(frozen=True)
class Duchon(AbstractKernel):
    """The penalty ``int |w|^(2 s) |F(D^m f)(w)|^2 dw``: derivatives of order ``m``, their Fourier transform weighted by ``|w|^s``.

    ``E(r) = +- r^(2m+2s-d)``, times ``log r`` where the power is even; polynomials of degree below ``m`` are free. With ``m = 1`` and
    ``s = 1/2`` in two dimensions only the constant is.
    """

    m: int = 2
    s: float = 0.0

    def between(self, at: np.ndarray, knots: np.ndarray) -> np.ndarray:
        power = 2 * self.m + 2 * self.s - knots.shape[1]
        sign = -1.0 if (np.floor(power / 2) + 1) % 2 else 1.0
        r = distances(at, knots)
        if power % 2:
            return sign * r**power
        return sign * r**power * np.log(np.where(r > 0, r, 1.0))

    def free(self, at: np.ndarray) -> np.ndarray:
        return monomials(at, self.m)

    @property
    def bend(self) -> bool:
        return True


def read(asked: Asked) -> Radial:
    """``bs = "ds"`` with ``m = c(m, s)``, ``c(2, 0)`` by default; ``s`` is moved to where the functions are continuous, as mgcv does."""
    if len(asked.m) > 2:
        raise asked.error('m of bs = "ds" is c(m, s)', "the order of derivatives, and of the weight", at="m")
    first, second = (*asked.m, None, None)[:2]
    d, m, s = asked.d, 2 if first is None else max(round(first), 1), 0.0 if second is None else round(2 * second) / 2
    wanted = s
    if abs(s) >= d / 2:
        s = np.sign(s) * (d - 1) / 2
    if m + s <= d / 2:
        s = 0.5 + d / 2 - m
    if s >= d / 2:
        raise asked.error(f"m = {m} is too small for a Duchon spline of {d} covariates", "give a larger m", at="m")
    if s != wanted:
        warn(f'm = c({m}, {wanted:g}) of bs = "ds" gives no continuous functions of {d} covariate(s): it is taken as c({m}, {s:g})')
    within("basis", math.comb(m + d - 1, d), f"m of {deparse(asked.call)}")
    return read_radial(asked, Duchon(m, float(s)), (10, 30, 100)[min(d, 3) - 1])
