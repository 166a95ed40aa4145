"""Degrees of freedom of tests of coefficients: Satterthwaite's and Kenward and Roger's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import numpy as np

from brim.errors import BrimError
from brim.lme4.optimise import slopes_of

if TYPE_CHECKING:
    from brim.lme4.lmer import LmerFit

__all__ = ["KenwardRoger", "Satterthwaite", "approximation", "coefficient_df"]

Array = np.ndarray

_DENSE = 4000  # rows: Kenward and Roger's formulas take dense matrices of them


@final
@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """The covariance of the coefficients, its slopes over the variance parameters (m, p, p), and the covariance of these (m, m)."""

    beta: Array
    covariance: Array
    slopes: Array
    parameters: Array

    @staticmethod
    def of(fit: LmerFit) -> Satterthwaite:
        """Over ``theta`` (less what is zero) and ``log sigma``."""
        profile, theta = fit.profile, fit.minimum.x
        free = np.flatnonzero(theta != 0.0)
        point = np.append(theta[free], np.log(fit.sigma))
        scale = np.append(np.maximum(np.abs(theta[free]), 0.05), 1.0)

        def whole(values: Array) -> Array:
            out = np.zeros(len(theta))
            out[free] = values[:-1]
            return out

        def gradient(values: Array) -> Array:
            at, s2 = whole(values), float(np.exp(2.0 * values[-1]))
            state = profile.state(at)
            over_theta = profile.covariances.chain_rule(at, profile.slopes(state, sigma2=s2))
            return np.append(over_theta[free], 2.0 * profile.degrees - 2.0 * state.r2 / s2)

        def covariance(values: Array) -> Array:
            return np.exp(2.0 * values[-1]) * profile.unscaled_vcov(profile.state(whole(values)))

        hessian = slopes_of(gradient, point, scale, 1e-3)
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        kept = values > 1e-8 * values[-1]
        parameters = 2.0 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        return Satterthwaite(fit.beta, fit.covariance, slopes_of(covariance, point, scale, 1e-3), parameters)

    def single(self, contrast: Array) -> float:
        """Degrees of freedom of ``contrast' beta``."""
        g = np.einsum("mij,i,j->m", self.slopes, contrast, contrast)
        spread = float(g @ self.parameters @ g)
        return float(2.0 * (contrast @ self.covariance @ contrast) ** 2 / spread) if spread > 0 else np.inf

    def test(self, contrasts: Array) -> tuple[float, float]:
        """F statistic and denominator degrees of freedom of ``contrasts beta = 0``."""
        values, vectors = np.linalg.eigh(contrasts @ self.covariance @ contrasts.T)
        rotated = vectors.T @ contrasts
        f = float(np.mean((rotated @ self.beta) ** 2 / values))
        each = np.array([self.single(r) for r in rotated])
        if len(each) == 1:
            return f, float(each[0])
        if np.ptp(each) < 1e-8 * each[0]:
            return f, float(each.mean())
        if (each <= 2).any():
            return f, 2.0
        total = float(np.sum(each / (each - 2.0)))
        return f, 2.0 * total / (total - len(each))


