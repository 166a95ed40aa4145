"""Population coefficients integrated out, or sampled in directions of the data, against laws written out with SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from brim import bf, prior, set_rescor
from brim.coordinates.base import model_target
from brim.coordinates.choose import Wish, coordinates
from brim.coordinates.directions import directions
from brim.infer.diagnostics import ess_bulk
from brim.infer.target import Draws
from references import data

SIM = data("sim").assign(near=lambda d: d.x + 1e-3 * d.z, far=lambda d: d.x + 30)
NORMAL = prior("normal(0.3, 2)")

#: formula, priors, how many coefficients are integrated out
INTEGRATED = {
    "flat": ("y ~ x + z + f3", None, 4),
    "normal": ("y ~ x + z + f3", NORMAL, 4),
    "flat and normal": ("y ~ x + near + z", prior("normal(1, 0.5)", coef="z"), 3),
    "intercept too": ("y ~ x + near", NORMAL + prior("normal(0, 5)", class_="Intercept"), 3),
    "some sampled": ("y ~ x + near + z", prior("student_t(3, 0, 1)", coef="near") + prior("constant(0.3)", coef="z"), 1),
    "not centred": ("y ~ 0 + Intercept + far", prior("normal(0, 1)", coef="far"), 2),
    "weights": ("y | weights(w) ~ x + near", NORMAL, 2),
    "known errors": ("y | se(se) ~ x + z", NORMAL, 2),
    "not linear": ("y ~ x + near + mo(xo)", NORMAL, 2),
    "more coefficients than rows": ("y ~ poly(x, 5) * poly(z, 6) * f3", prior("normal(0, 1)"), 125),
}


def built(formula, priors=None, family="gaussian", algorithm="sampling", rows=SIM):
    fit = brim.brm(formula, data=rows, family=family, prior=priors, empty=True)
    return fit, coordinates(fit.model, fit.frame, Wish(algorithm))


def written_out(fit, space, q):
    """log p(y | other parameters), normal priors in the covariance and flat ones by restricted likelihood, and all else of the density."""
    given, rest, inputs = space.target.data, space.plan.inner, fit.model.data(fit.frame)
    params, log_det = rest.layout.constrain(q, given["fixed"])
    full = rest.transform(params, inputs["design"])
    other = rest.log_prior(full, inputs["design"], given["prior"]) + rest.log_internal(full, inputs["design"], given["prior"]) + log_det
    places = [(c.name, i) for c in space.plan.integrated.coefficients for i in c.index]

    def mean(b):
        own = dict(params)
        for (name, i), value in zip(places, b, strict=True):
            own[name] = jnp.asarray(own[name]).reshape(-1).at[i].set(value).reshape(own[name].shape)
        return fit.model.responses[0].dpars(fit.model.transform(own, inputs["design"]), inputs["design"])

    seen = inputs["design"]["data"]
    x = np.asarray(jax.jacobian(lambda b: mean(b)["mu"].value)(np.zeros(len(places))))
    dpars = mean(np.zeros(len(places)))
    n = len(x)
    sigma = np.broadcast_to(np.asarray(brim.families.additions.scale_of(dpars, seen)), n)
    weights = np.asarray(seen.get("weights", np.ones(n)))
    scale = sigma / np.sqrt(weights)
    factor = np.sum(np.log(scale) - weights * np.log(sigma) + 0.5 * (1 - weights) * np.log(2 * np.pi))
    loc, sd = priors_of(fit, places)
    flat = ~np.isfinite(sd)
    y = seen["y"] - np.asarray(dpars["mu"].value) - x[:, ~flat] @ loc[~flat]
    v = x[:, ~flat] * sd[~flat] @ (x[:, ~flat] * sd[~flat]).T + np.diag(scale**2)
    if not flat.any():
        return float(stats.multivariate_normal(np.zeros(n), v).logpdf(y) + factor + other)
    free, inverse = x[:, flat], np.linalg.inv(v)
    root, r = np.linalg.qr(free)  # |X'V^-1 X| = |R|^2 |Q'V^-1 Q|
    inner = root.T @ inverse @ root
    left = y - root @ np.linalg.solve(inner, root.T @ inverse @ y)
    dets = np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] + 2 * np.log(np.abs(np.diag(r))).sum()
    return float(-0.5 * (left @ inverse @ left + dets + (n - flat.sum()) * np.log(2 * np.pi)) + factor + other)


def priors_of(fit, places):
    """Means and standard deviations of the priors of these elements."""
    params, out = {p.name: p for p in fit.model.params}, []
    for name, i in places:
        args = [piece.args for piece in params[name].pieces if piece.index is None or i in piece.index]
        out.append(args[0] if args else (0.0, np.inf))
    return np.array(out).T


@pytest.mark.parametrize("name", INTEGRATED)
def test_density_is_the_integral(name):
    formula, priors, count = INTEGRATED[name]
    fit, space = built(formula, priors)
    assert space.dim - space.target.dim == count
    assert "population effects integrated out exactly" in space.note
    q = np.random.default_rng(4).normal(size=space.target.dim) * 0.4
    mine = float(jax.jit(space.target.log_prob)(q, space.target.data))
    assert mine == pytest.approx(written_out(fit, space, q), rel=1e-9)


#: formula, family, priors: sampled in directions of the data, or integrated out
MOVED = [
    *(
        (*INTEGRATED[name][:2], "gaussian")
        for name in ("flat and normal", "some sampled", "weights", "not linear", "more coefficients than rows")
    ),
    ("ycount ~ x + near", NORMAL, "poisson"),
    (bf("y ~ x + near", "sigma ~ x + near"), None, "gaussian"),
    ("y ~ x + near", prior("student_t(3, 0, 1)"), "gaussian"),
    ("y ~ 0 + Intercept + far", None, "student"),
    ("yord ~ x + near", None, "cumulative"),
    (bf("y ~ x + near"), None, brim.mixture("gaussian", nmix=2)),
    (bf("y ~ x + near") + bf("y2 ~ near + x") + set_rescor(True), None, "gaussian"),
    (bf("ypos ~ a * exp(k * x)", "a ~ 1 + x + near", "k ~ 0 + z", nl=True), prior("normal(0, 1)", nlpar=["a", "k"]), "gamma"),
    ("y ~ me(x, sdx) + z + I(z + 0.01 * w)", None, "gaussian"),
]


@pytest.mark.parametrize(("formula", "priors", "family"), MOVED)
def test_draws_have_the_joint_density(formula, priors, family):
    """The density of what is sampled with that of what is drawn, and the map's Jacobian, is the model's own at the completed draws."""
    fit, space = built(formula, priors, family)
    assert space.plan.moves or space.plan.integrated
    assert space.plan.whitened is not None or space.plan.integrated is not None
    q = np.random.default_rng(4).normal(size=(1, 3, space.target.dim)) * 0.4
    lp = jax.vmap(space.target.log_prob, (0, None))(q[0], space.target.data)
    whole = space.complete(Draws(q, {"lp": np.asarray(lp)[None]}, {"seed": 1}))
    own = model_target(fit.model, fit.frame)
    joint = jax.vmap(own.log_prob, (0, None))(whole.q[0], own.data)
    np.testing.assert_allclose(whole.stats["lp"][0], joint, rtol=1e-9)


@pytest.mark.parametrize(
    ("formula", "family", "wish"),
    [
        ("ycount ~ x + z", "poisson", {}),
        ("ycount ~ x + near", "poisson", {"algorithm": "pathfinder"}),
        ("ycount ~ x + near + (1 | g)", "poisson", {}),
        ("y ~ x + near + (1 | g)", "gaussian", {}),
        ("y ~ x + near", "gaussian", {"algorithm": "map"}),
    ],
)
def test_what_needs_no_directions(formula, family, wish):
    """Columns that differ; algorithms that take the model's own coordinates; a dense metric for few parameters beside effects."""
    fit = brim.brm(formula, data=SIM, family=family, empty=True)
    plan = coordinates(fit.model, fit.frame, Wish(**wish)).plan
    assert plan.whitened is None
    assert plan.integrated is None or not plan.integrated.coefficients


