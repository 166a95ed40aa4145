"""The formula language: text -> tree of nodes with source spans, and R's expansion of a right-hand side into terms."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """A piece of a parsed formula: ``source`` is the whole text, ``span`` its place in it.

    Equality and hashing ignore where a node stands, so that ``x`` in two places is the same variable.
    """

    source: str = field(compare=False, repr=False, kw_only=True, default="")
    span: tuple[int, int] = field(compare=False, repr=False, kw_only=True, default=(0, 0))


@dataclass(frozen=True)
class Name(Node):
    """A column (or parameter) name; backquoted names lose their quotes."""

    name: str


@dataclass(frozen=True)
class Number(Node):
    value: float


@dataclass(frozen=True)
class Text(Node):
    """A quoted string."""

    value: str


@dataclass(frozen=True)
class Constant(Node):
    """``TRUE``, ``FALSE``, ``NULL``, ``NA``, ``Inf``, ``pi`` as the Python value."""

    value: bool | float | None


@dataclass(frozen=True)
class Call(Node):
    """``fn(args, name=value)``."""

    fn: str
    args: tuple[Node, ...] = ()
    kwargs: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True)
class Unary(Node):
    op: str
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    """``left op right``; ``op`` is one of ``+ - * / ^ : %in% | || & && == != < > <= >= %% %/% ~``."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Paren(Node):
    inner: Node


@dataclass(frozen=True)
class Group:
    """``(terms | id | by)`` or ``(terms || by)``, as written: ``by`` is what stands right of the bar.

    ``by`` is one grouping construct after expansion of ``g1/g2`` and ``g1 + g2``: a ``Name``, a ``Binary`` of ``:`` over
    names, or a ``Call`` to ``gr`` or ``mm``.
    """

    terms: Terms
    by: Node
    id: str | None
    correlated: bool
    node: Node = field(compare=False, repr=False)


@dataclass(frozen=True)
class Terms:
    """A right-hand side after R's expansion.

    Attributes
    ----------
    intercept
        Whether the intercept is in (R's rule: in unless ``0 +`` or ``- 1``).
    terms
        Each term is the tuple of its factors (one for a main effect, several for an interaction), in R's order:
        by degree, then as written; duplicates removed.
    groups
        The group terms in the order written, one for each grouping construct.
    node
        The tree that was expanded, for error messages.
    """

    intercept: bool
    terms: tuple[tuple[Node, ...], ...]
    groups: tuple[Group, ...]
    node: Node = field(compare=False, repr=False)


# parse(text) -> Node                  : any expression, incl. "lhs ~ rhs" (Binary "~") and "~ rhs" (Unary "~")
# expand(node, data_columns=()) -> Terms: R's expansion; "." stands for all data_columns not on the left-hand side
# deparse(node) -> str                 : R's text of a node: "I(x^2)", "poly(x, 2)", "log(x + 1)"
# variables(node) -> tuple[str, ...]   : data column names used in a node, in order
