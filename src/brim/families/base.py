"""A response family: its distributional parameters, their links, and one function ``dpars -> Distribution``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.families.distributions import Distribution
from brim.families.links import LINKS, Link

__all__ = ["Dpar", "DparSpec", "Family", "Support"]

Array = Any
#: ``(y, data) -> (mask of the rows outside the support, what the family wants)``
Support = Callable[[Any, Mapping[str, Any]], tuple[Any, str]]


@dataclass(frozen=True)
class Dpar:
    """A distributional parameter on its predictor's scale; the response scale and its logarithm are computed fused with the link.

    ``Dpar(eta, link)``; a parameter that is not predicted comes as ``Dpar(value)``.

    Examples
    --------
    >>> float(Dpar(-3.0, LINKS["log"]).log)
    -3.0
    """

    eta: Array
    link: Link = LINKS["identity"]

    @cached_property
    def value(self) -> Array:
        """The parameter itself, ``link^-1(eta)``."""
        return self.link.inverse(self.eta)

    @cached_property
    def log(self) -> Array:
        """``log(value)``, computed without leaving log space where the link allows."""
        return self.link.log_inverse(self.eta)

    @cached_property
    def log1m(self) -> Array:
        """``log(1 - value)``."""
        return self.link.log1m_inverse(self.eta)

    @cached_property
    def logit(self) -> Array:
        """``log(value / (1 - value))``, ``eta`` itself for the logit link."""
        return self.link.logit_inverse(self.eta)


@dataclass(frozen=True)
class DparSpec:
    """What brms knows of a distributional parameter: links (the first is the default), bounds, default priors.

    Attributes
    ----------
    name
        Its name: ``"mu"``, ``"sigma"``, ``"mu2"``, ``"mub"``, ...
    links
        The links it may have.
    lb, ub
        Bounds of the parameter when it is not predicted. ``"min_Y"`` stands for the response's minimum.
    prior
        Default prior of the parameter when it is not predicted (class = its name).
    intercept_prior
        Default prior of the intercept of its predictor under a link other than the identity; see ``prior_of_intercept``.
    fixed
        The value at which it stays unless it is predicted or given a prior.

    Two words stand for priors that need the response: ``"location"`` for ``student_t(3, m, s)`` and ``"scale"`` for
    ``student_t(3, 0, s)``, with ``m`` the median and ``s = max(2.5, mad)`` of ``link(y)`` (of ``log(y)`` if the family is
    ``logscale``, whatever the link), rounded to one digit, for the links identity, log, inverse, sqrt and 1/mu^2;
    ``m = 0``, ``s = 2.5`` for the others. A parameter that is not predicted counts as one with the identity link.
    """

    name: str
    links: tuple[str, ...]
    lb: float | None = None
    ub: float | str | None = None
    prior: str = ""
    intercept_prior: str = "student_t(3, 0, 2.5)"
    fixed: float | None = None

    def prior_of_intercept(self, link: str) -> str:
        """Default prior of the intercept of this parameter's predictor: under the identity link, that of the parameter itself."""
        return self.prior if link == "identity" and self.prior else self.intercept_prior


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
        ``(dpars: Mapping[str, Dpar], data: Mapping[str, Array]) -> Distribution`` of the response, batch shape (N,).
        ``data`` holds what addition terms give under their names: ``trials``, ``se``, ``rate`` (the denominator), ``vint1``, ...
    support
        ``(y, data) -> (mask of rows outside the support, "what the family wants")``.
    kind
        ``"real" | "positive" | "count" | "binary" | "proportion" | "angle" | "ordinal" | "category" | "simplex" | "counts"``: what response
        it takes and how pp_check and effects show it. ``binary`` takes 0/1, logicals and two-level factors (second level = 1),
        ``ordinal`` ordered factors or whole numbers from 1, ``category`` any factor: both come to ``distribution`` as 1..K.
    additions
        The addition terms it understands, under brms' names.
    options
        What the constructor was given besides links: ``threshold``, ``refcat``, ``bhaz``, ``order``, ...
    logscale
        Whether default priors are scaled to ``log(y)`` whatever the link (lognormal and its kin).
    """

    name: str
    dpars: tuple[DparSpec, ...]
    links: Mapping[str, str]
    distribution: Callable[[Mapping[str, Dpar], Mapping[str, Any]], Distribution]
    support: Support
    kind: str = "real"
    additions: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    logscale: bool = False

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name} = {link}' for name, link in self.links.items())})"

    def __radd__(self, formula: Any) -> Any:
        """``bf("y ~ x") + student()``: the formula with this family."""
        return formula.with_family(self)

    def spec(self, dpar: str) -> DparSpec:
        """The spec of a distributional parameter, or an error with the near names."""
        for spec in self.dpars:
            if spec.name == dpar:
                return spec
        names = [s.name for s in self.dpars]
        raise BrimError(
            f"family '{self.name}' has no parameter '{dpar}'", hint=suggest(dpar, names, f"distributional parameters of {self.name}")
        )

    def link(self, dpar: str = "mu") -> Link:
        """The link of a distributional parameter."""
        return LINKS[self.links[self.spec(dpar).name]]

    def check(self, y: Array, data: Mapping[str, Any] | None = None) -> None:
        """Raise an error that names the rows when a response lies outside the support.

        Examples
        --------
        >>> import brim
        >>> brim.families.poisson().check([0, -1, 2.5])
        Traceback (most recent call last):
        ...
        brim.errors.BrimError: poisson needs non-negative whole numbers; rows 1, 2 (counted from 0) hold -1, 2.5
        """
        bad, wanted = self.support(np.asarray(y), data or {})
        rows = np.flatnonzero(bad)
        if rows.size:
            raise BrimError(f"{self.name} needs {wanted}; {_rows(rows)} {_held(np.asarray(y)[rows])}")


def _rows(rows: np.ndarray, most: int = 5) -> str:
    shown = ", ".join(str(r) for r in rows[:most]) + (f" and {rows.size - most} more" if rows.size > most else "")
    return f"row{'s' if rows.size > 1 else ''} {shown} (counted from 0) hold{'' if rows.size > 1 else 's'}"


def _held(values: np.ndarray, most: int = 5) -> str:
    return ", ".join(f"{v:g}" if np.ndim(v) == 0 else "(" + ", ".join(f"{x:g}" for x in v) + ")" for v in values[:most])
