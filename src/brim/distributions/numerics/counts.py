"""What laws of counts share: where they have no mass, tails at 0, and counts so large that they are drawn as rounded normal numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["LARGE", "at_or_above", "poisson", "rounded_normal", "unless_all_zero"]

Array = Any

#: From this mean on a Poisson law is drawn as a normal one: its skewness is below 4e-5, and beyond 2^63 whole numbers of the machine end.
LARGE = 1e9


def poisson(key: Any, rate: Any, shape: tuple[int, ...]) -> Any:
    """Poisson counts as floats, ``rate`` itself where it is infinite or ``NaN``."""
    few, many = jax.random.split(key)
    plain = rate < LARGE
    small = jax.random.poisson(few, jnp.where(plain, rate, 1.0), shape).astype(float)
    return jnp.where(plain, small, rounded_normal(many, rate, rate, shape))


def rounded_normal(key: Any, mean: Any, variance: Any, shape: tuple[int, ...]) -> Any:
    """Whole numbers next to normal ones, ``mean`` itself where it is not finite."""
    near = jnp.round(mean + jnp.sqrt(variance) * jax.random.normal(key, shape))
    return jnp.where(jnp.isfinite(mean), near, mean)


def at_or_above(y: Array, least: Array, value: Array, otherwise: float) -> Array:
    """``value`` from ``least`` on, ``otherwise`` below."""
    return jnp.where(jnp.asarray(y) >= least, value, otherwise)


def unless_all_zero(k: Array, at_zero: Callable[[], Any], general: Callable[[], Any]) -> Any:
    """A tail, or both, at the counts ``k``: by closed formulas where all of them are 0 (responses truncated at 1)."""
    like = jax.eval_shape(general)
    return jax.lax.cond(jnp.all(k <= 0), lambda: jax.tree.map(lambda v, s: jnp.broadcast_to(v, s.shape), at_zero(), like), general)
