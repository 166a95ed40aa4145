"""Group effects in coordinates that follow their conditional distribution: the parameterisation is chosen by the data.

A normal approximation of the likelihood around a first estimate (see ``working``) gives the effects an approximate conditional law,
``r | theta ~ N(m(theta), A(theta))``, at any value ``theta`` of all other parameters, at the cost of one pass over the levels. Sampled
are ``theta`` and ``e`` with ``r = m(theta) + A(theta)^(1/2) e``; the Jacobian makes this exact whatever the approximation is worth.
Where a level has little data this is the non-centred parameterisation, where it has much the centred one, and in between what
lies between. In the new coordinates the effects are nearly standard normal and independent of ``theta`` (Kleppe 2019,
"Dynamically rescaled Hamiltonian Monte Carlo", has the idea).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import block_diag

from brim.frame import Frame
from brim.infer.bordered import Bordered
from brim.infer.elimination import Elimination, cells_of, chain_of, linear_columns, reads_rows, size_of, unfit
from brim.infer.gaussian import Chain, sum_by
from brim.infer.marginal import Marginal, log_marginal_function
from brim.linalg import SMALL
from brim.model import Model, log_joint_function
from brim.param import unconstrained_size
from brim.terms.group import GroupBlock

__all__ = ["Transport", "effects", "find_transport", "log_transported_function"]

Arrays = Mapping[str, Any]
MOST_COLUMNS = 50  # linear columns of the predictor for which sums by level are kept
MOST_BORDER = 64  # effects whose joint covariance is factorised at every gradient
MOST_COUPLINGS = 2**17  # numbers that couple them to the chain
FURTHEST = 3.0  # log precision of the rows: how far it follows the other parameters


@dataclass(frozen=True)
class Transport:
    """Which effects are transported, and how: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model whose effects these are; without those that ``exact`` integrates out.
    exact
        What is integrated out exactly (Gaussian models), or ``None``.
    chain
        Blocks transported together, innermost first: every level of one lies within one level of the next, and the law of an inner
        effect is that given the outer ones.
    border
        Blocks of few effects that cross the chain: their joint law with the chain integrated out, before the chain given them.
    singles
        Other blocks, each by its own law given ``theta`` (their dependence on all others is left in).
    linear
        Whether the rest of the mean is linear in few columns, so that sums by level, taken once, stand for the rows.
    """

    model: Model
    exact: Elimination | None
    chain: tuple[GroupBlock, ...]
    border: tuple[GroupBlock, ...]
    singles: tuple[GroupBlock, ...]
    linear: bool

    @property
    def blocks(self) -> tuple[GroupBlock, ...]:
        """All transported blocks, in the order of their coordinates."""
        return (*self.singles, *self.border, *self.chain)

    @property
    def parts(self) -> tuple[range, range, range]:
        """Places of singles, border and chain among ``blocks``."""
        a, b = len(self.singles), len(self.singles) + len(self.border)
        return range(a), range(a, b), range(b, b + len(self.chain))

    @cached_property
    def rest(self) -> Model:
        """The model of all else: ``theta``."""
        return self.model.without(self.blocks)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(coefficients, levels) of each block."""
        return tuple((len(b.coefs), len(b.grouping.levels)) for b in self.blocks)

    @property
    def head(self) -> int:
        """Number of coordinates of ``theta``, which come first."""
        return self.rest.layout.dim

    @property
    def dim(self) -> int:
        return self.head + sum(k * n for k, n in self.shapes)

    def split(self, q: Any) -> tuple[Any, tuple[Any, ...]]:
        """``theta`` and the coordinates ``e`` of each block, (coefficients, levels)."""
        out, at = [], self.head
        for k, n in self.shapes:
            out.append(q[..., at : at + k * n].reshape(*q.shape[:-1], k, n))
            at += k * n
        return q[..., : self.head], tuple(out)

    def joined(self, theta: Any, z: tuple[Any, ...], concatenate: Callable[..., Any] = jnp.concatenate) -> Any:
        """Coordinates of the model from ``theta`` and the standardised effects."""
        effects = dict(zip((b.standardised for b in self.blocks), z, strict=True))
        parts, at = [], 0
        for p in self.model.params:
            n = unconstrained_size(p)
            if p.name in effects:
                parts.append(effects[p.name].reshape(*theta.shape[:-1], n))
            else:
                parts.append(theta[..., at : at + n])
                at += n
        return concatenate(parts, axis=-1)

    def inner(self) -> Callable[[Any, Arrays], Any]:
        """The log density of the model's own coordinates."""
        return log_joint_function(self.model) if self.exact is None else log_marginal_function(self.exact)


