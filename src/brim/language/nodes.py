"""The tree of a parsed formula: one frozen class for each kind of piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from brim.errors import BrimError

__all__ = ["Binary", "Call", "Constant", "Name", "Node", "Number", "Paren", "Text", "Unary", "chain", "children", "fault", "walk"]


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
    """A number; R's integers (``2L``) are Python's ``int``."""

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
    """``op operand``; ``op`` is one of ``- + ! ~``."""

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


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below ``node``, left to right as far as the tree knows."""
    match node:
        case Call(_, args, kwargs):
            return *args, *(value for _, value in kwargs)
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return left, right
        case Paren(inner):
            return (inner,)
    return ()


def chain(node: Node, op: str) -> list[Node]:
    """The operands of ``a op b op c``. Sums of a thousand columns are that deep to the left, too deep to recurse into."""
    parts = []
    while isinstance(node, Binary) and node.op == op:
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything below it, left to right."""
    stack = [node]
    while stack:
        stack += reversed(children(top := stack.pop()))
        yield top


def fault(node: Node, what: str, hint: str | None = None) -> BrimError:
    """The error that marks ``node`` in the formula it came from, to be raised by the caller."""
    return BrimError(what, source=node.source or None, span=node.span, hint=hint)
