"""Special terms, mo() me() mi() cs(), against brms (tests/reference/special.R) and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.distributions import transforms
from scipy import stats

import brim
from brim import bf
from brim.model.model import log_joint
from references import array, data, reference

REF = reference("special")

FORMULAS = {
    "mo": bf('y ~ mo(x, id = "a") + mo(x):mo(w) + m:mo(x, id = "a") + mo(w) * f + (mo(w) | g)', "sigma ~ mo(x)"),
    "me": bf("y ~ me(z, sdz):mo(x) + me(z, sdz) * m + me(v, sdv) + me(zg, sg, gr = g) + me(vg, sg, gr = g) + (me(z, sdz) || g)"),
    "mecor": bf("y ~ me(z, sdz) + me(v, sdv)") + brim.set_mecor(False),
    "mi": bf("y ~ mi(zm):mi(vm) + mo(x):mi(zm) + mi(zm) * m + mi(em) + (mi(zm) | g)")
    + bf("zm | mi() ~ mi(vm) + (1 | g)")
    + bf("vm | mi() ~ 1")
    + bf("em | mi(sdz) ~ m")
    + brim.set_rescor(False),
    "idx": bf("y ~ mi(zm, idx = link)")
    + bf("zm | mi() + subset(keep) + index(id) ~ m")
    + bf("p | mi() ~ mi(zm, idx = link)", family="beta")
    + brim.set_rescor(False),
    "one": bf("zm | mi() + weights(sdv) ~ m"),
    "cs": bf("o ~ cs(z * f) + (cs(1 + z) | g)", family="sratio"),
}


def rows():
    """The data of special.R."""
    d = pd.DataFrame(REF["data"])
    d["f"], d["g"] = d.f.astype("category"), d.g.astype(str).astype("category")
    d["w"] = pd.Categorical(d.w, ["a", "b", "c"], ordered=True)
    d["o"] = pd.Categorical(d.o.astype(str), ["1", "2", "3", "4"], ordered=True)
    return d.astype(dict.fromkeys(["zm", "vm", "em", "p"], float))


def new_rows():
    d = rows()[:6].copy()
    return d.assign(z=d.z + 1, x=d.x.to_numpy()[::-1], zm=np.arange(1, 7) / 4, vm=np.arange(6, 0, -1) / 5, em=0.5, p=0.5)


@pytest.fixture(scope="module", params=FORMULAS)
def case(request):
    """The reference, the model with brms' draws, the draws."""
    ref = REF["models"][request.param]
    draws = pd.DataFrame(ref["draws"])
    return ref, brim.brm(FORMULAS[request.param], rows(), empty=True).with_draws(draws), draws


def by_response(values):
    return values.items() if isinstance(values, dict) else [(None, values)]


@pytest.mark.parametrize(("quantity", "method"), [("log_lik", "log_lik"), ("epred", "posterior_epred"), ("linpred", "posterior_linpred")])
def test_predictions_are_those_of_brms(case, quantity, method):
    """A row whose response is missing has no log likelihood, but an expectation."""
    ref, fit, _ = case
    for resp, theirs in by_response(ref[quantity]):
        np.testing.assert_allclose(getattr(fit, method)(resp=resp), array(theirs), rtol=1e-9, atol=1e-9)


def test_predictions_for_new_data(case):
    ref, fit, _ = case
    for resp, theirs in by_response(ref["new"]) if ref["new"] else []:
        np.testing.assert_allclose(fit.posterior_linpred(new_rows(), resp=resp), array(theirs), rtol=1e-9, atol=1e-9)


def test_names_and_priors(case):
    ref, fit, draws = case
    internal = ("z_", "zme_", "Intercept")
    assert set(fit.variables()) == {c for c in draws.columns if not c.startswith(internal)}
    columns = list(ref["prior_summary"][0])
    text = lambda records: sorted(tuple(str(r[c] or "").replace(" ", "") for c in columns) for r in records)  # noqa: E731
    assert text(fit.prior_summary().to_dict("records")) == text(ref["prior_summary"])
    np.testing.assert_allclose(fit.log_prior(), draws["lprior"], rtol=1e-10)


# --------------------------------------------------------------------------- the whole joint density


