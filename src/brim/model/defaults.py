"""brms' default priors that follow the response: ``student_t(3, location, scale)`` on the scale of a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from brim.families.base import Family
from brim.frames.frame import Frame
from brim.frames.middle import Values, average, middle

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
    def of(frame: Frame, name: str, values: Values, family: Family, offsets: Mapping[str, float]) -> Defaults:
        """Those of a response called ``name``, whose ``values`` in rows are ``NaN`` where missing."""
        summary = cache(lambda link: _location_and_scale(frame, name, values, family, link))
        return Defaults(next(iter(family.links.values())), summary, offsets)

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


def _location_and_scale(frame: Frame, name: str, values: Values, family: Family, link: str) -> tuple[float, float]:
    """``round(median, 1)`` and ``max(2.5, round(MAD, 1))`` of ``link(y)`` for the links where that makes sense, else 0 and 2.5.

    So too where some response has no ``link(y)``.
    """
    link = "log" if family.logscale else link
    if family.kind.matrix or family.kind.chosen or link not in SCALED:
        return 0.0, 2.5

    def linked(rows: Frame) -> np.ndarray:
        y = values(rows)
        if link in ("log", "inverse", "1/mu^2"):
            y = np.where(y == 0, y + 0.1, y)
        return SCALED[link](y)

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if link != "identity" and average(
            frame, f"where {name} has no {link}", lambda rows: np.isnan(linked(rows)) > np.isnan(values(rows))
        ):
            return 0.0, 2.5
        median, distance = middle(frame, f"the median of {name} ({link})", linked)
    location, scale = float(np.round(median, 1)), max(2.5, float(np.round(1.4826 * distance, 1)))
    return (location if np.isfinite(location) else 0.0) + 0.0, scale if np.isfinite(scale) else 2.5
