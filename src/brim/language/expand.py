"""The formula language: R's expansion of a right-hand side into terms, and the parts of a left-hand side.

The node classes (nodes.py), ``parse`` and ``deparse`` (parser.py) and the table of special terms (specials.py) are exported
from here too: other modules import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from brim.errors import BrimError, suggest
from brim.language.nodes import Binary, Call, Constant, Name, Node, Number, Paren, Text, Unary, chain, children, fault, walk
from brim.language.parser import deparse, parse
from brim.language.specials import ADDITIONS, SPECIALS, Special, arguments, special, values_in, word
from brim.limits import within

__all__ = [
    "ADDITIONS",
    "SPECIALS",
    "Binary",
    "Call",
    "Constant",
    "Group",
    "LeftSide",
    "Name",
    "Node",
    "Number",
    "Paren",
    "Special",
    "Terms",
    "Text",
    "Unary",
    "arguments",
    "children",
    "deparse",
    "expand",
    "fault",
    "label",
    "parse",
    "special",
    "split_response",
    "values_in",
    "variables",
    "walk",
    "word",
]


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


# ---------------------------------------------------------------------------------------------------------------------
# Names and labels


def label(term: Sequence[Node]) -> str:
    """R's label of a term, its factors joined by ``:``.

    Examples
    --------
    >>> label(expand(parse("y ~ x*log(z)")).terms[2])
    'x:log(z)'
    """
    return ":".join(deparse(factor) for factor in term)


def variables(node: Node, complete: bool = False) -> tuple[str, ...]:
    """The data columns that an expression uses, in order of appearance.

    All names count but function names, ``.``, the ID of ``(x | ID | g)``, and arguments that name matrices (``gr(g, cov = A)``).
    ``complete`` leaves out those that may have missing values: ``x`` in ``mi(x)``.

    Examples
    --------
    >>> variables(parse("log(y) | weights(w) ~ x + s(z, by = f) + (1 | ID | gr(g, cov = A))"))
    ('y', 'w', 'x', 'z', 'f', 'g')
    """
    return tuple(dict.fromkeys(_columns(node, complete)))


def _columns(root: Node, complete: bool) -> Iterator[str]:
    stack = [(root, True)]
    while stack:
        node, top = stack.pop()
        match node:
            case Name(name) if name != ".":
                yield name
            case Paren(Binary("|" | "||", Binary("|" | "||", left, _), right)) if top:
                stack += [(right, top), (left, top)]
            case Call():
                skip = int(complete and node.fn == "mi")
                stack += [(value, False) for value in reversed(_column_arguments(node)[skip:])]
            case _:
                stack += [(child, top) for child in reversed(children(node))]


def _column_arguments(call: Call) -> list[Node]:
    """The arguments in which names are columns."""
    if call.fn == "C":  # what follows the factor names contrasts
        return list(call.args[:1])
    entry = SPECIALS.get(call.fn) or ADDITIONS.get(call.fn)
    if entry is None:
        return list(children(call))
    leading = entry.args[0] in entry.outside and entry.args[0] not in dict(call.kwargs)
    return [*call.args[leading:], *(value for key, value in call.kwargs if key not in entry.outside)]


# ---------------------------------------------------------------------------------------------------------------------
# Left of the tilde


@dataclass(frozen=True)
class LeftSide:
    """What stands left of ``~``: the response expression and its addition terms, in the order written."""

    response: Node
    additions: tuple[Call, ...] = ()

    def addition(self, name: str) -> Call | None:
        """The addition term of that name, if there."""
        return next((call for call in self.additions if call.fn == name), None)


def split_response(node: Node) -> LeftSide:
    """Split ``y | weights(w) + trials(n)``.

    Parameters
    ----------
    node
        A whole formula, or its left-hand side.

    Raises
    ------
    BrimError
        For a formula without a response, an unknown addition term, one given twice, or one with unknown arguments.

    Examples
    --------
    >>> left = split_response(parse("log(y) | weights(w) ~ x"))
    >>> deparse(left.response), [deparse(call) for call in left.additions]
    ('log(y)', ['weights(w)'])
    """
    match node:
        case Unary("~", _):
            raise fault(node, "the formula has no response", "name the response left of '~'")
        case Binary("~", left, _):
            return split_response(left)
        case Binary("|", response, added):
            calls = tuple(_addition(part) for part in chain(added, "+"))
            for at, call in enumerate(calls):
                if call.fn in [other.fn for other in calls[:at]]:
                    raise fault(call, f"{call.fn}() is given twice", "each addition term may stand once")
            return LeftSide(response, calls)
        case Binary("||", _, _):
            raise fault(node, "'||' has no meaning left of '~'", "write y | weights(w)")
    return LeftSide(node)


def _addition(node: Node) -> Call:
    if not isinstance(node, Call):
        raise fault(node, f"{deparse(node)!r} is not an addition term", "addition terms are calls, such as weights(w)")
    # brms also knows the additions under the names of its functions: resp_weights().
    call = Call(node.fn.removeprefix("resp_"), node.args, node.kwargs, source=node.source, span=node.span)
    if call.fn == "cat" and len(call.args) == 1:  # brms' former way to give the number of categories
        one = Number(1.0, source=node.source, span=call.args[0].span)
        steps = Binary("-", call.args[0], one, source=node.source, span=call.args[0].span)
        call = Call("thres", (steps,), (), source=node.source, span=node.span)
    if call.fn not in ADDITIONS:
        raise fault(node, f"unknown addition term '{node.fn}'", suggest(call.fn, ADDITIONS, "addition terms"))
    arguments(call, ADDITIONS)
    return call


# ---------------------------------------------------------------------------------------------------------------------
# Right of the tilde


def expand(node: Node, columns: Sequence[str] = ()) -> Terms:
    """R's expansion of a formula into terms, ``terms(formula, data)``, with the group terms ``(x | g)`` set apart.

    Parameters
    ----------
    node
        A whole formula or its right-hand side.
    columns
        The columns of the data: ``.`` stands for all that the left-hand side does not use.

    Returns
    -------
    Terms
        Offsets are kept as terms of their own; factors within a term stand in the order in which the formula names them first.

    Raises
    ------
    BrimError
        For what cannot be a term: numbers other than 0 and 1, strings, a bare ``x | g``, interactions with group terms, ...

    Examples
    --------
    >>> found = expand(parse("y ~ b:a + a*c - 1 + (1 + a || g/h)"))
    >>> found.intercept, [label(term) for term in found.terms]
    (False, ['a', 'c', 'b:a', 'a:c'])
    >>> [(deparse(group.by), group.correlated) for group in found.groups]
    [('g', False), ('g:h', False)]
    """
    left, right = _sides(node)
    used = variables(left) if left else ()
    expansion = _Expansion([column for column in columns if column not in used])
    try:
        found = expansion.ordered(right)
    except BrimError as error:
        raise error if error.source is not None else fault(right, error.what, error.hint) from None
    response = split_response(left).response if left else None
    for term in found:
        if term == (response,):
            raise fault(term[0], "the response stands on both sides of '~'", "remove it from the right-hand side")
        _check_term(term)
    groups = [group for term in found if _bar(term[0]) for group in _groups(term[0])]
    return Terms(expansion.intercept, tuple(term for term in found if not _bar(term[0])), tuple(groups), node)


def _sides(node: Node) -> tuple[Node | None, Node]:
    match node:
        case Binary("~", left, right):
            return left, right
        case Unary("~", right):
            return None, right
    return None, node


def _bar(node: Node) -> TypeGuard[Binary]:
    return isinstance(node, Binary) and node.op in ("|", "||")


def _check_term(term: tuple[Node, ...]) -> None:
    for factor in term if len(term) > 1 else ():
        if _bar(factor):
            raise fault(factor, "a group term cannot be part of an interaction", "add it: x + (1 | g)")
        if (entry := special(factor)) and entry.kind == "offset":
            raise fault(factor, "an offset cannot be part of an interaction", "add it: x + offset(z)")


_Term = frozenset[Node]


class _Expansion:
    """One pass over a tree. As in R, the intercept is one switch for the whole formula, and ``-`` turns its meaning round."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.intercept = True
        self.adding = True
        self.seen: dict[Node, int] = {}

    def ordered(self, node: Node) -> list[tuple[Node, ...]]:
        """The terms by degree, then as written; factors in the order of their first appearance."""
        terms = dict.fromkeys(self.terms(node))
        return [tuple(sorted(term, key=self.seen.__getitem__)) for term in sorted(terms, key=len)]

    def terms(self, node: Node) -> list[_Term]:
        match node:
            case Paren(Binary("|" | "||") as bar):
                return [self.factor(bar)]
            case Paren(inner):
                return self.terms(inner)
            case Number(0 | 1 as one):
                self.intercept = (one == 1) == self.adding
                return []
            case Constant(None):
                return []
            case Name("."):
                return self.dot(node)
            case Unary("+", operand):
                return self.terms(operand)
            case Binary("+"):
                return list(dict.fromkeys(term for part in chain(node, "+") for term in self.terms(part)))
            case Unary("-", operand):
                self.removed(operand)
                return []
            case Binary(op, left, right) if op in _COMBINE or op in ("-", "^"):
                return self.combined(op, left, right)
            case Binary("|" | "||"):
                return [self.factor(node)]  # R's "|" binds loosest: y ~ x + 1 | g is y ~ (x + 1 | g)
            case Number() | Text() | Constant():
                raise fault(node, f"{deparse(node)} is not a term", "terms are columns and calls; use I() for arithmetic")
        return [self.factor(node)]

    def factor(self, node: Node) -> _Term:
        self.seen.setdefault(node, len(self.seen))
        return frozenset((node,))

    def dot(self, node: Node) -> list[_Term]:
        if not self.columns:
            raise fault(node, "'.' stands for the columns of the data, and there are none here", "name the columns")
        return [self.factor(Name(column, source=node.source, span=node.span)) for column in self.columns]

    def combined(self, op: str, left: Node, right: Node) -> list[_Term]:
        before = self.terms(left)
        if op == "-":
            removed = self.removed(right)
            return [term for term in before if term not in removed]
        if op == "^":
            return self.power(before, right)
        found = list(dict.fromkeys(_COMBINE[op](before, self.terms(right))))
        within("terms", len(found), "the formula")
        return found

    def removed(self, node: Node) -> list[_Term]:
        self.adding = not self.adding
        terms = self.terms(node)
        self.adding = not self.adding
        return terms

    def power(self, base: list[_Term], exponent: Node) -> list[_Term]:
        if not isinstance(exponent, Number) or exponent.value != int(exponent.value) or exponent.value < 1:
            raise fault(exponent, "'^' takes a whole number: (a + b)^2", "for a power of a column write I(x^2)")
        terms = base
        for _ in range(int(exponent.value) - 1):
            grown = list(dict.fromkeys(_interact(terms, base)))
            within("terms", len(grown), "the formula")
            if grown == terms:
                break
            terms = grown
        return terms


