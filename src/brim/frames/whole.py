"""All rows of data that are not in memory: what was asked of them, and the way to read them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import numpy as np

from brim.errors import BrimError

if TYPE_CHECKING:
    from brim.frames.lazy import Stream

__all__ = ["Answer", "ColumnMoments", "Whole"]

Answer = dict[str, np.ndarray]
Rows = TypeVar("Rows")  # frames, which know of this


@final
@dataclass(frozen=True)
class ColumnMoments:
    """Mean, standard deviation, smallest and largest value of a numeric column over all rows."""

    mean: float
    sd: float
    low: float
    high: float


@final
@dataclass(frozen=True, eq=False)
class Whole(Generic[Rows]):
    """The complete rows that a frame holds some of.

    Each question is asked once: answers are kept, and are saved with a fit, so that the fit needs the data no more.

    Attributes
    ----------
    n
        How many there are.
    random
        How many of the first rows of the frame are drawn at random from all; those behind show each level and the ends of each range.
    answers
        What was asked, by question.
    blocks
        The rows in frames, in order; ``None`` where they are out of reach.
    source
        Where they come from.
    """

    n: int
    random: int
    answers: dict[str, Answer] = field(default_factory=dict)
    blocks: Callable[[], Iterator[Rows]] | None = None
    source: Stream | None = None

    def ask(self, question: str, answer: Callable[[Iterator[Rows]], Mapping[str, Any]]) -> Answer:
        """The answer to a question, computed from all rows when it is first asked."""
        if question not in self.answers:
            self.answers[question] = {name: np.asarray(value) for name, value in answer(self.rows(question)).items()}
        return self.answers[question]

    def rows(self, question: str) -> Iterator[Rows]:
        """The rows in frames, or an error where they are out of reach."""
        if self.blocks is None:
            what = f"the rows of the data are not with the fit, and are needed for {question}"
            raise BrimError(what, hint="give the data again: fit.update(newdata=...)")
        return self.blocks()

    def moments(self, name: str) -> ColumnMoments:
        """Of a numeric column."""
        found = self.answers.get(f"moments of {name}")
        if found is None:
            raise BrimError(f"the column '{name}' was not read when the data were reduced", hint="name it in the formula")
        return ColumnMoments(*(float(found[part]) for part in ("mean", "sd", "low", "high")))

    def often(self, name: str) -> np.ndarray:
        """How many rows have each level of a factor or key, in the order of levels."""
        return self.answers[f"rows of the levels of {name}"]["n"]

    def __reduce__(self) -> tuple[Any, ...]:
        """For ``pickle``: without the way to the rows."""
        return Whole, (self.n, self.random, self.answers)
