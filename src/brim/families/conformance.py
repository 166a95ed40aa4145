"""What every family must satisfy, checked numerically: ``check_family``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.distributions.base import Distribution
from brim.families.base import Dpar, Family
from brim.families.kinds import Kind
from brim.families.links import LINKS, Link

__all__ = ["check_family"]

Array = Any
Etas = Mapping[str, Array]


def check_family(
    family: Family,
    values: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    *,
    has_cdf: bool = True,
    draws: int = 4000,
    seed: int = 1,
    every_link: bool = False,
) -> None:
    """Check a family at given parameter values; an ``AssertionError`` says what fails.

    The density integrates (the mass function sums) to 1; the distribution function is its integral, and both tails add up
    to 1; ``mean`` is the expectation; draws follow the distribution function and have that mean; every link gives the same
    density; first and second derivatives are finite at the edges of the support, in the far tails, and for far predictors.

    Parameters
    ----------
    family
        A family, bound to its response if it has categories or thresholds.
    values
        Distributional parameters on the response scale, arrays (N,); ``thres``, ``lncor``, ... as extras provide them.
    data
        What addition terms give.
    has_cdf
        Whether the family has a distribution function.
    draws
        How many draws the sampler is judged by, at 5 standard errors.
    seed
        Of the sampler.
    every_link
        Check instead of all that the derivatives under every link, at the values and far from them; it compiles for minutes.

    Examples
    --------
    >>> import jax, brim
    >>> with jax.enable_x64(True):
    ...     check_family(brim.gaussian(), {"mu": [0.3, 2.0], "sigma": [1.5, 0.2]})
    """
    case = _Case(family, dict(values), dict(data or {}), has_cdf, draws, seed)
    if every_link:
        case.check_every_link()
        return
    case.check_density()
    case.check_tails()
    case.check_sampler()
    case.check_links()
    case.check_derivatives()


def _compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled in a hurry: these functions run a few times only."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})


@dataclass(frozen=True)
class _Case:
    """One family at some parameter values."""

    family: Family
    values: dict[str, Any]
    data: dict[str, Any]
    has_cdf: bool
    n_draws: int
    seed: int

    def say(self, what: str) -> str:
        return f"{self.family!r}: {what}"

    # ------------------------------------------------------------------ the law

    def link(self, name: str) -> Link:
        return LINKS[self.family.links.get(name, "identity")]

    @cached_property
    def etas(self) -> dict[str, Array]:
        """The parameters on their links' scales."""
        return {name: self.link(name).forward(jnp.asarray(v, float)) for name, v in self.values.items()}

    def law(self, etas: Etas) -> Distribution:
        return self.family.distribution({name: Dpar(eta, self.link(name)) for name, eta in etas.items()}, self.data)

    @cached_property
    def here(self) -> Distribution:
        """The law at the given values."""
        return self.law(self.etas)

    @cached_property
    def draws(self) -> np.ndarray:
        return np.asarray(self.here.sample(jax.random.key(self.seed), (self.n_draws,)))

    # ------------------------------------------------------------------ where

    @cached_property
    def span(self) -> tuple[float, float, float, float]:
        """Ends of the support, the middle of the draws and their spread."""
        inner = self.draws[np.isfinite(self.draws) & ~np.isin(self.draws, self.here.atoms)]
        middle, spread = np.median(inner), np.subtract(*np.quantile(inner, [0.9, 0.1])) / 2.0
        return float(np.min(self.here.lower)), float(np.max(self.here.upper)), float(middle), float(spread)

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, ...) and weights (M,) that integrate or sum over the support."""
        if self.here.event_ndim:
            return _counts(self.family, self.data) if "trials" in self.data else _compositions(len(self.family.categories))
        low, high, middle, spread = self.span
        if not self.here.discrete:
            return _quadrature(low, high, middle, spread)
        points = np.arange(low, min(high, 2000.0) + 1.0)
        return points, np.ones_like(points)

    @cached_property
    def edges(self) -> np.ndarray:
        """Responses at and near the ends of the support, on atoms, and far out."""
        if self.here.event_ndim:
            return self.nodes[0][:: max(1, len(self.nodes[0]) // 7)]
        low, high, middle, spread = self.span
        if self.here.discrete:
            return np.array([low, low + 1.0, high if np.isfinite(high) else 10.0 * middle + 50.0])
        near = [low + 1e-6 * spread, high - 1e-6 * spread, middle - 12.0 * spread, middle + 12.0 * spread]
        inside = [v for v in near if np.isfinite(v) and low < v < high]
        return np.array([*self.here.atoms, middle, *inside])

    def grid(self, points: np.ndarray) -> Array:
        """Points (M, ...) with axes for the rows between."""
        rows = (1,) * len(self.here.batch_shape)
        return jnp.asarray(points).reshape(len(points), *rows, *np.shape(points)[1:])

    # ------------------------------------------------------------------ checks

    def check_density(self) -> None:
        points, weights = self.nodes
        density = _compiled(lambda etas, y: sum(jnp.exp(law.log_prob(y)) for law in self._branches(etas)))
        mass = np.asarray(density(self.etas, self.grid(points))).reshape(len(points), -1) * weights[:, None]
        atoms = np.array(self.here.atoms)
        if len(atoms):
            extra = np.exp(np.asarray(self.here.log_prob(self.grid(atoms)))).reshape(len(atoms), -1)
            points, mass = np.concatenate([points, atoms]), np.concatenate([mass, extra])
        np.testing.assert_allclose(mass.sum(0), 1.0, atol=1e-5, err_msg=self.say("the density does not integrate to 1"))
        if self.family.categories and not self.here.event_ndim:
            found = np.moveaxis(mass, 0, -1)
            np.testing.assert_allclose(found, self.here.mean, atol=1e-9, err_msg=self.say("mean is not the probabilities"))
        elif self._mean_is_expectation:
            found = np.moveaxis(np.tensordot(points, mass, (0, 0)), -1, 0) if points.ndim > 1 else points @ mass
            mean = np.broadcast_to(self.here.mean, found.shape)
            scale = 1.0 + np.abs(mean)
            np.testing.assert_allclose(found / scale, mean / scale, atol=2e-5, err_msg=self.say("mean is not the expectation"))

    def _branches(self, etas: Etas) -> list[Distribution]:
        """The law; for a law of a choice and its time, that of each choice."""
        if "dec" not in self.data:
            return [self.law(etas)]
        return [replace(self, data={**self.data, "dec": dec}).law(etas) for dec in (0.0, 1.0)]

    @property
    def _mean_is_expectation(self) -> bool:
        # angles have a mean direction instead; cox and logistic_normal have none
        return self.family.kind is not Kind.ANGLE and self.family.name not in ("cox", "logistic_normal")

    @cached_property
    def inner(self) -> np.ndarray:
        """Counts from the least on, or points in the middle of a continuous law."""
        if self.here.discrete:
            return self.nodes[0][:60]
        inside = self.draws[np.isfinite(self.draws) & ~np.isin(self.draws, self.here.atoms)]
        return np.quantile(inside, np.linspace(0.02, 0.98, 21))

    @property
    def steps(self) -> np.ndarray:
        """Small steps from the inner points, that stay inside the support."""
        low, high, _, spread = self.span
        return 1e-4 * np.minimum(spread, np.minimum(self.inner - low, high - self.inner))

    @cached_property
    def table(self) -> tuple[np.ndarray, ...]:
        """``log_prob, log_cdf, log_survival`` at the inner points, and the slope of the distribution function there."""
        points = self.inner if self.here.discrete else np.concatenate([self.inner, self.inner - self.steps, self.inner + self.steps])

        def at(etas: Etas, y: Array) -> tuple[Array, ...]:
            law = self.law(etas)
            parts = law.log_prob(y), law.log_cdf(y), law.log_survival(y)
            return tuple(jnp.broadcast_to(v, (len(points), *law.batch_shape)) for v in parts)

        log_prob, log_cdf, log_survival = (np.asarray(v) for v in _compiled(at)(self.etas, self.grid(points)))
        m = len(self.inner)
        cdf = np.exp(log_cdf)
        slope = np.zeros_like(cdf[:m])
        if not self.here.discrete:
            slope = (cdf[2 * m :] - cdf[m : 2 * m]) / (2.0 * self.steps.reshape(-1, *(1,) * (cdf.ndim - 1)))
        return log_prob[:m], log_cdf[:m], log_survival[:m], slope

    def check_tails(self) -> None:
        if not self.has_cdf:
            return
        log_prob, log_cdf, log_survival, slope = self.table
        np.testing.assert_allclose(np.exp(log_cdf) + np.exp(log_survival), 1.0, atol=1e-9, err_msg=self.say("the tails do not add up to 1"))
        if self.here.discrete:
            total = np.cumsum(np.exp(log_prob), axis=0)
            np.testing.assert_allclose(np.exp(log_cdf), total, atol=1e-8, err_msg=self.say("log_cdf does not sum the mass function"))
        else:
            density = np.exp(log_prob)
            close = np.abs(slope - density) <= 1e-4 * density + 1e-6 * density.max(0)
            # an asymmetric Laplace density has a kink, within a step of which the difference quotient is off
            assert close.mean() > 0.95, self.say("log_cdf does not integrate the density")

    def check_sampler(self) -> None:
        shape = (self.n_draws, *self.here.batch_shape)
        assert self.draws.shape[: len(shape)] == shape, self.say(f"draws have shape {self.draws.shape}, not {shape} (+ event)")
        if self.here.event_ndim or not self.has_cdf:
            self._check_mean_of_draws()
            return
        below = np.clip(np.exp(self.table[1]), 0.0, 1.0)
        found = np.stack([(self.draws <= y).mean(0) for y in self.inner])
        error = np.sqrt(below * (1.0 - below) / self.n_draws) + 1.0 / self.n_draws
        worst = np.max(np.abs(found - below) / error)
        assert worst < 5.0, self.say(f"draws are {worst:.1f} standard errors off the distribution function")

    def _check_mean_of_draws(self) -> None:
        draws = self.draws
        if self.family.name == "logistic_normal":
            draws = np.log(draws[..., 1:] / draws[..., :1])
            mean = np.stack(np.broadcast_arrays(*(self.values[m] for m in self.family.mus)), axis=-1)
        else:
            mean = np.asarray(self.here.mean)
        worst = np.max(np.abs(draws.mean(0) - mean) / (draws.std(0) / np.sqrt(self.n_draws) + 1e-4 * np.abs(mean)))
        assert worst < 5.0, self.say(f"the mean of draws is {worst:.1f} standard errors off")

    def check_links(self) -> None:
        """The same parameters under every other link give the same density (ordinal links are models of their own)."""
        y = jnp.asarray(self.draws[0])
        expected = np.asarray(self.here.log_prob(y))
        for spec in self.family.dpars:
            if (
                spec.name not in self.values
                or spec.name in self.family.shown
                or (spec.name in self.family.mus and self.family.kind is Kind.ORDINAL)
            ):
                continue
            for name in spec.links:
                other = replace(self, family=replace(self.family, links={**self.family.links, spec.name: name}))
                back = other.link(spec.name).inverse(other.etas[spec.name])
                if np.allclose(back, self.values[spec.name], rtol=1e-9, atol=0.0):
                    found = np.asarray(other.here.log_prob(y))
                    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7, err_msg=other.say("another link changes the density"))

    def check_every_link(self) -> None:
        """Finite derivatives of the density at the edges and on them, for every link of every parameter."""
        for spec in self.family.dpars:
            if spec.name not in self.values or spec.name in self.family.shown:
                continue
            for name in spec.links:
                # ordinal predictors are given on the response scale of the family's own link
                other = replace(self, family=replace(self.family, links={**self.family.links, spec.name: name}))
                if all(np.all(np.isfinite(eta)) for eta in other.etas.values()):
                    other.check_gradient()

    def check_gradient(self) -> None:
        """Finite derivatives of the density at the given parameters and at predictors far from them."""

        def total(etas: Etas, y: Array) -> Array:
            log_prob = self.law(etas).log_prob(y)
            return jnp.sum(jnp.where(jnp.isfinite(log_prob), log_prob, 0.0))

        gradient, at = _compiled(jax.grad(total)), _compiled(lambda etas, y: self.law(etas).log_prob(y))
        for etas in [self.etas, *self._far()]:
            whole = np.all(np.isfinite(np.asarray(at(etas, self.grid(self.edges)))).reshape(len(self.edges), -1), axis=1)
            y = np.where(whole.reshape(-1, *(1,) * (self.edges.ndim - 1)), self.edges, self.edges[np.argmax(whole)])
            for name, slope in gradient(etas, self.grid(y)).items():
                assert np.all(np.isfinite(slope)), self.say(f"the derivative in {name} is not finite at responses {y}")

    def check_derivatives(self) -> None:
        """Finite gradients of the density and the tails, and a finite Hessian of the density."""
        with_tails = self.has_cdf and not self.here.event_ndim

        def values(etas: Etas, y: Array) -> list[Array]:
            law = self.law(etas)
            return [law.log_prob(y), *((law.log_cdf(y), law.log_survival(y)) if with_tails else ())]

        def total(etas: Etas, y: Array) -> Array:
            return sum(jnp.sum(jnp.where(jnp.isfinite(v), v, 0.0)) for v in values(etas, y))

        gradient, at = _compiled(jax.grad(total)), _compiled(values)
        for etas in [self.etas, *self._far()]:
            # where the density itself overflows to exactly 0 it has no derivative to speak of
            whole = np.all(np.isfinite(np.asarray(at(etas, self.grid(self.edges))[0])).reshape(len(self.edges), -1), axis=1)
            y = np.where(whole.reshape(-1, *(1,) * (self.edges.ndim - 1)), self.edges, self.edges[np.argmax(whole)])
            for name, slope in gradient(etas, self.grid(y)).items():
                assert np.all(np.isfinite(slope)), self.say(f"the derivative in {name} is not finite at responses {y}")
        self._check_curvature()

    def _check_curvature(self) -> None:
        main = {m: self.etas[m] for m in self.family.mus if m in self.etas}

        def total(etas: Etas) -> Array:
            log_prob = self.law({**self.etas, **etas}).log_prob(self.grid(self.edges))
            return jnp.sum(jnp.where(jnp.isfinite(log_prob), log_prob, 0.0))

        curvature = _compiled(lambda etas: jax.jvp(jax.grad(total), (etas,), (jax.tree.map(jnp.ones_like, etas),))[1])
        for name, second in curvature(main).items():
            assert np.all(np.isfinite(second)), self.say(f"the second derivative in {name} is not finite")

    def _far(self) -> list[dict[str, Array]]:
        """Predictors 8 away from the given ones, where that still gives valid parameters."""
        out = []
        for spec in self.family.dpars:
            for step in (-8.0, 8.0):
                if spec.name in self.etas:
                    etas = {**self.etas, spec.name: self.etas[spec.name] + step}
                    value = np.asarray(self.link(spec.name).inverse(etas[spec.name]))
                    lower, upper = self._bounds(spec.name)
                    if np.all((value >= lower) & (value <= upper)):
                        out.append(etas)
        return out

    def _bounds(self, name: str) -> tuple[float, float]:
        spec = self.family.spec(name)
        lower = -np.inf if spec.lb is None else spec.lb
        upper = spec.ub if isinstance(spec.ub, float) else np.inf
        if name == "mu" and self.link(name).name in ("identity", "inverse", "1/mu^2", "sqrt"):
            return (np.inf if self.family.kind in (Kind.COUNT, Kind.POSITIVE, Kind.BINARY, Kind.PROPORTION) else lower), upper
        return lower, upper


def _counts(family: Family, data: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """All count vectors with the given total."""
    n = int(np.max(data["trials"]))
    points = np.array([p for p in product(range(n + 1), repeat=len(family.categories)) if sum(p) == n], float)
    return points, np.ones(len(points))


def _compositions(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A grid of log ratios, mapped to the simplex, with the Jacobian in the weights."""
    axis = np.linspace(-30.0, 30.0, 241)
    ratios = np.stack(np.meshgrid(*[axis] * (k - 1), indexing="ij"), axis=-1).reshape(-1, k - 1)
    raw = np.exp(np.concatenate([ratios, np.zeros((len(ratios), 1))], axis=-1))
    points = raw / raw.sum(-1, keepdims=True)
    return points, np.prod(points, axis=-1) * (axis[1] - axis[0]) ** (k - 1)


def _quadrature(low: float, high: float, middle: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Double-exponential nodes and weights on ``(low, high)`` (Takahasi and Mori 1974)."""
    t = np.linspace(-4.5, 4.5, 20001)
    u, du = np.pi / 2 * np.sinh(t), np.pi / 2 * np.cosh(t) * (t[1] - t[0])
    if np.isfinite(low) and np.isfinite(high):
        p = 1.0 / (1.0 + np.exp(-2.0 * u))
        keep = (p > 1e-300) & (p < 1.0)
        return (low + (high - low) * p)[keep], (du * 2.0 * (high - low) * p * (1.0 - p))[keep]
    u, du = u[np.abs(u) < 300.0], du[np.abs(u) < 300.0]
    if np.isfinite(low):
        x = max(middle - low, 1e-3) * np.exp(u)
        return low + x, du * x
    scale = max(spread, 1e-3)
    return middle + scale * np.sinh(u), du * scale * np.cosh(u)
