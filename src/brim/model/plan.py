"""What a formula asks for, before anything is learned: each response with its family and the parts that predict its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brim.design.expressions import columns_among
from brim.errors import BrimError, name_list, suggest, warn
from brim.families import Family
from brim.families import family as resolve_family
from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.language.brms import Formula, MvFormula
from brim.language.brms import Predictor as PredictorFormula
from brim.language.expand import SPECIALS, Call, Node, Terms, arguments, deparse, expand, fault, variables
from brim.language.nodes import Name, chain, walk
from brim.model.response import Response
from brim.parameters.param import Where

__all__ = ["PredictorPart", "ResponsePlan", "complete_rows", "read_plans"]


@dataclass(frozen=True)
class PredictorPart:
    """The formula of one predicted parameter.

    ``terms`` is the expanded right-hand side; ``None`` for a nonlinear expression, whose parameters are ``nlpars`` and beside which
    residuals have a ``structure``.
    """

    name: str
    where: Where
    formula: PredictorFormula
    terms: Terms | None
    nlpars: tuple[str, ...] = ()
    structure: Terms | None = None


@dataclass(frozen=True)
class ResponsePlan:
    """One response: its formula, family and response side; after ``learn`` also the parts of its predictors."""

    formula: Formula
    family: Family
    response: Response
    resp: str
    columns: tuple[str, ...]
    parts: tuple[PredictorPart, ...] = ()

    @staticmethod
    def read(formula: Formula, family: Any, multivariate: bool, frame: Frame) -> ResponsePlan:
        """Read one response's formula; the family given with it comes before that of the whole model."""
        own = resolve_family(formula.family if formula.family is not None else family)
        formula = formula.with_autocor()
        if own.components:
            formula = formula.with_shares()
        if deparse(formula.left.response) == ".":
            raise BrimError("the formula has no response", source=str(formula.main), hint="'.' stands for the old one in update() only")
        response = Response(formula.left.response, formula.left.additions, formula.resp).learn_subset(frame)
        return ResponsePlan(formula, own, response, formula.resp if multivariate else "", frame.names)

    def learn_subset(self, frame: Frame) -> ResponsePlan:
        """The plan with the rows of its response learned."""
        return replace(self, response=self.response.learn_subset(frame))

    def complete(self, frame: Frame) -> np.ndarray:
        """Mask of the rows that have all they use; outside its ``subset()`` a response may miss what it likes."""
        for call in (n for tree in self._trees for n in walk(tree) if isinstance(n, Call)):
            if call.fn in SPECIALS and call.kwargs:
                arguments(call)  # a misspelt argument is named before what it holds is taken for a column
        for name in columns_among(self.formula.variables(self.columns), frame):
            self._ask(frame, name)  # an unknown column is named before anything else is done
        right = frame.complete(columns_among(self.formula.right_variables(self.columns, complete=True), frame))
        rows = self.response.rows(frame)
        keep = right if rows is None else right | ~rows
        return keep & ~np.any([*self.response.missing(frame).values(), np.zeros(frame.n, bool)], axis=0)

    @property
    def _trees(self) -> list[Node]:
        """Everything that is written."""
        f = self.formula
        return [n for n in (f.left_node, *(p.rhs for p in (f.main, *f.predictors)), f.autocor, f.unused) if n is not None]

    def _ask(self, frame: Frame, name: str) -> None:
        """A column, with errors that mark it in the formula."""
        node = next((n for tree in self._trees for n in walk(tree) if n == Name(name)), None)
        if name not in frame and node is not None:
            hint = self._not_a_column(name)
            if hint:
                raise fault(node, f"'{name}' is no column", hint)
        try:
            frame.column(name, source=node.source if node else None, span=node.span if node else None)
        except BrimError as error:
            raise error if error.source is not None or node is None else fault(node, error.what, error.hint) from None

    def _not_a_column(self, name: str) -> str:
        """What to do where a nonlinear formula seems to be meant, or a parameter of one has no formula."""
        f = self.formula
        if name in f.parameters and not f.nl:
            return f"'{name} ~ ...' makes it a parameter: a nonlinear formula needs bf(..., nl=True)"
        if f.nl and name in variables(f.main.rhs):
            return suggest(name, self.columns, "columns") + f" A parameter needs a formula of its own: bf(..., '{name} ~ 1', nl=True)"
        return ""

    def rows(self, frame: Frame) -> Frame:
        """The rows of this response: all, or those that ``subset()`` keeps."""
        out = self.response.kept(frame)
        if out.n == 0:
            raise BrimError(f"subset() keeps no row for '{self.response.name}'")
        return out

    def learn(self, frame: Frame) -> ResponsePlan:
        """The plan with its response and family learned from complete rows, and the parts these call for."""
        mine = self.rows(frame)
        response = self.response.learn(mine, self.family)
        try:
            family = self.family.learn(response.seen(mine, self.family))
        except BrimError as error:
            raise error if error.source is not None else response.error(error.what, error.hint) from None
        response.check(mine, family)
        _check_parameters(self.formula, family, self.columns)
        return replace(self, response=response, family=family, parts=self._parts(family))

    def _parts(self, family: Family) -> tuple[PredictorPart, ...]:
        names = [s.name for s in family.dpars]
        fixed = dict(self.formula.fixed)
        predicted = [n for n in names if (n in family.mus and n not in fixed) or n in self.formula.parameters]
        parts = [self._part(n, Where(self.resp, "" if n == "mu" else n), family) for n in predicted]
        nonlinear = [n for n in self.formula.parameters if n not in names and n != "mu"]
        parts = [self._part(n, Where(self.resp, "", n), family) for n in nonlinear] + parts
        return _in_order(parts)

    def as_written(self) -> list[PredictorPart]:
        """The parts as the formula has them: distributional parameters, then nonlinear ones; brms' order of group effects."""
        given = self.formula.parameters
        return sorted(self.parts, key=lambda p: (p.where.nlpar != "", given.index(p.name) if p.name in given else -1))

    def _part(self, name: str, where: Where, family: Family) -> PredictorPart:
        given = name in self.formula.parameters
        formula = self.formula.predictor(name) if given else self.formula.main
        if formula.nl and (formula.center or not formula.cmc or formula.sparse or formula.decomp != "none"):
            hint = 'give them to the formulas of its parameters: lf("a ~ x", decomp="QR")'
            raise BrimError("center, cmc, sparse and decomp are of no use in a nonlinear formula", source=str(formula), hint=hint)
        if formula.sparse and formula.decomp == "QR":
            raise BrimError('decomp = "QR" and sparse = TRUE exclude each other', source=str(formula), hint="leave one of them out")
        if not formula.nl:
            return PredictorPart(name, where, formula, self.formula.terms(name if given else "mu", self.columns))
        own = [n for n in self.formula.parameters if n not in (s.name for s in family.dpars)]
        if len(chain(formula.rhs, "+")) > 150:
            raise fault(formula.rhs, "a nonlinear formula of more than 150 sums", "make columns of what has no parameters")
        structure = expand(self.formula.autocor) if name == "mu" and self.formula.autocor is not None else None
        return PredictorPart(name, where, formula, None, tuple(v for v in variables(formula.rhs) if v in own), structure)


