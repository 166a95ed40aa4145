"""Ordinal families: cumulative, sequential and adjacent-category models of the categories 1..K+1 between K thresholds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brim.distributions.base import Distribution
from brim.distributions.numerics.categories import draw_category, log_cumulative, take_category
from brim.families import support
from brim.families.base import Dpar
from brim.families.constructor import Constructor
from brim.families.dpars import DISC, HU, UNIT_LINKS, mu
from brim.families.kinds import Kind
from brim.families.links import Link
from brim.families.thresholds import ThresholdBinding

__all__ = ["FAMILIES", "AdjacentCategory", "ContinuationRatio", "Cumulative", "HurdleOrdinal", "Ordinal", "StoppingRatio"]

Array = Any
Dpars = Mapping[str, Dpar]
Data = Mapping[str, Any]

_OUTERMOST = 1e100  # its cube is finite


@dataclass(frozen=True)
class Ordinal(Distribution):
    """Categories 1..K+1; ``mean`` are their probabilities, (N, K + 1).

    Attributes
    ----------
    eta
        (N,), or (N, K) with category-specific effects.
    thres
        (K,) or (N, K); ``inf`` where a row has fewer than K.
    disc
        The discrimination, which multiplies ``thres - eta``.
    link
        Its inverse is the distribution function of the latent variable.
    """

    eta: Array
    thres: Array
    disc: Array
    link: Link
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        rows = jnp.shape(self.eta)[:-1] if self._specific else jnp.shape(self.eta)
        return jnp.broadcast_shapes(rows, jnp.shape(self.thres)[:-1], jnp.shape(self.disc))

    @property
    def _specific(self) -> bool:
        """Whether each threshold has its own ``eta``."""
        return jnp.ndim(self.eta) == 2

    @property
    def lower(self) -> Array:
        return 1.0

    @property
    def upper(self) -> Array:
        return jnp.sum(jnp.isfinite(self.thres), axis=-1) + 1.0

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_table())

    def _z(self, rank: int = 0) -> tuple[Array, Array]:
        """``disc * (thres - eta)`` (K, N), 0 where there is no threshold, and where there is one; at least ``rank`` axes after K.

        Thresholds come first, so that what is summed over them is a sum of arrays of rows.
        """
        rows = max(len(self.batch_shape), rank)
        thres = _first(self.thres, rows)
        eta = _first(self.eta, rows) if self._specific else self.eta
        present = jnp.isfinite(thres)
        return jnp.where(present, self.disc * (jnp.where(present, thres, 0.0) - eta), 0.0), present

    @abstractmethod
    def log_table(self) -> Array:
        """Log probabilities of all categories (N, K + 1)."""

    def log_prob(self, y: Array) -> Array:
        return take_category(self.log_table(), y, 1)

    def _log_prob_by_steps(self, y: Array, sign: float) -> Array:
        """One term for each threshold up to the one that stops; ``F(sign * z)`` is for stopping if ``sign = 1``, else for passing."""
        z, present = self._z(jnp.ndim(y))
        k = _first(jnp.arange(1, z.shape[0] + 1), z.ndim - 1)
        outcome = jnp.where(k == y, sign, -sign) > 0.0
        terms = jnp.where((k <= y) & present, self.link.outcome_log(z if sign > 0.0 else -z, outcome), 0.0)
        count = jnp.sum(present, axis=0)
        return jnp.where((y >= 1) & (y <= count + 1), jnp.sum(terms, axis=0), -jnp.inf)

    def log_cdf(self, y: Array) -> Array:
        return log_cumulative(self.log_table(), y, 1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return draw_category(key, self.log_table(), self._shape(sample_shape), 1)


def _first(table: Array, rows: int) -> Array:
    """``table`` (N, K) or (K,) with its last axis first, before so many axes of rows."""
    table = jnp.moveaxis(jnp.asarray(table), -1, 0)
    return jnp.reshape(table, table.shape[:1] + (1,) * (rows + 1 - table.ndim) + table.shape[1:])


@dataclass(frozen=True)
class Cumulative(Ordinal):
    """``P(Y <= k) = F(disc (thres_k - eta))``."""

    def log_prob(self, y: Array) -> Array:
        y, thres = jnp.asarray(y), jnp.asarray(self.thres)
        there = jnp.isfinite(thres)
        count, thres = jnp.sum(there, axis=-1), jnp.where(there, thres, 0.0)
        first, last = y <= 1, y > count
        at, eta = (thres - self.eta, 0.0) if self._specific else (thres, self.eta)
        upper = self.disc * (take_category(at, jnp.where(last, 1, y), 1) - eta)
        lower = self.disc * (take_category(at, jnp.where(first, 2, y) - 1, 1) - eta)
        possible = (y >= 1) & (y <= count + 1)
        if self._specific:  # thresholds that effects of their own have crossed leave no room between them
            possible = possible & (first | last | (lower < upper))
            upper = jnp.where(possible, upper, lower + 1.0)
        # the outermost thresholds are far enough out to take no part
        value = self.link.log_between(jnp.where(first, -_OUTERMOST, lower), jnp.where(last, _OUTERMOST, upper))
        return jnp.where(possible, value, -jnp.inf)

    def log_table(self) -> Array:
        categories = jnp.arange(1, jnp.shape(self.thres)[-1] + 2).reshape((-1,) + (1,) * len(self.batch_shape))
        return jnp.moveaxis(self.log_prob(categories), 0, -1)


@dataclass(frozen=True)
class StoppingRatio(Ordinal):
    """``P(Y = k | Y >= k) = F(disc (thres_k - eta))``."""

    def log_prob(self, y: Array) -> Array:
        return self._log_prob_by_steps(y, 1.0)

    def log_table(self) -> Array:
        z, present = self._z()
        stop = jnp.where(present, self.link.log_inverse(z), 0.0)
        go = jnp.where(present, self.link.log1m_inverse(z), -jnp.inf)
        return _sequential(stop, go)


@dataclass(frozen=True)
class ContinuationRatio(Ordinal):
    """``P(Y > k | Y >= k) = F(disc (eta - thres_k))``."""

    def log_prob(self, y: Array) -> Array:
        return self._log_prob_by_steps(y, -1.0)

    def log_table(self) -> Array:
        z, present = self._z()
        go = jnp.where(present, self.link.log_inverse(-z), -jnp.inf)
        stop = jnp.where(present, self.link.log1m_inverse(-z), 0.0)
        return _sequential(stop, go)


def _sequential(stop: Array, go: Array) -> Array:
    """Log probabilities from those of stopping at and of passing each threshold."""
    passed = jnp.cumsum(go, axis=0)
    none = jnp.zeros_like(passed[:1])
    return jnp.moveaxis(jnp.concatenate([none, passed]) + jnp.concatenate([stop, none]), 0, -1)


@dataclass(frozen=True)
class AdjacentCategory(Ordinal):
    """``P(Y = k + 1 | Y in {k, k + 1}) = F(disc (eta - thres_k))``."""

    def _steps(self, rank: int = 0) -> Array:
        """``log(P(Y = k + 1) / P(Y = k))`` (K, N)."""
        z, present = self._z(rank)
        return jnp.where(present, self.link.logit_inverse(-z), -jnp.inf)

    def log_table(self) -> Array:
        total = jnp.cumsum(self._steps(), axis=0)
        return jnp.moveaxis(jax.nn.log_softmax(jnp.concatenate([jnp.zeros_like(total[:1]), total]), axis=0), 0, -1)

    def log_prob(self, y: Array) -> Array:
        steps = self._steps(jnp.ndim(y))
        y = jnp.asarray(y, steps.dtype)
        return jnp.where((y >= 1) & (y <= steps.shape[0] + 1), _log_adjacent(steps, y), -jnp.inf)


@jax.custom_jvp
def _log_adjacent(steps: Array, y: Array) -> Array:
    """``log P(Y = y)`` from the log odds ``steps`` (K, N) of each category to the one before."""
    # a cumulative sum is a program of its own, so that the compiler computes the steps once, before it
    return _shares(steps, y, jnp.cumsum(steps, axis=0))[0]


def _shares(steps: Array, y: Array, totals: Iterable[Array]) -> tuple[Array, list[Array]]:
    """The log probability of ``y``, and all probabilities over the largest one, from the sums of the steps up to each."""
    logs = [jnp.zeros_like(steps[0]), *totals]
    most = reduce(jnp.maximum, logs)
    parts = [jnp.exp(log - most) for log in logs]
    taken = sum(jnp.where(y > k + 1, step, 0.0) for k, step in enumerate(steps))
    return taken - most - jnp.log(sum(parts)), parts


@_log_adjacent.defjvp
def _log_adjacent_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The slope in each step is whether ``y`` lies beyond it, less the probability of lying there."""
    steps, y = primals
    value, parts = _shares(steps, y, accumulate(steps))
    total, beyond = sum(parts), accumulate(reversed(parts[1:]))
    slopes = [jnp.where(y > k, 1.0, 0.0) - part / total for k, part in zip(range(len(steps), 0, -1), beyond, strict=True)]
    return value, jnp.sum(jnp.stack(slopes[::-1]) * tangents[0], axis=0)


