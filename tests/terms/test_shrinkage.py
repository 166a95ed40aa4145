"""Priors of all coefficients together, against the densities written out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, prior
from brim.infer.diagnostics import ess_bulk
from brim.testing import check_model
from references import data

SIM = data("sim")
W = np.diag(np.ones(8), 1)
CAR = {"W": pd.DataFrame(W + W.T, index=[f"g{i + 1}" for i in range(9)])}


def evaluated(text, formula="y ~ x + z + f3", family="gaussian", **kwargs):
    """A model under that prior, its parameters at a point, all that follows from them, and its data."""
    return at_a_point(brim.brm(formula, data=SIM, family=family, prior=prior(text, **kwargs), empty=True))


def at_a_point(fit):
    inputs = fit.model.data(fit.frame)
    params, _ = fit.model.layout.constrain(np.linspace(-0.6, 0.8, fit.model.layout.dim), inputs["fixed"])
    full = {k: np.asarray(v) for k, v in fit.model.transform(params, inputs["design"]).items()}
    lprior = float(fit.model.log_prior(full, inputs["design"], inputs["prior"]))
    internal = float(fit.model.log_internal(full, inputs["design"], inputs["prior"]))
    return fit, full, lprior, internal


def over(text, *classes, main="b"):
    """One prior of several classes, whose arguments stand at ``main``."""
    law, arguments = text.rstrip(")").split("(")
    marked = f"{law}({arguments}{', ' if arguments else ''}main = TRUE)"
    return [prior(marked if c == main else f"{law}()", class_=c) for c in classes]


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


def test_known_errors_are_no_residual_scale():
    """``se()`` leaves no sigma: brms::make_stancode(y | se(se) ~ x) has none in the law of hs_global."""
    _, p, lprior, _ = evaluated("horseshoe(3, scale_global = 0.5)", "y | se(se) ~ x + z")
    slab = stats.invgamma(2, scale=2).logpdf(p["hs_slab"])
    assert lprior == pytest.approx(stats.t(3, 0.5, 2.5).logpdf(p["Intercept"]) + half_t(1, 0.5, p["hs_global"]) + slab, rel=1e-10)
    _, p, *_ = evaluated("R2D2(0.6, 8)", "y | se(se) ~ x + z")
    np.testing.assert_allclose(p["b"], p["zb"] * np.sqrt(p["R2D2_phi"] * p["R2D2_R2"] / (1 - p["R2D2_R2"])), rtol=1e-12)


def test_nonlinear_parameters_refer_to_the_residual_scale():
    """brms::make_stancode(bf(y ~ a * x, a ~ z, nl = TRUE)): student_t_lpdf(hs_global_a | hs_df_global_a, 0, hs_scale_global_a * sigma)."""
    _, p, lprior, _ = evaluated("horseshoe(3, scale_global = 0.5)", bf("y ~ a * x", "a ~ z", nl=True), nlpar="a")
    slab = stats.invgamma(2, scale=2).logpdf(p["hs_slab_a"])
    assert lprior == pytest.approx(half_t(3, 2.5, p["sigma"]) + half_t(1, 0.5 * p["sigma"], p["hs_global_a"]) + slab, rel=1e-10)


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


# --------------------------------------------------------------------------- several classes


MIXED = "y ~ x + z + s(z, k = 5) + (1 + x | g) + (1 | g2)"


def horseshoe_scales(p, slab=2.0):
    c2 = slab**2 * p["hs_slab"]
    return np.sqrt(c2 * p["hs_local"] ** 2 / (c2 + p["hs_global"] ** 2 * p["hs_local"] ** 2)) * p["hs_global"]


def check_arrays(p, scales, signed=("b", "bs_1"), plain=("sds_1", "sd_1", "sd_2")):
    """Coefficients are standardised ones times their scales, standard deviations are the scales that follow, in brms' order of classes."""
    coefs, sds = (np.concatenate([np.zeros(0), *(np.atleast_1d(p[k]) for k in keys)]) for keys in (signed, plain))
    assert len(coefs) + len(sds) == len(scales)
    np.testing.assert_allclose(coefs, p.get("zb", np.zeros(0)) * scales[: len(coefs)], rtol=1e-12)
    np.testing.assert_allclose(sds, scales[len(coefs) :], rtol=1e-12)