def internal(draws, name):
    """The draws of a parameter that brms samples, (draws, *shape)."""
    columns = [c for c in draws.columns if c.startswith(f"{name}[")]
    places = np.array([[int(i) for i in c[len(name) + 1 : -1].split(",")] for c in columns]) - 1
    out = np.zeros((len(draws), *(places.max(axis=0) + 1)))
    for column, place in zip(columns, places, strict=True):
        out[(slice(None), *place)] = draws[column]
    return out


def standardised(draws):
    """Standardised effects and noise-free values under brim's keys; brms keeps independent ones apart."""
    has = lambda name: any(c.startswith(f"{name}[") for c in draws.columns)  # noqa: E731
    out = {name: internal(draws, name) for name in ("z_1", "z_2") if has(name)}
    if has("zme_1") and "zme_1[1]" in draws:
        return {"zme": np.stack([internal(draws, "zme_1"), internal(draws, "zme_2")], axis=1)}
    if has("zme_1"):
        effects = {"z_1": np.concatenate([out["z_1"], out["z_2"]], axis=1)}
        return effects | {"zme": internal(draws, "zme_1"), "zme_g": internal(draws, "zme_2")}
    return out


def unconstrained(param, value):
    value = np.asarray(value, float)
    if param.space != "real":
        kinds = {"cholesky_corr": transforms.CorrCholeskyTransform, "simplex": transforms.StickBreakingTransform}
        return np.ravel(kinds[param.space]().inv(jnp.asarray(value)))
    value = value.ravel()[list(param.free)]
    if param.lb is None:
        return value
    return np.log(value - param.lb) - (0 if param.ub is None else np.log(param.ub - value))


def test_joint_density_is_stans(case):
    """``lp__`` with all constants and Jacobians: measurement models and the law of missing values are in it."""
    _, fit, draws = case
    model, given, z = fit.model, fit.draws.flat(), standardised(draws)
    arrays = model.data(fit.frame)
    fixed = {p.name: jnp.reshape(arrays["fixed"][p.name], p.shape) for p in model.params if p.constants}
    function = jax.jit(lambda q: log_joint(model, q, arrays))
    for i, lp in enumerate(draws["lp__"]):
        reported = {q.key: jnp.asarray(given[q.key][i]) for q in model.reported()}
        params = model.invert({**fixed, **{k: v[i] for k, v in z.items()}, **reported}, arrays["design"])
        q = np.concatenate([unconstrained(p, params[p.name]) for p in model.params])
        assert float(function(q)) == pytest.approx(lp, rel=1e-10)


# --------------------------------------------------------------------------- names of coefficients


# brms::get_prior(formula, d)$coef of class b, brms 2.18; f has levels 1 2 3, x and w whole numbers
COEFS = {
    "y ~ 0 + mo(w)*f": "f1 f2 f3 mow mow:f2 mow:f3",
    "y ~ 0 + mo(x) + mo(w):f": "mow:f1 mow:f2 mow:f3 mox",
    "y ~ 0 + f + mo(w):f": "f1 f1:mow f2 f2:mow f3 f3:mow",
    "y ~ f + mo(w):f + z:mo(w)": "f1:mow f2 f2:mow f3 f3:mow mow:z",
    "y ~ f:z:mo(w)": "f1:z:mow f2:z:mow f3:z:mow",
    "y ~ mo(x):f + mo(x)": "mox mox:f2 mox:f3",
    "y ~ f:mo(x):mo(w) + mo(x)": "mox mox:f1:mow mox:f2:mow mox:f3:mow",
    "y ~ me(z, m):f": "mezm:f1 mezm:f2 mezm:f3",
    "y ~ mo(x)*f*mo(w)": "f2 f3 mow mow:f2 mow:f3 mox mox:f2 mox:f3 mox:mow mox:mow:f2 mox:mow:f3",
    "y ~ mo(x) + me(log(m), z2) + I(z^2):mo(x) + mo(x):m:z": "melogmz2 mox mox:IzE2 mox:m:z",
}


@pytest.mark.parametrize("formula", COEFS)
def test_coefficients_are_named_and_coded_as_in_brms(formula):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"y": rng.normal(size=30), "z": rng.normal(size=30), "m": rng.uniform(0.1, 1, 30), "z2": 0.5})
    d["f"], d["x"], d["w"] = pd.Categorical(np.tile(list("123"), 10)), np.arange(30) % 3, rng.permutation(np.arange(30) % 4)
    table = brim.brm(formula, d, empty=True).prior_summary()
    assert sorted(c for c in table.loc[table["class"] == "b", "coef"] if c) == sorted(COEFS[formula].split())


