"""What the addition terms ``se()`` and ``rate()`` do to parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from brim.families.base import Dpar

__all__ = ["log_exposed", "scale_of"]

Array = Any


def scale_of(d: Mapping[str, Dpar], data: Mapping[str, Any]) -> Array:
    """``sigma``, with the known standard errors of ``se()``: ``sqrt(se^2 + sigma^2)``, or ``se`` where there is no ``sigma``."""
    if "se" not in data:
        return d["sigma"].value
    if "sigma" not in d:
        return data["se"]
    return jnp.sqrt(jnp.square(data["se"]) + jnp.square(d["sigma"].value))


def log_exposed(log_value: Array, data: Mapping[str, Any]) -> Array:
    """``log(value * denominator)`` with the denominator of ``rate()``, where there is one."""
    return log_value + jnp.log(data["rate"]) if "rate" in data else log_value
