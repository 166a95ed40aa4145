"""Whatever the text of a prior: a law with finite numbers whose density is finite somewhere, or brim's error."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

from brim import BrimError, brm, prior
from brim.parameters.laws import JOINT, LAWS, SHRINKING
from brim.parameters.text import parse_prior
from properties import FEW, MANY, hold, texts

D = {"y": np.arange(12.0) % 5, "x": np.arange(12.0) % 7, "g": list("abcd") * 3}

_numbers = st.recursive(
    st.one_of(st.floats(allow_nan=False).map(repr), st.sampled_from("0 1 -1 2.5 1e400 1e400L pi Inf NA 9^9^9^9 x".split())),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/^:"), inner).map("".join),
        st.tuples(st.sampled_from(("sqrt", "exp", "log", "c", "rep", "gamma")), inner).map("{0[0]}({0[1]})".format),
        inner.map("({})".format),
    ),
    max_leaves=4,
)
_laws = st.sampled_from(sorted({*LAWS, *JOINT, *SHRINKING, "constant", "flat", "nolaw"}))
_calls = st.tuples(_laws, st.lists(_numbers, max_size=4).map(", ".join)).map("{0[0]}({0[1]})".format)


def a_law_of_finite_numbers(text):
    try:
        found = parse_prior(text)
    except BrimError:
        return
    assert all(math.isfinite(v) for v in found.args)


def a_model_or_brims_error(drawn):
    text, class_, lb = drawn
    try:
        fit = brm("y ~ x + (1 | g)", D, prior=prior(text, class_=class_, lb=lb), empty=True)
    except BrimError:
        return
    assert text in list(fit.prior_summary()["prior"])


CASES = [
    (a_law_of_finite_numbers, _calls),
    (a_law_of_finite_numbers, texts),
    (
        a_model_or_brims_error,
        st.tuples(_calls, st.sampled_from(("b", "Intercept", "sd", "sigma", "L", "nope")), st.one_of(st.none(), st.floats(), texts)),
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES)
def test_priors(check, examples):
    hold(FEW, check, examples)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES)
def test_many_priors(check, examples):
    hold(MANY, check, examples)