# --------------------------------------------------------------------------- closed forms


def with_values(fit, n=1, **values):
    """One draw, ``n`` times: the values given, 0 for all else (1 for standard deviations)."""
    start = {v: float(v.startswith(("sd", "sigma"))) for v in fit.variables()}
    return fit.with_draws(pd.DataFrame({**start, **{k.replace("__", ":"): v for k, v in values.items()}}, index=range(n)))


def test_monotonic_effect_with_a_known_simplex():
    """``b D sum(simo[1..x])``; codes start at the smallest training value whatever the new data hold."""
    d = pd.DataFrame({"y": np.zeros(8), "x": [2, 3, 4, 5] * 2})
    fit = brim.brm("y ~ mo(x)", d, empty=True)
    columns = {"b_Intercept": 1.0, "bsp_mox": 2.0, "sigma": 1.0, "simo_mox1[1]": 0.5, "simo_mox1[2]": 0.2, "simo_mox1[3]": 0.3}
    one = fit.with_draws(pd.DataFrame(columns, index=[0]))
    np.testing.assert_allclose(one.posterior_epred()[0, :4], [1.0, 4.0, 5.2, 7.0])
    np.testing.assert_allclose(one.posterior_epred({"x": [5, 4]}), [[7.0, 5.2]])


def test_noise_free_values_of_new_rows_scatter_around_what_was_measured():
    d = pd.DataFrame({"y": np.zeros(5), "x": np.arange(5.0), "sd": 0.5})
    fit = brim.brm("y ~ me(x, sd)", d, empty=True)
    n = 4000
    columns = dict.fromkeys(fit.variables(), np.zeros(n)) | {"bsp_mexsd": np.full(n, 2.0), "sigma": np.ones(n), "sdme_mex": np.ones(n)}
    drawn = fit.with_draws(pd.DataFrame(columns)).posterior_linpred({"x": [10.0, -3.0], "sd": [0.25, 2.0]}, seed=1)
    np.testing.assert_allclose(drawn.mean(axis=0), [20.0, -6.0], atol=4 * 4.0 / np.sqrt(n))
    assert stats.kstest((drawn[:, 0] - 20.0) / 0.5, "norm").pvalue > 1e-3
    assert stats.kstest((drawn[:, 1] + 6.0) / 4.0, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.07


def test_new_rows_of_one_level_share_their_noise_free_value():
    d = pd.DataFrame({"y": np.zeros(6), "x": [1.0, 1, 2, 2, 3, 3], "sd": 0.5, "g": list("aabbcc")})
    fit = with_values(brim.brm("y ~ me(x, sd, gr = g)", d, empty=True), bsp_mexsdgrEQg=1.0)
    new = fit.posterior_linpred({"x": [5.0, 7.0, 5.0, 7.0], "sd": [0.5] * 4, "g": ["b", "new", "b", "new"]}, seed=1)[0]
    assert new[0] == new[2] != new[1] == new[3]


def test_a_missing_value_is_filled_in_its_own_row_only():
    """Training rows take ``Ymi``, new rows what they hold; x's missing values have no log likelihood."""
    d = pd.DataFrame({"y": np.zeros(4), "x": [1.0, np.nan, 3.0, np.nan], "z": [np.nan, 1.0, 1.0, 1.0]})
    with pytest.warns(brim.errors.BrimWarning, match="1 row"):  # z is missing, and not estimated: rows are counted without it
        empty = brim.brm(bf("y ~ mi(x) + z") + bf("x | mi() ~ 1") + brim.set_rescor(False), d, empty=True)
    assert [v for v in empty.variables() if v.startswith("Ymi")] == ["Ymi_x[1]", "Ymi_x[3]"]
    fit = with_values(empty, bsp_y_mix=1.0, **{"Ymi_x[1]": 10.0, "Ymi_x[3]": 30.0})
    np.testing.assert_allclose(fit.posterior_epred(resp="y"), [[10.0, 3.0, 30.0]])
    np.testing.assert_allclose(fit.posterior_epred({"x": [5.0], "z": [0.0]}, resp="y"), [[5.0]])
    np.testing.assert_allclose(fit.log_lik(resp="x"), [[np.nan, stats.norm.logpdf(3.0), np.nan]])


#: brms 2.18: get_prior(formula, data)$coef
FUNCTIONS = {
    "y ~ I(me(z, sd)^2)": ["ImezsdE2"],
    "y ~ log(me(z, sd))": ["logmezsd"],
    "y ~ me(z, sd) + I(me(z, sd)^2):f": ["mezsd", "ImezsdE2:fa", "ImezsdE2:fb", "ImezsdE2:fc"],
    "y ~ I(me(z, sd) * w) + (I(me(z, sd) * w) | g)": ["ImezsdMUw"],
}


@pytest.mark.parametrize("formula", FUNCTIONS)
def test_functions_of_noise_free_values(formula):
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"y": rng.normal(size=6), "z": rng.normal(size=6), "w": rng.normal(size=6), "sd": 0.3, "f": list("abcabc"), "g": 1})
    d["g"] = list("uuvvww")
    names = brim.brm(formula, d, empty=True).variables()
    assert [v.removeprefix("bsp_") for v in names if v.startswith("bsp_")] == FUNCTIONS[formula]


