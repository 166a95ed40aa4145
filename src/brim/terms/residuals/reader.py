"""Residual structures: which term ``ar()``, ``cosy()``, ``car()``, ``strata()``, ... become, and which of them may stand together."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from brim.language.expand import Call, Node, deparse, fault
from brim.terms.base import AbstractTerm, Context, Read
from brim.terms.residuals.law import NATURAL
from brim.terms.residuals.series import flag

__all__ = ["read"]

#: What each function structures; a predictor has at most one of each.
_KINDS = {
    **dict.fromkeys(("ar", "ma", "arma", "cosy", "unstr"), "a time series"),
    "fcor": "a known covariance",
    "sar": "a spatial autoregression",
    "car": "a conditional autoregression",
    "strata": "a conditional likelihood",
}


def read(terms: tuple[tuple[Node, ...], ...], context: Context) -> Read:
    """The residual structures of a predictor, which must be that of ``mu`` unless they are effects of places.

    Raises
    ------
    BrimError
        A structure in another predictor, in an interaction, or two that exclude each other.
    """
    seen: dict[str, Call] = {}
    out: list[AbstractTerm] = []
    laws: list[tuple[Call, Any]] = []
    for term in terms:
        call = next(f for f in term if isinstance(f, Call) and f.fn in _KINDS)
        _check_place(call, len(term), context)
        other = seen.setdefault(_KINDS[call.fn], call)
        if other is not call:
            raise fault(call, f"{deparse(call)} and {deparse(other)} both are {_KINDS[call.fn]}", "use arma() for ar() and ma() together")
        one = _reader(call, context)(call, context)
        out += one.terms
        laws += [(call, one.residual)] if one.residual is not None else []
    if len(laws) > 1:
        raise fault(laws[1][0], f"{deparse(laws[0][0])} and {deparse(laws[1][0])} both are joint laws of the rows: there can be one")
    return Read(tuple(out), residual=laws[0][1] if laws else None)


def _check_place(call: Call, factors: int, context: Context) -> None:
    if factors > 1:
        raise fault(call, f"{deparse(call)} cannot stand in an interaction")
    if call.fn != "car" and (context.where.dpar or context.where.nlpar):  # places are latent effects, which any predictor may have
        raise fault(call, f"{deparse(call)} structures the residuals: it stands in the formula of mu", "move it to the main formula")


def _reader(call: Call, context: Context) -> Callable[[Call, Context], Read]:
    """Residuals of the response where the family has some, else latent ones in the predictor."""
    natural = context.family in NATURAL
    if call.fn in ("car", "strata"):
        module = call.fn
    elif call.fn in ("sar", "fcor"):
        if not natural:
            raise fault(call, f"{deparse(call)} needs a gaussian or student response, not {context.family}")
        module = call.fn
    elif not natural:
        module = "in_predictor"
    else:
        lagged = call.fn in ("ar", "ma", "arma") and not flag(call, "cov")
        module = "arma" if lagged else "covariance"
    found: Callable[[Call, Context], Read] = import_module(f"brim.terms.residuals.{module}").read
    return found
