"""``nlmer()``: nonlinear mixed models of Gaussian responses by Laplace's approximation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np

from brim.arguments import named, named_methods
from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix
from brim.design.rows import check_missing, subset_rows
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Binary, Name, Node, Paren, Terms, deparse, expand, fault, parse, variables
from brim.language.nodes import chain
from brim.linalg.mixed.blocks import Factor, Pattern
from brim.linalg.mixed.factorisation import Factorisation, factorise
from brim.linalg.mixed.threads import suited
from brim.lme4.control import read_control
from brim.lme4.design import Design, Grouping, Varying, ordered_terms, response_numbers
from brim.lme4.deviance import Covariances, Criterion
from brim.lme4.formula import Bar, MixedFormula, groupings_of
from brim.lme4.groups import Groups
from brim.lme4.lmer import LmerFit
from brim.lme4.mer import AbstractMer
from brim.lme4.observed import Observed
from brim.lme4.optimise import Minimum, minimise
from brim.lme4.selfstart import written_out

__all__ = ["NlmerFit", "nlmer"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Curve:
    """The mean of the response as a function of its parameters, each a number a row."""

    expression: Expression
    names: tuple[str, ...]

    @staticmethod
    def of(node: Node, names: Sequence[str], frame: Frame) -> Curve:
        """Learned on rows that have columns of the parameters' names."""
        return Curve(Expression(written_out(node)).learn(frame), tuple(names))

    def __call__(self, frame: Frame, parameters: Array) -> Array:
        """The means for parameters (p, rows); ``NaN`` where they are not defined."""
        try:
            return np.array(self.expression.numbers(frame.with_columns(dict(zip(self.names, parameters, strict=True)))), float)
        except BrimError:
            return np.full(frame.n, np.nan)

    def slopes(self, frame: Frame, parameters: Array) -> Array:
        """Derivatives over the parameters, (p, rows), by central differences of fourth order."""
        out = np.empty_like(parameters)
        for j, values in enumerate(parameters):
            h = 1e-4 * np.maximum(np.abs(values), 1e-4)
            ends = []
            for t in (1.0, -1.0, 2.0, -2.0):
                moved = parameters.copy()
                moved[j] = values + t * h
                ends.append(self(frame, moved))
            out[j] = (8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h)
        return out


@final
@dataclass(frozen=True, eq=False)
class _Mode:
    """The effects' mode: effects and spherical effects of each factor, slopes, residuals, what is minimised, ``M``."""

    effects: list[Array]
    spherical: list[Array]
    slopes: Array
    residuals: Array
    penalised: float
    factorisation: Factorisation


