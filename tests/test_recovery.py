"""Every family samples on simulated data and finds the parameters these were simulated with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import brim
from brim.families.registry import CONSTRUCTORS

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::brim.BrimWarning")]

INNER = {"b_Intercept": 0.4, "b_x": 0.6}  # for log, logit and identity links alike
THRES = {"b_Intercept[1]": -1.0, "b_Intercept[2]": 0.2, "b_Intercept[3]": 1.3, "b_x": 0.7}
BY_CATEGORY = {"b_mub_Intercept": 0.4, "b_muc_Intercept": -0.3, "b_mub_x": 0.7, "b_muc_x": -0.5}
#: Posterior standard errors between estimate and truth; a z score this large has probability 1.5e-5.
FAR = 4.33


@dataclass(frozen=True)
class Case:
    """A model, the parameters it is simulated with, and SciPy's (or NumPy's) own draws of its response.

    Attributes
    ----------
    family, formula
        The model.
    truth
        Draws of these variables are given to the simulation, and found again.
    scipy
        ``(generator, x, truth, data) -> y``, where there is an independent sampler.
    n
        Rows.
    like
        Response values that the model learns categories and bounds from before it simulates.
    columns
        Further columns.
    free
        Variables that need a value in the simulation but are not looked at afterwards.
    """

    family: Any
    truth: dict[str, float]
    scipy: Callable[..., Any] | None = None
    formula: Any = "y ~ x"
    n: int = 500
    like: tuple[Any, ...] = (0.5, 1.5, 2.5)
    columns: Callable[[np.random.Generator, int], dict[str, Any]] = lambda rng, n: {}
    free: dict[str, float] = field(default_factory=dict)
    response: Callable[[np.ndarray], dict[str, Any]] = lambda y: {"y": y}
    prior: Any = None
    iter: int = 1000


def line(x, truth, dpar=""):
    """The predictor of a parameter."""
    stem = f"b_{dpar}_" if dpar else "b_"
    return truth[f"{stem}Intercept"] + truth[f"{stem}x"] * x


def mean(x, truth):
    return np.exp(line(x, truth))


def prob(x, truth):
    return special.expit(line(x, truth))


def gated(name, draw):
    """Draws with zeros put in: zero inflation and hurdles on continuous laws."""
    return lambda rng, x, t, d: np.where(rng.random(len(x)) < t[name], 0.0, draw(rng, x, t, d))


def truncated_at_zero(name, law):
    """Hurdles of counts: the base law above 0, by its quantiles."""

    def draw(rng, x, t, d):
        one = law(x, t)
        positive = one.ppf(rng.uniform(one.cdf(0), 1.0))
        return np.where(rng.random(len(x)) < t[name], 0.0, positive)

    return draw


def nbinom(x, t):
    shape = t["shape"] if "shape" in t else 1 / t.get("sigma", 1.0)
    return stats.nbinom(shape, shape / (shape + mean(x, t)))


def gamma(rng, x, t, d):
    return stats.gamma(t["shape"], scale=mean(x, t) / t["shape"]).rvs(random_state=rng)


def lognormal(rng, x, t, d):
    return t.get("ndt", 0.0) + stats.lognorm(t["sigma"], scale=np.exp(line(x, t))).rvs(random_state=rng)


def weibull(rng, x, t, d):
    shape = t.get("shape", 1.0)
    return stats.weibull_min(shape, scale=mean(x, t) / special.gamma(1 + 1 / shape)).rvs(random_state=rng)


def beta(rng, x, t, d):
    return stats.beta(prob(x, t) * t["phi"], (1 - prob(x, t)) * t["phi"]).rvs(random_state=rng)


def xbeta(rng, x, t, d):
    return np.clip(beta(rng, x, t, d) * (1 + 2 * t["kappa"]) - t["kappa"], 0, 1)


def zero_one_inflated_beta(rng, x, t, d):
    ends = (rng.random(len(x)) < t["coi"]).astype(float)
    return np.where(rng.random(len(x)) < t["zoi"], ends, beta(rng, x, t, d))


def asym_laplace(rng, x, t, d):
    q, sigma = t["quantile"], t["sigma"]
    return stats.laplace_asymmetric(np.sqrt(q / (1 - q)), line(x, t), sigma / np.sqrt(q * (1 - q))).rvs(random_state=rng)


def skew_normal(rng, x, t, d):
    shift = t["alpha"] / np.hypot(1, t["alpha"]) * np.sqrt(2 / np.pi)
    omega = t["sigma"] / np.sqrt(1 - shift**2)
    return stats.skewnorm(t["alpha"], line(x, t) - omega * shift, omega).rvs(random_state=rng)


def frechet(rng, x, t, d):
    return stats.invweibull(t["nu"], scale=mean(x, t) / special.gamma(1 - 1 / t["nu"])).rvs(random_state=rng)


def latent(link="logistic", hurdle=None):
    """Ordered categories by cutting a latent variable at the thresholds."""

    def draw(rng, x, t, d):
        thres = np.array([t[f"b_Intercept[{k}]"] for k in (1, 2, 3)])
        noise = getattr(stats, link).rvs(size=len(x), random_state=rng) / t.get("disc", 1.0)
        y = 1.0 + np.sum((t["b_x"] * x + noise)[:, None] > thres, axis=1)
        return y if hurdle is None else np.where(rng.random(len(x)) < t[hurdle], 0.0, y)

    return draw


def by_steps(rng, x, t, d):
    """Stopping and continuation ratios with the logit link: threshold after threshold."""
    y, going = np.ones(len(x)), np.ones(len(x), bool)
    for k in (1, 2, 3):
        going &= rng.random(len(x)) < special.expit(t["b_x"] * x - t[f"b_Intercept[{k}]"])
        y += going
    return y


def softmax(x, t):
    logits = np.stack([0 * x, line(x, t, "mub"), line(x, t, "muc")], axis=-1)
    return special.softmax(logits, axis=-1)


def categorical(rng, x, t, d):
    return np.sum(rng.random(len(x))[:, None] > np.cumsum(softmax(x, t), axis=-1), axis=-1) + 1.0


def adjacent(rng, x, t, d):
    steps = np.stack([t["b_x"] * x - t[f"b_Intercept[{k}]"] for k in (1, 2, 3)], axis=-1)
    p = special.softmax(np.concatenate([np.zeros((len(x), 1)), np.cumsum(steps, axis=-1)], axis=-1), axis=-1)
    return np.sum(rng.random(len(x))[:, None] > np.cumsum(p, axis=-1), axis=-1) + 1.0


def dirichlet(rng, x, t, d):
    return np.stack([rng.dirichlet(row) for row in t["phi"] * softmax(x, t)])


def logistic_normal(rng, x, t, d):
    cov = t["sigmab"] * t["sigmac"] * t["lncor__b__c"]
    noise = rng.multivariate_normal([0, 0], [[t["sigmab"] ** 2, cov], [cov, t["sigmac"] ** 2]], len(x))
    ratios = np.stack([0 * x, line(x, t, "mub") + noise[:, 0], line(x, t, "muc") + noise[:, 1]], axis=-1)
    return special.softmax(ratios, axis=-1)


def two_normals(rng, x, t, d):
    first = rng.random(len(x)) < t["theta1"]
    return np.where(first, rng.normal(line(x, t, "mu1"), t["sigma1"]), rng.normal(line(x, t, "mu2"), t["sigma2"]))


def matrix(y):
    return {"a": y[:, 0], "b": y[:, 1], "c": y[:, 2]}


def letters(y):
    return {"y": pd.Categorical(np.array(["a", "b", "c"])[y.astype(int) - 1])}


def trials(rng, n):
    return {"n": rng.integers(5, 15, n).astype(float)}


def ten(rng, n):
    return {"n": np.full(n, 10.0)}


def draws_of(law):
    return lambda rng, x, t, d: law(x, t, d).rvs(random_state=rng)


ORDINAL = {"like": (1.0, 2.0, 3.0, 4.0), "n": 800, "free": {"disc": 1.0}}
POSITIVE, UNIT, COUNTS = {"like": (0.8, 2.0, 3.0)}, {"like": (0.2, 0.5, 0.9)}, {"like": (0.0, 2.0, 4.0)}
ENDS = {"like": (0.0, 0.4, 1.0)}

CASES = {
    # continuous
    "gaussian": Case("gaussian", {**INNER, "sigma": 0.8}, draws_of(lambda x, t, d: stats.norm(line(x, t), t["sigma"]))),
    "student": Case("student", {**INNER, "sigma": 0.8, "nu": 4.0}, draws_of(lambda x, t, d: stats.t(t["nu"], line(x, t), t["sigma"]))),
    "skew_normal": Case("skew_normal", {**INNER, "sigma": 0.8, "alpha": 4.0}, skew_normal),
    "exgaussian": Case(
        "exgaussian",
        {**INNER, "sigma": 0.5, "beta": 0.9},
        draws_of(lambda x, t, d: stats.exponnorm(t["beta"] / t["sigma"], line(x, t) - t["beta"], t["sigma"])),
    ),
    "asym_laplace": Case("asym_laplace", {**INNER, "sigma": 0.5, "quantile": 0.3}, asym_laplace),
    "asym_laplace, quantile fixed": Case(
        "asym_laplace",
        {**INNER, "sigma": 0.5},
        lambda rng, x, t, d: asym_laplace(rng, x, {**t, "quantile": 0.7}, d),
        brim.bf("y ~ x", quantile=0.7),
        free={"quantile": 0.7},
    ),
    "zero_inflated_asym_laplace": Case(
        "zero_inflated_asym_laplace", {**INNER, "sigma": 0.5, "quantile": 0.3, "zi": 0.2}, gated("zi", asym_laplace)
    ),
    "gen_extreme_value": Case(
        "gen_extreme_value",
        {**INNER, "sigma": 0.6, "xi": 0.15},
        draws_of(lambda x, t, d: stats.genextreme(-t["xi"], line(x, t), t["sigma"])),
    ),
    "lognormal": Case("lognormal", {**INNER, "sigma": 0.7}, lognormal, **POSITIVE),
    "shifted_lognormal": Case("shifted_lognormal", {**INNER, "sigma": 0.7, "ndt": 0.5}, lognormal, **POSITIVE),
    "gamma": Case("gamma", {**INNER, "shape": 2.0}, gamma, **POSITIVE),
    "weibull": Case("weibull", {**INNER, "shape": 1.6}, weibull, **POSITIVE),
    "exponential": Case("exponential", INNER, weibull, **POSITIVE),
    "frechet": Case("frechet", {**INNER, "nu": 3.0}, frechet, **POSITIVE),
    "inverse_gaussian": Case(
        brim.inverse_gaussian("log"),
        {**INNER, "shape": 2.0},
        draws_of(lambda x, t, d: stats.invgauss(mean(x, t) / t["shape"], scale=t["shape"])),
        **POSITIVE,
    ),
    "von_mises": Case(
        "von_mises", {**INNER, "kappa": 3.0}, draws_of(lambda x, t, d: stats.vonmises(t["kappa"], 2 * np.arctan(line(x, t))))
    ),
    # counts
    "poisson": Case("poisson", INNER, draws_of(lambda x, t, d: stats.poisson(mean(x, t))), **COUNTS),
    "poisson, rate": Case(
        "poisson", INNER, draws_of(lambda x, t, d: stats.poisson(d["n"] * mean(x, t))), "y | rate(n) ~ x", columns=trials, **COUNTS
    ),
    "negbinomial": Case("negbinomial", {**INNER, "shape": 1.5}, draws_of(lambda x, t, d: nbinom(x, t)), **COUNTS),
    "negbinomial2": Case("negbinomial2", {**INNER, "sigma": 0.7}, draws_of(lambda x, t, d: nbinom(x, t)), **COUNTS),
    "geometric": Case("geometric", INNER, draws_of(lambda x, t, d: nbinom(x, t)), **COUNTS),
    "com_poisson": Case("com_poisson", {**INNER, "shape": 1.6}, n=200, iter=600, **COUNTS),
    "discrete_weibull": Case(
        "discrete_weibull",
        {**INNER, "shape": 1.3},
        # the whole part of a Weibull variable: P(Y >= k) = prob^(k^shape)
        lambda rng, x, t, d: np.floor((rng.exponential(size=len(x)) / -np.log(prob(x, t))) ** (1 / t["shape"])),
        **COUNTS,
    ),
    "bernoulli": Case("bernoulli", INNER, draws_of(lambda x, t, d: stats.bernoulli(prob(x, t))), like=(0.0, 1.0)),
    "bernoulli, probit": Case(
        brim.bernoulli("probit"), INNER, draws_of(lambda x, t, d: stats.bernoulli(special.ndtr(line(x, t)))), like=(0.0, 1.0)
    ),
    "binomial": Case(
        "binomial",
        INNER,
        draws_of(lambda x, t, d: stats.binom(d["n"].astype(int), prob(x, t))),
        "y | trials(n) ~ x",
        columns=trials,
        **COUNTS,
    ),
    "beta_binomial": Case(
        "beta_binomial",
        {**INNER, "phi": 3.0},
        draws_of(lambda x, t, d: stats.betabinom(d["n"].astype(int), prob(x, t) * t["phi"], (1 - prob(x, t)) * t["phi"])),
        "y | trials(n) ~ x",
        columns=trials,
        **COUNTS,
    ),
    # proportions
    "beta": Case("beta", {**INNER, "phi": 5.0}, beta, **UNIT),
    # phi and kappa trade off, for which the default prior of kappa is too wide
    "xbeta": Case(
        "xbeta", {**INNER, "phi": 5.0, "kappa": 0.2}, xbeta, n=250, iter=600, prior=brim.prior("gamma(2, 10)", class_="kappa"), **ENDS
    ),
    "dirichlet": Case("dirichlet", {**BY_CATEGORY, "phi": 8.0}, dirichlet, "cbind(a, b, c) ~ x", like=((0.2, 0.3, 0.5),), response=matrix),
    "logistic_normal": Case(
        "logistic_normal",
        {**BY_CATEGORY, "sigmab": 0.7, "sigmac": 1.1, "lncor__b__c": 0.4},
        logistic_normal,
        "cbind(a, b, c) ~ x",
        like=((0.2, 0.3, 0.5),),
        response=matrix,
    ),
    "zero_inflated_beta": Case("zero_inflated_beta", {**INNER, "phi": 5.0, "zi": 0.2}, gated("zi", beta), **UNIT),
    "zero_one_inflated_beta": Case("zero_one_inflated_beta", {**INNER, "phi": 5.0, "zoi": 0.3, "coi": 0.4}, zero_one_inflated_beta, **ENDS),
    # ordered categories
    "cumulative": Case("cumulative", THRES, latent(), **ORDINAL),
    "cumulative, probit": Case(brim.cumulative("probit"), THRES, latent("norm"), **ORDINAL),
    "cumulative, cauchit": Case(brim.cumulative("cauchit"), THRES, latent("cauchy"), **ORDINAL),
    "sratio": Case("sratio", THRES, by_steps, **ORDINAL),
    "cratio": Case("cratio", THRES, by_steps, **ORDINAL),
    "acat": Case("acat", THRES, adjacent, **ORDINAL),
    "hurdle_cumulative": Case(
        "hurdle_cumulative", {**THRES, "hu": 0.25}, latent(hurdle="hu"), **(ORDINAL | {"like": (0.0, 1.0, 2.0, 3.0, 4.0)})
    ),
    "cumulative, equidistant": Case(
        brim.cumulative(threshold="equidistant"),
        {"b_Intercept[1]": -1.0, "b_Intercept[2]": 0.1, "b_Intercept[3]": 1.2, "b_x": 0.7, "delta": 1.1},
        latent(),
        **ORDINAL,
    ),
    "cumulative, sum_to_zero": Case(
        brim.cumulative(threshold="sum_to_zero"),
        {"b_Intercept[1]": -1.1, "b_Intercept[2]": 0.1, "b_Intercept[3]": 1.0, "b_x": 0.7},
        latent(),
        **ORDINAL,
    ),
    "cumulative, thres(gr = )": Case(
        "cumulative",
        {
            **{f"b_Intercept[u,{k + 1}]": v for k, v in enumerate((-1.0, 0.2, 1.3))},
            **{f"b_Intercept[v,{k + 1}]": v for k, v in enumerate((-0.3, 0.5, 0.9))},
            "b_x": 0.7,
        },
        None,
        "y | thres(3, gr = g) ~ x",
        columns=lambda rng, n: {"g": np.where(np.arange(n) % 2 == 0, "u", "v")},
        **ORDINAL,
    ),
    "cumulative, disc": Case(
        "cumulative",
        {**THRES, "b_disc_z": 0.6},
        lambda rng, x, t, d: latent()(rng, x, {**t, "disc": np.exp(t["b_disc_z"] * d["z"].to_numpy())}, d),
        brim.bf("y ~ x", "disc ~ 0 + z"),
        columns=lambda rng, n: {"z": np.arange(n) % 2.0},
        **ORDINAL,
    ),
    "acat, cs": Case(
        "acat",
        {**{k: v for k, v in THRES.items() if k != "b_x"}, "bcs_x[1]": 0.8, "bcs_x[2]": 0.1, "bcs_x[3]": -0.5},
        None,
        "y ~ cs(x)",
        **ORDINAL,
    ),
    # categories
    "categorical": Case("categorical", BY_CATEGORY, categorical, like=(1.0, 2.0, 3.0), response=letters),
    "multinomial": Case(
        "multinomial",
        BY_CATEGORY,
        lambda rng, x, t, d: rng.multinomial(10, softmax(x, t)).astype(float),
        "cbind(a, b, c) | trials(n) ~ x",
        n=200,
        like=((2.0, 3.0, 5.0),),
        response=matrix,
        columns=ten,
    ),
    "dirichlet_multinomial": Case(
        "dirichlet_multinomial",
        {**BY_CATEGORY, "phi": 4.0},
        lambda rng, x, t, d: rng.multinomial(10, dirichlet(rng, x, t, d)).astype(float),
        "cbind(a, b, c) | trials(n) ~ x",
        like=((2.0, 3.0, 5.0),),
        response=matrix,
        columns=ten,
    ),
    # zero inflation and hurdles
    "hurdle_poisson": Case(
        "hurdle_poisson", {**INNER, "hu": 0.3}, truncated_at_zero("hu", lambda x, t: stats.poisson(mean(x, t))), **COUNTS
    ),
    "hurdle_negbinomial": Case("hurdle_negbinomial", {**INNER, "shape": 2.0, "hu": 0.3}, truncated_at_zero("hu", nbinom), **COUNTS),
    "hurdle_gamma": Case("hurdle_gamma", {**INNER, "shape": 2.0, "hu": 0.3}, gated("hu", gamma), **POSITIVE),
    "hurdle_lognormal": Case("hurdle_lognormal", {**INNER, "sigma": 0.7, "hu": 0.3}, gated("hu", lognormal), **POSITIVE),
    "zero_inflated_poisson": Case(
        "zero_inflated_poisson", {**INNER, "zi": 0.25}, gated("zi", draws_of(lambda x, t, d: stats.poisson(mean(x, t)))), **COUNTS
    ),
    "zero_inflated_negbinomial": Case(
        "zero_inflated_negbinomial", {**INNER, "shape": 2.0, "zi": 0.25}, gated("zi", draws_of(lambda x, t, d: nbinom(x, t))), **COUNTS
    ),
    "zero_inflated_binomial": Case(
        "zero_inflated_binomial",
        {**INNER, "zi": 0.25},
        gated("zi", draws_of(lambda x, t, d: stats.binom(d["n"].astype(int), prob(x, t)))),
        "y | trials(n) ~ x",
        columns=trials,
        **COUNTS,
    ),
    "zero_inflated_beta_binomial": Case(
        "zero_inflated_beta_binomial",
        {**INNER, "phi": 4.0, "zi": 0.25},
        gated("zi", draws_of(lambda x, t, d: stats.betabinom(d["n"].astype(int), prob(x, t) * t["phi"], (1 - prob(x, t)) * t["phi"]))),
        "y | trials(n) ~ x",
        columns=trials,
        **COUNTS,
    ),
    # mixtures
    "mixture": Case(
        brim.mixture("gaussian", nmix=2),
        {
            "b_mu1_Intercept": -1.5,
            "b_mu1_x": 0.3,
            "b_mu2_Intercept": 1.5,
            "b_mu2_x": -0.4,
            "sigma1": 0.6,
            "sigma2": 0.9,
            "theta1": 0.35,
            "theta2": 0.65,
        },
        two_normals,
        like=(-1.0, 0.0, 1.0),
    ),
    "mixture, predicted": Case(
        brim.mixture("gaussian", "gaussian", order="none"),
        {
            "b_mu1_Intercept": -1.5,
            "b_mu2_Intercept": 1.5,
            "b_mu2_x": 0.5,
            "sigma2": 0.9,
            "b_sigma1_Intercept": -0.5,
            "b_sigma1_x": 0.3,
            "b_theta2_Intercept": 0.4,
            "b_theta2_x": 0.8,
        },
        None,
        brim.bf("y ~ 1", "mu2 ~ x", "sigma1 ~ x", "theta2 ~ x"),
        prior=[
            brim.prior("normal(-1.5, 1)", class_="Intercept", dpar="mu1"),
            brim.prior("normal(1.5, 1)", class_="Intercept", dpar="mu2"),
        ],
    ),
    "mixture of counts": Case(
        brim.mixture("poisson", "geometric", order="none"),
        {"b_mu1_Intercept": 2.0, "b_mu1_x": 0.2, "b_mu2_Intercept": -0.7, "b_mu2_x": 0.3, "theta1": 0.6, "theta2": 0.4},
        None,
        prior=[
            brim.prior("normal(2, 0.5)", class_="Intercept", dpar="mu1"),
            brim.prior("normal(-0.7, 0.5)", class_="Intercept", dpar="mu2"),
        ],
        **COUNTS,
    ),
    # what is seen of a response
    "gaussian, trunc": Case(
        "gaussian",
        {**INNER, "sigma": 0.8},
        draws_of(lambda x, t, d: stats.truncnorm((0 - line(x, t)) / t["sigma"], np.inf, line(x, t), t["sigma"])),
        "y | trunc(lb = 0) ~ x",
    ),
    "poisson, trunc": Case("poisson", INNER, None, "y | trunc(lb = 1) ~ x", like=(1.0, 2.0, 4.0)),
}


def rows(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """Predictors, further columns, and a stand-in for the response."""
    like = np.array([case.like[i % len(case.like)] for i in range(case.n)])
    columns = case.columns(rng, case.n)
    return pd.DataFrame({"x": rng.normal(size=case.n), **columns, **case.response(like)})


@cache
def model(name: str, seed: int):
    """The data without their response, and the model with the true parameters as its draws."""
    case = CASES[name]
    data = rows(case, np.random.default_rng(seed))
    empty = brim.brm(case.formula, data, family=case.family, prior=case.prior, empty=True)
    return data, empty


def simulate(name: str, count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The data and ``count`` responses by the family's own sampler."""
    case = CASES[name]
    data, empty = model(name, seed)
    truth = pd.DataFrame({k: np.full(count, v) for k, v in (case.truth | case.free).items()})
    return data, empty.with_draws(truth, chains=1).posterior_predict(seed=seed)


