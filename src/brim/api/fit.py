"""``Fit``: a model with its draws. Frozen; the methods are thin, the work is in ``post``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from brim.api.elsewhere import of_fit
from brim.api.method import Elsewhere
from brim.api.perform import updated_record
from brim.arguments import named, named_methods
from brim.executors import WorkerError
from brim.fit.record import FitRecord
from brim.post import predictions as predicted

if TYPE_CHECKING:
    import pandas as pd

    import brim.api.sbc
    import brim.post.comparison.averages
    import brim.post.comparison.bridge
    import brim.post.comparison.compare
    import brim.post.comparison.expectations
    import brim.post.comparison.loo
    import brim.post.comparison.refits
    import brim.post.comparison.weights
    import brim.post.diagnose.check
    import brim.post.effects.conditions
    import brim.post.effects.effects
    import brim.post.effects.smooths
    import brim.post.inference.comparisons
    import brim.post.inference.grids
    import brim.post.inference.hypothesis
    import brim.post.observed
    import brim.post.plots.checks
    import brim.post.plots.levels
    import brim.post.plots.pairs
    import brim.post.plots.posterior
    import brim.post.plots.traces
    import brim.post.report.report
    import brim.post.summaries.predictions
    import brim.post.summaries.sampler
    import brim.post.summaries.tidy
    from brim.post.summaries.grouped import ByGroup, Variances
    from brim.post.summaries.summary import Summary
else:
    brim = Elsewhere("brim")  # a method's file is imported when it is first asked for

__all__ = ["Fit", "chains_left", "load"]


@named_methods
@dataclass(frozen=True, repr=False)
class Fit(FitRecord):
    """A fitted model, made by ``brm``: a ``FitRecord`` with what can be asked of it.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=600, seed=1, progress=False)
    >>> isinstance(fit, brim.Fit)
    True
    >>> fit.fixef()["Estimate"].round(-1).to_dict()
    {'Intercept': 250.0, 'Days': 10.0}
    """

    @classmethod
    def of(cls, record: FitRecord) -> Self:
        """The user's face of a record.

        Examples
        --------
        >>> import brim
        >>> record = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> type(brim.Fit.of(record)).__name__
        'Fit'
        """
        return cls(**{f.name: getattr(record, f.name) for f in fields(FitRecord)})

    if not TYPE_CHECKING:  # to a type checker, what is not defined is not there

        def __getattr__(self, name: str) -> Any:
            """What to use for a method of brmsfit that has another name here."""
            use = "" if name.startswith("_") else of_fit(name)
            raise AttributeError(f"a fit has no {name!r}" + (f": {use}" if use else ""), name=name, obj=self)

    # ------------------------------------------------------------------ draws

    def as_draws_df(self, variable: str | Iterable[str] | None = None, regex: bool = False) -> pd.DataFrame:
        """Draws as a data frame: one row a draw, one column a variable, then ``.chain``, ``.iteration``, ``.draw`` (from 1).

        ``variable`` keeps some: names, or what stands before the index of several (``"r_student"``); with ``regex`` regular expressions.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> list(fit.as_draws_df("b_Days").columns), len(fit.as_draws_df())
        (['b_Days', '.chain', '.iteration', '.draw'], 400)
        """
        return self.draws.frame(variable, regex)

    @property
    def idata(self) -> Any:
        """The fit as an ArviZ ``DataTree``, dims named: ``posterior``, ``sample_stats``, ``observed_data``, ``constant_data``.

        ``log_likelihood``, ``posterior_predictive``, ``log_prior``, ``prior`` and ``prior_predictive`` are computed when they are first
        asked for, ``fit.idata["log_likelihood"]``; the last two sample the prior.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> fit.idata["posterior"].sizes["chain"], fit.idata["posterior"].sizes["draw"]
        (2, 200)
        """
        from brim.post.arviz.tree import fit_tree

        return fit_tree(self)

    # ------------------------------------------------------------------ tables

    def prior_summary(self, all: bool = True) -> pd.DataFrame:
        """The prior table, brms' columns and order; ``all=False`` leaves out rows without a prior of their own.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> print(fit.prior_summary(all=False))
                               prior     class coef group resp dpar nlpar lb ub  source
         student_t(3, 288.7, 59.3) Intercept                                   default
             student_t(3, 0, 59.3)     sigma                             0     default
        """
        from brim.post.summaries.prior_table import prior_table

        return prior_table(self.model.rows, all=all)

    def summary(self, prob: float = 0.95, robust: bool = False, priors: bool = False) -> Summary:
        """brms' summary: prints its layout, holds ``.fixed``, ``.random[group]``, ``.spec_pars`` as data frames.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> list(fit.summary().fixed.index)
        ['Intercept', 'Days']
        """
        from brim.post.summaries.summary import summarise

        return summarise(self, prob=prob, robust=robust, priors=priors)

    def fixef(
        self,
        summary: bool = True,
        robust: bool = False,
        probs: tuple[float, ...] = (0.025, 0.975),
        pars: str | Iterable[str] | None = None,
    ) -> Any:
        """Population-level effects: a data frame, or draws ``(draws, coefficients)`` as a data frame with ``summary=False``.

        ``pars`` are the coefficients that are wanted, all by default.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> float(fit.fixef().loc["Days", "Estimate"].round())
        10.0
        """
        from brim.post.summaries import tables

        return tables.fixef(self, summary, robust, probs, pars)

    def ranef(
        self,
        summary: bool = True,
        robust: bool = False,
        probs: tuple[float, ...] = (0.025, 0.975),
        pars: str | Iterable[str] | None = None,
        groups: str | Iterable[str] | None = None,
    ) -> ByGroup:
        """Group-level effects: group -> ``DataArray(level, statistic, coef)``, or ``(draw, level, coef)`` with ``summary=False``.

        ``pars`` and ``groups`` are the coefficients and the grouping factors that are wanted, all by default.

        Examples
        --------
        >>> import brim
        >>> import pandas as pd
        >>> empty = brim.brm("Reaction ~ Days + (1 | Subject)", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit = empty.with_draws(pd.DataFrame({name: [1.0, 2.0, 3.0] for name in empty.variables()}))
        >>> fit.ranef()["Subject"].sel(level="308", coef="Intercept", statistic="Estimate").item()
        2.0
        """
        from brim.post.summaries import tables
        from brim.post.summaries.grouped import ByGroup

        return ByGroup(tables.ranef(self, summary, robust, probs, pars, groups))

    def coef(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> ByGroup:
        """Group-level coefficients, population effect plus group effect, in ``ranef``'s form.

        Examples
        --------
        >>> import brim
        >>> import pandas as pd
        >>> empty = brim.brm("Reaction ~ Days + (1 | Subject)", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit = empty.with_draws(pd.DataFrame({name: [1.0, 2.0, 3.0] for name in empty.variables()}))
        >>> fit.coef()["Subject"].sel(level="308", coef="Intercept", statistic="Estimate").item()
        4.0
        """
        from brim.post.summaries import tables
        from brim.post.summaries.grouped import ByGroup

        return ByGroup(tables.coef(self, summary, robust, probs))

    def VarCorr(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> Variances:
        """Standard deviations, correlations and covariances of group effects and residuals.

        Examples
        --------
        >>> import brim
        >>> import pandas as pd
        >>> empty = brim.brm("Reaction ~ Days + (1 | Subject)", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit = empty.with_draws(pd.DataFrame({name: [1.0, 2.0, 3.0] for name in empty.variables()}))
        >>> float(fit.VarCorr()["Subject"]["sd"].loc["Intercept", "Estimate"])
        2.0
        """
        from brim.post.summaries import tables
        from brim.post.summaries.grouped import Variances

        return Variances(tables.var_corr(self, summary, robust, probs))

    def posterior_summary(
        self, variable: str | Iterable[str] | None = None, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)
    ) -> pd.DataFrame:
        """Estimate, error and quantiles of variables; ``variable`` as in ``as_draws_df``.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> list(fit.posterior_summary("b_Days").columns)
        ['Estimate', 'Est.Error', 'Q2.5', 'Q97.5']
        """
        from brim.post.summaries import tables

        return tables.posterior_summary(self, variable, robust, probs)

    ndraws = brim.post.summaries.sampler.ndraws
    nchains = brim.post.summaries.sampler.nchains
    niterations = brim.post.summaries.sampler.niterations
    nvariables = brim.post.summaries.sampler.nvariables
    rhat = brim.post.summaries.sampler.rhat
    neff_ratio = brim.post.summaries.sampler.neff_ratio
    vcov = brim.post.summaries.sampler.vcov
    log_posterior = brim.post.summaries.sampler.log_posterior
    nuts_params = brim.post.summaries.sampler.nuts_params
    prior_draws = brim.post.summaries.sampler.prior_draws
    tidy = brim.post.summaries.tidy.tidy
    glance = brim.post.summaries.tidy.glance

    # ------------------------------------------------------------------ predictions

    posterior_epred = predicted.posterior_epred
    posterior_linpred = predicted.posterior_linpred
    posterior_predict = predicted.posterior_predict
    log_lik = predicted.log_lik

    def log_prior(self) -> np.ndarray:
        """The log prior density of every draw, constants included (brms' ``lprior``): ``(draws,)``.

        Standardised group effects are not part of it.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
        >>> fit.log_prior().shape
        (400,)
        """
        from brim.post.predict import log_prior

        return log_prior(self.model, self.draws, self.model.data(self.frame))

    sample_rows = brim.post.observed.sample_rows
    fitted = brim.post.summaries.predictions.fitted
    predict = brim.post.summaries.predictions.predict
    residuals = brim.post.summaries.predictions.residuals
    predictive_error = brim.post.summaries.predictions.predictive_error
    predictive_interval = brim.post.summaries.predictions.predictive_interval
    posterior_interval = brim.post.summaries.predictions.posterior_interval
    make_conditions = brim.post.effects.conditions.make_conditions
    posterior_smooths = brim.post.effects.smooths.posterior_smooths
    conditional_smooths = brim.post.effects.smooths.conditional_smooths
    pp_mixture = brim.post.comparison.averages.pp_mixture
    pp_average = brim.post.comparison.averages.pp_average
    posterior_average = brim.post.comparison.averages.posterior_average

    # ------------------------------------------------------------------ plots

    conditional_effects = brim.post.effects.effects.conditional_effects
    pp_check = brim.post.plots.checks.pp_check
    plot = brim.post.plots.traces.trace_plot
    mcmc_plot = brim.post.plots.posterior.mcmc_plot
    pairs = brim.post.plots.pairs.pairs
    caterpillar = brim.post.plots.levels.caterpillar
    report = brim.post.report.report.report

    # ------------------------------------------------------------------ comparison

    loo = brim.post.comparison.loo.loo
    waic = brim.post.comparison.loo.waic
    kfold = brim.post.comparison.refits.kfold
    loo_moment_match = brim.post.comparison.loo.loo_moment_match
    add_criterion = brim.post.comparison.compare.add_criterion
    loo_compare = brim.post.comparison.compare.loo_compare
    model_weights = brim.post.comparison.weights.model_weights
    loo_predict = brim.post.comparison.expectations.loo_predict
    loo_epred = brim.post.comparison.expectations.loo_epred
    loo_linpred = brim.post.comparison.expectations.loo_linpred
    bridge_sampler = brim.post.comparison.bridge.bridge_sampler
    bayes_factor = brim.post.comparison.bridge.bayes_factor
    post_prob = brim.post.comparison.bridge.post_prob
    loo_R2 = brim.post.comparison.expectations.loo_R2
    bayes_R2 = brim.post.comparison.expectations.bayes_R2

    # ------------------------------------------------------------------ diagnostics

    check = brim.post.diagnose.check.check
    powerscale_sensitivity = brim.post.diagnose.check.powerscale_sensitivity
    sbc = brim.api.sbc.sbc

    # ------------------------------------------------------------------ inference

    hypothesis = brim.post.inference.hypothesis.hypothesis
    predictions = brim.post.inference.comparisons.predictions
    comparisons = brim.post.inference.comparisons.comparisons
    slopes = brim.post.inference.comparisons.slopes
    avg_predictions = brim.post.inference.comparisons.avg_predictions
    avg_comparisons = brim.post.inference.comparisons.avg_comparisons
    avg_slopes = brim.post.inference.comparisons.avg_slopes
    emmeans = brim.post.inference.comparisons.emmeans
    datagrid = brim.post.inference.grids.datagrid

    # ------------------------------------------------------------------ again

    def update(self, formula: Any = None, *, newdata: Any = None, **kwargs: Any) -> Fit:
        """Fit again with parts changed: formula, ``newdata``, or any argument of ``brm``.

        A program compiled for a model of the same structure and size is reused.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit.update("~ . + (1 | Subject)", family="student", empty=True).variables()[:4]
        ['b_Intercept', 'b_Days', 'sd_Subject__Intercept', 'sigma']
        """
        with chains_left():
            return self.of(updated_record(self, formula, newdata, kwargs))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to one netCDF file, or, where the name ends in ``.zarr``, to a folder; ``brim.load`` reads it back.

        Of a folder draws are read from the disk where they are asked for: it may hold more than memory does. It is in Zarr's format,
        which xarray and ArviZ read, too.

        Examples
        --------
        >>> import brim, tempfile
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fit.save(f"{folder}/fit.nc")
        ...     brim.load(f"{folder}/fit.nc").nobs()
        180
        """
        from brim.post.files.io import save

        save(self, path)

    def __str__(self) -> str:
        return str(self.summary()) if self.posterior is not None else repr(self)

    def __repr__(self) -> str:
        from brim.post.summaries.summary import head

        return head(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_() if self.posterior is not None else f"<pre>{self}</pre>"


@contextmanager
def chains_left() -> Iterator[None]:
    """Where an executor lost some chains, the error has the fit of the others: a record within, the user's ``Fit`` outside."""
    try:
        yield
    except WorkerError as error:
        error.finished = Fit.of(error.finished) if error.finished else None
        raise


@named
def load(path: str | os.PathLike[str], family: Any = None) -> Fit:
    """Read a fit that ``Fit.save`` wrote.

    The model is built anew from the formula, priors and training data in the file; draws come back bit for bit.

    Parameters
    ----------
    path
        The file.
    family
        The family, if it was made by ``custom_family()``: its functions are not in the file.

    Raises
    ------
    BrimError
        There is no such file, it is not one of brim's, it is damaged, or a later brim wrote it.

    Examples
    --------
    >>> import brim, tempfile
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(f"{folder}/fit.nc")
    ...     print(brim.load(f"{folder}/fit.nc").formula)
    Reaction ~ Days
    """
    from brim.post.files.io import read

    return Fit.of(read(path, family))
