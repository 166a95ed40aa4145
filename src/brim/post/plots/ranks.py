"""Ranks of draws among those of all chains, and their histograms."""

from __future__ import annotations

import numpy as np

__all__ = ["RANK_BINS", "rank_counts", "ranks"]

#: Bins of histograms of ranks.
RANK_BINS = 20


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks among all draws, ties averaged, ``(chains, draws)``.

    Examples
    --------
    >>> ranks(np.array([[3.0, 1.0], [2.0, 4.0]])).tolist()
    [[3.0, 1.0], [2.0, 4.0]]
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, method="average", axis=None)).reshape(values.shape)


def rank_counts(values: np.ndarray, bins: int = RANK_BINS) -> tuple[np.ndarray, np.ndarray]:
    """How many of each chain's ranks ``(chains, draws)`` lie in bins of equal width: counts ``(chains, bins)``, edges ``(bins + 1,)``.

    Examples
    --------
    >>> counts, edges = rank_counts(np.array([[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]), 2)
    >>> counts.tolist(), edges.tolist()
    ([[2, 1], [1, 2]], [0.5, 3.5, 6.5])
    """
    edges = np.linspace(0.5, values.size + 0.5, bins + 1)
    return np.stack([np.histogram(chain, edges)[0] for chain in ranks(values)]), edges
