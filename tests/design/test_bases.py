"""Design matrices against R's model.matrix, names against brms, state that is learned once, errors that mark the formula."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brim.design.functions import FUNCTIONS
from brim.design.matrix import Expression, ModelMatrix, brms_name
from brim.design.transforms import LEARNERS, orthonormal
from brim.errors import BrimError
from brim.frames.columns import Factor, Numeric
from brim.frames.frame import Frame
from brim.language.expand import expand, parse, variables

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "bases.json").read_text())
CASES = {case["formula"]: case for case in REFERENCE["cases"]}


def with_levels(data: dict) -> Frame:
    """``f`` and ``o`` as factors with the reference's levels; ``o`` is ordered."""
    columns = {k: pd.Categorical(data[k], categories=v, ordered=k == "o") for k, v in REFERENCE["levels"].items()}
    return Frame.read({**data, **columns})


TRAIN, NEW = with_levels(REFERENCE["data"]), with_levels(REFERENCE["newdata"])


def learn(formula: str, frame: Frame = TRAIN) -> ModelMatrix:
    return ModelMatrix(expand(parse(f"~ {formula}"))).learn(frame)


def value(text: str, train: Frame = TRAIN, new: Frame | None = None):
    return Expression(parse(text)).learn(train).value(train if new is None else new)


@pytest.mark.parametrize("formula", CASES)
def test_model_matrix_is_r_s(formula):
    case, design = CASES[formula], learn(formula)
    assert list(design.names) == case["names"]
    assert list(design.assign) == case["assign"]
    np.testing.assert_allclose(design.matrix(TRAIN), case["X"], rtol=2e-9, atol=1e-9)
    if "new" in case:
        np.testing.assert_allclose(design.matrix(NEW), case["new"], rtol=1e-8, atol=1e-9)


# colnames(brms::make_standata(y ~ ..., data)$X), brms 2.18.0, on the data of the reference with levels(f) = lo mid none hi (none unused)
# and w = "a b" "c-d" "e.f" "g_h" "i/j" "k:l" "m*n" "p(q)" "r^2" "s+t" "u,v" "w=1". brms drops unused levels, and writes the terms anew
# before it asks R, which therefore sees main effects first: y ~ x:f + f has f:x.
BRMS = [
    ("f", "Intercept fmid fhi"),
    ("x:f + f", "Intercept fmid fhi flo:x fmid:x fhi:x"),
    ("f:g + g", "Intercept gb ga:fmid gb:fmid ga:fhi gb:fhi"),
    ("x*f + z:x", "Intercept x fmid fhi x:fmid x:fhi x:z"),
    ("z + f:z", "Intercept z z:fmid z:fhi"),
    ("g:f + o", "Intercept o.L o.Q o.C ga:flo gb:flo ga:fmid gb:fmid ga:fhi gb:fhi"),
    ("f:g:x + x", "Intercept x x:flo:ga x:fmid:ga x:fhi:ga x:flo:gb x:fmid:gb x:fhi:gb"),
    ("0 + f:x + g", "ga gb flo:x fmid:x fhi:x"),
    ("l:f + x:l", "Intercept lFALSE:flo lTRUE:flo lFALSE:fmid lTRUE:fmid lFALSE:fhi lTRUE:fhi lFALSE:x lTRUE:x"),
    ("I(x^2):f + f", "Intercept fmid fhi flo:IxE2 fmid:IxE2 fhi:IxE2"),
    (
        "x:f:g + f:g",
        "Intercept flo:ga fmid:ga fhi:ga flo:gb fmid:gb fhi:gb flo:ga:x fmid:ga:x fhi:ga:x flo:gb:x fmid:gb:x fhi:gb:x",
    ),
    ("w", "Intercept wcMd we.f wg_h wiDj wk:l wmMUn wpq wrE2 wsPt wuv wwEQ1"),
    ("w:x + 0", "wab:x wcMd:x we.f:x wg_h:x wiDj:x wk:l:x wmMUn:x wpq:x wrE2:x wsPt:x wuv:x wwEQ1:x"),
    ("factor(k, levels = 1:4)", "Intercept factorklevelsEQ1:42 factorklevelsEQ1:43"),
    ("cut(x, c(0, 1, 5, 9))", "Intercept cutxc015915"),
    ("poly(x, 2):f + f", "Intercept fmid fhi flo:polyx21 fmid:polyx21 fhi:polyx21 flo:polyx22 fmid:polyx22 fhi:polyx22"),
    ("log(x, base = 2) + I(x - 1) + I(x / z) + I(x * z)", "Intercept logxbaseEQ2 IxM1 IxDz IxMUz"),
    ("I(x == 2.5) + I(x != 2.5) + I(x <= 1 & l)", "Intercept IxEQEQ2.5TRUE Ix!EQ2.5TRUE Ix<EQ1&lTRUE"),
    ("0 + Intercept + x", "Intercept x"),
    ('relevel(f, ref = "mid") + scale(z)', "Intercept relevelfrefEQmidlo relevelfrefEQmidhi scalez"),
    ("I(1e-05 * x)", "Intercept I1eM05MUx"),
    ("f - 1 + x:f", "flo fmid fhi flo:x fmid:x fhi:x"),
    ("o:x", "Intercept oa:x ob:x oc:x od:x"),
    ("(f + g + x)^2 - f:g", "Intercept fmid fhi gb x fmid:x fhi:x gb:x"),
    ("x:z:f + z:x", "Intercept x:z x:z:fmid x:z:fhi"),
]


