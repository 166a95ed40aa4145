"""Gaussian models with latent vectors integrated out: an exact density of few dimensions, the vectors drawn afterwards.

``p(parameters | y) = int p(parameters, z | y) dz`` is sampled; then each draw is completed with one draw of ``z`` given it. The result
is a sample of the joint posterior, as if all had been sampled at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.compile.compiled import Compiled, compiled
from brim.compile.session import float64
from brim.coordinates.crossed.ratios import ratios
from brim.coordinates.crossed.surface import Surface, evaluate, nothing
from brim.coordinates.integrated.coefficients import Basis, Told
from brim.coordinates.integrated.sums import (
    Known,
    Sums,
    basis_of,
    border_columns,
    border_levels,
    coefficient_columns,
    compressed,
    couplings_of,
    group_columns,
    known_precision,
    known_rows,
    padded,
    rotated,
    row_sums,
    squares_of,
    turned,
)
from brim.coordinates.integrated.which import Integrated
from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.meetings import TRACED
from brim.coordinates.quadratic.nested_levels import AbstractQuadratic, Chain, Nothing, Separate, parents_of, weighted_sum
from brim.frames.frame import Frame
from brim.infer.nuts.random import normals, substream
from brim.infer.target import Draws
from brim.linalg import sum_by
from brim.parameters.prior import prior_args
from brim.terms.base import linear_of
from brim.terms.latent import Incidence, spread_together

if TYPE_CHECKING:
    from brim.coordinates.crossed.draws import Effects

__all__ = ["Integral", "integral_of", "log_marginal_function"]

Arrays = Mapping[str, Any]
_EFFECTS = 7  # what tells the streams of the effects' draws from those of the chains


class Reduced(NamedTuple):
    """What the integral takes besides the design, the priors and the constants of the other parameters.

    Attributes
    ----------
    designs
        The design of each block integrated out, as its loadings read it.
    parents, counts
        As ``parents`` and ``count`` of ``Chain``.
    sums
        All that the data say, or ``None``: then
    level, columns, border
        the innermost level of each row, the columns of each block of the chain (k, rows), and where the border stands in the rows;
    known
        what does not depend on parameters, ``None`` where the rows' precisions do;
    surface
        the integral over many crossed levels, ``None`` elsewhere;
    told
        the prior of population coefficients, whose columns take the place of the border's.
    """

    designs: tuple[dict[str, Any], ...]
    parents: dict[tuple[int, int], np.ndarray]
    counts: np.ndarray
    sums: Sums | None = None
    level: Any = None
    columns: tuple[Any, ...] = ()
    border: tuple[Incidence, ...] = ()
    known: Known | None = None
    told: Told | None = None
    surface: Surface | None = None


class Evidence(NamedTuple):
    """The log likelihood as a quadratic function of the effects, in units of ``sigma``.

    Attributes
    ----------
    log_lik
        The log likelihood without effects.
    sigma
        What loadings are divided by.
    gram, cross
        ``G`` and ``u`` of the blocks.
    squares, right, couplings
        ``G`` (m, m) and ``u`` (m,) of the border or population coefficients, and ``G`` between each block and these, (k, m, levels).
    """

    log_lik: Any
    sigma: Any
    gram: Any
    cross: tuple[Any, ...]
    squares: Any
    right: Any
    couplings: tuple[Any, ...]


@dataclass(frozen=True)
class Integral:
    """What is integrated out, with its data.

    Attributes
    ----------
    which
        The vectors, and how.
    data
        What the density takes.
    inputs
        What ``log_joint`` and the report of the whole model take; where the likelihood is in sums, with one row in place of all.
    completion
        What the draws of the vectors take.
    rotation
        What turns these draws; ``None``: nothing.
    basis
        What population coefficients are made of.
    effects
        What many crossed effects are drawn with.
    """

    which: Integrated
    data: dict[str, Any]
    inputs: Any
    completion: dict[str, Any]
    rotation: np.ndarray | None = None
    basis: Basis | None = None
    effects: Effects | None = None

    def incidences(self, design: Arrays) -> list[tuple[Incidence, dict[str, Any]]]:
        """Where each vector stands in the rows, and what its loadings read; ``design``: that of all else."""
        e, own = self.which, self.data["integral"]
        designs = (*own.designs[: len(e.blocks)], *(design[c.key] for c in e.curves), *own.designs[len(e.blocks) :])
        return list(zip((*_incidences(e, own), *own.border), designs, strict=True))

    def ratios(self, q: Any, data: Arrays) -> tuple[Any, Any]:
        """``u`` and ``v`` of many crossed levels, at coordinates (dim,)."""
        return ratios_function(self.which)(q, data)

    def program(self, size: int) -> Future[Compiled]:
        """The compiled draw of ``z`` for ``size`` draws at once; of many crossed effects, what their law depends on."""
        e, dim = self.which, self.which.rest.layout.dim
        if self.effects is not None:
            return compiled(("ratios", e), lambda: _ratios(e), (jax.ShapeDtypeStruct((size, dim), np.float64), self.data), lambda x: x)
        rows = (jax.ShapeDtypeStruct((size, *rest), kind) for rest, kind in (((dim,), np.float64), ((), np.uint64), ((), np.int64)))
        return compiled(("completion", e), lambda: _completion(e), (*rows, self.completion), lambda found: found, short=True)

    def drawn(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """For each draw one of all coordinates of the model given it, a function of seed, chain and iteration; and its log density."""
        if not self.which.shapes:
            return q, np.zeros(len(q))
        chain, iteration = np.divmod(numbers, draws.q.shape[1])
        root = np.array([_root(draws, c) for c in range(len(draws.q))])
        number = iteration * int(draws.info.get("thin", 1))
        if self.effects is not None:
            with float64():
                u, v = map(np.asarray, self.program(len(q)).result().run(q, self.data))
            streams = np.stack([root[chain], number.astype(np.uint64)], axis=1)
            z, log_density = self.effects.drawn(self.data["integral"].surface, u, v, streams)
        else:
            with float64():
                z, log_density = map(np.asarray, self.program(len(q)).result().run(q, root[chain], number, self.completion))
        z = z if self.rotation is None else z @ self.rotation.T
        sizes = {v.standardised: v.size for v in self.which.latents} | {c.name: len(c.index) for c in self.which.coefficients}
        if self.basis is not None:
            z, gain = self.basis.coordinates(z)
            log_density = log_density + gain
        parts = np.split(z, np.cumsum(list(sizes.values()))[:-1], axis=-1)
        return self.which.whole(q, dict(zip(sizes, parts, strict=True))), log_density


def _root(draws: Draws, chain: int) -> np.uint64:
    """What tells the stream of the effects' draws of a chain: its number among all that were asked for, some of which may be missing."""
    number = int(draws.info["chain_numbers"][chain]) if "chain_numbers" in draws.info else chain
    return np.random.SeedSequence([int(draws.info["seed"]), number, _EFFECTS]).generate_state(1, np.uint64)[0]


