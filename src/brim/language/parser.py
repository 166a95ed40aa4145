"""Text -> tree -> text: a tokenizer and a precedence parser with R's operators (``?Syntax`` in R), and R's way of printing them."""

from __future__ import annotations

import math
import re
import sys
from typing import NamedTuple, NoReturn, TypeVar

from brim.errors import BrimError
from brim.language.nodes import Binary, Call, Constant, Name, Node, Number, Paren, Text, Unary, chain, children

__all__ = ["deparse", "parse"]

# Lowest first; "sign" is unary plus and minus. All binary operators group to the left but "^"; comparisons do not chain.
_LEVELS = ("~", "| ||", "& &&", "!", "== != < > <= >=", "+ -", "* /", "%in% %% %/%", ":", "sign", "^")
_POWER = {op: power for power, ops in enumerate(_LEVELS, start=1) for op in ops.split()}
_INFIX = _POWER.keys() - {"!", "sign"}
_PREFIX = {"-": _POWER["sign"], "+": _POWER["sign"], "!": _POWER["!"], "~": _POWER["~"]}

# R prints these without blanks around them.
_TIGHT = ("/", "^", ":", "%%", "%/%")

#: How deep parentheses, calls and powers may stand in each other, and how many operations an expression may have in a row.
_DEEPEST, _TALLEST = 100, 150

_CONSTANTS: dict[str, bool | float | None] = {"TRUE": True, "FALSE": False, "NULL": None, "NA": math.nan, "Inf": math.inf, "pi": math.pi}
_PYTHON = {"True": "TRUE", "False": "FALSE", "None": "NULL"}
_RESERVED = {*_CONSTANTS, "NaN", "if", "else", "for", "while", "repeat", "function", "break", "next", "in"} - {"pi"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}

_NAME = r"(?:[^\W\d_]|\.(?!\d))[\w.]*"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<number>(?:0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)L?)
    | (?P<name>{_NAME}(?:::{_NAME})?)
    | (?P<quoted>`[^`]+`)
    | (?P<text>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
    | (?P<op>%[^%\s]*% | \*\* | && | \|\| | [<>=!]= | [-+*/^:<>!&|~(),=])""",
    re.VERBOSE,
)
_BLANK = re.compile(r"""`[^`]*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\s""", re.DOTALL)
_HINTS = {
    "$": "name the column alone: x, not data$x",
    "@": "name the column alone",
    "[": "indexing is not part of a formula; make a column of it first",
    "_": "a name that does not start with a letter goes in backquotes: `_x`",
    "'": "the string has no end",
    '"': "the string has no end",
    "`": "the backquoted name has no end",
    "%": "an operator such as %in% ends with a second '%'",
    **dict.fromkeys("\u201c\u201d\u201e", 'write a straight quote: "'),
    **dict.fromkeys("\u2018\u2019", "write a straight quote: '"),
    **dict.fromkeys("\u2212\u2013\u2014", "write a minus: -"),
    "\u223c": "write a tilde: ~",
    "\u00d7": "write an asterisk: *",
}


class _Token(NamedTuple):
    kind: str  # "number", "name", "quoted", "text", "op" or "end"
    text: str
    span: tuple[int, int]

    def op(self, *texts: str) -> bool:
        """Whether the token is one of these operators (and not a string that reads like one)."""
        return self.kind == "op" and self.text in texts


def _tokens(source: str) -> list[_Token]:
    """All tokens of ``source`` with an ``end`` token last."""
    tokens, at = [], 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            span = (at, len(source) if source[at] in "'\"`" else at + 1)
            raise BrimError(f"unexpected {source[at]!r} in a formula", source=source, span=span, hint=_HINTS.get(source[at]))
        if found.lastgroup != "space":
            # R reads "**" as "^".
            text = "^" if found.group() == "**" else found.group()
            tokens.append(_Token(str(found.lastgroup), text, found.span()))
        at = found.end()
    return [*tokens, _Token("end", "", (len(source), len(source)))]


