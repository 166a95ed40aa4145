"""Directions in which effects of places are independent: those that diagonalise the law of a conditional autoregression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from brim.linalg.arrays import Float

__all__ = ["MOST_PLACES", "SOFT_ZERO", "Modes", "modes_of", "null_directions"]

MOST_PLACES = 1000  # whose directions, a dense matrix, are found once and multiplied at every gradient
SOFT_ZERO = 0.001  # standard deviation a place of the sum of intrinsic effects, which is held near zero


class Modes(NamedTuple):
    """``r = V diag(s) z`` with ``z ~ N(0, I)``; ``s`` is what the type makes of its parameters and ``values``.

    Attributes
    ----------
    directions
        ``V``: (places, modes).
    values
        (modes,): eigenvalues of ``D^-1/2 W D^-1/2`` (escar), variances of ``z`` of the intrinsic law (icar, esicar, bym2).
    constant
        Log of what the density of brms has besides that of ``z``, the constants of which brms leaves out.
    """

    directions: Float[np.ndarray, "places modes"]
    values: Float[np.ndarray, " modes"]
    constant: float


def null_directions(w: Float[np.ndarray, "places places"]) -> int:
    """How many sets of places hang together: directions in which the intrinsic law is flat."""
    count = w.sum(axis=1)
    return int((np.linalg.eigvalsh(np.diag(count) - w) < 1e-8 * max(count.max(), 1.0)).sum())


def modes_of(kind: str, w: Float[np.ndarray, "places places"]) -> Modes | None:
    """The directions for a type of ``car()``; ``None`` where the law is flat in some, or there are too many places."""
    n, count = len(w), w.sum(axis=1)
    if n > MOST_PLACES:
        return None
    if kind == "escar":
        root = 1.0 / np.sqrt(count)
        values, vectors = np.linalg.eigh(root[:, None] * w * root)
        return Modes(root[:, None] * vectors, values, 0.5 * n * math.log(2 * math.pi) - 0.5 * float(np.log(count).sum()))
    if null_directions(w) > 1:
        return None
    precisions, vectors = np.linalg.eigh(np.diag(count) - w)
    variances, free = 1.0 / precisions[1:], 0.5 * (n - 1) * math.log(2 * math.pi)
    if kind == "esicar":  # brms: a density of all effects but the last one
        directions = vectors[:, 1:] * np.sqrt(variances)
        return Modes(directions, variances, free + float(np.linalg.slogdet(directions[:-1])[1]))
    vectors[:, 0] = 1.0 / math.sqrt(n)
    variances = np.concatenate([[SOFT_ZERO**2 * n], variances])
    constant = free + 0.5 * float(np.log(variances).sum()) - math.log(SOFT_ZERO * n)
    return Modes(vectors if kind == "bym2" else vectors * np.sqrt(variances), variances, constant)
