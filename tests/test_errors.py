"""Bad input: one error type that says what is wrong, where, and the nearest valid name."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import brim
from brim import BrimError, bf, prior
from references import data

SIM = data("sim")
CBPP = data("cbpp")
NAN_KEY = SIM.assign(g=SIM.g.where(np.arange(len(SIM)) != 3))


def make(formula, frame=SIM, **kwargs):
    return lambda: brim.brm(formula, data=frame, empty=True, **kwargs)


def fitted(method, *args, **kwargs):
    def call():
        fit = brim.brm("y ~ x + (1 | g)", data=SIM, empty=True)
        names = [n for n in fit.variables() if n not in ("lprior", "lp__")]
        return getattr(fit.with_draws(pd.DataFrame(np.full((4, len(names)), 0.5), columns=names)), method)(*args, **kwargs)

    return call


#: what is wrong: (call, parts that the message must have)
TABLE = {
    "unbalanced parenthesis": (make("y ~ x + (1 | g"), ["(", "y ~ x + (1 | g\n"]),
    "no right-hand side": (make("y ~"), ["y ~"]),
    "no response": (make("~ x"), ["response"]),
    "equals sign for a tilde": (make("y = x"), ["~"]),
    "unknown column": (make("y ~ xx"), ["'xx'", "did you mean 'x'"]),
    "unknown response": (make("yy ~ x"), ["'yy'", "did you mean 'y'"]),
    "unknown group": (make("y ~ x + (1 | gg)"), ["'gg'", "'g'"]),
    "unknown function": (make("y ~ lgo(x)"), ["lgo", "log"]),
    "unknown addition": (make("y | weigths(w) ~ x"), ["weigths", "weights", "^^^"]),
    "addition of another family": (make("y | trials(ntr) ~ x"), ["gaussian does not take trials()"]),
    "trials missing": (make("ysucc ~ x", family="binomial"), ["number of trials", "trials("]),
    "unknown family": (make("y ~ x", family="gausian"), ["gausian", "gaussian"]),
    "unknown link": (lambda: brim.poisson("loog"), ["loog", "log"]),
    "unknown distributional parameter": (make(bf("y ~ x", "sgma ~ x")), ["'sgma'", "sigma"]),
    "parameter fixed and predicted": (lambda: bf("y ~ x", "sigma ~ x", sigma=1), ["'sigma' is given twice"]),
    "basis of several penalties": (make("y ~ s(x, bs = 'ad')"), ["'ad'", "several penalties", "gp()"]),
    "negative count": (make("z ~ x", family="poisson"), ["poisson needs", "whole numbers", "row"]),
    "more successes than trials": (make("incidence | trials(one) ~ period", CBPP.assign(one=1), family="binomial"), ["trials", "row"]),
    "bernoulli out of 0 and 1": (make("ycount ~ x", family="bernoulli"), ["bernoulli", "row"]),
    "three levels for bernoulli": (make("f3 ~ x", family="bernoulli"), ["3 levels", "bernoulli"]),
    "factor for gaussian": (make("f3 ~ x"), ["factor", "gaussian needs numbers"]),
    "infinite response": (make("log(ycount) ~ x"), ["log(ycount)", "not finite"]),
    "negative weight": (make("y | weights(z) ~ x"), ["weights() needs", "row"]),
    "standard error below zero": (make("y | se(z) ~ x"), ["se() needs", "row"]),
    "rate of zero": (make("ycount | rate(zero) ~ x", SIM.assign(zero=0.0), family="poisson"), ["rate() needs values > 0"]),
    "subset of numbers": (make("y | subset(x) ~ x"), ["subset()", "logical"]),
    "group of one level": (make("y ~ x + (1 | one)", SIM.assign(one="a")), ["'one'", "one level"]),
    "factor of one level": (make("y ~ one", SIM.assign(one="a")), ["one", "level"]),
    "effect by group twice": (make("y ~ x + (1 | g) + (1 + x | g)"), ["'Intercept' varies by 'g' twice"]),
    "same ID over two groups": (make(bf("y ~ x + (1 | p | g)", "sigma ~ (1 | p | g2)")), ["same ID", "'g'", "'g2'"]),
    "by not nested": (make("y ~ x + (1 | gr(g, by = f3))"), ["more than one level of by = f3"]),
    "cov not in data2": (make("y ~ x + (1 | gr(g, cov = B))", data2={"A": np.eye(9)}), ["'B'", "data2"]),
    "cov not positive definite": (make("y ~ x + (1 | gr(g, cov = A))", data2={"A": np.ones((9, 9))}), ["positive definite"]),
    "cov without a level": (
        make("y ~ x + (1 | gr(g, cov = A))", data2={"A": pd.DataFrame(np.eye(9), index=[f"h{i}" for i in range(9)])}),
        ["no row for level 'g1'"],
    ),
    "prior weight within a level": (make("y ~ x + (1 | gr(g, pw = w))"), ["pw = w differs within level"]),
    "mm of one factor": (make("y ~ x + (1 | mm(h1))"), ["mm()", "two"]),
    "unknown argument of gr": (make("y ~ x + (1 | gr(g, bye = sex))"), ["bye", "by"]),
    "prior of an unknown law": (lambda: prior("norml(0, 1)"), ["'norml'", "normal", "^^^"]),
    "prior with too few arguments": (lambda: prior("normal(0)"), ["normal() takes 2 arguments, not 1"]),
    "prior with a negative scale": (lambda: prior("normal(0, -1)"), ["argument 2", "positive"]),
    "prior for an unknown coefficient": (make("y ~ x", prior=prior("normal(0, 1)", coef="xx")), ["coef = xx", "did you mean 'x'"]),
    "prior for an unknown class": (make("y ~ x", prior=prior("normal(0, 1)", class_="sgma")), ["class = sgma", "sigma"]),
    "prior for an unknown group": (make("y ~ x + (1 | g)", prior=prior("normal(0, 1)", class_="sd", group="h")), ["group = h", "g"]),
    "bounds of one coefficient": (make("y ~ x", prior=prior("normal(0, 1)", coef="x", lb=0)), ["bounds", "class = b alone"]),
    "bounds the wrong way round": (lambda: prior("normal(0, 1)", lb=1, ub=0), ["lower bound"]),
    "prior without mass": (make("y ~ x", prior=prior("uniform(-2, -1)", class_="sigma")), ["no mass", "sigma"]),
    "prior as a string": (make("y ~ x", prior="normal(0, 1)"), ["brim.prior"]),
    "flat prior sampled": (make("y ~ x", sample_prior="only"), ["proper", "class = b"]),
    "iter below warmup": (make("y ~ x", iter=100, warmup=100), ["warmup = 100", "iter"]),
    "no chains": (make("y ~ x", chains=0), ["chains = 0"]),
    "unknown control": (make("y ~ x", control={"adapt_delt": 0.9}), ["adapt_delt", "adapt_delta"]),
    "unknown algorithm": (make("y ~ x", algorithm="samplin"), ["samplin", "sampling"]),
    "unknown sample_prior": (make("y ~ x", sample_prior="onyl"), ["onyl", "only"]),
    "folder of file missing": (make("y ~ x", file="no/such/folder/fit"), ["folder", "make it first"]),
    "no data frame": (make("y ~ x", frame=3), ["data"]),
    "no rows": (make("y ~ x", frame=SIM.head(0)), ["row"]),
    "all rows incomplete": (make("y ~ none", SIM.assign(none=np.nan)), ["column 'none' has no value at all"]),
    "two responses of one name": (lambda: bf("y ~ x") + bf("y ~ z"), ["'y'"]),
    "no draws": (lambda: brim.brm("y ~ x", data=SIM, empty=True).fixef(), ["no draws", "empty=True"]),
    "draws without a variable": (
        lambda: brim.brm("y ~ x", data=SIM, empty=True).with_draws(pd.DataFrame({"b_Intercept": [1.0], "b_x": [1.0]})),
        ["'sigma'"],
    ),
    "new level": (fitted("posterior_epred", {"x": [0.0], "g": ["g99"]}), ["'g99'", "allow_new_levels=True", "'g9'"]),
    "column missing in new data": (fitted("posterior_epred", {"g": ["g1"]}), ["'x'"]),
    "missing value in new data": (fitted("posterior_epred", {"x": [np.nan], "g": ["g1"]}), ["'x'", "missing"]),
    "re_formula with another effect": (fitted("posterior_epred", re_formula="(1 | h)"), ["'h'", "(Intercept | g)"]),
    "unknown dpar": (fitted("posterior_epred", dpar="sgma"), ["'sgma'", "sigma"]),
    "unknown way of new levels": (fitted("posterior_epred", sample_new_levels="gausian"), ["gausian", "gaussian"]),
    "too many draws": (fitted("posterior_epred", ndraws=9), ["ndraws = 9", "4 draws"]),
    "draws out of range": (fitted("posterior_epred", draw_ids=[7]), ["between 0 and 3"]),
}


@pytest.mark.parametrize("case", TABLE)
def test_message(case):
    call, parts = TABLE[case]
    with pytest.raises(BrimError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value) + "\n"


def test_rows_with_missing_values_are_left_out_with_a_warning():
    with pytest.warns(brim.BrimWarning, match="1 row with missing values"):
        fit = brim.brm("y ~ x + (1 | g)", data=NAN_KEY, empty=True)
    assert fit.nobs() == len(SIM) - 1


def test_nothing_is_left_on_disk_when_a_fit_fails(tmp_path):
    with pytest.raises(BrimError):
        brim.brm("z ~ x", data=SIM, family="poisson", file=tmp_path / "fit")
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_observations_of_a_response_that_is_not_there():
    fit = brim.brm("y ~ x", data=SIM, empty=True)
    with pytest.raises(BrimError, match="the model has no response 'z'"):
        fit.nobs("z")


def test_a_traceback_ends_in_the_users_frame(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import brim\ndef mine(d):\n    brim.brm('y ~ xx', d, empty=True)\nmine({'y': [1.0, 2, 3], 'x': [1.0, 3, 2]})\n")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ran.returncode == 1
    files = [line.split('"')[1] for line in ran.stderr.splitlines() if line.startswith("  File ")]
    assert files == [str(script)] * 2
    assert ran.stderr.rstrip().endswith("unknown column 'xx'\n  y ~ xx\n      ^^\ndid you mean 'x'?")
    with pytest.raises(BrimError) as caught:
        brim.brm("y ~ xx", {"y": [1.0, 2, 3], "x": [1.0, 3, 2]}, empty=True)
    assert sum(line.startswith("  File ") for line in caught.value._render_traceback_()) == 1


def test_errors_of_columns_mark_the_token():
    dates = pd.DataFrame({"y": [1.0, 2.0, 3.0], "when": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])})
    for formula in ("y ~ log(when)", "y ~ (1 + nope | g)", "y | weights(nope) ~ 1"):
        with pytest.raises(BrimError) as caught:
            brim.brm(formula, dates.assign(g=["a", "b", "c"]), empty=True)
        assert caught.value.source == formula
        assert formula[slice(*caught.value.span)] in ("when", "nope", "log(when)")


def test_what_a_fit_and_priors_show():
    fit = brim.brm("Reaction ~ Days", brim.load_data("sleepstudy"), prior=brim.prior("normal(0, 9)"), empty=True)
    assert repr(fit).splitlines()[0] == " Family: gaussian "
    assert "Formula: Reaction ~ Days" in repr(fit)
    assert "Draws: none" in repr(fit)
    assert repr(fit.priors) == "class = b ~ normal(0, 9)"
