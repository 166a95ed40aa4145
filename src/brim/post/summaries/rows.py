"""A data frame with one row an observation, whose numbers can also be taken by position, as of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["RowFrame"]


class RowFrame(pd.DataFrame):
    """A data frame by name (``frame["Estimate"]``) and by position (``frame[:, 0]``, ``frame[3]``): its labels are text.

    Examples
    --------
    >>> frame = RowFrame({"Estimate": [1.0, 2.0], "Est.Error": [0.1, 0.2]})
    >>> frame["Estimate"].tolist(), frame[:, 1].tolist(), frame[0].tolist()
    ([1.0, 2.0], [0.1, 0.2], [1.0, 0.1])
    """

    @property
    def _constructor(self) -> type[RowFrame]:
        return RowFrame

    def __getitem__(self, key: Any) -> Any:
        return self.to_numpy()[key] if _positional(key) else super().__getitem__(key)


def _positional(key: Any) -> bool:
    """Whether a key counts rows or columns; boolean masks of rows are pandas' own."""
    if isinstance(key, tuple | int | np.integer | slice):
        return True
    return isinstance(key, list | np.ndarray) and len(key) > 0 and np.asarray(key).dtype.kind in "iu"
