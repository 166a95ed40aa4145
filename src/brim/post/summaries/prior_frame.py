"""The prior table as a data frame that prints in brms' layout. Imported when one is made: it needs pandas."""

from __future__ import annotations

import pandas as pd

from brim.post.summaries.prior_text import COLUMNS, print_priors, prior_cells
from brim.post.summaries.text import html_table

__all__ = ["PriorFrame"]


class PriorFrame(pd.DataFrame):
    """A data frame of priors; printed, flat and inherited priors are spelled out as brms does."""

    @property
    def _constructor(self) -> type[PriorFrame]:
        return PriorFrame

    def __repr__(self) -> str:
        return print_priors(self) if tuple(self.columns) == COLUMNS else repr(pd.DataFrame(self))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, prior_cells(self)) if tuple(self.columns) == COLUMNS else str(pd.DataFrame(self).to_html())
