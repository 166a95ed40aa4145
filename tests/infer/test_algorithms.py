"""The algorithms besides brim's own sampler: conformance, closed forms, lme4's estimates, agreement with NUTS, verdicts."""

import importlib.util
import warnings
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from brim import BrimWarning, prior
from brim.errors import BrimError
from brim.infer.approximate.evaluate import Density
from brim.infer.approximate.mode import maximise, maximise_part
from brim.infer.approximate.normal import NormalApproximation
from brim.infer.approximate.pathfinder import LowRankNormal, _normal
from brim.infer.approximate.psis import psis, verdict
from brim.infer.conformance import COVARIANCE, MEAN, normal_target
from brim.infer.diagnostics import ess_bulk, mcse_mean
from brim.infer.engines import ALGORITHMS, EXACT, engine
from brim.infer.starts import read_init
from brim.infer.target import Target
from brim.testing import check_engine
from references import data, reference

APPROXIMATE = ("laplace", "nested_laplace", "pathfinder", "meanfield", "fullrank")
PRECISION = np.linalg.inv(COVARIANCE)


def needs(name):
    return [pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")] if name == "nutpie" else []


EXTERNAL = [pytest.param(name, marks=needs(name)) for name in ("nutpie", "numpyro", "blackjax")]
SETTINGS = {"chains": 4, "warmup": 500, "draws": 1000, "seed": 1, "progress": False}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


# --------------------------------------------------------------------------- conformance, one row an engine


@pytest.mark.parametrize("name", ["sampling", *EXTERNAL])
def test_exact_engines(name):
    check_engine(engine(name), kind="exact")


@pytest.mark.parametrize("name", ["laplace", "pathfinder", "fullrank"])
def test_approximations_that_hold_a_normal_posterior(name):
    """Its mean and variances, and a k-hat that says so."""
    draws = check_engine(engine(name), kind="approximate")
    assert draws.info["khat"] < 0.1


def test_meanfield_has_the_conditional_variances():
    """The nearest normal law with independent coordinates, in KL(law || posterior), has the posterior's mean and variances 1 / Q_ii."""
    draws = check_engine(engine("meanfield"), kind="approximate", variance=1.0 / np.diag(PRECISION))
    assert 0.3 < draws.info["khat"] < 0.8  # it is too narrow


def test_fullrank_finds_the_covariance_exactly():
    """Gradients without noise at the optimum: mean and covariance to four digits, ELBO = log normalising constant."""
    info = engine("fullrank")(normal_target(), **SETTINGS).info
    np.testing.assert_allclose(info["covariance"], COVARIANCE, atol=2e-3)
    assert info["converged"]


def test_map_conforms():
    assert check_engine(engine("map"), kind="mode").info["converged"]


def test_every_algorithm_is_named():
    assert set(ALGORITHMS) == {*EXACT, *APPROXIMATE, "map"}
    for name in ALGORITHMS:
        assert callable(engine(name))


# --------------------------------------------------------------------------- Pareto smoothed importance sampling


@pytest.mark.parametrize(("df", "size"), [(1.5, 4000), (4.0, 4000), (30.0, 1000), (5.0, 120)])
def test_psis_is_that_of_arviz(df, size):
    from arviz_stats.base import array_stats

    log_ratios = stats.t(df).logpdf(x := np.random.default_rng(3).normal(size=size)) - stats.norm.logpdf(x)
    log_ratios = np.sign(df - 3) * log_ratios
    weights, k = psis(log_ratios)
    expected, expected_k = array_stats.psislw(-log_ratios)
    assert k == pytest.approx(float(expected_k), abs=1e-10)
    np.testing.assert_allclose(weights, expected, atol=1e-10)
    assert np.exp(weights).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("k", [0.2, 0.7, 1.2])
def test_psis_finds_the_shape_of_a_pareto_law(k):
    """Ratios with a generalised Pareto tail; the standard error of k from a tail of 3 sqrt(S) values is (1 + k) / sqrt(3 sqrt(S))."""
    size = 100_000
    log_ratios = np.log(stats.genpareto(k).rvs(size, random_state=4))
    assert abs(psis(log_ratios)[1] - k) < 4 * (1 + k) / np.sqrt(3 * np.sqrt(size))


def test_psis_of_equal_and_of_few_ratios():
    weights, k = psis(np.full(500, -3.0))
    assert k == 0.0
    np.testing.assert_allclose(weights, -np.log(500))
    assert psis(np.array([0.0, 1.0, np.nan]))[1] == np.inf
    assert [verdict(k) for k in (0.5, 0.7, 0.71, np.inf)] == ["good", "usable", "poor", "poor"]


# --------------------------------------------------------------------------- the parts


def test_normal_laws_have_their_density():
    rng = np.random.default_rng(1)
    q, log_q = NormalApproximation(MEAN, np.linalg.cholesky(COVARIANCE)).draw(rng, 50)
    np.testing.assert_allclose(log_q, stats.multivariate_normal(MEAN, COVARIANCE).logpdf(q))
    q, log_q = NormalApproximation(MEAN, np.array([1.0, 0.1, 3.0])).draw(rng, 50)
    np.testing.assert_allclose(log_q, stats.norm(MEAN, [1.0, 0.1, 3.0]).logpdf(q).sum(1))


def test_low_rank_normal_law():
    rng = np.random.default_rng(2)
    basis, low = np.linalg.qr(rng.normal(size=(6, 2)))[0], np.array([[2.0, 0.0], [0.7, 0.3]])
    law = LowRankNormal(np.arange(6.0), np.linspace(0.5, 2, 6), basis, low)
    covariance = np.eye(6) + basis @ (low @ low.T - np.eye(2)) @ basis.T
    covariance *= np.outer(law.scale, law.scale)
    q, log_q = law.draw(rng, 40)
    expected = stats.multivariate_normal(law.mean, covariance).logpdf(q)
    np.testing.assert_allclose(log_q, expected)
    np.testing.assert_allclose(law.log_density(q), expected)
    np.testing.assert_allclose(law.variance, np.diag(covariance))


@pytest.mark.parametrize("n", [3, 20])
def test_inverse_hessian_is_that_of_bfgs(n):
    """The compact form against the updates of BFGS one after the other, from the same diagonal."""
    rng = np.random.default_rng(5)
    hessian = np.diag(rng.uniform(0.5, 3, n)) + 0.1
    steps = rng.normal(size=(5, n))
    pairs, diagonal, grad = [(s, hessian @ s) for s in steps], rng.uniform(0.5, 2, n), rng.normal(size=n)
    expected = np.diag(diagonal)
    for s, y in pairs:
        rho, one = 1.0 / (s @ y), np.eye(n)
        expected = (one - rho * np.outer(s, y)) @ expected @ (one - rho * np.outer(y, s)) + rho * np.outer(s, s)
    law = _normal(np.zeros(n), grad, diagonal, pairs)
    np.testing.assert_allclose(law.mean, expected @ grad, rtol=1e-8)
    np.testing.assert_allclose(law.variance, np.diag(expected), rtol=1e-8)


def test_many_points_at_once():
    density = Density(normal_target())
    q = np.random.default_rng(1).normal(size=(density.rows + 3, 3))
    np.testing.assert_allclose(density.values(q), [density(x)[0] for x in q], rtol=1e-12)


def test_maximise_part_solves_for_the_coordinates_asked_for():
    """Of a normal density: the conditional mean."""
    q, _ = maximise_part(normal_target(), np.array([7.0, 1.0, 2.0]), np.array([1, 2]))
    expected = MEAN[1:] + COVARIANCE[1:, 0] / COVARIANCE[0, 0] * (7.0 - MEAN[0])
    np.testing.assert_allclose(q, [7.0, *expected], atol=1e-9)


def rosenbrock(q):
    value = -((1 - q[0]) ** 2 + 100 * (q[1] - q[0] ** 2) ** 2)
    return value, np.array([2 * (1 - q[0]) + 400 * q[0] * (q[1] - q[0] ** 2), -200 * (q[1] - q[0] ** 2)])


def test_maximise_follows_a_bent_valley():
    found = maximise(rosenbrock, np.array([-1.2, 1.0]))
    np.testing.assert_allclose(found.q, [1.0, 1.0], atol=1e-7)
    assert found.converged
    assert found.definite


# --------------------------------------------------------------------------- the mode


def gamma_posterior(q, data):
    """Gamma(shape, 1) of exp(q), with the Jacobian."""
    return data["shape"] * q[0] - jnp.exp(q[0])


def test_the_mode_is_that_of_the_parameter():
    """Gamma(4, 1): mode 3 of the density, 4 of that of the logarithm."""
    goal = Target(
        1,
        gamma_posterior,
        {"shape": np.float64(4.0)},
        lambda rng: rng.normal(size=1),
        lambda q, d: {"x": jnp.exp(q)},
        log_jacobian=lambda q, d: q[0],
    )
    assert np.exp(engine("map")(goal, seed=1).q.item()) == pytest.approx(3.0, rel=1e-8)
    unconstrained = replace(goal, log_jacobian=None)
    assert np.exp(engine("map")(unconstrained, seed=1).q.item()) == pytest.approx(4.0, rel=1e-8)


def flat(*classes):
    """No priors: the posterior density is the likelihood."""
    return [prior("", class_=c) for c in classes or ("Intercept", "sd", "sigma")]


def sleep(**more):
    return brim.brm("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"), progress=False, **{"seed": 1, **more})


