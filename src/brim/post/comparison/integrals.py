"""Log integrals of products of likelihoods over normal group effects: compiled programs over draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.bounded import bounded
from brim.families.base import Dpar
from brim.linalg import cholesky, solve
from brim.model.model import Model
from brim.post.inference.integrated import scaled
from brim.terms.groups.effect import GroupEffect

__all__ = ["Integrand", "grid_program", "laplace_program", "place_program"]

_STEPS, _CLOSE = 100, 1e-9  # of Newton's method, and the length of a last one
_LONGEST = 2.0  # step of it, in standard deviations of the effects
_POLISHED = 3  # steps more with the exact slopes of integrals over effects of rows
_NEAR = 0.1  # length of the last step where a mode only says where nodes are
_REACH, _STEP = 9.0, 0.65  # of the first grid, and between its nodes, in standard deviations of the effect
_INNER = np.linspace(-8.0, 8.0, 25)  # nodes of the effect of a row within that of a group, in standard deviations around its mode
_NEVER = -1e6  # stands for the logarithm of zero where it is subtracted again
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True)
class Integrand:
    """What is integrated: the likelihood of a response over effects that add to one of its predictors.

    Attributes
    ----------
    model, resp, holder
        The model, the response, and the distributional parameter whose predictor the effects add to.
    outer, inner
        Keys of the effects of groups, and of those of single rows within them.
    """

    model: Model
    resp: str
    holder: str
    outer: tuple[str, ...]
    inner: tuple[str, ...]

    def _effects(self, keys: tuple[str, ...]) -> tuple[GroupEffect, ...]:
        predictors = self.model.response(self.resp).predictors
        return tuple(e for p in predictors if p.name == self.holder for e in p.effects() if e.key in keys)

    @property
    def outer_effects(self) -> tuple[GroupEffect, ...]:
        """The effects of groups."""
        return self._effects(self.outer)

    @property
    def size(self) -> int:
        """How many effects a group has."""
        return sum(len(b.coefs) for b in {e.block.key: e.block for e in self.outer_effects}.values())

    def at(self, params: Any, design: Any, by: Any) -> _Rows:
        """The rows under one draw."""
        resp = self.model.response(self.resp)
        full = {**params, **self.model.invert(params, design)}
        dpars, data = resp.dpars(full, design, frozenset((*self.outer, *self.inner))), design[resp.data_key]
        load = self._loads(self.outer, full, design, by)
        rest = jnp.broadcast_to(dpars[self.holder].eta, load.shape[:1])
        sd = self._loads(self.inner, full, design, jnp.zeros(1, int))[:, 0] if self.inner else jnp.zeros_like(rest)

        def log_lik(eta: Any) -> Any:
            law = resp.family.distribution({**dpars, self.holder: Dpar(eta, dpars[self.holder].link)}, data)
            return resp.response.log_lik(law, data)

        return _Rows(log_lik, rest, load, sd, bool(self.inner))

    def _loads(self, keys: tuple[str, ...], full: Any, design: Any, by: Any) -> Any:
        """What standard normal effects of a row's group are multiplied with, (rows, effects): blocks beside each other."""
        blocks: dict[str, Any] = {}
        for e in self._effects(keys):
            blocks[e.block.key] = blocks.get(e.block.key, 0.0) + scaled(e, full, design[e.key], by)[0]
        return jnp.concatenate(list(blocks.values()), axis=1)


@dataclass(frozen=True)
class _Rows:
    """``log p(y | rest + load u + sd v)`` of rows, ``u`` the effects of their groups and ``v`` their own, all standard normal."""

    log_lik: Callable[[Any], Any]
    rest: Any
    load: Any
    sd: Any
    nested: bool

    def slopes(self, eta: Any) -> tuple[Any, Any]:
        """First derivative, and the negative second one where the likelihood is concave (else 0)."""
        slope = jax.grad(lambda e: jnp.sum(self.log_lik(e)))
        g, curve = jax.jvp(slope, (eta,), (jnp.ones_like(eta),))
        return g, jnp.maximum(-curve, 0.0)

    def row_step(self, eta: Any, v: Any) -> tuple[Any, Any]:
        """One step of Newton's method for the effects of rows, and their standard deviations before it."""
        g, w = self.slopes(eta + self.sd * v)
        precision = 1.0 + self.sd**2 * w
        return v + jnp.clip((self.sd * g - v) / precision, -_LONGEST, _LONGEST), precision**-0.5

    def marginal(self, eta: Any, v: Any, width: Any) -> Any:
        """``log int p(y | eta + sd v) dN(v)`` over nodes around ``v``; the likelihood itself without effects of rows."""
        if not self.nested:
            return self.log_lik(eta)

        def density(t: float) -> Any:
            at = v + width * t
            return self.log_lik(eta + self.sd * at) - 0.5 * at**2

        top = density(0.0)
        total = sum(jnp.exp(density(float(t)) - top) for t in _INNER)
        return top + jnp.log(total * width * (_INNER[1] - _INNER[0])) - _HALF_LOG_2PI


