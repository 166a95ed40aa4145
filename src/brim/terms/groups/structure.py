"""Correlations of a level's effects that one number gives: ``gr(g, cov = "ar1")`` and ``gr(g, cov = "cs")``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

__all__ = ["STRUCTURES", "AbstractStructure"]


class AbstractStructure(ABC):
    """The correlation matrix of k effects as a function of ``rho``."""

    #: What the formula calls it, and what brms calls the parameter in its residual structures.
    name: ClassVar[str]
    class_: ClassVar[str]
    #: Whether all effects have one standard deviation.
    one_sd: ClassVar[bool]

    @abstractmethod
    def lower(self, k: int) -> float:
        """The least ``rho`` of k effects; the greatest is 1."""

    @abstractmethod
    def root(self, rho: Any, k: int) -> Any:
        """The Cholesky factor of the correlations, (k, k)."""

    @abstractmethod
    def correlations(self, rho: np.ndarray, k: int) -> np.ndarray:
        """The correlations for draws (n,) of ``rho``, (n, k, k)."""


@final
@dataclass(frozen=True)
class Autoregressive(AbstractStructure):
    """``rho^|i - j|`` of effects i and j in the order of the coefficients, with one standard deviation.

    Its root has ``rho^i`` in the first column and ``rho^(i - j) sqrt(1 - rho^2)`` in the others.

    Examples
    --------
    >>> low = np.asarray(Autoregressive().root(0.5, 3))
    >>> (low @ low.T).round(6).tolist()
    [[1.0, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 1.0]]
    """

    name: ClassVar[str] = "ar1"
    class_: ClassVar[str] = "ar"
    one_sd: ClassVar[bool] = True

    def lower(self, k: int) -> float:
        return -1.0

    def root(self, rho: Any, k: int) -> Any:
        lag = np.subtract.outer(np.arange(k), np.arange(k))
        # powers by products: the slope of 0^0 is none
        powers = jnp.concatenate([jnp.ones(1), jnp.cumprod(jnp.full(k - 1, rho))])
        ends = jnp.where(np.arange(k) == 0, 1.0, jnp.sqrt((1.0 - rho) * (1.0 + rho)))
        return jnp.tril(powers[np.maximum(lag, 0)]) * ends

    def correlations(self, rho: np.ndarray, k: int) -> np.ndarray:
        lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        return rho[:, None, None] ** lag


@final
@dataclass(frozen=True)
class CompoundSymmetry(AbstractStructure):
    """``rho`` for every pair, above ``-1 / (k - 1)``; a standard deviation for each effect.

    Examples
    --------
    >>> low = np.asarray(CompoundSymmetry().root(-0.25, 3))
    >>> (low @ low.T).round(6).tolist()
    [[1.0, -0.25, -0.25], [-0.25, 1.0, -0.25], [-0.25, -0.25, 1.0]]
    """

    name: ClassVar[str] = "cs"
    class_: ClassVar[str] = "cosy"
    one_sd: ClassVar[bool] = False

    def lower(self, k: int) -> float:
        return -1.0 / (k - 1)

    def root(self, rho: Any, k: int) -> Any:
        # column j has one number below its diagonal: s_j = (1 - rho) / (1 + (j - 1) rho) is what row j has left there
        j = np.arange(k)
        left = (1.0 - rho) * (1.0 + j * rho) / (1.0 + (j - 1.0) * rho)
        ends = jnp.sqrt(jnp.where(j == 0, 1.0, left))
        below = jnp.where(j == 0, rho, rho * (1.0 - rho) / (1.0 + (j - 1.0) * rho)) / ends
        return jnp.diag(ends) + jnp.tril(jnp.broadcast_to(below, (k, k)), -1)

    def correlations(self, rho: np.ndarray, k: int) -> np.ndarray:
        eye = np.eye(k)
        return eye + rho[:, None, None] * (1.0 - eye)


STRUCTURES: Mapping[str, AbstractStructure] = {s.name: s for s in (Autoregressive(), CompoundSymmetry())}
