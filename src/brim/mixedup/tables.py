"""mixedup's functions: one data frame each, with its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import named
from brim.errors import BrimError, suggest
from brim.mixedup.protocol import tables_of
from brim.post.summaries.text import format_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ModelSummary",
    "extract_cor_structure",
    "extract_fixed_effects",
    "extract_het_var",
    "extract_random_coefs",
    "extract_random_effects",
    "extract_vc",
    "find_typical",
    "summarize_model",
]


def _level(ci_level: float) -> float:
    if not 0 <= ci_level < 1:
        raise BrimError(f"ci_level = {ci_level} must lie between 0 and 1", hint="0 leaves the intervals out")
    return float(ci_level)


def _named(frame: pd.DataFrame, level: float, digits: int | None, prefix: tuple[str, str] = ("lower", "upper")) -> pd.DataFrame:
    """Limits under mixedup's names (``lower_2.5``), numbers rounded if asked."""
    ends = (f"{100 * (0.5 - level / 2):.6g}", f"{100 * (0.5 + level / 2):.6g}")
    out = frame.rename(columns={"lower": f"{prefix[0]}_{ends[0]}", "upper": f"{prefix[1]}_{ends[1]}"})
    return out if digits is None else out.round(digits)


def _only(frame: pd.DataFrame, re: str | None) -> pd.DataFrame:
    if re is None:
        return frame
    groups = list(dict.fromkeys(frame["group_var"]))
    if re not in groups:
        raise BrimError(f"the model has no grouping factor '{re}'", hint=suggest(re, groups, "grouping factors"))
    return frame[frame["group_var"] == re].reset_index(drop=True)


@named
def extract_random_effects(
    model: Any, re: str | None = None, ci_level: float = 0.95, digits: int | None = None, add_group_N: bool = False
) -> pd.DataFrame:
    """Group effects of every level, with uncertainty.

    Parameters
    ----------
    model
        What ``brm()``, ``lmer()``, ``glmer()``, ``nlmer()`` or a ``stan_*`` function returned.
    re
        One grouping factor; all by default.
    ci_level
        Of the intervals; 0 leaves them out.
    digits
        Decimals to round to; none by default.
    add_group_N
        Adds ``n``, the rows of each level.

    Returns
    -------
    DataFrame
        ``group_var effect group value se lower_2.5 upper_97.5``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(brim.mixedup.extract_random_effects(fit, digits=2).head(2).to_string(index=False))
    group_var    effect group  value    se  lower_2.5  upper_97.5
      Subject Intercept   308   2.26 12.07     -21.40       25.92
      Subject Intercept   309 -40.40 12.07     -64.06      -16.74
    """
    level, tables = _level(ci_level), tables_of(model)
    out = _named(_only(tables.random_effects(level), re), level, digits)
    if add_group_N:
        counts = tables.counts()
        out["n"] = [counts.get(g, {}).get(v) for g, v in zip(out["group_var"], out["group"], strict=True)]
    return out


@named
def extract_random_coefs(model: Any, re: str | None = None, ci_level: float = 0.95, digits: int | None = None) -> pd.DataFrame:
    """Effects of every level plus the population-level coefficients that they vary around; columns as ``extract_random_effects``.

    For classical fits the variances of both are added.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"))
    >>> brim.mixedup.extract_random_coefs(fit, digits=2).head(2)[["effect", "group", "value"]]
          effect group   value
    0  Intercept   308  253.66
    1  Intercept   309  211.01
    """
    level = _level(ci_level)
    return _named(_only(tables_of(model).random_coefs(level), re), level, digits)


@named
def extract_fixed_effects(
    model: Any, ci_level: float = 0.95, digits: int | None = None, exponentiate: bool = False, p_value: str = "Wald"
) -> pd.DataFrame:
    """Population-level coefficients: ``term value se [t | z, p_value] lower_2.5 upper_97.5``.

    ``exponentiate`` gives ``exp`` of values and limits, standard errors by the delta method. ``p_value`` of linear models is
    ``"Wald"`` (normal), ``"Satterthwaite"`` or ``"KR"``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"))
    >>> brim.mixedup.extract_fixed_effects(fit, digits=2)[["term", "value", "se"]]
            term   value    se
    0  Intercept  251.41  6.82
    1       Days   10.47  1.55
    """
    level = _level(ci_level)
    frame = tables_of(model).fixed_effects(level, p_value)
    if exponentiate:
        frame["value"] = np.exp(frame["value"])
        frame["se"] = frame["se"] * frame["value"]
        for end in ("lower", "upper"):
            if end in frame:
                frame[end] = np.exp(frame[end])
    return _named(frame, level, digits)


