"""gp(): brms' numbers, closed forms, and predictions at new points."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, linalg, stats

import brim
from brim.errors import BrimError, BrimWarning
from brim.infer.diagnostics import ess_bulk, mcse_mean, rhat
from brim.linalg import cholesky, inverse_lower
from brim.terms.curves.gp import _coarse_to_fine
from brim.terms.curves.kernels import KERNELS, correlation, lscale_prior, root_spectral_density
from references import data
from structured_models import check, random_draws

pytestmark = pytest.mark.default_precision


@pytest.mark.parametrize(("name", "rtol"), [("gp_approx", 1e-8), ("gp_plain", 1e-8), ("gp_exact", 1e-4)])
def test_brms(name, rtol):
    """Exact processes are as exact as their covariance is well conditioned (see test_reference.LOOSE)."""
    check(name, rtol)


# R: for (x in list(c(0, 1, 2), c(0, 200, 1, 100), c(0, 1, 1))) get_prior(y ~ gp(x, scale = FALSE), data.frame(x, y = rnorm(length(x))))
# and get_prior(y ~ gp(x, z), data.frame(x = c(0, 1, 0.5), z = c(0, 0, 0.8), y = rnorm(3))), whose solver stops at four digits
@pytest.mark.parametrize(
    ("x", "prior"),
    [
        ([[0], [1], [2]], "inv_gamma(45.631905, 62.799395)"),
        ([[0], [200], [1], [100]], "inv_gamma(1.494197, 11.321482)"),
        ([[0], [1], [1]], "normal(0, 0.5)"),
    ],
)
def test_prior_of_the_length_scale(x, prior):
    assert lscale_prior(np.array(x, float)) == prior


def test_prior_of_a_length_scale_over_two_dimensions():
    x = np.array([[0, 0], [1, 0], [0.5, 0.8]]) / 1.0
    a, b = (float(v) for v in lscale_prior(x)[10:-1].split(","))
    assert a == pytest.approx(6376.828776, rel=1e-4)
    assert b == pytest.approx(6192.530048, rel=1e-4)


def test_prior_of_the_length_scale_has_one_percent_in_each_tail():
    x = np.array([[0.0, 0.0], [0.3, 0.1], [1.0, 2.0]])
    a, b = (float(v) for v in lscale_prior(x)[10:-1].split(","))
    apart = [np.hypot(0.3, 0.1), np.hypot(1.0, 2.0)]
    law = stats.invgamma(a, scale=b)
    assert law.cdf(apart[0]) == pytest.approx(0.01, rel=1e-4)
    assert law.sf(apart[1]) == pytest.approx(0.01, rel=1e-4)


# Rasmussen and Williams (2006), equations 4.9 and 4.17, at r = 0.7
@pytest.mark.parametrize(
    ("kernel", "value"),
    [
        ("exp_quad", np.exp(-0.245)),
        ("exponential", np.exp(-0.7)),
        ("matern15", (1 + np.sqrt(3) * 0.7) * np.exp(-np.sqrt(3) * 0.7)),
        ("matern25", (1 + np.sqrt(5) * 0.7 + 5 * 0.49 / 3) * np.exp(-np.sqrt(5) * 0.7)),
    ],
)
def test_kernels(kernel, value):
    assert float(correlation(kernel, np.zeros((1, 1)), np.array([[1.4]]), np.array([2.0]))[0, 0]) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_spectral_densities_are_transforms_of_the_kernels(kernel, dimensions):
    """Integrated over all frequencies, ``S / (2 pi)^D`` gives the variance, 1."""
    scale = np.array([0.7])

    def density(w):
        frequency = np.array([[w] + [0.0] * (dimensions - 1)])
        return float(root_spectral_density(kernel, frequency, scale)[0]) ** 2 * (1 / np.pi if dimensions == 1 else w / (2 * np.pi))

    whole = integrate.quad(density, 0, 2000, limit=2000)[0]
    assert whole == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("kernel", ["exp_quad", "matern25"])
def test_the_basis_converges_to_the_exact_process(kernel):
    """The covariance ``Phi S Phi'`` of the approximation against that of the exact process."""
    sim = data("sim")
    errors = []
    for k in (5, 40):
        empty = brim.brm(f"y ~ gp(x, k = {k}, c = 2, cov = '{kernel}')", sim, empty=True)
        term = next(t for t in empty.model.terms() if t.key.startswith("gp"))
        design = term.design(empty.frame)
        s = np.asarray(root_spectral_density(kernel, design["w0"], np.array([0.2]))) ** 2
        x = sim["x"].to_numpy()[:, None] / np.ptp(sim["x"])
        exact = np.asarray(correlation(kernel, x, x, np.array([0.2])))
        errors.append(np.abs(design["Phi0"] * s @ design["Phi0"].T - exact).max())
    assert errors[0] > 0.02
    assert errors[1] < 2e-3