# --------------------------------------------------------------------------- data


def integral_of(e: Integrated, frame: Frame) -> Integral:
    """The data of an integral, from the training rows."""
    if e.levels == "crossed":
        return _with_surface(e, frame)
    return _with_sums(e, frame) if e.likelihood == "sums" else _with_rows(e, frame)


def _with_sums(e: Integrated, frame: Frame) -> Integral:
    """Blocks whose levels can stand for each other, or be turned to be independent, have other sums for the density than for draws."""
    kept = e.response.response.rows(frame)
    one = frame.take(np.arange(1) if kept is None else np.flatnonzero(kept)[:1])
    inputs = e.model.data(one)
    own = basis_of(e, frame)
    sums, design = row_sums(e, frame, own), _other_data(e, e.rest.design(one), own)
    if own is not None:
        own, turn = own.turned(sums.squares[-e.width :, -e.width :])
        sums = turned(sums, turn)
    whole = Reduced(_designs(e, inputs["design"]), _parents(e, frame), _once(e), sums, told=None if own is None else own.told)
    small, rotation = whole, None
    if e.levels == "rotated":
        sums, rotation = rotated(sums, whole.designs[0]["cholesky"])
        small = whole = whole._replace(sums=sums, designs=({"by": whole.designs[0]["by"]},))
    elif e.levels == "independent" and len(e.blocks) == 1:
        sums, by, count = padded(*compressed(sums, whole.designs[0]["by"]))
        small = whole._replace(sums=sums, designs=({"by": by}, *whole.designs[1:]), counts=count)
    return Integral(e, {**design, "integral": small}, inputs, {**design, "integral": whole}, rotation, own)


