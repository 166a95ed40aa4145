"""``ps_check``: the survival that a joint model predicts beside the one that was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import named
from brim.errors import BrimError
from brim.rstanarm.joint.plots import step_curve
from brim.rstanarm.joint.predict import posterior_survfit

if TYPE_CHECKING:
    from brim.post.plots.figures import BaseFigure
    from brim.rstanarm.joint.jm import JmFit

__all__ = ["ps_check"]


@named
def ps_check(
    fit: JmFit,
    check: str = "survival",
    *,
    limits: str = "ci",
    prob: float = 0.95,
    epoints: int = 30,
    ndraws: int | None = None,
    seed: int | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> BaseFigure:
    """The observed survival, by Kaplan and Meier, over the mean of the subjects' predicted curves with its interval.

    Parameters
    ----------
    fit
        A joint model.
    check
        ``"survival"``.
    limits
        ``"ci"`` or ``"none"``.
    prob, epoints, ndraws, seed
        As in ``posterior_survfit``, whose standardised curve from time 0 it is.
    ax, figsize
        As in ``mcmc_plot``.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> long, event = brim.load_data("pbcLong"), brim.load_data("pbcSurv")
    >>> args = ("logBili ~ year + (1 | id)", long, "Surv(futimeYears, death) ~ sex + trt", event, "year")
    >>> fit = brim.rstanarm.stan_jm(*args, basehaz="weibull", chains=1, iter=200, seed=1, progress=False)
    >>> len(brim.rstanarm.ps_check(fit).axes)
    1
    """
    from brim.post.plots.figures import drawing
    from brim.post.plots.style import DARK

    if check != "survival":
        raise BrimError(f"ps_check(check = {check!r})", hint="check='survival'")
    table = posterior_survfit(fit, standardise=True, times=0.0, epoints=epoints, prob=prob, ndraws=ndraws, seed=seed)
    events = fit.parts.events
    n = len(events.subjects)
    stop, entry = np.full(n, -np.inf), np.full(n, np.inf)
    np.maximum.at(stop, events.subject, events.stop)
    np.minimum.at(entry, events.subject, events.start)
    status = np.zeros(n)
    np.maximum.at(status, events.subject, events.status)
    times, survival = step_curve(stop, status, entry)
    with drawing():
        figure: BaseFigure = table.plot(limits=limits, ax=ax, figsize=figsize)
        own = figure.axes[0] if ax is None else np.ravel(ax)[0]
        own.step(times, survival, where="post", color=DARK, lw=1.2, label="observed (Kaplan-Meier)")
        own.lines[0].set_label("model")
        own.legend(loc="lower left")
    return figure
