"""Other packages' samplers on the same target: ``algorithm="nutpie" | "numpyro" | "blackjax"``.

Chains start where brim's own would (after the ascent towards the posterior's mass); warm-up, trajectories and random numbers are
the package's. BlackJAX and NumPyro run as one compiled program a chain, chains in threads, with the data as arguments of the program.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from brim.compile.session import float64
from brim.compile.xla import options
from brim.errors import BrimError
from brim.infer.approximate.ascent import ascend
from brim.infer.approximate.evaluate import Density, finite_point
from brim.infer.info import Info
from brim.infer.nuts.control import Control
from brim.infer.nuts.sampling import fresh_seed, processors
from brim.infer.target import Draws, Target

__all__ = ["sample_blackjax", "sample_numpyro", "sample_nutpie"]

_TYPES = {"n_steps": np.int64, "tree_depth": np.int64, "diverging": np.bool_}


def sample_nutpie(
    target: Target,
    *,
    chains: int,
    warmup: int,
    draws: int,
    thin: int = 1,
    cores: int | None = None,
    seed: int | None = None,
    control: Control | None = None,
    progress: bool = False,
    **_: Any,
) -> Draws:
    """nutpie's sampler; ``control(metric="low_rank")`` is its low-rank modified mass matrix."""
    nutpie = _package("nutpie", "nutpie")
    from_pyfunc = import_module("nutpie.compiled_pyfunc").from_pyfunc
    control = _checked(control, "nutpie", ("diag", "low_rank"))
    seed = fresh_seed() if seed is None else int(seed)
    density = Density(target)
    density(_first_point(density, seed, 0))  # compiled before threads ask for it

    def log_density(x: np.ndarray) -> tuple[float, np.ndarray]:
        return density(x)

    def first(chain_seed: int) -> np.ndarray:
        return _first_point(density, seed, chain_seed)

    model = from_pyfunc(
        target.dim, lambda: log_density, lambda *_: lambda x: {"q": np.array(x)}, [np.dtype("float64")], [(target.dim,)], ["q"],
        make_initial_point_fn=first,
    )  # fmt: skip
    clock = time.perf_counter()
    trace = nutpie.sample(
        model, draws=draws, tune=warmup, chains=chains, cores=cores or processors(), seed=seed, progress_bar=progress, save_warmup=False,
        low_rank_modified_mass_matrix=control.metric == "low_rank", target_accept=control.adapt_delta, maxdepth=control.max_treedepth,
    )  # fmt: skip
    seconds = time.perf_counter() - clock
    raw = {name: np.asarray(trace.sample_stats[name]) for name in _NUTPIE.values()}
    q, stats = np.asarray(trace.posterior["q"]), {name: raw[theirs] for name, theirs in _NUTPIE.items()}
    # nutpie's depth leaves out a last doubling that turned before its end, whose steps it counts
    stats["tree_depth"] = np.ceil(np.log2(stats["n_steps"] + 1.0))
    return _draws("nutpie", q, stats, None, {"seed": seed, "thin": thin, "warmup": warmup, "control": control}, seconds)


#: Our statistics -> nutpie's.
_NUTPIE = {
    "lp": "logp",
    "acceptance_rate": "mean_tree_accept",
    "n_steps": "n_steps",
    "diverging": "diverging",
    "step_size": "step_size",
    "energy": "energy",
}


def sample_blackjax(target: Target, **options: Any) -> Draws:
    """BlackJAX's NUTS after its window adaptation."""
    _package("blackjax", "blackjax")
    return _run_programs(target, "blackjax", _blackjax_program, **options)


def sample_numpyro(target: Target, **options: Any) -> Draws:
    """NumPyro's NUTS."""
    return _run_programs(target, "numpyro", _numpyro_program, **options)


def _run_programs(
    target: Target,
    name: str,
    program: Callable[..., Any],
    *,
    chains: int,
    warmup: int,
    draws: int,
    thin: int = 1,
    cores: int | None = None,
    seed: int | None = None,
    control: Control | None = None,
    **_: Any,
) -> Draws:
    """Run a package's compiled chain once for each chain, in threads; the draws do not depend on ``cores``."""
    control = _checked(control, name, ("diag", "dense"))
    if warmup < 1:
        raise BrimError(f"algorithm='{name}' needs warm-up iterations", hint="give warmup > 0")
    seed = fresh_seed() if seed is None else int(seed)
    density = Density(target)
    run = program(target.log_prob, warmup, draws, control)
    points = [_first_point(density, seed, c) for c in range(chains)]

    def chain(number: int) -> tuple[Any, ...]:
        with float64():
            key = jax.random.fold_in(jax.random.key(seed), number)
            return jax.tree.map(np.asarray, run(key, points[number], density.data))

    clock = time.perf_counter()
    with ThreadPoolExecutor(min(chains, cores or processors())) as pool:
        results = list(pool.map(chain, range(chains)))
    seconds = time.perf_counter() - clock
    q, stats, inv_mass = jax.tree.map(lambda *x: np.stack(x), *results)
    return _draws(name, q, stats, inv_mass, {"seed": seed, "thin": thin, "warmup": warmup, "control": control}, seconds)


