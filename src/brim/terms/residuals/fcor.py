"""Residuals with a known correlation, ``fcor(V)``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Call, fault
from brim.terms.base import Context, Design, Params, Read
from brim.terms.residuals.law import AbstractResidual, whiten
from brim.terms.residuals.matrices import rows_of, square_matrix

__all__ = ["KnownCovariance", "read"]


def read(call: Call, context: Context) -> Read:
    """``fcor(V)``: a matrix of ``data2`` with a row for each row of the data."""
    node, values = square_matrix(call, context)
    if not np.allclose(values, values.T):
        raise fault(node, "the matrix of fcor() must be symmetric")
    try:
        np.linalg.cholesky(values)
    except np.linalg.LinAlgError:
        raise fault(node, "the matrix of fcor() must be positive definite") from None
    return Read((), residual=KnownCovariance(context.where.suffix, call, values))


@final
@dataclass(frozen=True)
class KnownCovariance(AbstractResidual):
    """``S = diag(sigma) V diag(sigma) + diag(se^2)`` over all rows."""

    suffix: str
    call: Call = field(compare=False)
    values: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"residual{self.suffix}"

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        rows = rows_of(self.call, self.values, frame)
        return {"V": self.values[np.ix_(rows, rows)], "grid": np.arange(frame.n, dtype=np.int32)[None, :]}

    def whitener(self, sigma: Any, se: Any, params: Params, design: Design) -> tuple[Any, Any]:
        return whiten(sigma, se, jnp.asarray(design["V"])[None])