def find_transport(model: Model, frame: Frame, marginal: Marginal | None) -> Transport | None:
    """The transport of a model's effects, ``None`` where there are none that it could serve.

    Single-response models whose mean is a sum of terms; effects that are normal, plain, uncorrelated between levels and of the mean.
    """
    r = model.responses[0]
    mu = r.predictor("mu")
    if len(model.responses) > 1 or model.joint is not None or model.prior_only or r.residual is not None or r.imputed:
        return None
    if mu is None or any(t.stage != 0 for t in mu.terms):
        return None
    exact = None if marginal is None else marginal.elimination
    inner = model if exact is None else exact.rest
    able = [b for b in inner.blocks if not unfit(b, inner) and b.grouping.cov is None and b.grouping.n_levels == len(b.grouping.levels)]
    able.sort(key=size_of, reverse=True)
    if not able:
        return None
    rows = r.response.rows(frame)
    seen = frame if rows is None else frame.take(rows)
    chain = chain_of(able[0], able, seen)
    taken = {b.key for b in chain}
    left = [b for b in able if b.key not in taken]
    border = _border(chain, left)
    rest = inner.without((*chain, *left))
    columns = None if reads_rows(rest, frame) else linear_columns(rest, frame)
    linear = columns is not None and columns <= MOST_COLUMNS
    if exact is not None and exact.likelihood == "sums" and not linear:
        return None
    return Transport(inner, exact, chain, border, tuple(b for b in left if b not in border), linear)


