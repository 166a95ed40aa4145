"""What an engine samples of a model with transported effects, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self, final

import jax
import numpy as np
from jax import lax

from brim.frame import Frame
from brim.infer.adaptation import adapted
from brim.infer.base import Draws, Target
from brim.infer.cache import compile_cached
from brim.infer.control import Control
from brim.infer.coordinates import AbstractCoordinates
from brim.infer.marginal import Marginal
from brim.infer.transport import Transport, effects, find_transport, log_transported_function
from brim.infer.warmup import Start
from brim.infer.working import Rows, no_working, rows_of
from brim.model import Model

__all__ = ["Transported", "transported"]

Arrays = Mapping[str, Any]


@final
@dataclass(frozen=True)
class Transported(AbstractCoordinates):
    """A model with transported effects: what an engine samples, and the way back.

    Attributes
    ----------
    transport
        Which effects, and how.
    moved
        The target: the log density of ``theta`` and ``e``.
    marginal
        What is integrated out besides, or ``None``.
    rows
        What expanding the likelihood takes.
    """

    transport: Transport
    moved: Target
    marginal: Marginal | None
    rows: Rows

    @property
    def target(self) -> Target:
        return self.moved

    @property
    def metric(self) -> str:
        return "split"

    @property
    def adaptation(self) -> int:
        return 300

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Self, Start | None]:
        working, start = adapted(self.transport, self.rows, self.target, control, chains, seed)
        return self if working is None else self.with_working(working), start

    @property
    def data(self) -> Any:
        """What ``log_joint`` and the report of the whole model take."""
        return self.target.data["inner"] if self.marginal is None else self.marginal.data

    @property
    def note(self) -> str:
        """One line on the coordinates."""
        names = " and ".join(dict.fromkeys(b.grouping.label for b in self.transport.blocks))
        own = f"{names} effects in coordinates adapted to the data"
        if self.marginal is None:
            return f"{own} ({self.target.dim} dimensions sampled)"
        return f"{self.marginal.named} effects integrated out exactly, {own} ({self.target.dim} dimensions sampled)"

    def with_working(self, working: Arrays) -> Transported:
        """The same with the likelihood expanded elsewhere."""
        return replace(self, moved=replace(self.target, data={**self.target.data, "working": working}))

    def complete(self, draws: Draws) -> Draws:
        """Draws of all coordinates of the model; ``lp`` is then the log joint density, as brms' ``lp__``."""
        t = self.transport
        chains, n, dim = draws.q.shape
        flat = draws.q.reshape(-1, dim)
        size = min(len(flat), max(1, 2**22 // dim))
        q = np.empty((len(flat), t.model.layout.dim))
        log_scale = np.empty(len(flat))
        with jax.enable_x64(True):
            run = _way_back(t, size, self.target.data)
            for at in range(0, len(flat), size):
                rows = np.minimum(np.arange(at, at + size), len(flat) - 1)
                kept = slice(at, min(at + size, len(flat)))
                out, log = run(flat[rows], self.target.data)
                q[kept], log_scale[kept] = np.asarray(out)[: kept.stop - at], np.asarray(log)[: kept.stop - at]
        stats = {**draws.stats, "lp": draws.stats["lp"] - log_scale.reshape(chains, n)}
        out = replace(draws, q=q.reshape(chains, n, -1), stats=stats)
        return out if self.marginal is None else self.marginal.complete(out)


def transported(model: Model, frame: Frame, marginal: Marginal | None, spread: float = 1.0) -> Transported | None:
    """The model with its effects transported, before the likelihood is expanded: non-centred. ``None`` where no effect can be."""
    t = find_transport(model, frame, marginal)
    if t is None:
        return None
    rows = rows_of(t, frame)
    center = np.concatenate([t.rest.layout.center(), np.zeros(t.dim - t.head)])
    inner = t.model.data(frame) if marginal is None else marginal.target.data

    def init(rng: np.random.Generator) -> np.ndarray:
        return center + rng.uniform(-spread, spread, len(center))

    def constrain(q: Any, data: Arrays) -> dict[str, Any]:
        return t.rest.layout.constrain(q[: t.head], data["inner"]["fixed"])[0]

    data = {"inner": inner, "working": no_working(t, rows)}
    return Transported(t, Target(t.dim, log_transported_function(t), data, init, constrain, t.head), marginal, rows)


def _way_back(t: Transport, size: int, data: Any) -> Any:
    leaves, tree = jax.tree.flatten(data)
    return _compiled_way_back(t, size, tree, tuple((np.shape(x), np.result_type(x).str) for x in leaves))


@lru_cache(maxsize=16)
def _compiled_way_back(t: Transport, size: int, tree: Any, shapes: Any) -> Any:
    def run(q: Any, data: Arrays) -> tuple[Any, Any]:
        def one(q: Any) -> tuple[Any, Any]:
            theta, normals = t.split(q)
            z, _, log_scale = effects(t, theta, normals, data)
            return t.joined(theta, z), log_scale

        return lax.map(one, q)

    data = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes])
    return compile_cached(jax.jit(run).lower(jax.ShapeDtypeStruct((size, t.dim), np.float64), data))[0]
