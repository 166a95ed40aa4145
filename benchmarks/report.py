"""From fits to tables: medians over rounds, and ratios of each peer to the brim fit just before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.models import MODELS
from benchmarks.peers import PEERS

__all__ = ["disagreement", "markdown", "pairs", "ratios"]

Fit = Mapping[str, Any]


def pairs(fits: Iterable[Fit]) -> list[tuple[Fit, Fit]]:
    """Each peer's fit with the warm brim fit that ran last before it in the same round."""
    rounds: dict[tuple[Any, ...], list[Fit]] = defaultdict(list)
    for fit in fits:
        rounds[fit["session"], fit["model"], fit["round"]].append(fit)
    out = []
    for members in rounds.values():
        latest: Fit | None = None
        for fit in sorted(members, key=lambda f: f["order"]):
            if fit["peer"] == "brim":
                latest = fit if fit["cache"] == "warm" and fit["ok"] else latest
            elif fit["ok"] and fit["cache"] != "cold" and latest is not None:
                out.append((latest, fit))
    return out


def ratios(fits: Iterable[Fit], model: str, peer: str) -> dict[str, float]:
    """Median over pairs of ``seconds`` (brim / peer, to the printed summary) and ``ess_per_second`` (brim / peer, in sampling)."""
    chosen = [pair for pair in pairs(fits) if pair[1]["model"] == model and pair[1]["peer"] == peer]
    out = {}
    for key in ("seconds", "ess_per_second"):
        values = [ours[key] / theirs[key] for ours, theirs in chosen if ours.get(key) and theirs.get(key)]
        if values:
            out[key] = median(values)
    return out


def disagreement(ours: Fit, theirs: Fit) -> float | None:
    """Largest difference of posterior means of parameters that both name alike, in Monte Carlo standard errors."""
    a, b = ours.get("estimates", {}), theirs.get("estimates", {})
    gaps = [abs(a[n][0] - b[n][0]) / (a[n][2] ** 2 + b[n][2] ** 2) ** 0.5 for n in a.keys() & b.keys()]
    return max(gaps, default=None)


def markdown(results: Mapping[str, Any], columns: Sequence[str] = ()) -> str:
    """Everything as a Markdown document; of the tables of models some ``columns``, or all."""
    fits = results["fits"]
    names = [name for name in MODELS if any(f["model"] == name for f in fits)]
    parts = ["# Benchmarks", _sessions(results), _LEGEND]
    parts += [_model(name, [f for f in fits if f["model"] == name], columns or _HEAD) for name in names]
    parts += [_scaling(fits), _failures(fits)]
    return "\n\n".join(part for part in parts if part) + "\n"


_LEGEND = """Medians over rounds; divergences and R-hat are the worst of all rounds.

- `fresh`: from the start of a process to its printed summary, with an empty cache of compiled programs (cold), or after an earlier fit.
- `call`: the fitting function alone, compilation included. `sampling`: warm-up and sampling without compilation.
- `CPU`: processor time of all threads up to the summary (not known of R, whose chains are processes of their own).
- `ESS`: the smallest rank-normalised bulk effective sample size of population and hyper parameters; `ESS/s`: over `sampling`.
- `gradients`: leapfrog steps after warm-up of all chains (in warm-up, where told).
- `time ratio`, `ESS/s ratio`: brim's `fresh` and `ESS/s` over the peer's, each peer paired with the brim fit just before it: below 1 brim
  takes less time, above 1 brim gives more.
- `means`: the largest distance of posterior means from brim's in Monte Carlo standard errors, where model and priors are the same."""

_HEAD = tuple(
    "peer|fresh cold, s|fresh, s|call, s|compile, s|sampling, s|CPU, s|ESS|ESS/s|gradients (warm-up)|divergences|R-hat|peak, GB"
    "|time ratio|ESS/s ratio|means|fits".split("|")
)


def _sessions(results: Mapping[str, Any]) -> str:
    lines = []
    for number, session in enumerate(results["sessions"]):
        if not any(f["session"] == number for f in results["fits"]):
            continue
        m, o = session["machine"], session["options"]
        lines.append(
            f"- {session['started']}: {m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, load {m['load']} at the start; "
            f"{o['chains']} chains of {o['warmup']} + {o['draws']} iterations on {o['cores']} cores"
        )
        lines += [f"  - {name}: {text}" for name, text in session["peers"].items()]
    return "\n".join(lines)


