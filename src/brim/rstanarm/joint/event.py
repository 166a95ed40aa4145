"""The event submodel: what was observed of each subject, and its baseline hazard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from scipy.interpolate import BSpline

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix
from brim.errors import BrimError, suggest
from brim.frames.columns import Factor
from brim.frames.frame import Frame
from brim.language.expand import Call, deparse, expand, parse
from brim.rstanarm.language import sides

__all__ = ["BASELINES", "Baseline", "Events"]

BASELINES = ("bs", "weibull", "piecewise")


@final
@dataclass(frozen=True)
class Events:
    """Intervals at risk and events.

    Attributes
    ----------
    start, stop
        Each row's interval at risk.
    status
        1 where it ends in the event.
    subject
        Number of each row's subject.
    subjects
        Their labels, in the order of the data.
    x, names
        Predictors of the log hazard without an intercept, and R's names of them.
    """

    start: np.ndarray
    stop: np.ndarray
    status: np.ndarray
    subject: np.ndarray
    subjects: tuple[str, ...]
    x: np.ndarray = field(repr=False)
    names: tuple[str, ...]
    matrix: ModelMatrix | None = field(default=None, repr=False)

    @staticmethod
    def read(formula: str, frame: Frame, id_var: str) -> Events:
        """From ``Surv(time, status) ~ x`` or ``Surv(start, stop, status) ~ x`` and its data."""
        left, right = sides(formula.replace("survival::", ""))
        if not (isinstance(left, Call) and left.fn == "Surv" and len(left.args) in (2, 3)):
            raise BrimError(
                "the event formula has Surv(time, status) on its left", source=formula, hint="Surv(start, stop, status) for intervals"
            )
        numbers = [np.asarray(Expression(a).learn(frame).numbers(frame), float) for a in left.args]
        start = np.zeros(frame.n) if len(numbers) == 2 else numbers[0]
        stop, status = numbers[-2], numbers[-1]
        if not np.isin(status, (0, 1)).all():
            raise BrimError(f"the status {deparse(left.args[-1])} is not 0 or 1", hint="1 is an event, 0 the end of observation")
        bad = np.flatnonzero(~(stop > start))
        if len(bad):
            raise BrimError(f"{len(bad)} intervals at risk have no length, the first in row {bad[0]} (counted from 0)")
        labels = label_of(frame, id_var)
        subjects = tuple(dict.fromkeys(labels))
        number = {s: i for i, s in enumerate(subjects)}
        matrix = ModelMatrix(expand(parse(f"~ {deparse(right)}"))).learn(frame)
        x = matrix.matrix(frame)
        first = int(bool(matrix.names) and matrix.names[0] == "(Intercept)")
        return Events(
            start, stop, status, np.array([number[v] for v in labels]), subjects, x[:, first:], tuple(matrix.names[first:]), matrix
        )

    def columns(self, frame: Frame) -> np.ndarray:
        """The predictors of other rows."""
        assert self.matrix is not None
        x = self.matrix.matrix(frame)
        return x[:, x.shape[1] - len(self.names) :]

    @property
    def log_rate(self) -> float:
        """``log(events / time at risk)``."""
        return float(np.log(self.status.sum() / (self.stop - self.start).sum()))


def label_of(frame: Frame, name: str) -> list[str]:
    """The labels of a column as text, one a row."""
    column = frame.column(name)
    factor = column if isinstance(column, Factor) else column.as_factor()
    return [str(factor.levels[c]) for c in factor.codes]


@final
@dataclass(frozen=True)
class Baseline:
    """A log baseline hazard that is linear in its coefficients, or Weibull's.

    ``bs``: ``B(t) c``, cubic B-splines with an intercept, knots at quantiles of the event times, on ``[0, longest time]``;
    ``piecewise``: a constant between quantiles of the event times; ``weibull``: ``log k + (k - 1) log t``.
    """

    kind: str
    knots: tuple[float, ...] = ()
    end: float = 0.0
    degree: int = 3

    @staticmethod
    def learn(kind: str, events: Events, df: int | None = None, knots: Any = None) -> Baseline:
        """Knots from the events: 6 coefficients, or ``df``, to which B-splines add an intercept."""
        if kind not in BASELINES:
            raise BrimError(f"basehaz = {kind!r}", hint=suggest(kind, BASELINES, "baseline hazards"))
        end = float(events.stop.max())
        if kind == "weibull":
            return Baseline(kind, (), end)
        if df is not None and knots is not None:
            raise BrimError("basehaz_ops has both df and knots", hint="give one of them")
        size = 6 if df is None else df + (kind == "bs")
        count = size - 4 if kind == "bs" else size - 1
        if count < 0:
            raise BrimError(f"basehaz_ops: df = {df} for {kind}", hint="cubic B-splines have df = 3 or more")
        times = events.stop[events.status == 1]
        inner = np.quantile(times, np.arange(1, count + 1) / (count + 1)) if knots is None else np.asarray(knots, float)
        if np.any(inner <= 0) or np.any(inner >= end):
            raise BrimError("knots of the baseline hazard lie outside the observed times", hint=f"give values between 0 and {end:g}")
        return Baseline(kind, tuple(float(k) for k in inner), end)

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return {"bs": len(self.knots) + 4, "piecewise": len(self.knots) + 1, "weibull": 1}[self.kind]

    @property
    def aux_name(self) -> str:
        """What ``prior_summary`` calls the coefficients."""
        return {"bs": "spline-coefficients", "piecewise": "piecewise-coefficients", "weibull": "weibull-shape"}[self.kind]

    @property
    def names(self) -> tuple[str, ...]:
        """rstanarm's names of the coefficients."""
        stem = {"bs": "Event|b-splines-coef", "piecewise": "Event|piecewise-coef"}.get(self.kind, "")
        return tuple(f"{stem}{i + 1}" for i in range(self.size)) if stem else ("Event|weibull-shape",)

    def columns(self, t: np.ndarray) -> np.ndarray:
        """What the coefficients multiply at times ``t``: (..., size); the log of the time for Weibull's."""
        if self.kind == "weibull":
            return np.log(np.maximum(t, 1e-300))[..., None]
        if self.kind == "piecewise":
            return np.eye(self.size)[np.searchsorted(self.knots, t, side="left")]
        d = self.degree
        knots = np.concatenate([np.zeros(d + 1), self.knots, np.full(d + 1, self.end)])
        flat = np.clip(np.ravel(t), 0.0, self.end)
        return BSpline.design_matrix(flat, knots, d).toarray().reshape(*np.shape(t), self.size)
