"""Responses that a family cannot give: every family names the rows."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim.errors import BrimError
from brim.families.registry import CONSTRUCTORS, family

INF, NAN = float("inf"), float("nan")
TRIALS = {"trials": np.array([4.0, 4.0, 4.0])}
REAL = ((-3.0, 0.0, 7.5), (INF, NAN), {})
POSITIVE = ((1e-9, 0.5, 7.5), (0.0, -1.0, INF), {})
OR_ZERO = ((0.0, 0.5, 7.5), (-1.0, INF), {})
COUNTS = ((0.0, 3.0, 1e6), (-1.0, 2.5, INF), {})
OF_TRIALS = ((0.0, 2.0, 4.0), (-1.0, 2.5, 5.0), TRIALS)
ENDS = ((0.0, 0.5, 1.0), (-0.1, 1.2), {})
ORDINAL = ((1.0, 2.0, 4.0), (0.0, -1.0, 2.5), {})
SHARES = ((0.2, 0.8), (0.5, 0.5), (0.9, 0.1))
SIMPLEX = (SHARES, ((0.5, 0.6), (0.0, 1.0), (-0.2, 1.2)), {})
VECTORS = (((1.0, 3.0), (0.0, 4.0), (2.0, 2.0)), ((1.0, 2.0), (-1.0, 5.0), (1.5, 2.5)), TRIALS)

#: name: (three responses it takes, responses it does not take, addition data)
RESPONSES = {
    **dict.fromkeys(("gaussian", "student", "skew_normal", "exgaussian", "asym_laplace", "gen_extreme_value"), REAL),
    "zero_inflated_asym_laplace": REAL,
    **dict.fromkeys(
        ("lognormal", "shifted_lognormal", "gamma", "weibull", "exponential", "frechet", "inverse_gaussian", "wiener"), POSITIVE
    ),
    **dict.fromkeys(("hurdle_gamma", "hurdle_lognormal", "cox"), OR_ZERO),
    **dict.fromkeys(("poisson", "negbinomial", "negbinomial2", "geometric", "com_poisson", "discrete_weibull"), COUNTS),
    **dict.fromkeys(("hurdle_poisson", "hurdle_negbinomial", "zero_inflated_poisson", "zero_inflated_negbinomial"), COUNTS),
    **dict.fromkeys(("binomial", "beta_binomial", "zero_inflated_binomial", "zero_inflated_beta_binomial"), OF_TRIALS),
    "bernoulli": ((0.0, 1.0, 1.0), (2.0, -1.0, 0.5), {}),
    "beta": ((0.01, 0.5, 0.99), (0.0, 1.0, 1.2, -0.1), {}),
    "zero_inflated_beta": ((0.0, 0.5, 0.99), (1.0, 1.2, -0.1), {}),
    **dict.fromkeys(("xbeta", "zero_one_inflated_beta"), ENDS),
    "von_mises": ((-3.14, 0.0, 3.14), (-3.2, 4.0, INF), {}),
    **dict.fromkeys(("cumulative", "sratio", "cratio", "acat"), ORDINAL),
    "hurdle_cumulative": ((0.0, 1.0, 4.0), (-1.0, 2.5), {}),
    "categorical": ((1.0, 2.0, 3.0), (0.0, 1.5), {}),
    **dict.fromkeys(("dirichlet", "logistic_normal"), SIMPLEX),
    **dict.fromkeys(("multinomial", "dirichlet_multinomial"), VECTORS),
}


def test_every_family_has_its_row():
    assert set(RESPONSES) == set(CONSTRUCTORS)


@pytest.mark.parametrize("name", RESPONSES)
def test_what_a_family_takes(name):
    good, _, data = RESPONSES[name]
    family(name).check(np.asarray(good), data)


@pytest.mark.parametrize(("name", "bad"), [(n, bad) for n, (_, many, _) in RESPONSES.items() for bad in many])
def test_what_it_does_not_take_is_told_with_its_row(name, bad):
    good, _, data = RESPONSES[name]
    y = np.array([good[0], bad, good[2]], float)
    with pytest.raises(BrimError) as info:
        family(name).check(y, data)
    held = f"({', '.join(f'{v:g}' for v in bad)})" if np.ndim(bad) else f"{bad:g}"
    assert str(info.value).startswith(f"{name} needs ")
    assert info.value.what.endswith(f"; row 1 (counted from 0) holds {held}")
    assert info.value.hint


def test_a_mixture_takes_what_one_of_its_components_takes():
    one = brim.mixture("lognormal", "gaussian")
    one.check(np.array([-1.0, 2.0]))
    with pytest.raises(BrimError, match=r"positive numbers or finite numbers; row 0 \(counted from 0\) holds inf"):
        one.check(np.array([INF, 2.0]))


MODELS = [
    ("y ~ x", "poisson", {"y": [0, -1, 2, 3]}, "poisson needs non-negative whole numbers; row 1 (counted from 0) holds -1"),
    ("y ~ x", "beta", {"y": [0.2, 0.5, 1.2, 0.1]}, "row 2 (counted from 0) holds 1.2"),
    ("y ~ x", "gamma", {"y": [0.2, 0.5, 1.2, 0.0]}, "gamma needs positive numbers; row 3 (counted from 0) holds 0"),
    ("y | trials(n) ~ x", "binomial", {"y": [1, 2, 5, 0], "n": [4, 4, 4, 4]}, "row 2 (counted from 0) holds 5"),
    ("y ~ x", "cumulative", {"y": pd.Categorical(["a", "b", "c", "a"])}, "'y' is a factor without order; cumulative needs an ordered one"),
    ("y ~ x", "bernoulli", {"y": pd.Categorical(["a", "b", "c", "a"])}, "'y' has 3 levels; bernoulli needs two"),
    ("y ~ x", "gaussian", {"y": ["a", "b", "c", "a"]}, "gaussian needs numbers"),
    ("y | trunc(lb = 1) ~ x", "poisson", {"y": [1, 2, 0, 4]}, "the response lies outside trunc() in row 2"),
    ("cbind(y, z) ~ x", "dirichlet", {"y": [0.5, 0.5, 0.9, 0.5], "z": [0.5, 0.5, 0.2, 0.5]}, "row 2 (counted from 0) holds (0.9, 0.2)"),
]


@pytest.mark.parametrize(("formula", "law", "columns", "message"), MODELS)
def test_models_say_so_before_they_sample(formula, law, columns, message):
    data = pd.DataFrame({**columns, "x": [0.1, 0.5, 0.2, 0.9]})
    with pytest.raises(BrimError) as info:
        brim.brm(formula, data, family=law, empty=True)
    assert message in str(info.value)
