"""Metrics: linear maps that make the posterior look like a standard normal.

A metric is a map ``S`` with ``S S' = `` inverse mass matrix. Momenta are kept whitened, ``p ~ N(0, I)``, so Hamilton's equations read
``q' = S p`` and ``p' = S' grad``: kinetic energy and U-turns need plain dot products, and a new metric is four short functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["METRICS", "AbstractMetric", "Dense", "Diagonal", "Moments"]


class Moments(NamedTuple):
    """Welford's running mean and sum of squared deviations of draws and of gradients (diagonal or full)."""

    count: Any
    mean_q: Any
    square_q: Any
    mean_g: Any
    square_g: Any


class AbstractMetric(ABC):
    """The linear map ``S`` (a NumPy or JAX array called ``scale``) and how it is learned."""

    @abstractmethod
    def push(self, scale: Any, p: Any) -> Any:
        """``S p``: velocity of a whitened momentum."""

    @abstractmethod
    def pull(self, scale: Any, gradient: Any) -> Any:
        """``S' gradient``: force on a whitened momentum."""

    @abstractmethod
    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        """``S`` for an inverse mass matrix, ``(n,)`` if diagonal, or ``(n, n)``, of which a diagonal metric takes the diagonal."""

    def begin(self, inv_mass: Any) -> Any:
        """``S`` for what a start gives: an array as in ``start``, or a covariance of the first coordinates and variances of the others."""
        return self.start(np.concatenate([np.diag(inv_mass[0]), inv_mass[1]]) if isinstance(inv_mass, tuple) else inv_mass)

    @abstractmethod
    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        """Diagonal of the inverse mass matrix ``S S'``, ``(n,)``."""

    @abstractmethod
    def moments(self, n: int) -> Moments:
        """Moments of no draw."""

    @abstractmethod
    def observe(self, moments: Moments, q: Any, gradient: Any) -> Moments:
        """Moments with one more draw (inside the compiled program)."""

    @abstractmethod
    def learn(self, moments: Moments, scale: np.ndarray) -> np.ndarray:
        """``S`` from the moments of a window; ``scale`` is the one used in it."""


@dataclass(frozen=True)
class Diagonal(AbstractMetric):
    """``inverse mass = sqrt(var(draws) / var(gradients))``, elementwise.

    The diagonal matrix that minimises the Fisher divergence between the whitened posterior and a standard normal, as nutpie does
    (Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845). For a Gaussian, a window of few draws already gives the right scale,
    because draws and gradients are short by the same factor.
    """

    def push(self, scale: Any, p: Any) -> Any:
        return scale * p

    def pull(self, scale: Any, gradient: Any) -> Any:
        return scale * gradient

    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        return np.sqrt(np.diag(inv_mass) if inv_mass.ndim == 2 else inv_mass)

    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        return scale**2

    def moments(self, n: int) -> Moments:
        return Moments(np.float64(0.0), *(np.zeros(n) for _ in range(4)))

    def observe(self, moments: Moments, q: Any, gradient: Any) -> Moments:
        count = moments.count + 1.0
        mean_q, dq, eq = _step_mean(moments.mean_q, q, count)
        mean_g, dg, eg = _step_mean(moments.mean_g, gradient, count)
        return Moments(count, mean_q, moments.square_q + dq * eq, mean_g, moments.square_g + dg * eg)

    def learn(self, moments: Moments, scale: np.ndarray) -> np.ndarray:
        square_q, square_g = np.asarray(moments.square_q), np.asarray(moments.square_g)
        seen = (square_q > 0) & (square_g > 0) & np.isfinite(square_q) & np.isfinite(square_g)
        ratio = np.where(seen, square_q, 1.0) / np.where(seen, square_g, 1.0)
        return np.where(seen, np.clip(ratio**0.25, 1e-10, 1e10), scale)


@dataclass(frozen=True)
class Dense(AbstractMetric):
    """Full covariance of the draws, shrunk towards its diagonal, through its Cholesky factor."""

    def push(self, scale: Any, p: Any) -> Any:
        return scale @ p

    def pull(self, scale: Any, gradient: Any) -> Any:
        return gradient @ scale

    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        return np.linalg.cholesky(inv_mass) if inv_mass.ndim == 2 else np.diag(np.sqrt(inv_mass))

    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        return (scale**2).sum(1)

    def moments(self, n: int) -> Moments:
        return Moments(np.float64(0.0), np.zeros(n), np.zeros((n, n)), np.zeros(n), np.zeros(n))

    def observe(self, moments: Moments, q: Any, gradient: Any) -> Moments:
        count = moments.count + 1.0
        mean_q, dq, eq = _step_mean(moments.mean_q, q, count)
        mean_g, dg, eg = _step_mean(moments.mean_g, gradient, count)
        return Moments(count, mean_q, moments.square_q + dq[:, None] * eq[None, :], mean_g, moments.square_g + dg * eg)

    def learn(self, moments: Moments, scale: np.ndarray) -> np.ndarray:
        count = float(moments.count)
        square_q, square_g = np.asarray(moments.square_q), np.asarray(moments.square_g)
        diagonal = np.diag(square_q)
        if count < 2 or not (np.isfinite(square_q).all() and (diagonal > 0).all() and (square_g > 0).all()):
            return scale
        # few draws know scales, not correlations: shrink with the dimension, towards the diagonal that needs few draws
        weight = count / (count + len(diagonal) + 5.0)
        target = np.diag(np.sqrt(diagonal / square_g))
        covariance = 0.5 * (square_q + square_q.T) / (count - 1.0)
        return np.linalg.cholesky(weight * covariance + (1.0 - weight) * target)


METRICS: dict[str, AbstractMetric] = {"diag": Diagonal(), "dense": Dense()}


def _step_mean(mean: Any, x: Any, count: Any) -> tuple[Any, Any, Any]:
    before = x - mean
    mean = mean + before / count
    return mean, before, jnp.subtract(x, mean)