@pytest.mark.parametrize(("formula", "names"), BRMS)
def test_names_and_order_are_brms(formula, names):
    w = ["a b", "c-d", "e.f", "g_h", "i/j", "k:l", "m*n", "p(q)", "r^2", "s+t", "u,v", "w=1"]
    f = pd.Categorical(REFERENCE["data"]["f"], categories=["lo", "mid", "none", "hi"])
    design = learn(formula, TRAIN.with_columns({"w": w, "f": f}))
    assert " ".join(brms_name(name) for name in design.names) == names


def test_brms_name_of_every_character():
    # coefficients of factors with these levels in brms 2.18.0's get_prior(): what is kept, dropped and replaced
    kept = "{}<>&|%!@\\#~$;éβ日本._:\t"
    assert brms_name(f"w{kept}") == f"w{kept}"
    assert brms_name("w a(b)[c],\"d'e?f") == "wabcdef"
    assert brms_name("w+-*/^=") == "wPMMUDEEQ"
    assert brms_name("`my var`:f3") == "myvar:f3"


def test_the_matrix_does_not_depend_on_the_library():
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    data = {"x": [1.5, 2.5, 0.5, 4.0], "s": ["b", "a", "c", "a"], "l": [True, False, True, True], "i": [1, 2, 3, 2]}
    made = [
        learn("x * s + l + factor(i) + poly(i, 2)", Frame.read(read(data))).names for read in (dict, pd.DataFrame, pl.DataFrame, pa.table)
    ]
    assert len(set(made)) == 1
    matrices = [
        learn("x * s + l + poly(i, 2)", f).matrix(f) for f in (Frame.read(r(data)) for r in (dict, pd.DataFrame, pl.DataFrame, pa.table))
    ]
    for matrix in matrices[1:]:
        np.testing.assert_array_equal(matrix, matrices[0])


def test_orthonormal_polynomials_of_many_points():
    points = np.arange(60.0) - 29.5
    q, _ = orthonormal(points, 40)
    np.testing.assert_allclose(q.T @ q, np.eye(40), atol=1e-12)
    np.testing.assert_allclose(q.sum(axis=0), 0, atol=1e-12)


def test_the_matrix_makes_at_most_two_copies():
    n = 100_000
    rng = np.random.default_rng(1)
    frame = Frame.read(
        {"x": rng.normal(size=n), "z": rng.uniform(1, 2, n), "f": pd.Categorical(np.array(["a", "b", "c"])[rng.integers(0, 3, n)])}
    )
    design = learn("x * f + log(z)", frame)
    tracemalloc.start()
    try:
        nbytes = design.matrix(frame).nbytes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert nbytes == n * 7 * 8
    assert peak < 2.2 * nbytes


# ---- state -------------------------------------------------------------------------------------------------------------


def test_state_is_learned_once():
    new = Frame.read({"x": [100.0], "k": [2.0], "f": ["hi"]})
    x = np.array(REFERENCE["data"]["x"])
    for text, want in {
        "scale(x)": (100 - x.mean()) / x.std(ddof=1),
        "I(x - mean(x))": 100 - x.mean(),
        "x / sd(x) + median(x)": 100 / x.std(ddof=1) + np.median(x),
        "(x - min(x)) / (max(x) - min(x))": (100 - x.min()) / np.ptp(x),
        "quantile(x, 0.25) + x": np.quantile(x, 0.25) + 100,
        "var(x) * 0 + sum(x) + 0 * x": x.sum(),
    }.items():
        np.testing.assert_allclose(value(text, new=new).values, [want], rtol=1e-14)
    np.testing.assert_array_equal(learn("f").matrix(new), [[1, 0, 1]])
    np.testing.assert_array_equal(learn("factor(k)").matrix(new), [[1, 1, 0]])
    assert value("as.numeric(f)", new=new).values.tolist() == [3]
    assert value("as.numeric(factor(k))", new=new).values.tolist() == [2]


