"""Pointwise log likelihoods with the group effects of an observation integrated out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.bounded import bounded
from brim.compile.session import float64
from brim.errors import BrimError
from brim.families.base import Dpar
from brim.frames.frame import Frame
from brim.linalg import cholesky, solve
from brim.model.model import Model
from brim.post.comparison.pointwise import Pointwise
from brim.post.inference.integrated import scaled
from brim.post.predict import chunks
from brim.terms.groups.effect import GroupEffect

__all__ = ["IntegratedPointwise"]

_STEPS = 25  # of Newton's method; half of them where the mode only says where the nodes are
_LONGEST = 2.0  # step of it, in standard deviations of the effects
_NODES = np.linspace(-8.0, 8.0, 33)  # of the sum over one effect, in standard deviations of its conditional law
_INNER_STEPS, _INNER_NODES = 6, np.linspace(-7.0, 7.0, 21)  # the same for the effect of a row within that of a group
_MOST = 5_000_000  # rows of all leave-one-out sets together


@dataclass(frozen=True)
class IntegratedPointwise(Pointwise):
    """``log p(y_i | y of the other rows of its group, parameters)``: the effects of the finest grouping are integrated out.

    With ``L(A) = log int prod_{k in A} p(y_k | u) dN(u)`` over the effects ``u`` of the group ``j`` of row ``i`` it is
    ``L(j) - L(j without i)``; all other parameters, effects of other groupings too, are those of the draw. One effect is summed over
    evenly spaced nodes around its conditional mode, several are integrated by Laplace's method, exact for normal responses.
    An effect of every single row (``(1 | obs)``) is integrated out of ``p(y_k | u)`` besides.
    """

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows in one block."""
        if self.newdata is not None:
            raise BrimError("integrated=True takes the training rows, not newdata")
        values = self._values()
        yield slice(0, values.shape[1]), self._checked(values, 0)

    @cached_property
    def _effects(self) -> tuple[str, tuple[GroupEffect, ...], tuple[GroupEffect, ...]]:
        """The predictor, the effects of groups, and those of single rows, that are integrated out."""
        model = self.fit.model
        response = model.response(self.resp)
        if model.joint is not None or response.residual is not None or response.imputed:
            raise BrimError("integrated=True takes responses whose rows are independent given the predictors")
        found: dict[str, list[tuple[str, GroupEffect]]] = {}
        for r in model.responses:
            for p in r.predictors:
                for e in p.effects():
                    found.setdefault(e.block.key, []).append((p.name if r.name == response.name else "", e))
        usable = [
            uses
            for uses in found.values()
            if len({name for name, _ in uses}) == 1 and uses[0][0] in response.family.links and all(_normal(e) for _, e in uses)
        ]
        if not usable:
            raise BrimError(
                "no group effects can be integrated out",
                hint="they must be normal, without mm(), and stand in one predictor of the response",
            )
        frame = response.response.kept(self.fit.frame.every("integrated loo"))
        usable.sort(key=lambda uses: len(np.unique(uses[0][1].block.grouping.codes(frame))))
        finest = usable[-1]
        single = len(np.unique(finest[0][1].block.grouping.codes(frame))) == frame.n and len(finest) == 1 and len(finest[0][1].coefs) == 1
        outer = [uses for uses in usable[:-1] if uses[0][0] == finest[0][0]]
        if single and outer:
            return finest[0][0], tuple(e for _, e in outer[-1]), (finest[0][1],)
        return finest[0][0], tuple(e for _, e in finest), ()

    def _values(self) -> np.ndarray:
        holder, effects, inner = self._effects
        model = self.fit.model
        response = model.response(self.resp)
        frame = response.response.kept(self.fit.frame.every("integrated loo"))
        rows, units, n_groups = _sets(effects[0].block.grouping.codes(frame))
        design = model.design(frame.take(rows) if not _alone(rows, frame) else frame, only=response.name)
        by = effects[0].block.grouping.by_index
        group = np.asarray(effects[0].block.grouping.codes(frame))
        place = np.unique(group, return_inverse=True)[1]
        used = {q.key for q in model.reported()}
        total = self.fit.draws.chains * self.fit.draws.draws
        parts = []
        with float64():
            keys = (tuple(e.key for e in effects), tuple(e.key for e in inner))
            kernel = _kernel(model, response.name, holder, keys, n_groups + frame.n)
            arrays = {k: v for k, v in self.fit.draws.flat().items() if k in used}
            for chunk, n in chunks(np.arange(total), 4 * len(rows)):
                some = {k: v[chunk] for k, v in arrays.items()}
                parts.append(np.asarray(kernel(some, design, units, by, _NODES))[:n])
        found = np.concatenate(parts)
        return found[:, place] - found[:, n_groups:]


def _normal(effect: GroupEffect) -> bool:
    grouping = effect.block.grouping
    return effect.plain and grouping.dist != "student" and grouping.cov is None and not grouping.weight_name


def _alone(rows: np.ndarray, frame: Frame) -> bool:
    return len(rows) == frame.n and bool(np.array_equal(rows, np.arange(frame.n)))