def _interact(left: list[_Term], right: list[_Term]) -> list[_Term]:
    within("terms", len(left) * len(right) / 20, "the product of terms")  # most of them are duplicates
    return [a | b for a in left for b in right]


def _union(terms: list[_Term]) -> _Term:
    return frozenset[Node]().union(*terms)


_COMBINE = {
    ":": _interact,
    "*": lambda left, right: left + right + _interact(left, right),
    "/": lambda left, right: left + [_union(left) | term for term in right],
    "%in%": lambda left, right: [term | _union(right) for term in left],
}


# ---------------------------------------------------------------------------------------------------------------------
# Group terms


def _groups(bar: Binary) -> list[Group]:
    """The groups of one ``x | g``, ``x || g`` or ``x | ID | g``."""
    inner, by, ident = bar.left, bar.right, None
    if _bar(inner):
        ops, ident, inner = (inner.op, bar.op), inner.right, inner.left
        if _bar(inner) or ops != ("|", "|") or not isinstance(ident, Name | Number):
            raise fault(bar, "a group term is (x | g), (x || g) or (x | ID | g)", "for uncorrelated effects with an ID: gr(g, cor = FALSE)")
    if Name(".") in walk(inner):
        raise fault(inner, "'.' cannot stand in a group term", "name the columns")
    terms = expand(inner)
    if terms.groups:
        raise fault(terms.groups[0].node, "group terms do not nest", "nested factors are written (1 | g/h)")
    if not terms.terms and not terms.intercept:
        raise fault(bar, "the group term has no coefficient", "write (1 | g) for varying intercepts")
    name = deparse(ident) if ident else None
    return [Group(terms, one, name, bar.op == "|", bar) for one in _groupings(by)]