def test_new_points_are_kriged():
    """Mean and covariance of values at new points given the old ones, from many draws of one point of the parameters."""
    old = pd.DataFrame({"x": np.linspace(0, 1, 6), "y": np.arange(6.0)})
    empty = brim.brm("y ~ gp(x)", old, empty=True)
    one = random_draws(empty, 1).draws.frame()
    fit = empty.with_draws(pd.concat([one.assign(lscale_gpx=0.3)] * 4000, ignore_index=True))
    new = np.array([0.1, 0.5, 1.3])
    drawn = fit.posterior_linpred({"x": np.append(new, 0.4)}, seed=1) - float(one["b_Intercept"].iloc[0])

    sd = float(one["sdgp_gpx"].iloc[0])

    def k(a, b):
        return sd**2 * np.exp(-0.5 * np.subtract.outer(a, b) ** 2 / 0.09)

    x = old["x"].to_numpy()
    f = linalg.cholesky(k(x, x) + 1e-12 * np.eye(6), lower=True) @ one[[f"zgp_gpx[{i}]" for i in range(1, 7)]].to_numpy()[0]
    mean = k(new, x) @ np.linalg.solve(k(x, x), f)
    cov = k(new, new) - k(new, x) @ np.linalg.solve(k(x, x), k(x, new))
    np.testing.assert_allclose(drawn[:, :3].mean(0), mean, atol=5 * np.sqrt(cov.diagonal().max() / 4000))
    np.testing.assert_allclose(np.cov(drawn[:, :3].T), cov, atol=0.1 * cov.max())
    np.testing.assert_allclose(drawn[:, 3], f[2], atol=1e-4)  # an old point keeps its value


def test_contrasts_of_a_factor_add_up():
    """cmc = FALSE: the first process serves all rows, the second is added in the second level (as brms' Stan program does)."""
    fit = random_draws(brim.brm("y ~ gp(z, by = sex, k = 4, cmc = FALSE)", data("sim"), empty=True), 2)
    alone = fit.draws.frame().assign(sdgp_gpzsexm=1e-12)
    without = fit.with_draws(alone).posterior_linpred()
    male = (data("sim")["sex"] == "m").to_numpy()
    same = np.isclose(fit.posterior_linpred(), without, atol=1e-9)
    assert same[:, ~male].all()
    assert not same[:, male].any()


@pytest.mark.parametrize("n", [1, 5, 8, 13, 40])
def test_derivatives_of_cholesky_factors(n):
    """Inverses and derivatives, forwards and backwards, against JAX' own."""
    a, w, d = np.random.default_rng(n).normal(size=(3, 2, n, n))
    d = d + d.swapaxes(1, 2)
    with jax.enable_x64(True):
        k = a @ a.swapaxes(1, 2) + n * np.eye(n)
        low = np.linalg.cholesky(k)
        np.testing.assert_allclose(inverse_lower(low) @ low, np.broadcast_to(np.eye(n), k.shape), atol=1e-12)
        mine, own = (lambda e, f=f: jnp.sum(w * f(k + e * d)) for f in (cholesky, jnp.linalg.cholesky))
        for derivative in (jax.grad, jax.jacfwd, jax.hessian):
            np.testing.assert_allclose(derivative(mine)(0.0), derivative(own)(0.0), rtol=1e-9)


