"""From a formula, a family and a data frame to a learned ``Model``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brim.bf import Formula, MvFormula
from brim.bf import Predictor as PredictorFormula
from brim.errors import BrimError, BrimWarning, suggest
from brim.expressions import INTERCEPTS
from brim.families import family as resolve_family
from brim.families.base import DparSpec, Family
from brim.formula import Call, Group, Name, Node, Terms, deparse, special
from brim.frame import Frame
from brim.model import Model, Predictor, ResponseModel, Scalar
from brim.param import Param, Slot, Where
from brim.priors import Priors, resolve
from brim.response import Response
from brim.terms.base import AbstractTerm, Context, Read
from brim.terms.group import GroupBlock, Member
from brim.terms.grouping import mmc_column, parse_grouping
from brim.terms.population import Offset, Population
from brim.terms.registry import TOGETHER, reader

__all__ = ["build", "complete_rows", "read_data2"]


def build(formula: Formula | MvFormula, frame: Frame, family: Any, priors: Priors | None = None, data2: Mapping[str, Any] | None = None) -> tuple[Model, Frame]:
    """The learned model and the rows it was learned on.

    Rows with a missing value in a variable that is used are left out, with a warning.

    Raises
    ------
    BrimError
        For everything that cannot be fitted: unknown columns, terms, families, parameters; data outside the support.
    """
    plans = [_Plan.read(f, family, len(formula.formulas) > 1, frame) for f in formula.formulas]
    _check_rescor(formula, plans)
    frame = complete_rows(frame, plans)
    blocks = _blocks(plans, frame, data2 or {})
    made = [_response_model(plan, frame, blocks, data2 or {}) for plan in plans]
    responses = tuple(r for r, _ in made)
    shared = tuple({t.key: t for _, terms in made for t in terms}.values())
    blocks = tuple(replace(b, sd_default=_sd_defaults(b, responses, plans, frame)) for b in blocks)
    own = tuple(p for r in responses for pred in r.predictors for t in pred.terms for p in t.params())
    scalars = tuple(p for r in responses for p in r.params)
    joint = tuple(p for t in (*shared, *blocks) for p in t.params())
    params = (*own, *scalars, *joint)
    resolved, rows = resolve(params, priors)
    model = Model(responses, blocks, shared, resolved, rows).with_blocks(blocks)
    return model, frame


def read_data2(data2: Mapping[str, Any] | None) -> dict[str, tuple[np.ndarray, tuple[str, ...] | None]]:
    """Matrices with their row names, whichever library they come from."""
    out = {}
    for name, value in (data2 or {}).items():
        index = getattr(value, "index", None)
        names = None if index is None or callable(index) else tuple(str(v) for v in index)
        out[name] = (np.asarray(value, float), names)
    return out


# --------------------------------------------------------------------------- reading one response's formulas


@dataclass(frozen=True)
class _Plan:
    """One response before learning: its family and the expanded formula of each predicted parameter."""

    formula: Formula
    family: Family
    response: Response
    resp: str
    predicted: tuple[tuple[str, Where, PredictorFormula, Terms], ...]

    @staticmethod
    def read(formula: Formula, family: Any, multivariate: bool, frame: Frame) -> _Plan:
        own = resolve_family(formula.family if formula.family is not None else family)
        left = formula.left
        response = Response(left.response, left.additions, formula.resp)
        resp = formula.resp if multivariate else ""
        if formula.nl or any(p.nl for p in formula.predictors):
            raise BrimError("nonlinear formulas are not built yet", source=str(formula.main))
        if formula.autocor is not None:
            raise BrimError("autocorrelation terms are not built yet", source=str(formula.main))
        _check_parameters(formula, own)
        predicted = []
        for spec in own.dpars:
            if spec.name == "mu" or spec.name in formula.parameters:
                part = formula.predictor(spec.name)
                where = Where(resp, "" if spec.name == "mu" else spec.name)
                predicted.append((spec.name, where, part, formula.terms(spec.name, frame.names)))
        return _Plan(formula, own, response, resp, tuple(predicted))

    def variables(self, frame: Frame) -> tuple[str, ...]:
        """The columns that must be complete."""
        names = self.formula.variables(frame.names)
        return tuple(n for n in names if n not in INTERCEPTS)


def _check_parameters(formula: Formula, family: Family) -> None:
    known = [s.name for s in family.dpars]
    given = [*(p for p in formula.parameters if p != "mu"), *(name for name, _ in formula.fixed)]
    for name in given:
        if name not in known:
            raise BrimError(
                f"the family {family.name} has no parameter '{name}'",
                source=str(formula),
                hint=suggest(name, known, "distributional parameters") + " A nonlinear formula needs nl=True.",
            )
        if given.count(name) > 1:
            raise BrimError(f"the parameter '{name}' is given twice", source=str(formula))


def _check_rescor(formula: Formula | MvFormula, plans: list[_Plan]) -> None:
    names = [p.formula.resp for p in plans]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise BrimError(f"two responses have the same name '{twice[0]}'", hint="rename one of them")
    if len(plans) > 1 and formula.rescor:
        raise BrimError("residual correlations between responses are not built yet", hint="add set_rescor(False)")


def complete_rows(frame: Frame, plans: Iterable[_Plan]) -> Frame:
    """Rows without missing values in the variables used; outside its ``subset()`` a response may miss what it likes."""
    keep = np.ones(frame.n, bool)
    for plan in plans:
        for name in plan.variables(frame):
            frame[name]  # an unknown column is named before anything else is done
        mine = frame.complete(plan.variables(frame))
        rows = plan.response.rows(frame)
        keep &= mine if rows is None else mine | ~rows
    if keep.all():
        return frame
    if not keep.any():
        raise BrimError("no row is complete in all variables of the model", hint="look for a column that is all missing")
    dropped = int((~keep).sum())
    warnings.warn(f"{dropped} row{'s' * (dropped > 1)} with missing values left out", BrimWarning, stacklevel=4)
    return frame.take(keep)


# --------------------------------------------------------------------------- group effects


@dataclass(frozen=True)
class _Piece:
    """A group term of one predictor on its way into a block."""

    plan: _Plan
    where: Where
    group: Group
    member: Member


def _blocks(plans: list[_Plan], frame: Frame, data2: Mapping[str, Any]) -> tuple[GroupBlock, ...]:
    """Gather group terms into blocks: those that share an ID, else each its own; sorted by group as in brms."""
    pieces: dict[Any, list[_Piece]] = {}
    for plan in plans:
        for _, where, _, terms in plan.predicted:
            for i, group in enumerate(terms.groups):
                member = Member(*_without_mmc(group.terms, where))
                key = ("id", group.id) if group.id else (where, i)
                pieces.setdefault(key, []).append(_Piece(plan, where, group, member))
    blocks = [_block(group, frame, data2) for group in pieces.values()]
    blocks.sort(key=lambda b: b.grouping.label)
    labels = [b.grouping.label for b in blocks]
    out = tuple(
        replace(b, index=i + 1, grouping=replace(b.grouping, only=labels.count(b.grouping.label) == 1)) for i, b in enumerate(blocks)
    )
    _check_unique(out)
    return out


def _block(pieces: list[_Piece], frame: Frame, data2: Mapping[str, Any]) -> GroupBlock:
    groupings = [parse_grouping(p.group.by, data2) for p in pieces]
    first = groupings[0]
    for g in groupings[1:]:
        if g != first:
            raise g.error(f"terms with the same ID have different groupings: '{first.label}' and '{g.label}'", "give them the same grouping, or other IDs")
    for p in pieces:
        _check_group_terms(p.group)
    correlated = first.correlated and all(p.group.correlated for p in pieces)
    block = GroupBlock(0, first, tuple(p.member for p in pieces), correlated)
    rows = pieces[0].plan.response.rows(frame) if len({p.plan.resp for p in pieces}) == 1 else None
    return block.learn(frame if rows is None else frame.take(rows))


def _without_mmc(terms: Terms, where: Where) -> tuple[Terms, Where, tuple[Call, ...]]:
    """Terms with each ``mmc()`` replaced by the column of its name; the calls."""
    calls = tuple(f for t in terms.terms for f in t if isinstance(f, Call) and f.fn == "mmc")
    if not calls:
        return terms, where, ()

    def column(node: Node) -> Node:
        return Name(mmc_column(node), source=node.source, span=node.span) if isinstance(node, Call) and node.fn == "mmc" else node

    return replace(terms, terms=tuple(tuple(column(f) for f in t) for t in terms.terms)), where, calls


def _check_group_terms(group: Group) -> None:
    mm = isinstance(group.by, Call) and group.by.fn == "mm"
    for term in group.terms.terms:
        for factor in term:
            kind = special(factor)
            if kind is not None and not (kind.kind == "mmc" and mm):
                raise _not_built(factor, f"{deparse(factor)} in a group term")


def _check_unique(blocks: tuple[GroupBlock, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for b in blocks:
        for label in b.labels:
            if (b.grouping.label, label) in seen:
                raise b.grouping.error(f"the effect of '{label}' varies by '{b.grouping.label}' twice", "leave one of the terms out")
            seen.add((b.grouping.label, label))


def _sd_defaults(block: GroupBlock, responses: tuple[ResponseModel, ...], plans: list[_Plan], frame: Frame) -> tuple[str, ...]:
    scale = {r.resp: _location_scale(r, p, frame)[1] for r, p in zip(responses, plans, strict=True)}
    return tuple(f"student_t(3, 0, {scale[m.where.resp]:g})" for m in block.members)


# --------------------------------------------------------------------------- one response


def _response_model(plan: _Plan, frame: Frame, blocks: tuple[GroupBlock, ...], data2: Mapping[str, Any]) -> tuple[ResponseModel, tuple[AbstractTerm, ...]]:
    """One response, learned, and the terms its predictors share with others."""
    rows = plan.response.rows(frame)
    mine = frame if rows is None else frame.take(rows)
    if mine.n == 0:
        raise BrimError(f"subset() keeps no row for '{plan.response.name}'")
    response = plan.response.learn(mine, plan.family)
    draft = ResponseModel(plan.resp, response, plan.family, _family_key(plan.family), (), (), ())
    offsets = {name: _offsets(terms, mine) for name, _, _, terms in plan.predicted}
    defaults = _Defaults(*_scale(response, plan.family, mine, offsets))
    predictors, shared = [], []
    for name, where, part, terms in plan.predicted:
        read = _read_terms(plan, response, name, where, part, terms, mine, offsets[name], blocks, defaults, data2)
        predictors.append(Predictor(name, where, read.terms))
        shared += read.shared
    scalars, params = _scalars(plan, response, defaults)
    return replace(draft, predictors=tuple(predictors), scalars=scalars, params=params), tuple(shared)


def _family_key(family: Family) -> tuple[Any, ...]:
    """What tells two families apart in a compiled program."""
    return (family.name, tuple(sorted(family.links.items())), repr(sorted(family.options.items())))


def _offsets(terms: Terms, frame: Frame) -> tuple[Offset, ...]:
    calls = [t[0] for t in terms.terms if len(t) == 1 and isinstance(t[0], Call) and t[0].fn == "offset"]
    out = []
    for call in calls:
        assert isinstance(call, Call)
        if len(call.args) != 1:
            raise BrimError("offset() takes one expression", source=call.source or None, span=call.span)
        out.append(Offset(call.args[0], deparse(call.args[0])).learn(frame))
    return tuple(out)


def _scale(response: Response, family: Family, frame: Frame, offsets: Mapping[str, tuple[Offset, ...]]) -> tuple[float, float]:
    """Location and scale of the default priors; offsets of ``mu`` are taken off the response first."""
    y = response.design(frame, family)["y"]
    shift = sum(float(np.mean(o.design(frame)["offset"])) for o in offsets.get("mu", ()))
    return response.prior_scale(y, family, shift)


def _location_scale(r: ResponseModel, plan: _Plan, frame: Frame) -> tuple[float, float]:
    rows = r.response.rows(frame)
    mine = frame if rows is None else frame.take(rows)
    offsets = {p.name: tuple(t for t in p.terms if isinstance(t, Offset)) for p in r.predictors}
    return _scale(r.response, plan.family, mine, offsets)


@dataclass(frozen=True)
class _Defaults:
    """brms' data-dependent default priors of one response."""

    location: float
    scale: float

    def text(self, prior: str) -> str:
        """A spec's default prior with ``location`` and ``scale`` spelled out."""
        if prior == "location":
            return f"student_t(3, {self.location:g}, {self.scale:g})"
        if prior == "scale":
            return f"student_t(3, 0, {self.scale:g})"
        return prior


