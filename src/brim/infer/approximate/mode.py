"""The mode of the density of the parameters (``algorithm="map"``): maximum likelihood under flat priors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from brim.errors import BrimWarning
from brim.infer.approximate.ascent import Evaluate, ascend, scales
from brim.infer.approximate.evaluate import Density, finite_point, without_jacobian
from brim.infer.approximate.laplace import curvature
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target

__all__ = ["Optimum", "maximise", "maximise_part", "maximum"]

LARGEST = 400  # dimensions up to which Newton steps finish, each of twice as many gradients
NEWTON = 20
CONVERGED = 1e-13  # Newton decrement: the gain in log density that a further step promises
SLOPE = 1e-3  # without Newton steps: largest slope in units of a coordinate's scale
FALL = 0.01  # in log density, by a standard deviation, below which there is a plateau


@dataclass(frozen=True)
class Optimum:
    """Where a density is largest.

    Attributes
    ----------
    q, lp
        The point and the log density there.
    converged
        Whether it is a maximum.
    definite
        Whether the density falls in every direction; if not there is a plateau, as where a standard deviation goes to 0.
    """

    q: np.ndarray
    lp: float
    converged: bool
    definite: bool


def maximise(evaluate: Evaluate, q: np.ndarray) -> Optimum:
    """Climb from ``q`` by L-BFGS, then by Newton steps where the dimension allows.

    ``evaluate: q -> (log density, gradient)``.

    Examples
    --------
    >>> found = maximise(lambda q: (-float((q - 3) ** 2 @ [1, 5]), -2 * (q - 3) * [1, 5]), np.zeros(2))
    >>> found.q.round(8), found.converged
    (array([3., 3.]), True)
    """
    path = ascend(evaluate, q)
    scale = np.sqrt(scales(path))
    q = _quasi_newton(evaluate, path.q[-1], np.clip(scale, 1e-4, 1e4))
    lp, grad = evaluate(q)
    if len(q) > LARGEST:
        return Optimum(q, lp, bool(np.abs(grad * scale).max() < SLOPE), True)
    return _newton(evaluate, q, lp, grad, scale)


def _quasi_newton(evaluate: Evaluate, q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """L-BFGS in units of ``scale``; a point without a finite density counts as far below all others."""
    from scipy.optimize import minimize

    best = evaluate(q)[0], q

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best
        lp, grad = evaluate(x * scale)
        if not (np.isfinite(lp) and np.isfinite(grad).all()):
            return 1e300, np.zeros(len(x))
        best = max(best, (lp, x * scale), key=lambda pair: pair[0])
        return -lp, -grad * scale

    minimize(
        loss, q / scale, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
    )
    return best[1]


def _newton(evaluate: Evaluate, q: np.ndarray, lp: float, grad: np.ndarray, scale: np.ndarray) -> Optimum:
    """Newton steps until they promise nothing; steps along directions in which the density is not concave are left out."""
    for _ in range(NEWTON):
        hessian = curvature(evaluate, q, scale)
        if not np.isfinite(hessian).all():
            return Optimum(q, lp, False, False)
        diagonal = np.abs(np.diag(hessian))
        scale = np.where(diagonal > 0.0, 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0)), scale)
        values, vectors = np.linalg.eigh(-hessian * np.outer(scale, scale))
        definite = bool(values[0] > 1e-8 * values[-1])
        slope = vectors.T @ (grad * scale)
        bent = values > 1e-8 * values[-1]
        step = vectors @ np.where(bent, slope / np.where(bent, values, 1.0), 0.0) * scale
        if 0.5 * step @ grad < CONVERGED:
            # along coordinates too: eigenvectors of nearly equal eigenvalues mix them
            definite = definite and _falls(evaluate, q, lp, np.column_stack([vectors / np.sqrt(values) * scale[:, None], np.diag(scale)]))
            return Optimum(q, lp, bool(np.abs(np.where(bent, 0.0, slope)).max() < SLOPE), definite)
        for _halving in range(30):
            lp_new, grad_new = evaluate(q + step)
            if np.isfinite(lp_new) and lp_new >= lp:
                break
            step = 0.5 * step
        else:
            return Optimum(q, lp, bool(0.5 * step @ grad < 1e-6), definite)
        q, lp, grad = q + step, lp_new, grad_new
    return Optimum(q, lp, False, definite)


def _falls(evaluate: Evaluate, q: np.ndarray, lp: float, steps: np.ndarray) -> bool:
    """Whether the density falls by a standard deviation (a column of ``steps``) to either side.

    By 1/2 in logarithm if it is normal; not on a plateau, which may be longer than numbers hold.
    """
    for step in (sign * column for column in steps.T for sign in (1.0, -1.0)):
        for _ in range(60):
            there = evaluate(q + step)[0]
            if np.isfinite(there):
                break
            step = 0.5 * step
        if there > lp - FALL:
            return False
    return True


def maximum(target: Target, *, seed: int | None = None, thin: int = 1, **_: Any) -> Draws:
    """The mode of the density of the parameters, as the one draw of one chain.

    The density is that of the constrained parameters: the Jacobian of the map from unconstrained coordinates is left out
    (``Target.log_jacobian``), so the mode does not depend on how they are chosen.

    Warns
    -----
    BrimWarning
        When no maximum was reached, or when it lies where the density is flat.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    density = Density(without_jacobian(target))
    found = maximise(density, finite_point(density, np.random.default_rng(seed)))
    if not found.converged:
        warnings.warn(
            BrimWarning(
                "the search for the mode did not converge: the estimates are not a maximum. The density may have none: the joint density "
                "of group effects and their standard deviations often has not. Use algorithm='sampling', or proper priors"
            ),
            stacklevel=2,
        )
    elif not found.definite:
        warnings.warn(
            BrimWarning(
                "the mode lies on a plateau of the density: a standard deviation of 0 or a correlation of 1 (a singular fit), or a "
                "coefficient that grows without bound (separated groups)"
            ),
            stacklevel=2,
        )
    info = {
        "engine": "map",
        "seed": seed,
        "thin": thin,
        "converged": found.converged,
        "sampling_seconds": time.perf_counter() - clock,
        "verdict": "Estimates are the mode of the posterior density (no draws: no errors or intervals)",
    }
    return Draws(found.q[None, None], {"lp": np.array([[found.lp]])}, info)


def maximise_part(target: Target, q: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Maximise over the coordinates ``free`` alone, in which the log density is quadratic: conjugate gradients.

    Returns
    -------
    The point, and the log density of the parameters there.
    """
    density = Density(without_jacobian(target))
    q = np.array(q)

    def gradient(z: np.ndarray) -> np.ndarray:
        q[free] = z
        return density(q)[1][free]

    z = q[free]
    for _ in range(2):  # the second round takes away what rounding left
        start = z
        first = gradient(start)
        z = start + _solve(lambda v, start=start, first=first: first - gradient(start + v), first)  # type: ignore[misc]
    q[free] = z
    return q, density(q)[0]


def _solve(product: Callable[[np.ndarray], np.ndarray], right: np.ndarray) -> np.ndarray:
    """``A^-1 right`` for the positive definite matrix ``A`` of ``product``, by conjugate gradients."""
    x, residual, direction = np.zeros(len(right)), right.copy(), right.copy()
    size = residual @ residual
    least = 1e-26 * size
    for _ in range(2 * len(right) + 10):
        if size <= least:
            break
        image = product(direction)
        step = size / (direction @ image)
        x, residual = x + step * direction, residual - step * image
        size, before = residual @ residual, size
        direction = residual + size / before * direction
    return x
