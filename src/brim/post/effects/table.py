"""The tables of conditional effects: draws on a grid summarised, with what drawing them needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from brim.errors import BrimError
from brim.families.kinds import Kind
from brim.fit.record import FitRecord
from brim.frames.frame import Frame, Numeric
from brim.language.expand import deparse
from brim.model.model import ResponseModel
from brim.post.censoring import Censoring
from brim.post.effects.grid import Grid, GridSettings
from brim.post.effects.variables import Effect, Variables

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EffectInfo", "EffectRequest", "ObservedPoints", "effect_table", "has_points"]

#: How an effect is drawn: lines or points, probabilities of categories by lines or by tiles, or a surface.
Shown = Literal["lines", "categorical", "ordinal", "surface"]
Method = Literal["posterior_epred", "posterior_predict", "posterior_linpred"]


@dataclass(frozen=True)
class EffectInfo:
    """What drawing an effect needs besides its table.

    Attributes
    ----------
    variables
        The variables on the axes and in the legend; the second may be ``"cats__"``.
    kinds
        ``"numeric"`` or ``"factor"``, one a variable.
    label
        What the estimate is: the label of its axis.
    look
        ``"lines"``, ``"surface"``, ``"categorical"`` or ``"ordinal"``.
    points
        The observations: ``effect1__[, effect2__], cond__, resp__``, of censored responses also ``cens__`` (brms' codes; ``resp__`` is
        the limit) and ``until__`` (the upper end of intervals); ``None`` where they have another scale than the estimates.
    draws
        Single draws ``(draws, rows)`` for ``spaghetti``.
    held
        What the other variables are held at, in words.
    categories
        Names of the categories whose numbers the estimates are on the scale of.
    """

    variables: tuple[str, ...]
    kinds: tuple[str, ...]
    label: str
    look: Shown = "lines"
    points: pd.DataFrame | None = field(default=None, repr=False)
    draws: np.ndarray | None = field(default=None, repr=False)
    held: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class EffectRequest:
    """The arguments that say what is computed at each row."""

    method: Method
    dpar: str | None
    nlpar: str | None
    re_formula: Any
    prob: float
    robust: bool
    spaghetti: bool
    surface: bool
    look: Shown
    transform: Callable[[np.ndarray], np.ndarray] | None
    draw_ids: np.ndarray
    sample_new_levels: str
    seed: int


def effect_table(
    g: Grid,
    draws: np.ndarray,
    known: Variables,
    labels: tuple[str, ...],
    request: EffectRequest,
    response: ResponseModel,
    points: ObservedPoints | None,
) -> tuple[pd.DataFrame, EffectInfo]:
    """The table of one effect, and what drawing it needs."""
    kinds = tuple("factor" if known[v].kind == "factor" else "numeric" for v in g.effect)
    surface = request.surface and kinds == ("numeric", "numeric")
    names = list(g.effect)
    table = _variables_table(g, kinds, labels)
    if len(names) == 2:
        table["effect2__"] = table[names[1]] if surface or kinds[1] == "factor" else _steps(g.columns[names[1]].numbers, g.labels)
    if request.look in ("categorical", "ordinal"):
        table, draws = _by_category(table, draws, response)
        names, kinds = [*names, "cats__"], (*kinds, "factor")
    elif draws.ndim == 3:
        if response.family.kind is not Kind.ORDINAL or request.method != "posterior_epred":
            raise BrimError(
                f"{response.family.name} has a number for every category here, and no mean of them",
                hint="use method='posterior_epred' with categorical=True, or name one parameter with dpar=",
            )
        draws = draws @ np.arange(1.0, draws.shape[2] + 1)
    for column, values in _summary(draws, request).items():
        table[column] = values
    label = _label(response, request, g)
    look: Shown = "surface" if surface else request.look
    shown = points.table(g, kinds) if points is not None and not surface else None
    named = response.family.kind is Kind.ORDINAL and look == "lines" and not (request.dpar or request.nlpar or request.transform)
    levels = response.response.levels if named and request.method != "posterior_linpred" else ()
    return table, EffectInfo(tuple(names), kinds, label, look, shown, draws if request.spaghetti else None, categories=levels)


def _variables_table(g: Grid, kinds: tuple[str, ...], labels: tuple[str, ...]) -> pd.DataFrame:
    """Values of all variables in all rows, the effect's first; ``cond__`` and ``effect1__``."""
    import pandas as pd

    ordered = [*g.effect, *(name for name in g.columns if name not in g.effect)]
    values = {name: _native(g.columns[name], name in g.effect and kinds[g.effect.index(name)] == "factor") for name in ordered}
    table = pd.DataFrame(values)
    table["cond__"] = pd.Categorical.from_codes(g.condition, list(labels))
    table["effect1__"] = table[g.effect[0]]
    return table


def _native(column: Any, as_levels: bool) -> Any:
    """A column as pandas holds it."""
    import pandas as pd

    if column.kind == "logical" and not as_levels:
        return column.values
    if isinstance(column, Numeric) and not as_levels:
        return column.values
    factor = column.as_factor().drop_unused()
    return pd.Categorical.from_codes(factor.codes, list(factor.levels), ordered=factor.ordered)


def _steps(values: np.ndarray, labels: tuple[str, ...]) -> Any:
    """A few values of a numeric variable as levels, the largest first; with the user's labels if there are some."""
    import pandas as pd

    distinct, first, code = np.unique(values, return_index=True, return_inverse=True)
    if labels:
        names = list(np.array(labels, dtype=object)[np.argsort(np.argsort(first))])
    else:
        names = next((t for t in (_rounded(distinct, d) for d in (2, 4, 8, 12)) if len(set(t)) == len(t)), [repr(v) for v in distinct])
    return pd.Categorical.from_codes(len(distinct) - 1 - code, [str(n) for n in names][::-1])


