"""The protocol of a term: ``learn / design / params / transform / apply / extend / reported``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from brim.frame import Frame
from brim.param import Param, Reported

__all__ = ["AbstractTerm", "Design", "Params"]

Design = dict[str, Any]
Params = Mapping[str, Any]


class AbstractTerm(ABC):
    """One kind of term of a linear predictor.

    Every subclass is a final frozen dataclass. Fields that are learned from data are declared with ``compare=False``:
    ``apply`` and ``transform`` read only the others and their arguments, so that two models of the same structure are
    equal and share one compiled program.

    ``stage`` orders the terms of a predictor: 0 adds to eta, 1 needs the finished eta (residual autocorrelation), 2
    changes its shape (category-specific effects).
    """

    stage: ClassVar[int] = 0

    @property
    @abstractmethod
    def key(self) -> str:
        """Unique name in the model; the term's place in the design."""

    @abstractmethod
    def learn(self, frame: Frame) -> Self:
        """Read the training data once: levels, contrasts, knots, means. Nothing is recomputed from new data."""

    @abstractmethod
    def design(self, frame: Frame) -> Design:
        """Arrays for these rows; the same code for training and for new data."""

    def variables(self) -> tuple[str, ...]:
        """The data columns it reads."""
        return ()

    def params(self) -> tuple[Param, ...]:
        """What is sampled."""
        return ()

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        """Quantities computed once from the parameters, which ``apply`` and the report read (``r`` from ``sd``, ``L``, ``z``)."""
        return {}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        """The sampled parameters that carry a prior row, from the reported quantities (``Intercept`` from ``b_Intercept``)."""
        return {}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        """The linear predictor with this term in it: pure JAX, ``eta -> eta``."""
        return eta

    def extend(self, keys: Any, params: Params, design: Design, how: str) -> dict[str, Any]:
        """Draw what new data need beyond the training data (new levels); the only place where that happens.

        ``keys`` is a pair: one key that differs by draw, one that is the same for all draws.
        """
        return {}

    def reported(self) -> tuple[Reported, ...]:
        """What the user sees, under brms' names."""
        return ()
