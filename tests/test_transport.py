"""Group effects in coordinates adapted to the data: the map's Jacobian, closed forms where the likelihood is normal, and posteriors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, prior, set_rescor
from brim.brm import coordinates, target
from brim.infer.conditional import effects
from brim.infer.control import Control
from brim.infer.coordinates import Own
from brim.infer.diagnostics import ess_bulk
from brim.infer.expansion import Expansion
from brim.infer.marginal import Marginal
from brim.infer.transported import Transported
from brim.infer.working import working
from references import data

SIM = data("sim").assign(gw=lambda d: 1.0 + 0.1 * d.g.cat.codes)
COV = pd.DataFrame(0.4 + 0.6 * np.eye(SIM.g.nunique()), *2 * [SIM.g.cat.categories])
CONTROL = Control.read({"metric": "split"})

#: formula, family, which blocks are singles, border, chain, and whether the rest of the mean is linear
STRUCTURES = {
    "intercepts": ("ycount ~ x + (1 | g)", "poisson", (0, 0, 1), True),
    "slopes": ("ycount ~ x + (1 + x | g)", "poisson", (0, 0, 1), True),
    "uncorrelated": ("ycount ~ x + (1 + x || g)", "poisson", (0, 0, 1), True),
    "by": ("ycount ~ x + (1 + x | gr(g, by = sex))", "poisson", (0, 0, 1), True),
    "nested": ("ycount ~ x + (1 + x | g2 / f3)", "poisson", (0, 0, 2), True),
    "crossed": ("ycount ~ x + (1 + x | g) + (1 + x | g2)", "poisson", (0, 1, 1), True),
    "nested and crossed": ("ycount ~ x + (1 | g2 / f3) + (1 | g)", "poisson", (0, 1, 2), True),
    "smooth": ("ycount ~ s(x, k = 5) + (1 | g)", "poisson", (0, 0, 1), True),
    "not linear": ("ycount ~ mo(xo) + (1 + x | g) + (1 | g2)", "poisson", (0, 1, 1), False),
    "shape": ("ycount ~ x + (1 | g)", "negbinomial", (0, 0, 1), True),
    "predicted shape": (bf("ycount ~ x + (1 | g)", "shape ~ z + (1 | g2)"), "negbinomial", (0, 1, 1), True),
    "tails": ("y ~ x + (1 + x | g) + (1 | g2)", "student", (0, 1, 1), True),
    "beyond the integral": ("y ~ x + (1 | g) + (1 + x | g2)", "gaussian", (0, 0, 1), True),
    "scale": (bf("y ~ x + (1 | g)", "sigma ~ z + (1 | g2)"), "gaussian", (0, 1, 1), True),
    "scale, correlated": (bf("y ~ x + (1 + x | p | g)", "sigma ~ (1 | p | g)"), "student", (0, 0, 1), True),
    "inflation": (bf("zcount ~ mo(xo) + (1 | g)", "zi ~ (1 | g)"), "zero_inflated_poisson", (0, 0, 2), False),
    "categories": ("ycat ~ x + (1 + x | g)", "categorical", (0, 0, 2), True),
    "nonlinear": (bf("ypos ~ a * exp(k * x)", "a ~ 1 + (1 | g)", "k ~ 0 + z + (1 | g2)", nl=True), "gamma", (0, 1, 1), True),
    "two responses": (bf("y ~ x + (1 | p | g)") + bf("ycount ~ z + (1 | p | g) + (1 | g2)", family="poisson"), "gaussian", (0, 1, 1), True),
    "tied responses": (bf("y ~ x + (1 + x | p | g)") + bf("y2 ~ mo(xo) + (1 | p | g)") + set_rescor(True), "gaussian", (0, 0, 1), False),
    "other rows": (bf("y | subset(sub1) ~ x + (1 | p | g)") + bf("y2 ~ z + (1 | p | g)") + set_rescor(False), "gaussian", (0, 0, 1), True),
    "missing": (bf("y ~ mi(xmis) + (1 | p | g)") + bf("xmis | mi() ~ z + (1 | p | g)") + set_rescor(False), "gaussian", (0, 0, 1), False),
    "memberships": ("ycount ~ x + (1 | mm(h1, h2))", "poisson", (1, 0, 0), True),
    "memberships with slopes": ("ycount ~ mo(xo) + (1 + x | mm(h1, h2, weights = cbind(w1, w2)))", "poisson", (0, 1, 0), False),
    "memberships beside": ("ycount ~ x + (1 | g) + (1 | mm(h1, h2))", "poisson", (0, 1, 1), True),
    "correlated levels": ("ycount ~ x + (1 | gr(g, cov = A))", "poisson", (1, 0, 0), True),
    "correlated levels beside": ("ycount ~ mo(xo) + (1 + x | gr(g, cov = A)) + (1 + x | g2)", "poisson", (0, 1, 1), False),
    "special": ("ycount ~ mo(xo) * x + (1 + mo(xo):x | g)", "poisson", (0, 0, 1), False),
    "two terms of a block": ("ycount ~ mo(xo) + (1 | p | g) + (0 + x | p | g)", "poisson", (0, 0, 1), False),
    "widths": ("ycount ~ x + (1 + x | gr(g, dist = 'student'))", "poisson", (0, 0, 1), True),
    "beyond the curves": ("y ~ s(x, k = 5) + (1 | g) + (1 + x | g2)", "gaussian", (0, 0, 1), True),
}


def adapted(formula, family, **more):
    """The fit without draws and its coordinates after the search for the modes."""
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV}, **more)
    return fit, coordinates(fit).approach(CONTROL, 2, 1)


def anywhere(formula, family, **more):
    """Coordinates with the likelihood expanded at random: the map is exact whatever the approximation is worth."""
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV}, **more)
    space = coordinates(fit)
    assert isinstance(space, Transported)
    t, rows = space.transport, space.rows
    rng = np.random.default_rng(1)
    others, refs = len(rows.at), space.target.data["working"].get("ref", ((),) * len(t.units))
    shapes = [(len(unit.places), n) for unit, n in zip(t.units, rows.sizes, strict=True)]

    def precision(p, n):
        low = rng.normal(size=(n, p, p)) * 0.5 + np.eye(p)
        return np.moveaxis(low @ np.swapaxes(low, 1, 2), 0, -1)

    made_up = Expansion(
        theta=t.rest.layout.center(),
        ref=tuple(tuple(rng.normal(size=len(x)) for x in unit) for unit in refs),
        rest=tuple(rng.normal(size=shape) for shape in shapes),
        eta=tuple(rng.normal(size=shape) for shape in shapes),
        effects=tuple(rng.normal(size=shape) for shape in t.shapes),
        value=tuple(np.zeros(n) for _, n in shapes),
        score=tuple(rng.normal(size=shape) for shape in shapes),
        curvature=(),
        precision=tuple(precision(*shape) for shape in shapes),
        slopes=tuple(rng.normal(size=(others, *shape)) for shape in shapes),
        growth=tuple(rng.normal(size=(others, p)) for p, _ in shapes),
    )
    return space.with_working(working(t, rows, made_up))


def check_jacobian(space):
    """``log p(q) = log p(model's own coordinates) + log |det|`` with the determinant from the full Jacobian matrix."""
    t, values = space.transport, space.target.data
    rng = np.random.default_rng(2)
    q = np.concatenate([t.rest.layout.center() + 0.3 * rng.normal(size=t.head), rng.normal(size=t.dim - t.head)])

    @jax.jit
    def both(q, values):
        def own(q):
            theta, normals = t.split(q)
            return t.joined(theta, effects(t, theta, normals, values)[0])

        return space.target.log_prob(q, values), t.inner()(own(q), values["inner"]), jax.jacfwd(own)(q)

    found, inner, jacobian = both(jnp.asarray(q), values)
    log_det = np.linalg.slogdet(np.asarray(jacobian))[1]
    assert float(found) == pytest.approx(float(inner) + log_det, rel=1e-10)


@pytest.mark.parametrize("name", STRUCTURES)
def test_density_has_the_jacobian_of_the_map(name):
    formula, family, parts, linear = STRUCTURES[name]
    space = anywhere(formula, family)
    t = space.transport
    assert (len(t.singles), len(t.border), len(t.chain)) == parts
    assert t.linear == linear
    check_jacobian(space)


@pytest.mark.parametrize(
    ("formula", "family"), [("ycount ~ x + (1 + x | g) + (1 | g2)", "poisson"), ("y ~ x + (1 | g) + (1 | g2)", "gaussian")]
)
@pytest.mark.parametrize("law", ["horseshoe", "R2D2"])
def test_density_with_standard_deviations_that_are_computed(formula, family, law):
    """Under a joint shrinkage prior ``sd`` is no parameter: ``theta`` holds what it follows from."""
    space = anywhere(formula, family, prior=prior(f"{law}(main = TRUE)") + prior(f"{law}()", class_="sd"))
    names = [p.name for p in space.transport.rest.params]
    assert not [n for n in names if n.startswith("sd_")]
    assert {"horseshoe": "hs_local", "R2D2": "R2D2_phi"}[law] in names
    check_jacobian(space)


@pytest.mark.parametrize(
    "formula",
    [
        "ycount ~ x + (1 + x | g) + (1 | g2)",
        "ycount ~ mo(xo) + (1 | g) + (1 | g2)",
        "ycount ~ x + (1 | g) + (1 | mm(h1, h2))",
        "ycount ~ mo(xo) + (1 | gr(g, cov = A)) + (1 + x | g2)",
        bf("ycount ~ x + (1 | g)", "shape ~ (1 | g2)"),
    ],
)
def test_blocks_beyond_the_border_stand_alone(formula, monkeypatch):
    """With no room for a border the second factor follows its own law; the density stays exact."""
    monkeypatch.setattr("brim.infer.transport.MOST_BORDER", 0)
    space = anywhere(formula, "poisson" if isinstance(formula, str) else "negbinomial")
    t = space.transport
    assert (len(t.singles), len(t.border), len(t.chain)) == (1, 0, 1)
    check_jacobian(space)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (1 + x | g)",
        "y ~ x + (1 | g2 / f3)",
        "y ~ x + (1 | p | g) + (0 + x | p | g)",
        "y ~ x + (1 + x | g) + (1 | g2)",
        "y ~ x + (1 | mm(h1, h2, weights = cbind(w1, w2)))",
        "y ~ x + (1 | g) + (1 + x | mm(h1, h2))",
        "y ~ x + (1 | gr(g, cov = A))",
        "y ~ x + (1 + x | gr(g, cov = A)) + (1 | g2)",
        "y ~ x + (1 + x | gr(g, dist = 'student'))",
        bf("y ~ x + (1 + x | p | g)") + bf("y2 ~ z + (1 | p | g) + (1 | g2)") + set_rescor(True),
    ],
)
def test_effects_of_a_normal_likelihood_are_standardised_exactly(formula):
    """Where the likelihood was expanded, ``log p(theta, e)`` is the log density of ``theta`` without effects, plus N(e; 0, I)."""
    fit, (space, _) = adapted(formula, "gaussian", marginalize=False)
    t, values = space.transport, space.target.data
    assert set(t.blocks) == set(fit.model.blocks)
    theta = t.rest.layout.center()
    theta[values["working"]["at"]] = values["working"]["theta"]
    e = np.random.default_rng(2).normal(size=t.dim - t.head)
    found = float(space.target.log_prob(np.concatenate([theta, e]), values))
    assert found - stats.norm.logpdf(e).sum() == pytest.approx(integrated(fit, t, theta), rel=1e-10)


