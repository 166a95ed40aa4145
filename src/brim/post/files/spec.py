"""What a fit was asked for, as JSON and back: formula, family, priors, settings. Text and numbers only, nothing that runs when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import numpy as np

from brim.errors import BrimError
from brim.families import family, mixture
from brim.families.base import Family
from brim.families.links import LINKS
from brim.families.registry import CONSTRUCTORS
from brim.fit.record import FitRecord, Request, Settings
from brim.language.brms import Formula, MvFormula, Predictor
from brim.language.expand import Node, deparse, parse
from brim.parameters.prior import PriorRow, Priors

__all__ = ["formula_from", "plain", "priors_from", "request", "request_from", "resolve_family"]

#: Fields of a ``Predictor`` besides its name and its formula.
_FLAGS = tuple(f.name for f in fields(Predictor) if f.name not in ("par", "node"))


def request(fit: FitRecord) -> dict[str, Any]:
    """Everything besides data that determines the model and its draws: two fits are the same if these and their data are."""
    return {
        "formula": [_formula(f) for f in fit.formula.formulas],
        "rescor": fit.formula.rescor,
        "multivariate": isinstance(fit.formula, MvFormula),
        "family": _family(fit.family),
        "priors": [asdict(row) for row in fit.priors],
        "settings": plain(asdict(fit.settings)),
    }


def request_from(spec: Mapping[str, Any], data2: Mapping[str, Any], data_name: str, custom: Any = None) -> Request:
    """What a fit was asked for, from its ``request``; ``custom`` as in ``resolve_family``."""
    formula, found = formula_from(spec, custom), resolve_family(spec["family"], custom)
    return Request(formula, found, priors_from(spec), data2, Settings.read(**spec["settings"]), data_name)


# --------------------------------------------------------------------------- formulas


def _formula(f: Formula) -> dict[str, Any]:
    def text(node: Node | None) -> str | None:
        return None if node is None else deparse(node)

    return {
        "main": _predictor(f.main),
        "predictors": [_predictor(p) for p in f.predictors],
        "fixed": [list(pair) for pair in f.fixed],
        "family": None if f.family is None else _family(f.family),
        "autocor": text(f.autocor),
        "unused": text(f.unused),
        "mecor": f.mecor,
    }


def _predictor(p: Predictor) -> dict[str, Any]:
    return {"par": p.par, "formula": deparse(p.node), **{name: getattr(p, name) for name in _FLAGS}}


def formula_from(spec: Mapping[str, Any], custom: Family | None = None) -> Formula | MvFormula:
    """The formula object of a ``request``; ``custom`` as in ``resolve_family``."""
    formulas = tuple(_formula_from(f, custom) for f in spec["formula"])
    return MvFormula(formulas, spec["rescor"]) if spec["multivariate"] else formulas[0]


def _formula_from(f: Mapping[str, Any], custom: Family | None) -> Formula:
    def node(text: str | None) -> Node | None:
        return None if text is None else parse(text)

    return Formula(
        _predictor_from(f["main"]),
        tuple(_predictor_from(p) for p in f["predictors"]),
        tuple((par, value) for par, value in f["fixed"]),
        None if f["family"] is None else resolve_family(f["family"], custom),
        node(f["autocor"]),
        node(f["unused"]),
        f["mecor"],
    )


def _predictor_from(p: Mapping[str, Any]) -> Predictor:
    return Predictor(p["par"], parse(p["formula"]), **{name: p[name] for name in _FLAGS})


# --------------------------------------------------------------------------- families and priors


def _family(given: Any) -> dict[str, Any]:
    """A family by its name, links and options; a mixture by its components."""
    found = family(given)
    own = {"name": found.name, "links": dict(found.links), "options": plain(dict(found.options))}
    return {**own, "components": [_family(c) for c in found.components]} if found.components else own


def resolve_family(spec: Mapping[str, Any], custom: Family | None = None) -> Family:
    """The family that ``request`` described.

    ``custom`` is the family of that name made by ``custom_family()``, whose functions no file holds.
    """
    if spec.get("components"):
        return mixture(*(resolve_family(c, custom) for c in spec["components"]), **spec["options"])
    if spec["name"] in CONSTRUCTORS:
        found = family(spec["name"], **spec["options"])
        if found.links.keys() != spec["links"].keys() or not all(link in LINKS for link in spec["links"].values()):
            raise BrimError(f"the file gives the family '{found.name}' links that it does not have: {spec['links']}")
        return replace(found, links=spec["links"])
    if custom is None or custom.name != spec["name"]:
        raise BrimError(f"the fit's family '{spec['name']}' is a custom one", hint="give it: load(path, family=custom_family(...))")
    return custom


def priors_from(spec: Mapping[str, Any]) -> Priors:
    """The user's priors of a ``request``."""
    return Priors(tuple(PriorRow(**row) for row in spec["priors"]))


# --------------------------------------------------------------------------- JSON


def plain(value: Any) -> Any:
    """A value made of what JSON holds; arrays become lists, records dicts.

    Raises
    ------
    BrimError
        For what has no such form, a function for instance.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    raise BrimError(f"a {type(value).__name__} cannot be saved to a file", hint="save what it was made from, and fit again")
