"""Correlations along a series that depend on parameters: ARMA(1, 1), compound symmetry, unstructured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.frames.columns import level_name
from brim.frames.frame import Frame
from brim.language.expand import Call, deparse, fault
from brim.linalg import cholesky
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import Reported
from brim.terms.base import Design, Params
from brim.terms.residuals.law import AUTOCOR
from brim.terms.residuals.series import Series, lag_params, lag_reported, orders

__all__ = ["AbstractCorrelation", "blocks", "read_correlation"]


def read_correlation(call: Call, where: Where) -> AbstractCorrelation:
    """The correlation that ``arma(cov = TRUE)``, ``cosy()`` or ``unstr()`` asks for."""
    series = Series.read(call)
    if call.fn == "cosy":
        return CompoundSymmetry(series, where)
    if call.fn == "unstr":
        if series.time is None:
            raise fault(call, "unstr() needs the time", "write unstr(time, gr)")
        return Unstructured(series, where)
    p, q = orders(call)
    if p > 1 or q > 1:
        raise fault(call, f"{deparse(call)}: with cov = TRUE the orders are at most one", "leave cov out for higher orders")
    return Arma(series, where, p, q)


class AbstractCorrelation(ABC):
    """A correlation (or, for ARMA, covariance with unit innovations) along each series."""

    series: Series
    where: Where

    def learn(self, frame: Frame) -> Self:
        self.series.grid(frame)
        return self

    def design(self, frame: Frame) -> Design:
        """``grid (series, longest)`` of rows, and where in ``matrix`` each place stands."""
        return {"grid": self.series.grid(frame)}

    @abstractmethod
    def params(self) -> tuple[Param, ...]: ...

    def transform(self, params: Params) -> dict[str, Any]:
        return {}

    def invert(self, reported: Params) -> dict[str, Any]:
        return {}

    @abstractmethod
    def reported(self) -> tuple[Reported, ...]: ...

    @property
    def ordered(self) -> bool:
        """Whether the correlation of two points depends on how many lie between."""
        return False

    def places(self, times: Sequence[Hashable]) -> np.ndarray:
        """Where in ``matrix`` the points of a series stand, whose times these are."""
        return np.arange(len(times))

    @abstractmethod
    def matrix(self, params: Params, longest: int) -> Any:
        """The correlations of all places, at least ``longest``."""


def blocks(of: AbstractCorrelation, params: Params, design: Design) -> Any:
    """The correlations of each series, ``(series, longest, longest)``; identity beyond its end."""
    grid = jnp.asarray(design["grid"])
    longest = grid.shape[1]
    full = of.matrix(params, longest)
    place = jnp.asarray(design["place"]) if "place" in design else jnp.arange(longest)[None, :]
    inside = grid >= 0
    both = inside[:, :, None] & inside[:, None, :]
    return jnp.where(both, full[place[:, :, None], place[:, None, :]], jnp.eye(longest))


@final
@dataclass(frozen=True)
class Arma(AbstractCorrelation):
    """``ar[1]``, ``ma[1]`` between -1 and 1."""

    series: Series
    where: Where
    p: int
    q: int

    @property
    def ordered(self) -> bool:
        return True

    def params(self) -> tuple[Param, ...]:
        return lag_params(self.where, self.p, self.q, bounded=True)

    def reported(self) -> tuple[Reported, ...]:
        return lag_reported(self.where, self.p, self.q)

    def matrix(self, params: Params, longest: int) -> Any:
        """``gamma_0 = (1 + 2 ar ma + ma^2) / (1 - ar^2)``, ``gamma_k = ar^(k-1) (1 + ar ma) (ar + ma) / (1 - ar^2)``."""
        ar = params[f"ar{self.where.suffix}"][0] if self.p else jnp.zeros(())
        ma = params[f"ma{self.where.suffix}"][0] if self.q else jnp.zeros(())
        powers = jnp.concatenate([jnp.ones(1), jnp.cumprod(jnp.full(max(longest - 2, 0), 1.0) * ar)])
        first = jnp.reshape(1.0 + 2.0 * ar * ma + ma**2, 1)
        gamma = jnp.concatenate([first, powers * (1.0 + ar * ma) * (ar + ma)]) / (1.0 - ar**2)
        steps = np.arange(longest)
        return gamma[np.abs(steps[:, None] - steps[None, :])]


@final
@dataclass(frozen=True)
class CompoundSymmetry(AbstractCorrelation):
    """The same correlation ``cosy`` in [0, 1] between all rows of a group."""

    series: Series
    where: Where

    @property
    def _key(self) -> str:
        return f"cosy{self.where.suffix}"

    def params(self) -> tuple[Param, ...]:
        return (Param(self._key, slots=(Slot("cosy", where=self.where),), lb=0.0, ub=1.0),)

    def reported(self) -> tuple[Reported, ...]:
        return (Reported(self._key, np.array(self._key, dtype=object), AUTOCOR, self._key),)

    def matrix(self, params: Params, longest: int) -> Any:
        eye = jnp.eye(longest)
        return eye + params[self._key] * (1.0 - eye)


@final
@dataclass(frozen=True)
class Unstructured(AbstractCorrelation):
    """A correlation for each pair of times, LKJ(1) a priori; ``times`` are those of the training data."""

    series: Series
    where: Where
    labels: tuple[str, ...] = ()
    times: Any = field(compare=False, default=(), repr=False)

    def learn(self, frame: Frame) -> Self:
        self.series.grid(frame)
        times, first = np.unique(self.series.times(frame), return_index=True)
        assert self.series.time is not None
        labels = self.series.labels(frame)[first]
        if len(times) < 2:
            raise fault(self.series.call, f"{deparse(self.series.call)} needs two times at least")
        return replace(self, times=times, labels=tuple(level_name(v) for v in labels))

    def design(self, frame: Frame) -> Design:
        grid, place = self.series.grid(frame), self.places(self.series.labels(frame).tolist())
        return {"grid": grid, "place": np.where(grid >= 0, place[grid], 0)}

    def places(self, times: Sequence[Hashable]) -> np.ndarray:
        known = {label: i for i, label in enumerate(self.labels)}
        new = [level_name(v) for v in times if level_name(v) not in known]
        if new:
            what = f"time {new[0]} is not among the times of the training data"
            raise fault(self.series.call, what, f"they are {', '.join(self.labels)}")
        return np.array([known[level_name(v)] for v in times], np.int32)

    @property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        cols, rows = np.array([(i, j) for j in range(len(self.labels)) for i in range(j)]).T
        return rows, cols

    def _key(self, kind: str) -> str:
        return f"{kind}{self.where.suffix}"

    def params(self) -> tuple[Param, ...]:
        slot = Slot("Lcortime", where=self.where, default="lkj_corr_cholesky(1)")
        return (Param(self._key("Lcortime"), (len(self.labels),) * 2, (slot,), space="cholesky_corr"),)

    def transform(self, params: Params) -> dict[str, Any]:
        low = params[self._key("Lcortime")]
        return {self._key("cortime"): (low @ low.T)[self._pairs]}

    def invert(self, reported: Params) -> dict[str, Any]:
        return {self._key("Lcortime"): cholesky(self.matrix(reported, 0))}

    def reported(self) -> tuple[Reported, ...]:
        label = f"cortime{self.where.suffix}"
        pairs = tuple(f"{self.labels[i]}__{self.labels[j]}" for j, i in zip(*self._pairs, strict=True))
        names = np.array([f"{label}__{p}" for p in pairs], dtype=object)
        return (Reported(self._key("cortime"), names, AUTOCOR, label, (f"{label}_pair",), {f"{label}_pair": pairs}),)

    def matrix(self, params: Params, longest: int) -> Any:
        rows, cols = self._pairs
        cor = params[self._key("cortime")]
        return jnp.eye(len(self.labels)).at[rows, cols].set(cor).at[cols, rows].set(cor)
