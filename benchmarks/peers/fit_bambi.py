"""Bambi, sampled by nutpie, the fastest of its samplers. Its group effects are never correlated, and its default priors are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.peers.job import Job, Result


def main() -> None:
    """Fit, print the summary, tell."""
    job = Job.read()
    result = Result(job)
    with result.timed("import"):
        import arviz
        import bambi
        import nutpie
    with result.timed("data"):
        data = _prepared(job)
    result.loaded(data)
    nutpie.compile_pymc_model = _timed(result, "compile", nutpie.compile_pymc_model)
    nutpie.sample = _timed(result, "sampling", nutpie.sample)
    with result.timed("fit"):
        model = bambi.Model(job.formula, data, family=job.family)
        fit = model.fit(
            draws=job.draws,
            tune=job.warmup,
            chains=job.chains,
            cores=job.cores,
            random_seed=job.seed,
            progressbar=False,
            inference_method="nutpie",
        )
    posterior = fit["posterior"]
    kept = [name for name in posterior.data_vars if not _is_effect(str(name))]
    result.summarised(arviz.summary(fit, var_names=kept).to_string())
    stats = fit["sample_stats"]
    result.told |= {
        "steps": int(stats["n_steps"].sum()),
        "divergences": int(stats["diverging"].sum()),
        "note": "no correlation of group effects" if "x|" in _slopes(job.formula) else "",
    }
    columns = [(_renamed(str(name), label), values) for name in kept for label, values in _elements(posterior[name])]
    result.export([name for name, _ in columns], np.stack([values for _, values in columns], axis=-1))
    result.finish(["bambi", "nutpie", "pymc", "pytensor", "numba", "arviz"])


def _prepared(job: Job) -> Any:
    """An ordered response for the cumulative family."""
    data = job.rows()
    if job.family == "cumulative":
        response = job.formula.split("~")[0].strip()
        data[response] = data[response].cat.as_ordered()
    return data


def _timed(result: Result, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with result.timed(stage):
            return function(*args, **kwargs)

    return call


def _slopes(formula: str) -> str:
    """The formula with every random slope written ``x|``."""
    left = [part.split("|")[0].strip() for part in formula.split("(") if "|" in part]
    return " ".join("x|" for slope in left if slope != "1")


def _is_effect(name: str) -> bool:
    """Effects of groups are called ``1|g``, their standard deviations ``1|g_sigma``."""
    return "|" in name and not name.endswith("_sigma")


def _elements(values: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Label and draws ``(chains, draws)`` of each element."""
    rest = [d for d in values.dims if d not in ("chain", "draw")]
    array = values.transpose("chain", "draw", *rest).values
    for at in np.ndindex(array.shape[2:]):
        label = ",".join(str(values.coords[d].values[i]) if d in values.coords else str(i) for d, i in zip(rest, at, strict=True))
        yield label, array[(slice(None), slice(None), *at)]


def _renamed(name: str, label: str) -> str:
    """brms' name where there is one: ``1|g_sigma`` is ``sd_g__Intercept``, ``zBase`` is ``b_zBase``."""
    if "|" in name:
        coef, group = name.removesuffix("_sigma").split("|")
        return f"sd_{group}__{'Intercept' if coef == '1' else coef}"
    if name == "threshold":
        return f"b_Intercept[{int(label) + 1}]" if label.isdigit() else f"threshold[{label}]"
    if name in ("sigma", "alpha"):
        return name
    return f"b_{name}{label}"


if __name__ == "__main__":
    main()
