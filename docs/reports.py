"""The pictures of reports on docs/pages/after.md: ``python docs/reports.py`` fits five models and has chromium show their reports."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import brim
from brim import brm, prior

PAGES = Path(__file__).parent / "pages"
QUICK: dict[str, Any] = {"chains": 2, "iter": 600, "seed": 1}
WIDTH, HEIGHT = 1000, 1500


def fits() -> dict[str, brim.Fit]:
    """The models by name."""
    rng = np.random.default_rng(15)
    two = {"y": np.concatenate([rng.normal(-2, 0.5, size=60), rng.normal(2, 1, size=140)])}
    some = prior("normal(0, 1)", class_="b")
    sampled: dict[str, Any] = {"marginalize": False, "control": {"adapted_effects": False}}
    return {
        "gpa": brm("gpa ~ occasion + (1 + occasion | student)", brim.load_data("gpa"), prior=some, **QUICK),
        "epilepsy": brm("count ~ zAge + zBase * Trt + (1 | patient)", brim.load_data("epilepsy"), "poisson", prior=some, **QUICK),
        "inhaler": brm("rating ~ treat + period + carry + (1 | subject)", brim.load_data("inhaler"), "cumulative", **QUICK),
        "mixture": brm("y ~ 1", two, brim.mixture("gaussian", "gaussian"), **QUICK),
        "trouble": brm("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"), **(QUICK | sampled | {"iter": 40})),
    }


def main() -> None:
    """Write ``report-<name>.png`` beside the pages."""
    with tempfile.TemporaryDirectory() as folder:
        for name, fit in fits().items():
            page = fit.report(Path(folder) / f"{name}.html")
            shows = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
            subprocess.run([*shows, f"--screenshot={PAGES / f'report-{name}.png'}", page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
