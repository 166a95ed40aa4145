"""Metrics: linear maps that make the posterior look like a standard normal.

A metric is a map ``S`` with ``S S' = `` inverse mass matrix. Momenta are kept whitened, ``p ~ N(0, I)``, so Hamilton's equations read
``q' = S p`` and ``p' = S' grad``: kinetic energy and U-turns need plain dot products, and a new metric is four short functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Bool, Float, Int

    Vector = Float[Array, " n"]
    Flag = Bool[Array, ""] | bool

__all__ = ["METRICS", "AbstractMetric", "Dense", "Diagonal", "LowRank", "Moments", "Recent"]

RANK = 20  # directions of a low-rank metric
KEPT = 200  # draws that it is learned from
SPAN = 4 * RANK  # directions among which they are sought
CUTOFF = 2.0  # variances in a whitened direction between 1 / CUTOFF and CUTOFF are not worth a direction
SHRINK = 2.0  # draws of a standard normal that the low-rank metric's moments are mixed with


class Moments(NamedTuple):
    """Welford's running mean and sum of squared deviations of draws and of gradients (diagonal or full)."""

    count: Float[Array, ""]
    mean_q: Float[Array, " n"]
    square_q: Float[Array, " n *n"]
    mean_g: Float[Array, " n"]
    square_g: Float[Array, " n"]


class Recent(NamedTuple):
    """The last ``KEPT`` draws and gradients, ``(KEPT, n)`` each, the next one going to row ``count % KEPT``."""

    count: Int[Array, ""]
    draws: Float[Array, "kept n"]
    gradients: Float[Array, "kept n"]


class AbstractMetric(ABC):
    """The linear map ``S`` (a NumPy or JAX array called ``scale``) and how it is learned."""

    @abstractmethod
    def push(self, scale: Any, p: Vector) -> Vector:
        """``S p``: velocity of a whitened momentum."""

    @abstractmethod
    def pull(self, scale: Any, gradient: Vector) -> Vector:
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
    def moments(self, n: int) -> Any:
        """What a metric keeps of the draws it learns from (a named tuple of arrays), without a draw."""

    @abstractmethod
    def observe(self, moments: Any, q: Vector, gradient: Vector, adapting: Flag = True) -> Any:
        """Moments with one more draw if ``adapting``, else as they were (inside the compiled program)."""

    @abstractmethod
    def learn(self, moments: Any, scale: np.ndarray) -> np.ndarray:
        """``S`` from the moments of a window; ``scale`` is the one used in it."""


@dataclass(frozen=True)
class Diagonal(AbstractMetric):
    """``inverse mass = sqrt(var(draws) / var(gradients))``, elementwise.

    The diagonal matrix that minimises the Fisher divergence between the whitened posterior and a standard normal, as nutpie does
    (Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845). For a Gaussian, a window of few draws already gives the right scale,
    because draws and gradients are short by the same factor.
    """

    def push(self, scale: Any, p: Vector) -> Vector:
        return scale * p

    def pull(self, scale: Any, gradient: Vector) -> Vector:
        return scale * gradient

    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        return np.sqrt(np.diag(inv_mass) if inv_mass.ndim == 2 else inv_mass)

    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        return scale**2

    def moments(self, n: int) -> Moments:
        return Moments(np.float64(0.0), *(np.zeros(n) for _ in range(4)))

    def observe(
        self, moments: Moments, q: Float[Array, " n"], gradient: Float[Array, " n"], adapting: Bool[Array, ""] | bool = True
    ) -> Moments:
        count = moments.count + 1.0
        mean_q, dq, eq = _step_mean(moments.mean_q, q, count)
        mean_g, dg, eg = _step_mean(moments.mean_g, gradient, count)
        new = Moments(count, mean_q, moments.square_q + dq * eq, mean_g, moments.square_g + dg * eg)
        return _if(adapting, new, moments)

    def learn(self, moments: Moments, scale: np.ndarray) -> np.ndarray:
        square_q, square_g = np.asarray(moments.square_q), np.asarray(moments.square_g)
        seen = (square_q > 0) & (square_g > 0) & np.isfinite(square_q) & np.isfinite(square_g)
        ratio = np.where(seen, square_q, 1.0) / np.where(seen, square_g, 1.0)
        return np.where(seen, np.clip(ratio**0.25, 1e-10, 1e10), scale)


@dataclass(frozen=True)
class Dense(AbstractMetric):
    """Full covariance of the draws, shrunk towards its diagonal, through its Cholesky factor."""

    def push(self, scale: Any, p: Vector) -> Vector:
        return scale @ p

    def pull(self, scale: Any, gradient: Vector) -> Vector:
        return gradient @ scale

    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        return np.linalg.cholesky(inv_mass) if inv_mass.ndim == 2 else np.diag(np.sqrt(inv_mass))

    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        return (scale**2).sum(1)

    def moments(self, n: int) -> Moments:
        return Moments(np.float64(0.0), np.zeros(n), np.zeros((n, n)), np.zeros(n), np.zeros(n))

    def observe(
        self, moments: Moments, q: Float[Array, " n"], gradient: Float[Array, " n"], adapting: Bool[Array, ""] | bool = True
    ) -> Moments:
        count = moments.count + 1.0
        mean_q, dq, eq = _step_mean(moments.mean_q, q, count)
        mean_g, dg, eg = _step_mean(moments.mean_g, gradient, count)
        new = Moments(count, mean_q, moments.square_q + dq[:, None] * eq[None, :], mean_g, moments.square_g + dg * eg)
        return _if(adapting, new, moments)

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


