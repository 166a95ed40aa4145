"""Group terms of all predictors gathered into blocks of correlated effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brim.errors import BrimError
from brim.formula import Call, Group, Name, Node, Terms, deparse, special
from brim.frame import Frame
from brim.param import Where
from brim.plan import Plan
from brim.terms.group import GroupBlock, Member
from brim.terms.grouping import mmc_column, parse_grouping

__all__ = ["gather_blocks"]


@dataclass(frozen=True)
class _Piece:
    """A group term of one predictor on its way into a block."""

    plan: Plan
    where: Where
    group: Group
    scale: float


def gather_blocks(plans: list[Plan], scales: Mapping[str, float], frame: Frame, data2: Mapping[str, Any]) -> tuple[GroupBlock, ...]:
    """Learned blocks: terms that share an ID in one, every other term its own; sorted by group as in brms.

    ``scales`` holds, by response, the scale of brms' default prior for standard deviations.
    """
    pieces: dict[Any, list[_Piece]] = {}
    for plan in plans:
        for part in plan.parts:
            for i, group in enumerate(part.terms.groups if part.terms else ()):
                key = ("id", group.id) if group.id else (part.where, i)
                pieces.setdefault(key, []).append(_Piece(plan, part.where, group, scales[plan.resp]))
    blocks = [_block(group, frame, data2) for group in pieces.values()]
    blocks.sort(key=lambda b: b.grouping.label)
    labels = [b.grouping.label for b in blocks]
    out = tuple(replace(b, index=i + 1, grouping=replace(b.grouping, only=labels.count(b.grouping.label) == 1)) for i, b in enumerate(blocks))
    _check_unique(out)
    return out


def _block(pieces: list[_Piece], frame: Frame, data2: Mapping[str, Any]) -> GroupBlock:
    groupings = [parse_grouping(p.group.by, data2) for p in pieces]
    first = groupings[0]
    for g in groupings[1:]:
        if g != first:
            raise g.error(f"terms with the same ID have different groupings: '{first.label}' and '{g.label}'", "give them the same grouping, or other IDs")
    for p in pieces:
        _check_group_terms(p.group)
    members = tuple(Member(*_without_mmc(p.group.terms, p.where)) for p in pieces)
    correlated = first.correlated and all(p.group.correlated for p in pieces)
    block = GroupBlock(0, first, members, correlated, tuple(f"student_t(3, 0, {p.scale:g})" for p in pieces))
    one_response = len({p.plan.resp for p in pieces}) == 1
    return block.learn(pieces[0].plan.rows(frame) if one_response else frame)


def _without_mmc(terms: Terms, where: Where) -> tuple[Terms, Where, tuple[Call, ...]]:
    """Terms with each ``mmc()`` replaced by the column of its name; the calls."""
    calls = tuple(f for t in terms.terms for f in t if isinstance(f, Call) and f.fn == "mmc")
    if not calls:
        return terms, where, ()

    def column(node: Node) -> Node:
        return Name(mmc_column(node), source=node.source, span=node.span) if isinstance(node, Call) and node.fn == "mmc" else node

    return replace(terms, terms=tuple(tuple(column(f) for f in t) for t in terms.terms)), where, calls


def _check_group_terms(group: Group) -> None:
    mm = isinstance(group.by, Call) and group.by.fn == "mm"
    for term in group.terms.terms:
        for factor in term:
            kind = special(factor)
            if kind is not None and not (kind.kind == "mmc" and mm):
                raise BrimError(f"{deparse(factor)} in a group term is not built yet", source=factor.source or None, span=factor.span)


def _check_unique(blocks: tuple[GroupBlock, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for b in blocks:
        for label in b.labels:
            if (b.grouping.label, label) in seen:
                raise b.grouping.error(f"the effect of '{label}' varies by '{b.grouping.label}' twice", "leave one of the terms out")
            seen.add((b.grouping.label, label))
