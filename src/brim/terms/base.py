"""The protocol of a term: ``learn / design / params / transform / apply / extend / reported``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Terms
from brim.parameters.param import Param, Where
from brim.parameters.reported import Reported
from brim.terms.facets import Design, LinearFacet, NewLevels, Params, Traits
from brim.terms.latent import Part

__all__ = ["AbstractTerm", "Context", "Design", "Imputable", "Imputing", "Params", "Read", "completed", "given_key", "linear_of"]


@dataclass(frozen=True)
class Imputable:
    """A response with ``mi()`` left of ``~``, whose missing values are estimated.

    Attributes
    ----------
    resp
        Its name in the names of parameters, empty for a single response.
    column
        The column that it is.
    rows
        ``frame -> mask of the rows that belong to it`` (``subset()``), ``None`` for all.
    value
        ``frame -> y``, missing values ``NaN``.
    noise
        ``frame -> sd`` of ``mi(sd)``, or ``None``.
    index
        ``frame -> the column of index()``, or ``None``.
    columns, index_columns, row_columns
        The columns that ``value`` and ``noise``, ``index``, and ``rows`` read.
    bounds
        Lower and upper bound of its values, ``None`` where there is none.
    """

    resp: str
    column: str
    rows: Callable[[Frame], Any]
    value: Callable[[Frame], Any]
    noise: Callable[[Frame], Any] | None = None
    index: Callable[[Frame], Any] | None = None
    columns: tuple[str, ...] = ()
    index_columns: tuple[str, ...] = ()
    row_columns: tuple[str, ...] = ()
    bounds: tuple[float | None, float | None] = (None, None)


class Imputing(Protocol):
    """What estimates the missing values of a response."""

    @property
    def key(self) -> str:
        """Name of the estimated values among the parameters."""

    def positions(self, frame: Frame) -> np.ndarray:
        """Position of each row's estimated value, or -1."""


@dataclass(frozen=True)
class Context:
    """What a term may know when it is read from a formula.

    Attributes
    ----------
    where
        The predictor it stands in.
    terms
        The whole right-hand side.
    frame
        The training rows of its response.
    data2
        Matrices by name: ``(values, row names or None)``.
    scale
        ``s`` of brms' default prior ``student_t(3, 0, s)`` of this response.
    response
        ``frame -> y``.
    family, link
        Name of the family and the predictor's link.
    whole
        All training rows, ``None`` where ``frame`` holds them.
    imputables
        The responses with ``mi()``, which ``mi()`` terms refer to.
    mecor
        Whether the latent variables of ``me()`` terms are correlated.
    additions
        The addition terms and category-specific effects that the family takes.
    nthres
        Number of thresholds of an ordinal family.
    response_columns
        The columns that ``response`` reads.
    response_additions
        The addition terms that stand at the response.
    imputed
        Where the estimated values of this response stand, ``None`` where there are none.
    knots
        Knots of smooths by covariate, as written in the formula.
    """

    where: Where
    terms: Terms
    frame: Frame
    data2: Mapping[str, Any]
    scale: float
    response: Callable[[Frame], Any]
    family: str
    link: str
    whole: Frame | None = None
    imputables: tuple[Imputable, ...] = ()
    mecor: bool = True
    additions: tuple[str, ...] = ()
    nthres: int = 0
    response_columns: tuple[str, ...] = ()
    response_additions: tuple[str, ...] = ()
    imputed: Imputing | None = None
    knots: Mapping[str, Any] = field(default_factory=dict)


def completed(key: str, params: Params, design: Design) -> Any:
    """``y`` with the estimated values ``params[key]`` in their places: those of ``at`` that are not negative. Nothing may be estimated."""
    if key not in params:
        return design["y"]
    at = design["at"]
    return jnp.where(at >= 0, params[key][jnp.maximum(at, 0)], design["y"])


def given_key(where: Where, coef: str) -> str:
    """The name under which ``given`` hands out what a special coefficient multiplies."""
    return f"sp{where.suffix}:{coef}"


@dataclass(frozen=True)
class Read:
    """What a formula's special terms of one kind become: learned terms of the predictor, and terms that predictors share.

    ``shared`` terms are transformed first and once; those with the same key are joined. ``residual`` is the joint law of the
    response's residuals, a term too (see ``terms.residual``).
    """

    terms: tuple[AbstractTerm, ...]
    shared: tuple[AbstractTerm, ...] = field(default=())
    residual: Any = None


class AbstractTerm(ABC):
    """One kind of term of a linear predictor.

    Every subclass is a final frozen dataclass. Fields that are learned from data are declared with ``compare=False``:
    ``apply`` and ``transform`` read only the others and their arguments, so that two models of the same structure are
    equal and share one compiled program.

    This is what every term says. What some say besides stands in ``terms.facets``: terms that are linear in known columns are
    ``LinearFacet`` too, those that add part of a latent vector (which can be integrated out) ``LatentFacet``.
    """

    @property
    @abstractmethod
    def key(self) -> str:
        """Unique name in the model; the term's place in the design."""

    @property
    def traits(self) -> Traits:
        """What others must know of it before they use it."""
        return Traits()

    @property
    def linear(self) -> LinearFacet | None:
        """Itself, where it is linear in known columns."""
        return None

    @property
    def latent(self) -> Part | None:
        """The part of a latent vector that it adds to its predictor."""
        return None

    @abstractmethod
    def learn(self, frame: Frame) -> Self:
        """Read the training data once: levels, contrasts, knots, means. Nothing is recomputed from new data."""

    def join(self, other: Self) -> Self:
        """The one term that stands for itself and another with the same key, shared by several predictors."""
        return self

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

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        """The columns (rows, columns) that elements of its parameters multiply as they are, where their prior may be flat.

        Each with the parameter's name, and whether what is constant in them is left to an intercept.
        """
        return ()

    def log_prior(self, params: Params, design: Design) -> Any:
        """What it adds to ``lprior`` besides the priors of its parameters (laws whose scale is another parameter)."""
        return 0.0

    def log_density(self, params: Params, design: Design) -> Any:
        """What it adds to the log joint density besides priors and the responses' likelihood (models of measurement error)."""
        return 0.0

    def given(self, params: Params, design: Design) -> dict[str, Any]:
        """Quantities of each row that later terms of the same predictor read among ``params`` (what varies by group)."""
        return {}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        """The sampled parameters that carry a prior row, from the reported quantities (``Intercept`` from ``b_Intercept``)."""
        return {}

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        """The standardised parameters without a prior row that ``invert`` leaves out, from all others and the reported quantities."""
        return {}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        """The linear predictor with this term in it: pure JAX, ``eta -> eta``."""
        return eta

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        """Draw what new data need beyond the training data (new levels); the only place where that happens.

        ``keys`` is a pair: one key that differs by draw, one that is the same for all draws.
        """
        return {}

    def held(self, design: Design) -> int:
        """How many numbers it needs for one draw, its largest array: those with more than one a row (matrices) tell."""
        return 0

    def reported(self) -> tuple[Reported, ...]:
        """What the user sees, under brms' names."""
        return ()


def linear_of(term: AbstractTerm) -> LinearFacet:
    """A term of which it is known that it is linear."""
    assert term.linear is not None
    return term.linear
