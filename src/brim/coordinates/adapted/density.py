"""What an engine samples of a model with transported effects, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
from jax import lax

from brim.compile.compiled import Compiled, compiled
from brim.compile.session import float64
from brim.coordinates.adapted.expansion import Rows, rows_of
from brim.coordinates.adapted.law import effects, log_transported_function
from brim.coordinates.adapted.search import adapted
from brim.coordinates.adapted.sums import no_working
from brim.coordinates.adapted.which import Transport, find_transport
from brim.coordinates.base import AbstractCoordinates, ends
from brim.coordinates.integrated.density import Marginal
from brim.frames.frame import Frame
from brim.infer.nuts.control import Control
from brim.infer.nuts.warmup import Start
from brim.infer.target import Draws, Target
from brim.model.model import Model, log_jacobian_function

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
    def advised(self) -> dict[str, Any]:
        # trees are short: a little more caution costs nothing, and chains leave standard deviations near 0 again;
        # of nonlinear predictors the working model tells only the slopes
        nonlinear = any(p.predictor(self.transport.model).where.nlpar for p in self.transport.places)
        return {"metric": "split", "adapt_delta": 0.95 if nonlinear else 0.9}

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
        return f"{self.marginal.named} integrated out exactly, {own} ({self.target.dim} dimensions sampled)"

    def with_working(self, working: Arrays) -> Transported:
        """The same with the likelihood expanded elsewhere."""
        return replace(self, moved=replace(self.target, data={**self.target.data, "working": working}))

    def run(self, algorithm: str, *, start: Start | None, **arguments: Any) -> tuple[AbstractCoordinates, Draws]:
        from brim.coordinates.adapted.nested import nested_laplace, nested_mode

        if algorithm == "map":
            return nested_mode(self, **arguments)
        if algorithm == "laplace":
            return nested_laplace(self, **arguments)
        return super().run(algorithm, start=start, **arguments)

    @property
    def dim(self) -> int:
        return self.transport.model.layout.dim if self.marginal is None else self.marginal.dim

    def prepare(self, size: int) -> None:
        self._program(size)
        if self.marginal is not None:
            self.marginal.prepare(size)

    def _program(self, size: int) -> Future[Compiled]:
        t = self.transport
        args = (np.empty((size, t.dim)), self.target.data)
        return compiled(("way back", t), lambda: _way_back(t), args, lambda found: found, short=True)

    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        with float64():
            own, log_scale = map(np.asarray, self._program(len(q)).result().run(q, self.target.data))
        if self.marginal is None:
            return own, -log_scale
        joined, gain = self.marginal.whole(own, numbers, draws)
        return joined, gain - log_scale

    def told(self, draws: Draws) -> Mapping[str, Any]:
        """Besides the rest, where another fit may start: in coordinates that do not depend on these data, if nothing is integrated out."""
        info = {k: v for k, v in draws.info.items() if k not in ("last_q", "covariance")}
        if self.marginal is not None:
            return info
        size = self.size(draws.q.shape[0] * draws.q.shape[1])
        return {**info, **ends(draws, size, lambda q, numbers: self.whole(q, numbers, draws)[0])}


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
        nonlinear=t.rest.layout.nonlinear(),
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
