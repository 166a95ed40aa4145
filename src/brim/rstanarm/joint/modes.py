"""The law of subjects' effects given what was observed of them: its mode, its curvature there, draws from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from brim.linalg import cholesky, solve

__all__ = ["curvature", "metropolis", "mode"]

_NEWTON, _STEPS, _DF = 20, 40, 5.0  # Newton steps to the mode; Metropolis steps from there; tails of their proposals


def curvature(log_p: Callable[[Any], Any], b: Any) -> tuple[Any, Any]:
    """Gradient (subjects, k) and minus Hessian (subjects, k, k): subjects do not depend on each other."""
    k = b.shape[1]
    grad = jax.grad(lambda b: jnp.sum(log_p(b)))
    columns = [jax.jvp(grad, (b,), (jnp.broadcast_to(jnp.eye(k)[i], b.shape),))[1] for i in range(k)]
    return grad(b), -jnp.stack(columns, axis=-1)


def mode(log_p: Callable[[Any], Any], n: int, k: int) -> Any:
    """Newton's method from 0, each subject's step halved until its density does not fall."""

    def step(b: Any, _: Any) -> tuple[Any, None]:
        grad, precision = curvature(log_p, b)
        full = solve(precision + 1e-9 * jnp.eye(k), grad[..., None])[..., 0]
        here = log_p(b)
        scale = jnp.ones(n)
        for _i in range(4):
            scale = jnp.where(log_p(b + scale[:, None] * full) >= here, scale, 0.4 * scale)
        good = log_p(b + scale[:, None] * full) >= here
        return jnp.where(good[:, None], b + scale[:, None] * full, b), None

    return jax.lax.scan(step, jnp.zeros((n, k)), None, length=_NEWTON)[0]


def metropolis(log_p: Callable[[Any], Any], at: Any, key: Any) -> Any:
    """The last of ``_STEPS`` independence Metropolis steps, all subjects at once."""
    n, k = at.shape
    _, precision = curvature(log_p, at)
    root = cholesky(precision)

    def law(x: Any) -> Any:
        z = jnp.einsum("nji,nj->ni", root, x - at)
        return -0.5 * (_DF + k) * jnp.log1p(jnp.sum(z * z, axis=1) / _DF)

    def step(state: Any, key: Any) -> tuple[Any, None]:
        x, weight = state
        one, two, three = jax.random.split(key, 3)
        z = jax.random.normal(one, (n, k)) * jnp.sqrt(_DF / jax.random.chisquare(two, _DF, (n, 1)))
        new = at + solve(jnp.swapaxes(root, 1, 2), z[..., None])[..., 0]
        ahead = log_p(new) - law(new)
        take = jnp.log(jax.random.uniform(three, (n,))) < ahead - weight
        return (jnp.where(take[:, None], new, x), jnp.where(take, ahead, weight)), None

    (x, _), _ = jax.lax.scan(step, (at, log_p(at) - law(at)), jax.random.split(key, _STEPS))
    return x
