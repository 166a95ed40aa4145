"""What brim does with each latent vector of a model."""

import pytest

import brim
from adapted_models import COV, SIM
from brim import bf, prior, set_rescor
from brim.coordinates.choose import Wish, assign

DATA = SIM.assign(sdz=lambda d: 0.2 + 0.1 * d.se, gx=lambda d: d.groupby("g", observed=True).x.transform("mean"), gs=0.3)
OUT, A, S = "integrated", "adapted", "sampled"

#: formula, family, what is done with each vector in the order of the model
TABLE = [
    ("y ~ x", "gaussian", {}),
    ("ycount ~ x", "poisson", {}),
    # integrated out: Gaussian means
    ("y ~ x + (1 | g)", "gaussian", {"g effects": OUT}),
    ("y ~ x + (1 + x | gr(g, by = sex))", "gaussian", {"g effects": OUT}),
    ("y ~ x + (1 | gr(g, cov = A))", "gaussian", {"g effects": OUT}),
    ("y ~ x + (1 | g2 / f3)", "gaussian", {"g2 effects": OUT, "g2:f3 effects": OUT}),
    ("y | se(se) ~ x + (1 | g)", "gaussian", {"g effects": OUT}),
    ("y | weights(w) ~ x + (1 | g)", "gaussian", {"g effects": OUT}),
    ("y ~ s(x, k = 5)", "gaussian", {"s(x, k = 5)": OUT}),
    ("y ~ gp(x) + s(z, k = 4) + (1 | g)", "gaussian", {"g effects": OUT, "gp(x)": OUT, "s(z, k = 4)": OUT}),
    (bf("y ~ s(x, k = 5) + (1 | g)", "sigma ~ z"), "gaussian", {"g effects": OUT, "s(x, k = 5)": OUT}),
    # factors that cross, too
    ("y ~ x + (1 | g) + (1 | g2)", "gaussian", {"g effects": OUT, "g2 effects": OUT}),
    ("y ~ s(x, k = 5) + (1 | g) + (1 + x | g2)", "gaussian", {"g effects": OUT, "g2 effects": OUT, "s(x, k = 5)": OUT}),
    ("y ~ x + (1 | g2 / f3) + (1 | g)", "gaussian", {"g2 effects": OUT, "g2:f3 effects": OUT, "g effects": OUT}),
    ("y ~ x + (1 | mm(h1, h2))", "gaussian", {"mmh1h2 effects": OUT}),
    ("y ~ x + (1 | gr(g, cov = A)) + (1 + x | g2)", "gaussian", {"g effects": OUT, "g2 effects": OUT}),
    (bf("y ~ x + (1 | g) + (1 | g2)", "sigma ~ z"), "gaussian", {"g effects": OUT, "g2 effects": OUT}),
    # some integrated out, some adapted, some sampled
    ("y ~ x + (1 | g) + (1 | gr(g2, dist = 'student'))", "gaussian", {"g effects": A, "g2 effects": A}),
    ("y ~ s(x, k = 5) + (1 | gr(g2, dist = 'student'))", "gaussian", {"g2 effects": A, "s(x, k = 5)": A}),
    (bf("y ~ s(x, k = 5)", "sigma ~ s(z, k = 4)"), "gaussian", {"s(x, k = 5)": OUT, "s(z, k = 4)": S}),
    (bf("y ~ x + (1 | g)", "sigma ~ (1 | g2)"), "gaussian", {"g effects": A, "g2 effects": A}),
    ("y ~ x + (1 | gr(g, dist = 'student'))", "gaussian", {"g effects": A}),
    ("y ~ mo(xo) + (mo(xo) | g)", "gaussian", {"g effects": A}),
    # adapted: all else
    ("ycount ~ x + (1 + x | g) + (1 | g2)", "poisson", {"g effects": A, "g2 effects": A}),
    ("ycount ~ s(x, k = 5)", "poisson", {"s(x, k = 5)": A}),
    ("ycount ~ s(x, k = 5) + gp(z, k = 8, c = 1.25)", "poisson", {"s(x, k = 5)": A, "gp(z, k = 8, c = 1.25)": A}),
    ("ycount ~ s(x, k = 5) + (1 | g)", "poisson", {"g effects": A, "s(x, k = 5)": A}),
    ("ycount ~ t2(x, z, k = 3) + (1 | mm(h1, h2))", "poisson", {"mmh1h2 effects": A, "t2(x, z, k = 3)": A}),
    ("ycount ~ gp(w) + (1 | g)", "poisson", {"g effects": A, "gp(w)": S}),
    ("yord ~ s(x, k = 5)", "cumulative", {"s(x, k = 5)": A}),
    ("ycat ~ x + (1 | g)", "categorical", {"g effects": A}),
    (bf("zcount ~ x + (1 | g)", "zi ~ s(z, k = 4)"), "zero_inflated_poisson", {"g effects": A, "s(z, k = 4)": A}),
    (bf("ypos ~ a * exp(k * x)", "a ~ 1 + (1 | g)", "k ~ 0 + z", nl=True), "gamma", {"g effects": A}),
    (bf("y ~ x + (1 | p | g)") + bf("y2 ~ z + (1 | p | g)") + set_rescor(True), "gaussian", {"g effects": A}),
    (bf("y ~ mi(xmis) + (1 | g)") + bf("xmis | mi() ~ z + (1 | g)") + set_rescor(False), "gaussian", {"g effects": A}),
    # noise-free values
    ("y ~ me(x, sdx)", "gaussian", {"noise-free values": A}),
    ("ycount ~ me(x, sdx)", "poisson", {"noise-free values": A}),
    ("y ~ me(x, sdx) + (1 | g)", "gaussian", {"noise-free values": A, "g effects": OUT}),
    ("ycount ~ me(x, sdx) + (1 | g)", "poisson", {"noise-free values": A, "g effects": A}),
    ("y ~ me(x, sdx) + (1 | g) + (1 | g2)", "gaussian", {"noise-free values": A, "g effects": OUT, "g2 effects": OUT}),
    ("y ~ me(x, sdx) + me(gx, gs, gr = g)", "gaussian", {"noise-free values": A, "noise-free values by g": A}),
    # sampled as they are
    ("yord ~ x + (cs(x) | g)", "acat", {"g effects": S}),
    ("ycount ~ x + (1 | gr(g, pw = gw))", "poisson", {"g effects": S}),
    (bf("y ~ x + (1 | g)"), brim.mixture("gaussian", nmix=2), {"g effects": S}),
    ("y ~ x + ar(t, person) + (1 | g)", "gaussian", {"g effects": S}),
]


