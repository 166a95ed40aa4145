"""First and second derivatives of log likelihoods against formulas worked out by hand, at ordinary points and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import brim
from brim.families import Seen, family
from brim.families.base import Dpar
from brim.families.conway import log_normaliser
from brim.families.diffusion import log_first_passage
from brim.families.gammas import digamma, lgamma_ratio, log_factorial, log_gamma, log_rising
from brim.families.intervals import log_cauchy_between, log_cloglog_between, log_logistic_between, log_ndtr_between
from brim.families.links import LINKS
from brim.families.observe import log_lik
from brim.families.rows import in_one_pass
from brim.families.simplex import LogisticNormal
from brim.families.skewed import GenExtremeValue
from brim.families.special import log_add, log_ndtr, log_ndtr_odds
from brim.families.tails import log_betainc, log_gamma_tails

RTOL = 1e-8
WIDE = np.array([-30.0, -8.0, -1.3, -1e-9, 0.0, 0.4, 3.0, 9.0, 30.0])


def first_and_second(f, x):
    """Elementwise first and second derivatives, the second by forward over reverse as the samplers' Laplace start has it."""
    slope = jax.grad(lambda v: jnp.sum(f(v)))
    both = jax.jit(lambda v: jax.jvp(slope, (v,), (jnp.ones_like(v),)))
    first, second = both(jnp.asarray(x, float))
    return np.asarray(first), np.asarray(second)


def check(f, x, first, second, atol=0.0):
    found = first_and_second(f, x)
    np.testing.assert_allclose(found[0], first, rtol=RTOL, atol=atol)
    np.testing.assert_allclose(found[1], second, rtol=RTOL, atol=atol)


def in_mu(name, link, y, data=None, **others):
    """The log likelihood as a function of the predictor of ``mu``."""
    one = family(name, link=link)
    rest = {k: Dpar(jnp.asarray(v, float)) for k, v in others.items()}
    return lambda eta: log_lik(one.distribution({"mu": Dpar(eta, LINKS[link]), **rest}, data or {}), jnp.asarray(y), data or {})


def in_other(name, link, y, eta, which, **others):
    """The log likelihood as a function of another parameter's logarithm."""
    one = family(name, link=link)
    rest = {k: Dpar(jnp.asarray(v, float)) for k, v in others.items() if k != which}

    def f(log_value):
        dpars = {"mu": Dpar(jnp.full_like(log_value, eta), LINKS[link]), **rest, which: Dpar(log_value, LINKS["log"])}
        return one.distribution(dpars, {}).log_prob(jnp.asarray(y))

    return f


# ---------------------------------------------------------------------------------------------- probabilities

PHI, LOGPHI = stats.norm.pdf, stats.norm.logpdf


def mills(x):
    """``phi(x) / Phi(x)``, in log space: right far below 0 as well."""
    return np.exp(LOGPHI(x) - special.log_ndtr(x))


@pytest.mark.parametrize(("s", "n"), [(0, 1), (1, 1), (0, 12), (5, 12), (12, 12)])
def test_binomial_logit(s, n):
    p = special.expit(WIDE)
    # s - n p as what is won less what is lost: the difference itself has no digits where p is nearly s / n
    first = s * special.expit(-WIDE) - (n - s) * p
    name, data = ("bernoulli", {}) if n == 1 else ("binomial", {"trials": float(n)})
    check(in_mu(name, "logit", float(s), data), WIDE, first, -n * p * special.expit(-WIDE), atol=1e-15 * n)


@pytest.mark.parametrize(("s", "n"), [(0, 1), (1, 1), (5, 12)])
def test_binomial_probit(s, n):
    up, down = mills(WIDE), mills(-WIDE)
    first = s * up - (n - s) * down
    # far below 0, x + mills is a difference of nearly equal numbers; the series gives it: 1 - 1 / x^2 ...
    bend_up = np.where(WIDE < -20, 1 - 1 / WIDE**2 + 6 / WIDE**4 - 50 / WIDE**6, up * (WIDE + up))
    bend_down = np.where(WIDE > 20, 1 - 1 / WIDE**2 + 6 / WIDE**4 - 50 / WIDE**6, down * (down - WIDE)) if n - s else 0.0
    bends = (s * bend_up if s else 0.0) + (n - s) * bend_down
    found = first_and_second(
        in_mu(*(("bernoulli", "probit", float(s)) if n == 1 else ("binomial", "probit", float(s), {"trials": 12.0}))), WIDE
    )
    np.testing.assert_allclose(found[0], first, rtol=RTOL)
    np.testing.assert_allclose(found[1], -bends, rtol=1e-6)  # the reference's own cancellation
    near = np.abs(WIDE) < 9
    np.testing.assert_allclose(found[1][near], -np.broadcast_to(bends, WIDE.shape)[near], rtol=RTOL)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_bernoulli_cloglog(y):
    eta = np.array([-40.0, -30.0, -8.0, -1.0, 0.0, 0.7, 2.5, 5.0])
    r = np.exp(eta)
    if y == 0.0:
        check(in_mu("bernoulli", "cloglog", y), eta, -r, -r)
        return
    share = r / np.expm1(r)
    # d/deta of r / (e^r - 1) = share (1 - r - share); 1 - share as it is for small r
    rest = np.where(r < 1e-3, -r / 2 - r**2 / 12, 1 - r - share)
    check(in_mu("bernoulli", "cloglog", y), eta, share, share * rest, atol=1e-300)


def test_cloglog_far_out_has_finite_derivatives():
    for y in (0.0, 1.0):
        for part in first_and_second(in_mu("bernoulli", "cloglog", y), [-800.0, 300.0]):
            assert np.all(np.isfinite(part))


# ---------------------------------------------------------------------------------------------- counts

COUNT, ETA = np.array([0.0, 1.0, 4.0, 200.0, 0.0, 3.0]), np.array([-30.0, 0.3, -2.0, 4.0, 5.0, 8.0])


def test_poisson_log():
    rate = np.exp(ETA)
    check(in_mu("poisson", "log", COUNT), ETA, COUNT - rate, -rate)


@pytest.mark.parametrize("shape", [0.05, 1.7, 30.0, 1e6])
def test_negbinomial(shape):
    mean = np.exp(ETA)
    share = mean / (mean + shape)
    first = (COUNT - mean) * shape / (mean + shape)
    check(in_mu("negbinomial", "log", COUNT, shape=shape), ETA, first, -(COUNT + shape) * share * (1 - share), atol=1e-12)


@pytest.mark.parametrize("y", [0.0, 1.0, 7.0, 300.0])
def test_negbinomial_in_shape(y):
    log_shape, mean = np.log([0.02, 0.5, 3.0, 60.0]), np.exp(1.2)
    k = np.exp(log_shape)
    steps = k[:, None] + np.arange(int(y))
    # psi(y + k) - psi(k) is a sum of y terms
    d = np.sum(1 / steps, axis=1) - np.log1p(mean / k) + (mean - y) / (mean + k)
    d2 = -np.sum(1 / steps**2, axis=1) + mean / (k * (mean + k)) - (mean - y) / (mean + k) ** 2
    check(in_other("negbinomial", "log", y, 1.2, "shape"), log_shape, k * d, k * d + k**2 * d2, atol=1e-13)


