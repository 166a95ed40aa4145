"""Splines on the sphere (Wahba 1981; Duchon's by Wendelberger) of latitude and longitude in degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import spence

from brim.design.splines.asked import Asked
from brim.design.splines.radial import AbstractKernel, Radial, read_radial

__all__ = ["Sphere", "read"]

TINY = float(np.finfo(float).tiny) * 10
SMALL = float(np.finfo(float).eps) * 1e-4


@final
@dataclass(frozen=True)
class Sphere(AbstractKernel):
    """Kernels of the angle between two points.

    ``order`` 1 to 4: Wahba's pseudosplines with the penalty of ``order + 1`` half derivatives; 0: the spline with the penalty
    ``int (laplacian f)^2``; -1 and -2: Duchon's splines in three dimensions, restricted to the sphere, with ``m = 2, s = 1/2`` and
    ``m = 1, s = 1``. The constant is free, for -1 all linear functions are.
    """

    order: int = 0

    def between(self, at: np.ndarray, knots: np.ndarray) -> np.ndarray:
        (a, lo), (b, lk) = np.deg2rad(at).T, np.deg2rad(knots).T
        cosine = np.sin(a)[:, None] * np.sin(b) + np.cos(a)[:, None] * np.cos(b) * np.cos(lo[:, None] - lk)
        cosine = np.clip(cosine, -1.0, 1.0)
        if self.order < 0:
            chord = np.maximum(2 * np.sin(np.arccos(cosine) / 2), TINY)
            return -chord if self.order == -2 else chord**2 * np.log(chord) / (8 * np.pi)
        if self.order == 0:
            return (1 - np.pi**2 / 6 + spence((1 - cosine) / 2)) / (4 * np.pi)  # spence(1 - z) is the dilogarithm of z
        return _wahba(np.maximum(1 - cosine, SMALL) / 2, self.order)

    def free(self, at: np.ndarray) -> np.ndarray:
        if self.order != -1:
            return np.ones((len(at), 1))
        la, lo = np.deg2rad(at).T
        return np.column_stack([np.ones(len(at)), np.cos(la) * np.sin(lo), np.cos(la) * np.cos(lo), np.sin(la)])

    @property
    def bend(self) -> bool:
        return True

    @property
    def centred(self) -> bool:
        return False

    @property
    def even(self) -> bool:
        return True


def _wahba(w: np.ndarray, order: int) -> np.ndarray:
    """Wahba's (1981) closed forms, ``(q_m / m! - 1 / (m + 1)!) / 2 pi`` in ``w = (1 - cos) / 2``."""
    c = 2 * np.sqrt(w)
    a = np.log1p(1 / np.sqrt(w))
    if order == 1:
        return (2 * a * w - c + 0.5) / (2 * np.pi)
    if order == 2:
        q = a * (6 * w**2 - 2 * w) - 3 * c * w + 3 * w + 0.5
        return (q / 2 - 1 / 6) / (2 * np.pi)
    if order == 3:
        q = (a * (60 * w**3 - 36 * w**2) + 30 * w**2 + c * (8 * w - 30 * w**2) - 3 * w + 1) / 3
        return (q / 6 - 1 / 24) / (2 * np.pi)
    q = a * (70 * w**4 - 60 * w**3 + 6 * w**2) + 35 * w**3 * (1 - c) + c * 55 * w**2 / 3 - 12.5 * w**2 - w / 3 + 0.25
    return (q / 24 - 1 / 120) / (2 * np.pi)


def read(asked: Asked) -> Radial:
    """``bs = "sos"`` of latitude and longitude, ``m`` from -2 to 4."""
    if asked.d != 2:
        raise asked.error('bs = "sos" has two covariates, latitude and longitude in degrees', 's(latitude, longitude, bs = "sos")')
    if len(asked.m) > 1:
        raise asked.error('m of bs = "sos" is one number from -2 to 4', at="m")
    order = 0 if not asked.m or asked.m[0] is None else round(asked.m[0])
    if not -2 <= order <= 4:
        raise asked.error(f'm of bs = "sos" is from -2 to 4, not {order}', at="m")
    return read_radial(asked, Sphere(order), 49)
