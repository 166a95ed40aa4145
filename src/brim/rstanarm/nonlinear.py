"""``stan_nlmer``: nonlinear mixed models of R's self-starting curves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.frames.frame import Frame
from brim.language.brms import bf
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, parse
from brim.parameters.param import Piece
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import Draft, covariance_priors, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.call import Call as StanCall
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import aux_prior
from brim.rstanarm.language import read_family
from brim.rstanarm.names import GroupNames, Names, group_names
from brim.rstanarm.priors import Decov, Prior, default_prior_coef, exponential
from brim.rstanarm.scales import scaled

__all__ = ["CURVES", "stan_nlmer"]

_COEF, _AUX, _DECOV = default_prior_coef(), exponential(autoscale=True), Decov()

#: R's self-starting curves: names of the parameters, after the input, and the curve.
CURVES = {
    "SSlogis": (("Asym", "xmid", "scal"), "Asym / (1 + exp((xmid - input) / scal))"),
    "SSfpl": (("A", "B", "xmid", "scal"), "A + (B - A) / (1 + exp((xmid - input) / scal))"),
    "SSasymp": (("Asym", "R0", "lrc"), "Asym + (R0 - Asym) * exp(-exp(lrc) * input)"),
    "SSasympOff": (("Asym", "lrc", "c0"), "Asym * (1 - exp(-exp(lrc) * (input - c0)))"),
    "SSasympOrig": (("Asym", "lrc"), "Asym * (1 - exp(-exp(lrc) * input))"),
    "SSbiexp": (("A1", "lrc1", "A2", "lrc2"), "A1 * exp(-exp(lrc1) * input) + A2 * exp(-exp(lrc2) * input)"),
    "SSgompertz": (("Asym", "b2", "b3"), "Asym * exp(-b2 * b3^input)"),
    "SSmicmen": (("Vm", "K"), "Vm * input / (K + input)"),
    "SSweibull": (("Asym", "Drop", "lrc", "pwr"), "Asym - Drop * exp(-exp(lrc) * input^pwr)"),
}


@remembered
def stan_nlmer(
    formula: str,
    data: Any,
    *,
    prior: Prior | None = _COEF,
    prior_aux: Prior | None = _AUX,
    prior_covariance: Decov = _DECOV,
    prior_PD: bool = False,
    **sampling: Any,
) -> StanFit:
    """A nonlinear mixed model, ``y ~ curve(input, parameters) ~ parameters that vary | group``.

    Parameters
    ----------
    formula
        As ``lme4``'s ``nlmer``, with one of R's self-starting curves: ``"y ~ SSlogis(x, Asym, xmid, scal) ~ Asym | g"``.
    prior
        Of the parameters' means; the default is scaled by ``sd(y)`` over the sd of a parameter's column in the stacked design.
    data, prior_aux, prior_covariance, prior_PD, sampling
        As in ``stan_glmer``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", brim.load_data("orange"), empty=True)
    >>> fit.variables()[:3]
    ['Asym', 'xmid', 'scal']
    """
    response, curve, random = _parts(formula)
    names, expression = _curve(curve, formula)
    varying = _varying(random, names, formula)
    predictors = [f"{name} ~ 1" + "".join(f" + (1 | {tag} | {group})" for tag, group in varying.get(name, ())) for name in names]
    family = read_family("gaussian")
    draft = Draft.build(bf(f"{deparse(response)} ~ {expression}", *predictors, nl=True), data, family.family, sampling, prior_PD)
    unit = float(np.std(draft.y(), ddof=1))
    # every parameter is a column of ones in its share of the stacked rows
    stacked = np.repeat(np.eye(len(names)), len(draft.y()), axis=0)
    own = scaled(prior, stacked, "identity", unit)
    pieces: dict[str, tuple[Piece, ...]] = {}
    for name, piece in zip(names, pieces_of(own) or (None,) * len(names), strict=True):
        pieces[population(draft.model, dpar=name).key] = () if piece is None else (replace(piece, index=None),)
    pieces["sigma"], aux = aux_prior(prior_aux, unit, "sigma")
    found, terms = covariance_priors(draft.model, prior_covariance, "sigma")
    groups = tuple(_group(b, draft.record.frame) for b in draft.model.blocks)
    told = {
        "prior": describe(own),
        "prior_intercept": None,
        "prior_aux": aux,
        "prior_covariance": {"dist": "decov", **prior_covariance.__dict__},
    }
    call = StanCall(
        "stan_nlmer",
        f"gaussian [inv_{curve.fn}]",
        formula,
        Names(tuple((n, f"b_{n}_Intercept") for n in names), groups, (("sigma", "sigma"),)),
        told,
        names,
        ("sigma",),
    )
    return fitted(draft, with_priors(draft.model, {**pieces, **found}, terms), call)


def _group(block: Any, frame: Frame) -> GroupNames:
    """A grouping factor's names: the effects are those of parameters."""
    names: GroupNames = group_names(block, {}, frame)
    return replace(names, coefs=tuple(m.where.nlpar for m in block.members))


