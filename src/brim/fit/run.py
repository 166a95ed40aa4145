"""Sampling a built model: in which coordinates, by which engine, and what is reported of the draws."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np

from brim.compile.compiled import Compiled, compiled
from brim.compile.placed import Placed
from brim.compile.session import float64
from brim.coordinates import choose
from brim.coordinates.base import Coordinates, Learned, model_target, sample_in
from brim.coordinates.distinct import distinct_rows
from brim.coordinates.given import given_points
from brim.coordinates.padded import padded, row_counts
from brim.errors import BrimError, suggest, warn
from brim.executors import WorkerError, check_executor, ordered
from brim.fit.checks import warn_about
from brim.fit.draws import Posterior
from brim.fit.nowhere import explained
from brim.fit.record import FitRecord
from brim.fit.running import Running
from brim.frames.frame import Frame
from brim.infer.approximate.psis import USABLE
from brim.infer.engines import AUTO
from brim.infer.info import Info
from brim.infer.nuts.checkpoint import Checkpoint
from brim.infer.nuts.control import Control
from brim.infer.nuts.merged import merged
from brim.infer.nuts.program import precompile
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.nuts.sampling import sample as nuts
from brim.infer.nuts.stopping import StopWhen
from brim.infer.nuts.warmup import Start
from brim.infer.starts import Init, read_init, start_of
from brim.infer.target import Draws, NowhereError, Target, UnsuitedError
from brim.model.model import Model, report_function
from brim.parameters.draws import prior_draws

__all__ = ["columns_read", "coordinates", "report", "sample", "target", "with_engine_draws"]

F = TypeVar("F", bound=FitRecord)


def target(fit: F, init: Any = None) -> Target:
    """The log density of a model on its unconstrained coordinates, as engines take it."""
    return model_target(fit.model, fit.frame, 1.0 if init is None else float(init))


def sample(fit: F, how: Running | None = None) -> F:
    """Run the engine on a built model; returns the fit with draws.

    ``"auto"`` is ``"nested_laplace"`` where that suits the model and its k-hat is good enough, else ``"sampling"``.
    """
    how = Running() if how is None else how
    if fit.settings.algorithm != AUTO:
        return with_engine_draws(fit, *_run(fit, how))
    why = _chains_only(fit, how)
    if not why:
        try:
            space, draws = _run(_by(fit, "nested_laplace"), how)
        except UnsuitedError as error:
            why = error.what
        else:
            if draws.info["khat"] <= USABLE:
                return with_engine_draws(fit, space, draws.telling(algorithm="nested_laplace"))
            why = draws.info["verdict"]
    space, draws = _run(_by(fit, "sampling"), how)
    engine = f"{draws.info['engine']}. algorithm='auto' took it, not 'nested_laplace': {why}"
    return with_engine_draws(fit, space, draws.telling(algorithm="sampling", engine=engine))


def _chains_only(fit: FitRecord, how: Running) -> str:
    """Why only chains can do what is asked for; empty if others can."""
    given = how.only_chains()
    if Control.read(dict(fit.settings.control)).precision != "float64":
        given.append("precision")
    if given:
        return f"{' and '.join(given)} are for chains"
    return "the rows are not in memory" if fit.frame.whole is not None else ""


def _by(fit: F, algorithm: str) -> F:
    """The same fit by another algorithm."""
    return replace(fit, request=replace(fit.request, settings=replace(fit.settings, algorithm=algorithm)))


def _run(fit: FitRecord, how: Running) -> tuple[Coordinates, Draws]:
    """What the engine gives, and the coordinates that it is in."""
    s, given = fit.settings, read_init(how.init, fit.settings.chains)
    stop_when, checkpoint, executor = how.stop_when, how.checkpoint, how.executor
    dropped(fit.model, s.keep)  # names are checked before anything is done
    plain = s.algorithm == "sampling" and not given.approximate
    placed = _placed(fit, how.placed, plain and executor is None)
    if placed is not None:
        _check_together(stop_when, checkpoint)
    space = coordinates(fit, given.spread, "" if given.approximate else s.algorithm)
    note = f"{'NUTS' if s.algorithm == 'sampling' else s.algorithm}, {space.note}{_where(placed, space, s.control)}"
    if space.target.dim == 0:
        raise BrimError("the model has nothing to estimate: every parameter is constant")
    arguments: dict[str, Any] = {
        "chains": s.chains,
        "warmup": s.warmup,
        "draws": s.iter - s.warmup,
        "thin": s.thin,
        "cores": how.cores,
        "seed": s.seed,
        "progress": how.progress,
    }
    if plain:
        arguments |= {"stop": stop_when, "measure": partial(_looked_at, fit.model), "checkpoint": checkpoint, "placed": placed}
        arguments["wide"] = None if placed is None else _wide(fit, placed, given.spread)
        if executor is not None:
            _check_spread(executor, stop_when, checkpoint)
            arguments["elsewhere"] = partial(_elsewhere, fit, executor, given.spread, note)
    elif stop_when is not None or checkpoint is not None or executor is not None:
        raise BrimError(
            "stop_when, checkpoint and executor are for algorithm='sampling' without an approximation in init", hint="leave them out"
        )
    try:
        space, draws = _drawn(fit, space, given, how.init is None, arguments)
    except NowhereError as error:
        raise explained(error, fit.model, fit.frame) from None
    draws = draws.telling(engine=f"{s.algorithm}, {draws.info['note']}" if "note" in draws.info else note)
    if draws.info.get("stopped"):
        warn(f"sampling was {draws.info['stopped']}" if draws.info["interrupted"] else draws.info["stopped"])
    if checkpoint is not None and checkpoint.failure is not None:
        warn(f"the last draws are not in '{checkpoint.folder}' ({checkpoint.failure}); the fit has them: save it with fit.save(path)")
    return space, draws


def _placed(fit: FitRecord, placed: Placed | None, possible: bool) -> Placed | None:
    """The devices, with the lengths of what is divided among them."""
    if placed is None and Control.read(dict(fit.settings.control)).precision == "float64":
        return None
    if not possible:
        hint = "leave them out; executor is for chains in other places"
        raise BrimError("device, devices and precision are for algorithm='sampling' in this process, not from an approximation", hint=hint)
    placed = Placed(tuple(jax.local_devices()[:1])) if placed is None else placed
    parts = len(placed.devices)
    return replace(placed, rows=tuple(n + -n % parts for n in row_counts(fit.model, _rows(fit))))


def _check_together(stop_when: StopWhen | None, checkpoint: Checkpoint | None) -> None:
    if checkpoint is not None:
        raise BrimError("checkpoint: chains that run as one program are not kept", hint="leave device, devices and precision out")
    if stop_when is not None and jax.process_count() > 1:  # each would stop by its own clock, and the others wait for it for ever
        raise BrimError("stop_when: processes that share the rows end together", hint="leave it out")


def _wide(fit: FitRecord, placed: Placed, spread: float) -> Coordinates | None:
    """The coordinates of the rows that divide among the devices; ``None`` where its own do."""
    own = _rows(fit)
    frame = padded(fit.model, own, len(placed.devices))
    return None if frame is own else coordinates(replace(fit, frame=frame), spread)


def _where(placed: Placed | None, space: Coordinates, control: Mapping[str, Any]) -> str:
    if placed is None:
        return ""
    kind, n = placed.devices[0].platform, len(placed.devices)
    lengths = {length for x in jax.tree.leaves(space.target.data) for length in np.shape(x)}
    split = n > 1 and any(n_rows in lengths for n_rows in row_counts(space.plan.model, space.frame))
    on = f"rows divided among {n} {kind} devices" if split else f"on {kind}"
    return f"; chains in one program, {on}" + (", float32" if dict(control).get("precision") == "float32" else "")


def _check_spread(executor: Any, stop_when: StopWhen | None, checkpoint: Checkpoint | None) -> None:
    check_executor(executor)
    for name, given in (("stop_when", stop_when), ("checkpoint", checkpoint)):
        if given is not None:
            raise BrimError(f"executor and {name}: chains that run in other places end by themselves", hint="leave one of them out")


def _elsewhere(
    fit: FitRecord, executor: Any, spread: float, note: str, space: Coordinates, start: Start | None, chains: int, plan: Any
) -> Draws:
    """The draws of chains that an executor runs, one a call."""
    own = [start if start is None else replace(start, q=start.q[c : c + 1]) for c in range(chains)]
    calls = [(fit, spread, space.learned, own[c], c, plan) for c in range(chains)]
    try:
        return merged(ordered(executor, _one_chain, calls, "chain"))
    except WorkerError as error:
        if error.finished:
            draws = merged(list(error.finished.values()))
            draws = draws.telling(engine=note, stopped=f"{len(error.finished)} of {chains} chains are here", interrupted=True)
            error.finished = with_engine_draws(fit, space, draws)
        raise


def _one_chain(fit: FitRecord, spread: float, learned: Learned, start: Start | None, number: int, plan: Mapping[str, Any]) -> Draws:
    """What a worker does: build the coordinates of the model anew, and run one chain in them."""
    space = coordinates(fit, spread).with_learned(learned)
    return nuts(space.target, chains=1, first=number, start=start, cores=1, progress=False, **plan)


def _looked_at(model: Model, space: Coordinates, draws: Draws) -> np.ndarray:
    """Draws ``(chains, draws, parameters)`` of what convergence is looked at for."""
    arrays, _ = report(model, space, draws, dropped(model, "parameters"))
    posterior = Posterior(model.reported(), arrays)
    shown = [posterior.array(q) for q in posterior.reported if not q.kind.inner]
    return np.concatenate([x.reshape(*x.shape[:2], -1) for x in shown], axis=2)


def _drawn(fit: FitRecord, space: Coordinates, given: Init, near: bool, arguments: dict[str, Any]) -> tuple[Coordinates, Draws]:
    """What the algorithm gives, and the coordinates it worked in; ``near``: the user says nothing of where to start."""
    s = fit.settings
    if s.algorithm == "sampling" and not given.approximate:
        control = Control.read({**space.advised, **s.control} if near else dict(s.control))
        _precompile(fit, space, control)
        if given.values:
            arguments["seed"] = fresh_seed() if s.seed is None else s.seed
            arguments["points"] = given_points(space, given.values, arguments["seed"])
        return sample_in(space, control=control, near=near, **arguments)
    if given.values:
        raise BrimError(f"init: algorithm '{s.algorithm}' does not start from values of parameters", hint="algorithm='sampling' does")
    start = start_of(given, space.target, s.chains, s.seed, s.algorithm)
    control = Control.read({**space.advised, **s.control} if s.algorithm in choose.NESTED else dict(s.control))
    return space.run(s.algorithm, control=control, start=start, **arguments)


def coordinates(fit: FitRecord, spread: float = 1.0, algorithm: str = "sampling") -> Coordinates:
    """What an algorithm works in: see ``brim.coordinates.choose``."""
    s = fit.settings
    wish = choose.Wish(algorithm, s.marginalize, Control.read(dict(s.control)).adapted_effects, spread)
    try:
        return choose.coordinates(fit.model, _rows(fit), wish)
    except NowhereError as error:
        raise explained(error, fit.model, fit.frame) from None


def _rows(fit: FitRecord) -> Frame:
    """The rows that the density is computed from: the distinct ones, where they are few."""
    return distinct_rows(fit.model, fit.frame, columns_read(fit))


def columns_read(fit: FitRecord) -> list[str]:
    """The columns that the model reads."""
    names = (n for f in fit.formula.formulas for n in f.variables(fit.frame.names) if n in fit.frame)
    return list(dict.fromkeys(names))


def _precompile(fit: FitRecord, space: Coordinates, control: Control) -> None:
    """Start compiling all programs of a fit, the sampler's first: the others are ready when it is."""
    precompile(space.target, control)
    size = space.size(fit.settings.chains * fit.settings.draws)
    space.prepare(size)
    _report_program(fit.model, size, space.data)