def _rounded(values: np.ndarray, digits: int) -> list[str]:
    return [f"{v:g}" if abs(v) < 1e4 else f"{v:.{digits}f}" for v in np.round(values, digits) + 0.0]


def _by_category(table: pd.DataFrame, draws: np.ndarray, response: ResponseModel) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows once a category, with its label in ``cats__`` and ``effect2__``."""
    import pandas as pd

    n, k = draws.shape[1:]
    levels = response.response.levels if len(response.response.levels) == k else tuple(str(i + 1) for i in range(k))
    out = pd.concat([table] * k, ignore_index=True)
    ordered = response.family.kind is Kind.ORDINAL
    out["effect2__"] = out["cats__"] = pd.Categorical.from_codes(np.repeat(np.arange(k), n), list(levels), ordered=ordered)
    return out, np.moveaxis(draws, 2, 1).reshape(len(draws), k * n)


def _summary(draws: np.ndarray, request: EffectRequest) -> dict[str, np.ndarray]:
    """Estimate, error and interval over draws."""
    tail = (1 - request.prob) / 2
    lower, middle, upper = np.quantile(draws, [tail, 0.5, 1 - tail], axis=0)
    if request.robust:
        error = 1.4826 * np.median(np.abs(draws - middle), axis=0)
    else:
        middle, error = draws.mean(axis=0), draws.std(axis=0, ddof=1) if len(draws) > 1 else np.zeros_like(lower)
    return {"estimate__": middle, "se__": error, "lower__": lower, "upper__": upper}


def _label(response: ResponseModel, request: EffectRequest, g: Grid) -> str:
    """What the estimate is."""
    said = _said(deparse(response.response.node), response, request, g)
    return said if request.transform is None else f"{said} (transformed)"


def _said(name: str, response: ResponseModel, request: EffectRequest, g: Grid) -> str:
    kind = response.family.kind
    par = request.dpar or request.nlpar
    if request.method == "posterior_linpred":
        return f"{par or 'mu'} of {name} (linear predictor)"
    if par:
        return f"{par} of {name}"
    if request.method == "posterior_predict":
        return f"Predicted {'category of ' * (kind in ('ordinal', 'category'))}{name}"
    if kind is Kind.SIMPLEX:
        return f"Mean share of {name}"
    if kind is Kind.BINARY:
        return f"Probability of {name} = {(*response.response.levels, '1')[1 if len(response.response.levels) == 2 else -1]}"
    if request.look in ("categorical", "ordinal") and kind is not Kind.COUNTS:
        return f"Probability of {name}"
    if kind is Kind.ORDINAL:
        return f"Mean category of {name}"
    return f"Probability of {name}" if _one_trial(response, g) else name


def _one_trial(response: ResponseModel, g: Grid) -> bool:
    """Whether responses are successes out of one trial, so that their mean is a probability."""
    if all(a.fn != "trials" for a in response.response.added):
        return False
    trials = response.response.design(Frame.of(g.columns), response.family, with_y=False).get("trials")
    return trials is not None and bool(np.all(trials == 1))


# --------------------------------------------------------------------------- observations


def has_points(request: EffectRequest, response: ResponseModel) -> bool:
    """Whether observations stand on the scale of the estimates."""
    plain = request.method != "posterior_linpred" and not (request.dpar or request.nlpar) and request.transform is None
    return plain and request.look == "lines" and not response.family.kind.matrix


class ObservedPoints:
    """The observations that belong to each panel."""

    def __init__(self, fit: FitRecord, response: ResponseModel, known: Variables, settings: GridSettings, near: float) -> None:
        self.response, self.known, self.held, self.labels, self.near = response, known, settings.conditions, settings.labels, near
        self.frame = response.response.kept(fit.frame)
        self.data = response.response.design(self.frame, response.family)

    def table(self, g: Grid, kinds: tuple[str, ...]) -> pd.DataFrame:
        """``effect1__[, effect2__], cond__, resp__`` of the observations shown with an effect."""
        import pandas as pd

        parts = []
        censored = Censoring.of(self.data)
        for i, label in enumerate(self.labels):
            keep = np.flatnonzero(self._matching(i, g.effect))
            part: dict[str, Any] = {
                f"effect{j + 1}__": _native(self.frame[v].take(keep), kinds[j] == "factor") for j, v in enumerate(g.effect)
            }
            part |= {"cond__": label, "resp__": self._y(g, i)[keep]}
            if censored is not None:
                mine = censored.rows(keep)
                part |= {"resp__": mine.at, "cens__": mine.codes, "until__": mine.upper}
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def _y(self, g: Grid, i: int) -> np.ndarray:
        """Responses as they would be for the panel's number of trials or time at risk."""
        row = g.take(np.flatnonzero(g.condition == i)[:1])
        panel = self.response.response.design(Frame.of(row.columns), self.response.family, with_y=False)
        y = self.data["y"]
        for name in ("trials", "rate"):
            if name in panel:
                y = y / np.where(self.data[name] > 0, self.data[name], np.nan) * panel[name][0]
        return np.asarray(y)

    def _matching(self, i: int, effect: Effect) -> np.ndarray:
        keep = np.ones(self.frame.n, bool)
        for name, column in self.held.items():
            if name in effect:
                continue
            mine = self.frame[name]
            if self.known[name].kind == "factor":
                keep &= mine.as_factor().labels == column.as_factor().labels[i]
            elif self.near > 0:
                span = np.ptp(self.known[name].numbers) or 1.0
                keep &= np.abs(mine.numbers - column.numbers[i]) <= self.near * span
        return keep
