"""Stateful transforms: what ``scale``, ``poly``, ``cut``, ``factor``, ``bs`` ... learn from the training data, replayed on new data.

Each entry of ``LEARNERS`` takes the value of its first argument on the training data, and its options, and returns a frozen
transform ``value -> value``. R does the same for ``scale``, ``poly``, ``bs`` and ``ns`` only; here it holds for all, ``mean(x)`` included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, final

import numpy as np

from brim.design.functions import Value, as_factor, is_column, numbers
from brim.errors import BrimError, near, suggest
from brim.frames.columns import Factor, Logical, Matrix, Numeric, level_name
from brim.limits import within

__all__ = ["LEARNERS", "LEVELS", "RANGE", "Transform", "match_levels", "orthonormal"]

Transform: TypeAlias = Callable[[Value], Value]


def _column(x: Value, what: str) -> np.ndarray:
    if not isinstance(x, (Numeric, Logical)):
        raise BrimError(f"{what} needs one numeric column")
    return x.numbers


def _present(x: Value, what: str) -> np.ndarray:
    """The values that are there, to learn from."""
    values = _column(x, what)
    values = values[~np.isnan(values)]
    if not values.size:
        raise BrimError(f"{what} has no value to learn from")
    return values


def _vector(value: Value) -> np.ndarray:
    return np.atleast_1d(np.asarray(numbers(value), dtype=np.float64))


# ---- centring and scaling ------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Scale:
    """``(x - center) / scale``."""

    center: Any
    scale: Any

    def __call__(self, x: Value) -> Value:
        values = (numbers(x) - self.center) / self.scale
        return Matrix(values, x.names) if isinstance(x, Matrix) else Numeric(values)


def _learn_scale(x: Value, center: Value = True, scale: Value = True) -> Scale:
    """R's ``scale``: the mean and the standard deviation, or the root mean square when not centred; or numbers given."""
    values = numbers(x)
    if not isinstance(x, (Numeric, Logical, Matrix)):
        raise BrimError("scale() needs a numeric column")
    middle = np.nanmean(values, axis=0) if center is True else 0.0 if center is False else numbers(center)
    rest = values - middle
    n = np.sum(~np.isnan(rest), axis=0)
    spread = np.sqrt(np.nansum(rest**2, axis=0) / np.maximum(n - 1, 1)) if scale is True else 1.0 if scale is False else numbers(scale)
    if np.any(np.asarray(spread) == 0):
        raise BrimError("scale() of a column that does not vary", hint="remove it, or scale = FALSE")
    return Scale(middle, spread)


def _learn_center(x: Value) -> Scale:
    return _learn_scale(x, True, False)


# ---- polynomials and splines ---------------------------------------------------------------------------------------------


