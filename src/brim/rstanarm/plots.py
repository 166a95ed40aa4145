"""Figures of rstanarm's fits: draws under its names, posterior beside prior, smooths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import named
from brim.errors import BrimError, suggest
from brim.language.expand import deparse
from brim.rstanarm.intervals import ends
from brim.rstanarm.smooths import labels_of, smooths_of
from brim.rstanarm.summaries import chosen

if TYPE_CHECKING:
    from brim.post.plots.figures import BaseFigure
    from brim.rstanarm.fit import StanFit

__all__ = ["plot", "plot_nonlinear", "posterior_vs_prior"]


def plot(
    fit: StanFit,
    plotfun: str = "intervals",
    pars: str | Iterable[str] | None = None,
    regex_pars: str | Iterable[str] | None = None,
    prob: float = 0.5,
    prob_outer: float = 0.9,
    **kwargs: Any,
) -> BaseFigure:
    """A plot of the draws under rstanarm's names.

    Parameters
    ----------
    plotfun
        ``"intervals"``, ``"areas"``, ``"hist"``, ``"trace"``, ``"acf"``, ``"rhat"``, ...: see ``mcmc_plot``.
    pars, regex_pars
        Some parameters: names, and regular expressions; by default all but group effects.
    prob, prob_outer
        Probabilities of the thick and the thin interval.
    kwargs
        ``point_est``, ``ncol``, ``ax``, ``figsize``.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
    >>> fit.plot("areas", pars=["Days"]).axes[0].get_yticklabels()[0].get_text()
    'Days'
    """
    from brim.post.plots.posterior import plot_of_draws

    every = fit.stan_draws(effects=pars is not None or regex_pars is not None)
    names = chosen(list(every), pars, regex_pars)
    kind = plotfun.removeprefix("mcmc_")
    return plot_of_draws({n: every[n] for n in names}, fit.stats, kind, prob=prob, prob_outer=prob_outer, **kwargs)


def posterior_vs_prior(
    fit: StanFit,
    pars: str | Iterable[str] | None = None,
    regex_pars: str | Iterable[str] | None = None,
    prob: float = 0.9,
    *,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> BaseFigure:
    """Medians and central intervals of parameters under the posterior and, sampled for it, the prior.

    Parameters
    ----------
    pars, regex_pars
        Some parameters; the coefficients by default.
    prob
        Probability of the intervals.
    ax, figsize
        As in ``mcmc_plot``.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import brim
    >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
    >>> len(fit.posterior_vs_prior().axes)
    2
    """
    from brim.post.plots.figures import Canvas, drawing
    from brim.post.plots.style import BLUE, GREY

    below, above = ends(prob)
    draws = {"prior": fit.prior_draws(), "posterior": fit.stan_draws()}
    asked = fit.stan.coefs if pars is None and regex_pars is None else pars
    names = chosen(list(draws["posterior"]), asked, regex_pars)
    canvas = Canvas.of(ax, figsize)
    with drawing():
        figure, axes = canvas.panels(len(names), share="", height=2.6)
        for name, panel in zip(names, axes, strict=True):
            for i, (kind, colour) in enumerate((("prior", GREY), ("posterior", BLUE))):
                low, middle, high = np.quantile(draws[kind][name], [below, 0.5, above])
                panel.plot([i, i], [low, high], color=colour, lw=2)
                panel.plot([i], [middle], "o", color=colour)
            panel.set_xticks([0, 1], ["prior", "posterior"])
            panel.set_xlim(-0.6, 1.6)
            panel.set_title(name)
    return figure


@named
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