def _with_surface(e: Integrated, frame: Frame) -> Integral:
    """Of many crossed levels, with the surface still to be found."""
    from brim.coordinates.crossed.draws import Effects  # what other models do without
    from brim.coordinates.integrated.scattered import exact_of

    kept = e.response.response.rows(frame)
    one = frame.take(np.arange(1) if kept is None else np.flatnonzero(kept)[:1])
    inputs = e.model.data(one)
    exact, sums = exact_of(e, frame)
    flat = nothing(sum(t.size for t in exact.loads), len(exact.squares))
    own = Reduced(_designs(e, inputs["design"]), {}, _once(e), sums, surface=flat)
    data = {**_other_data(e, e.rest.design(one), None), "integral": own}
    return Integral(e, data, inputs, data, effects=Effects(exact))


def _with_rows(e: Integrated, frame: Frame) -> Integral:
    inputs = e.model.data(frame)
    design = inputs["design"]
    groups = [group_columns(e, b, design) for b in e.blocks]
    own = basis_of(e, frame)
    if own is not None:
        x = coefficient_columns(e, design) @ own.map
        own = own.turned(x.T @ (known_precision(design[e.response.data_key], len(x))[0][:, None] * x))[0]
    border = border_columns(e, design, own)
    keys = {effect.key for b in e.groups for effect in e.effects(b)} | {b.key for b in e.groups}
    rows = Reduced(
        _designs(e, design),
        _parents(e, frame),
        _once(e),
        level=groups[0].level if groups else None,
        columns=tuple(group.columns for group in groups),
        border=border,
        known=known_rows(e, groups, border, design[e.response.data_key]) if e.likelihood == "rows" else None,
        told=None if own is None else own.told,
    )
    data = {**_other_data(e, {key: value for key, value in design.items() if key not in keys}, own), "integral": rows}
    return Integral(e, data, inputs, data, basis=own)


def _other_data(e: Integrated, design: dict[str, Any], own: Basis | None) -> dict[str, Any]:
    """What the model of the other parameters takes, with this design; population coefficients are held at their reference there."""
    params = e.rest.params
    fixed = {p.name: np.array(p.constant_values) for p in params if p.constants}
    at = 0
    for c in e.coefficients:
        constants = next(p.constants for p in params if p.name == c.name)
        fixed[c.name][np.searchsorted(constants, c.index)] = own.ref[at : at + len(c.index)] if own is not None else 0.0
        at += len(c.index)
    return {"design": design, "prior": prior_args(params), "fixed": fixed}


def _designs(e: Integrated, design: Arrays) -> tuple[dict[str, Any], ...]:
    """What the loadings of each block read: of curves what they read is among the others' design."""
    return tuple(dict(design[b.key]) for b in e.groups)


def _once(e: Integrated) -> np.ndarray:
    """How often each level of the outermost block counts: once."""
    return np.ones(e.blocks[-1].grouping.n_levels if e.blocks else 0)


