"""From a formula, a family and a data frame to a learned ``Model``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from brim.design.matrix import brms_name
from brim.design.splines.knots import check_knots, knot_arrays
from brim.design.splines.markov import neighbours
from brim.errors import BrimError
from brim.families.base import DparSpec
from brim.frames.columns import level_name
from brim.frames.frame import Frame
from brim.frames.middle import average
from brim.language.brms import Formula, MvFormula
from brim.language.expand import Call, Name, Node, Terms, deparse, special, variables
from brim.model.blocks import gather_blocks
from brim.model.bounds import smallest_response, within_data
from brim.model.defaults import Defaults
from brim.model.doubts import warn_of_doubtful_columns
from brim.model.extras import FamilyExtra
from brim.model.imputation import imputable
from brim.model.model import Model, Predictor, ResponseModel, Scalar
from brim.model.names import check_names
from brim.model.plan import PredictorPart, ResponsePlan, read_plans
from brim.model.rescor import ResidualCorrelation
from brim.model.units import in_units
from brim.parameters.param import Param, Slot, Where
from brim.parameters.prior import Priors, read_priors
from brim.parameters.resolve import resolve
from brim.terms.base import AbstractTerm, Context, Imputable, Read
from brim.terms.elementwise import Elementwise
from brim.terms.groups.effect import GroupEffect
from brim.terms.groups.group import GroupBlock
from brim.terms.nonlinear import Nonlinear
from brim.terms.ordered import OrderedIntercepts
from brim.terms.population import Offset, Population
from brim.terms.registry import reader
from brim.terms.residuals.law import AbstractJointLaw
from brim.terms.shrinkage import Shrinkage, Shrunk, main_arguments
from brim.terms.special.mi import Imputed

__all__ = ["build", "read_data2"]

T = TypeVar("T", bound="AbstractTerm | None")


def build(
    formula: Formula | MvFormula,
    frame: Frame,
    family: Any,
    priors: Priors | None = None,
    data2: Mapping[str, Any] | None = None,
    knots: Mapping[str, tuple[float | str, ...]] | None = None,
) -> tuple[Model, Frame]:
    """The learned model and the rows it was learned on.

    Rows with a missing value in a variable that is used are left out, with a warning.

    Raises
    ------
    BrimError
        For everything that cannot be fitted: unknown columns, terms, families, parameters; data outside the support.
    """
    data2 = data2 or {}
    given = read_priors(priors)
    plans, frame = read_plans(formula, family, frame)
    check_knots(knots or {}, _calls(plans))
    joint = _joint(formula, plans)
    defaults = {p.resp: _defaults(p, frame) for p in plans}
    blocks = gather_blocks(plans, {resp: d.scale for resp, d in defaults.items()}, frame, data2)
    imputables = tuple(i for p in plans if (i := imputable(p.response, p.family, p.resp, frame)) is not None)
    places = knot_arrays(knots or {})
    made = [_Builder(p, p.rows(frame), defaults[p.resp], blocks, data2, given, frame, imputables, joint, places).response() for p in plans]
    responses = tuple(r for r, _ in made)
    shared = _joined(t for _, terms in made for t in terms)
    draft = Model(responses, blocks, shared, joint)
    resolved, rows = resolve(_params(draft), given, data2)
    _check_bounds(responses, resolved)
    model = _with_shrinkage(_with_order(in_units(within_data(replace(draft, params=resolved, rows=rows), frame), frame)), frame)
    if frame.reduced:
        _check_countable(model, frame)
    check_names(model)
    warn_of_doubtful_columns(plans, frame)
    return model, frame


def _check_countable(model: Model, frame: Frame) -> None:
    """Of data whose rows are not all in memory, nothing may be learned that depends on each of them."""
    tied = any(r.residual is not None or r.imputed or r.family.learned for r in model.responses)
    term = next((t for t in model.terms() if not t.traits.countable), None)
    if term is None and not tied:
        return
    what = f"'{_written(term)}' learns from" if term is not None else "the law of the response ties together, or is learned from,"
    raise BrimError(
        f"{what} all {frame.total:,} rows, which are not in memory",
        hint="use terms that are linear in columns of the data, as x + I(x^2) + (1 + x | g); or take some of the rows; "
        "brim.limits.set_limits(values=...) reads more of them into memory",
    )


def _written(term: AbstractTerm) -> str:
    """What a reader calls a term."""
    part = term.latent
    return term.key if part is None else part.vector.label


def _calls(plans: Iterable[ResponsePlan]) -> Iterator[Call]:
    """Calls among the factors of all predictors' terms."""
    for terms in (part.terms for plan in plans for part in plan.parts):
        yield from (f for term in (terms.terms if terms else ()) for f in term if isinstance(f, Call))


