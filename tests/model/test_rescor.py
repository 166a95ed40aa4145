"""The joint law of correlated responses, against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, set_rescor
from references import data, model

SIM = data("sim")


def rows(family):
    """The joint log density of every row at fixed parameters, with what it was made of."""
    fit = brim.brm(bf("y ~ x") + bf("y2 ~ z") + set_rescor(True), data=SIM, family=family, empty=True)
    model, inputs = fit.model, fit.model.data(fit.frame)
    q = np.linspace(-0.5, 0.5, model.layout.dim)
    params, _ = model.layout.constrain(q, inputs["fixed"])
    full = model.transform(params, inputs["design"])
    dpars, seen = model.all_dpars(full, inputs["design"])
    got = model.joint.log_lik([SIM.y.to_numpy(), SIM.y2.to_numpy()], dpars, seen, full)
    mu = np.stack([d["mu"].value for d in dpars], axis=-1)
    scale = np.array([float(d["sigma"].value) for d in dpars])
    cov = np.outer(scale, scale) * np.array([[1.0, float(full["rescor"][0])], [float(full["rescor"][0]), 1.0]])
    return np.asarray(got), SIM[["y", "y2"]].to_numpy() - mu, cov, full


def test_gaussian_rows_are_multivariate_normal():
    got, errors, cov, _ = rows("gaussian")
    np.testing.assert_allclose(got, stats.multivariate_normal(cov=cov).logpdf(errors), rtol=1e-10)


def test_student_rows_are_multivariate_t():
    got, errors, cov, full = rows("student")
    np.testing.assert_allclose(got, stats.multivariate_t(shape=cov, df=float(full["nu"])).logpdf(errors), rtol=1e-10)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (bf("y ~ x") + bf("ycount ~ z", family="poisson") + set_rescor(True), "all responses gaussian or all student"),
        (bf("y | cens(w > 9) ~ x") + bf("y2 ~ z") + set_rescor(True), "cens() of 'y'"),
    ],
)
def test_responses_without_a_joint_law(formula, said):
    with pytest.raises(brim.BrimError) as caught:
        brim.brm(formula, data=SIM, empty=True)
    assert said in str(caught.value)
    assert "set_rescor(False)" in str(caught.value)


def test_it_is_on_where_the_families_have_one():
    """brms' rule when set_rescor() is not given."""
    both = brim.brm(bf("y ~ x") + bf("y2 ~ z"), data=SIM, empty=True)
    mixed = brim.brm(bf("y ~ x") + bf("ycount ~ z", family="poisson"), data=SIM, empty=True)
    assert "rescor__y__y2" in both.variables()
    assert not any(v.startswith("rescor") for v in mixed.variables())


def test_sampling_recovers_the_correlation():
    rng = np.random.default_rng(3)
    errors = rng.multivariate_normal([0, 0], [[1.0, 0.7], [0.7, 1.0]], size=300)
    frame = pd.DataFrame({"a": 1 + errors[:, 0], "b": 2 + 2 * errors[:, 1]})
    fit = brim.brm(bf("a ~ 1") + bf("b ~ 1") + set_rescor(True), data=frame, chains=2, iter=800, seed=1, progress=False)
    observed = np.corrcoef(frame.a, frame.b)[0, 1]
    draws = fit.draws["rescor__a__b"]
    assert abs(draws.mean() - observed) < 0.03
    assert draws.std() == pytest.approx((1 - observed**2) / np.sqrt(300), rel=0.2)


def joint_law(fit, i):
    """Means (rows, responses) and covariance of a draw, from the reported variables."""
    mu, draw = fit.posterior_epred()[i], fit.draws.frame().iloc[i]
    sigma, rho = draw[["sigma_y", "sigma_y2"]].to_numpy(), draw["rescor__y__y2"]
    return mu, np.outer(sigma, sigma) * np.array([[1.0, rho], [rho, 1.0]])


def test_log_lik_without_resp_is_that_of_all_responses():
    _, fit = model("mv_rescor")
    got = fit.log_lik()
    for i in range(len(got)):
        mu, cov = joint_law(fit, i)
        np.testing.assert_allclose(got[i], stats.multivariate_normal(cov=cov).logpdf(SIM[["y", "y2"]].to_numpy() - mu), rtol=1e-9)
    new = SIM.iloc[[4, 7]]
    np.testing.assert_allclose(fit.log_lik(new), got[:, [4, 7]], rtol=1e-12)


def test_predictions_without_resp_are_correlated():
    """Covariance of standardised new values over 90 rows x 1000 draws of one point: within 5 errors of the residual correlation."""
    empty, one = model("mv_rescor")
    fit = empty.with_draws(pd.concat([one.draws.frame().iloc[[1]]] * 1000, ignore_index=True))
    mu, cov = joint_law(fit, 0)
    new = fit.posterior_predict(seed=1)
    assert new.shape == (1000, *mu.shape)
    assert np.array_equal(fit.posterior_predict(SIM, seed=1), new)
    z = (new - mu) / np.sqrt(cov.diagonal())
    rho, n = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]), z.size / 2
    np.testing.assert_allclose(z.std((0, 1)), 1.0, atol=5 / np.sqrt(2 * n))
    assert (z[..., 0] * z[..., 1]).mean() == pytest.approx(rho, abs=5 * np.sqrt((1 + rho**2) / n))


@pytest.mark.parametrize("family", ["gaussian", "student"])
def test_weights_multiply_the_joint_density(family):
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"y": rng.normal(size=12), "z": rng.normal(size=12), "x": rng.normal(size=12), "w": rng.uniform(0.2, 2.0, 12)})
    plain = brim.brm(brim.mvbf("y ~ x", "z ~ x", rescor=True), d, family, empty=True)
    weighted = brim.brm(brim.mvbf("y | weights(w) ~ x", "z | weights(w) ~ x", rescor=True), d, family, empty=True)
    names = [n for n in plain.variables() if n not in ("lprior", "lp__")]
    draws = pd.DataFrame([[0.3 if n != "nu" else 5.0 for n in names]], columns=names)
    np.testing.assert_allclose(weighted.with_draws(draws).log_lik(), plain.with_draws(draws).log_lik() * d.w.to_numpy(), rtol=1e-12)
    # brms: all responses should use the same weights if rescor is estimated
    for other in ("z ~ x", "z | weights(w + 1) ~ x"):
        with pytest.raises(brim.BrimError, match="have the same weights"):
            brim.brm(brim.mvbf("y | weights(w) ~ x", other, rescor=True), d, family, empty=True)