# mu, shape, then log Z, E[k], E[log k!], var[k], cov[k, log k!], var[log k!] by summing the mass function with 40 digits (mpmath):
# plain sums, the asymptotic series, either side of where they meet, and what is left to integrals
COM_POISSON = [
    (
        0.001,
        1.7,
        7.94327021940247e-06,
        7.94325809159876e-06,
        1.3460847259328e-11,
        7.94323383606461e-06,
        2.69216302949266e-11,
        9.33039523551215e-12,
    ),
    (
        0.8,
        1.7,
        0.612322333562142,
        0.554266238217802,
        0.0707771013037425,
        0.459802228563073,
        0.120890330865282,
        0.065034164243679,
    ),
    (9.0, 0.4, 5.25627055363031, 9.79062717334457, 15.7270273189682, 22.3591185213704, 52.5365269816638, 125.753430361612),
    (29.0, 1.7, 47.2144893081313, 28.7931582761074, 70.8498419567789, 17.0593999053968, 57.6176415153601, 194.772598131795),
    (30.0, 1.7, 48.902569420006, 29.7931909138542, 74.2442989814532, 17.6476151837103, 60.1965984254507, 205.503306672267),
    (400.0, 0.13, 56.4250784969542, 403.352334708771, 2024.42564679741, 3076.87455933327, 18464.6683343717, 110837.741399872),
    (2.0, 0.05, 2.75335116396757, 9.74608999843856, 17.7417034588378, 71.3213426718113, 183.191116788168, 486.24662621556),
    (0.5, 0.004, 4.10938965034891, 49.6832440602854, 165.943073968753, 2112.51452676859, 8969.00148560413, 38619.4649430792),
    (24.9, 10.0, 225.127954229586, 24.4483369741229, 56.272853780598, 2.49016691646922, 8.01056012921164, 25.7739714523194),
    (40.0, 30.0, 1118.19265932592, 39.5156253623155, 108.54738064232, 1.3333680675869, 4.91918967313802, 18.1489027500692),
    (100000.0, 2.5, 249989.528753611, 99999.69999965, 1051295.96801614, 40000.00000014, 460517.098600474, 5301900.0325662),
]


