"""Tables as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from brim.errors import printable

__all__ = ["format_table", "html_table"]


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str] = ()) -> list[str]:
    """Lines of a table as R prints data frames: right-aligned columns one space apart, row names left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    label = max((len(n) for n in names), default=0)

    def line(name: str, cells: Sequence[str]) -> str:
        return printable(name.ljust(label) + "".join(" " + c.rjust(w) for c, w in zip(cells, widths, strict=True)))

    return [line("", header), *(line(n, row) for n, row in zip(names or [""] * len(rows), rows, strict=True))]


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], names: Sequence[str] = (), caption: str = "") -> str:
    """The same table as HTML, its content escaped; without a column of names where there are none.

    Examples
    --------
    >>> html_table(["a"], [["<1"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;1</td></tr></tbody></table>'
    """

    def row(cell: str, name: str, cells: Sequence[str]) -> str:
        first = f"<th style='text-align:left'>{escape(printable(name))}</th>" if names else ""
        return f"<tr>{first}{''.join(f'<{cell}>{escape(printable(c))}</{cell}>' for c in cells)}</tr>"

    above = f"<caption style='text-align:left'>{escape(caption)}</caption>" if caption else ""
    rows = list(rows)
    body = "".join(row("td", name, cells) for name, cells in zip(names or [""] * len(rows), rows, strict=True))
    return f"<table>{above}<thead>{row('th', '', header)}</thead><tbody>{body}</tbody></table>"
