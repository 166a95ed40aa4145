"""Draws of a density of few dimensions by importance: from laws that are fitted to it, weighted, resampled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from brim.infer.approximate.normal import counted, from_mode, judged
from brim.infer.approximate.proposal import SplitProposal
from brim.infer.approximate.psis import psis
from brim.infer.info import Info
from brim.infer.target import Draws, Target

Values = Callable[[np.ndarray, np.ndarray], np.ndarray]

__all__ = ["Sample", "importance_sample", "resampled", "sample_importance"]

PILOT = 400  # points of a first round, and for each dimension
PILOT_EACH = 20
WELL = 0.8  # relative efficiency of a round that ends the fitting
FEW = 5.0  # effective draws for each dimension below which no law is fitted
ROUNDS = 4


@dataclass(frozen=True)
class Sample:
    """Weighted points.

    Attributes
    ----------
    q
        (n, dim).
    values
        What ``values`` gave of each, (n,).
    log_weights
        Smoothed and normalised, (n,).
    khat
        The Pareto k-hat of the ratios.
    """

    q: np.ndarray
    values: np.ndarray
    log_weights: np.ndarray
    khat: float

    @property
    def efficiency(self) -> float:
        """``1 / (n sum w^2)``."""
        return float(1.0 / (len(self.q) * np.exp(2.0 * self.log_weights).sum()))


def importance_sample(
    values: Values, law: SplitProposal, n: int, rng: np.random.Generator, elsewhere: Callable[[], SplitProposal] | None = None
) -> Sample:
    """``n`` weighted points of a density.

    A round of few points tells how well the law fits. One that does not is replaced: by the law around the maximum of a quadratic
    function fitted to the log density, then by one of the moments that the points have. All points count, by their density under the
    mixture of all laws that they came from (Cornuet, Marin, Mira & Robert 2012, Scandinavian Journal of Statistics 39).

    Parameters
    ----------
    values
        ``(points (k, dim + m), their numbers (k,)) ->`` log density, or an unbiased estimate of the density in logarithm; for the last
        ``m`` coordinates beside that of standard normal numbers.
    law
        A first guess.
    n
        How many points.
    elsewhere
        Finds another first guess, where the points of the first say nothing: these are forgotten.
    """
    width = law.dim + len(law.center)
    pilot = min(max(PILOT, PILOT_EACH * width), max(n // 2, 1))
    laws, sizes, q, found = [law], [0], np.empty((0, width)), np.empty(0)

    def extend(size: int) -> Sample:
        nonlocal q, found
        q = np.concatenate([q, laws[-1].draw(size, rng)])
        lp = values(q[len(found) :], np.arange(len(found), len(q)))
        found = np.concatenate([found, np.where(np.isnan(lp), -np.inf, lp)])
        sizes[-1] += size
        return _weighted(q, found, laws, sizes)

    for k in range(ROUNDS):
        if n - len(q) <= pilot:
            break
        sample = extend(pilot)
        if sample.efficiency >= WELL:
            break
        if k == 0 and elsewhere is not None and not _tells(sample, law):
            laws, sizes, q, found = [elsewhere()], [0], np.empty((0, width)), np.empty(0)
            continue
        fitted = _refitted(sample, found, laws[-1], values, moments=len(laws) > 1 and _tells(sample, law))
        if fitted is None:
            break
        laws.append(fitted)
        sizes.append(0)
    return extend(n - len(q))


def _refitted(sample: Sample, lp: np.ndarray, law: SplitProposal, values: Values, moments: bool) -> SplitProposal | None:
    """A better law, if the sample is enough to tell."""
    weights = np.exp(sample.log_weights)
    if not moments:
        fitted = law.fitted(sample.q, lp, weights, lambda q: values(q, np.full(len(q), -1)))
        if fitted is not None:
            return fitted
    return law.matched(sample.q, weights) if _tells(sample, law) else None


def _tells(sample: Sample, law: SplitProposal) -> bool:
    """Whether there are effective draws enough to fit a law to."""
    return sample.efficiency * len(sample.q) > FEW * law.dim


def _weighted(q: np.ndarray, found: np.ndarray, laws: list[SplitProposal], sizes: list[int]) -> Sample:
    """Weights against the mixture of all laws."""
    parts = [math.log(size / len(q)) + law.log_density(q) for law, size in zip(laws, sizes, strict=True) if size]
    log_weights, k = psis(found - np.logaddexp.reduce(parts, axis=0))
    return Sample(q, found, log_weights, k)


def resampled(log_weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of ``n`` draws, each point as often as its weight says but for rounding (systematic resampling).

    Copies of a point follow each other, so that the effective sample size of the draws counts them as what they are.

    Examples
    --------
    >>> resampled(np.log([0.5, 0.25, 0.25]), 4, np.random.default_rng(0)).tolist()
    [0, 0, 1, 2]
    """
    cumulated = np.cumsum(np.exp(log_weights))
    at = (np.arange(n) + rng.random()) / n * cumulated[-1]
    return np.minimum(np.searchsorted(cumulated, at), len(log_weights) - 1)


def sample_importance(target: Target, *, chains: int, draws: int, thin: int = 1, seed: int | None = None, **_: Any) -> Draws:
    """Draws of a target of few dimensions: importance samples from laws fitted to it, from its mode on.

    Parameters
    ----------
    target
        The log density and its data.
    chains, draws, thin
        ``chains x ceil(draws / thin)`` draws are resampled from as many points.
    seed
        The same seed gives the same draws.

    Raises
    ------
    BrimError
        When the density has no mode inside with a definite Hessian, or none was found.
    """
    clock = time.perf_counter()
    density, found, rng, seed = from_mode(target, seed)
    n = chains * counted(draws, thin)
    nothing = np.empty(0)
    law = SplitProposal.around(found.mode, found.covariance, density.values, nothing, nothing)
    sample = importance_sample(lambda q, _: density.values(q), law, n, rng)
    chosen = resampled(sample.log_weights, n, rng)
    q = sample.q[chosen].reshape(chains, -1, target.dim)
    lp = sample.values[chosen].reshape(q.shape[:2])
    info: Info = {
        "engine": "nested_laplace",
        "note": f"{target.dim} parameters by importance",
        "seed": seed,
        "thin": thin,
        "efficiency": sample.efficiency,
        "last_q": q[:, -1],
        "covariance": np.cov(q.reshape(n, -1), rowvar=False).reshape(target.dim, target.dim),
        **judged("Laplace approximation corrected by importance", sample.khat),
    }
    return Draws(q, {"lp": lp}, {**info, "sampling_seconds": time.perf_counter() - clock})