@final
@dataclass(frozen=True, eq=False)
class NonlinearLaplace:
    """``log det M + n (1 + log(2 pi r^2 / n))``, with ``M`` from the slopes of the curve at the mode.

    ``r^2`` is the least ``||y - f(beta + Lambda u)||^2 + ||u||^2``.
    """

    curve: Curve
    frame: Frame
    y: Array
    covariances: Covariances
    codes: tuple[Array, ...]
    sizes: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    last: list[list[Array]]

    def parameters(self, beta: Array, effects: Sequence[Array]) -> Array:
        """The curve's parameters of every row, (p, rows)."""
        out = np.repeat(beta[:, None], len(self.y), axis=1)
        for codes, places, b in zip(self.codes, self.places, effects, strict=True):
            for j, place in enumerate(places):
                out[place] += b[codes, j]
        return out

    def factors(self, slopes: Array) -> list[Factor]:
        return [Factor(c, n, slopes[list(p)]) for c, n, p in zip(self.codes, self.sizes, self.places, strict=True)]

    def mode(self, theta: Array, beta: Array) -> _Mode:
        """Penalised least squares by Gauss and Newton's method, steps halved where they do not help."""
        low = self.covariances.loadings(theta)
        u = self.last[0] if self.last else [np.zeros((n, len(p))) for n, p in zip(self.sizes, self.places, strict=True)]
        value, residuals, effects = self._penalised(beta, u, low)
        if not np.isfinite(value):
            u = [np.zeros_like(x) for x in u]
            value, residuals, effects = self._penalised(beta, u, low)
        for _ in range(100):
            slopes, f, pattern = self._linear(beta, effects, low)
            zb = sum(
                (s[codes, j] * slopes[p] for s, codes, ps in zip(effects, self.codes, self.places, strict=True) for j, p in enumerate(ps)),
                0.0,
            )
            solution = f.solve(pattern.sums(None, (residuals + zb)[:, None]))
            new: list[Array] = [np.zeros(0)] * len(u)
            for place, part in zip(pattern.order, solution.spherical, strict=True):
                new[place] = part[:, :, 0]
            t = 1.0
            while True:
                trial = [a + t * (c - a) for a, c in zip(u, new, strict=True)]
                tried, moved, there = self._penalised(beta, trial, low)
                if tried <= value * (1 + 1e-12) or t < 1e-6:
                    break
                t *= 0.5
            step = max(float(np.max(np.abs(a - c))) for a, c in zip(u, trial, strict=True))
            u, value, residuals, effects = trial, tried, moved, there
            if step < 1e-9 or not np.isfinite(value):
                break
        self.last[:] = [u]
        slopes, f, _ = self._linear(beta, effects, low)
        return _Mode(effects, u, slopes, residuals, value, f)

    def _penalised(self, beta: Array, u: Sequence[Array], low: Sequence[Array]) -> tuple[float, Array, list[Array]]:
        effects = [s @ lam.T for s, lam in zip(u, low, strict=True)]
        residuals = self.y - self.curve(self.frame, self.parameters(beta, effects))
        value = float(residuals @ residuals + sum(np.vdot(s, s) for s in u))
        return (value if np.isfinite(value) else np.inf), residuals, effects

    def _linear(self, beta: Array, effects: Sequence[Array], low: list[Array]) -> tuple[Array, Factorisation, Pattern]:
        slopes = self.curve.slopes(self.frame, self.parameters(beta, effects))
        pattern = Pattern.of(self.factors(slopes))
        sums = pattern.sums(None, np.zeros((len(self.y), 1)))
        return slopes, factorise(pattern, sums, [low[i] for i in pattern.order]), pattern

    def value(self, theta: Array, beta: Array) -> float:
        n = len(self.y)
        with np.errstate(all="ignore"):
            try:
                mode = self.mode(theta, beta)
            except (np.linalg.LinAlgError, ValueError):
                self.last.clear()
                return np.inf
        return mode.factorisation.log_det + n * (1.0 + np.log(2.0 * np.pi * mode.penalised / n))


