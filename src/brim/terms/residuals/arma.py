"""Lagged residuals of the response: ``ar(time, gr, p)``, ``ma(time, gr, q)``, ``arma(time, gr, p, q)`` with ``cov = FALSE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Call, deparse, fault
from brim.parameters.param import Param, Where
from brim.parameters.reported import Reported
from brim.terms.base import AbstractTerm, Context, Design, Imputing, Params, Read, completed
from brim.terms.facets import NewLevels, Traits
from brim.terms.residuals.series import Series, lag_params, lag_reported, orders

__all__ = ["Autoregression", "read"]


def read(call: Call, context: Context) -> Read:
    """``ar()``, ``ma()`` or ``arma()`` of a response with residuals of its own."""
    if context.link != "identity":
        what = f"{deparse(call)} with the link {context.link}: the scale of the residuals, the response's or the link's, is not settled"
        raise fault(call, what, "use the identity link, or log(y) as the response")
    if "se" in context.response_additions:
        what = f"{deparse(call)} with known standard errors: the residuals of a row are not those of its series"
        raise fault(call, what, f"write {_with_cov(call)}")
    series, columns = Series.read(call), context.response_columns
    term = Autoregression(series, context.where, *orders(call), context.family, context.response, columns, context.imputed)
    return Read((term.learn(context.frame),))


def _with_cov(call: Call) -> str:
    """The same call with correlated residuals."""
    kept = replace(call, kwargs=tuple((k, v) for k, v in call.kwargs if k != "cov"))
    return f"{deparse(kept)[:-1]}{', ' * bool(kept.args or kept.kwargs)}cov = TRUE)"


@final
@dataclass(frozen=True)
class Autoregression(AbstractTerm):
    """``eta_t + sum_k ma_k e_{t-k} + sum_k ar_k e_{t-k}`` with ``e_t = y_t - eta_t - sum_k ma_k e_{t-k}``, as brms.

    Residuals before the start of a series are zero. A response that new data lack is drawn from its own law when later rows need it;
    one whose missing values are estimated (``imputed``) is read as completed.
    """

    series: Series
    where: Where
    p: int
    q: int
    family: str
    response: Callable[[Frame], Any] = field(compare=False, repr=False)
    response_columns: tuple[str, ...] = field(compare=False, default=())
    imputed: Imputing | None = None

    @property
    def traits(self) -> Traits:
        return Traits(stage=1, autocor=True, reads=("sigma",) if self.family == "gaussian" else ("sigma", "nu"))

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
        missing = np.isnan(y)
        if self.imputed is not None and known:
            at = self.imputed.positions(frame)
            out["at"] = np.where(missing & (frame.row_numbers < 0), -1, at)
            missing = missing & (out["at"] < 0)
        if missing.any():
            out["missing"] = missing
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

    def _y(self, params: Params, design: Design) -> Any:
        """The response, completed; ``NaN`` where new data lack it."""
        return design["y"] if self.imputed is None or "at" not in design else completed(self.imputed.key, params, design)

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        ar, ma = self._coefficients(params)
        if "grid" in design:
            return self._recursive(eta, ar, ma, params, design)
        e = jnp.append(self._y(params, design) - eta, 0.0)  # the last stands for what is not there
        return eta + ar @ e[design["lags"]]

    def _recursive(self, eta: Any, ar: Any, ma: Any, params: Params, design: Design) -> Any:
        """All series side by side, one time after the other."""
        y, grid = jnp.append(self._y(params, design), 0.0), jnp.asarray(design["grid"])
        before = jnp.append(eta, 0.0)
        noise = jnp.append(self._noise(eta.shape, params), 0.0) if "missing" in design else None

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

    def _noise(self, shape: tuple[int, ...], params: Params) -> Any:
        """Residuals of missing responses, drawn here since their scale may be predicted."""
        key = params[f"{self.key}:noise"]
        z = jax.random.normal(key, shape) if self.family == "gaussian" else jax.random.t(key, params["dpar:nu"], shape)
        return params["dpar:sigma"] * z

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        """The key that residuals of missing responses are drawn with."""
        return {f"{self.key}:noise": keys[0]} if "missing" in design else {}
