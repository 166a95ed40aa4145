"""Warnings of formulas that are hardly what was meant."""

import warnings

import numpy as np
import pandas as pd
import pytest

from brim import bf, brm, load_data
from brim.errors import BrimWarning

RNG = np.random.default_rng(0)
N = 60
D = pd.DataFrame(
    {"y": RNG.normal(size=N), "x": RNG.normal(size=N), "g": np.repeat([f"g{i:02}" for i in range(12)], 5), "d": np.tile(range(5), 12)}
)
D["t"] = [f"{v:.3f}" for v in D.x]
D["u"] = [*D.t[:-2], "n/a", "."]
D["id"] = [f"id{i}" for i in range(N)]
D["f"] = "f" + D.g.str[-1]
D["year"] = [str(2000 + i % 4) for i in range(N)]


def said(formula, data=D):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        brm(formula, data, empty=True)
    told = [str(w.message) for w in caught if issubclass(w.category, BrimWarning)]
    # as many coefficients, or levels, as rows: test_identified, test_degenerate
    return [m for m in told if "rows for 60 coefficients" not in m and "has one row: only priors tell" not in m]


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ t", ["column 't' holds numbers as text: it gets a coefficient for each of its 60 levels but one", "as.numeric(t)"]),
        (bf("y ~ x", "sigma ~ t"), ["column 't' holds numbers as text"]),
        ("y ~ u", ["column 'u' holds numbers as text, all but '.', 'n/a'"]),
        ("y ~ x + (t | g)", ["column 't' holds numbers as text"]),
        ("y ~ id", ["column 'id' holds text that differs in almost every row (60 values in 60 rows)", "(1 | id)"]),
        ("y ~ x + (g | x)", ["(g | x): 'x', right of the bar, holds measurements: 60 values in 60 rows", "did you mean (x | g)?"]),
        ("y ~ d + (g | d)", ["(g | d): 12 effects of 'g' vary by 'd', which has 5 levels", "did you mean (d | g)?"]),
        ("y ~ d + (g | gr(d))", ["12 effects of 'g' vary by 'd'"]),
    ],
)
def test_what_is_hardly_meant_is_said_once(formula, words):
    (message,) = said(formula)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | g)",
        "y ~ factor(t)",
        "y ~ as.numeric(t)",
        "y ~ f + (1 | id)",
        "y ~ year + (year | g)",
        "y ~ x + (1 | t)",
        "y ~ x + (f | id)",
        "y ~ (1 | x)",
    ],
)
def test_what_may_be_meant_is_not(formula):
    assert said(formula) == []


def test_the_mission_models_are_not_doubted():
    for name, formula in (("gpa", "gpa ~ occasion + sex + (1 + occasion | student)"), ("sleepstudy", "Reaction ~ Days + (Days | Subject)")):
        assert said(formula, load_data(name)) == []