def plan(formula, family="gaussian", **wish):
    fit = brim.brm(formula, data=DATA, family=family, data2={"A": COV}, empty=True)
    return assign(fit.model, fit.frame, Wish(**wish))


@pytest.mark.parametrize(("formula", "family", "expected"), TABLE)
def test_what_is_done_with_each_vector(formula, family, expected):
    found = plan(formula, family).treatments
    assert {t.latent: t.how for t in found} == expected
    assert all(t.information or t.how == S for t in found)
    assert all(t.why or t.how == OUT or t.latent.startswith("noise") for t in found)  # why not more


def test_crossed_factors_that_are_too_many_have_a_law_of_their_own(monkeypatch):
    """A surface through values of their integral; else beside the integral over the largest, or all by one joint law if few enough."""
    monkeypatch.setattr("brim.coordinates.integrated.which.MOST_CROSSED", 0)
    found = plan("y ~ x + (1 | g) + (1 | g2)").treatments
    assert {t.how for t in found} == {OUT}
    assert {t.information for t in found} == {"a surface through values of a sparse factorisation"}
    assert {t.how for t in plan("y ~ x + (1 | g) + (1 | g2)", scattered=False).treatments} == {A}
    monkeypatch.setattr("brim.coordinates.adapted.which.MOST_BORDER", 0)
    found = {t.latent: t for t in plan("y ~ x + (1 | g) + (1 | g2)", scattered=False).treatments}
    assert {name: t.how for name, t in found.items()} == {"g effects": OUT, "g2 effects": A}
    assert found["g2 effects"].why == "its levels and those of g effects lie across each other, and are too many"


@pytest.mark.parametrize(
    ("formula", "family", "wish", "text"),
    [
        ("y ~ x + (1 | g)", "gaussian", {}, "g effects: integrated, sums over rows, taken once"),
        ("y ~ x + (1 | g) + (1 | g2)", "gaussian", {}, "g2 effects: integrated, sums over rows, taken once"),
        (
            "y ~ x + (1 | g) + (1 | gr(g2, dist = 'student'))",
            "gaussian",
            {},
            "g effects: adapted, the likelihood, expanded at the data (group effects are adapted together with those that cannot be)",
        ),
        (
            "ycount ~ x + (1 | g)",
            "poisson",
            {"adapted": False},
            "g effects: sampled (adapted_effects = False)",
        ),
        ("y ~ x + (1 | g)", "gaussian", {"marginalize": False, "algorithm": "pathfinder"}, "g effects: sampled (algorithm = 'pathfinder')"),
        ("ycount ~ x + (1 | gr(g, pw = gw))", "poisson", {}, "g effects: sampled (the prior densities of 'g' are weighted)"),
        ("y ~ me(x, sdx)", "gaussian", {}, "noise-free values: adapted, measurements and the response y"),
        (
            bf("y ~ s(x, k = 5)", "sigma ~ s(z, k = 4)"),
            "gaussian",
            {},
            "s(z, k = 4): sampled (beside the integral over s(x, k = 5) only vectors of the mean are adapted)",
        ),
    ],
)
def test_a_treatment_says_why(formula, family, wish, text):
    assert text in [str(t) for t in plan(formula, family, **wish).treatments]


@pytest.mark.parametrize(
    ("algorithm", "formula", "family", "expected"),
    [
        ("map", "y ~ x + (1 | g)", "gaussian", [OUT]),
        ("map", "y ~ x + (1 | g) + (1 | g2)", "gaussian", [OUT, OUT]),
        ("map", bf("y ~ x + (1 | g)", "sigma ~ (1 | g2)"), "gaussian", [A, A]),
        ("map", "ycount ~ s(x, k = 5)", "poisson", [A]),
        ("laplace", "ycount ~ x + (1 | gr(g, dist = 'student'))", "poisson", [S]),
        ("pathfinder", "y ~ x + (1 | g)", "gaussian", [OUT]),
        ("pathfinder", "ycount ~ x + (1 | g)", "poisson", [S]),
        ("", "ycount ~ x + (1 | g)", "poisson", [S]),
    ],
)
def test_algorithms_differ_in_what_they_take(algorithm, formula, family, expected):
    assert [t.how for t in plan(formula, family, algorithm=algorithm).treatments] == expected


def test_equal_structures_have_equal_plans():
    """The compiled program is that of the plan: other numbers of the same shape do not change it."""
    formula = "ycount ~ s(x, k = 5) + (1 | g)"
    one = plan(formula, "poisson")
    fit = brim.brm(formula, data=DATA.assign(ycount=DATA.ycount + 1), family="poisson", prior=prior("normal(0, 2)"), empty=True)
    other = plan(formula, "poisson")
    assert one == other
    assert hash(one) == hash(other)
    assert assign(fit.model, fit.frame, Wish()) != one  # another prior
