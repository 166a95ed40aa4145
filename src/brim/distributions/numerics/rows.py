"""Elementwise functions that cost much: derivatives in one pass with the value, evaluation only at the rows that need it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from brim.distributions.numerics.gammas import along

__all__ = ["in_one_pass", "on_rows"]

Array = Any
Elementwise = Callable[..., tuple[Array, ...]]

_CHUNK = 512  # rows at a time: few enough that what a quadrature makes of them stays in the cache
_FEW = 16  # so many are not worth a loop


def in_one_pass(f: Callable[..., Array]) -> Callable[..., Array]:
    """The elementwise ``f`` with its slopes computed along with its value, by forward-mode differentiation.

    Reverse mode then keeps one slope for each argument, where it would keep every intermediate result and go through the formula
    a second time. Derivatives of every order follow; slopes in constants are not computed.

    Examples
    --------
    >>> jax.value_and_grad(in_one_pass(lambda x, y: x * jnp.exp(-y)))(2.0, 0.0)[1].item()
    1.0
    """

    @jax.custom_jvp
    @wraps(f)
    def one(*args: Array) -> Array:
        return f(*args)

    def jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        which = tuple(i for i, t in enumerate(tangents) if type(t) is not SymbolicZero)
        value, *slopes = _with_slopes(lambda *args: (f(*args),), which)(*primals)
        return value, along(value, *((lambda k=k: slopes[k], tangents[i]) for k, i in enumerate(which)))

    one.defjvp(jvp, symbolic_zeros=True)
    return one


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
        Broadcast against each other; single numbers stay single, so that ``f`` can do their part once.

    Examples
    --------
    >>> import numpy as np
    >>> (root,) = on_rows(lambda x: (jnp.sqrt(x),), np.array([True, False, True]), np.array([4.0, 5.0, 9.0]))
    >>> root[0].item(), root[2].item()
    (2.0, 3.0)
    """
    shape = jnp.broadcast_shapes(jnp.shape(needed), *map(jnp.shape, args))
    rows = tuple(jnp.ravel(jnp.broadcast_to(a, shape)) if jnp.ndim(a) else a for a in (jnp.asarray(a, float) for a in args))
    flat = _on_rows(f, jnp.ravel(jnp.broadcast_to(needed, shape)), rows)
    return tuple(jnp.reshape(jnp.broadcast_to(v, math.prod(shape)), shape) for v in flat)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_rows(f: Elementwise, needed: Array, args: tuple[Array, ...]) -> tuple[Array, ...]:
    size = jnp.shape(needed)[0]
    if jax.default_backend() != "cpu" or size <= _FEW:
        return f(*args)
    chunk = min(size, _CHUNK)
    rows, count = _listed(needed, chunk)
    kinds = jax.eval_shape(f, *args)

    def step(state: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
        start, out = state
        # the last chunk is filled up with one row over and over
        at = jax.lax.dynamic_slice(rows, (start,), (chunk,))
        values = f(*(a[at] if a.ndim else a for a in args))
        return start + chunk, tuple(o.at[at].set(v) for o, v in zip(out, values, strict=True))

    start = jnp.zeros((), int), tuple(jnp.zeros(size, k.dtype) for k in kinds)
    return jax.lax.while_loop(lambda state: state[0] < count, step, start)[1]


def _listed(needed: Array, more: int) -> tuple[Array, Array]:
    """The numbers of the needed rows, filled up with the last one's by at least ``more``, and how many there are."""
    size = jnp.shape(needed)[0]
    place = jnp.cumsum(needed) - 1
    count = place[-1] + 1
    last = jnp.max(jnp.where(needed, jnp.arange(size), 0))
    return jnp.full(size + more, last).at[jnp.where(needed, place, size + more)].set(jnp.arange(size), mode="drop"), count


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
