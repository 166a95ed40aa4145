"""What the user may set about the sampler, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from brim.errors import BrimError, suggest

__all__ = ["Control"]

_METRICS = ("diag", "dense", "split", "low_rank")
_LIMIT = 20  # a trajectory of 2^20 steps; also the longest the step counter is meant for


@dataclass(frozen=True)
class Control:
    """Settings of the no-U-turn sampler.

    Attributes
    ----------
    adapt_delta
        Average acceptance probability that the step size is adapted to, in (0, 1); raise it towards 1 against divergences. The
        default is what Stan's adaptation gives when asked for 0.8, since it settles above its target.
    max_treedepth
        Largest number of doublings of a trajectory (at most ``2^max_treedepth`` gradients an iteration).
    metric
        Mass matrix: ``"diag"``, ``"dense"``, or ``"low_rank"``: a diagonal and up to 20 directions, for many dimensions with a few strong
        correlations. ``"split"`` is dense in the parameters and diagonal in effects adapted to the data.
    step_size
        First step size; by default found from the acceptance of single steps.
    adapted_effects
        Whether group effects are sampled in coordinates that follow their conditional distribution given the data (between the
        centred and the non-centred parameterisation, level by level); ``False``: non-centred. The posterior is the same.

    Examples
    --------
    >>> Control.read({"adapt_delta": 0.95}).adapt_delta
    0.95
    """

    adapt_delta: float = 0.85
    max_treedepth: int = 10
    metric: str = "diag"
    step_size: float | None = None
    adapted_effects: bool = True

    def __post_init__(self) -> None:
        if not _number(self.adapt_delta) or not 0.0 < self.adapt_delta < 1.0:
            raise BrimError(f"control: adapt_delta must be between 0 and 1, not {self.adapt_delta!r}")
        if not _whole(self.max_treedepth) or not 1 <= self.max_treedepth <= _LIMIT:
            raise BrimError(f"control: max_treedepth must be a whole number from 1 to {_LIMIT}, not {self.max_treedepth!r}")
        if self.metric not in _METRICS:
            raise BrimError(f"control: unknown metric {self.metric!r}", hint=suggest(str(self.metric), _METRICS, "metrics"))
        if self.step_size is not None and not (_number(self.step_size) and self.step_size > 0.0):
            raise BrimError(f"control: step_size must be a positive number, not {self.step_size!r}")

    @classmethod
    def read(cls, options: Mapping[str, Any] | Control | None) -> Control:
        """From the user's ``control=``: a mapping of settings, a ``Control``, or ``None`` for the defaults."""
        if options is None:
            return cls()
        if isinstance(options, Control):
            return options
        if not isinstance(options, Mapping):
            raise BrimError(f"control must be a dict of settings, not {type(options).__name__}", hint="control={'adapt_delta': 0.95}")
        names = [f.name for f in fields(cls)]
        for name in options:
            if name not in names:
                raise BrimError(f"control: unknown setting {name!r}", hint=suggest(str(name), names, "settings"))
        return cls(**options)


def _number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)
