"""Where the chains of a mixture start: its components at clusters of the response.

From a random point a chain may end where a component is empty or two share a cluster. Clusters of the response itself (k-means in one
dimension, on a scale where its spread is about even) are where components are looked for instead; only starts depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from brim.compile.session import float64
from brim.families.kinds import Kind
from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.model.model import Model, ResponseModel
from brim.parameters.param import Param
from brim.terms.population import Population

__all__ = ["clusters", "component_starts"]

ROUNDS = 50
ORDERS = 24  # assignments of components to clusters that are tried
SCALED = {"count": np.sqrt, "positive": np.log}


def component_starts(model: Model, frame: Frame) -> tuple[np.ndarray, ...]:
    """Points to start from, one for each way to assign components to clusters; none where the model has no mixture."""
    values: list[dict[str, np.ndarray]] = [{}]
    for r in model.responses:
        found = _of_response(model, r, frame) if r.family.components else []
        values = [{**old, **new} for old in values for new in found or [{}]][:ORDERS]
    with float64():
        return tuple(model.layout.point(v) for v in values if v)


def clusters(z: np.ndarray, k: int) -> np.ndarray:
    """The number of the cluster of each value, from 0, in ascending order: k-means from quantiles.

    Examples
    --------
    >>> clusters(np.array([5.0, -5.2, 5.1, 0.0, -5.0]), 3)
    array([2, 0, 2, 1, 0])
    """
    centres = np.quantile(np.unique(z), (np.arange(k) + 0.5) / k)
    for _ in range(ROUNDS):
        code = np.searchsorted(0.5 * (centres[1:] + centres[:-1]), z)
        new = np.sort([z[code == j].mean() if np.any(code == j) else centres[j] for j in range(k)])
        if np.array_equal(new, centres):
            break
        centres = new
    return np.asarray(code)


def _of_response(model: Model, r: ResponseModel, frame: Frame) -> list[dict[str, np.ndarray]]:
    """Values of intercepts, residual scales and proportions, by parameter, for each assignment."""
    data = r.response.design(r.response.kept(frame), r.family)
    y = np.asarray(data["y"], float)
    y = y[np.isfinite(y)] if y.ndim == 1 else y
    k, kind = len(r.family.components), r.family.kind
    if kind not in (Kind.REAL, Kind.POSITIVE, Kind.COUNT) or "trials" in data or len(np.unique(y)) < 2 * k:
        return []
    code = clusters(SCALED.get(kind, np.asarray)(y), k)
    each = range(k)
    ordered = r.family.options.get("order") == "mu"
    ways = [tuple(each)] if ordered else list(permutations(each))[:ORDERS]
    return [_values({p.name: p for p in model.params}, r, [y[code == j] for j in way]) for way in ways]


def _values(params: Mapping[str, Param], r: ResponseModel, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of components that are these parts of the response."""
    out: dict[str, np.ndarray] = {}
    intercepts = []
    for k, (part, family) in enumerate(zip(parts, r.family.components, strict=True)):
        mine = np.log(part) if family.logscale else part
        predictor = r.predictor(f"mu{k + 1}")
        main = next((t for t in predictor.terms if isinstance(t, Population)), None) if predictor is not None else None
        link = r.family.links[f"mu{k + 1}"]
        if main is not None and main.intercept:
            intercepts.append((main.intercept_key, _linked(float(mine.mean()), link)))
        scale = next((s.key for s in r.scalars if s.name == f"sigma{k + 1}"), "")
        if scale in params and len(np.unique(mine)) > 1:
            out[scale] = np.array(mine.std())
    together = (
        next((p for p in params.values() if p.space == "ordered" and p.name == f"ordered_{intercepts[0][0]}"), None) if intercepts else None
    )
    if together is not None:
        out[together.name] = np.array([value for _, value in intercepts])
    else:
        out |= {name: np.array(value) for name, value in intercepts}
    theta = next((p for p in params.values() if p.space == "simplex" and p.name == f"theta{f'_{r.resp}' * bool(r.resp)}"), None)
    if theta is not None:
        out[theta.name] = np.array([len(part) for part in parts]) / sum(map(len, parts))
    return out


def _linked(mean: float, link: str) -> float:
    with float64():
        return float(LINKS[link].forward(np.float64(mean)))
