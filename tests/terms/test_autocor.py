"""Residual structures: brms' numbers, joint densities against SciPy, predictions, errors."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.coordinates.choose import Wish, assign
from brim.errors import BrimError, BrimWarning
from references import data
from structured_models import check, matrices, random_draws

pytestmark = pytest.mark.default_precision

BRMS = "arma21 arma_cov ar_se cosy fcor sar_lag sar_error sar_student escar esicar icar bym2 latent".split()


@pytest.mark.parametrize("name", BRMS)
def test_brms(name):
    """Names, priors, log likelihood (of each row given the others), expected response, predictor without the structure."""
    check(name)


# ------------------------------------------------------------------ joint densities


def rows_of(groups=3, each=4, seed=0):
    rng = np.random.default_rng(seed)
    n = groups * each
    order = rng.permutation(n)
    d = pd.DataFrame({"g": np.repeat(np.arange(groups), each), "t": np.tile(np.arange(each), groups), "y": rng.normal(size=n)})
    return d.assign(n=rng.poisson(3, n), se=rng.uniform(0.2, 0.5, n)).iloc[order].reset_index(drop=True)


def joint(fit, parameters):
    """Log likelihood of all rows together at one point; ``parameters`` are by name, scalars."""
    with jax.enable_x64(True):
        design = fit.model.design(fit.frame)
        shaped = {p.name: np.reshape(np.asarray(parameters[p.name], float), p.shape) for p in fit.model.params}
        return float(fit.model.log_lik(fit.model.transform(shaped, design), design))


def series_correlation(name, t, values):
    lag = np.abs(np.subtract.outer(t, t))
    if name == "cosy":
        return np.where(lag == 0, 1.0, values["cosy"])
    ar, ma = values.get("ar", 0.0), values.get("ma", 0.0)
    # an ARMA(1, 1) as a long moving average: psi_0 = 1, psi_k = ar^(k-1) (ar + ma)
    psi = np.concatenate([[1.0], ar ** np.arange(400) * (ar + ma)])
    return np.array([[psi[: 400 - k] @ psi[k:400] for k in row] for row in lag])


@pytest.mark.parametrize(
    ("term", "values"),
    [
        ("arma(t, g, cov = TRUE)", {"ar": 0.6, "ma": -0.3}),
        ("ar(t, g, cov = TRUE)", {"ar": -0.5}),
        ("ma(t, g, cov = TRUE)", {"ma": 0.4}),
        ("cosy(t, g)", {"cosy": 0.35}),
    ],
)
@pytest.mark.parametrize("family", ["gaussian", "student"])
def test_joint_density_of_series(term, values, family):
    d = rows_of()
    fit = brim.brm(f"y | se(se, sigma = TRUE) ~ 1 + {term}", d, family=family, empty=True)
    found = joint(fit, {"Intercept": 0.2, "sigma": 0.8, "nu": 5.0, **values})
    expected = 0.0
    for _, part in d.sort_values("t").groupby("g"):
        cov = 0.64 * series_correlation(term[:4], part["t"].to_numpy(), values) + np.diag(part["se"] ** 2)
        law = stats.multivariate_normal(np.full(4, 0.2), cov) if family == "gaussian" else stats.multivariate_t(np.full(4, 0.2), cov, df=5)
        expected += law.logpdf(part["y"])
    assert found == pytest.approx(expected, rel=1e-10)


def test_joint_density_without_structure_between_times():
    """unstr(): any correlation between times; rows of a series may lack some of them."""
    d = rows_of().drop(index=[2, 7]).reset_index(drop=True)
    fit = brim.brm("y ~ 1 + unstr(t, g)", d, empty=True)
    pairs = "0__1 0__2 1__2 0__3 1__3 2__3".split()
    assert [v for v in fit.variables() if v.startswith("cortime")] == [f"cortime__{p}" for p in pairs]
    table = fit.prior_summary()
    assert table.loc[table["class"] == "Lcortime", "prior"].tolist() == ["lkj_corr_cholesky(1)"]
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 6))
    cov = a @ a.T
    cor = cov / np.sqrt(np.outer(cov.diagonal(), cov.diagonal()))
    found = joint(fit, {"Intercept": 0.2, "sigma": 0.8, "Lcortime": np.linalg.cholesky(cor)})
    expected = 0.0
    for _, part in d.groupby("g"):
        at = part["t"].to_numpy()
        expected += stats.multivariate_normal(np.full(len(at), 0.2), 0.64 * cor[np.ix_(at, at)]).logpdf(part["y"])
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("family", ["gaussian", "student"])
@pytest.mark.parametrize("kind", ["lag", "error"])
def test_joint_density_of_spatial_autoregression(kind, family):
    d, m = rows_of(), np.random.default_rng(2).uniform(size=(12, 12))
    np.fill_diagonal(m, 0)
    m /= m.sum(1, keepdims=True)
    fit = brim.brm(f"y ~ 1 + sar(M, type = '{kind}')", d, family=family, data2={"M": m}, empty=True)
    found = joint(fit, {"Intercept": 0.2, "sigma": 0.8, "nu": 5.0, f"{kind}sar": 0.4})
    inverse = np.linalg.inv(np.eye(12) - 0.4 * m)
    mean = np.full(12, 0.2) if kind == "error" else inverse @ np.full(12, 0.2)
    cov = 0.64 * inverse @ inverse.T
    law = stats.multivariate_normal(mean, cov) if family == "gaussian" else stats.multivariate_t(mean, cov, df=5)
    assert found == pytest.approx(law.logpdf(d["y"]), rel=1e-10)


def test_joint_density_with_known_covariance():
    d = rows_of()
    a = np.random.default_rng(3).normal(size=(12, 20))
    fit = brim.brm("y ~ 1 + fcor(V)", d, data2={"V": a @ a.T}, empty=True)
    found = joint(fit, {"Intercept": 0.2, "sigma": 0.8})
    assert found == pytest.approx(stats.multivariate_normal(np.full(12, 0.2), 0.64 * a @ a.T).logpdf(d["y"]), rel=1e-10)


def test_log_lik_is_of_each_row_given_the_others():
    """The difference of two joint densities of SciPy's, with and without the row."""
    d = rows_of(groups=1)
    fit = random_draws(brim.brm("y ~ 1 + cosy(t)", d, family="student", empty=True), 1)
    p = fit.draws.frame().iloc[0]
    cov = p["sigma"] ** 2 * np.where(np.eye(4) == 1, 1.0, p["cosy"])
    y, mean = d["y"].to_numpy(), np.full(4, p["b_Intercept"])
    whole = stats.multivariate_t(mean, cov, df=p["nu"]).logpdf(y)
    for i in range(4):
        rest = np.arange(4) != i
        others = stats.multivariate_t(mean[rest], cov[np.ix_(rest, rest)], df=p["nu"]).logpdf(y[rest])
        assert fit.log_lik()[0, i] == pytest.approx(whole - others, rel=1e-8)