def _check_bounds(responses: Iterable[ResponseModel], params: Iterable[Param]) -> None:
    """Coefficients of orthogonal columns have no bounds: those of ``b`` would be none of theirs."""
    bounded = {p.name for p in params if (p.lb, p.ub) != (None, None)}
    for term in (t for r in responses for p in r.predictors for t in p.terms if isinstance(t, Population)):
        if term.sampled != term.key and term.sampled in bounded:
            raise BrimError('priors of class b cannot have bounds with decomp = "QR"', hint="leave out lb and ub, or decomp")


def _with_order(model: Model) -> Model:
    """The model with the intercepts of mixtures in ascending order, where the family asks for it."""
    for r in model.responses:
        if r.family.options.get("order") != "mu" or not r.family.intercepts:
            continue
        mains = [t for p in r.predictors if p.name in r.family.mus for t in p.terms if isinstance(t, Population | Nonlinear)]
        if len(mains) < 2:
            continue  # the others are equal to it, or fixed
        if any(isinstance(t, Nonlinear) for t in mains):
            continue
        keys = [t.intercept_key for t in mains if isinstance(t, Population) and t.intercept]
        if len(keys) < len(mains):
            hint = "say mixture(..., order='none'), or give every mu an intercept"
            raise BrimError("the components of a mixture are ordered by their intercepts, and one has none", hint=hint)
        by_name = {p.name: p for p in model.params}
        term = OrderedIntercepts.of(tuple(by_name[k] for k in keys))
        params = tuple(q for p in model.params for q in (() if p.name in keys[1:] else term.params() if p.name == keys[0] else (p,)))
        model = replace(model, shared=(*model.shared, term), params=params)
    return model


def _with_shrinkage(model: Model, frame: Frame) -> Model:
    """The model with the parameters under a joint shrinkage prior computed from that prior's own parameters."""
    places = dict.fromkeys(p.slots[0].where for p in model.params if p.special)
    terms = [_shrinkage([p for p in model.params if p.special and p.slots[0].where == where], model, frame) for where in places]
    made = {t.parts[0].key: t for t in terms}
    params = tuple(q for p in model.params for q in (made[p.name].params() if p.name in made else () if p.special else (p,)))
    responses = tuple(
        replace(
            r,
            predictors=tuple(replace(p, terms=tuple(_shrunk(t, terms) for t in p.terms)) for p in r.predictors),
            extras=tuple(replace(x, main=_shrunk(x.main, terms)) for x in r.extras),
        )
        for r in model.responses
    )
    return replace(model, responses=responses, shared=(*model.shared, *terms), params=params)


def _shrunk(term: T, priors: list[Shrinkage]) -> T:
    """Coefficients that know what their scales depend on."""
    own = next((s for s in priors if term is not None and s.vector == term.key), None)
    return replace(term, shrunk=own.scaling) if own is not None and isinstance(term, Population) else term


def _shrinkage(group: list[Param], model: Model, frame: Frame) -> Shrinkage:
    """The joint prior of the parameters of one predictor."""
    if any(len(p.shape) > 1 for p in group if p.slots[0].class_ == "b"):
        raise BrimError(f"{group[0].special} does not go with category-specific effects", hint="give a prior for each coefficient")
    name, given = main_arguments({p.slots[0].class_: p.special for p in group})
    where = group[0].slots[0].where
    response = next(r for r in model.responses if r.resp == where.resp)
    scaled = not where.dpar and response.response.estimates_sigma
    scale = next((s.key for s in response.scalars if s.name == "sigma" and scaled), "")
    rows = response.response.rows(frame)
    n = frame.total if rows is None else frame.take(rows).total
    shrinks = [(s, p) for p in group if (s := p.slots[0].shrinks) is not None]
    parts = tuple(Shrunk(p.name, p.shape, s.signed) for s, p in sorted(shrinks, key=lambda pair: pair[0].place))
    return Shrinkage.of(name, given, parts, where, scale, n)


def _joint(formula: Formula | MvFormula, plans: list[ResponsePlan]) -> ResidualCorrelation | None:
    """The joint law of several responses: as ``set_rescor()`` says, else wherever the families have one, as in brms."""
    if len(plans) < 2 or formula.rescor is False:
        return None
    additions = tuple(tuple(p.response.additions) for p in plans)
    try:
        return ResidualCorrelation.of(tuple(p.response.name for p in plans), tuple(p.family for p in plans), additions)
    except BrimError:
        if formula.rescor:
            raise
        return None


