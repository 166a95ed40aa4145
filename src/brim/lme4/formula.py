"""lme4's reading of a formula: grouping factors and their names, ``||``, and structured covariances ``diag(x | g)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from brim.errors import BrimError
from brim.language.expand import Binary, Call, Name, Node, Number, Paren, Terms, Unary, deparse, expand, fault, parse, special
from brim.language.nodes import chain
from brim.lme4.structures import STRUCTURES

__all__ = ["Bar", "MixedFormula", "groupings_of", "read_formula", "written_out"]

_HINT = "a grouping factor is a column, columns joined by ':', or nested ones, a/b"


@final
@dataclass(frozen=True)
class Bar:
    """One ``(terms | group)``: the columns of its grouping factor, lme4's name of it, and the structure of its covariance."""

    terms: Terms
    columns: tuple[str, ...]
    label: str
    structure: str
    node: Node = field(compare=False, repr=False)

    @property
    def text(self) -> str:
        """As a formula has it: ``Days | Subject``."""
        return f"{deparse(self.terms.node)} | {self.label}"


@final
@dataclass(frozen=True)
class MixedFormula:
    """Response, population-level terms, offsets and group terms, in the order written (nested factors: the inner first).

    ``contrasts`` are those of factors of the population-level terms that were given beside the formula.
    """

    node: Node
    response: Node
    fixed: Terms
    offsets: tuple[Node, ...]
    bars: tuple[Bar, ...]
    contrasts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return deparse(self.node)


def read_formula(text: str, columns: Sequence[str]) -> MixedFormula:
    """Read ``y ~ x + (x | g)``.

    Raises
    ------
    BrimError
        Without a response or a group term, and for terms that only ``brm()`` has.

    Examples
    --------
    >>> f = read_formula("y ~ x + (x || g) + (1 | a/b)", ())
    >>> [(bar.text, bar.label) for bar in f.bars]
    [('1 | g', 'g'), ('0 + x | g', 'g'), ('1 | b:a', 'b:a'), ('1 | a', 'a')]
    >>> str(f)
    'y ~ x + ((1 | g) + (0 + x | g)) + (1 | a/b)'
    """
    node = parse(text) if isinstance(text, str) else _refuse(text)
    if isinstance(node, Unary) or not (isinstance(node, Binary) and node.op == "~"):
        raise BrimError("the formula has no response", source=text, hint="name the response left of '~': y ~ x + (1 | g)")
    found: list[tuple[Binary, str]] = []
    right = _rewritten(node.right, found)
    plain = replace(node, right=_rewritten(node.right, [], keep=False))
    terms = expand(replace(plain, right=plain.right), columns)
    offsets = tuple(t[0].args[0] for t in terms.terms if isinstance(t[0], Call) and _is_offset(t[0]))
    kept = tuple(t for t in terms.terms if not _is_offset(t[0]))
    for term in kept:
        for factor in term:
            if special(factor) is not None:
                raise fault(factor, f"{deparse(factor)} is not a term of a classical mixed model", "fit it with brim.brm()")
    bars = tuple(bar for node_, structure in found for bar in _bars(node_, structure))
    if not bars:
        raise BrimError("the formula has no group term", source=text, hint="add one: (1 | g)")
    if isinstance(node.left, Binary) and node.left.op == "|":
        raise fault(node.left.right, "addition terms belong to brim.brm()", "weights are an argument: weights='w'")
    return MixedFormula(replace(node, right=right), node.left, replace(terms, terms=kept, groups=()), offsets, bars)


def written_out(right: Node) -> tuple[Node, list[tuple[Binary, str]]]:
    """A right-hand side without its group terms, and these, ``x || g`` as one for each of its terms, each with its structure."""
    found: list[tuple[Binary, str]] = []
    _rewritten(right, found)
    return _rewritten(right, [], keep=False), found


def _refuse(text: object) -> Node:
    raise BrimError(f"a formula is text, not {type(text).__name__}", hint="write 'y ~ x + (1 | g)'")


def _is_offset(node: Node) -> bool:
    return isinstance(node, Call) and node.fn == "offset"


def _is_bar(node: Node) -> bool:
    return isinstance(node, Binary) and node.op in ("|", "||")


