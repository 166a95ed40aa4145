"""Sizes that a formula asks for are known before they are built; whatever the text, what comes is a model or brim's error."""

import random
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from brim import BrimError, bf, brm, prior
from brim.limits import Limits, limits, set_limits

N = 60
RNG = np.random.default_rng(0)
D = pd.DataFrame({f"v{i}": RNG.normal(size=N) for i in range(20)})
D = D.assign(y=RNG.normal(size=N), x=RNG.normal(size=N), const=1.0, big=np.r_[1e9, np.arange(1, N)], b=np.arange(N) % 2)
ALL = [f"v{i}" for i in range(20)]

TOO_MUCH = {
    "parentheses": "y ~ " + "(" * 500 + "x" + ")" * 500,
    "calls": "y ~ " + "exp(" * 500 + "x" + ")" * 500,
    "sum in a call": f"y ~ I({'+'.join(['x'] * 500)})",
    "signs": f"y ~ I({'-' * 3000}x)",
    "powers": f"y ~ I({'^'.join(['x'] * 2000)})",
    "differences": "y ~ x" + " - v1 + v2" * 400,
    "colons": "y ~ " + ":".join(["x"] * 1500),
    "bars": "y ~ " + "|".join(["x"] * 1500),
    "product": "y ~ " + "*".join(ALL[:18]),
    "power of a sum": f"y ~ ({'+'.join(ALL)})^20",
    "all of all": "y ~ .^19",
    "bs": "y ~ bs(x, df = 1e8)",
    "ns": "y ~ ns(x, df = 1e5)",
    "poly": "y ~ poly(x, 1e9, raw = TRUE)",
    "cut": "y ~ cut(x, 1e9)",
    "seq": "y ~ cut(x, seq(1, 2, length.out = 1e12))",
    "range": "y ~ cut(x, 1:1e12)",
    "ps": "y ~ s(x, bs = 'ps', k = 1e7)",
    "tp": "y ~ s(x, k = 1e7)",
    "t2": "y ~ t2(x, v1, k = 1e5)",
    "mo": "y ~ mo(big)",
    "ar": "y ~ ar(p = 1e6)",
    "gp": "y ~ gp(x, k = 1e7)",
}
NONSENSE = [
    "y:x ~ x",
    "y ~ cut(x, seq(1, 10, 0))",
    "y ~ cut(x, seq(1, 10, -1))",
    "y ~ interaction()",
    "cbind() ~ x",
    "y ~ ns(const, 3)",
    "y ~ bs(x, knots = c(5, 6))",
    "y ~ s(x, const)",
    "y ~ s(x, big)",
    "y ~ s(const)",
    "y ~ I(x * 1e400L)",
    "y ~ I(x * 1e400)",
    ". ~ x",
]


def quickly(formula, family="gaussian", **kwargs):
    start = time.perf_counter()
    with pytest.raises(BrimError) as caught:
        brm(formula, D, family, empty=True, **kwargs)
    assert time.perf_counter() - start < 5.0
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(TOO_MUCH))
def test_too_much_is_refused_before_it_is_built(name):
    said = quickly(TOO_MUCH[name])
    assert "limit" in said or "nested more than" in said or "operations" in said


def test_too_many_categories_and_thresholds():
    assert "largest category" in quickly("big ~ x", "cumulative")
    assert "thres() asks for 1e+09" in quickly("b + 1 | thres(1e9) ~ x", "cumulative")


def test_products_of_long_factors():
    f = RNG.permutation(np.resize(np.arange(1500), 3000))
    long = pd.DataFrame({"y": RNG.normal(size=3000), "f": [f"a{i}" for i in f], "h": [f"b{i}" for i in f[::-1]]})
    with pytest.raises(BrimError, match=r"the term f:h asks for"):
        brm("y ~ f * h", long, empty=True)


def test_a_thousand_terms_are_no_matter():
    assert len(brm("y ~ " + " + ".join(ALL * 50), D, empty=True).variables()) == 24
    assert "more than 150 sums" in quickly(bf("y ~ " + "+".join(["a * x"] * 1000), "a ~ 1", nl=True))


