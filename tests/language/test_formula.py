"""The formula language against R: precedence, printing, expansion into terms; and its error messages."""

import contextlib
import math
import random

import pytest

from brim.errors import BrimError
from brim.language.expand import (
    ADDITIONS,
    SPECIALS,
    Binary,
    Call,
    Constant,
    Name,
    Number,
    Paren,
    Text,
    Unary,
    arguments,
    deparse,
    expand,
    label,
    parse,
    special,
    split_response,
    variables,
    walk,
)


def bracketed(node):
    """The tree in brackets, parentheses of the text dropped."""
    match node:
        case Paren(inner):
            return bracketed(inner)
        case Binary(op, left, right):
            return f"({bracketed(left)} {op} {bracketed(right)})"
        case Unary(op, operand):
            return f"({op}{bracketed(operand)})"
    return deparse(node)


# R: f <- function(e) if (is.call(e)) { o <- as.character(e[[1]]); if (length(e) == 3) paste0("(", f(e[[2]]), " ", o, " ", f(e[[3]]), ")")
#      else paste0("(", o, f(e[[2]]), ")") } else deparse(e);  f(parse(text = s)[[1]])
PRECEDENCE = {
    "-x^2": "(-(x ^ 2))",
    "2^-x:y": "((2 ^ (-x)) : y)",
    "2^-1": "(2 ^ (-1))",
    "a+b*c": "(a + (b * c))",
    "a*b:c": "(a * (b : c))",
    "a:b^c": "(a : (b ^ c))",
    "a%in%b*c": "((a %in% b) * c)",
    "a%in%b:c": "(a %in% (b : c))",
    "a*b%in%c": "(a * (b %in% c))",
    "a-b-c": "((a - b) - c)",
    "a^b^c": "(a ^ (b ^ c))",
    "a/b*c": "((a / b) * c)",
    "!a==b": "(!(a == b))",
    "!a&b": "((!a) & b)",
    "a&b|c": "((a & b) | c)",
    "a|b&c": "(a | (b & c))",
    "a==b+c": "(a == (b + c))",
    "a<b&c>d": "((a < b) & (c > d))",
    "-a:b": "((-a) : b)",
    "-a*b": "((-a) * b)",
    "a*-b+c": "((a * (-b)) + c)",
    "a+!b+c": "(a + (!(b + c)))",
    "y~a+b|c": "(y ~ ((a + b) | c))",
    "a||b|c": "((a || b) | c)",
    "a%%b*c": "((a %% b) * c)",
    "a:b:c": "((a : b) : c)",
    "-a^b:c": "((-(a ^ b)) : c)",
    "~a+b": "(~(a + b))",
    "a - -b": "(a - (-b))",
    "a^-b^c": "(a ^ (-(b ^ c)))",
    "!-a": "(!(-a))",
    "a %/% b + c": "((a %/% b) + c)",
    "a != b | c": "((a != b) | c)",
    "x*!y==z & w": "((x * (!(y == z))) & w)",
    "a**b": "(a ^ b)",
    "(a - b)*c": "((a - b) * c)",
}


@pytest.mark.parametrize(("text", "tree"), PRECEDENCE.items())
def test_precedence_is_r(text, tree):
    assert bracketed(parse(text)) == tree


