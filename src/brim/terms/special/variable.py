"""The protocol of a special variable: a factor of special effects whose values are estimated, ``mo(x)``, ``me(x, sd)``, ``mi(x)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

from brim.design.matrix import brms_name
from brim.frames.frame import Frame
from brim.language.expand import Call, deparse
from brim.parameters.param import Param, Where
from brim.parameters.reported import Reported
from brim.terms.base import AbstractTerm, Design, Params

__all__ = ["ProductPlace", "SpecialVariable", "call_name"]


@dataclass(frozen=True)
class ProductPlace:
    """Where a special variable stands: the predictor, the coefficient, and which of its kind it is in that product, from 1."""

    where: Where
    coef: str
    number: int


def call_name(call: Call) -> str:
    """brms' name of a special call: ``mox``, ``mexsdx``, ``mixmis``.

    Examples
    --------
    >>> from brim.language.expand import parse
    >>> call_name(parse("me(x, sdx, gr = g)"))
    'mexsdxgrEQg'
    """
    return brms_name(deparse(call))


class SpecialVariable(ABC):
    """A variable whose values depend on parameters. Every subclass is a final frozen dataclass, with learned arrays not compared.

    It may stand in several products; what it estimates for a ``ProductPlace`` alone (the simplex of ``mo()``) it gives by place, what
    all places share (noise-free values, missing values) belongs to a shared term.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """brms' name of the call."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """``"mo"``, ``"me"``, ``"mi"``, or ``"of"``, a function of these."""

    @property
    def countable(self) -> bool:
        """As of a term."""
        return False

    @abstractmethod
    def learn(self, frame: Frame) -> Self:
        """Read the training rows once."""

    @abstractmethod
    def variables(self) -> tuple[str, ...]:
        """The data columns it needs."""

    @abstractmethod
    def design(self, frame: Frame) -> Design:
        """Arrays for these rows."""

    @abstractmethod
    def value(self, params: Params, design: Design, place: ProductPlace) -> Any:
        """Its values (rows,): pure JAX."""

    def known(self, frame: Frame) -> Any:
        """Its values (rows,) that the data hold, ``NaN`` where they are estimated; ``None`` if all are."""
        return None

    def params(self, place: ProductPlace) -> tuple[Param, ...]:
        """What is sampled for a place."""
        return ()

    def transform(self, params: Params, place: ProductPlace) -> dict[str, Any]:
        """What is reported for a place, from what is sampled."""
        return {}

    def invert(self, reported: Params, place: ProductPlace) -> dict[str, Any]:
        """What is sampled for a place, from what is reported."""
        return {}

    def reported(self, place: ProductPlace) -> tuple[Reported, ...]:
        """What the user sees for a place."""
        return ()

    def shared(self) -> tuple[AbstractTerm, ...]:
        """Learned terms that it reads, shared by all predictors."""
        return ()
