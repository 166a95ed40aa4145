"""A metric that is dense for the first coordinates (population and hyperparameters) and diagonal for the rest (effects)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from brim.infer.nuts.metric import AbstractMetric, Dense, Diagonal, Moments

if TYPE_CHECKING:
    from brim.infer.nuts.metric import Flag, Vector

__all__ = ["Split"]

_DENSE, _DIAGONAL = Dense(), Diagonal()


@dataclass(frozen=True)
class Split(AbstractMetric):
    """``S = blockdiag(L, diag(s))`` with ``L`` the Cholesky factor of a covariance of the first ``head`` coordinates.

    ``scale`` is the pair ``(L, s)``.
    """

    head: int

    def push(self, scale: Any, p: Vector) -> Vector:
        return jnp.concatenate([_DENSE.push(scale[0], p[: self.head]), _DIAGONAL.push(scale[1], p[self.head :])])

    def pull(self, scale: Any, gradient: Vector) -> Vector:
        return jnp.concatenate([_DENSE.pull(scale[0], gradient[: self.head]), _DIAGONAL.pull(scale[1], gradient[self.head :])])

    def start(self, inv_mass: np.ndarray) -> Any:
        inv_mass = np.asarray(inv_mass, dtype=np.float64)
        first = inv_mass[: self.head, : self.head] if inv_mass.ndim == 2 else inv_mass[: self.head]
        diagonal = np.diag(inv_mass) if inv_mass.ndim == 2 else inv_mass
        return self.begin((first, diagonal[self.head :]))

    def begin(self, inv_mass: Any) -> Any:
        if not isinstance(inv_mass, tuple):
            return self.start(inv_mass)
        return _DENSE.start(inv_mass[0]), _DIAGONAL.start(inv_mass[1])

    def inv_mass(self, scale: Any) -> np.ndarray:
        return np.concatenate([_DENSE.inv_mass(np.asarray(scale[0])), _DIAGONAL.inv_mass(np.asarray(scale[1]))])

    def moments(self, n: int) -> Moments:
        first, last = _DENSE.moments(self.head), _DIAGONAL.moments(n - self.head)
        return Moments(first.count, *zip(first[1:], last[1:], strict=True))

    def observe(self, moments: Moments, q: Vector, gradient: Vector, adapting: Flag = True) -> Moments:
        first, last = self._parts(moments)
        first = _DENSE.observe(first, q[: self.head], gradient[: self.head], adapting)
        last = _DIAGONAL.observe(last, q[self.head :], gradient[self.head :], adapting)
        return Moments(first.count, *zip(first[1:], last[1:], strict=True))

    def learn(self, moments: Moments, scale: Any) -> Any:
        first, last = self._parts(moments)
        return self._head(first, np.asarray(scale[0])), _DIAGONAL.learn(last, np.asarray(scale[1]))

    def _head(self, moments: Moments, low: np.ndarray) -> np.ndarray:
        """Covariance of the draws, shrunk towards the one used so far, which is an approximation of the posterior's own."""
        count, square = float(moments.count), np.asarray(moments.square_q)
        if count < 2 or not np.isfinite(square).all():
            return low
        weight = count / (count + 2.0 * self.head + 10.0)
        covariance = weight * square / (count - 1.0) + (1.0 - weight) * (low @ low.T)
        return np.linalg.cholesky(0.5 * (covariance + covariance.T))

    def _parts(self, moments: Moments) -> tuple[Moments, Moments]:
        return Moments(moments.count, *(m[0] for m in moments[1:])), Moments(moments.count, *(m[1] for m in moments[1:]))