# R: deparse(quote(...))
DEPARSED = {
    "a  +  b": "a + b",
    "a / b": "a/b",
    "a ^ b": "a^b",
    "a : b": "a:b",
    "a*b": "a * b",
    "a%in%b": "a %in% b",
    "a %% b": "a%%b",
    "a %/% b": "a%/%b",
    "- x": "-x",
    "! x": "!x",
    "~ x": "~x",
    "y~x": "y ~ x",
    "a==b": "a == b",
    "a&&b": "a && b",
    "(1+x||g)": "(1 + x || g)",
    "I( -x^2 )": "I(-x^2)",
    "f(x,k=5,z)": "f(x, k = 5, z)",
    "f( `a b`=2 )": "f(`a b` = 2)",
    "`x y`(2)": "`x y`(2)",
    "`my var`+`x`": "`my var` + x",
    "x.1 + .z": "x.1 + .z",
    "f('a')": 'f("a")',
    "'a\"b'": '"a\\"b"',
    '"a\'b"': '"a\'b"',
    "'a\\n\\\\'": '"a\\n\\\\"',
    "stats::poly(x,2)": "stats::poly(x, 2)",
    "TRUE": "TRUE",
    "FALSE": "FALSE",
    "NULL": "NULL",
    "NA": "NA",
    "Inf": "Inf",
    "pi": "pi",
    "2L": "2L",
    "100000L": "100000L",
    "0x10": "16",
    "1e-3": "0.001",
    "1e-5": "1e-05",
    "0.5e-4": "5e-05",
    "0.00012": "0.00012",
    "0.00001234": "1.234e-05",
    "1000": "1000",
    "100000": "1e+05",
    "120000": "120000",
    "123456": "123456",
    "12345678": "12345678",
    "1234567.891": "1234567.891",
    "3e10": "3e+10",
    "1e15": "1e+15",
    "1e-300": "1e-300",
    "314159265358979": "314159265358979",
    "1.50": "1.5",
    "5.": "5",
    ".5": "0.5",
}


@pytest.mark.parametrize(("text", "printed"), DEPARSED.items())
def test_deparse_is_r(text, printed):
    assert deparse(parse(text)) == printed
    assert deparse(parse(printed)) == printed


def test_deparse_of_built_trees_has_the_parentheses_r_adds():
    a, b, c = map(Name, "abc")
    # R: deparse(call("*", quote(a + b), quote(c))), ...
    assert deparse(Binary("*", Binary("+", a, b), c)) == "(a + b) * c"
    assert deparse(Binary("^", Unary("-", a), Number(2.0))) == "(-a)^2"
    assert deparse(Unary("-", Binary("+", a, b))) == "-(a + b)"
    assert deparse(Binary("-", a, Binary("-", b, c))) == "a - (b - c)"
    assert deparse(Binary("^", Binary("^", a, b), c)) == "(a^b)^c"
    assert deparse(Binary("^", a, Binary("^", b, c))) == "a^b^c"
    assert deparse(Binary("^", a, Unary("-", b))) == "a^-b"
    assert deparse(Binary(":", Binary("+", a, b), c)) == "(a + b):c"
    assert deparse(Binary("/", a, Binary("*", b, c))) == "a/(b * c)"
    assert deparse(Binary("*", Unary("-", a), b)) == "-a * b"
    assert deparse(Unary("!", Binary("&", a, b))) == "!(a & b)"
    assert deparse(Binary("==", Binary("|", a, b), c)) == "(a | b) == c"


def test_leaves():
    call = parse("f(x.1, `my var`, 'it''s', \"s\", 2L, 1e-3, k = TRUE, NULL)".replace("''", "\\'"))
    assert call.fn == "f"
    assert call.args == (Name("x.1"), Name("my var"), Text("it's"), Text("s"), Number(2), Number(0.001), Constant(None))
    assert call.kwargs == (("k", Constant(True)),)
    assert isinstance(call.args[4].value, int)
    assert isinstance(call.args[5].value, float)
    assert [parse(text).value for text in ("TRUE", "FALSE", "NULL", "Inf", "pi")] == [True, False, None, math.inf, math.pi]
    assert math.isnan(parse("NA").value)
    assert parse("größe") == Name("größe")
    assert parse("`TRUE`") == Name("TRUE")


def test_spans_cover_what_the_nodes_say():
    text = "log(y) | w(k = a + 1) ~ x*(b - `my var`)\n + (1 | g)"
    for node in walk(parse(text)):
        assert deparse(parse(node.source[slice(*node.span)])) == deparse(node)
        assert node.source == text.replace("\n", " ")


def test_equality_ignores_the_place():
    left, right = parse("log(x) + log( x )").left, parse("log(x) + log( x )").right
    assert left == right
    assert hash(left) == hash(right)
    assert left.span != right.span


