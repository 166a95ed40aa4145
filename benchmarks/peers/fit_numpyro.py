"""NumPyro models written by hand, with brms' default priors and centred predictors; its NUTS in float64, one thread a chain.

The kernel is compiled ahead of time, which ``MCMC.run`` does not do: so compilation and sampling are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.peers.job import Job, Result


def main() -> None:
    """Fit, print the summary, tell."""
    job = Job.read()
    result = Result(job)
    with result.timed("import"):
        import jax
        import numpyro
        from numpyro.diagnostics import print_summary
    numpyro.enable_x64()
    with result.timed("data"):
        data = job.rows()
    result.loaded(data)
    with result.timed("fit"):
        program, names, x, arrays = MODELS[job.model](data)
        arrays = jax.tree.map(jax.numpy.asarray, arrays)
        keys = jax.random.split(jax.random.key(job.seed), job.chains)
        with result.timed("compile"):
            run = jax.jit(_chain(program, job)).lower(keys[0], arrays).compile()
        with result.timed("sampling"), ThreadPoolExecutor(job.cores) as pool:
            done = list(pool.map(lambda key: jax.tree.map(np.asarray, run(key, arrays)), keys))
    samples, warm_steps, steps, diverging = (jax.tree.map(lambda *a: np.stack(a), *(out[i] for out in done)) for i in range(4))
    print_summary(samples)
    result.summarised("")
    result.told |= {
        "steps": int(steps.sum()),
        "warmup_steps": int(warm_steps.sum()),
        "divergences": int(diverging.sum()),
        "note": "float64",
    }
    result.export(*_named(samples, names, x))
    result.finish(["numpyro", "jax", "numpy"])


def _chain(program: Callable[..., None], job: Job) -> Callable[..., Any]:
    """``(key, arrays) ->`` draws by site, leapfrog steps of warm-up, those of each draw, divergences."""
    from jax import lax, vmap
    from numpyro.infer import NUTS

    kernel = NUTS(program)

    def chain(key: Any, arrays: Any) -> Any:
        def warm(_: int, carry: Any) -> Any:
            state, steps = carry
            state = kernel.sample(state, (), arrays)
            return state, steps + state.num_steps

        def one(state: Any, _: Any) -> Any:
            state = kernel.sample(state, (), arrays)
            return state, (state.z, state.num_steps, state.diverging)

        start = kernel.init(key, job.warmup, None, (), arrays)
        state, warm_steps = lax.fori_loop(0, job.warmup, warm, (start, start.num_steps * 0))
        z, steps, diverging = lax.scan(one, state, None, job.draws)[1]
        return vmap(kernel.postprocess_fn((), arrays))(z), warm_steps, steps, diverging

    return chain


def _named(samples: Mapping[str, np.ndarray], names: list[str], x: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Draws under brms' names; the intercept where the predictors are 0."""
    columns = {"b_Intercept": samples["centred"] - samples["b"] @ x.mean(0)}
    columns |= {f"b_{name}": samples["b"][..., i] for i, name in enumerate(names)}
    columns |= {name: a for name, a in samples.items() if name.startswith(("sd_", "cor_", "sigma"))}
    return list(columns), np.stack(list(columns.values()), axis=-1)


# --------------------------------------------------------------------------- the models

Built = tuple[Callable[..., None], list[str], np.ndarray, dict[str, Any]]


def gpa(data: Any) -> Built:
    """Random intercepts and slopes, correlated, non-centred."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    x = data[["occasion"]].to_numpy(float)

    def program(x: Any, student: Any, y: Any) -> None:
        centred = numpyro.sample("centred", dist.StudentT(3.0, 2.8, 2.5))
        b = numpyro.sample("b", dist.ImproperUniform(dist.constraints.real, (1,), ()))
        sd_0, sd_1 = (numpyro.sample(f"sd_student__{coef}", _half_t()) for coef in ("Intercept", "occasion"))
        low = numpyro.sample("L", dist.LKJCholesky(2, 1.0))
        numpyro.deterministic("cor_student__Intercept__occasion", low[1, 0])
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([2, 200]))
        r = jnp.stack([sd_0, sd_1])[:, None] * (low @ z)
        sigma = numpyro.sample("sigma", _half_t())
        eta = centred + (x - x.mean(0)) @ b + r[0, student] + r[1, student] * x[:, 0]
        numpyro.sample("y", dist.Normal(eta, sigma), obs=y)

    arrays = {"x": x, "student": data["student"].cat.codes.to_numpy(), "y": data["gpa"].to_numpy(float)}
    return program, ["occasion"], x, arrays


def epilepsy(data: Any) -> Built:
    """Poisson with two intercepts."""
    treated = (data["Trt"] == "1").to_numpy(float)
    base = data["zBase"].to_numpy()
    x = np.column_stack([data["zAge"], base, treated, base * treated])
    return _crossed(data, "poisson", data["count"], 1.4, ["zAge", "zBase", "Trt1", "zBase:Trt1"], x, ("patient", "obs"))


def cbpp(data: Any) -> Built:
    """Binomial with one intercept."""
    x = np.column_stack([(data["period"] == level).to_numpy(float) for level in "234"])
    return _crossed(data, "binomial", data["incidence"], 0.0, ["period2", "period3", "period4"], x, ("herd",), data["size"])


def verbagg(data: Any) -> Built:
    """Bernoulli with crossed intercepts."""
    flags = [("Gender", "M"), ("btype", "scold"), ("btype", "shout"), ("situ", "self")]
    x = np.column_stack([data["Anger"].to_numpy(float), *((data[column] == level).to_numpy(float) for column, level in flags)])
    names = ["Anger", *(column + level for column, level in flags)]
    return _crossed(data, "bernoulli", data["yes"], 0.0, names, x, ("id", "item"))


def _crossed(
    data: Any, family: str, y: Any, center: float, names: list[str], x: np.ndarray, groups: tuple[str, ...], trials: Any = None
) -> Built:
    """Any number of intercepts, non-centred."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    levels = {g: len(data[g].cat.categories) for g in groups}
    laws = {
        "poisson": lambda eta, _: dist.Poisson(jnp.exp(eta)),
        "bernoulli": lambda eta, _: dist.Bernoulli(logits=eta),
        "binomial": lambda eta, n: dist.Binomial(total_count=n, logits=eta),
    }

    def program(x: Any, codes: Any, y: Any, trials: Any) -> None:
        centred = numpyro.sample("centred", dist.StudentT(3.0, center, 2.5))
        b = numpyro.sample("b", dist.ImproperUniform(dist.constraints.real, (len(names),), ()))
        eta = centred + (x - x.mean(0)) @ b
        for g in groups:
            sd = numpyro.sample(f"sd_{g}__Intercept", _half_t())
            z = numpyro.sample(f"z_{g}", dist.Normal(0.0, 1.0).expand([levels[g]]))
            eta = eta + sd * z[codes[g]]
        numpyro.sample("y", laws[family](eta, trials), obs=y)

    codes = {g: data[g].cat.codes.to_numpy() for g in groups}
    arrays = {"x": x, "codes": codes, "y": y.to_numpy(), "trials": None if trials is None else trials.to_numpy()}
    return program, names, x, arrays


def _half_t() -> Any:
    import numpyro.distributions as dist

    return dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 2.5))


MODELS: dict[str, Callable[[Any], Built]] = {"gpa": gpa, "epilepsy": epilepsy, "cbpp": cbpp, "verbagg": verbagg}


if __name__ == "__main__":
    main()