# ------------------------------------------------------------------ conditional autoregression


def laws_of_places(kind, w, p):
    """Density of brms at one point: over ``rcar`` (esicar: without the last place), or over the intrinsic effects behind it."""
    n, d, z = len(w), np.diag(w.sum(1)), p["z"]
    if kind == "escar":
        lam = np.linalg.eigvals(np.diag(1 / w.sum(1)) @ w).real
        return 0.5 * np.log1p(-p["car"] * lam).sum() - n * np.log(p["sdcar"]) - 0.5 * z @ (d - p["car"] * w) @ z / p["sdcar"] ** 2
    if kind == "esicar":
        return -(n - 1) * np.log(p["sdcar"]) - 0.5 * z @ (d - w) @ z / p["sdcar"] ** 2
    return -0.5 * z @ (d - w) @ z + stats.norm(0, 0.001 * n).logpdf(z.sum())


def point_of_places(kind, n, rng):
    z = rng.normal(size=n)
    if kind == "esicar":
        z[-1] = -z[:-1].sum()
    return {"z": z, "sdcar": np.exp(rng.normal()), "car": rng.uniform(0.1, 0.9), "rhocar": rng.uniform(0.1, 0.9)}


def car_term(kind, w=None, family="poisson"):
    fit = brim.brm(f"ycount ~ 1 + car(W, gr = g, type = '{kind}')", data("sim"), family=family, data2={"W": w}, empty=True)
    return fit, next(t for t in fit.model.terms() if t.key.startswith("car"))