def fitted(case: Case, data: pd.DataFrame, y: np.ndarray, seed: int, **kwargs) -> pd.DataFrame:
    """Draws of the variables that are to be found again."""
    more = {"chains": 2, "iter": case.iter, **kwargs}
    fit = brim.brm(case.formula, data.assign(**case.response(y)), family=case.family, prior=case.prior, seed=seed, progress=False, **more)
    return fit.as_draws_df()[list(case.truth)]


def z_scores(case: Case, data: pd.DataFrame, y: np.ndarray, seed: int) -> dict[str, float]:
    """How many posterior standard deviations lie between the posterior means and the truth."""
    draws = fitted(case, data, y, seed)
    return {k: float((draws[k].mean() - v) / draws[k].std()) for k, v in case.truth.items()}


def assert_near(name: str, scores: dict[str, float]) -> None:
    far = {k: round(z, 1) for k, z in scores.items() if not abs(z) < FAR}
    assert not far, f"{name}: posterior standard deviations from the truth: {far}"


@pytest.mark.parametrize("name", CASES)
def test_own_draws_are_recovered(name):
    data, y = simulate(name, 1, seed=11)
    assert_near(name, z_scores(CASES[name], data, y[0], seed=12))


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.scipy is not None])
def test_draws_of_scipy_are_recovered(name):
    case = CASES[name]
    data = rows(case, rng := np.random.default_rng(21))
    y = case.scipy(rng, data["x"].to_numpy(), case.truth, data)
    assert_near(name, z_scores(case, data, y, seed=22))


