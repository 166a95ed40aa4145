"""Residuals of the response that are correlated along series: ``arma(cov = TRUE)``, ``cosy()``, ``unstr()``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final

from brim.frames.frame import Frame
from brim.language.expand import Call
from brim.parameters.param import Param
from brim.parameters.reported import Reported
from brim.terms.base import Context, Design, Params, Read
from brim.terms.residuals.correlation import AbstractCorrelation, blocks, read_correlation
from brim.terms.residuals.law import AbstractResidual, whiten

__all__ = ["SeriesCovariance", "read"]


def read(call: Call, context: Context) -> Read:
    """The joint law of a gaussian or student response."""
    term = SeriesCovariance(read_correlation(call, context.where))
    return Read((), residual=term.learn(context.frame))


@final
@dataclass(frozen=True)
class SeriesCovariance(AbstractResidual):
    """``S = diag(sigma) R diag(sigma) + diag(se^2)`` in each series."""

    correlation: AbstractCorrelation

    @property
    def key(self) -> str:
        return f"residual{self.correlation.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        return replace(self, correlation=self.correlation.learn(frame))

    def variables(self) -> tuple[str, ...]:
        return self.correlation.series.variables()

    def design(self, frame: Frame) -> Design:
        return self.correlation.design(frame)

    def params(self) -> tuple[Param, ...]:
        return self.correlation.params()

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return self.correlation.transform(params)

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        return self.correlation.invert(reported)

    def reported(self) -> tuple[Reported, ...]:
        return self.correlation.reported()

    def whitener(self, sigma: Any, se: Any, params: Params, design: Design) -> tuple[Any, Any]:
        return whiten(sigma, se, blocks(self.correlation, params, design))
