"""``stan_lm stan_aov stan_glm stan_glm_nb stan_polr stan_betareg``: models without group effects, and the core of those with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, final

import numpy as np

from brim.errors import BrimError, suggest
from brim.language.brms import bf
from brim.language.expand import Binary, deparse
from brim.parameters.param import Piece
from brim.rstanarm.assemble import SHRUNKEN, Draft, covariance_priors, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.densities import Explained, ExplainedOrdinal, Rotated, Shrunken, root_of
from brim.rstanarm.fit import Call, StanFit
from brim.rstanarm.language import StanFamily, read_family, response_of, sides, with_columns
from brim.rstanarm.names import Names, group_names
from brim.rstanarm.priors import R2, Decov, Dirichlet, Prior, default_prior_coef, default_prior_intercept, exponential
from brim.rstanarm.scales import Scaled, scaled
from brim.terms.base import AbstractTerm

__all__ = ["Priors", "aux_prior", "generalised", "stan_aov", "stan_betareg", "stan_glm", "stan_glm_nb", "stan_lm", "stan_polr"]

_COEF, _INTERCEPT, _AUX = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True)
_DECOV, _R2, _COUNTS = Decov(), R2(), Dirichlet()


@final
@dataclass(frozen=True)
class Priors:
    """The priors of a call; ``None`` is flat."""

    coef: Prior | None = _COEF
    intercept: Prior | None = _INTERCEPT
    aux: Prior | None = _AUX
    covariance: Decov = _DECOV


def aux_prior(prior: Prior | None, unit: float, name: str, default: float = 2.5) -> tuple[tuple[Piece, ...], dict[str, Any]]:
    """The prior of a positive auxiliary parameter, and what ``prior_summary`` says of it."""
    if prior is None:
        empty = {"dist": None, "location": None, "scale": None, "adjusted_scale": None, "df": None}
        return (), {**empty, "rate": None, "aux_name": name}
    adjusted = prior.autoscale and unit != 1.0
    if prior.dist == "exponential":
        mean = (unit if prior.autoscale else 1.0) / prior.more["rate"]
        told = {"dist": "exponential", "location": None, "scale": None, "adjusted_scale": mean if adjusted else None, "df": None}
        return (Piece("exponential", None, (1.0 / mean,)),), {**told, "rate": prior.more["rate"], "aux_name": name}
    if prior.dist not in ("normal", "student_t", "cauchy"):
        raise BrimError(f"{prior.dist}() is no prior of {name}", hint="use exponential(), normal(), student_t(), cauchy() or None")
    one = scaled(prior, 1, "identity", unit if prior.autoscale else 1.0, base=default)
    (piece,) = pieces_of(one)
    return (replace(piece, index=None),), describe(one, rate=None, aux_name=name)


def _intercept(prior: Prior | None, family: StanFamily, y: np.ndarray, unit: float) -> Scaled:
    """The prior of the intercept at the mean of the predictors; the default one sits at ``mean(y)`` for an identity link."""
    if prior is not None and prior.location is None:
        prior = replace(prior, location=float(y.mean()) if family.gaussian and family.link == "identity" else 0.0)
    return scaled(prior, 1, family.link, unit)


def _coefficients(prior: Prior | None, draft: Draft, family: StanFamily, unit: float, qr: bool) -> tuple[Scaled, list[AbstractTerm]]:
    """The prior of the coefficients, and the terms that it takes where it is none of independent elements."""
    x = draft.columns()
    if not qr:
        own = scaled(prior, x, family.link, unit)
        if prior is None or prior.dist not in SHRUNKEN:
            return own, []
        df = prior.df if np.ndim(prior.df) == 0 else np.ravel(prior.df)[0]
        numbers = tuple(float(v) for v in (df, *prior.more.values()))
        return own, [Shrunken(prior.dist, x.shape[1], family.aux_key if family.gaussian else "", numbers, own.location, own.scale)]
    own = scaled(prior, x.shape[1], family.link, unit)
    if prior is None:
        return own, []
    if prior.dist in SHRUNKEN:
        raise BrimError(f"QR = TRUE with {prior.dist}()", hint="use QR=False: the prior is about the coefficients themselves")
    dist = "student_t" if prior.dist == "cauchy" else prior.dist
    return own, [Rotated(dist, len(x), root_of(x), own.location, own.scale, own.df)]


def generalised(
    function: str,
    formula: str,
    data: Any,
    family: Any,
    priors: Priors,
    *,
    weights: Any = None,
    offset: Any = None,
    prior_PD: bool = False,
    QR: bool = False,
    sampling: dict[str, Any],
) -> StanFit:
    """``stan_glm`` and all that are special cases of it or add group effects to it."""
    frame, given = with_columns(data, weights=weights, offset=offset)
    left, right = sides(formula)
    asked = read_family(family)
    response, used = response_of(left, asked, tuple(f"weights(`{c}`)" for n, c in given.items() if n == "weights"))
    plus = "".join(f" + offset(`{c}`)" for n, c in given.items() if n == "offset")
    draft = Draft.build(f"{response} ~ {deparse(right)}{plus}", frame, used.family, sampling, prior_PD)
    model, y = draft.model, draft.y()
    unit = float(np.std(y, ddof=1)) if asked.gaussian else 1.0
    pop = population(model)
    coef, terms = _coefficients(priors.coef, draft, asked, unit, QR)
    pieces = {pop.key: () if terms else pieces_of(coef)}
    told: dict[str, Any] = {"prior": describe(coef) if pop.coefs else None, "prior_intercept": None}
    if pop.intercept:
        at = _intercept(priors.intercept, asked, y, unit)
        pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(at))
        told["prior_intercept"] = describe(at)
    if asked.aux:
        pieces[asked.aux_key], told["prior_aux"] = aux_prior(priors.aux, unit, asked.aux)
    if model.blocks:
        own, more = covariance_priors(model, priors.covariance, asked.aux_key if asked.gaussian else "")
        pieces, terms = {**pieces, **own}, [*terms, *more]
        told["prior_covariance"] = {"dist": "decov", **priors.covariance.__dict__}
    call = Call(function, asked.text, formula, _names(draft, asked), told, _coefs(draft), (asked.aux,) if asked.aux else ())
    return fitted(draft, with_priors(model, pieces, terms), call)


def _coefs(draft: Draft) -> tuple[str, ...]:
    """R's names of the coefficients, the intercept among them."""
    pop = population(draft.model)
    assert pop.matrix is not None
    return pop.matrix.names if pop.intercept else pop.matrix.names[pop.dropped :]


