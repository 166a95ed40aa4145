"""Directions of coefficients in which data and normal priors tell of each alone: both precisions are diagonal there.

With ``b = W e``, ``W' X'X W = D^2`` and ``W' S^-2 W = P`` are diagonal (``S``: the priors' standard deviations). The posterior precision
of ``e`` in a linear model, ``D^2 / sigma^2 + P``, is so too, whatever ``sigma``; in other models it is nearly. Triangular factors of the
columns are used, not their products: columns that are alike to 8 digits keep 8 digits of their difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Directions", "NormalPriors", "directions"]

_ALONE = 1e-12  # of a column and its prior, that is left without the others, below which the directions are not to be had


class NormalPriors(NamedTuple):
    """Independent normal priors: means, and standard deviations, infinite where the prior is flat."""

    loc: np.ndarray
    scale: np.ndarray

    @property
    def root(self) -> np.ndarray:
        """``1 / scale``."""
        return np.asarray(np.where(np.isfinite(self.scale), 1.0 / self.scale, 0.0))

    @property
    def log_constant(self) -> float:
        """Sum of ``-log(scale) - log(2 pi) / 2`` over proper priors."""
        proper = np.isfinite(self.scale)
        return float(-np.log(self.scale[proper]).sum() - 0.5 * np.log(2 * np.pi) * proper.sum())


class Directions(NamedTuple):
    """``W`` and what is known of ``e``.

    Attributes
    ----------
    map
        ``W`` (m, m).
    log_det
        ``log |det W|``.
    least
        The smallest eigenvalue of the posterior precision of ``b``, with a unit diagonal: 1 where nothing correlates.
    information, precision
        The diagonals of ``W' X'X W`` and ``W' S^-2 W``, in units in which ``noise^-2`` of the first and the second add up to 1.
    """

    map: np.ndarray
    log_det: float
    least: float
    information: np.ndarray
    precision: np.ndarray


def directions(x: np.ndarray, prior_root: np.ndarray, noise: float = 1.0) -> Directions | None:
    """The directions of columns ``x`` (rows, m), or of a matrix with the same products, with residuals of about this size.

    ``prior_root``: ``S^-1`` (m,), or any (r, m) with the priors' precision as its products. ``None`` where neither data nor priors tell
    the coefficients apart.

    Examples
    --------
    >>> found = directions(np.array([[1.0, 1.0], [1.0, 1.1], [0.0, 0.1]]), np.array([1.0, 0.0]))
    >>> np.round(found.information + found.precision, 12)
    array([1., 1.])
    """
    prior = np.diag(prior_root) if prior_root.ndim == 1 else prior_root
    own = (np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x) / noise
    both = np.concatenate([own, prior])
    size = np.linalg.norm(both, axis=0)
    if len(both) < len(size) or not np.isfinite(size).all() or not size.all():
        return None
    q, root = np.linalg.qr(both / size)
    diagonal = np.abs(np.diag(root))
    if diagonal.min(initial=1.0) < _ALONE:
        return None
    vectors = np.linalg.svd(q[: len(own)], full_matrices=True)[2].T
    turned = np.square(q @ vectors)
    log_det = -float(np.log(diagonal).sum() + np.log(size).sum())
    back = np.linalg.solve(root, vectors) / size[:, None]
    least = float(np.linalg.svd(root, compute_uv=False)[-1]) ** 2 if len(root) else 1.0
    return Directions(back, log_det, least, turned[: len(own)].sum(0) * noise**2, turned[len(own) :].sum(0))
