"""Markov random fields: one coefficient for each region, neighbours drawn towards each other (Rue and Held 2005)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, in_blocks
from brim.errors import BrimError, suggest

__all__ = ["RandomField", "neighbours", "read"]

TOLERANCE = float(np.finfo(float).eps) ** 0.8


@final
@dataclass(frozen=True)
class RandomField(AbstractBasis):
    """``f(region) = b_region`` with the penalty ``b' S b``; of neighbours, ``S = diag(number of neighbours) - adjacency``.

    With fewer coefficients than regions, those of the smallest penalty: eigenvectors of ``S`` in coefficients that make the columns
    orthogonal over the training rows.

    Attributes
    ----------
    regions
        Number of regions, those without data included.
    places
        The region of each level of the covariate.
    k
        Number of coefficients.
    """

    regions: int
    places: tuple[int, ...]
    k: int
    matrix_: np.ndarray = field(compare=False, repr=False)
    maps: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    roughness: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    order: int = 0

    def learn(self, x: np.ndarray) -> Self:
        penalty = self.matrix_
        if self.k == self.regions:
            return replace(self, maps=np.eye(self.regions), roughness=penalty, order=_rank(np.linalg.eigvalsh(penalty)))
        counts = np.bincount(np.array(self.places)[x[:, 0].astype(int)], minlength=self.regions)
        rows = np.maximum(counts, 1.0)  # a region without data counts as one row
        values, vectors = np.linalg.eigh(penalty / np.sqrt(np.outer(rows, rows)))
        values, vectors = values[::-1], vectors[:, ::-1]
        rank, keep, n = _rank(values), np.arange(self.regions - self.k, self.regions), rows.sum()
        maps = vectors / np.sqrt(rows)[:, None] * np.sqrt(n)  # columns of mean square one
        rough = np.where(np.arange(self.regions) < rank, values * n, 0.0)
        return replace(self, maps=maps[:, keep], roughness=np.diag(rough[keep]), order=int((keep < rank).sum()))

    def matrix(self, x: np.ndarray) -> np.ndarray:
        return in_blocks(lambda rows: self.maps[np.array(self.places)[rows[:, 0].astype(int)]], x)

    @property
    def penalty(self) -> np.ndarray:
        return self.roughness

    @property
    def rank(self) -> int:
        return self.order


def _rank(values: np.ndarray) -> int:
    return int((values > TOLERANCE * values.max()).sum())


def neighbours(given: Mapping[Any, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The adjacency matrix of regions, with their names, from each one's neighbours by name or from its corners ``(n, 2)``.

    Regions with a corner in common are neighbours; rows of ``NaN`` separate the rings of one region.

    Examples
    --------
    >>> neighbours({"a": ["b"], "b": ["a", "c"], "c": ["b"]})[0].astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    names = tuple(str(name) for name in given)
    linked = np.zeros((len(names), len(names)))
    areas = [np.asarray(v) for v in given.values()]
    if all(a.ndim == 2 and a.shape[1] == 2 and a.dtype.kind in "fiu" for a in areas):
        corners = [{tuple(p) for p in a[np.isfinite(a).all(axis=1)].tolist()} for a in areas]
        for i, mine in enumerate(corners):
            linked[i] = [i != j and not mine.isdisjoint(other) for j, other in enumerate(corners)]
        return linked, names
    for name, others in zip(names, given.values(), strict=True):
        for other in (others,) if isinstance(others, str) else others:
            if str(other) not in names:
                raise BrimError(f"'{name}' has the neighbour '{other}', which is no region", hint=suggest(str(other), names, "regions"))
            linked[names.index(name), names.index(str(other))] = float(str(other) != name)
    return linked, names


def read(asked: Asked) -> RandomField:
    """``bs = "mrf"`` of one factor with ``xt = list(penalty = )``, ``list(nb = )`` or ``list(polys = )``, names in ``data2``."""
    asked.takes("penalty", "nb", "polys", m=False)
    if asked.d != 1 or not asked.levels[0]:
        raise asked.error('bs = "mrf" is for one factor, the regions', 's(region, bs = "mrf", xt = list(nb = W)) with data2 = {"W": ...}')
    if not asked.extras:
        what = 'bs = "mrf" needs neighbours or a penalty matrix'
        raise asked.error(what, 'give xt = list(nb = W) or xt = list(penalty = P) and data2 = {"W": {"a": ["b"], "b": ["a"]}}')
    levels = asked.levels[0]
    regions = tuple(str(v) for v in asked.knots[0]) if asked.knots else levels
    unknown = [v for v in levels if v not in regions]
    if unknown:
        raise asked.error(f"the data have the region '{unknown[0]}', which the knots leave out")
    if asked.k is not None and asked.k > len(regions):
        raise asked.error(f"k = {asked.k} exceeds the number of regions, {len(regions)}", at="k")
    key = next(name for name in ("penalty", "nb", "polys") if name in asked.extras)
    penalty = _penalty(asked, key, regions)
    return RandomField(len(regions), tuple(regions.index(v) for v in levels), asked.k or len(regions), penalty)


def _penalty(asked: Asked, key: str, regions: tuple[str, ...]) -> np.ndarray:
    """``S`` in the order of the regions."""
    if not isinstance(asked.extras[key], tuple):
        raise asked.error(f"{key} in xt is the name of a matrix in data2", at="xt")
    values, names = asked.extras[key]
    if values.ndim != 2 or values.shape != (len(regions),) * 2:
        hint = f"knots = {{'{asked.names[0]}': [...]}} lists regions without data" if len(values) > len(regions) else None
        raise asked.error(f"{key} is {' x '.join(map(str, values.shape))}, and there are {len(regions)} regions", hint, "xt")
    if names is not None:
        missing = [v for v in regions if v not in names]
        if missing:
            raise asked.error(f"{key} has no row '{missing[0]}'", suggest(missing[0], names, "rows"), "xt")
        order = [names.index(v) for v in regions]
        values = values[np.ix_(order, order)]
    if not np.allclose(values, values.T):
        raise asked.error(f"{key} is not symmetric", at="xt")
    if key == "penalty":
        return np.asarray(values)
    linked = (values != 0) & ~np.eye(len(values), dtype=bool)
    return np.asarray(np.diag(linked.sum(axis=1)) - linked.astype(float))
