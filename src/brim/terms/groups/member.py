"""The part of a block of group effects that stands in one predictor: its coefficients and what they multiply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix, brms_name
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Call, Name, Node, Terms, deparse, variables
from brim.parameters.param import Where
from brim.terms.base import given_key
from brim.terms.groups.grouping import Grouping, mmc_column

__all__ = ["Member", "Term", "term_of"]

#: A term whatever the order of its factors, as they are written; the intercept has none.
Term = frozenset[str]


def term_of(factors: Iterable[Node]) -> Term:
    """The term that these factors make; ``Intercept`` as a column is the intercept."""
    names = frozenset(deparse(f).replace("`", "") for f in factors)
    return frozenset() if names == {"Intercept"} else names


@dataclass(frozen=True)
class Member:
    """The part of a block that stands in one predictor.

    Attributes
    ----------
    terms
        Its plain terms.
    where
        The predictor.
    mmc
        Its calls to ``mmc()``, which stand in ``terms`` as columns of their own name.
    special
        Its special effects (``mo(x)``), the calls as columns of ones; what the coefficients multiply is given by the predictor.
    nthres
        For category-specific effects, ``(cs(x) | g)``: the number of thresholds, each with its own effect.
    cmc
        Whether factors are coded by their cells where there is no intercept.
    coefs, given, mmc_columns
        Learned: all coefficients, special ones last, where the predictor gives what those multiply, and what ``mmc()`` reads.
    kept
        The terms that predictions take, ``None`` for all; coefficients of others multiply zeros.
    """

    terms: Terms = field(compare=False)
    where: Where
    mmc: tuple[Call, ...] = field(compare=False, default=())
    special: Terms | None = field(compare=False, default=None)
    nthres: int = 0
    cmc: bool = True
    coefs: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    special_assign: tuple[int, ...] = ()
    matrix: ModelMatrix | None = field(compare=False, default=None, repr=False)
    mmc_columns: tuple[tuple[str, tuple[Expression, ...]], ...] = field(compare=False, default=(), repr=False)
    kept: frozenset[Term] | None = field(compare=False, default=None, repr=False)

    def learn(self, frame: Frame, grouping: Grouping) -> Member:
        mmc_columns = grouping.learn_members(frame, self.mmc)
        terms = self.terms if self.cmc else replace(self.terms, intercept=True)
        matrix = ModelMatrix(terms).learn(grouping.member_frames(frame, mmc_columns)[0])
        plain = tuple(brms_name(n) for n in matrix.names[self._dropped :])
        if self.nthres:
            plain = tuple(f"{c}[{k + 1}]" for c in plain for k in range(self.nthres))
        special, numbers = self._special_coefs(frame)
        if not plain + special:
            raise BrimError(
                "a group term has no coefficients", source=self.terms.node.source or None, span=self.terms.node.span, hint="write (1 | g)"
            )
        given = tuple(given_key(self.where, c) for c in special)
        return replace(self, matrix=matrix, mmc_columns=mmc_columns, coefs=plain + special, given=given, special_assign=numbers)

    @property
    def _dropped(self) -> int:
        """Columns that stand for an intercept which is not there."""
        return int(not self.cmc and not self.terms.intercept)

    def _special_coefs(self, frame: Frame) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Names of the special coefficients, and the number of each one's term."""
        if self.special is None:
            return (), ()
        ones = {f.name: np.ones(frame.n) for t in self.special.terms for f in t if isinstance(f, Name) and f.name not in frame}
        matrix = ModelMatrix(self.special).learn(frame.with_columns(ones))
        return tuple(brms_name(n) for n in matrix.names[1:]), matrix.assign[1:]

    def written(self) -> tuple[Term, ...]:
        """The terms as the formula has them, intercept first, special ones last."""
        return (*self._plain(), *self._special())

    def _plain(self) -> tuple[Term, ...]:
        calls = {mmc_column(call): deparse(call) for call in self.mmc}
        named = [frozenset(calls.get(f, f) for f in term_of(t)) for t in self.terms.terms]
        return (*((frozenset[str](),) if self.terms.intercept else ()), *named)

    def _special(self) -> tuple[Term, ...]:
        return () if self.special is None else tuple(term_of(t) for t in self.special.terms)

    def variables(self) -> tuple[str, ...]:
        """The columns that the kept terms read."""
        stand_ins = {mmc_column(call) for call in self.mmc}
        kept = [t for t, term in zip(self.terms.terms, self._plain()[int(self.terms.intercept) :], strict=True) if self._takes(term)]
        plain = [v for t in kept for f in t for v in variables(f) if v not in stand_ins]
        called = {deparse(call): call for call in self.mmc}
        taken = {f for term in self._plain() if self._takes(term) for f in term}
        return (*plain, *(v for text, call in called.items() if text in taken for v in variables(call)))

    def _takes(self, term: Term) -> bool:
        return self.kept is None or term in self.kept

    def frames(self, frame: Frame, grouping: Grouping) -> list[Frame]:
        """The frame each membership's coefficients are read from."""
        taken = {mmc_column(call) for call in self.mmc if any(deparse(call) in term for term in self._plain() if self._takes(term))}
        return grouping.member_frames(frame, tuple(c for c in self.mmc_columns if c[0] in taken))

    def columns(self, frame: Frame) -> np.ndarray:
        """What the coefficients multiply, (coefficients, rows): 1 for special ones, repeated for each threshold; 0 where not kept."""
        assert self.matrix is not None
        numbers = range(1 - int(self.terms.intercept), len(self.terms.terms) + 1)
        of_terms = [number for number, term in zip(numbers, self._plain(), strict=True) if self._takes(term)]
        plain = np.repeat(self.matrix.matrix(frame, of_terms)[:, self._dropped :].T, max(self.nthres, 1), axis=0)
        return np.ascontiguousarray(np.concatenate([plain, self._special_columns(frame.n)]))

    def _special_columns(self, n: int) -> np.ndarray:
        kept = [float(self._takes(self._special()[number - 1])) for number in self.special_assign]
        return np.broadcast_to(np.array(kept).reshape(-1, 1), (len(kept), n))

    @property
    def labels(self) -> tuple[str, ...]:
        """Coefficient names with the predictor's prefix, as they stand in ``sd_g__zi_Intercept``."""
        return tuple(self.where.prefix + c for c in self.coefs)
