"""Arguments of the formula language are read, or refused: none is accepted and forgotten."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, lf, prior
from brim.errors import BrimError

pytestmark = pytest.mark.default_precision
RNG = np.random.default_rng(3)
D = pd.DataFrame({"x": RNG.normal(2, 1, 40), "f": list("abcd") * 10, "g": np.repeat(list("abcdefgh"), 5), "h": list("uvwxy") * 8})
D = D.assign(z=D.x + 0.1 * RNG.normal(size=40), y=RNG.normal(size=40), o=np.tile([1, 2, 3, 2], 10), q=RNG.uniform(0.3, 1, 40))


def drawn(fit, values, n=3, fill=0.1):
    rng = np.random.default_rng(1)
    return fit.with_draws(pd.DataFrame({v: values.get(v, fill) + 0.1 * rng.uniform(size=n) for v in fit.variables()}))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("y ~ x + (1 | A | g)", "sigma ~ (1 | A | g)"), ('y ~ x + (1 | gr(g, id = "A"))', "sigma ~ (1 | gr(g, id = A))")),
        (("y ~ x + (1 | A | g)", "sigma ~ (1 | A | g)"), ("y ~ x + (1 | A | g)", 'sigma ~ (1 | gr(g, id = "A"))')),
        (("y ~ (x | B | mm(g, h))", "sigma ~ (1 | B | mm(g, h))"), ('y ~ (x | mm(g, h, id = "B"))', 'sigma ~ (1 | mm(g, h, id = "B"))')),
    ],
)
def test_id_of_a_grouping_correlates_as_the_id_between_bars(one, two):
    names = [brim.brm(bf(*f), D, empty=True).variables() for f in (one, two)]
    assert names[0] == names[1]
    assert any(v.startswith("cor_") for v in names[0])


def test_two_ids_of_a_term_must_agree():
    with pytest.raises(BrimError, match="two IDs"):
        brim.brm('y ~ (1 | A | gr(g, id = "B"))', D, empty=True)


def test_id_across_responses_is_one_block():
    d = D.assign(w=RNG.normal(size=40))
    fit = brim.brm(bf('y ~ (1 | gr(g, id = "i"))') + bf('w ~ (1 | gr(g, id = "i"))') + brim.set_rescor(False), d, empty=True)
    assert "cor_g__y_Intercept__w_Intercept" in fit.variables()


@pytest.mark.parametrize("center", [True, False])
def test_without_cell_mean_coding_factors_keep_their_contrasts(center):
    """R: model.matrix(y ~ f)[, -1]; the default without intercept is model.matrix(y ~ 0 + f)."""
    fit = drawn(brim.brm(bf("y ~ 0 + f + x", "sigma ~ x", cmc=False, center=center), D, empty=True), {})
    assert [v for v in fit.variables() if v.startswith("b_") and "sigma" not in v] == ["b_fb", "b_fc", "b_fd", "b_x"]
    b = fit.as_draws_df(["b_fb", "b_fc", "b_fd", "b_x"]).iloc[:, :4].to_numpy()
    x = np.column_stack([*(D.f == v for v in "bcd"), D.x]).astype(float)
    np.testing.assert_allclose(fit.posterior_linpred(), b @ x.T)
    np.testing.assert_allclose(fit.posterior_linpred(D.iloc[:3]), (b @ x.T)[:, :3])
    assert "b_sigma_fa" in brim.brm(bf("y ~ x") + lf("sigma ~ 0 + f"), D, empty=True).variables()
    assert "b_sigma_fa" not in brim.brm(bf("y ~ x") + lf("sigma ~ 0 + f", cmc=False), D, empty=True).variables()


@pytest.mark.parametrize(("center", "family"), [(True, "gaussian"), (False, "gaussian"), (True, "cumulative")])
def test_qr_decomposition_puts_the_priors_on_orthogonal_columns(center, family):
    """``X = Q R``, ``bQ = R b / sqrt(n - 1)`` (Stan: qr_thin_R(X) / sqrt(N - 1)): priors hold for ``bQ``, predictions for ``b``."""
    response = "o" if family == "cumulative" else "y"
    given = prior("normal(0, 2)", class_="b")
    fit = drawn(brim.brm(bf(f"{response} ~ x + z + f", decomp="QR", center=center), D, family, prior=given, empty=True), {})
    plain = drawn(brim.brm(bf(f"{response} ~ x + z + f", center=center), D, family, prior=given, empty=True), {})
    assert fit.variables() == plain.variables()
    np.testing.assert_allclose(fit.log_lik(), plain.log_lik())
    np.testing.assert_allclose(fit.posterior_epred(D.iloc[:4]), plain.posterior_epred(D.iloc[:4]))
    names = ["b_x", "b_z", "b_fb", "b_fc", "b_fd"]
    x = np.column_stack([D.x, D.z, *(D.f == v for v in "bcd")]).astype(float)
    if center:
        x = x - x.mean(0)
    else:
        x, names = np.column_stack([np.ones(40), x]), ["b_Intercept", *names]
    r = np.linalg.cholesky(x.T @ x).T / np.sqrt(39)
    b = fit.as_draws_df(names).iloc[:, : len(names)].to_numpy()
    wanted = stats.norm(0, 2).logpdf(b @ r.T).sum(1) - stats.norm(0, 2).logpdf(b).sum(1)
    np.testing.assert_allclose(fit.log_prior() - plain.log_prior(), wanted, rtol=1e-9)


def test_qr_samples_the_posterior_of_flat_priors():
    """Flat priors are flat on both scales: means of b within 4 standard errors of least squares."""
    fit = brim.brm(bf("y ~ x + z", decomp="QR"), D, chains=2, iter=600, seed=1, progress=False)
    x = np.column_stack([np.ones(40), D.x, D.z])
    b, sd = np.linalg.lstsq(x, D.y.to_numpy(), rcond=None)[0], np.sqrt(np.diag(np.linalg.inv(x.T @ x)))
    found = fit.fixef()
    assert (np.abs(found["Estimate"].to_numpy() - b) < 4 * sd / np.sqrt(150)).all()


def test_what_qr_cannot_do():
    with pytest.raises(BrimError, match="independent"):
        brim.brm(bf("y ~ x + w", decomp="QR"), D.assign(w=2 * D.x), empty=True)
    with pytest.raises(BrimError, match="bounds"):
        brim.brm(bf("y ~ x", decomp="QR"), D, prior=prior("normal(0, 1)", class_="b", lb=0), empty=True)
    with pytest.raises(BrimError, match="exclude"):
        brim.brm(bf("y ~ x", decomp="QR", sparse=True), D, empty=True)
    with pytest.raises(BrimError, match="nonlinear"):
        brim.brm(bf("y ~ a * x", "a ~ 1", nl=True, decomp="QR"), D, prior=prior("normal(0, 1)", nlpar="a"), empty=True)


def test_a_nonlinear_formula_has_nothing_to_centre():
    with pytest.raises(BrimError, match="center, cmc, sparse and decomp are of no use in a nonlinear formula"):
        brim.brm(bf("y ~ a * x", "a ~ 1", nl=True, center=True), D, prior=prior("normal(0, 1)", nlpar="a"), empty=True)


def test_dpar_of_further_formulas_is_a_parameter_that_has_one():
    nonlinear = bf("y ~ x") + brim.nlf("sigma ~ a * x", dpar="sigma") + lf("a ~ 1", dpar="sigma")
    assert "b_a_Intercept" in brim.brm(nonlinear, D, prior=prior("normal(0, 1)", nlpar="a"), empty=True).variables()
    for wrong in (lf("sigma ~ x", dpar="nu"), brim.nlf("sigma ~ x", dpar="sigm")):
        with pytest.raises(BrimError, match=r"dpar = '\w+' has no formula"):
            bf("y ~ x") + wrong


def test_sparse_matrices_are_not_centred():
    """brms: no centring with sparse = TRUE, so that the intercept is a coefficient of class b."""
    sparse, uncentred = (brim.brm(bf("y ~ x", **{k: v}), D, empty=True) for k, v in (("sparse", True), ("center", False)))
    assert sparse.prior_summary().equals(uncentred.prior_summary())
    assert not sparse.prior_summary().equals(brim.brm("y ~ x", D, empty=True).prior_summary())


def test_a_component_can_have_the_mean_of_another():
    """``mu2 = "mu1"``: one predictor for both; a number holds it fixed. The density is the mixture's."""
    two = brim.mixture(brim.families.gaussian(), nmix=2)
    fit = drawn(brim.brm(bf("y ~ x", mu2="mu1"), D, two, empty=True), {"sigma1": 0.5, "sigma2": 2.0, "theta1": 0.3, "theta2": 0.0}, n=1)
    v = fit.as_draws_df().iloc[0]
    assert [n for n in fit.variables() if n.startswith("b_")] == ["b_mu1_Intercept", "b_mu1_x"]
    mu = (v["b_mu1_Intercept"] + v["b_mu1_x"] * D.x).to_numpy()
    share = np.array([v["theta1"], v["theta2"]]) / (v["theta1"] + v["theta2"])
    wanted = np.log(share[0] * stats.norm(mu, v["sigma1"]).pdf(D.y) + share[1] * stats.norm(mu, v["sigma2"]).pdf(D.y))
    np.testing.assert_allclose(fit.log_lik()[0], wanted)
    np.testing.assert_allclose(fit.posterior_epred()[0], mu)
    fixed = drawn(brim.brm(bf("y ~ x", mu2=1.5), D, two, empty=True), {}, n=1)
    assert "mu2" in fixed.variables()
    row = fixed.as_draws_df().iloc[0]
    mean = row["theta1"] * (row["b_mu1_Intercept"] + row["b_mu1_x"] * D.x) + row["theta2"] * row["mu2"]
    np.testing.assert_allclose(fixed.posterior_epred()[0], mean / (row["theta1"] + row["theta2"]))
    assert not [n for n in fixed.variables() if n.startswith("b_mu2")]


def test_a_mean_that_is_not_to_be_predicted_is_refused():
    for wrong in ({"mu": 0}, {"mu1": 0, "mu2": 1}):
        family = "gaussian" if "mu" in wrong else brim.mixture(brim.families.gaussian(), nmix=2)
        with pytest.raises(BrimError, match="nothing is left to predict"):
            brim.brm(bf("y ~ x", **wrong), D, family, empty=True)


@pytest.mark.parametrize(
    ("formula", "family", "said"),
    [
        ("q ~ x", "wiener", "needs the decision"),
        ("y ~ gp(x, c = 2)", "gaussian", "c belongs to a basis"),
        ('y ~ s(g, bs = "re", fx = TRUE)', "gaussian", "fx has no meaning"),
        ('y ~ s(g, bs = "re", m = 2)', "gaussian", "m has no meaning"),
        ('y ~ s(x, f, bs = "fs", k = 4, fx = TRUE)', "gaussian", "fx has no meaning"),
    ],
)
def test_arguments_that_nothing_would_read_are_refused(formula, family, said):
    with pytest.raises(BrimError, match=said):
        brim.brm(formula, D, family, empty=True)
