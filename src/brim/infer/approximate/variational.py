"""Variational inference (Kucukelbir et al. 2017, JMLR 18): the normal law nearest to the posterior, ``meanfield`` or ``fullrank``.

Nearest by ``KL(normal || posterior)``, that is of largest evidence lower bound (ELBO). Gradients pass through the draws, with the score
term left out (Roeder, Wu & Duvenaud 2017), so that their noise vanishes where the family holds the posterior. The step size is halved
whenever the ELBO stops rising, and the law is the average over the last steps (as Welandawe et al. 2022, arXiv:2203.15945).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.compile.session import float64
from brim.errors import warn
from brim.infer.approximate.ascent import ascend, scales
from brim.infer.approximate.evaluate import Density, compiled, finite_point
from brim.infer.approximate.normal import NormalApproximation, as_draws, counted
from brim.infer.info import Info
from brim.infer.nuts.random import chain_stream, normals, substream
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.target import Draws, Target
from brim.linalg import solve_lower

__all__ = ["sample_fullrank", "sample_meanfield"]

BLOCK = 200  # steps between looks at the ELBO
MOST = 200  # blocks
DRAWS = 10  # of the law, a step
FIRST, HALVINGS = 0.1, 6  # step size of Adam, in units of the law's scale
ENOUGH = 0.01  # gain in ELBO a block that counts as none, whatever its noise
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Variational(NamedTuple):
    """``N(mean, L L')`` in whitened coordinates; ``lower`` is the strict lower triangle of ``L``, of shape (0, 0) for ``meanfield``."""

    mean: Any
    log_diagonal: Any
    lower: Any


class Adam(NamedTuple):
    """A law on its way, with the running moments of its gradient."""

    law: Variational
    first: Variational
    second: Variational
    steps: Any


def sample_meanfield(target: Target, **options: Any) -> Draws:
    """Draws from the best normal law with independent unconstrained coordinates. See ``_sample``."""
    return _sample(target, name="meanfield", full=False, **options)


def sample_fullrank(target: Target, **options: Any) -> Draws:
    """Draws from the best normal law of the unconstrained coordinates. See ``_sample``."""
    return _sample(target, name="fullrank", full=True, **options)


def _sample(target: Target, *, name: str, full: bool, chains: int, draws: int, thin: int = 1, seed: int | None = None, **_: Any) -> Draws:
    """Fit the law and draw ``chains x ceil(draws / thin)`` from it.

    Warns
    -----
    BrimWarning
        When the ELBO still rose at the end.
    """
    clock = time.perf_counter()
    seed = fresh_seed() if seed is None else int(seed)
    density, rng = Density(target), np.random.default_rng(seed)
    path = ascend(density, finite_point(density, rng))
    origin, unit = path.q[-1], np.clip(np.sqrt(scales(path)), 1e-3, 1e3)
    law, elbo, steps, converged = _fit(density, origin, unit, full, seed)
    if not converged:
        warn(f"algorithm='{name}': the evidence lower bound still rose after {steps} steps")
    approximation = _normal(law, origin, unit)
    info: Info = {"engine": name, "seed": seed, "thin": thin, "elbo": elbo, "steps": steps, "converged": converged}
    title = {"meanfield": "Mean-field", "fullrank": "Full-rank"}[name] + " variational approximation"
    out = as_draws(density, approximation, what=title, rng=rng, shape=(chains, counted(draws, thin)), info=info)
    out.info["sampling_seconds"] = time.perf_counter() - clock
    return out


def _fit(density: Density, origin: np.ndarray, unit: np.ndarray, full: bool, seed: int) -> tuple[Variational, float, int, bool]:
    """The law, its ELBO (of whitened coordinates), the steps made, and whether the ELBO stopped rising."""
    n = len(origin)
    side = n if full else 0
    law = Variational(np.zeros(n), np.zeros(n), np.zeros((side, side)))
    zero = Variational(np.zeros(n), np.zeros(n), np.zeros((side, side)))
    state = Adam(law, zero, zero, np.float64(0.0))
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), np.result_type(x)), (state, origin, unit, np.uint64(0), np.float64(0))
    )
    run = compiled(_block, density.target, *shapes)
    stream, rate, halvings = chain_stream(seed, 0), FIRST, 0
    before, error = -np.inf, np.inf
    for block in range(MOST):
        with float64():
            state, law, elbos = run(state, origin, unit, stream, np.float64(rate), density.data)
        elbos = np.asarray(elbos)
        mean, noise = float(elbos.mean()), float(elbos.std() / np.sqrt(BLOCK))
        if not np.isfinite(mean):  # a step too far: again from the start, more carefully
            state, rate, before = Adam(zero, zero, zero, np.float64(0.0)), 0.5 * rate, -np.inf
            continue
        if mean - before < max(ENOUGH, 2.0 * np.hypot(noise, error)):
            if halvings == HALVINGS:
                return jax.tree.map(np.asarray, law), mean, (block + 1) * BLOCK, True
            rate, halvings = 0.5 * rate, halvings + 1
        before, error = mean, noise
    return jax.tree.map(np.asarray, law), before, MOST * BLOCK, False


