"""``brm`` and ``update``: seeds, files, sampled posteriors against closed forms."""

import numpy as np
import pytest
from scipy import stats

import brim
from brim import prior
from brim.infer.diagnostics import ess_bulk, rhat
from references import data

pytestmark = pytest.mark.default_precision

GPA = brim.load_data("gpa")
SHORT = {"chains": 2, "iter": 300, "progress": False}


def test_the_main_job():
    """4 chains, 1000 + 1000: posterior means within 4 Monte Carlo errors of a long run by brms, R-hat below 1.01."""
    fit = brim.brm(
        "gpa ~ occasion + (1 + occasion | student)", data=GPA, prior=prior("normal(0, 1)", class_="b"), cores=2, seed=1, progress=False
    )
    expected = {
        "sd_student__Intercept": (0.214, 5e-4),
        "sd_student__occasion": (0.0676, 5e-5),
        "cor_student__Intercept__occasion": (-0.08, 5e-3),
        "b_Intercept": (2.599, 5e-4),
        "b_occasion": (0.1063, 5e-5),
        "sigma": (0.2064, 5e-5),
    }
    for name, (mean, rounding) in expected.items():
        draws = fit.draws[name]
        error = draws.std() / np.sqrt(ess_bulk(draws))
        assert abs(draws.mean() - mean) < 4 * error + rounding, name
        assert rhat(draws) < 1.01, name
    assert fit.stats["diverging"].sum() == 0


def test_a_linear_model_has_its_closed_form():
    """Flat priors on a regression with known sigma: the posterior is normal with the least squares estimate and its covariance."""
    sim = data("sim")
    fit = brim.brm(
        brim.bf("y ~ x + z", sigma=0.8), data=sim, prior=prior("", class_="Intercept"), chains=4, iter=1500, seed=2, progress=False
    )
    x = np.column_stack([np.ones(len(sim)), sim.x, sim.z])
    cov = 0.64 * np.linalg.inv(x.T @ x)
    mean = np.linalg.solve(x.T @ x, x.T @ sim.y)
    for i, name in enumerate(("b_Intercept", "b_x", "b_z")):
        draws = fit.draws[name]
        n = ess_bulk(draws)
        assert abs(draws.mean() - mean[i]) < 4 * np.sqrt(cov[i, i] / n)
        assert draws.std() == pytest.approx(np.sqrt(cov[i, i]), rel=4 / np.sqrt(2 * n))


def test_counts_with_a_conjugate_prior():
    """An intercept-only Poisson with the identity link and a gamma prior: the posterior is a gamma."""
    sim = data("sim")
    total, n = sim.ycount.sum(), len(sim)
    given = prior("gamma(2, 1)", coef="Intercept") + prior("", lb=0)
    fit = brim.brm(
        "ycount ~ 0 + Intercept", data=sim, family=brim.poisson("identity"), prior=given, chains=4, iter=1500, seed=3, progress=False
    )
    law = stats.gamma(2 + total, scale=1 / (1 + n))
    draws = fit.draws["b_Intercept"]
    ess = ess_bulk(draws)
    assert abs(draws.mean() - law.mean()) < 4 * law.std() / np.sqrt(ess)
    assert draws.std() == pytest.approx(law.std(), rel=4 / np.sqrt(2 * ess))


def test_same_seed_same_draws_whatever_the_cores():
    one, two, three = (
        brim.brm("gpa ~ occasion + (1 | student)", data=GPA, seed=seed, cores=cores, **SHORT) for seed, cores in ((1, 1), (1, 2), (2, 2))
    )
    np.testing.assert_array_equal(one.draws.matrix(), two.draws.matrix())
    assert not np.array_equal(one.draws.matrix(), three.draws.matrix())


def test_update_changes_what_it_is_told():
    fit = brim.brm("gpa ~ occasion", data=GPA, seed=1, **SHORT)
    again = fit.update(progress=False)
    np.testing.assert_array_equal(again.draws.matrix(), fit.draws.matrix())
    half = fit.update(newdata=GPA.iloc[:600], iter=200, progress=False)
    assert half.nobs() == 600
    assert half.settings.warmup == 100
    wider = fit.update("gpa ~ occasion + sex", progress=False)
    assert list(wider.fixef().index) == ["Intercept", "occasion", "sexfemale"]
    with pytest.raises(brim.BrimError, match="did you mean 'iter'"):
        fit.update(itr=10)


def test_a_second_fit_of_the_same_shape_compiles_nothing():
    first = brim.brm("gpa ~ occasion", data=GPA, seed=1, **SHORT)
    second = first.update(newdata=GPA.assign(gpa=GPA.gpa * 2), progress=False)
    assert second.info["compile_seconds"] == 0


def test_a_file_stands_for_sampling(tmp_path):
    path = tmp_path / "fit"
    fit = brim.brm("gpa ~ occasion", data=GPA, seed=1, file=path, **SHORT)
    assert (tmp_path / "fit.nc").exists()
    found = brim.brm("gpa ~ occasion", data=GPA, seed=2, file=path, **SHORT)
    np.testing.assert_array_equal(found.draws.matrix(), fit.draws.matrix())
    changed = brim.brm("gpa ~ occasion", data=GPA, seed=2, file=path, file_refit="on_change", **SHORT)
    assert not np.array_equal(changed.draws.matrix(), fit.draws.matrix())


def test_thinning_keeps_every_nth():
    fit = brim.brm("gpa ~ occasion", data=GPA, seed=1, thin=3, **SHORT)
    whole = brim.brm("gpa ~ occasion", data=GPA, seed=1, **SHORT)
    assert fit.draws.draws == 50
    np.testing.assert_array_equal(fit.draws["b_occasion"], whole.draws["b_occasion"][:, ::3])


def test_idata_has_named_dims():
    fit = brim.brm("gpa ~ occasion + (1 + occasion | student)", data=GPA, seed=1, **SHORT)
    post = fit.idata.posterior
    assert post["r_student"].dims[:2] == ("chain", "draw")
    effect = post["r_student"].sel(student="3").isel({post["r_student"].dims[2]: 1})
    np.testing.assert_array_equal(effect, fit.draws["r_student[3,occasion]"])


def test_draws_as_a_data_frame():
    fit = brim.brm("gpa ~ occasion", data=GPA, seed=1, **SHORT)
    frame = fit.as_draws_df()
    assert list(frame.columns) == ["b_Intercept", "b_occasion", "sigma", "lprior", "lp__", ".chain", ".iteration", ".draw"]
    back = fit.with_draws(frame, chains=2)
    np.testing.assert_array_equal(back.draws["sigma"], fit.draws["sigma"])
    np.testing.assert_allclose(back.log_prior(), frame["lprior"], rtol=1e-10)


def test_update_with_a_dot_keeps_what_was():
    """R's update(): the dot is the old side."""
    fit = brim.brm(brim.bf("gpa ~ occasion + sex + (1 | student)", "sigma ~ occasion"), data=GPA, empty=True)
    made = {text: fit.update(text, empty=True) for text in ("~ . - sex", ". ~ . + I(occasion^2)", "log(.) ~ .")}
    assert made["~ . - sex"].variables()[:4] == ["b_Intercept", "b_sigma_Intercept", "b_occasion", "b_sigma_occasion"]
    assert "b_IoccasionE2" in made[". ~ . + I(occasion^2)"].variables()
    assert "r_student[1,Intercept]" in made[". ~ . + I(occasion^2)"].variables()
    assert str(made["log(.) ~ ."].formula).startswith("log(gpa) ~")
