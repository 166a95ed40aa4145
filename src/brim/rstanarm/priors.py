"""rstanarm's priors: what a user writes, before scales are adjusted to the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from scipy import optimize, special

from brim.arguments import named
from brim.errors import BrimError, suggest

__all__ = [
    "COEFFICIENTS",
    "R2",
    "Decov",
    "Dirichlet",
    "Lkj",
    "Prior",
    "cauchy",
    "decov",
    "default_prior_coef",
    "default_prior_intercept",
    "dirichlet",
    "exponential",
    "hs",
    "hs_plus",
    "laplace",
    "lasso",
    "lkj",
    "normal",
    "product_normal",
    "student_t",
]


#: Priors of coefficients.
COEFFICIENTS = ("normal", "student_t", "cauchy", "hs", "hs_plus", "laplace", "lasso", "product_normal")


@final
@dataclass(frozen=True)
class Prior:
    """The prior of coefficients, of an intercept or of an auxiliary parameter.

    Attributes
    ----------
    dist
        rstanarm's name of the law.
    location, scale
        A number, or one for each coefficient; ``scale=None`` is the default of the place where the prior stands.
    df
        Degrees of freedom, where the law has some.
    autoscale
        Whether the scale is adjusted to the data.
    more
        Further arguments by name.
    """

    dist: str
    location: Any = 0.0
    scale: Any = None
    df: Any = None
    autoscale: bool = False
    more: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        parts = {"df": self.df, "location": self.location, "scale": self.scale, "autoscale": self.autoscale or None, **self.more}
        return f"{self.dist}({', '.join(f'{k}={v}' for k, v in parts.items() if v is not None)})"


def _positive(name: str, value: Any) -> None:
    if value is not None and not np.all(np.asarray(value, float) > 0):
        raise BrimError(f"{name} = {value!r} in a prior", hint=f"{name} must be positive")


def _prior(dist: str, location: Any, scale: Any, df: Any, autoscale: bool, **more: float) -> Prior:
    _positive("scale", scale)
    _positive("df", df)
    for name, value in more.items():
        _positive(name, value)
    return Prior(dist, location, scale, df, bool(autoscale), more)


@named
def normal(location: Any = 0.0, scale: Any = None, autoscale: bool = False) -> Prior:
    """``b ~ N(location, scale)``; ``scale=None``: 2.5 (times 1.6 for probit).

    With ``autoscale`` the scale is in units of the data: for Gaussian models times ``sd(y)``, and for coefficients divided by ``sd(x)``;
    ``prior_summary()`` has what was used. ``location`` and ``scale`` are numbers, or one for each coefficient in their order.

    Examples
    --------
    >>> normal(0, [1, 5])
    normal(location=0, scale=[1, 5])
    """
    return _prior("normal", location, scale, None, autoscale)


@named
def student_t(df: Any = 1.0, location: Any = 0.0, scale: Any = None, autoscale: bool = False) -> Prior:
    """``b ~ t(df, location, scale)``; ``scale=None`` and ``autoscale`` as in ``normal``.

    Examples
    --------
    >>> student_t(7, 0, 2.5).df
    7
    """
    return _prior("student_t", location, scale, df, autoscale)


@named
def cauchy(location: Any = 0.0, scale: Any = None, autoscale: bool = False) -> Prior:
    """``b ~ t(1, location, scale)``; ``scale=None`` and ``autoscale`` as in ``normal``.

    Examples
    --------
    >>> cauchy(0, 5)
    cauchy(location=0, scale=5)
    """
    return _prior("cauchy", location, scale, None, autoscale)


@named
def laplace(location: Any = 0.0, scale: Any = None, autoscale: bool = False) -> Prior:
    """``b ~ double_exponential(location, scale)``: density ``exp(-|b - location| / scale) / (2 scale)``; ``autoscale`` as in ``normal``.

    Examples
    --------
    >>> laplace()
    laplace(location=0.0)
    """
    return _prior("laplace", location, scale, None, autoscale)


@named
def lasso(df: float = 1.0, location: Any = 0.0, scale: Any = None, autoscale: bool = False) -> Prior:
    """``b ~ double_exponential(location, scale l)``, ``l ~ chi_square(df)``.

    Examples
    --------
    >>> lasso(2).df
    2
    """
    return _prior("lasso", location, scale, df, autoscale)


@named
def product_normal(df: int = 2, location: Any = 0.0, scale: Any = 1.0) -> Prior:
    """``b = location + scale^df z_1 ... z_df`` with standard normal ``z``.

    Examples
    --------
    >>> product_normal(3).df
    3
    """
    if df != int(df) or df < 1:
        raise BrimError(f"product_normal(df = {df})", hint="give a whole number of factors")
    return _prior("product_normal", location, scale, int(df), False)


@named
def hs(df: float = 1.0, global_df: float = 1.0, global_scale: float = 0.01, slab_df: float = 4.0, slab_scale: float = 2.5) -> Prior:
    """The regularised horseshoe (Piironen & Vehtari 2017): ``b = z tau l c / sqrt(c^2 + tau^2 l^2)``.

    ``l ~ t+(df)``, ``tau ~ t+(global_df, 0, global_scale sigma)``, ``c^2 ~ slab_scale^2 inv_gamma(slab_df / 2, slab_df / 2)``.

    Examples
    --------
    >>> hs().more["global_scale"]
    0.01
    """
    more = {"global_df": global_df, "global_scale": global_scale, "slab_df": slab_df, "slab_scale": slab_scale}
    return _prior("hs", 0.0, 1.0, df, False, **more)


@named
def hs_plus(
    df1: float = 1.0, df2: float = 1.0, global_df: float = 1.0, global_scale: float = 0.01, slab_df: float = 4.0, slab_scale: float = 2.5
) -> Prior:
    """As ``hs``, the local scale being a product of two, ``t+(df1)`` and ``t+(df2)``.

    Examples
    --------
    >>> hs_plus().dist
    'hs_plus'
    """
    more = {"df2": df2, "global_df": global_df, "global_scale": global_scale, "slab_df": slab_df, "slab_scale": slab_scale}
    return _prior("hs_plus", 0.0, 1.0, df1, False, **more)


@named
def exponential(rate: float = 1.0, autoscale: bool = False) -> Prior:
    """``x ~ exponential(rate)``, for auxiliary parameters; adjusted, its mean is ``sd(y) / rate``.

    Examples
    --------
    >>> exponential(2)
    exponential(location=0.0, rate=2)
    """
    return _prior("exponential", 0.0, None, None, autoscale, rate=rate)


@named
def default_prior_coef(family: Any = None) -> Prior:
    """rstanarm's default prior of coefficients, ``normal(0, 2.5, autoscale=True)``.

    Examples
    --------
    >>> default_prior_coef("gaussian")
    normal(location=0.0, autoscale=True)
    """
    return normal(autoscale=True)


@named
def default_prior_intercept(family: Any = None) -> Prior:
    """rstanarm's default prior of the intercept, ``normal(0, 2.5, autoscale=True)``; at ``mean(y)`` for Gaussian models with identity link.

    Examples
    --------
    >>> default_prior_intercept("poisson").autoscale
    True
    """
    return Prior("normal", None, None, None, True)


# --------------------------------------------------------------------------- covariances, simplexes, R2


@final
@dataclass(frozen=True)
class Decov:
    """``decov()``: see there."""

    regularization: float = 1.0
    concentration: float | tuple[float, ...] = 1.0
    shape: float = 1.0
    scale: float = 1.0


@named
def decov(regularization: float = 1.0, concentration: Any = 1.0, shape: float = 1.0, scale: float = 1.0) -> Decov:
    """The prior of a covariance matrix of ``k`` group effects: variances ``k tau^2 p_j``, correlations ``lkj(regularization)``.

    ``tau ~ gamma(shape, scale=scale)``, ``p ~ dirichlet(concentration)``; of Gaussian models in units of ``sigma``.

    Examples
    --------
    >>> decov(2).regularization
    2
    """
    for name, value in (("regularization", regularization), ("concentration", concentration), ("shape", shape), ("scale", scale)):
        _positive(name, value)
    many = isinstance(concentration, Sequence | np.ndarray)
    return Decov(regularization, tuple(float(c) for c in concentration) if many else float(concentration), shape, scale)


@final
@dataclass(frozen=True)
class Lkj:
    """``lkj()``: see there."""

    regularization: float = 1.0
    scale: float = 10.0
    df: float = 1.0
    autoscale: bool = True


@named
def lkj(regularization: float = 1.0, scale: float = 10.0, df: float = 1.0, autoscale: bool = True) -> Lkj:
    """The prior of a covariance matrix of several markers' group effects: ``sd ~ t+(df, 0, scale)``, ``lkj(regularization)``.

    ``autoscale`` multiplies the scale of an effect by ``sd(y) / sd(z)``, with the marker ``y`` and the effect's column ``z``.

    Examples
    --------
    >>> lkj().scale
    10.0
    """
    for name, value in (("regularization", regularization), ("scale", scale), ("df", df)):
        _positive(name, value)
    return Lkj(regularization, scale, df, autoscale)


@final
@dataclass(frozen=True)
class Dirichlet:
    """``dirichlet()``: see there."""

    concentration: float | tuple[float, ...] = 1.0


@named
def dirichlet(concentration: Any = 1.0) -> Dirichlet:
    """The prior of the categories' probabilities at the mean of the predictors (``stan_polr``).

    Examples
    --------
    >>> dirichlet([1, 2, 1]).concentration
    (1.0, 2.0, 1.0)
    """
    _positive("concentration", concentration)
    many = isinstance(concentration, Sequence | np.ndarray)
    return Dirichlet(tuple(float(c) for c in concentration) if many else float(concentration))


_WHAT = ("mode", "mean", "median", "log")


@final
@dataclass(frozen=True)
class R2:
    """The prior of the share of variance that ``k`` predictors explain: ``R2 ~ beta(k / 2, eta)``.

    Parameters
    ----------
    location
        Where the law sits; ``None`` is a uniform law.
    what
        What ``location`` is: the ``"mode"`` (three predictors or more), ``"mean"``, ``"median"`` or ``"log"`` (the mean of ``log R2``).

    Examples
    --------
    >>> round(R2(0.3, "mean").eta(3), 6)
    3.5
    """

    location: float | None = None
    what: str = "mode"

    def __post_init__(self) -> None:
        if self.what not in _WHAT:
            raise BrimError(f"R2(what = {self.what!r})", hint=suggest(str(self.what), _WHAT, "choices"))
        low, high = (-math.inf, 0.0) if self.what == "log" else (0.0, 1.0)
        if self.location is not None and not low < self.location < high:
            raise BrimError(f"R2(location = {self.location})", hint=f"what = '{self.what}' lies between {low:g} and {high:g}")

    def eta(self, k: int) -> float:
        """The second shape of the beta law for ``k`` predictors."""
        a, at = k / 2, self.location
        if at is None:
            return 1.0
        if self.what == "mode":
            if k < 3:
                raise BrimError("R2() is given by its mode, which needs three predictors", hint="say R2(location, what='mean')")
            return (a - 1 - at * (a - 2)) / at
        if self.what == "mean":
            return a * (1 - at) / at
        if self.what == "median":
            return _root(lambda e: float(special.betaincinv(a, e, 0.5)) - at)
        return _root(lambda e: float(special.digamma(a) - special.digamma(a + e)) - at)


def _root(f: Any) -> float:
    """The ``e > 0`` with ``f(e) = 0``, for a function that falls."""
    return math.exp(float(optimize.brentq(lambda x: f(math.exp(x)), -20.0, 20.0, xtol=1e-14)))