@pytest.mark.default_precision
def test_map_with_flat_priors_is_maximum_likelihood():
    """lmer(Reaction ~ Days + (1 + Days | Subject), sleepstudy, REML = FALSE), lme4 1.1.31 with ftol_abs = 1e-14.

    lme4 stops 3e-5 (relative) short of the maximum in the standard deviations: its log likelihood is a bound from below.
    """
    fit = sleep(prior=flat(), algorithm="map")
    value = {name: float(fit.draws[name].item()) for name in fit.variables() if fit.draws[name].size == 1}
    assert value["b_Intercept"] == pytest.approx(251.40510485, rel=1e-7)
    assert value["b_Days"] == pytest.approx(10.46728596, rel=1e-7)
    assert value["sd_Subject__Intercept"] == pytest.approx(23.77975958946, rel=1e-4)
    assert value["sd_Subject__Days"] == pytest.approx(5.71679851393, rel=1e-4)
    assert value["cor_Subject__Intercept__Days"] == pytest.approx(0.08132109343, rel=1e-3)
    assert value["sigma"] == pytest.approx(25.59190703649, rel=1e-5)
    theirs = np.array([[2.81578902, 9.075506778], [-40.04785492, -8.644151662], [-38.43249687, -5.513470605], [22.83176473, -4.658664862]])
    effects = [[value[f"r_Subject[{s},{c}]"] for c in ("Intercept", "Days")] for s in (308, 309, 310, 330)]
    np.testing.assert_allclose(effects, theirs, rtol=1e-4)
    assert (fit.draws.chains, fit.draws.draws) == (1, 1)