def _joined(terms: Iterable[AbstractTerm]) -> tuple[AbstractTerm, ...]:
    """Shared terms, those with the same key as one."""
    out: dict[str, AbstractTerm] = {}
    for t in terms:
        out[t.key] = out[t.key].join(t) if t.key in out else t
    return tuple(out.values())


def _params(model: Model) -> tuple[Param, ...]:
    """All parameters: those of predictors, of responses, then what is shared (the long vectors last)."""
    late = {t.key for t in (*model.shared, *model.blocks)}
    first = [p for t in model.terms() if t.key not in late for p in t.params()]
    scalars = [p for r in model.responses for p in r.params]
    last = [p for t in (*model.shared, *model.blocks) for p in t.params()]
    return (*first, *scalars, *last)


def read_data2(data2: Mapping[str, Any] | None) -> dict[str, Any]:
    """Matrices as ``(values, row names or None)``, whichever library they come from; functions stay as they are.

    A mapping from regions to their neighbours, or to their corners, is the adjacency matrix of these.
    """
    out: dict[str, Any] = {}
    for name, value in (data2 or {}).items():
        if callable(value):
            out[name] = value
            continue
        if isinstance(value, Mapping):
            out[name] = neighbours(value)
            continue
        index = getattr(value, "index", None)
        names = None if index is None or callable(index) else tuple(level_name(v) for v in index)
        try:
            out[name] = (np.asarray(value, float), names)
        except (TypeError, ValueError):
            raise BrimError(
                f"data2: '{name}' is no array of numbers", hint="give a matrix, a vector, neighbours by name, or a function"
            ) from None
    return out


def _defaults(plan: ResponsePlan, frame: Frame) -> Defaults:
    """The default priors of a response; an offset moves the intercept of its own predictor."""
    mine = plan.rows(frame)
    offsets = {p.name: sum(_mean_offset(o, mine) for o in _offsets(p.terms, mine)) for p in plan.parts}
    return Defaults.of(mine, plan.response.name, partial(_response, plan), plan.family, {n: v for n, v in offsets.items() if v})


def _response(plan: ResponsePlan, frame: Frame) -> np.ndarray:
    return plan.response.values(frame, plan.family)


def _mean_offset(term: Offset, frame: Frame) -> float:
    return float(average(frame, f"the mean of {term.key}", lambda rows: np.asarray(term.design(rows)["offset"])))


