"""Frames: the same columns from every library, factors as R makes them, errors that name the column."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
import uuid

import numpy as np
import pandas as pd
import pytest

from brim.errors import BrimError
from brim.frames.columns import Factor, Logical, Numeric, format_number, level_name
from brim.frames.frame import Frame

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


def sources() -> dict[str, object]:
    """One table as each library holds it: numbers, integers with a gap, logicals, text, a categorical with an unused level."""
    levels, cat = ["mid", "lo", "none", "hi"], ["lo", "hi", None, "mid"]
    plain = {"x": [0.5, None, 2.0, 3.0], "i": [1, 2, None, 4], "b": [True, None, False, True], "s": ["b", "Z", None, "a"]}
    polars = pl.DataFrame({**plain, "c": pl.Series(cat, dtype=pl.Enum(levels))})
    dtypes = {"x": "float64", "i": "Int64", "b": "boolean", "s": "str"}
    pandas = pd.DataFrame({k: pd.Series(v, dtype=dtypes[k]) for k, v in plain.items()} | {"c": pd.Categorical(cat, categories=levels)})
    dictionary = pa.DictionaryArray.from_arrays(pa.array([1, 3, None, 0], pa.int32()), pa.array(levels))
    return {
        "pandas": pandas,
        "pandas objects": pandas.astype({"b": object, "s": object}),
        "pandas pyarrow": pandas.astype({"i": "int64[pyarrow]", "b": "bool[pyarrow]", "s": "string[pyarrow]"}),
        "polars": polars,
        "polars lazy": polars.lazy(),
        "pyarrow": pa.table({**plain, "c": dictionary}),
        "dict": {**plain, "c": pd.Categorical(cat, categories=levels)},
        "dict of series": {name: polars[name] for name in polars.columns},
        "dict of arrays": {
            "x": np.array([0.5, np.nan, 2.0, 3.0]),
            "i": np.ma.array([1, 2, 3, 4], mask=[0, 0, 1, 0]),
            "b": np.array([True, None, False, True], dtype=object),
            "s": np.array(["b", "Z", None, "a"], dtype=object),
            "c": pd.Series(pd.Categorical(cat, categories=levels), index=[9, 8, 7, 6]),
        },
    }


@pytest.mark.parametrize("name", list(sources()))
def test_all_libraries_give_the_same_columns(name):
    frame = Frame.read(sources()[name])
    assert frame.n == 4
    assert frame.names == ("x", "i", "b", "s", "c")
    np.testing.assert_array_equal(frame["x"].values, [0.5, np.nan, 2, 3])
    np.testing.assert_array_equal(frame["i"].values, [1, 2, np.nan, 4])
    assert (frame["x"].integer, frame["i"].integer) == (False, True)
    np.testing.assert_array_equal(frame["b"].numbers, [1, np.nan, 0, 1])
    np.testing.assert_array_equal(frame["b"].missing, [False, True, False, False])
    s, c = frame["s"], frame["c"]
    assert (s.levels, s.codes.tolist(), s.ordered, s.text) == (("Z", "a", "b"), [2, 0, -1, 1], False, True)
    assert (c.levels, c.codes.tolist(), c.ordered, c.text) == (("mid", "lo", "none", "hi"), [1, 3, -1, 0], False, False)
    assert c.levels_used == ("mid", "lo", "hi")
    assert {column.codes.dtype for column in (s, c)} == {np.dtype(np.int32)}


def test_a_table_without_missing_values():
    for read in (pd.DataFrame, pl.DataFrame, pa.table, dict):
        frame = Frame.read(read({"i": [3, 1], "b": [True, False], "f": np.array([1, 2], np.float32), "s": ["v", "u"]}))
        np.testing.assert_array_equal(frame["i"].values, [3, 1])
        np.testing.assert_array_equal(frame["f"].values, [1, 2])
        assert frame["f"].values.dtype == np.float64
        assert frame["i"].integer
        assert not frame["f"].integer
        assert frame["b"].absent is None
        assert frame["s"].codes.tolist() == [1, 0]


def test_categoricals_keep_levels_and_order():
    frame = Frame.read(
        pd.DataFrame(
            {
                "o": pd.Categorical(["lo", "hi"], categories=["lo", "hi"], ordered=True),
                "k": pd.Categorical([10, 2]),
                "d": pd.Categorical([1.0, 2.5]),
                "t": pd.Categorical([True, False]),
            }
        )
    )
    assert frame["o"].ordered
    assert frame["k"].levels == ("2", "10")
    assert frame["k"].codes.tolist() == [1, 0]
    assert frame["d"].levels == ("1", "2.5")
    assert frame["t"].levels == ("FALSE", "TRUE")
    ordered = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["lo", "hi"]), ordered=True)
    assert Frame.read(pa.table({"o": ordered}))["o"].ordered
    assert not Frame.read({"e": pl.Series(["a"], dtype=pl.Enum(["a"]))})["e"].ordered
    categorical = Frame.read({"e": pl.Series(["b", "a"], dtype=pl.Categorical)})["e"]
    assert (categorical.levels, categorical.codes.tolist()) == (("a", "b"), [1, 0])


def test_numbers_as_r_prints_them():
    # R 4.2.2: as.character(c(1, 2.5, 1e5, 123456, 1e-4, 0.001, 1/3, 1e15, 123456789012, 0.1+0.2, 1e5+0.1, -1e5, 3e-10, 1234567.891234567))
    values = [1, 2.5, 1e5, 123456, 1e-4, 0.001, 1 / 3, 1e15, 123456789012, 0.1 + 0.2, 1e5 + 0.1, -1e5, 3e-10, 1234567.891234567]
    printed = "1 2.5 1e+05 123456 1e-04 0.001 0.333333333333333 1e+15 123456789012 0.3 100000.1 -1e+05 3e-10 1234567.89123457"
    assert [format_number(v) for v in values] == printed.split()
    assert [format_number(v) for v in (np.inf, -np.inf, np.nan, -0.0)] == ["Inf", "-Inf", "NaN", "0"]
    assert level_name(100000.0) == level_name(100000) == "100000"  # a key is the same whether integer or float


def test_as_factor():
    # R 4.2.2: levels(factor(c(100000L, 5L, 1000000L, NA))); levels(factor(c(2.5, 1, 0.3, 0.1 + 0.2)))
    whole = Numeric(np.array([100000, 5, 1000000, np.nan]), integer=True).as_factor()
    assert whole.levels == ("5", "100000", "1000000")
    assert whole.codes.tolist() == [1, 0, 2, -1]
    merged = Numeric(np.array([2.5, 1, 0.3, 0.1 + 0.2])).as_factor()
    assert merged.levels == ("0.3", "1", "2.5")
    assert merged.codes.tolist() == [2, 1, 0, 0]
    logical = Logical(np.array([True, True, False]), np.array([False, True, False])).as_factor()
    assert (logical.levels, logical.codes.tolist()) == (("FALSE", "TRUE"), [1, -1, 0])


def test_factor_recode():
    f = Factor(np.array([2, 0, -1, 2], np.int32), ("a", "b", "c"))
    assert f.labels.tolist() == ["c", "a", None, "c"]
    dropped = f.drop_unused()
    assert (dropped.levels, dropped.codes.tolist()) == (("a", "c"), [1, 0, -1, 1])
    assert f.recode(("c", "z")).codes.tolist() == [0, -1, -1, 0]
    with pytest.raises(BrimError, match="no numeric value"):
        _ = f.numbers


def test_take_complete_with_columns_select():
    frame = Frame.read({"x": [1.0, None, 3.0, 4.0], "g": ["a", "b", None, "a"], "y": [1, 2, 3, 4]})
    assert frame.complete(["x", "g"]).tolist() == [True, False, False, True]
    assert frame.complete([]).all()
    kept = frame.take(frame.complete(["x", "g"]))
    assert kept.n == 2
    assert kept["y"].values.tolist() == [1, 4]
    assert kept["g"].codes.tolist() == [0, 0]
    assert kept["g"].levels == ("a", "b")
    assert frame.take([3, 0])["x"].values.tolist() == [4, 1]
    assert frame.take(np.ones(4, bool)) is frame
    more = frame.with_columns({"k": 2, "y": np.zeros(4), "b": Logical(np.ones(4, bool))})
    assert more.names == ("x", "g", "y", "k", "b")
    assert more["k"].values.tolist() == [2, 2, 2, 2]
    assert more["y"].values.tolist() == [0, 0, 0, 0]
    assert frame["y"].values.tolist() == [1, 2, 3, 4]
    copy = pickle.loads(pickle.dumps(frame.select(["g", "x"])))
    assert copy.names == ("g", "x")
    assert copy["g"].codes.tolist() == [0, 1, -1, 0]
    assert "x" in copy
    assert "y" not in copy


def test_a_dict_repeats_scalars():
    frame = Frame.read({"x": 1, "g": "a"})
    assert frame.n == 1
    frame = Frame.read({"x": range(3), "g": "a"})
    assert frame["g"].codes.tolist() == [0, 0, 0]


def test_columns_do_not_follow_later_changes_of_the_data():
    x = np.array([1.0, 2.0])
    frame = Frame.read({"x": x})
    column = frame["x"]
    x[0] = 99.0
    assert column.values.tolist() == [1, 2]
    assert frame["x"] is column


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: {"x": x},
        lambda x: pd.DataFrame({"x": x}, copy=False),
        lambda x: pd.DataFrame({"x": pd.Series(x, copy=False)}, copy=False),
        lambda x: pa.table({"x": pa.array(x)}),
        lambda x: pl.DataFrame({"x": x}),
    ],
)
@pytest.mark.parametrize("kept", [lambda f: f, lambda f: f.select(["x"]), lambda f: f.part(0, 2), lambda f: f.part(0, 2).select(["x"])])
@pytest.mark.parametrize("dtype", [float, int, bool, "float32"])
def test_columns_do_not_follow_the_array_behind_the_data(wrap, kept, dtype):
    x = np.array([0, 1, 1], dtype)
    column = kept(Frame.read(wrap(x)))["x"]
    x[:] = np.array([1, 0, 0], dtype)
    assert column.numbers[:2].tolist() == [0, 1]


def test_a_column_is_read_when_it_is_asked_for():
    frame = Frame.read(pd.DataFrame({"y": [1.0, 2.0], "o": [1, "a"], "d": pd.to_datetime(["2020-01-01", "2020-01-02"])}))
    assert frame["y"].values.tolist() == [1, 2]
    with pytest.raises(BrimError, match="column 'o' mixes types: 1, 'a'"):
        _ = frame["o"]
    with pytest.raises(BrimError, match="column 'd' holds dates or times"):
        frame["d"].usable()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([{1, 2}], "values of type set"),
        ([object()], "values of type object"),
        (np.array([1j]), "complex128"),
        (np.zeros((1, 2)), "2 dimensions"),
        (pl.Series([[1, 2]]), "List"),
        (pa.array([[1, 2]]), "List"),
        (pd.Series([[1, 2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "List"),
        (pd.Categorical(["1", 1]), "both are called '1'"),
    ],
)
def test_columns_that_cannot_be_used(column, message):
    with pytest.raises(BrimError, match=message):
        _ = Frame.read({"k": column})["k"]


SERIAL = [2024010100000001, 2024010100000002, 2024010200000001]  # beyond 10^15, below 2^53
LARGE = [10**18, 10**18 + 1, 2 * 10**18]  # the first two are the same float64
KEYS = {
    "numpy": np.array,
    "list": list,
    "objects": lambda v: np.array(v, dtype=object),
    "pandas Int64": lambda v: pd.array(v, dtype="Int64"),
    "pandas int64[pyarrow]": lambda v: pd.Series(v, dtype="int64[pyarrow]"),
    "pandas categories": pd.Categorical,
    "polars": pl.Series,
    "polars Int128": lambda v: pl.Series(v, dtype=pl.Int128),
    "pyarrow": pa.array,
    "pyarrow dictionary": lambda v: pa.array(v).dictionary_encode(),
    "decimals": lambda v: [None if x is None else decimal.Decimal(x) for x in v],
    "polars decimals": lambda v: pl.Series([None if x is None else decimal.Decimal(x) for x in v]),
    "text": lambda v: [None if x is None else str(x) for x in v],
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("values", [SERIAL, LARGE, [2**63 - 1, -(2**63) + 1, 0]])
@pytest.mark.parametrize("gap", [False, True])
def test_keys_of_many_digits_are_exact(name, values, gap):
    if gap and name == "numpy":
        return
    column = Frame.read({"k": KEYS[name]([*values, *([None] if gap else []), values[1]])})["k"]
    factor = column.as_factor()
    order = sorted(values, key=str) if name == "text" else values if name == "pyarrow dictionary" else sorted(values)
    assert factor.levels == tuple(str(v) for v in order)
    assert factor.labels.tolist() == [*map(str, values), *([None] if gap else []), str(values[1])]
    if name not in ("text", "pandas categories", "pyarrow dictionary"):
        if values is SERIAL:
            assert column.kind == "numeric"
        else:
            with pytest.raises(BrimError, match=r"column 'k' holds whole numbers beyond 2\^53, which are not exact as numbers"):
                _ = column.numbers


def test_floats_that_may_have_been_rounded_are_no_keys():
    assert Frame.read({"k": np.array(SERIAL, float)})["k"].as_factor().levels == tuple(map(str, SERIAL))
    with pytest.raises(BrimError, match=r"1e\+18 is a level, and floating-point numbers beyond 2\^53 may have been rounded"):
        Frame.read({"k": np.array(LARGE, float)})["k"].as_factor()
    with pytest.raises(BrimError, match=r"20240101\.00000001 and 20240101\.00000005 differ, but as levels both are called"):
        Frame.read({"k": [20240101.00000001, 20240101.00000005]})["k"].as_factor()


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        ([dt.date(2020, 2, 1), dt.date(2020, 1, 1), None], ("2020-01-01", "2020-02-01")),
        (np.array(["2020-02-01", "2020-01-01", "NaT"], dtype="M8[D]"), ("2020-01-01", "2020-02-01")),
        (pd.to_datetime(["2020-02-01", "2020-01-01", None]), ("2020-01-01", "2020-02-01")),
        (pd.to_datetime(["2020-02-01 12:30", "2020-01-01 00:00", None]), ("2020-01-01", "2020-02-01 12:30:00")),
        (pl.Series([dt.date(2020, 2, 1), dt.date(2020, 1, 1), None]), ("2020-01-01", "2020-02-01")),
        (pl.Series([dt.datetime(2020, 2, 1), dt.datetime(2020, 1, 1), None]), ("2020-01-01", "2020-02-01")),
        (pa.array([dt.date(2020, 2, 1), dt.date(2020, 1, 1), None]), ("2020-01-01", "2020-02-01")),
        (pd.PeriodIndex(["2020-02", "2020-01", "NaT"], freq="M"), ("2020-01", "2020-02")),
        ([dt.timedelta(days=10), dt.timedelta(days=9), None], ("9 days, 0:00:00", "10 days, 0:00:00")),
    ],
)
def test_dates_are_keys_in_their_order(column, levels):
    factor = Frame.read({"d": column})["d"]
    assert (factor.levels, factor.codes.tolist()) == (levels, [1, 0, -1])
    with pytest.raises(BrimError, match="column 'd' holds dates or times, which are no numbers"):
        factor.usable()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pd.arrays.SparseArray([0.0, 1.5, np.nan]), [0, 1.5, np.nan]),
        (pd.arrays.SparseArray([0, 2, 1]), [0, 2, 1]),
        (pd.Series(np.array([0.5, 2, 1], np.longdouble)), [0.5, 2, 1]),
        (np.array([0.5, 2, 1], np.longdouble), [0.5, 2, 1]),
        (np.array([0.5, 2, 1], np.float16), [0.5, 2, 1]),
        (pl.Series([1, 2, None], dtype=pl.Int128), [1, 2, np.nan]),
    ],
)
def test_numbers_of_any_type(column, values):
    np.testing.assert_array_equal(Frame.read({"x": column})["x"].numbers, values)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["b", "a", None]).dictionary_encode())),
        pa.array(["b", "a", None]).dictionary_encode(),
        pl.Series(["b", "a", None], dtype=pl.Enum(["b", "a"])),
        pd.Categorical(["b", "a", None], categories=["b", "a"]),
    ],
)
def test_categories_keep_the_order_of_the_library(column):
    factor = Frame.read({"g": column})["g"].usable()
    assert (factor.levels, factor.codes.tolist(), factor.ordered) == (("b", "a"), [0, 1, -1], False)


def test_text_of_any_type_and_intervals():
    for column in (pa.array(["b", "a", None], pa.string_view()), pl.Series(["b", "a", None]), pd.Series(["b", "a", None])):
        factor = Frame.read({"g": column})["g"].usable()
        assert (factor.levels, factor.codes.tolist(), factor.text) == (("a", "b"), [1, 0, -1], True)
    cut = Frame.read({"g": pd.cut(np.array([0.5, 2.5, 1.5]), [0, 1, 2, 3])})["g"].usable()
    assert (cut.levels, cut.codes.tolist(), cut.ordered) == (("(0, 1]", "(1, 2]", "(2, 3]"), [0, 2, 1], True)
    free = Frame.read({"g": pl.Series(["b", "a", None], dtype=pl.Categorical)})["g"]
    assert (free.levels, free.codes.tolist()) == (("a", "b"), [1, 0, -1])
    for part in (free.take(np.array([0])), free.recode(("a", "b", "c")), free.drop_unused()):
        with pytest.raises(BrimError, match="column 'g' is a polars Categorical, whose levels have no order of their own"):
            part.usable()
    keys = [uuid.UUID(int=2), uuid.UUID(int=1)]
    assert Frame.read({"g": keys})["g"].levels == (str(keys[1]), str(keys[0]))


def test_decimals_and_columns_of_nothing():
    for column in ([decimal.Decimal("1.5"), None], pl.Series([decimal.Decimal("1.5"), None])):
        np.testing.assert_array_equal(Frame.read({"k": column})["k"].values, [1.5, np.nan])
    for column in ([None, None], pl.Series([None, None]), pa.nulls(2), [float("nan")] * 2):
        assert Frame.read({"k": column})["k"].missing.all()


def test_what_is_not_a_data_frame():
    for data in ([1, 2], np.zeros((2, 2)), None, "gpa.csv", pd.Series([1.0])):
        with pytest.raises(BrimError, match="is not a data frame"):
            Frame.read(data)
    with pytest.raises(BrimError, match="no rows"):
        Frame.read(pd.DataFrame({"x": []}))
    with pytest.raises(BrimError, match="no columns"):
        Frame.read({})
    with pytest.raises(BrimError, match=r"different lengths: a \(1\), b \(2\)"):
        Frame.read({"a": [1], "b": [1, 2]})
    with pytest.raises(BrimError, match="repeat a column name"):
        Frame.read(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(BrimError, match="has 2 values, the data have 3 rows"):
        Frame.read({"a": [1, 2, 3]}).with_columns({"b": [1, 2]})


def test_an_unknown_column_shows_near_names():
    frame = Frame.read({"occasion": [1.0], "g": ["a"]})
    with pytest.raises(BrimError) as error:
        frame.column("ocasion", source="gpa ~ ocasion", span=(6, 13))
    assert str(error.value) == "unknown column 'ocasion'\n  gpa ~ ocasion\n        ^^^^^^^\ndid you mean 'occasion'?"
    with pytest.raises(BrimError, match="column 'g' is not numeric: its values are 'a'"):
        frame.numbers("g")
    assert frame.numbers("occasion").tolist() == [1]


def test_column_names_that_are_not_text():
    frame = Frame.read(pd.DataFrame([[1.0, 2.0]]))
    assert frame.names == ("0", "1")
    assert frame["1"].values.tolist() == [2]


# --------------------------------------------------------------------------- large frames


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64])
def test_whole_numbers_are_coded_as_by_sorting(dtype):
    """Keys in a narrow range are coded through a table, in pieces; the range from -100 to 100 and 200,000 rows need several."""
    keys = np.random.default_rng(0).integers(-100, 101, 200_000).astype(dtype)
    factor = Frame.read({"g": keys})["g"].as_factor()
    distinct, codes = np.unique(keys, return_inverse=True)
    assert factor.levels == tuple(str(int(v)) for v in distinct)
    np.testing.assert_array_equal(factor.codes, codes)
    assert factor.codes.dtype == np.int32


@pytest.mark.parametrize(
    "values", [[1.0, np.nan, 3.0, 1.0], [0.5, 1.5, 0.5], [1.0, 2.5, 4.0], [0.0, 1e12, 0.0], [-0.0, 0.0, 1.0], [np.inf, 1.0]]
)
def test_other_numbers_are_sorted(values):
    factor = Frame.read({"g": np.array(values)})["g"].as_factor()
    distinct, codes = np.unique(np.array(values)[~np.isnan(values)], return_inverse=True)
    assert len(factor.levels) == len(distinct)
    np.testing.assert_array_equal(factor.codes[~np.isnan(values)], codes)
    assert (factor.codes[np.isnan(values)] == -1).all()


@pytest.mark.parametrize("values", [[0, 127], [-129, 5], [0, 32768], [2**31, -1], [2**40, 0], [2**53, -(2**53)], [-128, 127]])
def test_whole_numbers_are_held_exactly(values):
    column = Frame.read({"n": np.array(values)})["n"]
    assert column.values.dtype == np.float64
    assert column.values.tolist() == [float(v) for v in values]
    assert column.integer


def test_a_part_has_the_rows_and_their_numbers():
    frame = Frame.read({"x": np.arange(10.0), "g": list("ababababab")}).numbered()
    part = frame.part(3, 20)
    assert part.n == 7
    np.testing.assert_array_equal(part["x"].values, np.arange(3.0, 10.0))
    np.testing.assert_array_equal(part["g"].codes, frame["g"].codes[3:])
    np.testing.assert_array_equal(part.row_numbers, np.arange(3, 10))
    np.testing.assert_array_equal(part.take(np.array([0, -1])).row_numbers, [3, 9])
    other = Frame.read({"x": np.arange(4.0)})
    assert other.rows is None
    np.testing.assert_array_equal(other.part(1, 3).row_numbers, [-2, -3])
    np.testing.assert_array_equal(other.take(np.array([3, 0])).row_numbers, other.row_numbers[[3, 0]])