@pytest.mark.parametrize("main", ["b", "sd"])
def test_horseshoe_over_coefficients_smooths_and_groups(main):
    priors = over("horseshoe(3, scale_global = 0.5, df_global = 2, scale_slab = 3, df_slab = 5)", "sd", "b", "sds", main=main)
    _, p, lprior, internal = at_a_point(brim.brm(MIXED, data=SIM, prior=priors, empty=True))
    assert p["hs_local"].shape == (3 + 1 + 3,)  # x, z and the straight line of the smooth; its sd; three sds of groups
    check_arrays(p, horseshoe_scales(p, 3.0))
    np.testing.assert_allclose(p["r_2"], p["sd_2"][:, None] * p["z_2"], rtol=1e-12)
    globals_ = half_t(2, 0.5 * p["sigma"], p["hs_global"]) + stats.invgamma(2.5, scale=2.5).logpdf(p["hs_slab"])
    assert lprior == pytest.approx(others(p) + np.log(0.5) + globals_, rel=1e-10)  # lkj(1): a correlation is flat on (-1, 1)
    standard = sum(stats.norm.logpdf(p[k]).sum() for k in ("zb", "zs_1", "z_1", "z_2"))
    assert internal == pytest.approx(standard + half_t(3, 1, p["hs_local"]).sum(), rel=1e-10)


def test_r2d2_over_coefficients_smooths_and_groups():
    """R2D2M2: one simplex shares the explained variance out."""
    priors = over("R2D2(0.6, 8, cons_D2 = 0.7)", "b", "sds", "sd")
    fit, p, lprior, internal = at_a_point(brim.brm(MIXED, data=SIM, prior=priors, empty=True))
    tau2 = p["sigma"] ** 2 * p["R2D2_R2"] / (1 - p["R2D2_R2"])
    check_arrays(p, np.sqrt(p["R2D2_phi"] * tau2))
    assert lprior == pytest.approx(others(p) + np.log(0.5) + stats.beta(4.8, 3.2).logpdf(p["R2D2_R2"]), rel=1e-10)
    phi = stats.dirichlet(np.full(7, 0.7)).logpdf(p["R2D2_phi"])
    assert internal == pytest.approx(sum(stats.norm.logpdf(p[k]).sum() for k in ("zb", "zs_1", "z_1", "z_2")) + phi, rel=1e-10)
    names = fit.variables()
    assert {"R2D2_phi[7]", "sd_g__x", "sd_g2__Intercept", "sds_sz_1"} <= set(names)
    assert not {"R2D2_phi[8]", "hs_global"} & set(names)


@pytest.mark.parametrize(
    ("formula", "family", "classes", "signed", "plain"),
    [
        ("y ~ x + ar(t, person)", "gaussian", ("b", "ar"), ("b", "ar"), ()),
        ("y ~ x + arma(t, person, p = 2)", "gaussian", ("ar", "ma"), ("ar", "ma"), ()),
        ("y ~ x + gp(z, k = 4, c = 5/4)", "gaussian", ("b", "sdgp"), ("b",), ("sdgp:gpz",)),
        ("ycount ~ x + cosy(t, person)", "poisson", ("b", "sderr"), ("b",), ("sderr",)),
        ("ycount ~ x + car(W, gr = g)", "poisson", ("b", "sdcar"), ("b",), ("sdcar",)),
        ("ycount ~ x + car(W, gr = g, type = 'esicar') + (1 | g2)", "poisson", ("sdcar", "sd"), (), ("sdcar", "sd_1")),
        ("y ~ x + (1 | g)", "gaussian", ("sd",), (), ("sd_1",)),
    ],
)
def test_every_class(formula, family, classes, signed, plain):
    data2 = CAR if "car(" in formula else None
    fit = brim.brm(formula, data=SIM, family=family, prior=over("horseshoe(1)", *classes, main=classes[0]), data2=data2, empty=True)
    _, p, *_ = at_a_point(fit)
    check_arrays(p, horseshoe_scales(p), signed, plain)
    assert ("zb" in p) == bool(signed)
    check_model(fit.model, fit.frame, fit.frame.take(np.arange(60)))


