"""Group effects in coordinates that follow their conditional distribution: the parameterisation is chosen by the data.

A normal approximation of the likelihood around a first estimate (see ``working``) gives the effects an approximate conditional law,
``r | theta ~ N(m(theta), A(theta))``, at any value ``theta`` of all other parameters, at the cost of one pass over the levels. Sampled
are ``theta`` and ``e`` with ``r = m(theta) + A(theta)^(1/2) e``; the Jacobian makes this exact whatever the approximation is worth.
Where a level has little data this is the non-centred parameterisation, where it has much the centred one, and in between what
lies between. In the new coordinates the effects are nearly standard normal and independent of ``theta`` (Kleppe 2019,
"Dynamically rescaled Hamiltonian Monte Carlo", has the idea).

Effects may enter any predictor of any response (``places``); a block whose coefficients stand in several has one law over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.coordinates.adapted.places import Place, Seat, Unit, frames_of, seats_of, units_of
from brim.coordinates.integrated.density import Marginal, log_marginal_function
from brim.coordinates.integrated.which import Elimination, chain_of, in_mean, linear_columns, reads_rows, size_of
from brim.frames.frame import Frame
from brim.linalg import SMALL
from brim.model.model import Model, log_joint_function
from brim.parameters.param import unconstrained_size
from brim.terms.groups.group import GroupBlock

__all__ = ["Transport", "better_together", "find_transport", "is_joint"]

Arrays = Mapping[str, Any]
MOST_COLUMNS = 50  # linear columns of the predictor for which sums by level are kept
MOST_BORDER = 64  # effects whose joint covariance is factorised at every gradient
MOST_ROTATED = 1000  # effects whose joint precision is diagonalised at every expansion
MOST_COUPLINGS = 2**17  # numbers that couple them to the chain


@dataclass(frozen=True)
class Transport:
    """Which effects are transported, and how: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model whose effects these are; without those that ``exact`` integrates out.
    exact
        What is integrated out exactly (Gaussian models), or ``None``.
    chain
        Blocks transported together, innermost first: every level of one lies within one level of the next, and the law of an inner
        effect is that given the outer ones. None, where rows belong to several levels.
    border
        Blocks of few effects that cross the chain: their joint law with the chain integrated out, before the chain given them.
    singles
        Other blocks, each by its own law given ``theta`` (their dependence on all others is left in). Those whose levels depend on
        each other are rotated.
    linear
        Whether the rest of the predictors is linear in few columns, so that sums by level, taken once, stand for the rows.
    """

    model: Model
    exact: Elimination | None
    chain: tuple[GroupBlock, ...]
    border: tuple[GroupBlock, ...]
    singles: tuple[GroupBlock, ...]
    linear: bool

    @property
    def blocks(self) -> tuple[GroupBlock, ...]:
        """All transported blocks, in the order of their coordinates."""
        return (*self.singles, *self.border, *self.chain)

    @property
    def parts(self) -> tuple[range, range, range]:
        """Places of singles, border and chain among ``blocks``."""
        a, b = len(self.singles), len(self.singles) + len(self.border)
        return range(a), range(a, b), range(b, b + len(self.chain))

    @cached_property
    def rest(self) -> Model:
        """The model of all else: ``theta``."""
        return self.model.without(self.blocks)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The predictors that these effects enter."""
        return units_of(self.model, self.blocks)

    @cached_property
    def seats(self) -> tuple[tuple[Seat, ...], ...]:
        """Where in these the coefficients of each block stand."""
        return tuple(seats_of(b, self.model, self.units) for b in self.blocks)

    @property
    def places(self) -> tuple[Place, ...]:
        """The predictors of all units."""
        return tuple(p for unit in self.units for p in unit.places)

    @property
    def nests(self) -> bool:
        """Whether the likelihood expanded at the effects' modes approximates that without effects: not with widths of their own."""
        return all(b.grouping.dist == "gaussian" for b in self.blocks)

    @property
    def joint(self) -> bool:
        """Whether the law of all effects is their joint law in the working model."""
        return not self.singles or len(self.blocks) == 1

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(coefficients, levels) of each block."""
        return tuple((len(b.coefs), len(b.grouping.levels)) for b in self.blocks)

    @property
    def head(self) -> int:
        """Number of coordinates of ``theta``, which come first."""
        return self.rest.layout.dim

    @property
    def dim(self) -> int:
        return self.head + sum(k * n for k, n in self.shapes)

    def split(self, q: Any) -> tuple[Any, tuple[Any, ...]]:
        """``theta`` and the coordinates ``e`` of each block, (coefficients, levels)."""
        out, at = [], self.head
        for k, n in self.shapes:
            out.append(q[..., at : at + k * n].reshape(*q.shape[:-1], k, n))
            at += k * n
        return q[..., : self.head], tuple(out)

    def joined(self, theta: Any, z: tuple[Any, ...], concatenate: Callable[..., Any] = jnp.concatenate) -> Any:
        """Coordinates of the model from ``theta`` and the standardised effects."""
        effects = dict(zip((b.standardised for b in self.blocks), z, strict=True))
        parts, at = [], 0
        for p in self.model.params:
            n = unconstrained_size(p)
            if p.name in effects:
                parts.append(effects[p.name].reshape(*theta.shape[:-1], n))
            else:
                parts.append(theta[..., at : at + n])
                at += n
        return concatenate(parts, axis=-1)

    def inner(self) -> Callable[[Any, Arrays], Any]:
        """The log density of the model's own coordinates."""
        return log_joint_function(self.model) if self.exact is None else log_marginal_function(self.exact)


