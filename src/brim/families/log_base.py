"""What no parameter enters of the likelihood of counts, once for all gradients: it takes longer than the rest of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["of_counts", "of_parts", "of_successes"]

_MOST = 1e6  # trials, above which differences of logarithms of factorials have few digits after the point

Data = Mapping[str, Any]


def _log_factorials(y: np.ndarray) -> np.ndarray:
    """``log(y!)`` of whole numbers, ``NaN`` of others."""
    values, at = np.unique(y, return_inverse=True)
    fine = (values >= 0.0) & (values < 1e300) & (values == np.floor(values))
    each = [math.lgamma(v + 1.0) if ok else math.nan for v, ok in zip(values.tolist(), fine, strict=True)]
    return np.array(each, float)[at].reshape(np.shape(y))


def _if_known(out: np.ndarray) -> np.ndarray | None:
    return out if np.isfinite(out).all() else None


def of_counts(y: np.ndarray, data: Data) -> np.ndarray | None:
    """``-log(y!)``."""
    return _if_known(-_log_factorials(y))


def of_successes(y: np.ndarray, data: Data) -> np.ndarray | None:
    """``log(trials! / (y! (trials - y)!))``."""
    trials = np.broadcast_to(np.asarray(data.get("trials", 1.0), float), y.shape)
    if trials.max(initial=0.0) > _MOST:
        return None
    return _if_known(_log_factorials(trials) - _log_factorials(y) - _log_factorials(trials - y))


def of_parts(y: np.ndarray, data: Data) -> np.ndarray | None:
    """``log(trials! / prod_k y_k!)``."""
    trials = np.asarray(data["trials"], float)
    if trials.max(initial=0.0) > _MOST:
        return None
    return _if_known(_log_factorials(trials) - _log_factorials(y).sum(axis=-1))
