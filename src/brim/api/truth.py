"""Parameters drawn from a model's prior or posterior, and responses simulated given them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.session import float64
from brim.compile.xla import options
from brim.errors import BrimError
from brim.families.kinds import Kind
from brim.fit.draws import Posterior
from brim.fit.record import FitRecord
from brim.fit.run import sample
from brim.fit.running import Running
from brim.frames.columns import Factor
from brim.frames.frame import Frame
from brim.language.nodes import Call, Name, Node
from brim.linalg import cholesky, inverse_lower
from brim.model.model import Model, ResponseModel, report_function
from brim.parameters.param import Param
from brim.parameters.simulate import prior_params
from brim.post.predict import predict

__all__ = ["Responses", "Truth", "drawn_from_posterior", "drawn_from_prior", "simulated"]

_SAME = 1e-8  # relative difference of numbers that are the same
_APART = 10  # iterations between two draws of a prior that has to be sampled
_PASSES = 500  # times that rows are simulated given earlier ones


@final
@dataclass(frozen=True)
class Truth:
    """Draws of everything a model reports, one a simulation, and how they were drawn."""

    posterior: Posterior
    how: str

    def part(self, share: range) -> Truth:
        """Those of some simulations."""
        arrays = {key: a[:, share.start : share.stop] for key, a in self.posterior.arrays.items()}
        return replace(self, posterior=Posterior(self.posterior.reported, arrays))

    def one(self, i: int) -> Posterior:
        """That of one simulation."""
        return self.part(range(i, i + 1)).posterior


def drawn_from_posterior(fit: FitRecord, n: int, seed: int) -> Truth:
    """``n`` draws of a fit, spread over its chains."""
    total = fit.draws.chains * fit.draws.draws
    if n > total:
        raise BrimError(f"n_sims = {n}: the fit has {total} draws", hint="simulate less, or sample more draws")
    ids = np.linspace(0, total - 1, n).astype(int)
    keys = {q.key for q in fit.draws.reported}
    arrays = {k: a[None] for k, a in fit.draws.flat(ids).items() if k in keys}
    return Truth(Posterior(fit.draws.reported, arrays), "draws of the fit")


def drawn_from_prior(record: FitRecord, n: int, seed: int) -> Truth:
    """``n`` draws from the prior: independent ones where each parameter has a law of its own, or a normal one given those; else sampled."""
    direct = _directly(record, n, seed)
    if direct is not None:
        return Truth(Posterior(record.model.reported(), direct), "independent draws from the prior")
    control = {"adapt_delta": 0.95, "adapted_effects": False, **record.settings.control}
    settings = replace(record.settings, chains=1, warmup=1000, iter=1000 + _APART * n, thin=_APART, control=control, marginalize=False)
    asked = replace(record.request, settings=replace(settings, seed=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = sample(replace(record, request=asked, model=replace(record.model, prior_only=True)), Running(cores=1, progress=False))
    keys = {q.key for q in fit.draws.reported}
    return Truth(replace(fit.draws, arrays={k: a for k, a in fit.draws.arrays.items() if k in keys}), "the prior, sampled")


def _directly(record: FitRecord, n: int, seed: int) -> dict[str, np.ndarray] | None:
    """What the model reports of independent draws from its prior, ``(1, n, ...)``; ``None`` where the prior is no such law.

    Terms may have densities of their own. Where these make the parameters without a law normal given all others, those are drawn so. The
    whole is the prior if the integral over them is the same at every draw of the others.
    """
    model, rng = record.model, np.random.default_rng([seed, 0])
    params = prior_params(model.params, n, rng)
    missing = tuple(p for p in model.params if p.name not in params)
    if any(p.space != "real" or p.lb is not None or p.ub is not None for p in missing):
        return None
    data, z = model.data(record.frame), rng.normal(size=(n, sum(p.size for p in missing)))
    with float64():
        known = {k: jnp.asarray(v) for k, v in params.items()}
        drawn, log_mass, off = jax.jit(jax.vmap(_completion(model, missing), (0, 0, None)), compiler_options=options())(known, z, data)
        if not (np.ptp(log_mass) < _SAME * (1.0 + np.abs(log_mass).max()) and np.max(off) < _SAME):
            return None
        q = jax.vmap(model.layout.unconstrain)(drawn)
        arrays = jax.jit(report_function(model), compiler_options=options())(q, data)
        return {k: np.asarray(v)[None] for k, v in arrays.items() if k != "lprior"}


def _completion(model: Model, missing: tuple[Param, ...]) -> Any:
    """``(parameters, z, data) ->`` all parameters, the log of the integral over the missing ones, and how far these are from normal."""

    def own(u: Any, params: Any, data: Any) -> Any:
        at, design, whole = 0, data["design"], dict(params)
        for p in missing:
            whole[p.name] = jnp.reshape(u[at : at + p.size], p.shape)
            at += p.size
        full = model.transform(whole, design)
        return model.log_measured(full, design) + sum(t.log_prior(full, design[t.key]) for t in model.terms() if t.key in design), whole

    def complete(params: Any, z: Any, data: Any) -> Any:
        zero = jnp.zeros_like(z)
        if not missing:
            value, whole = own(zero, params, data)
            return whole, value, jnp.zeros(())
        precision = -jax.hessian(lambda u: own(u, params, data)[0])(zero)
        low = cholesky(precision)
        back = inverse_lower(low)
        mean = back.T @ (back @ jax.grad(lambda u: own(u, params, data)[0])(zero))
        u = mean + back.T @ z
        top, (there, whole) = own(mean, params, data)[0], own(u, params, data)
        return whole, top - jnp.sum(jnp.log(jnp.diagonal(low))), jnp.abs(there - top + 0.5 * z @ z) / (1.0 + jnp.abs(there))

    return complete


# --------------------------------------------------------------------------- responses


@final
@dataclass(frozen=True)
class Responses:
    """Simulated responses by name, ``(simulations, rows[, columns])``: as the family's law draws them."""

    values: dict[str, np.ndarray]

    def part(self, share: range) -> Responses:
        """Those of some simulations."""
        return Responses({name: v[share.start : share.stop] for name, v in self.values.items()})

    def frame(self, record: FitRecord, i: int, again: bool) -> Frame:
        """The rows with the ``i``-th simulated responses; with ``again`` behind those that were observed."""
        frame, n = record.frame, record.frame.n
        if not again:
            return _with_responses(record.model, frame, {name: v[i] for name, v in self.values.items()})
        twice = frame.take(np.concatenate([np.arange(n), np.arange(n)]))
        seen = record.model.design(frame)
        old = {r.name: seen[r.data_key]["y"] for r in record.model.responses}
        return _with_responses(record.model, twice, {name: np.concatenate([old[name], v[i]]) for name, v in self.values.items()})


