"""Several longitudinal markers as one model: ``stan_mvmer``, and the longitudinal part of ``stan_jm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.brms import Formula, MvFormula, bf, set_rescor
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse
from brim.parameters.param import Piece
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import Draft, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.call import Call as StanCall
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import aux_prior
from brim.rstanarm.language import StanFamily, read_family, response_of, sides
from brim.rstanarm.names import GroupNames, Names, group_names
from brim.rstanarm.priors import Lkj, Prior, cauchy, lkj, normal
from brim.rstanarm.scales import column_scale, scaled

__all__ = ["MarkerPriors", "Markers", "build_markers", "stan_mvmer"]

_COEF, _INTERCEPT = normal(autoscale=True), normal(autoscale=True)
_AUX, _COVARIANCE = cauchy(0.0, 5.0, autoscale=True), lkj()


@final
@dataclass(frozen=True)
class MarkerPriors:
    """The priors of every marker; each a prior for all of them, or a list with one for each."""

    coef: Any = _COEF
    intercept: Any = _INTERCEPT
    aux: Any = _AUX
    covariance: Lkj = _COVARIANCE


@final
@dataclass(frozen=True)
class Markers:
    """The markers' model with its priors and names.

    Attributes
    ----------
    draft
        The model, built on the rows of all markers, one below the other.
    formulas, families
        As given, one a marker.
    prefixes
        What stands before a marker's parameters: ``"y1|"``, ``"Long1|"``.
    pieces, told
        Priors of the model's parameters, and what ``prior_summary`` says of them.
    first, last
        Names of intercepts and coefficients, and of auxiliary parameters.
    groups
        Names of the group effects.
    """

    draft: Draft
    formulas: tuple[str, ...]
    families: tuple[StanFamily, ...]
    prefixes: tuple[str, ...]
    pieces: Mapping[str, tuple[Piece, ...]]
    told: Mapping[str, Any]
    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]
    groups: tuple[GroupNames, ...]


def build_markers(
    formulas: str | Sequence[str],
    data: Any,
    family: Any,
    priors: MarkerPriors,
    stem: str,
    sampling: Mapping[str, Any],
    prior_PD: bool = False,
) -> Markers:
    """Build the model of all markers and its priors.

    ``y1 ~ x + (1 | id)`` and ``y2 ~ z + (z | id)`` get one covariance matrix for all effects of ``id``. With ``unit = sd(y)`` of a Gaussian
    marker (1 for others): ``b ~ N(0, 2.5 unit / scale(x))``, intercept ``~ N(0, 10 unit)``, ``sigma ~ cauchy+(0, 5 unit)``,
    ``sd ~ t+(df, 0, scale unit / scale(z))``, correlations ``lkj``. Scales are those of the priors where they are not the defaults.
    """
    texts = [formulas] if isinstance(formulas, str) else list(formulas)
    m = len(texts)
    families = tuple(read_family(f) for f in (family if isinstance(family, list | tuple) else [family] * m))
    if len(families) != m:
        raise BrimError(f"{len(families)} families for {m} markers")
    frame = _stacked(data, m)
    parts, used = zip(*(_part(t, f, i, m) for i, (t, f) in enumerate(zip(texts, families, strict=True))), strict=True)
    formula: Formula | MvFormula = parts[0]
    for part in parts[1:]:
        formula = formula + part
    draft = Draft.build(formula + set_rescor(False) if m > 1 else formula, frame, used[0].family, sampling, prior_PD)
    return _described(draft, tuple(texts), families, tuple(f"{stem}{i + 1}|" for i in range(m)), priors)


def _stacked(data: Any, m: int) -> Frame:
    """The rows of every marker, one below the other, with a flag ``.m1`` for each marker's."""
    if isinstance(data, list | tuple):
        import pandas as pd

        if len(data) != m:
            raise BrimError(f"{len(data)} data frames for {m} markers", hint="give one for all, or one for each")
        sizes = [len(d) for d in data]
        frame = Frame.read(pd.concat([pd.DataFrame(d) for d in data], ignore_index=True))
    else:
        one = Frame.read(data)
        sizes, frame = [one.n] * m, one if m == 1 else Frame.read(data).take(np.tile(np.arange(one.n), m))
    if m == 1:
        return frame
    which = np.repeat(np.arange(m), sizes)
    return frame.with_columns({f".m{i + 1}": which == i for i in range(m)})


def _part(text: str, family: StanFamily, i: int, m: int) -> tuple[Formula, StanFamily]:
    """A marker's formula in brms' words: its rows by ``subset()``, group effects with a name that other markers' share."""
    left, right = sides(text)
    response, used = response_of(left, family, (f"subset(`.m{i + 1}`)",) if m > 1 else ())
    part = bf(f"{response} ~ {deparse(_tied(right) if m > 1 else right)}", family=used.family)
    return part, used


def _tied(node: Node) -> Node:
    """``(x | g)`` as ``(x | ID | g)``, the same ID for all terms of a grouping factor."""
    match node:
        case Paren(Binary("|", left, right)) if not (isinstance(left, Binary) and left.op == "|"):
            name = "".join(c if c.isalnum() else "_" for c in deparse(right))
            return Paren(Binary("|", Binary("|", left, Name(f"id_{name}")), right))
        case Binary(op, left, right):
            return Binary(op, _tied(left), _tied(right))
        case Unary(op, inner):
            return Unary(op, _tied(inner))
        case Paren(inner):
            return Paren(_tied(inner))
        case Call():
            return node
    return node


