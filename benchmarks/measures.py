"""Effective sample sizes and R-hat from exported draws: the same functions for every peer, outside the timed process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brim.infer.diagnostics import ess_bulk, ess_mean, rhat

__all__ = ["measure", "read_draws"]


def read_draws(path: Path, shape: list[int]) -> np.ndarray:
    """Draws ``(chains, draws, variables)`` from a file of little-endian doubles in the order variable, chain, draw."""
    chains, draws, variables = shape
    return np.moveaxis(np.fromfile(path, "<f8").reshape(variables, chains, draws), 0, 2)


def measure(draws: np.ndarray, names: list[str]) -> dict[str, Any]:
    """The worst of the population and hyper parameters, and every one's mean.

    Returns
    -------
    dict
        ``min_ess`` (rank-normalised bulk), ``min_ess_of`` (the parameter), ``max_rhat``, ``estimates``: name -> mean, sd, Monte Carlo
        error of the mean. Constants have no effective sample size and are left out.
    """
    kept = [i for i in range(len(names)) if np.ptp(draws[:, :, i]) > 0.0]
    if not kept:
        return {}
    names, draws = [names[i] for i in kept], draws[:, :, kept]
    bulk, errors = ess_bulk(draws), draws.std((0, 1), ddof=1) / np.sqrt(ess_mean(draws))
    worst = int(np.nanargmin(bulk)) if np.isfinite(bulk).any() else 0
    return {
        "min_ess": float(bulk[worst]),
        "min_ess_of": names[worst],
        "max_rhat": float(np.nanmax(rhat(draws))),
        "estimates": {
            name: [float(draws[:, :, i].mean()), float(draws[:, :, i].std(ddof=1)), float(errors[i])] for i, name in enumerate(names)
        },
    }