@dataclass(frozen=True)
class _Builder:
    """Builds one response model."""

    plan: ResponsePlan
    frame: Frame
    defaults: Defaults
    blocks: tuple[GroupBlock, ...]
    data2: Mapping[str, Any]
    priors: Priors
    whole: Frame
    imputables: tuple[Imputable, ...]
    joint: ResidualCorrelation | None
    knots: Mapping[str, np.ndarray]

    def response(self) -> tuple[ResponseModel, tuple[AbstractTerm, ...]]:
        """The response model, learned, and the terms its predictors share with others."""
        family = self.plan.family
        reads = [(part, self.terms(part)) for part in self.plan.parts]
        predictors = tuple(Predictor(part.name, part.where, read.terms) for part, read in reads)
        scalars, params = self.scalars()
        model = ResponseModel(self.plan.resp, self.plan.response, family, family.key, predictors, scalars, params, self.extras(predictors))
        own = self.imputed()
        model = replace(model, imputed=own[0].key if own else "", residual=self.residual(read for _, read in reads))
        return model, (*own, *(t for _, read in reads for t in read.shared))

    def imputed(self) -> tuple[Imputed, ...]:
        """What estimates the missing values of this response, if anything does."""
        return tuple(Imputed.of(i).learn(self.whole) for i in self.imputables if i.resp == self.plan.resp)

    def residual(self, reads: Iterable[Read]) -> AbstractJointLaw | None:
        """The joint law of the residuals, if there is one; it knows nothing of what else changes the likelihood of a row."""
        law: AbstractJointLaw | None = next((r.residual for r in reads if r.residual is not None), None)
        additions = [a.fn for a in self.plan.response.additions if a.fn in ("weights", "cens", "trunc", "entry")]
        if law is not None and additions:
            raise self.plan.response.error(f"{additions[0]}() cannot be combined with {law.what}")
        if law is not None and law.shares_sigma and any(p.name == "sigma" for p in self.plan.parts):
            raise self.plan.response.error("sar() has one sigma for all rows: it cannot be predicted", "leave the formula of sigma out")
        if law is not None and self.joint is not None:
            raise self.plan.response.error(f"{law.what} cannot be combined with correlated responses", "add set_rescor(False)")
        return law

    def terms(self, part: PredictorPart) -> Read:
        """The learned terms of one predictor, in the order they are applied, and what it shares with others."""
        if part.terms is None:
            functions = {k: f for k, f in self.data2.items() if callable(f)}
            curve = Nonlinear(Elementwise(part.formula.rhs, part.nlpars, functions), part.where).learn(self.frame)
            structure = Read(()) if part.structure is None else self.special(replace(part, terms=part.structure))
            return Read(tuple(sorted((curve, *structure.terms), key=lambda t: t.traits.stage)), structure.shared, structure.residual)
        plain, _ = _by_kind(part.terms)
        found = self.special(part)
        own, shared, residual = found.terms, found.shared, found.residual
        effects = tuple(GroupEffect(b, i) for b in self.blocks for i, m in enumerate(b.members) if m.where == part.where)
        _check_given(effects, own, part.terms)
        taken = residual is not None and residual.takes_intercept
        population = self.population(part, replace(part.terms, terms=plain, groups=()), taken)
        terms = (population, *_offsets(part.terms, self.frame), *own, *effects)
        return Read(tuple(sorted(terms, key=lambda t: t.traits.stage)), shared, residual)

    def special(self, part: PredictorPart) -> Read:
        """The special terms of a predictor."""
        assert part.terms is not None
        context = self.context(part)
        reads = [reader(_first_special(group[0]))(tuple(group), context) for group in _by_kind(part.terms)[1].values()]
        residual = next((r.residual for r in reads if r.residual is not None), None)
        return Read(tuple(t for r in reads for t in r.terms), tuple(t for r in reads for t in r.shared), residual)

    def population(self, part: PredictorPart, terms: Terms, taken: bool) -> Population:
        """The population-level effects of a predictor; those of a nonlinear parameter are not centred unless asked for, as in brms.

        ``taken``: the joint law of the rows does not depend on an intercept.
        """
        family = self.plan.family
        if taken:
            return Population(terms, part.where, center=False, thresholds=True, decomp=part.formula.decomp).learn(self.frame)
        if part.where.nlpar:
            default, centred = self.defaults.text("scale", self.defaults.link), bool(part.formula.center)
            return Population(terms, part.where, default, centred, cmc=part.formula.cmc, decomp=part.formula.decomp).learn(self.frame)
        link = family.links[part.name]
        default = self.defaults.text(family.spec(part.name).prior_of_intercept(link), link, part.name)
        if part.name in family.mus and not family.intercepts:
            centred = family.centered and part.formula.centred
            return Population(terms, part.where, default, centred, True, part.formula.cmc, part.formula.decomp).learn(self.frame)
        formula = part.formula
        return Population(terms, part.where, default, formula.centred, cmc=formula.cmc, decomp=formula.decomp).learn(self.frame)

    def context(self, part: PredictorPart) -> Context:
        """What special terms may know."""
        plan = self.plan
        assert part.terms is not None
        return Context(
            where=part.where,
            terms=part.terms,
            frame=self.frame,
            data2=self.data2,
            scale=self.defaults.scale,
            response=lambda frame: plan.response.values(frame, plan.family),
            family=plan.family.name,
            link=plan.family.links.get(part.name, "identity"),
            whole=self.whole,
            imputables=self.imputables,
            mecor=plan.formula.mecor,
            additions=plan.family.additions,
            nthres=max(len(plan.family.categories) - 1, 0),
            response_columns=variables(plan.response.node),
            response_additions=tuple(a.fn for a in plan.response.additions),
            imputed=next(iter(self.imputed()), None),
            knots=self.knots,
        )

    def extras(self, predictors: tuple[Predictor, ...]) -> tuple[FamilyExtra, ...]:
        """The family's parameters without a predictor, as terms; they know the centring of the main predictor."""
        mus = (p for p in predictors if p.name in self.plan.family.mus)
        mains = {p.name: next((t for t in p.terms if isinstance(t, Population)), None) for p in mus}
        first = next(iter(mains.values()))
        known = {part.name for part in self.plan.parts} | {name for name, _ in self.plan.formula.fixed}
        kept = [e for e in self.plan.family.extras if not known & set(e.provides)]
        return tuple(FamilyExtra(e, Where(self.plan.resp), i, mains.get(e.predictor, first)) for i, e in enumerate(kept))

    def scalars(self) -> tuple[tuple[Scalar, ...], tuple[Param, ...]]:
        """Distributional parameters that are not predicted: sampled, fixed, or equal to another."""
        predicted = {part.name for part in self.plan.parts}
        scalars, params = [], []
        for spec in self.plan.family.dpars:
            if spec.name in predicted:
                continue
            value = self.plan.formula.value(spec.name)
            if value is None and spec.optional:
                continue
            if self.joint is not None and spec.name == "nu":
                scalars.append(Scalar("nu", "nu"))  # the joint Student law has one for all responses
                continue
            if isinstance(value, str):
                scalars.append(Scalar(spec.name, value if value in predicted else self.key(value)))
                continue
            if value is None and spec.stem == "sigma" and not self.plan.response.estimates_sigma:
                value = 0.0
            if value is None and not any(r.class_ == spec.name and r.resp == self.plan.resp for r in self.priors):
                value = spec.fixed
            scalars.append(Scalar(spec.name, self.key(spec.name)))
            params.append(self.scalar(spec, value))
        return tuple(scalars), tuple(params)

    def key(self, dpar: str) -> str:
        """Key of a parameter without predictor: ``sigma``, ``sigma_y``."""
        return f"{dpar}_{self.plan.resp}" if self.plan.resp else dpar

    def scalar(self, spec: DparSpec, value: float | None) -> Param:
        """A distributional parameter without predictor, held at ``value`` if given."""
        key = self.key(spec.name)
        symbols = {"min_Y": smallest_response(self.plan.response, self.plan.family, self.frame)} if spec.ub == "min_Y" else {}
        if value is not None:
            high = symbols.get(str(spec.ub), spec.ub)
            if (spec.lb is not None and value < spec.lb) or (isinstance(high, float) and value > high):
                raise BrimError(f"{spec.name} = {value:g} is outside its bounds", hint=f"lower bound {spec.lb}, upper bound {high}")
            return Param(key, constants=(0,), constant_values=(float(value),))
        slot = Slot(spec.name, where=Where(self.plan.resp), default=self.defaults.text(spec.prior))
        return Param(key, slots=(slot,), lb=spec.lb, ub=spec.ub, symbols=symbols)


