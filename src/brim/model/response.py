"""The left-hand side: the response, its addition terms, and the pointwise log likelihood they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.design.expressions import Expression
from brim.distributions import observe
from brim.errors import BrimError, name_rows, suggest
from brim.families.base import Family, Seen
from brim.frames.columns import Factor, Logical, Matrix, Numeric
from brim.frames.frame import Frame
from brim.language.expand import Call, Node, deparse, variables
from brim.model.additions import Addition, read_addition

__all__ = ["Response"]

#: Kinds of response that take a factor, and those that take a matrix.
FACTORS = ("binary", "ordinal", "category")
MATRICES = ("simplex", "counts")
#: Additions that only the likelihood reads.
ONLY_WITH_Y = ("weights", "cens")
#: Additions that give the likelihood no data: which rows there are, which values are estimated, labels of rows.
ELSEWHERE = ("subset", "mi", "index")

#: Links under which default priors follow the response.
SCALED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda v: v,
    "log": np.log,
    "inverse": lambda v: 1 / v,
    "sqrt": np.sqrt,
    "1/mu^2": lambda v: 1 / v**2,
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

    def variables(self) -> tuple[str, ...]:
        """Columns that must be complete."""
        return tuple(dict.fromkeys(v for n in (self.node, *self.additions) for v in variables(n)))

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
                known = ", ".join(f"{a}()" for a in dict.fromkeys((*family.additions, "weights", "subset")))
                raise BrimError(
                    f"the family {family.name} does not take {call.fn}()",
                    source=call.source or None,
                    span=call.span,
                    hint=f"it takes {known}",
                )
        if "trials" in family.additions and self._find("trials") is None:
            hint = f"write {deparse(self.node)} | trials(n) ~ ..., or use bernoulli() for 0/1 data"
            raise self.error(f"the family {family.name} needs the number of trials", hint)
        added = tuple(read_addition(a, frame) for a in self.additions if a.fn not in ELSEWHERE)
        used = tuple(sorted(name for a in added for name in (a.fn, *a.values)))
        learned = replace(self, expression=Expression(self.node).learn(frame), added=added, used=used)
        return replace(learned, levels=learned._levels(frame))

    def _value(self, frame: Frame) -> Any:
        assert self.expression is not None
        return self.expression.value(frame)

    def _levels(self, frame: Frame) -> tuple[str, ...]:
        """Levels of a factor, names of the columns of a matrix."""
        value = self._value(frame)
        if isinstance(value, Matrix):
            return tuple(value.names)
        return value.levels_used if isinstance(value, Factor) else ()

    def seen(self, frame: Frame, family: Family) -> Seen:
        """What the family learns from."""
        data = self.design(frame, family)
        groups = next((a.levels for a in self.added if a.levels), ())
        return Seen(data["y"], self.levels, data.get("nthres"), data.get("group"), groups)

    def rows(self, frame: Frame) -> np.ndarray | None:
        """The rows ``subset()`` keeps, ``None`` for all."""
        call = self._find("subset")
        if call is None:
            return None
        value = Expression(call.args[0]).learn(frame).value(frame)
        if not isinstance(value, Logical):
            raise BrimError(
                "subset() needs a logical variable",
                source=call.source or None,
                span=call.span,
                hint="make it TRUE/FALSE, for example subset(sub == 1)",
            )
        if value.missing.any():
            raise BrimError("subset() has missing values", source=call.source or None, span=call.span)
        return np.asarray(value.values, bool)

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
        return {**out, **family.learned}

    def check(self, frame: Frame, family: Family) -> None:
        """Raise an error that names the rows whose response the family cannot give; with ``mi()`` it may be missing."""
        data = self.design(frame, family)
        if self.has_mi:
            seen = ~np.isnan(data["y"])
            data = {k: v[seen] if np.shape(v)[:1] == seen.shape else v for k, v in data.items()}
        y = data["y"]
        finite = np.isfinite(y).reshape(len(y), -1).all(axis=1)
        if not finite.all():
            raise self.error(f"the response '{deparse(self.node)}' is not finite in {name_rows(np.flatnonzero(~finite))}")
        if "lb" in data or "ub" in data:
            outside = (y < data.get("lb", -np.inf)) | (y > data.get("ub", np.inf))
            if outside.any():
                raise self.error(f"the response lies outside trunc() in {name_rows(np.flatnonzero(outside))}", "leave these rows out")
        family.check(y, data)

    def values(self, frame: Frame, family: Family) -> np.ndarray:
        """``y`` alone: numbers, codes of a factor, or a matrix."""
        value = self._value(frame)
        kind = family.kind
        if kind in MATRICES:
            if not isinstance(value, Matrix):
                raise self.error(f"{family.name} needs a matrix of columns as response", "write cbind(y1, y2, y3) ~ ...")
            return np.asarray(value.values, float)
        if isinstance(value, Numeric):
            return value.values
        if isinstance(value, Logical) and kind == "binary":
            return np.asarray(value.numbers, float)
        if isinstance(value, Factor) and kind in FACTORS:
            if kind == "binary" and len(self.levels) != 2:
                raise self.error(f"'{deparse(self.node)}' has {len(self.levels)} levels; {family.name} needs two")
            if kind == "ordinal" and not value.ordered:
                hint = "make it ordered: pandas.Categorical(..., categories=[...], ordered=True)"
                raise self.error(f"'{deparse(self.node)}' is a factor without order; {family.name} needs an ordered one", hint)
            return self._codes(value) + (kind != "binary")
        if isinstance(value, Logical) and kind == "category":
            return self._codes(value.as_factor()) + 1.0
        what = "a matrix" if isinstance(value, Matrix) else "a factor" if isinstance(value, Factor) else "logical"
        hint = "choose a family for categories (bernoulli, cumulative, categorical) or convert the column"
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

    def prior_scale(self, y: np.ndarray, family: Family, shift: float, link: str) -> tuple[float, float]:
        """Location and scale of brms' default priors: median and MAD of the response on the scale of a link.

        ``max(2.5, round(MAD, 1))`` and ``round(median, 1)`` of the link of ``y`` for the links where that makes sense,
        else 0 and 2.5; ``shift`` (the mean offset) is taken off first.
        """
        link = "log" if family.logscale else link
        if family.kind in (*MATRICES, "ordinal", "category") or link not in SCALED:
            return 0.0, 2.5
        if link in ("log", "inverse", "1/mu^2"):
            y = np.where(y == 0, y + 0.1, y)
        with np.errstate(invalid="ignore", divide="ignore"):
            z = SCALED[link](y) - shift if shift else SCALED[link](y)
        z = z[~np.isnan(z)]  # a copy, partly sorted below: no further ones of large data
        median = _median(z)
        mad = 1.4826 * _median(np.abs(np.subtract(z, median, out=z), out=z))
        location = float(np.round(median, 1))
        scale = max(2.5, float(np.round(mad, 1)))
        return (location if np.isfinite(location) else 0.0) + 0.0, scale if np.isfinite(scale) else 2.5

    # ------------------------------------------------------------------ numbers

    def log_lik(self, distribution: Any, data: Mapping[str, Any]) -> Any:
        """Pointwise log likelihood within its window and up to its censoring; ``w_i log p(y_i)`` with ``weights()``."""
        out = observe.log_lik(distribution, data["y"], data)
        return out * data["weights"] if "weights" in data else out


def _median(values: np.ndarray) -> float:
    """The median of values without ``NaN``, which are partly sorted in place; ``NaN`` if there is none."""
    n = len(values)
    if n == 0:
        return float("nan")
    values.partition(n // 2)
    high = values[n // 2]
    return float(high if n % 2 else 0.5 * (values[: n // 2].max() + high))