def _in_order(parts: list[PredictorPart]) -> tuple[PredictorPart, ...]:
    """Parts such that the parameters of each nonlinear expression come before it."""
    done: list[PredictorPart] = []
    left = list(parts)
    while left:
        known = {p.name for p in done}
        ready = [p for p in left if set(p.nlpars) <= known]
        if not ready:
            raise BrimError(f"the nonlinear parameters {', '.join(p.name for p in left)} are defined by each other")
        done += ready
        left = [p for p in left if p not in ready]
    return tuple(done)


def _check_parameters(formula: Formula, family: Family, columns: tuple[str, ...]) -> None:
    known = [s.name for s in family.dpars]
    nonlinear = any(p.nl for p in (formula.main, *formula.predictors))
    for name in (p for p in formula.parameters if p != "mu"):
        if name not in known and not nonlinear:
            hint = suggest(name, known, "distributional parameters") + " A nonlinear formula needs nl=True"
            hint += f", a second response mvbf(): mvbf('{formula.main}', '{formula.predictor(name)}')" if name in columns else "."
            raise BrimError(f"the family {family.name} has no parameter '{name}'", source=str(formula), hint=hint)
    if set(family.mus) <= set(dict(formula.fixed)):
        what = f"{', '.join(family.mus)} {'is' if len(family.mus) == 1 else 'are all'} fixed, and nothing is left to predict"
        raise BrimError(what, source=str(formula), hint=f"the right-hand side of the main formula is that of {family.mus[0]}")
    shares = [name for name in family.shares if name in formula.parameters]
    known_shares = {*shares, *(name for name, _ in formula.fixed if name in family.shares)}
    if len(shares) == len(family.shares) > 0 or (shares and len(known_shares) < len(family.shares) - 1):
        hint = f"they are {', '.join(family.shares)}; mixture(..., refcat=False) takes formulas for all"
        raise BrimError("predict all mixing proportions but one, or none", source=str(formula), hint=hint)
    for name, value in formula.fixed:
        for each in (name, value):
            if isinstance(each, str) and each not in known:
                raise BrimError(
                    f"the family {family.name} has no parameter '{each}'", source=str(formula), hint=suggest(each, known, "parameters")
                )


