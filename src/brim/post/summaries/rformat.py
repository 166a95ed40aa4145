"""Numbers as R prints them: ``format()``, ``format.pval()``, ``printCoefmat()``, ``abbreviate()``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from brim.post.summaries.text import format_table

__all__ = ["STARS", "abbreviate", "coefficient_table", "format_numbers", "format_p", "left_table", "stars", "zap_small"]

#: R's legend of ``stars``.
STARS = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"

_EPS = 2.220446049250313e-16


def format_numbers(values: Sequence[float] | np.ndarray, digits: int = 7, nsmall: int = 0) -> list[str]:
    """R's ``format()`` of a numeric vector: the fewest digits that show each number to ``digits`` significant ones, all to one width.

    Examples
    --------
    >>> format_numbers([2.599214286, 0.1063142857], 4)
    ['2.5992', '0.1063']
    >>> format_numbers([119.8, 26.096], 4)
    ['119.8', ' 26.1']
    >>> format_numbers([1.47e-9], 3)
    ['1.47e-09']
    """
    x = [float(v) for v in values]
    finite = [v for v in x if math.isfinite(v)]
    decimals, mantissa, exponent = _places(finite, digits)
    fixed = [_text(v, lambda v: f"{v:.{max(decimals, nsmall)}f}") for v in x]
    science = [_text(v, lambda v: _scientific(v, mantissa, exponent)) for v in x]
    plain = [_text(v, lambda v: f"{v:.{decimals}f}") for v in x]
    out = fixed if max(map(len, plain), default=0) <= max(map(len, science), default=0) else science
    width = max(map(len, out), default=0)
    return [t.rjust(width) for t in out]


def _text(value: float, write: Callable[[float], str]) -> str:
    if math.isfinite(value):
        return write(value)
    return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"


def _places(values: Sequence[float], digits: int) -> tuple[int, int, int]:
    """Decimals in fixed notation, digits after the point and width of the exponent in scientific notation."""
    decimals = mantissa = 0
    exponent = 2
    for v in values:
        if v == 0:
            continue
        text = f"{v:.{digits - 1}e}"
        head, power = text.split("e")
        significant = len(head.lstrip("-").replace(".", "").rstrip("0")) or 1
        decimals = max(decimals, significant - 1 - int(power), 0)
        mantissa = max(mantissa, significant - 1)
        exponent = max(exponent, len(str(abs(int(power)))))
    return decimals, mantissa, exponent


def _scientific(v: float, mantissa: int, exponent: int) -> str:
    head, power = f"{v:.{mantissa}e}".split("e")
    return f"{head}e{power[0]}{power[1:].lstrip('0').rjust(exponent, '0')}"


def zap_small(values: np.ndarray, digits: int) -> np.ndarray:
    """R's ``zapsmall()``: rounded to ``digits`` of the largest."""
    largest = float(np.max(np.abs(values), initial=0.0))
    places = max(0, math.floor(digits - math.log10(largest) + 0.5)) if largest > 0 else digits
    return np.round(values, places)


def format_p(values: Sequence[float] | np.ndarray, digits: int) -> list[str]:
    """R's ``format.pval()`` with its smallest number, without padding.

    Examples
    --------
    >>> format_p([1.47e-09, 0.001068, 0.000474], 3)
    ['1.47e-09', '0.001068', '0.000474']
    >>> format_p([1e-20, 0.0358], 3)
    ['<2e-16', '0.0358']
    """
    p = np.asarray(values, float)
    out = np.full(len(p), "", dtype=object)
    none, tiny = np.isnan(p), p < _EPS
    out[none] = "NA"
    shown = ~none & ~tiny
    large = shown & (p >= 1e-4)
    for part in (large, shown & ~large):
        out[part] = [t.strip() for t in format_numbers(p[part], digits)]
    if tiny.any():
        few, widest = max(1, digits - 2), max((len(t) for t in out[shown]), default=0)
        if shown.any() and few > 1 and few + 6 > widest:
            few = max(1, widest - 7)
        gap = "" if few == 1 and widest <= 6 else " "
        out[tiny] = f"<{gap}{format_numbers([_EPS], few)[0]}"
    return out.tolist()


def stars(p: float) -> str:
    """R's marks of significance, three characters wide."""
    if math.isnan(p):
        return "   "
    return next((mark for bound, mark in ((0.001, "***"), (0.01, "** "), (0.05, "*  "), (0.1, ".  ")) if p < bound), "   ")