def _names(draft: Draft, family: StanFamily) -> Names:
    pop = population(draft.model)
    brms = [f"b_{c}" for c in (*(("Intercept",) if pop.intercept else ()), *pop.coefs)]
    groups = tuple(group_names(b, {}) for b in draft.model.blocks)
    return Names(tuple(zip(_coefs(draft), brms, strict=True)), groups, ((family.aux, family.aux_key),) if family.aux else ())


# --------------------------------------------------------------------------- the functions


def stan_glm(
    formula: str,
    data: Any,
    family: Any = "gaussian",
    *,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_aux: Prior | None = _AUX,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A generalised linear model with rstanarm's priors.

    Coefficients ``b_j ~ N(0, 2.5 s / sd(x_j))`` with ``s = sd(y)`` for Gaussian models and 1 for others, the intercept at the mean of
    the predictors ``~ N(mean(y), 2.5 s)`` (0 unless Gaussian with identity link), ``sigma ~ exponential(1 / sd(y))``.

    Parameters
    ----------
    formula
        As R's ``glm``; ``cbind(successes, failures)`` for binomial counts.
    data
        A data frame.
    family
        R's name, with a link if it is not R's default: ``"binomial(probit)"``, ``"Gamma(log)"``, ``"neg_binomial_2"``.
    weights, offset
        A column's name or a vector.
    prior, prior_intercept, prior_aux
        Priors made by this module's ``normal()``, ``student_t()``, ``hs()``, ...; ``None`` is flat. Only defaults, and priors with
        ``autoscale=True``, are scaled to the data.
    prior_PD
        Sample the prior.
    QR
        The prior is about the coefficients of orthogonal columns, ``theta = R b / sqrt(n - 1)``.
    sampling
        ``chains iter warmup thin seed cores init control adapt_delta algorithm progress empty``, as ``brm`` takes them.

    Returns
    -------
    StanFit

    Raises
    ------
    BrimError
        For everything wrong with formula, data, priors or arguments.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'Days', 'sigma']
    >>> round(float(fit.prior_summary()["prior"]["adjusted_scale"][0]), 3)
    48.892
    """
    priors = Priors(prior, prior_intercept, prior_aux)
    more = {"weights": weights, "offset": offset, "prior_PD": prior_PD, "QR": QR, "sampling": sampling}
    return generalised("stan_glm", formula, data, family, priors, **more)


def stan_glm_nb(formula: str, data: Any, *, link: str = "log", **arguments: Any) -> StanFit:
    """``stan_glm`` with ``family = neg_binomial_2(link)``: ``var(y) = mu + mu^2 / reciprocal_dispersion``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_glm_nb("count ~ zAge", brim.load_data("epilepsy"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'zAge', 'reciprocal_dispersion']
    """
    return stan_glm(formula, data, f"neg_binomial_2({link})", **arguments)


def stan_lm(
    formula: str, data: Any, *, prior: R2 | None = _R2, prior_intercept: Prior | None = None, weights: Any = None, **sampling: Any
) -> StanFit:
    """A linear model with a prior on the share of variance explained, ``R2 ~ beta(k / 2, eta)``.

    The direction of ``R b`` (with the triangular root ``R`` of the centred predictors) is uniform, the scale of the outcome
    ``log(sqrt(v + sigma^2) / sd(y))`` and the intercept flat. See ``Explained`` for the density.

    Parameters
    ----------
    formula, data
        As R's ``lm``.
    prior
        ``R2(location, what)``; ``None`` for a uniform law.
    prior_intercept
        A normal prior of the intercept; flat by default.
    weights
        A column's name or a vector.
    sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> fit = rs.stan_lm("gpa ~ occasion + sex", brim.load_data("gpa"), prior=rs.R2(0.3, "mean"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'occasion', 'sexfemale', 'sigma', 'log-fit_ratio', 'R2']
    """
    return _linear("stan_lm", formula, data, prior, prior_intercept, weights, sampling)


def stan_aov(formula: str, data: Any, *, prior: R2 | None = _R2, weights: Any = None, **sampling: Any) -> StanFit:
    """``stan_lm`` under the name of R's ``aov``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> rs.stan_aov("angle ~ recipe", brim.load_data("cake"), prior=rs.R2(0.3, "mean"), empty=True).variables()[:2]
    ['(Intercept)', 'recipeB']
    """
    return _linear("stan_aov", formula, data, prior, None, weights, sampling)


def _linear(
    function: str, formula: str, data: Any, prior: R2 | None, intercept: Prior | None, weights: Any, sampling: dict[str, Any]
) -> StanFit:
    frame, given = with_columns(data, weights=weights)
    left, right = sides(formula)
    asked = read_family("gaussian")
    response, _ = response_of(left, asked, tuple(f"weights(`{c}`)" for c in given.values()))
    draft = Draft.build(f"{response} ~ {deparse(right)}", frame, asked.family, sampling)
    pop, y, x = population(draft.model), draft.y(), draft.columns()
    if not pop.coefs:
        raise BrimError(f"{function}() needs a predictor: its prior is about what predictors explain", hint="use stan_glm()")
    at = _intercept(intercept, asked, y, float(np.std(y, ddof=1)))
    k, root = len(pop.coefs), root_of(x)
    eta = 1.0 if prior is None else prior.eta(k)
    term = Explained(len(y), eta, k, root, uniform=prior is None)
    pieces: dict[str, tuple[Piece, ...]] = {pop.key: (), "sigma": ()}
    pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(at))
    told = {
        "prior": None if prior is None else {"dist": "R2", "location": prior.location, "what": prior.what},
        "prior_intercept": describe(at),
    }
    explained = (float(np.std(y, ddof=1)), len(y), root)
    aux = ("R2", "log-fit_ratio", "sigma")
    call = Call(function, asked.text, formula, _names(draft, asked), told, _coefs(draft), aux, explained=explained)
    return fitted(draft, with_priors(draft.model, pieces, [term]), call)


_METHODS = {"logistic": "logit", "probit": "probit", "cloglog": "cloglog", "cauchit": "cauchit"}


def stan_polr(
    formula: str,
    data: Any,
    *,
    method: str = "logistic",
    prior: R2,
    prior_counts: Dirichlet = _COUNTS,
    weights: Any = None,
    prior_PD: bool = False,
    **sampling: Any,
) -> StanFit:
    """An ordinal regression, ``P(y <= j) = F(zeta_j - x b)``, with priors on the share of variance explained and on the categories.

    Parameters
    ----------
    formula, data
        As ``MASS::polr``.
    method
        ``"logistic"``, ``"probit"``, ``"cloglog"`` or ``"cauchit"``.
    prior
        ``R2(location, what)`` of the latent variable.
    prior_counts
        Of the categories' probabilities at the mean of the predictors.
    weights, prior_PD, sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> fit = rs.stan_polr("rating ~ treat + period", brim.load_data("inhaler"), prior=rs.R2(0.3, "mean"), empty=True)
    >>> fit.variables()
    ['treat', 'period', '1|2', '2|3', '3|4']
    """
    if method not in _METHODS:
        raise BrimError(f"stan_polr(method = {method!r})", hint=suggest(method, _METHODS, "methods"))
    from brim.families import family as resolve

    link = _METHODS[method]
    frame, given = with_columns(data, weights=weights)
    left, right = sides(formula)
    response = deparse(left) + "".join(f" | weights(`{c}`)" for c in given.values())
    draft = Draft.build(f"{response} ~ {deparse(right)}", frame, resolve("cumulative", link=link), sampling, prior_PD)
    pop, x = population(draft.model), draft.columns()
    thresholds = next(q for q in draft.model.reported() if q.key.startswith("b_Intercept"))
    count = thresholds.names.size
    given_counts = prior_counts.concentration
    counts = given_counts if isinstance(given_counts, tuple) else (given_counts,) * (count + 1)
    if len(counts) != count + 1:
        raise BrimError(f"dirichlet() has {len(counts)} concentrations for {count + 1} categories")
    levels = draft.model.responses[0].response.levels or tuple(str(i + 1) for i in range(count + 1))
    cuts = tuple(f"{a}|{b}" for a, b in pairwise(levels))
    term = ExplainedOrdinal("Intercept", link, len(x), prior.eta(len(pop.coefs)), len(pop.coefs), counts, root_of(x))
    assert pop.matrix is not None
    coefs = pop.matrix.names[pop.dropped :]
    names = Names(
        tuple(zip(coefs, (f"b_{c}" for c in pop.coefs), strict=True)),
        last=tuple(zip(cuts, map(str, thresholds.names), strict=True)),
        fixed=(("disc", 1.0),),
    )
    told = {
        "prior": {"dist": "R2", "location": prior.location, "what": prior.what},
        "prior_counts": {"dist": "dirichlet", "concentration": counts},
    }
    call = Call("stan_polr", f"ordered [{method}]", formula, names, told, coefs, cutpoints=cuts)
    return fitted(draft, with_priors(draft.model, {pop.key: (), "Intercept": ()}, [term]), call)


def stan_betareg(
    formula: str,
    data: Any,
    *,
    link: str = "logit",
    link_phi: str | None = None,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_z: Prior | None = _COEF,
    prior_intercept_z: Prior | None = _INTERCEPT,
    prior_phi: Prior | None = _AUX,
    prior_PD: bool = False,
    **sampling: Any,
) -> StanFit:
    """A beta regression, ``y ~ beta(mu phi, (1 - mu) phi)``; ``y ~ x | z`` has predictors ``z`` of ``phi``.

    Parameters
    ----------
    formula, data
        As ``betareg``'s.
    link, link_phi
        Of the mean, and of ``phi`` (``"log"`` where it has predictors).
    weights, offset, prior, prior_intercept, prior_PD, sampling
        As in ``stan_glm``; a column of two values is scaled by their distance.
    prior_z, prior_intercept_z, prior_phi
        Priors of the coefficients of ``phi``, or of ``phi`` itself.

    Examples
    --------
    >>> import brim, numpy as np
    >>> rows = {"y": np.linspace(0.1, 0.9, 20), "x": np.arange(20.0) % 7, "z": np.arange(20.0) % 3}
    >>> brim.rstanarm.stan_betareg("y ~ x | z", rows, empty=True).variables()
    ['(Intercept)', 'x', '(phi)_(Intercept)', '(phi)_z']
    """
    from brim.families import family as resolve

    frame, given = with_columns(data, weights=weights, offset=offset)
    left, right = sides(formula)
    split = isinstance(right, Binary) and right.op == "|"
    mean = right.left if isinstance(right, Binary) and split else right
    response = deparse(left) + "".join(f" | weights(`{c}`)" for n, c in given.items() if n == "weights")
    plus = "".join(f" + offset(`{c}`)" for n, c in given.items() if n == "offset")
    parts = [f"{response} ~ {deparse(mean)}{plus}"]
    if isinstance(right, Binary) and split:
        parts.append(f"phi ~ {deparse(right.right)}")
    used = resolve("beta", link=link, link_phi=link_phi or "log")
    draft = Draft.build(bf(*parts), frame, used, sampling, prior_PD)
    pieces: dict[str, tuple[Piece, ...]] = {}
    first: list[tuple[str, str]] = []
    told: dict[str, Any] = {}
    for dpar, label, suffix, coef, at in (("mu", "", "", prior, prior_intercept), ("phi", "(phi)_", "_z", prior_z, prior_intercept_z)):
        if dpar == "phi" and not split:
            continue
        pop = population(draft.model, dpar=dpar)
        own = scaled(coef, draft.columns(dpar=dpar), link if dpar == "mu" else "log", 1.0, two="range")
        pieces[pop.key], told[f"prior{suffix}"] = pieces_of(own), describe(own)
        middle = scaled(at if at is None or at.location is not None else replace(at, location=0.0), 1, link if dpar == "mu" else "log", 1.0)
        pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(middle))
        told[f"prior_intercept{suffix}"] = describe(middle)
        assert pop.matrix is not None
        prefix = f"b_{pop.where.prefix}"
        brms = [prefix + c for c in (*(("Intercept",) if pop.intercept else ()), *pop.coefs)]
        first += zip((label + n for n in pop.matrix.names[len(pop.matrix.names) - len(brms) :]), brms, strict=True)
    last: tuple[tuple[str, str], ...] = ()
    if not split:
        pieces["phi"], told["prior_aux"] = aux_prior(prior_phi, 1.0, "phi")
        last = (("(phi)", "phi"),)
    call = Call(
        "stan_betareg",
        f"beta [{link}]",
        formula,
        Names(tuple(first), last=last),
        told,
        tuple(n for n, _ in first),
        tuple(n for n, _ in last),
    )
    return fitted(draft, with_priors(draft.model, pieces), call)