@pytest.mark.parametrize("formula", NONSENSE)
def test_nonsense_is_brims_error(formula):
    quickly(formula)


def test_limits_can_be_set():
    before = set_limits(basis=20)
    try:
        assert "the limit is 20" in quickly("y ~ bs(x, df = 30)")
    finally:
        set_limits(basis=before.basis)
    assert limits() == Limits()
    for wrong in ({"bases": 3}, {"basis": 0}, {"basis": 1.5}):
        with pytest.raises(BrimError):
            set_limits(**wrong)


class Writer:
    """Random formulas and priors, mostly wrong."""

    names = (*ALL[:3], "y", "x", "b", "big", "const", "nope", ".", "Intercept")
    numbers = ("0", "1", "2", "3", "0.5", "-1", "1e3", "1e308", "10L", "NA", "Inf", "TRUE", "NULL", '"tp"')
    calls = (
        "log exp sqrt I poly bs ns factor cut scale mean s t2 te gp mo me mi cs ar ma arma cosy unstr sar car fcor offset interaction "
        "cbind quantile seq ifelse relevel c gr mm mmc round pmin as.numeric C is.na min ordered"
    ).split()
    keys = "k df by bs degree id cov gr time p q raw knots sigma lb ub levels type breaks dist cor".split()
    additions = "weights trials cens trunc se rate mi subset dec thres cat vint vreal index bhaz".split()
    laws = "normal student_t gamma lkj dirichlet horseshoe R2D2 lasso constant uniform exponential flat foo".split()

    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, write, *args):
        return ", ".join(write(*args) for _ in range(self.random.choice((0, 1, 1, 2, 3))))

    def expression(self, depth=0):
        pick, chance = self.random.choice, self.random.random()
        if depth > 3 or chance < 0.35:
            return pick(self.names)
        if chance < 0.48:
            return pick(self.numbers)
        if chance < 0.72:
            return f"{pick(self.calls)}({self.some(self.argument, depth + 1)})"
        if chance < 0.95:
            operator = pick((" + ", " * ", ":", " - ", "/", "^", " %in% ", " | ", " || ", " == ", " < ", " & "))
            return self.expression(depth + 1) + operator + self.expression(depth + 1)
        return pick(("-", "!", "(")) + self.expression(depth + 1) + pick(("", ")"))

    def argument(self, depth):
        return (f"{self.random.choice(self.keys)} = " if self.random.random() < 0.25 else "") + self.expression(depth)

    def formula(self):
        left = self.random.choice(("y", "y", "b", "big", "log(y)", "cbind(b, big)", "mvbind(y, x)", self.expression(3), "1"))
        if self.random.random() < 0.3:
            left += f" | {self.random.choice(self.additions)}({self.some(self.argument, 3)})"
        return f"{left} ~ {self.expression()}"

    def number(self, depth=0):
        pick, chance = self.random.choice, self.random.random()
        if chance < 0.6 or depth > 2:
            return pick("0 1 2 -1 0.5 1e3 1e400 9 pi Inf NA TRUE x".split())
        if chance < 0.8:
            return self.number(depth + 1) + pick("+-*/^:") + self.number(depth + 1)
        return f"{pick(('sqrt', 'exp', 'log', 'c', 'rep', 'foo'))}({self.some(self.number, depth + 1)})"

    def prior(self):
        where = {"class_": self.random.choice(("b", "Intercept", "sd", "sigma", "nope")), "coef": self.random.choice(("", "x", 1))}
        return prior(f"{self.random.choice(self.laws)}({self.some(self.number)})", **where)


def fuzz(seed, count):
    writer = Writer(seed)
    for _ in range(count):
        formula, start = writer.formula(), time.perf_counter()
        family = writer.random.choice(("gaussian", "poisson", "bernoulli", "cumulative", "categorical", "beta"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                brm(formula, D, family, writer.prior() if writer.random.random() < 0.3 else None, empty=True)
        except BrimError:
            pass
        assert time.perf_counter() - start < 5.0, formula


def test_random_text_gives_a_model_or_brims_error():
    fuzz(1, 600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_much_random_text_gives_a_model_or_brims_error(seed):
    fuzz(seed, 20_000)
