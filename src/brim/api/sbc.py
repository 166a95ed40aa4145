"""Simulation-based calibration: data simulated from known parameters, fitted, and the ranks of the true values among the draws."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from brim.api.perform import perform, requested
from brim.api.truth import Truth, drawn_from_posterior, drawn_from_prior, simulated
from brim.arguments import drawn_seed, named, whole
from brim.errors import BrimError
from brim.executors import ordered, shares
from brim.fit.draws import Posterior
from brim.fit.record import FitRecord
from brim.fit.run import sample
from brim.fit.running import Running
from brim.frames.frame import Frame
from brim.infer.diagnostics import ess_bulk
from brim.parameters.simulate import flat_slots
from brim.post.calibration.result import SBC
from brim.post.predict import predict

__all__ = ["sbc"]


@named
def sbc(
    formula: Any,
    data: Any = None,
    family: Any = "gaussian",
    prior: Any = None,
    *,
    n_sims: int = 200,
    draws: int = 99,
    warmup: int = 300,
    thin: int = 6,
    seed: int | None = None,
    variables: str | Iterable[str] | None = None,
    data2: Mapping[str, Any] | None = None,
    control: Mapping[str, Any] | None = None,
    marginalize: bool | str = "auto",
    executor: Any = None,
) -> SBC:
    """Simulation-based calibration (Talts et al. 2018; Modrák et al. 2023): does the sampler find what data were simulated with?

    ``n_sims`` times: parameters are drawn from the prior, a response is simulated given them, the model is fitted to it. The rank of each
    true value among the draws is uniform if, and as far as ranks can tell only if, the posterior is right. The log likelihood at the
    true parameters is ranked too: it sees errors that the ranks of parameters alone cannot.

    Given a fit in place of the formula (also ``fit.sbc()``): posterior SBC (Säilynoja, Schmitt, Bürkner & Vehtari 2025). Parameters
    are drawn from the posterior, and the model is fitted to the data together with as many simulated ones: calibration where the
    posterior is, whatever the prior.

    Parameters
    ----------
    formula, family, prior, data2, control, marginalize
        The model, as for ``brm``; or a fit. All priors must be proper.
    data
        Predictors and groups. Of the response the kind is taken: its levels, and brms' default priors.
    n_sims
        Number of simulations.
    draws, warmup, thin
        Of each fit, one chain: draws that are kept, warm-up iterations, iterations from one draw to the next. Ranks of draws that depend
        on each other are too extreme: the result says where ``thin`` should be larger.
    seed
        The same seed gives the same ranks.
    variables
        Which are ranked, by name or by what stands before an index; by default all parameters, the first of each vector of effects,
        and ``log_lik``.
    executor
        Where the fits run: see ``brm``.

    Returns
    -------
    SBC
        ``.ranks``, ``.summary()``, ``.plot()``, ``.ok``.

    Raises
    ------
    BrimError
        A prior is flat (it is named), or responses of the model cannot be simulated (censored, weighted or partly missing ones).

    Examples
    --------
    >>> import brim, numpy as np
    >>> data = {"y": np.zeros(30), "x": np.linspace(-1, 1, 30)}
    >>> prior = brim.prior("normal(0, 1)") + brim.prior("normal(0, 1)", class_="Intercept") + brim.prior("exponential(1)", class_="sigma")
    >>> result = brim.sbc("y ~ x", data, prior=prior, n_sims=20, draws=49, thin=2, seed=1)
    >>> result.ranks.shape, list(result.ranks.columns)
    ((20, 4), ['b_Intercept', 'b_x', 'sigma', 'log_lik'])
    """
    n_sims, seed = whole("n_sims", n_sims, least=10), drawn_seed(seed)
    run = {
        "chains": 1,
        "thin": whole("thin", thin, least=1),
        "warmup": whole("warmup", warmup, least=1),
        "iter": warmup + whole("draws", draws, least=9) * thin,
    }
    if isinstance(formula, FitRecord):
        if data is not None:
            raise BrimError("sbc(fit) takes its data from the fit", hint="leave data out, or give a formula")
        record, again = formula, True
        truth = drawn_from_posterior(record, n_sims, seed)
    else:
        record, again = _built(formula, data, family, prior, data2=data2, control=control, marginalize=marginalize, seed=seed, **run), False
        truth = drawn_from_prior(record, n_sims, seed)
    record.frame.every("sbc()")
    record = _bare(record, run)
    names = _ranked(truth, variables)
    ys = simulated(record, truth, seed)
    plan = Study(record, names, again, seed)
    calls = [(plan, truth.part(share).posterior.arrays, ys.part(share), share) for share in shares(n_sims, executor)]
    found = [row for rows in ordered(executor, _simulations, calls, "share of the simulations") for row in rows]
    return _result(found, truth, plan, again)


def _built(formula: Any, data: Any, family: Any, prior: Any, **settings: Any) -> FitRecord:
    """The model, with its priors checked."""
    if data is None:
        raise BrimError("sbc() needs data: predictors, groups, and a response of the right kind", hint="or give a fit: brim.sbc(fit)")
    given = {"algorithm": "sampling", "sample_prior": "no", "data_name": "data", **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of these responses
        record = perform(requested(formula, family=family, prior=prior, **given), data, empty=True)
    flat = flat_slots(record.model.params)
    if flat:
        slots = [p.slots[min(i, len(p.slots) - 1)] for p, i in flat]
        what = dict.fromkeys(f"class = {s.class_}" + (f", coef = {s.coef}" if s.coef else "") + _at(s.where) for s in slots)
        hint = f"give them proper ones: prior('normal(0, 1)', class_='{slots[0].class_}')"
        raise BrimError(f"sbc() needs proper priors; those of {'; '.join(what)} are flat", hint=hint)
    return record


def _at(where: Any) -> str:
    return "".join(f", {name} = {getattr(where, name)}" for name in ("resp", "dpar", "nlpar") if getattr(where, name))


def _bare(record: FitRecord, run: Mapping[str, Any]) -> FitRecord:
    """The model without draws, to be sampled as ``run`` says."""
    if record.model.prior_only:
        raise BrimError("sbc() of a fit that leaves the likelihood out", hint="fit the model with sample_prior='no'")
    settings = replace(record.settings, **run, sample_prior="no", algorithm="sampling")
    request = replace(record.request, settings=settings)
    return replace(record, request=request, posterior=None, stats={}, info={}, criteria={})


def _ranked(truth: Truth, variables: str | Iterable[str] | None) -> tuple[str, ...]:
    """Names of what is ranked: what varies."""
    posterior = truth.posterior
    if variables is not None:
        wanted = [variables] if isinstance(variables, str) else list(variables)
        names = [*posterior.expand([v for v in wanted if v != "log_lik"]), *(["log_lik"] if "log_lik" in wanted else [])]
        for name in names:
            if name != "log_lik":
                posterior[name]  # raises for an unknown one
        return tuple(names)
    out = []
    for q in posterior.reported:
        out += [str(n) for n in np.ravel(q.names)[: 1 if q.kind.inner else None]]
    return (*(name for name in out if np.ptp(posterior[name]) > 0), "log_lik")


# --------------------------------------------------------------------------- one simulation


@final
@dataclass(frozen=True)
class Study:
    """What all simulations share: the model without draws, what is ranked, whether its own data stay."""

    record: FitRecord
    names: tuple[str, ...]
    again: bool
    seed: int


def _simulations(plan: Study, arrays: Mapping[str, np.ndarray], ys: Any, numbers: range) -> list[dict[str, Any]]:
    """What a worker does: some simulations, one after the other, of the draws ``arrays`` of what the model reports."""
    truth = Truth(Posterior(plan.record.model.reported(), arrays), "")
    return [_simulation(plan, truth.one(i), ys.frame(plan.record, i, plan.again), number) for i, number in enumerate(numbers)]


def _simulation(plan: Study, truth: Posterior, frame: Frame, number: int) -> dict[str, Any]:
    """Fit to one simulated data set: the rank of each true value, with a coin for ties."""
    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0] >> 1)
    settings = replace(plan.record.settings, seed=seed)
    record = replace(plan.record, frame=frame, request=replace(plan.record.request, settings=settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = sample(record, Running(cores=1, progress=False))
        except BrimError as error:
            return {"failed": str(error)}
    rng = np.random.default_rng([seed, 1])
    likely = _log_lik(fit, truth, seed)
    ranks, values, ess = {}, {}, []
    for name in plan.names:
        true, drawn = likely if name == "log_lik" else (float(truth[name].item()), np.ravel(fit.draws[name]))
        ranks[name] = int(np.sum(drawn < true)) + int(rng.integers(np.sum(drawn == true) + 1))
        values[name] = true
        ess.append(float(ess_bulk(drawn[None])) if np.ptp(drawn) > 0 else len(drawn))
    told = {"seed": seed, "divergent": int(np.sum(fit.stats["diverging"])), "ess": min(ess)}
    return {"ranks": ranks, "truth": values, "fit": told, "engine": fit.engine}


def _log_lik(fit: FitRecord, truth: Posterior, seed: int) -> tuple[float, np.ndarray]:
    """The log likelihood of the data at the true parameters and at each draw."""
    arrays = {q.key: np.concatenate([truth.arrays[q.key], fit.draws.arrays[q.key]], axis=1) for q in fit.draws.reported}
    both = replace(fit, posterior=Posterior(fit.draws.reported, arrays))
    found = np.nansum(predict(both, "log_lik", seed=seed), axis=1)
    return float(found[0]), found[1:]


def _result(found: list[dict[str, Any]], truth: Truth, plan: Study, again: bool) -> SBC:
    import pandas as pd

    fitted = [row for row in found if "failed" not in row]
    if len(fitted) < 2:
        raise BrimError("no simulated data set could be fitted", hint=f"the first said: {found[0].get('failed', '')}")
    index = pd.Index([i for i, row in enumerate(found) if "failed" not in row], name="simulation")
    tables = [pd.DataFrame([row[part] for row in fitted], index=index) for part in ("ranks", "truth", "fit")]
    info = {
        "kind": "posterior" if again else "prior",
        "formula": str(plan.record.formula).replace("\n", ", "),
        "engine": fitted[0]["engine"],
        "prior_draws": truth.how,
        "failed": len(found) - len(fitted),
    }
    return SBC(tables[0], tables[1], plan.record.settings.draws, tables[2], info)
