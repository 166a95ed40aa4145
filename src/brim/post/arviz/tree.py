"""The ArviZ ``DataTree`` of a fit: groups that cost something are computed when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from brim.errors import BrimError
from brim.fit.draws import dataset, safe_name
from brim.fit.record import FitRecord
from brim.frames.columns import Numeric
from brim.post import predictions
from brim.post.observed import observed_values

__all__ = ["LAZY", "FitTree", "fit_tree"]


class FitTree(xr.DataTree):
    """A ``DataTree`` with ``posterior``, ``sample_stats``, ``observed_data``, ``constant_data``, and on request the groups of ``LAZY``."""

    __slots__ = ("_fit",)

    def __getattr__(self, name: str) -> Any:
        if name in LAZY and name not in self.children:
            self._add(name)
        return super().__getattr__(name)

    def __getitem__(self, key: Any) -> Any:
        name = str(key).strip("/").split("/")[0]
        if name in LAZY and name not in self.children:
            self._add(name)
        return super().__getitem__(key)

    def _add(self, name: str) -> None:
        """Compute a group; ``AttributeError`` where there is no fit (in a part or a copy) or the model has no such group."""
        try:
            fit = object.__getattribute__(self, "_fit")
            self.update({name: xr.DataTree(LAZY[name](fit))})
        except BrimError as error:
            raise AttributeError(f"the group '{name}' cannot be computed: {error}", name=name, obj=self) from error


def fit_tree(fit: FitRecord) -> FitTree:
    """The tree of a fit with draws."""
    base = dataset(fit.draws, fit.stats, {})
    groups: dict[str, Any] = {name: node.to_dataset() for name, node in base.children.items() if name != "observed_data"}
    if not fit.frame.reduced:  # else neither responses nor columns are there
        groups["observed_data"] = _rows_of(fit, {r.name: observed_values(fit, r) for r in fit.model.responses})
        groups["constant_data"] = _constants(fit)
    tree: FitTree = FitTree.from_dict(groups)
    object.__setattr__(tree, "_fit", fit)
    return tree


def _dim(fit: FitRecord, name: str) -> str:
    """The axis of observations of a response."""
    return "obs" if len(fit.model.responses) == 1 else f"{name}_obs"


def _rows_of(fit: FitRecord, values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Arrays ``(rows[, categories])`` by response."""
    return xr.Dataset(
        {name: xr.DataArray(v, dims=_row_dims(fit, name, v.ndim), coords=_labels(fit, name, len(v))) for name, v in values.items()}
    )


def _row_dims(fit: FitRecord, name: str, ndim: int) -> tuple[str, ...]:
    return (_dim(fit, name), f"{name}_category")[:ndim]


def _labels(fit: FitRecord, name: str, n: int) -> dict[str, np.ndarray]:
    return {_dim(fit, name): np.arange(n)}


def _draws_of(fit: FitRecord, values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Arrays ``(draws, rows[, categories])`` by response, the draws by chain."""
    shape = (fit.draws.chains, fit.draws.draws)

    def one(name: str, v: np.ndarray) -> xr.DataArray:
        dims = ("chain", "draw", *_row_dims(fit, name, v.ndim - 1))
        axes = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1]), **_labels(fit, name, v.shape[1])}
        return xr.DataArray(v.reshape(*shape, *v.shape[1:]), dims=dims, coords=axes)

    return xr.Dataset({name: one(name, v) for name, v in values.items()})


def _each(fit: FitRecord, draw: Callable[..., np.ndarray], **kwargs: Any) -> dict[str, np.ndarray]:
    return {r.name: draw(fit, resp=r.name, **kwargs) for r in fit.model.responses}


def _constants(fit: FitRecord) -> xr.Dataset:
    """The columns that the model reads besides its responses, numbers as they are, others as text."""
    names = {v for f in fit.formula.formulas for v in f.variables(fit.frame.names)}
    columns = {}
    for name in (n for n in fit.frame.names if n in names):
        column = fit.frame[name]
        values = column.values if isinstance(column, Numeric) else np.array([str(v) for v in column.as_factor().labels])
        columns[safe_name(name)] = ("data_row", values)
    return xr.Dataset(columns)


def _log_likelihood(fit: FitRecord) -> xr.Dataset:
    return _draws_of(fit, _each(fit, predictions.log_lik))


def _posterior_predictive(fit: FitRecord) -> xr.Dataset:
    return _draws_of(fit, _each(fit, predictions.posterior_predict, seed=fit.settings.seed or 1))


def _log_prior(fit: FitRecord) -> xr.Dataset:
    from brim.post.predict import log_prior

    values = log_prior(fit.model, fit.draws, fit.model.data(fit.frame)).reshape(fit.draws.chains, fit.draws.draws)
    return xr.Dataset(
        {
            "lprior": xr.DataArray(
                values, dims=("chain", "draw"), coords={"chain": np.arange(len(values)), "draw": np.arange(values.shape[1])}
            )
        }
    )


def _prior_fit(fit: Any) -> Any:
    """The model sampled from its prior, with as many draws."""
    if not hasattr(fit, "update"):
        raise BrimError("a record has no prior draws", hint="ask a Fit")
    return fit.update(sample_prior="only", progress=False)


def _prior(fit: FitRecord) -> xr.Dataset:
    drawn = _prior_fit(fit)
    return dataset(drawn.draws, {}, {})["posterior"].to_dataset()


def _prior_predictive(fit: FitRecord) -> xr.Dataset:
    drawn = _prior_fit(fit)
    return _draws_of(drawn, _each(drawn, predictions.posterior_predict, seed=fit.settings.seed or 1))


#: Groups on request -> how they are computed. Those of the prior sample it, which needs proper priors.
LAZY: dict[str, Callable[[FitRecord], xr.Dataset]] = {
    "log_likelihood": _log_likelihood,
    "posterior_predictive": _posterior_predictive,
    "log_prior": _log_prior,
    "prior": _prior,
    "prior_predictive": _prior_predictive,
}