def orthonormal(x: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Polynomials of degree 1 ... ``degree`` orthonormal on the centred points ``x``, and the recurrence that gives them elsewhere.

    Column ``j`` of the ``(degree + 1, degree)`` recurrence holds ``h`` of ``h[j+1] q[j+1] = x q[j] - sum_i h[i] q[i]``
    (Arnoldi's process on ``1, x, x^2, ...``, which stays orthogonal where the three-term recurrence of many points does not).

    Examples
    --------
    >>> orthonormal(np.array([-1.0, 0.0, 1.0]), 2)[0].round(4)
    array([[-0.7071,  0.4082],
           [ 0.    , -0.8165],
           [ 0.7071,  0.4082]])
    """
    n = len(x)
    q = np.empty((n, degree + 1))
    h = np.zeros((degree + 1, degree))
    q[:, 0] = 1 / np.sqrt(n)
    for j in range(degree):
        new = x * q[:, j]
        for _ in range(2):  # once is not enough in floating point
            parts = q[:, : j + 1].T @ new
            new = new - q[:, : j + 1] @ parts
            h[: j + 1, j] += parts
        h[j + 1, j] = np.sqrt(new @ new)
        q[:, j + 1] = new / h[j + 1, j]
    return q[:, 1:], h


@final
@dataclass(frozen=True)
class Poly:
    """Polynomials of ``x - center`` by the learned recurrence, from the constant one, ``first``; raw powers when there is none."""

    degree: int
    center: float
    first: float
    recurrence: Any

    def __call__(self, x: Value) -> Matrix:
        values = _column(x, "poly()")
        if self.recurrence is None:
            return Matrix(values[:, None] ** np.arange(1, self.degree + 1), _numbered(self.degree))
        q = np.empty((len(values), self.degree + 1))
        values = values - self.center
        q[:, 0] = self.first
        for j in range(self.degree):
            h = self.recurrence[:, j]
            q[:, j + 1] = (values * q[:, j] - q[:, : j + 1] @ h[: j + 1]) / h[j + 1]
        return Matrix(q[:, 1:], _numbered(self.degree))


def _numbered(k: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, k + 1))


def _learn_poly(x: Value, degree: Value = 1.0, raw: Value = False, simple: Value = False) -> Poly:
    if isinstance(degree, (Numeric, Factor, Logical)):
        raise BrimError("poly() takes one column", hint="poly(x, 2) + poly(z, 2), or poly(x, 2):poly(z, 2)")
    k = within("basis", numbers(degree), "poly(degree = )")
    if k < 1:
        raise BrimError("poly(): the degree must be at least 1")
    values = _present(x, "poly()")
    if raw:
        return Poly(k, 0.0, 1.0, None)
    if len(np.unique(values)) <= k:
        raise BrimError(f"poly(): degree {k} needs more than {k} distinct values, and the column has {len(np.unique(values))}")
    center = float(np.mean(values))
    return Poly(k, center, 1 / np.sqrt(len(values)), orthonormal(values - center, k)[1])


@final
@dataclass(frozen=True)
class Spline:
    """B-splines on ``knots`` (boundary knots repeated), projected by ``basis (all splines, columns)``; ``natural`` is linear outside."""

    knots: Any
    degree: int
    basis: Any
    natural: bool

    def __call__(self, x: Value) -> Matrix:
        from scipy.interpolate import BSpline

        values = _column(x, "bs() and ns()")
        spline = BSpline(self.knots, self.basis, self.degree)
        if not self.natural:
            return Matrix(spline(values), _numbered(self.basis.shape[1]))
        inside = np.clip(values, self.knots[0], self.knots[-1])
        beyond = values - inside
        out = spline(inside)
        rows = np.flatnonzero(beyond)
        out[rows] += beyond[rows, None] * spline(inside[rows], 1)
        return Matrix(out, _numbered(self.basis.shape[1]))


def _knots(values: np.ndarray, inner: int, knots: Value, boundary: Value) -> tuple[np.ndarray, np.ndarray]:
    """Inner and boundary knots: as given, or ``inner`` quantiles of the values between the boundary knots."""
    ends = np.array([values.min(), values.max()]) if boundary is None else np.sort(_vector(boundary))
    if ends[0] == ends[1]:
        raise BrimError("a spline needs a column that varies", hint="leave the term out")
    if knots is not None:
        inside = np.sort(_vector(knots))
        if not ((inside > ends[0]) & (inside < ends[1])).all():
            raise BrimError(
                f"the knots must lie between the boundary knots {ends[0]:g} and {ends[1]:g}",
                hint="these are the ends of the data; Boundary.knots = c(a, b) sets others",
            )
        return inside, ends
    between = values[(values >= ends[0]) & (values <= ends[1])]
    return np.quantile(between, np.linspace(0, 1, inner + 2)[1:-1]), ends


def _learn_bs(
    x: Value, df: Value = None, knots: Value = None, degree: Value = 3.0, intercept: Value = False, Boundary_knots: Value = None
) -> Spline:
    k = within("basis", numbers(degree), "bs(degree = )")
    inner = 0 if df is None else within("basis", numbers(df), "bs(df = )") - k - int(bool(intercept))
    if inner < 0:
        raise BrimError(f"bs(): df must be at least {k + int(bool(intercept))}")
    inside, ends = _knots(_present(x, "bs()"), inner, knots, Boundary_knots)
    t = np.concatenate([[ends[0]] * (k + 1), inside, [ends[1]] * (k + 1)])
    return Spline(t, k, np.eye(len(t) - k - 1)[:, 0 if intercept else 1 :], natural=False)


def _learn_ns(x: Value, df: Value = None, knots: Value = None, intercept: Value = False, Boundary_knots: Value = None) -> Spline:
    """Cubic splines whose second derivative is zero at both boundary knots."""
    from scipy.interpolate import BSpline

    inner = 0 if df is None else within("basis", numbers(df), "ns(df = )") - 1 - int(bool(intercept))
    if inner < 0:
        raise BrimError(f"ns(): df must be at least {1 + int(bool(intercept))}")
    inside, ends = _knots(_present(x, "ns()"), inner, knots, Boundary_knots)
    t = np.concatenate([[ends[0]] * 4, inside, [ends[1]] * 4])
    keep = np.eye(len(t) - 4)[:, 0 if intercept else 1 :]
    curvature = BSpline(t, keep, 3)(ends, 2)
    null = np.linalg.qr(curvature.T, mode="complete")[0][:, 2:]
    return Spline(t, 3, keep @ null, natural=True)


# ---- factors ---------------------------------------------------------------------------------------------------------------


def match_levels(factor: Factor, levels: tuple[str, ...], ordered: bool, what: str) -> Factor:
    """The factor coded by the learned levels; a level that was not there is an error that names it."""
    unseen = [level for level in factor.levels_used if level not in levels]
    if unseen:
        shown = ", ".join(f"'{level}'" for level in unseen[:5])
        one = "a level" if len(unseen) == 1 else "levels"
        close = near(unseen[0], levels)
        guess = f"did you mean '{close[0]}'? " if close else ""
        raise BrimError(
            f"{what} has {one} that the data of the fit did not have: {shown}",
            hint=f"{guess}known levels: {', '.join(levels[:20])}{', ...' if len(levels) > 20 else ''}",
        )
    return factor.recode(levels, ordered)


@final
@dataclass(frozen=True)
class Relabel:
    """``factor()``: old levels, what each is called now, and whether a value outside them is missing (levels given) or an error."""

    levels: tuple[str, ...]
    labels: tuple[str, ...]
    ordered: bool
    open: bool

    def __call__(self, x: Value) -> Factor:
        factor = as_factor(x)
        factor = factor.recode(self.levels, self.ordered) if self.open else match_levels(factor, self.levels, self.ordered, "factor()")
        names = tuple(dict.fromkeys(self.labels))
        table = np.array([names.index(label) for label in self.labels] + [-1], dtype=np.int32)
        return Factor(table[factor.codes], names, self.ordered)


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(level_name(v) for v in (value if isinstance(value, tuple) else (value,)))


def _learn_factor(x: Value, levels: Value = None, labels: Value = None, ordered: Value = None) -> Relabel:
    factor = as_factor(x)
    old = factor.levels_used if levels is None else _texts(levels)
    new = old if labels is None else _texts(labels)
    if len(new) == 1 and len(old) > 1:
        new = tuple(f"{new[0]}{i}" for i in range(1, len(old) + 1))
    if len(new) != len(old):
        raise BrimError(f"factor(): {len(new)} labels for {len(old)} levels")
    if not set(old) & set(factor.levels):
        raise BrimError(
            f"factor(): none of the levels {', '.join(old)} is in the column", hint=suggest(old[0], factor.levels, "its values")
        )
    return Relabel(old, new, factor.ordered if ordered is None else bool(ordered), open=levels is not None)


def _learn_ordered(x: Value, levels: Value = None, labels: Value = None) -> Relabel:
    return _learn_factor(x, levels, labels, True)


def _learn_as_factor(x: Value) -> Relabel:
    factor = as_factor(x)
    return Relabel(factor.levels, factor.levels, factor.ordered, open=False)


def _learn_droplevels(x: Value) -> Relabel:
    return _learn_factor(x)


@final
@dataclass(frozen=True)
class Cut:
    """Intervals between sorted ``breaks``, closed on the right or left; ``labels=None`` gives their numbers."""

    breaks: Any
    labels: tuple[str, ...] | None
    right: bool
    include_lowest: bool
    ordered: bool

    def __call__(self, x: Value) -> Value:
        values = _column(x, "cut()")
        codes = np.searchsorted(self.breaks, values, side="left" if self.right else "right") - 1
        if self.include_lowest:
            edge = self.breaks[0] if self.right else self.breaks[-1]
            codes[values == edge] = 0 if self.right else len(self.breaks) - 2
        codes[(codes < 0) | (codes > len(self.breaks) - 2) | np.isnan(values)] = -1
        if self.labels is None:
            return Numeric(np.where(codes < 0, np.nan, codes + 1.0), integer=True)
        return Factor(codes.astype(np.int32), self.labels, self.ordered)


def _learn_cut(
    x: Value,
    breaks: Value,
    labels: Value = None,
    include_lowest: Value = False,
    right: Value = True,
    dig_lab: Value = 3.0,
    ordered_result: Value = False,
) -> Cut:
    edges = np.sort(_vector(breaks))
    if edges.size == 1:
        edges = _equal_breaks(_present(x, "cut()"), within("columns", edges[0], "cut(breaks = )"))
    if len(np.unique(edges)) < len(edges):
        raise BrimError("cut(): the breaks are not unique")
    names: tuple[str, ...] | None = None
    if labels is None:
        names = _interval_names(edges, int(numbers(dig_lab)), bool(right), bool(include_lowest))
    elif labels is not False:
        names = _texts(labels)
        if len(names) != len(edges) - 1:
            raise BrimError(f"cut(): {len(names)} labels for {len(edges) - 1} intervals")
    return Cut(edges, names, bool(right), bool(include_lowest), bool(ordered_result))


def _equal_breaks(values: np.ndarray, k: int) -> np.ndarray:
    """``k`` intervals of equal length over the range, the outer edges moved out by a thousandth of it, as R does."""
    if k < 2:
        raise BrimError("cut(): at least two intervals, or a vector of breaks")
    low, high = values.min(), values.max()
    width = high - low
    if width == 0:
        width = abs(low)
        return np.linspace(low - width / 1000, high + width / 1000, k + 1)
    edges = np.linspace(low, high, k + 1)
    edges[0], edges[-1] = low - width / 1000, high + width / 1000
    return edges


def _interval_names(edges: np.ndarray, digits: int, right: bool, lowest: bool) -> tuple[str, ...]:
    """R's ``(a,b]``, with as many digits from ``digits`` on as tell the edges apart."""
    texts: list[str] = []
    for d in range(digits, max(12, digits) + 1):
        texts = ["Inf" if e == np.inf else "-Inf" if e == -np.inf else f"{e:.{d}g}" for e in edges]
        if len(set(texts)) == len(texts):
            break
    opening, closing = ("(", "]") if right else ("[", ")")
    names = [f"{opening}{a},{b}{closing}" for a, b in pairwise(texts)]
    if lowest and right:
        names[0] = "[" + names[0][1:]
    elif lowest:
        names[-1] = names[-1][:-1] + "]"
    return tuple(names)


# ---- summaries ---------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class ColumnSummary:
    """A number, or several, learned from the training data."""

    value: float | tuple[float, ...]

    def __call__(self, x: Value) -> Value:
        return self.value


def _complete(x: Value, what: str, na_rm: Value) -> np.ndarray:
    values = _present(x, what)
    if not na_rm and len(values) < len(_column(x, what)):
        raise BrimError(f"{what} of a column with missing values", hint="na.rm = TRUE leaves them out")
    return values


def _summary(name: str, fn: Callable[[np.ndarray], Any]) -> Callable[..., ColumnSummary]:
    def learn(x: Value, na_rm: Value = False) -> ColumnSummary:
        return ColumnSummary(float(fn(_complete(x, f"{name}()", na_rm))))

    return learn


def _learn_quantile(x: Value, probs: Value = (0.0, 0.25, 0.5, 0.75, 1.0), na_rm: Value = False) -> ColumnSummary:
    at = numbers(probs)
    if is_column(probs) or not np.all((np.asarray(at) >= 0) & (np.asarray(at) <= 1)):
        raise BrimError("quantile() takes probabilities from 0 to 1", hint="quantile(x, c(0.25, 0.5, 0.75))")
    found = np.quantile(_complete(x, "quantile()", na_rm), at)
    return ColumnSummary(tuple(found.tolist()) if np.ndim(found) else float(found))


#: Those that learn from which values there are only, and from the smallest and largest only.
LEVELS = ("factor", "ordered", "as.factor", "as.ordered", "droplevels")
RANGE = ("cut", "min", "max")

LEARNERS: dict[str, Callable[..., Transform]] = {
    "scale": _learn_scale,
    "center": _learn_center,
    "poly": _learn_poly,
    "bs": _learn_bs,
    "ns": _learn_ns,
    "factor": _learn_factor,
    "ordered": _learn_ordered,
    "as.factor": _learn_as_factor,
    "as.ordered": _learn_ordered,
    "droplevels": _learn_droplevels,
    "cut": _learn_cut,
    "mean": _summary("mean", np.mean),
    "median": _summary("median", np.median),
    "sd": _summary("sd", lambda v: np.std(v, ddof=1)),
    "var": _summary("var", lambda v: np.var(v, ddof=1)),
    "min": _summary("min", np.min),
    "max": _summary("max", np.max),
    "sum": _summary("sum", np.sum),
    "quantile": _learn_quantile,
}
