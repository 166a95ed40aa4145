"""Censored responses: which values a row leaves open, cut to where the family has mass, and whether that leaves anything.

A row is known to be in ``(start, end]``: from the response up (right-censored), up to it (left-censored), up to ``y2`` (interval).
Where that reaches an end of the family's support, the row is censored on the other side only: ``(0, u]`` under a positive law is
``Y <= u``. So the likelihood never asks a distribution outside its support.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from brim.families.base import Family

__all__ = ["NOTHING", "Known", "recoded"]

#: The code of a row of which nothing is known; the others are brms': -1 left, 0 none, 1 right, 2 interval.
NOTHING = 3.0

#: The ends of a family's support by the kind of its responses.
_ENDS = {"positive": (0.0, np.inf), "count": (0.0, np.inf), "proportion": (0.0, 1.0), "angle": (-np.pi, np.pi)}

Data = Mapping[str, np.ndarray]


def _ends(family: Family, data: Data) -> tuple[np.ndarray | float, np.ndarray | float]:
    each = [_ENDS.get(one.kind, (-np.inf, np.inf)) for one in (family.components or (family,))]
    low, high = min(e[0] for e in each), max(e[1] for e in each)
    return low, data.get("trials", high)


@dataclass(frozen=True)
class Known:
    """What rows leave open: ``(start, end]`` where they are ``censored``.

    ``reversed`` where that is empty, ``impossible`` where it has no mass; ``codes`` are those of what is left inside the support.
    """

    censored: np.ndarray
    start: np.ndarray
    end: np.ndarray
    reversed: np.ndarray
    impossible: np.ndarray
    codes: np.ndarray

    @staticmethod
    def of(data: Data, family: Family) -> Known:
        """From the data of a response with ``cens()``."""
        y, code = data["y"], data["cens"]
        start = np.where(code >= 1, y, -np.inf)
        end = np.where(code == -1, y, np.where(code == 2, data.get("y2", np.nan), np.inf))
        low, high = _ends(family, data)
        bare = np.isfinite(low) & family.support(np.broadcast_to(low, y.shape), data)[0]  # no mass at the lower end
        censored = code != 0
        reached = (start < low) | ((start == low) & bare)
        impossible = censored & ((end < low) | ((end == low) & bare) | (start >= high))
        upset = (code == 2) & ~(start < end)
        start, end = np.where(reached, -np.inf, start), np.where(end >= high, np.inf, end)
        below, above = np.isfinite(end), np.isfinite(start)
        codes = np.where(censored, np.where(below, np.where(above, 2.0, -1.0), np.where(above, 1.0, NOTHING)), 0.0)
        return Known(censored, start, end, upset, impossible & ~upset, codes)


def recoded(data: dict[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    """The data with rows whose interval reaches an end of the support censored on the other side.

    Then ``at`` holds the limit of censored rows, and values inside the support for those of which nothing is known.
    """
    known = Known.of(data, family)
    if np.array_equal(known.codes, data["cens"]):
        return data
    low, high = (np.broadcast_to(v, known.codes.shape) for v in _ends(family, data))
    inside = np.where(np.isfinite(low), np.where(np.isfinite(high), 0.5 * (low + high), low + 1.0), 0.0)
    limits = [known.codes == 0, known.codes == -1, known.codes == NOTHING]
    at = np.select(limits, [data["y"], known.end, inside], known.start)
    out = {**data, "cens": known.codes, "at": at}
    return {**out, "y2": np.where(known.codes == 2, known.end, at + 1.0)} if (known.codes == 2).any() else out
