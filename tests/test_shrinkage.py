"""Priors of all coefficients together, against the densities written out."""

import numpy as np
import pytest
from scipy import stats

import brim
from brim import bf, prior
from brim.testing import check_model
from references import data

SIM = data("sim")


def evaluated(text, formula="y ~ x + z + f3", family="gaussian", **kwargs):
    """A model under that prior, its parameters at a point, all that follows from them, and its data."""
    fit = brim.brm(formula, data=SIM, family=family, prior=prior(text, **kwargs), empty=True)
    inputs = fit.model.data(fit.frame)
    params, _ = fit.model.layout.constrain(np.linspace(-0.6, 0.8, fit.model.layout.dim), inputs["fixed"])
    full = {k: np.asarray(v) for k, v in fit.model.transform(params, inputs["design"]).items()}
    lprior = float(fit.model.log_prior(full, inputs["design"], inputs["prior"]))
    internal = float(fit.model.log_internal(full, inputs["design"], inputs["prior"]))
    return fit, full, lprior, internal


def half_t(df, scale, x):
    return stats.t(df, 0, scale).logpdf(x) + np.log(2)


def others(p):
    """The rows that any gaussian model of these data has: brms::get_prior(y ~ x, sim)."""
    return stats.t(3, 0.5, 2.5).logpdf(p["Intercept"]) + half_t(3, 2.5, p["sigma"])


def test_horseshoe():
    _, p, lprior, internal = evaluated("horseshoe(3, scale_global = 0.5, df_global = 2, scale_slab = 3, df_slab = 5)")
    c2 = 9.0 * p["hs_slab"]
    shrunk = np.sqrt(c2 * p["hs_local"] ** 2 / (c2 + p["hs_global"] ** 2 * p["hs_local"] ** 2))
    np.testing.assert_allclose(p["b"], p["zb"] * shrunk * p["hs_global"], rtol=1e-12)
    slab = stats.invgamma(2.5, scale=2.5).logpdf(p["hs_slab"])
    assert lprior == pytest.approx(others(p) + half_t(2, 0.5 * p["sigma"], p["hs_global"]) + slab, rel=1e-10)
    assert internal == pytest.approx(stats.norm.logpdf(p["zb"]).sum() + half_t(3, 1, p["hs_local"]).sum(), rel=1e-10)


def test_par_ratio_sets_the_global_scale():
    """brms::make_standata(y ~ x + z + f3, sim, prior = set_prior("horseshoe(3, par_ratio = 0.1)"))$hs_scale_global: 0.01054093"""
    fit, *_ = evaluated("horseshoe(3, par_ratio = 0.1)")
    (term,) = [t for t in fit.model.shared if t.key == "shrinkage"]
    assert term.args[1] == pytest.approx(0.01054093, rel=1e-6)


def test_r2d2():
    _, p, lprior, internal = evaluated("R2D2(0.6, 8, cons_D2 = 0.7)")
    tau2 = p["sigma"] ** 2 * p["R2D2_R2"] / (1 - p["R2D2_R2"])
    np.testing.assert_allclose(p["b"], p["zb"] * np.sqrt(p["R2D2_phi"] * tau2), rtol=1e-12)
    assert lprior == pytest.approx(others(p) + stats.beta(4.8, 3.2).logpdf(p["R2D2_R2"]), rel=1e-10)
    phi = stats.dirichlet(np.full(4, 0.7)).logpdf(p["R2D2_phi"])
    assert internal == pytest.approx(stats.norm.logpdf(p["zb"]).sum() + phi, rel=1e-10)


def test_lasso():
    _, p, lprior, internal = evaluated("lasso(2, 1.5)")
    assert lprior == pytest.approx(others(p) + stats.chi2(2).logpdf(p["lasso_inv_lambda"]), rel=1e-10)
    assert internal == pytest.approx(stats.laplace(0, 1.5 * p["lasso_inv_lambda"]).logpdf(p["b"]).sum(), rel=1e-10)


