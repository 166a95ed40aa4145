"""Bases made of functions around knots, reduced to the ``k`` directions of largest eigenvalue: what ``ds``, ``gp`` and ``sos`` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, dimension, in_blocks
from brim.design.splines.places import MAX_KNOTS, places, reduced, turned

__all__ = ["AbstractKernel", "Radial", "read_radial"]


class AbstractKernel(ABC):
    """Functions of two places, and those of one place that have no penalty. Every subclass is a final frozen dataclass."""

    def learn(self, knots: np.ndarray) -> Self:
        """Scales from the knots ``(n, d)``."""
        return self

    @abstractmethod
    def between(self, at: np.ndarray, knots: np.ndarray) -> np.ndarray:
        """``E(at, knots)``, one row a place."""

    @abstractmethod
    def free(self, at: np.ndarray) -> np.ndarray:
        """``T(at)``, the functions without penalty as columns."""

    @property
    @abstractmethod
    def bend(self) -> bool:
        """Whether coefficients of ``E`` are kept orthogonal to ``T`` at the knots (needed unless ``E`` is positive definite)."""

    @property
    def centred(self) -> bool:
        """Whether the mean of the covariates is taken off."""
        return True

    @property
    def even(self) -> bool:
        """Whether columns are divided by their standard deviations (the constant is not)."""
        return False


@final
@dataclass(frozen=True)
class Radial(AbstractBasis):
    """``f(x) = E(x, knots) U b + T(x) a`` with the penalty ``b' D b``.

    ``D`` are the eigenvalues of ``E(knots, knots)`` largest in size, ``U`` their eigenvectors. Where the kernel bends, ``k`` of them are
    taken and turned into the directions ``Z`` with ``T' U Z = 0``: functions ``E U Z b``, penalty ``b' Z' D Z b``. Else as many are
    taken as ``T`` leaves of ``k``.

    Attributes
    ----------
    kernel
        ``E`` and ``T``.
    k
        Dimension, ``T`` included; ``None``: ``T`` and ``default`` more.
    given
        Knots of each covariate, empty for all distinct covariates, or a sample of ``most`` of them drawn with ``seed``.
    """

    kernel: AbstractKernel
    k: int | None = None
    default: int = 10
    given: tuple[np.ndarray, ...] = field(compare=False, default=())
    most: int = MAX_KNOTS
    seed: int = 1
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    shift: Any = field(compare=False, repr=False, default=0.0)
    coefs: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    scales: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))
    roughness: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def learn(self, x: np.ndarray) -> Self:
        return self.learned(x)[0]

    def learned(self, x: np.ndarray) -> tuple[Self, np.ndarray]:
        shift = x.mean(axis=0) if self.kernel.centred else np.zeros(x.shape[1])
        m = self.kernel.free(x[:1]).shape[1]
        k = dimension(self.k or m + self.default, m + 1, x)
        knots = places(x, self.given, self.most, self.seed, k if self.kernel.bend else k - m) - shift
        kernel = self.kernel.learn(knots)
        coefs, rough = _reduced(kernel, knots, k)
        whole = np.zeros((k, k))
        whole[: len(rough), : len(rough)] = rough
        made = replace(self, kernel=kernel, knots=knots, shift=shift, coefs=coefs, roughness=whole, scales=np.ones(k))
        design = made.matrix(x)
        if not kernel.even:
            return made, design
        scales = np.std(design, axis=0, ddof=1)
        scales = 1 / np.where(scales == scales.min(), 1.0, scales)
        return replace(made, scales=scales, roughness=whole * np.outer(scales, scales)), design * scales

    def matrix(self, x: np.ndarray) -> np.ndarray:
        def part(rows: np.ndarray) -> np.ndarray:
            at = rows - self.shift
            return np.hstack([self.kernel.between(at, self.knots) @ self.coefs, self.kernel.free(at)]) * self.scales

        return in_blocks(part, x)

    def product(self, x: np.ndarray, maps: np.ndarray) -> np.ndarray:
        at, maps = x - self.shift, self.scales[:, None] * maps
        return self.kernel.between(at, self.knots) @ (self.coefs @ maps[: self.rank]) + self.kernel.free(at) @ maps[self.rank :]

    @property
    def penalty(self) -> np.ndarray:
        return self.roughness

    @property
    def rank(self) -> int:
        return self.coefs.shape[1]

    @property
    def by_values(self) -> bool:
        return self.knots.shape[1] == 1


def _reduced(kernel: AbstractKernel, knots: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the radial functions (knots, columns), and the penalty between the columns."""
    whole, free = kernel.between(knots, knots), kernel.free(knots)
    n = k if kernel.bend else k - free.shape[1]
    vectors, rough = reduced(whole, n)
    if not kernel.bend:
        return vectors, np.diag(rough) if rough.ndim == 1 else rough
    # backwards, which decides how the constraint is absorbed: as in mgcv
    vectors, rough = vectors[:, ::-1], rough[::-1] if rough.ndim == 1 else rough[::-1, ::-1]
    null = np.linalg.qr(vectors.T @ free, mode="complete")[0][:, free.shape[1] :]
    return vectors @ null, turned(rough, null)


def read_radial(asked: Asked, kernel: AbstractKernel, default: int) -> Radial:
    """The basis that a smooth asks for, with ``xt = list(max.knots = , seed = )``."""
    asked.takes("max.knots", "seed")
    asked.numeric()
    return Radial(kernel, asked.k, default, asked.knots, *asked.places())
