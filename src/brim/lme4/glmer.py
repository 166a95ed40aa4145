"""``glmer()``: generalized linear mixed models by Laplace's approximation or adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np
from scipy.optimize import minimize_scalar

from brim.arguments import named, named_methods
from brim.errors import BrimError, name_rows
from brim.frames.columns import Factor, Logical, Matrix, Numeric
from brim.language.expand import deparse
from brim.linalg.mixed.blocks import Pattern
from brim.linalg.mixed.factorisation import Factorisation
from brim.linalg.mixed.threads import suited
from brim.lme4.control import read_control, read_start
from brim.lme4.design import Selection
from brim.lme4.glm import Glm, read_family
from brim.lme4.laplace import Laplace, Mode
from brim.lme4.mer import AbstractMer
from brim.lme4.observed import Observed, observe
from brim.lme4.optimise import Minimum, minimise, slopes_of
from brim.lme4.quadrature import Quadrature
from brim.lme4.singular import settle

__all__ = ["GlmerFit", "fit_glmer", "glmer"]

Array = np.ndarray


@named_methods
@final
@dataclass(frozen=True, eq=False, repr=False)
class GlmerFit(AbstractMer):
    """A generalized linear mixed model, fitted. See ``glmer`` for what it is and ``AbstractMer`` for what it tells."""

    function: ClassVar[str] = "glmer"
    laplace: Laplace
    nAGQ: int
    estimated_shape: bool

    @property
    def family(self) -> Glm:
        """The family, with its shape where it has one."""
        return self.laplace.family

    @property
    def statistic(self) -> str:
        return "t value" if self.has_sigma else "z value"

    @property
    def has_sigma(self) -> bool:
        return self.family.dispersed

    @cached_property
    def sigma(self) -> float:
        return float(np.sqrt(self.laplace.dispersion(self.mode)))

    @property
    def theta(self) -> Array:
        return self.observed.groups.reported(self.minimum.x[: self.laplace.m])

    @cached_property
    def mode(self) -> Mode:
        """The effects' mode at the estimates."""
        m = self.laplace.m
        return replace(self.laplace, _last=[]).mode(self.minimum.x[:m], self.minimum.x[m:])

    @property
    def beta(self) -> Array:
        return self.minimum.x[self.laplace.m :]

    @property
    def criterion(self) -> float:
        return self.minimum.value

    @property
    def npar(self) -> int:
        return len(self.minimum.x) + int(self.estimated_shape) + int(self.has_sigma)

    @cached_property
    def covariance(self) -> Array:
        """From the Hessian over ``theta`` and ``beta``; where that is not positive, given ``theta``."""
        given_theta = self.sigma**2 * np.linalg.inv(self.laplace.fixed_information(self.mode)) if len(self.beta) else np.zeros((0, 0))
        if self.nAGQ == 0 or not len(self.beta):
            return given_theta
        law = replace(self.laplace, _last=[self.mode])
        function: Callable[[Array], tuple[float, Array]] = law if self.nAGQ == 1 else Quadrature(law, self.nAGQ)
        x = self.minimum.x
        free = [i for i in range(len(x)) if i >= self.laplace.m or x[i] != 0.0]
        scale = np.maximum(np.abs(x), 0.1)

        def part(values: Array) -> Array:
            whole = x.copy()
            whole[free] = values
            return function(whole)[1][free]

        with suited(law.pattern.width):
            hessian = slopes_of(part, x[free], scale[free], 1e-3)
        hessian = 0.5 * (hessian + hessian.T)
        fixed = [k for k, i in enumerate(free) if i >= self.laplace.m]
        if not np.isfinite(hessian).all() or np.linalg.eigvalsh(hessian)[0] <= 0:
            return given_theta
        return 2.0 * np.linalg.inv(hessian)[np.ix_(fixed, fixed)]

    def _placed(self, parts: list[Array]) -> list[Array]:
        out = [np.zeros(0)] * len(parts)
        for f, part in zip(self.laplace.pattern.order, parts, strict=True):
            out[f] = part
        return out

    @cached_property
    def effects(self) -> list[Array]:
        return [e / s for e, s in zip(self._placed(self.mode.effects), self.observed.groups.scales, strict=True)]

    @cached_property
    def conditional(self) -> list[Array]:
        selected = self.mode.factorisation.selected()
        blocks = self._placed([selected.blocks(f) for f in range(len(self.laplace.pattern.order))])
        return [self.sigma**2 * b / np.multiply.outer(s, s) for b, s in zip(blocks, self.observed.groups.scales, strict=True)]

    @property
    def fixed_information(self) -> Array:
        return self.laplace.fixed_information(self.mode)

    def leverages(self) -> Array:
        w = self.family.information(self.mode.eta, self.laplace.weights)
        sides = self.laplace.pattern.right(w, self.laplace.x)
        u = list(self.mode.factorisation.solve_for(sides).effects)
        a = self.laplace.x - np.column_stack(
            [self.laplace.pattern.predict([e[:, :, j] for e in u]) for j in range(self.laplace.x.shape[1])]
        )
        fixed = np.einsum("ij,jk,ik->i", a, np.linalg.inv(self.fixed_information), a)
        return w * (self.mode.factorisation.selected().variances() + fixed)

    def conditional_law(self) -> tuple[Pattern, Factorisation, list[Array], float]:
        w = self.family.information(self.mode.eta, self.laplace.weights)
        return self.laplace.pattern, self.mode.factorisation, self.laplace.pattern.right(w, self.laplace.x), self.sigma**2

    def free_coefficients(self) -> Array:
        return self.beta

    def absolute_deviance(self, order: list[int] | None) -> Any:
        groups = self.observed.groups if order is None else self.observed.groups.reordered(order[0], order[1:])
        law = replace(self.laplace, pattern=Pattern.of(groups.factors()), covariances=groups.covariances, _last=[])
        function: Any = law if self.nAGQ <= 1 else Quadrature(law, self.nAGQ)
        m = law.m

        def at(x: Array) -> tuple[float, Array]:
            value, gradient = function(np.concatenate([groups.internal(x[:m]), x[m:]]))
            return value, np.concatenate([groups.internal(gradient[:m]), gradient[m:]])

        return at

    def rise_of_coefficient(self, j: int) -> Any:
        kept = np.arange(len(self.minimum.x)) != self.laplace.m + j
        function: Any = replace(self.laplace, _last=[])
        function = function if self.nAGQ <= 1 else Quadrature(function, self.nAGQ)

        def at(value: float) -> float:
            def held(free: Array) -> tuple[float, Array]:
                whole = np.empty(len(kept))
                whole[kept], whole[~kept] = free, value
                got, gradient = function(whole)
                return got, gradient[kept]

            return minimise(held, self.minimum.x[kept], 1e-9).value - self.criterion

        return at

    @property
    def shares(self) -> bool:
        w = self.observed.weights
        return self.family.name == "binomial" and w is not None and bool(np.any((self.observed.y != 0) & (self.observed.y != 1)))

    def bayes_family(self) -> Any:
        from brim import families

        name = self.family.name
        if name == "binomial" and not self.shares and not isinstance(self.observed.design.response.value(self.observed.frame), Matrix):
            name = "bernoulli"
        return getattr(families, name)(self.family.link.name)

    def search(self) -> tuple[Any, Array]:
        law = replace(self.laplace, _last=[])
        start = law.joint(law.covariances.start, _plain(law))[1]
        return (law if self.nAGQ <= 1 else Quadrature(law, self.nAGQ)), np.concatenate([law.covariances.start, start])

    def sample(self, rng: np.random.Generator, mean: Array) -> Array:
        return self.family.sample(rng, mean, self.laplace.weights, self.sigma)

    def refit_design(self, observed: Observed) -> GlmerFit:
        family = self.family if not self.estimated_shape else self.family.with_shape(np.nan)
        return fit_glmer(observed, family, self.nAGQ)

    def mean(self, linear_predictor: Array) -> Array:
        return self.family.link.inverse(linear_predictor)

    def deviance(self) -> float:
        """The sum of the squared deviance residuals, given the effects.

        Examples
        --------
        >>> import brim
        >>> m = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp"), family="binomial")
        >>> round(m.deviance(), 1)
        73.5
        """
        return float(self.family.deviances(self.laplace.y, self.fitted(), self.laplace.weights).sum())

    def residuals(self, kind: str = "deviance") -> Array:
        """Residuals of the rows that were used, ``(n,)``: ``"deviance"``, ``"pearson"``, ``"working"`` or ``"response"``.

        Examples
        --------
        >>> import brim
        >>> m = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp"), family="binomial")
        >>> m.residuals()[:2].round(2), m.residuals("pearson")[:2].round(2)
        (array([-1.44,  0.99]), array([-1.34,  1.08]))
        """
        mu, y, w = self.fitted(), self.laplace.y, self.laplace.weights
        if kind == "response":
            return y - mu
        if kind == "pearson":
            return (y - mu) * np.sqrt(w / self.family.variance(mu))
        if kind == "working":
            return (y - mu) / self.family.link.slope(self.linear_predictor)
        if kind == "deviance":
            return np.sign(y - mu) * np.sqrt(np.maximum(self.family.deviances(y, mu, w), 0.0))
        raise BrimError(f"unknown kind of residuals '{kind}'", hint="kinds: deviance, pearson, working, response")

    def scaled_residuals(self) -> Array:
        return self.residuals("pearson") / self.sigma

    def title(self, ddf: str | None = None) -> tuple[str, ...]:
        start = "Generalized linear mixed model fit by maximum likelihood ("
        if self.nAGQ == 1:
            return (f"{start}Laplace", "  Approximation) [glmerMod]")
        return (f"{start}Adaptive", f"  Gauss-Hermite Quadrature, nAGQ = {self.nAGQ}) [glmerMod]")

    def family_lines(self) -> tuple[str, ...]:
        return (f" Family: {self.family.label}  ( {self.family.link.name} )",)

    def degrees_of_freedom(self, ddf: str) -> tuple[Array, Array]:
        if ddf != "normal":
            raise BrimError(f"{ddf} degrees of freedom are for linear models", hint="generalized models have z tests")
        return self.covariance, np.full(len(self.beta), np.inf)

    def refit(self, y: Any) -> GlmerFit:
        values = np.asarray(y, float)
        if values.shape != (self.observed.n,) or not np.isfinite(values).all():
            raise BrimError(f"refit() needs {self.observed.n} finite numbers, one for each row that was used")
        family = self.family if not self.estimated_shape else self.family.with_shape(np.nan)
        return fit_glmer(replace(self.observed, y=values), family, self.nAGQ)

    def refit_ml(self) -> GlmerFit:
        return self


