"""rstanarm's formulas, families and weights in brms' words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from brim.errors import BrimError, suggest
from brim.families import family as resolve
from brim.families.base import Family
from brim.frames.frame import Frame
from brim.language.expand import Binary, Call, Node, deparse, parse

__all__ = ["FAMILIES", "StanFamily", "read_family", "response_of", "sides", "with_columns"]


@final
@dataclass(frozen=True)
class StanFamily:
    """A family: rstanarm's name, its link, brms' family, the auxiliary parameter under both names, whether it scales priors."""

    name: str
    link: str
    family: Family
    aux: str = ""
    aux_key: str = ""

    @property
    def gaussian(self) -> bool:
        """Whether scales of priors are in units of ``sd(y)``."""
        return self.name == "gaussian"

    @property
    def text(self) -> str:
        """As ``print`` shows it."""
        return f"{self.name} [{self.link}]"


#: R's name -> brms' name, R's default link, the auxiliary parameter in rstanarm and in brms.
FAMILIES = {
    "gaussian": ("gaussian", "identity", "sigma", "sigma"),
    "binomial": ("binomial", "logit", "", ""),
    "poisson": ("poisson", "log", "", ""),
    "Gamma": ("gamma", "inverse", "shape", "shape"),
    "inverse.gaussian": ("inverse_gaussian", "1/mu^2", "lambda", "shape"),
    "neg_binomial_2": ("negbinomial", "log", "reciprocal_dispersion", "shape"),
}
_BY_BRMS = {brms: name for name, (brms, *_) in FAMILIES.items()} | {"bernoulli": "binomial"}


def read_family(family: Any) -> StanFamily:
    """From R's way (``"Gamma(log)"``, ``"binomial('probit')"``) or a family of brim's (``brim.poisson()``).

    Examples
    --------
    >>> read_family("Gamma('log')").text
    'Gamma [log]'
    """
    link = ""
    if isinstance(family, str):
        found = re.fullmatch(r"([\w.]+)\s*(?:\(\s*(?:link\s*=\s*)?['\"]?([\w/^]*)['\"]?\s*\))?", family.strip())
        name, link = (found[1], found[2] or "") if found else (family, "")
        name = _BY_BRMS.get(name, name)
    else:
        own = resolve(family)
        name, link = _BY_BRMS.get(own.name, own.name), str(own.links["mu"])
    if name not in FAMILIES:
        raise BrimError(f"there is no family '{name}' in rstanarm", hint=suggest(name, FAMILIES, "families"))
    brms, default, aux, key = FAMILIES[name]
    link = link or default
    return StanFamily(name, link, resolve(brms, link=link), aux, key)


def sides(formula: str) -> tuple[Node, Node]:
    """The two sides of a formula."""
    node = parse(formula)
    if not isinstance(node, Binary) or node.op != "~":
        raise BrimError("a formula has two sides, y ~ x", source=formula)
    return node.left, node.right


def response_of(node: Node, family: StanFamily, additions: tuple[str, ...] = ()) -> tuple[str, StanFamily]:
    """The left-hand side in brms' words, and the family: ``cbind(s, f)`` are trials, another binomial response is 0 or 1."""
    text = deparse(node)
    if family.name == "binomial":
        if isinstance(node, Call) and node.fn == "cbind" and len(node.args) == 2:
            text = deparse(node.args[0])
            additions = (f"trials({text} + ({deparse(node.args[1])}))", *additions)
        else:
            family = StanFamily(family.name, family.link, resolve("bernoulli", link=family.link))
    return (f"{text} | {' + '.join(additions)}" if additions else text), family


def with_columns(data: Any, **columns: Any) -> tuple[Frame, dict[str, str]]:
    """The data with vectors that were given beside it (``weights``, ``offset``); a name of a column stands for it. Argument -> column."""
    frame, names, new = Frame.read(data), {}, {}
    for name, value in columns.items():
        if value is None:
            continue
        if isinstance(value, str):
            names[name] = value
            continue
        names[name] = f".{name}"
        new[names[name]] = np.asarray(value, float)
        if new[names[name]].shape != (frame.n,):
            raise BrimError(f"{name} has {new[names[name]].size} values for {frame.n} rows")
    return frame.with_columns(new) if new else frame, names
