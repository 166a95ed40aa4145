"""From a random point towards the mass of the posterior, by quasi-Newton ascent of the log density.

A random point can have a log density of -1e20 (a Poisson mean of exp(300)), where trajectories find nothing and rounding passes for
energy error. The ascent stops as soon as it slows down, long before a mode: chains still start apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Path", "ascend", "scales"]

EVALUATIONS = 300
MEMORY = 8
SLOW = 0.02  # gain in log density a step and a dimension below which the ascent counts as slow
FARTHEST = 3.0  # step in a nonlinear coordinate
PATIENCE = 3  # slow steps in a row that end it

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass
class Path:
    """Points visited and their gradients; the last is where the ascent ended."""

    q: list[np.ndarray] = field(default_factory=list)
    grad: list[np.ndarray] = field(default_factory=list)


def ascend(evaluate: Evaluate, q: np.ndarray, slow: float = SLOW, nonlinear: Sequence[int] = ()) -> Path:
    """Climb from ``q``, whose log density and gradient are finite, by L-BFGS with backtracking.

    ``evaluate: q -> (log density, gradient)``; ``slow``: the gain a step and a dimension below which the ascent counts as slow;
    ``nonlinear``: coordinates with 1 as their natural unit, in which steps stay short.
    """
    lp, grad = evaluate(q)
    path = Path([q], [grad])
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    crawled, left = 0, EVALUATIONS
    while left > 0 and crawled < PATIENCE and np.any(grad):
        direction = _direction(grad, pairs)
        longest = np.abs(direction[list(nonlinear)]).max(initial=0.0)
        direction = direction * (FARTHEST / longest) if longest > FARTHEST else direction
        q_new, lp_new, grad_new, used = _search(evaluate, q, lp, grad, direction, left)
        left -= used
        gain = lp_new - lp
        if gain < slow * len(q):
            crawled += 1
            if crawled == 1:
                pairs = []  # curvature from far away may be what slows it: once more along the gradient
        else:
            crawled = 0
        s, y = q_new - q, grad - grad_new
        if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
            pairs = [*pairs, (s, y)][-MEMORY:]
        if gain > 0.0:
            q, lp, grad = q_new, lp_new, grad_new
            path.q.append(q)
            path.grad.append(grad)
    return path


def scales(path: Path) -> np.ndarray:
    """Diagonal inverse mass matrix from the second half of a path: ``|change of q| / |change of gradient|``, by coordinate.

    For an independent normal posterior these are the variances. Where nothing moved, the inverse of the gradient's size.
    """
    half = len(path.q) // 2
    moved = np.sqrt(np.square(np.diff(path.q[half:], axis=0)).sum(0))
    bent = np.sqrt(np.square(np.diff(path.grad[half:], axis=0)).sum(0))
    last = np.abs(path.grad[-1])
    known = (moved > 0.0) & (bent > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.where(known, moved / bent, 1.0 / last), 1e-10, 1e10)


def _direction(grad: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """L-BFGS direction (two-loop recursion), or the gradient at unit length without memory."""
    steepest = grad / np.linalg.norm(grad)
    if not pairs:
        return steepest
    direction, weights = grad.copy(), []
    for s, y in reversed(pairs):
        weights.append((s @ direction) / (s @ y))
        direction = direction - weights[-1] * y
    s, y = pairs[-1]
    direction = direction * ((s @ y) / (y @ y))
    for (s, y), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - (y @ direction) / (s @ y)) * s
    slope = grad @ direction
    return direction if np.isfinite(slope) and slope > 0.0 else steepest


def _search(
    evaluate: Evaluate, q: np.ndarray, lp: float, grad: np.ndarray, direction: np.ndarray, left: int
) -> tuple[np.ndarray, float, np.ndarray, int]:
    """Shorten the step until the log density rises enough; the point itself when it never does."""
    step, slope = 1.0, grad @ direction
    for used in range(1, min(left, 40) + 1):
        q_new = q + step * direction
        lp_new, grad_new = evaluate(q_new)
        if np.isfinite(lp_new) and np.isfinite(grad_new).all() and lp_new >= lp + 1e-4 * step * slope:
            return q_new, lp_new, grad_new, used
        step *= 0.5 if used < 10 else 0.1
    return q, lp, grad, min(left, 40)
