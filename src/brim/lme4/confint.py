"""Confidence intervals: by the profiled deviance, by the normal law, by the bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from brim.errors import BrimError, suggest
from brim.lme4.optimise import minimise
from brim.lme4.random import term_covariances
from brim.lme4.variances import TermCovariance

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["confint", "parameter_names", "parameter_values"]

Array = np.ndarray
METHODS = ("profile", "Wald", "boot")


def parameter_names(fit: AbstractMer, old: bool) -> list[str]:
    """``.sig01 ... .sigma`` and the coefficients; lower triangles by columns, as ``theta``."""
    named = [label for t in term_covariances(fit) for label in _labels(t)]
    if old:
        named = [f".sig{i + 1:02d}" for i in range(len(named))]
    sigma = [".sigma" if old else "sigma"] if fit.has_sigma else []
    return [*named, *sigma, *fit.names]


def _labels(t: TermCovariance) -> list[str]:
    def label(kind: str, i: int, j: int) -> str:
        if t.tied and (kind == "cor" or t.tied == "ar1"):
            return f"{kind}_{t.tied}|{t.group}"
        return f"sd_{t.coefs[i]}|{t.group}" if kind == "sd" else f"cor_{t.coefs[i]}.{t.coefs[j]}|{t.group}"

    return [label(*entry) for entry in t.parameters]


def parameter_values(fit: AbstractMer) -> Array:
    """Their estimates: standard deviations, correlations, ``sigma``, coefficients."""
    out = [float(t.sd[i] if kind == "sd" else t.cor[i, j]) for t in term_covariances(fit) for kind, i, j in t.parameters]
    return np.array([*out, *([fit.sigma] if fit.has_sigma else []), *fit.beta])


def confint(
    fit: AbstractMer,
    parm: Any = None,
    level: float = 0.95,
    method: str = "profile",
    oldNames: bool = True,
    nsim: int = 500,
    seed: int | None = None,
    executor: Any = None,
) -> pd.DataFrame:
    """Confidence intervals of ``.sig01 ... .sigma`` and the coefficients, a row a parameter.

    Parameters
    ----------
    fit
        A fitted mixed model.
    parm
        Names of the parameters wanted; all by default; ``"beta_"`` for the coefficients, ``"theta_"`` for the rest.
    level
        Confidence.
    method
        ``"profile"``: where the profiled deviance (by maximum likelihood) is ``qchisq(level, 1)`` above its minimum; ``"Wald"``:
        coefficients only, normal; ``"boot"``: percentiles of ``nsim`` parametric bootstrap fits.
    oldNames
        ``False``: ``sd_Days|Subject``, ``cor_Days.(Intercept)|Subject``, ``sigma``.
    nsim, seed, executor
        Of the bootstrap: how many fits, which responses, and where the fits run (see ``brim.brm``).

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(m.confint("beta_").round(2))
                  2.5 %  97.5 %
    (Intercept)  237.68  265.13
    Days           7.36   13.58
    """
    import pandas as pd

    if method not in METHODS:
        raise BrimError(f"unknown method '{method}'", hint=suggest(method, METHODS, "methods"))
    if not 0 < level < 1:
        raise BrimError(f"level = {level} must lie between 0 and 1")
    names = parameter_names(fit, oldNames)
    wanted = _wanted(names, parm, len(fit.beta))
    if method == "profile":
        rows = profile_intervals(fit, wanted, level)
    elif method == "Wald":
        half = np.full(len(names), np.nan)
        half[len(names) - len(fit.beta) :] = norm.ppf(0.5 + level / 2) * np.sqrt(np.diag(fit.covariance))
        values = parameter_values(fit)
        rows = np.column_stack([values - half, values + half])[wanted]
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            draws = fit.bootMer(parameter_values, nsim, seed, executor)
        rows = np.nanquantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0).T[wanted]
    columns = [f"{100 * (0.5 + s * level / 2):.4g} %" for s in (-1, 1)]
    return pd.DataFrame(rows, index=[names[i] for i in wanted], columns=columns)


def _wanted(names: list[str], parm: Any, p: int) -> list[int]:
    if parm is None:
        return list(range(len(names)))
    if parm == "beta_":
        return list(range(len(names) - p, len(names)))
    if parm == "theta_":
        return list(range(len(names) - p))
    out = []
    for name in [parm] if isinstance(parm, str) else parm:
        if name not in names:
            raise BrimError(f"there is no parameter '{name}'", hint=suggest(str(name), names, "parameters"))
        out.append(names.index(name))
    return out


# ---- profiles --------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Place:
    """One parameter: a coefficient, ``sigma``, or of a term the effects ``first`` (and ``second`` for a correlation)."""

    kind: str
    index: int = 0
    first: int = 0
    second: int = 0
    lower: float = -1.0
    tied: bool = False


def _places(fit: AbstractMer) -> list[_Place]:
    out = []
    terms = fit.observed.groups.covariances.terms
    for t, (one, term) in enumerate(zip(term_covariances(fit), terms, strict=True)):
        low = term.structure.lower(term.k) if one.tied else -1.0
        out += [_Place(kind, t, j, i if kind == "cor" else 0, low, bool(one.tied)) for kind, i, j in one.parameters]
    return [*out, *([_Place("sigma")] if fit.has_sigma else []), *(_Place("beta", j) for j in range(len(fit.beta)))]


def profile_intervals(fit: AbstractMer, wanted: Sequence[int], level: float) -> Array:
    """Where the signed root of the deviance's rise is the normal quantile, (parameters, 2)."""
    if fit.function == "glmer" and fit.has_sigma:
        raise BrimError("the dispersion of this family is no parameter of the criterion: there is no profile", hint="use method='boot'")
    best = fit.refit_ml()
    values, places = parameter_values(best), _places(best)
    quantile = float(norm.ppf(0.5 + level / 2))
    out = []
    for i in wanted:
        place = places[i]
        up = rise(best, place)
        bounds = {"sd": (0.0, np.inf), "sigma": (1e-8 * max(best.sigma, 1e-12), np.inf), "cor": (place.lower + 1e-9, 1.0 - 1e-9)}
        low, high = bounds.get(place.kind, (-np.inf, np.inf))
        step = _first_step(best, place, values[i])
        out.append([_end(up, values[i], sign * step, quantile, bound) for sign, bound in ((-1, low), (1, high))])
    return np.array(out)


