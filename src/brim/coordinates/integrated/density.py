"""Gaussian models with group effects and curves integrated out: an exact target of few dimensions, the effects drawn afterwards.

``p(parameters | y) = int p(parameters, effects | y) d effects`` is sampled; then each draw is completed with one draw of the effects
given it. The result is a sample of the joint posterior, as if all had been sampled at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import block_diag

from brim.compile.compiled import Compiled, compiled
from brim.compile.session import float64
from brim.coordinates.base import AbstractCoordinates, Own, model_target
from brim.coordinates.integrated.sums import (
    compressed,
    curve_columns,
    group_columns,
    known_border,
    known_gram,
    known_precision,
    padded,
    rotated,
    row_sums,
)
from brim.coordinates.integrated.which import Elimination, find, size_of
from brim.coordinates.mode import complete_mode
from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.nested_levels import AbstractQuadratic, Chain, Dense, sum_by
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.infer.approximate.laplace import laplace_start
from brim.infer.nuts.control import Control
from brim.infer.nuts.random import normals, substream
from brim.infer.nuts.warmup import Start
from brim.infer.target import Draws, Target
from brim.model.model import Model, log_jacobian_function
from brim.parameters.param import unconstrained_size
from brim.parameters.prior import prior_args

__all__ = ["Marginal", "check_marginalize", "eliminate", "log_marginal_function"]

Arrays = Mapping[str, Any]
# log likelihood without effects and curves; the sd that loadings are divided by; G and u of the blocks; G, u and couplings of the curves
_Parts = tuple[Any, Any, Any, tuple[Any, ...], tuple[Any, Any, tuple[Any, ...]]]
MOST = 50  # dimensions that a Laplace approximation is made in: a Hessian takes twice as many gradients
_EFFECTS = 7  # what tells the streams of the effects' draws from those of the chains


@final
@dataclass(frozen=True)
class Marginal(AbstractCoordinates):
    """A model with group effects integrated out.

    Attributes
    ----------
    elimination
        Which effects, and how.
    reduced
        The target: ``log int p(y, parameters, effects) d effects`` of the other parameters, all constants included.
    inputs
        What ``log_joint`` and the report of the whole model take; where the likelihood is in sums, with one row in place of all.
    completion
        What the draws of the effects take.
    frame
        The training rows.
    """

    elimination: Elimination
    reduced: Target
    inputs: Any
    completion: Any
    frame: Frame

    @property
    def target(self) -> Target:
        return self.reduced

    @property
    def data(self) -> Any:
        return self.inputs

    @property
    def advised(self) -> dict[str, Any]:
        # length scales trade off against standard deviations along a curved ridge
        ridge = any(slot.class_ == "lscale" for t in self.elimination.curves for p in t.params() for slot in p.slots)
        return ({"metric": "dense"} if self.regular else {}) | ({"adapt_delta": 0.95} if ridge else {})

    @property
    def note(self) -> str:
        """One line on what is integrated out."""
        whole = self.elimination.model.layout.dim
        return f"{self.named} integrated out exactly ({self.target.dim} of {whole} dimensions sampled)"

    @property
    def named(self) -> str:
        """What is integrated out."""
        groups = " and ".join(dict.fromkeys(b.grouping.label for b in self.elimination.blocks))
        return " and ".join([*([f"{groups} effects"] if groups else []), *(t.as_written for t in self.elimination.curves)])

    @property
    def regular(self) -> bool:
        """Whether what is left are population effects and hyperparameters alone, whose posterior is near a normal one as a rule."""
        left = self.elimination.rest.params
        return self.target.dim <= MOST and all(p.in_lprior or len(p.constants) == p.size for p in left)

    @property
    def adaptation(self) -> int:
        """Warm-up iterations from the Laplace approximation: where they are cheap, enough to learn a better metric."""
        return 400 if self.elimination.likelihood == "sums" else 150

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Self, Start | None]:
        return self, laplace_start(self.target, control, chains, seed) if self.regular else None

    def run(self, algorithm: str, *, start: Start | None, **arguments: Any) -> tuple[AbstractCoordinates, Draws]:
        """A mode with the effects at their conditional mode too: in the model's own coordinates."""
        space, draws = super().run(algorithm, start=start, **arguments)
        if algorithm != "map":
            return space, draws
        own = Own(model_target(self.elimination.model, self.frame))
        return own, complete_mode(own.target, self.complete(draws), self.elimination.model.layout, self.elimination.rest.layout)

    @property
    def dim(self) -> int:
        return self.elimination.model.layout.dim

    def prepare(self, size: int) -> None:
        self._program(size)

    def _program(self, size: int) -> Future[Compiled]:
        return _completion_program(self.elimination, size, self.target.dim, self.completion)

    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Each draw with one of the effects given it, a function of seed, chain and iteration.

        The gain is the log density of the effects drawn: with the marginal density it makes the joint one, brms' ``lp__``.
        """
        chain, iteration = np.divmod(numbers, draws.q.shape[1])
        root = [self._root(draws, c) for c in range(len(draws.q))]
        with float64():
            out = self._program(len(q)).result().run(q, np.array(root)[chain], iteration * int(draws.info.get("thin", 1)), self.completion)
            z, log_density = map(np.asarray, out)
        if "rotation" in self.completion:
            z = z @ self.completion["rotation"].T
        return _joined(self.elimination, q, z), log_density

    @staticmethod
    def _root(draws: Draws, chain: int) -> np.uint64:
        """What tells the stream of the effects' draws of a chain."""
        return np.random.SeedSequence([int(draws.info["seed"]), chain, _EFFECTS]).generate_state(1, np.uint64)[0]


