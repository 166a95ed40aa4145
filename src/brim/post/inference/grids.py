"""Rows to ask a model about: ``datagrid``."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import named, one_of
from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.frames.frame import Column, Factor, Frame, Logical, Numeric
from brim.post.effects.variables import Variable, Variables

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["datagrid", "grid_frame", "to_pandas", "variables_of"]

_TYPES = ("mean_or_mode", "balanced", "counterfactual")


@named
def datagrid(fit: FitRecord, *, grid_type: str = "mean_or_mode", resp: str | None = None, **values: Any) -> pd.DataFrame:
    """Rows for ``predictions``, ``comparisons`` and ``slopes``: all combinations of the values given, the other variables held.

    Parameters
    ----------
    grid_type
        What the others are: ``"mean_or_mode"``: mean of numbers, most frequent level of factors; ``"balanced"``: mean of numbers,
        every level of factors; ``"counterfactual"``: the training rows, repeated for every combination.
    resp
        Whose variables, in a multivariate model.
    values
        ``variable=value`` or a list of values, or a function of the training column that gives them.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("count ~ zAge + Trt", brim.load_data("epilepsy"), family="poisson", empty=True)
    >>> brim.datagrid(fit, Trt=["0", "1"]).round(2).to_dict("list")
    {'zAge': [0.0, 0.0], 'Trt': ['0', '1']}
    """
    return to_pandas(grid_frame(fit, grid_type, resp, values))


def variables_of(fit: FitRecord, resp: str | None) -> Variables:
    """The variables of a response, grouping factors among them."""
    name = fit.model.response(resp).name
    formula = next(f for f in fit.formula.formulas if f.resp == name) if len(fit.formula.formulas) > 1 else fit.formula.formulas[0]
    return Variables.read(formula, fit.frame, True)


def grid_frame(fit: FitRecord, grid_type: str, resp: str | None, values: dict[str, Any]) -> Frame:
    """See ``datagrid``."""
    one_of("grid_type", grid_type, _TYPES, "types of grid")
    known = variables_of(fit, resp)
    names = [*known.known, *known.groups]
    for name in values:
        if name not in names:
            raise BrimError(f"datagrid: the model has no variable '{name}'", hint=suggest(name, names, "variables"))
    chosen = {name: _values(known[name], v) for name, v in values.items()}
    if grid_type == "counterfactual":
        return _counterfactual(fit.frame.every("a counterfactual grid"), names, chosen)
    columns = {name: chosen.get(name, _held(known[name], grid_type, name in known.groups)) for name in dict.fromkeys(names)}
    places = np.array(list(product(*(range(c.n) for c in columns.values()))), dtype=int).reshape(-1, len(columns))
    return Frame.of({name: c.take(places[:, i]) for i, (name, c) in enumerate(columns.items())})


def _values(variable: Variable, given: Any) -> Column:
    if callable(given):
        given = given(variable.numbers if isinstance(variable.column, Numeric) else np.array(variable.column.as_factor().labels))
    return variable.read(given)


def _held(variable: Variable, grid_type: str, groups: bool) -> Column:
    """The value of a variable that was not given."""
    if variable.kind != "factor":
        return variable.held() if variable.kind == "trials" else Numeric(np.array([variable.mean]))
    if grid_type == "balanced" and not groups:
        return variable.distinct
    return variable.most_frequent


def _counterfactual(frame: Frame, names: list[str], chosen: dict[str, Column]) -> Frame:
    places = np.array(list(product(*(range(c.n) for c in chosen.values()))), dtype=int).reshape(-1, len(chosen))
    rows = np.tile(np.arange(frame.n), len(places))
    columns = {name: frame[name].take(rows) for name in dict.fromkeys(names)}
    for i, (name, c) in enumerate(chosen.items()):
        columns[name] = c.take(np.repeat(places[:, i], frame.n))
    return Frame.of(columns)


def to_pandas(frame: Frame, names: Any = None) -> pd.DataFrame:
    """Columns as pandas holds them: factors as their levels' text."""
    import pandas as pd

    def plain(column: Column) -> Any:
        if isinstance(column, Numeric):
            return column.values
        if isinstance(column, Logical):
            return np.asarray(column.values, bool)
        factor = column.as_factor() if not isinstance(column, Factor) else column
        return np.array([*factor.levels, None], dtype=object)[factor.codes]

    return pd.DataFrame({name: plain(frame[name]) for name in (frame.names if names is None else names)})
