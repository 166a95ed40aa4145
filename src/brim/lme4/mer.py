"""What every fitted mixed model tells, whatever its response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

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

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether the fit lies on the boundary: a standard deviation of zero, or effects of a term that determine one another."""
        from brim.lme4.random import is_singular

        return is_singular(self, tol)