def test_what_was_sampled_is_what_is_predicted():
    """``lp__`` of the sampler, which has the points from coarse to fine, from the reported ``zgp`` in brms' order: two processes.

    The covariance is singular but for a nugget ten times its rounding: its smallest directions, of some draws, keep a digit or two.
    """
    d = data("sim").assign(y=lambda d: 20 * d["y"])
    fit = brim.brm("y ~ gp(x, by = sex)", d, chains=1, iter=150, warmup=100, seed=1, progress=False)
    draws = fit.draws.frame()
    z = draws[[c for c in draws if c.startswith("zgp")]].to_numpy()
    scales = draws[[c for c in draws if c.startswith(("sdgp", "lscale", "sigma"))]].to_numpy()
    assert z.shape == (50, len(d[["x", "sex"]].drop_duplicates()))
    assert scales.shape == (50, 5)
    lp = fit.log_lik().sum(1) + fit.log_prior() + stats.norm.logpdf(z).sum(1) + np.log(scales).sum(1)
    off = np.abs(lp - draws["lp__"].to_numpy())
    assert np.median(off) < 1e-3
    assert off.max() < 0.1
    assert np.ptp(lp) > 5


def test_points_from_coarse_to_fine():
    """The middle, the farthest from it, the farthest from both, ...; equal points last."""
    x = np.array([[0.0], [0.1], [0.45], [1.0], [1.0], [0.5]])
    assert _coarse_to_fine(x).tolist() == [5, 0, 3, 1, 2, 4]


def test_values_hardly_depend_on_rounding():
    """Where brms' nugget is below rounding: changes of 1e-16 in the covariance, relative, move the sampled values by less than 1e-5."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(size=(90, 1)), axis=0)
    order, u, noise = _coarse_to_fine(x), rng.normal(size=90), rng.normal(size=(90, 90)) * 1e-16
    for lscale in (0.03, 0.1, 0.5):
        k = 2000.0 * np.exp(-0.5 * ((x - x.T) / lscale) ** 2)
        moved = k * (1 + noise + noise.T)
        f, g = (np.linalg.cholesky(m[np.ix_(order, order)] + 1e-10 * 2000.0 * np.eye(90)) @ u for m in (k, moved))
        assert np.abs(f - g).max() < 1e-5


def by_quadrature(d):
    """Posterior means and sds of sdgp, lscale and sigma of accel ~ gp(times) by sums over a grid, the process integrated out exactly.

    For each length scale one eigenvalue problem; priors are brms::get_prior(accel ~ gp(times), MASS::mcycle).
    """
    x, y = d["times"].to_numpy() / np.ptp(d["times"]), d["accel"].to_numpy()
    sd, lscale, sigma = (np.geomspace(*ends, 41) for ends in ((15, 250), (0.025, 0.2), (17, 30)))
    b = np.linspace(-120, 100, 45)
    grid = [a.ravel() for a in np.meshgrid(sd, sigma, b, indexing="ij")]
    prior = stats.t(3, 0, 35.6).logpdf(grid[0]) + stats.t(3, 0, 35.6).logpdf(grid[1]) + stats.t(3, -13.3, 35.6).logpdf(grid[2])
    log = []
    for scale in lscale:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * np.subtract.outer(x, x) ** 2 / scale**2))
        uy, ones = vectors.T @ y, vectors.sum(0)
        v = np.add.outer(np.outer(sd**2, np.maximum(values, 0)), sigma**2).swapaxes(1, 2).reshape(-1, len(y))
        fits = np.stack([(uy**2 / v).sum(1), (uy * ones / v).sum(1), (ones**2 / v).sum(1), np.log(v).sum(1)])
        yy, y1, one, det = np.repeat(fits, len(b), axis=1)
        density = prior - 0.5 * (yy - 2 * grid[2] * y1 + grid[2] ** 2 * one + det) + np.log(grid[0] * grid[1])
        log.append(density + stats.invgamma(1.494197, scale=0.056607).logpdf(scale) + np.log(scale))
    weight = np.exp(np.array(log) - np.max(log))
    at = [np.broadcast_to(grid[0], weight.shape), np.repeat(lscale[:, None], weight.shape[1], 1), np.broadcast_to(grid[1], weight.shape)]
    mean = np.array([np.average(a, weights=weight) for a in at])
    return mean, np.sqrt([np.average((a - m) ** 2, weights=weight) for a, m in zip(at, mean, strict=True)])


@pytest.mark.parametrize(("more", "steps", "ess"), [({}, 8, 1500), ({"marginalize": False, "control": {"adapt_delta": 0.95}}, 60, 100)])
@pytest.mark.slow
def test_the_motorcycle_data(more, steps, ess):
    """Nothing diverges, trajectories are short (170 steps with the points in the data's order); the posterior is that by quadrature."""
    d = brim.load_data("mcycle")
    fit = brim.brm("accel ~ gp(times)", d, seed=1, progress=False, **more)
    assert fit.stats["diverging"].sum() == 0
    assert fit.stats["n_steps"].mean() < steps
    assert ess_bulk(fit.draws["b_Intercept"]) > ess
    draws = fit.as_draws_df()[["sdgp_gptimes", "lscale_gptimes", "sigma"]].to_numpy().reshape(4, 1000, 3)
    assert rhat(draws).max() < 1.02
    mean, sd = by_quadrature(d)
    np.testing.assert_array_less(abs(draws.mean((0, 1)) - mean) / mcse_mean(draws), 4)
    square = (draws - draws.mean((0, 1))) ** 2
    np.testing.assert_array_less(abs(square.mean((0, 1)) - sd**2) / mcse_mean(square), 4)


def test_a_covariance_that_is_singular_by_rounding():
    """With a length scale of a thousand ranges the density stays finite, and so does its gradient."""
    empty = brim.brm("y ~ gp(x)", data("sim"), empty=True)
    fit = random_draws(empty, 2).draws.frame().assign(lscale_gpx=1000.0)
    assert np.isfinite(empty.with_draws(fit).log_lik()).all()


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ gp(f3)", "factor"),
        ("y ~ gp(x, cov = 'matern')", "no kernel 'matern'"),
        ("y ~ gp(x, k = 0)", "whole and positive"),
        ("y ~ gp(x, k = 5, c = 0)", "must be positive"),
        ("y ~ gp(x):z", "interaction"),
        ("y ~ gp(x, iso = 2)", "TRUE or FALSE"),
        ("y ~ gp(x, z, k = c(2, 3, 4))", "3 numbers are given for 2 covariates"),
    ],
)
def test_errors(formula, message):
    with pytest.raises(BrimError, match=message):
        brim.brm(formula, data("sim"), empty=True)


