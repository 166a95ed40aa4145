"""``python -m benchmarks.large [names]``: large fits, generated, read, sampled and timed, by the clock and by the processors' seconds.

``rows`` are data larger than memory, reduced to sums in streaming passes; ``poisson`` and ``crossed`` are sampled with all their effects;
``slopes`` measures what one gradient and one draw of a model cost that is too large to be sampled here.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import brim
from benchmarks import machine
from brim.infer.diagnostics import ess_bulk, ess_tail, rhat

__all__ = ["BENCHMARKS", "crossed", "main", "poisson", "rows", "slopes"]

_PART = 5_000_000  # rows of one Parquet file
_COLUMNS = 10  # of the table: what the formula does not name is never read
Given = argparse.Namespace


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of this, and the most memory that the process has had."""
    clock, processors = time.perf_counter(), time.process_time()
    yield
    clock, processors = time.perf_counter() - clock, time.process_time() - processors
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {clock:.1f} s by the clock, {processors:.1f} s of the processors, {most:.2f} GiB at most", flush=True)


def shown(fit: brim.Fit) -> None:
    """Print the engine, the smallest effective sample sizes and the largest R-hat of what the summary shows."""
    table = fit.posterior_summary()
    names = [v for v in table.index if v.startswith(("b_", "sd_", "cor_", "sigma", "shape"))]
    draws = np.stack([fit.draws[v] for v in names], axis=-1)
    print(fit.engine)
    print(table.loc[names].round(4))
    print(f"bulk ESS {ess_bulk(draws).min():.0f}, tail ESS {ess_tail(draws).min():.0f} at least, R-hat {rhat(draws).max():.3f} at most")
    steps = fit.stats.get("n_steps")
    if steps is not None:
        print(f"{np.mean(steps):.1f} gradients an iteration, {int(np.sum(fit.stats['diverging']))} divergent", flush=True)


# --------------------------------------------------------------------------- data larger than memory


