"""Missing values that are estimated: responses with ``y | mi()`` or ``y | mi(sd)``, and predictors ``mi(y)`` that are such responses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Call, Constant, Name, arguments, fault, variables
from brim.parameters.param import Param, Piece
from brim.parameters.reported import LATENT, Reported
from brim.terms.base import AbstractTerm, Context, Design, Imputable, Params, completed
from brim.terms.facets import NewLevels
from brim.terms.special.variable import ProductPlace, SpecialVariable, call_name

__all__ = ["Imputed", "ImputedVariable", "read"]


def read(call: Call, context: Context) -> ImputedVariable:
    """``mi(y, idx = )`` for a response ``y | mi()`` of the model."""
    _, given = arguments(call)
    node = given.get("x")
    if not isinstance(node, Name):
        raise fault(call, "mi() takes one untransformed variable", "write mi(x), and x | mi() ~ ... for its own model")
    source = next((s for s in context.imputables if s.column == node.name), None)
    if source is None:
        hint = f"give it its own model, bf({node.name} | mi() ~ ...)"
        raise fault(node, f"'{node.name}' in mi() is not a response whose missing values are estimated", hint)
    whole = context.frame if context.whole is None else context.whole
    idx = given.get("idx")
    if idx is None and "subset" in context.response_additions:
        hint = f"write mi({node.name}, idx = ), and index() at the response {node.name}"
        raise fault(call, "mi() in a formula with subset() needs to know which row is meant", hint)
    index = None if idx is None or (isinstance(idx, Constant) and idx.value is None) else Expression(idx).learn(whole)
    return ImputedVariable(call, Imputed.of(source).learn(whole), index).with_table(whole)


@final
@dataclass(frozen=True)
class Imputed(AbstractTerm):
    """The missing values of a response, which its own model is the law of; with ``mi(sd)`` all its values, ``y ~ normal(Y, sd)``.

    ``at`` is, for each row of the training data, the position of its estimated value, or -1; ``count`` their number.
    """

    source: Imputable = field(compare=False)
    resp: str
    noisy: bool = False
    count: int = 0
    at: Any = field(compare=False, default=None, repr=False)
    names: tuple[str, ...] = field(compare=False, default=())
    center: Any = field(compare=False, default=0.0, repr=False)

    @property
    def _suffix(self) -> str:
        return f"_{self.resp}" if self.resp else ""

    @property
    def key(self) -> str:
        return f"{'Yl' if self.noisy else 'Ymi'}{self._suffix}"

    def variables(self) -> tuple[str, ...]:
        return self.source.columns

    @staticmethod
    def of(source: Imputable) -> Imputed:
        """The term of a response, not yet learned."""
        return Imputed(source, source.resp, source.noise is not None)

    def learn(self, frame: Frame) -> Self:
        frame = frame if frame.rows is not None else frame.numbered()
        mine = self._mine(frame)
        y = self.source.value(mine)
        if np.isnan(y).all():
            raise BrimError(f"'{self.source.column}' is missing in every row", hint="leave it out of the model")
        where = np.arange(mine.n) if self.noisy else np.flatnonzero(np.isnan(y))
        at = np.full(int(frame.row_numbers.max()) + 1, -1, np.int32)
        at[mine.row_numbers[where]] = np.arange(len(where))
        center = np.where(np.isnan(y), np.nanmean(y), y)[where] if self.source.bounds == (None, None) else 0.0
        return replace(self, count=len(where), at=at, names=tuple(str(i + 1) for i in where), center=center)

    def _mine(self, frame: Frame) -> Frame:
        keep = self.source.rows(frame)
        return frame if keep is None else frame.take(keep)

    def positions(self, frame: Frame) -> np.ndarray:
        """Position of each row's estimated value, or -1; new rows of a noisy response stand behind the training data's."""
        rows = frame.row_numbers
        old = self.at[np.clip(rows, 0, len(self.at) - 1)]
        return np.where(rows >= 0, old, self.count - 1 - rows if self.noisy else -1).astype(np.int32)

    # ------------------------------------------------------------------ data

    def design(self, frame: Frame) -> Design:
        if not all(name in frame for name in (*self.source.columns, *self.source.row_columns)):
            return {}  # new data for a response that does not read this one
        mine = self._mine(frame)
        y, at = self.source.value(mine), self.positions(mine)
        out: Design = {"y": np.where(np.isnan(y), 0.0, y), "at": at}
        if self.source.noise is not None:
            out["sd"] = self._noise(mine, y)
            out["observed"] = ~np.isnan(y)
            new = mine.row_numbers < 0
            if new.any():
                out["new"] = np.zeros((2, int(at[new].max()) + 1 - self.count))
                out["new"][:, at[new] - self.count] = out["y"][new], out["sd"][new]
        return out

    def _noise(self, frame: Frame, y: np.ndarray) -> np.ndarray:
        """The standard deviations of measurement, 1 where nothing was measured."""
        assert self.source.noise is not None
        sd = np.where(np.isnan(y), 1.0, self.source.noise(frame))
        bad = ~(sd > 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise BrimError(f"mi() of '{self.source.column}' needs a positive measurement error; {frame.row_name(row)} holds {sd[row]:g}")
        return sd

    def params(self) -> tuple[Param, ...]:
        if self.count == 0:
            return ()
        lb, ub = self.source.bounds
        return (Param(self.key, (self.count,), lb=lb, ub=ub, pieces=(Piece("flat", None),), center=self.center),)

    # ------------------------------------------------------------------ numbers

    def filled(self, params: Params, design: Design) -> Any:
        """``y`` with estimated values in their places."""
        return completed(self.key, params, design)

    def log_density(self, params: Params, design: Design) -> Any:
        """``log normal(y | Y, sd)`` of what was measured."""
        if "observed" not in design:
            return 0.0
        z = (design["y"] - self.filled(params, design)) / design["sd"]
        each = -0.5 * jnp.square(z) - jnp.log(design["sd"]) - 0.5 * math.log(2 * math.pi)
        return jnp.sum(jnp.where(design["observed"], each, 0.0))

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        if "new" not in design:
            return {}
        y, sd = design["new"]
        lb, ub = (None if b is None else (b - y) / sd for b in self.source.bounds)
        if lb is None and ub is None:
            z = jax.random.normal(keys[0], y.shape, dtype=y.dtype)
        else:
            z = jax.random.truncated_normal(keys[0], -jnp.inf if lb is None else lb, jnp.inf if ub is None else ub, dtype=y.dtype)
        return {self.key: jnp.concatenate([params[self.key], y + sd * z])}

    def reported(self) -> tuple[Reported, ...]:
        if self.count == 0:
            return ()
        names = np.array([f"{self.key}[{n}]" for n in self.names], dtype=object)
        dim = f"row_{self.key}"
        return (Reported(self.key, names, LATENT, self.key, (dim,), {dim: self.names}),)


@final
@dataclass(frozen=True)
class ImputedVariable(SpecialVariable):
    """``mi(y)`` as a factor of special effects: the completed response, of the same row or of the row that ``idx`` names."""

    call: Call = field(compare=False)
    latent: Imputed
    index: Expression | None = None
    table: Any = field(compare=False, default=None, repr=False)

    @property
    def name(self) -> str:
        return call_name(self.call)

    @property
    def kind(self) -> str:
        return "mi"

    def variables(self) -> tuple[str, ...]:
        return self.latent.variables() if self.index is None else variables(self.index.node)

    def shared(self) -> tuple[AbstractTerm, ...]:
        return (self.latent,)

    def learn(self, frame: Frame) -> Self:
        """Check that every row finds its value; the values themselves were learned from all rows of the data."""
        self.design(frame)
        return self

    def with_table(self, whole: Frame) -> Self:
        """The variable that knows the labels of ``index()`` of all rows."""
        return self if self.index is None else replace(self, table=self._labelled(whole))

    def _labelled(self, frame: Frame) -> dict[Any, tuple[int, float]]:
        """Label of ``index()`` -> position of the estimated value (or -1) and the observed one."""
        source = self.latent.source
        if source.index is None:
            raise fault(
                self.call,
                f"mi(idx = ) needs the rows of '{source.column}' to have labels",
                f"write {source.column} | mi() + index(id) ~ ...",
            )
        keep = source.rows(frame)
        mine = frame if keep is None else frame.take(keep)
        labels = _labels(source.index(mine))
        if len(set(labels)) < len(labels):
            twice = next(v for v in labels if labels.count(v) > 1)
            raise fault(self.call, f"two rows of '{source.column}' have the index {twice}", "index() must be unique")
        return dict(zip(labels, zip(self.latent.positions(mine), source.value(mine), strict=True), strict=True))

    def design(self, frame: Frame) -> Design:
        if self.index is not None:
            return self._by_label(frame)
        source = self.latent.source
        at, y = self.latent.positions(frame), source.value(frame)
        outside = source.rows(frame)
        lost = (at < 0) & np.isnan(y) if outside is None else ~outside & (frame.row_numbers >= 0)
        if lost.any():
            row = int(np.argmax(lost))
            raise fault(
                self.call,
                f"'{source.column}' has no value for {frame.row_name(row)}",
                "give it in new data; where its model has subset(), use mi(x, idx = ) and index()",
            )
        return {"at": at, "y": np.where(np.isnan(y), 0.0, y)}

    def _by_label(self, frame: Frame) -> Design:
        assert self.index is not None
        table = dict(self.table or self._labelled(frame))
        source = self.latent.source
        if (frame.row_numbers < 0).any() and all(name in frame for name in (*source.index_columns, *source.columns, *source.row_columns)):
            table |= {label: found for label, found in self._labelled(frame).items() if not np.isnan(found[1])}
        labels = _labels(self.index.value(frame))
        lost = [label for label in labels if label not in table]
        if lost:
            raise fault(self.call, f"no row of '{source.column}' has the index {lost[0]}", "every value of idx must be one of index()")
        at, y = (np.array([table[label][i] for label in labels]) for i in (0, 1))
        return {"at": at.astype(np.int32), "y": np.where(np.isnan(y), 0.0, y)}

    def known(self, frame: Frame) -> Any:
        design = self.design(frame)
        return np.where(design["at"] < 0, design["y"], np.nan)

    def value(self, params: Params, design: Design, place: ProductPlace) -> Any:
        return self.latent.filled(params, design)


def _labels(column: Any) -> list[Any]:
    return list(column.as_factor().labels)
