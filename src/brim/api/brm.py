"""``brm``: from a formula and data to a fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from brim.api.fit import Fit, Settings, load
from brim.compile.compiled import Compiled, compiled
from brim.coordinates import choose
from brim.coordinates.base import AbstractCoordinates, model_target, sample_in
from brim.coordinates.integrated.density import check_marginalize
from brim.errors import BrimError, suggest
from brim.fit.draws import Posterior
from brim.frames.frame import Frame
from brim.infer.engines import engine
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import precompile
from brim.infer.starts import read_init, start_of
from brim.infer.target import Draws, Target
from brim.language.brms import Formula, MvFormula, as_formula
from brim.language.expand import Binary, Call, Name, Node, Paren, Unary, deparse, parse, walk
from brim.model.build import build, read_data2
from brim.model.model import Model, report_function
from brim.parameters.prior import Priors, read_priors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["brm", "default_prior", "target", "update"]

SAMPLE_PRIOR = ("no", "yes", "only")
FILE_REFIT = ("never", "on_change", "always")


def brm(
    formula: str | Formula | MvFormula,
    data: Any,
    family: Any = "gaussian",
    prior: Priors | Iterable[Priors] | None = None,
    *,
    data2: Mapping[str, Any] | None = None,
    sample_prior: str = "no",
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
    file: str | os.PathLike[str] | None = None,
    file_refit: str = "never",
    progress: bool = True,
    empty: bool = False,
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
        A data frame: pandas, polars, pyarrow, a dict of arrays, or anything narwhals reads.
    family
        Name or constructor of the response family: ``"poisson"``, ``brim.bernoulli("probit")``.
    prior
        Priors made by ``prior()``, summed or in a list.
    data2
        Matrices that the formula names (``gr(g, cov = A)``).
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
        (``False``: group effects that are not integrated out are sampled non-centred).
    init
        ``None`` for starting points near the priors' centre, spread at random; ``0`` starts there without spread; a number gives the
        half-width of the spread. ``"laplace"``, ``"pathfinder"``, ``"meanfield"`` or ``"fullrank"``, or a ``Fit`` of the same model (of
        an earlier state of the data, or by another algorithm): the chains of ``"sampling"`` start at draws from there, with a metric from
        there; warm-up then needs fewer iterations.
    algorithm
        ``"sampling"``: the no-U-turn sampler; ``"nutpie"``, ``"numpyro"``, ``"blackjax"``: those packages' own, for the same density.

        ``"map"``: the mode of the density of the parameters, as one draw, without errors or intervals. Normal group effects of the mean
        (of a Gaussian response smooths too) are integrated out, by their nested Laplace approximation where the response is not Gaussian:
        with flat priors these are the maximum likelihood estimates of ``lmer``, ``glmer`` and ``gamm``.

        ``"laplace"`` (normal law at that mode on unconstrained scales, effects from their conditional law), ``"pathfinder"``,
        ``"meanfield"``, ``"fullrank"`` (variational inference): independent draws from an approximation. The summary says how far it can
        be trusted (Pareto k-hat).
    marginalize
        Whether group effects, smooths and Gaussian processes in the mean of a Gaussian model are integrated out of the density that is
        sampled, exactly, and drawn afterwards given the other parameters: ``"auto"`` where that is possible, ``True`` (an error says why
        where it is not), ``False``. The posterior is the same. ``fit.engine`` tells what was done.
    file, file_refit
        Save the fit there. A fit found there is returned instead of sampling unless ``"always"``, or ``"on_change"`` and something changed.
    progress
        Show a progress bar on stderr.
    empty
        Build everything and sample nothing.
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
    settings = _settings(chains, iter, warmup, thin, seed, control, algorithm, sample_prior)
    settings = replace(settings, marginalize=check_marginalize(marginalize))
    path = _file(file, file_refit)
    priors = read_priors(prior)
    parsed = as_formula(formula)
    model, frame = build(parsed, Frame.read(data), family, priors, read_data2(data2))
    if sample_prior == "only":
        _check_proper(model)
        model = replace(model, prior_only=True)
    fit = Fit(parsed, family, model, frame, priors, data2 or {}, settings, data_name=data_name)
    if empty:
        return fit
    if path is not None and path.exists() and file_refit != "always":
        found = _found(path, fit, file_refit)
        if found is not None:
            return found
    fit = sample(fit, cores=cores, init=init, progress=progress)
    if path is not None:
        fit.save(path)
    return fit


def default_prior(
    formula: str | Formula | MvFormula, data: Any, family: Any = "gaussian", *, data2: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """All parameters of a model that take a prior, with brms' defaults: a table like ``Fit.prior_summary``.

    Examples
    --------
    >>> import brim
    >>> table = brim.default_prior("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"))
    >>> table.loc[table["class"] == "Intercept", "prior"].item()
    'student_t(3, 288.7, 59.3)'
    """
    return brm(formula, data, family, data2=data2, empty=True).prior_summary()


# --------------------------------------------------------------------------- checking arguments


def _settings(
    chains: int, iter: int, warmup: int | None, thin: int, seed: int | None, control: Any, algorithm: str, sample_prior: str
) -> Settings:
    warmup = iter // 2 if warmup is None else warmup
    for name, value, least in (("chains", chains, 1), ("iter", iter, 1), ("warmup", warmup, 0), ("thin", thin, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise BrimError(f"{name} = {value!r}", hint=f"give a whole number >= {least}")
    if warmup >= iter:
        raise BrimError(f"warmup = {warmup} leaves none of iter = {iter} iterations", hint="iter counts the warm-up: give iter > warmup")
    if sample_prior not in SAMPLE_PRIOR:
        raise BrimError(f"sample_prior = {sample_prior!r}", hint=suggest(str(sample_prior), SAMPLE_PRIOR, "choices"))
    Control.read(dict(control or {}))
    engine(algorithm)
    return Settings(int(chains), int(iter), int(warmup), int(thin), seed, algorithm, sample_prior, dict(control or {}))


def _file(file: str | os.PathLike[str] | None, refit: str) -> Path | None:
    if refit not in FILE_REFIT:
        raise BrimError(f"file_refit = {refit!r}", hint=suggest(str(refit), FILE_REFIT, "choices"))
    if file is None:
        return None
    path = Path(file)
    path = path if path.suffix == ".nc" else path.with_name(path.name + ".nc")
    if not path.parent.is_dir():
        raise BrimError(f"the folder of file = '{path}' does not exist", hint="make it first: nothing was sampled")
    return path


def _check_proper(model: Model) -> None:
    """Priors must be proper to be sampled from; those that the model's construction fixes are."""
    for p in (p for p in model.params if p.slots):
        covered = {i for piece in p.pieces for i in (range(p.size) if piece.index is None else piece.index)}
        for i in range(p.size):
            if i not in covered and i not in p.constants and not (p.lb is not None and p.ub is not None):
                slot = p.slots[min(i, len(p.slots) - 1)]
                what = f"class = {slot.class_}" + (f", coef = {slot.coef}" if slot.coef else "")
                raise BrimError(
                    f"sample_prior = 'only' needs proper priors; {what} has a flat one",
                    hint=f"give one: prior('normal(0, 1)', class_='{slot.class_}')",
                )


