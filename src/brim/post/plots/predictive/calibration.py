"""Calibration: where observations lie in their predictive distributions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes

from brim.post.plots.density import density
from brim.post.plots.predictive.check import CheckData
from brim.post.plots.style import BLUE, DARK, GREY, LIGHT

__all__ = ["band", "loo_pit", "loo_pit_overlay", "loo_pit_qq", "pit", "pit_ecdf"]


def pit(c: CheckData) -> np.ndarray:
    """``P(yrep <= y)`` of every observation, weighted for the ``loo_`` types; uniform if the model is right.

    Where replications equal the observation the value is at random between ``P(yrep < y)`` and ``P(yrep <= y)``, as that of a discrete
    response must be to be uniform (Czado, Gneiting & Held 2009).
    """
    below, upto = (loo_pit(c.y, c.yrep, c.log_weights, ties=ties) for ties in (0.0, 1.0))
    return below + np.random.default_rng(0).random(len(below)) * (upto - below)


def loo_pit(y: np.ndarray, yrep: np.ndarray, log_weights: np.ndarray | None = None, ties: float = 1.0) -> np.ndarray:
    """``sum_s w_s [yrep_s <= y]`` for each observation, with weights that sum to 1.

    Parameters
    ----------
    y, yrep
        Observations ``(rows,)`` and replications ``(draws, rows)``.
    log_weights
        ``(draws, rows)``; equal ones by default.
    ties
        What a replication equal to the observation counts.

    Examples
    --------
    >>> loo_pit(np.array([2.0]), np.array([[1.0], [2.0], [3.0], [4.0]])).tolist()
    [0.5]
    """
    w = np.zeros(yrep.shape) if log_weights is None else log_weights
    w = np.exp(w - w.max(axis=0))
    below = (yrep < y) + ties * (yrep == y)
    return np.asarray(np.sum(w * below, axis=0) / np.sum(w, axis=0))


def loo_pit_overlay(ax: Axes, c: CheckData) -> None:
    """The density of the PIT values beside those of as many uniform numbers."""
    values, at = pit(c), np.linspace(0.0, 1.0, 256)
    rng = np.random.default_rng(0)
    for _ in range(100):
        curve = density(rng.random(len(values)), at, 0.0, 1.0)
        ax.plot(at, curve, color=LIGHT, linewidth=0.6, alpha=0.4, zorder=2)
    ax.plot([], [], color=LIGHT, linewidth=1.2, label="uniform")  # one such curve would be too faint in a legend
    ax.plot(at, density(values, at, 0.0, 1.0), color=DARK, linewidth=1.8, label="LOO-PIT", zorder=3)
    ax.set_ylim(bottom=0)
    ax.set_xlim(0, 1)


def loo_pit_qq(ax: Axes, c: CheckData) -> None:
    """PIT values in order against uniform quantiles."""
    values = np.sort(pit(c))
    at = (np.arange(len(values)) + 0.5) / len(values)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    ax.plot(at, values, "o", color=BLUE, markersize=3.5, markeredgewidth=0, zorder=2)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")


def pit_ecdf(ax: Axes, c: CheckData) -> None:
    """The distribution function of the PIT values minus the uniform one, with a band for the whole curve."""
    values = np.sort(pit(c))
    n = len(values)
    at = np.arange(1, min(n, 100) + 1) / min(n, 100)
    low, high = band(n, len(at))
    ax.fill_between(at, low - at, high - at, color=LIGHT, alpha=0.45, linewidth=0, step="mid", label="95 % of whole curves", zorder=1)
    found = np.searchsorted(values, at, side="right") / n
    ax.step(at, found - at, where="mid", color=DARK, linewidth=1.6, label="ECDF − uniform", zorder=3)
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    ax.set_xlim(0, 1)


@lru_cache(maxsize=32)
def band(n: int, points: int, prob: float = 0.95, simulations: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """A band that holds the whole empirical distribution function of ``n`` uniform numbers with this probability.

    At each of ``points`` equidistant points the binomial interval of the one level at which whole curves stay inside that often, found by
    simulation (Säilynoja, Bürkner & Vehtari 2022).

    Examples
    --------
    >>> low, high = band(50, 10)
    >>> bool(np.all(low <= np.arange(1, 11) / 10) and np.all(high >= np.arange(1, 11) / 10))
    True
    """
    from scipy.stats import binom

    at = np.arange(1, points + 1) / points
    rng = np.random.default_rng(0)
    u = np.sort(rng.random((simulations, n)), axis=1)
    counts = np.stack([np.searchsorted(row, at, side="right") for row in u])
    below, above = binom.cdf(counts, n, at), binom.sf(counts - 1, n, at)
    worst = 2 * np.minimum(below, above)[:, :-1].min(axis=1)
    level = float(np.quantile(worst, 1 - prob))
    return binom.ppf(level / 2, n, at) / n, binom.isf(level / 2, n, at) / n
