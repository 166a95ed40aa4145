"""Tables of a fit: population and group effects, standard deviations and correlations.

Everything is computed from draws by ``statistics``; the tables differ in which draws they take and how they are labelled.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from brim.arguments import intervals
from brim.errors import BrimError, suggest
from brim.families.kinds import Kind
from brim.fit.draws import Posterior
from brim.frames.columns import format_number
from brim.parameters.reported import FIXED, population_name
from brim.terms.groups.group import R

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from brim.fit.record import FitRecord
    from brim.terms.groups.group import GroupBlock

__all__ = [
    "coef",
    "fixef",
    "population_name",
    "posterior_summary",
    "ranef",
    "statistic_names",
    "statistics",
    "summarise_array",
    "var_corr",
    "wanted",
]

T = TypeVar("T")

#: Makes the median absolute deviation of a normal sample estimate its standard deviation, as R's ``mad``.
_MAD = 1.4826

#: Numbers that statistics are computed of at once.
_AT_ONCE = 2**22


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
    probs = intervals(probs)
    draws = np.asarray(draws, float)
    size = max(1, _AT_ONCE // max(len(draws), 1))
    if draws.ndim == 1 or draws[0].size <= size:
        return _statistics(draws, robust, probs)
    flat = draws.reshape(len(draws), -1)
    out = np.empty((2 + len(probs), flat.shape[1]))
    for at in range(0, flat.shape[1], size):  # no copies of all draws
        out[:, at : at + size] = _statistics(flat[:, at : at + size], robust, probs)
    return out.reshape(-1, *draws.shape[1:])


def _statistics(draws: np.ndarray, robust: bool, probs: Sequence[float]) -> np.ndarray:
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


@dataclass(frozen=True)
class _How:
    """What is asked for: statistics (``robust`` or not, which quantiles), or with ``summary=False`` the draws themselves."""

    summary: bool
    robust: bool
    probs: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probs", intervals(self.probs))

    def frame(self, names: Sequence[str], draws: np.ndarray) -> pd.DataFrame:
        """``draws (draws, variables)`` as one row a variable, or one column a variable."""
        import pandas as pd

        if not self.summary:
            return pd.DataFrame(draws, columns=list(names))
        return pd.DataFrame(statistics(draws, self.robust, self.probs).T, index=list(names), columns=list(statistic_names(self.probs)))

    def array(self, draws: np.ndarray, coords: Mapping[str, Sequence[str]]) -> xr.DataArray:
        """``draws (draws, a, b)`` as ``(a, statistic, b)``, or ``(draw, a, b)``; ``coords`` are those of a and b."""
        import xarray as xr

        labels = {name: list(values) for name, values in coords.items()}
        first, second = labels
        if not self.summary:
            return xr.DataArray(draws, dims=("draw", first, second), coords=labels)
        labels["statistic"] = list(statistic_names(self.probs))
        return xr.DataArray(summarise_array(draws, self.robust, self.probs), dims=(first, "statistic", second), coords=labels)

    def arrays(self, draws: Mapping[str, np.ndarray], coords: Mapping[str, Sequence[str]]) -> xr.DataArray:
        """``array`` of draws ``(draws, a)`` by label of b, without joining them where statistics are asked for."""
        import xarray as xr

        if not self.summary:
            return self.array(np.stack([*draws.values()], axis=-1), coords)
        first, second = coords
        labels = {name: list(values) for name, values in coords.items()} | {"statistic": list(statistic_names(self.probs))}
        values = np.stack([summarise_array(one, self.robust, self.probs) for one in draws.values()], axis=-1)
        return xr.DataArray(values, dims=(first, "statistic", second), coords=labels)


def _flat(array: np.ndarray) -> np.ndarray:
    """Chains in order: ``(chains, draws, ...) -> (draws, ...)``."""
    return array.reshape(-1, *array.shape[2:])


def posterior_summary(fit: FitRecord, variable: str | Iterable[str] | None, robust: bool, probs: Sequence[float]) -> pd.DataFrame:
    """Statistics of variables by name, all of them by default."""
    names = fit.draws.variables if variable is None else fit.draws.expand(variable)
    return _How(True, robust, probs).frame(names, _flat(fit.draws.matrix(names)))


# --------------------------------------------------------------------------- population effects


def _population(posterior: Posterior) -> dict[str, np.ndarray]:
    """Draws ``(draws,)`` of each population-level coefficient."""
    out: dict[str, np.ndarray] = {}
    for q in posterior.reported:
        if q.kind.section == FIXED:
            values = _flat(posterior.array(q)).reshape(posterior.chains * posterior.draws, -1)
            out.update(zip((population_name(str(n)) for n in np.ravel(q.names)), values.T, strict=True))
    return out


def fixef(fit: FitRecord, summary: bool, robust: bool, probs: Sequence[float], pars: str | Iterable[str] | None = None) -> pd.DataFrame:
    """Population-level effects; see ``Fit.fixef``."""
    found = wanted("pars", pars, _population(fit.draws))
    draws = np.stack([*found.values()], axis=-1) if found else np.zeros((fit.draws.chains * fit.draws.draws, 0))
    return _How(summary, robust, probs).frame(tuple(found), draws)


def wanted(argument: str, names: str | Iterable[str] | None, there: Mapping[str, T]) -> dict[str, T]:
    """Those of the names that are asked for."""
    asked = there if names is None else [names] if isinstance(names, str) else list(names)
    for name in asked:
        if name not in there:
            raise BrimError(f"{argument}: there is no '{name}'", hint=suggest(str(name), there))
    return {name: there[name] for name in asked}


# --------------------------------------------------------------------------- group effects


def _groups(fit: FitRecord) -> dict[str, list[GroupBlock]]:
    """The blocks of each grouping factor."""
    out: dict[str, list[GroupBlock]] = {}
    for block in fit.model.blocks:
        out.setdefault(block.grouping.label, []).append(block)
    if not out:
        raise BrimError("the model has no group-level effects", source=str(fit.formula), hint="fixef() has the population-level effects")
    return out


def _effects(posterior: Posterior, blocks: Sequence[GroupBlock]) -> dict[str, np.ndarray]:
    """Draws ``(draws, levels)`` of each effect of one grouping factor; names carry the predictor (``sigma_x``)."""
    out: dict[str, np.ndarray] = {}
    for block in blocks:
        arrays = [_flat(posterior.array(q)) for q in block.reported() if q.kind == R]
        effects = (values[:, i] for values in arrays for i in range(values.shape[1]))
        out.update(zip(block.labels, effects, strict=True))
    return out


def _by_level(how: _How, levels: Sequence[str], effects: Mapping[str, np.ndarray]) -> xr.DataArray:
    return how.arrays(effects, {"level": levels, "coef": tuple(effects)})


def ranef(
    fit: FitRecord,
    summary: bool,
    robust: bool,
    probs: Sequence[float],
    pars: str | Iterable[str] | None = None,
    groups: str | Iterable[str] | None = None,
) -> dict[str, xr.DataArray]:
    """Group-level effects; see ``Fit.ranef``."""
    how, out = _How(summary, robust, probs), {}
    for group, blocks in wanted("groups", groups, _groups(fit)).items():
        out[group] = _by_level(how, blocks[0].grouping.levels, wanted("pars", pars, _effects(fit.draws, blocks)))
    return out


def coef(fit: FitRecord, summary: bool, robust: bool, probs: Sequence[float]) -> dict[str, xr.DataArray]:
    """Group-level coefficients; see ``Fit.coef``."""
    how = _How(summary, robust, probs)
    population = _population(fit.draws)
    prefixes = sorted((p.where.prefix for r in fit.model.responses for p in r.predictors), key=len, reverse=True)
    out = {}
    for group, blocks in _groups(fit).items():
        effects = _like_population(_effects(fit.draws, blocks), population, prefixes)
        total = combine(population, effects, _threshold_signs(fit))
        out[group] = _by_level(how, blocks[0].grouping.levels, total)
    return out


def _like_population(effects: Mapping[str, np.ndarray], population: Iterable[str], prefixes: Sequence[str]) -> dict[str, np.ndarray]:
    """The effects of a group; an interaction has the population's name of it, whose factors may stand in another order (``x:fb``)."""

    def product(name: str) -> tuple[str, tuple[str, ...], str]:
        """The predictor, the factors, the threshold."""
        prefix = next((p for p in prefixes if name.startswith(p)), "")
        base = _base(name)
        return prefix, tuple(sorted(base.removeprefix(prefix).split(":"))), name.removeprefix(base)

    names = {product(n): n for name in population for n in (_base(name), name)}
    return {name if name in names.values() else names.get(product(name), name): values for name, values in effects.items()}