def _read_terms(
    plan: _Plan,
    response: Response,
    name: str,
    where: Where,
    part: PredictorFormula,
    terms: Terms,
    frame: Frame,
    offsets: tuple[Offset, ...],
    blocks: tuple[GroupBlock, ...],
    defaults: _Defaults,
    data2: Mapping[str, Any],
) -> Read:
    """The learned terms of one predictor, in the order they are applied, and what it shares with others."""
    plain, kinds = _by_kind(terms)
    link = plan.family.links[name]
    context = Context(where, terms, frame, data2, defaults.scale, lambda f: response.design(f, plan.family)["y"], plan.family.name, link)
    special_terms = [reader(kind, _first_special(group[0]))(tuple(group), context) for kind, group in kinds.items()]
    default = defaults.text(plan.family.spec(name).prior_of_intercept(link))
    population = Population(replace(terms, terms=plain, groups=()), where, default, part.center).learn(frame)
    effects = tuple(e for b in blocks for e in b.effects() if b.members[e.member].where == where)
    own = tuple(t for r in special_terms for t in r.terms)
    shared = tuple(t for r in special_terms for t in r.shared)
    return Read(tuple(sorted((population, *offsets, *own, *effects), key=lambda t: t.stage)), shared)


def _by_kind(terms: Terms) -> tuple[tuple[tuple[Node, ...], ...], dict[str, list[tuple[Node, ...]]]]:
    """Plain terms, and special terms by kind; offsets are in neither."""
    plain: list[tuple[Node, ...]] = []
    kinds: dict[str, list[tuple[Node, ...]]] = {}
    for term in terms.terms:
        found = [s.kind for s in map(special, term) if s is not None]
        if not found:
            plain.append(term)
        elif found != ["offset"]:
            kinds.setdefault(TOGETHER.get(found[0], found[0]), []).append(term)
    return tuple(plain), kinds


