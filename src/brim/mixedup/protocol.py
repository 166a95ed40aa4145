"""What mixedup's tables ask of a fitted mixed model, answered for each kind of fit.

A fit of another kind takes part with a method ``mixed_tables()`` that returns an ``AbstractTables``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.stats import norm

from brim.errors import BrimError
from brim.lme4.mer import AbstractMer
from brim.lme4.random import term_covariances

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AbstractTables", "tables_of"]

Array = np.ndarray
#: Columns of every estimate, before its names of the interval's ends.
ESTIMATE = ("value", "se", "lower", "upper")


class AbstractTables(ABC):
    """The tables of one fit. Intervals are central, of the level given; effects are named without parentheses and commas."""

    @abstractmethod
    def random_effects(self, level: float) -> pd.DataFrame:
        """``group_var effect group value se lower upper``: effects of each level."""

    @abstractmethod
    def random_coefs(self, level: float) -> pd.DataFrame:
        """The same for effects plus their population-level coefficients."""

    @abstractmethod
    def fixed_effects(self, level: float, p_value: str) -> pd.DataFrame:
        """``term value se [t or z] [p_value] lower upper``: population-level coefficients."""

    @abstractmethod
    def variances(self, level: float, method: str) -> pd.DataFrame:
        """``group effect variance sd lower upper``, limits of the standard deviation; the residual last, its effect missing."""

    @abstractmethod
    def correlations(self) -> dict[str, pd.DataFrame]:
        """Correlations of the effects of each group."""

    @abstractmethod
    def counts(self) -> dict[str, dict[str, int]]:
        """Rows of each level of each grouping factor."""

    @abstractmethod
    def residual_variances(self) -> pd.DataFrame:
        """``term value se lower upper`` of a predicted residual standard deviation, natural scale."""

    @abstractmethod
    def correlation_structure(self, level: float) -> pd.DataFrame:
        """``parameter value se lower upper`` of correlations between residuals."""


def tables_of(model: Any) -> AbstractTables:
    """The tables of a fit, whichever function made it."""
    given: Callable[[], AbstractTables] | None = getattr(model, "mixed_tables", None)
    if given is not None:
        return given()
    if isinstance(model, AbstractMer):
        return MerTables(model)
    from brim.api.fit import Fit

    if not isinstance(model, Fit):
        raise BrimError(
            f"{type(model).__name__} is not a fitted model", hint="give what brm(), lmer(), glmer() or a stan_* function returns"
        )
    from brim.rstanarm.fit import StanFit

    return StanTables(model) if isinstance(model, StanFit) else BayesTables(model)


def clean(name: Any) -> str:
    """A coefficient without parentheses and commas: ``Intercept``."""
    return str(name).translate(str.maketrans("", "", "(),"))


# ---- lmer, glmer ---------------------------------------------------------------------------------------------------------------


@final
class MerTables(AbstractTables):
    """Fits of ``lmer()`` and its like: normal intervals of effects and coefficients, profiles of standard deviations."""

    def __init__(self, fit: AbstractMer) -> None:
        self.fit = fit

    def random_effects(self, level: float) -> pd.DataFrame:
        return _with_normal(self._effects(), level)

    def _effects(self) -> pd.DataFrame:
        frame = self.fit.ranef_frame()
        frame.columns = ["group_var", "effect", "group", "value", "se"]
        frame["effect"] = [clean(e) for e in frame["effect"]]
        return frame

    def random_coefs(self, level: float) -> pd.DataFrame:
        frame, fixed = self._effects(), self.fit.fixef()
        value = dict(zip(map(clean, fixed.index), fixed["Estimate"], strict=True))
        se = dict(zip(map(clean, fixed.index), fixed["Std. Error"], strict=True))
        frame = frame[[e in value for e in frame["effect"]]].reset_index(drop=True)
        frame["value"] += [value[e] for e in frame["effect"]]
        frame["se"] = np.sqrt(frame["se"] ** 2 + np.array([se[e] for e in frame["effect"]]) ** 2)
        return _with_normal(frame, level)

    def fixed_effects(self, level: float, p_value: str) -> pd.DataFrame:
        import pandas as pd

        methods = {"Wald": "normal", "KR": "Kenward-Roger", "Satterthwaite": "Satterthwaite", "S": "Satterthwaite"}
        if p_value not in methods:
            raise BrimError(f"unknown p_value '{p_value}'", hint=f"methods: {', '.join(methods)}")
        statistic = self.fit.statistic
        table = self.fit.fixef() if self.fit.function == "glmer" else self.fit.fixef(methods[p_value])
        columns = {
            "term": [clean(n) for n in table.index],
            "value": table["Estimate"].to_numpy(),
            "se": table["Std. Error"].to_numpy(),
            statistic[0]: table[statistic].to_numpy(),
            "p_value": table[next(c for c in table if str(c).startswith("Pr("))].to_numpy(),
        }
        return _with_normal(pd.DataFrame(columns), level)

    def variances(self, level: float, method: str) -> pd.DataFrame:
        import pandas as pd

        terms = term_covariances(self.fit)
        rows: list[tuple[Any, ...]] = [(t.name, clean(c), s * s, s) for t in terms for c, s in zip(t.coefs, t.sd, strict=True)]
        if self.fit.has_sigma:
            rows.append(("Residual", None, self.fit.sigma**2, self.fit.sigma))
        frame = pd.DataFrame(rows, columns=["group", "effect", "variance", "sd"])
        if level > 0:
            limits = self.fit.confint("theta_", level, method, oldNames=False)
            kept, at = [], 0
            for t in terms:
                sds = [at + i for i, (kind, *_) in enumerate(t.parameters) if kind == "sd"]
                kept += sds if len(sds) == len(t.coefs) else sds * len(t.coefs)  # one for all
                at += len(t.parameters)
            kept += [at] if self.fit.has_sigma else []
            frame["lower"], frame["upper"] = limits.to_numpy()[kept].T
        return frame

    def correlations(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        out = {}
        for t in term_covariances(self.fit):
            names = [clean(c) for c in t.coefs]
            out[t.name] = pd.DataFrame(t.cor, index=names, columns=names)
        return out

    def counts(self) -> dict[str, dict[str, int]]:
        groups = self.fit.observed.groups
        parts = zip(groups.design.groupings, groups.codes, strict=True)
        return {g.label: dict(zip(g.levels, np.bincount(c, minlength=len(g.levels)).tolist(), strict=True)) for g, c in parts}

    def residual_variances(self) -> pd.DataFrame:
        raise BrimError("the residual variance of this model is constant", hint="brm(bf('y ~ ...', 'sigma ~ ...')) predicts it")

    def correlation_structure(self, level: float) -> pd.DataFrame:
        raise BrimError("the residuals of this model are independent", hint="brm() has ar(), ma(), cosy() and their like")


def _with_normal(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    if level > 0:
        half = norm.ppf(0.5 + level / 2) * frame["se"]
        frame = frame.assign(lower=frame["value"] - half, upper=frame["value"] + half)
    return frame


# ---- brm -----------------------------------------------------------------------------------------------------------------------


class BayesTables(AbstractTables):
    """Fits of ``brm()``: posterior means, standard deviations and quantiles."""

    def __init__(self, fit: Any) -> None:
        self.fit = fit

    @staticmethod
    def _probs(level: float) -> tuple[float, float]:
        return 0.5 - level / 2, 0.5 + level / 2

    def _by_level(self, tables: Any, level: float) -> pd.DataFrame:
        import pandas as pd

        parts = []
        for group, array in tables.items():
            for effect in array.coords["coef"].values:
                values = array.sel(coef=effect).to_numpy()
                part = pd.DataFrame(values, columns=list(ESTIMATE))
                part.insert(0, "group", [str(v) for v in array.coords["level"].values])
                part.insert(0, "effect", clean(effect))
                part.insert(0, "group_var", group)
                parts.append(part)
        whole = pd.concat(parts, ignore_index=True)
        return whole if level > 0 else whole.drop(columns=["lower", "upper"])

    def random_effects(self, level: float) -> pd.DataFrame:
        return self._by_level(self.fit.ranef(probs=self._probs(level)), level)

    def random_coefs(self, level: float) -> pd.DataFrame:
        varying = {(group, str(c)) for group, array in self.fit.ranef().items() for c in array.coords["coef"].values}
        coefs = self.fit.coef(probs=self._probs(level))
        kept = {g: a.sel(coef=[c for c in a.coords["coef"].values if (g, str(c)) in varying]) for g, a in coefs.items()}
        return self._by_level(kept, level)

    def fixed_effects(self, level: float, p_value: str) -> pd.DataFrame:
        table = self.fit.fixef(probs=self._probs(level))
        table.columns = list(ESTIMATE)
        table.insert(0, "term", [clean(n) for n in table.index])
        return (table if level > 0 else table.drop(columns=["lower", "upper"])).reset_index(drop=True)

    def variances(self, level: float, method: str) -> pd.DataFrame:
        import pandas as pd

        rows = []
        for group, tables in self.fit.VarCorr(probs=self._probs(level)).items():
            for effect, (value, _, low, high) in zip(tables["sd"].index, tables["sd"].to_numpy(), strict=True):
                residual = group == "residual__"
                rows.append(("Residual" if residual else group, None if residual else clean(effect), value**2, value, low, high))
        frame = pd.DataFrame(rows, columns=["group", "effect", "variance", "sd", "lower", "upper"])
        return frame if level > 0 else frame.drop(columns=["lower", "upper"])

    def correlations(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        out = {}
        for group, tables in self.fit.VarCorr().items():
            if "cor" in tables and group != "residual__":
                names = [clean(c) for c in tables["cor"].coords["coef"].values]
                out[group] = pd.DataFrame(tables["cor"].isel(statistic=0).to_numpy(), index=names, columns=names)
        return out

    def counts(self) -> dict[str, dict[str, int]]:
        out: dict[str, dict[str, int]] = {}
        for block in self.fit.model.blocks:
            g = block.grouping
            if not g.is_mm:
                out[g.label] = dict(zip(g.levels, np.bincount(g.codes(self.fit.frame), minlength=len(g.levels)).tolist(), strict=True))
        return out

    def residual_variances(self) -> pd.DataFrame:
        import pandas as pd

        table = self.fit.fixef(summary=False)
        names = [n for n in table.columns if str(n).startswith("sigma_")]
        if not names:
            raise BrimError("the residual variance of this model is constant", hint="brm(bf('y ~ ...', 'sigma ~ ...')) predicts it")
        rows = []
        for name in names:
            draws = np.exp(table[name].to_numpy())
            rows.append((str(name).removeprefix("sigma_"), draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.025, 0.975])))
        return pd.DataFrame(rows, columns=["term", *ESTIMATE])

    def correlation_structure(self, level: float) -> pd.DataFrame:
        names = [n for n in self.fit.variables() if n.startswith(("ar[", "ma[", "cosy", "cortime", "errorsar", "lagsar", "car"))]
        if not names:
            raise BrimError("the residuals of this model are independent", hint="brm() has ar(), ma(), cosy() and their like")
        table = self.fit.posterior_summary(names, probs=self._probs(level))
        table.columns = list(ESTIMATE)
        return table.rename_axis("parameter").reset_index()


@final
class StanTables(BayesTables):
    """Fits of ``stan_glmer()`` and its like: medians, MAD_SD, and normal intervals of effects, as rstanarm tells them."""

    def random_effects(self, level: float) -> pd.DataFrame:
        frame = self._by_level(self.fit.ranef(robust=True), 0.0)
        return _with_normal(frame, level)

    def fixed_effects(self, level: float, p_value: str) -> pd.DataFrame:
        table = self.fit.fixef(robust=True, probs=self._probs(level))
        table.columns = list(ESTIMATE)
        table.insert(0, "term", [clean(n) for n in table.index])
        return (table if level > 0 else table.drop(columns=["lower", "upper"])).reset_index(drop=True)

    def variances(self, level: float, method: str) -> pd.DataFrame:
        """Variances are posterior means of variances, as rstanarm's ``VarCorr``; limits are quantiles."""
        frame = super().variances(level, method)
        means: list[float] = []
        for group, tables in self.fit.VarCorr().items():
            if group != "residual__" and "cov" in tables:
                means += np.diag(tables["cov"].isel(statistic=0).transpose("coef", "coef2").to_numpy()).tolist()
            elif group != "residual__":
                n = self.fit.draws.chains * self.fit.draws.draws
                means += (tables["sd"].iloc[:, 0] ** 2 + tables["sd"].iloc[:, 1] ** 2 * (n - 1) / n).tolist()
            else:
                means += (tables["sd"].iloc[:, 0] ** 2).tolist()
        return frame.assign(variance=means, sd=np.sqrt(means))
