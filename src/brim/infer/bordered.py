"""A chain of blocks together with a few effects that cross it: the Schur complement of the chain is dense, and small."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from brim.infer.gaussian import Chain, Stage, sum_by
from brim.linalg import AbstractBatch, Unrolled

__all__ = ["Bordered"]


@final
@dataclass(frozen=True)
class Bordered:
    """The quadratic form of a chain and of ``m`` effects ``r = T z`` (the border), which may belong to any rows.

    Attributes
    ----------
    chain
        The chain of blocks, of at most ``SMALL`` coefficients each.
    loadings
        ``T`` of the border, (m, m).
    gram, cross
        ``G`` (m, m) and ``u`` (m,) of the border.
    couplings
        For each block of the chain, ``G`` between its effects and the border, (k, m, levels).
    """

    chain: Chain
    loadings: Any
    gram: Any
    cross: Any
    couplings: tuple[Any, ...]

    def draw(self, normals: Any, chain_normals: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], Any]:
        """Standardised effects of the border (m,) and of the chain, and the log density of the draw: border first, chain given it."""
        stages, halves, gram, cross = self._without_chain()
        low = jnp.linalg.cholesky(jnp.eye(len(cross)) + self.loadings.T @ gram @ self.loadings)
        half = solve_triangular(low, self.loadings.T @ cross, lower=True)
        z = solve_triangular(low, half + normals, lower=True, trans=1)
        effects = (self.loadings @ z)[:, None]
        known = tuple(Unrolled(tuple((jnp.sum(h * effects, axis=0),) for h in half)) for half in halves)
        drawn, log_density = self.chain.back(stages, chain_normals, known)
        own = jnp.sum(jnp.log(jnp.diagonal(low))) - 0.5 * jnp.sum(normals * normals) - 0.5 * math.log(2 * math.pi) * normals.size
        return z, drawn, log_density + own

    def _without_chain(self) -> tuple[list[Stage], list[tuple[Any, ...]], Any, Any]:
        """The chain integrated out: its stages, ``L^-1 T' G`` towards the border (rows of (m, levels)), what is left of ``G`` and ``u``."""
        chain, gram, cross = self.chain, self.gram, self.cross
        couplings = [Unrolled(tuple((row,) for row in c)) for c in self.couplings]
        stages, halves = [], []
        for b in range(len(couplings)):
            stage = chain.stage(b)
            half = stage.low.solve(chain.t(b).t @ couplings[b])
            rows = _only_column(half)
            for h, u in zip(rows, stage.half.array()[:, 0], strict=True):
                gram, cross = gram - h @ h.T, cross - h @ u
            for c, outer in stage.couplings.items():
                left = outer.t @ half
                within, levels = chain.parents[b, c], chain.cross[c].shape[1]
                couplings[c] = couplings[c] - Unrolled(tuple((sum_by(row, within, levels),) for row in _only_column(left)))
            chain = chain.without(b, stage)
            stages.append(stage)
            halves.append(rows)
        return stages, halves, gram, cross


def _only_column(a: AbstractBatch) -> tuple[Any, ...]:
    """The elements of matrices of one column."""
    return tuple(row[0] for row in a.elements())
