"""The rows at which effects are evaluated: values of the variables, conditions, one table of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.frames.frame import Column, Factor, Frame, Logical, Numeric
from brim.post.effects.variables import Effect, Variable, Variables

__all__ = ["Grid", "GridSettings", "grid", "held_text", "read_conditions", "stack"]


@dataclass(frozen=True)
class Grid:
    """The rows at which one effect is evaluated.

    Attributes
    ----------
    effect
        Its variables; the first is the x axis.
    columns
        A value of every variable for each row: the rows of the first condition, then those of the second, ...
    condition
        Index of each row's condition.
    labels
        Labels of chosen values of a numeric second variable, in their order, if the user named them.
    """

    effect: Effect
    columns: Mapping[str, Column] = field(repr=False)
    condition: np.ndarray = field(repr=False)
    labels: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.condition)

    def take(self, rows: np.ndarray) -> Grid:
        """Some of the rows."""
        return replace(self, columns={k: c.take(rows) for k, c in self.columns.items()}, condition=self.condition[rows])


@dataclass(frozen=True)
class GridSettings:
    """What all effects of a call share.

    Attributes
    ----------
    conditions, labels
        The conditions' columns and their labels.
    chosen
        ``int_conditions``.
    surface, resolution
        As given.
    groups
        Whether group effects are part of the predictions.
    """

    conditions: Mapping[str, Column]
    labels: tuple[str, ...]
    chosen: Mapping[str, Any]
    surface: bool
    resolution: int
    groups: bool


def read_conditions(given: Any, known: Variables, re: bool) -> tuple[dict[str, Column], tuple[str, ...]]:
    """The conditions as columns of the training columns' kinds, with a label each; one without content if none are given."""
    if given is None:
        return {}, ("1",)
    frame = Frame.read(given)
    names = [name for name in frame.names if name != "cond__"]
    options = [*known.known, *known.groups]
    for name in names:
        if name not in options:
            raise BrimError(f"conditions: the model has no variable '{name}'", hint=suggest(name, options, "variables"))
        if name not in known.known and not re:
            raise BrimError(f"conditions: '{name}' only groups, and group effects are left out", hint="say re_formula=None to include them")
    columns = {name: known[name].like(frame[name]) for name in names}
    if "cond__" in frame:
        labels = [str(v) for v in frame["cond__"].as_factor().labels]
    else:
        texts = [_texts(columns[name]) for name in names]
        labels = [", ".join(f"{name} = {text[i]}" for name, text in zip(names, texts, strict=True)) for i in range(frame.n)]
    if len(set(labels)) < len(labels):
        raise BrimError("two conditions are the same", hint="conditions must differ, and so must their labels in cond__")
    return columns, tuple(labels)


def _texts(column: Column) -> list[str]:
    """Values as they stand in titles and legends."""
    if isinstance(column, Numeric):
        return [f"{v:.4g}" for v in column.values]
    return [str(label) for label in column.as_factor().labels]


def grid(effect: Effect, known: Variables, settings: GridSettings) -> Grid:
    """The rows of one effect: all combinations of its variables' values, the first varying slowest, under each condition."""
    surface, resolution, conditions = settings.surface, settings.resolution, settings.conditions
    first, labels = _chosen(known[effect[0]], settings.chosen, lambda v: v.across(resolution))
    columns = {effect[0]: first}
    if len(effect) == 2:
        second, labels = _chosen(known[effect[1]], settings.chosen, lambda v: v.across(resolution) if surface else v.few())
        left, right = np.repeat(np.arange(first.n), second.n), np.tile(np.arange(second.n), first.n)
        columns = {effect[0]: first.take(left), effect[1]: second.take(right)}
    inner, n = columns[effect[0]].n, len(settings.labels)
    row, condition = np.tile(np.arange(inner), n), np.repeat(np.arange(n), inner)
    out = {name: column.take(row) for name, column in columns.items()}
    for name, variable in known.known.items():
        if name not in out:
            out[name] = conditions[name].take(condition) if name in conditions else variable.held().take(np.zeros(len(row), int))
    for name, variable in known.groups.items() if settings.groups else ():
        if name not in out:
            new = _new_level(variable, len(row), out.get(known.by.get(name, "")))
            out[name] = conditions[name].take(condition) if name in conditions else new
    return Grid(effect, out, condition, labels if len(effect) == 2 else ())


def held_text(g: Grid, known: Variables, settings: GridSettings) -> str:
    """What the variables that an effect does not vary are held at; conditions that differ stand in the titles of their panels.

    Of numbers it says whether the value is the mean, the median or one that was asked for; whether group effects are there.
    """
    several = len(settings.labels) > 1
    parts = []
    for name, column in g.columns.items():
        if name in g.effect or (name in settings.conditions and several):
            continue
        if name in known.groups and name not in known.known and name not in settings.conditions:
            parts.append(f"{name}: a new level")
            continue
        chosen = "" if name in settings.conditions else {"numeric": " (mean)", "integer": " (median)"}.get(known[name].kind, "")
        value = _texts(column.take(np.zeros(1, int)))[0]
        parts.append(f"{name} = {value}{chosen}")
    said = [f"held at {', '.join(parts)}"] * bool(parts) + ["without group effects"] * bool(known.groups and not settings.groups)
    text = "; ".join(said)
    return text[:1].upper() + text[1:]


def _chosen(variable: Variable, chosen: Mapping[str, Any], default: Callable[[Variable], Column]) -> tuple[Column, tuple[str, ...]]:
    """The values that the user chose for a variable, with their labels if they have some, or its own."""
    if variable.name not in chosen:
        return default(variable), ()
    values = chosen[variable.name]
    if callable(values):
        values = values(variable.numbers if variable.kind != "factor" else variable.column.as_factor().labels)
    labels = tuple(str(k) for k in values) if isinstance(values, Mapping) else ()
    return variable.read(list(values.values()) if isinstance(values, Mapping) else values), labels


def _new_level(variable: Variable, n: int, by: Column | None) -> Column:
    """A group that is not in the data; one for each level of the variable by which groups differ."""
    taken, name = set(variable.column.as_factor().levels), "new"
    while any(level.startswith(name) for level in taken):
        name += "_"
    if by is None:
        return Factor(np.zeros(n, np.int32), (name,))
    factor = by.as_factor()
    return Factor(factor.codes, tuple(f"{name} {level}" for level in factor.levels))


def stack(grids: Sequence[Grid]) -> Frame:
    """The rows of all grids, one below the other: everything is predicted in one go."""
    names = list(dict.fromkeys(name for g in grids for name in g.columns))
    return Frame.of({name: _joined([g.columns[name] for g in grids]) for name in names})


def _joined(columns: Sequence[Column]) -> Column:
    if all(isinstance(c, Numeric) for c in columns):
        return Numeric(np.concatenate([c.numbers for c in columns]))
    if all(isinstance(c, Logical) for c in columns):
        return Logical(np.concatenate([np.asarray(c.numbers) == 1 for c in columns]))
    factors = [c.as_factor() for c in columns]
    levels = tuple(dict.fromkeys(level for f in factors for level in f.levels))
    return Factor(np.concatenate([f.recode(levels).codes for f in factors]), levels, all(f.ordered for f in factors))
