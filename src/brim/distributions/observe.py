"""What is seen of a response: exactly, up to a limit (censoring), or only inside a window (truncation).

``data`` holds ``cens`` (codes: -1 left, 0 none, 1 right, 2 interval, 3 nothing known), ``y2`` (the upper end, where there are
intervals), ``at`` (the limit of censored rows where that is not ``y``), ``lb`` and ``ub`` (the window; infinite where there is none),
``log_base`` (what no parameter enters of ``log p(y)``, where it is known).
Windows of whole numbers include both ends; what censoring leaves open is cut at the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from brim.distributions.base import Distribution
from brim.distributions.numerics.logspace import log_interval

__all__ = ["ends", "log_lik", "truncated_mean", "truncated_sample"]

Array = Any
Data = Mapping[str, Any]


def log_lik(law: Distribution, y: Array, data: Data) -> Array:
    """Pointwise log likelihood: ``log p(y)``, or the log probability of what censoring left known, within the window.

    Examples
    --------
    >>> from brim.distributions.real import Normal
    >>> float(log_lik(Normal(0.0, 1.0), 0.0, {"cens": 1}))
    -0.6931...
    """
    seen = _exact(law, y, data) if "cens" not in data else _censored(law, y, data)
    if "lb" not in data and "ub" not in data:
        return seen
    return seen - _log_window(law, y, data)


def _exact(law: Distribution, y: Array, data: Data) -> Array:
    """``log p(y)``."""
    return law.log_kernel(y) + data["log_base"] if "log_base" in data else law.log_prob(y)


def _censored(law: Distribution, y: Array, data: Data) -> Array:
    """``log p(y)`` of rows seen exactly, ``log P(low < Y <= high)`` of the others, by one tail where an end is infinite."""
    code = jnp.asarray(data["cens"])
    y = jnp.where(code == 0, y, data["at"]) if "at" in data else y
    low, high = jnp.where((code == 1) | (code == 2), y, -jnp.inf), jnp.where(code == -1, y, jnp.inf)
    high = jnp.where(code == 2, data["y2"], high) if "y2" in data else high
    windowed = "lb" in data or "ub" in data
    if windowed:
        lower, upper = ends(law, data)
        low, high = jnp.maximum(low, lower), jnp.minimum(high, upper)
        one_end = jnp.where(jnp.isfinite(high), -1, jnp.where(jnp.isfinite(low), 1, 3))
        code = jnp.where(code == 0, 0, jnp.where(jnp.isfinite(low) & jnp.isfinite(high), 2, one_end))
    limit = jnp.where(code == 1, low, jnp.where(code == -1, high, y))
    beyond = law.log_beyond(limit if law.idle is None else jnp.where(code == 0, law.idle, limit), code == 1)
    seen = jnp.where(code == 0, law.log_prob(y), jnp.where(code == 3, 0.0, beyond))
    if "y2" in data or windowed:
        interval = code == 2
        # rows without an interval get one that is safe to differentiate
        between = law.log_between(jnp.where(interval, low, y), jnp.where(interval, high, y + 1.0))
        seen = jnp.where(interval, between, seen)
    return seen


def ends(law: Distribution, data: Data) -> tuple[Array, Array]:
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
    lower, upper = ends(law, data)
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
    lower, upper = ends(law, data)
    safe = jnp.zeros(()) + 1.0
    part = _partial_mean(law, upper, safe) - _partial_mean(law, lower, safe)
    mean = part * jnp.exp(-_log_window(law, safe, data))
    # far out in a tail the difference has no digits left, but the mean stays at the window's edge
    return jnp.clip(mean, jnp.ceil(data.get("lb", -jnp.inf)) if law.discrete else lower, upper)


def _partial_mean(law: Distribution, at: Array, safe: Array) -> Array:
    finite = jnp.isfinite(at)
    return jnp.where(finite, law.partial_mean(jnp.where(finite, at, safe)), jnp.where(at < 0, 0.0, law.mean))


_TRIES, _STEPS = 64, 500


def truncated_sample(key: Array, law: Distribution, data: Data, sample_shape: tuple[int, ...] = ()) -> Array:
    """Draws of ``Y`` given that it lies in the window.

    Counts by walking along the mass function from a guess, other responses as the first of 64 plain draws that lies inside; where
    that does not end (windows far out), by bisection on the distribution function.
    """
    if "lb" not in data and "ub" not in data:
        return law.sample(key, sample_shape)
    shape = tuple(sample_shape) + jnp.broadcast_shapes(law.batch_shape, *(jnp.shape(data[k]) for k in ("lb", "ub") if k in data))
    first, second = jax.random.split(key)
    drawn, missing = (_by_walking if law.discrete else _by_rejection)(first, law, data, shape)
    out = _by_inversion(second, law, data, drawn, missing)
    if not law.discrete:
        return out
    beyond = ~jnp.isfinite(law.mean) & ~jnp.isfinite(ends(law, data)[1])  # no count is that large
    return jnp.where(beyond, law.mean, out)


def _by_walking(key: Array, law: Distribution, data: Data, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Counts by inversion, and where they are not found: the window has no digits left, or the way is too long.

    The distribution function is asked three times (at both ends and at a guess), the mass function once a step.
    """
    lower, upper = (jnp.broadcast_to(end, shape) for end in ends(law, data))
    lower, upper = jnp.maximum(lower, law.lower - 1.0), jnp.minimum(upper, law.upper)
    one = jnp.ones(())
    start, end = (jnp.exp(_log_tails(law, at, one)[0]) for at in (lower, upper))
    u = start + (end - start) * jax.random.uniform(key, shape)
    at = jnp.clip(jnp.floor(_guess(law, shape, u)), lower + 1.0, jnp.where(jnp.isfinite(upper), upper, jnp.inf))

    def mass(y: Array) -> Array:
        return jnp.exp(law.log_prob(y))

    def walk(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        y, below, steps = state
        here = mass(y)
        up, down = (below < u) & (y < upper), (below - here >= u) & (y > lower + 1.0)
        moved = jnp.where(up, y + 1.0, jnp.where(down, y - 1.0, y))
        return moved, jnp.where(up, below + mass(moved), jnp.where(down, below - here, below)), steps + 1

    def unfinished(state: tuple[Array, Array, Array]) -> Array:
        y, below, steps = state
        return jnp.any(((below < u) & (y < upper)) | ((below - mass(y) >= u) & (y > lower + 1.0))) & (steps < _STEPS)

    y, below, _ = jax.lax.while_loop(unfinished, walk, (at, jnp.exp(law.log_cdf(at)), jnp.zeros((), int)))
    found = ((below >= u) | (y >= upper)) & ((below - mass(y) < u) | (y <= lower + 1.0))
    return y, ~found | (end - start < 1e-6)


def _guess(law: Distribution, shape: tuple[int, ...], u: Array) -> Array:
    """About where the distribution function is ``u``: the normal quantile with the mean and spread of the law."""
    mean = jnp.broadcast_to(law.mean, shape)
    if type(law).variance is Distribution.variance:
        return mean
    return mean + jnp.sqrt(law.variance) * ndtri(jnp.clip(u, 1e-12, 1.0 - 1e-12))


def _by_rejection(key: Array, law: Distribution, data: Data, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Plain draws inside the window, and where none of the tries gave one."""
    drawn, missing = jnp.zeros(shape), jnp.ones(shape, bool)
    lead = shape[: len(shape) - len(law.batch_shape)]
    if lead + law.batch_shape != shape:  # windows by row around one law
        return drawn, missing
    lower, upper = ends(law, data)

    def attempt(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        key, drawn, missing, tries = state
        key, now = jax.random.split(key)
        y = law.sample(now, lead)
        inside = (y > lower) & (y <= upper)
        return key, jnp.where(missing & inside, y, drawn), missing & ~inside, tries + 1

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        return jnp.any(state[2]) & (state[3] < _TRIES)

    return jax.lax.while_loop(unfinished, attempt, (key, drawn, missing, jnp.zeros((), int)))[1:3]


def _by_inversion(key: Array, law: Distribution, data: Data, drawn: Array, missing: Array) -> Array:
    """What is missing, by bisection on the distribution function in the window; nothing is computed where nothing is."""
    log_u = -jax.random.exponential(key, drawn.shape)
    lower, upper = (jnp.broadcast_to(end, drawn.shape) for end in ends(law, data))
    lower = jnp.maximum(lower, law.lower - 1.0 if law.discrete else law.lower)
    upper = jnp.minimum(upper, law.upper)
    safe = jnp.zeros(()) + 1.0
    at_lower = _log_tails(law, lower, safe)
    log_all = log_interval(*zip(at_lower, _log_tails(law, upper, safe), strict=True))

    def reached(y: Array) -> Array:
        log_mass = log_interval(*zip(at_lower, _log_tails(law, y, safe), strict=True))
        return log_mass - log_all >= log_u

    def halve(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, steps = state
        mid = jnp.floor(0.5 * (low + high)) if law.discrete else 0.5 * (low + high)
        enough = reached(mid)
        return jnp.where(enough, low, mid), jnp.where(enough, mid, high), steps + 1

    def apart(state: tuple[Array, Array, Array]) -> Array:
        low, high, steps = state
        close = 1.0 if law.discrete else 1e-15 * (jnp.abs(low) + jnp.abs(high))
        return jnp.any(missing & (high - low > close)) & (steps < 100)

    low, high = _bracket(law, lower, upper, reached, missing)
    found = jax.lax.while_loop(apart, halve, (low, high, jnp.zeros((), int)))[1]
    if not law.discrete:  # some laws leave mass at infinity
        found = jnp.where(reached(high), found, upper)
    return jnp.where(missing, found, drawn)


def _bracket(law: Distribution, lower: Array, upper: Array, reached: Any, missing: Array) -> tuple[Array, Array]:
    """Finite ``low < draw <= high`` inside the window, by doubling the step from its ends."""
    start = jnp.where(jnp.isfinite(lower), lower, jnp.where(jnp.isfinite(upper), upper - 1.0, 0.0))

    def widen(state: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, step, _, count = state
        below = jnp.zeros_like(missing) if law.discrete else reached(low) & jnp.isneginf(lower)
        above = ~reached(high) & (high < upper)
        low, high = jnp.where(below, low - step, low), jnp.where(above, jnp.minimum(high + step, upper), high)
        return low, high, 2.0 * step, missing & (below | above), count + 1

    high = jnp.minimum(start + 1.0, upper)
    state = start, high, jnp.ones_like(high), missing, jnp.zeros((), int)
    return jax.lax.while_loop(lambda s: jnp.any(s[3]) & (s[4] < 60), widen, state)[:2]
