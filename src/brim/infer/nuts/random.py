"""Random numbers as a pure function of (stream, counter): splitmix64 (Steele, Lea & Flood 2014).

A stream belongs to one iteration of one chain, so draws depend neither on how iterations are cut into chunks nor on threads,
and a run can be resumed at any iteration. Scalars cost a handful of integer instructions inside the tree-building loop.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["chain_stream", "normals", "substream", "uniform"]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def chain_stream(seed: int, chain: int) -> np.uint64:
    """The stream of a chain: 64 well-mixed bits of (seed, chain)."""
    return np.random.SeedSequence([seed, chain]).generate_state(1, np.uint64)[0]


def substream(stream: Any, index: Any) -> Any:
    """An independent stream for each ``index`` (an iteration number): mixed twice, as split streams are."""
    with np.errstate(over="ignore"):
        return _mix(_bits(stream, index))


def uniform(stream: Any, counter: Any) -> Any:
    """Uniform numbers on the open interval (0, 1), one for each counter."""
    return ((_bits(stream, counter) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normals(stream: Any, n: int) -> Any:
    """``n`` independent standard normals, by inversion: ``sqrt(2) erfinv(2u - 1)``."""
    return np.sqrt(2.0) * lax.erf_inv(2.0 * uniform(stream, jnp.arange(n, dtype=jnp.uint64)) - 1.0)


def _bits(stream: Any, counter: Any) -> Any:
    # NumPy's numbers stay NumPy's: each operation of JAX outside a compiled program is a program of its own to compile
    counter = np.asarray(counter) if isinstance(counter, int) else counter
    with np.errstate(over="ignore"):
        return _mix(stream + (counter.astype(np.uint64) + np.uint64(1)) * _GAMMA)


def _mix(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))