def _offsets(terms: Terms | None, frame: Frame) -> tuple[Offset, ...]:
    out = []
    for term in terms.terms if terms else ():
        call = term[0]
        if not (len(term) == 1 and isinstance(call, Call) and call.fn == "offset"):
            continue
        if len(call.args) != 1:
            raise BrimError("offset() takes one expression", source=call.source or None, span=call.span)
        out.append(Offset(call.args[0], deparse(call.args[0])).learn(frame))
    return tuple(out)


def _check_given(effects: Iterable[GroupEffect], own: Iterable[AbstractTerm], terms: Terms) -> None:
    """What varies by group among special effects must also be a term of the predictor itself."""
    known = {key for t in own for key in t.traits.gives}
    for e in effects:
        member = e.block.members[e.member]
        for key in member.given:
            if key not in known:
                coef = key.partition(":")[2]
                written = [
                    ":".join(f.name if isinstance(f, Name) else deparse(f) for f in t) for t in (member.special or member.terms).terms
                ]
                term = next((t for t in written if brms_name(t) == coef), coef)
                hint = f"add it as a term of its own: ... + {term} + ({term} | {e.label}), with its factors in the same order"
                raise BrimError(
                    f"the special effect '{coef}' varies by '{e.label}' but is no effect of the predictor",
                    source=terms.node.source or None,
                    hint=hint,
                )


def _by_kind(terms: Terms) -> tuple[tuple[tuple[Node, ...], ...], dict[str, list[tuple[Node, ...]]]]:
    """Plain terms, and special terms by kind; offsets are in neither."""
    plain: list[tuple[Node, ...]] = []
    kinds: dict[str, list[tuple[Node, ...]]] = {}
    for term in terms.terms:
        found = [s.together for s in map(special, term) if s is not None]
        if not found:
            plain.append(term)
        elif found != ["offset"]:
            kinds.setdefault(found[0], []).append(term)
    return tuple(plain), kinds


def _first_special(term: tuple[Node, ...]) -> Node:
    return next(f for f in term if special(f) is not None)
