"""mixedup 0.4.0's tables on fits of lme4 and brms (posterior draws of tests/reference/post)."""

import numpy as np
import pytest

import brim
import references
from references import reference

TABLES = reference("mixedup")
CALLS = {
    "extract_random_effects": {},
    "extract_random_effects_90": {"ci_level": 0.9},
    "extract_random_effects_90_N": {"ci_level": 0.9, "add_group_N": True},
    "extract_random_effects_digits3": {"digits": 3},
    "extract_vc": {},
    "extract_vc_var": {"ci_scale": "var"},
    "extract_fixed_effects": {},
    "extract_fixed_effects_90": {"ci_level": 0.9},
    "extract_fixed_effects_KR": {"p_value": "KR"},
    "extract_fixed_effects_exp": {"exponentiate": True},
    "extract_random_coefs": {},
    "find_typical": {},
    "find_typical_probs": {"probs": [0.25, 0.5, 0.75]},
}
#: lme4's Laplace fit of cbpp is rougher than brim's, and mixedup took its effects after lme4 had lost them.
TOLERANCE = {"cbpp": 1.5e-2}
LOST = {"extract_random_coefs", "find_typical", "find_typical_probs"}


@pytest.fixture(scope="module")
def fits():
    out = {
        "sleep": brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy")),
        "gpa": brim.lmer("gpa ~ occasion + (1 | student)", brim.load_data("gpa")),
        "cbpp": brim.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp")),
    }
    for name in ("sleep_slopes", "poisson"):
        spec = reference(f"post/{name}")["spec"]
        empty = brim.brm(references.formula(spec), references.data(spec["data"]), references.family(spec["family"]), empty=True)
        out[f"brms_{name}"] = empty.with_draws(references.draws(reference(f"post/{name}")), chains=4)
    return out


@pytest.mark.parametrize("name", ["sleep", "gpa", "cbpp", "brms_sleep_slopes", "brms_poisson"])
def test_tables_are_mixedups(fits, name):
    for key, options in CALLS.items():
        if key not in TABLES[name] or (name == "cbpp" and key in LOST):
            continue
        want = {k: v for k, v in TABLES[name][key].items() if k != "_row"}
        function = max((f for f in brim.mixedup.__all__ if key.startswith(f)), key=len)
        mine = getattr(brim.mixedup, function)(fits[name], **options)
        assert list(mine.columns) == list(want), key
        if key == "find_typical_probs":  # half of an even number of levels lies between two of them: R's rounding chooses
            kept = [i for i, p in enumerate(want["probs"]) if p != "50%"]
            want = {k: [v[i] for i in kept] for k, v in want.items()}
            mine = mine.iloc[kept]
        for column, values in want.items():
            values = np.atleast_1d(np.array(values, object))
            got = mine[column].to_numpy(object)[: len(values)]
            if isinstance(values[0], str):
                assert [g if g == g else None for g in got] == list(values), (key, column)
                continue
            scale = np.nanmax(np.abs(values.astype(float)))
            if column == "p_value":
                scale = 1.0
            rounded = 5e-3 if key == "extract_random_coefs" else 1.1e-3 if "digits3" in key else 1e-9
            assert got.astype(float) == pytest.approx(
                values.astype(float), rel=TOLERANCE.get(name, 1e-4), abs=max(rounded, TOLERANCE.get(name, 2e-5) * scale), nan_ok=True
            ), (key, column)


def test_correlations_and_no_intervals(fits):
    table = brim.mixedup.extract_vc(fits["sleep"], ci_level=0, show_cor=True)
    assert list(table["Variance Components"].columns) == ["group", "effect", "variance", "sd", "var_prop"]
    assert table["Cor"]["Subject"].loc["Intercept", "Days"] == pytest.approx(0.0655512382, rel=1e-4)


def test_the_summary_prints_mixedups_tables(fits):
    for name in ("gpa", "brms_sleep_slopes", "brms_poisson"):
        lines = str(brim.mixedup.summarize_model(fits[name])).splitlines()
        assert [line for line in lines if line.startswith(" ")] == TABLES[name]["summarize_model_text"]


def test_residuals_that_are_independent_and_constant(fits):
    for function in (brim.mixedup.extract_het_var, brim.mixedup.extract_cor_structure):
        for name in ("sleep", "brms_sleep_slopes"):
            with pytest.raises(brim.BrimError, match=r"constant|independent"):
                function(fits[name])


