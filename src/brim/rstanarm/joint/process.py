"""The event process as a term of the markers' model: it adds the log likelihood of the event times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.design.matrix import ModelMatrix
from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.language.expand import expand, parse
from brim.model.model import Model
from brim.parameters.param import Param
from brim.parameters.reported import FAMILY, Reported
from brim.rstanarm.joint.association import Association
from brim.rstanarm.joint.event import Baseline
from brim.rstanarm.joint.quadrature import nodes_in
from brim.terms.base import AbstractTerm, Design, Params

__all__ = ["EPS", "EventProcess", "Trajectories"]

EPS = 1e-5  # half the step of numerical slopes, as rstanarm's
AUC_NODES = 15


@final
@dataclass(frozen=True)
class Trajectories:
    """Where markers are evaluated: the markers' rows of each subject, carried forward, with the time replaced.

    Attributes
    ----------
    model
        The markers' model.
    frame
        Its data.
    time_var
        Column of the time.
    rows
        Marker -> subject -> row numbers, by time.
    """

    model: Model
    frame: Frame
    time_var: str
    rows: tuple[Mapping[str, np.ndarray], ...]

    def _seen(self, marker: int, subjects: Sequence[str], times: np.ndarray, shift: float = 0.0) -> Frame:
        """The marker's row of each subject that was last seen at its time (the first one before that), with the time replaced.

        ``shift`` moves the time in that row, without choosing another.
        """
        clock, chosen = self.frame.numbers(self.time_var), np.empty(len(subjects), int)
        for i, (subject, t) in enumerate(zip(subjects, times, strict=True)):
            mine = self.rows[marker][subject]
            chosen[i] = mine[max(int(np.searchsorted(clock[mine], t, side="right")) - 1, 0)]
        return self.frame.take(chosen).with_columns({self.time_var: np.asarray(times, float) + shift})

    def at(self, marker: int, subjects: Sequence[str], times: np.ndarray, shift: float = 0.0) -> dict[str, Any]:
        """The design of a marker's predictors for these subjects at these times."""
        return self.model.design(self._seen(marker, subjects, times, shift), with_y=False, only=self.model.responses[marker].name)

    def columns(self, formula: str, marker: int, subjects: Sequence[str], times: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The columns of ``~ x`` without the intercept, there, and their names."""
        matrix = ModelMatrix(expand(parse(formula))).learn(self.frame)
        return matrix.matrix(self._seen(marker, subjects, times))[:, 1:], tuple(matrix.names[1:])


@final
@dataclass(frozen=True)
class EventProcess(AbstractTerm):
    """``log h_i(t) = intercept + x_i beta + log h_0(t) + sum_k alpha_k f_k(marker of i at t)``.

    Its log likelihood is ``d_i log h_i(T_i) - int_0^T_i h_i``, by Gauss-Kronrod quadrature. Coefficients are sampled with predictors and
    associations at their means; the intercept is ``log(events / time at risk)`` there, for Weibull's hazard plus one that is estimated.

    Attributes
    ----------
    model
        The markers' model.
    baseline
        The log baseline hazard.
    associations
        The terms ``f_k``.
    labels
        rstanarm's names of ``alpha``.
    names
        R's names of the event's predictors.
    shared
        For ``shared_b`` and ``shared_coef``: association -> keys and rows of the subjects' effects and of the coefficients.
    links
        The link of each marker's mean.
    data
        Arrays: design of the points (nodes of every interval, then their ends), weights, status, means.
    priors
        Prior of each parameter, as pieces.
    """

    model: Model
    baseline: Baseline
    associations: tuple[Association, ...]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    links: tuple[str, ...]
    shared: tuple[tuple[tuple[str, int, str, int], ...], ...]
    data: Any = field(compare=False, repr=False)
    priors: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return "event"

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return self.constants()

    def constants(self) -> Design:
        return dict(self.data)

    def params(self) -> tuple[Param, ...]:
        """Coefficients, associations, and the baseline hazard's."""
        out = []
        for key, size in (("event_beta", len(self.names)), ("event_assoc", len(self.labels))):
            if size:
                out.append(Param(key, (size,), pieces=self.priors[key]))
        if self.baseline.kind == "weibull":
            return (
                *out,
                Param("event_gamma", pieces=self.priors["event_gamma"]),
                Param("event_coef", (1,), pieces=self.priors["event_coef"], lb=0.0),
            )
        return (*out, Param("event_coef", (self.baseline.size,), pieces=self.priors["event_coef"]))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        at = design["log_rate"] + params.get("event_gamma", 0.0)
        if self.names:
            at = at - design["x_mean"] @ params["event_beta"]
        return {"event_intercept": at - design["assoc_mean"] @ params["event_assoc"] if self.labels else at}

    def log_density(self, params: Params, design: Design) -> Any:
        return jnp.sum(self.log_lik(params, design))

    # ------------------------------------------------------------------ numbers

    def log_lik(self, params: Params, design: Design) -> Any:
        """The log likelihood of each interval at risk, (rows,)."""
        rows, nodes = design["weight"].shape
        log_h = self.log_hazard(params, design["points"])
        at_risk = jnp.sum(design["weight"] * jnp.exp(log_h[: rows * nodes].reshape(rows, nodes)), axis=1)
        return design["status"] * log_h[rows * nodes :] - at_risk

    def log_hazard(self, params: Params, points: Design) -> Any:
        """``log h`` at points, (points,)."""
        out = params["event_intercept"] + self.log_baseline(params, points["base"])
        if self.names:
            out = out + points["x"] @ params["event_beta"]
        return out + self.values(params, points) @ params["event_assoc"] if self.labels else out

    def log_baseline(self, params: Params, base: Any) -> Any:
        """The log baseline hazard from the columns of its basis."""
        coef = params["event_coef"]
        if self.baseline.kind == "weibull":
            return jnp.log(coef[0]) + (coef[0] - 1.0) * base[:, 0]
        return base @ coef

    def values(self, params: Params, points: Design) -> Any:
        """The columns that ``alpha`` multiplies, (points, k)."""
        columns = []
        for i, (a, shared) in enumerate(zip(self.associations, self.shared, strict=True)):
            own = points[f"a{i}"]
            if shared:
                columns += [
                    params[key][row, own["J"]] + (_coefficient(params, fixed, at) if fixed else 0.0) for key, row, fixed, at in shared
                ]
                continue
            value = self._quantity(a.marker, a.kind, params, own)
            if a.other >= 0:
                value = value * self._quantity(a.other, a.other_kind, params, own["other"])
            columns += [value * x for x in own["columns"].T] if a.data else [value]
        return jnp.stack(columns, axis=1)

    def _quantity(self, marker: int, kind: str, params: Params, own: Design) -> Any:
        """A marker's value, slope or area."""
        scale = LINKS[self.links[marker]].inverse if kind.startswith("mu") else lambda eta: eta

        def at(design: Design) -> Any:
            return scale(self.model.responses[marker].etas(params, design)["mu"])

        if kind.endswith("slope"):
            return (at(own["later"]) - at(own["sooner"])) / (2.0 * EPS)
        if kind.endswith("auc"):
            return jnp.sum(own["weight"] * at(own["now"]).reshape(own["weight"].shape), axis=1)
        return at(own["now"])

    def points(
        self, paths: Trajectories, x: np.ndarray, subjects: Sequence[str], codes: np.ndarray, times: np.ndarray, lag: float
    ) -> Design:
        """The arrays of these points: predictors, basis, and the markers' designs."""
        out: Design = {"x": x, "base": self.baseline.columns(times)}
        for i, a in enumerate(self.associations):
            out[f"a{i}"] = {"J": codes} if self.shared[i] else _design(paths, a.marker, a.kind, subjects, times, lag)
            if a.other >= 0:
                out[f"a{i}"]["other"] = _design(paths, a.other, a.other_kind, subjects, times, lag)
            if a.data:
                out[f"a{i}"]["columns"] = paths.columns(a.data, a.marker, subjects, times)[0]
        return out

    def reported(self) -> tuple[Reported, ...]:
        parts = [("event_intercept", np.array("Event|(Intercept)", dtype=object))]
        vectors = (
            ("event_beta", tuple(f"Event|{n}" for n in self.names)),
            ("event_assoc", self.labels),
            ("event_coef", self.baseline.names),
        )
        parts += [(key, np.array(names, dtype=object)) for key, names in vectors if names]
        return tuple(
            Reported(key, names, FAMILY, key, (key,) * names.ndim, {key: tuple(np.ravel(names))} if names.ndim else {})
            for key, names in parts
        )


def _coefficient(params: Params, key: str, at: int) -> Any:
    """A population-level coefficient: an element, or the intercept alone."""
    return params[key] if at < 0 else params[key][at]


def _design(paths: Trajectories, marker: int, kind: str, subjects: Sequence[str], times: np.ndarray, lag: float) -> Design:
    """The designs that a quantity of a marker takes at these times, those before the lag at 0."""
    times = np.maximum(times - lag, 0.0)
    if kind.endswith("auc"):
        t, weight = nodes_in(np.zeros_like(times), times, AUC_NODES)
        return {"now": paths.at(marker, [s for s in subjects for _ in range(AUC_NODES)], t.ravel()), "weight": weight}
    if kind.endswith("slope"):
        return {"sooner": paths.at(marker, subjects, times, -EPS), "later": paths.at(marker, subjects, times, EPS)}
    return {"now": paths.at(marker, subjects, times)}
