"""What ``mi()`` and ``index()`` left of ``~`` say of a response: its missing values are estimated, its rows have labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from brim.design.expressions import Expression
from brim.families.base import Family
from brim.frames.frame import Frame
from brim.language.expand import ADDITIONS, Name, Node, arguments, variables
from brim.model.response import Response
from brim.terms.base import Imputable

__all__ = ["imputable"]

#: Bounds of the values of a response by its kind.
_BOUNDS: dict[str, tuple[float | None, float | None]] = {"positive": (0.0, None), "proportion": (0.0, 1.0), "angle": (-np.pi, np.pi)}


def imputable(response: Response, family: Family, resp: str, frame: Frame) -> Imputable | None:
    """What ``mi()`` terms may read of a learned response, ``None`` when it has no ``mi()``.

    ``frame`` holds all training rows, ``resp`` is the response's name in the names of parameters.
    """
    call = next((a for a in response.additions if a.fn == "mi"), None)
    if call is None:
        return None
    noise = arguments(call, ADDITIONS)[1].get("sdy")
    subset = next((a for a in response.additions if a.fn == "subset"), None)
    label = next((a.args[0] for a in response.additions if a.fn == "index"), None)
    return Imputable(
        resp=resp,
        column=response.node.name if isinstance(response.node, Name) else response.name,
        rows=response.rows,
        value=lambda new: response.values(new, family),
        noise=_numbers(noise, frame),
        index=None if label is None else Expression(label).learn(frame).value,
        columns=tuple(dict.fromkeys(v for node in (response.node, noise) if node is not None for v in variables(node))),
        index_columns=variables(label) if label is not None else (),
        row_columns=variables(subset) if subset is not None else (),
        bounds=_bounds(response, family, frame),
    )


def _numbers(node: Node | None, frame: Frame) -> Callable[[Frame], Any] | None:
    return None if node is None else Expression(node).learn(frame).numbers


def _bounds(response: Response, family: Family, frame: Frame) -> tuple[float | None, float | None]:
    """The bounds of the family's values, and those of ``trunc()``: the narrowest of all rows, as in brms."""
    low, high = _BOUNDS.get(family.kind, (None, None))
    data = response.design(response.kept(frame), family)
    if any(spec.ub == "min_Y" for spec in family.dpars):
        low = float(np.nanmin(data["y"]))
    lows = [b for b in (low, float(np.max(data.get("lb", -np.inf)))) if b is not None and b > -np.inf]
    highs = [b for b in (high, float(np.min(data.get("ub", np.inf)))) if b is not None and b < np.inf]
    return max(lows, default=None), min(highs, default=None)
