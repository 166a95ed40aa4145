"""BlackJAX's NUTS with window adaptation on brim's log density of all parameters (nothing integrated out), one thread a chain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.peers.job import Job, Result


def main() -> None:
    """Fit, print the summary, tell."""
    job = Job.read()
    result = Result(job)
    with result.timed("import"):
        import blackjax
        import jax

        import brim
        from brim.coordinates.base import Coordinates
        from brim.coordinates.plan import Plan
        from brim.fit.run import with_engine_draws
        from brim.infer.target import Draws
    with result.timed("data"):
        data = job.rows()
    result.loaded(data)
    jax.config.update("jax_enable_x64", True)
    with result.timed("fit"):
        empty = brim.brm(job.formula, data, job.family, chains=job.chains, iter=job.warmup + job.draws, warmup=job.warmup, empty=True)
        own = Coordinates.of(Plan(empty.model), empty.frame)
        goal = own.target
        with result.timed("compile"):
            warm, run = _programs(blackjax, goal, job)
        with result.timed("sampling"):
            q, stats, warm_steps = _chains(goal, job, warm, run)
        fit = with_engine_draws(empty, own, Draws(q, stats, {"engine": "blackjax", "seed": job.seed}))
    result.summarised(fit.summary())
    result.told |= {
        "steps": int(stats["n_steps"].sum()),
        "warmup_steps": int(warm_steps),
        "divergences": int(stats["diverging"].sum()),
        "note": f"{goal.dim} dimensions sampled",
    }
    names = [name for name in fit.variables() if not name.startswith("r_")]
    result.export(names, fit.draws.matrix(tuple(names)))
    result.finish(["blackjax", "brim", "jax", "numpy"])


def _programs(blackjax: Any, goal: Any, job: Job) -> tuple[Any, Any]:
    """Warm-up and sampling of one chain, compiled; the data are arguments."""
    import jax

    data = jax.tree.map(jax.numpy.asarray, goal.data)

    def warm(key: Any, q: Any, data: Any) -> Any:
        adaptation = blackjax.window_adaptation(blackjax.nuts, lambda x: goal.log_prob(x, data))
        (state, parameters), info = adaptation.run(key, q, job.warmup)
        return state.position, parameters["step_size"], parameters["inverse_mass_matrix"], info.info.num_integration_steps.sum()

    def run(key: Any, q: Any, step: Any, inv_mass: Any, data: Any) -> Any:
        kernel = blackjax.nuts(lambda x: goal.log_prob(x, data), step_size=step, inverse_mass_matrix=inv_mass)

        def one(state: Any, key: Any) -> Any:
            state, info = kernel.step(key, state)
            return state, (state.position, state.logdensity, info.num_integration_steps, info.is_divergent)

        return jax.lax.scan(one, kernel.init(q), jax.random.split(key, job.draws))[1]

    key, q = jax.random.key(0), np.zeros(goal.dim)
    first = jax.jit(warm).lower(key, q, data).compile()
    second = jax.jit(run).lower(key, q, np.float64(1.0), np.ones(goal.dim), data).compile()
    return (lambda key, q: first(key, q, data)), (lambda key, *args: second(key, *args, data))


def _chains(goal: Any, job: Job, warm: Any, run: Any) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """All chains; draws (chains, draws, dim), statistics, leapfrog steps of the warm-ups."""
    import jax

    def chain(number: int) -> tuple[Any, int]:
        with jax.enable_x64(True):
            first, second = jax.random.split(jax.random.fold_in(jax.random.key(job.seed), number))
            q = goal.init(np.random.default_rng([job.seed, number]))
            *state, steps = warm(first, q)
            out = jax.tree.map(np.asarray, run(second, *state))
            return out, int(steps)

    with ThreadPoolExecutor(job.cores) as pool:
        done = list(pool.map(chain, range(job.chains)))
    q, lp, steps, diverging = (np.stack([out[i] for out, _ in done]) for i in range(4))
    stats = {"lp": lp, "n_steps": steps, "diverging": diverging}
    return q, stats, sum(steps for _, steps in done)


if __name__ == "__main__":
    main()