@dataclass(frozen=True)
class HurdleOrdinal(Distribution):
    """Category 0 with probability ``hurdle``, else one of an ordinal law; ``mean`` are the probabilities of 0..K+1."""

    ordinal: Ordinal
    hurdle: Dpar
    discrete: ClassVar[bool] = True

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.ordinal.batch_shape, jnp.shape(self.hurdle.eta))

    @property
    def upper(self) -> Array:
        return self.ordinal.upper

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_table())

    def log_table(self) -> Array:
        """Log probabilities of all categories (N, K + 2)."""
        rest = self.ordinal.log_table() + jnp.asarray(self.hurdle.log1m)[..., None]
        none = jnp.broadcast_to(jnp.asarray(self.hurdle.log)[..., None], (*rest.shape[:-1], 1))
        return jnp.concatenate([none, rest], axis=-1)

    def log_prob(self, y: Array) -> Array:
        none = jnp.equal(y, 0)
        return jnp.where(none, self.hurdle.log, self.hurdle.log1m + self.ordinal.log_prob(jnp.where(none, 1, y)))

    def log_cdf(self, y: Array) -> Array:
        return log_cumulative(self.log_table(), y, 0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return draw_category(key, self.log_table(), self._shape(sample_shape), 0)


@dataclass(frozen=True)
class _Law:
    """``dpars -> Distribution`` of one ordinal class."""

    law: type[Ordinal]

    def __call__(self, d: Dpars, data: Data) -> Ordinal:
        disc = d["disc"].value if "disc" in d else jnp.ones(())
        return self.law(d["mu"].eta, d["thres"].value, disc, d["mu"].link)


def _hurdle(d: Dpars, data: Data) -> HurdleOrdinal:
    return HurdleOrdinal(_Law(Cumulative)(d, data), d["hu"])


_ADDITIONS = ("weights", "subset", "thres", "index")
_SEQUENTIAL_LINKS = tuple(name for name in UNIT_LINKS if name != "softit")


def _constructor(name: str, summary: str, law: type[Ordinal], links: tuple[str, ...], ordered: bool = False) -> Constructor:
    return Constructor(
        name=name,
        summary=summary,
        dpars=(mu(links), DISC),
        distribution=_Law(law),
        support=support.ordinal(1),
        kind=Kind.ORDINAL,
        additions=(*_ADDITIONS, "ocs" if ordered else "cs"),
        options={"threshold": "flexible"},
        intercepts=False,
        binding=ThresholdBinding(ordered),
    )


FAMILIES = (
    _constructor("cumulative", "Cumulative model of ordered categories: ``P(Y <= k) = F(tau_k - mu)``.", Cumulative, UNIT_LINKS, True),
    _constructor("sratio", "Stopping ratios, ``P(Y = k | Y >= k) = F(tau_k - mu)``.", StoppingRatio, _SEQUENTIAL_LINKS),
    _constructor("cratio", "Continuation ratios, ``P(Y > k | Y >= k) = F(mu - tau_k)``.", ContinuationRatio, _SEQUENTIAL_LINKS),
    _constructor("acat", "Adjacent categories, ``P(Y = k + 1 | k or k + 1) = F(mu - tau_k)``.", AdjacentCategory, UNIT_LINKS),
    Constructor(
        name="hurdle_cumulative",
        summary="Category 0 with probability ``hu``, else a cumulative model of the categories above.",
        dpars=(mu(UNIT_LINKS), HU, DISC),
        distribution=_hurdle,
        support=support.ordinal(0),
        kind=Kind.ORDINAL,
        additions=(*_ADDITIONS, "ocs"),
        options={"threshold": "flexible"},
        intercepts=False,
        binding=ThresholdBinding(ordered=True, extra_category=True),
    ),
)
