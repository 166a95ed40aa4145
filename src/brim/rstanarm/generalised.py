"""The core of ``stan_glm`` and of what is a special case of it or adds to it: group effects, smooths, strata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Node
from brim.parameters.param import Piece
from brim.rstanarm.assemble import SHRUNKEN, Draft, covariance_priors, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.call import Call
from brim.rstanarm.densities import Rotated, Shrunken, root_of
from brim.rstanarm.fit import StanFit
from brim.rstanarm.language import StanFamily, Written, counts_of, one_sided, read_family, response_of, sides, with_columns, written
from brim.rstanarm.names import Names, groups_of
from brim.rstanarm.priors import COEFFICIENTS, Decov, Prior, default_prior_coef, default_prior_intercept, exponential
from brim.rstanarm.scales import Scaled, scaled
from brim.rstanarm.smooths import Penalised, penalised
from brim.terms.base import AbstractTerm

__all__ = ["Extras", "Priors", "aux_prior", "generalised", "intercept_prior", "names_of", "response_text", "rotated"]

_COEF, _INTERCEPT, _AUX = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True)
_DECOV, _SMOOTH = Decov(), exponential()


@final
@dataclass(frozen=True)
class Priors:
    """The priors of a call; ``None`` is flat."""

    coef: Prior | None = _COEF
    intercept: Prior | None = _INTERCEPT
    aux: Prior | None = _AUX
    covariance: Decov = _DECOV
    smooth: Prior | None = _SMOOTH


@final
@dataclass(frozen=True)
class Extras:
    """What a call has besides formula, data, family and priors; columns by name or as vectors.

    Attributes
    ----------
    random
        Further group terms, ``"~ (1 | g)"``.
    family_text
        How the family prints, where it is not the family's own text.
    """

    weights: Any = None
    offset: Any = None
    strata: Any = None
    random: str = ""
    prior_PD: bool = False
    QR: bool = False
    sampling: dict[str, Any] = field(default_factory=dict)
    family_text: str = ""


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


def intercept_prior(prior: Prior | None, family: StanFamily, y: np.ndarray, unit: float) -> Scaled:
    """The prior of the intercept at the mean of the predictors; the default one sits at ``mean(y)`` for an identity link."""
    if prior is not None and prior.location is None:
        prior = replace(prior, location=float(y.mean()) if family.gaussian and family.link == "identity" else 0.0)
    return scaled(prior, 1, family.link, unit)


def _coefficients(prior: Prior | None, draft: Draft, family: StanFamily, unit: float, qr: bool) -> tuple[Scaled, list[AbstractTerm]]:
    """The prior of the coefficients, and the terms that it takes where it is none of independent elements."""
    x = draft.columns()
    if prior is not None and not (isinstance(prior, Prior) and prior.dist in COEFFICIENTS):
        raise BrimError(f"{prior!r} is no prior of coefficients", hint=f"use one of {', '.join(COEFFICIENTS)}, or None")
    if not qr:
        own = scaled(prior, x, family.link, unit)
        if prior is None or prior.dist not in SHRUNKEN:
            return own, []
        df = prior.df if np.ndim(prior.df) == 0 else np.ravel(prior.df)[0]
        numbers = tuple(float(v) for v in (df, *prior.more.values()))
        return own, [Shrunken(prior.dist, x.shape[1], family.aux_key if family.gaussian else "", numbers, own.location, own.scale)]
    own = scaled(prior, x.shape[1], family.link, unit)
    pop = population(draft.model)
    return own, [] if prior is None else [rotated(prior, own, x, pop.key, pop.intercept)]


def rotated(prior: Prior, own: Scaled, x: np.ndarray, key: str, intercept: bool) -> Rotated:
    """``QR = TRUE``: the prior ``own`` of the coefficients ``key`` of the columns ``x``, in Q-space."""
    if prior.dist in SHRUNKEN:
        raise BrimError(f"QR = TRUE with {prior.dist}()", hint="use QR=False: the prior is about the coefficients themselves")
    dist = "student_t" if prior.dist == "cauchy" else prior.dist
    return Rotated(dist, len(x), prior.autoscale, key, root_of(x, intercept), own.location, own.scale, own.df)


@final
@dataclass(frozen=True)
class _Read:
    """A call read: formulas in brms' words, with the columns given beside the data in the frame."""

    frame: Frame
    formula: str
    family: StanFamily
    right: Written


