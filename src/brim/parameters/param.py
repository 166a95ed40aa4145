"""Parameters as data: what a term needs sampled, under which prior, on which space, and how brms names what is reported.

From a tuple of ``Param`` follow the unconstrained vector (``Layout``), the log density of the priors, the prior table
and the NumPyro model; from a tuple of ``Reported`` the draws' names, their order and the dims of the ArviZ object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from brim.errors import BrimError
from brim.parameters.shifted import Shift
from brim.parameters.spaces import SPACES

__all__ = ["COEFFICIENTS", "Layout", "Param", "Piece", "Shrinks", "Slot", "Where", "constrain", "unconstrained_size"]

Space = Literal["real", "cholesky_corr", "simplex", "ordered"]


@dataclass(frozen=True)
class Where:
    """Which predictor a parameter belongs to: brms' columns ``resp``, ``dpar`` and ``nlpar`` (``dpar`` is empty for ``mu``)."""

    resp: str = ""
    dpar: str = ""
    nlpar: str = ""

    @property
    def prefix(self) -> str:
        """``"sigma_y_"``: what stands before a coefficient's name in brms' parameter names."""
        return "".join(f"{p}_" for p in self._parts)

    @property
    def suffix(self) -> str:
        """``"_sigma_y"``: what follows a class in the names of parameter arrays."""
        return "".join(f"_{p}" for p in self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(p for p in (self.dpar, self.resp, self.nlpar) if p)


@dataclass(frozen=True)
class Shrinks:
    """That one shrinkage prior (``horseshoe()``, ``R2D2()``) can cover a class of parameters.

    ``place`` is the class' among those under one prior, as brms lists them; ``signed`` parameters are coefficients, others standard
    deviations.
    """

    place: int
    signed: bool


#: Population-level coefficients of all kinds.
COEFFICIENTS = Shrinks(0, True)


@dataclass(frozen=True)
class Slot:
    """The address under which a prior reaches one element of a parameter, and brms' default there.

    ``default`` belongs to the row of the whole class, ``own_default`` to the row of this very coefficient or group, which then
    is its only row unless ``in_class`` says that the class has one too (with the bounds). ``shrinks``: whether its class can have a
    shrinkage prior.
    """

    class_: str
    coef: str = ""
    group: str = ""
    where: Where = Where()
    default: str = ""
    own_default: str = ""
    in_class: bool = False
    shrinks: Shrinks | None = field(compare=False, default=None)


@dataclass(frozen=True)
class Piece:
    """The prior of some elements of a parameter: a law by name; its arguments travel with the data.

    ``index`` are flat positions in the parameter, ``None`` for all of it. ``log_mass``, the log probability between the
    parameter's bounds, is subtracted once an element.
    """

    law: str
    index: tuple[int, ...] | None
    args: tuple[float, ...] = field(compare=False, default=())
    log_mass: float = field(compare=False, default=0.0)


@dataclass(frozen=True)
class Param:
    """One parameter array.

    Attributes
    ----------
    name
        Its key in the dict of parameters; unique in a model.
    shape
        Shape of the array.
    slots
        Prior address of each element in C order, or a single slot for a joint prior on the whole array.
        Without slots the prior is fixed by the model's construction (``pieces`` given directly) and is not part of ``lprior``.
    space
        ``"real"`` (with bounds ``lb``, ``ub``), ``"cholesky_corr"``, ``"simplex"`` or ``"ordered"`` (along the last axis).
    pieces
        The resolved prior.
    constants
        Flat positions that ``constant()`` priors fix, with their values in ``constant_values``; these are not sampled.
    center
        Where chains start, on the unconstrained scale, a number or one for each element (spread around it is the sampler's business).
    copies
        How many elements brms counts as one when it normalises a bounded prior (``gr(by=)``: one for each level of ``by``).
        A constant of the posterior, kept so that ``lprior`` is brms'.
    symbols
        Names that stand for numbers in its prior and bounds (``min_Y``); ``lb`` and ``ub`` may be such a name until resolved.
    special
        The prior of the whole array that brings parameters of its own (``horseshoe(1)``), empty if there is none.
    units
        What one step of each unconstrained coordinate is, for elements without bounds; empty: 1. Powers of ten, where data are far from 1.
    shift
        Of correlations: that they and their standard deviations are sampled for columns measured from elsewhere.
    """

    name: str
    shape: tuple[int, ...] = ()
    slots: tuple[Slot, ...] = field(compare=False, default=())
    space: Space = "real"
    lb: Any = None
    ub: Any = None
    pieces: tuple[Piece, ...] = ()
    constants: tuple[int, ...] = ()
    constant_values: tuple[float, ...] = field(compare=False, default=())
    center: Any = field(compare=False, default=0.0)
    copies: int = 1
    symbols: Mapping[str, float] = field(compare=False, default_factory=dict)
    special: str = ""
    units: tuple[float, ...] = ()
    shift: Shift | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def free(self) -> tuple[int, ...]:
        """Flat positions that are sampled."""
        return tuple(i for i in range(self.size) if i not in self.constants)

    def elements(self, piece: Piece) -> Sequence[int]:
        """The flat positions that a piece is the prior of."""
        return range(self.size) if piece.index is None else piece.index

    def piece_of(self, i: int) -> Piece | None:
        """The prior of an element, ``None`` where it is flat."""
        return next((piece for piece in self.pieces if i in self.elements(piece)), None)

    @property
    def outer(self) -> tuple[int, ...]:
        """Of a parameter on a joint space, the axes of independent elements."""
        return self.shape[: len(self.shape) - SPACES[self.space].event]

    def held(self, index: Iterable[int]) -> Param:
        """It with these elements constant, too, and without their priors; their values come with the data."""
        gone, known = frozenset(index), dict(zip(self.constants, self.constant_values, strict=True))
        constants = tuple(sorted({*self.constants, *gone}))
        left = [(piece, [i for i in self.elements(piece) if i not in gone]) for piece in self.pieces]
        pieces = tuple(replace(piece, index=tuple(rest)) for piece, rest in left if rest)
        return replace(self, constants=constants, constant_values=tuple(known.get(i, math.nan) for i in constants), pieces=pieces)

    @property
    def joint(self) -> bool:
        """Whether one prior covers the whole array, be it of one element."""
        return len(self.slots) == 1 and (self.space != "real" or self.size > 1)

    @property
    def in_lprior(self) -> bool:
        return bool(self.slots)


# --------------------------------------------------------------------------- unconstrained coordinates


def unconstrained_size(param: Param) -> int:
    """Number of unconstrained coordinates of a parameter."""
    if param.constants and param.space != "real":
        if len(param.constants) == param.size:
            return 0
        raise BrimError(f"'{param.name}' can only be held constant as a whole")
    if param.space == "real":
        return len(param.free)
    n = param.shape[-1]
    each = {"cholesky_corr": n * (n - 1) // 2, "simplex": n - 1, "ordered": n}[param.space]
    return math.prod(param.outer) * each


def constrain(param: Param, u: Any, fixed: Any) -> tuple[Any, Any]:
    """Map unconstrained coordinates to the parameter; returns it with the log absolute Jacobian determinant.

    ``fixed`` holds the values of the constant elements (an array, empty when there are none).
    """
    if len(param.constants) == param.size and param.size:
        return jnp.reshape(fixed, param.shape), 0.0
    if param.space != "real":
        return _constrain_joint(param, u)
    units = _units(param)
    x, logdet = _bounded(u if units is None else units * u, param.lb, param.ub)
    logdet = logdet if units is None else logdet + float(np.log(units).sum())
    if param.constants:
        x = jnp.zeros(param.size).at[np.array(param.free, dtype=int)].set(x).at[np.array(param.constants)].set(fixed)
    return jnp.reshape(x, param.shape), logdet


def _units(param: Param) -> np.ndarray | None:
    """The units of the elements that are sampled, ``None`` where all are 1."""
    if not param.units or param.lb is not None or param.ub is not None:
        return None
    return np.array(param.units)[list(param.free)]


def _bounded(u: Any, lb: Any, ub: Any) -> tuple[Any, Any]:
    if lb is None and ub is None:
        return u, 0.0
    if ub is None:
        return lb + jnp.exp(u), jnp.sum(u)
    if lb is None:
        return ub - jnp.exp(u), jnp.sum(u)
    inside = jnp.sum(-jnp.abs(u) - 2.0 * jnp.log1p(jnp.exp(-jnp.abs(u))) + math.log(ub - lb))
    s = jnp.exp(-jnp.abs(u))
    return lb + (ub - lb) * jnp.where(u > 0, 1.0, s) / (1.0 + s), inside


def _constrain_joint(param: Param, u: Any) -> tuple[Any, Any]:
    if not unconstrained_size(param):  # a simplex of one element, correlations of one coefficient
        return jnp.ones(param.shape), 0.0
    space = SPACES[param.space]
    x, logdet = space.onto(jnp.reshape(u, (*param.outer, -1)))
    return x, jnp.sum(logdet)


def unconstrain(param: Param, x: Any) -> Any:
    """The unconstrained coordinates of a parameter: ``constrain(param, unconstrain(param, x), ...)`` is ``x``."""
    if param.space != "real":
        if not unconstrained_size(param):
            return jnp.zeros(0)
        return jnp.ravel(SPACES[param.space].back(jnp.reshape(x, param.shape)))
    u = jnp.ravel(x)[np.array(param.free, dtype=int)]
    if param.lb is None and param.ub is None:
        units = _units(param)
        return u if units is None else u / units
    if param.ub is None:
        return jnp.log(u - param.lb)
    if param.lb is None:
        return jnp.log(param.ub - u)
    return jnp.log(u - param.lb) - jnp.log(param.ub - u)


@dataclass(frozen=True)
class Layout:
    """Where each parameter stands in the flat unconstrained vector."""

    params: tuple[Param, ...]

    @property
    def dim(self) -> int:
        return sum(unconstrained_size(p) for p in self.params)

    def constrain(self, q: Any, fixed: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """``q (dim,)`` -> the dict of parameters and the log Jacobian of the map."""
        out, total, at = {}, 0.0, 0
        for p in self.params:
            n = unconstrained_size(p)
            out[p.name], logdet = constrain(p, q[at : at + n], fixed.get(p.name, ()))
            total = total + logdet
            at += n
        for name, shift in self._shifts(out):
            out[shift.scales], out[name], logdet = shift.follow(out[shift.scales], out[name])
            total = total + logdet
        return out, total

    def _shifts(self, known: Mapping[str, Any]) -> Iterator[tuple[str, Shift]]:
        """Correlations, by name, that are sampled with their standard deviations for columns measured from elsewhere."""
        return ((p.name, p.shift) for p in self.params if p.shift is not None and {p.name, p.shift.scales} <= set(known))

    def _own(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that coordinates stand for one by one."""
        out = dict(params)
        for name, shift in self._shifts(params):
            out[shift.scales], out[name] = shift.back(jnp.asarray(params[shift.scales]), jnp.asarray(params[name]))
        return out

    def unconstrain(self, params: Mapping[str, Any]) -> Any:
        """The flat unconstrained vector ``(dim,)`` of a dict of parameters."""
        own = self._own(params)
        return jnp.concatenate([jnp.zeros(0), *(unconstrain(p, own[p.name]) for p in self.params)])

    def point(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The unconstrained vector where chains start, with these parameters at given values where they are inside their bounds."""
        out, own, at = self.center(), self._own(values), 0
        for p in self.params:
            n = unconstrained_size(p)
            if p.name in own and n:
                u = np.asarray(unconstrain(p, jnp.asarray(own[p.name])))
                out[at : at + n] = np.where(np.isfinite(u), u, out[at : at + n])
            at += n
        return out

    def nonlinear(self) -> tuple[int, ...]:
        """The coordinates of parameters with bounds or on other spaces, which they enter nonlinearly."""
        plain = [p.space == "real" and p.lb is None and p.ub is None for p in self.params]
        sizes = [unconstrained_size(p) for p in self.params]
        return tuple(int(i) for i in np.flatnonzero(np.repeat(~np.array(plain, bool), sizes)))

    def center(self) -> np.ndarray:
        """Where chains start, before they are spread."""
        parts = []
        for p in self.params:
            n = unconstrained_size(p)
            c = np.broadcast_to(np.asarray(p.center, float), (p.size,)) if p.space == "real" else np.zeros(n)
            parts.append(c[list(p.free)] if p.space == "real" else c)
        return np.concatenate([np.zeros(0), *parts])
