"""Censored responses as plots see them: the limit of each, and how far its value may lie from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

__all__ = ["Censoring"]


@final
@dataclass(frozen=True)
class Censoring:
    """How responses are censored: codes as brms has them, the limit of each, and the upper end of intervals, each ``(rows,)``."""

    codes: np.ndarray
    at: np.ndarray
    upper: np.ndarray

    @staticmethod
    def of(data: Mapping[str, np.ndarray]) -> Censoring | None:
        """Of the data of a response; ``None`` where nothing is censored."""
        if "cens" not in data or not np.any(data["cens"]):
            return None
        at = np.asarray(data.get("at", data["y"]), float)
        codes = np.broadcast_to(np.asarray(data["cens"]), at.shape)
        return Censoring(codes, at, np.where(codes == 2, data.get("y2", at), at))

    def rows(self, at: np.ndarray) -> Censoring:
        """Some of the rows."""
        return Censoring(self.codes[at], self.at[at], self.upper[at])
