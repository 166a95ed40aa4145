"""Smooth functions of few ratios, known at some points: polynomials in place of a factorisation at every gradient.

The integral over the effects of crossed factors depends on the other parameters through few numbers: the ratios ``u`` of loadings to
``sigma``, in logarithms. As a function of these ``log det A`` and ``S``, the products ``V'V`` of residual and columns that the effects
leave, are analytic in the strip ``|Im u| < pi / 2``: on a box of half-width ``h`` a polynomial of degree ``r`` is within about
``rho^-r`` of them, ``rho = (b + sqrt(b^2 + h^2)) / h`` with ``b = pi / 2``. Wide sides have high degrees, narrow ones low degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["MOST_TERMS", "Surface", "degrees", "evaluate", "fitted", "nothing"]

MOST_TERMS = 300  # of a polynomial
MOST_DEGREE = 40
POINTS = 2  # for each term
_OUTSIDE = 200.0  # what a unit outside the box costs, squared


class Surface(NamedTuple):
    """Polynomials in the coordinates ``x = (u - center) / half`` of a box.

    Attributes
    ----------
    center, half
        Of the box, (d,).
    powers
        Degrees of each term's Chebyshev polynomials, (MOST_TERMS, d).
    factors
        Of each term in ``log det A`` and each element of ``S``, (MOST_TERMS, 1 + (1 + p)^2); zeros behind the last term.
    """

    center: Any
    half: Any
    powers: Any
    factors: Any


def nothing(d: int, forms: int) -> Surface:
    """Zero everywhere."""
    return Surface(np.zeros(d), np.ones(d), np.zeros((MOST_TERMS, d), np.int32), np.zeros((MOST_TERMS, 1 + forms**2)))


def evaluate(surface: Surface, u: Any) -> tuple[Any, Any, Any]:
    """``log det A``, ``S`` (1 + p, 1 + p), and what the log density loses outside the box, where all stays as at its face."""
    x = (u - surface.center) / surface.half
    inside = jnp.clip(x, -1.0, 1.0)
    table = [jnp.ones_like(x), inside]
    for _ in range(MOST_DEGREE - 1):
        table.append(2.0 * inside * table[-1] - table[-2])
    chebyshev = jnp.stack(table)  # (degrees, d)
    terms = jnp.prod(chebyshev[surface.powers, jnp.arange(x.shape[0])], axis=1)
    values = terms @ surface.factors
    size = math.isqrt(values.shape[0] - 1)
    return values[0], values[1:].reshape(size, size), _OUTSIDE * jnp.sum(jnp.square(x - inside))


def degrees(half: np.ndarray, error: float) -> np.ndarray | None:
    """Degrees of the terms for this relative error on a box, (terms, d); ``None`` where they are too many."""
    b = 0.5 * math.pi
    rates = np.log((b + np.sqrt(b * b + half**2)) / half)
    room = math.log(1.0 / error)
    rows: list[list[int]] = [[]]
    for rate in rates:
        longer = []
        for row in rows:
            left = room - sum(k * r for k, r in zip(row, rates, strict=False))
            longer += [[*row, k] for k in range(int(left / rate) + 1)]
        rows = longer
        if len(rows) > MOST_TERMS:
            return None
    out = np.array(rows, np.int32)
    return out if out.max() <= MOST_DEGREE else None


def fitted(center: np.ndarray, half: np.ndarray, powers: np.ndarray, exact: Callable[[np.ndarray], np.ndarray], seed: int) -> Surface:
    """Least squares at points of a box that lie denser near its faces; ``exact (n, d) ->`` values (n, 1 + (1 + p)^2)."""
    import scipy

    n = POINTS * len(powers)
    with_all = scipy.stats.qmc.Sobol(len(center), seed=seed).random(2 ** math.ceil(math.log2(n)))[:n]
    x = np.cos(np.pi * with_all)
    values = exact(center + half * x)
    weight = np.prod(np.maximum(1.0 - x * x, 1e-12), axis=1) ** 0.25
    angles = np.arccos(x)
    design = np.prod(np.cos(powers[None] * angles[:, None]), axis=2)
    found = np.linalg.lstsq(weight[:, None] * design, weight[:, None] * values, rcond=None)[0]
    empty = nothing(len(center), math.isqrt(values.shape[1] - 1))
    all_powers, factors = empty.powers.copy(), empty.factors.copy()
    all_powers[: len(powers)], factors[: len(powers)] = powers, found
    return Surface(center, half, all_powers, factors)
