"""Noise-free values of ``me()`` in coordinates that follow what was measured, and the responses where these are normal.

Given all other parameters, the values ``X_j = m + T z_j`` behind measurements ``x_j ~ N(X_j, s_j^2)`` are normal, and so they are given
normal responses whose mean is linear in them. Sampled is ``e`` with ``z = E[z | ...] + var(z | ...)^(1/2) e``; the Jacobian makes this
exact whatever else the model holds. Where a normal linear model is all there is, ``e`` is standard normal and independent of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.compile.compiled import Compiled, compiled
from brim.compile.session import float64
from brim.coordinates.base import AbstractCoordinates, ends
from brim.coordinates.integrated.which import Elimination, is_normal
from brim.coordinates.quadratic.nested_levels import Chain, log_normal, sum_by
from brim.families.additions import scale_of
from brim.frames.frame import Frame
from brim.infer.nuts.control import Control
from brim.infer.nuts.warmup import Start
from brim.infer.target import Draws, Target
from brim.linalg import lower_cells
from brim.model.model import Model, ResponseModel, log_jacobian_function
from brim.parameters.param import unconstrained_size
from brim.terms.base import AbstractNoiseFree
from brim.terms.groups.group import GroupBlock

__all__ = ["Measured", "measured"]

Arrays = Mapping[str, Any]
_ADDITIONS = ("se", "subset", "index")  # with these the likelihood of a row stays that of a normal law of known form


@dataclass(frozen=True)
class Noise:
    """Which values follow the measurements, and which responses: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model of the coordinates that the inner density has.
    term
        The noise-free values.
    informed
        Numbers of the responses that are normal and linear in them.
    blocks
        Group effects that the inner density integrates out.
    """

    model: Model
    term: AbstractNoiseFree
    informed: tuple[int, ...]
    blocks: tuple[GroupBlock, ...]

    @cached_property
    def at(self) -> slice:
        """Where ``z`` stands among the coordinates."""
        start = 0
        for p in self.model.params:
            size = unconstrained_size(p)
            if p.name == self.term.standardised:
                return slice(start, start + size)
            start += size
        raise KeyError(self.term.standardised)

    def standardised(self, q: Any, data: Arrays) -> tuple[Any, Any]:
        """Coordinates with ``z`` in place of ``e``, and ``log |dz / de|``."""
        shape = (len(self.term.values), self.term.size)
        params, _ = self.model.layout.constrain(q, data["inner"]["fixed"])
        full = self.model.transform({**params, self.term.standardised: jnp.zeros(shape)}, data["inner"]["design"])
        mean, low = self.term.law(full)
        gram, cross = self._from_measurements(mean, data)
        for i in self.informed:
            more, score = self._from_response(self.model.responses[i], full, mean, data["rows"][i], data)
            gram, cross = gram + more, cross + score
        cells = lower_cells(shape[0], self.term.has_cor)
        e = q[self.at].reshape(shape)
        (z,), log_density = Chain((cells,), (low,), {(0, 0): gram}, (cross,), {}, None).draw((e,))
        return q.at[self.at].set(jnp.ravel(z)), log_normal(e) - log_density

    def _from_measurements(self, mean: Any, data: Arrays) -> tuple[Any, Any]:
        """``1 / s^2`` and ``(x - m) / s^2`` of every value, (k, k, values) and (k, values)."""
        k, n = len(self.term.values), self.term.size
        at, precision = data["measured"]["at"], 1.0 / jnp.square(data["measured"]["sd"])
        gram = jnp.zeros((k, k, n)).at[jnp.arange(k)[:, None], jnp.arange(k)[:, None], at].set(precision)
        return gram, jnp.zeros((k, n)).at[:, at].set(precision * (data["measured"]["x"] - mean[:, None]))

    def _from_response(self, r: ResponseModel, full: Arrays, mean: Any, level: Any, data: Arrays) -> tuple[Any, Any]:
        """Sums over rows of ``c c' / sigma^2`` and ``c (y - eta) / sigma^2``: ``eta`` at ``X = m``, ``c`` its slope in each variable."""
        design, k = data["inner"]["design"], len(self.term.values)
        rows = design[r.data_key]

        def eta(values: Arrays) -> Any:
            return r.etas({**full, **values}, design)["mu"]

        at = {name: jnp.broadcast_to(mean[v], (self.term.size,)) for v, name in enumerate(self.term.values)}
        slopes = []
        for name in self.term.values:
            here, slope = jax.jvp(lambda x, name=name: eta({**at, name: x}), (at[name],), (jnp.ones(self.term.size),))
            slopes.append(slope)
        variance = jnp.square(scale_of(r.dpars({**full, **at}, design), rows)) + self._of_effects(full, data)
        c = jnp.stack(slopes)
        products = jnp.stack([c[a] * c[b] / variance for a in range(k) for b in range(k)])
        return sum_by(products, level, self.term.size).reshape(k, k, -1), sum_by(c * (rows["y"] - here) / variance, level, self.term.size)

    def _of_effects(self, full: Arrays, data: Arrays) -> Any:
        """Variance of each row by the group effects that the inner density integrates out (on average over ``gr(by = )``)."""
        total = jnp.zeros(())
        for block, z in zip(self.blocks, data["inner"]["columns"] if self.blocks else (), strict=True):
            low = block.loadings(full)
            total = total + jnp.sum(jnp.square((low if low.ndim == 2 else low.mean(0)).T @ z), axis=0)
        return total