def _threshold_signs(fit: FitRecord) -> tuple[int, int]:
    """How a group effect and a threshold make a coefficient: cumulative and sratio have ``threshold - effect``, the others the reverse."""
    first = next((r for r in fit.model.responses if r.family.kind is Kind.ORDINAL), None)
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


def var_corr(fit: FitRecord, summary: bool, robust: bool, probs: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Standard deviations, correlations and covariances; see ``Fit.VarCorr``."""
    how = _How(summary, robust, probs)
    out = {}
    for group, blocks in (_groups(fit) if fit.model.blocks else {}).items():
        names = [n for b in blocks for n in b.sd_names]
        coefs = [c for b in blocks for c in (b.labels if b.structure else (n.removeprefix(f"sd_{group}__") for n in b.sd_names))]
        out[group] = _covariances(how, fit.draws, names, coefs, f"cor_{group}__", blocks)
    sigmas = {r.resp: s.key for r in fit.model.responses if r.response.estimates_sigma for s in r.scalars if s.name == "sigma"}
    if sigmas:
        out["residual__"] = _covariances(how, fit.draws, list(sigmas.values()), list(sigmas), "rescor__")
    if not out:
        raise BrimError("the model has neither group-level effects nor a residual standard deviation", source=str(fit.formula))
    return out


def _covariances(
    how: _How,
    posterior: Posterior,
    sd_names: Sequence[str],
    coefs: Sequence[str],
    cor_prefix: str,
    blocks: Sequence[GroupBlock] = (),
) -> dict[str, Any]:
    """``sd``, and where correlations are estimated ``cor`` and ``cov``; pairs without one have correlation zero."""
    sd = _flat(posterior.matrix(tuple(sd_names)))
    out: dict[str, Any] = {"sd": how.frame(coefs, sd)}
    known = set(posterior.variables)
    pairs = [(i, j) for j in range(len(coefs)) for i in range(j) if f"{cor_prefix}{coefs[i]}__{coefs[j]}" in known]
    tied = [(b, s) for b in blocks if (s := b.structure) is not None]
    if not pairs and not tied:
        return out
    cor = np.tile(np.eye(len(coefs)), (len(sd), 1, 1))
    for block, structure in tied:
        at, rho = [coefs.index(c) for c in block.labels], posterior[f"{structure.class_}_{block.grouping.label}"].ravel()
        cor[:, np.array(at)[:, None], at] = structure.correlations(rho, len(at))
    for i, j in pairs:
        cor[:, i, j] = cor[:, j, i] = posterior[f"{cor_prefix}{coefs[i]}__{coefs[j]}"].ravel()
    axes = {"coef": coefs, "coef2": coefs}
    return {**out, "cor": how.array(cor, axes), "cov": how.array(cor * sd[:, :, None] * sd[:, None, :], axes)}