@named
def glmer(
    formula: str,
    data: Any,
    family: Any = "binomial",
    nAGQ: int = 1,
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
) -> GlmerFit:
    """Fit a generalized linear mixed model by maximum likelihood, as lme4 does.

    ``y ~ family(mu)``, ``g(mu) = X beta + Z b``, ``b ~ N(0, Lambda Lambda')``. The effects are integrated out by Laplace's approximation,
    whose exact gradient over covariances and coefficients leads a quasi-Newton search. Nothing is random.

    Parameters
    ----------
    formula
        ``"cbind(successes, failures) ~ x + (1 | g)"``; for two categories the second is a success; see ``lmer`` for group terms.
    data
        Any data frame. Rows with missing values in the model's columns are left out.
    family
        ``"binomial"`` (links logit, probit, cloglog, cauchit, log), ``"poisson"`` (log, sqrt, identity), ``"negbinomial"`` (its shape is
        estimated, as by ``glmer.nb``), ``"Gamma"`` (inverse, log, identity), ``"inverse.gaussian"`` (1/mu^2, log, identity, inverse),
        ``"gaussian"`` (log, inverse), written ``"binomial(probit)"`` or ``brim.bernoulli("probit")``. The last three have a dispersion,
        treated as lme4 does: effects at their mode for a dispersion of 1, the criterion's dispersion ``deviance / sum w``, and
        ``sigma^2`` (Pearson residuals and penalty over rows) in ``VarCorr()``. ``brm(algorithm="map")`` has their likelihood proper.
    nAGQ
        1: Laplace. More: nodes of adaptive Gauss-Hermite quadrature, for one varying intercept. 0: coefficients found with the effects.
    weights
        Prior weights; trials where the response is a proportion.
    control
        ``{"tolerance": 1e-13}``: the decrease of the deviance below which the search ends.
    offset
        A known addition to the predictor.
    start
        ``theta``, or ``{"theta": ..., "fixef": ...}``, to search from besides the usual start; it counts only where it leads lower.
    subset, contrasts, na_action, verbose
        As in ``lmer``.
    data_name
        What the summary calls the data.

    Returns
    -------
    GlmerFit

    Examples
    --------
    >>> import brim
    >>> fit = brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp"))
    >>> print(fit.fixef()["Estimate"].round(4).tolist(), round(fit.criterion, 3))
    [-1.3985, -0.9923, -1.1287, -1.5803] 184.053
    """
    glm = read_family(family)
    if not isinstance(nAGQ, int) or not 0 <= nAGQ <= 100:
        raise BrimError(f"nAGQ = {nAGQ!r} must be a whole number from 0 to 100")
    observed = observe(formula, data, weights, offset, data_name, Selection(subset, na_action, contrasts))
    if glm.dispersed and nAGQ > 1:
        raise BrimError(f"nAGQ = {nAGQ} needs a family without a dispersion", hint="nAGQ=1, Laplace's approximation")
    y, trials = _response(observed, glm)
    if trials is not None:
        observed = replace(observed, weights=trials if observed.weights is None else trials * observed.weights)
    return fit_glmer(replace(observed, y=y), glm, nAGQ, control, start).told()


