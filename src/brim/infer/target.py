"""What an engine knows of a model (``Target``) and what it gives back (``Draws``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from brim.errors import BrimError
from brim.infer.info import Info

if TYPE_CHECKING:
    from brim.linalg.arrays import Array, Float, Shaped

__all__ = ["Draws", "NowhereError", "Target", "UnsuitedError"]

PATIENT = 10  # starting points of the full spread
NEARER = 0.8  # of the spread, at each further try


class NowhereError(BrimError):
    """No starting point has a finite log density."""


class UnsuitedError(BrimError):
    """The algorithm does not suit the model; another may."""


@dataclass(frozen=True)
class Target:
    """A log density on R^dim.

    Attributes
    ----------
    dim
        Number of unconstrained coordinates.
    log_prob
        ``(q (dim,), data) -> scalar``: log density, normalisation irrelevant; pure, jittable, differentiable, float64.
        Two targets of the same model shape share the same function object, so that a compiled program is reused.
    data
        Pytree of arrays handed to ``log_prob`` and ``constrain`` as a run-time argument (never closed over).
    init
        ``rng -> q (dim,)``: an over-dispersed starting point (NumPy generator in, NumPy array out).
    constrain
        ``(q (dim,), data) -> dict of arrays``: the model's parameters (for the caller; engines do not need it).
    head
        How many of the first coordinates may be strongly correlated while the others are nearly independent: for metrics that are dense
        in these alone.
    log_jacobian
        ``(q (dim,), data) -> scalar``: the log absolute Jacobian determinant of ``constrain`` that ``log_prob`` includes; what seeks a
        mode leaves it out, so that the mode is one of the parameters. ``None``: there is none, coordinates are parameters.
    nonlinear
        Coordinates that are no parameters themselves (logarithms of scales, transformed correlations), whose natural unit is 1.
    center
        The middle of ``init``, which starting points draw nearer to while no density is found: see ``first``.
    """

    dim: int
    log_prob: Callable[[Float[Array, " dim"], Any], Float[Array, ""]]
    data: Any
    init: Callable[[np.random.Generator], Float[np.ndarray, " dim"]]
    constrain: Callable[[Float[Array, " dim"], Any], dict[str, Array]]
    head: int = 0
    log_jacobian: Callable[[Float[Array, " dim"], Any], Float[Array, ""]] | None = None
    nonlinear: tuple[int, ...] = ()
    center: Float[np.ndarray, " dim"] | None = None

    def first(self, rng: np.random.Generator, attempt: int) -> np.ndarray:
        """A starting point, for the ``attempt``-th time (from 0): after some, nearer and nearer to the center."""
        q = np.asarray(self.init(rng), np.float64)
        if self.center is None or attempt < PATIENT:
            return q
        return np.asarray(self.center + (q - self.center) * NEARER ** (attempt - PATIENT + 1))


@dataclass(frozen=True)
class Draws:
    """What an engine gives back.

    Attributes
    ----------
    q
        Unconstrained draws after warm-up, ``(chains, draws, dim)`` float64.
    stats
        Arrays ``(chains, draws)``: ``lp`` (log density of ``q``), ``acceptance_rate``, ``n_steps`` (leapfrog steps), ``diverging``,
        ``tree_depth``, ``step_size``, ``energy`` (Hamiltonian of the draw); other engines give those of them that they have.
    info
        What the engine tells of the run.
    """

    q: Float[np.ndarray, "chains draws dim"]
    stats: dict[str, Shaped[np.ndarray, "chains draws"]]
    info: Info = field(default_factory=Info)

    def telling(self, **more: Unpack[Info]) -> Draws:
        """The draws with more told of them."""
        return replace(self, info={**self.info, **more})
