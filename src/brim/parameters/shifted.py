"""Standard deviations and correlations of effects, from those of the same effects with columns measured from near their means.

An intercept and the slope of a column far from 0 are correlated by nearly -1, though nothing is odd about the intercept at the column's
mean. With ``r'_0 = r_0 + sum_j c_j r_j`` (all else the same), ``r' = T r``, what is sampled are the standard deviations and correlations of
``r'``; those of ``r``, which have the priors, follow from ``Sigma = T^-1 Sigma' T^-T``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

__all__ = ["Shift"]


@dataclass(frozen=True)
class Shift:
    """What takes correlated effects to where their columns are measured from: hashable, of rounded numbers, so that programs are shared.

    Attributes
    ----------
    scales
        The parameter of their standard deviations (..., k), beside that of the Cholesky factor of their correlations (..., k, k).
    by
        ``(i, j, c)``: ``c`` times the effect ``j`` is added to the effect ``i``.
    """

    scales: str
    by: tuple[tuple[int, int, float], ...]

    def _matrix(self, k: int, sign: float) -> np.ndarray:
        """``T`` or, with sign -1, its inverse: an effect that others are added to is added to none."""
        out = np.eye(k)
        for i, j, c in self.by:
            out[i, j] = sign * c
        return out

    def back(self, sd: Any, low: Any) -> tuple[Any, Any]:
        """``sd`` and ``low`` of the effects ``r`` -> those of ``r'``."""
        return _turned(self._matrix(sd.shape[-1], 1.0), sd, low)

    def follow(self, sd: Any, low: Any) -> tuple[Any, Any, Any]:
        """``sd`` and ``low`` of ``r'`` -> those of ``r``, and the log absolute Jacobian determinant.

        ``|d Sigma / d (sd, low)|`` is ``prod_i sd_i^k low_ii^(k - i)`` times a constant (``low`` by its elements below the diagonal), and
        ``|d Sigma / d Sigma'|`` is 1.
        """
        one, two = _turned(self._matrix(sd.shape[-1], -1.0), sd, low)
        return one, two, _log_volume(sd, low) - _log_volume(one, two)


def _log_volume(sd: Any, low: Any) -> Any:
    k = sd.shape[-1]
    return k * jnp.sum(jnp.log(sd)) + jnp.sum(np.arange(k - 1, 0, -1.0) * jnp.log(jnp.diagonal(low, axis1=-2, axis2=-1)[..., :-1]))


def _turned(matrix: np.ndarray, sd: Any, low: Any) -> tuple[Any, Any]:
    """Standard deviations and Cholesky factor of correlations of ``matrix r``.

    The triangular factor of ``matrix diag(sd) low`` itself: in its product with its transpose a correlation of ``-1 + 1e-17`` is -1.
    """
    k = len(matrix)
    rows = [sum(matrix[i, j] * sd[..., j, None] * low[..., j, :] for j in range(k) if matrix[i, j]) for i in range(k)]
    ways: list[Any] = []
    out = []
    for i, row in enumerate(rows):
        parts = []
        for way in ways:
            share = jnp.sum(row * way, axis=-1)
            row = row - share[..., None] * way
            parts.append(share)
        rest = jnp.sqrt(jnp.sum(row * row, axis=-1))
        ways.append(row / rest[..., None])
        out.append(jnp.stack([*parts, rest, *[jnp.zeros_like(rest)] * (k - 1 - i)], axis=-1))
    factor = jnp.stack(out, axis=-2)
    size = jnp.sqrt(jnp.sum(factor * factor, axis=-1))
    return size, factor / size[..., None]