def coefficient_table(
    names: Sequence[str],
    columns: dict[str, np.ndarray],
    digits: int = 4,
    estimates: Sequence[str] = ("Estimate", "Std. Error"),
    tests: Sequence[str] = (),
    p: str = "",
    missing: str = "NA",
    zapped: Sequence[str] = (),
) -> list[str]:
    """R's ``printCoefmat()``: lines of a table whose numbers share digits by kind of column.

    Parameters
    ----------
    estimates
        Columns formatted together: estimates and standard errors.
    tests
        Columns of test statistics.
    p
        The column of p values, with stars and their legend.
    zapped
        Columns whose small values are set to zero first.
    """
    cells: dict[str, list[str]] = {}
    few = max(1, min(5, digits - 1))
    both = [c for c in columns if c in estimates]
    if both:
        values = np.concatenate([columns[c] for c in both])
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        lowest = 1 + math.floor(math.log10(sizes.min())) if len(sizes) else 1
        highest = 1 + math.floor(math.log10(sizes.max())) if len(sizes) else 1
        rounded = np.round(values, max(1, digits - lowest, digits - highest))
        shown = _not_zero(values, format_numbers(rounded, digits), digits)
        n = len(names)
        cells.update({c: shown[i * n : (i + 1) * n] for i, c in enumerate(both)})
    for c, v in columns.items():
        if c in tests:
            cells[c] = _not_zero(v, _present(np.round(v, few), digits), digits)
        elif c == p:
            shown = format_p(v[~np.isnan(v)], few)
            cells[c] = _filled(v, shown)
        elif c not in both:
            cells[c] = _not_zero(v, _present(zap_small(v, digits) if c in zapped else v, digits), digits)
    rows = [[missing if t == "NA" else t for t in row] for row in zip(*(cells[c] for c in columns), strict=True)]
    width = max(map(len, names), default=0)
    lines = format_table(list(columns), rows, [n.ljust(width) for n in names])
    if not p or np.isnan(columns[p]).all():
        return lines
    marks = [stars(v) for v in columns[p]]
    if not any(m.strip() for m in marks):
        return [lines[0], *lines[1:]]
    return [lines[0] + "    ", *(f"{line} {m}" for line, m in zip(lines[1:], marks, strict=True)), "---", STARS]


def _present(values: np.ndarray, digits: int) -> list[str]:
    return _filled(values, format_numbers(values[~np.isnan(values)], digits))


def _filled(values: np.ndarray, shown: Sequence[str]) -> list[str]:
    left = iter(shown)
    return ["NA" if math.isnan(v) else next(left) for v in values]


def _not_zero(values: np.ndarray, shown: list[str], digits: int) -> list[str]:
    """What would read as zero but is not, by itself."""
    hidden = [t != "NA" and v != 0 and float(t) == 0.0 for v, t in zip(values, shown, strict=True)]
    if any(hidden):
        left = iter(format_numbers([v for v, h in zip(values, hidden, strict=True) if h], max(1, digits - 1)))
        return [next(left) if h else t for t, h in zip(shown, hidden, strict=True)]
    return shown


def left_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a matrix of text as R prints it without quotes: left-aligned columns."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    return ["".join(" " + c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in (header, *rows)]


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """R's ``abbreviate()``: lower case vowels, then lower case letters are dropped from the end; names stay distinct.

    Examples
    --------
    >>> abbreviate(["(Intercept)", "occasion", "sexfemale"], 6)
    ['(Intr)', 'occasn', 'sexfml']
    """
    out = [_shortened(n, length) for n in names]
    more = length
    while len(set(out)) < len(set(names)) and more < max(map(len, names)):
        more += 1
        out = [_shortened(n, more) if out.count(t) > 1 else t for n, t in zip(names, out, strict=True)]
    return out


def _shortened(name: str, length: int) -> str:
    text = list(name.strip())
    for letters in ("aeiou", "abcdefghijklmnopqrstuvwxyz"):
        for ends in (True, False):
            for i in range(len(text) - 1, 0, -1):
                if sum(c != " " for c in text) <= length:
                    return "".join(c for c in text if c != " ")
                after_blank = text[i - 1] == " "
                last = i + 1 >= len(text) or text[i + 1] == " "
                if text[i] in letters and not after_blank and (last or not ends):
                    del text[i]
    return "".join(c for c in text if c != " ")
