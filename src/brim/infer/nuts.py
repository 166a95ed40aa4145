"""The no-U-turn sampler as one compiled program.

Hoffman & Gelman (2014) with multinomial sampling of the trajectory (Betancourt 2017), built iteratively (Phan, Pradhan &
Jankowiak 2019): a subtree of ``2^d`` leaves is walked leaf by leaf, and only the left ends of the balanced subtrees still open are
kept (``d`` checkpoints), which is what the recursion would have on its stack. Everything is a flat float64 vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.infer.counter import normals, substream, uniform
from brim.infer.metric import AbstractMetric, Moments
from brim.infer.stepsize import StepSize, update

__all__ = ["STATS", "Settings", "State", "make_chunk"]

STATS = ("lp", "acceptance_rate", "n_steps", "diverging", "tree_depth", "step_size", "energy")

DIVERGENCE = 1000.0  # an energy error that no stable trajectory reaches (Stan's threshold)
_TREE = np.uint64(1 << 40)  # counters of a tree's decisions, apart from those of momenta and leaves
_LEAF = np.uint64(1 << 41)


class Point(NamedTuple):
    """A position, its log density and gradient; ``energy`` is that of the phase point it was reached with."""

    q: Any
    lp: Any
    grad: Any
    energy: Any


class Phase(NamedTuple):
    """Position, whitened momentum and force ``S' grad``."""

    q: Any
    p: Any
    force: Any


class Settings(NamedTuple):
    """What may change between chunks without compiling again."""

    adapting: Any
    max_treedepth: Any
    adapt_delta: Any


class State(NamedTuple):
    """All that a chain carries from one chunk to the next."""

    point: Point
    iteration: Any
    step: StepSize
    scale: Any
    moments: Moments


@dataclass(frozen=True)
class Flow:
    """Hamiltonian flow of one iteration: what stays fixed along its trajectory."""

    gradient: Callable[[Any], tuple[Any, Any]]
    metric: AbstractMetric
    scale: Any
    step: Any
    energy: Any
    stream: Any

    def leapfrog(self, z: Phase, step: Any) -> tuple[Phase, Point]:
        """One leapfrog step, ``q' = S p``, ``p' = S' grad``."""
        p = z.p + 0.5 * step * z.force
        q = z.q + step * self.metric.push(self.scale, p)
        lp, grad = self.gradient(q)
        force = self.metric.pull(self.scale, grad)
        p = p + 0.5 * step * force
        return Phase(q, p, force), Point(q, lp, grad, 0.5 * jnp.sum(p * p) - lp)


class Checkpoints(NamedTuple):
    """Left ends of the open balanced subtrees: momentum there, sum of momenta up to and with it. The last row is a dummy."""

    p: Any
    total: Any


class Subtree(NamedTuple):
    """A run of leaves in one direction, and the leaf drawn from it in proportion to ``exp(-energy)``."""

    leaves: Any
    end: Phase
    proposal: Point
    log_weight: Any
    total: Any
    checkpoints: Checkpoints
    accept: Any
    turning: Any
    diverging: Any


class Tree(NamedTuple):
    """The trajectory: both ends (stacked, ``(2, n)``), the draw, and the sums that decide when to stop."""

    depth: Any
    ends: Phase
    proposal: Point
    log_weight: Any
    total: Any
    checkpoints: Checkpoints
    accept: Any
    leaves: Any
    turning: Any
    diverging: Any


def make_chunk(log_prob: Callable[[Any, Any], Any], metric: AbstractMetric, rows: int, max_depth: int) -> Callable[..., Any]:
    """The program ``(state, data, stream, n, settings) -> state, draws (rows, dim), stats (rows, len(STATS))``.

    It runs ``n <= rows`` iterations; rows beyond are zero. ``max_depth`` bounds ``settings.max_treedepth`` and sizes the checkpoints.
    """
    value_and_grad = jax.value_and_grad(log_prob)

    def chunk(state: State, data: Any, stream: Any, n: Any, settings: Settings) -> tuple[State, Any, Any]:
        def gradient(q: Any) -> tuple[Any, Any]:
            return value_and_grad(q, data)

        def iterate(i: Any, carry: tuple[State, Any, Any]) -> tuple[State, Any, Any]:
            state, draws, stats = carry
            tree, step = transition(state, gradient, metric, substream(stream, state.iteration), settings, max_depth)
            state = advance(state, tree, metric, settings)
            start = (i, jnp.zeros_like(i))
            draws = lax.dynamic_update_slice(draws, state.point.q[None], start)
            return state, draws, lax.dynamic_update_slice(stats, _row(tree, step)[None], start)

        dim = state.point.q.shape[0]
        empty = (state, jnp.zeros((rows, dim)), jnp.zeros((rows, len(STATS))))
        return lax.fori_loop(jnp.zeros_like(n), n, iterate, empty)

    return chunk