def test_wiener_is_recovered():
    """Decisions and times together; ``posterior_predict`` gives times alone, so the law is asked itself."""
    import jax

    from brim.families.diffusion import Wiener

    rng = np.random.default_rng(31)
    data = pd.DataFrame({"x": rng.normal(size=400)})
    truth = {"b_Intercept": 0.8, "b_x": 0.4, "bs": 1.5, "ndt": 0.2, "bias": 0.4}
    law = Wiener(line(data["x"].to_numpy(), truth), truth["bs"], truth["ndt"], truth["bias"], 1.0, signed=True)
    y = np.asarray(law.sample(jax.random.key(32)))
    case = Case("wiener", truth, formula="y | dec(d) ~ x")
    assert_near("wiener", z_scores(case, data.assign(d=(y > 0).astype(float)), np.abs(y), seed=33))


def random_walk(rng, drift, separation, bias, step=2e-4):
    """First passages by brute force: Gaussian steps until a boundary is crossed."""
    where, time = bias * separation * np.ones(len(drift)), np.zeros(len(drift))
    inside = np.ones(len(drift), bool)
    while inside.any():
        where = np.where(inside, where + drift * step + np.sqrt(step) * rng.normal(size=len(drift)), where)
        time += step * inside
        inside = (where > 0) & (where < separation)
    return time, where > 0


