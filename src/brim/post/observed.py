"""The observed responses of the rows that predictions are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.frames.frame import Frame

if TYPE_CHECKING:
    from brim.fit.record import FitRecord
    from brim.model.model import ResponseModel

__all__ = ["observed_frame", "observed_values"]


def observed_frame(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> Frame:
    """The rows of a response: of the training data those it keeps, or all of ``newdata``."""
    return response.response.kept(fit.frame) if newdata is None else Frame.read(newdata)


def observed_values(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> np.ndarray:
    """The response in these rows, ``(rows,)`` or ``(rows, categories)``; factors as codes from 1 (binary ones 0 and 1)."""
    return np.asarray(response.response.design(observed_frame(fit, response, newdata), response.family)["y"])