def fit_glmer(observed: Observed, family: Glm, nAGQ: int, control: Mapping[str, Any] | None = None, start: Any = None) -> GlmerFit:
    """Fit the model to its data; a negative binomial without a shape is fitted at the best one."""
    tolerance = read_control(control)["tolerance"]
    pattern = Pattern.of(observed.groups.factors())
    w = np.ones(observed.n) if observed.weights is None else observed.weights
    law = Laplace(observed.groups.covariances, pattern, family, observed.y, observed.x, w, observed.offset)
    if family.name != "negbinomial" or np.isfinite(family.shape):
        return GlmerFit(observed, _search(law, nAGQ, tolerance, start), law, nAGQ, False)

    def profile(log_shape: float) -> float:
        at = replace(law, family=family.with_shape(np.exp(log_shape)), _last=[])
        return _search(at, nAGQ, 1e-9).value

    best = minimize_scalar(profile, bracket=(-1.0, 1.5), method="brent", options={"xtol": 1e-7})
    law = replace(law, family=family.with_shape(float(np.exp(best.x))), _last=[])
    return GlmerFit(observed, _search(law, nAGQ, tolerance, start), law, nAGQ, True)


def _search(law: Laplace, nAGQ: int, tolerance: float, start: Any = None) -> Minimum:
    """The minimum over ``(theta, beta)`` from the usual start, or from the one given where that leads lower."""
    usual = law.covariances.start
    with suited(law.pattern.width):
        beta = law.joint(usual, _plain(law))[1]
        found = _from(law, np.concatenate([usual, beta]), nAGQ, tolerance)
        if start is None:
            return found
        theta, fixef = read_start(start, {"theta": law.m, "fixef": len(beta)})
        law = replace(law, _last=[])
        other = _from(law, np.concatenate([theta if theta.size else usual, fixef if fixef.size else beta]), nAGQ, tolerance)
        return other if other.value < found.value - 1e-7 else found


