"""A target's log density and gradient as functions of NumPy arrays, for whatever is not the compiled sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.compile import compiled as programs
from brim.compile.session import float64
from brim.infer.nuts.program import device_data
from brim.infer.target import NowhereError, Target

__all__ = ["Density", "compiled", "finite_point", "without_jacobian"]

TRIES = 100
_NUMBERS = 2**17  # size of the block of points that is evaluated in one call


class Density:
    """The log density of a target.

    Calling it with ``q (dim,)`` gives log density and gradient; ``values`` evaluates many points. Compiled on first use, once for
    all targets with an equal ``log_prob`` and equal shapes of data.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.rows = int(np.clip(_NUMBERS // max(target.dim, 1), 16, 1024))
        with float64():
            self.data = device_data(target.data)

    def __call__(self, q: np.ndarray) -> tuple[float, np.ndarray]:
        run = compiled(_gradient, self.target, jax.ShapeDtypeStruct((self.target.dim,), np.float64))
        with float64():
            lp, grad = run(np.asarray(q, np.float64), self.data)
        return float(lp), np.array(grad)

    def values(self, q: np.ndarray) -> np.ndarray:
        """Log densities of ``q (n, dim)``, ``(n,)``; ``-inf`` where one is not a number."""
        shapes = (jax.ShapeDtypeStruct((self.rows, self.target.dim), np.float64), jax.ShapeDtypeStruct((), np.int32))
        run = compiled(_values, self.target, *shapes)
        out = np.empty(len(q))
        block = np.zeros((self.rows, self.target.dim))
        with float64():
            for at in range(0, len(q), self.rows):
                part = q[at : at + self.rows]
                block[: len(part)] = part
                out[at : at + len(part)] = np.asarray(run(block, np.int32(len(part)), self.data))[: len(part)]
        return np.where(np.isnan(out), -np.inf, out)


def _gradient(log_prob: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return jax.value_and_grad(log_prob)


def _values(log_prob: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """``(q (rows, dim), n, data) ->`` log densities of the first ``n`` points, one after the other: memory does not grow with ``n``."""

    def run(q: Any, n: Any, data: Any) -> Any:
        return lax.fori_loop(jnp.zeros_like(n), n, lambda i, out: out.at[i].set(log_prob(q[i], data)), jnp.zeros(q.shape[0]))

    return run


def compiled(make: Callable[..., Callable[..., Any]], target: Target, *shapes: Any) -> Any:
    """``make(target.log_prob)`` compiled for arguments of ``shapes`` and then the target's data."""
    args = (*shapes, target.data)
    return programs.compiled((make, target.log_prob), lambda: make(target.log_prob), args, lambda found: found).result().run


def finite_point(density: Density, rng: np.random.Generator) -> np.ndarray:
    """A starting point of the target where log density and gradient are finite.

    Raises
    ------
    NowhereError
        When none of 100 tries is one.
    """
    for attempt in range(TRIES):
        q = density.target.first(rng, attempt)
        lp, grad = density(q)
        if np.isfinite(lp) and np.isfinite(grad).all():
            return q
    raise NowhereError(
        f"found no place to start: log density or gradient are not finite at any of {TRIES} starting points",
        hint="check bounds and priors against the data (a response outside its support, a prior of zero density), or give init",
    )


def without_jacobian(target: Target) -> Target:
    """The density of the constrained parameters themselves, as a function of unconstrained coordinates: what a mode is sought of."""
    if target.log_jacobian is None:
        return target
    return replace(target, log_prob=_difference(target.log_prob, target.log_jacobian))


@lru_cache(maxsize=64)
def _difference(log_prob: Callable[[Any, Any], Any], log_jacobian: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda q, data: log_prob(q, data) - log_jacobian(q, data)