def find_transport(model: Model, frame: Frame, marginal: Marginal | None) -> Transport | None:
    """The transport of a model's effects, ``None`` where there are none that it could serve.

    Effects in predictors that are sums of terms, of responses whose rows are independent (or tied row by row) and no mixtures.
    """
    if model.prior_only or any(r.residual is not None or r.family.components for r in model.responses):
        return None
    exact = None if marginal is None else marginal.elimination
    inner = model if exact is None else exact.rest
    # where effects are integrated out of the mean, the likelihood is not expanded in other predictors: it would lack these effects
    able = sorted((b for b in inner.blocks if _able(b, inner) and (exact is None or in_mean(b))), key=size_of, reverse=True)
    if not able:
        return None
    chain = _chain(inner, able, frame)
    taken = {b.key for b in chain}
    left = [b for b in able if b.key not in taken]
    border = _border(chain, left)
    singles = tuple(b for b in left if b not in border and (not is_joint(b) or can_rotate(b)))
    blocks = (*singles, *border, *chain)
    if not blocks:
        return None
    rest = inner.without(blocks)
    terms = tuple(t for unit in units_of(inner, blocks) for p in unit.places for t in p.predictor(rest).terms)
    columns = None if reads_rows(rest, frame) else linear_columns(rest, terms, frame)
    linear = columns is not None and columns <= MOST_COLUMNS
    if exact is not None and exact.likelihood == "sums" and not linear:
        return None
    return Transport(inner, exact, chain, border, singles, linear)


def better_together(exact: Elimination) -> bool:
    """Whether effects of the mean, which could be integrated out, are better transported with those of other predictors."""
    return not exact.curves and any(_able(b, exact.rest) and not in_mean(b) for b in exact.rest.blocks)


def is_joint(block: GroupBlock) -> bool:
    """Whether its levels depend on each other: rows belong to several, or their prior correlates them."""
    return block.grouping.is_mm or block.grouping.cov is not None


def can_rotate(block: GroupBlock) -> bool:
    """Whether the law of all its effects is diagonal after one rotation, whatever the parameters; found again at every expansion."""
    group = block.grouping
    return len(block.coefs) == 1 and group.dist == "gaussian" and not group.by_name and size_of(block) <= MOST_ROTATED


def _able(block: GroupBlock, model: Model) -> bool:
    """Whether a block can be transported."""
    group = block.grouping
    if group.weight_name or group.n_levels != len(group.levels):
        return False
    homes = [p for r in model.responses for p in r.predictors if any(e.block.key == block.key for e in p.effects())]
    return all(t.stage == 0 for p in homes for t in p.terms)


def _chain(model: Model, able: list[GroupBlock], frame: Frame) -> tuple[GroupBlock, ...]:
    """The largest block whose rows have one level each, and those around it."""
    single = [b for b in able if not is_joint(b)]
    if not single:
        return ()
    frames = frames_of(model, units_of(model, tuple(single)), frame)
    return chain_of(single[0], single, lambda block: np.concatenate([block.grouping.codes(rows) for rows in frames]))


def _border(chain: tuple[GroupBlock, ...], left: list[GroupBlock]) -> tuple[GroupBlock, ...]:
    """The smallest of the other blocks, as many as may be joined to the chain."""
    if max((len(b.coefs) for b in chain), default=0) > SMALL:
        return ()
    out: list[GroupBlock] = []
    room = min(MOST_BORDER, MOST_COUPLINGS // max(sum(size_of(b) for b in chain), 1))
    for block in reversed(left):
        if not chain and can_rotate(block):
            continue
        room -= size_of(block)
        if room < 0:
            break
        out.append(block)
    return tuple(out)
