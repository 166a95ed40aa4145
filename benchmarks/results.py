"""The JSON file of results: sessions (machine, versions, options) and the fits made in each. Later sessions append."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["append", "complete_rounds", "load", "start"]

Results = dict[str, Any]


def load(path: Path) -> Results:
    """What the file holds; empty where there is none."""
    found: Results = json.loads(path.read_text()) if path.exists() else {"sessions": [], "fits": []}
    return found


def start(results: Results, session: dict[str, Any]) -> int:
    """Add a session; its number."""
    results["sessions"].append(session)
    return len(results["sessions"]) - 1


def append(results: Results, fit: dict[str, Any], path: Path) -> None:
    """Add a fit and write the file anew, whole, so that an interrupted run loses nothing."""
    results["fits"].append(fit)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(results, indent=1))
    os.replace(part, path)


def complete_rounds(results: Results, peers: Iterable[str]) -> dict[str, int]:
    """Model -> number of rounds that were made to the end with all of these peers, apart from those that do not run that model."""
    wanted = set(peers)
    by_round: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for fit in results["fits"]:
        by_round[fit["model"], fit["session"], fit["round"]].append(fit)
    counts: dict[str, int] = defaultdict(int)
    for (model, _, _), fits in by_round.items():
        counts[model] += any(f["last"] for f in fits) and wanted <= {f["peer"] for f in fits} | set(fits[0]["left_out"])
    return dict(counts)
