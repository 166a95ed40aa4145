"""Chains as one program, timed: ``python -m benchmarks.gpu``, on every kind of device that JAX has here, against chains in threads.

Each way fits the same model twice in this process; the second time is shown, without compilation.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import brim

__all__ = ["main", "measured", "rows_of", "ways"]


def rows_of(n: int, groups: int) -> dict[str, np.ndarray]:
    """Simulated rows of ``y ~ x1 + x2 + x3 + (1 | g)``, Bernoulli."""
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(3, n)), rng.integers(0, groups, n)
    eta = 0.3 + 0.5 * x[0] - 0.4 * x[1] + rng.normal(0, 0.7, groups)[g]
    return {"y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int), **{f"x{i + 1}": x[i] for i in range(3)}, "g": g}


def ways() -> Iterator[tuple[str, dict[str, Any]]]:
    """What is compared."""
    yield "threads", {}
    for kind in dict.fromkeys(d.platform for d in jax.devices()):
        for precision in ("float64", "float32"):
            yield f"{kind}, {precision}", {"device": kind, "control": {"precision": precision}}


def measured(data: dict[str, np.ndarray], chains: int, iterations: int, more: dict[str, Any]) -> tuple[float, float, float]:
    """Seconds of sampling with warm-up, effective draws a second of the slope that has fewest, and its mean."""
    given: dict[str, Any] = {"chains": chains, "iter": iterations, "seed": 1, "progress": False}
    for _ in range(2):
        start = time.perf_counter()
        fit = brim.brm("y ~ x1 + x2 + x3 + (1 | g)", data, "bernoulli", **given, **more)
        seconds = time.perf_counter() - start
    table = fit.summary().fixed
    return seconds, float(table["Bulk_ESS"].min()) / seconds, float(table.loc["x1", "Estimate"])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument("--iter", type=int, default=400)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    data = rows_of(given.rows, given.groups)
    print(f"{given.rows} rows, {given.groups} groups, {given.chains} chains of {given.iter} iterations")
    print(f"JAX {jax.__version__}: {jax.devices()}\n")
    print("| way | seconds | effective draws a second | slope |\n|---|---:|---:|---:|")
    for name, more in ways():
        seconds, rate, slope = measured(data, given.chains, given.iter, more)
        print(f"| {name} | {seconds:.1f} | {rate:.0f} | {slope:.4f} |", flush=True)


if __name__ == "__main__":
    main()