def _first_step(fit: AbstractMer, place: _Place, value: float) -> float:
    if place.kind == "beta":
        return 2.0 * float(np.sqrt(fit.covariance[place.index, place.index]))
    if place.kind == "sigma":
        return 2.0 * value / np.sqrt(2.0 * fit.nobs())
    if place.kind == "cor":
        return 0.5
    levels = fit.ngrps()[fit.observed.design.groupings[fit.observed.design.varying[place.index].grouping].label]
    return max(2.0 * value / np.sqrt(2.0 * levels), 0.05 * fit.sigma)


def _end(rise: Callable[[float], float], start: float, step: float, quantile: float, bound: float) -> float:
    """Where ``sqrt(rise)`` reaches the quantile beyond ``start``; the bound if it never does."""

    def root(x: float) -> float:
        return float(np.sqrt(max(rise(x), 0.0))) - quantile

    near, far = start, start
    for _ in range(60):
        far = start + step
        if (step < 0 and far <= bound) or (step > 0 and far >= bound):
            far = bound
        if root(far) > 0:
            return float(brentq(root, near, far, xtol=1e-7 * max(abs(step), 1e-12), rtol=1e-10))
        if far == bound:
            return float(0.0 if bound == 0 else round(bound, 6))
        near, step = far, 1.6 * step
    return np.nan


def rise(fit: AbstractMer, place: _Place) -> Callable[[float], float]:
    """The rise of the deviance over its minimum with one parameter held."""
    if place.kind == "beta":
        return fit.rise_of_coefficient(place.index)
    theta, terms = fit.theta, fit.observed.groups.covariances
    starts = [np.log(fit.sigma)] if fit.has_sigma else []
    last: list[Array] = []
    order, factor, slot = _reordered(fit, place)
    start = np.concatenate([terms.times(theta, fit.sigma), starts, fit.free_coefficients()])
    if factor is not None:
        start[slot] = factor[_lower(len(factor))] * fit.sigma
    function = fit.absolute_deviance(order)
    m = len(theta)

    def held(free: Array, value: float) -> Array:
        """Covariance factors, log sigma and coefficients: the free numbers with the held parameter put in."""
        out = free.copy()
        if place.kind == "sigma":
            out[m] = np.log(value)
            return out
        if place.tied:
            term = terms.terms[place.index]
            out[slot.stop - 1 if place.kind == "cor" else slot.start + place.first] = (
                term.structure.parameter(value, term.k) if place.kind == "cor" else value
            )
            return out
        assert factor is not None
        if place.kind == "sd":
            out[slot.start] = value
            return out
        k = len(factor)
        first = slot.start
        length = np.hypot(free[first + 1], free[first + k])
        out[first + 1] = length * value * np.sign(free[first] or 1.0)
        out[first + k] = length * np.sqrt(1.0 - value * value)
        return out

    def jacobian(free: Array, value: float) -> Array:
        steps = np.diag(1e-6 * np.maximum(np.abs(free), 1e-2))
        return np.array([(held(free + h, value) - held(free - h, value)) / (2.0 * h.max()) for h in steps])

    def at(value: float) -> float:
        def criterion(free: Array) -> tuple[float, Array]:
            got, gradient = function(held(free, value))
            return got, jacobian(free, value) @ gradient

        found = minimise(criterion, last[0] if last else start, 1e-9)
        if place.kind != "cor" or found.value - fit.criterion < 20:
            last[:] = [found.x]
        return found.value - fit.criterion

    return at


def _lower(k: int) -> tuple[Array, Array]:
    columns, rows = np.triu_indices(k)
    return rows, columns


def _reordered(fit: AbstractMer, place: _Place) -> tuple[list[int] | None, Array | None, slice]:
    """The order of a term's effects in which those of the place come first, its relative factor in that order, and where it is."""
    if place.kind not in ("sd", "cor"):
        return None, None, slice(0, 0)
    terms = fit.observed.groups.covariances
    t, slot = terms.terms[place.index], terms.slots[place.index]
    if place.tied:
        return None, None, slot
    if t.k == 1 or fit.observed.design.varying[place.index].bar.structure == "diag":
        low = t.structure.loading(fit.theta[slot], t.k)
        return None, low[[[place.first]], [[place.first]]], slice(slot.start + place.first, slot.start + place.first + 1)
    leading = [place.first] + ([place.second] if place.kind == "cor" else [])
    order = [*leading, *(i for i in range(t.k) if i not in leading)]
    low = t.structure.loading(fit.theta[slot], t.k)
    cov = (low @ low.T)[np.ix_(order, order)]
    values, vectors = np.linalg.eigh(cov)
    _, r = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T)
    factor = r.T * np.where(np.diag(r) < 0, -1.0, 1.0)
    return [place.index, *order], factor, slot
