"""When sampling may end before all iterations are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brim.arguments import named, number
from brim.errors import BrimError
from brim.infer.diagnostics import ess_bulk, ess_tail, rhat

__all__ = ["StopWhen", "first_look", "next_look", "stop_when"]

_LOOK = 1000  # draws in all at the first look: as many as are completed at once


@dataclass(frozen=True)
class StopWhen:
    """What is good enough; made by ``stop_when``."""

    ess: float | None = None
    rhat: float | None = None
    seconds: float | None = None

    def __repr__(self) -> str:
        given = {"ess": self.ess, "rhat": self.rhat, "seconds": self.seconds}
        return f"stop_when({', '.join(f'{name}={value:g}' for name, value in given.items() if value is not None)})"

    @property
    def looks(self) -> bool:
        """Whether draws are looked at."""
        return self.ess is not None or self.rhat is not None

    def reached(self, draws: np.ndarray) -> bool:
        """Whether draws ``(chains, draws, parameters)`` of all parameters are good enough."""
        sizes = np.fmin(ess_bulk(draws), ess_tail(draws))
        large = self.ess is None or not bool(np.any(sizes < self.ess))
        return large and (self.rhat is None or not bool(np.any(rhat(draws) > self.rhat)))


@named
def stop_when(ess: float | None = None, rhat: float | None = None, seconds: float | None = None) -> StopWhen:
    """Sample until it is good enough and no longer: ``brm(..., iter=20000, stop_when=stop_when(ess=1000, rhat=1.01))``.

    ``iter`` stays the most that is drawn. ``ess`` and ``rhat`` are looked at after 1000 draws in all and each time there are half as many
    more, for the parameters that convergence warnings look at (bulk and tail effective sample size, rank-normalised split R-hat); the draws
    that are kept do not depend on the machine's speed. With ``seconds`` (of sampling, warm-up included) they do.

    Parameters
    ----------
    ess
        The least effective sample size.
    rhat
        The largest R-hat.
    seconds
        The longest time; whatever is reached first of it and the other two together ends the sampling.

    Examples
    --------
    >>> stop_when(ess=1000, rhat=1.01)
    stop_when(ess=1000, rhat=1.01)
    """
    if ess is None and rhat is None and seconds is None:
        raise BrimError("stop_when() says nothing", hint="give ess=1000, rhat=1.01 or seconds=600")
    return StopWhen(
        None if ess is None else number("ess", ess, above=0),
        None if rhat is None else number("rhat", rhat, above=1),
        None if seconds is None else number("seconds", seconds, above=0),
    )


def first_look(chains: int) -> int:
    """Draws a chain at the first look."""
    return math.ceil(_LOOK / chains)


def next_look(draws: int) -> int:
    """Draws a chain at the look after one."""
    return draws + max(draws // 2, 1)


#: ``(q (chains, draws, dim)) -> (chains, draws, parameters)``: what is looked at.
Measure = Callable[[np.ndarray], np.ndarray]