def test_one_row_of_new_data_gives_its_row_of_the_whole():
    for formula in ("poly(x, 3) * f", "bs(x, df = 5) + ns(z, df = 3)", "cut(x, 3):g", "interaction(f, l)", "ifelse(x > 2, 'a', 'b')"):
        design = learn(formula)
        whole = design.matrix(TRAIN)
        for row in (0, 5, 11):
            np.testing.assert_allclose(design.matrix(TRAIN.take([row]))[0], whole[row], rtol=1e-12, atol=1e-13)


def test_learning_leaves_the_unlearned_as_it_was():
    unlearned = ModelMatrix(expand(parse("~ scale(x)")))
    a, b = unlearned.learn(TRAIN), unlearned.learn(TRAIN.take([0, 1, 2]))
    assert unlearned.names == ()
    assert not np.allclose(a.matrix(TRAIN), b.matrix(TRAIN))


def test_missing_values_stay_missing():
    frame = Frame.read({"x": [1.0, None, 3.0], "f": ["a", "b", None], "l": [True, None, False]})
    matrix = learn("log(x) + f + l + is.na(x)", frame).matrix(frame)
    np.testing.assert_array_equal(np.isnan(matrix).sum(axis=0), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(matrix[:, -1], [0, 1, 0])


def test_types_in_new_data():
    assert learn("l").matrix(Frame.read({"l": [1, 0]}))[:, 1].tolist() == [1, 0]
    assert learn("x").matrix(Frame.read({"x": [True]}))[:, 1].tolist() == [1]
    assert learn("factor(k)").matrix(Frame.read({"k": [3]}))[0].tolist() == [1, 0, 1]
    years = Frame.read({"year": ["2001", "2002", "2003"]})
    assert learn("year", years).matrix(Frame.read({"year": [2003]}))[0].tolist() == [1, 0, 1]
    assert np.isnan(learn("f").matrix(Frame.read({"f": [None]}))[0, 1:]).all()
    assert np.isnan(learn("x").matrix(Frame.read({"x": [None]}))[0, 1])
    assert learn("o").matrix(Frame.read({"o": ["d"]}))[0, 1] == pytest.approx(0.6708203932)


# ---- values --------------------------------------------------------------------------------------------------------------


def test_three_valued_logic():
    # R 4.2.2: x <- c(TRUE, FALSE, NA); outer(x, x, "&"); outer(x, x, "|")
    frame = Frame.read({"a": [True] * 3 + [False] * 3 + [None] * 3, "b": [True, False, None] * 3})
    nan = np.nan
    np.testing.assert_array_equal(value("a & b", frame).numbers, [1, 0, nan, 0, 0, 0, nan, 0, nan])
    np.testing.assert_array_equal(value("a | b", frame).numbers, [1, 1, 1, 1, 0, nan, 1, nan, nan])
    np.testing.assert_array_equal(value("!a", frame).numbers, [0] * 3 + [1] * 3 + [nan] * 3)


def test_comparisons_of_text_and_factors():
    frame = Frame.read({"s": ["b", "a", None], "t": ["a", "a", "b"], "o": pd.Categorical(["lo", "hi", "lo"], ["lo", "hi"], ordered=True)})
    np.testing.assert_array_equal(value("s == 'b'", frame).numbers, [1, 0, np.nan])
    np.testing.assert_array_equal(value("'b' != s", frame).numbers, [0, 1, np.nan])
    np.testing.assert_array_equal(value("s == t", frame).numbers, [0, 1, np.nan])
    np.testing.assert_array_equal(value("s == 'zz'", frame).numbers, [0, 0, np.nan])
    np.testing.assert_array_equal(value("o < 'hi'", frame).numbers, [1, 0, 1])
    np.testing.assert_array_equal(value("'hi' <= o", frame).numbers, [0, 1, 0])
    np.testing.assert_array_equal(value("s %in% c('a', 'q')", frame).numbers, [0, 1, 0])


def test_constants():
    # R 4.2.2: seq(0, 1, 0.25); 3:1; c(1, 2:3); -5 %% 3; -5 %/% 3; 7.5 %/% 2
    assert value("seq(0, 1, 0.25)") == (0, 0.25, 0.5, 0.75, 1)
    assert value("3:1") == (3, 2, 1)
    assert value("c(1, 2:3)") == (1, 2, 3)
    assert (value("-5 %% 3"), value("-5 %/% 3"), value("7.5 %/% 2")) == (1, -2, 3)
    assert value("2^3 + pi - 1 / 4") == pytest.approx(10.89159265)
    assert value("TRUE & !FALSE") is True
    assert value("'a' == 'a'") is True
    assert value("NULL") is None


def test_numbers_of_an_expression():
    np.testing.assert_array_equal(Expression(parse("2 * 3")).learn(TRAIN).numbers(NEW), [6, 6, 6])
    np.testing.assert_array_equal(Expression(parse("l")).learn(TRAIN).numbers(NEW), [0, 0, 1])
    np.testing.assert_array_equal(np.asarray(value("k + 1", new=NEW), float), [3, 3, 2])
    for text in ("f", "poly(x, 2)", "c(1, 2)", "'a'"):
        with pytest.raises(BrimError, match="number"):
            Expression(parse(text)).learn(TRAIN).numbers(TRAIN)


def test_text_and_categoricals_as_numbers():
    # R 4.2.2: as.numeric(c("10", "2")) is 10, 2; as.numeric(factor(c("10", "2"))) is 1, 2
    frame = Frame.read({"t": ["10", "2"], "f": pd.Categorical(["10", "2"], categories=["10", "2"])})
    assert value("as.numeric(t)", frame).values.tolist() == [10, 2]
    assert value("as.numeric(f)", frame).values.tolist() == [1, 2]
    assert value("as.numeric(as.character(f))", frame).values.tolist() == [10, 2]
    assert value("as.integer(2.7)", frame) == 2


def test_variables_of_contrasts():
    assert variables(parse("y ~ C(f, contr.sum) * x")) == ("y", "f", "x")


def test_every_function_has_one_name():
    assert not set(FUNCTIONS) & set(LEARNERS)


def test_values_are_columns():
    assert isinstance(value("log(x)"), Numeric)
    assert isinstance(value("factor(k)"), Factor)


# ---- errors ---------------------------------------------------------------------------------------------------------------

DATA = Frame.read(
    {
        "x": [0.0, 1, 2, 3],
        "f": ["a", "b", "a", "c"],
        "o": pd.Categorical(["u", "v", "u", "v"], ordered=True),
        "l": [True, False, True, True],
        "one": ["q"] * 4,
        "m": [1.0, None, 2, 3],
        "inf": [1, np.inf, 2, 3],
    }
)

ERRORS = {
    "logg(x)": ("unknown function 'logg'", "logg(x)", "did you mean 'log'"),
    "xx": ("unknown column 'xx'", "xx", "did you mean 'x'?"),
    "log(x)": ("log(x) is not finite in row 0 (counted from 0) (x = 0)", "log(x)", ""),
    "exp(1000 * x)": ("is not finite in rows 1, 2, 3 (counted from 0) (x = 1)", "exp(1000 * x)", ""),
    "inf": ("'inf' is infinite in row 1 (counted from 0)", "inf", ""),
    "log(x, bas = 2)": ("log() has no argument 'bas'", "log(x, bas = 2)", "its arguments: x, base"),
    "log()": ("log() needs the argument 'x'", "log()", ""),
    "exp(x, 2)": ("exp() has one argument too many", "exp(x, 2)", ""),
    "one": ("'one' has one level only, 'q'; contrasts can be applied only to factors with 2 or more levels", "one", ""),
    "0 + one": ("'one' has one level only", "one", ""),
    "I(f * 2)": ("a number is needed here, and this is a factor (levels 'a', 'b', 'c')", "f * 2", ""),
    "I(x + 'a')": ("a number is needed here, and this is the text 'a'", "x + 'a'", ""),
    "I(5)": ("'I(5)' is the same in every row", "I(5)", "write 1"),
    "mean(x)": ("'mean(x)' is the same in every row", "mean(x)", ""),
    "mean(m) + x:I(m - mean(m))": ("mean() of a column with missing values", "mean(m)", "na.rm = TRUE"),
    "poly(x, 4)": ("degree 4 needs more than 4 distinct values, and the column has 4", "poly(x, 4)", ""),
    "poly(f, 2)": ("poly() needs one numeric column", "poly(f, 2)", ""),
    "poly(x, x)": ("poly() takes one column", "poly(x, x)", ""),
    "bs(x, df = 2)": ("bs(): df must be at least 3", "bs(x, df = 2)", ""),
    "ns(x, df = 0)": ("ns(): df must be at least 1", "ns(x, df = 0)", ""),
    "scale(x > -1)": ("scale() of a column that does not vary", "scale(x > -1)", ""),
    "f < 'b'": ("'<' and '>' need numbers or an ordered factor", "f < 'b'", "ordered("),
    "o < 'zz'": ("'zz' is not a level", "o < 'zz'", "levels: u, v"),
    "x == c(1, 2)": ("a comparison with several constants", "x == c(1, 2)", "%in%"),
    "I(x + c(1, 2))": ("a vector of constants does not fit the rows", "x + c(1, 2)", ""),
    "c(x, 1)": ("c() holds constants here, not columns", "c(x, 1)", "cbind"),
    "factor(f, levels = c('a', 'b'))": (
        'factor(f, levels = c("a", "b")) has no value in row 3 (counted from 0) (f = c)',
        "factor(f, levels = c('a', 'b'))",
        "",
    ),
    "factor(f, levels = 'zz')": ("none of the levels zz is in the column", "factor(f, levels = 'zz')", "a, b, c"),
    "factor(f, labels = c('p', 'q'))": ("2 labels for 3 levels", "factor(f, labels = c('p', 'q'))", ""),
    "relevel(f, ref = 'z')": ("relevel(): 'z' is not a level", "relevel(f, ref = 'z')", "a, b, c"),
    "relevel(o, ref = 'v')": ("relevel() is for unordered factors", "relevel(o, ref = 'v')", ""),
    "cut(x, c(1, 1, 2))": ("the breaks are not unique", "cut(x, c(1, 1, 2))", ""),
    "cut(x, c(0, 1, 4))": ("has no value in row 0 (counted from 0) (x = 0)", "cut(x, c(0, 1, 4))", ""),
    "cut(x, 1)": ("at least two intervals", "cut(x, 1)", ""),
    "cut(x, c(-1, 2, 4), labels = 'a')": ("1 labels for 2 intervals", "cut(x, c(-1, 2, 4), labels = 'a')", ""),
    "C(f, contr.foo)": ("unknown contrasts 'contr.foo'", "contr.foo", "contr."),
    "C(f, contr.sum, base = 2)": ("base is the number of a level, for contr.treatment", "2", ""),
    "ifelse(l, o, 'b')": ("ifelse() of factors gives R's integer codes", "ifelse(l, o, 'b')", "as.character"),
    "ifelse(f, 1, 2)": ("ifelse() needs a column of truth values", "ifelse(f, 1, 2)", ""),
    "as.numeric(f)": ("as.numeric() of text: 'a' is not a number", "as.numeric(f)", "factor"),
}


@pytest.mark.parametrize("formula", ERRORS)
def test_errors_mark_the_formula(formula):
    what, token, hint = ERRORS[formula]
    with pytest.raises(BrimError) as raised:
        learn(formula, DATA).matrix(DATA)
    error = raised.value
    assert what in error.what
    assert error.source[slice(*error.span)] == token
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("formula", "new", "what"),
    [
        ("f", {"f": ["zz", "a"]}, "column 'f' has a level that the data of the fit did not have: 'zz'"),
        ("f", {"f": [1, 2]}, "levels that the data of the fit did not have: '1', '2'"),
        ("factor(x)", {"x": [7]}, "factor() has a level that the data of the fit did not have: '7'"),
        ("interaction(f, l)", {"f": ["b"], "l": [True]}, "did not have: 'b.TRUE'"),
        ("x", {"x": ["1", "2"]}, "column 'x' was numeric in the data of the fit, and here holds text: 1, 2"),
        ("l", {"l": ["TRUE"]}, "column 'l' was logical in the data of the fit, and here holds text"),
        ("l", {"l": [2]}, "column 'l' was logical in the data of the fit, and here holds numbers"),
        ("cut(x, 3)", {"x": [10]}, "cut(x, 3) has no value in row 0 (counted from 0) (x = 10)"),
        ("log(x + 1)", {"x": [-1]}, "log(x + 1) is not finite in row 0 (counted from 0) (x = -1)"),
        ("f", {"x": [1]}, "unknown column 'f'"),
    ],
)
def test_errors_in_new_data(formula, new, what):
    design = learn(formula, DATA)
    with pytest.raises(BrimError) as raised:
        design.matrix(Frame.read(new))
    assert what in raised.value.what
    assert raised.value.source == f"~ {formula}"


def test_a_hint_for_a_new_level_names_the_known_ones():
    with pytest.raises(BrimError, match=r"did you mean 'mid'\? known levels: lo, mid, hi"):
        learn("f").matrix(Frame.read({"f": ["midd"]}))
