"""Group effects integrated out of a Gaussian model: the integral, and draws of the effects given everything else.

Blocks ``b = 1, ..., B`` form a chain: every level of a block lies within one level of the next. With standardised effects
``z ~ N(0, I)`` and effects ``r_b = T_b z_b`` at each level, the log likelihood is, up to what does not depend on them,

    sum_b u_b' r_b - 1/2 sum_bc r_b' G_bc r_c,

``u`` and ``G`` being sums over rows of (precision times) design times residual and design times design. Blocks are integrated out one
after the other, innermost first, ``A_b = I + T_b' G_bb T_b``; what a block leaves behind (its Schur complement) changes ``G`` and
``u`` of those around it. The cost is linear in the number of levels, whatever the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from brim.linalg import SMALL, AbstractBatch, Cells, batch, triangular

__all__ = ["Chain", "draw_effects", "integrate", "log_integral"]

Pairs = Mapping[tuple[int, int], Any]


@dataclass(frozen=True)
class Chain:
    """The quadratic form of a chain of blocks, innermost first.

    Attributes
    ----------
    cells
        Where ``T`` of each block is not zero.
    loadings
        Those elements: ``(cells,)``, or ``(cells, n)`` where they differ by level.
    gram
        ``G_bc`` for ``b <= c``: (k_b, k_c, levels of b).
    cross
        ``u_b``: (k_b, levels of b).
    parents
        For ``b < c``, the level of ``c`` around each level of ``b``.
    count
        How often each level of the outermost block counts in the determinant: levels of equal design can stand for each other.
    """

    cells: tuple[Cells, ...]
    loadings: tuple[Any, ...]
    gram: Pairs
    cross: tuple[Any, ...]
    parents: Pairs
    count: Any

    @property
    def small(self) -> bool:
        return max(u.shape[0] for u in self.cross) <= SMALL

    def t(self, b: int) -> AbstractBatch:
        """``T_b``."""
        return triangular(self.cells[b], self.loadings[b], self.cross[b].shape[0], self.small)

    def g(self, b: int, c: int) -> AbstractBatch:
        """``G_bc``."""
        return batch(self.gram[b, c], self.small)

    def u(self, b: int) -> AbstractBatch:
        """``u_b`` as columns."""
        return batch(self.cross[b][:, None], self.small)


@dataclass(frozen=True)
class Stage:
    """A block integrated out: ``L`` with ``L L' = A``, ``L^-1 T' G_bc`` for the blocks around it, ``L^-1 T' u``."""

    low: AbstractBatch
    couplings: Mapping[int, AbstractBatch]
    half: AbstractBatch

    def log_integral(self) -> Any:
        """``1/2 u' T A^-1 T' u - 1/2 log det A``, summed over levels."""
        return 0.5 * jnp.sum(jnp.square(self.half.array())) - jnp.sum(self.low.log_diagonal())


def log_integral(chain: Chain) -> Any:
    """``log int exp(sum_b u_b' r_b - 1/2 sum_bc r_b' G_bc r_c) prod N(z; 0, I) dz``."""
    total = jnp.zeros(())
    last = len(chain.cross) - 1
    for b in range(last):
        stage = _stage(chain, b)
        chain = _without(chain, b, stage)
        total = total + stage.log_integral()
    return total + integrate(tuple(chain.cells[last]), chain.loadings[last], chain.gram[last, last], chain.cross[last], chain.count)