def test_values_of_functions():
    """``b f(X)`` with the noise-free or completed values, on training rows and new ones; factors change the slope."""
    d = pd.DataFrame({"y": np.zeros(4), "x": [1.0, np.nan, 3.0, 2.0], "w": [2.0, 1.0, 0.5, 3.0], "f": list("abab")})
    formula = bf("y ~ log(mi(x)) + I(mi(x)^2 * w):f") + bf("x | mi() ~ 1", family="lognormal") + brim.set_rescor(False)
    empty = brim.brm(formula, d, empty=True)
    assert [v for v in empty.variables() if v.startswith("bsp")] == ["bsp_y_logmix", "bsp_y_ImixE2MUw:fa", "bsp_y_ImixE2MUw:fb"]
    slopes = {"bsp_y_logmix": 2.0, "bsp_y_ImixE2MUw:fa": -1.0, "bsp_y_ImixE2MUw:fb": 0.5}
    fit = with_values(empty, **slopes, **{"Ymi_x[2]": 7.0})
    x, w, b = np.array([1, 7, 3, 2.0]), d.w.to_numpy(), np.array([-1, 0.5, -1, 0.5])
    np.testing.assert_allclose(fit.posterior_epred(resp="y"), [2 * np.log(x) + b * x**2 * w])
    new = {"x": [4.0], "w": [0.1], "f": ["b"]}
    np.testing.assert_allclose(fit.posterior_epred(new, resp="y"), [[2 * np.log(4) + 0.5 * 16 * 0.1]])
    assert set(fit.conditional_effects(resp="y")) == {"y.x", "y.w", "y.f", "y.x:w", "y.x:f", "y.w:f"}
    plain = bf("y ~ log(mi(x))") + bf("x | mi() ~ 1") + brim.set_rescor(False)
    with pytest.raises(brim.BrimError, match=r"log\(mi\(x\)\) is not finite in row 3"):
        brim.brm(plain, d.assign(x=[1.0, np.nan, 3.0, -2.0]), empty=True)


def test_effects_of_a_variable_whose_measurements_err():
    """The error's column stands in x's own formula: it is held at its mean, and values are drawn around each x, as for any new row."""
    d = pd.DataFrame({"y": np.zeros(40), "x": np.linspace(-2, 2, 40), "sd": np.tile([0.1, 0.3], 20)})
    empty = brim.brm(bf("y ~ mi(x)") + bf("x | mi(sd) ~ 1") + brim.set_rescor(False), d, empty=True)
    fit = with_values(empty, n=400, bsp_y_mix=2.0)
    effects = fit.conditional_effects("x", resp="y", resolution=5)
    effect = effects["y.x"]
    assert effects["y.y_x"] is effect
    assert "y.y_x" in effects
    assert "y.y_z" not in effects
    assert effect["sd"].unique() == pytest.approx([0.2])
    np.testing.assert_allclose(effect["estimate__"], 2.0 * np.linspace(-2, 2, 5), atol=2 * 0.2 * 5 * 1.2533 / 20)
    np.testing.assert_allclose(effect["upper__"] - effect["lower__"], 2 * 1.96 * 0.4, rtol=0.25)


