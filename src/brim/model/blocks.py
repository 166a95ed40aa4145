"""Group terms of all predictors gathered into blocks of correlated effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brim.frames.frame import Frame
from brim.language.expand import Call, Group, Name, Node, Terms, deparse, fault, special
from brim.model.plan import ResponsePlan
from brim.parameters.param import Where
from brim.terms.cs import check_taken, without_cs
from brim.terms.groups.group import GroupBlock
from brim.terms.groups.grouping import mmc_column, parse_grouping
from brim.terms.groups.member import Member
from brim.terms.special.products import stand_in

__all__ = ["gather_blocks"]


@dataclass(frozen=True)
class _Piece:
    """A group term of one predictor on its way into a block."""

    plan: ResponsePlan
    where: Where
    group: Group
    scale: float
    cmc: bool


def gather_blocks(plans: list[ResponsePlan], scales: Mapping[str, float], frame: Frame, data2: Mapping[str, Any]) -> tuple[GroupBlock, ...]:
    """Learned blocks: terms that share an ID in one, every other term its own; sorted by group as in brms.

    ``scales`` holds, by response, the scale of brms' default prior for standard deviations.
    """
    pieces: dict[Any, list[_Piece]] = {}
    for plan in plans:
        for part in plan.as_written():
            for i, group in enumerate(part.terms.groups if part.terms else ()):
                shared = _shared(group, data2)
                key = ("id", shared) if shared else (part.where, i)
                pieces.setdefault(key, []).append(_Piece(plan, part.where, group, scales[plan.resp], part.formula.cmc))
    blocks = [_block(group, frame, data2) for group in pieces.values()]
    blocks.sort(key=lambda b: b.grouping.label)
    labels = [b.grouping.label for b in blocks]
    out = tuple(
        replace(b, index=i + 1, grouping=replace(b.grouping, only=labels.count(b.grouping.label) == 1)) for i, b in enumerate(blocks)
    )
    _check_unique(out)
    return out


def _shared(group: Group, data2: Mapping[str, Any]) -> str:
    """What terms that are correlated with each other share: ``A`` of ``(1 | A | g)`` or of ``(1 | gr(g, id = "A"))``."""
    grouping = parse_grouping(group.by, data2)
    if group.id and grouping.id and group.id != grouping.id:
        raise grouping.error(f"the term has two IDs, '{group.id}' and '{grouping.id}'", "leave one of them out")
    return group.id or grouping.id


def _block(pieces: list[_Piece], frame: Frame, data2: Mapping[str, Any]) -> GroupBlock:
    groupings = [parse_grouping(p.group.by, data2) for p in pieces]
    first = groupings[0]
    for g in groupings[1:]:
        if g != first:
            raise g.error(
                f"terms with the same ID have different groupings: '{first.label}' and '{g.label}'",
                "give them the same grouping, or other IDs",
            )
    members = tuple(_member(p) for p in pieces)
    correlated = first.correlated and all(p.group.correlated for p in pieces)
    block = GroupBlock(0, first, members, correlated, tuple(f"student_t(3, 0, {p.scale:g})" for p in pieces))
    one_response = len({p.plan.resp for p in pieces}) == 1
    return block.learn(pieces[0].plan.rows(frame) if one_response else frame)


def _member(piece: _Piece) -> Member:
    """The coefficients of a group term by kind: plain ones, those of special effects, those of each category."""
    terms = piece.group.terms
    entries = {f: entry for t in terms.terms for f in t if (entry := special(f)) is not None}
    kinds = {f: entry.kind for f, entry in entries.items()}
    if "cs" in kinds.values():
        return _category_specific(piece, kinds)
    mm = isinstance(piece.group.by, Call) and piece.group.by.fn == "mm"
    for factor, kind in kinds.items():
        if not entries[factor].factor and not (kind == "mmc" and mm):
            by_group = {
                "smooth": "s(x, g, bs = 'fs') is a curve for each level of g",
                "gp": "gp(x, by = g) is a process for each level of g",
            }
            raise fault(factor, f"{deparse(factor)} cannot vary by group", by_group.get(kind, "it stands outside of the group term"))
    effects = tuple(t for t in terms.terms if any(f in entries and entries[f].factor for f in t))
    plain = replace(terms, terms=tuple(tuple(_column(f) for f in t) for t in terms.terms if t not in effects))
    mmc = tuple(f for f, kind in kinds.items() if kind == "mmc" and isinstance(f, Call))
    if not effects:
        return Member(plain, piece.where, mmc, cmc=piece.cmc)
    stand_ins = tuple(tuple(stand_in(f) for f in t) for t in effects)
    return Member(plain, piece.where, mmc, Terms(True, stand_ins, (), terms.node), cmc=piece.cmc)


def _column(node: Node) -> Node:
    """``mmc()`` as the column of its name."""
    return Name(mmc_column(node), source=node.source, span=node.span) if isinstance(node, Call) and node.fn == "mmc" else node


def _category_specific(piece: _Piece, kinds: Mapping[Node, str]) -> Member:
    """``(cs(x) | g)``: what ``cs()`` holds says whether there is an intercept."""
    terms, family = piece.group.terms, piece.plan.family
    calls = [t[0] for t in terms.terms if len(t) == 1 and kinds.get(t[0]) == "cs"]
    if len(calls) < len(terms.terms):
        raise fault(piece.group.node, "category-specific and other effects in one group term", "write them as two: (cs(x) | g) + (z | h)")
    check_taken(calls[0], family.name, family.additions)
    return Member(without_cs(terms), piece.where, nthres=len(family.categories) - 1, cmc=piece.cmc)


def _check_unique(blocks: tuple[GroupBlock, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for b in blocks:
        for label in b.labels:
            if (b.grouping.label, label) in seen:
                raise b.grouping.error(f"the effect of '{label}' varies by '{b.grouping.label}' twice", "leave one of the terms out")
            seen.add((b.grouping.label, label))
