"""Derivatives of special functions, first passage times and tails against formulas worked out by hand, SciPy and mpmath."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from brim.distributions.numerics.conway import log_normaliser
from brim.distributions.numerics.gammas import digamma, lgamma_ratio, log_factorial, log_gamma, log_rising
from brim.distributions.numerics.intervals import log_cauchy_between, log_cloglog_between, log_logistic_between, log_ndtr_between
from brim.distributions.numerics.logspace import log_add, log_ndtr, log_ndtr_odds
from brim.distributions.numerics.rows import in_one_pass
from brim.distributions.numerics.tails import log_betainc, log_gamma_tails
from brim.families import family
from brim.families.base import Dpar
from brim.families.diffusion import log_first_passage
from brim.families.links import LINKS
from derivatives import PHI, RTOL, check, first_and_second, in_mu, mills

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


@pytest.mark.parametrize("x", [5.0e3, 1.0e6, 1.0e8, 2.0e10, 1.0e13])
@pytest.mark.parametrize("a", [1.0, 10.0, 400.0])
def test_gamma_tails_that_fall_within_a_billionth(a, x):
    """``Q(a, x) = exp(-x) (1 + x + ... + x^(a-1) / (a-1)!)`` for whole ``a``, by SciPy."""
    k = np.arange(a)
    wanted = special.logsumexp(k * np.log(x) - special.gammaln(k + 1)) - x
    np.testing.assert_allclose(log_gamma_tails(a, x)[1], wanted, rtol=1e-13, atol=1e-9)
