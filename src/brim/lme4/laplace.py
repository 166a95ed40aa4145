"""Laplace's approximation of a generalized linear mixed model's likelihood, with its gradient over covariances and coefficients.

``-2 log p(y | beta, theta) ~ -2 log p(y | eta) + ||u||^2 + log det M`` at the ``u`` that minimises the first two terms, with
``eta = X beta + Z Lambda u + offset``, ``M = Lambda' Z'WZ Lambda + I`` and ``W`` the expected information, as in lme4. Where the family has
a dispersion, ``u`` is the mode for a dispersion of 1 and ``p`` has that at ``deviance / sum w``, as in lme4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from brim.linalg.mixed.blocks import Pattern, Sums
from brim.linalg.mixed.factorisation import Factorisation, factorise
from brim.linalg.mixed.threads import suited
from brim.lme4.deviance import Covariances, moved_effects
from brim.lme4.glm import Glm

__all__ = ["Laplace", "Mode"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Mode:
    """The mode of the effects at ``theta`` and ``beta``: predictor, spherical and actual effects in the pattern's order."""

    theta: Array
    beta: Array
    eta: Array
    spherical: list[Array]
    effects: list[Array]
    sums: Sums
    factorisation: Factorisation

    @property
    def penalty(self) -> float:
        return float(sum(np.vdot(u, u) for u in self.spherical))


