"""Coordinates that a model is sampled in, chosen by its structure and its data; the posterior is the same in all of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np

from brim.frames.frame import Frame
from brim.infer.approximate.laplace import best_start
from brim.infer.engines import engine
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import precompile
from brim.infer.nuts.sampling import fresh_seed, sample
from brim.infer.nuts.warmup import Start
from brim.infer.target import Draws, Target
from brim.model.model import Model, log_jacobian_function, log_joint_function

__all__ = ["AbstractCoordinates", "Block", "Own", "ends", "model_target", "sample_in"]

_NUMBERS = 2**19  # of completed draws held at once: some MB
_MOST = 1000  # draws completed at once
_FEW = 250  # draws that tell variances


@final
@dataclass(frozen=True)
class Block:
    """Some draws in all coordinates of the model.

    Attributes
    ----------
    rows
        Which draws, chains in order.
    q
        The draws ``(size, dim)``: as many in each block, the last one repeated behind the end.
    gain
        What the log density of each gains: the sum is the log joint density of all parameters.
    seconds
        What completing them took.
    """

    rows: slice
    q: np.ndarray
    gain: np.ndarray
    seconds: float

    @property
    def kept(self) -> int:
        """How many draws it has without the repeated ones."""
        return int(self.rows.stop - self.rows.start)


class AbstractCoordinates(ABC):
    """A target, and the way from its draws to draws of all coordinates of the model."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates of the model."""

    @property
    @abstractmethod
    def target(self) -> Target:
        """What an engine samples."""

    @property
    @abstractmethod
    def data(self) -> Any:
        """What the report of the whole model takes besides the draws."""

    @property
    @abstractmethod
    def note(self) -> str:
        """One line on what is sampled, for the summary's footer."""

    @property
    def advised(self) -> dict[str, Any]:
        """Settings of the sampler that suit the target, where the user gives none."""
        return {}

    @property
    def adaptation(self) -> int:
        """Warm-up iterations that chains from ``approach`` need at most."""
        return 150

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Self, Start | None]:
        """The coordinates adapted to the data, and first points and metric of the chains; ``None``: the usual warm-up is the way."""
        return self, None

    def run(self, algorithm: str, *, start: Start | None, **arguments: Any) -> tuple[AbstractCoordinates, Draws]:
        """What an algorithm other than ``sample_in`` gives: the coordinates it worked in, and draws in them."""
        return self, engine(algorithm)(self.target, start=start, **arguments)

    def size(self, draws: int) -> int:
        """How many of that number of draws in all are completed at once."""
        return min(draws, _MOST, max(1, _NUMBERS // self.dim))

    @abstractmethod
    def prepare(self, size: int) -> None:
        """Start compiling what ``whole`` runs on this number of draws at once."""

    @abstractmethod
    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Draws ``q`` of the target, with their flat ``numbers`` in ``draws``, in all coordinates of the model, and each ``Block.gain``."""

    def blocks(self, draws: Draws) -> Iterator[Block]:
        """All draws in all coordinates of the model, which are never in memory together."""
        flat = draws.q.reshape(-1, draws.q.shape[-1])
        size = self.size(len(flat))
        for at in range(0, len(flat), size):
            clock = time.perf_counter()
            numbers = np.minimum(np.arange(at, at + size), len(flat) - 1)
            q, gain = self.whole(flat[numbers], numbers, draws)
            yield Block(slice(at, min(at + size, len(flat))), q, gain, time.perf_counter() - clock)

    def complete(self, draws: Draws) -> Draws:
        """All draws in all coordinates of the model; ``stats["lp"]`` becomes their log joint density, as brms' ``lp__``."""
        shape = draws.q.shape[:2]
        blocks = [(b.q[: b.kept], b.gain[: b.kept]) for b in self.blocks(draws)]
        q, gain = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return replace(draws, q=q.reshape(*shape, -1), stats={**draws.stats, "lp": draws.stats["lp"] + gain.reshape(shape)})

    def told(self, draws: Draws) -> Mapping[str, Any]:
        """What a fit keeps of ``draws.info``."""
        return draws.info


def ends(draws: Draws, size: int, move: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """Where another fit may start, in other coordinates: each chain's last draw there, and variances of draws spread over all.

    ``move: (draws (size, dim), their flat numbers) -> (size, dim)``.
    """
    chains, n, _ = draws.q.shape
    flat = draws.q.reshape(chains * n, -1)
    spread = np.linspace(0, len(flat) - 1, -(-max(_FEW, 2 * chains) // size) * size).astype(int)
    spread[:chains] = n * np.arange(1, chains + 1) - 1  # the last draws
    moved = np.concatenate([move(flat[part], part) for part in spread.reshape(-1, size)])
    return {"last_q": moved[:chains], "covariance": moved.var(0)}


@final
@dataclass(frozen=True)
class Own(AbstractCoordinates):
    """The model's own coordinates: standardised effects among them.

    ``starts`` are points that chains may start from, of which the one with the highest summit nearby is taken for all; if there are none,
    they start at random.
    """

    model_target: Target
    starts: tuple[np.ndarray, ...] = ()

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Self, Start | None]:
        if not self.starts:
            return self, None
        init = best_start(self.target, self.starts, control, seed)
        return (self if init is None else replace(self, model_target=replace(self.target, init=init))), None

    @property
    def target(self) -> Target:
        return self.model_target

    @property
    def data(self) -> Any:
        return self.target.data

    @property
    def note(self) -> str:
        return f"{self.target.dim} dimensions sampled"

    @property
    def dim(self) -> int:
        return self.target.dim

    def prepare(self, size: int) -> None:
        """Nothing to compile."""

    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        return q, np.zeros(len(q))


def model_target(model: Model, frame: Frame, spread: float = 1.0) -> Target:
    """The log density of a model on its unconstrained coordinates, as engines take it."""
    layout = model.layout
    center = layout.center()

    def start(rng: np.random.Generator) -> np.ndarray:
        return center + rng.uniform(-spread, spread, len(center))

    return Target(
        layout.dim,
        log_joint_function(model),
        model.data(frame),
        start,
        lambda q, d: layout.constrain(q, d["fixed"])[0],
        log_jacobian=log_jacobian_function(layout),
        nonlinear=layout.nonlinear(),
    )


def sample_in(
    coordinates: AbstractCoordinates,
    *,
    chains: int,
    warmup: int,
    draws: int,
    thin: int,
    cores: int | None,
    seed: int | None,
    control: Control,
    progress: bool,
    near: bool,
) -> tuple[AbstractCoordinates, Draws]:
    """``sample`` with chains that start from an approximation of the posterior where there is one (and ``near``), with its metric.

    Then at most ``adaptation`` iterations of warm-up are made: see ``FromStart`` for what is learned in them.

    Returns
    -------
    The coordinates that were sampled, and draws in them; ``info`` has ``start`` (``"laplace"`` or ``"random"``) and ``start_seconds``
    besides what ``sample`` gives; ``warmup`` there is the number of iterations made.
    """
    seed = fresh_seed() if seed is None else int(seed)
    clock = time.perf_counter()
    compiling = precompile(coordinates.target, control)
    reused = compiling.done()
    start = None
    if near and warmup:
        coordinates, start = coordinates.approach(control, chains, seed)
    program = compiling.result()
    seconds = time.perf_counter() - clock
    made = warmup if start is None else min(warmup, coordinates.adaptation)
    out = sample(
        coordinates.target,
        chains=chains,
        warmup=made,
        draws=draws,
        thin=thin,
        cores=cores,
        seed=seed,
        control=control,
        start=start,
        progress=progress,
    )
    compiled = 0.0 if reused else program.seconds
    found = {
        "start": "random" if start is None else "laplace",
        "start_seconds": float(np.maximum(seconds - compiled, 0.0)),
        "compile_seconds": compiled,
    }
    return coordinates, replace(out, info={**out.info, **found})
