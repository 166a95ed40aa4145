"""Criteria of a fit (``add_criterion``) as JSON and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from brim.post.comparison.compare import CRITERIA

__all__ = ["describe", "pointwise_arrays", "rebuild"]

#: What is kept of each observation, where there is it.
_ARRAYS = ("elpd_i", "p_i", "pareto_k")
#: What of a subsample of rows is more than sums of these.
_SUMS = ("elpd", "se", "p", "subsampling_se")


def describe(criteria: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The part of each criterion that is not an array; ``arrays`` names its arrays."""
    return {name: _told(name, one) for name, one in criteria.items()}


def _told(name: str, one: Any) -> dict[str, Any]:
    if name == "marglik":
        return {"arrays": [], "bridge": asdict(one)}
    if name not in CRITERIA:
        return {"arrays": ["draws"], "columns": list(one.columns)}
    return {
        "kind": one.kind,
        "samples": int(one.n_samples),
        "good_k": float(one.good_k),
        "warning": bool(one.warning),
        "n_folds": None if one.n_folds is None else int(one.n_folds),
        "response": [one.response[0], one.response[1].hex()],
        "arrays": [a for a in _ARRAYS if getattr(one, a) is not None],
        "dim": str(one.elpd_i.dims[0]),
        **(
            {"sums": {name: float(getattr(one, name)) for name in _SUMS}, "subsample": int(one.subsample_size)}
            if one.subsample_size
            else {}
        ),
    }


def pointwise_arrays(criteria: Mapping[str, Any]) -> list[np.ndarray]:
    """Arrays of all criteria, in the order of ``describe``."""
    out: list[np.ndarray] = []
    for name, one in criteria.items():
        if name in CRITERIA:
            out += [np.asarray(getattr(one, a)) for a in _ARRAYS if getattr(one, a) is not None]
        elif name != "marglik":
            out.append(one.to_numpy())
    return out


def rebuild(described: Mapping[str, Mapping[str, Any]], arrays: list[np.ndarray]) -> dict[str, Any]:
    """The criteria from both."""
    remaining = iter(arrays)
    return {name: _one(name, one, {a: next(remaining) for a in one["arrays"]}) for name, one in described.items()}


def _one(name: str, one: Mapping[str, Any], values: dict[str, np.ndarray]) -> Any:
    if name == "marglik":
        from brim.post.comparison.bridge import Bridge

        return Bridge(**one["bridge"])
    if name not in CRITERIA:
        import pandas as pd

        return pd.DataFrame(values["draws"], columns=one["columns"])
    from brim.post.comparison.elpd import total

    resp, digest = one["response"]
    found = total(
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
    if "subsample" not in one:
        return found
    chosen = np.flatnonzero(~np.isnan(np.ravel(found.elpd_i)))
    return replace(found, **one["sums"], subsample_size=one["subsample"], loo_subsample_observations=chosen)
