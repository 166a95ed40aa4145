"""brms' default priors that follow the response: ``student_t(3, location, scale)`` on the scale of a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from brim.families.base import Family
from brim.model.response import FACTORS, MATRICES

__all__ = ["Defaults"]

#: Links under which default priors follow the response.
SCALED: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda v: v,
    "log": np.log,
    "inverse": lambda v: 1 / v,
    "sqrt": np.sqrt,
    "1/mu^2": lambda v: 1 / v**2,
}


@dataclass(frozen=True)
class Defaults:
    """The default priors of one response.

    Attributes
    ----------
    link
        The link of its main parameter.
    summary
        ``link -> (location, scale)`` of the response under that link.
    offsets
        The mean offset of each predictor that has one; the location of its intercept lies that much lower.
    """

    link: str
    summary: Callable[[str], tuple[float, float]] = field(repr=False)
    offsets: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def of(y: np.ndarray, family: Family, offsets: Mapping[str, float]) -> Defaults:
        """Those of a response ``y``, missing values ``NaN``."""
        return Defaults(next(iter(family.links.values())), cache(lambda link: _location_and_scale(y, family, link)), offsets)

    @property
    def scale(self) -> float:
        """``s`` of ``student_t(3, 0, s)`` of the standard deviations of terms: under the link of the main parameter."""
        return self.summary(self.link)[1]

    def text(self, prior: str, link: str = "identity", dpar: str = "mu") -> str:
        """A spec's default prior with ``location`` and ``scale`` of a parameter under its link spelled out."""
        if prior not in ("location", "scale"):
            return prior
        location, scale = self.summary(link)
        at = location - self.offsets.get(dpar, 0.0) if prior == "location" else 0.0
        return f"student_t(3, {at:.15g}, {scale:g})"


def _location_and_scale(y: np.ndarray, family: Family, link: str) -> tuple[float, float]:
    """``round(median, 1)`` and ``max(2.5, round(MAD, 1))`` of ``link(y)`` for the links where that makes sense, else 0 and 2.5.

    So too where some response has no ``link(y)``.
    """
    link = "log" if family.logscale else link
    if family.kind in (*MATRICES, *FACTORS[1:]) or link not in SCALED:
        return 0.0, 2.5
    y = y[~np.isnan(y)]  # a copy, partly sorted below: no further ones of large data
    if link in ("log", "inverse", "1/mu^2"):
        y = np.where(y == 0, y + 0.1, y)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        z = SCALED[link](y)
        if np.isnan(z).any():
            return 0.0, 2.5
        median = _median(z)
        mad = 1.4826 * _median(np.abs(np.subtract(z, median, out=z), out=z))
    location = float(np.round(median, 1))
    scale = max(2.5, float(np.round(mad, 1)))
    return (location if np.isfinite(location) else 0.0) + 0.0, scale if np.isfinite(scale) else 2.5


def _median(values: np.ndarray) -> float:
    """The median of values without ``NaN``, which are partly sorted in place; ``NaN`` if there is none."""
    n = len(values)
    if n == 0:
        return float("nan")
    values.partition(n // 2)
    high = values[n // 2]
    return float(high if n % 2 else 0.5 * (values[: n // 2].max() + high))
