"""Where a surface is needed: the box of ratios that holds the posterior, found from the surface itself, and how well it is known there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from brim.compile.session import float64
from brim.coordinates.crossed.exact import Exact
from brim.coordinates.crossed.likely import likely
from brim.coordinates.crossed.ratios import RoughError
from brim.coordinates.crossed.surface import POINTS, Surface, degrees, evaluate, fitted
from brim.infer.approximate.evaluate import Density
from brim.infer.approximate.laplace import Laplace, laplace
from brim.infer.target import Target

__all__ = ["settled"]

Array = np.ndarray

ROUNDS = 8
WIDTHS = 6.0  # posterior standard deviations to either side of the mode that a box has at first
LEAST = 0.03  # half-width of a box
MOST = 4.0
DROP = 14.0  # log density at the faces of the box below that of the mode
COARSE, FINE = 1e-3, 1e-5  # errors of surfaces, relative to the largest coefficient, while the box is sought, and then
TESTS = 12  # draws that the surface is compared at
CLOSE = 1e-2  # largest error of the log density there
FINER = 1e-2


def settled(integral: Any, target: Target) -> Any:
    """An integral with its surface.

    Raises
    ------
    RoughError
        Where that is no good.
    """
    exact: Exact = integral.effects.exact
    ratios = _Ratios(integral, target)
    center, sd = likely(exact)
    low, high = center - WIDTHS * sd, center + WIDTHS * sd
    found, start = None, None
    for _ in range(ROUNDS):
        surface = _surface(exact, low, high, COARSE)
        found = ratios.mode(surface, start)
        mode, spread = ratios.at(found.mode), ratios.covariance(found)
        start, sd = found.mode, np.sqrt(np.diag(spread))
        if np.all(np.abs(mode - center) < sd) and np.all(high - low > 1.8 * WIDTHS * sd):
            wide = ratios.widened(surface, found, low, high)
            if wide is None:
                break
            low, high = wide
        else:
            low, high = mode - WIDTHS * sd, mode + WIDTHS * sd
        center = mode
    else:
        raise RoughError
    return _finest(integral, ratios, found, low, high)


def _finest(integral: Any, ratios: _Ratios, found: Laplace, low: Array, high: Array) -> Any:
    """The integral with a surface that is close to exact values at draws around the mode."""
    exact, error = integral.effects.exact, FINE
    rng = np.random.default_rng(1)
    q = found.mode + rng.standard_normal((TESTS, len(found.mode))) @ np.linalg.cholesky(found.covariance).T
    points = [ratios.read(one) for one in q]
    known = exact.values(np.array([u for u, _ in points]))
    for _ in range(3):
        surface = _surface(exact, low, high, error)
        about = np.array([_value(surface, u) for u, _ in points])
        off = max(_difference(a, b, v) for a, b, (_, v) in zip(about, known, points, strict=True))
        if off < CLOSE:
            break
        error *= FINER
    else:
        raise RoughError
    count = POINTS * int(np.count_nonzero(np.any(surface.factors != 0.0, axis=1)))
    note = f"their integral a surface through {count} exact values, {off:.0e} off in log density"
    own = integral.data["integral"]._replace(surface=surface)
    data = {**integral.data, "integral": own}
    effects = replace(integral.effects, near=exact.factorise(ratios.at(found.mode)), note=note)
    return replace(integral, data=data, completion=data, effects=effects)


def _difference(a: Array, b: Array, v: Array) -> float:
    """Of two log densities."""
    gap = a - b
    size = len(v)
    return float(0.5 * abs(gap[0] + v @ gap[1:].reshape(size, size) @ v)) if np.isfinite(gap).all() else np.inf


def _surface(exact: Exact, low: Array, high: Array, error: float) -> Surface:
    half = np.maximum(0.5 * (high - low), LEAST)
    powers = degrees(half, error) if np.all(half < MOST) else None
    if powers is None:
        raise RoughError
    return fitted(0.5 * (low + high), half, powers, exact.values, 1)


class _Ratios:
    """The target's density for one surface or another, and ratios as functions of its coordinates."""

    def __init__(self, integral: Any, target: Target) -> None:
        self.integral, self.target = integral, target
        self.function = integral.ratios

    def density(self, surface: Surface) -> Density:
        """With that surface."""
        own = self.integral.data["integral"]._replace(surface=surface)
        return Density(replace(self.target, data={**self.integral.data, "integral": own}))

    def read(self, q: Array) -> tuple[Array, Array]:
        """``u`` and ``v``."""
        with float64():
            u, v = self.function(q, self.integral.data)
        return np.asarray(u), np.asarray(v)

    def at(self, q: Array) -> Array:
        """``u``."""
        return self.read(q)[0]

    def mode(self, surface: Surface, start: Array | None) -> Laplace:
        """Mode of the density, from there or the centre."""
        density = self.density(surface)
        q = self.target.first(np.random.default_rng(1), 0) if start is None else start
        found = laplace(density, q)
        if found is None:
            raise RoughError
        return found

    def covariance(self, found: Laplace) -> Array:
        """Of the ratios."""
        slopes = self.slopes(found.mode)
        return slopes @ found.covariance @ slopes.T

    def slopes(self, q: Array) -> Array:
        """``du / dq``."""
        with float64():
            return np.asarray(jax.jacfwd(lambda x: self.function(x, self.integral.data)[0])(q))

    def widened(self, surface: Surface, found: Laplace, low: Array, high: Array) -> tuple[Array, Array] | None:
        """The box with the sides moved where the density has not fallen enough; ``None``: nowhere.

        Along each ratio the other coordinates go where the curvature at the mode says.
        """
        density, mode, slopes = self.density(surface), self.at(found.mode), self.slopes(found.mode)
        along = found.covariance @ slopes.T / np.diag(self.covariance(found))
        low, high, moved = low.copy(), high.copy(), False
        for i in range(len(mode)):
            for face in (low, high):
                q = found.mode + along[:, i] * (face[i] - mode[i])
                if found.lp - density(q)[0] < DROP:
                    face[i] += 0.4 * (face[i] - mode[i])
                    moved = True
        return (low, high) if moved else None


def _value(surface: Surface, u: Array) -> Array:
    with float64():
        log_det, forms, _ = evaluate(surface, u)
    return np.append(np.asarray(log_det), np.ravel(np.asarray(forms)))
