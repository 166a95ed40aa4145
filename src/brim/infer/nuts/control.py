"""What the user may set about the sampler, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from brim.arguments import flag, number, one_of, whole
from brim.errors import BrimError, suggest

__all__ = ["Control"]

_PRECISIONS = ("float64", "float32")
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
        Whether group effects, curves and noise-free values follow their conditional distribution given the data (between the
        centred and the non-centred parameterisation, level by level); ``False``: non-centred. The posterior is the same.
    precision
        Of the log density, where chains run as one program (``device=``): ``"float32"`` is faster on most GPUs; its rounding is far below
        the Monte Carlo error. What is computed after the fit is float64.

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
    precision: str = "float64"

    def __post_init__(self) -> None:
        number("control: adapt_delta", self.adapt_delta, above=0, below=1)
        whole("control: max_treedepth", self.max_treedepth, least=1, most=_LIMIT)
        one_of("control: metric", self.metric, _METRICS, "metrics")
        flag("control: adapted_effects", self.adapted_effects)
        one_of("control: precision", self.precision, _PRECISIONS, "precisions")
        if self.step_size is not None:
            number("control: step_size", self.step_size, above=0)

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
