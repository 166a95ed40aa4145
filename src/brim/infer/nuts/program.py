"""The compiled sampler of a model shape: compiled once a process, kept on disk for the next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from brim.compile.compiled import compiled
from brim.infer.nuts.control import Control
from brim.infer.nuts.metric import METRICS, AbstractMetric
from brim.infer.nuts.split import Split
from brim.infer.nuts.stepsize import restart
from brim.infer.nuts.tree import Point, State, TreeSettings, make_chunk
from brim.infer.target import Target

__all__ = ["Program", "device_data", "metric_of", "new_state", "precompile", "rows_of", "sizes"]


# few coordinates and numbers: a run takes less time than half of its compilation
_FEW, _LITTLE = 20, 2**14


@dataclass(frozen=True)
class Program:
    """``run(state, data, stream, n, settings) -> state, draws, stats`` for up to ``rows`` iterations, and what it cost to get."""

    run: Callable[..., tuple[State, Any, Any]]
    metric: AbstractMetric
    rows: int
    seconds: float
    from_disk: bool
    steady: bool = False  # chunks are as long whatever the clock says


def precompile(target: Target, control: Control) -> Future[Program]:
    """Start compiling the target's program in a thread, unless it is there or on its way.

    Programs are shared by targets with an equal ``log_prob``, dimension, and shapes of data.

    Returns
    -------
    A future of the :class:`Program`; ``sample`` waits for the same one.
    """
    depth, metric, rows = sizes(control), metric_of(target, control), rows_of(target.dim)
    state = new_state(np.zeros(target.dim), metric, np.ones(target.dim), 1.0)
    settings = TreeSettings(np.bool_(False), np.int32(1), np.float64(0.8))
    return compiled(
        ("sampler", target.log_prob, metric, rows, depth),
        lambda: make_chunk(target.log_prob, metric, rows, depth),
        (state, target.data, np.uint64(0), np.int32(0), settings),
        lambda found: Program(found.run, metric, rows, found.seconds, found.from_disk),
        short=target.dim <= _FEW and sum(np.size(x) for x in jax.tree.leaves(target.data)) <= _LITTLE,
    )


def sizes(control: Control) -> int:
    """One of two sizes of checkpoint arrays; the limit of trees itself is a run-time argument."""
    return 10 if control.max_treedepth <= 10 else 20


def metric_of(target: Target, control: Control) -> AbstractMetric:
    """The metric that a target is sampled with."""
    return Split(target.head) if control.metric == "split" else METRICS[control.metric]


def device_data(data: Any) -> Any:
    """The target's data as float64 JAX arrays (to be called with x64 on)."""
    return jax.device_put(jax.tree.map(np.asarray, data))


def new_state(q: np.ndarray, metric: AbstractMetric, inv_mass: Any, step: float) -> State:
    """A chain at ``q`` whose density is not known: the next transition moves from log density -inf, so it always accepts."""
    n = len(q)
    point = Point(np.asarray(q, dtype=np.float64), np.float64(-np.inf), np.zeros(n), np.float64(0.0))
    return State(point, np.int64(0), restart(step), metric.start(inv_mass), metric.moments(n))


def rows_of(dim: int) -> int:
    """Iterations a chunk may hold: buffers of about 0.5 MB, which are cleared at each call."""
    return int(np.clip(2**16 // max(dim, 1), 16, 512))
