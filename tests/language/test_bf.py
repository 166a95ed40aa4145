"""Model formulas: what ``bf()`` holds, its algebra, how it prints (as brms 2.18 does), and its error messages."""

import pytest

import brim
from brim.errors import BrimError
from brim.families import student
from brim.language.brms import (
    Formula,
    MvFormula,
    acformula,
    as_formula,
    bf,
    lf,
    mvbf,
    mvbind,
    nlf,
    response_name,
    set_mecor,
    set_nl,
    set_rescor,
)
from brim.language.expand import Name, deparse, label, parse

# R: print(bf(...)), without the blanks at the ends of lines
PRINTED = [
    (bf("y~x", "sigma~z", quantile=0.25), "y ~ x\nsigma ~ z\nquantile = 0.25"),
    (bf("y~x", "a + b ~ 1+(1|g)", sigma2="sigma1", nl=True), "y ~ x\na ~ 1 + (1 | g)\nb ~ 1 + (1 | g)\nsigma2 = sigma1"),
    (bf("y~x") + lf("sigma~z"), "y ~ x\nsigma ~ z"),
    (bf("y ~ a*exp(b)") + nlf("a~exp(c)") + lf("c~1", "b~1") + set_nl(), "y ~ a * exp(b)\na ~ exp(c)\nc ~ 1\nb ~ 1"),
    (bf("mvbind(y1,y2)~x", "sigma~z") + set_rescor(False), "y1 ~ x\nsigma ~ z\ny2 ~ x\nsigma ~ z"),
    (bf("mvbind(log(y1),y2)|weights(w)~x"), "log(y1) | weights(w) ~ x\ny2 | weights(w) ~ x"),
    (bf("y1~x") + bf("y2~z"), "y1 ~ x\ny2 ~ z"),
    (bf("y1~x") + bf("y2~z") + lf("sigma~1", resp="y1"), "y1 ~ x\nsigma ~ 1\ny2 ~ z"),
    (bf("y~x", "sigma~1") + lf("sigma~z"), "y ~ x\nsigma ~ z"),
    (bf("y~x", sigma2=1, nu=3) + lf("nu~1"), "y ~ x\nnu ~ 1\nsigma2 = 1"),
    (bf(bf("y~x", "sigma~z"), "sigma~1", nu=2), "y ~ x\nsigma ~ 1\nnu = 2"),
    (bf("y~x", sigma="~z"), "y ~ x\nsigma ~ z"),
    (bf("y~x") + "sigma~z", "y ~ x\nsigma ~ z"),
    (bf("y~x", "sigma~z", nu=3, autocor="~ar(p=1)"), "y ~ x\nautocor ~ ar(p = 1)\nsigma ~ z\nnu = 3"),
    (bf("y~x") + acformula("~ ar(p=1)"), "y ~ x\nautocor ~ ar(p = 1)"),
    (bf("y~x", unused="~w") + set_mecor(False), "y ~ x"),
    (bf("y|weights(w)+trials(n)~x", family="student"), "y | weights(w) + trials(n) ~ x"),
    (
        bf("y~x", "sigma~1")
        + lf(
            "nu~1",
        )
        + student(),
        "y ~ x\nsigma ~ 1\nnu ~ 1",
    ),
]


@pytest.mark.parametrize(("formula", "printed"), PRINTED)
def test_prints_as_brms(formula, printed):
    assert str(formula) == printed


@pytest.mark.parametrize(
    ("response", "name"),
    # R: names((bf(log(y_1) ~ x) + bf(z ~ 1))$forms)[1]; the last two: gsub("\\.|_", "", make.names(x))
    [
        ("log(y_1)", "logy1"),
        ("y.2", "y2"),
        ("`my y`", "myy"),
        ("y2/3 + 1", "y231"),
        ("cbind(a, b)", "cbindab"),
        ("-y", "Xy"),
        (".y", "y"),
    ],
)
def test_response_names_are_brms(response, name):
    assert response_name(parse(response)) == name
    assert bf(f"{response} | weights(w) ~ x").resp == name


def test_content():
    formula = bf("log(y) | weights(w) ~ x + (1 | g)", "sigma ~ z", ["nu ~ 1"], alpha=2, decomp="QR", center=False)
    assert formula.resp == "logy"
    assert deparse(formula.left.response) == "log(y)"
    assert [deparse(call) for call in formula.left.additions] == ["weights(w)"]
    assert formula.parameters == ("mu", "sigma", "nu")
    assert [label(term) for term in formula.predictor("sigma").terms().terms] == ["z"]
    assert [deparse(group.by) for group in formula.predictor("mu").terms().groups] == ["g"]
    assert formula.value("alpha") == 2.0
    assert formula.value("sigma") is None
    assert (formula.main.center, formula.main.decomp) == (False, "QR")
    assert (formula.predictor("sigma").center, formula.predictor("sigma").decomp) == (None, "none")
    assert formula.variables() == ("y", "w", "x", "g", "z")


