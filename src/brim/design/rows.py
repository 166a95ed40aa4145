"""Which rows of the data a call takes: ``subset=`` and ``na_action=``, R's arguments beside the formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from brim.design.expressions import Expression
from brim.errors import BrimError, name_rows
from brim.frames.columns import Logical
from brim.frames.frame import Frame
from brim.language.expand import parse

__all__ = ["check_missing", "subset_rows"]


def subset_rows(subset: Any, frame: Frame) -> np.ndarray:
    """Mask of the rows that ``subset`` keeps, ``(rows,)``: an expression of columns (``"Days > 2"``) or a truth value for each row.

    As in R, rows where it is missing are left out.

    Raises
    ------
    BrimError
        For what is neither, and where no row is kept.

    Examples
    --------
    >>> subset_rows("x > 1", Frame.read({"x": [1.0, 2.0, float("nan")]}))
    array([False,  True, False])
    """
    if subset is None:
        return np.ones(frame.n, bool)
    hint = f"give an expression of columns as text, 'x > 2', or True/False for each of the {frame.n} rows"
    if isinstance(subset, str):
        value = Expression(parse(subset)).learn(frame).value(frame)
        if not isinstance(value, Logical):
            raise BrimError("subset is no logical expression", source=subset, hint=hint)
        kept = np.asarray(value.numbers == 1.0)
    else:
        given = np.asarray(subset)
        kinds = given.dtype.kind
        truths = kinds == "b" or (kinds == "O" and all(isinstance(v, bool | np.bool_) or _absent(v) for v in given.ravel()))
        if given.shape != (frame.n,) or not truths:
            raise BrimError(f"subset has shape {given.shape} and type {given.dtype}", hint=hint)
        kept = np.array([not _absent(v) and bool(v) for v in given]) if kinds == "O" else given
    if not kept.any():
        raise BrimError("subset keeps no row", hint="see which rows the condition is true for")
    return kept


def _absent(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas' NA compares with nothing
        return True


def check_missing(na_action: Any, incomplete: np.ndarray) -> None:
    """``na_action=`` of a call, with the numbers of the rows that have missing values: ``"na.omit"`` leaves them out, ``"na.fail"`` raises.

    Raises
    ------
    BrimError
        For missing values with ``"na.fail"``, and for R's other actions.
    """
    action = str(na_action).replace("_", ".").removeprefix("na.")
    if na_action is None or action == "omit":
        return
    if action == "fail":
        if len(incomplete):
            raise BrimError(f"missing values in {name_rows(incomplete)}", hint="na_action='na.omit' leaves these rows out")
        return
    raise BrimError(
        f"na_action = {na_action!r}", hint="'na.omit' leaves rows with missing values out, 'na.fail' refuses them; predict() tells all rows"
    )
