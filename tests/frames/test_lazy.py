"""Data that are read in batches: what is known of them, and the rows that stand for all."""

import datetime as dt

import numpy as np
import pytest

from brim.errors import BrimError
from brim.frames.columns import Numeric
from brim.frames.distinct import expected_distinct, repeated_rows
from brim.frames.frame import Frame
from brim.frames.keys import Labels, Numbers
from brim.frames.lazy import COUNT, stream_of
from brim.frames.middle import average, middle
from brim.frames.survey import survey
from lazy_data import ENGINES, rows, sources


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_rows_in_the_same_order(engine, tmp_path):
    pytest.importorskip(engine.partition("-")[0])
    data = rows(300)
    stream = stream_of(sources(data, tmp_path)[engine]())
    assert stream.n == 300
    assert set(stream.names) == set(data)
    read = [Frame.read(batch) for batch in stream.batches(["x", "f"])]
    np.testing.assert_array_equal(np.concatenate([b["x"].values for b in read]), data["x"])
    assert np.concatenate([b["f"].labels for b in read]).tolist() == list(data["f"])
    if stream.grouped is not None:
        counted = Frame.read(stream.grouped(["f"]))
        assert dict(zip(counted["f"].labels, counted[COUNT].values, strict=True)) == {v: list(data["f"]).count(v) for v in "abc"}


def test_frames_in_memory_are_no_streams():
    pl = pytest.importorskip("polars")
    assert stream_of(pl.DataFrame({"x": [1]})) is None
    assert stream_of({"x": [1]}) is None