def _modes(rows: _Rows, units: Any, n: int) -> tuple[Any, Any, Any]:
    """Modes of the effects of groups ``(n, k)`` and of rows, jointly, and the precision of the first with the second taken out."""
    k = rows.load.shape[1]

    def local(u: Any, v: Any) -> tuple[Any, Any, Any, Any]:
        g, w = rows.slopes(rows.rest + jnp.sum(rows.load * u[units], axis=1) + rows.sd * v)
        own = 1.0 + rows.sd**2 * w
        gradient = _sums((g + rows.sd * w * v) / own, rows.load, units, n) - u
        return gradient, _precision(w / own, rows.load, units, n), (rows.sd * g - v) / own, rows.sd * w / own

    def newton(state: Any) -> Any:
        u, v, _, count = state
        gradient, precision, ahead, back = local(u, v)
        step = solve(precision, gradient[..., None])[..., 0]
        step *= jnp.minimum(1.0, _LONGEST / jnp.maximum(jnp.linalg.norm(step, axis=1, keepdims=True), 1e-300))
        own = jnp.clip(ahead - back * jnp.sum(rows.load * step[units], axis=1), -_LONGEST, _LONGEST)
        return u + step, v + own, jnp.maximum(jnp.max(jnp.abs(step)), jnp.max(jnp.abs(own))), count + 1

    start = (jnp.zeros((n, k)), jnp.zeros_like(rows.rest), jnp.asarray(jnp.inf, rows.rest.dtype), 0)
    u, v, _, _ = jax.lax.while_loop(lambda s: (s[2] > _CLOSE) & (s[3] < _STEPS), newton, start)
    return u, v, local(u, v)[1]


def _sums(values: Any, load: Any, units: Any, n: int) -> Any:
    return jax.ops.segment_sum(values[:, None] * load, units, n)


def _precision(w: Any, load: Any, units: Any, n: int) -> Any:
    return jax.ops.segment_sum(w[:, None, None] * load[:, :, None] * load[:, None, :], units, n) + jnp.eye(load.shape[1])


def place_program(integrand: Integrand, n: int) -> Callable[..., Any]:
    """``(draws' params, design, units, by) -> low, high, step``: where the effect of every group lies, ``(draws, n)``.

    Normal laws around the modes given all rows, and around one Newton step from them without each row.
    """

    def one(params: Any, design: Any, units: Any, by: Any) -> Any:
        rows = integrand.at(params, design, by)
        u, v, precision = _modes(rows, units, n)
        mode, whole = u[:, 0], precision[:, 0, 0]
        g, w = rows.slopes(rows.rest + rows.load[:, 0] * mode[units] + rows.sd * v)
        own = 1.0 + rows.sd**2 * w
        rest = jnp.maximum(whole[units] - rows.load[:, 0] ** 2 * w / own, 1.0)
        centre = mode[units] - rows.load[:, 0] * (g + rows.sd * w * v) / own / rest
        reach = _REACH * rest**-0.5
        wide = _REACH * whole**-0.5
        alone = (jax.ops.segment_sum(jnp.ones_like(units), units, n) == 1)[units]
        low = jax.ops.segment_min(jnp.where(alone, jnp.inf, centre - reach), units, n)
        high = jax.ops.segment_max(jnp.where(alone, -jnp.inf, centre + reach), units, n)
        return jnp.minimum(low, mode - wide), jnp.maximum(high, mode + wide), _STEP * whole**-0.5

    return bounded(("places of groups", integrand, n), lambda: jax.vmap(one, in_axes=(0, None, None, None)))