def _parts(formula: str) -> tuple[Node, Call, Node]:
    """Response, curve, and the random part."""
    parts = formula.split("~")
    curve = parse(parts[1].strip()) if len(parts) == 3 else None
    if not isinstance(curve, Call):
        raise BrimError("stan_nlmer() takes y ~ curve(x, parameters) ~ parameters | group", source=formula)
    return parse(parts[0].strip()), curve, parse(parts[2].strip())


def _curve(curve: Call, source: str) -> tuple[tuple[str, ...], str]:
    """The parameters as the user calls them, and the curve in their words."""
    if curve.fn not in CURVES:
        raise BrimError(f"'{curve.fn}' is no curve that is known", source=source, span=curve.span, hint=suggest(curve.fn, CURVES, "curves"))
    known, expression = CURVES[curve.fn]
    given = tuple(deparse(a) for a in curve.args)
    if len(given) != len(known) + 1:
        raise BrimError(f"{curve.fn}() takes the input and {', '.join(known)}", source=source, span=curve.span)
    own = dict(zip(("input", *known), given, strict=True))
    return given[1:], deparse(_renamed(parse(expression), own))


def _renamed(node: Node, names: dict[str, str]) -> Node:
    match node:
        case Name(name) if name in names:
            return Paren(parse(names[name]))
        case Binary(op, left, right):
            return Binary(op, _renamed(left, names), _renamed(right, names))
        case Paren(inner):
            return Paren(_renamed(inner, names))
        case Call(fn, args, kwargs):
            return Call(fn, tuple(_renamed(a, names) for a in args), kwargs)
        case Unary(op, operand):
            return Unary(op, _renamed(operand, names))
    return node


def _varying(random: Node, names: tuple[str, ...], source: str) -> dict[str, list[tuple[str, str]]]:
    """Parameter -> the groupings that it varies by, with a name that parameters of one term share."""
    out: dict[str, list[tuple[str, str]]] = {}
    for i, bar in enumerate(_bars(random, source)):
        group = deparse(bar.right)
        for part in _summands(bar.left):
            name = deparse(part)
            if name not in names:
                raise BrimError(f"'{name}' is no parameter of the curve", source=source, hint=suggest(name, names, "parameters"))
            out.setdefault(name, []).append((f"id{i}", group))
    return out


def _bars(node: Node, source: str) -> list[Binary]:
    match node:
        case Paren(inner):
            return _bars(inner, source)
        case Binary("|", _, _):
            return [node]
        case Binary("+", left, right):
            return [*_bars(left, source), *_bars(right, source)]
    raise BrimError("the last part says which parameters vary: Asym | group", source=source)


def _summands(node: Node) -> list[Node]:
    match node:
        case Binary("+", left, right):
            return [*_summands(left), *_summands(right)]
        case Paren(inner):
            return _summands(inner)
    return [node]
