"""Posterior draws without Markov chains: parameters by importance, latent vectors integrated and drawn at each of them.

The modes of the latent vectors give Laplace's approximation of the parameters' density (Tierney & Kadane 1986; Rue, Martino & Chopin
2009), whose mode and curvature the first points come from. What is weighted is the density with the vectors integrated out, exactly or
without bias (``integral``): however many levels there are, weights vary with the few parameters only.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from brim.compile.session import float64
from brim.coordinates.adapted.expansion import Rows
from brim.coordinates.adapted.nested import settled
from brim.coordinates.nested.points import Found, Points
from brim.coordinates.nested.structure import NestArrays, known_of, nest_of
from brim.coordinates.plan import Plan, joined
from brim.frames.frame import Frame
from brim.infer.approximate.importance import importance_sample, resampled
from brim.infer.approximate.normal import counted, judged
from brim.infer.approximate.proposal import SplitProposal
from brim.infer.approximate.surface import settled_mode
from brim.infer.info import Info
from brim.infer.nuts.control import Control
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target, UnsuitedError

__all__ = ["nested_draws"]

TRIALS = 16  # points around the mode that tell how well the density is known
NOISE = 0.4  # variance of the log density's estimate that is small beside that of the weights
DOUBT = 0.01  # spread of the quadrature's error in the log density: relative error of a weight
FINER = 3  # times that nodes and draws are added
_HINT = "use algorithm='sampling'; or proper priors, where some are flat"


def nested_draws(
    plan: Plan,
    rows: Rows,
    frame: Frame,
    target: Target,
    *,
    chains: int,
    draws: int,
    seed: int | None = None,
    thin: int = 1,
    cores: int | None = None,
    control: Control,
    **_: Any,
) -> Draws:
    """Draws in the coordinates of the model.

    Raises
    ------
    UnsuitedError
        When too many effects cross, or there is no mode with a definite curvature.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    assert plan.adapted is not None
    nest = nest_of(plan.adapted)
    known = known_of(nest, rows, target.data["inner"], frame)
    points = Points(nest, known, plan.head, seed, cores)  # compiled while the mode is sought
    found = settled(plan, rows, target, control, seed)[3]
    if found is None:
        raise UnsuitedError("the density has no mode with a definite curvature: there is no Laplace approximation", hint=_HINT)
    rng, m = np.random.default_rng([seed, 2]), nest.border
    points.start_from(found.mode, np.sqrt(np.diag(found.covariance)))
    points = _fine_enough(points, known, found.mode, np.linalg.cholesky(found.covariance), rng, cores)
    kept: list[Found] = []

    def values(q: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        here = points(q, numbers)
        if numbers[0] >= 0:
            kept.append(here)
        return here.value

    n = chains * counted(draws, thin)

    def law(mode: np.ndarray, covariance: np.ndarray) -> SplitProposal:
        return SplitProposal.around(mode, covariance, lambda q: values(q, np.full(len(q), -1)), np.zeros(m), np.ones(m))

    def elsewhere() -> SplitProposal:
        mode, covariance = settled_mode(lambda theta: _at_center(points, theta, m), found.mode, found.covariance, rng)
        points.start_from(mode, np.sqrt(np.diag(covariance)))
        kept.clear()
        return law(mode, covariance)

    sample = importance_sample(values, law(found.mode, found.covariance), n, rng, elsewhere)
    chosen = resampled(sample.log_weights, n, rng)
    q, lp = _drawn(plan, sample.q, kept, chosen)
    q = q.reshape(chains, n // chains, -1)
    info: Info = {
        "engine": "nested_laplace",
        "note": f"{plan.head} parameters by importance, {points.nest}",
        "seed": seed,
        "thin": thin,
        "efficiency": sample.efficiency,
        "last_q": q[:, -1],
        "covariance": q.reshape(n, -1).var(0),
        **judged("Nested Laplace approximation corrected by importance", sample.khat),
    }
    return Draws(q, {"lp": lp.reshape(q.shape[:2])}, {**info, "sampling_seconds": time.perf_counter() - clock})


def _at_center(points: Points, theta: np.ndarray, m: int) -> np.ndarray:
    """Log density at points with the border at its mode."""
    return points(np.concatenate([theta, np.zeros((len(theta), m))], axis=1), np.arange(len(theta))).value


def _drawn(plan: Plan, points: np.ndarray, kept: list[Found], chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the model of the points chosen, in their order, and the log joint density; ``kept`` is used up."""
    assert plan.adapted is not None
    q, lp, first = np.empty((len(chosen), plan.inner.layout.dim)), np.empty(len(chosen)), 0
    while kept:
        found = kept.pop(0)
        mine = (chosen >= first) & (chosen < first + len(found.value))
        part = found.rows(chosen[mine] - first)
        z = {v.standardised: x for v, x in zip(plan.adapted.latents, part.z, strict=True)}
        with float64():
            q[mine] = np.asarray(joined(plan.inner, points[chosen[mine], : plan.head], z))
        lp[mine] = part.joint
        first += len(found.value)
    return q, lp


def _fine_enough(
    points: Points, known: NestArrays, mode: np.ndarray, low: np.ndarray, rng: np.random.Generator, cores: int | None
) -> Points:
    """The same with nodes and draws enough that the density is known well around its mode."""
    m, away = points.nest.border, rng.standard_normal((TRIALS, len(mode)))
    at_mode = np.tile(np.concatenate([mode, np.zeros(m)]), (TRIALS, 1))
    around = np.concatenate([mode + away @ low.T, np.zeros((TRIALS, m))], axis=1)
    for _ in range(FINER):
        found = points(np.concatenate([at_mode, around]), np.arange(2 * TRIALS))
        noise, doubt = found.value[:TRIALS].var(), found.doubt[TRIALS:].std()
        nest = points.nest.finer(noise=bool(noise > NOISE), doubt=bool(doubt > DOUBT))
        if nest == points.nest:
            break
        start = points.known.start
        points = Points(nest, known._replace(start=start), points.head, points.seed, cores)
    return points
