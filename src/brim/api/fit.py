"""``Fit``: a model with its draws. Frozen; the methods are thin, the work is in ``post``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.fit.draws import Posterior
from brim.frames.frame import Frame
from brim.language.brms import Formula, MvFormula
from brim.model.model import Model
from brim.parameters.prior import Priors

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from brim.post.effects.effects import ConditionalEffects
    from brim.post.summaries.summary import Summary

__all__ = ["Fit", "Settings", "load"]


@dataclass(frozen=True)
class Settings:
    """How ``brm`` was called: everything besides formula, data and priors that a refit needs."""

    chains: int = 4
    iter: int = 2000
    warmup: int = 1000
    thin: int = 1
    seed: int | None = None
    algorithm: str = "sampling"
    sample_prior: str = "no"
    control: Mapping[str, Any] = field(default_factory=dict)
    marginalize: bool | str = "auto"

    @property
    def draws(self) -> int:
        """Draws a chain that are kept."""
        return -(-(self.iter - self.warmup) // self.thin)


@dataclass(frozen=True)
class Fit:
    """A fitted model. Made by ``brm``; see there.

    Attributes
    ----------
    formula, family
        As given.
    model
        The learned model.
    frame
        The rows it was learned on.
    priors
        The user's priors.
    data2
        Matrices that terms refer to.
    settings
        How sampling was asked for.
    posterior
        The draws; ``None`` for ``empty=True``.
    stats
        Sampler statistics, each ``(chains, draws)``.
    info
        What the engine tells: times, steps, seed, engine.
    data_name
        What the summary calls the data.
    """

    formula: Formula | MvFormula
    family: Any
    model: Model = field(repr=False)
    frame: Frame = field(repr=False)
    priors: Priors
    data2: Mapping[str, Any] = field(repr=False)
    settings: Settings
    posterior: Posterior | None = field(default=None, repr=False)
    stats: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    data_name: str = "data"

    # ------------------------------------------------------------------ draws

    @property
    def draws(self) -> Posterior:
        """The posterior draws, or an error when there are none."""
        if self.posterior is None:
            raise BrimError(
                "the model has no draws",
                hint="it was built with empty=True: sample it with fit.update(empty=False), or put draws in with with_draws(df)",
            )
        return self.posterior

    @property
    def engine(self) -> str:
        """One line on what drew the sample."""
        return str(self.info.get("engine", "none"))

    def variables(self) -> list[str]:
        """Names of all variables as brms names them, ``lprior`` and ``lp__`` last.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit.variables()
        ['b_Intercept', 'b_Days', 'sigma', 'lprior', 'lp__']
        """
        if self.posterior is not None:
            return list(self.posterior.variables)
        return [*(str(n) for q in self.model.reported() for n in np.ravel(q.names)), "lprior", "lp__"]

    def as_draws_df(self, variable: str | Iterable[str] | None = None) -> pd.DataFrame:
        """Draws as a data frame: one row a draw, one column a variable, then ``.chain``, ``.iteration``, ``.draw`` (from 1).

        ``variable`` keeps some: names, or what stands before the index of several (``"r_student"``).
        """
        return self.draws.frame(variable)

    @property
    def idata(self) -> Any:
        """The fit as an ArviZ ``DataTree`` with groups ``posterior``, ``sample_stats`` and ``observed_data``, dims named."""
        from brim.fit.draws import dataset, observed

        return dataset(self.draws, self.stats, observed(self.model, self.frame))

    def with_draws(self, draws: pd.DataFrame, chains: int = 1) -> Fit:
        """The same model with draws from a data frame whose columns have brms' names, such as exported from R.

        Parameters
        ----------
        draws
            One row a draw; columns ``.chain``, ``.iteration``, ``.draw`` are ignored.
        chains
            How many chains the rows hold, one after the other.

        Raises
        ------
        BrimError
            When a variable of the model has no column, or the rows do not divide into chains.
        """
        columns = {str(c): np.asarray(draws[c], float) for c in draws.columns}
        n = len(draws)
        if chains < 1 or n == 0 or n % chains:
            raise BrimError(f"{n} draws do not divide into {chains} chains")
        shapes = self._shapes()
        posterior = Posterior.read(self.model.reported(), shapes, columns, chains)
        return replace(self, posterior=posterior, stats={}, info={"engine": "draws given by the user"})

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each reported array."""
        shapes: dict[str, tuple[int, ...]] = {}
        for q in self.model.reported():
            shape = q.names.shape
            if q.rows is not None:
                shape = (max(q.rows[1], shapes.get(q.key, (0,))[0]), *shape[1:])
            shapes[q.key] = shape
        return shapes

    # ------------------------------------------------------------------ tables

    def prior_summary(self, all: bool = True) -> pd.DataFrame:
        """The prior table, brms' columns and order; ``all=False`` leaves out rows without a prior of their own."""
        from brim.post.summaries.prior_table import prior_table

        return prior_table(self.model.rows, all=all)

    def summary(self, prob: float = 0.95, robust: bool = False, priors: bool = False) -> Summary:
        """brms' summary: prints its layout, holds ``.fixed``, ``.random[group]``, ``.spec_pars`` as data frames."""
        from brim.post.summaries.summary import summarise

        return summarise(self, prob=prob, robust=robust, priors=priors)

    def fixef(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> Any:
        """Population-level effects: a data frame, or draws ``(draws, coefficients)`` as a data frame with ``summary=False``."""
        from brim.post.summaries import tables

        return tables.fixef(self, summary, robust, probs)

    def ranef(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> dict[str, xr.DataArray]:
        """Group-level effects: group -> ``DataArray(level, statistic, coef)``, or ``(draw, level, coef)`` with ``summary=False``."""
        from brim.post.summaries import tables

        return tables.ranef(self, summary, robust, probs)

    def coef(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> dict[str, xr.DataArray]:
        """Group-level coefficients, population effect plus group effect, in ``ranef``'s form."""
        from brim.post.summaries import tables

        return tables.coef(self, summary, robust, probs)

    def VarCorr(self, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)) -> dict[str, dict[str, Any]]:
        """Standard deviations, correlations and covariances of group effects and residuals."""
        from brim.post.summaries import tables

        return tables.var_corr(self, summary, robust, probs)

    def posterior_summary(
        self, variable: str | Iterable[str] | None = None, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975)
    ) -> pd.DataFrame:
        """Estimate, error and quantiles of variables; ``variable`` as in ``as_draws_df``."""
        from brim.post.summaries import tables

        return tables.posterior_summary(self, variable, robust, probs)

    def nobs(self, resp: str | None = None) -> int:
        """Number of observations the model was fitted to."""
        response = self.model.responses[0] if resp is None else self.model.response(resp)
        return response.response.kept(self.frame).n

    def ngrps(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
        return {b.grouping.label: len(b.grouping.levels) for b in self.model.blocks}

    # ------------------------------------------------------------------ predictions

    def posterior_epred(
        self,
        newdata: Any = None,
        *,
        dpar: str | None = None,
        nlpar: str | None = None,
        resp: str | None = None,
        re_formula: Any = None,
        allow_new_levels: bool = False,
        sample_new_levels: str = "uncertainty",
        ndraws: int | None = None,
        draw_ids: Any = None,
        seed: int | None = None,
        incl_autocor: bool = True,
    ) -> np.ndarray:
        """Draws of the expected response ``E(y | parameters)``, or of a distributional parameter on its own scale.

        Parameters
        ----------
        newdata
            Rows to predict for; the training rows by default.
        dpar
            A distributional parameter (``"sigma"``) instead of the mean.
        nlpar
            A nonlinear parameter instead of the mean.
        resp
            The response, in a multivariate model.
        re_formula
            Group effects to use: ``None`` all, ``False`` none, or a formula such as ``"(1 | g)"``.
        allow_new_levels
            Whether ``newdata`` may hold new levels of grouping factors.
        sample_new_levels
            ``"uncertainty"``: each draw takes the effects of a randomly chosen level; ``"gaussian"``: effects from the
            estimated distribution; ``"old_levels"``: one randomly chosen level for all draws.
        ndraws, draw_ids
            Use that many randomly chosen draws, or those with these positions (from 0).
        seed
            For everything drawn at random here.
        incl_autocor
            Whether residual structures (``ar()``, ``car()``, ...) take part.

        Returns
        -------
        numpy.ndarray
            ``(draws, observations)``, with categories as a third axis for categorical responses; chains in order.

        Raises
        ------
        BrimError
            A column is missing, a level is new and not allowed, a name is unknown.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=300, seed=1, progress=False)
        >>> fit.posterior_epred({"Days": [0, 5]}, ndraws=10).shape
        (10, 2)
        """
        what = "epred" if dpar is None else "dpar"
        return self._predict(
            what, newdata, dpar, nlpar, resp, re_formula, allow_new_levels, sample_new_levels, ndraws, draw_ids, seed, incl_autocor
        )

    def posterior_linpred(
        self,
        newdata: Any = None,
        *,
        transform: bool = False,
        dpar: str | None = None,
        nlpar: str | None = None,
        resp: str | None = None,
        re_formula: Any = None,
        allow_new_levels: bool = False,
        sample_new_levels: str = "uncertainty",
        ndraws: int | None = None,
        draw_ids: Any = None,
        seed: int | None = None,
        incl_autocor: bool = True,
    ) -> np.ndarray:
        """Draws of a linear predictor (of ``mu`` by default), before the inverse link unless ``transform``. See ``posterior_epred``."""
        what = "dpar" if transform else "linpred"
        return self._predict(
            what, newdata, dpar, nlpar, resp, re_formula, allow_new_levels, sample_new_levels, ndraws, draw_ids, seed, incl_autocor
        )

    def posterior_predict(
        self,
        newdata: Any = None,
        *,
        resp: str | None = None,
        re_formula: Any = None,
        allow_new_levels: bool = False,
        sample_new_levels: str = "uncertainty",
        ndraws: int | None = None,
        draw_ids: Any = None,
        seed: int | None = None,
        incl_autocor: bool = True,
    ) -> np.ndarray:
        """Draws of new responses, ``(draws, observations)``. See ``posterior_epred``."""
        return self._predict(
            "predict", newdata, None, None, resp, re_formula, allow_new_levels, sample_new_levels, ndraws, draw_ids, seed, incl_autocor
        )

    def log_lik(
        self,
        newdata: Any = None,
        *,
        resp: str | None = None,
        re_formula: Any = None,
        allow_new_levels: bool = False,
        sample_new_levels: str = "uncertainty",
        ndraws: int | None = None,
        draw_ids: Any = None,
        seed: int | None = None,
        incl_autocor: bool = True,
    ) -> np.ndarray:
        """Pointwise log likelihood, ``(draws, observations)``; weights multiply it. See ``posterior_epred``."""
        return self._predict(
            "log_lik", newdata, None, None, resp, re_formula, allow_new_levels, sample_new_levels, ndraws, draw_ids, seed, incl_autocor
        )

    def _predict(
        self,
        what: str,
        newdata: Any,
        dpar: str | None,
        nlpar: str | None,
        resp: str | None,
        re_formula: Any,
        allow: bool,
        how: str,
        ndraws: int | None,
        ids: Any,
        seed: int | None,
        incl_autocor: bool,
    ) -> np.ndarray:
        from brim.post.predict import predict

        return predict(self, what, newdata, dpar, nlpar, resp, re_formula, allow, how, ndraws, ids, seed, incl_autocor)

    def log_prior(self) -> np.ndarray:
        """The log prior density of every draw, constants included (brms' ``lprior``): ``(draws,)``.

        Standardised group effects are not part of it.
        """
        from brim.post.predict import log_prior

        return log_prior(self.model, self.draws, self.model.data(self.frame))

    def fitted(
        self,
        newdata: Any = None,
        *,
        scale: str = "response",
        summary: bool = True,
        robust: bool = False,
        probs: tuple[float, ...] = (0.025, 0.975),
        **kwargs: Any,
    ) -> np.ndarray:
        """Expected responses summarised over draws: ``(observations, 4)`` estimate, error, quantiles (``posterior_epred``).

        ``scale="linear"`` summarises the linear predictor; ``summary=False`` gives the draws.
        """
        from brim.post.summaries.tables import summarise_array

        if scale not in ("response", "linear"):
            raise BrimError(f"scale = '{scale}'", hint="use 'response' or 'linear'")
        draws = self.posterior_epred(newdata, **kwargs) if scale == "response" else self.posterior_linpred(newdata, **kwargs)
        return summarise_array(draws, robust, probs) if summary else draws

    def predict(
        self, newdata: Any = None, *, summary: bool = True, robust: bool = False, probs: tuple[float, ...] = (0.025, 0.975), **kwargs: Any
    ) -> np.ndarray:
        """New responses summarised over draws: ``(observations, 4)`` (``posterior_predict``)."""
        from brim.post.summaries.tables import summarise_array

        draws = self.posterior_predict(newdata, **kwargs)
        return summarise_array(draws, robust, probs) if summary else draws

    def residuals(
        self,
        newdata: Any = None,
        *,
        method: str = "posterior_epred",
        type: str = "ordinary",
        summary: bool = True,
        robust: bool = False,
        probs: tuple[float, ...] = (0.025, 0.975),
        **kwargs: Any,
    ) -> np.ndarray:
        """Observed minus expected responses, or minus predicted ones (``method="posterior_predict"``).

        ``type="pearson"`` divides by the posterior sd of what is subtracted.
        """
        from brim.post.summaries import tables

        return tables.residuals(self, newdata, method, type, summary, robust, probs, kwargs)

    def predictive_error(self, newdata: Any = None, **kwargs: Any) -> np.ndarray:
        """Draws of observed minus predicted responses, ``(draws, observations)``."""
        return self.residuals(newdata, method="posterior_predict", summary=False, **kwargs)

    # ------------------------------------------------------------------ plots

    def conditional_effects(self, effects: Any = None, **kwargs: Any) -> ConditionalEffects:
        """Predictions over the range of each predictor, the others held at their mean or reference level; see ``post.effects``."""
        from brim.post.effects.effects import conditional_effects

        return conditional_effects(self, effects, **kwargs)

    def pp_check(self, type: str = "dens_overlay", **kwargs: Any) -> Any:
        """Observed against replicated responses; returns the matplotlib figure. See ``post.plots.pp_check``."""
        from brim.post.plots.checks import pp_check

        return pp_check(self, type, **kwargs)

    def plot(self, **kwargs: Any) -> Any:
        """Densities and traces of the main parameters; returns the matplotlib figure."""
        from brim.post.plots.checks import trace_plot

        return trace_plot(self, **kwargs)

    # ------------------------------------------------------------------ again

    def update(self, formula: Any = None, *, newdata: Any = None, **kwargs: Any) -> Fit:
        """Fit again with parts changed: formula, ``newdata``, or any argument of ``brm``.

        A program compiled for a model of the same structure and size is reused.
        """
        from brim.api.brm import update

        return update(self, formula, newdata, kwargs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to one netCDF file; ``brim.load`` reads it back."""
        from brim.post.files.io import save

        save(self, path)

    def __str__(self) -> str:
        return str(self.summary()) if self.posterior is not None else f"brim model without draws\nFormula: {self.formula}"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_() if self.posterior is not None else f"<pre>{self}</pre>"


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

    saved = read(path, family)
    return Fit(**{**saved, "settings": Settings(**saved["settings"])})