@pytest.mark.parametrize("times", [1, 4])  # evaluated at once, and in a loop over the rows that need it
def test_com_poisson_normaliser(times):
    mu, shape, log_z, count, facts, var, cov, var_facts = np.tile(COM_POISSON, (times, 1)).T
    at = np.log(mu)

    @jax.jit
    def derivatives(x, s):
        both = jax.grad(lambda x, s: jnp.sum(log_normaliser(x, s)), (0, 1))
        one, zero = jnp.ones_like(x), jnp.zeros_like(x)
        return log_normaliser(x, s), both(x, s), jax.jvp(both, (x, s), (one, zero))[1], jax.jvp(both, (x, s), (zero, one))[1]

    value, slopes, in_mu, in_shape = derivatives(at, shape)
    np.testing.assert_allclose(value, log_z, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(slopes, [shape * count, at * count - facts], rtol=1e-12)
    mixed = count + shape * (at * var - cov)
    np.testing.assert_allclose(in_mu, [shape**2 * var, mixed], rtol=1e-10)
    np.testing.assert_allclose(in_shape[0], mixed, rtol=1e-10)
    # the reference's own terms cancel
    bend = at**2 * var - 2 * at * cov + var_facts
    assert np.all(np.abs(in_shape[1] - bend) < 1e-9 * bend + 1e-14 * (at**2 * var + var_facts))


def test_com_poisson():
    """Scores and their derivatives under the log link, where the three ways of summing stand side by side."""
    mu, shape, _, count, _, var, *_ = np.array([COM_POISSON[k] for k in (1, 3, 10)]).T
    for y in (0.0, 3.0, 90.0):

        def f(eta, y=y):
            return family("com_poisson").distribution({"mu": Dpar(eta, LINKS["log"]), "shape": Dpar(jnp.asarray(shape))}, {}).log_prob(y)

        check(f, np.log(mu), shape * (y - count), -(shape**2) * var)


@pytest.mark.parametrize(("y", "n"), [(0, 9), (4, 9), (9, 9)])
def test_beta_binomial(y, n):
    phi, eta = 3.0, np.array([-6.0, -1.0, 0.2, 4.0])
    p = special.expit(eta)
    q, dp = special.expit(-eta), special.expit(eta) * special.expit(-eta)
    up, down = p[:, None] * phi + np.arange(y), q[:, None] * phi + np.arange(n - y)
    d = phi * (np.sum(1 / up, axis=1) - np.sum(1 / down, axis=1))
    d2 = -(phi**2) * (np.sum(1 / up**2, axis=1) + np.sum(1 / down**2, axis=1))
    check(in_mu("beta_binomial", "logit", float(y), {"trials": float(n)}, phi=phi), eta, dp * d, dp**2 * d2 + dp * (q - p) * d, atol=1e-13)


# ---------------------------------------------------------------------------------------------- continuous


def test_gamma():
    y, eta, shape = np.array([1e-8, 0.3, 2.0, 50.0]), np.array([-3.0, 0.5, 2.0, 6.0]), 1.7
    ratio = y * np.exp(-eta)
    check(in_mu("gamma", "log", y, shape=shape), eta, shape * (ratio - 1), -shape * ratio)
    a, m = np.array([0.02, 0.9, 8.0, 400.0]), np.exp(0.4)
    d = np.log(a) + 1 - special.psi(a) + np.log(2.0 / m) - 2.0 / m
    check(in_other("gamma", "log", 2.0, 0.4, "shape"), np.log(a), a * d, a * d + a**2 * (1 / a - special.polygamma(1, a)), atol=1e-11)


@pytest.mark.parametrize("y", [1e-6, 0.3, 0.999])
@pytest.mark.parametrize("phi", [0.3, 6.0, 3000.0])
def test_beta(y, phi):
    eta = np.array([-4.0, -0.5, 0.0, 1.0, 3.0])
    p, q = special.expit(eta), special.expit(-eta)
    a, b, dp = p * phi, q * phi, p * q
    d = phi * (np.log(y) - np.log1p(-y) - special.psi(a) + special.psi(b))
    d2 = -(phi**2) * (special.polygamma(1, a) + special.polygamma(1, b))
    check(in_mu("beta", "logit", y, phi=phi), eta, dp * d, dp**2 * d2 + dp * (q - p) * d, atol=1e-11 * phi)
    f = in_other("beta", "logit", y, 0.7, "phi")
    m = special.expit(0.7)
    d = special.psi(phi) - m * special.psi(m * phi) - (1 - m) * special.psi((1 - m) * phi) + m * np.log(y) + (1 - m) * np.log1p(-y)
    d2 = special.polygamma(1, phi) - m**2 * special.polygamma(1, m * phi) - (1 - m) ** 2 * special.polygamma(1, (1 - m) * phi)
    check(f, np.log([phi]), [phi * d], [phi * d + phi**2 * d2], atol=1e-9)


def test_student():
    mu, y, sigma, nu = np.array([-3.0, 0.0, 0.2, 500.0]), 0.2, 0.7, 4.5
    z = (y - mu) / sigma
    w = (nu + 1) / (nu + z**2)
    check(in_mu("student", "identity", y, sigma=sigma, nu=nu), mu, w * z / sigma, (2 * w**2 * z**2 / (nu + 1) - w) / sigma**2, atol=1e-15)
    v = np.array([1.2, 6.0, 300.0])
    z = (y - 1.0) / sigma
    w = (v + 1) / (v + z**2)
    d = 0.5 * (special.psi((v + 1) / 2) - special.psi(v / 2) - np.log1p(z**2 / v) + (w * z**2 - 1) / v)
    found = first_and_second(in_other("student", "identity", y, 1.0, "nu", sigma=sigma), np.log(v))
    np.testing.assert_allclose(found[0], v * d, rtol=RTOL, atol=1e-12)
    assert np.all(np.isfinite(found[1]))


@pytest.mark.parametrize("kappa", [0.3, 5.0, 1e8])
@pytest.mark.parametrize("y", [-3.1, -0.2, 0.0, 1.7])
def test_von_mises(kappa, y):
    """Under the tan_half link, as a function of the predictor, of the response (which may be missing) and of ``kappa``."""
    eta = np.array([-1e6, -30.0, -0.7, 0.0, 0.1, 2.0, 400.0])
    angle, grow = y - 2 * np.arctan(eta), 2 / (1 + eta**2)
    sine, cosine = np.sin(angle), np.cos(angle)
    f = in_mu("von_mises", "tan_half", y, kappa=kappa)
    np.testing.assert_allclose(f(eta), -2 * kappa * np.sin(angle / 2) ** 2 - np.log(2 * np.pi * special.i0e(kappa)), rtol=1e-13)
    check(f, eta, kappa * sine * grow, -kappa * grow**2 * (cosine + eta * sine), atol=1e-15 * kappa)

    def law(kappa):
        return family("von_mises").distribution({"mu": Dpar(jnp.asarray(eta), LINKS["tan_half"]), "kappa": Dpar(kappa)}, {})

    check(law(kappa).log_prob, np.full(eta.shape, y), -kappa * sine, -kappa * cosine, atol=1e-15 * kappa)
    ratio = special.i1e(kappa) / special.i0e(kappa)
    in_kappa = np.vectorize(
        lambda k, e: jax.grad(
            lambda k: family("von_mises").distribution({"mu": Dpar(e, LINKS["tan_half"]), "kappa": Dpar(k)}, {}).log_prob(y)
        )(k)
    )
    np.testing.assert_allclose(in_kappa(kappa, eta), cosine - ratio, rtol=RTOL, atol=1e-15)


def test_von_mises_far_out_points_backwards():
    """Directions of nearly pi: the log density there, and slopes that are 0 instead of NaN."""
    for eta in (-1e300, -1e150, 1e12, 1e150, np.inf):
        f = in_mu("von_mises", "tan_half", 0.4, kappa=3.0)
        np.testing.assert_allclose(f(eta), -6.0 * np.cos(0.2) ** 2 - np.log(2 * np.pi * special.i0e(3.0)), rtol=1e-11)
        first, second = first_and_second(f, eta)
        assert abs(first) < 1e-23
        assert abs(second) < 1e-35


# z, xi, then the log density with location 0 and scale 1, its derivatives in both, and the second ones (z twice, mixed, xi twice), by
# central differences with 120 digits (mpmath)
EXTREME_VALUE = [
    (0.7, 0.0, -1.19658530379141, -0.5034146962085905, -0.5766633994288953, -0.4965853037914095, -0.5259463132250913, 0.3450783066068896),
    (-1.9, 0.0, -4.785894442279269, 5.685894442279269, -8.36303946831408, -6.685894442279269, 21.87123890864469, -44.17251122670258),
    (3.0, 1e-05, -3.04977430924153, -0.9501921854428954, 1.275867075586073, -0.04977681993063423, 2.074557247400078, -9.111330815561066),
    (
        -0.8,
        -0.0002,
        -1.425622493996603,
        1.225402449229209,
        0.407828134934712,
        -2.224441515687638,
        0.6921868406501117,
        -0.006107178260042849,
    ),
    (
        0.3,
        0.0033,
        -1.041769276002229,
        -0.2621123409906683,
        -0.2880604330353902,
        -0.7385991904473115,
        -0.8871901740473401,
        0.08367271679915393,
    ),
    (2.5, 0.1, -2.561953246856307, -0.79410065408, 0.06585314140140376, -0.005191424409599997, 0.9870029001756574, -2.187151979798196),
    (-4.0, 0.2, -3115.343372525398, 15619.00000000001, -186682.8990388969, -93744.0000000001, 1246188.315455431, -15542264.55357088),
    (30.0, 0.9, -7.059317007319692, -0.06697631995020496, 1.779829103396389, 0.002121352323151663, 0.03862101649344144, -4.154887422934677),
    (1.2, -0.6, -0.9684823816985472, -1.000576436345397, -1.111111722160028, -3.672645907261677, 2.260466202751611, 0.4466222548806506),
    (-20.0, -0.3, -651.5949386764671, 93.63362795584707, -7922.587197169622, -9.377648509870422, 1401.316330499756, -131025.0504062374),
    (0.0, 0.4, -1, -0.4, 0, -0.84, -1, 0),
    (9.0, -0.1, -20.72326583704642, -8.999999999000005, 579.7414906336217, -9.00000000900001, 800.0000005797423, -59505.17022408301),
]


def test_gen_extreme_value():
    z, xi, value, in_z, in_xi, z_twice, mixed, xi_twice = np.array(EXTREME_VALUE).T

    @jax.jit
    def derivatives(z, xi):
        def f(z, xi):
            return GenExtremeValue(jnp.zeros(()), jnp.ones(()), xi).log_prob(z)

        both = jax.grad(lambda z, xi: jnp.sum(f(z, xi)), (0, 1))
        one, zero = jnp.ones_like(z), jnp.zeros_like(z)
        return f(z, xi), both(z, xi), jax.jvp(both, (z, xi), (one, zero))[1], jax.jvp(both, (z, xi), (zero, one))[1]

    found, slopes, of_z, of_xi = derivatives(z, xi)
    np.testing.assert_allclose(found, value, rtol=1e-14)
    np.testing.assert_allclose(slopes, [in_z, in_xi], rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(of_z, [z_twice, mixed], rtol=1e-11, atol=1e-15)
    # in xi twice, terms in 1 / (xi z)^2 cancel
    np.testing.assert_allclose(of_xi, [mixed, xi_twice], rtol=1e-9, atol=1e-15)


def test_gen_extreme_value_outside_its_support():
    """No density, and no slope."""
    value, slopes = jax.value_and_grad(lambda v: GenExtremeValue(v[0], v[1], v[2]).log_prob(-9.0))(jnp.asarray([0.4, 1.3, 0.5]))
    assert value == -np.inf
    np.testing.assert_array_equal(slopes[jnp.asarray([0, 2])], 0.0)


@pytest.mark.parametrize("code", [-1, 0, 1])
def test_censored_lognormal(code):
    mu, y, sigma = np.array([-40.0, -2.0, 0.0, 0.7, 30.0]), 2.0, 0.8
    z = (np.log(y) - mu) / sigma
    data = {"cens": np.full(mu.shape, code)}
    if code == 0:
        first, second = z / sigma, np.full(mu.shape, -1 / sigma**2)
    else:
        side = -code * z
        m = mills(side)
        bend = np.where(side < -20, 1 - 1 / side**2 + 6 / side**4 - 50 / side**6, m * (side + m))
        first, second = code * m / sigma, -bend / sigma**2
    check(in_mu("lognormal", "identity", y, data, sigma=sigma), mu, first, second, atol=1e-300)


@pytest.mark.parametrize("code", [-1, 0, 1])
def test_censored_weibull(code):
    eta, y, shape = np.array([-2.0, 0.0, 0.8, 3.0]), 1.4, 1.6
    h = (y * special.gamma(1 + 1 / shape) * np.exp(-eta)) ** shape  # the cumulative hazard
    if code == 1:
        first, second = shape * h, -(shape**2) * h
    elif code == 0:
        first, second = shape * (h - 1), -(shape**2) * h
    else:
        g = h / np.expm1(h)
        first, second = -shape * g, shape**2 * g * (1 - h - g)
    check(in_mu("weibull", "log", y, {"cens": np.full(eta.shape, code)}, shape=shape), eta, first, second, atol=1e-300)


@pytest.mark.parametrize("name", ["gaussian", "lognormal"])
def test_censored_in_an_interval(name):
    mu = np.array([-3.0, 0.3, 1.0, 4.0])
    data = {"cens": np.full(mu.shape, 2), "y2": np.full(mu.shape, 2.5)}
    ends = np.log([1.0, 2.5]) if name == "lognormal" else np.array([1.0, 2.5])
    a, b = (ends[:, None] - mu) / 0.9
    mass = np.where(a > 0, stats.norm.sf(a) - stats.norm.sf(b), stats.norm.cdf(b) - stats.norm.cdf(a))
    g = (PHI(a) - PHI(b)) / mass / 0.9
    bend = (a * PHI(a) - b * PHI(b)) / mass / 0.81 - g**2
    check(in_mu(name, "identity", np.full(mu.shape, 1.0), data, sigma=0.9), mu, g, bend)


# ---------------------------------------------------------------------------------------------- categories

THRES = np.array([-1.0, 0.2, 1.5])


#: Distribution functions that take complex numbers.
CUMULATIVE = {
    "logit": lambda z: 1 / (1 + np.exp(-z)),
    "probit": lambda z: 0.5 * special.erfc(-z / np.sqrt(2)),
    "probit_approx": lambda z: 1 / (1 + np.exp(-(0.07056 * z**3 + 1.5976 * z))),
    "cloglog": lambda z: 1 - np.exp(-np.exp(z)),
    "cauchit": lambda z: 0.5 + np.arctan(z) / np.pi,
    "softit": lambda z: 1 - 1 / (1 + np.log1p(np.exp(z))),
}


def ordinal_probabilities(name, link, eta):
    """Probabilities (4,) of the categories from their definitions; complex steps give their derivatives."""
    f = CUMULATIVE[link]
    z = THRES - eta
    if name == "cumulative":
        return np.diff(np.concatenate([[0.0], f(z), [1.0]]))
    if name in ("sratio", "cratio"):
        stop = f(z) if name == "sratio" else 1 - f(-z)
        passed = np.concatenate([[1.0], np.cumprod(1 - stop)])
        return passed * np.concatenate([stop, [1.0]])
    odds = np.concatenate([[1.0], np.cumprod(f(-z) / (1 - f(-z)))])
    return odds / odds.sum()


@pytest.mark.parametrize("link", CUMULATIVE)
@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
@pytest.mark.parametrize("y", [1, 2, 4])
def test_ordinal(name, link, y):
    if link == "softit" and name in ("sratio", "cratio"):
        return  # no link of theirs
    etas = np.array([-0.4, 0.0, 0.6, 1.0]) if link == "cloglog" else np.array([-1.7, 0.0, 0.6, 2.0])  # where 1 - F has digits
    bound = family(name, link=link).learn(Seen(np.array([1.0, 4.0])))
    h = 1e-20

    def log_prob(eta):
        return bound.distribution({"mu": Dpar(eta, LINKS[link]), "thres": Dpar(jnp.asarray(THRES))}, {}).log_prob(
            jnp.full(eta.shape, float(y))
        )

    p = np.array([ordinal_probabilities(name, link, e)[y - 1] for e in etas])
    slope = np.array([ordinal_probabilities(name, link, e + 1j * h)[y - 1].imag / h for e in etas])
    found = first_and_second(log_prob, etas)
    np.testing.assert_allclose(found[0], slope / p, rtol=RTOL)
    # the second derivative as the complex step's difference quotient, extrapolated
    quotients = []
    for step in (1e-3, 5e-4):
        low, high = (
            np.array([(v := ordinal_probabilities(name, link, e + s * step + 1j * h)[y - 1]).imag / h / v.real for e in etas])
            for s in (-1, 1)
        )
        quotients.append((high - low) / (2 * step))
    np.testing.assert_allclose(found[1], (4 * quotients[1] - quotients[0]) / 3, rtol=RTOL)


@pytest.mark.parametrize("link", ["logit", "probit", "probit_approx", "cauchit", "softit"])
def test_far_thresholds_keep_finite_derivatives(link):
    """Categories that cannot be: log probabilities of -300, with slopes to match."""
    bound = family("cumulative", link=link).learn(Seen(np.array([1.0, 4.0])))
    for y in (1.0, 2.0, 4.0):
        found = first_and_second(
            lambda eta, y=y: bound.distribution({"mu": Dpar(eta, LINKS[link]), "thres": Dpar(jnp.asarray(THRES))}, {}).log_prob(
                jnp.full(eta.shape, y)
            ),
            [-300.0, -25.0, 25.0, 300.0],
        )
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize("name", ["cumulative", "sratio", "cratio", "acat"])
def test_ordinal_with_fewer_thresholds_in_some_rows(name):
    """Each row's own thresholds, some absent, and (but for cumulative) an effect for each: the law of the thresholds that are there."""
    thres = np.array([[-1.0, 0.2, 1.5], [-0.5, np.inf, np.inf], [0.3, 0.9, np.inf]])
    eta = np.array([0.4, -0.7, 1.1])
    shift = np.zeros((3, 3)) if name == "cumulative" else np.array([[0.0, 0.3, -0.2], [0.1, 0.0, 0.0], [-0.4, 0.2, 0.0]])
    bound = family(name, link="probit").learn(Seen(np.array([1.0, 4.0])))
    linear = eta if name == "cumulative" else eta[:, None] + shift

    def log_prob(linear, y):
        return bound.distribution({"mu": Dpar(linear, LINKS["probit"]), "thres": Dpar(jnp.asarray(thres))}, {}).log_prob(y)

    table = np.asarray(
        bound.distribution({"mu": Dpar(jnp.asarray(linear), LINKS["probit"]), "thres": Dpar(jnp.asarray(thres))}, {}).log_table()
    )
    for y in range(1, 5):
        found, slope = (
            log_prob(linear, np.full(3, float(y))),
            jax.grad(lambda v, y=y: jnp.sum(log_prob(v, np.full(3, float(y)))))(jnp.asarray(linear)),
        )
        assert np.all(np.isfinite(slope))
        for row in range(3):
            there = thres[row][np.isfinite(thres[row])] - shift[row][np.isfinite(thres[row])]
            if y > len(there) + 1:
                assert found[row] == table[row, y - 1] == -np.inf
                continue

            def alone(e, there=there, y=y):
                one = {"mu": Dpar(e, LINKS["probit"]), "thres": Dpar(jnp.asarray(there))}
                return jnp.sum(bound.distribution(one, {}).log_prob(jnp.full(1, float(y))))

            expected, in_eta = jax.value_and_grad(alone)(jnp.asarray([eta[row]]))
            np.testing.assert_allclose([found[row], table[row, y - 1]], expected, rtol=1e-12)
            np.testing.assert_allclose(np.sum(slope[row]), in_eta[0], rtol=1e-12)


def test_categorical():
    logits = np.array([[0.3, -1.0], [-40.0, 30.0], [0.0, 0.0]])
    bound = family("categorical").learn(Seen(np.array([1.0, 2.0, 3.0]), ("a", "b", "c")))
    p = special.softmax(np.concatenate([np.zeros((3, 1)), logits], axis=1), axis=1)
    for y in (1.0, 2.0, 3.0):

        def f(eta, y=y):
            return bound.distribution({"mub": Dpar(eta), "muc": Dpar(jnp.asarray(logits[:, 1]))}, {}).log_prob(jnp.full(3, y))

        check(f, logits[:, 0], (y == 2) - p[:, 1], -p[:, 1] * (1 - p[:, 1]), atol=1e-16)


def test_logistic_normal():
    """Three log ratios against SciPy's normal law; derivatives against those of the density with the covariances inverted."""
    y = np.array([[0.1, 0.2, 0.3, 0.4], [0.01, 0.9, 0.04, 0.05], [0.3, 0.3, 0.39, 0.01]])
    loc, scale = np.array([[0.2, -1.0, 0.5], [2.0, 0.1, -0.3], [0.0, 1.5, 0.7]]), np.array([0.4, 1.3, 0.9])
    low = np.linalg.cholesky(np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]))
    ratios = np.log(y[:, [0, 1, 3]] / y[:, [2]])

    def mine(loc, scale, low):
        return LogisticNormal(loc, scale, low, 2).log_prob(y)

    def plain(loc, scale, low):
        cov = jnp.outer(scale, scale) * (low @ low.T)
        z = ratios - loc
        quadratic = jnp.sum(z * (z @ jnp.linalg.inv(cov)), axis=1)
        return -0.5 * quadratic - 1.5 * jnp.log(2 * jnp.pi) - 0.5 * jnp.linalg.slogdet(cov)[1] - jnp.log(y).sum(axis=1)

    cov = np.outer(scale, scale) * (low @ low.T)
    expected = [stats.multivariate_normal(m, cov).logpdf(r) for m, r in zip(loc, ratios, strict=True)] - np.log(y).sum(axis=1)
    np.testing.assert_allclose(mine(loc, scale, low), expected, rtol=1e-12)
    # what lies above the factor's diagonal takes no part; the plain density would use it
    part, at = np.tril(np.ones((3, 3))), [jnp.asarray(v) for v in (loc, scale, low)]
    for order in (jax.grad, jax.hessian):
        found, wanted = (
            order(lambda v, f=f: jnp.sum(f(v[:9].reshape(3, 3), v[9:12], v[12:].reshape(3, 3) * part)))(
                jnp.concatenate([jnp.ravel(a) for a in at])
            )
            for f in (mine, plain)
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)


