"""The mode of the density of the parameters (``algorithm="map"``): maximum likelihood under flat priors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from brim.errors import warn
from brim.infer.approximate.ascent import Evaluate, Path, ascend, scales
from brim.infer.approximate.evaluate import Density, finite_point, without_jacobian
from brim.infer.approximate.newton import Optimum, climb, escape
from brim.infer.info import Info
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target

__all__ = ["Optimum", "highest", "maximise", "maximise_part", "maximum", "warn_about_mode"]

LARGEST = 400  # dimensions up to which Newton steps finish, each of twice as many gradients
STARTS = 8  # at most, until two ascents end equally high
FAILURES = 3  # ascents without an end that end the search
SAME = 1e-6  # in log density, in units of it: equally high
FAR = 12.0  # along a plateau, in units of a nonlinear coordinate
LEVEL = 0.1  # in log density: how little a plateau falls
ESCAPES = 10  # from plateaus, an ascent
ROUNDS = 40  # of quasi-Newton ascent, where there are too many dimensions for Newton steps
SLOPE = 1e-3  # without Newton steps: largest slope in units of a coordinate's scale


def maximise(evaluate: Evaluate, q: np.ndarray, nonlinear: Sequence[int] = ()) -> Optimum:
    """Climb from ``q`` by L-BFGS, then by Newton steps in a trust region where the dimension allows.

    From a plateau (a standard deviation near 0) the climb goes on wherever a higher point is seen from there.

    Parameters
    ----------
    evaluate
        ``q -> (log density, gradient)``.
    q
        Where both are finite.
    nonlinear
        Coordinates that are logarithms and the like, with 1 as their natural unit.

    Examples
    --------
    >>> found = maximise(lambda q: (-float((q - 3) ** 2 @ [1, 5]), -2 * (q - 3) * [1, 5]), np.zeros(2))
    >>> found.q.round(8), found.converged
    (array([3., 3.]), True)
    """
    path = ascend(evaluate, q, nonlinear=nonlinear)
    if len(q) > LARGEST:
        return _quasi_newton(evaluate, path, nonlinear)
    scale = np.clip(np.sqrt(scales(path)), 1e-4, 1e4)
    found = climb(evaluate, _near(evaluate, path, nonlinear), scale, nonlinear)
    for _ in range(ESCAPES):
        higher = None if found.definite else escape(evaluate, found)
        if higher is None:
            break
        found = climb(evaluate, higher, np.ones(len(q)), nonlinear)
    return found


def _near(evaluate: Evaluate, path: Path, nonlinear: Sequence[int]) -> np.ndarray:
    """The end of a path, on its plateau not farther from where it began than another scale can be seen from there."""
    q, each = path.q[-1].copy(), list(nonlinear)
    q[each] = np.clip(q[each], path.q[0][each] - FAR, path.q[0][each] + FAR)
    lp, grad = evaluate(q)
    return q if np.isfinite(grad).all() and lp > evaluate(path.q[-1])[0] - LEVEL else path.q[-1]


def _quasi_newton(evaluate: Evaluate, path: Path, nonlinear: Sequence[int]) -> Optimum:
    """L-BFGS anew from where the last one ended, until it gains nothing."""
    lp = evaluate(path.q[-1])[0]
    for _ in range(ROUNDS):
        path = ascend(evaluate, path.q[-1], slow=1e-12, nonlinear=nonlinear)
        before, lp = lp, evaluate(path.q[-1])[0]
        if lp - before < 1e-9 * max(1.0, abs(lp)):
            break
    slope = np.abs(path.grad[-1]) * np.sqrt(scales(path))
    return Optimum(path.q[-1], lp, bool(slope.max() < SLOPE), True)


def highest(evaluate: Evaluate, first: Callable[[], np.ndarray], nonlinear: Sequence[int] = ()) -> Optimum:
    """The highest of ascents from several starting points, as many as it takes for two to end equally high.

    ``first`` gives another starting point at each call. An ascent that ends nowhere counts: what it found may be higher than any maximum.
    """
    found: list[Optimum] = []
    for _ in range(STARTS):
        found.append(maximise(evaluate, first(), nonlinear))
        found.sort(key=lambda o: -o.lp)
        best = found[0]
        if len(best.q) > LARGEST or sum(not o.converged for o in found) >= FAILURES:
            break
        if len(found) > 1 and best.converged and found[1].converged and best.lp - found[1].lp < SAME * max(1.0, abs(best.lp)):
            break
    return found[0]


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
    rng = np.random.default_rng(seed)
    found = highest(density, lambda: finite_point(density, rng), target.nonlinear)
    warn_about_mode(found)
    info: Info = {
        "engine": "map",
        "seed": seed,
        "thin": thin,
        "converged": found.converged,
        "sampling_seconds": time.perf_counter() - clock,
        "verdict": "Estimates are the mode of the posterior density (no draws: no errors or intervals)",
    }
    return Draws(found.q[None, None], {"lp": np.array([[found.lp]])}, info)


def warn_about_mode(found: Optimum) -> None:
    """Warn where a search ended without a maximum, or where the density is flat."""
    if not found.converged:
        warn(
            "the search for the mode did not converge: the estimates are not a maximum. The density may have none: the joint density of "
            "group effects and their standard deviations often has not. Use algorithm='sampling', or proper priors"
        )
    elif not found.definite:
        warn(
            "the mode lies on a plateau of the density: a standard deviation of 0 or a correlation of 1 (a singular fit), or a "
            "coefficient that grows without bound (separated groups)"
        )


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
        bend = direction @ image
        if not bend > 1e-8 * (direction @ direction):
            break  # rounding hides so short a direction
        step = size / bend
        x, residual = x + step * direction, residual - step * image
        size, before = residual @ residual, size
        direction = residual + size / before * direction
    return x
