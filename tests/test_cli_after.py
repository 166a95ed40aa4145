"""The command line after a fit, and the kinds of tables it reads: what is written and said, and what is refused."""

import io
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import brim
from brim.cli import cli
from brim.cli.reading import Reading

pytestmark = pytest.mark.default_precision


def run(*arguments, input=None):
    return CliRunner().invoke(cli, [str(a) for a in arguments], input=input)


def refused(*arguments, input=None):
    """The message of a run that brim refuses."""
    result = run(*arguments, input=input)
    assert result.exit_code == 2, result.output
    assert not isinstance(result.exception, brim.BrimError)
    assert result.stdout == ""
    return result.stderr


def rows():
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": rng.normal(size=40), "g": ["a", "b"] * 20})
    return d.assign(y=d.x + rng.normal(size=40), r=pd.Categorical.from_codes(rng.integers(0, 3, 40), ["lo", "mid", "hi"], ordered=True))


def drawn(formula, family="gaussian", **fixed):
    empty = brim.brm(formula, rows(), family=family, empty=True)
    rng = np.random.default_rng(4)
    draws = {v: rng.normal(fixed.get(v, 0.5), 0.05, 60) for v in empty.variables()}
    return empty.with_draws(pd.DataFrame(draws | {"sigma": rng.uniform(0.9, 1.1, 60)} if "sigma" in draws else draws), chains=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three saved fits."""
    place = tmp_path_factory.mktemp("fits")
    drawn("y ~ x + g").save(place / "main.nc")
    drawn("y ~ 1").save(place / "constant.nc")
    drawn("r ~ x", "cumulative", **{"b_Intercept[1]": -1, "b_Intercept[2]": 1}).save(place / "ordinal.nc")
    drawn(brim.bf("mvbind(y, x) ~ g") + brim.set_rescor(False)).save(place / "two.nc")
    return place


@pytest.fixture
def new(tmp_path):
    path = tmp_path / "new.csv"
    pd.DataFrame({"x": [0.0, 1.0], "g": ["a", "b"]}).to_csv(path, index=False)
    return path


# ---- predictions


def test_predictions_stand_beside_the_data(folder, new, tmp_path):
    out = tmp_path / "pred.csv"
    result = run("predict", folder / "main.nc", "--data", new, "--out", out, "--seed", 3)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {out}\n")
    table = pd.read_csv(out)
    assert list(table) == ["x", "g", "Estimate", "Est.Error", "Q2.5", "Q97.5"]
    theirs = brim.load(folder / "main.nc").predict(pd.read_csv(new), seed=3)
    np.testing.assert_allclose(table[list(theirs.columns)], theirs.to_numpy(), rtol=1e-12)
    again = run("predict", folder / "main.nc", "--data", new, "--seed", 3)  # without --out it is printed
    assert again.stdout == out.read_text()
    assert run("predict", folder / "main.nc", "--data", new, "--out", out, "--seed", 4).exit_code == 0  # replaced: it is brim's own
    assert not np.allclose(pd.read_csv(out)["Estimate"], table["Estimate"])


def test_what_is_predicted(folder, new):
    fit = brim.load(folder / "main.nc")
    result = run(
        "predict", folder / "main.nc", "--kind", "fitted", "--probs", "0.1,0.5,0.9", "--robust", "--data", "-", input=new.read_text()
    )
    table = pd.read_csv(io.StringIO(result.stdout))
    theirs = fit.fitted(pd.read_csv(new), probs=(0.1, 0.5, 0.9), robust=True)
    assert list(table)[2:] == ["Estimate", "Est.Error", "Q10", "Q50", "Q90"]
    np.testing.assert_allclose(table.iloc[:, 2:], theirs.to_numpy(), rtol=1e-12)
    training = pd.read_csv(io.StringIO(run("predict", folder / "main.nc", "--kind", "linear").stdout))
    np.testing.assert_allclose(training["Estimate"], fit.fitted(scale="linear")["Estimate"], rtol=1e-12)
    np.testing.assert_allclose(training["y"], rows()["y"])


def test_categories_and_several_responses(folder, new):
    table = pd.read_csv(io.StringIO(run("predict", folder / "ordinal.nc", "--data", new, "--seed", 0).stdout))
    assert list(table)[2:] == ["P(Y = lo)", "P(Y = mid)", "P(Y = hi)"]
    np.testing.assert_allclose(table.iloc[:, 2:].sum(axis=1), 1)
    fit = brim.load(folder / "two.nc")
    table = pd.read_csv(io.StringIO(run("predict", folder / "two.nc", "--kind", "fitted", "--data", new).stdout))
    np.testing.assert_allclose(table["Q2.5[x]"], fit.fitted(pd.read_csv(new)).sel(statistic="Q2.5", response="x"), rtol=1e-12)
    one = pd.read_csv(io.StringIO(run("predict", folder / "two.nc", "--kind", "fitted", "--resp", "x", "--data", new).stdout))
    np.testing.assert_allclose(one["Q2.5"], table["Q2.5[x]"], rtol=1e-12)


def test_predictions_replace_nothing_else(folder, new, tmp_path):
    fit, text = folder / "main.nc", new.read_bytes()
    other, mine = tmp_path / "other.csv", tmp_path / "mine.csv"
    other.write_text("a,b\n1,2\n")
    (tmp_path / "link.csv").symlink_to(other)
    assert run("predict", fit, "--data", new, "--out", mine).exit_code == 0
    assert "is read and cannot be written" in refused("predict", fit, "--data", new, "--out", new)
    assert "is read and cannot be written" in refused("predict", fit, "--data", mine, "--out", mine)
    for out in (other, tmp_path / "link.csv"):
        assert "no table of brim's: it is not replaced" in refused("predict", fit, "--data", new, "--out", out)
    assert "--out pred.csv" in refused("predict", fit, "--data", new, "--out", tmp_path / "pred.nc")
    assert "no folder" in refused("predict", fit, "--data", new, "--out", tmp_path / "no" / "pred.csv")
    assert "is a folder" in refused("predict", fit, "--data", new, "--out", (tmp_path / "d.csv").mkdir() or tmp_path / "d.csv")
    assert (new.read_bytes(), other.read_text()) == (text, "a,b\n1,2\n")
    assert "has no column" in refused("predict", fit, "--data", other) or "'x'" in refused("predict", fit, "--data", other)
    assert "a column 'Estimate'" in refused("predict", fit, "--data", mine)
    assert "numbers between 0 and 1" in refused("predict", fit, "--data", new, "--probs", "low,high")


# ---- comparison


def test_loo_of_one_fit(folder, tmp_path):
    out = tmp_path / "pointwise.csv"
    result = run("loo", folder / "main.nc", "--out", out)
    criterion = brim.load(folder / "main.nc").loo()
    assert result.exit_code == 0
    assert result.stdout == f"{criterion}\n"
    assert "Pareto k" in result.stdout
    pd.testing.assert_frame_equal(pd.read_csv(out), criterion.pointwise)
    assert "elpd_waic" in run("loo", folder / "main.nc", "--criterion", "waic").stdout
    assert "options of loo" in refused("loo", folder / "main.nc", "--criterion", "waic", "--integrated")


def test_loo_of_several_fits_compares_them(folder, tmp_path):
    result = run("loo", folder / "constant.nc", folder / "main.nc", "--out", tmp_path / "c.tsv")
    one, two = (brim.load(folder / f"{name}.nc").loo() for name in ("constant", "main"))
    table = brim.loo_compare(one, two, names=["constant", "main"])
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Model comparisons:\n{table}\n")
    written = pd.read_csv(tmp_path / "c.tsv", sep="\t")
    assert written["model"].tolist() == list(table.index)
    np.testing.assert_allclose(written["elpd_diff"], table["elpd_diff"], rtol=1e-12)
    assert run("loo", folder / "constant.nc", folder / "main.nc", "--out", tmp_path / "c.tsv").exit_code == 0
    assert "given twice" in refused("loo", folder / "main.nc", folder / "main.nc")
    (tmp_path / "mine.csv").write_text("a\n1\n")
    assert "not replaced" in refused("loo", folder / "main.nc", "--out", tmp_path / "mine.csv")
    (tmp_path / "no.nc").write_text("no fit")
    assert "no.nc" in refused("loo", folder / "main.nc", tmp_path / "no.nc")


# ---- figures


def test_plots(folder, tmp_path):
    place = tmp_path / "plots"
    result = run("plot", folder / "main.nc", "--out", place, "--kind", "conditional_effects", "--effects", "x:g", "--points")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    more = ["--kind", "mcmc_plot", "--kind", "pairs", "--variable", "b_*", "--type", "areas", "--width", 4, "--height", 3]
    assert run("plot", folder / "main.nc", "--out", place, *more).exit_code == 0
    assert run("plot", folder / "main.nc", "--out", place, "--kind", "pp_check", "--group", "g", "--seed", 0).exit_code == 0
    names = ["conditional_effects_x_g.png", "mcmc_plot_areas.png", "pairs.png", "pp_check_g.png"]
    assert sorted(p.name for p in place.iterdir()) == names
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in place.iterdir())
    assert run("plot", folder / "main.nc", "--out", tmp_path / "usual").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "usual").iterdir()) == [
        "conditional_effects_g.png",
        "conditional_effects_x.png",
        "pp_check.png",
    ]


def test_plots_replace_no_other_file(folder, tmp_path):
    fit = folder / "main.nc"
    (tmp_path / "pairs.png").write_text("keep me")
    (tmp_path / "file").write_text("keep me")
    assert "no picture" in refused("plot", fit, "--kind", "pairs", "--kind", "plot", "--out", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "pairs.png"]
    assert (tmp_path / "pairs.png").read_text() == "keep me"
    assert "is a file" in refused("plot", fit, "--out", tmp_path / "file")
    assert "no folder" in refused("plot", fit, "--out", tmp_path / "no" / "plots")
    assert "--type says nothing about pairs" in refused("plot", fit, "--kind", "pairs", "--type", "bars", "--out", tmp_path)
    assert "give both" in refused("plot", fit, "--width", 3, "--out", tmp_path)
    assert "did you mean 'bars'" in refused("plot", fit, "--kind", "pp_check", "--type", "barss", "--out", tmp_path)
    assert not (tmp_path / "plots").exists()


# ---- tables of other kinds


TEXTS = {
    "semicolons": ("d.csv", "x;g\n1.5;ä\n2;b\n", "utf-8", {}),
    "semicolons and decimal commas": ("d.csv", "x;g\n1,5;ä\n2;b\n", "utf-8", {}),
    "decimal commas, asked for": ("d.csv", '"x","g"\n"1,5","ä"\n2,"b"\n', "utf-8", {"decimal": ","}),
    "tabs": ("d.tsv", "x\tg\n1.5\tä\n2\tb\n", "utf-8", {}),
    "tabs in a csv": ("d.csv", "x\tg\n1.5\tä\n2\tb\n", "utf-8", {}),
    "bars": ("d.txt", "x|g\n1.5|ä\n2|b\n", "utf-8", {}),
    "spaces": ("d.txt", "x   g\n1.5 ä\n2 b\n", "utf-8", {"sep": "space"}),
    "another separator": ("d.csv", "x#g\n1.5#ä\n2#b\n", "utf-8", {"sep": "#"}),
    "commas in quotes": ("d.csv", '"x";"g"\n1.5;"ä"\n2;"b"\n', "utf-8", {}),
    "latin-1": ("d.csv", "x,g\n1.5,ä\n2,b\n", "latin-1", {"encoding": "latin-1"}),
    "utf-16": ("d.csv", "x;g\n1.5;ä\n2;b\n", "utf-16", {"encoding": "utf-16"}),
    "a mark of the byte order": ("d.csv", "\ufeffx,g\n1.5,ä\n2,b\n", "utf-8", {}),
    "lines of Windows": ("d.csv", "x;g\r\n1,5;ä\r\n2;b\r\n", "utf-8", {}),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("piped", [False, True])
def test_tables_of_text(kind, piped, tmp_path, monkeypatch):
    name, text, encoding, options = TEXTS[kind]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    if piped:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    table = Reading(**options).table("-" if piped else str(path))
    assert list(table) == ["x", "g"]
    assert table["x"].tolist() == [1.5, 2.0]
    assert table["g"].tolist() == ["ä", "b"]


def test_text_with_commas_stays_text(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x;at;k\n1.5;1,2;3\n2.5;3,4;4\n")  # x has decimal points, so at is no number
    assert Reading().table(str(path))["at"].tolist() == ["1,2", "3,4"]
    path.write_text("at;k\n1,2;a\n3,4;b\n")
    with pytest.warns(brim.errors.BrimWarning, match=r"at: read with decimal commas; --decimal \. keeps"):
        assert Reading().table(str(path))["at"].tolist() == [1.2, 3.4]
    assert Reading(decimal=".").table(str(path))["at"].tolist() == ["1,2", "3,4"]
    path.write_text("x,g\n1,5,a\n2,5,b\n")
    with pytest.warns(brim.errors.BrimWarning, match="rows have one value more than there are names"):
        Reading().table(str(path))
    path.write_text("id;k\n12345678901234567;1\n;2\n")
    assert Reading().table(str(path))["id"][0] == 12345678901234567


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"x": [1.5, 2.0], "g": ["ä", "b"]}).to_excel(writer, sheet_name="first", index=False)
        pd.DataFrame({"x": [7]}).to_excel(writer, sheet_name="second", index=False)
    return path


def test_excel(book):
    pytest.importorskip("openpyxl")
    assert Reading().table(str(book))["g"].tolist() == ["ä", "b"]
    assert Reading(sheet="second").table(str(book))["x"].tolist() == [7]
    assert Reading(sheet="2").table(str(book))["x"].tolist() == [7]
    with pytest.raises(brim.BrimError, match="no sheet 'secnd'\ndid you mean 'second'"):
        Reading(sheet="secnd").table(str(book))


def test_excel_without_its_extra(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert 'pip install "brim[excel]"' in refused("fit", "x ~ 1", "--data", book)


WRONG = {
    "latin-1 that is not told": ("x,g\n1,\xe4\n".encode("latin-1"), "d.csv", [], "not utf-8 text (byte 0xe4)", "--encoding latin-1"),
    "an unknown encoding": (b"x\n1\n", "d.csv", ["--encoding", "latin-99"], "no encoding 'latin-99'", "latin-1"),
    "a long separator": (b"x\n1\n", "d.csv", ["--sep", "::"], "is not one character", "tab"),
    "commas twice": (b"x\n1\n", "d.csv", ["--sep", ",", "--decimal", ","], "cannot both be set apart", "--sep ';'"),
    "an odd decimal point": (b"x\n1\n", "d.csv", ["--decimal", "'"], "--decimal", "'.' or ','"),
    "a sheet of text": (b"x\n1\n", "d.csv", ["--sheet", "a"], "--sheet is an option of Excel files", "leave --sheet out"),
    "a separator of parquet": (b"x", "d.parquet", ["--sep", ";"], "--sep is an option of text", "leave --sep out"),
    "a broken workbook": (b"x", "d.xlsx", [], "cannot read", "whole .xlsx file"),
    "an empty file": (b"", "d.csv", [], "cannot read", "names of columns first"),
    "rows of other lengths": (b"x;g\n1;2\n1;2;3;4\n", "d.csv", [], "cannot read", "separated by ';'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_tables_that_cannot_be_read(case, tmp_path):
    content, name, options, what, hint = WRONG[case]
    (tmp_path / name).write_bytes(content)
    message = refused("fit", "x ~ 1", "--data", tmp_path / name, *options)
    assert what in message
    assert hint in message
    if name == "d.csv":
        assert what in refused("fit", "x ~ 1", "--data", "-", *options, input=content)
