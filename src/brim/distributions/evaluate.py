"""A law looked at: its density, distribution function and quantiles inside the window, and the probability integral transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.observe import ends, log_lik

__all__ = ["OUTPUTS", "Output", "evaluate_law"]

Array = Any

#: What a law can be asked for besides samples.
Output = Literal["density", "probability", "pit", "quantile"]
OUTPUTS: tuple[Output, ...] = get_args(Output)


def evaluate_law(law: Distribution, data: Mapping[str, Any], what: Output, at: Array, key: Array) -> Array:
    """``"density"`` (mass) and ``"probability"`` ``P(Y <= at)`` at values, ``"pit"``: the latter, uniform between the values before and
    at a point with mass, ``"quantile"`` at probabilities; all within the window ``lb``, ``ub`` of ``data``.

    Examples
    --------
    >>> from brim.distributions.real import Normal
    >>> float(evaluate_law(Normal(0.0, 1.0), {"lb": 0.0}, "quantile", 0.5, jax.random.key(0)))
    0.6744...
    """
    window = {k: data[k] for k in ("lb", "ub") if k in data}
    lower, upper = ends(law, window)
    start = jnp.where(jnp.isfinite(lower), law.cdf(jnp.where(jnp.isfinite(lower), lower, 0.0)), 0.0) if "lb" in window else 0.0
    end = jnp.where(jnp.isfinite(upper), law.cdf(jnp.where(jnp.isfinite(upper), upper, 0.0)), 1.0) if "ub" in window else 1.0
    if what == "quantile":
        return law.quantile(start + (end - start) * at)
    mass = jnp.exp(log_lik(law, at, window)) if window else jnp.exp(law.log_prob(at))
    if window:
        mass = jnp.where((at > lower) & (at <= upper) if law.discrete else (at >= lower) & (at <= upper), mass, 0.0)
    if what == "density":
        return mass
    below = jnp.clip((law.cdf(jnp.clip(at, lower, upper)) - start) / (end - start), 0.0, 1.0) if window else law.cdf(at)
    if what == "probability":
        return below
    point = jnp.ones(jnp.shape(at), bool) if law.discrete else jnp.zeros(jnp.shape(at), bool)
    for atom in law.atoms:
        point = point | (at == atom)
    return below - jnp.where(point, mass, 0.0) * jax.random.uniform(key, jnp.shape(below))
