"""First and second derivatives of log likelihoods against formulas worked out by hand, at ordinary points and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import brim
from brim.distributions.numerics.conway import log_normaliser
from brim.families import family
from brim.families.base import Dpar
from brim.families.links import LINKS
from brim.families.skewed import GenExtremeValue
from derivatives import LOGPHI, PHI, RTOL, WIDE, check, first_and_second, in_mu, in_other, mills

# ---------------------------------------------------------------------------------------------- probabilities


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
