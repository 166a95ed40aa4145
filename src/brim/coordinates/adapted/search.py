"""Where transported effects are expanded, and where their chains start: a nested Laplace approximation of ``theta``.

With ``e = 0`` the transported density is the Laplace approximation of the density of ``theta`` with the effects integrated out, its
curvature held at the last expansion. It is climbed with the compiled sampler program, and the likelihood expanded again at the
effects' modes, until neither moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from brim.compile.session import float64
from brim.coordinates.adapted.expansion import Expansion, Rows, coordinates_of, expander, seating
from brim.coordinates.adapted.law import Working
from brim.coordinates.adapted.places import Seat
from brim.coordinates.adapted.sums import working
from brim.coordinates.plan import Plan
from brim.infer.approximate.ascent import Evaluate, ascend
from brim.infer.approximate.laplace import laplace, start_from
from brim.infer.nuts.chain import MarkovChain
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import Program, device_data, precompile
from brim.infer.nuts.progress import Report
from brim.infer.nuts.random import chain_stream
from brim.infer.nuts.warmup import Start
from brim.infer.target import Target
from brim.terms.latent import AbstractLatent

__all__ = ["Search", "adapted"]

ROUNDS = 10
SETTLED = 0.05  # gain in log density of a round that ends them
RIDGE = 0.25  # precision that holds the first predictor of a row near that of the fit without effects, in units of its scale
TRIES = 20
NEWTON = 60  # steps towards the modes of rows
NEAR = 0.1  # standard deviations: a step that ends them
FAR = 5.0  # from 0, of the logarithm of a standard deviation
MOST = 60  # coordinates of theta whose Hessian is computed


def adapted(plan: Plan, rows: Rows, target: Target, control: Control, chains: int, seed: int) -> tuple[Working | None, Start | None]:
    """The working model at the effects' modes, and first points and metric of the chains.

    Returns
    -------
    ``None`` in place of the working model where nothing can be expanded: the effects stay non-centred. ``None`` in place of the start
    where there is no mode with a definite Hessian, or ``theta`` has too many coordinates: then the usual warm-up is the way.
    """
    compiling = precompile(target, control)
    with float64():
        search = Search(plan, rows, target, control, seed, compiling.result())
        theta = search.first(np.random.default_rng([seed, chains]))
        if theta is None:
            return None, None
        theta, work = search.settle(theta)
        return work, search.start(work, theta, chains) if len(theta) <= MOST else None


class Search:
    """The expansions of one model; ``theta`` are the coordinates of its density that no ``e`` is among."""

    def __init__(self, plan: Plan, rows: Rows, target: Target, control: Control, seed: int, program: Program) -> None:
        assert plan.adapted is not None
        self.plan, self.t, self.rows = plan, plan.adapted, rows
        self.target, self.control, self.seed, self.program = target, control, seed, program
        self.known = {name: device_data(value) for name, value in target.data.items() if name != "working"}
        self.design = device_data(rows.design)
        self.seating = seating(rows)
        self.expanding = expander(plan, rows, target.data)

    # ------------------------------------------------------------------ evaluations

    def at(self, theta: np.ndarray, work: Working, eta: tuple[np.ndarray, ...] | None = None) -> Expansion:
        """The likelihood expanded at ``eta``, or at the modes of the effects under ``work``."""
        use = np.bool_(eta is not None)
        if eta is None:
            eta = tuple(np.zeros((len(unit.places), n)) for unit, n in zip(self.t.units, self.rows.sizes, strict=True))
        out = self.expanding.result().run(theta, eta, use, {**self.known, "working": work}, self.design, self.seating)
        return Expansion(**jax.tree.map(np.asarray, out))

    def density(self, work: Working) -> Evaluate:
        """``theta -> log density and gradient`` at ``e = 0``."""
        data = {**self.known, "working": device_data(work)}
        chain = MarkovChain(self.program, data, chain_stream(self.seed, 0), self.control, threading.Event(), Report(0, 0, 0))
        head, tail = self.plan.head, np.zeros(self.plan.dim - self.plan.head)

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = chain.place(np.concatenate([theta, tail])).point
            return float(point.lp), np.asarray(point.grad)[:head]

        return evaluate

    def inside(self, work: Working) -> Callable[[np.ndarray], np.ndarray]:
        """``q -> q`` with its effects drawn towards their modes until the density is finite (a bound of the data lies between)."""
        data = {**self.known, "working": device_data(work)}
        chain = MarkovChain(self.program, data, chain_stream(self.seed, 0), self.control, threading.Event(), Report(0, 0, 0))
        head = self.plan.head

        def nearer(q: np.ndarray) -> np.ndarray:
            for _ in range(TRIES):
                if np.isfinite(float(chain.place(q).point.lp)):
                    break
                q = np.concatenate([q[:head], 0.5 * q[head:]])
            return q

        return nearer

    # ------------------------------------------------------------------ the way

    def first(self, rng: np.random.Generator) -> np.ndarray | None:
        """``theta`` of the model without effects; ``None`` if no point of finite density is found.

        The effects' own parameters, of which such a model says nothing, stay where they start.
        """
        evaluate = _holding(self.density(self.target.data["working"]), self._scales(self.t.latents))
        for attempt in range(TRIES):
            theta = self.target.first(rng, attempt)[: self.plan.head]
            lp, grad = evaluate(theta)
            if np.isfinite(lp) and np.isfinite(grad).all():
                return ascend(evaluate, theta).q[-1]
        return None

    def settle(self, theta: np.ndarray) -> tuple[np.ndarray, Working]:
        """``theta <- argmax log p_W(theta)``, ``W <-`` the working model at the effects' modes, until ``log p`` stays; or the best of all.

        ``p_W`` is the Laplace approximation of the density of ``theta`` with its curvature held at ``W``. Effects in scales and shapes wait
        for a round, with their own parameters: the first expansion says nothing of them. So do standard deviations in units far from 1,
        which that expansion, looser than the data, would leave to priors of another order.
        """
        work = working(self.t, self.rows, self._row_modes(theta))
        best, before = (-np.inf, theta, self.target.data["working"]), -np.inf
        behind = [v for v, seats in zip(self.t.latents, self.t.seats, strict=True) if not all(self._leads(s) for s in seats)]
        for k in range(ROUNDS):
            evaluate = self.density(work)
            if k == 0:
                evaluate = _holding(evaluate, self._scales(behind) | (self._scales(self.t.latents) & self._far))
            lp, grad = evaluate(theta)
            if not (np.isfinite(lp) and np.isfinite(grad).all()):
                break
            theta = ascend(evaluate, theta).q[-1]
            expansion = self.at(theta, work)
            if not all(np.isfinite(x).all() for x in (*expansion.eta, *expansion.score, *expansion.precision)):
                break
            work = working(self.t, self.rows, expansion)
            lp = self.density(work)(theta)[0]
            if lp > best[0]:
                best = (lp, theta, work)
            if abs(lp - before) < SETTLED:
                return theta, work
            before = lp
        return best[1], best[2]

    def _scales(self, latents: Iterable[AbstractLatent]) -> np.ndarray:
        """Which coordinates of ``theta`` are of parameters that these vectors' loadings read, a mask."""
        return coordinates_of(self.plan.order, [name for v in latents for name in v.scales])[: self.plan.head]

    @property
    def _far(self) -> np.ndarray:
        """Which coordinates of ``theta`` start far from 0, in units of the data."""
        return np.asarray(np.abs(self.plan.center()[: self.plan.head]) > FAR)

    def _leads(self, seat: Seat) -> bool:
        return self.t.units[seat.unit].places[seat.place].leads(self.t.rest)

    def _row_modes(self, theta: np.ndarray) -> Expansion:
        """``eta_i = argmax l_i(eta) - k (eta - eta0_i)^2 / 2`` of each row ``i``, by Newton steps, halved where that does not rise.

        ``eta0`` is the predictor of the fit without effects, ``k`` a small part of its typical precision. Predictors of scales and shapes,
        of which a row alone says nothing, stay at ``eta0``, and nothing is said of them.
        """
        none = self.target.data["working"]
        fixed = self.at(theta, none)
        free = tuple(np.array([p.leads(self.t.rest) for p in unit.places])[:, None] for unit in self.t.units)
        held = _Held(free, tuple(RIDGE * np.fmin(1.0, _typical(_diagonal(w)))[:, None] for w in fixed.precision), fixed.eta)
        now, value, step = fixed, held.value(fixed), held.newton(fixed)
        for _ in range(NEWTON):
            new = self.at(theta, none, tuple(x + s for x, s in zip(now.eta, step, strict=True)))
            risen = [np.nan_to_num(v, nan=-np.inf) >= w for v, w in zip(held.value(new), value, strict=True)]
            now = _where(risen, new, now)
            value = held.value(now)
            step = [np.where(up, full, 0.5 * s) for up, full, s in zip(risen, held.newton(now), step, strict=True)]
            if all(np.all(x < NEAR) for x in held.size(now, step)):
                break
        return held.only_free(now)

    def start(self, work: Working, theta: np.ndarray, chains: int) -> Start | None:
        """Chains around the mode of ``theta``, their effects drawn from the approximation."""
        evaluate = self.density(work)
        found = laplace(evaluate, theta)
        if found is None:
            return None
        rng = np.random.default_rng([self.seed, chains, 1])
        head = start_from(evaluate, found, chains, rng)
        if head is None:
            return None
        tail = self.plan.dim - self.plan.head
        inside = self.inside(work)
        q = np.array([inside(one) for one in np.concatenate([head.q, rng.standard_normal((chains, tail))], axis=1)])
        return Start(q, (found.covariance, np.ones(tail)))