def test_map_reaches_a_likelihood_of_at_least_lme4s():
    from brim.fit.run import coordinates

    fit = sleep(prior=flat(), empty=True)
    found = engine("map")(coordinates(fit, algorithm="map").target, seed=1)
    uniform = np.log(2.0)  # the density of the correlation, lkj(1), is 1/2
    assert found.stats["lp"].item() + uniform == pytest.approx(-875.9696722, abs=1e-6)
    assert found.stats["lp"].item() + uniform >= -875.96967225  # theirs, rounded


@pytest.mark.default_precision
def test_map_of_random_intercepts():
    """lmer(gpa ~ occasion + sex + highgpa + (1 | student), gpa, REML = FALSE)."""
    theirs = reference("lme4")["gpa_ml"]
    fit = brim.brm("gpa ~ occasion + sex + highgpa + (1 | student)", brim.load_data("gpa"), prior=flat(), algorithm="map", progress=False)
    np.testing.assert_allclose(fit.fixef()["Estimate"], theirs["coef"]["Estimate"], rtol=1e-5)
    assert fit.draws["sd_student__Intercept"].item() == pytest.approx(theirs["varcorr"]["sdcor"][0], rel=1e-5)
    assert fit.draws["sigma"].item() == pytest.approx(theirs["sigma"], rel=1e-5)


