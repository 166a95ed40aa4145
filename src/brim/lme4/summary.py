"""The summary of a mixed model in lme4's layout, its tables as data frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from brim.errors import printable
from brim.lme4.variances import VarCorr, varcorr_lines
from brim.post.summaries.rformat import abbreviate, coefficient_table, format_numbers, left_table, zap_small

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["Summary", "summarise"]

_DIGITS = 4


@final
@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """Prints lme4's summary.

    Attributes
    ----------
    title
        Method and kind of model.
    fixed
        The population-level coefficients.
    varcorr
        The covariances of the group effects.
    correlation
        Correlations of the coefficients (p, p), or ``None``.
    criteria
        ``AIC BIC logLik deviance df.resid``, or ``REML``.
    residuals
        Quantiles of the scaled residuals.
    """

    title: tuple[str, ...]
    calls: tuple[str, ...]
    criteria: dict[str, float]
    residuals: pd.Series
    varcorr: VarCorr
    nobs: int
    ngrps: dict[str, int]
    fixed: pd.DataFrame
    correlation: pd.DataFrame | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [*self.title, *self.calls, "", *self._criteria(), "", *self._residuals(), ""]
        lines += ["Random effects:", *varcorr_lines(self.varcorr, ("Variance", "Std.Dev."), _DIGITS), groups_line(self.nobs, self.ngrps)]
        if len(self.fixed):
            lines += ["", "Fixed effects:", *fixed_lines(self.fixed)]
        if self.correlation is not None and len(self.fixed) > 1:
            lines += ["", "Correlation of Fixed Effects:", *correlation_lines(self.correlation)]
        return printable("\n".join([*lines, *self.notes]))

    __repr__ = __str__

    def _criteria(self) -> list[str]:
        if "REML" in self.criteria:
            return [f"REML criterion at convergence: {format_numbers([round(self.criteria['REML'], 1)], 7)[0]}"]
        cells = {k: f"{v:.0f}" if k == "df.resid" else _rounded(v, 1) for k, v in self.criteria.items()}
        return _right_aligned(cells)

    def _residuals(self) -> list[str]:
        shown = format_numbers(zap_small(self.residuals.to_numpy(), _DIGITS + 1), _DIGITS)
        return ["Scaled residuals: ", *_right_aligned(dict(zip(self.residuals.index, shown, strict=True)))]


def _rounded(value: float, places: int) -> str:
    return format_numbers([round(value, places)], 15, nsmall=places)[0]


def _right_aligned(cells: dict[str, str]) -> list[str]:
    """A named vector as R prints it."""
    width = max(len(t) for pair in cells.items() for t in pair)
    return ["".join(t.rjust(width) + " " for t in row) for row in (cells, cells.values())]


def groups_line(nobs: int, ngrps: dict[str, int]) -> str:
    return f"Number of obs: {nobs}, groups:  " + "; ".join(f"{g}, {n}" for g, n in ngrps.items())


def fixed_lines(fixed: pd.DataFrame) -> list[str]:
    """The coefficients as ``printCoefmat()`` prints them."""
    tests = [c for c in fixed if c in ("t value", "z value")]
    p = next((c for c in fixed if str(c).startswith("Pr(")), "")
    return coefficient_table(
        list(fixed.index), {str(c): fixed[c].to_numpy() for c in fixed}, _DIGITS, ("Estimate", "Std. Error", "df"), tests, p
    )


def correlation_lines(correlation: pd.DataFrame) -> list[str]:
    """The lower triangle."""
    names = list(correlation.index)
    rows, columns = abbreviate(names, 11), abbreviate(names, 6)
    values = correlation.to_numpy()
    p = len(names)
    every = format_numbers([round(float(values[i, j]), 3) + 0.0 for i in range(p) for j in range(p)], 7, nsmall=3)
    cells = [[every[i * p + j] if j < i else "" for j in range(p - 1)] for i in range(1, p)]
    label = max(map(len, rows[1:]))
    lines = left_table(columns[: p - 1], cells)
    return [name.ljust(label) + line for name, line in zip(["", *rows[1:]], lines, strict=True)]


def summarise(fit: AbstractMer, correlation: bool = True, ddf: str | None = None) -> Summary:
    """lme4's summary: prints its layout, and holds its tables.

    ``correlation=False`` leaves the correlations of the coefficients out; ``ddf`` adds degrees of freedom and p values (``fixef``).

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(m.summary(correlation=False))
    Linear mixed model fit by REML ['lmerMod']
    Formula: Reaction ~ Days + (Days | Subject)
       Data: data
    ...
    Fixed effects:
                Estimate Std. Error t value
    (Intercept)  251.405      6.825  36.838
    Days          10.467      1.546   6.771
    """
    import pandas as pd

    fixed = fit.fixef(ddf)
    quantiles = np.quantile(fit.scaled_residuals(), [0.0, 0.25, 0.5, 0.75, 1.0])
    residuals = pd.Series(quantiles, index=["Min", "1Q", "Median", "3Q", "Max"])
    sd = np.sqrt(np.diag(fit.covariance))
    cor = pd.DataFrame(fit.covariance / np.multiply.outer(sd, sd), index=list(fit.names), columns=list(fit.names)) if correlation else None
    o = fit.observed
    calls = [*fit.family_lines(), f"Formula: {fit.formula}", f"   Data: {o.data_name}"]
    calls += [f"Weights: {o.weights_name}"] if o.weights_name else []
    notes = ["boundary (singular) fit: see isSingular()"] if fit.isSingular() else []
    if o.design.dropped:
        notes.insert(0, f"the design is rank deficient: no coefficient of {', '.join(o.design.dropped)}")
    return Summary(
        fit.title(ddf), tuple(calls), fit.criteria(), residuals, fit.VarCorr(), fit.nobs(), fit.ngrps(), fixed, cor, tuple(notes)
    )
