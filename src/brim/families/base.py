"""A response family: its distributional parameters, their links, and one function ``dpars -> Distribution``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from brim.distributions.base import Distribution
from brim.errors import BrimError, name_rows, suggest
from brim.families.kinds import Kind
from brim.families.links import LINKS, Link
from brim.parameters.param import Param, Where
from brim.parameters.reported import Reported

__all__ = ["Dpar", "DparSpec", "Extra", "Family", "Seen", "Support", "as_it_is"]

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

    def shares(self, log_total: Array) -> tuple[Array, Array]:
        """``log(value total)`` and ``log((1 - value) total)``: the shapes of a beta law of this mean and a precision."""
        return self.log + log_total, self.log1m + log_total


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
    optional
        Whether it does not exist unless it is predicted or fixed (mixing proportions).

    Two words stand for priors that need the response: ``"location"`` for ``student_t(3, m, s)`` and ``"scale"`` for
    ``student_t(3, 0, s)``. With ``z = link(y)``, the link the parameter's own (identity where it is not predicted, log if the family is
    ``logscale``), ``m`` is the median of ``z`` less the mean offset and ``s = max(2.5, mad(z))``, both rounded to one digit; ``m = 0``,
    ``s = 2.5`` where a response has no link, and for links other than identity, log, inverse, sqrt and 1/mu^2.
    """

    name: str
    links: tuple[str, ...]
    lb: float | None = None
    ub: float | str | None = None
    prior: str = ""
    intercept_prior: str = "student_t(3, 0, 2.5)"
    fixed: float | None = None
    optional: bool = False

    @property
    def stem(self) -> str:
        """The name without the number of a mixture's component."""
        return self.name.rstrip("0123456789")

    def prior_of_intercept(self, link: str) -> str:
        """Default prior of the intercept of this parameter's predictor: under the identity link, that of the parameter itself."""
        return self.prior if link == "identity" and self.prior else self.intercept_prior


@dataclass(frozen=True)
class Seen:
    """What a family learns from: the training response.

    Attributes
    ----------
    y
        The response: (N,), or (N, K) for simplices and count vectors.
    levels
        Levels of a factor response, names of the columns of a matrix response; empty for numbers.
    nthres
        The number of thresholds that ``thres()`` gives, one number or one a row; ``None``: from ``y``.
    group
        (N,) codes from 0 of ``thres(gr = )`` or ``bhaz(gr = )``.
    groups
        Labels of those codes.
    bhaz
        What ``bhaz()`` says of the baseline hazard (``df``).
    """

    y: np.ndarray
    levels: tuple[str, ...] = ()
    nthres: Any = None
    group: np.ndarray | None = None
    groups: tuple[str, ...] = ()
    bhaz: Mapping[str, Any] = field(default_factory=dict)


class Extra(ABC):
    """Parameters of the response's law that belong to no predictor: thresholds, mixing proportions, a baseline hazard.

    Every subclass is a final frozen dataclass. It works as a term does: ``params`` are sampled, ``transform`` gives what is
    reported, ``invert`` goes back, and ``dpars`` hands the distribution what it reads. ``shift`` is ``mean(X) b`` of the
    main predictor where its columns are centred, else 0.
    """

    @property
    def provides(self) -> tuple[str, ...]:
        """Distributional parameters it gives: it is not needed if one of them is predicted or fixed."""
        return ()

    @property
    def predictor(self) -> str:
        """The parameter whose predictor's ``shift`` it takes; empty for the first of those that the main formula predicts."""
        return ""

    def shared(self, others: tuple[Extra, ...]) -> Extra:
        """The one that stands for itself and others of a mixture's further components."""
        raise BrimError("the components of this mixture have nothing that could be the same for all", hint="say order='none'")

    @abstractmethod
    def params(self, where: Where) -> tuple[Param, ...]:
        """What is sampled."""

    @abstractmethod
    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        """The reported quantities from the sampled ones."""

    @abstractmethod
    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        """The sampled quantities from the reported ones."""

    @abstractmethod
    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        """What ``Family.distribution`` takes besides the distributional parameters, from transformed parameters."""

    @abstractmethod
    def reported(self, where: Where) -> tuple[Reported, ...]:
        """What the user sees, under brms' names."""


def no_base(y: np.ndarray, data: Mapping[str, Any]) -> None:
    """Nothing of the log likelihood is the same for all parameters."""


