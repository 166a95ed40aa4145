"""What an engine samples of a model with transported effects, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Self, final

import jax
import numpy as np
from jax import lax

from brim.frame import Frame
from brim.infer.adaptation import adapted
from brim.infer.base import Draws, Target
from brim.infer.compiled import Compiled, compiled
from brim.infer.control import Control
from brim.infer.coordinates import AbstractCoordinates
from brim.infer.marginal import Marginal
from brim.infer.transport import Transport, effects, find_transport, log_transported_function
from brim.infer.warmup import Start
from brim.infer.working import Rows, no_working, rows_of
from brim.model import Model, log_jacobian_function

__all__ = ["Transported", "transported"]

Arrays = Mapping[str, Any]
_CHUNK = 2**22  # numbers at once


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
    def advised(self) -> dict[str, Any]:
        # trees are short: a little more caution costs nothing, and chains leave standard deviations near 0 again
        return {"metric": "split", "adapt_delta": 0.9}

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

    def run(self, algorithm: str, *, start: Start | None, **arguments: Any) -> tuple[AbstractCoordinates, Draws]:
        from brim.infer.nested import nested_laplace, nested_mode

        if algorithm == "map":
            return nested_mode(self, **arguments)
        if algorithm == "laplace":
            return nested_laplace(self, **arguments)
        return super().run(algorithm, start=start, **arguments)

    def prepare(self, draws: int) -> None:
        self._program(draws)
        if self.marginal is not None:
            self.marginal.prepare(draws)

    def _rows(self, draws: int) -> int:
        """Draws completed at once."""
        return min(draws, max(1, _CHUNK // self.target.dim))

    def _program(self, draws: int) -> Future[Compiled]:
        t = self.transport
        args = (np.empty((self._rows(draws), t.dim)), self.target.data)
        return compiled(("way back", t), lambda: _way_back(t), args, lambda found: found, short=True)

    def complete(self, draws: Draws) -> Draws:
        """Draws of all coordinates of the model; ``lp`` is then the log joint density, as brms' ``lp__``."""
        t = self.transport
        chains, n, dim = draws.q.shape
        flat = draws.q.reshape(-1, dim)
        size = self._rows(len(flat))
        q = np.empty((len(flat), t.model.layout.dim))
        log_scale = np.empty(len(flat))
        with jax.enable_x64(True):
            run = self._program(len(flat)).result().run
            for at in range(0, len(flat), size):
                rows = np.minimum(np.arange(at, at + size), len(flat) - 1)
                kept = slice(at, min(at + size, len(flat)))
                out, log = run(flat[rows], self.target.data)
                q[kept], log_scale[kept] = np.asarray(out)[: kept.stop - at], np.asarray(log)[: kept.stop - at]
        stats = {**draws.stats, "lp": draws.stats["lp"] - log_scale.reshape(chains, n)}
        info = {k: v for k, v in draws.info.items() if k not in ("last_q", "covariance")}
        if self.marginal is None:  # where another fit may start, in coordinates that do not depend on these data
            own = q.reshape(chains, n, -1)
            return replace(draws, q=own, stats=stats, info={**info, "last_q": own[:, -1], "covariance": q.var(0)})
        return self.marginal.complete(replace(draws, q=q.reshape(chains, n, -1), stats=stats, info=info))


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

    log_jacobian = log_jacobian_function(t.rest.layout)
    target = Target(
        t.dim,
        log_transported_function(t),
        {"inner": inner, "working": no_working(t, rows)},
        init,
        constrain,
        head=t.head,
        log_jacobian=lambda q, data: log_jacobian(q[: t.head], data["inner"]),
    )
    return Transported(t, target, marginal, rows)


def _way_back(t: Transport) -> Any:
    """``(q (draws, dim), data) ->`` the model's own coordinates and ``log |d z / d e|`` of each draw."""

    def run(q: Any, data: Arrays) -> tuple[Any, Any]:
        def one(q: Any) -> tuple[Any, Any]:
            theta, normals = t.split(q)
            z, _, log_scale = effects(t, theta, normals, data)
            return t.joined(theta, z), log_scale

        return lax.map(one, q)

    return run