def eliminate(model: Model, frame: Frame, marginalize: bool | str = "auto", spread: float = 1.0) -> Marginal | None:
    """The model with the group effects integrated out that allow it.

    Parameters
    ----------
    model, frame
        The model and its training rows.
    marginalize
        ``"auto"``: where it can be done; ``True``: it must be possible; ``False``: never.
    spread
        Half-width of the uniform spread of starting points.

    Returns
    -------
    Marginal, or ``None`` when effects are to be sampled.

    Raises
    ------
    BrimError
        With ``marginalize=True``, when it cannot be done: why.
    """
    if check_marginalize(marginalize) is False:
        return None
    try:
        e = find(model, frame)
    except BrimError:
        if marginalize is True:
            raise
        return None
    if e.rest.layout.dim == 0:
        return None
    return _with_sums(e, frame, spread) if e.likelihood == "sums" else _with_rows(e, frame, spread)


def check_marginalize(value: Any) -> bool | str:
    """The argument of ``brm``: ``"auto"``, ``True`` or ``False``; anything else is an error."""
    if not isinstance(value, bool) and value != "auto":
        raise BrimError(f"marginalize = {value!r}", hint="use 'auto', True or False")
    return bool(value) if isinstance(value, bool) else "auto"


def _target(e: Elimination, data: Any, spread: float) -> Target:
    layout = e.rest.layout
    center = layout.center()

    def init(rng: np.random.Generator) -> np.ndarray:
        return center + rng.uniform(-spread, spread, len(center))

    jacobian = log_jacobian_function(layout)
    return Target(
        layout.dim,
        log_marginal_function(e),
        data,
        init,
        lambda q, d: layout.constrain(q, d["fixed"])[0],
        log_jacobian=jacobian,
        nonlinear=layout.nonlinear(),
    )


# --------------------------------------------------------------------------- data