def simulated(record: FitRecord, truth: Truth, seed: int) -> Responses:
    """A response of every row given each draw.

    Where those of one row depend on observed ones of others (``ar()``, a response that predicts another), rows are simulated given the
    simulated ones, again and again until nothing changes.
    """
    for r in record.model.responses:
        _check(r, record.frame)
    fit = replace(record, posterior=truth.posterior)
    found = Responses(_drawn(fit, seed))
    for name, v in found.values.items():
        if not np.isfinite(v).all():
            raise BrimError(f"simulated values of '{name}' are not finite: the prior allows too much", hint="give narrower priors")
    once = _drawn(replace(fit, frame=found.frame(record, 0, False)), seed)
    if all(np.array_equal(v[0], found.values[name][0]) for name, v in once.items()):
        return found
    rows = [_settled(record, truth.one(i), found.frame(record, i, False), seed + i) for i in range(truth.posterior.draws)]
    return Responses({name: np.stack([row[name] for row in rows]) for name in found.values})


def _settled(record: FitRecord, truth: Posterior, frame: Frame, seed: int) -> dict[str, np.ndarray]:
    """Responses ``(rows,)`` that are what the law draws given themselves."""
    before: dict[str, np.ndarray] = {}
    for _ in range(_PASSES):
        drawn = {name: v[0] for name, v in _drawn(replace(record, posterior=truth, frame=frame), seed).items()}
        if before and all(np.allclose(v, before[name], rtol=1e-12, atol=0) for name, v in drawn.items()):
            return drawn
        before, frame = drawn, _with_responses(record.model, frame, drawn)
    raise BrimError("responses of this model cannot be simulated: those of rows depend on each other in a circle")


def _drawn(fit: FitRecord, seed: int) -> dict[str, np.ndarray]:
    """A response of every row for each draw of the fit."""
    model = fit.model
    if model.joint is not None:
        together = predict(fit, "predict", seed=seed)
        return {r.name: together[..., i] for i, r in enumerate(model.responses)}
    return {r.name: predict(fit, "predict", resp=r.name, seed=seed + i) for i, r in enumerate(model.responses)}


def _check(r: ResponseModel, frame: Frame) -> None:
    """What a response must be to be simulated."""
    for fn, why in (("cens", "which ones would be censored is not known"), ("weights", "weights are no part of a law"),
                    ("subset", "other rows have none"), ("dec", "a response time is drawn with its decision")):  # fmt: skip
        if any(call.fn == fn for call in r.response.additions):
            raise r.response.error(f"responses with {fn}() cannot be simulated: {why}", "leave it out")
    if r.imputed:
        raise r.response.error("missing responses cannot be simulated", "leave these rows out")
    _columns(r.response.node)


def _columns(node: Node) -> tuple[str, ...]:
    """The columns that a response is read from."""
    if isinstance(node, Name):
        return (node.name,)
    if isinstance(node, Call) and node.fn == "cbind" and all(isinstance(a, Name) for a in node.args):
        return tuple(a.name for a in node.args if isinstance(a, Name))
    raise BrimError("the response is computed from columns: its values cannot be put back there", source=node.source or None,
                    span=node.span, hint="make it a column of the data")  # fmt: skip


def _with_responses(model: Model, frame: Frame, values: dict[str, np.ndarray]) -> Frame:
    columns: dict[str, Any] = {}
    for r in model.responses:
        y, names = values[r.name], _columns(r.response.node)
        if len(names) > 1:
            columns |= {name: y[:, k] for k, name in enumerate(names)}
        elif r.response.levels and r.family.kind.coded:
            codes = (y - (r.family.kind is not Kind.BINARY)).astype(np.int32)
            columns[names[0]] = Factor(codes, r.response.levels, ordered=r.family.kind is Kind.ORDINAL)
        else:
            columns[names[0]] = y
    return frame.with_columns(columns)
