"""kfold and reloo against closed forms: with a known sigma and normal priors every left-out density is normal."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.post.comparison.refits import folds_of

ROWS = pd.DataFrame({"x": np.linspace(-1, 1, 24), "g": np.repeat(list("abcdef"), 4)})
ROWS["y"] = 1 + ROWS["x"] + np.random.default_rng(3).normal(0, 0.5, 24)
ROWS.loc[5, "y"] = 2.5
PRIORS = brim.prior("normal(0, 3)", class_="Intercept") + brim.prior("normal(0, 2)") + brim.prior("constant(0.5)", class_="sigma")


def fitted(iter=600):
    return brim.brm("y ~ x", ROWS, prior=PRIORS, chains=2, iter=iter, seed=1, progress=False)


def exact(train, out):
    """Log density of left-out rows under the conjugate posterior of the others; brms centres the predictors it was given."""
    keep = ROWS[train]
    design = np.column_stack([np.ones(len(keep)), keep["x"] - keep["x"].mean()])
    precision = np.diag([1 / 9, 1 / 4]) + design.T @ design / 0.25
    mean = np.linalg.solve(precision, design.T @ keep["y"] / 0.25)
    new = np.column_stack([np.ones(len(ROWS[out])), ROWS[out]["x"] - keep["x"].mean()])
    spread = np.sqrt(0.25 + np.einsum("ij,jk,ik->i", new, np.linalg.inv(precision), new))
    return stats.norm.logpdf(ROWS[out]["y"], new @ mean, spread)


def test_kfold():
    fit = fitted()
    folds = np.arange(24) % 3 + 1
    mine = fit.kfold(folds=folds)
    expected = np.empty(24)
    for k in (1, 2, 3):
        expected[folds == k] = exact(folds != k, folds == k)
    np.testing.assert_allclose(mine.elpd_i, expected, atol=0.15)
    np.testing.assert_allclose(mine.elpd, expected.sum(), atol=0.5)
    assert mine.n_folds == 3
    assert list(mine.estimates.index) == ["elpd_kfold", "p_kfold", "kfoldic"]
    joint = fit.kfold(folds=folds, joint="fold")
    assert joint.n_data_points == 3
    some = fit.kfold(folds=folds, Ksub=[2])
    np.testing.assert_allclose(some.elpd_i, np.asarray(mine.elpd_i)[folds == 2], rtol=1e-6)


def test_reloo():
    """The outlier's term is that of a fit without it."""
    fit = fitted()
    with pytest.warns(brim.BrimWarning, match="Pareto k are above"):
        plain = fit.loo(k_threshold=-0.05)
    assert 5 in plain.bad
    few = max(2, np.sort(plain.pareto_k)[-3])
    mine = fit.loo(k_threshold=min(few, plain.pareto_k[5].item() - 1e-6), reloo=True)
    out = np.arange(24) == 5
    np.testing.assert_allclose(np.asarray(mine.elpd_i)[5], exact(~out, out)[0], atol=0.5)
    assert mine.bad.size == 0


def test_moment_match():
    """The outlier's term comes nearer to the exact one, and its Pareto k becomes good."""
    fit = fitted()
    with pytest.warns(brim.BrimWarning, match="Pareto k are above"):
        plain = fit.loo(k_threshold=0.1)
    mine = fit.loo(k_threshold=0.1, moment_match=True)
    out = np.arange(24) == 5
    assert mine.pareto_k[5] < plain.pareto_k[5]
    np.testing.assert_allclose(np.asarray(mine.elpd_i)[5], exact(~out, out)[0], atol=0.1)


def test_subsample():
    """All rows give loo itself; some an estimate with its error."""
    fit = fitted()
    whole = fit.loo(k_threshold=1)
    np.testing.assert_allclose(fit.loo(subsample=24).elpd, whole.elpd, rtol=1e-8)
    np.testing.assert_allclose(fit.loo(subsample=24).se, whole.se, rtol=0.03)
    some = fit.loo(subsample=12, seed=3)
    assert abs(some.elpd - whole.elpd) < 4 * some.subsampling_se
    assert some.subsample_size == 12
    assert "12" in str(some)


def test_splits():
    members = np.repeat(np.arange(6), 4)
    grouped = folds_of(24, 3, "grouped", members, 1)
    assert all(len(set(grouped[members == m])) == 1 for m in range(6))
    assert np.bincount(grouped)[1:].tolist() == [8, 8, 8]
    strata = folds_of(24, 4, "stratified", members, 1)
    assert all(sorted(strata[members == m]) == [1, 2, 3, 4] for m in range(6))
    assert folds_of(24, None, None, members, 1).max() == 6
    assert np.bincount(folds_of(24, None, None, None, 1))[1:].tolist() == [3] * 4 + [2] * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": "grouped"}, "needs the column"),
        ({"folds": [1, 2]}, "24 whole numbers"),
        ({"K": 1}, "K = 1"),
        ({"group": "h"}, "no column 'h'"),
        ({"joint": "all"}, "joint"),
    ],
)
def test_refused(arguments, message):
    fit = brim.brm("y ~ x", ROWS, prior=PRIORS, empty=True)
    draws = {v: np.full(40, 0.5) for v in fit.variables()}
    with pytest.raises(brim.BrimError, match=message):
        fit.with_draws(pd.DataFrame(draws)).kfold(**arguments)


@pytest.mark.slow
def test_epilepsy():
    """Criteria of the Poisson model: brms gives a WAIC near 1140 and a kfoldic between 1210 and 1260."""
    formula = "count ~ zAge + zBase * Trt + (1 | patient) + (1 | obs)"
    fit = brim.brm(formula, brim.load_data("epilepsy"), family="poisson", chains=2, iter=1000, seed=1, progress=False)
    with pytest.warns(brim.BrimWarning, match="p_waic"):
        assert 1120 < -2 * fit.waic().elpd < 1160
    assert 1210 < fit.kfold(10).estimates.loc["kfoldic", "Estimate"] < 1260
