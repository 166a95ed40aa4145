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

from brim.infer.nuts.metric import AbstractMetric
from brim.infer.nuts.random import normals, substream, uniform
from brim.infer.nuts.stepsize import StepSize, update

__all__ = ["STATS", "State", "TreeSettings", "make_chunk"]

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
    """A leaf of the trajectory; both ends of a trajectory have their momentum pointing outwards, so that all steps go forward.

    Position, whitened momentum, force ``S' grad``, and the position in whitened coordinates, counted in steps from where the
    iteration began (the sum of the momenta at half steps, with which leapfrog moves).
    """

    q: Any
    p: Any
    force: Any
    path: Any


class TreeSettings(NamedTuple):
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
    moments: Any


@dataclass(frozen=True)
class Flow:
    """Hamiltonian flow of one iteration: what stays fixed along its trajectory."""

    gradient: Callable[[Any], tuple[Any, Any]]
    metric: AbstractMetric
    scale: Any
    step: Any
    energy: Any
    stream: Any

    def leapfrog(self, z: Phase) -> tuple[Phase, Point]:
        """One leapfrog step, ``q' = S p``, ``p' = S' grad``."""
        half = z.p + 0.5 * self.step * z.force
        q = z.q + self.step * self.metric.push(self.scale, half)
        lp, grad = self.gradient(q)
        force = self.metric.pull(self.scale, grad)
        p = half + 0.5 * self.step * force
        return Phase(q, p, force, z.path + half), Point(q, lp, grad, 0.5 * jnp.sum(p * p) - lp)


class Checkpoints(NamedTuple):
    """First leaves of the balanced subtrees still open, and the leaves before them, ``(max_depth, dim)`` each."""

    p: Any
    path: Any
    p_before: Any
    path_before: Any


class Subtree(NamedTuple):
    """A run of leaves in one direction, and the leaf drawn from it in proportion to ``exp(-energy)``."""

    leaves: Any
    end: Phase
    proposal: Point
    log_weight: Any
    checkpoints: Checkpoints
    accept: Any
    turning: Any
    diverging: Any


class Tree(NamedTuple):
    """The trajectory: both ends (stacked, ``(2, dim)``), the draw, and the sums over its leaves."""

    depth: Any
    ends: Phase
    proposal: Point
    log_weight: Any
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

    def chunk(state: State, data: Any, stream: Any, n: Any, settings: TreeSettings) -> tuple[State, Any, Any]:
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
    state: State, gradient: Callable[[Any], Any], metric: AbstractMetric, stream: Any, settings: TreeSettings, max_depth: int
) -> tuple[Tree, Any]:
    """One NUTS iteration: a fresh momentum, then double the trajectory until it turns, diverges or is deep enough."""
    point = state.point
    p = normals(stream, point.q.shape[0])
    flow = Flow(gradient, metric, state.scale, jnp.exp(state.step.log_step), 0.5 * jnp.sum(p * p) - point.lp, stream)
    start = Phase(point.q, p, metric.pull(state.scale, point.grad), jnp.zeros_like(p))
    tree = _root(point._replace(energy=flow.energy), start, max_depth)

    def growing(tree: Tree) -> Any:
        return (tree.depth < settings.max_treedepth) & ~tree.turning & ~tree.diverging

    return lax.while_loop(growing, lambda tree: double(tree, flow), tree), flow.step


def advance(state: State, tree: Tree, metric: AbstractMetric, settings: TreeSettings) -> State:
    """The chain after an iteration; while adapting, step size and moments learn from it."""
    point = tree.proposal
    step = update(state.step, tree.accept / tree.leaves, settings.adapt_delta)
    step = jax.tree.map(lambda new, old: jnp.where(settings.adapting, new, old), step, state.step)
    moments = metric.observe(state.moments, point.q, point.grad, settings.adapting)
    return State(point, state.iteration + 1, step, state.scale, moments)


def double(tree: Tree, flow: Flow) -> Tree:
    """Double the trajectory in a random direction; move the draw into the new half with probability ``min(1, w_new / w_old)``."""
    counter = _TREE + 2 * tree.depth.astype(jnp.uint64)
    side = (uniform(flow.stream, counter) < 0.5).astype(jnp.int32)
    start, opposite = _pick(tree.ends, side), _pick(tree.ends, 1 - side)
    new = grow(tree, start, flow)

    complete = ~new.turning & ~new.diverging
    move = complete & (jnp.log(uniform(flow.stream, counter + 1)) < new.log_weight - tree.log_weight)
    first = start._replace(p=new.checkpoints.p[0], path=new.checkpoints.path[0])
    origin = opposite._replace(p=-opposite.p)
    turning = new.turning | _any_turns(origin, start, first, new.end)
    return Tree(
        depth=tree.depth + 1,
        ends=jax.tree.map(lambda ends, end: lax.dynamic_update_index_in_dim(ends, end, side, 0), tree.ends, new.end),
        proposal=_where(move, new.proposal, tree.proposal),
        log_weight=jnp.logaddexp(tree.log_weight, new.log_weight),
        checkpoints=new.checkpoints,
        accept=tree.accept + new.accept,
        leaves=tree.leaves + new.leaves,
        turning=turning,
        diverging=new.diverging,
    )


