"""Warm-up: from a first point to a step size and a metric, in the number of iterations the user gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from brim.infer.approximate.ascent import ascend, scales
from brim.infer.nuts.chain import MarkovChain
from brim.infer.nuts.random import substream
from brim.infer.nuts.stepsize import restart, settle
from brim.infer.nuts.tree import STATS
from brim.infer.target import NowhereError, Target

__all__ = ["AbstractWarmup", "FromStart", "Start", "Window", "Windows", "climb", "first_point", "first_step_size", "schedule"]

TRIES = 100
_ACCEPTANCE = STATS.index("acceptance_rate")
_SEARCH = np.uint64(1 << 62)  # iterations numbered from here belong to the search of a step size, not to the chain


@dataclass(frozen=True)
class Start:
    """Where the chains start when an approximation of the posterior is known (a Laplace approximation, an earlier fit).

    Attributes
    ----------
    q
        First point of each chain, ``(chains, dim)``.
    inv_mass
        Inverse mass matrix, ``(dim,)`` if diagonal, ``(dim, dim)``, or for the metric ``split`` a pair of the covariance of the first
        coordinates and the variances of the others: about the posterior (co)variances. ``None``: it is not known, the usual warm-up
        follows.
    step_size
        First step size; found by the usual search when ``None``.
    """

    q: np.ndarray
    inv_mass: Any
    step_size: float | None = None


@dataclass(frozen=True)
class Window:
    """``length`` iterations; then the metric is learned from them if ``learn``, or what they told forgotten.

    Trees are cut at ``max_treedepth``.
    """

    length: int
    learn: bool
    max_treedepth: int | None = None
    forget: bool = False


class AbstractWarmup(ABC):
    """Brings a placed chain to stationarity in exactly ``iterations`` iterations."""

    @abstractmethod
    def run(self, chain: MarkovChain, iterations: int) -> None:
        """Warm the chain up; afterwards its step size and metric are fixed."""


@dataclass(frozen=True)
class Windows(AbstractWarmup):
    """Metric from the draws and gradients of growing windows, then the step size alone."""

    def run(self, chain: MarkovChain, iterations: int) -> None:
        walk(chain, schedule(iterations))


@dataclass(frozen=True)
class FromStart(AbstractWarmup):
    """The metric is given. It is kept, and only the step size adapted, unless there are iterations enough to learn a better one.

    Short windows would replace a good metric by a noisy one.
    """

    enough: int = 300

    def run(self, chain: MarkovChain, iterations: int) -> None:
        first, second = (iterations // 5, 3 * iterations // 5) if iterations >= self.enough else (0, 0)
        learning = (Window(first, False, forget=True), Window(second, True)) if first else ()
        walk(chain, (*learning, Window(iterations - first - second, False)))


def walk(chain: MarkovChain, windows: tuple[Window, ...]) -> None:
    """Go through the windows from where the chain is, and fix the step size at their end.

    A chain that was kept on disk at the last iteration of a window had not yet done what follows it.
    """
    end = 0
    for window in windows:
        end += window.length
        here = int(chain.state.iteration)
        if here > end or (here == end and window.length == 0):
            continue
        chain.advance(end - here, adapting=True, max_treedepth=window.max_treedepth)
        if window.learn:
            learn_metric(chain)
        if window.forget:
            forget(chain)
    if int(chain.state.iteration) <= end:
        chain.state = chain.state._replace(step=settle(chain.state.step))


def schedule(iterations: int) -> tuple[Window, ...]:
    """Windows of 10, 10, 15, 20, 30, ... iterations (each 1.5 times the one before), and a last part for the step size alone.

    Trees are kept short in the first quarter, where the metric is still poor and long trajectories mostly buy gradients.
    """
    final = iterations if iterations < 20 else max(iterations // 8, min(50, iterations // 2))
    left, length, done = iterations - final, 10.0, 0
    windows = []
    while left > 0:
        size = left if left < 2.2 * length else int(length)
        cap = 6 if done + size <= min(iterations // 4, 100) else None
        windows.append(Window(size, True, cap))
        left, done = left - size, done + size
        length *= 1.0 if len(windows) == 1 else 1.5
    return (*windows, Window(final, False)) if final else ()


def forget(chain: MarkovChain) -> None:
    """Start the moments anew."""
    chain.state = chain.state._replace(moments=chain.program.metric.moments(len(chain.state.point.q)))


def learn_metric(chain: MarkovChain) -> None:
    """Replace the metric by what the moments say, forget them, and restart the step size from its average."""
    state, metric = chain.state, chain.program.metric
    scale = metric.learn(state.moments, jax.tree.map(np.asarray, state.scale))
    step = restart(float(np.exp(state.step.log_mean)))
    chain.state = state._replace(scale=scale, moments=metric.moments(len(state.point.q)), step=step)


def first_point(chain: MarkovChain, target: Target, rng: np.random.Generator, number: int, fixed: bool = False) -> None:
    """Place the chain where log density and gradient are finite, trying ``target.first`` up to 100 times; a ``fixed`` point once.

    Raises
    ------
    NowhereError
        When no try succeeds.
    """
    for attempt in range(1 if fixed else TRIES):
        q = target.first(rng, attempt)
        if np.isfinite(chain.place(q).point.lp):
            return
    what = "gradient of the log density" if np.isfinite(target.log_prob(q, chain.data)) else "log density"
    if fixed:
        hint = "parameters without values in init start at random: give them, too, or others"
        raise NowhereError(f"chain {number + 1}: the {what} is not finite at the values of init", hint=hint)
    raise NowhereError(
        f"chain {number + 1} found no place to start: the {what} is not finite at any of {TRIES} starting points",
        hint="check bounds and priors against the data (a response outside its support, a prior of zero density), or give init",
    )


def climb(chain: MarkovChain) -> None:
    """Bring a placed chain near the mass of the posterior, with a first metric."""

    def evaluate(q: np.ndarray) -> tuple[float, np.ndarray]:
        point = chain.place(q).point
        return float(point.lp), np.asarray(point.grad)

    path = ascend(evaluate, np.asarray(chain.state.point.q))
    chain.place(path.q[-1], scales(path))


def first_step_size(chain: MarkovChain, step: float | None) -> None:
    """The step size at which one leapfrog step is accepted with probability about ``adapt_delta``, by doubling or halving."""
    if step is not None:
        chain.state = chain.state._replace(step=restart(step))
        return
    step, direction = 0.1, 0
    for i in range(60):
        state = chain.state._replace(step=restart(step))
        acceptance = chain.once(state, _stream(chain, i))[1][_ACCEPTANCE]
        wanted = 1 if acceptance > chain.control.adapt_delta else -1
        if direction and wanted != direction:
            break
        direction = wanted
        step *= 2.0**direction
    chain.state = chain.state._replace(step=restart(step))


def _stream(chain: MarkovChain, i: int) -> Any:
    return np.asarray(substream(chain.stream, _SEARCH + np.uint64(i)))
