"""Tensor products of marginal smooths: ``t2`` (Wood, Scheipl and Faraway 2013), and ``te``, ``ti`` with their own penalties."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Self, final

import numpy as np

from brim.design.splines.basis import AbstractBasis, columns_of_null, in_blocks, null_basis, oriented, split
from brim.design.splines.mixed import AbstractSmooth
from brim.errors import BrimError

__all__ = ["SeparateTensor", "Summed", "TensorMargin"]


@final
@dataclass(frozen=True)
class TensorMargin:
    """The basis of some of the covariates, ``columns``, with ``maps`` to penalised functions and, after them, unpenalised ones."""

    basis: AbstractBasis
    columns: tuple[int, ...]
    maps: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    rank: int = 0
    values: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))
    rows: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))

    def functions(self, x: np.ndarray) -> np.ndarray:
        return self.basis.matrix(x[:, list(self.columns)]) @ self.maps

    @property
    def size(self) -> int:
        return self.maps.shape[1]

    def learn(self, x: np.ndarray, centred: bool = False, values_at_points: bool = False) -> TensorMargin:
        """Orthonormal eigenvectors of the penalty.

        ``values`` are the eigenvalues divided by ``|S|_1``; ``rows`` the training rows' sums of sizes in the basis as given.
        """
        mine = x[:, list(self.columns)]
        basis, design = self.basis.learned(mine)
        penalty = basis.penalty
        space = columns_of_null(design.mean(axis=0)) if centred else np.eye(len(penalty))
        if values_at_points and basis.by_values:
            points = np.linspace(mine.min(), mine.max(), space.shape[1])[:, None]
            space = space @ np.linalg.inv(basis.matrix(points) @ space)
        rank = min(basis.rank, space.shape[1])
        design, penalty = design @ space, space.T @ penalty @ space
        values, range_, null = split(penalty, rank)
        range_ = range_ * oriented(design @ range_, mine)
        null = null_basis(null)
        maps = space @ np.hstack([range_, null * oriented(design @ null, mine)])
        values, rows = values / np.abs(penalty).sum(axis=0).max(), np.abs(design).sum(axis=1)
        return replace(self, basis=basis, maps=maps, rank=rank, values=values, rows=rows)

    def scaled(self, x: np.ndarray) -> TensorMargin:
        """Penalised functions with a penalty of one each, and both parts scaled to a mean square of one.

        Unpenalised functions are made of one size, and turned to their principal axes about the mean, the constant first.
        """
        range_, null = self.maps[:, : self.rank] / np.sqrt(self.values), self.maps[:, self.rank :]
        functions = self.functions(x)[:, self.rank :]
        size = np.linalg.norm(functions, axis=0)
        null, functions = null / size, functions / size
        axes = np.linalg.eigh((functions - functions.mean(axis=0)).T @ functions)[1]
        null = null @ axes * oriented(functions @ axes, x[:, list(self.columns)])
        maps = np.hstack([range_, null])
        design = replace(self, maps=maps).functions(x)
        for part in (slice(0, self.rank), slice(self.rank, self.size)):
            if design[:, part].size:
                maps[:, part] /= np.sqrt(np.mean(design[:, part] ** 2))
        return replace(self, maps=maps)


def _products(margins: tuple[TensorMargin, ...], x: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Products of marginal functions; ``which (columns, margins)`` says of which."""
    out = np.ones((len(x), len(which)))
    for j, margin in enumerate(margins):
        out *= margin.functions(x)[:, which[:, j]]
    return out


def _blocks(margins: tuple[TensorMargin, ...], full: bool) -> list[tuple[int, np.ndarray]]:
    """Groups of products that share a penalty, each with its number of penalised margins.

    The first margin's part (penalised, unpenalised) runs fastest over groups, its functions slowest within a group. With
    ``full`` every unpenalised function makes a group of its own.
    """
    groups: list[tuple[int, list[np.ndarray]]] = [(0, [])]
    for margin in margins:
        free = np.arange(margin.rank, margin.size)
        parts = [(1, np.arange(margin.rank))] if margin.rank else []
        frees = [(0, free[i : i + 1]) for i in range(len(free))] if full else [(0, free)] if len(free) else []
        grown = [(order + 1, [*made, part]) for _, part in parts for order, made in groups]
        grown += [(order, [*made, part]) for order, made in groups for _, part in frees]
        groups = grown
    return [(order, np.array(list(itertools.product(*made)), dtype=int)) for order, made in groups]


