"""Spatial simultaneous autoregression ``sar(M, type = "lag" | "error")``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Call, Text, arguments, fault, word
from brim.linalg import solve
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import Reported
from brim.terms.base import Context, Design, Params, Read
from brim.terms.residuals.law import AUTOCOR, AbstractResidual
from brim.terms.residuals.matrices import rows_of, square_matrix

__all__ = ["SpatialAutoregression", "read"]

TYPES = ("lag", "error")


def read(call: Call, context: Context) -> Read:
    """``sar(M, type)``: ``M`` holds the spatial weights, usually with rows that sum to one."""
    kind = word(arguments(call)[1].get("type", Text("lag")), TYPES, "types of sar()")
    _, values = square_matrix(call, context)
    if "se" in context.response_additions:
        raise fault(call, "sar() cannot be combined with known standard errors, se()")
    return Read((), residual=SpatialAutoregression(context.where, kind, call, values))


@final
@dataclass(frozen=True)
class SpatialAutoregression(AbstractResidual):
    """Error: ``(I - rho M) (y - mu) = sigma e``. Lag: ``(I - rho M) y = mu + sigma e``, so that ``E(y) = (I - rho M)^-1 mu``."""

    where: Where
    type: str
    call: Call = field(compare=False)
    values: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"residual{self.where.suffix}"

    @property
    def shares_sigma(self) -> bool:
        return True

    @property
    def _name(self) -> str:
        return f"{self.type}sar{self.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        rows = rows_of(self.call, self.values, frame)
        values = self.values[np.ix_(rows, rows)]
        eigen = np.linalg.eigvals(values)
        return {"M": values, "real": eigen.real, "imaginary": eigen.imag, "grid": np.arange(frame.n, dtype=np.int32)[None, :]}

    def params(self) -> tuple[Param, ...]:
        eigen = np.linalg.eigvals(self.values).real
        symbols = {"min_eigenMsar": float(eigen.min()), "max_eigenMsar": float(eigen.max())}
        slot = Slot(f"{self.type}sar", where=self.where)
        return (Param(self._name, slots=(slot,), lb="min_eigenMsar", ub="max_eigenMsar", symbols=symbols),)

    def reported(self) -> tuple[Reported, ...]:
        return (Reported(self._name, np.array(self._name, dtype=object), AUTOCOR, self._name),)

    def _filter(self, params: Params, design: Design) -> Any:
        """``I - rho M``."""
        return jnp.eye(design["M"].shape[0]) - params[self._name] * design["M"]

    def mean(self, mu: Any, params: Params, design: Design) -> Any:
        return solve(self._filter(params, design), mu[:, None])[:, 0] if self.type == "lag" else mu

    def whitener(self, sigma: Any, se: Any, params: Params, design: Design) -> tuple[Any, Any]:
        rho = params[self._name]
        # |1 - rho lambda| of complex pairs
        log_det = 0.5 * jnp.log((1.0 - rho * design["real"]) ** 2 + (rho * design["imaginary"]) ** 2)
        root = self._filter(params, design) / sigma[0][:, None]
        return root[None], jnp.reshape(jnp.sum(jnp.log(sigma[0])) - jnp.sum(log_det), 1)
