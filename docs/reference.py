"""The pages of all public names: what brim and its rooms export, the methods of what they return, and the families."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import brim
from brim.api.method import Method
from brim.lme4.mer import AbstractMer
from brim.rstanarm.fit import StanFit

#: What ``lmer``, ``glmer`` and ``nlmer`` return can be asked.
MER = (
    "summary fixef vcov VarCorr ranef ranef_frame coef sigma theta formula logLik AIC BIC nobs ngrps df_residual fitted residuals predict "
    "simulate refit refit_ml bootMer confint anova drop1 ranova isSingular rePCA hatvalues cooks_distance all_fit to_bayes"
).split()
#: Page -> its title and the rooms whose names stand there, by how the rooms' own names begin; the last that fits counts.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "models": ("Models, formulas, priors", ("brim",)),
    "families": ("Families", ("brim.families",)),
    "fit": ("Fits", ("brim.api.fit", "brim.fit", "brim.post.summaries", "brim.post.predictions", "brim.post.effects", "brim.post.plots")),
    "after": ("Comparisons, hypotheses, diagnostics", ("brim.post",)),
    "lme4": ("lmer, glmer, nlmer", ("brim.lme4",)),
    "rstanarm": ("rstanarm", ("brim.rstanarm",)),
    "mixedup": ("mixedup", ("brim.mixedup",)),
}


def pages() -> dict[str, str]:
    """Page -> its text, that of the overview first."""
    entries: dict[str, list[str]] = {name: [f"# {title}\n"] for name, (title, _) in PAGES.items()}
    rows = ["# Reference\n\nEvery public name, and the page where it stands with its arguments and an example.\n\n| | |\n|---|---|\n"]
    for home, public in sorted(exported().items(), key=lambda room: (list(PAGES).index(placed(room[0])), room[0])):
        page = placed(home)
        for name, called in public:
            rows.append(f"| [`{called}`{{ .name }}]({page}.md#{home}.{name}) | {summary(home, name)} |\n")
            entries[page].append(entry(f"{home}.{name}"))
    entries["families"].append(families())
    entries["fit"] += ["\n## What a fit can be asked besides\n", *(entry(path) for path in methods())]
    entries["lme4"] += ["\n## What they return\n", *shown(AbstractMer, MER)]
    entries["rstanarm"] += ["\n## What they return\n", *shown(StanFit, [n for n in vars(StanFit) if not n.startswith("_")])]
    return {"index": "".join(rows), **{name: "".join(parts) for name, parts in entries.items()}}


def placed(home: str) -> str:
    """The page of a room: that whose beginning of its name is the longest."""
    fits = [(len(start), name) for name, (_, starts) in PAGES.items() for start in starts if f"{home}.".startswith(f"{start}.")]
    return max(fits)[1]


def summary(home: str, name: str) -> str:
    """The first sentence of a name's docstring, for a cell of a table."""
    value = getattr(import_module(home), name)
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return first.replace("``", "`")


def entry(path: str, members: list[str] | None = None) -> str:
    """What mkdocstrings reads: a name, and how it is shown."""
    chosen = f"      members: {members}\n" if members else ""
    return f"\n::: {path}\n    options:\n      heading_level: 2\n{chosen}"


def shown(cls: type, names: list[str]) -> Iterator[str]:
    """A class with those of these names that stand in it, then the functions elsewhere that are its methods."""
    inside = [name for name in names if not isinstance(inspect.getattr_static(cls, name), Method)]
    yield entry(f"{cls.__module__}.{cls.__qualname__}", inside)
    for name in names:
        if name not in inside:
            yield entry(written(getattr(cls, name)))


def written(function: Callable[..., Any]) -> str:
    """Where a function is written."""
    function = getattr(function, "__wrapped__", function)
    return f"{function.__module__}.{function.__qualname__}"


def exported() -> dict[str, list[tuple[str, str]]]:
    """Room -> the names that it exports, and as what they are called."""
    rooms: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(brim._HOMES):
        rooms.setdefault(brim._HOMES[name], []).append((name, name))
    for package in (brim.rstanarm, brim.mixedup):
        short = package.__name__.removeprefix("brim.")
        for name, value in sorted(vars(package).items()):
            home = getattr(value, "__module__", "")
            if callable(value) and home.startswith(f"{package.__name__}.") and (name, name) not in rooms.get(home, ()):
                rooms.setdefault(home, []).append((name, f"{short}.{name}"))
    return rooms


def methods() -> Iterator[str]:
    """Where the methods of a fit are written that stand neither in its class nor under their own names."""
    told = {f"{home}.{name}" for home, public in exported().items() for name, _ in public}
    for name in sorted(n for n in dir(brim.Fit) if not n.startswith("_")):
        value: Any = getattr(brim.Fit, name)
        if callable(value):
            path = written(value)
            if path not in told and not path.startswith(f"{brim.Fit.__module__}.{brim.Fit.__qualname__}."):
                yield path


def families() -> str:
    """Every family, what it is, and its parameters with their links."""
    rows = ["\n| `brim.` | | parameters and links |\n|---|---|---|\n"]
    for name in brim._FAMILIES:
        made = getattr(brim, name)
        if name not in ("custom_family", "mixture"):
            links = ", ".join(f"`{d}` {link}" for d, link in made().links.items())
            rows.append(f"| `{name}`{{ .name }} | {made.summary} | {links} |\n")
    return "".join([*rows, entry("brim.families.custom.custom_family"), entry("brim.families.registry.mixture")])