# What is wrong -> (the token underlined, a part of the message)
SYNTAX_ERRORS = {
    "y ~": ("~", "nothing stands right of '~'"),
    "y ~ x +": ("+", "'+' has nothing on its right"),
    "y ~ x + * z": ("*", "'*' has nothing on its left"),
    "y ~ * x": ("*", "'*' has nothing on its left"),
    "y ~ (x": ("(", "'(' is never closed"),
    "y ~ log(x": ("(", "'(' is never closed"),
    "y ~ log(": ("(", "'(' is never closed"),
    "y ~ x)": (")", "')' closes nothing"),
    "y ~ (x +)": ("+", "'+' has nothing on its right"),
    "y ~ ()": ("()", "nothing stands between the parentheses"),
    "y ~ f(x,)": (",", "an argument is missing"),
    "y ~ f(,x)": (",", "an argument is missing"),
    "y ~ f(k = )": ("=", "'=' has nothing on its right"),
    "y ~ f(k = 1, k = 2)": ("k", "argument 'k' is given twice"),
    "y ~ x z": ("z", "an operator is missing before 'z'"),
    "y ~ 2x": ("x", "an operator is missing before 'x'"),
    "y ~ x ! z": ("!", "an operator is missing before '!'"),
    "y ~ x, z": (",", "',' stands outside a call"),
    "y = x": ("=", "write '~' between the response and its predictors"),
    "y ~ I(x + 1 = 2)": ("=", "use '==' to compare"),
    "y ~ x ~ z": ("~", "a formula has one '~'"),
    "y ~ ~ z": ("~", "a formula has one '~'"),
    "y ~ (x ~ z)": ("~", "a formula has one '~'"),
    "y ~ a < b < c": ("<", "comparisons do not chain"),
    "y ~ a %o% b": ("%o%", "unknown operator '%o%'"),
    "y ~ d$x": ("$", "name the column alone"),
    "y ~ x[1]": ("[", "indexing is not part of a formula"),
    "y ~ _x": ("_", "goes in backquotes"),
    "y ~ 'abc": ("'abc", "the string has no end"),
    "y ~ `abc": ("`abc", "the backquoted name has no end"),
    "y ~ x; z": (";", "unexpected ';'"),
    "y ~ gr(g, cor = False)": ("False", "inside a formula write FALSE"),
    "y ~ stats::x": ("stats::x", "only functions can be taken from a package"),
}


@pytest.mark.parametrize(("text", "wanted"), SYNTAX_ERRORS.items())
def test_syntax_errors_underline_the_token(text, wanted):
    token, message = wanted
    with pytest.raises(BrimError) as caught:
        parse(text)
    assert text[slice(*caught.value.span)] == token
    assert message in str(caught.value)


def test_the_last_of_two_equal_tokens_is_blamed():
    with pytest.raises(BrimError) as caught:
        parse("y ~ x ~ z")
    assert caught.value.span == (6, 7)
    with pytest.raises(BrimError) as caught:
        parse("((a)")
    assert caught.value.span == (0, 1)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty_formula(text):
    with pytest.raises(BrimError, match="the formula is empty"):
        parse(text)


def test_any_text_parses_to_what_it_prints_or_is_refused():
    draw = random.Random(1)
    words = "a b 1 0 2.5 'q' TRUE f( ( ) , = ~ + - * / ^ : | || & ! == < %in% . `x y` $ s(".split()
    parsed = 0
    for _ in range(4000):
        text = " ".join(draw.choices(words, k=draw.randint(1, 7)))
        with contextlib.suppress(BrimError):
            tree = parse(text)
            parsed += 1
            assert parse(deparse(tree)) == tree
            variables(tree)
            expand(tree)
    assert parsed > 200


def test_not_a_string():
    with pytest.raises(BrimError, match="a formula is a string, not int"):
        parse(5)