def _with_sums(e: Elimination, frame: Frame, spread: float) -> Marginal:
    sums = row_sums(e, frame)
    kept = e.response.response.rows(frame)
    one = frame.take(np.arange(1) if kept is None else np.flatnonzero(kept)[:1])
    shared = {"design": e.rest.design(one), **_prior_data(e)}
    parents = _parents(e, frame)
    by = tuple(b.grouping.by_index for b in e.blocks)
    whole = {"sums": sums, "by": by, "count": _once(e), "parents": parents, **shared}
    small = whole
    if e.levels == "rotated":
        sums, rotation = rotated(sums, e.blocks[0].grouping.cholesky)
        small = {**whole, "sums": sums}
        whole = {**small, "rotation": rotation}
    elif e.levels == "independent" and len(e.blocks) == 1:
        sums, by_few, count = padded(*compressed(sums, by[0]))
        small = {**whole, "sums": sums, "by": (by_few,), "count": count}
    elif e.levels == "dense":
        small = whole = {**whole, "cholesky": e.blocks[0].grouping.cholesky}
    return Marginal(e, _target(e, small, spread), e.model.data(one), whole, frame)


def _with_rows(e: Elimination, frame: Frame, spread: float) -> Marginal:
    whole = e.model.data(frame)
    design = whole["design"]
    groups = [group_columns(e, b, design) for b in range(len(e.blocks))]
    n = len(design[e.response.rows_key])
    keys = {effect.key for b in e.blocks for effect in e.effects(b)} | {b.key for b in e.blocks}
    data: dict[str, Any] = {
        "design": {key: value for key, value in design.items() if key not in keys},
        "level": groups[0][0] if groups else np.zeros(n, np.int32),
        "columns": tuple(z for _, z in groups),
        "by": tuple(b.grouping.by_index for b in e.blocks),
        "count": _once(e),
        "parents": _parents(e, frame),
        "curves": curve_columns(e, design),
        **_prior_data(e),
    }
    if e.likelihood == "rows":
        precision, log_sigma, constant = known_precision(design[e.response.data_key], n)
        data["known"] = {"precision": precision, "log_sigma": log_sigma, "constant": constant}
        data["gram"] = known_gram(e, groups, precision)
        data["border"] = known_border(e, groups, precision, data["curves"])
    if e.levels == "dense":
        data["cholesky"] = e.blocks[0].grouping.cholesky
    return Marginal(e, _target(e, data, spread), whole, data, frame)


def _once(e: Elimination) -> np.ndarray:
    """Every level of the outermost block counts once."""
    return np.ones(e.blocks[-1].grouping.n_levels if e.blocks else 0)


def _prior_data(e: Elimination) -> dict[str, Any]:
    params = e.rest.params
    return {"prior": prior_args(params), "fixed": {p.name: np.array(p.constant_values) for p in params if p.constants}}


def _parents(e: Elimination, frame: Frame) -> dict[tuple[int, int], np.ndarray]:
    """For each pair of blocks, the level of the outer one around each level of the inner one."""
    if len(e.blocks) == 1:
        return {}
    codes = [b.grouping.codes(frame) for b in e.blocks]
    out = {}
    for b, inner in enumerate(e.blocks):
        for c in range(b + 1, len(codes)):
            out[b, c] = np.zeros(inner.grouping.n_levels, np.int32)
            out[b, c][codes[b]] = codes[c]
    return out


# --------------------------------------------------------------------------- density


@lru_cache(maxsize=64)
def log_marginal_function(e: Elimination) -> Callable[[Any, Arrays], Any]:
    """``(q, data) ->`` log density of the parameters that are left; equal eliminations share the function, and so the program."""
    rest = e.rest

    def log_prob(q: Any, data: Arrays) -> Any:
        params, log_det = rest.layout.constrain(q, data["fixed"])
        full = rest.transform(params, data["design"])
        known, quadratic = _likelihood(e, full, data)
        prior = rest.log_prior(full, data["design"], data["prior"]) + rest.log_internal(full, data["design"], data["prior"])
        return known + quadratic.log_integral() + prior + log_det

    return log_prob


