"""Tables of a fit: priors, population and group effects, standard deviations and correlations, residuals.

Everything is computed from draws by ``statistics``; the tables differ in which draws they take and how they are labelled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.columns import format_number
from brim.errors import BrimError, suggest
from brim.frame import Frame
from brim.param import RANKS
from brim.post.draws import Posterior
from brim.priors import PriorRow

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from brim.fit import Fit
    from brim.model import ResponseModel
    from brim.terms.group import GroupBlock

__all__ = [
    "POPULATION",
    "coef",
    "fixef",
    "format_table",
    "population_name",
    "posterior_summary",
    "print_priors",
    "prior_lines",
    "prior_table",
    "ranef",
    "residuals",
    "statistic_names",
    "statistics",
    "summarise_array",
    "var_corr",
]

#: Ranks (``param.RANKS``) of the population-level coefficients.
POPULATION = tuple(RANKS[name] for name in ("Intercept", "b", "bsp", "bcs", "bs"))

#: Makes the median absolute deviation of a normal sample estimate its standard deviation, as R's ``mad``.
_MAD = 1.4826


# --------------------------------------------------------------------------- statistics


def statistic_names(probs: Iterable[float]) -> tuple[str, ...]:
    """Labels of the statistics: ``Estimate``, ``Est.Error``, ``Q2.5``, ...

    Examples
    --------
    >>> statistic_names((0.025, 0.975))
    ('Estimate', 'Est.Error', 'Q2.5', 'Q97.5')
    """
    return ("Estimate", "Est.Error", *(f"Q{format_number(100 * p)}" for p in probs))


def statistics(draws: np.ndarray, robust: bool = False, probs: Sequence[float] = (0.025, 0.975)) -> np.ndarray:
    """Mean, standard deviation and quantiles (R's type 7) over the first axis: ``(draws, ...) -> (2 + len(probs), ...)``.

    ``robust`` takes the median and the median absolute deviation times 1.4826 instead of the first two.

    Examples
    --------
    >>> statistics(np.arange(5.0)).round(3)
    array([2.   , 1.581, 0.1  , 3.9  ])
    """
    if any(not 0 <= p <= 1 for p in probs):
        raise BrimError(f"probs = {tuple(probs)}", hint="probabilities lie between 0 and 1")
    draws = np.asarray(draws, float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one draw has no standard deviation: NaN says so
        if robust:
            center = np.median(draws, axis=0)
            spread = _MAD * np.median(np.abs(draws - center), axis=0)
        else:
            center, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    return np.stack([center, spread, *np.quantile(draws, list(probs), axis=0)])


def summarise_array(draws: np.ndarray, robust: bool = False, probs: Sequence[float] = (0.025, 0.975)) -> np.ndarray:
    """Statistics of each observation, ``(draws, obs[, categories]) -> (obs, statistic[, categories])``."""
    return np.moveaxis(statistics(draws, robust, probs), 0, 1)


def _frame(names: Sequence[str], draws: np.ndarray, robust: bool, probs: Sequence[float]) -> pd.DataFrame:
    """Statistics of named variables, one a row; ``draws (draws, variables)``."""
    import pandas as pd

    return pd.DataFrame(statistics(draws, robust, probs).T, index=list(names), columns=list(statistic_names(probs)))


def _flat(array: np.ndarray) -> np.ndarray:
    """Chains in order: ``(chains, draws, ...) -> (draws, ...)``."""
    return array.reshape(-1, *array.shape[2:])


def posterior_summary(fit: Fit, variable: Sequence[str] | None, robust: bool, probs: Sequence[float]) -> pd.DataFrame:
    """Statistics of variables by name, all of them by default."""
    names = fit.draws.variables if variable is None else (variable,) if isinstance(variable, str) else tuple(variable)
    return _frame(names, _flat(fit.draws.matrix(names)), robust, probs)


# --------------------------------------------------------------------------- population effects


def population_name(variable: str) -> str:
    """The coefficient of a population-level variable.

    Examples
    --------
    >>> [population_name(v) for v in ("b_sigma_x", "bs_sx_1", "bsp_mox")]
    ['sigma_x', 'sx_1', 'mox']
    """
    return re.sub(r"^b(s|sp|cs)?_", "", variable)


def _population(posterior: Posterior) -> dict[str, np.ndarray]:
    """Draws ``(draws,)`` of each population-level coefficient."""
    out = {}
    for q in posterior.reported:
        if q.rank in POPULATION:
            values = _flat(posterior.array(q)).reshape(posterior.chains * posterior.draws, -1)
            out.update(zip((population_name(str(n)) for n in np.ravel(q.names)), values.T, strict=True))
    return out


def fixef(fit: Fit, summary: bool, robust: bool, probs: Sequence[float]) -> pd.DataFrame:
    """Population-level effects; see ``Fit.fixef``."""
    import pandas as pd

    found = _population(fit.draws)
    draws = np.stack([*found.values()], axis=-1) if found else np.zeros((fit.draws.chains * fit.draws.draws, 0))
    return _frame(tuple(found), draws, robust, probs) if summary else pd.DataFrame(draws, columns=list(found))


# --------------------------------------------------------------------------- group effects


def _groups(fit: Fit) -> dict[str, list[GroupBlock]]:
    """The blocks of each grouping factor."""
    out: dict[str, list[GroupBlock]] = {}
    for block in fit.model.blocks:
        out.setdefault(block.grouping.label, []).append(block)
    if not out:
        raise BrimError("the model has no group-level effects", source=str(fit.formula), hint="fixef() has the population-level effects")
    return out


def _effects(posterior: Posterior, blocks: Sequence[GroupBlock]) -> dict[str, np.ndarray]:
    """Draws ``(draws, levels)`` of each effect of one grouping factor; names carry the predictor (``sigma_x``)."""
    out = {}
    for block in blocks:
        arrays = [_flat(posterior.array(q)) for q in block.reported() if q.rank == RANKS["r"]]
        effects = np.moveaxis(np.concatenate(arrays, axis=1), 1, 0)
        out.update(zip(block.labels, effects, strict=True))
    return out


def _by_level(levels: Sequence[str], effects: Mapping[str, np.ndarray], summary: bool, robust: bool, probs: Sequence[float]) -> xr.DataArray:
    """``(level, statistic, coef)``, or the draws ``(draw, level, coef)``."""
    import xarray as xr

    draws = np.stack([*effects.values()], axis=-1)
    coords = {"level": list(levels), "coef": list(effects)}
    if not summary:
        return xr.DataArray(draws, dims=("draw", "level", "coef"), coords=coords)
    values = np.moveaxis(statistics(draws, robust, probs), 0, 1)
    return xr.DataArray(values, dims=("level", "statistic", "coef"), coords={**coords, "statistic": list(statistic_names(probs))})


def ranef(fit: Fit, summary: bool, robust: bool, probs: Sequence[float]) -> dict[str, xr.DataArray]:
    """Group-level effects; see ``Fit.ranef``."""
    return {
        group: _by_level(blocks[0].grouping.levels, _effects(fit.draws, blocks), summary, robust, probs)
        for group, blocks in _groups(fit).items()
    }


def coef(fit: Fit, summary: bool, robust: bool, probs: Sequence[float]) -> dict[str, xr.DataArray]:
    """Group-level coefficients; see ``Fit.coef``."""
    groups = _groups(fit)
    population = _population(fit.draws)
    out = {}
    for group, blocks in groups.items():
        total = combine(population, _effects(fit.draws, blocks), _threshold_signs(fit))
        out[group] = _by_level(blocks[0].grouping.levels, total, summary, robust, probs)
    return out


def _threshold_signs(fit: Fit) -> tuple[int, int]:
    """How a group effect and a threshold make a coefficient: cumulative and sratio have ``threshold - effect``, the others the reverse."""
    first = next((r for r in fit.model.responses if r.family.kind == "ordinal"), None)
    return (-1, 1) if first is None or first.family.name in ("cumulative", "sratio") else (1, -1)


def combine(
    population: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray], signs: tuple[int, int] = (-1, 1)
) -> dict[str, np.ndarray]:
    """Population plus group effects by name, ``(draws, levels)`` each: effects of the group first, then those that do not vary.

    A group effect without a population effect stands alone, and the other way round. An effect of ``Intercept`` meets every
    ``Intercept[k]`` of the population (or one of ``x[k]`` the common ``x``); where these are thresholds, ``signs`` are those of
    effect and threshold.

    Parameters
    ----------
    population
        Draws ``(draws,)`` by coefficient.
    effects
        Draws ``(draws, levels)`` by coefficient, of one grouping factor.

    Examples
    --------
    >>> total = combine({"Intercept": np.array([1.0, 2.0]), "x": np.array([5.0, 6.0])}, {"Intercept": np.array([[0.1, 0.2], [0.3, 0.4]])})
    >>> {name: draws.tolist() for name, draws in total.items()}
    {'Intercept': [[1.1, 1.2], [2.3, 2.4]], 'x': [[5.0, 5.0], [6.0, 6.0]]}
    """
    none = np.zeros_like(next(iter(effects.values())))
    parts = {_base(name) for name in (*population, *effects) if name != _base(name)}
    out = {}
    for name in dict.fromkeys([*effects, *population]):
        if name in parts:
            continue  # its parts name[k] stand for it
        effect = effects.get(name, effects.get(_base(name), none))
        constant = population.get(name, population.get(_base(name), none[:, 0]))
        threshold = name != _base(name) and _base(name).split("_")[-1] == "Intercept"
        of_effect, of_constant = signs if threshold else (1, 1)
        out[name] = of_effect * effect + of_constant * constant[:, None]
    return out


def _base(name: str) -> str:
    """``Intercept`` of ``Intercept[2]``."""
    return name.split("[")[0]


# --------------------------------------------------------------------------- standard deviations and correlations


def var_corr(fit: Fit, summary: bool, robust: bool, probs: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Standard deviations, correlations and covariances; see ``Fit.VarCorr``."""
    posterior = fit.draws
    out = {}
    groups = _groups(fit) if fit.model.blocks else {}
    for group, blocks in groups.items():
        prefix = f"sd_{group}__"
        names = [str(n) for b in blocks for q in b.reported() if q.rank == RANKS["sd"] for n in np.ravel(q.names)]
        coefs = [n.removeprefix(prefix) for n in names]
        out[group] = _covariances(posterior, names, coefs, f"cor_{group}__", summary, robust, probs)
    residual = [r for r in fit.model.responses if r.response.estimates_sigma and any(s.name == "sigma" for s in r.scalars)]
    if residual:
        names = [_sigma(r) for r in residual]
        labels = [r.resp for r in residual]
        out["residual__"] = _covariances(posterior, names, labels, "rescor__", summary, robust, probs)
    if not out:
        raise BrimError("the model has neither group-level effects nor a residual standard deviation", source=str(fit.formula))
    return out


def _sigma(r: ResponseModel) -> str:
    return next(s.key for s in r.scalars if s.name == "sigma")


def _covariances(
    posterior: Posterior, sd_names: Sequence[str], coefs: Sequence[str], cor_prefix: str, summary: bool, robust: bool, probs: Sequence[float]
) -> dict[str, Any]:
    """``sd``, and where correlations are estimated ``cor`` and ``cov``; pairs without one have correlation zero."""
    import pandas as pd

    sd = _flat(posterior.matrix(tuple(sd_names)))
    out: dict[str, Any] = {"sd": _frame(coefs, sd, robust, probs) if summary else pd.DataFrame(sd, columns=list(coefs))}
    known = set(posterior.variables)
    pairs = [(i, j) for j in range(len(coefs)) for i in range(j) if f"{cor_prefix}{coefs[i]}__{coefs[j]}" in known]
    if not pairs:
        return out
    cor = np.tile(np.eye(len(coefs)), (len(sd), 1, 1))
    for i, j in pairs:
        cor[:, i, j] = cor[:, j, i] = posterior[f"{cor_prefix}{coefs[i]}__{coefs[j]}"].ravel()
    out["cor"] = _matrix(cor, coefs, summary, robust, probs)
    out["cov"] = _matrix(cor * sd[:, :, None] * sd[:, None, :], coefs, summary, robust, probs)
    return out


def _matrix(draws: np.ndarray, coefs: Sequence[str], summary: bool, robust: bool, probs: Sequence[float]) -> xr.DataArray:
    """``(coef, statistic, coef2)``, or the draws ``(draw, coef, coef2)``."""
    import xarray as xr

    coords = {"coef": list(coefs), "coef2": list(coefs)}
    if not summary:
        return xr.DataArray(draws, dims=("draw", "coef", "coef2"), coords=coords)
    values = np.moveaxis(statistics(draws, robust, probs), 0, 1)
    return xr.DataArray(values, dims=("coef", "statistic", "coef2"), coords={**coords, "statistic": list(statistic_names(probs))})


# --------------------------------------------------------------------------- residuals

_METHODS = ("posterior_epred", "posterior_predict")
_TYPES = ("ordinary", "pearson")


def residuals(fit: Fit, newdata: Any, method: str, type: str, summary: bool, robust: bool, probs: Sequence[float], kwargs: Mapping[str, Any]) -> np.ndarray:
    """Observed minus expected or predicted responses; see ``Fit.residuals``."""
    for name, value, known in (("method", method, _METHODS), ("type", type, _TYPES)):
        if value not in known:
            raise BrimError(f"{name} = {value!r}", hint=suggest(str(value), known, f"{name}s"))
    response = fit.model.response(kwargs.get("resp"))
    if response.family.kind in ("ordinal", "category"):
        raise BrimError(f"residuals of the family {response.family.name} are not defined", hint="compare categories with pp_check() or fitted()")
    predict = {"posterior_epred": fit.posterior_epred, "posterior_predict": fit.posterior_predict}[method]
    draws = predict(newdata, **kwargs)
    out = _observed(fit, response, newdata) - draws
    if type == "pearson":
        out = out / fit.posterior_predict(newdata, **kwargs).std(axis=0, ddof=1)
    return summarise_array(out, robust, probs) if summary else out


def _observed(fit: Fit, response: ResponseModel, newdata: Any) -> np.ndarray:
    """The response of the rows that predictions are for."""
    frame = fit.frame if newdata is None else Frame.read(newdata)
    rows = response.response.rows(frame) if newdata is None else None
    mine = frame if rows is None else frame.take(rows)
    return response.response.design(mine, response.family)["y"]


# --------------------------------------------------------------------------- priors

_COLUMNS = ("prior", "class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub", "source")


def prior_table(rows: Iterable[PriorRow], all: bool = True) -> pd.DataFrame:
    """The prior table with brms' columns; bounds are text as brms has them, ``""`` where there is none."""
    import pandas as pd

    def bound(value: float | None) -> str:
        return "" if value is None else format_number(value)

    records = [(r.prior, *r.key, bound(r.lb), bound(r.ub), r.source) for r in rows if all or r.prior]
    return pd.DataFrame(records, columns=list(_COLUMNS))


def _resolved(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Rows as they hold: an empty prior is that of the group or class (source ``(vectorized)``), bounds are the class'."""
    records: list[dict[str, str]] = table.to_dict("records")
    places = ("class", "coef", "group", "resp", "dpar", "nlpar")
    by_key = {tuple(r[p] for p in places): r for r in records}
    for r in records:
        above = [by_key.get((r["class"], "", group, r["resp"], r["dpar"], r["nlpar"])) for group in (r["group"], "")]
        bases = [b for b in above if b is not None and b is not r]
        out = dict(r)
        for bound in ("lb", "ub"):
            out[bound] = next((b[bound] for b in (r, *bases) if b[bound]), "")
        if not r["prior"] and r["source"] == "default" and bases:
            out["prior"] = next((b["prior"] for b in bases if b["prior"]), "")
            out["source"] = "(vectorized)"
        out["prior"] = out["prior"] or "(flat)"
        yield out


def print_priors(table: pd.DataFrame) -> str:
    """The prior table as brms prints it: inherited priors spelled out with source ``(vectorized)``, flat ones as ``(flat)``.

    Parameters
    ----------
    table
        What ``Fit.prior_summary()`` or ``default_prior()`` gives.

    Examples
    --------
    >>> import brim
    >>> print(print_priors(brim.default_prior("Reaction ~ Days", brim.load_data("sleepstudy"))))
                       prior     class coef group resp dpar nlpar lb ub       source
                      (flat)         b                                       default
                      (flat)         b Days                             (vectorized)
    student_t(3, 288.7, 59.3) Intercept                                       default
       student_t(3, 0, 59.3)     sigma                             0         default
    """
    rows = [[r[c] for c in _COLUMNS] for r in _resolved(table)]
    return "\n".join(format_table(list(_COLUMNS), rows))


def prior_lines(table: pd.DataFrame) -> list[str]:
    """One line a prior that was given or is a default of its own: ``<lower=0> sd_g__x ~ exponential(1)``."""
    lines = []
    for r, own in zip(_resolved(table), table["prior"], strict=True):
        if not own:
            continue
        bounds = [f"{word}={r[b]}" for word, b in (("lower", "lb"), ("upper", "ub")) if r[b]]
        name = "_".join(r[p] for p in ("class", "resp", "dpar", "nlpar", "group") if r[p])
        name += ("__" if r["group"] else "_") + r["coef"] if r["coef"] else ""
        lines.append(f"<{','.join(bounds)}> {name} ~ {own}" if bounds else f"{name} ~ {own}")
    return lines


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str] = ()) -> list[str]:
    """Lines of a table as R prints data frames: right-aligned columns one space apart, row names left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    label = max((len(n) for n in names), default=0)

    def line(name: str, cells: Sequence[str]) -> str:
        return name.ljust(label) + "".join(" " + c.rjust(w) for c, w in zip(cells, widths, strict=True))

    return [line("", header), *(line(n, row) for n, row in zip(names or [""] * len(rows), rows, strict=True))]