@pytest.mark.parametrize("kind", ["escar", "esicar", "icar"])
def test_density_of_places(kind):
    """The density of standard normal coordinates is that of brms over the effects, its constants too."""
    w = matrices()["W"]
    fit, term = car_term(kind, w)
    assert term.params()[-1].name == "zcar"
    p = point_of_places(kind, 9, np.random.default_rng(4))
    free = 8 if kind == "esicar" else 9

    def effects(u, design):
        return term.transform({**p, "zcar": u}, design)["rcar"][:free]

    with jax.enable_x64(True):
        design = term.design(fit.frame)
        r = p["z"] * (p["sdcar"] if kind == "icar" else 1.0)
        u = term.standardise({**p, "rcar": r}, design)["zcar"]
        np.testing.assert_allclose(term.transform({**p, "zcar": u}, design)["rcar"], r, rtol=1e-9)
        stretch = np.linalg.slogdet(jax.jacobian(effects)(u, design))[1] - (9 * np.log(p["sdcar"]) if kind == "icar" else 0.0)
        found = float(term.log_density({**p, "zcar": u}, design)) + stats.norm.logpdf(u).sum() - stretch
    assert found == pytest.approx(laws_of_places(kind, w.to_numpy(), p), rel=1e-9)


def test_density_of_places_in_two_parts():
    """bym2: the covariance of both parts together, and the constants that brms leaves out of the density of the second."""
    w = matrices()["W"]
    fit, term = car_term("bym2", w)
    p = point_of_places("bym2", 9, np.random.default_rng(4))
    laplacian = np.diag(w.to_numpy().sum(1)) - w.to_numpy()
    precision = laplacian + np.ones((9, 9)) / 0.009**2
    with jax.enable_x64(True):
        design = term.design(fit.frame)
        root = np.asarray(jax.jacobian(lambda u: term.transform({**p, "zcar": u}, design)["rcar"])(np.zeros(9)))
        constant = float(term.log_density(p, design))
    both = p["sdcar"] ** 2 * ((1 - p["rhocar"]) * np.eye(9) + p["rhocar"] / design["scale"] * np.linalg.inv(precision))
    np.testing.assert_allclose(root @ root.T, both, rtol=1e-9, atol=1e-12)
    normal = 0.5 * np.linalg.slogdet(precision)[1] - 4.5 * np.log(2 * np.pi)
    left_out = laws_of_places("bym2", w.to_numpy(), {**p, "z": np.zeros(9)}) - normal
    assert constant == pytest.approx(left_out, rel=1e-8)


@pytest.mark.parametrize("kind", ["esicar", "icar"])
def test_density_of_places_in_two_pieces(kind):
    """Where the law is flat in two directions, effects are sampled as brms has them."""
    w = matrices()["W"].to_numpy().copy()
    w[:] = np.kron(np.eye(3), 1 - np.eye(3))
    fit, term = car_term(kind, matrices()["W"] * 0 + w)
    assert term.latent is None
    p = point_of_places(kind, 9, np.random.default_rng(5))
    with jax.enable_x64(True):
        params = {**p, "zcar": p["z"][:8] if kind == "esicar" else p["z"]}
        full = {**params, **term.transform(params, design := term.design(fit.frame))}
        found = float(term.log_density(full, design))
    assert found == pytest.approx(laws_of_places(kind, w, p), rel=1e-9)


@pytest.mark.parametrize("kind", ["escar", "esicar", "icar", "bym2"])
def test_too_many_places_are_sampled_as_they_are(kind, monkeypatch):
    """The same law of ``rcar`` both ways."""
    fit, term = car_term(kind, matrices()["W"])
    monkeypatch.setattr("brim.terms.residuals.modes.MOST_PLACES", 8)
    other_fit, other = car_term(kind, matrices()["W"])
    assert other.latent is None
    assert [p.slots for p in other.params() if p.slots] == [p.slots for p in term.params() if p.slots]
    assert other_fit.variables() == fit.variables()
    p = point_of_places(kind, 9, np.random.default_rng(6))
    with jax.enable_x64(True):
        params = {**p, "rcar": p["z"], "zcar": p["z"][:8] if kind == "esicar" else p["z"], "nszcar": np.zeros(9)}
        design = other.design(other_fit.frame)
        found = float(other.log_density({**params, **other.transform(params, design)}, design))
    assert found == pytest.approx(laws_of_places(kind, matrices()["W"].to_numpy(), p), rel=1e-9)