def _of(prior: Any, i: int) -> Prior | None:
    """A marker's prior: its own, or that of all."""
    found: Prior | None = prior[i] if isinstance(prior, list | tuple) else prior
    return found


def _described(
    draft: Draft, formulas: tuple[str, ...], families: tuple[StanFamily, ...], prefixes: tuple[str, ...], priors: MarkerPriors
) -> Markers:
    pieces: dict[str, tuple[Piece, ...]] = {}
    told: dict[str, Any] = {"prior": {}, "prior_intercept": {}, "prior_aux": {}}
    intercepts: list[tuple[str, str]] = []
    coefs: list[tuple[str, str]] = []
    last: list[tuple[str, str]] = []
    units: dict[str, float] = {}
    for i, (response, family, prefix) in enumerate(zip(draft.model.responses, families, prefixes, strict=True)):
        label, resp = prefix.rstrip("|"), response.name
        unit = float(np.std(draft.y(resp), ddof=1)) if family.gaussian else 1.0
        units[response.resp] = unit
        pop = population(draft.model, resp)
        own = scaled(_of(priors.coef, i), draft.columns(resp), family.link, unit, two="range")
        pieces[pop.key], told["prior"][label] = pieces_of(own), describe(own)
        stem = f"b_{pop.where.prefix}"
        assert pop.matrix is not None
        if pop.intercept:
            at = scaled(_of(priors.intercept, i), 1, family.link, unit, base=10.0)
            pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(at))
            told["prior_intercept"][label] = describe(at)
            intercepts.append((f"{prefix}(Intercept)", f"{stem}Intercept"))
        names = pop.matrix.names[len(pop.matrix.names) - len(pop.coefs) :]
        coefs += [(prefix + r, stem + c) for r, c in zip(names, pop.coefs, strict=True)]
        if family.aux:
            key = f"{family.aux_key}{pop.where.suffix}"
            pieces[key], told["prior_aux"][label] = aux_prior(_of(priors.aux, i), unit, family.aux, 5.0)
            last.append((prefix + family.aux, key))
    by_resp = dict(zip((r.resp for r in draft.model.responses), prefixes, strict=True))
    pieces.update(_covariances(draft, priors.covariance, units))
    cov = priors.covariance
    scales = [piece.args[2] for b in draft.model.blocks for piece in pieces[b.params()[0].name]]
    told["prior_covariance"] = {
        "dist": "lkj",
        "regularization": cov.regularization,
        "scale": cov.scale,
        "df": cov.df,
        "autoscale": cov.autoscale,
    }
    told["prior_covariance"]["adjusted_scale"] = np.array(scales) if cov.autoscale else None
    groups = tuple(group_names(b, by_resp, draft.record.frame) for b in draft.model.blocks)
    return Markers(draft, formulas, families, prefixes, pieces, told, (*intercepts, *coefs), tuple(last), groups)


def _covariances(draft: Draft, prior: Lkj, units: Mapping[str, float]) -> dict[str, tuple[Piece, ...]]:
    """Half Student-t laws of standard deviations, LKJ laws of correlations."""
    out: dict[str, tuple[Piece, ...]] = {}
    for block in draft.model.blocks:
        names = [p.name for p in block.params()]
        scales: list[float] = []
        for member in block.members:
            response = next(r for r in draft.model.responses if r.resp == member.where.resp)
            columns = member.columns(response.response.kept(draft.record.frame))
            scales += [prior.scale * (units[member.where.resp] / column_scale(z, "range") if prior.autoscale else 1.0) for z in columns]
        out[names[0]] = tuple(Piece("student_t", (i,), (float(prior.df), 0.0, s)) for i, s in enumerate(scales))
        if block.has_cor:
            out[names[1]] = (Piece("lkj_corr_cholesky", None, (float(prior.regularization),)),)
    return out


@remembered
def stan_mvmer(
    formula: str | Sequence[str],
    data: Any,
    family: Any = "gaussian",
    *,
    prior: Any = _COEF,
    prior_intercept: Any = _INTERCEPT,
    prior_aux: Any = _AUX,
    prior_covariance: Lkj = _COVARIANCE,
    prior_PD: bool = False,
    **sampling: Any,
) -> StanFit:
    """Generalised linear mixed models of several outcomes whose group effects are correlated.

    Parameters
    ----------
    formula
        One formula an outcome, as ``lme4``'s.
    data
        A data frame, or one for each outcome.
    family
        As in ``stan_glm``; one for all outcomes or a list.
    prior, prior_intercept, prior_aux
        A prior for all outcomes, or a list with one for each.
    prior_covariance
        ``lkj()``.
    prior_PD, sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_mvmer(["logBili ~ year + (1 | id)", "albumin ~ year + (year | id)"], brim.load_data("pbcLong"), empty=True)
    >>> fit.variables()[:4]
    ['y1|(Intercept)', 'y2|(Intercept)', 'y1|year', 'y2|year']
    """
    priors = MarkerPriors(prior, prior_intercept, prior_aux, prior_covariance)
    found = build_markers(formula, data, family, priors, "y", sampling, prior_PD)
    names = Names(found.first, found.groups, found.last)
    call = StanCall(
        "stan_mvmer",
        ", ".join(f.text for f in found.families),
        "; ".join(found.formulas),
        names,
        dict(found.told),
        tuple(n for n, _ in found.first),
        tuple(n for n, _ in found.last),
        prefixes=found.prefixes,
        formulas=found.formulas,
    )
    return fitted(found.draft, with_priors(found.draft.model, found.pieces), call)
