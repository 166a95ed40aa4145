"""``python -m benchmarks.loo``: leave-one-out cross-validation of the same draws by brim and by brms, in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peers import Tools

__all__ = ["main"]

_SCRIPT = Path(__file__).parent / "peers" / "loo.R"
_FORMULA = "gpa ~ occasion + (1 + occasion | student)"


def main() -> None:
    """Fit once with brms (a C++ program is compiled), read its draws, then time both in turn and print a table."""
    p = argparse.ArgumentParser("python -m benchmarks.loo", description=main.__doc__)
    p.add_argument("--repeat", type=int, default=5, help="rounds (5)")
    p.add_argument("--fit", help="folder that keeps brms' fit for the next time (a temporary one by default)")
    p.add_argument("--rscript", help="R's Rscript (BRIM_BENCH_RSCRIPT, else the one on the PATH)")
    given = p.parse_args()
    rscript = Tools.read(None, given.rscript).rscript
    if rscript is None:
        sys.exit("there is no Rscript")
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="brim-loo-") as temporary:
        _compare(str(rscript), Path(given.fit or temporary), given.repeat)


def _compare(rscript: str, folder: Path, repeat: int) -> None:
    import brim

    rows = brim.load_data("gpa")
    rows.to_csv(folder / "gpa.csv", index=False)
    if not (folder / "fit.rds").exists():
        subprocess.run([rscript, str(_SCRIPT), "fit", str(folder)], check=True)
    fit = brim.from_brms(folder / "draws.csv", _FORMULA, rows)
    _one(fit)  # its programs are compiled or read
    rounds = []
    for _ in range(repeat):
        theirs = json.loads(subprocess.run([rscript, str(_SCRIPT), "loo", str(folder)], check=True, capture_output=True, text=True).stdout)
        mine = min((_one(fit) for _ in range(2)), key=lambda found: found["seconds"])
        rounds.append((mine, theirs))
        print(
            f"brim {mine['seconds']:.2f} s ({mine['cpu']:.2f} s of CPU), brms {theirs['seconds']:.2f} s ({theirs['cpu']:.2f})", flush=True
        )
    mine, theirs = rounds[0]
    for name in ("elpd", "se", "p", "max_k"):
        assert abs(mine[name] - theirs[name]) <= 1e-5 * abs(theirs[name]), f"{name}: {mine[name]} and {theirs[name]}"
    wall, cpu = (statistics.median(b[name] / a[name] for a, b in rounds) for name in ("seconds", "cpu"))
    print(f"median ratio brms / brim: {wall:.1f} by the clock, {cpu:.1f} of CPU; elpd {mine['elpd']:.4f} by both")


def _one(fit: Any) -> dict[str, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fit.loo()
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    return {"seconds": seconds, "cpu": used, "elpd": result.elpd, "se": result.se, "p": result.p, "max_k": float(result.pareto_k.max())}


if __name__ == "__main__":
    main()
