"""Dual averaging of the step size (Hoffman & Gelman 2014, section 3.2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["StepSize", "restart", "settle", "update"]

GAMMA, T0, KAPPA = 0.05, 10.0, 0.75  # the paper's: shrinkage towards mu, weight of the first iterations, forgetting


class StepSize(NamedTuple):
    """State of the dual averaging; ``log_step`` is used by the next iteration, ``log_mean`` is what it converges to."""

    log_step: Any
    log_mean: Any
    mu: Any
    error: Any
    count: Any


def restart(step: float, optimism: float = 10.0) -> StepSize:
    """Dual averaging from ``step``, pulled towards ``optimism * step`` so that large steps are tried first."""
    log_step = np.float64(np.log(step))
    return StepSize(log_step, log_step, np.float64(log_step + np.log(optimism)), np.float64(0.0), np.float64(0.0))


def settle(step: StepSize) -> StepSize:
    """The averaged step size, once adaptation is over."""
    return step._replace(log_step=step.log_mean)


def update(step: StepSize, acceptance: Any, adapt_delta: Any) -> StepSize:
    """One iteration of dual averaging: raise the step size while ``acceptance`` is above ``adapt_delta``."""
    count = step.count + 1.0
    weight = 1.0 / (count + T0)
    error = (1.0 - weight) * step.error + weight * (adapt_delta - acceptance)
    log_step = step.mu - jnp.sqrt(count) / GAMMA * error
    forget = count**-KAPPA
    return StepSize(log_step, forget * log_step + (1.0 - forget) * step.log_mean, step.mu, error, count)
