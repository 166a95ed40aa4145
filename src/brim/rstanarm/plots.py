"""Figures of rstanarm's fits: posterior beside prior, smooths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.language.expand import deparse
from brim.rstanarm.smooths import labels_of, smooths_of

if TYPE_CHECKING:
    from brim.post.plots.figures import BaseFigure
    from brim.rstanarm.fit import StanFit

__all__ = ["plot_nonlinear", "posterior_vs_prior"]


def posterior_vs_prior(
    fit: StanFit,
    pars: str | Iterable[str] | None,
    regex_pars: str | Iterable[str] | None,
    ends: tuple[float, float],
    ax: Any,
    figsize: tuple[float, float] | None,
) -> BaseFigure:
    """See ``StanFit.posterior_vs_prior``."""
    from brim.post.plots.figures import Canvas, drawing
    from brim.post.plots.style import BLUE, GREY
    from brim.rstanarm.summaries import chosen

    draws = {"prior": fit.prior_draws(), "posterior": fit.stan_draws()}
    asked = fit.stan.coefs if pars is None and regex_pars is None else pars
    names = chosen(list(draws["posterior"]), asked, regex_pars)
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.panels(len(names), share="", height=2.6)
        for name, panel in zip(names, axes, strict=True):
            for i, (kind, colour) in enumerate((("prior", GREY), ("posterior", BLUE))):
                low, middle, high = np.quantile(draws[kind][name], [ends[0], 0.5, ends[1]])
                panel.plot([i, i], [low, high], color=colour, lw=2)
                panel.plot([i], [middle], "o", color=colour)
            panel.set_xticks([0, 1], ["prior", "posterior"])
            panel.set_xlim(-0.6, 1.6)
            panel.set_title(name)
    return figure


def plot_nonlinear(
    fit: StanFit,
    smooths: str | Sequence[str] | None = None,
    prob: float = 0.9,
    *,
    ncol: int | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> BaseFigure:
    """The smooth functions of ``stan_gamm4`` at the observed covariates: medians and central intervals.

    Parameters
    ----------
    fit
        A fit of ``stan_gamm4``.
    smooths
        Some of them, by mgcv's labels (``"s(x)"``); those of one covariate by default. With a factor ``by`` one panel a level.
    prob
        Probability of the intervals.
    ncol, ax, figsize
        As in ``mcmc_plot``.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> rows = brim.load_data("mcycle")
    >>> fit = brim.rstanarm.stan_gamm4("accel ~ s(times, k = 6)", rows, chains=1, iter=200, seed=1, progress=False)
    >>> len(brim.rstanarm.plot_nonlinear(fit).axes)
    1
    """
    from brim.post.plots.figures import Canvas, drawing
    from brim.post.plots.style import BLUE, LIGHT

    curves = _curves(fit)
    if not curves:
        raise BrimError("the model has no smooth of one covariate", hint="fit.conditional_smooths().plot() draws surfaces")
    wanted = list(curves) if smooths is None else [smooths] if isinstance(smooths, str) else list(smooths)
    missing = next((s for s in wanted if s not in curves), None)
    if missing is not None:
        raise BrimError(f"there is no smooth '{missing}'", hint=suggest(missing, curves, "smooths"))
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.panels(len(wanted), ncol=ncol, share="", height=3.3)
        for label, panel in zip(wanted, axes, strict=True):
            covariate, x, values = curves[label]
            low, middle, high = np.quantile(values, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=0)
            panel.fill_between(x, low, high, color=LIGHT, alpha=0.55, lw=0)
            panel.plot(x, middle, color=BLUE)
            panel.set_xlabel(covariate)
            panel.set_ylabel(label)
    return figure


def _curves(fit: StanFit) -> dict[str, tuple[str, np.ndarray, np.ndarray]]:
    """Label -> the covariate, its sorted values, and draws of the function there."""
    draws, out = fit.draws.flat(), {}
    for smooth in smooths_of(fit.model):
        if len(smooth.covariates) != 1 or smooth.groups:
            continue
        x, design = smooth.covariates[0].numbers(fit.frame), smooth.design(fit.frame)
        keys = {q.key.partition("_")[0]: q.key for q in smooth.reported()}
        coefs = np.concatenate([draws[keys[k]] for k in ("bs", "s") if k in keys], axis=1)
        values = coefs @ np.asarray(smooth.columns(design)).T
        for i, label in enumerate(labels_of(smooth)):
            rows = np.flatnonzero(design["level"] == i) if "level" in design else np.arange(len(x))
            rows = rows[np.argsort(x[rows], kind="stable")]
            out[label] = (deparse(smooth.covariates[0].node), x[rows], values[:, rows])
    return out
