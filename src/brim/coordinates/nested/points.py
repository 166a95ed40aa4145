"""A nest evaluated at many points, in blocks on several threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from brim.compile.compiled import compiled
from brim.compile.session import float64
from brim.coordinates.nested.integral import MODES, points_function
from brim.coordinates.nested.structure import Nest, NestArrays, NestedStart
from brim.infer.nuts.program import device_data

__all__ = ["Found", "Points"]

NUMBERS = 2**17  # that one array of the points evaluated together holds
TOGETHER = 32  # points at most that are evaluated together
STEP = 0.3  # of differences of modes, in standard deviations
BLOCK = 8  # times as many a call


class Found(NamedTuple):
    """What is found at points.

    Attributes
    ----------
    value
        Log density with the latent vectors integrated out, or its estimate, beside that of the border's standard normals.
    joint
        Log density with the latent vectors that were drawn.
    doubt
        What the quadrature's error in ``value`` may be.
    z
        The vectors drawn, each (points, k, levels).
    """

    value: np.ndarray
    joint: np.ndarray
    doubt: np.ndarray
    z: tuple[np.ndarray, ...]

    def rows(self, at: np.ndarray | slice) -> Found:
        """Some of the points."""
        return Found(self.value[at], self.joint[at], self.doubt[at], tuple(z[at] for z in self.z))

    @staticmethod
    def joined(parts: Sequence[Found]) -> Found:
        """One behind the other."""
        z = tuple(np.concatenate(own) for own in zip(*(part.z for part in parts), strict=True))
        value, joint, doubt = (np.concatenate(x) for x in zip(*(part[:3] for part in parts), strict=True))
        return Found(value, joint, doubt, z)


class Points:
    """Evaluates a nest; random numbers depend on the number of a point, not on the block it is in."""

    def __init__(self, nest: Nest, known: NestArrays, head: int, seed: int, cores: int | None) -> None:
        self.nest, self.head, self.seed = nest, head, seed
        self.cores = cores or os.cpu_count() or 1
        numbers = known.rows * (nest.nodes if nest.quadrature else 1) * (nest.particles if nest.drawn else 1)
        # a power of two divides the block, so that the program has no second part for what is left over
        together = 1 << int(np.clip(np.log2(NUMBERS / max(numbers, 1)), 0, np.log2(TOGETHER)))
        shape, n = jax.ShapeDtypeStruct, BLOCK * together
        self.block = n
        args = (shape((n, head), np.float64), shape((n, nest.border), np.float64), shape((n, 2), np.uint32), known)
        make = lambda: points_function(nest, together)  # noqa: E731
        self.program = compiled(("points of a nest", nest, together), make, args, lambda found: found)
        with float64():
            self.known = device_data(known)

    def __call__(self, q: np.ndarray, numbers: np.ndarray) -> Found:
        """At points ``(n, head + border)`` of these numbers."""
        run = self.program.result().run
        keys = np.stack([np.full(len(q), self.seed % 2**32), numbers], axis=1).astype(np.uint32)

        def block(at: int) -> Found:
            part = slice(at, at + self.block)
            args = [_filled(x[part], self.block) for x in (q[:, : self.head], q[:, self.head :], keys)]
            with float64():
                found = jax.tree.map(np.asarray, Found(*run(*args, self.known)))
            return found.rows(slice(0, len(q[part])))

        starts = range(0, len(q), self.block)
        if len(starts) == 1:
            return block(0)
        with ThreadPoolExecutor(self.cores) as pool:
            return Found.joined(list(pool.map(block, starts)))

    def modes(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Modes ``z`` of the vectors at parameters ``(n, head)``, each (n, k, levels)."""
        return self(np.concatenate([theta, np.zeros((len(theta), self.nest.border))], axis=1), np.full(len(theta), MODES)).z

    def start_from(self, theta: np.ndarray, scale: np.ndarray) -> None:
        """Seek modes along a line through those at these parameters; ``scale``: about the parameters' standard deviations."""
        steps = np.diag(STEP * scale)
        z = self.modes(theta[None])
        self.known = self.known._replace(start=self.known.start._replace(theta=theta, z=tuple(np.nan_to_num(x[0]) for x in z)))
        z = self.modes(np.concatenate([theta[None], theta + steps, theta - steps]))
        d = len(theta)
        slopes = tuple(np.nan_to_num((x[1 : 1 + d] - x[1 + d :]) / (2.0 * STEP * scale[:, None, None])) for x in z)
        self.known = self.known._replace(start=NestedStart(theta, tuple(np.nan_to_num(x[0]) for x in z), slopes))


def _filled(x: np.ndarray, n: int) -> np.ndarray:
    """``n`` rows, the last one repeated."""
    return x if len(x) == n else np.concatenate([x, np.repeat(x[-1:], n - len(x), axis=0)])
