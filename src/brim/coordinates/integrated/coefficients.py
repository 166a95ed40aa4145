"""Population coefficients with normal or flat priors, integrated out of a Gaussian model as one more latent vector.

With ``b = ref + W e`` (``directions``) the prior of ``e`` is ``exp(c + s' e - e' P e / 2)``: what the integral over effects takes, with
``P`` in place of the identity and ``s`` beside what the data say. A flat prior has no part in ``P`` and ``s``; the integral is then that
over all coefficients, as of restricted maximum likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brim.coordinates.directions import Directions, NormalPriors, directions
from brim.model.model import Model
from brim.parameters.param import Param
from brim.terms.base import AbstractTerm

__all__ = ["Basis", "Coefficients", "Told", "basis", "linear_coefficients", "normal_elements", "normal_priors"]

_NORMAL = ("normal", "std_normal", "flat")


@dataclass(frozen=True)
class Coefficients:
    """Elements of one parameter that a linear term multiplies its columns with.

    Attributes
    ----------
    name
        The parameter.
    index
        Which of its elements.
    term
        The key of the term.
    columns
        Which of the term's columns, one an element.
    """

    name: str
    index: tuple[int, ...]
    term: str
    columns: tuple[int, ...]


class Told(NamedTuple):
    """The prior of ``e`` up to a factor: the diagonal of ``P``, ``s``, and ``c`` with the map's ``log |det W|``."""

    precision: Any
    shift: Any
    constant: Any


@dataclass(frozen=True)
class Basis:
    """``b = ref + W e``.

    Attributes
    ----------
    prior
        The priors of ``b``.
    ref
        About the posterior mean (m,).
    map, log_det
        ``W`` (m, m), and ``log |det W|``.
    precision
        The diagonal of ``P``; its matrix before ``turned``.
    units
        What one step of each coordinate of the model is.
    """

    prior: NormalPriors
    ref: np.ndarray
    map: np.ndarray
    log_det: float
    precision: np.ndarray
    units: np.ndarray

    @property
    def told(self) -> Told:
        """What the integral takes."""
        away = np.where(np.isfinite(self.prior.scale), self.prior.loc - self.ref, 0.0) * self.prior.root
        constant = self.prior.log_constant - 0.5 * float(away @ away) + self.log_det + 0.5 * math.log(2 * math.pi) * len(self.ref)
        return Told(self.precision, (away * self.prior.root) @ self.map, np.float64(constant))

    def turned(self, gram: np.ndarray) -> tuple[Basis, np.ndarray]:
        """In directions in which these products of the columns, ``W' X'X W``, are diagonal; and the turn, ``W`` of the new by the old."""
        values, vectors = np.linalg.eigh(gram)
        size = float(values[-1]) or 1.0
        found = directions(np.sqrt(np.maximum(values, 0.0) / size)[:, None] * vectors.T, self.prior.root[:, None] * self.map)
        assert found is not None, "directions that tell coefficients apart stay so"
        new = Basis(self.prior, self.ref, self.map @ found.map, self.log_det + found.log_det, found.precision, self.units)
        return new, found.map

    def coordinates(self, e: np.ndarray) -> tuple[np.ndarray, float]:
        """The model's coordinates of ``b`` at draws of ``e`` (draws, m), and what their log density gains."""
        return (self.ref + e @ self.map.T) / self.units, float(np.log(self.units).sum()) - self.log_det


def linear_coefficients(model: Model, terms: Iterable[AbstractTerm], which: Callable[[Param], tuple[int, ...]]) -> tuple[Coefficients, ...]:
    """The elements of parameters that these terms multiply columns with, ``which`` of each."""
    by_name, out = {p.name: p for p in model.params}, []
    for term in terms:
        at = 0
        for name, size in term.linear.sampled_as() if term.linear is not None else ():
            able = which(by_name[name]) if name in by_name else ()  # others are made up of parameters: those of shrinkage priors
            if able:
                out.append(Coefficients(name, able, term.key, tuple(at + i for i in able)))
            at += size
    return tuple(out)


def normal_elements(p: Param) -> tuple[int, ...]:
    """Elements of a parameter with a normal or a flat prior and no bounds, that are not constant."""
    if p.space != "real" or p.lb is not None or p.ub is not None or p.special or not p.in_lprior:
        return ()
    laws = {i: piece for piece in p.pieces for i in p.elements(piece)}
    return tuple(i for i in p.free if i not in laws or (laws[i].law in _NORMAL and laws[i].log_mass == 0.0))


def normal_priors(params: Mapping[str, Param], coefficients: Iterable[Coefficients]) -> tuple[NormalPriors, np.ndarray]:
    """Their priors, and the units of their coordinates."""
    loc, scale, units = [], [], []
    for c in coefficients:
        p = params[c.name]
        for i in c.index:
            piece = p.piece_of(i)
            args = (0.0, math.inf) if piece is None else {"flat": (0.0, math.inf), "std_normal": (0.0, 1.0)}.get(piece.law, piece.args)
            loc.append(float(args[0]))
            scale.append(float(args[1]))
            units.append(p.units[i] if p.units else 1.0)
    return NormalPriors(np.array(loc), np.array(scale)), np.array(units)


def basis(prior: NormalPriors, units: np.ndarray, root: np.ndarray, n: int) -> Basis | None:
    """From the triangular factor of ``(x, others, y)``: ``n`` weighted rows of these coefficients' columns, other columns, and response.

    ``None`` where neither data nor priors tell the coefficients apart.
    """
    m, p = len(units), root.shape[1] - 1
    left = abs(float(root[-1, -1])) if n > p else float(np.linalg.norm(root[:, -1]))
    noise = left / math.sqrt(max(n - p, 1)) if left > 1e-12 * np.linalg.norm(root[:, -1]) else 1.0
    found = directions(root[:, :m], prior.root, noise)
    if found is None:
        return None
    rows = np.concatenate([root[:, :m] @ found.map, root[:, m:p]], axis=1)
    e = _penalised(rows, root[:, -1], p - m, found, prior, noise)
    return Basis(prior, found.map @ e, found.map, found.log_det, found.precision, units)


def _penalised(rows: np.ndarray, y: np.ndarray, free: int, found: Directions, prior: NormalPriors, noise: float) -> np.ndarray:
    """``e`` of least squares with the priors as more rows; the last ``free`` columns are without."""
    weight = noise * prior.root
    proper = weight > 0.0
    more = (weight[:, None] * found.map)[proper]
    x = np.concatenate([rows, np.concatenate([more, np.zeros((len(more), free))], axis=1)])
    return np.linalg.lstsq(x, np.concatenate([y, (weight * prior.loc)[proper]]), rcond=None)[0][: len(found.map)]