def test_options_of_lf_and_nlf():
    formula = bf("y ~ x") + lf("sigma ~ z", center=False, cmc=False, sparse=True, decomp="QR") + nlf("nu ~ exp(a)", "a ~ 1", loop=False)
    sigma, nu, a = formula.predictors
    assert (sigma.center, sigma.cmc, sigma.sparse, sigma.decomp, sigma.nl) == (False, False, True, "QR", False)
    assert (nu.nl, nu.loop, a.nl) == (True, False, False)


def test_a_formula_of_mu_takes_the_place_of_the_main_one():
    # R: brmsterms(bf(y ~ x, mu ~ z))$dpars$mu$formula is ~z
    formula = bf("y ~ x", "mu ~ z")
    assert deparse(formula.predictor("mu").rhs) == "z"
    assert formula.parameters == ("mu",)


def test_nonlinear():
    formula = bf("y ~ 2*a^exp(b*x) + c", "a + b ~ z", nl=True)
    assert formula.nl
    assert deparse(formula.main.rhs) == "2 * a^exp(b * x) + c"
    assert formula.parameters == ("mu", "a", "b")
    assert formula.variables() == ("y", "x", "c", "z")
    with pytest.raises(BrimError, match="the formula of 'mu' is nonlinear"):
        formula.main.terms()
    assert bf("y ~ 2*a^exp(b*x) + c", "a + b ~ z") + set_nl() == formula
    partly = bf("y ~ x", "sigma ~ exp(a)", "a ~ 1") + set_nl(dpar="sigma")
    assert [predictor.nl for predictor in (partly.main, *partly.predictors)] == [False, True, False]


def test_dot_leaves_out_the_response_in_every_formula():
    formula = bf("y | weights(w) ~ .", "sigma ~ . - a")
    columns = ("y", "w", "a", "b")
    assert formula.terms("mu", columns).terms == ((Name("a"),), (Name("b"),))
    assert formula.terms("sigma", columns).terms == ((Name("b"),),)
    assert formula.variables(columns) == columns
    assert formula.variables() == ("y", "w", "a")


def test_equality_and_hash_are_of_the_content():
    assert bf("y ~ x", "sigma ~ z", nu=1) == bf("y~x", "sigma~  z", nu=1.0)
    assert hash(bf("y ~ x")) == hash(as_formula("y~x"))
    assert bf("y ~ x") != bf("y ~ z")
    assert bf("y ~ x") != bf("y ~ x", nl=True)
    assert bf("y ~ x") != bf("y ~ x", family="student")
    assert len({bf("y ~ x"), bf("y  ~ x"), bf("y ~ 1")}) == 2


def test_repr_makes_the_formula_again():
    for formula in (
        bf("y ~ x + (1 | g)", "sigma ~ z", nu=3, family="student"),
        bf("y ~ a", "a ~ 1", nl=True, autocor="~ ar(p = 1)"),
        bf("y1 ~ x") + bf("y2 ~ x") + set_rescor(False),
    ):
        assert eval(repr(formula)) == formula


def test_several_responses():
    formula = bf("y1 ~ x", family="student") + bf("log(y2) ~ z") + bf("y3 ~ 1") + set_rescor(True)
    assert isinstance(formula, MvFormula)
    assert formula.responses == ("y1", "logy2", "y3")
    assert [one.family for one in formula] == ["student", None, None]
    assert formula.rescor is True
    assert formula.variables() == ("y1", "x", "y2", "z", "y3")
    assert mvbf(bf("y1 ~ x", family="student"), "log(y2) ~ z", "y3 ~ 1", rescor=True) == formula
    assert (bf("y1 ~ x") + (bf("y2 ~ x") + bf("y3 ~ x"))).responses == ("y1", "y2", "y3")
    assert bf(mvbind("y1", "y2") + " ~ x") == bf("y1 ~ x") + bf("y2 ~ x")
    assert [one.mecor for one in bf("mvbind(y1, y2) ~ x") + set_mecor(False)] == [False, False]
    assert [one.nl for one in bf("y1 ~ x") + bf("y2 ~ a", "a ~ 1") + set_nl(resp="y2")] == [False, True]


def test_one_formula_reads_like_several():
    formula = bf("y ~ x")
    assert list(formula) == [formula]
    assert (formula.responses, formula.rescor) == (("y",), None)


def test_adding_a_family():
    family = student()
    assert (bf("y ~ x") + family).family is family
    assert [one.family for one in bf("y1 ~ x") + bf("y2 ~ x") + family] == [family, family]


def test_formulas_are_immutable_and_sums_are_new():
    base = bf("y ~ x")
    assert str(base + lf("sigma ~ z")) == "y ~ x\nsigma ~ z"
    assert str(base) == "y ~ x"
    with pytest.raises(AttributeError):
        base.family = "student"