def _block(log_prob: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """``BLOCK`` steps of Adam: the state after them, the average law over them, and the ELBO at each."""

    def run(state: Adam, origin: Any, unit: Any, stream: Any, rate: Any, data: Any) -> tuple[Adam, Variational, Any]:
        def whitened(x: Any) -> Any:
            return log_prob(origin + unit * x, data)

        def step(carry: tuple[Adam, Variational], _: None) -> tuple[tuple[Adam, Variational], Any]:
            state, total = carry
            z = normals(substream(stream, state.steps), DRAWS * origin.shape[0]).reshape(DRAWS, -1)
            elbo, gradient = jax.value_and_grad(partial(_elbo, whitened, z))(state.law)
            state = _ascended(state, gradient, rate)
            return (state, jax.tree.map(jnp.add, total, state.law)), elbo

        (state, total), elbos = lax.scan(step, (state, jax.tree.map(jnp.zeros_like, state.law)), None, length=BLOCK)
        return state, jax.tree.map(lambda x: x / BLOCK, total), elbos

    return run


def _elbo(whitened: Callable[[Any], Any], z: Any, law: Variational) -> Any:
    """Average of ``log posterior - log law`` at draws of the law; the law's own parameters count as fixed in the second term."""
    x = law.mean + _factor_times(law, z)
    fixed = jax.tree.map(lax.stop_gradient, law)
    diagonal = jnp.exp(fixed.log_diagonal)
    if law.lower.size:
        lower = jnp.tril(fixed.lower, -1) + jnp.diag(diagonal)
        back = solve_lower(lower, (x - fixed.mean).T).T
    else:
        back = (x - fixed.mean) / diagonal
    log_law = -0.5 * jnp.sum(back**2, 1) - jnp.sum(fixed.log_diagonal) - 0.5 * z.shape[1] * np.log(2.0 * np.pi)
    return jnp.mean(jax.vmap(whitened)(x) - log_law)


def _factor_times(law: Variational, z: Any) -> Any:
    moved = jnp.exp(law.log_diagonal) * z
    return moved + z @ jnp.tril(law.lower, -1).T if law.lower.size else moved


def _ascended(state: Adam, gradient: Variational, rate: Any) -> Adam:
    steps = state.steps + 1.0
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1.0 - BETA_1) * g, state.first, gradient)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1.0 - BETA_2) * g**2, state.second, gradient)
    one, two = 1.0 - BETA_1**steps, 1.0 - BETA_2**steps
    law = jax.tree.map(lambda x, m, v: x + rate * (m / one) / (jnp.sqrt(v / two) + EPSILON), state.law, first, second)
    return Adam(law, first, second, steps)


def _normal(law: Variational, origin: np.ndarray, unit: np.ndarray) -> NormalApproximation:
    """The law in the target's coordinates."""
    diagonal = np.exp(law.log_diagonal)
    mean = origin + unit * law.mean
    if not law.lower.size:
        return NormalApproximation(mean, unit * diagonal)
    return NormalApproximation(mean, unit[:, None] * (np.tril(law.lower, -1) + np.diag(diagonal)))