@named
def extract_vc(
    model: Any, ci_level: float = 0.95, ci_scale: str = "sd", show_cor: bool = False, digits: int | None = None, method: str = "profile"
) -> Any:
    """Variance components: ``group effect variance sd sd_2.5 sd_97.5 var_prop``, the residual last.

    Parameters
    ----------
    ci_level
        Of the intervals; 0 leaves them out.
    ci_scale
        ``"sd"`` or ``"var"``: what the limits are of (``var_2.5``).
    show_cor
        Also the correlations: ``{"Variance Components": frame, "Cor": {group: frame}}``.
    method
        For classical fits ``"profile"`` or ``"boot"``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"))
    >>> brim.mixedup.extract_vc(fit, digits=2)[["group", "effect", "sd"]]
          group     effect     sd
    0   Subject  Intercept  24.74
    1   Subject       Days   5.92
    2  Residual        NaN  25.59
    """
    if ci_scale not in ("sd", "var"):
        raise BrimError(f"unknown ci_scale '{ci_scale}'", hint="scales: sd, var")
    level, tables = _level(ci_level), tables_of(model)
    frame = tables.variances(level, method)
    if ci_scale == "var":
        for end in ("lower", "upper"):
            if end in frame:
                frame[end] = frame[end] ** 2
    frame["var_prop"] = frame["variance"] / frame["variance"].sum()
    out = _named(frame, level, digits, (ci_scale, ci_scale))
    if not show_cor:
        return out
    cors = {g: c if digits is None else c.round(digits) for g, c in tables.correlations().items()}
    return {"Variance Components": out, "Cor": cors}


@named
def extract_het_var(model: Any, scale: str = "var", digits: int | None = None) -> pd.DataFrame:
    """Coefficients of a predicted residual standard deviation (``sigma ~ ...``), ``exp`` of each, squared on the scale ``"var"``.

    Examples
    --------
    >>> import brim, pandas as pd
    >>> model = brim.brm(brim.bf("Reaction ~ Days", "sigma ~ 1"), data=brim.load_data("sleepstudy"), empty=True)
    >>> fit = model.with_draws(pd.DataFrame({"b_Intercept": [250.0, 250.0], "b_Days": [10.0, 10.0], "b_sigma_Intercept": [3.0, 3.2]}))
    >>> brim.mixedup.extract_het_var(fit, scale="sd", digits=1)["value"].tolist()
    [22.3]
    """
    if scale not in ("sd", "var"):
        raise BrimError(f"unknown scale '{scale}'", hint="scales: sd, var")
    frame = tables_of(model).residual_variances()
    if scale == "var":
        frame["se"] = 2.0 * frame["value"] * frame["se"]
        for column in ("value", "lower", "upper"):
            frame[column] = frame[column] ** 2
    return _named(frame, 0.95, digits)


@named
def extract_cor_structure(model: Any, ci_level: float = 0.95, digits: int | None = None) -> pd.DataFrame:
    """Parameters of correlated residuals (``ar[1]``, ``cosy``): ``parameter value se lower_2.5 upper_97.5``.

    Examples
    --------
    >>> import brim, pandas as pd
    >>> model = brim.brm("Reaction ~ Days + ar(gr = Subject)", data=brim.load_data("sleepstudy"), empty=True)
    >>> draws = {"b_Intercept": [250.0, 250.0], "b_Days": [10.0, 10.0], "ar[1]": [0.6, 0.8], "sigma": [30.0, 30.0]}
    >>> fit = model.with_draws(pd.DataFrame(draws))
    >>> brim.mixedup.extract_cor_structure(fit)[["parameter", "value"]].to_dict("list")
    {'parameter': ['ar[1]'], 'value': [0.7]}
    """
    level = _level(ci_level)
    return _named(tables_of(model).correlation_structure(level), level, digits)


