"""How the latent vectors of a model are integrated: hashable, the static part of a compiled program; and the arrays it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from brim.coordinates.adapted.expansion import Rows, seating
from brim.coordinates.adapted.places import frames_of
from brim.coordinates.adapted.which import Adapted
from brim.frames.frame import Frame
from brim.infer.target import UnsuitedError
from brim.terms.latent import named

__all__ = ["Nest", "NestArrays", "NestedStart", "known_of", "nest_of"]

MOST_BORDER = 128  # effects whose joint covariance is factorised at every point
NODES, MOST_NODES = 9, 41  # of the quadrature of one effect
FARTHEST, LONGEST = 10.0, 2.0  # change of a parameter and of an effect that a line is followed for
PARTICLES, MOST_PARTICLES = 8, 256  # of several effects


@dataclass(frozen=True)
class Nest:
    """The latent vectors in three layers: the border is a part of the point; given it levels of the outermost block are independent.

    Attributes
    ----------
    adapted
        The vectors, those that cross the chain in its border.
    nodes
        Of the quadrature over the effect of the innermost block.
    particles
        Draws of the other effects of the chain, a level of its outermost block.
    """

    adapted: Adapted
    nodes: int = NODES
    particles: int = PARTICLES

    @property
    def quadrature(self) -> bool:
        """Whether the innermost block has one effect a level, which is integrated by quadrature given all others."""
        chain = self.adapted.chain
        return bool(chain) and chain[0].shape[0] == 1

    @property
    def drawn(self) -> range:
        """The blocks of the chain whose effects are integrated over draws."""
        return range(int(self.quadrature), len(self.adapted.chain))

    @property
    def border(self) -> int:
        """Number of effects of the border."""
        return sum(v.size for v in self.adapted.border)

    @property
    def informed(self) -> tuple[bool, ...]:
        """Of each unit, whether the chain enters it."""
        _, _, chain = self.adapted.parts
        units = {seat.unit for i in chain for seat in self.adapted.seats[i]}
        return tuple(u in units for u in range(len(self.adapted.units)))

    def finer(self, *, noise: bool, doubt: bool) -> Nest:
        """With more draws, with more nodes."""
        particles = min(4 * self.particles, MOST_PARTICLES) if noise and self.drawn else self.particles
        return replace(self, particles=particles, nodes=min(2 * self.nodes - 1, MOST_NODES) if doubt and self.quadrature else self.nodes)

    def __str__(self) -> str:
        t, parts = self.adapted, []
        if self.quadrature:
            parts.append(f"{t.chain[0].label} by quadrature ({self.nodes} nodes)")
        if self.drawn:
            parts.append(f"{named(t.chain[b] for b in self.drawn)} over {self.particles} draws a level")
        if t.border:
            parts.append(f"{named(t.border)} at each point")
        return ", ".join(parts)


class NestedStart(NamedTuple):
    """Where modes are sought from: a linear function of the parameters.

    Attributes
    ----------
    theta
        Parameters (d,).
    z
        Of each vector there, (k, levels).
    slopes
        Their derivatives, (d, k, levels).
    """

    theta: Any
    z: tuple[Any, ...]
    slopes: tuple[Any, ...]

    def at(self, theta: Any) -> dict[int, Any]:
        """``z`` of each vector at other parameters, within bounds: far away the line leads nowhere."""
        away = jnp.clip(theta - self.theta, -FARTHEST, FARTHEST)
        moved = [jnp.clip(jnp.tensordot(away, slope, 1), -LONGEST, LONGEST) for slope in self.slopes]
        return {i: z + step for i, (z, step) in enumerate(zip(self.z, moved, strict=True))}


class NestArrays(NamedTuple):
    """The arrays of a nest.

    Attributes
    ----------
    inner
        Data of the model.
    seats, parents
        As in ``Rows``.
    level
        By unit, the level of the innermost block of each row; ``None`` where the chain does not enter.
    top
        For each block of the chain, the level of the outermost one around each of its levels.
    start
        Where modes are sought from.
    """

    inner: Any
    seats: Any
    parents: dict[tuple[int, int], Any]
    level: tuple[Any, ...]
    top: tuple[Any, ...]
    start: NestedStart

    @property
    def rows(self) -> int:
        """Number of rows of all units, about: those that the innermost vectors enter."""
        return max((i.columns.shape[-1] for seats in self.seats for i in seats), default=1)


def nest_of(t: Adapted) -> Nest:
    """The layers of these vectors.

    Raises
    ------
    UnsuitedError
        Where too many effects cross.
    """
    border = (*t.singles, *t.border)
    size = sum(v.size for v in border)
    if size > MOST_BORDER:
        raise UnsuitedError(
            f"algorithm='nested_laplace' takes {MOST_BORDER} effects that cross others; {named(border)} are {size}",
            hint="use algorithm='sampling'",
        )
    return Nest(replace(t, singles=(), border=border))


def known_of(nest: Nest, rows: Rows, inner: Any, frame: Frame) -> NestArrays:
    """The arrays, from the rows of the training data."""
    t = nest.adapted
    chain, top = t.chain, []
    levels: list[Any] = [None for _ in t.units]
    if chain:
        frames = frames_of(t.model, t.units, frame)
        codes = (np.asarray(chain[0].codes(rows), np.int64) for rows in frames)
        levels = [code if entered else None for code, entered in zip(codes, nest.informed, strict=True)]
        last = len(chain) - 1
        top = [rows.parents[b, last] if b < last else np.arange(chain[last].shape[1]) for b in range(last + 1)]
    zeros, d = tuple(np.zeros(shape) for shape in t.shapes), t.rest.layout.dim
    start = NestedStart(np.zeros(d), zeros, tuple(np.zeros((d, *z.shape)) for z in zeros))
    return NestArrays(inner, seating(rows), rows.parents, tuple(levels), tuple(top), start)
