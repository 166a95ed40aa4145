"""The left-hand side: the response, its addition terms, and the pointwise log likelihood they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np

from brim.expressions import Expression
from brim.errors import BrimError, name_rows, suggest
from brim.families.base import Family, Seen
from brim.formula import Call, Constant, Node, deparse, variables
from brim.columns import Factor, Logical, Matrix, Numeric
from brim.frame import Frame

__all__ = ["Response"]

#: Addition terms that are built: keyword arguments they know.
ADDITIONS: dict[str, tuple[str, ...]] = {
    "weights": ("scale",),
    "trials": (),
    "se": ("sigma",),
    "rate": (),
    "subset": (),
}

#: Kinds of response that take a factor, and those that take a matrix.
FACTORS = ("binary", "ordinal", "category")
MATRICES = ("simplex", "counts")


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
    expressions: Mapping[str, Expression] = field(compare=False, default_factory=dict, repr=False)

    def variables(self) -> tuple[str, ...]:
        """Columns that must be complete."""
        return tuple(dict.fromkeys(v for n in (self.node, *self.additions) for v in variables(n)))

    def _find(self, fn: str) -> Call | None:
        return next((a for a in self.additions if a.fn == fn), None)

    def _flag(self, fn: str, name: str, default: bool) -> bool:
        call = self._find(fn)
        node = dict(call.kwargs).get(name) if call else None
        if node is None:
            return default
        if isinstance(node, Constant) and isinstance(node.value, bool):
            return node.value
        raise BrimError(f"{fn}({name} = ) must be TRUE or FALSE", source=node.source or None, span=node.span)

    @property
    def estimates_sigma(self) -> bool:
        """Whether ``sigma`` is a parameter: not with ``se()`` unless ``sigma = TRUE``."""
        return self._find("se") is None or self._flag("se", "sigma", False)

    # ------------------------------------------------------------------ learning

    def learn(self, frame: Frame, family: Family) -> Self:
        """Check the additions against the family and learn the expressions."""
        found: dict[str, Expression] = {}
        for call in self.additions:
            self._check(call, family, found)
            if call.fn != "subset":
                found[call.fn] = Expression(call.args[0]).learn(frame)
        self._need(family, found)
        found["y"] = Expression(self.node).learn(frame)
        learned = replace(self, expressions=found, used=tuple(sorted(found)))
        return replace(learned, levels=learned._levels(frame))

    def _levels(self, frame: Frame) -> tuple[str, ...]:
        """Levels of a factor, names of the columns of a matrix."""
        value = self.expressions["y"].value(frame)
        if isinstance(value, Matrix):
            return tuple(value.names)
        return value.drop_unused().levels if isinstance(value, Factor) else ()

    def seen(self, frame: Frame, family: Family) -> Seen:
        """What the family learns from."""
        return Seen(self._y(frame, family), self.levels)

    def _check(self, call: Call, family: Family, found: Mapping[str, Any]) -> None:
        where = {"source": call.source or None, "span": call.span}
        if call.fn not in ADDITIONS:
            raise BrimError(f"the addition term {call.fn}() is not built yet", **where)
        if call.fn in found:
            raise BrimError(f"{call.fn}() is given twice", **where)
        if call.fn not in ("weights", "subset") and call.fn not in family.additions:
            known = ", ".join(f"{a}()" for a in family.additions) or "no such terms"
            raise BrimError(f"the family {family.name} does not take {call.fn}()", **where, hint=f"it takes {known}, weights() and subset()")
        if len(call.args) != 1:
            raise BrimError(f"{call.fn}() takes one variable", **where)
        for name, node in call.kwargs:
            if name not in ADDITIONS[call.fn]:
                hint = suggest(name, ADDITIONS[call.fn], "arguments")
                raise BrimError(f"{call.fn}() has no argument '{name}'", source=node.source or None, span=node.span, hint=hint)

    def _need(self, family: Family, found: Mapping[str, Any]) -> None:
        if "trials" in family.additions and "trials" not in found:
            raise BrimError(
                f"the family {family.name} needs the number of trials",
                source=self.node.source or None,
                span=self.node.span,
                hint=f"write {deparse(self.node)} | trials(n) ~ ..., or use bernoulli() for 0/1 data",
            )

    def rows(self, frame: Frame) -> np.ndarray | None:
        """The rows ``subset()`` keeps, ``None`` for all."""
        call = self._find("subset")
        if call is None:
            return None
        value = Expression(call.args[0]).learn(frame).value(frame)
        if not isinstance(value, Logical):
            raise BrimError("subset() needs a logical variable", source=call.source or None, span=call.span, hint="make it TRUE/FALSE, for example subset(sub == 1)")
        if value.missing.any():
            raise BrimError("subset() has missing values", source=call.source or None, span=call.span)
        return np.asarray(value.values, bool)

    # ------------------------------------------------------------------ design

    def design(self, frame: Frame, family: Family, with_y: bool = True) -> dict[str, np.ndarray]:
        """``y`` and the data of the addition terms, float64, checked. New data for prediction may lack ``y``."""
        out = {}
        for name in ("trials", "se", "rate", "weights"):
            if name not in self.expressions or (name == "weights" and not with_y):
                continue
            out[name] = self._addition(name, frame)
        if with_y:
            out["y"] = self._y(frame, family)
        return {**out, **family.learned}

    def check(self, frame: Frame, family: Family) -> None:
        """Raise an error that names the rows whose response the family cannot give."""
        data = self.design(frame, family)
        y = data["y"]
        finite = np.isfinite(y).reshape(len(y), -1).all(axis=1)
        if not finite.all():
            where = {"source": self.node.source or None, "span": self.node.span}
            raise BrimError(f"the response '{deparse(self.node)}' is not finite; {_rows(~finite, y.reshape(len(y), -1)[:, 0])}", **where)
        family.check(y, data)

    def _addition(self, name: str, frame: Frame) -> np.ndarray:
        call = self._find(name)
        assert call is not None
        value = np.array(np.broadcast_to(self.expressions[name].numbers(frame), (frame.n,)))
        wants = {
            "trials": ("whole numbers >= 0", (value < 0) | (value != np.floor(value))),
            "se": ("values >= 0", value < 0),
            "rate": ("values > 0", value <= 0),
            "weights": ("values >= 0", value < 0),
        }[name]
        bad = wants[1] | ~np.isfinite(value)
        if bad.any():
            raise BrimError(f"{name}() needs {wants[0]}; {_rows(bad, value)}", source=call.source or None, span=call.span)
        if name == "weights" and self._flag("weights", "scale", False):
            value = value / value.sum() * len(value)
        return value

    def _y(self, frame: Frame, family: Family) -> np.ndarray:
        value = self.expressions["y"].value(frame)
        where = {"source": self.node.source or None, "span": self.node.span}
        kind = family.kind
        if kind in MATRICES:
            if not isinstance(value, Matrix):
                raise BrimError(f"{family.name} needs a matrix of columns as response", **where, hint="write cbind(y1, y2, y3) ~ ...")
            return np.asarray(value.values, float)
        if isinstance(value, Numeric):
            return value.values
        if isinstance(value, Logical) and kind == "binary":
            return np.asarray(value.numbers, float)
        if isinstance(value, Factor) and kind in FACTORS:
            if kind == "binary" and len(self.levels) != 2:
                raise BrimError(f"'{deparse(self.node)}' has {len(self.levels)} levels; {family.name} needs two", **where)
            if kind == "ordinal" and not value.ordered:
                hint = "make it ordered: pandas.Categorical(..., categories=[...], ordered=True)"
                raise BrimError(f"'{deparse(self.node)}' is a factor without order; {family.name} needs an ordered one", **where, hint=hint)
            return self._codes(value) + (kind != "binary")
        if isinstance(value, Logical) and kind == "category":
            return self._codes(value.as_factor()) + 1.0
        what = "a matrix" if isinstance(value, Matrix) else "a factor" if isinstance(value, Factor) else "logical"
        hint = "choose a family for categories (bernoulli, cumulative, categorical) or convert the column"
        raise BrimError(f"the response '{deparse(self.node)}' is {what}; {family.name} needs numbers", **where, hint=hint)

    def _codes(self, column: Factor) -> np.ndarray:
        """Positions of the learned levels: 0 for the first."""
        levels = self.levels or column.levels
        place = {level: i for i, level in enumerate(levels)}
        unknown = [level for level in column.levels_used if level not in place]
        if unknown:
            raise BrimError(f"'{unknown[0]}' is not a level of the response '{deparse(self.node)}'", hint=suggest(unknown[0], levels, "levels"))
        lookup = np.array([place.get(level, -1) for level in column.levels], float)
        return lookup[column.codes]

    def prior_scale(self, y: np.ndarray, family: Family, shift: float) -> tuple[float, float]:
        """Location and scale of brms' default priors: median and MAD of the response on the scale of ``mu``.

        ``max(2.5, round(MAD, 1))`` and ``round(median, 1)`` of the link of ``y`` for the links where that makes sense,
        else 0 and 2.5; ``shift`` (the mean offset) is taken off first.
        """
        link = "log" if family.logscale else next(iter(family.links.values()))
        if family.kind in (*MATRICES, "ordinal", "category") or link not in ("identity", "log", "inverse", "sqrt", "1/mu^2"):
            return 0.0, 2.5
        if link in ("log", "inverse", "1/mu^2"):
            y = np.where(y == 0, y + 0.1, y)
        forward = {"identity": lambda v: v, "log": np.log, "inverse": lambda v: 1 / v, "sqrt": np.sqrt, "1/mu^2": lambda v: 1 / v**2}[link]
        with np.errstate(invalid="ignore", divide="ignore"):
            z = forward(y) - shift
        mad = 1.4826 * np.nanmedian(np.abs(z - np.nanmedian(z)))
        location = float(np.round(np.nanmedian(z), 1))
        scale = max(2.5, float(np.round(mad, 1)))
        return (location if np.isfinite(location) else 0.0) + 0.0, scale if np.isfinite(scale) else 2.5

    # ------------------------------------------------------------------ numbers

    def log_lik(self, distribution: Any, data: Mapping[str, Any]) -> Any:
        """Pointwise log likelihood, ``w_i log p(y_i)`` with ``weights()``."""
        out = distribution.log_prob(data["y"])
        return out * data["weights"] if "weights" in data else out


def _rows(bad: np.ndarray, values: np.ndarray) -> str:
    """``rows 3, 17 (counted from 0) hold -1, 2.5``: the first few offenders."""
    at = np.flatnonzero(bad)
    held = ", ".join(f"{values[i]:g}" for i in at[:5])
    return f"{name_rows(at)} hold{'s' * (len(at) == 1)} {held}"
