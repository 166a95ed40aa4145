"""The group terms of a model as its numerics take them: factors with scaled columns, and covariances of terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from brim.frames.frame import Frame
from brim.linalg.mixed.blocks import Factor
from brim.lme4.design import Design
from brim.lme4.deviance import Covariances, Term
from brim.lme4.structures import STRUCTURES

__all__ = ["Groups"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Groups:
    """The group effects of a learned model.

    Attributes
    ----------
    design
        The model.
    codes
        The level of each row, for each grouping factor.
    columns
        For each, the (k, rows) columns of its terms.
    """

    design: Design
    codes: tuple[Array, ...]
    columns: tuple[Array, ...]

    @staticmethod
    def of(design: Design, frame: Frame, codes: Sequence[Array]) -> Groups:
        """Read the columns from a frame."""
        each = [np.concatenate([v.columns(frame) for v in design.terms_of(g)]) for g in range(len(design.groupings))]
        return Groups(design, tuple(codes), tuple(each))

    @cached_property
    def covariances(self) -> Covariances:
        """The terms in the model's order."""
        used = [0] * len(self.columns)
        terms = []
        for v in self.design.varying:
            k = len(v.names)
            terms.append(Term(v.grouping, used[v.grouping], k, STRUCTURES[v.bar.structure]))
            used[v.grouping] += k
        return Covariances(tuple(terms), tuple(used))

    @cached_property
    def scales(self) -> tuple[Array, ...]:
        """What the columns are divided by: their root mean square, one for all of a term whose structure asks for it."""
        out = [np.sqrt(np.mean(c * c, axis=1)) for c in self.columns]
        for scale in out:
            scale[scale == 0] = 1.0
        for t in self.covariances.terms:
            if not t.structure.scalable:
                out[t.factor][t.columns] = np.sqrt(np.mean(out[t.factor][t.columns] ** 2))
        return tuple(out)

    def factors(self, root_weights: Array | None = None) -> list[Factor]:
        """The factors, columns divided by their scales and multiplied by the square roots of the weights."""
        out = []
        for codes, columns, scale, g in zip(self.codes, self.columns, self.scales, self.design.groupings, strict=True):
            z = columns / scale[:, None]
            out.append(Factor(codes, len(g.levels), z if root_weights is None else z * root_weights))
        return out

    def reported(self, theta: Array) -> Array:
        """lme4's ``theta``: for the columns as they are, with signs that make diagonals non-negative."""
        return self.covariances.scaled(self.covariances.reported(theta), [1.0 / s for s in self.scales])

    def internal(self, theta: Array) -> Array:
        """The inverse of ``reported``."""
        return self.covariances.scaled(theta, list(self.scales))

    def reordered(self, term: int, order: Sequence[int]) -> Groups:
        """With the effects of one term in another order."""
        t = self.covariances.terms[term]
        columns = list(self.columns)
        columns[t.factor] = columns[t.factor].copy()
        columns[t.factor][t.columns] = self.columns[t.factor][t.columns][list(order)]
        return Groups(self.design, self.codes, tuple(columns))

    def predict(self, effects: Sequence[Array]) -> Array:
        """``Z b`` of every row; ``effects`` (levels, k) for each grouping factor."""
        out = np.zeros(len(self.codes[0]))
        for codes, columns, b in zip(self.codes, self.columns, effects, strict=True):
            for j, column in enumerate(columns):
                out += b[codes, j] * column
        return out
