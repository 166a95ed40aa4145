"""``re_formula``: which group effects a prediction takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from brim.errors import BrimError, suggest
from brim.language.expand import expand, parse
from brim.language.expand import label as term_label
from brim.model.model import Model
from brim.terms.cs import without_cs
from brim.terms.groups.effect import GroupEffect
from brim.terms.groups.grouping import grouping_label
from brim.terms.groups.member import Term, term_of

__all__ = ["chosen_effects"]


def chosen_effects(model: Model, re_formula: Any) -> tuple[Model, frozenset[str]]:
    """The model whose effects take the wanted terms only, and the keys of those that are left out altogether.

    ``re_formula`` is ``None`` (all effects), ``False`` (none) or a formula such as ``"(1 + f | g)"``, whose terms are compared with those
    of the model: by what they are, not by the coefficients they have.

    Raises
    ------
    BrimError
        The model lacks a term of the formula.
    """
    effects = [e for r in model.responses for e in r.effects()]
    if re_formula is None:
        return model, frozenset()
    if re_formula is False or (isinstance(re_formula, float) and math.isnan(re_formula)):
        return model, frozenset(e.key for e in effects)
    if not isinstance(re_formula, str) or re_formula.strip() in ("NA", "NULL"):
        hint = "None takes all group effects, False none (R's NA), a formula some: '(1 | g)'"
        raise BrimError(f"re_formula = {re_formula!r}", hint=hint)
    wanted = list(_wanted(re_formula))
    for label, term, text in wanted:
        if not any(_same(e.label, label) and term in e.written for e in effects):
            have = [f"({_text(t)} | {e.label})" for e in effects for t in e.written]
            hint = suggest(f"({text} | {label})", have, "effects")
            raise BrimError(f"re_formula: the model has no effect of '{text}' by '{label}'", hint=hint)
    taken = {e.key: frozenset(term for label, term, _ in wanted if _same(e.label, label)) & {*e.written} for e in effects}
    kept: dict[str, GroupEffect] = {e.key: e.keeping(taken[e.key]) for e in effects if taken[e.key] and taken[e.key] != {*e.written}}
    return model.with_effects(kept), frozenset(key for key, terms in taken.items() if not terms)


def _wanted(text: str) -> Iterator[tuple[str, Term, str]]:
    """Label of the group, term, and the term as written, of each group term of a formula."""
    for group in expand(parse(text if "~" in text else f"~ {text}")).groups:
        label = grouping_label(group.by)
        terms = without_cs(group.terms)
        if terms.intercept:
            yield label, frozenset(), "Intercept"
        yield from ((label, term_of(factors), term_label(factors)) for factors in terms.terms)


def _text(term: Term) -> str:
    return ":".join(sorted(term)) or "Intercept"


def _same(label: str, other: str) -> bool:
    """Whether two groups are one: ``a:b`` is ``b:a``."""
    return label == other or (not label.startswith("mm") and sorted(label.split(":")) == sorted(other.split(":")))