def grow(tree: Tree, start: Phase, flow: Flow) -> Subtree:
    """Walk ``2^depth`` leaves from one end of the trajectory, stopping at the first turn of a balanced subtree or divergence."""
    size = jnp.left_shift(jnp.ones_like(tree.depth), tree.depth)
    zero, no = jnp.zeros_like(tree.log_weight), jnp.zeros_like(tree.turning)
    subtree = Subtree(
        leaves=jnp.zeros_like(tree.leaves),
        end=start,
        proposal=tree.proposal,
        log_weight=zero - jnp.inf,
        checkpoints=tree.checkpoints,
        accept=zero,
        turning=no,
        diverging=no,
    )

    def growing(subtree: Subtree) -> Any:
        return (subtree.leaves < size) & ~subtree.turning & ~subtree.diverging

    return lax.while_loop(growing, lambda subtree: add_leaf(subtree, flow, tree.leaves), subtree)


def add_leaf(subtree: Subtree, flow: Flow, before: Any) -> Subtree:
    """One leapfrog step; the new leaf replaces the subtree's draw with probability ``w_leaf / w_subtree``."""
    end, point = flow.leapfrog(subtree.end)
    error = point.energy - flow.energy
    error = jnp.where(jnp.isfinite(point.lp) & ~jnp.isnan(error), error, jnp.inf)
    log_weight = jnp.logaddexp(subtree.log_weight, -error)
    chosen = jnp.log(uniform(flow.stream, _LEAF + (before + subtree.leaves).astype(jnp.uint64))) < -error - log_weight
    checkpoints, turning = check_turns(subtree.checkpoints, subtree.leaves, subtree.end, end)
    return Subtree(
        leaves=subtree.leaves + 1,
        end=end,
        proposal=_where(chosen | (subtree.leaves == 0), point, subtree.proposal),
        log_weight=log_weight,
        checkpoints=checkpoints,
        accept=subtree.accept + jnp.minimum(1.0, jnp.exp(-error)),
        turning=turning,
        diverging=error > DIVERGENCE,
    )


def check_turns(checkpoints: Checkpoints, i: Any, before: Phase, leaf: Phase) -> tuple[Checkpoints, Any]:
    """Keep leaf ``i`` (from 0) as the first of a subtree; test the balanced subtrees that it closes.

    An even leaf opens subtrees and is kept in the row numbered by the one bits of ``i / 2``. An odd leaf with ``t`` trailing one bits
    closes ``t`` subtrees of 2, 4, ..., 2^t leaves, whose first leaves are in the ``t`` rows that end there; the first leaf of such a
    subtree's second half is in the row after (for two leaves it is the odd leaf itself, so that is kept there).
    Besides its ends, a subtree is tested from its first leaf to the first of its second half, and from the last of its first half to
    its end: a trajectory that comes round to where it began would pass the test of its ends alone.
    """
    odd = i & 1
    row = lax.population_count(i >> 1)
    checkpoints = jax.tree.map(
        lambda rows, x: lax.dynamic_update_index_in_dim(rows, x, row + odd, 0),
        checkpoints,
        Checkpoints(leaf.p, leaf.path, before.p, before.path),
    )
    closed = lax.population_count((~i & (i + 1)) - 1)
    last = row - closed + 1

    def unchecked(carry: tuple[Any, Any]) -> Any:
        return (carry[0] >= last) & ~carry[1]

    def check(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        k = carry[0]
        first, second = _pick(checkpoints, k), _pick(checkpoints, k + 1)
        a = leaf._replace(p=first.p, path=first.path)
        b = leaf._replace(p=second.p_before, path=second.path_before)
        c = leaf._replace(p=second.p, path=second.path)
        return k - 1, _any_turns(a, b, c, leaf)

    return checkpoints, lax.while_loop(unchecked, check, (jnp.where(odd == 1, row, last - 1), odd > 1))[1]


def _any_turns(a: Phase, b: Phase, c: Phase, d: Phase) -> Any:
    """The tests of a trajectory made of two halves, from ``a`` to ``b`` and from ``c`` to ``d``."""
    return _turns(a, d) | _turns(a, c) | _turns(b, d)


def _turns(a: Phase, b: Phase) -> Any:
    """Whether going on from ``a`` to ``b`` would bring them closer: the criterion of Hoffman & Gelman, in whitened coordinates."""
    way = b.path - a.path
    return (jnp.sum(way * a.p) <= 0) | (jnp.sum(way * b.p) <= 0)


def _root(point: Point, start: Phase, max_depth: int) -> Tree:
    """The trajectory of one leaf."""
    zero, count, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    rows = jnp.zeros((max_depth, start.p.shape[0]))
    ends = jax.tree.map(lambda left, right: jnp.stack([left, right]), start._replace(p=-start.p), start)
    return Tree(count, ends, point, zero, Checkpoints(rows, rows, rows, rows), zero, count, no, no)


def _row(tree: Tree, step: Any) -> Any:
    """An iteration's statistics in the order of ``STATS``."""
    point = tree.proposal
    row = (point.lp, tree.accept / tree.leaves, tree.leaves, tree.diverging, tree.depth, step, point.energy)
    return jnp.stack([jnp.asarray(x, jnp.float64) for x in row])


def _pick(stacked: Any, i: Any) -> Any:
    return jax.tree.map(lambda rows: lax.dynamic_index_in_dim(rows, i, keepdims=False), stacked)


def _where(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
