"""Structured correlations of group effects: ``gr(g, cov = "ar1")`` and its like in brm, ``ar1(x | g)`` in lmer and glmer."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import brim

K, N = 4, 30


def rows():
    rng = np.random.default_rng(3)
    root = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(range(K), range(K))))
    effects = 0.8 * rng.normal(size=(N, K)) @ root.T
    frame = pd.DataFrame({"g": np.repeat(np.arange(N), 3 * K), "f": np.tile(np.repeat(list("abcd"), 3), N)})
    frame["x"] = rng.normal(size=len(frame))
    mean = 0.4 + 0.2 * frame["x"] + np.repeat(effects.ravel(), 3)
    return frame.assign(y=mean + rng.normal(0, 0.5, len(frame)), n=rng.poisson(np.exp(mean)))


ROWS = rows()
FLAT = brim.prior("", class_="Intercept") + brim.prior("", class_="sd")


def correlation(structure, rho):
    lag = np.abs(np.subtract.outer(range(K), range(K)))
    return rho**lag if structure == "ar1" else np.where(lag == 0, 1.0, rho)


@pytest.mark.parametrize(("structure", "class_"), [("ar1", "ar"), ("cs", "cosy")])
def test_effects_have_the_correlations_of_their_structure(structure, class_):
    """``r = diag(sd) L z``: what the draws say, VarCorr, and the sample covariance of new levels."""
    empty = brim.brm(f'y ~ x + (0 + f | gr(g, cov = "{structure}"))', ROWS, empty=True)
    names = [v for v in empty.variables() if v.startswith(("sd_", class_))]
    sds = ["sd_g__ar1"] if structure == "ar1" else [f"sd_g__f{f}" for f in "abcd"]
    assert sorted(names) == sorted([f"{class_}_g", *sds])
    given = dict.fromkeys(empty.variables(), 0.0) | {"sigma": 1.0, f"{class_}_g": 0.4} | {n: 1.0 + i for i, n in enumerate(sds)}
    fit = empty.with_draws(pd.DataFrame([given] * 20_000))
    sd = np.array([given[n] for n in sds] * (K if structure == "ar1" else 1))
    table = fit.VarCorr()["g"]
    assert table["sd"]["Estimate"].to_numpy() == pytest.approx(sd)
    cov = correlation(structure, 0.4) * np.multiply.outer(sd, sd)
    assert table["cov"].sel(statistic="Estimate").to_numpy() == pytest.approx(cov)
    new = pd.DataFrame({"g": ["new"] * K, "f": list("abcd"), "x": 0.0})
    drawn = fit.posterior_linpred(new, allow_new_levels=True, sample_new_levels="gaussian", seed=1)
    assert np.cov(drawn.T) == pytest.approx(cov, abs=4 * np.max(cov) * np.sqrt(2 / 20_000))
    assert fit.summary().random["g"].index.tolist() == [f"sd({n.removeprefix('sd_g__')})" for n in sds] + [class_]


@pytest.mark.parametrize("structure", ["ar1", "cs", "diag"])
def test_the_mode_with_flat_priors_is_lmers(structure):
    """Maximum likelihood, by brm and by lmer (glmmTMB 1.1.5 gives the same six digits on data of this kind, of glmer too)."""
    fit = brim.lmer(f"y ~ x + {structure}(0 + f | g)", ROWS, REML=False)
    flat = FLAT + brim.prior("", class_="sigma")
    mode = brim.brm(f'y ~ x + (0 + f | gr(g, cov = "{structure}"))', ROWS, "gaussian", flat, algorithm="map", progress=False)
    (term,) = fit.VarCorr().terms
    assert mode.fixef()["Estimate"].to_numpy() == pytest.approx(fit.beta, abs=1e-5)
    assert mode.VarCorr()["g"]["sd"]["Estimate"].to_numpy() == pytest.approx(term.sd, rel=1e-4)
    if structure != "diag":
        assert mode.VarCorr()["g"]["cor"].sel(statistic="Estimate").to_numpy() == pytest.approx(term.cor, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["ar1", "cs"])
def test_the_mode_of_counts_is_glmers(structure):
    fit = brim.glmer(f"n ~ x + {structure}(0 + f | g)", ROWS, "poisson")
    mode = brim.brm(f'n ~ x + (0 + f | gr(g, cov = "{structure}"))', ROWS, "poisson", FLAT, algorithm="map", progress=False)
    (term,) = fit.VarCorr().terms
    assert mode.fixef()["Estimate"].to_numpy() == pytest.approx(fit.beta, abs=1e-4)
    assert mode.VarCorr()["g"]["sd"]["Estimate"].to_numpy() == pytest.approx(term.sd, rel=1e-3)
    assert mode.VarCorr()["g"]["cor"].sel(statistic="Estimate").to_numpy() == pytest.approx(term.cor, abs=1e-3)


def test_priors_reach_the_correlation():
    prior = brim.prior("normal(0, 0.5)", class_="ar", group="g") + brim.prior("exponential(1)", class_="sd", group="g")
    fit = brim.brm('y ~ x + (0 + f | gr(g, cov = "ar1"))', ROWS, prior=prior, empty=True)
    table = fit.prior_summary()
    assert set(table.loc[table["class"] == "ar", "prior"]) == {"normal(0, 0.5)", ""}
    given = dict.fromkeys(fit.variables(), 0.0) | {"sigma": 1.0, "ar_g": 0.4, "sd_g__ar1": 2.0}
    at = [fit.with_draws(pd.DataFrame([given | {"ar_g": rho}])).log_prior()[0] for rho in (0.4, 0.0)]
    assert at[0] - at[1] == pytest.approx(-0.5 * (0.4 / 0.5) ** 2)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ('y ~ (0 + f | gr(g, cov = "ar2"))', "ar1"),
        ('y ~ (0 + f | gr(g, by = f, cov = "cs"))', "goes without by"),
        ('y ~ (0 + f | gr(g, cor = FALSE, cov = "ar1"))', "goes without by"),
    ],
)
def test_what_does_not_go_together_is_an_error(formula, said):
    with pytest.raises(brim.BrimError, match=said):
        brim.brm(formula, ROWS, empty=True)


def test_profiles_of_tied_covariances():
    """The interval's ends: with the correlation held there, the deviance is 3.84 above its minimum (glmmTMB's profiles agree)."""
    fit = brim.lmer("y ~ x + ar1(0 + f | g)", ROWS, REML=False)
    table = fit.confint(["sd_ar1|g", "cor_ar1|g"], oldNames=False)
    law = fit.profile
    low, high = table.loc["cor_ar1|g"]
    for rho in (low, high):
        r = rho / np.sqrt(1 - rho**2)
        least = minimize_scalar(lambda s, r=r: law(np.array([s, r]))[0], bracket=(fit.minimum.x[0], 1.1 * fit.minimum.x[0])).fun
        assert least - fit.criterion == pytest.approx(3.841459, abs=1e-4)
    assert list(fit.confint(method="Wald").index) == [".sig01", ".sig02", ".sigma", "(Intercept)", "x"]


def test_tables_of_variances_repeat_what_is_tied():
    """One interval for all effects of ``ar1``."""
    fit = brim.lmer("y ~ x + ar1(0 + f | g)", ROWS)
    table = brim.mixedup.extract_vc(fit, ci_level=0)
    assert table["sd"].to_numpy() == pytest.approx([*[fit.VarCorr().terms[0].sd[0]] * K, fit.sigma])
    limits = brim.mixedup.extract_vc(brim.lmer("y ~ x + ar1(0 + f | g)", ROWS.iloc[:120]))
    assert limits["sd_2.5"].iloc[:K].nunique() == 1


def test_the_bayesian_fit_starts_at_the_estimates():
    fit = brim.lmer("y ~ x + cs(0 + f | g)", ROWS)
    bayes = fit.to_bayes(chains=1, iter=20, warmup=10, seed=1, progress=False)
    assert 'gr(g, cov = "cs")' in str(bayes.formula)
    assert bayes.as_draws_df()["sigma"].iloc[0] == pytest.approx(fit.sigma, rel=0.3)