@final
@dataclass(frozen=True, eq=False)
class Laplace:
    """The approximate deviance as a function of ``(theta, beta)``; ``joint`` finds ``beta`` with the effects (lme4's ``nAGQ = 0``)."""

    covariances: Covariances
    pattern: Pattern
    family: Glm
    y: Array
    x: Array
    weights: Array
    offset: Array
    _last: list[Mode] = field(default_factory=list, repr=False)

    @property
    def m(self) -> int:
        return len(self.covariances.start)

    def loadings(self, theta: Array) -> list[Array]:
        low = self.covariances.loadings(theta)
        return [low[i] for i in self.pattern.order]

    # ------------------------------------------------------------------ the mode

    def mode(self, theta: Array, beta: Array) -> Mode:
        """Penalised iteratively reweighted least squares, from the last mode."""
        loadings = self.loadings(theta)
        fixed = self.x @ beta + self.offset
        u = self._last[0].spherical if self._last else [np.zeros((f.size, f.k)) for f in self.pattern.factors]
        b = [s @ low.T for s, low in zip(u, loadings, strict=True)]
        zb = self.pattern.predict(b)
        value = self._penalised(fixed + zb, u)
        if not np.isfinite(value):  # effects of another place may be none here
            u = [np.zeros_like(s) for s in u]
            zb = np.zeros_like(zb)
            value = self._penalised(fixed, u)
        for _ in range(100):
            eta = fixed + zb
            f, sums = self._factorise(eta, loadings, zb, newton=True)
            solution = f.solve(sums)
            new, t = [s[:, :, 0] for s in solution.spherical], 1.0
            while True:
                trial = [a + t * (c - a) for a, c in zip(u, new, strict=True)]
                tb = [s @ low.T for s, low in zip(trial, loadings, strict=True)]
                tzb = self.pattern.predict(tb)
                tried = self._penalised(fixed + tzb, trial)
                if tried <= value + 1e-12 * abs(value) or t < 1e-6:
                    break
                t *= 0.5
            moved = value - tried
            step = max((float(np.max(np.abs(a - c), initial=0.0)) for a, c in zip(u, trial, strict=True)), default=0.0)
            u, b, zb, value = trial, tb, tzb, tried
            if step < 1e-9 or (abs(moved) < 1e-14 * abs(value) and step < (1e-8 if self.family.dispersed else 1e-6)):
                break  # with a dispersion the criterion's slope over u is not 0
        f, sums = self._factorise(fixed + zb, loadings, zb)
        out = Mode(theta, beta, fixed + zb, u, b, sums, f)
        self._last[:] = [out]
        return out

    def _penalised(self, eta: Array, u: Sequence[Array]) -> float:
        return self._misfit(eta) + float(sum(np.vdot(s, s) for s in u))

    def _misfit(self, eta: Array) -> float:
        return self.family.misfit(self.y, self.family.link.inverse(eta), self.weights)

    def _factorise(self, eta: Array, loadings: list[Array], zb: Array, newton: bool = False) -> tuple[Factorisation, Sums]:
        """The working linear model; for Newton's method with the observed information, where that is positive."""
        w = self.family.information(eta, self.weights)
        if newton and not self.family.canonical:
            observed = self.family.observed_information(eta, self.y, self.weights)
            w = observed if (observed > 0).all() else w
        right = zb + self.family.score(eta, self.y, self.weights) / w
        sums = self.pattern.sums(w, right[:, None])
        return factorise(self.pattern, sums, loadings), sums

    # ------------------------------------------------------------------ value and gradient

    def value(self, mode: Mode) -> float:
        data = self.family.minus_two_log(self.y, self._misfit(mode.eta), self.weights)
        return data + mode.penalty + mode.factorisation.log_det

    def dispersion(self, mode: Mode) -> float:
        """lme4's ``sigma^2``: what the working linear model leaves, penalty included, over the rows."""
        mu = self.family.link.inverse(mode.eta)
        rest = float(np.sum(self.weights * (self.y - mu) ** 2 / self.family.variance(mu)))
        return (rest + mode.penalty) / len(self.y) if self.family.dispersed else 1.0

    def gradient(self, mode: Mode) -> Array:
        """Over ``theta``, then ``beta``: what changes at fixed ``u``, and through the mode what changes ``log det M``.

        With a dispersion the criterion's slope over the misfit is not that of which ``u`` is the mode: that too changes through it.
        """
        family, y, w = self.family, self.y, self.weights
        selected = mode.factorisation.selected()
        score = family.score(mode.eta, y, w)
        c = selected.variances() * family.information_slope(mode.eta, w)
        if family.dispersed:
            c = c + 2.0 * (1.0 - family.sharpness(y, self._misfit(mode.eta), w)) * score
        if family.canonical:
            observed, f = family.information(mode.eta, w), mode.factorisation
        else:
            observed = family.observed_information(mode.eta, y, w)
            f = factorise(self.pattern, self.pattern.sums(observed, c[:, None]), mode.factorisation.loadings)
        solution = f.solve_for(self.pattern.right(None, c[:, None]))
        adjoint = [s[:, :, 0] for s in solution.spherical]
        rest = c - observed * self.pattern.predict([e[:, :, 0] for e in solution.effects])
        sides = self.pattern.right(None, np.column_stack([score, rest]))
        slopes: list[Array] = [np.zeros(0)] * len(self.pattern.order)
        for place, factor in enumerate(self.pattern.order):
            u, a = mode.spherical[place], adjoint[place]
            slopes[factor] = 2.0 * selected.slopes[place] + sides[place][:, :, 0].T @ (a - 2.0 * u) + sides[place][:, :, 1].T @ u
        return np.concatenate([self.covariances.chain_rule(mode.theta, slopes), self.x.T @ (rest - 2.0 * score)])

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Value and gradient at ``(theta, beta)``."""
        nothing = np.inf, np.full(len(parameters), np.nan)
        if not np.isfinite(parameters).all():
            return nothing
        with np.errstate(all="ignore"), suited(self.pattern.width):
            try:
                mode = self.mode(parameters[: self.m], parameters[self.m :])
                value = self.value(mode)
                return (value, self.gradient(mode)) if np.isfinite(value) else nothing
            except (np.linalg.LinAlgError, ValueError):
                self._last.clear()
                return nothing

    def curvature(self, parameters: Array, gradient: Array) -> Array:
        """The average information of the working linear model: blocks of ``theta`` and of ``beta``."""
        theta = parameters[: self.m]
        mode = self._last[0] if self._last and np.array_equal(self._last[0].theta, theta) else self.mode(theta, parameters[self.m :])
        rests = [s[:, :, 0] for s in self.pattern.right(None, self.family.score(mode.eta, self.y, self.weights)[:, None])]
        moved = moved_effects(self.covariances, self.pattern, theta, rests)
        products = self.pattern.times(mode.sums, moved)
        solved = mode.factorisation.solve_for(products).effects
        out = np.zeros((len(parameters), len(parameters)))
        parts = zip(moved, products, solved, strict=True)
        out[: self.m, : self.m] = sum(np.tensordot(c - v, a, ((0, 1), (0, 1))) for c, a, v in parts)
        for i in self.covariances.sds():
            if theta[i] != 0.0:
                out[i, i] += max(gradient[i] / theta[i], 0.0)
        if self.x.shape[1]:
            out[self.m :, self.m :] = 2.0 * self.fixed_information(mode)
        return 0.5 * self.family.sharpness(self.y, self._misfit(mode.eta), self.weights) * (out + out.T)

    def fixed_information(self, mode: Mode) -> Array:
        """``X' V^-1 X`` of the working linear model."""
        w = self.family.information(mode.eta, self.weights)
        sides = self.pattern.right(w, self.x)
        effects = mode.factorisation.solve_for(sides).effects
        return self.x.T @ (w[:, None] * self.x) - sum(np.tensordot(b, e, ((0, 1), (0, 1))) for b, e in zip(sides, effects, strict=True))

    # ------------------------------------------------------------------ coefficients found with the effects

    def joint(self, theta: Array, beta: Array) -> tuple[Mode, Array]:
        """The mode over effects and coefficients together."""
        mode = self.mode(theta, beta)
        for _ in range(200):
            score = self.family.score(mode.eta, self.y, self.weights)
            step = cho_solve(cho_factor(self.fixed_information(mode)), self.x.T @ score)
            t, value = 1.0, self._penalised(mode.eta, mode.spherical)
            while t > 1e-6:
                new = self.mode(theta, beta + t * step)
                if self._penalised(new.eta, new.spherical) <= value + 1e-12 * abs(value):
                    break
                t *= 0.5
            beta, mode = beta + t * step, new
            if np.max(np.abs(step), initial=0.0) < 1e-8:
                break
        return mode, beta
