"""NumPyro models written by hand, with brms' default priors and centred predictors; NUTS in float64, one device a chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    numpyro.set_host_device_count(job.chains)
    numpyro.enable_x64()
    with result.timed("data"):
        data = job.rows()
    result.loaded(data)
    program, names, x, arrays = MODELS[job.model](data)
    method = "parallel" if job.cores > 1 else "sequential"
    mcmc = numpyro.infer.MCMC(
        numpyro.infer.NUTS(program),
        num_warmup=job.warmup,
        num_samples=job.draws,
        num_chains=job.chains,
        chain_method=method,
        progress_bar=False,
    )
    with result.timed("fit"):
        mcmc.run(jax.random.key(job.seed), **arrays, extra_fields=("num_steps", "diverging"))
        samples = {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}
    mcmc.print_summary(exclude_deterministic=False)
    result.summarised("")
    with result.timed("sampling"):  # the same again: nothing is left to compile
        mcmc.run(jax.random.key(job.seed), **arrays, extra_fields=("num_steps", "diverging"))
        jax.block_until_ready(mcmc.get_samples())
    extra = mcmc.get_extra_fields(group_by_chain=True)
    result.told |= {
        "compile_seconds": max(result.told["fit_seconds"] - result.told["sampling_seconds"], 0.0),
        "steps": int(extra["num_steps"].sum()),
        "divergences": int(extra["diverging"].sum()),
        "note": "float64",
    }
    result.export(*_named(samples, names, x))
    result.finish(["numpyro", "jax", "numpy"])


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
