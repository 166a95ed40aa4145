"""Tables against what brms makes of the same draws (tests/reference/post), and closed forms."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim.errors import BrimError
from brim.post.summaries.prior_text import print_priors, prior_lines
from brim.post.summaries.tables import combine, statistics
from fits import POSTERIORS, fit, names, r_array, random_draws, small
from references import data, draws, reference

pytestmark = pytest.mark.default_precision


def same(mine, packed):
    """Equal to the ten digits of the reference."""
    np.testing.assert_allclose(np.asarray(mine), r_array(packed), rtol=1e-8, atol=1e-9)


# ---------------------------------------------------------------------------------------------------------------------
# statistics


def test_statistics_are_those_of_r():
    """mean, sd, quantile(type = 7); median, mad and quantile: c(1, 2, 4, 8, 100) in R."""
    x = np.array([1.0, 2, 4, 8, 100])
    np.testing.assert_allclose(statistics(x), [23, 43.12771730569565, 1.1, 90.8], rtol=1e-14)
    np.testing.assert_allclose(statistics(x, True, (0.1, 0.5)), [4, 4.4478, 1.4, 4], rtol=1e-14)


def test_one_draw_has_no_spread():
    assert np.isnan(statistics(np.array([[3.0]]))[1, 0])


def test_wrong_probabilities():
    with pytest.raises(brim.BrimError, match="between 0 and 1"):
        fit("sleep_slopes").fixef(probs=(2.5, 97.5))


# ---------------------------------------------------------------------------------------------------------------------
# population and group effects


@pytest.mark.parametrize("name", POSTERIORS)
def test_fixef(name):
    theirs, mine = reference(f"post/{name}")["fixef"], fit(name).fixef()
    same(mine, theirs)
    assert list(mine.index) == names(theirs, 0)
    assert list(mine.columns) == names(theirs, 1)


@pytest.mark.parametrize("name", POSTERIORS)
@pytest.mark.parametrize("what", ["ranef", "coef"])
def test_group_effects(name, what):
    theirs, mine = reference(f"post/{name}")[what], getattr(fit(name), what)()
    assert list(mine) == list(theirs)
    for group, array in mine.items():
        same(array, theirs[group])
        assert array.dims == ("level", "statistic", "coef")
        for axis, dim in enumerate(array.dims):
            assert list(array[dim].values) == names(theirs[group], axis)


@pytest.mark.parametrize("name", POSTERIORS)
def test_var_corr(name):
    theirs, mine = reference(f"post/{name}")["VarCorr"], fit(name).VarCorr()
    assert {g: set(parts) for g, parts in mine.items()} == {g: set(parts) for g, parts in theirs.items()}
    for group, parts in mine.items():
        for part, values in parts.items():
            same(values, theirs[group][part])
        assert list(parts["sd"].index) == names(theirs[group]["sd"], 0)


def test_draws_instead_of_statistics():
    mine = fit("sleep_slopes")
    table = draws(reference("post/sleep_slopes"))
    np.testing.assert_array_equal(mine.fixef(summary=False)["Days"], table["b_Days"])
    effects = mine.ranef(summary=False)["Subject"]
    assert effects.dims == ("draw", "level", "coef")
    np.testing.assert_array_equal(effects.sel(level="337", coef="Days"), table["r_Subject[337,Days]"])
    both = mine.coef(summary=False)["Subject"].sel(level="337", coef="Days")
    np.testing.assert_allclose(both, table["r_Subject[337,Days]"] + table["b_Days"], rtol=1e-14)
    parts = mine.VarCorr(summary=False)["Subject"]
    np.testing.assert_array_equal(parts["sd"]["Days"], table["sd_Subject__Days"])
    np.testing.assert_array_equal(parts["cor"].sel(coef="Days", coef2="Intercept"), table["cor_Subject__Intercept__Days"])


def test_robust_statistics_and_quantiles():
    mine = fit("sleep_slopes").fixef(robust=True, probs=(0.1, 0.5, 0.9))
    b = draws(reference("post/sleep_slopes"))["b_Days"].to_numpy()
    assert list(mine.columns) == ["Estimate", "Est.Error", "Q10", "Q50", "Q90"]
    mad = 1.4826 * np.median(np.abs(b - np.median(b)))
    np.testing.assert_allclose(mine.loc["Days"], [np.median(b), mad, *np.quantile(b, [0.1, 0.5, 0.9])], rtol=1e-14)


def test_thresholds_and_group_effects():
    """coef() of a cumulative model: thresholds minus the group's intercept."""
    ref = reference("post/cumulative")
    table = draws(ref)
    population = {n[2:]: table[n].to_numpy() for n in table if n.startswith("b_")}
    levels = names(ref["ranef"]["g"], 0)
    effects = {"Intercept": np.column_stack([table[f"r_g[{level},Intercept]"] for level in levels])}
    mine = combine(population, effects)
    assert list(mine) == names(ref["coef"]["g"], 2)
    same(np.stack([statistics(v).T for v in mine.values()], axis=-1), ref["coef"]["g"])


