"""The page of all public names: what brim and its rooms export, the methods of what they return, and the families."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
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


def page() -> str:
    """The page, in the order of the rooms."""
    parts = ["# Reference\n", families()]
    for home, public in sorted(exported().items()):
        parts += [f"\n## {', '.join(f'`{shown}`' for _, shown in public)}\n", *(entry(f"{home}.{name}") for name, _ in public)]
    parts += ["\n## What a fit can be asked\n", *(entry(path) for path in methods())]
    parts += ["\n## What `lmer`, `glmer` and `nlmer` return\n", *shown(AbstractMer, MER)]
    parts += ["\n## What the functions of `rstanarm` return\n", *shown(StanFit, [n for n in vars(StanFit) if not n.startswith("_")])]
    return "".join(parts)


def entry(path: str, members: list[str] | None = None) -> str:
    """What mkdocstrings reads: a name, and how it is shown."""
    chosen = f"      members: {members}\n" if members else ""
    return f"\n::: {path}\n    options:\n      heading_level: 3\n{chosen}"


def shown(cls: type, names: list[str]) -> Iterator[str]:
    """A class with those of these names that stand in it, then the functions elsewhere that are its methods."""
    inside = [name for name in names if not isinstance(inspect.getattr_static(cls, name), Method)]
    yield entry(f"{cls.__module__}.{cls.__qualname__}", inside)
    for name in names:
        if name not in inside:
            value = getattr(cls, name).__wrapped__
            yield entry(f"{value.__module__}.{value.__qualname__}")


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
        if not callable(value):
            continue
        value = getattr(value, "__wrapped__", value)
        path = f"{value.__module__}.{value.__qualname__}"
        if path not in told and not path.startswith(f"{brim.Fit.__module__}.{brim.Fit.__qualname__}."):
            yield path


def families() -> str:
    """Every family, what it is, and its parameters with their links."""
    rows = ["\n## Families\n\n| `brim.` | | parameters and links |\n|---|---|---|\n"]
    for name in brim._FAMILIES:
        made = getattr(brim, name)
        if name not in ("custom_family", "mixture"):
            links = ", ".join(f"`{d}` {link}" for d, link in made().links.items())
            rows.append(f"| `{name}`{{ .name }} | {made.summary} | {links} |\n")
    return "".join([*rows, entry("brim.families.custom.custom_family"), entry("brim.families.registry.mixture")])
