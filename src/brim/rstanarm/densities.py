"""Priors of rstanarm that tie several of a model's parameters together, as terms that add nothing to a predictor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jax.scipy.stats import beta as beta_law
from jax.scipy.stats import chi2, dirichlet, gamma, norm, t

from brim.families.links import LINKS
from brim.frames.frame import Frame
from brim.parameters.param import Param, Piece
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import Traits

__all__ = ["AbstractPriorTerm", "Covariance", "Explained", "ExplainedOrdinal", "Rotated", "Shrunken", "root_of"]


def root_of(x: np.ndarray, center: bool = True) -> np.ndarray:
    """``R`` with ``R'R = X'X`` for the centred columns of ``X``; for the columns as they are where there is no intercept.

    Examples
    --------
    >>> abs(root_of(np.array([[0.0], [2.0]])).item())
    1.414213562373095
    """
    return np.asarray(np.linalg.qr(x - x.mean(0) if center else x, mode="r"))


class AbstractPriorTerm(AbstractTerm):
    """A term that is only a prior: nothing to learn, the same arrays for all rows."""

    @property
    def computes(self) -> tuple[str, ...]:
        """The model's parameters that ``transform`` gives, which are not sampled then."""
        return ()

    def constants(self) -> Design:
        """The arrays that the prior reads."""
        return {}

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return self.constants()


@final
@dataclass(frozen=True)
class Covariance(AbstractPriorTerm):
    """``decov()``: with ``s = sd / sigma``, ``T = sum s^2``, ``tau = sqrt(T / k)``, ``p = s^2 / T``.

    ``p(sd) = gamma(tau) dirichlet(p) prod(2 s) / (T^(k - 1) 2 k tau sigma^k)``: the law of ``tau`` and ``p`` with the map's Jacobian.

    Attributes
    ----------
    sd
        Key of the standard deviations (k,).
    sigma
        Key of the residual scale that they are relative to, empty for none.
    """

    sd: str
    sigma: str
    shape: float
    scale: float
    concentration: tuple[float, ...]

    @property
    def key(self) -> str:
        return f"decov:{self.sd}"

    def log_prior(self, params: Params, design: Design) -> Any:
        unit = params[self.sigma] if self.sigma else 1.0
        s = params[self.sd] / unit
        k = s.shape[0]
        total = jnp.sum(s * s)
        tau = jnp.sqrt(total / k)
        out = gamma.logpdf(tau, self.shape, scale=self.scale) + jnp.sum(jnp.log(2.0 * s)) - jnp.log(2.0 * k * tau) - k * jnp.log(unit)
        if k == 1:
            return out
        return out - (k - 1) * jnp.log(total) + _log_dirichlet(s * s / total, jnp.asarray(self.concentration))


def _log_dirichlet(p: Any, a: Any) -> Any:
    return gammaln(jnp.sum(a)) - jnp.sum(gammaln(a)) + jnp.sum((a - 1.0) * jnp.log(p))


@final
@dataclass(frozen=True)
class Explained(AbstractPriorTerm):
    """``R2()`` of a linear model: ``R2 ~ beta(k / 2, eta)``, a uniform direction in Q-space, ``log`` of the outcome's scale flat.

    With ``theta = R b``, ``v = |theta|^2 / (n - 1)``, ``R2 = v / (v + sigma^2)``:
    ``p(b, sigma) ~ beta(R2) R2 (1 - R2) / (v^(k / 2) sigma)``.
    """

    rows: int
    eta: float
    size: int
    root: Any = field(compare=False, repr=False)
    uniform: bool = False

    @property
    def key(self) -> str:
        return "R2"

    def constants(self) -> Design:
        return {"root": self.root}

    def log_prior(self, params: Params, design: Design) -> Any:
        theta, sigma = design["root"] @ params["b"], params["sigma"]
        v = jnp.sum(theta * theta) / (self.rows - 1)
        r2 = v / (v + sigma * sigma)
        law = _log_flat(r2, self.size) if self.uniform else beta_law.logpdf(r2, 0.5 * self.size, self.eta)
        return law + jnp.log(r2) + jnp.log1p(-r2) - 0.5 * self.size * jnp.log(v) - jnp.log(sigma)


@final
@dataclass(frozen=True)
class ExplainedOrdinal(AbstractPriorTerm):
    """``R2()`` of an ordinal model with ``dirichlet()`` for the categories' probabilities at the mean of the predictors.

    The latent variable has scale ``D = sqrt(1 + v)``, ``v = |R b|^2 / (n - 1)``, ``R2 = v / (1 + v)``; thresholds are ``D F^-1`` of
    the cumulated probabilities: ``p(b, c) = beta(R2) dR2/d|theta| |theta|^(1 - k) dirichlet(p) prod f(c_j / D) / D``.
    """

    thresholds: str
    link: str
    rows: int
    eta: float
    size: int
    counts: tuple[float, ...]
    root: Any = field(compare=False, repr=False)
    uniform: bool = False
    sign: float = 1.0

    @property
    def key(self) -> str:
        return "R2"

    def constants(self) -> Design:
        return {"root": self.root}

    def log_prior(self, params: Params, design: Design) -> Any:
        theta = design["root"] @ params["b"]
        v = jnp.sum(theta * theta) / (self.rows - 1)
        r2 = v / (1.0 + v)
        # dR2/drho = 2 rho (n - 1) / (rho^2 + n - 1)^2, up to a constant sqrt(v) / (1 + v)^2
        own = _log_flat(r2, self.size) if self.uniform else beta_law.logpdf(r2, 0.5 * self.size, self.eta)
        law = own + 0.5 * jnp.log(v) - 2.0 * jnp.log1p(v) - 0.5 * (self.size - 1) * jnp.log(v)
        scale = jnp.sqrt(1.0 + v)
        z = self.sign * jnp.atleast_1d(params[self.thresholds]) / scale
        log_f, below = _LOG_SLOPES[self.link](z), LINKS[self.link].inverse(z)
        p = jnp.diff(jnp.concatenate([jnp.zeros(1), below, jnp.ones(1)]))
        return law + dirichlet.logpdf(p / jnp.sum(p), jnp.asarray(self.counts)) + jnp.sum(log_f) - z.shape[0] * jnp.log(scale)


