"""rstanarm's formulas, families and weights in brms' words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from brim.design.expressions import Expression
from brim.errors import BrimError, suggest
from brim.families import family as resolve
from brim.families.base import Family
from brim.frames.columns import Numeric
from brim.frames.frame import Frame
from brim.language.expand import Binary, Call, Node, Unary, deparse, fault, parse
from brim.lme4.formula import groupings_of, written_out

__all__ = [
    "FAMILIES",
    "StanFamily",
    "Written",
    "counts_of",
    "one_sided",
    "read_family",
    "response_of",
    "sides",
    "with_columns",
    "without_groups",
    "written",
]


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


@final
@dataclass(frozen=True)
class Written:
    """A right-hand side in brms' words, and its group terms: a block's label and lme4's name of the factor, in lme4's order."""

    text: str
    groups: tuple[tuple[str, str], ...]


def written(right: Node, random: Node | None = None) -> Written:
    """A right-hand side as lme4 reads it: ``(x || g)`` is a sum of terms, ``(1 | a/b)`` is ``(1 | b:a) + (1 | a)``.

    ``random`` holds further group terms.

    Examples
    --------
    >>> written(parse("x + (x || g) + (1 | a/b)"))
    Written(text='x + (1 | g) + (0 + x | g) + (1 | b:a) + (1 | a)', groups=(('g', 'g'), ('g', 'g'), ('b:a', 'b:a'), ('a', 'a')))
    """
    plain, bars = written_out(right)
    if random is not None:
        rest, more = written_out(random)
        if not more:
            raise fault(rest, "random holds group terms", "random = '~ (1 | g)'")
        bars = [*bars, *more]
    out, groups = [deparse(plain)], []
    for bar, structure in bars:
        if structure != "us":
            raise fault(bar, f"rstanarm's covariances of group effects have no structure {structure}()", "use brim.brm()")
        for columns, label in groupings_of(bar.right):
            out.append(f"({deparse(bar.left)} | {':'.join(columns)})")
            groups.append((":".join(columns), label))
    return Written(" + ".join(out), tuple(groups))


def without_groups(right: Node, function: str) -> None:
    """Refuse group terms."""
    for bar, _ in written_out(right)[1]:
        raise fault(bar, f"{function}() has no group effects", "use stan_glmer(), or brim.brm()")


def one_sided(formula: str) -> Node:
    """What stands right of ``~`` in a formula without a response."""
    node = parse(formula)
    return node.operand if isinstance(node, Unary) and node.op == "~" else node


def counts_of(node: Node, frame: Frame, weights: str | None) -> Frame | None:
    """The frame with the successes, ``.successes``, of a binomial response that is given as shares of ``weights`` trials, else ``None``.

    As in R's ``glm``: shares are numbers from 0 to 1, not all of them 0 or 1, and weights are whole numbers.
    """
    if isinstance(node, Call) and node.fn == "cbind":
        return None
    value = Expression(node).learn(frame).value(frame)
    if not isinstance(value, Numeric):
        return None
    share = value.numbers
    known = share[~np.isnan(share)]
    if not (np.any((known > 0) & (known < 1)) and np.all((known >= 0) & (known <= 1))):
        return None
    if weights is None:
        raise fault(node, f"'{deparse(node)}' holds shares, and no numbers of trials are given", "weights = the numbers of trials")
    trials = frame.numbers(weights)
    successes = np.round(share * trials)
    off = np.abs(share * trials - successes) > 1e-6 * np.maximum(trials, 1)
    if np.any(trials != np.round(trials)) or np.any(off):
        raise fault(node, f"'{deparse(node)}' times '{weights}' are no whole numbers of successes", "weights are the numbers of trials")
    return frame.with_columns({".successes": successes})


def with_columns(data: Any, **columns: Any) -> tuple[Frame, dict[str, str]]:
    """The data with vectors that were given beside it (``weights``, ``offset``). Argument -> column.

    Text is a column's name, or an expression of columns as R's calls have it (``offset="log(exposure)"``).
    """
    frame, names, new = Frame.read(data), {}, {}
    for name, value in columns.items():
        if value is None:
            continue
        if isinstance(value, str) and (value in frame or name == "strata"):
            names[name] = value
            continue
        if isinstance(value, str):
            value = Expression(parse(value)).learn(frame).numbers(frame)
        names[name] = f".{name}"
        new[names[name]] = np.asarray(value) if name == "strata" else np.asarray(value, float)
        if new[names[name]].shape != (frame.n,):
            raise BrimError(f"{name} has {new[names[name]].size} values for {frame.n} rows")
    return frame.with_columns(new) if new else frame, names
