"""The nested Laplace approximation itself: estimates by marginal maximum likelihood, and a normal law of all parameters.

At every ``theta`` the likelihood is expanded at the modes of the effects, which are integrated out of the expansion; with flat priors
its maximum is what lme4's ``glmer`` (``nAGQ = 1``) computes. Draws of ``theta`` from the normal law at the mode, each with effects from
their conditional normal law, are the approximation that INLA starts from (Rue, Martino & Chopin 2009).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from brim.compile.session import float64
from brim.coordinates.adapted.expansion import Rows
from brim.coordinates.adapted.law import Working
from brim.coordinates.adapted.search import Search
from brim.coordinates.adapted.sums import working
from brim.coordinates.plan import Plan
from brim.errors import BrimError
from brim.infer.approximate.ascent import ascend
from brim.infer.approximate.evaluate import Density
from brim.infer.approximate.laplace import Laplace, laplace
from brim.infer.approximate.mode import warn_about_mode
from brim.infer.approximate.newton import Optimum, climb, escape
from brim.infer.approximate.normal import counted, judged
from brim.infer.approximate.psis import psis
from brim.infer.info import Info
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import precompile
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, NowhereError, Target

__all__ = ["nested_laplace", "nested_mode", "settled"]

INNER = 50  # expansions until the modes of the effects stay
EXACT = 1e-9  # change in log density at which they do
SLOW = 1e-3  # gain in log density a step and a dimension at which Newton steps go on
STEP = 1e-3  # of differences, in standard deviations
PROMISE = 1e-7  # gain in log density of a step that ends them
ESCAPES = 10  # from plateaus


def nested_mode(
    plan: Plan, rows: Rows, target: Target, *, seed: int | None = None, thin: int = 1, control: Control, **_: Any
) -> tuple[Working, Draws]:
    """``theta`` at the maximum of its nested Laplace density, without the Jacobian, and the effects at their modes: one draw.

    Returns
    -------
    The likelihood expanded there, and the draw in the coordinates that follow it.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    search, theta, work, found = settled(plan, rows, target, control, seed)
    with float64():
        scale = np.ones(len(theta)) if found is None else np.sqrt(np.diag(found.covariance))
        theta, work, best = _maximise(search, theta, work, scale)
        lp = search.density(work)(theta)[0]
    warn_about_mode(best)
    q = np.concatenate([theta, np.zeros(plan.dim - len(theta))])
    apart = "" if search.t.joint else ", in which large crossed factors are integrated out as if apart"
    info: Info = {
        "engine": "map",
        "seed": seed,
        "thin": thin,
        "converged": best.converged,
        "sampling_seconds": time.perf_counter() - clock,
        "verdict": f"Estimates are the mode of the nested Laplace approximation{apart} (no draws: no errors or intervals)",
    }
    return work, Draws(q[None, None], {"lp": np.array([[lp]])}, info)


def nested_laplace(
    plan: Plan, rows: Rows, target: Target, *, chains: int, draws: int, seed: int | None = None, thin: int = 1, control: Control, **_: Any
) -> tuple[Working, Draws]:
    """Draws of ``theta`` from the normal law at its mode, and of the effects given it.

    Raises
    ------
    BrimError
        When there is no mode with a definite curvature.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    _search, theta, work, found = settled(plan, rows, target, control, seed)
    if found is None:
        raise BrimError(
            "the density has no mode with a definite curvature: there is no Laplace approximation",
            hint="use algorithm='sampling'; or proper priors, where some are flat",
        )
    n = counted(draws, thin)
    z = np.random.default_rng(seed).standard_normal((chains * n, plan.dim))
    low = np.linalg.cholesky(found.covariance)
    log_q = -0.5 * (z**2).sum(1) - np.log(np.diag(low)).sum() - 0.5 * z.shape[1] * math.log(2 * math.pi)
    q = np.concatenate([found.mode + z[:, : len(theta)] @ low.T, z[:, len(theta) :]], axis=1)
    lp = Density(replace(target, data={**target.data, "working": work})).values(q)
    verdict = judged("Nested Laplace approximation", psis(lp - log_q)[1])
    info: Info = {"engine": "laplace", "seed": seed, "thin": thin, "sampling_seconds": time.perf_counter() - clock, **verdict}
    return work, Draws(q.reshape(chains, n, -1), {"lp": lp.reshape(chains, n)}, info)


def settled(plan: Plan, rows: Rows, target: Target, control: Control, seed: int) -> tuple[Search, np.ndarray, Working, Laplace | None]:
    """The search of the effects' modes done, and the normal law of ``theta`` there."""
    with float64():
        search = Search(plan, rows, target, control, seed, precompile(target, control).result())
        theta = search.first(np.random.default_rng([seed, 1]))
        if theta is None:
            raise NowhereError(
                "found no point where the log density is finite", hint="check bounds and priors against the data, or give init"
            )
        theta, work = search.settle(theta)
        found = laplace(search.density(work), theta)
    return search, theta if found is None else found.mode, work, found


def _marginal(search: Search, theta: np.ndarray, work: Working) -> tuple[float, Working]:
    """The nested Laplace log density of the parameters at ``theta``: expanded until the modes of the effects stay."""
    before = -np.inf
    for _ in range(INNER):
        expansion = search.at(theta, work)
        work = working(search.t, search.rows, expansion)
        lp = search.density(work)(theta)[0]
        if not np.isfinite(lp) or abs(lp - before) < EXACT:
            break
        before = lp
    if not all(np.array_equal(c, w) for c, w in zip(expansion.curvature, expansion.precision, strict=True)):
        # at the modes the sum of all curvatures is positive, though those of rows need not be
        lp = search.density(working(search.t, search.rows, replace(expansion, precision=expansion.curvature)))(theta)[0]
    log_jacobian = search.target.log_jacobian
    assert log_jacobian is not None
    return lp - float(log_jacobian(theta, search.target.data)), work


def _maximise(search: Search, theta: np.ndarray, work: Working, scale: np.ndarray) -> tuple[np.ndarray, Working, Optimum]:
    """The maximum of the exact nested density above ``theta``, its slopes by differences in units of ``scale``."""
    state = {"work": work}

    def value(theta: np.ndarray) -> float:
        lp, after = _marginal(search, theta, state["work"])
        if np.isfinite(lp):
            state["work"] = after
        return lp

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        lp = value(theta)
        if not np.isfinite(lp):
            return lp, np.full(len(theta), np.nan)
        return lp, np.array([(value(theta + h) - value(theta - h)) / (2.0 * h.max()) for h in np.diag(STEP * scale)])

    nonlinear = search.target.nonlinear
    for _ in range(ESCAPES):
        theta = ascend(evaluate, theta, slow=SLOW, nonlinear=nonlinear).q[-1]
        found = climb(evaluate, theta, scale, nonlinear, promise=PROMISE, value=value)
        higher = None if found.definite else escape(evaluate, found, value)
        if higher is None:
            break
        theta = higher
    return found.q, _marginal(search, found.q, state["work"])[1], found