def _how_to_write(given: object) -> str:
    """What to do with something that is no text."""
    if isinstance(given, list | tuple):
        return 'several formulas of one model go into bf("y ~ x", "sigma ~ x"), those of several responses into mvbf()'
    return 'the formula comes first, then the data: brm("y ~ x", data)' if hasattr(given, "columns") else 'write it as "y ~ x"'


def parse(text: str) -> Node:
    """The tree of a formula or of any expression in R's syntax.

    Parameters
    ----------
    text
        ``"lhs ~ rhs"`` gives ``Binary("~", lhs, rhs)``, ``"~ rhs"`` gives ``Unary("~", rhs)``; other expressions give their own node.
        The operators are R's, with R's precedence (``^``, unary ``-``, ``:``, ``%in%``, ``* /``, ``+ -``, comparisons, ``!``,
        ``& &&``, ``| ||``, ``~``); ``**`` is ``^``.

    Raises
    ------
    BrimError
        When the text is not a formula; the message underlines the token.

    Examples
    --------
    >>> parse("y ~ -x^2").right
    Unary(op='-', operand=Binary(op='^', left=Name(name='x'), right=Number(value=2.0)))
    """
    if not isinstance(text, str):
        raise BrimError(f"a formula is a string, not {type(text).__name__}", hint=_how_to_write(text))
    # Line breaks become blanks, so that the formula is shown on one line; what stands in quotes is a name or text as it is.
    source = _BLANK.sub(lambda m: " " if m[0].isspace() else m[0], text)
    if not source.strip():
        raise BrimError("the formula is empty", hint='write for example "y ~ x"')
    parser = _Parser(source)
    parser.one_tilde()
    node = parser.expression()
    if parser.next.kind != "end":
        parser.unexpected(parser.next)
    return node


_N = TypeVar("_N", bound=Node)