def test_priors_alone_have_no_directions():
    fit = brim.brm("y ~ x + near", data=SIM, prior=prior("normal(0, 1)"), sample_prior="only", empty=True)
    assert coordinates(fit.model, fit.frame, Wish()).plan.whitened is None


def test_a_start_in_the_models_coordinates_is_found_again():
    space = built("ycount ~ x + near", family="poisson")[1]
    q = np.array([0.3, 1.0, -2.0])
    maps = space.target.data["whitened"]
    there, _ = space.plan.whitened.follow(jnp.asarray(space.plan.whitened.back(q, maps)), maps)
    np.testing.assert_allclose(there, q, rtol=1e-9)


def test_directions_diagonalise_both_precisions():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 1)) + 1e-7 * rng.normal(size=(50, 6)) * [1, 1e3, 1, 1, 1e6, 1]
    root = np.array([0.0, 1.0, 1e3, 0.0, 1e-4, 2.0])
    found = directions(x, root, 0.7)
    turned, before = x @ found.map, root[:, None] * found.map
    np.testing.assert_allclose(turned.T @ turned, np.diag(found.information), atol=1e-8)
    np.testing.assert_allclose(before.T @ before, np.diag(found.precision), atol=1e-8)
    np.testing.assert_allclose(found.information / 0.7**2 + found.precision, 1.0, rtol=1e-12)
    assert found.log_det == pytest.approx(np.linalg.slogdet(found.map)[1], abs=1e-6)
    assert directions(np.ones((5, 2)), np.zeros(2)) is None
    assert directions(np.ones((5, 2)), np.array([1.0, 0.0])) is not None