def transition(
    state: State, gradient: Callable[[Any], Any], metric: AbstractMetric, stream: Any, settings: Settings, max_depth: int
) -> tuple[Tree, Any]:
    """One NUTS iteration: a fresh momentum, then double the trajectory until it turns, diverges or is deep enough."""
    point = state.point
    p = normals(stream, point.q.shape[0])
    flow = Flow(gradient, metric, state.scale, jnp.exp(state.step.log_step), 0.5 * jnp.sum(p * p) - point.lp, stream)
    start = Phase(point.q, p, metric.pull(state.scale, point.grad))
    tree = _root(point._replace(energy=flow.energy), start, max_depth)

    def growing(tree: Tree) -> Any:
        return (tree.depth < settings.max_treedepth) & ~tree.turning & ~tree.diverging

    return lax.while_loop(growing, lambda tree: double(tree, flow), tree), flow.step


def advance(state: State, tree: Tree, metric: AbstractMetric, settings: Settings) -> State:
    """The chain after an iteration; while adapting, step size and moments learn from it."""
    point = tree.proposal
    step = update(state.step, tree.accept / tree.leaves, settings.adapt_delta)
    moments = metric.observe(state.moments, point.q, point.grad)
    step, moments = jax.tree.map(lambda new, old: jnp.where(settings.adapting, new, old), (step, moments), (state.step, state.moments))
    return State(point, state.iteration + 1, step, state.scale, moments)


def double(tree: Tree, flow: Flow) -> Tree:
    """Double the trajectory in a random direction; move the draw into the new half with probability ``min(1, w_new / w_old)``."""
    counter = _TREE + 2 * tree.depth.astype(jnp.uint64)
    forward = uniform(flow.stream, counter) < 0.5
    side = forward.astype(jnp.int32)
    step = jnp.where(forward, flow.step, -flow.step)
    start = jax.tree.map(lambda ends: lax.dynamic_index_in_dim(ends, side, keepdims=False), tree.ends)
    new = grow(tree, start, step, flow)

    complete = ~new.turning & ~new.diverging
    move = complete & (jnp.log(uniform(flow.stream, counter + 1)) < new.log_weight - tree.log_weight)
    ends = jax.tree.map(lambda ends, end: lax.dynamic_update_index_in_dim(ends, end, side, 0), tree.ends, new.end)
    total = tree.total + new.total
    return Tree(
        depth=tree.depth + 1,
        ends=ends,
        proposal=_where(move, new.proposal, tree.proposal),
        log_weight=jnp.logaddexp(tree.log_weight, new.log_weight),
        total=total,
        checkpoints=new.checkpoints,
        accept=tree.accept + new.accept,
        leaves=tree.leaves + new.leaves,
        turning=new.turning | _turns(ends.p[0], ends.p[1], total),
        diverging=new.diverging,
    )


def grow(tree: Tree, start: Phase, step: Any, flow: Flow) -> Subtree:
    """Walk ``2^depth`` leaves from one end of the trajectory, stopping at the first turn of a balanced subtree or divergence."""
    size = jnp.left_shift(jnp.ones_like(tree.depth), tree.depth)
    zero = jnp.zeros_like(tree.log_weight)
    subtree = Subtree(
        leaves=jnp.zeros_like(tree.leaves),
        end=start,
        proposal=tree.proposal,
        log_weight=zero - jnp.inf,
        total=jnp.zeros_like(tree.total),
        checkpoints=tree.checkpoints,
        accept=zero,
        turning=jnp.zeros_like(tree.turning),
        diverging=jnp.zeros_like(tree.diverging),
    )

    def growing(subtree: Subtree) -> Any:
        return (subtree.leaves < size) & ~subtree.turning & ~subtree.diverging

    return lax.while_loop(growing, lambda subtree: add_leaf(subtree, step, flow, tree.leaves), subtree)


