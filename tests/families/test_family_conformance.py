"""The conformance suite, run on every family."""

from dataclasses import replace

import numpy as np
import pytest

import brim
from brim.families import Seen, family
from brim.families.base import Family
from brim.families.registry import CONSTRUCTORS
from brim.testing import check_family

REAL, POSITIVE, UNIT = [-1.3, 0.4, 2.0], [0.3, 1.5, 6.0], [0.15, 0.5, 0.92]
# for families whose links include those to probabilities
INNER = {"mu": [0.12, 0.4, 0.9], "sigma": [0.2, 1.0, 3.0]}
OUTER = {"mu": REAL, "sigma": [0.2, 1.0, 3.0]}
TRIALS = {"trials": np.array([1.0, 9.0, 20.0])}
POISSON, NEGBINOMIAL = {"mu": POSITIVE}, {"mu": POSITIVE, "shape": [0.7, 2.0, 50.0]}
GAMMA, LOGNORMAL = {"mu": POSITIVE, "shape": [0.6, 2.0, 30.0]}, {"mu": REAL, "sigma": [0.2, 0.7, 1.0]}
BETA, ASYM_LAPLACE = {"mu": UNIT, "phi": [0.9, 3.0, 50.0]}, {**OUTER, "quantile": [0.1, 0.5, 0.8]}
BETA_BINOMIAL, GATE = {"mu": UNIT, "phi": [0.8, 3.0, 50.0]}, [0.1, 0.3, 0.6]

