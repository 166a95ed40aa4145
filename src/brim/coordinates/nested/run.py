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
from brim.coordinates.nested.structure import Known, known_of, nest_of
from brim.coordinates.plan import Plan, joined
from brim.frames.frame import Frame
from brim.infer.approximate.importance import importance_sample, resampled
from brim.infer.approximate.normal import counted, judged
from brim.infer.approximate.proposal import Split
from brim.infer.nuts.control import Control
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target, UnsuitedError

__all__ = ["nested_draws"]

TRIALS = 16  # points around the mode that tell how well the density is known
NOISE = 0.2  # variance of the log density's estimate that is small beside that of the weights
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
    points = _fine_enough(points, known, found.mode, np.linalg.cholesky(found.covariance), rng, cores)
    kept: list[Found] = []

    def values(q: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        here = points(q, numbers)
        if numbers[0] >= 0:
            kept.append(here)
        return here.value

    n = chains * counted(draws, thin)
    law = Split.around(found.mode, found.covariance, lambda q: values(q, np.full(len(q), -1)), np.zeros(m), np.ones(m))
    sample = importance_sample(values, law, n, rng)
    chosen = resampled(sample.log_weights, n, rng)
    drawn = Found.joined(kept).rows(chosen)
    z = {v.standardised: x for v, x in zip(plan.adapted.latents, drawn.z, strict=True)}
    with float64():
        q = np.asarray(joined(plan.inner, sample.q[chosen, : plan.head], z)).reshape(chains, n // chains, -1)
    info = {
        "engine": "nested_laplace",
        "note": f"{plan.head} parameters by importance, {points.nest}",
        "seed": seed,
        "thin": thin,
        "efficiency": sample.efficiency,
        "last_q": q[:, -1],
        "covariance": q.reshape(n, -1).var(0),
        **judged("Nested Laplace approximation corrected by importance", sample.khat),
    }
    return Draws(q, {"lp": drawn.joint.reshape(q.shape[:2])}, {**info, "sampling_seconds": time.perf_counter() - clock})


def _fine_enough(points: Points, known: Known, mode: np.ndarray, low: np.ndarray, rng: np.random.Generator, cores: int | None) -> Points:
    """The same from the modes found, with nodes and draws enough that the density is known well around its mode."""
    m, away = points.nest.border, rng.standard_normal((TRIALS, len(mode)))
    once = np.zeros(1, int)
    points.starting(tuple(z[0] for z in points(np.concatenate([mode, np.zeros(m)])[None], once).z))
    at_mode = np.tile(np.concatenate([mode, np.zeros(m)]), (TRIALS, 1))
    around = np.concatenate([mode + away @ low.T, np.zeros((TRIALS, m))], axis=1)
    for _ in range(FINER):
        found = points(np.concatenate([at_mode, around]), np.arange(2 * TRIALS))
        noise, doubt = found.value[:TRIALS].var(), found.doubt[TRIALS:].std()
        nest = points.nest.finer(noise=bool(noise > NOISE), doubt=bool(doubt > DOUBT))
        if nest == points.nest:
            break
        start = points.known.start
        points = Points(nest, known, points.head, points.seed, cores)
        points.starting(start)
    return points
