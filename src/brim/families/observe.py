"""What is seen of a response: exactly, up to a limit (censoring), or only inside a window (truncation).

``data`` holds ``cens`` (codes: -1 left, 0 none, 1 right, 2 interval), ``y2`` (the upper end, where there are intervals),
``lb`` and ``ub`` (the window; infinite where there is none). Windows of whole numbers include both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from brim.families.distributions import Distribution
from brim.families.special import log_interval

__all__ = ["log_lik", "truncated_mean", "truncated_sample"]

Array = Any
Data = Mapping[str, Any]


def log_lik(law: Distribution, y: Array, data: Data) -> Array:
    """Pointwise log likelihood: ``log p(y)``, or the log probability of what censoring left known, within the window.

    Examples
    --------
    >>> from brim.families.continuous import Normal
    >>> float(log_lik(Normal(0.0, 1.0), 0.0, {"cens": 1}))
    -0.6931...
    """
    seen = law.log_prob(y) if "cens" not in data else _censored(law, y, data)
    if "lb" not in data and "ub" not in data:
        return seen
    return seen - _log_window(law, y, data)


def _censored(law: Distribution, y: Array, data: Data) -> Array:
    code = jnp.asarray(data["cens"])
    seen = jnp.where(code == 0, law.log_prob(y), law.log_beyond(y, code == 1))
    if "y2" in data:
        interval = code == 2
        # rows without an interval get one that is safe to differentiate
        upper = jnp.where(interval, data["y2"], y + 1.0)
        seen = jnp.where(interval, law.log_between(y, upper), seen)
    return seen


def _ends(law: Distribution, data: Data) -> tuple[Array, Array]:
    """The window as ``lb < Y <= ub``."""
    lower, upper = data.get("lb", -jnp.inf), data.get("ub", jnp.inf)
    return (jnp.ceil(lower) - 1.0, jnp.floor(upper)) if law.discrete else (jnp.asarray(lower), jnp.asarray(upper))


def _log_tails(law: Distribution, at: Array, safe: Array) -> tuple[Array, Array]:
    """Both tails at a bound that may be infinite; ``safe`` stands in for infinite ones."""
    finite = jnp.isfinite(at)
    where = jnp.where(finite, at, safe)
    low, high = jnp.where(at < 0, -jnp.inf, 0.0), jnp.where(at < 0, 0.0, -jnp.inf)
    return jnp.where(finite, law.log_cdf(where), low), jnp.where(finite, law.log_survival(where), high)


def _log_window(law: Distribution, safe: Array, data: Data) -> Array:
    """``log P(lb < Y <= ub)``, from one tail where only one end is given."""
    lower, upper = _ends(law, data)
    if "ub" not in data:
        return _log_tails(law, lower, safe)[1]
    if "lb" not in data:
        return _log_tails(law, upper, safe)[0]
    below, above = _log_tails(law, lower, safe), _log_tails(law, upper, safe)
    return log_interval((below[0], above[0]), (below[1], above[1]))


def truncated_mean(law: Distribution, data: Data) -> Array:
    """``E[Y | window]``; the plain mean where there is no window."""
    if "lb" not in data and "ub" not in data:
        return law.mean
    lower, upper = _ends(law, data)
    safe = jnp.zeros(()) + 1.0
    part = _partial_mean(law, upper, safe) - _partial_mean(law, lower, safe)
    mean = part * jnp.exp(-_log_window(law, safe, data))
    # far out in a tail the difference has no digits left, but the mean stays at the window's edge
    return jnp.clip(mean, jnp.ceil(data.get("lb", -jnp.inf)) if law.discrete else lower, upper)


def _partial_mean(law: Distribution, at: Array, safe: Array) -> Array:
    finite = jnp.isfinite(at)
    return jnp.where(finite, law.partial_mean(jnp.where(finite, at, safe)), jnp.where(at < 0, 0.0, law.mean))


def truncated_sample(key: Array, law: Distribution, data: Data, sample_shape: tuple[int, ...] = ()) -> Array:
    """Draws of ``Y`` given that it lies in the window, by bisection on its distribution function there."""
    if "lb" not in data and "ub" not in data:
        return law.sample(key, sample_shape)
    shape = tuple(sample_shape) + jnp.broadcast_shapes(law.batch_shape, *(jnp.shape(data[k]) for k in ("lb", "ub") if k in data))
    log_u = -jax.random.exponential(key, shape)
    lower, upper = (jnp.broadcast_to(end, shape) for end in _ends(law, data))
    lower = jnp.maximum(lower, law.lower - 1.0 if law.discrete else law.lower)
    upper = jnp.minimum(upper, law.upper)
    safe = jnp.zeros(()) + 1.0
    at_lower = _log_tails(law, lower, safe)
    log_all = log_interval(*zip(at_lower, _log_tails(law, upper, safe), strict=True))

    def reached(y: Array) -> Array:
        log_mass = log_interval(*zip(at_lower, _log_tails(law, y, safe), strict=True))
        return log_mass - log_all >= log_u

    low, high = _bracket(law, lower, upper, reached)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        mid = jnp.floor(0.5 * (low + high)) if law.discrete else 0.5 * (low + high)
        enough = reached(mid)
        return jnp.where(enough, low, mid), jnp.where(enough, mid, high)

    return jax.lax.fori_loop(0, 60, halve, (low, high))[1]


def _bracket(law: Distribution, lower: Array, upper: Array, reached: Any) -> tuple[Array, Array]:
    """Finite ``low < draw <= high`` inside the window."""
    start = jnp.where(jnp.isfinite(lower), lower, jnp.where(jnp.isfinite(upper), upper - 1.0, 0.0))

    def widen(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, step = state
        low = jnp.where(reached(low) & jnp.isneginf(lower), low - step, low)
        high = jnp.where(reached(high), high, jnp.minimum(high + step, upper))
        return low, high, 2.0 * step

    high = jnp.minimum(start + 1.0, upper)
    low, high, _ = jax.lax.fori_loop(0, 40, widen, (start, high, jnp.ones_like(high)))
    return low, high
