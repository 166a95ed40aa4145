"""Formulas that can be fitted but are hardly what was meant: numbers read as text, groups and effects in each other's place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from brim.design.functions import spells_number
from brim.errors import warn
from brim.frames.columns import Factor, Numeric
from brim.frames.frame import Frame
from brim.language.expand import Call, Group, Name, Node, deparse
from brim.model.plan import ResponsePlan

__all__ = ["warn_of_doubtful_columns"]

_MANY = 10  # levels that nobody means to have one coefficient each


def warn_of_doubtful_columns(plans: Iterable[ResponsePlan], frame: Frame) -> None:
    """A warning for each text column that spells numbers or has a level for almost every row, and for each group term the wrong way round.

    ``factor(x)`` says that levels are meant, and is not warned of.
    """
    for message in dict.fromkeys(text for plan in plans for text in _doubts(plan, plan.rows(frame))):
        warn(message)


def _doubts(plan: ResponsePlan, frame: Frame) -> Iterator[str]:
    for terms in (part.terms for part in plan.parts if part.terms is not None):
        groups = [g.terms.terms for g in terms.groups]
        for name in dict.fromkeys(f.name for t in (*terms.terms, *(t for g in groups for t in g)) for f in t if isinstance(f, Name)):
            yield from _text(name, frame)
        for group in terms.groups:
            if not any(True for t in group.terms.terms for f in t if isinstance(f, Name) for _ in _text(f.name, frame)):
                yield from _swapped(group, frame)


def _text(name: str, frame: Frame) -> Iterator[str]:
    """Text with many levels."""
    if name not in frame:
        return
    column = frame[name]
    if not (isinstance(column, Factor) and column.text):
        return
    levels = column.levels_used
    other = [level for level in levels if not spells_number(level)]
    if len(levels) < _MANY or not (len(other) <= 0.2 * len(levels) or len(levels) > 0.5 * frame.total):
        return
    if len(other) <= 0.2 * len(levels):
        rest = f", all but {', '.join(repr(v) for v in other[:3])}{', ...' if len(other) > 3 else ''}" if other else ""
        what, how = (
            f"numbers as text{rest}",
            "make the column numeric (pandas.to_numeric(..., errors='coerce')), or write as.numeric({0}) in the formula",
        )
    else:
        what, how = f"text that differs in almost every row ({len(levels)} values in {frame.total} rows)", "as a grouping factor: (1 | {0})"
    yield (
        f"column '{name}' holds {what}: it gets a coefficient for each of its {len(levels)} levels but one\n"
        f"{how.format(name)}; where levels are meant, factor({name}) says so"
    )


def _swapped(group: Group, frame: Frame) -> Iterator[str]:
    """A group that looks like a variable: measurements, or fewer levels than a factor that varies by it has."""
    by = group.by.args[0] if isinstance(group.by, Call) and group.by.fn == "gr" and group.by.args else group.by
    if not isinstance(by, Name) or by.name not in frame:
        return
    column = frame[by.name]
    left = [f for t in group.terms.terms if len(t) == 1 for f in t if isinstance(f, Name) and f.name in frame]
    if not left:
        return
    n_levels = len(column.as_factor().levels_used)
    measured = isinstance(column, Numeric) and bool(np.any(column.values != np.round(column.values))) and n_levels > 0.5 * frame.total
    wide = next((f for f in left if isinstance(frame[f.name], Factor) and len(frame[f.name].as_factor().levels_used) > n_levels), None)
    if measured and n_levels >= _MANY:
        yield _which_way(group, left[0], by, f"'{by.name}', right of the bar, holds measurements: {n_levels} values in {frame.total} rows")
    elif wide is not None:
        count = len(frame[wide.name].as_factor().levels_used)
        yield _which_way(group, wide, by, f"{count} effects of '{wide.name}' vary by '{by.name}', which has {n_levels} levels")


def _which_way(group: Group, left: Node, by: Node, what: str) -> str:
    written, turned = f"({deparse(group.terms.node)} | {deparse(group.by)})", f"({deparse(by)} | {deparse(left)})"
    return f"{written}: {what}\neffects stand left of the bar, groups right of it: did you mean {turned}?"
