"""Thresholds of ordinal families: how many, under which constraint, for which group of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import jax.numpy as jnp
import numpy as np

from brim.errors import BrimError
from brim.families.base import Dpar, Extra, Family, Seen
from brim.limits import within
from brim.parameters.param import Param, Slot, Where
from brim.parameters.reported import FAMILY, INTERCEPT, Reported

__all__ = ["ThresholdBinding", "Thresholds"]

_KINDS = ("flexible", "equidistant", "sum_to_zero")
_DEFAULT = "student_t(3, 0, 2.5)"


@final
@dataclass(frozen=True)
class Thresholds(Extra):
    """The thresholds of one ordinal predictor.

    ``flexible``: each its own (ascending for cumulative families). ``equidistant``: ``tau_k = first + (k - 1) delta``.
    ``sum_to_zero``: flexible ones less their mean. They are sampled at the mean of the predictor's columns and reported
    as ``b_Intercept = tau + shift``.

    Attributes
    ----------
    counts
        Number of thresholds, one entry a group.
    groups
        Labels of the groups of ``thres(gr = )``; empty for one common set.
    kind
        ``"flexible" | "equidistant" | "sum_to_zero"``.
    ordered
        Whether they must ascend.
    """

    counts: tuple[int, ...]
    groups: tuple[str, ...] = ()
    kind: str = "flexible"
    ordered: bool = True

    def shared(self, others: tuple[Extra, ...]) -> Thresholds:
        """The same thresholds for all components of a mixture; they ascend where one component's must."""
        given = [e for e in (self, *others) if isinstance(e, Thresholds)]
        if self.kind == "equidistant":
            raise BrimError("equidistant thresholds cannot be those of all components of a mixture", hint="say order='none'")
        if any((e.counts, e.groups, e.kind) != (self.counts, self.groups, self.kind) for e in given):
            raise BrimError("the components of the mixture have different kinds or numbers of thresholds", hint="say order='none'")
        return replace(self, ordered=any(e.ordered for e in given))

    def _names(self, stem: str, where: Where) -> list[str]:
        """Keys of one parameter a group: ``Intercept``, or ``Intercept_1``, ``Intercept_2``, ..."""
        ends = [f"_{i + 1}" for i in range(len(self.groups))] or [""]
        return [f"{stem}{where.suffix}{end}" for end in ends]

    def params(self, where: Where) -> tuple[Param, ...]:
        if self.kind == "equidistant":
            return self._equidistant(where)
        out = []
        for key, count, group in zip(self._names("Intercept", where), self.counts, self.groups or ("",), strict=True):
            slots = tuple(Slot("Intercept", str(k + 1), group, where, _DEFAULT) for k in range(count))
            center = np.linspace(-1.0, 1.0, count) if count > 1 else 0.0
            out.append(Param(key, (count,), slots, space="ordered" if self.ordered and count > 1 else "real", center=center))
        return tuple(out)

    def _equidistant(self, where: Where) -> tuple[Param, ...]:
        out = []
        for first, delta, group in zip(
            self._names("first_Intercept", where), self._names("delta", where), self.groups or ("",), strict=True
        ):
            out.append(Param(first, slots=(Slot("Intercept", "", group, where, _DEFAULT),)))
            out.append(Param(delta, slots=(Slot("delta", "", group, where),), lb=0.0 if self.ordered else None))
        return tuple(out)

    def transform(self, params: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        parts = []
        for i, count in enumerate(self.counts):
            if self.kind == "equidistant":
                first, delta = params[self._names("first_Intercept", where)[i]], params[self._names("delta", where)[i]]
                parts.append(first + delta * jnp.arange(float(count)))
            else:
                tau = params[self._names("Intercept", where)[i]]
                parts.append(tau - jnp.mean(tau) if self.kind == "sum_to_zero" else tau)
        return {f"b_Intercept{where.suffix}": jnp.concatenate(parts) + shift}

    def invert(self, reported: Mapping[str, Any], where: Where, shift: Any = 0.0) -> dict[str, Any]:
        merged, out = reported[f"b_Intercept{where.suffix}"] - shift, {}
        stem = "first_Intercept" if self.kind == "equidistant" else "Intercept"
        ends = np.cumsum(self.counts)
        for key, count, end in zip(self._names(stem, where), self.counts, ends, strict=True):
            part = merged[int(end) - count : int(end)]
            out[key] = part[0] if self.kind == "equidistant" else part
        return out

    def dpars(self, values: Mapping[str, Any], where: Where, data: Mapping[str, Any]) -> dict[str, Dpar]:
        """``thres``: (K,), or (N, K) with ``inf`` where a row's group has fewer."""
        merged = values[f"b_Intercept{where.suffix}"]
        if not self.groups:
            return {"thres": Dpar(merged)}
        starts = np.cumsum((0, *self.counts[:-1]))
        place = np.add.outer(starts, np.arange(max(self.counts)))
        present = np.arange(max(self.counts)) < np.array(self.counts)[:, None]
        table = jnp.where(present, merged[np.where(present, place, 0)], jnp.inf)
        return {"thres": Dpar(table[data["group"]])}

    def reported(self, where: Where) -> tuple[Reported, ...]:
        key = f"b_Intercept{where.suffix}"
        within = [f"{g}," for g in self.groups] or [""]
        labels = [f"{g}{k + 1}" for g, count in zip(within, self.counts, strict=True) for k in range(count)]
        stem = f"b_{where.prefix}Intercept"
        names = np.array([f"{stem}[{label}]" for label in labels], dtype=object)
        dim = f"threshold{where.suffix}"
        out = [Reported(key, names, INTERCEPT, stem, (dim,), {dim: tuple(labels)})]
        if self.kind == "equidistant":
            for delta, group in zip(self._names("delta", where), self.groups or ("",), strict=True):
                name = f"delta{where.suffix}" + (f"[{group}]" if group else "")
                out.append(Reported(delta, np.array(name, dtype=object), FAMILY, name))
        return tuple(out)


@dataclass(frozen=True)
class ThresholdBinding:
    """How an ordinal family counts its thresholds: from ``thres()``, else from the levels, else from the largest response.

    Attributes
    ----------
    ordered
        Whether the thresholds must ascend.
    extra_category
        Whether a category 0 lies below them (hurdle).
    """

    ordered: bool
    extra_category: bool = False

    def __call__(self, family: Family, seen: Seen) -> Family:
        """The family with its thresholds."""
        kind = str(family.options["threshold"])
        if kind not in _KINDS:
            raise BrimError(f"threshold '{kind}' is not one of {', '.join(_KINDS)}")
        below = int(self.extra_category)
        if seen.groups:
            group = np.asarray(seen.group)
            counts = tuple(self._count(family, seen, group == g, label) for g, label in enumerate(seen.groups))
        else:
            counts = (self._count(family, seen, np.ones(len(seen.y), bool), ""),)
        most = max(counts) + 1
        labels = seen.levels if len(seen.levels) == most + below else tuple(str(k) for k in range(1 - below, most + 1))
        thresholds = Thresholds(counts, seen.groups, kind, self.ordered)
        centered = not seen.groups and kind != "sum_to_zero"
        return replace(family, extras=(thresholds,), categories=labels, centered=centered)

    def _count(self, family: Family, seen: Seen, rows: np.ndarray, label: str) -> int:
        """Thresholds of the rows of one group."""
        here = f" in group '{label}'" if label else ""
        if seen.nthres is not None:
            given = np.unique(np.broadcast_to(np.asarray(seen.nthres), rows.shape)[rows])
            if len(given) != 1:
                raise BrimError(
                    f"thres() gives {len(given)} different numbers of thresholds{here}", hint="it must be constant within a group"
                )
            count = within("columns", float(given[0]), "thres()")
        elif seen.levels and not seen.groups:
            count = len(seen.levels) - 1 - int(self.extra_category)
        else:
            count = within("columns", float(np.max(seen.y[rows])), "the response, by its largest category,") - 1
        if count < 1:
            raise BrimError(f"{family.name} needs at least two categories{here}", hint="the response has one: look at the data")
        if int(np.max(seen.y[rows])) > count + 1:
            largest = int(np.max(seen.y[rows]))
            what = f"the response reaches category {largest}{here}, but thres() gives {count} thresholds"
            raise BrimError(what, hint=f"there are {largest - 1} thresholds between {largest} categories: thres({largest - 1})")
        return count