def test_bounded_responses_bound_their_missing_values():
    d = pd.DataFrame({"p": [0.2, np.nan, 0.5, 0.7], "k": [1.0, 2.0, np.nan, 3.0], "t": [1.0, np.nan, 0.5, 2.0]})
    for formula, family, bounds in [
        ("p | mi() ~ 1", "beta", (0.0, 1.0)),
        ("k | mi() ~ 1", "gamma", (0.0, None)),
        ("t | mi() + trunc(lb = -1) ~ 1", "gaussian", (-1.0, None)),
        ("t | mi() ~ 1", "gaussian", (None, None)),
    ]:
        model = brim.brm(formula, d, family=family, empty=True).model
        (found,) = [p for p in model.params if p.name == "Ymi"]
        assert (found.lb, found.ub) == bounds


def test_category_specific_effects_shift_each_threshold():
    """``acat``: log odds of neighbouring categories are ``eta + x bcs_k - tau_k``."""
    d = pd.DataFrame({"o": pd.Categorical(list("abcabc"), ordered=True), "x": np.arange(6.0)})
    fit = with_values(
        brim.brm("o ~ cs(x)", d, family="acat", empty=True), **{"bcs_x[1]": 0.3, "bcs_x[2]": -0.2, "b_Intercept[1]": 0.1, "disc": 1.0}
    )
    p = fit.posterior_epred({"x": [2.0]})[0, 0]
    np.testing.assert_allclose(np.log(p[1:] / p[:-1]), [0.6 - 0.1, -0.4], rtol=1e-10)


def test_category_specific_group_effects_in_part():
    """``re_formula`` names them as the formula does."""
    d = rows()
    fit = brim.brm("o ~ z + (cs(1 + z) | g)", d, family="acat", empty=True)
    effects = {f"r_g[1,{c}[{k}]]": v for c, v in (("Intercept", 1.0), ("z", 2.0)) for k in (1, 2, 3)}
    fit = with_values(fit, disc=1.0, **effects)
    first = d[d.g == "1"][:1].assign(z=0.5)
    np.testing.assert_allclose(fit.posterior_linpred(first)[0, 0], 2.0)
    np.testing.assert_allclose(fit.posterior_linpred(first, re_formula="(cs(1) | g)")[0, 0], 1.0)
    np.testing.assert_allclose(fit.posterior_linpred(first, re_formula="(cs(0 + z) | g)")[0, 0], 1.0)
    np.testing.assert_allclose(fit.posterior_linpred(first, re_formula=False)[0, 0], 0.0)


def test_a_shrinkage_prior_covers_special_effects_too():
    """One global scale for ``b`` and ``bsp``, a local one for each coefficient, as brms does for the horseshoe."""
    fit = brim.brm("y ~ mo(xo) + z + x", data("sim"), prior=brim.prior("horseshoe(1)", class_="b"), empty=True)
    arrays = fit.model.data(fit.frame)
    q = np.random.default_rng(1).normal(size=fit.model.layout.dim)
    params, _ = fit.model.layout.constrain(q, arrays["fixed"])
    full = fit.model.transform(params, arrays["design"])
    c2, scale = 4.0 * params["hs_slab"], params["hs_global"] * params["hs_local"]
    expected = params["zb"] * scale * np.sqrt(c2 / (c2 + scale**2))
    np.testing.assert_allclose(sorted(np.concatenate([full["b"], full["bsp"]])), sorted(expected), rtol=1e-12)
    assert (full["b"].shape, full["bsp"].shape) == ((2,), (1,))


# --------------------------------------------------------------------------- sampling


def test_prior_draws_of_missing_values_follow_their_model():
    """``sample_prior = "only"``: without the data, x's missing value is a draw of x's own model."""
    d = pd.DataFrame({"y": [0.0, 1.0, 2.0], "x": [1.0, np.nan, 3.0]})
    formula = bf("y ~ mi(x)") + bf("x | mi() ~ 1") + brim.set_rescor(False)
    held = [brim.prior("constant(1)", class_="b", resp="y"), brim.prior("constant(0)", class_="Intercept", resp="y")]
    held += [brim.prior("constant(5)", class_="Intercept", resp="x")] + [brim.prior("constant(2)", class_="sigma", resp=r) for r in "xy"]
    fit = brim.brm(formula, d, prior=held, sample_prior="only", chains=2, iter=1500, warmup=500, seed=1, progress=False)
    drawn = fit.as_draws_df()["Ymi_x[2]"]
    assert drawn.mean() == pytest.approx(5.0, abs=0.3)
    assert drawn.std() == pytest.approx(2.0, abs=0.25)