def test_a_prior_for_all_length_scales_reaches_none():
    """As in brms: each has a default of its own."""
    with pytest.warns(BrimWarning, match="lscale"):
        fit = brim.brm("y ~ gp(x)", data("sim"), prior=brim.prior("normal(0, 1)", class_="lscale"), empty=True)
    table = fit.prior_summary()
    assert table.loc[table["coef"] == "gpx", "prior"].str.startswith("inv_gamma").any()
    own = brim.brm("y ~ gp(x)", data("sim"), prior=brim.prior("normal(0, 1)", class_="lscale", coef="gpx"), empty=True)
    assert "normal(0, 1)" in own.prior_summary()["prior"].tolist()


def test_recovery():
    """A sine with noise 0.3: the posterior mean is nearer to it than a third of the noise."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0, 6, 60))
    d = pd.DataFrame({"x": x, "y": np.sin(x) + 0.3 * rng.normal(size=60)})
    fit = brim.brm("y ~ gp(x, k = 12)", d, chains=1, iter=600, warmup=300, seed=1, progress=False)
    error = fit.posterior_epred().mean(0) - np.sin(x)
    assert np.sqrt(np.mean(error**2)) < 0.15
    assert fit.draws.frame()["sigma"].mean() == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("sd", [1e-3, 1.0, 1e4])
def test_curves_between_points_are_finite_for_every_draw(sd):
    """Smooth curves leave nothing but rounding between two points: the curve passes through both, and no draw fails."""
    x = np.linspace(0, 1, 8)
    empty = brim.brm("y ~ gp(x)", pd.DataFrame({"x": x, "y": x}), empty=True)
    rng, n = np.random.default_rng(1), 64
    scales = {"b_Intercept": 0.0, "sdgp_gpx": sd, "sigma": 1.0, "lscale_gpx": np.exp(rng.uniform(-1.5, 2.0, n))}
    z = {f"zgp_gpx[{i + 1}]": rng.normal(size=n) for i in range(8)}
    fit = empty.with_draws(pd.DataFrame({k: np.broadcast_to(v, n) for k, v in {**scales, **z}.items()}))
    new = np.sort(np.concatenate([np.linspace(0, 1, 150), x + 1e-9]))
    curve = fit.posterior_linpred({"x": new}, seed=1)
    assert np.isfinite(curve).all()
    at = fit.posterior_linpred({"x": x})
    np.testing.assert_allclose(curve[:, np.searchsorted(new, x + 1e-9)], at, atol=2e-3 * sd + 1e-5)  # the nugget is 1e-12