# ---------------------------------------------------------------------------------------------- zeros and mixtures


@pytest.mark.parametrize("y", [0.0, 3.0])
def test_zero_inflated_poisson(y):
    eta, zi = np.array([-8.0, 0.3, 2.0, 6.0]), 0.2
    rate = np.exp(eta)
    if y > 0:
        first, second = y - rate, -rate
    else:
        share = (1 - zi) * np.exp(-rate) / (zi + (1 - zi) * np.exp(-rate))
        first, second = -share * rate, -share * rate + share * (1 - share) * rate**2
    check(in_mu("zero_inflated_poisson", "log", y, zi=zi), eta, first, second, atol=1e-300)


@pytest.mark.parametrize("y", [0.0, 3.0])
def test_hurdle_poisson(y):
    eta = np.array([-8.0, 0.3, 2.0, 6.0])
    rate = np.exp(eta)
    g = rate / np.expm1(rate)
    first, second = (0 * eta, 0 * eta) if y == 0 else (y - rate - g, -rate - g * (1 - rate - g))
    check(in_mu("hurdle_poisson", "log", y, hu=0.2), eta, first, second, atol=1e-12)


def test_mixture():
    one = brim.mixture("gaussian", nmix=2)
    y, mu = 0.4, np.array([-20.0, 0.0, 0.5, 2.0])

    def f(eta):
        values = {"sigma1": 0.5, "mu2": 1.0, "sigma2": 1.5, "theta1": 0.3, "theta2": 0.7}
        return one.distribution({"mu1": Dpar(eta), **{k: Dpar(jnp.asarray(v)) for k, v in values.items()}}, {}).log_prob(y)

    a, b = 0.3 * stats.norm(mu, 0.5).pdf(y), 0.7 * stats.norm(1.0, 1.5).pdf(y)
    share, z = a / (a + b), (y - mu) / 0.25
    check(f, mu, share * z, share * (-4.0) + share * (1 - share) * z**2, atol=1e-300)