def _parents(e: Integrated, frame: Frame) -> dict[tuple[int, int], np.ndarray]:
    """For each pair of blocks of the chain, the level of the outer one around each level of the inner one."""
    if len(e.blocks) < 2:
        return {}
    codes = [b.grouping.codes(frame) for b in e.blocks]
    return {(b, c): parents_of(codes[b], codes[c], e.blocks[b].shape[1]) for b in range(len(codes)) for c in range(b + 1, len(codes))}


# --------------------------------------------------------------------------- density


@lru_cache(maxsize=64)
def log_marginal_function(e: Integrated) -> Callable[[Any, Arrays], Any]:
    """``(q, data) ->`` log density of the parameters that are left; equal eliminations share the function, and so the program."""
    rest = e.rest

    def log_prob(q: Any, data: Arrays) -> Any:
        params, log_det = rest.layout.constrain(q, data["fixed"])
        full = rest.transform(params, data["design"])
        known, quadratic = _likelihood(e, full, data)
        prior = rest.log_prior(full, data["design"], data["prior"]) + rest.log_internal(full, data["design"], data["prior"])
        return known + quadratic.log_integral() + prior + log_det

    return log_prob


def _likelihood(e: Integrated, full: Arrays, data: Arrays) -> tuple[Any, AbstractQuadratic]:
    """``log p(y | z) = log p(y | 0) + u' r - 1/2 r' G r``: the first term, and the quadratic form of the others in ``z``."""
    if e.levels == "crossed":
        return _from_surface(e, full, data)
    found = {"sums": _from_sums, "rows": _from_rows, "precisions": _from_precisions}[e.likelihood](e, full, data)
    own: Reduced = data["integral"]
    if own.told is not None:
        precision = own.told.precision + jnp.diagonal(found.squares) / found.sigma**2
        return found.log_lik + own.told.constant, Separate(precision, found.right / found.sigma + own.told.shift)
    cells = tuple(b.cells for b in e.blocks)
    within = tuple(b.loadings(full, design).within / found.sigma for b, design in zip(e.blocks, own.designs, strict=False))
    if not e.latents:
        return found.log_lik, Nothing()
    chain = Chain(cells, within, found.gram, found.cross, own.parents, own.counts)
    if not e.border:
        return found.log_lik, chain
    return found.log_lik, Bordered(chain, _of_border(e, full, data) / found.sigma, found.squares, found.right, found.couplings)


def _of_border(e: Integrated, full: Arrays, data: Arrays) -> Any:
    """Loadings of the whole border together: a diagonal, if each vector has one."""
    designs = (*(data["design"][c.key] for c in e.curves), *data["integral"].designs[len(e.blocks) :])
    return spread_together((v.loadings(full, design), v.shape) for v, design in zip(e.border, designs, strict=True))


def _sigma(e: Integrated, full: Arrays) -> Any:
    """The residual standard deviation; 1 where ``se()`` takes its place."""
    if any(call.fn == "se" for call in e.response.response.additions):
        return 1.0
    return full[next(s.key for s in e.response.scalars if s.name == "sigma")]


def _from_sums(e: Integrated, full: Arrays, data: Arrays) -> Evidence:
    """Residuals in units of sigma are ``V v``, ``v = (1, ref - coefficients) / sigma``: ``log p = c - n log sigma - 1/2 v' V'V v``.

    Coefficients of curves are 0 there: the residual is what they and all effects are to explain.
    """
    sums: Sums = data["integral"].sums
    sigma, mu = _sigma(e, full), e.response.predictor("mu")
    assert mu is not None
    kept = ((linear_of(t).coefficients(full), e.apart(t)) for t in mu.terms)
    beta = jnp.concatenate(
        [*(jnp.delete(c, np.array(gone, int)) if gone else c for c, gone in kept), jnp.zeros(sum(c.width for c in e.curves))]
    )
    n = 1 + len(beta)  # behind stand crossed effects or population coefficients, of which the reference is 0
    v = jnp.concatenate([jnp.ones(1), sums.ref[: n - 1] - beta]) / sigma
    squares = weighted_sum(v, sums.squares[:n])
    log_lik = sums.constant - sums.log_sigma * jnp.log(sigma) - 0.5 * jnp.sum(v * squares[:n])
    at = 1 + len(sums.ref) - e.width  # where the border's columns begin
    couplings = tuple(jnp.swapaxes(cross[at:], 0, 1) for cross in sums.cross)
    cross = tuple(weighted_sum(v, own[:n]) for own in sums.cross)
    return Evidence(log_lik, sigma, sums.gram, cross, sums.squares[at:, at:], squares[at:], couplings)


