"""Tests that ranks are uniform: Pearson's, and that of the whole distribution function with its simultaneous band."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

__all__ = ["band", "chi_square", "ecdf_p", "edges", "scaled_moments"]

_NULLS = 2000  # samples of uniform ranks that the band is adjusted with
_EACH = 5  # expected count of a bin, at least


def edges(n: int, draws: int) -> np.ndarray:
    """Bin edges of histograms of ``n`` ranks 0, ..., ``draws``: as equal as whole numbers allow, 5 to 20 bins with 5 ranks or more each."""
    bins = int(np.clip(n // _EACH, 2, min(20, draws + 1)))
    return np.round(np.linspace(0, draws + 1, bins + 1)).astype(int)


def chi_square(ranks: np.ndarray, draws: int) -> float:
    """p value of Pearson's test that ranks are uniform on 0, ..., ``draws``.

    Examples
    --------
    >>> chi_square(np.arange(100), 99), chi_square(np.full(100, 7), 99) < 1e-9
    (1.0, True)
    """
    at = edges(len(ranks), draws)
    counts = np.histogram(ranks, at - 0.5)[0]
    return float(stats.chisquare(counts, len(ranks) * np.diff(at) / (draws + 1)).pvalue)


def points(n: int, draws: int) -> np.ndarray:
    """Ranks below which are counted: all of them, or as many as there are data."""
    k = min(n, draws + 1)
    return np.unique(np.round(np.arange(1, k) * (draws + 1) / k).astype(int))


def _least_tail(counts: np.ndarray, n: int, chance: np.ndarray) -> np.ndarray:
    """Smallest two-sided tail probability of counts ``(..., points)`` of ranks below each point, binomial each."""
    tails = np.minimum(stats.binom.cdf(counts, n, chance), stats.binom.sf(counts - 1, n, chance))
    return np.asarray(2.0 * tails.min(axis=-1))


@lru_cache(maxsize=64)
def _null(n: int, draws: int) -> np.ndarray:
    """The smallest tail probabilities of samples of uniform ranks, sorted."""
    at = points(n, draws)
    rng = np.random.default_rng([n, draws])
    sizes = rng.multinomial(n, np.diff([0, *at, draws + 1]) / (draws + 1), size=_NULLS)
    return np.sort(_least_tail(np.cumsum(sizes, axis=1)[:, :-1], n, at / (draws + 1)))


def _counts(ranks: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    at = points(len(ranks), draws)
    return at, np.searchsorted(np.sort(ranks), at, side="left")


def ecdf_p(ranks: np.ndarray, draws: int) -> float:
    """p value of the test that the whole distribution function of ranks is that of uniform ones (Säilynoja, Bürkner & Vehtari 2022).

    The smallest pointwise tail probability, compared with those of 2000 simulated samples; further out than these, times the number of
    points, which no p value exceeds (Bonferroni).
    """
    at, counts = _counts(ranks, draws)
    null, found = _null(len(ranks), draws), float(_least_tail(counts, len(ranks), at / (draws + 1)))
    return float(min((1 + np.searchsorted(null, found, side="right")) / (1 + len(null)), len(at) * found))


def band(n: int, draws: int, prob: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the distribution function of ``n`` uniform ranks stays everywhere with probability ``prob``: fractions, lower, upper."""
    at = points(n, draws)
    gamma = float(np.quantile(_null(n, draws), 1.0 - prob))
    low, high = (stats.binom.ppf(q, n, at / (draws + 1)) / n for q in (gamma / 2, 1.0 - gamma / 2))
    return at / (draws + 1), low, high


def scaled_moments(ranks: np.ndarray, draws: int) -> tuple[float, float]:
    """z scores of the mean and of the variance of ranks: estimates too low (high ranks), posteriors too narrow (large variance)."""
    u = (ranks + 0.5) / (draws + 1)
    n = len(u)
    mean = (u.mean() - 0.5) / np.sqrt(1 / (12 * n))
    spread = (np.mean((u - 0.5) ** 2) - 1 / 12) / np.sqrt(1 / (180 * n))
    return float(mean), float(spread)
