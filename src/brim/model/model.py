"""The model: its predictors, blocks and parameters, and the pure functions of ``(params, design)`` that everything calls.

``dpars`` is the one linear-predictor function: fitting, prediction, ``log_lik``, ``pp_check`` and effects all use it.
A ``Model`` is hashable by its structure (learned numbers are in the design), so that it is a static argument of ``jax.jit``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.distributions.observe import truncated_mean, truncated_sample
from brim.errors import BrimError, suggest
from brim.families.base import Dpar, Family
from brim.families.kinds import Kind
from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.model.data import ModelData
from brim.model.extras import FamilyExtra
from brim.model.rescor import ResidualCorrelation
from brim.model.response import Response
from brim.parameters.param import Layout, Param, Where
from brim.parameters.prior import PriorRow, log_density, prior_args
from brim.parameters.reported import FAMILY, Reported, in_order
from brim.terms.base import AbstractTerm, completed
from brim.terms.facets import NewLevels
from brim.terms.groups.effect import GroupEffect
from brim.terms.groups.group import GroupBlock
from brim.terms.latent import AbstractCurve, AbstractLatent
from brim.terms.residuals.law import AbstractJointLaw, ResidualMargin

__all__ = ["Model", "Predictor", "ResponseModel", "Scalar", "log_jacobian_function", "log_joint", "log_joint_function", "report_function"]

Arrays = Mapping[str, Any]

_SAMPLES = 200  # of each row, for the variance of a law that has no formula for it


@dataclass(frozen=True)
class Predictor:
    """The linear predictor of one distributional (or nonlinear) parameter."""

    name: str
    where: Where
    terms: tuple[AbstractTerm, ...]

    def effects(self) -> Iterator[GroupEffect]:
        """Its group effects."""
        return (t for t in self.terms if isinstance(t, GroupEffect))

    def curves(self) -> Iterator[AbstractCurve]:
        """Its curves."""
        return (c for t in self.terms if (part := t.latent) is not None and (c := part.vector.curve) is not None)

    @property
    def reads(self) -> tuple[str, ...]:
        """What its terms read of other distributional parameters."""
        return tuple(dict.fromkeys(name for t in self.terms for name in t.traits.reads))

    def given(self, params: Arrays, design: Arrays) -> dict[str, Any]:
        """What its terms hand to each other: quantities of each row."""
        known = dict(params)
        for term in self.terms:
            known.update(term.given(known, design[term.key]))
        return known

    def eta(self, rows: Any, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """The predictor of every row; ``skip`` leaves terms out (group effects that ``re_formula`` excludes)."""
        eta = jnp.zeros(rows.shape[0])
        known = dict(params)
        for term in self.terms:
            if term.key not in skip:
                known.update(term.given(known, design[term.key]))
                eta = term.apply(eta, known, design[term.key])
        return eta


@dataclass(frozen=True)
class Scalar:
    """A distributional parameter without a predictor: its name and the key of its value (another's key for ``sigma2 = "sigma1"``)."""

    name: str
    key: str


@dataclass(frozen=True)
class ResponseModel:
    """One response: its family and the predictors of its distributional parameters.

    ``imputed`` is the key of the shared term that fills in its missing values (``y | mi()``), empty where there are none to fill.
    ``residual`` is the joint law of rows that are not independent.
    """

    resp: str
    response: Response
    family: Family = field(compare=False)
    family_key: tuple[Any, ...]
    predictors: tuple[Predictor, ...]
    scalars: tuple[Scalar, ...]
    params: tuple[Param, ...]
    extras: tuple[FamilyExtra, ...] = ()
    imputed: str = ""
    residual: AbstractJointLaw | None = None

    @property
    def name(self) -> str:
        return self.response.name

    @property
    def rows_key(self) -> str:
        return f"rows{self.resp}"

    @property
    def data_key(self) -> str:
        return f"data{self.resp}"

    def predictor(self, name: str) -> Predictor | None:
        return next((p for p in self.predictors if p.name == name), None)

    def effects(self) -> Iterator[GroupEffect]:
        """The group effects of all predictors."""
        return (effect for p in self.predictors for effect in p.effects())

    def etas(
        self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset(), given: Arrays = MappingProxyType({})
    ) -> dict[str, Any]:
        """The linear predictor of each predicted parameter, those in ``given`` as they are there.

        Later predictors can read earlier ones as ``params["eta:<name>"]``; terms that read distributional parameters come last.
        """
        rows = design[self.rows_key]
        out: dict[str, Any] = {}
        for p in sorted(self.predictors, key=lambda p: bool(p.reads)):
            known = {f"eta:{name}": eta for name, eta in out.items()}
            known |= {f"dpar:{name}": self._value(name, out, params) for name in p.reads}
            out[p.name] = given[p.name] if p.name in given else p.eta(rows, {**params, **known}, design, skip)
        return out

    def _value(self, name: str, etas: Arrays, params: Arrays) -> Any:
        """A distributional parameter on its own scale, from its predictor or as it is sampled."""
        if name not in etas:
            key = next(s.key for s in self.scalars if s.name == name)
            return params[key] if key not in etas else self._value(key, etas, params)
        return LINKS[self.family.links[name]].inverse(etas[name])

    def dpars(
        self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset(), given: Arrays = MappingProxyType({})
    ) -> dict[str, Dpar]:
        """Every distributional parameter, on its predictor's scale with its link."""
        out = {
            name: Dpar(eta, LINKS[self.family.links[name]])
            for name, eta in self.etas(params, design, skip, given).items()
            if name in self.family.links
        }
        for s in self.scalars:
            out[s.name] = out[s.key] if s.key in out else Dpar(params[s.key])
        for extra in self.extras:
            out.update(extra.dpars(params, design[self.data_key]))
        return out

    def epred(self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """The expected response of every row, as brms defines it."""
        dpars, data = self.dpars(params, design, skip), design[self.data_key]
        if self.residual is not None and self.residual.key not in skip:
            return self.residual.mean(self._margin(params, design, skip).mu, params, design[self.residual.key])
        if "lb" in data or "ub" in data:
            return truncated_mean(self.family.distribution(dpars, data), data)
        return self.family.epred(dpars, data)

    def variance(self, key: Any, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """The variance of every row's response; of ordered categories as numbers from 1; from samples where there is no formula."""
        data = design[self.data_key]
        law = self.distribution(params, design, skip)
        if self.family.kind is Kind.ORDINAL:
            chances = self.epred(params, design, skip)
            values = jnp.arange(1.0, chances.shape[-1] + 1.0)
            return chances @ values**2 - (chances @ values) ** 2
        if type(law).variance is not Distribution.variance and "lb" not in data and "ub" not in data:
            return jnp.broadcast_to(law.variance, design[self.rows_key].shape)
        keys = jax.random.split(key, _SAMPLES)
        return jnp.var(jax.vmap(lambda k: truncated_sample(k, law, data))(keys), axis=0, ddof=1)

    def sample(self, key: Any, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """A new response of every row, within its window."""
        if self.residual is not None and self.residual.key not in skip:
            return self.residual.sample(key, self._margin(params, design, skip), params, design[self.residual.key])
        return truncated_sample(key, self.distribution(params, design, skip), design[self.data_key])

    def _margin(self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> ResidualMargin:
        """What the joint law of the rows needs to know of each."""
        assert self.residual is not None
        return self.residual.margin(self.dpars(params, design, skip), design[self.data_key], design[self.rows_key].shape[0])

    def distribution(self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """The distribution of the response, one element a row."""
        return self.family.distribution(self.dpars(params, design, skip), design[self.data_key])

    def log_lik(self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> Any:
        """Pointwise log likelihood (rows,) of the responses as they were observed; ``NaN`` where missing.

        Where residuals are correlated, that of each row given the others.
        """
        data = design[self.data_key]
        if self.residual is not None and self.residual.key not in skip:
            out = self.residual.log_lik(self.y(params, design), self._margin(params, design, skip), params, design[self.residual.key])
        else:
            out = self.response.log_lik(self.distribution(params, design, skip), data)
        return jnp.where(jnp.isnan(data["y"]), jnp.nan, out) if self.imputed else out

    def y(self, params: Arrays, design: Arrays) -> Any:
        """The response, completed."""
        return completed(self.imputed, params, design[self.imputed]) if self.imputed else design[self.data_key]["y"]

    def log_lik_of(self, dpars: Mapping[str, Dpar], params: Arrays, design: Arrays) -> Any:
        """Pointwise log likelihood (rows,) of the completed response under these distributional parameters."""
        data = {**design[self.data_key], "y": self.y(params, design)}
        return self.response.log_lik(self.family.distribution(dpars, data), data)

    def log_joint(self, params: Arrays, design: Arrays, only_latent: bool = False) -> Any:
        """Log density of the completed response, one value a row: what the joint density takes.

        ``only_latent`` keeps the rows whose response is estimated: the law of these is part of the prior.
        """
        if only_latent and not self.imputed:
            return jnp.zeros(())
        if self.residual is not None:
            if only_latent:
                raise self.response.error("missing responses with correlated residuals have no prior", "leave sample_prior out")
            y = self.y(params, design)
            return self.residual.log_joint(y, self._margin(params, design), params, design[self.residual.key])
        out = self.log_lik_of(self.dpars(params, design), params, design)
        return jnp.where(design[self.imputed]["at"] >= 0, out, 0.0) if only_latent else out


@dataclass(frozen=True)
class Model:
    """A model, learned from its training data and with its priors resolved.

    Attributes
    ----------
    responses
        One ``ResponseModel`` a response.
    blocks
        Blocks of correlated group effects, which may serve several predictors.
    shared
        Other terms that several predictors read (latent variables).
    joint
        The joint law of correlated responses, ``None`` where they are independent given the parameters.
    params
        All parameters, resolved, in the order of the unconstrained vector.
    rows
        The prior table.
    prior_only
        Whether the likelihood is left out (``sample_prior = "only"``).
    """

    responses: tuple[ResponseModel, ...]
    blocks: tuple[GroupBlock, ...]
    shared: tuple[AbstractTerm, ...] = ()
    joint: ResidualCorrelation | None = None
    params: tuple[Param, ...] = ()
    rows: tuple[PriorRow, ...] = field(compare=False, default=())
    prior_only: bool = False

    # ------------------------------------------------------------------ structure

    def response(self, resp: str | None = None) -> ResponseModel:
        """A response by name (the only one if there is one)."""
        if resp is None and len(self.responses) == 1:
            return self.responses[0]
        names = [r.name for r in self.responses]
        for r in self.responses:
            if r.name == resp:
                return r
        if resp is None:
            raise BrimError("the model has several responses", hint=f"say which with resp=: {', '.join(names)}")
        raise BrimError(f"the model has no response '{resp}'", hint=suggest(resp, names, "responses"))

    def terms(self) -> Iterator[AbstractTerm]:
        """Every term: what predictors share first, then those of each predictor."""
        yield from self.shared
        yield from self.blocks
        if self.joint is not None:
            yield self.joint
        for r in self.responses:
            yield from r.extras
        for r in self.responses:
            for p in r.predictors:
                yield from p.terms
            if r.residual is not None:
                yield r.residual

    def latents(self) -> tuple[AbstractLatent, ...]:
        """Its latent vectors, in the order of the terms."""
        vectors = (part.vector for t in self.terms() if (part := t.latent) is not None)
        return tuple({v.key: v for v in vectors}.values())

    def reported(self) -> tuple[Reported, ...]:
        """What a fit holds, in brms' order of variables."""
        out = [q for t in self.terms() for q in t.reported()]
        for r in self.responses:
            out += [Reported(p.name, np.array(p.name, dtype=object), FAMILY, p.name) for p in r.params]
        return in_order(out, (s.name for r in self.responses for s in r.family.dpars))

    @property
    def layout(self) -> Layout:
        return Layout(self.params)

    # ------------------------------------------------------------------ data

    def scope(self, frame: Frame) -> Model:
        """The model that also knows the new levels in ``frame``."""
        return self.with_blocks(tuple(b.scope(frame) for b in self.blocks))

    def with_blocks(self, blocks: tuple[GroupBlock, ...]) -> Model:
        """The model with these blocks in place of its own, in its group effects too."""
        by_key = {b.key: b for b in blocks}

        def scoped(term: AbstractTerm) -> AbstractTerm:
            return term.of(by_key[term.block.key]) if isinstance(term, GroupEffect) else term

        responses = tuple(
            replace(r, predictors=tuple(replace(p, terms=tuple(scoped(t) for t in p.terms)) for p in r.predictors)) for r in self.responses
        )
        return replace(self, responses=responses, blocks=blocks)

    def with_effects(self, effects: Mapping[str, GroupEffect]) -> Model:
        """The model with these group effects, by key, in place of its own."""
        responses = tuple(
            replace(r, predictors=tuple(replace(p, terms=tuple(effects.get(t.key, t) for t in p.terms)) for p in r.predictors))
            for r in self.responses
        )
        return replace(self, responses=responses)

    def without(self, latents: Iterable[AbstractLatent]) -> Model:
        """The model without ``z`` of these vectors, and without what they add to its predictors."""
        gone = frozenset(v.standardised for v in latents)

        def left(p: Predictor) -> Predictor:
            terms = (t if t.latent is None else t.latent.without(gone) for t in p.terms)
            return replace(p, terms=tuple(t for t in terms if t is not None))

        return replace(
            self,
            responses=tuple(replace(r, predictors=tuple(map(left, r.predictors))) for r in self.responses),
            blocks=tuple(b for b in self.blocks if b.standardised not in gone),
            params=tuple(p for p in self.params if p.name not in gone),
        )

    def holding(self, held: Mapping[str, Iterable[int]]) -> Model:
        """The model with these elements of parameters, by name, constant and without priors: their values come with the data."""
        return replace(self, params=tuple(p.held(held[p.name]) if p.name in held else p for p in self.params))

    def design(self, frame: Frame, with_y: bool = True, skip: frozenset[str] = frozenset(), only: str | None = None) -> dict[str, Any]:
        """All arrays for these rows: designs of terms, responses, addition terms; the same code for training and new data."""
        out: dict[str, Any] = {t.key: t.design(frame) for t in (*self.shared, *self.blocks)}
        for r in self.responses:
            if only is not None and r.name != only:
                continue
            mine = r.response.kept(frame) if with_y else frame
            out[r.rows_key] = np.zeros(mine.n, np.int8)
            out[r.data_key] = r.response.design(mine, r.family, with_y)
            for p in r.predictors:
                for t in p.terms:
                    if t.key not in skip:
                        out[t.key] = t.design(mine)
            out.update({e.key: e.design(mine) for e in r.extras})
            if r.residual is not None and r.residual.key not in skip:
                out[r.residual.key] = r.residual.design(mine)
        return out

    def data(self, frame: Frame) -> ModelData:
        """All that the log density reads of these rows, of priors, and of constants."""
        fixed = {p.name: np.array(p.constant_values) for p in self.params if p.constants}
        return {"design": self.design(frame), "prior": prior_args(self.params), "fixed": fixed}

    # ------------------------------------------------------------------ numbers

    def transform(self, params: Arrays, design: Arrays) -> dict[str, Any]:
        """Parameters with everything that is computed from them once: ``r``, ``b_Intercept``, correlations."""
        out = dict(params)
        for t in self.terms():
            out.update(t.transform(out, design.get(t.key, {})))
        return out

    def invert(self, reported: Arrays, design: Arrays) -> dict[str, Any]:
        """Reported quantities with the sampled parameters that carry a prior."""
        out = dict(reported)
        for t in reversed(tuple(self.terms())):
            out.update(t.invert(out, design.get(t.key, {})))
        return out

    def log_lik(self, params: Arrays, design: Arrays) -> Any:
        """Log density of all responses, completed; of estimated ones alone when the model samples its prior. ``params`` are transformed."""
        if self.joint is not None and not self.prior_only:
            return jnp.sum(self.log_lik_at(self.laws[0], {}, params, design))
        return sum(jnp.sum(r.log_joint(params, design, self.prior_only)) for r in self.responses)

    @property
    def laws(self) -> tuple[tuple[int, ...], ...]:
        """Responses whose rows are independent of all others given the predictors: each alone, or all that have a joint law."""
        every = range(len(self.responses))
        return tuple((i,) for i in every) if self.joint is None else (tuple(every),)

    def log_lik_at(self, law: tuple[int, ...], etas: Mapping[tuple[int, str], Any], params: Arrays, design: Arrays) -> Any:
        """Pointwise log likelihood (rows,) of the completed responses of one of ``laws``.

        ``etas`` are predictors, by response and name, that take the place of their own; all else follows from ``params``, transformed.
        """
        members = [self.responses[i] for i in law]
        given = [{name: eta for (i, name), eta in etas.items() if i == at} for at in law]
        dpars = [r.dpars(params, design, given=own) for r, own in zip(members, given, strict=True)]
        if self.joint is not None:
            return self.joint.log_lik([r.y(params, design) for r in members], dpars, [design[r.data_key] for r in members], params)
        return members[0].log_lik_of(dpars[0], params, design)

    def all_dpars(self, params: Arrays, design: Arrays, skip: frozenset[str] = frozenset()) -> tuple[list[dict[str, Dpar]], list[Arrays]]:
        """Distributional parameters and data of every response."""
        return [r.dpars(params, design, skip) for r in self.responses], [design[r.data_key] for r in self.responses]

    def log_measured(self, params: Arrays, design: Arrays) -> Any:
        """What terms add to the log joint density themselves: models of measurement error. ``params`` are transformed."""
        return sum((t.log_density(params, design[t.key]) for t in self.terms() if t.key in design), jnp.zeros(()))

    def log_internal(self, params: Arrays, design: Arrays, args: Arrays) -> Any:
        """What the log joint density holds besides likelihood and ``lprior``: standardised effects, and what terms add themselves."""
        return sum((log_density(p, params, args[p.name]) for p in self.params if not p.in_lprior), self.log_measured(params, design))

    def log_prior(self, params: Arrays, design: Arrays, args: Arrays) -> Any:
        """brms' ``lprior``: the log density of all parameters with a prior row (standardised effects are not among them)."""
        parts = [log_density(p, params, args[p.name]) for p in self.params if p.in_lprior]
        own = sum((t.log_prior(params, design[t.key]) for t in self.terms() if t.key in design), jnp.zeros(()))
        return sum(parts, own)

    def extend(self, keys: Any, params: Arrays, design: Arrays, how: NewLevels) -> dict[str, Any]:
        """Parameters with what new data need drawn (effects of new levels)."""
        out = dict(params)
        for i, t in enumerate(self.terms()):
            mine = tuple(jax.random.fold_in(k, i) for k in keys)
            out.update(t.extend(mine, out, design.get(t.key, {}), how))
        return out


def log_joint(model: Model, q: Any, data: ModelData) -> Any:
    """Log posterior density, up to a constant, at unconstrained ``q``."""
    params, log_det = model.layout.constrain(q, data["fixed"])
    design = data["design"]
    full = model.transform(params, design)
    args = data["prior"]
    return model.log_lik(full, design) + model.log_prior(full, design, args) + model.log_internal(full, design, args) + log_det


@lru_cache(maxsize=64)
def log_joint_function(model: Model) -> Callable[[Any, ModelData], Any]:
    """``log_joint`` of a model; models of the same structure share the function, and with it the compiled program."""

    def log_prob(q: Any, data: ModelData) -> Any:
        return log_joint(model, q, data)

    return log_prob


@lru_cache(maxsize=64)
def log_jacobian_function(layout: Layout) -> Callable[[Any, ModelData], Any]:
    """``(q, data) ->`` the log Jacobian that ``log_joint`` includes; equal layouts share the function."""

    def log_jacobian(q: Any, data: ModelData) -> Any:
        return layout.constrain(q, data["fixed"])[1]

    return log_jacobian


def report_function(model: Model) -> Callable[[Any, ModelData], dict[str, Any]]:
    """``(q (draws, dim), data) -> reported quantities and lprior`` of every draw."""
    keys = tuple(dict.fromkeys(q.key for q in model.reported()))

    def one(q: Any, data: ModelData) -> dict[str, Any]:
        params, _ = model.layout.constrain(q, data["fixed"])
        full = model.transform(params, data["design"])
        return {**{k: full[k] for k in keys}, "lprior": model.log_prior(full, data["design"], data["prior"])}

    return jax.vmap(one, in_axes=(0, None))