def _from(law: Laplace, start: Array, nAGQ: int, tolerance: float) -> Minimum:
    m = law.m
    if nAGQ == 0:
        return _joint_search(law, start, tolerance)
    tolerance = max(tolerance, 1e-11)  # the mode is known to that
    sds = law.covariances.sds()
    found = settle(law, minimise(law, start, tolerance, law.curvature), sds, tolerance)
    if nAGQ > 1:
        exact = Quadrature(law, nAGQ)
        found = minimise(exact, found.x, 1e-9, law.curvature)
        found = replace(found, x=np.concatenate([law.covariances.reported(found.x[:m]), found.x[m:]]))
    return found


def _joint_search(law: Laplace, start: Array, tolerance: float) -> Minimum:
    """``theta`` alone, coefficients at the joint mode."""
    m, beta = law.m, [start[law.m :]]

    def value(theta: Array) -> float:
        mode, beta[0] = law.joint(theta, beta[0])
        return law.value(mode)

    def function(theta: Array) -> tuple[float, Array]:
        steps = np.diag(np.full(m, 1e-4))
        each = [(8 * (value(theta + h) - value(theta - h)) - (value(theta + 2 * h) - value(theta - 2 * h))) / 12e-4 for h in steps]
        return value(theta), np.array(each)

    found = settle(function, minimise(function, start[:m], 1e-10), law.covariances.sds(), 1e-10)
    last = law.joint(found.x, beta[0])[1]
    return replace(found, x=np.concatenate([found.x, last]))