@pytest.mark.parametrize(("kind", "family", "how"), [("escar", "gaussian", "integrated"), ("bym2", "poisson", "adapted")])
def test_effects_of_places_are_a_curve(kind, family, how):
    fit, _ = car_term(kind, matrices()["W"], family)
    plan = assign(fit.model, fit.frame, Wish())
    assert [(t.latent, t.how) for t in plan.treatments] == [(f'car(W, gr = g, type = "{kind}")', how)]


def test_columns_of_places_need_room(monkeypatch):
    """A row knows its place; columns of all rows and places are not made where they would fill the memory."""
    fit, _ = car_term("bym2", matrices()["W"])
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_NUMBERS", 9 * fit.frame.n - 1)
    (treatment,) = assign(fit.model, fit.frame, Wish()).treatments
    assert (treatment.how, treatment.why) == ("sampled", "it has too many effects, or widths of their own")


def test_scale_of_bym2():
    """make_standata(car(type = "bym2"))$car_scale for three places in a row: 0.409."""
    d = pd.DataFrame({"y": np.arange(6.0), "g": ["a", "b", "c"] * 2})
    w = pd.DataFrame([[0, 1, 0], [1, 0, 1], [0, 1, 0]], list("abc"), list("abc"))
    fit = brim.brm("y ~ car(W, gr = g, type = 'bym2')", d, data2={"W": w}, empty=True)
    term = next(t for t in fit.model.terms() if t.key.startswith("car"))
    assert float(term.design(fit.frame)["scale"]) == pytest.approx((5 / 9) ** (2 / 3) * (2 / 9) ** (1 / 3), rel=1e-9)


# ------------------------------------------------------------------ latent residuals


def test_lagged_latent_residuals():
    """As brms' Stan program: ``eta_t + err_t + ar err_{t-1}``, residuals numbered by series and time."""
    d = rows_of()
    fit = random_draws(brim.brm("n ~ 1 + ar(t, g)", d, family="poisson", empty=True), 1)
    p = fit.draws.frame().iloc[0]
    place = d["g"] * 4 + d["t"]
    err = p[[f"err[{i + 1}]" for i in range(12)]].to_numpy(float)
    before = np.where(d["t"] > 0, err[np.maximum(place - 1, 0)], 0.0)
    np.testing.assert_allclose(fit.posterior_linpred()[0], p["b_Intercept"] + err[place] + p["ar[1]"] * before, rtol=1e-10)


