"""``brm``: from a formula and data to a fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from brim.api.fit import Fit, chains_left
from brim.api.perform import perform, requested
from brim.arguments import named
from brim.fit.record import FitRecord
from brim.infer.nuts.stopping import StopWhen
from brim.language.brms import Formula, MvFormula
from brim.parameters.prior import Priors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["brm", "default_prior", "get_prior"]


@named
def brm(
    formula: str | Formula | MvFormula,
    data: Any,
    family: Any = "gaussian",
    prior: Priors | Iterable[Priors] | None = None,
    *,
    data2: Mapping[str, Any] | None = None,
    knots: Mapping[str, Any] | None = None,
    sample_prior: str | bool = "no",
    chains: int = 4,
    iter: int = 2000,
    warmup: int | None = None,
    thin: int = 1,
    cores: int | None = None,
    seed: int | None = None,
    control: Mapping[str, Any] | None = None,
    init: Any = None,
    algorithm: str = "sampling",
    marginalize: bool | str = "auto",
    drop_unused_levels: bool = True,
    keep: str | Iterable[str] = "all",
    file: str | os.PathLike[str] | None = None,
    file_refit: str = "never",
    progress: bool = True,
    empty: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    stop_when: StopWhen | None = None,
    executor: Any = None,
    device: str | None = None,
    devices: Any = None,
    data_name: str = "data",
) -> Fit:
    """Fit a Bayesian multilevel model.

    The posterior is ``p(parameters | y) ~ p(y | parameters) p(parameters)`` with brms' parameterisation and default
    priors: population-level effects ``b`` flat, ``Intercept`` (at the mean of the predictors), ``sd`` and ``sigma``
    Student-t with 3 degrees of freedom scaled to the response, LKJ(1) for correlations.

    Parameters
    ----------
    formula
        An R formula as a string, ``"y ~ x + (1 + x | g)"``, or what ``bf()`` makes.
    data
        A data frame: pandas, polars, pyarrow, a dict of arrays, or anything narwhals reads. Text has its levels in alphabetical order,
        categories have those of the library, in its order: pandas' categories, an Arrow dictionary, a polars ``Enum``. A polars
        ``Categorical`` has none and is only a grouping factor, as are dates and whole numbers beyond 2^53; ``factor(x)`` makes levels.

        Data larger than memory: the path of Parquet files, a polars LazyFrame, a DuckDB relation, an ibis table or a pyarrow Dataset.
        Of more than ``brim.limits.limits().values`` values (20 million) Gaussian models are reduced to sums as rows stream by, others to
        their distinct rows, which the engine groups; the posterior is the same. What needs each row is then asked of some:
        ``fit.fitted(fit.sample_rows(1000))``.
    family
        Name or constructor of the response family: ``"poisson"``, ``brim.bernoulli("probit")``.
    prior
        Priors made by ``prior()``, summed or in a list.
    data2
        Matrices that the formula names (``gr(g, cov = A)``), and neighbours of regions (``{"a": ["b"], "b": ["a"]}``) or their corners.
    knots
        Knots of smooths by covariate, ``{"x": [0, 0.5, 1]}``; how many a basis takes is mgcv's.
    sample_prior
        ``"yes"`` also draws from the priors (variables ``prior_*``); ``"only"`` leaves the likelihood out.
    chains, iter, warmup, thin
        Chains, iterations of each with warm-up, warm-up iterations (half of ``iter`` by default), thinning.
    cores
        Chains run at the same time; all cores by default. Draws do not depend on it.
    seed
        The same seed gives the same draws.
    control
        ``adapt_delta``, ``max_treedepth``, ``metric`` (``"diag"``, ``"dense"``, ``"low_rank"``), ``step_size``, ``adapted_effects``
        (``False``: group effects and curves that are not integrated out are sampled non-centred).
    init
        ``None`` (or ``"random"``) for starting points near the priors' centre, spread at random; ``0`` starts there without spread; a
        number gives the half-width of the spread. Values of parameters: a dict, ``{"b_x": 0.5, "sigma": 1}``, a list of one for each
        chain, or a function that gives one (of the chain's number, if it takes an argument); names are those of variables, or of
        vectors (``b``, ``sd_1``, and ``Intercept`` at the mean of the predictors), and what is not named starts at random.
        ``"laplace"``, ``"pathfinder"``, ``"meanfield"`` or ``"fullrank"``, or a ``Fit`` of
        the same model (of an earlier state of the data, or by another algorithm): the chains of ``"sampling"`` start at draws from
        there, with a metric from there; warm-up then needs fewer iterations.
    algorithm
        ``"sampling"``: the no-U-turn sampler; ``"nutpie"``, ``"numpyro"``, ``"blackjax"``: those packages' own, for the same density.

        ``"map"``: the mode of the density of the parameters, as one draw, without errors or intervals. Normal group effects and curves
        are integrated out, by their nested Laplace approximation where the response is not Gaussian:
        with flat priors these are the maximum likelihood estimates of ``lmer``, ``glmer`` and ``gamm``.

        ``"nested_laplace"``: draws without chains, of models with at most 50 parameters besides
        normal latent vectors (nested group effects of any number, up to 128 effects that cross them, smooths, Gaussian processes). The
        vectors are integrated at every value of the parameters, one effect a level by quadrature, and these are weighted by importance:
        the draws are those of the posterior as far as the Pareto k-hat, which the summary prints, is below 0.7. ``"auto"``: this where it
        suits the model and its k-hat is below 0.7, else ``"sampling"``; ``fit.engine`` says why.

        ``"laplace"`` (normal law at that mode on unconstrained scales, effects from their conditional law), ``"pathfinder"``,
        ``"meanfield"``, ``"fullrank"`` (variational inference): independent draws from an approximation. The summary says how far it can
        be trusted (Pareto k-hat).
    marginalize
        Whether group effects, smooths and Gaussian processes in the mean of a Gaussian model are integrated out of the density that is
        sampled, exactly, and drawn afterwards given the other parameters: ``"auto"`` where that is possible, ``True`` (an error says why
        where it is not), ``False``. The posterior is the same. ``fit.engine`` tells what was done.
    keep
        Of which long vectors draws are kept (brms' ``save_pars``): ``"all"``; ``"parameters"``: of none, neither effects of single levels
        nor other latent values; or the names of those that are kept, ``["r_g"]``. All other parameters are kept always. What needs draws
        that are not there says so.
    drop_unused_levels
        Whether levels of factors that no row has are left out; ``False`` keeps their coefficients, group effects and categories,
        which only priors inform.
    file, file_refit
        Save the fit there. A fit found there is returned instead of sampling unless ``"always"``, or ``"on_change"`` and something changed.
    progress
        Show a progress bar on stderr.
    empty
        Build everything and sample nothing.
    checkpoint
        A folder where the chains of ``"sampling"`` are kept every few seconds. After a crash or a kill, ``brim.resume(folder)`` (or the
        same call again) goes on to the same draws, bit for bit, that an uninterrupted run gives.
    stop_when
        ``brim.stop_when(ess=1000, rhat=1.01, seconds=600)``: sample until it is good enough, ``iter`` at most. Ctrl-C ends sampling at any
        time, too: the fit has the draws so far and says so.
    executor
        Where chains run, instead of in threads of this process: an executor of ``concurrent.futures``, Dask's ``Client``, or the module
        ``ray``. The draws are the same, bit for bit, on machines of one kind. Should a worker die, the error has the fit of the chains
        that ended: ``error.finished``.
    device
        ``"gpu"`` (or ``"cpu"``): all chains run there as one program. ``control={"precision": "float32"}`` computes the log density in
        float32. The draws are not those of chains in threads, but for rounding they would be.
    devices
        How many devices the rows are divided among (``"all"``, or a mesh of JAX): each computes its part of the log likelihood, with one
        sum over all in every gradient. They may be those of several processes that ``jax.distributed`` joined; then each process makes
        the same call on the same data and gets the same fit.
    data_name
        What the summary calls the data.

    Returns
    -------
    Fit

    Raises
    ------
    BrimError
        For everything wrong with formula, data, priors or arguments: what, where and what to do.

    Examples
    --------
    >>> import brim
    >>> gpa = brim.load_data("gpa")
    >>> fit = brim.brm("gpa ~ occasion + (1 | student)", data=gpa, chains=2, iter=400, seed=1, progress=False)
    >>> list(fit.fixef().index)
    ['Intercept', 'occasion']
    """
    request = requested(
        formula,
        family=family,
        prior=prior,
        data2=data2,
        knots=knots,
        data_name=data_name,
        chains=chains,
        iter=iter,
        warmup=warmup,
        thin=thin,
        seed=seed,
        algorithm=algorithm,
        sample_prior=sample_prior,
        control=control,
        marginalize=marginalize,
        drop_unused_levels=drop_unused_levels,
        keep=keep,
    )
    with chains_left():
        return Fit.of(
            perform(
                request,
                data,
                cores=cores,
                init=init,
                file=file,
                file_refit=file_refit,
                progress=progress,
                empty=empty,
                checkpoint=checkpoint,
                stop_when=stop_when,
                executor=executor,
                device=device,
                devices=devices,
            )
        )


@named
def default_prior(
    formula: str | Formula | MvFormula | FitRecord,
    data: Any = None,
    family: Any = "gaussian",
    *,
    data2: Mapping[str, Any] | None = None,
    knots: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """All parameters of a model that take a prior, with brms' defaults: a table like ``Fit.prior_summary``; also those of a fit.

    Parameters
    ----------
    formula, data, family, data2, knots
        As for ``brm``: defaults follow the response and its scale.

    Returns
    -------
    pandas.DataFrame
        ``prior class coef group resp dpar nlpar lb ub source``, a row for each class and each parameter in it: the address that
        ``prior()`` takes. An empty prior is flat, or that of the class above.

    Raises
    ------
    BrimError
        As ``brm``, of a formula or data that make no model.

    Examples
    --------
    >>> import brim
    >>> table = brim.default_prior("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"))
    >>> table.loc[table["class"] == "Intercept", "prior"].item()
    'student_t(3, 288.7, 59.3)'
    """
    if isinstance(formula, FitRecord):
        fit = formula
        return default_prior(fit.formula, fit.frame, fit.family, data2=fit.data2, knots=fit.settings.knots or None)
    return brm(formula, data, family, data2=data2, knots=knots, empty=True).prior_summary()


#: brms' other name for it.
get_prior = default_prior
