"""Whatever the columns: data as they were given, or brim's error; new data of other types, categories and names likewise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

import brim
from brim import BrimError
from brim.frames.frame import Frame
from fits import random_draws
from properties import FEW, MANY, hold, odd_names

N = 8


def _cells(values):
    return st.lists(values, min_size=N, max_size=N)


_floats = _cells(st.floats())
_texts = _cells(st.one_of(st.text(max_size=4), st.none()))
_whole = _cells(st.integers(-(2**63), 2**63 - 1))
_flags = _cells(st.booleans())
_any = _cells(st.one_of(st.none(), st.floats(), st.text(max_size=3), st.integers(), st.booleans(), st.binary(max_size=2), st.tuples()))


def _array(*kinds):
    return st.tuples(_cells(st.integers(0, 100)), st.sampled_from(kinds)).map(lambda drawn: np.array(drawn[0]).astype(drawn[1]))


columns = st.one_of(
    _floats,
    _texts,
    _whole,
    _flags,
    _any,
    _array("i1", "u2", "f4", "f2", "?", "S3", "U2", "c8", "M8[D]", "m8[s]", "O"),
    _texts.map(pd.Categorical),
    _floats.map(pd.Series),
    _cells(st.one_of(st.none(), st.integers(0, 3))).map(lambda v: pd.array(v, dtype="Int64")),
)


def a_model_or_brims_error(column):
    for formula in ("y ~ x", "y ~ 1 + (1 | x)", "x ~ 1"):
        try:
            fit = brim.brm(formula, {"y": np.arange(N) + 0.5, "x": column}, empty=True)
        except BrimError:
            continue
        else:
            assert 0 < fit.nobs() <= N
            assert len(set(fit.variables())) == len(fit.variables())


def factors_hold_what_was_given(column):
    frame = Frame.read({"x": column})
    factor = frame["x"].as_factor()
    given_ = ["missing" if v is None or v is pd.NA or v != v else str(v) for v in column]
    kept = [factor.levels[c] if c >= 0 else "missing" for c in factor.codes]
    assert kept == given_
    assert sorted(factor.levels_used) == sorted(set(kept) - {"missing"})


def any_index_is_the_same(drawn):
    index, gone = drawn
    table = pd.DataFrame({"y": np.arange(N) + 0.5, "x": np.arange(N) % 3, "g": list("abcd") * 2})
    table.loc[gone, "x"] = np.nan
    plain = brim.brm("y ~ x + (1 | g)", table, empty=True)
    other = brim.brm("y ~ x + (1 | g)", table.set_axis(index), empty=True)
    assert plain.nobs() == other.nobs()
    one, two = plain.model.data(plain.frame), other.model.data(other.frame)
    for key, values in one["design"].items():
        if isinstance(values, dict):
            for name, array in values.items():
                np.testing.assert_array_equal(array, two["design"][key][name])


def names_do_not_matter(name):
    if name in ("y", "Intercept", "intercept") or "|" in name or "\\" in name:
        return
    table = {"y": np.arange(N) + 0.5, name: np.arange(N) % 3}
    fit = brim.brm(f"y ~ `{name}`", table, empty=True)
    assert len(set(fit.variables())) == 5
    assert fit.nobs() == N


_FIT = {}


def new_rows_or_brims_error(column):
    if not _FIT:
        _FIT["fit"] = random_draws("y ~ x + by + (1 | g)")
    plain = {"x": np.ones(N), "by": ["u"] * N, "g": [1] * N}
    for name in plain:
        try:
            found = _FIT["fit"].posterior_epred({**plain, name: column}, ndraws=2)
        except BrimError:
            continue
        else:
            assert found.shape == (2, N)


_labels = _cells(st.one_of(st.integers(0, 3), st.text(max_size=2), st.none()))
_gone = st.sets(st.integers(0, N - 1), max_size=3).map(sorted)

CASES = [
    (a_model_or_brims_error, columns),
    (factors_hold_what_was_given, st.one_of(_texts, _texts.map(pd.Categorical), _cells(st.integers(-9, 9)))),
    (any_index_is_the_same, st.tuples(_labels, _gone)),
    (names_do_not_matter, odd_names),
    (new_rows_or_brims_error, columns),
]


@pytest.mark.default_precision
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES, ids=[check.__name__ for check, _ in CASES])
def test_columns(check, examples):
    hold(FEW, check, examples)


@pytest.mark.slow
@pytest.mark.default_precision
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "examples"), CASES, ids=[check.__name__ for check, _ in CASES])
def test_many_columns(check, examples):
    hold(MANY, check, examples)