# --------------------------------------------------------------------------- sampling


def target(fit: Fit, init: Any = None) -> Target:
    """The log density of a model on its unconstrained coordinates, as engines take it."""
    return model_target(fit.model, fit.frame, 1.0 if init is None else float(init))


def sample(fit: Fit, *, cores: int | None = None, init: Any = None, progress: bool = True) -> Fit:
    """Run the engine on a built model; returns the fit with draws."""
    s, given = fit.settings, read_init(init)
    space = coordinates(fit, given.spread, "" if given.approximate else s.algorithm)
    note = f"{'NUTS' if s.algorithm == 'sampling' else s.algorithm}, {space.note}"
    if space.target.dim == 0:
        raise BrimError("the model has nothing to estimate: every parameter is constant")
    arguments: dict[str, Any] = {
        "chains": s.chains,
        "warmup": s.warmup,
        "draws": s.iter - s.warmup,
        "thin": s.thin,
        "cores": cores,
        "seed": s.seed,
        "progress": progress,
    }
    if s.algorithm == "sampling" and not given.approximate:
        near = init is None
        control = Control.read({**space.advised, **s.control} if near else dict(s.control))
        _precompile(fit, space, control)
        space, draws = sample_in(space, control=control, near=near, **arguments)
    else:
        start = start_of(given, space.target, s.chains, s.seed, s.algorithm)
        control = Control.read({**space.advised, **s.control} if s.algorithm in choose.NESTED else dict(s.control))
        space, draws = space.run(s.algorithm, control=control, start=start, **arguments)
    draws = replace(draws, info={**draws.info, "engine": note})
    return with_engine_draws(fit, space, draws)


def coordinates(fit: Fit, spread: float = 1.0, algorithm: str = "sampling") -> AbstractCoordinates:
    """What an algorithm works in: see ``brim.coordinates.choose``."""
    s = fit.settings
    wish = choose.Wish(algorithm, s.marginalize, Control.read(dict(s.control)).adapted_effects, spread)
    return choose.coordinates(fit.model, fit.frame, wish)


def _precompile(fit: Fit, space: AbstractCoordinates, control: Control) -> None:
    """Start compiling all programs of a fit, the sampler's first: the others are ready when it is."""
    precompile(space.target, control)
    size = space.size(fit.settings.chains * fit.settings.draws)
    space.prepare(size)
    _report_program(fit.model, size, space.data)


def with_engine_draws(fit: Fit, space: AbstractCoordinates, draws: Draws) -> Fit:
    """The fit with what an engine gave in these coordinates, reported under brms' names, and its warnings raised."""
    from brim.fit.checks import warn_about

    arrays, seconds = report(fit.model, space, draws)
    posterior = Posterior(fit.model.reported(), arrays, _prior_draws(fit, draws))
    info = {**space.told(draws), "completion_seconds": seconds}
    out = replace(fit, posterior=posterior, stats={**draws.stats, "lp": arrays["lp__"]}, info=info)
    warn_about(out)
    return out


