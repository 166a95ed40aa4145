"""Fits on the boundary: standard deviations of zero made exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from brim.lme4.optimise import Minimum, minimise

__all__ = ["SINGULAR", "settle"]

Array = np.ndarray

#: A standard deviation (over the residual's, of columns with mean square 1) below which lme4 calls a fit singular.
SINGULAR = 1e-4


def settle(criterion: Callable[[Array], tuple[float, Array]], found: Minimum, sds: Sequence[int], tolerance: float) -> Minimum:
    """The minimum with the ``theta`` that are all but zero set to zero, where that raises the criterion by rounding only.

    The criterion is even in each of these, so that zero is a stationary point: the others are minimised again with them held there.
    """
    small = [i for i in sds if abs(found.x[i]) < 30 * SINGULAR]
    if not small:
        return found
    free = np.setdiff1d(np.arange(len(found.x)), small)

    def held(part: Array) -> tuple[float, Array]:
        theta = np.zeros(len(found.x))
        theta[free] = part
        value, gradient = criterion(theta)
        return value, gradient[free]

    again = minimise(held, found.x[free], tolerance)
    count = found.evaluations + again.evaluations
    if again.value > found.value + 1e-9:
        return replace(found, evaluations=count)
    theta = np.zeros(len(found.x))
    theta[free] = again.x
    return replace(again, x=theta, gradient=criterion(theta)[1], evaluations=count)