def test_new_rows_get_new_latent_residuals():
    """Their covariance along a series is sderr^2 times the correlation."""
    d = rows_of()
    one = random_draws(brim.brm("n ~ 1 + cosy(t, g)", d, family="poisson", empty=True), 1)
    p = one.draws.frame()
    fit = one.with_draws(pd.concat([p] * 4000, ignore_index=True))
    drawn = fit.posterior_linpred({"g": [9, 9, 10], "t": [0, 1, 0]}, seed=1)
    variance, cor = p["sderr"].iloc[0] ** 2, p["cosy"].iloc[0]
    expected = variance * np.array([[1, cor, 0], [cor, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.1 * variance)


# ------------------------------------------------------------------ predictions


def test_arma_by_hand_on_new_data():
    """The recursion written as a loop; new data bring their own responses, and rows in any order."""
    d = rows_of()
    fit = random_draws(brim.brm("y ~ 1 + arma(t, g, p = 2, q = 1)", d, empty=True), 1)
    p = fit.draws.frame().iloc[0]
    new = rows_of(groups=2, each=6, seed=9)
    expected = np.zeros(len(new))
    for _, part in new.sort_values("t").groupby("g"):
        e = [0.0, 0.0]
        for row, y in part["y"].items():
            base = p["b_Intercept"] + p["ma[1]"] * e[-1]
            expected[row] = base + p["ar[1]"] * e[-1] + p["ar[2]"] * e[-2]
            e.append(y - base)
    np.testing.assert_allclose(fit.posterior_epred(new)[0], expected, rtol=1e-10)


def test_missing_responses_are_drawn():
    """y ~ ar(1) with the second response missing: the third row's mean has the spread ar * sigma."""
    d = rows_of()
    one = random_draws(brim.brm("y ~ 1 + ar(t, g)", d, empty=True), 1)
    p = one.draws.frame()
    fit = one.with_draws(pd.concat([p] * 4000, ignore_index=True))
    new = pd.DataFrame({"y": [1.0, np.nan, 0.0], "t": [0, 1, 2], "g": 0})
    drawn = fit.posterior_epred(new, seed=2)
    a, ar, sigma = (p[v].iloc[0] for v in ("b_Intercept", "ar[1]", "sigma"))
    np.testing.assert_allclose(drawn[:, 1], a + ar * (1 - a), rtol=1e-8)
    assert drawn[:, 2].mean() == pytest.approx(a + ar**2 * (1 - a), abs=5 * ar * sigma / 60)
    assert drawn[:, 2].std() == pytest.approx(ar * sigma, rel=0.05)
    assert fit.posterior_epred(new.drop(columns="y"), draw_ids=[0], seed=1).shape == (1, 3)


def test_missing_responses_are_drawn_with_the_scale_of_their_row():
    d = rows_of()
    one = random_draws(brim.brm(brim.bf("y ~ 1 + ar(t, g)", "sigma ~ n"), d, empty=True), 1)
    p = one.draws.frame().assign(b_sigma_n=0.3)
    fit = one.with_draws(pd.concat([p] * 4000, ignore_index=True))
    drawn = fit.posterior_epred(pd.DataFrame({"y": [1.0, np.nan, 0.0], "t": [0, 1, 2], "g": 0, "n": [1, 4, 2]}), seed=2)
    ar, sigma = p["ar[1]"].iloc[0], np.exp(p["b_sigma_Intercept"].iloc[0] + 0.3 * 4)
    assert drawn[:, 2].std() == pytest.approx(abs(ar) * sigma, rel=0.05)


@pytest.mark.parametrize(("term", "family"), [("ar(t, g)", "gaussian"), ("arma(t, g)", "student"), ("cosy(t, g)", "gaussian")])
def test_estimated_responses_stand_among_the_others(term, family):
    """With ``y | mi()`` the density and the log likelihood are those of the completed responses (Stan code of brms 2.18)."""
    whole = rows_of().assign(n=lambda v: v["n"] / 5)
    holed = whole.assign(y=whole["y"].where(~whole.index.isin([2, 7])))
    made = [
        brim.brm(brim.bf(f"{left} ~ n + {term}", "sigma ~ n"), d, family, empty=True) for left, d in (("y", whole), ("y | mi()", holed))
    ]
    full = random_draws(made[0], 1)
    estimated = {f"Ymi[{i + 1}]": whole["y"][i] for i in (2, 7)}
    part = made[1].with_draws(full.draws.frame().assign(**estimated))
    assert [v for v in made[1].variables() if v.startswith("Ymi")] == list(estimated)
    values = {p.name: np.ravel(v) for p, v in zip(made[0].model.params, _at(full), strict=True)}
    assert joint(made[1], {**values, "Ymi": list(estimated.values())}) == pytest.approx(joint(made[0], values), rel=1e-10)
    seen = holed["y"].notna().to_numpy()
    np.testing.assert_allclose(part.log_lik()[:, seen], full.log_lik()[:, seen], rtol=1e-10)
    assert np.isnan(part.log_lik()[:, ~seen]).all()
    np.testing.assert_allclose(part.posterior_epred(), full.posterior_epred(), rtol=1e-10)
    new = whole.assign(y=whole["y"].where(whole["t"] == 0), t=whole["t"] + 10)
    assert np.isfinite(part.posterior_epred(new)).all()


def _at(fit):
    """What is sampled, at a fit's only draw."""
    with jax.enable_x64(True):
        reported = {k: np.asarray(v)[0] for k, v in fit.draws.arrays.items()}
        full = fit.model.invert(reported, fit.model.design(fit.frame))
        return [np.asarray(full[p.name]) for p in fit.model.params]


def test_samples_have_the_joint_law():
    d = rows_of(groups=1)
    one = random_draws(brim.brm("y ~ 1 + ar(t, cov = TRUE)", d, empty=True), 1)
    p = one.draws.frame()
    fit = one.with_draws(pd.concat([p] * 5000, ignore_index=True))
    drawn = fit.posterior_predict(seed=1)
    ar, sigma = p["ar[1]"].iloc[0], p["sigma"].iloc[0]
    t = d["t"].to_numpy()
    cov = sigma**2 * ar ** np.abs(np.subtract.outer(t, t)) / (1 - ar**2)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.08 * cov.max())


def test_effects_leave_the_structure_out():
    fit = random_draws(brim.brm("y ~ x + ar(t, person)", data("sim"), empty=True), 3)
    table = fit.conditional_effects("x")["x"]
    p = fit.draws.frame()
    lines = p["b_Intercept"].to_numpy()[:, None] + p["b_x"].to_numpy()[:, None] * table["x"].to_numpy()
    np.testing.assert_allclose(table["estimate__"], np.median(lines, axis=0), rtol=1e-10)
    assert list(fit.summary().cor_pars.index) == ["ar[1]"]


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("formula", "family", "message"),
    [
        ("y ~ ar(t)", "gaussian", "same time|at the same time"),
        ("y ~ ar(t, person, p = 2, cov = TRUE)", "gaussian", "at most one"),
        ("y ~ ar(t, person, p = 0)", "gaussian", "order zero"),
        ("y ~ ar(t, person) + cosy(t, person)", "gaussian", "both are a time series"),
        ("y ~ cosy(t, person) + fcor(V)", "gaussian", "joint laws"),
        ("ycount ~ fcor(V)", "poisson", "gaussian or student"),
        ("y ~ fcor(U)", "gaussian", "no matrix 'U'"),
        ("y ~ fcor(W)", "gaussian", "9 rows, the data 90"),
        ("y ~ sar(M, type = 'lagg')", "gaussian", "is not one of the types"),
        ("y ~ car(W)", "gaussian", "has 9 rows, the data 90"),
        ("y ~ car(W, gr = g2)", "gaussian", "no row name"),
        ("y ~ car(M, gr = g)", "gaussian", "row names"),
        ("y ~ car(W, gr = g, type = 'car')", "gaussian", "is not one of the types"),
        ("y | weights(w) ~ cosy(t, person)", "gaussian", "cannot be combined"),
        ("ycat ~ ar(t, person)", "categorical", "formula of mu"),
        ("y ~ x:ar(t, person)", "gaussian", "interaction"),
        (brim.bf("y ~ x", "sigma ~ ar(t, person)"), "gaussian", "formula of mu"),
        (brim.bf("y ~ ar(t, person, cov = TRUE)") + brim.bf("y2 ~ x") + brim.set_rescor(True), "gaussian", "correlated responses"),
    ],
)
def test_errors(formula, family, message):
    with pytest.raises(BrimError, match=message):
        brim.brm(formula, data("sim"), family=family, data2=matrices(), empty=True)