class _Parser:
    """Precedence climbing: ``expression(power)`` reads everything that binds tighter than ``power``."""

    def __init__(self, source: str) -> None:
        self.source, self.tokens, self.at, self.depth, self.level = source, _tokens(source), 0, 0, 0
        self.height: dict[int, int] = {}

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def node(self, made: _N, start: int, end: int) -> _N:
        """Stamp a new node with its place."""
        object.__setattr__(made, "source", self.source)
        object.__setattr__(made, "span", (start, end))
        # sums of terms may be long, who reads them takes them as chains; not so what stands inside a call
        whole = self.depth == 0 and isinstance(made, Binary) and made.op in "+~"
        height = 0
        for child in children(made):
            chained = whole and isinstance(child, Binary) and child.op == "+"
            height = max(height, self.height[id(child)] + (not chained))
        if height > _TALLEST:
            self.fail(f"an expression of more than {_TALLEST} operations", (start, end), "make a column of a part of it")
        self.height[id(made)] = height
        return made

    def fail(self, what: str, span: tuple[int, int], hint: str | None = None) -> NoReturn:
        raise BrimError(what, source=self.source, span=span, hint=hint)

    def one_tilde(self) -> None:
        """A formula has one ``~`` at most, and not inside parentheses."""
        depth = seen = 0
        for token in self.tokens:
            depth += token.op("(") - token.op(")")
            seen += token.op("~")
            if token.op("~") and (seen > 1 or depth):
                self.fail("a formula has one '~', outside all parentheses", token.span)

    def expression(self, power: int = 0) -> Node:
        self.level += 1
        if self.level > _DEEPEST:
            self.fail(f"the formula is nested more than {_DEEPEST} deep", self.next.span, "make a column of the inner part")
        node = self.operators(power)
        self.level -= 1
        return node

    def operators(self, power: int) -> Node:
        left = self.operand()
        while self.binds(self.next) > power:
            op = self.take()
            own = _POWER[op.text]
            right = self.expression(own - 1 if op.text == "^" else own)
            left = self.node(Binary(op.text, left, right), left.span[0], right.span[1])
            if own == self.binds(self.next) == _POWER["=="]:
                self.fail("comparisons do not chain", self.next.span, "write a < b & b < c")
        return left

    def binds(self, op: _Token) -> int:
        """How tightly an operator after an operand binds; 0 for what is no binary operator."""
        if op.kind == "op" and op.text.startswith("%") and op.text not in _INFIX:
            self.fail(f"unknown operator {op.text!r}", op.span, "the operators of this kind are %in%, %% and %/%")
        return _POWER[op.text] if op.op(*_INFIX) else 0

    def operand(self) -> Node:
        token = self.take()
        match token.kind, token.text:
            case "number", text:
                value = _number(text)
                if not math.isfinite(value):
                    self.fail(f"the number {text} is too large", token.span, "the largest is about 1.8e308")
                return self.node(Number(value), *token.span)
            case "text", text:
                return self.node(Text(_unescape(text[1:-1])), *token.span)
            case "quoted" | "name", _:
                return self.name(token)
            case "op", "(":
                return self.paren(token)
            case "op", ("-" | "+" | "!" | "~") as op if op != "~" or self.at == 1:
                inner = self.expression(_PREFIX[op])
                return self.node(Unary(op, inner), token.span[0], inner.span[1])
        return self.missing(token)

    def name(self, token: _Token) -> Node:
        text = token.text.strip("`")
        if self.next.op("("):
            return self.call(token, text)
        if token.kind == "name":
            if text in _CONSTANTS:
                return self.node(Constant(_CONSTANTS[text]), *token.span)
            if text in _PYTHON:
                self.fail(f"{text} is not R", token.span, f"inside a formula write {_PYTHON[text]}")
            if "::" in text:
                self.fail(f"{text!r} is not called", token.span, "only functions can be taken from a package: pkg::fn(x)")
        return self.node(Name(text), *token.span)

    def paren(self, opened: _Token) -> Node:
        self.depth += 1
        inner = self.expression()
        end = self.close(opened)
        return self.node(Paren(inner), opened.span[0], end)

    def close(self, opened: _Token) -> int:
        """Take the parenthesis that closes ``opened``; its end."""
        if self.next.kind == "end":
            self.fail("'(' is never closed", opened.span, "add the missing ')'")
        if not self.next.op(")"):
            self.unexpected(self.next)
        self.depth -= 1
        return self.take().span[1]

    def call(self, name: _Token, fn: str) -> Node:
        opened = self.take()
        self.depth += 1
        args: list[Node] = []
        kwargs: dict[str, Node] = {}
        more = not self.next.op(")")
        while more:
            self.argument(args, kwargs)
            more = self.next.op(",")
            if more:
                self.take()
        end = self.close(opened)
        return self.node(Call(fn, tuple(args), tuple(kwargs.items())), name.span[0], end)

    def argument(self, args: list[Node], kwargs: dict[str, Node]) -> None:
        """Read one argument into the positional or the named ones."""
        key, equals = self.next, self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if key.kind not in ("name", "quoted", "text") or not equals.op("="):
            args.append(self.expression())
            return
        word = key.text.strip("`\"'")
        if word in kwargs:
            self.fail(f"argument {word!r} is given twice", key.span)
        self.at += 2
        kwargs[word] = self.expression()

    def missing(self, token: _Token) -> NoReturn:
        """An operand should start at ``token`` and does not: say which neighbour lacks it."""
        before = self.tokens[self.at - 2] if self.at > 1 else _Token("op", "", token.span)
        if token.op("="):
            self.unexpected(token)
        if before.op("(") and token.kind == "end":
            self.fail("'(' is never closed", before.span, "add the missing ')'")
        if before.op("(") and token.op(")"):
            self.fail("nothing stands between the parentheses", (before.span[0], token.span[1]))
        if token.op(",") or (before.op(",") and (token.op(")") or token.kind == "end")):
            self.fail("an argument is missing", before.span if before.op(",") else token.span, "remove the extra comma")
        if token.kind == "op" and not token.op(")"):
            self.fail(f"'{token.text}' has nothing on its left", token.span, "put a term before it")
        if before.op("~"):
            self.fail("nothing stands right of '~'", before.span, 'for an intercept alone write "y ~ 1"')
        if before.op(""):
            self.unexpected(token)
        self.fail(f"'{before.text}' has nothing on its right", before.span, "put a term after it or remove it")

    def unexpected(self, token: _Token) -> NoReturn:
        """An operand is complete, but what follows is no operator."""
        if token.op("="):
            inside = "use '==' to compare; 'name = value' stands directly inside a call"
            self.fail("'=' has no place here", token.span, inside if self.depth else "write '~' between the response and its predictors")
        if token.op(")"):
            self.fail("')' closes nothing", token.span, "remove it or add the missing '('")
        if token.op(","):
            self.fail("',' stands outside a call", token.span, "join terms with '+'")
        self.fail(f"an operator is missing before '{token.text}'", token.span, "join terms with '+', interactions with ':'")


