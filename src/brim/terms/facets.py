"""What others must know of a term as one value, and what terms that are linear in known columns say besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["COUNTABLE", "Design", "LinearFacet", "NewLevels", "Params", "Traits"]

Design = dict[str, Any]
#: How effects of levels without data are drawn: from the draws of a level, from the normal law, or as one of the levels.
NewLevels = Literal["uncertainty", "gaussian", "old_levels"]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Traits:
    """What others must know of a term before they use it.

    Attributes
    ----------
    stage
        Its place among the terms of a predictor: 0 adds to eta, 1 needs the finished eta (residual autocorrelation), 2 changes its
        shape (category-specific effects).
    autocor
        Whether it structures residuals: ``incl_autocor = False`` leaves such terms out of predictions.
    reads
        Distributional parameters of its response whose values it finds among ``params``, as ``dpar:<name>``.
    gives
        The keys of its ``given``.
    hides_prior
        Whether ``lprior`` depends on parameters of it that are not reported.
    countable
        Whether what it learns depends on which rows there are, not on how often each occurs; but for means, which ``average`` takes.
    rowwise
        Whether what it adds to a row depends on the values of that row alone, given the parameters: equal rows are equal to it.
    """

    stage: int = 0
    autocor: bool = False
    reads: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    hides_prior: bool = False
    countable: bool = False
    rowwise: bool = False


#: Traits of terms whose rows have nothing to do with each other.
COUNTABLE = Traits(countable=True, rowwise=True)


class LinearFacet(ABC):
    """A term that is linear in known columns: ``apply`` is ``eta + columns @ coefficients``."""

    @abstractmethod
    def coefficients(self, params: Params) -> Any:
        """What it multiplies its columns with, (columns,): ``apply`` is ``eta + columns @ coefficients``.

        ``params`` are transformed; neither this nor ``transform`` of such a term reads arrays with a row for each observation.
        """

    @abstractmethod
    def columns(self, design: Design) -> Any:
        """The known columns, (rows, columns)."""

    def sampled_as(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the parameters that its ``coefficients`` are in this order; none where they are computed from parameters."""
        return ()
