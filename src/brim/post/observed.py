"""The observed responses of the rows that predictions are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import drawn_seed, named, whole
from brim.errors import BrimError
from brim.frames.frame import Frame

if TYPE_CHECKING:
    import pandas as pd

    from brim.fit.record import FitRecord
    from brim.model.model import ResponseModel

__all__ = ["independent_rows", "observed_frame", "observed_values", "row_blocks", "sample_rows"]

#: Draws x rows held at once where rows can be taken apart.
BLOCK = 20_000_000


def observed_frame(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> Frame:
    """The rows of a response: of the training data those it keeps, or all of ``newdata``."""
    if newdata is not None:
        return Frame.read(newdata)
    return response.response.kept(fit.frame.every("what is asked of the rows of the fit"))


def observed_values(fit: FitRecord, response: ResponseModel, newdata: Any = None) -> np.ndarray:
    """The response in these rows, ``(rows,)`` or ``(rows, categories)``; factors as codes from 1 (binary ones 0 and 1)."""
    return np.asarray(response.response.design(observed_frame(fit, response, newdata), response.family)["y"])


def independent_rows(fit: FitRecord, resp: str | None, newdata: Any = None) -> Frame | None:
    """The rows, if each can be evaluated without the others; ``None`` where residuals or several responses tie them together."""
    model = fit.model
    responses = model.responses if resp is None else (model.response(resp),)
    if len(responses) > 1 or model.joint is not None or any(t.traits.autocor for t in model.terms()):
        return None
    return observed_frame(fit, responses[0], newdata)


def row_blocks(frame: Frame | None, draws: int) -> list[slice]:
    """Slices of rows of which so many draws are held at once; none where all fit, or belong together."""
    size = max(1, BLOCK // max(draws, 1))
    if frame is None or frame.n <= size:
        return []
    return [slice(at, min(at + size, frame.n)) for at in range(0, frame.n, size)]


@named
def sample_rows(fit: FitRecord, n: int = 1000, *, seed: int | None = None) -> pd.DataFrame:
    """Rows of the data drawn at random without replacement: ``newdata`` for what would take all rows.

    Parameters
    ----------
    n
        How many. Of data that were reduced to sums as they were read, some 30,000 rows are kept, themselves drawn at random.
    seed
        The same seed gives the same rows.

    Returns
    -------
    pandas.DataFrame
        The columns that the model reads.

    Raises
    ------
    BrimError
        There are not so many.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> fit.sample_rows(3, seed=1).shape
    (3, 2)
    """
    from brim.post.inference.grids import to_pandas

    n, frame = whole("n", n, least=1), fit.frame
    there = frame.total if frame.whole is None else frame.whole.random
    if n > there:
        raise BrimError(f"n = {n}: {there} rows are there", hint="give fewer, or rows of the data themselves")
    rows = np.sort(np.random.default_rng(drawn_seed(seed)).choice(there, n, replace=False))
    if frame.counts is not None:
        rows = np.searchsorted(np.cumsum(frame.counts), rows, side="right")
    used = {v for f in fit.formula.formulas for v in f.variables(frame.names)}
    return to_pandas(frame.take(rows), [name for name in frame.names if name in used])
