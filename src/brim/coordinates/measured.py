"""Noise-free values of ``me()`` in coordinates that follow what was measured, and the responses where these are normal.

Given all other parameters, the values ``X_j = m + T z_j`` behind measurements ``x_j ~ N(X_j, s_j^2)`` are normal, and so they are given
normal responses whose mean is linear in them. Sampled is ``e`` with ``z = E[z | ...] + var(z | ...)^(1/2) e``; the Jacobian makes this
exact whatever else the model holds. Where a normal linear model is all there is, ``e`` is standard normal and independent of the rest.
Of several groupings each follows given those before it, the ones behind it being integrated out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.session import float64
from brim.coordinates.integrated.which import is_normal
from brim.coordinates.quadratic.nested_levels import Chain, log_normal
from brim.families.additions import scale_of
from brim.frames.frame import Frame
from brim.linalg import SMALL, AbstractBatch, batch, sparse, sum_by
from brim.model.model import Model, ResponseModel
from brim.parameters.param import unconstrained_size
from brim.terms.latent import AbstractLatent, Incidence, Part, spread

__all__ = ["Around", "Measured", "Values", "find", "values_of"]

Arrays = Mapping[str, Any]
SWEEPS = 3  # over the vectors around, each fitted given the others
_ADDITIONS = ("se", "subset", "index")  # with these the likelihood of a row stays that of a normal law of known form


class Values(NamedTuple):
    """What is known of the values of one grouping.

    Attributes
    ----------
    at, x, sd
        Numbers of the values that were measured (n,), and the measurements and their errors, (variables, n).
    rows
        The number of the value of each row, by response.
    """

    at: Any
    x: Any
    sd: Any
    rows: dict[int, Any]


class Around(NamedTuple):
    """Where a part of another latent vector stands in the mean of a response, and the design that the vector's loadings read."""

    incidence: Incidence
    design: Any


@dataclass(frozen=True)
class Measured:
    """Which values follow the measurements, and which responses: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model of the coordinates that they stand among.
    vectors
        The noise-free values, by grouping.
    informed
        For each, numbers of the responses that are normal and linear in them.
    around
        Parts of other latent vectors that ``model`` lacks, with the response in whose mean they stand: they widen its spread.
    """

    model: Model
    vectors: tuple[AbstractLatent, ...]
    informed: tuple[tuple[int, ...], ...]
    around: tuple[tuple[int, Part], ...] = ()

    def position(self, v: AbstractLatent) -> slice:
        """Where ``z`` stands among the coordinates."""
        start = 0
        for p in self.model.params:
            size = unconstrained_size(p)
            if p.name == v.standardised:
                return slice(start, start + size)
            start += size
        raise KeyError(v.standardised)

    def follow(self, q: Any, data: Arrays) -> tuple[Any, Any]:
        """Coordinates with ``z`` in place of ``e``, and ``log |dz / de|``."""
        total: Any = 0.0
        for i in range(len(self.vectors)):
            q, log_scale = self._follow(i, q, data)
            total = total + log_scale
        return q, total

    def _follow(self, i: int, q: Any, data: Arrays) -> tuple[Any, Any]:
        """``z`` of vector ``i``: ``G = 1 / s^2 + sum c c' / var`` and ``u = (x - m) / s^2 + sum c (y - eta) / var`` over its rows."""
        v, values = self.vectors[i], data["measured"]["values"][i]
        later = self.vectors[i + 1 :]
        params, _ = self.model.layout.constrain(q, data["inner"]["fixed"])
        full = self.model.transform({**params, **{w.standardised: jnp.zeros(w.shape) for w in (v, *later)}}, data["inner"]["design"])
        gram, cross = _from_measurements(v, full, values)
        low = sparse(v.loadings(full, {}).within, v.cells, v.shape[0] <= SMALL)
        known = _given(low, gram, cross, v.shape[0] <= SMALL)
        for r in self.informed[i]:
            more, score = self._from_response(r, v, later, full, known, values.rows[r], data)
            gram, cross = gram + more, cross + score
        e = q[self.position(v)].reshape(v.shape)
        (z,), log_density = Chain((v.cells,), (v.loadings(full, {}).within,), {(0, 0): gram}, (cross,), {}, None).draw((e,))
        return q.at[self.position(v)].set(jnp.ravel(z)), log_normal(e) - log_density

    def _from_response(
        self, at: int, v: AbstractLatent, later: tuple[AbstractLatent, ...], full: Arrays, known: _Given, level: Any, data: Arrays
    ) -> tuple[Any, Any]:
        """Sums over rows of ``c c' / var`` and ``c (y - eta - r) / var``: ``eta`` at ``X = m``, ``c`` its slope in each variable.

        ``r`` is what other latent vectors add, at its mean given ``y`` and the measurements; ``var`` that of all else in the row.
        """
        r, design, (k, n) = self.model.responses[at], data["inner"]["design"], v.shape
        rows = design[r.data_key]
        here, c = _slopes(r, v, full, design)
        means = _at_means(v, full)
        variance = jnp.square(scale_of(r.dpars({**full, **means}, design), rows)) + jnp.zeros_like(here)
        for w in later:
            variance = variance + jnp.sum(jnp.square(w.loadings(full, {}).within.T @ _slopes(r, w, {**full, **means}, design)[1]), axis=0)
        left = rows["y"] - here
        around = [(p, a) for (i, p), a in zip(self.around, data["measured"]["around"], strict=True) if i == at]
        if around:
            unknown = jnp.sum(c * jnp.einsum("abr,br->ar", known.covariance[:, :, level], c), axis=0)
            added, more = _of_others(around, left - jnp.sum(c * known.mean[:, level], axis=0), variance + unknown, full)
            left, variance = left - added, variance + more
        products = jnp.stack([c[a] * c[b] / variance for a in range(k) for b in range(k)])
        return sum_by(products, level, n).reshape(k, k, -1), sum_by(c * left / variance, level, n)


