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
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.linalg import SMALL, AbstractBatch, Cells, batch, sparse, sum_by

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float, Int

    Blocks = tuple[Float[Array, "k levels"], ...]

__all__ = ["AbstractQuadratic", "Chain", "Nothing", "Rotated", "Separate", "integrate", "log_normal", "parents_of", "weighted_sum"]

Pairs = Mapping[tuple[int, int], Any]


class AbstractQuadratic(ABC):
    """A log likelihood that is quadratic in the effects of one or several blocks."""

    @abstractmethod
    def log_integral(self) -> Float[Array, ""]:
        """``log int exp(sum_b u_b' r_b - 1/2 sum_bc r_b' G_bc r_c) prod N(z; 0, I) dz``."""

    @abstractmethod
    def draw(self, normals: Blocks) -> tuple[Blocks, Float[Array, ""]]:
        """Standardised effects of each block given everything else, from standard normals of their shape (k, levels).

        Returns them with the log density of the draw.
        """


@final
@dataclass(frozen=True)
class Chain(AbstractQuadratic):
    """The quadratic form of a chain of blocks, innermost first.

    Attributes
    ----------
    cells
        Where ``T`` of each block is not zero.
    loadings
        ``T``: (k_b, k_b), or (k_b, k_b, levels of b) where it differs by level.
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
    loadings: tuple[Float[Array, "k k *levels"], ...]
    gram: Mapping[tuple[int, int], Float[Array, "k other levels"]]
    cross: Blocks
    parents: Mapping[tuple[int, int], Int[Array, " levels"]]
    count: Float[Array, " levels"]

    @property
    def small(self) -> bool:
        return max(u.shape[0] for u in self.cross) <= SMALL

    def t(self, b: int) -> AbstractBatch:
        """``T_b``."""
        return sparse(self.loadings[b], self.cells[b], self.small)

    def log_integral(self) -> Float[Array, ""]:
        total, chain, last = jnp.zeros(()), self, len(self.cross) - 1
        for b in range(last):
            stage = chain.stage(b)
            chain = chain.without(b, stage)
            total = total + stage.log_integral()
        return total + integrate(self.cells[last], chain.loadings[last], chain.gram[last, last], chain.cross[last], self.count)

    def draw(self, normals: Blocks) -> tuple[Blocks, Float[Array, ""]]:
        stages: list[Stage] = []
        rest = self
        for b in range(len(self.cross)):
            stages.append(rest.stage(b))
            rest = rest.without(b, stages[-1])
        return self.back(stages, normals)

    def back(self, stages: list[Stage], normals: tuple[Any, ...], known: tuple[AbstractBatch, ...] = ()) -> tuple[tuple[Any, ...], Any]:
        """Outermost first: ``z_b = L_b'^-1 (L_b^-1 T_b' (u_b - sum_c G_bc r_c) + e)``; ``known`` is taken off ``L_b^-1 T_b' u_b``."""
        z: dict[int, Any] = {}
        effects: dict[int, Any] = {}
        for b in reversed(range(len(stages))):
            right = stages[b].half + batch(normals[b][:, None], self.small)
            right = right - known[b] if known else right
            for c, coupling in stages[b].couplings.items():
                right = right - coupling @ batch(effects[c][:, self.parents[b, c]][:, None], self.small)
            drawn = stages[b].low.solve_transposed(right)
            z[b], effects[b] = drawn.array()[:, 0], (self.t(b) @ drawn).array()[:, 0]
        log_density = sum(stage.log_density(e) for stage, e in zip(stages, normals, strict=True))
        return tuple(z[b] for b in range(len(stages))), log_density

    def stage(self, b: int) -> Stage:
        """Block ``b`` integrated out, those inside it being so already."""
        t = self.t(b)
        low = (t.t @ (batch(self.gram[b, b], self.small) @ t)).plus_identity().cholesky()
        couplings = {c: low.solve(t.t @ batch(self.gram[b, c], self.small)) for c in range(b + 1, len(self.cross))}
        return Stage(low, couplings, low.solve(t.t @ batch(self.cross[b][:, None], self.small)))

    def without(self, b: int, stage: Stage) -> Chain:
        """The chain after block ``b`` is integrated out."""
        gram, cross = dict(self.gram), list(self.cross)
        for c, coupling in stage.couplings.items():
            within, levels = self.parents[b, c], cross[c].shape[1]
            cross[c] = cross[c] - sum_by((coupling.t @ stage.half).array()[:, 0], within, levels)
            for d, other in stage.couplings.items():
                if d >= c:
                    gram[c, d] = gram[c, d] - sum_by((coupling.t @ other).array(), within, levels)
        return replace(self, gram=gram, cross=tuple(cross))


@final
@dataclass(frozen=True)
class Rotated(AbstractQuadratic):
    """The quadratic form of one effect a level, ``r = t z``, whose ``G`` over all levels is any matrix: that of ``Q' z`` is diagonal.

    Attributes
    ----------
    scale
        ``t``.
    values, vectors
        ``G = Q diag(values) Q'``, decomposed once.
    cross
        ``u`` (1, levels).
    """

    scale: Float[Array, ""]
    values: Float[Array, " levels"]
    vectors: Float[Array, "levels levels"]
    cross: Float[Array, "1 levels"]

    @property
    def _precision(self) -> Any:
        """Of each of ``Q' z``."""
        return 1.0 + jnp.square(self.scale) * self.values

    def _turned(self) -> Any:
        """``Q' t u``."""
        return self.scale * (self.cross[0] @ self.vectors)

    def log_integral(self) -> Float[Array, ""]:
        precision = self._precision
        return 0.5 * jnp.sum(jnp.square(self._turned()) / precision - jnp.log(precision))

    def draw(self, normals: Blocks) -> tuple[Blocks, Float[Array, ""]]:
        e, precision = normals[0][0], self._precision
        z = self._turned() / precision + e / jnp.sqrt(precision)
        return ((self.vectors @ z)[None],), 0.5 * jnp.sum(jnp.log(precision)) + log_normal(e)


