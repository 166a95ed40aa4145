"""What was called, in rstanarm's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from brim.rstanarm.names import Names

__all__ = ["Call"]


@final
@dataclass(frozen=True)
class Call:
    """What was called, and what it means in rstanarm's words.

    Attributes
    ----------
    function, family, formula
        As ``print`` shows them.
    names
        The parameters' names.
    priors
        ``prior_summary()``: part -> what was specified and what was used.
    coefs, aux, cutpoints, smooths
        Names of coefficients, auxiliary parameters, thresholds and standard deviations of smooths.
    prefixes, formulas
        What stands before the parameters of each of several responses, and their formulas; of joint models the event's last.
    event
        What the print says of an event submodel.
    squares
        ``stan_aov``: term -> the positions of its coefficients.
    explained
        ``stan_lm``: ``sd(y)``, rows and the root of the predictors' crossproducts, for ``R2`` and ``log-fit_ratio``.
    """

    function: str
    family: str
    formula: str
    names: Names
    priors: dict[str, Any]
    coefs: tuple[str, ...]
    aux: tuple[str, ...] = ()
    cutpoints: tuple[str, ...] = ()
    smooths: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    event: Mapping[str, str] = field(default_factory=dict)
    squares: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    explained: tuple[float, int, np.ndarray] | None = field(default=None, repr=False)