def add_leaf(subtree: Subtree, step: Any, flow: Flow, before: Any) -> Subtree:
    """One leapfrog step; the new leaf replaces the subtree's draw with probability ``w_leaf / w_subtree``."""
    end, point = flow.leapfrog(subtree.end, step)
    error = jnp.where(jnp.isfinite(point.lp), point.energy - flow.energy, jnp.inf)
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    log_weight = jnp.logaddexp(subtree.log_weight, -error)
    chosen = jnp.log(uniform(flow.stream, _LEAF + (before + subtree.leaves).astype(jnp.uint64))) < -error - log_weight
    total = subtree.total + end.p
    checkpoints, turning = check_turns(subtree.checkpoints, subtree.leaves, end.p, total)
    return Subtree(
        leaves=subtree.leaves + 1,
        end=end,
        proposal=_where(chosen | (subtree.leaves == 0), point, subtree.proposal),
        log_weight=log_weight,
        total=total,
        checkpoints=checkpoints,
        accept=subtree.accept + jnp.minimum(1.0, jnp.exp(-error)),
        turning=turning,
        diverging=error > DIVERGENCE,
    )


def check_turns(checkpoints: Checkpoints, leaf: Any, p: Any, total: Any) -> tuple[Checkpoints, Any]:
    """Keep an even leaf as a left end; test the balanced subtrees that an odd leaf closes.

    Leaf ``i`` (from 0) opens subtrees when even, in the slot numbered by the one bits of ``i / 2``. When odd, with ``t`` trailing one
    bits, it closes ``t`` subtrees of 2, 4, ..., 2^t leaves, whose left ends are in the ``t`` slots that end at that number.
    Even leaves read nothing and odd leaves write to the dummy row: no branch, so buffers are updated in place.
    """
    even = (leaf & 1) == 0
    slot = lax.population_count(leaf >> 1)
    write = (jnp.where(even, slot, checkpoints.p.shape[0] - 1), jnp.zeros_like(leaf))
    checkpoints = Checkpoints(
        lax.dynamic_update_slice(checkpoints.p, p[None], write), lax.dynamic_update_slice(checkpoints.total, total[None], write)
    )
    closed = lax.population_count((~leaf & (leaf + 1)) - 1)
    last = slot - closed + 1

    def unchecked(carry: tuple[Any, Any]) -> Any:
        return (carry[0] >= last) & ~carry[1]

    def check(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        left = lax.dynamic_index_in_dim(checkpoints.p, carry[0], keepdims=False)
        left_total = lax.dynamic_index_in_dim(checkpoints.total, carry[0], keepdims=False)
        return carry[0] - 1, _turns(left, p, total - left_total + left)

    first = jnp.where(even, last - 1, slot)
    return checkpoints, lax.while_loop(unchecked, check, (first, jnp.zeros_like(even)))[1]


def _turns(left: Any, right: Any, total: Any) -> Any:
    """Whether the ends of a trajectory move towards each other.

    The sum of momenta counts the end leaves by half (trapezoidal rule): it stands for the integral of the momentum along the
    trajectory, and keeps dimensions of equal frequency from resonating.
    """
    rho = total - 0.5 * (left + right)
    return (jnp.sum(rho * left) <= 0) | (jnp.sum(rho * right) <= 0)


def _root(point: Point, start: Phase, max_depth: int) -> Tree:
    """The trajectory of one leaf."""
    zero, count, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    slots = jnp.zeros((max_depth + 1, start.p.shape[0]))
    ends = jax.tree.map(lambda x: jnp.stack([x, x]), start)
    return Tree(count, ends, point, zero, start.p, Checkpoints(slots, slots), zero, count, no, no)


def _row(tree: Tree, step: Any) -> Any:
    """An iteration's statistics in the order of ``STATS``."""
    point = tree.proposal
    row = (point.lp, tree.accept / tree.leaves, tree.leaves, tree.diverging, tree.depth, step, point.energy)
    return jnp.stack([jnp.asarray(x, jnp.float64) for x in row])


def _where(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