@dataclass(frozen=True)
class LowRank(AbstractMetric):
    """A diagonal, and ``RANK`` directions in which the whitened posterior is far from a standard normal.

    ``S = D (I + U diag(s - 1) U')`` with ``D`` diagonal and ``U (n, rank)`` orthonormal; ``scale`` has the diagonal of ``D`` in row 0,
    then the rows of ``U'``, then those of ``diag(s - 1) U'``. In the span of a window's draws and gradients, whitened by ``D``, the
    inverse mass is the geometric mean of the draws' covariance and the inverse of the gradients' (as nutpie; Seyboldt, Carlson &
    Carpenter 2026, arXiv:2603.18845): right for a normal posterior as soon as the window spans the directions that matter.
    Time and memory are linear in the dimension.
    """

    def push(self, scale: Any, p: Vector) -> Vector:
        r = scale.shape[0] // 2
        return scale[0] * (p + (scale[1 : r + 1] @ p) @ scale[r + 1 :])

    def pull(self, scale: Any, gradient: Vector) -> Vector:
        r, x = scale.shape[0] // 2, scale[0] * gradient
        return x + (scale[1 : r + 1] @ x) @ scale[r + 1 :]

    def start(self, inv_mass: np.ndarray) -> np.ndarray:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        if inv_mass.ndim == 1:
            return _low_rank(np.sqrt(inv_mass), np.zeros(0), np.zeros((len(inv_mass), 0)))
        diagonal = np.sqrt(np.diag(inv_mass))
        return _low_rank(diagonal, *np.linalg.eigh(inv_mass / np.outer(diagonal, diagonal)))

    def inv_mass(self, scale: np.ndarray) -> np.ndarray:
        r = scale.shape[0] // 2
        u, v = scale[1 : r + 1], scale[r + 1 :]
        return scale[0] ** 2 * (1.0 + 2.0 * (u * v).sum(0) + (v**2).sum(0))

    def moments(self, n: int) -> Recent:
        return Recent(np.int64(0), np.zeros((KEPT, n)), np.zeros((KEPT, n)))

    def observe(
        self, moments: Recent, q: Float[Array, " n"], gradient: Float[Array, " n"], adapting: Bool[Array, ""] | bool = True
    ) -> Recent:
        row = moments.count % KEPT

        def put(rows: Any, new: Any) -> Any:
            # one row is chosen, not the whole array: that stays in place
            old = lax.dynamic_index_in_dim(jnp.asarray(rows), row, keepdims=False)
            return lax.dynamic_update_index_in_dim(jnp.asarray(rows), jnp.where(adapting, new, old), row, 0)

        return Recent(moments.count + jnp.where(adapting, 1, 0), put(moments.draws, q), put(moments.gradients, gradient))

    def learn(self, moments: Recent, scale: np.ndarray) -> np.ndarray:
        count = min(int(moments.count), KEPT)
        x, g = (np.asarray(a)[:count] for a in (moments.draws, moments.gradients))
        if count < 3 or not (np.isfinite(x).all() and np.isfinite(g).all()):
            return scale
        x, g = x - x.mean(0), g - g.mean(0)
        seen = (x != 0.0).any(0) & (g != 0.0).any(0)
        square_x, square_g = (np.where(seen, (a**2).sum(0), 1.0) for a in (x, g))
        diagonal = np.where(seen, np.clip((square_x / square_g) ** 0.25, 1e-10, 1e10), scale[0])
        return _low_rank(diagonal, *_spectrum(x / diagonal, g * diagonal))


METRICS: dict[str, AbstractMetric] = {"diag": Diagonal(), "dense": Dense(), "low_rank": LowRank()}


def _spectrum(x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors ``(n, k)`` of the inverse mass in the span of whitened draws ``x`` and gradients ``g (count, n)``.

    The geometric mean ``A # B^-1 = B^-1/2 (B^1/2 A B^1/2)^1/2 B^-1/2`` of the second moments ``A`` of draws and ``B`` of gradients.
    Of the span, the principal directions of both together are enough: long draws and steep gradients are what is looked for.
    """
    count, rows = len(x), np.concatenate([x, g])
    size, weights = np.linalg.eigh(rows @ rows.T)
    kept = [i for i in np.argsort(-size)[:SPAN] if size[i] > 1e-12 * size[-1]]
    basis = (rows.T @ weights[:, kept]) / np.sqrt(size[kept])
    one = np.eye(basis.shape[1])
    a, b = ((projected.T @ projected + SHRINK * one) / (count + SHRINK) for projected in (x @ basis, g @ basis))
    root = _power(b, 0.5)
    back = _power(b, -0.5)
    values, vectors = np.linalg.eigh(back @ _power(root @ a @ root, 0.5) @ back)
    return values, basis @ vectors


def _power(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * np.maximum(values, 1e-300) ** power) @ vectors.T


def _low_rank(diagonal: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """``scale`` of a low-rank metric: the directions whose variances ``values`` are farthest from 1."""
    rank = min(RANK, len(diagonal))
    distance = np.abs(np.log(np.maximum(values, 1e-300)))
    chosen = [i for i in np.argsort(-distance, kind="stable")[:rank] if distance[i] > np.log(CUTOFF)]
    scale = np.zeros((1 + 2 * rank, len(diagonal)))
    scale[0] = diagonal
    scale[1 : 1 + len(chosen)] = vectors[:, chosen].T
    scale[1 + rank : 1 + rank + len(chosen)] = (np.sqrt(np.maximum(values[chosen], 1e-300)) - 1.0)[:, None] * vectors[:, chosen].T
    return scale


def _if(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _step_mean(mean: Any, x: Any, count: Any) -> tuple[Any, Any, Any]:
    before = x - mean
    mean = mean + before / count
    return mean, before, jnp.subtract(x, mean)
