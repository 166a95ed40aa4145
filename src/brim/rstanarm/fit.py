"""``StanFit``: a fit in rstanarm's words. The model, its draws and predictions are a ``Fit``'s."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from brim.api.fit import Fit
from brim.api.method import Method
from brim.errors import BrimError, warn
from brim.fit.record import FitRecord, draw_columns
from brim.parameters.prior import Priors
from brim.post.summaries.tables import statistics, wanted
from brim.rstanarm.again import Again, changed, rebuilt
from brim.rstanarm.call import Call
from brim.rstanarm.prior_text import prior_text
from brim.rstanarm.summaries import chosen, summary
from brim.rstanarm.text import fit_text

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["StanFit"]


@dataclass(frozen=True)
class StanFit(Fit):
    """What the ``stan_*`` functions return: a ``Fit`` whose tables and parameter names are rstanarm's.

    Predictions, ``log_lik``, ``loo``, ``pp_check`` and the rest are those of ``Fit``.
    """

    call: Call | None = field(default=None, repr=False)
    again: Again | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """For ``pickle``: the call is made again, without sampling."""
        if self.again is None:
            raise BrimError("this fit does not know the call that made it", hint="keep fit.as_draws_df(), and read it with with_draws()")
        kept = {name: getattr(self, name) for name in ("stats", "info", "criteria")}
        drawn = None if self.posterior is None else (dict(self.posterior.arrays), dict(self.posterior.extra))
        return rebuilt, (type(self), self.again, kept, self.model.prior_only, drawn)

    def update(self, formula: Any = None, *, newdata: Any = None, **kwargs: Any) -> Self:
        """Make the call again with another formula, other data, or other arguments (``prior``, ``iter``, ``seed``, ...).

        Priors that are scaled to the data are scaled to the new ones.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> fit.update("~ . + I(Days^2)").variables()
        ['(Intercept)', 'Days', 'I(Days^2)', 'sigma']
        """
        if self.again is None:
            raise BrimError("this fit does not know the call that made it", hint="call the stan_* function again")
        kwargs = {k: v for k, v in kwargs.items() if not isinstance(v, Priors)}  # kfold hands over brim's own, which are not this fit's
        found: Self = changed(self.again, formula, newdata, kwargs)
        return found

    def save(self, path: Any) -> None:
        """Not built: brim's files hold a formula and brms' priors.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> fit.save("fit.nc")
        Traceback (most recent call last):
        brim.errors.BrimError: fits of rstanarm's functions are not saved in brim's files
        pickle the fit, or keep fit.as_draws_df() for with_draws()
        """
        raise BrimError(
            "fits of rstanarm's functions are not saved in brim's files", hint="pickle the fit, or keep fit.as_draws_df() for with_draws()"
        )

    @classmethod
    def wrap(cls, record: FitRecord, call: Call) -> Self:
        """A record with the names of its call.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> type(fit).wrap(fit, fit.stan).variables()
        ['(Intercept)', 'Days', 'sigma']
        """
        return cls(**{f.name: getattr(record, f.name) for f in fields(FitRecord)}, call=call)

    @property
    def stan(self) -> Call:
        """The call."""
        assert self.call is not None
        return self.call

    # ------------------------------------------------------------------ draws

    def with_draws(self, draws: Any, chains: int = 1) -> Self:
        """The same model with draws from a data frame whose columns have rstanarm's names, such as exported from R.

        Columns that the model has no use for (``mean_PPD``, ``log-posterior``, ``R2``) are ignored.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> import pandas as pd
        >>> draws = pd.DataFrame({"(Intercept)": [250.0, 252.0], "Days": [10.0, 11.0], "sigma": [47.0, 48.0]})
        >>> fit.with_draws(draws).fixef()["Estimate"].to_dict()
        {'(Intercept)': 251.0, 'Days': 10.5}
        """
        import pandas as pd

        if self.stan.names.unsure:
            what = ", ".join(self.stan.names.unsure)
            warn(f"the signs of the columns of {what} are not those of R: coefficients sampled there belong to other functions")
        columns = draw_columns(draws)
        return super().with_draws(pd.DataFrame(self.stan.names.to_brms(columns)), chains)

    def stan_draws(self, effects: bool = True) -> dict[str, np.ndarray]:
        """Draws by rstanarm's names, each ``(chains, draws)``; ``effects=False`` leaves out group effects.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> {name: values.shape for name, values in fit.stan_draws().items()}
        {'(Intercept)': (1, 200), 'Days': (1, 200), 'sigma': (1, 200)}
        """
        posterior = self.draws
        out = self.stan.names.to_stan(lambda name: np.asarray(posterior[name]), effects)
        if self.stan.explained is not None:
            out.update(self._explained(out))
        return out

    def _explained(self, draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``log-fit_ratio = log(sqrt(v + sigma^2) / sd(y))`` and ``R2 = v / (v + sigma^2)``, ``v = |R b|^2 / (n - 1)``."""
        assert self.stan.explained is not None
        sd_y, rows, root = self.stan.explained
        b = np.stack([draws[c] for c in self.stan.coefs if c != "(Intercept)"])
        v = np.sum(np.einsum("ij,jcd->icd", root, b) ** 2, axis=0) / (rows - 1)
        total = v + draws["sigma"] ** 2
        return {"log-fit_ratio": 0.5 * np.log(total) - np.log(sd_y), "R2": v / total}

    def variables(self) -> list[str]:
        """Names of the parameters, rstanarm's.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> fit.variables()
        ['(Intercept)', 'Days', 'sigma']
        """
        last = ["log-fit_ratio", "R2"] if self.stan.explained is not None else []
        return [*self.stan.names.to_stan(lambda name: np.zeros(()) + 1.0), *last]

    def as_draws_df(self, variable: str | Iterable[str] | None = None, regex: bool = False) -> pd.DataFrame:
        """Draws as a data frame under rstanarm's names, one row a draw, then ``.chain``, ``.iteration``, ``.draw`` (from 1).

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> list(fit.as_draws_df("Days").columns), len(fit.as_draws_df())
        (['Days', '.chain', '.iteration', '.draw'], 200)
        """
        import pandas as pd

        draws = self.stan_draws()
        names = list(draws) if variable is None else [variable] if isinstance(variable, str) else list(variable)
        if regex:
            names = [name for name in draws if any(re.search(w, name) for w in names)]
        missing = next((w for w in names if w not in draws), None)
        if missing is not None:
            raise BrimError(f"there is no parameter '{missing}'", hint="variables() lists them")
        chains, n = self.draws.chains, self.draws.draws
        out = pd.DataFrame({name: np.ravel(draws[name]) for name in names})
        index = {".chain": np.repeat(np.arange(chains) + 1, n), ".iteration": np.tile(np.arange(n) + 1, chains)}
        return out.assign(**index, **{".draw": np.arange(chains * n) + 1})

    # ------------------------------------------------------------------ tables

    def fixef(
        self,
        summary: bool = True,
        robust: bool = True,
        probs: tuple[float, ...] = (0.025, 0.975),
        pars: str | Iterable[str] | None = None,
    ) -> Any:
        """Coefficients: medians and MAD_SD (``robust=False``: means and sds) with quantiles; ``summary=False`` the draws.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> fit.fixef()["Estimate"].round(-1).to_dict()
        {'(Intercept)': 250.0, 'Days': 10.0}
        """
        import pandas as pd

        draws = self.stan_draws(effects=False)
        there = {c: np.ravel(draws[c]) for c in self.stan.coefs}
        own = pd.DataFrame(wanted("pars", pars, there))
        if not summary:
            return own
        columns = ["Estimate", "Est.Error", *(f"Q{100 * p:g}" for p in probs)]
        return pd.DataFrame(statistics(own.to_numpy(), robust, probs).T, index=own.columns, columns=columns)

    def se(self) -> pd.Series:
        """MAD_SD of coefficients and group effects, ``1.4826 median |x - median(x)|``.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> bool(0.5 < fit.se()["Days"] < 2)
        True
        """
        import pandas as pd

        draws = self.stan_draws()
        wanted = [*self.stan.coefs, *(stan for g in self.stan.names.groups for stan, _ in g.effect_pairs())]
        return pd.Series({name: statistics(np.ravel(draws[name]), robust=True)[1] for name in wanted})

    def vcov(self, correlation: bool = False, variable: str | Iterable[str] | None = None) -> pd.DataFrame:
        """The covariance (or ``correlation``) matrix of the coefficients over the draws.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> list(fit.vcov().columns)
        ['(Intercept)', 'Days']
        """
        draws: pd.DataFrame = self.fixef(summary=False, pars=variable)
        return draws.corr() if correlation else draws.cov()

    posterior_interval = Method("brim.rstanarm.intervals")
    predictive_interval = Method("brim.rstanarm.intervals")
    mean_ppd = Method("brim.rstanarm.intervals")
    mean_squares = Method("brim.rstanarm.intervals")

    def prior_summary(self, all: bool = True) -> Any:
        """The priors, specified and adjusted: a mapping that prints rstanarm's text.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> print(fit.prior_summary())
        Priors
        ------
        Intercept (after predictors centered)
          Specified prior:
            ~ normal(location = 298.51, scale = 2.5)
          Adjusted prior:
            ~ normal(location = 298.51, scale = 140.82)
        ...
        """
        return PriorSummary(self.stan.priors, prior_text(self.stan.priors))

    def summary(  # type: ignore[override]
        self,
        digits: int | None = None,
        probs: tuple[float, ...] = (0.1, 0.5, 0.9),
        pars: Iterable[str] | None = None,
        regex_pars: str | Iterable[str] | None = None,
    ) -> Any:
        """Means, sds and quantiles of every parameter with Monte Carlo errors, R-hat and ESS: a data frame that prints rstanarm's layout.

        Parameters
        ----------
        digits
            Decimals of the print; 1 by default, 3 for several responses.
        probs
            Quantiles.
        pars, regex_pars
            Some parameters only: names, and regular expressions.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> table = fit.summary()
        >>> list(table.columns)
        ['mean', 'mcse', 'sd', '10%', '50%', '90%', 'n_eff', 'Rhat']
        """
        draws = self.stan_draws()
        own = {name: draws[name] for name in chosen(list(draws), pars, regex_pars)}
        averages = {} if pars is not None or regex_pars is not None else self.mean_ppd()
        return summary(self, self.stan, own, averages, (3 if self.stan.prefixes else 1) if digits is None else digits, probs)

    def print(self, digits: int | None = None) -> None:
        """Print with so many decimals.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> fit.print(digits=0)
        stan_glm
         family:       gaussian [identity]
         formula:      Reaction ~ Days
         observations: 180
         predictors:   2
        ------
                    Median MAD_SD
        (Intercept) 252      7
        Days         10      1
        ...
        """
        print(self.text(digits))

    def text(self, digits: int | None = None) -> str:
        """What ``print`` shows; decimals are 1 by default, 3 for several responses.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> fit.text().splitlines()[0]
        'stan_glm'
        """
        draws = self.stan_draws(effects=False)
        if self.stan.prefixes:
            from brim.rstanarm.joint.text import joint_text

            return joint_text(self.stan, draws, 3 if digits is None else digits)
        squares = self.mean_squares() if self.stan.squares else {}
        return fit_text(self.stan, self.nobs(), draws, squares, 1 if digits is None else digits)

    plot = Method("brim.rstanarm.plots")
    posterior_vs_prior = Method("brim.rstanarm.plots")

    def prior_draws(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Draws of the parameters from the model's prior, by rstanarm's names, each ``(chains, draws)``.

        Examples
        --------
        >>> import brim
        >>> given = {"chains": 1, "iter": 400, "seed": 1, "progress": False}
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), **given)
        >>> prior = fit.prior_draws()["sigma"]
        >>> prior.shape, bool(prior.min() > 0)
        ((1, 200), True)
        """
        from brim.fit.run import sample
        from brim.fit.running import Running

        empty = replace(self, model=replace(self.model, prior_only=True), posterior=None, stats={}, info={}, criteria={})
        return sample(empty, Running(progress=False)).stan_draws()

    def launch_shinystan(self, *_: Any, **__: Any) -> None:
        """rstanarm's browser of draws is not here: ``fit.report(path)`` writes diagnostics, predictions and plots into one page.

        Examples
        --------
        >>> import brim
        >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
        >>> fit.launch_shinystan()
        Traceback (most recent call last):
        brim.errors.BrimError: there is no shinystan here
        fit.report('report.html') writes diagnostics, checks and plots into one page
        """
        raise BrimError("there is no shinystan here", hint="fit.report('report.html') writes diagnostics, checks and plots into one page")

    def __str__(self) -> str:
        return self.text() if self.posterior is not None else f"{self.stan.function} model without draws\n formula: {self.stan.formula}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


class PriorSummary(dict[str, Any]):
    """``prior_summary()``: part -> dist, location, scale, adjusted_scale, df; prints as rstanarm does."""

    def __init__(self, parts: dict[str, Any], text: str) -> None:
        super().__init__(parts)
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__
