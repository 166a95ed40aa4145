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


def fixef(fit: AbstractMer, ddf: str | None) -> pd.DataFrame:
    """Estimates, standard errors and tests."""
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
    if fit.statistic == "z value":
        out["Pr(>|z|)"] = 2.0 * norm.sf(np.abs(ratio))
    elif df is not None:
        out["Pr(>|t|)"] = 2.0 * np.where(np.isinf(df), norm.sf(np.abs(ratio)), t.sf(np.abs(ratio), np.where(np.isinf(df), 1.0, df)))
    return out
