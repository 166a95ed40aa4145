"""Coordinates that a model is sampled in, chosen by its structure and its data; the posterior is the same in all of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np

from brim.infer.base import Draws, Target
from brim.infer.control import Control
from brim.infer.engines import engine
from brim.infer.program import precompile
from brim.infer.sampling import fresh_seed, sample
from brim.infer.warmup import Start

__all__ = ["AbstractCoordinates", "Own", "sample_in"]


class AbstractCoordinates(ABC):
    """A target, and the way from its draws to draws of all coordinates of the model."""

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

    @abstractmethod
    def prepare(self, draws: int) -> None:
        """Start compiling what ``complete`` runs on this number of draws in all."""

    @abstractmethod
    def complete(self, draws: Draws) -> Draws:
        """Draws of all coordinates of the model; ``lp`` is then their log joint density."""


@final
@dataclass(frozen=True)
class Own(AbstractCoordinates):
    """The model's own coordinates: standardised effects among them."""

    model_target: Target

    @property
    def target(self) -> Target:
        return self.model_target

    @property
    def data(self) -> Any:
        return self.target.data

    @property
    def note(self) -> str:
        return f"{self.target.dim} dimensions sampled"

    def prepare(self, draws: int) -> None:
        """Nothing to compile."""

    def complete(self, draws: Draws) -> Draws:
        return draws


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
