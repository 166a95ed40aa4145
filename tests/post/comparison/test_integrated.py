"""Integrated loo: pointwise terms against brute-force quadrature and closed forms, and what they do to Pareto k."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import brim
import fits
from brim.post.comparison.integrated import IntegratedPointwise

RNG = np.random.default_rng(8)
ROWS = pd.DataFrame({"x": RNG.normal(size=20), "g": np.repeat(list("abcdefg"), 3)[:20], "i": np.arange(20)})
ROWS["k"] = RNG.poisson(np.exp(0.5 + 0.5 * ROWS["x"] + np.repeat(RNG.normal(size=7), 3)[:20]))
ROWS["y"] = RNG.normal(size=20)


def drawn(formula, family, n=5):
    fit = brim.brm(formula, ROWS, family=family, empty=True)
    rng = np.random.default_rng(1)
    base = {v: rng.normal(size=n) * 0.5 for v in fit.variables()}
    columns = {v: np.exp(b) if v.startswith(("sd_", "sigma")) else np.tanh(b) if v.startswith("cor_") else b for v, b in base.items()}
    return fit.with_draws(pd.DataFrame(columns))


def terms(fit):
    ((_, values),) = IntegratedPointwise(fit).blocks()
    return values


@pytest.mark.parametrize("group", ["g", "i"])
def test_poisson_random_intercept(group):
    """Given the other rows of the group; groups of one row have the marginal density."""
    fit = drawn(f"k ~ x + (1 | {group})", "poisson")
    mine = terms(fit)
    for s in range(5):
        b, bx, sd = (fit.draws[v].ravel()[s] for v in ("b_Intercept", "b_x", f"sd_{group}__Intercept"))
        eta = b + bx * ROWS["x"].to_numpy()

        def log_integral(rows, eta=eta, sd=sd):
            def density(u):
                return np.exp(stats.poisson.logpmf(ROWS["k"].to_numpy()[rows], np.exp(eta[rows] + sd * u)).sum()) * stats.norm.pdf(u)

            return np.log(integrate.quad(density, -9, 9, epsabs=0, epsrel=1e-11, limit=400)[0])

        for i in range(20):
            mates = np.flatnonzero(ROWS[group] == ROWS[group][i])
            exact = log_integral(mates) - log_integral(mates[mates != i])
            np.testing.assert_allclose(mine[s, i], exact, rtol=1e-6)


def test_normal_random_slopes():
    """Laplace's method is exact: conditional densities of a multivariate normal."""
    fit = drawn("y ~ x + (1 + x | g)", "gaussian")
    mine = terms(fit)
    for s in range(5):
        value = {v: fit.draws[v].ravel()[s] for v in fit.variables() if not v.startswith(("lp", "r_"))}
        c = value["cor_g__Intercept__x"] * value["sd_g__Intercept"] * value["sd_g__x"]
        cov = np.array([[value["sd_g__Intercept"] ** 2, c], [c, value["sd_g__x"] ** 2]])
        for i in range(20):
            mates = np.flatnonzero(ROWS["g"] == ROWS["g"][i])
            z = np.column_stack([np.ones(len(mates)), ROWS["x"][mates]])
            total = z @ cov @ z.T + value["sigma"] ** 2 * np.eye(len(mates))
            residual = ROWS["y"].to_numpy()[mates] - value["b_Intercept"] - value["b_x"] * ROWS["x"].to_numpy()[mates]
            me = mates == i
            gain = np.linalg.solve(total[np.ix_(~me, ~me)], total[np.ix_(~me, me)])[:, 0]
            mean, spread = gain @ residual[~me], np.sqrt(total[me, me][0] - gain @ total[np.ix_(~me, me)][:, 0])
            np.testing.assert_allclose(mine[s, i], stats.norm.logpdf(residual[me][0], mean, spread), rtol=1e-8)