@final
@dataclass(frozen=True)
class SeparateTensor(AbstractSmooth):
    """``t2``: products of penalised and unpenalised marginal functions, each group with a standard deviation of its own.

    Products of unpenalised functions only have no penalty, and are made to sum to zero over the training rows. All columns with a
    penalty are divided by ``|X|_inf`` of the whole design. ``orders``: keep only groups with so many penalised margins.
    """

    margins: tuple[TensorMargin, ...] = field(compare=False)
    full: bool = False
    orders: tuple[int, ...] | None = None
    constrain: bool = True
    sizes: tuple[int, ...] = ()
    n_fixed: int = 0
    which: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0), int))
    free: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    scale: float = field(compare=False, default=1.0)

    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        margins = tuple(m.learn(x).scaled(x) for m in self.margins)
        groups = [(o, w) for o, w in _blocks(margins, self.full) if self.orders is None or o in self.orders]
        free = [w for o, w in groups if o == 0]
        penalised = [w for o, w in groups if o > 0]
        which = np.vstack([*free, *penalised])
        design = _products(margins, x, which)
        n_free = sum(map(len, free))
        total = design[:, :n_free].mean(axis=0)
        maps = columns_of_null(total) if n_free and self.constrain else np.eye(n_free)
        return replace(
            self,
            margins=margins,
            sizes=tuple(map(len, penalised)),
            n_fixed=maps.shape[1],
            which=which,
            free=maps,
            scale=float(np.abs(design).sum(axis=1).max()),
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """mgcv's names of the groups: which margins are penalised (``"rn"``), ``""`` for the unpenalised products."""
        names = [""]
        for margin in self.margins:
            names = [name + "r" for name in names if margin.rank] + [name + "n" for name in names if margin.rank < margin.size]
        kept = [name for name in names if self.orders is None or name.count("r") in self.orders]
        return (*(name for name in kept if "r" in name), *([""] if self.n_fixed else []))

    def columns(self, x: np.ndarray) -> np.ndarray:
        def part(rows: np.ndarray) -> np.ndarray:
            design = _products(self.margins, rows, self.which)
            n = len(self.free)
            return np.hstack([design[:, :n] @ self.free, design[:, n:] / self.scale])

        return in_blocks(part, x)


@final
@dataclass(frozen=True)
class Summed(AbstractSmooth):
    """``te`` and ``ti``: the penalty is ``sum_j S_j / sds_j^2``, with ``S_j`` that of margin ``j`` in all the other margins.

    The ``S_j`` commute: products of the margins' eigenvectors diagonalise all of them at once, so that coefficient ``q`` has the
    precision ``sum_j D_qj / sds_j^2``. ``interaction`` (``ti``) takes main effects out by centring every margin.
    """

    margins: tuple[TensorMargin, ...] = field(compare=False)
    interaction: bool = False
    constrain: bool = True
    sizes: tuple[int, ...] = ()
    n_fixed: int = 0
    n_margins: int = 0
    which: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0), int))
    free: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    means: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))
    weights: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        margins = tuple(m.learn(x, self.interaction, values_at_points=True) for m in self.margins)
        which = np.array(list(itertools.product(*(range(m.size) for m in margins))), dtype=int)
        values = [np.r_[m.values, np.zeros(m.size - m.rank)] for m in margins]
        weights = np.stack([v[which[:, j]] for j, v in enumerate(values)], axis=1)
        is_free = ~weights.any(axis=1)
        which, weights = np.vstack([which[is_free], which[~is_free]]), weights[~is_free]
        if not is_free.any() and self.constrain and not self.interaction:
            # summing to zero would couple all coefficients
            raise BrimError("te() needs margins that leave a function without penalty", hint="use t2(), or another bs")
        design = _products(margins, x, which)
        scale = np.prod([m.rows for m in margins], axis=0).max() ** 2
        n_free = int(is_free.sum())
        means = design.mean(axis=0) if self.constrain and not self.interaction else np.zeros(len(which))
        space = columns_of_null(means[:n_free]) if n_free and means[:n_free].any() else np.eye(n_free)
        return replace(
            self,
            margins=margins,
            sizes=(len(weights),),
            n_fixed=space.shape[1],
            n_margins=len(margins),
            which=which,
            free=space,
            means=means,
            weights=weights * scale,
        )

    def columns(self, x: np.ndarray) -> np.ndarray:
        def part(rows: np.ndarray) -> np.ndarray:
            design = _products(self.margins, rows, self.which) - self.means
            n = len(self.free)
            return np.hstack([design[:, :n] @ self.free, design[:, n:]])

        return in_blocks(part, x)

    @property
    def precision(self) -> np.ndarray | None:
        return self.weights

    @property
    def n_sds(self) -> int:
        return self.n_margins