@pytest.mark.default_precision
def test_map_of_a_regression_is_least_squares():
    rows = brim.load_data("sleepstudy")
    fit = brim.brm("Reaction ~ Days", rows, prior=flat("Intercept", "sigma"), algorithm="map", seed=1, progress=False)
    slope, intercept = np.polyfit(rows.Days, rows.Reaction, 1)
    residual = rows.Reaction - intercept - slope * rows.Days
    # a Newton decrement of 1e-13 is 5e-7 standard deviations: 5e-8 of the slope
    np.testing.assert_allclose(fit.fixef()["Estimate"], [intercept, slope], rtol=5e-8)
    assert fit.draws["sigma"].item() == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-8)


@pytest.mark.default_precision
def test_a_singular_fit_is_said():
    """Group means nearer to each other than chance has them: the maximum likelihood estimate of sd is 0."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=(10, 8))
    rows = {"y": (y - y.mean(1, keepdims=True)).ravel(), "g": np.repeat(np.arange(10), 8)}
    with pytest.warns(BrimWarning, match="singular"):
        fit = brim.brm("y ~ 1 + (1 | g)", rows, prior=flat(), algorithm="map", seed=1, progress=False)
    assert fit.draws["sd_g__Intercept"].item() < 1e-3
    assert fit.draws["sigma"].item() == pytest.approx(np.std(rows["y"]), rel=1e-5)


@pytest.mark.default_precision
def test_no_maximum_is_said():
    """Separated groups: the likelihood rises for ever."""
    rows = {"y": np.repeat([0.0, 1.0], 10), "x": np.repeat([-1.0, 1.0], 10)}
    with pytest.warns(BrimWarning, match="separated"):
        brim.brm("y ~ x", rows, family="bernoulli", prior=flat("Intercept"), algorithm="map", seed=1, progress=False)


@pytest.mark.default_precision
@pytest.mark.default_precision
def test_a_smooth_is_that_of_maximum_likelihood():
    """mgcv::gamm(accel ~ s(times), data = MASS::mcycle, method = "ML"), mgcv 1.8.41: residual and smooth sd, fitted values."""
    fit = brim.brm("accel ~ s(times)", data("mcycle"), prior=flat("Intercept", "sds", "sigma"), algorithm="map", progress=False)
    assert "s(times) integrated out" in fit.engine
    assert fit.draws["sigma"].item() == pytest.approx(22.33112136, rel=1e-7)
    assert fit.draws["sds_stimes_1"].item() == pytest.approx(802.56635, rel=1e-6)
    fitted = [0.3177454375, -76.9170729002, 24.2840207345, 12.3402212321]
    np.testing.assert_allclose(fit.posterior_epred()[0][[0, 49, 99, 132]], fitted, atol=1e-5)


def test_summary_of_a_mode():
    fit = sleep(algorithm="map")
    text = str(fit.summary())
    assert text.endswith(
        "Engine: map, Subject effects integrated out exactly (6 of 42 dimensions sampled)\n"
        "Estimates are the mode of the posterior density (no draws: no errors or intervals)"
    )
    table = fit.summary().fixed
    assert np.isfinite(table["Estimate"]).all()
    assert table.drop(columns="Estimate").isna().all(axis=None)


# --------------------------------------------------------------------------- against NUTS


@cache
def nuts():
    """sleepstudy by brim's sampler: enough draws that its own error is the smaller one."""
    return sleep(chains=4, iter=5000, warmup=1000)


HYPER = ("b_Intercept", "b_Days", "sd_Subject__Intercept", "sd_Subject__Days", "cor_Subject__Intercept__Days", "sigma")


def agree(one, two, names, errors=4.0):
    for name in names:
        a, b = one.draws[name], two.draws[name]
        for x, y in ((a, b), ((a - b.mean()) ** 2, (b - b.mean()) ** 2)):
            assert abs(x.mean() - y.mean()) < errors * np.hypot(mcse_mean(x), mcse_mean(y)), name