def draw_effects(chain: Chain, normals: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Standardised effects given everything else, from standard normals of their shapes; with the log density of the draw.

    Outermost first: ``z_b = L_b'^-1 (L_b^-1 T_b' (u_b - sum_c G_bc r_c) + e)``.
    """
    stages: list[Stage] = []
    rest = chain
    for b in range(len(chain.cross)):
        stages.append(_stage(rest, b))
        rest = _without(rest, b, stages[-1])
    z: dict[int, Any] = {}
    effects: dict[int, Any] = {}
    log_density: Any = 0.0
    for b in reversed(range(len(stages))):
        stage, noise = stages[b], normals[b]
        right = stage.half + batch(noise[:, None], chain.small)
        for c, coupling in stage.couplings.items():
            right = right - coupling @ batch(effects[c][:, chain.parents[b, c]][:, None], chain.small)
        drawn = stage.low.solve_transposed(right)
        z[b], effects[b] = drawn.array()[:, 0], (chain.t(b) @ drawn).array()[:, 0]
        log_density = (
            log_density + jnp.sum(stage.low.log_diagonal()) - 0.5 * jnp.sum(noise * noise) - 0.5 * math.log(2 * math.pi) * noise.size
        )
    return tuple(z[b] for b in range(len(stages))), log_density


def _stage(chain: Chain, b: int) -> Stage:
    t = chain.t(b)
    low = (t.t @ (chain.g(b, b) @ t)).plus_identity().cholesky()
    couplings = {c: low.solve(t.t @ chain.g(b, c)) for c in range(b + 1, len(chain.cross))}
    return Stage(low, couplings, low.solve(t.t @ chain.u(b)))


def _without(chain: Chain, b: int, stage: Stage) -> Chain:
    """The chain after block ``b`` is integrated out."""
    gram, cross = dict(chain.gram), list(chain.cross)
    for c, coupling in stage.couplings.items():
        within, levels = chain.parents[b, c], cross[c].shape[1]
        cross[c] = cross[c] - _sum_by((coupling.t @ stage.half).array()[:, 0], within, levels)
        for d, other in stage.couplings.items():
            if d >= c:
                gram[c, d] = gram[c, d] - _sum_by((coupling.t @ other).array(), within, levels)
    return replace(chain, gram=gram, cross=tuple(cross))


def _sum_by(values: Any, within: Any, levels: int) -> Any:
    """Sums over the last axis by group."""
    return jnp.zeros((*values.shape[:-1], levels)).at[..., within].add(values)


# --------------------------------------------------------------------------- the last block, with its derivatives


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def integrate(cells: Cells, loadings: Any, gram: Any, cross: Any, count: Any) -> Any:
    """``sum_j [1/2 u_j' T A_j^-1 T' u_j - count_j / 2 log det A_j]`` with ``A_j = I + T' G_j T``.

    The derivatives are those of the log likelihood averaged over the effects given everything else (Fisher's identity): with
    ``m = A^-1 T' u``, ``r = T m``, ``C = A^-1``: ``dT: (u - G r) m' - G T C``, ``du: r``, ``dG: -(r r' + T C T') / 2``.
    They come with the value, in a fraction of the time and of the program that differentiating a factorisation takes.
    """
    return _integrate(cells, loadings, gram, cross, count)[0]


def _integrate(cells: Cells, loadings: Any, gram: Any, cross: Any, count: Any) -> tuple[Any, tuple[Any, Any, Any]]:
    k = cross.shape[0]
    small = k <= SMALL
    t = triangular(cells, loadings, k, small)
    g, u = batch(gram, small), batch(cross[:, None], small)
    gt = g @ t
    w = t.t @ u
    low = (t.t @ gt).plus_identity().cholesky()
    inverse = low.inverse()
    if k > 2:
        inverse = inverse.computed()
    m = inverse @ w
    r = t @ m
    value = 0.5 * (w.t @ m).array()[0, 0] - count * low.log_diagonal()
    slope = ((u - g @ r) @ m.t - (gt @ inverse).times(count)).cells(cells)
    parts = jnp.concatenate([value[None], slope])
    if loadings.ndim == 1:
        parts = parts.sum(1)
        total, d_loadings = parts[0], parts[1:]
    else:
        total, d_loadings = parts[0].sum(), parts[1:]
    d_gram = ((r @ r.t) + (t @ inverse @ t.t).times(count)).array()
    return total, (d_loadings, d_gram, r.array()[:, 0])


def _differentiate(cells: Cells, saved: tuple[Any, Any, Any], ct: Any) -> tuple[Any, Any, Any, None]:
    d_loadings, d_gram, d_cross = saved
    return ct * d_loadings, -0.5 * ct * d_gram, ct * d_cross, None


integrate.defvjp(_integrate, _differentiate)
