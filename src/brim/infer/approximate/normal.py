"""Normal approximations of a posterior, and the draws and verdict that the approximate algorithms give.

Each algorithm finds a normal law of the unconstrained coordinates, draws from it, and tells by the Pareto k-hat of the importance
ratios how far the draws can be trusted. Draws are those of the approximation: they are not weighted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brim.infer.approximate.evaluate import Density, finite_point
from brim.infer.approximate.laplace import Laplace, laplace
from brim.infer.approximate.psis import psis, verdict
from brim.infer.info import Info
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target, UnsuitedError

__all__ = ["NormalApproximation", "as_draws", "counted", "from_mode", "judged", "sample_laplace"]

ATTEMPTS = 3  # starting points tried for a mode


@dataclass(frozen=True)
class NormalApproximation:
    """``N(mean, factor factor')``; ``factor`` is lower triangular ``(n, n)``, or ``(n,)`` for independent coordinates."""

    mean: np.ndarray
    factor: np.ndarray

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """``n`` draws ``(n, dim)`` and their log densities ``(n,)``."""
        z = rng.standard_normal((n, len(self.mean)))
        diagonal = self.factor if self.factor.ndim == 1 else np.diag(self.factor)
        moved = z * self.factor if self.factor.ndim == 1 else z @ self.factor.T
        constant = np.log(diagonal).sum() + 0.5 * len(self.mean) * np.log(2.0 * np.pi)
        return self.mean + moved, -0.5 * (z**2).sum(1) - constant

    @property
    def covariance(self) -> np.ndarray:
        """``(n, n)``, or the variances ``(n,)`` of independent coordinates."""
        return self.factor**2 if self.factor.ndim == 1 else self.factor @ self.factor.T


def counted(draws: int, thin: int) -> int:
    """Draws kept of ``draws`` iterations."""
    return -(-draws // thin)


def judged(what: str, k: float) -> Info:
    """``info`` about an approximation: its k-hat and the sentence that the summary prints."""
    return {"khat": k, "verdict": f"{what}: Pareto k-hat {k:.2f}, {verdict(k)}"}


def as_draws(
    density: Density, law: NormalApproximation, *, what: str, rng: np.random.Generator, shape: tuple[int, int], info: Info
) -> Draws:
    """Draws ``shape = (chains, draws)`` from an approximation of a target, and how good it is.

    ``stats`` has ``lp``, the target's log density; ``info`` gets ``khat`` and ``verdict``, and what chains may start from.
    """
    chains, n = shape
    q, log_q = law.draw(rng, chains * n)
    lp = density.values(q)
    _, k = psis(lp - log_q)
    q, lp = q.reshape(chains, n, -1), lp.reshape(shape)
    return Draws(q, {"lp": lp}, {**info, **judged(what, k), "last_q": q[:, -1], "covariance": law.covariance})


class FromMode(NamedTuple):
    """Where an approximation begins: the density, its mode and curvature, and the random numbers of its seed, some of them used."""

    density: Density
    mode: Laplace
    rng: np.random.Generator
    seed: int


def from_mode(target: Target, seed: int | None) -> FromMode:
    """The mode of a target, sought from starting points at random; a fresh seed where none is given.

    Raises
    ------
    UnsuitedError
        When the density has no mode inside with a definite Hessian, or none was found.
    """
    seed = fresh_seed() if seed is None else int(seed)
    density, rng = Density(target), np.random.default_rng(seed)
    for _attempt in range(ATTEMPTS):
        found = laplace(density, finite_point(density, rng))
        if found is not None:
            return FromMode(density, found, rng, seed)
    raise UnsuitedError(
        "the posterior density has no mode inside its space with a definite curvature: there is no Laplace approximation",
        hint="use algorithm='sampling'; or proper priors, where some are flat",
    )


def sample_laplace(target: Any, *, chains: int, draws: int, thin: int = 1, seed: int | None = None, **_: Any) -> Draws:
    """Draws from the normal law at the mode of the unconstrained density, with the curvature there.

    Parameters
    ----------
    target
        The log density and its data.
    chains, draws, thin
        ``chains x ceil(draws / thin)`` independent draws.
    seed
        The same seed gives the same draws.

    Raises
    ------
    BrimError
        When the density has no mode inside with a definite Hessian, or none was found.
    """
    clock = time.perf_counter()
    density, found, rng, seed = from_mode(target, seed)
    law = NormalApproximation(found.mode, np.linalg.cholesky(found.covariance))
    info: Info = {"engine": "laplace", "seed": seed, "thin": thin}
    out = as_draws(density, law, what="Laplace approximation", rng=rng, shape=(chains, counted(draws, thin)), info=info)
    out.info["sampling_seconds"] = time.perf_counter() - clock
    return out
