"""Covariances of the effects of one term, over ``sigma^2``: ``Lambda(theta) Lambda(theta)'``.

``theta`` is free in all of R^m: a change of sign of a column of ``Lambda`` leaves the covariance as it is, so the criterion is smooth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from scipy.linalg import solve_triangular

__all__ = ["STRUCTURES", "AbstractStructure"]

Array = np.ndarray


class AbstractStructure(ABC):
    """What ``us(x | g)`` and its like say of the covariance of k effects."""

    #: Whether the columns of the term may be scaled one by one.
    scalable: bool = True
    #: Whether one number gives all correlations: ``theta`` holds standard deviations, then that one.
    tied: bool = False

    @abstractmethod
    def start(self, k: int) -> Array:
        """Effects that vary as the residual does, without correlation."""

    @abstractmethod
    def loading(self, theta: Array, k: int) -> Array:
        """``Lambda`` (k, k), lower triangular."""

    @abstractmethod
    def slopes(self, theta: Array, k: int) -> Array:
        """d ``Lambda`` / d ``theta``, (m, k, k)."""

    def sds(self, k: int) -> tuple[int, ...]:
        """The places in ``theta`` that end at zero where a fit is singular."""
        return tuple(range(k))

    def reported(self, theta: Array, k: int) -> Array:
        """``theta`` with the signs that are reported: a diagonal that is not negative."""
        return np.abs(theta)

    def lower(self, k: int) -> float:
        """The least correlation."""
        return -1.0

    def parameter(self, rho: float, k: int) -> float:
        """The last of ``theta`` that gives the first two effects the correlation ``rho``, of tied structures."""
        raise NotImplementedError

    def scaled(self, theta: Array, scale: Array) -> Array:
        """``theta`` when row j of ``Lambda`` is multiplied by ``scale[j]``."""
        return theta * scale


@final
@dataclass(frozen=True)
class Unstructured(AbstractStructure):
    """``us``: any covariance. ``theta`` is the lower triangle of ``Lambda`` by columns, as in lme4."""

    def start(self, k: int) -> Array:
        return np.eye(k)[_lower(k)]

    def loading(self, theta: Array, k: int) -> Array:
        out = np.zeros((k, k))
        out[_lower(k)] = theta
        return out

    def slopes(self, theta: Array, k: int) -> Array:
        rows, columns = _lower(k)
        out = np.zeros((len(rows), k, k))
        out[np.arange(len(rows)), rows, columns] = 1.0
        return out

    def sds(self, k: int) -> tuple[int, ...]:
        rows, columns = _lower(k)
        return tuple(np.flatnonzero(rows == columns).tolist())

    def reported(self, theta: Array, k: int) -> Array:
        low = self.loading(theta, k)
        return (low * np.where(np.diag(low) < 0, -1.0, 1.0))[_lower(k)]

    def scaled(self, theta: Array, scale: Array) -> Array:
        return theta * scale[_lower(len(scale))[0]]


@final
@dataclass(frozen=True)
class Diagonal(AbstractStructure):
    """``diag``: independent effects, each with its own standard deviation."""

    def start(self, k: int) -> Array:
        return np.ones(k)

    def loading(self, theta: Array, k: int) -> Array:
        return np.diag(theta)

    def slopes(self, theta: Array, k: int) -> Array:
        out = np.zeros((k, k, k))
        out[range(k), range(k), range(k)] = 1.0
        return out


class AbstractCorrelation(AbstractStructure):
    """Standard deviations, then one number that gives all correlations."""

    scalable = False
    tied = True

    @abstractmethod
    def correlation(self, r: float, k: int) -> tuple[Array, Array]:
        """The correlations (k, k) and their slopes; 0 for none."""

    @abstractmethod
    def spread(self, theta: Array, k: int) -> tuple[Array, Array]:
        """Standard deviations (k,) and their slopes (m - 1, k)."""

    def loading(self, theta: Array, k: int) -> Array:
        return self.spread(theta, k)[0][:, None] * _cholesky(self.correlation(theta[-1], k)[0])

    def slopes(self, theta: Array, k: int) -> Array:
        sd, each = self.spread(theta, k)
        r, slope = self.correlation(theta[-1], k)
        low = _cholesky(r)
        inner = solve_triangular(low, solve_triangular(low, slope, lower=True).T, lower=True)
        turn = low @ (np.tril(inner, -1) + 0.5 * np.diag(np.diag(inner)))
        return np.concatenate([each[:, :, None] * low, (sd[:, None] * turn)[None]])

    def reported(self, theta: Array, k: int) -> Array:
        return np.append(np.abs(theta[:-1]), theta[-1])

    def scaled(self, theta: Array, scale: Array) -> Array:
        return np.append(theta[:-1] * scale[0], theta[-1])


@final
@dataclass(frozen=True)
class CompoundSymmetry(AbstractCorrelation):
    """``cs``: one correlation for all pairs, between -1/(k - 1) and 1; a standard deviation each."""

    def start(self, k: int) -> Array:
        return np.append(np.ones(k), 0.0)

    def lower(self, k: int) -> float:
        return -1.0 / max(k - 1, 1)

    def parameter(self, rho: float, k: int) -> float:
        low = self.lower(k)
        return float(np.log((rho - low) / (1.0 - rho)) - np.log(-low))

    def spread(self, theta: Array, k: int) -> tuple[Array, Array]:
        return theta[:k], np.eye(k)

    def correlation(self, r: float, k: int) -> tuple[Array, Array]:
        low = self.lower(k)
        shift = np.log(-low)  # r = 0 is a correlation of 0
        p = 1.0 / (1.0 + np.exp(-(r + shift)))
        rho, slope = low + (1.0 - low) * p, (1.0 - low) * p * (1.0 - p)
        off = 1.0 - np.eye(k)
        return np.eye(k) + rho * off, slope * off


@final
@dataclass(frozen=True)
class Autoregressive(AbstractCorrelation):
    """``ar1``: the correlation ``rho^|i - j|`` of effects i and j, one standard deviation."""

    def start(self, k: int) -> Array:
        return np.array([1.0, 0.0])

    def sds(self, k: int) -> tuple[int, ...]:
        return (0,)

    def parameter(self, rho: float, k: int) -> float:
        return float(rho / np.sqrt(1.0 - rho * rho))

    def spread(self, theta: Array, k: int) -> tuple[Array, Array]:
        return np.full(k, theta[0]), np.ones((1, k))

    def correlation(self, r: float, k: int) -> tuple[Array, Array]:
        rho, slope = r / np.sqrt(1.0 + r * r), (1.0 + r * r) ** -1.5
        lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        return rho**lag, slope * lag * rho ** np.maximum(lag - 1, 0)


STRUCTURES: Mapping[str, AbstractStructure] = {
    "us": Unstructured(),
    "diag": Diagonal(),
    "cs": CompoundSymmetry(),
    "ar1": Autoregressive(),
}


@lru_cache(maxsize=64)  # asked for at every evaluation of a criterion
def _lower(k: int) -> tuple[Array, Array]:
    """Rows and columns of a lower triangle, by columns."""
    columns, rows = np.triu_indices(k)
    return rows, columns


def _cholesky(r: Array) -> Array:
    return np.linalg.cholesky(r + 1e-14 * np.eye(len(r)))