def _ratios_of(e: Integrated, full: Arrays, data: Arrays) -> tuple[Any, Any, Any]:
    """Of many crossed levels ``u``, ``v = (1, ref - coefficients) / sigma`` and ``sigma``."""
    own: Reduced = data["integral"]
    sigma, mu, u = _sigma(e, full), e.response.predictor("mu"), []
    assert mu is not None
    assert own.sums is not None
    for block, design, loads in zip(e.crossed, own.designs, ratios([(b.shape[0], b.has_cor) for b in e.crossed]), strict=True):
        t = block.loadings(full, design).within
        diagonal = jnp.diagonal(t)
        rows, columns = loads.below
        u += [jnp.log(diagonal / sigma), t[rows, columns] / diagonal[rows]]
    beta = jnp.concatenate([jnp.zeros(0), *(linear_of(t).coefficients(full) for t in mu.terms)])
    return jnp.concatenate(u), jnp.concatenate([jnp.ones(1), own.sums.ref - beta]) / sigma, sigma


def _from_surface(e: Integrated, full: Arrays, data: Arrays) -> tuple[Any, AbstractQuadratic]:
    own: Reduced = data["integral"]
    assert own.sums is not None
    assert own.surface is not None
    u, v, sigma = _ratios_of(e, full, data)
    log_det, forms, outside = evaluate(own.surface, u)
    log_lik = own.sums.constant - own.sums.log_sigma * jnp.log(sigma) - 0.5 * v @ forms @ v - outside
    return log_lik - 0.5 * log_det, Nothing()


@lru_cache(maxsize=64)
def ratios_function(e: Integrated) -> Callable[[Any, Arrays], tuple[Any, Any]]:
    """``(q, data) ->`` ``u`` and ``v`` of many crossed levels."""
    rest = e.rest

    def run(q: Any, data: Arrays) -> tuple[Any, Any]:
        params, _ = rest.layout.constrain(q, data["fixed"])
        return _ratios_of(e, rest.transform(params, data["design"]), data)[:2]

    return run


def _ratios(e: Integrated) -> Callable[..., tuple[Any, Any]]:
    """``(q (n, dim), data) ->`` ``u`` and ``v`` of each."""
    one = ratios_function(e)
    return lambda q, data: lax.map(lambda x: one(x, data), q)


def _residuals(e: Integrated, full: Arrays, data: Arrays) -> tuple[Any, Any]:
    """What the effects are to explain, and the standard deviation of each row without them."""
    distribution = e.response.distribution(full, data["design"])
    return e.response.y(full, data["design"]) - distribution.loc, distribution.scale


def _from_rows(e: Integrated, full: Arrays, data: Arrays) -> Evidence:
    """Residuals ``d`` from the rows, their precisions known up to sigma: ``log p = c - n log sigma - 1/2 sum_i w_i d_i^2 / sigma^2``."""
    own: Reduced = data["integral"]
    (residual, _), sigma, rows = _residuals(e, full, data), _sigma(e, full), own.known
    assert rows is not None
    scaled = residual * (rows.precision / sigma)
    log_lik = rows.constant - rows.log_sigma * jnp.log(sigma) - 0.5 * jnp.sum(scaled * residual) / sigma
    return Evidence(log_lik, sigma, rows.gram, _cross(e, scaled, own), rows.squares, _right(e, scaled, own), rows.couplings)


