"""Predictions of joint models: survival curves and trajectories, of known subjects and of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.arguments import named
from brim.compile.session import float64
from brim.errors import BrimError, suggest
from brim.frames.frame import Frame
from brim.language.expand import deparse
from brim.linalg import solve_lower
from brim.model.model import ResponseModel
from brim.post.predict import pick_draws
from brim.rstanarm.joint.build import rows_by_subject
from brim.rstanarm.joint.draws import over_draws
from brim.rstanarm.joint.event import label_of
from brim.rstanarm.joint.modes import metropolis, mode
from brim.rstanarm.joint.plots import Shown, predicted
from brim.rstanarm.joint.process import Trajectories
from brim.rstanarm.joint.quadrature import nodes_in

if TYPE_CHECKING:
    import pandas as pd

    from brim.rstanarm.joint.jm import JmFit

__all__ = ["posterior_survfit", "posterior_traj"]


@final
@dataclass(frozen=True)
class Subjects:
    """Those to predict for: their markers' rows, event predictors, and when each was last known to be at risk."""

    paths: Trajectories
    labels: tuple[str, ...]
    x: np.ndarray
    last: np.ndarray
    codes: np.ndarray


def _known(fit: JmFit, ids: Sequence[Any] | None) -> Subjects:
    """Subjects of the data: all, or these."""
    joint, events = fit.parts, fit.parts.events
    labels = events.subjects if ids is None else tuple(str(i) for i in ids)
    missing = next((v for v in labels if v not in events.subjects), None)
    if missing is not None:
        raise BrimError(f"there is no subject '{missing}'", hint=suggest(missing, events.subjects, "subjects"))
    at = [int(np.flatnonzero(events.subject == events.subjects.index(v))[-1]) for v in labels]
    return Subjects(joint.paths, labels, events.x[at], events.stop[at], _codes(fit, labels))


def _codes(fit: JmFit, labels: Sequence[str]) -> np.ndarray:
    block = next(b for b in fit.model.blocks if b.grouping.label == fit.parts.id_var)
    level = {v: i for i, v in enumerate(block.grouping.levels)}
    return np.array([level.get(v, 0) for v in labels])