def write_rows(folder: Path, n: int, groups: int) -> None:
    """Parquet files of ``y = 1 + 0.5 x + u_g + v_g x + e`` (sd 0.8, 0.4, correlation 0.3; residual 1), and columns nobody asks for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    effects = np.random.default_rng(0).normal(size=(groups, 2)) @ np.linalg.cholesky([[0.64, 0.096], [0.096, 0.16]]).T
    for part, start in enumerate(range(0, n, _PART)):
        rng, size = np.random.default_rng([1, part]), min(_PART, n - start)
        g, x = rng.integers(0, groups, size, dtype=np.int32), rng.normal(size=size)
        y = 1.0 + effects[g, 0] + (0.5 + effects[g, 1]) * x + rng.normal(size=size)
        other = {f"z{i}": rng.normal(size=size).astype(np.float32) for i in range(_COLUMNS - 3)}
        pq.write_table(pa.table({"y": y, "x": x, "g": g, **other}), folder / f"part-{part:04d}.parquet")


def rows(given: Given) -> None:
    """``y ~ x + (1 + x | g)`` of rows that stay on disk: generated, passed, sampled."""
    n, groups = given.rows or 100_000_000, given.groups or 100_000
    need, there = n * 8 * (3 + 0.5 * (_COLUMNS - 3)), shutil.disk_usage(given.folder or tempfile.gettempdir()).free
    if need > 0.8 * there:
        raise SystemExit(
            f"{n} rows take {need / 1e9:.0f} GB, {there / 1e9:.0f} GB are free; --folder names another place, --rows fewer rows"
        )
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        with timed(f"{n} rows, {groups} groups, {_COLUMNS} columns written to Parquet"):
            write_rows(Path(folder), n, groups)
        with timed("passes over the rows"):
            built = brim.brm("y ~ x + (1 + x | g)", folder, empty=True)
    with timed(f"{given.chains} x {given.iter} iterations sampled"):
        fit = built.update(chains=given.chains, iter=given.iter, seed=1, progress=False, keep="parameters")
    shown(fit)


# --------------------------------------------------------------------------- rows in memory


def counts(n: int, groups: int) -> dict[str, np.ndarray]:
    """Poisson rows of two covariates and an effect of each group, sd 0.5."""
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(2, n)), rng.integers(0, groups, n)
    eta = 0.2 + 0.3 * x[0] - 0.2 * x[1] + rng.normal(0.0, 0.5, groups)[g]
    return {"y": rng.poisson(np.exp(eta)), "x1": x[0], "x2": x[1], "g": g}


def poisson(given: Given) -> None:
    """A Poisson model of many rows, sampled until every parameter has 400 effective draws."""
    n, groups = given.rows or 1_000_000, given.groups or 10_000
    data = counts(n, groups)
    with timed(f"{n} rows, {groups} groups: until 400 effective draws, {given.chains} chains"):
        fit = brim.brm(
            "y ~ x1 + x2 + (1 | g)",
            data,
            "poisson",
            chains=given.chains,
            warmup=given.iter // 2,
            iter=given.iter // 2 + 2000,
            stop_when=brim.stop_when(ess=400),
            seed=1,
            progress=False,
        )
    shown(fit)


def pairs(n: int, people: int, items: int) -> dict[str, np.ndarray]:
    """Bernoulli rows of people crossed with items (sd 1 and 0.7) and a covariate."""
    rng = np.random.default_rng(1)
    x, a, b = rng.normal(size=n), rng.integers(0, people, n), rng.integers(0, items, n)
    eta = -0.3 + 0.5 * x + rng.normal(0.0, 1.0, people)[a] + rng.normal(0.0, 0.7, items)[b]
    return {"y": (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int), "x": x, "a": a, "b": b}


def crossed(given: Given) -> None:
    """A Bernoulli model of two crossed factors, sampled with all their effects."""
    n, people = given.rows or 100_000, given.groups or 2000
    data = pairs(n, people, people // 2)
    with timed(f"{n} rows, {people} x {people // 2} levels: 2 x {given.iter} iterations"):
        fit = brim.brm("y ~ x + (1 | a) + (1 | b)", data, "bernoulli", chains=2, iter=given.iter, seed=1, progress=False)
    shown(fit)


# --------------------------------------------------------------------------- a plan with measured pieces


def many(n: int, groups: int, slopes: int) -> tuple[str, dict[str, np.ndarray]]:
    """The formula and the rows of a Bernoulli model with an intercept and that many slopes of each group, uncorrelated."""
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(slopes, n)), rng.integers(0, groups, n)
    effects = rng.normal(0.0, 0.3, (slopes + 1, groups))
    eta = effects[0, g] + sum(effects[k + 1, g] * x[k] for k in range(slopes))
    names = [f"x{k}" for k in range(slopes)]
    data = {"y": (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int), "g": g, **dict(zip(names, x, strict=True))}
    return f"y ~ {' + '.join(names)} + (1 + {' + '.join(names)} || g)", data


def slopes(given: Given) -> None:
    """Bernoulli with 20 slopes of each group: what building, a gradient and a draw cost, at two sizes; the larger is the whole."""
    import jax

    from brim.compile.session import float64
    from brim.coordinates.base import model_target

    n, groups = given.rows or 1_000_000, given.groups or 100_000
    for part in (10, 1):
        formula, data = many(n // part, groups // part, 20)
        with timed(f"{n // part} rows, {groups // part} groups, 21 coefficients: built"):
            built = brim.brm(formula, data, "bernoulli", empty=True)
            target = model_target(built.model, built.frame)
        with float64():
            gradient = jax.jit(jax.grad(target.log_prob))
            at = built.model.layout.center()
            with timed("a gradient compiled and taken"):
                jax.block_until_ready(gradient(at, target.data))
            with timed("ten gradients"):
                for _ in range(10):
                    jax.block_until_ready(gradient(at, target.data))
        print(f"{target.dim} coordinates: {8 * target.dim / 1e6:.1f} MB a draw\n", flush=True)


#: What can be asked for.
BENCHMARKS: Mapping[str, Callable[[Given], None]] = {"rows": rows, "poisson": poisson, "crossed": crossed, "slopes": slopes}


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--rows", type=int, help="fewer rows than the whole")
    parser.add_argument("--groups", type=int, help="levels of the first grouping factor")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--iter", type=int, default=400, help="iterations of a chain, warm-up included")
    parser.add_argument("--folder", help="where Parquet files are written for the time of the run")
    given = parser.parse_args()
    warnings.simplefilter("ignore", brim.BrimWarning)
    print({**machine.describe(), "load": round(os.getloadavg()[0], 2)})
    for name in given.names or BENCHMARKS:
        print(f"\n## {name}", flush=True)
        BENCHMARKS[name](given)


if __name__ == "__main__":
    main()