def _model(name: str, fits: list[Fit], columns: Sequence[str]) -> str:
    model = MODELS[name]
    rows = [_row(peer, fits) for peer in PEERS if any(f["peer"] == peer and f["ok"] for f in fits)]
    notes = [f"- {PEERS[p].title}: {note}" for p in PEERS for note in sorted({f["note"] for f in fits if f["peer"] == p and f.get("note")})]
    left_out = {p: why for f in fits for p, why in f.get("left_out", {}).items()}
    notes += [f"- {PEERS[p].title}: {why}" for p, why in left_out.items() if not any(f["peer"] == p for f in fits)]
    kept = [_HEAD.index(column) for column in columns]
    table = _table(tuple(columns), [[row[i] for i in kept] for row in rows])
    return f"## {name}\n\n{model.about}: `{model.formula}`\n\n{table}\n\n" + "\n".join(notes)


def _row(peer: str, fits: list[Fit]) -> list[str]:
    mine = [f for f in fits if f["peer"] == peer and f["ok"]]
    cold, usual = [f for f in mine if f["cache"] == "cold"], [f for f in mine if f["cache"] != "cold"]
    r = {} if peer == "brim" else ratios(fits, fits[0]["model"], peer)
    gaps = [g for ours, theirs in pairs(fits) if theirs["peer"] == peer and (g := disagreement(ours, theirs)) is not None]
    steps, warm = _median(usual, "steps"), _median(usual, "warmup_steps")
    gradients = "" if steps is None else f"{steps:,.0f}" + (f" ({warm:,.0f})" if warm is not None else "")
    return [
        PEERS[peer].title,
        _text(_median(cold, "seconds")),
        _text(_median(usual, "seconds")),
        _text(_median(usual, "fit_seconds")),
        _text(_median(usual, "compile_seconds")),
        _text(_median(usual, "sampling_seconds")),
        _text(_median(usual, "cpu_seconds")),
        _text(_median(mine, "min_ess"), "{:,.0f}"),
        _text(_median(usual, "ess_per_second"), "{:,.1f}"),
        gradients,
        _text(_worst(mine, "divergences"), "{:.0f}"),
        _text(_worst(mine, "max_rhat"), "{:.3f}"),
        _text(_median(usual, "peak_bytes", 1e-9)),
        _text(r.get("seconds")),
        _text(r.get("ess_per_second"), "{:,.1f}"),
        _text(max(gaps, default=None), "{:.1f}") if peer != "bambi" else "",
        str(len(usual)),
    ]


def _scaling(fits: list[Fit]) -> str:
    """How brim's sampling time and memory grow with the rows."""
    sizes = [
        name for name in MODELS if name.startswith("slopes_") and any(f["model"] == name and f["peer"] == "brim" and f["ok"] for f in fits)
    ]
    if not sizes:
        return ""
    rows, base = [], None
    for name in sizes:
        mine = [f for f in fits if f["model"] == name and f["peer"] == "brim" and f["ok"] and f["cache"] != "cold"]
        if not mine:
            continue
        sampling = _median(mine, "sampling_seconds")
        base = base or sampling
        relative = median(f["peak_bytes"] / f["data_bytes"] for f in mine)
        rows.append(
            [
                name,
                _text(_median(mine, "seconds")),
                _text(_median(mine, "fit_seconds")),
                _text(sampling),
                _text(sampling / base if sampling is not None and base else None),
                _text(_median(mine, "data_bytes", 1e-6), "{:,.1f}"),
                _text(_median(mine, "before_bytes", 1e-6), "{:,.0f}"),
                _text(_median(mine, "peak_bytes", 1e-6), "{:,.0f}"),
                _text(relative),
            ]
        )
    head = ("rows", "fresh, s", "brm(), s", "sampling, s", "over the smallest", "data, MB", "before the fit, MB", "peak, MB", "peak / data")
    return f"## Growth with the number of rows (brim, 1000 groups)\n\n{_table(head, rows)}"


def _failures(fits: list[Fit]) -> str:
    lines = [f"- {f['model']}, {PEERS[f['peer']].title} ({f['cache']}): {f['error']}" for f in fits if not f["ok"]]
    return "## Failed\n\n" + "\n".join(dict.fromkeys(lines)) if lines else ""


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _of(reduce: Callable[[list[float]], float], fits: list[Fit], key: str, scale: float) -> float | None:
    values = [float(f[key]) * scale for f in fits if f.get(key) is not None]
    return reduce(values) if values else None


def _median(fits: list[Fit], key: str, scale: float = 1.0) -> float | None:
    return _of(median, fits, key, scale)


def _worst(fits: list[Fit], key: str) -> float | None:
    return _of(max, fits, key, 1.0)


def _text(value: float | None, form: str = "{:.2f}") -> str:
    return "" if value is None else form.format(value)
