"""Elementwise functions that cost much, evaluated only at the rows that need them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from brim.families.gammas import along

__all__ = ["on_rows"]

Array = Any
Elementwise = Callable[..., tuple[Array, ...]]

_CHUNK = 512  # rows at a time: few enough that what a quadrature makes of them stays in the cache


def on_rows(f: Elementwise, needed: Array, *args: Array) -> tuple[Array, ...]:
    """``f(*args)`` at the rows where ``needed``, anything finite elsewhere; what it costs goes with the number of those rows.

    Parameters
    ----------
    f
        Elementwise, to a tuple of arrays; differentiable forward. Derivatives of every order follow, in reverse as well, each in
        one pass with the values.
    needed
        Mask; broadcasts with the arguments.
    args
        Broadcast against each other.

    Examples
    --------
    >>> import numpy as np
    >>> (root,) = on_rows(lambda x: (jnp.sqrt(x),), np.array([True, False, True]), np.array([4.0, 5.0, 9.0]))
    >>> root[0].item(), root[2].item()
    (2.0, 3.0)
    """
    full = jnp.broadcast_arrays(needed, *(jnp.asarray(a, float) for a in args))
    flat = _on_rows(f, jnp.ravel(full[0]), tuple(jnp.ravel(a) for a in full[1:]))
    return tuple(jnp.reshape(v, jnp.shape(full[0])) for v in flat)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_rows(f: Elementwise, needed: Array, args: tuple[Array, ...]) -> tuple[Array, ...]:
    size = jnp.shape(needed)[0]
    if jax.default_backend() != "cpu" or size <= _CHUNK:
        return f(*args)
    rows, count = _listed(needed)
    kinds = jax.eval_shape(f, *args)

    def step(state: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
        start, out = state
        # the last chunk reaches back over rows that are there already
        at = jax.lax.dynamic_slice(rows, (start,), (_CHUNK,))
        values = f(*(a[at] for a in args))
        return start + _CHUNK, tuple(o.at[at].set(v) for o, v in zip(out, values, strict=True))

    start = jnp.zeros((), int), tuple(jnp.zeros(k.shape, k.dtype) for k in kinds)
    return jax.lax.while_loop(lambda state: state[0] < count, step, start)[1]


def _listed(needed: Array) -> tuple[Array, Array]:
    """The numbers of the needed rows, filled up with the last one's, and how many there are."""
    size = jnp.shape(needed)[0]
    place = jnp.cumsum(needed) - 1
    count = place[-1] + 1
    last = jnp.max(jnp.where(needed, jnp.arange(size), 0))
    return jnp.full(size + _CHUNK, last).at[jnp.where(needed, place, size + _CHUNK)].set(jnp.arange(size), mode="drop"), count


def _jvp(f: Elementwise, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    needed, args = primals
    which = tuple(i for i, t in enumerate(tangents[1]) if type(t) is not SymbolicZero)
    both = _on_rows(_with_slopes(f, which), needed, args)
    n = len(both) // (1 + len(which))
    values, slopes = both[:n], [both[n * k : n * (k + 1)] for k in range(1, 1 + len(which))]

    def tangent(j: int) -> Array:
        return along(values[j], *((lambda k=k: slopes[k][j], tangents[1][i]) for k, i in enumerate(which)))

    return values, tuple(tangent(j) for j in range(n))


_on_rows.defjvp(_jvp, symbolic_zeros=True)


def _with_slopes(f: Elementwise, which: tuple[int, ...]) -> Elementwise:
    """The values of ``f``, then its derivatives in each of these arguments."""

    def both(*args: Array) -> tuple[Array, ...]:
        out: tuple[Array, ...] = ()
        for k, i in enumerate(which):

            def alone(x: Array, i: int = i) -> tuple[Array, ...]:
                return f(*args[:i], x, *args[i + 1 :])

            values, slopes = jax.jvp(alone, (args[i],), (jnp.ones_like(args[i]),))
            out += (*values, *slopes) if k == 0 else tuple(slopes)
        return out or f(*args)

    return both
