"""What the property-based tests share: how many examples, and texts, columns and names that nobody would think of.

Few examples run in the ordinary suite, the same each time; `make slow` runs many.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
MANY = settings(FEW, max_examples=1500)

#: Names of columns: R's, and such as need backquotes.
plain_names = st.from_regex(r"[A-Za-z][A-Za-z0-9._]{0,5}", fullmatch=True)
odd_names = st.text(st.characters(exclude_characters="`\\", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8).filter(
    lambda s: s.strip() == s
)

_OPERATORS = (" + ", " - ", " * ", ":", "/", "^", " %in% ", " == ", " < ", " & ", " | ", " || ")


def _numbers():
    return st.one_of(
        st.integers(0, 10**6).map(str),
        st.integers(0, 99).map("{}L".format),
        st.floats(0, 1e12, allow_subnormal=False).map(lambda v: f"{v:.9g}"),
    )


def _larger(inner):
    arguments = st.lists(inner, max_size=3).map(", ".join)
    named = st.tuples(plain_names, inner).map(" = ".join)
    return st.one_of(
        st.tuples(inner, st.sampled_from(_OPERATORS), inner).map("".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from("-+!"), inner).map("".join),
        st.tuples(st.sampled_from(("log", "s", "poly", "I", "mo", "gr", "factor", "c")), arguments).map("{0[0]}({0[1]})".format),
        st.tuples(st.sampled_from(("s", "bs", "gr")), inner, named).map("{0[0]}({0[1]}, {0[2]})".format),
    )


def expressions(names=plain_names):
    """Right sides of formulas, by their grammar."""
    leaves = st.one_of(names, _numbers(), st.sampled_from(("TRUE", "NA", "Inf", '"text"', "'it''s'", "."))).filter(bool)
    return st.recursive(leaves, _larger, max_leaves=8)


#: Any text: by the characters of formulas, and any at all.
texts = st.one_of(st.text("xyg01~+-*/^:|()[]{},.`'\" =<>&!%$#\\\n\t", max_size=30), st.text(max_size=20))


def hold(how, check, examples):
    """The check holds for these examples, as many as ``how`` says."""
    how(given(examples)(lambda example: check(example)))()
