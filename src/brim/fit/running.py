"""How a model is sampled this time: what decides neither the model nor its coordinates, and what a fit does not keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brim.compile.placed import Placed
from brim.infer.nuts.checkpoint import Checkpoint
from brim.infer.nuts.stopping import StopWhen

__all__ = ["Running"]


@dataclass(frozen=True)
class Running:
    """Where chains run, from where, until when, and what is shown of them.

    Attributes
    ----------
    cores
        Chains that run at the same time; by default as many as there are processors.
    init
        Where they start, as the user says it: see ``read_init``.
    progress
        Whether progress is shown.
    stop_when, checkpoint
        When they end early; where they are kept while they run.
    executor
        What runs them in other places, one a call.
    placed
        Devices that all run on, as one program.
    """

    cores: int | None = None
    init: Any = None
    progress: bool = True
    stop_when: StopWhen | None = None
    checkpoint: Checkpoint | None = None
    executor: Any = None
    placed: Placed | None = None

    def only_chains(self) -> list[str]:
        """The arguments, as the user calls them, that approximations have no use for and that are given."""
        given = {"init": self.init, "stop_when": self.stop_when, "checkpoint": self.checkpoint, "executor": self.executor}
        return [name for name, value in {**given, "devices": self.placed}.items() if value is not None]
