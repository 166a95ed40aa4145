"""Group effects in coordinates adapted to the data: the map's Jacobian, closed forms where the likelihood is normal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from adapted_models import COV, SIM, STRUCTURES, adapted
from brim import bf, prior, set_rescor
from brim.coordinates.adapted.expansion import Expansion
from brim.coordinates.adapted.sums import working
from brim.coordinates.plan import Plan, log_density_function
from brim.fit.run import coordinates


def anywhere(formula, family, **more):
    """Coordinates with the likelihood expanded at random: the map is exact whatever the approximation is worth."""
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV}, **more)
    space = coordinates(fit)
    t, rows = space.plan.adapted, space.rows
    rng = np.random.default_rng(1)
    others, sums = len(rows.at), space.target.data["working"].sums
    refs = ((),) * len(t.units) if sums is None else sums.ref
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
    plan, values = space.plan, space.target.data
    rng = np.random.default_rng(2)
    q = np.concatenate([plan.first.center() + 0.3 * rng.normal(size=plan.head), rng.normal(size=plan.dim - plan.head)])
    inner = log_density_function(Plan(plan.model, plan.integrated))

    @jax.jit
    def both(q, values):
        def own(q):
            return plan.own(q, values)[0]

        return space.target.log_prob(q, values), inner(own(q), values["inner"]), jax.jacfwd(own)(q)

    found, inner, jacobian = both(jnp.asarray(q), values)
    log_det = np.linalg.slogdet(np.asarray(jacobian))[1]
    assert float(found) == pytest.approx(float(inner) + log_det, rel=1e-10)


#: Structures whose parts other ones have too.
ALSO = (
    *("uncorrelated", "by", "nested and crossed", "tails", "scale", "memberships beside", "correlated levels beside"),
    *("smooth of the scale", "smooth and memberships", "process of a basis"),
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in ALSO else n for n in STRUCTURES])
def test_density_has_the_jacobian_of_the_map(name):
    formula, family, parts, linear = STRUCTURES[name]
    space = anywhere(formula, family)
    t = space.plan.adapted
    assert (len(t.singles), len(t.border), len(t.chain)) == parts
    assert t.linear == linear
    check_jacobian(space)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g) + (1 + x | g2)", "y ~ s(x, k = 5) + (1 | g) + (1 + x | g2)"])
def test_the_law_beside_an_integral_has_the_jacobian_of_the_map(formula, monkeypatch):
    """Crossed factors that are too many for one integral: the largest is integrated out, the other follows its own law."""
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_CROSSED", 0)
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_RATIOS", 0)
    monkeypatch.setattr("brim.coordinates.adapted.which.MOST_BORDER", 0)
    space = anywhere(formula, "gaussian")
    assert len(space.plan.integrated.blocks) == len(space.plan.adapted.chain) == 1
    assert not space.plan.integrated.crossed
    check_jacobian(space)


@pytest.mark.parametrize(
    ("formula", "family"), [("ycount ~ x + (1 + x | g) + (1 | g2)", "poisson"), ("y ~ x + (1 | g) + (1 | g2)", "gaussian")]
)
@pytest.mark.parametrize("law", ["horseshoe", "R2D2"])
def test_density_with_standard_deviations_that_are_computed(formula, family, law):
    """Under a joint shrinkage prior ``sd`` is no parameter: ``theta`` holds what it follows from."""
    space = anywhere(formula, family, prior=prior(f"{law}(main = TRUE)") + prior(f"{law}()", class_="sd"), marginalize=False)
    names = [p.name for p in space.plan.adapted.rest.params]
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
    monkeypatch.setattr("brim.coordinates.adapted.which.MOST_BORDER", 0)
    space = anywhere(formula, "poisson" if isinstance(formula, str) else "negbinomial")
    t = space.plan.adapted
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
    t, values = space.plan.adapted, space.target.data
    assert set(t.latents) == set(fit.model.blocks)
    theta = t.rest.layout.center()
    theta[values["working"].at] = values["working"].theta
    e = np.random.default_rng(2).normal(size=space.plan.dim - space.plan.head)
    found = float(space.target.log_prob(np.concatenate([theta, e]), values))
    assert found - stats.norm.logpdf(e).sum() == pytest.approx(integrated(fit, t, theta), rel=1e-10)


def integrated(fit, t, theta):
    """log p(theta, y) by the multivariate normal law of y."""
    inputs, rest = fit.model.data(fit.frame), t.rest
    params, log_det = rest.layout.constrain(theta, inputs["fixed"])
    full = rest.transform(params, inputs["design"])
    priors = rest.log_prior(full, inputs["design"], inputs["prior"]) + rest.log_internal(full, inputs["design"], inputs["prior"])
    priors += sum(b.log_density(params, inputs["design"][b.key]) for b in t.latents)
    sizes = [k * n for k, n in t.shapes]

    def mean(z):
        parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        own = {b.standardised: z[at].reshape(shape) for b, at, shape in zip(t.latents, parts, t.shapes, strict=True)}
        every = fit.model.all_dpars(fit.model.transform({**params, **own}, inputs["design"]), inputs["design"])[0]
        return jnp.concatenate([dpars["mu"].value for dpars in every])

    zero = np.zeros(sum(sizes))
    b = np.asarray(jax.jacobian(mean)(zero))
    low = np.diag([float(params[f"sigma_{r.resp}" if r.resp else "sigma"]) for r in fit.model.responses]) @ np.asarray(
        params.get("Lrescor", np.eye(1))
    )
    law = stats.multivariate_normal(np.asarray(mean(zero)), b @ b.T + np.kron(low @ low.T, np.eye(len(SIM))))
    return float(law.logpdf(np.concatenate([SIM[r.name] for r in fit.model.responses])) + priors + log_det)