def test_scales_of_autoregressive_coefficients_are_kept():
    fit = brim.brm("y ~ x + arma(t, person, p = 2)", data=SIM, prior=over("R2D2()", "ar", "ma", main="ar"), empty=True)
    assert [n for n in fit.variables() if n.startswith("sd")] == ["sdar[1]", "sdar[2]", "sdma[1]"]
    _, p, *_ = at_a_point(fit)
    np.testing.assert_allclose(np.concatenate([p["ar"], p["ma"]]), p["zb"] * np.concatenate([p["sdar"], p["sdma"]]), rtol=1e-12)


def test_each_predictor_has_its_own():
    """That of sigma has no residual scale to refer to, and keeps its own global scale."""
    formula = bf("y ~ x + (1 | g)", "sigma ~ z + (1 | g2)")
    both = prior("horseshoe(main = TRUE)", dpar="sigma") + prior("horseshoe()", class_="sd", dpar="sigma") + prior("horseshoe(2)")
    fit, p, *_ = at_a_point(brim.brm(formula, data=SIM, prior=both, empty=True))
    c2 = 4.0 * p["hs_slab_sigma"]
    local, tau = p["hs_local_sigma"], p["hs_global_sigma"]
    scales = tau * local * np.sqrt(c2 / (c2 + (tau * local) ** 2))
    np.testing.assert_allclose(p["b_sigma"], p["zb_sigma"] * scales[:1], rtol=1e-12)
    np.testing.assert_allclose(p["sd_2"], scales[1:], rtol=1e-12)
    assert p["hs_local"].shape == (1,)
    assert [q.name for q in fit.model.params if q.name.startswith("sd_")] == ["sd_1"]


def test_prior_table_of_several_classes():
    table = brim.brm(MIXED, data=SIM, prior=over("horseshoe(3)", "b", "sds", "sd"), empty=True).prior_summary()
    given = table[table["source"] == "user"]
    said = dict(zip(given["class"], given["prior"], strict=True))
    assert said == {"b": "horseshoe(3, main = TRUE)", "sds": "horseshoe()", "sd": "horseshoe()"}
    assert set(table.loc[table["class"] == "sd", "lb"]) == {"", "0"}
    assert set(table.loc[(table["class"] == "sd") & (table["coef"] != ""), "prior"]) == {""}


