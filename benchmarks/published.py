"""``python -m benchmarks.published``: measure what is missing in docs/results, and write docs/benchmarks.md and the table of README.md.

Each section of the page stands between two comments that name it, and is written anew from its file of results. ``--again`` measures
sections anew, ``--write`` measures nothing. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

import brim
from benchmarks import __main__ as peers
from benchmarks import coordinates, families, machine, models
from benchmarks.measures import measure
from benchmarks.report import markdown

__all__ = ["SECTIONS", "main", "readme_table", "replaced"]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, README = ROOT / "docs" / "results", ROOT / "docs" / "benchmarks.md", ROOT / "README.md"

Found = dict[str, Any]

#: Models, peers: what ``python -m benchmarks`` is asked for, round by round.
RUNS = (
    ("gpa,sleepstudy,cbpp,kidney,inhaler,epilepsy,grouseticks,verbagg", "brim,bambi,brms,numpyro,blackjax,lme4"),
    ("slopes_1e4,slopes_1e5,slopes_1e6,slopes_1e7,insteval", "brim,lme4"),
)
COLUMNS = (
    "peer",
    "fresh cold, s",
    "fresh, s",
    "sampling, s",
    "ESS",
    "ESS/s",
    "divergences",
    "R-hat",
    "peak, GB",
    "time ratio",
    "ESS/s ratio",
)
CURVES = ("accel ~ s(times)", "accel ~ gp(times, k = 20, c = 1.25)", "accel ~ gp(times)")
#: How a curve's coefficients are treated, and what asks for it.
TREATED: Mapping[str, Found] = {
    "integrated": {},
    "adapted": {"marginalize": False},
    "plain": {"marginalize": False, "control": {"adapted_effects": False}},
}
LATENT = ("cbpp", "gpa", "epilepsy", "inhaler", "grouseticks", "verbagg")

# --------------------------------------------------------------------------- measuring


def _peers(path: Path, again: bool) -> None:
    if again:
        path.unlink(missing_ok=True)
    for chosen, beside in RUNS:
        given = [
            "--models",
            chosen,
            "--peers",
            beside,
            "--repeat",
            "1",
            "--out",
            str(path),
            "--table",
            str(path.with_suffix(".md")),
            "--resume",
        ]
        peers.main(given)
    path.with_suffix(".md").unlink(missing_ok=True)


def _rows(path: Path, again: bool, names: Sequence[str], one: Callable[[str], Any]) -> None:
    """Measure the names that the file does not have, and keep each at once."""
    known: Found = json.loads(path.read_text()) if path.exists() and not again else {"rows": {}}
    for name in names:
        if name in known["rows"]:
            continue
        load = machine.describe()["load"]
        known["rows"][name] = one(name) | {"load": load}
        known |= {"machine": machine.describe(), "measured": time.strftime("%Y-%m-%d", time.gmtime()), "brim": brim.__version__}
        path.write_text(json.dumps(known, indent=1) + "\n")
        print(name, known["rows"][name], file=sys.stderr, flush=True)


def _coordinates(name: str) -> Found:
    return {"adapted": asdict(coordinates.sampled(name, True)), "plain": asdict(coordinates.sampled(name, False))}


def _curve(formula: str) -> Found:
    out = {}
    for kind, given in TREATED.items():
        fit = _quietly(formula, brim.load_data("mcycle"), seed=1, **given)
        out[kind] = {**_ess(fit), "divergences": int(fit.stats["diverging"].sum()), "steps": float(fit.stats["n_steps"].mean())}
    return out


def _latent(name: str) -> Found:
    """Seconds of CPU of a warm call, smallest ESS, k-hat: without chains and with them."""
    model, data, out = models.MODELS[name], brim.load_data(name), {}
    if name == "verbagg":
        data = data.assign(yes=(data["r2"] == "Y") * 1)
    for algorithm in ("nested_laplace", "sampling"):
        for _ in range(2):
            start = time.process_time()
            fit = _quietly(model.formula, data, family=model.family, seed=1, algorithm=algorithm)
            seconds = time.process_time() - start
        out[algorithm] = {**_ess(fit), "cpu": seconds, "khat": fit.info.get("khat")}
    return out


def _family(name: str) -> Found:
    with jax.enable_x64(True):
        return asdict(families.measure(families.case(name, 20000), 20))


def _quietly(formula: str, data: Any, **given: Any) -> brim.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return brim.brm(formula, data, progress=False, **given)


def _ess(fit: brim.Fit) -> Found:
    names = [v for v in fit.variables() if not v.startswith(("r_", "lp", "s_", "zgp"))]
    found = measure(np.stack([fit.draws[v] for v in names], axis=-1), names)
    return {"ess": found["min_ess"], "rhat": found["max_rhat"]}


# --------------------------------------------------------------------------- writing


def _about(found: Found) -> str:
    m, loads = found["machine"], [row["load"] for row in found["rows"].values()]
    span = f"{min(loads):.1f}" if min(loads) == max(loads) else f"{min(loads):.1f} to {max(loads):.1f}"
    return f"{found['measured']}: {m['cpu']}, {m['cores']} cores, load {span}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)])


def _coordinates_text(found: Found) -> str:
    rows = []
    for name, row in found["rows"].items():
        ours, plain = row["adapted"], row["plain"]
        cells = [c for o in (ours, plain) for c in (f"{o['ess']:,.0f}", f"{o['rhat']:.3f}", f"{o['ess'] / o['sampling']:,.0f}")]
        rows.append([name, *cells, f"{ours['ess'] / ours['sampling'] / (plain['ess'] / plain['sampling']):.1f}"])
    head = ("model", "adapted: ESS", "R-hat", "ESS/s", "non-centred: ESS", "R-hat", "ESS/s", "ratio")
    return f"{_about(found)}\n\n{_table(head, rows)}"


def _curves_text(found: Found) -> str:
    rows = [
        [
            f"`{name}`",
            *(c for k in TREATED for c in (f"{row[k]['ess']:,.0f}", str(row[k]["divergences"]), f"{row[k]['steps']:.0f}")),
        ]
        for name, row in found["rows"].items()
    ]
    head = (
        "",
        *(f"{word}{what}" for word in ("integrated out: ", "adapted: ", "non-centred: ") for what in ("ESS", "divergences", "steps")),
    )
    return f"{_about(found)}\n\n{_table(head, rows)}"


def _latent_text(found: Found) -> str:
    rows = []
    for name, row in found["rows"].items():
        quick, chains = row["nested_laplace"], row["sampling"]
        khat = "" if quick["khat"] is None else f"{quick['khat']:.2f}"
        rows.append([f"`{name}`", f"{quick['cpu']:.2f}", f"{quick['ess']:,.0f}", khat, f"{chains['cpu']:.2f}", f"{chains['ess']:,.0f}"])
    head = ("model", "`nested_laplace`: CPU, s", "ESS", "k-hat", "`sampling`: CPU, s", "ESS")
    return f"{_about(found)}\n\n{_table(head, rows)}"


def _families_text(found: Found) -> str:
    rows = [[name, f"{r['value']:.3f}", f"{r['gradient']:.3f}", f"{r['gradient'] / r['value']:.2f}"] for name, r in found["rows"].items()]
    return f"{_about(found)}\n\n{_table(('family', 'value', 'with gradient', 'ratio'), rows)}"


def _peers_text(found: Found) -> str:
    return markdown(found, COLUMNS).partition("\n")[2].strip()


#: Section -> how its missing rows are measured, and how it is written.
SECTIONS: Mapping[str, tuple[Callable[[Path, bool], None], Callable[[Found], str]]] = {
    "peers": (_peers, _peers_text),
    "coordinates": (lambda path, again: _rows(path, again, list(coordinates.MODELS), _coordinates), _coordinates_text),
    "curves": (lambda path, again: _rows(path, again, CURVES, _curve), _curves_text),
    "latent": (lambda path, again: _rows(path, again, LATENT, _latent), _latent_text),
    "families": (lambda path, again: _rows(path, again, families.NAMES, _family), _families_text),
}


def replaced(page: str, section: str, text: str) -> str:
    """The page with other text between the two comments that name a section."""
    start, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    found = re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _: f"{start}\n{text}\n{end}", page, flags=re.DOTALL)
    if found == page and f"{start}\n{text}\n{end}" not in page:
        raise ValueError(f"there is no section {section!r}")
    return found


def readme_table(found: Found) -> str:
    """brim, Bambi and brms: seconds to the printed summary, cold and warm, and effective samples a second."""

    def value(model: str, peer: str, cache: str | None, key: str) -> float | None:
        mine = [
            f[key]
            for f in found["fits"]
            if f["model"] == model and f["peer"] == peer and f["ok"] and f.get(key) is not None and (cache is None or f["cache"] == cache)
        ]
        return float(np.median(mine)) if mine else None

    def seconds(x: float | None) -> str:
        return "" if x is None else f"{x:.0f}" if x >= 30 else f"{x:.1f}"

    def rate(x: float | None) -> str:
        return "" if x is None else f"{x:,.0f}" if x >= 10 else f"{x:.1f}"

    rows = []
    for name in RUNS[0][0].split(","):
        cells = [name]
        for peer in ("brim", "bambi"):
            both = [seconds(value(name, peer, cache, "seconds")) for cache in ("cold", "warm")]
            cells += [" / ".join(both) if all(both) else "", rate(value(name, peer, "warm", "ess_per_second"))]
        rows.append([*cells, seconds(value(name, "brms", None, "seconds")), rate(value(name, "brms", None, "ess_per_second"))])
    second = ["", "seconds, cold / warm", "ESS/s", "seconds, cold / warm", "ESS/s", "seconds", "ESS/s"]
    return _table(("", "brim", "", "Bambi + nutpie", "", "brms", ""), [second, *rows])


def write() -> None:
    """Write the sections whose results are there."""
    page = PAGE.read_text(encoding="utf-8")
    for section, (_, text) in SECTIONS.items():
        path = RESULTS / f"{section}.json"
        if path.exists():
            found = json.loads(path.read_text())
            page = replaced(page, section, text(found))
            if section == "peers":
                README.write_text(replaced(README.read_text(encoding="utf-8"), "speed", readme_table(found)), encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it says."""
    p = argparse.ArgumentParser("python -m benchmarks.published", description="Measure what the pages of docs tell, and write it there.")
    p.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)} (all by default)")
    p.add_argument("--again", action="store_true", help="measure anew what is known")
    p.add_argument("--write", action="store_true", help="only write the pages from the results that are there")
    given = p.parse_args(arguments)
    for name in given.sections:
        if name not in SECTIONS:
            p.error(f"unknown section {name!r}: choose from {', '.join(SECTIONS)}")
    RESULTS.mkdir(exist_ok=True)
    for name in () if given.write else given.sections or SECTIONS:
        SECTIONS[name][0](RESULTS / f"{name}.json", given.again)
    write()


if __name__ == "__main__":
    main()