_GROUPING_HINT = "a grouping factor is a column, columns joined by ':', gr(...) or mm(...)"


def _groupings(by: Node) -> list[Node]:
    """``g1/g2`` -> ``g1``, ``g1:g2``; ``g1 + g2`` -> both."""
    _check_grouping(by)
    found = []
    for term in _Expansion(()).ordered(by):
        if len(term) > 1 and any(isinstance(factor, Call) for factor in term):
            raise fault(by, f"illegal grouping term {label(term)!r}", "join the columns inside: gr(g1:g2)")
        node = term[0]
        for factor in term[1:]:
            span = min(node.span[0], factor.span[0]), max(node.span[1], factor.span[1])
            node = Binary(":", node, factor, source=by.source, span=span)
        found.append(node)
    return found


def _check_grouping(node: Node) -> None:
    match node:
        case Name(name) if name != ".":
            return None
        case Paren(inner):
            return _check_grouping(inner)
        case Binary(":" | "/" | "+" | "*", left, right):
            _check_grouping(left)
            return _check_grouping(right)
        case Call(fn) if (entry := SPECIALS.get(fn)) and entry.kind == "group":
            return _check_members(node)
    raise fault(node, f"illegal grouping term {deparse(node)!r}", _GROUPING_HINT)


def _check_members(call: Call) -> None:
    """``gr()`` takes one grouping factor, ``mm()`` two or more; each a column or columns joined by ``:``."""
    members, _ = arguments(call)
    if call.fn == "gr" and len(members) != 1:
        raise fault(members[1] if members else call, "gr() takes one grouping factor", "write gr(g) or gr(g1:g2)")
    if call.fn == "mm" and len(members) < 2:
        raise fault(call, "mm() takes two or more grouping factors", "write mm(g1, g2)")
    for member in members:
        if not all(isinstance(part, Name) or (isinstance(part, Binary) and part.op == ":") for part in walk(member)):
            raise fault(member, f"illegal grouping term {deparse(member)!r}", "columns joined by ':' are allowed here")