def test_thresholds_of_the_other_sign():
    """Families whose predictor is effect minus threshold; a population effect that varies by threshold takes the group's one."""
    population = {"Intercept[1]": np.array([1.0]), "x[1]": np.array([5.0]), "x[2]": np.array([7.0])}
    effects = {"Intercept": np.array([[0.25]]), "x": np.array([[0.5]])}
    mine = combine(population, effects, (1, -1))
    assert {n: v.item() for n, v in mine.items()} == {"Intercept[1]": -0.75, "x[1]": 5.5, "x[2]": 7.5}


def test_effects_without_a_partner():
    """A group effect with no population effect stands alone; the other group does not get it (brms: coef(y ~ z + (1 + x|g) + (1|h)))."""
    mine = random_draws("y ~ z + (1 + x | g) + (1 | h)")
    assert {g: list(v.coef.values) for g, v in mine.coef().items()} == {"g": ["Intercept", "x", "z"], "h": ["Intercept", "z"]}
    np.testing.assert_array_equal(mine.coef(summary=False)["g"].sel(coef="x"), mine.ranef(summary=False)["g"].sel(coef="x"))


def test_effects_of_several_parameters():
    """Names and order of brms for bf(y ~ x + (1 + x|g), sigma ~ z + (1|h) + (0 + x|g))."""
    mine = random_draws(brim.bf("y ~ x + (1 + x | g)", "sigma ~ z + (1 | h) + (0 + x | g)"))
    assert list(mine.fixef().index) == ["Intercept", "sigma_Intercept", "x", "sigma_z"]
    assert {g: list(v.coef.values) for g, v in mine.ranef().items()} == {"g": ["Intercept", "x", "sigma_x"], "h": ["sigma_Intercept"]}
    assert list(mine.coef()["h"].coef.values) == ["sigma_Intercept", "Intercept", "x", "sigma_z"]
    assert set(mine.VarCorr()) == {"g", "h"}
    cor = mine.VarCorr(summary=False)["g"]["cor"]
    np.testing.assert_array_equal(cor.sel(coef="x", coef2="sigma_x"), 0.0)
    np.testing.assert_array_equal(cor.sel(coef="x", coef2="Intercept"), mine.draws["cor_g__Intercept__x"].ravel())


def test_covariances_by_another_factor():
    """gr(by = ): a block of its own for each level, correlation zero between them."""
    mine = random_draws("y ~ x + (1 + x | gr(g, by = by))").VarCorr(summary=False)["g"]
    labels = ["Intercept:byu", "x:byu", "Intercept:byv", "x:byv"]
    assert list(mine["sd"].columns) == list(mine["cov"].coef.values) == labels
    sd, cor = mine["sd"].to_numpy(), mine["cor"].to_numpy()
    np.testing.assert_allclose(mine["cov"], cor * sd[:, :, None] * sd[:, None, :], rtol=1e-14)
    assert (cor[:, :2, 2:] == 0).all()
    assert (cor[:, 0, 1] != 0).all()


def test_uncorrelated_effects_have_standard_deviations_only():
    assert set(random_draws("y ~ x + (1 + x || g)").VarCorr()["g"]) == {"sd"}


def test_residual_standard_deviation():
    """There is one where sigma is a parameter that is not predicted, also when it is fixed (brms: bf(y ~ x, sigma = 2))."""
    known = random_draws("y | se(se) ~ 1 + (1 | g)").VarCorr()
    assert set(known) == {"g"}
    assert set(random_draws("y | se(se, sigma = TRUE) ~ 1 + (1 | g)").VarCorr()) == {"g", "residual__"}
    fixed = random_draws(brim.bf("y ~ x + (1 | g)", sigma=2)).VarCorr()["residual__"]["sd"]
    assert list(fixed.index) == [""]