def response_text(left: Node, family: StanFamily, frame: Frame, given: dict[str, str]) -> tuple[str, StanFamily, Frame]:
    """The left-hand side in brms' words; binomial shares with weights become counts in trials."""
    counted = counts_of(left, frame, given.get("weights")) if family.name == "binomial" else None
    if counted is not None:
        return f"`.successes` | trials(`{given['weights']}`)", family, counted
    text, used = response_of(left, family, tuple(f"weights(`{c}`)" for n, c in given.items() if n == "weights"))
    return text, used, frame


def _read(formula: str, data: Any, asked: StanFamily, extras: Extras) -> _Read:
    frame, given = with_columns(data, weights=extras.weights, offset=extras.offset, strata=extras.strata)
    left, right = sides(formula)
    response, used, frame = response_text(left, asked, frame, given)
    parts = written(right, one_sided(extras.random) if extras.random else None)
    plus = "".join(f" + {n}(`{c}`)" for n, c in given.items() if n in ("offset", "strata"))
    return _Read(frame, f"{response} ~ {parts.text}{plus}", used, parts)


def generalised(function: str, formula: str, data: Any, family: Any, priors: Priors, extras: Extras) -> StanFit:
    """``stan_glm`` and all that are special cases of it or add group effects, smooths or strata to it."""
    asked = read_family(family)
    read = _read(formula, data, asked, extras)
    draft = Draft.build(read.formula, read.frame, read.family.family, extras.sampling, extras.prior_PD)
    model, y = draft.model, draft.y()
    unit = float(np.std(y, ddof=1)) if asked.gaussian else 1.0
    sigma = asked.aux_key if asked.gaussian else ""
    pop = population(model)
    coef, terms = _coefficients(priors.coef, draft, asked, unit, extras.QR)
    pieces = {pop.key: () if terms else pieces_of(coef)}
    told: dict[str, Any] = {"prior": describe(coef) if pop.coefs else None, "prior_intercept": None}
    if extras.QR and told["prior"] is not None:
        told["prior"]["QR"] = True
    if pop.intercept:
        at = intercept_prior(priors.intercept, asked, y, unit)
        pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(at))
        told["prior_intercept"] = describe(at)
    if asked.aux:
        pieces[asked.aux_key], told["prior_aux"] = aux_prior(priors.aux, unit, asked.aux)
    smooths = penalised(model, draft.record.frame, priors.smooth, sigma)
    pieces, terms = {**pieces, **smooths.pieces}, [*terms, *smooths.terms]
    if model.blocks:
        own, more = covariance_priors(model, priors.covariance, sigma)
        pieces, terms = {**pieces, **own}, [*terms, *more]
        told["prior_covariance"] = {"dist": "decov", **priors.covariance.__dict__}
    names = names_of(draft, asked, read.right.groups, smooths)
    coefs = tuple(stan for stan, _ in names.first)
    text = extras.family_text or asked.text
    call = Call(function, text, formula, names, told, coefs, (asked.aux,) if asked.aux else (), smooths=tuple(s for s, _ in smooths.scales))
    return fitted(draft, with_priors(model, pieces, terms), call)


def _coefs(draft: Draft) -> tuple[str, ...]:
    """R's names of the coefficients, the intercept among them."""
    pop = population(draft.model)
    assert pop.matrix is not None
    return pop.matrix.names if pop.intercept else pop.matrix.names[pop.dropped :]


def names_of(draft: Draft, family: StanFamily, groups: tuple[tuple[str, str], ...] = (), smooths: Penalised | None = None) -> Names:
    """The names of a model of one response."""
    pop, own = population(draft.model), smooths or Penalised()
    brms = [f"b_{c}" for c in (*(("Intercept",) if pop.intercept else ()), *pop.coefs)]
    first = tuple(zip(_coefs(draft), brms, strict=True))
    aux = ((family.aux, family.aux_key),) if family.aux else ()
    found = groups_of(draft.model.blocks, groups, draft.record.frame)
    return Names((*first, *own.coefs), found, (*aux, *own.scales), factors=own.factors, unsure=own.unsure)