@pytest.mark.parametrize(
    "name",
    [
        "scale",
        "scale, correlated",
        "inflation",
        "categories",
        "nonlinear",
        "tied responses",
        "memberships beside",
        "correlated levels",
        "two terms of a block",
        "widths",
    ],
)
def test_the_likelihood_is_expanded_at_the_modes_of_the_effects(name):
    """There the density has no slope in ``e``: half its square is what is left to gain. The search stops at 0.05, chains start around."""
    formula, family, _, _ = STRUCTURES[name]
    _, (space, start) = adapted(formula, family)
    t, values = space.transport, space.target.data
    theta = np.median(start.q[:, : t.head], axis=0)
    slope = jax.jit(jax.grad(lambda e: space.target.log_prob(jnp.concatenate([theta, e]), values)))(np.zeros(t.dim - t.head))
    assert 0.5 * np.sum(np.square(slope)) < 0.5


def integrated(fit, t, theta):
    """log p(theta, y) by the multivariate normal law of y."""
    inputs, rest = fit.model.data(fit.frame), t.rest
    params, log_det = rest.layout.constrain(theta, inputs["fixed"])
    full = rest.transform(params, inputs["design"])
    priors = rest.log_prior(full, inputs["design"], inputs["prior"]) + rest.log_internal(full, inputs["design"], inputs["prior"])
    priors += sum(b.log_density(params, inputs["design"][b.key]) for b in t.blocks)
    sizes = [k * n for k, n in t.shapes]

    def mean(z):
        parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        own = {b.standardised: z[at].reshape(shape) for b, at, shape in zip(t.blocks, parts, t.shapes, strict=True)}
        every = fit.model.all_dpars(fit.model.transform({**params, **own}, inputs["design"]), inputs["design"])[0]
        return jnp.concatenate([dpars["mu"].value for dpars in every])

    zero = np.zeros(sum(sizes))
    b = np.asarray(jax.jacobian(mean)(zero))
    low = np.diag([float(params[f"sigma_{r.resp}" if r.resp else "sigma"]) for r in fit.model.responses]) @ np.asarray(
        params.get("Lrescor", np.eye(1))
    )
    law = stats.multivariate_normal(np.asarray(mean(zero)), b @ b.T + np.kron(low @ low.T, np.eye(len(SIM))))
    return float(law.logpdf(np.concatenate([SIM[r.name] for r in fit.model.responses])) + priors + log_det)