def _sets(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of all sets, the set of each, and the number of groups: first the groups, then for each row its group without it."""
    place = np.unique(codes, return_inverse=True)[1]
    members = [np.flatnonzero(place == j) for j in range(place.max() + 1)]
    size = sum(len(m) ** 2 for m in members)
    if size > _MOST:
        raise BrimError(
            "the groups are too large for integrated=True", hint="it is for groups of few rows, whose effects follow single observations"
        )
    rows, units = [np.arange(len(codes))], [place]
    for i, j in enumerate(place):
        others = members[j][members[j] != i]
        rows.append(others)
        units.append(np.full(len(others), len(members) + i))
    return np.concatenate(rows), np.concatenate(units), len(members)


def _kernel(model: Model, name: str, holder: str, keys: tuple[tuple[str, ...], tuple[str, ...]], n_units: int) -> Callable[..., Any]:
    """``(draws' params, design of the sets' rows, sets, by, nodes) -> (draws, sets)``: log integrals."""
    resp = model.response(name)
    outer, inner = (tuple(e for p in resp.predictors if p.name == holder for e in p.effects() if e.key in some) for some in keys)
    skip = frozenset((*keys[0], *keys[1]))

    def one(params: Any, design: Any, units: Any, by: Any, nodes: Any) -> Any:
        full = {**params, **model.invert(params, design)}
        dpars, data = resp.dpars(full, design, skip), design[resp.data_key]
        load = sum(scaled(e, full, design[e.key], by)[0] for e in outer)
        rest = jnp.broadcast_to(dpars[holder].eta, load.shape[:1])

        def log_lik(eta: Any) -> Any:
            law = resp.family.distribution({**dpars, holder: Dpar(eta, dpars[holder].link)}, data)
            return resp.response.log_lik(law, data)

        marginal: Callable[[Any], Any] = log_lik
        if inner:
            sd = scaled(inner[0], full, design[inner[0].key], jnp.zeros(1, int))[0][:, 0]
            marginal = _without_own(log_lik, sd)
        return _log_integrals(marginal, rest, load, units, n_units, nodes)

    structure = ("integrals over groups", model, name, holder, keys, n_units)
    return bounded(structure, lambda: jax.vmap(one, in_axes=(0, None, None, None, None)))


def _without_own(log_lik: Callable[[Any], Any], sd: Any) -> Callable[[Any], Any]:
    """``eta -> log int p(y | eta + sd v) dN(v)`` row by row: over nodes around the mode of the integrand."""

    def density(eta: Any, v: Any) -> Any:
        return log_lik(eta + sd * v) - 0.5 * v**2

    def marginal(eta: Any) -> Any:
        fixed = jax.lax.stop_gradient(eta)

        def slope(v: Any) -> Any:
            return jax.grad(lambda x: jnp.sum(density(fixed, x)))(v)

        def newton(_: Any, v: Any) -> Any:
            g, curve = jax.jvp(slope, (v,), (jnp.ones_like(v),))
            return v + jnp.clip(g / jnp.maximum(-curve, 1.0), -_LONGEST, _LONGEST)

        mode = jax.lax.fori_loop(0, _INNER_STEPS, newton, jnp.zeros_like(eta))
        width = jnp.maximum(-jax.jvp(slope, (mode,), (jnp.ones_like(mode),))[1], 1.0) ** -0.5
        mode, width = jax.lax.stop_gradient((mode, width))
        values = jnp.stack([density(eta, mode + width * t) for t in _INNER_NODES])
        step = _INNER_NODES[1] - _INNER_NODES[0]
        return jax.scipy.special.logsumexp(values, axis=0) + jnp.log(width * step) - 0.5 * math.log(2 * math.pi)

    return marginal


def _log_integrals(log_lik: Callable[[Any], Any], rest: Any, load: Any, units: Any, n: int, nodes: Any) -> Any:
    """``log int prod_{m in set} p(y_m | rest_m + load_m u) dN(u)`` of every set, (n,)."""
    k = load.shape[1]

    def sums(values: Any) -> Any:
        return jax.ops.segment_sum(values, units, n)

    def slope(eta: Any) -> Any:
        return jax.grad(lambda e: jnp.sum(log_lik(e)))(eta)

    def local(u: Any) -> tuple[Any, Any]:
        """Gradient and precision of each set at ``u (n, k)``."""
        eta = rest + jnp.sum(load * u[units], axis=1)
        g, curve = jax.jvp(slope, (eta,), (jnp.ones_like(eta),))
        w = jnp.maximum(-curve, 0.0)
        return sums(g[:, None] * load) - u, sums(w[:, None, None] * load[:, :, None] * load[:, None, :]) + jnp.eye(k)

    def newton(_: Any, u: Any) -> Any:
        g, precision = local(u)
        step = solve(precision, g[..., None])[..., 0]
        return u + step * jnp.minimum(1.0, _LONGEST / jnp.maximum(jnp.linalg.norm(step, axis=1, keepdims=True), 1e-300))

    mode = jax.lax.fori_loop(0, _STEPS if k > 1 else _STEPS // 2, newton, jnp.zeros((n, k)))
    precision = local(mode)[1]

    def log_density(u: Any) -> Any:
        eta = rest + jnp.sum(load * u[units], axis=1)
        return sums(log_lik(eta)) - 0.5 * jnp.sum(u**2, axis=1) - 0.5 * k * math.log(2 * math.pi)

    if k > 1:
        return (
            log_density(mode)
            + 0.5 * k * math.log(2 * math.pi)
            - jnp.sum(jnp.log(jnp.diagonal(cholesky(precision), axis1=1, axis2=2)), axis=1)
        )
    width = precision[:, 0, 0] ** -0.5
    values = jax.lax.map(lambda t: log_density(mode + width[:, None] * t), nodes)
    return jax.scipy.special.logsumexp(values, axis=0) + jnp.log(width * (nodes[1] - nodes[0]))