def test_no_group_effects():
    mine = random_draws("y ~ x")
    with pytest.raises(brim.BrimError, match="no group-level effects"):
        mine.ranef()
    assert list(mine.VarCorr()) == ["residual__"]


def test_posterior_summary():
    mine = fit("poisson").posterior_summary()
    assert list(mine.index) == list(fit("poisson").variables())
    one = fit("poisson").posterior_summary(["sd_obs__Intercept"])
    same(one, reference("post/poisson")["VarCorr"]["obs"]["sd"])
    with pytest.raises(brim.BrimError, match="sd_obs__Intercept"):
        fit("poisson").posterior_summary(["sd_obs_Intercept"])


def test_groups_called_as_variables():
    """Grouping factors named b and sigma do not hide the variables b and sigma in the ArviZ object."""
    rows = small().rename(columns={"g": "b", "h": "sigma"})
    empty = brim.brm("y ~ x + (1 | b) + (1 | sigma)", rows, empty=True)
    table = pd.DataFrame({v: np.arange(4.0) + i for i, v in enumerate(empty.variables())})
    posterior = empty.with_draws(table).idata["posterior"]
    np.testing.assert_array_equal(posterior["b"].values[0, :, 0], table["b_x"])
    np.testing.assert_array_equal(posterior["sigma"].values[0], table["sigma"])
    assert posterior["r_b"].dims[-1] == "b_dim"


# ---------------------------------------------------------------------------------------------------------------------
# fitted values and residuals


@pytest.mark.parametrize("name", POSTERIORS)
def test_fitted(name):
    same(fit(name).fitted(), reference(f"post/{name}")["fitted"])


@pytest.mark.parametrize("name", ["sleep_slopes", "poisson"])
def test_residuals(name):
    theirs = reference(f"post/{name}")["residual_mean"]
    np.testing.assert_allclose(fit(name).residuals()[:, 0], theirs, rtol=1e-7, atol=1e-7)


def test_categories_have_no_residuals():
    with pytest.raises(brim.BrimError, match="cumulative has no residuals"):
        fit("cumulative").residuals()


def test_residuals_of_new_rows():
    mine = fit("sleep_slopes")
    rows = data("sleepstudy").iloc[[3, 50]]
    np.testing.assert_allclose(mine.residuals(rows), mine.residuals()[[3, 50]], rtol=1e-12)


def test_pearson_residuals():
    """Residuals over the posterior standard deviation of a prediction."""
    mine = fit("sleep_slopes")
    spread = mine.posterior_predict(seed=1).std(axis=0, ddof=1)
    np.testing.assert_allclose(mine.residuals(type="pearson", seed=1)[:, 0], mine.residuals()[:, 0] / spread, rtol=1e-10)


def test_residuals_of_predictions():
    mine = fit("sleep_slopes")
    np.testing.assert_array_equal(mine.predictive_error(seed=2), data("sleepstudy")["Reaction"].to_numpy() - mine.posterior_predict(seed=2))


@pytest.mark.parametrize(("argument", "value"), [("method", "epred"), ("type", "persona")])
def test_unknown_residuals(argument, value):
    with pytest.raises(brim.BrimError, match="did you mean"):
        fit("sleep_slopes").residuals(**{argument: value})


# ---------------------------------------------------------------------------------------------------------------------
# priors (their rows are compared with brms in test_reference.py)

PRIORS = brim.prior("normal(0, 1)", lb=0, ub=2) + brim.prior("exponential(1)", class_="sd", lb=0.5) + brim.prior("cauchy(0, 1)", coef="x")


