"""Thresholds of ordinal mixtures and of custom ordinal families."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import brim
from brim import bf, brm, cumulative, custom_family, mixture, prior

RNG = np.random.default_rng(1)
D = pd.DataFrame({"x": RNG.normal(2, 1, 30), "o": np.resize([1, 2, 3, 4], 30), "h": np.resize([0, 1, 2, 3, 4], 30)})
D["g"] = np.resize(["u", "v"], 30)


def rows(fit, class_):
    """Coefficients, groups and parameters of the prior rows of a class."""
    table = fit.prior_summary()
    return [tuple(r) for r in table.loc[table["class"] == class_, ["coef", "group", "dpar"]].to_numpy()]


@pytest.mark.parametrize("families", [("cumulative", "cumulative"), ("sratio", "cumulative"), ("cumulative", cumulative("probit"))])
def test_components_in_order_have_the_same_thresholds(families):
    """get_prior() and make_stancode() of brms 2.18, mixture(..., order = "mu"): fixed_Intercept, uncentred, one prior."""
    fit = brm("o ~ x", D, mixture(*families, order="mu"), prior("normal(1, 2)", class_="Intercept"), empty=True)
    assert rows(fit, "Intercept") == [("", "", ""), ("1", "", ""), ("2", "", ""), ("3", "", "")]
    names = [f"b_mu{k}_Intercept[{j}]" for k in (1, 2) for j in (1, 2, 3)]
    assert fit.variables()[:8] == [*names, "b_mu1_x", "b_mu2_x"]
    tau, b = np.array([-1.0, 0.2, 1.5]), np.array([0.5, -0.3])
    values = {**dict(zip(names, [*tau, *tau], strict=True)), "b_mu1_x": b[0], "b_mu2_x": b[1], "theta1": 0.3, "theta2": 0.7}
    one = fit.with_draws(pd.DataFrame({**values, "disc1": 1.0, "disc2": 1.0}, index=[0]))
    normal = dist.Normal(1.0, 2.0).log_prob(tau).sum()
    assert float(one.log_prior()[0]) == pytest.approx(float(normal), abs=1e-6)  # a flat dirichlet of two adds log 1
    if families[0] == families[1] == "cumulative":
        plain = brm("o ~ x", D, "cumulative", empty=True)
        each = [
            plain.with_draws(pd.DataFrame({**{f"b_Intercept[{j + 1}]": t for j, t in enumerate(tau)}, "b_x": v, "disc": 1.0}, index=[0]))
            for v in b
        ]
        both = np.logaddexp(np.log(0.3) + each[0].log_lik(), np.log(0.7) + each[1].log_lik())
        np.testing.assert_allclose(one.log_lik(), both, rtol=1e-6)


def test_groups_of_thresholds_are_shared_too():
    fit = brm("o | thres(3, gr = g) ~ x", D, mixture("cratio", "acat", order="mu"), empty=True)
    assert [c for c in rows(fit, "Intercept") if c[0] == ""] == [("", "", ""), ("", "u", ""), ("", "v", "")]
    assert fit.variables()[:2] == ["b_mu1_Intercept[u,1]", "b_mu1_Intercept[u,2]"]


def test_thresholds_that_cannot_be_shared():
    with pytest.raises(brim.BrimError, match="equidistant thresholds cannot be"):
        brm("o ~ x", D, mixture(cumulative(threshold="equidistant"), nmix=2, order="mu"), empty=True)
    with pytest.raises(brim.BrimError, match="different kinds or numbers"):
        brm("o ~ x", D, mixture(cumulative(threshold="sum_to_zero"), "cumulative", order="mu"), empty=True)


def test_thresholds_are_those_of_their_own_predictor():
    """brms: b_mu2_Intercept = Intercept_mu2 + mean(x) b_mu2, b_mu1_Intercept = Intercept_mu1 where mu1 ~ 1."""
    given = prior("normal(0, 1)", class_="Intercept", dpar="mu1") + prior("normal(0, 1)", class_="Intercept", dpar="mu2")
    fit = brm(bf("o ~ x", "mu1 ~ 1"), D, mixture("cumulative", nmix=2), given, empty=True)
    tau = np.array([-1.0, 0.2, 1.5])
    values = {f"b_mu{k}_Intercept[{j + 1}]": tau[j] for k in (1, 2) for j in range(3)}
    one = fit.with_draws(pd.DataFrame({**values, "b_mu2_x": 0.5, "theta1": 0.3, "theta2": 0.7, "disc1": 1.0, "disc2": 1.0}, index=[0]))
    wanted = dist.Normal(0.0, 1.0).log_prob(np.concatenate([tau, tau - 0.5 * D.x.mean()])).sum()
    assert float(one.log_prior()[0]) == pytest.approx(float(wanted), rel=1e-5)


def _hurdle(mu, hu, thres):
    above = dist.OrderedLogistic(mu, thres).probs
    hu = jnp.broadcast_to(hu, mu.shape)[:, None]
    return dist.CategoricalProbs(jnp.concatenate([hu, (1.0 - hu) * above], axis=-1))


CUSTOM = {
    "cumulative": (
        "o",
        custom_family(
            "by_hand", lambda mu, disc, thres: dist.OrderedLogistic(disc * mu, disc * thres), ["mu", "disc"], ["identity", "log"],
            type="int", specials=["ordinal", "ordered_thres"],
        ),
    ),
    "hurdle_cumulative": (
        "h",
        custom_family(
            "by_hand", _hurdle, ["mu", "hu"], ["identity", "logit"], [None, 0.0], [None, 1.0],
            type="int", specials=["ordinal", "ordered_thres", "extra_cat"],
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUSTOM)
def test_custom_ordinal_families(name):
    y, family = CUSTOM[name]
    mine, known = (brm(f"{y} ~ x", D, f, empty=True) for f in (family, name))
    assert [v for v in known.variables() if v != "disc"] == [v for v in mine.variables() if v != "disc"]
    values = {v: 0.3 + 0.1 * i for i, v in enumerate(known.variables())} | {"disc": 1.0}
    a, b = (f.with_draws(pd.DataFrame(values, index=[0])) for f in (mine, known))
    np.testing.assert_allclose(a.log_lik(), b.log_lik(), rtol=1e-5)
    np.testing.assert_allclose(a.posterior_epred(), b.posterior_epred(), rtol=1e-5)
    assert set(np.unique(a.posterior_predict(draw_ids=[0] * 20, seed=1))) <= set(np.unique(D[y]))
    np.testing.assert_allclose(a.log_prior(), b.log_prior(), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"specials": ["ordinal"]}, "are for ordinal families"),
        ({"specials": ["ordinl"], "type": "int"}, "no special 'ordinl'"),
        ({"specials": "ordinal", "type": "int"}, "takes no 'thres'"),
    ],
)
def test_what_an_ordinal_family_needs(given, message):
    with pytest.raises(brim.BrimError, match=message):
        custom_family("f", lambda mu: None, **given)


@pytest.mark.parametrize(("slopes", "reversed_"), [((0.1, 0.2, 0.3), False), ((2.0, -2.0, 0.0), True)])
def test_category_specific_effects_of_ordered_thresholds(slopes, reversed_):
    """brms: allowed with a warning; ``F(tau_k - b_k x) - F(tau_(k-1) - b_(k-1) x)``, nothing where that is negative."""
    with pytest.warns(brim.BrimWarning, match="may reverse its thresholds"):
        fit = brm("o ~ cs(x)", D, "cumulative", empty=True)
    tau = np.array([-1.0, 0.2, 1.0])
    values = {f"b_Intercept[{k + 1}]": tau[k] for k in range(3)} | {f"bcs_x[{k + 1}]": slopes[k] for k in range(3)}
    one = fit.with_draws(pd.DataFrame({**values, "disc": 1.0}, index=[0]))
    below = 1 / (1 + np.exp(np.multiply.outer(D.x.to_numpy(), slopes) - tau))
    chances = np.diff(np.c_[np.zeros(30), below, np.ones(30)], axis=1)
    np.testing.assert_allclose(one.posterior_epred()[0], np.maximum(chances, 0.0), atol=1e-6)
    mine = chances[np.arange(30), D.o - 1]
    assert (mine < 0).any() == reversed_
    np.testing.assert_array_equal(np.isneginf(one.log_lik()[0]), mine < 0)


def test_thresholds_are_constant_as_a_whole():
    """brms: can either estimate or fix all values."""
    given = prior("normal(0, 1)", class_="Intercept") + prior("constant(3)", class_="Intercept", coef="2")
    with pytest.raises(brim.BrimError, match="some elements are constant and others are not"):
        brm("o ~ x", D, "cumulative", given, empty=True)