def _number(text: str) -> float:
    digits = text.removesuffix("L")
    value = int(digits, 16) if digits[:2] in ("0x", "0X") else float(digits)
    if abs(value) > sys.float_info.max:
        return math.inf
    return int(value) if text.endswith("L") and value == int(value) else float(value)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text)


def deparse(node: Node) -> str:
    """The text of a node as R prints it, from which R makes the names of coefficients.

    Examples
    --------
    >>> deparse(parse("I( x**2 )*poly(x,2)+s(x,k=5)"))
    'I(x^2) * poly(x, 2) + s(x, k = 5)'
    >>> deparse(parse("a:b/100000"))
    'a:b/1e+05'
    """
    match node:
        case Name(name):
            return _symbol(name)
        case Number(value):
            return _digits(value)
        case Text(value):
            return _quote(value)
        case Constant(value):
            return next(word for word, known in _CONSTANTS.items() if known is value or (known == value and type(known) is type(value)))
        case Paren(inner):
            return f"({deparse(inner)})"
        case Unary(op, operand):
            return op + _wrapped(operand, isinstance(operand, Binary) and _strength(operand) < _PREFIX[op])
        case Binary(op):
            return (op if op in _TIGHT else f" {op} ").join(_operands(node))
        case Call(fn, args, kwargs):
            return f"{fn if '::' in fn else _symbol(fn)}({', '.join(_arguments(args, kwargs))})"
    raise TypeError(f"not a formula node: {node!r}")


def _operands(node: Binary) -> list[str]:
    """The texts of ``a op b op c``, in parentheses where a tree that no text gave needs them."""
    power = _POWER[node.op]
    if node.op == "^":
        wrap = isinstance(node.right, Binary) and _strength(node.right) < power
        return [_wrapped(node.left, _strength(node.left) <= power), _wrapped(node.right, wrap)]
    first, *rest = chain(node, node.op)
    after = [_wrapped(one, isinstance(one, Binary) and _strength(one) <= power) for one in rest]
    return [_wrapped(first, _strength(first) < power), *after]


def _arguments(args: tuple[Node, ...], kwargs: tuple[tuple[str, Node], ...]) -> list[str]:
    """Arguments in the order written, which the spans remember (a stable sort leaves nodes without a place alone)."""
    written = [(arg.span, deparse(arg)) for arg in args] + [(value.span, f"{_symbol(key)} = {deparse(value)}") for key, value in kwargs]
    return [text for _, text in sorted(written, key=lambda pair: pair[0])]


def _strength(node: Node) -> int:
    """How tightly the outermost operator of a node binds."""
    match node:
        case Binary(op):
            return _POWER[op]
        case Unary(op):
            return _PREFIX[op]
    return len(_LEVELS) + 1


def _wrapped(node: Node, wrap: bool) -> str:
    return f"({deparse(node)})" if wrap else deparse(node)


def _symbol(name: str) -> str:
    return name if re.fullmatch(_NAME, name) and name not in _RESERVED else f"`{name}`"


def _quote(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"'} | {char: f"\\{letter}" for letter, char in _ESCAPES.items()}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def _digits(value: float) -> str:
    """R's text of a number: at most 15 digits, fixed notation unless the scientific one is shorter."""
    if isinstance(value, int):
        return f"{value}L"
    mantissa, exponent = f"{value:.14e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    scientific = f"{mantissa}e{int(exponent):+03d}"
    fixed = f"{value:.{max(0, len(mantissa.lstrip('-').replace('.', '')) - 1 - int(exponent))}f}"
    return fixed if len(fixed) <= len(scientific) else scientific
