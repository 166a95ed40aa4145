"""What every fitted mixed model tells, whatever its response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from brim.api.method import Method
from brim.arguments import named_methods
from brim.errors import warn
from brim.lme4.observed import Observed
from brim.lme4.optimise import Minimum

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AbstractMer"]

Array = np.ndarray


@named_methods
@dataclass(frozen=True, eq=False, repr=False)
class AbstractMer(ABC):
    """A fitted mixed model.

    Attributes
    ----------
    observed
        The learned model and the rows that were used.
    minimum
        Where the search ended.
    """

    function: ClassVar[str]

    observed: Observed
    minimum: Minimum

    # ------------------------------------------------------------------ what each kind of model computes

    @property
    def statistic(self) -> str:
        """What the ratios of coefficients and their standard errors are called."""
        return "t value"

    @property
    def has_sigma(self) -> bool:
        """Whether there is a residual variance or dispersion."""
        return True

    @property
    @abstractmethod
    def sigma(self) -> float:
        """Residual standard deviation; 1 for families without."""

    @property
    @abstractmethod
    def beta(self) -> Array:
        """Population-level coefficients (p,)."""

    @property
    @abstractmethod
    def covariance(self) -> Array:
        """Their covariance (p, p)."""

    @property
    @abstractmethod
    def effects(self) -> list[Array]:
        """Group effects, (levels, k) for each grouping factor."""

    @property
    @abstractmethod
    def conditional(self) -> list[Array]:
        """Their covariance given the response, (levels, k, k)."""

    @property
    @abstractmethod
    def criterion(self) -> float:
        """The REML criterion, or minus twice the (approximate) log likelihood."""

    @property
    @abstractmethod
    def npar(self) -> int:
        """Number of parameters."""

    @property
    def reml(self) -> bool:
        """Whether the criterion is REML's."""
        return False

    @property
    @abstractmethod
    def fixed_information(self) -> Array:
        """``X'V^-1 X`` over ``sigma^2``: the inverse of the coefficients' covariance given ``theta``, unscaled (p, p)."""

    @property
    def shares(self) -> bool:
        """Whether the response is a share of trials, which the weights count."""
        return False

    @abstractmethod
    def leverages(self) -> Array:
        """The diagonal of the matrix that takes the (working) response to its fitted values."""

    @abstractmethod
    def conditional_law(self) -> tuple[Any, Any, list[Array], float]:
        """The pattern, the factorisation of ``M``, ``Z'WX`` of each factor in the pattern's order, and the scale of variances."""

    @abstractmethod
    def free_coefficients(self) -> Array:
        """The coefficients that ``absolute_deviance`` takes: none where they are profiled out."""

    @abstractmethod
    def absolute_deviance(self, order: list[int] | None) -> Any:
        """The deviance and its gradient over covariance factors (times ``sigma``), ``log sigma`` if there is one, and free coefficients.

        ``order``: a term's number, and the order in which its effects are taken.
        """

    @abstractmethod
    def rise_of_coefficient(self, j: int) -> Any:
        """The rise of the deviance over its minimum as a function of one coefficient's value."""

    @abstractmethod
    def search(self) -> tuple[Any, Array]:
        """The function that was minimised, with its gradient, and where the search began."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, mean: Array) -> Array:
        """New responses with these means."""

    @abstractmethod
    def refit_design(self, observed: Observed) -> Any:
        """The same kind of model for another design."""

    @abstractmethod
    def mean(self, linear_predictor: Array) -> Array:
        """The mean of the response for a linear predictor."""

    @abstractmethod
    def residuals(self, kind: str = "response") -> Array:
        """Residuals of the rows that were used, ``(n,)``: ``"response"``, ``"pearson"``, ``"working"`` or ``"deviance"``.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.residuals()[:2].round(2)
        array([ -4.1 , -14.63])
        """

    @abstractmethod
    def refit(self, y: Any) -> Any:
        """The same model for another response: a number for each row that was used (of binomial responses a proportion).

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> twice = m.refit(2 * m.observed.y)
        >>> (twice.beta / m.beta).round(6)
        array([2., 2.])
        """

    @abstractmethod
    def refit_ml(self) -> Any:
        """The model fitted by maximum likelihood: itself, unless the criterion is REML's.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.reml, m.refit_ml().reml
        (True, False)
        """

    @abstractmethod
    def scaled_residuals(self) -> Array:
        """Pearson residuals over ``sigma``: what the summary shows quantiles of."""

    @abstractmethod
    def title(self, ddf: str | None = None) -> tuple[str, ...]:
        """The first lines of the summary."""

    def family_lines(self) -> tuple[str, ...]:
        """What the summary says of the family."""
        return ()

    @abstractmethod
    def degrees_of_freedom(self, ddf: str) -> tuple[Array, Array]:
        """The (adjusted) covariance of the coefficients, and the degrees of freedom of their t tests."""

    def criteria(self) -> dict[str, float]:
        """What the summary tells of the fit."""
        if self.reml:
            return {"REML": self.criterion}
        log_lik = self.logLik()
        values = {"AIC": self.AIC(), "BIC": self.BIC(), "logLik": log_lik, "deviance": -2.0 * log_lik}
        return {**values, "df.resid": float(self.df_residual)}

    # ------------------------------------------------------------------ estimates

    @property
    def theta(self) -> Array:
        """lme4's ``theta``: the elements of the relative covariance factors, (m,)."""
        return self.observed.groups.reported(self.minimum.x)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the population-level coefficients."""
        return self.observed.design.names

    @property
    def formula(self) -> str:
        """The formula, as lme4 prints it."""
        return str(self.observed.design.formula)

    fixef = Method("brim.lme4.fixed")

    def vcov(self) -> pd.DataFrame:
        """The covariance of the population-level coefficients, ``(p, p)``, rows and columns named.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> print(m.vcov().round(2))
                     (Intercept)  Days
        (Intercept)        46.57 -1.45
        Days               -1.45  2.39
        """
        import pandas as pd

        return pd.DataFrame(self.covariance, index=list(self.names), columns=list(self.names))

    VarCorr = Method("brim.lme4.random", "varcorr")
    ranef = Method("brim.lme4.random")
    ranef_frame = Method("brim.lme4.random")
    coef = Method("brim.lme4.random")

    # ------------------------------------------------------------------ fit

    def logLik(self) -> float:
        """The log likelihood (restricted, where the criterion is REML's), ``-criterion / 2``.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> round(m.logLik(), 2)
        -871.81
        """
        return -0.5 * self.criterion

    def AIC(self) -> float:
        """``criterion + 2 npar``.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> round(m.AIC(), 2)
        1755.63
        """
        return self.criterion + 2.0 * self.npar

    def BIC(self) -> float:
        """``criterion + log(n) npar``.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> round(m.BIC(), 2)
        1774.79
        """
        return self.criterion + float(np.log(self.nobs())) * self.npar

    def nobs(self) -> int:
        """Number of rows that were used.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.nobs()
        180
        """
        return self.observed.n

    def ngrps(self) -> dict[str, int]:
        """Number of levels of each grouping factor.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.ngrps()
        {'Subject': 18}
        """
        return {g.label: len(g.levels) for g in self.observed.design.groupings}

    @property
    def df_residual(self) -> int:
        """Rows less parameters."""
        return self.nobs() - self.npar

    @cached_property
    def linear_predictor(self) -> Array:
        """``X beta + Z b + offset`` of every row that was used."""
        o = self.observed
        return o.x @ self.beta + o.groups.predict(self.effects) + o.offset

    def fitted(self) -> Array:
        """Means of the rows that were used, ``(n,)``, on the scale of the response and with group effects.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.fitted()[:3].round(1)
        array([253.7, 273.3, 293. ])
        """
        return self.mean(self.linear_predictor)

    summary = Method("brim.lme4.summary", "summarise")

    def __repr__(self) -> str:
        return str(self.summary(correlation=False))

    def told(self) -> Self:
        """Itself; warns where the fit is singular or columns were left out."""
        dropped = self.observed.design.dropped
        if dropped:
            warn(f"the design is rank deficient: {', '.join(dropped)} left out")
        if not self.minimum.converged:
            warn(f"the search did not converge: {self.minimum.evaluations} evaluations, {self.minimum.decrease:.1e} left to gain")
        if self.isSingular():
            warn("boundary (singular) fit: a variance is zero or effects are perfectly correlated; see VarCorr(), rePCA() and isSingular()")
        return self

    isSingular = Method("brim.lme4.random", "is_singular")
    rePCA = Method("brim.lme4.random")

    # ------------------------------------------------------------------ tests

    anova = Method("brim.lme4.anova")
    drop1 = Method("brim.lme4.anova")
    ranova = Method("brim.lme4.anova")
    confint = Method("brim.lme4.confint")

    # ------------------------------------------------------------------ predictions

    predict = Method("brim.lme4.predict")
    simulate = Method("brim.lme4.simulate")
    bootMer = Method("brim.lme4.simulate")

    # ------------------------------------------------------------------ checks

    def hatvalues(self) -> Array:
        """Leverages of the rows: the diagonal of the matrix that takes the (working) response to its fitted values, ``(n,)``.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> float(m.hatvalues().sum().round(2))  # the effective number of parameters
        29.02
        """
        return self.leverages()

    def cooks_distance(self) -> Array:
        """Cook's distance of the rows: ``(r / (1 - h))^2 h / (sigma^2 p)`` with Pearson residuals r and leverages h.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> int(m.cooks_distance().argmax())
        59
        """
        h, r = self.leverages(), self.residuals("pearson")
        return (r / (1.0 - h)) ** 2 * h / (self.sigma**2 * len(self.beta))

    all_fit = Method("brim.lme4.simulate")

    # ------------------------------------------------------------------ Bayes

    @abstractmethod
    def bayes_family(self) -> Any:
        """The family that ``brim.brm`` takes."""

    to_bayes = Method("brim.lme4.bayes")
