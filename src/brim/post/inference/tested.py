"""A hypothesis with its draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

__all__ = ["Tested"]


@final
@dataclass(frozen=True)
class Tested:
    """One hypothesis: ``values`` (draws,) are to be above 0 (``>``), below (``<``) or 0 (``=``); ``prior`` are draws from the prior."""

    name: str
    sign: str
    values: np.ndarray = field(repr=False)
    prior: np.ndarray | None = field(default=None, repr=False)
    group: str = ""
