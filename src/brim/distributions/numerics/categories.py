"""What laws of numbered categories share, given a table with a column for each category."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from brim.distributions.numerics.logspace import log_mix

__all__ = ["draw_category", "log_cumulative", "take_category"]

Array = Any


def draw_category(key: Array, logits: Array, shape: tuple[int, ...], first: int) -> Array:
    """Categories counted from ``first``, ``NaN`` where a probability is."""
    drawn = jax.random.categorical(key, logits, shape=shape) + float(first)
    return jnp.where(jnp.isnan(logits).any(axis=-1), jnp.nan, drawn)


def take_category(table: Array, y: Array, first: int) -> Array:
    """The column of ``table`` (N, K) that each category ``y`` (..., N), counted from ``first``, stands for."""
    codes = jnp.asarray(y)[..., None] - first
    # a masked sum: its derivative is a mask too, where that of a gather is a slow scatter
    found = jnp.sum(jnp.where(jnp.arange(table.shape[-1]) == codes, table, 0.0), axis=-1)
    inside = (codes[..., 0] >= 0) & (codes[..., 0] < table.shape[-1])
    return jnp.where(inside, found, -jnp.inf)


def log_cumulative(log_probs: Array, y: Array, first: int) -> Array:
    """``log P(Y <= y)`` from the log probabilities (N, K) of categories counted from ``first``."""
    upto = jnp.arange(log_probs.shape[-1]) <= jnp.floor(jnp.asarray(y) - first)[..., None]
    return jnp.minimum(log_mix(jnp.where(upto, log_probs, -jnp.inf)), 0.0)
