"""Lagged residuals of the response: ``ar(time, gr, p)``, ``ma(time, gr, q)``, ``arma(time, gr, p, q)`` with ``cov = FALSE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Call, deparse, fault
from brim.parameters.param import Param, Reported, Where
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.residuals.series import Series, lag_params, lag_reported, orders

__all__ = ["Autoregression", "read"]


def read(call: Call, context: Context) -> Read:
    """``ar()``, ``ma()`` or ``arma()`` of a response with residuals of its own."""
    if context.link != "identity":
        raise fault(call, f"{deparse(call)} with the link {context.link} is not built yet", "use the identity link")
    if any(i.resp == context.where.resp for i in context.imputables):
        raise fault(call, f"{deparse(call)} cannot be combined with missing responses, mi()")
    term = Autoregression(Series.read(call), context.where, *orders(call), context.family, context.response, context.response_columns)
    return Read((term.learn(context.frame),))


@final
@dataclass(frozen=True)
class Autoregression(AbstractTerm):
    """``eta_t + sum_k ma_k e_{t-k} + sum_k ar_k e_{t-k}`` with ``e_t = y_t - eta_t - sum_k ma_k e_{t-k}``, as brms.

    Residuals before the start of a series are zero. A response that new data lack is drawn from its own law when later rows need it.
    """

    series: Series
    where: Where
    p: int
    q: int
    family: str
    response: Callable[[Frame], Any] = field(compare=False, repr=False)
    response_columns: tuple[str, ...] = field(compare=False, default=())

    @property
    def autocor(self) -> bool:
        return True

    @property
    def stage(self) -> int:
        return 1

    @property
    def key(self) -> str:
        return f"arma{self.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        self.series.grid(frame)
        return replace(self)

    def variables(self) -> tuple[str, ...]:
        return self.series.variables()

    def design(self, frame: Frame) -> Design:
        """``y`` (``NaN`` where new data lack it), rows of earlier residuals, and rows of each series in order."""
        known = set(self.response_columns) <= set(frame.names)
        y = np.asarray(self.response(frame), float) if known else np.full(frame.n, np.nan)
        out: Design = {"y": y, "lags": self.series.lags(frame, max(self.p, self.q))}
        if np.isnan(y).any():
            out["missing"] = np.isnan(y)
        if self.q or "missing" in out:
            out["grid"] = np.ascontiguousarray(self.series.grid(frame).T)
        return out

    def params(self) -> tuple[Param, ...]:
        return lag_params(self.where, self.p, self.q, bounded=False)

    def reported(self) -> tuple[Reported, ...]:
        return lag_reported(self.where, self.p, self.q)

    # ------------------------------------------------------------------ numbers

    def _coefficients(self, params: Params) -> tuple[Any, Any]:
        """``ar`` and ``ma``, each ``(max(p, q),)``."""
        out = []
        for name, n in (("ar", self.p), ("ma", self.q)):
            values = params[f"{name}{self.where.suffix}"] if n else jnp.zeros(0)
            out.append(jnp.concatenate([values, jnp.zeros(max(self.p, self.q) - n)]))
        return out[0], out[1]

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        ar, ma = self._coefficients(params)
        if "grid" in design:
            return self._recursive(eta, ar, ma, params, design)
        e = jnp.append(design["y"] - eta, 0.0)  # the last stands for what is not there
        return eta + ar @ e[design["lags"]]

    def _recursive(self, eta: Any, ar: Any, ma: Any, params: Params, design: Design) -> Any:
        """All series side by side, one time after the other."""
        y, grid = jnp.append(design["y"], 0.0), jnp.asarray(design["grid"])
        before = jnp.append(eta, 0.0)
        noise = jnp.append(params[f"{self.key}:noise"], 0.0) if "missing" in design else None

        def step(past: Any, rows: Any) -> tuple[Any, Any]:
            base = before[rows] + ma @ past
            mean = base + ar @ past
            e = y[rows] - base
            if noise is not None:
                e = jnp.where(jnp.isnan(e), mean - base + noise[rows], e)
            return jnp.concatenate([e[None], past[:-1]]), mean

        # a row of -1 reads the last element, zero, and writes beyond the end
        _, mean = jax.lax.scan(step, jnp.zeros((len(ar), grid.shape[1]), eta.dtype), grid)
        n = eta.shape[0]
        return jnp.zeros(n + 1, eta.dtype).at[jnp.where(grid < 0, n, grid)].set(mean)[:n]

    def extend(self, keys: Any, params: Params, design: Design, how: str) -> dict[str, Any]:
        """Residuals of missing responses."""
        if "missing" not in design:
            return {}
        sigma = params.get(f"sigma{self.where.suffix}")
        if sigma is None:
            what = f"{deparse(self.series.call)} with missing responses and a predicted sigma is not built yet"
            raise BrimError(what, hint="give the responses in newdata")
        shape = design["y"].shape
        if self.family == "gaussian":
            noise = jax.random.normal(keys[0], shape)
        else:
            noise = jax.random.t(keys[0], params[f"nu{self.where.suffix}"], shape)
        return {f"{self.key}:noise": sigma * noise}
