"""Quasi-Newton minimisation of a smooth criterion whose gradient is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

__all__ = ["Minimum", "minimise", "slopes_of"]

Array = np.ndarray
#: Value and gradient; ``inf`` where it is not defined.
Criterion = Callable[[Array], tuple[float, Array]]


@final
@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the criterion is smallest; ``decrease`` is what one more step would gain, ``evaluations`` how often it was computed."""

    x: Array
    value: float
    gradient: Array
    decrease: float
    evaluations: int
    converged: bool


def minimise(
    criterion: Criterion, start: Array, tolerance: float = 1e-13, curvature: Callable[[Array, Array], Array] | None = None, most: int = 500
) -> Minimum:
    """BFGS with a line search that ends where both value and slope have decreased.

    Parameters
    ----------
    criterion
        Gives value and gradient.
    tolerance
        Stop when ``g' H g / 2``, the decrease that the next step promises, is below it.
    curvature
        An approximate Hessian for a place and the gradient there, used as long as its steps need no shortening and promise much. Where one
        fails (near covariances that are singular it may), the search begins anew without.
    """
    if curvature is None:
        return _descend(criterion, start, tolerance, None, most)
    quick = _descend(criterion, start, tolerance, curvature, most)
    if quick.converged:
        return quick
    plain = _descend(criterion, start, tolerance, None, most)
    best = plain if plain.converged or plain.value <= quick.value else quick
    return replace(best, evaluations=quick.evaluations + plain.evaluations)


def _descend(criterion: Criterion, start: Array, tolerance: float, curvature: Callable[[Array, Array], Array] | None, most: int) -> Minimum:
    """One search; with ``curvature``, it gives up at the second step that has to be shortened."""
    x = np.array(start, float)
    value, g = criterion(x)
    count, best, fresh, inverse, failed = 1, 0.0, True, np.eye(len(x)), 0
    done = len(x) == 0
    while not done and count < most and failed < 2:
        if fresh or (curvature is not None and best > 0.1):
            inverse, fresh = _initial(x, g, curvature), True
        step = -inverse @ g
        best = -0.5 * float(g @ step)
        if best < tolerance:
            done = fresh or float(np.max(np.abs(g))) < 1e-2
            fresh = True  # if not done, the approximation is what is small
            continue
        t, new_value, new_g, tried = _search(criterion, x, value, g, step)
        count += tried
        failed += curvature is not None and tried > 1
        if t == 0.0:
            done = fresh and curvature is None
            fresh = True
            continue
        inverse = _update(inverse, t * step, new_g - g, fresh and curvature is None)
        x, value, g, fresh = x + t * step, new_value, new_g, False
    return Minimum(x, value, g, best, count, done)


def _initial(x: Array, g: Array, curvature: Callable[[Array, Array], Array] | None) -> Array:
    """An inverse Hessian to begin with."""
    if curvature is not None:
        values, vectors = np.linalg.eigh(curvature(x, g))
        floor = 1e-6 * max(float(values[-1]), 1e-12)
        return (vectors / np.maximum(values, floor)) @ vectors.T
    largest = float(np.max(np.abs(g), initial=0.0))
    return np.eye(len(x)) * (0.25 * max(1.0, float(np.max(np.abs(x), initial=0.0))) / largest if largest > 0 else 1.0)


def _search(criterion: Criterion, x: Array, value: float, g: Array, step: Array) -> tuple[float, float, Array, int]:
    """A step length with weak Wolfe conditions; near the minimum, where values are all alike, slopes alone decide."""
    slope = float(g @ step)
    noise = 1e-13 * abs(value)
    low, high, t, count = 0.0, np.inf, 1.0, 0
    kept: tuple[float, float, Array] | None = None
    while count < 30:
        new, gradient = criterion(x + t * step)
        count += 1
        along = float(gradient @ step) if np.isfinite(new) else np.inf
        down = new <= value + 1e-4 * t * slope or (new <= value + noise and abs(along) <= 0.9 * abs(slope))
        if not np.isfinite(new) or not down:
            high = t
        else:
            kept = (t, new, gradient)
            if along >= 0.9 * slope:
                break
            low = t
        if high == np.inf:
            t = 2.5 * t
        elif kept is not None and high - low < 1e-3 * high:
            break
        else:
            t = _between(low, high, t, value, slope, new) if low == 0.0 else 0.5 * (low + high)
    return (*kept, count) if kept is not None else (0.0, value, g, count)


def _between(low: float, high: float, t: float, value: float, slope: float, new: float) -> float:
    """The minimum of the parabola through what is known, within the interval."""
    if not np.isfinite(new):
        return low + 0.2 * (high - low)
    curve = new - value - slope * t
    guess = -0.5 * slope * t * t / curve if curve > 0 else 0.5 * t
    return float(min(max(guess, low + 0.1 * (high - low)), low + 0.5 * (high - low)))


def _update(inverse: Array, s: Array, y: Array, first: bool) -> Array:
    """The BFGS update of the inverse Hessian, left out where the curvature is not positive."""
    sy = float(s @ y)
    if sy <= 1e-12 * float(np.sqrt((s @ s) * (y @ y))):
        return inverse
    if first:
        inverse = np.eye(len(s)) * (sy / float(y @ y))
    turn = np.eye(len(s)) - np.outer(s, y) / sy
    return turn @ inverse @ turn.T + np.outer(s, s) / sy


def slopes_of(function: Callable[[Array], Array], x: Array, scale: Array, step: float = 1e-4) -> Array:
    """Derivatives of a vector function by central differences with one extrapolation, (len(x), ...); error ``O(step^4)``."""
    out = []
    for i in range(len(x)):
        h = np.zeros(len(x))
        h[i] = step * scale[i]
        near = (function(x + h) - function(x - h)) / (2.0 * h[i])
        far = (function(x + 2.0 * h) - function(x - 2.0 * h)) / (4.0 * h[i])
        out.append((4.0 * near - far) / 3.0)
    return np.array(out)