def test_wiener_recovers_a_random_walk():
    """No formula of the density enters the simulation. Discrete steps overshoot: both boundaries act 0.58 sqrt(step) further out."""
    rng, step = np.random.default_rng(34), 2e-4
    data = pd.DataFrame({"x": rng.normal(size=400)})
    truth = {"b_Intercept": 0.8, "b_x": 0.4, "bs": 1.5, "ndt": 0.2, "bias": 0.4}
    shift = 0.5826 * np.sqrt(step)
    bs = truth["bs"] - 2 * shift
    time, upper = random_walk(rng, line(data["x"].to_numpy(), truth), bs, (truth["bias"] * truth["bs"] - shift) / bs, step)
    case = Case("wiener", truth, formula="y | dec(d) ~ x")
    assert_near("wiener", z_scores(case, data.assign(d=upper.astype(float)), truth["ndt"] + time, seed=35))


@pytest.mark.parametrize(
    ("formula", "family"),
    [("y | cens(c) ~ x", "cox"), ("y | cens(c) + bhaz(gr = g) ~ x", "cox"), ("y | cens(c) ~ x", brim.cox(bhaz={"df": 7}))],
)
def test_cox_is_recovered(formula, family):
    """Exponential times are proportional hazards, whatever the baseline; those beyond 3 are censored."""
    rng = np.random.default_rng(41)
    data = pd.DataFrame({"x": rng.normal(size=600), "g": np.where(np.arange(600) % 2 == 0, "u", "v")})
    time = rng.exponential(np.exp(-0.6 * data["x"]))
    data["c"] = (time > 3).astype(float)
    assert_near("cox", z_scores(Case(family, {"b_x": 0.6}, formula=formula), data, np.minimum(time, 3), seed=42))


