"""What an engine tells of a run besides its draws."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from brim.infer.nuts.control import Control

__all__ = ["Info"]


class Info(TypedDict, total=False):
    """What a run tells; each engine what it has.

    Attributes
    ----------
    engine, algorithm, note
        Which engine in which coordinates, in words; the algorithm that ``"auto"`` took; what an approximation says of itself.
    seed, thin, warmup, cores, control, max_treedepth
        What it was asked for; the iterations of warm-up that were made.
    start, start_seconds
        ``"laplace"`` or ``"random"``, and what it took to find the start.
    compile_seconds, compiled_from_disk, warmup_seconds, sampling_seconds, completion_seconds
        Wall clock; ``completion_seconds`` is what was spent on draws of what was integrated out.
    chain_seconds, warmup_steps, chain_numbers
        Seconds in and after warm-up (chains, 2); leapfrog steps in warm-up (chains,); which of those asked for the chains are.
    last_q, inv_mass, covariance
        From where later chains may start: the last draws (chains, dim), and diagonals of the metric (chains, dim) or a covariance.
    stopped, interrupted
        Why there are fewer draws than asked for, and whether that was by accident.
    khat, verdict, efficiency
        How good an approximation is: Pareto k-hat, a sentence for the summary, effective draws a draw.
    elbo, steps, converged, paths
        Of variational approximations, searches for a mode, and Pathfinder.
    rhat_by_set
        R-hat within each of several fits whose draws are pooled.
    """

    engine: str
    algorithm: str
    note: str
    seed: int
    thin: int
    warmup: int
    cores: int
    control: Control
    max_treedepth: int
    start: str
    start_seconds: float
    compile_seconds: float
    compiled_from_disk: bool
    warmup_seconds: float
    sampling_seconds: float
    completion_seconds: float
    chain_seconds: np.ndarray
    warmup_steps: np.ndarray
    chain_numbers: np.ndarray
    last_q: np.ndarray
    inv_mass: np.ndarray
    covariance: np.ndarray
    stopped: str
    interrupted: bool
    khat: float
    verdict: str
    efficiency: float
    elbo: float
    steps: int
    converged: bool
    paths: int
    rhat_by_set: np.ndarray