def test_new_places_are_refused():
    fit = random_draws(brim.brm("ycount ~ car(W, gr = g)", data("sim"), family="poisson", data2=matrices(), empty=True), 1)
    with pytest.raises(BrimError, match="'zz' is a new place"):
        fit.posterior_epred({"g": ["zz"]})


def test_a_place_without_neighbours():
    w = matrices()["W"].copy()
    w.iloc[0, 1] = w.iloc[1, 0] = 0
    with pytest.raises(BrimError, match="'g1' has no neighbour"):
        brim.brm("ycount ~ car(W, gr = g)", data("sim"), family="poisson", data2={"W": w}, empty=True)
    with pytest.raises(BrimError, match="hang together"):
        brim.brm("ycount ~ car(W, gr = g, type = 'bym2')", data("sim"), family="poisson", data2={"W": w}, empty=True)


@pytest.mark.parametrize("term", ["ar(t, g)", "ar(t, g, cov = TRUE)"])
def test_recovery(term):
    """Ten series of twenty rows with ar = 0.6 and sigma = 1."""
    rng = np.random.default_rng(5)
    e = rng.normal(size=(10, 20))
    for t in range(1, 20):
        e[:, t] += 0.6 * e[:, t - 1]
    d = pd.DataFrame({"y": 2 + e.ravel(), "t": np.tile(np.arange(20), 10), "g": np.repeat(np.arange(10), 20)})
    fit = brim.brm(f"y ~ 1 + {term}", d, chains=1, iter=600, warmup=300, seed=1, progress=False)
    p = fit.draws.frame()
    for name, truth in (("ar[1]", 0.6), ("sigma", 1.0), ("b_Intercept", 2.0)):
        assert abs(p[name].mean() - truth) < 3.5 * p[name].std()


# --------------------------------------------------------------------------- new rows of series in the training data


def _series(rows=(5, 4)):
    return pd.DataFrame({"g": np.repeat(["a", "b"][: len(rows)], rows), "t": np.concatenate([np.arange(n) for n in rows]) * 1.0}).assign(
        y=lambda d: np.arange(len(d)) % 4, x=lambda d: d.t / 10
    )


