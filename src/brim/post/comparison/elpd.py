"""The result of a comparison criterion: ArviZ's ``ELPDData`` with the tables that R's package loo gives."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDData

from brim.post.summaries.text import format_table, html_table

__all__ = ["Elpd", "total"]

#: Kind of criterion -> how loo calls it in names of rows and columns.
_SHORT = {"loo": "loo", "waic": "waic", "loo_kfold": "kfold"}


@dataclass(repr=False)
class Elpd(ELPDData):
    """Expected log predictive density with its pointwise parts; ArviZ' functions take it as it is.

    Attributes
    ----------
    elpd, se
        The sum of ``elpd_i`` and its standard error ``sqrt(N var(elpd_i))``.
    p, p_i
        Effective number of parameters, and the part of each observation.
    elpd_i, pareto_k
        By observation.
    response
        What the rows are: name of the response and its values, so that only models of the same data are compared.
    """

    p_i: xr.DataArray | None = None
    response: tuple[str, bytes] = ("", b"")

    @property
    def estimates(self) -> pd.DataFrame:
        """Estimate and standard error of ``elpd_loo``, ``p_loo``, ``looic`` (minus twice the first), as R's ``loo(fit)$estimates``."""
        short = _SHORT[self.kind]
        n = self.n_data_points
        se_p = float(np.sqrt(n * np.var(np.asarray(self.p_i), ddof=1))) if self.p_i is not None else np.nan
        rows = {f"elpd_{short}": (self.elpd, self.se), f"p_{short}": (self.p, se_p), self._ic: (-2.0 * self.elpd, 2.0 * self.se)}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["Estimate", "SE"])

    @property
    def pointwise(self) -> pd.DataFrame:
        """One row an observation: ``elpd_loo``, ``p_loo``, ``looic`` and, where there is one, ``pareto_k``."""
        short = _SHORT[self.kind]
        elpd = np.ravel(self.elpd_i)
        columns = {f"elpd_{short}": elpd, f"p_{short}": np.ravel(np.asarray(self.p_i)), self._ic: -2.0 * elpd}
        if self.pareto_k is not None:
            columns["pareto_k"] = np.ravel(self.pareto_k)
        return pd.DataFrame(columns)

    @property
    def _ic(self) -> str:
        return "waic" if self.kind == "waic" else f"{_SHORT[self.kind]}ic"

    @property
    def bad(self) -> np.ndarray:
        """Positions of the observations whose Pareto k is above ``good_k``."""
        return np.flatnonzero(np.ravel(self.pareto_k) > self.good_k) if self.pareto_k is not None else np.zeros(0, int)

    def __str__(self) -> str:
        if self.subsample_size:  # with the error of the subsample, which ArviZ prints
            return str(super().__str__())
        rows = [[f"{v:.1f}" if np.isfinite(v) else "NA" for v in row] for row in self.estimates.to_numpy()]
        table = format_table(["Estimate", "SE"], rows, list(self.estimates.index))
        return "\n".join([self._origin(), "", *table, *(["------", *self._verdict()] if self._verdict() else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if self.subsample_size:
            return f"<pre>{escape(str(self))}</pre>"
        rows = [[f"{v:.1f}" if np.isfinite(v) else "NA" for v in row] for row in self.estimates.to_numpy()]
        verdict = "".join(f"<pre>{escape(chr(10).join(self._verdict()))}</pre>" if self._verdict() else "")
        return f"<div><p>{escape(self._origin())}</p>{html_table(['Estimate', 'SE'], rows, list(self.estimates.index))}{verdict}</div>"

    def _origin(self) -> str:
        if self.kind == "loo_kfold" and self.n_folds is not None:
            return f"Computed by {self.n_folds}-fold cross-validation of {self.n_data_points} observations."
        return f"Computed from {self.n_samples} draws by {self.n_data_points} observations."

    def _verdict(self) -> list[str]:
        """What the diagnostics of each observation say."""
        pareto_k: Any = self.pareto_k  # None for WAIC and k-fold, which ArviZ' annotation does not say
        if pareto_k is None:
            high = int((np.ravel(np.asarray(self.p_i)) > 0.4).sum()) if self.kind == "waic" else 0
            return [f"{high} of {self.n_data_points} p_waic are above 0.4: WAIC is unreliable there. Use loo() instead."] if high else []
        if not self.bad.size:
            return [f"All Pareto k estimates are good (k < {self.good_k:.2g})."]
        k = np.ravel(pareto_k)
        counts = [k.size - self.bad.size, int((self.good_k < k).sum() - (k > 1).sum()), int((k > 1).sum())]
        cells = [[f"{n}", f"{100 * n / k.size:.1f}%"] for n in counts]
        g = f"{self.good_k:.2g}"
        lines = format_table(["Count", "Pct."], cells, [f"(-Inf, {g}] (good)", f"({g}, 1] (bad)", "(1, Inf) (very bad)"])
        said = f"{self.bad.size} of {k.size} Pareto k are above {g}: loo is unreliable for these observations"
        return ["Pareto k diagnostic values:", *lines, f"{said} (see pointwise)."]


def total(kind: str, elpd_i: np.ndarray, p_i: np.ndarray, samples: int, response: tuple[str, bytes], dim: str, **more: Any) -> Elpd:
    """The sums of pointwise values ``(rows,)``."""

    def named(values: np.ndarray) -> xr.DataArray:
        return xr.DataArray(values, dims=(dim,), coords={dim: np.arange(len(values))})

    n = len(elpd_i)
    arrays = {name: named(more.pop(name)) for name in ("pareto_k",) if more.get(name) is not None}
    spread = float(np.sqrt(n * np.var(elpd_i, ddof=1))) if n > 1 else np.nan
    fields = {"warning": False, "good_k": 0.7, **more, **arrays}
    return Elpd(
        kind=kind,
        elpd=float(np.sum(elpd_i)),
        se=spread,
        p=float(np.sum(p_i)),
        n_samples=samples,
        n_data_points=n,
        scale="log",
        elpd_i=named(elpd_i),
        p_i=named(p_i),
        response=response,
        **fields,
    )