def _likelihood(e: Elimination, full: Arrays, data: Arrays) -> tuple[Any, AbstractQuadratic]:
    """The log likelihood without the effects, and what the effects change in it."""
    parts = {"sums": _from_sums, "rows": _from_rows, "precisions": _from_precisions}[e.likelihood]
    known, sigma, gram, cross, border = parts(e, full, data)
    loadings = [_loadings(e, b, full, data) / sigma for b in range(len(e.blocks))]
    if e.levels == "dense":
        return known, Dense(_dense_loadings(loadings[0], data), gram[0, 0], cross[0])
    chain = Chain(e.cells, tuple(loadings), gram, cross, data["parents"], data["count"])
    return known, Bordered(chain, _curve_loadings(e, full, data) / sigma, *border) if e.curves else chain


def _curve_loadings(e: Elimination, full: Arrays, data: Arrays) -> Any:
    """Of all curves together: a diagonal, if each has one."""
    parts = [t.latent_loadings(full, data["design"][t.key]) for t in e.curves]
    if all(t.ndim == 1 for t in parts):
        return jnp.concatenate(parts)
    return block_diag(*(jnp.diag(t) if t.ndim == 1 else t for t in parts))


def _loadings(e: Elimination, b: int, full: Arrays, data: Arrays) -> Any:
    """``diag(sd) L`` of a block: (k, k), or (k, k, levels) with ``gr(by = )``."""
    t = e.blocks[b].loadings(full)
    return jnp.moveaxis(t, 0, -1)[..., data["by"][b]] if t.ndim == 3 else t


def _dense_loadings(t: Any, data: Arrays) -> Any:
    """From all standardised effects to all effects: ``r_aj = sum_b t_ab sum_i c_ji z_bi`` with ``c`` the levels' Cholesky factor."""
    k, n = t.shape[0], len(data["cholesky"])
    per_level = t if t.ndim == 3 else t[:, :, None]
    return jnp.einsum("abj,ji->ajbi", jnp.broadcast_to(per_level, (k, k, n)), data["cholesky"]).reshape(k, n, k * n)


def _sigma(e: Elimination, full: Arrays, log_sigma_known: bool) -> Any:
    """The residual standard deviation; 1 where ``se()`` takes its place."""
    if log_sigma_known:
        return 1.0
    return full[next(s.key for s in e.response.scalars if s.name == "sigma")]


def _has_se(e: Elimination) -> bool:
    return any(call.fn == "se" for call in e.response.response.additions)


def _from_sums(e: Elimination, full: Arrays, data: Arrays) -> _Parts:
    """Everything from the sums: the residual in units of sigma is ``V v`` with ``v = (1, ref - coefficients) / sigma``.

    Coefficients of curves are 0 there: the residual is what they and the effects are to explain.
    """
    sums, sigma = data["sums"], _sigma(e, full, _has_se(e))
    mu = e.response.predictor("mu")
    assert mu is not None
    beta = jnp.concatenate([*(t.coefficients(full) for t in mu.terms), jnp.zeros(e.width)])
    v = jnp.concatenate([jnp.ones(1), sums["ref"] - beta]) / sigma
    squares = _combined(v, sums["squares"])
    known = sums["constant"] - sums["log_sigma"] * jnp.log(sigma) - 0.5 * jnp.sum(v * squares)
    at = len(v) - e.width  # where the curves' columns begin
    border = (sums["squares"][at:, at:], squares[at:], tuple(jnp.swapaxes(cross[at:], 0, 1) for cross in sums["cross"]))
    return known, sigma, sums["gram"], tuple(_combined(v, cross) for cross in sums["cross"]), border


def _combined(v: Any, arrays: Any) -> Any:
    """``sum_i v_i arrays_i``; a few written as sums, which fuse with what comes next."""
    return jnp.tensordot(v, arrays, 1) if len(arrays) > 8 else jnp.sum(arrays * v.reshape(-1, *[1] * (arrays.ndim - 1)), axis=0)


def _residuals(e: Elimination, full: Arrays, data: Arrays) -> tuple[Any, Any]:
    """What the effects are to explain, and the distribution of each row without them."""
    distribution = e.response.distribution(full, data["design"])
    return e.response.y(full, data["design"]) - distribution.loc, distribution


