"""Means, medians and median absolute deviations over all rows, those too that are not in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from brim.frames.frame import Frame

__all__ = ["Middle", "Values", "average", "middle"]

_ROWS = 2**20  # evaluated at once

Values = Callable[[Frame], np.ndarray]


class Middle(NamedTuple):
    """The median, and the median of distances from it (not scaled)."""

    median: float
    distance: float


def average(frame: Frame, question: str, values: Values) -> np.ndarray:
    """The mean over all rows of what ``values`` computes of them, (rows, ...); ``question`` names it among what is asked of all rows."""
    if frame.whole is None:
        return _mean(frame.blocks(_ROWS), values)
    return frame.whole.ask(question, lambda blocks: {"mean": _mean(blocks, values)})["mean"]


def _mean(blocks: Iterator[Frame], values: Values) -> np.ndarray:
    total, sums = 0.0, []
    for block in blocks:
        x = np.asarray(values(block), float)
        total += len(x) if block.counts is None else float(block.counts.sum())
        sums.append(x.sum(axis=0) if block.counts is None else np.tensordot(block.counts, x, 1))
    return np.asarray(np.sum(sums, axis=0) / total)


def middle(frame: Frame, question: str, values: Values) -> Middle:
    """Median and MAD of what ``values`` computes of rows, ``NaN`` left out; ``question`` names it among what is asked of all rows."""
    if frame.whole is not None:
        sample = values(frame)[: frame.whole.random]
        found = frame.whole.ask(question, lambda blocks: _over_blocks(blocks, values, sample, frame))
        return Middle(float(found["median"]), float(found["distance"]))
    z = np.array(values(frame), float)  # a copy, partly sorted below: no further ones of large data
    if frame.counts is None:
        z = z[~np.isnan(z)]
        median = _median(z)
        return Middle(median, _median(np.abs(np.subtract(z, median, out=z), out=z)))
    there = ~np.isnan(z)
    z, counts = z[there], frame.counts[there]
    median = _counted_median(z, counts)
    return Middle(median, _counted_median(np.abs(z - median), counts))


def _median(values: np.ndarray) -> float:
    """The median of values without ``NaN``, which are partly sorted in place; ``NaN`` if there is none."""
    n = len(values)
    if n == 0:
        return float("nan")
    values.partition(n // 2)
    high = values[n // 2]
    return float(high if n % 2 else 0.5 * (values[: n // 2].max() + high))


def _counted_median(values: np.ndarray, counts: np.ndarray) -> float:
    """The median of values that occur so often each."""
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    ends = np.cumsum(counts[order])
    n = ends[-1]
    low, high = (values[order][np.searchsorted(ends, place, side="right")] for place in ((n - 1) // 2, n // 2))
    return float(0.5 * (low + high))


# --------------------------------------------------------------------------- rows in blocks


class _Band(NamedTuple):
    """Values between two ends, and how many lie below."""

    below: int
    inside: np.ndarray

    def at(self, place: int) -> float | None:
        """The value of this rank among all, ``None`` if it is not inside."""
        own = place - self.below
        return float(np.partition(self.inside, own)[own]) if 0 <= own < len(self.inside) else None


def _over_blocks(blocks: Iterator[Frame], values: Values, sample: np.ndarray, frame: Frame) -> dict[str, float]:
    """Both in one pass: a sample tells between which ends they lie; a further pass with wider ends where it does not."""
    assert frame.whole is not None
    share = 4.0 * 0.5 / np.sqrt(max(len(sample), 1)) + 2.0 / max(len(sample), 1)
    while True:
        found = _in_bands(blocks, values, sample, share)
        if found is not None:
            return found
        share, blocks = (4.0 * share if share < 0.5 else np.inf), frame.whole.rows("a median")


def _ends(sample: np.ndarray, share: float) -> tuple[float, float]:
    """Between which values the median of all is, but for a chance of one in ten thousand."""
    if share >= 0.5 or not len(sample):
        return -np.inf, np.inf
    low, high = np.quantile(sample, [0.5 - share, 0.5 + share])
    return float(low), float(high)


def _in_bands(blocks: Iterator[Frame], values: Values, sample: np.ndarray, share: float) -> dict[str, float] | None:
    guess = float(np.median(sample)) if len(sample) else 0.0
    low, high = _ends(sample, share)
    room = max(high - guess, guess - low)
    near, far = _ends(np.abs(sample - guess), share)
    n = below = close = 0
    inside: list[np.ndarray] = []
    around: list[np.ndarray] = []
    for block in blocks:
        z = np.asarray(values(block), float)
        distance = np.abs(z - guess)
        n += len(z)
        below += int(np.count_nonzero(z < low))
        close += int(np.count_nonzero(distance < near - room))
        inside.append(z[(z >= low) & (z <= high)])
        around.append(z[(distance >= near - room) & (distance <= far + room)])
    places = ((n - 1) // 2, n // 2)
    band = _Band(below, np.concatenate(inside))
    found = [band.at(place) for place in places]
    if None in found:
        return None
    median = 0.5 * sum(v for v in found if v is not None)
    ring = _Band(close, np.abs(np.concatenate(around) - median))
    # values left out lie below ``near`` or above ``far`` whatever the median in its band: what is found between them is right
    distances = [ring.at(place) for place in places]
    if any(d is None or not near <= d <= far for d in distances):
        return None
    return {"median": median, "distance": 0.5 * sum(d for d in distances if d is not None)}
