"""One Markov chain: its state, and chunks of the compiled program run on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from brim.infer.nuts.control import Control
from brim.infer.nuts.program import Program, new_state
from brim.infer.nuts.progress import Report
from brim.infer.nuts.tree import STATS, State, TreeSettings

__all__ = ["Halted", "MarkovChain"]

CHUNK_SECONDS = 0.1
STEADY = 32  # iterations of a chunk whose length must not depend on time
_LEAP = STATS.index("n_steps")
_DIVERGING = STATS.index("diverging")


class Halted(Exception):
    """The other chains failed or the user interrupted: leave quietly."""


class MarkovChain:
    """Runs a program chunk by chunk; between chunks it reports progress and looks whether to stop.

    Attributes
    ----------
    state
        Position, step size, metric and moments.
    report
        Where the chain is, for whoever shows progress.
    """

    def __init__(self, program: Program, data: Any, stream: np.uint64, control: Control, halt: threading.Event, report: Report) -> None:
        self.program, self.data, self.stream, self.control = program, data, stream, control
        self.halt, self.report = halt, report
        self.state: State
        self.keep: Callable[[State, bool], None] = lambda state, now: None  # for a checkpoint
        self._pace = 0.0  # seconds an iteration, of the last chunk
        self._last = 2

    def place(self, q: np.ndarray, inv_mass: Any = None, step: float = 1.0) -> State:
        """Put the chain at ``q`` and evaluate the log density there: a single step of size 0 from log density -inf.

        Where the log density or its gradient is not finite, the step fails and the state's ``lp`` stays -inf.
        """
        inv_mass = np.ones(len(q)) if inv_mass is None else inv_mass
        state = new_state(q, self.program.metric, inv_mass, step)
        still = state._replace(step=state.step._replace(log_step=np.float64(-np.inf)))
        point = self.once(still, stream=self.stream)[0].point
        self.state = state._replace(point=point)
        return self.state

    def once(self, state: State, stream: np.uint64) -> tuple[State, np.ndarray]:
        """A trajectory of one leapfrog step from ``state``, which stays the chain's own: the state after it and its statistics."""
        settings = TreeSettings(np.bool_(False), np.int32(1), np.float64(self.control.adapt_delta))
        after, _, stats = self.program.run(state, self.data, stream, np.int32(1), settings)
        return after, np.asarray(stats)[0]

    def advance(
        self,
        n: int,
        *,
        adapting: bool,
        max_treedepth: int | None = None,
        sink: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
    ) -> None:
        """Run ``n`` iterations; ``sink(done, draws, stats)`` gets each chunk's rows, ``done`` being the iterations before it."""
        depth = self.control.max_treedepth if max_treedepth is None else min(max_treedepth, self.control.max_treedepth)
        settings = TreeSettings(np.bool_(adapting), np.int32(depth), np.float64(self.control.adapt_delta))
        done = 0
        while done < n:
            if self.halt.is_set():
                if done:  # else the chain may stand where a window ends, and what follows that be done
                    self.keep(self.state, True)
                raise Halted
            size = self._size(n - done)
            start = time.perf_counter()
            self.state, draws, stats = self.program.run(self.state, self.data, self.stream, np.int32(size), settings)
            rows = np.asarray(stats)[:size]
            self._pace = (time.perf_counter() - start) / size
            if sink is not None:
                sink(done, np.asarray(draws)[:size], rows)
            done += size
            self._tell(size, rows, adapting)
            self.keep(self.state, False)

    def _size(self, left: int) -> int:
        """Iterations that take about ``CHUNK_SECONDS``; draws do not depend on it."""
        if self.program.steady:
            return min(left, STEADY, self.program.rows)
        if self._pace > 0.0:
            wanted = int(CHUNK_SECONDS / self._pace)
            self._last = max(1, min(wanted, 4 * self._last, self.program.rows))
        return min(left, self._last)

    def _tell(self, size: int, rows: np.ndarray, adapting: bool) -> None:
        self.report.done += size
        self.report.leapfrogs += int(rows[:, _LEAP].sum())
        self.report.divergences += 0 if adapting else int(rows[:, _DIVERGING].sum())