@dataclass(frozen=True)
class _Held:
    """``l_i(eta) - k (eta - eta0)^2 / 2`` of each row, by unit (places, rows).

    Attributes
    ----------
    free
        Which places move.
    ridge, middle
        ``k`` and ``eta0``.
    """

    free: tuple[np.ndarray, ...]
    ridge: tuple[np.ndarray, ...]
    middle: tuple[np.ndarray, ...]

    def value(self, e: Expansion) -> list[np.ndarray]:
        """Its value, summed over places."""
        away = [0.5 * np.sum(k * (x - y) ** 2, axis=0) for k, x, y in zip(self.ridge, e.eta, self.middle, strict=True)]
        return [value - a for value, a in zip(e.value, away, strict=True)]

    def newton(self, e: Expansion) -> list[np.ndarray]:
        """``(g - k (eta - eta0)) / (w + k)``, 0 where nothing moves."""
        parts = zip(self.free, self.ridge, e.score, e.precision, e.eta, self.middle, strict=True)
        return [f * (g - k * (x - y)) / (_diagonal(w) + k) for f, k, g, w, x, y in parts]

    def size(self, e: Expansion, step: list[np.ndarray]) -> list[np.ndarray]:
        """A step in standard deviations: ``|s| sqrt(w + k)``."""
        return [np.abs(s) * np.sqrt(_diagonal(w) + k) for s, w, k in zip(step, e.precision, self.ridge, strict=True)]

    def only_free(self, e: Expansion) -> Expansion:
        """The expansion with nothing said of places that do not move."""
        score = tuple(f * g for f, g in zip(self.free, e.score, strict=True))
        precision = tuple(f * f[:, None] * w for f, w in zip(self.free, e.precision, strict=True))
        slopes = tuple(f * s for f, s in zip(self.free, e.slopes, strict=True))
        return replace(e, score=score, precision=precision, slopes=slopes)


def _holding(evaluate: Evaluate, held: np.ndarray) -> Evaluate:
    """The same with no slope along the coordinates of a mask."""

    def moving(theta: np.ndarray) -> tuple[float, np.ndarray]:
        lp, grad = evaluate(theta)
        return lp, np.where(held, 0.0, grad)

    return moving


def _diagonal(precision: np.ndarray) -> np.ndarray:
    """Of (places, places, rows): (places, rows)."""
    each = np.arange(len(precision))
    return precision[each, each]


def _typical(precision: np.ndarray) -> np.ndarray:
    """The median by place, 1 where most rows have none."""
    median = np.median(precision, axis=1)
    return np.where(median > 0.0, median, 1.0)


def _where(risen: list[np.ndarray], new: Expansion, old: Expansion) -> Expansion:
    """Row by row, the new expansion where the density rose."""
    names = ("rest", "eta", "value", "score", "curvature", "precision", "slopes")
    chosen: dict[str, Any] = {
        name: tuple(np.where(up, x, y) for up, x, y in zip(risen, getattr(new, name), getattr(old, name), strict=True)) for name in names
    }
    return Expansion(old.theta, old.ref, effects=old.effects, growth=new.growth, **chosen)
