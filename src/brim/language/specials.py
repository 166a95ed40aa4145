"""Calls with a meaning of their own: special terms, and the addition terms of a response. One table for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brim.errors import suggest
from brim.language.nodes import Call, Name, Node, Text, fault, walk
from brim.language.parser import deparse

__all__ = ["ADDITIONS", "SPECIALS", "Special", "arguments", "special", "values_in", "word"]


@dataclass(frozen=True)
class Special:
    """A function that is a term of its own, not a transformation of columns.

    Attributes
    ----------
    kind
        What it builds: ``"smooth"``, ``"gp"``, ``"mo"``, ``"me"``, ``"mi"``, ``"of"`` (a function of the last ones), ``"cs"``,
        ``"mmc"``, ``"autocor"``, ``"group"``, ``"offset"`` or, left of ``~``, ``"addition"``.
    args
        Its arguments in R's order; ``...`` takes any number of positional ones.
    outside
        Arguments whose names are not columns (matrices in ``data2``, lists).
    reader
        ``"module:function"`` that makes the term of its calls, or the variable of one that is a factor; empty where others read it.
    factor
        Whether it may be multiplied with others of this sort and with columns; the products are read together.
    inside
        Why it is no term of its own: where it stands. ``{call}`` is the call.
    effects
        Place of what it shows among the effects of a formula, ``None``: it shows nothing.
    whole
        Whether the variables in it take whole numbers only.
    residual
        Whether it says nothing of the expected response of a row.
    """

    kind: str
    args: tuple[str, ...]
    outside: tuple[str, ...] = ()
    reader: str = ""
    factor: bool = False
    inside: str = ""
    effects: int | None = 0
    whole: bool = False
    residual: bool = False

    @property
    def together(self) -> str:
        """The kind under which its terms are read."""
        return "sp" if self.factor else self.kind


def _table(kind: str, *signatures: str, **more: Any) -> dict[str, Special]:
    """Read signatures such as ``"car(@M gr type)"``; ``@`` marks an argument that names no column."""
    table = {}
    for signature in signatures:
        fn, _, words = signature.removesuffix(")").partition("(")
        args = tuple(word.lstrip("@") for word in words.split())
        table[fn] = Special(kind, args, tuple(word[1:] for word in words.split() if word.startswith("@")), **more)
    return table


#: One row a kind of term: its calls, who reads them, and what else must be known of them before they are read.
SPECIALS: Mapping[str, Special] = {
    **_table(
        "smooth",
        "s(... k fx bs m by @xt id sp pc)",
        "t2(... k bs m d by @xt id sp full ord pc)",
        "te(... k bs m d by fx np @xt id sp pc)",
        "ti(... k bs m d by fx np @xt id sp mc pc)",
        reader="brim.terms.curves.smooth:read",
        effects=1,
    ),
    **_table("gp", "gp(... by k cov iso gr cmc scale c)", reader="brim.terms.curves.gp:read", effects=2),
    **_table("mo", "mo(x @id)", reader="brim.terms.special.mo:read", factor=True, whole=True),
    **_table("me", "me(x sdx gr)", reader="brim.terms.special.me:read", factor=True),
    **_table("mi", "mi(x idx)", reader="brim.terms.special.mi:read", factor=True),
    **_table("cs", "cs(expr)", "cse(expr)", reader="brim.terms.cs:read"),
    **_table(
        "autocor",
        *("ar(time gr p cov)", "ma(time gr q cov)", "arma(time gr p q cov)", "cosy(time gr)", "unstr(time gr)"),
        *("sar(@M type)", "car(@M gr type)", "fcor(@M)", "strata(gr)"),
        reader="brim.terms.residuals.reader:read",
        effects=None,
        residual=True,
    ),
    **_table("mmc", "mmc(...)", inside="it gives each member of mm() its own values: write (1 + {call} | mm(g1, g2))"),
    **_table(
        "group",
        *("gr(... by cor @id @cov dist pw)", "mm(... weights scale by cor @id @cov dist pw)"),
        inside="it stands right of the bar of a group term: write (1 | {call})",
    ),
    **_table("offset", "offset(x)", effects=None),
}

ADDITIONS: Mapping[str, Special] = _table(
    "addition",
    "se(x sigma)",
    "weights(x scale)",
    "subset(x)",
    "cens(x y2)",
    "trunc(lb ub)",
    "entry(start)",
    "trials(x)",
    "cat(x)",
    "dec(x)",
    "thres(x gr)",
    "mi(sdy)",
    "rate(denom)",
    "vreal(...)",
    "vint(...)",
    "bhaz(gr df @args)",
    "index(x)",
)


#: Any other function of factors.
_OF = Special("of", ("x",), reader="brim.terms.special.function:read", factor=True)


def special(node: Node) -> Special | None:
    """The entry of a call in the table of special terms, also of a function of ``mi(x)``; None for columns and transformations.

    Examples
    --------
    >>> from brim.language.parser import parse
    >>> special(parse("s(x, k = 5)")).kind, special(parse("I(mi(x)^2)")).kind
    ('smooth', 'of')
    >>> special(parse("log(x)")) is None
    True
    """
    if not isinstance(node, Call):
        return None
    return SPECIALS.get(node.fn) or (_OF if values_in(node) else None)


def values_in(node: Node) -> tuple[Call, ...]:
    """The calls to ``mo()``, ``me()``, ``mi()`` in an expression."""
    found = (n for n in walk(node) if isinstance(n, Call) and n.fn in SPECIALS and SPECIALS[n.fn].factor)
    return tuple(dict.fromkeys(found))


def word(node: Node, options: tuple[str, ...], what: str) -> str:
    """The option that a quoted word names, or begins as no other does, as R matches such arguments.

    Examples
    --------
    >>> from brim.language.parser import parse
    >>> word(parse("'esic'"), ("escar", "esicar", "icar"), "types")
    'esicar'
    """
    text = node.value if isinstance(node, Text) else node.name if isinstance(node, Name) else ""
    found = [option for option in options if option == text] or [option for option in options if text and option.startswith(text)]
    if len(found) != 1:
        said = text or deparse(node)
        raise fault(node, f"'{said}' is not one of the {what}", suggest(said, options, what))
    return found[0]


def arguments(call: Call, table: Mapping[str, Special] = SPECIALS) -> tuple[tuple[Node, ...], dict[str, Node]]:
    """Match the arguments of a special call as R does.

    Returns
    -------
    dots
        What ``...`` takes.
    named
        The other arguments that are given, by name.

    Raises
    ------
    BrimError
        For an argument that the function does not have, or one too many.

    Examples
    --------
    >>> from brim.language.parser import parse
    >>> dots, named = arguments(parse("arma(week, p = 2)"))
    >>> named
    {'time': Name(name='week'), 'p': Number(value=2.0)}
    """
    known = table[call.fn].args
    named = dict(call.kwargs)
    for key, value in call.kwargs:
        if key not in known or key == "...":
            options = [arg for arg in known if arg != "..."]
            hint = suggest(key, options, f"arguments of {call.fn}()") if options else f"{call.fn}() has no named arguments"
            # The key has no node of its own: it is what stands last before its value.
            start = max(value.source.rfind(key, 0, value.span[0]), 0)
            raise fault(replace(value, span=(start, start + len(key))), f"{call.fn}() has no argument {key!r}", hint)
    free = [arg for arg in known[: known.index("...") if "..." in known else None] if arg not in named]
    surplus = call.args[len(free) :]
    if surplus and "..." not in known:
        raise fault(surplus[0], f"{call.fn}() has one argument too many", f"its arguments are {', '.join(known)}")
    return surplus, dict(zip(free, call.args, strict=False)) | named
