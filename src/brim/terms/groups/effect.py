"""A block's effects in one predictor: ``eta + Z r[J]``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, LinearFacet, Traits
from brim.terms.groups.group import GroupBlock
from brim.terms.groups.member import Member, Term
from brim.terms.latent import Incidence, LatentFacet, Part

__all__ = ["GroupEffect"]


@final
@dataclass(frozen=True)
class GroupEffect(AbstractTerm, LinearFacet, LatentFacet):
    """A block's part in one predictor: ``eta_i + sum_k Z_ik r_k[J_i]`` (a weighted sum over memberships for ``mm()``)."""

    block: GroupBlock
    member: int
    kept: frozenset[Term] | None = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"{self.block.key}{self.block.members[self.member].where.suffix}_{self.member}"

    @property
    def label(self) -> str:
        return self.block.grouping.label

    @property
    def coefs(self) -> tuple[str, ...]:
        return self.block.members[self.member].coefs

    @property
    def written(self) -> tuple[Term, ...]:
        """Its terms as the formula has them."""
        return self.block.members[self.member].written()

    def keeping(self, terms: frozenset[Term]) -> Self:
        """The effect of which predictions take these terms only."""
        return replace(self, kept=terms)

    @property
    def _member(self) -> Member:
        return replace(self.block.members[self.member], kept=self.kept)

    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.block.grouping.variables(), *self._member.variables()]))

    @property
    def traits(self) -> Traits:
        return replace(COUNTABLE, stage=2) if self.block.members[self.member].nthres else COUNTABLE

    def learn(self, frame: Frame) -> Self:
        return self

    def of(self, block: GroupBlock) -> Self:
        """The same part of another state of the block (one that knows new levels)."""
        return replace(self, block=block)

    @property
    def latent(self) -> Part:
        return Part(self.block, self._start, self._start + len(self.coefs), self.block.members[self.member].given, self)

    @property
    def _start(self) -> int:
        """Where its coefficients begin among those of the block."""
        return sum(len(m.coefs) for m in self.block.members[: self.member])

    def without(self, gone: frozenset[str]) -> Self | None:
        return None if self.block.standardised in gone else self

    @property
    def _only_intercept(self) -> bool:
        return self.block.members[self.member].coefs == ("Intercept",)

    def design(self, frame: Frame, codes: np.ndarray | None = None) -> Design:
        """The arrays for these rows; ``codes`` are those of the grouping factor, where they are known."""
        out: Design = {"J": self.block.grouping.codes(frame) if codes is None else codes}
        weights = self.block.grouping.weights(frame)
        if weights is not None:
            out["W"] = weights
        if not self._only_intercept:
            out["Z"] = self._columns(frame)
        return out

    def _columns(self, frame: Frame) -> np.ndarray:
        """Z as (coefficients, rows), or (memberships, coefficients, rows)."""
        z = [self._member.columns(f) for f in self._member.frames(frame, self.block.grouping)]
        return z[0] if len(z) == 1 else np.stack(z)

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        member = self.block.members[self.member]
        r = self._effects(params)
        if member.nthres and eta.ndim == 1:
            eta = eta[:, None]
        values = [params[key] for key in member.given]
        j, z = design["J"], design.get("Z")
        if j.ndim == 1:
            return eta + self._sum(r, j, z, values)
        for m in range(j.shape[0]):
            w = design["W"][m]
            eta = eta + (w[:, None] if member.nthres else w) * self._sum(r, j[m], z if z is None or z.ndim == 2 else z[m], values)
        return eta

    @property
    def known(self) -> bool:
        """Whether what its coefficients multiply is known: no special effects or thresholds."""
        member = self.block.members[self.member]
        return not (member.given or member.nthres)

    @property
    def plain(self) -> bool:
        """Whether each row has one level, too: no memberships."""
        return self.known and not self.block.grouping.is_mm

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        return Incidence(*map(np.asarray, self.parts(self.design(frame, codes), known)))

    def parts(self, design: Design, known: Params = MappingProxyType({})) -> tuple[Any, Any]:
        """Level of each row (rows,) and what its effects multiply (coefficients, rows).

        With memberships (memberships, rows) and (coefficients, memberships, rows), weights included. ``known`` has what special
        effects multiply.
        """
        j = design["J"]
        z = design.get("Z", np.ones((1, j.shape[-1])))
        special = self.block.members[self.member].given
        if special:
            plain = np.ones((z.shape[-2] - len(special), j.shape[-1]))
            z = z * np.concatenate([plain, [known[key] for key in special]])
        if j.ndim == 1:
            return j, z
        return j, (z[:, None] if z.ndim == 2 else np.swapaxes(z, 0, 1)) * design["W"]

    @property
    def linear(self) -> Self | None:
        return self if self.plain else None

    def coefficients(self, params: Params) -> Any:
        return jnp.ravel(self._effects(params))

    def columns(self, design: Design) -> Any:
        """A column for each level and coefficient: levels within coefficients."""
        j, z = self.parts(design)
        out = np.zeros((len(j), len(z), len(self.block.grouping.levels)))
        out[np.arange(len(j)), :, j] = z.T
        return out.reshape(len(j), -1)

    def _effects(self, params: Params) -> Any:
        """Its coefficients of every level, (coefficients, levels)."""
        return self.block.effects_of(params)[self._start : self._start + len(self.coefs)]

    def _sum(self, r: Any, j: Any, z: Any, values: list[Any]) -> Any:
        """``sum_k Z_k r_k[J]`` (rows,), special coefficients times their values; one sum for each threshold, (rows, thresholds)."""
        if z is None:
            return r[0][j]
        parts = [z[k] * r[k][j] for k in range(r.shape[0])]
        plain = len(parts) - len(values)
        parts = parts[:plain] + [part * value for part, value in zip(parts[plain:], values, strict=True)]
        nthres = self.block.members[self.member].nthres
        if nthres:
            return jnp.stack([reduce(add, parts[k::nthres]) for k in range(nthres)], axis=-1)
        return reduce(add, parts)