# R: d <- data.frame(y = 1, a = 1, b = 1, c = 1); t <- terms(f, data = d);
#    paste(attr(t, "intercept"), "|", paste(attr(t, "term.labels"), collapse = " ; "))
EXPANDED = {
    "~ a + b:a": "1 | a ; a:b",
    "~ b:a + a": "1 | a ; b:a",
    "~ a*b - a": "1 | b ; a:b",
    "~ (a+b+c)^2": "1 | a ; b ; c ; a:b ; a:c ; b:c",
    "~ (a+b+c)^2 - a:b": "1 | a ; b ; c ; a:c ; b:c",
    "~ (a+b)^3": "1 | a ; b ; a:b",
    "~ (a+b+c+d)^3": "1 | a ; b ; c ; d ; a:b ; a:c ; a:d ; b:c ; b:d ; c:d ; a:b:c ; a:b:d ; a:c:d ; b:c:d",
    "~ a/b": "1 | a ; a:b",
    "~ a/b/c": "1 | a ; a:b ; a:b:c",
    "~ (a+b)/c": "1 | a ; b ; a:b:c",
    "~ a/(b+c)": "1 | a ; a:b ; a:c",
    "~ a/(b*c)": "1 | a ; a:b ; a:c ; a:b:c",
    "~ a %in% b": "1 | a:b",
    "~ a + b %in% a": "1 | a ; a:b",
    "~ (a+b) %in% c": "1 | a:c ; b:c",
    "~ a %in% b:c": "1 | a:b:c",
    "~ 0 + a": "0 | a",
    "~ a - 1": "0 | a",
    "~ a + 0": "0 | a",
    "~ a - 0": "1 | a",
    "~ -1 + a": "0 | a",
    "~ 0 + a + 1": "1 | a",
    "~ a - 1 + 1": "1 | a",
    "~ 1 + 0": "0 |",
    "~ 1 - 1": "0 |",
    "~ a - -1": "1 | a",
    "~ a - (0 + b)": "1 | a",
    "~ a - (1 + b)": "0 | a",
    "~ (a - 1)*b": "0 | a ; b ; a:b",
    "~ a*1": "1 | a",
    "~ a:1": "1 |",
    "~ 1": "1 |",
    "~ 0": "0 |",
    "~ NULL": "1 |",
    "~ a + a": "1 | a",
    "~ a:a": "1 | a",
    "~ a*a": "1 | a",
    "~ a^2": "1 | a",
    "~ a:b:c + a": "1 | a ; a:b:c",
    "~ a*b*c": "1 | a ; b ; c ; a:b ; a:c ; b:c ; a:b:c",
    "~ a*b*c - a:b:c": "1 | a ; b ; c ; a:b ; a:c ; b:c",
    "~ log(a) + log( a )": "1 | log(a)",
    "~ I(a^2)*b": "1 | I(a^2) ; b ; I(a^2):b",
    "~ poly(a, 2) + poly(a,2,raw=TRUE)": "1 | poly(a, 2) ; poly(a, 2, raw = TRUE)",
    "~ a + (b + c)": "1 | a ; b ; c",
    "~ a - b": "1 | a",
    "~ a + b - b": "1 | a",
    "~ a - a": "1 |",
    "~ a - (b + a)": "1 |",
    "~ -a + b": "1 | b",
    "~ +a": "1 | a",
    "~ a > 2 + b": "1 | a > 2 + b",
    "~ !a": "1 | !a",
    "~ a == b": "1 | a == b",
    "~ a %% 2": "1 | a%%2",
    "~ (a + b)*(a + c)": "1 | a ; b ; c ; a:c ; a:b ; b:c",
    "~ a:(b + c)": "1 | a:b ; a:c",
    "~ (a+b):(c+d)": "1 | a:c ; a:d ; b:c ; b:d",
    "~ c:a + a*b": "1 | a ; b ; c:a ; a:b",
    "~ a*b + c*d": "1 | a ; b ; c ; d ; a:b ; c:d",
    "~ a + b*c + a:c": "1 | a ; b ; c ; b:c ; a:c",
    "~ b:c - a + a:b": "1 | b:c ; b:a",
    "~ (a*b)^2": "1 | a ; b ; a:b",
    "~ (a/b)^2": "1 | a ; a:b",
    "~ a*b/c": "1 | a ; b ; a:b ; a:b:c",
    "~ a/b*c": "1 | a ; c ; a:b ; a:c ; a:b:c",
    "~ a:b/c": "1 | a:b ; a:b:c",
    "~ s(x, k=5) + x": "1 | s(x, k = 5) ; x",
    "~ mo(x)*z": "1 | mo(x) ; z ; mo(x):z",
    "~ mo(x):z": "1 | mo(x):z",
    "~ `my var`*b": "1 | `my var` ; b ; `my var`:b",
    "~ a + . - b": "1 | a ; y ; c",
    "y ~ .": "1 | a ; b ; c",
    "log(y) ~ .": "1 | a ; b ; c",
    "cbind(y, a) ~ .": "1 | b ; c",
    "y ~ 0 + .": "0 | a ; b ; c",
    "y ~ .^2": "1 | a ; b ; c ; a:b ; a:c ; b:c",
    "y ~ (.)^2 - b:c": "1 | a ; b ; c ; a:b ; a:c",
    "y ~ . - a": "1 | b ; c",
    "y ~ a:.": "1 | a ; a:b ; a:c",
    "y ~ .*b": "1 | a ; b ; c ; a:b ; b:c",
    "y ~ log(a) + .": "1 | log(a) ; a ; b ; c",
    "y ~ b + .": "1 | b ; a ; c",
    "y ~ . + a:b": "1 | a ; b ; c ; a:b",
    "y ~ y:a": "1 | y:a",
}


