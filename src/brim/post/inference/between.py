"""Hypotheses about the rows of ``predictions``, ``comparisons`` and ``slopes``: ``hypothesis=``, as marginaleffects reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.post.inference.arithmetic import evaluate
from brim.post.inference.quantities import Ask, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["against", "between", "combined", "is_value", "rows_below"]

#: Which rows are compared, of so many: each pair is (what is taken from it, what is taken).
_PAIRS: dict[str, Callable[[int], Iterable[tuple[int, int]]]] = {
    "reference": lambda n: ((i, 0) for i in range(1, n)),
    "sequential": lambda n: ((j, i) for i, j in pairwise(range(n))),
    "pairwise": lambda n: combinations(range(n), 2),
}
_NAMES = tuple(f"{rev}{name}" for rev in ("", "rev") for name in _PAIRS)
#: Rows that are compared in pairs, at most: 300 pairs.
_MOST = 25


def is_value(hypothesis: Any) -> bool:
    """Whether it is a number that every row is held against."""
    return isinstance(hypothesis, int | float | np.number) and not isinstance(hypothesis, bool) and math.isfinite(hypothesis)


def rows_below(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Draws ``(draws, rows[, categories])`` of tables one below the other, in the order of their rows: ``(draws, all rows)``."""
    return np.concatenate([p if p.ndim == 2 else np.moveaxis(p, 2, 1).reshape(len(p), -1) for p in parts], axis=1)


def between(hypothesis: Any, parts: Sequence[np.ndarray], terms: Sequence[str], ask: Ask, summary: bool) -> Any:
    """``term estimate std_error conf_low conf_high``, a row a hypothesis, or its draws ``(draws, hypotheses)``.

    ``terms`` names each of ``parts``; nothing where rows have no terms.
    """
    named = [term for term, p in zip(terms, parts, strict=True) for _ in range(p[0].size)] if terms else []
    labels, draws = combined(hypothesis, rows_below(parts), named)
    return table(draws, ask, {"term": labels}, None) if summary else draws


def against(value: float, shown: pd.DataFrame, parts: Sequence[np.ndarray]) -> pd.DataFrame:
    """The table with ``p_direction``: the share of draws on one side of the value, that of the larger share."""
    draws = rows_below(parts)
    shares = [np.mean(side, axis=0) for side in (draws > value, draws < value)]
    return shown.assign(p_direction=np.where(np.isnan(draws).any(axis=0), np.nan, np.maximum(*shares)))


def combined(hypothesis: Any, draws: np.ndarray, terms: Sequence[str] = ()) -> tuple[list[str], np.ndarray]:
    """Labels of hypotheses, and in every draw what each says is 0.

    Parameters
    ----------
    hypothesis
        ``"b1 = b2"`` or several such; ``"reference"`` and its kin; weights ``(rows,)`` or ``(rows, hypotheses)``.
    draws
        ``(draws, rows)``.
    terms
        Names of the rows besides ``b1``, ``b2``, ...; used where they differ.

    Raises
    ------
    BrimError
        It is none of these, or there are no such rows.

    Examples
    --------
    >>> draws = np.array([[1.0, 3.0, 8.0], [2.0, 3.0, 9.0]])
    >>> labels, values = combined("sequential", draws)
    >>> labels, values.tolist()
    (['Row 2 - Row 1', 'Row 3 - Row 2'], [[2.0, 5.0], [1.0, 6.0]])
    >>> combined("b3 / b1 = 4", draws)[1].tolist()
    [[4.0], [0.5]]
    """
    if isinstance(hypothesis, str) and "=" not in hypothesis:
        return _differences(hypothesis, draws)
    several = [hypothesis] if isinstance(hypothesis, str) else hypothesis
    if isinstance(several, list | tuple) and several and all(isinstance(h, str) for h in several):
        columns = [_equation(h, draws, terms) for h in several]
        return ["".join(h.split()) for h in several], np.stack(columns, axis=1)
    return _weighted(hypothesis, draws)


def _differences(how: str, draws: np.ndarray) -> tuple[list[str], np.ndarray]:
    if how not in _NAMES:
        hint = suggest(how, _NAMES, "ways") or ""
        raise BrimError(f"hypothesis = {how!r} is no equation", hint=f"'b1 = b2' compares the first two rows; {hint or ', '.join(_NAMES)}")
    name, n = how.removeprefix("rev"), draws.shape[1]
    if n < 2:
        raise BrimError(f"hypothesis = {how!r} compares rows, and there is one", hint="give more rows, or an equation: 'b1 = 0'")
    if name == "pairwise" and n > _MOST:
        raise BrimError(f"hypothesis = {how!r}: {n} rows are {n * (n - 1) // 2} pairs", hint=f"average with by= to at most {_MOST} rows")
    pairs = [(b, a) if how.startswith("rev") else (a, b) for a, b in _PAIRS[name](n)]
    from_, taken = (list(side) for side in zip(*pairs, strict=True))
    return [f"Row {a + 1} - Row {b + 1}" for a, b in pairs], draws[:, from_] - draws[:, taken]


def _equation(text: str, draws: np.ndarray, terms: Sequence[str]) -> np.ndarray:
    """Left side minus right side."""
    sides = text.split("=")
    if len(sides) != 2 or any(c in text for c in "<>!"):
        hint = "write 'b1 = b2'; with summary=False these are draws of b1 - b2, whose share above 0 is the probability of b1 > b2"
        raise BrimError(f"hypothesis = {text!r} is no equation", hint=hint)
    names = {f"b{i + 1}": i for i in range(draws.shape[1])}
    if len(set(terms)) == len(terms):
        for i, term in enumerate(terms):
            if names.setdefault(term, i) != i and re.search(rf"\b{term}\b", text):
                what = f"hypothesis = {text!r}: {term} is row {names[term] + 1}, and the term of row {i + 1}"
                raise BrimError(what, hint="give the weights of rows instead, or have them in another order: variables=[...]")
    left, right = (evaluate(side.strip(), {n: str(i) for n, i in names.items()}, lambda at: draws[:, int(at)]) for side in sides)
    return np.broadcast_to(left - right, len(draws))


def _weighted(hypothesis: Any, draws: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Sums of rows with weights."""
    n = draws.shape[1]
    try:
        weights = np.asarray(hypothesis, float)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.ndim not in (1, 2) or len(weights) != n or not np.isfinite(weights).all():
        found = f"weights of shape {weights.shape}" if weights.size else repr(hypothesis)
        raise BrimError(
            f"hypothesis: {found} for {n} rows", hint=f"give 'b1 = b2', {', '.join(_NAMES)}, a number, or weights: one a row, in columns"
        )
    weights = weights.reshape(n, -1)
    return [f"H{i + 1}" for i in range(weights.shape[1])], draws @ weights