@final
@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """Kenward and Roger (1997, Biometrics 53): the adjusted covariance of the coefficients, and scaled F tests."""

    beta: Array
    covariance: Array
    plain: Array = field(repr=False)
    first: Array = field(repr=False)
    parameters: Array = field(repr=False)

    @staticmethod
    def of(fit: LmerFit) -> KenwardRoger:
        """Over the variances and covariances of all terms and the residual variance, in which the response's covariance is linear."""
        if not fit.reml:
            raise BrimError("Kenward-Roger degrees of freedom need a fit by REML", hint="fit with REML=True, or use Satterthwaite")
        if fit.nobs() > _DENSE:
            raise BrimError(f"Kenward-Roger needs dense matrices of {fit.nobs():,} rows", hint="use ddf='Satterthwaite'")
        x, parts = fit.observed.x, _linear_parts(fit)
        inverse = np.linalg.inv(_total_covariance(fit))
        left = inverse @ x
        phi = np.linalg.inv(x.T @ left)
        sides = [g @ left for g in parts]
        first = np.array([-left.T @ s for s in sides])
        products = [inverse @ g for g in parts]
        m = len(parts)
        info = np.empty((m, m))
        second = np.empty((m, m, *phi.shape))
        for r in range(m):
            for s in range(m):
                second[r, s] = sides[r].T @ inverse @ sides[s]
                trace = np.sum(products[r] * products[s].T)
                info[r, s] = trace - 2.0 * np.sum(phi * second[r, s]) + np.sum((phi @ first[r]) * (first[s] @ phi))
        w = 2.0 * np.linalg.pinv(0.5 * (info + info.T), rcond=1e-12)
        u = sum(w[r, s] * (second[r, s] - first[r] @ phi @ first[s]) for r in range(m) for s in range(m))
        return KenwardRoger(fit.beta, phi + 2.0 * phi @ u @ phi, phi, first, w)

    def _scaling(self, contrasts: Array) -> tuple[float, float]:
        """Degrees of freedom and scale of F."""
        q, phi = len(contrasts), self.plain
        theta = contrasts.T @ np.linalg.solve(contrasts @ phi @ contrasts.T, contrasts)
        each = [theta @ phi @ p @ phi for p in self.first]
        traces = np.array([np.trace(e) for e in each])
        a1 = float(traces @ self.parameters @ traces)
        a2 = float(sum(w * np.trace(a @ b) for row, a in zip(self.parameters, each, strict=True) for w, b in zip(row, each, strict=True)))
        if a2 <= 0:
            return np.inf, 1.0
        b = (a1 + 6.0 * a2) / (2.0 * q)
        g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
        below = 3.0 * q + 2.0 * (1.0 - g)
        c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
        e = 1.0 / (1.0 - a2 / q)
        v = (2.0 / q) * (1.0 + c1 * b) / ((1.0 - c2 * b) ** 2 * (1.0 - c3 * b))
        m = 4.0 + (q + 2.0) / (q * v / (2.0 * e * e) - 1.0)
        return m, m / (e * (m - 2.0))

    def single(self, contrast: Array) -> float:
        return self._scaling(contrast[None])[0]

    def test(self, contrasts: Array) -> tuple[float, float]:
        df, scale = self._scaling(contrasts)
        values = contrasts @ self.beta
        return float(scale * values @ np.linalg.solve(contrasts @ self.covariance @ contrasts.T, values) / len(values)), df


def _spread(fit: LmerFit, term: int) -> Array:
    """The (rows, levels k) columns of a term."""
    groups, t = fit.observed.groups, fit.observed.groups.covariances.terms[term]
    codes, columns = groups.codes[t.factor], groups.columns[t.factor][t.columns]
    levels = len(groups.design.groupings[t.factor].levels)
    z = np.zeros((len(codes), levels, t.k))
    z[np.arange(len(codes)), codes] = columns.T
    return z


def _linear_parts(fit: LmerFit) -> list[Array]:
    """d covariance / d each variance and covariance; for structured terms, each ``theta``."""
    out = []
    groups = fit.observed.groups
    for i, (t, s) in enumerate(zip(groups.covariances.terms, groups.covariances.slots, strict=True)):
        z = _spread(fit, i)
        low = t.structure.loading(fit.theta[s], t.k)
        if len(fit.theta[s]) == t.k * (t.k + 1) // 2:
            units = [(a, b) for a in range(t.k) for b in range(a, t.k)]
            middles = [np.eye(t.k)[[a]].T @ np.eye(t.k)[[b]] for a, b in units]
            middles = [m if a == b else m + m.T for m, (a, b) in zip(middles, units, strict=True)]
        else:
            middles = [fit.sigma**2 * (d @ low.T + low @ d.T) for d in t.structure.slopes(fit.theta[s], t.k)]
        out += [np.einsum("nla,ab,mlb->nm", z, middle, z, optimize=True) for middle in middles]
    w = fit.observed.weights
    return [*out, np.diag(np.ones(fit.nobs()) if w is None else 1.0 / w)]


def _total_covariance(fit: LmerFit) -> Array:
    groups = fit.observed.groups
    out = fit.sigma**2 * np.diag(np.ones(fit.nobs()) if fit.observed.weights is None else 1.0 / fit.observed.weights)
    for i, (t, s) in enumerate(zip(groups.covariances.terms, groups.covariances.slots, strict=True)):
        half = _spread(fit, i) @ (fit.sigma * t.structure.loading(fit.theta[s], t.k))
        half = half.reshape(len(half), -1)
        out += half @ half.T
    return out


def approximation(fit: LmerFit, ddf: str) -> Satterthwaite | KenwardRoger:
    """The approximation of that name."""
    return Satterthwaite.of(fit) if ddf == "Satterthwaite" else KenwardRoger.of(fit)


def coefficient_df(fit: LmerFit, ddf: str) -> tuple[Array, Array]:
    """Covariance of the coefficients, adjusted where the method does, and their degrees of freedom."""
    if ddf == "normal":
        return fit.covariance, np.full(len(fit.beta), np.inf)
    law = approximation(fit, ddf)
    return law.covariance, np.array([law.single(c) for c in np.eye(len(fit.beta))])
