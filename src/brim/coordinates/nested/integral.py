"""The density of all other parameters with the latent vectors integrated out, and draws of these, at many points.

At a point are given the parameters ``theta`` and standard normals of the border, whose effects follow from the expansion at their
mode. Given both, the levels ``j`` of the outermost block are independent:

    p(y, theta, border) = p(theta, border) prod_j int p(y_j | r_j, ...) N(z_j; 0, I) dz_j.

The effect of the innermost block, where it is one, is integrated by Gauss-Hermite quadrature around its mode given the others; all
others by importance over a few evenly spread draws from the expansion. So the product is exact or, whatever the expansion is worth,
an unbiased estimate: with it as the density, points and effects chosen by importance are those of the exact posterior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp, ndtri

from brim.coordinates.nested.modes import Here, mean_of, mode_of
from brim.coordinates.nested.structure import Nest, NestArrays
from brim.coordinates.quadratic.nested_levels import Chain, Stage, log_normal
from brim.linalg import sum_by

__all__ = ["MODES", "points_function"]

MODES = 2**32 - 1  # the number of a point where modes are told, not draws
WIDER = 1.1  # draws of effects spread by this factor more than the expansion says
FARTHEST = 6.5  # standard deviations to either side that it covers
DEGREE = 7  # of the polynomials that it is interpolated by
IN_A_ROW = 8  # cells between them
FINE = 3 * IN_A_ROW + 1  # nodes of the distribution function that one effect is drawn from
LEAST = -200.0  # log density, beside the largest, below which it does not count
_LOG_2PI = math.log(2.0 * math.pi)


def points_function(nest: Nest, at_once: int) -> Callable[..., Any]:
    """``(theta (n, dim), border (n, m), keys (n, 2), known) ->`` what ``Found`` says of each point."""

    def run(theta: Any, border: Any, keys: Any, known: NestArrays) -> Any:
        return lax.map(lambda one: _point(nest, one[0], one[1], one[2], known), (theta, border, keys), batch_size=at_once)

    return run


def _point(nest: Nest, theta: Any, own: Any, key: Any, known: NestArrays) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    t, (_, border, chain) = nest.adapted, nest.adapted.parts
    base, here = _here(nest, theta, known)
    every = (*border, *chain)
    z, quadratic = mode_of(here, every, known.start.at(theta))
    mode = mean_of(here, quadratic)[0]
    total = base
    if border:
        z, density = mean_of(here, quadratic, own)
        total = total - density + sum(log_normal(z[i]) for i in border)
        if chain:
            z, quadratic = mode_of(here, tuple(chain), z)
    fixed = here.added({i: z[i] for i in border})
    eta = tuple(rest + more for rest, more in zip(here.rest, fixed, strict=True))
    total = total + sum((jnp.sum(here.log_lik(u, eta[u])) for u, entered in enumerate(nest.informed) if not entered), jnp.zeros(()))
    doubt = jnp.zeros(())
    if chain:
        law = quadratic.law(here)
        inner, doubt, drawn = _chain_integral(nest, here, law if isinstance(law, Chain) else law.chain, eta, key)
        total, z = total + inner, {**z, **drawn}
    whole = here.added(z)
    joint = base + sum(jnp.sum(here.log_lik(u, rest + whole[u])) for u, rest in enumerate(here.rest))
    joint = joint + sum(log_normal(z[i]) for i in every)
    modes = key[1] == MODES
    return total, joint, doubt, tuple(jnp.where(modes, mode[i], z[i]) for i in range(len(t.latents)))


def _here(nest: Nest, theta: Any, known: NestArrays) -> tuple[Any, Here]:
    """The log density of ``theta`` and of responses without latent vectors; and the model there."""
    t, inner = nest.adapted, known.inner
    model, design = t.rest, inner["design"]
    params, log_det = model.layout.constrain(theta, inner["fixed"])
    full = model.transform(params, design)
    base = log_det + model.log_prior(full, design, inner["prior"]) + model.log_internal(full, design, inner["prior"])
    laws = [law for law in model.laws if law not in [unit.law for unit in t.units]]
    base = base + sum((jnp.sum(model.log_lik_at(law, {}, full, design)) for law in laws), jnp.zeros(()))
    loadings = tuple(v.loadings(full, design[v.key]) for v in t.latents)
    return base, Here(t, full, loadings, tuple(unit.etas(model, full, design) for unit in t.units), known)


def _chain_integral(nest: Nest, here: Here, law: Chain, eta: tuple[Any, ...], key: Any) -> tuple[Any, Any, dict[int, Any]]:
    """Log of the integral over the chain's effects at these predictors without them, what its error may be, and a draw of them."""
    chain, levels, top = nest.adapted.parts[2], [v.shape[1] for v in nest.adapted.chain], here.known.top
    stages, left = [], law
    for b in range(len(chain)):
        stages.append(left.stage(b))
        left = left.without(b, stages[-1])
    spreads, choices, inverses = jax.random.split(key, 3)
    normals = _evenly(nest, spreads)
    z = jax.vmap(lambda e: law.back(stages, e)[0])(normals)
    innermost = _innermost(nest, _LevelValues(nest, here, eta), z, stages[0])
    log_ratio = sum_by(innermost.values, top[0], levels[-1])
    for b in nest.drawn:
        log_ratio = log_ratio + sum_by(_log_ratio(stages[b], normals[b], z[b]), top[b], levels[-1])
    log_integrals = logsumexp(log_ratio, axis=0) - math.log(len(log_ratio))
    chosen = _chosen(choices, log_ratio) if nest.drawn else jnp.zeros(levels[-1], int)
    drawn = {chain[b]: jnp.moveaxis(z[b][chosen[top[b]], :, jnp.arange(levels[b])], 0, -1) for b in nest.drawn}
    doubt = jnp.zeros(())
    if nest.quadrature:
        at, each = chosen[top[0]], jnp.arange(levels[0])
        steps, log_mass = _inverse(inverses, innermost.heights[at, :, each].T, nest.nodes)
        drawn[chain[0]] = (z[0][at, 0, each] + innermost.width * steps)[None]
        doubt = jnp.sum(log_mass + jnp.log(innermost.width) - innermost.values[at, each])
    return jnp.sum(log_integrals), doubt, drawn


