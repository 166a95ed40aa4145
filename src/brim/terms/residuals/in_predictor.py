"""Residuals in the predictor, ``err``, for families without their own: ``ar()``, ``ma()``, ``arma()``, ``cosy()``, ``unstr()``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Call, deparse, fault
from brim.linalg import cholesky, solve_lower
from brim.parameters.param import Param, Piece, Shrinks, Slot, Where
from brim.parameters.reported import LATENT, Reported
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.facets import NewLevels, Traits
from brim.terms.residuals.correlation import AbstractCorrelation, blocks, read_correlation
from brim.terms.residuals.law import AUTOCOR
from brim.terms.residuals.past import Past
from brim.terms.residuals.series import Series, flag, lag_params, lag_reported, orders

__all__ = ["LatentResiduals", "read"]


def read(call: Call, context: Context) -> Read:
    """A residual for each row with standard deviation ``sderr``."""
    correlated = call.fn in ("cosy", "unstr") or flag(call, "cov")
    correlation = read_correlation(call, context.where) if correlated else None
    p, q = (0, 0) if correlated else orders(call)
    if q:
        what = f"{deparse(call)}: lagged residuals of the predictor are those of ar(), which ma() cannot be told from"
        raise fault(call, what, f"write ar(), or {call.fn}(..., cov = TRUE)")
    default = f"student_t(3, 0, {context.scale:g})"
    term = LatentResiduals(Series.read(call), context.where, correlation, p, q, default)
    return Read((term.learn(context.frame),))


@final
@dataclass(frozen=True)
class LatentResiduals(AbstractTerm):
    """``eta_t + err_t`` with ``err = sderr L z`` along each series, ``L L'`` its correlation; with lags instead of a correlation

    ``eta_t + err_t + sum_k (ar_k + ma_k) err_{t-k}`` with independent ``err``. They are numbered by series and time.
    """

    series: Series
    where: Where
    correlation: AbstractCorrelation | None
    p: int
    q: int
    default: str = field(compare=False)
    size: int = 0
    place: Any = field(compare=False, default=None, repr=False)
    past: Any = field(compare=False, default=None, repr=False)

    @property
    def traits(self) -> Traits:
        return Traits(stage=1, autocor=True)

    @property
    def key(self) -> str:
        return f"err{self.where.suffix}"

    def _name(self, kind: str) -> str:
        return f"{kind}{self.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        """The number of each row's residual."""
        grid = self.series.grid(frame)
        order = grid[grid >= 0]
        place = np.full(int(frame.row_numbers.max()) + 1 if frame.rows is not None else frame.n, -1, np.int32)
        place[frame.row_numbers[order] if frame.rows is not None else order] = np.arange(frame.n)
        correlation = None if self.correlation is None else self.correlation.learn(frame)
        return replace(self, size=frame.n, place=place, correlation=correlation, past=Past.of(self.series, frame, grid))

    def variables(self) -> tuple[str, ...]:
        return self.series.variables()

    def design(self, frame: Frame) -> Design:
        """``at``: the residual of each row; ``lags``: those before it; of new data what ``Past`` says."""
        lags = max(self.p, self.q)
        if frame.rows is None:
            self.series.grid(frame)
            ordered = self.correlation is None or self.correlation.ordered
            return self.past.design(frame, lags, ordered, _ranks if self.correlation is None else self.correlation.places)
        out: Design = {"grid": self.series.grid(frame)} if self.correlation is None else self.correlation.design(frame)
        out["at"] = self.place[frame.rows]
        if lags:
            rows = self.series.lags(frame, lags)
            out["lags"] = np.where(rows < 0, -1, out["at"][rows])
        return out

    # ------------------------------------------------------------------ parameters

    def params(self) -> tuple[Param, ...]:
        own = lag_params(self.where, self.p, self.q, bounded=True) if self.correlation is None else self.correlation.params()
        sd = Param(self._name("sderr"), slots=(Slot("sderr", where=self.where, default=self.default, shrinks=Shrinks(3, False)),), lb=0.0)
        return (*own, sd, Param(self._name("zerr"), (self.size,), pieces=(Piece("std_normal", None),)))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        out = {} if self.correlation is None else self.correlation.transform(params)
        z = params[self._name("zerr")][design["at"]]
        rows = self._scaled(z, {**params, **out}, design)
        return {**out, self._name("err"): jnp.zeros(self.size).at[design["at"]].set(rows)}

    def _scaled(self, z: Any, params: Params, design: Design) -> Any:
        """Residuals of these rows from standard normal variables."""
        sd = params[self._name("sderr")]
        if self.correlation is None:
            return sd * z
        grid, n = jnp.asarray(design["grid"]), z.shape[0]
        low = cholesky(blocks(self.correlation, params, design))
        e = jnp.einsum("gij,gj->gi", low, jnp.where(grid >= 0, z[grid], 0.0))
        return sd * jnp.zeros(n + 1).at[jnp.where(grid < 0, n, grid)].set(e)[:n]

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        return {} if self.correlation is None else self.correlation.invert(reported)

    def reported(self) -> tuple[Reported, ...]:
        own = lag_reported(self.where, self.p, self.q) if self.correlation is None else self.correlation.reported()
        sd, err = self._name("sderr"), self._name("err")
        numbers = tuple(str(i + 1) for i in range(self.size))
        names = np.array([f"{err}[{i}]" for i in numbers], dtype=object)
        one = Reported(sd, np.array(sd, dtype=object), AUTOCOR, sd)
        return (*own, one, Reported(err, names, LATENT, err, (f"{err}_dim",), {f"{err}_dim": numbers}))

    # ------------------------------------------------------------------ numbers

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        err = params[f"{self.key}:all"] if "new" in design else params[self._name("err")]
        e = err[design["at"]]
        if "lags" not in design:
            return eta + e
        lags = jnp.append(err, 0.0)[design["lags"]]
        for name, n in (("ar", self.p), ("ma", self.q)):
            if n:
                eta = eta + params[self._name(name)] @ lags[:n]
        return eta + e

    def held(self, design: Design) -> int:
        """The matrices of all series with new points."""
        series, longest = design["past"].shape if "past" in design and self.correlation is not None else (0, 0)
        return int(series * longest**2)

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        """Residuals of new points, given those of their series in the training data."""
        if "new" not in design:
            return {}
        err, sd = params[self._name("err")], params[self._name("sderr")]
        z = jax.random.normal(keys[0], design["new"].shape)
        alone = self.correlation is None or not z.shape[0]
        new = sd * z if alone else self._given_past(err, sd, z, params, design)
        return {f"{self.key}:all": jnp.concatenate([err, new])}

    def _given_past(self, err: Any, sd: Any, z: Any, params: Params, design: Design) -> Any:
        """``e = sd L (z_known, z_new)`` in each series, ``z_known`` from the known residuals, which come first."""
        assert self.correlation is not None
        number = jnp.asarray(design["past"])
        low = cholesky(blocks(self.correlation, params, {"grid": number, "place": design["places"]}))
        known, fresh = (number >= 0) & (number < self.size), number >= self.size
        e = jnp.where(known, err[jnp.where(known, number, 0)], 0.0) / sd
        white = solve_lower(low, e[..., None])[..., 0]
        white = jnp.where(fresh, z[jnp.where(fresh, number - self.size, 0)], jnp.where(known, white, 0.0))
        e, n = sd * jnp.einsum("gij,gj->gi", low, white), z.shape[0]
        return jnp.zeros(n + 1).at[jnp.where(fresh, number - self.size, n)].set(e)[:n]


def _ranks(times: Sequence[Hashable]) -> np.ndarray:
    return np.arange(len(times))
