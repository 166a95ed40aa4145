"""What is computed from a linear mixed model, against lme4, lmerTest and pbkrtest."""

import numpy as np
import pandas as pd
import pytest

import brim
from references import reference

MORE = reference("lme4_more")


def matrix(entry):
    """One of R's matrices."""
    return np.reshape(np.asarray(entry["values"], float), entry["dim"], order="F")


@pytest.fixture(scope="module")
def sleep():
    return brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))


@pytest.fixture(scope="module")
def gpa():
    return brim.lmer("gpa ~ occasion + (1 | student)", brim.load_data("gpa"))


@pytest.fixture(scope="module")
def small():
    return brim.lmer("gpa ~ occasion * sex + (1 | student)", brim.load_data("gpa").iloc[:120])


def test_profile_intervals(sleep, gpa):
    assert gpa.confint(oldNames=False).to_numpy() == pytest.approx(matrix(MORE["gpa_lmer"]["profile"]["value"]), rel=1e-6)
    assert sleep.confint().to_numpy() == pytest.approx(matrix(MORE["sleep"]["profile"]["value"]), rel=1e-4)
    assert sleep.confint(level=0.8).to_numpy() == pytest.approx(matrix(MORE["sleep"]["profile_80"]["value"]), rel=1e-4)
    named = sleep.confint(["sigma", "cor_Days.(Intercept)|Subject"], oldNames=False)
    assert named.loc["sigma"].to_numpy() == pytest.approx([22.89826688, 28.85799651], rel=1e-4)


def test_wald_and_bootstrap_intervals(gpa):
    assert gpa.confint("beta_", method="Wald").to_numpy() == pytest.approx(matrix(MORE["gpa_lmer"]["wald"]["value"])[2:], rel=1e-6)
    boot = gpa.confint(["occasion"], method="boot", nsim=60, seed=1).to_numpy()[0]
    se = gpa.fixef()["Std. Error"]["occasion"]
    assert boot == pytest.approx(gpa.fixef()["Estimate"]["occasion"] + np.array([-2, 2]) * se, abs=1.2 * se)


def test_likelihood_ratios_and_sums_of_squares(gpa):
    frame = brim.load_data("gpa")
    other = brim.lmer("gpa ~ occasion + sex + highgpa + (1 + occasion | student)", frame, REML=False)
    two = gpa.anova(other, names=("gpa_lmer", "gpa_ml1"))
    want = MORE["gpa_ml1"]["anova_refit"]["value"]["table"]
    for name in ("npar", "AIC", "BIC", "logLik", "deviance"):
        assert two[name].to_numpy() == pytest.approx(want[name], rel=1e-7)
    assert two["Pr(>Chisq)"].iloc[1] == pytest.approx(want["Pr(>Chisq)"][1], rel=1e-5)
    one, want = other.anova(), MORE["gpa_ml1"]["anova_one"]["value"]["table"]
    assert one["Sum Sq"].to_numpy() == pytest.approx(want["Sum Sq"], rel=1e-4)
    assert one["F value"].to_numpy() == pytest.approx(want["F value"], rel=1e-4)
    dropped, want = other.drop1(), MORE["gpa_ml1"]["drop1"]["value"]["table"]
    assert dropped["LRT"].to_numpy()[1:] == pytest.approx(want["LRT"][1:], rel=1e-5)
    assert dropped["Pr(Chi)"].to_numpy()[1:] == pytest.approx(want["Pr(Chi)"][1:], rel=1e-5)


def test_degrees_of_freedom(sleep, small):
    for fit, key in ((sleep, "df_sleep"), (small, "df_gpa_sub")):
        ref = MORE[key]
        assert fit.fixef("Satterthwaite").to_numpy() == pytest.approx(matrix(ref["satterthwaite"]), rel=1e-3)
        assert fit.fixef("Kenward-Roger").to_numpy()[:, :4] == pytest.approx(matrix(ref["kenward_roger"])[:, :4], rel=1e-5)
        tables = {"anova_satterthwaite": (3, "Satterthwaite"), "anova_kr": (3, "Kenward-Roger"), "anova_type1": (1, "Satterthwaite")}
        for table, (type_, ddf) in tables.items():
            mine = fit.anova(type=type_, ddf=ddf)
            for name in ("Sum Sq", "NumDF", "DenDF", "F value", "Pr(>F)"):
                assert mine[name].to_numpy() == pytest.approx(ref[table]["table"][name], rel=2e-4)
        want = ref["ranova"]["table"]
        assert fit.ranova()["LRT"].to_numpy()[1:] == pytest.approx(want["LRT"][1:], rel=1e-5)


