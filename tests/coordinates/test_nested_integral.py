"""Latent vectors integrated at points of the parameters, against sums over grids of the joint density; and whole posteriors."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim.compile.session import float64
from brim.coordinates.nested.points import Points
from brim.coordinates.nested.structure import known_of, nest_of
from brim.coordinates.plan import Plan, joined
from brim.fit.run import coordinates
from brim.infer.target import UnsuitedError
from brim.model.model import log_joint_function

POINTS = 768


class Case:
    """A small model at one value of its parameters."""

    def __init__(self, formula, data, family, shift=0.1, **nest):
        fit = brim.brm(formula, data, family=family, empty=True)
        space = coordinates(fit, algorithm="nested_laplace")
        self.plan, self.vectors = space.plan, space.plan.adapted.latents
        self.nest = nest_of(space.plan.adapted)
        self.nest = type(self.nest)(self.nest.adapted, **{"nodes": self.nest.nodes, "particles": self.nest.particles, **nest})
        self.known = known_of(self.nest, space.rows, space.target.data["inner"], space.frame)
        self.theta = space.plan.center()[: space.plan.head] + shift
        own = coordinates(fit, algorithm="")
        self.data = own.target.data
        self.density = jax.jit(jax.vmap(log_joint_function(Plan(fit.model).model), in_axes=(0, None)))

    def found(self, border):
        """At the parameters, and these normals of the border."""
        points = Points(self.nest, self.known, len(self.theta), 3, 1)
        q = np.concatenate([np.tile(self.theta, (len(border), 1)), border], axis=1)
        return points(q, np.arange(len(q)))

    def joint(self, *z):
        """Log joint density at ``z`` of the vectors, each (n, k, levels)."""
        z = {v.standardised: x for v, x in zip(self.vectors, z, strict=True)}
        n = len(next(iter(z.values())))
        with float64():
            q = joined(self.plan.model, np.tile(self.theta, (n, 1)), z)
            return np.concatenate([np.asarray(self.density(part, self.data)) for part in jnp.array_split(q, -(-n // 20_000))])


def grid(n, far=7.0):
    x = np.linspace(-far, far, n)
    return x, np.log(x[1] - x[0])


def log_sum(x, axis=None):
    return np.asarray(jax.scipy.special.logsumexp(x, axis=axis))


def rows(seed, n):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=n).round(2)


def one_effect():
    rng, x = rows(1, 12)
    return pd.DataFrame({"y": rng.poisson(2.0, 12), "x": x, "g": np.repeat(list("abc"), [3, 4, 5])})


@pytest.mark.parametrize(("nodes", "error"), [(9, 1e-3), (41, 1e-9)])
def test_one_effect_a_level_is_integrated_to_any_digit(nodes, error):
    case = Case("y ~ x + (1 | g)", one_effect(), "poisson", nodes=nodes)
    x, log_step = grid(2001, 12.0)
    z = np.zeros((1 + 3 * len(x), 1, 3))
    for j in range(3):
        z[1 + j * len(x) : 1 + (j + 1) * len(x), 0, j] = x
    lp = case.joint(z)
    exact = lp[0] + sum(log_sum(part - lp[0]) + log_step for part in np.split(lp[1:], 3))
    found = case.found(np.zeros((1, 0)))
    assert found.value[0] == pytest.approx(exact, abs=error)
    assert abs(found.doubt[0]) < max(10 * error, 1e-3)
    np.testing.assert_allclose(found.joint, case.joint(*found.z), atol=1e-9)


def test_effects_are_drawn_from_their_conditional_law():
    case = Case("y ~ x + (1 | g)", one_effect(), "poisson")
    found = case.found(np.zeros((4096, 0)))
    x, _ = grid(2001, 12.0)
    for j in range(3):
        z = np.zeros((len(x), 1, 3))
        z[:, 0, j] = x
        weight = np.exp((lp := case.joint(z)) - lp.max())
        cumulated = np.cumsum(weight) / weight.sum()
        assert stats.kstest(found.z[0][:, 0, j], lambda t, c=cumulated: np.interp(t, x, c)).pvalue > 1e-3


def unbiased(found, exact):
    """Whether the mean of the estimates is the integral, by its standard error; and how far they spread."""
    ratio = np.exp(found.value - exact)
    assert abs(ratio.mean() - 1.0) < 4 * ratio.std() / np.sqrt(len(ratio)) + 1e-4
    return ratio.std()


def test_nested_effects_are_integrated_without_bias():
    rng, x = rows(2, 16)
    data = pd.DataFrame({"y": rng.poisson(2.0, 16), "x": x, "a": np.repeat(list("ab"), 8), "b": np.repeat(list("cdef"), 4)})
    case = Case("y ~ x + (1 | a) + (1 | b)", data, "poisson")
    assert [v.shape[1] for v in case.vectors] == [4, 2]
    x, log_step = grid(81)
    n, exact = len(x), 0.0
    zero = case.joint(np.zeros((1, 1, 4)), np.zeros((1, 1, 2)))[0]
    for a in range(2):
        outer = np.zeros((n, 1 + 2 * n, 1, 2))
        outer[:, :, 0, a] = x[:, None]
        inner = np.zeros((n, 1 + 2 * n, 1, 4))
        for i, b in enumerate((2 * a, 2 * a + 1)):
            inner[:, 1 + i * n : 1 + (i + 1) * n, 0, b] = x
        lp = case.joint(inner.reshape(-1, 1, 4), outer.reshape(-1, 1, 2)).reshape(n, -1)
        own = lp[:, 0] + sum(log_sum(part - lp[:, :1], 1) + log_step for part in np.split(lp[:, 1:], 2, axis=1))
        exact += log_sum(own - zero) + log_step
    assert unbiased(case.found(np.zeros((POINTS, 0))), exact + zero) < 0.05


def test_correlated_effects_are_integrated_without_bias():
    rng, x = rows(3, 16)
    data = pd.DataFrame({"y": rng.integers(0, 2, 16), "x": x, "g": np.repeat(list("ab"), 8)})
    case = Case("y ~ x + (1 + x | g)", data, "bernoulli", particles=16)
    x, log_step = grid(121)
    first, second = (part.ravel() for part in np.meshgrid(x, x))
    z = np.zeros((2, len(first), 2, 2))
    for j in range(2):
        z[j, :, 0, j], z[j, :, 1, j] = first, second
    zero = case.joint(np.zeros((1, 2, 2)))[0]
    exact = zero + sum(log_sum(case.joint(part) - zero) + 2 * log_step for part in z)
    assert unbiased(case.found(np.zeros((POINTS, 0))), exact) < 0.15


def test_crossed_effects_are_integrated_without_bias():
    rng, x = rows(4, 16)
    data = pd.DataFrame({"y": rng.integers(0, 2, 16), "x": x, "p": np.repeat(list("abcd"), 4), "i": np.tile(list("uv"), 8)})
    case = Case("y ~ x + (1 | p) + (1 | i)", data, "bernoulli")
    assert case.nest.border == 2
    x, log_step = grid(41)
    first, second = (part.ravel() for part in np.meshgrid(x, x))
    n, m = len(first), len(x)
    items, people = np.zeros((n, 1 + 4 * m, 1, 2)), np.zeros((n, 1 + 4 * m, 1, 4))
    items[:, :, 0, 0], items[:, :, 0, 1] = first[:, None], second[:, None]
    for j in range(4):
        people[:, 1 + j * m : 1 + (j + 1) * m, 0, j] = x
    z = {v.shape[1]: part.reshape(-1, 1, v.shape[1]) for v, part in zip(case.vectors, (items, people), strict=True)}
    lp = case.joint(*(z[v.shape[1]] for v in case.vectors)).reshape(n, -1)
    own = lp[:, 0] + sum(log_sum(part - lp[:, :1], 1) + log_step for part in np.split(lp[:, 1:], 4, axis=1))
    e = np.random.default_rng(5).normal(size=(POINTS, 2))
    assert unbiased(case.found(e), log_sum(own) + 2 * log_step) < 0.5


#: Means and standard deviations of 32,000 draws by algorithm="sampling" (of 16,000: verbagg's)
REFERENCE = {
    "cbpp": ("incidence | trials(size) ~ period + (1 | herd)", "binomial", {
        "b_Intercept": (-1.4014, 0.2588), "b_period2": (-0.9984, 0.3113), "b_period3": (-1.1396, 0.3312),
        "b_period4": (-1.6153, 0.4393), "sd_herd__Intercept": (0.7556, 0.2206),
    }),
    "gpa": ("gpa ~ occasion + (1 + occasion | student)", "gaussian", {
        "b_Intercept": (2.5991, 0.0184), "b_occasion": (0.1064, 0.0060), "sd_student__Intercept": (0.2137, 0.0163),
        "sd_student__occasion": (0.0675, 0.0053), "cor_student__Intercept__occasion": (-0.0868, 0.1093), "sigma": (0.2064, 0.0052),
    }),
    "epilepsy": ("count ~ zAge + zBase * Trt + (1 | patient) + (1 | obs)", "poisson", {
        "b_Intercept": (1.7188, 0.1185), "b_zAge": (0.0942, 0.0869), "b_zBase": (0.7008, 0.1201), "b_Trt1": (-0.2631, 0.1652),
        "b_zBase:Trt1": (0.0587, 0.1620), "sd_obs__Intercept": (0.3725, 0.0438), "sd_patient__Intercept": (0.5414, 0.0741),
    }),
    "grouseticks": ("TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)", "poisson", {
        "b_Intercept": (0.3503, 0.2082), "b_YEAR96": (1.1924, 0.2544), "b_YEAR97": (-0.9849, 0.2753), "b_cHEIGHT": (-0.0240, 0.0036),
        "sd_BROOD__Intercept": (0.8083, 0.1327), "sd_INDEX__Intercept": (0.5528, 0.0509), "sd_LOCATION__Intercept": (0.5184, 0.2335),
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", ["cbpp", "gpa", *(pytest.param(n, marks=pytest.mark.slow) for n in ("epilepsy", "grouseticks"))])
def test_posterior_is_that_of_the_sampler(name):
    """Within four standard errors of a mean or standard deviation of as many effective draws as there are."""
    formula, family, expected = REFERENCE[name]
    fit = brim.brm(formula, brim.load_data(name), family=family, algorithm="nested_laplace", iter=8000, seed=1, progress=False)
    assert fit.info["khat"] < 0.7
    found, ess = fit.posterior_summary(), fit.info.get("efficiency") * 16_000
    for parameter, (mean, sd) in expected.items():
        estimate, error = found.loc[parameter, ["Estimate", "Est.Error"]]
        assert abs(estimate - mean) < 4 * sd / np.sqrt(ess) + 0.01 * sd + 5e-5, parameter
        assert abs(error / sd - 1.0) < 4 * 0.8 / np.sqrt(ess) + 0.01 + 5e-5 / sd, parameter


def test_joint_density_is_reported():
    """brms' ``lp__``: likelihood, prior, standard normal effects, and the Jacobian of the logarithm of the one standard deviation."""
    fit = brim.brm(REFERENCE["cbpp"][0], brim.load_data("cbpp"), family="binomial", algorithm="nested_laplace", seed=1, progress=False)
    draws = fit.as_draws_df()
    sd = draws["sd_herd__Intercept"].to_numpy()
    z = draws.filter(like="r_herd[").to_numpy() / sd[:, None]
    expected = fit.log_lik().sum(1) + draws["lprior"] + stats.norm.logpdf(z).sum(1) + np.log(sd)
    np.testing.assert_allclose(draws["lp__"], expected, atol=1e-8)


