"""A response family: its distributional parameters, their links, and one function ``dpars -> Distribution``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from brim.families.links import Link


@dataclass(frozen=True)
class Dpar:
    """A distributional parameter on its predictor's scale; the response scale and its logarithm are computed fused with the link.

    ``Dpar(eta, link)``; a parameter that is not predicted comes as ``Dpar(value, identity)``.
    """

    eta: Any
    link: Link

    @cached_property
    def value(self) -> Any:
        """The parameter itself, ``link^-1(eta)``."""
        return self.link.inverse(self.eta)

    @cached_property
    def log(self) -> Any:
        """``log(value)``, computed without leaving log space where the link allows."""
        return self.link.log_inverse(self.eta)

    @cached_property
    def logit(self) -> Any:
        """``log(value / (1 - value))``, ``eta`` itself for the logit link."""
        return self.link.logit_inverse(self.eta)


@dataclass(frozen=True)
class DparSpec:
    """What brms knows of a distributional parameter: links (the first is the default), bounds, default priors.

    ``prior`` is for the parameter when it is not predicted (class = its name); ``intercept_prior`` for the intercept of its
    predictor on the link scale. ``"scale"`` stands for brms' ``student_t(3, 0, s)`` with ``s`` from the response's MAD.
    """

    name: str
    links: tuple[str, ...]
    lb: float | None = None
    ub: float | None = None
    prior: str = ""
    intercept_prior: str = "student_t(3, 0, 2.5)"


@dataclass(frozen=True)
class Family:
    """A family with its links chosen.

    Attributes
    ----------
    name
        brms' name in snake case.
    dpars
        Specs, ``mu`` first.
    links
        dpar name -> chosen link name.
    distribution
        ``(dpars: Mapping[str, Dpar], data: Mapping[str, Array]) -> numpyro Distribution`` of the response, batch shape (N,).
        ``data`` holds what addition terms give under their names: ``trials``, ``se``, ``rate`` (the denominator), ``vint1``, ...
    support
        ``(y, data) -> (mask of rows outside the support, "what the family wants")``.
    kind
        ``"real" | "count" | "binary" | "proportion" | "ordinal" | "category" | ...`` (how pp_check and effects show it).
    """

    name: str
    dpars: tuple[DparSpec, ...]
    links: Mapping[str, str]
    distribution: Callable[[Mapping[str, Dpar], Mapping[str, Any]], Any]
    support: Callable[[Any, Mapping[str, Any]], tuple[Any, str]]
    kind: str = "real"
    additions: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