def test_rows_within_groups():
    """Effects of rows within those of groups: nested quadrature."""
    fit = drawn("k ~ x + (1 | g) + (1 | i)", "poisson", 2)
    mine = terms(fit)
    v, w = np.linspace(-9, 9, 361), stats.norm.pdf(np.linspace(-9, 9, 361))
    u = v[:, None, None]
    for s in range(2):
        b, bx, sg, si = (fit.draws[name].ravel()[s] for name in ("b_Intercept", "b_x", "sd_g__Intercept", "sd_i__Intercept"))
        eta = b + bx * ROWS["x"].to_numpy()
        density = stats.poisson.pmf(ROWS["k"].to_numpy()[None, :, None], np.exp(eta[:, None] + sg * u + si * v))
        row = density @ w / w.sum()  # nodes of u, rows
        for i in range(20):
            mates = np.flatnonzero(ROWS["g"] == ROWS["g"][i])
            whole, rest = (w @ row[:, m].prod(axis=1) / w.sum() for m in (mates, mates[mates != i]))
            np.testing.assert_allclose(mine[s, i], np.log(whole / rest), rtol=1e-6)


def test_rows_far_apart():
    """Without one row the effect of a group lies dozens of its standard deviations away: grids are widened until they hold all of it."""
    rows = pd.DataFrame({"k": [0, 900, 3, 0, 0, 40], "g": list("aabbcc")})
    empty = brim.brm("k ~ 1 + (1 | g)", rows, family="poisson", empty=True)
    fit = empty.with_draws(pd.DataFrame({v: [2.5, 0.7] if v.startswith("sd_") else [0.3, -1.0] for v in empty.variables()}))
    mine = terms(fit)
    u = np.linspace(-12, 12, 200_001)
    for s, (b, sd) in enumerate([(0.3, 2.5), (-1.0, 0.7)]):
        log_density = stats.poisson.logpmf(rows["k"].to_numpy()[:, None], np.exp(b + sd * u))

        def log_integral(which, log_density=log_density):
            values = log_density[which].sum(axis=0) + stats.norm.logpdf(u)
            return np.log(np.exp(values - values.max()).sum() * (u[1] - u[0])) + values.max()

        for i, mate in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)):
            np.testing.assert_allclose(mine[s, i], log_integral([i, mate]) - log_integral([mate]), rtol=1e-6)


def test_large_groups():
    """One group of 3,000 rows: conditional densities of an exchangeable normal vector."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.normal(size=3010), "g": np.repeat(["a", "b"], [3000, 10])})
    empty = brim.brm("y ~ 1 + (1 | g)", rows, empty=True)
    fit = empty.with_draws(pd.DataFrame({v: [0.8] if v in ("sd_g__Intercept", "sigma") else [0.1] for v in empty.variables()}))
    mine, y = terms(fit)[0], rows["y"].to_numpy() - 0.1
    for group in ("a", "b"):
        at = np.flatnonzero(rows["g"] == group)
        precision = 1 / 0.8**2 + (len(at) - 1) / 0.8**2
        mean = (y[at].sum() - y[at]) / 0.8**2 / precision
        np.testing.assert_allclose(mine[at], stats.norm.logpdf(y[at], mean, np.sqrt(0.8**2 + 1 / precision)), rtol=1e-8)


def test_uncorrelated_terms_of_one_grouping():
    """``(1 | g) + (0 + x | g)`` are integrated out together: the law of ``(1 + x || g)``."""
    apart, together = drawn("y ~ x + (1 | g) + (0 + x | g)", "gaussian"), drawn("y ~ x + (1 + x || g)", "gaussian")
    columns = together.as_draws_df()[list(apart.variables())]
    np.testing.assert_allclose(terms(apart.with_draws(columns)), terms(together), rtol=1e-9)


@pytest.mark.slow
def test_epilepsy():
    """Of 236 Pareto k more than 50 are above 0.7 as the model stands, none when the effects of rows are integrated out."""
    fit = fits.fit("poisson")
    with pytest.warns(brim.BrimWarning, match="Pareto k"):
        plain = fit.loo()
    mine = fit.loo(integrated=True)
    assert (plain.pareto_k > 0.7).sum() > 50
    assert (mine.pareto_k > 0.7).sum() == 0


def test_refused():
    with pytest.raises(brim.BrimError, match="no group effects"):
        drawn("y ~ x", "gaussian", 40).loo(integrated=True)
    with pytest.raises(brim.BrimError, match="not re_formula="):
        drawn("y ~ x + (1 | g)", "gaussian", 40).loo(integrated=True, re_formula=False)
