"""The parts of a joint model: subjects' rows, associations and their scales, the event process, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from brim.api.perform import perform, requested
from brim.compile.session import float64
from brim.errors import BrimError, suggest, warn
from brim.families.base import Family
from brim.frames.frame import Frame
from brim.language.expand import deparse
from brim.lme4.lmer import lmer
from brim.model.model import Model
from brim.parameters.param import Piece
from brim.rstanarm.assemble import describe, pieces_of, population
from brim.rstanarm.call import Call
from brim.rstanarm.joint.association import Association, read_associations
from brim.rstanarm.joint.event import Baseline, Events, label_of
from brim.rstanarm.joint.markers import Markers
from brim.rstanarm.joint.process import EventProcess, Trajectories
from brim.rstanarm.joint.quadrature import nodes_in
from brim.rstanarm.language import read_family, response_of, sides
from brim.rstanarm.names import Names
from brim.rstanarm.priors import Prior
from brim.rstanarm.scales import Scaled, scaled

__all__ = ["associations", "call_of", "event_process", "find_id", "rows_by_subject"]

Shared = tuple[tuple[str, int, str, int], ...]


def find_id(model: Model, id_var: str | None) -> str:
    """The grouping factor of the subjects: that of the user, or the only one."""
    labels = list(dict.fromkeys(b.grouping.label for b in model.blocks))
    if id_var is not None:
        if id_var not in labels:
            raise BrimError(f"id_var = '{id_var}' is no grouping factor of the markers", hint=suggest(id_var, labels, "grouping factors"))
        return id_var
    if len(labels) != 1:
        raise BrimError(
            "the markers have several grouping factors", hint=f"say which are the subjects: id_var = one of {', '.join(labels)}"
        )
    return labels[0]


def rows_by_subject(
    model: Model, frame: Frame, id_var: str, time_var: str, subjects: Sequence[str]
) -> tuple[Mapping[str, np.ndarray], ...]:
    """Marker -> subject -> numbers of its rows in the frame, by time."""
    clock, labels = frame.numbers(time_var), np.array(label_of(frame, id_var), dtype=object)
    numbered = frame.with_columns({".row": np.arange(frame.n, dtype=float)})
    out = []
    for response in model.responses:
        kept = response.response.kept(numbered).numbers(".row").astype(int)
        kept = kept[np.argsort(clock[kept], kind="stable")]
        mine: dict[str, Any] = {s: kept[labels[kept] == s] for s in subjects}
        missing = next((s for s in subjects if not len(mine[s])), None)
        if missing is not None:
            raise BrimError(
                f"subject '{missing}' has an event row but no rows of marker {response.name}", hint="leave it out of both data frames"
            )
        out.append(mine)
    unknown = next((v for v in labels if v not in set(subjects)), None)
    if unknown is not None:
        raise BrimError(f"subject '{unknown}' has rows of markers but none of events", hint="leave it out of both data frames")
    return tuple(out)


def associations(assoc: Any, markers: int) -> tuple[Association, ...]:
    """All terms, marker after marker; for several markers a list holds what each of them has."""
    if markers == 1:
        return read_associations(0, assoc, 1)
    each = [assoc] * markers if assoc is None or isinstance(assoc, str) else list(assoc)
    if len(each) != markers:
        raise BrimError(f"assoc has {len(each)} entries for {markers} markers", hint="give a list with the kinds of each marker")
    return tuple(a for i, one in enumerate(each) for a in read_associations(i, one, markers))


def event_process(
    markers: Markers,
    events: Events,
    paths: Trajectories,
    baseline: Baseline,
    found: tuple[Association, ...],
    id_var: str,
    lag: float,
    qnodes: int,
    priors: Mapping[str, Prior | None],
) -> tuple[EventProcess, dict[str, Any]]:
    """The event term with its arrays and priors, and what ``prior_summary`` says of these."""
    shared = tuple(_shared(markers, a, id_var) if a.kind.startswith("shared") else () for a in found)
    t, weight = nodes_in(events.start, events.stop, qnodes)
    rows = np.concatenate([np.repeat(np.arange(len(t)), qnodes), np.arange(len(t))])
    times = np.concatenate([t.ravel(), events.stop])
    subjects = [events.subjects[s] for s in events.subject[rows]]
    block = next(b for b in markers.draft.model.blocks if b.grouping.label == id_var)
    level = {v: i for i, v in enumerate(block.grouping.levels)}
    codes = np.array([level[s] for s in subjects])
    labels = tuple(name for a, s in zip(found, shared, strict=True) for name in _labels(markers, a, s, paths))
    links = tuple(f.link for f in markers.families)
    bare = EventProcess(markers.draft.model, baseline, found, labels, events.names, links, shared, {}, {})
    points = bare.points(paths, events.x[rows], subjects, codes, times, lag)
    counted = np.concatenate([np.ones(t.size, bool), events.status == 1])  # nodes and events, as rstanarm counts them
    values = _settled(_initial_values(bare, markers, points)[counted], labels) if labels else np.zeros((1, 0))
    arrays = {
        "points": points,
        "weight": weight,
        "status": events.status,
        "x_mean": events.x[rows][counted].mean(0),
        "assoc_mean": values.mean(0),
        "log_rate": events.log_rate,
    }
    pieces, told = _priors(events, baseline, labels, values, priors)
    return EventProcess(markers.draft.model, baseline, found, labels, events.names, links, shared, arrays, pieces), told


def _settled(values: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Columns that vary by no more than the rounding of numerical slopes are constant: their scale is 1, as that of any constant."""
    mean = values.mean(0)
    flat = values.std(0) <= 1e-6 * np.abs(mean)
    if flat.any():
        names = ", ".join(f"'{name}'" for name, is_flat in zip(labels, flat, strict=True) if is_flat)
        warn(f"{names} multiplies what is the same for all subjects at all times: it cannot be told from the baseline hazard")
    return np.where(flat, mean, values)


