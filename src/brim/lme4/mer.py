"""What every fitted mixed model tells, whatever its response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from brim.errors import warn
from brim.lme4.observed import Observed
from brim.lme4.optimise import Minimum

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.random import VarCorr
    from brim.lme4.summary import Summary

__all__ = ["AbstractMer"]

Array = np.ndarray


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
    statistic: ClassVar[str]

    observed: Observed
    minimum: Minimum

    # ------------------------------------------------------------------ what each kind of model computes

    #: Whether there is a residual variance.
    has_sigma: ClassVar[bool] = True

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
        """Residuals of the rows that were used."""

    @abstractmethod
    def refit(self, y: Any) -> Any:
        """The same model for another response."""

    @abstractmethod
    def refit_ml(self) -> Any:
        """The model fitted by maximum likelihood."""

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

    def fixef(self, ddf: str | None = None) -> pd.DataFrame:
        """Population-level coefficients.

        Parameters
        ----------
        ddf
            For linear models, where the degrees of freedom of t tests come from: ``"Satterthwaite"``, ``"Kenward-Roger"`` (by REML
            only) or ``"normal"`` add columns ``df`` and ``Pr(>|t|)``; ``None`` gives none, as lme4.

        Returns
        -------
        DataFrame
            ``Estimate``, ``Std. Error``, ``t value``; for generalized models ``z value`` and ``Pr(>|z|)``.
        """
        from brim.lme4.fixed import fixef

        return fixef(self, ddf)

    def vcov(self) -> pd.DataFrame:
        """The covariance of the population-level coefficients, (p, p)."""
        import pandas as pd

        return pd.DataFrame(self.covariance, index=list(self.names), columns=list(self.names))

    def VarCorr(self) -> VarCorr:
        """Covariances of the group effects. See ``VarCorr``."""
        from brim.lme4.random import varcorr

        return varcorr(self)

    def ranef(self, condVar: bool = True) -> dict[str, pd.DataFrame]:
        """Group effects given the response (conditional modes): for each grouping factor a data frame of levels x coefficients.

        With ``condVar``, ``.attrs["postVar"]`` holds their conditional covariances, (levels, k, k).
        """
        from brim.lme4.random import ranef

        return ranef(self, condVar)

    def ranef_frame(self) -> pd.DataFrame:
        """The group effects as one table: ``grpvar term grp condval condsd``."""
        from brim.lme4.random import ranef_frame

        return ranef_frame(self)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients of each level: population-level coefficients plus the effects of the level."""
        from brim.lme4.random import coef

        return coef(self)

    # ------------------------------------------------------------------ fit

    def logLik(self) -> float:
        """The log likelihood (restricted, where the criterion is REML's)."""
        return -0.5 * self.criterion

    def AIC(self) -> float:
        """``criterion + 2 npar``."""
        return self.criterion + 2.0 * self.npar

    def BIC(self) -> float:
        """``criterion + log(n) npar``."""
        return self.criterion + float(np.log(self.nobs())) * self.npar

    def nobs(self) -> int:
        """Number of rows that were used."""
        return self.observed.n

    def ngrps(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
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
        """Means of the rows that were used, group effects included."""
        return self.mean(self.linear_predictor)

    def summary(self, correlation: bool = True, ddf: str | None = None) -> Summary:
        """lme4's summary: prints its layout, and holds its tables.

        ``correlation=False`` leaves the correlations of the coefficients out; ``ddf`` adds degrees of freedom and p values (``fixef``).
        """
        from brim.lme4.summary import summarise

        return summarise(self, correlation, ddf)

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

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether the fit lies on the boundary: a standard deviation of zero, or effects of a term that determine one another."""
        from brim.lme4.random import is_singular

        return is_singular(self, tol)

    def rePCA(self) -> dict[str, dict[str, Array]]:
        """Principal components of the group effects: ``sdev`` over ``sigma``, and ``rotation``, for each grouping factor."""
        from brim.lme4.random import rePCA

        return rePCA(self)

    # ------------------------------------------------------------------ tests

    def anova(self, *others: AbstractMer, refit: bool = True, type: Any = 1, ddf: str | None = None, names: tuple[str, ...] = ()) -> Any:
        """Tests of terms, or likelihood ratio tests of models.

        Without other models: sequential sums of squares of each term, ``(R beta)^2``, over ``sigma^2``; with ``ddf`` (linear models) F
        tests of type 1, 2 or 3 with ``"Satterthwaite"`` or ``"Kenward-Roger"`` denominators. With others, named ``names``:
        ``npar AIC BIC logLik deviance Chisq Df Pr(>Chisq)``, models ordered by parameters, REML fits fitted again by maximum
        likelihood unless ``refit=False``.
        """
        from brim.lme4.anova import compare, terms_table

        return compare((self, *others), refit, names) if others else terms_table(self, type, ddf)

    def drop1(self, test: str = "Chisq") -> Any:
        """The model without each term that no other contains: ``npar AIC LRT Pr(Chi)``, by maximum likelihood."""
        from brim.lme4.anova import drop1

        return drop1(self)

    def ranova(self) -> Any:
        """The model without each group term, or without one of its effects: likelihood ratio tests by the same criterion."""
        from brim.lme4.anova import ranova

        return ranova(self)

    def confint(
        self,
        parm: Any = None,
        level: float = 0.95,
        method: str = "profile",
        oldNames: bool = True,
        nsim: int = 500,
        seed: int | None = None,
        executor: Any = None,
    ) -> pd.DataFrame:
        """Confidence intervals of ``.sig01 ... .sigma`` and the coefficients.

        Parameters
        ----------
        parm
            Names of the parameters wanted; all by default; ``"beta_"`` for the coefficients, ``"theta_"`` for the rest.
        level
            Confidence.
        method
            ``"profile"``: where the profiled deviance (by maximum likelihood) is ``qchisq(level, 1)`` above its minimum; ``"Wald"``:
            coefficients only, normal; ``"boot"``: percentiles of ``nsim`` parametric bootstrap fits.
        oldNames
            ``False``: ``sd_Days|Subject``, ``cor_Days.(Intercept)|Subject``, ``sigma``.
        nsim, seed, executor
            Of the bootstrap: how many fits, which responses, and where the fits run (see ``brim.brm``).
        """
        from brim.lme4.confint import confint

        return confint(self, parm, level, method, oldNames, nsim, seed, executor)

    # ------------------------------------------------------------------ predictions

    def predict(
        self, newdata: Any = None, re_form: Any = None, type: str = "link", allow_new_levels: bool = False, se_fit: bool = False
    ) -> Any:
        """Predictions.

        Parameters
        ----------
        newdata
            A data frame; the rows that were used by default.
        re_form
            Group effects: ``None`` for all, ``False`` for none, a formula (``"~ (0 + Days | Subject)"``) for some.
        type
            ``"link"`` or ``"response"``, the same for linear models.
        allow_new_levels
            Levels that were not fitted have effects of zero; an error otherwise.
        se_fit
            Also standard errors on the scale of the predictor, from the joint covariance of coefficients and effects given ``theta``.

        Returns
        -------
        ndarray, or DataFrame with ``fit`` and ``se_fit``
        """
        from brim.lme4.predict import predict

        return predict(self, newdata, re_form, type, allow_new_levels, se_fit)

    def simulate(self, nsim: int = 1, seed: int | None = None, re_form: Any = False) -> Array:
        """Responses drawn from the model, (nsim, rows); group effects are new draws, or with ``re_form=None`` those of the fit."""
        from brim.lme4.simulate import simulate

        return simulate(self, nsim, seed, re_form)

    def bootMer(self, function: Any, nsim: int = 100, seed: int | None = None, executor: Any = None) -> Array:
        """A parametric bootstrap: ``function(fit)`` of fits to simulated responses, (nsim, ...).

        With an ``executor`` (see ``brim.brm``) the fits run there: ``function`` must be one of a module.
        """
        from brim.lme4.simulate import boot

        return boot(self, function, nsim, seed, executor)

    # ------------------------------------------------------------------ checks

    def hatvalues(self) -> Array:
        """Leverages of the rows."""
        return self.leverages()

    def cooks_distance(self) -> Array:
        """``(r / (1 - h))^2 h / (sigma^2 p)`` with Pearson residuals r and leverages h."""
        h, r = self.leverages(), self.residuals("pearson")
        return (r / (1.0 - h)) ** 2 * h / (self.sigma**2 * len(self.beta))

    def all_fit(self) -> pd.DataFrame:
        """Whether other optimizers agree: criterion and largest difference of ``theta`` by SciPy's, started where the search starts."""
        from brim.lme4.simulate import all_fit

        return all_fit(self)

    # ------------------------------------------------------------------ Bayes

    @abstractmethod
    def bayes_family(self) -> Any:
        """The family that ``brim.brm`` takes."""

    def to_bayes(self, prior: Any = None, **arguments: Any) -> Any:
        """The Bayesian fit of the same formula and data: ``brim.brm`` with these priors and its defaults for the rest.

        Chains start at draws around the mode of the posterior, with a metric from there (``init="laplace"``); ``arguments`` are those of
        ``brim.brm``.
        """
        from brim.lme4.bayes import to_bayes

        return to_bayes(self, prior, arguments)