@pytest.mark.parametrize(("family", "more"), [("exponential", {}), ("weibull", {"shape": 1.6}), ("lognormal", {"sigma": 0.7})])
def test_censored_times_are_recovered(family, more):
    """Right censored beyond 3, left censored below 0.4, known to lie between whole numbers from 1 to 2."""
    rng = np.random.default_rng(51)
    data = pd.DataFrame({"x": rng.normal(size=600)})
    truth = {**INNER, **more}
    y = (lognormal if family == "lognormal" else weibull)(rng, data["x"].to_numpy(), truth, data)
    c = np.select([y > 3, y < 0.4, (y > 1) & (y < 2)], ["right", "left", "interval"], "none")
    seen = np.select([y > 3, y < 0.4, (y > 1) & (y < 2)], [3.0, 0.4, 1.0], y)
    data = data.assign(c=c, y2=np.where(c == "interval", 2.0, seen))
    assert_near(family, z_scores(Case(family, truth, formula="y | cens(c, y2) ~ x"), data, seen, seed=52))


def test_custom_family_is_recovered():
    import numpyro.distributions as d

    one = brim.custom_family("gumbel", lambda mu, sigma: d.Gumbel(mu, sigma), ["mu", "sigma"], ["identity", "log"], [None, 0.0])
    rng, truth = np.random.default_rng(61), {**INNER, "sigma": 0.7}
    data = pd.DataFrame({"x": rng.normal(size=500)})
    y = stats.gumbel_r(line(data["x"].to_numpy(), truth), truth["sigma"]).rvs(random_state=rng)
    assert_near("gumbel", z_scores(Case(one, truth), data, y, seed=62))