@pytest.mark.slow
def test_monotonic_effects_are_recovered():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, 400)
    y = 1.0 + np.array([0.0, 1.0, 1.2, 2.1])[x] + rng.normal(scale=0.5, size=400)
    fit = brim.brm("y ~ mo(x)", pd.DataFrame({"x": x, "y": y}), chains=2, seed=1, progress=False)
    found = fit.posterior_summary()["Estimate"]
    np.testing.assert_allclose(found["bsp_mox"], 0.7, atol=0.08)
    np.testing.assert_allclose(found[[f"simo_mox1[{i}]" for i in (1, 2, 3)]], np.array([1.0, 0.2, 0.9]) / 2.1, atol=0.08)


@pytest.mark.slow
def test_measurement_error_does_not_flatten_the_slope():
    """Least squares on the measured x is biased by ``1 / (1 + 0.8^2)``."""
    rng = np.random.default_rng(2)
    true = rng.normal(size=300)
    d = pd.DataFrame({"x": true + rng.normal(scale=0.8, size=300), "sd": 0.8, "y": 2.0 * true + rng.normal(scale=0.5, size=300)})
    fit = brim.brm("y ~ me(x, sd)", d, chains=2, seed=1, progress=False, prior=brim.prior("normal(0, 3)", class_="sdme"))
    assert np.polyfit(d.x, d.y, 1)[0] < 1.5
    assert fit.posterior_summary().loc["bsp_mexsd", "Estimate"] == pytest.approx(2.0, abs=0.25)


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("formula", "family", "message"),
    [
        ("y ~ mo(z)", "gaussian", "'z' is not whole"),
        ("y ~ mo(f)", "gaussian", "'f' is not ordered"),
        ("y ~ mo(one)", "gaussian", "one value only"),
        ("y ~ mo()", "gaussian", r"mo\(\) needs a variable"),
        ('y ~ mo(x, id = "a") + mo(k, id = "a")', "gaussian", "different numbers of steps"),
        ("y ~ me(z)", "gaussian", "needs 'sdx'"),
        ("y ~ me(z, zero)", "gaussian", "must be positive"),
        ("y ~ me(z, sd) + me(z, m)", "gaussian", "different errors"),
        ("y ~ me(z, sd, gr = f)", "gaussian", "different values of"),
        ("y ~ mi(z)", "gaussian", "not a response"),
        ("y ~ mi(log(m))", "gaussian", "untransformed"),
        ("count | mi() ~ 1", "poisson", r"does not take mi\(\)"),
        ("y ~ I(mo(x)^2)", "gaussian", "no function can be taken"),
        ("y ~ poly(me(z, sd), 2)", "gaussian", "unknown function 'poly' in a function of estimated values"),
        ("y ~ mmc(z, m)", "gaussian", r"mmc\(z, m\) is no term of its own"),
        ("y ~ mo(x):s(z)", "gaussian", "cannot stand in an interaction"),
        ("y ~ (mo(x) | f)", "gaussian", "is no effect of the predictor"),
        ("y ~ cs(z)", "gaussian", "takes no category-specific effects"),
        ("count ~ cs(z):m", "sratio", "cannot stand in an interaction"),
        ("count ~ cs(mo(x))", "sratio", r"mo\(x\) cannot stand in cs"),
        ("count ~ (z + cs(1) | f)", "sratio", "in one group term"),
        (bf("count ~ 1", "disc ~ cs(z)"), "sratio", "belong to 'mu'"),
    ],
)
def test_errors_say_what_is_wrong(formula, family, message):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"y": rng.normal(size=12), "z": rng.normal(size=12), "m": rng.uniform(0.1, 1, 12), "sd": 0.3, "zero": 0.0, "one": 1})
    d["f"], d["x"], d["k"], d["count"] = list("abcd") * 3, np.arange(12) % 3, np.arange(12) % 4, np.arange(12) % 3 + 1
    with pytest.raises(brim.BrimError, match=message):
        brim.brm(formula, d, family=family, empty=True)


