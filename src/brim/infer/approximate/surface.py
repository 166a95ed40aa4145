"""Mode and curvature of a density from its values alone: quadratic functions fitted to points around a guess, again and again.

An integral's mode may lie many standard deviations from that of its Laplace approximation, whose error adds up over many levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["quadratic_fit", "settled_mode"]

ROUNDS = 12
EACH = 2  # points for each number that is fitted
WHOLE = 12  # dimensions up to which all products are fitted, beyond squares alone
FARTHEST = 4.0  # step, in standard deviations
NEAR = 0.7  # step that ends the search
SHARES = (1.0, 0.6, 0.3, 0.1)  # of the step that are tried
CURVED = (0.05, 50.0)  # curvature, in units of the guess


def quadratic_fit(y: np.ndarray, e: np.ndarray, values: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and curvature (minus the second derivatives) at 0 of a quadratic function fitted to ``values`` at ``(y, e)``.

    It has all products of ``y (n, d)``, and the squares alone of ``e (n, m)``; ``root``: square roots of weights.

    Examples
    --------
    >>> y = np.random.default_rng(0).normal(size=(30, 2))
    >>> slope, curvature = quadratic_fit(y, y[:, :0], 1.0 + y[:, 0] - y[:, 0] * y[:, 1] - y[:, 1] ** 2, np.ones(30))
    >>> slope.round(6) + 0.0, curvature.round(6) + 0.0
    (array([1., 0.]), array([[0., 1.],
           [1., 2.]]))
    """
    d, m = y.shape[1], e.shape[1]
    x = np.concatenate([y, e], axis=1)
    i, j = (np.concatenate([own, np.arange(d, d + m)]) for own in np.triu_indices(d))
    columns = np.concatenate([np.ones((len(x), 1)), x, x[:, i] * x[:, j]], axis=1)
    usable = np.isfinite(values) & (root > 0.0)
    found = np.linalg.lstsq(columns[usable] * root[usable, None], values[usable] * root[usable], rcond=None)[0]
    curvature = np.zeros((d + m, d + m))
    curvature[i, j] -= found[1 + d + m :]
    curvature[j, i] -= found[1 + d + m :]
    return found[1 : 1 + d + m], curvature


def settled_mode(
    values: Callable[[np.ndarray], np.ndarray], mode: np.ndarray, covariance: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mode and inverse curvature of the log density ``values: (n, d) -> (n,)``, from a guess of both."""
    d, guess = len(mode), (mode, covariance)
    highest = float(values(mode[None])[0])
    whole = d <= WHOLE
    n = EACH * (1 + d + (d * (d + 1) // 2 if whole else d))
    for _ in range(ROUNDS):
        low = np.linalg.cholesky(covariance)
        y = rng.standard_normal((n, d))
        lp = values(mode + y @ low.T)
        if np.isfinite(lp).sum() < 0.5 * (n + d):
            covariance = 0.25 * covariance
            continue
        slope, curvature = quadratic_fit(y if whole else y[:, :0], y[:, :0] if whole else y, lp, np.ones(n))
        size, axes = np.linalg.eigh(curvature)
        size = np.clip(size, *CURVED)
        step = axes @ ((axes.T @ slope) / size)
        length = float(np.linalg.norm(step))
        step *= min(1.0, FARTHEST * np.sqrt(d) / max(length, 1e-300))
        tries = mode + np.outer(SHARES, low @ step)
        lp = np.nan_to_num(values(tries), nan=-np.inf)
        risen, near = bool(lp.max() > highest), length < NEAR * np.sqrt(d)
        if risen:
            mode, highest = tries[lp.argmax()], float(lp.max())
        if risen or near:
            covariance = low @ (axes / size) @ axes.T @ low.T
            covariance = 0.5 * (covariance + covariance.T)
        if near or not risen:
            break
    return (mode, covariance) if np.isfinite(highest) else guess
