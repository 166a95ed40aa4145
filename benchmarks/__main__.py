"""``python -m benchmarks``: run, append to the results, write the table."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.models import MODELS
from benchmarks.peers import PEERS, Found, Tools, find
from benchmarks.report import markdown
from benchmarks.runner import Options, Plan, Run, run, skipped

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it says."""
    given = _parser().parse_args(arguments)
    out = Path(given.out)
    if given.report:
        _write_table(results.load(out), given.table)
        return
    tools = Tools.read(given.peer_python, given.rscript)
    _byte_compile()
    found = {name: find(PEERS[name], tools) for name in dict.fromkeys(["brim", *_names(given.peers, PEERS)])}
    for name, f in found.items():
        print(f"{name}: {_described(f)}", flush=True)
    if given.list:
        return
    _measure(given, out, tools, found)


def _measure(given: argparse.Namespace, out: Path, tools: Tools, found: dict[str, Found]) -> None:
    kept = results.load(out)
    options = _options(given)
    present = [f.peer for f in found.values() if f.absent is None]
    names = _names(given.models, MODELS)
    made = results.complete_rounds(kept, [p.name for p in present]) if given.resume else {}
    session = results.start(kept, _session(options, found))

    def keep(fit: Run) -> None:
        model = MODELS[fit["model"]]
        left_out = {p.name: why for p in present if (why := skipped(model, p, options.slow)) is not None}
        results.append(kept, {**fit, "session": session, "left_out": left_out}, out)
        print(_line(fit), flush=True)

    with _folder(given.work) as work:
        run([MODELS[name] for name in names], present, Plan(options, tools, work, made, keep))
    _write_table(kept, given.table)


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser("python -m benchmarks", description="Time brim and its peers side by side.")
    p.add_argument("--models", help=f"comma separated, of: {', '.join(MODELS)} (all by default)")
    p.add_argument("--peers", help=f"comma separated, of: {', '.join(PEERS)} (all by default); brim always runs")
    p.add_argument("--repeat", type=int, default=3, help="rounds of each model (3)")
    p.add_argument("--out", default="results.json", help="results are appended to this file (results.json)")
    p.add_argument("--table", default="results.md", help="the Markdown table (results.md)")
    p.add_argument("--resume", action="store_true", help="count the complete rounds in --out and make only those that are missing")
    p.add_argument("--report", action="store_true", help="only write the table from --out")
    p.add_argument("--list", action="store_true", help="only say which peers are there")
    p.add_argument("--slow", action="store_true", help="also run pairs of model and peer that take very long")
    p.add_argument("--timeout", type=float, default=7200.0, help="seconds after which a fit is given up (7200)")
    p.add_argument("--chains", type=int, default=4)
    p.add_argument("--iter", type=int, default=2000, help="iterations of each chain, warm-up included (2000)")
    p.add_argument("--warmup", type=int, help="half of --iter by default")
    p.add_argument("--cores", type=int, help="all by default")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--peer-python", help="the Python that has Bambi and nutpie (BRIM_BENCH_PEER_PYTHON, else this one)")
    p.add_argument("--rscript", help="R's Rscript (BRIM_BENCH_RSCRIPT, else the one on the PATH)")
    p.add_argument("--insteval", help="a csv file of lme4's InstEval in place of the one that is here")
    p.add_argument("--work", help="folder for data, caches and draws, kept afterwards (a temporary one by default)")
    return p


def _options(given: argparse.Namespace) -> Options:
    warmup = given.iter // 2 if given.warmup is None else given.warmup
    return Options(
        chains=given.chains,
        draws=given.iter - warmup,
        warmup=warmup,
        cores=given.cores or machine.cores(),
        seed=given.seed,
        repeat=given.repeat,
        timeout=given.timeout,
        slow=given.slow,
        files={"insteval": given.insteval} if given.insteval else None,
    )


def _names(text: str | None, known: dict[str, Any]) -> list[str]:
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            sys.exit(f"unknown name {name!r}: choose from {', '.join(known)}")
    return names


def _described(found: Found) -> str:
    if found.absent is not None:
        return f"absent ({found.absent})"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return versions + ("" if found.byte_compiled else "; NOT BYTE-COMPILED, its imports are slow: python -m compileall")


def _session(options: Options, found: dict[str, Found]) -> dict[str, Any]:
    return {
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine.describe(),
        "options": {name: getattr(options, name) for name in ("chains", "draws", "warmup", "cores", "seed", "slow")},
        "peers": {name: _described(f) for name, f in found.items()},
    }


def _byte_compile() -> None:
    """brim's own source and this folder; installed packages are their installer's business."""
    import brim

    for folder in {Path(str(brim.__file__)).parent, Path(__file__).parent}:
        compileall.compile_dir(str(folder), quiet=2)


@contextlib.contextmanager
def _folder(given: str | None) -> Iterator[Path]:
    if given is not None:
        yield Path(given).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="brim-benchmarks-") as name:
        yield Path(name)


def _line(fit: Run) -> str:
    head = f"{time.strftime('%H:%M:%S')} {fit['model']:12} {fit['peer']:9} {fit['cache']:5}"
    if not fit["ok"]:
        return f"{head} FAILED {fit['error']}"
    parts = [f"{fit['seconds']:8.2f} s", *(f"{k} {fit[s]:.2f}" for k, s in _SHOWN if fit.get(s) is not None)]
    return " ".join([head, *parts])


_SHOWN = (
    ("compile", "compile_seconds"),
    ("fit", "fit_seconds"),
    ("sampling", "sampling_seconds"),
    ("ESS", "min_ess"),
    ("ESS/s", "ess_per_second"),
    ("divergences", "divergences"),
    ("R-hat", "max_rhat"),
)


def _write_table(kept: dict[str, Any], table: str) -> None:
    Path(table).write_text(markdown(kept))
    print(f"wrote {table}", flush=True)


if __name__ == "__main__":
    # a terminated run must not leave its fit behind: the exception passes through the runner, which ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
