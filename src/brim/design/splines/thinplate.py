"""Thin plate regression splines (Wood 2003), isotropic in any number of covariates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np
from scipy.special import gamma

from brim.design.splines.asked import Asked
from brim.design.splines.basis import AbstractBasis, dimension, in_blocks
from brim.design.splines.places import MAX_KNOTS, Eigen, largest, monomials, places, reduced, turned
from brim.errors import BrimError

__all__ = ["ThinPlate", "read"]

SHRINKAGE = 0.1


@final
@dataclass(frozen=True)
class ThinPlate(AbstractBasis):
    """The ``k`` functions that come nearest to the thin plate spline through all distinct covariates.

    With ``E_ij = eta(|x_i - x_j|)`` over distinct covariates and polynomials ``T`` of degree below ``m``, functions are
    ``E U_k Z b + T a``: ``U_k`` are the eigenvectors of the ``k`` eigenvalues ``D_k`` of ``E`` largest in size, ``Z`` spans
    the null space of ``T' U_k``, and the penalty is ``b' Z' D_k Z b``. Columns have mean square one over the training rows.

    Attributes
    ----------
    k
        Dimension, the polynomials included; ``None`` for ``M + 8``, ``M + 27``, ``M + 100`` in one, two, more covariates,
        where ``M`` is the number of polynomials.
    m
        Order of the derivatives in the penalty; ``None`` for the smallest with ``2 m > d + 1``.
    shrink
        Polynomials are penalised too, a tenth as much as the least penalised other function (``bs = "ts"``).
    null
        ``False``: no polynomials (``m = c(m, 0)``), and every column has mean zero.
    given
        Knots of each covariate in place of all distinct covariates, of which ``most`` are drawn with ``seed``.
    """

    k: int | None = None
    m: int | None = None
    shrink: bool = False
    null: bool = True
    given: tuple[np.ndarray, ...] = field(compare=False, default=())
    most: int = MAX_KNOTS
    seed: int = 1
    order: int = 0
    nullity: int = 0
    knots: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    shift: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros(0))
    coefs: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))
    means: Any = field(compare=False, repr=False, default=0.0)
    roughness: np.ndarray = field(compare=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def learn(self, x: np.ndarray) -> Self:
        return self.learned(x)[0]

    def learned(self, x: np.ndarray) -> tuple[Self, np.ndarray]:
        return self.learned_by(x, largest)

    def learned_by(self, x: np.ndarray, eigen: Eigen) -> tuple[Self, np.ndarray]:
        """The learned basis with its matrix; ``eigen (matrix, k)`` gives the ``k`` eigenpairs largest in size, values ascending."""
        d = x.shape[1]
        order = self.m if self.m is not None else (d + 1) // 2 + 1
        if 2 * order <= d:
            raise BrimError(f"m = {order} is too small for a smooth of {d} covariates", hint=f"2 m must be larger than {d}")
        nullity = math.comb(order + d - 1, d)
        k = dimension(self.k or nullity + (8, 27, 100)[min(d, 3) - 1], nullity + 1, x)
        shift = np.mean(x, axis=0, dtype=np.longdouble).astype(float)  # R sums so; signs may hang on the last digit
        given = tuple(v - c for v, c in zip(self.given, shift, strict=True)) if self.given else ()
        knots = places(x - shift, given, self.most, self.seed, k)
        return replace(self, order=order, nullity=nullity, knots=knots, shift=shift)._solved(x, k, eigen)

    def _solved(self, x: np.ndarray, k: int, eigen: Eigen) -> tuple[Self, np.ndarray]:
        """The learned basis with its matrix; all of this is linear, so that the radial functions are evaluated once."""
        # eigenvalues in this order before the QR: the constraint is absorbed as mgcv does it, which the scaling below depends on
        vectors, bends = reduced(self._eta(self.knots), k, eigen)
        null = np.linalg.qr(vectors.T @ self._polynomials(self.knots), mode="complete")[0][:, : self.nullity - 1 : -1]
        rest = k - self.nullity
        coefs = np.zeros((len(self.knots) + self.nullity, k))
        coefs[: len(self.knots), :rest] = vectors @ null
        coefs[len(self.knots) :, rest:] = np.eye(self.nullity)
        rough = np.zeros((k, k))
        rough[:rest, :rest] = turned(bends, null)
        design = replace(self, coefs=coefs).matrix(x)
        size = np.sqrt(np.mean(design**2, axis=0))
        coefs, design, rough = coefs / size, design / size, rough / np.outer(size, size)
        if not self.null:
            means = design[:, :rest].mean(axis=0)
            return replace(self, coefs=coefs[:, :rest], roughness=rough[:rest, :rest], means=means), design[:, :rest] - means
        if self.shrink:
            rough[range(rest, k), range(rest, k)] = SHRINKAGE * np.linalg.eigvalsh(rough[:rest, :rest])[0]
        return replace(self, coefs=coefs, roughness=rough), design

    def product(self, x: np.ndarray, maps: np.ndarray) -> np.ndarray:
        at, n, coefs = x - self.shift, len(self.knots), self.coefs @ maps
        means = np.broadcast_to(self.means, len(maps)) @ maps
        return np.asarray(self._eta(at) @ coefs[:n] + self._polynomials(at) @ coefs[n:] - means)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        def part(rows: np.ndarray) -> np.ndarray:
            at = rows - self.shift
            n = len(self.knots)
            return self._eta(at) @ self.coefs[:n] + self._polynomials(at) @ self.coefs[n:] - self.means

        return in_blocks(part, x)

    @property
    def penalty(self) -> np.ndarray:
        return self.roughness

    @property
    def by_values(self) -> bool:
        return len(self.shift) == 1

    @property
    def rank(self) -> int:
        k = len(self.roughness)
        return k - self.nullity if self.null and not self.shrink else k

    @property
    def centred(self) -> bool:
        return self.null

    def _eta(self, at: np.ndarray) -> np.ndarray:
        """Radial functions of the distances to the knots: ``r^(2m-d)``, times ``log r`` in an even number of dimensions."""
        d, m = self.knots.shape[1], self.order
        constant = 0.5 / (2.0 ** (2 * m - 1) * math.pi ** (d / 2) * math.factorial(m - 1))
        if d == 1:
            distance = np.abs(at - self.knots.T)
            return constant * gamma(0.5 - m) * _power(distance, 2 * m - 1)
        square = sum((a[:, None] - b[None, :]) ** 2 for a, b in zip(at.T, self.knots.T, strict=True))
        if d % 2:
            return constant * gamma(d / 2 - m) * _power(square, m - (d + 1) // 2) * np.sqrt(square)
        constant *= (-1.0) ** (m + 1 + d // 2) / math.factorial(m - d // 2)
        return constant * _power(square, m - d // 2) * np.log(np.where(square > 0, square, 1.0))

    def _polynomials(self, at: np.ndarray) -> np.ndarray:
        return monomials(at, self.order)


def _power(base: np.ndarray, n: int) -> np.ndarray:
    """A small power by multiplication (ten times faster than ``**`` on large arrays)."""
    out = base if n else np.ones_like(base)
    for _ in range(n - 1):
        out = out * base
    return out


def read(asked: Asked) -> ThinPlate:
    """``bs = "tp"`` and ``"ts"`` with ``m``, the order, or ``c(m, 0)`` for no unpenalised functions."""
    asked.takes("max.knots", "seed")
    asked.numeric()
    first, second = asked.orders(2, "an order, or c(order, 0) for no unpenalised functions")
    if second not in (None, 0):
        raise asked.error("m of a thin plate spline is an order, or c(order, 0) for no unpenalised functions", at="m")
    order = asked.whole(first, "the order") if first else None
    return ThinPlate(asked.k, order, asked.bs == "ts", second is None, asked.knots, *asked.places())