# time, bias, whether it hit 1, then the log density, its derivatives in time and in bias, and the second ones (time twice, mixed, bias
# twice), by 25 images or 24 waves and central differences, with 80 digits (mpmath): starts close to either boundary, and either side of
# where the two series meet
FIRST_PASSAGE = [
    (1e-08, 1e-10, False, 3.68623165278292, -149999999.99995, 9999999999.99, 1.499999999999e16, 1000000, -1.000000000001e20),
    (1e-08, 0.6, True, -7999974.20420815, 799999850000000, 39999997.5, -1.59999985e23, -4e15, -100000006.25),
    (0.0001, 1e-05, False, 1.38364605978937, -14999.995, 99999.9, 149999900, 1000, -10000010000),
    (0.0001, 0.999, False, -4977.10942847764, 49885049.9995869, -9988.99904030047, -997851000074.35, 99899992.1527619, -10001.8279498156),
    (0.02, 0.04, False, 1.69022015006935, -73, 23, 3550, 100, -675),
    (0.02, 0.3, True, -7.65757896900136, 537.499999999739, 33.5714285714456, -57500.0000003649, -1749.99999997537, -52.0408163281932),
    (0.2, 1e-10, True, -21.9511910301415, -1.24999770696665, 10000000000, -64.0622907285063, -4.27081938190042e-09, -1e20),
    (0.2, 0.5, False, 0.156651779724446, -4.89065386826395, -0.651310919767697, -1.74485295714699, 9.6699174751907, -10.2055136507365),
    (0.2, 0.93, False, -1.58669373414516, -1.35372812580772, -14.2244182347357, -62.0519326660858, 2.93808282933594, -205.041530368297),
    (
        0.3599,
        0.003,
        True,
        -5.31533018171866,
        -4.64197401968845,
        333.324049344175,
        -4.41486035885776,
        -0.00882998158841539,
        -111114.205819237,
    ),
    (
        0.3601,
        0.003,
        True,
        -5.3162586647296,
        -4.64285563908858,
        333.324047580884,
        -4.40134077314474,
        -0.00880294162094012,
        -111114.206406981,
    ),
    (0.3599, 0.6, False, -0.687505492915496, -4.84540546468449, -1.07910323844608, -1.33268413948036, 0.868501936749751, -10.8552747285938),
    (0.3601, 0.6, False, -0.688474600635447, -4.84567160159103, -1.0789297977639, -1.32868695860228, 0.865906193047349, -10.8554327116849),
    (2.0, 1e-10, True, -30.6059955593316, -4.93480220053648, 10000000000, -1.21310337077388e-10, -8.08970515086405e-21, -1e20),
    (2.0, 0.3, False, -8.93680987073997, -4.9348022005495, 2.28250066850079, 7.13044272251857e-11, 2.08264056491971e-11, -15.0794137028056),
    (1000.0, 0.93, True, -4935.18007402017, -4.93480220054468, -14.054677606301, -8.63616855509444e-48, 0, -207.403567018149),
]


def test_first_passage():
    time, bias, upper, value, in_time, in_bias, time_twice, mixed, bias_twice = np.array(FIRST_PASSAGE).T
    upper = upper > 0

    @jax.jit
    def derivatives(t, b):
        both = jax.grad(lambda t, b: jnp.sum(log_first_passage(t, b, upper)), (0, 1))
        one, zero = jnp.ones_like(t), jnp.zeros_like(t)
        return log_first_passage(t, b, upper), both(t, b), jax.jvp(both, (t, b), (one, zero))[1], jax.jvp(both, (t, b), (zero, one))[1]

    found, slopes, of_time, of_bias = derivatives(time, bias)
    np.testing.assert_allclose(found, value, rtol=1e-14, atol=1e-14)
    assert np.all(np.abs(slopes[0] - in_time) < 1e-14 * (np.abs(in_time) + 1 / time))  # a sum of terms such as 1.5 / time
    np.testing.assert_allclose(slopes[1], in_bias, rtol=1e-12)
    assert np.all(np.abs(of_time[0] - time_twice) < 1e-12 * (np.abs(time_twice) + 1 / time**2))
    # XLA's underflow: those below are of the order of exp(-5000)
    least = np.minimum(bias, 1 - bias)
    for found in (of_time[1], of_bias[0]):
        assert np.all(np.abs(found - mixed) < 1e-11 * np.abs(mixed) + 1e-15 / (time * least))  # terms of that size cancel
    np.testing.assert_allclose(of_bias[1], bias_twice, rtol=1e-11)


def test_first_passage_far_out_is_finite():
    """Times of next to nothing, and of ages: ``-start^2 / (2 time)`` and ``-pi^2 time / 2`` with their slopes."""
    for time, value in ((1e-50, -0.045e50), (1e100, -0.5 * np.pi**2 * 1e100)):
        found = [log_first_passage(time, 0.3, False), *jax.grad(log_first_passage, (0, 1))(time, 0.3, False)]
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1], abs(value) / time if time < 1 else -0.5 * np.pi**2, rtol=1e-12)
        np.testing.assert_allclose(found[2], -0.3 / time if time < 1 else np.pi / np.tan(0.3 * np.pi), rtol=1e-12)
        assert np.all(np.isfinite(jax.hessian(lambda v: log_first_passage(v[0], v[1], False))(jnp.asarray([time, 0.3]))))