def as_it_is(family: Family, seen: Seen) -> Family:
    """The binding of a family that learns nothing."""
    return family


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
        What response it takes and how it is shown. ``BINARY`` takes 0/1, logicals and two-level factors (second level = 1),
        ``ORDINAL`` ordered factors or whole numbers from 1, ``CATEGORY`` any factor: both come to ``distribution`` as 1..K.
    additions
        The addition terms it understands, under brms' names.
    options
        What the constructor was given besides links: ``threshold``, ``refcat``, ``bhaz``, ``order``, ...
    logscale
        Whether default priors are scaled to ``log(y)`` whatever the link (lognormal and its kin).
    mus
        The parameters that the formula's right-hand side predicts: ``("mu",)``, ``("mub", "muc")``, ``("mu1", "mu2")``.
    intercepts
        Whether those predictors have intercepts; ordinal families have thresholds instead, among ``extras``.
    centered
        Whether the columns of those predictors are centred (not with grouped or sum-to-zero thresholds).
    shown
        Links to show where they differ from ``links`` (a link that all predictors share: ``logit`` for categorical).
    extras
        Parameters without a predictor.
    learned
        Arrays that ``learn`` found (knots); they join the data of every row set.
    categories
        Names of the response's categories (the last axis of ``epred``).
    components
        The families of a mixture.
    binding
        How ``learn`` completes the family.
    expectation
        brms' ``posterior_epred`` where it is not the mean of ``distribution``.
    normalised
        Parameters that are normalised together (mixing proportions), on their own scale: those predicted, and the one that is not.
    shares
        Their names, where one of them must be left out of the predicted ones.
    log_base
        ``(y, data) ->`` what no parameter enters of the log likelihood of each row, ``log_prob - log_kernel`` of its law; ``None``: nothing
        that is worth it, or numbers so large that little of it would be right.
    """

    name: str
    dpars: tuple[DparSpec, ...]
    links: Mapping[str, str]
    distribution: Callable[[Mapping[str, Dpar], Mapping[str, Any]], Distribution]
    support: Support
    kind: Kind = Kind.REAL
    additions: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    logscale: bool = False
    mus: tuple[str, ...] = ("mu",)
    intercepts: bool = True
    centered: bool = True
    shown: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[Extra, ...] = ()
    learned: Mapping[str, Any] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    components: tuple[Family, ...] = ()
    binding: Callable[[Family, Seen], Family] = as_it_is
    expectation: Callable[[Mapping[str, Dpar], Mapping[str, Any]], Any] | None = None
    normalised: Callable[[Mapping[str, Dpar]], Mapping[str, Dpar]] | None = None
    shares: tuple[str, ...] = ()
    log_base: Callable[[np.ndarray, Mapping[str, Any]], np.ndarray | None] = field(default=no_base, compare=False)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two families the same program: hashable, free of learned numbers."""
        options = repr(sorted(self.options.items(), key=str))
        return (
            self.name,
            tuple(sorted(self.links.items())),
            options,
            self.distribution,
            self.extras,
            tuple(c.key for c in self.components),
        )

    def learn(self, seen: Seen) -> Family:
        """The family of this very response: categories named, thresholds counted, knots placed. Once, on training data."""
        return self.binding(self, seen)

    def epred(self, dpars: Mapping[str, Dpar], data: Mapping[str, Any]) -> Any:
        """The expectation of the response as brms' ``posterior_epred`` defines it: (N,), or (N, K) for categories."""
        if self.expectation is not None:
            return self.expectation(dpars, data)
        return self.distribution(dpars, data).mean

    def natural(self, dpars: Mapping[str, Dpar]) -> Mapping[str, Dpar]:
        """The parameters with values on their own scale, whatever predictors they come from."""
        return dpars if self.normalised is None else {**dpars, **self.normalised(dpars)}

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

    def check(self, y: Array, data: Mapping[str, Any] | None = None, among: Array = True, places: Array = None) -> None:
        """Raise an error that names the rows when a response lies outside the support.

        ``among`` is the mask of those to look at, ``places`` what they are called (their positions by default).

        Examples
        --------
        >>> import brim
        >>> brim.families.poisson().check([0, -1, 2.5])
        Traceback (most recent call last):
        ...
        brim.errors.BrimError: poisson needs non-negative whole numbers; rows 1, 2 (counted from 0) hold -1, 2.5
        gaussian, gamma or lognormal take numbers that are no counts
        """
        bad, wanted = self.support(np.asarray(y), data or {})
        rows = np.flatnonzero(bad & among)
        if rows.size:
            where = name_rows(rows if places is None else places[rows])
            what = f"{self.name} needs {wanted}; {where} hold{'s' * (rows.size == 1)} {_held(np.asarray(y)[rows])}"
            raise BrimError(what, hint=OTHERS.get(wanted, "leave these rows out, or choose another family"))


#: What a response outside the support may be meant for, by what the family wants.
OTHERS = {
    "non-negative whole numbers": "gaussian, gamma or lognormal take numbers that are no counts",
    "0 and 1 (or logicals, or a factor of two levels)": "binomial takes counts of successes, y | trials(n); cumulative ordered categories",
    "whole numbers from 0 to the number of trials": "look at the trials, or leave these rows out",
    "numbers between 0 and 1, both excluded": "zero_one_inflated_beta and xbeta take 0 and 1, too",
    "positive numbers": "hurdle_gamma and hurdle_lognormal take zeros, gaussian and student negative numbers",
    "angles from -pi to pi": "degrees x become angles by numpy.deg2rad((x + 180) % 360 - 180)",
    "rows of positive numbers that sum to 1": "divide each row by its sum; zeros need a small number added",
}


def _held(values: np.ndarray, most: int = 5) -> str:
    return ", ".join(f"{v:g}" if np.ndim(v) == 0 else "(" + ", ".join(f"{x:g}" for x in v) + ")" for v in values[:most])
