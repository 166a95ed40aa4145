"""Whatever the text: a tree whose own text gives it again, a model, or brim's error that points into the text."""

import numpy as np
import pytest
from hypothesis import strategies as st

from brim import BrimError, brm
from brim.language.nodes import Name
from brim.language.parser import deparse, parse
from properties import FEW, MANY, expressions, hold, odd_names, plain_names, texts

D = {"y": np.arange(12.0) % 5, "x": np.arange(12.0) % 7, "g": list("abcd") * 3, "b": np.arange(12) % 2}


def its_own_text_gives_it_again(text):
    try:
        tree = parse(text)
    except BrimError:
        return
    again = parse(deparse(tree))
    assert again == tree, text
    assert deparse(again) == deparse(tree)


def a_model_or_brims_error(text):
    try:
        fit = brm(f"y ~ {text}", D, empty=True)
    except BrimError:
        return
    assert len(set(fit.variables())) == len(fit.variables())


def names_are_names(name):
    assert parse(f"`{name}`") == Name(name)
    assert parse(deparse(Name(name))) == Name(name)


CASES = [
    (its_own_text_gives_it_again, st.tuples(plain_names, expressions()).map(" ~ ".join)),
    (its_own_text_gives_it_again, expressions(st.one_of(plain_names, odd_names.map("`{}`".format)))),
    (its_own_text_gives_it_again, texts),
    (names_are_names, odd_names),
    (a_model_or_brims_error, expressions(st.sampled_from(("x", "g", "b", "y", "nope")))),
    (a_model_or_brims_error, texts),
]
IDS = [f"{check.__name__}-{i}" for i, (check, _) in enumerate(CASES)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES, ids=IDS)
def test_texts(check, examples):
    hold(FEW, check, examples)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES, ids=IDS)
def test_many_texts(check, examples):
    hold(MANY, check, examples)
