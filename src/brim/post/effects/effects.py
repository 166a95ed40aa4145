"""Conditional effects: what the model predicts over the range of a predictor, the others held fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from brim.arguments import drawn_seed, named, number, one_of, whole
from brim.errors import BrimError, suggest, warn
from brim.families.kinds import Kind
from brim.fit.record import FitRecord
from brim.frames.frame import Frame
from brim.language.brms import Formula
from brim.model.model import ResponseModel
from brim.post.effects.grid import Grid, GridSettings, grid, held_text, read_conditions, stack
from brim.post.effects.table import EffectInfo, EffectRequest, Method, ObservedPoints, Shown, effect_table, has_points
from brim.post.effects.variables import Effect, Variables
from brim.post.predict import pick_draws

if TYPE_CHECKING:
    import pandas as pd

    from brim.post.plots.figures import Figures

__all__ = ["ConditionalEffects", "conditional_effects"]

METHODS: tuple[Method, ...] = get_args(Method)

#: Rows predicted at once: every block has the same number, so that one compiled program serves all.
_BLOCK = 1200


@dataclass(frozen=True, repr=False)
class ConditionalEffects(Mapping[str, "pd.DataFrame"]):
    """Effects by name (``"x"``, ``"x:z"``), each a data frame.

    Columns: the effect's variables, the values at which the others are held, ``cond__``, ``effect1__[, effect2__]``, ``estimate__``,
    ``se__``, ``lower__``, ``upper__``; with ``categorical`` also ``cats__``. Shows its plots in notebooks.
    """

    tables: Mapping[str, pd.DataFrame]
    info: Mapping[str, EffectInfo]

    def __getitem__(self, effect: str) -> pd.DataFrame:
        name = self._own(effect)
        if name not in self.tables:
            raise BrimError(f"no effect '{effect}' was computed", hint=suggest(str(effect), self.tables, "effects"))
        return self.tables[name]

    def __contains__(self, effect: object) -> bool:
        return self._own(effect) in self.tables

    def _own(self, effect: Any) -> Any:
        """Its name here: brms calls the effect ``"y.x"`` of a multivariate model ``"y.y_x"``."""
        response, _, rest = str(effect).partition(".")
        return f"{response}.{rest.removeprefix(f'{response}_')}" if rest and effect not in self.tables else effect

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        held = {name: f"; {text}" * bool(text) for name, text in self.captions.items()}
        rows = [f"  {name}: {len(table)} rows{held[name]}" for name, table in self.tables.items()]
        return "\n".join(["<ConditionalEffects>", *rows, "tables by name, [effect]; figures with .plot(), files with .save(folder)"])

    def _repr_html_(self) -> str:
        return self.plot()._repr_html_()

    @property
    def captions(self) -> dict[str, str]:
        """What the other variables of each effect are held at, in words; they stand under the figures."""
        return {name: info.held for name, info in self.info.items()}

    def plot(self, effects: str | Sequence[str] | None = None, **kwargs: Any) -> Figures:
        """The figures, ``effect -> matplotlib Figure``.

        Parameters
        ----------
        effects
            Which of them; all by default.
        **kwargs
            ``points``: also draw the observations (censored ones as open marks, groups with equal values side by side); ``rug``: mark
            the observed predictor values along the axis; ``ncol``: columns of the grid of conditions; ``stype``: ``"contour"`` or
            ``"raster"`` for surfaces; ``mean=False``: leave the estimate out of spaghetti; ``ax``: axes of yours to draw in, one a
            panel; ``figsize``: width and height of each figure in inches.
        """
        from brim.post.effects.plot import plot

        names = list(self) if effects is None else [effects] if isinstance(effects, str) else list(effects)
        return named(plot)({name: (self[name], self.info[name]) for name in names}, **kwargs)

    def save(self, folder: str | Path, **kwargs: Any) -> list[Path]:
        """Write ``conditional_effects_<effect>.png`` into a folder for each effect; returns the files. ``kwargs`` as in ``plot``."""
        from brim.post.plots.figures import unseen

        with unseen():
            return self.plot(**kwargs).save(folder, prefix="conditional_effects_")


@named
def conditional_effects(
    fit: FitRecord,
    effects: str | Sequence[str] | None = None,
    conditions: Any = None,
    int_conditions: Mapping[str, Any] | None = None,
    *,
    re_formula: Any = False,
    prob: float = 0.95,
    robust: bool = True,
    method: str = "posterior_epred",
    spaghetti: bool = False,
    surface: bool = False,
    categorical: bool = False,
    ordinal: bool = False,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    resolution: int = 100,
    select_points: float = 0.0,
    dpar: str | None = None,
    nlpar: str | None = None,
    resp: str | None = None,
    ndraws: int | None = None,
    draw_ids: Any = None,
    sample_new_levels: str = "uncertainty",
    seed: int | None = None,
) -> ConditionalEffects:
    """Predictions over the range of each predictor, the others held fixed.

    For every draw the response's expectation is computed on a grid of the effect's variables; the table holds its median and interval
    over draws. Variables that are not varied are held at their mean (numeric), median (whole numbers: ``trials``, ``mo()``) or first
    level (factors and logicals); ``trials`` are 1.

    Parameters
    ----------
    fit
        A fit with draws.
    effects
        ``"x"``, ``"x:z"``, or several; the first variable is the x axis. By default all main effects and two-way interactions of the
        population-level part, numeric variables first (none for a model without predictors). Any two variables may be combined.
    conditions
        Values to hold the other variables at: a data frame (or dict of columns), one panel a row. A column ``cond__`` labels them.
    int_conditions
        ``{"z": [1, 2]}``: values for a variable of an interaction instead of mean and mean -/+ standard deviation; a dict labels
        them (``{"z": {"low": 1, "high": 2}}``), a function computes them from the observed values.
    re_formula
        ``False``: no group effects; ``None``: all, for a new group unless ``conditions`` or the effect name one; or a formula.
    prob
        Probability of the intervals.
    robust
        Median and median absolute deviation instead of mean and standard deviation.
    method
        ``"posterior_epred"``, ``"posterior_predict"`` (intervals for new observations) or ``"posterior_linpred"`` (scale of the link).
    spaghetti
        Keep and draw single draws; combine with ``ndraws``.
    surface
        Show the interaction of two numeric variables as a surface.
    categorical
        Show each category's probability, for ordinal and categorical responses (always on for unordered categories).
    ordinal
        Show the categories as an axis, their probability as a colour.
    transform
        A function of the draws, ``(draws, rows) -> (draws, rows)``, before they are summarised.
    resolution
        Number of values over a numeric range.
    select_points
        With ``conditions``: observations are shown in a panel when its numeric variables differ from the panel's values by at most this
        fraction of their range (0: all observations); factors must match in any case.
    dpar, nlpar
        Show a distributional or nonlinear parameter instead of the response.
    resp
        One response of a multivariate model; all by default, their effects named ``"y1.x"`` (also found by brms' ``"y1.y1_x"``).
    ndraws, draw_ids, sample_new_levels, seed
        As in ``Fit.posterior_epred``.

    Returns
    -------
    ConditionalEffects
        A mapping from effects to data frames, with ``plot()`` and ``save()``.

    Raises
    ------
    BrimError
        For effects, variables, levels, methods or parameters that the model does not have.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=600, seed=1, progress=False)
    >>> days = fit.conditional_effects(resolution=10)["Days"]
    >>> list(days.columns)
    ['Days', 'cond__', 'effect1__', 'estimate__', 'se__', 'lower__', 'upper__']
    """
    asked = one_of("method", method, METHODS, "methods")
    if method == "posterior_predict" and (dpar or nlpar):
        raise BrimError("posterior_predict draws responses, not parameters", hint="leave out dpar, or use method='posterior_epred'")
    prob, resolution = number("prob", prob, above=0, below=1), whole("resolution", resolution, least=2)
    seed = drawn_seed(seed)
    ids = pick_draws(fit.draws.chains * fit.draws.draws, ndraws, draw_ids, seed)
    groups, shown = re_formula is not False, not fit.frame.reduced
    tables: dict[str, pd.DataFrame] = {}
    infos: dict[str, EffectInfo] = {}
    for formula, response in _responses(fit, resp):
        look = _look(response, asked, dpar or nlpar, categorical, ordinal)
        request = EffectRequest(
            asked, dpar, nlpar, re_formula, prob, robust, spaghetti, surface, look, transform, ids, sample_new_levels, seed
        )
        known = Variables.read(formula, fit.frame, groups).also(_read_by_terms(response), fit.frame)
        settings = GridSettings(*read_conditions(conditions, known, groups), int_conditions or {}, surface, resolution, groups)
        grids = [grid(effect, known, settings) for effect in _wanted(effects, known, groups, look)]
        points = ObservedPoints(fit, response, known, settings, select_points) if shown and has_points(request, response) else None
        prefix = f"{response.name}." if len(fit.model.responses) > 1 else ""
        for g, draws in zip(grids, _predict(fit, response, grids, request), strict=True):
            name = prefix + ":".join(g.effect)
            tables[name], info = effect_table(g, draws, known, settings.labels, request, response, points)
            infos[name] = replace(info, held=held_text(g, known, settings))
    return ConditionalEffects(tables, infos)


# --------------------------------------------------------------------------- reading the request


def _read_by_terms(response: ResponseModel) -> list[str]:
    """The columns of its terms that its own formulas may not name: the measurement error of ``x | mi(sd)`` behind ``mi(x)``."""
    by_group = {e.key for e in response.effects()}
    terms = [t for p in response.predictors for t in p.terms if not t.traits.autocor and t.key not in by_group]
    return [name for t in terms for name in t.variables()]


def _responses(fit: FitRecord, resp: str | None) -> Iterator[tuple[Formula, ResponseModel]]:
    """The responses asked for, each with its formula."""
    names = [fit.model.response(resp).name] if resp is not None else [r.name for r in fit.model.responses]
    formulas = {f.resp: f for f in fit.formula.formulas}
    for name in names:
        yield formulas[name], fit.model.response(name)


def _look(response: ResponseModel, method: Method, par: str | None, categorical: bool, ordinal: bool) -> Shown:
    """How categories are shown: as ``"lines"`` when there are none."""
    kind, family = response.family.kind, response.family.name
    if categorical and ordinal:
        raise BrimError("categorical and ordinal are two ways to show the same", hint="give one of them")
    if (categorical or ordinal) and (method != "posterior_epred" or par):
        raise BrimError("probabilities of categories are those of method='posterior_epred'", hint="leave out method and dpar")
    if (categorical and kind not in (Kind.ORDINAL, Kind.CATEGORY, Kind.SIMPLEX, Kind.COUNTS)) or (ordinal and kind is not Kind.ORDINAL):
        raise BrimError(f"the family {family} has no {'ordered ' if ordinal else ''}categories")
    if method != "posterior_epred" or par:
        return "lines"
    if ordinal:
        return "ordinal"
    if kind is Kind.ORDINAL and not categorical:
        warn("the mean category is shown; categorical=True shows the probability of each")
    return "categorical" if categorical or kind.several else "lines"


def _wanted(effects: str | Sequence[str] | None, known: Variables, re: bool, look: Shown) -> list[Effect]:
    """The effects to show. By default numeric variables come first, as the x axis."""
    if effects is None:
        found = [tuple(sorted(e, key=lambda v: known[v].kind == "factor")) for e in known.effects]
        return [e for e in found if len(e) == 1 or look not in ("categorical", "ordinal")]
    given = [effects] if isinstance(effects, str) else list(effects)
    return [_effect_of(str(text), known, re, look) for text in given]


def _effect_of(text: str, known: Variables, re: bool, look: Shown) -> Effect:
    effect = tuple(part.strip() for part in text.split(":"))
    options = [*(":".join(e) for e in known.effects), *(v for v in known.known if (v,) not in known.effects), *known.groups]
    for name in effect:
        if name in known.known:
            continue
        if name not in known.groups:
            raise BrimError(f"the model has no effect '{text}'", hint=suggest(text, dict.fromkeys(options), "effects"))
        if not re:
            raise BrimError(f"'{name}' only groups, and group effects are left out", hint="say re_formula=None to include them")
    if len(effect) > 2 or len(set(effect)) < len(effect):
        raise BrimError(f"'{text}' is not an effect of one or two variables", hint="vary further variables with conditions=")
    if len(effect) == 2 and look in ("categorical", "ordinal"):
        raise BrimError(f"'{text}': the categories take the place of a second variable", hint="vary it with conditions=")
    return effect


# --------------------------------------------------------------------------- predicting


def _predict(fit: FitRecord, response: ResponseModel, grids: Sequence[Grid], request: EffectRequest) -> Iterator[np.ndarray]:
    """Draws at the rows of each grid, ``(draws, rows[, categories])``: all grids in one go, in blocks of equal length."""
    if not grids:
        return
    frame = stack(grids)
    size = min(_BLOCK, frame.n)
    common = {
        "resp": response.name,
        "re_formula": request.re_formula,
        "allow_new_levels": True,
        "sample_new_levels": request.sample_new_levels,
        "draw_ids": request.draw_ids,
        "seed": request.seed,
        "incl_autocor": False,
    }
    if request.method != "posterior_predict":
        common |= {"dpar": request.dpar, "nlpar": request.nlpar}
    method = getattr(fit, request.method)
    parts = []
    for at in range(0, frame.n, size):
        rows = np.minimum(np.arange(at, at + size), frame.n - 1)
        parts.append(method(_rows(frame, rows), **common)[:, : frame.n - at])
    whole = np.concatenate(parts, axis=1)
    if request.transform is not None:
        whole = np.asarray(request.transform(whole))
    at = 0
    for g in grids:
        yield whole[:, at : at + g.n]
        at += g.n


def _rows(frame: Frame, rows: np.ndarray) -> Frame:
    return Frame.of({name: frame[name].take(rows) for name in frame.names})
