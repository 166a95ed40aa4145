"""Tables of the population-level coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brim.errors import BrimError, suggest

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["DDF", "fixef"]

DDF = ("Satterthwaite", "Kenward-Roger", "normal")


def fixef(fit: AbstractMer, ddf: str | None = None) -> pd.DataFrame:
    """Population-level coefficients ``beta``, their standard errors, and the ratios of the two.

    Parameters
    ----------
    fit
        A fitted mixed model.
    ddf
        For linear models, where the degrees of freedom of t tests come from: ``"Satterthwaite"``, ``"Kenward-Roger"`` (by REML
        only, and with its own standard errors) or ``"normal"`` add columns ``df`` and ``Pr(>|t|)``; ``None`` gives none, as lme4.

    Returns
    -------
    DataFrame
        A row a coefficient: ``Estimate``, ``Std. Error``, ``t value``; for generalized models ``z value`` and ``Pr(>|z|)``.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(m.fixef().round(3))
                 Estimate  Std. Error  t value
    (Intercept)   251.405       6.825   36.838
    Days           10.467       1.546    6.771
    >>> m.fixef(ddf="Satterthwaite")["df"].round(2).to_dict()
    {'(Intercept)': 17.0, 'Days': 17.0}
    """
    import pandas as pd
    from scipy.stats import norm, t

    covariance, df = fit.covariance, None
    if ddf is not None:
        if ddf not in DDF:
            raise BrimError(f"unknown ddf '{ddf}'", hint=suggest(ddf, DDF, "degrees of freedom"))
        covariance, df = fit.degrees_of_freedom(ddf)
    se = np.sqrt(np.diag(covariance))
    ratio = fit.beta / se
    out = pd.DataFrame({"Estimate": fit.beta, "Std. Error": se}, index=list(fit.names))
    if df is not None:
        out["df"] = df
    out[fit.statistic] = ratio
    if fit.function == "glmer":
        out["Pr(>|z|)"] = 2.0 * norm.sf(np.abs(ratio))
    elif df is not None:
        out["Pr(>|t|)"] = 2.0 * np.where(np.isinf(df), norm.sf(np.abs(ratio)), t.sf(np.abs(ratio), np.where(np.isinf(df), 1.0, df)))
    return out
