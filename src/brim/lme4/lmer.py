"""``lmer()``: linear mixed models by REML or maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np

from brim.api.method import Method
from brim.arguments import named, named_methods
from brim.errors import BrimError
from brim.linalg.mixed.blocks import Pattern
from brim.linalg.mixed.factorisation import Factorisation
from brim.linalg.mixed.threads import suited
from brim.lme4.control import read_control, read_start
from brim.lme4.design import Selection, response_numbers
from brim.lme4.deviance import Criterion, State
from brim.lme4.mer import AbstractMer
from brim.lme4.observed import Observed, observe
from brim.lme4.optimise import Minimum, minimise
from brim.lme4.singular import settle

__all__ = ["LmerFit", "fit_lmer", "lmer"]

Array = np.ndarray


@named_methods
@final
@dataclass(frozen=True, eq=False, repr=False)
class LmerFit(AbstractMer):
    """A linear mixed model, fitted. See ``lmer`` for what it is and ``AbstractMer`` for what it tells."""

    function: ClassVar[str] = "lmer"

    profile: Criterion

    @property
    def reml(self) -> bool:
        """Whether the criterion is REML's."""
        return self.profile.reml

    @cached_property
    def state(self) -> State:
        """The factorisation and solutions at the estimates."""
        return self.profile.state(self.minimum.x)

    @cached_property
    def sigma(self) -> float:
        return float(np.sqrt(self.state.r2 / self.profile.degrees))

    @cached_property
    def beta(self) -> Array:
        return self.profile.coefficients(self.state)

    @cached_property
    def covariance(self) -> Array:
        return self.sigma**2 * self.profile.unscaled_vcov(self.state)

    @property
    def criterion(self) -> float:
        return self.profile.value(self.state)

    @property
    def npar(self) -> int:
        return len(self.beta) + len(self.minimum.x) + 1

    @cached_property
    def effects(self) -> list[Array]:
        scales = self.observed.groups.scales
        return [e / s for e, s in zip(self._placed(self.state.effects), scales, strict=True)]

    def _placed(self, parts: list[Array]) -> list[Array]:
        """From the order of elimination to that of the grouping factors."""
        out = [np.zeros(0)] * len(parts)
        for f, part in zip(self.profile.pattern.order, parts, strict=True):
            out[f] = part
        return out

    @cached_property
    def conditional(self) -> list[Array]:
        selected = self.state.factorisation.selected()
        blocks = self._placed([selected.blocks(f) for f in range(len(self.profile.pattern.order))])
        return [self.sigma**2 * b / np.multiply.outer(s, s) for b, s in zip(blocks, self.observed.groups.scales, strict=True)]

    @property
    def fixed_information(self) -> Array:
        return np.linalg.inv(self.profile.unscaled_vcov(self.state))

    def leverages(self) -> Array:
        state, u = self.state, self.state.solution.effects
        p = self.profile.p
        predicted = [self.profile.pattern.predict([e[:, :, j] for e in u]) for j in range(p)]
        a = self.profile.q - (np.column_stack(predicted) if p else 0.0)
        fixed = np.einsum("ij,ij->i", a, np.linalg.solve(state.cross[:-1, :-1], a.T).T) if p else 0.0
        return state.factorisation.selected().variances() + fixed

    def conditional_law(self) -> tuple[Pattern, Factorisation, list[Array], float]:
        sides = [b[:, :, :-1] @ self.profile.r for b in self.profile.right]
        return self.profile.pattern, self.state.factorisation, sides, self.sigma**2

    def free_coefficients(self) -> Array:
        return np.zeros(0)  # profiled out

    def absolute_deviance(self, order: list[int] | None) -> Any:
        o = self.observed
        groups = o.groups if order is None else o.groups.reordered(order[0], order[1:])
        factors = groups.factors(None if o.weights is None else np.sqrt(o.weights))
        profile = Criterion.of(o.y - o.offset, o.x, o.weights, factors, groups.covariances, self.reml)
        m, covariances = len(self.theta), groups.covariances
        moves = covariances.times(np.ones(m), 2.0) == 2.0  # not what gives correlations

        def function(x: Array) -> tuple[float, Array]:
            sigma = float(np.exp(x[m]))
            if not 0.0 < sigma < np.inf:
                return np.inf, np.full(len(x), np.nan)
            theta = groups.internal(covariances.times(x[:m], 1.0 / sigma))
            try:
                state = profile.state(theta)
            except np.linalg.LinAlgError:
                return np.inf, np.full(len(x), np.nan)
            over = profile.covariances.chain_rule(theta, profile.slopes(state, sigma2=sigma**2))
            over = covariances.times(groups.internal(over), 1.0 / sigma)  # what multiplies theta multiplies its slopes
            along = 2.0 * profile.degrees - 2.0 * state.r2 / sigma**2 - float(over[moves] @ x[:m][moves])
            return profile.at_sigma(state, sigma**2), np.append(over, along)

        return function

    def rise_of_coefficient(self, j: int) -> Any:
        o = self.observed
        factors = o.groups.factors(None if o.weights is None else np.sqrt(o.weights))
        rest = np.delete(o.x, j, axis=1)

        def at(value: float) -> float:
            y = o.y - o.offset - o.x[:, j] * value
            profile = Criterion.of(y, rest, o.weights, factors, o.groups.covariances, self.reml)
            return minimise(profile, self.minimum.x, 1e-9, profile.curvature).value - self.criterion

        return at

    def bayes_family(self) -> str:
        return "gaussian"

    def search(self) -> tuple[Any, Array]:
        return self.profile, self.profile.covariances.start

    def sample(self, rng: np.random.Generator, mean: Array) -> Array:
        w = self.observed.weights
        return mean + self.sigma * rng.standard_normal(len(mean)) / (1.0 if w is None else np.sqrt(w))

    def refit_design(self, observed: Observed) -> LmerFit:
        return fit_lmer(observed, self.reml)

    def mean(self, linear_predictor: Array) -> Array:
        return linear_predictor

    def residuals(self, kind: str = "response") -> Array:
        """Residuals of the rows that were used, ``(n,)``.

        Parameters
        ----------
        kind
            ``"response"``: ``y - fitted()``; ``"pearson"``: times the square root of the weights.

        Examples
        --------
        >>> import brim
        >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
        >>> m.residuals()[:2].round(2)
        array([ -4.1 , -14.63])
        """
        raw = self.observed.y - self.fitted()
        w = self.observed.weights
        if kind not in ("response", "pearson", "working", "deviance"):
            raise BrimError(f"unknown kind of residuals '{kind}'", hint="kinds: response, pearson, working, deviance")
        return raw if w is None or kind in ("response", "working") else raw * np.sqrt(w)

    def scaled_residuals(self) -> Array:
        return self.residuals("pearson") / self.sigma

    def title(self, ddf: str | None = None) -> tuple[str, ...]:
        method = "REML" if self.reml else "maximum likelihood "
        tests = {"Satterthwaite": "Satterthwaite's method", "Kenward-Roger": "Kenward-Roger's method", "normal": "the normal law"}
        if ddf is None:
            return (f"Linear mixed model fit by {method} ['lmerMod']",)
        return (f"Linear mixed model fit by {method.strip()}. t-tests use {tests[ddf]} [", "lmerModLmerTest]")

    degrees_of_freedom = Method("brim.lme4.df", "coefficient_df")

    # ------------------------------------------------------------------ other fits

    def refit(self, y: Any) -> LmerFit:
        values = np.asarray(y, float)
        if values.shape != (self.observed.n,) or not np.isfinite(values).all():
            raise BrimError(f"refit() needs {self.observed.n} finite numbers, one for each row that was used")
        return fit_lmer(replace(self.observed, y=values), self.reml)

    def refit_ml(self) -> LmerFit:
        return fit_lmer(self.observed, False) if self.reml else self