@final
@dataclass(frozen=True)
class Nothing(AbstractQuadratic):
    """No effects: what the data say of the other parameters is known without."""

    def log_integral(self) -> Float[Array, ""]:
        return jnp.zeros(())

    def draw(self, normals: Blocks) -> tuple[Blocks, Float[Array, ""]]:
        return (), jnp.zeros(())


@final
@dataclass(frozen=True)
class Separate(AbstractQuadratic):
    """The quadratic form of effects that are independent given the data: ``w' z - z' diag(A) z / 2``, the prior included.

    Attributes
    ----------
    precision, cross
        ``A`` and ``w``, (m,).
    """

    precision: Float[Array, " m"]
    cross: Float[Array, " m"]

    def log_integral(self) -> Float[Array, ""]:
        return 0.5 * jnp.sum(jnp.square(self.cross) / self.precision - jnp.log(self.precision))

    def draw(self, normals: Blocks) -> tuple[Blocks, Float[Array, ""]]:
        z = self.cross / self.precision + normals[0] / jnp.sqrt(self.precision)
        return (z,), 0.5 * jnp.sum(jnp.log(self.precision)) + log_normal(normals[0])


@dataclass(frozen=True)
class Stage:
    """A block integrated out: ``L`` with ``L L' = A``, ``L^-1 T' G_bc`` for the blocks around it, ``L^-1 T' u``."""

    low: AbstractBatch
    couplings: Mapping[int, AbstractBatch]
    half: AbstractBatch

    def log_integral(self, count: Float[Array, " levels"] | float = 1.0) -> Float[Array, ""]:
        """``1/2 u' T A^-1 T' u - count / 2 log det A``, summed over levels."""
        return 0.5 * jnp.sum(jnp.square(self.half.array())) - jnp.sum(count * self.low.log_diagonal())

    def log_density(self, normals: Float[Array, "k levels"]) -> Float[Array, ""]:
        """Log density, given the blocks around it, of the effects drawn with these standard normals."""
        return jnp.sum(self.low.log_diagonal()) + log_normal(normals)


def log_normal(e: Float[Array, ...]) -> Float[Array, ""]:
    """Log density of independent standard normal numbers."""
    return -0.5 * jnp.sum(e * e) - 0.5 * math.log(2 * math.pi) * e.size


def parents_of(inner: Int[np.ndarray, " rows"], outer: Int[np.ndarray, " rows"], levels: int) -> Int[np.ndarray, " levels"]:
    """The level of the outer block around each of these levels of the inner one, from the levels of rows."""
    out = np.zeros(levels, np.int32)
    out[inner] = outer
    return out


def weighted_sum(factors: Float[Array, " m"], arrays: Float[Array, " m *shape"]) -> Float[Array, "*shape"]:
    """``sum_i factors_i arrays_i``; a few written as sums, which fuse with what comes next."""
    if len(arrays) > 8:
        return jnp.tensordot(factors, arrays, 1)
    return jnp.sum(arrays * factors.reshape(-1, *[1] * (arrays.ndim - 1)), axis=0)


# --------------------------------------------------------------------------- the last block, with its derivatives


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def integrate(
    cells: Cells,
    loadings: Float[Array, "k k *levels"],
    gram: Float[Array, "k k levels"],
    cross: Float[Array, "k levels"],
    count: Float[Array, " levels"],
) -> Float[Array, ""]:
    """``sum_j [1/2 u_j' T A_j^-1 T' u_j - count_j / 2 log det A_j]`` with ``A_j = I + T' G_j T``.

    The derivatives are those of the log likelihood averaged over the effects given everything else (Fisher's identity): with
    ``m = A^-1 T' u``, ``r = T m``, ``C = A^-1``: ``dT: (u - G r) m' - G T C``, ``du: r``, ``dG: -(r r' + T C T') / 2``.
    They come with the value, in a fraction of the time and of the program that differentiating a factorisation takes.
    """
    return _integrate(cells, loadings, gram, cross, count)[0]


def _integrate(cells: Cells, loadings: Any, gram: Any, cross: Any, count: Any) -> tuple[Any, tuple[Any, Any, Any]]:
    k = cross.shape[0]
    small = k <= SMALL
    t, g, u = sparse(loadings, cells, small), batch(gram, small), batch(cross[:, None], small)
    gt = g @ t
    w = t.t @ u
    inverse, log_det = (t.t @ gt).plus_identity().inverse()
    if k > 2:
        inverse = inverse.computed()
    m = inverse @ w
    r = t @ m
    value = 0.5 * ((w.t @ m).array()[0] - count * log_det)
    slope = ((u - g @ r) @ m.t - (gt @ inverse).times(count)).only(cells).array()
    parts = jnp.concatenate([value, slope.reshape(k * k, -1)])
    if loadings.ndim == 2:
        parts = parts.sum(1)
        total, d_loadings = parts[0], parts[1:].reshape(k, k)
    else:
        total, d_loadings = parts[0].sum(), parts[1:].reshape(loadings.shape)
    d_gram = ((r @ r.t) + (t @ inverse @ t.t).times(count)).array()
    return total, (d_loadings, d_gram, r.array()[:, 0])


def _differentiate(cells: Cells, saved: tuple[Any, Any, Any], ct: Any) -> tuple[Any, Any, Any, None]:
    d_loadings, d_gram, d_cross = saved
    return ct * d_loadings, -0.5 * ct * d_gram, ct * d_cross, None


integrate.defvjp(_integrate, _differentiate)
