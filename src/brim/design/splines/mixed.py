"""The mixed-model form of a smooth: ``f = X_s b_s + sum_j Z_j s_j`` with ``s_j ~ normal(0, sds_j^2)`` and ``b_s`` unpenalised.

This is how brms samples smooths. The kernels ``Z_j Z_j'`` and the space of ``X_s`` are mgcv's; signs of columns, and the rotation
of several unpenalised ones, are not determined there, and are chosen here so that functions rise with the first covariate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, final

import numpy as np

from brim.design.splines.basis import AbstractBasis, columns_of_null, in_blocks, oriented, split

__all__ = ["AbstractSmooth", "Curves", "Single", "natural_null"]


class AbstractSmooth(ABC):
    """A smooth in mixed-model form: columns without penalty, and penalised ones with their standard deviations.

    Every subclass is a final frozen dataclass; ``sizes`` and ``n_fixed`` are structure, everything else is learned.
    """

    sizes: tuple[int, ...]
    n_fixed: int
    #: whether a factor's levels are listed backwards, as mgcv's mixed-model form of ``bs = "re"`` does
    backwards: ClassVar[bool] = False

    @abstractmethod
    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        """The maps from basis to columns, from the training covariates.

        ``weight (n,)`` is what each row's columns are multiplied with (``by``; of several curves, in the first).
        """

    @abstractmethod
    def columns(self, x: np.ndarray) -> np.ndarray:
        """``[X_s, Z_1, Z_2, ...]`` at any covariates, ``(n, n_fixed + sum(sizes))``."""

    def fixed_columns(self, x: np.ndarray) -> np.ndarray:
        """``X_s`` alone."""
        return self.columns(x)[:, : self.n_fixed]

    @property
    def over(self) -> tuple[int, ...]:
        """The covariates that are factors over whose levels the coefficients run; the basis does not have them as arguments."""
        return ()

    @property
    def precision(self) -> np.ndarray | None:
        """``D (sum(sizes), m)`` if coefficient ``q`` has the precision ``sum_j D_qj / sds_j^2``; ``None`` if each has one ``sds``."""
        return None

    @property
    def n_sds(self) -> int:
        """Number of standard deviations."""
        return len(self.sizes)


def natural_null(functions: np.ndarray, x: np.ndarray, constant: bool) -> np.ndarray:
    """The rotation of unpenalised functions that puts the constant first (where there is one), then the trend of each covariate."""
    p = functions.shape[1]
    wanted = np.column_stack([np.ones(len(x)), x] if constant else [x - x.mean(axis=0)])
    coefs = np.linalg.lstsq(functions, wanted, rcond=None)[0]
    kept = np.linalg.norm(functions @ coefs, axis=0) > 1e-6 * np.linalg.norm(wanted, axis=0)
    rotation, upper = np.linalg.qr(coefs[:, kept], mode="complete") if kept.any() else (np.eye(p), np.eye(0))
    m = min(upper.shape)
    rotation[:, :m] *= np.where(np.diag(upper) < 0, -1.0, 1.0)
    return rotation


@final
@dataclass(frozen=True)
class Single(AbstractSmooth):
    """One basis with one penalty: ``Z = X Q U D^(-1/2)`` from the eigenvectors of ``Q' S Q``, ``X_s = X Q N`` from its null space.

    ``S`` is scaled by ``|X|_inf^2 / |S|_1``; ``Q`` spans the coefficients whose function sums to zero over the training rows, or is
    zero at a ``point`` (``pc``).
    Unpenalised columns are scaled to the mean square of the penalised ones. ``fixed``: no penalty (``fx = TRUE``).
    """

    basis: AbstractBasis = field(compare=False)
    fixed: bool = False
    constrain: bool = True
    point: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()
    n_fixed: int = 0
    maps: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        basis, design = self.basis.learned(x)
        penalty = basis.penalty
        scale = np.abs(penalty).sum(axis=0).max() / np.abs(design).sum(axis=1).max() ** 2
        centred = basis.centred and self.constrain
        total = basis.matrix(np.array([self.point]))[0] if self.point else design.mean(axis=0)
        space = columns_of_null(total) if centred or self.point else np.eye(len(penalty))
        rank = min(basis.rank, space.shape[1])
        values, range_, null = split(space.T @ penalty @ space / scale, rank)
        penalised = space @ (range_ / np.sqrt(values))[:, mgcv_order(rank, null.shape[1])]
        penalised = penalised * oriented(design @ penalised, x)
        free = space @ null
        if free.shape[1]:
            free = free @ natural_null(design @ free, x, not (centred or self.point))
            free = free * np.sqrt(np.mean(weight**2 @ (design @ penalised) ** 2) / (weight**2 @ (design @ free) ** 2))
        maps = np.hstack([free, penalised])
        if self.fixed:
            return replace(self, basis=basis, n_fixed=maps.shape[1], maps=maps)
        return replace(self, basis=basis, sizes=(rank,), n_fixed=free.shape[1], maps=maps)

    def columns(self, x: np.ndarray) -> np.ndarray:
        return in_blocks(lambda rows: self.basis.matrix(rows) @ self.maps, x)

    def fixed_columns(self, x: np.ndarray) -> np.ndarray:
        return in_blocks(lambda rows: self.basis.product(rows, self.maps[:, : self.n_fixed]), x)


def mgcv_order(rank: int, nullity: int) -> np.ndarray:
    """The order in which mgcv's mixed-model form lists the penalised columns, as positions among descending eigenvalues."""
    first = min(rank, nullity)
    return np.r_[np.arange(first)[::-1], np.arange(first, rank)[::-1]].astype(int)


@final
@dataclass(frozen=True)
class Curves(AbstractSmooth):
    """One curve for each level of a factor, all with the same variances (``bs = "fs"``): the columns of one curve.

    Range and null space of the penalty are orthogonal over the training rows; each unpenalised function (constant, trend) has a
    standard deviation of its own. mgcv leaves the rotation of these to rounding, and with it a common factor of all columns.
    """

    basis: AbstractBasis = field(compare=False)
    over: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    n_fixed: int = 0
    maps: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def learn(self, x: np.ndarray, weight: np.ndarray) -> Self:
        basis, design = self.basis.learned(x)
        orthogonal, upper = np.linalg.qr(design)
        half = np.linalg.solve(upper.T, basis.penalty)
        values, range_, null = split(np.linalg.solve(upper.T, half.T), basis.rank)
        n = len(x)
        penalised = range_ / np.sqrt(values) * np.sqrt(n * len(values) / np.sum(1 / values))
        if null.shape[1]:
            null = null @ natural_null(orthogonal @ null, x, True) * np.sqrt(n)
        functions = orthogonal @ np.hstack([penalised, null])
        signs = np.r_[oriented(functions[:, : len(values)], x), np.ones(null.shape[1])]
        maps = np.linalg.solve(upper, np.hstack([penalised, null]) * signs)
        return replace(self, basis=basis, sizes=(len(values), *(1,) * null.shape[1]), maps=maps / np.abs(functions).sum(axis=1).max())

    def columns(self, x: np.ndarray) -> np.ndarray:
        return in_blocks(lambda rows: self.basis.matrix(rows) @ self.maps, x)