@named
def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    weights: Any = None,
    control: Mapping[str, Any] | None = None,
    *,
    offset: Any = None,
    start: Any = None,
    subset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str | None = None,
    verbose: int = 0,
    data_name: str = "data",
) -> LmerFit:
    r"""Fit a linear mixed model by REML or maximum likelihood, as lme4 does.

    ``y = X beta + Z b + e`` with ``b ~ N(0, sigma^2 Lambda Lambda')`` and ``e ~ N(0, sigma^2 W^-1)``. The criterion, profiled over
    ``beta`` and ``sigma``, is minimised over ``Lambda`` by a quasi-Newton method with its exact gradient. Nothing is random, and
    the result does not depend on ``start``.

    Parameters
    ----------
    formula
        lme4's: ``"y ~ x + (1 + x | g) + (1 | a/b)"``; ``(x || g)`` for effects without correlation, ``diag(x | g)``,
        ``cs(x | g)``, ``ar1(0 + f | g)``, ``us(x | g)`` for structured covariances.
    data
        Any data frame. Rows with missing values in the model's columns are left out.
    REML
        Restricted maximum likelihood; ``False`` for maximum likelihood, which likelihood ratio tests need.
    weights
        ``w`` of the residual variance ``sigma^2 / w``: a column's name or a number for each row.
    control
        ``{"tolerance": 1e-13}``: the decrease of the criterion below which the search ends.
    offset
        A known addition to the mean, as ``offset()`` in the formula.
    start
        A ``theta`` (or ``{"theta": ...}``) to search from besides the usual start; it counts only where it leads lower.
    subset
        The rows to use: an expression of columns, ``"Days > 2"``, or a truth value for each row.
    contrasts
        Of factors of the population-level terms, as the formula writes them: ``{"f": "contr.sum"}`` (``contr.treatment``,
        ``contr.helmert``, ``contr.poly``, ``contr.SAS``, or a matrix with a row for each level). Group terms keep R's default, as in
        lme4; in them write ``C(f, contr.sum)``.
    na_action
        ``"na.omit"`` leaves incomplete rows out, ``"na.fail"`` refuses them.
    verbose
        As in lme4; nothing is printed, ``fit.minimum`` tells of the search.
    data_name
        What the summary calls the data.

    Returns
    -------
    LmerFit

    Raises
    ------
    BrimError
        For formulas and data that cannot be fitted; the token is marked.

    Examples
    --------
    >>> import brim
    >>> fit = brim.lmer("Reaction ~ Days + (Days | Subject)", data=brim.load_data("sleepstudy"))
    >>> print(fit.fixef().round(3))
                 Estimate  Std. Error  t value
    (Intercept)   251.405       6.825   36.838
    Days           10.467       1.546    6.771
    >>> round(fit.criterion, 4)
    1743.6283
    """
    observed = observe(formula, data, weights, offset, data_name, Selection(subset, na_action, contrasts))
    observed = replace(observed, y=response_numbers(observed.design, observed.frame))
    if observed.n <= observed.x.shape[1]:
        raise BrimError(f"{observed.n} rows cannot tell {observed.x.shape[1]} coefficients and a residual variance apart")
    return fit_lmer(observed, bool(REML), control, start).told()


def fit_lmer(observed: Observed, reml: bool, control: Mapping[str, Any] | None = None, start: Any = None) -> LmerFit:
    """Fit the model to its data."""
    groups, w = observed.groups, observed.weights
    factors = groups.factors(None if w is None else np.sqrt(w))
    profile = Criterion.of(observed.y - observed.offset, observed.x, w, factors, groups.covariances, reml)
    tolerance = read_control(control)["tolerance"]
    with suited(profile.pattern.width):
        return LmerFit(observed, _search(profile, groups.covariances.start, tolerance, observed, start), profile)


def _search(profile: Criterion, usual: Array, tolerance: float, observed: Observed, start: Any) -> Minimum:
    """The minimum from the usual start, or from the one given where that leads lower."""
    sds = profile.covariances.sds()
    found = settle(profile, minimise(profile, usual, tolerance, profile.curvature), sds, tolerance)
    if start is None:
        return found
    (theta,) = read_start(start, {"theta": len(usual)})
    other = settle(profile, minimise(profile, observed.groups.internal(theta), tolerance, profile.curvature), sds, tolerance)
    return other if other.value < found.value - 1e-7 else found
