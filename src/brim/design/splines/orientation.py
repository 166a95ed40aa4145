"""The signs that mgcv's smooths have: eigenvectors have none of their own, and so they are those of the algorithms that find them.

Coefficients that were sampled elsewhere, under mgcv's columns, can be read with them. Thin plate splines take the eigenvectors of a
Lanczos iteration from a fixed start, penalties those of LAPACK's ``dsyevr``.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from brim.design.splines.basis import AbstractBasis, columns_of_null
from brim.design.splines.cubic import CubicRegression, Cyclic
from brim.design.splines.effects import Slopes
from brim.design.splines.mixed import AbstractSmooth, Single, mgcv_order
from brim.design.splines.thinplate import ThinPlate

__all__ = ["lanczos", "orientation"]

_TOLERANCE = np.finfo(float).eps ** 0.7


def lanczos(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` eigenvalues largest in size, ascending, with their eigenvectors: as ``scipy``'s, with the signs of this iteration.

    The start is a linear congruential sequence; every new vector is made orthogonal to all before it, twice. Whether the vectors have
    converged is looked at every few steps, as many as there are tenths of rows, at most 10 (or half of ``k``).

    Examples
    --------
    >>> values, vectors = lanczos(np.diag([1.0, -3.0, 2.0]), 2)
    >>> values.round(6)
    array([-3.,  2.])
    """
    n = len(matrix)
    basis = [_start(n)]
    diagonal: list[float] = []
    beside: list[float] = []
    every = max(1, min(max(10, (k - 1) // 2), n // 10))
    for j in range(n):
        z = matrix @ basis[j]
        diagonal.append(float(basis[j] @ z))
        z = z - diagonal[j] * basis[j] - (beside[j - 1] * basis[j - 1] if j else 0.0)
        for _ in range(2):
            for q in basis:
                z = z - (q @ z) * q
        beside.append(float(np.linalg.norm(z)))
        last = j == n - 1
        if last or (j >= k and j % every == 0):
            found = _converged(np.array(diagonal), np.array(beside), k, last)
            if found is not None:
                return found[0], np.stack(basis, axis=1) @ found[1]
        basis.append(z / beside[j])
    raise AssertionError


def _start(n: int) -> np.ndarray:
    out, state = np.empty(n), 1
    for i in range(n):
        state = (state * 106 + 1283) % 6075
        out[i] = state / 6075 - 0.5
    return np.asarray(out / np.linalg.norm(out))


def _converged(diagonal: np.ndarray, beside: np.ndarray, k: int, last: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """The wanted eigenpairs of the tridiagonal matrix, ``None`` where the iteration must go on."""
    inner = beside[:-1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(inner, 1) + np.diag(inner, -1))
    wanted = np.sort(np.argsort(-np.abs(values[::-1]), kind="stable")[:k])
    wanted = (len(values) - 1 - wanted)[::-1]
    error = np.abs(beside[-1] * vectors[-1, wanted])
    return (values[wanted], vectors[:, wanted]) if last or np.all(error <= _TOLERANCE * np.abs(values).max()) else None


def orientation(smooth: AbstractSmooth, x: np.ndarray) -> np.ndarray | None:
    """``+1`` or ``-1`` for each penalised function, by descending eigenvalue, then for each unpenalised one: mgcv's beside the smooth's.

    ``None`` where rounding decides in mgcv: for tensor products, P-splines, and the unpenalised functions of several covariates.
    """
    if isinstance(smooth, Slopes):
        return np.ones(1)
    if not isinstance(smooth, Single) or smooth.point or not _determined(smooth.basis, x.shape[1], smooth.n_fixed):
        return None
    basis = smooth.basis
    mine, design = basis.learned_by(x, lanczos) if isinstance(basis, ThinPlate) else (basis, basis.matrix(x))
    total = np.mean(design, axis=0, dtype=np.longdouble).astype(float)
    space = columns_of_null(total) if mine.centred and smooth.constrain else np.eye(design.shape[1])
    scale = np.abs(mine.penalty).sum(axis=0).max() / np.abs(design).sum(axis=1).max() ** 2  # it matters to the algorithm
    vectors = eigh(space.T @ mine.penalty @ space / scale, driver="evr")[1][:, ::-1]
    functions, free = smooth.columns(x), smooth.n_fixed
    order = np.argsort(mgcv_order(sum(smooth.sizes), free))
    own = np.hstack([functions[:, free:][:, order], functions[:, :free][:, ::-1]])
    return np.where(np.sum(own * (design @ space @ vectors), axis=0) < 0, -1.0, 1.0)


def _determined(basis: AbstractBasis, covariates: int, free: int) -> bool:
    if isinstance(basis, ThinPlate):
        return covariates == 1 or free < 2
    return isinstance(basis, Cyclic) or (isinstance(basis, CubicRegression) and not basis.shrink)