def test_every_family_is_recovered():
    names = {case.family if isinstance(case.family, str) else case.family.name for case in CASES.values()}
    assert set(CONSTRUCTORS) <= names | {"wiener", "cox"}


#: Rows of the short runs: few, and the same shape in every run, so that one compiled program serves all.
COVERED = {
    "poisson": 80,
    "bernoulli": 80,
    "negbinomial": 80,
    "gamma": 80,
    "weibull": 80,
    "lognormal": 80,
    "beta": 80,
    "zero_inflated_poisson": 100,
    "cumulative": 100,
    "categorical": 100,
}


def coverage(name: str, runs: int = 100) -> dict[str, int]:
    """How many of the runs have the truth within their 90 % intervals, for every variable."""
    from dataclasses import replace

    case = replace(CASES[name], n=COVERED[name])
    data, empty = rows(case, np.random.default_rng(71)), None
    empty = brim.brm(case.formula, data, family=case.family, empty=True)
    truth = pd.DataFrame({k: np.full(runs, v) for k, v in (case.truth | case.free).items()})
    y = empty.with_draws(truth, chains=1).posterior_predict(seed=72)
    inside = dict.fromkeys(case.truth, 0)
    for run in range(runs):
        draws = fitted(case, data, y[run], seed=run, iter=600)
        low, high = draws.quantile(0.05), draws.quantile(0.95)
        for k, v in case.truth.items():
            inside[k] += bool(low[k] <= v <= high[k])
    return inside


@pytest.mark.parametrize("name", COVERED)
def test_intervals_cover(name):
    """90 % intervals miss 20 of 100 times or more with probability 8e-4 where they are right."""
    inside = coverage(name)
    print(name, inside)
    assert min(inside.values()) >= 80, f"{name}: {inside}"
