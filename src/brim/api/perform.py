"""From a request and data to a fit: build, look for the saved one, sample, save."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from brim.api.checkpoints import sample_kept
from brim.api.collector import aside
from brim.arguments import flag, one_of, place, unknown, whole
from brim.compile.placed import placement
from brim.compile.session import check_process
from brim.data import names as bundled
from brim.errors import BrimError, warn
from brim.executors import check_executor
from brim.families.registry import CONSTRUCTORS
from brim.fit.record import FitRecord, Request, Settings
from brim.fit.run import sample
from brim.fit.running import Running
from brim.frames.frame import Frame
from brim.frames.lazy import stream_of
from brim.frames.reduced import read_stream
from brim.infer.nuts.stopping import StopWhen
from brim.language.brms import Formula, MvFormula, as_formula
from brim.language.update import updated
from brim.model.degenerate import degenerate
from brim.model.identified import separated, undetermined
from brim.model.model import Model
from brim.parameters.prior import read_priors
from brim.post.files.io import check_target, differences, read, save
from brim.terms.groups.grouping import keys_of

__all__ = ["perform", "requested", "updated_record"]

FILE_REFIT = ("never", "on_change", "always")


def requested(
    formula: str | Formula | MvFormula,
    *,
    family: Any,
    prior: Any,
    data2: Mapping[str, Any] | None,
    data_name: str,
    warmup: int | None,
    **settings: Any,
) -> Request:
    """What the arguments of ``brm`` ask for, checked."""
    _check_data2(data2)
    # copies: the caller may change his matrices later
    own = {name: value if callable(value) else deepcopy(value) for name, value in (data2 or {}).items()}
    return Request(as_formula(formula), family, read_priors(prior), own, Settings.read(warmup=warmup, **settings), data_name)


@aside()
def _check_data2(given: object) -> None:
    if given is not None and not isinstance(given, Mapping):
        raise BrimError(f"data2 is a {type(given).__name__}, not a dict", hint="it holds what the formula names: data2={'A': matrix}")


def perform(
    request: Request,
    data: Any,
    *,
    cores: int | None = None,
    init: Any = None,
    file: str | os.PathLike[str] | None = None,
    file_refit: str = "never",
    progress: bool = True,
    empty: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    stop_when: StopWhen | None = None,
    executor: Any = None,
    device: str | None = None,
    devices: Any = None,
) -> FitRecord:
    """Build the model and sample it; see ``brm`` for the arguments, which concern this run only."""
    cores = None if cores is None else whole("cores", cores, least=1)
    progress, empty = flag("progress", progress), flag("empty", empty)
    check_process()
    check_executor(executor)
    placed = placement(device, devices)
    path = _file(file, file_refit)
    if isinstance(data, str) and "~" in data:
        given = ", ".join(f"'{line}'" for line in (*str(request.formula).split("\n"), data))
        raise BrimError(f"data is a formula: '{data}'", hint=f"formulas of one model go together: brm(bf({given}), data)")
    if isinstance(data, str) and data in bundled() and not os.path.exists(data):
        raise BrimError(f"data = '{data}' is the name of a bundled data set", hint=f"write data=brim.load_data('{data}')")
    functions = {name: value for name, value in request.data2.items() if callable(value)}
    frame = _read(data, request.formula).with_functions(functions)
    model, frame = request.built(frame)
    if request.settings.sample_prior == "only":
        _check_proper(model)
        model = replace(model, prior_only=True)
    record = FitRecord(replace(request, priors=request.priors.used(model.rows)), model, frame)
    _check_determined(record, empty)
    if empty:
        return record
    if stop_when is not None and not isinstance(stop_when, StopWhen):
        raise BrimError(f"stop_when = {stop_when!r}", hint="write stop_when=brim.stop_when(ess=1000, rhat=1.01)")
    if path is not None and path.exists() and file_refit != "always":
        saved = _saved(path, record, file_refit)
        if saved is not None:
            return saved
    how = Running(cores, init, progress, stop_when, None, executor, placed)
    record = sample(record, how) if checkpoint is None else sample_kept(record, place("checkpoint", checkpoint), how)
    if path is not None and not record.info.get("interrupted"):
        _keep(record, path)
    return record


def _read(data: Any, formula: Formula | MvFormula) -> Frame:
    """The data as a frame; lazy ones, and files, as ``read_stream`` reads them for this formula."""
    stream = data if isinstance(data, Frame) else stream_of(data)
    if isinstance(stream, Frame) and stream.whole is not None:
        used = {v for f in formula.formulas for v in f.variables(stream.names)}
        again = used - set(stream.names) and stream.whole.source is not None
        stream = stream.whole.source if again else stream
    if stream is None or isinstance(stream, Frame):
        return Frame.read(data)
    names = [v for f in formula.formulas for v in f.variables(stream.names)]
    groups = [g.by for f in formula.formulas for p in (f.main, *f.predictors) if not p.nl for g in p.terms(stream.names).groups]
    keys = [key for by in groups for key in keys_of(by)]
    return read_stream(stream, names, list(dict.fromkeys(k for k in keys if set(k) <= set(stream.names))))


def _keep(record: FitRecord, path: Path) -> None:
    """Save a fit that has just been sampled; it is not lost where that fails."""
    try:
        save(record, path)
    except BrimError as error:
        warn(f"the fit was sampled and could not be saved: {error}. It is returned all the same: save it elsewhere with fit.save(path)")


def updated_record(record: FitRecord, formula: Any, newdata: Any, changes: Mapping[str, Any]) -> FitRecord:
    """``Fit.update``: the arguments of the first call with changes."""
    known = record.request.arguments()
    run = [name for name, p in inspect.signature(perform).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in changes:
        if name not in known and name not in run:
            raise unknown("update", name, [*known, *run])
    arguments = {**known, **changes, "prior": read_priors(changes.get("prior")).over(record.request.priors)}
    if "iter" in changes and "warmup" not in changes:
        arguments["warmup"] = None
    request = requested(updated(record.formula, formula), **{name: arguments[name] for name in known})
    data = record.frame if newdata is None else newdata
    return perform(request, data, **{name: value for name, value in changes.items() if name in run})


def _file(file: str | os.PathLike[str] | None, refit: str) -> Path | None:
    one_of("file_refit", refit, FILE_REFIT)
    if file is None:
        return None
    path = place("file", file)
    return check_target(path if path.suffix in (".nc", ".zarr") else path.with_name(path.name + ".nc"), "file")


def _check_proper(model: Model) -> None:
    """Priors must be proper to be sampled from; those that the model's construction fixes are."""
    for p in (p for p in model.params if p.slots):
        covered = {i for piece in p.pieces for i in p.elements(piece)}
        for i in range(p.size):
            if i not in covered and i not in p.constants and not (p.lb is not None and p.ub is not None):
                slot = p.slots[min(i, len(p.slots) - 1)]
                what = f"class = {slot.class_}" + (f", coef = {slot.coef}" if slot.coef else "")
                raise BrimError(
                    f"sample_prior = 'only' needs proper priors; {what} has a flat one",
                    hint=f"give one: prior('normal(0, 1)', class_='{slot.class_}')",
                )


