"""``stan_jm``: longitudinal markers and the time of an event in one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from brim.api.method import Method
from brim.fit.run import sample
from brim.fit.running import Running
from brim.frames.frame import Frame
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import with_priors
from brim.rstanarm.fit import StanFit
from brim.rstanarm.joint.build import associations, call_of, event_process, find_id, rows_by_subject
from brim.rstanarm.joint.event import Baseline, Events, label_of
from brim.rstanarm.joint.markers import MarkerPriors, build_markers
from brim.rstanarm.joint.process import EventProcess, Trajectories
from brim.rstanarm.priors import Lkj, Prior, cauchy, lkj, normal

__all__ = ["JmFit", "stan_jm"]

_COEF, _INTERCEPT = normal(autoscale=True), normal(autoscale=True)
_AUX, _COVARIANCE = cauchy(0.0, 5.0, autoscale=True), lkj()
_EVENT, _EVENT_INTERCEPT, _ASSOC = normal(0.0, 2.5), normal(0.0, 20.0), normal(0.0, 2.5, autoscale=True)


@final
@dataclass(frozen=True)
class Joint:
    """What predictions of a joint model need: the event term, its data, and where the markers are evaluated."""

    process: EventProcess
    events: Events
    paths: Trajectories
    lag: float
    id_var: str


@dataclass(frozen=True)
class JmFit(StanFit):
    """What ``stan_jm`` returns: a ``StanFit`` of the markers with the event process in it."""

    joint: Joint | None = field(default=None, repr=False)

    @property
    def parts(self) -> Joint:
        """The joint model's parts."""
        assert self.joint is not None
        return self.joint

    log_lik = Method("brim.rstanarm.joint.subjects")
    loo = Method("brim.rstanarm.joint.subjects")
    waic = Method("brim.rstanarm.joint.subjects")

    def marker_subjects(self) -> list[np.ndarray]:
        """The number of the subject of each marker's rows."""
        number = {s: i for i, s in enumerate(self.parts.events.subjects)}
        labels = [label_of(r.response.kept(self.frame), self.parts.id_var) for r in self.model.responses]
        return [np.array([number[v] for v in mine]) for mine in labels]

    posterior_survfit = Method("brim.rstanarm.joint.predict")
    posterior_traj = Method("brim.rstanarm.joint.predict")
    ps_check = Method("brim.rstanarm.joint.check")


@remembered
def stan_jm(
    formula_long: str | Sequence[str],
    data_long: Any,
    formula_event: str,
    data_event: Any,
    time_var: str,
    *,
    id_var: str | None = None,
    family: Any = "gaussian",
    assoc: Any = "etavalue",
    lag_assoc: float = 0.0,
    basehaz: str = "bs",
    basehaz_ops: Mapping[str, Any] | None = None,
    qnodes: int = 15,
    prior_long: Any = _COEF,
    prior_long_intercept: Any = _INTERCEPT,
    prior_long_aux: Any = _AUX,
    prior_event: Prior | None = _EVENT,
    prior_event_intercept: Prior | None = _EVENT_INTERCEPT,
    prior_event_aux: Prior | None = None,
    prior_event_assoc: Prior | None = _ASSOC,
    prior_covariance: Lkj = _COVARIANCE,
    **sampling: Any,
) -> JmFit:
    """A joint model of longitudinal markers and the time of an event.

    The log hazard of subject ``i`` is ``log h_0(t) + x_i beta + sum_k alpha_k f_k``, with ``f_k`` the marker's predictor at ``t``
    (``etavalue``), its slope, its area since 0, the same on the response's scale (``mu...``), or the subject's effects.

    Parameters
    ----------
    formula_long, data_long
        The markers: one formula or several, as ``lme4``'s; a data frame, or one for each.
    formula_event, data_event
        ``"Surv(time, status) ~ x"`` or ``"Surv(start, stop, status) ~ x"`` and its data.
    time_var
        The column of the time in ``data_long``.
    id_var
        The grouping factor of subjects; found where there is only one.
    family
        Of the markers, as in ``stan_glm``.
    assoc
        ``"etavalue"``, a list of several (``["etavalue", "etaslope"]``), or a list of such lists, one for each marker;
        ``"etavalue_data(~ x)"`` for interactions, ``"etavalue_etavalue(2)"`` for products with another marker, ``"shared_b(1)"``.
    lag_assoc
        The hazard depends on the markers that long ago.
    basehaz, basehaz_ops
        ``"bs"`` (cubic B-splines, 6 coefficients), ``"piecewise"`` (6 intervals) or ``"weibull"``; ``{"knots": [..]}``, or
        ``{"df": 5}``, to which B-splines add an intercept.
    qnodes
        Points of the Gauss-Kronrod rule for the cumulative hazard: 7, 11 or 15.
    prior_long, prior_long_intercept, prior_long_aux, prior_covariance
        As in ``stan_mvmer``.
    prior_event, prior_event_intercept, prior_event_aux, prior_event_assoc
        Of the event's coefficients, of Weibull's intercept, of the baseline hazard's coefficients (``cauchy(0, 20)``; Weibull's shape
        ``cauchy+(0, 2)``) and of associations (scaled by the sd of what they multiply).
    sampling
        As in ``stan_glm``.

    Returns
    -------
    JmFit

    Examples
    --------
    >>> import brim
    >>> long, event = brim.load_data("pbcLong"), brim.load_data("pbcSurv")
    >>> args = ("logBili ~ year + (1 | id)", long, "Surv(futimeYears, death) ~ sex + trt", event, "year")
    >>> fit = brim.rstanarm.stan_jm(*args, empty=True)
    >>> [v for v in fit.variables() if v.startswith(("Event", "Assoc"))][:4]
    ['Event|(Intercept)', 'Event|sexf', 'Event|trt', 'Assoc|Long1|etavalue']
    """
    priors = MarkerPriors(prior_long, prior_long_intercept, prior_long_aux, prior_covariance)
    given = {"marginalize": False, **sampling}
    markers = build_markers(formula_long, data_long, family, priors, "Long", given)
    model, frame = markers.draft.model, markers.draft.record.frame
    id_var = find_id(model, id_var)
    events = Events.read(formula_event, Frame.read(data_event), id_var)
    paths = Trajectories(model, frame, time_var, rows_by_subject(model, frame, id_var, time_var, events.subjects))
    baseline = Baseline.learn(basehaz, events, **dict(basehaz_ops or {}))
    found = associations(assoc, len(markers.families))
    event_priors = {"coef": prior_event, "intercept": prior_event_intercept, "aux": prior_event_aux, "assoc": prior_event_assoc}
    process, told = event_process(markers, events, paths, baseline, found, id_var, lag_assoc, qnodes, event_priors)
    call = call_of(markers, process, formula_event, {**_long(markers.told), **told})
    record = replace(markers.draft.record, model=with_priors(model, markers.pieces, [process]))
    fit = JmFit.wrap(record, call)
    fit = replace(fit, joint=Joint(process, events, paths, lag_assoc, id_var))
    run = {k: v for k, v in markers.draft.run.items() if k != "empty"}
    return fit if markers.draft.run.get("empty") else sample(fit, Running(**run))


def _long(told: Mapping[str, Any]) -> dict[str, Any]:
    """The markers' priors under the names that ``prior_summary`` of a joint model has."""
    return {"priorLong" + key.removeprefix("prior") if key != "prior_covariance" else key: value for key, value in told.items()}
