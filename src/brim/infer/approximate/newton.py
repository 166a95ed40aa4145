"""A maximum by Newton steps within a trust region: on finite values only, along directions in which the density is not concave too.

The radius grows and shrinks by how much of the promised gain a step brings (Nocedal & Wright 2006, chapter 4), so that a point without a
finite density shortens a step and does not end the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from brim.infer.approximate.ascent import FARTHEST, Evaluate
from brim.infer.approximate.laplace import curvature

__all__ = ["Optimum", "climb", "escape"]

ITERATIONS = 100
PROMISE = 1e-13  # gain in log density of a further step, at which there is a maximum
SHORTEST, LONGEST = 1e-9, 1e9  # trust radius, in units of the coordinates' scales
FLAT = 1e-8  # curvature, in units of the largest, that counts as none
PLATEAU = 1e-3  # curvature, by a unit of a nonlinear coordinate, below which it may lead to a plateau
LEAP = 10.0  # along a plateau, in units of a nonlinear coordinate
FALL = 0.01  # in log density, by a standard deviation, below which there is a plateau
RISE = 1e-9  # in log density, that tells a rise from rounding, in units of the log density
LOOK = (0.5, *range(1, 12), *range(12, 50, 2))  # along a nonlinear coordinate, in its units

Value = Callable[[np.ndarray], float]


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
    flat
        Nonlinear coordinates along which it is flat.
    """

    q: np.ndarray
    lp: float
    converged: bool
    definite: bool
    flat: tuple[int, ...] = ()


def climb(
    evaluate: Evaluate,
    q: np.ndarray,
    scale: np.ndarray,
    nonlinear: Sequence[int] = (),
    promise: float = PROMISE,
    value: Value | None = None,
) -> Optimum:
    """The local maximum above ``q``.

    Parameters
    ----------
    evaluate
        ``q -> (log density, gradient)``.
    q
        Where log density and gradient are finite.
    scale
        About the standard deviations.
    nonlinear
        Coordinates whose natural unit is 1 (logarithms of a scale, transformed correlations): no step is longer than the radius in it.
    promise
        Gain in log density at which no further step is made.
    value
        The log density alone, where slopes are dear.

    Examples
    --------
    >>> found = climb(lambda q: (-float((q - 3) ** 2 @ [1, 5]), -2 * (q - 3) * [1, 5]), np.zeros(2), np.ones(2))
    >>> found.q.round(8), found.converged
    (array([3., 3.]), True)
    """
    lp, grad = evaluate(q)
    value = value or (lambda q: evaluate(q)[0])
    nonlinear, radius = list(nonlinear), 1.0
    fresh = nonlinear  # coordinates in which no leap was made
    for _ in range(ITERATIONS):
        hessian = _curvature(evaluate, q, scale)
        if hessian is None:
            return Optimum(q, lp, False, False)
        scale = _scale(hessian, scale, nonlinear)
        bent = -hessian * np.outer(scale, scale)
        flat = [i for i in nonlinear if abs(bent[i, i]) < PLATEAU * scale[i] ** 2]
        step, gain = _step(bent, grad * scale, max(radius, 1.0))
        if gain < promise:
            last = q + step * scale  # slopes are more exact than the density
            there = value(last)
            q, lp = (last, there) if there >= lp - 1e-13 * max(1.0, abs(lp)) else (q, lp)
            return Optimum(q, lp, True, _falls(value, q, lp, bent, scale), tuple(flat))
        q_new, lp_new, grad_new, radius = _move(evaluate, q, lp, grad, bent, scale, radius, nonlinear)
        if q_new is q:  # rounding hides what is left to gain
            return Optimum(q, lp, gain < 1e-7 * max(1.0, abs(lp)), _falls(value, q, lp, bent, scale), tuple(flat))
        q, lp, grad = _leap(evaluate, q_new, lp_new, grad_new, [i for i in fresh if i in flat])
        fresh = [i for i in fresh if i not in flat]
    return Optimum(q, lp, False, False)


def escape(evaluate: Evaluate, found: Optimum, value: Value | None = None) -> np.ndarray | None:
    """A higher point than that of a plateau, seen from it along each coordinate in which it is flat; ``None`` if there is none.

    Where a standard deviation goes to 0 the slope in its logarithm vanishes whether or not the density rises with the variance, whose
    derivative there decides: it does so here by the density itself, at standard deviations that are large enough to change it.
    """
    best, point = found.lp + RISE * max(1.0, abs(found.lp)), None
    for i in found.flat:
        for step in (sign * size for size in LOOK for sign in (1.0, -1.0)):
            q = found.q.copy()
            q[i] += step
            lp = value(q) if value is not None else evaluate(q)[0]
            if np.isfinite(lp) and lp > best and np.isfinite(evaluate(q)[1]).all():
                best, point = lp, q
    return point


