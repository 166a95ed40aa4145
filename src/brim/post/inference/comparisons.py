"""Predictions, comparisons and slopes on the response scale, row by row or averaged, with marginaleffects' names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, permutations
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import named, one_of
from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.frames.frame import Column, Frame, Numeric
from brim.post.effects.variables import Variable
from brim.post.inference.between import against, between, is_value
from brim.post.inference.grids import grid_frame, to_pandas, variables_of
from brim.post.inference.quantities import Ask, averaged, rows_of, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["avg_comparisons", "avg_predictions", "avg_slopes", "comparisons", "emmeans", "predictions", "slopes"]

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Ways to compare the prediction ``hi`` with ``lo``.
COMPARISONS: dict[str, Measure] = {
    "difference": lambda hi, lo: hi - lo,
    "ratio": lambda hi, lo: hi / lo,
    "lnratio": lambda hi, lo: np.log(hi / lo),
    "lnor": lambda hi, lo: np.log(hi / (1 - hi)) - np.log(lo / (1 - lo)),
    "lift": lambda hi, lo: (hi - lo) / lo,
}
SLOPES = ("dydx", "eyex", "eydx", "dyex")
_NUMERIC = ("sd", "2sd", "iqr", "minmax")
_FACTOR = ("reference", "pairwise", "sequential", "revreference", "revpairwise", "revsequential", "all", "minmax")


@final
@dataclass(frozen=True)
class _Contrast:
    """Two values of a variable: in every row ``lo`` and ``hi``, ``(rows,)`` columns."""

    term: str
    label: str
    lo: Column
    hi: Column


@named
def predictions(
    fit: FitRecord,
    newdata: Any = None,
    *,
    by: Any = False,
    re: str = "conditional",
    hypothesis: Any = None,
    summary: bool = True,
    **kwargs: Any,
) -> Any:
    """Expected responses, row by row or averaged.

    Parameters
    ----------
    newdata
        Rows; the training rows by default, ``"mean"`` and ``"balanced"`` are grids (``datagrid``).
    by
        ``True`` averages over all rows, names of columns over rows alike in them.
    re
        Group effects: ``"conditional"`` those of the rows' groups, ``"population"`` none, ``"integrated"`` averaged over the law of new
        groups, by quadrature.
    hypothesis
        What is asked about the rows of the table instead, computed draw by draw: an equation (or a list of them) in ``b1``, ``b2``, ...,
        its first, second, ... row, or in its terms where they differ: ``"b1 = b2"``, ``"b2 / b1 = 1"``, left side minus right side;
        ``"reference"`` (each row minus the first), ``"sequential"`` (minus the one before), ``"pairwise"`` (each minus all after it, of
        at most 25 rows), their negatives ``"revreference"``, ...; weights of the rows, ``(rows,)`` or ``(rows, hypotheses)``. A number
        leaves the rows as they are, and adds ``p_direction``: the share of draws above it, or below it, the larger of both.
    summary
        ``False`` gives the draws ``(draws, rows[, categories])``, of hypotheses ``(draws, hypotheses)``.
    kwargs
        ``resp``, ``dpar``, ``conf_level``, ``robust``, ``ndraws``, ``draw_ids``, ``seed``.

    Returns
    -------
    pandas.DataFrame
        ``[rowid] [group] estimate std_error conf_low conf_high`` and the rows' own columns; of hypotheses
        ``term estimate std_error conf_low conf_high``.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("epilepsy")
    >>> fit = brim.brm("count ~ zAge + (1 | patient)", data, family="poisson", chains=2, iter=400, seed=1, progress=False)
    >>> table = fit.predictions(brim.datagrid(fit, zAge=[-1, 1]), re="integrated")
    >>> list(table.columns)
    ['rowid', 'estimate', 'std_error', 'conf_low', 'conf_high', 'zAge', 'patient']
    >>> ratio = fit.predictions(brim.datagrid(fit, zAge=[-1, 1]), re="population", hypothesis="b2 / b1 = 1")
    >>> ratio["term"].item()
    'b2/b1=1'
    """
    ask = Ask.read("predictions", re, kwargs)
    frame = rows_of(fit, newdata, ask.resp)
    draws, labels = averaged(ask.draws(fit, frame), frame, by)
    if hypothesis is not None and not is_value(hypothesis):
        return between(hypothesis, [draws], (), ask, summary)
    if not summary:
        return draws
    first: dict[str, Any] = {"rowid": np.arange(draws.shape[1])} if labels is None else {}
    shown = table(draws, ask, first, _own(fit, frame, ask.resp) if labels is None else labels, _categories(fit, ask))
    return shown if hypothesis is None else against(hypothesis, shown, [draws])


@named
def comparisons(
    fit: FitRecord,
    variables: Any = None,
    newdata: Any = None,
    *,
    comparison: str | Measure = "difference",
    by: Any = False,
    re: str = "conditional",
    hypothesis: Any = None,
    summary: bool = True,
    **kwargs: Any,
) -> Any:
    """How the expected response changes with a variable, the others as they are in each row.

    Parameters
    ----------
    variables
        Names, or a mapping of names to contrasts. Of numbers: a step (``1``: "+1", the default; numbers that are 0 and 1 only compare
        these), two values ``[low, high]``, ``"sd"`` and ``"2sd"`` (one and two standard deviations about the mean of the data),
        ``"iqr"``, ``"minmax"``. Of factors: ``"reference"`` (each level with the first, the default), ``"sequential"``, ``"pairwise"``,
        their reverse (``"revpairwise"``), ``"all"``, ``"minmax"`` (the last with the first), or two levels. All variables of the
        population-level terms by default.
    newdata, by, re, hypothesis, summary, kwargs
        As for ``predictions``.
    comparison
        ``"difference"``, ``"ratio"``, ``"lnratio"``, ``"lnor"`` (log odds ratio), ``"lift"``, or a function of the draws ``(hi, lo)``.
        With ``by`` predictions are averaged first and then compared.

    Returns
    -------
    pandas.DataFrame
        ``[rowid] term contrast [group] estimate std_error conf_low conf_high`` and the rows' own columns; of hypotheses as for
        ``predictions``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("count ~ zAge + Trt", brim.load_data("epilepsy"), family="poisson", chains=2, iter=400, seed=1, progress=False)
    >>> fit.avg_comparisons("Trt")[["term", "contrast"]].to_numpy().tolist()
    [['Trt', '1 - 0']]
    """
    measure = comparison if callable(comparison) else COMPARISONS[one_of("comparison", comparison, COMPARISONS, "comparisons")]
    ask = Ask.read("comparisons", re, kwargs)
    frame = rows_of(fit, newdata, ask.resp)
    sign = {"ratio": " / ", "lnratio": " / ", "lnor": " / "}.get(comparison if isinstance(comparison, str) else "", " - ")
    found = [c for name, how in _asked(fit, variables, ask).items() for c in _contrasts(_known(fit, ask)[name], how, frame, sign)]
    return _compared(fit, frame, found, [measure] * len(found), ask, by, hypothesis, summary)


@named
def slopes(
    fit: FitRecord,
    variables: Any = None,
    newdata: Any = None,
    *,
    slope: str = "dydx",
    eps: float = 1e-4,
    by: Any = False,
    re: str = "conditional",
    hypothesis: Any = None,
    summary: bool = True,
    **kwargs: Any,
) -> Any:
    """Partial derivatives of the expected response, by central differences of ``eps`` times the variable's range.

    ``slope`` is ``"dydx"``, or an elasticity: ``"eyex"``, ``"eydx"``, ``"dyex"``. Factors have contrasts with their first level.
    Other arguments and the result are those of ``comparisons``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.slopes("Days", newdata={"Days": [0, 5]})["estimate"].round().tolist()
    [10.0, 10.0]
    """
    one_of("slope", slope, SLOPES, "slopes")
    ask = Ask.read("slopes", re, kwargs)
    frame = rows_of(fit, newdata, ask.resp)
    found: list[_Contrast] = []
    measures: list[Measure] = []
    for name in _asked(fit, variables, ask):
        variable = _known(fit, ask)[name]
        if variable.kind == "factor":
            factor = _contrasts(variable, None, frame, " - ")
            found += factor
            measures += [COMPARISONS["difference"]] * len(factor)
        else:
            x = frame[name].numbers
            step = eps * ((variable.moments.high - variable.moments.low) or 1.0)
            found.append(_Contrast(name, _SLOPE_LABELS[slope], Numeric(x - step / 2), Numeric(x + step / 2)))
            measures.append(_derivative(slope, x, step))
    return _compared(fit, frame, found, measures, ask, by, hypothesis, summary, each_row=True)


_SLOPE_LABELS = {"dydx": "dY/dX", "eyex": "eY/eX", "eydx": "eY/dX", "dyex": "dY/eX"}


def _derivative(slope: str, x: np.ndarray, step: float) -> Measure:
    def measure(hi: np.ndarray, lo: np.ndarray) -> np.ndarray:
        at = x[:, None] if hi.ndim == 3 else x
        change = (hi - lo) / step
        change = change / (0.5 * (hi + lo)) if slope.startswith("ey") else change
        return np.asarray(change * at if slope.endswith("ex") else change)

    return measure


@named
def avg_predictions(fit: FitRecord, newdata: Any = None, *, by: Any = True, **kwargs: Any) -> Any:
    """``predictions`` averaged over all rows, or over rows alike in the columns ``by``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> len(fit.avg_predictions())
    1
    """
    return predictions(fit, newdata, by=by, **kwargs)


@named
def avg_comparisons(fit: FitRecord, variables: Any = None, newdata: Any = None, *, by: Any = True, **kwargs: Any) -> Any:
    """``comparisons`` averaged over all rows, or over rows alike in the columns ``by``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.avg_comparisons("Days")[["term", "contrast"]].values.tolist()
    [['Days', '+1']]
    """
    return comparisons(fit, variables, newdata, by=by, **kwargs)


@named
def avg_slopes(fit: FitRecord, variables: Any = None, newdata: Any = None, *, by: Any = True, **kwargs: Any) -> Any:
    """``slopes`` averaged over all rows, or over rows alike in the columns ``by``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.avg_slopes("Days")["estimate"].round().item()
    10.0
    """
    return slopes(fit, variables, newdata, by=by, **kwargs)


@named
def emmeans(fit: FitRecord, specs: Any, *, re: str = "population", **kwargs: Any) -> Any:
    """Marginal means: predictions on a grid of all levels of all factors, numbers at their mean, averaged with equal weights by ``specs``.

    ``specs`` are one or several factors; other arguments are those of ``predictions``.

    Examples
    --------
    >>> import brim
    >>> import pandas as pd
    >>> empty = brim.brm("count ~ zAge + Trt", brim.load_data("epilepsy"), family="poisson", empty=True)
    >>> fit = empty.with_draws(pd.DataFrame({name: [0.1, 0.2] for name in empty.variables()}))
    >>> fit.emmeans("Trt")["Trt"].tolist()
    ['0', '1']
    """
    grid = grid_frame(fit, "balanced", kwargs.get("resp"), {})
    return predictions(fit, to_pandas(grid), by=specs, re=re, **kwargs)


# --------------------------------------------------------------------------- what is compared


def _known(fit: FitRecord, ask: Ask) -> Mapping[str, Variable]:
    return variables_of(fit, ask.resp).known


def _asked(fit: FitRecord, variables: Any, ask: Ask) -> dict[str, Any]:
    """Variables, each with its contrast (``None``: the default)."""
    known = variables_of(fit, ask.resp)
    if variables is None:
        shown = [v for v in known.known if any(v in effect for effect in known.effects)]
        return dict.fromkeys(shown)
    asked = dict(variables) if isinstance(variables, Mapping) else dict.fromkeys([variables] if isinstance(variables, str) else variables)
    for name in asked:
        if name not in known.known:
            raise BrimError(f"variables: the model has no variable '{name}'", hint=suggest(str(name), known.known, "variables"))
    return asked


def _contrasts(variable: Variable, how: Any, frame: Frame, sign: str) -> list[_Contrast]:
    n = frame.n
    if variable.name not in frame:
        raise BrimError(f"the rows have no column '{variable.name}'")

    def held(value: Any) -> Column:
        return variable.read([value]).take(np.zeros(n, int))

    def fixed(low: Any, high: Any, label: str = "") -> _Contrast:
        return _Contrast(variable.name, label or f"{_text(high)}{sign}{_text(low)}", held(low), held(high))

    if isinstance(how, list | tuple | np.ndarray):
        if len(how) != 2:
            raise BrimError(f"variables: '{variable.name}' has {len(how)} values", hint="give two: [low, high]")
        return [fixed(*how)]
    if variable.kind == "factor":
        return [fixed(a, b) for a, b in _pairs(variable, how)]
    if how is None and variable.binary:
        return [fixed(0, 1)]
    if isinstance(how, str):
        one_of(f"variables['{variable.name}']", how, _NUMERIC, "contrasts")
        return [_spread(variable, how, fixed)]
    step = 1 if how is None else float(how)
    x = frame[variable.name].numbers
    return [_Contrast(variable.name, f"+{_text(step)}", Numeric(x), Numeric(x + step))]


def _spread(variable: Variable, how: str, fixed: Callable[..., _Contrast]) -> _Contrast:
    """Between two values that follow from the training data: the same in all rows."""
    moments = variable.moments
    if how == "minmax":
        return fixed(moments.low, moments.high, "Max - Min")
    if how == "iqr":
        return fixed(*np.quantile(variable.numbers, [0.25, 0.75]), "Q3 - Q1")
    half = moments.sd * (0.5 if how == "sd" else 1.0)
    label = "(x + sd/2) - (x - sd/2)" if how == "sd" else "(x + sd) - (x - sd)"
    return fixed(variable.mean - half, variable.mean + half, label)


def _pairs(variable: Variable, how: Any) -> Iterator[tuple[Any, Any]]:
    """Pairs of levels, from the first of each to the second."""
    labels = list(variable.distinct.as_factor().labels)
    how = one_of(f"variables['{variable.name}']", "reference" if how is None else how, _FACTOR, "contrasts")
    pairs = {
        "reference": [(labels[0], level) for level in labels[1:]],
        "sequential": list(pairwise(labels)),
        "pairwise": list(combinations(labels, 2)),
        "all": list(permutations(labels, 2)),
        "minmax": [(labels[0], labels[-1])],
    }
    yield from pairs[how] if how in pairs else ((b, a) for a, b in pairs[how.removeprefix("rev")])


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _compared(
    fit: FitRecord,
    frame: Frame,
    found: list[_Contrast],
    measures: list[Measure],
    ask: Ask,
    by: Any,
    hypothesis: Any,
    summary: bool,
    each_row: bool = False,
) -> Any:
    """All contrasts, one below the other. ``each_row``: rows are compared before they are averaged."""
    import pandas as pd

    if not found:
        raise BrimError("the model has no variables to compare")
    own = _own(fit, frame, ask.resp)
    tables, draws = [], []
    for contrast, measure in zip(found, measures, strict=True):
        hi, lo = (ask.draws(fit, frame.with_columns({contrast.term: c})) for c in (contrast.hi, contrast.lo))
        if each_row:
            change, labels = averaged(measure(hi, lo), frame, by)
        else:
            (hi, labels), (lo, _) = averaged(hi, frame, by), averaged(lo, frame, by)
            change = measure(hi, lo)
        draws.append(change)
        first: dict[str, Any] = {"rowid": np.arange(change.shape[1])} if labels is None else {}
        first |= {"term": contrast.term, "contrast": contrast.label}
        tables.append(table(change, ask, first, own if labels is None else labels, _categories(fit, ask)))
    if hypothesis is not None and not is_value(hypothesis):
        return between(hypothesis, draws, [c.term for c in found], ask, summary)
    if not summary:
        return np.concatenate(draws, axis=1)
    shown = pd.concat(tables, ignore_index=True)
    return shown if hypothesis is None else against(hypothesis, shown, draws)


def _own(fit: FitRecord, frame: Frame, resp: str | None) -> pd.DataFrame:
    """The columns of the rows that the model reads."""
    known = variables_of(fit, resp)
    return to_pandas(frame, [n for n in frame.names if n in known.known or n in known.groups])


def _categories(fit: FitRecord, ask: Ask) -> tuple[str, ...]:
    response = fit.model.response(ask.resp)
    return tuple(response.family.categories) or tuple(response.response.levels)
