"""``python -m benchmarks.dialects [names] [--out results.json]``: lme4's and rstanarm's calls against brim's, in seconds of CPU.

Each pair runs in turn, ``--repeat`` times, brim's in this process after one call that compiles, R's in a process of its own after one call
that loads. What is compared is the fit alone: process CPU (threads of all chains included) against R's ``user + sys`` (child processes
included). Seconds of CPU hardly depend on what else the machine does, if NumPy's BLAS does not spin in threads that wait: ``lmer`` and its
like give small matrices one thread (InstEval 1.0 s of CPU); for what else runs set ``OPENBLAS_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

import brim
from benchmarks import sources

__all__ = ["PAIRS", "Pair", "Timing", "main", "markdown"]


@dataclass(frozen=True)
class Pair:
    """brim's call on a data frame; R's on the same, ``d``; the packages it needs, and the reach: brim's share of R's seconds."""

    data: Callable[[], pd.DataFrame]
    brim: Callable[[pd.DataFrame], Any]
    r: str
    package: str
    reach: float


@dataclass(frozen=True)
class Timing:
    """Seconds of CPU of each round, and the median of their ratios."""

    name: str
    brim: list[float]
    r: list[float]
    reach: float

    @property
    def ratio(self) -> float:
        """Median of brim's seconds over R's."""
        return median(b / r for b, r in zip(self.brim, self.r, strict=True))


def _slopes() -> pd.DataFrame:
    return pd.DataFrame(sources.simulate(1_000_000))


def _insteval() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).parent / "data" / "insteval.csv.gz")


def _joint(_: pd.DataFrame) -> Any:
    args = (
        "logBili ~ year + (1 | id)",
        brim.load_data("pbcLong"),
        "Surv(futimeYears, death) ~ sex + trt",
        brim.load_data("pbcSurv"),
        "year",
    )
    return brim.rstanarm.stan_jm(*args, chains=4, iter=1000, seed=1, progress=False)


_JM = (
    "stan_jm(logBili ~ year + (1 | id), dataLong = pbcLong, formulaEvent = survival::Surv(futimeYears, death) ~ sex + trt, "
    'dataEvent = pbcSurv, time_var = "year", chains = 4, iter = 1000, seed = 1, refresh = 0)'
)
PAIRS = {
    "lmer_gpa": Pair(
        lambda: brim.load_data("gpa"),
        lambda d: brim.lmer("gpa ~ occasion + (1 + occasion | student)", d),
        "lmer(gpa ~ occasion + (1 + occasion | student), d)",
        "lme4",
        1.0,
    ),
    "lmer_insteval": Pair(
        _insteval,
        lambda d: brim.lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", d),
        "lmer(y ~ service + (1 | s) + (1 | d) + (1 | dept:service), d)",
        "lme4",
        0.3,
    ),
    "lmer_slopes_1e6": Pair(_slopes, lambda d: brim.lmer("y ~ x + (1 + x | g)", d), "lmer(y ~ x + (1 + x | g), d)", "lme4", 0.05),
    "glmer_verbagg": Pair(
        lambda: brim.load_data("verbagg"),
        lambda d: brim.glmer("r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", d),
        "glmer(r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item), d, binomial)",
        "lme4",
        0.5,
    ),
    "stan_jm_f1": Pair(lambda: brim.load_data("pbcSurv"), _joint, _JM, "rstanarm", 0.1),
}


def _r_seconds(pair: Pair, csv: Path, rscript: str) -> float:
    """R's second call where the first is cheap; else its only one."""
    factors = "for (v in names(d)) if (is.character(d[[v]])) d[[v]] <- factor(d[[v]])"
    code = (
        f"suppressMessages(library({pair.package})); d <- read.csv('{csv}', stringsAsFactors = FALSE); {factors}; "
        f"run <- function() {{ invisible(capture.output(suppressWarnings(suppressMessages({pair.r})))) }}; "
        "t <- system.time(run()); if (sum(t[1:2]) < 5) t <- system.time(run()); cat(sum(t[c(1, 2, 4, 5)], na.rm = TRUE))"
    )
    found = subprocess.run([rscript, "-e", code], capture_output=True, text=True, check=True)
    return float(found.stdout.split()[-1])


def measured(name: str, repeat: int, rscript: str) -> Timing:
    """One pair, brim and R in turn."""
    pair = PAIRS[name]
    data = pair.data()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        csv = Path(folder) / "d.csv"
        data.to_csv(csv, index=False)
        pair.brim(data)
        for _ in range(repeat):
            start = time.process_time()
            pair.brim(data)
            ours.append(time.process_time() - start)
            theirs.append(_r_seconds(pair, csv, rscript))
    return Timing(name, ours, theirs, pair.reach)


def markdown(timings: Sequence[Timing]) -> str:
    """A table of medians."""
    rows = [f"| {t.name} | {median(t.brim):.2f} | {median(t.r):.2f} | {t.ratio:.2f} | {t.reach:g} |" for t in timings]
    return "\n".join(["| call | brim (s) | R (s) | ratio | reach |", "|---|---:|---:|---:|---:|", *rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PAIRS)}; all by default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rscript", default=os.environ.get("BRIM_BENCH_RSCRIPT", "Rscript"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(argv)
    timings = []
    for name in given.names or PAIRS:
        timings.append(measured(name, given.repeat, given.rscript))
        print(markdown(timings[-1:]).splitlines()[-1], flush=True)
    print(markdown(timings))
    if given.out:
        given.out.write_text(json.dumps([asdict(t) for t in timings], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