def test_printed_priors():
    """brms: print(prior_summary(y ~ x + (1 + x|g), prior = PRIORS)), unwrapped; the response there had median 0.1."""
    model = brim.brm("y ~ x + (1 + x | g)", small().assign(y=lambda d: d["y"] - d["y"].median() + 0.1), prior=PRIORS, empty=True)
    assert print_priors(model.prior_summary()).split("\n") == [
        "                  prior     class      coef group resp dpar nlpar  lb ub       source",
        "           normal(0, 1)         b                                   0  2         user",
        "           cauchy(0, 1)         b         x                         0  2         user",
        " student_t(3, 0.1, 2.5) Intercept                                             default",
        "   lkj_corr_cholesky(1)         L                                             default",
        "   lkj_corr_cholesky(1)         L               g                        (vectorized)",
        "         exponential(1)        sd                                 0.5            user",
        "         exponential(1)        sd               g                 0.5    (vectorized)",
        "         exponential(1)        sd Intercept     g                 0.5    (vectorized)",
        "         exponential(1)        sd         x     g                 0.5    (vectorized)",
        "   student_t(3, 0, 2.5)     sigma                                   0         default",
    ]


def test_flat_priors_are_inherited_too():
    table = brim.default_prior("y ~ x", small())
    assert [line.split() for line in print_priors(table).split("\n")[1:3]] == [
        ["(flat)", "b", "default"],
        ["(flat)", "b", "x", "(vectorized)"],
    ]


def test_a_group_s_prior_holds_for_its_coefficients():
    given = brim.prior("exponential(1)", class_="sd", group="g")
    text = print_priors(brim.brm("y ~ x + (1 + x | g)", small(), prior=given, empty=True).prior_summary())
    rows = [line.split() for line in text.split("\n") if " sd " in line]
    assert [r[:-1] for r in rows if r[0] == "exponential(1)"] == [
        ["exponential(1)", "sd", "g", "0"],
        ["exponential(1)", "sd", "Intercept", "g", "0"],
        ["exponential(1)", "sd", "x", "g", "0"],
    ]


def test_rows_with_a_prior_of_their_own():
    """brms: print(prior_summary(fit, all = FALSE), show_df = FALSE)."""
    model = brim.brm("y ~ x + (1 + x | g)", small().assign(y=lambda d: d["y"] - d["y"].median() + 0.1), prior=PRIORS, empty=True)
    assert prior_lines(model.prior_summary()) == [
        "<lower=0,upper=2> b ~ normal(0, 1)",
        "<lower=0,upper=2> b_x ~ cauchy(0, 1)",
        "Intercept ~ student_t(3, 0.1, 2.5)",
        "L ~ lkj_corr_cholesky(1)",
        "<lower=0.5> sd ~ exponential(1)",
        "<lower=0> sigma ~ student_t(3, 0, 2.5)",
    ]
    assert list(model.prior_summary(all=False)["class"]) == ["b", "b", "Intercept", "L", "sd", "sigma"]


def test_variables_by_what_stands_before_their_index():
    mine = fit("cumulative")
    thresholds = [v for v in mine.variables() if v.startswith("b_Intercept[")]
    assert len(thresholds) > 1
    assert list(mine.posterior_summary("b_Intercept").index) == thresholds
    assert list(mine.as_draws_df("b_Intercept").columns) == [*thresholds, ".chain", ".iteration", ".draw"]
    assert list(mine.posterior_summary([thresholds[1], "lprior"]).index) == [thresholds[1], "lprior"]
    with pytest.raises(BrimError, match="no variable 'b_Intercep'"):
        mine.as_draws_df("b_Intercep")


def test_coefficients_of_interactions_meet_whatever_the_order_of_their_factors():
    """Population ``x:fb``, group ``fb:x``: one coefficient; of ``sigma`` too, whose names carry a prefix."""
    d = pd.DataFrame({"x": np.arange(12.0) % 5, "f": list("ab") * 6, "g": list("pqr") * 4, "y": np.arange(12.0) % 7})
    empty = brim.brm(brim.bf("y ~ x * f + (f * x | g)", "sigma ~ x:f + (f:x | g)"), d, empty=True)
    values = {"b_x:fb": 5.0, "r_g[p,fb:x]": 2.0, "b_sigma_x:fb": 0.5, "r_g__sigma[p,fb:x]": 0.25}
    one = empty.with_draws(pd.DataFrame({v: [values.get(v, 0.0)] for v in empty.variables()})).coef()["g"]
    row = one.sel(level="p", statistic="Estimate")
    assert {str(c): float(row.sel(coef=c)) for c in row.coords["coef"].values if float(row.sel(coef=c))} == {
        "x:fb": 7.0,
        "sigma_x:fb": 0.75,
    }
    assert not {"fb:x", "sigma_fb:x"} & set(row.coords["coef"].values)
