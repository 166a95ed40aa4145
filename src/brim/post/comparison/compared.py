"""The table of compared models, which prints as brms prints it. Imported when one is made: it needs pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brim.post.summaries.text import format_table, html_table

__all__ = ["Compared"]

#: Columns that are printed, and their digits; the others are there to be computed with.
_SHOWN = {"elpd_diff": 1, "se_diff": 1, "p_worse": 2}


class Compared(pd.DataFrame):
    """A data frame of models, the best first; printed, it shows their differences and what may be wrong with these.

    Examples
    --------
    >>> Compared({"elpd_diff": [0.0, -3.42], "se_diff": [0.0, 2.1], "p_worse": [np.nan, 0.95]}, index=["a", "b"])
       elpd_diff se_diff p_worse
    a        0.0     0.0
    b       -3.4     2.1    0.95
    """

    @property
    def _constructor(self) -> type[Compared]:
        return Compared

    def __repr__(self) -> str:
        if not self._whole():
            return repr(pd.DataFrame(self))
        header, rows, names = self._cells()
        return "\n".join(line.rstrip() for line in format_table(header, rows, names))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(*self._cells()) if self._whole() else str(pd.DataFrame(self).to_html())

    def _whole(self) -> bool:
        """Whether this is the table, and not a part of it."""
        return set(_SHOWN) <= set(self.columns)

    def _cells(self) -> tuple[list[str], list[list[str]], list[str]]:
        columns = {name: [f"{v:.{d}f}" if np.isfinite(v) else "" for v in self[name]] for name, d in _SHOWN.items()}
        if "diagnostics" in self and any(self["diagnostics"]):
            columns["diagnostics"] = [str(v) for v in self["diagnostics"]]
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)], [str(n) for n in self.index]