def test_in_one_pass():
    """Values, gradients and Hessians are those of the plain formula; a constant or a mask has none."""

    def plain(x, y, mask):
        return jnp.where(mask, jnp.exp(x * y) / (1.0 + x), jnp.sin(x) * y**3)

    one, x, y, mask = in_one_pass(plain), jnp.asarray([0.3, 1.2, -0.4]), jnp.asarray(0.7), jnp.asarray([True, False, True])
    np.testing.assert_array_equal(one(x, y, mask), plain(x, y, mask))
    for order in (jax.grad, jax.hessian):
        expected, found = (order(lambda v, f=f: jnp.sum(f(v[:3], v[3], mask)))(jnp.append(x, y)) for f in (plain, one))
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        jax.grad(lambda v: jnp.sum(one(x, v, mask)))(y), jax.grad(lambda v: jnp.sum(plain(x, v, mask)))(y), rtol=1e-14
    )


def test_mixture_of_three():
    """Log density, gradient and Hessian in two locations, far out as well, where all but one component have no number of their own."""
    one = brim.mixture("gaussian", nmix=3)
    scale, weights = np.array([0.5, 1.5, 0.9]), np.array([0.2, 0.5, 0.3])

    def f(v, y):
        values = {"sigma1": 0.5, "sigma2": 1.5, "sigma3": 0.9, "mu3": -1.0, "theta1": 0.2, "theta2": 0.5, "theta3": 0.3}
        mus = {"mu1": Dpar(v[0]), "mu2": Dpar(v[1])}
        return one.distribution({**mus, **{k: Dpar(jnp.asarray(x)) for k, x in values.items()}}, {}).log_prob(y)

    for y in (-60.0, 0.4, 3.0, 80.0):
        at = np.array([0.2, 1.0])
        z = (y - np.array([*at, -1.0])) / scale
        logs = np.log(weights / scale) + LOGPHI(z)
        share, slope = special.softmax(logs)[:2], (z / scale)[:2]
        np.testing.assert_allclose(f(at, y), special.logsumexp(logs), rtol=1e-14)
        np.testing.assert_allclose(jax.grad(f)(at, y), share * slope, rtol=1e-12, atol=1e-300)
        hessian = np.diag(share * (slope**2 - 1 / scale[:2] ** 2)) - np.outer(share * slope, share * slope)
        np.testing.assert_allclose(jax.hessian(f)(jnp.asarray(at), y), hessian, rtol=1e-9, atol=1e-11)


# ---------------------------------------------------------------------------------------------- special functions


def test_gamma_functions():
    x = np.array([1e-6, 0.3, 1.0, 2.0, 7.999, 8.0, 8.001, 55.0, 1e9])
    np.testing.assert_allclose(log_gamma(x), special.gammaln(x), rtol=1e-13, atol=5e-15)
    np.testing.assert_allclose(digamma(x), special.psi(x), rtol=1e-13, atol=1e-14)
    check(log_gamma, x, special.psi(x), special.polygamma(1, x), atol=1e-13)
    third = jax.vmap(jax.grad(jax.grad(jax.grad(log_gamma))))(x)
    np.testing.assert_allclose(third, special.polygamma(2, x), rtol=1e-11)
    assert log_factorial(0.0) == 0.0


@pytest.mark.parametrize("n", [0.0, 1.0, 5.0, 400.0])
def test_ratio_of_gamma_functions(n):
    a = np.array([1e-5, 0.6, 7.5, 8.0, 300.0, 1e8])
    steps = a[:, None] + np.arange(int(n))
    check(lambda v: lgamma_ratio(v, n), a, np.sum(1 / steps, axis=1), -np.sum(1 / steps**2, axis=1), atol=1e-16)


def test_ratio_of_gamma_functions_in_its_second_argument():
    n = np.array([0.5, 4.0, 90.0])
    check(lambda v: lgamma_ratio(2.5, v), n, special.psi(2.5 + n), special.polygamma(1, 2.5 + n))


def test_sum_of_exponentials():
    a = np.array([-800.0, -1.0, 0.0, 3.0, 800.0])
    check(lambda v: log_add(v, 0.3), a, special.expit(a - 0.3), special.expit(a - 0.3) * special.expit(0.3 - a), atol=1e-300)
    assert log_add(-np.inf, -np.inf) == -np.inf
    assert np.isfinite(jax.grad(log_add)(-jnp.inf, -jnp.inf))


def test_normal_odds():
    x = np.array([-60.0, -12.0, -1.0, 0.0, 1e-9, 2.0, 12.0, 60.0])
    expected = special.log_ndtr(x) - special.log_ndtr(-x)
    np.testing.assert_allclose(log_ndtr_odds(x), expected, rtol=1e-12, atol=1e-15)
    up, down = mills(x), mills(-x)
    np.testing.assert_allclose(first_and_second(log_ndtr_odds, x)[0], up + down, rtol=RTOL)
    near = np.abs(x) < 3
    bend = -up * (x + up) + down * (down - x)
    np.testing.assert_allclose(first_and_second(log_ndtr_odds, x)[1][near], bend[near], rtol=RTOL, atol=1e-12)


def test_far_normal_tail():
    x = np.array([-36.9, -37.1, -100.0, -1e5])
    series = -x * (1 + 1 / x**2 - 2 / x**4 + 10 / x**6)
    np.testing.assert_allclose(first_and_second(log_ndtr, x)[0], series, rtol=RTOL)
    np.testing.assert_allclose(first_and_second(log_ndtr, x)[1], -1 + 1 / x**2, rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (20.0, 21.0), (-31.0, -30.0), (0.3, 0.3001), (-4.0, 30.0)])
def test_normal_interval(low, high):
    mass = special.ndtr(-low) - special.ndtr(-high) if low > 0 else special.ndtr(high) - special.ndtr(low)
    tol = 1e-7 if high - low < 1e-3 else RTOL  # the reference's own cancellation
    np.testing.assert_allclose(jax.grad(log_ndtr_between, 1)(low, high), PHI(high) / mass, rtol=tol, atol=1e-150)
    np.testing.assert_allclose(jax.grad(log_ndtr_between, 0)(low, high), -PHI(low) / mass, rtol=tol)
    hessian = jax.hessian(lambda v: log_ndtr_between(v[0], v[1]))(jnp.asarray([low, high]))
    np.testing.assert_allclose(hessian[0, 1], PHI(low) / mass * (PHI(high) / mass), rtol=2 * tol, atol=1e-150)
    np.testing.assert_allclose(hessian[0, 0], low * PHI(low) / mass - (PHI(low) / mass) ** 2, rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (40.0, 41.0), (-800.0, -700.0), (-4.0, 1e150)])
def test_logistic_interval(low, high):
    gap = 1 / np.expm1(min(high - low, 700.0))
    np.testing.assert_allclose(jax.grad(log_logistic_between, 1)(low, high), special.expit(-high) + gap, rtol=RTOL, atol=1e-300)
    np.testing.assert_allclose(jax.grad(log_logistic_between, 0)(low, high), -special.expit(low) - gap, rtol=RTOL, atol=1e-300)
    hessian = jax.hessian(lambda v: log_logistic_between(v[0], v[1]))(jnp.asarray([low, high]))
    np.testing.assert_allclose(hessian[0, 1], gap * (1 + gap), rtol=RTOL, atol=1e-290)
    np.testing.assert_allclose(hessian[0, 0], -gap * (1 + gap) - special.expit(low) * special.expit(-low), rtol=RTOL, atol=1e-300)