def _rewritten(node: Node, found: list[tuple[Binary, str]], keep: bool = True) -> Node:
    """The right-hand side with ``||`` written out; collects its bars. Without ``keep``, the bars become ``NULL``-like zeros left out."""

    def each(part: Node) -> Node | None:
        if isinstance(part, Paren) and _is_bar(part.inner):
            return _one(part.inner, "us", part, found) if keep else None
        if isinstance(part, Call) and part.fn in STRUCTURES and len(part.args) == 1 and _is_bar(part.args[0]):
            if part.kwargs:
                raise fault(part.kwargs[0][1], f"{part.fn}() takes no argument beside x | g")
            return _one(part.args[0], part.fn, part, found) if keep else None
        if isinstance(part, Paren):
            inner = _sum(part.inner, each, part)
            return None if inner is None else replace(part, inner=inner)
        return part

    out = _sum(node, each, node)
    return Number(1.0, source=node.source, span=node.span) if out is None else out


def _sum(node: Node, each: Callable[[Node], Node | None], place: Node) -> Node | None:
    """``each`` of the operands of a sum, those that give ``None`` left out."""
    out: Node | None = None
    for part in chain(node, "+"):
        if isinstance(part, Binary) and part.op == "-":
            left = _sum(part.left, each, place)
            new: Node | None = Unary("-", part.right, source=part.source, span=part.span) if left is None else replace(part, left=left)
        else:
            new = each(part)
        if new is not None:
            out = new if out is None else Binary("+", out, new, source=place.source, span=place.span)
    return out


def _one(bar: Node, structure: str, written: Node, found: list[tuple[Binary, str]]) -> Node:
    """Collect a bar; ``x || g`` becomes one bar for each of its terms."""
    assert isinstance(bar, Binary)
    if bar.op == "|":
        found.append((bar, structure))
        return written
    inner = expand(bar.left)
    parts: list[Node] = [Number(1.0)] if inner.intercept else []
    parts += [Binary("+", Number(0.0), _product(t)) for t in inner.terms]
    bars = [Binary("|", part, bar.right, source=bar.source, span=bar.span) for part in parts]
    found += [(b, structure) for b in bars]
    whole: Node = Paren(bars[0])
    for b in bars[1:]:
        whole = Binary("+", whole, Paren(b))
    return whole if len(bars) == 1 else Paren(whole)


def _product(term: Sequence[Node]) -> Node:
    out = term[0]
    for factor in term[1:]:
        out = Binary(":", out, factor)
    return out


def _bars(bar: Binary, structure: str) -> list[Bar]:
    terms = expand(bar.left)
    if terms.groups:
        raise fault(terms.groups[0].node, "group terms do not nest", "nested factors are written (1 | g/h)")
    if not terms.terms and not terms.intercept:
        raise fault(bar, "the group term has no coefficient", "write (1 | g) for varying intercepts")
    for term in terms.terms:
        for factor in term:
            if special(factor) is not None:
                raise fault(factor, f"{deparse(factor)} cannot vary by group in a classical mixed model", "fit it with brim.brm()")
    return [Bar(terms, columns, label, structure, bar) for columns, label in groupings_of(bar.right)]


def groupings_of(by: Node) -> list[tuple[tuple[str, ...], str]]:
    """``a/b`` -> ``b:a``, ``a``, the inner first; the name of ``a/b/c`` is ``c:(b:a)`` as in lme4."""
    parts = [_columns(part) for part in chain(by.inner if isinstance(by, Paren) else by, "/")]
    out: list[tuple[tuple[str, ...], str]] = []
    columns: tuple[str, ...] = ()
    label = ""
    for part in parts:
        joined = ":".join(part)
        label = f"{joined}:{f'({label})' if ':' in label else label}" if label else joined
        columns = (*part, *columns)
        out.insert(0, (columns, label))
    return out


def _columns(node: Node) -> tuple[str, ...]:
    match node:
        case Name(name):
            return (name,)
        case Binary(":", left, right):
            return (*_columns(left), *_columns(right))
        case Paren(inner):
            return _columns(inner)
        case Call("gr" | "mm"):
            raise fault(node, f"{node.fn}() belongs to brim.brm()", _HINT)
    raise fault(node, f"'{deparse(node)}' is not a grouping factor", _HINT)