def _priors(
    events: Events, baseline: Baseline, labels: tuple[str, ...], values: np.ndarray, priors: Mapping[str, Prior | None]
) -> tuple[dict[str, tuple[Piece, ...]], dict[str, Any]]:
    coef = scaled(priors["coef"], len(events.names), "identity", 1.0)
    assoc = scaled(priors["assoc"], values, "identity", 1.0)
    default = Prior("cauchy", 0.0, 2.0 if baseline.kind == "weibull" else 20.0)
    aux = scaled(priors["aux"] or default, baseline.size, "identity", 1.0)
    pieces = {"event_beta": pieces_of(coef), "event_assoc": pieces_of(assoc), "event_coef": pieces_of(aux)}
    told = {
        "priorEvent": describe(coef),
        "priorEvent_assoc": describe(assoc) if labels else None,
        "priorEvent_aux": describe(aux, aux_name=baseline.aux_name, signed=baseline.kind != "weibull"),
    }
    if baseline.kind == "weibull":
        at: Scaled = scaled(priors["intercept"], 1, "identity", 1.0, base=20.0)
        pieces["event_gamma"] = tuple(Piece(p.law, None, p.args) for p in pieces_of(at))
        told["priorEvent_intercept"] = describe(at)
    return pieces, told


def _shared(markers: Markers, a: Association, id_var: str) -> Shared:
    """The subject's effects of a marker: key and row of each, and key and place of the coefficient it adds to (``shared_coef``)."""
    model, response = markers.draft.model, markers.draft.model.responses[a.marker]
    out = []
    for block in (b for b in model.blocks if b.grouping.label == id_var):
        key, row = next(q.key for q in block.reported() if q.key.startswith("r_")), 0
        for member in block.members:
            for coef in member.coefs:
                if member.where.resp == response.resp:
                    out.append((key, row, *_population_place(model, response.name, coef, a.kind)))
                row += 1
    chosen = range(len(out)) if not a.which else a.which
    if any(i >= len(out) for i in chosen):
        raise BrimError(f"{a.kind}({', '.join(str(i + 1) for i in a.which)}): the marker has {len(out)} effects of '{id_var}'")
    return tuple(out[i] for i in chosen)


def _population_place(model: Model, name: str, coef: str, kind: str) -> tuple[str, int]:
    if kind == "shared_b":
        return "", -1
    pop = population(model, name)
    if coef == "Intercept":
        return f"b_{pop.intercept_key}", -1
    if coef not in pop.coefs:
        raise BrimError(f"shared_coef: '{coef}' is no population-level effect", hint="use shared_b")
    return pop.key, pop.coefs.index(coef)


def _labels(markers: Markers, a: Association, shared: Shared, paths: Trajectories) -> list[str]:
    """rstanarm's names of a term's coefficients."""
    stem = f"Assoc|{markers.prefixes[a.marker]}"
    if shared:
        names = [c for g in markers.groups for c in g.coefs if c.startswith(markers.prefixes[a.marker])]
        own = [names[i].split("|", 1)[1] for i in (range(len(names)) if not a.which else a.which)]
        return [f"{stem}{a.kind}|{name}" for name in own]
    if a.other >= 0:
        return [f"{stem}{a.kind}:{markers.prefixes[a.other]}{a.other_kind}"]
    if a.data:
        first = next(iter(paths.rows[a.marker]))
        return [f"{stem}{a.kind}:{name}" for name in paths.columns(a.data, a.marker, [first], np.zeros(1))[1]]
    return [f"{stem}{a.kind}"]


