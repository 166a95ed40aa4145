"""Adaptive Gauss-Hermite quadrature over one scalar effect a level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import logsumexp

from brim.errors import BrimError
from brim.lme4.laplace import Laplace, Mode

__all__ = ["Quadrature"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Quadrature:
    """``-2 sum_j log int exp(-(d_j(u) + u^2) / 2) phi`` by ``points`` nodes around each mode; ``d_j`` are deviances, as in lme4."""

    laplace: Laplace
    points: int

    def __post_init__(self) -> None:
        factors = self.laplace.pattern.factors
        if len(factors) != 1 or factors[0].k != 1:
            raise BrimError("nAGQ > 1 needs a single grouping factor with a varying intercept", hint="use nAGQ=1, Laplace's approximation")

    def value(self, mode: Mode) -> float:
        law, factor = self.laplace, self.laplace.pattern.factors[0]
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.points)
        weights = np.log(weights / np.sqrt(2.0 * np.pi))
        u, low = mode.spherical[0][:, 0], mode.factorisation.loadings[0][0, 0]
        spread = np.sqrt(mode.factorisation.inverses[0][:, 0, 0])
        fixed, z = law.x @ mode.beta + law.offset, factor.columns[0]
        logs = np.empty((self.points, factor.size))
        for k, (node, weight) in enumerate(zip(nodes, weights, strict=True)):
            here = u + spread * node
            mu = law.family.link.inverse(fixed + z * low * here[factor.codes])
            d = np.bincount(factor.codes, law.family.deviances(law.y, mu, law.weights), factor.size)
            logs[k] = weight + 0.5 * node * node - 0.5 * (d + here * here)
        return float(-2.0 * (logsumexp(logs, axis=0) + np.log(spread)).sum())

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Value, and gradient by central differences."""
        m = self.laplace.m

        def at(p: Array) -> float:
            with np.errstate(all="ignore"):
                return self.value(self.laplace.mode(p[:m], p[m:]))

        steps = np.diag(1e-4 * np.maximum(np.abs(parameters), 0.1))
        each = [
            (8 * (at(parameters + h) - at(parameters - h)) - (at(parameters + 2 * h) - at(parameters - 2 * h))) / (12 * h.max())
            for h in steps
        ]
        return at(parameters), np.array(each)