def read_plans(formula: Formula | MvFormula, family: Any, frame: Frame) -> tuple[list[ResponsePlan], Frame]:
    """The learned plan of every response, and the complete rows they were learned on."""
    families = _one_each(formula, family)
    plans = [ResponsePlan.read(f, one, len(formula.formulas) > 1, frame) for f, one in zip(formula.formulas, families, strict=True)]
    for plan in plans:
        if frame.whole is not None and plan.response.subset is not None:
            raise fault(plan.response.subset.node, "subset() of data that are not in memory", "filter the data before: lazy.filter(...)")
    frame = complete_rows(frame, plans).numbered()
    return [p.learn_subset(frame).learn(frame) for p in plans], frame


def _nothing_complete(frame: Frame, plans: Iterable[ResponsePlan]) -> BrimError:
    """The error where each row misses something: the columns that miss most."""
    used = list(dict.fromkeys(n for p in plans for n in columns_among(p.formula.variables(p.columns), frame)))
    missing = {name: int(frame[name].missing.sum()) for name in used}
    most = [name for name in used if missing[name] == frame.n]
    if most:
        one = len(most) == 1
        what = f"column{'s' * (not one)} {name_list(most)} {'has' if one else 'have'} no value at all"
        return BrimError(what, hint=f"give data that have {'it' if one else 'them'}, or leave {'it' if one else 'them'} out of the formula")
    shown = ", ".join(f"{name} ({n})" for name, n in missing.items() if n)
    return BrimError(f"no row is complete in all variables of the model; missing are {shown} of {frame.n}", hint="leave some of them out")


def _one_each(formula: Formula | MvFormula, family: Any) -> list[Any]:
    """The family of each response: one for all, or a list of them."""
    n = len(formula.formulas)
    if not isinstance(family, list | tuple) or isinstance(family, Family):
        return [family] * n
    if len(family) == 2 and all(isinstance(one, str) for one in family) and family[1] in LINKS:  # R's c("bernoulli", "probit")
        return [resolve_family(family[0], link=family[1])] * n
    if len(family) != n:
        raise BrimError(f"family has {len(family)} families for {n} responses", hint="give one for all, or one for each")
    return list(family)


def complete_rows(frame: Frame, plans: Iterable[ResponsePlan]) -> Frame:
    """The rows that have all that each response uses.

    What ``subset()`` learns (``x > mean(x)``), it learns from these rows, so that they are looked at again until none is left out.
    """
    kept = frame
    while True:
        keep = np.all([p.learn_subset(kept).complete(kept) for p in plans], axis=0)
        if keep.all():
            break
        if kept.whole is not None:
            raise BrimError("the formula leaves out rows itself, of data that are not in memory", hint="filter the data before")
        if not keep.any():
            raise _nothing_complete(kept, plans)
        kept = kept.take(keep)
    dropped = frame.n - kept.n
    if dropped:
        warn(f"{dropped} row{'s' * (dropped > 1)} with missing values left out")
    return kept
