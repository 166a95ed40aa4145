"""Draws from priors: brms' names for the same models, and the laws themselves."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.parameters.draws import prior_draws, quantile_law
from brim.parameters.laws import LAWS
from fits import small

pytestmark = pytest.mark.default_precision

N = 20_000


def drawn(formula, prior=None, n=N, **kwargs):
    model = brim.brm(formula, small(), prior=prior, empty=True, **kwargs).model
    return prior_draws(model.params, model.rows, n, np.random.default_rng(1))


def priors(*rows):
    return sum((brim.prior(text, **places) for text, places in rows[1:]), brim.prior(rows[0][0], **rows[0][1]))


# ---------------------------------------------------------------------------------------------------------------------
# names: variables(brm(..., sample_prior = "yes")) of brms 2.18


@pytest.mark.parametrize(
    ("formula", "prior", "names"),
    [
        (
            "y ~ x + z + (1 + x | g) + (1 | h)",
            priors(
                ("normal(0, 1)", {"coef": "x"}),
                ("exponential(1)", {"class_": "sd", "group": "g"}),
                ("exponential(2)", {"class_": "sd", "group": "g", "coef": "x"}),
            ),
            "Intercept b_x sigma sd_g__Intercept sd_g__x cor_g sd_h",
        ),
        (
            brim.bf("y ~ x + (1 + x | gr(g, by = by))", "sigma ~ z + (1 | h)"),
            priors(("normal(0, 1)", {"dpar": "sigma"})),
            "Intercept b_sigma Intercept_sigma sd_g cor_g__1 cor_g__2 sd_h",
        ),
        (
            "y ~ z + (1 + x | g) + (1 | h)",
            priors(("constant(1)", {"class_": "sd", "group": "h"}), ("normal(0, 1)", {}), ("constant(2)", {"class_": "sigma"})),
            "Intercept b sd_g cor_g",
        ),
        # brms writes sd_g__1 for the second of two terms of a group; its own name of a single coefficient's prior is kept
        ("y ~ x + (1 | g) + (0 + x | g)", None, "Intercept sigma sd_g sd_g__1"),
        (
            "y ~ x + (1 | g) + (0 + x | g)",
            priors(("gamma(2, 1)", {"class_": "sd", "group": "g", "coef": "x"})),
            "Intercept sigma sd_g sd_g__x",
        ),
        ("y ~ 0 + Intercept + x", priors(("normal(0, 1)", {})), "b sigma"),
    ],
)
def test_names_are_those_of_brms(formula, prior, names):
    assert set(drawn(formula, prior, n=2)) == {f"prior_{name}" for name in names.split()}


def test_several_responses():
    formula = brim.bf("y ~ x + (1 | i | g)") + brim.bf("z ~ x + (1 | i | g)") + brim.set_rescor(False)
    names = set(drawn(formula, brim.prior("normal(0, 1)", resp="y"), n=2))
    assert names == {f"prior_{n}" for n in "Intercept_y b_y Intercept_z sigma_y sigma_z sd_g cor_g".split()}


# ---------------------------------------------------------------------------------------------------------------------
# laws

ARGUMENTS = {
    "normal": (1, 2),
    "student_t": (3, 1, 2),
    "cauchy": (1, 2),
    "double_exponential": (1, 2),
    "logistic": (1, 2),
    "gumbel": (1, 2),
    "lognormal": (0.5, 0.7),
    "exponential": (2,),
    "gamma": (2, 3),
    "inv_gamma": (2.5, 1.5),
    "chi_square": (3,),
    "inv_chi_square": (3,),
    "weibull": (1.5, 2),
    "frechet": (2.5, 2),
    "beta": (2, 3),
    "uniform": (-1, 2),
    "pareto": (1, 3),
}


def test_every_law_can_be_drawn_from():
    assert set(ARGUMENTS) == set(LAWS) - {"std_normal"}


@pytest.mark.parametrize("law", ARGUMENTS)
def test_laws_agree_with_the_density_and_the_distribution_function(law):
    """scipy's parameterisation against the log density and the distribution function that priors use (Stan's)."""
    import jax

    args = tuple(float(a) for a in ARGUMENTS[law])
    x = quantile_law(law, args).ppf([0.01, 0.3, 0.5, 0.9])
    np.testing.assert_allclose(LAWS[law].cdf(x, *args), [0.01, 0.3, 0.5, 0.9], rtol=1e-10)
    with jax.enable_x64(True):
        np.testing.assert_allclose(LAWS[law].log_density(x, *args), quantile_law(law, args).logpdf(x), rtol=1e-10, atol=1e-12)
        for outside in (end + step for end, step in zip(LAWS[law].ends(args), (-0.5, 0.5), strict=True) if np.isfinite(end)):
            value, slope = jax.value_and_grad(LAWS[law].log_density)(outside, *args)
            assert value == -np.inf
            assert np.isfinite(slope)


@pytest.mark.parametrize("law", ARGUMENTS)
def test_draws_follow_the_law(law):
    """Kolmogorov-Smirnov against the distribution function that the fit's truncation uses."""
    args = ARGUMENTS[law]
    text = f"{law}({', '.join(map(str, args))})"
    draws = drawn("y ~ x", brim.prior(text))["prior_b"]
    assert stats.kstest(draws, lambda x: LAWS[law].cdf(x, *args)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("text", "bounds", "law"),
    [
        ("student_t(3, 0, 2.5)", (0, None), stats.t(3, 0, 2.5)),
        ("normal(0, 1)", (-0.5, 0.25), stats.norm()),
        ("normal(0, 1)", (None, -1), stats.norm()),
        ("normal(0, 1)", (6, None), stats.norm()),
        ("normal(0, 1)", (6, 7), stats.norm()),
    ],
)
def test_laws_are_cut_at_the_bounds(text, bounds, law):
    low, high = bounds
    draws = drawn("y ~ x", brim.prior(text, lb=low, ub=high))["prior_b"]
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    assert draws.min() >= low
    assert draws.max() <= high
    upper = lambda x: 1 - (law.sf(x) - law.sf(high)) / (law.sf(low) - law.sf(high))  # noqa: E731 - exact in the upper tail
    assert stats.kstest(draws, upper).pvalue > 1e-3