def _curvature(evaluate: Evaluate, q: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """The Hessian by differences, of shorter steps where points are not finite; ``None`` where it is not to be had."""
    for _ in range(4):
        hessian = curvature(evaluate, q, np.minimum(scale, 1e2))
        if np.isfinite(hessian).all():
            return hessian
        scale = 1e-2 * scale
    return None


def _scale(hessian: np.ndarray, before: np.ndarray, nonlinear: list[int]) -> np.ndarray:
    """What a coordinate moves by while the density changes by about 1/2 in logarithm, if it is normal."""
    diagonal = np.abs(np.diag(hessian))
    known = diagonal > 1e-300
    scale = np.where(known, 1.0 / np.sqrt(np.where(known, diagonal, 1.0)), before)
    scale[nonlinear] = np.minimum(scale[nonlinear], 1.0)
    return scale


def _step(bent: np.ndarray, slope: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The step within ``radius`` that gains most under the quadratic model, and the gain; in units of the scales."""
    values, vectors = np.linalg.eigh(bent)
    size = max(float(np.abs(values).max()), 1e-300)
    along = vectors.T @ slope
    along = np.where((np.abs(values) < FLAT * size) & (np.abs(along) < 1e-10), 0.0, along)  # rounding

    def at(shift: float) -> np.ndarray:
        return np.where(along == 0.0, 0.0, along / np.maximum(values + shift, 1e-300))

    if values[0] > 0.0 or not np.any(along[values <= 0.0]):
        x = at(0.0)
        if np.linalg.norm(x) <= radius and values[0] > -FLAT * size:
            return vectors @ x, float(along @ x - 0.5 * values @ x**2)
    low = max(0.0, -float(values[0]))
    high = low + float(np.linalg.norm(along)) / radius + 1e-300
    for _ in range(100):
        shift = 0.5 * (low + high)
        low, high = (shift, high) if np.linalg.norm(at(shift)) > radius else (low, shift)
    x = at(high)
    left = radius**2 - float(x @ x)
    if values[0] < -FLAT * size and left > 1e-6 * radius**2:
        x[0] += np.copysign(np.sqrt(left), x[0])  # a saddle: the slope says nothing of the way down the other side
    return vectors @ x, float(along @ x - 0.5 * values @ x**2)


def _move(
    evaluate: Evaluate,
    q: np.ndarray,
    lp: float,
    grad: np.ndarray,
    bent: np.ndarray,
    scale: np.ndarray,
    radius: float,
    nonlinear: list[int],
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """The step of the largest radius up to ``radius`` that brings a good part of what it promises, and the next radius."""
    noise = 1e-14 * max(1.0, abs(lp))
    while radius > SHORTEST:
        x = _step(bent, grad * scale, radius)[0]
        x *= min(1.0, FARTHEST / np.abs(x[nonlinear]).max(initial=1e-300))
        gain = float(x @ (grad * scale) - 0.5 * x @ bent @ x)
        q_new = q + x * scale
        lp_new, grad_new = evaluate(q_new)
        finite = np.isfinite(lp_new) and np.isfinite(grad_new).all()
        ratio = (lp_new - lp + noise) / (gain + noise) if finite else -np.inf
        length = float(np.linalg.norm(x))
        if ratio > 1e-3:
            if ratio > 0.75 and length > 0.8 * radius:
                return q_new, lp_new, grad_new, min(3.0 * radius, LONGEST)
            return q_new, lp_new, grad_new, radius if ratio > 0.25 else 0.5 * length
        radius = 0.25 * min(radius, length)
    return q, lp, grad, radius


def _leap(evaluate: Evaluate, q: np.ndarray, lp: float, grad: np.ndarray, flat: list[int]) -> tuple[np.ndarray, float, np.ndarray]:
    """A long way uphill along coordinates that lead to a plateau, which Newton steps approach by halves, if it is not downhill."""
    for i in flat:
        there = q.copy()
        there[i] += LEAP * np.sign(grad[i])
        lp_new, grad_new = evaluate(there)
        if np.isfinite(lp_new) and np.isfinite(grad_new).all() and lp_new > lp:
            q, lp, grad = there, lp_new, grad_new
    return q, lp, grad


def _falls(value: Value, q: np.ndarray, lp: float, bent: np.ndarray, scale: np.ndarray) -> bool:
    """Whether the density falls by a standard deviation to either side, along eigenvectors and along coordinates.

    By 1/2 in logarithm if it is normal; not on a plateau, which may be longer than numbers hold. Along coordinates too: eigenvectors of
    nearly equal eigenvalues mix them.
    """
    values, vectors = np.linalg.eigh(bent)
    if not values[0] > FLAT * values[-1]:
        return False
    steps = np.column_stack([vectors / np.sqrt(values) * scale[:, None], np.diag(scale / np.sqrt(np.diag(bent)))])
    for step in (sign * column for column in steps.T for sign in (1.0, -1.0)):
        for _ in range(60):
            there = value(q + step)
            if np.isfinite(there):
                break
            step = 0.5 * step
        if there > lp - FALL:
            return False
    return True