@pytest.mark.parametrize(
    ("formula", "given", "said"),
    [
        (MIXED, [prior("horseshoe()"), prior("horseshoe()", class_="sd")], "none has main = TRUE"),
        (MIXED, [prior("horseshoe(main = TRUE)"), prior("horseshoe(main = TRUE)", class_="sd")], "main = TRUE stands at b and sd"),
        (MIXED, [prior("horseshoe(main = TRUE)"), prior("R2D2()", class_="sd")], "horseshoe() and R2D2() are given"),
        (MIXED, [prior("horseshoe()", class_="sd", group="g")], "covers all parameters of class sd"),
        (MIXED, [prior("horseshoe()", class_="sd", group="g", coef="x")], "covers all parameters of class sd"),
        (MIXED, [prior("horseshoe()", class_="sd"), prior("exponential(1)", class_="sd", group="g2")], "covers all parameters of class sd"),
        (MIXED, [prior("horseshoe()", class_="sds", coef="s(z, k = 5)")], "covers all parameters of class sds"),
        (MIXED, [prior("horseshoe()"), prior("normal(0, 1)", coef="sz_1")], "covers all coefficients of class b"),
        (MIXED, [prior("horseshoe()", class_="sd", ub=3)], "bounds"),
        (MIXED, [prior("horseshoe()", class_="Intercept")], "not of class = Intercept"),
        (MIXED, [prior("lasso()", class_="sd")], "lasso() is a prior of class b,"),
        (MIXED, [prior("horseshoe(main = TRUE)"), prior("horseshoe(dff = 2)", class_="sd")], "did you mean 'df'"),
        ("y ~ x + (1 | gr(g, by = sex))", [prior("horseshoe()", class_="sd")], "gr(by = )"),
        (bf("y ~ x + (1 | i | g)", "sigma ~ (1 | i | g)"), [prior("horseshoe()", class_="sd")], "correlated across predictors"),
        ("y ~ x + ar(t, person, cov = TRUE)", [prior("horseshoe()", class_="ar")], "bounds"),
    ],
)
def test_misuse_over_classes(formula, given, said):
    with pytest.raises(brim.BrimError) as caught:
        brim.brm(formula, data=SIM, prior=given, empty=True)
    assert said in str(caught.value)


def test_draws_from_the_prior_alone():
    """Quantiles of a group's sd under R2D2 with sigma left out: of ``sqrt(phi R2 / (1 - R2))``, drawn directly."""
    priors = over("R2D2(0.5, 8, cons_D2 = 2, autoscale = FALSE)", "b", "sd")
    fit = brim.brm("y ~ x + (1 | g)", data=SIM, prior=priors, sample_prior="only", chains=4, iter=2000, seed=2, progress=False)
    rng = np.random.default_rng(3)
    r2, phi = rng.beta(4, 4, 200_000), rng.beta(2, 2, 200_000)
    direct = 0.5 * np.log(phi * r2 / (1 - r2))
    mine = np.log(fit.as_draws_df()["sd_g__Intercept"])
    assert mine.mean() == pytest.approx(direct.mean(), abs=0.06)
    assert mine.std() == pytest.approx(direct.std(), abs=0.06)


def grouped():
    """Twenty groups without effects, and twelve with effects of standard deviation 1."""
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"none": np.tile(np.arange(20), 12), "some": np.repeat(np.arange(12), 20), "x": rng.normal(size=240)})
    d["y"] = 0.5 * d["x"] + rng.normal(size=12)[d["some"]] + rng.normal(size=240)
    return d.astype({"none": str, "some": str})


@pytest.mark.default_precision
def test_sampling_shrinks_a_group_without_effects():
    """Against brms' default; and what is integrated out changes nothing, within five Monte Carlo errors."""
    run = {"data": grouped(), "chains": 4, "iter": 1500, "seed": 4, "progress": False, "control": {"adapt_delta": 0.97}}
    formula = "y ~ x + (1 | none) + (1 | some)"
    plain = brim.brm(formula, **run)
    priors = over("horseshoe(par_ratio = 0.1)", "b", "sd")
    out, whole = (brim.brm(formula, prior=priors, marginalize=m, **run) for m in (True, False))
    assert "none and population and some effects integrated out" in out.engine
    assert "integrated out" not in whole.engine
    null, real = "sd_none__Intercept", "sd_some__Intercept"
    medians = {k: [f.as_draws_df()[k].median() for f in (plain, out, whole)] for k in (null, real)}
    for name in (null, real, "sigma", "b_x"):
        one, two = (f.as_draws_df()[name].to_numpy().reshape(4, -1) for f in (out, whole))
        error = np.hypot(*(a.std() / np.sqrt(float(ess_bulk(a))) for a in (one, two)))
        assert abs(one.mean() - two.mean()) < 5 * error
    assert medians[null][1] < 0.7 * medians[null][0]
    assert medians[real][1] == pytest.approx(medians[real][0], rel=0.2)