def _nearest(values: np.ndarray, to: float) -> int:
    """The first of the values nearest to a number; what differs by rounding only is as near."""
    far = np.abs(values - to)
    return int(np.flatnonzero(far <= far.min() + 1e-9 * np.abs(values).max(initial=0.0))[0])


@named
def find_typical(model: Any, re: str | None = None, probs: Any = None, ci_level: float = 0.95, digits: int | None = None) -> pd.DataFrame:
    """The level of each grouping factor whose effect is nearest to zero, or to quantiles of the effects.

    ``probs`` (0.25, 0.5, ...) adds the column ``probs``, ``"25%"``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"))
    >>> brim.mixedup.find_typical(fit, digits=2)[["effect", "group", "value"]]
          effect group  value
    0       Days   333  -0.22
    1  Intercept   335  -0.33
    """
    import pandas as pd

    frame = extract_random_effects(model, re, ci_level, None)
    rows = []
    for _, part in frame.groupby(["group_var", "effect"], sort=True):
        values = part["value"].to_numpy()
        if probs is None:
            rows.append(part.iloc[[_nearest(values, 0.0)]])
            continue
        nearest = ((p, _nearest(values, float(np.quantile(values, p)))) for p in np.atleast_1d(probs))
        rows += [part.iloc[[at]].assign(probs=f"{100 * p:.6g}%") for p, at in nearest]
    out = pd.concat(rows, ignore_index=True)
    return out if digits is None else out.round(digits)


@final
@dataclass(frozen=True, eq=False, repr=False)
class ModelSummary:
    """``variance_components`` and ``fixed_effects``, printed one below the other; ``cor`` where asked."""

    variance_components: pd.DataFrame
    fixed_effects: pd.DataFrame
    cor: dict[str, pd.DataFrame]
    digits: int

    def __str__(self) -> str:
        lines = ["Variance Components:", *self._lines(self.variance_components)]
        for group, frame in self.cor.items():
            lines += ["", f"Correlations of {group}:", *frame.round(self.digits).to_string().splitlines()]
        return "\n".join([*lines, "", "Fixed Effects:", *self._lines(self.fixed_effects)])

    __repr__ = __str__

    def _lines(self, frame: pd.DataFrame) -> list[str]:
        """As R prints data frames without row names."""
        short = {"sd": "SD", "se": "SE", "t": "t"}
        header = [c.replace("sd_", "SD_") if c.startswith("sd_") else short.get(c, c[0].upper() + c[1:]) for c in frame]

        def shown(value: Any) -> str:
            if value is None or value != value:
                return "NA"
            return value if isinstance(value, str) else f"{value:.{self.digits}f}"

        return format_table(header, [[shown(v) for v in row] for row in frame.itertuples(index=False)])


@named
def summarize_model(
    model: Any, ci: bool = True, ci_level: float = 0.95, digits: int = 2, cor_re: bool = False, p_value: str = "Wald"
) -> ModelSummary:
    """Variance components and fixed effects in one print.

    Parameters
    ----------
    ci
        Whether variance components have intervals.
    digits
        Decimals printed; the tables keep all.
    cor_re
        Also the correlations of group effects.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("gpa ~ occasion + (1 | student)", brim.load_data("gpa"))
    >>> print(brim.mixedup.summarize_model(fit, ci=False))
    Variance Components:
        Group    Effect Variance   SD Var_prop
      student Intercept     0.06 0.25     0.52
     Residual        NA     0.06 0.24     0.48
    <BLANKLINE>
    Fixed Effects:
          Term Value   SE      t P_value Lower_2.5 Upper_97.5
     Intercept  2.60 0.02 119.80    0.00      2.56       2.64
      occasion  0.11 0.00  26.10    0.00      0.10       0.11
    """
    components = extract_vc(model, ci_level if ci else 0.0)
    cors = tables_of(model).correlations() if cor_re else {}
    return ModelSummary(components, extract_fixed_effects(model, ci_level, p_value=p_value), cors, digits)
