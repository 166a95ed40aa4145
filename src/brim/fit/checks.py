"""Warnings about a fit whose draws deserve a look."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from brim.errors import BrimWarning
from brim.infer.approximate.psis import USABLE
from brim.infer.diagnostics import check
from brim.infer.nuts.control import Control
from brim.parameters.param import RANKS

if TYPE_CHECKING:
    from brim.fit.record import FitRecord

__all__ = ["parameters_checked", "warn_about"]

#: What is looked at: everything but the effects of single levels and other latent values, which are many and follow from the rest.
_CHECKED = frozenset(RANKS.values()) - {RANKS[name] for name in ("r", "s", "zgp", "latent")}


def parameters_checked(fit: FitRecord) -> dict[str, np.ndarray]:
    """Draws ``(chains, draws, ...)`` of what convergence is looked at for, by variable."""
    return {q.label: fit.draws.array(q) for q in fit.draws.reported if q.rank in _CHECKED}


def warn_about(fit: FitRecord) -> None:
    """Raise a ``BrimWarning`` for each thing that went wrong, with what to do about it.

    Looked at are the Pareto k-hat of an approximation, divergent transitions, trajectories cut at the largest tree depth, E-BFMI, and
    R-hat and effective sample sizes of the parameters that the summary shows.
    """
    control = Control.read(dict(fit.settings.control))
    for warning in check(fit.stats, parameters_checked(fit), max_treedepth=control.max_treedepth, adapt_delta=control.adapt_delta):
        warnings.warn(BrimWarning(f"{warning} brim.check(fit) looks at everything."), stacklevel=5)
    k = fit.info.get("khat", 0.0)
    if k > USABLE:
        warnings.warn(
            BrimWarning(
                f"{fit.info['verdict']}: means and intervals may be far off. Use algorithm='sampling'; init=fit starts it from here"
            ),
            stacklevel=5,
        )