#: name: (parameters on the response scale, addition data)
PLAIN = {
    "gaussian": (INNER, {}),
    "student": ({**INNER, "nu": [3.5, 8.0, 40.0]}, {}),
    "skew_normal": ({**INNER, "alpha": [-6.0, 0.5, 3.0]}, {}),
    "exgaussian": ({**OUTER, "beta": [1.0, 0.2, 3.0]}, {}),
    "asym_laplace": (ASYM_LAPLACE, {}),
    "gen_extreme_value": ({**OUTER, "xi": [-0.3, 1e-8, 0.2]}, {}),
    "lognormal": (LOGNORMAL, {}),
    "shifted_lognormal": ({**LOGNORMAL, "ndt": [0.1, 0.5, 1.0]}, {}),
    "gamma": (GAMMA, {}),
    "weibull": ({"mu": POSITIVE, "shape": [0.7, 2.0, 6.0]}, {}),
    "exponential": ({"mu": POSITIVE}, {}),
    "frechet": ({"mu": POSITIVE, "nu": [3.0, 5.0, 12.0]}, {}),
    "inverse_gaussian": ({"mu": POSITIVE, "shape": [0.5, 2.0, 30.0]}, {}),
    "bernoulli": ({"mu": UNIT}, {}),
    "binomial": ({"mu": UNIT}, TRIALS),
    "beta_binomial": (BETA_BINOMIAL, TRIALS),
    "poisson": (POISSON, {}),
    "negbinomial": (NEGBINOMIAL, {"rate": np.array([0.5, 1.0, 2.0])}),
    "negbinomial2": ({"mu": POSITIVE, "sigma": [1.5, 0.5, 0.02]}, {}),
    "geometric": (POISSON, {}),
    "discrete_weibull": ({"mu": UNIT, "shape": [0.8, 1.0, 1.5]}, {}),
    "com_poisson": ({"mu": POSITIVE, "shape": [0.5, 1.0, 3.0]}, {}),
    "beta": (BETA, {}),
    "xbeta": ({"mu": UNIT, "phi": [2.5, 3.0, 50.0], "kappa": [0.1, 0.5, 0.05]}, {}),
    "von_mises": ({"mu": REAL, "kappa": [0.3, 2.0, 150.0]}, {}),
    "hurdle_poisson": ({**POISSON, "hu": GATE}, {}),
    "hurdle_negbinomial": ({**NEGBINOMIAL, "hu": GATE}, {}),
    "hurdle_gamma": ({**GAMMA, "hu": GATE}, {}),
    "hurdle_lognormal": ({**LOGNORMAL, "hu": GATE}, {}),
    "zero_inflated_poisson": ({**POISSON, "zi": GATE}, {}),
    "zero_inflated_negbinomial": ({**NEGBINOMIAL, "zi": GATE}, {}),
    "zero_inflated_binomial": ({"mu": UNIT, "zi": GATE}, TRIALS),
    "zero_inflated_beta_binomial": ({**BETA_BINOMIAL, "zi": GATE}, TRIALS),
    "zero_inflated_beta": ({**BETA, "zi": GATE}, {}),
    "zero_inflated_asym_laplace": ({**ASYM_LAPLACE, "zi": GATE}, {}),
    "zero_one_inflated_beta": ({**BETA, "zoi": GATE, "coi": [0.2, 0.5, 0.7]}, {}),
}
#: Compiling these takes a while; their densities have references of their own.
HEAVY = {
    "com_poisson",
    "xbeta",
    "beta_binomial",
    "zero_inflated_beta_binomial",
    "zero_inflated_binomial",
    "zero_inflated_beta",
    "zero_one_inflated_beta",
    "hurdle_negbinomial",
    "skew_normal",
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in HEAVY)) for n in PLAIN])
def test_family(name):
    values, data = PLAIN[name]
    check_family(family(name), values, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_derivatives_under_every_link(name):
    values, data = PLAIN[name]
    check_family(family(name), values, data, every_link=True)


def test_wiener():
    values = {"mu": [-1.0, 0.3, 2.0], "bs": [1.0, 1.7, 2.5], "ndt": [0.1, 0.2, 0.3], "bias": [0.3, 0.5, 0.7]}
    check_family(family("wiener"), values, {"dec": np.array([1.0, 0.0, 1.0])}, has_cdf=False, draws=1000)


ETA, THRES = [-0.8, 0.3, 1.2], [-1.0, 0.2, 1.5]
ORDINAL = {"mu": ETA, "disc": [0.5, 1.0, 2.0], "thres": THRES}


def bound(given: Family | str, y=(1.0, 4.0), levels=(), link=None) -> Family:
    """A family that has seen a response; ordinal ``mu`` are given on the scale of the predictor."""
    return family(given, **({"link": link} if link else {})).learn(Seen(np.asarray(y, float), levels))


def as_predictor(given: Family, values):
    """``values`` with ordinal predictors brought to the response scale, from which the suite takes them back."""
    return {**values, "mu": np.asarray(given.link("mu").inverse(np.asarray(values["mu"])))}


@pytest.mark.parametrize("link", ["logit", "probit", "cauchit", pytest.param("cloglog", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
def test_ordinal_family(name, link):
    one = bound(name, link=link)
    check_family(one, as_predictor(one, ORDINAL))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "link"),
    [
        *((n, k) for n in ("cumulative", "acat") for k in ("softit", "probit_approx")),
        ("sratio", "probit_approx"),
        ("cratio", "probit_approx"),
    ],
)
def test_ordinal_family_with_rare_links(name, link):
    one = bound(name, link=link)
    check_family(one, as_predictor(one, ORDINAL))


@pytest.mark.parametrize("link", ["logit", *(pytest.param(k, marks=pytest.mark.slow) for k in ("probit", "cloglog", "cauchit"))])
def test_hurdle_cumulative(link):
    one = bound("hurdle_cumulative", (0.0, 4.0), link=link)
    check_family(one, as_predictor(one, {**ORDINAL, "hu": GATE}))


def test_categorical():
    check_family(bound("categorical", (1.0, 2.0, 3.0), ("a", "b", "c")), {"mub": ETA, "muc": [2.0, 0.0, -3.0]})


@pytest.mark.parametrize("name", ["multinomial", "dirichlet_multinomial"])
def test_counts_of_categories(name):
    values = {"mub": ETA, "muc": [1.0, 0.0, -2.0]} | ({"phi": [0.7, 3.0, 20.0]} if name != "multinomial" else {})
    one = bound(name, [[2.0, 1.0, 3.0]], ("a", "b", "c"))
    check_family(one, values, {"trials": np.full(3, 6.0)}, has_cdf=False)


def test_dirichlet():
    one = bound("dirichlet", [[0.2, 0.3, 0.5]], ("a", "b", "c"))
    check_family(one, {"mub": ETA, "muc": [1.0, 0.0, -1.0], "phi": [4.0, 8.0, 20.0]}, has_cdf=False)


def test_logistic_normal():
    one = bound("logistic_normal", [[0.2, 0.3, 0.5]], ("a", "b", "c"))
    values = {"mub": ETA, "muc": [1.0, 0.0, -1.0], "sigmab": [0.6, 1.0, 1.5], "sigmac": [1.0, 0.7, 0.5]}
    check_family(one, {**values, "lncor": [[1.0, 0.0], [0.6, 0.8]]}, has_cdf=False)


THETA = {"theta1": [0.3, 0.3, 0.3], "theta2": [0.7, 0.7, 0.7]}


def plain_theta(given: Family) -> Family:
    """A mixture whose proportions are given as they are (not on the log scale of predicted ones)."""
    return replace(given, links={**given.links, "theta1": "identity", "theta2": "identity"})


def test_mixture_of_continuous_families():
    one = plain_theta(brim.mixture(brim.gaussian, brim.gaussian))
    values = {"mu1": [-2.0, 0.0, 1.0], "sigma1": [0.5, 1.0, 0.4], "mu2": [1.0, 0.2, 2.0], "sigma2": [1.0, 0.4, 2.0]}
    check_family(one, values | THETA)


def test_mixture_of_counts():
    one = plain_theta(brim.mixture("poisson", "geometric"))
    check_family(one, {"mu1": POSITIVE, "mu2": [4.0, 0.5, 1.0]} | THETA)


def test_mixture_of_ordinal_families():
    one = plain_theta(brim.mixture("cumulative", "acat").learn(Seen(np.array([1.0, 4.0]))))
    values = {"mu1": ETA, "mu2": [0.5, -0.2, 0.1], "disc1": [1.0] * 3, "disc2": [0.7] * 3, "thres1": THRES, "thres2": [-0.5, 0.0, 0.4]}
    for name in ("mu1", "mu2"):
        values[name] = np.asarray(one.link(name).inverse(np.asarray(values[name])))
    check_family(one, values | THETA)


def test_custom_family():
    import numpyro.distributions as d

    one = brim.custom_family("shifted", lambda mu, sigma, vreal1: d.Normal(mu + vreal1, sigma), ["mu", "sigma"], ["identity", "log"])
    check_family(one, {"mu": REAL, "sigma": [0.2, 1.0, 3.0]}, {"vreal1": np.array([0.0, 1.0, 2.0])})


def test_every_family_is_checked():
    """cox has a reference of its own: its law is improper by design."""
    bound_ones = {"cumulative", "sratio", "cratio", "acat", "hurdle_cumulative", "categorical", "multinomial", "dirichlet_multinomial"}
    assert set(CONSTRUCTORS) == {*PLAIN, *bound_ones, "wiener", "dirichlet", "logistic_normal", "cox"}