@pytest.mark.parametrize(("path", "says"), [("nowhere", "there is no file or folder"), ("a.csv", "is no Parquet file")])
def test_paths_that_are_no_data(path, says, tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(BrimError, match=says):
        stream_of(tmp_path / path)


def surveyed(data, keys=(), rows=50):
    pl = pytest.importorskip("polars")
    return survey(stream_of(pl.DataFrame(data).lazy()), list(data), keys, rows)


def test_the_rows_kept_show_levels_ends_and_crossings_of_all(monkeypatch):
    monkeypatch.setattr("brim.frames.lazy.BATCH", 500)
    rng = np.random.default_rng(1)
    n = 4000
    data = {"x": rng.normal(size=n), "class": np.arange(n) % 400, "school": (np.arange(n) % 400) // 10}
    data |= {"one": data["school"].copy(), "f": ["a"] * (n - 1) + ["b"]}
    data["x"][3210] = 99.0
    data["one"][3999] = (data["school"][3999] + 1) % 40  # one row against nesting in "one"
    found, frame = surveyed(data, [("class",), ("school",), ("one",)])
    assert (found.n, frame.total, frame.whole.n) == (n, n, n)
    assert frame.n < 1200
    assert frame["f"].levels == ("a", "b")
    assert set(frame.numbers("class")) == set(range(400))
    assert frame.numbers("x").max() == 99.0
    assert frame.numbers("x").min() == data["x"].min()
    pairs = set(zip(frame.numbers("class"), frame.numbers("one"), strict=True))
    assert len({a for a, _ in pairs}) < len(pairs)
    moments = frame.whole.moments("x")
    np.testing.assert_allclose(
        [moments.mean, moments.sd, moments.low, moments.high],
        [data["x"].mean(), data["x"].std(ddof=1), data["x"].min(), 99.0],
        rtol=1e-12,
    )
    np.testing.assert_array_equal(frame.whole.often("f"), [n - 1, 1])
    blocks = list(frame.blocks(10))
    assert sum(b.n for b in blocks) == n
    assert all(b["f"].levels == ("a", "b") for b in blocks)
    assert blocks[-1].places[-1] == n - 1
    np.testing.assert_array_equal(np.concatenate([b.factor("class").codes for b in blocks]), Numeric(data["class"] * 1.0).as_factor().codes)


def test_rows_with_missing_values_are_counted_and_left_out():
    found, frame = surveyed({"x": [1.0, float("nan"), 3.0, 4.0], "f": ["a", "b", None, "a"]})
    assert (found.n, found.missing, frame.total) == (2, 2, 2)
    assert frame["f"].levels == ("a",)
    with pytest.raises(BrimError, match="no row is complete"):
        surveyed({"x": [float("nan")] * 3})


def test_keys_that_are_dates_or_booleans_have_their_levels():
    days = [dt.date(2026, 1, d) for d in (3, 1, 2, 1)]
    _, frame = surveyed({"d": days, "b": [True, False, True, True]}, [("d",)])
    assert frame["d"].levels == ("2026-01-01", "2026-01-02", "2026-01-03")
    assert frame["b"].kind == "logical"


@pytest.mark.parametrize("kind", ["normal", "rounded", "skewed", "same", "sorted"])
def test_medians_over_batches_are_those_of_all_rows(kind, monkeypatch):
    monkeypatch.setattr("brim.frames.lazy.BATCH", 1000)
    rng = np.random.default_rng(5)
    x = rng.normal(size=10_001)
    x = {"normal": x, "rounded": np.round(x), "skewed": np.exp(3 * x), "same": np.ones(len(x)), "sorted": np.sort(x)}[kind]
    _, frame = surveyed({"x": x}, rows=200)
    asked = []
    found = middle(frame, "q", lambda part: asked.append(part.n) or part.numbers("x"))
    np.testing.assert_array_equal(found, (np.median(x), np.median(np.abs(x - np.median(x)))))
    again = len(asked)
    middle(frame, "q", lambda part: asked.append(part.n) or part.numbers("x"))
    assert len(asked) == again + 1  # the answer is kept: only the rows in memory were looked at
    np.testing.assert_allclose(average(frame, "m", lambda part: part.numbers("x")), x.mean(), rtol=1e-12)


def test_distinct_rows_and_their_counts():
    rng = np.random.default_rng(2)
    data = {"x": rng.integers(0, 3, 500) * 1.0, "f": rng.choice(list("ab"), 500), "b": rng.random(500) < 0.5}
    data["x"][7] = np.nan
    frame = repeated_rows(Frame.read(data), ["x", "f", "b"], 0.5)
    rows = list(zip(data["x"].astype(str), data["f"], data["b"], strict=True))
    columns = frame["x"].values, frame["f"].labels, frame["b"].values, frame.counts
    got = {(str(x), f, bool(b)): c for x, f, b, c in zip(*columns, strict=True)}
    assert got == {row: rows.count(row) for row in set(rows)}
    assert frame.total == 500
    expanded = np.repeat(frame["f"].codes, frame.counts.astype(int))
    assert middle(frame, "", lambda part: part["f"].codes).median == np.median(expanded)
    np.testing.assert_allclose(average(frame, "", lambda part: part["f"].codes), expanded.mean())
    assert repeated_rows(Frame.read({"x": rng.normal(size=100)}), ["x"], 0.5) is None


def test_the_number_of_distinct_rows_is_told_from_some():
    rng = np.random.default_rng(3)
    for size in (50, 20_000, 10**7):
        some = {"x": Numeric(rng.integers(0, size, 2**14) * 1.0)}
        assert 0.5 * size < expected_distinct(some, 10**7) < 2.5 * size or size == 10**7
    assert expected_distinct({"x": Numeric(rng.normal(size=2**14))}, 10**7) == 10**7


def test_codes_of_keys_are_those_of_first_appearance():
    whole, wide, text = Numbers(), Numbers(), Labels()
    assert whole.codes(np.array([5.0, 3.0, 5.0])).tolist() == [1, 0, 1]
    assert whole.codes(np.array([-2.0, 5.0, 9.0])).tolist() == [2, 1, 3]
    assert whole.codes(np.array([0.5, 3.0, 1e12])).tolist() == [4, 0, 5]
    assert wide.codes(np.array([1e15, 0.0, 1e15])).tolist() == [1, 0, 1]
    assert whole.values.tolist() == [3.0, 5.0, -2.0, 9.0, 0.5, 1e12]
    first = Frame.read({"f": ["b", "a"]})["f"]
    assert text.codes(first).tolist() == [1, 0]
    assert text.codes(Frame.read({"f": ["c", "b"]})["f"]).tolist() == [2, 1]