@pytest.mark.parametrize(("text", "wanted"), EXPANDED.items())
def test_expansion_is_r(text, wanted):
    found = expand(parse(text), ("y", "a", "b", "c"))
    assert f"{int(found.intercept)} | {' ; '.join(map(label, found.terms))}".strip() == wanted
    assert found.groups == ()


def test_dot_leaves_out_what_the_additions_use():
    found = expand(parse("y | weights(w) ~ ."), ("y", "w", "a"))
    assert found.terms == ((Name("a"),),)


def test_power_one_is_the_term_itself():
    assert expand(parse("~ (a + b)^1")).terms == ((Name("a"),), (Name("b"),))


def test_offsets_are_terms_of_their_own():
    found = expand(parse("y ~ b*c + offset(log(a)) - 1"))
    assert [label(term) for term in found.terms] == ["b", "c", "offset(log(a))", "b:c"]


def test_the_tree_and_the_places_are_kept():
    tree = parse("y ~ a + log(b):a + (1 | g/h)")
    found = expand(tree)
    assert found.node is tree
    (_, factor) = found.terms[1]
    assert factor.source[slice(*factor.span)] == "log(b)"
    nested = found.groups[1]
    assert nested.by.source[slice(*nested.by.span)] == "g/h"
    assert nested.node.source[slice(*nested.node.span)] == "1 | g/h"


def test_thousands_of_terms():
    text = "y ~ " + " + ".join(f"x{i}" for i in range(3000))
    tree = parse(text)
    assert len(expand(tree).terms) == 3000
    assert variables(tree)[-1] == "x2999"
    assert deparse(tree) == text


# The groups that brms 2.18 makes of a term: brms:::tidy_ranef(brmsterms(bf(f)), data), written as (x | by), (x || by), (x | ID | by).
GROUPS = {
    "(1 | g)": ["1 | g"],
    "(1 + x || g)": ["1 + x || g"],
    "(-1 + x | g)": ["0 + x | g"],
    "(0 + x*z | g)": ["0 + x + z + x:z | g"],
    "(x | ID | g)": ["1 + x | ID | g"],
    "(x | 1 | g)": ["1 + x | 1 | g"],
    "(1 | g/h)": ["1 | g", "1 | g:h"],
    "(1 | g/h/k)": ["1 | g", "1 | g:h", "1 | g:h:k"],
    "(1 | (g/h))": ["1 | g", "1 | g:h"],
    "(x | ID | g/h)": ["1 + x | ID | g", "1 + x | ID | g:h"],
    "(1 | g + h)": ["1 | g", "1 | h"],
    "(1 | g*h)": ["1 | g", "1 | h", "1 | g:h"],
    "(1 | g:h)": ["1 | g:h"],
    "(1 | h:g)": ["1 | h:g"],
    "(1 | gr(g, cor = FALSE))": ["1 | gr(g, cor = FALSE)"],
    "(1 | gr(g:h))": ["1 | gr(g:h)"],
    "(1 | gr(g) + gr(h))": ["1 | gr(g)", "1 | gr(h)"],
    "(1 | mm(g, h:k, weights = cbind(u, v)))": ["1 | mm(g, h:k, weights = cbind(u, v))"],
    "(1 + mmc(a, b) | mm(g, h))": ["1 + mmc(a, b) | mm(g, h)"],
    "(1 | `my g`)": ["1 | `my g`"],
    "((1 | g))": ["1 | g"],
    "(1 | g) + (1|g)": ["1 | g"],
    "(1 | g) + (0 + x | g)": ["1 | g", "0 + x | g"],
    "(1 | h) + (1 | g)": ["1 | h", "1 | g"],
    "(1 | g) - (1 | g)": [],
    "(1 | g + h) - (1 | g + h)": [],
}


