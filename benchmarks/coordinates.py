"""``python -m benchmarks.coordinates [names]``: what coordinates adapted to the data are worth, model by model.

Every model is sampled twice with the same seed: as brim does by default, and with ``control={"adapted_effects": False}`` (group effects
non-centred; those of a mean integrated out where that is possible).
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import brim
from benchmarks import machine, models
from benchmarks.measures import measure
from brim import bf, set_rescor

__all__ = ["MODELS", "Outcome", "main", "markdown", "sampled"]

_GROUPS, _EACH = 60, 20


@dataclass(frozen=True)
class Outcome:
    """What one fit gave: smallest bulk ESS, largest R-hat, divergences, mean steps an iteration, seconds of sampling."""

    ess: float
    rhat: float
    divergences: int
    steps: float
    sampling: float


def _rows() -> tuple[np.random.Generator, np.ndarray, np.ndarray, pd.DataFrame]:
    """A generator; the group of each row; two correlated standard normal effects of each group, by row; a covariate and the group."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(_GROUPS), _EACH)
    effects = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], _GROUPS)[group]
    return rng, group, effects, pd.DataFrame({"x": rng.normal(size=group.size), "g": group.astype(str)})


def _scales() -> pd.DataFrame:
    rng, _, u, d = _rows()
    return d.assign(y=1.0 + 0.5 * d.x + u[:, 0] + np.exp(-0.3 + 0.5 * u[:, 1]) * rng.normal(size=len(d)))


def _inflated() -> pd.DataFrame:
    rng, _, u, d = _rows()
    zero = rng.random(len(d)) < 1.0 / (1.0 + np.exp(1.0 - 0.8 * u[:, 1]))
    return d.assign(y=np.where(zero, 0, rng.poisson(np.exp(1.0 + 0.3 * d.x + 0.6 * u[:, 0]))))


def _pairs() -> pd.DataFrame:
    rng, _, u, d = _rows()
    e = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.4], [0.4, 1.0]], len(d))
    return d.assign(y1=1.0 + 0.5 * d.x + u[:, 0] + e[:, 0], y2=-1.0 + 0.2 * d.x + u[:, 1] + e[:, 1])


def _categories() -> pd.DataFrame:
    rng, _, u, d = _rows()
    eta = np.column_stack([np.zeros(len(d)), 0.2 + 0.5 * d.x + u[:, 0], -0.3 + u[:, 1]])
    return d.assign(y=np.array(list("abc"))[np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)])


def _members() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 50, (2, 1500))
    mean = 1.0 + 0.5 * rng.normal(size=50)[np.stack([a, b])].sum(0)
    return pd.DataFrame(
        {"y": mean + 0.5 * rng.normal(size=1500), "count": rng.poisson(np.exp(mean)), "a": a.astype(str), "b": b.astype(str)}
    )


def _noisy() -> pd.DataFrame:
    rng = np.random.default_rng(13)
    x = rng.normal(size=150)
    return pd.DataFrame({"x": x + rng.normal(0.0, 0.7, 150), "sdx": 0.7, "y": 2.0 * x + rng.normal(0.0, 0.5, 150)})


def _steps() -> pd.DataFrame:
    rng, _, u, d = _rows()
    step = rng.integers(0, 4, len(d))
    y = u[:, 0] + (0.4 + 0.1 * u[:, 1]) * step + 0.5 * rng.normal(size=len(d))
    return d.assign(step=pd.Categorical(step, ordered=True), y=y)


def _tails() -> pd.DataFrame:
    rng, group, _, d = _rows()
    u = rng.standard_t(4, _GROUPS)[group]
    return d.assign(y=1.0 + 0.5 * d.x + u + rng.normal(size=len(d)))


_GROUSE = models.MODELS["grouseticks"]
_LOSS = {
    "prior": brim.prior("normal(5000, 1000)", nlpar="ult")
    + brim.prior("normal(1, 2)", nlpar="omega")
    + brim.prior("normal(45, 10)", nlpar="theta")
}