def test_estimates_side_by_side(fits):
    table = brim.compare_estimates(fits["sleep"], fits["brms_sleep_slopes"]).table
    assert list(dict.fromkeys(table.columns.get_level_values(0))) == ["lmer", "brm"]
    assert table.loc["Days", ("lmer", "estimate")] == pytest.approx(10.46728596)
    assert table.loc["Days", ("brm", "estimate")] == pytest.approx(10.4013123)
    assert table.loc["sigma", ("lmer", "upper")] == pytest.approx(28.85799651, rel=1e-5)
    assert table.loc["cor(Subject: Intercept, Days)", ("brm", "estimate")] == pytest.approx(0.0403088602)


def test_the_bayesian_fit_of_the_same_formula(fits):
    assert fits["cbpp"].to_bayes(empty=True).nobs() == 56
    bayes = fits["sleep"].to_bayes(algorithm="map", progress=False)
    assert bayes.fixef()["Estimate"].to_numpy() == pytest.approx([251.4, 10.47], rel=5e-3)
    counts = brim.glmer("ysucc / ntr ~ x + (1 | g)", references.data("sim"), weights="ntr")
    assert "trials(.trials)" in str(counts.to_bayes(empty=True).formula)


def test_weights_of_a_linear_model_are_precisions():
    """``sigma^2 / w``: with flat priors the mode is lmer's maximum likelihood, which likelihood weights would miss."""
    sim = references.data("sim")
    fit = brim.lmer("y ~ x + (1 | g)", sim, weights="w", REML=False, offset=0.1 * sim["z"])
    flat = brim.prior("", class_="Intercept") + brim.prior("", class_="sd") + brim.prior("", class_="Intercept", dpar="sigma")
    mode = fit.to_bayes(flat, algorithm="map", progress=False).as_draws_df().iloc[0]
    found = [mode["b_Intercept"], mode["b_x"], np.exp(mode["b_sigma_Intercept"]), mode["sd_g__Intercept"]]
    assert found == pytest.approx([*fit.beta, fit.sigma, fit.VarCorr()["g"]["sd"]["Estimate"].iloc[0]], rel=1e-5)


def test_normal_draws_have_their_moments():
    cov = np.array([[0.25, 0.02], [0.02, 0.01]])
    draws = brim.rmvnorm(40_000, [1.0, -1.0], cov, seed=2)
    assert draws.shape == (40_000, 2)
    assert draws.mean(axis=0) == pytest.approx([1.0, -1.0], abs=4 * 0.5 / 200)
    assert np.cov(draws.T) == pytest.approx(cov, abs=4 * 0.25 * np.sqrt(2) / 200)
    same = brim.rmvnorm(3, sigma=[[1.0, 1.0], [1.0, 1.0]], seed=1)
    assert same[:, 0] == pytest.approx(same[:, 1])
    with pytest.raises(brim.BrimError, match="not positive semidefinite"):
        brim.rmvnorm(2, sigma=[[1.0, 2.0], [2.0, 1.0]])


def test_a_stan_fit_has_rstanarms_statistics():
    """Medians and MAD_SD of coefficients, means of variances."""
    fit = brim.rstanarm.stan_lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"), iter=200, chains=1, seed=1)
    draws = fit.stan_draws()
    table = brim.mixedup.extract_vc(fit)
    assert table["variance"].iloc[1] == pytest.approx(np.mean(draws["Sigma[Subject:Days,Days]"]), rel=1e-6)
    assert table["sd_2.5"].iloc[1] == pytest.approx(np.sqrt(np.quantile(draws["Sigma[Subject:Days,Days]"], 0.025)), rel=1e-2)
    fixed = brim.mixedup.extract_fixed_effects(fit)
    assert fixed["value"].iloc[1] == pytest.approx(np.median(draws["Days"]))
    effects = brim.mixedup.extract_random_effects(fit)
    assert effects["value"].iloc[0] == pytest.approx(np.median(draws["b[(Intercept) Subject:308]"]), rel=1e-6)
    assert effects["upper_97.5"].iloc[0] - effects["value"].iloc[0] == pytest.approx(1.959963985 * effects["se"].iloc[0])
