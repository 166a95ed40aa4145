"""Conditions for ``conditional_effects``: combinations of values of further variables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from brim.arguments import named
from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.frames.columns import Numeric, format_number
from brim.post.inference.grids import to_pandas, variables_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["make_conditions"]


@named
def make_conditions(
    fit: FitRecord, vars: str | Sequence[str], *, incl_vars: bool = True, digits: int = 2, resp: str | None = None
) -> pd.DataFrame:
    """All combinations of values of variables, as ``conditions=`` of ``conditional_effects`` takes them.

    Parameters
    ----------
    vars
        The variables: every level of factors and of grouping factors, mean and one standard deviation around it of numbers.
    incl_vars
        Whether labels name the variables (``"x = 1 & f = a"``) or give values only.
    digits
        To which numbers are rounded in labels.
    resp
        Whose variables, in a multivariate model.

    Returns
    -------
    pandas.DataFrame
        The variables, and ``cond__`` with the labels.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("count ~ zAge + zBase * Trt", brim.load_data("epilepsy"), family="poisson", empty=True)
    >>> brim.make_conditions(fit, "Trt")["cond__"].tolist()
    ['Trt = 0', 'Trt = 1']
    """
    from brim.frames.frame import Frame

    known = variables_of(fit, resp)
    names = [vars] if isinstance(vars, str) else list(vars)
    there = list(dict.fromkeys([*known.known, *known.groups]))
    for name in names:
        if name not in there:
            raise BrimError(f"make_conditions: the model has no variable '{name}'", hint=suggest(name, there, "variables"))
    values = {name: known.known[name].few() if name in known.known else known[name].distinct for name in names}
    places = np.array(list(product(*(range(c.n) for c in values.values()))), dtype=int)
    columns = {name: c.take(places[:, i]) for i, (name, c) in enumerate(values.items())}

    def text(name: str, row: int) -> str:
        column = columns[name]
        if isinstance(column, Numeric):
            rounded = round(float(column.values[row]), digits)
            shown = format_number(rounded if rounded else 0.0)
        else:
            shown = str(column.as_factor().labels[row])
        return f"{name} = {shown}" if incl_vars else shown

    table = to_pandas(Frame.of(columns))
    table["cond__"] = [" & ".join(text(name, i) for name in names) for i in range(len(places))]
    return table
