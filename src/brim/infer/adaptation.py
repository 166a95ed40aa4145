"""Where transported effects are expanded, and where their chains start: a nested Laplace approximation of ``theta``.

With ``e = 0`` the transported density is the Laplace approximation of the density of ``theta`` with the effects integrated out, its
curvature held at the last expansion. It is climbed with the compiled sampler program, and the likelihood expanded again at the
effects' modes, until neither moves.
"""

from __future__ import annotations

import threading
from typing import Any

import jax
import numpy as np

from brim.infer.ascent import Evaluate, ascend
from brim.infer.base import Target
from brim.infer.chain import Chain
from brim.infer.control import Control
from brim.infer.counter import chain_stream
from brim.infer.laplace import laplace, start_from
from brim.infer.program import Program, device_data, precompile
from brim.infer.progress import Report
from brim.infer.transport import Transport
from brim.infer.warmup import Start
from brim.infer.working import Expansion, Rows, expander, working

__all__ = ["adapted"]

Working = dict[str, Any]

ROUNDS = 10
SETTLED = 0.05  # gain in log density of a round that ends them
RIDGE = 0.25  # precision that holds the first predictor of a row near that of the fit without effects, in units of its scale
TRIES = 20
MOST = 60  # coordinates of theta whose Hessian is computed


def adapted(
    t: Transport, rows: Rows, target: Target, control: Control, chains: int, seed: int
) -> tuple[dict[str, Any] | None, Start | None]:
    """The working model at the effects' modes, and first points and metric of the chains.

    Returns
    -------
    ``None`` in place of the working model where nothing can be expanded: the effects stay non-centred. ``None`` in place of the start
    where there is no mode with a definite Hessian, or ``theta`` has too many coordinates: then the usual warm-up is the way.
    """
    compiling = precompile(target, control)
    with jax.enable_x64(True):
        search = _Search(t, rows, target, control, seed)
        search.program = compiling.result()
        theta = search.first(np.random.default_rng([seed, chains]))
        if theta is None:
            return None, None
        theta, work = search.settle(theta)
        return work, search.start(work, theta, chains) if len(theta) <= MOST else None


class _Search:
    """The expansions of one model."""

    program: Program

    def __init__(self, t: Transport, rows: Rows, target: Target, control: Control, seed: int) -> None:
        self.t, self.rows, self.target, self.control, self.seed = t, rows, target, control, seed
        self.inner = device_data(target.data["inner"])
        self.design = device_data(rows.design)
        self.places = [np.asarray(level, np.int64) for level in rows.level], list(rows.columns)
        self.expand = expander(t, rows, target.data)

    # ------------------------------------------------------------------ evaluations

    def at(self, theta: np.ndarray, work: Working, eta: np.ndarray | None = None) -> Expansion:
        """The likelihood expanded at ``eta``, or at the modes of the effects under ``work``."""
        use = np.bool_(eta is not None)
        eta = np.zeros(len(self.rows.level[0])) if eta is None else eta
        out = self.expand(theta, eta, use, {"inner": self.inner, "working": work}, self.design, *self.places)
        found = {key: np.asarray(value) for key, value in out.items() if key != "effects"}
        return Expansion(theta, effects=tuple(np.asarray(r) for r in out["effects"]), **found)

    def density(self, work: Working) -> Evaluate:
        """``theta -> log density and gradient`` at ``e = 0``."""
        data = {"inner": self.inner, "working": device_data(work)}
        chain = Chain(self.program, data, chain_stream(self.seed, 0), self.control, threading.Event(), Report(0, 0, 0))
        head, tail = self.t.head, np.zeros(self.t.dim - self.t.head)

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = chain.place(np.concatenate([theta, tail])).point
            return float(point.lp), np.asarray(point.grad)[:head]

        return evaluate

    # ------------------------------------------------------------------ the way

    def first(self, rng: np.random.Generator) -> np.ndarray | None:
        """``theta`` of the model without effects; ``None`` if no point of finite density is found."""
        evaluate = self.density(self.target.data["working"])
        for _ in range(TRIES):
            theta = np.asarray(self.target.init(rng), np.float64)[: self.t.head]
            lp, grad = evaluate(theta)
            if np.isfinite(lp) and np.isfinite(grad).all():
                return ascend(evaluate, theta).q[-1]
        return None

    def settle(self, theta: np.ndarray) -> tuple[np.ndarray, Working]:
        """Climb and expand in turn until the log density stays; the best of all rounds."""
        work = working(self.t, self.rows, self._loose(theta))
        best, before = (-np.inf, theta, self.target.data["working"]), -np.inf
        for _ in range(ROUNDS):
            evaluate = self.density(work)
            lp, grad = evaluate(theta)
            if not (np.isfinite(lp) and np.isfinite(grad).all()):
                break
            theta = ascend(evaluate, theta).q[-1]
            expansion = self.at(theta, work)
            if not all(np.isfinite(x).all() for x in (expansion.eta, expansion.score, expansion.precision)):
                break
            work = working(self.t, self.rows, expansion)
            lp = self.density(work)(theta)[0]
            if lp > best[0]:
                best = (lp, theta, work)
            if abs(lp - before) < SETTLED:
                break
            before = lp
        return best[1], best[2]

    def _loose(self, theta: np.ndarray) -> Expansion:
        """Expanded where each row alone would have its predictor, held loosely at that of the fit without effects."""
        none = self.target.data["working"]
        fixed = self.at(theta, none)
        ridge = RIDGE * min(1.0, float(np.median(fixed.precision)) or 1.0)

        def penalised(e: Expansion) -> np.ndarray:
            return e.value - 0.5 * ridge * (e.eta - fixed.eta) ** 2

        now, step = fixed, None
        value = penalised(now)
        for _ in range(60):
            newton = (now.score - ridge * (now.eta - fixed.eta)) / (now.precision + ridge)
            step = newton if step is None else step
            new = self.at(theta, none, now.eta + step)
            risen = np.nan_to_num(penalised(new), nan=-np.inf) >= value
            now = _where(risen, new, now)
            value = penalised(now)
            newton = (now.score - ridge * (now.eta - fixed.eta)) / (now.precision + ridge)
            step = np.where(risen, newton, 0.5 * step)
            if np.all(np.abs(step) * np.sqrt(now.precision + ridge) < 0.1):
                break
        return now

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
        tail = self.t.dim - self.t.head
        q = np.concatenate([head.q, rng.standard_normal((chains, tail))], axis=1)
        return Start(q, (found.covariance, np.ones(tail)))


def _where(risen: np.ndarray, new: Expansion, old: Expansion) -> Expansion:
    """Row by row, the new expansion where the density rose."""
    names = ("rest", "eta", "value", "score", "precision", "slopes")
    chosen: dict[str, Any] = {name: np.where(risen, getattr(new, name), getattr(old, name)) for name in names}
    return Expansion(old.theta, old.ref, effects=old.effects, growth=new.growth, **chosen)
