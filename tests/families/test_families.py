"""Families: densities, tails, means and default priors against scipy and brms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import brim
from brim.errors import BrimError
from brim.families import Seen
from brim.families.base import Dpar
from brim.families.links import LINKS
from brim.families.registry import CONSTRUCTORS, family
from brim.parameters.param import Where

Y = np.array([0.0, 1.0, 3.0, 7.0])
MU = np.array([0.2, 0.5, 0.7, 0.9])


def dist(name, data=None, **values):
    """The distribution of a family with its default links switched off: parameters given as they are."""
    dpars = {k: Dpar(jnp.asarray(v)) for k, v in values.items()}
    return family(name).distribution(dpars, data or {})


def test_gaussian_against_scipy():
    d, y = dist("gaussian", mu=MU, sigma=1.7), np.array([-60.0, 0.1, 2.0, 60.0])
    ref = stats.norm(MU, 1.7)
    np.testing.assert_allclose(d.log_prob(y), ref.logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(y), ref.logcdf(y), rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(d.log_survival(y), ref.logsf(y), rtol=1e-10, atol=1e-300)


def test_student_against_scipy():
    d, y = dist("student", mu=MU, sigma=1.7, nu=3.5), np.array([-1e6, 0.1, 2.0, 1e6])
    ref = stats.t(3.5, MU, 1.7)
    np.testing.assert_allclose(d.log_prob(y), ref.logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(y), ref.logcdf(y), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(d.log_survival(y), ref.logsf(y), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(("sigma", "scale"), [({}, 0.5), ({"sigma": 1.2}, 1.3), ({"sigma": 0.0}, 0.5)])
def test_known_standard_errors_join_sigma(sigma, scale):
    d = dist("gaussian", {"se": jnp.asarray(0.5)}, mu=1.0, **sigma)
    np.testing.assert_allclose(d.scale, scale, rtol=1e-15)


def test_bernoulli_and_binomial_against_scipy():
    np.testing.assert_allclose(
        dist("bernoulli", mu=MU).log_prob(np.array([0, 1, 1, 0])), stats.bernoulli(MU).logpmf([0, 1, 1, 0]), rtol=1e-12
    )
    d, ref = dist("binomial", {"trials": np.full(4, 9.0)}, mu=MU), stats.binom(9, MU)
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=1e-9)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=1e-9)
    np.testing.assert_allclose(d.mean, 9 * MU)


def test_poisson_and_rate_against_scipy():
    d, ref = dist("poisson", {"rate": 2.5}, mu=MU), stats.poisson(2.5 * MU)
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=1e-12)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=1e-10)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=1e-10)
    np.testing.assert_allclose(d.mean, 2.5 * MU)


@pytest.mark.parametrize("shape", [0.3, 4.0, 1e7])
def test_negbinomial_and_rate_against_scipy(shape):
    d = dist("negbinomial", {"rate": 2.5}, mu=MU, shape=shape)
    ref = stats.nbinom(2.5 * shape, shape / (shape + MU))
    tol = 1e-6 if shape > 1e6 else 1e-10  # scipy's own cancellation
    np.testing.assert_allclose(d.log_prob(Y), ref.logpmf(Y), rtol=tol)
    np.testing.assert_allclose(d.log_cdf(Y), ref.logcdf(Y), rtol=tol)
    np.testing.assert_allclose(d.log_survival(Y), ref.logsf(Y), rtol=tol)


@pytest.mark.parametrize("name", ["poisson", "negbinomial", "binomial"])
def test_kernel_differs_from_density_by_a_constant(name):
    data = {"trials": jnp.asarray(9.0)} if name == "binomial" else {}
    more = {"shape": 2.0} if name == "negbinomial" else {}
    one, two = dist(name, data, mu=0.3, **more), dist(name, data, mu=0.8, **dict.fromkeys(more, 5.0))
    np.testing.assert_allclose(one.log_prob(Y) - one.log_kernel(Y), two.log_prob(Y) - two.log_kernel(Y), rtol=1e-12)


# brms 2.18: get_prior(bf(y ~ x), data, family), and with the parameter predicted under its default link
PRIORS = {
    ("gaussian", "sigma"): ("scale", "scale"),
    ("student", "nu"): ("gamma(2, 0.1)", "normal(2.7, 0.8)"),
    ("skew_normal", "alpha"): ("normal(0, 4)", "normal(0, 4)"),
    ("exgaussian", "beta"): ("gamma(1, 0.1)", "normal(1.7, 1.3)"),
    ("asym_laplace", "quantile"): ("beta(1, 1)", "logistic(0, 1)"),
    ("gen_extreme_value", "xi"): ("normal(0, 2.5)", "normal(0, 4)"),
    ("shifted_lognormal", "ndt"): ("uniform(0, min_Y)", ""),
    ("wiener", "bs"): ("gamma(1, 1)", "normal(-0.6, 1.3)"),
    ("wiener", "bias"): ("beta(1, 1)", "logistic(0, 1)"),
    ("frechet", "nu"): ("gamma(2, 0.1)", "normal(2.7, 0.8)"),
    ("gamma", "shape"): ("gamma(0.01, 0.01)", "student_t(3, 0, 2.5)"),
    ("beta", "phi"): ("gamma(0.01, 0.01)", "student_t(3, 0, 2.5)"),
    ("von_mises", "kappa"): ("gamma(2, 0.01)", "normal(5.0, 0.8)"),
    ("cumulative", "disc"): ("lognormal(0, 1)", "normal(0, 1)"),
    ("hurdle_poisson", "hu"): ("beta(1, 1)", "logistic(0, 1)"),
    ("zero_inflated_beta", "zi"): ("beta(1, 1)", "logistic(0, 1)"),
    ("zero_one_inflated_beta", "zoi"): ("beta(1, 1)", "logistic(0, 1)"),
    ("zero_one_inflated_beta", "coi"): ("beta(1, 1)", "logistic(0, 1)"),
    # brms 2.23
    ("negbinomial", "shape"): ("inv_gamma(0.4, 0.3)", "student_t(3, 0, 2.5)"),
    ("hurdle_negbinomial", "shape"): ("inv_gamma(0.4, 0.3)", "student_t(3, 0, 2.5)"),
    ("zero_inflated_negbinomial", "shape"): ("inv_gamma(0.4, 0.3)", "student_t(3, 0, 2.5)"),
    ("negbinomial2", "sigma"): ("gamma(0.4, 0.3)", "scale"),
    ("xbeta", "kappa"): ("gamma(0.01, 0.01)", "student_t(3, 0, 2.5)"),
    ("von_mises", "mu"): ("location", "student_t(1, 0, 1)"),
}


@pytest.mark.parametrize(("name", "dpar"), PRIORS)
def test_default_priors(name, dpar):
    spec = family(name).spec(dpar)
    assert (spec.prior, spec.intercept_prior) == PRIORS[name, dpar]
    assert spec.prior_of_intercept("identity") == spec.prior
    assert spec.prior_of_intercept(spec.links[-1]) in (spec.prior, spec.intercept_prior)


# brms 2.18: brms:::.family_<name>()$links (in its order), the further parameters' links from brms:::links_dpars(dpar)
LINKS_OF_MU = {
    "gaussian": "identity log inverse softplus squareplus logit probit probit_approx cloglog cauchit softit",
    "bernoulli": "logit probit probit_approx cloglog cauchit softit identity log",
    "beta_binomial": "logit probit probit_approx cloglog cauchit softit identity",
    "zero_inflated_beta_binomial": "logit probit probit_approx cloglog cauchit softit identity log",
    "poisson": "log identity sqrt softplus squareplus",
    "discrete_weibull": "logit probit probit_approx cloglog cauchit softit identity",
    "gamma": "log identity inverse softplus squareplus",
    "lognormal": "identity inverse",
    "wiener": "identity log softplus squareplus",
    "inverse_gaussian": "1/mu^2 inverse identity log softplus squareplus",
    "von_mises": "tan_half identity",
    "cumulative": "logit probit probit_approx cloglog cauchit softit",
    "sratio": "logit probit probit_approx cloglog cauchit",
    "cox": "log identity softplus squareplus",
    "hurdle_gamma": "log identity inverse softplus squareplus",
}


@pytest.mark.parametrize("name", LINKS_OF_MU)
def test_links_are_those_of_brms(name):
    links = family(name).spec("mu").links
    assert " ".join(one for one in links if one != "loglog") == LINKS_OF_MU[name]
    assert ("loglog" in links) == ("cloglog" in links)  # no link of brms: that of rstanarm's stan_polr()


DPARS = {
    "shifted_lognormal": "mu sigma ndt",
    "wiener": "mu bs ndt bias",
    "zero_inflated_asym_laplace": "mu sigma quantile zi",
    "zero_one_inflated_beta": "mu phi zoi coi",
    "hurdle_cumulative": "mu hu disc",
    "xbeta": "mu phi kappa",
    "exponential": "mu",
    "negbinomial2": "mu sigma",
}


@pytest.mark.parametrize("name", DPARS)
def test_parameters_are_those_of_brms(name):
    assert " ".join(s.name for s in family(name).dpars) == DPARS[name]


def test_links_are_chosen_by_argument():
    fam = brim.student("log", link_nu="identity")
    assert fam.links == {"mu": "log", "sigma": "log", "nu": "identity"}
    assert fam.link("nu") is LINKS["identity"]
    assert family("student", link="inverse").links["mu"] == "inverse"
    assert family(brim.poisson).links == {"mu": "log"}
    assert repr(brim.student()) == "student(mu = identity, sigma = log, nu = logm1)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: family("gausian"), "unknown family 'gausian'\ndid you mean 'gaussian'"),
        (lambda: brim.poisson("logit"), "link 'logit' of mu is not one of poisson's"),
        (lambda: brim.student(link_sigma="lgo"), "link 'lgo' of sigma is not one of student's\ndid you mean 'log'?"),
        (lambda: brim.student(link_sgma="log"), "student() has no argument 'link_sgma'\ndid you mean 'link_sigma'"),
        (lambda: brim.student("log", "log", "log", "log"), "student() has 4 arguments; it takes 3"),
        (lambda: brim.student().spec("shape"), "family 'student' has no parameter 'shape'"),
    ],
)
def test_wrong_names_are_told(call, message):
    with pytest.raises(BrimError) as info:
        call()
    assert message in str(info.value)


@pytest.mark.parametrize(
    ("name", "y", "data", "message"),
    [
        ("poisson", [0, -1, 2.5], {}, "poisson needs non-negative whole numbers; rows 1, 2 (counted from 0) hold -1, 2.5"),
        ("bernoulli", [0, 1, 2], {}, "bernoulli needs 0 and 1 (or logicals, or a factor of two levels); row 2 (counted from 0) holds 2"),
        ("binomial", [3, 5], {"trials": np.array([4, 4])}, "whole numbers from 0 to the number of trials; row 1 (counted from 0) holds 5"),
        ("gaussian", [1.0, np.inf], {}, "gaussian needs finite numbers; row 1 (counted from 0) holds inf"),
        ("negbinomial", [-1] * 7, {}, "rows 0, 1, 2, 3, 4 and 2 more (counted from 0) hold -1, -1, -1, -1, -1"),
        ("beta", [0.2, 1.2, 0.0], {}, "beta needs numbers between 0 and 1, both excluded; rows 1, 2 (counted from 0) hold 1.2, 0"),
        ("zero_inflated_beta", [0.0, 1.0], {}, "row 1 (counted from 0) holds 1"),
        ("zero_one_inflated_beta", [0.0, 1.0, 1.5], {}, "numbers from 0 to 1; row 2 (counted from 0) holds 1.5"),
        ("gamma", [1.0, 0.0], {}, "gamma needs positive numbers; row 1 (counted from 0) holds 0"),
        ("hurdle_gamma", [0.0, -1.0], {}, "hurdle_gamma needs 0 or positive numbers; row 1 (counted from 0) holds -1"),
        ("von_mises", [3.0, 4.0], {}, "angles from -pi to pi; row 1 (counted from 0) holds 4"),
        ("cumulative", [1, 2, 0], {}, "an ordered factor or whole numbers from 1; row 2 (counted from 0) holds 0"),
        ("cumulative", [1, 5], {"nthres": 3}, "an ordered factor or whole numbers from 1 to 4; row 1 (counted from 0) holds 5"),
        ("dirichlet", [[0.2, 0.8], [0.5, 0.6]], {}, "rows of positive numbers that sum to 1; row 1 (counted from 0) holds (0.5, 0.6)"),
        ("multinomial", [[1, 2], [3, 3]], {"trials": np.array([3, 5])}, "sum to the number of trials; row 1 (counted from 0) holds (3, 3)"),
        ("cox", [0.0, -1.0], {}, "cox needs times from 0 on; row 1 (counted from 0) holds -1"),
    ],
)
def test_responses_outside_the_support_name_the_rows(name, y, data, message):
    with pytest.raises(BrimError) as info:
        family(name).check(np.asarray(y, float), data)
    assert message in str(info.value)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_are_public_and_described(name):
    assert getattr(brim, name) is CONSTRUCTORS[name]
    assert "Links, the default first: mu: " in CONSTRUCTORS[name].__doc__
    assert CONSTRUCTORS[name].summary.endswith(".")
    assert family(name).key == family(name).key
    hash(family(name).key)


def test_spellings_of_r():
    assert family("Gamma").name == "gamma"
    assert family("inverse.gaussian").name == "inverse_gaussian"


def test_gradients_are_finite_where_the_mean_is_zero():
    """sqrt and identity links reach a rate of 0, which only a count of 0 survives."""
    for name in ("identity", "sqrt"):

        def loglik(eta, link=LINKS[name]):
            return family("poisson").distribution({"mu": Dpar(eta, link)}, {}).log_prob(0.0)

        value, slope = jax.value_and_grad(loglik)(0.0)
        assert value == 0.0
        assert np.isfinite(slope)


# ---------------------------------------------------------------------------------------------- thresholds

WHERE = Where()


def thresholds(name="cumulative", y=(1, 2, 3, 4), threshold="flexible", **seen):
    return CONSTRUCTORS[name](threshold=threshold).learn(Seen(np.asarray(y, float), **seen))


def test_flexible_thresholds():
    one = thresholds(levels=("lo", "mid", "hi", "top"))
    (extra,) = one.extras
    (param,) = extra.params(WHERE)
    # make_stancode(y ~ x, family = cumulative()): ordered[nthres] Intercept; prior rows Intercept, Intercept 1, 2, 3
    assert (param.name, param.shape, param.space) == ("Intercept", (3,), "ordered")
    assert [(s.class_, s.coef, s.default) for s in param.slots] == [("Intercept", str(k), "student_t(3, 0, 2.5)") for k in (1, 2, 3)]
    tau = jnp.asarray([-1.0, 0.2, 1.5])
    out = extra.transform({"Intercept": tau}, WHERE, 0.5)
    np.testing.assert_allclose(out["b_Intercept"], tau + 0.5)
    np.testing.assert_allclose(extra.invert(out, WHERE, 0.5)["Intercept"], tau)
    assert list(extra.reported(WHERE)[0].names) == ["b_Intercept[1]", "b_Intercept[2]", "b_Intercept[3]"]
    np.testing.assert_allclose(extra.dpars(out, WHERE, {})["thres"].value, tau + 0.5)
    assert one.categories == ("lo", "mid", "hi", "top")
    assert (one.intercepts, one.centered) == (False, True)
    assert thresholds("sratio").extras[0].params(WHERE)[0].space == "real"


@pytest.mark.parametrize(("name", "lb"), [("cumulative", 0.0), ("sratio", None)])
def test_equidistant_thresholds(name, lb):
    (extra,) = thresholds(name, threshold="equidistant").extras
    first, delta = extra.params(WHERE)
    # get_prior: class Intercept and class delta, whose lower bound is 0 for cumulative only
    assert (first.name, first.slots[0].class_, delta.name, delta.lb) == ("first_Intercept", "Intercept", "delta", lb)
    out = extra.transform({"first_Intercept": -1.0, "delta": 0.7}, WHERE, 0.1)
    np.testing.assert_allclose(out["b_Intercept"], [-0.9, -0.2, 0.5])
    np.testing.assert_allclose(extra.invert(out, WHERE, 0.1)["first_Intercept"], -1.0)
    assert [str(r.names) for r in extra.reported(WHERE)[1:]] == ["delta"]


def test_sum_to_zero_thresholds():
    one = thresholds(threshold="sum_to_zero")
    out = one.extras[0].transform({"Intercept": jnp.asarray([1.0, 2.0, 6.0])}, WHERE)
    np.testing.assert_allclose(out["b_Intercept"], [-2.0, -1.0, 3.0])
    assert not one.centered


def test_grouped_thresholds():
    y, group = [1, 2, 3, 1, 4, 2], np.array([0, 0, 0, 1, 1, 1])
    one = thresholds(y=y, group=group, groups=("a", "b"))
    (extra,) = one.extras
    # make_stancode(ord | thres(gr = g) ~ x): ordered Intercept_1, Intercept_2; the columns are not centred
    assert [(p.name, p.shape) for p in extra.params(WHERE)] == [("Intercept_1", (2,)), ("Intercept_2", (3,))]
    assert extra.params(WHERE)[0].slots[1].group == "a"
    assert not one.centered
    out = extra.transform({"Intercept_1": jnp.asarray([-1.0, 1.0]), "Intercept_2": jnp.asarray([-2.0, 0.0, 2.0])}, WHERE)
    assert list(extra.reported(WHERE)[0].names) == [f"b_Intercept[{i}]" for i in ("a,1", "a,2", "b,1", "b,2", "b,3")]
    thres = extra.dpars(out, WHERE, {"group": group})["thres"].value
    np.testing.assert_allclose(thres[0], [-1.0, 1.0, np.inf])
    np.testing.assert_allclose(thres[5], [-2.0, 0.0, 2.0])
    for name in ("cumulative", "sratio", "cratio", "acat"):
        law = (
            family(name)
            .learn(Seen(np.asarray(y, float), group=group, groups=("a", "b")))
            .distribution({"mu": Dpar(jnp.full(6, 0.3), LINKS["logit"]), "thres": Dpar(thres)}, {})
        )
        short = (
            family(name)
            .learn(Seen(np.array([1.0, 3.0])))
            .distribution({"mu": Dpar(jnp.full(1, 0.3), LINKS["logit"]), "thres": Dpar(jnp.asarray([-1.0, 1.0]))}, {})
        )
        np.testing.assert_allclose(law.mean[0], [*np.asarray(short.mean[0]), 0.0], atol=1e-15)

        def total(eta, law=law):
            return type(law)(eta, law.thres, law.disc, law.link).log_prob(jnp.asarray(y, float)).sum()

        slope = jax.grad(total)(jnp.full(6, 0.3))
        assert np.all(np.isfinite(slope))


def test_category_specific_predictors():
    """With cs() mu has a column for each threshold; equal columns are an ordinary predictor."""
    for name in ("sratio", "cratio", "acat"):
        bound = thresholds(name)
        thres = Dpar(jnp.asarray([-1.0, 0.2, 1.5]))
        plain = bound.distribution({"mu": Dpar(jnp.asarray([0.3, -0.5]), LINKS["logit"]), "thres": thres}, {})
        specific = bound.distribution({"mu": Dpar(jnp.asarray([[0.3] * 3, [-0.5] * 3]), LINKS["logit"]), "thres": thres}, {})
        np.testing.assert_allclose(specific.mean, plain.mean, rtol=1e-14)
        assert specific.batch_shape == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: thresholds(threshold="equal"), "threshold 'equal' is not one of flexible, equidistant, sum_to_zero"),
        (lambda: thresholds(y=[1, 1]), "cumulative needs at least two categories"),
        (lambda: thresholds(y=[1, 5], nthres=3), "the response reaches category 5, but thres() gives 3 thresholds"),
        (
            lambda: thresholds(y=[1, 2], nthres=np.array([2, 3]), group=np.array([0, 0]), groups=("a",)),
            "thres() gives 2 different numbers of thresholds in group 'a'",
        ),
    ],
)
def test_wrong_thresholds_are_told(call, message):
    with pytest.raises(BrimError) as info:
        call()
    assert message in str(info.value)


# ---------------------------------------------------------------------------------------------- categories


def test_categories_name_the_parameters():
    # get_prior(ct ~ x, family = categorical()) for the levels "a b", "b-2", "c_d": mub2, mucd; with refcat = NA also muab
    levels = ("a b", "b-2", "c_d")
    seen = Seen(np.array([1.0, 2.0, 3.0]), levels)
    one = family("categorical").learn(seen)
    assert one.mus == ("mub2", "mucd")
    assert [s.name for s in one.dpars] == ["mub2", "mucd"]
    assert (one.links["mub2"], one.shown["mub2"], one.categories) == ("identity", "logit", levels)
    assert brim.categorical(refcat=False).learn(seen).mus == ("muab", "mub2", "mucd")
    assert brim.dirichlet(refcat="b-2").learn(seen).mus == ("muab", "mucd")
    assert [s.name for s in brim.logistic_normal().learn(seen).dpars] == ["mub2", "mucd", "sigmab2", "sigmacd"]


def test_log_ratio_correlations():
    (extra,) = brim.logistic_normal().learn(Seen(np.ones((1, 4)) / 4, ("a", "b", "c", "d"))).extras
    low = jnp.linalg.cholesky(jnp.asarray([[1.0, 0.3, -0.2], [0.3, 1.0, 0.5], [-0.2, 0.5, 1.0]]))
    out = extra.transform({"Llncor": low}, WHERE)
    np.testing.assert_allclose(out["lncor"], [0.3, -0.2, 0.5], rtol=1e-12)
    assert list(extra.reported(WHERE)[0].names) == ["lncor__b__c", "lncor__b__d", "lncor__c__d"]
    np.testing.assert_allclose(extra.invert(out, WHERE)["Llncor"], low, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brim.categorical(refcat="d").learn(Seen(np.ones(2), ("a", "b"))), "refcat 'd' is no category of the response"),
        (lambda: brim.categorical().learn(Seen(np.ones(2))), "categorical needs at least two categories; the response has 0"),
        (lambda: brim.categorical().learn(Seen(np.ones(2), ("a-b", "ab"))), "the categories a-b, ab give no distinct parameter names"),
        (lambda: brim.categorical().distribution({}, {}), "must learn() its categories"),
    ],
)
def test_wrong_categories_are_told(call, message):
    with pytest.raises(BrimError) as info:
        call()
    assert message in str(info.value)


# ---------------------------------------------------------------------------------------------- mixtures and custom families


def test_mixture_names_its_parameters():
    one = brim.mixture(brim.gaussian, brim.student("log"))
    assert [s.name for s in one.dpars] == ["mu1", "sigma1", "mu2", "sigma2", "nu2", "theta1", "theta2"]
    assert (one.mus, one.links["mu2"]) == (("mu1", "mu2"), "log")
    assert one.options["order"] == "none"
    assert brim.mixture("gaussian", nmix=3).options["order"] == "mu"
    assert brim.mixture("cumulative", nmix=2).options["order"] == "none"
    (theta,) = one.extras
    assert theta.provides == ("theta1", "theta2")
    (param,) = theta.params(Where(resp="y"))
    assert (param.name, param.space, param.slots[0].class_, param.slots[0].default) == ("theta_y", "simplex", "theta", "dirichlet(1)")
    assert list(theta.reported(WHERE)[0].names) == ["theta1", "theta2"]


def test_mixture_density_mean_and_predicted_proportions():
    one = brim.mixture("gaussian", nmix=2)
    values = {"mu1": -1.0, "sigma1": 0.5, "mu2": 2.0, "sigma2": 1.5}
    dpars = {k: Dpar(jnp.asarray(v)) for k, v in values.items()}
    y = np.array([-1.0, 0.0, 3.0])
    expected = np.log(0.3 * stats.norm(-1, 0.5).pdf(y) + 0.7 * stats.norm(2, 1.5).pdf(y))
    simplex = one.extras[0].dpars({"theta": jnp.asarray([0.3, 0.7])}, WHERE, {})
    np.testing.assert_allclose(one.distribution(dpars | simplex, {}).log_prob(y), expected, rtol=1e-12)
    np.testing.assert_allclose(one.distribution(dpars | simplex, {}).mean, -0.3 + 1.4, rtol=1e-12)
    # one predicted proportion, the other is the reference: softmax
    predicted = {"theta2": Dpar(jnp.full(3, np.log(7 / 3)), one.link("theta2"))}
    np.testing.assert_allclose(one.distribution(dpars | predicted, {}).log_prob(y), expected, rtol=1e-12)


def test_components_learn_the_response():
    one = brim.mixture("cumulative", "sratio").learn(Seen(np.array([1.0, 3.0])))
    names = [p.name for e in one.extras for p in e.params(WHERE)]
    assert names == ["Intercept_mu1", "Intercept_mu2", "theta"]
    assert list(one.extras[1].reported(WHERE)[0].names) == ["b_mu2_Intercept[1]", "b_mu2_Intercept[2]"]
    assert set(one.extras[1].dpars({"b_Intercept_mu2": jnp.asarray([0.0, 1.0])}, WHERE, {})) == {"thres2"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brim.mixture("gaussian"), "a mixture needs at least two families"),
        (lambda: brim.mixture("gaussian", "poisson"), "must all be continuous, all counts, or all ordinal; these are gaussian, poisson"),
        (lambda: brim.mixture("gaussian", "categorical"), "categorical cannot be part of a mixture"),
        (lambda: brim.mixture("gaussian", "student", nmix=[1]), "nmix = [1] does not fit 2 families"),
        (lambda: brim.mixture("gaussian", nmix=2, order="up"), "order = 'up' is not one of"),
        (lambda: brim.custom_family("f", lambda mu: mu, ["sigma"]), "the first parameter of custom_family('f') must be mu"),
        (lambda: brim.custom_family("f", lambda m: m), "the function of custom_family('f') takes no 'mu'"),
        (lambda: brim.custom_family("f", lambda mu, vrel1: mu), "the argument 'vrel1' of custom_family('f')'s function is neither"),
        (lambda: brim.custom_family("f", lambda mu: mu, links="lgo"), "unknown link 'lgo'"),
        (lambda: brim.custom_family("f", lambda mu: mu, links=["log", "log"]), "has 1 parameters and 2 links"),
        (lambda: brim.custom_family("f", lambda mu, trials: mu).distribution({"mu": Dpar(0.0)}, {}), "add trials(variable) to the formula"),
    ],
)
def test_wrong_combinations_are_told(call, message):
    with pytest.raises(BrimError) as info:
        call()
    assert message in str(info.value)


def test_custom_family_of_counts():
    import numpyro.distributions as d

    def law(mu, phi, trials):
        return d.BetaBinomial(mu * phi, (1 - mu) * phi, trials.astype(int))

    one = brim.custom_family("bb", law, ["mu", "phi"], ["logit", "log"], [None, 0.0], type="int")
    assert (one.kind, one.spec("phi").prior, one.spec("phi").lb) == ("count", "gamma(0.01, 0.01)", 0.0)
    assert "trials" in one.additions
    dpars = {"mu": Dpar(jnp.asarray([0.0]), LINKS["logit"]), "phi": Dpar(jnp.asarray(3.0))}
    made = one.distribution(dpars, {"trials": jnp.asarray([9.0])})
    np.testing.assert_allclose(made.log_prob(jnp.asarray([2.0])), stats.betabinom(9, 1.5, 1.5).logpmf(2), rtol=1e-5)  # NumPyro's digits
    assert (made.discrete, made.batch_shape) == (True, (1,))
    with pytest.raises(BrimError, match="has no distribution function"):
        made.log_cdf(jnp.asarray([2.0]))
    one.check(np.array([1.0, -2.0]))
    with pytest.raises(BrimError, match="bb needs whole numbers; row 0"):
        one.check(np.array([0.5]))