def _initial_values(process: EventProcess, markers: Markers, points: Mapping[str, Any]) -> np.ndarray:
    """What associations multiply, at the markers' own estimates (``lmer``, ``glmer``): means and sds of it centre and scale."""
    params: dict[Any, Any] = {}
    for i, family in enumerate(markers.families):
        params.update(_estimates(markers, i, family.gaussian))
    for block in markers.draft.model.blocks:
        key = next(q.key for q in block.reported() if q.key.startswith("r_"))
        params[key] = np.stack([params.pop((key, m.where.resp, c)) for m in block.members for c in m.coefs])
    with float64():
        return np.asarray(process.values(params, dict(points)))


def _estimates(markers: Markers, i: int, gaussian: bool) -> dict[Any, Any]:
    """A marker's coefficients and effects by the keys of the joint model: REML estimates, or the mode of a model that is not Gaussian."""
    model, text = markers.draft.model, markers.formulas[i]
    response = model.responses[i]
    frame = response.response.kept(markers.draft.record.frame)
    beta, effects = _by_reml(text, frame) if gaussian else _by_mode(text, frame, markers.families[i].family)
    pop = population(model, response.name)
    out: dict[Any, Any] = {}
    if pop.intercept:
        out[f"b_{pop.intercept_key}"] = beta[0]
    if pop.coefs:
        out[pop.key] = beta[len(beta) - len(pop.coefs) :]
    for block in model.blocks:
        key = next(q.key for q in block.reported() if q.key.startswith("r_"))
        mine = [(m.where.resp, c) for m in block.members if m.where.resp == response.resp for c in m.coefs]
        if mine:
            levels, values = effects[block.grouping.label]
            at = {v: n for n, v in enumerate(levels)}
            rows = [at.get(v, -1) for v in block.grouping.levels]
            out.update({(key, *place): np.append(v, 0.0)[rows] for place, v in zip(mine, values, strict=True)})
    return out


Effects = dict[str, tuple[Sequence[str], np.ndarray]]


def _by_reml(text: str, frame: Frame) -> tuple[np.ndarray, Effects]:
    """Coefficients and, of each grouping factor, levels and effects (coefficients, levels)."""
    fit = lmer(text, frame)
    effects: Effects = {g: (list(map(str, table.index)), table.to_numpy().T) for g, table in fit.ranef(condVar=False).items()}
    return fit.fixef()["Estimate"].to_numpy(), effects


def _by_mode(text: str, frame: Frame, family: Family) -> tuple[np.ndarray, Effects]:
    settings: dict[str, Any] = {
        "chains": 1,
        "iter": 2,
        "warmup": 1,
        "thin": 1,
        "seed": 1,
        "control": None,
        "sample_prior": "no",
        "marginalize": "auto",
    }
    left, right = sides(text)
    trials, used = response_of(left, read_family(family))
    request = requested(
        f"{trials} ~ {deparse(right)}", family=used.family, prior=None, data2=None, data_name="data", algorithm="map", **settings
    )
    record = perform(request, frame, progress=False)
    flat = {k: v[0] for k, v in record.draws.flat().items()}
    pop = population(record.model)
    beta = np.concatenate([np.atleast_1d(flat[k]) for k in (f"b_{pop.intercept_key}", pop.key) if k in flat])
    keys = {b.grouping.label: next(q.key for q in b.reported() if q.key.startswith("r_")) for b in record.model.blocks}
    return beta, {b.grouping.label: (b.grouping.levels, flat[keys[b.grouping.label]]) for b in record.model.blocks}


def call_of(markers: Markers, process: EventProcess, formula_event: str, told: Mapping[str, Any]) -> Call:
    """Names, priors and text."""
    own = tuple((str(n), str(n)) for q in process.reported() for n in np.ravel(q.names))
    size = process.baseline.size
    names = Names((*markers.first, *own[: len(own) - size]), markers.groups, (*markers.last, *own[len(own) - size :]))
    coefs = tuple(n for n, _ in names.first)
    families = ", ".join(f.text for f in markers.families)
    formulas = (*markers.formulas, formula_event)
    aux = tuple(n for n, _ in names.last)
    found = ", ".join(f"{a.kind}{'_data' if a.data else ''} ({markers.prefixes[a.marker].rstrip('|')})" for a in process.associations)
    event = {"baseline hazard": process.baseline.kind, "assoc": f"          {found or 'none'}"}
    call = Call("stan_jm", families, "; ".join(formulas), names, dict(told), coefs, aux)
    return replace(call, prefixes=markers.prefixes, formulas=formulas, event=event)
