"""``pp_check``: what a user calls, its arguments checked and its numbers gathered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from brim.arguments import named, number, one_of, whole
from brim.errors import BrimError, suggest, warn
from brim.families.kinds import Kind
from brim.fit.record import FitRecord
from brim.frames.frame import Frame, Numeric
from brim.language.expand import deparse
from brim.model.model import ResponseModel
from brim.post.censoring import Censoring
from brim.post.comparison.importance import log_weights
from brim.post.comparison.pointwise import Pointwise
from brim.post.observed import observed_frame
from brim.post.plots.figures import BaseFigure, Canvas, drawing
from brim.post.plots.predictive.check import HANG, STATS, CheckData
from brim.post.plots.predictive.table import PANELS, draw
from brim.post.predict import predict

__all__ = ["pp_check"]

#: bayesplot's further names of types.
_SAME = {
    "error_scatter_avg_vs_x": "error_scatter_avg",
    "freqpoly_overlay": "freqpoly",
    "loo_pit": "loo_pit_overlay",
    "scatter": "scatter_avg",
}
#: Distinct whole numbers up to which a response is shown value by value.
_FEW = 60


@named
def pp_check(
    fit: FitRecord,
    type: str = "dens_overlay",
    *,
    ndraws: int | None = None,
    group: str | None = None,
    x: str | None = None,
    stat: Any = None,
    prob: float = 0.5,
    prob_outer: float = 0.9,
    bins: int = 30,
    hang: str = "standing",
    ncol: int | None = None,
    newdata: Any = None,
    resp: str | None = None,
    re_formula: Any = None,
    allow_new_levels: bool = False,
    sample_new_levels: str = "uncertainty",
    draw_ids: Any = None,
    seed: int | None = None,
    ax: Any = None,
    figsize: Any = None,
) -> BaseFigure:
    """Posterior predictive check: observed responses against responses replicated by the model.

    Parameters
    ----------
    fit
        A fit with draws.
    type
        - ``"dens_overlay"``: densities (shares of whole numbers where these are few); ``"ecdf_overlay"``: distribution functions;
          ``"hist"``: histograms;
        - ``"bars"``: frequencies of whole numbers or categories, with intervals;
        - ``"stat"``, ``"stat_2d"``: the replicated distribution of one or two statistics, and their observed values;
        - ``"intervals"``, ``"ribbon"``: every observation with its predictive intervals, in order or over ``x``;
        - ``"rootogram"``: square roots of counts and of their expectation; ``"freqpoly"``, ``"boxplot"``, ``"violin_grouped"``;
        - ``"scatter_avg"``: observations against their mean replication; ``"error_scatter_avg"``: the difference against the observation
          or ``x``; ``"error_scatter"``, ``"error_hist"``: observed minus replicated; ``"error_binned"``: mean errors in bins of the mean
          replication;
        - ``"pit_ecdf"``: whether observations are uniform in their predictive distributions, with a band for whole curves;
          ``"loo_pit_overlay"``, ``"loo_pit_qq"``, ``"loo_pit_ecdf"``, ``"loo_intervals"``, ``"loo_ribbon"``: each observation left out;
        - ``"km_overlay"``: Kaplan-Meier curves of observed (censored as in the data) and replicated times.

        Most have a form for groups, ``"stat_grouped"``: one panel for each level of ``group``.
    ndraws, draw_ids
        How many random draws, or which. By default 10 for overlays, 8 or 9 for histograms, all for the others.
    group, x
        Columns: one panel for each level; the x axis.
    stat
        A name (``mean median sd var mad min max q5 q25 q75 q95 prop_zero``), a function of one sample, or a pair for ``stat_2d``.
        By default the mean, and mean and sd.
    prob, prob_outer
        Probabilities of the inner and outer intervals.
    bins
        Bins of histograms.
    hang
        Bars of a rootogram: ``"standing"``, ``"hanging"`` from the expected counts, or ``"suspended"`` (the difference).
    ncol
        Columns of panels.
    newdata, resp, re_formula, allow_new_levels, sample_new_levels, seed
        As in ``Fit.posterior_predict``; ``newdata`` must hold the response. Rows where it is missing are left out.
    ax, figsize
        Axes of yours to draw in, as many as there are panels, or width and height of a new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        It shows itself in notebooks; ``plt.show()`` shows it on a display; ``savefig`` writes it.

    Raises
    ------
    BrimError
        For a type, column or statistic that does not exist, or a type that does not fit the response.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=600, seed=1, progress=False)
    >>> len(fit.pp_check(ndraws=5, seed=1).axes[0].lines)
    6
    """
    kind, canvas = _kind(type, group), Canvas.of(ax, figsize)
    prob, prob_outer = (number(name, p, above=0, below=1) for name, p in (("prob", prob), ("prob_outer", prob_outer)))
    bins, ncol = whole("bins", bins, least=1), None if ncol is None else whole("ncol", ncol, least=1)
    if prob > prob_outer:
        raise BrimError(f"prob = {prob}, prob_outer = {prob_outer}", hint="they lie between 0 and 1, prob is the smaller")
    response = fit.model.response(resp)
    rows, y = _observed(fit, response, newdata)
    columns = {name: _column(rows, name) for name in (group, x) if name is not None}
    if ndraws is None and draw_ids is None and PANELS[kind].ndraws is not None:
        ndraws = min(PANELS[kind].ndraws or 0, fit.draws.chains * fit.draws.draws)
    yrep = predict(
        fit,
        "predict",
        newdata if newdata is None else rows,
        resp=response.name,
        re_formula=re_formula,
        allow_new_levels=allow_new_levels,
        sample_new_levels=sample_new_levels,
        ndraws=ndraws,
        draw_ids=draw_ids,
        seed=seed,
    )
    seen = ~np.isnan(y)
    if not seen.any():
        raise BrimError(f"no observation of '{response.name}' is there to be checked")
    if not seen.all():  # estimated by mi(): there is nothing to compare the replications with
        y, yrep, columns = y[seen], yrep[:, seen], {name: column.take(seen) for name, column in columns.items()}
    data = response.response.design(rows, response.family)
    censored, entered = Censoring.of(data), np.broadcast_to(data["lb"], seen.shape)[seen] if "lb" in data else None
    check = replace(_check(response, kind, y, yrep, stat, (prob, prob_outer), bins), entered=entered, hang=one_of("hang", hang, HANG))
    if PANELS[kind].weighted:
        if ndraws is not None or draw_ids is not None:
            raise BrimError(f"'{type}' weights all draws", hint="leave ndraws and draw_ids out")
        given = {"re_formula": re_formula, "allow_new_levels": allow_new_levels}
        check = replace(check, log_weights=log_weights(Pointwise(fit, newdata if newdata is None else rows, response.name, given))[0])
    if censored is not None and (n := int(np.count_nonzero(censored.codes[seen]))):
        check = replace(check, censored=censored.rows(seen))
        if not PANELS[kind].censors:
            warn(f"{n} of {len(y)} observations are censored, and '{type}' shows them at their limits; 'km_overlay' and 'intervals' tell")
    if x is not None:
        check = _over(check, x, columns[x])
    if kind == "bars" and not _whole(y):
        raise BrimError(f"bars count distinct values, and '{check.label}' is continuous", hint="use type='dens_overlay' or 'hist'")
    with drawing():
        return draw(kind, check, _groups(columns, group), group or "", ncol, canvas)


def _kind(type: str, group: str | None) -> str:
    """The type without ``_grouped``."""
    names = [*PANELS, *_SAME, *(f"{name}_grouped" for name, panel in PANELS.items() if not panel.multiples)]
    if type not in names:
        raise BrimError(f"pp_check has no type '{type}'", hint=suggest(str(type), names, "types"))
    type = _SAME.get(type, type)
    kind = type.removesuffix("_grouped")
    if kind != type and group is None:
        raise BrimError(f"'{type}' needs a grouping column", hint="say which: group='g'")
    if group is not None and PANELS[kind].multiples:
        raise BrimError(f"'{type}' has a panel for every draw and takes no group", hint="use dens_overlay or ecdf_overlay")
    return kind


def _observed(fit: FitRecord, response: ResponseModel, newdata: Any) -> tuple[Frame, np.ndarray]:
    """The rows that are replicated, and the responses observed there."""
    frame = observed_frame(fit, response, newdata)
    y = np.asarray(response.response.design(frame, response.family)["y"], float)
    if y.ndim > 1:
        raise BrimError(f"each observation of '{response.name}' is a vector; pp_check shows single numbers")
    return frame, y


def _column(frame: Frame, name: str) -> Any:
    if name not in frame:
        raise BrimError(f"the data have no column '{name}'", hint=suggest(name, [n for n in frame.names if n != "Intercept"], "columns"))
    return frame[name]


def _groups(columns: Mapping[str, Any], group: str | None) -> dict[str, np.ndarray]:
    if group is None:
        return {}
    factor = columns[group].as_factor().drop_unused()
    return {level: np.flatnonzero(factor.codes == i) for i, level in enumerate(factor.levels)}


def _over(check: CheckData, name: str, column: Any) -> CheckData:
    if not isinstance(column, Numeric):
        raise BrimError(f"x = '{name}' is not numeric", hint="show its levels with group=")
    return replace(check, x=column.values, x_label=name)


def _check(
    response: ResponseModel, kind: str, y: np.ndarray, yrep: np.ndarray, stat: Any, probs: tuple[float, float], bins: int
) -> CheckData:
    family = response.family
    bounds = {"positive": (0.0, np.inf), "count": (0.0, np.inf), "proportion": (0.0, 1.0)}.get(family.kind, (-np.inf, np.inf))
    whole = family.kind.whole
    low, high = np.quantile(yrep, [0.001, 0.999])
    return CheckData(
        y=y,
        yrep=np.asarray(yrep, float),
        window=(min(float(y.min()), float(low)), max(float(y.max()), float(high))),
        label=deparse(response.response.node),
        discrete=whole and np.ptp(np.concatenate([y, np.ravel(yrep)])) < _FEW,
        bounds=bounds,
        levels=_levels(response, y, yrep),
        stats=_stats(stat, 2 if kind == "stat_2d" else 1),
        prob=probs[0],
        prob_outer=probs[1],
        bins=bins,
    )


def _levels(response: ResponseModel, y: np.ndarray, yrep: np.ndarray) -> dict[int, str]:
    """The categories' names by number: from 0 for two, from 1 for more."""
    if not response.family.kind.coded:
        return {}
    first = 0 if response.family.kind is Kind.BINARY else 1
    last = int(max(y.max(), np.max(yrep), first + 1))
    names = response.response.levels or tuple(str(i) for i in range(first, last + 1))
    return {first + i: name for i, name in enumerate(names)}


def _whole(y: np.ndarray) -> bool:
    return bool(np.all(y == np.floor(y)))


def _stats(stat: Any, n: int) -> tuple[tuple[str, Callable[[np.ndarray], Any]], ...]:
    """Names and functions of the statistics: functions of the user see one sample at a time."""
    given = ("mean", "sd")[:n] if stat is None else (stat,) if isinstance(stat, str) or callable(stat) else tuple(stat)
    if len(given) != n:
        raise BrimError(f"{len(given)} statistics given, {n} needed")
    return tuple(_named(one) for one in given)


def _named(stat: Any) -> tuple[str, Callable[[np.ndarray], Any]]:
    if callable(stat):
        return getattr(stat, "__name__", "statistic"), lambda a: np.apply_along_axis(stat, -1, a)
    if stat not in STATS:
        raise BrimError(f"no statistic '{stat}'", hint=suggest(str(stat), STATS, "statistics") + " A function will do too.")
    return str(stat), STATS[stat]
