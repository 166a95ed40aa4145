"""``sample``: chains in threads on one device, chunk by chunk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from brim.arguments import whole
from brim.compile.placed import Placed
from brim.compile.session import float64
from brim.errors import BrimError
from brim.infer.info import Info
from brim.infer.nuts.batched import Batch, placed_data, precompile_batched
from brim.infer.nuts.chain import Halted, MarkovChain
from brim.infer.nuts.checkpoint import Checkpoint
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import Program, device_data, new_state, precompile
from brim.infer.nuts.progress import Progress, Report
from brim.infer.nuts.random import chain_stream
from brim.infer.nuts.stopping import Measure, StopWhen, first_look, next_look
from brim.infer.nuts.tree import STATS, State
from brim.infer.nuts.warmup import AbstractWarmup, FromStart, Start, Windows, climb, first_point, first_step_size
from brim.infer.target import Draws, Target

__all__ = ["Control", "Start", "precompile", "sample"]

_POLL = 0.1  # seconds between looks at the chains


@dataclass(frozen=True)
class Task:
    """What every chain is to do."""

    target: Target
    control: Control
    warmup: int
    draws: int
    thin: int
    seed: int
    start: Start | None
    stop: StopWhen | None = None
    measure: Measure | None = None
    checkpoint: Checkpoint | None = None
    placed: Placed | None = None
    first: int = 0  # number of the first chain, which decides its stream of random numbers


@dataclass
class Times:
    """Seconds and leapfrog steps of a chain."""

    warmup: float = 0.0
    sampling: float = 0.0
    warmup_steps: int = 0


def sample(
    target: Target,
    *,
    chains: int = 4,
    warmup: int = 1000,
    draws: int = 1000,
    thin: int = 1,
    cores: int | None = None,
    seed: int | None = None,
    control: Control | None = None,
    start: Start | None = None,
    progress: bool = True,
    callback: Callable[[tuple[Report, ...]], None] | None = None,
    stop: StopWhen | None = None,
    measure: Measure | None = None,
    checkpoint: Checkpoint | None = None,
    first: int = 0,
    placed: Placed | None = None,
) -> Draws:
    """Draw from the target with the no-U-turn sampler.

    Parameters
    ----------
    target
        The log density and its data.
    chains, warmup, draws
        Number of chains, and iterations of each in warm-up and after it.
    thin
        Every ``thin``-th iteration is kept, the first one included: ``ceil(draws / thin)`` draws a chain.
    cores
        Chains run at the same time (threads of this process); by default as many as there are processors. Draws do not depend on it.
    seed
        The same seed gives bitwise the same draws on the same machine; ``None`` takes a fresh one, kept in ``info["seed"]``.
    control
        Step size target, tree depth and metric.
    start
        First points and metric from an approximation; then warm-up only adapts the step size. Or first points alone.
    progress
        Show a progress bar (a terminal) or lines (a file) on stderr.
    callback
        Called about ten times a second, in the calling thread, with one ``Report`` a chain.
    stop, measure
        When to stop early, and what of the draws is looked at for that.
    checkpoint
        Where the chains are kept while they run, and continued from.
    first
        The number of the first chain: chains 2 and 3 of four, run by themselves, are ``chains=2, first=2`` and give the same draws.
    placed
        Devices that all chains run on, as one program, instead of one after the other on this process' first device.

    Returns
    -------
    Draws
        ``stats`` has ``energy`` besides those documented there. ``info`` has ``engine``, ``seed``, ``warmup``, ``thin``, ``cores``,
        ``control``, ``max_treedepth``, ``compile_seconds`` (0 when the program was compiled for an earlier fit), ``compiled_from_disk``,
        ``warmup_seconds`` and ``sampling_seconds`` (wall clock, shared out as the chains' own), ``chain_seconds`` (chains, 2),
        ``stopped`` (why, where sampling
        ended early: there are fewer draws then, and after Ctrl-C those chains that give most) and ``interrupted`` there,
        ``warmup_steps`` (leapfrog steps, a chain), ``inv_mass`` (chains, dim; its diagonal), ``last_q`` (chains, dim; the last
        draws), ``chain_numbers`` (chains; which of those asked for they are).

    Raises
    ------
    BrimError
        For arguments out of range, or when no finite starting point is found.
    """
    control = Control() if control is None else control
    _check_counts(target, chains=chains, warmup=warmup, draws=draws, thin=thin, cores=cores, start=start)
    seed = fresh_seed() if seed is None else int(seed)
    cores = min(chains, processors() if cores is None else cores)
    plan = Task(target, control, warmup, draws, thin, seed, start, stop, measure, checkpoint, placed, first)
    compiling = precompile(target, control) if placed is None else precompile_batched(target, control, chains, placed)
    reused = compiling.done()
    if checkpoint is not None:
        checkpoint.begin((target.data, () if start is None else (start.q, start.inv_mass)))
    run = _Run(plan, chains)
    with Progress(chains, warmup, draws, shown=progress, callback=callback) as shown:
        program = compiling.result()
        clock = time.perf_counter()
        run.go(program, cores, shown)
        seconds = time.perf_counter() - clock
    return run.result(program, cores, seconds, 0.0 if reused else program.seconds)


def processors() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def fresh_seed() -> int:
    """A new seed below 2^31, short enough to be typed."""
    return int(np.random.SeedSequence().generate_state(1)[0] >> 1)


class _Run:
    """The arrays that the chains fill, each its own row."""

    def __init__(self, plan: Task, chains: int) -> None:
        kept = -(-plan.draws // plan.thin)
        self.plan = plan
        self.q = np.empty((chains, kept, plan.target.dim))
        self.stats = np.empty((chains, kept, len(STATS)))
        self.times = [Times() for _ in range(chains)]
        self.reports = [Report(chain=c + 1, warmup=plan.warmup, draws=plan.draws) for c in range(chains)]
        self.inv_mass = np.empty((chains, plan.target.dim))
        self.halt = threading.Event()
        self.kept = [0] * chains  # draws of each
        self.end: int | None = None  # draws a chain that are enough
        self.stopped, self.interrupted = "", False
        self.look = first_look(chains)
        self.clock = time.monotonic()
        self.batch: Batch | None = None  # where chains run as one program

    def go(self, program: Program, cores: int, shown: Progress) -> None:
        """Run all chains; an exception in one, or Ctrl-C, stops the others at the end of their chunk."""
        placed, control = self.plan.placed, self.plan.control
        with float64():
            data = device_data(self.plan.target.data) if placed is None else placed_data(self.plan.target.data, control, placed)
        if placed is not None:
            self.batch = Batch(program.run, len(self.q), placed)
        workers = cores if self.plan.stop is None and placed is None else len(self.q)  # all chains at a time: they end together
        with ThreadPoolExecutor(workers, thread_name_prefix="brim-chain") as pool:
            futures = [pool.submit(self.seated, c, program, data) for c in range(len(self.q))]
            try:
                self._watch(futures, shown)
            except BaseException as error:
                self.halt.set()
                pool.shutdown(wait=True, cancel_futures=True)
                if not isinstance(error, KeyboardInterrupt) or max(self.kept) == 0:
                    raise
                self.interrupted = True
        shown.update(self.reports)

    def _watch(self, futures: list[Future[None]], shown: Progress) -> None:
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=_POLL, return_when=FIRST_EXCEPTION)
            shown.update(self.reports)
            failed = [error for f in done if (error := f.exception()) is not None and not isinstance(error, Halted)]
            if failed:
                raise failed[0]
            if waiting and self.plan.stop is not None and self._enough(self.plan.stop):
                self.halt.set()

    def _enough(self, stop: StopWhen) -> bool:
        """Whether the chains may stop; looks are taken at numbers of draws that do not depend on time."""
        n, measure = min(self.kept), self.plan.measure
        while stop.looks and measure is not None and self.look <= n and self.end is None:
            if stop.reached(measure(self.q[:, : self.look].copy())):
                self.end, self.stopped = self.look, "stop_when: good enough"
            self.look = next_look(self.look)
        if self.end is None and stop.seconds is not None and n > 0 and time.monotonic() - self.clock > stop.seconds:
            self.end, self.stopped = n, f"stop_when: {stop.seconds:g} seconds are over"
        return self.end is not None

    def seated(self, number: int, program: Program, data: Any) -> None:
        """One chain, with its own program or its seat in that of all chains."""
        if self.batch is None:
            self.chain(number, program, data)
            return
        try:
            self.chain(number, replace(program, run=self.batch.seat(number)), data)
        finally:
            self.batch.leave(number)

    def chain(self, number: int, program: Program, data: Any) -> None:
        """One chain, in its thread. ``float64`` is entered thread by thread."""
        plan, report = self.plan, self.reports[number]
        with float64():
            clock = time.perf_counter()
            chain = MarkovChain(program, data, chain_stream(plan.seed, plan.first + number), plan.control, self.halt, report)
            steps = self._begin(chain, number, program)
            warm_up(chain, plan, number)
            self.times[number] = Times(time.perf_counter() - clock, 0.0, report.leapfrogs if steps is None else steps)
            self.inv_mass[number] = program.metric.inv_mass(jax.tree.map(np.asarray, chain.state.scale))

            made = int(chain.state.iteration) - plan.warmup

            def keep(since: int, draws: np.ndarray, stats: np.ndarray) -> None:
                done = made + since
                first = -done % plan.thin
                rows = slice(-(-done // plan.thin), -(-(done + len(draws)) // plan.thin))
                self.q[number, rows], self.stats[number, rows] = draws[first :: plan.thin], stats[first :: plan.thin]
                self.kept[number] = rows.stop

            clock = time.perf_counter()
            chain.advance(plan.draws - made, adapting=False, sink=keep)
            chain.keep(chain.state, True)
            self.times[number].sampling = time.perf_counter() - clock

    def _begin(self, chain: MarkovChain, number: int, program: Program) -> int | None:
        """Put a chain where it was left, if it is in a checkpoint, and keep it there; the leapfrog steps of a warm-up that was done."""
        plan, checkpoint = self.plan, self.plan.checkpoint
        if checkpoint is None:
            return None
        dim, report = plan.target.dim, self.reports[number]
        like = new_state(np.zeros(dim), program.metric, np.ones(dim), 1.0)
        saved = checkpoint.load(number, like)
        steps = 0 if saved is None else saved.warmup_steps

        def keep(state: State, now: bool) -> None:
            n = self.kept[number]
            rows = np.concatenate([self.q[number, :n], self.stats[number, :n]], axis=1)
            warming = int(state.iteration) <= plan.warmup
            checkpoint.keep(number, state, rows, steps + report.leapfrogs if warming else self.times[number].warmup_steps, now)

        chain.keep = keep
        if saved is None:
            return None
        n = min(len(saved.rows), self.q.shape[1])
        self.q[number, :n], self.stats[number, :n] = saved.rows[:n, :dim], saved.rows[:n, dim:]
        self.kept[number], chain.state, report.done = n, saved.state, int(saved.state.iteration)
        return saved.warmup_steps if report.done > plan.warmup else None

    def trimmed(self) -> tuple[np.ndarray, int]:
        """The chains and the number of their draws that are kept: as many draws as there are in all, where chains were interrupted."""
        if not self.interrupted:
            return np.arange(len(self.q)), self.q.shape[1] if self.end is None else self.end
        order = np.argsort([-n for n in self.kept], kind="stable")
        best = max(range(1, len(order) + 1), key=lambda k: k * self.kept[order[k - 1]])
        return np.sort(order[:best]), self.kept[order[best - 1]]

    def told(self, chains: np.ndarray, n: int) -> Info:
        """Why sampling ended early, if it did."""
        if not self.interrupted and self.end is None:
            return {}
        why = "interrupted" if self.interrupted else self.stopped
        of = "" if len(chains) == len(self.q) else f" of {len(chains)} of {len(self.q)} chains"
        return {"stopped": f"{why}: {n} of {self.q.shape[1]} draws a chain{of} are here", "interrupted": self.interrupted}

    def result(self, program: Program, cores: int, seconds: float, compile_seconds: float) -> Draws:
        """The draws, and what the run cost."""
        plan = self.plan
        chains, kept = self.trimmed()
        q = self.q[chains, :kept]
        chain_seconds = np.array([[t.warmup, t.sampling] for t in self.times])
        warmup_seconds, sampling_seconds = seconds * chain_seconds.sum(0) / max(chain_seconds.sum(), 1e-9)
        columns = np.moveaxis(self.stats[chains, :kept], 2, 0)
        stats: dict[str, np.ndarray] = {
            name: column.astype(_KINDS.get(name, np.float64)) for name, column in zip(STATS, columns, strict=True)
        }
        info: Info = {
            "engine": "sampling",
            "seed": plan.seed,
            "warmup": plan.warmup,
            "thin": plan.thin,
            "cores": cores,
            "control": plan.control,
            "max_treedepth": plan.control.max_treedepth,
            "compile_seconds": compile_seconds,
            "compiled_from_disk": program.from_disk,
            "warmup_seconds": float(warmup_seconds),
            "sampling_seconds": float(sampling_seconds),
            "chain_seconds": chain_seconds,
            "warmup_steps": np.array([t.warmup_steps for t in self.times]),
            "inv_mass": self.inv_mass[chains],
            "last_q": q[:, -1],
            "chain_numbers": plan.first + chains,
            **self.told(chains, kept),
        }
        return Draws(q, stats, info)


_KINDS: dict[str, type] = {"n_steps": np.int64, "diverging": np.bool_, "tree_depth": np.int64}


def warm_up(chain: MarkovChain, plan: Task, number: int) -> None:
    """Place the chain, find a first step size, and adapt."""
    known = plan.start is not None and plan.start.inv_mass is not None
    strategy: AbstractWarmup = FromStart() if known else Windows()
    if hasattr(chain, "state"):  # continued
        strategy.run(chain, plan.warmup)
        return
    rng = np.random.default_rng([plan.seed, plan.first + number])
    if plan.start is None:
        first_point(chain, plan.target, rng, plan.first + number)
        climb(chain)
    else:
        given = plan.start
        first_point(chain, replace(plan.target, init=lambda _: given.q[number]), rng, plan.first + number, fixed=not known)
        if known:
            chain.state = chain.state._replace(scale=chain.program.metric.begin(given.inv_mass))
        elif plan.warmup:
            climb(chain)
    first_step_size(chain, plan.control.step_size if plan.start is None else plan.start.step_size or plan.control.step_size)
    strategy.run(chain, plan.warmup)


def _check_counts(target: Target, *, chains: int, warmup: int, draws: int, thin: int, cores: int | None, start: Start | None) -> None:
    for name, value, least in (
        ("chains", chains, 1),
        ("warmup", warmup, 0),
        ("draws", draws, 1),
        ("thin", thin, 1),
        ("cores", 1 if cores is None else cores, 1),
    ):
        whole(name, value, least=least)
    square = (target.dim, target.dim)
    if start is None or isinstance(start.inv_mass, tuple):
        return
    metric = square[:1] if start.inv_mass is None else np.shape(start.inv_mass)
    if np.shape(start.q) != (chains, target.dim) or metric not in (square[:1], square):
        raise BrimError(f"start must have q ({chains}, {target.dim}) and inv_mass ({target.dim},) or {square}")
