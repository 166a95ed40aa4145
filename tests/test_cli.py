"""The command line: what is asked of brm, what is written, and what is said when something is wrong."""

import inspect
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import brim
from brim.cli import cli
from brim.cli.settings import ELSEWHERE, SETTINGS

pytestmark = pytest.mark.default_precision


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def refused(*arguments):
    """The message of a run that brim refuses."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert not isinstance(result.exception, brim.BrimError)
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def asked(monkeypatch):
    """What `brim fit` asks of brm, in place of a fit."""
    calls = []

    def brm(formula, **options):
        calls.append({"formula": str(formula), **options})
        raise brim.BrimError("stop here")

    monkeypatch.setitem(vars(brim), "brm", brm)

    def ask(*arguments):
        assert "stop here" in refused("fit", *arguments)
        return calls.pop()

    return ask


def test_version():
    assert run("--version").output == f"brim {brim.__version__}\n"


def test_data_lists_every_set():
    output = run("data").output
    assert all(re.search(rf"^{name}  \(\d+ rows\)$", output, re.MULTILINE) for name in brim.data.names())


def test_the_defaults(asked):
    call = asked("gpa ~ occasion", "--data", "gpa")
    assert call["formula"] == "gpa ~ occasion"
    pd.testing.assert_frame_equal(call["data"], brim.load_data("gpa"))
    assert call["family"] == brim.families.family("gaussian")
    assert call["prior"] is None
    assert call["control"] == {}
    assert [call[k] for k in ("chains", "iter", "warmup", "cores", "seed", "progress", "data_name")] == [
        4,
        2000,
        None,
        None,
        None,
        True,
        "gpa",
    ]


def test_every_option(asked):
    numbers = ["--chains", 2, "--iter", 300, "--warmup", 100, "--cores", 1, "--seed", 7]
    control = ["--adapt-delta", 0.95, "--max-treedepth", 12]
    call = asked("y ~ x", "sigma ~ x", "--data", "gpa", "--family", "student(link_sigma=identity)", *numbers, *control, "--quiet")
    assert call["formula"] == "y ~ x\nsigma ~ x"
    assert call["family"].name == "student"
    assert call["family"].links["sigma"] == "identity"
    assert [call[k] for k in ("chains", "iter", "warmup", "cores", "seed", "progress")] == [2, 300, 100, 1, 7, False]
    assert call["control"] == {"adapt_delta": 0.95, "max_treedepth": 12}


@pytest.mark.parametrize("text", ["bernoulli(probit)", "bernoulli('probit')", "bernoulli(link = probit)"])
def test_links(asked, text):
    assert asked("y ~ x", "--data", "gpa", "--family", text)["family"].links == {"mu": "probit"}


def test_priors(asked):
    texts = [
        "normal(0, 1), class=b",
        "student_t(3, 0, 2.5), class = sd, group=student, coef=occasion",
        "exponential(1), class=sigma, lb=0, ub=2",
    ]
    call = asked("y ~ x", "--data", "gpa", *(word for text in texts for word in ("--prior", text)))
    assert call["prior"] == [
        brim.prior("normal(0, 1)", class_="b"),
        brim.prior("student_t(3, 0, 2.5)", class_="sd", group="student", coef="occasion"),
        brim.prior("exponential(1)", class_="sigma", lb=0.0, ub=2.0),
    ]


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".csv", lambda d, p: d.to_csv(p, index=False)),
        (".csv.gz", lambda d, p: d.to_csv(p, index=False)),
        (".tsv", lambda d, p: d.to_csv(p, index=False, sep="\t")),
        (".json", lambda d, p: d.to_json(p, orient="records")),
        (".parquet", lambda d, p: d.to_parquet(p)),
        (".feather", lambda d, p: d.to_feather(p)),
    ],
)
def test_data_files(asked, tmp_path, suffix, write):
    path = tmp_path / f"mine{suffix}"
    data = pd.DataFrame({"y": [0.5, 1.25, -3.0], "g": ["a", "b", "a"]})
    write(data, path)
    read = asked("y ~ 1", "--data", path)["data"]
    assert read["y"].tolist() == [0.5, 1.25, -3.0]
    assert read["g"].tolist() == ["a", "b", "a"]


WRONG = {
    "an unknown data set": (["--data", "sleepstdy"], "no file and no data set 'sleepstdy'", "did you mean 'sleepstudy'"),
    "a file of unknown kind": (["--data", "{tmp}/x.sav"], "cannot tell what kind of file", ".parquet"),
    "a broken file": (["--data", "{tmp}/x.parquet"], "cannot read", "whole .parquet file"),
    "an unknown family": (["--data", "gpa", "--family", "gausian"], "unknown family 'gausian'", "did you mean 'gaussian'"),
    "an unknown part of a prior": (["--data", "gpa", "--prior", "normal(0, 1), clas=b"], "unknown 'clas'", "did you mean 'class'"),
    "a part of a prior without a name": (["--data", "gpa", "--prior", "normal(0, 1), b"], "'b' is not NAME=VALUE", "class=b"),
    "a bound that is no number": (["--data", "gpa", "--prior", "normal(0, 1), lb=low"], "lb=low is not a number", "normal"),
    "a prior of nothing": (["--data", "gpa", "--prior", "class=b"], "no distribution", "normal(0, 1), class=b"),
    "a missing folder": (["--data", "gpa", "--out", "{tmp}/no/fit.nc"], "no folder '{tmp}/no'", "make it first"),
    "a folder as file": (["--data", "gpa", "--out", "{tmp}"], "is a folder", "fit.nc"),
    "a file as folder": (["--data", "gpa", "--plots", "{tmp}/x.sav"], "is a file", "folder"),
    "an unknown column": (["--data", "gpa"], "'ocasion'", "did you mean 'occasion'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_with_a_message(case, tmp_path):
    (tmp_path / "x.sav").write_bytes(b"?")
    (tmp_path / "x.parquet").write_bytes(b"?")
    arguments, what, hint = (
        [w.replace("{tmp}", str(tmp_path)) for w in words] if isinstance(words, list) else words for words in WRONG[case]
    )
    message = refused("fit", "gpa ~ ocasion", *arguments)
    assert what.replace("{tmp}", str(tmp_path)) in message
    assert hint in message
    assert "Traceback" not in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.parquet", "x.sav"]


def test_a_file_that_is_no_fit_is_refused(tmp_path):
    path = tmp_path / "fit.nc"
    assert str(path) in refused("summary", path)
    path.write_bytes(b"not a fit")
    assert str(path) in refused("summary", path)


def test_a_fit_that_cannot_be_saved_leaves_nothing_behind(tmp_path, monkeypatch):
    """Writing stops half-way: the old file stays as it was, and no temporary one; the summary is not lost."""

    def half(*_):
        raise OSError("disk full")

    before = saved(tmp_path / "fit.nc")
    monkeypatch.setattr(import_module("brim.post.files.io"), "_write", half)
    result = run("fit", "dist ~ 1", "--data", small(tmp_path), "--chains", 1, "--iter", 20, "--quiet", "--out", tmp_path / "fit.nc")
    assert result.exit_code == 2
    assert "disk full" in result.stderr
    assert "Population-Level Effects" in result.stdout
    assert (tmp_path / "fit.nc").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.nc", "small.csv"]


def saved(path):
    """The content of a file with a fit."""
    brim.brm("dist ~ 1", {"dist": [1.0, 2.0, 4.0]}, empty=True).save(path)
    return path.read_bytes()


def test_no_file_of_another_kind_is_replaced(tmp_path):
    data = small(tmp_path)
    text = data.read_bytes()
    (tmp_path / "link.nc").symlink_to(data)
    (tmp_path / "notes.txt").write_text("keep me")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "pp_check.png").write_text("no picture")
    for out in (data, tmp_path / "link.nc", tmp_path / "notes.txt", "/dev/null"):
        assert "not replaced" in refused("fit", "dist ~ 1", "--data", data, "--out", out)
    assert "is a file" in refused("fit", "dist ~ 1", "--data", data, "--plots", data)
    assert "no picture" in refused("fit", "dist ~ 1", "--data", data, "--plots", tmp_path / "plots")
    assert "both name" in refused("fit", "dist ~ 1", "--data", data, "--plots", tmp_path / "a", "--out", tmp_path / "a")
    with pytest.raises(brim.BrimError, match="not replaced"):
        brim.brm("dist ~ 1", {"dist": [1.0, 2.0, 4.0]}, empty=True).save(data)
    assert data.read_bytes() == text
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_the_fit_is_saved_before_anything_is_printed(tmp_path):
    """A reader that stops after a line (head -1) does not cost the fit."""
    command = f"{sys.executable} -m brim fit 'dist ~ 1' --data {small(tmp_path)} --chains 1 --iter 60 --out {tmp_path / 'q.nc'} | head -1"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert brim.load(tmp_path / "q.nc").draws.draws == 30


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_data_from_a_pipe(source):
    command = [sys.executable, "-m", "brim", "fit", "y ~ 1", "--data", source, "--chains", "1", "--iter", "60", "--quiet"]
    done = subprocess.run(command, input="y\n1\n2\n4\n", text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "Number of observations: 3" in done.stdout


def test_checkpoints_and_an_early_end(tmp_path):
    arguments = ["--data", "sleepstudy", "--chains", 2, "--iter", 20000, "--warmup", 200, "--seed", 1, "--quiet", "--stop-ess", 300]
    folder, out = tmp_path / "chains", tmp_path / "fit.nc"
    result = run("fit", "Reaction ~ Days", *arguments, "--checkpoint", folder, "--out", out)
    assert result.exit_code == 0, result.output
    first = brim.load(out)
    assert first.draws.draws < 2000
    assert "stop_when: good enough" in result.stdout
    assert "rhat = 0.5" in refused("fit", "Reaction ~ Days", *arguments, "--stop-rhat", 0.5)
    assert "no checkpoint" in refused("resume", tmp_path)


def test_seeds_on_the_command_line(tmp_path):
    for seed in ("-1", str(2**70)):
        assert "seed" in refused("fit", "dist ~ 1", "--data", small(tmp_path), "--seed", seed)


def small(folder):
    path = folder / "small.csv"
    path.write_text("dist\n2\n4\n7\n1\n5\n")
    return path


def test_fit_and_summary(tmp_path):
    """A small model from a file to a printed summary, a saved fit and plots; the same seed gives the same numbers from Python."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=60)}).assign(y=lambda d: 1 + 2 * d.x + rng.normal(size=60) / 2)
    data.to_csv(tmp_path / "d.csv", index=False)
    sampling = ["--chains", 2, "--iter", 1000, "--seed", 3]
    result = run("fit", "y ~ x", "--data", tmp_path / "d.csv", *sampling, "--out", tmp_path / "fit.nc", "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    again = run("summary", tmp_path / "fit.nc")
    assert "Population-Level Effects" in again.stdout
    assert result.stdout.endswith(again.stdout)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "fit.nc", "plots"]
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == ["conditional_effects_x.png", "pp_check.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (tmp_path / "plots").iterdir())

    fit = brim.brm("y ~ x", data=data, chains=2, iter=1000, seed=3, progress=False)
    pd.testing.assert_frame_equal(fit.fixef(), brim.load(tmp_path / "fit.nc").fixef())
    # the prior of the slope is flat, so its posterior mean is the least-squares slope, within four Monte Carlo errors
    row = fit.summary().fixed.loc["x"]
    assert abs(row["Estimate"] - np.polyfit(data.x, data.y, 1)[0]) < 4 * row["Est.Error"] / np.sqrt(row["Bulk_ESS"])


def test_every_argument_of_brm_has_an_option_or_a_reason():
    assert set(inspect.signature(brim.brm).parameters) == set(SETTINGS) | set(ELSEWHERE)


def test_options_for_the_rest_of_brm(asked, tmp_path):
    matrix = tmp_path / "A.csv"
    matrix.write_text("level,a,b\na,1,0.5\nb,0.5,1\n")
    given = ["--knots", "x=0,0.5,1", "--knots", "z=1,2", "--thin", "2", "--init", "b_x=0.5,sigma=1", "--control", "metric=dense"]
    given += ["--sample-prior", "yes", "--algorithm", "map", "--marginalize", "false", "--keep-unused-levels", "--keep", "r_g,s_x"]
    call = asked("gpa ~ occasion", "--data", "gpa", "--data2", f"A={matrix}", "--adapt-delta", "0.9", "--devices", "all", *given)
    assert call["knots"] == {"x": [0, 0.5, 1], "z": [1, 2]}
    assert call["init"] == {"b_x": 0.5, "sigma": 1}
    assert call["control"] == {"adapt_delta": 0.9, "metric": "dense"}
    assert call["thin"] == 2
    assert (call["sample_prior"], call["algorithm"], call["marginalize"]) == ("yes", "map", False)
    assert call["drop_unused_levels"] is False
    assert call["keep"] == ["r_g", "s_x"]
    assert call["devices"] == "all"
    assert call["data2"]["A"].loc["a", "b"] == 0.5
    plain = asked("gpa ~ occasion", "--data", "gpa", "--init", "0", "--keep", "parameters")
    assert plain["init"] == 0
    assert plain["keep"] == "parameters"
    assert "knots" not in plain
    assert plain["control"] == {}
    assert "--knots 'x' is not NAME=VALUE" in refused("fit", "gpa ~ occasion", "--data", "gpa", "--knots", "x")
