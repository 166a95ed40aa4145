"""The observed responses of the rows that predictions are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.frames.frame import Frame

if TYPE_CHECKING:
    from brim.fit.record import FitRecord
    from brim.model.model import ResponseModel

__all__ = ["independent_rows", "observed_frame", "observed_values", "row_blocks"]

#: Draws x rows held at once where rows can be taken apart.
BLOCK = 20_000_000


def observed_frame(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> Frame:
    """The rows of a response: of the training data those it keeps, or all of ``newdata``."""
    return response.response.kept(fit.frame) if newdata is None else Frame.read(newdata)


def observed_values(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> np.ndarray:
    """The response in these rows, ``(rows,)`` or ``(rows, categories)``; factors as codes from 1 (binary ones 0 and 1)."""
    return np.asarray(response.response.design(observed_frame(fit, response, newdata), response.family)["y"])


def independent_rows(fit: FitRecord, resp: str | None, newdata: Any = None) -> Frame | None:
    """The rows, if each can be evaluated without the others; ``None`` where residuals or several responses tie them together."""
    model = fit.model
    responses = model.responses if resp is None else (model.response(resp),)
    if len(responses) > 1 or model.joint is not None or any(t.autocor for t in model.terms()):
        return None
    return observed_frame(fit, responses[0], newdata)


def row_blocks(frame: Frame | None, draws: int) -> list[slice]:
    """Slices of rows of which so many draws are held at once; none where all fit, or belong together."""
    size = max(1, BLOCK // max(draws, 1))
    if frame is None or frame.n <= size:
        return []
    return [slice(at, min(at + size, frame.n)) for at in range(0, frame.n, size)]
