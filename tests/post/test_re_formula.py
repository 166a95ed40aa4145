"""re_formula: terms are compared, not coefficients; new data need the columns of what is predicted only. ``0 + Intercept``."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import bf, prior
from brim.errors import BrimError

pytestmark = pytest.mark.default_precision
RNG = np.random.default_rng(5)
D = pd.DataFrame(
    {"x": RNG.normal(size=48), "z": RNG.normal(size=48), "f": list("abc") * 16, "g": np.repeat(list("pqrs"), 12), "h": list("uv") * 24}
)
D = D.assign(k=np.tile([0, 1, 2, 1], 12), y=RNG.normal(size=48), o=np.tile([1, 2, 3], 16), w=np.tile(list("pqrs"), 12))


def drawn(formula, family="gaussian", **kwargs):
    fit = brim.brm(formula, D, family, empty=True, **kwargs)
    rng = np.random.default_rng(2)
    positive = ("sd_", "sigma", "simo")
    return fit.with_draws(
        pd.DataFrame({v: rng.uniform(0.2, 0.8, 3) if v.startswith(positive) else rng.normal(size=3) for v in fit.variables()})
    )


MODELS = [
    "y ~ x * f + (1 + f | g)",
    "y ~ x + (poly(x, 2) | g)",
    "y ~ x * f + (f * x | g)",
    "y ~ x + (x + f || g)",
    "y ~ x + (log(x + 10) | g / h)",
    "y ~ mo(k) + x + (mo(k) + x | g)",
    "y ~ x + (x | mm(g, w))",
    "y ~ x + (0 + Intercept + x | g)",
]


@pytest.fixture(scope="module")
def fits():
    return {m: drawn(m) for m in MODELS}


def without(fit, group_effects):
    """The fit with these draws of r_ at zero."""
    draws = fit.as_draws_df()
    return fit.with_draws(draws.assign(**{c: 0.0 for c in draws if c.startswith("r_") and group_effects(c)}))


@pytest.mark.parametrize("model", MODELS)
def test_the_models_own_terms_are_all_effects(fits, model):
    fit = fits[model]
    own = model[model.index(" + (") :]
    np.testing.assert_allclose(fit.posterior_linpred(re_formula=own.removeprefix(" + ")), fit.posterior_linpred())
    np.testing.assert_allclose(fit.posterior_linpred(re_formula="~ 1"), fit.posterior_linpred(re_formula=False))


@pytest.mark.parametrize(
    ("model", "kept", "zero"),
    [
        ("y ~ x * f + (1 + f | g)", "(1 | g)", lambda c: ",f" in c),
        ("y ~ x * f + (1 + f | g)", "(0 + f | g)", lambda c: "Intercept" in c),
        ("y ~ x + (poly(x, 2) | g)", "(1 | g)", lambda c: "poly" in c),
        ("y ~ x + (poly(x, 2) | g)", "(0 + poly(x,2) | g)", lambda c: "Intercept" in c),
        ("y ~ x * f + (f * x | g)", "(x + f | g)", lambda c: ":" in c),
        ("y ~ x * f + (f * x | g)", "(0 + x:f | g)", lambda c: ":" not in c),
        ("y ~ x + (x + f || g)", "(x || g)", lambda c: ",f" in c),
        ("y ~ x + (log(x + 10) | g / h)", "(log(x+10) | g) + (1 | h:g)", lambda c: c.startswith("r_g:h") and "log" in c),
        ("y ~ mo(k) + x + (mo(k) + x | g)", "(mo(k) | g)", lambda c: c.endswith(",x]")),
        ("y ~ mo(k) + x + (mo(k) + x | g)", "(1 + x | g)", lambda c: "mok" in c),
        ("y ~ x + (x | mm(g, w))", "(1 | mm(g, w))", lambda c: c.endswith(",x]")),
        ("y ~ x + (0 + Intercept + x | g)", "(1 | g)", lambda c: c.endswith(",x]")),
    ],
)
def test_a_part_of_the_terms(fits, model, kept, zero):
    """As if the draws of the other effects were zero; for new rows too."""
    fit = fits[model]
    wanted = without(fit, zero).posterior_linpred()
    np.testing.assert_allclose(fit.posterior_linpred(re_formula=kept), wanted)
    np.testing.assert_allclose(fit.posterior_linpred(D.iloc[5:9], re_formula=kept), wanted[:, 5:9])


@pytest.mark.parametrize(
    ("model", "kept", "columns"),
    [
        ("y ~ 1 + (1 + x * f | g)", "(1 | g)", ["g"]),
        ("y ~ 1 + (1 + x * f | g)", "(1 + f | g)", ["g", "f"]),
        ("y ~ z + (x | g) + (f | w)", "(f | w)", ["z", "w", "f"]),
        ("y ~ z + (x | g) + (f | w)", False, ["z"]),
        ("y ~ 1 + (1 + mmc(x, z) | mm(g, w))", "(1 | mm(g, w))", ["g", "w"]),
    ],
)
def test_new_data_need_no_columns_of_effects_left_out(model, kept, columns):
    fit = drawn(model)
    np.testing.assert_allclose(fit.posterior_epred(D[columns].iloc[:7], re_formula=kept), fit.posterior_epred(D.iloc[:7], re_formula=kept))
    with pytest.raises(BrimError, match="unknown column"):
        fit.posterior_epred(D[[*columns[1:], "y"]].iloc[:7], re_formula=kept)


def test_category_specific_effects_in_part():
    fit = drawn("o ~ 1 + (cs(1 + x) | g)", "sratio")
    np.testing.assert_allclose(fit.posterior_epred(re_formula="(cs(1 + x) | g)"), fit.posterior_epred())
    wanted = without(fit, lambda c: ",x[" in c).posterior_epred()
    np.testing.assert_allclose(fit.posterior_epred(D[["g"]], re_formula="(cs(1) | g)"), wanted)


def test_terms_and_groups_that_the_model_lacks(fits):
    fit = fits["y ~ x * f + (1 + f | g)"]
    for wrong, said in (
        ("(1 + x | g)", "no effect of 'x' by 'g'"),
        ("(1 | w)", "no effect of 'Intercept' by 'w'"),
        ("(f:x | g)", "'f:x' by 'g'"),
    ):
        with pytest.raises(BrimError, match=said):
            fit.posterior_epred(re_formula=wrong)


@pytest.mark.parametrize(
    ("formula", "more"),
    [
        ("y ~ 0 + Intercept + f * x", {}),
        ("y ~ 0 + intercept + x", {}),
        (bf("y ~ x", "sigma ~ 0 + Intercept + z"), {}),
        (bf("y ~ a * x", "a ~ 0 + Intercept + f", nl=True), {"prior": prior("normal(0, 1)", nlpar="a")}),
        ("y ~ 0 + Intercept + (0 + Intercept + x | g)", {}),
    ],
)
def test_the_intercept_as_a_column_is_not_asked_of_new_data(formula, more):
    fit = drawn(formula, **more)
    np.testing.assert_allclose(fit.posterior_epred(D.iloc[3:9]), fit.posterior_epred()[:, 3:9])
    np.testing.assert_allclose(fit.log_lik(D.iloc[3:9]), fit.log_lik()[:, 3:9])
    assert set(fit.conditional_effects()) <= {"x", "z", "f", "x:f"}