def test_without_a_residual_scale():
    """A poisson model, and the predictor of sigma, have no scale for the prior to refer to."""
    _, p, lprior, _ = evaluated("R2D2(0.5)", "ycount ~ x + z", "poisson")
    np.testing.assert_allclose(p["b"], p["zb"] * np.sqrt(p["R2D2_phi"] * p["R2D2_R2"] / (1 - p["R2D2_R2"])), rtol=1e-12)
    assert lprior == pytest.approx(stats.t(3, 0, 2.5).logpdf(p["Intercept"]) + stats.beta(1, 1).logpdf(p["R2D2_R2"]), rel=1e-10)
    fit, *_ = evaluated("horseshoe(1)", bf("y ~ x", "sigma ~ z + x"), dpar="sigma")
    assert "R2D2_phi[1]" not in fit.variables()


@pytest.mark.parametrize("main", ["", ", main = TRUE"])
def test_autoscale_leaves_the_residual_scale_out(main):
    """The scales are then in units of the response; of one class of parameters ``main`` says nothing."""
    _, p, lprior, _ = evaluated(f"horseshoe(3, scale_global = 0.5, autoscale = FALSE{main})")
    slab = stats.invgamma(2, scale=2).logpdf(p["hs_slab"])
    assert lprior == pytest.approx(others(p) + half_t(1, 0.5, p["hs_global"]) + slab, rel=1e-10)
    _, p, *_ = evaluated(f"R2D2(0.6, 8, autoscale = FALSE{main})")
    np.testing.assert_allclose(p["b"], p["zb"] * np.sqrt(p["R2D2_phi"] * p["R2D2_R2"] / (1 - p["R2D2_R2"])), rtol=1e-12)


@pytest.mark.parametrize("text", ["horseshoe(1)", "R2D2()", "lasso()"])
def test_protocol(text):
    fit, *_ = evaluated(text)
    names = [v for v in fit.variables() if not v.startswith(("b_", "sigma", "l"))]
    assert names == {"horseshoe(1)": [], "R2D2()": [*(f"R2D2_phi[{i}]" for i in range(1, 5)), "R2D2_R2"], "lasso()": []}[text]
    if text != "horseshoe(1)":
        check_model(fit.model, fit.frame, fit.frame.take(np.arange(60)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: prior("horseshoe(1)") + prior("normal(0, 1)", coef="x"), "covers all coefficients"),
        (lambda: prior("horseshoe(1)", lb=0), "bounds"),
        (lambda: prior("horseshoe(1)", class_="sigma"), "class b"),
        (lambda: prior("horseshoe(dff = 1)"), "did you mean 'df'"),
        (lambda: prior("R2D2(1.5)"), "out of range"),
    ],
)
def test_misuse(call, said):
    with pytest.raises(brim.BrimError) as caught:
        brim.brm("y ~ x + z", data=SIM, prior=call(), empty=True)
    assert said in str(caught.value)


def test_sampling_shrinks_noise_and_keeps_signal():
    rng = np.random.default_rng(1)
    frame = {f"v{i}": rng.normal(size=120) for i in range(8)}
    frame["y"] = 2.0 * frame["v0"] + rng.normal(size=120)
    formula = "y ~ " + " + ".join(f"v{i}" for i in range(8))
    fit = brim.brm(
        formula,
        data=frame,
        prior=prior("horseshoe(1, par_ratio = 0.15)"),
        chains=2,
        iter=1000,
        seed=1,
        progress=False,
        control={"adapt_delta": 0.95},
    )
    flat = brim.brm(formula, data=frame, chains=2, iter=1000, seed=1, progress=False)
    shrunk, plain = fit.fixef()["Estimate"], flat.fixef()["Estimate"]
    assert shrunk["v0"] == pytest.approx(2.0, abs=0.25)
    noise = [f"v{i}" for i in range(1, 8)]
    assert np.abs(shrunk[noise]).sum() < 0.6 * np.abs(plain[noise]).sum()
    assert fit.log_prior().shape == (1000,)
