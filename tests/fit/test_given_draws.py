"""Draws from outside: of any library of data frames, and what is wrong with them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import brim

DRAWS = {"b_Intercept": [250.0, 252.0], "b_Days": [10.0, 11.0], "sigma": [50.0, 48.0]}


@pytest.fixture(scope="module")
def empty():
    return brim.brm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
def test_any_table_of_draws(empty, make):
    table = make({".chain": ["1", "1"], **DRAWS})
    np.testing.assert_array_equal(empty.with_draws(table).posterior_epred({"Days": [2]}), [[270.0], [274.0]])


def test_draws_that_are_no_numbers(empty):
    with pytest.raises(brim.BrimError, match="column 'sigma' of the draws is not numeric"):
        empty.with_draws(pd.DataFrame({**DRAWS, "sigma": ["a", "b"]}))
    with pytest.raises(brim.BrimError, match="column 'sigma' of the draws is not numeric"):
        empty.with_draws({**DRAWS, "sigma": ["a", "b"]})
    with pytest.raises(brim.BrimError):
        empty.with_draws(3)
    with pytest.raises(brim.BrimError, match="no columns"):
        empty.with_draws({})
