"""Crossed effects given all else, drawn on the host: many draws at once, by conjugate gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import jax
import numpy as np

from brim.compile.session import float64
from brim.coordinates.crossed.exact import Exact
from brim.coordinates.crossed.surface import Surface, evaluate
from brim.linalg.mixed.factorisation import Factorisation
from brim.linalg.mixed.threads import PROCESSORS, each

__all__ = ["Effects"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Effects:
    """What effects are drawn with.

    Attributes
    ----------
    exact
        The sums of the model.
    near
        A factorisation at ratios amid the posterior.
    note
        How the density is known, for a reader.
    """

    exact: Exact
    near: Factorisation | None = None
    note: str = ""

    def drawn(self, surface: Surface, u: Array, v: Array, streams: Array) -> tuple[Array, Array]:
        """Standardised effects (n, size), block by block, given ratios (n, d) and ``v`` (n, 1 + p), and log densities.

        ``streams`` (n, 2): what tells the random numbers of each draw. To the log density of the ratios, which comes from the surface, the
        log density adds up to that of all: ``w' z - z' A z / 2 - v'(V'WV - S)v / 2 + log det A / 2`` and a constant.
        """
        assert self.near is not None
        exact, rows = self.exact, self.exact.pattern.n
        near, count = self.near, rows + exact.size
        exact.prepare()

        def some(at: Array) -> tuple[Array, Array]:
            normals = np.stack([np.random.Generator(np.random.Philox(key=key)).standard_normal(count) for key in streams[at]])
            return exact.drawn(near, u[at], v[at], normals)

        parts = each(some, np.array_split(np.arange(len(u)), min(PROCESSORS, len(u))))
        z, half = (np.concatenate(x) for x in zip(*parts, strict=True))
        with float64():
            log_det, forms, _ = (np.asarray(x) for x in jax.vmap(evaluate, (None, 0))(surface, u))
        explained = np.einsum("ni,nij,nj->n", v, exact.squares - forms, v)
        log_density = half - 0.5 * explained + 0.5 * log_det - 0.5 * exact.size * math.log(2.0 * math.pi)
        return np.concatenate(exact.in_blocks(z), axis=1), log_density