class _Innermost(NamedTuple):
    """What the innermost block says of its levels, given the others.

    Attributes
    ----------
    values
        Log of the integral over its effect, or of the density with its drawn effects, (particles, levels).
    heights
        Log of the integrand at the nodes, (particles, nodes, levels).
    width
        Standard deviation that the expansion gives the effect, (levels,).
    """

    values: Any
    heights: Any = None
    width: Any = None


def _innermost(nest: Nest, values: _LevelValues, z: tuple[Any, ...], stage: Stage) -> _Innermost:
    if not nest.quadrature:
        return _Innermost(values.at(z, z[0][:, None])[:, 0])
    nodes, log_weights = _nodes(nest.nodes)
    width = 1.0 / jnp.broadcast_to(stage.low.elements()[0][0], z[0].shape[-1:])
    own = z[0][:, None] + nodes[:, None, None] * width  # (particles, nodes, 1, levels)
    heights = values.at(z, own) - 0.5 * jnp.square(own[:, :, 0]) - 0.5 * _LOG_2PI
    return _Innermost(logsumexp(heights + log_weights[:, None], axis=1) + jnp.log(width), heights, width)


class _LevelValues:
    """Log likelihoods summed by level of the innermost block."""

    def __init__(self, nest: Nest, here: Here, eta: tuple[Any, ...]) -> None:
        self.here, self.eta, self.chain = here, eta, nest.adapted.parts[2]
        self.units = [u for u, entered in enumerate(nest.informed) if entered]
        self.levels = nest.adapted.chain[0].shape[1]

    def at(self, z: tuple[Any, ...], own: Any) -> Any:
        """Of ``z`` of the blocks (particles, k, levels) and, in place of the innermost, ``own`` (particles, nodes, k, levels)."""

        def one(outer: tuple[Any, ...], nodes: Any) -> Any:
            added = self.here.added({self.chain[b]: v for b, v in enumerate(outer, start=1)}) if outer else None
            around = self.eta if added is None else tuple(e + a for e, a in zip(self.eta, added, strict=True))
            return jax.vmap(lambda inner: self._sum(around, inner))(nodes)

        return jax.vmap(one)(z[1:], own)

    def _sum(self, around: tuple[Any, ...], inner: Any) -> Any:
        added = self.here.added({self.chain[0]: inner})
        total = jnp.zeros(self.levels)
        for u in self.units:
            total = total + sum_by(self.here.log_lik(u, around[u] + added[u]), self.here.known.level[u], self.levels)
        return total


