"""Laplace approximation of a target of few dimensions, and chains started from it.

The program that samples also evaluates: nothing more is compiled. Curvature comes from differences of gradients.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from brim.compile.session import float64
from brim.infer.approximate.ascent import Evaluate, ascend, scales
from brim.infer.nuts.chain import MarkovChain
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import device_data, precompile
from brim.infer.nuts.progress import Report
from brim.infer.nuts.random import chain_stream
from brim.infer.nuts.warmup import Start
from brim.infer.target import Target

__all__ = ["Laplace", "best_start", "curvature", "laplace", "laplace_start", "start_from"]

ITERATIONS = 30
CONVERGED = 1e-4  # Newton decrement: the gain in log density that a further step promises
STEP = 1e-3  # of differences, in posterior standard deviations
LONGEST = 5.0  # Newton step, in standard deviations of one coordinate
SPREAD, DF = 1.5, 5.0  # starting points: a Student law of this scale and these degrees of freedom
TRIES = 20
NEAR = 1.0  # spread of starting points around a summit, in its scales
TOLERANCE = 8.0  # how far below the approximation the log density at a starting point may be


@dataclass(frozen=True)
class Laplace:
    """A normal approximation at the mode.

    Attributes
    ----------
    mode
        (dim,).
    lp
        Log density there.
    covariance
        Inverse of the negative Hessian, (dim, dim).
    """

    mode: np.ndarray
    lp: float
    covariance: np.ndarray


def laplace(evaluate: Evaluate, q: np.ndarray) -> Laplace | None:
    """Mode and curvature by damped Newton steps from ``q``; ``None`` where there is no mode inside with a definite Hessian.

    ``evaluate: q -> (log density, gradient)``.

    Examples
    --------
    >>> found = laplace(lambda q: (-0.5 * float(q @ q / 4), -q / 4), np.array([3.0, 1.0]))
    >>> found.mode.round(6) + 0.0, found.covariance.round(3)
    (array([0., 0.]), array([[4., 0.],
           [0., 4.]]))
    """
    path = ascend(evaluate, q)
    q, scale = path.q[-1], np.sqrt(scales(path))
    lp, grad = evaluate(q)
    for _ in range(ITERATIONS):
        hessian = curvature(evaluate, q, scale)
        if not np.isfinite(hessian).all() or not hessian.any():
            return None
        values, vectors = np.linalg.eigh(-hessian * np.outer(scale, scale))
        size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
        step = vectors @ ((vectors.T @ (grad * scale)) / size)
        if values[0] > 1e-10 * values[-1] and 0.5 * step @ (grad * scale) < CONVERGED:
            covariance = (vectors / values) @ vectors.T * np.outer(scale, scale)
            return Laplace(q, lp, covariance)
        step *= scale * min(1.0, LONGEST / np.abs(step).max())
        q, lp, grad, moved = _search(evaluate, q, lp, grad, step)
        if not moved:
            return None
        curved = -np.diag(hessian) > 0.0
        scale = np.where(curved, 1.0 / np.sqrt(np.where(curved, -np.diag(hessian), 1.0)), scale)
    return None


def curvature(evaluate: Evaluate, q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The Hessian by central differences of gradients, ``(dim, dim)``; ``scale``: about the standard deviations."""
    rows = []
    for i, h in enumerate(STEP * scale):
        shift = np.zeros(len(q))
        shift[i] = h
        rows.append((evaluate(q + shift)[1] - evaluate(q - shift)[1]) / (2.0 * h))
    out = np.array(rows)
    return 0.5 * (out + out.T)


def _search(evaluate: Evaluate, q: np.ndarray, lp: float, grad: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, bool]:
    """The step, halved until the log density rises."""
    for _ in range(30):
        lp_new, grad_new = evaluate(q + step)
        if np.isfinite(lp_new) and lp_new > lp:
            return q + step, lp_new, grad_new, True
        step = 0.5 * step
    return q, lp, grad, False


def laplace_start(target: Target, control: Control, chains: int, seed: int) -> Start | None:
    """First points, over-dispersed, and metric of chains from the Laplace approximation.

    Returns
    -------
    Start, or ``None`` where the approximation does not exist or is poor: then the usual warm-up is the way.
    """
    program = precompile(target, control).result()
    with float64():
        data = device_data(target.data)
        chain = MarkovChain(program, data, chain_stream(seed, 0), control, threading.Event(), Report(0, 0, 0))

        def evaluate(q: np.ndarray) -> tuple[float, np.ndarray]:
            point = chain.place(q).point
            return float(point.lp), np.asarray(point.grad)

        rng = np.random.default_rng([seed, chains])
        for attempt in range(TRIES):
            q = target.first(rng, attempt)
            if np.isfinite(evaluate(q)[0]):
                break
        else:
            return None
        found = laplace(evaluate, q)
        return None if found is None else start_from(evaluate, found, chains, rng)


def best_start(
    target: Target, points: Sequence[np.ndarray], control: Control, seed: int
) -> Callable[[np.random.Generator], np.ndarray] | None:
    """A ``Target.init`` near the summit that is highest of those above ``points``; ``None`` where none has a finite density.

    The chains climb from points spread around it by up to ``NEAR`` of its scales, all to the same summit: what tells modes apart that
    differ by the names of components only.
    """
    program = precompile(target, control).result()
    with float64():
        chain = MarkovChain(program, device_data(target.data), chain_stream(seed, 0), control, threading.Event(), Report(0, 0, 0))

        def evaluate(q: np.ndarray) -> tuple[float, np.ndarray]:
            point = chain.place(q).point
            return float(point.lp), np.asarray(point.grad)

        paths = [ascend(evaluate, q) for q in points if np.isfinite(evaluate(q)[0])]
        if not paths:
            return None
        path = max(paths, key=lambda p: evaluate(p.q[-1])[0])
    mode, size = path.q[-1], NEAR * np.minimum(np.sqrt(scales(path)), 1.0)
    return partial(_around, mode, size)


def _around(mode: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return mode + size * rng.uniform(-1.0, 1.0, len(mode))


def start_from(evaluate: Evaluate, found: Laplace, chains: int, rng: np.random.Generator) -> Start | None:
    """Points where the log density is not far below that of the approximation; ``None`` when half of the first tries are."""
    low = np.linalg.cholesky(found.covariance)
    points, poor = [], 0
    for _ in range(chains):
        for i in range(TRIES):
            z = SPREAD * 0.8**i * rng.standard_t(DF, size=len(found.mode))
            q = found.mode + low @ z
            if evaluate(q)[0] > found.lp - 0.5 * z @ z - TOLERANCE:
                break
            poor += i == 0
        else:
            return None
        points.append(q)
    return None if 2 * poor > chains else Start(np.array(points), found.covariance)
