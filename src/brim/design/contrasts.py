"""Contrasts of factors: R's, by name or as a matrix, in ``C(f, contr.sum)`` or beside the formula, ``contrasts={"f": "contr.sum"}``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from brim.design.transforms import orthonormal
from brim.errors import BrimError, near, suggest
from brim.frames.columns import Factor
from brim.language.expand import Call, Name, Node, Number, Text, fault

__all__ = ["CONTRASTS", "check_contrasts", "coding", "named_coding"]


def _treatment(levels: tuple[str, ...], base: int = 0) -> tuple[np.ndarray, tuple[str, ...]]:
    return np.delete(np.eye(len(levels)), base, axis=1), tuple(level for i, level in enumerate(levels) if i != base)


def _sas(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    return _treatment(levels, len(levels) - 1)


def _sum(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    return np.vstack([np.eye(k), -np.ones(k)]), tuple(str(i + 1) for i in range(k))


def _helmert(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    table = np.zeros((k + 1, k))
    for j in range(k):
        table[: j + 1, j], table[j + 1, j] = -1.0, j + 1.0
    return table, tuple(str(i + 1) for i in range(k))


def _polynomial(levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    k = len(levels) - 1
    names = [".L", ".Q", ".C", *(f"^{i}" for i in range(4, k + 1))][:k]
    return orthonormal(np.arange(k + 1.0) - k / 2, k)[0], tuple(names)


Coding = Callable[..., tuple[np.ndarray, tuple[str, ...]]]
CONTRASTS: dict[str, Coding] = {
    "contr.treatment": _treatment,
    "contr.sum": _sum,
    "contr.helmert": _helmert,
    "contr.poly": _polynomial,
    "contr.SAS": _sas,
}


# ---- in the formula ----------------------------------------------------------------------------------------------------------


def coding(node: Node, factor: Factor) -> tuple[np.ndarray, tuple[str, ...]]:
    """Contrasts: those of ``C(f, contr.sum)``, else R's defaults, ``contr.poly`` for ordered factors and ``contr.treatment``."""
    default = "contr.poly" if factor.ordered else "contr.treatment"
    given = _contrast_options(node)
    if not given:
        return CONTRASTS[default](factor.levels)
    contr, base = given.get("contr"), given.get("base")
    name = default if contr is None else _contrast_name(contr)
    options = {}
    if base is not None:
        if name != "contr.treatment" or not isinstance(base, Number) or not 1 <= base.value <= len(factor.levels):
            raise fault(base, "base is the number of a level, for contr.treatment")
        options = {"base": int(base.value) - 1}
    # R names the contrasts by levels when it looks them up by name, by numbers when it is given their function or a matrix.
    function = base is not None or isinstance(contr, Call) or (isinstance(contr, Name) and contr.name == name)
    levels = tuple(str(i + 1) for i in range(len(factor.levels))) if function else factor.levels
    return CONTRASTS[name](levels, **options)


def _contrast_options(node: Node) -> dict[str, Node]:
    """What ``C(f, contr, base=)`` says beyond its factor."""
    if not isinstance(node, Call) or node.fn != "C":
        return {}
    given = {**dict(zip(("contr",), node.args[1:], strict=False)), **dict(node.kwargs)}
    contr = given.get("contr")
    if isinstance(contr, Call):  # contr.treatment(3, base = 2)
        given |= {**dict(zip(("n", "base"), contr.args, strict=False)), **dict(contr.kwargs)}
    return given


def _contrast_name(node: Node) -> str:
    text = node.name if isinstance(node, Name) else node.value if isinstance(node, Text) else node.fn if isinstance(node, Call) else ""
    name = text if text.startswith("contr.") else f"contr.{text}"
    if name not in CONTRASTS:
        raise fault(node, f"unknown contrasts '{text}'", suggest(text, CONTRASTS, "contrasts"))
    return name


# ---- beside the formula ------------------------------------------------------------------------------------------------------


def named_coding(label: str, given: Any, levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The contrasts of one factor and the names of its columns: those of a name, or a matrix ``(levels, columns)``.

    A data frame's columns name the coefficients, and its index may name the levels.

    Raises
    ------
    BrimError
        For unknown names, and matrices that are no contrasts of these levels.

    Examples
    --------
    >>> named_coding("f", "contr.sum", ("a", "b", "c"))[0]
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1., -1.]])
    """
    what = f"contrasts of '{label}'"
    if isinstance(given, str):
        name = given if given.startswith("contr.") else f"contr.{given}"
        if name not in CONTRASTS:
            raise BrimError(f"unknown {what}: {given!r}", hint=suggest(name, CONTRASTS, "contrasts"))
        return CONTRASTS[name](levels)
    table, suffixes = _table(what, given, levels)
    k = len(levels)
    if table.ndim != 2 or len(table) != k or not 1 <= table.shape[1] < k or not np.isfinite(table).all():
        raise BrimError(
            f"{what} are a matrix of shape {table.shape}",
            hint=f"give {k} rows of finite numbers, one for each level ({', '.join(levels)}), and up to {k - 1} columns",
        )
    if np.linalg.matrix_rank(np.column_stack([np.ones(k), table])) <= table.shape[1]:
        raise BrimError(f"{what} are singular: a column is a combination of the others and the constant")
    return table, suffixes


def _table(what: str, given: Any, levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers, rows in the order of the levels, and names of the columns."""
    names, index = getattr(given, "columns", None), getattr(given, "index", None)
    try:
        table = np.asarray(given, float)
    except (TypeError, ValueError):
        hint = f"give a name ({', '.join(CONTRASTS)}) or a matrix with a row for each level"
        raise BrimError(f"{what} = {given!r}", hint=hint) from None
    table = table[:, None] if table.ndim == 1 else table
    if names is None:
        return table, tuple(str(i + 1) for i in range(table.shape[-1]))
    rows = [str(r) for r in index] if index is not None and not callable(index) else []
    if rows and rows != [str(i) for i in range(len(table))]:
        if sorted(rows) != sorted(levels):
            raise BrimError(f"{what} have rows {', '.join(rows)}", hint=f"the levels are {', '.join(levels)}")
        table = table[[rows.index(level) for level in levels]]
    return table, tuple(str(n) for n in names)


def check_contrasts(contrasts: Any, factors: Iterable[str], others: Iterable[str] = ()) -> dict[str, Any]:
    """``contrasts=`` of a call: a mapping whose names are factors of the population-level terms.

    Raises
    ------
    BrimError
        For what is no mapping, and names that are not ``factors`` (``others`` are numbers in them).
    """
    if contrasts is None:
        return {}
    if not isinstance(contrasts, Mapping):
        raise BrimError(f"contrasts = {contrasts!r}", hint='give a mapping: contrasts={"f": "contr.sum"}')
    known = list(factors)
    for name in contrasts:
        if name in known:
            continue
        if name in others:
            raise BrimError(f"contrasts of '{name}', which is numeric", hint="contrasts are of factors: make it text or a category")
        close = near(str(name), known, 1)
        hint = f"did you mean '{close[0]}'?" if close else ""
        hint = hint or (f"factors there: {', '.join(known)}" if known else "there is no factor")
        raise BrimError(f"contrasts of '{name}', which is no factor of the population-level terms", hint=hint)
    return dict(contrasts)