def _first_special(term: tuple[Node, ...]) -> Node:
    return next(f for f in term if special(f) is not None)


def _not_built(node: Node, what: str) -> BrimError:
    return BrimError(f"{what} is not built yet", source=node.source or None, span=node.span)


def _scalars(plan: _Plan, response: Response, defaults: _Defaults) -> tuple[tuple[Scalar, ...], tuple[Param, ...]]:
    """Distributional parameters that are not predicted: sampled, fixed, or equal to another."""
    predicted = {name for name, *_ in plan.predicted}
    scalars, params = [], []
    for spec in plan.family.dpars:
        if spec.name in predicted:
            continue
        value = plan.formula.value(spec.name)
        if isinstance(value, str):
            if value not in [s.name for s in plan.family.dpars]:
                raise BrimError(f"'{spec.name}' cannot equal '{value}'", hint=suggest(value, [s.name for s in plan.family.dpars], "parameters"))
            key = value if value in predicted else _key(value, plan.resp)
            scalars.append(Scalar(spec.name, key))
            continue
        if value is None and spec.name == "sigma" and not response.estimates_sigma:
            value = 0.0
        value = spec.fixed if value is None else value
        scalars.append(Scalar(spec.name, _key(spec.name, plan.resp)))
        params.append(_scalar_param(spec, plan.resp, value, defaults))
    return tuple(scalars), tuple(params)


def _key(dpar: str, resp: str) -> str:
    return f"{dpar}_{resp}" if resp else dpar


def _scalar_param(spec: DparSpec, resp: str, value: float | None, defaults: _Defaults) -> Param:
    key = _key(spec.name, resp)
    if value is not None:
        low, high = spec.lb, spec.ub
        if (low is not None and value < low) or (isinstance(high, float) and value > high):
            raise BrimError(f"{spec.name} = {value:g} is outside its bounds", hint=f"lower bound {low}, upper bound {high}")
        return Param(key, constants=(0,), constant_values=(float(value),))
    if isinstance(spec.ub, str):
        raise BrimError(f"the parameter '{spec.name}' with upper bound {spec.ub} is not built yet")
    slot = Slot(spec.name, where=Where(resp), default=defaults.text(spec.prior))
    return Param(key, slots=(slot,), lb=spec.lb, ub=spec.ub)
