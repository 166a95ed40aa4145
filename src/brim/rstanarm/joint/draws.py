"""A function of the parameters, for every draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from brim.compile.session import float64
from brim.compile.xla import options

__all__ = ["over_draws"]

_BLOCK = 100  # draws held at once


def over_draws(one: Callable[[Any, Any], Any], given: Any, data: Any) -> np.ndarray:
    """``one(given of a draw, data)`` of every draw, in blocks; the arrays in ``given``, however nested, have draws as their first axis."""
    total = len(jax.tree.leaves(given)[0])
    with float64():
        run = jax.jit(jax.vmap(one, in_axes=(0, None)), compiler_options=options())
        blocks = [run(jax.tree.map(lambda v, i=i: v[i : i + _BLOCK], given), data) for i in range(0, total, _BLOCK)]
        return np.concatenate([np.asarray(b) for b in blocks])