def _log_flat(r2: Any, size: int) -> Any:
    """The log density of ``R2`` without a prior: uniform; of one predictor its root is."""
    return 0.0 * r2 if size > 1 else -0.5 * jnp.log(r2) - math.log(2.0)


#: Log densities of the latent variables.
_LOG_SLOPES: dict[str, Any] = {
    "logit": lambda z: -z - 2.0 * jnp.logaddexp(0.0, -z),
    "probit": norm.logpdf,
    "loglog": lambda z: -z - jnp.exp(-z),
    "cloglog": lambda z: z - jnp.exp(z),
    "cauchit": lambda z: t.logpdf(z, 1.0),
}


@final
@dataclass(frozen=True)
class Rotated(AbstractPriorTerm):
    """``QR = TRUE``: independent priors of ``theta = R b / s`` in place of those of the coefficients ``b``.

    ``s`` is ``sqrt(n - 1)`` for priors that autoscale; for others rstanarm takes the last diagonal element of ``R``, with its sign.
    """

    dist: str
    rows: int
    autoscale: bool
    of: str
    root: Any = field(compare=False, repr=False)
    location: Any = field(compare=False, repr=False)
    scale: Any = field(compare=False, repr=False)
    df: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"QR:{self.of}"

    def constants(self) -> Design:
        df = np.ones(len(self.location)) if self.df is None else self.df
        s = math.sqrt(self.rows - 1) if self.autoscale else self.root[-1, -1]
        return {"root": self.root / s, "location": self.location, "scale": self.scale, "df": df}

    def log_prior(self, params: Params, design: Design) -> Any:
        z = (design["root"] @ params[self.of] - design["location"]) / design["scale"]
        law = norm.logpdf(z) if self.dist == "normal" else -jnp.abs(z) if self.dist == "laplace" else t.logpdf(z, design["df"])
        return jnp.sum(law)


_STANDARD = (Piece("std_normal", None),)


@final
@dataclass(frozen=True)
class Shrunken(AbstractPriorTerm):
    """``hs() hs_plus() lasso() product_normal()``: coefficients ``b`` computed from parameters of the prior's own.

    Attributes
    ----------
    dist
        Which.
    size
        Number of coefficients.
    sigma
        Key of the residual scale that the global scale of a horseshoe is relative to, empty for none.
    numbers
        ``df`` and further arguments, in the prior's order.
    location, scale
        Of each coefficient.
    """

    dist: str
    size: int
    sigma: str
    numbers: tuple[float, ...]
    location: Any = field(compare=False, repr=False)
    scale: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return "shrunken"

    @property
    def computes(self) -> tuple[str, ...]:
        return ("b",)

    @property
    def traits(self) -> Traits:
        return Traits(hides_prior=True)

    def constants(self) -> Design:
        return {"location": self.location, "scale": self.scale}

    def params(self) -> tuple[Param, ...]:
        k = self.size
        if self.dist == "product_normal":
            return (Param("prior_z", (int(self.numbers[0]), k), pieces=_STANDARD),)
        z = Param("prior_z", (k,), pieces=_STANDARD)
        if self.dist == "lasso":
            return (Param("prior_laplace", (k,)), Param("prior_lambda", lb=0.0))
        names = ("prior_local", "prior_local2") if self.dist == "hs_plus" else ("prior_local",)
        local = tuple(Param(name, (k,), lb=0.0) for name in names)
        return (z, *local, Param("prior_global", lb=0.0, center=-2.0), Param("prior_slab", lb=0.0))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        location, scale = design["location"], design["scale"]
        if self.dist == "product_normal":
            return {"b": location + jnp.prod(params["prior_z"], axis=0) * scale ** self.numbers[0]}
        if self.dist == "lasso":
            return {"b": location + params["prior_laplace"] * scale * params["prior_lambda"]}
        *_, global_scale, _, slab_scale = self.numbers
        local = params["prior_local"] * params.get("prior_local2", 1.0)
        tau = params["prior_global"] * global_scale * (params[self.sigma] if self.sigma else 1.0)
        c2 = slab_scale**2 * params["prior_slab"]
        return {"b": params["prior_z"] * tau * local * jnp.sqrt(c2 / (c2 + jnp.square(tau * local)))}

    def log_density(self, params: Params, design: Design) -> Any:
        if self.dist == "product_normal":
            return jnp.zeros(())
        if self.dist == "lasso":
            return chi2.logpdf(params["prior_lambda"], self.numbers[0]) - jnp.sum(jnp.abs(params["prior_laplace"]))
        *dfs, global_df, _, slab_df, _ = self.numbers
        names = ("prior_local", "prior_local2")
        local = sum(jnp.sum(t.logpdf(params[name], df)) for name, df in zip(names, dfs, strict=False))
        slab = params["prior_slab"]
        return local + t.logpdf(params["prior_global"], global_df) - (0.5 * slab_df + 1.0) * jnp.log(slab) - 0.5 * slab_df / slab
