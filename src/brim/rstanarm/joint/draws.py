"""A function of the parameters, for every draw."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

from brim.compile.bounded import bounded
from brim.compile.session import float64

__all__ = ["over_draws"]

_BLOCK = 100  # draws held at once


def over_draws(structure: Hashable, one: Callable[[Any, Any], Any], given: Any, data: Any) -> np.ndarray:
    """``one(given of a draw, data)`` of every draw, in blocks; the arrays in ``given``, however nested, have draws as their first axis.

    ``structure`` says what ``one`` is made of, all arrays being in ``data``: equal ones share a compiled program.
    """
    total = len(jax.tree.leaves(given)[0])
    run = bounded(("joint", structure), lambda: jax.vmap(one, in_axes=(0, None)))
    size = min(_BLOCK, total)
    with float64():
        blocks = []
        for first in range(0, total, size):
            at = np.minimum(np.arange(first, first + size), total - 1)  # the last block is filled up: one program serves all
            blocks.append(np.asarray(run(jax.tree.map(lambda v, at=at: np.asarray(v)[at], given), data)))
        return np.concatenate(blocks)[:total]