@lru_cache(maxsize=64)
def _log_prob(noise: Noise, inner: Callable[[Any, Arrays], Any]) -> Callable[[Any, Arrays], Any]:
    def log_prob(q: Any, data: Arrays) -> Any:
        own, log_scale = noise.standardised(q, data)
        return inner(own, data["inner"]) + log_scale

    return log_prob


@final
@dataclass(frozen=True)
class Measured(AbstractCoordinates):
    """Coordinates of a model whose noise-free values follow the measurements, around others.

    Attributes
    ----------
    noise
        Which values, and how.
    inner
        What is sampled but for these.
    moved
        The target.
    """

    noise: Noise
    inner: AbstractCoordinates
    moved: Target

    @property
    def target(self) -> Target:
        return self.moved

    @property
    def data(self) -> Any:
        return self.inner.data

    @property
    def dim(self) -> int:
        return self.inner.dim

    @property
    def note(self) -> str:
        return f"{self.inner.note}, noise-free values in coordinates adapted to the data"

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Self, Start | None]:
        return self, None

    def prepare(self, size: int) -> None:
        self._program(size)
        self.inner.prepare(size)

    def _program(self, size: int) -> Future[Compiled]:
        args = (np.empty((size, self.moved.dim)), self.moved.data)
        return compiled(("measured", self.noise), lambda: _way_back(self.noise), args, lambda found: found, short=True)

    def _own(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draws in the inner coordinates, and ``log |dz / de|`` of each."""
        with float64():
            own, log_scale = self._program(len(q)).result().run(q, self.moved.data)
        return np.asarray(own), np.asarray(log_scale)

    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        own, log_scale = self._own(q)
        joined, gain = self.inner.whole(own, numbers, draws)
        return joined, gain - log_scale

    def told(self, draws: Draws) -> Mapping[str, Any]:
        """Where another fit may start is told in the inner coordinates."""
        size = self.size(draws.q.shape[0] * draws.q.shape[1])
        return {**self.inner.told(draws), **ends(draws, size, lambda q, _: self._own(q)[0])}


def _way_back(noise: Noise) -> Any:
    def run(q: Any, data: Arrays) -> Any:
        return lax.map(lambda one: noise.standardised(one, data), q)

    return run


def measured(inner: AbstractCoordinates, model: Model, exact: Elimination | None, frame: Frame) -> AbstractCoordinates:
    """``inner`` with noise-free values that follow the measurements; ``inner`` itself where the model has none.

    Parameters
    ----------
    inner
        Coordinates whose density is that of the model without what ``exact`` integrates out.
    """
    model, blocks = (model, ()) if exact is None else (exact.rest, exact.blocks)
    found = [term for t in model.shared if (term := t.noise_free) is not None]
    if len(found) != 1:
        return inner
    (term,), own = found, inner.target
    informed = tuple(i for i, r in enumerate(model.responses) if model.joint is None and _is_linear(r, model, term, own.data))
    noise = Noise(model, term, informed, blocks)
    rows = {i: term.codes(model.responses[i].response.kept(frame)) for i in informed}
    jacobian = log_jacobian_function(model.layout)
    target = replace(
        own,
        log_prob=_log_prob(noise, own.log_prob),
        data={"inner": own.data, "measured": term.design(frame), "rows": rows},
        constrain=lambda q, data: own.constrain(noise.standardised(q, data)[0], data["inner"]),
        log_jacobian=lambda q, data: jacobian(noise.standardised(q, data)[0], data["inner"]),
    )
    return Measured(noise, inner, target)


def _is_linear(r: ResponseModel, model: Model, term: AbstractNoiseFree, data: Arrays) -> bool:
    """Whether a response is normal, its mean linear in the noise-free values, and its spread free of them."""
    if not is_normal(r) or r.residual is not None or r.imputed or any(call.fn not in _ADDITIONS for call in r.response.additions):
        return False
    rng = np.random.default_rng(1)
    with float64():
        q = model.layout.center() + 0.1 * rng.normal(size=model.layout.dim)
        full = model.transform(model.layout.constrain(q, data["fixed"])[0], data["design"])
        x, step = rng.normal(size=(2, len(term.values), term.size))

        def at(k: float) -> dict[str, Any]:
            return r.dpars({**full, **dict(zip(term.values, x + k * step, strict=True))}, data["design"])

        low, middle, high = at(0.0), at(1.0), at(2.0)
        bend = np.abs(np.asarray(low["mu"].eta + high["mu"].eta - 2.0 * middle["mu"].eta)).max()
        scale = np.abs(np.asarray(high["mu"].eta)).max() + 1.0
        return bool(bend < 1e-9 * scale and all(np.all(low[name].eta == high[name].eta) for name in low if name != "mu"))