def test_elements_have_their_own_laws():
    given = priors(("exponential(1)", {"class_": "sd"}), ("exponential(10)", {"class_": "sd", "group": "g", "coef": "x"}))
    draws = drawn("y ~ x + (1 + x | g)", given)
    assert stats.kstest(draws["prior_sd_g__Intercept"], stats.expon().cdf).pvalue > 1e-3
    assert stats.kstest(draws["prior_sd_g__x"], stats.expon(scale=0.1).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(draws["prior_sd_g__Intercept"], draws["prior_sd_g__x"])[0, 1]) < 4 / np.sqrt(N)


@pytest.mark.parametrize(("terms", "k"), [("1 + x", 2), ("1 + x + z", 3)])
@pytest.mark.parametrize("eta", [1, 2.5])
def test_correlations_follow_lkj(terms, k, eta):
    """One correlation of an LKJ(eta) matrix of size k has density proportional to (1 - r^2)^(eta + k / 2 - 2)."""
    draws = drawn(f"y ~ x + ({terms} | g)", brim.prior(f"lkj({eta})", class_="cor"))["prior_cor_g"]
    grid = np.linspace(-1, 1, 20001)[1:-1]
    cdf = np.cumsum((1 - grid**2) ** (eta + k / 2 - 2))
    assert stats.kstest(draws, lambda r: np.interp(r, grid, cdf / cdf[-1])).pvalue > 1e-3


# ---------------------------------------------------------------------------------------------------------------------
# in a fit


def test_a_fit_holds_them():
    rows = pd.DataFrame({"y": np.random.default_rng(2).normal(size=30), "x": np.linspace(-1, 1, 30)})
    call = {"prior": brim.prior("normal(0, 1)"), "chains": 1, "iter": 300, "seed": 1, "progress": False}
    with warnings.catch_warnings(action="ignore", category=brim.BrimWarning):  # few draws
        fit, same = (brim.brm("y ~ x", rows, sample_prior="yes", **call) for _ in range(2))
    assert fit.variables()[-5:] == ["prior_Intercept", "prior_b", "prior_sigma", "lprior", "lp__"]
    np.testing.assert_array_equal(fit.draws["prior_b"], same.draws["prior_b"])
    assert fit.as_draws_df()["prior_sigma"].min() > 0
