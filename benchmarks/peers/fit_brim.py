"""brim."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.job import Job, Result


def main() -> None:
    """Fit, print the summary, tell."""
    job = Job.read()
    result = Result(job)
    with result.timed("import"):
        import brim
    with result.timed("data"):
        data = job.rows()
    result.loaded(data)
    with result.timed("fit"):
        fit = brim.brm(
            job.formula,
            data,
            job.family,
            chains=job.chains,
            iter=job.warmup + job.draws,
            warmup=job.warmup,
            cores=job.cores,
            seed=job.seed,
            progress=False,
        )
    result.summarised(fit.summary())
    info = fit.info
    begun = info.get("start_seconds", 0.0) + info["warmup_seconds"]
    result.told |= {
        "compile_seconds": float(info["compile_seconds"]),
        "sampling_seconds": begun + info["sampling_seconds"] + info.get("completion_seconds", 0.0),
        "steps": int(np.sum(fit.stats["n_steps"])),
        "warmup_steps": int(np.sum(info["warmup_steps"])),
        "divergences": int(np.sum(fit.stats["diverging"])),
        "note": fit.engine,
    }
    names = [name for name in fit.variables() if not name.startswith("r_")]
    result.export(names, fit.draws.matrix(tuple(names)))
    result.finish(["brim", "jax", "numpyro", "numpy"])


if __name__ == "__main__":
    main()
