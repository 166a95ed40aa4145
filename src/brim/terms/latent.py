"""What is said once of a latent vector: standard normal numbers ``z`` that predictors are linear in (group effects, curves)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import block_diag

from brim.frames.frame import Frame
from brim.linalg import Cells, lower_cells, sum_by

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float, Int

__all__ = [
    "AbstractCurve",
    "AbstractLatent",
    "Incidence",
    "LatentFacet",
    "Loadings",
    "Part",
    "named",
    "scales_of",
    "spread",
    "spread_together",
]


EFFECTS = " effects"  # behind the name of a grouping factor


class Loadings(NamedTuple):
    """From standard normal ``z`` (k, n) to effects: ``r_j = T_j (z C')_j`` at each level ``j``.

    Attributes
    ----------
    within
        ``T``: (k, k), or (k, k, n) where it differs by level.
    across
        ``C`` (n, n), what correlates the levels; ``None`` where nothing does.
    """

    within: Float[Array, "k k *n"]
    across: Float[Array, "n n"] | None = None


class Incidence(NamedTuple):
    """Which levels the rows belong to, and what the effects multiply there: ``eta_i`` gains ``sum_c columns_ci r_c[level_i]``.

    Attributes
    ----------
    level
        (rows,), or (memberships, rows); ``None``: every row belongs to all levels.
    columns
        (coefficients, rows), or (coefficients, memberships, rows), or (levels, rows).
    """

    level: Int[Array, "*memberships rows"]
    columns: Float[Array, "coefficients *memberships rows"]

    def added(self, r: Float[Array, "coefficients levels"]) -> Float[Array, " rows"]:
        """What effects (coefficients, levels) add to each row."""
        if self.level is None:
            return r[0] @ self.columns
        return (self.columns * r[:, self.level]).reshape(-1, self.columns.shape[-1]).sum(0)

    def sums(self, values: Float[Array, " rows"], n: int) -> Float[Array, "coefficients n"]:
        """Sums over rows of columns times values (rows,), by level: (coefficients, n)."""
        return (self.columns @ values)[None] if self.level is None else sum_by(self.columns * values, self.level, n)

    def known_sums(self, values: Float[np.ndarray, " rows"], n: int) -> Float[np.ndarray, "coefficients n"]:
        """``sums`` of what is known, in NumPy."""
        if self.level is None:
            return (self.columns @ values)[None]
        level = np.ravel(self.level)
        return np.stack([np.bincount(level, np.ravel(z * values), n) for z in self.columns])


class LatentFacet(ABC):
    """A term that adds part of a latent vector, standard normal given the rest."""

    @abstractmethod
    def incidence(self, frame: Frame, codes: Any, known: Mapping[str, Any]) -> Incidence:
        """Where its part of the latent vector stands in these rows.

        ``codes`` are those that the vector found; ``known`` has what earlier terms of the predictor give.
        """

    @abstractmethod
    def without(self, gone: frozenset[str]) -> Self | None:
        """What is left of the term without the latent vectors ``z`` of these names; ``None``: nothing."""


@dataclass(frozen=True)
class Part:
    """The part of a latent vector that a term adds to its predictor.

    Attributes
    ----------
    vector
        The latent vector.
    start, stop
        Which of its coefficients.
    given
        Keys of what the predictor gives the last of these to multiply (special effects).
    term
        The term, where it stands in a predictor.
    """

    vector: AbstractLatent
    start: int
    stop: int
    given: tuple[str, ...] = ()
    term: LatentFacet | None = field(default=None, compare=False, repr=False)

    def incidence(self, frame: Frame, codes: Any, known: Mapping[str, Any]) -> Incidence:
        """Where it stands in these rows, as its term says."""
        assert self.term is not None
        return self.term.incidence(frame, codes, known)

    def without(self, gone: frozenset[str]) -> Any:
        """What is left of its term without the latent vectors ``z`` of these names."""
        assert self.term is not None
        return self.term.without(gone)


class AbstractLatent(ABC):
    """A vector ``z ~ N(0, I)``, (k, n): k coefficients at each of n levels, which predictors are linear in.

    The effects are ``r_j = T_j (z C')_j``, ``T`` and ``C`` functions of other parameters (``loadings``).
    """

    @property
    @abstractmethod
    def key(self) -> str:
        """Unique name in the model; its place in the design."""

    @property
    @abstractmethod
    def standardised(self) -> str:
        """Name of ``z`` among the parameters."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(coefficients, levels)."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What a reader calls it: ``student effects``, ``s(x)``."""

    @property
    @abstractmethod
    def scales(self) -> tuple[str, ...]:
        """Names of the parameters that only the loadings read."""

    @abstractmethod
    def loadings(self, params: Any, design: Any) -> Loadings:
        """``T`` and ``C``; ``params`` are transformed, ``design`` may be that of other rows."""

    @property
    def size(self) -> int:
        """How many numbers ``z`` holds."""
        k, n = self.shape
        return k * n

    @property
    def has_cor(self) -> bool:
        """Whether ``T`` is triangular, else diagonal."""
        return False

    @property
    def cells(self) -> Cells:
        """Where ``T`` is not zero."""
        return lower_cells(self.shape[0], self.has_cor)

    @property
    def tied(self) -> bool:
        """Whether its levels depend on each other: rows belong to several, or their prior correlates them."""
        return False

    @property
    def one_scale(self) -> bool:
        """Whether ``T`` is one number and ``C`` is known."""
        return False

    @property
    def levels_root(self) -> Float[np.ndarray, "n n"] | None:
        """``C``, where it is known and not the identity."""
        return None

    @property
    def unusual(self) -> str:
        """Why ``z`` is not standard normal given the other parameters; empty if it is."""
        return ""

    @property
    def normal(self) -> bool:
        """Whether effects are normal given few parameters (not with a width of each level)."""
        return True

    @property
    def values(self) -> tuple[str, ...]:
        """Keys under which terms read ``m + r``, one a coefficient: values behind measurements. Empty: predictors add the effects."""
        return ()

    def mean(self, params: Any) -> Float[Array, " coefficients"]:
        """``m`` (coefficients,)."""
        return jnp.zeros(self.shape[0])

    @property
    def curve(self) -> AbstractCurve | None:
        """Itself, if it is a curve."""
        return None

    def codes(self, frame: Frame) -> Any:
        """The level of each row, found once for all its parts; ``None`` where there is nothing to find."""
        return None


class AbstractCurve(AbstractLatent):
    """A latent vector of one coefficient whose levels, the functions of a basis, all rows share."""

    @property
    def curve(self) -> AbstractCurve:
        return self

    @property
    def shape(self) -> tuple[int, int]:
        return 1, self.width

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of functions of the basis."""

    @property
    def tied(self) -> bool:
        return True

    @property
    def at_points(self) -> bool:
        """Whether rows know the number of their point alone: ``basis`` holds many times what the rows do."""
        return False

    @abstractmethod
    def basis(self, design: Any) -> Float[Array, "rows width"]:
        """The functions at each row, (rows, width)."""


def scales_of(key: str) -> str:
    """Where the scales of the coefficients of this key are among the transformed parameters, if these are scales times standard normal."""
    return f"scale:{key}"


def spread(loadings: Loadings, shape: tuple[int, int]) -> Float[Array, " kn *kn"]:
    """The map from all of ``z`` to all effects, levels within coefficients: (k n, k n), or its diagonal (k n,) where it is one."""
    (k, n), (within, across) = shape, loadings
    if k == 1 and across is None:
        return jnp.broadcast_to(within.reshape(-1), (n,))
    wide = within if within.ndim == 3 else jnp.broadcast_to(within[:, :, None], (k, k, n))
    return jnp.einsum("abj,ji->ajbi", wide, jnp.eye(n) if across is None else across).reshape(k * n, k * n)


def spread_together(vectors: Iterable[tuple[Loadings, tuple[int, int]]]) -> Any:
    """The same of several vectors, given with their shapes, one behind the other: a diagonal where each has one."""
    parts = [spread(loadings, shape) for loadings, shape in vectors]
    return jnp.concatenate(parts) if all(p.ndim == 1 for p in parts) else block_diag(*(p if p.ndim == 2 else jnp.diag(p) for p in parts))


def named(latents: Iterable[AbstractLatent]) -> str:
    """What a reader calls several of them together: ``id and item effects and s(x)``."""
    labels = list(dict.fromkeys(v.label for v in latents))
    groups = [label.removesuffix(EFFECTS) for label in labels if label.endswith(EFFECTS)]
    others = [label for label in labels if not label.endswith(EFFECTS)]
    return " and ".join([*([" and ".join(groups) + EFFECTS] if groups else []), *others])
