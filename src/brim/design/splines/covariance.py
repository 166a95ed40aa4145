"""Gaussian process smooths (Kammann and Wand 2003): radial functions are covariances whose range is chosen, not estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.places import distances
from brim.design.splines.radial import AbstractKernel, Radial, read_radial

__all__ = ["Covariance", "read"]


@final
@dataclass(frozen=True)
class Covariance(AbstractKernel):
    """Correlations of functions at distance ``r``, ``u = r / range``.

    1: spherical, ``1 - 1.5 u + 0.5 u^3`` below ``u = 1``; 2: ``exp(-u^power)``; 3, 4, 5: Matern with smoothness 1.5, 2.5, 3.5. A
    ``range`` of zero is the largest distance between knots. Constant and, unless ``stationary``, linear functions are free.
    """

    type: int = 3
    range: float = 0.0
    power: float = 1.0
    stationary: bool = False

    def learn(self, knots: np.ndarray) -> Self:
        return self if self.range > 0 else replace(self, range=float(distances(knots, knots).max()))

    def between(self, at: np.ndarray, knots: np.ndarray) -> np.ndarray:
        u = distances(at, knots) / self.range
        if self.type == 1:
            return np.where(u <= 1, 1 - 1.5 * u + 0.5 * u**3, 0.0)
        if self.type == 2:
            return np.exp(-(u**self.power))
        polynomial = {3: 1 + u, 4: 1 + u + u**2 / 3, 5: 1 + u + 0.4 * u**2 + u**3 / 15}[self.type]
        return polynomial * np.exp(-u)

    def free(self, at: np.ndarray) -> np.ndarray:
        one = np.ones((len(at), 1))
        return one if self.stationary else np.hstack([one, at])

    @property
    def bend(self) -> bool:
        return False


def read(asked: Asked) -> Radial:
    """``bs = "gp"`` with ``m = c(type, range, power)``; a negative type is without linear functions."""
    if len(asked.m) > 3:
        raise asked.error('m of bs = "gp" is c(type, range, power)', at="m")
    kind, reach, power = (*asked.m, None, None, None)[:3]
    type_ = 3 if kind is None else round(kind)
    power = 1.0 if power is None else power
    if abs(type_) not in range(1, 6):
        hint = "1 spherical, 2 power exponential, 3, 4, 5 Matern with smoothness 1.5, 2.5, 3.5; negative: without linear functions"
        raise asked.error(f'm of bs = "gp" begins with a type from 1 to 5, not {type_}', hint, at="m")
    if not 0 < power <= 2:
        raise asked.error(f'the power in m of bs = "gp" is above 0 and at most 2, not {power:g}', at="m")
    made = Covariance(abs(type_), max(reach or 0.0, 0.0), power, type_ < 0)
    default = (10, 30, 100)[min(asked.d, 3) - 1] + (asked.d if made.stationary else 0)
    return read_radial(asked, made, default)
