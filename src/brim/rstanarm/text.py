"""How a fit prints: rstanarm's layout, medians and MAD_SD."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.language.expand import Binary, Node, Paren, deparse, parse
from brim.post.summaries.tables import statistics

if TYPE_CHECKING:
    from brim.rstanarm.call import Call
    from brim.rstanarm.names import GroupNames

__all__ = ["cells", "fit_text", "in_r", "significant", "table"]

_RULE = "------"
#: Functions whose print counts the predictors.
_COUNTED = ("stan_glm", "stan_glm.nb", "stan_lm", "stan_aov")
_WIDEST = 15  # beyond it, numbers are written with a power of ten

Draws = Mapping[str, np.ndarray]


def cells(values: Sequence[Any], digits: int) -> list[list[str]]:
    """Numbers with so many decimals, all as wide as the widest; zero has no sign, ``NaN`` is ``NA``."""
    text = [["NA" if np.isnan(v) else f"{np.round(v, digits) + 0.0:.{digits}f}" for v in row] for row in values]
    width = max((len(c) for row in text for c in row), default=0)
    if width > _WIDEST:
        text = [["NA" if np.isnan(v) else f"{v:.6e}" for v in row] for row in values]
        width = max(len(c) for row in text for c in row)
    return [[c.rjust(width) for c in row] for row in text]


def table(heads: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, everything on the left of its column."""
    whole = [["", *heads], *([name, *row] for name, row in zip(names, rows, strict=True))]
    widths = [max(len(row[i]) for row in whole) for i in range(len(heads) + 1)]
    return [" ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in whole]


def medians(draws: Draws, names: Sequence[str], digits: int, shown: Sequence[str] = ()) -> list[str]:
    """Medians and MAD_SD of these parameters, ``shown`` under other names."""
    values = [statistics(np.ravel(draws[n]), robust=True)[:2] for n in names]
    return table(("Median", "MAD_SD"), shown or names, cells(values, digits))


def significant(values: Sequence[float], digits: int) -> list[str]:
    """Numbers with the decimals that the one needing most has at so many significant digits: R's ``format``."""
    decimals = 0
    for v in values:
        if v and np.isfinite(v):
            text = f"{v:.{digits - 1}e}"
            mantissa, power = text.split("e")
            kept = len(mantissa.replace(".", "").lstrip("-").rstrip("0"))
            decimals = max(decimals, kept - 1 - int(power))
    if decimals > _WIDEST:
        return [f"{v:.{digits - 1}e}" for v in values]
    return cells_of(values, max(decimals, 0))


def cells_of(values: Sequence[float], digits: int) -> list[str]:
    """One column of numbers."""
    return [row[0] for row in cells([[v] for v in values], digits)]


def in_r(formula: str) -> str:
    """A formula as R prints it: ``y ~ x * z``; bars without their parentheses stay so."""
    try:
        return re.sub(r"'([^']*)'", r'"\1"', " ~ ".join(_spaced(parse(part)) for part in formula.split("~")).strip())
    except Exception:
        return formula


def _spaced(node: Node) -> str:
    """``a * b`` with blanks around the operators that R sets apart."""
    match node:
        case Binary("*" | "/" | "|" | "||" as op, left, right):
            return f"{_spaced(left)}{'/' if op == '/' else f' {op} '}{_spaced(right)}"
        case Binary("+" | "-" as op, left, right):
            return f"{_spaced(left)} {op} {_spaced(right)}"
        case Paren(inner):
            return f"({_spaced(inner)})"
    return deparse(node)


# --------------------------------------------------------------------------- one response


def header(call: Call, rows: int) -> list[str]:
    """Function, family, formula, observations."""
    out = [call.function, f" family:       {call.family}", f" formula:      {in_r(call.formula)}", f" observations: {rows}"]
    return [*out, f" predictors:   {len(call.coefs)}"] if call.function in _COUNTED else out


def fit_text(call: Call, rows: int, draws: Draws, squares: Draws, digits: int = 1) -> str:
    """What ``print`` shows: medians and MAD_SD of coefficients, auxiliary parameters, thresholds, error terms and mean squares."""
    out = [*header(call, rows), _RULE, *medians(draws, call.coefs, digits), ""]
    for title, names in (
        ("Auxiliary parameter(s):", call.aux),
        ("Cutpoints:", call.cutpoints),
        ("Smoothing terms:", call.smooths),
    ):
        if names:
            out += [title, *medians(draws, names, digits), ""]
    if call.names.groups:
        out += ["Error terms:", *error_terms(call.names.groups, draws, digits + 1), ""]
    if squares:
        values = [statistics(v, robust=True)[:2] for v in squares.values()]
        terms = [f"Mean Sq {name}" for name in squares]
        out += ["ANOVA-like table:", *table(("Median", "MAD_SD"), terms, cells(values, digits)), ""]
    return "\n".join([*out, _RULE])


def error_terms(groups: Sequence[GroupNames], draws: Draws, digits: int) -> list[str]:
    """Posterior means of covariances as standard deviations and correlations, as ``VarCorr``."""
    rows: list[tuple[str, str, str, list[str]]] = []
    values: list[float] = []
    for g in groups:
        names = g.sigma_names()
        cov = {at: float(np.mean(draws[name])) for at, name in names.items()}
        sd = [cov[i, i] ** 0.5 for i in range(len(g.coefs))]
        values += sd
        for i, coef in enumerate(g.coefs):
            rows.append(
                (g.group if i == 0 else "", coef, "", [f"{np.round(cov[i, j] / (sd[i] * sd[j]), 2) + 0.0:.2f}".rjust(5) for j in range(i)])
            )
    if "sigma" in draws:
        values.append(float(np.mean(draws["sigma"])))
        rows.append(("Residual", "", "", []))
    shown = significant(values, digits)
    wide = max(len(r[3]) for r in rows)
    head = ("Groups", "Name", "Std.Dev.", *(["Corr"] if wide else []), *[""] * (wide - 1))
    whole = [head, *((g, n, v, *cor, *[""] * (wide - len(cor))) for (g, n, _, cor), v in zip(rows, shown, strict=True))]
    widths = [max(len(r[i]) for r in whole) for i in range(len(head))]
    lines = [" " + " ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in whole]
    counts = {g.group: len(g.levels) for g in groups}
    return [*lines, "Num. levels: " + ", ".join(f"{name} {n}" for name, n in counts.items()) + " "]