def _from_rows(e: Elimination, full: Arrays, data: Arrays) -> _Parts:
    """Residuals from the rows, in units of sigma; their precisions are known."""
    residual, _ = _residuals(e, full, data)
    sigma, rows = _sigma(e, full, _has_se(e)), data["known"]
    scaled = residual * (rows["precision"] / sigma)
    known = rows["constant"] - rows["log_sigma"] * jnp.log(sigma) - 0.5 * jnp.sum(scaled * residual) / sigma
    gram, couplings = data["border"]
    return known, sigma, data["gram"], _cross(e, scaled, data), (gram, data["curves"].T @ scaled, couplings)


def _from_precisions(e: Elimination, full: Arrays, data: Arrays) -> _Parts:
    """Residuals and precisions from the rows."""
    residual, distribution = _residuals(e, full, data)
    n = residual.shape[0]
    scale = jnp.broadcast_to(distribution.scale, (n,))
    weights = data["design"][e.response.data_key].get("weights", jnp.ones(n))
    precision = weights / scale**2
    scaled = residual * precision
    known = -jnp.sum(weights * jnp.log(scale)) - 0.5 * math.log(2 * math.pi) * jnp.sum(weights) - 0.5 * jnp.sum(scaled * residual)
    weighted = precision[:, None] * data["curves"]
    couplings = (_to_levels(e, b, z[:, None] * weighted.T, data) for b, z in enumerate(data["columns"]))
    border = (data["curves"].T @ weighted, data["curves"].T @ scaled, tuple(couplings) if e.curves else ())
    return known, 1.0, _gram(e, precision, data), _cross(e, scaled, data), border


def _cross(e: Elimination, scaled: Any, data: Arrays) -> tuple[Any, ...]:
    """``Z' scaled`` of every block, (k, levels)."""
    return tuple(_to_levels(e, b, z * scaled, data) for b, z in enumerate(data["columns"]))


def _gram(e: Elimination, precision: Any, data: Arrays) -> dict[tuple[int, int], Any]:
    """``Z_b' diag(precision) Z_c`` of every level of ``b``, (k_b, k_c, levels)."""
    columns = data["columns"]
    pairs = [(b, c) for b in range(len(columns)) for c in range(b, len(columns))]
    return {(b, c): _to_levels(e, b, (columns[b] * precision)[:, None] * columns[c], data) for b, c in pairs}


def _to_levels(e: Elimination, b: int, values: Any, data: Arrays) -> Any:
    """Sums over the rows of each level of block ``b``, by way of the innermost block's."""
    inner = sum_by(values, data["level"], e.blocks[0].grouping.n_levels)
    return inner if b == 0 else sum_by(inner, data["parents"][0, b], e.blocks[b].grouping.n_levels)


# --------------------------------------------------------------------------- effects given the rest


def _joined(e: Elimination, q: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Coordinates of the whole model from those of the rest and the standardised effects."""
    out = np.empty((*q.shape[:-1], e.model.layout.dim))
    sizes = [*((b.standardised, size_of(b)) for b in e.blocks), *e.latent]
    effects = {name: z[..., end - n : end] for (name, n), end in zip(sizes, np.cumsum([n for _, n in sizes]), strict=True)}
    at = used = 0
    for p in e.model.params:
        n = unconstrained_size(p)
        out[..., at : at + n] = effects[p.name] if p.name in effects else q[..., used : used + n]
        used += 0 if p.name in effects else n
        at += n
    return out


def _completion(e: Elimination) -> Callable[..., tuple[Any, Any]]:
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


def _completion_program(e: Elimination, size: int, dim: int, data: Any) -> Future[Compiled]:
    """The compiled draw of the effects for ``size`` draws at once."""
    rows = (jax.ShapeDtypeStruct((size, *rest), kind) for rest, kind in (((dim,), np.float64), ((), np.uint64), ((), np.int64)))
    return compiled(("completion", e), lambda: _completion(e), (*rows, data), lambda found: found, short=True)