def _from_precisions(e: Integrated, full: Arrays, data: Arrays) -> Evidence:
    """Residuals ``d`` and precisions ``w`` from the rows: ``log p = sum_i [1/2 log w_i - 1/2 w_i d_i^2] + c``, but for weights."""
    own: Reduced = data["integral"]
    residual, scale = _residuals(e, full, data)
    n = residual.shape[0]
    scale = jnp.broadcast_to(scale, (n,))
    weights = data["design"][e.response.data_key].get("weights", jnp.ones(n))
    precision = weights / scale**2
    scaled = residual * precision
    log_lik = -jnp.sum(weights * jnp.log(scale)) - 0.5 * math.log(2 * math.pi) * jnp.sum(weights) - 0.5 * jnp.sum(scaled * residual)
    couplings = tuple(couplings_of(e, b, group, own.border, precision, TRACED) for b, group in enumerate(_incidences(e, own)))
    gram, cross = _gram(e, precision, own), _cross(e, scaled, own)
    return Evidence(log_lik, 1.0, gram, cross, squares_of(e, own.border, precision, TRACED), _right(e, scaled, own), couplings)


def _incidences(e: Integrated, own: Reduced) -> tuple[Incidence, ...]:
    """Where the blocks of the chain stand in the rows."""
    return tuple(Incidence(own.level if b == 0 else own.parents[0, b][own.level], z) for b, z in enumerate(own.columns))


def _right(e: Integrated, scaled: Any, own: Reduced) -> Any:
    """``S' scaled`` of the border, (m,)."""
    levels = border_levels(e)
    return jnp.concatenate([jnp.zeros(0), *(jnp.ravel(i.sums(scaled, n)) for i, n in zip(own.border, levels, strict=True))])


def _cross(e: Integrated, scaled: Any, own: Reduced) -> tuple[Any, ...]:
    """``Z' scaled`` of every block, (k, levels)."""
    return tuple(_to_levels(e, b, z * scaled, own) for b, z in enumerate(own.columns))


def _gram(e: Integrated, precision: Any, own: Reduced) -> dict[tuple[int, int], Any]:
    """``Z_b' diag(precision) Z_c`` of every level of ``b``, (k_b, k_c, levels)."""
    columns = own.columns
    pairs = [(b, c) for b in range(len(columns)) for c in range(b, len(columns))]
    return {(b, c): _to_levels(e, b, (columns[b] * precision)[:, None] * columns[c], own) for b, c in pairs}


def _to_levels(e: Integrated, b: int, values: Any, own: Reduced) -> Any:
    """Sums over the rows of each level of block ``b``, by way of the innermost block's."""
    inner = sum_by(values, own.level, e.blocks[0].grouping.n_levels)
    return inner if b == 0 else sum_by(inner, own.parents[0, b], e.blocks[b].grouping.n_levels)


# --------------------------------------------------------------------------- vectors given the rest


def _completion(e: Integrated) -> Callable[..., tuple[Any, Any]]:
    rest = e.rest
    shapes = e.shapes
    ends = np.cumsum([math.prod(shape) for shape in shapes])

    def run(q: Any, roots: Any, iterations: Any, data: Arrays) -> tuple[Any, Any]:
        def one(draw: tuple[Any, Any, Any]) -> tuple[Any, Any]:
            q, root, iteration = draw
            params, _ = rest.layout.constrain(q, data["fixed"])
            _, quadratic = _likelihood(e, rest.transform(params, data["design"]), data)
            parts = jnp.split(normals(substream(root, iteration), int(ends[-1])), ends[:-1])
            z, log_density = quadratic.draw(tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))
            return jnp.concatenate([jnp.ravel(a) for a in z]), log_density

        return lax.map(one, (q, roots, iterations))

    return run
