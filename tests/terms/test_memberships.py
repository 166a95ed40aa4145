"""``mm(by = , pw = , cov = , dist = )``: with all weight on the first membership it is ``gr()`` of the first factor."""

import numpy as np
import pandas as pd
import pytest

from brim import BrimError, BrimWarning, bf, brm, lf

RNG = np.random.default_rng(5)
LEVELS = list("abcdef")
D = pd.DataFrame({"y": RNG.normal(size=36), "x": RNG.normal(size=36), "g": LEVELS * 6})
D["g2"] = RNG.permutation(D.g)
SIDE, WEIGHT = dict(zip(LEVELS, ["p q", "r"] * 3, strict=True)), dict(zip(LEVELS, range(1, 7), strict=True))
D = D.assign(one=1.0, none=0.0, b=D.g.map(SIDE), b2=D.g2.map(SIDE), w=D.g.map(WEIGHT), w2=D.g2.map(WEIGHT))
COV = pd.DataFrame(0.5 ** np.abs(np.subtract.outer(range(6), range(6))), index=LEVELS, columns=LEVELS)
FIRST = "weights = cbind(one, none)"


def log_joint(formula):
    """Log likelihood and log prior at the same unconstrained point."""
    fit = brm(formula, D, data2={"A": COV}, empty=True)
    q = 0.3 * np.sin(np.arange(1.0, fit.model.layout.dim + 1))
    import jax

    from brim.model.model import log_joint_function

    with jax.enable_x64(True):
        return float(log_joint_function(fit.model)(q, fit.model.data(fit.frame))), fit


@pytest.mark.parametrize(
    ("mm", "gr"),
    [
        ("by = cbind(b, b2)", "by = b"),
        ("pw = cbind(w, w2)", "pw = w"),
        ("cov = A", "cov = A"),
        ("dist = 'student'", "dist = 'student'"),
        ("by = cbind(b, b2), dist = 'student', cor = FALSE", "by = b, dist = 'student', cor = FALSE"),
    ],
)
def test_one_membership_is_a_plain_group(mm, gr):
    got, _ = log_joint(f"y ~ (1 + x | mm(g, g2, {FIRST}, {mm}))")
    want, _ = log_joint(f"y ~ (1 + x | gr(g, {gr}))")
    assert got == pytest.approx(want, rel=1e-10)


def test_names_of_memberships_by_levels():
    # brms 2.18: sd_mmgg2__Intercept:cbind(b, b2)r
    _, fit = log_joint("y ~ (1 | mm(g, g2, by = cbind(b, b2)))")
    assert {n for n in fit.variables() if n.startswith("sd")} == {f"sd_mmgg2__Intercept:cbind(b, b2){level}" for level in ("pq", "r")}


def test_predictions_of_new_levels_by_group():
    _, fit = log_joint("y ~ (1 | mm(g, g2, by = cbind(b, b2)))")
    drawn = fit.with_draws(pd.DataFrame({n: [0.1] for n in fit.variables() if n not in ("lprior", "lp__")}))
    new = D[:3].assign(g="new", b="r")
    assert np.isfinite(drawn.posterior_epred(newdata=new, allow_new_levels=True)).all()
    with pytest.raises(BrimError, match="is not a level of"):
        drawn.posterior_epred(newdata=new.assign(b="other"), allow_new_levels=True)


@pytest.mark.parametrize("given", ["by = b", "by = cbind(b)", "pw = cbind(w, w2, w)", "by = cbind(b, log(b2))"])
def test_memberships_need_a_column_each(given):
    with pytest.raises(BrimError):
        log_joint(f"y ~ (1 | mm(g, g2, {given}))")


def test_what_brms_refuses_or_warns_of():
    weights = pd.DataFrame(np.where(COV == 0.5, 0.7, 0.0), index=LEVELS)
    with pytest.warns(BrimWarning, match="values other than 0 count as 1"):
        brm("y ~ car(W, g)", D, data2={"W": weights}, empty=True)
    with pytest.warns(BrimWarning, match="has no row names"):
        brm("y ~ (1 | gr(g, cov = A))", D, data2={"A": COV.to_numpy()}, empty=True)
    square = np.eye(36)[::-1]
    refused = {
        "y ~ ar(x + one, g)": "the time of ar() is a column",
        "y ~ ar(gr = g/g2)": "the series of ar() are a column",
        "y ~ (me(x, one) | g)": "... + me(x, one) + (me(x, one) | g)",
    }
    for formula, words in refused.items():
        with pytest.raises(BrimError) as caught:
            brm(formula, D, empty=True)
        assert words in str(caught.value)
    with pytest.raises(BrimError, match="sar\\(\\) has one sigma"):
        brm(bf("y ~ sar(W)", "sigma ~ x"), D, data2={"W": square}, empty=True)


def test_factors_without_cell_means_in_group_terms():
    """brms: lf(sigma ~ 0 + f + (0 + f | g), cmc = FALSE) has b_sigma_fv and sd_g__sigma_fv alone."""
    d = pd.DataFrame({"y": np.arange(8.0), "f": list("uv") * 4, "g": list("aabbccdd")})
    fit = brm(bf("y ~ 1", lf("sigma ~ 0 + f + (0 + f | g)", cmc=False)), d, empty=True)
    assert [v for v in fit.variables() if v.startswith(("b_sigma", "sd_"))] == ["b_sigma_fv", "sd_g__sigma_fv"]
    values = dict.fromkeys(fit.variables(), 0.0) | {"sd_g__sigma_fv": 1.0, "r_g__sigma[b,fv]": 0.7}
    one = fit.with_draws(pd.DataFrame(values, index=[0]))
    np.testing.assert_allclose(np.log(one.posterior_epred(dpar="sigma"))[0], [0, 0, 0, 0.7, 0, 0, 0, 0], atol=1e-6)
