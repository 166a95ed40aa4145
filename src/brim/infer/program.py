"""The compiled sampler of a model shape: compiled once a process, kept on disk for the next."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from brim.infer.base import Target
from brim.infer.cache import compile_cached
from brim.infer.control import Control
from brim.infer.metric import METRICS, AbstractMetric
from brim.infer.nuts import Point, Settings, State, make_chunk
from brim.infer.split import Split
from brim.infer.stepsize import restart

__all__ = ["Program", "device_data", "new_state", "precompile"]

_KEPT = 16  # compiled programs held in memory; a program is some MB
_programs: OrderedDict[Hashable, Future[Program]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Program:
    """``run(state, data, stream, n, settings) -> state, draws, stats`` for up to ``rows`` iterations, and what it cost to get."""

    run: Callable[..., tuple[State, Any, Any]]
    metric: AbstractMetric
    rows: int
    seconds: float
    from_disk: bool


def precompile(target: Target, control: Control) -> Future[Program]:
    """Start compiling the target's program in a thread, unless it is there or on its way.

    Programs are shared by targets with an equal ``log_prob``, dimension, and shapes of data.

    Returns
    -------
    A future of the :class:`Program`; ``sample`` waits for the same one.
    """
    depth = 10 if control.max_treedepth <= 10 else 20  # two sizes of checkpoint arrays; the limit itself is a run-time argument
    leaves, tree = jax.tree.flatten(target.data)
    shapes = tuple((np.shape(x), np.result_type(x).str) for x in leaves)
    key = (target.log_prob, target.dim, metric_of(target, control), depth, tree, shapes)
    with _lock:
        future = _programs.get(key)
        if future is None or (future.done() and future.exception() is not None):
            future = _programs[key] = Future()
            threading.Thread(target=_build, args=(future, target, metric_of(target, control), depth), name="brim-compile").start()
        _programs.move_to_end(key)
        while len(_programs) > _KEPT:
            _programs.popitem(last=False)
    return future


def metric_of(target: Target, control: Control) -> AbstractMetric:
    """The metric that a target is sampled with."""
    return Split(target.head) if control.metric == "split" else METRICS[control.metric]


def device_data(data: Any) -> Any:
    """The target's data as float64 JAX arrays (to be called with x64 on)."""
    return jax.tree.map(jax.numpy.asarray, data)


def new_state(q: np.ndarray, metric: AbstractMetric, inv_mass: Any, step: float) -> State:
    """A chain at ``q`` whose density is not known: the next transition moves from log density -inf, so it always accepts."""
    n = len(q)
    point = Point(np.asarray(q, dtype=np.float64), np.float64(-np.inf), np.zeros(n), np.float64(0.0))
    return State(point, np.int64(0), restart(step), metric.start(inv_mass), metric.moments(n))


def _rows(dim: int) -> int:
    """Iterations a chunk may hold: buffers of about 0.5 MB, which are cleared at each call."""
    return int(np.clip(2**16 // max(dim, 1), 16, 512))


def _build(future: Future[Program], target: Target, metric: AbstractMetric, depth: int) -> None:
    try:
        future.set_result(_compile(target, metric, depth))
    except BaseException as error:  # handed to whoever waits
        future.set_exception(error)


def _compile(target: Target, metric: AbstractMetric, depth: int) -> Program:
    start = time.perf_counter()
    rows = _rows(target.dim)
    with jax.enable_x64(True):
        state = new_state(np.zeros(target.dim), metric, np.ones(target.dim), 1.0)
        settings = Settings(np.bool_(False), np.int32(1), np.float64(0.8))
        args = (state, device_data(target.data), np.uint64(0), np.int32(0), settings)
        lowered = jax.jit(make_chunk(target.log_prob, metric, rows, depth)).lower(*args)
        run, from_disk = compile_cached(lowered)
    return Program(run, metric, rows, time.perf_counter() - start, from_disk)