class _Given(NamedTuple):
    """Mean (k, levels) and covariance (k, k, levels) of effects given some of the data."""

    mean: Any
    covariance: Any


def _given(low: AbstractBatch, gram: Any, cross: Any, small: bool) -> _Given:
    """``T (I + T' G T)^-1 T'`` of each level, and the same times ``u``."""
    inverse, _ = (low.t @ (batch(gram, small) @ low)).plus_identity().inverse()
    covariance = low @ inverse @ low.t
    return _Given((covariance @ batch(cross[:, None], small)).array()[:, 0], covariance.array())


def _of_others(around: list[tuple[Part, Around]], left: Any, variance: Any, full: Arrays) -> tuple[Any, Any]:
    """What other vectors add to each row, at its mean given the residuals ``left`` of these variances; and what is left to variance.

    Vectors whose rows have one level each are fitted in turn: then ``z`` has its exact mean, and the variance of all but a direction a
    level. Of others nothing is fitted, all is variance.
    """
    fitted = [(p, a, _loadings(p, a, full)) for p, a in around if a.incidence.level is not None and a.incidence.level.ndim == 1]
    wide = variance + sum((_variance(p, a, full) for p, a in around if not any(a is b for _, b, _ in fitted)), jnp.zeros(()))
    added = [jnp.zeros_like(left) for _ in fitted]
    for _ in range(1 if len(fitted) == 1 else SWEEPS):
        for i, (p, a, low) in enumerate(fitted):
            level, z = a.incidence
            n, k = a.design["by"].shape[0], len(z)
            rest = left - sum((x for j, x in enumerate(added) if j != i), jnp.zeros(()))
            products = jnp.stack([z[x] * z[y] / wide for x in range(k) for y in range(k)])
            found = _given(low, sum_by(products, level, n).reshape(k, k, n), sum_by(z * rest / wide, level, n), p.vector.shape[0] <= SMALL)
            added[i] = jnp.sum(z * found.mean[:, level], axis=0)
    return sum(added, jnp.zeros(())), wide - variance


def _loadings(part: Part, around: Around, full: Arrays) -> AbstractBatch:
    """Those of the part's coefficients."""
    within = part.vector.loadings(full, around.design).within[part.start : part.stop]
    cells = tuple((i - part.start, j) for i, j in part.vector.cells if part.start <= i < part.stop)
    return sparse(within, cells, part.vector.shape[0] <= SMALL)


