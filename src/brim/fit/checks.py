"""Warnings about a fit whose draws deserve a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brim.errors import warn
from brim.infer.approximate.psis import USABLE
from brim.infer.diagnostics import check
from brim.infer.nuts.control import Control

if TYPE_CHECKING:
    from brim.fit.record import FitRecord

__all__ = ["parameters_checked", "verdict", "warn_about"]


def parameters_checked(fit: FitRecord) -> dict[str, np.ndarray]:
    """Draws ``(chains, draws)`` of what convergence is looked at for, by the names in ``fit.variables()``.

    That is everything but the effects of single levels and other latent values, which are many and follow from the rest.
    """
    out: dict[str, np.ndarray] = {}
    for q in (q for q in fit.draws.reported if not q.kind.inner):
        values = fit.draws.array(q)
        columns = np.moveaxis(values.reshape(*values.shape[:2], -1), 2, 0)
        out |= {str(name): column for name, column in zip(np.ravel(q.names), columns, strict=True)}
    return out


def verdict(fit: FitRecord) -> tuple[str, ...]:
    """What is wrong with the draws of a fit and what to do about it, one sentence or two each; empty where all is well.

    Looked at are divergent transitions, trajectories cut at the largest tree depth, E-BFMI, and R-hat and effective sample sizes of the
    parameters that the summary shows, by their names in ``fit.variables()``. One column of draws without statistics of a sampler, as
    ``with_draws`` takes it, has no chains to compare.
    """
    if not fit.stats and fit.draws.chains == 1:
        return ()
    control = Control.read(dict(fit.settings.control))
    found = check(fit.stats, parameters_checked(fit), max_treedepth=control.max_treedepth, adapt_delta=control.adapt_delta)
    return tuple(str(one) for one in found)


def warn_about(fit: FitRecord) -> None:
    """Raise a ``BrimWarning`` for each thing that went wrong, with what to do about it: ``verdict``, and the Pareto k-hat."""
    for said in verdict(fit):
        warn(f"{said} brim.check(fit) looks at everything.")
    if fit.info.get("khat", 0.0) > USABLE:
        warn(f"{fit.info['verdict']}: means and intervals may be far off. Use algorithm='sampling'; init=fit starts it from here")
