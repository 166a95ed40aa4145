"""What new rows have to do with series of the training data: the same points, or later ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from brim.design.expressions import Expression
from brim.errors import warn
from brim.frames.columns import Factor
from brim.frames.frame import Frame
from brim.language.expand import chain, deparse, fault
from brim.terms.base import Design
from brim.terms.residuals.series import Series

__all__ = ["Past"]

Points = dict[Hashable, dict[Hashable, int]]


@dataclass(frozen=True)
class Past:
    """The points of the training data by the values of their group and time, numbered by series and time.

    Attributes
    ----------
    points
        Group -> time -> number; times in their order.
    levels
        The order of times that are levels of a factor.
    size
        How many there are.
    """

    series: Series
    points: Points
    levels: tuple[str, ...]
    size: int

    @staticmethod
    def of(series: Series, frame: Frame, grid: np.ndarray) -> Past:
        """Those of the training data, whose rows by series and time are ``grid``."""
        if series.time is None:
            return Past(series, {}, (), frame.n)
        groups, times, levels = _groups(series, frame), *_times(series, frame)
        points: Points = {}
        for number, row in enumerate(grid[grid >= 0]):
            points.setdefault(groups[row], {})[times[row]] = number
        return Past(series, points, levels, frame.n)

    def design(self, frame: Frame, lags: int, ordered: bool, places: Callable[[Sequence[Hashable]], np.ndarray]) -> Design:
        """The arrays of new data.

        ``at``: the number of each row's point, new ones numbered after those of the training data; ``new``: as many zeros as there are
        new points; ``lags`` (lags, rows): the numbers of the points before, -1 where there are none; ``past`` and ``places``: for each
        series with new points the numbers, training data's first, and where they stand (``places`` of the times in their order).
        ``ordered``: it matters how many points lie between two.
        """
        groups, times, rank = self._keys(frame)
        new = self._new(groups, times, rank, ordered)
        numbers = {g: {**self.points.get(g, {}), **new.get(g, {})} for g in dict.fromkeys(groups)}
        order = {g: sorted(points, key=rank.__getitem__) for g, points in numbers.items()}
        at = np.array([numbers[g][t] for g, t in zip(groups, times, strict=True)], np.int32)
        out: Design = {"at": at, "new": np.zeros(sum(map(len, new.values())))}
        if lags:
            before = {numbers[g][t]: [numbers[g][s] for s in order[g][:i]][::-1] for g in order for i, t in enumerate(order[g])}
            out["lags"] = np.array([(before[n][:lags] + [-1] * lags)[:lags] for n in at], np.int32).reshape(len(at), lags).T
        longest = max((len(numbers[g]) for g in new), default=0)
        past, standing = np.full((2, len(new), longest), -1, np.int32)
        for i, g in enumerate(new):
            place = dict(zip(order[g], places(order[g]), strict=True))
            past[i, : len(numbers[g])] = list(numbers[g].values())
            standing[i, : len(numbers[g])] = [place[t] for t in numbers[g]]
        return {**out, "past": past, "places": np.maximum(standing, 0)}

    def _keys(self, frame: Frame) -> tuple[list[Hashable], list[Hashable], dict[Hashable, float]]:
        """Group and time of each row, and what times are ordered by."""
        groups = _groups(self.series, frame)
        if self.series.time is None:
            warn(
                f"{deparse(self.series.call)} has no time: rows of new data are series of their own, without the past of the training data"
            )
            return [("new", g) for g in groups], list(range(frame.n)), {i: float(i) for i in range(frame.n)}
        times, levels = _times(self.series, frame)
        if not (self.levels or levels):
            return groups, times, {t: float(t) for points in (*self.points.values(), dict.fromkeys(times, 0)) for t in points}  # type: ignore[arg-type]
        return groups, times, {t: float(i) for i, t in enumerate(dict.fromkeys((*self.levels, *levels)))}

    def _new(self, groups: list[Hashable], times: list[Hashable], rank: dict[Hashable, float], ordered: bool) -> Points:
        """The points that the training data lack, numbered, the later the higher."""
        lacking = dict.fromkeys((g, t) for g, t in zip(groups, times, strict=True) if t not in self.points.get(g, {}))
        out: Points = {}
        for number, (g, t) in enumerate(sorted(lacking, key=lambda key: rank[key[1]])):
            known = [rank[s] for s in self.points.get(g, {})]
            if ordered and known and known[0] < rank[t] < known[-1]:
                what = f"newdata: time {t} lies between times of its series in the training data"
                raise fault(self.series.call, what, "predict for times of the training data, or before or after all of them")
            out.setdefault(g, {})[t] = self.size + number
        return out


def _groups(series: Series, frame: Frame) -> list[Hashable]:
    """The values of each row's group."""
    if series.group is None:
        return [()] * frame.n
    values = [Expression(part).learn(frame).value(frame) for part in chain(series.group, ":")]
    columns = [v.labels if isinstance(v, Factor) else np.asarray(v) for v in values]
    return [tuple(c[i] for c in columns) for i in range(frame.n)]


def _times(series: Series, frame: Frame) -> tuple[list[Hashable], tuple[str, ...]]:
    """The values of each row's time, and their order where they are levels."""
    assert series.time is not None
    value = Expression(series.time).learn(frame).value(frame)
    if isinstance(value, Factor):
        return list(value.labels), value.levels
    return np.asarray(value, float).tolist(), ()