@pytest.mark.parametrize(("text", "wanted"), GROUPS.items())
def test_group_terms(text, wanted):
    found = expand(parse("y ~ z + " + text))
    written = []
    for group in found.groups:
        inner = " + ".join([str(int(group.terms.intercept)), *map(label, group.terms.terms)])
        ident = f"| {group.id} " if group.id else ""
        written.append(f"{inner} {ident}{'|' if group.correlated else '||'} {deparse(group.by)}")
    assert written == wanted
    assert found.terms == ((Name("z"),),)
    assert found.intercept


def test_a_bar_inside_a_call_is_no_group_term():
    found = expand(parse("y ~ I((a | b | c)) + z"))
    assert found.groups == ()
    assert [label(term) for term in found.terms] == ["I((a | b | c))", "z"]
    assert variables(found.node) == ("y", "a", "b", "c", "z")


# What is wrong -> (the token underlined, a part of the message)
TERM_ERRORS = {
    "y ~ 2": ("2", "2 is not a term"),
    "y ~ x + 'a'": ("'a'", '"a" is not a term'),
    "y ~ TRUE": ("TRUE", "TRUE is not a term"),
    "y ~ x^z": ("z", "'^' takes a whole number"),
    "y ~ x^0.5": ("0.5", "for a power of a column write I(x^2)"),
    "y ~ (a + b)^0": ("0", "'^' takes a whole number"),
    "y ~ .": (".", "'.' stands for the columns of the data"),
    "y ~ y + x": ("y", "the response stands on both sides of '~'"),
    "y ~ x*(1 | g)": ("1 | g", "a group term cannot be part of an interaction"),
    "y ~ (x + (1 | g))^2": ("1 | g", "a group term cannot be part of an interaction"),
    "y ~ offset(z):x": ("offset(z)", "an offset cannot be part of an interaction"),
    "y ~ (0 | g)": ("0 | g", "the group term has no coefficient"),
    "y ~ (. | g)": (".", "'.' cannot stand in a group term"),
    "y ~ ((1 | g) | h)": ("1 | g", "group terms do not nest"),
    "y ~ (x || a | g)": ("x || a | g", "a group term is (x | g), (x || g) or (x | ID | g)"),
    "y ~ (x | a || g)": ("x | a || g", "a group term is (x | g), (x || g) or (x | ID | g)"),
    "y ~ (x | a | b | g)": ("x | a | b | g", "a group term is (x | g), (x || g) or (x | ID | g)"),
    "y ~ (1 | factor(g))": ("factor(g)", "illegal grouping term 'factor(g)'"),
    "y ~ (1 | 1)": ("1", "illegal grouping term '1'"),
    "y ~ (1 | .)": (".", "illegal grouping term '.'"),
    "y ~ (1 | g - h)": ("g - h", "illegal grouping term 'g - h'"),
    "y ~ (1 | gr(g/h))": ("g/h", "illegal grouping term 'g/h'"),
    "y ~ (1 | gr(g, h))": ("h", "gr() takes one grouping factor"),
    "y ~ (1 | gr())": ("gr()", "gr() takes one grouping factor"),
    "y ~ (1 | mm(g))": ("mm(g)", "mm() takes two or more grouping factors"),
    "y ~ (1 | g:gr(h))": ("g:gr(h)", "illegal grouping term 'g:gr(h)'"),
    "y ~ (1 | gr(g, corr = FALSE))": ("corr", "did you mean 'cor'"),
}


@pytest.mark.parametrize(("text", "wanted"), TERM_ERRORS.items())
def test_term_errors_underline_the_token(text, wanted):
    token, message = wanted
    tree = parse(text)
    with pytest.raises(BrimError) as caught:
        expand(tree)
    assert caught.value.source[slice(*caught.value.span)] == token
    assert message in str(caught.value)