def test_predictions(sleep, gpa):
    frame = brim.load_data("sleepstudy")
    rows = frame.iloc[[0, 1, 10, 29]]
    ref = MORE["sleep"]
    assert sleep.predict(rows, re_form=False) == pytest.approx(ref["predict_NA"]["value"]["values"], rel=1e-9)
    assert sleep.predict(rows, re_form="~ (0 + Days | Subject)") == pytest.approx(ref["predict_days_only"]["value"]["values"], rel=1e-6)
    new = pd.DataFrame({"Days": [0, 5, 9], "Subject": ["308", "new", "new"]})
    assert sleep.predict(new, allow_new_levels=True) == pytest.approx(ref["predict_new"]["value"]["values"], rel=1e-6)
    with pytest.raises(brim.BrimError, match="new levels detected in newdata: zzz"):
        gpa.predict(pd.DataFrame({"occasion": [0], "student": ["zzz"]}))
    with pytest.raises(brim.BrimError, match="no group term"):
        sleep.predict(rows, re_form="~ (1 | Other)")


def test_standard_errors_of_predictions_are_those_of_henderson(sleep):
    """``sqrt(C K^-1 C')`` with the mixed-model equations' matrix ``K``, dense."""
    frame = brim.load_data("sleepstudy")
    x = np.column_stack([np.ones(180), frame["Days"]])
    codes = np.unique(frame["Subject"].astype(str), return_inverse=True)[1]
    z = np.zeros((180, 18, 2))
    z[np.arange(180), codes] = x
    z = z.reshape(180, 36)
    low = np.array([[sleep.theta[0], 0.0], [sleep.theta[1], sleep.theta[2]]])
    k = np.block([[x.T @ x, x.T @ z], [z.T @ x, z.T @ z + np.kron(np.eye(18), np.linalg.inv(low @ low.T))]])
    c = np.hstack([x, z])
    want = sleep.sigma * np.sqrt(np.einsum("ij,jk,ik->i", c, np.linalg.inv(k), c))
    assert sleep.predict(se_fit=True)["se_fit"].to_numpy() == pytest.approx(want, rel=1e-8)


def test_influence_and_components(sleep):
    assert sleep.hatvalues()[:8] == pytest.approx(MORE["sleep"]["hat"]["value"]["values"], rel=1e-4)
    assert sleep.cooks_distance()[:8] == pytest.approx(MORE["sleep"]["cooks"]["value"]["values"], rel=1e-4)
    effects = sleep.profile.state(sleep.minimum.x).factorisation.selected().variances().sum()
    assert effects < sleep.hatvalues().sum() < effects + 2


def test_other_optimizers_agree(sleep):
    table = sleep.all_fit()
    assert (table["criterion"] > sleep.criterion - 1e-9).all()
    assert table.loc[["L-BFGS-B", "BFGS", "Nelder-Mead"], "criterion"].to_numpy() == pytest.approx(sleep.criterion, abs=1e-6)


def test_simulated_responses_have_the_models_moments(gpa):
    draws = gpa.simulate(400, seed=3)
    assert draws.shape == (400, 1200)
    spread = draws.var(axis=0).mean()
    assert spread == pytest.approx(gpa.sigma**2 + gpa.VarCorr()["sdcor"].iloc[0] ** 2, rel=0.02)
    assert draws.mean() == pytest.approx(gpa.predict(re_form=False).mean(), abs=4 * np.sqrt(0.0637 / 200 / 400))
    assert gpa.refit(draws[0]).nobs() == 1200