def _from_measurements(v: AbstractLatent, full: Arrays, values: Values) -> tuple[Any, Any]:
    """``1 / s^2`` and ``(x - m) / s^2`` of every value, (k, k, values) and (k, values)."""
    (k, n), precision = v.shape, 1.0 / jnp.square(values.sd)
    gram = jnp.zeros((k, k, n)).at[jnp.arange(k)[:, None], jnp.arange(k)[:, None], values.at].set(precision)
    return gram, jnp.zeros((k, n)).at[:, values.at].set(precision * (values.x - v.mean(full)[:, None]))


def _at_means(v: AbstractLatent, full: Arrays) -> dict[str, Any]:
    return {name: jnp.broadcast_to(m, (v.shape[1],)) for name, m in zip(v.values, v.mean(full), strict=True)}


def _slopes(r: ResponseModel, v: AbstractLatent, full: Arrays, design: Arrays) -> tuple[Any, Any]:
    """The mean's predictor at ``X = m``, and its slope in each variable, (k, rows)."""
    means = _at_means(v, full)

    def eta(name: str, x: Any) -> Any:
        return r.etas({**full, **means, name: x}, design)["mu"]

    moves = [jax.jvp(lambda x, name=name: eta(name, x), (means[name],), (jnp.ones(v.shape[1]),)) for name in v.values]
    return moves[-1][0], jnp.stack([slope for _, slope in moves])


def _variance(part: Part, around: Around, full: Arrays) -> Any:
    """``|T' c|^2`` of each row, ``c`` the columns of the part."""
    loadings = part.vector.loadings(full, around.design)
    if part.vector.curve is not None:
        low = spread(loadings, part.vector.shape)
        return jnp.sum(jnp.square(low[:, None] * around.incidence.columns if low.ndim == 1 else low.T @ around.incidence.columns), axis=0)
    low = loadings.within if loadings.within.ndim == 2 else loadings.within.mean(-1)
    turned = jnp.tensordot(low[part.start : part.stop].T, around.incidence.columns, 1)
    return jnp.sum(jnp.square(turned), axis=tuple(range(turned.ndim - 1)))


# --------------------------------------------------------------------------- which


def find(model: Model, frame: Frame, around: tuple[tuple[int, Part], ...] = ()) -> Measured | None:
    """The noise-free values of a model (what is integrated out or adapted being left out of it); ``None`` without any."""
    vectors = tuple(_noise_free(model))
    if not vectors:
        return None
    data = model.data(frame)
    every = range(len(model.responses)) if model.joint is None else ()
    informed = tuple(tuple(i for i in every if _is_linear(model.responses[i], model, v, data)) for v in vectors)
    return Measured(model, vectors, informed, around)


def _noise_free(model: Model) -> Iterator[AbstractLatent]:
    return (part.vector for t in model.shared if (part := t.latent) is not None and part.vector.values)


def values_of(m: Measured, frame: Frame, design: Arrays) -> tuple[Values, ...]:
    """What is known of the values, from the training rows and their design."""
    out = []
    for v, informed in zip(m.vectors, m.informed, strict=True):
        rows = {i: v.codes(m.model.responses[i].response.kept(frame)) for i in informed}
        out.append(Values(**design[v.key], rows=rows))
    return tuple(out)


def _is_linear(r: ResponseModel, model: Model, v: AbstractLatent, data: Arrays) -> bool:
    """Whether a response is normal, its mean linear in the noise-free values, and its spread free of them."""
    if not is_normal(r) or r.residual is not None or r.imputed or any(call.fn not in _ADDITIONS for call in r.response.additions):
        return False
    rng = np.random.default_rng(1)
    with float64():
        q = model.layout.center() + 0.1 * rng.normal(size=model.layout.dim)
        full = model.transform(model.layout.constrain(q, data["fixed"])[0], data["design"])
        x, step = rng.normal(size=(2, *v.shape))

        def at(k: float) -> dict[str, Any]:
            return r.dpars({**full, **dict(zip(v.values, x + k * step, strict=True))}, data["design"])

        low, middle, high = at(0.0), at(1.0), at(2.0)
        bend = np.abs(np.asarray(low["mu"].eta + high["mu"].eta - 2.0 * middle["mu"].eta)).max()
        scale = np.abs(np.asarray(high["mu"].eta)).max() + 1.0
        return bool(bend < 1e-9 * scale and all(np.all(low[name].eta == high[name].eta) for name in low if name != "mu"))