def _border(chain: tuple[GroupBlock, ...], left: list[GroupBlock]) -> tuple[GroupBlock, ...]:
    """The smallest of the other blocks, as many as may be joined to the chain."""
    if max(len(b.coefs) for b in chain) > SMALL:
        return ()
    out: list[GroupBlock] = []
    room = min(MOST_BORDER, MOST_COUPLINGS // sum(size_of(b) for b in chain))
    for block in reversed(left):
        room -= size_of(block)
        if room < 0:
            break
        out.append(block)
    return tuple(out)


# --------------------------------------------------------------------------- density


@lru_cache(maxsize=64)
def log_transported_function(t: Transport) -> Callable[[Any, Arrays], Any]:
    """``(q, data) ->`` log density of ``theta`` and ``e``; equal transports share the function, and so the program."""
    inner = t.inner()

    def log_prob(q: Any, data: Arrays) -> Any:
        theta, normals = t.split(q)
        z, _, log_scale = effects(t, theta, normals, data)
        return inner(t.joined(theta, z), data["inner"]) + log_scale

    return log_prob


def effects(t: Transport, theta: Any, normals: tuple[Any, ...], data: Arrays) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """Standardised effects, effects, and ``log |d z / d e|``."""
    fixed, design = data["inner"]["fixed"], data["inner"]["design"]
    full = t.rest.transform(t.rest.layout.constrain(theta, fixed)[0], design)
    work = data["working"]
    scale, moved = _moved(t, theta, full, data)
    loadings = [_loadings(b, full, by) for b, by in zip(t.blocks, work["by"], strict=True)]
    singles, border, chain = t.parts
    drawn: dict[int, Any] = {}
    r: dict[int, Any] = {}
    log_density = jnp.zeros(())
    for i in singles:
        law = Chain((cells_of(t.blocks[i]),), (loadings[i],), {(0, 0): scale * work["gram"][i, i]}, (_cross(t, i, moved, work),), {}, None)
        (drawn[i],), density = law.draw((normals[i],))
        r[i] = _effects(loadings[i], drawn[i])
        log_density = log_density + density
    known = _on_rows(t, r, scale, work)
    crosses = {i: _cross(t, i, moved, work, known) for i in (*border, *chain)}
    grams = {(b, c): scale * work["gram"][chain[b], chain[c]] for b in range(len(chain)) for c in range(b, len(chain))}
    cells = tuple(cells_of(b) for b in t.chain)
    law = Chain(cells, tuple(loadings[i] for i in chain), grams, tuple(crosses[i] for i in chain), work["parents"], None)
    if border:
        z, density = _bordered(t, law, loadings, scale, crosses, normals, work)
    else:
        z, density = law.draw(tuple(normals[i] for i in chain))
    drawn.update(zip((*border, *chain), z, strict=True))
    r.update((i, _effects(loadings[i], drawn[i])) for i in (*border, *chain))
    normal = sum(-0.5 * jnp.sum(e * e) - 0.5 * math.log(2 * math.pi) * e.size for e in normals)
    order = range(len(t.blocks))
    return tuple(drawn[i] for i in order), tuple(r[i] for i in order), normal - log_density - density


def _bordered(
    t: Transport, law: Chain, loadings: list[Any], scale: Any, crosses: Mapping[int, Any], normals: tuple[Any, ...], work: Arrays
) -> tuple[tuple[Any, ...], Any]:
    """Standardised effects of border and chain, and the log density of the draw."""
    _, border, chain = t.parts
    eyes = [jnp.einsum("abj,ji->ajbi", _wide(loadings[i], n), jnp.eye(n)).reshape(k * n, k * n) for i in border for k, n in [t.shapes[i]]]
    bordered = Bordered(
        law,
        block_diag(*eyes),
        scale * work["border_gram"],
        jnp.concatenate([jnp.ravel(crosses[i]) for i in border]),
        tuple(scale * c for c in work["couplings"]),
    )
    (*drawn, z), density = bordered.draw((*(normals[i] for i in chain), jnp.concatenate([jnp.ravel(normals[i]) for i in border])))
    ends = np.cumsum([math.prod(t.shapes[i]) for i in border])[:-1]
    parts = [part.reshape(t.shapes[i]) for part, i in zip(jnp.split(z, ends), border, strict=True)]
    return (*parts, *drawn), density


def _wide(low: Any, n: int) -> Any:
    """Loadings of every level, (k, k, n)."""
    return low if low.ndim == 3 else jnp.broadcast_to(low[:, :, None], (*low.shape, n))


def _loadings(block: GroupBlock, full: Arrays, by: Any) -> Any:
    """``diag(sd) L``: (k, k), or (k, k, levels) with ``gr(by = )``."""
    low = block.loadings(full)
    return jnp.moveaxis(low, 0, -1)[..., by] if low.ndim == 3 else low


def _effects(low: Any, z: Any) -> Any:
    """``T z`` of every level; a zero of ``T`` costs nothing that matters here."""
    k = z.shape[0]
    return jnp.stack([sum(low[i, j] * z[j] for j in range(i + 1)) for i in range(k)])


def _moved(t: Transport, theta: Any, full: Arrays, data: Arrays) -> tuple[Any, Any]:
    """How much more precise all rows are than where the likelihood was expanded, and how the working residuals moved.

    Linear: the factors of the sums, ``(1, scale, scale (expanded - coefficients), other parameters - expanded)``; else, by row, the
    score and the working residual.
    """
    work = data["working"]
    mu = t.rest.responses[0].predictor("mu")
    assert mu is not None
    others = theta[work["at"]] - work["theta"]
    scale = jnp.exp(jnp.clip(jnp.sum(work["growth"] * others), -FURTHEST, FURTHEST))
    if t.linear:
        beta = jnp.concatenate([c.coefficients(full) for c in mu.terms] or [jnp.zeros(0)])
        return scale, jnp.concatenate([jnp.ones(1), scale[None], scale * (work["ref"] - beta), others])
    design = data["inner"]["design"]
    eta = mu.eta(design[t.rest.responses[0].rows_key], full, design)
    return scale, (work["score"] + work["slopes"].T @ others, scale * work["precision"], eta - work["eta"])


def _cross(t: Transport, i: int, moved: Any, work: Arrays, known: Any = None) -> Any:
    """``Z' (working residual)`` of block ``i``, (k, levels); ``known``: what single blocks explain already, by row."""
    if t.linear:
        arrays = work["cross"][i]
        out = jnp.tensordot(moved, arrays, 1) if len(arrays) > 8 else jnp.sum(arrays * moved.reshape(-1, 1, 1), axis=0)
        return out if known is None else out - _by_level(t, i, known, work)
    score, precision, change = moved
    residual = score + precision * (work["own"][i] - change)
    return _by_level(t, i, residual if known is None else residual - known, work)


def _by_level(t: Transport, i: int, values: Any, work: Arrays) -> Any:
    """Sums over rows of ``Z`` times ``values``, (k, levels)."""
    return sum_by(work["columns"][i] * values, work["level"][i], t.shapes[i][1])


def _on_rows(t: Transport, r: Mapping[int, Any], scale: Any, work: Arrays) -> Any:
    """Precision times what the effects of the single blocks add to each row beyond the expansion; ``None`` without such blocks."""
    if not t.singles:
        return None
    total = sum(jnp.sum(work["columns"][i] * r[i][:, work["level"][i]], axis=0) for i in t.parts[0])
    return scale * work["precision"] * (total - work["singles"])