def _flat(fit: JmFit, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Reported quantities of these draws."""
    return {k: v[ids] for k, v in fit.draws.flat().items()}


# --------------------------------------------------------------------------- survival


@named
def posterior_survfit(
    fit: JmFit,
    newdata_long: Any = None,
    newdata_event: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    times: Any = None,
    extrapolate: bool = True,
    condition: bool | None = None,
    last_time: Any = None,
    standardise: bool = False,
    epoints: int = 15,
    prob: float = 0.95,
    ndraws: int | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """Survival probabilities ``exp(-int h)`` of subjects, given their own effects.

    Parameters
    ----------
    fit
        A joint model.
    newdata_long, newdata_event
        Rows of new subjects; their effects are drawn from ``p(b | rows, at risk until last_time)`` for each draw of the parameters.
    ids
        Some subjects of the data.
    times
        Where to predict from: one time for all or one for each; when each was last observed by default.
    extrapolate
        Predict at ``epoints`` equidistant times from there to the longest observed time; ``False``: at ``times`` alone.
    condition
        Divide by the probability at the subject's last time; by default where ``extrapolate`` and not ``standardise``.
    last_time
        The column of ``newdata_event`` that says until when a new subject is known to be at risk, or a number.
    standardise
        The mean over all subjects, of each draw, without conditions.
    prob
        Probability of the intervals.
    ndraws, seed
        That many draws at random; seed of what is random.

    Returns
    -------
    pandas.DataFrame
        ``id``, the time, ``survpred`` (median), ``ci_lb``, ``ci_ub``; its ``plot(ids=, limits="ci")`` draws the curves.

    Examples
    --------
    >>> import brim
    >>> long, event = brim.load_data("pbcLong"), brim.load_data("pbcSurv")
    >>> args = ("logBili ~ year + (1 | id)", long, "Surv(futimeYears, death) ~ sex + trt", event, "year")
    >>> fit = brim.rstanarm.stan_jm(*args, chains=1, iter=200, seed=1, progress=False)
    >>> float(brim.rstanarm.posterior_survfit(fit, ids=[2], epoints=3)["survpred"].iloc[0])
    1.0
    """
    import pandas as pd

    seed = int(np.random.default_rng().integers(2**31)) if seed is None else int(seed)
    total = fit.draws.chains * fit.draws.draws
    draws = _flat(fit, pick_draws(total, ndraws, None, seed))
    if newdata_long is None:
        who = _known(fit, ids)
    else:
        who, draws = _new(fit, newdata_long, newdata_event, last_time, draws, seed)
    conditional = (extrapolate and not standardise) if condition is None else condition
    grid = _grid(fit, who, times, extrapolate, standardise, epoints)
    survival = _survival(fit, who, draws, grid, who.last if conditional else np.zeros(len(who.labels)))
    label = pd.DataFrame({fit.parts.id_var: np.repeat(who.labels, grid.shape[1]), fit.parts.paths.time_var: grid.ravel()})
    if standardise:
        survival, label = survival.mean(axis=1), pd.DataFrame({fit.parts.paths.time_var: grid[0]})
    flat = survival.reshape(len(survival), -1)
    low, middle, high = np.quantile(flat, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=0)
    last = dict(zip(who.labels, who.last.tolist(), strict=True)) if not conditional and not standardise else {}
    what = "survival" if not conditional else "survival given survival so far"
    shown = Shown("" if standardise else fit.parts.id_var, fit.parts.paths.time_var, "survpred", what, {"ci": ("ci_lb", "ci_ub")}, {}, last)
    return predicted({**label, "survpred": middle, "ci_lb": low, "ci_ub": high}, shown)


def _grid(fit: JmFit, who: Subjects, times: Any, extrapolate: bool, standardise: bool, epoints: int) -> np.ndarray:
    """Times (subjects, points)."""
    n = len(who.labels)
    start = who.last if times is None else np.broadcast_to(np.asarray(times, float), (n,))
    if standardise and np.ptp(start) > 0:
        raise BrimError("standardise = TRUE needs one time for all subjects", hint="say times=0")
    if not extrapolate:
        return np.asarray(start, float)[:, None]
    end = float(fit.parts.events.stop.max())
    return start[:, None] + (end - start)[:, None] * np.linspace(0.0, 1.0, epoints)


def _survival(fit: JmFit, who: Subjects, draws: Mapping[str, Any], grid: np.ndarray, since: np.ndarray) -> np.ndarray:
    """``exp(-int_since^t h)``, (draws, subjects, times); above 1 before ``since``."""
    process, (n, k) = fit.parts.process, grid.shape
    t, weight = nodes_in(np.repeat(since, k), grid.ravel(), 15)
    rows = np.repeat(np.repeat(np.arange(n), k), t.shape[1])
    subjects = [who.labels[i] for i in rows]
    points = process.points(who.paths, who.x[rows], subjects, who.codes[rows], t.ravel(), fit.parts.lag)

    def one(params: Any, data: Any) -> Any:
        h = jnp.exp(process.log_hazard(params, data["points"])).reshape(data["weight"].shape)
        return jnp.exp(-jnp.sum(data["weight"] * h, axis=1))

    return over_draws(("survival", process), one, draws, {"points": points, "weight": weight}).reshape(-1, n, k)


# --------------------------------------------------------------------------- trajectories


@named
def posterior_traj(
    fit: JmFit,
    m: int = 1,
    newdata_long: Any = None,
    newdata_event: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    last_time: Any = None,
    interpolate: bool = True,
    extrapolate: bool = False,
    ipoints: int = 15,
    epoints: int = 15,
    eprop: float = 0.2,
    prob: float = 0.95,
    ndraws: int | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """A marker's trajectory: its mean given the subject's effects, and new observations around it.

    Parameters
    ----------
    fit
        A joint model.
    m
        Number of the marker, from 1.
    newdata_long, newdata_event, ids, last_time, prob, ndraws, seed
        As in ``posterior_survfit``.
    interpolate
        Predict at ``ipoints`` equidistant times from 0 to the last time; ``False``: at the times of the data.
    extrapolate
        Go on for ``eprop`` of that time, at ``epoints`` times.

    Returns
    -------
    pandas.DataFrame
        ``id``, the time, ``yfit`` (median of the mean), ``ci_lb``, ``ci_ub``, and ``pi_lb``, ``pi_ub`` of new observations; its
        ``plot(ids=, limits="ci")`` draws the curves and what was observed.

    Examples
    --------
    >>> import brim
    >>> long, event = brim.load_data("pbcLong"), brim.load_data("pbcSurv")
    >>> args = ("logBili ~ year + (1 | id)", long, "Surv(futimeYears, death) ~ sex + trt", event, "year")
    >>> fit = brim.rstanarm.stan_jm(*args, chains=1, iter=200, seed=1, progress=False)
    >>> brim.rstanarm.posterior_traj(fit, ids=[2, 25], seed=1).shape
    (30, 7)
    """
    markers = fit.model.responses
    if not 1 <= m <= len(markers):
        raise BrimError(f"m = {m}: the model has {len(markers)} markers")
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else int(seed)
    draws = _flat(fit, pick_draws(fit.draws.chains * fit.draws.draws, ndraws, None, seed))
    if newdata_long is None:
        who = _known(fit, ids)
    else:
        who, draws = _new(fit, newdata_long, newdata_event, last_time, draws, seed)
    labels, times = _traj_times(who, m - 1, interpolate, ipoints, epoints if extrapolate else 0, eprop)
    design = who.paths.at(m - 1, labels, times)
    response = markers[m - 1]

    def one(given: Any, data: Any) -> Any:
        dpars = response.dpars(given["params"], data)
        law = response.family.distribution(dpars, data[response.data_key])
        return jnp.stack([response.family.epred(dpars, data[response.data_key]), law.sample(jax.random.wrap_key_data(given["key"]))])

    with float64():
        keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), len(next(iter(draws.values()))))))
    out = over_draws(("trajectory", fit.model, m), one, {"params": draws, "key": keys}, design)
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    low, high = np.quantile(out[:, 0], tails, axis=0)
    below, above = np.quantile(out[:, 1], tails, axis=0)
    table = {fit.parts.id_var: labels, fit.parts.paths.time_var: times, "yfit": np.median(out[:, 0], axis=0)}
    bands = {"pi": ("pi_lb", "pi_ub"), "ci": ("ci_lb", "ci_ub")}
    last = dict(zip(who.labels, who.last.tolist(), strict=True))
    shown = Shown(fit.parts.id_var, fit.parts.paths.time_var, "yfit", _response_name(response), bands, _observed(who, m - 1), last)
    return predicted({**table, "ci_lb": low, "ci_ub": high, "pi_lb": below, "pi_ub": above}, shown)


def _response_name(response: ResponseModel) -> str:
    return deparse(response.response.node)


def _observed(who: Subjects, marker: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times and values of a marker that were observed of each subject."""
    response, frame = who.paths.model.responses[marker], who.paths.frame
    clock, out = frame.numbers(who.paths.time_var), {}
    for label in who.labels:
        rows = who.paths.rows[marker][label]
        data = response.response.design(frame.take(rows), response.family)
        out[label] = (clock[rows], data["y"] / data.get("trials", 1.0))
    return out


def _traj_times(who: Subjects, marker: int, interpolate: bool, ipoints: int, epoints: int, eprop: float) -> tuple[list[str], np.ndarray]:
    """The subject and time of every point, subjects one after the other."""
    labels: list[str] = []
    times: list[np.ndarray] = []
    clock = who.paths.frame.numbers(who.paths.time_var)
    for label, last in zip(who.labels, who.last, strict=True):
        mine = np.linspace(0.0, last, ipoints) if interpolate else clock[who.paths.rows[marker][label]]
        if epoints:
            mine = np.concatenate([mine, last + eprop * last * np.linspace(0.0, 1.0, epoints + 1)[1:]])
        labels += [label] * len(mine)
        times.append(mine)
    return labels, np.concatenate(times)


# --------------------------------------------------------------------------- new subjects


def _new(
    fit: JmFit, long: Any, event: Any, last_time: Any, draws: Mapping[str, np.ndarray], seed: int
) -> tuple[Subjects, dict[str, np.ndarray]]:
    """New subjects in the place of the first levels of the data, and draws in which these have the new subjects' effects."""
    joint = fit.parts
    if event is None:
        raise BrimError("new subjects need their event predictors", hint="give newdata_event with a row for each subject")
    event_frame, long_frame = Frame.read(event), Frame.read(long)
    labels = tuple(dict.fromkeys(label_of(event_frame, joint.id_var)))
    if len(labels) != event_frame.n:
        raise BrimError("newdata_event has several rows of one subject", hint="give the last one")
    block = next(b for b in fit.model.blocks if b.grouping.label == joint.id_var)
    levels = block.grouping.levels
    if len(labels) > len(levels):
        raise BrimError(f"{len(labels)} new subjects: predict at most {len(levels)} at a time, as many as the data have")
    last = (
        event_frame.numbers(last_time)
        if isinstance(last_time, str)
        else np.broadcast_to(np.asarray(last_time or 0.0, float), (len(labels),))
    )
    place = dict(zip(labels, levels, strict=False))
    given = label_of(long_frame, joint.id_var)
    unknown = next((v for v in given if v not in place), None)
    if unknown is not None:
        raise BrimError(f"subject '{unknown}' has rows of markers but none of events", hint="leave it out, or give its event predictors")
    many = len(fit.model.responses)
    frame = long_frame.with_columns({joint.id_var: [place[v] for v in given]})
    if many > 1:
        frame = frame.take(np.tile(np.arange(frame.n), many))
        which = np.repeat(np.arange(many), long_frame.n)
        frame = frame.with_columns({f".m{i + 1}": which == i for i in range(many)})
    stand = tuple(place[v] for v in labels)
    rows = rows_by_subject(fit.model, frame, joint.id_var, joint.paths.time_var, stand)
    paths = Trajectories(fit.model, frame, joint.paths.time_var, rows)
    who = Subjects(paths, stand, joint.events.columns(event_frame), np.asarray(last, float), _codes(fit, stand))
    drawn = _effects(fit, who, draws, seed)
    named = Subjects(replace(paths, rows=tuple({v: r[place[v]] for v in labels} for r in rows)), labels, who.x, who.last, who.codes)
    return named, drawn


def _effects(fit: JmFit, who: Subjects, draws: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Draws with the effects of these subjects from ``p(b | markers, at risk until last)``, one chain of Metropolis steps a draw.

    Proposals are independent: Student-t around the mode, with the inverse Hessian there as their scale.
    """
    block = next(b for b in fit.model.blocks if b.grouping.label == fit.parts.id_var)
    key = next(q.key for q in block.reported() if q.key.startswith("r_"))
    process, n, k = fit.parts.process, len(who.labels), len(block.coefs)
    t, weight = nodes_in(np.zeros(n), who.last, 15)
    rows = np.repeat(np.arange(n), t.shape[1])
    points = process.points(who.paths, who.x[rows], [who.labels[i] for i in rows], who.codes[rows], t.ravel(), fit.parts.lag)
    frame, number = who.paths.frame, {v: i for i, v in enumerate(who.labels)}
    design = fit.model.design(frame)
    owners = [np.array([number[v] for v in label_of(r.response.kept(frame), fit.parts.id_var)]) for r in fit.model.responses]
    data = {"design": design, "points": points, "weight": weight, "owners": owners, "at": who.codes}

    def log_p(b: Any, params: Any, data: Any) -> Any:
        """Log density of the effects ``b`` (subjects, k), one a subject."""
        own = {**params, key: params[key].at[:, data["at"]].set(b.T)}
        h = jnp.exp(process.log_hazard(own, data["points"])).reshape(data["weight"].shape)
        out = -jnp.sum(data["weight"] * h, axis=1)
        for response, codes in zip(fit.model.responses, data["owners"], strict=True):
            out = out.at[codes].add(response.log_lik(own, data["design"]))
        low = block.scaled({**own, **block.invert(own, {})}, data["design"][block.key]["by"])
        z = solve_lower(low, b.T)
        return out - 0.5 * jnp.sum(z * z, axis=0)

    def one(given: Any, data: Any) -> Any:
        params = given["params"]
        b = mode(lambda b: log_p(b, params, data), n, k)
        return metropolis(lambda b: log_p(b, params, data), b, jax.random.wrap_key_data(given["key"]))

    with float64():
        keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), len(draws[key]))))
    b = over_draws(("new effects", fit.model, process, n, k), one, {"params": draws, "key": keys}, data)
    effects = draws[key].copy()
    effects[:, :, who.codes] = np.swapaxes(b, 1, 2)
    return {**draws, key: effects}
