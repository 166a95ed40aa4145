"""The prior table: brms' rows as a data frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from brim.frames.columns import format_number
from brim.parameters.prior import PriorRow
from brim.post.summaries.prior_text import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["prior_table"]


def prior_table(rows: Iterable[PriorRow], all: bool = True) -> pd.DataFrame:
    """The prior table with brms' columns; bounds are text as brms has them, ``""`` where there is none.

    Printed, it spells out flat and inherited priors (``print_priors``); its values are the rows' own.
    """
    from brim.post.summaries.prior_frame import PriorFrame

    def bound(value: float | str | None) -> str:
        return "" if value is None else value if isinstance(value, str) else format_number(value)

    shown = [r for r in rows if all or r.prior]
    table = PriorFrame([(r.prior, *r.key, bound(r.lb), bound(r.ub), r.source) for r in shown], columns=list(COLUMNS))
    if any(r.tag for r in shown):
        table.insert(len(COLUMNS) - 1, "tag", [r.tag for r in shown])
    return table