@named_methods
@final
@dataclass(frozen=True, eq=False, repr=False)
class NlmerFit(AbstractMer):
    """A nonlinear mixed model, fitted. ``linear`` is the linear mixed model of its slopes at the estimates."""

    function: ClassVar[str] = "nlmer"

    law: NonlinearLaplace
    linear: LmerFit
    nonlinear: Node

    @property
    def beta(self) -> Array:
        return self.minimum.x[len(self.law.covariances.start) :]

    @property
    def theta(self) -> Array:
        return self.law.covariances.reported(self.minimum.x[: len(self.law.covariances.start)])

    @property
    def names(self) -> tuple[str, ...]:
        return self.law.curve.names

    @cached_property
    def mode(self) -> _Mode:
        """The effects' mode at the estimates."""
        m = len(self.law.covariances.start)
        return replace(self.law, last=[]).mode(self.minimum.x[:m], self.beta)

    @cached_property
    def sigma(self) -> float:
        return float(np.sqrt(self.mode.penalised / self.nobs()))

    @property
    def covariance(self) -> Array:
        return self.linear.covariance * (self.sigma / self.linear.sigma) ** 2

    @property
    def fixed_information(self) -> Array:
        return self.linear.fixed_information

    @property
    def effects(self) -> list[Array]:
        return self.mode.effects

    @property
    def conditional(self) -> list[Array]:
        return [c * (self.sigma / self.linear.sigma) ** 2 for c in self.linear.conditional]

    @property
    def criterion(self) -> float:
        return self.minimum.value

    @property
    def npar(self) -> int:
        return len(self.minimum.x) + 1

    def mean(self, linear_predictor: Array) -> Array:
        return linear_predictor

    def fitted(self) -> Array:
        return self.observed.y - self.mode.residuals

    def residuals(self, kind: str = "response") -> Array:
        return self.mode.residuals

    def scaled_residuals(self) -> Array:
        return self.mode.residuals / self.sigma

    def title(self, ddf: str | None = None) -> tuple[str, ...]:
        return ("Nonlinear mixed model fit by maximum likelihood  ['nlmerMod']",)

    def degrees_of_freedom(self, ddf: str) -> tuple[Array, Array]:
        if ddf != "normal":
            raise BrimError(f"{ddf} degrees of freedom are for linear models", hint="ddf='normal' gives normal p values")
        return self.covariance, np.full(len(self.beta), np.inf)

    def predict(
        self, newdata: Any = None, re_form: Any = None, type: str = "link", allow_new_levels: bool = False, se_fit: bool = False
    ) -> Array:
        if se_fit or not (re_form is None or isinstance(re_form, bool)):
            raise BrimError("predictions of a nonlinear model have no se_fit, and re_form is None or False")
        frame = self.law.frame if newdata is None else Frame.read(newdata)
        parameters = np.repeat(self.beta[:, None], frame.n, axis=1)
        for g, places, b in zip(self.observed.design.groupings, self.law.places, self.effects, strict=True):
            if re_form is False:
                continue
            codes = g.codes(frame)
            if (codes < 0).any() and not allow_new_levels:
                raise BrimError(f"new levels detected in newdata of '{g.label}'", hint="allow_new_levels=True predicts with zero effects")
            for j, place in enumerate(places):
                parameters[place] += np.where(codes >= 0, b[codes, j], 0.0)
        return self.law.curve(frame, parameters)

    def simulate(self, nsim: int = 1, seed: int | None = None, re_form: Any = False) -> Array:
        rng = np.random.default_rng(seed)
        low = self.law.covariances.loadings(self.theta)
        out = np.empty((nsim, self.nobs()))
        for i in range(nsim):
            drawn = [self.sigma * rng.standard_normal((n, len(lam))) @ lam.T for n, lam in zip(self.law.sizes, low, strict=True)]
            effects = self.effects if re_form is None else drawn
            out[i] = self.law.curve(self.law.frame, self.law.parameters(self.beta, effects)) + self.sigma * rng.standard_normal(self.nobs())
        return out

    def leverages(self) -> Array:
        return self.linear.leverages()

    def refit(self, y: Any) -> NlmerFit:
        values = np.asarray(y, float)
        if values.shape != (self.nobs(),) or not np.isfinite(values).all():
            raise BrimError(f"refit() needs {self.nobs()} finite numbers, one for each row that was used")
        law = replace(self.law, y=values, last=[])
        return _fit(law, replace(self.observed, y=values), self.nonlinear, self.beta, 1e-9)

    def refit_ml(self) -> NlmerFit:
        return self

    def free_coefficients(self) -> Array:
        return self.beta

    def absolute_deviance(self, order: list[int] | None) -> Any:
        raise _unavailable("profiles")

    def rise_of_coefficient(self, j: int) -> Any:
        raise _unavailable("profiles")

    def refit_design(self, observed: Observed) -> Any:
        raise _unavailable("models with fewer terms")

    def sample(self, rng: np.random.Generator, mean: Array) -> Array:
        return mean + self.sigma * rng.standard_normal(len(mean))

    def conditional_law(self) -> tuple[Any, Any, list[Array], float]:
        return self.linear.conditional_law()

    def search(self) -> tuple[Any, Array]:
        return _function(self.law), np.concatenate([self.law.covariances.start, self.beta])

    def bayes_family(self) -> str:
        return "gaussian"

    def to_bayes(self, prior: Any = None, **arguments: Any) -> Any:
        from brim.api.brm import brm
        from brim.language.brms import bf

        parts = []
        for name in self.names:
            groups = [v.bar.label for v in self.observed.design.varying if name in v.names]
            parts.append(f"{name} ~ 1" + "".join(f" + (1 | {i} | {g})" for i, g in enumerate(groups)))
        formula = bf(f"{deparse(self.observed.design.formula.response)} ~ {deparse(written_out(self.nonlinear))}", *parts, nl=True)
        return brm(formula, self.law.frame.select([n for n in self.law.frame.names if n not in self.names]), "gaussian", prior, **arguments)


