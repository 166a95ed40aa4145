"""Multivariate normal draws, for simulated group effects."""

from __future__ import annotations

from typing import Any

import numpy as np

from brim.arguments import named
from brim.errors import BrimError

__all__ = ["rmvnorm"]


@named
def rmvnorm(n: int, mean: Any = None, sigma: Any = None, seed: int | None = None) -> np.ndarray:
    """Draws from a multivariate normal law, as mvtnorm's ``rmvnorm``.

    Parameters
    ----------
    n
        Number of draws.
    mean
        (k,); zeros by default.
    sigma
        The covariance (k, k), which may be singular; the identity by default.
    seed
        The same seed gives the same draws.

    Returns
    -------
    ndarray
        (n, k).

    Raises
    ------
    BrimError
        When ``sigma`` is no covariance or the sizes differ.

    Examples
    --------
    Simulated group effects added to a linear predictor:

    >>> import numpy as np
    >>> effects = rmvnorm(200, sigma=[[0.25, 0.02], [0.02, 0.01]], seed=1)
    >>> student, occasion = np.repeat(np.arange(200), 6), np.tile(np.arange(6), 200)
    >>> gpa = 2.6 + 0.1 * occasion + effects[student, 0] + effects[student, 1] * occasion
    >>> gpa.shape
    (1200,)
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise BrimError(f"n = {n!r} must be a whole number from 0")
    k = len(np.atleast_1d(mean)) if mean is not None else len(np.atleast_2d(sigma)) if sigma is not None else 1
    center = np.zeros(k) if mean is None else np.atleast_1d(np.asarray(mean, float))
    cov = np.eye(k) if sigma is None else np.atleast_2d(np.asarray(sigma, float))
    if cov.shape != (k, k):
        raise BrimError(f"sigma has shape {cov.shape} for a mean of {k}", hint="give a square matrix of the mean's size")
    if not np.isfinite(cov).all() or not np.allclose(cov, cov.T, atol=1e-8 * np.abs(cov).max(initial=0.0)):
        raise BrimError("sigma is not a symmetric matrix of finite numbers")
    values, vectors = np.linalg.eigh(cov)
    if values[0] < -1e-9 * max(float(values[-1]), 0.0) - 1e-300:
        raise BrimError(f"sigma is not positive semidefinite: its smallest eigenvalue is {values[0]:g}")
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return center + np.random.default_rng(seed).standard_normal((int(n), k)) @ root