@lru_cache(maxsize=8)
def _blackjax_program(log_prob: Callable[[Any, Any], Any], warmup: int, draws: int, control: Control) -> Callable[..., Any]:
    """``(key, q, data) -> draws, statistics, diagonal of the inverse mass matrix``."""
    import blackjax

    def run(key: Any, q: Any, data: Any) -> tuple[Any, dict[str, Any], Any]:
        def density(q: Any) -> Any:
            return log_prob(q, data)

        warming, sampling = jax.random.split(key)
        adaptation = blackjax.window_adaptation(
            blackjax.nuts, density, is_mass_matrix_diagonal=control.metric == "diag", target_acceptance_rate=control.adapt_delta,
            max_num_doublings=control.max_treedepth,
        )  # fmt: skip
        (state, parameters), _ = adaptation.run(warming, q, warmup)
        kernel = blackjax.nuts(density, **parameters).step

        def step(state: Any, key: Any) -> tuple[Any, Any]:
            state, info = kernel(key, state)
            stats = {
                "lp": state.logdensity,
                "acceptance_rate": info.acceptance_rate,
                "n_steps": info.num_integration_steps,
                "diverging": info.is_divergent,
                "tree_depth": info.num_trajectory_expansions,
                "energy": info.energy,
            }
            return state, (state.position, stats)

        _, (q, stats) = lax.scan(step, state, jax.random.split(sampling, draws))
        inv_mass = parameters["inverse_mass_matrix"]
        stats["step_size"] = jnp.full(draws, parameters["step_size"])
        return q, stats, inv_mass if inv_mass.ndim == 1 else jnp.diag(inv_mass)

    return jax.jit(run, compiler_options=options())


@lru_cache(maxsize=8)
def _numpyro_program(log_prob: Callable[[Any, Any], Any], warmup: int, draws: int, control: Control) -> Callable[..., Any]:
    """``(key, q, data) -> draws, statistics, diagonal of the inverse mass matrix``."""
    from numpyro.infer.hmc import hmc

    start, kernel = hmc(potential_fn_gen=lambda data: lambda q: -log_prob(q, data), algo="NUTS")

    def run(key: Any, q: Any, data: Any) -> tuple[Any, dict[str, Any], Any]:
        state = start(
            q, num_warmup=warmup, dense_mass=control.metric == "dense", target_accept_prob=control.adapt_delta,
            max_tree_depth=control.max_treedepth, model_args=(data,), rng_key=key,
        )  # fmt: skip

        def step(state: Any, _: None) -> tuple[Any, Any]:
            state = kernel(state, (data,))
            stats = {
                "lp": -state.potential_energy,
                "acceptance_rate": state.accept_prob,
                "n_steps": state.num_steps,
                "diverging": state.diverging,
                "energy": state.energy,
                "step_size": state.adapt_state.step_size,
            }
            return state, (state.z, stats)

        state = lax.fori_loop(0, warmup, lambda _, state: kernel(state, (data,)), state)
        state, (q, stats) = lax.scan(step, state, None, length=draws)
        # a trajectory of n steps that stopped within its last doubling has 2^(depth - 1) <= n + 1 <= 2^depth
        stats["tree_depth"] = jnp.ceil(jnp.log2(stats["n_steps"] + 1.0)).astype(jnp.int64)
        inv_mass = state.adapt_state.inverse_mass_matrix
        return q, stats, inv_mass if inv_mass.ndim == 1 else jnp.diag(inv_mass)

    return jax.jit(run, compiler_options=options())


# --------------------------------------------------------------------------- what they share


def _package(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise BrimError(f"algorithm='{name}' needs the package {name}", hint=f"pip install 'brim[{extra}]'") from error


def _checked(control: Control | None, name: str, metrics: tuple[str, ...]) -> Control:
    control = Control() if control is None else control
    if control.metric not in metrics:
        raise BrimError(f"control: algorithm '{name}' has no metric '{control.metric}'", hint="it has: " + ", ".join(metrics))
    return control


def _first_point(density: Density, seed: int, number: int) -> np.ndarray:
    rng = np.random.default_rng([seed, number])
    return ascend(density, finite_point(density, rng)).q[-1]


def _draws(name: str, q: np.ndarray, stats: dict[str, np.ndarray], inv_mass: np.ndarray | None, told: Info, seconds: float) -> Draws:
    """Thinned draws with our statistics; the diagonal of the metric is told by the draws where the package does not tell it."""
    thin, control = told["thin"], told["control"]
    q = np.ascontiguousarray(q[:, ::thin])
    stats = {k: np.ascontiguousarray(v[:, ::thin]).astype(_TYPES.get(k, np.float64)) for k, v in stats.items()}
    inv_mass = q.var(1) if inv_mass is None else inv_mass
    info: Info = {
        "engine": name,
        "max_treedepth": control.max_treedepth,
        "sampling_seconds": seconds,
        "inv_mass": inv_mass,
        "last_q": q[:, -1],
    }
    return Draws(q, stats, {**told, **info})