def _unavailable(what: str) -> BrimError:
    return BrimError(f"{what} of nonlinear models are not built", hint="confint(method='Wald') and 'boot' are; brim.brm() has the rest")


@named
def nlmer(
    formula: str,
    data: Any,
    start: Mapping[str, float] | None = None,
    control: Mapping[str, Any] | None = None,
    *,
    subset: Any = None,
    na_action: str | None = None,
    verbose: int = 0,
    data_name: str = "data",
) -> NlmerFit:
    """Fit a nonlinear mixed model by maximum likelihood (Laplace's approximation), as lme4 does.

    ``y = f(x, beta + Z b) + e``, ``b ~ N(0, sigma^2 Lambda Lambda')``, ``e ~ N(0, sigma^2 I)``.

    Parameters
    ----------
    formula
        Three parts: ``"y ~ SSlogis(x, Asym, xmid, scal) ~ (Asym | g)"``. The curve is an expression of columns and parameters, or one of
        R's self-starting models (``SSlogis SSasymp SSasympOff SSasympOrig SSfpl SSgompertz SSmicmen SSweibull SSbiexp SSfol``); then which
        parameters vary by group. Every parameter has a population-level value.
    data
        Any data frame.
    start
        The parameters and where the search begins, in order.
    control
        ``{"tolerance": 1e-9}``.
    subset, na_action, verbose
        As in ``lmer``.
    data_name
        What the summary calls the data.

    Returns
    -------
    NlmerFit

    Examples
    --------
    >>> import brim
    >>> start = {"Asym": 200, "xmid": 725, "scal": 350}
    >>> fit = brim.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", brim.load_data("orange"), start)
    >>> print(fit.fixef()["Estimate"].round(1).tolist(), round(fit.criterion, 2))
    [192.1, 727.9, 348.1] 263.14
    """
    if not start:
        raise BrimError("nlmer() needs start: the parameters of the curve and where the search begins", hint="start={'Asym': 200, ...}")
    names, values = tuple(start), np.array([float(v) for v in start.values()])
    head, _, tail = str(formula).rpartition("~")
    left = parse(head) if "~" in head else None
    if not (isinstance(left, Binary) and left.op == "~"):
        raise BrimError("nlmer() takes a formula of three parts", source=str(formula), hint="y ~ curve ~ (parameter | g)")
    response, curve = left.left, left.right
    right = parse(tail.strip())
    bars = _bars(right, names)
    node = Binary("~", left, right)
    frame = Frame.read(data)
    used = [n for part in (response, curve) for n in variables(part) if n not in names] + [c for b in bars for c in b.columns]
    among, there = subset_rows(subset, frame), frame.complete(dict.fromkeys(used))
    check_missing(na_action, np.flatnonzero(among & ~there))
    rows = np.flatnonzero(among & there)
    if not rows.size:
        raise BrimError("no row is complete in the columns of the model")
    frame = frame.take(rows) if len(rows) < frame.n else frame
    frame = frame.with_columns({name: np.full(frame.n, v) for name, v in zip(names, values, strict=True)})
    design = _design(node, response, names, bars, frame)
    law = _law(design, Curve.of(curve, names, frame), frame, response_numbers(design, frame))
    x = np.ones((frame.n, len(names)))
    observed = Observed(
        design,
        Groups(design, law.codes, tuple(np.ones((len(p), frame.n)) for p in law.places)),
        frame,
        rows,
        x,
        law.y,
        None,
        np.zeros(frame.n),
        data_name,
    )
    return _fit(law, observed, curve, values, max(read_control(control)["tolerance"], 1e-9))


def _bars(right: Node, names: Sequence[str]) -> list[Bar]:
    """Which parameters vary by which group."""
    out: list[Bar] = []
    for part in chain(right, "+"):
        inner = part.inner if isinstance(part, Paren) else part
        if not (isinstance(inner, Binary) and inner.op in ("|", "||")):
            if all(v in names for v in variables(part)):
                continue  # population-level parameters, which all are
            raise fault(part, f"'{deparse(part)}' is neither a parameter nor (parameter | group)", f"parameters: {', '.join(names)}")
        terms = expand(inner.left).terms
        for term in terms:
            if len(term) != 1 or not isinstance(term[0], Name) or term[0].name not in names:
                raise fault(inner.left, f"'{deparse(inner.left)}' is not a parameter in start", f"parameters: {', '.join(names)}")
        split = [(t,) for t in terms] if inner.op == "||" else [terms]
        out += [
            Bar(Terms(False, own, (), inner.left), columns, label, "us", inner)
            for own in split
            for columns, label in groupings_of(inner.right)
        ]
    if not out:
        raise fault(right, "the formula has no group term", "add one: (Asym | g)")
    return out


