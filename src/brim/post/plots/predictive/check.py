"""What a posterior predictive check compares: observed and replicated responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from brim.post.censoring import Censoring

__all__ = ["HANG", "OBSERVED", "REPLICATED", "STATS", "STAT_LABELS", "CheckData"]

OBSERVED, REPLICATED = "observed", "replicated"

#: How a rootogram's bars stand.
HANG = ("standing", "hanging", "suspended")

#: Statistics by name.
STATS: Mapping[str, Callable[[np.ndarray], Any]] = {
    "mean": lambda a: np.mean(a, axis=-1),
    "median": lambda a: np.median(a, axis=-1),
    "sd": lambda a: np.std(a, axis=-1, ddof=1),
    "var": lambda a: np.var(a, axis=-1, ddof=1),
    "mad": lambda a: 1.4826 * np.median(np.abs(a - np.median(a, axis=-1, keepdims=True)), axis=-1),
    "min": lambda a: np.min(a, axis=-1),
    "max": lambda a: np.max(a, axis=-1),
    "q5": lambda a: np.quantile(a, 0.05, axis=-1),
    "q25": lambda a: np.quantile(a, 0.25, axis=-1),
    "q75": lambda a: np.quantile(a, 0.75, axis=-1),
    "q95": lambda a: np.quantile(a, 0.95, axis=-1),
    "prop_zero": lambda a: np.mean(a == 0, axis=-1),
}


STAT_LABELS = {"mean": "Mean", "median": "Median", "sd": "SD", "var": "Variance", "mad": "MAD", "min": "Minimum", "max": "Maximum"} | {
    **{f"q{p}": f"{p} % quantile" for p in (5, 25, 75, 95)},
    "prop_zero": "Share of zeros",
}


@dataclass(frozen=True)
class CheckData:
    """What is compared.

    Attributes
    ----------
    y, yrep
        Observed responses ``(rows,)`` and replicated ones ``(draws, rows)``.
    label
        The response's name.
    discrete
        Whether responses are whole numbers few enough to be shown one by one.
    window
        The range of the observed and nearly all replicated responses: one wild draw does not hide the rest.
    bounds
        Where densities end.
    levels
        Names of the categories, by the number that stands for them; empty for numbers.
    x, x_label
        A predictor for the x axis, or the number of the observation.
    stats
        The statistics of ``stat`` (one) and ``stat_2d`` (two).
    prob, prob_outer
        Probabilities of the thick and thin intervals.
    bins
        Bins of histograms.
    log_weights
        Of the draws without each observation, ``(draws, rows)``, for the ``loo_`` types.
    censored
        How responses are censored; ``None`` where all are exact.
    entered
        ``(rows,)``, where the window of each response begins (``entry()``, ``trunc(lb = )``); ``None`` where all are seen from the start.
    hang
        How a rootogram's bars stand: ``standing``, ``hanging`` from the expected counts, or ``suspended``.
    """

    y: np.ndarray
    yrep: np.ndarray
    label: str
    window: tuple[float, float]
    discrete: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    levels: Mapping[int, str] = field(default_factory=dict)
    x: np.ndarray | None = None
    x_label: str = "Observation"
    stats: tuple[tuple[str, Callable[[np.ndarray], Any]], ...] = field(default=())
    prob: float = 0.5
    prob_outer: float = 0.9
    bins: int = 30
    log_weights: np.ndarray | None = None
    censored: Censoring | None = None
    entered: np.ndarray | None = None
    hang: str = "standing"

    @property
    def over(self) -> str:
        """The x axis of what is drawn over ``x``, or else over the observations."""
        return f"Observed {self.label}" if self.x is None else self.x_label

    def rows(self, keep: np.ndarray) -> CheckData:
        """The check of some rows."""
        at = np.flatnonzero(keep) if keep.dtype == bool else keep
        return replace(
            self,
            y=self.y[at],
            yrep=self.yrep[:, at],
            x=None if self.x is None else self.x[at],
            censored=None if self.censored is None else self.censored.rows(at),
            entered=None if self.entered is None else self.entered[at],
            log_weights=None if self.log_weights is None else self.log_weights[:, at],
        )