def test_new_data_outside_what_was_learned():
    d = pd.DataFrame({"y": np.zeros(6), "x": [1, 2, 3] * 2})
    fit = with_values(brim.brm("y ~ mo(x)", d, empty=True))
    with pytest.raises(brim.BrimError, match=r"row 1 \(counted from 0\) is outside"):
        fit.posterior_epred({"x": [2, 4]})
    with pytest.raises(brim.BrimError, match="is outside"):
        fit.posterior_epred({"x": [1.5]})


def test_index_errors():
    d = pd.DataFrame({"y": np.zeros(4), "x": [1.0, np.nan, 2.0, 3.0], "id": [1, 2, 3, 3], "link": [1, 1, 2, 9], "u": [1, 2, 3, 4]})
    two = lambda label: bf("y ~ mi(x, idx = link)") + bf(f"x | mi(){label} ~ 1") + brim.set_rescor(False)  # noqa: E731
    with pytest.raises(brim.BrimError, match="to have labels"):
        brim.brm(two(""), d, empty=True)
    with pytest.raises(brim.BrimError, match="must be unique"):
        brim.brm(two(" + index(id)"), d, empty=True)
    with pytest.raises(brim.BrimError, match="has the index 9"):
        brim.brm(two(" + index(u)"), d, empty=True)


def test_missing_values_of_a_subset_need_an_index():
    d = pd.DataFrame({"y": np.zeros(4), "x": [1.0, np.nan, 2.0, 3.0], "keep": [True, True, False, True]})
    with pytest.raises(brim.BrimError, match="no value for row 2"):
        brim.brm(bf("y ~ mi(x)") + bf("x | mi() + subset(keep) ~ 1") + brim.set_rescor(False), d, empty=True)
    with pytest.raises(brim.BrimError, match="needs to know which row is meant"):
        brim.brm(bf("y | subset(keep) ~ mi(x)") + bf("x | mi() ~ 1") + brim.set_rescor(False), d, empty=True)


def test_mi_fits_save_and_summarise(tmp_path):
    """A short fit goes through the summary and the file and back."""
    fit = brim.brm(
        bf("y ~ mi(xmis) + z") + bf("xmis | mi() ~ z") + brim.set_rescor(False), data("sim"), chains=1, iter=200, seed=1, progress=False
    )
    assert "y_mixmis" in fit.summary().fixed.index
    fit.save(tmp_path / "fit.nc")
    again = brim.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.posterior_epred(resp="y"), fit.posterior_epred(resp="y"))


def test_monotonic_effects_of_two_values_are_slopes():
    """A simplex of one element is 1: ``y ~ mo(k)`` is ``y ~ k``, in interactions and by group too; the prior of the simplex is none."""
    d = pd.DataFrame({"k": [0, 1] * 10, "x": np.arange(20.0), "g": list("abcd") * 5, "y": np.arange(20.0) % 7})
    d["o"] = pd.Categorical(np.where(d.k, "hi", "lo"), ["lo", "hi"], ordered=True)
    for name in ("k", "o"):
        empty = brim.brm(f"y ~ mo({name}) * x + (mo({name}) | g)", d, empty=True)
        plain = brim.brm("y ~ k * x + (k | g)", d, empty=True)
        values = {v: 0.3 + 0.1 * i for i, v in enumerate(plain.variables())}
        renamed = {
            v.replace("b_k", f"bsp_mo{name}").replace("__k", f"__mo{name}").replace(",k]", f",mo{name}]"): x for v, x in values.items()
        }
        fit = empty.with_draws(pd.DataFrame({v: [renamed.get(v, 1.0)] for v in empty.variables()}))
        np.testing.assert_allclose(fit.log_lik(), plain.with_draws(pd.DataFrame({v: [x] for v, x in values.items()})).log_lik())
        assert [v for v in fit.variables() if v.startswith("simo")] == [f"simo_mo{name}1[1]", f"simo_mo{name}:x1[1]"]
        assert np.isfinite(fit.log_prior()).all()
    fit = brim.brm("y ~ mo(k)", d, prior=brim.prior("dirichlet(2)", class_="simo", coef="mok1"), chains=1, iter=200, seed=1, progress=False)
    assert (fit.as_draws_df("simo_mok1")["simo_mok1[1]"] == 1).all()
