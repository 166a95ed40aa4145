"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["format_table"]


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str] = ()) -> list[str]:
    """Lines of a table as R prints data frames: right-aligned columns one space apart, row names left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    label = max((len(n) for n in names), default=0)

    def line(name: str, cells: Sequence[str]) -> str:
        return name.ljust(label) + "".join(" " + c.rjust(w) for c, w in zip(cells, widths, strict=True))

    return [line("", header), *(line(n, row) for n, row in zip(names or [""] * len(rows), rows, strict=True))]