def test_many_levels_of_one_row():
    """Laplace's error of each of 3,000 levels adds up: the mode is far from that of the approximation, whose sd would be 0.5."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=3000)
    data = pd.DataFrame({"x": x, "obs": np.arange(3000), "y": rng.poisson(np.exp(0.5 + 0.4 * x + 0.7 * rng.normal(size=3000)))})
    fit = brim.brm("y ~ x + (1 | obs)", data, family="poisson", algorithm="nested_laplace", iter=200, seed=1, progress=False)
    assert fit.info["khat"] < 0.7
    found = fit.posterior_summary(variable=["b_Intercept", "b_x", "sd_obs__Intercept"])
    assert (np.abs(found["Estimate"] - [0.5, 0.4, 0.7]) < 3.5 * found["Est.Error"]).all()
    assert found.loc["sd_obs__Intercept", "Est.Error"] == pytest.approx(0.019, rel=0.2)


def test_summary_and_check_say_what_was_done():
    fit = brim.brm(REFERENCE["cbpp"][0], brim.load_data("cbpp"), family="binomial", algorithm="auto", seed=1, progress=False)
    assert fit.algorithm == "nested_laplace"
    text = str(fit.summary())
    assert "5 parameters by importance, herd effects by quadrature (9 nodes)" in text
    assert f"Pareto k-hat {fit.info['khat']:.2f}, good" in text
    found = {f.name: f for f in brim.check(fit, loo=False, sensitivity=False).findings}
    assert set(found) == {"approximation"}
    assert found["approximation"].ok


CROSSED = pd.DataFrame({"y": np.tile([0, 1, 1], 200), "p": np.repeat(np.arange(200), 3), "i": np.tile(np.arange(150), 4)})


def test_too_many_crossed_effects_are_named():
    with pytest.raises(UnsuitedError, match="takes 128 effects that cross others; i effects are 150"):
        brim.brm("y ~ 1 + (1 | p) + (1 | i)", CROSSED, family="bernoulli", algorithm="nested_laplace", progress=False)


HEAVY = pd.DataFrame({"y": np.tile([0.0, 1.0, 3.0], 40), "g": np.repeat(np.arange(60), 2)})
HEAVY_FORMULA = "y ~ 1 + (1 | gr(g, dist = 'student'))"


def test_too_many_parameters_are_named():
    with pytest.raises(UnsuitedError, match=r"samples 50 parameters at most, these are \d+ \(g effects: sampled"):
        brim.brm(HEAVY_FORMULA, HEAVY, algorithm="nested_laplace", progress=False)


def test_auto_goes_on_to_chains():
    fit = brim.brm(HEAVY_FORMULA, HEAVY, algorithm="auto", chains=1, iter=60, seed=1, progress=False)
    assert fit.algorithm == "sampling"
    assert "algorithm='auto' took it, not 'nested_laplace'" in fit.engine
    assert "diverging" in fit.stats