def test_as_formula():
    formula = bf("y ~ x")
    assert as_formula(formula) is formula
    assert isinstance(as_formula("y ~ x"), Formula)
    assert isinstance(as_formula("mvbind(a, b) ~ x"), MvFormula)


# A call that fails -> (the token underlined or None, a part of the message)
ERRORS = [
    (lambda: bf("y"), "y", "a model formula needs a '~'"),
    (lambda: bf("~ x"), "~ x", "the formula has no response"),
    (lambda: bf(5), None, "a formula is a string, not int"),
    (lambda: bf("y ~ x +"), "+", "'+' has nothing on its right"),
    (lambda: bf("y | wieghts(w) ~ x"), "wieghts(w)", "did you mean 'weights'?"),
    (lambda: bf("log(mvbind(a, b)) ~ x"), "mvbind(a, b)", "stands alone left of '~'"),
    (lambda: bf("mvbind() ~ x"), "mvbind()", "stands alone left of '~'"),
    (lambda: bf("mvbind(y, y) ~ x"), "y", "response 'y' is used twice"),
    (lambda: bf("y ~ x") + bf("y ~ z"), "y", "response 'y' is used twice"),
    (lambda: bf("y ~ x", "~ z"), "~ z", "names it left of '~'"),
    (lambda: bf("y ~ x", "sigma"), "sigma", "names it left of '~'"),
    (lambda: bf("y ~ x", "log(a) ~ z"), "log(a)", "'log(a)' is no name of a parameter"),
    (lambda: bf("y ~ x", "a_b ~ z"), "a_b", "names of parameters have no dots or underscores"),
    (lambda: bf("y ~ x", "a + b.c ~ z"), "b.c", "illegal parameter name 'b.c'"),
    (lambda: bf("y ~ x", "sigma ~ ("), "(", "'(' is never closed"),
    (lambda: bf("y ~ x", 5), None, "the formula of a parameter is a string, not int"),
    (lambda: bf("y ~ x", "sigma ~ 1", "sigma ~ z"), None, "parameter 'sigma' is given twice"),
    (lambda: bf("y ~ x", "sigma ~ 1", sigma=1), None, "parameter 'sigma' is given twice"),
    (lambda: bf("y ~ x", sigma=(1, 2)), None, "'sigma' is set to (1, 2)"),
    (lambda: bf("y ~ x", sigma=True), None, "'sigma' is set to True"),
    (lambda: bf("y ~ x", sigma=float("nan")), None, "'sigma' is set to nan"),
    (lambda: bf("y ~ x", sigma="x + 1"), "x + 1", 'write sigma="~ x + 1"'),
    (lambda: bf("y ~ x", sigma="nu"), None, "'sigma' cannot equal 'nu'"),
    (lambda: bf("y ~ x", sigma1="sigma1"), None, "'sigma1' cannot equal 'sigma1'"),
    (lambda: bf("y ~ x", decomp="qr"), None, "unknown decomp 'qr'"),
    (lambda: bf("y ~ x", autocor="~ x"), "x", "'x' has no autocorrelation term"),
    (lambda: bf("y ~ x", unused="z"), "z", "a one-sided formula is wanted"),
    (lambda: bf("y ~ x") + set_rescor(), None, "residual correlations need several responses"),
    (lambda: bf("y ~ x", "sigma ~ 1") + set_nl(dpar="sigmaa"), None, "did you mean 'sigma'?"),
    (lambda: bf("y ~ x") + lf("sigma ~ 1", resp="yy"), None, "unknown response 'yy'"),
    (lambda: bf("a ~ x") + bf("b ~ x") + lf("sigma ~ 1"), None, "give resp=, one of: a, b"),
    (lambda: bf("a ~ x") + bf("b ~ x") + lf("sigma ~ 1", resp="c"), None, "unknown response 'c'"),
]


@pytest.mark.parametrize(("make", "token", "message"), ERRORS)
def test_errors(make, token, message):
    with pytest.raises(BrimError) as caught:
        make()
    assert message in str(caught.value)
    if token is None:
        assert caught.value.span is None
    else:
        assert caught.value.source[slice(*caught.value.span)] == token


def test_only_formulas_and_their_parts_add_up():
    with pytest.raises(BrimError):
        bf("y ~ x") + 5


def test_what_is_added_is_shown_as_it_is_written():
    for shown in (
        "set_rescor(False)",
        "set_mecor(False)",
        "lf('sigma ~ x', 'nu ~ z')",
        "nlf('mu ~ a * x')",
        "set_nl(True)",
        "acformula('~ ar(time)')",
        "lf('sigma ~ x', resp='y')",
    ):
        assert (
            repr(eval(shown, {name: getattr(brim, name) for name in ("set_rescor", "set_mecor", "lf", "nlf", "set_nl", "acformula")}))
            == shown
        )
    assert repr(brim.poisson) == "brim.poisson(link='log')"
    assert repr(brim.stop_when(ess=400, seconds=60)) == "stop_when(ess=400, seconds=60)"