def _design(node: Node, response: Node, names: Sequence[str], bars: list[Bar], frame: Frame) -> Design:
    fixed = Terms(False, tuple((Name(n),) for n in names), (), node)
    groupings: list[Grouping] = []
    varying = []
    for bar in bars:
        at = next((i for i, g in enumerate(groupings) if g.label == bar.label), len(groupings))
        if at == len(groupings):
            groupings.append(Grouping(bar.label, bar.columns).learn(frame)[0])
        varying.append(Varying(bar, at, ModelMatrix(bar.terms).learn(frame)))
    terms, ordered = ordered_terms(varying, groupings)
    formula = MixedFormula(node, response, fixed, (), tuple(bars))
    matrix = ModelMatrix(fixed).learn(frame)
    return Design(formula, matrix, tuple(range(len(names))), terms, ordered, (), Expression(response).learn(frame))


def _law(design: Design, curve: Curve, frame: Frame, y: Array) -> NonlinearLaplace:
    codes = tuple(g.codes(frame) for g in design.groupings)
    places = tuple(tuple(curve.names.index(n) for v in design.terms_of(g) for n in v.names) for g in range(len(design.groupings)))
    groups = Groups(design, codes, tuple(np.ones((len(p), frame.n)) for p in places))
    return NonlinearLaplace(curve, frame, y, groups.covariances, codes, tuple(len(g.levels) for g in design.groupings), places, [])


def _function(law: NonlinearLaplace) -> Any:
    """Value and gradient by central differences over ``(theta, beta)``."""
    m = len(law.covariances.start)

    def at(x: Array) -> float:
        return law.value(x[:m], x[m:])

    def function(x: Array) -> tuple[float, Array]:
        steps = np.diag(1e-4 * np.maximum(np.abs(x), 1e-2))
        each = [(8 * (at(x + h) - at(x - h)) - (at(x + 2 * h) - at(x - 2 * h))) / (12 * h.max()) for h in steps]
        return at(x), np.array(each)

    return function


def _fit(law: NonlinearLaplace, observed: Observed, curve: Node, start: Array, tolerance: float) -> NlmerFit:
    m = len(law.covariances.start)
    function = _function(law)
    scale = np.concatenate([np.ones(m), np.maximum(np.abs(start), 1e-3) * 0.1])

    def scaled(z: Array) -> tuple[float, Array]:
        value, gradient = function(z * scale)
        return value, gradient * scale

    with suited(sum(law.sizes)):
        found = minimise(scaled, np.concatenate([law.covariances.start, start]) / scale, tolerance)
    if not np.isfinite(found.value):
        raise BrimError("the curve is not finite at start", hint="begin nearer to the data")
    x = found.x * scale
    minimum = Minimum(x, found.value, found.gradient / scale, found.decrease, found.evaluations, found.converged)
    mode = replace(law, last=[]).mode(x[:m], x[m:])
    return NlmerFit(observed, minimum, law, _linear_fit(law, observed, mode, x[:m], x[m:]), curve)


def _linear_fit(law: NonlinearLaplace, observed: Observed, mode: _Mode, theta: Array, beta: Array) -> LmerFit:
    """The linear mixed model of the slopes, at the same ``theta``."""
    columns = tuple(mode.slopes[list(p)] for p in law.places)
    groups = Groups(observed.design, law.codes, columns)
    work = mode.residuals + mode.slopes.T @ beta + groups.predict(mode.effects)
    linear = replace(observed, groups=groups, x=np.ascontiguousarray(mode.slopes.T), y=work)
    profile = Criterion.of(work, linear.x, None, groups.factors(), groups.covariances, False)
    at = groups.internal(law.covariances.reported(theta))
    return LmerFit(linear, Minimum(at, 0.0, np.zeros(len(at)), 0.0, 0, True), profile)
