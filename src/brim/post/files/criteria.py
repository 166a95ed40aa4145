"""Criteria of a fit (``add_criterion``) as JSON and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["describe", "pointwise_arrays", "rebuild"]

#: What is kept of each observation, where there is it.
_ARRAYS = ("elpd_i", "p_i", "pareto_k")


def describe(criteria: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The part of each criterion that is not an array."""
    return {
        name: {
            "kind": one.kind,
            "samples": int(one.n_samples),
            "good_k": float(one.good_k),
            "warning": bool(one.warning),
            "n_folds": None if one.n_folds is None else int(one.n_folds),
            "response": [one.response[0], one.response[1].hex()],
            "arrays": [a for a in _ARRAYS if getattr(one, a) is not None],
            "dim": str(one.elpd_i.dims[0]),
        }
        for name, one in criteria.items()
    }


def pointwise_arrays(criteria: Mapping[str, Any]) -> list[np.ndarray]:
    """Arrays of all criteria, in the order of ``describe``."""
    return [np.asarray(getattr(one, a)) for one in criteria.values() for a in _ARRAYS if getattr(one, a) is not None]


def rebuild(described: Mapping[str, Mapping[str, Any]], arrays: list[np.ndarray]) -> dict[str, Any]:
    """The criteria from both."""
    if not described:
        return {}
    from brim.post.comparison.elpd import total

    remaining = iter(arrays)
    out = {}
    for name, one in described.items():
        values = {a: next(remaining) for a in one["arrays"]}
        resp, digest = one["response"]
        out[name] = total(
            one["kind"],
            values.pop("elpd_i"),
            values.pop("p_i"),
            one["samples"],
            (resp, bytes.fromhex(digest)),
            one["dim"],
            good_k=one["good_k"],
            warning=one["warning"],
            n_folds=one["n_folds"],
            **values,
        )
    return out