def report(model: Model, space: AbstractCoordinates, draws: Draws) -> tuple[dict[str, np.ndarray], float]:
    """Reported quantities of all draws: ``key -> (chains, draws, *shape)``, with ``lprior`` and ``lp__``; seconds of completing draws."""
    shape, data = draws.q.shape[:2], space.data
    total = shape[0] * shape[1]
    run = _report_program(model, space.size(total), data).result().run
    out: dict[str, np.ndarray] = {}
    gain, seconds = np.empty(total), 0.0
    with jax.enable_x64(True):
        for block in space.blocks(draws):
            seconds += block.seconds
            gain[block.rows] = block.gain[: block.kept]
            for key, values in run(block.q, data).items():
                whole = out.setdefault(key, np.empty((total, *values.shape[1:])))
                whole[block.rows] = np.asarray(values)[: block.kept]
    arrays = {k: v.reshape(*shape, *v.shape[1:]) for k, v in out.items()}
    return {**arrays, "lp__": draws.stats["lp"] + gain.reshape(shape)}, seconds


def _report_program(model: Model, size: int, data: Any) -> Future[Compiled]:
    """The compiled report of ``size`` draws at once."""
    q = jax.ShapeDtypeStruct((size, model.layout.dim), np.float64)
    return compiled(("report", model), lambda: report_function(model), (q, data), lambda found: found, short=True)


def _prior_draws(fit: Fit, draws: Draws) -> dict[str, np.ndarray]:
    """Draws from the priors for ``sample_prior = "yes"``."""
    if fit.settings.sample_prior != "yes":
        return {}
    from brim.parameters.draws import prior_draws

    chains, n, _ = draws.q.shape
    rng = np.random.default_rng([int(draws.info["seed"]), 1])
    return {name: values.reshape(chains, n) for name, values in prior_draws(fit.model.params, fit.model.rows, chains * n, rng).items()}


# --------------------------------------------------------------------------- again


def _found(path: Path, fit: Fit, refit: str) -> Fit | None:
    """The fit saved at ``path``, unless it is another model's and ``on_change`` asks to sample anew."""
    from brim.post.files.io import same_model

    found = load(path)
    if refit == "on_change" and not same_model(found, fit):
        return None
    return found


def update(fit: Fit, formula: Any, newdata: Any, changes: Mapping[str, Any]) -> Fit:
    """``Fit.update``: the arguments of the first call with changes."""
    s = fit.settings
    known = {
        "family": fit.family,
        "prior": fit.priors,
        "data2": fit.data2,
        "sample_prior": s.sample_prior,
        "chains": s.chains,
        "iter": s.iter,
        "warmup": s.warmup,
        "thin": s.thin,
        "seed": s.seed,
        "control": s.control,
        "algorithm": s.algorithm,
        "marginalize": s.marginalize,
        "data_name": fit.data_name,
    }
    allowed = {*known, "cores", "init", "file", "file_refit", "progress", "empty"}
    for name in changes:
        if name not in allowed:
            raise BrimError(f"update() has no argument '{name}'", hint=suggest(name, allowed, "arguments"))
    arguments = {**known, **changes}
    if "iter" in changes and "warmup" not in changes:
        arguments["warmup"] = None
    data = fit.frame if newdata is None else newdata
    return brm(_updated(fit.formula, formula), data, **arguments)


def _updated(old: Formula | MvFormula, new: Any) -> Any:
    """The formula of an update; in a string ``.`` stands for the old side, as in R: ``". ~ . - x"``, ``"~ . + z"``."""
    if new is None:
        return old
    if not isinstance(new, str) or isinstance(old, MvFormula) or "." not in _names(new):
        return new
    node = parse(new if not new.lstrip().startswith("~") else f". {new}")
    assert isinstance(node, Binary)
    text = f"{deparse(_fill(node.left, old.left_node))} ~ {deparse(_fill(node.right, Paren(old.main.rhs)))}"
    return replace(old, main=replace(old.main, node=parse(text)))


def _names(text: str) -> set[str]:
    """The names in a formula, ``.`` among them."""
    return {n.name for n in walk(parse(text)) if isinstance(n, Name)}


def _fill(node: Node, old: Node) -> Node:
    """The node with ``.`` replaced."""
    match node:
        case Name("."):
            return old
        case Binary(op, left, right):
            return Binary(op, _fill(left, old), _fill(right, old))
        case Unary(op, inner):
            return Unary(op, _fill(inner, old))
        case Paren(inner):
            return Paren(_fill(inner, old))
        case Call(fn, args, kwargs):
            return Call(fn, tuple(_fill(a, old) for a in args), tuple((k, _fill(v, old)) for k, v in kwargs))
    return node