@pytest.mark.parametrize("algorithm", EXTERNAL)
@pytest.mark.parametrize("marginalize", ["auto", False])
@pytest.mark.slow
@pytest.mark.default_precision
def test_other_samplers_give_the_same_posterior(algorithm, marginalize):
    """Means and variances of all parameters and of some effects, within four Monte Carlo errors; the target is one with NUTS."""
    fit = sleep(algorithm=algorithm, marginalize=marginalize, iter=2000, control={"adapt_delta": 0.95})
    assert fit.engine.startswith(algorithm)
    assert fit.stats["lp"].shape == (4, 1000)
    agree(fit, nuts(), (*HYPER, "r_Subject[308,Days]", "r_Subject[372,Intercept]", "lp__"))


@pytest.mark.slow
@pytest.mark.default_precision
def test_sampled_and_integrated_effects_give_one_posterior():
    fit = sleep(marginalize=False, iter=4000, control={"adapt_delta": 0.95})
    agree(fit, nuts(), (*HYPER, "r_Subject[308,Days]", "r_Subject[372,Intercept]", "lp__"))


#: Largest |bias| of a mean in posterior standard deviations, and |log ratio of standard deviations|. Laplace expands at the mode of the
#: unconstrained coordinates, where the skewness of log sd makes the mean of sd too small by up to half a standard deviation; Pathfinder
#: resamples by weights, so it is nearer. fullrank minimises KL(law || posterior), which narrows; meanfield ignores the correlation of
#: intercept and slopes: its standard deviations are the conditional ones.
BOUNDS = {"laplace": (0.5, 0.35), "pathfinder": (0.3, 0.3), "fullrank": (0.3, 0.35)}


@pytest.mark.parametrize("algorithm", BOUNDS)
@pytest.mark.slow
@pytest.mark.default_precision
def test_approximations_are_near(algorithm):
    fit = sleep(algorithm=algorithm)
    bias, narrow = BOUNDS[algorithm]
    for name in HYPER:
        a, b = fit.draws[name], nuts().draws[name]
        assert abs(a.mean() - b.mean()) < bias * b.std(), name
        assert abs(np.log(a.std() / b.std())) < narrow, name
    assert "r_Subject[308,Days]" in fit.variables()


@pytest.mark.default_precision
def test_verdict_in_the_summary():
    with warnings.catch_warnings():
        warnings.simplefilter("error", BrimWarning)
        fit = sleep(algorithm="laplace")
    k = fit.info["khat"]
    assert k <= 0.7
    assert str(fit.summary()).endswith(f"Laplace approximation: Pareto k-hat {k:.2f}, {verdict(k)}")
    assert "Draws: 4 chains, each with iter = 1000; warmup = 0; thin = 1;" in str(fit.summary())


@pytest.mark.default_precision
def test_a_poor_approximation_is_warned_of():
    """Effects sampled, not integrated out: the joint posterior is a funnel that no normal law fits."""
    with pytest.warns(BrimWarning, match=r"Pareto k-hat \d+\.\d\d, poor: means and intervals may be far off"):
        fit = sleep(algorithm="meanfield", marginalize=False)
    assert fit.info["khat"] > 0.7
    assert "poor" in str(fit.summary())


def test_a_density_without_a_mode_has_no_laplace_approximation():
    goal = Target(2, lambda q, d: q[0] - 0.5 * q[1] ** 2, {}, lambda rng: rng.normal(size=2), lambda q, d: {})
    with pytest.raises(BrimError, match="no mode inside its space"):
        engine("laplace")(goal, **SETTINGS)


# --------------------------------------------------------------------------- chains that start from an approximation


@pytest.mark.parametrize("init", ["laplace", "pathfinder", "meanfield", "fullrank"])
@pytest.mark.slow
@pytest.mark.default_precision
def test_chains_start_from_an_approximation(init):
    """Sixty iterations of warm-up are enough from there, and the posterior is exact."""
    fit = sleep(init=init, marginalize=False, iter=1060, warmup=60, control={"adapt_delta": 0.95})
    assert ess_bulk(fit.draws["b_Days"]) > 200
    agree(fit, nuts(), HYPER)


