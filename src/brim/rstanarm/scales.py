"""How rstanarm adjusts the scales of priors to the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from brim.errors import BrimError
from brim.rstanarm.priors import Prior

__all__ = ["Scaled", "column_scale", "default_scale", "scaled"]

_SMALLEST = 1e-12


@final
@dataclass(frozen=True)
class Scaled:
    """A prior for ``k`` parameters with its scales: as specified, and as used.

    ``adjusted`` says whether the two differ by rule, so that both are shown.
    """

    prior: Prior | None
    location: np.ndarray
    specified: np.ndarray
    scale: np.ndarray
    df: np.ndarray | None
    adjusted: bool

    @property
    def dist(self) -> str | None:
        """The law; ``None`` for a flat prior."""
        return None if self.prior is None else self.prior.dist


def default_scale(link: str, base: float = 2.5) -> float:
    """The scale of a prior that names none: ``base``, times the ratio of the densities at 0 of a normal and a logistic law for probit.

    Examples
    --------
    >>> round(default_scale("probit"), 6), default_scale("logit")
    (3.989423, 2.5)
    """
    return base * (1.5957691216057308 if link == "probit" else 1.0)


def column_scale(x: np.ndarray, two: str = "sd") -> float:
    """What a column's prior scale is divided by: its sd (``two = "range"``: for two values their distance), 1 for a constant.

    Examples
    --------
    >>> column_scale(np.array([0.0, 2.0, 2.0, 0.0]), two="range")
    2.0
    """
    values = np.unique(x)
    if len(values) == 1:
        return 1.0
    return float(values[1] - values[0]) if two == "range" and len(values) == 2 else float(np.std(x, ddof=1))


def scaled(prior: Prior | None, columns: np.ndarray | int, link: str, unit: float, *, two: str = "sd", base: float = 2.5) -> Scaled:
    """The prior of the coefficients of ``columns`` (rows, k), or of ``k`` parameters without columns.

    Parameters
    ----------
    prior
        As the user gave it; ``None`` is flat.
    columns
        The design without its intercept.
    link
        Of the response's mean.
    unit
        ``sd(y)`` of a Gaussian response, else 1.
    two
        How a column of two values is scaled, see ``column_scale``.
    base
        The scale of a prior that names none.
    """
    k = columns if isinstance(columns, int) else columns.shape[1]
    if prior is None:
        return Scaled(None, np.zeros(k), np.ones(k), np.ones(k), None, False)
    location = _each(prior.location or 0.0 if np.ndim(prior.location) == 0 else prior.location, k, "location")
    specified = _each(default_scale(link, base) if prior.scale is None else prior.scale, k, "scale")
    df = None if prior.df is None else _each(prior.df, k, "df")
    if not prior.autoscale:
        return Scaled(prior, location, specified, specified, df, False)
    own = np.ones(k) if isinstance(columns, int) else np.array([column_scale(c, two) for c in columns.T])
    return Scaled(prior, location, specified, np.maximum(specified * unit / own, _SMALLEST), df, True)


def _each(value: Any, k: int, name: str) -> np.ndarray:
    """One number for each of ``k`` parameters."""
    given = np.asarray(value, float)
    if given.ndim and given.size not in (1, k):
        raise BrimError(f"a prior has {given.size} values of {name} for {k} parameters", hint="give one number, or one for each")
    return np.broadcast_to(given.reshape(-1) if given.ndim else given, (k,)).astype(float)