def _latent(term, values, d=None, n=4000):
    """A count model with residuals in the predictor that are 1, 2, ..., in the order of series and time; nothing else."""
    d = _series() if d is None else d
    empty = brim.brm(f"y ~ 1 + {term}", d, "poisson", empty=True)
    draws = {f"err[{i + 1}]": i + 1.0 for i in range(len(d))} | {"b_Intercept": 0.0, "sderr": 0.5, **values}
    return empty.with_draws(pd.DataFrame({k: np.full(n, v) for k, v in draws.items()}))


@pytest.mark.parametrize(
    ("term", "values", "correlation"),
    [
        ("ar(t, g, cov = TRUE)", {"ar[1]": 0.8}, lambda k: 0.8**k / (1 - 0.8**2)),
        ("ma(t, g, cov = TRUE)", {"ma[1]": 0.5}, lambda k: np.select([k == 0, k == 1], [1.25, 0.5], 0.0)),
        (
            "arma(t, g, cov = TRUE)",
            {"ar[1]": 0.6, "ma[1]": 0.3},
            lambda k: np.where(k == 0, 1 + 0.36 + 0.09, 0.6 ** np.maximum(k - 1, 0) * 1.18 * 0.9) / 0.64,
        ),
        ("cosy(t, gr = g)", {"cosy": 0.4}, lambda k: np.where(k == 0, 1.0, 0.4)),
    ],
)
def test_residuals_of_new_rows_are_drawn_given_the_past(term, values, correlation):
    """Mean and covariance of the normal law of the points to come given those of the training data, in one series of two."""
    fit, d = _latent(term, values), _series()
    new = pd.DataFrame({"g": ["b", "a", "b", "b"], "t": [4.0, 2.0, 6.0, 0.0], "x": 0.0})  # of b two to come, the fifth and sixth
    eta = fit.posterior_linpred(new, seed=1)
    np.testing.assert_allclose(eta[:, [1, 3]], np.tile([3.0, 6.0], (4000, 1)))
    s = 0.25 * correlation(np.abs(np.subtract.outer(np.arange(6), np.arange(6))))
    pull = s[4:, :4] @ np.linalg.inv(s[:4, :4])
    mean, cov = pull @ [6.0, 7, 8, 9], s[4:, 4:] - pull @ s[:4, 4:]
    drawn = eta[:, [0, 2]]
    assert (np.abs(drawn.mean(0) - mean) < 4 * np.sqrt(np.diag(cov) / 4000)).all()
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=5 * cov.max() * np.sqrt(2 / 4000))
    np.testing.assert_allclose(fit.posterior_linpred(d, seed=1), fit.posterior_linpred())


def test_lagged_residuals_of_new_rows_are_those_of_the_training_data():
    """``ar(p = 2)``: means from the last two residuals of the series, though new data hold neither; a new group has none."""
    fit = _latent("ar(t, g, p = 2)", {"ar[1]": 0.5, "ar[2]": 0.25})
    new = pd.DataFrame({"g": ["a", "a", "c"], "t": [9.0, 10.0, 9.0]})
    eta = fit.posterior_linpred(new, seed=1)
    wanted = [0.5 * 5 + 0.25 * 4, 0.25 * 5, 0.0]
    sd = 0.5 * np.sqrt([1.0, 1.0 + 0.25, 1.0])
    assert (np.abs(eta.mean(0) - wanted) < 4 * sd / np.sqrt(4000)).all()
    np.testing.assert_allclose(eta.std(0), sd, rtol=0.06)
    np.testing.assert_allclose(fit.posterior_linpred(_series(), seed=1), fit.posterior_linpred())


def test_unstructured_residuals_of_a_time_that_a_series_lacks_are_drawn_given_the_others():
    fit = _latent("unstr(t, g)", {f"cortime__{j}__{i}": 0.5 if (j, i) == (3, 4) else 0.0 for i in range(5) for j in range(i)})
    eta = fit.posterior_linpred(pd.DataFrame({"g": ["b"], "t": [4.0]}), seed=1)[:, 0]
    assert abs(eta.mean() - 0.5 * 9) < 4 * 0.5 / np.sqrt(4000)
    assert eta.std() == pytest.approx(0.5 * np.sqrt(0.75), rel=0.06)