def _plain(law: Laplace) -> Array:
    """Coefficients without group effects, by a few weighted least squares with steps that leave means possible."""
    family, x = law.family, law.x
    eta = family.link.link(family.start(law.y, law.weights))
    beta = np.linalg.lstsq(x, eta - law.offset, rcond=None)[0]
    with np.errstate(all="ignore"):
        for _ in range(8):
            w = family.information(eta, law.weights)
            z = eta - law.offset + family.score(eta, law.y, law.weights) / w
            root = np.sqrt(w)
            if not np.isfinite(z * root).all():
                return beta
            new, t = np.linalg.lstsq(x * root[:, None], z * root, rcond=None)[0], 1.0
            while not np.isfinite(family.misfit(law.y, family.link.inverse(x @ new + law.offset), law.weights)) and t > 1e-3:
                t *= 0.5
                new = beta + 0.5 * (new - beta)
            if not np.isfinite(new).all():
                return beta
            beta, eta = new, x @ new + law.offset
    return beta


def _response(observed: Observed, family: Glm) -> tuple[Array, Array | None]:
    """The response (a proportion for binomial ones) and the trials that it says itself."""
    design = observed.design
    node, value = design.formula.response, design.response.value(observed.frame)

    def error(what: str, hint: str) -> BrimError:
        return BrimError(f"the response '{deparse(node)}' {what}", source=node.source or None, span=node.span, hint=hint)

    trials: Array | None = None
    if isinstance(value, Matrix):
        if family.name != "binomial" or value.values.shape[1] != 2:
            raise error("is a matrix", "cbind(successes, failures) is for binomial responses")
        trials = value.values.sum(axis=1)
        if (value.values < 0).any() or (trials <= 0).any():
            raise error(f"has no trials in {name_rows(np.flatnonzero((trials <= 0) | (value.values < 0).any(axis=1)))}", "check the counts")
        return value.values[:, 0] / trials, trials
    if isinstance(value, Factor):
        if family.name != "binomial" or len(value.levels_used) != 2:
            raise error("is not a factor of two levels", "binomial responses are 0/1, two categories, or cbind(successes, failures)")
        return (value.drop_unused().codes > 0).astype(float), None
    if not isinstance(value, Numeric | Logical):
        raise error("is not one column", "give a column or cbind(successes, failures)")
    y = np.array(value.numbers, float)
    if family.name == "binomial":
        what, wrong = "between 0 and 1", (y < 0) | (y > 1)
    elif family.dispersed:
        what, wrong = ("finite", ~np.isfinite(y)) if family.name == "gaussian" else ("positive", ~((y > 0) & np.isfinite(y)))
    else:
        what, wrong = "a count", (y < 0) | (y != np.round(y))
    if wrong.any():
        raise error(f"is not {what} in {name_rows(observed.rows[wrong])}", "choose the family that the response has")
    return y, trials
