"""The protocol of a joint law of residuals: ``y = mean + e`` with correlated ``e``, normal or Student."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from brim.linalg import cholesky, inverse_lower, solve
from brim.parameters.reported import ReportKind, Section
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import Traits

__all__ = ["AUTOCOR", "NATURAL", "AbstractJointLaw", "AbstractResidual", "ResidualMargin", "whiten"]

#: Parameters of residual structures.
AUTOCOR = ReportKind("residual structure", Section("cor_pars", "Correlation Structures:", 2))

#: Families whose residuals can be correlated themselves; others get correlated latent residuals in their predictor.
NATURAL = ("gaussian", "student")


class ResidualMargin(NamedTuple):
    """What holds for each row by itself: mean, residual sd, known standard error; ``nu`` of the Student law, or ``None``."""

    mu: Any
    sigma: Any
    se: Any
    nu: Any

    @staticmethod
    def of(dpars: Mapping[str, Any], data: Mapping[str, Any], rows: int) -> ResidualMargin:
        mu, sigma = (jnp.broadcast_to(dpars[name].value, (rows,)) for name in ("mu", "sigma"))
        return ResidualMargin(mu, sigma, jnp.asarray(data.get("se", jnp.zeros(rows))), dpars["nu"].value if "nu" in dpars else None)


class AbstractJointLaw(AbstractTerm, ABC):
    """The law of all rows of a response together, in place of the product of the family's laws of each row."""

    @property
    def traits(self) -> Traits:
        return Traits(stage=1, autocor=True)

    @property
    def what(self) -> str:
        """How messages call it."""
        return "correlated residuals"

    @property
    def shares_sigma(self) -> bool:
        """Whether all rows must have one scale."""
        return False

    @property
    def takes_intercept(self) -> bool:
        """Whether it does not depend on what all rows' predictors share, so that there is no intercept."""
        return False

    def margin(self, dpars: Mapping[str, Any], data: Mapping[str, Any], rows: int) -> ResidualMargin:
        """What it needs to know of each row by itself."""
        return ResidualMargin.of(dpars, data, rows)

    def mean(self, mu: Any, params: Params, design: Design) -> Any:
        """The mean of each row from the predictor's value."""
        return mu

    @abstractmethod
    def log_joint(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """Log density of each set of rows that depend on each other."""

    @abstractmethod
    def log_lik(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """Log density of each unit that is left out in cross-validation."""

    @abstractmethod
    def sample(self, key: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """A new response of every row."""


class AbstractResidual(AbstractJointLaw, ABC):
    """Residuals that are independent between blocks and correlated within: ``e_g ~ N(0, S_g)`` or ``t(nu, 0, S_g)``.

    A subclass says what whitens a block, ``A_g`` with ``A_g' A_g = S_g^-1``; everything else follows. ``design["grid"]`` holds the
    rows of each block ``(blocks, longest)``, -1 where a block is shorter.
    """

    def held(self, design: Design) -> int:
        """The matrices of all blocks."""
        blocks, longest = design["grid"].shape
        return int(blocks * longest**2)

    @abstractmethod
    def whitener(self, sigma: Any, se: Any, params: Params, design: Design) -> tuple[Any, Any]:
        """``A (blocks, longest, longest)``, identity beyond a block's end, and ``log det S^(1/2)`` of each block.

        ``sigma`` and ``se`` hold the residual standard deviation and the known standard error of each place of the grid.
        """

    # ------------------------------------------------------------------ what follows

    def _white(self, margin: ResidualMargin, params: Params, design: Design) -> tuple[Any, Any, Any]:
        grid = jnp.asarray(design["grid"])
        inside = grid >= 0
        sigma, se = jnp.where(inside, margin.sigma[grid], 1.0), jnp.where(inside, margin.se[grid], 0.0)
        root, log_det = self.whitener(sigma, se, params, design)
        return root, log_det, inside

    def _residual(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        grid = jnp.asarray(design["grid"])
        return jnp.where(grid >= 0, (y - self.mean(margin.mu, params, design))[grid], 0.0)

    def log_joint(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """Log density of each block."""
        root, log_det, inside = self._white(margin, params, design)
        e = self._residual(y, margin, params, design)
        z = jnp.einsum("gij,gj->gi", root, e)
        n, square = inside.sum(axis=1), jnp.sum(z * z, axis=1)
        if margin.nu is None:
            return -0.5 * square - log_det - 0.5 * n * math.log(2 * math.pi)
        nu = margin.nu
        constant = gammaln((nu + n) / 2) - gammaln(nu / 2) - 0.5 * n * jnp.log(nu * math.pi)
        return constant - log_det - 0.5 * (nu + n) * jnp.log1p(square / nu)

    def log_lik(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """Log density of each row given all other rows of its block (Buerkner, Gabry and Vehtari, 2021): ``(rows,)``.

        ``P = A'A``: ``e_i | e_-i`` has mean ``e_i - (P e)_i / P_ii`` and variance ``1 / P_ii``.
        """
        root, _, inside = self._white(margin, params, design)
        e = self._residual(y, margin, params, design)
        z = jnp.einsum("gij,gj->gi", root, e)
        pull, precision = jnp.einsum("gij,gi->gj", root, z), jnp.sum(root * root, axis=1)
        off2 = pull**2 / precision  # squared distance from the conditional mean, in conditional standard deviations
        if margin.nu is not None:
            nu = margin.nu
            df = nu + inside.sum(axis=1)[:, None] - 1.0
            others = jnp.sum(z * z, axis=1)[:, None] - off2
            scale2 = (nu + others) / df
            kernel = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * jnp.log(df * math.pi * scale2)
            out = kernel - 0.5 * (df + 1) * jnp.log1p(off2 / (df * scale2)) + 0.5 * jnp.log(precision)
        else:
            out = -0.5 * off2 + 0.5 * jnp.log(precision) - 0.5 * math.log(2 * math.pi)
        return self._to_rows(out, margin, design)

    def sample(self, key: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """A new response of every row."""
        root, _, inside = self._white(margin, params, design)
        normal, chi = jax.random.split(key)
        e = solve(root, jax.random.normal(normal, inside.shape)[..., None])[..., 0]
        if margin.nu is not None:
            e = e * jax.lax.rsqrt(2.0 * jax.random.gamma(chi, margin.nu / 2, inside.shape[:1]) / margin.nu)[:, None]
        return self.mean(margin.mu, params, design) + self._to_rows(e, margin, design)

    def _to_rows(self, values: Any, margin: ResidualMargin, design: Design) -> Any:
        """Values of the places of the grid, row by row."""
        grid, rows = jnp.asarray(design["grid"]), margin.mu.shape[0]
        return jnp.zeros(rows + 1).at[jnp.where(grid < 0, rows, grid)].set(values)[:rows]


def whiten(sigma: Any, se: Any, correlation: Any) -> tuple[Any, Any]:
    """``A`` and ``log det S^(1/2)`` of blocks ``S = diag(sigma) R diag(sigma) + diag(se^2)``, by Cholesky factors."""
    eye = jnp.eye(correlation.shape[-1])
    low = cholesky(sigma[:, :, None] * correlation * sigma[:, None, :] + se[:, :, None] ** 2 * eye)
    return inverse_lower(low), jnp.sum(jnp.log(jnp.diagonal(low, axis1=-2, axis2=-1)), axis=-1)