# --------------------------------------------------------------------------- whole fits


def alike(n, k, family, seed=1):
    """Columns correlated by 0.9999; coefficients that add up to little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1)) + 0.01 * rng.normal(size=(n, k))
    eta = 0.3 + x @ rng.normal(size=k) / k
    y = {
        "gaussian": eta + rng.normal(size=n),
        "poisson": rng.poisson(np.exp(eta)),
        "bernoulli": rng.uniform(size=n) < 1 / (1 + np.exp(-eta)),
    }
    return {"y": y[family].astype(float), **{f"x{i}": x[:, i] for i in range(k)}}, "y ~ " + " + ".join(f"x{i}" for i in range(k))


@pytest.mark.default_precision
@pytest.mark.parametrize("family", ["gaussian", "poisson", "bernoulli"])
def test_columns_that_are_alike_cost_what_others_do(family):
    rows, formula = alike(400, 8, family)
    fit = brim.brm(formula, rows, family=family, prior=prior("normal(0, 1)"), iter=1000, seed=1, progress=False)
    assert fit.stats["n_steps"].mean() < 8
    summary = fit.summary().fixed
    assert summary["Rhat"].max() < 1.015
    assert summary["Bulk_ESS"].min() > 1200
    assert not fit.stats["diverging"].any()


@pytest.mark.default_precision
def test_both_ways_give_one_posterior():
    """Integrated out, and sampled in directions: means and standard deviations within five combined Monte Carlo errors; lp__ too."""
    rows, formula = alike(60, 4, "gaussian")
    out, whole = (
        brim.brm(formula, rows, prior=prior("normal(0, 1)"), marginalize=m, iter=2000, seed=2, progress=False) for m in ("auto", False)
    )
    assert "integrated out" in out.engine
    assert "directions of the data" in whole.engine
    for name in out.variables():
        a, b = out.draws[name], whole.draws[name]
        error = np.hypot(a.std() / np.sqrt(ess_bulk(a)), b.std() / np.sqrt(ess_bulk(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
        assert a.std() == pytest.approx(b.std(), rel=0.12), name


@pytest.mark.default_precision
def test_coefficients_follow_their_law():
    """Flat priors of all but sigma, which is known: b is normal with the least-squares mean and sigma^2 (X'X)^-1."""
    rows, formula = alike(60, 3, "gaussian")
    given = prior("constant(1.3)", class_="sigma") + prior("", class_="Intercept") + prior("student_t(3, 0, 1e5)", coef="x2")
    fit = brim.brm(formula, rows, prior=given, iter=2000, seed=3, progress=False)
    x = np.column_stack([np.ones(60), rows["x0"], rows["x1"], rows["x2"]])
    draws = fit.as_draws_df()[["b_Intercept", "b_x0", "b_x1", "b_x2"]].to_numpy()
    covariance = 1.69 * np.linalg.inv(x.T @ x)
    z = np.linalg.solve(np.linalg.cholesky(covariance), (draws - np.linalg.lstsq(x, rows["y"], rcond=None)[0]).T)
    np.testing.assert_allclose(z.mean(1), 0.0, atol=0.1)
    np.testing.assert_allclose(z @ z.T / len(draws), np.eye(4), atol=0.12)


@pytest.mark.default_precision
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_what_follows_a_fit(family):
    """Its lp__ is the model's log density; another fit starts from it; other rows; draws put back."""
    rows, formula = alike(80, 3, family)
    fit = brim.brm(
        formula, rows, family=family, iter=200, chains=2, seed=1, progress=False, sample_prior="yes", prior=prior("normal(0, 1)")
    )
    with jax.enable_x64(True):
        own = model_target(fit.model, fit.frame)
        one = {key: jnp.asarray(values[0, 5]) for key, values in fit.posterior.arrays.items()}
        q = fit.model.layout.unconstrain(fit.model.invert(one, own.data["design"]))
        assert float(fit.draws["lp__"][0, 5]) == pytest.approx(float(own.log_prob(q, own.data)), rel=1e-8)
    again = brim.brm(formula, rows, family=family, iter=100, chains=2, seed=2, progress=False, init=fit, prior=prior("normal(0, 1)"))
    assert again.draws["b_x0"].shape == (2, 50)
    less = {name: values[:50] for name, values in rows.items()}
    assert fit.update(newdata=less, iter=100, chains=2, seed=3, progress=False).nobs() == 50
    back = fit.with_draws(fit.as_draws_df(), chains=2)
    np.testing.assert_allclose(back.draws["lprior"], fit.draws["lprior"], rtol=1e-9)
    np.testing.assert_allclose(back.draws["lp__"], fit.draws["lp__"], rtol=1e-9)


#: coefficients that a prior shrinks follow the data as those of curves do: formula, family, prior, how
SHRUNK = [
    ("y ~ x + z + f3 + (1 | g)", "gaussian", prior("horseshoe(1)"), "integrated"),
    ("ycount ~ x + z + f3 + (1 | g)", "poisson", prior("R2D2()"), "adapted"),
    ("yord ~ x + z", "cumulative", prior("horseshoe(1)"), "adapted"),
    (bf("y ~ x + z", "sigma ~ x + z"), "gaussian", prior("horseshoe(1)", dpar="sigma"), "adapted"),
]


@pytest.mark.parametrize(("formula", "family", "priors", "how"), SHRUNK)
def test_shrunk_coefficients_are_a_latent_vector(formula, family, priors, how):
    fit, space = built(formula, priors, family)
    assert [t.how for t in space.plan.treatments if t.latent == "population effects"] == [how]
    q = np.random.default_rng(4).normal(size=(1, 3, space.target.dim)) * 0.4
    lp = jax.vmap(space.target.log_prob, (0, None))(q[0], space.target.data)
    whole = space.complete(Draws(q, {"lp": np.asarray(lp)[None]}, {"seed": 1}))
    own = model_target(fit.model, fit.frame)
    np.testing.assert_allclose(whole.stats["lp"][0], jax.vmap(own.log_prob, (0, None))(whole.q[0], own.data), rtol=1e-9)


@pytest.mark.default_precision
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_horseshoe_has_no_funnels(family):
    """12 coefficients of which 10 are 0: no divergence, short trees (before: 3 % and 30 steps)."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(120, 12))
    eta = 0.3 + x[:, :2] @ [0.8, -0.5]
    y = eta + rng.normal(size=120) if family == "gaussian" else rng.poisson(np.exp(0.5 * eta)).astype(float)
    rows = {"y": y, **{f"x{i}": x[:, i] for i in range(12)}}
    formula = "y ~ " + " + ".join(f"x{i}" for i in range(12))
    fit = brim.brm(formula, rows, family=family, prior=prior("horseshoe(1)"), iter=1000, seed=1, progress=False)
    assert fit.stats["diverging"].sum() <= 2
    assert fit.stats["n_steps"].mean() < 20
    assert fit.summary().fixed["Rhat"].max() < 1.015