#: Formula, family, data, further arguments.
MODELS: Mapping[str, tuple[Any, str, Callable[[], pd.DataFrame], dict[str, Any]]] = {
    "effects in sigma": (bf("y ~ x + (1 | g)", "sigma ~ (1 | g)"), "gaussian", _scales, {}),
    "correlated with sigma": (bf("y ~ x + (1 | p | g)", "sigma ~ (1 | p | g)"), "gaussian", _scales, {}),
    "effects in zi": (bf("y ~ x + (1 | g)", "zi ~ (1 | g)"), "zero_inflated_poisson", _inflated, {}),
    "two responses": (bf("y1 ~ x + (1 | p | g)") + bf("y2 ~ x + (1 | p | g)") + set_rescor(False), "gaussian", _pairs, {}),
    "tied responses": (bf("y1 ~ x + (1 | p | g)") + bf("y2 ~ x + (1 | p | g)") + set_rescor(True), "gaussian", _pairs, {}),
    "categorical": ("y ~ x + (1 | g)", "categorical", _categories, {}),
    "mm, poisson": ("count ~ 1 + (1 | mm(a, b))", "poisson", _members, {}),
    "student effects": ("y ~ x + (1 | gr(g, dist = 'student'))", "gaussian", _tails, {}),
    "monotonic effects by group": ("y ~ mo(step) + (mo(step) | g)", "gaussian", _steps, {}),
    "measured with error": ("y ~ me(x, sdx)", "gaussian", _noisy, {}),
    "nonlinear": (
        bf("cum ~ ult * (1 - exp(-(dev / theta)^omega))", "ult ~ 1 + (1 | AY)", "omega ~ 1", "theta ~ 1", nl=True),
        "gaussian",
        partial(brim.load_data, "loss"),
        _LOSS,
    ),
    "grouseticks": (_GROUSE.formula, _GROUSE.family, partial(brim.load_data, "grouseticks"), {}),
    "verbagg": ("r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "bernoulli", partial(brim.load_data, "verbagg"), {}),
}


def sampled(name: str, adapted: bool, iter: int = 2000) -> Outcome:
    """One fit of a model, four chains."""
    formula, family, data, more = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that chains did not mix is what is measured
        fit = brim.brm(formula, data(), family=family, iter=iter, seed=1, control={"adapted_effects": adapted}, progress=False, **more)
    names = [v for v in fit.variables() if not v.startswith(("r_", "lp"))]
    found = measure(np.stack([fit.draws[v] for v in names], axis=-1), names)
    stats = fit.stats
    return Outcome(
        found["min_ess"],
        found["max_rhat"],
        int(stats["diverging"].sum()),
        float(stats["n_steps"].mean()),
        fit.info["sampling_seconds"],
    )


def markdown(rows: Sequence[tuple[str, Outcome, Outcome]]) -> str:
    """The table."""
    about = machine.describe()
    each = ("ESS", "R-hat", "div.", "steps", "sampling, s", "ESS/s")
    head = ("model", *each, *each, "ratio")
    lines = [
        f"{about['cpu']}, {about['cores']} cores, load {about['load']}; adapted to the data, then non-centred; ratio of ESS/s",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for name, *both in rows:
        cells = [c for o in both for c in _cells(o)]
        ratio = both[0].ess / both[0].sampling / (both[1].ess / both[1].sampling)
        lines.append("| " + " | ".join([name, *cells, f"{ratio:.1f}"]) + " |")
    return "\n".join(lines) + "\n"


def _cells(o: Outcome) -> list[str]:
    return [f"{o.ess:,.0f}", f"{o.rhat:.3f}", str(o.divergences), f"{o.steps:.1f}", f"{o.sampling:.2f}", f"{o.ess / o.sampling:,.0f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, fit, print the table (to standard error what is known so far)."""
    p = argparse.ArgumentParser("python -m benchmarks.coordinates", description="Sample models in adapted and in non-centred coordinates.")
    p.add_argument("names", nargs="*", help=f"of {', '.join(MODELS)} (all by default)")
    p.add_argument("--iter", type=int, default=2000, help="iterations of each of four chains, half of them warm-up (2000)")
    given = p.parse_args(arguments)
    rows = []
    for name in given.names or MODELS:
        rows.append((name, sampled(name, True, given.iter), sampled(name, False, given.iter)))
        print(rows[-1], file=sys.stderr, flush=True)
    print(markdown(rows), end="")


if __name__ == "__main__":
    main()
