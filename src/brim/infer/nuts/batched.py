"""All chains as one program: each runs as it would alone, in a thread, and where all that are left wait for the program it runs once.

The threads do what is little work: step sizes, windows, metrics, checkpoints. The program is the sampler's own under ``vmap``, on one
device or several.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.compiled import compiled
from brim.compile.placed import Placed
from brim.compile.session import float64
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import Program, metric_of, new_state, rows_of, sizes
from brim.infer.nuts.tree import TreeSettings, make_chunk
from brim.infer.target import Target

__all__ = ["Batch", "placed_data", "precompile_batched"]


def precompile_batched(target: Target, control: Control, chains: int, placed: Placed) -> Future[Program]:
    """As ``precompile``: a program whose arguments, but for the data, have chains along their first axis."""
    depth, metric, rows = sizes(control), metric_of(target, control), rows_of(target.dim)
    state = new_state(np.zeros(target.dim), metric, np.ones(target.dim), 1.0)
    one = (state, np.uint64(0), np.int32(0), TreeSettings(np.bool_(False), np.int32(1), np.float64(0.8)))
    state, stream, n, settings = jax.tree.map(lambda x: np.broadcast_to(x, (chains, *np.shape(x))), one)
    log_prob = target.log_prob if control.precision == "float64" else _in_float32(target.log_prob)
    return compiled(
        ("chains", log_prob, metric, rows, depth, placed),
        lambda: jax.vmap(make_chunk(log_prob, metric, rows, depth), in_axes=(0, None, 0, 0, 0)),
        (state, _cast(target.data, control), stream, n, settings),
        lambda found: Program(found.run, metric, rows, found.seconds, found.from_disk, steady=True),
        placed=placed,
    )


def placed_data(data: Any, control: Control, placed: Placed) -> Any:
    """The target's data on the devices."""
    return placed.put(_cast(data, control))


_NARROW = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.int64): np.dtype(np.int32)}


def _cast(data: Any, control: Control) -> Any:
    """The data in the precision of the density."""
    if control.precision == "float64":
        return jax.tree.map(np.asarray, data)
    return jax.tree.map(lambda x: np.asarray(x).astype(_NARROW.get(np.asarray(x).dtype, np.asarray(x).dtype)), data)


@lru_cache(maxsize=64)
def _in_float32(log_prob: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The density computed in float32, everything in it too; positions, momenta and energies stay float64."""

    def narrow(q: Any, data: Any) -> Any:
        with jax.enable_x64(False):
            found = log_prob(q.astype(jnp.float32), data)
        return found.astype(jnp.float64)

    return narrow


class Batch:
    """Calls of one program, gathered from the threads of all chains.

    Parameters
    ----------
    run
        The program.
    chains
        Their number; one that has ended is carried along without iterations.
    placed
        Where it runs.
    """

    def __init__(self, run: Callable[..., Any], chains: int, placed: Placed) -> None:
        self._run, self._chains, self._placed = run, chains, placed
        self._turn = threading.Condition()
        self._live = set(range(chains))
        self._waiting: dict[int, tuple[Any, ...]] = {}
        self._answers: dict[int, Any] = {}

    def seat(self, number: int) -> Callable[..., Any]:
        """The program as one chain sees it: ``(state, data, stream, n, settings) -> state, draws, stats``."""
        return partial(self._call, number)

    def leave(self, number: int) -> None:
        """A chain has ended: the others no longer wait for it."""
        with self._turn:
            self._live.discard(number)
            self._go()

    def _call(self, number: int, state: Any, data: Any, stream: Any, n: Any, settings: Any) -> Any:
        with self._turn:
            self._waiting[number] = (state, data, stream, n, settings)
            self._go()
            self._turn.wait_for(lambda: number in self._answers)
            answer = self._answers.pop(number)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _go(self) -> None:
        """Run, if all chains that are left wait."""
        if not self._waiting or self._waiting.keys() != self._live:
            return
        calls, self._waiting = self._waiting, {}
        try:
            with float64():
                found = self._together(calls)
            self._answers.update({c: jax.tree.map(lambda x, c=c: x[c], found) for c in calls})
        except BaseException as error:  # each chain ends with it
            self._answers.update(dict.fromkeys(calls, error))
        self._turn.notify_all()

    def _together(self, calls: dict[int, tuple[Any, ...]]) -> Any:
        first = next(iter(calls.values()))
        still = (first[0], first[2], np.int32(0), first[4])
        each = [(s, stream, n, more) for s, _, stream, n, more in (calls[c] for c in calls)]
        by_chain = dict(zip(calls, each, strict=True))
        rows = [by_chain.get(c, still) for c in range(self._chains)]
        state, stream, n, settings = self._placed.everywhere(jax.tree.map(lambda *x: np.stack([np.asarray(a) for a in x]), *rows))
        return jax.tree.map(np.asarray, self._run(state, first[1], stream, n, settings))