# a, b, then log(F(b) - F(a)), its derivatives in a and b, and the second ones, with 60 digits (mpmath)
BETWEEN = {
    "logistic": [
        (
            -1,
            0.5,
            -1.039821130623783,
            -0.5561583381588634,
            0.6647575855870137,
            -0.5663224073200538,
            0.3697104740785719,
            -0.6047141862801664,
        ),
        (0.3, 0.3001, -10.61905830597065, -10000.07445085125, 9999.925541371973, -100000000.161147, 99999999.9166887, -100000000.1611434),
        (-30, -29, -29.45867514538743, -0.58197670686942, 1.581976706869072, -0.9206735942078859, 0.9206735942077923, -0.9206735942080467),
        (40, 41, -40.45867514538708, -1.581976706869326, 0.5819767068693265, -0.9206735942077924, 0.9206735942077923, -0.9206735942077923),
        (
            -4,
            30,
            -0.01814992791790503,
            -0.01798620996209327,
            9.529013811993501e-14,
            -0.01766270621329283,
            1.713908431542019e-15,
            -9.529013811992625e-14,
        ),
        (-1e100, -2, -2.126928011042973, 0.0, 0.8807970779778824, 0.0, 0.0, -0.1049935854035065),
        (-1e100, 30, -9.357622968839737e-14, 0.0, 9.357622968839299e-14, 0.0, 0.0, -9.357622968838423e-14),
        (0.7, 1e100, -1.103186048885458, -0.668187772168166, 0.0, -0.221712873293109, 0.0, 0.0),
        (-800, -700, -700, -3.720075976020836e-44, 1, -3.720075976020836e-44, 3.720075976020836e-44, -3.720075976020836e-44),
    ],
    "ndtr": [
        (-1, 0.5, -0.6295956325528635, -0.4541431144034316, 0.6607743324649646, -0.66038908276348, 0.3000861132634876, -0.7670098846770019),
        (0.3, 0.3001, -10.17429390681012, -10000.15001741789, 9999.849967418144, -100000000.3258579, 99999999.82585286, -100000000.3258479),
        (
            -31,
            -30,
            -454.3212439563433,
            -1.704593283822866e-12,
            30.03325966743533,
            -5.284239179851176e-11,
            5.119449272041843e-11,
            -0.9988962285377113,
        ),
        (
            20,
            21,
            -203.9171553722882,
            -20.04975309240501,
            2.506525629881658e-08,
            -0.9975372183040062,
            5.025521999891218e-07,
            -5.263703829034151e-07,
        ),
        (-4, 30, -3.167174337748927e-05, -0.0001338344644685751, 0, -0.0005353557695381802, 0, 0),
        (-1e100, -2, -3.783184333682032, 0.0, 2.373215532822841, 0.0, 0.0, -0.8857208995859187),
        (-1e100, 6, -9.865876455243758e-10, 0.0, 6.075882855817676e-09, 0.0, 0.0, -3.645529717182241e-08),
        (0.7, 1e100, -1.418967761531531, -1.290499339458167, 0.0, -0.7620390075212475, 0.0, 0.0),
        (-60, -50, -1254.83136113942, 0, 50.01998403190564, 0, 0, -0.9996009568131961),
        (-50.01, -50, -1255.763728294577, -77.0719777635049, 127.0765627829013, -9794.459364331075, 9794.042021066402, -9794.624669571585),
        (36, 1e100, -652.5032275937984, -36.02773507528106, 0.0, -0.9992319445190266, 0.0, 0.0),
        (-1e100, -300, -45006.62273211866, 0.0, 300.0033332592634, 0.0, 0.0, -0.999988889629561),
    ],
    "cloglog": [
        (
            -1,
            0.5,
            -0.6933372346043083,
            -0.5093895624345317,
            0.6342043638070021,
            -0.5814733411847944,
            0.3230570833737194,
            -0.813637035844289,
        ),
        (0.3, 0.3001, -10.26021667469148, -10000.17495292331, 9999.825026620932, -100000000.4397901, 99999999.76483028, -100000000.4397968),
        (-31, -30, -30.45867514538715, -0.5819767068693437, 1.58197670686928, -0.9206735942078095, 0.9206735942077923, -0.9206735942078391),
        (
            2,
            3,
            -7.389059160817259,
            -7.389078723417205,
            6.149973067864536e-05,
            -7.389245897529431,
            0.0004544263514534668,
            -0.001173759162850257,
        ),
        (-4, 30, -0.01831563888873418, -0.01831563888873418, 0, -0.01831563888873418, 0, 0),
        (-1e100, -2, -2.06690460644417, 0.0, 0.9338581959051936, 0.0, 0.0, -0.06461689759977088),
        (-1e100, 1.5, -0.01137877984508326, 0.0, 0.05128739387195545, 0.0, 0.0, -0.1811971554602878),
        (0.7, 1e100, -2.013752707470477, -2.013752707470477, 0.0, -2.013752707470477, 0.0, 0.0),
        (-800, -700, -700, -3.720075976020836e-44, 1, -3.720075976020836e-44, 3.720075976020836e-44, -3.720075976020836e-44),
        (
            -40,
            -35.5,
            -35.5111711622683,
            -0.01123379270248555,
            1.011233792702485,
            -0.01135999080096797,
            0.01135999080096797,
            -0.01135999080096816,
        ),
        (
            -36.5,
            -35.5,
            -35.95867514538708,
            -0.5819767068693265,
            1.581976706869326,
            -0.9206735942077924,
            0.9206735942077923,
            -0.9206735942077925,
        ),
        (3, 1e100, -20.08553692318767, -20.08553692318767, 0.0, -20.08553692318767, 0.0, 0.0),
    ],
    "cauchy": [
        (
            -1,
            0.5,
            -0.9223500081410605,
            -0.4003055861115205,
            0.6404889377784327,
            -0.5605501483836084,
            0.2563912996353406,
            -0.9226172296392912,
        ),
        (0.3, 0.3001, -10.44127547942922, -10000.27525741413, 9999.724722110848, -100000000.4853754, 99999999.71947747, -100000000.4853023),
        (-31, -30, -7.9809895476998, -0.9677758399561766, 1.033296734781179, -0.9989623238844663, 0.9999996154268297, -0.9988921486722968),
        (
            200,
            300,
            -7.541677133487274,
            -0.01499988889142484,
            0.006666709875955655,
            -7.500152771931777e-05,
            9.999990741069949e-05,
            -8.888925925166148e-05,
        ),
        (
            -4,
            30,
            -0.09275752665852899,
            -0.02054401331719006,
            0.0003876228927771709,
            -0.0100898274559722,
            7.963329871261933e-06,
            -2.596309675298747e-05,
        ),
        (-1e100, -2, -1.91336036450401, 0.0, 0.431362086458322, 0.0, 0.0, 0.1590164195329807),
        (-1e100, 1.5, -0.2072296540270027, 0.0, 0.1204940110442629, 0.0, 0.0, -0.1257440476614699),
        (0.7, 1e100, -1.18547858888295, -0.6990539088360251, 0.0, 0.1681528086286146, 0.0, 0.0),
        (
            -100000000.0,
            -10000000.0,
            -17.36818605246555,
            -1.111111111111115e-09,
            1.111111111111104e-07,
            -2.345679012345688e-17,
            1.234567901234565e-16,
            9.876543209876337e-15,
        ),
    ],
}
BETWEENS = {
    "logistic": log_logistic_between,
    "ndtr": log_ndtr_between,
    "cloglog": log_cloglog_between,
    "cauchy": log_cauchy_between,
}