@pytest.mark.slow
@pytest.mark.default_precision
def test_chains_start_from_a_fit(tmp_path):
    earlier = sleep(algorithm="pathfinder", marginalize=False)
    earlier.save(tmp_path / "fit.nc")
    options = {"marginalize": False, "iter": 1060, "warmup": 60, "control": {"adapt_delta": 0.95}}
    fit = sleep(init=earlier, **options)
    agree(fit, nuts(), HYPER)
    again = sleep(init=brim.load(tmp_path / "fit.nc"), **options)
    np.testing.assert_array_equal(again.draws["b_Days"], fit.draws["b_Days"])
    more = sleep(init=fit, chains=5, **options)
    assert more.draws.chains == 5


@pytest.mark.slow
@pytest.mark.default_precision
def test_chains_start_from_a_fit_in_adapted_coordinates():
    """Such a fit tells its last draws in the model's own coordinates, which do not depend on its data."""
    rng = np.random.default_rng(1)
    rows = {"y": rng.poisson(3, size=60), "g": np.repeat(np.arange(12), 5)}
    options = {"family": "poisson", "seed": 1, "progress": False}
    fit = brim.brm("y ~ 1 + (1 | g)", rows, **options)
    assert "adapted" in fit.engine
    again = brim.brm("y ~ 1 + (1 | g)", rows, init=fit, iter=1060, warmup=60, control={"adapt_delta": 0.95}, **options)
    agree(again, fit, ("b_Intercept", "sd_g__Intercept", "r_g[3,Intercept]"))


@pytest.mark.default_precision
def test_what_chains_cannot_start_from():
    fit = sleep(algorithm="laplace")
    with pytest.raises(BrimError, match="the fit has 6 sampled dimensions, this model 42"):
        sleep(init=fit, marginalize=False)
    with pytest.raises(BrimError, match="the fit does not know where its chains ended"):
        sleep(init=sleep(empty=True))
    with pytest.raises(BrimError, match="algorithm 'laplace' does not start from an approximation"):
        sleep(init=fit, algorithm="laplace")
    for wrong in (-1.0, True, [1.0], np.nan):
        with pytest.raises(BrimError, match="give a number >= 0"):
            read_init(wrong)
    with pytest.raises(BrimError, match="did you mean 'pathfinder'"):
        read_init("pathfinde")


def test_words_of_brms_for_starts():
    assert read_init("random") == read_init(None)
    assert read_init("0") == read_init(0)


# --------------------------------------------------------------------------- other packages


def test_a_missing_package_is_named(monkeypatch):
    import sys

    for name in ("nutpie", "blackjax"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(BrimError, match=rf"needs the package {name}\npip install 'brim\[{name}\]'"):
            engine(name)(normal_target(), **SETTINGS)


def test_metrics_that_a_package_does_not_have():
    from brim.infer.nuts.control import Control

    with pytest.raises(BrimError, match="algorithm 'numpyro' has no metric 'low_rank'\nit has: diag, dense"):
        engine("numpyro")(normal_target(), **SETTINGS, control=Control(metric="low_rank"))


@pytest.mark.parametrize("name", ["numpyro", "blackjax"])
def test_dense_metrics_of_other_packages(name):
    from brim.infer.nuts.control import Control

    draws = engine(name)(normal_target(), **SETTINGS, control=Control(metric="dense", max_treedepth=6))
    assert np.all(np.abs(draws.q.mean((0, 1)) - MEAN) < 4 * mcse_mean(draws.q))
    assert np.all(np.abs(np.log(draws.info["inv_mass"] / np.diag(COVARIANCE))) < 1.0)
    assert draws.stats["tree_depth"].max() <= 6


@pytest.mark.default_precision
def test_float64_whatever_the_defaults():
    assert not jax.config.jax_enable_x64
    for name in ("laplace", "pathfinder", "fullrank", "numpyro", "blackjax"):
        draws = engine(name)(normal_target(), **{**SETTINGS, "draws": 50})
        x = draws.q - MEAN
        np.testing.assert_allclose(draws.stats["lp"], -0.5 * np.einsum("cdi,ij,cdj->cd", x, PRECISION, x), rtol=1e-9, atol=1e-9)
