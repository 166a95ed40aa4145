"""Densities, distribution functions and means of every family against brms' own d/p/mean functions, R's, or closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brim.distributions.base import Distribution
from brim.errors import BrimError
from brim.families import Seen, family
from brim.families.base import Dpar
from brim.families.links import LINKS
from brim.families.survival import i_splines, m_splines
from brim.parameters.param import Where

Y, POSITIVE, COUNTS = [-1.5, 0.3, 4.0], [0.2, 1.3, 6.0], [0.0, 2.0, 7.0]


def law(name, data=None, **values) -> Distribution:
    """The distribution of a family at parameters on the response scale."""
    dpars = {k: Dpar(jnp.asarray(v, float)) for k, v in values.items()}
    return family(name).distribution(dpars, {k: jnp.asarray(v, float) for k, v in (data or {}).items()})


# name: (parameters, addition data, responses, log density, log P(Y <= y))
# R 4.2, brms 2.18: d<name>(y, ..., log = TRUE) and p<name>(y, ..., log.p = TRUE) with brms' dskew_normal, dexgaussian, dasym_laplace,
# dgen_extreme_value, dshifted_lnorm, dfrechet(scale = mu / gamma(1 - 1 / nu)), dinv_gaussian, dvon_mises, dbeta_binomial,
# brms:::ddiscrete_weibull, brms:::dcom_poisson, dhurdle_*, dzero_inflated_*; R's dgamma(rate = shape / mu),
# dweibull(scale = mu / gamma(1 + 1 / shape)), dexp, dbeta(mu * phi, (1 - mu) * phi), dnbinom(size = 1 / sigma), dgeom(1 / (1 + mu))
ORACLE = {
    "skew_normal": (
        {"mu": 0.4, "sigma": 1.3, "alpha": -2.5},
        {},
        Y,
        [-2.3696735262799, -1.22417778568291, -7.47668056559044],
        [-2.46544282366639, -0.852784428504917, -0.000114954973407523],
    ),
    "exgaussian": (
        {"mu": 0.4, "sigma": 1.3, "beta": 0.8},
        {},
        Y,
        [-2.0821457556576, -1.30755984205647, -3.99657096825942],
        [-2.31259988604712, -0.716441676359515, -0.0151737731697333],
    ),
    "asym_laplace": (
        {"mu": 0.4, "sigma": 1.3, "quantile": 0.2},
        {},
        Y,
        [-3.26417649744657, -2.15648418975426, -2.64879188206196],
        [-2.77866868166487, -1.67097637397256, -0.615793675059535],
    ),
    "gen_extreme_value": (
        {"mu": 0.4, "sigma": 1.3, "xi": 0.2},
        {},
        Y,
        [-3.82138028315629, -1.2499439974289, -3.01716141787515],
        [-5.63349125912805, -1.0806048521772, -0.110397671733929],
    ),
    "shifted_lognormal": (
        {"mu": 0.4, "sigma": 1.3, "ndt": 0.1},
        {},
        POSITIVE,
        [-1.03965444576499, -1.37764326116334, -3.51557289038193],
        [-3.97322110109731, -0.835840467520238, -0.15677806303762],
    ),
    "frechet": ({"mu": 2.0, "nu": 3.5}, {}, POSITIVE, [-1337.4398264036, -0.279470656356475, -5.24628692614942], None),
    "inverse_gaussian": (
        {"mu": 2.0, "shape": 1.4},
        {},
        POSITIVE,
        [-1.17154554624292, -1.21021035005684, -3.90500828540282],
        [-4.1383336415786, -0.62678269098594, -0.0606562811913502],
    ),
    "gamma": (
        {"mu": 2.0, "shape": 1.7},
        {},
        POSITIVE,
        [-1.47708102144302, -1.10181949761191, -4.02624285427951],
        [-3.55326791783149, -0.921009879166836, -0.0240181678402243],
    ),
    "weibull": (
        {"mu": 2.0, "shape": 1.7},
        {},
        POSITIVE,
        [-1.98459112882481, -1.05396566332029, -4.91978976015112],
        [-4.11642753425641, -1.11766523247365, -0.00484381390947557],
    ),
    "exponential": (
        {"mu": 2.0},
        {},
        POSITIVE,
        [-0.793147180559945, -1.34314718055995, -3.69314718055995],
        [-2.35216846104409, -0.73824031835912, -0.0510691809427016],
    ),
    "von_mises": (
        {"mu": 0.4, "kappa": 2.3},
        {},
        [-3.0, 0.3, 2.0],
        [-5.10165024754939, -0.589504824477169, -2.94517330590959],
        [-7.00702455808464, -0.806284884922843, -0.0229204971570208],
    ),
    "beta": (
        {"mu": 0.3, "phi": 4.0},
        {},
        [0.05, 0.4, 0.9],
        [0.668956382635235, 0.25768649809001, -2.80529450327722],
        [-2.46639491301879, -0.349992743089721, -0.00217509080766638],
    ),
    "beta_binomial": (
        {"mu": 0.3, "phi": 4.0},
        {"trials": 9.0},
        COUNTS,
        [-1.69663411988565, -1.80426478407801, -3.23101240815056],
        [-1.69663411988564, -0.632627360395005, -0.0295334808853254],
    ),
    "discrete_weibull": (
        {"mu": 0.8, "shape": 1.2},
        {},
        COUNTS,
        [-1.6094379124341, -1.80443113601846, -3.41355018507903],
        [-1.6094379124341, -0.569759910309896, -0.069155296298114],
    ),
    # shape * (y log(mu) - lgamma(y + 1)) - brms:::log_Z_com_poisson(log(2.5), 1.4, approx = FALSE): dcom_poisson itself approximates
    "com_poisson": (
        {"mu": 2.5, "shape": 1.4},
        {},
        COUNTS,
        [-2.79522978770864, -1.20002179124493, -5.7508065208335],
        [-2.79522978770864, -0.540144769462804, -0.000745237524365876],
    ),
    "negbinomial2": (
        {"mu": 2.5, "sigma": 0.6},
        {},
        COUNTS,
        [-1.52715121979026, -1.75029477110447, -3.62810607782745],
        [-1.52715121979026, -0.4975318026091, -0.0489399040961825],
    ),
    "geometric": (
        {"mu": 2.5},
        {},
        COUNTS,
        [-1.25276296849537, -1.92570744173779, -3.60806862484386],
        [-1.25276296849537, -0.453235384376851, -0.0701653745420899],
    ),
    "hurdle_poisson": (
        {"mu": 2.5, "hu": 0.2},
        {},
        COUNTS,
        [-1.6094379124341, -1.49805878438381, -4.7486193055185],
        [-1.6094379124341, -0.506809193344933, -0.00370803291557472],
    ),
    "hurdle_negbinomial": (
        {"mu": 2.5, "shape": 1.4, "hu": 0.2},
        {},
        COUNTS,
        [-1.6094379124341, -1.75585032804372, -3.5617366981641],
        [-1.6094379124341, -0.515254354653156, -0.0587831456267423],
    ),
    "hurdle_gamma": (
        {"mu": 2.0, "shape": 1.7, "hu": 0.2},
        {},
        [0.0, 1.3, 6.0],
        [-1.6094379124341, -1.32496304892612, -4.24938640559372],
        [-1.6094379124341, -0.656827921549121, -0.0191681627117545],
    ),
    "hurdle_lognormal": (
        {"mu": 0.4, "sigma": 1.3, "hu": 0.2},
        {},
        [0.0, 1.3, 6.0],
        [-1.6094379124341, -1.67241522756498, -3.7692810904588],
        [-1.6094379124341, -0.568678909628024, -0.120747818739567],
    ),
    "zero_inflated_poisson": (
        {"mu": 2.5, "zi": 0.2},
        {},
        COUNTS,
        [-1.32550787419587, -1.58370926812584, -4.83426978926054],
        [-1.32550787419587, -0.454050767177195, -0.00340314051089336],
    ),
    "zero_inflated_negbinomial": (
        {"mu": 2.5, "shape": 1.4, "zi": 0.2},
        {},
        COUNTS,
        [-0.940008460343892, -2.02802744354208, -3.83391381366246],
        [-0.940008460343893, -0.366303044686226, -0.0444594631040395],
    ),
    "zero_inflated_binomial": (
        {"mu": 0.3, "zi": 0.2},
        {"trials": 9.0},
        COUNTS,
        [-1.45979931561762, -1.5442948290811, -5.78078413101712],
        [-1.45979931561762, -0.561654231751028, -0.000346480817546645],
    ),
    "zero_inflated_beta_binomial": (
        {"mu": 0.3, "phi": 4.0, "zi": 0.2},
        {"trials": 9.0},
        COUNTS,
        [-1.05946976884877, -2.02740833539222, -3.45415595946477],
        [-1.05946976884877, -0.470074893173744, -0.023556594244422],
    ),
    "zero_inflated_beta": (
        {"mu": 0.3, "phi": 4.0, "zi": 0.2},
        {},
        [0.0, 0.4, 0.9],
        [-1.6094379124341, 0.0345429467758005, -3.02843805459143],
        [-1.6094379124341, -0.269508794207915, -0.00173969399987912],
    ),
    "zero_inflated_asym_laplace": (
        {"mu": 0.4, "sigma": 1.3, "quantile": 0.3, "zi": 0.2},
        {},
        [-1.5, 0.0, 4.0],
        [-3.06923248712329, -1.6094379124341, -2.8769247948156],
        None,
    ),
}


@pytest.mark.parametrize("name", ORACLE)
def test_density_and_distribution_function(name):
    values, data, y, log_prob, log_cdf = ORACLE[name]
    one = law(name, data, **values)
    np.testing.assert_allclose(one.log_prob(jnp.asarray(y)), log_prob, rtol=1e-10, atol=1e-12)
    if log_cdf is not None:
        np.testing.assert_allclose(one.log_cdf(jnp.asarray(y)), log_cdf, rtol=1e-8, atol=1e-11)
        upper = np.log(-np.expm1(np.asarray(log_cdf)))
        np.testing.assert_allclose(one.log_survival(jnp.asarray(y)), upper, rtol=1e-7, atol=1e-11)


def test_far_upper_tail_of_exgaussian():
    # brms::pexgaussian(c(-1.5, 0.3, 4), 0.4, 1.3, 0.8, lower.tail = FALSE, log.p = TRUE)
    expected = [-0.104253926819579, -0.670382988568619, -4.19576408392044]
    np.testing.assert_allclose(law("exgaussian", mu=0.4, sigma=1.3, beta=0.8).log_survival(jnp.asarray(Y)), expected, rtol=1e-11)


# brms:::posterior_epred_<family>(list(dpars = ...));
# brms:::mean_discrete_weibull(0.8, 1.2, thres = 1e-16), mean_com_poisson(2.5, 1.4, approx = FALSE)
MEANS = {
    "gen_extreme_value": ({"mu": 0.4, "sigma": 1.3, "xi": 0.2}, {}, 1.46749313921447),
    "asym_laplace": ({"mu": 0.4, "sigma": 1.3, "quantile": 0.2}, {}, 5.275),
    "discrete_weibull": ({"mu": 0.8, "shape": 1.2}, {}, 2.79545815210247),
    "com_poisson": ({"mu": 2.5, "shape": 1.4}, {}, 2.34409412222389),
    "hurdle_poisson": ({"mu": 2.5, "hu": 0.2}, {}, 2.1788509796677),
    "hurdle_negbinomial": ({"mu": 2.5, "shape": 1.4, "hu": 0.2}, {}, 2.62563900280212),
    "hurdle_gamma": ({"mu": 2.5, "shape": 1.4, "hu": 0.2}, {}, 2.0),
    "zero_inflated_binomial": ({"mu": 0.3, "zi": 0.2}, {"trials": 10.0}, 2.4),
    "shifted_lognormal": ({"mu": 0.4, "sigma": 1.3, "ndt": 0.1}, {}, np.exp(0.4 + 0.845) + 0.1),
    "zero_one_inflated_beta": ({"mu": 0.3, "phi": 2.0, "zoi": 0.2, "coi": 0.7}, {}, 0.2 * 0.7 + 0.3 * 0.8),
    "exgaussian": ({"mu": 0.4, "sigma": 1.3, "beta": 0.8}, {}, 0.4),
    "von_mises": ({"mu": 0.4, "kappa": 1.3}, {}, 0.4),
}


@pytest.mark.parametrize("name", MEANS)
def test_means_are_those_of_brms(name):
    values, data, expected = MEANS[name]
    np.testing.assert_allclose(law(name, data, **values).mean, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("mu", "shape", "log_total", "mean"),
    # brms:::log_Z_com_poisson(log(mu), shape, approx = FALSE), brms:::mean_com_poisson(mu, shape, approx = FALSE)
    [
        (0.3, 0.2, 1.13531835070236, 1.66786392055449),
        (24.0, 11.0, 237.740372072692, 23.543726554483),
        (30.0, 100.0, 2738.49676537754, 29.5029003570934),
        (5.0, 0.05, 3.29115129003877, 14.1677842717665),
        (900.0, 0.1, 95.0389539513129, 904.504635437507),
    ],
)
def test_com_poisson_normaliser(mu, shape, log_total, mean):
    one = law("com_poisson", mu=mu, shape=shape)
    np.testing.assert_allclose(-one.log_prob(0.0), log_total, rtol=1e-11)
    np.testing.assert_allclose(one.mean, mean, rtol=1e-10)


def test_extended_support_beta():
    """The ends are the tails of the stretched beta; no oracle in R here, so pbeta and integration by scipy."""
    mu, phi, kappa = 0.3, 4.0, 0.2
    inner, width = stats.beta(mu * phi, (1 - mu) * phi), 1 + 2 * kappa
    one = law("xbeta", mu=mu, phi=phi, kappa=kappa)
    y = np.array([0.0, 0.4, 1.0])
    inside = inner.logpdf((0.4 + kappa) / width) - np.log(width)
    np.testing.assert_allclose(one.log_prob(y), [inner.logcdf(kappa / width), inside, inner.logsf((1 + kappa) / width)], rtol=1e-10)
    expected = inner.expect(lambda z: np.clip(width * z - kappa, 0, 1), lb=0, ub=1, epsabs=1e-12)
    np.testing.assert_allclose(one.mean, expected, rtol=1e-7)


def test_simplex_densities():
    # brms::ddirichlet(c(0.2, 0.3, 0.5), 4 * c(0.5, 0.2, 0.3), log = TRUE)
    y = jnp.asarray([[0.2, 0.3, 0.5]])
    bound = family("dirichlet").learn(Seen(np.asarray(y), ("a", "b", "c")))
    logits = np.log([0.5, 0.2, 0.3])
    dpars = {"mub": Dpar(jnp.asarray([logits[1] - logits[0]])), "muc": Dpar(jnp.asarray([logits[2] - logits[0]])), "phi": Dpar(4.0)}
    np.testing.assert_allclose(bound.distribution(dpars, {}).log_prob(y), [0.217801093150631], rtol=1e-12)
    # brms::dlogistic_normal(c(0.2, 0.3, 0.5), mu = c(0.4, -0.2), Sigma = matrix(c(1.3^2, 0.5 * 1.3 * 0.7, 0.5 * 1.3 * 0.7, 0.49), 2),
    #                        refcat = 1, log = TRUE)
    bound = family("logistic_normal").learn(Seen(np.asarray(y), ("a", "b", "c")))
    low = jnp.linalg.cholesky(jnp.asarray([[1.0, 0.5], [0.5, 1.0]]))
    dpars = {
        "mub": Dpar(jnp.asarray([0.4])),
        "muc": Dpar(jnp.asarray([-0.2])),
        "sigmab": Dpar(1.3),
        "sigmac": Dpar(0.7),
        "lncor": Dpar(low),
    }
    np.testing.assert_allclose(bound.distribution(dpars, {}).log_prob(y), [0.215909155155646], rtol=1e-12)


def test_categories():
    # brms:::dcategorical(1:3, eta = matrix(c(0, 0.7, -0.4), 1)); dmultinom(c(2, 1, 4), prob = exp(c(0, 0.7, -0.4)), log = TRUE)
    dpars = {"mub": Dpar(jnp.asarray([0.7])), "muc": Dpar(jnp.asarray([-0.4]))}
    bound = family("categorical").learn(Seen(np.array([1.0, 2.0, 3.0]), ("a", "b", "c")))
    one = bound.distribution(dpars, {})
    np.testing.assert_allclose(one.mean, [[0.271438722009033, 0.546610461358016, 0.18195081663295]], rtol=1e-13)
    np.testing.assert_allclose(jnp.exp(one.log_prob(jnp.asarray([[1.0], [2.0], [3.0]])))[:, 0], one.mean[0], rtol=1e-13)
    counts = np.array([[2.0, 1.0, 4.0]])
    bound = family("multinomial").learn(Seen(counts, ("a", "b", "c")))
    np.testing.assert_allclose(bound.distribution(dpars, {"trials": jnp.asarray([7.0])}).log_prob(counts), [-5.37417171678993], rtol=1e-12)
    # one category against the other two is beta-binomial
    bound = family("dirichlet_multinomial").learn(Seen(counts, ("a", "b")))
    one = bound.distribution({"mub": Dpar(jnp.asarray([0.7])), "phi": Dpar(3.0)}, {"trials": jnp.asarray([7.0])})
    p = 1 / (1 + np.exp(-0.7))
    np.testing.assert_allclose(one.log_prob(np.array([[2.0, 5.0]])), stats.betabinom(7, 3 * p, 3 * (1 - p)).logpmf(5), rtol=1e-12)


# brms:::d<family>(1:4, eta = 0.6, thres = matrix(c(-1, 0.2, 1.5), 1), disc = 1.4, link = <link>); probit_approx is within 1e-3 of probit
ORDINAL = {
    ("cumulative", "logit"): [0.0962155417106929, 0.267331918007741, 0.415478648061379, 0.220973892220188],
    ("cumulative", "probit"): [0.0125454614359466, 0.27519425741308, 0.608425600029672, 0.1038346811213],
    ("cumulative", "cloglog"): [0.100987647537132, 0.334170256940837, 0.535402699101905, 0.0294393964201264],
    ("cumulative", "cauchit"): [0.133651941388954, 0.203854578963563, 0.448952915808247, 0.213540563839236],
    ("sratio", "logit"): [0.0962155417106929, 0.328568543944078, 0.44810821488537, 0.127107699459859],
    ("sratio", "probit"): [0.0125454614359466, 0.284129891302616, 0.630295156788295, 0.0730294904731424],
    ("sratio", "cloglog"): [0.100987647537132, 0.391212331397551, 0.492850694943027, 0.0149493261222904],
    ("sratio", "cauchit"): [0.133651941388954, 0.292398118675972, 0.451388346145842, 0.122561593789231],
    ("cratio", "logit"): [0.0962155417106928, 0.328568543944078, 0.44810821488537, 0.127107699459859],
    ("cratio", "probit"): [0.0125454614359466, 0.284129891302616, 0.630295156788295, 0.0730294904731424],
    ("cratio", "cloglog"): [8.32775721081314e-05, 0.173642657965115, 0.622206784938593, 0.204067279524184],
    ("cratio", "cauchit"): [0.133651941388954, 0.292398118675972, 0.451388346145842, 0.122561593789231],
    ("acat", "logit"): [0.0317434435675101, 0.298176681633866, 0.522009716765956, 0.148070158032668],
    ("acat", "probit"): [0.00336563253584618, 0.264909277321404, 0.655746648739322, 0.0759784414034272],
    ("acat", "cloglog"): [1.13788928212574e-05, 0.136626764285543, 0.650134898668121, 0.213226958153515],
    ("acat", "cauchit"): [0.042264184795275, 0.273961560645098, 0.537760714702211, 0.146013539857416],
    ("cumulative", "softit"): [0.0918703693341783, 0.219351072586685, 0.290326261425003, 0.398452296654134],
    ("acat", "softit"): [0.158689864347057, 0.371519057577243, 0.3759198595808, 0.0938712184949],
}


@pytest.mark.parametrize(("name", "link"), ORDINAL)
def test_ordinal_probabilities(name, link):
    bound = family(name, link=link).learn(Seen(np.array([1.0, 4.0])))
    dpars = {"mu": Dpar(jnp.asarray([0.6]), LINKS[link]), "disc": Dpar(jnp.asarray(1.4)), "thres": Dpar(jnp.asarray([-1.0, 0.2, 1.5]))}
    one = bound.distribution(dpars, {})
    np.testing.assert_allclose(one.mean[0], ORDINAL[name, link], rtol=1e-10)
    np.testing.assert_allclose(jnp.exp(one.log_prob(jnp.arange(1.0, 5.0)[:, None]))[:, 0], ORDINAL[name, link], rtol=1e-10)


@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
def test_probit_approx_is_near_probit(name):
    bound = family(name, link="probit_approx").learn(Seen(np.array([1.0, 4.0])))
    dpars = {"mu": Dpar(jnp.asarray([0.6]), LINKS["probit_approx"]), "disc": Dpar(1.4), "thres": Dpar(jnp.asarray([-1.0, 0.2, 1.5]))}
    np.testing.assert_allclose(bound.distribution(dpars, {}).mean[0], ORDINAL[name, "probit"], atol=1e-3)


def test_hurdle_cumulative():
    bound = family("hurdle_cumulative").learn(Seen(np.array([0.0, 4.0])))
    dpars = {
        "mu": Dpar(jnp.asarray([0.6]), LINKS["logit"]),
        "hu": Dpar(0.2),
        "disc": Dpar(1.4),
        "thres": Dpar(jnp.asarray([-1.0, 0.2, 1.5])),
    }
    one = bound.distribution(dpars, {})
    np.testing.assert_allclose(one.mean[0], [0.2, *0.8 * np.array(ORDINAL["cumulative", "logit"])], rtol=1e-10)
    assert bound.categories == ("0", "1", "2", "3", "4")


def _brute_wiener(t, v, a, w):
    """Both Navarro-Fuss series in full, for the lower boundary."""
    k = np.arange(1, 400)
    tau = t / a**2
    if tau > 0.1:
        series = np.pi * np.sum(k * np.exp(-0.5 * (k * np.pi) ** 2 * tau) * np.sin(k * np.pi * w))
    else:
        j = np.arange(-200, 201)
        series = np.sum((w + 2 * j) * np.exp(-((w + 2 * j) ** 2) / (2 * tau))) / np.sqrt(2 * np.pi * tau**3)
    return np.exp(-v * a * w - v**2 * t / 2) / a**2 * series


@pytest.mark.parametrize("time", [0.011, 0.2, 0.7, 1.1, 4.0])
@pytest.mark.parametrize("dec", [0.0, 1.0])
def test_wiener_density(time, dec):
    v, a, w, ndt = 0.8, 1.6, 0.3, 0.25
    one = law("wiener", {"dec": dec}, mu=v, bs=a, ndt=ndt, bias=w)
    expected = _brute_wiener(time, *((-v, a, 1 - w) if dec else (v, a, w)))
    np.testing.assert_allclose(one.log_prob(ndt + time), np.log(expected), rtol=1e-9)
    assert one.log_prob(ndt - 0.01) == -np.inf


def test_wiener_expectation_is_that_of_brms():
    # brms:::posterior_epred_wiener(list(dpars = list(mu = 0.8, bs = 1.6, ndt = 0.25, bias = 0.3))): the start is at bias there,
    # not at bias * bs
    dpars = {k: Dpar(jnp.asarray(v)) for k, v in {"mu": 0.8, "bs": 1.6, "ndt": 0.25, "bias": 0.3}.items()}
    np.testing.assert_allclose(family("wiener").epred(dpars, {}), 0.70131097157042, rtol=1e-12)
    # the true mean: start at 0.48, P(upper) = (1 - exp(-2 v z)) / (1 - exp(-2 v a))
    upper = np.expm1(-2 * 0.8 * 0.48) / np.expm1(-2 * 0.8 * 1.6)
    np.testing.assert_allclose(family("wiener").distribution(dpars, {}).mean, 0.25 + (1.6 * upper - 0.48) / 0.8, rtol=1e-12)


def test_cox_splines():
    # splines2::mSpline / iSpline(c(0.6, 2.3, 5, 9), df = 5, degree = 3, intercept = TRUE, Boundary.knots = c(0.4, 10), knots = 5.2)
    x, knots = jnp.asarray([0.6, 2.3, 5.0, 9.0]), np.array([0.4, 5.2, 10.0])
    m = [
        [0.733446662808642, 0.183776101948303, 6.02816358024693e-05, 0],
        [0.0488808714313272, 0.246232586142458, 0.117677288290895, 0.00094190055941358],
        [0.00105492862654321, 0.0720855336130401, 0.20727840470679, 0.0233591338734568],
        [7.53520447530864e-06, 0.00646049593701775, 0.0916808328510802, 0.185629762249228],
        [0, 0, 0, 0.413471739969136],
    ]
    i = [
        [0.156536337770062, 0.866762326087481, 0.99999698591821, 1],
        [0.0049939567660108, 0.305470949337806, 0.852831051673418, 0.999764524860147],
        [7.08309220679012e-05, 0.0497458187150367, 0.458404164255401, 0.991899655189043],
        [3.76760223765432e-07, 0.00306873557008343, 0.105432957778742, 0.895270076798804],
        [0, 0, 0, 0.392798152970679],
    ]
    np.testing.assert_allclose(m_splines(x, knots).T, m, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(i_splines(x, knots).T, i, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(i_splines(jnp.asarray([10.0, 12.0]), knots), np.ones((2, 5)))


def test_cox_learns_brms_knots_and_gives_its_likelihood():
    y = np.array([0.7, 2.0, 3.0, 5.0, 9.0])
    bound = family("cox").learn(Seen(y))
    # make_standata(y ~ 1, family = cox()): boundaries a fiftieth of the range beyond the data, knot at the median
    np.testing.assert_allclose(bound.learned["bhaz_knots"], [0.7 - 8.3 / 50, 3.0, 9 + 8.3 / 50], rtol=1e-14)
    weights = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    values = {"sbhaz": jnp.asarray(weights)}
    dpars = {"mu": Dpar(jnp.full(5, 0.4), LINKS["log"]), **bound.extras[0].dpars(values, Where(), {})}
    one = bound.distribution(dpars, bound.learned)
    hazard, cumulative = m_splines(y, bound.learned["bhaz_knots"]) @ weights, i_splines(y, bound.learned["bhaz_knots"]) @ weights
    np.testing.assert_allclose(one.log_prob(y), np.log(hazard) + 0.4 - cumulative * np.exp(0.4), rtol=1e-12)
    np.testing.assert_allclose(one.log_survival(y), -cumulative * np.exp(0.4), rtol=1e-12)
    with pytest.raises(BrimError, match="cox family has no expectation"):
        _ = one.mean
    times = np.asarray(one.sample(jax.random.key(1), (4000,)))
    np.testing.assert_allclose(np.isinf(times).mean(), np.exp(-np.exp(0.4)), atol=0.02)