@pytest.mark.parametrize("name", BETWEEN)
def test_interval(name):
    """Close points, distant ones, either tail, and outermost points that take no part."""
    a, b, value, in_a, in_b, a_twice, mixed, b_twice = np.array(BETWEEN[name]).T
    f = BETWEENS[name]

    @jax.jit
    def derivatives(a, b):
        both = jax.grad(lambda a, b: jnp.sum(f(a, b)), (0, 1))
        one, zero = jnp.ones_like(a), jnp.zeros_like(a)
        return f(a, b), both(a, b), jax.jvp(both, (a, b), (one, zero))[1], jax.jvp(both, (a, b), (zero, one))[1]

    found, slopes, of_a, of_b = derivatives(a, b)
    tol = np.where(b - a < 1e-3, 1e-11, 1e-13)  # a difference of numbers that agree in three digits
    largest = np.maximum(np.abs(in_a), np.abs(in_b))  # a slope next to nothing beside the other one need not have its digits
    assert np.all(np.abs(found - value) <= tol * np.abs(value))
    if name == "ndtr":  # the slopes are exponentials of differences of numbers as large as the value, the second derivatives of squares
        tol = tol + 1e-15 * np.abs(value)
    for mine, exact in zip(slopes, (in_a, in_b), strict=True):
        assert np.all(np.abs(mine - exact) <= tol * np.abs(exact) + 1e-15 * largest)
    lost = tol * largest**2 if name == "ndtr" else 1e-14 * largest
    for mine, exact in zip((*of_a, *of_b), (a_twice, mixed, mixed, b_twice), strict=True):
        assert np.all(np.abs(mine - exact) <= 10 * tol * np.abs(exact) + lost)


@pytest.mark.parametrize(("a", "x"), [(0.4, 0.01), (3.0, 2.0), (3.0, 40.0), (200.0, 150.0)])
def test_gamma_tails(a, x):
    law = stats.gamma(a)
    hazard, reverse = np.exp(law.logpdf(x) - law.logsf(x)), np.exp(law.logpdf(x) - law.logcdf(x))
    growth = (a - 1) / x - 1
    for k, slope in ((0, reverse), (1, -hazard)):
        check(lambda v, k=k: log_gamma_tails(a, v)[k], [x], [slope], [slope * (growth - slope)])
    step = 1e-4 * a
    quotient = (special.gammaincc(a + step, x) - special.gammaincc(a - step, x)) / (2 * step) / special.gammaincc(a, x)
    np.testing.assert_allclose(jax.grad(lambda v: log_gamma_tails(v, x)[1])(a), quotient, rtol=1e-5)


@pytest.mark.parametrize(("a", "b", "v"), [(0.7, 3.0, -2.0), (5.0, 2.0, 0.3), (40.0, 60.0, 1.0)])
def test_beta_tails(a, b, v):
    x = special.expit(v)
    law = stats.beta(a, b)
    density = law.pdf(x) * x * (1 - x)
    growth = a * (1 - x) - b * x
    for k, slope in ((0, density / law.cdf(x)), (1, -density / law.sf(x))):
        check(lambda t, k=k: log_betainc(a, b, t)[k], [v], [slope], [slope * (growth - slope)])


@pytest.mark.parametrize("name", ["poisson", "binomial", "negbinomial"])
def test_truncated_counts(name):
    """``log(1 - P(0))`` and its derivatives, which come from the tails' closed formulas."""
    eta = np.array([-3.0, 0.2, 1.5])
    m = np.exp(eta)
    link, data, more = (
        ("logit", {"trials": 9.0}, {}) if name == "binomial" else ("log", {}, {"shape": 1.4} if name == "negbinomial" else {})
    )
    data = {**data, "lb": 1.0}
    if name == "poisson":
        none, d, d2 = np.exp(-m), -m, -m
        y, dy, dy2 = 2.0, 2.0 - m, -m
    elif name == "binomial":
        p = special.expit(eta)
        none, d, d2 = (1 - p) ** 9, -9 * p, -9 * p * (1 - p)
        y, dy, dy2 = 2.0, 2 - 9 * p, -9 * p * (1 - p)
    else:
        k, share = 1.4, m / (m + 1.4)
        none, d, d2 = (1 - share) ** k, -k * share, -k * share * (1 - share)
        y, dy, dy2 = 2.0, 2 - (2 + k) * share, -(2 + k) * share * (1 - share)
    odds = none / (1 - none)
    # d log(1 - P0) = -odds d; its own derivative: -odds (d2 + d^2) - odds^2 d^2
    check(in_mu(name, link, y, data, **more), eta, dy + odds * d, dy2 + odds * (d2 + d**2) + odds**2 * d**2)


@pytest.mark.parametrize("name", ["geometric", "poisson", "negbinomial", "beta_binomial", "weibull", "beta"])
def test_sums_of_many_rows_are_those_of_the_rows(name):
    """A compiled sum over thousands of rows is another program than the rows themselves: jaxlib 0.10.2 miscompiles some."""
    n = 6000
    others = {"negbinomial": {"shape": 1.3}, "beta_binomial": {"phi": 3.0}, "weibull": {"shape": 1.3}, "beta": {"phi": 3.0}}.get(name, {})
    link = "logit" if name in ("beta_binomial", "beta") else "log"
    y = {"weibull": np.linspace(0.1, 5, n), "beta": np.linspace(0.01, 0.99, n)}.get(name, np.arange(n) % 9.0)
    data = {"trials": 9.0} if name == "beta_binomial" else {}

    def f(eta, others):
        """As brim compiles it: numbers are arguments."""
        dpars = {"mu": Dpar(eta, LINKS[link]), **{k: Dpar(v) for k, v in others.items()}}
        return family(name, link=link).distribution(dpars, data).log_prob(jnp.asarray(y))

    eta = jnp.linspace(-1.0, 2.0, n)
    rows = np.asarray(jax.jit(f)(eta, others))
    np.testing.assert_allclose(jax.jit(lambda e, o: jnp.sum(f(e, o)))(eta, others), rows.sum(), rtol=1e-10)


def test_rising_factorials_of_numbers_that_underflow():
    """``log(a (a + 1) ... (a + n - 1))`` in ``log a``: SciPy's where ``a`` is a number, ``log a + log((n - 1)!)`` with slope 1 beyond."""
    log_a, n = np.repeat([-3.0, 0.5, 3.0], 4), np.tile([0.0, 1.0, 2.5, 40.0], 3)
    a = np.exp(log_a)
    slope = a * (special.psi(a + n) - special.psi(a))
    growth = slope + a * a * (special.polygamma(1, a + n) - special.polygamma(1, a))
    np.testing.assert_allclose(log_rising(log_a, n), special.gammaln(a + n) - special.gammaln(a), rtol=1e-9, atol=1e-12)
    check(lambda v: log_rising(v, n), log_a, slope, growth, atol=1e-13)
    n = np.array([1.0, 3.0, 40.0])
    far = np.full(3, -1e9)
    np.testing.assert_allclose(log_rising(far, n), far + special.gammaln(n), rtol=1e-14)
    np.testing.assert_array_equal(jax.vmap(jax.grad(log_rising))(far, n), 1.0)


@pytest.mark.default_precision
def test_quadrature_in_either_precision():
    """Single precision after double, in one process: jax kept the nodes in double and refused to run."""
    with jax.enable_x64(True):
        for one in (log_normaliser, jax.jit(log_normaliser)):
            assert float(one(jnp.float64(0.5), jnp.float64(1.0))) == pytest.approx(np.exp(0.5), rel=1e-12)  # that of the Poisson law
    assert float(log_normaliser(0.5, 1.0)) == pytest.approx(np.exp(0.5), rel=1e-6)


def test_beta_tails_with_a_shape_of_zero():
    """All mass is at that end: a log probability of 0 or -inf, and no derivative."""
    for a, b, expected in ((0.0, 2.0, (0.0, -np.inf)), (2.0, 0.0, (-np.inf, 0.0))):
        np.testing.assert_array_equal(log_betainc(a, b, np.array([-3.0, 0.0, 3.0])), np.broadcast_to(np.reshape(expected, (2, 1)), (2, 3)))
        for k in (0, 1):
            assert [float(g) for g in jax.grad(lambda *v, k=k: log_betainc(*v)[k], argnums=(0, 1, 2))(a, b, 0.3)] == [0.0, 0.0, 0.0]