def test_new_rows_between_those_of_a_series_or_without_time():
    fit = _latent("ar(t, g, cov = TRUE)", {"ar[1]": 0.8}, n=10)
    with pytest.raises(BrimError, match="lies between times"):
        fit.posterior_linpred(pd.DataFrame({"g": ["a"], "t": [2.5]}))
    alone = _latent("ar(gr = g, cov = TRUE)", {"ar[1]": 0.8}, n=10)
    with pytest.warns(BrimWarning, match="has no time"):
        alone.posterior_linpred(pd.DataFrame({"g": ["a"]}))


@pytest.mark.parametrize(
    ("formula", "family", "held"),
    [("y ~ gp(x)", "gaussian", 20**2), ("y ~ cosy(t, gr = g)", "gaussian", 4 * 5**2), ("k ~ ar(t, g, cov = TRUE)", "poisson", 4 * 7**2)],
)
def test_draws_are_taken_in_pieces_where_each_needs_matrices(formula, family, held, monkeypatch):
    """So many numbers a draw; predictions do not depend on the pieces."""
    d = pd.DataFrame({"x": np.arange(20.0), "t": np.tile(np.arange(5.0), 4), "g": np.repeat(list("abcd"), 5), "k": np.arange(20) % 4})
    empty = brim.brm(formula, d.assign(y=d.x % 3), family, empty=True)
    fit = random_draws(empty, 8)
    new = d if family == "gaussian" else pd.concat([d, d.assign(t=d.t + 5).groupby("g").head(2)], ignore_index=True)
    whole = fit.posterior_predict(new, seed=1)
    sizes = []
    monkeypatch.setattr("brim.post.predict._CHUNK", 2 * held)
    real = brim.post.predict.chunks
    monkeypatch.setattr("brim.post.predict.chunks", lambda ids, numbers: sizes.append(numbers) or real(ids, numbers))
    np.testing.assert_allclose(fit.posterior_predict(new, seed=1), whole)
    assert sizes == [held]


def test_places_in_the_formula_of_another_parameter():
    """get_prior() and make_stancode() of brms 2.18: sigma ~ car(W, gr = g) has car_sigma, sdcar_sigma and rcar_sigma."""
    places = list("abcd")
    w = pd.DataFrame(np.eye(4, k=1) + np.eye(4, k=-1), index=places, columns=places)
    d = pd.DataFrame({"y": np.arange(8.0), "g": places * 2})
    fit = brim.brm(brim.bf("y ~ 1", "sigma ~ car(w, gr = g)"), d, data2={"w": w}, empty=True)
    effects = [f"rcar_sigma[{i + 1}]" for i in range(4)]
    assert fit.variables() == ["b_Intercept", "b_sigma_Intercept", "car_sigma", "sdcar_sigma", *effects, "lprior", "lp__"]
    r = np.array([0.1, -0.2, 0.3, 0.0])
    values = {"b_Intercept": 0.0, "b_sigma_Intercept": 0.5, "car_sigma": 0.5, "sdcar_sigma": 1.0, **dict(zip(effects, r, strict=True))}
    one = fit.with_draws(pd.DataFrame(values, index=[0]))
    np.testing.assert_allclose(one.posterior_epred(dpar="sigma")[0], np.exp(0.5 + np.tile(r, 2)), rtol=1e-6)


def test_lagged_residuals_that_brms_refuses():
    """``cov = FALSE`` with known standard errors, and moving averages of latent residuals: what to write works."""
    d = {"y": [1.0, 2, 3, 5], "k": [1, 0, 2, 3], "se": [0.5] * 4, "t": [1, 2, 3, 4]}
    with pytest.raises(BrimError, match=r"(?s)known standard errors.*\^.*write ma\(t, q = 1, cov = TRUE\)"):
        brim.brm("y | se(se) ~ ma(t, q = 1, cov = FALSE)", d, empty=True)
    assert brim.brm("y | se(se) ~ ma(t, q = 1, cov = TRUE)", d, empty=True).nobs() == 4
    for term in ("ma(t)", "arma(t)"):
        with pytest.raises(BrimError, match=r"(?s)ma\(\) cannot be told from.*write ar\(\), or"):
            brim.brm(f"k ~ {term}", d, "poisson", empty=True)
    assert brim.brm("k ~ ma(t, cov = TRUE)", d, "poisson", empty=True).nobs() == 4