def with_engine_draws(fit: F, space: Coordinates, draws: Draws) -> F:
    """The fit with what an engine gave in these coordinates, reported under brms' names, and its warnings raised."""
    arrays, seconds = report(fit.model, space, draws, dropped(fit.model, fit.settings.keep))
    posterior = Posterior(fit.model.reported(), arrays, _prior_draws(fit, draws))
    info: Info = {**space.told(draws), "completion_seconds": seconds}
    out = replace(fit, posterior=posterior, stats={**draws.stats, "lp": arrays["lp__"]}, info=info)
    warn_about(out)
    return out


def dropped(model: Model, keep: str | tuple[str, ...]) -> frozenset[str]:
    """Keys of what is reported and not kept."""
    if keep == "all":
        return frozenset()
    long = [q for q in model.reported() if q.kind.each]
    names = () if isinstance(keep, str) else keep
    for name in names:
        if name not in {q.label for q in long}:
            raise BrimError(f"keep: there is no '{name}'", hint=suggest(name, [q.label for q in long], "vectors"))
    return frozenset(q.key for q in long) - {q.key for q in long if q.label in names}


def report(model: Model, space: Coordinates, draws: Draws, without: frozenset[str] = frozenset()) -> tuple[dict[str, np.ndarray], float]:
    """Reported quantities of all draws: ``key -> (chains, draws, *shape)``, with ``lprior`` and ``lp__``; seconds of completing draws.

    ``without`` are keys that are left out.
    """
    shape, data = draws.q.shape[:2], space.data
    total = shape[0] * shape[1]
    run = _report_program(model, space.size(total), data).result().run
    out: dict[str, np.ndarray] = {}
    gain, seconds = np.empty(total), 0.0
    with float64():
        for block in space.blocks(draws):
            seconds += block.seconds
            gain[block.rows] = block.gain[: block.kept]
            for key, values in run(block.q, data).items():
                if key in without:
                    continue
                whole = out.setdefault(key, np.empty((total, *values.shape[1:])))
                whole[block.rows] = np.asarray(values)[: block.kept]
    arrays = {k: v.reshape(*shape, *v.shape[1:]) for k, v in out.items()}
    return {**arrays, "lp__": draws.stats["lp"] + gain.reshape(shape)}, seconds


def _report_program(model: Model, size: int, data: Any) -> Future[Compiled]:
    """The compiled report of ``size`` draws at once."""
    q = jax.ShapeDtypeStruct((size, model.layout.dim), np.float64)
    return compiled(("report", model), lambda: report_function(model), (q, data), lambda found: found, short=True)


def _prior_draws(fit: F, draws: Draws) -> dict[str, np.ndarray]:
    """Draws from the priors for ``sample_prior = "yes"``."""
    if fit.settings.sample_prior != "yes":
        return {}
    chains, n, _ = draws.q.shape
    rng = np.random.default_rng([int(draws.info["seed"]), 1])
    return {name: values.reshape(chains, n) for name, values in prior_draws(fit.model.params, fit.model.rows, chains * n, rng).items()}