LATER = [STRUCTURES[name][:2] for name in ("inflation", "categories", "widths", "memberships", "correlated levels", "missing")]


@pytest.mark.default_precision
@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("ycount ~ x + (1 + x | g) + (1 | g2)", "poisson"),
        ("y ~ x + (1 | g) + (1 | g2)", "gaussian"),
        STRUCTURES["scale, correlated"][:2],
        *(pytest.param(*each, marks=pytest.mark.slow) for each in LATER),
    ],
)
def test_coordinates_do_not_change_the_posterior(formula, family):
    """Means and standard deviations of all parameters, effects and ``lp__``, within five combined Monte Carlo errors."""
    run = {"family": family, "data2": {"A": COV}, "chains": 4, "iter": 2000, "seed": 1, "progress": False, "marginalize": False}
    moved = brim.brm(formula, data=SIM, control={"adapt_delta": 0.9}, **run)
    own = brim.brm(formula, data=SIM, control={"adapted_effects": False, "adapt_delta": 0.95}, **run)
    assert "adapted to the data" in moved.engine
    assert "adapted" not in own.engine
    for name in (v for v in moved.variables() if v != "lprior"):
        a, b = moved.draws[name], own.draws[name]
        error = np.hypot(a.std() / np.sqrt(ess_bulk(a)), b.std() / np.sqrt(ess_bulk(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
        assert a.std() == pytest.approx(b.std(), rel=0.25), name


@pytest.mark.default_precision
def test_draws_are_the_same_whatever_the_cores():
    one, two = (
        brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", chains=2, iter=200, cores=c, seed=3, progress=False) for c in (1, 2)
    )
    for name in one.variables():
        assert np.array_equal(one.draws[name], two.draws[name])


@pytest.mark.parametrize(
    ("formula", "family", "kind"),
    [
        ("ycount ~ x", "poisson", Own),
        ("y ~ x + (1 | g)", "gaussian", Marginal),
        ("ycount ~ x + (1 | g)", "poisson", Transported),
        ("y ~ x + (1 | g) + (1 + x | g2)", "gaussian", Transported),
    ],
)
@pytest.mark.default_precision
def test_draws_are_the_same_whatever_is_completed_at_once(monkeypatch, formula, family, kind):
    arguments = {"family": family, "chains": 2, "iter": 60, "thin": 2, "seed": 3, "progress": False}
    one = brim.brm(formula, data=SIM, **arguments)
    assert isinstance(coordinates(one), kind)
    monkeypatch.setattr("brim.infer.coordinates._NUMBERS", 7 * one.model.layout.dim)  # does not divide the 2 x 15 draws
    two = brim.brm(formula, data=SIM, **arguments)
    for name in one.variables():
        np.testing.assert_allclose(one.draws[name], two.draws[name], rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(one.stats["lp"], one.draws["lp__"])


@pytest.mark.default_precision
def test_a_fit_tells_where_another_may_start():
    """The last draws in the model's own coordinates: their log density is the ``lp__`` of these draws; variances of the draws."""
    fit = brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", chains=3, iter=600, seed=3, progress=False)
    own = target(fit)
    with jax.enable_x64(True):
        last = [float(own.log_prob(q, own.data)) for q in fit.info["last_q"]]
    np.testing.assert_allclose(last, fit.draws["lp__"][:, -1], rtol=1e-10)
    assert [p.name for p in fit.model.params][1] == "b"  # the second coordinate, after the intercept
    assert fit.info["covariance"][1] == pytest.approx(fit.draws["b_x"].var(), rel=0.3)


def test_effects_without_data_stay_standard_normal():
    """A flat working model is the non-centred parameterisation: coordinates are the standardised effects themselves."""
    fit = brim.brm("ycount ~ x + (1 + x | g)", data=SIM, family="poisson", empty=True)
    space = coordinates(fit)
    t = space.transport
    q = np.random.default_rng(5).normal(size=t.dim)
    theta, normals = t.split(q)
    z, _, log_scale = effects(t, theta, normals, space.target.data)
    assert np.allclose(z[0], normals[0], atol=1e-14)
    assert abs(float(log_scale)) < 1e-12


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("yord ~ x + (cs(x) | g)", "acat"),
        ("ycount ~ x + (1 | gr(g, pw = gw))", "poisson"),
        ("yord ~ cs(x) + (1 | g)", "acat"),
        (bf("y ~ x + (1 | g)"), brim.mixture("gaussian", nmix=2)),
        ("ycount ~ x", "poisson"),
    ],
)
def test_other_effects_keep_their_coordinates(formula, family):
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV})
    assert not isinstance(coordinates(fit), Transported)


def test_a_response_without_a_mode_falls_back(monkeypatch):
    """Where nothing can be expanded the working model stays that of no data."""
    fit = brim.brm("ycount ~ x + (1 | g)", data=SIM, family="poisson", empty=True)
    space = coordinates(fit)
    nowhere = replace(space.target, init=lambda rng: np.full(space.target.dim, np.nan))
    after, start = replace(space, moved=nowhere).approach(CONTROL, 2, 1)
    assert start is None
    assert all(not np.any(g) for g in after.target.data["working"]["gram"].values())


def test_priors_may_hold_what_is_held():
    """Constant hyperparameters are not sampled and do not stop the search."""
    held = prior("constant(0.5)", class_="sd")
    _, (space, start) = adapted("ycount ~ x + (1 | g)", "poisson", prior=held)
    assert space.transport.head == 2
    assert start is not None