def test_the_response_on_the_right_is_the_one_underlined():
    with pytest.raises(BrimError) as caught:
        expand(parse("y ~ x + y"))
    assert caught.value.span == (8, 9)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("log(y) ~ x*z + I(x^2) + x", "y x z"),
        ("y | weights(w) + cens(c, y2) ~ x", "y w c y2 x"),
        ("s(x, k = 5, by = sex, bs = 'tp', xt = l)", "x sex"),
        ("gp(x, z, by = f, gr = TRUE)", "x z f"),
        ("me(x, sdx, gr = g) + mi(u, idx = i)", "x sdx g u i"),
        ("(1 + x | ID | gr(g, by = f, cov = A))", "x g f"),
        ("(1 | mm(g, h, weights = cbind(u, v)))", "g h u v"),
        ("car(M, gr = g) + sar(M = W) + fcor(V) + x", "g x"),
        ("ar(time, gr = g, p = 2)", "time g"),
        ("bhaz(gr = g, df = 5)", "g"),
        ("poly(x, degree = 2):`my var`", "x,my var"),
        ("x + . + TRUE + pi", "x"),
    ],
)
def test_variables(text, wanted):
    assert variables(parse(text)) == tuple(wanted.split("," if "," in wanted else None))


def test_left_side():
    left = split_response(parse("log(y) | resp_trials(n) + mi() + se(s, sigma = TRUE) ~ x"))
    assert deparse(left.response) == "log(y)"
    assert [deparse(call) for call in left.additions] == ["trials(n)", "mi()", "se(s, sigma = TRUE)"]
    assert left.addition("trials").args == (Name("n"),)
    assert left.addition("cens") is None
    assert split_response(parse("cbind(a, b) ~ x")).response == Call("cbind", (Name("a"), Name("b")))


LEFT_ERRORS = {
    "~ x": ("~ x", "the formula has no response"),
    "y | wieghts(w) ~ x": ("wieghts(w)", "did you mean 'weights'?"),
    "y | w ~ x": ("w", "'w' is not an addition term"),
    "y | weights(w) - trials(n) ~ x": ("weights(w) - trials(n)", "is not an addition term"),
    "y | weights(w) + weights(v) ~ x": ("weights(v)", "weights() is given twice"),
    "y || weights(w) ~ x": ("y || weights(w)", "'||' has no meaning left of '~'"),
    "y | weights(w, scal = TRUE) ~ x": ("scal", "did you mean 'scale'"),
    "y | cens(a, b, c) ~ x": ("c", "cens() has one argument too many"),
}


@pytest.mark.parametrize(("text", "wanted"), LEFT_ERRORS.items())
def test_left_side_errors_underline_the_token(text, wanted):
    token, message = wanted
    tree = parse(text)
    with pytest.raises(BrimError) as caught:
        split_response(tree)
    assert caught.value.source[slice(*caught.value.span)] == token
    assert message in str(caught.value)


def test_arguments_are_matched_as_in_r():
    dots, named = arguments(parse("arma(week, gr = g, 2)"))
    # R: match.call(brms::arma, quote(arma(week, gr = g, 2))) gives arma(time = week, gr = g, p = 2)
    assert dots == ()
    assert named == {"time": Name("week"), "gr": Name("g"), "p": Number(2.0)}
    dots, named = arguments(parse("s(x, z, k = 5)"))
    assert dots == (Name("x"), Name("z"))
    assert named == {"k": Number(5.0)}
    _, named = arguments(parse("trunc(0, ub = u)"), ADDITIONS)
    assert named == {"lb": Number(0.0), "ub": Name("u")}
    with pytest.raises(BrimError, match=r"mmc\(\) has no named arguments"):
        arguments(parse("mmc(a, b, k = 1)"))


def test_special_terms():
    kinds = {"s": "smooth", "t2": "smooth", "gp": "gp", "mo": "mo", "cse": "cs", "arma": "autocor", "car": "autocor", "mm": "group"}
    assert {fn: special(Call(fn)).kind for fn in kinds} == kinds
    assert special(parse("poly(x, 2)")) is None
    assert special(Name("s")) is None
    assert SPECIALS["car"].args == ("M", "gr", "type")
    assert SPECIALS["car"].outside == ("M",)