def _evenly(nest: Nest, key: Any) -> tuple[Any, ...]:
    """Normals of the blocks (particles, k, levels), each number in a stratum of its own in an order of its own.

    The order of ``m`` is ``a m + b`` modulo the number of particles, a power of two, for odd ``a``. Where quadrature goes over the
    innermost block, it has zeros.
    """
    count = nest.particles if nest.drawn else 1
    out = []
    for b, v in enumerate(nest.adapted.chain):
        if b not in nest.drawn:
            out.append(jnp.zeros((count, *v.shape)))
            continue
        u = jax.random.uniform(jax.random.fold_in(key, b), (3, *v.shape))
        a, shift = 2.0 * jnp.floor(u[0] * (count // 2)) + 1.0, jnp.floor(u[1] * count)
        strata = (a * jnp.arange(count).reshape(-1, 1, 1) + shift) % count
        out.append(WIDER * ndtri(jnp.clip((strata + u[2]) / count, 1e-12, 1.0 - 1e-12)))
    return tuple(out)


def _log_ratio(stage: Stage, normals: Any, z: Any) -> Any:
    """Log density of ``z`` over that of its draws, (particles, levels)."""
    k = z.shape[1]
    drawn = -0.5 * jnp.sum(jnp.square(normals / WIDER), axis=1) - k * math.log(WIDER) + stage.low.log_diagonal()
    return -0.5 * jnp.sum(jnp.square(z), axis=1) - drawn


def _chosen(key: Any, log_ratio: Any) -> Any:
    """For each level one of its draws, as likely as its ratio is large."""
    cumulated = jnp.cumsum(jnp.exp(log_ratio - jnp.max(log_ratio, axis=0)), axis=0)
    u = jax.random.uniform(key, (log_ratio.shape[1],)) * cumulated[-1]
    return jnp.minimum(jnp.sum(cumulated <= u, axis=0), len(log_ratio) - 1)


def _nodes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ``t`` and logarithms of weights ``w``: ``int f(t) dt ~ sum w f(t)``, exact for polynomials times the normal density."""
    t, w = np.polynomial.hermite_e.hermegauss(n)
    return t, np.log(w) + 0.5 * t**2


def _inverse(key: Any, heights: Any, n: int) -> tuple[Any, Any]:
    """A draw for each level from the density that is ``heights (nodes, levels)`` in logarithm at the nodes, and the log of its integral.

    Beside the normal log density it is interpolated; its distribution function is inverted over a finer grid.
    """
    nodes = _nodes(n)[0]
    far = min(nodes[-1] + 0.5, FARTHEST)
    grid = np.linspace(-far, far, FINE)
    beside = heights + 0.5 * nodes[:, None] ** 2
    beside = jnp.maximum(beside, jnp.max(beside, axis=0) + LEAST)
    log_density = _interpolation(nodes, grid) @ beside - 0.5 * grid[:, None] ** 2
    highest = jnp.max(log_density, axis=0)
    cell, within, total = _cell(jax.random.uniform(key, heights.shape[1:]), _masses(jnp.exp(log_density - highest)))
    # within a cell the density is log-linear
    each = jnp.arange(heights.shape[1])
    bend = jnp.clip(log_density[cell + 1, each] - log_density[cell, each], -50.0, 50.0)
    flat = jnp.abs(bend) < 1e-6
    bend = jnp.where(flat, 1.0, bend)
    within = jnp.where(flat, within, jnp.log1p(within * jnp.expm1(bend)) / bend)
    step = grid[1] - grid[0]
    return grid[0] + step * (cell + jnp.clip(within, 0.0, 1.0)), highest + jnp.log(step * total)


def _masses(density: Any) -> Any:
    """Integrals (cells, levels) over the cells between fine nodes, in units of their width: of cubics through the four nodes around."""
    wide = jnp.pad(density, ((1, 1), (0, 0)))
    return jnp.maximum((13.0 * (wide[1:-2] + wide[2:-1]) - wide[:-3] - wide[3:]) / 24.0, 0.0)


def _cell(u: Any, masses: Any) -> tuple[Any, Any, Any]:
    """For each level the cell in which a share ``u`` of the mass is reached, the share of the cell's own mass, and the whole mass.

    First which of some cells in a row, then which of these: sums of all of them one by one would cost more than the density.
    """
    each = jnp.arange(masses.shape[1])
    rows = masses.reshape(-1, IN_A_ROW, masses.shape[1])
    ends = _running(rows.sum(1))
    aim = u * ends[-1]
    row = jnp.minimum(jnp.sum(ends <= aim, axis=0), len(rows) - 1)
    own = rows[row, :, each].T
    inside = _running(own)
    aim = aim - (ends[row, each] - inside[-1])
    cell = jnp.minimum(jnp.sum(inside <= aim, axis=0), IN_A_ROW - 1)
    within = 1.0 - jnp.clip((inside[cell, each] - aim) / own[cell, each], 0.0, 1.0)
    return row * IN_A_ROW + cell, within, ends[-1]


def _running(x: Any) -> Any:
    """Running sums of few rows."""
    return np.tril(np.ones((len(x), len(x)))) @ x


def _interpolation(nodes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """From values at the nodes to those between, (grid, nodes): rational, blended from polynomials through ``DEGREE + 1`` nodes in a row.

    Floater & Hormann (2007), Numerische Mathematik 107: what is far away, where the integrand is nothing, does not matter.
    """
    n, degree = len(nodes), min(DEGREE, len(nodes) - 1)
    gaps = np.abs(nodes[:, None] - nodes) + np.eye(n)
    weights = np.zeros(n)
    for i in range(n - degree):
        run = slice(i, i + degree + 1)
        weights[run] += (-1.0) ** np.arange(i, i + degree + 1) / gaps[run, run].prod(1)
    apart = grid[:, None] - nodes
    terms = weights / np.where(np.abs(apart) < 1e-12, 1e-12, apart)
    return np.asarray(terms / terms.sum(1, keepdims=True))
