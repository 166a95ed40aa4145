"""A chain of blocks together with effects that may belong to any rows: the Schur complement of the chain is dense, and small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp

from brim.coordinates.quadratic.nested_levels import AbstractQuadratic, Chain, Stage, log_normal, sum_by
from brim.linalg import AbstractBatch, Stacked, Unrolled, batch, cholesky, inverse_lower, solve_lower

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float

__all__ = ["Bordered"]


@final
@dataclass(frozen=True)
class Bordered(AbstractQuadratic):
    """The quadratic form of a chain and of ``m`` effects ``r = T z`` (the border): of blocks that cross the chain, or of curves.

    Attributes
    ----------
    chain
        The chain of blocks, possibly none.
    loadings
        ``T`` of the border, (m, m) or its diagonal (m,).
    gram, cross
        ``G`` (m, m) and ``u`` (m,) of the border.
    couplings
        For each block of the chain, ``G`` between its effects and the border, (k, m, levels).
    """

    chain: Chain
    loadings: Float[Array, " m *m"]
    gram: Float[Array, "m m"]
    cross: Float[Array, " m"]
    couplings: tuple[Float[Array, "k m levels"], ...]

    def log_integral(self) -> Float[Array, ""]:
        left = self._without_chain()
        total = _integral(left.precision, left.cross)
        for b, stage in enumerate(left.stages):
            last = b == len(left.stages) - 1
            total = total + (stage.log_integral(self.chain.count) if last else stage.log_integral())
        return total

    def draw(self, normals: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """Standardised effects of the chain and of the border (m,): the border first, the chain given it."""
        z, inner, outer = self.drawn(normals)
        return z, inner + outer

    def drawn(self, normals: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any, Any]:
        """The same with the log densities of the chain given the border, and of the border."""
        left, own = self._without_chain(), jnp.ravel(normals[-1])
        low = cholesky(left.precision)
        z = solve_lower(low, solve_lower(low, left.cross[:, None]) + own[:, None], transposed=True)[:, 0]
        effects = self._effects(z)[:, None]
        known = tuple(batch(jnp.sum(h * effects, axis=1)[:, None], self.chain.small) for h in left.couplings)
        drawn, log_density = self.chain.back(left.stages, normals[:-1], known)
        density = jnp.sum(jnp.log(jnp.diagonal(low))) + log_normal(own)
        return (*drawn, z.reshape(normals[-1].shape)), log_density, density

    def _effects(self, z: Float[Array, " m"]) -> Float[Array, " m"]:
        """``T z``."""
        return self.loadings * z if self.loadings.ndim == 1 else self.loadings @ z

    def _without_chain(self) -> _Left:
        """The chain integrated out, one block after the other; ``L^-1 T' G`` towards the border changes what is left of ``G`` and ``u``."""
        chain, gram, cross, couplings = self.chain, self.gram, self.cross, list(self.couplings)
        stages, halves = [], []
        for b in range(len(couplings)):
            stage = chain.stage(b)
            half = stage.low.solve(chain.t(b).t @ _column(couplings[b], chain.small))
            rows = half.array().reshape(couplings[b].shape)
            gram = gram - jnp.tensordot(rows, rows, ((0, 2), (0, 2)))
            cross = cross - jnp.tensordot(rows, stage.half.array()[:, 0], ((0, 2), (0, 1)))
            for c, outer in stage.couplings.items():
                between = (outer.t @ half).array().reshape(len(couplings[c]), len(cross), -1)
                couplings[c] = couplings[c] - sum_by(between, chain.parents[b, c], chain.cross[c].shape[1])
            chain = chain.without(b, stage)
            stages.append(stage)
            halves.append(rows)
        t = self.loadings
        inner = t[:, None] * gram * t if t.ndim == 1 else t.T @ gram @ t
        return _Left(stages, halves, jnp.eye(len(cross)) + inner, t * cross if t.ndim == 1 else t.T @ cross)


@dataclass(frozen=True)
class _Left:
    """What is left after the chain: its stages, what couples each to the border, and ``A = I + T' G T`` and ``T' u`` of the border."""

    stages: list[Stage]
    couplings: list[Float[Array, "k m levels"]]
    precision: Float[Array, "m m"]
    cross: Float[Array, " m"]


@jax.custom_jvp
def _integral(precision: Float[Array, "m m"], cross: Float[Array, " m"]) -> Float[Array, ""]:
    """``1/2 w' A^-1 w - 1/2 log det A``; its derivatives, from ``A^-1``, are matrix products."""
    low = cholesky(precision)
    return 0.5 * jnp.sum(jnp.square(solve_lower(low, cross[:, None]))) - jnp.sum(jnp.log(jnp.diagonal(low)))


@_integral.defjvp
def _integral_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """``m' dw - 1/2 (m' dA m + tr(A^-1 dA))`` with ``m = A^-1 w``."""
    (precision, cross), (d_precision, d_cross) = primals, tangents
    half = inverse_lower(cholesky(precision))
    whitened = half @ cross
    m = half.T @ whitened
    value = 0.5 * jnp.sum(jnp.square(whitened)) + jnp.sum(jnp.log(jnp.diagonal(half)))
    return value, m @ d_cross - 0.5 * jnp.sum((m[:, None] * m + half.T @ half) * d_precision)


def _column(rows: Any, small: bool) -> AbstractBatch:
    """Matrices of one column whose elements are (m, levels); or of m columns, beyond what is written out."""
    return Unrolled(tuple((row,) for row in rows)) if small else Stacked(jnp.moveaxis(rows, -1, 0))
