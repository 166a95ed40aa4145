"""Estimates of fits side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from brim.arguments import named
from brim.errors import BrimError
from brim.mixedup.protocol import tables_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare_estimates"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """``table``: one row for each coefficient, standard deviation and correlation; estimate, error and limits of each fit."""

    table: pd.DataFrame
    digits: int

    def __str__(self) -> str:
        return str(self.table.round(self.digits).to_string(na_rep=""))

    __repr__ = __str__


@named
def compare_estimates(*fits: Any, names: tuple[str, ...] = (), ci_level: float = 0.95, digits: int = 3) -> Comparison:
    """Estimates of two or more fits of the same model side by side.

    Parameters
    ----------
    fits
        What ``lmer()``, ``brm()``, ... returned.
    names
        What the columns call the fits; the functions' names by default.
    ci_level
        Of the intervals: normal for coefficients and profiles for standard deviations of classical fits, quantiles of Bayesian ones.

    Examples
    --------
    >>> import brim
    >>> gpa = brim.load_data("gpa")
    >>> ml, reml = (brim.lmer("gpa ~ occasion + (1 | student)", gpa, REML=reml) for reml in (False, True))
    >>> table = brim.compare_estimates(ml, reml, names=("ML", "REML")).table
    >>> print(table.loc["sd(student: Intercept)", ("REML", "estimate")].round(4))
    0.2524
    """
    import pandas as pd

    if len(fits) < 2:
        raise BrimError("compare_estimates() needs two fits or more")
    labels = list(names) or _labels(fits)
    if len(labels) != len(fits):
        raise BrimError(f"{len(labels)} names for {len(fits)} fits")
    parts = {label: _estimates(fit, ci_level) for label, fit in zip(labels, fits, strict=True)}
    rows = list(dict.fromkeys(row for part in parts.values() for row in part.index))
    return Comparison(pd.concat({label: part.reindex(rows) for label, part in parts.items()}, axis=1), digits)


def _labels(fits: tuple[Any, ...]) -> list[str]:
    out: list[str] = []
    for fit in fits:
        name = getattr(fit, "function", "brm")
        out.append(name if name not in out else f"{name}.{len(out)}")
    return out


def _estimates(fit: Any, level: float) -> pd.DataFrame:
    import pandas as pd

    tables = tables_of(fit)
    columns = ["estimate", "error", "lower", "upper"]
    fixed = tables.fixed_effects(level, "Wald")
    rows = {t: tuple(v) for t, v in zip(fixed["term"], fixed[["value", "se", "lower", "upper"]].to_numpy(), strict=True)}
    for group, effect, _, sd, low, high in tables.variances(level, "profile").itertuples(index=False):
        rows["sigma" if group == "Residual" else f"sd({group}: {effect})"] = (sd, float("nan"), low, high)
    for group, cor in tables.correlations().items():
        names = list(cor.index)
        for j, b in enumerate(names):
            for i in range(j):
                rows[f"cor({group}: {names[i]}, {b})"] = (float(cor.iloc[i, j]), *[float("nan")] * 3)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
