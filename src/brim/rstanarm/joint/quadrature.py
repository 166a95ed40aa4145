"""Gauss-Kronrod rules on [-1, 1], and nodes in intervals."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import legendre

from brim.errors import BrimError

__all__ = ["QNODES", "kronrod", "nodes_in"]

QNODES = (7, 11, 15)


@cache
def kronrod(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Kronrod rule with ``n = 2 m + 1`` points, exact for polynomials of degree ``3 m + 1``.

    The nodes are the roots of the Legendre polynomial ``P_m`` and of Stieltjes' ``E_{m+1}``, which is orthogonal to all polynomials of
    lower degree with the weight ``P_m`` (Kronrod 1965); the weights make the rule interpolatory.

    Examples
    --------
    >>> x, w = kronrod(7)
    >>> round(float(w @ x**10), 12), round(2 / 11, 12)
    (0.181818181818, 0.181818181818)
    """
    if n not in QNODES:
        raise BrimError(f"qnodes = {n}", hint=f"use one of {', '.join(map(str, QNODES))}")
    m = n // 2
    grid, mass = legendre.leggauss(2 * n)
    own = legendre.legval(grid, np.eye(m + 1)[m])
    basis = np.stack([legendre.legval(grid, np.eye(m + 2)[k]) for k in range(m + 2)])
    inner = (basis[: m + 1] * own * mass) @ basis.T  # (k, j): integral of P_m P_k P_j
    coefs = np.append(np.linalg.lstsq(inner[:, : m + 1], -inner[:, m + 1], rcond=None)[0], 1.0)
    x = np.sort(np.concatenate([legendre.legroots(np.eye(m + 1)[m]), legendre.legroots(coefs).real]))
    moments = np.zeros(n)
    moments[0] = 2.0
    w = np.linalg.solve(legendre.legvander(x, n - 1).T, moments)
    return x, w


def nodes_in(low: np.ndarray, high: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for integrals over ``[low, high]``, each ``(intervals, n)``.

    Examples
    --------
    >>> t, w = nodes_in(np.array([0.0]), np.array([2.0]), 15)
    >>> round(float((w * t**2).sum()), 12), round(8 / 3, 12)
    (2.666666666667, 2.666666666667)
    """
    x, w = kronrod(n)
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    return middle[:, None] + half[:, None] * x, half[:, None] * w