def _check_determined(record: FitRecord, empty: bool) -> None:
    """Coefficients with flat priors that the data leave open: an error where they would be sampled, a warning elsewhere."""
    hint = "give these coefficients a proper prior, as prior('normal(0, 1)', class_='b')"
    found = undetermined(record.model, record.frame)
    if found:
        what = f"the design does not have full rank: {'; '.join(found)}. With flat priors these coefficients are not identified"
        if not empty and record.settings.algorithm != "map":
            raise BrimError(what, hint=f"leave columns out, or {hint}")
        warn(f"{what}: leave columns out, or {hint}")
    for said in degenerate(record.model, record.frame):
        warn(said)
    for said in separated(record.model, record.frame) if not found else ():
        warn(f"{said}: along these coefficients the likelihood rises for ever, and estimates run off under flat priors; {hint}")


def _saved(path: Path, record: FitRecord, refit: str) -> FitRecord | None:
    """The fit saved at ``path``, unless it is another model's and ``on_change`` asks to sample anew."""
    custom = next((r.family for r in record.model.responses if r.family.name not in CONSTRUCTORS), None)
    found = read(path, custom)
    other = differences(found, record)
    if found.posterior is None or (refit == "on_change" and other):
        return None
    if other:
        warn(
            f"the fit in '{path}' is returned, which was asked for with other {_listed(other)}. "
            "file_refit='on_change' fits again in such a case"
        )
    return found


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
