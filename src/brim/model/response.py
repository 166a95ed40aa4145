"""The left-hand side: the response, its addition terms, and the pointwise log likelihood they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.expressions import INTERCEPTS, Expression, usable
from brim.design.functions import is_column, spell_numbers
from brim.distributions import observe
from brim.errors import BrimError, suggest
from brim.families.base import Family, Seen
from brim.families.kinds import Kind
from brim.frames.columns import HOW_TO_ORDER, Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame
from brim.language.expand import ADDITIONS, Call, Node, arguments, deparse, fault, variables
from brim.model.additions import CENSORED, Addition, read_addition, used_by
from brim.model.censoring import Known, recoded

__all__ = ["Response"]

#: Kinds of response that take a factor, and those that take a matrix.
#: Additions that only the likelihood reads.
ONLY_WITH_Y = ("weights", "cens", "dec")
#: Additions that give the likelihood no data: which rows there are, which values are estimated, labels of rows.
ELSEWHERE = ("subset", "mi", "index")
#: What entry() does not stand beside, and what to write instead.
NOT_WITH_ENTRY = {
    "trunc": "entry(start) is trunc(lb = start): write trunc(lb = start, ub = ...)",
    "mi": "write cens() for times that are not known",
}


@final
@dataclass(frozen=True)
class Response:
    """One response variable with what stands right of its bar.

    Attributes
    ----------
    node
        The response expression (``y``, ``log(y)``).
    additions
        Calls such as ``trials(n)``.
    name
        brms' name of the response, part of parameter names in multivariate models.
    """

    node: Node = field(compare=False)
    additions: tuple[Call, ...] = field(compare=False)
    name: str
    used: tuple[str, ...] = ()
    levels: tuple[str, ...] = field(compare=False, default=())
    expression: Expression | None = field(compare=False, default=None, repr=False)
    added: tuple[Addition, ...] = field(compare=False, default=(), repr=False)
    subset: Expression | None = field(compare=False, default=None, repr=False)

    def missing(self, frame: Frame) -> dict[str, np.ndarray]:
        """The columns left of ``~``, each with the mask of the rows that use it and miss it.

        Rows outside ``subset()`` use nothing else; with ``mi()`` the response may be missing, and then so may its measurement error.
        """
        rows = self.rows(frame)
        every = np.ones(frame.n, bool)
        own = tuple(v for v in variables(self.node) if v not in INTERCEPTS)
        measured = frame.complete(own)
        used: list[tuple[str, np.ndarray | None]] = [] if self.has_mi else [(name, None) for name in own]
        for call in self.additions:
            used += [(name, measured if call.fn == "mi" else mask) for name, mask in used_by(call, frame)]
        out: dict[str, np.ndarray] = {}
        for name, mask in used:
            gone = frame[name].missing & (every if mask is None else mask) & (every if rows is None else rows)
            out[name] = out.get(name, False) | gone
        return out

    def _find(self, fn: str) -> Call | None:
        return next((a for a in self.additions if a.fn == fn), None)

    @property
    def estimates_sigma(self) -> bool:
        """Whether ``sigma`` is a parameter: not with ``se()`` unless ``sigma = TRUE``."""
        return all(a.flags.get("sigma", False) for a in self.added if a.fn == "se")

    @property
    def has_mi(self) -> bool:
        """Whether missing values are estimated."""
        return self._find("mi") is not None

    def error(self, what: str, hint: str | None = None) -> BrimError:
        """An error that marks the response."""
        return BrimError(what, source=self.node.source or None, span=self.node.span, hint=hint)

    # ------------------------------------------------------------------ learning

    def learn(self, frame: Frame, family: Family) -> Self:
        """Check the additions against the family and learn the expressions."""
        for call in self.additions:
            if call.fn not in ("weights", "subset") and call.fn not in family.additions:
                known = ", ".join(f"{a}()" for a in dict.fromkeys((*family.additions, "weights", "subset")) if a in ADDITIONS)
                raise BrimError(
                    f"the family {family.name} does not take {call.fn}()",
                    source=call.source or None,
                    span=call.span,
                    hint=f"it takes {known}",
                )
        if "trials" in family.additions and self._find("trials") is None:
            hint = f"write {deparse(self.node)} | trials(n) ~ ..., or use bernoulli() for 0/1 data"
            if isinstance(self.node, Call) and self.node.fn == "cbind" and len(self.node.args) == 2 and not family.kind.matrix:
                s, f = map(deparse, self.node.args)  # glm's way to write successes and failures
                hint = f"write {s} | trials({s} + {f}) ~ ..."
            raise self.error(f"the family {family.name} needs the number of trials", hint)
        if "dec" in family.additions and self._find("dec") is None:
            hint = f"write {deparse(self.node)} | dec(decision) ~ ..., with 'upper' and 'lower' (or 1 and 0)"
            raise self.error(f"the family {family.name} needs the decision of each response", hint)
        entry = self._find("entry")
        for fn, hint in NOT_WITH_ENTRY.items():
            if entry is not None and self._find(fn) is not None:
                raise fault(entry, f"entry() cannot be combined with {fn}()", hint)
        added = tuple(read_addition(a, frame) for a in self.additions if a.fn not in ELSEWHERE)
        used = tuple(sorted(name for a in added for name in (a.fn, *a.values)))
        learned = replace(self, expression=Expression(self.node).learn(frame), added=added, used=used)
        return replace(learned, levels=learned._levels(frame, family))

    def _value(self, frame: Frame) -> Any:
        assert self.expression is not None
        return self.expression.value(frame)

    def _levels(self, frame: Frame, family: Family) -> tuple[str, ...]:
        """Levels of a factor (of whole numbers and logicals where the family takes categories), names of the columns of a matrix."""
        value = self._value(frame)
        if isinstance(value, Matrix):
            return tuple(value.names)
        factor = self._categories(value) if family.kind is Kind.CATEGORY else _two(value) if family.kind is Kind.BINARY else value
        return usable(self.node, factor).levels_used if isinstance(factor, Factor) else ()

    def _categories(self, value: Any) -> Any:
        """A column as the factor that R makes of it; numbers that are not whole stay what they are."""
        whole = isinstance(value, Numeric) and np.all(value.missing | (value.values == np.round(value.values)))
        return value.as_factor() if whole or isinstance(value, Logical) else value

    def seen(self, frame: Frame, family: Family) -> Seen:
        """What the family learns from."""
        data = self.design(frame, family)
        groups = next((a.levels for a in self.added if a.levels), ())
        return Seen(data["y"], self.levels, data.get("nthres"), data.get("group"), groups)

    def learn_subset(self, frame: Frame) -> Self:
        """The response that knows which rows ``subset()`` keeps, of these and of others."""
        call = self._find("subset")
        if call is None:
            return self
        node = arguments(call, ADDITIONS)[1].get("x")
        if node is None:
            raise fault(call, "subset() needs a logical variable", "write subset(sub == 1)")
        return replace(self, subset=Expression(node).learn(frame))

    def rows(self, frame: Frame) -> np.ndarray | None:
        """The rows that ``subset()`` keeps, ``None`` for all."""
        if self.subset is None:
            return None
        value = self.subset.value(frame)
        if isinstance(value, bool):
            return np.full(frame.n, value)
        kept = value.numbers if isinstance(value, Numeric | Logical) else np.array([2.0])
        if np.isnan(kept).any():
            raise fault(self.subset.node, f"subset() has missing values: {frame.named(np.isnan(kept))}")
        if not np.isin(kept, (0.0, 1.0)).all():
            raise fault(self.subset.node, "subset() needs a logical variable", "make it TRUE/FALSE, for example subset(sub == 1)")
        return np.asarray(kept == 1.0)

    def kept(self, frame: Frame) -> Frame:
        """The frame of these rows."""
        rows = self.rows(frame)
        return frame if rows is None else frame.take(rows)

    # ------------------------------------------------------------------ design

    def design(self, frame: Frame, family: Family, with_y: bool = True) -> dict[str, np.ndarray]:
        """``y`` and the data of the addition terms, float64, checked. New data for prediction may lack ``y``."""
        out: dict[str, np.ndarray] = {}
        for addition in self.added:
            if with_y or addition.fn not in ONLY_WITH_Y:
                out.update(addition.arrays(frame))
        if with_y:
            out["y"] = self.values(frame, family)
            if frame.counts is not None:
                out["weights"] = out.get("weights", 1.0) * frame.counts
            base = None if "cens" in out or self.has_mi else family.log_base(out["y"], out)
            if base is not None:
                out["log_base"] = base
        return {**(recoded(out, family) if "cens" in out else out), **family.learned}

    def check(self, frame: Frame, family: Family) -> None:
        """Raise an error that names the rows whose response the family cannot give: of training data and of new data.

        With ``mi()`` a response may be missing; of a censored one, what it leaves open must have some mass.
        """
        data = self.design(frame, family)
        y = data["y"]
        seen = ~np.isnan(y).reshape(len(y), -1).any(axis=1) if self.has_mi else np.ones(len(y), bool)
        self._refuse(frame, seen & ~np.isfinite(y).reshape(len(y), -1).all(axis=1), f"the response '{deparse(self.node)}' is not finite in")
        low, high = data.get("lb", -np.inf), data.get("ub", np.inf)
        raw = {k: v for a in self.added for k, v in a.arrays(frame).items()} | {"y": y}
        if self._find("entry") is not None:
            last = np.where(raw["cens"] == CENSORED["interval"], raw["y2"], y) if "y2" in raw else y
            hint = "each row runs from its start to a later time"
            self._refuse(frame, last <= np.maximum(low, 0.0), "the response is not after entry() in", hint)
        if "cens" in data:
            known = Known.of(raw, family)
            hint = "y2 must be above the response; a row that is known exactly is 'none'"
            self._refuse(frame, known.reversed, "the interval of censored responses is empty in", hint)
            self._refuse(frame, known.impossible, f"{family.name} cannot give what censored responses leave open in")
            self._refuse(
                frame, known.censored & ((known.start >= high) | (known.end < low)), "the censored response lies outside trunc() in"
            )
            seen &= ~known.censored
        if "lb" in data or "ub" in data:
            self._refuse(frame, seen & ((y < low) | (y > high)), "the response lies outside trunc() in", "leave these rows out")
        try:
            family.check(y, data, seen, frame.places)
        except BrimError as error:
            raise self.error(error.what, error.hint) from None

    def _refuse(self, frame: Frame, rows: np.ndarray, what: str, hint: str | None = None) -> None:
        if rows.any():
            raise self.error(f"{what} {frame.named(rows)}", hint)

    def values(self, frame: Frame, family: Family) -> np.ndarray:
        """``y`` alone: numbers, codes of a factor, or a matrix."""
        value = self._value(frame)
        kind = family.kind
        if kind.matrix:
            if not isinstance(value, Matrix):
                raise self.error(f"{family.name} needs a matrix of columns as response", "write cbind(y1, y2, y3) ~ ...")
            return np.asarray(value.values, float)
        value = self._categories(value) if kind is Kind.CATEGORY or (kind is Kind.BINARY and self.levels) else value
        if isinstance(value, Numeric):
            return value.values
        if isinstance(value, Logical) and kind is Kind.BINARY:
            return np.asarray(value.numbers, float)
        if isinstance(value, Factor) and kind.coded:
            if kind is Kind.BINARY and len(self.levels) != 2:
                raise self.error(f"'{deparse(self.node)}' has {len(self.levels)} levels; {family.name} needs two")
            if kind is Kind.ORDINAL and not (value.ordered or value.ranked):
                hint = f"make it ordered: {HOW_TO_ORDER}"
                raise self.error(f"'{deparse(self.node)}' is a factor without order; {family.name} needs an ordered one", hint)
            return self._codes(value) + (kind is not Kind.BINARY)
        if not is_column(value):
            raise self.error(f"the response '{deparse(self.node)}' is a constant", "name a column left of '~'")
        what = "a matrix" if isinstance(value, Matrix) else "a factor" if isinstance(value, Factor) else "logical"
        hint = "choose a family for categories (bernoulli, cumulative, categorical) or convert the column"
        if isinstance(value, Factor) and value.text and spell_numbers(value.levels_used):
            hint = "its text holds numbers: make the column numeric, pandas.to_numeric(..., errors='coerce')"
        raise self.error(f"the response '{deparse(self.node)}' is {what}; {family.name} needs numbers", hint)

    def _codes(self, column: Factor) -> np.ndarray:
        """Positions of the learned levels: 0 for the first."""
        levels = self.levels or column.levels
        place = {level: i for i, level in enumerate(levels)}
        unknown = [level for level in column.levels_used if level not in place]
        if unknown:
            raise BrimError(
                f"'{unknown[0]}' is not a level of the response '{deparse(self.node)}'", hint=suggest(unknown[0], levels, "levels")
            )
        lookup = np.array([place.get(level, -1) for level in column.levels], float)
        return lookup[column.codes]

    # ------------------------------------------------------------------ numbers

    def log_lik(self, distribution: Any, data: Mapping[str, Any]) -> Any:
        """Pointwise log likelihood within its window and up to its censoring; ``w_i log p(y_i)`` with ``weights()``."""
        out = observe.log_lik(distribution, data["y"], data)
        return out * data["weights"] if "weights" in data else out


def _two(value: Any) -> Any:
    """Two numbers other than 0 and 1 as the levels of a factor, the smaller one first: 1 and 2, -1 and 1."""
    if not isinstance(value, Numeric):
        return value
    distinct = np.unique(value.values[~value.missing])
    return value.as_factor() if len(distinct) == 2 and (distinct == np.round(distinct)).all() and set(distinct) != {0.0, 1.0} else value