def grid_program(integrand: Integrand, n: int) -> Callable[..., Any]:
    """``(params, design, units, by, low, high, places) -> values, left, right, share``: differences of log integrals over one effect.

    The nodes of a group are ``low + (high - low) places``. ``values (draws, rows)``; ``left`` and ``right (draws, n)``: log densities at
    the ends below the largest, ``share``: the largest part of an integral at one node, each of the worst set of a group.
    """

    def one(params: Any, design: Any, units: Any, by: Any, low: Any, high: Any, places: Any) -> Any:
        rows = integrand.at(params, design, by)
        whole, rest = _tables(rows, units, n, low, high, places)
        alone = jax.ops.segment_sum(jnp.ones_like(units), units, n) == 1
        total, other = (jax.scipy.special.logsumexp(t, axis=0) for t in (whole, rest))
        step = jnp.log((high - low) / (places.shape[0] - 1)) - _HALF_LOG_2PI
        values = total[units] - jnp.where(alone[units], -step[units], other)

        def worst(of_groups: Any, of_rows: Any) -> Any:
            of_rows = jnp.where(alone[units], -jnp.inf, of_rows)  # nothing is left of a group of one: the integral of the prior is 1
            return jnp.maximum(of_groups, jax.ops.segment_max(of_rows, units, n))

        tops = whole.max(axis=0), rest.max(axis=0)
        left, right = (worst(whole[end] - tops[0], rest[end] - tops[1]) for end in (0, -1))
        return values, left, right, jnp.exp(worst(tops[0] - total, tops[1] - other))

    structure = ("integrals on grids", integrand, n)
    return bounded(structure, lambda: jax.vmap(one, in_axes=(0, None, None, None, 0, 0, None)))


def _tables(rows: _Rows, units: Any, n: int, low: Any, high: Any, places: Any) -> tuple[Any, Any]:
    """Log densities at the nodes: of groups ``(nodes, n)``, and for each row of its group without it ``(nodes, rows)``."""
    load = rows.load[:, 0]

    def node(v: Any, place: Any) -> tuple[Any, tuple[Any, Any]]:
        u = low + (high - low) * place
        eta = rows.rest + load * u[units]
        v, width = rows.row_step(eta, v) if rows.nested else (v, jnp.ones_like(v))
        values = rows.marginal(eta, v, width)
        values = jnp.where(jnp.isneginf(values), _NEVER, values)
        total = jax.ops.segment_sum(values, units, n) - 0.5 * u**2
        return v, (total, total[units] - values)

    return jax.lax.scan(node, _row_modes(rows, rows.rest + load * low[units]), places)[1]


def _row_modes(rows: _Rows, eta: Any) -> Any:
    """Modes of the effects of rows, close enough to put nodes around them."""
    start = jnp.zeros_like(eta)
    if not rows.nested:
        return start

    def step(state: Any) -> Any:
        v, _, count = state
        moved = rows.row_step(eta, v)[0]
        return moved, jnp.max(jnp.abs(moved - v)), count + 1

    unknown = jnp.asarray(jnp.inf, eta.dtype)
    return jax.lax.while_loop(lambda s: (s[1] > _NEAR) & (s[2] < _STEPS), step, (start, unknown, 0))[0]


def laplace_program(integrand: Integrand, n: int) -> Callable[..., Any]:
    """``(params, design of the sets' rows, sets, by) -> (draws, n)``: log integrals over several effects, by Laplace's method."""

    def one(params: Any, design: Any, units: Any, by: Any) -> Any:
        rows = integrand.at(params, design, by)
        u, v, precision = _modes(rows, units, n)
        width = jnp.ones_like(v)
        if rows.nested:
            v, width = jax.lax.stop_gradient(rows.row_step(rows.rest + jnp.sum(rows.load * u[units], axis=1), v))
            exact = _Rows(lambda eta: rows.marginal(eta, v, width), rows.rest, rows.load, jnp.zeros_like(v), False)
            for _ in range(_POLISHED):
                g, w = exact.slopes(rows.rest + jnp.sum(rows.load * u[units], axis=1))
                precision = _precision(w, rows.load, units, n)
                u = u + solve(precision, (_sums(g, rows.load, units, n) - u)[..., None])[..., 0]
            precision = _precision(exact.slopes(rows.rest + jnp.sum(rows.load * u[units], axis=1))[1], rows.load, units, n)
        values = rows.marginal(rows.rest + jnp.sum(rows.load * u[units], axis=1), v, width)
        log_density = jax.ops.segment_sum(values, units, n) - 0.5 * jnp.sum(u**2, axis=1)
        return log_density - jnp.sum(jnp.log(jnp.diagonal(cholesky(precision), axis1=1, axis2=2)), axis=1)

    return bounded(("integrals over groups", integrand, n), lambda: jax.vmap(one, in_axes=(0, None, None, None)))
